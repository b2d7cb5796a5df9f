/*
 * tokenizer_bpe.c - one word to tokens: the lowest rank merges first, leftmost first.
 *
 * Short words keep their symbols in an array and look for the smallest rank; long
 * words use a heap over a linked list, O(n log n). Both give what Hugging Face's
 * loop gives. Its test for a stale heap entry compares what a merge makes and not
 * its rank; the two differ only when an id's text is not what it stands for (the
 * unknown piece, byte pieces), and then odd_merges sends every word to the heap,
 * which has that test.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_impl.h"

#include <stdlib.h>

#define SHORT_WORD 32 /* symbols */
#define NO_LINK UINT32_MAX

static bool symbol_add(scratch *s, int32_t id, uint32_t len)
{
    if (s->n_sym == s->cap_sym && !mem_grow(&s->sym, &s->cap_sym, s->n_sym + 1, sizeof *s->sym))
        return false;
    s->sym[s->n_sym++] = (symbol){ id, len };
    return true;
}

int32_t char_find(const tokenizer *t, uint32_t cp)
{
    const int32_t *page = t->page[cp >> 8];
    return page ? page[cp & 255] : -1;
}

/* The character at p[at] becomes no token, or not all of its bytes do. It is counted, and its
 * n bytes are its neighbour's, so that the places of what follows stay right: *ahead are
 * those that have none in front. */
static void drop(scratch *s, const char *p, size_t at, size_t n, uint32_t *ahead)
{
    size_t len;
    if (!s->dropped++)
        s->first_dropped = uc_get(p + at, &len);
    if (s->n_sym)
        s->sym[s->n_sym - 1].len += (uint32_t)n;
    else
        *ahead += (uint32_t)n;
}

/* Units of a raw word: its bytes. */
static bool units_raw(const tokenizer *t, scratch *s, const char *p, size_t n)
{
    size_t i, lead = 0, last = SIZE_MAX; /* of the character; of the last one dropped */
    uint32_t ahead = 0;
    uint32_t unknown = 0; /* bytes of an unknown unit not yet written */
    for (i = 0; i < n; i++) {
        const int32_t id = t->unit[(uint8_t)p[i]];
        if (((uint8_t)p[i] & 0xc0) != 0x80)
            lead = i;
        /* in the printable alphabet an unknown byte is one unknown character */
        if (unknown && (id >= 0 || !t->fuse_unk)) {
            if (!symbol_add(s, t->unk, unknown))
                return false;
            unknown = 0;
        }
        if (id >= 0) {
            if (!symbol_add(s, id, 1 + ahead))
                return false;
            ahead = 0;
        } else if (t->unk >= 0) {
            unknown++;
        } else {
            drop(s, p, lead, 1, &ahead);
            s->dropped -= lead == last;
            last = lead;
        }
    }
    return !unknown || symbol_add(s, t->unk, unknown);
}

/* Units of a word of UTF-8: its characters; bytes where a character is unknown. The
 * unknown unit is written late, as the original does: after byte pieces. */
static bool units_utf8(const tokenizer *t, scratch *s, const char *p, size_t n)
{
    size_t i, len, k;
    uint32_t unknown = 0, ahead = 0;
    for (i = 0; i < n; i += len) {
        const int32_t id = char_find(t, uc_get(p + i, &len));
        if (id >= 0) {
            if (unknown && !symbol_add(s, t->unk, unknown))
                return false;
            unknown = 0;
            if (!symbol_add(s, id, (uint32_t)len + ahead))
                return false;
            ahead = 0;
            continue;
        }
        if (t->byte_fallback) {
            for (k = 0; k < len && t->unit[(uint8_t)p[i + k]] >= 0; k++)
                ;
            if (k == len) {
                for (k = 0; k < len; k++, ahead = 0)
                    if (!symbol_add(s, t->unit[(uint8_t)p[i + k]], 1 + ahead))
                        return false;
                continue;
            }
        }
        if (t->unk < 0) {
            drop(s, p, i, len, &ahead);
            continue;
        }
        if (unknown && !t->fuse_unk) {
            if (!symbol_add(s, t->unk, unknown))
                return false;
            unknown = 0;
        }
        unknown += (uint32_t)len;
    }
    return !unknown || symbol_add(s, t->unk, unknown);
}

/* Rank of the pair (i, i + 1) and what it becomes. */
typedef struct pair {
    uint32_t rank;
    int32_t id;
} pair;

static pair pair_of(const tokenizer *t, const symbol *sym)
{
    const merge_slot *m = merge_find(&t->merges, sym[0].id, sym[1].id);
    return m ? (pair){ m->rank, m->id } : (pair){ UINT32_MAX, -1 };
}

static void merge_short(const tokenizer *t, scratch *s)
{
    pair pairs[SHORT_WORD];
    symbol *sym = s->sym;
    size_t n = s->n_sym, i, best;
    for (i = 0; i + 1 < n; i++)
        pairs[i] = pair_of(t, sym + i);
    while (n > 1) {
        for (best = 0, i = 1; i + 1 < n; i++)
            if (pairs[i].rank < pairs[best].rank)
                best = i;
        if (pairs[best].rank == UINT32_MAX)
            break;
        sym[best] = (symbol){ pairs[best].id, sym[best].len + sym[best + 1].len };
        n--;
        memmove(sym + best + 1, sym + best + 2, (n - best - 1) * sizeof *sym);
        if (best + 1 < n) {
            memmove(pairs + best + 1, pairs + best + 2, (n - best - 2) * sizeof *pairs);
            pairs[best] = pair_of(t, sym + best);
        }
        if (best > 0)
            pairs[best - 1] = pair_of(t, sym + best - 1);
    }
    s->n_sym = n;
}

