/*
 * optimizer.c - runs any optimizer plugin: its states in a store, its program over them.
 *
 * The plugin says what it keeps per parameter and how one element is updated; storage,
 * place, order and saving are ours. Parameters are cut into pieces, a piece is all states
 * of a range of elements, one plane of bytes after the other (codes, then scales of each
 * state), and pages are filled with pieces (layout.c). A step walks the pages, every other
 * one backward: what was used last is used first.
 *
 * Two groups: parameters that decay and those that do not (norms, biases). Scalars of a
 * step depend on the group alone and are asked for once per group and step.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/layout.h"

#include <stdlib.h>

struct optimizer {
    ops *o;              /* borrowed, as params */
    const param *params; /* n */
    size_t n;
    component *part; /* owned */
    const hone_optimizer *table;
    void *self;               /* owned by the plugin; destroyed before part is closed */
    const hone_state *states; /* borrowed from the plugin */
    uint32_t n_states, n_scalars;
    hone_kernel kernel[2]; /* of the plain program; of one with states in blocks, or 0 */
    layout l;              /* owned */
    store *store;          /* owned */
    double weight_decay;
    uint64_t seed;
};

/* Everything the plugin answers is checked before anything is allocated by it. */
static hone_status ask_states(optimizer *o, const char *name, hone_error *err)
{
    uint32_t k;
    hone_status st = o->table->states(o->self, &o->states, &o->n_states, err);
    if (st)
        return st;
    if (o->n_states > HONE_OPTIMIZER_MAX_STATES || (o->n_states && !o->states))
        return hone_fail(err, HONE_ERR_FORMAT, "optimizer %s: %u states, at most %d are possible",
                         name, o->n_states, HONE_OPTIMIZER_MAX_STATES);
    for (k = 0; k < o->n_states; k++) {
        const hone_state *s = &o->states[k];
        if (!memchr(s->name, '\0', sizeof s->name) || !s->name[0])
            return hone_fail(err, HONE_ERR_FORMAT, "optimizer %s: state %u has no proper name",
                             name, k);
        if (!state_format_find(s))
            return hone_fail(err, HONE_ERR_UNSUPPORTED,
                             "optimizer %s: state %s has the format \"%.16s\"; known are %s", name,
                             s->name, s->format, state_format_names);
        if (state_format_find(s)->blocks && !(s->init >= 0))
            return hone_fail(err, HONE_ERR_UNSUPPORTED,
                             "optimizer %s: state %s begins at %g; in eight bits 0 is the least",
                             name, s->name, (double)s->init);
        if ((s->flags ^ o->states[0].flags) & HONE_STATE_PAGED)
            return hone_fail(err, HONE_ERR_FORMAT,
                             "optimizer %s: some of its states are paged and some are not", name);
    }
    return HONE_OK;
}

static hone_status ask_plugin(optimizer *o, const char *name, const hone_ew_program **program,
                              hone_error *err)
{
    hone_status st;
    if (!HONE_HAS_CALL(o->table, create) || !HONE_HAS_CALL(o->table, destroy) ||
        !HONE_HAS_CALL(o->table, states) || !HONE_HAS_CALL(o->table, program) ||
        !HONE_HAS_CALL(o->table, scalars))
        return hone_fail(err, HONE_ERR_FORMAT,
                         "optimizer %s: create, destroy, states, program and scalars are required",
                         name);
    st = o->table->create(plugin_host(), o->part->config, &o->self, err);
    if (!st)
        st = ask_states(o, name, err);
    if (!st)
        st = o->table->program(o->self, program, err);
    if (!st)
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
    o->n_scalars = (*program)->n_params;
    return HONE_OK;
}

/* The plain program, and the one for parameters with states in blocks where there are any. */
static hone_status compile(optimizer *o, const hone_ew_program *plain, hone_error *err)
{
    const state_format *formats[HONE_OPTIMIZER_MAX_STATES];
    state_program *blocks = NULL;
    bool any = false;
    uint32_t k;
    hone_status st;
    for (k = 0; k < o->n_states; k++) {
        formats[k] = state_format_find(&o->states[k]);
        any = any || formats[k]->blocks;
    }
    st = ops_compile(o->o, &o->kernel[0], plain, err);
    if (st || !any)
        return st;
    blocks = mem_new(1, sizeof *blocks);
    st = blocks ? state_program_make(blocks, plain, formats, o->n_states, err)
                : hone_fail(err, HONE_ERR_NOMEM, "no memory for the optimizer's program");
    if (!st)
        st = ops_compile(o->o, &o->kernel[1], &blocks->program, err);
    free(blocks);
    return st;
}

