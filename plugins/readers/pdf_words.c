/*
 * pdf_words.c - words of a document: those that it knows, and those that mark items of lists.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pdf.h"

static uint64_t hash_more(uint64_t h, hone_str s)
{
    for (uint64_t i = 0; i < s.n; i++) {
        const char c = s.p[i];
        h = (h ^ (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c)) * 1099511628211u;
    }
    return h;
}

#define HASH_START 14695981039346656037u

bool pdf_is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

/* A word without the punctuation around it. */
static hone_str bare(hone_str s)
{
    while (s.n && !pdf_is_letter(s.p[0]))
        s.p++, s.n--;
    while (s.n && !pdf_is_letter(s.p[s.n - 1]))
        s.n--;
    return s;
}

static uint64_t *slot(const hone_text *known, uint64_t h)
{
    uint64_t *table = PDF_AT(uint64_t, *known, 0);
    const uint64_t cap = known->n / sizeof *table;
    uint64_t i = (h | 1) * 0x9e3779b97f4a7c15u >> 16 & (cap - 1);
    while (table[i] && table[i] != (h | 1))
        i = (i + 1) & (cap - 1);
    return &table[i];
}

bool pdf_words_learn(hone_text *known, const pdf_doc *d)
{
    const uint32_t n = PDF_N(pdf_word, d->words);
    uint64_t cap = 64;
    while (cap < (uint64_t)n * 2)
        cap *= 2;
    if (!hone_text_reserve(known, cap * sizeof(uint64_t)))
        return false;
    known->n = cap * sizeof(uint64_t);
    memset(known->p, 0, known->n);
    for (uint32_t i = 0; i < n; i++) {
        const hone_str s = bare(pdf_word_text(d, pdf_word_at(d, i)));
        if (s.n > 3) {
            const uint64_t h = hash_more(HASH_START, s);
            *slot(known, h) = h | 1;
        }
    }
    return true;
}

bool pdf_words_have(const hone_text *known, hone_str head, const char *between, hone_str tail)
{
    const uint64_t h =
        hash_more(hash_more(hash_more(HASH_START, bare(head)), hone_s(between)), bare(tail));
    return *slot(known, h) == (h | 1);
}

const pdf_word *pdf_word_of(const pdf_doc *d, const pdf_row *r, uint32_t n)
{
    for (uint32_t k = 0; k < r->n; k++) {
        const pdf_chunk *c = pdf_cell(d, r, k);
        if (n < c->n_words)
            return pdf_word_at(d, c->word + n);
        n -= c->n_words;
    }
    return NULL;
}

static const struct {
    const char *mark;
    bool sure; /* otherwise only when it stands apart */
} bullets[] = {
    { "\xe2\x80\xa2", true },
    { "\xe2\x80\xa3", true },
    { "\xe2\x97\xa6", true },
    { "\xe2\x96\xaa", true },
    { "\xe2\x97\x8f", true },
    { "\xe2\x97\x8b", true },
    { "\xe2\x96\xa0", true },
    { "\xe2\x96\xa1", true },
    { "\xe2\x9e\xa2", true },
    { "\xe2\x9e\xa4", true },
    { "\xe2\x88\x99", true },
    { "\xe2\x97\x86", true },
    { "\xe2\x9c\x93", true },
    { "\xe2\x96\xb6", true },
    { "\xe2\x96\xba", true },
    { "\xe2\x88\x97", true },
    { "\xe2\x80\x93", false },
    { "\xe2\x80\x94", false },
    { "\xe2\x88\x92", false },
    { "\xc2\xb7", false },
    { "-", false },
    { "*", false },
    { "o", false },
};

static bool is_roman(hone_str s)
{
    for (uint64_t i = 0; i < s.n; i++)
        if (!strchr("ivx", s.p[i]) || !s.p[i])
            return false;
    return s.n > 0 && s.n <= 5;
}

uint32_t pdf_list_mark(const pdf_doc *d, const pdf_row *r, uint64_t *ordinal, bool *keep)
{
    const pdf_word *w = pdf_word_of(d, r, 0), *next = pdf_word_of(d, r, 1);
    const float em = pdf_style_at(d, r->style)->size;
    hone_str s = pdf_word_text(d, w);
    *ordinal = 0;
    *keep = false;
    if (!next)
        return 0;
    const float gap = next->box.x0 - w->box.x1;
    const bool apart = gap > 0.42f * em, indented = r->box.x0 > r->left + 0.8f * em;
    for (size_t i = 0; i < sizeof bullets / sizeof *bullets; i++)
        if (s.n == strlen(bullets[i].mark) && memcmp(s.p, bullets[i].mark, s.n) == 0)
            return (bullets[i].sure || apart) && gap < 4 * em;
    if (s.n < 2 || s.n > 7 || gap > 4 * em)
        return 0;
    const bool open = s.p[0] == '(' || s.p[0] == '[';
    const char close = s.p[s.n - 1];
    if (!strchr(".)]", close) || (open && close == '.'))
        return 0;
    s = (hone_str){ s.p + open, s.n - open - 1 };
    uint64_t value = 0;
    for (uint64_t i = 0; i < s.n && value != UINT64_MAX; i++)
        value = s.p[i] >= '0' && s.p[i] <= '9' ? value * 10 + (uint64_t)(s.p[i] - '0') : UINT64_MAX;
    if (s.n && value != UINT64_MAX) {
        *keep = close == ']';
        *ordinal = *keep ? 0 : value;
        return s.n <= 3 && value && (apart || indented || *keep) ? 1 : 0;
    }
    *keep = true;
    return (s.n == 1 && s.p[0] >= 'a' && s.p[0] <= 'z' && (apart || indented || open)) ||
                   (is_roman(s) && (apart || indented || open))
               ? 1
               : 0;
}
