/*
 * cut.c - where a block that does not fit is cut.
 *
 * Sizes are asked of a tokenizer, which is costly: the longest prefix that fits is searched
 * by proportion, in slices about as long as a piece, so that the work stays proportional to
 * the text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "split.h"

/* How good a cut is, worst first. */
enum { CUT_NONE, CUT_WORD, CUT_LINE, CUT_SENTENCE, CUT_BLANK, N_CUTS };

static bool starts_char(char c)
{
    return (c & 0xc0) != 0x80;
}

static uint64_t align_down(const hone_str t, uint64_t at, uint64_t lowest)
{
    while (at > lowest && at < t.n && !starts_char(t.p[at]))
        at--;
    return at;
}

static uint64_t next_char(const hone_str t, uint64_t at)
{
    at++;
    while (at < t.n && !starts_char(t.p[at]))
        at++;
    return at;
}

/* What a cut before t[at] is worth; 0 < at < t.n. */
static int cut_rank(hone_str t, uint64_t at, bool lines)
{
    const char before = t.p[at - 1], c = t.p[at];
    if (lines) {
        if (before == '\n')
            return at > 1 && t.p[at - 2] == '\n' ? CUT_BLANK : CUT_SENTENCE;
        return is_space(c) && !is_space(before) ? CUT_WORD : CUT_NONE;
    }
    if (!is_space(c) && before == '\n' && at > 1 && t.p[at - 2] == '\n')
        return CUT_BLANK;
    if (((unsigned char)before >= 0x80 || is_space(before)) && sentence_ends(t, at))
        return CUT_SENTENCE;
    if (sentence_pauses(t, at))
        return CUT_WORD;
    if (is_space(c) || !is_space(before))
        return CUT_NONE;
    return before == '\n' ? CUT_LINE : CUT_WORD;
}

static bool by_lines(const splitter *s, uint64_t k)
{
    const uint32_t kind = s->blocks[k].kind;
    return kind == HONE_BLOCK_CODE || kind == HONE_BLOCK_TABLE;
}

/* Bytes that are likely to have `room` tokens. */
static uint64_t guess(const splitter *s, uint64_t room)
{
    const double ratio = s->n_units ? (double)s->n_bytes / (double)s->n_units : 4.0;
    const double bytes = (double)(room ? room : 1) * (ratio < 0.25 ? 0.25 : ratio);
    return bytes < 4 ? 4 : (uint64_t)bytes;
}

/* The longest prefix of block k from `from` on that has at most room, give or take a 32nd. */
static hone_status longest(splitter *s, uint64_t k, uint64_t from, uint64_t room, uint64_t *end,
                           uint64_t *size, hone_error *err)
{
    const hone_str t = s->blocks[k].text;
    uint64_t lo = from, lo_size = 0, hi = UINT64_MAX, hi_size = 0, step = guess(s, room);
    uint64_t at = align_down(t, t.n - from > step ? from + step : t.n, from);
    for (int round = 0; at > lo || round == 0; round++) {
        uint64_t n = 0;
        if (at == from)
            at = next_char(t, from);
        const hone_status st = measure_slice(s, k, from, at, &n, err);
        if (st != HONE_OK)
            return st;
        if (n <= room) {
            lo = at;
            lo_size = n;
            if (at == t.n || (hi != UINT64_MAX && room - n <= room / 32))
                break;
        } else {
            hi = at;
            hi_size = n;
        }
        if (hi == UINT64_MAX) { /* all of it fits so far */
            step = step < t.n ? 2 * step : step;
            at = t.n - from > step ? from + step : t.n;
            at = align_down(t, at, lo);
            at = at == lo ? next_char(t, lo) : at;
            continue;
        }
        /* by proportion; every third time by halves, which always ends */
        at = lo + (hi - lo) / 2;
        if (round % 3 != 2 && hi_size > lo_size)
            at = lo + (uint64_t)((double)(hi - lo) * (double)(room - lo_size) /
                                 (double)(hi_size - lo_size));
        at = align_down(t, at < hi ? at : hi - 1, lo);
        at = at == lo ? next_char(t, lo) : at;
        if (at >= hi)
            break;
    }
    *end = lo;
    *size = lo_size;
    return HONE_OK;
}

hone_status cut_forward(splitter *s, uint64_t k, uint64_t from, uint64_t used, uint64_t room,
                        uint64_t limit, uint64_t *cut, uint64_t *size, hone_error *err)
{
    const hone_str t = s->blocks[k].text;
    uint64_t end, n, at[N_CUTS] = { 0 };
    hone_status st = longest(s, k, from, room, &end, &n, err);
    if (st != HONE_OK)
        return st;
    *cut = end;
    *size = n;
    if (end == t.n || end == from)
        return HONE_OK;
    for (uint64_t i = end; i > from && !at[CUT_BLANK]; i--) {
        const int rank = starts_char(t.p[i]) ? cut_rank(t, i, by_lines(s, k)) : CUT_NONE;
        if (rank != CUT_NONE && !at[rank])
            at[rank] = i;
    }
    for (int rank = N_CUTS - 1; rank > CUT_NONE; rank--) {
        uint64_t better = 0;
        if (!at[rank])
            continue;
        const double share = (double)(at[rank] - from) / (double)(end - from);
        if (((double)used + (double)n * share) * 2 < (double)limit)
            continue;
        st = measure_slice(s, k, from, at[rank], &better, err);
        if (st != HONE_OK)
            return st;
        if (better <= room) {
            *cut = at[rank];
            *size = better;
            break;
        }
    }
    return HONE_OK;
}

hone_status cut_backward(splitter *s, uint64_t k, uint64_t from, uint64_t to, uint64_t room,
                         uint64_t *cut, hone_error *err)
{
    const hone_str t = s->blocks[k].text;
    const int worst = by_lines(s, k) ? CUT_SENTENCE : CUT_WORD; /* half a line of code helps none */
    uint64_t reach = guess(s, room);
    *cut = to;
    for (int round = 0; round < 8 && reach; round++) {
        const uint64_t low = to - from > reach ? to - reach : from;
        uint64_t first[N_CUTS] = { 0 }, n = 0, start = 0;
        for (uint64_t i = low > from ? low : from + 1; i < to; i++) {
            const int rank = starts_char(t.p[i]) ? cut_rank(t, i, by_lines(s, k)) : CUT_NONE;
            if (rank != CUT_NONE && !first[rank])
                first[rank] = i;
        }
        for (int rank = CUT_SENTENCE; rank >= worst && !start; rank--)
            start = first[rank];
        if (first[CUT_BLANK] && (!first[CUT_SENTENCE] || first[CUT_BLANK] < first[CUT_SENTENCE]))
            start = first[CUT_BLANK];
        if (!start)
            return HONE_OK;
        const hone_status st = measure_slice(s, k, start, to, &n, err);
        if (st != HONE_OK)
            return st;
        if (n <= room) {
            *cut = start;
            return HONE_OK;
        }
        reach = (uint64_t)((double)(to - start) * (double)room / (double)n * 0.9);
    }
    return HONE_OK;
}
