/*
 * tokenizer_encode.c - text to ids.
 *
 *   bytes -> UTF-8 -> spellings of added tokens cut out -> normalizers -> spellings of
 *   normalized added tokens cut out -> pre-tokenizers -> words -> ids
 *
 * A word's ids depend on the word alone, so they are remembered: a table of fixed
 * size in memory that one call holds at a time. Models of the SentencePiece kind see
 * a whole text as one word; when no merge makes a piece with the space mark behind
 * another character (checked at load) nothing merges across such a place, and cutting
 * there is exact.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_impl.h"

#include <stdlib.h>

#define MAX_TEXT ((size_t)1 << 30)     /* bytes of one call */
#define KEEP_SYMBOLS ((size_t)1 << 20) /* larger scratch is freed, not kept */

typedef struct encoder {
    const tokenizer *t;
    scratch *s;
    tokens *out;
    uint32_t flags;
} encoder;

/* -------------------------------------------------------------------------- scratch */

scratch *scratch_borrow(const tokenizer *t)
{
    tokenizer *owner = (tokenizer *)(uintptr_t)t; /* the pool alone changes, under its lock */
    scratch *s;
    (void)pthread_mutex_lock(&owner->lock);
    s = owner->pool;
    if (s)
        owner->pool = s->next;
    (void)pthread_mutex_unlock(&owner->lock);
    if (s)
        return s;
    s = mem_new(1, sizeof *s);
    if (s && !(s->words = mem_new(WORD_SLOTS, sizeof *s->words))) {
        free(s);
        s = NULL;
    }
    return s;
}

void scratch_free(scratch *s)
{
    size_t i;
    if (!s)
        return;
    for (i = 0; i < 2; i++) {
        aligned_finish(&s->norm[i]);
        aligned_finish(&s->pre[i]);
    }
    text_finish(&s->word);
    text_finish(&s->ahead);
    text_finish(&s->repaired);
    free(s->s.p);
    free(s->t.p);
    free(s->cuts);
    free(s->spots);
    free(s->sym);
    free(s->links);
    free(s->heap);
    free(s->words);
    free(s->nf);
    free(s);
}

void scratch_return(const tokenizer *t, scratch *s)
{
    tokenizer *owner = (tokenizer *)(uintptr_t)t;
    const bool failed = s->s.failed || s->t.failed || s->word.failed || s->ahead.failed ||
                        s->repaired.failed || s->norm[0].failed || s->norm[1].failed ||
                        s->pre[0].failed || s->pre[1].failed;
    if (failed || s->cap_links > KEEP_SYMBOLS || s->cap_sym > KEEP_SYMBOLS ||
        s->s.cap > KEEP_SYMBOLS || s->norm[0].cap_al > KEEP_SYMBOLS ||
        s->pre[0].cap_al > KEEP_SYMBOLS || s->repaired.cap > KEEP_SYMBOLS ||
        s->cap_nf > KEEP_SYMBOLS) {
        scratch_free(s);
        return;
    }
    (void)pthread_mutex_lock(&owner->lock);
    s->next = owner->pool;
    owner->pool = s;
    (void)pthread_mutex_unlock(&owner->lock);
}

aligned *scratch_other(aligned pair[2], const view *v)
{
    const uintptr_t at = (uintptr_t)v->al, first = (uintptr_t)pair[0].al;
    return v->al && at >= first && at < first + pair[0].cap_al * sizeof(align) ? &pair[1]
                                                                               : &pair[0];
}

/* ---------------------------------------------------------------------------- tokens */

static hone_status no_memory(hone_error *err)
{
    return hone_fail(err, HONE_ERR_NOMEM, "no memory for tokens");
}

static bool emit(encoder *e, int32_t id, align at)
{
    tokens *out = e->out;
    if (out->n == out->cap && !mem_grow(&out->p, &out->cap, out->n + 1, sizeof *out->p))
        return false;
    out->p[out->n++] = (token){ id, at.a, at.b };
    return true;
}

static inline uint64_t load(const char *p, size_t n) /* n: 4 or 8 */
{
    uint64_t w = 0;
    memcpy(&w, p, n);
    return w;
}

