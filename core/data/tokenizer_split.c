/*
 * tokenizer_split.c - pre-tokenizers: text to the parts that are tokenized alone.
 *
 * Each step turns a list of parts into another one, and may write the text anew. A
 * published pattern matches at every character and needs no list of cuts; any other
 * goes through cuts and the five behaviours of the tokenizer.json format.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_impl.h"

static void parts_add(parts *s, const view *v, uint32_t start, uint32_t end)
{
    if (start >= end || s->failed)
        return;
    if (s->n == s->cap && !mem_grow(&s->p, &s->cap, s->n + 1, sizeof *s->p)) {
        s->failed = true;
        return;
    }
    s->p[s->n++] = (part){ start, end, view_range(v, start, end).a };
}

static void cut_add(scratch *s, uint32_t start, uint32_t end, bool match)
{
    if (s->n_cuts == s->cap_cuts &&
        !mem_grow(&s->cuts, &s->cap_cuts, s->n_cuts + 1, sizeof *s->cuts)) {
        s->t.failed = true;
        return;
    }
    s->cuts[s->n_cuts++] = (fragment){ start, end, match };
}

/* ---------------------------------------------------------------------------- cuts */

static hone_status cut_regex(scratch *s, const regex *re, const view *v, part in, hone_error *err)
{
    regex_scan scan;
    uint32_t from = in.start;
    bool found;
    hone_status status = regex_begin(&scan, re, v->p + in.start, in.end - in.start, err);
    while (!status && !(status = regex_next(&scan, &found, err)) && found) {
        const uint32_t start = in.start + (uint32_t)scan.start, end = in.start + (uint32_t)scan.end;
        if (start != from)
            cut_add(s, from, start, false);
        cut_add(s, start, end, true);
        from = end;
    }
    regex_end(&scan);
    if (from != in.end)
        cut_add(s, from, in.end, false);
    return status;
}

static void cut_digits(scratch *s, const view *v, part in)
{
    uint32_t i, from = in.start;
    size_t len;
    for (i = in.start; i < in.end; i += (uint32_t)len) {
        if (!(uc_class(uc_get(v->p + i, &len)) & UC_NUMERIC))
            continue;
        if (from < i)
            cut_add(s, from, i, false);
        from = i + (uint32_t)len;
        cut_add(s, i, from, true);
    }
    if (from < in.end)
        cut_add(s, from, in.end, false);
}

static void cut_mark(scratch *s, const char *mark, const view *v, part in)
{
    const size_t n = strlen(mark);
    uint32_t from = in.start;
    const char *hit;
    while ((hit = memmem(v->p + from, in.end - from, mark, n))) {
        const uint32_t at = (uint32_t)(hit - v->p);
        if (from < at)
            cut_add(s, from, at, false);
        from = at + (uint32_t)n;
        cut_add(s, at, from, true);
    }
    if (from < in.end)
        cut_add(s, from, in.end, false);
}

/* Cuts to parts. A match joins its neighbour in front (or behind) unless that is a
 * match that joined nothing; two neighbours of a kind are one for CONTIGUOUS. */
static void join(scratch *s, const view *v, int behavior, bool invert)
{
    size_t i;
    bool before = false, open = false;
    uint32_t start = 0, end = 0;
    const size_t n = s->n_cuts;
    for (i = 0; i < n; i++) {
        const fragment c = s->cuts[behavior == SPLIT_NEXT ? n - 1 - i : i];
        const bool match = c.match != invert;
        bool extends = false;
        if (behavior == SPLIT_REMOVED && match)
            continue;
        if (behavior == SPLIT_CONTIGUOUS)
            extends = open && match == before;
        else if (behavior == SPLIT_PREVIOUS || behavior == SPLIT_NEXT)
            extends = open && match && !before;
        before = match;
        if (extends && behavior == SPLIT_NEXT) {
            start = c.start;
        } else if (extends) {
            end = c.end;
        } else {
            if (open)
                parts_add(&s->t, v, start, end);
            start = c.start;
            end = c.end;
            open = true;
        }
    }
    if (open)
        parts_add(&s->t, v, start, end);
}

static void reverse(part *p, size_t i, size_t n)
{
    for (; i + 1 < n; i++, n--) {
        const part x = p[i];
        p[i] = p[n - 1];
        p[n - 1] = x;
    }
}

static void split_by_cuts(scratch *s, const view *v, int behavior, bool invert)
{
    const size_t first = s->t.n;
    join(s, v, behavior, invert);
    if (behavior == SPLIT_NEXT)
        reverse(s->t.p, first, s->t.n);
    s->n_cuts = 0;
}

