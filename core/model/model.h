/*
 * model.h - the door of core/model: safetensors, the Llama family's table of weights,
 * a model on a device, adapters, training passes, generation.
 *
 * Knows devices and weight formats only through their ABI (sdk) and ops.h; knows
 * nothing of optimizers or of training runs. One thread drives a model: every call
 * is [main] unless tagged.
 *
 * Shape letters: N tokens of a packed micro-batch, V vocabulary, C channels, H query
 * heads, K key/value heads, D head size, F feed-forward width, L layers, R rank.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_MODEL_MODEL_H
#define CORE_MODEL_MODEL_H

#include "core/base/base.h"
#include "core/data/data.h"
#include "core/model/ops.h" /* part of this door: optimizers run through it */
#include "core/plugin/plugin.h"
#include "hone/hone.h"

/* ---------------------------------------------------------------- safetensors */

typedef struct st_tensor {
    const char *name; /* borrowed from the file object, NUL-terminated */
    uint32_t dtype;   /* HONE_F32, HONE_F16, HONE_BF16, HONE_I64, ...  */
    uint32_t rank;    /* 0..4 */
    int64_t shape[4];
    const uint8_t *p; /* mapped, may be unaligned */
    uint64_t bytes;
} st_tensor;

typedef struct st_file st_file; /* one file, or all shards of a folder */

/* path: a .safetensors file, or a folder with model.safetensors or
 * model.safetensors.index.json. Every header is checked before anything is read:
 * lengths, offsets, overlaps, holes, overflow, duplicate names, missing shards. */
HONE_MUST_CHECK hone_status st_open(st_file **out, const char *path, hone_error *err);
HONE_MUST_CHECK hone_status st_open_bytes(st_file **out, const uint8_t *p, size_t n,
                                          const char *name,
                                          hone_error *err); /* for tests and fuzzing; p borrowed */
void st_close(st_file *f);
size_t st_count(const st_file *f);
const st_tensor *st_at(const st_file *f, size_t i);           /* sorted by name */
const st_tensor *st_find(const st_file *f, const char *name); /* NULL: none */
/* Its numbers were read: the pages of the file it lies in may leave memory. */
void st_release(const st_file *f, const st_tensor *t);
const char *st_meta(const st_file *f, const char *key); /* __metadata__; NULL: none */
/* rows*cols elements from `first` as float32. False: dtype is no float. [any] */
bool st_read_f32(const st_tensor *t, int64_t first, int64_t n, float *dst);

/* Write-then-rename. Declare all tensors first, then add their bytes in that order. */
typedef struct st_writer st_writer;
HONE_MUST_CHECK hone_status st_writer_open(st_writer **out, const char *path, hone_error *err);
HONE_MUST_CHECK hone_status st_writer_declare(st_writer *w, const char *name, uint32_t dtype,
                                              uint32_t rank, const int64_t *shape, hone_error *err);
HONE_MUST_CHECK hone_status st_writer_meta(st_writer *w, const char *key, const char *value,
                                           hone_error *err);
HONE_MUST_CHECK hone_status st_writer_add(st_writer *w, const void *p, size_t n, hone_error *err);
HONE_MUST_CHECK hone_status st_writer_commit(st_writer *w, hone_error *err); /* ends w either way */
void st_writer_abort(st_writer *w);

/* ---------------------------------------------------- configuration and weights */

typedef enum dim {
    DIM_1, /* unused axis                       */
    DIM_V, /* vocabulary                        */
    DIM_C, /* channels of the residual stream   */
    DIM_Q, /* H * D                             */
    DIM_K, /* K * D                             */
    DIM_F, /* feed-forward width                */
    DIM_D, /* head size (q/k norm)              */
    DIM_COUNT,
} dim;

#define ROPE_DEFAULT 0
#define ROPE_LINEAR 1
#define ROPE_LLAMA3 2
#define ROPE_YARN 3

