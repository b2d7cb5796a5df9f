/*
 * hone/device.h - a compute device: memory, queues, seven required ops, fused ops.
 *
 * What a device promises
 *  - Buffers are handles. Nothing on the other side reads them but through
 *    download(); nothing may assume that a call has finished when it returned,
 *    only that ops of one queue take effect in the order they were queued.
 *  - Arguments (structs, strings, params, programs) are borrowed for the call: a device
 *    that works later copies them.
 *  - An op may fail at once (bad shape: HONE_ERR_ARG, not offered:
 *    HONE_ERR_UNSUPPORTED) or later; a later failure is returned by the next
 *    sync() or download() of that queue.
 *  - Same inputs, same device class, same thread count: same bits. No atomic
 *    float sums.
 *  - Sums of products and reductions accumulate in float32 or better.
 *
 * The seven (copy, fill, gemm, elementwise, reduce, gather_rows,
 * scatter_add_rows) are required; with them the core composes every other op *on
 * the same device*, and that composition is each fused op's test oracle. A fused
 * op that is NULL, or returns HONE_ERR_UNSUPPORTED before queueing anything, is
 * composed. Nothing ever moves to another device in silence.
 *
 * Shape letters: N tokens of the packed micro-batch, C channels, H query heads,
 * K key/value heads (H is a multiple of K), D head size, F feed-forward width,
 * V vocabulary, S sequences packed. "=" overwrites, "+=" adds to what is there.
 * All tensors are float32 and dense row-major unless a comment says otherwise.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HONE_DEVICE_H
#define HONE_DEVICE_H

#include "plugin.h"
#include "tensor.h"
#include "weights.h"

HONE_BEGIN

typedef struct hone_dev hone_dev;     /* an open device                     */
typedef struct hone_queue hone_queue; /* ops in order                       */
typedef uint64_t hone_event;          /* a point in a queue; 0 = none       */
typedef uint64_t hone_kernel;         /* a compiled program; 0 = none       */

#define HONE_MEM_DEVICE 1 /* fast for ops                                         */
/* Pinned host memory: map() gives a pointer; ops reach it slowly or, on some devices, not at
 * all, but for copy(), which moves bytes between both kinds on every device. */
#define HONE_MEM_HOST 2

/* Flags of hone_dev_info. */
#define HONE_DEV_UNIFIED 1u /* ops run on HONE_MEM_HOST buffers as fast as on others */

typedef struct hone_dev_info {
    uint32_t struct_size;
    uint32_t ordinal;             /* the N of "cuda:N"                  */
    char type[16];                /* "cpu", "cuda": what native kernels name */
    char name[128];               /* for people                         */
    uint64_t mem_total, mem_free; /* bytes                              */
    uint32_t threads;             /* host threads its ops use           */
    uint32_t flags;               /* HONE_DEV_*                         */
} hone_dev_info;

/* ---------------------------------------------------------- the required seven */

/* Products say in `operands` how exactly theirs are to be taken: HONE_F32 or 0, as they are;
 * HONE_BF16, a device may round them to that on the way, as it does for speed where it has units
 * for such products. Sums are float32 either way. */

/* d = alpha * op(a) op(b) + beta * d, op(x) = x or its transpose.
 *   a (.., M, Ka), b (.., Kb, Nn), d (.., M, Nn) after op; rank 2..4; leading
 *   dimensions are batches; a stride-0 batch of a or b broadcasts. The last two
 *   dimensions may have any positive strides with one of them 1.
 *   dtypes: a, b in float32|float16|bfloat16, d float32; a device may refuse
 *   others with HONE_ERR_UNSUPPORTED. beta 0 never reads d. */
typedef struct hone_gemm_args {
    uint32_t struct_size;
    uint32_t trans_a, trans_b; /* 0 or 1 */
    float alpha, beta;
    uint32_t operands; /* see above */
    hone_tensor a, b;  /* in  */
    hone_tensor d;     /* inout */
} hone_gemm_args;

/* Run a program over `shape`: buffer k of the program is bufs[k], whose shape is
 * `shape` (strides may be 0 to broadcast), except packed (BITS) and block
 * (LOADB) buffers, which are flat. A buffer may be both loaded and stored when
 * the views are the same. */
typedef struct hone_ew_args {
    uint32_t struct_size;
    uint32_t n_bufs, n_params, reserved;
    hone_kernel kernel;
    const hone_tensor *bufs;
    const float *params;
    uint64_t seed, offset; /* for RANDOM */
    int64_t shape[4];
} hone_ew_args;

#define HONE_REDUCE_SUM 1
#define HONE_REDUCE_MAX 2

