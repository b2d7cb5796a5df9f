/*
 * archive.c - the run's side of an archive: documents come from its process, one after another.
 *
 * An entry is kept in memory without a name (memfd) and goes to a reader as any document. The
 * process is not trusted: sizes are held to the limits here too. It waits when the run is busy,
 * for nobody reads what it says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/prepare/parts.h"

typedef struct unpacker {
    run *r;
    const char *shown; /* borrowed: of the archive */
    worker w;          /* its process and what it said */
    document d;        /* the entry at hand; d.shown NULL: none */
    bool discard;      /* --without: taken to be not there */
    bool done;
    hone_status status; /* of the process */
    text said;
} unpacker;

static hone_status begin_entry(unpacker *u, frame *f, hone_error *err)
{
    const hone_str name = frame_str(f);
    if (f->bad || u->d.shown || !name.n || memchr(name.p, 0, (size_t)name.n))
        return hone_fail(err, HONE_ERR_FORMAT, "a malformed entry");
    u->d = (document){ .shown = mem_strndup(name.p, (size_t)name.n), .sourced = true };
    if (!u->d.shown)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for an entry");
    u->discard = is_without(u->r, NULL, u->d.shown);
    if (u->discard)
        return HONE_OK;
    u->d.fd = memfd_create("hone-entry", MFD_CLOEXEC);
    if (u->d.fd < 0) {
        u->d.fd = 0;
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for an entry: %s", strerror(errno));
    }
    return HONE_OK;
}

