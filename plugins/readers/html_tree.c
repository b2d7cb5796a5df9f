/*
 * html_tree.c - libxml2's HTML parser as a source of events, gathered into a small tree.
 *
 * Events instead of libxml2's own tree: that one cuts text nodes at 10 MB, gives up at a depth of
 * 256, and knows lines but not bytes. Here an element below MAX_DEPTH is left out and its
 * text goes to the ancestor that is in, so nothing is lost.
 *
 * Byte offsets: libxml2 tells where it stands when it calls. A piece of text ends there; it
 * begins where the same bytes are found just before, or else (entities) at the end of the event
 * before it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "html_tree.h"

#include <libxml/HTMLparser.h>
#include <libxml/parserInternals.h>
#include <stdlib.h>

#define MAX_DEPTH 400

static uint64_t position(const html_tree *t)
{
    const htmlParserCtxtPtr c = t->parser;
    const uint64_t at =
        c->input ? (uint64_t)(c->input->cur - c->input->base) + c->input->consumed : 0;
    return at < t->n ? at : t->n;
}

static uint32_t innermost(const html_tree *t)
{
    return t->open.n ? *(const uint32_t *)(const void *)(t->open.p + t->open.n - sizeof(uint32_t))
                     : 0;
}

/* Append a node below `parent`; its index, 0 when there is no memory. */
static uint32_t add_node(html_tree *t, const html_node *node, uint32_t parent)
{
    const uint32_t i = html_n(t);
    if (i == UINT32_MAX / sizeof(html_node))
        t->failed = true;
    hone_text_add(&t->nodes, (const char *)node, sizeof *node);
    if (t->nodes.failed || t->failed) {
        t->failed = true;
        return 0;
    }
    html_at(t, i)->parent = parent;
    if (i == 0)
        return 0;
    html_node *p = html_at(t, parent);
    if (p->last)
        html_at(t, p->last)->next = i;
    else
        p->first = i;
    p->last = i;
    return i;
}

