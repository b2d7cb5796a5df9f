/*
 * html_emit.c - the tree as blocks, in reading order.
 *
 * A leaf gathers text; where a block-level element begins or ends, it is flushed as what the
 * innermost container makes of it: a paragraph, a list item, a quote. White space collapses
 * as a browser's, but in <pre>. A table of more than one column whose cells hold plain text is one
 * block; any other table only places things, and its cells are read one after another.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "html_tree.h"

#define MAX_COLUMNS 64

/* What text is in: on the C stack, as deep as the tree is. */
typedef struct place {
    const struct place *outer;
    uint32_t kind;  /* HONE_BLOCK_TEXT, _LIST or _QUOTE */
    uint32_t depth; /* of lists */
    uint64_t ordinal;
    bool *begun; /* of an item: its first block is out, what follows is text */
} place;

typedef struct writer {
    html_tree *t;
    const decoded *d;
    const hone_block_sink *sink;
    hone_error *err;
    hone_status st;
    hone_text buf;
    uint64_t start, end; /* of the leaf in the decoded document; start > end: nothing */
    bool space;          /* white space before the next text */
    bool verbatim;
    char in_cell;    /* ' ' or '\n': a cell or heading, where blocks are only that far apart */
    bool one_column; /* in a table whose cells are paragraphs */
    bool apart;      /* such a '\n' before the next text */
    bool term;       /* the leaf is the term of a definition, which follows */
} writer;

static void walk(writer *w, uint32_t i, const place *at);

static void reset(writer *w)
{
    hone_text_clear(&w->buf);
    w->start = UINT64_MAX;
    w->end = 0;
    w->space = w->term = w->apart = false;
}

