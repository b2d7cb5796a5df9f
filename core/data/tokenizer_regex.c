/*
 * tokenizer_regex.c - patterns of tokenizer.json over PCRE2.
 *
 * The files are written for Oniguruma's Ruby syntax. Where PCRE2 means something else
 * by the same characters the pattern is rewritten (\s, \d, \w and \p{...} become sets
 * that class every code point as Oniguruma 6.9.10 does), and what has no faithful
 * translation is refused by name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_impl.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

struct regex {
    pcre2_code *code;
};

#define SPACE_SET                                                                                \
    "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}" \
    "\\x{3000}"
#define NOT_SPACE_SET                                                              \
    "\\x00-\\x08\\x0e-\\x1f\\x21-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}"          \
    "\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}" \
    "\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"

/* Properties by name; `rows` is how their categories in uc_newer start. */
static const struct {
    const char *name, *set, *rows[4];
} properties[] = {
    { "L", "\\p{L}", { "L" } },
    { "Letter", "\\p{L}", { "L" } },
    { "Lu", "\\p{Lu}", { "Lu" } },
    { "Ll", "\\p{Ll}", { "Ll" } },
    { "Lt", "\\p{Lt}", { 0 } },
    { "Lm", "\\p{Lm}", { "Lm" } },
    { "Lo", "\\p{Lo}", { "Lo" } },
    { "M", "\\p{M}", { "M" } },
    { "Mark", "\\p{M}", { "M" } },
    { "N", "\\p{N}", { "N" } },
    { "Number", "\\p{N}", { "N" } },
    { "Nd", "\\p{Nd}", { "Nd" } },
    { "P", "\\p{P}", { "P" } },
    { "Punctuation", "\\p{P}", { "P" } },
    { "S", "\\p{S}", { "S" } },
    { "Symbol", "\\p{S}", { "S" } },
    { "Z", "\\p{Z}", { 0 } },
    { "Zs", "\\p{Zs}", { 0 } },
    { "Cc", "\\p{Cc}", { 0 } },
    { "Han", "\\p{sc:Han}\\x{2b739}\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}", { 0 } },
    { "Hiragana", "\\p{sc:Hiragana}\\x{1b132}", { 0 } },
    { "Katakana", "\\p{sc:Katakana}\\x{1b155}", { 0 } },
    { "Hangul", "\\p{sc:Hangul}", { 0 } },
    /* Oniguruma's word characters: letters, marks, digits, connectors and a few more */
    { "\\w",
      "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\xb2\\xb3\\xb9\\xbc-\\xbe\\x{2054}\\x{24b6}-\\x{24e9}"
      "\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}",
      { "L", "M", "Nd" } },
    { "\\d", "\\p{Nd}", { "Nd" } },
};

static bool put_set(text *out, const char *name, size_t n)
{
    size_t i, k, r;
    for (i = 0; i < sizeof properties / sizeof properties[0]; i++)
        if (strlen(properties[i].name) == n && memcmp(properties[i].name, name, n) == 0)
            break;
    if (i == sizeof properties / sizeof properties[0])
        return false;
    text_puts(out, properties[i].set);
    for (k = 0; k < 4 && properties[i].rows[k]; k++)
        for (r = 0; r < uc_n_newer; r++)
            if (strncmp(uc_newer[r].category, properties[i].rows[k],
                        strlen(properties[i].rows[k])) == 0)
                text_printf(out, "\\x{%x}-\\x{%x}", uc_newer[r].lo, uc_newer[r].hi);
    return true;
}

typedef struct translation {
    const char *p, *end, *where;
    text *out;
    hone_error *err;
    bool in_class;
} translation;

static hone_status refuse(translation *t, const char *what, size_t n)
{
    return hone_fail(t->err, HONE_ERR_UNSUPPORTED,
                     "%s: the pattern has \"%s\", which is not supported", t->where,
                     quoted(what, n).s);
}

/* A class escape: as a set of its own, or inside the class that is open. Complements
 * inside a class can only be had for \S. */
static hone_status put_class(translation *t, const char *name, size_t n, bool negated,
                             const char *at, size_t n_at)
{
    if (t->in_class && negated)
        return refuse(t, at, n_at);
    if (!t->in_class)
        text_puts(t->out, negated ? "[^" : "[");
    if (!put_set(t->out, name, n))
        return refuse(t, at, n_at);
    if (!t->in_class)
        text_putc(t->out, ']');
    return HONE_OK;
}

