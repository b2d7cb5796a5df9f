/*
 * backward.c - the gradients, block by block from the last to the first that trains.
 *
 * Written against forward.c: the same parts in the opposite order. dx (N, C) is the
 * gradient of the residual stream, which the two norms of a block add to; all gradients
 * of parameters are added (+=) to what earlier micro-batches left.
 *
 *   y = x W^T            dx = dy W       dW += dy^T x      db += column sums of dy
 *   y += s (xd A^T) B^T  dB += s dy^T xa    dxa = s dy B    dA += dxa^T xd
 *                        dx += mask(dxa A)            xa = xd A^T, xd = dropout(x)
 *
 * What a block did not keep (KEEP_*) is computed again, dropout masks always. A frozen weight costs dx only, and nothing is computed below the
 * lowest projection that trains: each part stops as soon as no one below asks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/impl.h"

int stage_of(int which)
{
    switch (which) {
    case W_Q:
    case W_K:
    case W_V:
        return STAGE_QKV;
    case W_O:
        return STAGE_O;
    case W_GATE:
    case W_UP:
        return STAGE_GATE_UP;
    default:
        return STAGE_DOWN;
    }
}

/* Does its gradient need the projection's input? */
static bool trains(const model *m, int64_t l, int which)
{
    const weight *w = weight_at(m, l, which);
    return w->grad.buf || w->lora;
}

static bool drops(const model *m, const pass *p)
{
    return p->dropout && m->dropout > 0;
}

/* dA, dB, and dxa, which dx needs. */
static hone_status adapter_bwd(model *m, const pass *p, int64_t l, int which, hone_tensor x,
                               hone_tensor dy, hone_error *err)
{
    const lora *a = weight_at(m, l, which)->lora;
    const hone_tensor xa = arena_2d(m, a->xa, p->n, a->rank);
    const hone_tensor dxa = arena_2d(m, m->arena.dxa, p->n, a->rank);
    hone_tensor xd = x;
    hone_status st = ops_gemm(m->o, true, false, a->scale, dy, xa, 1, a->db, err);
    if (st == HONE_OK)
        st = ops_gemm(m->o, false, false, a->scale, dy, a->b, 0, dxa, err);
    if (st == HONE_OK && drops(m, p)) {
        xd = arena_2d(m, m->arena.xd, p->n, x.shape[1]);
        st = lora_dropout(m, p, l, which, xd, x, false, err);
    }
    if (st == HONE_OK)
        st = ops_gemm(m->o, true, false, 1, dxa, xd, 1, a->da, err);
    return st;
}

/* dx += mask(dxa A) */
static hone_status adapter_dx_dropped(model *m, const pass *p, int64_t l, int which, hone_tensor dx,
                                      hone_error *err)
{
    const lora *a = weight_at(m, l, which)->lora;
    const hone_tensor masked = arena_2d(m, m->arena.xd, p->n, dx.shape[1]);
    hone_status st = ops_gemm(m->o, false, false, 1, arena_2d(m, m->arena.dxa, p->n, a->rank), a->a,
                              0, masked, err);
    if (st == HONE_OK)
        st = lora_dropout(m, p, l, which, dx, masked, true, err);
    return st;
}

/* From dy (N, O): gradients of W, bias and adapter, and dx (N, I) = or += where wanted. */
static hone_status project_bwd(model *m, const pass *p, int64_t l, int which, hone_tensor x,
                               hone_tensor dy, hone_tensor dx, bool accumulate, bool want_dx,
                               hone_error *err)
{
    weight *w = weight_at(m, l, which), *bias = weight_at(m, l, which + 1);
    const lora *a = w->lora;
    hone_linear_args args = {
        .transpose = 1, .beta = accumulate ? 1.0f : 0.0f, .w = &w->w, .x = dy, .y = dx
    };
    hone_status st = HONE_OK;
    if (w->grad.buf)
        st = ops_gemm(m->o, true, false, 1, dy, x, 1, w->grad, err);
    if (st == HONE_OK && bias->grad.buf)
        st = ops_column_sum(m->o, bias->grad, dy, err);
    if (st == HONE_OK && a)
        st = adapter_bwd(m, p, l, which, x, dy, err);
    if (a && !drops(m, p)) {
        args.low = arena_2d(m, m->arena.dxa, p->n, a->rank);
        args.up = a->a;
        args.up_scale = 1;
    }
    if (st == HONE_OK && want_dx)
        st = ops_linear(m->o, args, err);
    if (st == HONE_OK && want_dx && a && drops(m, p))
        st = adapter_dx_dropped(m, p, l, which, dx, err);
    return st;
}

