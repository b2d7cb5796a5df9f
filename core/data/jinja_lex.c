/*
 * jinja_lex.c - template text to tokens.
 *
 * White space around tags as transformers sets it up: a "-" at a tag takes all white
 * space on its side; without one, the line end after a block or comment goes
 * (trim_blocks) and so do blanks between a line's start and a block or comment
 * (lstrip_blocks), unless a "+" says otherwise.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/jinja_impl.h"

#include <stdlib.h>

typedef struct lexer {
    arena *a;
    const char *p; /* normalized source, NUL-terminated */
    size_t n, at;
    int line;
    bool line_starting; /* only white space could stand between here and the line's start */
    lexeme *out;
    size_t n_out, cap_out;
} lexer;

static void emit(lexer *x, int kind, const char *p, size_t n)
{
    if (x->n_out == x->cap_out) {
        const size_t cap = x->cap_out ? 2 * x->cap_out : 64;
        lexeme *bigger = arena_take(x->a, cap * sizeof *bigger);
        if (!bigger)
            return;
        if (x->n_out)
            memcpy(bigger, x->out, x->n_out * sizeof *bigger);
        x->out = bigger;
        x->cap_out = cap;
    }
    x->out[x->n_out++] = (lexeme){ .kind = kind, .line = x->line, .p = p, .n = n };
}

static size_t space_at(const char *p, size_t n)
{
    uint32_t cp;
    bool bad = false;
    size_t start, end;
    const size_t k = n ? utf8_next(p, n, &cp, &bad) : 0;
    template_strip(p, k, &start, &end);
    return k && start == end ? k : 0; /* a code point that strip() takes whole */
}

static void skip_space(lexer *x)
{
    for (size_t k; (k = space_at(x->p + x->at, x->n - x->at)); x->at += k)
        x->line += x->p[x->at] == '\n';
}

/* Behind a tag's closing mark; sign is what stood before it. */
static void after_tag(lexer *x, char sign, bool trims)
{
    const size_t from = x->at;
    if (sign == '-')
        skip_space(x);
    else if (sign != '+' && trims && x->at < x->n && x->p[x->at] == '\n') {
        x->at++;
        x->line++;
    }
    x->line_starting = x->at > from && x->p[x->at - 1] == '\n';
}

/* Text up to a tag; sign is what stands behind the tag's opening mark. */
static void emit_data(lexer *x, size_t from, size_t to, char sign, bool lstrips)
{
    size_t end = to, start, last;
    if (sign == '-') {
        template_strip(x->p + from, to - from, &start, &last);
        end = start == last ? from : from + last;
    } else if (sign != '+' && lstrips) {
        size_t line = to;
        while (line > from && x->p[line - 1] != '\n')
            line--;
        if (line > from || x->line_starting) {
            template_strip(x->p + line, to - line, &start, &last);
            if (start == last)
                end = line;
        }
    }
    if (end > from)
        emit(x, T_DATA, x->p + from, end - from);
    for (size_t i = from; i < to; i++)
        x->line += x->p[i] == '\n';
}

/* ---------------------------------------------------------------- inside a tag */

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *d = c ? strchr(digits, c | 32) : NULL;
    return d && (c < 'G' || c > 'Z') ? (int)(d - digits) : -1;
}

/* One escape of Python's unicode-escape at p (behind the backslash); returns its length. */
static size_t unescape(lexer *x, const char *p, size_t n, text *out)
{
    static const char from[] = "nrtabfv\\'\"", to[] = "\n\r\t\a\b\f\v\\'\"";
    static const struct {
        char letter;
        size_t digits;
    } hex[] = { { 'x', 2 }, { 'u', 4 }, { 'U', 8 } };
    const char *known = strchr(from, p[0]);
    char utf8[4];
    if (p[0] == '\n')
        return 1;
    if (p[0] && known) {
        text_putc(out, to[known - from]);
        return 1;
    }
    for (size_t i = 0; i < 3; i++) {
        uint32_t cp = 0;
        if (p[0] != hex[i].letter)
            continue;
        for (size_t k = 1; k <= hex[i].digits; k++) {
            const int digit = k < n ? hex_digit(p[k]) : -1;
            if (digit < 0 || cp > 0x10ffff) {
                arena_fail(x->a, HONE_ERR_FORMAT, "line %d: a broken \\%c escape", x->line, p[0]);
                return n;
            }
            cp = cp * 16 + (uint32_t)digit;
        }
        if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000)) {
            arena_fail(x->a, HONE_ERR_FORMAT, "line %d: a \\%c escape of no character", x->line,
                       p[0]);
            return n;
        }
        text_add(out, utf8, utf8_put(cp, utf8));
        return 1 + hex[i].digits;
    }
    if (p[0] >= '0' && p[0] <= '7') {
        uint32_t cp = 0;
        size_t k = 0;
        for (; k < 3 && k < n && p[k] >= '0' && p[k] <= '7'; k++)
            cp = cp * 8 + (uint32_t)(p[k] - '0');
        text_add(out, utf8, utf8_put(cp, utf8));
        return k;
    }
    if (p[0] == 'N')
        arena_fail(x->a, HONE_ERR_UNSUPPORTED, "line %d: a \\N{name} escape", x->line);
    text_putc(out, '\\'); /* Python keeps what it does not know */
    return 0;
}

