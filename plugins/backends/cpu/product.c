/*
 * product.c - who makes a matrix product.
 *
 *   few rows of d       a dot product per column: the matrix is read once, at memory speed
 *   bfloat16 will do    tiles (amx.c), where the processor has them
 *   otherwise           our own blocks (blocks.c), or oneDNN where it was measured faster
 *
 * oneDNN by dnnl_sgemm and not by a primitive: a primitive belongs to one shape and takes
 * milliseconds of machine code to make, and packed batches bring a new number of rows with every
 * step. (Tried: memory grew by 1.2 MB a step.)
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dnnl.h>

#include "product.h"

enum { FEW = 4, THIN = 96 };

/* What dnnl_sgemm takes while it runs, measured (2.6, AVX2 and AVX-512, 1 to 8 threads): a thread
 * packs COLUMNS columns by DEEP, and ROWS rows by DEEP, and holds LOOSE bytes. The columns of a
 * call would be limited by 10,000 alone, 15 MB a thread: it is called for so many at a time. */
enum { COLUMNS = 2048, ROWS = 384, DEEP = 384, LOOSE = 80 << 10 };

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
    const bool a_rows = p->a.col == 1, b_rows = p->b.col == 1;
    const int64_t a_span = a_rows ? p->k : p->m, a_given = cpu_operand_step(&p->a);
    const int64_t b_span = b_rows ? p->n : p->k, b_given = cpu_operand_step(&p->b);
    cpu_parallel_setup(q->dev->threads);
    const int64_t pieces = (p->n + COLUMNS - 1) / COLUMNS, each = (p->n + pieces - 1) / pieces;
    dnnl_status_t st = dnnl_success;
    for (int64_t at = 0; !st && at < p->n; at += each) {
        const int64_t n = p->n - at < each ? p->n - at : each;
        st = dnnl_sgemm(a_rows ? 'N' : 'T', b_rows ? 'N' : 'T', p->m, n, p->k, p->alpha, p->a.p,
                        a_given > a_span ? a_given : a_span, (const float *)p->b.p + at * p->b.col,
                        b_given > b_span ? b_given : b_span, p->beta, p->d + at,
                        p->d_row > p->n ? p->d_row : p->n);
    }
    if (st)
        return hone_fail(
            err, st == dnnl_out_of_memory ? HONE_ERR_NOMEM : HONE_ERR_DEVICE,
            "cpu: oneDNN failed with status %d for a product of %lld x %lld by %lld x %lld",
            (int)st, (long long)p->m, (long long)p->k, (long long)p->k, (long long)p->n);
    return HONE_OK;
}

/* ----------------------------------------------------------- few rows, no product */

typedef struct few_job {
    const cpu_product *p;
    const cpu_rows *rows;
} few_job;

static inline float finish(const cpu_product *p, int64_t i, int64_t j, float x)
{
    float y = p->alpha * x;
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
            const float *a = (const float *)p->a.p + i * p->a.row;
            const float *b = (const float *)p->b.p + j * p->b.col;
            if (hi - j >= 4)
                job->rows->dot4(y, a, b, p->b.col, p->k);
            else
                for (int64_t t = 0; t < hi - j; t++)
                    y[t] = job->rows->dot(a, b + t * p->b.col, p->k);
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
            p->d[i * p->d_row + j * p->d_col] =
                p->beta == 0 ? 0 : p->beta * p->d[i * p->d_row + j * p->d_col];
}

/* ------------------------------------------------------------------ the choice */

static bool is_few(const cpu_product *p)
{
    return p->m <= FEW && p->b.row == 1 && p->d_col == 1 && p->a.dtype == HONE_F32 &&
           p->b.dtype == HONE_F32 && (p->a.col == 1 || p->k == 1);
}

/* The rule; measurements are in docs/notebook.md. oneDNN takes float32 alone, and no thin
 * product, which it is bad at. */
static bool is_dnnl_size(const hone_dev *dev, int64_t m, int64_t n, int64_t k)
{
    const bool thin = m <= THIN || n <= THIN || k <= THIN;
    return dev->products != CPU_PRODUCTS_OWN && (!thin || dev->products == CPU_PRODUCTS_ONEDNN);
}

static bool is_for_dnnl(const hone_dev *dev, const cpu_product *p)
{
    const bool can = p->a.dtype == HONE_F32 && p->b.dtype == HONE_F32 && p->d_col == 1;
    return can && is_dnnl_size(dev, p->m, p->n, p->k);
}

/* Fewer products than this are not worth a configuration of tiles. */
#define TILED 2e5

