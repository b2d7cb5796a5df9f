/*
 * optimizer.c - runs any optimizer plugin: its states on the device, its program over them.
 *
 * The plugin says what it keeps per parameter and how one element is updated; memory,
 * order and saving are ours. States of all parameters lie in one buffer per state,
 * parameter after parameter, each at a multiple of 64 bytes.
 *
 * Two groups: parameters that decay and those that do not (norms, biases). Scalars of a
 * step depend on the group alone and are asked for once per group and step.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/parts.h"

#include <stdlib.h>

#include "hone/optimizer.h"

#define ALIGN 64

struct optimizer {
    model *m;        /* borrowed */
    component *part; /* owned */
    const hone_optimizer *table;
    void *self;                  /* owned by the plugin; destroyed before part is closed */
    const hone_state *states;    /* borrowed from the plugin */
    uint32_t n_states, n_params; /* n_params: scalars of the program */
    hone_kernel kernel;
    hone_buf buf[HONE_OPTIMIZER_MAX_STATES]; /* owned */
    uint32_t dtype[HONE_OPTIMIZER_MAX_STATES];
    int64_t *first;   /* owned, one per parameter: elements before it, aligned */
    int64_t elements; /* of each state, padding included */
    double weight_decay;
    uint64_t seed;
};

/* How a state is stored. More formats are more rows. */
static const struct {
    const char *format;
    uint32_t dtype;
} formats[] = {
    { "f32", HONE_F32 },
    { "bf16", HONE_BF16 },
    { "f16", HONE_F16 },
};

static hone_status find_format(uint32_t *dtype, const char *who, const hone_state *s,
                               hone_error *err)
{
    size_t i;
    for (i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strncmp(formats[i].format, s->format, sizeof s->format) == 0) {
            *dtype = formats[i].dtype;
            return HONE_OK;
        }
    return hone_fail(err, HONE_ERR_UNSUPPORTED,
                     "optimizer %s: state %.24s has the format \"%.16s\"; known are f32, bf16, f16",
                     who, s->name, s->format);
}

/* Everything the plugin answers is checked before anything is allocated by it. */
static hone_status ask_plugin(optimizer *o, const char *name, const hone_ew_program **program,
                              hone_error *err)
{
    uint32_t k;
    hone_status st;
    if (!HONE_HAS_CALL(o->table, create) || !HONE_HAS_CALL(o->table, destroy) ||
        !HONE_HAS_CALL(o->table, states) || !HONE_HAS_CALL(o->table, program) ||
        !HONE_HAS_CALL(o->table, scalars))
        return hone_fail(err, HONE_ERR_FORMAT,
                         "optimizer %s: create, destroy, states, program and scalars are required",
                         name);
    st = o->table->create(plugin_host(), o->part->config, &o->self, err);
    if (!st)
        st = o->table->states(o->self, &o->states, &o->n_states, err);
    if (!st)
        st = o->table->program(o->self, program, err);
    if (st)
        return st;
    if (o->n_states > HONE_OPTIMIZER_MAX_STATES || (o->n_states && !o->states))
        return hone_fail(err, HONE_ERR_FORMAT, "optimizer %s: %u states, at most %d are possible",
                         name, o->n_states, HONE_OPTIMIZER_MAX_STATES);
    for (k = 0; k < o->n_states; k++) {
        if (!memchr(o->states[k].name, '\0', sizeof o->states[k].name) || !o->states[k].name[0])
            return hone_fail(err, HONE_ERR_FORMAT, "optimizer %s: state %u has no proper name",
                             name, k);
        st = find_format(&o->dtype[k], name, &o->states[k], err);
        if (st)
            return st;
    }
    st = hone_ew_check(*program, err);
    if (st)
        return st;
    if ((*program)->n_bufs != HONE_OPT_BUF_STATE0 + o->n_states)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "optimizer %s: its program has %u buffers, expected %u: parameter, "
                         "gradient and %u states",
                         name, (*program)->n_bufs, HONE_OPT_BUF_STATE0 + o->n_states, o->n_states);
    if ((*program)->n_params < 1)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "optimizer %s: its program has no parameter 0, the gradient factor", name);
    o->n_params = (*program)->n_params;
    return HONE_OK;
}

/* Where the states of each parameter lie. */
static hone_status place_states(optimizer *o, hone_error *err)
{
    const size_t n = model_param_count(o->m);
    size_t i;
    o->first = mem_new(n, sizeof *o->first);
    if (!o->first)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the places of %zu parameters", n);
    for (i = 0; i < n; i++) {
        const param *p = model_param(o->m, i);
        o->first[i] = o->elements;
        o->elements += (p->rows * p->cols + ALIGN - 1) / ALIGN * ALIGN;
    }
    return HONE_OK;
}

static hone_status make_states(optimizer *o, hone_error *err)
{
    uint32_t k;
    for (k = 0; k < o->n_states; k++) {
        const uint64_t bytes = (uint64_t)o->elements * hone_dtype_size(o->dtype[k]);
        hone_status st = ops_alloc(model_ops(o->m), &o->buf[k], bytes, err);
        if (!st)
            st = ops_fill(model_ops(o->m), hone_tensor_1d(o->buf[k], 0, o->dtype[k], o->elements),
                          (double)o->states[k].init, err);
        if (st)
            return st;
    }
    return HONE_OK;
}

