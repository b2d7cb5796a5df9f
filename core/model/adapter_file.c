/*
 * adapter_file.c - an adapter as PEFT stores it: adapter_config.json, adapter_model.safetensors
 * and, beside them, hone.json.
 *
 * A config.json of a version of PEFT that hone does not know may ask for arithmetic that
 * hone does not do. So every key is either known here, or must be null, false or empty.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/adapter.h"
#include "core/model/config.h"
#include "core/model/impl.h"

#define CONFIG_NAME "adapter_config.json"
#define WEIGHTS_NAME "adapter_model.safetensors"
#define OWN_NAME "hone.json"

#ifndef HONE_VERSION
#define HONE_VERSION "unknown"
#endif

/* Keys that are read, or change nothing here whatever they say. */
static const char *const known[] = {
    "peft_type",      "r",
    "lora_alpha",     "lora_dropout",
    "use_rslora",     "target_modules",
    "rank_pattern",   "alpha_pattern",
    "bias",           "init_lora_weights",
    "task_type",      "auto_mapping",
    "inference_mode", "base_model_name_or_path",
    "revision",       "peft_version",
    "megatron_core",  "qalora_group_size",
    "eva_config",     "ensure_weight_tying",
};

static bool is_neutral(const json_t *value)
{
    return json_is_null(value) || json_is_false(value) ||
           (json_is_object(value) && json_object_size(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

static hone_status check_keys(const json_t *root, const char *file, hone_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)root, key, value)
    {
        bool ok = is_neutral(value);
        for (size_t i = 0; i < sizeof known / sizeof known[0] && !ok; i++)
            ok = strcmp(known[i], key) == 0;
        if (!ok)
            return hone_fail(err, HONE_ERR_UNSUPPORTED, "%s: %.80s is set, and hone does not do it",
                             file, key);
    }
    return HONE_OK;
}

/* key must be absent, null or one of the given strings (NULL-terminated). */
static hone_status check_word(const json_t *root, const char *key, const char *const *words,
                              const char *file, hone_error *err)
{
    const json_t *value = json_object_get(root, key);
    if (!value || json_is_null(value))
        return HONE_OK;
    const char *got = json_string_value(value);
    for (size_t i = 0; got && words[i]; i++)
        if (strcmp(words[i], got) == 0)
            return HONE_OK;
    return hone_fail(err, HONE_ERR_UNSUPPORTED, "%s: %s is %.60s, only %s is supported", file, key,
                     got ? got : "not a string", words[0]);
}

static hone_status check_words(const json_t *root, const char *file, hone_error *err)
{
    static const char *const type[] = { "LORA", NULL }, *const task[] = { "CAUSAL_LM", NULL };
    static const char *const bias[] = { "none", NULL };
    static const char *const init[] = { "gaussian", "orthogonal", "eva", NULL };
    const json_t *start = json_object_get(root, "init_lora_weights");
    if (!json_is_string(json_object_get(root, "peft_type")))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: peft_type is missing", file);
    hone_status st = check_word(root, "peft_type", type, file, err);
    if (st == HONE_OK)
        st = check_word(root, "task_type", task, file, err);
    if (st == HONE_OK)
        st = check_word(root, "bias", bias, file, err);
    if (st == HONE_OK && !json_is_boolean(start)) /* others change the base weights */
        st = check_word(root, "init_lora_weights", init, file, err);
    return st;
}

static hone_status read_targets(adapter_config *c, const json_t *root, const char *file,
                                hone_error *err)
{
    const json_t *targets = json_object_get(root, "target_modules"), *item;
    const char *single = json_string_value(targets);
    size_t i;
    if (single && strcmp(single, "all-linear") == 0)
        return adapter_add_target(c, single, err);
    if (single) {
        c->target_regex = mem_strdup(single);
        return c->target_regex ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", file);
    }
    if (!json_is_array(targets) || json_array_size(targets) == 0)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: target_modules is neither a string nor a list of names", file);
    json_array_foreach(targets, i, item)
    {
        if (!json_is_string(item))
            return hone_fail(err, HONE_ERR_FORMAT, "%s: target_modules: entry %zu is not a string",
                             file, i);
        hone_status st = adapter_add_target(c, json_string_value(item), err);
        if (st != HONE_OK)
            return st;
    }
    return HONE_OK;
}

static hone_status read_patterns(adapter_pattern **list, size_t *n, const json_t *root,
                                 const char *key, double min, bool whole, const char *file,
                                 hone_error *err)
{
    const json_t *map = json_object_get(root, key);
    const char *name;
    json_t *value;
    if (map && !json_is_null(map) && !json_is_object(map))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: %s is not an object", file, key);
    json_object_foreach((json_t *)(uintptr_t)map, name, value)
    {
        const double x = json_number_value(value);
        if (!json_is_number(value) || !(x >= min) || x > 65536 || (whole && x != floor(x)))
            return hone_fail(err, HONE_ERR_FORMAT, "%s: %s: %.80s is not a number of %g to 65536",
                             file, key, name, min);
        hone_status st = adapter_add_pattern(list, n, name, strlen(name), x, err);
        if (st != HONE_OK)
            return st;
    }
    return HONE_OK;
}

hone_status adapter_config_parse(adapter_config *out, const json_t *root, const char *file,
                                 hone_error *err)
{
    adapter_config c = { .rank = 8, .alpha = 8 }; /* PEFT's own defaults */
    hone_status st;
    if (!json_is_object(root))
        return hone_fail(err, HONE_ERR_FORMAT, "%s is not a JSON object", file);
    st = check_words(root, file, err);
    if (st == HONE_OK)
        st = check_keys(root, file, err);
    if (st == HONE_OK)
        st = config_whole(&c.rank, root, "r", 1, 65536, file, err);
    if (st == HONE_OK)
        st = config_real(&c.alpha, root, "lora_alpha", 0, 1e6, file, err);
    if (st == HONE_OK)
        st = config_real(&c.dropout, root, "lora_dropout", 0, 0.999, file, err);
    if (st == HONE_OK)
        st = config_flag(&c.rslora, root, "use_rslora", file, err);
    if (st == HONE_OK)
        st = read_targets(&c, root, file, err);
    if (st == HONE_OK)
        st = read_patterns(&c.ranks, &c.n_ranks, root, "rank_pattern", 1, true, file, err);
    if (st == HONE_OK)
        st = read_patterns(&c.alphas, &c.n_alphas, root, "alpha_pattern", 0, false, file, err);
    if (st == HONE_OK) {
        *out = c;
        c = (adapter_config){ 0 };
    }
    adapter_config_finish(&c);
    return st;
}

hone_status adapter_config_read(adapter_config *out, const char *dir, hone_error *err)
{
    json_t *root = NULL;
    char *path = path_join(dir, CONFIG_NAME);
    if (!path)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", dir);
    hone_status st = json_read(&root, path, err);
    if (st == HONE_OK)
        st = adapter_config_parse(out, root, path, err);
    json_decref(root);
    free(path);
    return st;
}

/* ------------------------------------------------------------------------- writing */

static json_t *number(double x)
{
    return x == floor(x) && fabs(x) < 1e15 ? json_integer((json_int_t)x) : json_real(x);
}

static json_t *patterns_json(const adapter_pattern *p, size_t n)
{
    json_t *map = json_object();
    for (size_t i = 0; i < n; i++)
        (void)json_object_set_new(map, p[i].key, number(p[i].value));
    return map;
}

static json_t *targets_json(const adapter_config *c)
{
    if (c->target_regex)
        return json_string(c->target_regex);
    json_t *list = json_array();
    for (size_t i = 0; i < c->n_targets; i++)
        (void)json_array_append_new(list, json_string(c->targets[i]));
    return list;
}

json_t *adapter_config_json(const adapter_config *c, const char *base_model)
{
    return json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:s, s:b, s:b, s:b, s:b, s:b, s:n, s:o, s:o, "
                     "s:s, s:n, s:n, s:n, s:n}",
                     "peft_type", "LORA", "task_type", "CAUSAL_LM", "r", (json_int_t)c->rank,
                     "lora_alpha", number(c->alpha), "lora_dropout", json_real(c->dropout),
                     "target_modules", targets_json(c), "bias", "none", "use_rslora", c->rslora,
                     "use_dora", 0, "fan_in_fan_out", 0, "init_lora_weights", 1, "inference_mode",
                     1, "modules_to_save", "rank_pattern", patterns_json(c->ranks, c->n_ranks),
                     "alpha_pattern", patterns_json(c->alphas, c->n_alphas),
                     "base_model_name_or_path", base_model, "auto_mapping", "revision",
                     "layers_to_transform", "layers_pattern");
}

