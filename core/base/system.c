/*
 * system.c - the clock, and the cores this process may use.
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