static hone_status escape_property(translation *t, const char *at)
{
    const char *name = at + 3, *close;
    bool negated = at[1] == 'P';
    if (t->end - at < 5 || at[2] != '{' || !(close = memchr(name, '}', (size_t)(t->end - name))))
        return refuse(t, at, 2);
    if (*name == '^') {
        negated = !negated;
        name++;
    }
    t->p = close + 1;
    return put_class(t, name, (size_t)(close - name), negated, at, (size_t)(t->p - at));
}

static hone_status escape(translation *t)
{
    const char *at = t->p;
    if (t->end - at < 2)
        return refuse(t, at, 1);
    t->p = at + 2;
    switch (at[1]) {
    case 's':
        text_puts(t->out, t->in_class ? SPACE_SET : "[" SPACE_SET "]");
        return HONE_OK;
    case 'S':
        text_puts(t->out, t->in_class ? NOT_SPACE_SET : "[^" SPACE_SET "]");
        return HONE_OK;
    case 'd':
    case 'D':
        return put_class(t, "\\d", 2, at[1] == 'D', at, 2);
    case 'w':
    case 'W':
        return put_class(t, "\\w", 2, at[1] == 'W', at, 2);
    case 'p':
    case 'P':
        return escape_property(t, at);
    case 'n':
    case 'r':
    case 't':
    case 'f':
        text_add(t->out, at, 2);
        return HONE_OK;
    case 'A':
    case 'z':
        if (t->in_class)
            return refuse(t, at, 2);
        text_add(t->out, at, 2);
        return HONE_OK;
    case 'u':
        if (t->end - at < 6 || strspn(at + 2, "0123456789abcdefABCDEF") < 4)
            return refuse(t, at, 2);
        text_printf(t->out, "\\x{%.4s}", at + 2);
        t->p = at + 6;
        return HONE_OK;
    case 'x':
        if (t->end - at < 3)
            return refuse(t, at, 2);
        if (at[2] == '{') {
            const char *close = memchr(at, '}', (size_t)(t->end - at));
            if (!close)
                return refuse(t, at, 2);
            t->p = close + 1;
        } else {
            const size_t digits = strspn(at + 2, "0123456789abcdefABCDEF");
            t->p = at + 2 + (digits > 2 ? 2 : digits);
            if (!digits)
                return refuse(t, at, 2);
        }
        text_add(t->out, at, (size_t)(t->p - at));
        return HONE_OK;
    default: /* a letter or digit may mean anything; the rest stands for itself */
        if ((unsigned char)at[1] < 0x80 &&
            (at[1] == '_' || !strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~ ", at[1])))
            return refuse(t, at, 2);
        text_add(t->out, at, 2);
        return HONE_OK;
    }
}

/* Groups whose meaning is the same in both. */
static hone_status open_group(translation *t)
{
    static const char *const same[] = { "(?:",  "(?=",  "(?!",  "(?>",  "(?<=",
                                        "(?<!", "(?i:", "(?i)", "(?-i:" };
    const size_t left = (size_t)(t->end - t->p);
    size_t i;
    if (left < 2 || t->p[1] != '?') {
        if (left >= 2 && t->p[1] == '*')
            return refuse(t, t->p, 2);
        text_putc(t->out, *t->p++);
        return HONE_OK;
    }
    for (i = 0; i < sizeof same / sizeof same[0]; i++) {
        const size_t n = strlen(same[i]);
        if (left >= n && memcmp(t->p, same[i], n) == 0) {
            text_add(t->out, t->p, n);
            t->p += n;
            return HONE_OK;
        }
    }
    return refuse(t, t->p, left < 4 ? left : 4);
}

static hone_status translate_class(translation *t)
{
    hone_status status;
    text_putc(t->out, *t->p++);
    t->in_class = true;
    if (t->p < t->end && *t->p == '^')
        text_putc(t->out, *t->p++);
    if (t->p < t->end && *t->p == ']')
        return refuse(t, "[]", 2); /* empty for one, a bracket for the other */
    while (t->p < t->end && *t->p != ']') {
        if (*t->p == '\\') {
            status = escape(t);
            if (status)
                return status;
            continue;
        }
        if (*t->p == '[')
            return refuse(t, "[ inside [...]", 14);
        if (*t->p == '&' && t->end - t->p > 1 && t->p[1] == '&')
            return refuse(t, "&&", 2);
        text_putc(t->out, *t->p++);
    }
    if (t->p == t->end)
        return refuse(t, "[ without ]", 11);
    text_putc(t->out, *t->p++);
    t->in_class = false;
    return HONE_OK;
}

static hone_status translate(translation *t)
{
    hone_status status = HONE_OK;
    while (!status && t->p < t->end) {
        switch (*t->p) {
        case '\\':
            status = escape(t);
            break;
        case '[':
            status = translate_class(t);
            break;
        case '(':
            status = open_group(t);
            break;
        case '{':
            if (t->end - t->p > 1 && t->p[1] == ',')
                return refuse(t, "{,", 2);
            text_putc(t->out, *t->p++);
            break;
        case '}': /* a{1,3}+ repeats the repetition here, is possessive there */
            if (t->end - t->p > 1 && t->p[1] == '+')
                return refuse(t, "}+", 2);
            text_putc(t->out, *t->p++);
            break;
        default:
            text_putc(t->out, *t->p++);
        }
    }
    return status;
}

hone_status regex_open(regex **out, const char *pattern, size_t n, bool literal, const char *where,
                       hone_error *err)
{
    text source = { 0 };
    translation t = { pattern, pattern + n, where, &source, err, false };
    pcre2_compile_context *context = NULL;
    regex *r = NULL;
    hone_status status = HONE_OK;
    int code;
    PCRE2_SIZE at;
    if (!literal)
        status = translate(&t);
    else
        text_add(&source, pattern, n);
    if (!status)
        status = text_status(&source, err);
    if (status)
        goto out;
    r = mem_new(1, sizeof *r);
    context = pcre2_compile_context_create(NULL);
    if (!r || !context) {
        status = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for a pattern", where);
        goto out;
    }
    (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    r->code =
        pcre2_compile((PCRE2_SPTR)(source.p ? source.p : ""), source.n,
                      literal ? PCRE2_UTF | PCRE2_LITERAL
                              : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                      &code, &at, context);
    if (!r->code) {
        char why[128] = "";
        (void)pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        status = hone_fail(err, HONE_ERR_FORMAT, "%s: the pattern \"%s\" does not compile: %s",
                           where, quoted(pattern, n).s, why);
        goto out;
    }
    (void)pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* slower without, not different */
    *out = r;
    r = NULL;
out:
    regex_close(r);
    pcre2_compile_context_free(context);
    text_finish(&source);
    return status;
}

void regex_close(regex *r)
{
    if (r)
        pcre2_code_free(r->code);
    free(r);
}

hone_status regex_begin(regex_scan *scan, const regex *r, const char *p, size_t n, hone_error *err)
{
    *scan = (regex_scan){ .code = r->code, .p = p, .n = n, .last = SIZE_MAX };
    scan->data = pcre2_match_data_create(1, NULL);
    if (!scan->data)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory to match a pattern");
    return HONE_OK;
}

hone_status regex_next(regex_scan *scan, bool *found, hone_error *err)
{
    *found = false;
    while (scan->at <= scan->n) {
        const PCRE2_SIZE *ends;
        const int code = pcre2_match(scan->code, (PCRE2_SPTR)scan->p, scan->n, scan->at,
                                     PCRE2_NO_UTF_CHECK, scan->data, NULL);
        if (code == PCRE2_ERROR_NOMATCH)
            return HONE_OK;
        if (code < 0) {
            char why[128] = "";
            (void)pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
            return hone_fail(err, HONE_ERR_LIMIT,
                             "a split pattern gave up on %zu bytes of text: %s", scan->n, why);
        }
        ends = pcre2_get_ovector_pointer(scan->data);
        scan->start = ends[0];
        scan->end = ends[1];
        if (scan->start == scan->end && scan->end == scan->last) {
            /* an empty match right behind the last one: look on from the next character */
            if (scan->at >= scan->n)
                return HONE_OK;
            scan->at += uc_len(scan->p[scan->at]);
            continue;
        }
        scan->at = scan->last = scan->end;
        *found = true;
        return HONE_OK;
    }
    return HONE_OK;
}

void regex_end(regex_scan *scan)
{
    pcre2_match_data_free(scan->data);
    scan->data = NULL;
}