static void heap_push(scratch *s, heap_entry e)
{
    size_t i = s->n_heap++;
    while (i > 0 && s->heap[(i - 1) / 2].key > e.key) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = e;
}

static heap_entry heap_pop(scratch *s)
{
    const heap_entry top = s->heap[0], e = s->heap[--s->n_heap];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < s->n_heap) {
        if (child + 1 < s->n_heap && s->heap[child + 1].key < s->heap[child].key)
            child++;
        if (s->heap[child].key >= e.key)
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = e;
    return top;
}

static void push_pair(const tokenizer *t, scratch *s, uint32_t i)
{
    const merge_slot *m = merge_find(&t->merges, s->links[i].id, s->links[s->links[i].next].id);
    if (m)
        heap_push(s, (heap_entry){ (uint64_t)m->rank << 32 | i, m->id });
}

static bool merge_long(const tokenizer *t, scratch *s)
{
    const size_t n = s->n_sym;
    link_node *l;
    size_t i, k;
    /* every merge takes one symbol away and adds at most two entries */
    if (!mem_grow(&s->links, &s->cap_links, n, sizeof *s->links) ||
        !mem_grow(&s->heap, &s->cap_heap, 3 * n, sizeof *s->heap))
        return false;
    l = s->links;
    for (i = 0; i < n; i++)
        l[i] = (link_node){ s->sym[i].id, s->sym[i].len, i ? (uint32_t)i - 1 : NO_LINK,
                            i + 1 < n ? (uint32_t)i + 1 : NO_LINK };
    s->n_heap = 0;
    for (i = 0; i + 1 < n; i++)
        push_pair(t, s, (uint32_t)i);
    while (s->n_heap) {
        const heap_entry e = heap_pop(s);
        const uint32_t at = (uint32_t)e.key, right = l[at].next;
        const merge_slot *m;
        if (!l[at].len || right == NO_LINK)
            continue;
        m = merge_find(&t->merges, l[at].id, l[right].id);
        if (!m || m->id != e.id)
            continue; /* the pair is not what it was when pushed */
        l[at].id = e.id;
        l[at].len += l[right].len;
        l[at].next = l[right].next;
        l[right].len = 0;
        if (l[at].next != NO_LINK)
            l[l[at].next].prev = at;
        if (l[at].prev != NO_LINK)
            push_pair(t, s, l[at].prev);
        if (l[at].next != NO_LINK)
            push_pair(t, s, at);
    }
    for (i = 0, k = 0; k < n; k++)
        if (l[k].len)
            s->sym[i++] = (symbol){ l[k].id, l[k].len };
    s->n_sym = i;
    return true;
}

/* SentencePiece merges characters it has no piece for as well (ids from n on); what
 * is left of them becomes bytes, or one unknown piece for a run. */
static bool resolve_virtual(const tokenizer *t, scratch *s, const char *p)
{
    const size_t n = s->n_sym;
    size_t i, k, at = 0;
    bool run = false;
    for (i = 0; i < n && s->sym[i].id < VIRTUAL_FIRST; i++)
        at += s->sym[i].len;
    if (i == n)
        return true;
    /* write behind the n symbols, then move down */
    for (k = 0; k < i; k++)
        if (!symbol_add(s, s->sym[k].id, s->sym[k].len))
            return false;
    for (; i < n; i++) {
        const symbol y = s->sym[i];
        bool ok = true;
        if (y.id < VIRTUAL_FIRST) {
            ok = symbol_add(s, y.id, y.len);
            run = false;
        } else if (t->byte_fallback) {
            for (k = 0; k < y.len && ok; k++)
                ok = symbol_add(s, t->unit[(uint8_t)p[at + k]], 1);
        } else if (run) {
            s->sym[s->n_sym - 1].len += y.len;
        } else {
            ok = symbol_add(s, t->unk, y.len);
            run = true;
        }
        if (!ok)
            return false;
        at += y.len;
    }
    s->n_sym -= n;
    memmove(s->sym, s->sym + n, s->n_sym * sizeof *s->sym);
    return true;
}

/* SentencePiece: every character is a unit, known or not. */
static bool units_spm(const tokenizer *t, scratch *s, const char *p, size_t n)
{
    size_t i, len;
    for (i = 0; i < n; i += len) {
        const int32_t id = char_find(t, uc_get(p + i, &len));
        if (!symbol_add(s, id >= 0 ? id : INT32_MAX, (uint32_t)len))
            return false;
    }
    return true;
}

hone_status bpe_word(const tokenizer *t, scratch *s, const char *p, size_t n, hone_error *err)
{
    bool ok;
    s->n_sym = 0;
    if (t->ignore_merges) {
        const int32_t id = raw_find(t, p, n);
        if (id >= 0) {
            if (!symbol_add(s, id, (uint32_t)n))
                return hone_fail(err, HONE_ERR_NOMEM, "no memory for tokens");
            return HONE_OK;
        }
    }
    ok = t->raw ? units_raw(t, s, p, n) : t->spm ? units_spm(t, s, p, n) : units_utf8(t, s, p, n);
    if (ok && s->n_sym > 1) {
        if (s->n_sym <= SHORT_WORD && !t->odd_merges)
            merge_short(t, s);
        else
            ok = merge_long(t, s);
    }
    if (ok && t->spm)
        ok = resolve_virtual(t, s, p);
    return ok ? HONE_OK
              : hone_fail(err, HONE_ERR_NOMEM, "no memory to tokenize a word of %zu bytes", n);
}
