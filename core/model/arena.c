/*
 * arena.c - where everything a pass computes lies, planned before it is allocated.
 *
 * Offsets are handed out one after another; the parts of a training pass that are never
 * alive together (loss, feed-forward backward, attention backward) start at the same
 * offset. How much a block keeps for its backward pass is chosen by the plan (KEEP_*).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "core/model/impl.h"

#define ALIGN 256u              /* bytes; also keeps slots on cache lines of any device */
#define LOGITS_FLOATS (1 << 24) /* of the chunk of logits, unless one row is longer */
#define LOGITS_MAX_ROWS 1024

/* ------------------------------------------------------------------------ slots */

typedef struct cursor {
    uint64_t at, peak; /* bytes */
} cursor;

/* n float32 (or int32) elements. */
static slot take(cursor *c, int64_t n)
{
    const slot s = c->at;
    c->at += ((uint64_t)n * 4 + ALIGN - 1) / ALIGN * ALIGN;
    if (c->at > c->peak)
        c->peak = c->at;
    return s;
}

/* What a block computes from x, but for what is cheap. own_mid: the stream after attention
 * does not overwrite the one before. */
static void take_inner(block_slots *b, const model *m, cursor *c, bool own_mid)
{
    const int64_t *d = m->c.dim, n = m->capacity;
    b->mid = own_mid ? take(c, n * d[DIM_C]) : b->x;
    b->rstd1 = take(c, n);
    b->rstd2 = take(c, n);
    b->q = take(c, n * d[DIM_Q]);
    b->k = take(c, n * d[DIM_K]);
    b->v = take(c, n * d[DIM_K]);
    if (m->c.qk_norm) {
        b->rstd_q = take(c, n * m->c.heads);
        b->rstd_k = take(c, n * m->c.kv_heads);
    }
    b->o = take(c, n * d[DIM_Q]);
    b->lse = take(c, 2 * n * m->c.heads);
    b->gate = take(c, n * d[DIM_F]);
    b->up = take(c, n * d[DIM_F]);
}

static void take_cheap(block_slots *b, const model *m, cursor *c)
{
    const int64_t *d = m->c.dim, n = m->capacity;
    b->xn1 = take(c, n * d[DIM_C]);
    b->xn2 = take(c, n * d[DIM_C]);
    if (m->c.qk_norm) {
        b->qn = take(c, n * d[DIM_Q]);
        b->kn = take(c, n * d[DIM_K]);
    }
    b->y = take(c, n * d[DIM_F]);
}

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* xa of every adapter: its own where the block keeps what it computes, else one per
 * projection for all blocks. */
static void take_adapters(const model *m, cursor *c)
{
    for (int w = 0; w < W_COUNT; w++) {
        int64_t rank = 0;
        for (int64_t l = 0; l < m->c.layers; l++) {
            lora *a = weight_at(m, l, w)->lora;
            if (a && m->train && m->arena.block[l].keep != KEEP_INPUT)
                a->xa = take(c, m->capacity * a->rank);
            else if (a)
                rank = max_of(rank, a->rank);
        }
        const slot shared = take(c, m->capacity * rank);
        for (int64_t l = 0; l < m->c.layers; l++) {
            lora *a = weight_at(m, l, w)->lora;
            if (a && (!m->train || m->arena.block[l].keep == KEEP_INPUT))
                a->xa = shared;
        }
    }
}

/* Scratch of forward and backward passes, parts that exclude each other on one place. cheap:
 * where blocks that do not keep it put it. Returns the bytes of the head's part. */
static uint64_t take_scratch(arena *a, block_slots *cheap, const model *m, cursor *c)
{
    const int64_t *d = m->c.dim, n = m->capacity;
    const int64_t widest = max_of(max_of(d[DIM_C], d[DIM_F]), d[DIM_Q]);
    cheap->xn1 = cheap->xn2 = take(c, n * d[DIM_C]);
    if (m->c.qk_norm) {
        cheap->qn = take(c, n * d[DIM_Q]);
        cheap->kn = take(c, n * d[DIM_K]);
    }
    if (m->dropout > 0)
        a->xd = take(c, n * widest);
    if (m->train) {
        a->dxa = take(c, n * max_of(m->max_rank, 1));
        a->dx = take(c, n * d[DIM_C]);
        a->dn = take(c, n * d[DIM_C]);
    }
    const uint64_t shared = c->at; /* the head of the network and its loss */
    a->h = take(c, n * d[DIM_C]);
    a->hn = take(c, n * d[DIM_C]);
    a->rstd = take(c, n);
    a->logits = take(c, a->chunk * d[DIM_V]);
    if (m->train) {
        a->dh = take(c, n * d[DIM_C]);
        a->dhn = take(c, n * d[DIM_C]);
    }
    const uint64_t head = c->at - shared;
    c->at = shared; /* feed-forward */
    cheap->y = take(c, n * d[DIM_F]);
    if (m->train)
        a->dy = take(c, n * d[DIM_F]);
    c->at = shared; /* attention, backward */
    if (m->train) {
        a->d_o = take(c, n * d[DIM_Q]);
        a->dq = take(c, n * d[DIM_Q]);
        a->dk = take(c, n * d[DIM_K]);
        a->dv = take(c, n * d[DIM_K]);
        if (m->c.qk_norm) {
            a->dqn = take(c, n * d[DIM_Q]);
            a->dkn = take(c, n * d[DIM_K]);
        }
    }
    c->at = c->peak;
    return head;
}

