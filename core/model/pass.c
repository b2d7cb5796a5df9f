/*
 * pass.c - a batch's numbers on their way to the device, and the calls of a model.
 *
 * A batch is checked before it is sent: an id outside the vocabulary would be an index
 * outside a table. Its int32 arrays go up in one upload, packed one behind another.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "core/model/impl.h"

/* ------------------------------------------------------------------------- inputs */

static hone_status check_batch(const model *m, const batch *b, hone_error *err)
{
    const int64_t vocab = m->c.dim[DIM_V];
    if (b->n < 1 || b->n > m->capacity)
        return hone_fail(err, HONE_ERR_LIMIT, "batch: %d tokens, the model holds 1 to %lld", b->n,
                         (long long)m->capacity);
    if (b->n_sequences < 1 || b->n_sequences > m->max_sequences)
        return hone_fail(err, HONE_ERR_LIMIT, "batch: %d sequences, the model holds 1 to %lld",
                         b->n_sequences, (long long)m->max_sequences);
    if (b->n_learned < 0 || b->n_learned > b->n)
        return hone_fail(err, HONE_ERR_ARG, "batch: %d supervised positions of %d", b->n_learned,
                         b->n);
    for (int32_t i = 0; i < b->n; i++) {
        if (b->ids[i] < 0 || b->ids[i] >= vocab)
            return hone_fail(err, HONE_ERR_ARG,
                             "batch: token %d has id %d, the model's vocabulary ends at %lld", i,
                             b->ids[i], (long long)vocab - 1);
        if (b->position[i] < 0 || b->position[i] >= m->positions)
            return hone_fail(err, HONE_ERR_LIMIT,
                             "batch: token %d is at position %d, the model was opened for %lld", i,
                             b->position[i], (long long)m->positions);
        if (b->seg_start[i] < 0 || b->seg_start[i] > i)
            return hone_fail(err, HONE_ERR_ARG, "batch: token %d starts its sequence at %d", i,
                             b->seg_start[i]);
    }
    for (int32_t s = 0; s < b->n_sequences; s++)
        if (b->cu[s] < 0 || b->cu[s] > b->cu[s + 1] || b->cu[s + 1] > b->n)
            return hone_fail(err, HONE_ERR_ARG, "batch: sequence %d covers tokens [%d, %d) of %d",
                             s, b->cu[s], b->cu[s + 1], b->n);
    for (int32_t i = 0; i < b->n_learned; i++)
        if (b->learn_row[i] < 0 || b->learn_row[i] >= b->n || b->target[i] < 0 ||
            b->target[i] >= vocab)
            return hone_fail(err, HONE_ERR_ARG,
                             "batch: supervised position %d is token %d with target %d", i,
                             b->learn_row[i], b->target[i]);
    return HONE_OK;
}

/* Where the next array goes. */
typedef struct packer {
    const model *m;
    int64_t at; /* int32 elements */
} packer;

/* n numbers into the staging copy, at a multiple of 64 bytes; p NULL: left to the caller. */
static hone_tensor pack(packer *k, const int32_t *p, int64_t n, int32_t **place)
{
    const hone_tensor t = hone_tensor_1d(
        k->m->buf, k->m->arena.inputs + (uint64_t)k->at * sizeof(int32_t), HONE_I32, n);
    if (p && n)
        memcpy(k->m->staging + k->at, p, (size_t)n * sizeof *p);
    if (place)
        *place = k->m->staging + k->at;
    k->at += (n + 15) / 16 * 16;
    return t;
}

static hone_status send(const packer *k, hone_error *err)
{
    return ops_upload(k->m->o, k->m->buf, k->m->arena.inputs, k->m->staging,
                      (uint64_t)k->at * sizeof(int32_t), err);
}

static hone_status begin(model *m, const packer *k, hone_error *err)
{
    hone_status st = send(k, err);
    if (st == HONE_OK && m->stale)
        st = weights_refresh(m, err);
    m->stale = m->stale && st != HONE_OK;
    return st;
}

hone_status pass_begin(model *m, pass *p, const batch *b, hone_error *err)
{
    packer k = { m, 0 };
    int32_t *last;
    hone_status st = check_batch(m, b, err);
    if (st != HONE_OK)
        return st;
    *p = (pass){ .n = b->n,
                 .n_learned = b->n_learned,
                 .n_sequences = (uint32_t)b->n_sequences,
                 .max_q = b->longest,
                 .max_k = b->longest };
    p->ids = pack(&k, b->ids, b->n, NULL);
    p->position = pack(&k, b->position, b->n, NULL);
    p->first_key = pack(&k, b->seg_start, b->n, NULL);
    p->last_key = pack(&k, NULL, b->n, &last);
    for (int32_t i = 0; i < b->n; i++)
        last[i] = i;
    p->cu_q = p->cu_k = pack(&k, b->cu, b->n_sequences + 1, NULL);
    p->learn_row = pack(&k, b->learn_row, b->n_learned, NULL);
    p->target = pack(&k, b->target, b->n_learned, NULL);
    return begin(m, &k, err);
}

