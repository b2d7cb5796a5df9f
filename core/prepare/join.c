/*
 * join.c - samples of full length, made of parts that several documents give.
 *
 * Parts come in the order of documents, whatever process read them, so that the samples do not
 * depend on who was faster. How many tokens a text has is only known of the whole: parts are added up,
 * and counted together before a sample is taken to be full, and before it is written.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/prepare/parts.h"

static hone_status count(const run *r, const char *p, size_t n, int64_t *out, hone_error *err)
{
    tokens t = { 0 };
    if (!r->in->tokenizer)
        return hone_fail(
            err, HONE_ERR_STATE,
            "samples of a number of tokens cannot be made without a tokenizer: set the "
            "model");
    const hone_status st =
        tokenizer_encode(r->in->tokenizer, p ? p : "", n, ENCODE_SPECIAL, &t, NULL, err);
    *out = (int64_t)t.n;
    tokens_finish(&t);
    return st;
}

static hone_status count_segments(const run *r, const sample *s, size_t from, size_t to,
                                  int64_t *out, hone_error *err)
{
    text t = { 0 };
    for (size_t i = from; i < to; i++)
        text_add(&t, s->segments[i].text, s->segments[i].n);
    hone_status st = text_status(&t, err);
    if (!st)
        st = count(r, t.p, t.n, out, err);
    text_finish(&t);
    return st;
}

/* Segments [from, n) of s, in s->file, go to the end of j. They are s's no more. */
static hone_status move_segments(joined *j, sample *s, size_t from, hone_error *err)
{
    sample *to = &j->s;
    if (!to->n_segments) {
        free(to->file);
        free(to->recipe);
        free(to->unit);
        free(to->version);
        to->version = s->version ? mem_strdup(s->version) : NULL;
        to->file = s->file ? mem_strdup(s->file) : NULL;
        to->recipe = s->recipe ? mem_strdup(s->recipe) : NULL;
        to->unit = s->unit ? mem_strdup(s->unit) : NULL;
        to->join = s->join;
        if ((s->version && !to->version) || (s->file && !to->file) || (s->recipe && !to->recipe) ||
            (s->unit && !to->unit))
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for a sample");
    }
    if (!mem_grow(&to->segments, &to->cap_segments, to->n_segments + s->n_segments - from,
                  sizeof *to->segments))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a sample");
    j->last = to->n_segments;
    for (size_t i = from; i < s->n_segments; i++) {
        sample_segment *g = &to->segments[to->n_segments++];
        *g = s->segments[i];
        s->segments[i] = (sample_segment){ 0 };
        if (!g->file && s->file && (!to->file || strcmp(s->file, to->file) != 0) &&
            !(g->file = mem_strdup(s->file)))
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for a sample");
        if (g->file && to->file && strcmp(g->file, to->file) == 0) {
            free(g->file);
            g->file = NULL;
        }
        text_add(&j->words, g->text, g->n);
    }
    s->n_segments = from;
    return text_status(&j->words, err);
}

/* What goes on where the segment before ended is one with it: a sample of a file has few segments. */
static hone_status merge(sample *s, hone_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_segments; i++) {
        sample_segment *g = &s->segments[i], *to = n ? &s->segments[n - 1] : NULL;
        const bool one = to && g->role == ROLE_RAW && to->role == ROLE_RAW &&
                         g->learn == to->learn &&
                         strcmp(g->file ? g->file : "", to->file ? to->file : "") == 0 &&
                         g->src_off == to->src_off + to->src_len && !g->src_len == !to->src_len;
        if (!one) {
            s->segments[n++] = *g;
            continue;
        }
        char *both = mem_new(to->n + g->n + 1, 1);
        if (!both)
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for a sample");
        memcpy(both, to->text, to->n);
        memcpy(both + to->n, g->text, g->n);
        both[to->n + g->n] = '\0';
        free(to->text);
        to->text = both;
        to->n += g->n;
        to->src_len += g->src_len;
        free(g->text);
        free(g->file);
        *g = (sample_segment){ 0 };
    }
    s->n_segments = n;
    return HONE_OK;
}

/* Written; what is too much of it, by its last part, begins the next. */
static hone_status flush(const run *r, joined *j,
                         hone_status (*write)(void *ctx, sample *s, hone_error *err), void *ctx,
                         hone_error *err)
{
    joined next = { 0 };
    int64_t n = 0;
    hone_status st = count(r, j->words.p, j->words.n, &n, err);
    if (!st && n > (int64_t)j->s.join && j->last) {
        sample rest = { .join = j->s.join,
                        .file = j->s.segments[j->last].file,
                        .recipe = j->s.recipe,
                        .unit = j->s.unit,
                        .version = j->s.version };
        const size_t from = j->last;
        if (!rest.file)
            rest.file = j->s.file;
        rest.segments = j->s.segments;
        rest.n_segments = j->s.n_segments;
        st = move_segments(&next, &rest, from, err);
        j->s.n_segments = from;
        next.last = 0;
        if (!st)
            st = count_segments(r, &next.s, 0, next.s.n_segments, &next.count, err);
    }
    if (!st && !(st = merge(&j->s, err)))
        st = write(ctx, &j->s, err);
    sample_finish(&j->s);
    text_finish(&j->words);
    *j = next;
    return st;
}

hone_status join_part(run *r, sample *part,
                      hone_status (*write)(void *ctx, sample *s, hone_error *err), void *ctx,
                      hone_error *err)
{
    joined *j = NULL;
    int64_t n = 0;
    hone_status st;
    if (!r->joined && !(r->joined = mem_new(r->crew.n_recipes, sizeof *r->joined)))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for samples");
    for (size_t i = 0; i < r->crew.n_recipes && !j; i++)
        if (strcmp(r->recipes[i].row.row->component, part->recipe) == 0)
            j = &r->joined[i];
    if ((st = count_segments(r, part, 0, part->n_segments, &n, err)))
        return st;
    if (j->s.n_segments && j->count + n > (int64_t)part->join) { /* by the sum; is it so? */
        text both = { 0 };
        int64_t exact = 0;
        text_add(&both, j->words.p, j->words.n);
        for (size_t i = 0; i < part->n_segments; i++)
            text_add(&both, part->segments[i].text, part->segments[i].n);
        if (!(st = text_status(&both, err)))
            st = count(r, both.p, both.n, &exact, err);
        text_finish(&both);
        if (st)
            return st;
        if (exact > (int64_t)part->join) {
            if ((st = flush(r, j, write, ctx, err)))
                return st;
        } else {
            j->count = exact - n;
        }
    }
    st = move_segments(j, part, 0, err);
    j->count += n;
    return st;
}

hone_status join_end(run *r, hone_status (*write)(void *ctx, sample *s, hone_error *err), void *ctx,
                     hone_error *err)
{
    hone_status st = HONE_OK;
    for (size_t i = 0; r->joined && i < r->crew.n_recipes && !st; i++)
        while (r->joined[i].s.n_segments && !st)
            st = flush(r, &r->joined[i], write, ctx, err);
    return st;
}

void join_finish(run *r)
{
    for (size_t i = 0; r->joined && i < r->crew.n_recipes; i++) {
        sample_finish(&r->joined[i].s);
        text_finish(&r->joined[i].words);
    }
    free(r->joined);
    r->joined = NULL;
}
