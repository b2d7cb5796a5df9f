/*
 * test_system.c - cores under quotas, and parallel_for: everything once, from anywhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/system.h"
#include "folder.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_system__quotas_cut_the_cores(void)
{
    static const struct {
        const char *groups;      /* /proc/self/cgroup */
        const char *files[3][2]; /* below the mount   */
        int cores, want;
    } cases[] = {
        { "0::/a/b\n", { { "a/b/cpu.max", "max 100000\n" } }, 8, 8 },
        { "0::/a/b\n", { { "a/b/cpu.max", "250000 100000\n" } }, 8, 2 },
        { "0::/a/b\n", { { "a/b/cpu.max", "50000 100000\n" } }, 8, 1 },
        { "0::/a/b\n", { { "a/b/cpu.max", "1600000 100000\n" } }, 8, 8 },
        { "0::/a/b\n",
          { { "a/b/cpu.max", "max 100000\n" }, { "a/cpu.max", "300000 100000\n" } },
          8,
          3 },
        { "0::/\n", { { "cpu.max", "400000 100000\n" } }, 8, 4 }, /* inside a container */
        { "0::/../x\n", { { NULL, NULL } }, 8, 8 },
        { "4:cpu,cpuacct:/d\n0::/\n",
          { { "cpu/d/cpu.cfs_quota_us", "150000\n" }, { "cpu/d/cpu.cfs_period_us", "50000\n" } },
          8,
          3 },
        { "4:cpu,cpuacct:/d\n",
          { { "cpu/d/cpu.cfs_quota_us", "-1\n" }, { "cpu/d/cpu.cfs_period_us", "100000\n" } },
          8,
          8 },
        { "4:cpu,cpuacct:/gone\n", /* the container's root is the group */
          { { "cpu/cpu.cfs_quota_us", "200000\n" }, { "cpu/cpu.cfs_period_us", "100000\n" } },
          8,
          2 },
        { "3:cpuset:/d\n", { { "cpu/d/cpu.cfs_quota_us", "100000\n" } }, 8, 8 },
        { "nonsense\n:\n::\n", { { NULL, NULL } }, 5, 5 },
        { "", { { NULL, NULL } }, 5, 5 },
    };
    size_t i, k;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *dir = folder_new(), *groups = path_join(dir, "groups"),
             *mount = path_join(dir, "sys");
        hone_error err = { 0 };
        CHECK_OK(dir_make(mount, &err), err);
        folder_put(dir, "groups", cases[i].groups);
        for (k = 0; k < 3 && cases[i].files[k][0]; k++)
            folder_put(mount, cases[i].files[k][0], cases[i].files[k][1]);
        CHECK_INT(system_quota(groups, mount, cases[i].cores), cases[i].want);
        free(groups);
        free(mount);
        folder_remove(dir);
    }
    CHECK_INT(system_quota("/nonexistent", "/nonexistent", 7), 7);
}

static void test_system__limits_cut_the_memory(void)
{
    static const struct {
        const char *groups;
        const char *files[3][2]; /* below the mount */
        int64_t want;            /* of 8000 kB      */
    } cases[] = {
        { "0::/a\n", { { "a/memory.max", "max\n" }, { "a/memory.current", "5\n" } }, 8192000 },
        { "0::/a\n", { { "a/memory.max", "9000\n" }, { "a/memory.current", "4000\n" } }, 5000 },
        { "0::/a\n",
          { { "a/memory.max", "9000\n" },
            { "a/memory.current", "4000\n" },
            { "a/memory.stat", "anon 5\ninactive_file 1500\n" } },
          6500 },
        { "0::/a\n", { { "memory.max", "9000\n" }, { "memory.current", "9500\n" } }, 0 },
        { "7:memory:/b\n",
          { { "memory/b/memory.limit_in_bytes", "7000\n" },
            { "memory/b/memory.usage_in_bytes", "3000\n" },
            { "memory/b/memory.stat", "inactive_file 9\ntotal_inactive_file 10\n" } },
          4010 },
        { "7:cpu:/b\n",
          { { "memory/b/memory.limit_in_bytes", "7000\n" },
            { "memory/b/memory.usage_in_bytes", "3000\n" } },
          8192000 },
    };
    size_t i, k;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *dir = folder_new(), *groups = path_join(dir, "groups"),
             *info = path_join(dir, "info"), *mount = path_join(dir, "sys");
        hone_error err = { 0 };
        CHECK_OK(dir_make(mount, &err), err);
        folder_put(dir, "groups", cases[i].groups);
        folder_put(dir, "info", "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n");
        for (k = 0; k < 3 && cases[i].files[k][0]; k++)
            folder_put(mount, cases[i].files[k][0], cases[i].files[k][1]);
        CHECK_INT(system_memory(info, groups, mount), cases[i].want);
        free(groups);
        free(info);
        free(mount);
        folder_remove(dir);
    }
    CHECK(mem_available() > 0);
}

