/*
 * tokenizer_vocab.c - pieces and merges as hash tables, added tokens as a trie.
 *
 * All tables are open addressing with at most half the slots taken. Pieces live in
 * one arena and are named by offsets, so that it may grow while a file is read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_impl.h"

#include <stdlib.h>

quote quoted(const char *p, size_t n)
{
    quote q;
    size_t i, k = 0, end = n;
    if (end > 60) /* do not cut a character in two */
        for (end = 60; end > 57 && ((uint8_t)p[end] & 0xc0) == 0x80;)
            end--;
    for (i = 0; i < end; i++) {
        if ((uint8_t)p[i] < 0x20 || p[i] == 0x7f)
            k += (size_t)snprintf(q.s + k, sizeof q.s - k, "\\x%02x", (unsigned)(uint8_t)p[i]);
        else
            q.s[k++] = p[i];
    }
    (void)snprintf(q.s + k, sizeof q.s - k, "%s", end < n ? "..." : "");
    return q;
}

quote quoted_s(const char *s)
{
    return quoted(s, strlen(s));
}

uint64_t hash_bytes(const char *p, size_t n)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ n, w;
    while (n >= 8) {
        memcpy(&w, p, 8);
        h = (h ^ w) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
        p += 8;
        n -= 8;
    }
    if (n) {
        w = 0;
        memcpy(&w, p, n);
        h = (h ^ w) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    h *= 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 29;
}

static size_t table_size(size_t n) /* a power of two, at least twice n */
{
    size_t size = 16;
    while (size < 2 * n)
        size *= 2;
    return size;
}

/* -------------------------------------------------------------------------- pieces */

static bool piece_map_init(piece_map *m, size_t n)
{
    const size_t size = table_size(n);
    m->slot = malloc(size * sizeof *m->slot);
    if (!m->slot)
        return false;
    memset(m->slot, 0xff, size * sizeof *m->slot);
    m->mask = size - 1;
    return true;
}

const char *piece_text(const tokenizer *t, int32_t id, size_t *n)
{
    *n = t->pieces[id].n;
    return t->arena.p + t->pieces[id].at;
}

const char *piece_raw(const tokenizer *t, int32_t id, size_t *n)
{
    *n = t->pieces[id].n_raw;
    return t->arena.p + t->pieces[id].at_raw;
}

typedef const char *(*piece_key)(const tokenizer *t, int32_t id, size_t *n);

static int32_t *map_slot(const tokenizer *t, const piece_map *m, piece_key key, const char *p,
                         size_t n)
{
    size_t i = (size_t)hash_bytes(p, n), n_have;
    for (;; i++) {
        int32_t *slot = m->slot + (i & m->mask);
        const char *have;
        if (*slot < 0)
            return slot;
        have = key(t, *slot, &n_have);
        if (n_have == n && memcmp(have, p, n) == 0)
            return slot;
    }
}

int32_t piece_find(const tokenizer *t, const char *p, size_t n)
{
    return *map_slot(t, &t->by_text, piece_text, p, n);
}

int32_t raw_find(const tokenizer *t, const char *p, size_t n)
{
    return *map_slot(t, &t->by_raw, piece_raw, p, n);
}

hone_status pieces_init(tokenizer *t, size_t n, hone_error *err)
{
    if (n == 0)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: the vocabulary is empty", t->what);
    if (n > TOKENIZER_MAX_IDS)
        return hone_fail(err, HONE_ERR_LIMIT, "%s: %zu pieces, at most %d are supported", t->what,
                         n, TOKENIZER_MAX_IDS);
    t->pieces = mem_new(n, sizeof *t->pieces);
    t->cap_pieces = n;
    if (!t->pieces || !piece_map_init(&t->by_text, n) || !piece_map_init(&t->by_raw, n))
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %zu pieces", t->what, n);
    return HONE_OK;
}

hone_status piece_add(tokenizer *t, int64_t id, const char *p, size_t n, hone_error *err)
{
    piece *q;
    int32_t *slot;
    if (id < 0 || (size_t)id >= t->cap_pieces)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: \"%s\" has id %lld, but there are only %zu pieces, so that "
                         "ids below it are missing",
                         t->what, quoted(p, n).s, (long long)id, t->cap_pieces);
    q = t->pieces + id;
    if (q->used)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: id %lld is both \"%s\" and \"%s\"", t->what,
                         (long long)id, quoted(t->arena.p + q->at, q->n).s, quoted(p, n).s);
    q->at = (uint32_t)t->arena.n;
    q->n = (uint32_t)n;
    q->used = true;
    text_add(&t->arena, p, n);
    text_putc(&t->arena, 0);
    q->at_raw = q->at;
    q->n_raw = q->n;
    if (text_status(&t->arena, err))
        return HONE_ERR_NOMEM;
    slot = map_slot(t, &t->by_text, piece_text, p, n);
    if (*slot >= 0)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: \"%s\" has two ids, %d and %lld", t->what,
                         quoted(p, n).s, *slot, (long long)id);
    *slot = (int32_t)id;
    if (id >= t->n)
        t->n = id + 1;
    return HONE_OK;
}

