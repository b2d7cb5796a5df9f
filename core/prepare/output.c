/*
 * output.c - samples of a document to samples.jsonl, each once, and its rows of the report.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/prepare/parts.h"

#define NAMED 12 /* documents named on the terminal; report/failed.jsonl names all */

/* clang-format off */
static const char *const file_names[REPORT_FILES] = {
    [FILE_DOCUMENTS] = "report/documents.jsonl",
    [FILE_LEFT_OUT] = "report/left_out.jsonl",
    [FILE_FAILED] = "report/failed.jsonl",
    [FILE_DUPLICATES] = "report/duplicates.jsonl",
    [FILE_NEAR] = "report/near_duplicates.jsonl",
};

/* counter: in prepare_report; lost: no rule of the user left it out */
static const struct {
    const char *name;
    size_t counter;
    bool lost;
} reasons[LEFT_REASONS] = {
    [LEFT_IGNORED] = { "ignored", offsetof(prepare_report, ignored), false },
    [LEFT_HIDDEN] = { "hidden", offsetof(prepare_report, hidden), false },
    [LEFT_EXCLUDED] = { "excluded", offsetof(prepare_report, excluded), false },
    [LEFT_OWN] = { "own output", offsetof(prepare_report, own), false },
    [LEFT_NO_READER] = { "no reader", offsetof(prepare_report, no_reader), false },
    [LEFT_BINARY] = { "binary", offsetof(prepare_report, binary), false },
    [LEFT_LINK] = { "link", offsetof(prepare_report, refused), true },
    [LEFT_SPECIAL] = { "special", offsetof(prepare_report, refused), true },
    [LEFT_UNREADABLE] = { "unreadable", offsetof(prepare_report, refused), true },
    [LEFT_REFUSED] = { "refused", offsetof(prepare_report, refused), true },
    [LEFT_ENCRYPTED] = { "encrypted", offsetof(prepare_report, refused), true },
    [LEFT_LIMIT] = { "limit", offsetof(prepare_report, refused), true },
    [LEFT_BROKEN] = { "broken", offsetof(prepare_report, refused), true },
};
/* clang-format on */

static int dump_to_writer(const char *p, size_t n, void *arg)
{
    return file_writer_add(arg, p, n, NULL) ? -1 : 0;
}

hone_status report_line(run *r, enum report_file file, json_t *o, hone_error *err)
{
    const bool bad = !o || json_dump_callback(o, dump_to_writer, r->files[file], JSON_COMPACT);
    json_decref(o);
    if (bad)
        return hone_fail(err, HONE_ERR_IO, "%s/%s: cannot write", r->o->out, file_names[file]);
    return file_writer_add(r->files[file], "\n", 1, err);
}

static void name_failed(prepare_report *p, const char *shown, const char *said)
{
    if (p->n_named++ < NAMED)
        text_printf(&p->named, "  %s: %s\n", shown, said);
}

static hone_status name_document(run *r, enum report_file file, const char *shown, const char *why,
                                 const char *said, hone_error *err)
{
    if (file == FILE_FAILED)
        name_failed(r->report, shown, said);
    return report_line(
        r, file, json_pack("{s:s, s:s, s:s}", "file", shown, "why", why, "message", said), err);
}

hone_status left_over(run *r, const char *shown, left_out why, const char *said, hone_error *err)
{
    prepare_report *p = r->report;
    hone_status st = HONE_OK;
    ++*(int64_t *)(void *)((char *)p + reasons[why].counter);
    p->files++;
    r->progress.files++;
    if (why == LEFT_NO_READER) {
        const char *dot = strrchr(path_base(shown), '.');
        st = count_cause(r->no_reader, dot ? dot : "(no extension)", 1, err);
    }
    if (!st && reasons[why].lost && r->o->strict)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: %s", shown, said);
    return st ? st
              : name_document(r, reasons[why].lost ? FILE_FAILED : FILE_LEFT_OUT, shown,
                              reasons[why].name, said, err);
}

/* ------------------------------------------------------------------------ samples */

typedef struct tally { /* of one document */
    int64_t written, duplicates, near;
} tally;

static hone_status name_near(run *r, const document *d, const sample *s, const stage_answer *a,
                             hone_error *err)
{
    json_t *o = json_pack("{s:s, s:s?, s:s?, s:s, s:s?, s:o}", "id", s->id, "file", d->shown,
                          "recipe", s->recipe, "near", a->id, "near_file", a->file, "similarity",
                          json_real((double)(int64_t)(a->like * 1e4 + 0.5) / 1e4));
    if (o)
        (void)json_object_set_new(o, "dropped", json_boolean(r->o->near == NEAR_DROP));
    return report_line(r, FILE_NEAR, o, err);
}

