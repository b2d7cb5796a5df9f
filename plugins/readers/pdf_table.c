/*
 * pdf_table.c - rows that are a table: cells that stand below each other.
 *
 * A line has cells where its chunks are apart. A run of lines is a table when cells beyond the first
 * stand below cells of the lines above, by their left or right edges or their middles. A line
 * without a first cell, right below another, goes on with its cells. A table of contents is one
 * by its leaders and page numbers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pdf.h"

#include <math.h>

#define MAX_COLUMNS 48
#define MAX_ROWS 4000

typedef struct columns {
    float x0[MAX_COLUMNS], x1[MAX_COLUMNS];
    uint32_t n;
} columns;

typedef struct cell {
    pdf_box box;
    uint32_t first, n; /* chunks of the row */
} cell;

/* Chunks with a gap of less than a word between them are one cell. */
static uint32_t cells_of(const pdf_doc *d, const pdf_row *r, cell *out)
{
    uint32_t n = 0;
    const float em = pdf_style_at(d, r->style)->size;
    for (uint32_t k = 0; k < r->n; k++) {
        const pdf_box *box = &pdf_cell(d, r, k)->box;
        if (n && (box->x0 - out[n - 1].box.x1 < 0.75f * em || n == MAX_COLUMNS)) {
            pdf_box_join(&out[n - 1].box, box);
            out[n - 1].n++;
        } else {
            out[n++] = (cell){ *box, k, 1 };
        }
    }
    return n;
}

/* Dots that lead from a title to its page. */
static bool is_leader(hone_str s)
{
    if (s.n < 1)
        return false;
    for (uint64_t i = 0; i < s.n; i++)
        if (s.p[i] != '.' && (s.n < 3 || (memcmp(s.p + i / 3 * 3, "\xe2\x80\xa6", 3) != 0)))
            return false;
    return true;
}

static bool is_contents(const pdf_doc *d, const pdf_row *r)
{
    uint32_t dots = 0;
    const pdf_chunk *end = pdf_cell(d, r, r->n - 1);
    const hone_str last = pdf_word_text(d, pdf_word_at(d, end->word + end->n_words - 1));
    for (uint32_t k = 0; k < r->n; k++) {
        const pdf_chunk *c = pdf_cell(d, r, k);
        for (uint32_t i = c->word; i < c->word + c->n_words; i++) {
            const hone_str s = pdf_word_text(d, pdf_word_at(d, i));
            uint64_t tail = 0;
            while (tail < s.n && s.p[s.n - 1 - tail] == '.')
                tail++;
            dots += is_leader(s) || tail >= 3 ? (uint32_t)s.n : 0;
        }
    }
    return dots >= 4 && (strchr("0123456789ivxlc", last.p[last.n - 1]) || is_leader(last));
}

static bool aligned(const cell *a, uint32_t n, const cell *b, uint32_t m, float near)
{
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t k = 1; k < m; k++)
            if (fabsf(a[i].box.x0 - b[k].box.x0) < near ||
                fabsf(a[i].box.x1 - b[k].box.x1) < near ||
                fabsf(a[i].box.x0 + a[i].box.x1 - b[k].box.x0 - b[k].box.x1) < near)
                return true;
    return false;
}

/* A line that goes on with a cell of the line above: to the right of the first column, close. */
static bool goes_on(const pdf_doc *d, const pdf_row *last, const pdf_row *r, float second_x)
{
    const float size = pdf_style_at(d, r->style)->size;
    return r->box.x0 > second_x - size && r->box.y1 - last->box.y1 < 1.2f * d->leading * size;
}

uint32_t pdf_table_rows(const pdf_doc *d, uint32_t row)
{
    const uint32_t n_rows = PDF_N(pdf_row, d->rows);
    const pdf_row *first = pdf_row_at(d, row);
    cell cells[MAX_COLUMNS], above[MAX_COLUMNS];
    const float near = 0.4f * d->size;
    uint32_t n_above = cells_of(d, first, above), multi = 1, contents = is_contents(d, first);
    uint32_t end = row + 1, most = n_above;
    uint64_t ordinal;
    bool keep;
    if ((n_above < 2 && !contents) || pdf_list_mark(d, first, &ordinal, &keep))
        return 0;
    float second_x = n_above > 1 ? above[1].box.x0 : 0;
    for (uint32_t i = row + 1; i < n_rows && i - row < MAX_ROWS; i++) {
        const pdf_row *r = pdf_row_at(d, i);
        const uint32_t n = cells_of(d, r, cells);
        const float step = r->box.y1 - pdf_row_at(d, i - 1)->box.y1;
        if (r->column != first->column || r->level || step > 3 * d->leading * d->size)
            break;
        if (contents) {
            const pdf_chunk *c = pdf_cell(d, r, r->n - 1);
            const hone_str s = pdf_word_text(d, pdf_word_at(d, c->word + c->n_words - 1));
            if (!is_contents(d, r) && (n < 2 || s.p[s.n - 1] < '0' || s.p[s.n - 1] > '9'))
                break;
            contents += is_contents(d, r);
            end = i + 1;
            continue;
        }
        if (n < 2) {
            if (!goes_on(d, pdf_row_at(d, i - 1), r, second_x))
                break;
            end = i + 1;
            continue;
        }
        if (pdf_list_mark(d, r, &ordinal, &keep) || !aligned(cells, n, above, n_above, near))
            break;
        multi++;
        most = n > most ? n : most;
        second_x = pdf_min(second_x, cells[1].box.x0);
        end = i + 1;
        if (n >= n_above) {
            memcpy(above, cells, n * sizeof *cells);
            n_above = n;
        }
    }
    if (contents)
        return contents >= 2 ? end - row : 0;
    return multi >= 3 || (multi == 2 && most >= 3) || (multi == 2 && end - row == 2) ? end - row
                                                                                     : 0;
}

