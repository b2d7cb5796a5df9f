/*
 * model.c - opening and closing: config, adapter, plan, memory, weights, in that order.
 *
 * The plan is made without a device's memory, and what is then allocated is what it says:
 * sizes are computed once, in model_plan(), and the sum is asserted in model_load().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/config.h"
#include "core/model/impl.h"

#define PREFILL 512           /* tokens fed to the cache at a time, at most */
#define MOST_TOKENS (1 << 24) /* of a micro-batch or a cache: keeps every size below 2^63 bytes */

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static hone_status check_options(const model_options *o, hone_error *err)
{
    if (o->seq_len < 0 || o->batch < 0 || o->max_sequences < 0 || o->context < 0 ||
        (o->train && (o->seq_len < 1 || o->batch < 1)))
        return hone_fail(err, HONE_ERR_ARG,
                         "model: seq_len %lld, batch %lld, context %lld: expected 1 or more",
                         (long long)o->seq_len, (long long)o->batch, (long long)o->context);
    if (o->seq_len > MOST_TOKENS || o->batch > MOST_TOKENS || o->context > MOST_TOKENS ||
        o->seq_len * o->batch > MOST_TOKENS || o->max_sequences > MOST_TOKENS)
        return hone_fail(err, HONE_ERR_LIMIT,
                         "model: seq_len %lld x batch %lld or context %lld is too large",
                         (long long)o->seq_len, (long long)o->batch, (long long)o->context);
    if (o->train == TRAIN_FULL && (o->adapter || o->adapter_dir))
        return hone_fail(err, HONE_ERR_ARG, "model: full fine-tuning takes no adapter");
    if (o->train == TRAIN_LORA && !o->adapter && !o->adapter_dir)
        return hone_fail(err, HONE_ERR_ARG, "model: LoRA needs an adapter, new or from a folder");
    if (o->adapter && o->train != TRAIN_LORA)
        return hone_fail(err, HONE_ERR_ARG, "model: a new adapter is only for training with LoRA");
    return HONE_OK;
}

/* Full fine-tuning updates plain numbers; planes in a file are of one format. */
static hone_status check_format(const model *m, const char *dir, hone_error *err)
{
    const char *format, *stored = m->c.stored_format;
    void *self;
    const hone_weights *table = backend_format(m->backend, &format, &self);
    if (m->train == TRAIN_FULL && !table->dense)
        return hone_fail(err, HONE_ERR_UNSUPPORTED,
                         "full fine-tuning needs weights in fp32, bf16 or fp16, not %s; LoRA works "
                         "with %s",
                         format, format);
    if (stored && strcmp(stored, format) != 0)
        return hone_fail(err, HONE_ERR_UNSUPPORTED,
                         "%s: its weights are stored in %s and cannot become %s; use %s in the "
                         "backend, or the folder they were made from",
                         dir, stored, format, stored);
    return HONE_OK;
}

/* The adapter: from its folder where one is named, from options otherwise. */
static hone_status read_adapter(model *m, const model_options *o, hone_error *err)
{
    const char *dir = o->adapter && o->adapter->init ? o->adapter->init : o->adapter_dir;
    hone_status st;
    if (!dir && !o->adapter)
        return HONE_OK;
    if (dir && !(m->adapter_dir = mem_strdup(dir)))
        return hone_fail(err, HONE_ERR_NOMEM, "model: no memory for an adapter");
    m->adapter = mem_new(1, sizeof *m->adapter);
    if (!m->adapter)
        return hone_fail(err, HONE_ERR_NOMEM, "model: no memory for an adapter");
    st = dir ? adapter_config_read(m->adapter, dir, err)
             : adapter_config_from_options(m->adapter, o->adapter, err);
    if (st != HONE_OK)
        return st;
    if (dir && o->adapter)
        m->adapter->dropout = o->adapter->dropout;
    m->dropout = m->train ? (float)m->adapter->dropout : 0;
    return adapter_attach(m, err);
}

/* -------------------------------------------------------------------------- memory */

hone_status model_alloc(model *m, hone_buf *buf, uint64_t bytes, hone_error *err)
{
    const hone_status st = ops_alloc(m->o, buf, bytes, err);
    if (st == HONE_OK)
        m->allocated += bytes;
    return st;
}

static hone_status alloc_rope(model *m, hone_error *err)
{
    const int64_t half = m->c.head_dim / 2, n = m->positions * half;
    const uint64_t bytes = rope_bytes(m);
    float *tables = mem_new((size_t)n, 2 * sizeof *tables);
    if (!tables)
        return hone_fail(err, HONE_ERR_NOMEM, "model: no memory for %lld rotary positions",
                         (long long)m->positions);
    rope_tables(&m->c, m->positions, tables, tables + n);
    hone_status st = model_alloc(m, &m->rope, bytes, err);
    if (st == HONE_OK)
        st = ops_upload(m->o, m->rope, 0, tables, bytes, err);
    m->cos = hone_tensor_2d(m->rope, 0, HONE_F32, m->positions, half);
    m->sin = hone_tensor_2d(m->rope, bytes / 2, HONE_F32, m->positions, half);
    free(tables);
    return st;
}

static hone_status alloc_cache(model *m, hone_error *err)
{
    if (!m->context)
        return HONE_OK;
    m->fed_ids = mem_new((size_t)m->context, sizeof *m->fed_ids);
    if (!m->fed_ids)
        return hone_fail(err, HONE_ERR_NOMEM, "model: no memory for a context of %lld tokens",
                         (long long)m->context);
    return model_alloc(m, &m->cache, cache_bytes(m), err);
}