/* dx = or += gradient through y = rmsnorm(x) w */
static hone_status norm_bwd(model *m, weight *w, hone_tensor x, hone_tensor rstd, hone_tensor dy,
                            hone_tensor dx, bool accumulate, hone_error *err)
{
    return ops_rmsnorm_bwd(m->o,
                           (hone_rmsnorm_args){ .accumulate_dx = accumulate,
                                                .eps = (float)m->c.eps,
                                                .x = x,
                                                .w = w->value,
                                                .rstd = rstd,
                                                .dy = dy,
                                                .dx = dx,
                                                .dw = w->grad },
                           err);
}

/* Through  next = mid + (silu(g) * u) Wd^T. `lowest`: the deepest stage that is asked for. */
static hone_status feed_forward_bwd(model *m, const pass *p, int64_t l, int lowest, hone_error *err)
{
    const block_slots *b = &m->arena.block[l];
    const int64_t n = p->n, *dims = m->c.dim;
    weight *norm = weight_at(m, l, W_MLP_NORM);
    const hone_tensor mid = arena_2d(m, b->mid, n, dims[DIM_C]);
    const hone_tensor rstd = arena_1d(m, b->rstd2, n);
    const hone_tensor xn = arena_2d(m, b->xn2, n, dims[DIM_C]);
    const hone_tensor dx = arena_2d(m, m->arena.dx, n, dims[DIM_C]);
    const hone_tensor dn = arena_2d(m, m->arena.dn, n, dims[DIM_C]);
    const hone_tensor gate = arena_2d(m, b->gate, n, dims[DIM_F]);
    const hone_tensor up = arena_2d(m, b->up, n, dims[DIM_F]);
    const hone_tensor y = arena_2d(m, b->y, n, dims[DIM_F]);
    const hone_tensor dy = arena_2d(m, m->arena.dy, n, dims[DIM_F]);

    hone_status st = HONE_OK;
    if (b->keep != KEEP_ALL && trains(m, l, W_DOWN))
        st = ops_swiglu(m->o, (hone_swiglu_args){ .gate = gate, .up = up, .y = y }, err);
    if (st == HONE_OK)
        st = project_bwd(m, p, l, W_DOWN, y, dx, dy, false, lowest < STAGE_DOWN, err);
    if (st != HONE_OK || lowest == STAGE_DOWN)
        return st;

    /* dgate over gate, dup over up: nobody reads them again */
    st = ops_swiglu_bwd(
        m->o, (hone_swiglu_args){ .gate = gate, .up = up, .dy = dy, .dgate = gate, .dup = up },
        err);
    if (st == HONE_OK && b->keep != KEEP_ALL && (trains(m, l, W_GATE) || trains(m, l, W_UP)))
        st = norm_rows(m, norm, mid, xn, rstd, err);
    const bool want = lowest < STAGE_GATE_UP;
    if (st == HONE_OK)
        st = project_bwd(m, p, l, W_GATE, xn, gate, dn, false, want, err);
    if (st == HONE_OK)
        st = project_bwd(m, p, l, W_UP, xn, up, dn, true, want, err);
    if (st == HONE_OK && want)
        st = norm_bwd(m, norm, mid, rstd, dn, dx, true, err);
    return st;
}

/* From gradients of the rotated (and normed) q and k at dq, dk to those of the
 * projections' outputs, at *gq, *gk. */
static hone_status norm_and_rotate_bwd(model *m, const pass *p, int64_t l, hone_tensor *gq,
                                       hone_tensor *gk, hone_error *err)
{
    const block_slots *b = &m->arena.block[l];
    const arena *a = &m->arena;
    const int64_t n = p->n, h = m->c.heads, k = m->c.kv_heads, d = m->c.head_dim;
    hone_status st = rotate(m, p, arena_heads(m, a->dq, n, h), true, err);
    if (st == HONE_OK)
        st = rotate(m, p, arena_heads(m, a->dk, n, k), true, err);
    *gq = arena_2d(m, m->c.qk_norm ? a->dqn : a->dq, n, h * d);
    *gk = arena_2d(m, m->c.qk_norm ? a->dkn : a->dk, n, k * d);
    if (st != HONE_OK || !m->c.qk_norm)
        return st;
    st = norm_bwd(m, weight_at(m, l, W_Q_NORM), arena_2d(m, b->q, n * h, d),
                  arena_1d(m, b->rstd_q, n * h), arena_2d(m, a->dq, n * h, d),
                  arena_2d(m, a->dqn, n * h, d), false, err);
    if (st == HONE_OK)
        st = norm_bwd(m, weight_at(m, l, W_K_NORM), arena_2d(m, b->k, n * k, d),
                      arena_1d(m, b->rstd_k, n * k), arena_2d(m, a->dk, n * k, d),
                      arena_2d(m, a->dkn, n * k, d), false, err);
    return st;
}

