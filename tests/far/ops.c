/*
 * ops.c - every op: copy the arguments, queue them; later, put the CPU device's
 * handles in place of ours and call it.
 *
 * HONE_ERR_UNSUPPORTED has to come at once, so what the CPU device would say it to
 * is looked at here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/far/far.h"

#include <stdlib.h>

typedef hone_status far_call(hone_queue *q, void *args, hone_error *err);

/* An op's arguments, and where in them tensors lie. */
typedef struct call {
    far_command head;
    far_call *call;
    const size_t *tensors; /* offsets in args, n_tensors */
    size_t n_tensors;
    hone_tensor *more; /* further tensors, n_more, behind args */
    size_t n_more;
    _Alignas(16) uint8_t args[];
} call;

static hone_status call_run(far_queue *q, far_command *c, hone_error *err)
{
    call *k = (call *)(void *)c;
    for (size_t i = 0; i < k->n_tensors; i++) {
        hone_tensor *t = (hone_tensor *)(void *)(k->args + k->tensors[i]);
        t->buf = t->buf ? far_inner(q->dev, t->buf) : 0;
    }
    for (size_t i = 0; i < k->n_more; i++)
        k->more[i].buf = k->more[i].buf ? far_inner(q->dev, k->more[i].buf) : 0;
    return k->call(q->inner, k->args, err);
}

/* A command with args copied and `extra` bytes behind them (16-byte aligned). */
static call *call_new(const void *args, size_t size, size_t extra, far_call *run,
                      const size_t *tensors, size_t n_tensors, hone_error *err)
{
    const size_t padded = (size + 15) / 16 * 16, bytes = sizeof(call) + padded + extra;
    call *k = malloc(bytes);
    if (!k) {
        (void)hone_fail(err, HONE_ERR_NOMEM, "far: no memory to queue an op");
        return NULL;
    }
    *k = (call){ .head = { .bytes = bytes, .run = call_run },
                 .call = run,
                 .tensors = tensors,
                 .n_tensors = n_tensors };
    memcpy(k->args, args, size);
    return k;
}

static void *behind(call *k, size_t size)
{
    return k->args + (size + 15) / 16 * 16;
}

/* CPU_ARGS of cpu.h, before anything is read. */
#define OP(NAME, TYPE, ...)                                                                        \
    static hone_status run_##NAME(hone_queue *q, void *args, hone_error *err)                      \
    {                                                                                              \
        return cpu_device.NAME(q, args, err);                                                      \
    }                                                                                              \
    hone_status far_##NAME(hone_queue *q, const TYPE *args, hone_error *err)                       \
    {                                                                                              \
        static const size_t tensors[] = { __VA_ARGS__ };                                           \
        call *k;                                                                                   \
        CPU_ARGS(args, err);                                                                       \
        k = call_new(args, sizeof *args, 0, run_##NAME, tensors, sizeof tensors / sizeof *tensors, \
                     err);                                                                         \
        if (!k)                                                                                    \
            return HONE_ERR_NOMEM;                                                                 \
        (void)far_queue_add(far_queue_of(q), &k->head);                                            \
        return HONE_OK;                                                                            \
    }
#define AT(TYPE, field) offsetof(TYPE, field)

#define ROWS(field) AT(hone_rows_args, field)
OP(gather_rows, hone_rows_args, ROWS(table), ROWS(index), ROWS(io))
OP(scatter_add_rows, hone_rows_args, ROWS(table), ROWS(index), ROWS(io))
#define NORM(field) AT(hone_rmsnorm_args, field)
#define NORM_ALL NORM(x), NORM(w), NORM(y), NORM(rstd), NORM(dy), NORM(dx), NORM(dw), NORM(add)
OP(rmsnorm, hone_rmsnorm_args, NORM_ALL)
OP(rmsnorm_bwd, hone_rmsnorm_args, NORM_ALL)
#define ROPE(field) AT(hone_rope_args, field)
OP(rope, hone_rope_args, ROPE(x), ROPE(cos), ROPE(sin), ROPE(position))
#define ATTN(field) AT(hone_attention_args, field)
#define ATTN_ALL                                                                                 \
    ATTN(q), ATTN(k), ATTN(v), ATTN(cu_q), ATTN(cu_k), ATTN(first_key), ATTN(last_key), ATTN(o), \
        ATTN(lse), ATTN(d_o), ATTN(dq), ATTN(dk), ATTN(dv)
