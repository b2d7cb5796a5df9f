/*
 * fuzz_exec.c - lines that the program of a recipe may write.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/prepare/exec.h"
#include "fuzz.h"

#include <stdlib.h>

static hone_status take_sample(const hone_sample_sink *sink, const hone_segment *segments,
                               uint64_t n, hone_error *err)
{
    (void)sink;
    (void)err;
    if (!n)
        abort();
    for (uint64_t i = 0; i < n; i++)
        if (segments[i].role > HONE_ROLE_ASSISTANT ||
            (segments[i].role == HONE_ROLE_RAW && n != 1) ||
            (segments[i].loss_weight != 0 && segments[i].loss_weight != 1) ||
            !utf8_valid(segments[i].text.p, (size_t)segments[i].text.n) ||
            segments[i].src_off + segments[i].src_len < segments[i].src_off)
            abort();
    return HONE_OK;
}

static void take_lost(const hone_sample_sink *sink, uint64_t bytes, const char *why)
{
    (void)sink;
    if (bytes > INT64_MAX || strlen(why) > 200)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    const hone_block block = { .kind = HONE_BLOCK_TEXT,
                               .text = { "words", 5 },
                               .lang = { "", 0 },
                               .src_off = 3,
                               .src_len = 5 };
    const hone_document d = { .struct_size = sizeof d,
                              .name = { "a.md", 4 },
                              .title = { "", 0 },
                              .blocks = &block,
                              .n_blocks = 1 };
    const hone_sample_sink sink = { .struct_size = sizeof sink,
                                    .add = take_sample,
                                    .lost = take_lost };
    bool end = false;
    while (n && !end) {
        hone_error err = { 0 };
        const uint8_t *nl = memchr(p, '\n', n);
        const size_t line = nl ? (size_t)(nl - p) : n;
        const hone_status st = exec_take_line((const char *)p, line, &d, &sink, &end, &err);
        if (st && !err.message[0] && !end)
            abort();
        n -= line + (nl != NULL);
        p += line + (nl != NULL);
    }
    return 0;
}
