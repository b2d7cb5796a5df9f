/*
 * base_hash.c - one number for all frozen weights, to see that none of them changed.
 *
 * Against mistakes, not against people: 64 bits from eight lanes of multiply, add and rotate,
 * at the speed of memory, of every frozen weight's planes as the device holds them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "core/model/impl.h"
#include "core/model/weights_io.h"

enum { LANES = 8 };
#define ODD_1 UINT64_C(0x9e3779b97f4a7c15)
#define ODD_2 UINT64_C(0xbf58476d1ce4e5b9)

static inline uint64_t mix(uint64_t h, uint64_t x)
{
    h += x * ODD_2;
    return (h << 31 | h >> 33) * ODD_1;
}

/* n bytes into the lanes; what is left of eight words goes on with zeros. */
static void add_bytes(uint64_t h[LANES], const uint8_t *p, uint64_t n)
{
    uint64_t x[LANES];
    for (; n >= sizeof x; p += sizeof x, n -= sizeof x) {
        memcpy(x, p, sizeof x);
        for (int i = 0; i < LANES; i++)
            h[i] = mix(h[i], x[i]);
    }
    memset(x, 0, sizeof x);
    memcpy(x, p, (size_t)n);
    for (int i = 0; i < LANES && n; i++)
        h[i] = mix(h[i], x[i] + n);
}

hone_status model_base_hash(model *m, uint64_t *hash, hone_error *err)
{
    uint64_t h[LANES] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    uint8_t *bytes = mem_new(1, HASH_PIECE);
    hone_status st = HONE_OK;
    if (!bytes)
        return hone_fail(err, HONE_ERR_NOMEM, "model: no memory to look at its weights");
    for (int64_t i = 0; i < m->c.layers * W_COUNT && st == HONE_OK; i++) {
        const weight *w = &m->weights[i];
        if (w->grad.buf) /* it trains */
            continue;
        for (uint32_t k = 0; k < w->w.n_planes && st == HONE_OK; k++) {
            const hone_tensor *t = &w->w.plane[k];
            const uint64_t all = weight_plane_bytes(w, k);
            for (uint64_t at = 0; at < all && st == HONE_OK; at += HASH_PIECE) {
                const uint64_t n = all - at < HASH_PIECE ? all - at : HASH_PIECE;
                st = ops_download(m->o, bytes, t->buf, t->offset + at, n, err);
                if (st == HONE_OK)
                    add_bytes(h, bytes, n);
            }
        }
    }
    free(bytes);
    if (st != HONE_OK)
        return st;
    *hash = 0;
    for (int i = 0; i < LANES; i++)
        *hash = mix(*hash, h[i]);
    return HONE_OK;
}
