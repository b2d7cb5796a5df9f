/*
 * forward.c - the network, one function per part of a block.
 *
 *   x   (N, C) = embedding[ids]
 *   for each block
 *     xn  (N, C) = rmsnorm(x)
 *     q   (N, Q) = xn Wq^T + bq      k, v (N, K) likewise
 *     q, k       = rotate([rmsnorm per head] q, k)
 *     o   (N, Q) = attention(q, k, v)
 *     mid (N, C) = x + o Wo^T
 *     y   (N, F) = silu(rmsnorm(mid) Wg^T) * (rmsnorm(mid) Wu^T)
 *     x   (N, C) = mid + y Wd^T
 *   h   (S, C) = rmsnorm(x[supervised rows]),  loss = sum of -log softmax(h Whead^T)[target]
 *
 * A projection with an adapter adds  scale * (dropout(x) A^T) B^T.
 * Where nothing is kept for a backward pass the projection adds to the stream in place
 * (beta 1). Otherwise it writes what is to be added, and the norm that comes next adds the
 * stream before.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "core/model/impl.h"

static bool same_place(hone_tensor a, hone_tensor b)
{
    return a.buf == b.buf && a.offset == b.offset;
}

/* x += add, unless that has no buffer; y = rmsnorm(x) */
static hone_status norm_sum(model *m, const weight *w, hone_tensor x, hone_tensor add,
                            hone_tensor y, hone_tensor rstd, hone_error *err)
{
    return ops_rmsnorm(
        m->o,
        (hone_rmsnorm_args){
            .eps = (float)m->c.eps, .x = x, .w = w->value, .y = y, .rstd = rstd, .add = add },
        err);
}

hone_status norm_rows(model *m, const weight *w, hone_tensor x, hone_tensor y, hone_tensor rstd,
                      hone_error *err)
{
    return norm_sum(m, w, x, (hone_tensor){ 0 }, y, rstd, err);
}

/* What the next norm has to add to `to` after a projection of the stream `from`: nothing where
 * both are one, which the projection has added to. */
static hone_tensor left_to_add(hone_tensor from, hone_tensor to)
{
    return same_place(from, to) ? (hone_tensor){ 0 } : from;
}

/* The same mask for the same batch, block and projection, whenever it is asked for. */
hone_status lora_dropout(model *m, const pass *p, int64_t l, int which, hone_tensor y,
                         hone_tensor x, bool accumulate, hone_error *err)
{
    const uint64_t key = rng_u64(p->draw, (uint64_t)l, (uint64_t)which);
    return ops_dropout(m->o, y, x, m->dropout, key, 0, accumulate, err);
}

/* xa (N, R) = dropout(x) A^T of a projection with an adapter */
static hone_status adapter_in(model *m, const pass *p, int64_t l, int which, hone_tensor x,
                              hone_error *err)
{
    const lora *a = weight_at(m, l, which)->lora;
    hone_tensor xd = x;
    hone_status st = HONE_OK;
    if (p->dropout && m->dropout > 0) {
        xd = arena_2d(m, m->arena.xd, p->n, x.shape[1]);
        st = lora_dropout(m, p, l, which, xd, x, false, err);
    }
    if (st == HONE_OK)
        st = ops_gemm(m->o, false, true, 1, xd, a->a, 0, arena_2d(m, a->xa, p->n, a->rank), err);
    return st;
}

/* y (N, O) [+]= x (N, I) W^T + bias + scale * (dropout(x) A^T) B^T */
static hone_status project(model *m, const pass *p, int64_t l, int which, hone_tensor x,
                           hone_tensor y, bool accumulate, hone_error *err)
{
    weight *w = weight_at(m, l, which), *bias = weight_at(m, l, which + 1);
    const lora *a = w->lora;
    hone_linear_args args = {
        .w = &w->w, .x = x, .bias = bias->value, .beta = accumulate ? 1.0f : 0.0f, .y = y
    };
    hone_status st = HONE_OK;
    if (a) {
        args.low = arena_2d(m, a->xa, p->n, a->rank);
        args.up = a->b;
        args.up_scale = a->scale;
        st = adapter_in(m, p, l, which, x, err);
    }
    return st == HONE_OK ? ops_linear(m->o, args, err) : st;
}

