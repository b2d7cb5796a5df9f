/*
 * html_refs.c - what libxml2's HTML parser leaves as it is written, written so that it is read.
 *
 *   &check;             a name that HTML 4 did not have: the number
 *   a &lt b             an old name without its semicolon: with it
 *   <![CDATA[a<b]]>     in XHTML, outside scripts: the text, escaped
 *
 * Places in the new text lead back to the old one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "entities.h"
#include "html_tree.h"

#include <libxml/HTMLparser.h>
#include <stdio.h>

#define LONGEST_NAME 32
#define LOOK_FOR_XML 1024 /* bytes at the beginning */

typedef struct edit { /* from `at` on, the new text is the old one from `source` on */
    uint32_t at, source;
} edit;

typedef struct writer {
    html_refs *r;
    const char *p;
    uint64_t n, done; /* bytes of the old text that are written */
} writer;

static void mark(writer *w, uint64_t source)
{
    const edit e = { (uint32_t)w->r->text.n, (uint32_t)source };
    hone_text_add(&w->r->edits, (const char *)&e, sizeof e);
}

/* [from, to) of the old text becomes (p, n). */
static void replace(writer *w, uint64_t from, uint64_t to, const char *p, uint64_t n)
{
    hone_text_add(&w->r->text, w->p + w->done, from - w->done);
    mark(w, from);
    hone_text_add(&w->r->text, p, n);
    mark(w, to);
    w->done = to;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The reference at p[i] == '&'; returns where to look on. */
static uint64_t reference(writer *w, uint64_t i)
{
    char name[LONGEST_NAME + 1], number[16];
    uint64_t k = i + 1, n = 0;
    while (k < w->n && n < LONGEST_NAME && is_alnum(w->p[k]))
        name[n++] = w->p[k++];
    name[n] = 0;
    const uint32_t code = n ? entity_find(name, n) : 0;
    if (!code)
        return i + 1;
    const bool old = htmlEntityLookup((const xmlChar *)name) != NULL;
    if (k < w->n && w->p[k] == ';') {
        if (old)
            return k;
        const int len = snprintf(number, sizeof number, "&#%u;", code);
        replace(w, i, k + 1, number, (uint64_t)len);
        return k + 1;
    }
    /* those of Latin-1 and of the syntax do without; "?a=1&copy=2" means none */
    if (old && (code < 127 || (code >= 160 && code <= 255)) && code != 39 &&
        (k == w->n || w->p[k] != '='))
        replace(w, k, k, ";", 1);
    return k;
}

static bool begins(const writer *w, uint64_t i, const char *what) /* what: in lower case */
{
    for (; *what; what++, i++)
        if (i >= w->n || (w->p[i] >= 'A' && w->p[i] <= 'Z' ? w->p[i] + 32 : w->p[i]) != *what)
            return false;
    return true;
}

/* Where `what` begins at or behind i; n when it does not. */
static uint64_t find(const writer *w, uint64_t i, const char *what)
{
    const uint64_t len = strlen(what);
    for (; i + len <= w->n; i++) {
        const char *c = memchr(w->p + i, what[0], w->n - i);
        i = c ? (uint64_t)(c - w->p) : w->n;
        if (i + len <= w->n && memcmp(w->p + i, what, len) == 0)
            return i;
    }
    return w->n;
}

static uint64_t cdata(writer *w, uint64_t i)
{
    static const char open[] = "<![CDATA[", close[] = "]]>";
    const uint64_t from = i + sizeof open - 1, end = find(w, from, close);
    replace(w, i, from, "", 0);
    for (i = from; i < end; i++)
        if (w->p[i] == '<')
            replace(w, i, i + 1, "&lt;", 4);
        else if (w->p[i] == '&')
            replace(w, i, i + 1, "&amp;", 5);
    if (end == w->n)
        return end;
    replace(w, end, end + sizeof close - 1, "", 0);
    return end + sizeof close - 1;
}

static bool is_xml(const writer *w)
{
    writer head = *w;
    head.n = w->n < LOOK_FOR_XML ? w->n : LOOK_FOR_XML;
    return find(&head, 0, "<?xml") < head.n ||
           find(&head, 0, "http://www.w3.org/1999/xhtml") < head.n ||
           find(&head, 0, "DTD XHTML") < head.n;
}

hone_status html_refs_write(html_refs *r, const hone_host *host, hone_str text, hone_error *err)
{
    const hone_text empty = { .host = host, .tag = "html" };
    writer w = { .r = r, .p = text.p, .n = text.n };
    const bool xml = is_xml(&w);
    *r = (html_refs){ .text = empty, .edits = empty };
    for (uint64_t i = 0; i < w.n;) {
        if (w.p[i] == '&')
            i = reference(&w, i);
        else if (w.p[i] != '<')
            i++;
        else if (begins(&w, i, "<!--"))
            i = find(&w, i + 4, "-->");
        else if (begins(&w, i, "<script") || begins(&w, i, "<style"))
            i = find(&w, i + 6, "</");
        else if (xml && begins(&w, i, "<![cdata["))
            i = cdata(&w, i);
        else
            i++;
    }
    if (r->edits.n)
        hone_text_add(&r->text, w.p + w.done, w.n - w.done);
    return r->text.failed || r->edits.failed
               ? hone_fail(err, HONE_ERR_NOMEM, "html: no memory for %llu bytes of text",
                           (unsigned long long)text.n)
               : HONE_OK;
}

uint64_t html_refs_source(const html_refs *r, uint64_t at)
{
    const edit *e = (const edit *)(const void *)r->edits.p;
    uint64_t lo = 0, hi = r->edits.n / sizeof *e; /* edits before lo begin at or before `at` */
    const uint64_t n = hi;
    while (lo < hi) {
        const uint64_t mid = (lo + hi) / 2;
        if (e[mid].at <= at)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (!lo)
        return at;
    const uint64_t source = e[lo - 1].source + (at - e[lo - 1].at);
    return lo < n && source > e[lo].source ? e[lo].source : source;
}

void html_refs_finish(html_refs *r)
{
    hone_text_finish(&r->text);
    hone_text_finish(&r->edits);
}