/* out (.., 1) = [+=] reduce over the last dimension of the program's mapped
 * value (register map_reg after the program ran; the program stores nothing, and has no BMAX).
 * out has shape[3] replaced by 1. */
typedef struct hone_reduce_args {
    uint32_t struct_size;
    uint32_t op; /* HONE_REDUCE_* */
    uint32_t map_reg, accumulate;
    hone_ew_args map;
    hone_tensor out;
} hone_reduce_args;

/* gather:       io (N, C) = table (R, C)[index (N)]
 * scatter_add:  table (R, C)[index (N)] += io (N, C); equal indexes add in order
 *               of n. index: int32. An index outside [0, R) is an error. */
typedef struct hone_rows_args {
    uint32_t struct_size, reserved;
    hone_tensor table, index, io;
} hone_rows_args;

/* --------------------------------------------------------------- the fused ones */

/* Root mean square norm, rows of C (Zhang & Sennrich 2019):
 *   x += add (where there is one),  rstd (N) = 1 / sqrt(mean(x^2) + eps),  y = x * rstd * w
 * backward:  g = dy * w,  dx [=|+=] rstd * (g - x * rstd^2 * mean(g * x)),
 *            dw += sum over rows of dy * x * rstd  (dw.buf 0: not wanted) */
typedef struct hone_rmsnorm_args {
    uint32_t struct_size;
    uint32_t accumulate_dx; /* backward: 1 adds to dx */
    float eps;
    uint32_t reserved;
    hone_tensor x, w;    /* in (N, C), (C); x may have a row stride above C    */
    hone_tensor y, rstd; /* forward: out (N, C), (N); backward: rstd is in     */
    hone_tensor dy;      /* backward: in (N, C)                                */
    hone_tensor dx, dw;  /* backward: out (N, C), inout (C)                    */
    hone_tensor add;     /* forward: in (N, C): x is inout then; buf 0: none   */
} hone_rmsnorm_args;

/* Rotary position embedding in place, halves paired (i, i + D/2) as in Hugging
 * Face Llama:  x1' = x1 cos - x2 sin,  x2' = x2 cos + x1 sin.
 * inverse 1 rotates back: the backward pass. */
typedef struct hone_rope_args {
    uint32_t struct_size;
    uint32_t inverse;
    hone_tensor x;        /* inout (N, heads, D); any row stride */
    hone_tensor cos, sin; /* in (P, D/2): rows by position       */
    hone_tensor position; /* in (N) int32, each in [0, P)        */
} hone_rope_args;

/* Causal attention over packed sequences with grouped heads, one pass, no T x T
 * matrix (Dao 2023):
 *   o_i = sum_j softmax_j(scale q_i.k_j) v_j,  j in the same sequence, j <= i,
 *   and i - j < window when window > 0.
 * lse (2, H, N) = of each row its largest scaled score, and the sum of exp(score - largest),
 * kept for the backward: their log sum exp, in two numbers because one float32 would leave
 * nothing of the sum where scores are large.
 * Sequence s has query rows [cu_q[s], cu_q[s+1]) and key rows [cu_k[s],
 * cu_k[s+1]); when a sequence has more keys than queries, the queries are its
 * last ones (decoding with a cache). Rows in no sequence give o = 0, lse = -inf and 0,
 * and gradients of 0.
 * first_key, last_key (N) say the same per query row, for compositions: row i
 * attends to key rows first_key[i]..last_key[i] (window not counted; last below
 * first: none). When M == N, keys and queries are the same rows (training).
 * backward: dq, dk, dv = gradients, from o, lse, do. */
typedef struct hone_attention_args {
    uint32_t struct_size;
    int32_t window; /* 0: none */
    float scale;
    uint32_t n_sequences;            /* at most; cu_* hold n_sequences + 1 entries, unused
                              sequences at the end are empty */
    int64_t max_q, max_k;            /* longest sequence's rows, at most */
    hone_tensor q, k, v;             /* in (N, H, D), (M, K, D), (M, K, D); any row stride */
    hone_tensor cu_q, cu_k;          /* in int32 (n_sequences + 1) */
    hone_tensor first_key, last_key; /* in int32 (N); buf 0: not to be composed */
    hone_tensor o, lse;              /* forward out, backward in; lse.buf 0: not wanted */
    hone_tensor d_o;                 /* backward in (N, H, D) */
    hone_tensor dq, dk, dv;          /* backward out */
    uint32_t operands;               /* of its products, as in hone_gemm_args */
    uint32_t reserved;
} hone_attention_args;

