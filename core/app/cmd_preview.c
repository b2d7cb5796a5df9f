/*
 * cmd_preview.c - hone preview: samples of a dataset as training sees them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/app/preview.h"
#include "core/app/setup.h"

typedef struct preview_flags {
    int64_t n, skip;
    const char *recipe, *file, *html;
} preview_flags;

static preview_flags flags;

/* clang-format off */
static const hone_option rows[] = {
    HONE_ROW_I64(preview_flags, n, 1, 1 << 30, "5", "samples to show"),
    HONE_ROW_I64(preview_flags, skip, 0, 1 << 30, "0", "samples to pass over first"),
    HONE_ROW_STRING(preview_flags, recipe, NULL, "only samples of this recipe"),
    HONE_ROW_STRING(preview_flags, file, NULL, "only samples of this document, or of those in this folder"),
    HONE_ROW_PATH(preview_flags, html, NULL, "write a page of them here, one file, instead of showing them"),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct showing {
    preview view;
    text *out;
    int64_t matched, shown, read;
} showing;

static bool wanted(const sample *s)
{
    const size_t n = flags.file ? strlen(flags.file) : 0;
    if (flags.recipe && (!s->recipe || strcmp(s->recipe, flags.recipe) != 0))
        return false;
    return !flags.file || (s->file && strncmp(s->file, flags.file, n) == 0 &&
                           (!s->file[n] || s->file[n] == '/' || (n && flags.file[n - 1] == '/')));
}

static hone_status visit(void *ctx, const sample *s, int64_t line, hone_error *err)
{
    showing *w = ctx;
    w->read++;
    if (!wanted(s) || w->matched++ < flags.skip || w->shown >= flags.n)
        return HONE_OK;
    w->shown++;
    return preview_sample(&w->view, w->out, s, line, err);
}

static preview_style style_for_terminal(void)
{
    const char *no = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) == 1 && !(no && *no) ? PREVIEW_COLOUR : PREVIEW_PLAIN;
}

static hone_status run(settings *s, const arguments *a, hone_error *err)
{
    session z = { 0 };
    text out = { 0 };
    const char *path = a->n ? a->items[0] : s->data_path;
    const dataset_options o = setup_dataset(s, path);
    hone_status st = HONE_OK;
    if (a->n > 1)
        return hone_fail(err, HONE_ERR_ARG, "'%s': one dataset at a time", a->items[1]);
    if (s->top.model && (st = session_open(&z, s, SESSION_TOKENIZER, err)))
        goto out;
    showing w = { .view = { .style = flags.html ? PREVIEW_HTML : style_for_terminal(),
                            .options = &o,
                            .tok = z.tok,
                            .chat = z.chat },
                  .out = &out };
    preview_begin(&w.view, &out, path);
    if ((st = dataset_read(path, visit, &w, NULL, err)))
        goto out;
    preview_end(&w.view, &out, w.shown, w.matched);
    if ((st = text_status(&out, err)))
        goto out;
    if (!w.shown) {
        st = hone_fail(err, HONE_ERR_NOTFOUND,
                       "%s: none of %lld samples is of that recipe and file, or --skip passes over "
                       "all %lld that are",
                       path, (long long)w.read, (long long)w.matched);
        goto out;
    }
    if (flags.html) {
        st = file_write(flags.html, out.p, out.n, err);
        if (!st)
            printf("written: %s\n", flags.html);
    } else {
        fwrite(out.p, 1, out.n, stdout);
        printf("%lld of %lld samples\n", (long long)w.shown, (long long)w.matched);
    }
out:
    text_finish(&out);
    session_close(&z);
    return st;
}

const command cmd_preview = {
    .name = "preview",
    .operands = "[DATASET]",
    .summary = "samples as training sees them: what is masked, special tokens, where they are from",
    .sections = "prepare data train",
    .flags = rows,
    .flag_values = &flags,
    .run = run,
};
