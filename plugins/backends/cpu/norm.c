/*
 * norm.c - root mean square norm, forward and backward.
 *
 * The gradient of w is summed over blocks of ROWS_EACH rows, each block into its
 * own partial row, and the partial rows are added in order: the same bits for any
 * number of threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "cpu.h"

enum { ROWS_EACH = 64 };

typedef struct norm_job {
    const cpu_rows *k;
    int64_t n, c;
    float eps;
    float *x; /* written where something is added */
    const float *w, *dy, *add;
    float *y, *rstd, *dx, *part; /* part (blocks, c) or NULL */
    int64_t x_row, y_row, dy_row, dx_row, add_row;
    int accumulate;
} norm_job;

static void forward(void *arg, int64_t lo, int64_t hi, int thread)
{
    const norm_job *job = arg;
    (void)thread;
    for (int64_t i = lo; i < hi; i++) {
        float *x = job->x + i * job->x_row;
        const float squares = job->add ? job->k->add_squares(x, job->add + i * job->add_row, job->c)
                                       : job->k->sum_squares(x, job->c);
        const float rstd = 1.0f / sqrtf(squares / (float)job->c + job->eps);
        job->k->norm(job->y + i * job->y_row, x, job->w, rstd, job->c);
        if (job->rstd)
            job->rstd[i] = rstd;
    }
}

static void backward(void *arg, int64_t item, int thread)
{
    const norm_job *job = arg;
    float *dw = job->part ? job->part + item * job->c : NULL;
    const int64_t lo = item * ROWS_EACH, hi = lo + ROWS_EACH < job->n ? lo + ROWS_EACH : job->n;
    (void)thread;
    if (dw)
        memset(dw, 0, (size_t)job->c * sizeof *dw);
    for (int64_t i = lo; i < hi; i++)
        job->k->norm_bwd(job->dx + i * job->dx_row, dw, job->dy + i * job->dy_row,
                         job->x + i * job->x_row, job->w, job->rstd[i], job->c, job->accumulate);
}

/* What both directions read: x, w. */
static hone_status inputs(norm_job *job, hone_queue *q, const hone_rmsnorm_args *args,
                          hone_error *err)
{
    const int64_t shape[2] = { args->x.shape[0], args->x.shape[1] };
    cpu_view x, w;
    hone_status st =
        cpu_want(q->dev, &args->x, "rmsnorm: x", HONE_F32, CPU_ROWS, 2, shape, &x, err);
    if (!st)
        st = cpu_want(q->dev, &args->w, "rmsnorm: w", HONE_F32, CPU_DENSE, 1, &shape[1], &w, err);
    if (!st)
        *job = (norm_job){ .k = q->dev->k->rows,
                           .n = shape[0],
                           .c = shape[1],
                           .eps = args->eps,
                           .x = x.p,
                           .w = w.p,
                           .x_row = x.row,
                           .accumulate = args->accumulate_dx != 0 };
    return st;
}

hone_status cpu_rmsnorm(hone_queue *q, const hone_rmsnorm_args *args, hone_error *err)
{
    norm_job job;
    cpu_view y, rstd, add;
    hone_status st;
    CPU_ARGS(args, err);
    st = inputs(&job, q, args, err);
    if (!st)
        st = cpu_want(q->dev, &args->y, "rmsnorm: y", HONE_F32, CPU_ROWS, 2,
                      (int64_t[]){ job.n, job.c }, &y, err);
    if (!st)
        st = cpu_want(q->dev, &args->rstd, "rmsnorm: rstd", HONE_F32, CPU_OPTIONAL, 1, &job.n,
                      &rstd, err);
    if (!st)
        st = cpu_want(q->dev, &args->add, "rmsnorm: add", HONE_F32, CPU_ROWS | CPU_OPTIONAL, 2,
                      (int64_t[]){ job.n, job.c }, &add, err);
    if (st || !job.c)
        return st;
    job.add = add.p;
    job.add_row = add.row;
    job.y = y.p;
    job.y_row = y.row;
    job.rstd = rstd.p;
    cpu_parallel(q->dev, job.n, 1 + 8192 / job.c, forward, &job);
    return HONE_OK;
}

/* Partial sums of dw. */
uint64_t cpu_norm_scratch(const hone_extent *e)
{
    const int64_t rows = e->tokens * e->heads > e->tokens ? e->tokens * e->heads : e->tokens;
    const uint64_t stream = (uint64_t)(((e->tokens - 1) / ROWS_EACH + 1) * e->channels);
    const uint64_t heads = (uint64_t)(((rows - 1) / ROWS_EACH + 1) * e->head_dim);
    return (stream > heads ? stream : heads) * sizeof(float);
}

hone_status cpu_rmsnorm_bwd(hone_queue *q, const hone_rmsnorm_args *args, hone_error *err)
{
    norm_job job;
    cpu_view rstd, dy, dx, dw;
    int64_t blocks;
    float *total;
    hone_status st;
    CPU_ARGS(args, err);
    st = inputs(&job, q, args, err);
    if (!st)
        st = cpu_want(q->dev, &args->rstd, "rmsnorm: rstd", HONE_F32, CPU_DENSE, 1, &job.n, &rstd,
                      err);
    if (!st)
        st = cpu_want(q->dev, &args->dy, "rmsnorm: dy", HONE_F32, CPU_ROWS, 2,
                      (int64_t[]){ job.n, job.c }, &dy, err);
    if (!st)
        st = cpu_want(q->dev, &args->dx, "rmsnorm: dx", HONE_F32, CPU_ROWS, 2,
                      (int64_t[]){ job.n, job.c }, &dx, err);
    if (!st)
        st =
            cpu_want(q->dev, &args->dw, "rmsnorm: dw", HONE_F32, CPU_OPTIONAL, 1, &job.c, &dw, err);
    if (st || !job.n || !job.c)
        return st;
    blocks = (job.n - 1) / ROWS_EACH + 1;
    total = dw.p;
    job.rstd = rstd.p;
    job.dy = dy.p;
    job.dy_row = dy.row;
    job.dx = dx.p;
    job.dx_row = dx.row;
    if (total) {
        job.part = cpu_scratch(q, (uint64_t)(blocks * job.c) * sizeof(float));
        if (!job.part)
            return hone_fail(err, HONE_ERR_NOMEM, "cpu: rmsnorm: no memory for %lld x %lld sums",
                             (long long)blocks, (long long)job.c);
    }
    cpu_each(q->dev, blocks, backward, &job);
    for (int64_t b = 0; total && b < blocks; b++)
        job.k->axpy(total, job.part + b * job.c, 1, job.c);
    return HONE_OK;
}
