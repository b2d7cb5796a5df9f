/*
 * train.h - the door of core/train: the run from a loaded model and dataset to a tuned one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_TRAIN_TRAIN_H
#define CORE_TRAIN_TRAIN_H

#include "core/base/base.h"
#include "core/data/data.h"
#include "core/model/model.h"
#include "core/plugin/plugin.h"
#include "core/train/plan.h" /* part of this door */

#define SCHEDULE_CONSTANT 0
#define SCHEDULE_LINEAR 1
#define SCHEDULE_COSINE 2

typedef struct train_options { /* option rows: train_option_rows, section "train" */
    int64_t method;            /* enum "lora|full"                                        */
    const char *out;           /* run folder: checkpoints, adapter, metrics.jsonl         */
    int64_t seq_len, batch, accumulate;
    bool packing;  /* off: rows padded to seq_len, as in the paper            */
    bool shuffle;  /* off: rows in the given order                            */
    double epochs; /* fractions allowed                                       */
    int64_t steps; /* 0: from epochs; else optimizer steps in all             */
    double lr;
    int64_t schedule; /* enum "constant|linear|cosine"                           */
    double warmup;    /* < 1: share of the steps; else steps                     */
    double min_lr;    /* share of lr the schedule ends at                        */
    double weight_decay;
    double clip; /* norm of all gradients; 0: off                           */
    int64_t seed;
    double val_split;   /* share of rows set aside; 0: none                        */
    const char *val;    /* or a dataset of its own                                 */
    int64_t eval_every; /* optimizer steps; 0: at every epoch's end                */
    int64_t patience;   /* evaluations without improvement before an early stop; 0: never */
    int64_t save_every; /* optimizer steps; 0: at every epoch's end                */
    int64_t keep;       /* checkpoints kept besides the best                       */
    int64_t log_every;
    bool resume;           /* go on from the last checkpoint if there is one (default true) */
    bool fresh;            /* full only: start from random weights                    */
    int64_t save_dtype;    /* full only: enum "model|fp32|bf16|fp16"                  */
    double paged_memory;   /* MiB of host memory for paged state; 0: half of what is free */
    const char *paged_dir; /* for what is beyond it; NULL: out                    */
    int64_t activations;   /* enum "auto|all|cheap|input": what blocks keep, see KEEP_* */
} train_options;
extern const hone_option train_option_rows[];

/* What a schedule multiplies lr with at step (from 1) of `steps`: warm-up from 0 in equal
 * steps, then constant, linear or half-cosine down to min_lr: equal to transformers'
 * get_*_schedule_with_warmup at (step - 1). [any] */
double schedule_factor(int64_t schedule, int64_t step, int64_t steps, int64_t warmup,
                       double min_lr);

/* Live figures; borrowed for the call. */
typedef struct train_progress {
    int64_t step, steps, epoch;
    double loss, lr, grad_norm, tokens_per_second, eta_seconds;
    double val_loss;        /* NaN until known */
    double seconds;         /* since the run started (this process) */
    int64_t learned_tokens; /* supervised tokens so far */
    int64_t host_bytes;     /* resident */
} train_progress;

typedef struct train_result {
    int64_t steps, epochs;
    double first_loss, last_loss; /* training */
    double best_val, first_val;   /* NaN: no validation set */
    int64_t best_step;
    const char *stopped; /* "done", "early stop", "interrupted" */
    double seconds, tokens_per_second;
    double step_seconds; /* mean of the steps of this process, the first left out; 0: too few */
    int64_t model_bytes, peak_host_bytes;
    uint64_t base_hash; /* of the weights that do not train; the same before and after */
} train_result;

typedef struct train_hooks {
    void *ctx;
    void (*on_step)(void *ctx, const train_progress *p); /* may be NULL */
    const volatile int *stop; /* nonzero: finish the step, save, return HONE_ERR_CANCELLED
                                   with *result filled; may be NULL */
} train_hooks;

/* Rows that can meet in one micro-batch of seq_len * batch tokens at most, whatever the
 * order of an epoch: the max_sequences to open the model with. val may be NULL. [any] */
int64_t train_max_sequences(const dataset *train, const dataset *val, int64_t seq_len,
                            int64_t batch_rows);

/* Train m on d. optimizer: component name ("adamw"), with its options as JSON or NULL.
 * val: the validation set; when it is NULL or empty and o->val_split is above 0, rows are
 * moved from train into it (a NULL val: into a set of the run's own).
 * config: what the run was asked for, section by section, as JSON; may be NULL. A run that
 * is resumed must have the same, but for what changes no number (train.out, train.keep, ...).
 * The run folder gets:
 *   checkpoint-<step>/  params, optimizer state, position, config: complete or absent
 *   adapter/ or model/  the result (best checkpoint when there is validation)
 *   metrics.jsonl       one object per logged step, appended, cut back on resume
 *   run.json            config, hashes of inputs, kernel choices, documents, result
 * Locked against a second run. NaN or infinite loss: HONE_ERR_NUMERIC naming the step and the
 * sample, last good checkpoint kept. provenance: merged into what is saved. */
HONE_MUST_CHECK hone_status train_run(model *m, dataset *train, dataset *val,
                                      const train_options *o, const char *optimizer,
                                      const json_t *optimizer_options, registry *plugins,
                                      const json_t *config, const json_t *provenance,
                                      const train_hooks *hooks, train_result *result,
                                      hone_error *err);

/* Mean nll over the supervised tokens of d, in packed batches; also used by exam and score. */
HONE_MUST_CHECK hone_status train_evaluate(model *m, const dataset *d, int64_t seq_len,
                                           int64_t batch_rows, double *mean_nll, int64_t *n_tokens,
                                           hone_error *err);

/* ------------------------------------------------------------------ folders */

/* A folder that appears whole or not at all: fill *tmp ("<path>.tmp.<pid>", owned by the
 * caller), then commit, which syncs it and puts it in the place of path. */
HONE_MUST_CHECK hone_status folder_begin(char **tmp, const char *path, hone_error *err);
HONE_MUST_CHECK hone_status folder_commit(const char *tmp, const char *path, hone_error *err);
void folder_abort(const char *tmp); /* removes it; NULL is fine */
/* Remove such folders of path whose processes were killed, naming each in the log. */
HONE_MUST_CHECK hone_status folder_sweep_beside(const char *path, hone_error *err);

#endif /* CORE_TRAIN_TRAIN_H */
