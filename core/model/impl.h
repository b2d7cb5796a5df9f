/*
 * impl.h - what a model is made of: weights, adapters, one arena, one pass.
 *
 * Two kinds of device memory. Weights, parameters, gradients, tables and the cache
 * live as long as the model. Everything a pass computes lies in one arena, at offsets
 * that arena.c plans before anything is allocated; a slot is such an offset.
 *
 * Private to room model.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_MODEL_IMPL_H
#define CORE_MODEL_IMPL_H

#include "core/model/adapter.h"
#include "core/model/model.h"
#include "core/model/tensors.h"

typedef uint64_t slot; /* byte offset in the arena */

/* ---------------------------------------------------------------------- weights */

/* y += scale * (dropout(x) A^T) B^T */
typedef struct lora {
    int64_t rank;
    float scale;
    hone_tensor a, b;   /* (R, I), (O, R)                              */
    hone_tensor da, db; /* their gradients; buf 0 when it does not train */
    slot xa;            /* (N, R): dropout(x) A^T, for the backward pass */
} lora;

typedef struct weight {
    hone_buf buf;      /* owned; 0 when the value lies in model.values, and before loading */
    uint64_t bytes;    /* of it, as planned                            */
    uint32_t dense;    /* type of plane[0] where it is the plain matrix or vector; 0: packed */
    hone_weight w;     /* planes; float32: plane[0] is value; a parameter's may be its copy */
    hone_tensor value; /* float32 (rows, cols) or (rows); buf 0 when stored otherwise */
    hone_tensor grad;  /* of the same shape; buf 0 when frozen */
    lora *lora;        /* owned; NULL: none */
} weight;

/* ------------------------------------------------------------------------ arena */

/* Where one block computes. Blocks that no backward pass goes through (inference, and those
 * below the first that trains) share one set, in which mid is x. Of those that train,
 *   KEEP_INPUT  has x of its own; the rest is a set that all such blocks share
 *   KEEP_CHEAP  has all but the last three lines, which lie in the arena's scratch
 *   KEEP_ALL    has all. */
typedef struct block_slots {
    int keep;            /* KEEP_*                                      */
    slot x;              /* (N, C) what enters the block                */
    slot rstd1;          /* (N)                                         */
    slot q, k, v;        /* (N, Q), (N, K), (N, K); rotated unless qk_norm */
    slot rstd_q, rstd_k; /* (N * H), (N * K): qk_norm                 */
    slot o, lse;         /* (N, Q), (2, H, N)                           */
    slot mid;            /* (N, C) after attention                      */
    slot rstd2;          /* (N)                                         */
    slot gate, up;       /* (N, F); the backward pass overwrites them   */
    slot xn1, xn2;       /* (N, C) normed inputs                        */
    slot qn, kn;         /* (N, Q), (N, K) normed and rotated: qk_norm  */
    slot y;              /* (N, F) swiglu                               */
} block_slots;

typedef struct arena {
    block_slots *block;             /* owned, layers */
    slot last_x;                    /* (N, C) what leaves the last block */
    slot inputs;                    /* int32: ids, positions, ... of a batch, packed tightly */
    slot xd;                        /* (N, widest input) dropout(x), and its gradient */
    slot dxa;                       /* (N, largest rank) */
    slot dx, dn;                    /* (N, C) gradient of the residual stream; of a normed input */
    slot dy;                        /* (N, F) gradient of swiglu's output */
    slot d_o, dq, dk, dv, dqn, dkn; /* (N, Q), .., qk_norm: before the norm */
    slot h, hn, rstd, dh, dhn;      /* (N, C) the supervised rows: before and after the norm */
    slot logits;                    /* (chunk, V) */
    int64_t chunk;                  /* rows of it */
    slot nll;                       /* (N) */
    slot loss;                      /* (LOSS_SLOTS) */
    uint64_t bytes;
} arena;

#define LOSS_SLOTS 256 /* micro-batches between two downloads of their losses */

/* Where the bytes go. */
typedef struct plan {
    uint64_t bytes[BYTES_KINDS];
    uint64_t load; /* host memory at most while weights are loaded */
} plan;
uint64_t plan_total(const plan *p);
#define HASH_PIECE \
    ((uint64_t)8 << 20) /* bytes that model_base_hash() brings from the device at a time */

/* ------------------------------------------------------------------------ model */

