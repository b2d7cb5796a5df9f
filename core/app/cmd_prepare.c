/*
 * cmd_prepare.c - hone prepare: documents to samples.jsonl.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <unistd.h>

#include "core/app/app.h"

static void show_progress(void *ctx, int64_t done, int64_t total, const char *file)
{
    text t = { 0 };
    (void)ctx;
    text_printf(&t, "reading %lld of %lld  %.60s", (long long)done, (long long)total,
                path_base(file));
    if (t.p)
        log_set_status(t.p);
    text_finish(&t);
}

static hone_status run(settings *s, const arguments *a, hone_error *err)
{
    session z = { 0 };
    prepare_report report = { 0 };
    text out = { 0 };
    hone_status st = HONE_OK;
    if (a->n)
        return hone_fail(err, HONE_ERR_ARG, "'%s': documents are named by prepare.sources",
                         a->items[0]);
    if (s->top.model)
        st = session_open(&z, s, SESSION_TOKENIZER, err);
    else
        st = session_plugins(&z, s, err);
    if (st)
        goto out;
    st = prepare_run(&s->prepare, z.plugins, s->reader, s->recipe, z.tok,
                     isatty(STDERR_FILENO) ? show_progress : NULL, NULL, &report, err);
    log_set_status(NULL);
    if (st)
        goto out;
    prepare_report_print(&report, &out);
    if ((st = text_status(&out, err)))
        goto out;
    fputs(out.p ? out.p : "", stdout);
    printf("written: %s/samples.jsonl, %s/report.json\n", s->prepare.out, s->prepare.out);
    if (!report.samples)
        st = hone_fail(err, HONE_ERR_NOTFOUND,
                       "no sample came of %lld files; what was left out and why stands above and "
                       "in %s/report.json",
                       (long long)report.files, s->prepare.out);
out:
    text_finish(&out);
    prepare_report_finish(&report);
    session_close(&z);
    return st;
}

const command cmd_prepare = {
    .name = "prepare",
    .operands = "[CONFIG]",
    .summary = "documents to samples.jsonl, by readers and recipes",
    .sections = "prepare reader recipe",
    .config_operand = true,
    .run = run,
};
