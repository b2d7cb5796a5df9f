/*
 * docx_body.c - the text of a docx: events of its XML as paragraphs, tables and notes.
 *
 * Tracked changes are taken as accepted: what was inserted or moved here stays, what was deleted or
 * moved away does not, and a paragraph whose mark was deleted runs on into the next. Of the
 * alternatives for one thing only the first is read. What a field was computed from is left out,
 * what it shows stays.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "docx_body.h"

/* ------------------------------------------------------------------ paragraphs */

static void begin_paragraph(body *b)
{
    paragraph *p = current(b);
    p->look = (docx_look){ .outline = -1, .num = -1, .level = -1 };
    if (!p->marks_deleted) {
        hone_text_clear(&p->text);
        p->from = b->n_paragraphs;
    }
    p->marks_deleted = false;
    b->n_paragraphs++;
}

/* Blanks at the ends carry no meaning; in code, those in front do. */
static hone_str trimmed(hone_str s, bool code)
{
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\n'))
        s.n--;
    while (s.n && (s.p[0] == '\n' || (!code && (s.p[0] == ' ' || s.p[0] == '\t'))))
        s.p++, s.n--;
    return s;
}

static void flatten(hone_text *t)
{
    for (uint64_t i = 0; i < t->n; i++)
        if (t->p[i] == '\n' || t->p[i] == '\t')
            t->p[i] = ' ';
}

static void put_footnotes(body *b, uint64_t from, uint64_t n)
{
    hone_str rest = hone_text_str(&b->later);
    while (rest.n) { /* one a line */
        const char *nl = memchr(rest.p, '\n', rest.n);
        const uint64_t len = nl ? (uint64_t)(nl - rest.p) : rest.n;
        const hone_block note = {
            .kind = HONE_BLOCK_TEXT, .text = { rest.p, len }, .src_off = from, .src_len = n
        };
        docx_put(b->o, note, false);
        rest.p += len + (nl != NULL);
        rest.n -= len + (nl != NULL);
    }
    hone_text_clear(&b->later);
}

static void end_paragraph(body *b)
{
    paragraph *p = current(b);
    if (p->marks_deleted)
        return;
    hone_block block = { .kind = HONE_BLOCK_TEXT, .src_off = p->from };
    bool join = false;
    docx_look_up(b->styles, &p->look);
    block.src_len = b->n_paragraphs - p->from;
    if ((p->look.outline >= 0 && p->look.outline < 9) || p->look.role == ROLE_TITLE) {
        block.kind = HONE_BLOCK_HEADING;
        block.level = p->look.outline < 0 || p->look.outline > 8 ? 1
                      : p->look.outline < 6                      ? (uint32_t)p->look.outline + 1
                                                                 : 6;
        flatten(&p->text);
    } else if (p->look.role == ROLE_CODE || p->look.role == ROLE_CONTENTS) {
        block.kind = p->look.role == ROLE_CODE ? HONE_BLOCK_CODE : HONE_BLOCK_TABLE;
        join = true;
    } else if (p->look.num > 0 && trimmed(hone_text_str(&p->text), false).n) {
        const int64_t number = docx_next_number(b->styles, p->look.num, p->look.level);
        if (number >= 0) {
            block.kind = HONE_BLOCK_LIST;
            block.level = (uint32_t)p->look.level + 1;
            block.ordinal = (uint64_t)number;
        }
    } else if (p->look.role == ROLE_QUOTE) {
        block.kind = HONE_BLOCK_QUOTE;
    }
    block.text = trimmed(hone_text_str(&p->text), block.kind == HONE_BLOCK_CODE);
    if (b->o->st == HONE_OK)
        b->o->st = hone_text_status(&p->text, b->o->err);
    if (join && !block.text.n && b->o->open.kind == HONE_BLOCK_CODE &&
        block.kind == HONE_BLOCK_CODE && !b->o->table_depth && !b->o->box_depth)
        hone_text_putc(&b->o->joined, '\n'); /* an empty line of code */
    docx_put(b->o, block, join);
    hone_text_clear(&p->text);
    if (!b->depth) {
        docx_put_boxes(b->o);
        put_footnotes(b, block.src_off, block.src_len);
    }
}

/* ---------------------------------------------------------------------- notes */