typedef struct llama_config {
    int64_t dim[DIM_COUNT]; /* dim[DIM_1] is 1 */
    int64_t layers, heads, kv_heads, head_dim;
    int64_t max_positions;
    int64_t window;    /* sliding window, 0: none */
    bool *windowed;    /* owned (layers): does the window apply; NULL while window is 0 */
    double eps;        /* of the norms */
    double init_range; /* standard deviation of fresh weights */
    bool tied;         /* lm_head is the embedding */
    bool qkv_bias, o_bias, mlp_bias, qk_norm;
    int32_t rope_type; /* ROPE_* */
    double rope_theta, rope_factor, rope_low, rope_high, rope_beta_fast, rope_beta_slow;
    double rope_attention_factor, rope_mscale, rope_mscale_all_dim; /* yarn; 0: derived */
    int64_t rope_original; /* original_max_position_embeddings */
    bool rope_truncate;    /* yarn: round the correction range (default) */
    char family[16];       /* "llama", "mistral", "qwen2", "qwen3" */
    char *torch_dtype;     /* owned; as in config.json, or NULL */
    char *stored_format;   /* owned; the folder holds planes of this weight format; NULL: numbers */
} llama_config;

/* config.json of a model folder. Anything that changes the mathematics and is not
 * known is refused by name (other architectures, hidden_act other than silu, ...). */
HONE_MUST_CHECK hone_status llama_config_read(llama_config *out, const char *model_dir,
                                              hone_error *err);
/* The configuration of a well-known model, numbers only: "llama-2-7b". HONE_ERR_NOTFOUND
 * lists the names. */
HONE_MUST_CHECK hone_status llama_config_known(llama_config *out, const char *name,
                                               hone_error *err);
void llama_config_finish(llama_config *c);

#define TENSOR_PER_LAYER 1u /* one per block; "%d" in the name is the layer      */
#define TENSOR_LINEAR 2u    /* a projection: may carry an adapter, may be quantized */
#define TENSOR_DECAY 4u     /* weight decay applies                              */
#define TENSOR_UNTIED 8u    /* absent when embeddings are tied                   */
#define TENSOR_QKV_BIAS 16u /* present only with the config's flag ...           */
#define TENSOR_O_BIAS 32u
#define TENSOR_MLP_BIAS 64u
#define TENSOR_QK_NORM 128u

/* THE list of weights. Loader, saver, plan, adapter placement and optimizer groups
 * walk it; there is no second one. */
typedef struct llama_tensor {
    const char *name;       /* safetensors name                   */
    const char *short_name; /* last module: "q_proj"; for targets */
    dim rows, cols;         /* stored (rows, cols), row-major; cols DIM_1: a vector */
    uint32_t flags;
} llama_tensor;
extern const llama_tensor llama_tensors[]; /* ends with name == NULL */
bool llama_has(const llama_config *c, const llama_tensor *t);
int64_t llama_param_count(const llama_config *c);

/* ---------------------------------------------------------------------- backend */

/* "cpu/fp32", "cuda:1/nf4": a device and a weight format, opened. */
typedef struct backend backend;
HONE_MUST_CHECK hone_status backend_open(backend **out, registry *plugins, const char *spec,
                                         const json_t *device_options,
                                         const json_t *weights_options, hone_error *err);
/* A weight format on a device that is not here: models can be planned on it, not loaded. */
HONE_MUST_CHECK hone_status backend_open_absent(backend **out, registry *plugins,
                                                const char *device, const char *format,
                                                const json_t *weights_options, hone_error *err);