OP(attention, hone_attention_args, ATTN_ALL)
OP(attention_bwd, hone_attention_args, ATTN_ALL)
#define GLU(field) AT(hone_swiglu_args, field)
#define GLU_ALL GLU(gate), GLU(up), GLU(y), GLU(dy), GLU(dgate), GLU(dup)
OP(swiglu, hone_swiglu_args, GLU_ALL)
OP(swiglu_bwd, hone_swiglu_args, GLU_ALL)

/* ------------------------------------------------------------ copy, fill, gemm */

typedef struct copy_args {
    hone_tensor dst, src;
    double value;
} copy_args;

static hone_status run_copy(hone_queue *q, void *args, hone_error *err)
{
    const copy_args *a = args;
    return cpu_device.copy(q, &a->dst, &a->src, err);
}

static hone_status run_fill(hone_queue *q, void *args, hone_error *err)
{
    const copy_args *a = args;
    return cpu_device.fill(q, &a->dst, a->value, err);
}

static hone_status queue_copy(hone_queue *q, const copy_args *args, far_call *run, size_t n,
                              hone_error *err)
{
    static const size_t tensors[] = { offsetof(copy_args, dst), offsetof(copy_args, src) };
    call *k = call_new(args, sizeof *args, 0, run, tensors, n, err);
    if (!k)
        return HONE_ERR_NOMEM;
    (void)far_queue_add(far_queue_of(q), &k->head);
    return HONE_OK;
}

hone_status far_copy(hone_queue *q, const hone_tensor *dst, const hone_tensor *src, hone_error *err)
{
    return queue_copy(q, &(copy_args){ .dst = *dst, .src = *src }, run_copy, 2, err);
}

hone_status far_fill(hone_queue *q, const hone_tensor *dst, double value, hone_error *err)
{
    return queue_copy(q, &(copy_args){ .dst = *dst, .value = value }, run_fill, 1, err);
}

static hone_status run_gemm(hone_queue *q, void *args, hone_error *err)
{
    return cpu_device.gemm(q, args, err);
}

hone_status far_gemm(hone_queue *q, const hone_gemm_args *args, hone_error *err)
{
    static const size_t tensors[] = { AT(hone_gemm_args, a), AT(hone_gemm_args, b),
                                      AT(hone_gemm_args, d) };
    call *k;
    CPU_ARGS(args, err);
    if (args->a.dtype > HONE_BF16 || args->b.dtype > HONE_BF16 || args->d.dtype != HONE_F32)
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "far: gemm of these dtypes");
    k = call_new(args, sizeof *args, 0, run_gemm, tensors, 3, err);
    if (!k)
        return HONE_ERR_NOMEM;
    (void)far_queue_add(far_queue_of(q), &k->head);
    return HONE_OK;
}

/* -------------------------------------------------------- elementwise and reduce */

static hone_status run_elementwise(hone_queue *q, void *args, hone_error *err)
{
    return cpu_device.elementwise(q, args, err);
}

static hone_status run_reduce(hone_queue *q, void *args, hone_error *err)
{
    return cpu_device.reduce(q, args, err);
}

/* map: the program's arguments inside args, whose arrays are copied behind. */
static hone_status queue_program(hone_queue *q, const void *args, size_t size, size_t map,
                                 const size_t *tensors, size_t n_tensors, far_call *run,
                                 hone_error *err)
{
    const hone_ew_args *old = (const hone_ew_args *)(const void *)((const uint8_t *)args + map);
    const size_t bufs = old->n_bufs * sizeof *old->bufs, params = old->n_params * sizeof(float);
    hone_ew_args *now;
    call *k;
    if (old->n_bufs > HONE_EW_MAX_BUFS || old->n_params > HONE_EW_MAX_PARAMS ||
        (bufs && !old->bufs) || (params && !old->params))
        return hone_fail(err, HONE_ERR_ARG, "far: %u buffers and %u parameters for a program",
                         (unsigned)old->n_bufs, (unsigned)old->n_params);
    k = call_new(args, size, bufs + params, run, tensors, n_tensors, err);
    if (!k)
        return HONE_ERR_NOMEM;
    now = (hone_ew_args *)(void *)(k->args + map);
    k->more = behind(k, size);
    k->n_more = old->n_bufs;
    if (bufs)
        memcpy(k->more, old->bufs, bufs);
    if (params)
        memcpy((uint8_t *)k->more + bufs, old->params, params);
    now->bufs = k->more;
    now->params = (const float *)(const void *)((uint8_t *)k->more + bufs);
    (void)far_queue_add(far_queue_of(q), &k->head);
    return HONE_OK;
}

