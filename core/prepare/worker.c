/*
 * worker.c - the run's side of a child: start it, hand it a document, believe nothing it says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/prepare/asks.h"

#define START_SECONDS 60 /* a child has this long to open its plugins */

/* In the child: no descriptor but the standard three, the socket and one more (-1: none), which
 * become the fourth and fifth. The others are files of the run: the samples being written, the
 * sockets of other children. */
int keep_only(int fd, int *also)
{
    const int first = STDERR_FILENO + 1, high = fcntl(fd, F_DUPFD, 64);
    const int other = also ? fcntl(*also, F_DUPFD, 64) : -1;
    if (high < 0 || (also && other < 0) || dup2(high, first) < 0 ||
        (also && dup2(other, first + 1) < 0))
        _exit(1);
    const int end = first + 1 + (also != NULL);
    if (close_range((unsigned)end, ~0u, 0) != 0)
        for (int i = end; i < 4096; i++)
            (void)close(i);
    if (also)
        *also = first + 1;
    return first;
}

hone_status start_process(pid_t *pid, int *fd, hone_error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return hone_fail(err, HONE_ERR_IO, "cannot start a process for documents: %s",
                         strerror(errno));
    (void)fflush(NULL);
    *pid = fork();
    if (*pid < 0) {
        (void)close(pair[0]);
        (void)close(pair[1]);
        *pid = 0;
        return hone_fail(err, HONE_ERR_IO, "cannot start a process for documents: %s",
                         strerror(errno));
    }
    /* A group of its own: what a program of a recipe starts ends with it. */
    (void)setpgid(*pid, *pid);
    *fd = pair[*pid == 0];
    (void)close(pair[*pid != 0]);
    return HONE_OK;
}

hone_status worker_start(run *r, worker *w, hone_error *err)
{
    hone_status st = start_process(&w->pid, &w->fd, err);
    if (st)
        return st;
    if (w->pid == 0)
        child_run(&r->crew, keep_only(w->fd, NULL));
    w->ready = w->ending = false;
    w->doc = -1;
    w->n_in = 0;
    w->deadline = clock_now() + START_SECONDS;
    return HONE_OK;
}