/* A run touches all of it sooner or later: touched now, what is missing is missed before the
 * first step. */
static hone_status alloc_arena(model *m, hone_error *err)
{
    hone_status st = model_alloc(m, &m->buf, m->arena.bytes, err);
    if (st == HONE_OK && m->train)
        st = ops_fill(m->o, arena_1d(m, 0, (int64_t)(m->arena.bytes / sizeof(float))), 0, err);
    if (st != HONE_OK)
        return st;
    m->staging = mem_new(staging_count(m), sizeof *m->staging);
    if (!m->staging)
        return hone_fail(err, HONE_ERR_NOMEM, "model: no memory for a batch of %lld tokens",
                         (long long)m->capacity);
    return HONE_OK;
}

/* Which block the backward pass ends in, and how deep inside it. */
static void find_lowest(model *m)
{
    m->first = m->c.layers;
    m->lowest_stage = -1;
    if (m->train == TRAIN_FULL)
        m->first = 0;
    if (m->train != TRAIN_LORA)
        return;
    for (int64_t l = m->c.layers; l-- > 0;) {
        int lowest = STAGE_DOWN + 1;
        for (int w = 0; w < W_COUNT; w++)
            if (weight_at(m, l, w)->lora && stage_of(w) < lowest)
                lowest = stage_of(w);
        if (lowest > STAGE_DOWN)
            continue;
        m->first = l;
        m->lowest_stage = lowest;
    }
}

static hone_status fill(model *m, const model_options *o, hone_error *err)
{
    hone_status st =
        o->shape ? llama_config_known(&m->c, o->shape, err) : llama_config_read(&m->c, o->dir, err);
    if (st == HONE_OK)
        st = check_format(m, o->shape ? o->shape : o->dir, err);
    if (st != HONE_OK)
        return st;
    m->weights = mem_new((size_t)m->c.layers * W_COUNT, sizeof *m->weights);
    m->dir = mem_strdup(o->shape ? o->shape : o->dir);
    if (!m->weights || !m->dir)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", o->dir ? o->dir : o->shape);
    st = read_adapter(m, o, err);
    if (st == HONE_OK && m->train == TRAIN_FULL)
        st = params_add_weights(m, err);
    if (st == HONE_OK)
        st = weights_plan(m, err);
    if (st != HONE_OK)
        return st;
    params_plan(m);
    find_lowest(m);
    m->keep_cheap = m->c.layers;
    return plan_buffers(m, err);
}

hone_status model_plan(model **out, backend *b, const model_options *o, hone_error *err)
{
    hone_status st = check_options(o, err);
    if (st != HONE_OK)
        return st;
    model *m = mem_new(1, sizeof *m);
    if (!m)
        return hone_fail(err, HONE_ERR_NOMEM, "model: no memory");
    m->backend = b;
    m->o = backend_ops(b);
    m->train = o->train;
    m->fresh = o->fresh;
    m->seed = o->seed;
    m->context = o->context;
    m->capacity = max_of(o->seq_len * o->batch, o->context < PREFILL ? o->context : PREFILL);
    m->capacity = max_of(m->capacity, 1);
    m->max_sequences = max_of(o->max_sequences, 1);
    m->positions = max_of(max_of(o->seq_len, o->context), 1);
    st = fill(m, o, err);
    if (st == HONE_OK) {
        *out = m;
        m = NULL;
    }
    model_close(m);
    return st;
}

hone_status model_load(model *m, hone_error *err)
{
    if (!m->o)
        return hone_fail(err, HONE_ERR_DEVICE, "backend %s: no such device here",
                         backend_spec(m->backend));
    assert(!m->buf);
    m->stale = true;
    hone_status st = params_alloc(m, err);
    if (st == HONE_OK)
        st = weights_load(m, m->dir, m->fresh, err);
    if (st == HONE_OK && m->adapter)
        st = m->adapter_dir ? adapter_load(m, m->adapter_dir, err) : adapter_init(m, err);
    if (st == HONE_OK)
        st = alloc_arena(m, err);
    if (st == HONE_OK)
        st = alloc_rope(m, err);
    if (st == HONE_OK)
        st = alloc_cache(m, err);
    if (st == HONE_OK)
        st = ops_reserve(m->o, &m->extent, err);
    if (st == HONE_OK)
        st = ops_sync(m->o, err);
    assert(st != HONE_OK || m->allocated + ops_scratch_bytes(m->o, &m->extent) + m->workspace ==
                                plan_total(&m->plan));
    return st;
}

hone_status model_open(model **out, backend *b, const model_options *o, hone_error *err)
{
    model *m = NULL;
    hone_status st = model_plan(&m, b, o, err);
    if (st == HONE_OK)
        st = model_load(m, err);
    if (st == HONE_OK) {
        *out = m;
        m = NULL;
    }
    model_close(m);
    return st;
}

void model_close(model *m)
{
    if (!m)
        return;
    weights_free(m);
    params_free(m);
    ops_free(m->o, m->buf);
    ops_free(m->o, m->rope);
    ops_free(m->o, m->cache);
    if (m->adapter)
        adapter_config_finish(m->adapter);
    free(m->adapter);
    free(m->arena.block);
    free(m->staging);
    free(m->fed_ids);
    free(m->dir);
    free(m->adapter_dir);
    llama_config_finish(&m->c);
    free(m);
}

const llama_config *model_config(const model *m)
{
    return &m->c;
}

void model_params_changed(model *m)
{
    m->stale = true;
}

struct ops *model_ops(model *m)
{
    return m->o;
}
