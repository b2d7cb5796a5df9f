/*
 * output.c - samples of a document to samples.jsonl, each once, and its row of the report.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/prepare/parts.h"

/* True when id was not there yet. 16 hex digits are the id's 64 bits; 0 stands for itself. */
static hone_status remember(run *r, const char *id, bool *fresh, hone_error *err)
{
    const uint64_t key = strtoull(id, NULL, 16) | 1;
    if ((r->n_seen + 1) * 2 > r->cap_seen) {
        const size_t cap = r->cap_seen ? r->cap_seen * 2 : 1024;
        uint64_t *bigger = mem_new(cap, sizeof *bigger);
        if (!bigger)
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu sample ids", r->n_seen);
        for (size_t i = 0; i < r->cap_seen; i++)
            if (r->seen[i]) {
                size_t at = (size_t)r->seen[i] & (cap - 1);
                while (bigger[at])
                    at = (at + 1) & (cap - 1);
                bigger[at] = r->seen[i];
            }
        free(r->seen);
        r->seen = bigger;
        r->cap_seen = cap;
    }
    size_t at = (size_t)key & (r->cap_seen - 1);
    while (r->seen[at] && r->seen[at] != key)
        at = (at + 1) & (r->cap_seen - 1);
    *fresh = r->seen[at] == 0;
    r->seen[at] = key;
    r->n_seen += *fresh;
    return HONE_OK;
}

static hone_status write_samples(run *r, document *d, int64_t *written, int64_t *duplicates,
                                 hone_error *err)
{
    text line = { 0 };
    hone_status st = HONE_OK;
    for (size_t i = 0; i < d->n && !st; i++) {
        sample *s = &d->samples[i];
        bool fresh = false, words = false;
        for (size_t k = 0; k < s->n_segments; k++)
            words |= s->segments[k].learn && s->segments[k].n > 0;
        if (!words) {
            st = count_cause(r->lost, "samples without anything to learn", 1, err);
            continue;
        }
        if ((st = sample_identify(s, err)) || (st = remember(r, s->id, &fresh, err)))
            break;
        if (!fresh) {
            ++*duplicates;
            continue;
        }
        text_clear(&line);
        if ((st = sample_to_json(s, &line, err)))
            break;
        if (line.n && line.p[line.n - 1] != '\n')
            text_putc(&line, '\n');
        if (!(st = text_status(&line, err)))
            st = file_writer_add(r->out, line.p, line.n, err);
        ++*written;
    }
    text_finish(&line);
    return st;
}

/* The document whose turn it is: samples out, report, memory back. */
hone_status write_document(run *r, document *d, hone_error *err)
{
    prepare_report *p = r->report;
    int64_t written = 0, duplicates = 0;
    const char *key;
    json_t *value;
    hone_status st = HONE_OK;
    if (d->status && d->status != HONE_ERR_SKIP && r->o->strict)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: %s", d->shown ? d->shown : "recipes",
                         d->message);
    if (d->status == HONE_OK)
        st = write_samples(r, d, &written, &duplicates, err);
    if (st)
        return st;
    if (d->path) {
        p->read += d->status == HONE_OK;
        p->skipped += d->status == HONE_ERR_SKIP;
        p->failed += d->status && d->status != HONE_ERR_SKIP;
        p->empty += d->status == HONE_OK && written + duplicates == 0;
        p->bytes += (int64_t)d->bytes;
    }
    p->samples += written;
    p->duplicates += duplicates;
    p->lost_bytes += (int64_t)d->lost_bytes;
    json_object_foreach(d->lost, key, value)
    {
        if ((st = count_cause(r->lost, key, json_integer_value(value), err)))
            return st;
    }
    json_t *o =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "file", d->shown ? d->shown : "(all documents)",
                  "reader", d->path ? r->readers[d->reader].row.row->component : "", "bytes",
                  (json_int_t)d->bytes, "blocks", (json_int_t)d->blocks, "samples",
                  (json_int_t)written, "duplicates", (json_int_t)duplicates);
    if (d->meta)
        (void)json_object_update_missing(o, d->meta);
    if (d->notes)
        (void)json_object_set(o, "notes", d->notes);
    if (d->lost)
        (void)json_object_set(o, "lost", d->lost);
    if (d->status) {
        (void)json_object_set_new(o, "status",
                                  json_string(d->status == HONE_ERR_SKIP ? "skipped" : "failed"));
        (void)json_object_set_new(o, "message", json_string(d->message ? d->message : ""));
    }
    if (!o || json_array_append_new(r->documents, o))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    for (size_t i = 0; i < d->n; i++)
        sample_finish(&d->samples[i]);
    free(d->samples);
    d->samples = NULL;
    d->n = d->cap = 0;
    return HONE_OK;
}
