/*
 * reduce.c - sums and maxima of a program's value over the last dimension.
 *
 * The work is cut by the shape alone: short rows are taken several at a time,
 * long ones in pieces of PIECE elements whose results are combined in order. So
 * the bits depend neither on the number of threads nor on who was first. Within
 * a row partial sums are float32 over at most EW_BLOCK elements, then double.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "ew.h"

enum { PIECE = 1 << 16, SHORT = 4096 };

typedef struct reduce_job {
    ew_run run;
    int64_t rows, length; /* rows of the last dimension     */
    int64_t pieces;       /* of one row                     */
    int64_t rows_each;    /* rows of an item; 1 with pieces */
    bool largest, accumulate;
    int reg;
    ew_walk out;  /* (rows)                         */
    double *part; /* (rows, pieces), scratch        */
} reduce_job;

static double larger(double a, double b)
{
    return !(a == a) || a > b ? a : b;
}

static void put(const reduce_job *job, int64_t row, double x)
{
    float old, y = (float)x;
    if (job->accumulate) {
        ew_walk_load(&job->out, job->run.k, &old, row, 1);
        y = job->largest ? (float)larger((double)old, x) : (float)((double)old + x);
    }
    ew_walk_store(&job->out, job->run.k, &y, row, 1);
}

/* One piece of a row. */
static void take_piece(const reduce_job *job, ew_state *state, int64_t item)
{
    const int64_t row = item / job->pieces, at = item % job->pieces * PIECE;
    const int64_t end = job->length - at < PIECE ? job->length : at + PIECE;
    double total = job->largest ? -INFINITY : 0;
    for (int64_t i = at; i < end; i += EW_BLOCK) {
        const int64_t n = end - i < EW_BLOCK ? end - i : EW_BLOCK;
        const float *x;
        ew_run_block(&job->run, state, row * job->length + i, n);
        x = state->value[job->reg];
        total = job->largest ? larger((double)job->run.k->max(x, n), total)
                             : total + job->run.k->sum(x, n);
    }
    if (job->part)
        job->part[item] = total;
    else
        put(job, row, total);
}

/* Several rows, each shorter than SHORT: blocks run across their ends. */
static void take_rows(const reduce_job *job, ew_state *state, int64_t item)
{
    const int64_t first = item * job->rows_each;
    const int64_t rows = job->rows - first < job->rows_each ? job->rows - first : job->rows_each;
    const int64_t end = (first + rows) * job->length;
    int64_t row = first;
    double total = job->largest ? -INFINITY : 0;
    for (int64_t i = first * job->length; i < end; i += EW_BLOCK) {
        const int64_t n = end - i < EW_BLOCK ? end - i : EW_BLOCK;
        const float *x;
        int64_t done = 0;
        ew_run_block(&job->run, state, i, n);
        x = state->value[job->reg];
        while (done < n) {
            const int64_t left = (row + 1) * job->length - (i + done);
            const int64_t m = n - done < left ? n - done : left;
            total = job->largest ? larger((double)job->run.k->max(x + done, m), total)
                                 : total + job->run.k->sum(x + done, m);
            done += m;
            if (m == left) {
                put(job, row++, total);
                total = job->largest ? -INFINITY : 0;
            }
        }
    }
}

static void reduce_items(void *arg, int64_t lo, int64_t hi, int thread)
{
    const reduce_job *job = arg;
    ew_state state;
    (void)thread;
    ew_run_start(&job->run, &state);
    for (int64_t i = lo; i < hi; i++)
        if (job->rows_each > 1)
            take_rows(job, &state, i);
        else
            take_piece(job, &state, i);
}

/* Rows of nothing: 0, or -inf. */
static void empty_rows(const reduce_job *job)
{
    for (int64_t row = 0; row < job->rows; row++)
        put(job, row, job->largest ? -INFINITY : 0);
}

