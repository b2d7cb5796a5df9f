/*
 * plan.c - the bytes of a model, before there is one.
 *
 * Sizes are computed here and in the planning halves of params.c, weights.c and arena.c,
 * and nowhere else: what is allocated later takes them from there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "core/model/impl.h"

const char *const bytes_names[BYTES_KINDS] = {
    [BYTES_WEIGHTS] = "weights",         [BYTES_ADAPTERS] = "adapters",
    [BYTES_GRADIENTS] = "gradients",     [BYTES_STATES] = "optimizer states",
    [BYTES_ACTIVATIONS] = "activations", [BYTES_HEAD] = "loss head",
    [BYTES_SCRATCH] = "scratch",         [BYTES_WORKSPACE] = "workspace",
    [BYTES_CACHE] = "kv cache",          [BYTES_INPUTS] = "inputs",
};

uint64_t plan_total(const plan *p)
{
    uint64_t total = 0;
    for (int i = 0; i < BYTES_KINDS; i++)
        total += p->bytes[i];
    return total;
}

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ------------------------------------------------------------------------ sizes */

uint64_t rope_bytes(const model *m)
{
    return 2 * (uint64_t)(m->positions * (m->c.head_dim / 2)) * sizeof(float);
}

uint64_t cache_bytes(const model *m)
{
    return (uint64_t)(2 * m->c.layers * m->context * m->c.dim[DIM_K]) * sizeof(float);
}

size_t staging_count(const model *m)
{
    return (size_t)(6 * (m->capacity + 16) + 2 * (m->max_sequences + 17));
}

/* -------------------------------------------------------------------- workspace */

/* Every matrix that a product is made with, the embedding left out where it is none. */
static hone_status workspace_of(model *m, uint64_t *bytes, hone_error *err)
{
    hone_extent_weight shapes[W_COUNT];
    uint32_t n = 0;
    for (const llama_tensor *t = llama_tensors; t->name; t++) {
        const int which = (int)(t - llama_tensors);
        const weight *w = weight_at(m, 0, which);
        if (!llama_has(&m->c, t) || t->cols == DIM_1 || (which == W_EMBED && !m->c.tied))
            continue;
        shapes[n++] = (hone_extent_weight){ .format = w->w.format,
                                            .rows = w->w.rows,
                                            .cols = w->w.cols,
                                            .count = t->flags & TENSOR_PER_LAYER ? m->c.layers : 1,
                                            .trains = m->train == TRAIN_FULL };
    }
    return ops_workspace(m->o, &m->extent, shapes, n, bytes, err);
}

/* What composed ops need as scratch, so that the first step allocates nothing, and what the
 * device says it needs itself. */
static hone_status plan_workspace(model *m, hone_error *err)
{
    const int64_t *d = m->c.dim;
    uint64_t own = 0;
    m->extent = (ops_extent){ .tokens = m->capacity,
                              .channels = max_of(d[DIM_C], d[DIM_Q]),
                              .feed_forward = d[DIM_F],
                              .heads = m->c.heads,
                              .kv_heads = m->c.kv_heads,
                              .head_dim = m->c.head_dim,
                              .max_k = m->positions,
                              .vocabulary = d[DIM_V],
                              .loss_rows = m->arena.chunk,
                              .rank = m->max_rank,
                              .weight_elements = max_of(d[DIM_C], d[DIM_Q]) * d[DIM_F],
                              .training = m->train != TRAIN_NONE,
                              .full = m->train == TRAIN_FULL };
    if (!m->o) /* a device that is not here is taken to have every fused op */
        return HONE_OK;
    hone_status st = workspace_of(m, &own, err);
    m->plan.bytes[BYTES_WORKSPACE] = ops_scratch_bytes(m->o, &m->extent) + own;
    m->workspace = own;
    return st;
}

/* ------------------------------------------------------------------------- plan */

static hone_status plan_arena(model *m, hone_error *err)
{
    const hone_status st = arena_plan(m, err);
    m->plan.bytes[BYTES_INPUTS] += rope_bytes(m);
    return st;
}

hone_status plan_buffers(model *m, hone_error *err)
{
    hone_status st = plan_arena(m, err);
    m->plan.bytes[BYTES_CACHE] = cache_bytes(m);
    if (st == HONE_OK)
        st = plan_workspace(m, err);
    return st;
}

hone_status model_keep(model *m, int64_t n_all, int64_t n_cheap, hone_error *err)
{
    assert(!m->buf);
    m->keep_all = n_all;
    m->keep_cheap = n_cheap;
    return plan_arena(m, err);
}

int64_t model_trained_blocks(const model *m)
{
    return m->train ? m->c.layers - m->first : 0;
}

int64_t model_bytes(const model *m)
{
    return (int64_t)plan_total(&m->plan);
}

int64_t model_bytes_of(const model *m, bytes_kind kind)
{
    return (int64_t)m->plan.bytes[kind];
}

model_host_bytes model_host(const model *m)
{
    int64_t largest = 0;
    for (const llama_tensor *t = llama_tensors; t->name; t++)
        if (m->train == TRAIN_FULL)
            largest = max_of(largest, m->c.dim[t->rows] * m->c.dim[t->cols]);
    return (model_host_bytes){
        .staging = (int64_t)(staging_count(m) * sizeof *m->staging) +
                   m->context * (int64_t)sizeof *m->fed_ids,
        .load = (int64_t)m->plan.load,
        /* a tensor as it is and as it is written */
        .save = largest * 2 * (int64_t)sizeof(float),
        .hash = (int64_t)HASH_PIECE,
    };
}
