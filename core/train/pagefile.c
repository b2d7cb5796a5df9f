/*
 * pagefile.c - the file behind paged state, and the thread that reads and writes it.
 *
 * The file has no name: nothing of it is left when the process ends, by kill -9 too. All
 * of it is allocated first, so a disk that is too small is an error before the first step
 * and not in the midst of one; and it is read and written, never mapped: an error of the
 * disk is a message and not a SIGBUS, and what is in memory is what was asked for.
 *
 * Jobs are done in the order they came. One that fails stays on record, and all that wait
 * from then on are told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/states.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

typedef struct job {
    uint64_t at, bytes;
    uint8_t *p; /* borrowed until the job is done */
    bool write;
} job;

struct pagefile {
    int fd;
    char *dir; /* owned: for messages */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t wake, done;
    job *jobs; /* owned: a ring of n_jobs; ticket t is jobs[t % n_jobs] */
    size_t n_jobs;
    uint64_t queued, ran; /* tickets */
    bool stop;
    int failed; /* errno of the first job that failed */
    bool failed_write;
};

/* 0 or errno. */
static int transfer(int fd, const job *j)
{
    uint64_t done = 0;
    while (done < j->bytes) {
        const ssize_t n = j->write ? pwrite(fd, j->p + done, j->bytes - done, (off_t)(j->at + done))
                                   : pread(fd, j->p + done, j->bytes - done, (off_t)(j->at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? errno : EIO; /* the file is as long as it was made */
        done += (uint64_t)n;
    }
    return 0;
}

static void *work(void *arg)
{
    pagefile *f = arg;
    pthread_mutex_lock(&f->lock);
    while (!f->stop) {
        job j;
        int failed;
        if (f->ran == f->queued) {
            pthread_cond_wait(&f->wake, &f->lock);
            continue;
        }
        j = f->jobs[f->ran % f->n_jobs];
        pthread_mutex_unlock(&f->lock);
        failed = transfer(f->fd, &j);
        pthread_mutex_lock(&f->lock);
        if (failed && !f->failed) {
            f->failed = failed;
            f->failed_write = j.write;
        }
        f->ran++;
        pthread_cond_broadcast(&f->done);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

/* A file in dir that no folder lists. -1 and errno. */
static int open_nameless(const char *dir)
{
    char *path;
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
        return fd;
    path = path_join(dir, "optimizer.tmp.XXXXXX"); /* where a file system needs a name */
    fd = path ? mkostemp(path, O_CLOEXEC) : -1;
    if (fd >= 0)
        (void)unlink(path);
    free(path);
    return fd;
}

static hone_status make_file(pagefile *f, uint64_t bytes, hone_error *err)
{
    struct statfs info;
    int failed;
    f->fd = open_nameless(f->dir);
    if (f->fd < 0)
        return hone_fail(err, HONE_ERR_IO, "%s: cannot make a file for optimizer state: %s", f->dir,
                         strerror(errno));
    if (!fstatfs(f->fd, &info) && info.f_type == TMPFS_MAGIC)
        log_line(HONE_LOG_WARN,
                 "%s: is in memory itself; paged optimizer state wants a disk: set train.paged_dir",
                 f->dir);
    failed = posix_fallocate(f->fd, 0, (off_t)bytes);
    if (failed)
        return hone_fail(err, HONE_ERR_IO,
                         "%s: no room for %" PRIu64
                         " bytes of optimizer state: %s; set train.paged_dir to another disk, or "
                         "raise train.paged_memory",
                         f->dir, bytes, strerror(failed));
    return HONE_OK;
}

hone_status pagefile_open(pagefile **out, const char *dir, uint64_t bytes, size_t slots,
                          hone_error *err)
{
    pagefile *f = mem_new(1, sizeof *f);
    hone_status st;
    if (!f)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for paged optimizer state");
    f->fd = -1;
    f->n_jobs = slots;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->wake, NULL);
    pthread_cond_init(&f->done, NULL);
    f->jobs = mem_new(slots, sizeof *f->jobs);
    f->dir = mem_strdup(dir);
    st = f->jobs && f->dir ? make_file(f, bytes, err)
                           : hone_fail(err, HONE_ERR_NOMEM, "no memory for paged optimizer state");
    if (!st && pthread_create(&f->thread, NULL, work, f))
        st = hone_fail(err, HONE_ERR_NOMEM, "cannot start a thread for paged optimizer state");
    if (st) {
        pagefile_close(f);
        return st;
    }
    f->started = true;
    *out = f;
    return HONE_OK;
}

void pagefile_close(pagefile *f)
{
    if (!f)
        return;
    if (f->started) {
        pthread_mutex_lock(&f->lock);
        f->stop = true; /* what is queued concerns nobody any more */
        pthread_cond_signal(&f->wake);
        pthread_mutex_unlock(&f->lock);
        pthread_join(f->thread, NULL);
    }
    if (f->fd >= 0)
        close(f->fd);
    pthread_cond_destroy(&f->done);
    pthread_cond_destroy(&f->wake);
    pthread_mutex_destroy(&f->lock);
    free(f->jobs);
    free(f->dir);
    free(f);
}

uint64_t pagefile_queue(pagefile *f, uint64_t at, void *p, uint64_t bytes, bool write)
{
    uint64_t ticket;
    pthread_mutex_lock(&f->lock);
    while (f->queued - f->ran == f->n_jobs)
        pthread_cond_wait(&f->done, &f->lock);
    f->jobs[f->queued % f->n_jobs] = (job){ at, bytes, p, write };
    ticket = ++f->queued;
    pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->lock);
    return ticket;
}

bool pagefile_done(pagefile *f, uint64_t ticket)
{
    bool done;
    pthread_mutex_lock(&f->lock);
    done = f->ran >= ticket;
    pthread_mutex_unlock(&f->lock);
    return done;
}

hone_status pagefile_wait(pagefile *f, uint64_t ticket, hone_error *err)
{
    int failed;
    bool failed_write;
    pthread_mutex_lock(&f->lock);
    while (f->ran < ticket)
        pthread_cond_wait(&f->done, &f->lock);
    failed = f->failed;
    failed_write = f->failed_write;
    pthread_mutex_unlock(&f->lock);
    if (failed)
        return hone_fail(err, HONE_ERR_IO, "%s: cannot %s optimizer state: %s", f->dir,
                         failed_write ? "write" : "read", strerror(failed));
    return HONE_OK;
}
