/*
 * rows.c - rows of a table by index, out of it and added into it.
 *
 * scatter_add is cut by columns: every thread sees all indexes in order, so equal
 * ones add in the order of n, to the bit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cpu.h"

typedef struct rows_job {
    const cpu_kernels *k;
    const uint8_t *from;
    float *table, *io;
    const int32_t *index;
    int64_t n, cols, table_row, io_row;
    uint32_t dtype;
} rows_job;

static void gather(void *arg, int64_t lo, int64_t hi, int thread)
{
    const rows_job *job = arg;
    const uint64_t row_bytes = (uint64_t)job->table_row * hone_dtype_size(job->dtype);
    (void)thread;
    for (int64_t i = lo; i < hi; i++)
        job->k->exact->load[job->dtype](job->io + i * job->io_row,
                                        job->from + (uint64_t)job->index[i] * row_bytes, job->cols);
}

static void scatter(void *arg, int64_t lo, int64_t hi, int thread)
{
    const rows_job *job = arg;
    (void)thread;
    for (int64_t i = 0; i < job->n; i++)
        job->k->rows->axpy(job->table + job->index[i] * job->table_row + lo,
                           job->io + i * job->io_row + lo, 1, hi - lo);
}

static hone_status prepare(rows_job *job, hone_queue *q, const hone_rows_args *args,
                           uint32_t table_dtype, const char *const names[3], hone_error *err)
{
    const int64_t n = args->io.shape[0], cols = args->io.shape[1];
    cpu_view table, index, io;
    hone_status st = cpu_want(q->dev, &args->io, names[0], HONE_F32, CPU_ROWS, 2,
                              (int64_t[]){ n, cols }, &io, err);
    if (!st)
        st = cpu_want(q->dev, &args->table, names[1], table_dtype, CPU_ROWS, 2,
                      (int64_t[]){ -1, cols }, &table, err);
    if (!st)
        st = cpu_want(q->dev, &args->index, names[2], HONE_I32, CPU_DENSE, 1, &n, &index, err);
    if (!st)
        st = cpu_check_index(index.p, n, args->table.shape[0], names[2], err);
    *job = (rows_job){ .k = q->dev->k,
                       .from = table.p,
                       .table = table.p,
                       .io = io.p,
                       .index = index.p,
                       .n = n,
                       .cols = cols,
                       .table_row = table.row,
                       .io_row = io.row,
                       .dtype = table_dtype };
    return st;
}

hone_status cpu_gather_rows(hone_queue *q, const hone_rows_args *args, hone_error *err)
{
    static const char *const names[] = { "gather: io", "gather: table", "gather: index" };
    rows_job job;
    hone_status st;
    CPU_ARGS(args, err);
    st = prepare(&job, q, args, args->table.dtype, names, err);
    if (!st && job.cols)
        cpu_parallel(q->dev, job.n, 1 + 16384 / job.cols, gather, &job);
    return st;
}

hone_status cpu_scatter_add_rows(hone_queue *q, const hone_rows_args *args, hone_error *err)
{
    static const char *const names[] = { "scatter: io", "scatter: table", "scatter: index" };
    rows_job job;
    hone_status st;
    CPU_ARGS(args, err);
    st = prepare(&job, q, args, HONE_F32, names, err);
    if (!st)
        cpu_parallel(q->dev, job.cols, 64, scatter, &job);
    return st;
}
