/*
 * gemm.c - the required matrix product and the product with a stored weight.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cpu.h"

/* A matrix of a batch: memory and strides, in elements. */
typedef struct operand {
    cpu_operand o;
    int64_t batch[2];
} operand;

static hone_status take(const hone_dev *dev, const hone_tensor *t, const char *what,
                        const int64_t *want, operand *out, hone_error *err)
{
    const uint32_t r = t->rank;
    char got[96], expected[96];
    void *p = NULL;
    cpu_operand o;
    hone_status st = cpu_resolve(dev, t, what, &p, err);
    if (st)
        return st;
    for (uint32_t k = 0; k < r; k++)
        if (t->shape[k] != want[k])
            return hone_fail(err, HONE_ERR_ARG, "cpu: %s is %s, expected %s", what,
                             cpu_shape_text(got, sizeof got, r, t->shape),
                             cpu_shape_text(expected, sizeof expected, r, want));
    o = (cpu_operand){ .p = p,
                       .row = t->stride[r - 2],
                       .col = t->stride[r - 1],
                       .dtype = t->dtype,
                       .decode = cpu_decode_dtype(t->dtype) };
    *out = (operand){ 0 };
    for (uint32_t k = 0; k + 2 < r; k++)
        out->batch[k + 4 - r] = t->stride[k];
    /* the stride of a dimension of one element means nothing: choose what is simple */
    if (t->shape[r - 1] == 1)
        o.col = 1;
    if (t->shape[r - 2] == 1)
        o.row = o.col == 1 ? t->shape[r - 1] : 1;
    if (p && ((o.row != 1 && o.col != 1) || !o.row || !o.col))
        return hone_fail(err, HONE_ERR_ARG, "cpu: %s has strides %lld, %lld; one has to be 1", what,
                         (long long)o.row, (long long)o.col);
    out->o = o;
    return HONE_OK;
}

/* Matrix (i0, i1) of a batch, transposed or not. */
static cpu_operand one_of(const operand *x, int64_t i0, int64_t i1, bool transposed)
{
    cpu_operand o = x->o;
    o.p = (const uint8_t *)o.p +
          (uint64_t)(i0 * x->batch[0] + i1 * x->batch[1]) * hone_dtype_size(o.dtype);
    if (transposed) {
        o.row = x->o.col;
        o.col = x->o.row;
    }
    return o;
}

hone_status cpu_gemm(hone_queue *q, const hone_gemm_args *args, hone_error *err)
{
    const hone_tensor *td;
    uint32_t r;
    operand a, b, d;
    int64_t m, n, k, want_a[4] = { 1, 1, 1, 1 }, want_b[4] = { 1, 1, 1, 1 };
    int64_t batch[2] = { 1, 1 };
    hone_status st;
    CPU_ARGS(args, err);
    td = &args->d;
    r = td->rank;
    if (r < 2 || r > 4 || args->a.rank != r || args->b.rank != r)
        return hone_fail(err, HONE_ERR_ARG, "cpu: gemm: ranks %u, %u, %u; expected equal, 2 to 4",
                         (unsigned)args->a.rank, (unsigned)args->b.rank, (unsigned)r);
    if (td->dtype != HONE_F32 || args->a.dtype > HONE_BF16 || args->b.dtype > HONE_BF16)
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "cpu: gemm: dtypes %u x %u to %u",
                         (unsigned)args->a.dtype, (unsigned)args->b.dtype, (unsigned)td->dtype);
    m = td->shape[r - 2], n = td->shape[r - 1];
    k = args->a.shape[args->trans_a ? r - 2 : r - 1];
    for (uint32_t i = 0; i + 2 < r; i++) {
        want_a[i] = want_b[i] = td->shape[i];
        batch[i + 4 - r] = td->shape[i];
    }
    want_a[r - 2] = args->trans_a ? k : m, want_a[r - 1] = args->trans_a ? m : k;
    want_b[r - 2] = args->trans_b ? n : k, want_b[r - 1] = args->trans_b ? k : n;
    st = take(q->dev, &args->a, "gemm: a", want_a, &a, err);
    if (!st)
        st = take(q->dev, &args->b, "gemm: b", want_b, &b, err);
    if (!st)
        st = take(q->dev, td, "gemm: d", td->shape, &d, err);
    if (st)
        return st;
    if (m * n * batch[0] * batch[1] == 0)
        return HONE_OK;
    for (uint32_t i = 0; i < 2; i++)
        if (batch[i] > 1 && !d.batch[i])
            return hone_fail(err, HONE_ERR_ARG, "cpu: gemm: the batches of d overlap");
    for (int64_t i = 0; !st && i < batch[0] * batch[1]; i++) {
        const int64_t i0 = i / batch[1], i1 = i % batch[1];
        union {
            const void *in;
            float *out;
        } pd = { d.o.p };
        st = cpu_product_run(q,
                             &(cpu_product){ .a = one_of(&a, i0, i1, args->trans_a),
                                             .b = one_of(&b, i0, i1, args->trans_b),
                                             .d = pd.out + i0 * d.batch[0] + i1 * d.batch[1],
                                             .m = m,
                                             .n = n,
                                             .k = k,
                                             .d_row = d.o.row,
                                             .d_col = d.o.col,
                                             .alpha = args->alpha,
                                             .beta = args->beta,
                                             .operands = args->operands },
                             err);
    }
    return st;
}