static hone_status write_sample(run *r, const document *d, sample *s, tally *t, hone_error *err)
{
    const stage_rules rules = { r->o->near, r->o->near_threshold, r->o->out };
    stage_answer a = { 0 };
    uint32_t recipe = 0;
    bool words = false;
    hone_status st;
    for (size_t k = 0; k < s->n_segments; k++)
        words |= s->segments[k].learn && s->segments[k].n > 0;
    if (!words)
        return count_cause(r->lost, "samples without anything to learn", 1, err);
    while (recipe + 1 < r->crew.n_recipes &&
           strcmp(r->recipes[recipe].row.row->component, s->recipe) != 0)
        recipe++;
    if ((st = sample_identify(s, err)) || (st = stage_add(&r->stage, s, recipe, &rules, &a, err)))
        goto out;
    if (a.what == STAGE_SAME)
        st = report_line(
            r, FILE_DUPLICATES,
            json_pack("{s:s, s:s?, s:s?}", "id", s->id, "file", d->shown, "recipe", s->recipe),
            err);
    else if (a.what == STAGE_NEAR)
        st = name_near(r, d, s, &a, err);
    t->duplicates += a.what == STAGE_SAME;
    t->near += a.what == STAGE_NEAR;
    t->written += a.what == STAGE_NEW || (a.what == STAGE_NEAR && r->o->near == NEAR_COUNT);
out:
    free(a.file);
    return st;
}

/* What the split keeps together: a document, or the first folders of its name. */
static uint64_t split_name(const run *r, const document *d)
{
    uint8_t digest[32];
    uint64_t name;
    sha256 h;
    size_t n = d->shown ? strlen(d->shown) : 0;
    if (r->o->split_by == SPLIT_PATH && d->shown) {
        int64_t parts = r->o->split_depth;
        const char *p = d->shown;
        for (; *p && parts; p++)
            parts -= *p == '/';
        n = parts ? n : (size_t)(p - d->shown); /* fewer folders: the document itself */
    }
    sha256_init(&h);
    sha256_add(&h, d->shown ? d->shown : "", n);
    sha256_done(&h, digest);
    memcpy(&name, digest, sizeof name);
    return name;
}

typedef struct output_of { /* where a joined sample goes */
    run *r;
    const document *d;
    tally *t;
} output_of;

static hone_status write_to(void *ctx, sample *s, hone_error *err)
{
    const output_of *o = ctx;
    return write_sample(o->r, o->d, s, o->t, err);
}

hone_status write_joined(run *r, hone_error *err)
{
    const document none = { 0 };
    tally t = { 0 };
    output_of one = { r, &none, &t };
    const hone_status st = join_end(r, write_to, &one, err);
    r->report->samples += t.written;
    r->report->duplicates += t.duplicates;
    return st;
}

static hone_status write_samples(run *r, document *d, tally *t, hone_error *err)
{
    spool_reader in = { .s = &d->said };
    const uint64_t name = split_name(r, d);
    hone_status st = HONE_OK;
    frame f;
    if (r->o->split > 0 && r->joined_name != name) /* no sample is of both sides of the split */
        st = write_joined(r, err);
    r->joined_name = name;
    if (!st)
        st = stage_document(&r->stage, name, err);
    while (!st && !(st = spool_next(&in, &f, err))) {
        sample s = { 0 };
        bool fault;
        if (f.type != FRAME_SAMPLE)
            continue;
        output_of one = { r, d, t };
        if (!(st = take_about(r, d, &f, &s, &fault, err)))
            st = s.join ? join_part(r, &s, write_to, &one, err) : write_sample(r, d, &s, t, err);
        sample_finish(&s);
    }
    spool_reader_finish(&in);
    return st == HONE_ERR_NOTFOUND ? HONE_OK : st;
}

static hone_status write_row(run *r, const document *d, const tally *t, hone_error *err)
{
    json_t *o =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "file", d->shown ? d->shown : "(all documents)",
                  "reader", d->sourced ? r->readers[d->reader].row.row->component : "", "bytes",
                  (json_int_t)d->bytes, "blocks", (json_int_t)d->blocks, "samples",
                  (json_int_t)t->written, "duplicates", (json_int_t)t->duplicates);
    if (t->near)
        (void)json_object_set_new(o, "near_duplicates", json_integer(t->near));
    if (d->meta)
        (void)json_object_update_missing(o, d->meta);
    if (d->notes)
        (void)json_object_set(o, "notes", d->notes);
    if (d->lost)
        (void)json_object_set(o, "lost", d->lost);
    if (d->dropped)
        (void)json_object_set(o, "dropped", d->dropped);
    if (d->status) {
        (void)json_object_set_new(o, "status",
                                  json_string(d->status == HONE_ERR_SKIP ? "skipped" : "failed"));
        (void)json_object_set_new(o, "message", json_string(d->message ? d->message : ""));
    }
    return report_line(r, FILE_DOCUMENTS, o, err);
}