/* --------------------------------------------------------------------- attention */

/* Rows [first, first + n) of a layer's cached keys (value 0) or values (1). */
static hone_tensor cache_rows(const model *m, int64_t l, int value, int64_t first, int64_t n)
{
    const int64_t width = m->c.dim[DIM_K];
    const int64_t rows = (2 * l + value) * m->context + first;
    return hone_tensor_2d(m->cache, (uint64_t)(rows * width) * sizeof(float), HONE_F32, n, width);
}

static hone_tensor heads_of(const model *m, hone_tensor t, int64_t heads)
{
    return view_heads(t, heads, m->c.head_dim);
}

/* Where a pass puts the keys that attention reads. */
static hone_tensor keys_out(const model *m, const pass *p, int64_t l)
{
    if (p->cached)
        return cache_rows(m, l, 0, p->past, p->n);
    return arena_2d(m, m->c.qk_norm ? m->arena.block[l].kn : m->arena.block[l].k, p->n,
                    m->c.dim[DIM_K]);
}

static hone_tensor queries_out(const model *m, const pass *p, int64_t l)
{
    return arena_2d(m, m->c.qk_norm ? m->arena.block[l].qn : m->arena.block[l].q, p->n,
                    m->c.dim[DIM_Q]);
}

hone_status rotate(model *m, const pass *p, hone_tensor x, bool inverse, hone_error *err)
{
    return ops_rope(
        m->o,
        (hone_rope_args){
            .inverse = inverse, .x = x, .cos = m->cos, .sin = m->sin, .position = p->position },
        err);
}

/* q, k as attention wants them. With qk_norm from block.q, block.k, which stay. */
hone_status norm_and_rotate(model *m, const pass *p, int64_t l, hone_error *err)
{
    const block_slots *b = &m->arena.block[l];
    const int64_t h = m->c.heads, k = m->c.kv_heads, d = m->c.head_dim;
    const hone_tensor q_out = queries_out(m, p, l), k_out = keys_out(m, p, l);
    hone_status st = HONE_OK;
    if (m->c.qk_norm) {
        const hone_tensor q_rows = hone_tensor_2d(q_out.buf, q_out.offset, HONE_F32, p->n * h, d);
        const hone_tensor k_rows = hone_tensor_2d(k_out.buf, k_out.offset, HONE_F32, p->n * k, d);
        st = norm_rows(m, weight_at(m, l, W_Q_NORM), arena_2d(m, b->q, p->n * h, d), q_rows,
                       arena_1d(m, b->rstd_q, p->n * h), err);
        if (st == HONE_OK)
            st = norm_rows(m, weight_at(m, l, W_K_NORM), arena_2d(m, b->k, p->n * k, d), k_rows,
                           arena_1d(m, b->rstd_k, p->n * k), err);
    }
    if (st == HONE_OK)
        st = rotate(m, p, heads_of(m, q_out, h), false, err);
    if (st == HONE_OK)
        st = rotate(m, p, heads_of(m, k_out, k), false, err);
    return st;
}

