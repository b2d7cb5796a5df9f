/*
 * html_emit.c - the tree as blocks, in reading order.
 *
 * A leaf gathers text; where a block-level element begins or ends, it is flushed as what the
 * innermost container makes of it: a paragraph, a list item, a quote. White space collapses
 * as a browser's, but in <pre>. Tables: html_table.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "html_emit.h"

void emit_reset(writer *w)
{
    hone_text_clear(&w->buf);
    w->start = UINT64_MAX;
    w->end = 0;
    w->space = w->term = w->apart = false;
}

void emit_trim(writer *w)
{
    while (w->buf.n && html_is_space(w->buf.p[w->buf.n - 1]))
        w->buf.n--;
}

static void add_block(writer *w, hone_block *block)
{
    if (w->st != HONE_OK)
        return;
    block->text = hone_text_str(&w->buf);
    decoded_span(w->d, w->start, w->end, block);
    w->st = hone_text_status(&w->buf, w->err);
    if (w->st == HONE_OK)
        w->st = w->sink->add(w->sink, block, w->err);
}

/* The leaf so far becomes a block. */
void emit_flush(writer *w, const place *at)
{
    hone_block block = { .kind = HONE_BLOCK_TEXT };
    if (w->in_cell) {
        w->space = w->buf.n > 0;
        w->apart = w->space && w->in_cell == '\n';
        return;
    }
    emit_trim(w);
    if (w->buf.n) {
        if (at->kind == HONE_BLOCK_QUOTE)
            block.kind = HONE_BLOCK_QUOTE;
        if (at->kind == HONE_BLOCK_LIST && !*at->begun) {
            block.kind = HONE_BLOCK_LIST;
            block.level = at->depth;
            block.ordinal = at->ordinal;
        }
        if (at->begun)
            *at->begun = true;
        add_block(w, &block);
    }
    emit_reset(w);
}

static void put_space(writer *w)
{
    if (w->space && w->buf.n && !html_is_space(w->buf.p[w->buf.n - 1]))
        hone_text_putc(&w->buf, w->apart ? '\n' : ' ');
    w->space = w->apart = false;
}

static void put_text(writer *w, const html_node *node)
{
    const char *p = w->t->text.p + node->text;
    bool any = false;
    for (uint64_t i = 0, k; i < node->text_n; i += k) {
        uint32_t cp;
        k = hone_utf8_next(p + i, node->text_n - i, &cp);
        cp = cp == 0xa0 ? ' ' : decode_cp1252(cp);
        if (cp == 0xad || cp == 0x200b || cp == 0x2060 || cp == 0xfeff)
            continue; /* may be broken here, may not be: nothing to read */
        if (cp == '\r' || cp == '\f')
            cp = '\n';
        if (!w->verbatim && (cp == ' ' || cp == '\t' || cp == '\n')) {
            w->space = true;
            continue;
        }
        if ((cp < 0x20 && cp != '\t' && cp != '\n') || (cp >= 0x7f && cp < 0xa0))
            continue; /* references to control characters */
        if (!w->verbatim) {
            if (w->term && w->buf.n) { /* the definition begins */
                hone_text_puts(&w->buf, w->buf.p[w->buf.n - 1] == ':' ? " " : ": ");
                w->space = w->term = false;
            }
            put_space(w);
        }
        hone_text_put_code(&w->buf, cp);
        any = true;
    }
    if (any) {
        w->start = node->start < w->start ? node->start : w->start;
        w->end = node->end > w->end ? node->end : w->end;
    }
}

void emit_walk_children(writer *w, uint32_t i, const place *at)
{
    for (uint32_t c = html_at(w->t, i)->first; c && w->st == HONE_OK; c = html_at(w->t, c)->next)
        if (html_at(w->t, c)->reason == KEPT)
            emit_walk(w, c, at);
}

static void line_break(writer *w)
{
    if (w->in_cell) {
        emit_flush(w, NULL);
    } else if (w->verbatim || w->buf.n) {
        if (!w->verbatim)
            emit_trim(w);
        hone_text_putc(&w->buf, '\n');
        w->space = false;
    }
}

/* In <pre>, a block-level element stands on lines of its own. */
static void own_line(writer *w)
{
    if (w->buf.n && w->buf.p[w->buf.n - 1] != '\n')
        hone_text_putc(&w->buf, '\n');
}

static void block(writer *w, uint32_t i, const place *at)
{
    if (w->verbatim) {
        own_line(w);
        emit_walk_children(w, i, at);
        own_line(w);
        return;
    }
    if (!w->term)
        emit_flush(w, at);
    emit_walk_children(w, i, at);
    if (!w->term || html_at(w->t, i)->flags & WORD_ADMONITION)
        emit_flush(w, at);
}