static void split_by_scan(scratch *s, const view *v, scanner scan, part in)
{
    const char *p = v->p + in.start;
    const size_t n = in.end - in.start;
    size_t i = 0, end;
    for (; i < n; i = end) {
        end = scan(p, n, i);
        parts_add(&s->t, v, in.start + (uint32_t)i, in.start + (uint32_t)end);
    }
}

/* ------------------------------------------------------------------- steps that write */

/* Every part anew into out, by `write`; parts keep where they came from. */
static void rewrite(scratch *s, const pre_tokenizer *m, view *v, aligned *out,
                    void (*write)(const pre_tokenizer *m, const view *v, part in, aligned *out))
{
    size_t i;
    out->n = 0;
    for (i = 0; i < s->s.n; i++) {
        const uint32_t start = (uint32_t)out->n;
        write(m, v, s->s.p[i], out);
        s->s.p[i].start = start;
        s->s.p[i].end = (uint32_t)out->n;
    }
    if (out->failed)
        s->s.failed = true;
    else
        *v = aligned_view(out);
}

static void write_prefix(const pre_tokenizer *m, const view *v, part in, aligned *out)
{
    (void)m;
    if (v->p[in.start] != ' ')
        aligned_add(out, " ", 1, view_range(v, in.start, in.start));
    aligned_copy(out, v, in.start, in.end);
}

static void write_mapped(const pre_tokenizer *m, const view *v, part in, aligned *out)
{
    (void)m;
    map_bytes(v, in.start, in.end, out);
}

static void write_marked(const pre_tokenizer *m, const view *v, part in, aligned *out)
{
    const size_t n = strlen(m->mark);
    uint32_t i, from = in.start;
    const bool has = v->p[in.start] == ' ' ||
                     (in.end - in.start >= n && memcmp(v->p + in.start, m->mark, n) == 0);
    if (!has && (m->scheme == SCHEME_ALWAYS || (m->scheme == SCHEME_FIRST && in.origin == 0)))
        aligned_add(out, m->mark, n, view_range(v, in.start, in.start));
    for (i = in.start; i < in.end; i++) {
        if (v->p[i] != ' ')
            continue;
        aligned_copy(out, v, from, i);
        aligned_add(out, m->mark, n, view_range(v, i, i + 1));
        from = i + 1;
    }
    aligned_copy(out, v, from, in.end);
}

/* ------------------------------------------------------------------------------ steps */

static hone_status step(const pre_tokenizer *m, scratch *s, view *v, bool *split, hone_error *err)
{
    size_t i;
    hone_status status = HONE_OK;
    *split = true;
    switch (m->kind) {
    case PRE_METASPACE:
        rewrite(s, m, v, scratch_other(s->pre, v), write_marked);
        if (!m->split) {
            *split = false;
            return HONE_OK;
        }
        for (i = 0; i < s->s.n; i++) {
            cut_mark(s, m->mark, v, s->s.p[i]);
            split_by_cuts(s, v, SPLIT_NEXT, false);
        }
        return HONE_OK;
    case PRE_BYTELEVEL:
        if (m->prefix_space)
            rewrite(s, m, v, scratch_other(s->pre, v), write_prefix);
        *split = m->use_regex;
        for (i = 0; m->use_regex && i < s->s.n; i++)
            split_by_scan(s, v, scan_gpt2, s->s.p[i]);
        return HONE_OK;
    case PRE_MAP:
        *split = false;
        rewrite(s, m, v, scratch_other(s->pre, v), write_mapped);
        return HONE_OK;
    case PRE_DIGITS:
        for (i = 0; i < s->s.n; i++) {
            cut_digits(s, v, s->s.p[i]);
            split_by_cuts(s, v, m->individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, false);
        }
        return HONE_OK;
    default:
        for (i = 0; i < s->s.n && !status; i++) {
            if (m->scan) {
                split_by_scan(s, v, m->scan, s->s.p[i]);
                continue;
            }
            status = cut_regex(s, m->re, v, s->s.p[i], err);
            split_by_cuts(s, v, m->behavior, m->invert);
        }
        return status;
    }
}

hone_status pre_tokenize(const tokenizer *t, scratch *s, view *v, hone_error *err)
{
    size_t i;
    s->s.n = 0;
    parts_add(&s->s, v, 0, v->n);
    for (i = 0; i < t->n_pres && s->s.n; i++) {
        bool split;
        hone_status status;
        s->t.n = 0;
        status = step(t->pres + i, s, v, &split, err);
        if (status)
            return status;
        if (split) {
            const parts x = s->s;
            s->s = s->t;
            s->t = x;
        }
    }
    if (s->s.failed || s->t.failed)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory to split %u bytes", v->n);
    return HONE_OK;
}