static void test_system__cores_and_clock(void)
{
    const double a = clock_now();
    const int found = cpu_count();
    cpu_set_t set;
    CHECK(found >= 1);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        CHECK(found <= CPU_COUNT(&set));
    cpu_count_set(3);
    CHECK_INT(cpu_count(), 3);
    cpu_count_set(0);
    CHECK_INT(cpu_count(), found);
    CHECK(clock_now() >= a);
}

typedef struct cover {
    uint8_t *hits; /* n */
    int64_t n, grain;
    _Atomic int64_t pieces, bad;
} cover;

static void touch(void *arg, int64_t lo, int64_t hi)
{
    cover *c = arg;
    int64_t i;
    atomic_fetch_add(&c->pieces, 1);
    if (lo < 0 || hi > c->n || lo >= hi || lo % c->grain ||
        (hi - lo < c->grain && c->n >= c->grain) || (hi % c->grain && hi != c->n))
        atomic_fetch_add(&c->bad, 1);
    for (i = lo; i < hi; i++)
        c->hits[i]++;
}

static void check_cover(int64_t n, int64_t grain)
{
    cover c = { mem_new((size_t)n, 1), n, grain, 0, 0 };
    int64_t i;
    parallel_for(n, grain, touch, &c);
    for (i = 0; i < n; i++)
        if (c.hits[i] != 1) {
            fprintf(stderr, "n %lld grain %lld: index %lld run %d times\n", (long long)n,
                    (long long)grain, (long long)i, c.hits[i]);
            test_failures++;
            break;
        }
    CHECK_INT(c.bad, 0);
    CHECK(n == 0 ? c.pieces == 0 : c.pieces >= 1);
    free(c.hits);
}

static void test_parallel__covers_everything_once(void)
{
    static const int64_t grains[] = { 1, 2, 3, 64, 1000, 5000 };
    int64_t n;
    size_t g;
    for (n = 0; n < 300; n++)
        for (g = 0; g < sizeof grains / sizeof grains[0]; g++)
            check_cover(n, grains[g]);
    for (g = 0; g < sizeof grains / sizeof grains[0]; g++) {
        check_cover(4096, grains[g]);
        check_cover(9999, grains[g]);
    }
    check_cover(1, INT64_MAX);
}

static void count(void *arg, int64_t lo, int64_t hi)
{
    atomic_fetch_add((_Atomic int64_t *)arg, hi - lo);
}

static void nested(void *arg, int64_t lo, int64_t hi)
{
    int64_t i;
    for (i = lo; i < hi; i++)
        parallel_for(100, 1, count, arg);
}

static void test_parallel__nested_calls_run_inline(void)
{
    _Atomic int64_t sum = 0;
    parallel_for(50, 1, nested, &sum);
    CHECK_INT(sum, 5000);
}

static void *hammer(void *arg)
{
    int i;
    for (i = 0; i < 200; i++)
        parallel_for(100, 1, count, arg);
    return NULL;
}