/* Short keys, often: all bytes, some of them twice, in two words. */
static inline word_entry *word_slot(scratch *s, const char *p, size_t n)
{
    uint64_t a, b = n;
    if (n >= 8) {
        a = load(p, 8);
        b += load(p + n - 8, 8) * 0x9e3779b97f4a7c15u;
        if (n > 16)
            b ^= load(p + 8, 8) * 0xff51afd7ed558ccdu;
    } else if (n >= 4) {
        a = load(p, 4) << 32 | load(p + n - 4, 4);
    } else {
        a = (uint64_t)(uint8_t)p[0] << 16 | (uint64_t)(uint8_t)p[n / 2] << 8 | (uint8_t)p[n - 1];
    }
    a = (a ^ b >> 29 ^ b) * 0xc4ceb9fe1a85ec53u;
    return s->words + (size_t)(a >> (64 - WORD_SLOTS_LOG2));
}

static inline bool word_known(const word_entry *w, const char *p, size_t n)
{
    return w->n_key == n && memcmp(w->key, p, n) == 0;
}

/* Remember s->sym as what the word is, when it fits. */
static void word_keep(word_entry *w, const scratch *s, const char *p, size_t n)
{
    size_t i;
    if (s->n_sym > WORD_IDS)
        return;
    for (i = 0; i < s->n_sym; i++) {
        w->id[i] = s->sym[i].id;
        w->len[i] = (uint8_t)s->sym[i].len;
    }
    memcpy(w->key, p, n);
    w->n_key = (uint8_t)n;
    w->n_ids = (uint8_t)s->n_sym;
}

/* A word that is v's bytes [i, j). */
static hone_status encode_word(encoder *e, const view *v, uint32_t i, uint32_t j, hone_error *err)
{
    scratch *s = e->s;
    const char *p = v->p + i;
    const size_t n = j - i;
    word_entry *w = n <= WORD_KEY ? word_slot(s, p, n) : NULL;
    const int64_t dropped = s->dropped;
    hone_status status;
    size_t k;
    if (w && word_known(w, p, n)) {
        for (k = 0; k < w->n_ids; i += w->len[k], k++)
            if (!emit(e, w->id[k], view_range(v, i, i + w->len[k])))
                return no_memory(err);
        return HONE_OK;
    }
    status = bpe_word(e->t, s, p, n, err);
    if (status)
        return status;
    if (w && s->dropped == dropped) /* a word with losses is counted every time */
        word_keep(w, s, p, n);
    for (k = 0; k < s->n_sym; i += s->sym[k].len, k++)
        if (!emit(e, s->sym[k].id, view_range(v, i, i + s->sym[k].len)))
            return no_memory(err);
    return HONE_OK;
}

static inline bool is_mark(const char *p, size_t left)
{
    return left >= 3 && memcmp(p, META_MARK, 3) == 0;
}

/* End of the word that begins at p[i]: the next place where a cut is exact. with marks_cut
 * every mark (or space) begins a word. */
static size_t word_end(const tokenizer *t, const char *p, size_t n, size_t i, bool marks_cut)
{
    const joins *j = &t->joins;
    size_t len;
    uint32_t x = join_unit(uc_get(p + i, &len)), y;
    for (i += len; i < n; i += len, x = y) {
        y = join_unit(uc_get(p + i, &len));
        if (y == ' ' ? marks_cut || !joined(j, x, y) : t->cut_anywhere && !joined(j, x, y))
            break;
    }
    return i;
}

/* A part of normalized text, cut into words where that is exact. */
static hone_status encode_part(encoder *e, const view *v, part in, hone_error *err)
{
    const tokenizer *t = e->t;
    uint32_t from, end;
    hone_status status = HONE_OK;
    if (!t->cut_at_marks)
        return encode_word(e, v, in.start, in.end, err);
    for (from = in.start; !status && from < in.end; from = end) {
        end = (uint32_t)word_end(t, v->p, in.end, from, false);
        status = encode_word(e, v, from, end, err);
    }
    return status;
}

/* --------------------------------------------------------- SentencePiece style, straight */

/* p[0..n) is a word of the text as it stands, a space meaning the mark; its first `ahead`
 * bytes (0 or 1) are not in the text. base: where in the text the word begins. */