static void lex_string(lexer *x)
{
    const char quote = x->p[x->at];
    const int line = x->line;
    size_t end = x->at + 1;
    text out = { 0 };
    while (end < x->n && x->p[end] != quote)
        end += x->p[end] == '\\' && end + 1 < x->n ? 2 : 1;
    if (end >= x->n) {
        arena_fail(x->a, HONE_ERR_FORMAT, "line %d: a string is opened and never closed", line);
        return;
    }
    text_puts(&out, "");
    for (size_t i = x->at + 1; i < end;) {
        x->line += x->p[i] == '\n';
        if (x->p[i] == '\\')
            i += 1 + unescape(x, x->p + i + 1, end - i - 1, &out);
        else
            text_putc(&out, x->p[i++]);
    }
    char *copy = arena_take(x->a, out.n + 1);
    if (copy && !out.failed) {
        memcpy(copy, out.p, out.n);
        emit(x, T_STRING, copy, out.n);
    }
    text_finish(&out);
    x->at = end + 1;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
    return is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c & 0x80);
}

static void lex_number(lexer *x)
{
    char digits[40];
    size_t end = x->at, k = 0;
    bool real = false;
    while (end < x->n &&
           (is_digit(x->p[end]) || x->p[end] == '_' ||
            (x->p[end] == '.' && !real && end + 1 < x->n && is_digit(x->p[end + 1])))) {
        real = real || x->p[end] == '.';
        if (x->p[end] != '_' && k < sizeof digits - 1)
            digits[k++] = x->p[end];
        end++;
    }
    digits[k] = '\0';
    if (k > 18 || (end < x->n && is_name(x->p[end])))
        arena_fail(x->a, HONE_ERR_UNSUPPORTED, "line %d: the number %s...", x->line, digits);
    emit(x, real ? T_FLOAT : T_INT, x->p + x->at, end - x->at);
    if (x->a->st)
        return;
    x->out[x->n_out - 1].i = strtoll(digits, NULL, 10);
    x->out[x->n_out - 1].f = strtod(digits, NULL);
    x->at = end;
}

static void lex_operator(lexer *x)
{
    static const char *const ops[] = { "//", "==", "!=", "<=", ">=", "**", "+", "-", "*",
                                       "/",  "%",  "~",  "<",  ">",  "=",  "(", ")", "[",
                                       "]",  "{",  "}",  ".",  ":",  "|",  ",", NULL };
    for (const char *const *o = ops; *o; o++)
        if (x->n - x->at >= strlen(*o) && !memcmp(x->p + x->at, *o, strlen(*o))) {
            emit(x, T_OP, x->p + x->at, strlen(*o));
            x->at += strlen(*o);
            return;
        }
    arena_fail(x->a, HONE_ERR_FORMAT, "line %d: an unexpected \"%.1s\"", x->line, x->p + x->at);
}

/* Is this the tag's closing mark, with the sign in front of it? */
static bool closes(const lexer *x, const char *mark, char *sign)
{
    const char c = x->p[x->at];
    const size_t skip = c == '-' || (c == '+' && mark[0] == '%');
    *sign = skip ? c : 0;
    return x->n - x->at >= 2 + skip && !memcmp(x->p + x->at + skip, mark, 2);
}

