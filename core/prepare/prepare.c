/*
 * prepare.c - the run: children at work, samples in order.
 *
 * Documents come one after another from the walk (sources.c), are handed to children as
 * descriptors and come back as frames. Results wait in a ring until all earlier documents are
 * written, so the output does not depend on who was faster; the ring has a size, what waits in
 * it goes to disk when it is large, and the walk goes on only when there is room: memory does
 * not grow with the corpus.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/prepare/asks.h"

#define AHEAD 16                    /* documents per child that may wait for an earlier one */
#define RING 512                    /* ... and of all children                              */
#define MAX_JOBS 256                /* children at once                                     */
#define WAITING_BYTES (64ull << 20) /* of documents in memory (of archives)                 */
#define ASKS_MS 5                   /* ... while answers are waited for */
#define POLL_MS 200 /* how often time limits and the user's wish to stop are looked at */

/* clang-format off */
const hone_option prepare_option_rows[] = {
    HONE_ROW_PATHS(prepare_options, sources, NULL, "files, folders and archives to read"),
    { "out", HONE_OPT_PATH, offsetof(prepare_options, out), 0, 0, "run/data", NULL, "folder of samples.jsonl and report.json" },
    HONE_ROW_LIST(prepare_options, recipes, "headings,raw", "recipes, in order; every document goes through each"),
    HONE_ROW_LIST(prepare_options, exclude, NULL, "patterns of paths left out, as in a shell: */old/*"),
    HONE_ROW_BOOL(prepare_options, gitignore, "true", "leave out what .gitignore files name, as git would"),
    HONE_ROW_BOOL(prepare_options, hidden, "false", "read files and folders whose names begin with a dot"),
    HONE_ROW_STRING(prepare_options, fallback, NULL, "reader of text files that no reader claims: its name; none: they are left out; default: one that claims all (code)"),
    HONE_ROW_BOOL(prepare_options, strict, "false", "a document that fails ends the run; else it is counted and named"),
    HONE_ROW_I64(prepare_options, timeout, 1, 86400, "120", "seconds a document may take"),
    HONE_ROW_I64(prepare_options, memory_mb, 0, 1 << 20, "4096", "memory of a process that reads documents, MB; 0: no limit"),
    HONE_ROW_I64(prepare_options, jobs, 0, MAX_JOBS, "0", "processes at once; 0: one per core"),
    HONE_ROW_I64(prepare_options, max_mb, 1, 1 << 20, "512", "size of one document, MB; larger ones are left out"),
    HONE_ROW_I64(prepare_options, archive_depth, 0, 16, "3", "archives inside archives that are opened; 0: no archive is"),
    HONE_ROW_I64(prepare_options, archive_entries, 1, 1 << 30, "200000", "entries that are read of one archive"),
    HONE_ROW_I64(prepare_options, archive_mb, 1, 1 << 20, "16384", "bytes that one archive may unpack to, MB"),
    HONE_ROW_F64(prepare_options, archive_ratio, 1, 1e6, "250", "bytes that each byte of an archive may unpack to"),
    HONE_ROW_PATH(prepare_options, cache, NULL, "folder of what documents gave in earlier runs; default: cache, in prepare.out"),
    HONE_ROW_I64(prepare_options, cache_mb, 0, 1 << 24, "4096", "size of that folder, MB: what was not used longest goes first; 0: none is kept"),
    HONE_ROW_ENUM(prepare_options, near, "count|drop|off", "count", "near duplicates of another document's samples: count and name them, leave them out, do not look"),
    HONE_ROW_F64(prepare_options, near_threshold, 0.3, 1, "0.8", "near: this share of their runs of five words in common (Jaccard)"),
    HONE_ROW_F64(prepare_options, split, 0, 0.9, "0", "share of the samples that goes to val.jsonl; documents with a common sample stay together"),
    HONE_ROW_ENUM(prepare_options, split_by, "document|path", "document", "what the split keeps together: documents, or folders"),
    HONE_ROW_I64(prepare_options, split_depth, 1, 64, "2", "by path: folders of a name that are one, docs/guide/..: 2"),
    HONE_ROW_I64(prepare_options, split_seed, 0, 9e15, "1", "which documents the split draws"),
    HONE_ROW_PATHS(prepare_options, exec_paths, "/usr,/bin,/lib,/lib64,/etc/ld.so.cache,/etc/alternatives,/dev/null,/dev/urandom", "files and folders that recipes of the kind exec:PROGRAM may read and run, beside the program"),
    HONE_OPTIONS_END,
};
/* clang-format on */

