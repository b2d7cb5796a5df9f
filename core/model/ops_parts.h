/*
 * ops_parts.h - what ops.c and the compositions share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_MODEL_OPS_PARTS_H
#define CORE_MODEL_OPS_PARTS_H

#include "core/base/base.h"
#include "core/model/ops.h"

/* The programs compositions and helpers run; programs.c has a row for each. */
typedef enum ops_program {
    PROGRAM_ADD,       /* y += alpha x                                     */
    PROGRAM_SCALE,     /* x *= alpha                                       */
    PROGRAM_SQUARE,    /* x^2, for sums                                    */
    PROGRAM_DROP,      /* y = keep ? alpha x : 0                           */
    PROGRAM_DROP_ADD,  /* y += the same                                    */
    PROGRAM_NORM_RSTD, /* 1 / sqrt(sum / C + eps)                          */
    PROGRAM_NORM,      /* x rstd w                                         */
    PROGRAM_NORM_DOT,  /* dy w x                                           */
    PROGRAM_NORM_DW,   /* dy x rstd                                        */
    PROGRAM_NORM_DX,   /* rstd (dy w - x rstd^2 dot / C)                   */
    PROGRAM_NORM_DX_ADD,
    PROGRAM_ROPE,
    PROGRAM_SWIGLU,
    PROGRAM_SWIGLU_BWD,
    PROGRAM_BIAS,        /* y = beta y + bias                                */
    PROGRAM_ATTN_MASKED, /* score where seen, else -inf                      */
    PROGRAM_ATTN_EXP,    /* exp(score - largest) where seen, else 0          */
    PROGRAM_ATTN_P,      /* that / sum                                       */
    PROGRAM_PRODUCT,     /* a b, for sums                                    */
    PROGRAM_ATTN_DS,     /* p (dp - delta)                                   */
    PROGRAM_LOSS_EXP,    /* exp(logit - largest)                             */
    PROGRAM_LOSS_PICK,   /* the logit of the target                          */
    PROGRAM_LOSS_NLL,    /* largest + log sum - picked; NaN off the table    */
    PROGRAM_LOSS_GRAD,   /* (softmax - one-hot) scale                        */
    PROGRAM_LOSS_GRAD_W, /* ... times a weight per row                       */
    PROGRAM_VALUE,       /* x, for sums                                      */
    N_PROGRAMS
} ops_program;

const hone_ew_program *ops_program_of(ops_program which);

typedef struct ops_format {
    char *name;                    /* owned */
    const hone_weights *table;     /* borrowed */
    void *self;                    /* borrowed */
    const hone_ew_program *decode; /* borrowed; NULL: dense */
    hone_kernel kernel;
} ops_format;

enum { OPS_MAX_FORMATS = 16 };

/* The fused ops, in the order of hone_device. */
typedef enum ops_fused {
    FUSED_RMSNORM,
    FUSED_RMSNORM_BWD,
    FUSED_ROPE,
    FUSED_ATTENTION,
    FUSED_ATTENTION_BWD,
    FUSED_SWIGLU,
    FUSED_SWIGLU_BWD,
    FUSED_LINEAR,
    FUSED_LOSS,
    N_FUSED
} ops_fused;

/* Scratch of compositions: a decoded weight must survive while the op that asked
 * for it has its own, hence two. */
typedef struct ops_area {
    hone_buf buf;
    uint64_t bytes, used;
} ops_area;

struct ops {
    const hone_host *host;     /* borrowed */
    const hone_device *device; /* borrowed */
    hone_dev *dev;             /* owned    */
    hone_queue *queue;         /* owned    */
    hone_dev_info info;
    uint32_t flags;
    uint32_t operands;              /* of products, as in hone_gemm_args */
    hone_kernel kernel[N_PROGRAMS]; /* compiled at first use */
    hone_kernel *compiled;          /* owned: from ops_compile() */
    size_t n_compiled, compiled_cap;
    ops_format format[OPS_MAX_FORMATS];
    size_t n_formats;
    ops_area area[2];          /* [0] of ops, [1] of decoded weights */
    int64_t calls[N_FUSED][2]; /* by the device, composed */
};

/* ------------------------------------------------------------------- scratch */

/* Bytes that a tensor takes in scratch. */
uint64_t scratch_size(uint64_t elements);
/* Make room for `bytes` in an area and start over in it. */
hone_status scratch_begin(ops *o, int area, uint64_t bytes, hone_error *err);
/* The next float32 tensor of it, rank 4, dense. */
hone_tensor scratch_take(ops *o, int area, int64_t d0, int64_t d1, int64_t d2, int64_t d3);

/* ------------------------------------------------------------------ programs */

/* Run a program over the shape of bufs[0]. params: n floats. */
hone_status run_program(ops *o, ops_program which, const hone_tensor *bufs, const float *params,
                        hone_error *err);
/* out = [+=] reduction of the program's last value over the last dimension of bufs[0]. */
hone_status run_reduce(ops *o, ops_program which, uint32_t op, bool accumulate, hone_tensor out,
                       const hone_tensor *bufs, const float *params, hone_error *err);

/* A rank-4 view with these sizes and strides (in elements) at t's start. */
hone_tensor view_strided(hone_tensor t, const int64_t shape[4], const int64_t stride[4]);
/* (R, C) as (1, 1, R, C); (R) as (1, 1, R, C) repeated along C; (C) as (1, 1, R, C)
 * repeated along R; (R) as (1, 1, R, 1). */
hone_tensor as_rows(hone_tensor t);
hone_tensor per_row(hone_tensor t, int64_t rows, int64_t cols);
hone_tensor per_col(hone_tensor t, int64_t rows, int64_t cols);
hone_tensor as_column(hone_tensor t);

/* -------------------------------------------------------------- compositions */

hone_status compose_rmsnorm(ops *o, const hone_rmsnorm_args *args, hone_error *err);
hone_status compose_rmsnorm_bwd(ops *o, const hone_rmsnorm_args *args, hone_error *err);
hone_status compose_rope(ops *o, const hone_rope_args *args, hone_error *err);
hone_status compose_attention(ops *o, const hone_attention_args *args, hone_error *err);
hone_status compose_attention_bwd(ops *o, const hone_attention_args *args, hone_error *err);
hone_status compose_swiglu(ops *o, const hone_swiglu_args *args, hone_error *err);
hone_status compose_swiglu_bwd(ops *o, const hone_swiglu_args *args, hone_error *err);
hone_status compose_linear(ops *o, const hone_linear_args *args, hone_error *err);
hone_status compose_loss(ops *o, const hone_loss_args *args, hone_error *err);

/* Scratch of area 0 and 1 for these extents, as the compositions ask for it. */
uint64_t compose_norm_bytes(int64_t n, int64_t c, bool training);
uint64_t compose_rope_bytes(int64_t n, int64_t d);
uint64_t compose_attention_bytes(int64_t heads, int64_t keys, bool training);
uint64_t compose_loss_bytes(int64_t rows);
uint64_t compose_linear_bytes(int64_t weight_elements);

#endif /* CORE_MODEL_OPS_PARTS_H */
