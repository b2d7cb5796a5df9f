/*
 * attention.h - what the forward and the backward pass of attention share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CPU_ATTENTION_H
#define CPU_ATTENTION_H

#include "cpu.h"

typedef struct attention {
    const cpu_kernels *k;
    cpu_tile_multiply *multiply;
    const cpu_amx *amx; /* multiply is of this table: see attention_each(); or NULL */
    int64_t n, m, heads, kv_heads, d;
    int64_t wide; /* d rounded up to TILE_N                              */
    int64_t sequences;
    int32_t window;
    float scale;
    const int32_t *cu_q, *cu_k;
    cpu_view q, kk, v, o, lse; /* kk: the keys                                   */
    cpu_view d_o, dq, dk, dv;  /* backward                                       */
    uint8_t *scratch;          /* one work area per thread                            */
    uint64_t scratch_each;
} attention;

/* Queries [first, first + n) of one head of one sequence, against its keys. */
typedef struct attention_tile {
    int64_t query, n;    /* rows of q                                          */
    int64_t lanes;       /* n rounded up to TILE_N                             */
    int64_t key, n_keys; /* rows of k of the whole sequence                    */
    int64_t position;    /* of the first query among the keys                  */
    int64_t head, kv_head;
} attention_tile;

hone_status attention_init(attention *a, hone_queue *q, const hone_attention_args *args, bool back,
                           hone_error *err);
/* body(arg, item, thread) for each of n items, whatever a->multiply needs around it. */
void attention_each(const hone_dev *dev, const attention *a, int64_t n,
                    void (*body)(void *arg, int64_t item, int thread), void *arg);
/* Query tiles of a sequence, and the t-th of them. */
int64_t attention_tiles(const attention *a, int64_t sequence);
attention_tile attention_tile_of(const attention *a, int64_t sequence, int64_t head, int64_t t);
/* Keys [*lo, *hi) that some query of the tile sees. */
void attention_keys(const attention *a, const attention_tile *t, int64_t *lo, int64_t *hi);
/* -inf where key lo + j must not be seen; s (keys, lanes), rows TILE_Q apart. */
void attention_mask(const attention *a, const attention_tile *t, float *s, int64_t lo,
                    int64_t keys);

static inline float *attention_row(const cpu_view *v, int64_t row, int64_t head, int64_t d)
{
    return (float *)v->p + row * v->row + head * d;
}

/* Rows of `d` floats as rows of a->wide, 0 behind: where they lie when d is wide
 * enough, otherwise copied to `pack`. */
const float *attention_pad(const attention *a, const cpu_view *v, int64_t row, int64_t head,
                           int64_t rows, float *pack, int64_t *stride);

#endif /* CPU_ATTENTION_H */
