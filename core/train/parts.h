/*
 * parts.h - what the files of core/train share.
 *
 * Private to the room. A run is: options and data (options.c), a position in them
 * (run_state), an optimizer with its states, an evaluator, and a folder that is written
 * so that a kill at any moment leaves a state one can go on from (folder.c,
 * checkpoint.c, metrics.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_TRAIN_PARTS_H
#define CORE_TRAIN_PARTS_H

#include "core/train/states.h"
#include "core/train/train.h"

#include <math.h>

/* ----------------------------------------------------------------- position */

/* All that a resumed run must know besides parameters and optimizer states. Random
 * numbers need no state: they are counted by (seed, step, micro-batch). */
typedef struct run_state {
    int64_t step;                         /* optimizer steps done                              */
    int64_t epoch, micro;                 /* the next micro-batch: an epoch, an index in its plan */
    int64_t rows;                         /* consumed, over all epochs                         */
    int64_t tokens, learned;              /* processed; supervised among them                  */
    double first_loss, last_loss;         /* NaN before the first step                    */
    double first_val, last_val, best_val; /* NaN: not evaluated yet               */
    int64_t best_step;                    /* 0: none                                           */
    int64_t stale;                        /* evaluations since the best one                    */
} run_state;

/* A JSON real, or null for NaN; and back. */
json_t *json_real_or_null(double value);
double json_real_or_nan(const json_t *value);

json_t *run_state_to_json(const run_state *s);
HONE_MUST_CHECK hone_status run_state_from_json(run_state *out, const json_t *object,
                                                const char *path, hone_error *err);

/* ------------------------------------------------------------------ options */

/* The bounds that rows cannot express. */
HONE_MUST_CHECK hone_status train_options_check(const train_options *o, hone_error *err);
json_t *train_options_json(const train_options *o);

/* What must not change when a run is resumed: options, optimizer, config, data,
 * parameters. A new reference; NULL: no memory. */
json_t *identity_make(const train_options *o, const char *optimizer, json_t *optimizer_options,
                      const json_t *config, const json_t *provenance, const dataset *train,
                      const dataset *val, model *m);
/* HONE_ERR_STATE names the first key that differs, with both values. folder: for the message. */
HONE_MUST_CHECK hone_status identity_check(const json_t *was, const json_t *now, const char *folder,
                                           hone_error *err);

/* ----------------------------------------------------------------- schedule */

/* Optimizer steps of a run, and those its warm-up takes. An epoch ends with a window that
 * may hold fewer than `accumulate` micro-batches; it is a step like any other. */
HONE_MUST_CHECK hone_status schedule_length(int64_t *steps, const dataset *d,
                                            const train_options *o, const plan_options *plan,
                                            hone_error *err);
int64_t schedule_warmup(const train_options *o, int64_t steps);

/* ---------------------------------------------------------------- optimizer */

typedef struct optimizer optimizer;

typedef struct optimizer_setup {
    const char *name;
    const json_t *config; /* the plugin's own rows; may be NULL */
    double weight_decay;
    uint64_t seed;
    int64_t paged_bytes;   /* host memory for paged state; 0: half of what is free */
    const char *paged_dir; /* for what is beyond it */
} optimizer_setup;

/* What optimizer_open() will allocate; the parameters may be planned only. */
typedef struct optimizer_memory {
    int64_t device, host, file; /* bytes of its states, and of the ring paged ones pass through */
    int64_t saved;              /* in a checkpoint */
} optimizer_memory;
HONE_MUST_CHECK hone_status optimizer_plan(optimizer_memory *out, const hone_dev_info *device,
                                           const param *params, size_t n, registry *plugins,
                                           const optimizer_setup *how, hone_error *err);

/* States of n parameters, filled with their initial value. Everything is borrowed until
 * close, what `how` names for the call. */
HONE_MUST_CHECK hone_status optimizer_open(optimizer **out, ops *device, const param *params,
                                           size_t n, registry *plugins, const optimizer_setup *how,
                                           hone_error *err);
void optimizer_close(optimizer *o);
json_t *
optimizer_options_json(const optimizer *o); /* as parsed, defaults included; new reference */
optimizer_memory optimizer_bytes(const optimizer *o);

/* One update of every parameter; gradients are multiplied by grad_scale first. Queued. */
HONE_MUST_CHECK hone_status optimizer_step(optimizer *o, int64_t step, double lr, double grad_scale,
                                           hone_error *err);

/* What a checkpoint holds of it: "<parameter>.<state>", and with state in blocks
 * "<parameter>.<state>.absmax" after it. Reading and writing wait. */
typedef struct saved_state {
    uint32_t dtype, rank;
    int64_t shape[4];
    uint64_t bytes;
} saved_state;
size_t optimizer_saved_count(const optimizer *o);
HONE_MUST_CHECK hone_status optimizer_saved(const optimizer *o, size_t index, saved_state *out,
                                            text *name, hone_error *err);
