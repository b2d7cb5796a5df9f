/*
 * generate.c - the cache, and answers from it one token at a time.
 *
 * The cache holds keys and values of everything fed so far, on the device. Feeding
 * goes on behind it, in pieces that fit the arena; rewinding only forgets a count.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/impl.h"

int64_t model_fed(const model *m)
{
    return m->fed;
}

void model_rewind(model *m, int64_t n)
{
    if (n >= 0 && n < m->fed)
        m->fed = n;
}

hone_status model_feed(model *m, const int32_t *ids, size_t n, float *logits, hone_error *err)
{
    const int64_t start = m->fed;
    hone_status st = HONE_OK;
    if (!m->context)
        return hone_fail(err, HONE_ERR_STATE, "model: it was opened without a generation cache");
    if (!n)
        return hone_fail(err, HONE_ERR_ARG, "model: nothing to feed, expected at least one token");
    if (n > (uint64_t)(m->context - m->fed))
        return hone_fail(err, HONE_ERR_LIMIT,
                         "model: %zu tokens after %lld are more than the context of %lld", n,
                         (long long)m->fed, (long long)m->context);
    for (size_t i = 0; i < n && st == HONE_OK;) {
        const size_t left = n - i;
        const int64_t k = left < (uint64_t)m->capacity ? (int64_t)left : m->capacity;
        pass p;
        st = pass_begin_cached(m, &p, ids + i, k, err);
        if (st == HONE_OK)
            st = forward_blocks(m, &p, err);
        if (st == HONE_OK && logits && i + (size_t)k == n) {
            st = forward_logits(m, k - 1, 1, err);
            if (st == HONE_OK)
                st = ops_download(m->o, logits, m->buf, m->arena.logits,
                                  (uint64_t)m->c.dim[DIM_V] * sizeof *logits, err);
        }
        if (st == HONE_OK) {
            memcpy(m->fed_ids + m->fed, ids + i, (size_t)k * sizeof *ids);
            m->fed += k;
        }
        i += (size_t)k;
    }
    if (st != HONE_OK)
        m->fed = start; /* what is behind it counts as not written */
    return st;
}

int64_t model_capacity(const model *m)
{
    return m->capacity;
}

int64_t model_context(const model *m)
{
    return m->context;
}

int64_t model_max_sequences(const model *m)
{
    return m->max_sequences;
}

hone_status model_feed_parts(model *m, const model_part *parts, size_t n_parts, float *logits,
                             hone_error *err)
{
    pass p;
    if (!m->context || !n_parts)
        return hone_fail(err, HONE_ERR_STATE, "%s",
                         m->context ? "model: no parts to feed"
                                    : "model: it was opened without a generation cache");
    m->fed = 0;
    hone_status st = pass_begin_parts(m, &p, parts, n_parts, err);
    if (st == HONE_OK)
        st = forward_blocks(m, &p, err);
    if (st == HONE_OK && logits)
        st = forward_logits_of(m, &p, (int64_t)n_parts, err);
    if (st == HONE_OK && logits)
        st = ops_download(m->o, logits, m->buf, m->arena.logits,
                          (uint64_t)n_parts * (uint64_t)m->c.dim[DIM_V] * sizeof *logits, err);
    return st;
}

static bool is_stop(int32_t id, const int32_t *stops, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (stops[i] == id)
            return true;
    return false;
}

/* A NaN would make any choice look like one. The penalty sees all that is in the cache. */
static hone_status choose(const model *m, float *logits, const sampling *s, int32_t *id,
                          hone_error *err)
{
    const int64_t vocab = m->c.dim[DIM_V];
    for (int64_t i = 0; i < vocab; i++)
        if (isnan(logits[i]))
            return hone_fail(err, HONE_ERR_NUMERIC, "model: the logit of token %lld is no number",
                             (long long)i);
    *id = sample_token(logits, vocab, s, m->fed_ids, (size_t)m->fed, (uint64_t)m->fed);
    if (*id < 0)
        return hone_fail(err, HONE_ERR_NOMEM, "model: no memory to choose among %lld tokens",
                         (long long)vocab);
    return HONE_OK;
}

hone_status model_generate(model *m, const int32_t *prompt, size_t n, const sampling *s,
                           const int32_t *stops, size_t n_stops,
                           hone_status (*on_token)(void *ctx, int32_t id, hone_error *err),
                           void *ctx, tokens *out, const char **reason, hone_error *err)
{
    const char *why = "length";
    float *logits = mem_new((size_t)m->c.dim[DIM_V], sizeof *logits);
    hone_status st = logits ? model_feed(m, prompt, n, logits, err)
                            : hone_fail(err, HONE_ERR_NOMEM, "model: no memory for an answer");
    for (int64_t i = 0; i < s->max_tokens && st == HONE_OK; i++) {
        int32_t id;
        st = choose(m, logits, s, &id, err);
        if (st != HONE_OK)
            break;
        if (is_stop(id, stops, n_stops)) {
            why = "stop";
            break;
        }
        if (!mem_grow(&out->p, &out->cap, out->n + 1, sizeof *out->p)) {
            st = hone_fail(err, HONE_ERR_NOMEM, "model: no memory for an answer of %zu tokens",
                           out->n);
            break;
        }
        out->p[out->n++] = (token){ .id = id };
        if (on_token)
            st = on_token(ctx, id, err);
        if (st == HONE_ERR_CANCELLED) {
            why = "cancelled";
            st = HONE_OK;
            break;
        }
        if (st != HONE_OK || i + 1 == s->max_tokens)
            break;
        if (m->fed == m->context) {
            why = "context";
            break;
        }
        st = model_feed(m, &id, 1, logits, err);
    }
    if (st == HONE_OK && reason)
        *reason = why;
    free(logits);
    return st;
}