static bool same(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static bool lower_equal(const char *p, const char *want)
{
    for (; *p && *want; p++, want++)
        if ((*p >= 'A' && *p <= 'Z' ? *p + 32 : *p) != *want)
            return false;
    return !*p && !*want;
}

/* Is "name:value" in a style attribute, whatever the blanks and letter case? */
static bool style_says(const char *style, const char *want)
{
    for (; *style; style++) {
        const char *s = style, *w = want;
        for (; *s && *w; s++) {
            if (html_is_space(*s))
                continue;
            if ((*s >= 'A' && *s <= 'Z' ? *s + 32 : *s) != *w)
                break;
            w++;
        }
        if (!*w)
            return true;
    }
    return false;
}

static void leave_out(html_node *node, uint8_t reason)
{
    if (node->reason == KEPT)
        node->reason = reason;
}

static void see_words(html_node *node, const char *value)
{
    for (const char *p = value; *p;) {
        size_t n = 0;
        while (p[n] && !html_is_space(p[n]))
            n++;
        const html_word *w = html_word_find(p, n);
        if (w) {
            node->flags |= w->says;
            if (w->says & WORD_PERMALINK)
                leave_out(node, w->reason);
            else if (w->says & WORD_LEFT_OUT && node->named == KEPT)
                node->named = w->reason;
        }
        for (p += n; html_is_space(*p);)
            p++;
    }
}

static uint16_t small_number(const char *text, uint16_t most)
{
    const long v = strtol(text, NULL, 10);
    return (uint16_t)(v < 0 ? 0 : v > most ? most : v);
}

static void see_attribute(html_tree *t, html_node *node, const char *name, const char *value)
{
    const uint8_t act = node->tag->act;
    if (same(name, "class") || same(name, "id") || same(name, "role"))
        see_words(node, value);
    if (same(name, "class") && !node->lang_n) {
        const bool code = act == ACT_PRE || same(node->tag->name, "code");
        const hone_str lang = html_class_lang(hone_s(value), code);
        node->text = (uint32_t)t->text.n;
        node->lang_n = (uint8_t)lang.n;
        hone_text_add(&t->text, lang.p, lang.n);
    } else if (same(name, "hidden") || (same(name, "aria-hidden") && same(value, "true"))) {
        leave_out(node, R_HIDDEN);
    } else if (same(name, "style")) {
        if (style_says(value, "display:none") || style_says(value, "visibility:hidden"))
            leave_out(node, R_HIDDEN);
    } else if (act == ACT_LINK && same(name, "href")) {
        node->flags |= NODE_LINK | (value[0] == '#' ? NODE_IN_PAGE : 0);
    } else if (act == ACT_LINK && same(name, "rel")) {
        if (lower_equal(value, "next") || lower_equal(value, "prev") || lower_equal(value, "up"))
            node->flags |= NODE_NAV;
    } else if (act == ACT_CELL && same(name, "colspan")) {
        node->span = small_number(value, 64);
    } else if (act == ACT_CELL && same(name, "rowspan")) {
        node->rows = small_number(value, 1000);
    } else if ((act == ACT_ORDERED && same(name, "start")) ||
               (act == ACT_ITEM && same(name, "value"))) {
        node->span = small_number(value, 65535);
    } else if (act == ACT_IMAGE && same(name, "alt")) {
        t->lost[R_MEDIA] += strlen(value);
    }
}

static void see_meta(html_tree *t, const xmlChar **atts)
{
    static const char *const wanted[] = { "author", "description", "date", "keywords" };
    const char *name = NULL, *content = NULL;
    for (size_t i = 0; atts && atts[i]; i += 2) {
        if (same((const char *)atts[i], "name"))
            name = (const char *)atts[i + 1];
        else if (same((const char *)atts[i], "content"))
            content = (const char *)atts[i + 1];
    }
    for (size_t i = 0; name && content && *content && i < sizeof wanted / sizeof wanted[0]; i++)
        if (lower_equal(name, wanted[i]) && t->st == HONE_OK)
            t->st = t->sink->meta(t->sink, wanted[i], hone_s(content), t->err);
}

/* <dt>, <dd>, <li>, <tr> and <td> end the one before them, which libxml2 does not see to for all:
 * below which element does the next one belong? */
static uint32_t proper_parent(const html_tree *t, uint8_t act, uint32_t parent)
{
    static const struct {
        uint8_t act, ends[2], within; /* `act` ends `ends`, up to the next `within` */
    } rules[] = {
        { ACT_TERM, { ACT_TERM, ACT_DEFINITION }, ACT_DEFINITIONS },
        { ACT_DEFINITION, { ACT_TERM, ACT_DEFINITION }, ACT_DEFINITIONS },
        { ACT_ITEM, { ACT_ITEM, ACT_ITEM }, ACT_LIST },
        { ACT_ROW, { ACT_ROW, ACT_CELL }, ACT_TABLE },
        { ACT_CELL, { ACT_CELL, ACT_CELL }, ACT_TABLE },
    };
    for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
        if (rules[r].act != act)
            continue;
        uint32_t below = parent;
        for (uint32_t i = parent; i; i = html_at(t, i)->parent) {
            const uint8_t up = html_at(t, i)->tag->act;
            if (up == rules[r].within || (up == ACT_ORDERED && act == ACT_ITEM) || up == ACT_TABLE)
                return below;
            if (up == rules[r].ends[0] || up == rules[r].ends[1])
                below = html_at(t, i)->parent;
        }
        return below;
    }
    return parent;
}

static void start_element(void *ctx, const xmlChar *xname, const xmlChar **atts)
{
    html_tree *t = ctx;
    const char *name = (const char *)xname;
    t->seen = position(t);
    if (t->failed || t->st != HONE_OK)
        return;
    if (same(name, "meta"))
        see_meta(t, atts);
    if (t->too_deep || t->open.n / sizeof(uint32_t) >= MAX_DEPTH) {
        t->too_deep++;
        return;
    }
    html_node node = { .tag = html_tag_find(name) };
    if (node.tag->act == ACT_LEAVE_OUT)
        node.reason = node.tag->value;
    for (size_t i = 0; atts && atts[i]; i += 2)
        see_attribute(t, &node, (const char *)atts[i],
                      atts[i + 1] ? (const char *)atts[i + 1] : "");
    const uint32_t below = proper_parent(t, node.tag->act, innermost(t));
    node.admonition = html_at(t, below)->admonition || node.flags & WORD_ADMONITION;
    const uint32_t i = add_node(t, &node, below);
    hone_text_add(&t->open, (const char *)&i, sizeof i);
}

static void end_element(void *ctx, const xmlChar *name)
{
    html_tree *t = ctx;
    (void)name;
    t->seen = position(t);
    if (t->too_deep)
        t->too_deep--;
    else if (t->open.n)
        t->open.n -= sizeof(uint32_t);
}