static void find_columns(const pdf_doc *d, uint32_t row, uint32_t n, columns *out)
{
    cell cells[MAX_COLUMNS];
    uint32_t best = row, most = 0;
    for (uint32_t i = row; i < row + n; i++) {
        const uint32_t m = cells_of(d, pdf_row_at(d, i), cells);
        if (m > most) {
            most = m;
            best = i;
        }
    }
    out->n = cells_of(d, pdf_row_at(d, best), cells);
    for (uint32_t k = 0; k < out->n; k++) {
        out->x0[k] = cells[k].box.x0;
        out->x1[k] = cells[k].box.x1;
    }
    for (uint32_t i = row; i < row + n; i++) {
        const uint32_t m = cells_of(d, pdf_row_at(d, i), cells);
        for (uint32_t c = 0; c < m; c++) {
            const pdf_box *b = &cells[c].box;
            uint32_t hits = 0, at = 0, before = 0;
            for (uint32_t k = 0; k < out->n; k++) {
                if (b->x0 < out->x1[k] && b->x1 > out->x0[k]) {
                    hits++;
                    at = k;
                }
                before += out->x1[k] <= b->x0;
            }
            if (hits == 1) {
                const float left = at ? out->x1[at - 1] : -INFINITY;
                const float right = at + 1 < out->n ? out->x0[at + 1] : INFINITY;
                out->x0[at] = pdf_max(pdf_min(out->x0[at], b->x0), left);
                out->x1[at] = pdf_min(pdf_max(out->x1[at], b->x1), right);
            } else if (!hits && out->n < MAX_COLUMNS && m > 1) {
                memmove(&out->x0[before + 1], &out->x0[before],
                        (out->n - before) * sizeof *out->x0);
                memmove(&out->x1[before + 1], &out->x1[before],
                        (out->n - before) * sizeof *out->x1);
                out->x0[before] = b->x0;
                out->x1[before] = b->x1;
                out->n++;
            }
        }
    }
}

/* The first column a box reaches into. */
static uint32_t column_of(const columns *c, const pdf_box *b)
{
    uint32_t nearest = 0;
    float least = INFINITY;
    for (uint32_t k = 0; k < c->n; k++) {
        if (b->x0 < c->x1[k] && b->x1 > c->x0[k])
            return k;
        const float away = pdf_max(c->x0[k] - b->x1, b->x0 - c->x1[k]);
        if (away < least) {
            least = away;
            nearest = k;
        }
    }
    return nearest;
}

static void put_chunk(const pdf_doc *d, const pdf_chunk *c, bool *any, bool leaders, hone_text *out)
{
    for (uint32_t i = c->word; i < c->word + c->n_words; i++) {
        hone_str s = pdf_word_text(d, pdf_word_at(d, i));
        while (leaders && s.n > 3 && s.p[s.n - 1] == '.' && s.p[s.n - 2] == '.')
            s.n--;
        if (leaders && is_leader(s))
            continue;
        if (*any)
            hone_text_putc(out, ' ');
        hone_text_add(out, s.p, s.n);
        *any = true;
    }
}

/* "1.2 Title\t34": the last word of the line is the page. */
static void put_contents(const pdf_doc *d, const pdf_row *r, hone_text *out)
{
    bool any = false;
    const uint64_t from = out->n;
    for (uint32_t k = 0; k < r->n; k++)
        put_chunk(d, pdf_cell(d, r, k), &any, true, out);
    for (uint64_t i = out->n; i-- > from + 1 && !out->failed;)
        if (out->p[i] == ' ') {
            if (out->p[i + 1] >= '0' && out->p[i + 1] <= '9')
                out->p[i] = '\t';
            break;
        }
}

void pdf_table_text(const pdf_doc *d, uint32_t row, uint32_t n, hone_text *out)
{
    columns c = { .n = 0 };
    const bool contents = is_contents(d, pdf_row_at(d, row));
    if (!contents)
        find_columns(d, row, n, &c);
    for (uint32_t i = row, end; i < row + n && !out->failed; i = end) {
        if (i > row)
            hone_text_putc(out, '\n');
        end = i + 1;
        if (contents) {
            put_contents(d, pdf_row_at(d, i), out);
            continue;
        }
        while (end < row + n && c.n > 1 && column_of(&c, &pdf_row_at(d, end)->box) > 0 &&
               goes_on(d, pdf_row_at(d, end - 1), pdf_row_at(d, end), c.x0[1]))
            end++;
        uint32_t tabs = 0;
        for (uint32_t k = 0; k < c.n; k++, tabs++) {
            bool any = false;
            for (uint32_t r = i; r < end; r++)
                for (uint32_t m = 0; m < pdf_row_at(d, r)->n; m++) {
                    const pdf_chunk *chunk = pdf_cell(d, pdf_row_at(d, r), m);
                    if (column_of(&c, &chunk->box) != k)
                        continue;
                    for (; tabs; tabs--)
                        hone_text_putc(out, '\t');
                    put_chunk(d, chunk, &any, false, out);
                }
        }
    }
}