/* ------------------------------------------------------------------------ pieces */

/* Where the planes of a piece are, for this walk. Codes in the order of the states, then
 * scales of those that have them: the order of the program's buffers. */
static uint32_t piece_views(const optimizer *o, const piece *p, hone_buf buf, uint64_t base,
                            hone_tensor *codes, hone_tensor *scales)
{
    const state_format *const *formats = layout_formats(&o->l, p->param);
    uint32_t k, n_scales = 0;
    for (k = 0; k < o->n_states; k++) {
        const plane *c = &p->planes[k][PLANE_CODES], *s = &p->planes[k][PLANE_SCALES];
        const state_format *f = formats[k];
        codes[k] = hone_tensor_1d(buf, base + c->at, f->dtype, p->count);
        if (f->blocks)
            scales[n_scales++] =
                hone_tensor_1d(buf, base + s->at, HONE_F32, (int64_t)(s->bytes / sizeof(float)));
    }
    return n_scales;
}

/* Call each for every piece, its page fetched. */
static hone_status walk(optimizer *o, bool backward,
                        hone_status (*each)(optimizer *o, const piece *p, hone_buf buf,
                                            uint64_t base, const void *arg, hone_error *err),
                        const void *arg, hone_error *err)
{
    const layout *l = &o->l;
    size_t n;
    for (n = 0; n < l->n_pages; n++) {
        const size_t page = backward ? l->n_pages - 1 - n : n;
        hone_buf buf = 0;
        uint64_t base = 0;
        size_t i;
        hone_status st = store_fetch(o->store, page, backward, &buf, &base, err);
        for (i = l->first_piece[page]; !st && i < l->first_piece[page + 1]; i++)
            st = each(o, &l->pieces[i], buf, base, arg, err);
        if (!st)
            st = store_release(o->store, page, err);
        if (st)
            return st;
    }
    return HONE_OK;
}

/* A state in blocks begins as init * 1: the last value of a map is 1. */
static hone_status fill_piece(optimizer *o, const piece *p, hone_buf buf, uint64_t base,
                              const void *arg, hone_error *err)
{
    hone_tensor codes[HONE_OPTIMIZER_MAX_STATES], scales[HONE_OPTIMIZER_MAX_STATES];
    uint32_t k, n_scales = 0;
    hone_status st = HONE_OK;
    (void)arg;
    (void)piece_views(o, p, buf, base, codes, scales);
    for (k = 0; !st && k < o->n_states; k++) {
        const bool blocks = layout_formats(&o->l, p->param)[k]->blocks;
        st = ops_fill(o->o, codes[k], blocks ? 255 : (double)o->states[k].init, err);
        if (!st && blocks)
            st = ops_fill(o->o, scales[n_scales++], (double)o->states[k].init, err);
    }
    return st;
}

/* Scalars of a step, without and with decay. */
typedef struct step_scalars {
    int64_t step;
    float of[2][HONE_EW_MAX_PARAMS];
} step_scalars;

static hone_status step_piece(optimizer *o, const piece *p, hone_buf buf, uint64_t base,
                              const void *arg, hone_error *err)
{
    const step_scalars *s = arg;
    const param *q = &o->params[p->param];
    hone_tensor bufs[HONE_OPT_BUF_STATE0 + 2 * HONE_OPTIMIZER_MAX_STATES];
    hone_tensor *states = bufs + HONE_OPT_BUF_STATE0;
    uint32_t n_scales;
    bufs[HONE_OPT_BUF_PARAM] = view_rows(view_flat(q->value), p->first, p->count);
    bufs[HONE_OPT_BUF_GRAD] = view_rows(view_flat(q->grad), p->first, p->count);
    n_scales = piece_views(o, p, buf, base, states, states + o->n_states);
    return ops_elementwise(o->o,
                           (hone_ew_args){ .n_bufs = HONE_OPT_BUF_STATE0 + o->n_states + n_scales,
                                           .n_params = o->n_scalars,
                                           .kernel = o->kernel[n_scales > 0],
                                           .bufs = bufs,
                                           .params = s->of[q->decay],
                                           .seed = o->seed + (uint64_t)s->step,
                                           .offset = (uint64_t)(o->l.number[p->param] + p->first),
                                           .shape = { p->count, 1, 1, 1 } },
                           err);
}