hone_status piece_index(tokenizer *t, int32_t id, bool vocabulary, hone_error *err)
{
    piece *q = t->pieces + id;
    if (t->raw && q->n) {
        char *buf = malloc(q->n);
        int64_t k;
        if (!buf)
            return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for a piece", t->what);
        k = alphabet_to_bytes(t->arena.p + q->at, q->n, buf);
        q->mapped = k >= 0;
        if (k >= 0) {
            q->at_raw = (uint32_t)t->arena.n;
            q->n_raw = (uint32_t)k;
            text_add(&t->arena, buf, (size_t)k);
            text_putc(&t->arena, 0);
        }
        free(buf);
        if (text_status(&t->arena, err))
            return HONE_ERR_NOMEM;
    }
    if (vocabulary && (!t->raw || q->mapped))
        *map_slot(t, &t->by_raw, piece_raw, t->arena.p + q->at_raw, q->n_raw) = id;
    return HONE_OK;
}

hone_status pieces_check(const tokenizer *t, hone_error *err)
{
    int64_t i;
    for (i = 0; i < t->n; i++)
        if (!t->pieces[i].used)
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: the vocabulary has a hole: no piece has id %lld of 0..%lld",
                             t->what, (long long)i, (long long)t->n - 1);
    return HONE_OK;
}

/* -------------------------------------------------------------------------- merges */

bool merge_map_init(merge_map *m, size_t n)
{
    const size_t size = table_size(n);
    size_t i;
    m->slot = malloc(size * sizeof *m->slot);
    if (!m->slot)
        return false;
    for (i = 0; i < size; i++)
        m->slot[i].key = UINT64_MAX;
    m->mask = size - 1;
    return true;
}

void merge_put(merge_map *m, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
    const uint64_t key = merge_key(left, right);
    size_t i = merge_hash(key);
    while (m->slot[i & m->mask].key != UINT64_MAX && m->slot[i & m->mask].key != key)
        i++;
    m->slot[i & m->mask] = (merge_slot){ key, rank, id };
}

/* -------------------------------------------------------------------------- joins */

bool joins_init(joins *j)
{
    j->far = mem_new((size_t)1 << (JOIN_BITS - 6), sizeof *j->far);
    return j->far != NULL;
}

void joins_add(joins *j, const char *p, size_t n)
{
    uint32_t x = 0;
    size_t i, len;
    for (i = 0; i < n; i += len) {
        const uint32_t y = join_unit(uc_get(p + i, &len));
        if (i && (x | y) < 128)
            j->near[x][y >> 6] |= (uint64_t)1 << (y & 63);
        else if (i)
            j->far[join_hash(x, y) >> 6] |= (uint64_t)1 << (join_hash(x, y) & 63);
        x = y;
    }
}

/* ---------------------------------------------------------------------------- trie */

static uint32_t trie_child(trie *t, uint32_t node, uint8_t byte)
{
    uint32_t *link = node ? &t->node[node].child : &t->root[byte];
    while (*link && t->node[*link].byte != byte)
        link = &t->node[*link].next;
    if (!*link) {
        const uint32_t fresh = (uint32_t)t->n++;
        *link = fresh;
        t->node[fresh] = (trie_node){ 0, 0, -1, byte };
    }
    return *link;
}

bool trie_add(trie *t, const char *p, size_t n, int32_t id)
{
    uint32_t node = 0;
    size_t i;
    if (!mem_grow(&t->node, &t->cap, t->n + n + 1, sizeof *t->node))
        return false;
    if (t->n == 0)
        t->n = 1; /* the root */
    for (i = 0; i < n; i++)
        node = trie_child(t, node, (uint8_t)p[i]);
    if (t->node[node].id < 0)
        t->node[node].id = id;
    return true;
}

int32_t trie_find(const trie *t, const char *p, size_t n, size_t from, size_t *at, size_t *len)
{
    for (; t->n && from < n; from++) {
        uint32_t node = t->root[(uint8_t)p[from]];
        int32_t found = -1;
        size_t i = from + 1;
        if (!node)
            continue;
        for (;;) {
            if (t->node[node].id >= 0) {
                found = t->node[node].id;
                *len = i - from;
            }
            if (i == n)
                break;
            for (node = t->node[node].child; node && t->node[node].byte != (uint8_t)p[i];)
                node = t->node[node].next;
            if (!node)
                break;
            i++;
        }
        if (found >= 0) {
            *at = from;
            return found;
        }
    }
    return -1;
}

void trie_finish(trie *t)
{
    free(t->node);
    *t = (trie){ 0 };
}
