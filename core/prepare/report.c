/*
 * report.c - what a preparation says in short, on the terminal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/prepare/parts.h"

#define CAUSES 12 /* named on the terminal; report.json has all */

void document_finish(document *d)
{
    spool_finish(&d->said);
    free(d->shown);
    free(d->path);
    if (d->fd)
        (void)close(d->fd);
    free(d->message);
    json_decref(d->meta);
    json_decref(d->notes);
    json_decref(d->lost);
    json_decref(d->dropped);
    *d = (document){ 0 };
}

void prepare_report_finish(prepare_report *r)
{
    text_finish(&r->named);
    json_decref(r->detail);
    *r = (prepare_report){ 0 };
}

int64_t prepare_report_lost(const prepare_report *r)
{
    return r->skipped + r->failed + r->refused;
}

/* {"key": count, ..}, largest first, as "count key" lines. */
static void print_causes(text *out, const json_t *causes, const char *title)
{
    const char *key;
    json_t *value;
    if (!json_object_size(causes))
        return;
    text_printf(out, "%s\n", title);
    for (json_int_t below = INT64_MAX, shown = 0; shown < CAUSES; shown++) {
        json_int_t best = -1;
        json_object_foreach((json_t *)(uintptr_t)causes, key, value)
        {
            const json_int_t n = json_integer_value(value);
            if (n < below && n > best)
                best = n;
        }
        if (best < 0)
            break;
        json_object_foreach((json_t *)(uintptr_t)causes, key, value)
        {
            if (json_integer_value(value) == best)
                text_printf(out, "  %8lld  %s\n", (long long)best, key);
        }
        below = best;
    }
}

void prepare_report_print(const prepare_report *r, text *out)
{
    const struct {
        int64_t n;
        const char *what;
    } counts[] = {
        { r->cached, "known from an earlier run, not read again" },
        { r->duplicates, "samples left out: the same as an earlier one" },
        { r->near, "samples are near an earlier one: report/near_duplicates.jsonl" },
        { r->validation, "of the samples in val.jsonl" },
        { r->empty, "files gave no sample" },
        { r->archives, "archives opened" },
        { r->ignored, "left out: .gitignore" },
        { r->excluded, "left out: prepare.exclude" },
        { r->hidden, "left out: hidden" },
        { r->own, "left out: folders that hone writes" },
        { r->no_reader, "left out: no reader for their kind" },
        { r->binary, "left out: binary" },
        { r->skipped, "files skipped by their reader or a recipe" },
        { r->refused, "files REFUSED: links, limits, broken archives" },
        { r->failed, "files FAILED" },
    };
    text_printf(out, "  %8lld  samples from %lld of %lld files, %lld bytes\n",
                (long long)r->samples, (long long)r->read, (long long)r->files,
                (long long)r->bytes);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i].n)
            text_printf(out, "  %8lld  %s\n", (long long)counts[i].n, counts[i].what);
    print_causes(out, json_object_get(r->detail, "no_reader"), "no reader for");
    print_causes(out, json_object_get(r->detail, "lost"), "bytes left out, and why");
    print_causes(out, json_object_get(r->detail, "dropped"), "generated and not used, and why");
    print_causes(out, json_object_get(r->detail, "notes"), "files, and what to know of them");
    if (r->named.n)
        text_add(out, r->named.p, r->named.n);
    const char *shown = r->named.p;
    int64_t lines = 0;
    for (; shown && (shown = strchr(shown, '\n')); shown++)
        lines++;
    if (r->n_named > lines)
        text_printf(out, "  and %lld more, all in report/failed.jsonl\n",
                    (long long)(r->n_named - lines));
}