/* ------------------------------------------------------------------- open, close */

/* Everything but memory and compiled programs. */
static hone_status prepare(optimizer **out, const hone_ew_program **program, store_options *place,
                           bool unified, const param *params, size_t n, registry *plugins,
                           const optimizer_setup *how, hone_error *err)
{
    hone_status st;
    optimizer *o = mem_new(1, sizeof *o);
    if (!o)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the optimizer");
    o->params = params;
    o->n = n;
    o->weight_decay = how->weight_decay;
    o->seed = how->seed;
    st = component_open(&o->part, plugins, HONE_KIND_OPTIMIZER, how->name, how->config, NULL, err);
    if (st)
        goto out;
    o->table = o->part->ops;
    st = ask_plugin(o, how->name, program, err);
    if (st)
        goto out;
    *place = (store_options){ .paged = o->n_states && (o->states[0].flags & HONE_STATE_PAGED),
                              .limit = how->paged_bytes ? (uint64_t)how->paged_bytes
                                                        : (uint64_t)mem_available() / 2,
                              .dir = how->paged_dir };
    if (!place->paged && how->paged_bytes) {
        st = hone_fail(err, HONE_ERR_ARG,
                       "train.paged_memory is set, but optimizer %s does not page its state; "
                       "paged-adamw and paged-adam do",
                       how->name);
        goto out;
    }
    /* All of it in memory that ops run on is one page, which never moves. */
    st = layout_make(&o->l, params, n, o->states, o->n_states, UINT64_MAX, err);
    if (!st && place->paged && !(unified && o->l.page_bytes[0] <= place->limit)) {
        layout_finish(&o->l);
        st = layout_make(&o->l, params, n, o->states, o->n_states, store_page_bytes(place), err);
    }
    if (st)
        goto out;
    *out = o;
    o = NULL;
out:
    optimizer_close(o);
    return st;
}

static bool is_unified(const hone_dev_info *device)
{
    return device && (device->flags & HONE_DEV_UNIFIED);
}

static optimizer_memory memory_of(const layout *l, store_memory m)
{
    optimizer_memory out = { .device = (int64_t)m.device,
                             .host = (int64_t)m.host,
                             .file = (int64_t)m.file };
    size_t i;
    uint32_t k;
    for (i = 0; i < l->n_pieces; i++)
        for (k = 0; k < l->n_states; k++)
            out.saved += (int64_t)(l->pieces[i].planes[k][PLANE_CODES].bytes +
                                   l->pieces[i].planes[k][PLANE_SCALES].bytes);
    return out;
}

hone_status optimizer_plan(optimizer_memory *out, const hone_dev_info *device, const param *params,
                           size_t n, registry *plugins, const optimizer_setup *how, hone_error *err)
{
    const bool unified = is_unified(device);
    const hone_ew_program *program = NULL;
    store_options place;
    store_memory memory;
    optimizer *o = NULL;
    hone_status st = prepare(&o, &program, &place, unified, params, n, plugins, how, err);
    if (!st)
        st = store_plan(&memory, o->l.page_bytes, o->l.n_pages, &place, unified, err);
    if (!st)
        *out = memory_of(&o->l, memory);
    optimizer_close(o);
    return st;
}

