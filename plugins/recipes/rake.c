/*
 * rake.c - see rake.h.
 *
 * One pass over the text: a token is lowered into a buffer while its hash is made, looked up
 * once in a table that holds stop words and words alike, and counted when its phrase ends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "rake.h"

#include <stdlib.h>
#include <utf8proc.h>

enum { WIDE, WORD, SPACE, MARK }; /* of a byte; WIDE: not ASCII */

/* \w and \s as Unicode's rules for regular expressions (UTS 18) have them, and the engine of NLTK. */
static int class_of(uint32_t cp)
{
    if (cp < 0x80) {
        if ((cp | 32) - 'a' < 26 || cp - '0' < 10 || cp == '_')
            return WORD;
        return cp == ' ' || cp - 9 < 5 ? SPACE : MARK;
    }
    if (cp == UINT32_MAX)
        return MARK;
    const utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    if ((c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NL) || c == UTF8PROC_CATEGORY_PC)
        return WORD;
    if (cp == 0x200c || cp == 0x200d || cp - 0x24b6 < 52 || cp - 0x1f130 < 26 ||
        cp - 0x1f150 < 26 || cp - 0x1f170 < 26) /* joiners; letters in circles and squares */
        return WORD;
    return c == UTF8PROC_CATEGORY_ZS || cp == 0x85 || cp == 0x2028 || cp == 0x2029 ? SPACE : MARK;
}

static bool is_cased(uint32_t cp)
{
    const utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LT;
}

/* ------------------------------------------------------------------------- words */

void rake_init(rake *r, const hone_host *host, const char *name)
{
    const hone_text t = { .host = host, .tag = name };
    *r = (rake){
        .host = host, .name = name, .min_words = 1, .max_words = UINT64_MAX, .bytes = t, .joined = t
    };
}

void rake_finish(rake *r)
{
    if (!r->host)
        return;
    hone_text_finish(&r->bytes);
    hone_text_finish(&r->joined);
    r->host->free(r->host, r->words);
    r->host->free(r->host, r->slots);
    r->host->free(r->host, r->run);
    r->host->free(r->host, r->phrases);
    *r = (rake){ 0 };
}

static hone_status no_memory(const rake *r, uint64_t n, hone_error *err)
{
    return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %llu words", r->name,
                     (unsigned long long)n);
}

/* Room for one more element; the array doubles. */
static bool grow(const rake *r, void *array, uint64_t n, uint64_t *cap, uint64_t size)
{
    void *old, *p;
    if (n < *cap)
        return true;
    const uint64_t wanted = *cap ? 2 * *cap : 256;
    memcpy(&old, array, sizeof old);
    if (wanted > UINT32_MAX / 4 || !(p = r->host->alloc(r->host, wanted * size, 16, r->name)))
        return false;
    if (n)
        memcpy(p, old, n * size);
    r->host->free(r->host, old);
    memcpy(array, &p, sizeof p);
    *cap = wanted;
    return true;
}

static uint64_t slot_of(const rake *r, const char *p, uint64_t n, uint64_t hash)
{
    uint64_t at = (hash ^ hash >> 32) & (r->n_slots - 1);
    for (; r->slots[at]; at = (at + 1) & (r->n_slots - 1)) {
        const rake_word *w = &r->words[r->slots[at] - 1];
        if (w->hash == hash && w->n == n && memcmp(r->bytes.p + w->off, p, n) == 0)
            break;
    }
    return at;
}

static bool more_slots(rake *r)
{
    const uint64_t n = r->n_slots ? 2 * r->n_slots : 1024;
    uint32_t *slots = r->host->alloc(r->host, n * sizeof *slots, 16, r->name);
    if (!slots)
        return false;
    memset(slots, 0, n * sizeof *slots);
    r->host->free(r->host, r->slots);
    r->slots = slots;
    r->n_slots = n;
    for (uint64_t i = 0; i < r->n_words; i++) {
        uint64_t at = (r->words[i].hash ^ r->words[i].hash >> 32) & (n - 1);
        while (slots[at])
            at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)i + 1;
    }
    return true;
}

