/*
 * fuzz_archive.c - archives from outside: zip, tar, packed files, one in another. The first byte says
 * by which name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/prepare/parts.h"
#include "fuzz.h"

#include <stdlib.h>

typedef struct heard {
    size_t frames, bytes;
} heard;

/* What is sent is whole frames of the four kinds, and names are UTF-8. */
static bool hear(void *ctx, const void *p, size_t n)
{
    heard *h = ctx;
    const uint8_t *at = p;
    while (n) {
        frame f;
        size_t used = 0;
        if (frame_next(&f, at, n, &used, NULL))
            abort();
        if (f.type == FRAME_DATA)
            h->bytes += frame_bytes(&f).n;
        else if (f.type == FRAME_ENTRY)
            (void)frame_str(&f);
        else if (f.type == FRAME_LEFT && frame_u32(&f) < LEFT_REASONS)
            (void)frame_str(&f), (void)frame_str(&f);
        else if (f.type != FRAME_END)
            abort();
        if (f.bad)
            abort();
        h->frames++;
        at += used;
        n -= used;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const char *const names[] = { "a.zip", "a.tar", "a.txt.gz", "a.tar.xz" };
    static registry *plugins;
    const prepare_options o = { .archive_depth = 3 };
    const unpack_limits limits = {
        .entry_bytes = 1u << 16, .total_bytes = 1u << 18, .entries = 50, .ratio = 1000, .depth = 3
    };
    heard h = { 0 };
    hone_error err = { 0 };
    if (!plugins && registry_open(&plugins, NULL, 0, &err))
        abort();
    const run r = { .o = &o, .crew = { .plugins = plugins }, .fallback = 0 };
    if (n == 0)
        return 0;
    const hone_status st = unpack_bytes(&r, &limits, p + 1, n - 1, names[p[0] % 4], hear, &h, &err);
    if ((st && !err.message[0]) || h.bytes > limits.total_bytes + (1u << 16))
        abort();
    return 0;
}
