/*
 * params.c - what trains: a list of named values and gradients in two buffers.
 *
 * Value and gradient of a parameter lie at the same offset of the two, a multiple of 64
 * bytes. All gradients are one buffer, so that one fill clears them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>

#include "core/model/impl.h"

#define ALIGN 64u /* bytes */

hone_status params_add(model *m, const char *name, int64_t rows, int64_t cols, bool vector,
                       bool decay, hone_tensor *value, hone_tensor *grad, hone_error *err)
{
    char *copy = mem_strdup(name);
    if (!copy || !mem_grow(&m->params, &m->params_cap, m->n_params + 1, sizeof *m->params) ||
        !mem_grow(&m->homes, &m->homes_cap, m->n_params + 1, sizeof *m->homes)) {
        free(copy);
        return hone_fail(err, HONE_ERR_NOMEM, "model: no memory for its list of parameters");
    }
    m->params[m->n_params] = (param){ .name = copy, .rows = rows, .cols = cols, .decay = decay };
    m->homes[m->n_params++] = (param_home){ value, grad, m->param_bytes, vector };
    m->param_bytes += ((uint64_t)(rows * cols) * sizeof(float) + ALIGN - 1) / ALIGN * ALIGN;
    return HONE_OK;
}

hone_status params_add_weights(model *m, hone_error *err)
{
    char name[TENSOR_NAME_SIZE];
    for (int64_t l = 0; l < m->c.layers; l++)
        for (const llama_tensor *t = llama_tensors; t->name; t++) {
            if (!llama_has(&m->c, t) || (l && !(t->flags & TENSOR_PER_LAYER)))
                continue;
            weight *w = weight_at(m, l, (int)(t - llama_tensors));
            llama_tensor_name(name, sizeof name, t, l);
            hone_status st =
                params_add(m, name, m->c.dim[t->rows], m->c.dim[t->cols], t->cols == DIM_1,
                           (t->flags & TENSOR_DECAY) != 0, &w->value, &w->grad, err);
            if (st != HONE_OK)
                return st;
        }
    return HONE_OK;
}

static hone_tensor view_of(hone_buf buf, const param *p, const param_home *home)
{
    if (!buf)
        return (hone_tensor){ 0 };
    if (home->vector)
        return hone_tensor_1d(buf, home->offset, HONE_F32, p->rows);
    return hone_tensor_2d(buf, home->offset, HONE_F32, p->rows, p->cols);
}

void params_plan(model *m)
{
    const bytes_kind values = m->adapter ? BYTES_ADAPTERS : BYTES_WEIGHTS;
    m->plan.bytes[values] += m->param_bytes;
    if (m->train)
        m->plan.bytes[BYTES_GRADIENTS] += m->param_bytes + m->n_params * sizeof(float);
}

hone_status params_alloc(model *m, hone_error *err)
{
    if (!m->n_params)
        return HONE_OK;
    hone_status st = model_alloc(m, &m->values, m->param_bytes, err);
    if (st == HONE_OK && m->train)
        st = model_alloc(m, &m->grads, m->param_bytes, err);
    if (st == HONE_OK && m->train)
        st = model_alloc(m, &m->sums, m->n_params * sizeof(float), err);
    if (st == HONE_OK && m->train && !(m->squares = mem_new(m->n_params, sizeof *m->squares)))
        st = hone_fail(err, HONE_ERR_NOMEM, "model: no memory for %zu norms", m->n_params);
    if (st != HONE_OK)
        return st;
    for (size_t i = 0; i < m->n_params; i++) {
        param *p = &m->params[i];
        const param_home *home = &m->homes[i];
        p->value = *home->value = view_of(m->values, p, home);
        p->grad = *home->grad = view_of(m->grads, p, home);
    }
    return m->train ? model_zero_grad(m, err) : HONE_OK;
}

void params_free(model *m)
{
    for (size_t i = 0; i < m->n_params; i++)
        free((char *)(uintptr_t)m->params[i].name);
    free(m->params);
    free(m->homes);
    free(m->squares);
    ops_free(m->o, m->values);
    ops_free(m->o, m->grads);
    ops_free(m->o, m->sums);
    m->params = NULL;
    m->homes = NULL;
    m->squares = NULL;
    m->n_params = 0;
    m->values = m->grads = m->sums = 0;
}

size_t model_param_count(const model *m)
{
    return m->train ? m->n_params : 0;
}

const param *model_param(const model *m, size_t i)
{
    return i < model_param_count(m) ? &m->params[i] : NULL;
}

hone_status model_zero_grad(model *m, hone_error *err)
{
    if (!m->grads)
        return HONE_OK;
    return ops_fill(m->o, hone_tensor_1d(m->grads, 0, HONE_F32, (int64_t)(m->param_bytes / 4)), 0,
                    err);
}

/* One sum per parameter on the device, the rest in double on the host: a sum over all
 * of a large model in float32 would lose digits. */
hone_status model_grad_norm(model *m, double *norm, hone_error *err)
{
    double total = 0;
    if (!m->grads) {
        *norm = 0;
        return HONE_OK;
    }
    hone_status st =
        ops_fill(m->o, hone_tensor_1d(m->sums, 0, HONE_F32, (int64_t)m->n_params), 0, err);
    for (size_t i = 0; i < m->n_params && st == HONE_OK; i++)
        st = ops_sumsq(m->o, hone_tensor_1d(m->sums, i * sizeof(float), HONE_F32, 1),
                       m->params[i].grad, err);
    if (st == HONE_OK)
        st = ops_download(m->o, m->squares, m->sums, 0, m->n_params * sizeof(float), err);
    for (size_t i = 0; i < m->n_params && st == HONE_OK; i++)
        total += m->squares[i];
    if (st == HONE_OK)
        *norm = sqrt(total);
    return st;
}