/* ------------------------------------------------------------------------ the ring */

static hone_status write_finished(run *r, hone_error *err)
{
    hone_status st = HONE_OK;
    while (!st && r->written < r->next_in && ring_at(r, r->written)->finished) {
        document *d = ring_at(r, r->written);
        st = write_document(r, d, err);
        if (d->fd)
            r->waiting_bytes -= d->bytes;
        r->progress.file = d->shown;
        r->progress.seconds = clock_now() - r->began;
        r->progress.samples = r->report->samples;
        if (d->counted) {
            r->progress.files++;
            r->progress.bytes += (int64_t)d->bytes;
        }
        if (!st && r->in->on_progress)
            r->in->on_progress(r->in->ctx, &r->progress);
        document_finish(d);
        r->written++;
    }
    return st;
}

static hone_status give_work(run *r, hone_error *err)
{
    hone_status st = HONE_OK;
    for (size_t i = 0; i < r->n_workers && !st; i++) {
        worker *w = &r->workers[i];
        while (r->next_out < r->next_in && ring_at(r, r->next_out)->finished)
            r->next_out++; /* could not be opened, or is known */
        const bool work = w->again || r->next_out < r->next_in;
        const bool wanted = i == 0 || (r->asked && !r->needs_all);
        if (!w->pid && wanted && (work || !r->asked))
            st = worker_start(r, w, err);
        if (!st && w->pid && w->ready && w->doc == -1 && work) {
            const int64_t index = w->again ? w->again - 1 : (int64_t)r->next_out++;
            w->again = 0;
            st = hand_out(r, w, index, err);
        }
        if (w->pid && w->doc == -1 && w->ready)
            w->deadline = INFINITY;
    }
    return st;
}

/* Answers to children that wait for them: does one still? */
static bool serve_asks(run *r)
{
    bool waiting = false;
    for (size_t i = 0; i < r->n_workers; i++) {
        worker *w = &r->workers[i];
        if (!w->pid || !asks_waits(w->asks))
            continue;
        const bool listens = asks_serve(w->asks, w->fd);
        if (!listens || !asks_waits(w->asks)) /* its clock goes on */
            w->deadline = clock_now() + (double)r->o->timeout;
        waiting |= listens && asks_waits(w->asks);
    }
    return waiting;
}

hone_status step(run *r, int also, bool *ready, hone_error *err)
{
    struct pollfd polls[MAX_JOBS + 1];
    size_t which[MAX_JOBS], n = 0;
    hone_status st = give_work(r, err);
    if (st)
        return st;
    if ((st = write_finished(r, err)))
        return st;
    for (size_t i = 0; i < r->n_workers; i++)
        if (r->workers[i].pid) {
            which[n] = i;
            polls[n++] = (struct pollfd){ .fd = r->workers[i].fd, .events = POLLIN };
        }
    polls[n] = (struct pollfd){ .fd = also, .events = POLLIN };
    if (poll(polls, n + 1, serve_asks(r) ? ASKS_MS : POLL_MS) < 0 && errno != EINTR)
        return hone_fail(err, HONE_ERR_IO, "cannot wait for documents: %s", strerror(errno));
    if (ready)
        *ready = polls[n].revents != 0;
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
        return hone_fail(err, HONE_ERR_CANCELLED, "interrupted; the dataset is as it was before");
    return write_finished(r, err);
}

hone_status submit(run *r, document *d, hone_error *err)
{
    hone_status st = HONE_OK;
    while (!r->asked && !st) /* what recipes need decides about the cache */
        st = step(r, -1, NULL, err);
    if (st) {
        document_finish(d);
        return st;
    }
    (void)cache_find(r, d);
    *ring_at(r, r->next_in++) = *d;
    if (d->fd)
        r->waiting_bytes += d->bytes;
    *d = (document){ 0 };
    do {
        if (!(st = give_work(r, err)))
            st = write_finished(r, err);
        if (st || (r->next_in - r->written < r->n_ring && r->waiting_bytes < WAITING_BYTES))
            break;
        st = step(r, -1, NULL, err);
    } while (!st);
    return st;
}

static hone_status drain(run *r, hone_error *err)
{
    hone_status st = HONE_OK;
    while (!st && r->written < r->next_in)
        st = step(r, -1, NULL, err);
    return st;
}

