/*
 * pdf_blocks.c - rows in reading order as blocks: headings, paragraphs, items, code, tables.
 *
 * A line goes on with the paragraph above unless something speaks against it: a larger gap, an
 * indent, another size, a mark of a list, or room that was left on the line above for its first
 * word. At the end of a column or page the rules are the same but for the gap. Notes at the foot
 * of a column wait until the paragraph they interrupt is complete.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pdf.h"

#include <math.h>

#define MAX_LEVELS 8 /* of lists */
#define NOTE_SIZE 0.92f

typedef struct builder {
    pdf_doc *d;
    const hone_block_sink *sink;
    hone_error *err;
    hone_status st;
    hone_text buf;
    hone_block block;        /* the one that is open; kind 0: none */
    uint32_t from, to;       /* its pages */
    uint32_t last;           /* its last row */
    uint32_t n_rows;         /* its rows */
    float text_x;            /* of an item, where its text begins */
    float marks[MAX_LEVELS]; /* x of the open lists' marks, from their columns' edges */
    uint32_t n_marks;
    uint64_t ordinal;  /* of the last item */
    hone_text known;   /* hashes of the document's words; see join() */
    hone_text waiting; /* of uint32_t: rows of notes */
} builder;

/* ---------------------------------------------------------------------- words */

/* The bytes of a hyphen that the text ends with; 0: none. */
static uint64_t hyphen_at_end(const hone_text *t)
{
    if (t->n >= 1 && t->p[t->n - 1] == '-')
        return 1;
    if (t->n >= 2 && memcmp(t->p + t->n - 2, "\xc2\xad", 2) == 0)
        return 2;
    if (t->n >= 3 && memcmp(t->p + t->n - 3, "\xe2\x80\x90", 3) == 0)
        return 3;
    return 0;
}

static bool is_lower(hone_str s)
{
    uint32_t cp;
    if (!s.n)
        return false;
    (void)hone_utf8_next(s.p, s.n, &cp);
    return (cp >= 'a' && cp <= 'z') || (cp >= 0xdf && cp < 0x100) ||
           (cp >= 0x100 && cp < 0x250 && (cp & 1)) || (cp >= 0x430 && cp < 0x460) ||
           (cp >= 0x3b1 && cp < 0x3ca);
}

/* What stands between the text so far and `next`: a blank, nothing, and perhaps one hyphen less. A
 * word that was hyphenated at the line's end is joined; the hyphen of a compound that the
 * document writes with one elsewhere, and never without, stays. */
static void join(builder *b, hone_str next)
{
    hone_text *t = &b->buf;
    const uint64_t hyphen = hyphen_at_end(t);
    uint64_t from = t->n;
    if (!t->n || t->p[t->n - 1] == '\n')
        return;
    while (from && t->p[from - 1] != ' ' && t->p[from - 1] != '\n')
        from--;
    const hone_str token = { t->p + from, t->n - from };
    const char last = t->p[t->n - 1];
    if (hyphen && token.n > hyphen && pdf_is_letter(token.p[token.n - hyphen - 1])) {
        const hone_str head = { token.p, token.n - hyphen };
        if (is_lower(next) && (hyphen != 1 || !pdf_words_have(&b->known, head, "-", next) ||
                               pdf_words_have(&b->known, head, "", next)))
            t->n -= hyphen;
        return;
    }
    if (hyphen == 2)
        t->n -= hyphen;
    else if (hyphen && token.n > hyphen && token.p[token.n - 2] >= '0' &&
             token.p[token.n - 2] <= '9')
        return; /* 1990-|1995 */
    for (uint64_t i = 0; i + 3 <= token.n && last != ' '; i++)
        if (memcmp(token.p + i, "://", 3) == 0 && strchr("/-_=&?.#", last))
            return;
    hone_text_putc(t, ' ');
}

