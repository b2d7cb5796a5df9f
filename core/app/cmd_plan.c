/*
 * cmd_plan.c - hone plan: memory, disk and time of a run, before anything of it is loaded.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "core/app/setup.h"

typedef struct plan_flags {
    bool json, measure, paper, advise;
    int64_t kind;
    const char *device;
} plan_flags;

static plan_flags flags;

/* clang-format off */
static const hone_option rows[] = {
    HONE_ROW_BOOL(plan_flags, json, "false", "print it as JSON"),
    HONE_ROW_BOOL(plan_flags, measure, "false", "measure this machine's rates anew"),
    HONE_ROW_BOOL(plan_flags, advise, "false", "propose a whole config: hone.json to standard output, why to standard error"),
    HONE_ROW_ENUM(plan_flags, kind, "auto|text|code", "auto", "--advise: what the data are; auto: by their names"),
    HONE_ROW_BOOL(plan_flags, paper, "false", "print docs/paper-tables.md instead"),
    HONE_ROW_STRING(plan_flags, device, NULL, "plan for a device that is not here: a100-80gb, h100, h200, l40s, rtx4090, ..."),
    HONE_OPTIONS_END,
};
/* clang-format on */

/* ------------------------------------------------------------------------- data */

static const char *const code_endings[] = {
    ".c",   ".h",     ".cc",  ".cpp",   ".hpp", ".cs",  ".go", ".java", ".js",
    ".jsx", ".kt",    ".lua", ".m",     ".php", ".pl",  ".py", ".rb",   ".rs",
    ".sh",  ".scala", ".sql", ".swift", ".ts",  ".tsx", ".r",  ".vb",
};

/* Bytes of files, and those of code among them. */
typedef struct sizes {
    int64_t all, code;
} sizes;

static hone_status add_size(void *ctx, const char *path, hone_error *err)
{
    sizes *sum = ctx;
    struct stat info;
    const char *dot = strrchr(path_base(path), '.');
    (void)err;
    if (stat(path, &info) != 0)
        return HONE_OK;
    sum->all += info.st_size;
    for (size_t i = 0; dot && i < sizeof code_endings / sizeof *code_endings; i++)
        if (strcmp(dot, code_endings[i]) == 0)
            sum->code += info.st_size;
    return HONE_OK;
}

static hone_status find_sizes(sizes *out, const settings *s, hone_error *err)
{
    hone_status st = HONE_OK;
    if (s->prepare.sources.n == 0 && path_exists(s->data_path))
        return add_size(out, s->data_path, err);
    for (uint64_t i = 0; i < s->prepare.sources.n && !st; i++)
        st = dir_walk(s->prepare.sources.items[i], add_size, out, err);
    return st;
}

/* Rows where there are a dataset and a tokenizer; else a guess from the bytes of the sources. */
static hone_status find_data(setup *u, const settings *s, hone_error *err)
{
    sizes found = { 0 };
    hone_status st;
    if (path_exists(s->data_path) && path_is_dir(s->top.model)) {
        st = session_open(&u->z, s, SESSION_TOKENIZER, err);
        return st ? st : setup_data(u, s, true, err);
    }
    st = find_sizes(&found, s, err);
    u->data = plan_data_guess(found.all, &s->train);
    return st;
}

/* ---------------------------------------------------------------------- backend */

static hone_status unknown_device(const char *name, hone_error *err)
{
    text names = { 0 };
    for (const device_row *d = device_rows; d->name; d++)
        text_printf(&names, "%s%s", d == device_rows ? "" : ", ", d->name);
    hone_status st =
        hone_fail(err, HONE_ERR_NOTFOUND, "--device %.40s is not in the table; there are %s", name,
                  names.p ? names.p : "?");
    text_finish(&names);
    return st;
}

static hone_status open_backend(setup *u, const settings *s, hone_error *err)
{
    const char *slash = strrchr(s->top.backend, '/');
    hone_status st = session_plugins(&u->z, s, err);
    if (st)
        return st;
    if (!flags.device) {
        st = backend_open(&u->z.back, u->z.plugins, s->top.backend, s->device, s->weights, err);
        if (!st)
            st = rates_get(&u->rates, u->z.back, s->train.method == 1 ? "full" : "lora",
                           flags.measure, err);
        return st;
    }
    u->input.device = device_row_find(flags.device);
    if (!u->input.device)
        return unknown_device(flags.device, err);
    return backend_open_absent(&u->z.back, u->z.plugins, flags.device,
                               slash ? slash + 1 : s->top.backend, s->weights, err);
}

/* ------------------------------------------------------------------------ command */

static hone_status run_advise(setup *u, settings *s, hone_error *err)
{
    sizes found = { 0 };
    text why = { 0 };
    json_t *config = NULL;
    hone_status st = session_plugins(&u->z, s, err);
    if (!st)
        st = find_sizes(&found, s, err);
    if (!st && !found.all)
        st = hone_fail(err, HONE_ERR_ARG, "no data to advise on: set prepare.sources or data.path");
    if (!st && flags.device && !(u->input.device = device_row_find(flags.device)))
        st = unknown_device(flags.device, err);
    if (!st)
        st = advise(&config, &why, u, s, (double)found.all,
                    flags.kind ? flags.kind == 2 : found.code * 2 > found.all, err);
    if (!st) {
        fputs(why.p ? why.p : "", stderr);
        (void)json_dumpf(config, stdout, JSON_INDENT(4) | JSON_REAL_PRECISION(9));
        putchar('\n');
    }
    json_decref(config);
    text_finish(&why);
    return st;
}

static hone_status run(settings *s, const arguments *a, hone_error *err)
{
    setup u = { 0 };
    text t = { 0 };
    hone_status st;
    if (a->n)
        return hone_fail(err, HONE_ERR_ARG, "'%s' is not a setting; see hone plan --help",
                         a->items[0]);
    if (flags.paper) {
        st = session_plugins(&u.z, s, err);
        if (!st)
            st = paper_tables(&t, u.z.plugins, err);
        if (!st)
            fputs(t.p, stdout);
        goto out;
    }
    if (!s->top.model)
        return hone_fail(
            err, HONE_ERR_ARG,
            "no model: set \"model\" in hone.json, or --model FOLDER, or the name of a "
            "known shape (llama-2-7b)");
    if ((st = parse_bytes(&u.input.memory, s->plan.memory, "plan.memory", err)))
        goto out;
    if (flags.advise) {
        st = run_advise(&u, s, err);
        goto out;
    }
    if ((st = find_data(&u, s, err)) || (st = open_backend(&u, s, err)))
        goto out;
    setup_input(&u, s);
    if (!path_is_dir(s->top.model))
        u.model.shape = path_base(s->top.model);
    if ((st = run_plan_make(&u.plan, NULL, &u.input, err)))
        goto out;
    if (flags.json) {
        json_t *o = run_plan_json(&u.plan, &u.input);
        (void)json_dumpf(o, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(o);
    } else {
        plan_print(&t, &u, s);
        st = text_status(&t, err);
        if (!st && t.p)
            fputs(t.p, stdout);
    }
out:
    text_finish(&t);
    setup_finish(&u);
    return st;
}

const command cmd_plan = {
    .name = "plan",
    .operands = "[CONFIG]",
    .summary = "memory, disk and time of a training run, before it",
    .flags = rows,
    .flag_values = &flags,
    .config_operand = true,
    .run = run,
};
