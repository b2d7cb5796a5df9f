/*
 * plan.c - the memory and the disk of a run, and what its blocks keep to fit into it.
 *
 * The model and the optimizer say what they will allocate; nothing here counts a buffer a
 * second time. What stands on top: this process as it is, and what passes while weights are
 * loaded or a result is written.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/plan_parts.h"

#include <math.h>
#include <string.h>

/* Host memory a run takes beside its buffers: threads, code that libraries write, lists. */
#define RUN_OWN ((int64_t)12 << 20)
#define PAGED_LEAST ((int64_t)16 << 20)
#define CHECKPOINT_STAGING ((int64_t)4 << 20)

/* ------------------------------------------------------------------------- data */

hone_status plan_data_of(plan_data *out, const dataset *train, const dataset *val,
                         const train_options *o, hone_error *err)
{
    const plan_options order = { .seq_len = o->seq_len,
                                 .batch = o->batch,
                                 .packing = o->packing,
                                 .shuffle = o->shuffle,
                                 .seed = (uint64_t)o->seed };
    plan_data d = { .rows = (int64_t)train->n };
    epoch_plan p = { 0 };
    double squares = 0;
    hone_status st = epoch_plan_make(&p, train, &order, 0, err);
    if (st)
        return st;
    d.batches = p.n_batches;
    epoch_plan_finish(&p);
    st = schedule_length(&d.steps, train, o, &order, err);
    if (st)
        return st;
    for (size_t i = 0; i < train->n; i++) {
        d.tokens += train->rows[i].n;
        d.learned += train->rows[i].n_learned;
        squares += (double)train->rows[i].n * train->rows[i].n;
    }
    d.context = d.tokens ? squares / (double)d.tokens : 0;
    d.max_sequences = train_max_sequences(train, val, o->seq_len, o->batch);
    if (!o->packing && d.max_sequences < o->batch)
        d.max_sequences = o->batch;
    *out = d;
    return HONE_OK;
}

/* English and code come to about 3.6 bytes a token with vocabularies of 32,000 words. */
#define BYTES_PER_TOKEN 3.6

plan_data plan_data_guess(int64_t text_bytes, const train_options *o)
{
    plan_data d = { .estimate = true };
    const double n = (double)text_bytes / BYTES_PER_TOKEN;
    const double epochs = o->epochs > 0 ? o->epochs : 1;
    d.tokens = d.learned = (int64_t)ceil(n);
    d.rows = (int64_t)ceil(n / (double)o->seq_len);
    d.batches = (d.rows + o->batch - 1) / o->batch;
    d.steps = o->steps ? o->steps
                       : (int64_t)ceil(epochs * ceil((double)d.batches / (double)o->accumulate));
    d.context = (double)o->seq_len;
    /* rows of a paragraph at least */
    d.max_sequences = o->packing ? o->seq_len * o->batch / 32 + o->batch : o->batch;
    return d;
}

/* ----------------------------------------------------------------------- memory */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Sums of the rows, after the model has been planned anew. */
static void add_up(run_plan *p, const model *m, const optimizer_memory *states)
{
    const model_host_bytes host = model_host(m);
    int64_t after_load = 0;
    p->device_total = 0;
    for (int i = 0; i < BYTES_KINDS; i++) {
        p->device[i] = i == BYTES_STATES ? states->device : model_bytes_of(m, (bytes_kind)i);
        p->device_total += p->device[i];
    }
    /* Weights are loaded before the arena and the states are there. */
    after_load = p->device_total - p->device[BYTES_WEIGHTS] - p->device[BYTES_ADAPTERS] -
                 p->device[BYTES_GRADIENTS];
    p->host_run = host.staging + states->host + RUN_OWN;
    p->host_passing = larger(larger(host.save, host.hash), CHECKPOINT_STAGING);
    p->host_passing = larger(p->host_passing, host.load - (p->unified ? after_load : 0));
    p->resident = p->host_base + p->host_run + p->host_passing + (p->unified ? p->device_total : 0);
    p->fits = (p->unified ? p->resident : p->device_total) <= p->limit;
}

