/*
 * dataset_rows.c - one sample to one row of ids and labels.
 *
 * Labels say what is learned: for raw text everything, for turns the answer and
 * its end, for token rows what they bring. The first token of a row is never
 * predicted, whatever its label.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/dataset.h"
#include "core/data/template.h"

#include <stdlib.h>

void row_job_finish(row_job *j)
{
    sample_finish(&j->s);
    free(j->r.ids);
    free(j->r.labels);
    free(j->r.id);
    free(j->r.file);
    free(j->roles);
    *j = (row_job){ 0 };
}

/* ------------------------------------------------------------------- one sample */

static bool is_blank(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n\f\v", p[i]) || !p[i])
            return false;
    return true;
}

/* Nothing to learn but white space, though something was meant to be learned. */
static bool sample_is_empty(const sample *s)
{
    bool asked = false;
    if (s->ids)
        return false;
    for (size_t i = 0; i < s->n_segments; i++) {
        if (!s->segments[i].learn)
            continue;
        asked = true;
        if (!is_blank(s->segments[i].text, s->segments[i].n))
            return false;
    }
    return asked || !s->n_segments;
}

static hone_status take_arrays(row_job *j, size_t n, hone_error *err)
{
    if (n > INT32_MAX)
        return hone_fail(err, HONE_ERR_LIMIT, "a row of %zu tokens is too long", n);
    j->r.ids = mem_new(n, sizeof *j->r.ids);
    j->r.labels = mem_new(n, sizeof *j->r.labels);
    j->roles = mem_new(n, 1);
    if (!j->r.ids || !j->r.labels || !j->roles)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a row of %zu tokens", n);
    j->r.n = (int32_t)n;
    return HONE_OK;
}

static hone_status row_of_ids(row_job *j, hone_error *err)
{
    const sample *s = &j->s;
    const hone_status st = take_arrays(j, s->n_ids, err);
    if (st)
        return st;
    memcpy(j->r.ids, s->ids, s->n_ids * sizeof *s->ids);
    memcpy(j->r.labels, s->labels ? s->labels : s->ids, s->n_ids * sizeof *s->ids);
    for (size_t i = 0; i < s->n_ids; i++)
        j->r.paired |= j->r.labels[i] == LABEL_MASKED;
    return HONE_OK;
}

/* Proof: a segment that is to be a special token is that one, and none of its text is another's. */
static hone_status prove_specials(const row_maker *l, const sample *s, const tokens *k,
                                  hone_error *err)
{
    size_t at = 0, t = 0;
    for (size_t i = 0; i < s->n_segments; i++) {
        const sample_segment *g = &s->segments[i];
        const size_t end = at + g->n;
        if (g->role == ROLE_SPECIAL) {
            while (t < k->n && k->p[t].end <= at)
                t++;
            const char *piece = t < k->n ? tokenizer_piece(l->t, k->p[t].id) : NULL;
            if (!piece || k->p[t].start != at || k->p[t].end != end || strcmp(piece, g->text) != 0)
                return hone_fail(
                    err, HONE_ERR_FORMAT,
                    "segment %zu: \"%.80s\" is no special token of this model: prepare "
                    "the data with the model it is for",
                    i + 1, g->text);
        }
        at = end;
    }
    return HONE_OK;
}

static bool has_specials(const sample *s)
{
    bool any = false;
    for (size_t i = 0; i < s->n_segments; i++)
        any |= s->segments[i].role == ROLE_SPECIAL;
    return any;
}

/* Is the token in a segment that is to be one? */
static bool meant(const sample *s, const token *k)
{
    size_t at = 0;
    for (size_t i = 0; i < s->n_segments; at += s->segments[i++].n)
        if (s->segments[i].role == ROLE_SPECIAL && at == k->start)
            return true;
    return false;
}

/* Raw text: all segments as one text, BOS and EOS around it where asked for and not there
 * already; what a special token ends needs no other end. */
static hone_status row_of_text(const row_maker *l, row_job *j, hone_error *err)
{
    const int32_t bos = tokenizer_bos(l->t), eos = tokenizer_eos(l->t);
    const sample *s = &j->s;
    text all = { 0 };
    tokens k = { 0 };
    hone_status st = HONE_OK;
    span *spans = mem_new(s->n_segments, sizeof *spans);
    size_t n_spans = 0;
    if (!spans) {
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu segments", s->n_segments);
        goto out;
    }
    for (size_t i = 0; i < s->n_segments; i++) {
        const size_t start = all.n;
        text_add(&all, s->segments[i].text, s->segments[i].n);
        if (s->segments[i].learn)
            spans[n_spans++] = (span){ start, all.n };
    }
    if ((st = text_status(&all, err)) ||
        (st = tokenizer_encode(l->t, all.p ? all.p : "", all.n, ENCODE_SPECIAL, &k, &j->lost, err)))
        goto out;
    const bool has_bos = k.n && k.p[0].id == bos, has_eos = k.n && k.p[k.n - 1].id == eos;
    const size_t front = l->o->raw_bos && tokenizer_adds_bos(l->t) && bos >= 0 && !has_bos;
    const bool ended = s->segments[s->n_segments - 1].role == ROLE_SPECIAL;
    const size_t back = l->o->raw_eos && eos >= 0 && !has_eos && !ended;
    const bool specials = has_specials(s);
    if ((specials && (st = prove_specials(l, s, &k, err))) ||
        (st = take_arrays(j, front + k.n + back, err)))
        goto out;
    j->r.paired =
        specials && n_spans < s->n_segments; /* not to be cut: its parts need each other */
    template_label(&k, spans, n_spans, j->r.labels + front);
    for (size_t i = 0; i < k.n; i++) {
        j->r.ids[front + i] = k.p[i].id;
        const bool marker = (i == 0 && has_bos) || (i + 1 == k.n && has_eos);
        if (tokenizer_is_special(l->t, k.p[i].id) && !marker && !(specials && meant(s, &k.p[i])))
            j->special = k.p[i].id;
    }
    if (front)
        j->r.ids[0] = j->r.labels[0] = bos;
    if (back) { /* the end is learned when what it ends is */
        const bool learned = s->n_segments && s->segments[s->n_segments - 1].learn;
        j->r.ids[front + k.n] = eos;
        j->r.labels[front + k.n] = learned ? eos : LABEL_MASKED;
    }
out:
    text_finish(&all);
    tokens_finish(&k);
    free(spans);
    return st;
}

