/*
 * system.c - the clock, the cores this process may use, and parallel_for.
 *
 * Cores: what the scheduler allows, cut by the CPU quota of the control group
 * (v2 cpu.max; v1 cpu.cfs_quota_us), of it and of every group above it. A quota of 2.5
 * counts 2: a third thread would be stopped in the middle of every period.
 *
 * The pool: helpers sleep on a condition; a job is cut into pieces by its size and
 * the thread count alone, and whoever is free takes the next piece. A helper that
 * wakes too late is not waited for. A call from inside a body, from a second
 * thread while the pool is busy, or from a forked child (whose helpers did not
 * survive the fork) runs inline.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/system.h"
#include "core/base/base.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PIECES_PER_THREAD 4

double clock_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* -------------------------------------------------------------------- cores */

static int allowed_cores(void)
{
    int size;
    for (size = 1024; size <= 1 << 20; size *= 2) { /* EINVAL: the kernel's mask is wider */
        cpu_set_t *set = CPU_ALLOC(size);
        if (!set)
            return 1;
        const size_t bytes = CPU_ALLOC_SIZE(size);
        const bool ok = sched_getaffinity(0, bytes, set) == 0;
        const int n = ok ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (ok)
            return n > 0 ? n : 1;
    }
    return 1;
}

/* First number of a small file, and the one behind it; false when it is not there
 * or says "max" or -1: no limit. */
static bool read_quota(const char *dir, const char *file, double *a, double *b)
{
    char *p = NULL, *end, *path = path_join(dir, file);
    bool ok = false;
    if (path && file_read(&p, NULL, path, 256, NULL) == HONE_OK) {
        *a = strtod(p, &end);
        ok = end != p && *a > 0;
        if (ok && b)
            *b = strtod(end, NULL);
    }
    free(p);
    free(path);
    return ok;
}

/* Cores that the groups from dir (below root) upwards leave; `cores` when none limits. */
static double quota_upwards(const char *root, const char *dir, bool v2, double cores)
{
    const size_t root_n = strlen(root);
    char *at = path_join(root, dir + (dir[0] == '/'));
    while (at) {
        double quota = 0, period = 0;
        char *slash;
        const bool limited = v2 ? read_quota(at, "cpu.max", &quota, &period)
                                : read_quota(at, "cpu.cfs_quota_us", &quota, NULL) &&
                                      read_quota(at, "cpu.cfs_period_us", &period, NULL);
        if (limited && period > 0 && quota / period < cores)
            cores = quota / period;
        slash = strrchr(at, '/');
        if (!slash || (size_t)(slash - at) < root_n)
            break;
        *slash = '\0';
    }
    free(at);
    return cores;
}

