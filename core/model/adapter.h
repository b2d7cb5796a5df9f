/*
 * adapter.h - what an adapter is before it has weights: where it sits, how large.
 *
 * Private to room model.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_MODEL_ADAPTER_H
#define CORE_MODEL_ADAPTER_H

#include "core/model/model.h"

/* rank_pattern, alpha_pattern: the first key that matches a module's name decides. Keys
 * are regular expressions that must match the name from a dot on to its end. */
typedef struct adapter_pattern {
    char *key; /* owned */
    double value;
} adapter_pattern;

typedef struct adapter_config {
    int64_t rank;
    double alpha, dropout;
    bool rslora;
    char **targets; /* owned, n_targets, each owned: module names or their ends from a dot on */
    size_t n_targets;
    char *target_regex;              /* owned; instead of targets: matches whole names */
    adapter_pattern *ranks, *alphas; /* owned */
    size_t n_ranks, n_alphas;
    bool strict; /* from options: every name must match something */
} adapter_config;

/* name: a module, or "all-linear". */
HONE_MUST_CHECK hone_status adapter_add_target(adapter_config *c, const char *name,
                                               hone_error *err);
HONE_MUST_CHECK hone_status adapter_add_pattern(adapter_pattern **list, size_t *n, const char *key,
                                                size_t key_n, double value, hone_error *err);

/* From option rows; from adapter_config.json, file named in messages. */
HONE_MUST_CHECK hone_status adapter_config_from_options(adapter_config *out,
                                                        const adapter_options *o, hone_error *err);
HONE_MUST_CHECK hone_status adapter_config_parse(adapter_config *out, const json_t *root,
                                                 const char *file, hone_error *err);
HONE_MUST_CHECK hone_status adapter_config_read(adapter_config *out, const char *dir,
                                                hone_error *err);
/* As PEFT writes it; a new reference, NULL: no memory. */
json_t *adapter_config_json(const adapter_config *c, const char *base_model);
void adapter_config_finish(adapter_config *c);

/* Does the adapter sit on the module of this name ("model.layers.0.mlp.up_proj"), and how. */
typedef struct adapter_place {
    bool here;
    int64_t rank;
    double alpha;
    float scale;
} adapter_place;
HONE_MUST_CHECK hone_status adapter_find(adapter_place *out, const adapter_config *c,
                                         const char *module, hone_error *err);

/* "model.layers.0.mlp.up_proj": t's name without ".weight". */
void adapter_module(char *out, size_t size, const llama_tensor *t, int64_t layer);

/* Give every weight of m that the config names an adapter (without values yet) and list
 * its parameters. Refuses a config that sits nowhere, or names what matches nothing. */
HONE_MUST_CHECK hone_status adapter_attach(model *m, hone_error *err);
/* Values: drawn as PEFT draws them (A uniform in +-1/sqrt(I), B zero), or from a folder. */
HONE_MUST_CHECK hone_status adapter_init(model *m, hone_error *err);
HONE_MUST_CHECK hone_status adapter_load(model *m, const char *dir, hone_error *err);

#endif /* CORE_MODEL_ADAPTER_H */
