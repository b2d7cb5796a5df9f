/*
 * file.c - whole files: map, read, and write so that a crash leaves the old one.
 *
 * A writer's target must be absent or a regular file: renaming over /dev/null
 * would replace the device. A symbolic link at the target is replaced, not
 * followed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES (256u << 10)

struct file_writer {
    char *path, *tmp; /* owned */
    uint8_t *buf;     /* owned, BUFFER_BYTES */
    size_t n;         /* bytes waiting in buf */
    int fd;
    bool failed; /* a write went wrong: the file can only be abandoned */
};

hone_status file_map_open(file_map *out, const char *path, hone_error *err)
{
    static const uint8_t nothing[1];
    struct stat st;
    file_map map = { nothing, 0 };
    hone_status status = HONE_OK;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return hone_fail(err, errno == ENOENT ? HONE_ERR_NOTFOUND : HONE_ERR_IO, "%s: %s", path,
                         strerror(errno));
    if (fstat(fd, &st) != 0) {
        status = hone_fail(err, HONE_ERR_IO, "%s: %s", path, strerror(errno));
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        status = hone_fail(err, HONE_ERR_IO, "%s: not a regular file", path);
        goto out;
    }
    if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            status = hone_fail(err, HONE_ERR_IO, "%s: cannot map %lld bytes: %s", path,
                               (long long)st.st_size, strerror(errno));
            goto out;
        }
        map.p = p;
        map.n = (size_t)st.st_size;
    }
    *out = map;
out:
    close(fd);
    return status;
}

void file_map_close(file_map *map)
{
    if (map->n)
        (void)munmap((void *)(uintptr_t)map->p, map->n);
    *map = (file_map){ 0 };
}

void file_map_release(const file_map *map, size_t at, size_t n)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), end = at < map->n ? at + n : map->n;
    const size_t first = (at + page - 1) / page * page; /* pages that are shared stay */
    if (at < map->n && n <= map->n - at && end / page * page > first)
        (void)madvise((void *)(uintptr_t)(map->p + first), end / page * page - first,
                      MADV_DONTNEED);
}

hone_status file_read(char **out, size_t *n, const char *path, size_t limit, hone_error *err)
{
    struct stat st;
    char *buf = NULL;
    size_t cap = 0, got = 0;
    hone_status status = HONE_OK;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return hone_fail(err, errno == ENOENT ? HONE_ERR_NOTFOUND : HONE_ERR_IO, "%s: %s", path,
                         strerror(errno));
    if (fstat(fd, &st) != 0) {
        status = hone_fail(err, HONE_ERR_IO, "%s: %s", path, strerror(errno));
        goto out;
    }
    /* The size is only a hint: /proc and pipes say 0. */
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > limit) {
        status = hone_fail(err, HONE_ERR_LIMIT, "%s: %lld bytes, at most %zu are read", path,
                           (long long)st.st_size, limit);
        goto out;
    }
    if (!mem_grow(&buf, &cap, S_ISREG(st.st_mode) ? (size_t)st.st_size + 2 : 4096, 1)) {
        status = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory to read it", path);
        goto out;
    }
    for (;;) {
        ssize_t k;
        if (cap - got < 2 && !mem_grow(&buf, &cap, cap + 2, 1)) {
            status = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory after %zu bytes", path, got);
            goto out;
        }
        k = read(fd, buf + got, cap - got - 1);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0) {
            status = hone_fail(err, HONE_ERR_IO, "%s: %s", path, strerror(errno));
            goto out;
        }
        if (k == 0)
            break;
        got += (size_t)k;
        if (got > limit) {
            status = hone_fail(err, HONE_ERR_LIMIT, "%s: more than %zu bytes", path, limit);
            goto out;
        }
    }
    buf[got] = '\0';
    *out = buf;
    buf = NULL;
    if (n)
        *n = got;
out:
    free(buf);
    close(fd);
    return status;
}

static void writer_end(file_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0) {
        close(w->fd);
        (void)unlink(w->tmp);
    }
    free(w->path);
    free(w->tmp);
    free(w->buf);
    free(w);
}