/* Ends the child, if there is one; *status gets how it ended. */
void worker_stop(worker *w, bool kill_it, int *status)
{
    int ended = 0;
    asks_forget(&w->asks);
    if (!w->pid)
        return;
    siginfo_t info;
    if (kill_it)
        (void)kill(w->pid, SIGKILL);
    (void)close(w->fd);
    while (waitid(P_PID, (id_t)w->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    (void)kill(-w->pid, SIGKILL); /* while the group's number is still ours */
    while (waitpid(w->pid, &ended, 0) < 0 && errno == EINTR)
        ;
    w->pid = 0;
    if (status)
        *status = ended;
}

/* A document that cannot be opened is finished at once. */
static int open_document(document *d, hone_error *err)
{
    struct stat s;
    hone_error why = { 0 };
    const int fd = d->path ? open(d->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : d->fd;
    if (fd >= 0 && fstat(fd, &s) == 0 && S_ISREG(s.st_mode)) {
        d->bytes = (uint64_t)s.st_size;
        return fd;
    }
    d->status = hone_fail(&why, HONE_ERR_IO, "cannot be read: %s",
                          fd < 0 ? strerror(errno) : "no regular file");
    if (fd >= 0 && d->path)
        (void)close(fd);
    d->finished = true;
    return keep_message(d, d->status, hone_s(why.message), err) ? -2 : -1;
}

hone_status hand_out(run *r, worker *w, int64_t index, hone_error *err)
{
    document *d = index >= 0 ? ring_at(r, (uint64_t)index) : NULL;
    text t = { 0 };
    hone_status st = HONE_OK;
    const int fd = d ? open_document(d, err) : -1;
    if (d && fd < 0)
        return fd == -1 ? HONE_OK : HONE_ERR_NOMEM;
    const size_t at = frame_begin(&t, d ? FRAME_REQUEST : FRAME_FINISH);
    if (d) {
        frame_put_u32(&t, (uint32_t)d->reader);
        frame_put_str(&t, hone_s(d->shown));
    }
    frame_end(&t, at);
    st = text_status(&t, err);
    w->doc = index;
    w->deadline = clock_now() + (double)r->o->timeout;
    /* A child that has died is noticed when its answer does not come. */
    if (!st && write_all(w->fd, t.p, t.n) && fd >= 0)
        (void)!send_descriptor(w->fd, fd, NULL);
    if (fd >= 0 && d->path)
        (void)close(fd);
    text_finish(&t);
    return st;
}

/* ------------------------------------------------------------------------ frames */

/* out: NULL where the frame is only checked. */
static hone_status take_sample(const run *r, document *d, frame *f, sample *out, hone_error *err)
{
    const uint32_t recipe = frame_u32(f);
    const uint64_t join = frame_u64(f);
    const uint32_t n = frame_u32(f);
    bool raw = true, turns = true;
    const char *unit = json_string_value(json_object_get(d->meta, "unit"));
    const uint64_t n_units = unit ? UINT32_MAX : d->bytes;
    hone_status st = HONE_OK;
    sample s = { 0 };
    if (f->bad || recipe >= r->crew.n_recipes || n == 0 || n > f->n)
        return hone_fail(err, HONE_ERR_FORMAT, "a sample that is malformed");
    for (uint32_t i = 0; i < n && !st; i++) {
        const uint32_t role = frame_u32(f), learn = frame_u32(f);
        const uint64_t start = frame_u64(f), length = frame_u64(f);
        const hone_str words = frame_str(f);
        const bool is_raw = role == HONE_ROLE_RAW || role == HONE_ROLE_SPECIAL;
        raw &= is_raw;
        turns &= !is_raw;
        if (f->bad || role > HONE_ROLE_SPECIAL || (!raw && !turns) || (join && !raw))
            st = hone_fail(err, HONE_ERR_FORMAT, "a sample with a malformed segment %u", i + 1);
        else if (d->sourced && (start > n_units || length > n_units - start))
            st = hone_fail(err, HONE_ERR_FORMAT, "a sample from %ss %llu+%llu of a file of %llu",
                           unit ? unit : "byte", (unsigned long long)start,
                           (unsigned long long)length, (unsigned long long)n_units);
        else if (out)
            st = sample_add(&s, role, learn != 0, words, start, length, err);
    }
    const hone_str prompt = frame_str(f);
    for (uint64_t i = 0; i < prompt.n && !st; i++)
        if (prompt.n > 64 || prompt.p[i] <= ' ' || prompt.p[i] > '~')
            f->bad = true;
    if (!st && f->bad)
        st = hone_fail(err, HONE_ERR_FORMAT, "a sample with a malformed prompt");
    if (st || !out) {
        sample_finish(&s);
        d->n += !st;
        return st;
    }
    s.join = join;
    s.recipe = mem_strdup(r->recipes[recipe].row.row->component);
    const recipe_choice *made_by = &r->recipes[recipe];
    s.version = mem_strdup(made_by->row.file ? made_by->row.file->note.version : made_by->version);
    s.file = d->shown ? mem_strdup(d->shown) : NULL;
    s.unit = unit ? mem_strdup(unit) : NULL;
    s.prompt = prompt.n ? mem_strndup(prompt.p, (size_t)prompt.n) : NULL;
    *out = s;
    return s.recipe && s.version && (s.file || !d->shown) && (s.unit || !unit) &&
                   (s.prompt || !prompt.n)
               ? HONE_OK
               : hone_fail(err, HONE_ERR_NOMEM, "no memory for samples");
}

/* FRAME_LOST and FRAME_DROPPED: bytes of the document, or how many things of a recipe. */
static hone_status take_account(const run *r, document *d, frame *f, hone_error *err)
{
    const bool dropped = f->type == FRAME_DROPPED;
    json_t **causes = dropped ? &d->dropped : &d->lost;
    const uint32_t who = frame_u32(f);
    const uint64_t bytes = frame_u64(f);
    const hone_str why = frame_str(f);
    text key = { 0 };
    if (f->bad || who > r->crew.n_recipes || why.n > 512 || (dropped && !who))
        return hone_fail(err, HONE_ERR_FORMAT, "a malformed account of what was left out");
    text_printf(&key, "%s: ",
                who ? r->recipes[who - 1].row.row->component
                    : r->readers[d->reader].row.row->component);
    text_add(&key, why.p, (size_t)why.n);
    hone_status st = text_status(&key, err);
    if (!st && !*causes && !(*causes = json_object()))
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    if (!st)
        st = count_cause(*causes, key.p, bytes > INT64_MAX / 2 ? 0 : (json_int_t)bytes, err);
    if (!dropped)
        d->lost_bytes += bytes;
    text_finish(&key);
    return st;
}

#define MAX_META 32         /* keys of a document that are kept ... */
#define MAX_META_VALUE 4096 /* ... and bytes of each */
#define MAX_NOTES 64

static hone_status take_meta(document *d, frame *f, hone_error *err)
{
    char name[64];
    const hone_str key = frame_str(f), value = frame_str(f);
    bool word = key.n > 0 && key.n < sizeof name;
    for (uint64_t i = 0; i < key.n && word; i++)
        word = key.p[i] > ' ' && key.p[i] != '"';
    const bool unit = word && key.n == 4 && memcmp(key.p, "unit", 4) == 0;
    for (uint64_t i = 0; i < value.n && unit && word; i++)
        word = value.n < 32 && value.p[i] >= 'a' && value.p[i] <= 'z';
    if (f->bad || !word || (unit && (!value.n || d->n)))
        return hone_fail(err, HONE_ERR_FORMAT, "malformed metadata");
    if (value.n > MAX_META_VALUE || json_object_size(d->meta) >= MAX_META)
        return HONE_OK;
    (void)snprintf(name, sizeof name, "%.*s", (int)key.n, key.p);
    if ((!d->meta && !(d->meta = json_object())) ||
        json_object_set_new(d->meta, name, json_stringn(value.p, (size_t)value.n)))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    return HONE_OK;
}

static hone_status take_note(document *d, frame *f, hone_error *err)
{
    const hone_str line = frame_str(f);
    if (f->bad || line.n > MAX_META_VALUE)
        return hone_fail(err, HONE_ERR_FORMAT, "a malformed note");
    if (json_array_size(d->notes) >= MAX_NOTES)
        return HONE_OK;
    if ((!d->notes && !(d->notes = json_array())) ||
        json_array_append_new(d->notes, json_stringn(line.p, (size_t)line.n)))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    return HONE_OK;
}

hone_status keep_message(document *d, hone_status status, hone_str said, hone_error *err)
{
    d->status = status;
    free(d->message);
    d->message = NULL;
    if (status && !(d->message = mem_strndup(said.p, (size_t)said.n)))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    for (char *c = d->message; c && *c; c++)
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    return HONE_OK;
}

hone_status take_about(run *r, document *d, frame *f, sample *out, bool *fault, hone_error *err)
{
    hone_status st;
    *fault = true;
    switch (f->type) {
    case FRAME_SAMPLE:
        return take_sample(r, d, f, out, err);
    case FRAME_LOST:
    case FRAME_DROPPED:
        return take_account(r, d, f, err);
    case FRAME_META:
        return take_meta(d, f, err);
    case FRAME_NOTE:
        return take_note(d, f, err);
    case FRAME_DONE: {
        const hone_status status = (hone_status)frame_u32(f);
        d->blocks = frame_u64(f);
        const hone_str said = frame_str(f);
        if (f->bad || status > 0)
            return hone_fail(err, HONE_ERR_FORMAT, "a malformed end");
        st = keep_message(d, status, said, err);
        *fault = false;
        d->finished = true;
        return st;
    }
    default:
        return hone_fail(err, HONE_ERR_FORMAT, "frame type %u", f->type);
    }
}

hone_status take_frame(run *r, worker *w, frame *f, bool *fault, hone_error *err)
{
    document *d = w->doc >= 0 ? ring_at(r, (uint64_t)w->doc) : w->doc == -2 ? &r->last : NULL;
    *fault = true;
    if (f->type == FRAME_READY && !w->ready) {
        w->ready = true;
        r->asked = true;
        r->needs_all = frame_u32(f) != 0;
        return HONE_OK;
    }
    if (f->type == FRAME_DONE &&
        !w->ready) { /* plugins could not be opened: not a document's fault */
        const hone_status status = (hone_status)frame_u32(f);
        (void)frame_u64(f);
        const hone_str said = frame_str(f);
        *fault = false;
        return hone_fail(err, status ? status : HONE_ERR_FORMAT, "%.*s", (int)said.n, said.p);
    }
    if (!d)
        return hone_fail(err, HONE_ERR_FORMAT, "an answer that nobody asked for");
    if (r->needs_all && (f->type == FRAME_LAST || f->type == FRAME_AGAIN)) {
        *fault = false; /* what its recipes have gathered would be lost */
        return hone_fail(
            err, HONE_ERR_STATE,
            "%s: the program of a recipe ended, and another recipe needs all documents in "
            "one process; use them in two runs",
            d->shown ? d->shown : "documents");
    }
    if (f->type == FRAME_LAST) {
        w->ending = true;
        return HONE_OK;
    }
    if (f->type == FRAME_AGAIN && w->doc >= 0 && !d->again) {
        forget_answer(d);
        d->again = true;
        w->again = w->doc + 1;
        w->doc = -1;
        worker_stop(w, false, NULL);
        return HONE_OK;
    }
    if (f->type >= FRAME_ASK) {
        const hone_status asked = asks_take(&w->asks, f, fault, err);
        if (!asked && asks_waits(w->asks))
            w->deadline = INFINITY; /* it waits for us */
        return asked;
    }
    const frame whole = *f;
    hone_status st = take_about(r, d, f, NULL, fault, err);
    if (st)
        return st;
    *fault = false; /* what fails now is not the child's */
    /* The frame's length and type stand in front of its fields. */
    if ((st = spool_add(&d->said, r->o->out, whole.p - 5, whole.n + 5, err)))
        return st;
    if (d->finished) {
        cache_keep(r, d);
        asks_forget(&w->asks);
        w->doc = -1;
        w->deadline = INFINITY;
        if (w->ending)
            worker_stop(w, false, NULL);
        else if (d->status == HONE_ERR_NOMEM) /* it may be bloated */
            worker_stop(w, true, NULL);
    }
    *fault = true;
    return HONE_OK;
}

const char *how_it_ended(int status, char *buf, size_t n)
{
    if (WIFSIGNALED(status))
        (void)snprintf(buf, n, "crashed its process with signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    else
        (void)snprintf(buf, n, "ended its process with status %d", WEXITSTATUS(status));
    return buf;
}

/* The child is gone, or talks nonsense: its document has failed, the next gets a new child. */
hone_status worker_lost(run *r, worker *w, const char *why, hone_error *err)
{
    char buf[160];
    int status = 0;
    const int64_t index = w->doc;
    const bool was_ready = w->ready;
    worker_stop(w, why != NULL, &status);
    if (!why)
        why = how_it_ended(status, buf, sizeof buf);
    if (!was_ready)
        return hone_fail(err, HONE_ERR_STATE,
                         "a process for documents could not be started: opening the plugins %s",
                         why);
    if (index == -1)
        return HONE_OK;
    document *d = index == -2 ? &r->last : ring_at(r, (uint64_t)index);
    if (r->needs_all)
        return hone_fail(err, HONE_ERR_STATE,
                         "%s %s, and a recipe needs all documents in one process; leave it out "
                         "(prepare.exclude) and start again",
                         d->shown ? d->shown : "the end of the recipes", why);
    d->finished = true;
    return keep_message(d, HONE_ERR_DEVICE, hone_s(why), err);
}

hone_status worker_read(run *r, worker *w, hone_error *err)
{
    if (!mem_grow(&w->in, &w->cap_in, w->n_in + (1u << 16), 1))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for an answer");
    const ssize_t got = read(w->fd, w->in + w->n_in, w->cap_in - w->n_in);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return HONE_OK;
    if (got <= 0)
        return worker_lost(r, w, NULL, err);
    w->n_in += (size_t)got;
    size_t at = 0;
    while (at < w->n_in && w->pid) {
        frame f;
        size_t used = 0;
        bool fault = true;
        hone_error why = { 0 };
        hone_status st = frame_next(&f, w->in + at, w->n_in - at, &used, &why);
        if (st == HONE_ERR_SKIP)
            break;
        if (!st)
            st = take_frame(r, w, &f, &fault, &why);
        if (st && (!fault || st == HONE_ERR_NOMEM)) {
            if (err)
                *err = why;
            return st;
        }
        if (st) {
            char text_of[600];
            (void)snprintf(text_of, sizeof text_of, "its process sent %s", why.message);
            return worker_lost(r, w, text_of, err);
        }
        at += used;
    }
    memmove(w->in, w->in + at, w->n_in - at);
    w->n_in -= at;
    return HONE_OK;
}
