/*
 * pairs.c - see pairs.h. What a model says is bytes from outside.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pairs.h"

#include <stdlib.h>

#define MAX_WORDS 256  /* of a question that are looked at */
#define LOOK_BACK 1000 /* questions */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static hone_str strip(hone_str s, const char *what)
{
    while (s.n && (is_blank(s.p[s.n - 1]) || (s.p[s.n - 1] && strchr(what, s.p[s.n - 1]))))
        s.n--;
    while (s.n && (is_blank(*s.p) || (*s.p && strchr(what, *s.p))))
        s.p++, s.n--;
    return s;
}

/* 'Q' or 'A' when the line says that a question or its quote begins, with *body behind the colon. */
static char label(hone_str line, hone_str *body)
{
    hone_str s = line;
    while (s.n && (is_blank(*s.p) || strchr("*-#>_", *s.p)) && *s.p)
        s.p++, s.n--;
    uint64_t digits = 0;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    if (digits && digits < s.n && (s.p[digits] == '.' || s.p[digits] == ')')) {
        s.p += digits + 1;
        s.n -= digits + 1;
        while (s.n && (is_blank(*s.p) || *s.p == '*'))
            s.p++, s.n--;
    }
    static const struct {
        const char *word;
        char letter;
    } words[] = {
        { "Question", 'Q' }, { "Answer", 'A' }, { "Quote", 'A' }, { "Q", 'Q' }, { "A", 'A' }
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const uint64_t n = strlen(words[i].word);
        if (s.n <= n || memcmp(s.p, words[i].word, n) != 0)
            continue;
        uint64_t k = n;
        while (k < s.n && (s.p[k] == ' ' || s.p[k] == '*' || (s.p[k] >= '0' && s.p[k] <= '9')))
            k++;
        if (k == s.n || s.p[k] != ':')
            continue;
        for (k++; k < s.n && s.p[k] == '*'; k++)
            ;
        *body = (hone_str){ s.p + k, s.n - k };
        return words[i].letter;
    }
    return 0;
}

/* Quotation marks around the whole of s, of any kind. */
static hone_str unquote(hone_str s)
{
    static const char *const marks[][2] = {
        { "\"", "\"" }, { "“", "”" }, { "„", "“" }, { "«", "»" },
        { "‘", "’" },   { "'", "'" }, { "`", "`" },
    };
    s = strip(s, "");
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const uint64_t a = strlen(marks[i][0]), b = strlen(marks[i][1]);
        if (s.n > a + b && memcmp(s.p, marks[i][0], a) == 0 &&
            memcmp(s.p + s.n - b, marks[i][1], b) == 0) {
            s.p += a;
            s.n -= a + b;
            break;
        }
    }
    return strip(s, "");
}

bool pairs_next(hone_str answer, uint64_t *at, hone_str *question, hone_str *quote, bool *whole)
{
    const char *q = NULL, *a = NULL, *q_end = NULL;
    uint64_t i = *at;
    *whole = false;
    while (i < answer.n) {
        const char *line = answer.p + i, *nl = memchr(line, '\n', answer.n - i);
        const hone_str all = { line, nl ? (uint64_t)(nl - line) : answer.n - i };
        hone_str body = { "", 0 };
        const char letter = label(all, &body);
        if (letter == 'Q' && q) {
            *whole = true;
            break; /* the next one's */
        }
        if (letter == 'Q') {
            q = body.p;
        } else if (letter == 'A' && q && !a) {
            q_end = line;
            a = body.p;
        }
        i += all.n + (nl != NULL);
    }
    const char *end = answer.p + i;
    *at = i;
    if (!q)
        return false;
    if (!a)
        q_end = a = end;
    *question = strip((hone_str){ q, (uint64_t)(q_end - q) }, "*_\"");
    *quote = unquote((hone_str){ a, (uint64_t)(end - a) });
    return true;
}

/* --------------------------------------------------------------------------- quotes */