static void lex_tag(lexer *x, const char *mark, int kind_end)
{
    int open = 0; /* brackets: "}}" closes nothing inside a dict */
    char sign;
    while (!x->a->st) {
        skip_space(x);
        if (x->at >= x->n) {
            arena_fail(x->a, HONE_ERR_FORMAT, "line %d: a tag is opened and never closed", x->line);
            return;
        }
        if (!open && closes(x, mark, &sign)) {
            emit(x, kind_end, x->p + x->at, 2);
            x->at += 2 + (sign != 0);
            after_tag(x, sign, mark[0] == '%');
            return;
        }
        const char c = x->p[x->at];
        if (c == '\'' || c == '"')
            lex_string(x);
        else if (is_digit(c))
            lex_number(x);
        else if (is_name(c)) {
            const size_t from = x->at;
            while (x->at < x->n && is_name(x->p[x->at]))
                x->at++;
            emit(x, T_NAME, x->p + from, x->at - from);
        } else {
            open += strchr("([{", c) != NULL;
            open -= open && strchr(")]}", c);
            lex_operator(x);
        }
    }
}

/* ----------------------------------------------------------------- between tags */

static const char *find_text(const lexer *x, size_t from, const char *what)
{
    return from < x->n ? memmem(x->p + from, x->n - from, what, strlen(what)) : NULL;
}

static void lex_comment(lexer *x)
{
    const char *end = find_text(x, x->at, "#}");
    if (!end) {
        arena_fail(x->a, HONE_ERR_FORMAT, "line %d: a comment is opened and never closed", x->line);
        return;
    }
    for (; x->p + x->at < end; x->at++)
        x->line += x->p[x->at] == '\n';
    const char sign = end[-1];
    x->at += 2;
    after_tag(x, sign, true);
}

/* {% raw %}: text up to {% endraw %} as it is. True when it was one. */
static bool lex_raw(lexer *x)
{
    size_t at = x->at;
    while (at < x->n && space_at(x->p + at, x->n - at))
        at++;
    if (x->n - at < 4 || memcmp(x->p + at, "raw", 3) != 0 || is_name(x->p[at + 3]))
        return false;
    arena_fail(x->a, HONE_ERR_UNSUPPORTED, "line %d: {%% raw %%}", x->line);
    return true;
}

static void lex_all(lexer *x)
{
    while (x->at < x->n && !x->a->st) {
        size_t tag = x->at;
        while (tag + 1 < x->n &&
               !(x->p[tag] == '{' && strchr("{%#", x->p[tag + 1]) && x->p[tag + 1]))
            tag++;
        if (tag + 1 >= x->n) {
            emit_data(x, x->at, x->n, '+', false);
            x->at = x->n;
            return;
        }
        const char kind = x->p[tag + 1], after = tag + 2 < x->n ? x->p[tag + 2] : 0;
        const char sign = after == '-' || after == '+' ? after : 0;
        emit_data(x, x->at, tag, sign, kind != '{');
        x->at = tag + 2 + (sign == '-' || (sign == '+' && kind != '{'));
        if (kind == '#') {
            lex_comment(x);
        } else if (kind == '{') {
            emit(x, T_VAR, x->p + tag, 2);
            lex_tag(x, "}}", T_VAR_END);
        } else if (!lex_raw(x)) {
            emit(x, T_BLOCK, x->p + tag, 2);
            lex_tag(x, "%}", T_BLOCK_END);
        }
    }
}

/* CRLF and CR are LF, and one LF at the very end goes, as Jinja does by default. */
static char *normalize(arena *a, const char *p, size_t n, size_t *out_n)
{
    char *s = arena_take(a, n + 1);
    size_t k = 0;
    if (!s)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        s[k++] = p[i] == '\r' ? '\n' : p[i];
        if (p[i] == '\r' && i + 1 < n && p[i + 1] == '\n')
            i++;
    }
    if (k && s[k - 1] == '\n')
        k--;
    s[k] = '\0';
    *out_n = k;
    return s;
}

lexeme *jinja_lex(arena *a, const char *p, size_t n, size_t *count)
{
    lexer x = { .a = a, .line = 1, .line_starting = true };
    if (!utf8_valid(p, n)) {
        arena_fail(a, HONE_ERR_FORMAT, "it is not UTF-8");
        return NULL;
    }
    x.p = normalize(a, p, n, &x.n);
    if (!x.p)
        return NULL;
    lex_all(&x);
    emit(&x, T_END, x.p + x.n, 0);
    *count = x.n_out;
    return a->st ? NULL : x.out;
}