static void heading(writer *w, uint32_t i, const place *at)
{
    const html_node *node = html_at(w->t, i);
    const hone_block head = { .kind = HONE_BLOCK_HEADING,
                              .level = node->tag->value ? node->tag->value : 1 };
    emit_flush(w, at);
    if (w->in_cell) {
        emit_walk_children(w, i, at);
        emit_flush(w, at);
        return;
    }
    w->in_cell = ' ';
    emit_walk_children(w, i, at);
    w->in_cell = '\0';
    emit_trim(w);
    if (node->admonition) { /* "Note: ..." */
        w->term = w->buf.n > 0;
        return;
    }
    if (w->buf.n) {
        hone_block b = head;
        add_block(w, &b);
    }
    emit_reset(w);
}

/* A language on the <pre>, on the <code> in it, or on a <div> around it. */
static hone_str find_lang(const writer *w, uint32_t pre)
{
    const html_node *node = html_at(w->t, pre);
    const html_node *inner = node->first ? html_at(w->t, node->first) : NULL;
    if (!node->lang_n && inner && inner->tag && inner->lang_n)
        node = inner;
    for (int up = 0; up < 4 && !node->lang_n && node != html_at(w->t, 0); up++)
        node = html_at(w->t, node->parent);
    return (hone_str){ node->lang_n ? w->t->text.p + node->text : "", node->lang_n };
}

static void code(writer *w, uint32_t i, const place *at)
{
    hone_block b = { .kind = HONE_BLOCK_CODE, .lang = find_lang(w, i) };
    uint64_t skip = 0;
    emit_flush(w, at);
    w->verbatim = true;
    emit_walk_children(w, i, at);
    w->verbatim = false;
    emit_trim(w);
    for (uint64_t k = 0; k < w->buf.n && html_is_space(w->buf.p[k]); k++)
        if (w->buf.p[k] == '\n')
            skip = k + 1; /* empty lines in front */
    if (w->buf.n > skip) {
        memmove(w->buf.p, w->buf.p + skip, w->buf.n - skip);
        w->buf.n -= skip;
        if (at->begun)
            *at->begun = true;
        add_block(w, &b);
    }
    emit_reset(w);
}

static void list(writer *w, uint32_t i, const place *at)
{
    const html_node *node = html_at(w->t, i);
    uint64_t number = node->tag->act == ACT_ORDERED ? (node->span ? node->span : 1) : 0;
    emit_flush(w, at);
    for (uint32_t c = node->first; c && w->st == HONE_OK; c = html_at(w->t, c)->next) {
        const html_node *item = html_at(w->t, c);
        bool begun = false;
        if (item->reason != KEPT)
            continue;
        if (!item->tag || item->tag->act != ACT_ITEM) {
            emit_walk(w, c, at);
            continue;
        }
        if (number && item->span)
            number = item->span;
        const place inner = { at, HONE_BLOCK_LIST, at->depth + 1, number, &begun };
        emit_flush(w, at);
        emit_walk_children(w, c, &inner);
        emit_flush(w, &inner);
        number += number > 0;
    }
    emit_flush(w, at);
}

static void term(writer *w, uint32_t i, const place *at)
{
    const uint64_t from = w->buf.n;
    uint64_t k = from;
    emit_walk_children(w, i, at);
    emit_trim(w);
    while (k < w->buf.n && (w->buf.p[k] == ':' || html_is_space(w->buf.p[k])))
        k++; /* Texinfo's ": name" when there is no category */
    if (k > from && k <= w->buf.n) {
        memmove(w->buf.p + from, w->buf.p + k, w->buf.n - k);
        w->buf.n -= k - from;
    }
    w->term = w->buf.n > 0;
}

/* <dt> begins an item, the <dd> that follows goes on with it: "term: definition". */
static void definitions(writer *w, uint32_t i, const place *at)
{
    bool begun = false;
    const place inner = { at, HONE_BLOCK_LIST, at->depth + 1, 0, &begun };
    emit_flush(w, at);
    for (uint32_t c = html_at(w->t, i)->first; c && w->st == HONE_OK; c = html_at(w->t, c)->next) {
        const html_node *node = html_at(w->t, c);
        const uint8_t act = node->tag ? node->tag->act : ACT_INLINE;
        if (node->reason != KEPT)
            continue;
        if (act == ACT_TERM) {
            if (w->term && w->buf.n) { /* several terms, one definition */
                emit_trim(w);
                hone_text_puts(&w->buf, ", ");
                w->term = false;
            } else {
                emit_flush(w, &inner);
                begun = false;
            }
            term(w, c, &inner);
        } else if (act == ACT_DEFINITION) {
            emit_walk_children(w, c, &inner);
            w->term = false;
            emit_flush(w, &inner);
        } else {
            emit_walk(w, c, &inner);
        }
    }
    w->term = false;
    emit_flush(w, &inner);
}

/* ----------------------------------------------------------------- elements */