hone_status pass_begin_cached(model *m, pass *p, const int32_t *ids, int64_t n, hone_error *err)
{
    packer k = { m, 0 };
    int32_t *position, *first, *last;
    const int32_t cu_q[2] = { 0, (int32_t)n }, cu_k[2] = { 0, (int32_t)(m->fed + n) };
    *p = (pass){
        .n = n, .n_sequences = 1, .max_q = n, .max_k = m->fed + n, .past = m->fed, .cached = true
    };
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= m->c.dim[DIM_V])
            return hone_fail(err, HONE_ERR_ARG, "model: token id %d, the vocabulary ends at %lld",
                             ids[i], (long long)m->c.dim[DIM_V] - 1);
    p->ids = pack(&k, ids, n, NULL);
    p->position = pack(&k, NULL, n, &position);
    p->first_key = pack(&k, NULL, n, &first);
    p->last_key = pack(&k, NULL, n, &last);
    for (int64_t i = 0; i < n; i++) {
        first[i] = 0;
        position[i] = last[i] = (int32_t)(m->fed + i);
    }
    p->cu_q = pack(&k, cu_q, 2, NULL);
    p->cu_k = pack(&k, cu_k, 2, NULL);
    return begin(m, &k, err);
}

/* Parts are sequences of the attention; the rows of the cache between them are sequences without a
 * query, so that keys need not lie together. */
hone_status pass_begin_parts(model *m, pass *p, const model_part *parts, size_t n_parts,
                             hone_error *err)
{
    packer k = { m, 0 };
    int32_t *ids, *position, *first, *last, *cu_q, *cu_k, *rows;
    int64_t n = 0, key = 0, at = 0;
    for (size_t i = 0; i < n_parts; i++) {
        const model_part *part = &parts[i];
        if (part->first < key || part->past < 0 || part->n < 1 ||
            part->past > m->context - part->first ||
            part->n > m->context - part->first - part->past)
            return hone_fail(
                err, HONE_ERR_LIMIT,
                "model: part %zu is cache rows %lld+%lld+%lld; there are %lld, and %lld "
                "are taken",
                i, (long long)part->first, (long long)part->past, (long long)part->n,
                (long long)m->context, (long long)key);
        key = part->first + part->past + part->n;
        if (part->n > m->capacity - n)
            return hone_fail(err, HONE_ERR_LIMIT, "model: parts of more than %lld ids",
                             (long long)m->capacity);
        n += part->n;
        for (int64_t j = 0; j < part->n; j++)
            if (part->ids[j] < 0 || part->ids[j] >= m->c.dim[DIM_V])
                return hone_fail(err, HONE_ERR_ARG,
                                 "model: token id %d, the vocabulary ends at %lld", part->ids[j],
                                 (long long)m->c.dim[DIM_V] - 1);
    }
    if (!n || 2 * (int64_t)n_parts > m->max_sequences || (int64_t)n_parts > m->arena.chunk)
        return hone_fail(err, HONE_ERR_LIMIT, "model: %zu parts; expected 1 to %lld", n_parts,
                         (long long)(m->max_sequences / 2));
    *p = (pass){ .n = n,
                 .n_sequences = (uint32_t)(2 * n_parts),
                 .max_q = n,
                 .max_k = m->context,
                 .parts = parts,
                 .n_parts = n_parts };
    p->ids = pack(&k, NULL, n, &ids);
    p->position = pack(&k, NULL, n, &position);
    p->first_key = pack(&k, NULL, n, &first);
    p->last_key = pack(&k, NULL, n, &last);
    p->cu_q = pack(&k, NULL, 2 * (int64_t)n_parts + 1, &cu_q);
    p->cu_k = pack(&k, NULL, 2 * (int64_t)n_parts + 1, &cu_k);
    p->learn_row = pack(&k, NULL, (int64_t)n_parts, &rows);
    cu_q[0] = 0;
    cu_k[0] = (int32_t)parts[0].first;
    for (size_t i = 0; i < n_parts; i++) {
        const model_part *part = &parts[i];
        const bool is_last = i + 1 == n_parts;
        memcpy(ids + at, part->ids, (size_t)part->n * sizeof *ids);
        for (int64_t j = 0; j < part->n; j++) {
            position[at + j] = (int32_t)(part->past + j);
            first[at + j] = (int32_t)part->first;
            last[at + j] = (int32_t)(part->first + part->past + j);
        }
        at += part->n;
        rows[i] = (int32_t)at - 1;
        cu_q[2 * i + 1] = cu_q[2 * i + 2] = (int32_t)at;
        cu_k[2 * i + 1] = last[at - 1] + 1;
        cu_k[2 * i + 2] = is_last ? last[at - 1] + 1 : (int32_t)parts[i + 1].first;
    }
    return begin(m, &k, err);
}