static void add_word(builder *b, hone_str s)
{
    for (uint64_t i = 0, k; i < s.n; i += k) {
        const void *soft = s.n - i > 2 ? memchr(s.p + i, '\xc2', s.n - i - 2) : NULL;
        k = soft ? (uint64_t)((const char *)soft - s.p) - i : s.n - i;
        if (soft && ((const char *)soft)[1] == '\xad') { /* inside a word: may break, did not */
            hone_text_add(&b->buf, s.p + i, k);
            k += 2;
        } else {
            k += soft != NULL;
            hone_text_add(&b->buf, s.p + i, k);
        }
    }
}

/* The words of a row but the first `skip`, and none beyond `end`. */
static void add_words(builder *b, const pdf_row *r, uint32_t skip, uint32_t end)
{
    bool first = true;
    end -= skip;
    for (uint32_t k = 0; k < r->n; k++) {
        const pdf_chunk *c = pdf_cell(b->d, r, k);
        for (uint32_t i = c->word; i < c->word + c->n_words; i++) {
            const hone_str s = pdf_word_text(b->d, pdf_word_at(b->d, i));
            if (skip) {
                skip--;
                continue;
            }
            if (!end--)
                return;
            if (first)
                join(b, s);
            else
                hone_text_putc(&b->buf, ' ');
            first = false;
            add_word(b, s);
        }
    }
}

static void add_row(builder *b, const pdf_row *r, uint32_t skip)
{
    add_words(b, r, skip + r->run_in, UINT32_MAX);
}

/* ----------------------------------------------------------------------- lists */

/* The depth of an item whose mark stands at x. */
static uint32_t depth_of(builder *b, float x)
{
    while (b->n_marks && b->marks[b->n_marks - 1] > x + 4)
        b->n_marks--;
    if ((!b->n_marks || b->marks[b->n_marks - 1] < x - 4) && b->n_marks < MAX_LEVELS)
        b->marks[b->n_marks++] = x;
    return b->n_marks;
}

/* ---------------------------------------------------------------------- blocks */

static void note_rows(builder *b);

static void emit(builder *b, hone_block *block, uint32_t from, uint32_t to)
{
    while (b->buf.n && (b->buf.p[b->buf.n - 1] == ' ' || b->buf.p[b->buf.n - 1] == '\n'))
        b->buf.n--;
    if (hyphen_at_end(&b->buf) == 2)
        b->buf.n -= 2;
    block->text = hone_text_str(&b->buf);
    block->lang = hone_s("");
    block->src_off = from;
    block->src_len = to - from + 1;
    if (b->st == HONE_OK)
        b->st = hone_text_status(&b->buf, b->err);
    if (b->st == HONE_OK && block->text.n)
        b->st = b->sink->add(b->sink, block, b->err);
    hone_text_clear(&b->buf);
}

/* The open block is complete. */
static void close_block(builder *b)
{
    if (b->block.kind)
        emit(b, &b->block, b->from, b->to);
    b->block = (hone_block){ 0 };
    b->n_rows = 0;
    if (b->waiting.n)
        note_rows(b);
}

static void open_block(builder *b, uint32_t kind, uint32_t i)
{
    close_block(b);
    b->block.kind = kind;
    b->from = b->to = pdf_row_at(b->d, i)->page;
    b->last = i;
    b->n_rows = 1;
}

static bool ends_sentence(const hone_text *t)
{
    uint64_t n = t->n;
    while (n && strchr(")\"'", t->p[n - 1]))
        n--;
    return n && strchr(".!?:;", t->p[n - 1]);
}

/* Room that was left at the end of a row: was the next word too long for it? */
static bool was_full(const pdf_doc *d, const pdf_row *last, const pdf_row *next)
{
    const pdf_word *w = pdf_word_of(d, next, 0);
    const float em = pdf_style_at(d, last->style)->size;
    return last->right - last->box.x1 < w->box.x1 - w->box.x0 + 1.2f * em;
}

