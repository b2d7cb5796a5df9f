/*
 * sentence.c - see sentence.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sentence.h"

#define MAX_WORD 12 /* bytes of an abbreviation, at most */

bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Abbreviations that something follows: always, or when it is a number. What also stands at the
 * end of sentences ("etc.", "Inc.") is not here. */
/* clang-format off */
static const char *const before_any[] = {
    "mr", "mrs", "ms", "dr", "prof", "rev", "gen", "col", "capt", "lt", "sgt", "gov", "sen", "rep", "hon", "st",
    "mt", "ft", "messrs", "vs", "cf", "e.g", "i.e", "viz", "approx", "resp", "incl", "excl", "esp", "abbr",
    "hr", "fr", "frl", "z.b", "d.h", "u.a", "o.ä", "bzw", "bspw", "vgl", "ca", "evtl", "ggf", "inkl", "zzgl", "sog",
    "mme", "mlle", "mm", "sra", "srta", "ud", "uds", "p.ej", "ej",
};
static const char *const before_number[] = {
    "no", "nos", "fig", "figs", "eq", "eqs", "sec", "sect", "ch", "chap", "vol", "p", "pp", "art", "tab", "app",
    "nr", "abb", "kap", "abs", "bd", "s", "n", "pág", "núm", "cap", "jan", "feb", "mar", "apr", "jun", "jul", "aug",
    "sep", "sept", "oct", "nov", "dec", "okt", "dez",
};
/* clang-format on */

static bool listed(const char *const *list, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], word) == 0)
            return true;
    return false;
}

/* Is the full stop t[at] part of what stands before it? next: the byte that follows the space. */
static bool abbreviates(hone_str t, uint64_t at, char next)
{
    char word[MAX_WORD + 1];
    uint64_t start = at, n = 0;
    bool digits = true;
    while (start && !is_space(t.p[start - 1]) && !strchr("([{\"'", t.p[start - 1]) &&
           at - start <= MAX_WORD)
        start--;
    if (at == start || at - start > MAX_WORD)
        return false;
    for (uint64_t i = start; i < at; i++) {
        const char c = t.p[i];
        digits = digits && c >= '0' && c <= '9';
        word[n++] = c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
    }
    word[n] = '\0';
    if (digits) { /* "12." at the start of a line or sentence is an item's number */
        while (start && (t.p[start - 1] == ' ' || t.p[start - 1] == '\t'))
            start--;
        return start == 0 || strchr("\n.!?:;", t.p[start - 1]) != NULL;
    }
    /* an initial: "J.", "U.S."; the pronoun is none */
    if (t.p[at - 1] >= 'A' && t.p[at - 1] <= 'Z' && (n == 1 || t.p[at - 2] == '.'))
        return !(n == 1 && t.p[at - 1] == 'I');
    return listed(before_any, sizeof before_any / sizeof *before_any, word) ||
           (next >= '0' && next <= '9' &&
            listed(before_number, sizeof before_number / sizeof *before_number, word));
}

static bool ends_with(hone_str t, uint64_t at, const char *const *list, size_t n)
{
    for (size_t i = 0; at >= 3 && i < n; i++)
        if (memcmp(t.p + at - 3, list[i], 3) == 0)
            return true;
    return false;
}

/* All of three bytes. */
static const char *const wide_stops[] = { "。", "！", "？", "｡", "।", "።" };
static const char *const wide_closers[] = { "」", "』", "）", "】", "》", "”", "’" };
static const char *const wide_pauses[] = { "、", "，", "；", "：" };
#define N(list) (sizeof(list) / sizeof *(list))

bool sentence_pauses(hone_str t, uint64_t at)
{
    return ends_with(t, at, wide_pauses, N(wide_pauses));
}

static bool wide_end(hone_str t, uint64_t at)
{
    if (t.n - at >= 3 && (ends_with(t, at + 3, wide_stops, N(wide_stops)) ||
                          ends_with(t, at + 3, wide_closers, N(wide_closers))))
        return false; /* more of the same end follows */
    while (ends_with(t, at, wide_closers, N(wide_closers)))
        at -= 3;
    return ends_with(t, at, wide_stops, N(wide_stops));
}

bool sentence_ends(hone_str t, uint64_t at)
{
    uint64_t next = at;
    if (wide_end(t, at))
        return !is_space(t.p[at]);
    if (is_space(t.p[at]) || !is_space(t.p[at - 1]))
        return false;
    while (next + 1 < t.n && strchr("([{\"'*_", t.p[next]))
        next++;
    while (at && is_space(t.p[at - 1]))
        at--;
    if (wide_end(t, at))
        return true;
    for (uint64_t before = UINT64_MAX; before != at;) {
        before = at;
        while (at && strchr(")]}\"'*_", t.p[at - 1]))
            at--;
        while (ends_with(t, at, wide_closers, N(wide_closers)))
            at -= 3;
    }
    if (!at || (t.p[next] >= 'a' && t.p[next] <= 'z'))
        return false;
    if (t.p[at - 1] == '.')
        return !abbreviates(t, at - 1, t.p[next]);
    return t.p[at - 1] == '!' || t.p[at - 1] == '?' ||
           (at >= 3 && memcmp(t.p + at - 3, "…", 3) == 0);
}

uint64_t sentence_end(hone_str t, uint64_t from)
{
    for (uint64_t at = from + 1; at < t.n; at++) {
        const unsigned char before = (unsigned char)t.p[at - 1];
        if ((t.p[at] & 0xc0) == 0x80 || (before < 0x80 && !is_space((char)before)))
            continue;
        if (sentence_ends(t, at))
            return at;
        if (before == '\n' && at > from + 1 && t.p[at - 2] == '\n' && !is_space(t.p[at]))
            return at;
    }
    return t.n;
}
