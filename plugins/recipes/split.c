/*
 * split.c - a document's blocks into pieces; see split.h.
 *
 * Sizes of whole blocks are counted once and added up; the text of a piece is then counted
 * as it is, and the sum corrected where the two differ (tokens merge across what was
 * counted apart). So a piece costs a few counts of its own length, whatever the document's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "split.h"

#define COST_UNKNOWN UINT64_MAX
#define MAX_TRIES 8

hone_status splitter_init(splitter *s, const hone_host *host, const char *name, int64_t tokens,
                          int64_t characters, double overlap, hone_error *err)
{
    const hone_text text = { .host = host, .tag = name };
    *s = (splitter){ .host = host, .name = name, .piece = text, .scratch = text, .above = text };
    if (characters && characters < SPLIT_MIN_BUDGET)
        return hone_fail(err, HONE_ERR_ARG,
                         "%s: characters is %lld; expected 0 (off: tokens are counted) or at "
                         "least %d",
                         name, (long long)characters, SPLIT_MIN_BUDGET);
    s->budget = (uint64_t)(characters ? characters : tokens);
    s->overlap = (uint64_t)((double)s->budget * overlap);
    if (characters) {
        s->break_cost = 2;
        return HONE_OK;
    }
    s->tokenizer = host->service(host, HONE_SERVICE_TOKENIZER);
    if (!s->tokenizer)
        return hone_fail(err, HONE_ERR_STATE,
                         "%s: tokens cannot be counted without a tokenizer: set the model, or "
                         "characters (the size in characters instead of tokens)",
                         name);
    hone_text_puts(&s->scratch, "\n\n");
    return measure(s, &s->scratch, &s->break_cost, err);
}

void splitter_finish(splitter *s)
{
    hone_text_finish(&s->piece);
    hone_text_finish(&s->scratch);
    hone_text_finish(&s->above);
    s->host->free(s->host, s->costs);
    s->costs = NULL;
    s->n_costs = 0;
}

static bool before(place a, place b)
{
    return a.block < b.block || (a.block == b.block && a.off < b.off);
}

/* Past white space at a cut, and past blocks of nothing else. Code keeps its indentation. */
static place settle(const splitter *s, place p)
{
    for (; p.block < s->n_blocks; p = (place){ p.block + 1, 0 }) {
        const hone_str t = s->blocks[p.block].text;
        uint64_t i = p.off;
        while (i < t.n && is_space(t.p[i]))
            i++;
        if (i == t.n)
            continue;
        if (p.off && s->blocks[p.block].kind == HONE_BLOCK_CODE)
            while (i > p.off && t.p[i - 1] != '\n')
                i--;
        return (place){ p.block, p.off ? i : 0 };
    }
    return p;
}

static bool is_heading(const splitter *s, uint64_t k)
{
    return k < s->n_blocks && s->blocks[k].kind == HONE_BLOCK_HEADING;
}

static hone_status cost_of(splitter *s, uint64_t k, uint64_t *cost, hone_error *err)
{
    hone_status st = HONE_OK;
    if (s->costs[k] == COST_UNKNOWN)
        st = measure_slice(s, k, 0, s->blocks[k].text.n, &s->costs[k], err);
    *cost = s->costs[k];
    return st;
}

/* Where a piece from `start` on, of about `limit`, ends; *sum: what was added up. Text before
 * `fresh` repeats the piece before. */