/* Where a parameter's views belong, and where its numbers lie in values and grads. */
typedef struct param_home {
    hone_tensor *value, *grad; /* borrowed: of a weight or an adapter */
    uint64_t offset;           /* bytes */
    bool vector;
} param_home;

struct model {
    backend *backend;  /* borrowed */
    ops *o;            /* borrowed from it */
    char *dir;         /* owned: where the weights come from */
    char *adapter_dir; /* owned: where the adapter comes from; NULL: a new one, or none */
    bool fresh;
    llama_config c;
    int32_t train; /* TRAIN_* */
    bool stale;    /* parameters changed: their copies are to be made again */
    uint64_t seed;
    int64_t capacity;      /* N at most */
    int64_t max_sequences; /* of a batch */
    int64_t positions;     /* rows of the rotary tables */

    weight *weights;         /* owned, layers * W_COUNT; weights without a layer stand in layer 0 */
    adapter_config *adapter; /* owned; NULL: none */
    int64_t first;           /* first block that trains; layers: none */
    int lowest_stage;        /* of that block, STAGE_*; -1: its input and everything below too */
    float dropout;
    int64_t max_rank;

    param *params;     /* owned, n_params; names owned */
    param_home *homes; /* owned, n_params */
    size_t n_params, params_cap, homes_cap;
    hone_buf values, grads; /* of params, each at a multiple of 64 bytes; 0: none */
    uint64_t param_bytes;
    hone_buf sums;  /* (n_params) float32: squares of gradients */
    float *squares; /* owned (n_params): where they are downloaded to */

    hone_buf rope; /* cos, sin (positions, D/2) */
    hone_tensor cos, sin;
    hone_buf buf; /* the arena */
    arena arena;
    int64_t keep_all, keep_cheap; /* blocks, counted from the last */
    ops_extent extent;            /* of compositions */
    int32_t *staging;             /* owned: the batch's inputs on their way up */
    int32_t losses;               /* slots of arena.loss in use */
    double loss_sum;              /* of slots that were downloaded */

    int64_t context, fed; /* cache: capacity and rows in use */
    hone_buf cache;       /* k, v of each layer: (context, K) */
    int32_t *fed_ids;     /* owned (context): what the cache was made from */
    plan plan;
    uint64_t allocated; /* device bytes, to be held against the plan */
    uint64_t workspace; /* the device's own, by its word */
};

/* Depth of a projection inside its block: the backward pass meets the highest first. */
#define STAGE_QKV 0
#define STAGE_O 1
#define STAGE_GATE_UP 2
#define STAGE_DOWN 3
int stage_of(int which); /* W_* of a projection */

static inline weight *weight_at(const model *m, int64_t layer, int which)
{
    return &m->weights[layer * W_COUNT + which];
}

/* lm_head, or the embedding where it is tied. */
static inline weight *weight_head(const model *m)
{
    return weight_at(m, 0, m->c.tied ? W_EMBED : W_HEAD);
}

/* Float32 view of the arena. */
hone_tensor arena_1d(const model *m, slot s, int64_t n);
hone_tensor arena_2d(const model *m, slot s, int64_t rows, int64_t cols);
hone_tensor arena_heads(const model *m, slot s, int64_t n, int64_t heads);

/* Offsets of everything; m->c, train, capacity, adapters, keep_* are set. Sets the plan's rows. */
HONE_MUST_CHECK hone_status arena_plan(model *m, hone_error *err);

/* The sizes of what a model allocates besides weights and parameters. plan.c */
uint64_t rope_bytes(const model *m);
uint64_t cache_bytes(const model *m);
size_t staging_count(const model *m); /* int32 */
/* Arena, tables, cache, workspace: the plan's other rows. */
HONE_MUST_CHECK hone_status plan_buffers(model *m, hone_error *err);

/* Every allocation of the model on the device goes through here. */
HONE_MUST_CHECK hone_status model_alloc(model *m, hone_buf *buf, uint64_t bytes, hone_error *err);

/* Shapes, planes and bytes of every weight; parameters are known. Adds to the plan. */
HONE_MUST_CHECK hone_status weights_plan(model *m, hone_error *err);
/* Fill m->weights from dir, or at random: fresh. Weights that train have their value. */
HONE_MUST_CHECK hone_status weights_load(model *m, const char *dir, bool fresh, hone_error *err);
void weights_free(model *m);
/* Copies of parameters in 16 bits, where products read those. */
HONE_MUST_CHECK hone_status weights_refresh(model *m, hone_error *err);
/* n elements of the stored weight as float32, from the device. */
HONE_MUST_CHECK hone_status weight_download(const model *m, const weight *w, float *dst,
                                            hone_error *err);

