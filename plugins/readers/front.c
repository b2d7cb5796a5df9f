/*
 * front.c - front matter: the simple lines of YAML ("---") or TOML ("+++").
 *
 * Only scalars on one line are metadata that anyone uses (title, author, date). A document
 * that merely begins with a thematic break is told apart by its next line, which must be a
 * key, and by the closing mark, which must exist.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "front.h"

#include <stdbool.h>

typedef struct line {
    hone_str text; /* without its end and trailing blanks */
    uint64_t next;
} line;

static bool line_at(hone_str t, uint64_t at, line *out)
{
    const char *nl;
    if (at >= t.n)
        return false;
    nl = memchr(t.p + at, '\n', t.n - at);
    out->next = nl ? (uint64_t)(nl - t.p) + 1 : t.n;
    out->text = (hone_str){ t.p + at, (nl ? (uint64_t)(nl - t.p) : t.n) - at };
    while (out->text.n &&
           (out->text.p[out->text.n - 1] == ' ' || out->text.p[out->text.n - 1] == '\t'))
        out->text.n--;
    return true;
}

static bool is(hone_str s, const char *what)
{
    return s.n == strlen(what) && memcmp(s.p, what, s.n) == 0;
}

static bool key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

static hone_str trim(hone_str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* "key<sep> value" with the key at column 0. The key is lower-cased into key[]. */
static bool pair(hone_str l, char sep, char key[static 64], hone_str *value)
{
    uint64_t n = 0;
    while (n < l.n && n < 63 && key_char(l.p[n])) {
        key[n] = l.p[n] >= 'A' && l.p[n] <= 'Z' ? (char)(l.p[n] + 32) : l.p[n];
        n++;
    }
    key[n] = '\0';
    *value = (hone_str){ l.p + n, l.n - n };
    *value = trim(*value);
    if (!n || !value->n || value->p[0] != sep)
        return false;
    *value = trim((hone_str){ value->p + 1, value->n - 1 });
    return true;
}

static hone_str unquote(hone_str s)
{
    if (s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0])
        return (hone_str){ s.p + 1, s.n - 2 };
    return s;
}

hone_status front_matter(hone_str text, const hone_block_sink *sink, uint64_t *length,
                         hone_error *err)
{
    static const char why[] = "front matter that is not one line of key and value";
    char key[64], sep;
    hone_str value;
    uint64_t at, end = 0;
    line l;

    *length = 0;
    if (!line_at(text, 0, &l) || !(is(l.text, "---") || is(l.text, "+++")))
        return HONE_OK;
    sep = l.text.p[0] == '-' ? ':' : '=';
    const uint64_t first = l.next;
    for (at = first; line_at(text, at, &l); at = l.next) {
        if (is(l.text, sep == '=' ? "+++" : "---") || (sep == ':' && is(l.text, "..."))) {
            end = l.next;
            break;
        }
        if (at == first && l.text.n && l.text.p[0] != '#' && !pair(l.text, sep, key, &value))
            return HONE_OK;
    }
    if (!end || at == first)
        return HONE_OK;
    *length = end;
    for (uint64_t i = first; i < at && line_at(text, i, &l); i = l.next) {
        if (!l.text.n || l.text.p[0] == '#')
            continue;
        if (pair(l.text, sep, key, &value) && value.n && !strchr("[{|>&*", value.p[0])) {
            const hone_status st = sink->meta(sink, key, unquote(value), err);
            if (st != HONE_OK)
                return st;
        } else {
            sink->lost(sink, l.text.n, why);
        }
    }
    return HONE_OK;
}
