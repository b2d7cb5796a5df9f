/*
 * html_table.c - tables of a page.
 *
 * A table of more than one column whose cells hold plain text is one block; any other table only
 * places things, and its cells are read one after another.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "html_emit.h"

#define MAX_COLUMNS 64

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
        emit_reset(w);
        w->in_cell = ' ';
        emit_walk_children(w, c, g->at);
        w->in_cell = '\0';
        emit_trim(w);
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

void emit_table(writer *w, uint32_t i, const place *at)
{
    const html_node *node = html_at(w->t, i);
    shape s = { 0 };
    each_row(w, i, measure_row, &s);
    emit_flush(w, at);
    if (w->in_cell || w->verbatim || s.structure || s.columns < 2 || s.rows < 2 ||
        node->flags & WORD_LAYOUT) {
        w->one_column = !w->in_cell && !w->verbatim && !s.structure && s.columns < 2 && s.rows > 1;
        emit_walk_children(w, i, at);
        w->one_column = false;
        emit_flush(w, at);
        return;
    }
    for (uint32_t c = node->first; c && w->st == HONE_OK; c = html_at(w->t, c)->next)
        if (html_at(w->t, c)->reason == KEPT && html_at(w->t, c)->tag &&
            html_at(w->t, c)->tag->act == ACT_CAPTION)
            emit_walk(w, c, at);
    grid g = { .at = at, .text = { .host = w->t->host, .tag = "html" }, .start = UINT64_MAX };
    each_row(w, i, write_row, &g);
    emit_reset(w);
    if (g.text.n && w->st == HONE_OK) {
        hone_block b = { .kind = HONE_BLOCK_TABLE, .text = hone_text_str(&g.text) };
        decoded_span(w->d, g.start, g.end, &b);
        w->st = hone_text_status(&g.text, w->err);
        if (w->st == HONE_OK)
            w->st = w->sink->add(w->sink, &b, w->err);
    }
    hone_text_finish(&g.text);
}