/* Name a parameter; its views are written to *value and *grad by params_alloc(). */
HONE_MUST_CHECK hone_status params_add(model *m, const char *name, int64_t rows, int64_t cols,
                                       bool vector, bool decay, hone_tensor *value,
                                       hone_tensor *grad, hone_error *err);
/* Every weight of the model: full fine-tuning. */
HONE_MUST_CHECK hone_status params_add_weights(model *m, hone_error *err);
void params_plan(model *m);
/* Memory for them; gradients, cleared, when m trains. */
HONE_MUST_CHECK hone_status params_alloc(model *m, hone_error *err);
void params_free(model *m);

/* ------------------------------------------------------------------------- pass */

/* One batch on its way through the network. */
typedef struct pass {
    int64_t n; /* tokens */
    int64_t n_learned;
    uint32_t n_sequences;
    int64_t max_q, max_k;
    int64_t past;            /* cached: keys before this pass */
    bool cached;             /* keys and values live in the cache */
    const model_part *parts; /* borrowed, n_parts: they are moved there, each to its own rows */
    size_t n_parts;
    bool dropout;  /* training */
    uint64_t draw; /* dropout's random numbers: differs for each micro-batch */
    hone_tensor ids, position, first_key, last_key, cu_q, cu_k, learn_row, target;
} pass;

/* Send the inputs up and describe them. */
HONE_MUST_CHECK hone_status pass_begin(model *m, pass *p, const batch *b, hone_error *err);
/* The same for n ids that continue the cache. */
HONE_MUST_CHECK hone_status pass_begin_cached(model *m, pass *p, const int32_t *ids, int64_t n,
                                              hone_error *err);

/* The same for parts that continue rows of the cache; learn_row gets the last row of each. */
HONE_MUST_CHECK hone_status pass_begin_parts(model *m, pass *p, const model_part *parts,
                                             size_t n_parts, hone_error *err);

/* All blocks; the result is at arena.last_x. */
HONE_MUST_CHECK hone_status forward_blocks(model *m, const pass *p, hone_error *err);
/* Loss over the supervised rows; with train, its gradient at arena.dx. */
HONE_MUST_CHECK hone_status forward_loss(model *m, const pass *p, bool train, float scale,
                                         bool want_nll, hone_error *err);
/* Logits of rows [first, first + n), n <= arena.chunk, at arena.logits. */
HONE_MUST_CHECK hone_status forward_logits(model *m, int64_t first, int64_t n, hone_error *err);
/* The same for the rows of p->learn_row, n <= arena.chunk of them. */
HONE_MUST_CHECK hone_status forward_logits_of(model *m, const pass *p, int64_t n, hone_error *err);
/* Rows [first, first + n), after the final norm, at arena.hn. */
HONE_MUST_CHECK hone_status forward_hidden(model *m, int64_t first, int64_t n, hone_error *err);
HONE_MUST_CHECK hone_status backward_blocks(model *m, const pass *p, hone_error *err);

/* What block l computed from its x, computed again: all that its backward pass reads. */
HONE_MUST_CHECK hone_status forward_again(model *m, const pass *p, int64_t l, hone_error *err);

/* Steps the backward pass does again. */
HONE_MUST_CHECK hone_status norm_rows(model *m, const weight *w, hone_tensor x, hone_tensor y,
                                      hone_tensor rstd, hone_error *err);
HONE_MUST_CHECK hone_status norm_and_rotate(model *m, const pass *p, int64_t l, hone_error *err);
HONE_MUST_CHECK hone_status lora_dropout(model *m, const pass *p, int64_t l, int which,
                                         hone_tensor y, hone_tensor x, bool accumulate,
                                         hone_error *err);
HONE_MUST_CHECK hone_status rotate(model *m, const pass *p, hone_tensor x, bool inverse,
                                   hone_error *err);
hone_attention_args attention_args(model *m, const pass *p, int64_t l);

/* ---------------------------------------------------------------------- backend */

ops *backend_ops(const backend *b);
const hone_weights *backend_format(const backend *b, const char **name, void **self);

#endif /* CORE_MODEL_IMPL_H */
