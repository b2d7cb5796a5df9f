/*
 * loss.c - logits, cross-entropy and its gradient, a chunk of rows at a time.
 *
 * A chunk's logits become their own gradient in place. The sum of losses runs in
 * double over rows in order, whatever the threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "cpu.h"

typedef struct loss_job {
    const cpu_rows *k;
    float *logits;         /* (rows, v)                          */
    int64_t row, v;        /* row: stride                        */
    const int32_t *target; /* of this chunk, like what follows   */
    const float *weight;   /* or NULL                            */
    double *nll;
    float scale;
    bool gradient;
} loss_job;

static void one_row(void *arg, int64_t i, int thread)
{
    const loss_job *job = arg;
    float *x = job->logits + i * job->row;
    const int32_t target = job->target[i];
    const float factor = job->scale * (job->weight ? job->weight[i] : 1);
    double sum, lse;
    (void)thread;
    lse = (double)job->k->log_sum(x, job->v, &sum);
    lse += log(sum);
    job->nll[i] = lse - (double)x[target];
    if (job->gradient) {
        job->k->softmax(x, job->v, (float)lse, factor);
        x[target] -= factor;
    }
}

typedef struct loss_views {
    cpu_operand w;
    cpu_view h, target, weight, loss, nll, dh, dw, scratch;
    int64_t n, c, v, count;
} loss_views;

static hone_status look(loss_views *v, hone_queue *q, const hone_loss_args *args, hone_error *err)
{
    const int64_t nc[2] = { args->h.shape[0], args->w->cols };
    const int64_t vc[2] = { args->w->rows, args->w->cols };
    const int64_t one[1] = { 1 }, chunk[2] = { -1, args->w->rows };
    const struct {
        const hone_tensor *t;
        const char *name;
        uint32_t dtype, flags, rank;
        const int64_t *shape;
        cpu_view *view;
    } rows[] = {
        { &args->h, "loss: h", HONE_F32, CPU_ROWS, 2, nc, &v->h },
        { &args->target, "loss: target", HONE_I32, CPU_DENSE, 1, nc, &v->target },
        { &args->weight, "loss: weight", HONE_F32, CPU_OPTIONAL, 1, nc, &v->weight },
        { &args->loss, "loss: loss", HONE_F32, CPU_DENSE, 1, one, &v->loss },
        { &args->nll, "loss: nll", HONE_F32, CPU_OPTIONAL, 1, nc, &v->nll },
        { &args->dh, "loss: dh", HONE_F32, CPU_ROWS | CPU_OPTIONAL, 2, nc, &v->dh },
        { &args->dw, "loss: dw", HONE_F32, CPU_ROWS | CPU_OPTIONAL, 2, vc, &v->dw },
        { &args->scratch, "loss: scratch", HONE_F32, CPU_ROWS, 2, chunk, &v->scratch },
    };
    hone_status st = cpu_operand_weight(q->dev, args->w, "loss: w", &v->w, err);
    if (st)
        return st;
    v->n = nc[0], v->c = vc[1], v->v = vc[0], v->count = args->count;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        st = cpu_want(q->dev, rows[i].t, rows[i].name, rows[i].dtype, rows[i].flags, rows[i].rank,
                      rows[i].shape, rows[i].view, err);
        if (st)
            return st;
    }
    if (v->count < 0 || v->count > v->n)
        return hone_fail(err, HONE_ERR_ARG, "cpu: loss: count is %lld of %lld rows",
                         (long long)v->count, (long long)v->n);
    if (v->count && args->scratch.shape[0] < 1)
        return hone_fail(err, HONE_ERR_ARG, "cpu: loss: scratch has no rows");
    if (args->dw.buf && !args->dh.buf)
        return hone_fail(err, HONE_ERR_ARG, "cpu: loss: dw without dh");
    return cpu_check_index(v->target.p, v->count, v->v, "loss: target", err);
}

/* Rows [at, at + n): logits, losses, gradients. */
static hone_status chunk(hone_queue *q, const hone_loss_args *args, const loss_views *v, int64_t at,
                         int64_t n, double *nll, hone_error *err)
{
    const float *h = (const float *)v->h.p + at * v->h.row;
    float *logits = v->scratch.p;
    loss_job job = { .k = q->dev->k->rows,
                     .logits = logits,
                     .row = v->scratch.row,
                     .v = v->v,
                     .target = (const int32_t *)v->target.p + at,
                     .weight = v->weight.p ? (const float *)v->weight.p + at : NULL,
                     .nll = nll,
                     .scale = args->scale,
                     .gradient = v->dh.p != NULL };
    cpu_operand wt = v->w;
    hone_status st;
    wt.row = v->w.col;
    wt.col = v->w.row;
    st = cpu_product_run(q,
                         &(cpu_product){ .a = cpu_operand_f32(h, v->h.row, 1),
                                         .b = wt,
                                         .d = logits,
                                         .m = n,
                                         .n = v->v,
                                         .k = v->c,
                                         .d_row = v->scratch.row,
                                         .d_col = 1,
                                         .alpha = 1,
                                         .operands = args->operands },
                         err);
    if (st)
        return st;
    cpu_each(q->dev, n, one_row, &job);
    if (v->dh.p)
        st = cpu_product_run(q,
                             &(cpu_product){ .a = cpu_operand_f32(logits, v->scratch.row, 1),
                                             .b = v->w,
                                             .d = (float *)v->dh.p + at * v->dh.row,
                                             .m = n,
                                             .n = v->c,
                                             .k = v->v,
                                             .d_row = v->dh.row,
                                             .d_col = 1,
                                             .alpha = 1,
                                             .operands = args->operands },
                             err);
    if (!st && v->dw.p)
        st = cpu_product_run(q,
                             &(cpu_product){ .a = cpu_operand_f32(logits, 1, v->scratch.row),
                                             .b = cpu_operand_f32(h, v->h.row, 1),
                                             .d = v->dw.p,
                                             .m = v->v,
                                             .n = v->c,
                                             .k = n,
                                             .d_row = v->dw.row,
                                             .d_col = 1,
                                             .alpha = 1,
                                             .operands = args->operands,
                                             .beta = 1 },
                             err);
    return st;
}

hone_status cpu_loss(hone_queue *q, const hone_loss_args *args, hone_error *err)
{
    loss_views v;
    double *nll, total = 0;
    int64_t rows;
    hone_status st;
    CPU_ARGS(args, err);
    CPU_ARGS(args->w, err);
    st = look(&v, q, args, err);
    if (st || !v.count)
        return st;
    rows = args->scratch.shape[0] < v.count ? args->scratch.shape[0] : v.count;
    nll = cpu_scratch(q, (uint64_t)rows * sizeof *nll);
    if (!nll)
        return hone_fail(err, HONE_ERR_NOMEM, "cpu: loss: no memory for %lld losses",
                         (long long)rows);
    for (int64_t at = 0; !st && at < v.count; at += rows) {
        const int64_t n = v.count - at < rows ? v.count - at : rows;
        st = chunk(q, args, &v, at, n, nll, err);
        for (int64_t i = 0; !st && i < n; i++) {
            total += nll[i] * (v.weight.p ? (double)((const float *)v.weight.p)[at + i] : 1);
            if (v.nll.p)
                ((float *)v.nll.p)[at + i] = (float)nll[i];
        }
    }
    if (!st)
        *(float *)v.loss.p += (float)total;
    return st;
}