HONE_MUST_CHECK hone_status optimizer_read(optimizer *o, size_t index, uint64_t at, void *dst,
                                           uint64_t bytes, hone_error *err);
HONE_MUST_CHECK hone_status optimizer_write(optimizer *o, size_t index, uint64_t at,
                                            const void *src, uint64_t bytes, hone_error *err);

/* ------------------------------------------------------------------ folders */

/* Take a folder out of use in one move, then remove it. */
HONE_MUST_CHECK hone_status folder_remove(const char *path, hone_error *err);
/* Remove what killed processes left in dir under temporary names, naming each in the log.
 * Only for who holds dir's lock. */
HONE_MUST_CHECK hone_status folder_sweep(const char *dir, hone_error *err);

/* -------------------------------------------------------------- checkpoints */

HONE_MUST_CHECK hone_status checkpoint_save(const char *dir, model *m, optimizer *opt,
                                            const run_state *s, const json_t *identity,
                                            hone_error *err);
/* The newest complete checkpoint of dir, its step in *step; *step 0: there is none. Damaged
 * and incomplete ones are passed over and named in the log. */
HONE_MUST_CHECK hone_status checkpoint_find(const char *dir, int64_t *step, hone_error *err);
/* Identity and position of one that checkpoint_find gave. *identity: a new reference. */
HONE_MUST_CHECK hone_status checkpoint_read(const char *dir, int64_t step, run_state *s,
                                            json_t **identity, hone_error *err);
/* Parameters, and optimizer states unless opt is NULL, onto the device. */
HONE_MUST_CHECK hone_status checkpoint_load(const char *dir, int64_t step, model *m, optimizer *opt,
                                            hone_error *err);
/* Remove all but the newest `keep` up to step, and best_step (0: none). */
HONE_MUST_CHECK hone_status checkpoint_prune(const char *dir, int64_t step, int64_t keep,
                                             int64_t best_step, hone_error *err);

/* ------------------------------------------------------------------ metrics */

typedef struct metrics {
    int fd;        /* -1: closed; opened for appending */
    char *path;    /* owned */
    int64_t bytes; /* of whole lines */
} metrics;

/* Lines of steps after `step`, and a torn last line, are cut off. */
HONE_MUST_CHECK hone_status metrics_open(metrics *out, const char *dir, int64_t step,
                                         hone_error *err);
HONE_MUST_CHECK hone_status metrics_add(metrics *out, const char *line, size_t n, hone_error *err);
HONE_MUST_CHECK hone_status metrics_sync(metrics *out, hone_error *err);
void metrics_close(metrics *out);

/* --------------------------------------------------------------- evaluation */

/* A fixed order over a dataset, and the micro-batch it is filled into. */
typedef struct evaluator {
    const dataset *d; /* borrowed; NULL: nothing to evaluate */
    plan_options options;
    epoch_plan plan; /* owned */
    batch batch;     /* owned */
} evaluator;

HONE_MUST_CHECK hone_status evaluator_init(evaluator *out, const dataset *d, int64_t seq_len,
                                           int64_t batch_rows, hone_error *err);
void evaluator_finish(evaluator *e);
/* No allocation. HONE_ERR_NUMERIC names a row when the loss is not finite. */
HONE_MUST_CHECK hone_status evaluator_run(evaluator *e, model *m, double *mean, int64_t *n,
                                          hone_error *err);

/* "sample 0123abcd (line 7, from guide.md)": a row by the place it came from. */
void row_describe(char *out, size_t n, const dataset *d, int64_t index);

/* Of the rows order[0..n) of d, the first whose loss, or gradient when `gradient`, is not
 * finite by itself; -1: none is. *all: every one of them is so. Spoils gradients and b. */
HONE_MUST_CHECK hone_status find_bad_row(model *m, const dataset *d, const plan_options *how,
                                         const int64_t *order, int64_t n, bool gradient, batch *b,
                                         int64_t *bad, bool *all, hone_error *err);

/* ------------------------------------------------------------------ results */

/* What full weights are saved as: HONE_F32, .. */
uint32_t save_dtype_of(const model *m, const train_options *o);

/* adapter/ (lora) or model/ (full) in dir, with `extra` in its hone.json. */
HONE_MUST_CHECK hone_status result_save(const char *dir, model *m, const train_options *o,
                                        const json_t *extra, hone_error *err);
/* Files that rows of d came from, with rows and supervised tokens of each, in byte order; rows
 * of no file come last, under null. A new reference; NULL: no memory. */
json_t *documents_json(const dataset *d);
/* run.json of a run folder. result NULL: it has just begun. */
HONE_MUST_CHECK hone_status run_file_write(const char *dir, const json_t *identity,
                                           const json_t *config, model *m, const dataset *train,
                                           const dataset *val, const train_result *result,
                                           hone_error *err);

#endif /* CORE_TRAIN_PARTS_H */