/* Everything but memory and the compiled program. */
static hone_status prepare(optimizer **out, const hone_ew_program **program, model *m,
                           registry *plugins, const char *name, const json_t *config,
                           hone_error *err)
{
    hone_status st;
    optimizer *o = mem_new(1, sizeof *o);
    if (!o)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the optimizer");
    o->m = m;
    st = component_open(&o->part, plugins, HONE_KIND_OPTIMIZER, name, config, NULL, err);
    if (st)
        goto out;
    o->table = o->part->ops;
    st = ask_plugin(o, name, program, err);
    if (!st)
        st = place_states(o, err);
    if (st)
        goto out;
    *out = o;
    o = NULL;
out:
    optimizer_close(o);
    return st;
}

hone_status optimizer_plan(optimizer_memory *out, model *m, registry *plugins, const char *name,
                           const json_t *config, hone_error *err)
{
    const hone_ew_program *program = NULL;
    optimizer *o = NULL;
    hone_status st = prepare(&o, &program, m, plugins, name, config, err);
    if (st)
        return st;
    *out = (optimizer_memory){ .device = optimizer_bytes(o), .saved = optimizer_bytes(o) };
    optimizer_close(o);
    return HONE_OK;
}

hone_status optimizer_open(optimizer **out, model *m, registry *plugins, const char *name,
                           const json_t *config, double weight_decay, uint64_t seed,
                           hone_error *err)
{
    const hone_ew_program *program = NULL;
    optimizer *o = NULL;
    hone_status st = prepare(&o, &program, m, plugins, name, config, err);
    if (st)
        return st;
    o->weight_decay = weight_decay;
    o->seed = seed;
    st = ops_compile(model_ops(m), &o->kernel, program, err);
    if (!st)
        st = make_states(o, err);
    if (st)
        goto out;
    *out = o;
    o = NULL;
out:
    optimizer_close(o);
    return st;
}

void optimizer_close(optimizer *o)
{
    uint32_t k;
    if (!o)
        return;
    for (k = 0; k < HONE_OPTIMIZER_MAX_STATES; k++)
        ops_free(model_ops(o->m), o->buf[k]);
    if (o->self)
        o->table->destroy(o->self);
    component_close(o->part);
    free(o->first);
    free(o);
}

json_t *optimizer_options_json(const optimizer *o)
{
    return options_to_json(&o->part->options);
}

int64_t optimizer_bytes(const optimizer *o)
{
    int64_t bytes = 0;
    uint32_t k;
    for (k = 0; k < o->n_states; k++)
        bytes += o->elements * (int64_t)hone_dtype_size(o->dtype[k]);
    return bytes;
}

hone_status optimizer_step(optimizer *o, int64_t step, double lr, double grad_scale,
                           hone_error *err)
{
    float scalars[2][HONE_EW_MAX_PARAMS] = { { 0 } }; /* without and with decay */
    const size_t n = model_param_count(o->m);
    size_t i;
    uint32_t k;
    int group;
    hone_status st;
    for (group = 0; group < 2; group++) {
        const hone_step_info info = { .struct_size = sizeof info,
                                      .step = step,
                                      .lr = lr,
                                      .weight_decay = group ? o->weight_decay : 0 };
        st = o->table->scalars(o->self, &info, scalars[group], o->n_params, err);
        if (st)
            return st;
        scalars[group][HONE_OPT_PARAM_GRAD_SCALE] = (float)grad_scale;
    }
    for (i = 0; i < n; i++) {
        const param *p = model_param(o->m, i);
        hone_tensor bufs[HONE_OPT_BUF_STATE0 + HONE_OPTIMIZER_MAX_STATES];
        hone_ew_args args = { .n_bufs = HONE_OPT_BUF_STATE0 + o->n_states,
                              .n_params = o->n_params,
                              .kernel = o->kernel,
                              .bufs = bufs,
                              .params = scalars[p->decay],
                              .seed = o->seed + (uint64_t)step,
                              .offset = (uint64_t)o->first[i],
                              .shape = { p->rows * p->cols, 1, 1, 1 } };
        bufs[HONE_OPT_BUF_PARAM] = view_flat(p->value);
        bufs[HONE_OPT_BUF_GRAD] = view_flat(p->grad);
        for (k = 0; k < o->n_states; k++)
            bufs[HONE_OPT_BUF_STATE0 + k] = optimizer_state(o, i, k);
        st = ops_elementwise(model_ops(o->m), args, err);
        if (st)
            return st;
    }
    return HONE_OK;
}

size_t optimizer_state_count(const optimizer *o)
{
    return o->n_states;
}

hone_tensor optimizer_state(const optimizer *o, size_t index, size_t state)
{
    const param *p = model_param(o->m, index);
    const uint64_t offset = (uint64_t)o->first[index] * hone_dtype_size(o->dtype[state]);
    return hone_tensor_1d(o->buf[state], offset, o->dtype[state], p->rows * p->cols);
}

const char *optimizer_state_name(const optimizer *o, size_t state)
{
    return o->states[state].name;
}
