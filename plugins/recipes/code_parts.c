/*
 * code_parts.c - functions of a document, places in its text, and how much of it fits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "code_parts.h"

#include <string.h>

hone_status meter_init(meter *m, const hone_host *host, const char *name, int64_t characters,
                       hone_error *err)
{
    *m = (meter){ .name = name };
    if (characters > 0)
        return HONE_OK;
    m->tokenizer = host->service(host, HONE_SERVICE_TOKENIZER);
    if (!m->tokenizer)
        return hone_fail(err, HONE_ERR_STATE,
                         "%s: tokens cannot be counted without a tokenizer: set the model", name);
    return HONE_OK;
}

hone_status meter_count(const meter *m, hone_str text, uint64_t *n, hone_error *err)
{
    *n = 0;
    if (m->tokenizer) {
        const int64_t k = m->tokenizer->count(m->tokenizer, text);
        if (k < 0)
            return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory to count tokens", m->name);
        *n = (uint64_t)k;
        return HONE_OK;
    }
    for (uint64_t i = 0; i < text.n; i++)
        *n += (text.p[i] & 0xc0) != 0x80;
    return HONE_OK;
}

hone_str meter_special(const meter *m, uint32_t purpose)
{
    if (m->tokenizer && HONE_HAS_CALL(m->tokenizer, special))
        return m->tokenizer->special(m->tokenizer, purpose);
    return (hone_str){ "", 0 };
}

static uint64_t line_end(hone_str t, uint64_t at, uint64_t to)
{
    const char *nl = at < to ? memchr(t.p + at, '\n', to - at) : NULL;
    return nl ? (uint64_t)(nl - t.p) + 1 : to;
}

static uint64_t line_start(hone_str t, uint64_t from, uint64_t at)
{
    while (at > from && t.p[at - 1] != '\n')
        at--;
    return at;
}

/* Both searches guess bytes by what a token had so far; a guess that is too large is cut in
 * proportion, so that few counts are needed. */
#define BYTES_PER_TOKEN 4
#define MAX_GUESSES 24

hone_status fit_after(const meter *m, hone_str t, uint64_t from, uint64_t to, uint64_t room,
                      uint64_t *end, hone_error *err)
{
    uint64_t want = room * BYTES_PER_TOKEN, best = from, above = to + 1;
    for (int i = 0; i < MAX_GUESSES && best < to; i++) {
        uint64_t at = to - from > want ? line_start(t, from, from + want) : to;
        uint64_t n = 0;
        if (at <= best)
            at = line_end(t, best, to);
        if (at >= above)
            break;
        const hone_status st = meter_count(m, (hone_str){ t.p + from, at - from }, &n, err);
        if (st != HONE_OK)
            return st;
        if (n <= room) {
            best = at;
            if (n * 16 >= room * 15)
                break;
            want = n ? (at - from) * room / n : want * 2;
        } else {
            above = at;
            want = (at - from) * room / n * 31 / 32;
        }
    }
    *end = best;
    return HONE_OK;
}

hone_status fit_before(const meter *m, hone_str t, uint64_t from, uint64_t to, uint64_t room,
                       uint64_t *start, hone_error *err)
{
    uint64_t want = room * BYTES_PER_TOKEN, best = to, below = UINT64_MAX;
    for (int i = 0; i < MAX_GUESSES && best > from; i++) {
        uint64_t at = to - from > want ? line_end(t, to - want, to) : from;
        uint64_t n = 0;
        if (at >= best)
            at = line_start(t, from, best - 1);
        if (below != UINT64_MAX && at <= below)
            break;
        const hone_status st = meter_count(m, (hone_str){ t.p + at, to - at }, &n, err);
        if (st != HONE_OK)
            return st;
        if (n <= room) {
            best = at;
            if (n * 16 >= room * 15)
                break;
            want = n ? (to - at) * room / n : want * 2;
        } else {
            below = at;
            want = (to - at) * room / n * 31 / 32;
        }
    }
    *start = best;
    return HONE_OK;
}

static bool is_function(const hone_unit *u)
{
    return u->kind == HONE_UNIT_FUNCTION || u->kind == HONE_UNIT_METHOD ||
           u->kind == HONE_UNIT_PROPERTY;
}

bool in_function(const hone_document *d, uint64_t i)
{
    for (uint64_t up = d->units[i].parent; up; up = d->units[up - 1].parent)
        if (is_function(&d->units[up - 1]))
            return true;
    return false;
}

bool is_whole_function(const hone_document *d, uint64_t i)
{
    const hone_unit *u = &d->units[i];
    return is_function(u) && u->body_end > u->body && !(u->flags & HONE_UNIT_BROKEN) &&
           !in_function(d, i);
}

void set_source(hone_segment *s, const hone_block *b, uint64_t from, uint64_t to,
                const hone_unit *of_unit)
{
    if (b->src_len == b->text.n) { /* the text is the file's own */
        s->src_off = b->src_off + from;
        s->src_len = to - from;
    } else if (of_unit) {
        s->src_off = of_unit->src_off;
        s->src_len = of_unit->src_len;
    } else {
        s->src_off = b->src_off;
        s->src_len = b->src_len;
    }
}
