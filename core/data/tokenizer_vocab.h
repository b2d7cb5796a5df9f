/*
 * tokenizer_vocab.h - pieces and merges as tables, spellings as a trie. Private to core/data.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_DATA_TOKENIZER_VOCAB_H
#define CORE_DATA_TOKENIZER_VOCAB_H

#include "core/base/base.h"

/* Text from outside for a message: at most 60 bytes, on one line. */
typedef struct quote {
    char s[260];
} quote;
quote quoted(const char *p, size_t n);
quote quoted_s(const char *s); /* s: NUL-terminated */

uint64_t hash_bytes(const char *p, size_t n);

/* A piece's bytes are named by their place in the arena: as the file spells it, and
 * in the model's domain (the same bytes unless the domain is raw). */
typedef struct piece {
    uint32_t at, n;
    uint32_t at_raw, n_raw;
    bool used;    /* the id has a piece */
    bool mapped;  /* raw domain: every character is of the byte alphabet */
    bool special; /* left out by decoding when asked */
    bool byte;    /* <0xHH>: stands for one byte of text that has no piece */
} piece;

typedef struct piece_map { /* strings to ids; keys are in the arena */
    int32_t *slot;         /* owned; -1: free */
    size_t mask;
} piece_map;

typedef struct merge_slot {
    uint64_t key;  /* left id << 32 | right id; UINT64_MAX: free */
    uint32_t rank; /* smaller merges first */
    int32_t id;    /* what the two become */
} merge_slot;

typedef struct merge_map {
    merge_slot *slot; /* owned */
    size_t mask;
} merge_map;

static inline uint64_t merge_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static inline size_t merge_hash(uint64_t key)
{
    key *= 0x9e3779b97f4a7c15u;
    return (size_t)(key ^ key >> 32);
}

static inline const merge_slot *merge_find(const merge_map *m, int32_t left, int32_t right)
{
    const uint64_t key = merge_key(left, right);
    size_t i = merge_hash(key);
    for (;; i++) {
        const merge_slot *s = m->slot + (i & m->mask);
        if (s->key == key)
            return s;
        if (s->key == UINT64_MAX)
            return NULL;
    }
}

/* Room for n merges; put replaces an equal pair. */
HONE_MUST_CHECK bool merge_map_init(merge_map *m, size_t n);
void merge_put(merge_map *m, int32_t left, int32_t right, uint32_t rank, int32_t id);

/* Which characters stand side by side inside a piece that a merge makes. Where two do
 * not, nothing ever merges across, and a word may be cut there. A space and the space mark
 * count as one. far may say yes for characters that do not join; then nothing is cut. */
#define JOIN_BITS 18
typedef struct joins {
    uint64_t near[128][2]; /* ASCII: bit of the second in the row of the first */
    uint64_t *far;         /* owned: 1 << JOIN_BITS bits, by hash */
} joins;
HONE_MUST_CHECK bool joins_init(joins *j);
void joins_add(joins *j, const char *p, size_t n); /* a piece, UTF-8 */

static inline uint32_t join_unit(uint32_t cp)
{
    return cp == 0x2581 ? ' ' : cp;
}

static inline size_t join_hash(uint32_t x, uint32_t y)
{
    const uint64_t key = ((uint64_t)x << 32 | y) * 0x9e3779b97f4a7c15u;
    return (size_t)(key >> (64 - JOIN_BITS));
}

static inline bool joined(const joins *j, uint32_t x, uint32_t y) /* of join_unit()s */
{
    size_t h;
    if ((x | y) < 128)
        return j->near[x][y >> 6] >> (y & 63) & 1;
    h = join_hash(x, y);
    return j->far[h >> 6] >> (h & 63) & 1;
}

typedef struct trie_node {
    uint32_t child, next; /* first child, next sibling; 0: none */
    int32_t id;           /* pattern that ends here, or -1 */
    uint8_t byte;
} trie_node;

typedef struct trie {
    trie_node *node; /* owned; node[0] is the root */
    size_t n, cap;
    uint32_t root[256]; /* child of the root by byte; 0: none */
} trie;

/* Of equal patterns the first stays. */
HONE_MUST_CHECK bool trie_add(trie *t, const char *p, size_t n, int32_t id);
/* The leftmost, then longest, pattern in p[from..n): its id, place and length, or -1. */
int32_t trie_find(const trie *t, const char *p, size_t n, size_t from, size_t *at, size_t *len);
void trie_finish(trie *t);

#endif /* CORE_DATA_TOKENIZER_VOCAB_H */