/* ------------------------------------------------------------------------- passes */

/* Take the losses of past micro-batches down before their slots are used again. */
static hone_status drain_losses(model *m, hone_error *err)
{
    float loss[LOSS_SLOTS];
    if (!m->losses)
        return HONE_OK;
    hone_status st =
        ops_download(m->o, loss, m->buf, m->arena.loss, (uint64_t)m->losses * sizeof *loss, err);
    if (st != HONE_OK)
        return st;
    for (int32_t i = 0; i < m->losses; i++)
        m->loss_sum += loss[i];
    m->losses = 0;
    return HONE_OK;
}

hone_status model_train(model *m, const batch *b, float scale, int64_t step, int64_t micro,
                        hone_error *err)
{
    pass p;
    if (!m->train)
        return hone_fail(err, HONE_ERR_STATE, "model: it was opened without training");
    hone_status st = pass_begin(m, &p, b, err);
    if (st != HONE_OK || !p.n_learned)
        return st;
    p.dropout = true;
    p.draw = rng_u64(m->seed, (uint64_t)step, (uint64_t)micro);
    if (m->losses == LOSS_SLOTS)
        st = drain_losses(m, err);
    if (st == HONE_OK)
        st = forward_blocks(m, &p, err);
    if (st == HONE_OK)
        st = forward_loss(m, &p, true, scale, false, err);
    if (st == HONE_OK)
        st = backward_blocks(m, &p, err);
    return st;
}

hone_status model_eval(model *m, const batch *b, float *nll, hone_error *err)
{
    pass p;
    hone_status st = pass_begin(m, &p, b, err);
    if (st != HONE_OK || !p.n_learned)
        return st;
    if (m->losses == LOSS_SLOTS)
        st = drain_losses(m, err);
    if (st == HONE_OK)
        st = forward_blocks(m, &p, err);
    if (st == HONE_OK)
        st = forward_loss(m, &p, false, 1, nll != NULL, err);
    if (st == HONE_OK && nll)
        st =
            ops_download(m->o, nll, m->buf, m->arena.nll, (uint64_t)p.n_learned * sizeof *nll, err);
    return st;
}

hone_status model_loss(model *m, double *sum, hone_error *err)
{
    hone_status st = drain_losses(m, err);
    if (st != HONE_OK)
        return st;
    *sum = m->loss_sum;
    m->loss_sum = 0;
    return HONE_OK;
}

hone_status model_logits(model *m, const batch *b, float *logits, hone_error *err)
{
    pass p;
    const int64_t vocab = m->c.dim[DIM_V], chunk = m->arena.chunk;
    hone_status st = pass_begin(m, &p, b, err);
    if (st == HONE_OK)
        st = forward_blocks(m, &p, err);
    for (int64_t i = 0; i < p.n && st == HONE_OK; i += chunk) {
        const int64_t n = p.n - i < chunk ? p.n - i : chunk;
        st = forward_logits(m, i, n, err);
        if (st == HONE_OK)
            st = ops_download(m->o, logits + i * vocab, m->buf, m->arena.logits,
                              (uint64_t)(n * vocab) * sizeof *logits, err);
    }
    return st;
}

hone_status model_embed(model *m, const batch *b, float *out, hone_error *err)
{
    pass p;
    const int64_t channels = m->c.dim[DIM_C];
    float *h = mem_new((size_t)m->capacity, (size_t)channels * sizeof *h);
    hone_status st = h ? pass_begin(m, &p, b, err)
                       : hone_fail(err, HONE_ERR_NOMEM, "model: no memory for hidden states");
    if (st == HONE_OK)
        st = forward_blocks(m, &p, err);
    if (st == HONE_OK)
        st = forward_hidden(m, 0, p.n, err);
    if (st == HONE_OK)
        st =
            ops_download(m->o, h, m->buf, m->arena.hn, (uint64_t)(p.n * channels) * sizeof *h, err);
    for (int32_t s = 0; s < b->n_sequences && st == HONE_OK; s++)
        for (int64_t c = 0; c < channels; c++) {
            double sum = 0;
            for (int32_t i = b->cu[s]; i < b->cu[s + 1]; i++)
                sum += h[i * channels + c];
            out[s * channels + c] =
                b->cu[s + 1] > b->cu[s] ? (float)(sum / (b->cu[s + 1] - b->cu[s])) : 0;
        }
    free(h);
    return st;
}
