/*
 * docx_emit.c - paragraphs as blocks; tables as rows and cells.
 *
 * What is in a text box waits for the end of the paragraph that holds it. A table is one block when it
 * has two columns or more; with one it only frames its paragraphs, which then stand for themselves.
 * Which it is shows at its end, so its paragraphs wait too. A table in a cell is text of the cell.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "docx.h"

#define MAX_SPAN 64

void docx_out_init(docx_out *o, const hone_host *host, const hone_block_sink *sink, hone_error *err)
{
    const hone_text empty = { .host = host, .tag = "docx" };
    *o = (docx_out){ .host = host,
                     .sink = sink,
                     .err = err,
                     .boxes = { empty, empty },
                     .cells = { empty, empty },
                     .grid = empty,
                     .joined = empty };
}

void docx_out_finish(docx_out *o)
{
    hone_text_finish(&o->boxes.list);
    hone_text_finish(&o->boxes.text);
    hone_text_finish(&o->cells.list);
    hone_text_finish(&o->cells.text);
    hone_text_finish(&o->grid);
    hone_text_finish(&o->joined);
}

static void check(docx_out *o, const hone_text *t)
{
    if (o->st == HONE_OK)
        o->st = hone_text_status(t, o->err);
}

static void store(docx_out *o, docx_store *s, hone_block block)
{
    const uint64_t at = s->text.n;
    hone_text_add(&s->text, block.text.p, block.text.n);
    block.lang.n = at; /* where its text begins, until it is taken out */
    hone_text_add(&s->list, (const char *)&block, sizeof block);
    check(o, &s->text);
    check(o, &s->list);
}

static void add(docx_out *o, hone_block block)
{
    block.lang = hone_s("");
    if (o->st == HONE_OK)
        o->st = o->sink->add(o->sink, &block, o->err);
}

void docx_flush(docx_out *o)
{
    if (!o->open.kind)
        return;
    o->open.text = hone_text_str(&o->joined);
    check(o, &o->joined);
    add(o, o->open);
    o->open = (hone_block){ 0 };
    hone_text_clear(&o->joined);
}

static bool may_join(uint32_t kind)
{
    return kind == HONE_BLOCK_CODE || kind == HONE_BLOCK_TABLE;
}

static void add_to_cell(docx_out *o, hone_str text)
{
    if (o->grid.n > o->cell_start && text.n)
        hone_text_putc(&o->grid, ' ');
    for (uint64_t i = 0; i < text.n; i++) {
        const char c = text.p[i];
        hone_text_putc(&o->grid, c == '\t' || c == '\n' ? ' ' : c);
    }
}

void docx_put(docx_out *o, hone_block block, bool join)
{
    if (!block.text.n || o->st != HONE_OK)
        return;
    if (o->box_depth) {
        store(o, &o->boxes, block);
    } else if (o->table_depth) {
        add_to_cell(o, block.text);
        store(o, &o->cells, block);
    } else if (join && o->open.kind == block.kind) {
        hone_text_putc(&o->joined, '\n');
        hone_text_add(&o->joined, block.text.p, block.text.n);
        o->open.src_len = block.src_off + block.src_len - o->open.src_off;
    } else {
        docx_flush(o);
        if (join && may_join(block.kind)) {
            hone_text_add(&o->joined, block.text.p, block.text.n);
            o->open = block;
        } else {
            add(o, block);
        }
    }
}

/* All that waits in a store, in order; the store is empty after. */
static void put_all(docx_out *o, docx_store *from)
{
    docx_store s = *from;
    const hone_text empty = { .host = o->host, .tag = "docx" };
    from->list = from->text = empty;
    for (uint64_t i = 0; i < s.list.n / sizeof(hone_block); i++) {
        hone_block b = ((const hone_block *)(const void *)s.list.p)[i];
        b.text.p = s.text.p + b.lang.n;
        docx_put(o, b, may_join(b.kind));
    }
    hone_text_finish(&s.list);
    hone_text_finish(&s.text);
}

void docx_put_boxes(docx_out *o)
{
    if (o->boxes.list.n && !o->box_depth)
        put_all(o, &o->boxes);
}

void docx_table_start(docx_out *o, uint64_t paragraph)
{
    if (o->box_depth || o->table_depth++)
        return;
    docx_flush(o);
    hone_text_clear(&o->grid);
    o->most_columns = 0;
    o->table_from = paragraph;
    o->cell_start = o->row_start = 0;
}

void docx_table_end(docx_out *o, uint64_t paragraph)
{
    if (o->box_depth || !o->table_depth || --o->table_depth)
        return;
    check(o, &o->grid);
    if (o->most_columns < 2) {
        put_all(o, &o->cells);
        docx_flush(o);
        return;
    }
    hone_text_clear(&o->cells.list);
    hone_text_clear(&o->cells.text);
    hone_block table = { .kind = HONE_BLOCK_TABLE, .src_off = o->table_from };
    table.src_len = paragraph - o->table_from;
    table.text = hone_text_str(&o->grid);
    docx_put(o, table, false);
}

/* Rows and cells of the outermost table; those of tables in it are words of a cell. */
static bool outermost(const docx_out *o)
{
    return o->table_depth == 1 && !o->box_depth;
}

void docx_row_start(docx_out *o)
{
    if (!outermost(o))
        return;
    o->row_start = o->grid.n;
    if (o->grid.n)
        hone_text_putc(&o->grid, '\n');
    o->cell_start = o->grid.n;
    o->column = 0;
}

void docx_row_end(docx_out *o)
{
    if (!outermost(o))
        return;
    const uint64_t from = o->row_start + (o->row_start > 0);
    while (o->grid.n > from && o->grid.p[o->grid.n - 1] == '\t')
        o->grid.n--;
    if (o->grid.n <= from)
        o->grid.n = o->row_start; /* a row without a word */
    else if (o->column > o->most_columns)
        o->most_columns = o->column;
}

void docx_cell_start(docx_out *o)
{
    if (!outermost(o))
        return;
    if (o->column)
        hone_text_putc(&o->grid, '\t');
    o->cell_start = o->grid.n;
    o->span = 1;
}

void docx_cells_before(docx_out *o, int64_t n)
{
    if (!outermost(o) || n < 1 || n > MAX_SPAN)
        return;
    for (int64_t i = 1; i < n; i++)
        hone_text_putc(&o->grid, '\t');
    o->column = (uint32_t)n;
}

void docx_cell_end(docx_out *o)
{
    if (!outermost(o))
        return;
    for (uint32_t i = 1; i < o->span && i < MAX_SPAN; i++)
        hone_text_putc(&o->grid, '\t');
    o->column += o->span;
}
