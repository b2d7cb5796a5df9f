/*
 * tokenizer_train.c - a byte-level BPE from texts.
 *
 * Texts are cut by GPT-2's pattern; equal words are counted once. Then the pair of
 * neighbours that occurs most often (the smaller ids on a tie) becomes a piece, again
 * and again. For every pair the words that have it are known, so that a merge touches
 * these alone; the counts of their other pairs are corrected on the way.
 *
 * Ids as Hugging Face's trainer gives them: special tokens, the 256 bytes in the order
 * of the printable alphabet, pieces in the order they were made.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_train.h"

#include <stdlib.h>

typedef struct word {
    uint32_t at, n; /* symbols in trainer.sym */
    int64_t count;
} word;

typedef struct pair_row {
    uint64_t key; /* left << 32 | right */
    int64_t count;
    uint32_t *words; /* owned: words that have, or had, the pair; may repeat */
    size_t n, cap;
    bool touched; /* is in trainer.touched */
} pair_row;

typedef struct candidate { /* of the heap; stale when its count is not the pair's */
    int64_t count;
    uint32_t pair;
} candidate;

typedef struct trainer {
    /* distinct words: bytes in `bytes`, found by slot */
    text bytes;
    word *words;       /* owned */
    uint32_t *byte_at; /* owned: where word i's bytes begin */
    size_t n_words, cap_words, cap_at;
    uint32_t *slot; /* owned: word index + 1, 0 free */
    size_t mask;
    int32_t *sym; /* owned */
    size_t n_sym;

    pair_row *pairs; /* owned */
    size_t n_pairs, cap_pairs;
    uint32_t *pair_slot; /* owned: pair index + 1, 0 free */
    size_t pair_mask;
    candidate *heap; /* owned */
    size_t n_heap, cap_heap;
    uint32_t *touched; /* owned: pairs that became more frequent by the merge under way */
    size_t n_touched, cap_touched;

    trained out; /* owned: its arrays */
    size_t cap_made;
    int32_t *piece_slot; /* owned: ids by the hash of their bytes, -1 free */
    size_t piece_mask;
} trainer;

/* ----------------------------------------------------------------------------- words */

static bool words_grow(trainer *t)
{
    const size_t size = t->slot ? 2 * (t->mask + 1) : (size_t)1 << 10;
    uint32_t *slot = mem_new(size, sizeof *slot);
    size_t i, k;
    if (!slot)
        return false;
    for (i = 0; i < t->n_words; i++) {
        const size_t n = t->words[i].n;
        for (k = (size_t)hash_bytes(t->bytes.p + t->byte_at[i], n) & (size - 1); slot[k];)
            k = (k + 1) & (size - 1);
        slot[k] = (uint32_t)i + 1;
    }
    free(t->slot);
    t->slot = slot;
    t->mask = size - 1;
    return true;
}

static bool count_word(trainer *t, const char *p, size_t n)
{
    size_t k;
    if ((!t->slot || 2 * t->n_words > t->mask) && !words_grow(t))
        return false;
    for (k = (size_t)hash_bytes(p, n) & t->mask; t->slot[k]; k = (k + 1) & t->mask) {
        word *w = t->words + t->slot[k] - 1;
        if (w->n == n && memcmp(t->bytes.p + t->byte_at[t->slot[k] - 1], p, n) == 0) {
            w->count++;
            return true;
        }
    }
    if (t->bytes.n + n > UINT32_MAX ||
        !mem_grow(&t->words, &t->cap_words, t->n_words + 1, sizeof *t->words) ||
        !mem_grow(&t->byte_at, &t->cap_at, t->n_words + 1, sizeof *t->byte_at))
        return false;
    t->byte_at[t->n_words] = (uint32_t)t->bytes.n;
    t->words[t->n_words++] = (word){ 0, (uint32_t)n, 1 };
    t->slot[k] = (uint32_t)t->n_words;
    text_add(&t->bytes, p, n);
    return !t->bytes.failed;
}

static hone_status count_text(trainer *t, hone_str s, size_t index, hone_error *err)
{
    const size_t n = (size_t)s.n;
    size_t i, end;
    if (n && !utf8_valid(s.p, n))
        return hone_fail(err, HONE_ERR_FORMAT, "text %zu of the tokenizer's training is no UTF-8",
                         index);
    for (i = 0; i < n; i = end) {
        end = scan_gpt2(s.p, n, i);
        if (!count_word(t, s.p + i, end - i))
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for the words of text %zu", index);
    }
    return HONE_OK;
}

