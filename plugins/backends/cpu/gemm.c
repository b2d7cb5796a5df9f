/*
 * gemm.c - the required matrix product and the product with a stored weight.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cpu.h"

/* A matrix of a batch: memory and the strides of rows and columns, in elements. */
typedef struct operand {
    const void *p;
    int64_t batch[2], row, col; /* strides */
    uint32_t dtype;
} operand;

static hone_status take(const hone_dev *dev, const hone_tensor *t, const char *what,
                        const int64_t *want, operand *o, hone_error *err)
{
    const uint32_t r = t->rank;
    char got[96], expected[96];
    void *p = NULL;
    hone_status st = cpu_resolve(dev, t, what, &p, err);
    if (st)
        return st;
    for (uint32_t k = 0; k < r; k++)
        if (t->shape[k] != want[k])
            return hone_fail(err, HONE_ERR_ARG, "cpu: %s is %s, expected %s", what,
                             cpu_shape_text(got, sizeof got, r, t->shape),
                             cpu_shape_text(expected, sizeof expected, r, want));
    *o = (operand){ .p = p, .row = t->stride[r - 2], .col = t->stride[r - 1], .dtype = t->dtype };
    for (uint32_t k = 0; k + 2 < r; k++)
        o->batch[k + 4 - r] = t->stride[k];
    /* the stride of a dimension of one element means nothing: choose what is simple */
    if (t->shape[r - 1] == 1)
        o->col = 1;
    if (t->shape[r - 2] == 1)
        o->row = o->col == 1 ? t->shape[r - 1] : 1;
    if (p && ((o->row != 1 && o->col != 1) || !o->row || !o->col))
        return hone_fail(err, HONE_ERR_ARG, "cpu: %s has strides %lld, %lld; one has to be 1", what,
                         (long long)o->row, (long long)o->col);
    return HONE_OK;
}

/* float32 of an f16 or bf16 matrix (rows, cols), dense, in `to`. */
static void widen(const cpu_exact *k, float *to, const operand *o, const void *p, int64_t rows,
                  int64_t cols)
{
    const bool by_row = o->col == 1;
    const int64_t n = by_row ? rows : cols, length = by_row ? cols : rows;
    const int64_t step = by_row ? o->row : o->col;
    for (int64_t i = 0; i < n; i++)
        k->load[o->dtype](to + i * length,
                          (const uint8_t *)p + (uint64_t)(i * step) * hone_dtype_size(o->dtype),
                          length);
}