/* The word whose bytes end r->bytes, from `off` on: kept there when it is new. UINT32_MAX: no
 * memory. */
static uint32_t intern(rake *r, uint64_t off, uint64_t hash)
{
    const uint64_t n = r->bytes.n - off;
    if (2 * (r->n_words + 1) > r->n_slots && !more_slots(r))
        return UINT32_MAX;
    const uint64_t at = slot_of(r, r->bytes.p + off, n, hash);
    if (r->slots[at]) {
        r->bytes.n = off;
        return r->slots[at] - 1;
    }
    if (n > UINT32_MAX || !grow(r, &r->words, r->n_words, &r->cap_words, sizeof *r->words))
        return UINT32_MAX;
    r->words[r->n_words] = (rake_word){ .hash = hash, .off = off, .n = (uint32_t)n };
    r->slots[at] = (uint32_t)++r->n_words;
    return (uint32_t)r->n_words - 1;
}

void rake_begin(rake *r)
{
    for (uint64_t i = r->n_words;
         i-- > r->n_stop;) { /* the last one in leaves first: no chain is cut */
        const rake_word *w = &r->words[i];
        r->slots[slot_of(r, r->bytes.p + w->off, w->n, w->hash)] = 0;
    }
    r->n_words = r->n_stop;
    r->bytes.n = r->n_words ? r->words[r->n_words - 1].off + r->words[r->n_words - 1].n : 0;
    r->n_run = r->n_phrases = 0;
}

/* ------------------------------------------------------------------------ tokens */

#define HASH_START 0xcbf29ce484222325u
#define HASH_PRIME 0x100000001b3u /* FNV-1a */

static void put(rake *r, uint64_t *hash, const char *p, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        r->bytes.p[r->bytes.n++] = p[i];
        *hash = (*hash ^ (unsigned char)p[i]) * HASH_PRIME;
    }
}

/* As Python's str.lower(): simple mappings, but for the dotted capital I and the capital sigma that
 * ends a word. next: the code point behind it in the word, 0 for none. */
static uint64_t lower(uint32_t cp, uint32_t before, uint32_t next, char out[8])
{
    if (cp == 0x130) {
        memcpy(out, "i\xcc\x87", 3);
        return 3;
    }
    if (cp == 0x3a3)
        return hone_utf8_put(
            before && is_cased(before) && !(next && is_cased(next)) ? 0x3c2 : 0x3c3, out);
    return hone_utf8_put((uint32_t)utf8proc_tolower((utf8proc_int32_t)cp), out);
}

/* The token that begins at s[at], which is no white space, into r->bytes: its end. */
static uint64_t take_token(rake *r, hone_str s, uint64_t at, uint64_t *hash, int *class)
{
    uint32_t before = 0, cp;
    *hash = HASH_START;
    *class = WIDE;
    while (at < s.n) {
        uint64_t n = hone_utf8_next(s.p + at, s.n - at, &cp);
        const int c = class_of(cp);
        char low[8];
        if (*class == WIDE)
            *class = c;
        if (c != *class)
            break;
        if (cp < 0x80) {
            *low = (char)(c == WORD && cp - 'A' < 26 ? cp | 32 : cp);
            put(r, hash, low, 1);
        } else if (c == WORD) {
            uint32_t next = 0;
            if (cp == 0x3a3 && at + n < s.n) {
                (void)hone_utf8_next(s.p + at + n, s.n - at - n, &next);
                next = class_of(next) == WORD ? next : 0;
            }
            put(r, hash, low, lower(cp, before, next, low));
        } else {
            put(r, hash, s.p + at, n);
        }
        before = cp;
        at += n;
    }
    return at;
}

hone_status rake_stop(rake *r, hone_str word, hone_error *err)
{
    const uint64_t off = r->bytes.n;
    uint64_t hash = HASH_START;
    if (!word.n)
        return HONE_OK;
    if (!hone_text_reserve(&r->bytes, word.n))
        return no_memory(r, r->n_words, err);
    put(r, &hash, word.p, word.n);
    const uint32_t w = intern(r, off, hash);
    if (w == UINT32_MAX)
        return no_memory(r, r->n_words, err);
    r->words[w].stop = true;
    r->n_stop = r->n_words;
    return HONE_OK;
}

