/*
 * compose.c - norm, rope, swiglu, linear and the loss from the seven required ops.
 *
 * This is what a device that offers only the seven runs, and what the contract
 * test holds fused ops against. Formulas: hone/device.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/ops_parts.h"

/* Before a call that continues a chain of st. */
#define THEN(call) (st = st ? st : (call))

/* --------------------------------------------------------------------- norm */

uint64_t compose_norm_bytes(int64_t n, int64_t c, bool training)
{
    const uint64_t rows = 2 * scratch_size((uint64_t)n); /* sum, rstd; or dot, ones */
    return rows + (training ? scratch_size((uint64_t)(n * c)) : 0);
}

hone_status compose_rmsnorm(ops *o, const hone_rmsnorm_args *a, hone_error *err)
{
    const int64_t n = a->x.shape[0], c = a->x.shape[1];
    const hone_tensor x = as_rows(a->x), y = as_rows(a->y);
    const float params[2] = { 1 / (float)c, a->eps };
    hone_tensor sum, rstd;
    hone_status st = scratch_begin(o, 0, compose_norm_bytes(n, c, false), err);
    if (st)
        return st;
    sum = scratch_take(o, 0, 1, 1, n, 1);
    rstd = a->rstd.buf ? as_column(a->rstd) : scratch_take(o, 0, 1, 1, n, 1);
    if (a->add.buf)
        THEN(ops_add(o, x, 1, as_rows(a->add), err));
    THEN(run_reduce(o, PROGRAM_SQUARE, HONE_REDUCE_SUM, false, sum, &x, NULL, err));
    THEN(run_program(o, PROGRAM_NORM_RSTD, (hone_tensor[]){ rstd, sum }, params, err));
    THEN(run_program(o, PROGRAM_NORM,
                     (hone_tensor[]){ y, x, per_row(rstd, n, c), per_col(a->w, n, c) }, NULL, err));
    return st;
}

hone_status compose_rmsnorm_bwd(ops *o, const hone_rmsnorm_args *a, hone_error *err)
{
    const int64_t n = a->x.shape[0], c = a->x.shape[1];
    const hone_tensor x = as_rows(a->x), dy = as_rows(a->dy), dx = as_rows(a->dx);
    const hone_tensor w = per_col(a->w, n, c), rstd = per_row(a->rstd, n, c);
    const float params[1] = { 1 / (float)c };
    hone_tensor dot, product, ones;
    hone_status st = scratch_begin(o, 0, compose_norm_bytes(n, c, true), err);
    if (st)
        return st;
    dot = scratch_take(o, 0, 1, 1, n, 1);
    ones = scratch_take(o, 0, 1, 1, 1, n);
    product = scratch_take(o, 0, 1, 1, n, c);
    THEN(run_reduce(o, PROGRAM_NORM_DOT, HONE_REDUCE_SUM, false, dot, (hone_tensor[]){ dy, w, x },
                    NULL, err));
    if (a->dw.buf) { /* dw += (1, n) of ones times (n, c) */
        const hone_tensor dw =
            view_strided(a->dw, (int64_t[]){ 1, 1, 1, c }, (int64_t[]){ 0, 0, c, 1 });
        THEN(run_program(o, PROGRAM_NORM_DW, (hone_tensor[]){ product, dy, x, rstd }, NULL, err));
        THEN(ops_fill(o, ones, 1, err));
        THEN(ops_gemm(o, false, false, 1, ones, product, 1, dw, err));
    }
    THEN(run_program(o, a->accumulate_dx ? PROGRAM_NORM_DX_ADD : PROGRAM_NORM_DX,
                     (hone_tensor[]){ dx, dy, w, x, rstd, per_row(dot, n, c) }, params, err));
    return st;
}

/* ----------------------------------------------------------- rope and swiglu */

uint64_t compose_rope_bytes(int64_t n, int64_t d)
{
    return 2 * scratch_size((uint64_t)(n * (d / 2)));
}

hone_status compose_rope(ops *o, const hone_rope_args *a, hone_error *err)
{
    const int64_t n = a->x.shape[0], heads = a->x.shape[1], half = a->x.shape[2] / 2;
    const int64_t shape[4] = { 1, n, heads, half };
    const int64_t strides[4] = { 0, a->x.stride[0], a->x.stride[1], a->x.stride[2] };
    const int64_t table[4] = { 0, half, 0, 1 };
    const float sign = a->inverse ? -1.0f : 1.0f;
    hone_tensor low = view_strided(a->x, shape, strides), high = low, c, s;
    hone_status st = scratch_begin(o, 0, compose_rope_bytes(n, 2 * half), err);
    if (st)
        return st;
    high.offset += (uint64_t)(half * a->x.stride[2]) * sizeof(float);
    c = scratch_take(o, 0, 1, 1, n, half);
    s = scratch_take(o, 0, 1, 1, n, half);
    THEN(ops_gather_rows(o, hone_tensor_2d(c.buf, c.offset, HONE_F32, n, half), a->cos, a->position,
                         err));
    THEN(ops_gather_rows(o, hone_tensor_2d(s.buf, s.offset, HONE_F32, n, half), a->sin, a->position,
                         err));
    THEN(run_program(
        o, PROGRAM_ROPE,
        (hone_tensor[]){ low, high, view_strided(c, shape, table), view_strided(s, shape, table) },
        &sign, err));
    return st;
}