hone_attention_args attention_args(model *m, const pass *p, int64_t l)
{
    const block_slots *b = &m->arena.block[l];
    const int64_t d = m->c.head_dim, kv = m->c.kv_heads, width = m->c.dim[DIM_K];
    const int64_t rows = p->n_parts ? m->context : p->past + p->n;
    hone_tensor k = keys_out(m, p, l), v = arena_2d(m, b->v, p->n, width);
    if (p->cached || p->n_parts) {
        k = cache_rows(m, l, 0, 0, rows);
        v = cache_rows(m, l, 1, 0, rows);
    }
    const int64_t lse_shape[3] = { 2, m->c.heads, p->n };
    hone_attention_args args = { .window =
                                     m->c.windowed && m->c.windowed[l] ? (int32_t)m->c.window : 0,
                                 .scale = (float)(1 / sqrt((double)d)),
                                 .n_sequences = p->n_sequences,
                                 .max_q = p->max_q,
                                 .max_k = p->max_k,
                                 .q = heads_of(m, queries_out(m, p, l), m->c.heads),
                                 .k = heads_of(m, k, kv),
                                 .v = heads_of(m, v, kv),
                                 .cu_q = p->cu_q,
                                 .cu_k = p->cu_k,
                                 .first_key = p->first_key,
                                 .last_key = p->last_key,
                                 .o = arena_heads(m, b->o, p->n, m->c.heads) };
    if (m->train)
        args.lse = hone_tensor_dense(m->buf, b->lse, HONE_F32, 3, lse_shape);
    return args;
}

/* Keys and values of parts to their rows of the cache. */
static hone_status move_parts(model *m, const pass *p, int64_t l, hone_error *err)
{
    const hone_tensor k = keys_out(m, p, l);
    const hone_tensor v = arena_2d(m, m->arena.block[l].v, p->n, m->c.dim[DIM_K]);
    hone_status st = HONE_OK;
    int64_t at = 0;
    for (size_t i = 0; i < p->n_parts && st == HONE_OK; i++) {
        const model_part *part = &p->parts[i];
        const int64_t to = part->first + part->past;
        st = ops_copy(m->o, cache_rows(m, l, 0, to, part->n), view_rows(k, at, part->n), err);
        if (st == HONE_OK)
            st = ops_copy(m->o, cache_rows(m, l, 1, to, part->n), view_rows(v, at, part->n), err);
        at += part->n;
    }
    return st;
}

/* x += add;  mid = [x +] attention(rmsnorm(x)) Wo^T, x where both are one */
static hone_status attention_part(model *m, const pass *p, int64_t l, hone_tensor x,
                                  hone_tensor add, hone_tensor mid, hone_error *err)
{
    const block_slots *b = &m->arena.block[l];
    const int64_t n = p->n, *dims = m->c.dim;
    const hone_tensor xn = arena_2d(m, b->xn1, n, dims[DIM_C]);
    hone_tensor k = arena_2d(m, b->k, n, dims[DIM_K]), v = arena_2d(m, b->v, n, dims[DIM_K]);
    if (p->cached && !m->c.qk_norm)
        k = cache_rows(m, l, 0, p->past, n);
    if (p->cached)
        v = cache_rows(m, l, 1, p->past, n);

    hone_status st =
        norm_sum(m, weight_at(m, l, W_ATTN_NORM), x, add, xn, arena_1d(m, b->rstd1, n), err);
    if (st == HONE_OK)
        st = project(m, p, l, W_Q, xn, arena_2d(m, b->q, n, dims[DIM_Q]), false, err);
    if (st == HONE_OK)
        st = project(m, p, l, W_K, xn, k, false, err);
    if (st == HONE_OK)
        st = project(m, p, l, W_V, xn, v, false, err);
    if (st == HONE_OK)
        st = norm_and_rotate(m, p, l, err);
    if (st == HONE_OK)
        st = move_parts(m, p, l, err);
    if (st == HONE_OK)
        st = ops_attention(m->o, attention_args(m, p, l), err);
    if (st == HONE_OK)
        st = project(m, p, l, W_O, arena_2d(m, b->o, n, dims[DIM_Q]), mid, same_place(x, mid), err);
    return st;
}

/* ------------------------------------------------------------------ feed-forward */