/* Through  mid = x + attention(rmsnorm(x)) Wo^T. */
static hone_status attention_bwd(model *m, const pass *p, int64_t l, int lowest, hone_error *err)
{
    const block_slots *b = &m->arena.block[l];
    const arena *a = &m->arena;
    const int64_t n = p->n, *dims = m->c.dim;
    weight *norm = weight_at(m, l, W_ATTN_NORM);
    const hone_tensor x = arena_2d(m, b->x, n, dims[DIM_C]), rstd = arena_1d(m, b->rstd1, n);
    const hone_tensor xn = arena_2d(m, b->xn1, n, dims[DIM_C]);
    const hone_tensor dx = arena_2d(m, a->dx, n, dims[DIM_C]);
    const hone_tensor dn = arena_2d(m, a->dn, n, dims[DIM_C]);
    const hone_tensor gv = arena_2d(m, a->dv, n, dims[DIM_K]);
    hone_tensor gq, gk;

    hone_status st = project_bwd(m, p, l, W_O, arena_2d(m, b->o, n, dims[DIM_Q]), dx,
                                 arena_2d(m, a->d_o, n, dims[DIM_Q]), false, lowest < STAGE_O, err);
    if (st != HONE_OK || lowest == STAGE_O)
        return st;
    if (m->c.qk_norm && b->keep != KEEP_ALL)
        st = norm_and_rotate(m, p, l, err);
    if (st != HONE_OK)
        return st;
    hone_attention_args args = attention_args(m, p, l);
    args.d_o = arena_heads(m, a->d_o, n, m->c.heads);
    args.dq = arena_heads(m, a->dq, n, m->c.heads);
    args.dk = arena_heads(m, a->dk, n, m->c.kv_heads);
    args.dv = arena_heads(m, a->dv, n, m->c.kv_heads);
    st = ops_attention_bwd(m->o, args, err);
    if (st == HONE_OK)
        st = norm_and_rotate_bwd(m, p, l, &gq, &gk, err);
    if (st == HONE_OK && b->keep != KEEP_ALL &&
        (trains(m, l, W_Q) || trains(m, l, W_K) || trains(m, l, W_V)))
        st = norm_rows(m, norm, x, xn, rstd, err);
    const bool want = lowest < STAGE_QKV;
    if (st == HONE_OK)
        st = project_bwd(m, p, l, W_Q, xn, gq, dn, false, want, err);
    if (st == HONE_OK)
        st = project_bwd(m, p, l, W_K, xn, gk, dn, true, want, err);
    if (st == HONE_OK)
        st = project_bwd(m, p, l, W_V, xn, gv, dn, true, want, err);
    if (st == HONE_OK && want)
        st = norm_bwd(m, norm, x, rstd, dn, dx, true, err);
    return st;
}

hone_status backward_blocks(model *m, const pass *p, hone_error *err)
{
    weight *embed = weight_at(m, 0, W_EMBED);
    hone_status st = HONE_OK;
    for (int64_t l = m->c.layers; l-- > m->first && st == HONE_OK;) {
        const int lowest = l == m->first ? m->lowest_stage : -1;
        if (m->arena.block[l].keep == KEEP_INPUT)
            st = forward_again(m, p, l, err);
        if (st == HONE_OK)
            st = feed_forward_bwd(m, p, l, lowest, err);
        if (st == HONE_OK && lowest < STAGE_GATE_UP)
            st = attention_bwd(m, p, l, lowest, err);
    }
    if (st == HONE_OK && embed->grad.buf)
        st = ops_scatter_add_rows(m->o, embed->grad, p->ids,
                                  arena_2d(m, m->arena.dx, p->n, m->c.dim[DIM_C]), err);
    return st;
}