/* KEEP_* of block l; of one that does not train, KEEP_INPUT. */
static int keep_of(const model *m, int64_t l)
{
    const int64_t from_end = m->c.layers - 1 - l;
    if (!m->train || l < m->first)
        return KEEP_INPUT;
    if (from_end < m->keep_all)
        return KEEP_ALL;
    return from_end < m->keep_all + m->keep_cheap ? KEEP_CHEAP : KEEP_INPUT;
}

static void take_blocks(arena *a, model *m, cursor *c)
{
    const int64_t layers = m->c.layers, n = m->capacity, *d = m->c.dim;
    const int64_t first = m->train ? m->first : layers; /* that keeps what it computes */
    block_slots frozen = { 0 }, again = { 0 };          /* shared sets */
    bool any_again = false;
    for (int64_t l = first; l < layers; l++)
        any_again |= keep_of(m, l) == KEEP_INPUT;
    if (first > 0 && !any_again) {
        frozen.x = take(c, n * d[DIM_C]);
        take_inner(&frozen, m, c, false);
    } else if (any_again) {
        take_inner(&again, m, c, true);
        frozen = again;
        frozen.x = frozen.mid;
    }
    for (int64_t l = 0; l < layers; l++) {
        block_slots *b = &a->block[l];
        *b = l < first ? frozen : again;
        b->keep = keep_of(m, l);
        if (l < first)
            continue;
        b->x = take(c, n * d[DIM_C]);
        if (b->keep != KEEP_INPUT)
            take_inner(b, m, c, true);
        if (b->keep == KEEP_ALL)
            take_cheap(b, m, c);
    }
    /* The stream that leaves the last block is read once, by the head. A set that is used
     * again by the backward pass may hold it: the head has done by then. */
    a->last_x = first > 0 || any_again ? frozen.x : take(c, n * d[DIM_C]);
}

hone_status arena_plan(model *m, hone_error *err)
{
    arena *a = &m->arena;
    cursor c = { 0 };
    block_slots cheap = { 0 };
    uint64_t *bytes = m->plan.bytes, head, before;
    const int64_t layers = m->c.layers, n = m->capacity, vocab = m->c.dim[DIM_V];
    if (!a->block)
        a->block = mem_new((size_t)layers, sizeof *a->block);
    if (!a->block)
        return hone_fail(err, HONE_ERR_NOMEM, "model: no memory for a plan of %lld blocks",
                         (long long)layers);
    a->chunk = max_of(1, LOGITS_FLOATS / vocab);
    if (a->chunk > n)
        a->chunk = n;
    if (a->chunk > LOGITS_MAX_ROWS)
        a->chunk = LOGITS_MAX_ROWS;

    /* int32: ids, position, first_key, last_key, learn_row, target (n each), cu_q, cu_k */
    a->inputs = take(&c, 6 * (n + 16) + 2 * (m->max_sequences + 17));
    a->nll = take(&c, n);
    a->loss = take(&c, LOSS_SLOTS);
    before = bytes[BYTES_INPUTS] = c.peak;

    take_blocks(a, m, &c);
    take_adapters(m, &c);
    bytes[BYTES_ACTIVATIONS] = c.peak - before;

    before = c.peak;
    head = take_scratch(a, &cheap, m, &c);
    bytes[BYTES_HEAD] = head;
    bytes[BYTES_SCRATCH] = c.peak - before - head;
    a->bytes = c.peak;
    for (int64_t l = 0; l < layers; l++) {
        block_slots *b = &a->block[l];
        if (b->keep == KEEP_ALL)
            continue;
        b->xn1 = cheap.xn1;
        b->xn2 = cheap.xn2;
        b->qn = cheap.qn;
        b->kn = cheap.kn;
        b->y = cheap.y;
    }
    return HONE_OK;
}

/* ------------------------------------------------------------------------ views */

hone_tensor arena_1d(const model *m, slot s, int64_t n)
{
    return hone_tensor_1d(m->buf, s, HONE_F32, n);
}

hone_tensor arena_2d(const model *m, slot s, int64_t rows, int64_t cols)
{
    return hone_tensor_2d(m->buf, s, HONE_F32, rows, cols);
}

hone_tensor arena_heads(const model *m, slot s, int64_t n, int64_t heads)
{
    const int64_t shape[3] = { n, heads, m->c.head_dim };
    return hone_tensor_dense(m->buf, s, HONE_F32, 3, shape);
}
