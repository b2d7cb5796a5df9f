/*
 * jinja_arena.c - memory that is freed at once, and the error that sticks to it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/jinja_impl.h"

#include <stdlib.h>

struct arena_block {
    arena_block *next; /* owned */
    size_t n, used;
    _Alignas(16) unsigned char bytes[];
};

#define BLOCK_BYTES ((size_t)16 << 10)

void arena_fail(arena *a, hone_status st, const char *format, ...)
{
    va_list args;
    if (a->st)
        return;
    a->st = st;
    if (!a->err)
        return;
    va_start(args, format);
    a->err->code = st;
    (void)vsnprintf(a->err->message, sizeof a->err->message, format, args);
    va_end(args);
}

void *arena_take(arena *a, size_t n)
{
    arena_block *b = a->blocks;
    if (a->st)
        return NULL;
    if (n > MAX_BYTES || a->used + n > MAX_BYTES) {
        arena_fail(a, HONE_ERR_LIMIT, "the template wants more than %zu bytes", MAX_BYTES);
        return NULL;
    }
    n = (n + 15) & ~(size_t)15;
    if (!b || b->n - b->used < n) {
        const size_t size = n > BLOCK_BYTES ? n : BLOCK_BYTES;
        b = mem_new(1, sizeof *b + size);
        if (!b) {
            arena_fail(a, HONE_ERR_NOMEM, "no memory to run a template");
            return NULL;
        }
        b->n = size;
        b->next = a->blocks;
        a->blocks = b;
    }
    void *p = b->bytes + b->used;
    b->used += n;
    a->used += n;
    return p;
}

void arena_finish(arena *a)
{
    while (a->blocks) {
        arena_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
}
