/*
 * pointwise.c - rope and swiglu.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cpu.h"

typedef struct rope_job {
    const cpu_rows *k;
    float *x;
    const float *cosine, *sine;
    const int32_t *position;
    int64_t heads, half, x_row;
    float sign;
} rope_job;

static void rope(void *arg, int64_t lo, int64_t hi, int thread)
{
    const rope_job *job = arg;
    (void)thread;
    for (int64_t i = lo; i < hi; i++) {
        const int64_t at = job->position[i] * job->half;
        for (int64_t h = 0; h < job->heads; h++)
            job->k->rope(job->x + i * job->x_row + h * 2 * job->half, job->cosine + at,
                         job->sine + at, job->half, job->sign);
    }
}

hone_status cpu_rope(hone_queue *q, const hone_rope_args *args, hone_error *err)
{
    cpu_view x, c, s, position;
    int64_t n, heads, d, table[2];
    rope_job job;
    hone_status st;
    CPU_ARGS(args, err);
    n = args->x.shape[0];
    heads = args->x.shape[1];
    d = args->x.shape[2];
    table[0] = args->cos.shape[0];
    table[1] = d / 2;
    if (d % 2)
        return hone_fail(err, HONE_ERR_ARG, "cpu: rope: head size %lld is odd", (long long)d);
    st = cpu_want(q->dev, &args->x, "rope: x", HONE_F32, CPU_ROWS, 3, (int64_t[]){ n, heads, d },
                  &x, err);
    if (!st)
        st = cpu_want(q->dev, &args->cos, "rope: cos", HONE_F32, CPU_DENSE, 2, table, &c, err);
    if (!st)
        st = cpu_want(q->dev, &args->sin, "rope: sin", HONE_F32, CPU_DENSE, 2, table, &s, err);
    if (!st)
        st = cpu_want(q->dev, &args->position, "rope: position", HONE_I32, CPU_DENSE, 1, &n,
                      &position, err);
    if (!st)
        st = cpu_check_index(position.p, n, table[0], "rope: position", err);
    if (st || !heads || !d)
        return st;
    job = (rope_job){ q->dev->k->rows,
                      x.p,
                      c.p,
                      s.p,
                      position.p,
                      heads,
                      d / 2,
                      x.row,
                      args->inverse ? -1.0f : 1.0f };
    cpu_parallel(q->dev, n, 1 + 8192 / (heads * d), rope, &job);
    return HONE_OK;
}

typedef struct swiglu_job {
    const cpu_rows *k;
    cpu_view gate, up, y, dy, dgate, dup;
    int64_t f;
} swiglu_job;

static float *row(const cpu_view *v, int64_t i)
{
    return (float *)v->p + i * v->row;
}

static void forward(void *arg, int64_t lo, int64_t hi, int thread)
{
    const swiglu_job *job = arg;
    (void)thread;
    for (int64_t i = lo; i < hi; i++)
        job->k->swiglu(row(&job->y, i), row(&job->gate, i), row(&job->up, i), job->f);
}

static void backward(void *arg, int64_t lo, int64_t hi, int thread)
{
    const swiglu_job *job = arg;
    (void)thread;
    for (int64_t i = lo; i < hi; i++)
        job->k->swiglu_bwd(row(&job->dgate, i), row(&job->dup, i), row(&job->dy, i),
                           row(&job->gate, i), row(&job->up, i), job->f);
}

static hone_status swiglu(hone_queue *q, const hone_swiglu_args *args, bool back, hone_error *err)
{
    const int64_t shape[2] = { args->gate.shape[0], args->gate.shape[1] };
    swiglu_job job = { .k = q->dev->k->rows, .f = shape[1] };
    const struct {
        const hone_tensor *t;
        const char *name;
        cpu_view *view;
        bool wanted;
    } rows[] = {
        { &args->gate, "swiglu: gate", &job.gate, true },
        { &args->up, "swiglu: up", &job.up, true },
        { &args->y, "swiglu: y", &job.y, !back },
        { &args->dy, "swiglu: dy", &job.dy, back },
        { &args->dgate, "swiglu: dgate", &job.dgate, back },
        { &args->dup, "swiglu: dup", &job.dup, back },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hone_status st = HONE_OK;
        if (rows[i].wanted)
            st = cpu_want(q->dev, rows[i].t, rows[i].name, HONE_F32, CPU_ROWS, 2, shape,
                          rows[i].view, err);
        if (st)
            return st;
    }
    if (shape[1])
        cpu_parallel(q->dev, shape[0], 1 + 4096 / shape[1], back ? backward : forward, &job);
    return HONE_OK;
}

hone_status cpu_swiglu(hone_queue *q, const hone_swiglu_args *args, hone_error *err)
{
    CPU_ARGS(args, err);
    return swiglu(q, args, false, err);
}

hone_status cpu_swiglu_bwd(hone_queue *q, const hone_swiglu_args *args, hone_error *err)
{
    CPU_ARGS(args, err);
    return swiglu(q, args, true, err);
}
