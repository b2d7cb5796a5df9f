/*
 * tokenizer_norm.c - normalizers, with the way back to the original bytes.
 *
 * A view whose text is still the original's carries no alignment; the first
 * normalizer that changes something writes text and alignment side by side. What is
 * put in front or replaces has the range of what it stands before or for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_impl.h"

#include <stdlib.h>
#include <utf8proc.h>

static bool aligned_grow(aligned *t, size_t n)
{
    if (t->failed || n > UINT32_MAX - t->n || !mem_grow(&t->p, &t->cap_p, t->n + n, 1) ||
        !mem_grow(&t->al, &t->cap_al, t->n + n, sizeof *t->al))
        t->failed = true;
    return !t->failed;
}

void aligned_add(aligned *t, const char *p, size_t n, align from)
{
    size_t i;
    if (!aligned_grow(t, n))
        return;
    if (n)
        memcpy(t->p + t->n, p, n);
    for (i = 0; i < n; i++)
        t->al[t->n + i] = from;
    t->n += n;
}

void aligned_copy(aligned *t, const view *v, uint32_t i, uint32_t j)
{
    uint32_t end;
    if (i >= j || !aligned_grow(t, j - i))
        return;
    memcpy(t->p + t->n, v->p + i, j - i);
    if (v->al) {
        memcpy(t->al + t->n, v->al + i, (j - i) * sizeof *t->al);
        t->n += j - i;
        return;
    }
    while (i < j) { /* every byte of a character has the character's range */
        const align from = view_range(v, i, i + (uint32_t)uc_len(v->p[i]));
        for (end = i + (uint32_t)uc_len(v->p[i]); i < end; i++)
            t->al[t->n++] = from;
    }
}

view aligned_view(const aligned *t)
{
    return (view){ t->p ? t->p : "", t->al, (uint32_t)t->n, 0 };
}

void aligned_finish(aligned *t)
{
    free(t->p);
    free(t->al);
    *t = (aligned){ 0 };
}

/* ------------------------------------------------------------------- the normalizers */

static hone_status do_prepend(const normalizer *m, const view *v, aligned *out)
{
    aligned_add(out, m->text, m->n, view_range(v, 0, 0));
    aligned_copy(out, v, 0, v->n);
    return HONE_OK;
}

static hone_status replace_regex(const normalizer *m, const view *v, aligned *out, hone_error *err)
{
    regex_scan scan;
    uint32_t from = 0;
    bool found;
    hone_status status = regex_begin(&scan, m->re, v->p, v->n, err);
    while (!status && !(status = regex_next(&scan, &found, err)) && found) {
        const uint32_t start = (uint32_t)scan.start, end = (uint32_t)scan.end;
        aligned_copy(out, v, from, start);
        aligned_add(out, m->text, m->n, view_range(v, start, end));
        from = end;
    }
    regex_end(&scan);
    aligned_copy(out, v, from, v->n);
    return status;
}

static hone_status do_replace(const normalizer *m, const view *v, aligned *out, hone_error *err)
{
    const char *hit = v->p;
    uint32_t from = 0;
    if (m->re)
        return replace_regex(m, v, out, err);
    while ((hit = memmem(v->p + from, v->n - from, m->pattern, m->n_pattern))) {
        const uint32_t start = (uint32_t)(hit - v->p), end = start + (uint32_t)m->n_pattern;
        aligned_copy(out, v, from, start);
        aligned_add(out, m->text, m->n, view_range(v, start, end));
        from = end;
    }
    aligned_copy(out, v, from, v->n);
    return HONE_OK;
}

void view_strip(view *v, bool left, bool right)
{
    uint32_t start = 0, end = v->n;
    size_t len;
    while (left && start < end && (uc_class(uc_get(v->p + start, &len)) & UC_SPACE))
        start += (uint32_t)len;
    while (right && end > start) {
        uint32_t at = end - 1;
        while (at > start && ((uint8_t)v->p[at] & 0xc0) == 0x80)
            at--;
        if (!(uc_class(uc_get(v->p + at, &len)) & UC_SPACE))
            break;
        end = at;
    }
    *v = view_slice(v, start, end);
}

static hone_status do_lowercase(const view *v, aligned *out)
{
    uint32_t i;
    size_t len;
    for (i = 0; i < v->n; i += (uint32_t)len) {
        const uint32_t cp = uc_get(v->p + i, &len), low = uc_lower(cp);
        const align from = view_range(v, i, i + (uint32_t)len);
        char buf[4];
        if (cp == low)
            aligned_copy(out, v, i, i + (uint32_t)len);
        else
            aligned_add(out, buf, utf8_put(low, buf), from);
        if (cp == 0x130) /* the one that becomes two: i and a dot above */
            aligned_add(out, "\xcc\x87", 2, from);
    }
    return HONE_OK;
}

void map_bytes(const view *v, uint32_t i, uint32_t j, aligned *out)
{
    uint32_t end;
    while (i < j) {
        const align from = view_range(v, i, i + (uint32_t)uc_len(v->p[i]));
        for (end = i + (uint32_t)uc_len(v->p[i]); i < end; i++) {
            char buf[4];
            aligned_add(out, buf, utf8_put(byte_to_char((uint8_t)v->p[i]), buf), from);
        }
    }
}

/* SentencePiece's remove_extra_whitespaces, but for what is behind: no space in front,
 * one where there are several. */
static hone_status do_spaces(const view *v, aligned *out)
{
    uint32_t i = 0, end;
    while (i < v->n) {
        for (end = i; end < v->n && v->p[end] != ' '; end++)
            ;
        aligned_copy(out, v, i, end);
        if (end < v->n && end > i) /* the first space behind a word */
            aligned_copy(out, v, end, end + 1);
        i = end + 1;
    }
    return HONE_OK;
}

static void do_trail(view *v) /* ... and the rest: no space mark behind */
{
    while (v->n >= 3 && memcmp(v->p + v->n - 3, META_MARK, 3) == 0)
        v->n -= 3;
}

static hone_status apply(const normalizer *m, scratch *s, const view *v, aligned *out,
                         hone_error *err)
{
    switch (m->kind) {
    case NORM_PREPEND:
        return do_prepend(m, v, out);
    case NORM_REPLACE:
        return do_replace(m, v, out, err);
    case NORM_LOWERCASE:
        return do_lowercase(v, out);
    case NORM_BYTELEVEL:
        map_bytes(v, 0, v->n, out);
        return HONE_OK;
    case NORM_SPACES:
        return do_spaces(v, out);
    default:
        return normal_form(m->kind, s, v, out, err);
    }
}

hone_status normalize(const tokenizer *t, scratch *s, view *v, hone_error *err)
{
    const bool at_start = !v->al && v->base == 0;
    size_t i;
    for (i = 0; i < t->n_norms && v->n; i++) {
        const normalizer *m = t->norms + i;
        aligned *out;
        hone_status status;
        if (m->kind == NORM_STRIP) {
            view_strip(v, m->left, m->right);
            continue;
        }
        if (m->kind == NORM_TRAIL) {
            do_trail(v);
            continue;
        }
        if (m->kind <= NORM_NFKD && normal_form_is_noop(m->kind, v->p, v->n))
            continue;
        if (m->kind == NORM_PREPEND && m->first && !at_start)
            continue;
        out = scratch_other(s->norm, v);
        out->n = 0;
        status = apply(m, s, v, out, err);
        if (!status && out->failed)
            status = hone_fail(err, HONE_ERR_NOMEM, "no memory to normalize %u bytes", v->n);
        if (status)
            return status;
        *v = aligned_view(out);
    }
    return HONE_OK;
}