static void characters(void *ctx, const xmlChar *xp, int len)
{
    html_tree *t = ctx;
    const char *p = (const char *)xp;
    const uint64_t n = len > 0 ? (uint64_t)len : 0, end = position(t);
    uint64_t start = t->seen < end ? t->seen : end;
    if (t->failed || t->st != HONE_OK || !n)
        return;
    if (end >= n && memcmp(t->p + end - n, p, n) == 0)
        start = end - n;
    else if (start < end && t->p[start] == '>')
        start++;
    t->seen = end;
    html_node node = { .start = (uint32_t)html_refs_source(&t->refs, start),
                       .end = (uint32_t)html_refs_source(&t->refs, end),
                       .text = (uint32_t)t->text.n,
                       .text_n = (uint32_t)n };
    const uint32_t parent = innermost(t);
    hone_text_add(&t->text, p, n);
    html_node *last = html_at(t, parent)->last ? html_at(t, html_at(t, parent)->last) : NULL;
    if (last && !last->tag && last->text + last->text_n == node.text) { /* one text in pieces */
        last->text_n += node.text_n;
        last->end = node.end;
    } else {
        (void)add_node(t, &node, parent);
    }
    t->failed = t->failed || t->text.failed || t->text.n > UINT32_MAX / 2;
}

static void skipped(void *ctx, const xmlChar *value)
{
    (void)value;
    ((html_tree *)ctx)->seen = position(ctx);
}

static void skipped_instruction(void *ctx, const xmlChar *target, const xmlChar *data)
{
    (void)target;
    (void)data;
    ((html_tree *)ctx)->seen = position(ctx);
}

hone_status html_tree_build(html_tree *t, const hone_host *host, hone_str text,
                            const hone_block_sink *sink, hone_error *err)
{
    const hone_text empty = { .host = host, .tag = "html" };
    htmlParserCtxtPtr parser = NULL;
    hone_status st = HONE_OK;
    *t = (html_tree){ .host = host, .nodes = empty, .text = empty, .title = empty, .open = empty };
    t->sink = sink;
    t->err = err;
    if (text.n > INT32_MAX / 2)
        return hone_fail(err, HONE_ERR_LIMIT, "html: %llu bytes, at most 1 GiB is read",
                         (unsigned long long)text.n);
    if ((st = html_refs_write(&t->refs, host, text, err)) != HONE_OK)
        goto out;
    t->p = t->refs.edits.n ? t->refs.text.p : text.p;
    t->n = t->refs.edits.n ? t->refs.text.n : text.n;
    if (t->n > INT32_MAX - 1) {
        st = hone_fail(err, HONE_ERR_LIMIT, "html: %llu bytes with all references written out",
                       (unsigned long long)t->n);
        goto out;
    }
    const html_node root = { .tag = html_tag_find("html") };
    (void)add_node(t, &root, 0);
    parser = htmlNewParserCtxt();
    if (!parser || !parser->sax || t->failed) {
        st = hone_fail(err, HONE_ERR_NOMEM, "html: no memory for a parser");
        goto out;
    }
    t->parser = parser;
    parser->options |= XML_PARSE_HUGE; /* its own limits cut in silence; ours are above */
    memset(parser->sax, 0, sizeof *parser->sax);
    parser->sax->startElement = start_element;
    parser->sax->endElement = end_element;
    parser->sax->characters = characters;
    parser->sax->cdataBlock = characters;
    parser->sax->ignorableWhitespace = characters;
    parser->sax->comment = skipped;
    parser->sax->processingInstruction = skipped_instruction;
    parser->userData = t;
    /* The text is UTF-8 by now, whatever its meta elements say. */
    (void)htmlCtxtReadMemory(parser, t->p, (int)t->n, NULL, "UTF-8",
                             HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                 HTML_PARSE_NONET | HTML_PARSE_NODEFDTD | HTML_PARSE_IGNORE_ENC);
    t->parsed = html_refs_source(&t->refs, position(t));
    if (t->st != HONE_OK)
        st = t->st;
    else if (t->failed || parser->errNo == XML_ERR_NO_MEMORY)
        st = hone_fail(err, HONE_ERR_NOMEM, "html: no memory for a tree of %u nodes", html_n(t));
out:
    if (parser && parser->myDoc)
        xmlFreeDoc(parser->myDoc);
    if (parser)
        htmlFreeParserCtxt(parser);
    html_refs_finish(&t->refs);
    t->parser = NULL;
    t->p = NULL;
    return st;
}

void html_tree_finish(html_tree *t)
{
    hone_text_finish(&t->nodes);
    hone_text_finish(&t->text);
    hone_text_finish(&t->title);
    hone_text_finish(&t->open);
}
