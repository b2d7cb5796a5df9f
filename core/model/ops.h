/*
 * ops.h - an open device as the model sees it: memory, one queue, one function per op.
 *
 * A function here calls the device's fused op when there is one, and otherwise
 * composes it from the seven required ops on the same device (compose_*.c).
 * With OPS_COMPOSE every fused op is ignored: that is how a fused op is checked.
 *
 * Everything is queued: only ops_download() and ops_sync() wait, and only they
 * report an op that failed late. One thread at a time per ops [main].
 *
 * Argument structs are those of hone/device.h; struct_size is filled in here, so
 * callers write  ops_swiglu(o, (hone_swiglu_args){ .gate = g, .up = u, .y = y }, err).
 *
 * Part of the room's door: model.h includes it, and other rooms include model.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_MODEL_OPS_H
#define CORE_MODEL_OPS_H

#include <stdbool.h>

#include "hone/device.h"
#include "hone/weights.h"

typedef struct ops ops;

#define OPS_COMPOSE 1u /* compose every op from the seven, whatever the device offers */

/* device: the table of a device component; config: the struct of its rows. Both,
 * and host, are borrowed until ops_close(). */
HONE_MUST_CHECK hone_status ops_open(ops **out, const hone_host *host, const hone_device *device,
                                     uint32_t ordinal, const void *config, uint32_t flags,
                                     hone_error *err);
void ops_close(ops *o); /* waits; NULL is fine. Buffers must have been freed before. */

const hone_dev_info *ops_info(const ops *o);
/* For events, a second queue, or an op that has no function here. Borrowed. */
const hone_device *ops_device(const ops *o);
hone_dev *ops_dev(const ops *o);
hone_queue *ops_queue(const ops *o);

/* What ops_gemm, ops_linear, ops_attention and ops_loss say in `operands` from now on: HONE_F32 (at first) or
 * HONE_BF16, see hone_gemm_args. */
void ops_round_operands(ops *o, uint32_t dtype);

/* ------------------------------------------------------------------- memory */

HONE_MUST_CHECK hone_status ops_alloc(ops *o, hone_buf *buf, uint64_t bytes, hone_error *err);
HONE_MUST_CHECK hone_status ops_alloc_host(ops *o, hone_buf *buf, void **p, uint64_t bytes,
                                           hone_error *err); /* HONE_MEM_HOST, mapped at *p */
void ops_free(ops *o, hone_buf buf);                         /* 0 is fine */
HONE_MUST_CHECK hone_status ops_upload(ops *o, hone_buf buf, uint64_t offset, const void *src,
                                       uint64_t bytes, hone_error *err);
HONE_MUST_CHECK hone_status ops_download(ops *o, void *dst, hone_buf buf, uint64_t offset,
                                         uint64_t bytes, hone_error *err);
HONE_MUST_CHECK hone_status ops_sync(ops *o, hone_error *err);

/* -------------------------------------------------------------------- views */

/* Rows [first, first + n) of dimension 0. */
hone_tensor view_rows(hone_tensor t, int64_t first, int64_t n);
/* Columns [first, first + n) of a rank-2 view. */
hone_tensor view_cols(hone_tensor t, int64_t first, int64_t n);
/* (N, H * D) as (N, H, D); the row stride is kept. */
hone_tensor view_heads(hone_tensor t, int64_t heads, int64_t d);
/* A dense view as (n): what optimizers and sums walk over. */
hone_tensor view_flat(hone_tensor t);

/* ----------------------------------------------------------------- the seven */

HONE_MUST_CHECK hone_status ops_copy(ops *o, hone_tensor dst, hone_tensor src, hone_error *err);
HONE_MUST_CHECK hone_status ops_fill(ops *o, hone_tensor dst, double value, hone_error *err);
/* d = alpha op(a) op(b) + beta d */
HONE_MUST_CHECK hone_status ops_gemm(ops *o, bool trans_a, bool trans_b, float alpha, hone_tensor a,
                                     hone_tensor b, float beta, hone_tensor d, hone_error *err);
HONE_MUST_CHECK hone_status ops_elementwise(ops *o, hone_ew_args args, hone_error *err);
HONE_MUST_CHECK hone_status ops_reduce(ops *o, hone_reduce_args args, hone_error *err);
/* io (N, C) = table (R, C)[index (N)] */
HONE_MUST_CHECK hone_status ops_gather_rows(ops *o, hone_tensor io, hone_tensor table,
                                            hone_tensor index, hone_error *err);
/* table (R, C)[index (N)] += io (N, C) */
HONE_MUST_CHECK hone_status ops_scatter_add_rows(ops *o, hone_tensor table, hone_tensor index,
                                                 hone_tensor io, hone_error *err);

/* Programs from outside (optimizers). The kernel lives until ops_close(). */
HONE_MUST_CHECK hone_status ops_compile(ops *o, hone_kernel *kernel, const hone_ew_program *program,
                                        hone_error *err);