/* The low-rank part of a linear product: p->plus_*. */
static hone_status take_low_rank(cpu_product *p, const hone_dev *dev, const hone_linear_args *args,
                                 int64_t n, int64_t out, hone_error *err)
{
    const int64_t rank = args->low.shape[1], low_shape[2] = { n, rank };
    const bool back = args->transpose != 0;
    cpu_view low, up;
    hone_status st =
        cpu_want(dev, &args->low, "linear: low", HONE_F32, CPU_ROWS, 2, low_shape, &low, err);
    if (!st)
        st = cpu_want(dev, &args->up, "linear: up", HONE_F32, CPU_ROWS, 2,
                      (int64_t[]){ back ? rank : out, back ? out : rank }, &up, err);
    if (st)
        return st;
    p->plus_a = cpu_operand_f32(low.p, low.row, 1);
    p->plus_b = cpu_operand_f32(up.p, back ? up.row : 1, back ? 1 : up.row);
    p->plus_k = rank;
    p->plus_scale = args->up_scale;
    return HONE_OK;
}

/* Formats and shapes with kernels of their own; NULL: none. */
static hone_status (*special(const hone_linear_args *args))(hone_queue *, const hone_linear_args *,
                                                            hone_error *)
{
    if (!args->w->format)
        return NULL;
    if (!args->transpose && strcmp(args->w->format, "int8") == 0)
        return cpu_int8_linear;
    return cpu_few_takes(args) ? cpu_few_linear : NULL;
}

hone_status cpu_linear(hone_queue *q, const hone_linear_args *args, hone_error *err)
{
    const hone_weight *w;
    hone_status (*call)(hone_queue *, const hone_linear_args *, hone_error *);
    bool back;
    int64_t n, in, out;
    cpu_view vx, vy, vb;
    cpu_product p;
    hone_status st;
    CPU_ARGS(args, err);
    w = args->w;
    back = args->transpose != 0;
    CPU_ARGS(w, err);
    n = args->x.shape[0];
    in = back ? w->rows : w->cols;
    out = back ? w->cols : w->rows;
    if (back && args->bias.buf)
        return hone_fail(err, HONE_ERR_ARG, "cpu: linear: a transposed product takes no bias");
    p = (cpu_product){ .m = n,
                       .n = out,
                       .k = in,
                       .d_col = 1,
                       .alpha = 1,
                       .beta = args->beta,
                       .operands = args->operands };
    st = cpu_want(q->dev, &args->y, "linear: y", HONE_F32, CPU_ROWS, 2, (int64_t[]){ n, out }, &vy,
                  err);
    if (!st && args->low.buf)
        st = take_low_rank(&p, q->dev, args, n, out, err);
    if (st)
        return st;
    p.d = vy.p;
    p.d_row = vy.row;
    call = special(args);
    if (call) {
        st = call(q, args, err);
        p.k = 0; /* what is left to do: the low-rank part */
        p.beta = 1;
        return st || !p.plus_k ? st : cpu_product_run(q, &p, err);
    }
    st = cpu_operand_weight(q->dev, w, "linear: w", &p.b, err);
    if (!st)
        st = cpu_want(q->dev, &args->x, "linear: x", HONE_F32, CPU_ROWS, 2, (int64_t[]){ n, in },
                      &vx, err);
    if (!st)
        st = cpu_want(q->dev, &args->bias, "linear: bias", HONE_F32, CPU_OPTIONAL, 1, &out, &vb,
                      err);
    if (st)
        return st;
    p.a = cpu_operand_f32(vx.p, vx.row, 1);
    p.bias = vb.p;
    if (!back) { /* b = w^T */
        p.b.col = p.b.row;
        p.b.row = 1;
    }
    return cpu_product_run(q, &p, err);
}
