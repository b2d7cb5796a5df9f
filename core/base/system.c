/*
 * system.c - the clock, and the cores and the memory this process may use.
 *
 * Cores: what the scheduler allows, cut by the CPU quota of the control group
 * (v2 cpu.max; v1 cpu.cfs_quota_us), of it and of every group above it. A quota of 2.5
 * counts 2: a third thread would be stopped in the middle of every period.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/system.h"
#include "core/base/base.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

double clock_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

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

/* ------------------------------------------------------------------ control groups */

/* What a group whose folder this is leaves of `left`. */
typedef double cut_fn(const char *dir, bool v2, double left);

/* ... of the groups from dir (below root) upwards. */
static double cut_upwards(const char *root, const char *dir, bool v2, cut_fn *cut, double left)
{
    const size_t root_n = strlen(root);
    char *at = path_join(root, dir + (dir[0] == '/'));
    while (at) {
        char *slash;
        left = cut(at, v2, left);
        slash = strrchr(at, '/');
        if (!slash || (size_t)(slash - at) < root_n)
            break;
        *slash = '\0';
    }
    free(at);
    return left;
}

/* ... of all groups in the file `groups`; controller: of version 1. */
static double cut_groups(const char *groups, const char *sys, const char *controller, cut_fn *cut,
                         double left)
{
    char *p = NULL, *row, *next;
    if (file_read(&p, NULL, groups, 1 << 16, NULL) != HONE_OK)
        return left;
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
            left = cut_upwards(sys, group, true, cut, left);
            if (unified)
                left = cut_upwards(unified, group, true, cut, left);
            free(unified);
            continue;
        }
        for (name = strtok_r(controllers, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
            char *mount = strcmp(name, controller) == 0 ? path_join(sys, controller) : NULL;
            if (mount)
                left = cut_upwards(mount, group, false, cut, left);
            free(mount);
        }
    }
    free(p);
    return left;
}

static double cut_cores(const char *dir, bool v2, double left)
{
    double quota = 0, period = 0;
    const bool limited = v2 ? read_quota(dir, "cpu.max", &quota, &period)
                            : read_quota(dir, "cpu.cfs_quota_us", &quota, NULL) &&
                                  read_quota(dir, "cpu.cfs_period_us", &period, NULL);
    return limited && period > 0 && quota / period < left ? quota / period : left;
}

int system_quota(const char *groups, const char *sys, int cores)
{
    const double left = cut_groups(groups, sys, "cpu", cut_cores, cores);
    return left < 1 ? 1 : (int)left;
}

/* Number behind `key` at the start of a line of a file; -1: not there. */
static double number_in(const char *path, const char *key)
{
    char *p = NULL, *at;
    const size_t n = strlen(key);
    double value = -1;
    if (file_read(&p, NULL, path, 1 << 20, NULL) != HONE_OK)
        return -1;
    for (at = p; at; at = strchr(at, '\n'), at += at != NULL)
        if (strncmp(at, key, n) == 0) {
            value = strtod(at + n, NULL);
            break;
        }
    free(p);
    return value;
}

/* Cached file pages count as used by a group and are given back when they are wanted. */
static double cut_memory(const char *dir, bool v2, double left)
{
    double limit = 0, used = 0, cached, room;
    char *stat;
    if (!read_quota(dir, v2 ? "memory.max" : "memory.limit_in_bytes", &limit, NULL) ||
        !read_quota(dir, v2 ? "memory.current" : "memory.usage_in_bytes", &used, NULL))
        return left;
    stat = path_join(dir, "memory.stat");
    cached = stat ? number_in(stat, v2 ? "inactive_file " : "total_inactive_file ") : 0;
    free(stat);
    room = limit - used + (cached > 0 ? cached : 0);
    if (room < 0)
        room = 0;
    return room < left ? room : left;
}

int64_t system_memory(const char *info, const char *groups, const char *sys)
{
    const double kb = number_in(info, "MemAvailable:");
    const double left = cut_groups(groups, sys, "memory", cut_memory, kb > 0 ? kb * 1024 : 0);
    return (int64_t)left;
}

int64_t mem_available(void)
{
    return system_memory("/proc/meminfo", "/proc/self/cgroup", "/sys/fs/cgroup");
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