/* ----------------------------------------------------------------------------- pairs */

static bool pairs_grow(trainer *t)
{
    const size_t size = t->pair_slot ? 2 * (t->pair_mask + 1) : (size_t)1 << 10;
    uint32_t *slot = mem_new(size, sizeof *slot);
    size_t i, k;
    if (!slot)
        return false;
    for (i = 0; i < t->n_pairs; i++) {
        for (k = merge_hash(t->pairs[i].key) & (size - 1); slot[k];)
            k = (k + 1) & (size - 1);
        slot[k] = (uint32_t)i + 1;
    }
    free(t->pair_slot);
    t->pair_slot = slot;
    t->pair_mask = size - 1;
    return true;
}

/* The pair's index; SIZE_MAX when there is no memory. */
static size_t pair_index(trainer *t, int32_t left, int32_t right)
{
    const uint64_t key = merge_key(left, right);
    size_t k;
    if ((!t->pair_slot || 2 * t->n_pairs > t->pair_mask) && !pairs_grow(t))
        return SIZE_MAX;
    for (k = merge_hash(key) & t->pair_mask; t->pair_slot[k]; k = (k + 1) & t->pair_mask)
        if (t->pairs[t->pair_slot[k] - 1].key == key)
            return t->pair_slot[k] - 1;
    if (!mem_grow(&t->pairs, &t->cap_pairs, t->n_pairs + 1, sizeof *t->pairs))
        return SIZE_MAX;
    t->pairs[t->n_pairs++] = (pair_row){ .key = key };
    t->pair_slot[k] = (uint32_t)t->n_pairs;
    return t->n_pairs - 1;
}

static bool pair_add(trainer *t, int32_t left, int32_t right, int64_t count, uint32_t w)
{
    const size_t i = pair_index(t, left, right);
    pair_row *p;
    if (i == SIZE_MAX)
        return false;
    p = t->pairs + i;
    p->count += count;
    if (count < 0)
        return true;
    if (!p->touched) {
        if (!mem_grow(&t->touched, &t->cap_touched, t->n_touched + 1, sizeof *t->touched))
            return false;
        t->touched[t->n_touched++] = (uint32_t)i;
        p->touched = true;
    }
    if (p->n && p->words[p->n - 1] == w)
        return true;
    if (!mem_grow(&p->words, &p->cap, p->n + 1, sizeof *p->words))
        return false;
    p->words[p->n++] = w;
    return true;
}

/* Larger counts first, then smaller pairs. */
static bool is_before(const trainer *t, candidate a, candidate b)
{
    if (a.count != b.count)
        return a.count > b.count;
    return t->pairs[a.pair].key < t->pairs[b.pair].key;
}

static bool heap_add(trainer *t, candidate c)
{
    size_t i;
    if (!mem_grow(&t->heap, &t->cap_heap, t->n_heap + 1, sizeof *t->heap))
        return false;
    for (i = t->n_heap++; i > 0 && is_before(t, c, t->heap[(i - 1) / 2]); i = (i - 1) / 2)
        t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = c;
    return true;
}

static candidate heap_take(trainer *t)
{
    const candidate top = t->heap[0], c = t->heap[--t->n_heap];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < t->n_heap) {
        if (child + 1 < t->n_heap && is_before(t, t->heap[child + 1], t->heap[child]))
            child++;
        if (!is_before(t, t->heap[child], c))
            break;
        t->heap[i] = t->heap[child];
        i = child;
    }
    t->heap[i] = c;
    return top;
}

static bool push_touched(trainer *t)
{
    size_t i;
    for (i = 0; i < t->n_touched; i++) {
        pair_row *p = t->pairs + t->touched[i];
        p->touched = false;
        if (p->count > 0 && !heap_add(t, (candidate){ p->count, t->touched[i] }))
            return false;
    }
    t->n_touched = 0;
    return true;
}

/* ---------------------------------------------------------------------------- merging */