static hone_status fill(splitter *s, place start, place fresh, uint64_t limit, place *end,
                        uint64_t *sum, hone_error *err)
{
    uint64_t used = 0, cost = 0, cut = 0;
    bool text = false; /* something else than headings is in */
    hone_status st = HONE_OK;
    place at = start;
    while (at.block < s->n_blocks) {
        const hone_block *b = &s->blocks[at.block];
        const uint64_t gap = used ? s->break_cost : 0;
        const uint64_t room = limit > used + gap ? limit - used - gap : 0;
        if (s->stops && s->stops[at.block] && at.off == 0 && before(fresh, at))
            break;
        if (at.off == 0) {
            st = cost_of(s, at.block, &cost, err);
            if (st != HONE_OK)
                return st;
            if (cost > room && (used * 2 >= limit || room == 0))
                break;
            if (cost > room && cost <= limit && text &&
                (b->kind == HONE_BLOCK_CODE || b->kind == HONE_BLOCK_TABLE))
                break;
        }
        if (at.off || cost > room) {
            st = cut_forward(s, at.block, at.off, used + gap, room, limit, &cut, &cost, err);
            if (st != HONE_OK)
                return st;
            if (cut == at.off)
                break;
        } else {
            cut = b->text.n;
        }
        used += gap + cost;
        text = text || b->kind != HONE_BLOCK_HEADING;
        at = settle(s, (place){ at.block, cut });
        if (at.off)
            break;
    }
    /* headings go with what follows */
    while (at.block < s->n_blocks && at.off == 0 && at.block && is_heading(s, at.block - 1) &&
           before(fresh, (place){ at.block - 1, 0 }))
        at.block--;
    *end = at;
    *sum = used;
    return HONE_OK;
}

static void render_piece(splitter *s, place a, place b)
{
    hone_text_clear(&s->piece);
    hone_text_add(&s->piece, s->above.p, s->above.n);
    render_range(s, a, b, &s->piece);
    if (s->piece.n == s->above.n) /* white space alone */
        hone_text_clear(&s->piece);
}

/* The end of the piece from `start` on, exactly within the budget, and its text in s->piece.
 * *start moves up to fresh when what is repeated leaves no room. */
static hone_status find_end(splitter *s, place *start, place fresh, place *end, uint64_t *size,
                            hone_error *err)
{
    hone_status st = find_above(s, *start, err);
    uint64_t budget = s->budget - s->above_size, limit = budget, sum = 0, n = 0, step = 1;
    place best = fresh, at;
    for (int i = 0; i < MAX_TRIES && st == HONE_OK; i++) {
        st = fill(s, *start, fresh, limit, &at, &sum, err);
        if (st != HONE_OK)
            return st;
        if (!before(fresh, at)) {
            if (!before(*start, fresh) || before(fresh, best))
                break;
            *start = fresh;
            st = find_above(s, fresh, err);
            limit = budget = s->budget - s->above_size;
            continue;
        }
        render_piece(s, *start, at);
        st = measure(s, &s->piece, &n, err);
        if (st != HONE_OK)
            return st;
        if (n > s->budget) {
            if (before(fresh, best))
                break;
            limit = limit > (n - s->budget) * step ? limit - (n - s->budget) * step : 1;
            step *= 2;
            continue;
        }
        if (!before(best, at))
            break;
        best = at;
        *size = n;
        if (at.block == s->n_blocks || (s->stops && s->stops[at.block] && !at.off) ||
            (s->budget - n) * 16 <= s->budget || sum + s->above_size <= n)
            break;
        limit = budget + (sum + s->above_size - n);
    }
    if (st == HONE_OK && !before(fresh, best)) { /* the first block's text alone, as it is */
        *start = fresh;
        hone_text_clear(&s->above);
        s->above_size = 0;
        st = cut_forward(s, fresh.block, fresh.off, 0, s->budget, s->budget, &best.off, size, err);
        if (st == HONE_OK && best.off > fresh.off)
            best = settle(s, best);
    }
    *end = best;
    if (st == HONE_OK && before(fresh, best)) {
        render_piece(s, *start, best);
        st = hone_text_status(&s->piece, err);
    }
    return st;
}