hone_status cpu_gemm(hone_queue *q, const hone_gemm_args *args, hone_error *err)
{
    const hone_tensor *td;
    uint32_t r;
    operand a, b, d;
    int64_t m, n, k, want_a[4] = { 1, 1, 1, 1 }, want_b[4] = { 1, 1, 1, 1 };
    int64_t batch[2] = { 1, 1 };
    float *wide_a = NULL, *wide_b = NULL;
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
    if (a.dtype != HONE_F32 || b.dtype != HONE_F32) {
        wide_a = cpu_scratch(q, (uint64_t)(m * k + k * n) * sizeof(float));
        if (!wide_a)
            return hone_fail(err, HONE_ERR_NOMEM,
                             "cpu: gemm: no memory to widen %lld x %lld x %lld", (long long)m,
                             (long long)n, (long long)k);
        wide_b = wide_a + m * k;
    }
    for (int64_t i = 0; !st && i < batch[0] * batch[1]; i++) {
        const int64_t i0 = i / batch[1], i1 = i % batch[1];
        const void *pa = (const uint8_t *)a.p +
                         (uint64_t)(i0 * a.batch[0] + i1 * a.batch[1]) * hone_dtype_size(a.dtype);
        const void *pb = (const uint8_t *)b.p +
                         (uint64_t)(i0 * b.batch[0] + i1 * b.batch[1]) * hone_dtype_size(b.dtype);
        operand wa = a, wb = b;
        cpu_product p;
        union {
            const void *in;
            float *out;
        } pd = { d.p };
        if (a.dtype != HONE_F32) {
            widen(q->dev->k->exact, wide_a, &a, pa, want_a[r - 2], want_a[r - 1]);
            wa.row = a.col == 1 ? want_a[r - 1] : 1;
            wa.col = a.col == 1 ? 1 : want_a[r - 2];
            pa = wide_a;
        }
        if (b.dtype != HONE_F32) {
            widen(q->dev->k->exact, wide_b, &b, pb, want_b[r - 2], want_b[r - 1]);
            wb.row = b.col == 1 ? want_b[r - 1] : 1;
            wb.col = b.col == 1 ? 1 : want_b[r - 2];
            pb = wide_b;
        }
        pd.out += i0 * d.batch[0] + i1 * d.batch[1];
        p = (cpu_product){ .a = pa,
                           .b = pb,
                           .d = pd.out,
                           .m = m,
                           .n = n,
                           .k = k,
                           .a_row = args->trans_a ? wa.col : wa.row,
                           .a_col = args->trans_a ? wa.row : wa.col,
                           .b_row = args->trans_b ? wb.col : wb.row,
                           .b_col = args->trans_b ? wb.row : wb.col,
                           .d_row = d.row,
                           .alpha = args->alpha,
                           .beta = args->beta };
        if (d.col != 1) /* d is stored by columns: d^T = b^T a^T */
            p = (cpu_product){ .a = pb,
                               .b = pa,
                               .d = pd.out,
                               .m = n,
                               .n = m,
                               .k = k,
                               .a_row = p.b_col,
                               .a_col = p.b_row,
                               .b_row = p.a_col,
                               .b_col = p.a_row,
                               .d_row = d.col,
                               .alpha = args->alpha,
                               .beta = args->beta };
        st = cpu_product_run(q, &p, err);
    }
    return st;
}

hone_status cpu_linear(hone_queue *q, const hone_linear_args *args, hone_error *err)
{
    const hone_weight *w;
    bool back;
    int64_t n, in, out;
    cpu_view vx, vy, vw, vb;
    hone_status st;
    CPU_ARGS(args, err);
    w = args->w;
    back = args->transpose != 0;
    CPU_ARGS(w, err);
    if (w->format && !back && strcmp(w->format, "int8") == 0)
        return cpu_int8_linear(q, args, err);
    if (w->format && cpu_few_takes(args))
        return cpu_few_linear(q, args, err);
    if (!w->format || strcmp(w->format, "fp32") != 0)
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "cpu: linear: no kernel for weights in %s",
                         w->format ? w->format : "(no format)");
    n = args->x.shape[0];
    in = back ? w->rows : w->cols;
    out = back ? w->cols : w->rows;
    if (back && args->bias.buf)
        return hone_fail(err, HONE_ERR_ARG, "cpu: linear: a transposed product takes no bias");
    st = cpu_want(q->dev, &args->x, "linear: x", HONE_F32, CPU_ROWS, 2, (int64_t[]){ n, in }, &vx,
                  err);
    if (!st)
        st = cpu_want(q->dev, &args->y, "linear: y", HONE_F32, CPU_ROWS, 2, (int64_t[]){ n, out },
                      &vy, err);
    if (!st)
        st = cpu_want(q->dev, &w->plane[0], "linear: w", HONE_F32, CPU_ROWS, 2,
                      (int64_t[]){ w->rows, w->cols }, &vw, err);
    if (!st)
        st = cpu_want(q->dev, &args->bias, "linear: bias", HONE_F32, CPU_OPTIONAL, 1, &out, &vb,
                      err);
    if (st)
        return st;
    return cpu_product_run(q,
                           &(cpu_product){ .a = vx.p,
                                           .b = vw.p,
                                           .bias = vb.p,
                                           .d = vy.p,
                                           .m = n,
                                           .n = out,
                                           .k = in,
                                           .a_row = vx.row,
                                           .a_col = 1,
                                           .b_row = back ? vw.row : 1,
                                           .b_col = back ? 1 : vw.row,
                                           .d_row = vy.row,
                                           .alpha = 1,
                                           .beta = args->beta },
                           err);
}