void backend_close(backend *b);
const char *backend_spec(const backend *b);
const char *backend_format_name(const backend *b);   /* "fp32" */
const hone_dev_info *backend_info(const backend *b); /* NULL: the device is not here */
/* Compose every fused op from the seven, or not: for tests; before a model is opened on b. */
HONE_MUST_CHECK hone_status backend_set_compose(backend *b, bool compose, hone_error *err);
/* What a backend reaches, measured in a second or two: flop/s and bytes/s. */
#define SPEED_WIDTHS 3
extern const int64_t speed_widths[SPEED_WIDTHS]; /* inputs and outputs of a product */
typedef struct speed {
    double linear[SPEED_WIDTHS], linear_back[SPEED_WIDTHS]; /* stored weights, forward and dx */
    double gradient[SPEED_WIDTHS];                          /* dy^T x                         */
    double thin;                                            /* rank 16                        */
    double attention, attention_back;
    double bytes; /* elementwise: read and written           */
} speed;
HONE_MUST_CHECK hone_status backend_measure(const backend *b, speed *out, hone_error *err);
/* "op  path" lines: fused, composed. */
void backend_print_paths(const backend *b, text *out);

/* ---------------------------------------------------------------------- adapters */

/* LoRA as PEFT defines it: y += scale * B (A dropout(x)), scale = alpha / R, or
 * alpha / sqrt(R) with rslora; A (R, I), B (O, R) float32. */
typedef struct adapter_options { /* option rows: adapter_option_rows */
    int64_t rank;
    double alpha, dropout;
    hone_list targets; /* short names, or full names, or "all-linear"              */
    bool rslora;
    hone_list rank_pattern; /* "name=8": overrides; name matches as PEFT's patterns do  */
    hone_list alpha_pattern;
    const char *init; /* an adapter folder to start from, or NULL: its config
                                 then decides everything but dropout                     */
} adapter_options;
extern const hone_option adapter_option_rows[];

/* ------------------------------------------------------------------------- model */

typedef struct model model;

/* What device memory is for. The rows of a plan, in the order they are shown. */
typedef enum bytes_kind {
    BYTES_WEIGHTS,     /* the base; in full fine-tuning what trains                  */
    BYTES_ADAPTERS,    /* what LoRA trains                                           */
    BYTES_GRADIENTS,   /* and the sums their norm is taken from                      */
    BYTES_STATES,      /* of the optimizer: core/train adds them                     */
    BYTES_ACTIVATIONS, /* kept for the backward pass; without training: of one block */
    BYTES_HEAD,        /* last hidden states, a chunk of logits, their gradients     */
    BYTES_SCRATCH,     /* of a block's passes                                        */
    BYTES_WORKSPACE,   /* compositions, the device's own work areas                  */
    BYTES_CACHE,       /* keys and values of generation                              */
    BYTES_INPUTS,      /* ids, positions, rotary tables                              */
    BYTES_KINDS,
} bytes_kind;
extern const char *const bytes_names[BYTES_KINDS];

/* What a block keeps for its backward pass. Whatever is not kept is computed again from
 * what is, by the same calls: gradients are the same to the bit. */
#define KEEP_INPUT 0 /* what enters it: its forward pass is run again             */
#define KEEP_CHEAP 1 /* and what needs a matrix product or attention to come back */
#define KEEP_ALL 2   /* and norms, rotations, swiglu                              */

#define TRAIN_NONE 0 /* inference, evaluation */
#define TRAIN_LORA 1
#define TRAIN_FULL 2

typedef struct model_options {
    const char *dir;                /* HF model folder */
    int32_t train;                  /* TRAIN_* */
    const adapter_options *adapter; /* TRAIN_LORA: a new adapter; NULL otherwise */
    const char *adapter_dir;        /* PEFT folder to load (any train mode but FULL); NULL: none */
    uint64_t seed;                  /* of new adapters, fresh weights and dropout */
    bool fresh;             /* random weights instead of dir's: pretraining from config.json */
    const char *shape;      /* a built-in configuration instead of dir: to plan with, only */
    int64_t seq_len, batch; /* capacity of a training micro-batch, tokens = product */
    int64_t max_sequences;  /* packed in one micro-batch */
    int64_t context;        /* capacity of the generation cache, tokens; 0: no generation */
} model_options;