static hone_status check_program(const reduce_job *job, const hone_reduce_args *args,
                                 hone_error *err)
{
    const hone_ew_program *p = &job->run.code->program;
    bool defined = false;
    for (uint32_t i = 0; i < p->n_insns; i++) {
        if (hone_ew_stores(&p->insns[i]))
            return hone_fail(err, HONE_ERR_ARG, "cpu: reduce: the program stores to buffer %u",
                             (unsigned)p->insns[i].idx);
        if (p->insns[i].op == HONE_EW_BMAX)
            return hone_fail(err, HONE_ERR_ARG, "cpu: reduce: the program looks at whole blocks");
        defined = defined || p->insns[i].dst == args->map_reg;
    }
    if (!defined)
        return hone_fail(err, HONE_ERR_ARG, "cpu: reduce: the program does not write r%u",
                         (unsigned)args->map_reg);
    return HONE_OK;
}

hone_status cpu_reduce(hone_queue *q, const hone_reduce_args *args, hone_error *err)
{
    reduce_job job = { 0 };
    int64_t shape[4];
    void *at = NULL;
    hone_status st;
    CPU_ARGS(args, err);
    CPU_ARGS(&args->map, err);
    if (args->op != HONE_REDUCE_SUM && args->op != HONE_REDUCE_MAX)
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "cpu: reduce: operation %u",
                         (unsigned)args->op);
    if (args->map_reg >= HONE_EW_MAX_REGS)
        return hone_fail(err, HONE_ERR_ARG, "cpu: reduce: the program does not write r%u",
                         (unsigned)args->map_reg);
    st = ew_run_init(&job.run, q->dev, &args->map, (int)args->map_reg, "reduce", err);
    if (!st)
        st = check_program(&job, args, err);
    if (!st)
        st = cpu_resolve(q->dev, &args->out, "reduce: out", &at, err);
    if (st)
        return st;
    memcpy(shape, job.run.shape, sizeof shape);
    job.length = shape[3];
    shape[3] = 1;
    job.rows = shape[0] * shape[1] * shape[2];
    if (memcmp(shape, args->out.shape, sizeof shape) != 0 || args->out.dtype != HONE_F32 ||
        !ew_apart(&args->out)) {
        char got[96], want[96];
        return hone_fail(err, HONE_ERR_ARG,
                         "cpu: reduce: out is %s of dtype %u, expected %s float32",
                         cpu_shape_text(got, sizeof got, 4, args->out.shape),
                         (unsigned)args->out.dtype, cpu_shape_text(want, sizeof want, 4, shape));
    }
    job.largest = args->op == HONE_REDUCE_MAX;
    job.accumulate = args->accumulate != 0;
    job.reg = (int)args->map_reg;
    ew_walk_init(&job.out, &args->out, at);
    if (job.rows == 0)
        return HONE_OK;
    if (job.length == 0) {
        empty_rows(&job);
        return HONE_OK;
    }
    job.pieces = (job.length - 1) / PIECE + 1;
    job.rows_each = job.length < SHORT ? SHORT / job.length : 1;
    if (job.pieces > 1) {
        job.part = cpu_scratch(q, (uint64_t)(job.rows * job.pieces) * sizeof(double));
        if (!job.part)
            return hone_fail(err, HONE_ERR_NOMEM, "cpu: reduce: no memory for %lld partial results",
                             (long long)(job.rows * job.pieces));
    }
    cpu_parallel(q->dev,
                 job.rows_each > 1 ? (job.rows - 1) / job.rows_each + 1 : job.rows * job.pieces, 1,
                 reduce_items, &job);
    for (int64_t row = 0; job.part && row < job.rows; row++) {
        double total = job.part[row * job.pieces];
        for (int64_t i = 1; i < job.pieces; i++) {
            const double x = job.part[row * job.pieces + i];
            total = job.largest ? larger(x, total) : total + x;
        }
        put(&job, row, total);
    }
    return HONE_OK;
}
