/*
 * fuzz_frames.c - what a child that reads documents may send back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/prepare/asks.h"
#include "core/prepare/parts.h"
#include "fuzz.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const hone_note_row reader_row = { HONE_KIND_READER, "bad", ".bad" };
    static const hone_note_row recipe_row = { HONE_KIND_RECIPE, "echo", "" };
    static reader_choice reader = { .row = { NULL, &reader_row } };
    static recipe_choice recipe = { .name = "echo", .row = { NULL, &recipe_row } };
    const prepare_options o = { .out = "/tmp" };
    document d = { .shown = mem_strdup("docs/a.bad"), .bytes = 100, .sourced = true };
    run r = { .o = &o,
              .crew = { .readers = &reader, .n_readers = 1, .recipes = &recipe, .n_recipes = 1 },
              .readers = &reader,
              .recipes = &recipe,
              .ring = &d,
              .n_ring = 1 };
    worker w = { .ready = n % 2 == 0, .doc = 0 };
    size_t at = 0;
    while (at < n) {
        frame f;
        size_t used = 0;
        bool fault = true;
        hone_error err = { 0 };
        if (frame_next(&f, p + at, n - at, &used, &err) || take_frame(&r, &w, &f, &fault, &err))
            break;
        at += used;
    }
    asks_forget(&w.asks);
    const uint64_t n_units = json_object_get(d.meta, "unit") ? UINT32_MAX : d.bytes;
    spool_reader in = { .s = &d.said };
    frame f;
    while (!spool_next(&in, &f, NULL)) { /* what was taken once is taken again */
        sample s = { 0 };
        bool fault;
        if (f.type == FRAME_SAMPLE && take_about(&r, &d, &f, &s, &fault, NULL))
            abort();
        for (size_t k = 0; k < s.n_segments; k++)
            if (s.segments[k].src_off + s.segments[k].src_len > n_units)
                abort();
        sample_finish(&s);
    }
    spool_reader_finish(&in);
    document_finish(&d);
    return 0;
}