static int32_t byte_id(const trainer *t, uint8_t b)
{
    /* in the order of the alphabet: printable bytes stand for themselves and come first */
    uint32_t k = 0, c;
    const uint32_t mine = byte_to_char(b);
    for (c = 0; c < 256; c++)
        k += byte_to_char((uint8_t)c) < mine;
    return (int32_t)(t->out.n_special + k);
}

static bool start_words(trainer *t)
{
    int32_t id[256];
    size_t i, k;
    for (i = 0; i < 256; i++)
        id[i] = byte_id(t, (uint8_t)i);
    t->sym = mem_new(t->bytes.n, sizeof *t->sym);
    if (!t->sym)
        return false;
    for (i = 0; i < t->bytes.n; i++)
        t->sym[i] = id[(uint8_t)t->bytes.p[i]];
    for (i = 0; i < t->n_words; i++) {
        word *w = t->words + i;
        w->at = t->byte_at[i];
        for (k = 0; k + 1 < w->n; k++)
            if (!pair_add(t, t->sym[w->at + k], t->sym[w->at + k + 1], w->count, (uint32_t)i))
                return false;
    }
    return push_touched(t);
}

/* Merge left right to id in word w, counting the pairs that go and come. */
static bool merge_word(trainer *t, uint32_t index, int32_t left, int32_t right, int32_t id)
{
    word *w = t->words + index;
    int32_t *s = t->sym + w->at;
    const int64_t count = w->count;
    uint32_t i, k;
    for (i = 0; i + 1 < w->n; i++) {
        if (s[i] != left || s[i + 1] != right)
            continue;
        if (i > 0 && (!pair_add(t, s[i - 1], left, -count, index) ||
                      !pair_add(t, s[i - 1], id, count, index)))
            return false;
        s[i] = id;
        for (k = i + 1; k + 1 < w->n; k++)
            s[k] = s[k + 1];
        w->n--;
        if (i + 1 < w->n && (!pair_add(t, right, s[i + 1], -count, index) ||
                             !pair_add(t, id, s[i + 1], count, index)))
            return false;
    }
    return true;
}

/* Where the piece of this text is, or would be, in piece_slot. */
static int32_t *piece_place(const trainer *t, const char *p, size_t n)
{
    size_t k = (size_t)hash_bytes(p, n) & t->piece_mask;
    for (; t->piece_slot[k] >= 0; k = (k + 1) & t->piece_mask) {
        const text *have = t->out.pieces + t->piece_slot[k];
        if (have->n == n && memcmp(have->p, p, n) == 0)
            break;
    }
    return t->piece_slot + k;
}

/* The most frequent pair becomes a piece. *more: there was one. */
static bool merge_best(trainer *t, bool *more)
{
    candidate best;
    pair_row *p;
    text joined = { 0 };
    int32_t left, right, id, *place;
    uint32_t *words;
    size_t i, n;
    *more = false;
    do {
        if (!t->n_heap)
            return true;
        best = heap_take(t);
        p = t->pairs + best.pair;
        if (best.count != p->count && p->count > 0 &&
            !heap_add(t, (candidate){ p->count, best.pair }))
            return false;
    } while (best.count != p->count || p->count <= 0);
    left = (int32_t)(p->key >> 32);
    right = (int32_t)(uint32_t)p->key;
    text_add(&joined, t->out.pieces[left].p, t->out.pieces[left].n);
    text_add(&joined, t->out.pieces[right].p, t->out.pieces[right].n);
    if (joined.failed ||
        !mem_grow(&t->out.made, &t->cap_made, t->out.n_made + 1, sizeof *t->out.made)) {
        text_finish(&joined);
        return false;
    }
    place = piece_place(t, joined.p, joined.n);
    id = *place;
    if (id < 0) { /* the same text may have been made of other halves before */
        id = *place = (int32_t)t->out.n_pieces;
        t->out.pieces[t->out.n_pieces++] = joined;
    } else {
        text_finish(&joined);
    }
    t->out.made[t->out.n_made++] = (made_piece){ left, right, id };
    words = p->words; /* merging moves t->pairs */
    n = p->n;
    *p = (pair_row){ .key = p->key };
    for (i = 0; i < n; i++)
        if (!merge_word(t, words[i], left, right, id)) {
            free(words);
            return false;
        }
    free(words);
    if (!push_touched(t))
        return false;
    *more = true;
    return true;
}