/* Does row i go on with the open paragraph or item? *line: but on a line of its own. */
static bool continues(const builder *b, uint32_t i, bool *line)
{
    const pdf_doc *d = b->d;
    const pdf_row *r = pdf_row_at(d, i), *last = pdf_row_at(d, b->last);
    const float size = pdf_style_at(d, r->style)->size, was = pdf_style_at(d, last->style)->size;
    const float em = pdf_max(size, was);
    const bool full = was_full(d, last, r), item = b->block.kind == HONE_BLOCK_LIST;
    const hone_str first = pdf_word_text(d, pdf_word_of(d, r, 0));
    *line = false;
    if (fabsf(size - was) > 0.13f * em && r->chars > 3 && last->chars > 3)
        return false;
    if (r->column != last->column) {
        const float indent = r->box.x0 - r->left;
        const float expected = item ? b->text_x - last->left : 0;
        if (hyphen_at_end(&b->buf) && is_lower(first))
            return true;
        if (fabsf(indent - expected) > em || (!full && !is_lower(first)))
            return false;
        return !ends_sentence(&b->buf) || is_lower(first);
    }
    const float step = r->box.y1 - last->box.y1;
    if (step > 1.35f * d->leading * em || step < -em)
        return false;
    if (item) {
        if (r->box.x0 < b->text_x - 1.2f * em &&
            !(full && b->n_rows > 1 && fabsf(r->box.x0 - last->box.x0) < em))
            return r->box.x0 > last->box.x0 - 0.3f * em && full && b->n_rows == 1;
        if (r->box.x0 > b->text_x + 1.5f * em)
            return full;
    } else if (b->n_rows > 1 ? r->box.x0 > last->box.x0 + 0.7f * em
                             : r->box.x0 > last->box.x0 + 0.7f * em && !full) {
        return r->box.x0 - last->box.x0 > 0.25f * (last->right - last->left) && full;
    }
    if (full)
        return true;
    if (ends_sentence(&b->buf) || item)
        return item && !ends_sentence(&b->buf);
    *line = last->right - last->box.x1 > 0.3f * (last->right - last->left);
    return true;
}

static void paragraph(builder *b, uint32_t i)
{
    const pdf_doc *d = b->d;
    const pdf_row *r = pdf_row_at(d, i);
    uint64_t ordinal;
    bool keep, line = false;
    const uint32_t mark = r->run_in ? 0 : pdf_list_mark(d, r, &ordinal, &keep);
    /* "in section|5. The": a number that only happens to begin a line */
    const bool by_chance = mark && ordinal && b->block.kind && ordinal != b->ordinal + 1 &&
                           ordinal != 1 && continues(b, i, &line);
    if (mark && !by_chance) {
        open_block(b, HONE_BLOCK_LIST, i);
        b->block.level = depth_of(b, r->box.x0 - r->left);
        b->block.ordinal = ordinal;
        b->ordinal = ordinal;
        b->text_x = pdf_word_of(d, r, mark)->box.x0;
        add_row(b, r, keep ? 0 : mark);
        return;
    }
    if (b->block.kind && continues(b, i, &line)) {
        if (line)
            hone_text_putc(&b->buf, '\n');
        add_row(b, r, 0);
        b->to = r->page > b->to ? r->page : b->to;
        b->last = i;
        b->n_rows++;
        return;
    }
    open_block(b, HONE_BLOCK_TEXT, i);
    if (b->n_marks && r->box.x0 - r->left <= b->marks[0] + 4) {
        b->n_marks = 0;
        b->ordinal = 0;
    }
    add_row(b, r, 0);
}

/* ------------------------------------------------------------------------- code */

static bool is_mono(const pdf_doc *d, const pdf_row *r)
{
    uint32_t mono = 0;
    for (uint32_t k = 0; k < r->n; k++) {
        const pdf_chunk *c = pdf_cell(d, r, k);
        for (uint32_t i = c->word; i < c->word + c->n_words; i++)
            mono += pdf_style_at(d, pdf_word_at(d, i)->style)->mono ? pdf_word_at(d, i)->chars : 0;
    }
    return mono * 10 >= r->chars * 9;
}