/* y (N, F) = silu(gate) * up, silu(x) = x * sigmoid(x) (Shazeer 2020)
 * backward: dgate = dy * up * sigmoid(g) * (1 + g (1 - sigmoid(g))),
 *           dup = dy * silu(g). dgate may be gate's buffer, dup up's. */
typedef struct hone_swiglu_args {
    uint32_t struct_size, reserved;
    hone_tensor gate, up;   /* in  */
    hone_tensor y;          /* forward out */
    hone_tensor dy;         /* backward in */
    hone_tensor dgate, dup; /* backward out */
} hone_swiglu_args;

/* A product with a stored weight w (O, I) in any format:
 *   forward  y (N, O)  = x (N, I) w^T + bias + beta * y
 *   dx       y (N, I)  = x (N, O) w          + beta * y     (transpose 1; no bias)
 * and, where low is there, a product of low rank R on top, as an adapter has it:
 *   forward  y += up_scale * low (N, R) up^T, up (O, R)
 *   dx       y += up_scale * low (N, R) up,   up (R, I)
 * The format is w->format; a device that has no kernel for it says
 * HONE_ERR_UNSUPPORTED and the core decodes and calls gemm. A kernel of "int8" quantizes x row
 * by row (Dettmers et al. 2022), but for columns with an |x| >= w->outlier in any row. */
typedef struct hone_linear_args {
    uint32_t struct_size;
    uint32_t transpose;
    float beta;
    uint32_t operands; /* as in hone_gemm_args */
    hone_weight *w;
    hone_tensor x;        /* in  */
    hone_tensor bias;     /* in (O); buf 0: none */
    hone_tensor y;        /* inout */
    hone_tensor outliers; /* inout (1) int32: += columns of x that were multiplied apart; buf 0: not
                             wanted. A composed product leaves it as it is */
    hone_tensor low, up;  /* in; low.buf 0: none */
    float up_scale;
    uint32_t reserved2;
} hone_linear_args;

/* Loss head: logits = h w^T in chunks of rows that are never stored whole.
 *   nll_n = log sum exp(logits_n) - logits_n[target_n]
 *   loss (1) += sum over n < count of weight_n * nll_n   (weight.buf 0: all 1)
 *   dh (N, C)    = grad of (scale * that sum); rows at and above count: untouched
 *   dw (V, C) += the same for w (buf 0: frozen)
 *   nll (N), buf 0: not wanted, gets nll_n of the rows below count.
 * dh.buf 0: loss only (evaluation), dw.buf is 0 too. A target outside [0, V) gives an
 * error or a NaN loss. Composed or fused, the scratch buffer is the caller's: logits
 * of one chunk, (chunk rows, V) float32. */
typedef struct hone_loss_args {
    uint32_t struct_size;
    int32_t count;       /* supervised rows, <= N */
    float scale;         /* of the gradient: 1 / supervised tokens of the window */
    uint32_t operands;   /* as in hone_gemm_args */
    hone_weight *w;      /* (V, C) */
    hone_tensor h;       /* in (N, C), the supervised rows only, gathered */
    hone_tensor target;  /* in (N) int32 */
    hone_tensor weight;  /* in (N) */
    hone_tensor loss;    /* inout (1) */
    hone_tensor nll;     /* out (N)  */
    hone_tensor dh, dw;  /* out, inout */
    hone_tensor scratch; /* (chunk, V) */
} hone_loss_args;

/* -------------------------------------------------------------------- workspace */

/* What a run will ask of a device, for its word on how much memory it needs besides buffers. */
typedef struct hone_extent_weight {
    const char *format; /* of hone_weight */
    int64_t rows, cols;
    int64_t count;   /* weights of this shape                          */
    uint32_t trains; /* 1: it changes with every step                  */
    uint32_t reserved;
} hone_extent_weight;

typedef struct hone_extent {
    uint32_t struct_size;
    uint32_t training; /* 1: the backward ops too                        */
    uint32_t full;     /* 1: gradients of weights too                    */
    uint32_t n_weights;
    const hone_extent_weight *weights; /* every matrix that linear and loss are given */
    int64_t tokens;                    /* N at most                                   */
    int64_t channels, feed_forward;
    int64_t heads, kv_heads, head_dim;
    int64_t longest; /* sequence, cache included                       */
    int64_t vocabulary;
    int64_t loss_rows; /* of loss's scratch                              */
    int64_t rank;      /* largest inner size of an adapter; 0: none      */
    uint32_t operands; /* as in hone_gemm_args                           */
    uint32_t reserved;
} hone_extent;

/* -------------------------------------------------------------------- the table */