static bool is_for_tiles(const hone_dev *dev, const cpu_product *p)
{
    return dev->k->amx && !dev->exact && p->operands == HONE_BF16 && p->m > FEW &&
           (double)p->m * (double)p->n * (double)p->k > TILED;
}

static hone_status base(hone_queue *q, const cpu_product *p, hone_error *err)
{
    if ((p->k == 0 || p->alpha == 0) && p->beta == 1)
        return HONE_OK;
    if (p->k == 0 || p->alpha == 0) {
        cpu_product none = *p;
        cpu_parallel(q->dev, p->m, 1 + 16384 / p->n, no_product, &none);
        return HONE_OK;
    }
    if (is_few(p)) {
        few_job job = { p, q->dev->k->rows };
        cpu_parallel(q->dev, p->n, 4 + 32768 / p->k, few_rows, &job);
        return HONE_OK;
    }
    if (is_for_tiles(q->dev, p))
        return cpu_amx_product(q, p, err);
    return is_for_dnnl(q->dev, p) ? product_dnnl(q, p, err) : cpu_product_blocks(q, p, err);
}

hone_status cpu_product_run(hone_queue *q, const cpu_product *p, hone_error *err)
{
    cpu_product first = *p, then = *p;
    hone_status st;
    if (p->m == 0 || p->n == 0)
        return HONE_OK;
    const bool apart = p->k == 0 || p->alpha == 0 || is_few(p) ||
                       (!is_for_tiles(q->dev, p) && is_for_dnnl(q->dev, p));
    if (p->plus_k && apart) {
        first.plus_k = then.plus_k = 0;
        then.a = p->plus_a;
        then.b = p->plus_b;
        then.k = p->plus_k;
        then.alpha = p->plus_scale;
        then.beta = 1;
    } else {
        then.k = 0;
    }
    st = base(q, &first, err);
    if (!st && then.k)
        st = base(q, &then, err);
    first.bias = p->bias;
    if (!st && p->bias)
        cpu_parallel(q->dev, p->m, 1 + 16384 / p->n, add_bias, &first);
    return st;
}

/* What dnnl_sgemm takes for a product, or one of fewer rows. */
static uint64_t packed(const hone_dev *dev, int64_t m, int64_t n, int64_t k)
{
    const int64_t rows = m < ROWS ? m : ROWS, columns = n < COLUMNS ? n : COLUMNS;
    const int64_t both = (rows + columns + 48) * (k < DEEP ? k : DEEP); /* 48: whole tiles */
    if (!is_dnnl_size(dev, m, n, k))
        return 0;
    return (uint64_t)dev->threads * ((uint64_t)both * sizeof(float) + LOOSE);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The largest of the products that weights and their adapters take part in; panels of blocks and
 * of tiles are the same memory. */
uint64_t cpu_product_workspace(const hone_dev *dev, const hone_extent *e)
{
    const int64_t n = e->tokens > e->loss_rows ? e->tokens : e->loss_rows, r = e->rank;
    const bool back = e->training != 0, full = e->full != 0;
    const bool tiles = dev->k->amx && e->operands == HONE_BF16;
    uint64_t panels = 0, dnnl = 0;
    for (uint32_t i = 0; i < e->n_weights; i++) {
        const int64_t out = e->weights[i].rows, in = e->weights[i].cols;
        const bool f32 = cpu_format_dtype(e->weights[i].format) == HONE_F32;
        const struct {
            bool made, f32;
            int64_t m, n, k, plus;
        } set[] = {
            { true, f32, n, out, in, r },  { back, f32, n, in, out, r }, /* y, dx */
            { full, true, out, in, n, 0 },                               /* dw */
            { true, true, n, r, in, 0 },   { true, true, n, out, r, 0 }, /* x A^T, (x A^T) B^T */
            { back, true, n, r, out, 0 },  { back, true, n, in, r, 0 },  /* dy B, (dy B) A */
            { back, true, r, in, n, 0 },   { back, true, out, r, n, 0 }, /* dA, dB */
        };
        for (size_t k = 0; k < sizeof set / sizeof *set; k++) {
            if (!set[k].made || !set[k].m || !set[k].n || !set[k].k)
                continue;
            panels =
                larger(panels, cpu_blocks_bytes(dev, set[k].m, set[k].n, set[k].k, set[k].plus));
            if (tiles)
                panels =
                    larger(panels, cpu_amx_bytes(dev, set[k].m, set[k].n, set[k].k, set[k].plus));
            if (set[k].f32)
                dnnl = larger(dnnl, packed(dev, set[k].m, set[k].n, set[k].k));
        }
    }
    return dnnl + panels;
}