/* finish() of the recipes, in the one process that has seen all documents. */
static hone_status finish_all(run *r, hone_error *err)
{
    worker *w = &r->workers[0];
    if (!r->needs_all || !w->pid)
        return HONE_OK;
    hone_status st = hand_out(r, w, -2, err);
    while (!r->last.finished && !st)
        st = step(r, -1, NULL, err);
    if (!st && r->last.status)
        return hone_fail(err, r->last.status, "%s", r->last.message);
    return st ? st : write_document(r, &r->last, err);
}

/* ------------------------------------------------------------------------ the run */

static hone_status start(run *r, hone_error *err)
{
    int64_t jobs = r->o->jobs ? r->o->jobs : cpu_count();
    if (!r->report->archives && jobs > r->progress.all_files)
        jobs = r->progress.all_files;
    jobs = jobs < 1 ? 1 : jobs > MAX_JOBS ? MAX_JOBS : jobs;
    r->n_workers = (size_t)jobs;
    r->n_ring = r->n_workers * AHEAD < RING ? r->n_workers * AHEAD : RING;
    r->workers = mem_new(r->n_workers, sizeof *r->workers);
    r->ring = mem_new(r->n_ring, sizeof *r->ring);
    if (!r->workers || !r->ring)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for processes");
    r->crew.memory_bytes = r->o->memory_mb << 20;
    r->crew.timeout_seconds = r->o->timeout;
    r->crew.exec_paths = r->o->exec_paths;
    r->report->archives = 0;
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

static hone_status read_all_documents(run *r, hone_error *err)
{
    hone_status st;
    r->counting = true;
    if ((st = walk_sources(r, err)) || (st = start(r, err)) || (st = cache_open(r, err)))
        return st;
    r->counting = false;
    if ((st = walk_sources(r, err)) || (st = drain(r, err)))
        return st;
    if ((st = finish_all(r, err)))
        return st;
    return write_joined(r, err);
}

static hone_str special_token(const hone_tokenizer_service *self, uint32_t purpose)
{
    const char *spelling = tokenizer_special_for(self->ctx, purpose);
    return hone_s(spelling ? spelling : "");
}

hone_status prepare_run(const prepare_options *o, const prepare_input *in, prepare_report *report,
                        hone_error *err)
{
    run r = { .o = o,
              .in = in,
              .crew = { .plugins = in->plugins },
              .report = report,
              .fallback = SIZE_MAX,
              .began = clock_now() };
    const hone_tokenizer_service service = { .struct_size = sizeof service,
                                             .ctx = (void *)(uintptr_t)in->tokenizer,
                                             .count = count_tokens,
                                             .special = special_token };
    int lock = -1;
    hone_status st;
    (void)clock_gettime(CLOCK_REALTIME, &r.started);
    *report = (prepare_report){ 0 };
    report->detail = json_pack("{s:{}, s:{}, s:{}, s:{}}", "no_reader", "lost", "notes", "dropped");
    r.no_reader = json_object_get(report->detail, "no_reader");
    r.lost = json_object_get(report->detail, "lost");
    r.notes = json_object_get(report->detail, "notes");
    r.dropped = json_object_get(report->detail, "dropped");
    if (!r.dropped) {
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory to begin");
        goto out;
    }
    if (in->tokenizer)
        host_offer_service(HONE_SERVICE_TOKENIZER, &service);
    if ((st = list_recipes(&r, err)) || (st = check_recipe_options(&r, err)) ||
        (st = dir_make(o->out, err)) || (st = dir_lock(o->out, &lock, err)) ||
        (st = without_open(&r, err)) || (st = output_open(&r, err)) ||
        (st = read_all_documents(&r, err)) || (st = without_check(&r, err)))
        goto out;
    if (!(st = output_commit(&r, err)))
        cache_trim(&r);
out:
    join_finish(&r);
    for (size_t i = 0; r.workers && i < r.n_workers; i++) {
        worker_stop(&r.workers[i], st != HONE_OK, NULL);
        free(r.workers[i].in);
    }
    host_offer_service(HONE_SERVICE_TOKENIZER, NULL);
    output_abort(&r);
    for (size_t i = 0; r.ring && i < r.n_ring; i++)
        document_finish(&r.ring[i]);
    document_finish(&r.last);
    for (size_t i = 0; i < r.crew.n_readers; i++)
        free(r.readers[i].name);
    for (uint64_t i = 0; r.without && i < in->without.n; i++)
        free(r.without[i].path);
    free(r.without);
    free(r.ring);
    free(r.readers);
    for (size_t i = 0; i < r.crew.n_recipes; i++)
        free(r.recipes[i].exec);
    free(r.recipes);
    free(r.workers);
    free(r.cache);
    if (lock >= 0)
        (void)close(lock);
    return st;
}