/* Where the piece after [start, end) begins. */
static hone_status find_start(splitter *s, place start, place end, place *next, hone_error *err)
{
    uint64_t used = 0, cost, cut;
    place at = end;
    *next = end;
    if (end.block >= s->n_blocks || (end.off == 0 && is_heading(s, end.block)))
        return HONE_OK;
    while (before(start, at)) {
        const uint64_t k = at.off ? at.block : at.block - 1;
        const uint64_t hi = at.off ? at.off : s->blocks[k].text.n;
        const uint64_t lo = k == start.block ? start.off : 0;
        const uint64_t gap = used ? s->break_cost : 0;
        const uint64_t room = s->overlap > used + gap ? s->overlap - used - gap : 0;
        hone_status st = HONE_OK;
        if (!room)
            break;
        cost = UINT64_MAX;
        if (lo == 0 && hi == s->blocks[k].text.n)
            st = cost_of(s, k, &cost, err);
        if (st == HONE_OK && cost > room) {
            st = cut_backward(s, k, lo, hi, room, &cut, err);
            if (st == HONE_OK && cut < hi)
                at = (place){ k, cut };
            if (st == HONE_OK)
                break;
        }
        if (st != HONE_OK)
            return st;
        used += gap + cost;
        at = (place){ k, 0 };
    }
    if (before(start, at)) /* a piece that would be repeated whole is not */
        *next = settle(s, at);
    return HONE_OK;
}

/* The bytes of text in [a, b). */
static uint64_t n_bytes(const splitter *s, place a, place b)
{
    uint64_t n = 0;
    for (uint64_t k = a.block; k < b.block + (b.off > 0); k++)
        n += (k == b.block ? b.off : s->blocks[k].text.n) - (k == a.block ? a.off : 0);
    return n;
}

static void set_span(const splitter *s, place a, place b, piece *p)
{
    uint64_t lo = UINT64_MAX, hi = 0;
    for (uint64_t k = a.block; k < b.block + (b.off > 0); k++) {
        const hone_block *block = &s->blocks[k];
        if (!block->src_len)
            continue;
        lo = block->src_off < lo ? block->src_off : lo;
        hi = block->src_off + block->src_len > hi ? block->src_off + block->src_len : hi;
    }
    p->src_off = lo < hi ? lo : 0;
    p->src_len = lo < hi ? hi - lo : 0;
}

static hone_status make_costs(splitter *s, hone_error *err)
{
    if (s->n_blocks > s->n_costs) {
        s->host->free(s->host, s->costs);
        s->n_costs = 0;
        s->costs = NULL;
        if (s->n_blocks < UINT64_MAX / sizeof *s->costs)
            s->costs = s->host->alloc(s->host, s->n_blocks * sizeof *s->costs, _Alignof(uint64_t),
                                      s->name);
        if (!s->costs)
            return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %llu blocks", s->name,
                             (unsigned long long)s->n_blocks);
        s->n_costs = s->n_blocks;
    }
    for (uint64_t i = 0; i < s->n_blocks; i++)
        s->costs[i] = COST_UNKNOWN;
    return HONE_OK;
}

hone_status splitter_run(splitter *s, const hone_block *blocks, uint64_t n_blocks,
                         const piece_sink *sink, hone_error *err)
{
    hone_status st;
    place start, fresh, end;
    s->blocks = blocks;
    s->n_blocks = n_blocks;
    s->n_bytes = s->n_units = 0;
    s->n_stack = 0;
    s->stack_at = 0;
    st = make_costs(s, err);
    fresh = start = settle(s, (place){ 0, 0 });
    while (st == HONE_OK && fresh.block < n_blocks) {
        piece p = { 0 };
        if (s->host->cancelled(s->host))
            return hone_fail(err, HONE_ERR_CANCELLED, "%s: stopped", s->name);
        st = find_end(s, &start, fresh, &end, &p.size, err);
        if (st != HONE_OK)
            break;
        if (!before(fresh, end)) {
            const hone_str t = blocks[fresh.block].text;
            uint32_t code;
            const uint64_t n = hone_utf8_next(t.p + fresh.off, t.n - fresh.off, &code);
            sink->lost(sink->ctx, n, "characters that are larger than a whole sample");
            start = fresh = settle(s, (place){ fresh.block, fresh.off + n });
            continue;
        }
        p.text = hone_text_str(&s->piece);
        p.new_bytes = n_bytes(s, fresh, end);
        set_span(s, start, end, &p);
        if (p.text.n) /* not white space alone, before what is larger than a piece */
            st = sink->add(sink->ctx, &p, err);
        fresh = end;
        if (st == HONE_OK)
            st = find_start(s, start, end, &start, err);
    }
    s->blocks = NULL;
    s->n_blocks = 0;
    return st;
}