static hone_status save_values(model *m, const char *path, hone_error *err)
{
    st_writer *w = NULL;
    hone_status st = st_writer_open(&w, path, err);
    for (size_t i = 0; i < m->n_params && st == HONE_OK; i++) {
        const param *p = &m->params[i];
        st = st_writer_declare(w, p->name, HONE_F32, 2, (const int64_t[]){ p->rows, p->cols }, err);
    }
    for (size_t i = 0; i < m->n_params && st == HONE_OK; i++) {
        const param *p = &m->params[i];
        const size_t bytes = (size_t)(p->rows * p->cols) * sizeof(float);
        float *values = mem_new(1, bytes);
        st = values ? ops_download(m->o, values, p->value.buf, p->value.offset, bytes, err)
                    : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %s", path, p->name);
        if (st == HONE_OK)
            st = st_writer_add(w, values, bytes, err);
        free(values);
    }
    if (st == HONE_OK)
        return st_writer_commit(w, err);
    st_writer_abort(w);
    return st;
}

static hone_status write_json(json_t *root, const char *dir, const char *name, hone_error *err)
{
    char *path = path_join(dir, name);
    hone_status st = root && path
                         ? json_write(root, path, err)
                         : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %s", dir, name);
    free(path);
    json_decref(root);
    return st;
}