/* Blanks for a width, in characters of the row's font. */
static void add_blanks(builder *b, float width, float advance)
{
    const float n = advance > 0 ? roundf(width / advance) : 1;
    for (int i = 0; i < (int)n && i < 120; i++)
        hone_text_putc(&b->buf, ' ');
}

static float advance_of(const pdf_doc *d, const pdf_row *r)
{
    const pdf_word *w = pdf_word_of(d, r, 0);
    const float mono = 0.6f * pdf_style_at(d, r->style)->size;
    const float seen = (w->box.x1 - w->box.x0) / (float)(w->chars ? w->chars : 1);
    return w->chars >= 3 && seen > 0.4f * mono && seen < 1.6f * mono ? seen : mono;
}

static void code_row(builder *b, const pdf_row *r, float left)
{
    const float advance = advance_of(b->d, r);
    float x = left;
    for (uint32_t k = 0; k < r->n; k++) {
        const pdf_chunk *c = pdf_cell(b->d, r, k);
        for (uint32_t i = c->word; i < c->word + c->n_words; i++) {
            const pdf_word *w = pdf_word_at(b->d, i);
            if (x > left && w->box.x0 - x < advance)
                hone_text_putc(&b->buf, ' ');
            else
                add_blanks(b, w->box.x0 - x, advance);
            add_word(b, pdf_word_text(b->d, w));
            x = w->box.x1;
        }
    }
}

/* Rows of code from i on; how many. */
static uint32_t code(builder *b, uint32_t i)
{
    const pdf_doc *d = b->d;
    const uint32_t n_rows = PDF_N(pdf_row, d->rows);
    hone_block block = { .kind = HONE_BLOCK_CODE };
    float indent = INFINITY; /* the least, from the column's edge */
    uint32_t n = 1;
    close_block(b);
    for (; i + n < n_rows; n++) {
        const pdf_row *r = pdf_row_at(d, i + n), *last = r - 1;
        if (!is_mono(d, r) || r->level ||
            (r->column == last->column &&
             r->box.y1 - last->box.y1 > 3 * d->leading * pdf_style_at(d, r->style)->size) ||
            (r->column != last->column && r->page > last->page + 1))
            break;
    }
    for (uint32_t k = i; k < i + n; k++)
        indent = pdf_min(indent, pdf_row_at(d, k)->box.x0 - pdf_row_at(d, k)->left);
    for (uint32_t k = i; k < i + n; k++) {
        const pdf_row *r = pdf_row_at(d, k);
        if (k > i) {
            const float step = r->column == r[-1].column ? r->box.y1 - r[-1].box.y1 : 0;
            hone_text_putc(&b->buf, '\n');
            if (step > 1.6f * d->leading * pdf_style_at(d, r->style)->size)
                hone_text_putc(&b->buf, '\n');
        }
        code_row(b, r, r->left + indent);
    }
    emit(b, &block, pdf_row_at(d, i)->page, pdf_row_at(d, i + n - 1)->page);
    return n;
}

/* ------------------------------------------------------------------------ notes */

/* Rows from i to the end of the column, when they are notes at its foot; 0: they are none. */
static uint32_t notes_at(const pdf_doc *d, uint32_t i)
{
    const pdf_row *r = pdf_row_at(d, i);
    uint32_t n = 0;
    if (!i || r[-1].column != r->column || r->level ||
        pdf_style_at(d, r->style)->size > NOTE_SIZE * d->size ||
        pdf_style_at(d, r[-1].style)->size <= NOTE_SIZE * d->size ||
        r->box.y0 < 0.5f * pdf_page_at(d, r->page)->height)
        return 0;
    for (; i + n < PDF_N(pdf_row, d->rows) && pdf_row_at(d, i + n)->column == r->column; n++)
        if (pdf_style_at(d, pdf_row_at(d, i + n)->style)->size > NOTE_SIZE * d->size ||
            is_mono(d, pdf_row_at(d, i + n)))
            return 0;
    return n;
}

