/*
 * heap.c - malloc() and its family, counted: the executable's definitions come first for every
 * library of the process.
 *
 * Sizes are kept in a table by address: an aligned block has no room for them in front.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/heap.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif

#ifdef SANITIZED

const bool heap_is_counted = false;

int64_t heap_now(void)
{
    return 0;
}

int64_t heap_peak(void)
{
    return 0;
}

void heap_mark(void)
{
}

#else

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#define SLOTS ((size_t)1 << 20) /* a power of two; blocks at once stay far below */

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);
extern void __libc_free(void *p);

const bool heap_is_counted = true;

static struct {
    uintptr_t p;
    int64_t n;
} table[SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t now, peak;

static size_t home(uintptr_t p)
{
    return (size_t)((p >> 4) * 0x9e3779b97f4a7c15u >> 32) & (SLOTS - 1);
}

static void *add(void *p, size_t n)
{
    const uintptr_t key = (uintptr_t)p;
    if (!p)
        return p;
    (void)pthread_mutex_lock(&lock);
    size_t at = home(key);
    while (table[at].p)
        at = (at + 1) & (SLOTS - 1);
    table[at].p = key;
    table[at].n = (int64_t)n;
    now += (int64_t)n;
    peak = now > peak ? now : peak;
    (void)pthread_mutex_unlock(&lock);
    return p;
}

/* Also for blocks that were there before main(), by the loader's own malloc(): not in the table. */
static void take(const void *p)
{
    const uintptr_t key = (uintptr_t)p;
    (void)pthread_mutex_lock(&lock);
    size_t at = home(key), next;
    while (table[at].p && table[at].p != key)
        at = (at + 1) & (SLOTS - 1);
    if (table[at].p) {
        now -= table[at].n;
        /* whoever was pushed on by it moves up */
        for (next = (at + 1) & (SLOTS - 1); table[next].p; next = (next + 1) & (SLOTS - 1)) {
            const size_t wants = home(table[next].p);
            if (((next - wants) & (SLOTS - 1)) >= ((next - at) & (SLOTS - 1))) {
                table[at] = table[next];
                at = next;
            }
        }
        table[at].p = 0;
    }
    (void)pthread_mutex_unlock(&lock);
}

int64_t heap_now(void)
{
    (void)pthread_mutex_lock(&lock);
    const int64_t n = now;
    (void)pthread_mutex_unlock(&lock);
    return n;
}

int64_t heap_peak(void)
{
    (void)pthread_mutex_lock(&lock);
    const int64_t n = peak;
    (void)pthread_mutex_unlock(&lock);
    return n;
}

void heap_mark(void)
{
    (void)pthread_mutex_lock(&lock);
    peak = now;
    (void)pthread_mutex_unlock(&lock);
}

#define EXPORT __attribute__((visibility("default")))

EXPORT void *malloc(size_t n)
{
    return add(__libc_malloc(n), n);
}

EXPORT void *calloc(size_t n, size_t size)
{
    return add(__libc_calloc(n, size), n * size); /* an overflow gives NULL */
}

EXPORT void *realloc(void *p, size_t n)
{
    if (p)
        take(p);
    return add(__libc_realloc(p, n), n);
}

EXPORT void *memalign(size_t align, size_t n)
{
    return add(__libc_memalign(align, n), n);
}

EXPORT void *aligned_alloc(size_t align, size_t n)
{
    return memalign(align, n);
}

EXPORT int posix_memalign(void **out, size_t align, size_t n)
{
    void *p = memalign(align, n);
    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}

EXPORT void free(void *p)
{
    if (p)
        take(p);
    __libc_free(p);
}

#endif
