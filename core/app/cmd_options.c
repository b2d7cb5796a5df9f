/*
 * cmd_options.c - hone options: every setting, from the rows; docs/options.md is its --markdown.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/app/app.h"

static struct {
    bool markdown, json;
} flags;

static const hone_option rows[] = {
    { "markdown", HONE_OPT_BOOL, 0, 0, 0, "false", NULL, "the page docs/options.md" },
    { "json", HONE_OPT_BOOL, 1, 0, 0, "false", NULL, "the settings in force, defaults included" },
    HONE_OPTIONS_END,
};

static hone_status run(settings *s, const arguments *a, hone_error *err)
{
    text t = { 0 };
    (void)a;
    if (flags.json) {
        json_t *all = settings_to_json(s);
        (void)json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(all);
        return HONE_OK;
    }
    if (flags.markdown) {
        text_puts(
            &t,
            "# Settings\n\n"
            "Every key of `hone.json`. Each can be given on the command line by its name, e.g.\n"
            "`--train.lr 2e-4`. Relative paths start from the folder of the config file; on the\n"
            "command line, from the working folder. There a dash is as good as an underscore.\n"
            "This page is written by `./dev docs`.\n");
        settings_markdown(&t);
        text_puts(&t, "\n# Flags of commands\n");
        for (const command *const *c = commands; *c; c++)
            if ((*c)->flags) {
                text_printf(&t, "\n## hone %s\n\n%s\n\n", (*c)->name, (*c)->summary);
                options_markdown(&t, (*c)->flags, "");
            }
    } else {
        settings_help(&t, NULL);
    }
    hone_status st = text_status(&t, err);
    if (!st && t.p)
        fputs(t.p, stdout);
    text_finish(&t);
    return st;
}

const command cmd_options = {
    .name = "options",
    .operands = "",
    .summary = "every setting, and the ones in force",
    .flags = rows,
    .flag_values = &flags,
    .run = run,
};