/* The words of r->run from `first` on are a phrase, if they are neither too few nor too many. */
static bool end_phrase(rake *r, uint64_t first)
{
    const uint64_t n = r->n_run - first;
    if (!n || n < r->min_words || n > r->max_words) {
        r->n_run = first;
        return true;
    }
    if (!grow(r, &r->phrases, r->n_phrases, &r->cap_phrases, sizeof *r->phrases))
        return false;
    r->phrases[r->n_phrases++] = (rake_phrase){ .first = first, .n_words = n };
    for (uint64_t i = first; i < r->n_run; i++) {
        r->words[r->run[i]].frequency++;
        r->words[r->run[i]].degree += n;
    }
    return true;
}

hone_status rake_sentence(rake *r, hone_str s, hone_error *err)
{
    uint64_t at = 0, first = r->n_run;
    uint32_t cp;
    /* a lowered character takes at most two bytes for one */
    if (!hone_text_reserve(&r->bytes, 2 * s.n + 8))
        return no_memory(r, r->n_words, err);
    while (at < s.n) {
        const uint64_t n = hone_utf8_next(s.p + at, s.n - at, &cp), off = r->bytes.n;
        uint64_t hash;
        int class;
        if (class_of(cp) == SPACE) {
            at += n;
            continue;
        }
        const uint64_t end = take_token(r, s, at, &hash, &class);
        /* a lonely underscore is a word character and punctuation all the same */
        const bool single = end - at == 1 && cp > 0x20 && cp < 0x7f && (class == MARK || cp == '_');
        bool stop = single || (class == MARK && r->all_punctuation);
        uint32_t w = 0;
        at = end;
        if (stop) {
            r->bytes.n = off;
        } else {
            if ((w = intern(r, off, hash)) == UINT32_MAX)
                return no_memory(r, r->n_words, err);
            stop = r->words[w].stop;
        }
        if (stop) {
            if (!end_phrase(r, first))
                return no_memory(r, r->n_run, err);
            first = r->n_run;
        } else {
            if (!grow(r, &r->run, r->n_run, &r->cap_run, sizeof *r->run))
                return no_memory(r, r->n_run, err);
            r->run[r->n_run++] = w;
        }
    }
    return end_phrase(r, first) ? HONE_OK : no_memory(r, r->n_run, err);
}

/* ----------------------------------------------------------------------- ranking */

/* Highest score first; of equal ones the phrase that sorts last. UTF-8 sorts as code points do. */
static int by_rank(const void *a, const void *b)
{
    const rake_phrase *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    const int order = memcmp(y->text, x->text, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n < y->n) - (x->n > y->n);
}

static double word_score(const rake_word *w, int64_t metric)
{
    switch (metric) {
    case RAKE_DEGREE:
        return (double)w->degree;
    case RAKE_FREQUENCY:
        return (double)w->frequency;
    default:
        return (double)w->degree / (double)w->frequency;
    }
}

hone_status rake_rank(rake *r, int64_t metric, hone_error *err)
{
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < r->n_run; i++)
        bytes += r->words[r->run[i]].n + 1;
    hone_text_clear(&r->joined);
    if (!hone_text_reserve(&r->joined, bytes + 1))
        return no_memory(r, r->n_run, err);
    for (uint64_t i = 0; i < r->n_phrases; i++) {
        rake_phrase *p = &r->phrases[i];
        p->score = 0;
        p->text = r->joined.p + r->joined.n;
        for (uint64_t k = 0; k < p->n_words; k++) {
            const rake_word *w = &r->words[r->run[p->first + k]];
            if (k)
                hone_text_putc(&r->joined, ' ');
            hone_text_add(&r->joined, r->bytes.p + w->off, w->n);
            p->score += word_score(w, metric);
        }
        p->n = (uint64_t)(r->joined.p + r->joined.n - p->text);
    }
    if (r->n_phrases)
        qsort(r->phrases, r->n_phrases, sizeof *r->phrases, by_rank);
    return HONE_OK;
}
