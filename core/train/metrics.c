/*
 * metrics.c - metrics.jsonl: one object per line, appended by one write each.
 *
 * A line is there whole or cut off again: what a full disk or a kill tore is removed,
 * at once or when the run is resumed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define METRICS_MAX_BYTES ((size_t)1 << 32)

/* Bytes of the lines of p that are whole and of steps up to `step`. */
static size_t lines_to_keep(const char *p, size_t n, int64_t step)
{
    size_t at = 0;
    while (at < n) {
        const char *end = memchr(p + at, '\n', n - at);
        json_t *object = NULL;
        bool keep;
        if (!end)
            break;
        if (json_parse(&object, p + at, (size_t)(end - (p + at)), "metrics", NULL) != HONE_OK)
            break;
        keep = json_is_integer(json_object_get(object, "step")) &&
               json_integer_value(json_object_get(object, "step")) <= step;
        json_decref(object);
        if (!keep)
            break;
        at = (size_t)(end - p) + 1;
    }
    return at;
}

hone_status metrics_open(metrics *out, const char *dir, int64_t step, hone_error *err)
{
    metrics m = { .fd = -1, .path = path_join(dir, "metrics.jsonl") };
    char *old = NULL;
    size_t n = 0;
    hone_status st = HONE_OK;
    if (!m.path)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", dir);
    if (path_exists(m.path)) {
        st = file_read(&old, &n, m.path, METRICS_MAX_BYTES, err);
        if (st)
            goto out;
        m.bytes = (int64_t)lines_to_keep(old, n, step);
    }
    m.fd = open(m.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (m.fd < 0 || ftruncate(m.fd, m.bytes) != 0) {
        st = hone_fail(err, HONE_ERR_IO, "%s: %s", m.path, strerror(errno));
        goto out;
    }
    *out = m;
    m = (metrics){ .fd = -1 };
out:
    free(old);
    metrics_close(&m);
    return st;
}

hone_status metrics_add(metrics *out, const char *line, size_t n, hone_error *err)
{
    ssize_t k;
    do
        k = write(out->fd, line, n);
    while (k < 0 && errno == EINTR);
    if (k == (ssize_t)n) {
        out->bytes += (int64_t)n;
        return HONE_OK;
    }
    if (k >= 0)
        errno = ENOSPC; /* a regular file takes less than asked only when there is no room */
    (void)hone_fail(err, HONE_ERR_IO, "%s: cannot write: %s", out->path, strerror(errno));
    (void)!ftruncate(out->fd, out->bytes);
    return HONE_ERR_IO;
}

hone_status metrics_sync(metrics *out, hone_error *err)
{
    if (fdatasync(out->fd) != 0 && errno != EINVAL && errno != EROFS)
        return hone_fail(err, HONE_ERR_IO, "%s: cannot sync: %s", out->path, strerror(errno));
    return HONE_OK;
}

void metrics_close(metrics *out)
{
    if (out->fd >= 0)
        close(out->fd);
    free(out->path);
    *out = (metrics){ .fd = -1 };
}
