/*
 * fuzz_safetensors.c - a safetensors file: whatever opens, every tensor it lists lies inside
 * the input, and can be read from end to end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz.h"

#include "core/model/model.h"

#include <stdlib.h>
#include <string.h>

static void must(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    st_file *f = NULL;
    hone_error err = { 0 };
    if (st_open_bytes(&f, p, n, "fuzz", &err) != HONE_OK) {
        must(err.message[0] && !strchr(err.message, '\n'));
        return 0;
    }
    uint64_t total = 0;
    for (size_t i = 0; i < st_count(f); i++) {
        const st_tensor *t = st_at(f, i);
        const uint32_t size = hone_dtype_size(t->dtype);
        float x[3];
        must(t->bytes <= n && (t->bytes == 0 || (t->p >= p && t->p + t->bytes <= p + n)));
        must(st_find(f, t->name) == t);
        for (int64_t k = 0; size && k < (int64_t)(t->bytes / size); k += 3) {
            const int64_t left = (int64_t)(t->bytes / size) - k;
            (void)st_read_f32(t, k, left < 3 ? left : 3, x);
        }
        must(!st_read_f32(t, 0, (int64_t)(t->bytes) + 1, x));
        total += t->bytes;
    }
    must(total <= n); /* no byte belongs to two */
    st_close(f);
    return 0;
}