static void put_endnotes(body *b)
{
    const uint64_t *pairs = (const uint64_t *)(const void *)b->last.p;
    for (uint64_t i = 0; i < b->last.n / sizeof *pairs; i += 2) {
        const docx_note *list = (const docx_note *)(const void *)b->notes[1]->list.p;
        const docx_note *note = &list[pairs[i]];
        char mark[40];
        docx_note_mark(1, (uint32_t)pairs[i + 1], mark);
        hone_text_clear(&b->later);
        hone_text_puts(&b->later, mark);
        hone_text_putc(&b->later, ' ');
        hone_text_add(&b->later, b->notes[1]->text.p + note->at, note->n);
        put_footnotes(b, b->n_paragraphs ? b->n_paragraphs - 1 : 0, 1);
    }
}

/* --------------------------------------------------------------------- events */

static void in_properties(body *b, const docx_xml *x, docx_name name)
{
    docx_look *look = &current(b)->look;
    const hone_str value = docx_attribute(x, "val");
    const int64_t number = docx_number(x, "val", -1);
    switch (name) {
    case DOCX_pStyle:
        look->style = value.p ? docx_hash(value) : 0;
        break;
    case DOCX_outlineLvl:
        look->outline = number >= 0 && number <= 9 ? (int32_t)number : -1;
        break;
    case DOCX_numId:
        look->num = number;
        break;
    case DOCX_ilvl:
        look->level = number >= 0 && number <= 8 ? (int32_t)number : -1;
        break;
    default:
        break;
    }
}

static bool count_one(uint64_t *n)
{
    ++*n;
    return false;
}

/* One of several ways to say the same thing: the first choice, or what is there instead. */
static bool alternative(body *b, docx_name name)
{
    uint8_t *taken = &b->taken[b->n_alternatives < 64 ? b->n_alternatives : 63];
    if (name == DOCX_AlternateContent) {
        b->n_alternatives++;
        b->taken[b->n_alternatives < 64 ? b->n_alternatives : 63] = 0;
        return true;
    }
    if (name != DOCX_Choice && name != DOCX_Fallback)
        return true;
    if (*taken)
        return false;
    *taken = 1;
    return true;
}

/* Parts that are passed over whole, some counted. */
static bool passed_over(body *b, docx_space space, docx_name name)
{
    if (space == DOCX_ELSEWHERE) {
        if (name == DOCX_pic)
            b->counts->images++;
        if (name == DOCX_chart)
            b->counts->charts++;
        return false;
    }
    switch (name) {
    case DOCX_del:
    case DOCX_moveFrom:
        return !current(b)->in_properties;
    case DOCX_pPrChange:
    case DOCX_rPrChange:
    case DOCX_tblPrChange:
    case DOCX_tcPrChange:
    case DOCX_trPrChange:
    case DOCX_sectPrChange:
    case DOCX_sectPr:
    case DOCX_sdtPr:
        return true;
    case DOCX_altChunk:
        return !count_one(&b->counts->chunks);
    case DOCX_commentReference:
        return !count_one(&b->counts->comments);
    default:
        return false;
    }
}

static bool body_start(docx_xml *x, docx_space space, docx_name name)
{
    body *b = x->ctx;
    if (space == DOCX_MC)
        return alternative(b, name);
    if (passed_over(b, space, name))
        return false;
    if (space == DOCX_ELSEWHERE)
        return true;
    if (name == DOCX_t)
        b->in_text = true;
    if (space == DOCX_M)
        return true;
    switch (name) {
    case DOCX_p:
        begin_paragraph(b);
        break;
    case DOCX_pPr:
        current(b)->in_properties = true;
        break;
    case DOCX_rPr:
        b->in_run_properties = true;
        break;
    case DOCX_r:
        b->hidden = false;
        break;
    case DOCX_vanish:
        b->hidden = (b->hidden || docx_is_on(x)) && !current(b)->in_properties;
        break;
    case DOCX_del: /* in the properties of a paragraph's mark; passed_over() has the others */
        if (current(b)->in_properties && b->in_run_properties)
            current(b)->marks_deleted = true;
        break;
    case DOCX_object:
        b->counts->objects++;
        break;
    case DOCX_rt:
        b->in_ruby = true; /* reading aids beside the text */
        break;
    case DOCX_txbxContent:
        if (b->depth + 1 == MAX_BOXES) {
            x->st = hone_fail(x->err, HONE_ERR_LIMIT, "more than %d text boxes in each other",
                              MAX_BOXES);
            return false;
        }
        b->depth++;
        current(b)->marks_deleted = current(b)->in_properties = false;
        b->o->box_depth += b->o->table_depth == 0;
        break;
    case DOCX_tbl:
        docx_table_start(b->o, b->n_paragraphs);
        break;
    case DOCX_tr:
        docx_row_start(b->o);
        break;
    case DOCX_tc:
        docx_cell_start(b->o);
        break;
    case DOCX_gridBefore:
        docx_cells_before(b->o, docx_number(x, "val", 0));
        break;
    case DOCX_gridSpan: {
        const int64_t span = docx_number(x, "val", 1);
        b->o->span = span > 1 && span < 64 ? (uint32_t)span : 1;
        break;
    }
    default:
        if (current(b)->in_properties && !b->in_run_properties)
            in_properties(b, x, name);
        else if (!b->in_run_properties)
            docx_in_run(b, x, name);
    }
    x->st = b->o->st;
    return true;
}