/* 2<sup>32</sup> is 2^32; a footnote's mark stays as it is. */
static void raised(writer *w, uint32_t i, const place *at)
{
    const html_node *node = html_at(w->t, i);
    const html_node *only = node->first ? html_at(w->t, node->first) : NULL;
    const char first = only && !only->tag && only->text_n ? w->t->text.p[only->text] : '\0';
    const char before = w->buf.n ? w->buf.p[w->buf.n - 1] : ' ';
    const bool number = (first >= '0' && first <= '9') || first == '-' || first == '+';
    const bool letter = only && only->text_n == 1 && first >= 'a' && first <= 'z';
    if ((number || letter) && !w->space && !html_is_space(before))
        hone_text_putc(&w->buf, '^');
    emit_walk_children(w, i, at);
}

void emit_walk(writer *w, uint32_t i, const place *at)
{
    const html_node *node = html_at(w->t, i);
    if (w->buf.failed && w->st == HONE_OK)
        w->st = hone_text_status(&w->buf, w->err);
    if (w->st != HONE_OK)
        return;
    if (!node->tag) {
        put_text(w, node);
        return;
    }
    uint8_t act = node->tag->act;
    if (w->verbatim && act != ACT_BREAK && act != ACT_INLINE && act != ACT_LINK &&
        act != ACT_RAISED && act != ACT_CITED && act != ACT_IMAGE && act != ACT_TITLE)
        act = ACT_BLOCK;
    switch (act) {
    case ACT_TITLE:
    case ACT_IMAGE:
        break;
    case ACT_INLINE:
    case ACT_LINK:
        emit_walk_children(w, i, at);
        break;
    case ACT_BREAK:
        line_break(w);
        break;
    case ACT_HEADING:
        heading(w, i, at);
        break;
    case ACT_PRE:
        if (w->in_cell)
            block(w, i, at);
        else
            code(w, i, at);
        break;
    case ACT_LIST:
    case ACT_ORDERED:
        list(w, i, at);
        break;
    case ACT_DEFINITIONS:
        definitions(w, i, at);
        break;
    case ACT_QUOTE: {
        const place inner = { at, HONE_BLOCK_QUOTE, at->depth, 0, NULL };
        emit_flush(w, at);
        emit_walk_children(w, i, &inner);
        emit_flush(w, &inner);
        break;
    }
    case ACT_TABLE:
        emit_table(w, i, at);
        break;
    case ACT_RAISED:
        raised(w, i, at);
        break;
    case ACT_CITED:
        put_space(w);
        hone_text_puts(&w->buf, "\xe2\x80\x9c");
        emit_walk_children(w, i, at);
        hone_text_puts(&w->buf, "\xe2\x80\x9d");
        break;
    case ACT_CELL:
        emit_flush(w, at);
        w->in_cell = w->one_column ? '\n' : w->in_cell;
        emit_walk_children(w, i, at);
        w->in_cell = w->one_column ? '\0' : w->in_cell;
        emit_flush(w, at);
        break;
    default:
        if (node->flags & (WORD_TITLE | WORD_LABEL) && act == ACT_BLOCK && !w->verbatim)
            heading(w, i, at);
        else
            block(w, i, at);
    }
}

static void give_title(html_tree *t, const decoded *d, const hone_block_sink *sink, hone_error *err,
                       hone_status *st)
{
    const place top = { NULL, HONE_BLOCK_TEXT, 0, 0, NULL };
    for (uint32_t i = 1; i < html_n(t); i++) {
        const html_node *node = html_at(t, i);
        if (!node->tag || node->tag->act != ACT_TITLE || node->reason != KEPT)
            continue;
        writer w = { .t = t, .d = d, .sink = sink, .err = err, .in_cell = ' ' };
        w.buf = (hone_text){ .host = t->host, .tag = "html" };
        emit_reset(&w);
        emit_walk_children(&w, i, &top);
        emit_trim(&w);
        *st = w.st != HONE_OK ? w.st : hone_text_status(&w.buf, err);
        if (*st == HONE_OK && w.buf.n)
            *st = sink->meta(sink, "title", hone_text_str(&w.buf), err);
        hone_text_finish(&w.buf);
        return;
    }
}

hone_status html_emit(html_tree *t, uint32_t root, uint32_t outer_heading, const decoded *d,
                      const hone_block_sink *sink, hone_error *err)
{
    const place top = { NULL, HONE_BLOCK_TEXT, 0, 0, NULL };
    writer w = { .t = t, .d = d, .sink = sink, .err = err };
    w.buf = (hone_text){ .host = t->host, .tag = "html" };
    emit_reset(&w);
    give_title(t, d, sink, err, &w.st);
    if (outer_heading && w.st == HONE_OK)
        heading(&w, outer_heading, &top);
    if (w.st == HONE_OK)
        emit_walk_children(&w, root, &top);
    if (w.st == HONE_OK)
        emit_flush(&w, &top);
    if (w.st == HONE_OK)
        w.st = hone_text_status(&w.buf, err);
    hone_text_finish(&w.buf);
    return w.st;
}
