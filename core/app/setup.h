/*
 * setup.h - what hone train and hone plan begin with: data, a backend, the plan of the run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_APP_SETUP_H
#define CORE_APP_SETUP_H

#include "core/app/app.h"

typedef struct setup {
    session z;
    dataset train, val;
    model_options model;
    const char *optimizer;     /* borrowed from settings */
    json_t *optimizer_options; /* owned: without its name */
    plan_data data;
    plan_rates rates;
    plan_input input; /* points into this struct */
    run_plan plan;
} setup;

/* How training reads samples. */
dataset_options setup_dataset(const settings *s, const char *path);
/* Read and prove the dataset(s); print the report unless quiet. Needs z.tok and z.chat. */
HONE_MUST_CHECK hone_status setup_data(setup *u, const settings *s, bool quiet, hone_error *err);
/* Options of the model and input of the plan; data, back and rates are there. */
void setup_input(setup *u, const settings *s);
void setup_finish(setup *u);

/* "8GB", "512MB", "1.5GiB" or bytes; NULL: 0. */
HONE_MUST_CHECK hone_status parse_bytes(int64_t *out, const char *text, const char *setting,
                                        hone_error *err);

/* The plan for people, about 90 columns. */
void plan_print(text *out, const setup *u, const settings *s);
/* ... and in two lines, at the head of hone train. */
void plan_print_short(text *out, const setup *u);
/* Fails when the plan does not fit, naming what would; prints nothing. */
HONE_MUST_CHECK hone_status plan_check(const setup *u, hone_error *err);

/* A config for these bytes of text or code: settings that were chosen are put into s as well,
 * the reasons, a line each, into why. *config: a new reference. u: plugins, device, memory. */
HONE_MUST_CHECK hone_status advise(json_t **config, text *why, setup *u, settings *s, double bytes,
                                   bool code, hone_error *err);

/* docs/paper-tables.md */
HONE_MUST_CHECK hone_status paper_tables(text *out, registry *plugins, hone_error *err);

#endif /* CORE_APP_SETUP_H */