hone_status model_save_adapter(model *m, const char *dir, const json_t *extra, hone_error *err)
{
    if (!m->adapter)
        return hone_fail(err, HONE_ERR_STATE, "%s: the model has no adapter to save", dir);
    hone_status st = dir_make(dir, err);
    if (st != HONE_OK)
        return st;
    char *path = path_join(dir, WEIGHTS_NAME);
    st = path ? save_values(m, path, err) : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", dir);
    free(path);
    if (st == HONE_OK)
        st = write_json(adapter_config_json(m->adapter, m->dir), dir, CONFIG_NAME, err);
    if (st != HONE_OK)
        return st;
    json_t *own = json_pack("{s:s, s:s, s:s}", "hone", HONE_VERSION, "base_model", m->dir,
                            "backend", backend_spec(m->backend));
    if (own && extra && json_object_update(own, (json_t *)(uintptr_t)extra) != 0) {
        json_decref(own);
        own = NULL;
    }
    return write_json(own, dir, OWN_NAME, err);
}

/* ------------------------------------------------------------------------- loading */

static hone_status load_one(model *m, const param *p, const st_file *f, const char *path,
                            hone_error *err)
{
    const st_tensor *t = st_find(f, p->name);
    const int64_t n = p->rows * p->cols;
    if (!t)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: tensor %s is missing", path, p->name);
    if (t->rank != 2 || t->shape[0] != p->rows || t->shape[1] != p->cols)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: tensor %s has %u dimensions, (%lld, %lld); " CONFIG_NAME
                         " and the model make it (%lld, %lld)",
                         path, p->name, t->rank, (long long)t->shape[0], (long long)t->shape[1],
                         (long long)p->rows, (long long)p->cols);
    float *values = mem_new((size_t)n, sizeof *values);
    if (!values)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %s", path, p->name);
    hone_status st = HONE_OK;
    if (!st_read_f32(t, 0, n, values))
        st = hone_fail(err, HONE_ERR_UNSUPPORTED, "%s: tensor %s holds no F32, F16 or BF16 numbers",
                       path, p->name);
    if (st == HONE_OK)
        st = ops_upload(m->o, p->value.buf, p->value.offset, values, (uint64_t)n * sizeof *values,
                        err);
    free(values);
    return st;
}

hone_status adapter_load(model *m, const char *dir, hone_error *err)
{
    st_file *f = NULL;
    char *path = path_join(dir, WEIGHTS_NAME);
    if (!path)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", dir);
    hone_status st = path_exists(path)
                         ? st_open(&f, path, err)
                         : hone_fail(err, HONE_ERR_NOTFOUND,
                                     "%s is missing; an adapter saved as adapter_model.bin must be "
                                     "saved again by PEFT as safetensors",
                                     path);
    for (size_t i = 0; i < m->n_params && st == HONE_OK; i++)
        st = load_one(m, &m->params[i], f, path, err);
    for (size_t i = 0; st == HONE_OK && i < st_count(f); i++) {
        bool found = false;
        for (size_t k = 0; k < m->n_params && !found; k++)
            found = strcmp(m->params[k].name, st_at(f, i)->name) == 0;
        if (!found)
            st = hone_fail(err, HONE_ERR_FORMAT,
                           "%s: tensor %.160s belongs to no target of " CONFIG_NAME
                           " that hone puts an adapter on",
                           path, st_at(f, i)->name);
    }
    if (st == HONE_OK)
        st = ops_sync(m->o, err);
    st_close(f);
    free(path);
    return st;
}

hone_status adapter_provenance(json_t **out, const char *adapter_dir, hone_error *err)
{
    json_t *root = NULL;
    char *path = path_join(adapter_dir, OWN_NAME);
    if (!path)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", adapter_dir);
    hone_status st = HONE_OK;
    if (path_exists(path))
        st = json_read(&root, path, err);
    if (st == HONE_OK)
        *out = root;
    free(path);
    return st;
}
