/*
 * int8.c - products with weights in int8 as LLM.int8() makes them (Dettmers et al. 2022).
 *
 * A column of x with an outlier, |x| >= w->outlier in any row, is multiplied in float32 by the
 * dequantized weights. The rest of each row is quantized by its largest number below that:
 *
 *   y[n, o] = sum_k q[n, k] c[o, k] * s_n s_o / 127^2 + sum_outliers x[n, k] c[o, k] s_o / 127
 *
 * dx is no business of this file: there the weights are decoded like any others (pack.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "product.h"

enum {
    TILE = 4,
    CHUNK = 1 << 15 /* columns whose sum of products fits 32 bits */
};

#define PER_CODE (1.0f / 127)
#define PER_PRODUCT (1.0f / (127 * 127))

typedef struct int8_job {
    const cpu_int8 *k;
    const cpu_rows *rows;
    const float *x, *bias, *scales; /* bias may be NULL */
    const int8_t *codes;
    float *y;
    int64_t n, in, out, x_row, y_row, q_row;
    float beta, limit;
    /* scratch */
    int8_t *q;       /* (n, q_row)                        */
    float *q_scale;  /* (n)                               */
    uint8_t *apart;  /* (threads, in): found by each; the first row then holds what all found */
    int64_t n_apart; /* how many columns, and ...         */
    int32_t *column; /* (n_apart) ... which               */
    float *x_apart;  /* (n, n_apart)                      */
    float *w_apart;  /* (threads, n_apart)                */
} int8_job;

/* -------------------------------------------------------------------------- scratch */

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + CPU_ALIGN - 1) / CPU_ALIGN * CPU_ALIGN;
}

static int64_t row_of(int64_t in)
{
    return (in + 63) / 64 * 64;
}

/* With every column apart: x itself once more. */
uint64_t cpu_int8_scratch(const hone_dev *dev, int64_t n, int64_t in)
{
    const uint64_t rows = (uint64_t)n, cols = (uint64_t)in, threads = (uint64_t)dev->threads;
    return aligned(rows * (uint64_t)row_of(in)) + aligned(4 * rows) + aligned(threads * cols) +
           aligned(4 * cols) + aligned(4 * rows * cols) + aligned(4 * threads * cols);
}

static void *take(uint8_t **at, uint64_t bytes)
{
    void *p = *at;
    *at += aligned(bytes);
    return p;
}

/* --------------------------------------------------------------------------------- x */

static void quantize_rows(void *arg, int64_t lo, int64_t hi, int thread)
{
    const int8_job *j = arg;
    (void)thread;
    for (int64_t i = lo; i < hi; i++) {
        const float s = j->q_scale[i];
        j->k->quantize(j->q + i * j->q_row, j->x + i * j->x_row, j->apart, j->in,
                       s > 0 && isfinite(1 / s) ? 1 / s * 127 : 0);
        for (int64_t k = 0; k < j->n_apart; k++)
            j->x_apart[i * j->n_apart + k] = j->x[i * j->x_row + j->column[k]];
    }
}

static void look_at_rows(void *arg, int64_t lo, int64_t hi, int thread)
{
    const int8_job *j = arg;
    for (int64_t i = lo; i < hi; i++)
        j->q_scale[i] =
            j->k->largest(j->apart + thread * j->in, j->x + i * j->x_row, j->in, j->limit);
}

/* Which columns go apart, and the scale of each row of the rest. */
static void look_at_x(const hone_dev *dev, int8_job *j)
{
    memset(j->apart, 0, (size_t)(dev->threads * j->in));
    cpu_parallel(dev, j->n, 1 + 16384 / (j->in + 1), look_at_rows, j);
    j->n_apart = 0;
    for (int64_t k = 0; k < j->in; k++) {
        for (int64_t t = 1; t < dev->threads; t++)
            j->apart[k] |= j->apart[t * j->in + k];
        if (j->apart[k])
            j->column[j->n_apart++] = (int32_t)k;
    }
}

/* --------------------------------------------------------------------------- product */

/* Exact sums of a tile, m rows of x by r of w. */
static void tile_sums(const int8_job *j, int64_t i, int m, int64_t o, int r, double *sum)
{
    int32_t part[TILE * TILE];
    for (int t = 0; t < m * r; t++)
        sum[t] = 0;
    for (int64_t at = 0; at < j->in; at += CHUNK) {
        const int64_t n = j->in - at < CHUNK ? j->in - at : CHUNK;
        j->k->dots(part, j->q + i * j->q_row + at, j->q_row, m, j->codes + o * j->in + at, j->in, r,
                   n);
        for (int t = 0; t < m * r; t++)
            sum[t] += part[t];
    }
}

/* Rows [lo, hi) of w. */
static void product_rows(void *arg, int64_t lo, int64_t hi, int thread)
{
    const int8_job *j = arg;
    double sum[TILE * TILE];
    (void)thread;
    for (int64_t o = lo; o < hi; o += TILE) {
        const int r = hi - o < TILE ? (int)(hi - o) : TILE;
        for (int64_t i = 0; i < j->n; i += TILE) {
            const int m = j->n - i < TILE ? (int)(j->n - i) : TILE;
            tile_sums(j, i, m, o, r, sum);
            for (int a = 0; a < m; a++)
                for (int b = 0; b < r; b++) {
                    float *y = j->y + (i + a) * j->y_row + o + b;
                    const float add =
                        (j->bias ? j->bias[o + b] : 0) + (j->beta != 0 ? j->beta * *y : 0);
                    *y = (float)sum[a * r + b] *
                             (j->q_scale[i + a] * j->scales[o + b] * PER_PRODUCT) +
                         add;
                }
        }
    }
}