/* mid += add;  y = silu(g) * u,  g, u = rmsnorm(mid) Wg^T, Wu^T */
static hone_status gate_part(model *m, const pass *p, int64_t l, hone_tensor mid, hone_tensor add,
                             hone_error *err)
{
    const block_slots *b = &m->arena.block[l];
    const int64_t n = p->n, *dims = m->c.dim;
    const hone_tensor xn = arena_2d(m, b->xn2, n, dims[DIM_C]);
    const hone_tensor gate = arena_2d(m, b->gate, n, dims[DIM_F]);
    const hone_tensor up = arena_2d(m, b->up, n, dims[DIM_F]);
    const hone_tensor y = arena_2d(m, b->y, n, dims[DIM_F]);

    hone_status st =
        norm_sum(m, weight_at(m, l, W_MLP_NORM), mid, add, xn, arena_1d(m, b->rstd2, n), err);
    if (st == HONE_OK)
        st = project(m, p, l, W_GATE, xn, gate, false, err);
    if (st == HONE_OK)
        st = project(m, p, l, W_UP, xn, up, false, err);
    if (st == HONE_OK)
        st = ops_swiglu(m->o, (hone_swiglu_args){ .gate = gate, .up = up, .y = y }, err);
    return st;
}

/* mid += add;  next = [mid +] y Wd^T. After the last block no norm of whole rows follows that
 * could add mid. */
static hone_status feed_forward_part(model *m, const pass *p, int64_t l, hone_tensor mid,
                                     hone_tensor add, hone_tensor next, hone_error *err)
{
    const hone_tensor y = arena_2d(m, m->arena.block[l].y, p->n, m->c.dim[DIM_F]);
    const bool last = l + 1 == m->c.layers, one = same_place(mid, next);
    hone_status st = gate_part(m, p, l, mid, add, err);
    if (st == HONE_OK && last && !one)
        st = ops_copy(m->o, next, mid, err);
    if (st == HONE_OK)
        st = project(m, p, l, W_DOWN, y, next, last || one, err);
    return st;
}

hone_status forward_again(model *m, const pass *p, int64_t l, hone_error *err)
{
    const block_slots *b = &m->arena.block[l];
    const int64_t n = p->n, *dims = m->c.dim;
    const hone_tensor x = arena_2d(m, b->x, n, dims[DIM_C]);
    const hone_tensor mid = arena_2d(m, b->mid, n, dims[DIM_C]);
    hone_status st = attention_part(m, p, l, x, (hone_tensor){ 0 }, mid, err);
    if (st == HONE_OK)
        st = gate_part(m, p, l, mid, left_to_add(x, mid), err);
    if (st == HONE_OK && weight_at(m, l, W_DOWN)->lora)
        st = adapter_in(m, p, l, W_DOWN, arena_2d(m, b->y, n, dims[DIM_F]), err);
    return st;
}

hone_status forward_blocks(model *m, const pass *p, hone_error *err)
{
    const int64_t layers = m->c.layers, channels = m->c.dim[DIM_C];
    hone_tensor x = arena_2d(m, m->arena.block[0].x, p->n, channels), add = { 0 };
    const weight *embed = weight_at(m, 0, W_EMBED);
    hone_status st =
        ops_gather_rows(m->o, x, embed->value.buf ? embed->value : embed->w.plane[0], p->ids, err);
    for (int64_t l = 0; l < layers && st == HONE_OK; l++) {
        const hone_tensor mid = arena_2d(m, m->arena.block[l].mid, p->n, channels);
        const slot after = l + 1 < layers ? m->arena.block[l + 1].x : m->arena.last_x;
        const hone_tensor next = arena_2d(m, after, p->n, channels);
        st = attention_part(m, p, l, x, add, mid, err);
        if (st == HONE_OK)
            st = feed_forward_part(m, p, l, mid, left_to_add(x, mid), next, err);
        add = left_to_add(mid, next);
        x = next;
    }
    return st;
}

/* ---------------------------------------------------------------------- the head */

/* loss += sum of nll over the supervised rows;
 * train: dx (N, C) = scale * gradient of that sum, and the head's own gradients. */
