/*
 * fuzz_frames.c - what a child that reads documents may send back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/prepare/parts.h"
#include "fuzz.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const hone_note_row reader_row = { HONE_KIND_READER, "bad", ".bad" };
    static const hone_note_row recipe_row = { HONE_KIND_RECIPE, "echo", "" };
    static reader_choice reader = { .row = { NULL, &reader_row } };
    static recipe_choice recipe = { .name = "echo", .row = { NULL, &recipe_row } };
    char path[] = "docs/a.bad";
    document d = { .path = path, .shown = path, .bytes = 100 };
    run r = { .crew = { .readers = &reader, .n_readers = 1, .recipes = &recipe, .n_recipes = 1 },
              .readers = &reader,
              .recipes = &recipe,
              .docs = &d,
              .n_docs = 1 };
    worker w = { .pid = 1, .ready = n % 2 == 0, .doc = 0 };
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
    const uint64_t n_units = json_object_get(d.meta, "unit") ? UINT32_MAX : d.bytes;
    for (size_t i = 0; i < d.n; i++)
        for (size_t k = 0; k < d.samples[i].n_segments; k++)
            if (d.samples[i].segments[k].src_off + d.samples[i].segments[k].src_len > n_units)
                abort();
    d.path = NULL;
    document_finish(&d);
    return 0;
}
