/*
 * arena.c - where everything a pass computes lies, planned before it is allocated.
 *
 * Offsets are handed out one after another; the parts of a training pass that are never
 * alive together (loss, feed-forward backward, attention backward) start at the same
 * offset. Kept for the backward pass: whatever would need a matrix product to come back.
 * Norms, rotations and swiglu are computed again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "core/model/impl.h"

#define ALIGN 256u              /* bytes; also keeps slots on cache lines of any device */
#define LOGITS_FLOATS (1 << 24) /* of the chunk of logits, unless one row is longer */
#define LOGITS_MAX_ROWS 1024

/* ------------------------------------------------------------------------- plan */

void plan_add(plan *p, const char *name, uint64_t bytes)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->rows[i].name, name) == 0) {
            p->rows[i].bytes += bytes;
            return;
        }
    if (!mem_grow(&p->rows, &p->cap, p->n + 1, sizeof *p->rows)) {
        p->failed = true;
        return;
    }
    (void)snprintf(p->rows[p->n].name, sizeof p->rows[p->n].name, "%s", name);
    p->rows[p->n++].bytes = bytes;
}

uint64_t plan_total(const plan *p)
{
    uint64_t total = 0;
    for (size_t i = 0; i < p->n; i++)
        total += p->rows[i].bytes;
    return total;
}

void plan_finish(plan *p)
{
    free(p->rows);
    *p = (plan){ 0 };
}

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

static void take_block(block_slots *b, const model *m, cursor *c, bool keep)
{
    const int64_t *d = m->c.dim, n = m->capacity;
    b->x = take(c, n * d[DIM_C]);
    b->mid = keep ? take(c, n * d[DIM_C]) : b->x;
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
    b->lse = take(c, n * m->c.heads);
    b->gate = take(c, n * d[DIM_F]);
    b->up = take(c, n * d[DIM_F]);
}

static void take_adapters(const model *m, cursor *c)
{
    for (int64_t l = 0; l < m->c.layers; l++)
        for (int w = 0; w < W_COUNT; w++) {
            lora *a = weight_at(m, l, w)->lora;
            if (a && m->train)
                a->xa = take(c, m->capacity * a->rank);
        }
    if (m->train)
        return;
    const slot shared = take(c, m->capacity * m->max_rank); /* nothing is kept */
    for (int64_t i = 0; i < m->c.layers * W_COUNT; i++)
        if (m->weights[i].lora)
            m->weights[i].lora->xa = shared;
}

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Scratch of forward and backward passes, parts that exclude each other on one place. */
static void take_scratch(arena *a, const model *m, cursor *c)
{
    const int64_t *d = m->c.dim, n = m->capacity;
    const int64_t widest = max_of(max_of(d[DIM_C], d[DIM_F]), d[DIM_Q]);
    a->xn = take(c, n * d[DIM_C]);
    if (m->c.qk_norm) {
        a->qn = take(c, n * d[DIM_Q]);
        a->kn = take(c, n * d[DIM_K]);
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
    c->at = shared; /* feed-forward */
    a->y = take(c, n * d[DIM_F]);
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
}

hone_status arena_plan(model *m, hone_error *err)
{
    arena *a = &m->arena;
    cursor c = { 0 };
    block_slots shared = { 0 };
    const int64_t layers = m->c.layers, n = m->capacity, vocab = m->c.dim[DIM_V];
    const int64_t first = m->train ? m->first : layers; /* that keeps what it computes */
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
    plan_add(&m->plan, "inputs", c.peak);

    uint64_t before = c.peak;
    if (first > 0)
        take_block(&shared, m, &c, false);
    for (int64_t l = 0; l < layers; l++) {
        if (l < first)
            a->block[l] = shared;
        else
            take_block(&a->block[l], m, &c, true);
    }
    /* The stream that leaves the last block is read once, by the head. */
    a->last_x = first > 0 ? shared.x : take(&c, n * m->c.dim[DIM_C]);
    take_adapters(m, &c);
    plan_add(&m->plan, "activations", c.peak - before);

    before = c.peak;
    take_scratch(a, m, &c);
    plan_add(&m->plan, "scratch", c.peak - before);
    a->bytes = c.peak;
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