static hone_status encode_marked(encoder *e, const char *p, size_t n, uint32_t ahead, uint32_t base,
                                 hone_error *err)
{
    scratch *s = e->s;
    word_entry *w = n <= WORD_KEY ? word_slot(s, p, n) : NULL;
    const int64_t dropped = s->dropped;
    uint32_t at = 0;
    size_t i, k;
    if (!w || !word_known(w, p, n)) {
        hone_status status;
        text_clear(&s->word);
        for (i = 0; i < n; i++) {
            if (p[i] == ' ')
                text_add(&s->word, META_MARK, 3);
            else
                text_putc(&s->word, p[i]);
        }
        status = text_status(&s->word, err);
        if (!status)
            status = bpe_word(e->t, s, s->word.p, s->word.n, err);
        if (status)
            return status;
        for (k = 0, i = 0; k < s->n_sym; k++) { /* lengths in the text: a mark may be one byte */
            uint32_t left = s->sym[k].len, len = 0;
            while (left) {
                left -= p[i] == ' ' && left >= 3 ? 3 : 1;
                i++;
                len++;
            }
            s->sym[k].len = len;
        }
        if (w && s->dropped == dropped)
            word_keep(w, s, p, n);
        for (k = 0; k < s->n_sym; at += s->sym[k].len, k++) {
            const uint32_t end = at + s->sym[k].len;
            if (!emit(e, s->sym[k].id,
                      (align){ base + (at ? at - ahead : 0), base + (end ? end - ahead : 0) }))
                return no_memory(err);
        }
        return HONE_OK;
    }
    for (k = 0; k < w->n_ids; at += w->len[k], k++) {
        const uint32_t end = at + w->len[k];
        if (!emit(e, w->id[k],
                  (align){ base + (at ? at - ahead : 0), base + (end ? end - ahead : 0) }))
            return no_memory(err);
    }
    return HONE_OK;
}

static inline size_t mark_len(const char *p, size_t left) /* 0: no mark at p */
{
    return *p == ' ' ? 1 : is_mark(p, left) ? 3 : 0;
}

/* End of the first word when a mark is put in front of p. */
static size_t ahead_end(const tokenizer *t, const char *p, size_t n)
{
    size_t len;
    const uint32_t y = join_unit(uc_get(p, &len));
    const bool cut = y == ' ' || t->cut_anywhere;
    return cut && !joined(&t->joins, ' ', y) ? 0 : word_end(t, p, n, 0, t->straight_split);
}

static hone_status encode_straight(encoder *e, const view *v, hone_error *err)
{
    const tokenizer *t = e->t;
    const char *p = v->p;
    const size_t n = v->n;
    text *word = &e->s->ahead;
    size_t i = 0, from = 0;
    hone_status status = HONE_OK;
    if (t->straight_prefix == PREFIX_ALWAYS ||
        (t->straight_prefix == PREFIX_AT_START && v->base == 0) ||
        (t->straight_prefix == PREFIX_UNLESS_MARK && !mark_len(p, n)) ||
        (t->straight_prefix == PREFIX_FIRST && v->base == 0 && !mark_len(p, n))) {
        from = ahead_end(t, p, n);
        text_clear(word);
        text_putc(word, ' ');
        text_add(word, p, from);
        status = text_status(word, err);
        if (!status)
            status = encode_marked(e, word->p, word->n, 1, v->base, err);
    }
    for (; !status && from < n; from = i) {
        i = word_end(t, p, n, from, t->straight_split);
        status = encode_marked(e, p + from, i - from, 0, v->base + (uint32_t)from, err);
    }
    return status;
}

/* ---------------------------------------------------------------------- added tokens */

static hone_status encode_normalized(encoder *e, view v, hone_error *err)
{
    scratch *s = e->s;
    size_t i;
    hone_status status;
    if (!v.n)
        return HONE_OK;
    status = pre_tokenize(e->t, s, &v, err);
    for (i = 0; !status && i < s->s.n; i++)
        status = encode_part(e, &v, s->s.p[i], err);
    return status;
}

static hone_status encode_plain(encoder *e, view v, hone_error *err);

static bool ends_with_word(const char *p, size_t n)
{
    size_t i = n, len;
    if (!n)
        return false;
    do
        i--;
    while (i && ((uint8_t)p[i] & 0xc0) == 0x80);
    return uc_class(uc_get(p + i, &len)) & UC_WORD;
}

static bool starts_with_word(const char *p, size_t n)
{
    size_t len;
    return n && (uc_class(uc_get(p, &len)) & UC_WORD);
}