static hone_status keep(run_plan *p, model *m, const optimizer_memory *states, int64_t n_all,
                        int64_t n_cheap, hone_error *err)
{
    const hone_status st = model_keep(m, n_all, n_cheap, err);
    if (st)
        return st;
    p->keep_all = n_all;
    p->keep_cheap = n_cheap;
    p->keep_input = model_trained_blocks(m) - n_all - n_cheap;
    add_up(p, m, states);
    return HONE_OK;
}

/* The most blocks of [lo, hi] that fit; `all` ones when set, cheap ones otherwise. */
static hone_status most_that_fit(int64_t *n, run_plan *p, model *m, const optimizer_memory *states,
                                 bool all, hone_error *err)
{
    const int64_t blocks = model_trained_blocks(m);
    int64_t lo = 0, hi = blocks;
    while (lo < hi) {
        const int64_t mid = (lo + hi + 1) / 2;
        hone_status st =
            all ? keep(p, m, states, mid, blocks - mid, err) : keep(p, m, states, 0, mid, err);
        if (st)
            return st;
        if (p->fits)
            lo = mid;
        else
            hi = mid - 1;
    }
    *n = lo;
    return HONE_OK;
}

/* Recomputing a block's products costs a third of a step more, recomputing what is cheap a few
 * percent: products are kept first. */
static hone_status choose_keep(run_plan *p, model *m, const optimizer_memory *states,
                               int64_t activations, hone_error *err)
{
    const int64_t blocks = model_trained_blocks(m);
    int64_t n = 0;
    hone_status st;
    if (activations != ACTIVATIONS_AUTO)
        return keep(p, m, states, activations == ACTIVATIONS_ALL ? blocks : 0,
                    activations == ACTIVATIONS_CHEAP ? blocks : 0, err);
    st = most_that_fit(&n, p, m, states, false, err);
    if (st || n < blocks)
        return st ? st : keep(p, m, states, 0, n, err);
    st = most_that_fit(&n, p, m, states, true, err);
    return st ? st : keep(p, m, states, n, blocks - n, err);
}

/* ------------------------------------------------------------------------- disk */

static void disk(run_plan *p, const model *m, const train_options *o,
                 const optimizer_memory *states)
{
    p->checkpoint = p->trained * (int64_t)sizeof(float) + states->saved;
    /* the kept ones, the best one, and the one that is being written */
    p->checkpoints = o->keep + (o->val || o->val_split > 0) + 1;
    p->result = o->method == 0 ? p->trained * (int64_t)sizeof(float)
                               : llama_param_count(model_config(m)) *
                                     (int64_t)hone_dtype_size(save_dtype_of(m, o));
    p->paged_host = states->host;
    p->file = states->file;
    p->disk = p->checkpoint * p->checkpoints + p->result + p->file;
}

/* ------------------------------------------------------------------------- plan */

static void set_limit(run_plan *p, const plan_input *in)
{
    const hone_dev_info *info = backend_info(in->back);
    p->host_base = mem_resident();
    p->unified = info && (info->flags & HONE_DEV_UNIFIED);
    if (in->memory)
        p->limit = in->memory;
    else if (in->device)
        p->limit = (int64_t)in->device->memory;
    else if (p->unified)
        p->limit = p->host_base + mem_available();
    else
        p->limit = info ? (int64_t)info->mem_free : 0;
}

/* States as the run will have them. How much memory paged ones get when the user does not say
 * is decided here, once: half of what may be had. */
