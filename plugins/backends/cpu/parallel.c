/*
 * parallel.c - loops over threads.
 *
 * oneDNN as Debian builds it runs on libgomp. A second set of threads beside it
 * would fight for the same cores, so our loops run on libgomp too, through
 * GOMP_parallel(), the entry that `#pragma omp parallel` compiles to (libgomp
 * manual, "Implementing PARALLEL construct"). Called by name it needs no OpenMP
 * support of the compiler: clang without its own runtime builds this as well.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "cores.h"
#include "cpu.h"

extern void GOMP_parallel(void (*body)(void *arg), void *arg, unsigned threads, unsigned flags);
extern int omp_get_thread_num(void);
extern int omp_get_num_threads(void);
extern void omp_set_num_threads(int n);

static void no_work(void *arg)
{
    (void)arg;
}

/* The threads of a team are made by its first loop and inherit the mask of their maker. oneDNN's
 * kernels point the stack register into a heap block, where a handler would write its frame: the
 * team takes no signal but those of its own faults. */
static void make_team(int threads)
{
    static __thread int made; /* threads of the team this thread leads */
    static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT };
    sigset_t mask, before;
    if (made >= threads)
        return;
    (void)sigfillset(&mask);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        (void)sigdelset(&mask, own[i]);
    (void)pthread_sigmask(SIG_BLOCK, &mask, &before);
    GOMP_parallel(no_work, NULL, (unsigned)threads, 0);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    made = threads;
}

/* ---------------------------------------------------------------------- places */

typedef struct places {
    int core[CORES_MAX];
    int n;
} places;

/* Thread i to core i of the mask. The first one is the caller's, and stays as it is: what it
 * starts later, readers and writers of files, would inherit its place. */
static void take_place(void *arg)
{
    const places *p = arg;
    const int i = omp_get_thread_num();
    cpu_set_t set[CORES_MAX / CPU_SETSIZE];
    if (i == 0 || i >= p->n)
        return;
    CPU_ZERO_S(sizeof set, set);
    CPU_SET_S((size_t)p->core[i], sizeof set, set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof set, set); /* at worst it moves about */
}

static void pin_team(int threads)
{
    static __thread int pinned; /* threads of the team this thread leads */
    places p;
    if (pinned >= threads)
        return;
    p.n = cores_in_mask(p.core, CORES_MAX);
    GOMP_parallel(take_place, &p, (unsigned)threads, 0);
    pinned = threads;
}

void cpu_parallel_setup(int threads)
{
    make_team(threads);
    omp_set_num_threads(threads);
}

typedef struct range_job {
    int64_t n;
    void (*body)(void *arg, int64_t lo, int64_t hi, int thread);
    void *arg;
} range_job;

static void range_run(void *arg)
{
    const range_job *job = arg;
    const int64_t n = omp_get_num_threads(), i = omp_get_thread_num();
    const int64_t lo = job->n / n * i + (job->n % n < i ? job->n % n : i);
    const int64_t hi = lo + job->n / n + (i < job->n % n);
    if (lo < hi)
        job->body(job->arg, lo, hi, (int)i);
}

void cpu_team(const hone_dev *dev, int threads, void (*body)(void *arg), void *arg)
{
    if (threads <= 1) {
        body(arg);
        return;
    }
    make_team(dev->threads);
    if (dev->pin)
        pin_team(dev->threads);
    GOMP_parallel(body, arg, (unsigned)threads, 0);
}

void cpu_parallel(const hone_dev *dev, int64_t n, int64_t grain,
                  void (*body)(void *arg, int64_t lo, int64_t hi, int thread), void *arg)
{
    range_job job = { n, body, arg };
    const int64_t pieces = grain > 0 ? n / grain : n;
    const int64_t threads = pieces < dev->threads ? pieces : dev->threads;
    if (n <= 0)
        return;
    if (threads <= 1)
        body(arg, 0, n, 0);
    else
        cpu_team(dev, (int)threads, range_run, &job);
}

typedef struct each_job {
    atomic_llong next;
    int64_t n;
    void (*body)(void *arg, int64_t item, int thread);
    void *arg;
} each_job;

static void each_run(void *arg)
{
    each_job *job = arg;
    const int thread = omp_get_thread_num();
    int64_t i;
    while ((i = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed)) < job->n)
        job->body(job->arg, i, thread);
}

void cpu_each(const hone_dev *dev, int64_t n, void (*body)(void *arg, int64_t item, int thread),
              void *arg)
{
    each_job job = { 0, n, body, arg };
    if (n <= 0)
        return;
    if (n == 1 || dev->threads == 1)
        for (int64_t i = 0; i < n; i++)
            body(arg, i, 0);
    else
        cpu_team(dev, (int)(n < dev->threads ? n : dev->threads), each_run, &job);
}