hone_status far_elementwise(hone_queue *q, const hone_ew_args *args, hone_error *err)
{
    CPU_ARGS(args, err);
    return queue_program(q, args, sizeof *args, 0, NULL, 0, run_elementwise, err);
}

hone_status far_reduce(hone_queue *q, const hone_reduce_args *args, hone_error *err)
{
    static const size_t tensors[] = { AT(hone_reduce_args, out) };
    CPU_ARGS(args, err);
    if (args->op != HONE_REDUCE_SUM && args->op != HONE_REDUCE_MAX)
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "far: reduce by %u", (unsigned)args->op);
    return queue_program(q, args, sizeof *args, AT(hone_reduce_args, map), tensors, 1, run_reduce,
                         err);
}

/* --------------------------------------------------------------- linear and loss */

typedef struct weight_copy {
    hone_weight w;
    char format[32];
} weight_copy;

static hone_status run_linear(hone_queue *q, void *args, hone_error *err)
{
    return cpu_device.linear(q, args, err);
}

static hone_status run_loss(hone_queue *q, void *args, hone_error *err)
{
    return cpu_device.loss(q, args, err);
}

/* `at`: the hone_weight pointer inside args. */
static hone_status queue_weight(hone_queue *q, const void *args, size_t size, size_t at,
                                const hone_weight *w, const size_t *tensors, size_t n_tensors,
                                far_call *run, hone_error *err)
{
    weight_copy *copy;
    call *k;
    CPU_ARGS(w, err);
    if (!w->format || strcmp(w->format, "fp32") != 0)
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "far: no kernel for weights in %s",
                         w->format ? w->format : "(none)");
    k = call_new(args, size, sizeof *copy, run, tensors, n_tensors, err);
    if (!k)
        return HONE_ERR_NOMEM;
    copy = behind(k, size);
    copy->w = *w;
    (void)snprintf(copy->format, sizeof copy->format, "%s", w->format);
    copy->w.format = copy->format;
    memcpy(k->args + at, &(hone_weight *){ &copy->w }, sizeof(hone_weight *));
    k->more = copy->w.plane;
    k->n_more = w->n_planes < HONE_MAX_PLANES ? w->n_planes : HONE_MAX_PLANES;
    (void)far_queue_add(far_queue_of(q), &k->head);
    return HONE_OK;
}

hone_status far_linear(hone_queue *q, const hone_linear_args *args, hone_error *err)
{
    static const size_t tensors[] = { AT(hone_linear_args, x),   AT(hone_linear_args, bias),
                                      AT(hone_linear_args, y),   AT(hone_linear_args, outliers),
                                      AT(hone_linear_args, low), AT(hone_linear_args, up) };
    CPU_ARGS(args, err);
    return queue_weight(q, args, sizeof *args, AT(hone_linear_args, w), args->w, tensors, 6,
                        run_linear, err);
}

hone_status far_loss(hone_queue *q, const hone_loss_args *args, hone_error *err)
{
#define LOSS(field) AT(hone_loss_args, field)
    static const size_t tensors[] = { LOSS(h),   LOSS(target), LOSS(weight), LOSS(loss),
                                      LOSS(nll), LOSS(dh),     LOSS(dw),     LOSS(scratch) };
    CPU_ARGS(args, err);
    return queue_weight(q, args, sizeof *args, LOSS(w), args->w, tensors,
                        sizeof tensors / sizeof *tensors, run_loss, err);
}
