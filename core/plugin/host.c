/*
 * host.c - the table lent to plugins.
 *
 * An allocation carries a small record in front of the pointer it gives, so that
 * free() knows size and tag. Tags are a short list; the last slot takes what comes
 * after it is full.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/plugin/plugin.h"

#include <pthread.h>
#include <stdlib.h>

#define MAX_TAGS 64
#define MAX_SERVICES 16

typedef struct tag_row {
    char name[40];
    int64_t bytes, peak;
} tag_row;

typedef struct block { /* in front of every allocation */
    void *start;       /* what the C library gave */
    uint64_t bytes;
    uint32_t tag, check;
} block;

#define BLOCK_CHECK 0x484f4e45u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static tag_row tags[MAX_TAGS];
static uint32_t n_tags;
static struct {
    const char *id;    /* borrowed literal */
    const void *table; /* borrowed */
} services[MAX_SERVICES];
static volatile int cancelled;
static pthread_once_t forks_once = PTHREAD_ONCE_INIT;

/* See log.c: a child must not inherit a lock that nobody gives back. */
static void take(void)
{
    pthread_mutex_lock(&lock);
}

static void give(void)
{
    pthread_mutex_unlock(&lock);
}

static void survive_forks(void)
{
    (void)pthread_atfork(take, give, give);
}

static uint32_t tag_of(const char *name)
{
    uint32_t i;
    char shown[sizeof tags[0].name];
    (void)snprintf(shown, sizeof shown, "%s", name ? name : "(none)");
    for (i = 0; i < n_tags; i++)
        if (strcmp(tags[i].name, shown) == 0)
            return i;
    if (n_tags == MAX_TAGS)
        return MAX_TAGS - 1;
    (void)snprintf(tags[n_tags].name, sizeof shown, "%s",
                   n_tags + 1 < MAX_TAGS ? shown : "(other)");
    return n_tags++;
}

static void *host_alloc(const hone_host *host, uint64_t bytes, uint64_t align, const char *tag)
{
    uint64_t total;
    block b = { .bytes = bytes, .check = BLOCK_CHECK };
    char *p;
    (void)host;
    if (align == 0 || (align & (align - 1)) != 0)
        return NULL;
    if (align < sizeof(max_align_t))
        align = sizeof(max_align_t);
    if (__builtin_add_overflow(bytes, align + sizeof b, &total) || total > SIZE_MAX / 2)
        return NULL;
    b.start = malloc(total);
    if (!b.start)
        return NULL;
    p = (char *)(((uintptr_t)b.start + sizeof b + align - 1) & ~(uintptr_t)(align - 1));
    pthread_mutex_lock(&lock);
    b.tag = tag_of(tag);
    tags[b.tag].bytes += (int64_t)bytes;
    if (tags[b.tag].bytes > tags[b.tag].peak)
        tags[b.tag].peak = tags[b.tag].bytes;
    pthread_mutex_unlock(&lock);
    memcpy(p - sizeof b, &b, sizeof b);
    return p;
}

static void host_free(const hone_host *host, void *p)
{
    block b;
    (void)host;
    if (!p)
        return;
    memcpy(&b, (char *)p - sizeof b, sizeof b);
    if (b.check != BLOCK_CHECK || b.tag >= MAX_TAGS) {
        log_line(HONE_LOG_ERROR, "a plugin freed %p, which the host did not allocate; it stays", p);
        return;
    }
    memset((char *)p - sizeof b, 0, sizeof b); /* a second free() is seen as well */
    pthread_mutex_lock(&lock);
    tags[b.tag].bytes -= (int64_t)b.bytes;
    pthread_mutex_unlock(&lock);
    free(b.start);
}

static void host_log(const hone_host *host, uint32_t level, const char *line)
{
    (void)host;
    log_line(level, "%s", line ? line : "");
}

static int32_t host_cancelled(const hone_host *host)
{
    (void)host;
    return cancelled;
}

static void host_parallel_for(const hone_host *host, int64_t n, int64_t grain,
                              void (*body)(void *arg, int64_t lo, int64_t hi), void *arg)
{
    (void)host;
    parallel_for(n, grain, body, arg);
}

static uint64_t host_random(const hone_host *host, uint64_t seed, uint64_t stream, uint64_t counter)
{
    (void)host;
    return rng_u64(seed, stream, counter);
}

static const void *host_service(const hone_host *host, const char *id)
{
    const void *table = NULL;
    size_t i;
    (void)host;
    pthread_mutex_lock(&lock);
    for (i = 0; i < MAX_SERVICES && id && !table; i++)
        if (services[i].id && strcmp(services[i].id, id) == 0)
            table = services[i].table;
    pthread_mutex_unlock(&lock);
    return table;
}

const hone_host *plugin_host(void)
{
    static const hone_host host = {
        .struct_size = sizeof host,
        .abi_major = HONE_ABI_MAJOR,
        .abi_minor = HONE_ABI_MINOR,
        .log = host_log,
        .alloc = host_alloc,
        .free = host_free,
        .cancelled = host_cancelled,
        .parallel_for = host_parallel_for,
        .random = host_random,
        .service = host_service,
    };
    (void)pthread_once(&forks_once, survive_forks);
    return &host;
}

bool host_offer_service(const char *id, const void *table)
{
    size_t i, slot = MAX_SERVICES;
    pthread_mutex_lock(&lock);
    for (i = MAX_SERVICES; i-- > 0;)
        if (!services[i].id)
            slot = i;
    for (i = 0; i < MAX_SERVICES; i++)
        if (services[i].id && strcmp(services[i].id, id) == 0)
            slot = i;
    if (slot < MAX_SERVICES) {
        services[slot].id = table ? id : NULL;
        services[slot].table = table;
    }
    pthread_mutex_unlock(&lock);
    return slot < MAX_SERVICES;
}

void host_cancel(bool on)
{
    cancelled = on;
}

bool host_is_cancelled(void)
{
    return cancelled != 0;
}

int64_t host_bytes(const char *tag)
{
    int64_t bytes = 0;
    uint32_t i;
    pthread_mutex_lock(&lock);
    for (i = 0; i < n_tags; i++)
        if (!tag || strcmp(tags[i].name, tag) == 0)
            bytes += tags[i].bytes;
    pthread_mutex_unlock(&lock);
    return bytes;
}

static int compare_peaks(const void *a, const void *b)
{
    const tag_row *x = a, *y = b;
    return x->peak != y->peak ? (x->peak < y->peak ? 1 : -1) : strcmp(x->name, y->name);
}

void host_memory_report(text *out)
{
    tag_row rows[MAX_TAGS];
    uint32_t i, n;
    pthread_mutex_lock(&lock);
    n = n_tags;
    memcpy(rows, tags, n * sizeof rows[0]);
    pthread_mutex_unlock(&lock);
    qsort(rows, n, sizeof rows[0], compare_peaks);
    for (i = 0; i < n; i++)
        text_printf(out, "%s %lld %lld\n", rows[i].name, (long long)rows[i].bytes,
                    (long long)rows[i].peak);
}