/* A model without its memory: configuration, adapter, parameters, and the bytes of all it
 * will allocate. No weight is read, nothing is allocated on the device. o->adapter is
 * borrowed until model_load(). */
HONE_MUST_CHECK hone_status model_plan(model **out, backend *b, const model_options *o,
                                       hone_error *err);
/* What the blocks that train keep, before model_load(): the last n_all of them KEEP_ALL, n_cheap
 * before those KEEP_CHEAP, the others KEEP_INPUT. Planned anew; at first all KEEP_CHEAP. */
HONE_MUST_CHECK hone_status model_keep(model *m, int64_t n_all, int64_t n_cheap, hone_error *err);
int64_t model_trained_blocks(const model *m); /* those a backward pass goes through */
/* Allocate exactly what was planned and load the weights. */
HONE_MUST_CHECK hone_status model_load(model *m, hone_error *err);
/* model_plan() and model_load(). */
HONE_MUST_CHECK hone_status model_open(model **out, backend *b, const model_options *o,
                                       hone_error *err);
void model_close(model *m);
const llama_config *model_config(const model *m);
/* Refuse a vocabulary that is larger than the embedding, naming both sizes. */
HONE_MUST_CHECK hone_status model_check_tokenizer(const model *m, const tokenizer *t,
                                                  hone_error *err);
int64_t model_bytes(const model *m); /* device bytes: all buffers, planned or there */
int64_t model_bytes_of(const model *m, bytes_kind kind);
/* Host memory besides: staging that stays; and at most while weights are loaded, while the
 * result is saved, while model_base_hash() looks at them. */
typedef struct model_host_bytes {
    int64_t staging, load, save, hash;
} model_host_bytes;
model_host_bytes model_host(const model *m);

/* A parameter that trains: value, gradient, and its optimizer group. */
typedef struct param {
    const char *name; /* as saved: "model.layers.0...weight", "base_model.model...lora_A.weight" */
    int64_t rows, cols;
    hone_tensor value, grad; /* device, float32, dense */
    bool decay;
} param;
size_t model_param_count(const model *m);
const param *model_param(const model *m, size_t i);
/* Values were changed: to be called before the next pass. */
void model_params_changed(model *m);
/* The device and its queue, for the optimizer's programs. Borrowed. See ops.h. */
ops *model_ops(model *m);

/* Forward and backward of one micro-batch: gradients += scale * d(sum of nll). *loss gets
 * the sum of nll over the batch's n_learned targets when the queue is drained by
 * model_loss(). step and micro number the batch for dropout's random numbers. */
HONE_MUST_CHECK hone_status model_zero_grad(model *m, hone_error *err);
HONE_MUST_CHECK hone_status model_train(model *m, const batch *b, float scale, int64_t step,
                                        int64_t micro, hone_error *err);
/* Forward only: adds the sum of nll to the same accumulator. nll (n_learned, host) may be NULL. */
HONE_MUST_CHECK hone_status model_eval(model *m, const batch *b, float *nll, hone_error *err);
/* The sum since the last call; waits for the queue. */
HONE_MUST_CHECK hone_status model_loss(model *m, double *sum, hone_error *err);
/* Norm of all gradients (before clipping); waits for the queue. */
HONE_MUST_CHECK hone_status model_grad_norm(model *m, double *norm, hone_error *err);
/* Logits (n, V) of every position of a batch, to the host; for tests and scores. */
HONE_MUST_CHECK hone_status model_logits(model *m, const batch *b, float *logits, hone_error *err);

/* PEFT layout: adapter_config.json + adapter_model.safetensors, and hone's own
 * hone.json beside them (template and tokenizer hash, documents). extra: merged into
 * hone.json; may be NULL. */
HONE_MUST_CHECK hone_status model_save_adapter(model *m, const char *dir, const json_t *extra,
                                               hone_error *err);
