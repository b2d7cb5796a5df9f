/*
 * words.c - answers as words, and how alike two of them are.
 *
 * Normalised as SQuAD's evaluation script does (Rajpurkar et al. 2016): lower case,
 * punctuation gone, "a", "an", "the" gone, split at white space. Beyond it: letters
 * and punctuation of all scripts, and characters of scripts that are written without
 * spaces are words of their own, as MLQA does (Lewis et al. 2020).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/exam/parts.h"

#include <stdlib.h>
#include <utf8proc.h>

/* Scripts without spaces between words: each character counts as one. */
static const struct {
    uint32_t first, last;
} single[] = {
    { 0x0e00, 0x0eff },   /* Thai, Lao                    */
    { 0x1000, 0x109f },   /* Myanmar                      */
    { 0x1780, 0x17ff },   /* Khmer                        */
    { 0x2e80, 0x2fdf },   /* CJK radicals                 */
    { 0x3005, 0x3007 },   /* CJK marks that are letters   */
    { 0x3040, 0x30ff },   /* Hiragana, Katakana           */
    { 0x3400, 0x9fff },   /* CJK ideographs, extension A  */
    { 0xf900, 0xfaff },   /* CJK compatibility            */
    { 0x20000, 0x3ffff }, /* CJK extensions               */
};

static bool is_single(uint32_t cp)
{
    size_t i;
    for (i = 0; i < sizeof single / sizeof *single; i++)
        if (cp >= single[i].first && cp <= single[i].last)
            return true;
    return false;
}

static bool is_blank(uint32_t cp)
{
    const utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c == UTF8PROC_CATEGORY_ZS || c == UTF8PROC_CATEGORY_ZL || c == UTF8PROC_CATEGORY_ZP ||
           c == UTF8PROC_CATEGORY_CC;
}

/* What string.punctuation is to ASCII: punctuation and symbols. */
static bool is_punctuation(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return true;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
        return cp < 0x80; /* "$+<=>^`|~" */
    default:
        return false;
    }
}

static void put(text *t, uint32_t cp)
{
    char bytes[4];
    text_add(t, bytes, utf8_put(cp, bytes));
}

static char *take(text *t)
{
    if (!t->failed && !t->p)
        return mem_strdup("");
    if (t->failed)
        text_finish(t);
    return t->p;
}

char *words_squeeze(const char *p, size_t n)
{
    text out = { 0 };
    bool gap = false;
    while (n) {
        uint32_t cp;
        bool bad;
        const size_t k = utf8_next(p, n, &cp, &bad);
        if (is_blank(cp)) {
            gap = out.n > 0;
        } else {
            if (gap)
                text_putc(&out, ' ');
            gap = false;
            put(&out, cp);
        }
        p += k;
        n -= k;
    }
    return take(&out);
}

/* End the word that begins at out[start]: an article is taken back. */
static void end_word(text *out, size_t *start)
{
    static const char *const articles[] = { "a", "an", "the" };
    size_t i;
    if (out->failed || out->n == *start)
        return;
    for (i = 0; i < sizeof articles / sizeof *articles; i++)
        if (strcmp(out->p + *start, articles[i]) == 0) {
            out->n = *start;
            out->p[out->n] = '\0';
            return;
        }
    text_putc(out, ' ');
    *start = out->n;
}

char *words_normalise(const char *p, size_t n)
{
    text out = { 0 };
    size_t start = 0;
    while (n) {
        uint32_t cp;
        bool bad;
        const size_t k = utf8_next(p, n, &cp, &bad);
        if (is_blank(cp)) {
            end_word(&out, &start);
        } else if (is_single(cp)) {
            end_word(&out, &start);
            put(&out, cp);
            end_word(&out, &start);
        } else if (!is_punctuation(cp)) {
            put(&out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp));
        }
        p += k;
        n -= k;
    }
    end_word(&out, &start);
    if (out.p && out.n && out.p[out.n - 1] == ' ')
        out.p[--out.n] = '\0';
    return take(&out);
}

/* --------------------------------------------------------------------- scores */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Words of a normalised text, sorted; cuts the text up. *n words; NULL: no memory. */
static char **split(char *p, size_t *n)
{
    size_t count = *p ? 1 : 0, i = 0;
    char **words, *at;
    for (at = p; *at; at++)
        count += *at == ' ';
    words = mem_new(count, sizeof *words);
    if (!words)
        return NULL;
    for (at = p; i < count; i++) {
        words[i] = at;
        at += strcspn(at, " ");
        if (*at)
            *at++ = '\0';
    }
    if (count)
        qsort(words, count, sizeof *words, by_text);
    *n = count;
    return words;
}

bool exam_score_answer(const char *got, const char *want, bool *exact, double *f1)
{
    char *a = words_normalise(got, strlen(got)), *b = words_normalise(want, strlen(want));
    char **x = NULL, **y = NULL;
    size_t n = 0, m = 0, i = 0, k = 0, same = 0;
    bool equal = false, done = false;
    *exact = false;
    *f1 = 0;
    if (!a || !b)
        goto out;
    equal = strcmp(a, b) == 0;
    x = split(a, &n);
    y = split(b, &m);
    if (!x || !y)
        goto out;
    while (i < n && k < m) { /* two sorted lists: the common part, repetitions counted */
        const int order = strcmp(x[i], y[k]);
        same += order == 0;
        i += order <= 0;
        k += order >= 0;
    }
    *exact = equal;
    /* Where one is without words there is nothing to share: both, or not. */
    *f1 = n && m ? 2 * (double)same / (double)(n + m) : (double)equal;
    done = true;
out:
    free(x);
    free(y);
    free(a);
    free(b);
    return done;
}
