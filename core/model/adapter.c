/*
 * adapter.c - where a LoRA adapter sits (Hu et al. 2021), and what it starts from.
 *
 * Placement follows PEFT to the letter, so that an adapter_config.json means the same to
 * both: a target is a module's full name or its end from a dot on; a single string is a
 * regular expression for whole names; in rank_pattern and alpha_pattern the first key
 * whose expression matches from a dot on to the end decides.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <math.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/adapter.h"
#include "core/model/impl.h"

#define INIT_STREAM ((uint64_t)1 << 32) /* keeps clear of the streams of fresh weights */

/* clang-format off */
const hone_option adapter_option_rows[] = {
    HONE_ROW_I64(adapter_options, rank, 1, 65536, "16", "rank of the adapter's matrices"),
    HONE_ROW_F64(adapter_options, alpha, 0, 1e6, "32", "the update is scaled by alpha / rank"),
    HONE_ROW_F64(adapter_options, dropout, 0, 0.95, "0", "share of the adapter's inputs dropped in training"),
    HONE_ROW_LIST(adapter_options, targets, "all-linear", "modules that get one: short or full names, or all-linear"),
    HONE_ROW_BOOL(adapter_options, rslora, "false", "scale by alpha / sqrt(rank) instead"),
    HONE_ROW_LIST(adapter_options, rank_pattern, NULL, "other ranks for some modules: name=8"),
    HONE_ROW_LIST(adapter_options, alpha_pattern, NULL, "other alphas for some modules: name=16"),
    HONE_ROW_PATH(adapter_options, init, NULL, "adapter folder to start from; it decides all but dropout"),
    HONE_OPTIONS_END,
};
/* clang-format on */

/* ------------------------------------------------------------------------ matching */

/* Does the expression before + key + after match name from its start? */
static hone_status matches(bool *out, const char *before, const char *key, const char *after,
                           const char *name, hone_error *err)
{
    text pattern = { 0 };
    int code;
    PCRE2_SIZE at;
    text_printf(&pattern, "%s%s%s", before, key, after);
    hone_status st = text_status(&pattern, err);
    if (st != HONE_OK)
        return st;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, PCRE2_ANCHORED | PCRE2_UTF,
                                   &code, &at, NULL);
    pcre2_match_data *data = re ? pcre2_match_data_create_from_pattern(re, NULL) : NULL;
    pcre2_match_context *limits = data ? pcre2_match_context_create(NULL) : NULL;
    if (!re) {
        st =
            hone_fail(err, HONE_ERR_FORMAT, "adapter: \"%.120s\" is not a regular expression", key);
    } else if (!limits) {
        st = hone_fail(err, HONE_ERR_NOMEM, "adapter: no memory to match \"%.120s\"", key);
    } else {
        (void)pcre2_set_match_limit(limits, 1000000);
        const int n = pcre2_match(re, (PCRE2_SPTR)name, strlen(name), 0, 0, data, limits);
        if (n < 0 && n != PCRE2_ERROR_NOMATCH)
            st = hone_fail(err, HONE_ERR_LIMIT, "adapter: \"%.120s\" takes too long to match", key);
        else
            *out = n >= 0;
    }
    pcre2_match_context_free(limits);
    pcre2_match_data_free(data);
    pcre2_code_free(re);
    text_finish(&pattern);
    return st;
}

static bool ends_with_module(const char *name, const char *target)
{
    const size_t n = strlen(name), k = strlen(target);
    return k && n >= k && strcmp(name + n - k, target) == 0 && (n == k || name[n - k - 1] == '.');
}

static hone_status pattern_value(double *value, const adapter_pattern *p, size_t n,
                                 const char *module, hone_error *err)
{
    for (size_t i = 0; i < n; i++) {
        bool hit = false;
        hone_status st = matches(&hit, "(.*\\.)?(", p[i].key, ")$", module, err);
        if (st != HONE_OK)
            return st;
        if (hit) {
            *value = p[i].value;
            return HONE_OK;
        }
    }
    return HONE_OK;
}

hone_status adapter_find(adapter_place *out, const adapter_config *c, const char *module,
                         hone_error *err)
{
    adapter_place place = { 0 };
    double rank = (double)c->rank, alpha = c->alpha;
    hone_status st = HONE_OK;
    if (c->target_regex)
        st = matches(&place.here, "(?:", c->target_regex, ")\\z", module, err);
    for (size_t i = 0; i < c->n_targets; i++)
        place.here |= ends_with_module(module, c->targets[i]);
    if (st == HONE_OK && place.here)
        st = pattern_value(&rank, c->ranks, c->n_ranks, module, err);
    if (st == HONE_OK && place.here)
        st = pattern_value(&alpha, c->alphas, c->n_alphas, module, err);
    if (st != HONE_OK)
        return st;
    place.rank = (int64_t)rank;
    place.alpha = alpha;
    place.scale = (float)(alpha / (c->rslora ? sqrt(rank) : rank));
    *out = place;
    return HONE_OK;
}

