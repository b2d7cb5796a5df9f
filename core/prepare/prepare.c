/*
 * prepare.c - the run: which files, which readers, children at work, samples in order.
 *
 * Documents are handed to children as descriptors and come back as frames. Results wait
 * until all earlier documents are written, so the output does not depend on who was
 * faster; how far ahead children may run is bounded, and so is the memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>

#include "core/prepare/parts.h"

#define AHEAD 16    /* documents per child that may wait for an earlier one */
#define POLL_MS 200 /* how often time limits and the user's wish to stop are looked at */

/* clang-format off */
const hone_option prepare_option_rows[] = {
    HONE_ROW_PATHS(prepare_options, sources, NULL, "files and folders to read"),
    { "out", HONE_OPT_PATH, offsetof(prepare_options, out), 0, 0, "run/data", NULL, "folder of samples.jsonl and report.json" },
    HONE_ROW_LIST(prepare_options, recipes, "headings,raw", "recipes, in order; every document goes through each"),
    HONE_ROW_LIST(prepare_options, exclude, NULL, "patterns of paths left out, as in a shell: */old/*"),
    HONE_ROW_BOOL(prepare_options, strict, "false", "a document that fails ends the run; else it is counted and named"),
    HONE_ROW_I64(prepare_options, timeout, 1, 86400, "120", "seconds a document may take"),
    HONE_ROW_I64(prepare_options, memory_mb, 0, 1 << 20, "4096", "memory of a process that reads documents, MB; 0: no limit"),
    HONE_ROW_I64(prepare_options, jobs, 0, 256, "0", "processes at once; 0: one per core"),
    HONE_OPTIONS_END,
};
/* clang-format on */

static hone_status step(run *r, hone_error *err)
{
    struct pollfd polls[256];
    size_t which[256], n = 0;
    hone_status st;
    for (size_t i = 0; i < r->n_workers; i++) {
        worker *w = &r->workers[i];
        const bool work = r->next < r->n_docs && r->next < r->written + r->n_workers * AHEAD;
        const bool wanted = i == 0 || (r->asked && !r->needs_all);
        if (!w->pid && work && wanted && (st = worker_start(r, w, err)))
            return st;
        if (w->pid && w->ready && w->doc == -1 && work &&
            (st = hand_out(r, w, (int64_t)r->next++, err)))
            return st;
        if (w->pid && w->doc == -1 && w->ready)
            w->deadline = INFINITY;
        if (w->pid) {
            which[n] = i;
            polls[n++] = (struct pollfd){ .fd = w->fd, .events = POLLIN };
        }
    }
    if (poll(polls, n, POLL_MS) < 0 && errno != EINTR)
        return hone_fail(err, HONE_ERR_IO, "cannot wait for documents: %s", strerror(errno));
    for (size_t i = 0; i < n; i++) {
        worker *w = &r->workers[which[i]];
        if (polls[i].revents & (POLLIN | POLLHUP | POLLERR)) {
            if ((st = worker_read(r, w, err)))
                return st;
        } else if (clock_now() > w->deadline) {
            char why[80];
            (void)snprintf(why, sizeof why, "took longer than %lld s", (long long)r->o->timeout);
            if ((st = worker_lost(r, w, why, err)))
                return st;
        }
    }
    if (host_is_cancelled())
        return hone_fail(err, HONE_ERR_CANCELLED, "interrupted; nothing was written");
    return HONE_OK;
}

/* finish() of the recipes, in the one process that has seen all documents. */
static hone_status finish_all(run *r, hone_error *err)
{
    worker *w = &r->workers[0];
    if (!r->needs_all || !w->pid)
        return HONE_OK;
    hone_status st = hand_out(r, w, -2, err);
    while (!r->last.finished && !st) {
        struct pollfd one = { .fd = w->fd, .events = POLLIN };
        if (poll(&one, 1, POLL_MS) > 0)
            st = worker_read(r, w, err);
        else if (clock_now() > w->deadline)
            st = worker_lost(r, w, "took too long", err);
        if (!st && host_is_cancelled())
            st = hone_fail(err, HONE_ERR_CANCELLED, "interrupted; nothing was written");
    }
    if (!st && r->last.status)
        return hone_fail(err, r->last.status, "%s", r->last.message);
    return st ? st : write_document(r, &r->last, err);
}

