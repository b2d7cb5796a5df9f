/*
 * ops.c - an open device, its memory, and the choice between a fused op and its
 * composition.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/model/ops_parts.h"

/* ------------------------------------------------------------- open and close */

static const char *missing(const hone_device *d)
{
    const struct {
        const char *name;
        bool there;
    } rows[] = {
#define ROW(call) { #call, HONE_HAS_CALL(d, call) }
        ROW(info),
        ROW(open),
        ROW(close),
        ROW(alloc),
        ROW(free),
        ROW(map),
        ROW(queue_create),
        ROW(queue_destroy),
        ROW(upload),
        ROW(download),
        ROW(sync),
        ROW(record),
        ROW(wait),
        ROW(event_free),
        ROW(ew_compile),
        ROW(ew_free),
        ROW(copy),
        ROW(fill),
        ROW(gemm),
        ROW(elementwise),
        ROW(reduce),
        ROW(gather_rows),
        ROW(scatter_add_rows),
#undef ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!rows[i].there)
            return rows[i].name;
    return NULL;
}

hone_status ops_open(ops **out, const hone_host *host, const hone_device *device, uint32_t ordinal,
                     const void *config, uint32_t flags, hone_error *err)
{
    const char *gap = missing(device);
    ops *o = NULL;
    hone_status st;
    if (gap)
        return hone_fail(err, HONE_ERR_ABI, "the device plugin lacks the required call %s", gap);
    o = mem_new(1, sizeof *o);
    if (!o)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for an open device");
    o->host = host;
    o->device = device;
    o->flags = flags;
    o->info.struct_size = sizeof o->info;
    st = device->info(host, ordinal, &o->info, err);
    if (!st)
        st = device->open(host, ordinal, config, &o->dev, err);
    if (!st)
        st = device->queue_create(o->dev, &o->queue, err);
    if (!st) {
        *out = o;
        o = NULL; /* given to the caller */
    }
    ops_close(o);
    return st;
}

void ops_close(ops *o)
{
    if (!o)
        return;
    if (o->dev) {
        for (int i = 0; i < 2; i++)
            o->device->free(o->dev, o->area[i].buf);
        if (o->queue)
            o->device->queue_destroy(o->queue);
        for (int i = 0; i < N_PROGRAMS; i++)
            o->device->ew_free(o->dev, o->kernel[i]);
        for (size_t i = 0; i < o->n_compiled; i++)
            o->device->ew_free(o->dev, o->compiled[i]);
        for (size_t i = 0; i < o->n_formats; i++)
            o->device->ew_free(o->dev, o->format[i].kernel);
        o->device->close(o->dev);
    }
    for (size_t i = 0; i < o->n_formats; i++)
        free(o->format[i].name);
    free(o->compiled);
    free(o);
}

const hone_dev_info *ops_info(const ops *o)
{
    return &o->info;
}

const hone_device *ops_device(const ops *o)
{
    return o->device;
}

hone_dev *ops_dev(const ops *o)
{
    return o->dev;
}

hone_queue *ops_queue(const ops *o)
{
    return o->queue;
}

/* ------------------------------------------------------------------- memory */

hone_status ops_alloc(ops *o, hone_buf *buf, uint64_t bytes, hone_error *err)
{
    return o->device->alloc(o->dev, bytes, HONE_MEM_DEVICE, buf, err);
}

hone_status ops_alloc_host(ops *o, hone_buf *buf, void **p, uint64_t bytes, hone_error *err)
{
    hone_buf fresh = 0;
    hone_status st = o->device->alloc(o->dev, bytes, HONE_MEM_HOST, &fresh, err);
    if (!st)
        st = o->device->map(o->dev, fresh, p, err);
    if (st)
        ops_free(o, fresh);
    else
        *buf = fresh;
    return st;
}

void ops_free(ops *o, hone_buf buf)
{
    if (buf)
        o->device->free(o->dev, buf);
}

hone_status ops_upload(ops *o, hone_buf buf, uint64_t offset, const void *src, uint64_t bytes,
                       hone_error *err)
{
    return o->device->upload(o->queue, buf, offset, src, bytes, err);
}

hone_status ops_download(ops *o, void *dst, hone_buf buf, uint64_t offset, uint64_t bytes,
                         hone_error *err)
{
    return o->device->download(o->queue, buf, offset, dst, bytes, err);
}

hone_status ops_sync(ops *o, hone_error *err)
{
    return o->device->sync(o->queue, err);
}

void ops_round_operands(ops *o, uint32_t dtype)
{
    o->operands = dtype;
}

/* ----------------------------------------------------------------- the seven */

hone_status ops_copy(ops *o, hone_tensor dst, hone_tensor src, hone_error *err)
{
    return o->device->copy(o->queue, &dst, &src, err);
}

hone_status ops_fill(ops *o, hone_tensor dst, double value, hone_error *err)
{
    return o->device->fill(o->queue, &dst, value, err);
}

hone_status ops_gemm(ops *o, bool trans_a, bool trans_b, float alpha, hone_tensor a, hone_tensor b,
                     float beta, hone_tensor d, hone_error *err)
{
    const hone_gemm_args args = { .struct_size = sizeof args,
                                  .trans_a = trans_a,
                                  .trans_b = trans_b,
                                  .alpha = alpha,
                                  .beta = beta,
                                  .operands = o->operands,
                                  .a = a,
                                  .b = b,
                                  .d = d };
    return o->device->gemm(o->queue, &args, err);
}

hone_status ops_elementwise(ops *o, hone_ew_args args, hone_error *err)
{
    args.struct_size = sizeof args;
    return o->device->elementwise(o->queue, &args, err);
}

hone_status ops_reduce(ops *o, hone_reduce_args args, hone_error *err)
{
    args.struct_size = sizeof args;
    args.map.struct_size = sizeof args.map;
    return o->device->reduce(o->queue, &args, err);
}

hone_status ops_gather_rows(ops *o, hone_tensor io, hone_tensor table, hone_tensor index,
                            hone_error *err)
{
    const hone_rows_args args = {
        .struct_size = sizeof args, .table = table, .index = index, .io = io
    };
    return o->device->gather_rows(o->queue, &args, err);
}

hone_status ops_scatter_add_rows(ops *o, hone_tensor table, hone_tensor index, hone_tensor io,
                                 hone_error *err)
{
    const hone_rows_args args = {
        .struct_size = sizeof args, .table = table, .index = index, .io = io
    };
    return o->device->scatter_add_rows(o->queue, &args, err);
}

hone_status ops_compile(ops *o, hone_kernel *kernel, const hone_ew_program *program,
                        hone_error *err)
{
    hone_status st = hone_ew_check(program, err);
    if (st)
        return st;
    if (!mem_grow(&o->compiled, &o->compiled_cap, o->n_compiled + 1, sizeof *o->compiled))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for one more program");
    st = o->device->ew_compile(o->dev, program, kernel, err);
    if (!st)
        o->compiled[o->n_compiled++] = *kernel;
    return st;
}

/* ------------------------------------------------------- fused, or composed */

static const char *const fused_names[N_FUSED] = { "rmsnorm",    "rmsnorm_bwd",   "rope",
                                                  "attention",  "attention_bwd", "swiglu",
                                                  "swiglu_bwd", "linear",        "loss" };

static bool offered(const ops *o, ops_fused which)
{
    const hone_device *d = o->device;
    const bool there[N_FUSED] = { HONE_HAS_CALL(d, rmsnorm),       HONE_HAS_CALL(d, rmsnorm_bwd),
                                  HONE_HAS_CALL(d, rope),          HONE_HAS_CALL(d, attention),
                                  HONE_HAS_CALL(d, attention_bwd), HONE_HAS_CALL(d, swiglu),
                                  HONE_HAS_CALL(d, swiglu_bwd),    HONE_HAS_CALL(d, linear),
                                  HONE_HAS_CALL(d, loss) };
    return !(o->flags & OPS_COMPOSE) && there[which];
}

/* An op that says HONE_ERR_UNSUPPORTED has queued nothing: compose it. */
#define OP(NAME, name, type, ...)                              \
    hone_status ops_##name(ops *o, type args, hone_error *err) \
    {                                                          \
        hone_status st = HONE_ERR_UNSUPPORTED;                 \
        bool composed = false;                                 \
        args.struct_size = sizeof args;                        \
        __VA_ARGS__;                                           \
        if (offered(o, FUSED_##NAME))                          \
            st = o->device->name(o->queue, &args, err);        \
        if (st == HONE_ERR_UNSUPPORTED) {                      \
            composed = true;                                   \
            if (err)                                           \
                *err = (hone_error){ 0 };                      \
            st = compose_##name(o, &args, err);                \
        }                                                      \
        o->calls[FUSED_##NAME][composed]++;                    \
        return st;                                             \
    }

OP(RMSNORM, rmsnorm, hone_rmsnorm_args, )
OP(RMSNORM_BWD, rmsnorm_bwd, hone_rmsnorm_args, )
OP(ROPE, rope, hone_rope_args, )
OP(ATTENTION, attention, hone_attention_args, args.operands = o->operands)
OP(ATTENTION_BWD, attention_bwd, hone_attention_args, args.operands = o->operands)
OP(SWIGLU, swiglu, hone_swiglu_args, )
OP(SWIGLU_BWD, swiglu_bwd, hone_swiglu_args, )
OP(LINEAR, linear, hone_linear_args, args.operands = o->operands)
OP(LOSS, loss, hone_loss_args, args.operands = o->operands)

size_t ops_paths(const ops *o, ops_path *rows, size_t cap)
{
    for (size_t i = 0; i < N_FUSED && i < cap; i++) {
        const int64_t *calls = o->calls[i];
        rows[i] = (ops_path){ .op = fused_names[i], .device = calls[0], .composed = calls[1] };
        rows[i].path = calls[0] && calls[1]                   ? "device, composed"
                       : calls[1]                             ? "composed"
                       : calls[0] || offered(o, (ops_fused)i) ? "device"
                                                              : "composed";
    }
    return N_FUSED;
}

/* ------------------------------------------------------------------- formats */

hone_status ops_add_format(ops *o, const char *format, const hone_weights *table, void *self,
                           hone_error *err)
{
    ops_format f = { .table = table, .self = self };
    hone_status st;
    if (o->n_formats == OPS_MAX_FORMATS)
        return hone_fail(err, HONE_ERR_LIMIT, "more than %d weight formats", OPS_MAX_FORMATS);
    f.decode = !table->dense && HONE_HAS_CALL(table, decode) ? table->decode(self) : NULL;
    if (!table->dense && !f.decode)
        return hone_fail(err, HONE_ERR_UNSUPPORTED,
                         "weights in %s are neither dense nor come with a decode program", format);
    if (f.decode) {
        st = hone_ew_check(f.decode, err);
        if (!st)
            st = o->device->ew_compile(o->dev, f.decode, &f.kernel, err);
        if (st)
            return st;
    }
    f.name = mem_strdup(format);
    if (!f.name) {
        o->device->ew_free(o->dev, f.kernel);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for weight format %s", format);
    }
    o->format[o->n_formats++] = f;
    return HONE_OK;
}

/* -------------------------------------------------------------- scratch plan */

static uint64_t area_bytes(const ops *o, const ops_extent *e)
{
    const bool back = e->training;
    const int64_t rows = e->max_k > e->tokens ? e->max_k : e->tokens;
    const struct {
        ops_fused op;
        bool used;
        uint64_t bytes;
    } need[] = {
        { FUSED_RMSNORM, true, compose_norm_bytes(e->tokens, e->channels, false) },
        { FUSED_RMSNORM_BWD, back, compose_norm_bytes(e->tokens, e->channels, true) },
        { FUSED_ROPE, e->heads > 0, compose_rope_bytes(e->tokens, e->head_dim) },
        { FUSED_ATTENTION, e->heads > 0, compose_attention_bytes(e->heads, rows, false) },
        { FUSED_ATTENTION_BWD, back && e->heads > 0,
          compose_attention_bytes(e->heads, rows, true) },
        { FUSED_LOSS, true, compose_loss_bytes(e->tokens) },
    };
    uint64_t most = 0;
    for (size_t i = 0; i < sizeof need / sizeof *need; i++)
        if (need[i].used && !offered(o, need[i].op) && need[i].bytes > most)
            most = need[i].bytes;
    return most;
}

/* Area 1 holds decoded tiles: nothing while every format is dense. */
static uint64_t tile_bytes(const ops *o, const ops_extent *e)
{
    for (size_t i = 0; i < o->n_formats; i++)
        if (o->format[i].kernel)
            return compose_linear_bytes(e->weight_elements);
    return 0;
}

uint64_t ops_scratch_bytes(const ops *o, const ops_extent *e)
{
    return area_bytes(o, e) + tile_bytes(o, e);
}

hone_status ops_workspace(ops *o, const ops_extent *e, const hone_extent_weight *weights,
                          uint32_t n, uint64_t *bytes, hone_error *err)
{
    const hone_extent extent = { .struct_size = sizeof extent,
                                 .training = e->training,
                                 .full = e->full,
                                 .n_weights = n,
                                 .weights = weights,
                                 .tokens = e->tokens,
                                 .channels = e->channels,
                                 .feed_forward = e->feed_forward,
                                 .heads = e->heads,
                                 .kv_heads = e->kv_heads,
                                 .head_dim = e->head_dim,
                                 .longest = e->max_k,
                                 .vocabulary = e->vocabulary,
                                 .loss_rows = e->loss_rows,
                                 .rank = e->rank,
                                 .operands = o->operands };
    *bytes = 0;
    if (!HONE_HAS_CALL(o->device, workspace))
        return HONE_OK;
    return o->device->workspace(o->dev, &extent, bytes, err);
}

hone_status ops_reserve(ops *o, const ops_extent *e, hone_error *err)
{
    hone_status st = scratch_begin(o, 0, area_bytes(o, e), err);
    return st ? st : scratch_begin(o, 1, tile_bytes(o, e), err);
}

uint64_t ops_scratch_allocated(const ops *o)
{
    return o->area[0].bytes + o->area[1].bytes;
}