static bool in_word(unsigned char c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* Does the quote stand at text[at]? Runs of white space are one. */
static bool stands(hone_str text, uint64_t at, hone_str quote, uint64_t *end)
{
    uint64_t i = at, k = 0;
    while (k < quote.n) {
        if (is_blank(quote.p[k])) {
            if (i == text.n || !is_blank(text.p[i]))
                return false;
            while (k < quote.n && is_blank(quote.p[k]))
                k++;
            while (i < text.n && is_blank(text.p[i]))
                i++;
        } else if (i == text.n || text.p[i++] != quote.p[k++]) {
            return false;
        }
    }
    *end = i;
    return true;
}

bool quote_find(hone_str text, hone_str quote, uint64_t *start, uint64_t *end)
{
    if (!quote.n)
        return false;
    for (uint64_t i = 0; i + 1 <= text.n; i++) {
        const char *first = memchr(text.p + i, quote.p[0], text.n - i);
        if (!first)
            return false;
        i = (uint64_t)(first - text.p);
        if (!stands(text, i, quote, end))
            continue;
        /* scripts without spaces have no word to be within */
        const bool torn =
            (i && in_word((unsigned char)text.p[i - 1]) && in_word((unsigned char)quote.p[0]) &&
             (unsigned char)text.p[i - 1] < 0x80) ||
            (*end < text.n && in_word((unsigned char)text.p[*end]) &&
             (unsigned char)text.p[*end] < 0x80 && in_word((unsigned char)quote.p[quote.n - 1]) &&
             (unsigned char)quote.p[quote.n - 1] < 0x80);
        if (!torn) {
            *start = i;
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------ near duplicates */

static int by_hash(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Sorted hashes of the words of a question, each once; letter case aside. */
static uint64_t hash_words(hone_str s, uint64_t words[MAX_WORDS])
{
    uint64_t n = 0, kept = 0;
    for (uint64_t i = 0; i < s.n && n < MAX_WORDS;) {
        uint64_t hash = 0xcbf29ce484222325u, from = i;
        for (; i < s.n && in_word((unsigned char)s.p[i]); i++) {
            const unsigned char c = (unsigned char)s.p[i];
            hash = (hash ^ (c >= 'A' && c <= 'Z' ? c | 32u : c)) * 0x100000001b3u;
        }
        if (i > from)
            words[n++] = hash;
        else
            i++;
    }
    qsort(words, n, sizeof *words, by_hash);
    for (uint64_t i = 0; i < n; i++)
        if (!kept || words[i] != words[kept - 1])
            words[kept++] = words[i];
    return kept;
}

static double likeness(const uint64_t *a, uint64_t n, const uint64_t *b, uint64_t m)
{
    uint64_t i = 0, k = 0, both = 0;
    while (i < n && k < m) {
        if (a[i] == b[k]) {
            both++;
            i++;
            k++;
        } else if (a[i] < b[k]) {
            i++;
        } else {
            k++;
        }
    }
    return n + m ? (double)both / (double)(n + m - both) : 1;
}

static bool grow(const questions *q, uint64_t **array, uint64_t n, uint64_t more, uint64_t *cap)
{
    if (n + more <= *cap)
        return true;
    const uint64_t wanted = 2 * (n + more);
    uint64_t *p = q->host->alloc(q->host, wanted * sizeof *p, 16, q->tag);
    if (!p)
        return false;
    if (n)
        memcpy(p, *array, n * sizeof *p);
    q->host->free(q->host, *array);
    *array = p;
    *cap = wanted;
    return true;
}

bool questions_add(questions *q, hone_str question, double share, bool *known)
{
    uint64_t words[MAX_WORDS];
    const uint64_t n = hash_words(question, words);
    *known = false;
    for (uint64_t i = q->n; i-- > 0 && q->n - i <= LOOK_BACK && !*known;) {
        const uint64_t start = i ? q->ends[i - 1] : 0;
        *known = likeness(words, n, q->words + start, q->ends[i] - start) >= share;
    }
    if (*known)
        return true;
    if (!grow(q, &q->words, q->n_words, n, &q->cap_words) || !grow(q, &q->ends, q->n, 1, &q->cap))
        return false;
    if (n)
        memcpy(q->words + q->n_words, words, n * sizeof *words);
    q->n_words += n;
    q->ends[q->n++] = q->n_words;
    return true;
}

void questions_clear(questions *q)
{
    q->n = q->n_words = 0;
}

void questions_finish(questions *q)
{
    if (!q->host)
        return;
    q->host->free(q->host, q->words);
    q->host->free(q->host, q->ends);
    *q = (questions){ 0 };
}
