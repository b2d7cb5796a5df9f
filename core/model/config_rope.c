/*
 * config_rope.c - which rotary embedding a config.json asks for.
 *
 * transformers 4 wrote rope_theta beside rope_scaling { type or rope_type, factor, ... };
 * transformers 5 writes rope_parameters with rope_theta inside. Both say the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "core/model/config.h"

#define LARGEST 1e12

/* clang-format off */
static const struct rope_type { const char *name; int32_t type; bool factor, bands; } types[] = {
    { "default", ROPE_DEFAULT, false, false },
    { "linear",  ROPE_LINEAR,  true,  false },
    { "llama3",  ROPE_LLAMA3,  true,  true  },
    { "yarn",    ROPE_YARN,    false, false }, /* factor null: the ratio of the lengths */
};

#define NUMBER(key, field, min, max) { key, offsetof(llama_config, field), min, max }
static const struct number { const char *key; size_t offset; double min, max; } numbers[] = {
    NUMBER("rope_theta",       rope_theta,            1e-3, LARGEST),
    NUMBER("factor",           rope_factor,           1e-6, LARGEST),
    NUMBER("low_freq_factor",  rope_low,              1e-6, LARGEST),
    NUMBER("high_freq_factor", rope_high,             1e-6, LARGEST),
    NUMBER("beta_fast",        rope_beta_fast,        1e-6, LARGEST),
    NUMBER("beta_slow",        rope_beta_slow,        1e-6, LARGEST),
    NUMBER("attention_factor", rope_attention_factor, 1e-6, LARGEST),
    NUMBER("mscale",           rope_mscale,           0,    LARGEST),
    NUMBER("mscale_all_dim",   rope_mscale_all_dim,   0,    LARGEST),
};
static const char *const others[] = { "type", "rope_type", "original_max_position_embeddings",
    "truncate", "partial_rotary_factor" };
/* clang-format on */
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool is_known(const char *key)
{
    for (size_t i = 0; i < COUNT(numbers); i++)
        if (strcmp(numbers[i].key, key) == 0)
            return true;
    for (size_t i = 0; i < COUNT(others); i++)
        if (strcmp(others[i], key) == 0)
            return true;
    return false;
}

static const json_t *given(const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key);
    return json_is_null(value) ? NULL : value;
}

static hone_status find_type(const struct rope_type **out, const json_t *rope, const char *file,
                             hone_error *err)
{
    const char *name = json_string_value(given(rope, "rope_type"));
    const char *old = json_string_value(given(rope, "type"));
    if (name && old && strcmp(name, old) != 0)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: rope: rope_type is %.40s and type is %.40s",
                         file, name, old);
    if (!name)
        name = old ? old : "default";
    for (size_t i = 0; i < COUNT(types); i++)
        if (strcmp(types[i].name, name) == 0) {
            *out = &types[i];
            return HONE_OK;
        }
    return hone_fail(err, HONE_ERR_UNSUPPORTED,
                     "%s: rope_type is %.40s, hone knows default, linear, llama3, yarn", file,
                     name);
}

/* What the type needs, and what only it can check. */
static hone_status check_type(llama_config *c, const struct rope_type *type, const json_t *rope,
                              const char *file, hone_error *err)
{
    if (type->factor && !given(rope, "factor"))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: rope_type %s needs factor", file, type->name);
    if (type->bands) {
        if (!given(rope, "low_freq_factor") || !given(rope, "high_freq_factor") ||
            !given(rope, "original_max_position_embeddings"))
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: rope_type %s needs low_freq_factor, high_freq_factor and "
                             "original_max_position_embeddings",
                             file, type->name);
        if (!(c->rope_high > c->rope_low))
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: high_freq_factor %g is not above low_freq_factor %g", file,
                             c->rope_high, c->rope_low);
    }
    if (c->rope_type == ROPE_YARN) {
        if (!given(rope, "factor"))
            c->rope_factor = (double)c->max_positions / (double)c->rope_original;
        if (!(c->rope_beta_fast >= c->rope_beta_slow))
            return hone_fail(err, HONE_ERR_FORMAT, "%s: beta_fast %g is below beta_slow %g", file,
                             c->rope_beta_fast, c->rope_beta_slow);
        if (!(c->rope_theta > 1))
            return hone_fail(err, HONE_ERR_FORMAT, "%s: rope_type yarn needs a rope_theta above 1",
                             file);
    }
    return HONE_OK;
}

hone_status config_rope(llama_config *c, const json_t *root, const char *file, hone_error *err)
{
    const json_t *old = given(root, "rope_scaling"), *new = given(root, "rope_parameters");
    const json_t *rope = new ? new : old;
    const struct rope_type *type = NULL;
    double partial = 1;
    const char *key;
    json_t *value;
    if (old && new)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: rope_scaling and rope_parameters are both set; remove one", file);
    if (rope && !json_is_object(rope))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: %s is not an object", file,
                         new ? "rope_parameters" : "rope_scaling");
    json_object_foreach((json_t *)(uintptr_t)rope, key, value) if (!is_known(key)) return hone_fail(
        err, HONE_ERR_UNSUPPORTED, "%s: %s: %.60s is not known", file,
        new ? "rope_parameters" : "rope_scaling", key);

    c->rope_theta = 10000;
    c->rope_factor = 1;
    c->rope_beta_fast = 32;
    c->rope_beta_slow = 1;
    c->rope_original = c->max_positions;
    c->rope_truncate = true;
    hone_status st = find_type(&type, rope, file, err);
    if (st != HONE_OK)
        return st;
    c->rope_type = type->type;
    st = config_real(&c->rope_theta, root, "rope_theta", 1e-3, LARGEST, file, err);
    for (size_t i = 0; i < COUNT(numbers) && st == HONE_OK; i++)
        st = config_real((double *)(void *)((char *)c + numbers[i].offset), rope, numbers[i].key,
                         numbers[i].min, numbers[i].max, file, err);
    if (st == HONE_OK)
        st = config_real(&partial, rope, "partial_rotary_factor", 1, 1, file, err);
    if (st == HONE_OK)
        st = config_whole(&c->rope_original, rope, "original_max_position_embeddings", 1, LARGEST,
                          file, err);
    if (st == HONE_OK)
        st = config_flag(&c->rope_truncate, rope, "truncate", file, err);
    if (st == HONE_OK)
        st = check_type(c, type, rope, file, err);
    return st;
}