/* ------------------------------------------------------------------------- options */

static hone_status add_target(adapter_config *c, const char *name, hone_error *err)
{
    char **grown = realloc(c->targets, (c->n_targets + 1) * sizeof *grown);
    if (!grown)
        return hone_fail(err, HONE_ERR_NOMEM, "adapter: no memory for its targets");
    c->targets = grown;
    c->targets[c->n_targets] = mem_strdup(name);
    if (!c->targets[c->n_targets])
        return hone_fail(err, HONE_ERR_NOMEM, "adapter: no memory for its targets");
    c->n_targets++;
    return HONE_OK;
}

hone_status adapter_add_target(adapter_config *c, const char *name, hone_error *err)
{
    if (strcmp(name, "all-linear") != 0)
        return add_target(c, name, err);
    for (const llama_tensor *t = llama_tensors; t->name; t++)
        if (t->flags & TENSOR_LINEAR) {
            hone_status st = add_target(c, t->short_name, err);
            if (st != HONE_OK)
                return st;
        }
    return HONE_OK;
}

hone_status adapter_add_pattern(adapter_pattern **list, size_t *n, const char *key, size_t key_n,
                                double value, hone_error *err)
{
    adapter_pattern *grown = realloc(*list, (*n + 1) * sizeof *grown);
    if (!grown)
        return hone_fail(err, HONE_ERR_NOMEM, "adapter: no memory for its patterns");
    *list = grown;
    grown[*n] = (adapter_pattern){ mem_strndup(key, key_n), value };
    if (!grown[*n].key)
        return hone_fail(err, HONE_ERR_NOMEM, "adapter: no memory for its patterns");
    (*n)++;
    return HONE_OK;
}

static hone_status option_patterns(adapter_pattern **list, size_t *n, const hone_list *items,
                                   const char *option, double min, bool whole, hone_error *err)
{
    for (uint64_t i = 0; i < items->n; i++) {
        const char *item = items->items[i], *equals = strrchr(item, '=');
        char *end = NULL;
        const double value = equals ? strtod(equals + 1, &end) : 0;
        if (!equals || equals == item || end == equals + 1 || *end || !(value >= min) ||
            value > 65536 || (whole && value != floor(value)))
            return hone_fail(err, HONE_ERR_ARG,
                             "adapter.%s: \"%.80s\": expected module=number, %g to 65536", option,
                             item, min);
        hone_status st = adapter_add_pattern(list, n, item, (size_t)(equals - item), value, err);
        if (st != HONE_OK)
            return st;
    }
    return HONE_OK;
}

hone_status adapter_config_from_options(adapter_config *out, const adapter_options *o,
                                        hone_error *err)
{
    adapter_config c = { .rank = o->rank,
                         .alpha = o->alpha,
                         .dropout = o->dropout,
                         .rslora = o->rslora,
                         .strict = true };
    hone_status st = HONE_OK;
    for (uint64_t i = 0; i < o->targets.n && st == HONE_OK; i++)
        st = adapter_add_target(&c, o->targets.items[i], err);
    if (st == HONE_OK)
        st = option_patterns(&c.ranks, &c.n_ranks, &o->rank_pattern, "rank_pattern", 1, true, err);
    if (st == HONE_OK)
        st = option_patterns(&c.alphas, &c.n_alphas, &o->alpha_pattern, "alpha_pattern", 0, false,
                             err);
    if (st == HONE_OK) {
        *out = c;
        c = (adapter_config){ 0 };
    }
    adapter_config_finish(&c);
    return st;
}

void adapter_config_finish(adapter_config *c)
{
    for (size_t i = 0; i < c->n_targets; i++)
        free(c->targets[i]);
    for (size_t i = 0; i < c->n_ranks; i++)
        free(c->ranks[i].key);
    for (size_t i = 0; i < c->n_alphas; i++)
        free(c->alphas[i].key);
    free(c->targets);
    free(c->ranks);
    free(c->alphas);
    free(c->target_regex);
    *c = (adapter_config){ 0 };
}

/* ----------------------------------------------------------------------- placement */

void adapter_module(char *out, size_t size, const llama_tensor *t, int64_t layer)
{
    llama_tensor_name(out, size, t, layer);
    char *end = strrchr(out, '.'); /* ".weight" */
    if (end)
        *end = 0;
}