hone_status forward_loss(model *m, const pass *p, bool train, float scale, bool want_nll,
                         hone_error *err)
{
    const arena *a = &m->arena;
    const int64_t channels = m->c.dim[DIM_C], s = p->n_learned;
    weight *head = weight_head(m), *norm = weight_at(m, 0, W_NORM);
    const hone_tensor x = arena_2d(m, a->last_x, p->n, channels);
    const hone_tensor h = arena_2d(m, a->h, s, channels), hn = arena_2d(m, a->hn, s, channels);
    const hone_tensor rstd = arena_1d(m, a->rstd, s);
    const hone_tensor loss = arena_1d(m, a->loss + (uint64_t)m->losses * sizeof(float), 1);
    hone_loss_args args = { .count = (int32_t)s,
                            .scale = scale,
                            .w = &head->w,
                            .h = hn,
                            .target = p->target,
                            .loss = loss,
                            .scratch = arena_2d(m, a->logits, a->chunk, m->c.dim[DIM_V]) };
    if (want_nll)
        args.nll = arena_1d(m, a->nll, s);
    if (train) {
        args.dh = arena_2d(m, a->dhn, s, channels);
        args.dw = head->grad;
    }
    hone_status st = ops_gather_rows(m->o, h, x, p->learn_row, err);
    if (st == HONE_OK)
        st = norm_rows(m, norm, h, hn, rstd, err);
    if (st == HONE_OK)
        st = ops_fill(m->o, loss, 0, err);
    if (st == HONE_OK)
        st = ops_loss(m->o, args, err);
    if (st == HONE_OK)
        m->losses++;
    if (st != HONE_OK || !train)
        return st;

    const hone_tensor dx = arena_2d(m, a->dx, p->n, channels);
    const hone_tensor dh = arena_2d(m, a->dh, s, channels);
    st = ops_rmsnorm_bwd(m->o,
                         (hone_rmsnorm_args){ .eps = (float)m->c.eps,
                                              .x = h,
                                              .w = norm->value,
                                              .rstd = rstd,
                                              .dy = args.dh,
                                              .dx = dh,
                                              .dw = norm->grad },
                         err);
    if (st == HONE_OK)
        st = ops_fill(m->o, dx, 0, err);
    if (st == HONE_OK)
        st = ops_scatter_add_rows(m->o, dx, p->learn_row, dh, err);
    return st;
}

hone_status forward_hidden(model *m, int64_t first, int64_t n, hone_error *err)
{
    const arena *a = &m->arena;
    const int64_t channels = m->c.dim[DIM_C];
    const hone_tensor x = view_rows(arena_2d(m, a->last_x, first + n, channels), first, n);
    return norm_rows(m, weight_at(m, 0, W_NORM), x, arena_2d(m, a->hn, n, channels),
                     arena_1d(m, a->rstd, n), err);
}

/* logits (n, V) = hn Whead^T */
static hone_status head_logits(model *m, int64_t n, hone_error *err)
{
    const arena *a = &m->arena;
    weight *head = weight_head(m);
    return ops_linear(m->o,
                      (hone_linear_args){ .w = &head->w,
                                          .x = arena_2d(m, a->hn, n, m->c.dim[DIM_C]),
                                          .y = arena_2d(m, a->logits, n, m->c.dim[DIM_V]) },
                      err);
}

hone_status forward_logits(model *m, int64_t first, int64_t n, hone_error *err)
{
    const hone_status st = forward_hidden(m, first, n, err);
    return st == HONE_OK ? head_logits(m, n, err) : st;
}

hone_status forward_logits_of(model *m, const pass *p, int64_t n, hone_error *err)
{
    const arena *a = &m->arena;
    const int64_t channels = m->c.dim[DIM_C];
    const hone_tensor h = arena_2d(m, a->h, n, channels);
    hone_status st =
        ops_gather_rows(m->o, h, arena_2d(m, a->last_x, p->n, channels), p->learn_row, err);
    if (st == HONE_OK)
        st = norm_rows(m, weight_at(m, 0, W_NORM), h, arena_2d(m, a->hn, n, channels),
                       arena_1d(m, a->rstd, n), err);
    return st == HONE_OK ? head_logits(m, n, err) : st;
}
