/*
 * tokenizer_scan.c - the published split patterns by hand.
 *
 * A pattern is known by its exact text. Each of these matches at every character, so
 * that a scanner only says where the match that starts at i ends. Order of the
 * alternatives and their backtracking are those of the patterns:
 *
 *   GPT-2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   Llama 3  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
 *            ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *   Qwen 2   the same with \p{N} for \p{N}{1,3}
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_impl.h"

#define WORDLIKE (UC_LETTER | UC_NUMBER)

static inline uint32_t class_at(const char *p, size_t i, size_t *len)
{
    return uc_class(uc_get(p + i, len));
}

/* End of the run of characters that have one of the classes in `any`. */
static inline size_t run_of(const char *p, size_t n, size_t i, uint32_t any)
{
    size_t len;
    while (i < n && (class_at(p, i, &len) & any))
        i += len;
    return i;
}

static inline size_t run_without(const char *p, size_t n, size_t i, uint32_t none)
{
    size_t len;
    while (i < n && !(class_at(p, i, &len) & none))
        i += len;
    return i;
}

/* \s+(?!\S)|\s+ from i, where a space is: the whole run at the end of the text or when
 * it is a single character, else all but its last character. */
static size_t space_run(const char *p, size_t n, size_t i)
{
    size_t end = i, last = i, len;
    while (end < n && (class_at(p, end, &len) & UC_SPACE)) {
        last = end;
        end += len;
    }
    return end == n || last == i ? end : last;
}

/* Length of 's 't 're 've 'm 'll 'd at p[i], 0 for none. */
static size_t contraction(const char *p, size_t n, size_t i, bool fold)
{
    const size_t left = n - i;
    char a, b;
    if (left < 2 || p[i] != '\'')
        return 0;
    a = p[i + 1];
    if (fold && left >= 3 && memcmp(p + i + 1, "\xc5\xbf", 2) == 0)
        return 3; /* U+017F folds to s */
    if (fold && a >= 'A' && a <= 'Z')
        a = (char)(a + 32);
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    if (left < 3)
        return 0;
    b = p[i + 2];
    if (fold && b >= 'A' && b <= 'Z')
        b = (char)(b + 32);
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

size_t scan_gpt2(const char *p, size_t n, size_t i)
{
    size_t len, next = i;
    uint32_t c;
    const size_t short_form = contraction(p, n, i, false);
    if (short_form)
        return i + short_form;
    c = class_at(p, i, &len);
    if (p[i] == ' ' && i + 1 < n) { /* " ?" takes the space when what follows is no space */
        next = i + 1;
        c = class_at(p, next, &len);
    }
    if (c & UC_LETTER)
        return run_of(p, n, next, UC_LETTER);
    if (c & UC_NUMBER)
        return run_of(p, n, next, UC_NUMBER);
    if (!(c & UC_SPACE))
        return run_without(p, n, next, UC_SPACE | WORDLIKE);
    return space_run(p, n, i);
}

static inline size_t scan_modern(const char *p, size_t n, size_t i, int digits)
{
    size_t len, len2, next, end, k, line;
    uint32_t c, d;
    const size_t short_form = contraction(p, n, i, true);
    if (short_form)
        return i + short_form;
    c = class_at(p, i, &len);
    if (c & UC_LETTER)
        return run_of(p, n, i, UC_LETTER);
    if (c & UC_NUMBER) {
        for (end = i + len, k = 1; k < (size_t)digits && end < n; k++, end += len2)
            if (!(class_at(p, end, &len2) & UC_NUMBER))
                break;
        return end;
    }
    next = i + len;
    d = next < n ? class_at(p, next, &len2) : UC_SPACE;
    if (!(c & UC_NEWLINE) && (d & UC_LETTER)) /* [^\r\n\p{L}\p{N}]?\p{L}+ */
        return run_of(p, n, next, UC_LETTER);
    if (!(c & UC_SPACE) || (p[i] == ' ' && !(d & (UC_SPACE | WORDLIKE)))) {
        end = run_without(p, n, c & UC_SPACE ? next : i, UC_SPACE | WORDLIKE);
        while (end < n && (p[end] == '\r' || p[end] == '\n'))
            end++;
        return end;
    }
    /* \s*[\r\n]+: up to the last line end of the run of spaces */
    for (end = i, line = 0; end < n && ((c = class_at(p, end, &len)) & UC_SPACE); end += len)
        if (c & UC_NEWLINE)
            line = end + 1;
    return line ? line : space_run(p, n, i);
}

static size_t scan_llama3(const char *p, size_t n, size_t i)
{
    return scan_modern(p, n, i, 3);
}

static size_t scan_qwen2(const char *p, size_t n, size_t i)
{
    return scan_modern(p, n, i, 1);
}

#define MODERN(number)                                                   \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" number \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct {
    const char *pattern;
    scanner scan;
} known[] = {
    { "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
      scan_gpt2 },
    { MODERN("\\p{N}{1,3}"), scan_llama3 },
    { MODERN("\\p{N}"), scan_qwen2 },
};

scanner scanner_find(const char *pattern)
{
    size_t i;
    for (i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].pattern, pattern) == 0)
            return known[i].scan;
    return NULL;
}