static hone_status attach_one(model *m, weight *w, const llama_tensor *t, const char *module,
                              const adapter_place *place, hone_error *err)
{
    char name[TENSOR_NAME_SIZE + 64];
    const int64_t out_n = m->c.dim[t->rows], in_n = m->c.dim[t->cols];
    lora *a = w->lora = mem_new(1, sizeof *a);
    if (!a)
        return hone_fail(err, HONE_ERR_NOMEM, "adapter: no memory");
    a->rank = place->rank;
    a->scale = place->scale;
    if (a->rank > m->max_rank)
        m->max_rank = a->rank;
    (void)snprintf(name, sizeof name, "base_model.model.%s.lora_A.weight", module);
    hone_status st = params_add(m, name, a->rank, in_n, false, true, &a->a, &a->da, err);
    if (st != HONE_OK)
        return st;
    (void)snprintf(name, sizeof name, "base_model.model.%s.lora_B.weight", module);
    return params_add(m, name, out_n, a->rank, false, true, &a->b, &a->db, err);
}

/* A target or pattern that matches no projection is a spelling mistake. */
static hone_status check_used(const model *m, hone_error *err)
{
    char module[TENSOR_NAME_SIZE];
    const adapter_config *c = m->adapter;
    const size_t n_names = c->n_targets + c->n_ranks + c->n_alphas;
    for (size_t i = 0; i < n_names; i++) {
        const bool is_target = i < c->n_targets;
        const size_t k = i - c->n_targets;
        const char *name = is_target        ? c->targets[i]
                           : k < c->n_ranks ? c->ranks[k].key
                                            : c->alphas[k - c->n_ranks].key;
        bool used = false;
        for (int64_t l = 0; l < m->c.layers && !used; l++)
            for (const llama_tensor *t = llama_tensors; t->name && !used; t++) {
                if (!(t->flags & TENSOR_LINEAR))
                    continue;
                adapter_module(module, sizeof module, t, l);
                hone_status st = HONE_OK;
                if (is_target)
                    used = ends_with_module(module, name);
                else
                    st = matches(&used, "(.*\\.)?(", name, ")$", module, err);
                if (st != HONE_OK)
                    return st;
            }
        if (!used)
            return hone_fail(err, HONE_ERR_ARG,
                             "adapter: \"%.80s\" matches no projection of this model; there are "
                             "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj in "
                             "model.layers.0 to %lld",
                             name, (long long)m->c.layers - 1);
    }
    return HONE_OK;
}

hone_status adapter_attach(model *m, hone_error *err)
{
    char module[TENSOR_NAME_SIZE];
    hone_status st = m->adapter->strict ? check_used(m, err) : HONE_OK;
    for (int64_t l = 0; l < m->c.layers && st == HONE_OK; l++)
        for (const llama_tensor *t = llama_tensors; t->name && st == HONE_OK; t++) {
            adapter_place place = { 0 };
            if (!(t->flags & TENSOR_LINEAR))
                continue;
            adapter_module(module, sizeof module, t, l);
            st = adapter_find(&place, m->adapter, module, err);
            if (st == HONE_OK && place.here)
                st = attach_one(m, weight_at(m, l, (int)(t - llama_tensors)), t, module, &place,
                                err);
        }
    if (st == HONE_OK && !m->n_params)
        st = hone_fail(err, HONE_ERR_ARG, "adapter: its targets match no projection of this model");
    return st;
}

/* A uniform in +-1/sqrt(I): kaiming_uniform with a = sqrt(5). B zero: the model starts
 * as it was. */
hone_status adapter_init(model *m, hone_error *err)
{
    hone_status st = HONE_OK;
    for (int64_t i = 0; i < m->c.layers * W_COUNT && st == HONE_OK; i++) {
        const lora *a = m->weights[i].lora;
        if (!a)
            continue;
        const int64_t n = a->rank * a->a.shape[1];
        const double bound = 1 / sqrt((double)a->a.shape[1]);
        float *drawn = mem_new((size_t)n, sizeof *drawn);
        if (!drawn)
            return hone_fail(err, HONE_ERR_NOMEM, "adapter: no memory");
        for (int64_t k = 0; k < n; k++)
            drawn[k] =
                (float)(bound *
                        (2 * rng_uniform(m->seed, INIT_STREAM + (uint64_t)i, (uint64_t)k) - 1));
        st = ops_upload(m->o, a->a.buf, a->a.offset, drawn, (uint64_t)n * sizeof *drawn, err);
        if (st == HONE_OK)
            st = ops_fill(m->o, a->b, 0, err);
        free(drawn);
    }
    return st;
}