static hone_status start(run *r, hone_error *err)
{
    int64_t jobs = r->o->jobs ? r->o->jobs : cpu_count();
    if (jobs > (int64_t)r->n_docs)
        jobs = (int64_t)r->n_docs;
    if (jobs > 256)
        jobs = 256;
    r->n_workers = (size_t)(jobs > 0 ? jobs : 0);
    if (!(r->workers = mem_new(r->n_workers + 1, sizeof *r->workers)))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for processes");
    r->crew.memory_bytes = r->o->memory_mb << 20;
    r->crew.timeout_seconds = r->o->timeout;
    return HONE_OK;
}

static int64_t count_tokens(const hone_tokenizer_service *self, hone_str words)
{
    tokens t = { 0 };
    const int64_t n = tokenizer_encode(self->ctx, words.p, (size_t)words.n, 0, &t, NULL, NULL)
                          ? -1
                          : (int64_t)t.n;
    tokens_finish(&t);
    return n;
}

static hone_status write_all_documents(run *r,
                                       void (*on_progress)(void *, int64_t, int64_t, const char *),
                                       void *ctx, hone_error *err)
{
    while (r->written < r->n_docs) {
        hone_status st = step(r, err);
        while (!st && r->written < r->n_docs && r->docs[r->written].finished) {
            document *d = &r->docs[r->written];
            if (!(st = write_document(r, d, err)))
                r->written++;
            if (!st && on_progress)
                on_progress(ctx, (int64_t)r->written, (int64_t)r->n_docs, d->shown);
        }
        if (st)
            return st;
    }
    return HONE_OK;
}

hone_status prepare_run(const prepare_options *o, registry *plugins, const json_t *reader_options,
                        const json_t *recipe_options, const tokenizer *t,
                        void (*on_progress)(void *ctx, int64_t done, int64_t total,
                                            const char *file),
                        void *ctx, prepare_report *report, hone_error *err)
{
    run r = {
        .o = o, .crew = { .plugins = plugins }, .reader_options = reader_options, .report = report
    };
    char *samples = path_join(o->out, "samples.jsonl"),
         *report_path = path_join(o->out, "report.json");
    const hone_tokenizer_service service = { .struct_size = sizeof service,
                                             .ctx = (void *)(uintptr_t)t,
                                             .count = count_tokens };
    hone_status st;
    *report = (prepare_report){ 0 };
    r.no_reader = json_object();
    r.lost = json_object();
    r.documents = json_array();
    report->detail = json_pack("{s:o, s:o, s:o}", "no_reader", r.no_reader, "lost", r.lost,
                               "documents", r.documents);
    if (!samples || !report_path || !report->detail) {
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory to begin");
        goto out;
    }
    if (t)
        host_offer_service(HONE_SERVICE_TOKENIZER, &service);
    if ((st = list_recipes(&r, recipe_options, err)) ||
        (st = check_recipe_options(&r, recipe_options, err)) || (st = list_documents(&r, err)) ||
        (st = dir_make(o->out, err)) || (st = file_writer_open(&r.out, samples, err)) ||
        (st = start(&r, err)) || (st = write_all_documents(&r, on_progress, ctx, err)) ||
        (st = finish_all(&r, err)))
        goto out;
    st = file_writer_commit(r.out, err);
    r.out = NULL;
    if (st)
        goto out;
    json_t *totals = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "files", (json_int_t)report->files,
        "read", (json_int_t)report->read, "skipped", (json_int_t)report->skipped, "failed",
        (json_int_t)report->failed, "no_reader", (json_int_t)report->no_reader, "excluded",
        (json_int_t)report->excluded, "samples", (json_int_t)report->samples, "duplicates",
        (json_int_t)report->duplicates, "bytes", (json_int_t)report->bytes, "lost_bytes",
        (json_int_t)report->lost_bytes);
    if (!totals || json_object_set_new(report->detail, "totals", totals))
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    else
        st = json_write(report->detail, report_path, err);
out:
    for (size_t i = 0; r.workers && i < r.n_workers; i++) {
        worker_stop(&r.workers[i], st != HONE_OK, NULL);
        free(r.workers[i].in);
    }
    host_offer_service(HONE_SERVICE_TOKENIZER, NULL);
    file_writer_abort(r.out);
    for (size_t i = 0; i < r.n_docs; i++)
        document_finish(&r.docs[i]);
    document_finish(&r.last);
    for (size_t i = 0; i < r.crew.n_readers; i++)
        free(r.readers[i].name);
    free(r.docs);
    free(r.readers);
    free(r.recipes);
    free(r.workers);
    free(r.seen);
    free(samples);
    free(report_path);
    return st;
}
