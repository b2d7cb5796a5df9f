/*
 * parallel.c - parallel_for over a pool of threads that stay.
 *
 * A job is cut by its size and the thread count alone, so that the same run cuts the
 * same way; whoever is free takes the next piece. The caller works too, and waits only
 * for helpers that are inside the job: one that wakes too late finds it closed.
 *
 * Training calls this thousands of times a second with jobs of some ten microseconds,
 * so nobody goes to sleep at once: helpers watch `generation` and the caller watches
 * `active` for some microseconds before they take the lock and a condition. Where
 * two variables are written and read crosswise, sequential consistency is what
 * makes one of the two sides see the other:
 *   active, open        helper: active++, then reads open;     caller: closes, then reads active
 *   sleepers, generation helper: sleepers++, then generation;   caller: generation++, then sleepers
 *   waiting, active     caller: waiting = 1, then active;      helper: active--, then waiting
 *
 * A call from inside a body, from a second thread while the pool is busy, or from a
 * forked child (whose helpers did not survive the fork) runs inline, cut the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define PIECES_PER_THREAD 4
#define SPINS 2000 /* 20 to 100 microseconds, by the length of the machine's pause */

typedef struct job {
    void (*body)(void *arg, int64_t lo, int64_t hi);
    void *arg; /* borrowed */
    int64_t n, grain, units, pieces;
    _Atomic int64_t next; /* piece to be taken */
} job;

static pthread_mutex_t use = PTHREAD_MUTEX_INITIALIZER;  /* one job at a time            */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for sleeping only            */
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;   /* a job is there               */
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;   /* the last helper left it      */
static job current;                                      /* written while active is 0    */
static _Atomic uint64_t generation;                      /* counts jobs                  */
static _Atomic uint64_t open_job;                        /* generation of current; 0: closed */
static _Atomic int active;                               /* helpers that may be inside   */
static _Atomic int sleepers;                             /* helpers that need a signal   */
static _Atomic int waiting;                              /* the caller needs one         */
static int helpers;                                      /* threads that exist           */
static bool forked;                                      /* in a child: no helpers       */
static _Thread_local bool inside;                        /* this thread runs a body      */

static void breathe(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

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

static uint64_t wait_for_job(uint64_t seen)
{
    int i;
    for (i = 0; i < SPINS; i++) {
        if (atomic_load(&generation) != seen)
            return atomic_load(&generation);
        breathe();
    }
    pthread_mutex_lock(&lock);
    atomic_fetch_add(&sleepers, 1);
    while (atomic_load(&generation) == seen)
        pthread_cond_wait(&wake, &lock);
    atomic_fetch_sub(&sleepers, 1);
    pthread_mutex_unlock(&lock);
    return atomic_load(&generation);
}

static void *helper(void *arg)
{
    uint64_t seen = 0;
    (void)arg;
    for (;;) {
        seen = wait_for_job(seen);
        atomic_fetch_add(&active, 1);
        if (atomic_load(&open_job) == seen)
            work(&current);
        if (atomic_fetch_sub(&active, 1) == 1 && atomic_load(&waiting)) {
            pthread_mutex_lock(&lock);
            pthread_cond_signal(&done);
            pthread_mutex_unlock(&lock);
        }
    }
    return NULL;
}

static void wait_for_helpers(void)
{
    int i;
    for (i = 0; i < SPINS; i++) {
        if (!atomic_load(&active))
            return;
        breathe();
    }
    pthread_mutex_lock(&lock);
    atomic_store(&waiting, 1);
    while (atomic_load(&active))
        pthread_cond_wait(&done, &lock);
    atomic_store(&waiting, 0);
    pthread_mutex_unlock(&lock);
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

/* With `use` held: nobody but us changes generation, and no helper is inside. */
static void run_on_pool(const job *j, int threads)
{
    uint64_t number;
    start_helpers(threads - 1);
    current.body = j->body;
    current.arg = j->arg;
    current.n = j->n;
    current.grain = j->grain;
    current.units = j->units;
    current.pieces = j->pieces;
    atomic_store(&current.next, 0);
    number = atomic_load(&generation) + 1;
    atomic_store(&open_job, number);
    atomic_store(&generation, number);
    if (atomic_load(&sleepers)) {
        pthread_mutex_lock(&lock);
        pthread_cond_broadcast(&wake);
        pthread_mutex_unlock(&lock);
    }
    work(&current);
    atomic_store(&open_job, 0);
    wait_for_helpers();
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
    run_on_pool(&j, threads);
    pthread_mutex_unlock(&use);
}
