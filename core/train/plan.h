/*
 * plan.h - what a run will take, before anything of it is loaded: memory, disk, time.
 *
 * Part of the room's door: train.h includes it.
 *
 * Bytes come from the code that allocates (model_plan(), optimizer_plan()); times from the
 * number of operations and from rates measured on this machine (rates.c), or from a table of
 * devices that need not be here (devices.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_TRAIN_PLAN_H
#define CORE_TRAIN_PLAN_H

#include "core/base/base.h"
#include "core/data/data.h"
#include "core/model/model.h"
#include "core/plugin/plugin.h"

struct train_options;

/* ------------------------------------------------------------------------- data */

/* One epoch of the training rows. */
typedef struct plan_data {
    int64_t rows, tokens, learned; /* supervised                                    */
    int64_t batches;               /* micro-batches of an epoch                     */
    int64_t steps;                 /* of the whole run                              */
    double context;                /* tokens that see a token, and it: mean length,
                                      each sequence weighted by its tokens          */
    int64_t max_sequences;         /* rows that can meet in a micro-batch           */
    bool estimate;                 /* from the size of the sources, not from rows   */
} plan_data;

HONE_MUST_CHECK hone_status plan_data_of(plan_data *out, const dataset *train, const dataset *val,
                                         const struct train_options *o, hone_error *err);
/* From bytes of text alone. */
plan_data plan_data_guess(int64_t text_bytes, const struct train_options *o);

/* ---------------------------------------------------------------------- devices */

/* A device of the table: what its maker publishes, dense, without sparsity. */
typedef struct device_row {
    const char *name, *title;
    double memory;               /* bytes                                  */
    double half, int8, single;   /* flop/s (op/s) at best                  */
    double bandwidth, host_link; /* byte/s of its memory, to the host one way */
    double expected;             /* share of the peak a good program gets  */
    const char *source;
    bool no_bf16; /* half precision is fp16 alone */
} device_row;
extern const device_row device_rows[]; /* ends with name == NULL */
/* NULL: none is called so. */
const device_row *device_row_find(const char *name);

/* ------------------------------------------------------------------------ rates */

typedef struct plan_rates {
    speed speed;
    double correction; /* measured / predicted seconds of runs like this one; 1: none yet */
    bool known;
} plan_rates;

/* From the file of rates (XDG_CACHE_HOME or ~/.cache, hone/rates.json); measured and kept
 * when they are not there, or `again`. kind: "lora" or "full". */
HONE_MUST_CHECK hone_status rates_get(plan_rates *out, backend *b, const char *kind, bool again,
                                      hone_error *err);
/* After a run: seconds per step as predicted with `used` and as they were. Never fails a run:
 * a file that cannot be written is told to the log. */
void rates_refine(backend *b, const char *kind, const plan_rates *used, double predicted,
                  double measured);

/* ------------------------------------------------------------------------- plan */

#define ACTIVATIONS_AUTO 0 /* of train.activations; then KEEP_* from the most on */
#define ACTIVATIONS_ALL 1
#define ACTIVATIONS_CHEAP 2
#define ACTIVATIONS_INPUT 3

typedef struct plan_input { /* all borrowed */
    const struct train_options *train;
    const model_options *model; /* what model_plan() is asked for */
    backend *back;
    registry *plugins;
    const char *optimizer;
    const json_t *optimizer_options;
    const adapter_options *adapter; /* of LoRA, also when the method is full; may be NULL  */
    const plan_data *data;
    const plan_rates *rates;  /* of this machine; NULL: no times                      */
    const device_row *device; /* a device that is not here; NULL: back's              */
    int64_t memory;           /* that the run may have; 0: what is free               */
} plan_input;

typedef struct run_plan {
    int64_t device[BYTES_KINDS]; /* bytes                                             */
    int64_t device_total;
    int64_t host_base;    /* of this process already                          */
    int64_t host_run;     /* while it trains                                  */
    int64_t host_passing; /* on top, at most, while loading and saving        */
    bool unified;         /* device memory is host memory                     */
    int64_t resident;     /* anonymous memory of the process at its highest   */
    int64_t limit;        /* for device_total, or for resident when unified   */
    bool fits;
    int64_t keep_all, keep_cheap, keep_input; /* blocks                       */

    int64_t paged;       /* memory for paged states: train.paged_memory, decided; bytes */
    int64_t paged_host;  /* of paged states in host memory                     */
    int64_t file;        /* of paged states beyond it                          */
    int64_t checkpoint;  /* one                                                */
    int64_t checkpoints; /* kept at most, one being written included          */
    int64_t result;
    int64_t disk; /* all of it                                                */

    int64_t params, trained; /* numbers                                       */
    int64_t steps;
    double epochs;
    double flops;         /* of a full step                                    */
    double step_seconds;  /* NaN: unknown                                      */
    double floor_seconds; /* at the device's peak; NaN when it is not in the table */
    double epoch_seconds, total_seconds;
    bool estimate;
} run_plan;

/* *net: the planned model, ready for model_load(), when net is not NULL. What does not fit is
 * no error here: see fits. */
HONE_MUST_CHECK hone_status run_plan_make(run_plan *out, model **net, const plan_input *in,
                                          hone_error *err);

/* A change of settings that would fit, as it is written on the command line. */
typedef struct plan_change {
    char settings[160];
    run_plan plan;
} plan_change;
/* The nearest ones to a plan that does not fit, at most cap; how many there are. */
HONE_MUST_CHECK hone_status plan_changes(plan_change *out, size_t cap, size_t *n,
                                         const plan_input *in, hone_error *err);

json_t *run_plan_json(const run_plan *p, const plan_input *in);

#endif /* CORE_TRAIN_PLAN_H */