typedef struct hone_device {
    uint32_t struct_size, reserved;

    /* How many there are; 0 is not an error, and the reason goes to err. [main] */
    hone_status (*count)(const hone_host *host, uint32_t *n, hone_error *err);
    /* info->struct_size is set by the caller. [main] */
    hone_status (*info)(const hone_host *host, uint32_t ordinal, hone_dev_info *info,
                        hone_error *err);
    /* config: the struct of the component's rows. *dev goes back to close(). [main] */
    hone_status (*open)(const hone_host *host, uint32_t ordinal, const void *config, hone_dev **dev,
                        hone_error *err);
    void (*close)(hone_dev *dev); /* NULL is fine; waits for all queues [main] */

    /* Uninitialised memory, 64-byte aligned. HONE_ERR_DEVMEM when there is none. [any] */
    hone_status (*alloc)(hone_dev *dev, uint64_t bytes, uint32_t kind, hone_buf *buf,
                         hone_error *err);
    void (*free)(hone_dev *dev, hone_buf buf); /* 0 is fine; queued ops finish first [any] */
    /* Host pointer of a HONE_MEM_HOST buffer, valid until free(). [any] */
    hone_status (*map)(hone_dev *dev, hone_buf buf, void **p, hone_error *err);

    hone_status (*queue_create)(hone_dev *dev, hone_queue **q, hone_error *err); /* [main] */
    void (*queue_destroy)(hone_queue *q); /* waits; NULL is fine [main] */

    /* Bytes to a buffer: src may be reused as soon as the call returns. [queue] */
    hone_status (*upload)(hone_queue *q, hone_buf buf, uint64_t offset, const void *src,
                          uint64_t bytes, hone_error *err);
    /* Bytes from a buffer: waits for what was queued before; dst is filled on return. [queue] */
    hone_status (*download)(hone_queue *q, hone_buf buf, uint64_t offset, void *dst, uint64_t bytes,
                            hone_error *err);
    hone_status (*sync)(hone_queue *q, hone_error *err); /* wait for all of it [queue] */

    /* A point in a queue that another queue can wait for. [queue] */
    hone_status (*record)(hone_queue *q, hone_event *event, hone_error *err);
    hone_status (*wait)(hone_queue *q, hone_event event, hone_error *err);
    void (*event_free)(hone_dev *dev, hone_event event);

    /* Programs. [any] The device has copied the program when it returns. */
    hone_status (*ew_compile)(hone_dev *dev, const hone_ew_program *program, hone_kernel *kernel,
                              hone_error *err);
    void (*ew_free)(hone_dev *dev, hone_kernel kernel);

    /* The seven. [queue] */
    hone_status (*copy)(hone_queue *q, const hone_tensor *dst, const hone_tensor *src,
                        hone_error *err); /* strided, converting; same shape; no overlap */
    hone_status (*fill)(hone_queue *q, const hone_tensor *dst, double value, hone_error *err);
    hone_status (*gemm)(hone_queue *q, const hone_gemm_args *args, hone_error *err);
    hone_status (*elementwise)(hone_queue *q, const hone_ew_args *args, hone_error *err);
    hone_status (*reduce)(hone_queue *q, const hone_reduce_args *args, hone_error *err);
    hone_status (*gather_rows)(hone_queue *q, const hone_rows_args *args, hone_error *err);
    hone_status (*scatter_add_rows)(hone_queue *q, const hone_rows_args *args, hone_error *err);

    /* Fused, optional. [queue] */
    hone_status (*rmsnorm)(hone_queue *q, const hone_rmsnorm_args *args, hone_error *err);
    hone_status (*rmsnorm_bwd)(hone_queue *q, const hone_rmsnorm_args *args, hone_error *err);
    hone_status (*rope)(hone_queue *q, const hone_rope_args *args, hone_error *err);
    hone_status (*attention)(hone_queue *q, const hone_attention_args *args, hone_error *err);
    hone_status (*attention_bwd)(hone_queue *q, const hone_attention_args *args, hone_error *err);
    hone_status (*swiglu)(hone_queue *q, const hone_swiglu_args *args, hone_error *err);
    hone_status (*swiglu_bwd)(hone_queue *q, const hone_swiglu_args *args, hone_error *err);
    hone_status (*linear)(hone_queue *q, const hone_linear_args *args, hone_error *err);
    hone_status (*loss)(hone_queue *q, const hone_loss_args *args, hone_error *err);

    /* Optional: bytes at most that the device allocates by itself for ops of this extent: work
     * areas of its queues, packed copies of weights. The plan of a run counts them. [main] */
    hone_status (*workspace)(hone_dev *dev, const hone_extent *extent, uint64_t *bytes,
                             hone_error *err);
} hone_device;

HONE_END

#endif /* HONE_DEVICE_H */