hone_status optimizer_open(optimizer **out, ops *device, const param *params, size_t n,
                           registry *plugins, const optimizer_setup *how, hone_error *err)
{
    const hone_ew_program *program = NULL;
    store_options place;
    optimizer *o = NULL;
    hone_status st =
        prepare(&o, &program, &place, is_unified(ops_info(device)), params, n, plugins, how, err);
    if (st)
        return st;
    o->o = device;
    st = compile(o, program, err);
    if (!st)
        st = store_open(&o->store, device, o->l.page_bytes, o->l.n_pages, &place, err);
    if (!st)
        st = walk(o, true, fill_piece, NULL, err); /* the first step goes forward */
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
    if (!o)
        return;
    store_close(o->store);
    layout_finish(&o->l);
    if (o->self)
        o->table->destroy(o->self);
    component_close(o->part);
    free(o);
}

json_t *optimizer_options_json(const optimizer *o)
{
    return options_to_json(&o->part->options);
}

optimizer_memory optimizer_bytes(const optimizer *o)
{
    return memory_of(&o->l, store_bytes(o->store));
}

hone_status optimizer_step(optimizer *o, int64_t step, double lr, double grad_scale,
                           hone_error *err)
{
    step_scalars s = { .step = step };
    int group;
    for (group = 0; group < 2; group++) {
        const hone_step_info info = { .struct_size = sizeof info,
                                      .step = step,
                                      .lr = lr,
                                      .weight_decay = group ? o->weight_decay : 0 };
        const hone_status st = o->table->scalars(o->self, &info, s.of[group], o->n_scalars, err);
        if (st)
            return st;
        s.of[group][HONE_OPT_PARAM_GRAD_SCALE] = (float)grad_scale;
    }
    return walk(o, step % 2 == 0, step_piece, &s, err);
}

/* ------------------------------------------------------------------------- saved */

size_t optimizer_saved_count(const optimizer *o)
{
    return o->l.n_saved;
}

hone_status optimizer_saved(const optimizer *o, size_t index, saved_state *out, text *name,
                            hone_error *err)
{
    const layout_saved *s = &o->l.saved[index];
    const param *p = &o->params[s->param];
    const state_format *f = layout_formats(&o->l, s->param)[s->state];
    const int64_t n = p->rows * p->cols;
    text_clear(name);
    text_printf(name, "%s.%s%s", p->name, o->states[s->state].name,
                s->plane == PLANE_SCALES ? ".absmax" : "");
    if (s->plane == PLANE_CODES)
        *out = (saved_state){ .dtype = f->dtype,
                              .rank = 2,
                              .shape = { p->rows, p->cols },
                              .bytes = state_code_bytes(f, n) };
    else
        *out = (saved_state){ .dtype = HONE_F32,
                              .rank = 1,
                              .shape = { (int64_t)(state_scale_bytes(f, n) / sizeof(float)) },
                              .bytes = state_scale_bytes(f, n) };
    return text_status(name, err);
}

/* Bytes [at, at + bytes) of a saved tensor, piece by piece. */
static hone_status move(optimizer *o, size_t index, uint64_t at, uint8_t *mem, uint64_t bytes,
                        bool to_store, hone_error *err)
{
    const layout_saved *s = &o->l.saved[index];
    uint64_t begins = 0; /* of the piece's plane, in the tensor */
    size_t i;
    hone_status st = HONE_OK;
    for (i = o->l.of_param[s->param]; !st && bytes && i < o->l.of_param[s->param + 1]; i++) {
        const piece *p = &o->l.pieces[i];
        const plane *q = &p->planes[s->state][s->plane];
        if (at < begins + q->bytes) {
            const uint64_t skip = at - begins, left = q->bytes - skip;
            const uint64_t n = bytes < left ? bytes : left;
            st = to_store ? store_write(o->store, p->page, q->at + skip, mem, n, err)
                          : store_read(o->store, p->page, q->at + skip, mem, n, err);
            at += n;
            mem += n;
            bytes -= n;
        }
        begins += q->bytes;
    }
    return st;
}

hone_status optimizer_read(optimizer *o, size_t index, uint64_t at, void *dst, uint64_t bytes,
                           hone_error *err)
{
    return move(o, index, at, dst, bytes, false, err);
}

hone_status optimizer_write(optimizer *o, size_t index, uint64_t at, const void *src,
                            uint64_t bytes, hone_error *err)
{
    return move(o, index, at, (uint8_t *)(uintptr_t)src, bytes, true, err);
}
