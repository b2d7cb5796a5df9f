/*
 * few.c - a stored matrix times up to FEW_ROWS vectors, in the format it is stored in.
 *
 * Generation reads every weight once for each token: it runs as fast as bytes come from
 * memory, and a format with fewer of them is faster. Rows are cut over the threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cpu.h"
#include "hone/nf4.h"

enum { AT_ONCE = 64 }; /* rows whose products are collected before they are stored */

typedef struct few_job {
    const cpu_few *k;
    const float *x, *bias; /* bias may be NULL */
    float *y;
    int64_t m, rows, cols, x_row, y_row;
    float beta;
    const void *w; /* plain */
    int64_t w_row;
    uint32_t dtype;
    const uint8_t *codes, *scales; /* nf4 */
    const float *nested;
    float offset;
    const float *map; /* (256) scale of a code */
    float *room;      /* (threads, cols / 64) scales of a row */
} few_job;

static void store(const few_job *j, const float *sum, int64_t first, int64_t n)
{
    for (int64_t m = 0; m < j->m; m++)
        for (int64_t r = 0; r < n; r++) {
            float *y = j->y + m * j->y_row + first + r;
            const float add =
                (j->bias ? j->bias[first + r] : 0) + (j->beta != 0 ? j->beta * *y : 0);
            *y = sum[m * AT_ONCE + r] + add;
        }
}

static void plain_rows(void *arg, int64_t lo, int64_t hi, int thread)
{
    const few_job *j = arg;
    const uint64_t row_bytes = (uint64_t)j->w_row * hone_dtype_size(j->dtype);
    float sum[FEW_ROWS * AT_ONCE];
    (void)thread;
    for (int64_t r = lo; r < hi; r += AT_ONCE) {
        const int64_t n = hi - r < AT_ONCE ? hi - r : AT_ONCE;
        j->k->plain[j->dtype](sum, AT_ONCE, j->x, j->x_row, j->m,
                              (const uint8_t *)j->w + (uint64_t)r * row_bytes, j->w_row, n,
                              j->cols);
        store(j, sum, r, n);
    }
}

/* Scales of n blocks from `first` on. */
static inline void row_scales(const few_job *j, float *scale, int64_t first, int64_t n)
{
    const float *map = j->map, offset = j->offset;
    for (int64_t at = 0; at < n;) {
        const int64_t nest = (first + at) / HONE_NF4_NEST,
                      left = (nest + 1) * HONE_NF4_NEST - first;
        const int64_t end = left < n ? left : n;
        const float nested = j->nested[nest];
        for (; at < end; at++)
            scale[at] = map[j->scales[first + at]] * nested + offset;
    }
}

static void nf4_rows(void *arg, int64_t lo, int64_t hi, int thread)
{
    const few_job *j = arg;
    const int64_t blocks = j->cols / HONE_NF4_BLOCK;
    float *scale = j->room + thread * blocks, sum[FEW_ROWS * AT_ONCE];
    for (int64_t r = lo; r < hi; r += AT_ONCE) {
        const int64_t n = hi - r < AT_ONCE ? hi - r : AT_ONCE;
        for (int64_t i = 0; i < n; i++) {
            const int64_t first = (r + i) * blocks;
            row_scales(j, scale, first, blocks);
            j->k->nf4(sum + i, AT_ONCE, j->x, j->x_row, j->m,
                      j->codes + first * (HONE_NF4_BLOCK / 2), scale, hone_nf4_value, j->cols);
        }
        store(j, sum, r, n);
    }
}