/* Full weights as HF safetensors (dtype HONE_F32, HONE_BF16 or HONE_F16, shards of at most
 * shard_bytes; 0: one file); config and tokenizer files are copied from the model's folder. */
HONE_MUST_CHECK hone_status model_save_full(model *m, const char *dir, uint32_t dtype,
                                            int64_t shard_bytes, hone_error *err);
/* The same with every weight as the backend's format stores it, planes of packed matrices
 * included: a folder that model_open() reads with that format only, and gives the same bits. */
HONE_MUST_CHECK hone_status model_save_stored(model *m, const char *dir, int64_t shard_bytes,
                                              hone_error *err);
/* A number for all weights that do not train, as the device holds them: the same as long as
 * none of their bytes changes. Waits for the queue. */
HONE_MUST_CHECK hone_status model_base_hash(model *m, uint64_t *hash, hone_error *err);
/* hone.json of an adapter folder: template and tokenizer it was trained with. NULL: none. */
HONE_MUST_CHECK hone_status adapter_provenance(json_t **out, const char *adapter_dir,
                                               hone_error *err);

/* ------------------------------------------------------------------- generation */

typedef struct sampling {      /* option rows: sampling_option_rows */
    double temperature;        /* 0: greedy */
    int64_t top_k;             /* 0: off */
    double top_p;              /* 1: off */
    double repetition_penalty; /* 1: off; Keskar et al. 2019, over prompt and answer */
    int64_t max_tokens;
    int64_t seed;
} sampling;
extern const hone_option sampling_option_rows[];

/* The cache holds what was fed so far; feeding continues from there. */
HONE_MUST_CHECK hone_status model_feed(model *m, const int32_t *ids, size_t n, float *logits,
                                       hone_error *err); /* logits (V, host) after the last id */
void model_rewind(model *m, int64_t n);                  /* keep the first n tokens of the cache */
int64_t model_fed(const model *m);

/* Feed the prompt and sample until a stop id, max_tokens or a full cache; on_token
 * (may be NULL) sees each id as it comes and may end it by returning HONE_ERR_CANCELLED.
 * *reason: "stop", "length", "context", "cancelled". ids appended to out, but for the stop
 * id, which is not fed either. The penalty counts everything in the cache. */
HONE_MUST_CHECK hone_status
model_generate(model *m, const int32_t *prompt, size_t n, const sampling *s, const int32_t *stops,
               size_t n_stops, hone_status (*on_token)(void *ctx, int32_t id, hone_error *err),
               void *ctx, tokens *out, const char **reason, hone_error *err);
/* Several conversations at once: each has rows of the cache of its own, [first, first + past + n),
 * past of them fed before. Parts come in ascending order of first, without overlaps, n >= 1
 * each, model_capacity() ids in all at most. logits (n_parts, V, host) after the last id of
 * each; NULL: not wanted. What model_feed() fed is forgotten. */
typedef struct model_part {
    int64_t first, past;
    const int32_t *ids; /* borrowed (n) */
    int64_t n;
} model_part;
HONE_MUST_CHECK hone_status model_feed_parts(model *m, const model_part *parts, size_t n_parts,
                                             float *logits, hone_error *err);
int64_t model_capacity(const model *m);      /* ids of one pass, at most */
int64_t model_context(const model *m);       /* rows of the cache */
int64_t model_max_sequences(const model *m); /* of a batch */
/* Mean over the positions of each sequence of a batch of the last hidden state, after the final
 * norm: out (n_sequences, C, host), not normalised. */
HONE_MUST_CHECK hone_status model_embed(model *m, const batch *b, float *out, hone_error *err);

/* The choice of one id from logits (V), which it overwrites; history: ids for the
 * penalty; draw: counter of the random number. -1: no memory. [any] */
int32_t sample_token(float *logits, int64_t n_vocab, const sampling *s, const int32_t *history,
                     size_t n_history, uint64_t draw);

#endif /* CORE_MODEL_MODEL_H */