static size_t spaces_before(const char *p, size_t n) /* where the spaces that end p[0..n) begin */
{
    view v = { p, NULL, (uint32_t)n, 0 };
    view_strip(&v, false, true);
    return v.n;
}

static size_t spaces_behind(const char *p, size_t n)
{
    size_t i = 0, len;
    while (i < n && (uc_class(uc_get(p + i, &len)) & UC_SPACE))
        i += len;
    return i;
}

/* Cut the spellings of added tokens out of v; what is between goes to `rest`. */
static hone_status encode_around(encoder *e, const trie *spellings, view v,
                                 hone_status (*rest)(encoder *e, view v, hone_error *err),
                                 hone_error *err)
{
    const tokenizer *t = e->t;
    size_t done = 0, from = 0, at = 0, len = 0;
    int32_t found;
    hone_status status = HONE_OK;
    while (!status && (found = trie_find(spellings, v.p, v.n, from, &at, &len)) >= 0) {
        const added *a = t->added + found;
        size_t start = at, end = at + len;
        from = end;
        if (a->special && !(e->flags & ENCODE_SPECIAL))
            continue;
        if (a->single_word &&
            (ends_with_word(v.p, start) || starts_with_word(v.p + end, v.n - end)))
            continue;
        if (a->lstrip) {
            start = spaces_before(v.p, start);
            if (start < done)
                start = done;
        }
        if (a->rstrip)
            end += spaces_behind(v.p + end, v.n - end);
        if (done < start)
            status = rest(e, view_slice(&v, (uint32_t)done, (uint32_t)start), err);
        /* the spaces that an earlier token took may reach past this one: then it is gone */
        if (!status && start < end &&
            !emit(e, a->id, view_range(&v, (uint32_t)start, (uint32_t)end)))
            status = no_memory(err);
        done = end;
    }
    if (!status && done < v.n)
        status = rest(e, view_slice(&v, (uint32_t)done, v.n), err);
    return status;
}

static hone_status encode_plain(encoder *e, view v, hone_error *err)
{
    const tokenizer *t = e->t;
    hone_status status;
    if (t->straight)
        return encode_straight(e, &v, err);
    status = normalize(t, e->s, &v, err);
    if (status)
        return status;
    if (t->normal.n)
        return encode_around(e, &t->normal, v, encode_normalized, err);
    return encode_normalized(e, v, err);
}

/* ------------------------------------------------------------------------------- whole */

hone_status tokenizer_encode(const tokenizer *t, const char *p, size_t n, uint32_t flags,
                             tokens *out, encode_losses *lost, hone_error *err)
{
    const size_t before = out->n;
    size_t i;
    encoder e = { t, NULL, out, flags };
    view v = { p, NULL, (uint32_t)n, 0 };
    bool repaired = false;
    hone_status status = HONE_OK;
    if (n > MAX_TEXT)
        return hone_fail(err, HONE_ERR_LIMIT,
                         "a text of %zu bytes to tokenize at once, at most %zu: split it", n,
                         MAX_TEXT);
    e.s = scratch_borrow(t);
    if (!e.s)
        return no_memory(err);
    e.s->dropped = 0;
    if (n && text_well_formed(p, n) < n) {
        status = text_repair(e.s, p, n, err);
        v = (view){ e.s->repaired.p, NULL, (uint32_t)e.s->repaired.n, 0 };
        repaired = true;
    }
    for (i = 0; !status && (flags & ENCODE_ADD) && i < t->n_before; i++)
        if (!emit(&e, t->before[i], (align){ 0, 0 }))
            status = no_memory(err);
    if (!status)
        status = encode_around(&e, &t->plain, v, encode_plain, err);
    for (i = before; !status && repaired && i < out->n; i++) {
        out->p[i].start = repaired_place(e.s, out->p[i].start, false);
        out->p[i].end = repaired_place(e.s, out->p[i].end, true);
    }
    for (i = 0; !status && (flags & ENCODE_ADD) && i < t->n_after; i++)
        if (!emit(&e, t->after[i], (align){ 0, 0 }))
            status = no_memory(err);
    if (status)
        out->n = before;
    else if (lost)
        losses_add(lost, t, e.s, repaired, out, before);
    scratch_return(t, e.s);
    return status;
}

void tokens_finish(tokens *t)
{
    free(t->p);
    *t = (tokens){ 0 };
}