static void body_end(docx_xml *x, docx_space space, docx_name name)
{
    body *b = x->ctx;
    if (space == DOCX_MC && name == DOCX_AlternateContent && b->n_alternatives) {
        b->n_alternatives--;
        return;
    }
    if (name == DOCX_t && space != DOCX_ELSEWHERE)
        b->in_text = false;
    if (space != DOCX_W)
        return;
    switch (name) {
    case DOCX_p:
        end_paragraph(b);
        if (b->o->host->cancelled(b->o->host))
            b->o->st = hone_fail(b->o->err, HONE_ERR_CANCELLED, "docx: interrupted");
        break;
    case DOCX_pPr:
        current(b)->in_properties = false;
        break;
    case DOCX_rPr:
        b->in_run_properties = false;
        break;
    case DOCX_r:
        b->hidden = false;
        break;
    case DOCX_rt:
        b->in_ruby = false;
        break;
    case DOCX_txbxContent:
        b->o->box_depth -= b->o->box_depth > 0;
        b->depth -= b->depth > 0;
        break;
    case DOCX_tbl:
        docx_table_end(b->o, b->n_paragraphs);
        break;
    case DOCX_tr:
        docx_row_end(b->o);
        break;
    case DOCX_tc:
        docx_cell_end(b->o);
        break;
    default:
        break;
    }
    x->st = b->o->st;
}

static void body_text(docx_xml *x, const char *p, uint64_t n)
{
    body *b = x->ctx;
    if (!b->in_text || docx_in_field_code(b))
        return;
    if (b->hidden)
        b->counts->hidden += n;
    else if (b->in_ruby)
        b->counts->ruby += n;
    else
        docx_add_text(&current(b)->text, p, n);
}

hone_status docx_body_read(docx_out *o, docx_styles *styles, const docx_notes *footnotes,
                           const docx_notes *endnotes, docx_counts *counts, hone_str bytes,
                           const char *part, hone_error *err)
{
    const hone_text empty = { .host = o->host, .tag = "docx" };
    body b = { .o = o,
               .styles = styles,
               .notes = { footnotes, endnotes },
               .counts = counts,
               .later = empty,
               .last = empty };
    docx_xml x = { .host = o->host,
                   .part = part,
                   .ctx = &b,
                   .start = body_start,
                   .end = body_end,
                   .text = body_text };
    for (uint32_t i = 0; i < MAX_BOXES; i++)
        b.at[i].text = empty;
    hone_status st = docx_xml_parse(&x, bytes, err);
    if (st == HONE_OK && current(&b)->marks_deleted) { /* nothing follows that it could run into */
        current(&b)->marks_deleted = false;
        end_paragraph(&b);
    }
    if (st == HONE_OK) {
        put_endnotes(&b);
        docx_flush(o);
        st = o->st;
    }
    if (st == HONE_OK)
        st = hone_text_status(&b.later, err);
    if (st == HONE_OK)
        st = hone_text_status(&b.last, err);
    for (uint32_t i = 0; i < MAX_BOXES; i++)
        hone_text_finish(&b.at[i].text);
    hone_text_finish(&b.later);
    hone_text_finish(&b.last);
    return st;
}