static void test_parallel__many_callers_at_once(void)
{
    _Atomic int64_t sums[8];
    pthread_t threads[8];
    int i;
    for (i = 0; i < 8; i++) {
        sums[i] = 0;
        CHECK_INT(pthread_create(&threads[i], NULL, hammer, &sums[i]), 0);
    }
    for (i = 0; i < 8; i++) {
        (void)pthread_join(threads[i], NULL);
        CHECK_INT(sums[i], 20000);
    }
}

static void test_parallel__works_in_a_forked_child(void)
{
    _Atomic int64_t sum = 0;
    int how = -1;
    pid_t pid;
    parallel_for(1000, 1, count, &sum); /* the pool is there */
    pid = fork();
    if (pid == 0) {
        (void)alarm(20);
        sum = 0;
        parallel_for(1000, 1, count, &sum);
        _exit(sum == 1000 ? 0 : 1);
    }
    (void)waitpid(pid, &how, 0);
    CHECK_INT(how, 0);
}

/* Jobs at all distances in time: helpers that watch, fall asleep, sleep and wake too late. */
static void test_parallel__jobs_after_pauses(void)
{
    uint64_t i;
    for (i = 0; i < 1500; i++) {
        _Atomic int64_t sum = 0;
        const uint64_t r = rng_u64(1, 1, i);
        if (r % 4 == 0)
            (void)usleep((unsigned)(r >> 8) % 300);
        parallel_for(1 + (int64_t)(r >> 20) % 500, 1, count, &sum);
        CHECK_INT(sum, 1 + (int64_t)(r >> 20) % 500);
    }
}

/* Two threads must meet: this hangs if bodies run one after the other. */
static void meet(void *arg, int64_t lo, int64_t hi)
{
    _Atomic int *here = arg;
    const double end = clock_now() + 20;
    (void)lo;
    (void)hi;
    atomic_fetch_add(here, 1);
    while (atomic_load(here) < 2 && clock_now() < end)
        sched_yield();
}

static void test_parallel__pieces_run_at_the_same_time(void)
{
    _Atomic int here = 0;
    parallel_for(2, 1, meet, &here);
    CHECK_INT(here, 2);
}

typedef struct bounds {
    pthread_mutex_t lock;
    int64_t sum; /* of lo * (hi + 1): the same cuts give the same */
} bounds;

static void add_bounds(void *arg, int64_t lo, int64_t hi)
{
    bounds *b = arg;
    pthread_mutex_lock(&b->lock);
    b->sum += lo * (hi + 1);
    pthread_mutex_unlock(&b->lock);
}

static void inside_body(void *arg, int64_t lo, int64_t hi)
{
    (void)hi;
    if (lo == 0)
        parallel_for(1000, 7, add_bounds, arg);
}

static void test_parallel__cuts_are_the_same_inline_and_not(void)
{
    bounds a = { .lock = PTHREAD_MUTEX_INITIALIZER }, b = { .lock = PTHREAD_MUTEX_INITIALIZER };
    parallel_for(1000, 7, add_bounds, &a);
    parallel_for(2, 1, inside_body, &b);
    CHECK(a.sum != 0);
    CHECK_INT(a.sum, b.sum);
}

int main(void)
{
    RUN(test_system__quotas_cut_the_cores);
    RUN(test_system__limits_cut_the_memory);
    RUN(test_system__cores_and_clock);
    cpu_count_set(4); /* threads, whatever the machine has */
    RUN(test_parallel__covers_everything_once);
    RUN(test_parallel__nested_calls_run_inline);
    RUN(test_parallel__many_callers_at_once);
    RUN(test_parallel__jobs_after_pauses);
    RUN(test_parallel__works_in_a_forked_child);
    RUN(test_parallel__pieces_run_at_the_same_time);
    RUN(test_parallel__cuts_are_the_same_inline_and_not);
    cpu_count_set(1);
    RUN(test_parallel__covers_everything_once);
    return TEST_EXIT();
}