int system_quota(const char *groups, const char *sys, int cores)
{
    double left = cores;
    char *p = NULL, *row, *next;
    if (file_read(&p, NULL, groups, 1 << 16, NULL) != HONE_OK)
        return cores;
    for (row = p; row && *row; row = next) { /* "0::/a/b" or "4:cpu,cpuacct:/a/b" */
        char *controllers = strchr(row, ':'), *group, *name, *save = NULL;
        next = strchr(row, '\n');
        if (next)
            *next++ = '\0';
        group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *controllers++ = '\0';
        *group++ = '\0';
        if (!controllers[0]) {
            char *unified = path_join(sys, "unified"); /* both versions mounted */
            left = quota_upwards(sys, group, true, left);
            if (unified)
                left = quota_upwards(unified, group, true, left);
            free(unified);
            continue;
        }
        for (name = strtok_r(controllers, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
            char *mount = strcmp(name, "cpu") == 0 ? path_join(sys, "cpu") : NULL;
            if (mount)
                left = quota_upwards(mount, group, false, left);
            free(mount);
        }
    }
    free(p);
    return left < 1 ? 1 : (int)left;
}

static pthread_once_t cores_once = PTHREAD_ONCE_INIT;
static int cores_found;
static _Atomic int cores_limit; /* 0: none */

static void find_cores(void)
{
    cores_found = system_quota("/proc/self/cgroup", "/sys/fs/cgroup", allowed_cores());
}

int cpu_count(void)
{
    const int limit = atomic_load(&cores_limit);
    (void)pthread_once(&cores_once, find_cores);
    return limit > 0 ? limit : cores_found;
}

void cpu_count_set(int n)
{
    atomic_store(&cores_limit, n > 0 ? n : 0);
}

/* --------------------------------------------------------------------- pool */

typedef struct job {
    void (*body)(void *arg, int64_t lo, int64_t hi);
    void *arg; /* borrowed */
    int64_t n, grain, units, pieces;
    _Atomic int64_t next; /* piece to be taken */
} job;

static pthread_mutex_t use = PTHREAD_MUTEX_INITIALIZER;  /* one job at a time          */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows        */
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;   /* a job is there             */
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;   /* the last helper left it    */
static job *current;                                     /* NULL: nothing to take      */
static uint64_t generation;                              /* counts jobs                */
static int active;                                       /* helpers inside current     */
static int helpers;                                      /* threads that exist         */
static bool forked;                                      /* in a child: no helpers     */
static _Thread_local bool inside;                        /* this thread runs a body    */

static void work(job *j)
{
    inside = true;
    for (;;) {
        const int64_t i = atomic_fetch_add(&j->next, 1);
        if (i >= j->pieces)
            break;
        /* i * units / pieces without overflow; starts are multiples of grain */
        const int64_t q = j->units / j->pieces, r = j->units % j->pieces;
        const int64_t lo = (i * q + (i < r ? i : r)) * j->grain;
        const int64_t hi = ((i + 1) * q + (i + 1 < r ? i + 1 : r)) * j->grain;
        j->body(j->arg, lo, i + 1 == j->pieces ? j->n : hi);
    }
    inside = false;
}

static void *helper(void *arg)
{
    uint64_t seen = 0;
    (void)arg;
    pthread_mutex_lock(&lock);
    for (;;) {
        job *j;
        while (generation == seen)
            pthread_cond_wait(&wake, &lock);
        seen = generation;
        j = current;
        if (!j)
            continue;
        active++;
        pthread_mutex_unlock(&lock);
        work(j);
        pthread_mutex_lock(&lock);
        if (--active == 0)
            pthread_cond_signal(&done);
    }
    return NULL;
}

static void after_fork(void)
{
    forked = true;
}

/* Called with `use` held. Signals stay with the threads that ask for them. */
static void start_helpers(int want)
{
    sigset_t all, old;
    pthread_attr_t attr;
    if (helpers >= want)
        return;
    if (helpers == 0 && pthread_atfork(NULL, NULL, after_fork) != 0)
        return;
    if (pthread_attr_init(&attr) != 0)
        return;
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    while (helpers < want) {
        pthread_t thread;
        if (pthread_create(&thread, &attr, helper, NULL) != 0)
            break; /* fewer threads: slower, and the same result */
        helpers++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_attr_destroy(&attr);
}

void parallel_for(int64_t n, int64_t grain, void (*body)(void *arg, int64_t lo, int64_t hi),
                  void *arg)
{
    const int threads = cpu_count();
    job j = { .body = body, .arg = arg, .n = n, .grain = grain > 0 ? grain : 1 };
    if (n <= 0)
        return;
    j.units = n / j.grain;
    j.pieces = j.units < 1 ? 1 : j.units;
    if (j.pieces > (int64_t)threads * PIECES_PER_THREAD)
        j.pieces = (int64_t)threads * PIECES_PER_THREAD;
    if (threads == 1 || j.pieces == 1 || inside || forked || pthread_mutex_trylock(&use) != 0) {
        const bool was = inside;
        work(&j);
        inside = was;
        return;
    }
    start_helpers(threads - 1);
    pthread_mutex_lock(&lock);
    current = &j;
    generation++;
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&lock);
    work(&j);
    pthread_mutex_lock(&lock);
    current = NULL;
    while (active)
        pthread_cond_wait(&done, &lock);
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&use);
}