/* -------------------------------------------------------------------------------- whole */

static void trainer_finish(trainer *t)
{
    size_t i;
    for (i = 0; i < t->n_pairs; i++)
        free(t->pairs[i].words);
    for (i = 0; t->out.pieces && i < (size_t)t->out.n_pieces; i++)
        text_finish(t->out.pieces + i);
    text_finish(&t->bytes);
    free(t->words);
    free(t->byte_at);
    free(t->slot);
    free(t->sym);
    free(t->pairs);
    free(t->pair_slot);
    free(t->heap);
    free(t->touched);
    free(t->out.made);
    free(t->out.pieces);
    free(t->piece_slot);
}

static hone_status check_request(int64_t n_vocab, const char *const *special, size_t n_special,
                                 hone_error *err)
{
    size_t i, k;
    if (n_vocab < 256 + (int64_t)n_special || n_vocab > TOKENIZER_MAX_IDS)
        return hone_fail(
            err, HONE_ERR_ARG,
            "a vocabulary of %lld pieces: 256 bytes and %zu special tokens need at least %lld",
            (long long)n_vocab, n_special, 256 + (long long)n_special);
    for (i = 0; i < n_special; i++) {
        if (!*special[i] || !utf8_valid(special[i], strlen(special[i])))
            return hone_fail(err, HONE_ERR_ARG, "special token %zu is empty or no UTF-8", i);
        for (k = 0; k < i; k++)
            if (strcmp(special[i], special[k]) == 0)
                return hone_fail(err, HONE_ERR_ARG, "special token \"%s\" is given twice",
                                 quoted_s(special[i]).s);
    }
    return HONE_OK;
}

static bool start_pieces(trainer *t, const char *const *special, size_t n_special, int64_t n_vocab)
{
    size_t i, size = 1024;
    while (size < 2 * (size_t)n_vocab)
        size *= 2;
    t->out.pieces = mem_new((size_t)n_vocab, sizeof *t->out.pieces);
    t->piece_slot = malloc(size * sizeof *t->piece_slot);
    if (!t->out.pieces || !t->piece_slot)
        return false;
    memset(t->piece_slot, 0xff, size * sizeof *t->piece_slot);
    t->piece_mask = size - 1;
    t->out.n_special = n_special;
    t->out.n_pieces = (int64_t)n_special + 256;
    for (i = 0; i < n_special; i++)
        text_puts(t->out.pieces + i, special[i]);
    for (i = 0; i < 256; i++)
        text_putc(t->out.pieces + byte_id(t, (uint8_t)i), (char)(uint8_t)i);
    for (i = 0; i < (size_t)t->out.n_pieces; i++) {
        const text *p = t->out.pieces + i;
        if (p->failed)
            return false;
        if (i >= n_special)
            *piece_place(t, p->p, p->n) = (int32_t)i;
    }
    return true;
}

hone_status tokenizer_train(const char *dir, const hone_str *texts, size_t n_texts, int64_t n_vocab,
                            const char *const *special, size_t n_special, hone_error *err)
{
    trainer t = { 0 };
    bool more = true;
    size_t i;
    hone_status status = check_request(n_vocab, special, n_special, err);
    uc_init();
    for (i = 0; i < n_texts && !status; i++)
        status = count_text(&t, texts[i], i, err);
    if (status)
        goto out;
    if (!start_pieces(&t, special, n_special, n_vocab) || !start_words(&t)) {
        status = hone_fail(err, HONE_ERR_NOMEM, "no memory to train a tokenizer on %zu words",
                           t.n_words);
        goto out;
    }
    while (t.out.n_pieces < n_vocab && more) {
        if (!merge_best(&t, &more)) {
            status = hone_fail(err, HONE_ERR_NOMEM, "no memory for pair %zu of the tokenizer",
                               t.out.n_made);
            goto out;
        }
    }
    if (t.out.n_pieces < n_vocab) {
        status = hone_fail(
            err, HONE_ERR_ARG,
            "the texts give %lld pieces, not the %lld asked for: give more text or ask for fewer",
            (long long)t.out.n_pieces, (long long)n_vocab);
        goto out;
    }
    status = dir_make(dir, err);
    if (!status)
        status = trained_write(&t.out, dir, err);
out:
    trainer_finish(&t);
    return status;
}
