/*
 * prepared.c - a prepared dataset as training will see it: tokens, lengths, what is too long; and its
 * rows, packed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/app/prepared.h"

typedef struct long_samples {
    const char *path; /* borrowed: of the list */
    int64_t seq_len;
    file_writer *w; /* NULL: nothing to name yet */
} long_samples;

static int dump_to_writer(const char *p, size_t n, void *arg)
{
    return file_writer_add(arg, p, n, NULL) ? -1 : 0;
}

static hone_status name_long(void *ctx, const sample *x, int64_t line, int32_t n, hone_error *err)
{
    long_samples *l = ctx;
    hone_status st = l->w ? HONE_OK : file_writer_open(&l->w, l->path, err);
    json_t *o = json_pack("{s:s?, s:s?, s:s?, s:I, s:i, s:I}", "id", x->id, "file", x->file,
                          "recipe", x->recipe, "line", (json_int_t)line, "tokens", (int)n,
                          "seq_len", (json_int_t)l->seq_len);
    if (!st && (!o || json_dump_callback(o, dump_to_writer, l->w, JSON_COMPACT)))
        st = hone_fail(err, HONE_ERR_IO, "%s: cannot write", l->path);
    json_decref(o);
    return st ? st : file_writer_add(l->w, "\n", 1, err);
}

static void print_tokens(text *out, const json_t *report, int64_t seq_len)
{
    const struct {
        const char *key, *what;
    } counts[] = { { "overlong_split", "samples above train.seq_len, which training splits" },
                   { "overlong_skipped", "samples above train.seq_len, which training leaves out" },
                   { "stopped",
                     "samples above train.seq_len, at which training stops: set train.seq_len or "
                     "data.over_long" } };
    const json_int_t all = json_integer_value(json_object_get(report, "tokens")),
                     learned = json_integer_value(json_object_get(report, "learned"));
    const json_t *lengths = json_object_get(report, "lengths");
    size_t i, last = 0;
    json_t *n;
    text_printf(out, "  %8lld  tokens, %.1f %% of them learned; the longest row has %lld\n",
                (long long)all, all ? 100.0 * (double)learned / (double)all : 0.0,
                (long long)json_integer_value(json_object_get(report, "longest")));
    for (i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const json_int_t count = json_integer_value(json_object_get(report, counts[i].key));
        if (count)
            text_printf(out, "  %8lld  %s (%lld): report/over_long.jsonl\n", (long long)count,
                        counts[i].what, (long long)seq_len);
    }
    double most = 1;
    json_array_foreach(lengths, i, n)
    {
        last = json_integer_value(n) ? i : last;
        most = json_integer_value(n) > most ? (double)json_integer_value(n) : most;
    }
    text_puts(out, "samples by tokens\n");
    json_array_foreach(lengths, i, n)
    {
        if (i > last)
            break;
        text_printf(out, "  %8lld  up to %-8lld ", (long long)json_integer_value(n), 16ll << i);
        for (double k = 0; k < 40 * (double)json_integer_value(n) / most; k++)
            text_putc(out, '#');
        text_putc(out, '\n');
    }
}

static int64_t over_long(const json_t *report)
{
    return json_integer_value(json_object_get(report, "overlong_split")) +
           json_integer_value(json_object_get(report, "overlong_skipped")) +
           json_integer_value(json_object_get(report, "stopped"));
}

/* One of the two files; *n_long += its samples above seq_len. */
static hone_status count_file(text *out, const settings *s, const session *z, const char *name,
                              const char *key, long_samples *l, int64_t *n_long, json_t *detail,
                              hone_error *err)
{
    char *path = path_join(s->prepare.out, name);
    const dataset_options o = setup_dataset(s, path);
    json_t *said = NULL;
    hone_error why = { 0 };
    hone_status st = path ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    if (!st && path_exists(path)) {
        const hone_status packed = dataset_pack(&o, z->tok, z->chat, name_long, l, &said, &why);
        if (packed == HONE_ERR_IO || packed == HONE_ERR_NOMEM) {
            *err = why;
            st = packed;
        } else if (packed) /* no failure of the preparation: training says it again */
            log_line(HONE_LOG_WARN, "training would stop: %s", why.message);
        else if (json_object_set(detail, key, said))
            st = hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
        else if (out)
            print_tokens(out, said, o.seq_len);
        *n_long += over_long(said);
        json_decref(said);
    }
    free(path);
    return st;
}

hone_status count_prepared(text *out, const settings *s, const session *z, prepare_report *report,
                           hone_error *err)
{
    char *list = path_join(s->prepare.out, "report/over_long.jsonl");
    char *totals = path_join(s->prepare.out, "report.json");
    long_samples l = { .path = list, .seq_len = s->train.seq_len };
    int64_t n_long = 0;
    hone_status st =
        list && totals ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    if (st ||
        (st = count_file(out, s, z, "samples.jsonl", "tokens", &l, &n_long, report->detail, err)) ||
        (st = count_file(NULL, s, z, "val.jsonl", "validation_tokens", &l, &n_long, report->detail,
                         err)))
        goto out;
    if (l.w) {
        st = file_writer_commit(l.w, err);
        l.w = NULL;
    } else if (!n_long) { /* rows that were known are named already */
        st = dir_remove(list, err);
    }
    if (!st)
        st = json_write(report->detail, totals, err);
out:
    file_writer_abort(l.w);
    free(list);
    free(totals);
    return st;
}