hone_status compose_swiglu(ops *o, const hone_swiglu_args *a, hone_error *err)
{
    return run_program(o, PROGRAM_SWIGLU, (hone_tensor[]){ a->y, a->gate, a->up }, NULL, err);
}

hone_status compose_swiglu_bwd(ops *o, const hone_swiglu_args *a, hone_error *err)
{
    return run_program(o, PROGRAM_SWIGLU_BWD,
                       (hone_tensor[]){ a->dgate, a->dup, a->dy, a->gate, a->up }, NULL, err);
}

/* --------------------------------------------------------------------- loss */

uint64_t compose_loss_bytes(int64_t rows)
{
    return 4 * scratch_size((uint64_t)rows); /* largest, sum, picked, nll */
}

/* Rows [at, at + n) */
static hone_status loss_chunk(ops *o, const hone_loss_args *a, int64_t at, int64_t n,
                              hone_error *err)
{
    const int64_t v = a->w->rows;
    const hone_tensor h = view_rows(a->h, at, n), logits = view_rows(a->scratch, 0, n);
    const hone_tensor target = view_rows(a->target, at, n), l = as_rows(logits);
    const hone_tensor weight = a->weight.buf ? view_rows(a->weight, at, n) : a->weight;
    const hone_tensor column = as_column(target), targets = per_row(target, n, v);
    const float classes = (float)v;
    hone_tensor largest, sum, picked, nll, m, z;
    hone_status st = scratch_begin(o, 0, compose_loss_bytes(n), err);
    if (st)
        return st;
    largest = scratch_take(o, 0, 1, 1, n, 1);
    sum = scratch_take(o, 0, 1, 1, n, 1);
    picked = scratch_take(o, 0, 1, 1, n, 1);
    nll = scratch_take(o, 0, 1, 1, n, 1);
    m = per_row(largest, n, v);
    z = per_row(sum, n, v);
    THEN(ops_linear(o, (hone_linear_args){ .w = a->w, .x = h, .y = logits }, err));
    THEN(run_reduce(o, PROGRAM_VALUE, HONE_REDUCE_MAX, false, largest, &l, NULL, err));
    THEN(run_reduce(o, PROGRAM_LOSS_EXP, HONE_REDUCE_SUM, false, sum, (hone_tensor[]){ l, m }, NULL,
                    err));
    THEN(run_reduce(o, PROGRAM_LOSS_PICK, HONE_REDUCE_SUM, false, picked,
                    (hone_tensor[]){ l, targets }, NULL, err));
    THEN(run_program(o, PROGRAM_LOSS_NLL, (hone_tensor[]){ nll, largest, sum, picked, column },
                     &classes, err));
    if (a->nll.buf)
        THEN(ops_copy(o, as_column(view_rows(a->nll, at, n)), nll, err));
    {
        const hone_tensor row =
            view_strided(nll, (int64_t[]){ 1, 1, 1, n }, (int64_t[]){ 0, 0, 0, 1 });
        const hone_tensor weighted[2] = { row, view_strided(weight, row.shape, row.stride) };
        THEN(run_reduce(o, weight.buf ? PROGRAM_PRODUCT : PROGRAM_VALUE, HONE_REDUCE_SUM, true,
                        as_column(a->loss), weighted, NULL, err));
    }
    if (!a->dh.buf)
        return st;
    if (weight.buf)
        THEN(run_program(o, PROGRAM_LOSS_GRAD_W,
                         (hone_tensor[]){ l, m, z, targets, per_row(weight, n, v) }, &a->scale,
                         err));
    else
        THEN(
            run_program(o, PROGRAM_LOSS_GRAD, (hone_tensor[]){ l, m, z, targets }, &a->scale, err));
    THEN(ops_linear(
        o,
        (hone_linear_args){ .transpose = 1, .w = a->w, .x = logits, .y = view_rows(a->dh, at, n) },
        err));
    if (a->dw.buf)
        THEN(ops_gemm(o, true, false, 1, logits, h, 1, a->dw, err));
    return st;
}

hone_status compose_loss(ops *o, const hone_loss_args *a, hone_error *err)
{
    const int64_t rows = a->scratch.shape[0];
    hone_status st = HONE_OK;
    if (a->count && rows < 1)
        return hone_fail(err, HONE_ERR_ARG, "loss: scratch has no rows");
    for (int64_t at = 0; !st && at < a->count; at += rows)
        st = loss_chunk(o, a, at, a->count - at < rows ? a->count - at : rows, err);
    return st;
}
