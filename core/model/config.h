/*
 * config.h - config.json from a parsed object, its typed members, and rotary frequencies.
 *
 * Private to room model.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_MODEL_CONFIG_H
#define CORE_MODEL_CONFIG_H

#include "core/model/model.h"

/* file: named in messages. *out is untouched on failure. [any] */
HONE_MUST_CHECK hone_status llama_config_parse(llama_config *out, const json_t *root,
                                               const char *file, hone_error *err);

/* A member as a number in [min, max], a whole number, a flag. Absent or null: *out stays
 * as it was. Messages name file, key and value. */
HONE_MUST_CHECK hone_status config_real(double *out, const json_t *object, const char *key,
                                        double min, double max, const char *file, hone_error *err);
HONE_MUST_CHECK hone_status config_whole(int64_t *out, const json_t *object, const char *key,
                                         double min, double max, const char *file, hone_error *err);
HONE_MUST_CHECK hone_status config_flag(bool *out, const json_t *object, const char *key,
                                        const char *file, hone_error *err);

/* The rope_* members of c, from rope_parameters or rope_theta and rope_scaling. Needs
 * max_positions. */
HONE_MUST_CHECK hone_status config_rope(llama_config *c, const json_t *root, const char *file,
                                        hone_error *err);

/* Tables of rotary embedding: cos, sin (P, D/2), positions 0..P-1. [any] */
void rope_tables(const llama_config *c, int64_t positions, float *cos_table, float *sin_table);

#endif /* CORE_MODEL_CONFIG_H */
