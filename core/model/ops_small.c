/*
 * ops_small.c - views, scratch, running the built-in programs, small helpers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/ops_parts.h"

enum { ALIGN = 256 };

/* -------------------------------------------------------------------- views */

hone_tensor view_rows(hone_tensor t, int64_t first, int64_t n)
{
    t.offset += (uint64_t)(first * t.stride[0]) * hone_dtype_size(t.dtype);
    t.shape[0] = n;
    return t;
}

hone_tensor view_cols(hone_tensor t, int64_t first, int64_t n)
{
    t.offset += (uint64_t)(first * t.stride[1]) * hone_dtype_size(t.dtype);
    t.shape[1] = n;
    return t;
}

hone_tensor view_heads(hone_tensor t, int64_t heads, int64_t d)
{
    t.rank = 3;
    t.shape[1] = heads;
    t.stride[1] = d;
    t.shape[2] = d;
    t.stride[2] = 1;
    return t;
}

hone_tensor view_flat(hone_tensor t)
{
    return hone_tensor_1d(t.buf, t.offset, t.dtype, hone_tensor_count(&t));
}

hone_tensor view_strided(hone_tensor t, const int64_t shape[4], const int64_t stride[4])
{
    t.rank = 4;
    memcpy(t.shape, shape, sizeof t.shape);
    memcpy(t.stride, stride, sizeof t.stride);
    return t;
}

hone_tensor as_rows(hone_tensor t)
{
    return view_strided(t, (int64_t[]){ 1, 1, t.shape[0], t.shape[1] },
                        (int64_t[]){ 0, 0, t.stride[0], t.stride[1] });
}

hone_tensor per_row(hone_tensor t, int64_t rows, int64_t cols)
{
    return view_strided(t, (int64_t[]){ 1, 1, rows, cols }, (int64_t[]){ 0, 0, 1, 0 });
}

hone_tensor per_col(hone_tensor t, int64_t rows, int64_t cols)
{
    return view_strided(t, (int64_t[]){ 1, 1, rows, cols }, (int64_t[]){ 0, 0, 0, 1 });
}

hone_tensor as_column(hone_tensor t)
{
    return view_strided(t, (int64_t[]){ 1, 1, hone_tensor_count(&t), 1 },
                        (int64_t[]){ 0, 0, 1, 0 });
}

/* ------------------------------------------------------------------- scratch */

uint64_t scratch_size(uint64_t elements)
{
    return (elements * sizeof(float) + ALIGN - 1) / ALIGN * ALIGN;
}

hone_status scratch_begin(ops *o, int area, uint64_t bytes, hone_error *err)
{
    ops_area *a = &o->area[area];
    hone_buf buf = 0;
    hone_status st;
    a->used = 0;
    if (bytes <= a->bytes)
        return HONE_OK;
    /* the old one first: both together may not fit */
    ops_free(o, a->buf);
    *a = (ops_area){ 0 };
    st = ops_alloc(o, &buf, bytes, err);
    if (!st)
        *a = (ops_area){ .buf = buf, .bytes = bytes };
    return st;
}

hone_tensor scratch_take(ops *o, int area, int64_t d0, int64_t d1, int64_t d2, int64_t d3)
{
    const int64_t shape[4] = { d0, d1, d2, d3 };
    ops_area *a = &o->area[area];
    const hone_tensor t = hone_tensor_dense(a->buf, a->used, HONE_F32, 4, shape);
    a->used += scratch_size((uint64_t)(d0 * d1 * d2 * d3));
    return t;
}

/* ------------------------------------------------------------------ programs */

static hone_status prepare(ops *o, ops_program which, hone_ew_args *args, const hone_tensor *bufs,
                           const float *params, hone_error *err)
{
    const hone_ew_program *p = ops_program_of(which);
    hone_status st = HONE_OK;
    if (!o->kernel[which])
        st = o->device->ew_compile(o->dev, p, &o->kernel[which], err);
    *args = (hone_ew_args){ .struct_size = sizeof *args,
                            .n_bufs = p->n_bufs,
                            .n_params = p->n_params,
                            .kernel = o->kernel[which],
                            .bufs = bufs,
                            .params = params };
    memcpy(args->shape, bufs[0].shape, sizeof args->shape);
    return st;
}

hone_status run_program(ops *o, ops_program which, const hone_tensor *bufs, const float *params,
                        hone_error *err)
{
    hone_ew_args args;
    hone_status st = prepare(o, which, &args, bufs, params, err);
    return st ? st : o->device->elementwise(o->queue, &args, err);
}

hone_status run_reduce(ops *o, ops_program which, uint32_t op, bool accumulate, hone_tensor out,
                       const hone_tensor *bufs, const float *params, hone_error *err)
{
    const hone_ew_program *p = ops_program_of(which);
    hone_reduce_args args = { .struct_size = sizeof args,
                              .op = op,
                              .map_reg = p->insns[p->n_insns - 1].dst,
                              .accumulate = accumulate,
                              .out = out };
    hone_status st = prepare(o, which, &args.map, bufs, params, err);
    return st ? st : o->device->reduce(o->queue, &args, err);
}

/* ------------------------------------------------------------------- helpers */

hone_status ops_add(ops *o, hone_tensor y, float alpha, hone_tensor x, hone_error *err)
{
    return run_program(o, PROGRAM_ADD, (hone_tensor[]){ y, x }, &alpha, err);
}

hone_status ops_scale(ops *o, hone_tensor x, float alpha, hone_error *err)
{
    return run_program(o, PROGRAM_SCALE, &x, &alpha, err);
}

hone_status ops_sumsq(ops *o, hone_tensor sum, hone_tensor x, hone_error *err)
{
    const hone_tensor flat = view_flat(x);
    const hone_tensor row =
        view_strided(flat, (int64_t[]){ 1, 1, 1, flat.shape[0] }, (int64_t[]){ 0, 0, 0, 1 });
    return run_reduce(o, PROGRAM_SQUARE, HONE_REDUCE_SUM, true, as_column(sum), &row, NULL, err);
}

/* The columns become rows of a view, so this is a reduction like any other. */
hone_status ops_column_sum(ops *o, hone_tensor sum, hone_tensor x, hone_error *err)
{
    const hone_tensor turned = view_strided(x, (int64_t[]){ 1, 1, x.shape[1], x.shape[0] },
                                            (int64_t[]){ 0, 0, x.stride[1], x.stride[0] });
    return run_reduce(o, PROGRAM_VALUE, HONE_REDUCE_SUM, true, as_column(sum), &turned, NULL, err);
}

hone_status ops_dropout(ops *o, hone_tensor y, hone_tensor x, float p, uint64_t seed,
                        uint64_t offset, bool accumulate, hone_error *err)
{
    const hone_tensor bufs[2] = { y, x };
    float params[2];
    hone_ew_args args;
    hone_status st;
    if (!(p >= 0 && p < 1))
        return hone_fail(err, HONE_ERR_ARG, "dropout of %g is outside [0, 1)", (double)p);
    params[0] = p;
    params[1] = 1 / (1 - p);
    st = prepare(o, accumulate ? PROGRAM_DROP_ADD : PROGRAM_DROP, &args, bufs, params, err);
    args.seed = seed;
    args.offset = offset;
    return st ? st : o->device->elementwise(o->queue, &args, err);
}