hone_status write_document(run *r, document *d, hone_error *err)
{
    prepare_report *p = r->report;
    tally t = { 0 };
    const char *key;
    json_t *value;
    size_t k;
    hone_status st = HONE_OK;
    if (d->status && d->status != HONE_ERR_SKIP && r->o->strict)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: %s", d->shown ? d->shown : "recipes",
                         d->message);
    p->files += d->sourced;
    if (d->status == HONE_OK && (st = write_samples(r, d, &t, err)))
        return st;
    if (d->sourced) {
        p->read += d->status == HONE_OK;
        p->cached += d->cached;
        p->opened += !d->cached;
        p->skipped += d->status == HONE_ERR_SKIP;
        p->failed += d->status && d->status != HONE_ERR_SKIP;
        p->empty += d->status == HONE_OK && t.written + t.duplicates + t.near == 0;
        p->bytes += (int64_t)d->bytes;
    }
    r->progress.cached = p->cached;
    p->blocks += (int64_t)d->blocks;
    p->samples += t.written;
    p->duplicates += t.duplicates;
    p->near += t.near;
    p->lost_bytes += (int64_t)d->lost_bytes;
    json_object_foreach(d->dropped, key, value)
    {
        if ((st = count_cause(r->dropped, key, json_integer_value(value), err)))
            return st;
    }
    json_object_foreach(d->lost, key, value)
    {
        if ((st = count_cause(r->lost, key, json_integer_value(value), err)))
            return st;
    }
    json_array_foreach(d->notes, k, value)
    {
        if ((st = count_cause(r->notes, json_string_value(value), 1, err)))
            return st;
    }
    if (d->status && (st = name_document(r, FILE_FAILED, d->shown ? d->shown : "(all documents)",
                                         d->status == HONE_ERR_SKIP ? "skipped" : "failed",
                                         d->message ? d->message : "", err)))
        return st;
    return write_row(r, d, &t, err);
}

/* ------------------------------------------------------------------------ files */

static hone_status open_file(file_writer **w, const char *out, const char *name, hone_error *err)
{
    char *path = path_join(out, name);
    const hone_status st = path ? file_writer_open(w, path, err)
                                : hone_fail(err, HONE_ERR_NOMEM, "no memory to begin");
    free(path);
    return st;
}

hone_status output_open(run *r, hone_error *err)
{
    char *folder = path_join(r->o->out, "report");
    hone_status st =
        folder ? dir_make(folder, err) : hone_fail(err, HONE_ERR_NOMEM, "no memory to begin");
    free(folder);
    if (!st)
        st = stage_open(&r->stage, r->o->out, err);
    if (!st)
        st = open_file(&r->out, r->o->out, "samples.jsonl", err);
    if (!st && r->o->split > 0)
        st = open_file(&r->val, r->o->out, "val.jsonl", err);
    for (size_t i = 0; i < REPORT_FILES && !st; i++)
        st = open_file(&r->files[i], r->o->out, file_names[i], err);
    return st;
}

static hone_status commit(file_writer **w, hone_error *err)
{
    file_writer *one = *w;
    *w = NULL;
    return file_writer_commit(one, err);
}

/* The samples last: who sees them sees their report. */
hone_status output_commit(run *r, hone_error *err)
{
    prepare_report *p = r->report;
    hone_status st = stage_write(&r->stage, r->o->split, (uint64_t)r->o->split_seed, r->out, r->val,
                                 &p->validation, err);
    json_t *totals = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:I, s:I, s:I}",
        "files", (json_int_t)p->files, "read", (json_int_t)p->read, "archives",
        (json_int_t)p->archives, "skipped", (json_int_t)p->skipped, "failed", (json_int_t)p->failed,
        "refused", (json_int_t)p->refused, "no_reader", (json_int_t)p->no_reader, "binary",
        (json_int_t)p->binary, "excluded", (json_int_t)p->excluded, "ignored",
        (json_int_t)p->ignored, "hidden", (json_int_t)p->hidden, "own_output", (json_int_t)p->own,
        "empty", (json_int_t)p->empty, "samples", (json_int_t)p->samples, "blocks",
        (json_int_t)p->blocks, "duplicates", (json_int_t)p->duplicates, "bytes",
        (json_int_t)p->bytes, "lost_bytes", (json_int_t)p->lost_bytes, "near_duplicates",
        (json_int_t)p->near, "validation", (json_int_t)p->validation);
    char *path = path_join(r->o->out, "report.json"), *val = path_join(r->o->out, "val.jsonl");
    json_t *work = json_pack("{s:I, s:I}", "documents_read", (json_int_t)p->opened,
                             "documents_known", (json_int_t)p->cached);
    if (st) {
        json_decref(totals);
        json_decref(work);
        goto out;
    }
    if (!path || !val || !totals || json_object_set_new(p->detail, "totals", totals) ||
        json_object_set_new(p->detail, "this_run", work))
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    for (size_t i = 0; i < REPORT_FILES && !st; i++)
        st = commit(&r->files[i], err);
    if (!st)
        st = json_write(p->detail, path, err);
    if (!st && r->val)
        st = commit(&r->val, err);
    else if (!st)
        st = dir_remove(val, err); /* of an earlier run */
    if (!st)
        st = commit(&r->out, err);
out:
    free(val);
    free(path);
    return st;
}

void output_abort(run *r)
{
    file_writer_abort(r->out);
    file_writer_abort(r->val);
    stage_finish(&r->stage);
    for (size_t i = 0; i < REPORT_FILES; i++)
        file_writer_abort(r->files[i]);
}
