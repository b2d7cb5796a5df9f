/*
 * code_mask.c - text with C's preprocessor in it, as a grammar without one can parse it: one branch of
 * each #if, and no macros that stand for attributes. What is masked becomes blanks, so that
 * every place stays where it is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "code.h"

#include <string.h>

/* A conditional line. */
typedef struct condition {
    uint64_t start, end; /* the line, and those that continue it */
    uint64_t open;       /* index of its #if                     */
    uint64_t up;         /* of an #if: 1 + the #if it stands in  */
    uint64_t next;       /* line of the same #if; 0: none        */
    uint64_t last;       /* of an #if: its last line so far      */
    uint64_t branches;   /* of an #if                            */
    char kind;           /* 'i'f, 'e'lse or elif, end'f'         */
} condition;

typedef struct mask {
    hone_str text;
    hone_text *out;
    hone_text conditions; /* of condition */
} mask;

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void wipe(const mask *m, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        if (m->out->p[i] != '\n')
            m->out->p[i] = ' ';
}

/* The end of the line at `at`, with the lines that continue it. */
static uint64_t line_end(hone_str t, uint64_t at)
{
    while (at < t.n && (t.p[at] != '\n' || t.p[at - 1] == '\\'))
        at++;
    return at;
}

/* The end of a comment, string or character at `at`; at: there is none. */
static uint64_t skip_quoted(hone_str t, uint64_t at)
{
    const char c = t.p[at];
    uint64_t i = at + 1;
    if (c == '/' && i < t.n && t.p[i] == '/')
        return line_end(t, i);
    if (c == '/' && i < t.n && t.p[i] == '*') {
        for (i++; i + 1 < t.n && !(t.p[i] == '*' && t.p[i + 1] == '/'); i++)
            ;
        return i + 2 < t.n ? i + 2 : t.n;
    }
    if (c != '"' && !(c == '\'' && !(at && word_char(t.p[at - 1])))) /* 1'000 is a number */
        return at;
    if (c == '"' && at && t.p[at - 1] == 'R') { /* R"mark( ... )mark" */
        const char *open = memchr(t.p + i, '(', t.n - i < 18 ? t.n - i : 18);
        const uint64_t k = open ? (uint64_t)(open - t.p) - i : 0;
        for (uint64_t e = i + k; open && e + k + 1 < t.n; e++)
            if (t.p[e] == ')' && t.p[e + k + 1] == '"' && memcmp(t.p + e + 1, t.p + i, k) == 0)
                return e + k + 2;
    }
    for (; i < t.n && t.p[i] != c && t.p[i] != '\n'; i++)
        i += t.p[i] == '\\' && i + 1 < t.n;
    return i < t.n ? i + 1 : t.n;
}

/* ----------------------------------------------------------------------- branches */

static condition *condition_at(const mask *m, uint64_t i)
{
    return (condition *)(void *)m->conditions.p + i;
}

static char kind_of_line(hone_str t, uint64_t at)
{
    static const struct {
        const char *word;
        char kind;
    } words[] = { { "if", 'i' },   { "ifdef", 'i' },   { "ifndef", 'i' },   { "else", 'e' },
                  { "elif", 'e' }, { "elifdef", 'e' }, { "elifndef", 'e' }, { "endif", 'f' } };
    uint64_t n = 0;
    while (at < t.n && (t.p[at] == ' ' || t.p[at] == '\t'))
        at++;
    while (at + n < t.n && word_char(t.p[at + n]))
        n++;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i].word) == n && memcmp(words[i].word, t.p + at, n) == 0)
            return words[i].kind;
    return '\0';
}

/* All conditional lines, each with its #if; lines without one are none. */
static bool find_conditions(mask *m)
{
    const hone_str t = m->text;
    uint64_t up = 0; /* 1 + index of the #if at hand */
    bool first = true;
    for (uint64_t i = 0; i < t.n; i++) {
        const uint64_t end = skip_quoted(t, i);
        if (end > i) {
            i = end - 1;
            first = first && t.p[i] == '\n';
            continue;
        }
        if (t.p[i] != '#' || !first) {
            first = t.p[i] == '\n' || (first && blank(t.p[i]));
            continue;
        }
        condition c = { .start = i, .end = line_end(t, i), .kind = kind_of_line(t, i + 1) };
        const uint64_t n = m->conditions.n / sizeof c;
        i = c.end;
        if (!c.kind || (c.kind != 'i' && !up))
            continue;
        c.open = c.kind == 'i' ? n : up - 1;
        c.up = up;
        c.branches = 1;
        c.last = n;
        hone_text_add(&m->conditions, (const char *)&c, sizeof c);
        if (m->conditions.failed)
            return false;
        if (c.kind == 'i') {
            up = n + 1;
            continue;
        }
        condition_at(m, condition_at(m, c.open)->last)->next = n;
        condition_at(m, c.open)->last = n;
        if (c.kind == 'e')
            condition_at(m, up - 1)->branches++;
        else
            up = condition_at(m, up - 1)->up;
    }
    return true;
}

