/*
 * report.c - what a preparation says: per document in report.json, in short on the terminal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/prepare/parts.h"

#define NAMED 12 /* documents named on the terminal; report.json names all */

void document_finish(document *d)
{
    for (size_t i = 0; i < d->n; i++)
        sample_finish(&d->samples[i]);
    free(d->samples);
    free(d->path);
    free(d->message);
    json_decref(d->meta);
    json_decref(d->notes);
    json_decref(d->lost);
    *d = (document){ 0 };
}

void prepare_report_finish(prepare_report *r)
{
    json_decref(r->detail);
    *r = (prepare_report){ 0 };
}

static void print_count(text *out, int64_t n, const char *what, const char *why)
{
    if (n)
        text_printf(out, "  %8lld  %s%s\n", (long long)n, what, why);
}

/* {"key": count, ..}, largest first, as "count key" lines. */
static void print_causes(text *out, const json_t *causes, const char *title)
{
    const char *key;
    json_t *value;
    if (!json_object_size(causes))
        return;
    text_printf(out, "%s\n", title);
    for (json_int_t below = INT64_MAX, shown = 0; shown < NAMED; shown++) {
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
    size_t i;
    json_t *d;
    int shown = 0;
    text_printf(out, "  %8lld  samples from %lld of %lld files, %lld bytes\n",
                (long long)r->samples, (long long)r->read, (long long)r->files,
                (long long)r->bytes);
    print_count(out, r->duplicates, "samples left out", ": the same as an earlier one");
    print_count(out, r->empty, "files gave no sample", "");
    print_count(out, r->excluded, "files left out", ": prepare.exclude");
    print_count(out, r->no_reader, "files left out", ": no reader for their kind");
    print_count(out, r->skipped, "files skipped", " by their reader or a recipe");
    print_count(out, r->failed, "files FAILED", "");
    print_causes(out, json_object_get(r->detail, "no_reader"), "no reader for");
    print_causes(out, json_object_get(r->detail, "lost"), "bytes left out, and why");
    json_array_foreach(json_object_get(r->detail, "documents"), i, d)
    {
        const char *said = json_string_value(json_object_get(d, "message"));
        if (!said)
            continue;
        if (shown++ < NAMED)
            text_printf(out, "  %s: %s\n", json_string_value(json_object_get(d, "file")), said);
    }
    if (shown > NAMED)
        text_printf(out, "  and %d more, all in report.json\n", shown - NAMED);
}