static uint32_t one(builder *b, uint32_t i, uint32_t end);

static void note_rows(builder *b)
{
    hone_text rows = b->waiting;
    b->waiting = (hone_text){ .host = b->d->host, .tag = "pdf" };
    const uint32_t *at = PDF_AT(uint32_t, rows, 0), n = PDF_N(uint32_t, rows);
    for (uint32_t k = 0; k + 1 < n && b->st == HONE_OK; k += 2)
        for (uint32_t i = at[k]; i < at[k] + at[k + 1] && b->st == HONE_OK;)
            i += one(b, i, at[k] + at[k + 1]);
    close_block(b);
    hone_text_finish(&rows);
}

/* ----------------------------------------------------------------------- the rows */

static uint32_t heading(builder *b, uint32_t i, uint32_t end)
{
    const pdf_row *r = pdf_row_at(b->d, i);
    hone_block block = { .kind = HONE_BLOCK_HEADING, .level = r->level };
    uint32_t n = 0;
    close_block(b);
    b->n_marks = 0;
    b->ordinal = 0;
    do
        add_row(b, pdf_row_at(b->d, i + n), 0);
    while (i + ++n < end && pdf_row_at(b->d, i + n)->level && pdf_row_at(b->d, i + n)->joins);
    emit(b, &block, r->page, pdf_row_at(b->d, i + n - 1)->page);
    return n;
}

/* What begins at row i; how many rows of it. */
static uint32_t one(builder *b, uint32_t i, uint32_t end)
{
    const pdf_row *r = pdf_row_at(b->d, i);
    hone_block table = { .kind = HONE_BLOCK_TABLE };
    bool line;
    uint32_t n;
    if (r->level)
        return heading(b, i, end);
    if (r->run_in) {
        hone_block block = { .kind = HONE_BLOCK_HEADING, .level = r->run_level };
        close_block(b);
        add_words(b, r, 0, r->run_in);
        emit(b, &block, r->page, r->page);
        paragraph(b, i);
        return 1;
    }
    if (is_mono(b->d, r) && !(b->block.kind && continues(b, i, &line) && !line))
        return code(b, i);
    n = pdf_table_rows(b->d, i);
    if (n && i + n <= end) {
        close_block(b);
        pdf_table_text(b->d, i, n, &b->buf);
        emit(b, &table, r->page, r->page);
        return n;
    }
    paragraph(b, i);
    return 1;
}

hone_status pdf_blocks(pdf_doc *d, const hone_block_sink *sink, hone_error *err)
{
    const hone_text empty = { .host = d->host, .tag = "pdf" };
    const uint32_t n_rows = PDF_N(pdf_row, d->rows);
    builder b = {
        .d = d, .sink = sink, .err = err, .buf = empty, .known = empty, .waiting = empty
    };
    if (!pdf_words_learn(&b.known, d))
        b.st = hone_text_status(&b.known, err);
    for (uint32_t i = 0; i < n_rows && b.st == HONE_OK;) {
        const uint32_t notes = b.block.kind ? notes_at(d, i) : 0;
        if (notes) {
            const uint32_t range[2] = { i, notes };
            hone_text_add(&b.waiting, (const char *)range, sizeof range);
            i += notes;
        } else {
            i += one(&b, i, n_rows);
        }
        if (d->host->cancelled(d->host))
            b.st = hone_fail(err, HONE_ERR_CANCELLED, "pdf: interrupted");
    }
    if (b.st == HONE_OK)
        close_block(&b);
    if (b.st == HONE_OK)
        b.st = hone_text_status(&b.waiting, err);
    hone_text_finish(&b.buf);
    hone_text_finish(&b.known);
    hone_text_finish(&b.waiting);
    return b.st;
}