static hone_status plan_states(optimizer_memory *out, run_plan *p, const model *m,
                               const plan_input *in, hone_error *err)
{
    const hone_dev_info *info = backend_info(in->back);
    const size_t n = model_param_count(m);
    optimizer_setup how = { .name = in->optimizer,
                            .config = in->optimizer_options,
                            .paged_bytes = (int64_t)(in->train->paged_memory * (1 << 20)),
                            .paged_dir = in->train->out };
    optimizer_memory got = { 0 };
    hone_status st = optimizer_plan(&got, info, model_param(m, 0), n, in->plugins, &how, err);
    if (!st && got.host + got.file > 0 && !how.paged_bytes) {
        const int64_t half = (p->unified ? p->limit - p->host_base : mem_available()) / 2;
        how.paged_bytes = larger(half, PAGED_LEAST) >> 20 << 20;
        st = optimizer_plan(&got, info, model_param(m, 0), n, in->plugins, &how, err);
    }
    if (st)
        return st;
    p->paged = how.paged_bytes;
    *out = got;
    return HONE_OK;
}

hone_status run_plan_make(run_plan *out, model **net, const plan_input *in, hone_error *err)
{
    run_plan p = { .estimate = in->data->estimate };
    optimizer_memory states = { 0 };
    model_options asked = *in->model;
    model *m = NULL;
    hone_status st;
    set_limit(&p, in);
    asked.max_sequences = in->data->max_sequences;
    st = model_plan(&m, in->back, &asked, err);
    if (!st)
        st = plan_states(&states, &p, m, in, err);
    if (!st)
        st = choose_keep(&p, m, &states, in->train->activations, err);
    if (st)
        goto out;
    p.params = llama_param_count(model_config(m));
    for (size_t i = 0; i < model_param_count(m); i++)
        p.trained += model_param(m, i)->rows * model_param(m, i)->cols;
    p.steps = in->data->steps;
    disk(&p, m, in->train, &states);
    plan_time(&p, m, &states, in);
    *out = p;
    if (net) {
        *net = m;
        m = NULL;
    }
out:
    model_close(m);
    return st;
}

json_t *run_plan_json(const run_plan *p, const plan_input *in)
{
    json_t *kinds = json_object();
    for (int i = 0; i < BYTES_KINDS; i++)
        (void)json_object_set_new(kinds, bytes_names[i], json_integer((json_int_t)p->device[i]));
    return json_pack(
        "{s:s, s:o, s:I, s:{s:I, s:I, s:I, s:I}, s:I, s:b, s:{s:I, s:I, s:I}, s:{s:I, s:I, s:I, "
        "s:I, s:I}, s:{s:I, s:I, s:I, s:I, s:I, s:b}, s:{s:I, s:I, s:f, s:o, s:o, s:o, s:o}}",
        "backend", backend_spec(in->back), "device_bytes", kinds, "device_total",
        (json_int_t)p->device_total, "host_bytes", "process", (json_int_t)p->host_base, "run",
        (json_int_t)p->host_run, "passing", (json_int_t)p->host_passing, "resident",
        (json_int_t)p->resident, "limit", (json_int_t)p->limit, "fits", p->fits, "keep", "all",
        (json_int_t)p->keep_all, "cheap", (json_int_t)p->keep_cheap, "input",
        (json_int_t)p->keep_input, "disk_bytes", "checkpoint", (json_int_t)p->checkpoint,
        "checkpoints", (json_int_t)p->checkpoints, "result", (json_int_t)p->result, "paged",
        (json_int_t)p->file, "total", (json_int_t)p->disk, "data", "rows",
        (json_int_t)in->data->rows, "tokens", (json_int_t)in->data->tokens, "learned",
        (json_int_t)in->data->learned, "batches", (json_int_t)in->data->batches, "steps",
        (json_int_t)p->steps, "estimate", p->estimate, "work", "parameters", (json_int_t)p->params,
        "trained", (json_int_t)p->trained, "step_flops", p->flops, "step_seconds",
        json_real_or_null(p->step_seconds), "epoch_seconds", json_real_or_null(p->epoch_seconds),
        "total_seconds", json_real_or_null(p->total_seconds), "floor_seconds",
        json_real_or_null(p->floor_seconds));
}
