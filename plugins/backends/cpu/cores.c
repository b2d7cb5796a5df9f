/*
 * cores.c - which cores the process may use, and how much of them.
 *
 * The affinity mask names cores; the quota of a control group is time, which a container
 * gets on any of them. Groups are nested and each one's quota holds: the least counts.
 * /proc/self/cgroup has a line `0::/path` for version 2 and `5:cpu,cpuacct:/path` for
 * version 1, whose paths are those of the host where a container has no namespace of its
 * own; what is not there below the mount is passed over.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cores.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

/* The file's first line at folder/name. */
static bool read_line(const char *folder, const char *name, char line[128])
{
    char path[PATH_BYTES + 64];
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = n > 0 && (size_t)n < sizeof path ? fopen(path, "re") : NULL;
    const bool there = f && fgets(line, 128, f);
    if (f)
        fclose(f);
    return there;
}

/* Microseconds of a period that a group may run, 0: no limit. */
static bool quota_v2(const char *folder, long long *quota, long long *period)
{
    char line[128];
    return read_line(folder, "cpu.max", line) && sscanf(line, "%lld %lld", quota, period) == 2;
}

static bool quota_v1(const char *folder, long long *quota, long long *period)
{
    char line[128];
    return read_line(folder, "cpu.cfs_quota_us", line) && sscanf(line, "%lld", quota) == 1 &&
           read_line(folder, "cpu.cfs_period_us", line) && sscanf(line, "%lld", period) == 1;
}

/* The least quota of root/mount/path and the groups above it; *most: whole cores, 0: none yet. */
static void walk(const char *root, const char *mount, const char *path, bool v2, int *most)
{
    char folder[PATH_BYTES];
    const int n = snprintf(folder, sizeof folder, "%s%s%s%s%s", root, *mount ? "/" : "", mount,
                           *path == '/' ? "" : "/", path);
    const size_t base = strlen(root) + (*mount ? 1 : 0) + strlen(mount);
    if (n < 0 || (size_t)n >= sizeof folder)
        return;
    for (;;) {
        long long quota = 0, period = 0;
        char *slash;
        if ((v2 ? quota_v2(folder, &quota, &period) : quota_v1(folder, &quota, &period)) &&
            quota > 0 && period > 0) {
            const long long whole = quota / period;
            const int cores = whole < 1 ? 1 : whole > CORES_MAX ? CORES_MAX : (int)whole;
            *most = !*most || cores < *most ? cores : *most;
        }
        slash = strrchr(folder, '/');
        if (!slash || slash < folder + base)
            return;
        *slash = '\0';
    }
}

/* Is "cpu" one of the names, as in "cpu,cpuacct"? */
static bool names_cpu(const char *controllers)
{
    for (const char *p = controllers; *p; p += *p == ',') {
        const size_t n = strcspn(p, ",");
        if (n == 3 && strncmp(p, "cpu", 3) == 0)
            return true;
        p += n;
    }
    return false;
}

int cores_quota(const char *root, const char *groups)
{
    char line[PATH_BYTES];
    int most = 0;
    FILE *f = fopen(groups, "re");
    while (f && fgets(line, sizeof line, f)) {
        char *controllers = strchr(line, ':'), *path;
        path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        controllers++;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        if (!*controllers) { /* version 2, alone or beside version 1 */
            walk(root, "", path, true, &most);
            walk(root, "unified", path, true, &most);
        } else if (names_cpu(controllers)) {
            walk(root, controllers, path, false, &most);
            if (strcmp(controllers, "cpu") != 0)
                walk(root, "cpu", path, false, &most);
        }
    }
    if (f)
        fclose(f);
    return most;
}

int cores_in_mask(int *core, int cap)
{
    cpu_set_t set[CORES_MAX / CPU_SETSIZE];
    int n = 0;
    if (sched_getaffinity(0, sizeof set, set))
        return 0;
    for (int i = 0; i < CORES_MAX; i++)
        if (CPU_ISSET_S((size_t)i, sizeof set, set)) {
            if (n < cap)
                core[n] = i;
            n++;
        }
    return n;
}

int cores_allowed(void)
{
    const int mask = cores_in_mask(NULL, 0);
    const int quota = cores_quota("/sys/fs/cgroup", "/proc/self/cgroup");
    const int n = mask && quota && quota < mask ? quota : mask;
    return n < 1 ? 1 : n;
}