/* The columns apart, for rows [lo, hi) of w. */
static void apart_rows(void *arg, int64_t lo, int64_t hi, int thread)
{
    const int8_job *j = arg;
    float *w_apart = j->w_apart + thread * j->n_apart;
    for (int64_t o = lo; o < hi; o++) {
        const int8_t *code = j->codes + o * j->in;
        for (int64_t k = 0; k < j->n_apart; k++)
            w_apart[k] = (float)code[j->column[k]] * (j->scales[o] * PER_CODE);
        for (int64_t i = 0; i < j->n; i++)
            j->y[i * j->y_row + o] +=
                j->rows->dot(j->x_apart + i * j->n_apart, w_apart, j->n_apart);
    }
}

static hone_status product(hone_queue *q, int8_job *j, hone_error *err)
{
    hone_status st = HONE_OK;
    if (q->dev->k->amx && j->n > TILE && j->in <= CHUNK)
        st = cpu_amx_int8(q,
                          &(cpu_int8_product){ .x = j->q,
                                               .w = j->codes,
                                               .x_row = j->q_row,
                                               .x_scale = j->q_scale,
                                               .w_scale = j->scales,
                                               .bias = j->bias,
                                               .y = j->y,
                                               .m = j->n,
                                               .n = j->out,
                                               .k = j->in,
                                               .y_row = j->y_row,
                                               .unit = PER_PRODUCT,
                                               .beta = j->beta },
                          err);
    else
        cpu_parallel(q->dev, j->out, 1 + 131072 / (j->n * j->in + 1), product_rows, j);
    if (!st && j->n_apart)
        cpu_parallel(q->dev, j->out, 1 + 131072 / (j->n * j->n_apart + 1), apart_rows, j);
    return st;
}

hone_status cpu_int8_linear(hone_queue *q, const hone_linear_args *a, hone_error *err)
{
    const hone_weight *w = a->w;
    const int64_t n = a->x.shape[0], count = w->rows * w->cols, one = 1;
    cpu_view x, y, bias, codes, scales, outliers;
    const struct {
        const hone_tensor *t;
        const char *name;
        uint32_t dtype, flags, rank;
        int64_t shape[2];
        cpu_view *view;
    } rows[] = {
        { &a->x, "linear: x", HONE_F32, CPU_ROWS, 2, { n, w->cols }, &x },
        { &a->y, "linear: y", HONE_F32, CPU_ROWS, 2, { n, w->rows }, &y },
        { &a->bias, "linear: bias", HONE_F32, CPU_OPTIONAL, 1, { w->rows }, &bias },
        { &w->plane[0], "linear: codes", HONE_I8, CPU_DENSE, 1, { count }, &codes },
        { &w->plane[1], "linear: scales", HONE_F32, CPU_DENSE, 1, { w->rows }, &scales },
        { &a->outliers, "linear: outliers", HONE_I32, CPU_OPTIONAL, 1, { one }, &outliers },
    };
    uint8_t *at;
    hone_status st = HONE_OK;
    if (w->n_planes != 2)
        return hone_fail(err, HONE_ERR_ARG, "cpu: linear: %u planes of an int8 weight",
                         (unsigned)w->n_planes);
    for (size_t i = 0; i < sizeof rows / sizeof *rows && !st; i++)
        st = cpu_want(q->dev, rows[i].t, rows[i].name, rows[i].dtype, rows[i].flags, rows[i].rank,
                      rows[i].shape, rows[i].view, err);
    if (st)
        return st;
    if (!n || !w->rows)
        return HONE_OK;
    at = cpu_scratch(q, cpu_int8_scratch(q->dev, n, w->cols));
    if (!at)
        return hone_fail(err, HONE_ERR_NOMEM, "cpu: no memory to quantize %lld x %lld",
                         (long long)n, (long long)w->cols);
    int8_job j = { .k = q->dev->k->int8,
                   .rows = q->dev->k->rows,
                   .x = x.p,
                   .bias = bias.p,
                   .scales = scales.p,
                   .codes = codes.p,
                   .y = y.p,
                   .n = n,
                   .in = w->cols,
                   .out = w->rows,
                   .x_row = x.row,
                   .y_row = y.row,
                   .q_row = row_of(w->cols),
                   .beta = a->beta,
                   .limit = w->outlier > 0 ? w->outlier : INFINITY };
    j.q = take(&at, (uint64_t)(n * j.q_row));
    j.q_scale = take(&at, 4 * (uint64_t)n);
    j.apart = take(&at, (uint64_t)(q->dev->threads * j.in));
    j.column = take(&at, 4 * (uint64_t)j.in);
    look_at_x(q->dev, &j);
    j.x_apart = take(&at, 4 * (uint64_t)(n * j.n_apart));
    j.w_apart = take(&at, 0);
    cpu_parallel(q->dev, n, 1 + 16384 / (w->cols + 1), quantize_rows, &j);
    st = product(q, &j, err);
    if (!st && outliers.p)
        *(int32_t *)outliers.p += (int32_t)j.n_apart;
    return st;
}
