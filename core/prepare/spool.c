/*
 * spool.c - frames of a document, in memory while they are few and in a nameless file after.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/prepare/parts.h"

#define IN_MEMORY (128u << 10) /* bytes of a document that stay in memory */

hone_status nameless_file(int *fd, const char *folder, hone_error *err)
{
    int file = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        char *name = path_join(folder, ".hone-XXXXXX");
        file = name ? mkostemp(name, O_CLOEXEC) : -1;
        if (file >= 0)
            (void)unlink(name);
        free(name);
    }
    if (file < 0)
        return hone_fail(err, HONE_ERR_IO, "%s: cannot make a temporary file: %s", folder,
                         strerror(errno));
    *fd = file;
    return HONE_OK;
}

static hone_status append(int fd, const char *p, size_t n, hone_error *err)
{
    while (n) {
        const ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return hone_fail(err, HONE_ERR_IO, "cannot write a temporary file: %s",
                             strerror(errno));
        p += done;
        n -= (size_t)done;
    }
    return HONE_OK;
}

hone_status spool_add(spool *s, const char *folder, const void *p, size_t n, hone_error *err)
{
    hone_status st = HONE_OK;
    if (!s->fd && s->head.n + n <= IN_MEMORY) {
        text_add(&s->head, p, n);
        st = text_status(&s->head, err);
    } else {
        if (!s->fd && !(st = nameless_file(&s->fd, folder, err))) {
            st = append(s->fd, s->head.p ? s->head.p : "", s->head.n, err);
            text_finish(&s->head);
        }
        if (!st)
            st = append(s->fd, p, n, err);
    }
    if (!st)
        s->n += n;
    return st;
}

void spool_finish(spool *s)
{
    text_finish(&s->head);
    if (s->fd)
        (void)close(s->fd);
    *s = (spool){ 0 };
}

/* More bytes behind what is there: false at the end, or on an error (then *st). */
static bool fill(spool_reader *r, hone_status *st, hone_error *err)
{
    const spool *s = r->s;
    const uint64_t left = s->n - r->at;
    if (!left)
        return false;
    if (r->used) {
        memmove(r->buf, r->buf + r->used, r->n - r->used);
        r->n -= r->used;
        r->used = 0;
    }
    const size_t want = left < (1u << 16) ? (size_t)left : r->n > (1u << 16) ? r->n : 1u << 16;
    const size_t most = want < left ? want : (size_t)left;
    if (!mem_grow(&r->buf, &r->cap, r->n + most, 1)) {
        *st = hone_fail(err, HONE_ERR_NOMEM, "no memory for a sample");
        return false;
    }
    if (!s->fd) {
        memcpy(r->buf + r->n, s->head.p + r->at, most);
        r->n += most;
        r->at += most;
        return true;
    }
    const ssize_t got = pread(s->fd, r->buf + r->n, most, (off_t)(s->start + r->at));
    if (got <= 0) {
        *st = hone_fail(err, HONE_ERR_IO, "cannot read a temporary file: %s",
                        got < 0 ? strerror(errno) : "it was cut");
        return false;
    }
    r->n += (size_t)got;
    r->at += (uint64_t)got;
    return true;
}

hone_status spool_next(spool_reader *r, frame *f, hone_error *err)
{
    for (;;) {
        size_t used = 0;
        hone_status st = frame_next(f, r->buf + r->used, r->n - r->used, &used, err);
        if (st != HONE_ERR_SKIP) {
            r->used += used;
            return st;
        }
        st = HONE_OK;
        if (!fill(r, &st, err))
            return st ? st : r->used < r->n ? HONE_ERR_FORMAT : HONE_ERR_NOTFOUND;
    }
}

void spool_reader_finish(spool_reader *r)
{
    free(r->buf);
    *r = (spool_reader){ 0 };
}