static void trim(writer *w)
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
static void flush(writer *w, const place *at)
{
    hone_block block = { .kind = HONE_BLOCK_TEXT };
    if (w->in_cell) {
        w->space = w->buf.n > 0;
        w->apart = w->space && w->in_cell == '\n';
        return;
    }
    trim(w);
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
    reset(w);
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

static void walk_children(writer *w, uint32_t i, const place *at)
{
    for (uint32_t c = html_at(w->t, i)->first; c && w->st == HONE_OK; c = html_at(w->t, c)->next)
        if (html_at(w->t, c)->reason == KEPT)
            walk(w, c, at);
}

static void line_break(writer *w)
{
    if (w->in_cell) {
        flush(w, NULL);
    } else if (w->verbatim || w->buf.n) {
        if (!w->verbatim)
            trim(w);
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
        walk_children(w, i, at);
        own_line(w);
        return;
    }
    if (!w->term)
        flush(w, at);
    walk_children(w, i, at);
    if (!w->term || html_at(w->t, i)->flags & WORD_ADMONITION)
        flush(w, at);
}

static void heading(writer *w, uint32_t i, const place *at)
{
    const html_node *node = html_at(w->t, i);
    const hone_block head = { .kind = HONE_BLOCK_HEADING,
                              .level = node->tag->value ? node->tag->value : 1 };
    flush(w, at);
    if (w->in_cell) {
        walk_children(w, i, at);
        flush(w, at);
        return;
    }
    w->in_cell = ' ';
    walk_children(w, i, at);
    w->in_cell = '\0';
    trim(w);
    if (node->admonition) { /* "Note: ..." */
        w->term = w->buf.n > 0;
        return;
    }
    if (w->buf.n) {
        hone_block b = head;
        add_block(w, &b);
    }
    reset(w);
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
    flush(w, at);
    w->verbatim = true;
    walk_children(w, i, at);
    w->verbatim = false;
    trim(w);
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
    reset(w);
}

static void list(writer *w, uint32_t i, const place *at)
{
    const html_node *node = html_at(w->t, i);
    uint64_t number = node->tag->act == ACT_ORDERED ? (node->span ? node->span : 1) : 0;
    flush(w, at);
    for (uint32_t c = node->first; c && w->st == HONE_OK; c = html_at(w->t, c)->next) {
        const html_node *item = html_at(w->t, c);
        bool begun = false;
        if (item->reason != KEPT)
            continue;
        if (!item->tag || item->tag->act != ACT_ITEM) {
            walk(w, c, at);
            continue;
        }
        if (number && item->span)
            number = item->span;
        const place inner = { at, HONE_BLOCK_LIST, at->depth + 1, number, &begun };
        flush(w, at);
        walk_children(w, c, &inner);
        flush(w, &inner);
        number += number > 0;
    }
    flush(w, at);
}

static void term(writer *w, uint32_t i, const place *at)
{
    const uint64_t from = w->buf.n;
    uint64_t k = from;
    walk_children(w, i, at);
    trim(w);
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
    flush(w, at);
    for (uint32_t c = html_at(w->t, i)->first; c && w->st == HONE_OK; c = html_at(w->t, c)->next) {
        const html_node *node = html_at(w->t, c);
        const uint8_t act = node->tag ? node->tag->act : ACT_INLINE;
        if (node->reason != KEPT)
            continue;
        if (act == ACT_TERM) {
            if (w->term && w->buf.n) { /* several terms, one definition */
                trim(w);
                hone_text_puts(&w->buf, ", ");
                w->term = false;
            } else {
                flush(w, &inner);
                begun = false;
            }
            term(w, c, &inner);
        } else if (act == ACT_DEFINITION) {
            walk_children(w, c, &inner);
            w->term = false;
            flush(w, &inner);
        } else {
            walk(w, c, &inner);
        }
    }
    w->term = false;
    flush(w, &inner);
}

/* ------------------------------------------------------------------- tables */

/* Calls visit for each row of the table (not of tables in it). */
static void each_row(writer *w, uint32_t i, void (*visit)(writer *w, uint32_t row, void *ctx),
                     void *ctx)
{
    for (uint32_t c = html_at(w->t, i)->first; c && w->st == HONE_OK; c = html_at(w->t, c)->next) {
        const html_node *node = html_at(w->t, c);
        if (node->reason != KEPT || !node->tag || node->tag->act == ACT_TABLE)
            continue;
        if (node->tag->act == ACT_ROW)
            visit(w, c, ctx);
        else if (node->tag->act == ACT_BLOCK)
            each_row(w, c, visit, ctx);
    }
}

/* Does a part of the tree hold something that has no place in a cell of text? */
static bool holds_structure(const html_tree *t, uint32_t i)
{
    for (uint32_t c = html_at(t, i)->first; c; c = html_at(t, c)->next) {
        const html_node *node = html_at(t, c);
        if (node->reason != KEPT || !node->tag)
            continue;
        switch (node->tag->act) {
        case ACT_PRE:
        case ACT_LIST:
        case ACT_ORDERED:
        case ACT_DEFINITIONS:
        case ACT_HEADING:
        case ACT_TABLE:
        case ACT_QUOTE:
        case ACT_RULE:
            return true;
        default:
            if (holds_structure(t, c))
                return true;
        }
    }
    return false;
}

typedef struct shape {
    uint32_t rows, columns;
    bool structure;
} shape;

static bool is_cell(const html_node *node)
{
    return node->reason == KEPT && node->tag && node->tag->act == ACT_CELL;
}

static void measure_row(writer *w, uint32_t row, void *ctx)
{
    shape *s = ctx;
    uint32_t n = 0;
    for (uint32_t c = html_at(w->t, row)->first; c; c = html_at(w->t, c)->next) {
        if (!is_cell(html_at(w->t, c)))
            continue;
        n += html_at(w->t, c)->kept > 0;
        s->structure = s->structure || holds_structure(w->t, c);
    }
    s->rows += n > 0;
    s->columns = n > s->columns ? n : s->columns;
}

typedef struct grid {
    const place *at;
    hone_text text;             /* of the whole table */
    uint16_t busy[MAX_COLUMNS]; /* rows that a cell above still fills */
    uint64_t start, end;
} grid;

static void write_row(writer *w, uint32_t row, void *ctx)
{
    grid *g = ctx;
    const uint64_t row_start = g->text.n;
    uint32_t column = 0;
    bool any = false;
    if (g->text.n)
        hone_text_putc(&g->text, '\n');
    for (uint32_t c = html_at(w->t, row)->first; c && w->st == HONE_OK;
         c = html_at(w->t, c)->next) {
        const html_node *cell = html_at(w->t, c);
        if (!is_cell(cell))
            continue;
        for (; column < MAX_COLUMNS && g->busy[column]; column++) {
            g->busy[column]--;
            hone_text_puts(&g->text, column ? "\t" : "");
        }
        if (column)
            hone_text_putc(&g->text, '\t');
        reset(w);
        w->in_cell = ' ';
        walk_children(w, c, g->at);
        w->in_cell = '\0';
        trim(w);
        hone_text_add(&g->text, w->buf.p, w->buf.n);
        any = any || w->buf.n;
        g->start = w->start < g->start ? w->start : g->start;
        g->end = w->end > g->end ? w->end : g->end;
        for (uint32_t k = 0; k < (cell->span ? cell->span : 1u); k++, column++) {
            if (k)
                hone_text_putc(&g->text, '\t');
            if (column < MAX_COLUMNS && cell->rows > 1)
                g->busy[column] = (uint16_t)(cell->rows - 1);
        }
    }
    for (; column < MAX_COLUMNS; column++)
        g->busy[column] = (uint16_t)(g->busy[column] - (g->busy[column] > 0));
    while (g->text.n > row_start && g->text.p[g->text.n - 1] == '\t')
        g->text.n--;
    if (!any)
        g->text.n = row_start;
    w->buf.failed |= g->text.failed;
}

static void table(writer *w, uint32_t i, const place *at)
{
    const html_node *node = html_at(w->t, i);
    shape s = { 0 };
    each_row(w, i, measure_row, &s);
    flush(w, at);
    if (w->in_cell || w->verbatim || s.structure || s.columns < 2 || s.rows < 2 ||
        node->flags & WORD_LAYOUT) {
        w->one_column = !w->in_cell && !w->verbatim && !s.structure && s.columns < 2 && s.rows > 1;
        walk_children(w, i, at);
        w->one_column = false;
        flush(w, at);
        return;
    }
    for (uint32_t c = node->first; c && w->st == HONE_OK; c = html_at(w->t, c)->next)
        if (html_at(w->t, c)->reason == KEPT && html_at(w->t, c)->tag &&
            html_at(w->t, c)->tag->act == ACT_CAPTION)
            walk(w, c, at);
    grid g = { .at = at, .text = { .host = w->t->host, .tag = "html" }, .start = UINT64_MAX };
    each_row(w, i, write_row, &g);
    reset(w);
    if (g.text.n && w->st == HONE_OK) {
        hone_block b = { .kind = HONE_BLOCK_TABLE, .text = hone_text_str(&g.text) };
        decoded_span(w->d, g.start, g.end, &b);
        w->st = hone_text_status(&g.text, w->err);
        if (w->st == HONE_OK)
            w->st = w->sink->add(w->sink, &b, w->err);
    }
    hone_text_finish(&g.text);
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
    walk_children(w, i, at);
}

static void walk(writer *w, uint32_t i, const place *at)
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
        walk_children(w, i, at);
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
        flush(w, at);
        walk_children(w, i, &inner);
        flush(w, &inner);
        break;
    }
    case ACT_TABLE:
        table(w, i, at);
        break;
    case ACT_RAISED:
        raised(w, i, at);
        break;
    case ACT_CITED:
        put_space(w);
        hone_text_puts(&w->buf, "\xe2\x80\x9c");
        walk_children(w, i, at);
        hone_text_puts(&w->buf, "\xe2\x80\x9d");
        break;
    case ACT_CELL:
        flush(w, at);
        w->in_cell = w->one_column ? '\n' : w->in_cell;
        walk_children(w, i, at);
        w->in_cell = w->one_column ? '\0' : w->in_cell;
        flush(w, at);
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
        reset(&w);
        walk_children(&w, i, &top);
        trim(&w);
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
    reset(&w);
    give_title(t, d, sink, err, &w.st);
    if (outer_heading && w.st == HONE_OK)
        heading(&w, outer_heading, &top);
    if (w.st == HONE_OK)
        walk_children(&w, root, &top);
    if (w.st == HONE_OK)
        flush(&w, &top);
    if (w.st == HONE_OK)
        w.st = hone_text_status(&w.buf, err);
    hone_text_finish(&w.buf);
    return w.st;
}
