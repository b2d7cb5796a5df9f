/*
 * system.h - private to core/base: what tests of system.c reach.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_BASE_SYSTEM_H
#define CORE_BASE_SYSTEM_H

#include <stdint.h>

/* `cores`, cut by the CPU quotas of the groups listed in the file `groups`
 * (/proc/self/cgroup) below the mount point sys; at least 1. */
int system_quota(const char *groups, const char *sys, int cores);

/* MemAvailable of the file `info` (/proc/meminfo), cut by the memory limits of those groups. */
int64_t system_memory(const char *info, const char *groups, const char *sys);

#endif /* CORE_BASE_SYSTEM_H */