/* Keeps the first branch of each, or the last. */
static void wipe_branches(mask *m, bool last)
{
    const uint64_t n = m->conditions.n / sizeof(condition);
    for (uint64_t i = 0; i < n; i++) {
        const condition *c = condition_at(m, i);
        condition *open = condition_at(m, c->open);
        wipe(m, c->start, c->end);
        if (c->kind == 'i')
            open->up = 0; /* from here on: which branch this is */
        else if (c->kind == 'e')
            open->up++;
        else
            continue;
        if (open->up == (last ? open->branches - 1 : 0))
            continue;
        wipe(m, c->end, c->next ? condition_at(m, c->next)->start : m->text.n);
        i = (c->next ? c->next : n) - 1; /* what stands in it is wiped too */
    }
}

/* ------------------------------------------------------------------------- macros */

typedef struct token {
    uint64_t start, end;
    char
        kind; /* 'M': a name as macros have, 'w': another word, '"', 0: the end, or the character */
} token;

static token next_token(hone_str t, uint64_t at)
{
    token k = { .start = at };
    bool caps = true;
    for (;; at++) {
        if (at < t.n && blank(t.p[at]))
            continue;
        if (at >= t.n || t.p[at] != '/' || skip_quoted(t, at) == at)
            break;
        at = skip_quoted(t, at) - 1;
    }
    k.start = k.end = at;
    if (at >= t.n)
        return k;
    for (; k.end < t.n && word_char(t.p[k.end]); k.end++)
        caps = caps && !(t.p[k.end] >= 'a' && t.p[k.end] <= 'z');
    if (k.end > at) {
        const bool digit = t.p[at] >= '0' && t.p[at] <= '9';
        k.kind = caps && !digit && k.end - at > 2 ? 'M' : 'w';
        return k;
    }
    k.end = skip_quoted(t, at);
    k.kind = k.end > at ? '"' : t.p[at];
    k.end = k.end > at ? k.end : at + 1;
    return k;
}

/* The end of "(...)" at `at`, or at. */
static uint64_t skip_arguments(hone_str t, uint64_t at)
{
    int depth = 0;
    token k = next_token(t, at);
    if (k.kind != '(')
        return at;
    /* arguments of macros are short; those of a million brackets cost no more than that */
    for (const uint64_t limit = k.start + 4096; k.kind && k.start < limit;
         k = next_token(t, k.end)) {
        depth += (k.kind == '(') - (k.kind == ')');
        if (!depth)
            return k.end;
    }
    return at;
}

static bool is_word(hone_str t, token k, const char *const *words)
{
    for (; k.kind == 'w' && *words; words++)
        if (strlen(*words) == k.end - k.start &&
            memcmp(*words, t.p + k.start, k.end - k.start) == 0)
            return true;
    return false;
}

/* Is the macro [name, end) after `before` an attribute? It stands between parameters and body, after
 * "class", or before a declaration. */
static bool is_attribute(hone_str t, token before, uint64_t name_end, uint64_t end)
{
    static const char *const after[] = {
        "const", "noexcept", "override", "final", "volatile", NULL
    };
    static const char *const heads[] = { "class", "struct", "union", "enum", NULL };
    static const char *const starts[] = { "static",    "inline",  "extern", "virtual",
                                          "constexpr", "typedef", NULL };
    const token next = next_token(t, end), then = next_token(t, next.end);
    const bool word = next.kind == 'w' || next.kind == 'M';
    if (before.kind == ')' || is_word(t, before, after))
        return next.kind == '{' || next.kind == ';' || word;
    if (is_word(t, before, heads))
        return word;
    if (!(before.kind == 0 || strchr(";}{:>", before.kind) || is_word(t, before, starts)) || !word)
        return false;
    return end > name_end || then.kind == 'w' || then.kind == 'M' ||
           (then.kind && strchr("*&:<", then.kind));
}

static void wipe_macros(const mask *m)
{
    const hone_str t = hone_text_str(m->out);
    token before = { 0 };
    for (token k = next_token(t, 0); k.kind; k = next_token(t, k.end)) {
        if (k.kind == '#') {
            k.end = line_end(t, k.end);
            continue; /* what stands before a line of the preprocessor goes on after it */
        }
        if (k.kind == 'M') {
            const uint64_t end = skip_arguments(t, k.end);
            if (is_attribute(t, before, k.end, end)) {
                wipe(m, k.start, end);
                k.end = end;
                continue;
            }
        }
        before = k;
    }
}

hone_status code_mask(hone_str text, bool last, hone_text *out, hone_error *err)
{
    mask m = { .text = text, .out = out, .conditions = { .host = out->host, .tag = out->tag } };
    hone_text_clear(out);
    hone_text_add(out, text.p, text.n);
    if (!out->failed && find_conditions(&m)) {
        wipe_branches(&m, last);
        wipe_macros(&m);
    }
    out->failed |= m.conditions.failed;
    hone_text_finish(&m.conditions);
    return hone_text_status(out, err);
}