/* Proof: each learned turn has an end-of-turn token, and it is learned. */
static hone_status prove_ends(const row_maker *l, const row_job *j, const rendered *r,
                              const tokens *k, hone_error *err)
{
    size_t n_stops, i = 0;
    const int32_t *stops = chat_template_stops(l->c, &n_stops);
    for (size_t e = 0; e < r->n_ends; e++) {
        bool proved = false;
        while (i < k->n && k->p[i].start < r->ends[e].start)
            i++;
        for (; i < k->n && k->p[i].start < r->ends[e].end; i++)
            for (size_t s = 0; s < n_stops; s++)
                proved |= k->p[i].id == stops[s] && j->r.labels[i] == stops[s];
        if (!proved)
            return hone_fail(
                err, HONE_ERR_STATE,
                "the end of learned turn %zu of %zu (\"%.*s\") is not learned: the model "
                "would not learn to stop; use another template than %s",
                e + 1, r->n_ends, (int)(r->ends[e].end - r->ends[e].start),
                r->text.p + r->ends[e].start, chat_template_name(l->c));
    }
    return HONE_OK;
}

/* Whose token is it, and do the sample's own words spell a special token? */
static void attribute(const row_maker *l, row_job *j, const rendered *r, const tokens *k)
{
    size_t p = 0;
    for (size_t i = 0; i < k->n; i++) {
        while (p + 1 < r->n_parts && k->p[i].start >= r->parts[p].end)
            p++;
        if (!r->n_parts)
            continue;
        j->roles[i] = (uint8_t)r->parts[p].role;
        if (r->parts[p].content && tokenizer_is_special(l->t, k->p[i].id))
            j->special = k->p[i].id;
    }
}

static hone_status row_of_turns(const row_maker *l, row_job *j, hone_error *err)
{
    const sample *s = &j->s;
    rendered r = { 0 };
    tokens k = { 0 };
    hone_status st = HONE_OK;
    message *m = mem_new(s->n_segments, sizeof *m);
    if (!m)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu turns", s->n_segments);
    for (size_t i = 0; i < s->n_segments; i++)
        m[i] = (message){ s->segments[i].role,
                          { s->segments[i].text, s->segments[i].n },
                          !s->segments[i].learn };
    if (!l->c) {
        st =
            hone_fail(err, HONE_ERR_ARG,
                      "the row has roles and needs a chat template, and the model brings none; set "
                      "template to a named one (plain, chatml, ...) or to a file of your own");
        goto out;
    }
    if ((st = template_encode(l->c, m, s->n_segments, false, l->o->date, &r, &k, &j->lost, err)) ||
        (st = take_arrays(j, k.n, err)))
        goto out;
    j->r.paired = 1;
    j->left_out = r.n_left_out > 0;
    for (size_t i = 0; i < k.n; i++)
        j->r.ids[i] = k.p[i].id;
    if (l->o->learn_prompt)
        memcpy(j->r.labels, j->r.ids, k.n * sizeof *j->r.ids);
    else
        template_label(&k, r.spans, r.n_spans, j->r.labels);
    attribute(l, j, &r, &k);
    st = prove_ends(l, j, &r, &k, err);
out:
    free(m);
    rendered_finish(&r);
    tokens_finish(&k);
    return st;
}

hone_status row_make(const row_maker *l, row_job *j, hone_error *err)
{
    const int32_t bos = tokenizer_bos(l->t);
    j->special = -1;
    j->empty = sample_is_empty(&j->s);
    if (j->empty)
        return HONE_OK;
    const hone_status st =
        j->s.ids ? row_of_ids(j, err)
        : j->s.segments[0].role == ROLE_RAW || j->s.segments[0].role == ROLE_SPECIAL
            ? row_of_text(l, j, err)
            : row_of_turns(l, j, err);
    if (!st && bos >= 0 && j->r.n > 1 && j->r.ids[0] == bos && j->r.ids[1] == bos)
        return hone_fail(
            err, HONE_ERR_FORMAT,
            "the row starts with two BOS tokens (id %d): its text brings one of its own; "
            "take that out",
            bos);
    return st;
}

hone_status sample_row(row *out, const dataset_options *o, const sample *s, const tokenizer *t,
                       const chat_template *c, hone_error *err)
{
    const row_maker m = { o, t, c };
    row_job j = { .s = *s }; /* borrowed */
    hone_status st = row_make(&m, &j, err);
    if (!st && j.empty)
        st = hone_fail(err, HONE_ERR_SKIP, "there is no text to learn: training leaves it out");
    if (!st) {
        *out = j.r;
        for (int32_t i = 1; i < out->n; i++)
            out->n_learned += out->labels[i] != LABEL_MASKED;
        j.r = (row){ 0 };
    }
    j.s = (sample){ 0 };
    row_job_finish(&j);
    return st;
}