/* The dtype of a plain format, 0 for others. */
static uint32_t plain_dtype(const hone_weight *w)
{
    static const struct {
        const char *name;
        uint32_t dtype;
    } rows[] = { { "fp32", HONE_F32 }, { "fp16", HONE_F16 }, { "bf16", HONE_BF16 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(w->format, rows[i].name) == 0)
            return rows[i].dtype;
    return 0;
}

static bool is_nf4(const hone_weight *w)
{
    return strcmp(w->format, "nf4") == 0 && w->cols % HONE_NF4_BLOCK == 0 && w->n_planes == 4;
}

bool cpu_few_takes(const hone_linear_args *a)
{
    const int64_t m = a->x.shape[0];
    return !a->transpose && m >= 1 && m <= FEW_ROWS && a->w->cols > 0 &&
           (plain_dtype(a->w) || is_nf4(a->w));
}

/* Floats of a vector in nf4's order: whole groups. */
static int64_t parted_row(int64_t cols)
{
    return (cols + FEW_GROUP - 1) / FEW_GROUP * FEW_GROUP;
}

uint64_t cpu_few_scratch(const hone_dev *dev, int64_t cols)
{
    return (uint64_t)(256 + FEW_ROWS * parted_row(cols) + dev->threads * (cols / HONE_NF4_BLOCK)) *
           sizeof(float);
}

/* Planes, and room for what nf4 computes before it multiplies. */
static hone_status take_nf4(few_job *j, hone_queue *q, const hone_weight *w, hone_error *err)
{
    const int64_t n = w->rows * w->cols, blocks = n / HONE_NF4_BLOCK;
    const int64_t counts[4] = { n / 2, blocks, (blocks + HONE_NF4_NEST - 1) / HONE_NF4_NEST, 1 };
    static const uint32_t dtypes[4] = { HONE_U8, HONE_U8, HONE_F32, HONE_F32 };
    cpu_view v[4];
    float *room = cpu_scratch(q, cpu_few_scratch(q->dev, w->cols)), *parted = room + 256;
    hone_status st = HONE_OK;
    if (!room)
        return hone_fail(err, HONE_ERR_NOMEM, "cpu: no memory to multiply by a row of %lld",
                         (long long)w->cols);
    for (uint32_t k = 0; k < 4 && !st; k++)
        st = cpu_want(q->dev, &w->plane[k], "linear: w", dtypes[k], CPU_DENSE, 1, &counts[k], &v[k],
                      err);
    if (st)
        return st;
    for (uint32_t i = 0; i < 256; i++)
        room[i] = hone_nf4_scale(i);
    for (int64_t m = 0; m < j->m; m++)
        j->k->part(parted + m * parted_row(j->cols), j->x + m * j->x_row, j->cols);
    j->map = room;
    j->x = parted;
    j->x_row = parted_row(j->cols);
    j->room = parted + FEW_ROWS * j->x_row;
    j->codes = v[0].p;
    j->scales = v[1].p;
    j->nested = v[2].p;
    j->offset = *(const float *)v[3].p;
    return HONE_OK;
}

hone_status cpu_few_linear(hone_queue *q, const hone_linear_args *a, hone_error *err)
{
    const hone_weight *w = a->w;
    const int64_t m = a->x.shape[0];
    cpu_view x, y, bias, plain = { 0 };
    few_job j = { .k = q->dev->k->few,
                  .m = m,
                  .rows = w->rows,
                  .cols = w->cols,
                  .beta = a->beta,
                  .dtype = plain_dtype(w) };
    hone_status st = cpu_want(q->dev, &a->x, "linear: x", HONE_F32, CPU_ROWS, 2,
                              (int64_t[]){ m, w->cols }, &x, err);
    if (!st)
        st = cpu_want(q->dev, &a->y, "linear: y", HONE_F32, CPU_ROWS, 2, (int64_t[]){ m, w->rows },
                      &y, err);
    if (!st)
        st = cpu_want(q->dev, &a->bias, "linear: bias", HONE_F32, CPU_OPTIONAL, 1, &w->rows, &bias,
                      err);
    if (!st && j.dtype)
        st = cpu_want(q->dev, &w->plane[0], "linear: w", j.dtype, CPU_ROWS, 2,
                      (int64_t[]){ w->rows, w->cols }, &plain, err);
    if (st)
        return st;
    j.x = x.p, j.x_row = x.row;
    j.y = y.p, j.y_row = y.row;
    j.bias = bias.p;
    j.w = plain.p, j.w_row = plain.row;
    if (!j.dtype)
        st = take_nf4(&j, q, w, err);
    if (!st)
        cpu_parallel(q->dev, w->rows, 4 + 32768 / w->cols, j.dtype ? plain_rows : nf4_rows, &j);
    return st;
}
