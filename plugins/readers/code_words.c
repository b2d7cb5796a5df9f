/*
 * code_words.c - what comments say, without their marks; signatures on one line; scopes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "code.h"

#include <string.h>

static bool space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static hone_str slice(hone_str t, uint64_t from, uint64_t to)
{
    return (hone_str){ t.p + from, to - from };
}

static hone_str trim(hone_str s)
{
    while (s.n && space(s.p[s.n - 1]))
        s.n--;
    while (s.n && space(*s.p))
        s.p++, s.n--;
    return s;
}

static bool begins(hone_str s, const char *with)
{
    const size_t n = strlen(with);
    return s.n >= n && memcmp(s.p, with, n) == 0;
}

static bool ends(hone_str s, const char *with)
{
    const size_t n = strlen(with);
    return s.n >= n && memcmp(s.p + s.n - n, with, n) == 0;
}

/* The line at p and its end; what follows in *rest. */
static hone_str next_line(hone_str *rest)
{
    const char *nl = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    const hone_str l = { rest->p, nl ? (uint64_t)(nl - rest->p) : rest->n };
    const uint64_t used = nl ? l.n + 1 : l.n;
    *rest = (hone_str){ rest->p + used, rest->n - used };
    return l;
}

/* Spaces that all lines but the first, and blank ones, begin with. */
static uint64_t indentation(hone_str s)
{
    uint64_t least = UINT64_MAX;
    (void)next_line(&s);
    while (s.n) {
        const hone_str l = next_line(&s);
        uint64_t i = 0;
        while (i < l.n && (l.p[i] == ' ' || l.p[i] == '\t'))
            i++;
        if (i < l.n && i < least)
            least = i;
    }
    return least == UINT64_MAX ? 0 : least;
}

/* Lines without the indentation they share, or the stars they begin with, without blanks at their
 * ends and blank lines in front. */
static void add_lines(hone_str s, bool stars, hone_text *out)
{
    const uint64_t indent = stars ? 0 : indentation(s);
    const uint64_t before = out->n;
    for (bool first = true; s.n; first = false) {
        hone_str l = next_line(&s);
        if (stars)
            l = trim(l);
        if (stars && begins(l, "*"))
            l = slice(l, l.n > 1 && l.p[1] == ' ' ? 2 : 1, l.n);
        else if (!first && !stars)
            l = slice(l, indent < l.n ? indent : l.n, l.n);
        while (l.n && space(l.p[l.n - 1]))
            l.n--;
        if (out->n > before)
            hone_text_putc(out, '\n');
        hone_text_add(out, l.p, l.n);
    }
}

void words_of_comment(hone_str comment, hone_text *out)
{
    static const struct {
        const char *open, *close; /* close NULL: up to the end of the line */
    } marks[] = {
        { "/**", "*/" }, { "/*!", "*/" },  { "/*", "*/" },         { "///", NULL },
        { "//!", NULL }, { "//", NULL },   { "<!--", "-->" },      { "(*", "*)" },
        { "{-", "-}" },  { "--[[", "]]" }, { "--", NULL },         { "#!", NULL },
        { "##", NULL },  { "#", NULL },    { ";;", NULL },         { ";", NULL },
        { "%%", NULL },  { "%", NULL },    { "\"\"\"", "\"\"\"" }, { "'''", "'''" },
        { "\"", "\"" },  { "'", "'" },
    };
    hone_str s = trim(comment);
    /* the letters of r"""...""" */
    if (s.n > 1 && strchr("rRuUbBfF", s.p[0]) && strchr("\"'rRuUbBfF", s.p[1])) {
        uint64_t i = 0;
        while (i < s.n && strchr("rRuUbBfF", s.p[i]))
            i++;
        if (i < s.n && (s.p[i] == '"' || s.p[i] == '\''))
            s = slice(s, i, s.n);
    }
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (!begins(s, marks[i].open))
            continue;
        s = slice(s, strlen(marks[i].open), s.n);
        if (!marks[i].close) {
            s = trim(s);
            break;
        }
        if (ends(s, marks[i].close))
            s.n -= strlen(marks[i].close);
        while (s.n && (*s.p == ' ' || *s.p == '\t'))
            s.p++, s.n--;
        break;
    }
    while (s.n && space(s.p[s.n - 1]))
        s.n--;
    add_lines(s, comment.n > 1 && comment.p[0] == '/' && comment.p[1] == '*', out);
}

