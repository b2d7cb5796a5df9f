/*
 * run.h - one run: what begin and end (run.c) and the loop (trainer.c) share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_TRAIN_RUN_H
#define CORE_TRAIN_RUN_H

#include "core/train/parts.h"

typedef struct run {
    model *m; /* borrowed, as all of train_run's arguments */
    const train_options *o;
    const train_hooks *hooks; /* may be NULL */
    const char *optimizer_name;
    const json_t *optimizer_options, *config, *provenance;
    registry *plugins;
    dataset *train, *val; /* val NULL: none */
    dataset own_val;      /* owned: when the caller gave no place for the split */

    uint64_t base_hash; /* of the weights that do not train, before the first step */
    int lock;           /* -1: not held */
    json_t *identity;   /* owned */
    optimizer *opt;     /* owned */
    metrics log;
    evaluator eval; /* owned; d NULL: no validation */
    plan_options order;
    epoch_plan plan;    /* owned: of epoch plan_epoch */
    int64_t plan_epoch; /* -1: none yet */
    batch batch;        /* owned */

    run_state s;
    int64_t steps, warmup;
    int64_t saved_step, evaluated_step; /* the last that were; -1: none */
    double lr, norm;                    /* of the last step */
    double started, passed;             /* clock; seconds spent in steps */
    double step_seconds;                /* smoothed; 0: unknown */
    double first_seconds;               /* of this process's first step: caches are cold */
    int64_t steps_here;
    int64_t tokens_here; /* processed by this process */
    bool interrupted;
} run;

/* From where r->s is to the last step, an early stop, or the step after which the user asked
 * to stop (r->interrupted). Checkpoints and metrics are written on the way. */
HONE_MUST_CHECK hone_status run_loop(run *r, hone_error *err);

/* The last evaluation said that going on is no use. */
bool run_stopped_early(const run *r);

#endif /* CORE_TRAIN_RUN_H */