/* ------------------------------------------------------- fused, or composed */

/* Shapes and formulas: hone/device.h. struct_size need not be set. */
HONE_MUST_CHECK hone_status ops_rmsnorm(ops *o, hone_rmsnorm_args args, hone_error *err);
HONE_MUST_CHECK hone_status ops_rmsnorm_bwd(ops *o, hone_rmsnorm_args args, hone_error *err);
HONE_MUST_CHECK hone_status ops_rope(ops *o, hone_rope_args args, hone_error *err);
HONE_MUST_CHECK hone_status ops_attention(ops *o, hone_attention_args args, hone_error *err);
HONE_MUST_CHECK hone_status ops_attention_bwd(ops *o, hone_attention_args args, hone_error *err);
HONE_MUST_CHECK hone_status ops_swiglu(ops *o, hone_swiglu_args args, hone_error *err);
HONE_MUST_CHECK hone_status ops_swiglu_bwd(ops *o, hone_swiglu_args args, hone_error *err);
HONE_MUST_CHECK hone_status ops_linear(ops *o, hone_linear_args args, hone_error *err);
HONE_MUST_CHECK hone_status ops_loss(ops *o, hone_loss_args args, hone_error *err);

/* ------------------------------------------------------------- small helpers */

/* y += alpha x; same shape, any strides. */
HONE_MUST_CHECK hone_status ops_add(ops *o, hone_tensor y, float alpha, hone_tensor x,
                                    hone_error *err);
/* x *= alpha */
HONE_MUST_CHECK hone_status ops_scale(ops *o, hone_tensor x, float alpha, hone_error *err);
/* sum (1) += sum of x^2 over all of x (any shape, dense) */
HONE_MUST_CHECK hone_status ops_sumsq(ops *o, hone_tensor sum, hone_tensor x, hone_error *err);
/* sum (C) += sum over the rows of x (N, C): the gradient of a bias */
HONE_MUST_CHECK hone_status ops_column_sum(ops *o, hone_tensor sum, hone_tensor x, hone_error *err);
/* y (N, C) = [+=] x * keep / (1 - p), keep 0 with probability p, decided by (seed,
 * offset + element index): the backward pass calls it again with the same two. */
HONE_MUST_CHECK hone_status ops_dropout(ops *o, hone_tensor y, hone_tensor x, float p,
                                        uint64_t seed, uint64_t offset, bool accumulate,
                                        hone_error *err);

/* ------------------------------------------------------------------- formats */

/* Say how weights of a format are decoded where the device has no kernel for
 * them. table and self (of create()) are borrowed until ops_close(). A format
 * with a dense dtype needs no program. */
HONE_MUST_CHECK hone_status ops_add_format(ops *o, const char *format, const hone_weights *table,
                                           void *self, hone_error *err);

/* -------------------------------------------------------------- what is used */

/* How large a model is, for the scratch memory of compositions. */
typedef struct ops_extent {
    int64_t tokens;          /* N at most                                     */
    int64_t channels;        /* widest row given to rmsnorm                   */
    int64_t feed_forward;    /* widest row given to swiglu                    */
    int64_t heads, kv_heads; /* 0: no attention                               */
    int64_t head_dim;
    int64_t max_k;           /* longest sequence                              */
    int64_t weight_elements; /* largest rows * cols of a weight; formats are added before */
    int64_t vocabulary;
    int64_t loss_rows; /* of a chunk of logits                          */
    int64_t rank;      /* largest of an adapter; 0: none                */
    bool training;     /* the backward ops too                          */
    bool full;         /* gradients of weights                          */
} ops_extent;

/* Device memory that compositions need for it, bytes; 0 when nothing is composed. */
uint64_t ops_scratch_bytes(const ops *o, const ops_extent *extent);
/* What the device allocates itself for ops of this extent on these weights (hone_device's
 * workspace), bytes; 0 when it does not say. weights: n shapes, each with its count. */
HONE_MUST_CHECK hone_status ops_workspace(ops *o, const ops_extent *extent,
                                          const hone_extent_weight *weights, uint32_t n,
                                          uint64_t *bytes, hone_error *err);
/* Allocate it ahead. A later call that needs more grows it. */
HONE_MUST_CHECK hone_status ops_reserve(ops *o, const ops_extent *extent, hone_error *err);
/* What ops_reserve() and growth have allocated so far, bytes. */
uint64_t ops_scratch_allocated(const ops *o);

typedef struct ops_path {
    const char *op;           /* "rmsnorm"                                     */
    const char *path;         /* "device", "composed", or "device, composed"
                                 when calls went both ways                     */
    int64_t device, composed; /* calls so far                                  */
} ops_path;

/* One row per fused op, at most cap, in the order of hone_device; how many there
 * are is returned. Before the first call `path` is what the device's table says. */
size_t ops_paths(const ops *o, ops_path *rows, size_t cap);

#endif /* CORE_MODEL_OPS_H */