void words_of_signature(const walk *w, uint64_t i, hone_text *out)
{
    const found *u = found_at(w, i);
    const hone_str text = u->pass ? w->masked[u->pass - 1] : w->text;
    const uint64_t n = found_n(w), before = out->n;
    const uint32_t to = u->body_end ? u->body : u->end;
    uint64_t k = i + 1;
    bool gap = false;
    for (uint32_t at = u->head; at < to;) {
        while (k < n && found_at(w, k)->start < at)
            k++;
        while (k < n && found_at(w, k)->start == at && found_at(w, k)->kind != HONE_UNIT_COMMENT)
            k++;
        if (k < n && found_at(w, k)->start == at) {
            at = found_at(w, k)->end;
            gap = true;
            continue;
        }
        const char c = text.p[at++];
        if (space(c)) {
            gap = true;
            continue;
        }
        if (gap && out->n > before)
            hone_text_putc(out, ' ');
        gap = false;
        hone_text_putc(out, c);
    }
    /* what introduces a body is not part of it: "{", ":", "=>", "=" */
    while (out->n > before && out->p) {
        const char c = out->p[out->n - 1];
        const bool arrow = c == '>' && u->body_end && out->n - before > 1 &&
                           (out->p[out->n - 2] == '=' || out->p[out->n - 2] == '-');
        if (arrow)
            out->n -= 2;
        else if (space(c) || c == ';' || c == '{' || c == '\\' || (c == ':' && u->body_end) ||
                 (c == '=' && u->kind != HONE_UNIT_METHOD))
            out->n--;
        else
            break;
    }
}

/* A name on one line. */
static void add_name(const walk *w, const found *u, hone_text *out)
{
    if (u->called) {
        hone_text_puts(out, u->called);
        return;
    }
    for (uint32_t i = u->name; i < u->name_end; i++)
        if (!space(w->text.p[i]))
            hone_text_putc(out, w->text.p[i]);
}

static void add_own_scope(const walk *w, const found *u, hone_text *out)
{
    if (u->scope_end <= u->scope)
        return;
    if (out->n)
        hone_text_puts(out, w->lang->scope);
    int depth = 0; /* of "<...>", which is no part of a name */
    for (uint32_t i = u->scope; i < u->scope_end; i++) {
        const char c = w->text.p[i];
        depth += c == '<';
        if (!depth && !space(c))
            hone_text_putc(out, c);
        depth -= c == '>' && depth;
    }
}

void words_of_scope(const walk *w, uint64_t i, hone_text *out)
{
    const uint32_t own = found_at(w, i)->pass;
    uint64_t up[64];
    int n = 0;
    hone_text_clear(out);
    for (uint64_t at = found_at(w, i)->parent; at && n < 64; at = found_at(w, at - 1)->parent)
        if (found_at(w, at - 1)->pass == own || !own || !found_at(w, at - 1)->pass)
            up[n++] = at - 1; /* what another branch of an #if shows does not hold it */
    while (n > 0) {
        const found *holder = found_at(w, up[--n]);
        add_own_scope(w, holder, out);
        if (out->n)
            hone_text_puts(out, w->lang->scope);
        add_name(w, holder, out);
    }
    add_own_scope(w, found_at(w, i), out);
}

void words_of_doc(const walk *w, uint64_t i, hone_text *out)
{
    const uint64_t n = found_n(w);
    const found *u = found_at(w, i);
    uint32_t last = 0;
    for (uint64_t k = i + 1; k < n && found_at(w, k)->start < u->end; k++) {
        const found *c = found_at(w, k);
        if (c->kind != HONE_UNIT_COMMENT || c->parent != i + 1 || !(c->flags & HONE_UNIT_DOC))
            continue;
        if (out->n) /* a docstring stands apart from the comments above */
            hone_text_puts(out, c->start >= u->head && last < u->head ? "\n\n" : "\n");
        words_of_comment(slice(w->text, c->start, c->end), out);
        last = c->start;
    }
}
