/*
 * frame.c - the frames that a child and the run exchange; see parts.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/prepare/parts.h"

static const uint8_t *take(frame *f, size_t n)
{
    const uint8_t *p = f->p;
    if (f->bad || n > f->n) {
        f->bad = true;
        return NULL;
    }
    f->p += n;
    f->n -= n;
    return p;
}

uint32_t frame_u32(frame *f)
{
    const uint8_t *p = take(f, 4);
    return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24
             : 0;
}

uint64_t frame_u64(frame *f)
{
    const uint64_t low = frame_u32(f);
    return low | (uint64_t)frame_u32(f) << 32;
}

hone_str frame_bytes(frame *f)
{
    const uint32_t n = frame_u32(f);
    const uint8_t *p = take(f, n);
    return p ? (hone_str){ (const char *)p, n } : hone_s("");
}

hone_str frame_str(frame *f)
{
    const hone_str s = frame_bytes(f);
    if (!f->bad && utf8_valid(s.p, (size_t)s.n))
        return s;
    f->bad = true;
    return hone_s("");
}

hone_status frame_next(frame *out, const uint8_t *buf, size_t n, size_t *used, hone_error *err)
{
    frame head = { .p = buf, .n = n };
    if (n < 5)
        return HONE_ERR_SKIP;
    const uint32_t length = frame_u32(&head);
    if (length < 1 || length > FRAME_LIMIT)
        return hone_fail(err, HONE_ERR_FORMAT, "a frame of %u bytes, expected 1 to %u", length,
                         FRAME_LIMIT);
    if (n - 4 < length)
        return HONE_ERR_SKIP;
    *out = (frame){ .type = buf[4], .p = buf + 5, .n = length - 1 };
    *used = 4 + (size_t)length;
    return HONE_OK;
}

size_t frame_begin(text *t, uint8_t type)
{
    const size_t at = t->n;
    frame_put_u32(t, 0);
    text_putc(t, (char)type);
    return at;
}

void frame_put_u32(text *t, uint32_t x)
{
    const char b[4] = { (char)x, (char)(x >> 8), (char)(x >> 16), (char)(x >> 24) };
    text_add(t, b, sizeof b);
}

void frame_put_u64(text *t, uint64_t x)
{
    frame_put_u32(t, (uint32_t)x);
    frame_put_u32(t, (uint32_t)(x >> 32));
}

void frame_put_str(text *t, hone_str s)
{
    frame_put_u32(t, (uint32_t)s.n);
    text_add(t, s.p ? s.p : "", (size_t)s.n);
}

void frame_end(text *t, size_t at)
{
    if (t->failed)
        return;
    const size_t n = t->n - at - 4;
    for (int i = 0; i < 4; i++)
        t->p[at + (size_t)i] = (char)(n >> (8 * i));
}

bool write_all(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n) {
        const ssize_t done = send(fd, at, n, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

bool read_all(int fd, void *p, size_t n)
{
    char *at = p;
    while (n) {
        const ssize_t done = read(fd, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

typedef union control { /* aligned as cmsghdr asks */
    struct cmsghdr head;
    char space[CMSG_SPACE(sizeof(int))];
} control;

hone_status send_descriptor(int socket, int fd, hone_error *err)
{
    char byte = 'd';
    control c;
    struct iovec one = { &byte, 1 };
    struct msghdr m = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = c.space, .msg_controllen = sizeof c.space
    };
    memset(&c, 0, sizeof c);
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(h), &fd, sizeof fd);
    if (sendmsg(socket, &m, MSG_NOSIGNAL) != 1)
        return hone_fail(err, HONE_ERR_IO, "cannot hand a document to its process: %s",
                         strerror(errno));
    return HONE_OK;
}

int receive_descriptor(int socket)
{
    char byte;
    control c;
    int fd = -1;
    struct iovec one = { &byte, 1 };
    struct msghdr m = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = c.space, .msg_controllen = sizeof c.space
    };
    if (recvmsg(socket, &m, MSG_CMSG_CLOEXEC) != 1)
        return -1;
    const struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS &&
        h->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(h), sizeof fd);
    return fd;
}
