/*
 * cores.h - which cores the process may use, and how much of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CPU_CORES_H
#define CPU_CORES_H

enum { CORES_MAX = 8192 }; /* a multiple of CPU_SETSIZE */

/* Whole cores that the quota of the process's control groups is worth, at least 1; 0: there
 * is no quota. root: where groups are mounted; groups: a file like /proc/self/cgroup. */
int cores_quota(const char *root, const char *groups);
/* Numbers of the cores in the affinity mask, at most cap of them; how many there are is
 * returned, 0 when nobody knows. */
int cores_in_mask(int *core, int cap);
/* Threads that the process may run at once: mask and quota. */
int cores_allowed(void);

#endif /* CPU_CORES_H */
