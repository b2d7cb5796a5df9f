/*
 * mem.c - checked allocation, and how much memory this process holds.
 *
 * The kernel keeps a highest value only for all resident pages, mapped files
 * included. What a plan predicts is anonymous memory, so the peak here is the
 * highest RssAnon seen by a call of either function: sample where it matters.
 *
 * glibc raises the size from which it maps blocks by themselves whenever such a block is freed,
 * up to 32 MB. Staging that comes and goes while weights are loaded would then leave holes
 * among them which stay resident: 59 MB of 256, once. The sizes are fixed here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef __GLIBC__
__attribute__((constructor)) static void give_back_what_is_freed(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 4 << 20);
}
#endif

void *mem_new(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    return calloc(1, bytes ? bytes : 1);
}

bool mem_grow(void *p, size_t *cap, size_t need, size_t size)
{
    size_t want = *cap, bytes;
    void *old, *fresh;
    if (need <= *cap)
        return true;
    if (__builtin_add_overflow(want, want / 2, &want) || want < need)
        want = need;
    if (want < 8)
        want = 8;
    if (__builtin_mul_overflow(want, size, &bytes))
        return false;
    memcpy(&old, p, sizeof old); /* *p is a pointer to any type */
    fresh = realloc(old, bytes ? bytes : 1);
    if (!fresh)
        return false;
    memset((char *)fresh + *cap * size, 0, bytes - *cap * size);
    memcpy(p, &fresh, sizeof fresh);
    *cap = want;
    return true;
}

char *mem_strdup(const char *s)
{
    return s ? mem_strndup(s, strlen(s)) : NULL;
}

char *mem_strndup(const char *p, size_t n)
{
    char *copy = n < SIZE_MAX ? malloc(n + 1) : NULL;
    if (copy) {
        if (n)
            memcpy(copy, p, n);
        copy[n] = '\0';
    }
    return copy;
}

static _Atomic int64_t highest;

int64_t mem_resident(void)
{
    char buf[4096];
    int64_t bytes = 0, seen;
    const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    const ssize_t n = read(fd, buf, sizeof buf - 1);
    close(fd);
    if (n > 0) {
        buf[n] = '\0';
        const char *row = strstr(buf, "\nRssAnon:");
        if (row)
            bytes = strtoll(row + 9, NULL, 10) * 1024; /* the file counts in kB */
    }
    seen = atomic_load(&highest);
    while (bytes > seen && !atomic_compare_exchange_weak(&highest, &seen, bytes))
        continue;
    return bytes;
}

int64_t mem_resident_peak(void)
{
    (void)mem_resident();
    return atomic_load(&highest);
}
