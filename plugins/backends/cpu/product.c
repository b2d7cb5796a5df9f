/*
 * product.c - float32 matrix products: oneDNN, and our own loops for few rows.
 *
 * dnnl_sgemm and not a oneDNN primitive: a primitive belongs to one shape and takes milliseconds
 * of machine code to make, and packed batches bring a new number of rows with every step.
 * (Tried: memory grew by 1.2 MB a step.) A product with a few rows (decoding) only reads
 * the matrix once; there a dot product per column at memory speed is all that is wanted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dnnl.h>

#include "cpu.h"

enum { FEW = 4 };
#define SGEMM_PACK (UINT64_C(4) << 20) /* bytes a thread's packed blocks take at most */

static void add_bias(void *arg, int64_t lo, int64_t hi, int thread)
{
    const cpu_product *p = arg;
    (void)thread;
    for (int64_t i = lo; i < hi; i++)
        for (int64_t j = 0; j < p->n; j++)
            p->d[i * p->d_row + j] += p->bias[j];
}

static hone_status product_dnnl(hone_queue *q, const cpu_product *p, hone_error *err)
{
    /* the stride of the dimension that is not 1, never less than what it spans */
    const bool a_rows = p->a_col == 1, b_rows = p->b_col == 1;
    const int64_t a_span = a_rows ? p->k : p->m, a_given = a_rows ? p->a_row : p->a_col;
    const int64_t b_span = b_rows ? p->n : p->k, b_given = b_rows ? p->b_row : p->b_col;
    cpu_parallel_setup(q->dev->threads);
    const dnnl_status_t st =
        dnnl_sgemm(a_rows ? 'N' : 'T', b_rows ? 'N' : 'T', p->m, p->n, p->k, p->alpha, p->a,
                   a_given > a_span ? a_given : a_span, p->b, b_given > b_span ? b_given : b_span,
                   p->beta, p->d, p->d_row > p->n ? p->d_row : p->n);
    if (st)
        return hone_fail(
            err, st == dnnl_out_of_memory ? HONE_ERR_NOMEM : HONE_ERR_DEVICE,
            "cpu: oneDNN failed with status %d for a product of %lld x %lld by %lld x %lld",
            (int)st, (long long)p->m, (long long)p->k, (long long)p->k, (long long)p->n);
    if (p->bias) {
        cpu_product with = *p;
        cpu_parallel(q->dev, p->m, 1 + 16384 / p->n, add_bias, &with);
    }
    return HONE_OK;
}

/* ----------------------------------------------------------- few rows, no product */

typedef struct few_job {
    const cpu_product *p;
    const cpu_rows *rows;
} few_job;

static inline float finish(const cpu_product *p, int64_t i, int64_t j, float x)
{
    float y = p->alpha * x + (p->bias ? p->bias[j] : 0);
    if (p->beta != 0)
        y += p->beta * p->d[i * p->d_row + j];
    return y;
}

/* Columns [lo, hi) of b are rows in memory: one dot product each. */
static void few_rows(void *arg, int64_t lo, int64_t hi, int thread)
{
    const few_job *job = arg;
    const cpu_product *p = job->p;
    float y[4];
    (void)thread;
    for (int64_t j = lo; j < hi; j += 4)
        for (int64_t i = 0; i < p->m; i++) {
            const float *a = p->a + i * p->a_row, *b = p->b + j * p->b_col;
            if (hi - j >= 4)
                job->rows->dot4(y, a, b, p->b_col, p->k);
            else
                for (int64_t t = 0; t < hi - j; t++)
                    y[t] = job->rows->dot(a, b + t * p->b_col, p->k);
            for (int64_t t = 0; t < 4 && j + t < hi; t++)
                p->d[i * p->d_row + j + t] = finish(p, i, j + t, y[t]);
        }
}

static void no_product(void *arg, int64_t lo, int64_t hi, int thread)
{
    const cpu_product *p = arg;
    (void)thread;
    for (int64_t i = lo; i < hi; i++)
        for (int64_t j = 0; j < p->n; j++)
            p->d[i * p->d_row + j] = finish(p, i, j, 0);
}

hone_status cpu_product_run(hone_queue *q, const cpu_product *p, hone_error *err)
{
    if (p->m == 0 || p->n == 0)
        return HONE_OK;
    if (p->k == 0 || p->alpha == 0) {
        cpu_product none = *p;
        cpu_parallel(q->dev, p->m, 1 + 16384 / p->n, no_product, &none);
        return HONE_OK;
    }
    if (p->m <= FEW && p->b_row == 1 && (p->a_col == 1 || p->k == 1)) {
        few_job job = { p, q->dev->k->rows };
        cpu_parallel(q->dev, p->n, 4 + 32768 / p->k, few_rows, &job);
        return HONE_OK;
    }
    return product_dnnl(q, p, err);
}

/* dnnl_sgemm packs blocks of both matrices, per thread, and gives them back after the call. */
uint64_t cpu_product_workspace(const hone_dev *dev, const hone_extent *e)
{
    (void)e;
    return (uint64_t)dev->threads * SGEMM_PACK;
}