hone_status file_writer_open(file_writer **out, const char *path, hone_error *err)
{
    struct stat st;
    text tmp = { 0 };
    hone_status status = HONE_OK;
    file_writer *w = mem_new(1, sizeof *w);
    if (!w)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for a writer", path);
    w->fd = -1;
    w->path = mem_strdup(path);
    w->buf = mem_new(BUFFER_BYTES, 1);
    text_printf(&tmp, "%s.tmp.%ld", path, (long)getpid());
    w->tmp = tmp.p;
    if (!w->path || !w->buf || tmp.failed) {
        status = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for a writer", path);
        goto out;
    }
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        status = hone_fail(err, HONE_ERR_ARG, "%s: %s; the output must be a file", path,
                           S_ISDIR(st.st_mode) ? "is a folder" : "is not a regular file");
        goto out;
    }
    (void)unlink(w->tmp); /* left by a crashed process that had our number */
    w->fd = open(w->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        status = hone_fail(err, HONE_ERR_IO, "%s: cannot create it: %s", path, strerror(errno));
        goto out;
    }
    *out = w;
    w = NULL;
out:
    writer_end(w);
    return status;
}

static hone_status write_all(file_writer *w, const uint8_t *p, size_t n, hone_error *err)
{
    while (n) {
        const ssize_t k = write(w->fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0) {
            w->failed = true;
            return hone_fail(err, HONE_ERR_IO, "%s: cannot write: %s", w->path, strerror(errno));
        }
        p += k;
        n -= (size_t)k;
    }
    return HONE_OK;
}

hone_status file_writer_add(file_writer *w, const void *p, size_t n, hone_error *err)
{
    hone_status status;
    if (w->failed)
        return hone_fail(err, HONE_ERR_IO, "%s: an earlier write failed", w->path);
    if (n < BUFFER_BYTES - w->n) {
        if (n)
            memcpy(w->buf + w->n, p, n);
        w->n += n;
        return HONE_OK;
    }
    status = write_all(w, w->buf, w->n, err);
    if (status)
        return status;
    w->n = 0;
    if (n < BUFFER_BYTES) {
        memcpy(w->buf, p, n);
        w->n = n;
        return HONE_OK;
    }
    return write_all(w, p, n, err);
}

/* Make the rename itself last. Some file systems know no fsync of folders. */
static hone_status sync_folder_of(const char *path, hone_error *err)
{
    hone_status status = HONE_OK;
    char *dir = path_dir(path);
    int fd;
    if (!dir)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", path);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL && errno != EROFS))
        status =
            hone_fail(err, HONE_ERR_IO, "%s: cannot sync the folder: %s", dir, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(dir);
    return status;
}

hone_status file_writer_commit(file_writer *w, hone_error *err)
{
    hone_status status = HONE_OK;
    int fd;
    if (w->failed)
        status = hone_fail(err, HONE_ERR_IO, "%s: an earlier write failed", w->path);
    if (!status)
        status = write_all(w, w->buf, w->n, err);
    if (status)
        goto out;
    if (fsync(w->fd) != 0) {
        status = hone_fail(err, HONE_ERR_IO, "%s: cannot sync: %s", w->path, strerror(errno));
        goto out;
    }
    fd = w->fd;
    w->fd = -1;
    if (close(fd) != 0 || rename(w->tmp, w->path) != 0) {
        status =
            hone_fail(err, HONE_ERR_IO, "%s: cannot put it in place: %s", w->path, strerror(errno));
        (void)unlink(w->tmp);
        goto out;
    }
    status = sync_folder_of(w->path, err);
out:
    writer_end(w);
    return status;
}

void file_writer_abort(file_writer *w)
{
    writer_end(w);
}

hone_status file_write(const char *path, const void *p, size_t n, hone_error *err)
{
    file_writer *w = NULL;
    hone_status status = file_writer_open(&w, path, err);
    if (status)
        return status;
    status = file_writer_add(w, p, n, err);
    if (status) {
        file_writer_abort(w);
        return status;
    }
    return file_writer_commit(w, err);
}