static hone_status add_data(unpacker *u, frame *f, hone_error *err)
{
    const hone_str bytes = frame_bytes(f);
    const char *p = bytes.p;
    uint64_t n = bytes.n;
    if (f->bad || !u->d.shown || u->d.bytes + n > (uint64_t)u->r->o->max_mb << 20)
        return hone_fail(err, HONE_ERR_FORMAT, "an entry that is too large");
    u->d.bytes += n;
    while (n && !u->discard) {
        const ssize_t done = write(u->d.fd, p, (size_t)n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for an entry: %s", strerror(errno));
        p += done;
        n -= (uint64_t)done;
    }
    return HONE_OK;
}

static hone_status end_entry(unpacker *u, frame *f, hone_error *err)
{
    const uint32_t whole = frame_u32(f), why = frame_u32(f);
    const hone_str said = frame_str(f);
    hone_status st = HONE_OK;
    if (f->bad || !u->d.shown || why >= LEFT_REASONS)
        return hone_fail(err, HONE_ERR_FORMAT, "a malformed end of an entry");
    const size_t kind = kind_of(u->r, u->d.shown);
    u->d.reader = kind < KIND_NONE ? kind : u->r->fallback;
    if (u->discard) {
        document_finish(&u->d);
    } else if (!whole || u->d.reader >= u->r->crew.n_readers) {
        char words[256];
        (void)snprintf(words, sizeof words, "%.*s", (int)said.n, said.p);
        st = left_over(u->r, u->d.shown, (left_out)why, words, err);
        document_finish(&u->d);
    } else {
        st = submit(u->r, &u->d, err);
    }
    return st;
}

static hone_status tell_left(unpacker *u, frame *f, hone_error *err)
{
    const uint32_t why = frame_u32(f);
    const hone_str name = frame_str(f), said = frame_str(f);
    char words[256];
    if (f->bad || why >= LEFT_REASONS || u->d.shown)
        return hone_fail(err, HONE_ERR_FORMAT, "a malformed account of an entry");
    char *shown = mem_strndup(name.p, (size_t)name.n);
    (void)snprintf(words, sizeof words, "%.*s", (int)said.n, said.p);
    const hone_status st = !shown ? hone_fail(err, HONE_ERR_NOMEM, "no memory for a name")
                           : is_without(u->r, NULL, shown)
                               ? HONE_OK
                               : left_over(u->r, shown, (left_out)why, words, err);
    free(shown);
    return st;
}

static hone_status take(unpacker *u, frame *f, hone_error *err)
{
    switch (f->type) {
    case FRAME_ENTRY:
        return begin_entry(u, f, err);
    case FRAME_DATA:
        return add_data(u, f, err);
    case FRAME_END:
        return end_entry(u, f, err);
    case FRAME_LEFT:
        return tell_left(u, f, err);
    case FRAME_DONE: {
        u->status = (hone_status)frame_u32(f);
        const hone_str said = frame_str(f);
        text_add(&u->said, said.p, (size_t)said.n);
        u->done = true;
        return f->bad || u->status > 0 ? hone_fail(err, HONE_ERR_FORMAT, "a malformed end")
                                       : HONE_OK;
    }
    default:
        return hone_fail(err, HONE_ERR_FORMAT, "frame type %u", f->type);
    }
}

/* Receive and take. *lost: the process is gone. */
static hone_status receive(unpacker *u, bool *lost, hone_error *err)
{
    worker *w = &u->w;
    if (!mem_grow(&w->in, &w->cap_in, w->n_in + (1u << 17), 1))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for an archive");
    const ssize_t got = read(w->fd, w->in + w->n_in, w->cap_in - w->n_in);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return HONE_OK;
    *lost = got <= 0;
    if (*lost)
        return HONE_OK;
    w->n_in += (size_t)got;
    size_t at = 0;
    hone_status st = HONE_OK;
    while (!st && at < w->n_in) {
        frame f;
        size_t used = 0;
        st = frame_next(&f, w->in + at, w->n_in - at, &used, err);
        if (st == HONE_ERR_SKIP) {
            st = HONE_OK;
            break;
        }
        if (!st)
            st = take(u, &f, err);
        at += used;
    }
    memmove(w->in, w->in + at, w->n_in - at);
    w->n_in -= at;
    return st;
}

/* Everything the process says. A fault of its own ends the archive: why. */
static hone_status follow(unpacker *u, char *why, size_t size, hone_error *err)
{
    bool lost = false;
    hone_status st = HONE_OK;
    while (!u->done && !lost && !st) {
        bool ready = false;
        st = step(u->r, u->w.fd, &ready, err);
        if (st)
            break;
        if (ready) {
            hone_error said = { 0 };
            st = receive(u, &lost, &said);
            if (st == HONE_ERR_FORMAT && !u->r->o->strict) {
                (void)snprintf(why, size, "its process sent %.160s", said.message);
                return HONE_OK;
            }
            if (st && err)
                *err = said;
            u->w.deadline = clock_now() + (double)u->r->o->timeout;
        } else if (clock_now() > u->w.deadline) {
            (void)snprintf(why, size, "took longer than %lld s", (long long)u->r->o->timeout);
            return HONE_OK;
        }
    }
    if (lost) {
        int status = 0;
        worker_stop(&u->w, false, &status);
        (void)how_it_ended(status, why, size);
    } else if (u->done && u->status) {
        (void)snprintf(why, size, "%.200s", u->said.p ? u->said.p : "cannot be unpacked");
    }
    return st;
}

hone_status read_archive(run *r, const char *path, const char *shown, hone_error *err)
{
    unpacker u = { .r = r, .shown = shown };
    char why[256] = "";
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        (void)snprintf(why, sizeof why, "cannot be read: %s", strerror(errno));
        return left_over(r, shown, LEFT_UNREADABLE, why, err);
    }
    hone_status st = start_process(&u.w.pid, &u.w.fd, err);
    if (!st && u.w.pid == 0) {
        const int socket = keep_only(u.w.fd, &file);
        unpack_run(r, socket, file, shown);
    }
    (void)close(file);
    if (st)
        return st;
    r->report->archives++;
    u.w.deadline = clock_now() + (double)r->o->timeout;
    st = follow(&u, why, sizeof why, err);
    worker_stop(&u.w, true, NULL);
    if (!st && why[0])
        st = left_over(r, shown, LEFT_BROKEN, why, err);
    else
        r->progress.files++;
    document_finish(&u.d);
    text_finish(&u.said);
    free(u.w.in);
    return st;
}
