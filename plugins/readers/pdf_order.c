/*
 * pdf_order.c - chunks of a page as rows, in the order of reading.
 *
 * A gutter is a vertical line that few chunks cross. Chunks that do (titles, wide figures) cut the
 * page into bands; in a band with columns on both sides, the left one is read before the right
 * one, and each is looked at again for gutters of its own. Columns are told from the columns of a table by
 * how they are filled: lines of prose reach from edge to edge.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pdf.h"

#include <math.h>
#include <stdlib.h>

#define STEP 2.0f /* points: how finely gutters are looked for */
#define MAX_STEPS 1024
#define MAX_DEPTH 6      /* columns in columns */
#define MAX_CHUNKS 20000 /* of a page; a drawing of more is read from top to bottom */
#define FEW 4            /* lines: less on a side is no column */

typedef struct work {
    pdf_doc *d;
    uint32_t page;
    uint32_t *items, *spare;  /* owned: chunks; room for as many */
    hone_text rest;           /* of uint32_t: chunks that wait to become rows together */
    bool main;                /* the direction of most of the page's text is at hand */
    bool looking;             /* for the gutter that most pages share; no rows are made */
    float gutter;             /* that gutter; 0: none */
    uint32_t hits[MAX_STEPS]; /* lines beside gutters, by their place */
} work;

static int by_y(const void *a, const void *b, void *doc)
{
    const pdf_doc *d = doc;
    const pdf_box *p = &pdf_chunk_at(d, *(const uint32_t *)a)->box;
    const pdf_box *q = &pdf_chunk_at(d, *(const uint32_t *)b)->box;
    const float u = p->y0 + p->y1, v = q->y0 + q->y1;
    if (u != v)
        return u < v ? -1 : 1;
    if (p->x0 != q->x0)
        return p->x0 < q->x0 ? -1 : 1;
    return *(const uint32_t *)a < *(const uint32_t *)b ? -1 : 1;
}

static int by_x(const void *a, const void *b, void *doc)
{
    const pdf_doc *d = doc;
    const pdf_box *p = &pdf_chunk_at(d, *(const uint32_t *)a)->box;
    const pdf_box *q = &pdf_chunk_at(d, *(const uint32_t *)b)->box;
    if (p->x0 != q->x0)
        return p->x0 < q->x0 ? -1 : 1;
    return *(const uint32_t *)a < *(const uint32_t *)b ? -1 : 1;
}

/* Pieces of one chunk that stand side by side in a row are one again; items are in order of x. How
 * many there are then. */
static uint32_t glue(pdf_doc *d, uint32_t *items, uint32_t n)
{
    uint32_t out = 0;
    for (uint32_t i = 1; i < n; i++) {
        pdf_chunk *a = pdf_chunk_at(d, items[out]), *b = pdf_chunk_at(d, items[i]);
        const uint32_t last = a->word + a->n_words - 1;
        const float em = pdf_style_at(d, pdf_word_at(d, last)->style)->size;
        if (b->word != last + 1 || b->box.x0 - a->box.x1 > PDF_CELL_GAP * em ||
            b->turn != a->turn) {
            items[++out] = items[i];
            continue;
        }
        pdf_box_join(&a->box, &b->box);
        a->n_words += b->n_words;
        a->chars += b->chars;
        a->style = pdf_main_style(d, a->word, a->n_words);
    }
    return out + 1;
}

static void add_row(pdf_doc *d, const uint32_t *items, uint32_t n, uint32_t page)
{
    pdf_row r = { .first = PDF_N(uint32_t, d->order), .n = n, .page = page };
    uint32_t most = 0;
    hone_text_add(&d->order, (const char *)items, n * sizeof *items);
    if (d->order.failed)
        return;
    qsort_r(PDF_AT(uint32_t, d->order, r.first), n, sizeof *items, by_x, d);
    r.n = n = glue(d, PDF_AT(uint32_t, d->order, r.first), n);
    d->order.n = (r.first + n) * sizeof *items;
    r.box = pdf_cell(d, &r, 0)->box;
    r.column = d->columns;
    for (uint32_t i = 0; i < n; i++) {
        const pdf_chunk *c = pdf_cell(d, &r, i);
        pdf_box_join(&r.box, &c->box);
        r.chars += c->chars;
        if (c->chars > most) {
            most = c->chars;
            r.style = c->style;
        }
    }
    hone_text_add(&d->rows, (const char *)&r, sizeof r);
}

/* Chunks of one column, from top to bottom, as rows. */
static void add_rows(pdf_doc *d, uint32_t *items, uint32_t n, uint32_t page)
{
    const uint32_t first = PDF_N(pdf_row, d->rows);
    float left = INFINITY, right = -INFINITY;
    for (uint32_t i = 0, k; i < n; i = k) {
        /* the tallest of the next few leads: what is raised or lowered stands beside it */
        pdf_box line = pdf_chunk_at(d, items[i])->box;
        for (k = i + 1; k < n; k++) {
            const pdf_box *b = &pdf_chunk_at(d, items[k])->box;
            if (!pdf_same_line(&line, b))
                break;
            if (b->y1 - b->y0 > line.y1 - line.y0)
                line = *b;
        }
        add_row(d, items + i, k - i, page);
    }
    const uint32_t end = PDF_N(pdf_row, d->rows);
    for (uint32_t i = first; i < end; i++) {
        left = pdf_min(left, pdf_row_at(d, i)->box.x0);
        right = pdf_max(right, pdf_row_at(d, i)->box.x1);
    }
    for (uint32_t i = first; i < end; i++) {
        pdf_row_at(d, i)->left = left;
        pdf_row_at(d, i)->right = right;
    }
    d->columns++;
}

static void flush(work *w)
{
    if (!w->looking && !w->rest.failed && w->rest.n)
        add_rows(w->d, PDF_AT(uint32_t, w->rest, 0), PDF_N(uint32_t, w->rest), w->page);
    w->d->no_memory |= w->rest.failed != 0;
    hone_text_clear(&w->rest);
}

typedef struct side {
    float x0, x1, y0, y1, filled;   /* filled: sum of the widths of its chunks */
    uint32_t lines, words, numbers; /* numbers: lines that end in a digit */
} side;

static void side_add(const pdf_doc *d, side *s, const pdf_chunk *c, float *bottom)
{
    const hone_str last = pdf_word_text(d, pdf_word_at(d, c->word + c->n_words - 1));
    if (!s->words) {
        *s = (side){ .x0 = c->box.x0, .x1 = c->box.x1, .y0 = c->box.y0 };
        *bottom = -INFINITY;
    }
    s->x0 = pdf_min(s->x0, c->box.x0);
    s->x1 = pdf_max(s->x1, c->box.x1);
    s->y1 = pdf_max(s->y1, c->box.y1);
    s->filled += c->box.x1 - c->box.x0;
    s->words += c->n_words;
    s->numbers += last.p[last.n - 1] >= '0' && last.p[last.n - 1] <= '9';
    if ((c->box.y0 + c->box.y1) / 2 > *bottom) {
        s->lines++;
        *bottom = c->box.y1 - 0.2f * (c->box.y1 - c->box.y0);
    }
}

/* Are these two sides of a gutter columns of text? known: the pages' common gutter. */
static bool are_columns(const pdf_doc *d, const side *l, const side *r, bool known)
{
    const float wl = l->x1 - l->x0, wr = r->x1 - r->x0, least = 9 * d->size;
    if (known)
        return l->lines > 1 && r->lines > 1;
    if (l->lines < FEW || r->lines < FEW || wl < least || wr < least)
        return false;
    if (l->filled > 0.6f * wl * (float)l->lines && r->filled > 0.6f * wr * (float)r->lines)
        return true;
    /* an index: short entries that end in numbers, in columns of one width; there may be three */
    return l->lines >= 10 && r->lines >= 5 && pdf_min(wl, wr) > 0.28f * pdf_max(wl, wr) &&
           l->numbers * 3 >= l->lines && r->numbers * 3 >= r->lines;
}

static bool crosses(const pdf_chunk *c, float x)
{
    return c->box.x0 < x && c->box.x1 > x;
}

/* Lines of the smaller side, summed over the bands that a gutter at x would divide. */
static uint32_t score(const pdf_doc *d, const uint32_t *items, uint32_t n, float x)
{
    uint32_t left = 0, right = 0, sum = 0;
    for (uint32_t i = 0; i <= n; i++) {
        const pdf_chunk *c = i < n ? pdf_chunk_at(d, items[i]) : NULL;
        if (!c || crosses(c, x)) {
            if (left >= FEW && right >= FEW)
                sum += left < right ? left : right;
            left = right = 0;
        } else if (c->box.x1 <= x) {
            left++;
        } else {
            right++;
        }
    }
    return sum;
}

/* The x of the best gutter; 0: none. */
static float find_gutter(const pdf_doc *d, const uint32_t *items, uint32_t n)
{
    float x0 = INFINITY, x1 = -INFINITY, best_x = 0;
    uint32_t best = 0, scores[MAX_STEPS];
    for (uint32_t i = 0; i < n; i++) {
        x0 = pdf_min(x0, pdf_chunk_at(d, items[i])->box.x0);
        x1 = pdf_max(x1, pdf_chunk_at(d, items[i])->box.x1);
    }
    const uint32_t steps = x1 > x0 ? (uint32_t)pdf_min((x1 - x0) / STEP, MAX_STEPS) : 0;
    const uint32_t wide = (uint32_t)pdf_max(2, 0.55f * d->size / STEP);
    if (n < 2 * FEW || n > MAX_CHUNKS || x1 - x0 < 20 * d->size)
        return 0;
    for (uint32_t s = 0; s < steps; s++)
        scores[s] = score(d, items, n, x0 + (float)s * STEP);
    for (uint32_t s = 0; s + wide <= steps; s++) { /* as good all over its width */
        uint32_t least = UINT32_MAX;
        for (uint32_t k = s; k < s + wide; k++)
            least = scores[k] < least ? scores[k] : least;
        if (least > best) {
            uint32_t end = s + wide;
            while (end < steps && scores[end] >= least)
                end++;
            best = least;
            best_x = x0 + (float)(s + end - 1) / 2 * STEP;
        }
    }
    return best >= FEW ? best_x : 0;
}

static void arrange(work *w, uint32_t *items, uint32_t n, int depth);

/* Chunks between two that cross the gutter: columns, or part of what stands around them. */
static void band(work *w, uint32_t *items, uint32_t n, float x, int depth)
{
    side l = { 0 }, r = { 0 };
    float bottom_l = 0, bottom_r = 0;
    uint32_t n_left = 0, n_right = 0;
    for (uint32_t i = 0; i < n; i++) {
        const pdf_chunk *c = pdf_chunk_at(w->d, items[i]);
        if (c->box.x1 <= x)
            side_add(w->d, &l, c, &bottom_l);
        else
            side_add(w->d, &r, c, &bottom_r);
    }
    const bool known = depth == 0 && w->gutter > 0 && x == w->gutter;
    if (!are_columns(w->d, &l, &r, known)) {
        hone_text_add(&w->rest, (const char *)items, n * sizeof *items);
        return;
    }
    if (depth == 0 && w->looking && x < MAX_STEPS * STEP)
        w->hits[(uint32_t)(x / STEP)] += l.lines + r.lines;
    flush(w);
    for (uint32_t i = 0; i < n; i++)
        if (pdf_chunk_at(w->d, items[i])->box.x1 <= x)
            items[n_left++] = items[i];
        else
            w->spare[n_right++] = items[i];
    memcpy(items + n_left, w->spare, n_right * sizeof *items);
    arrange(w, items, n_left, depth + 1);
    flush(w);
    arrange(w, items + n_left, n_right, depth + 1);
    flush(w);
}

/* Does the common gutter divide a page: more lines beside it than across it? */
static bool divides(const pdf_doc *d, const uint32_t *items, uint32_t n, float x)
{
    uint32_t left = 0, right = 0, across = 0;
    for (uint32_t i = 0; i < n; i++) {
        const pdf_chunk *c = pdf_chunk_at(d, items[i]);
        across += crosses(c, x);
        left += c->box.x1 <= x;
        right += c->box.x0 >= x;
    }
    return left > 1 && right > 1 && left + right > 2 * across;
}

static void arrange(work *w, uint32_t *items, uint32_t n, int depth)
{
    pdf_page *page = pdf_page_at(w->d, w->page);
    const bool again = depth == 0 && w->main && !w->looking; /* found in the first round */
    float x = again ? page->gutter : depth < MAX_DEPTH ? find_gutter(w->d, items, n) : 0;
    if (depth == 0 && w->main && w->looking)
        page->gutter = x;
    if (depth == 0 && w->gutter > 0 && n < MAX_CHUNKS && divides(w->d, items, n, w->gutter))
        x = w->gutter;
    if (x <= 0) {
        hone_text_add(&w->rest, (const char *)items, n * sizeof *items);
        return;
    }
    for (uint32_t i = 0; i < n;) {
        uint32_t end = i;
        while (end < n && !crosses(pdf_chunk_at(w->d, items[end]), x))
            end++;
        if (end > i)
            band(w, items + i, end - i, x, depth);
        if (end < n)
            hone_text_add(&w->rest, (const char *)&items[end], sizeof *items);
        i = end + 1;
    }
}

static void arrange_page(work *w, const pdf_page *page)
{
    uint32_t chars[4] = { 0 };
    bool done[4] = { false };
    for (uint32_t i = page->chunk; i < page->chunk + page->n_chunks; i++)
        chars[pdf_chunk_at(w->d, i)->turn] += pdf_chunk_at(w->d, i)->chars;
    for (int round = 0; round < 4; round++) { /* text of one direction after that of another */
        int turn = -1;
        uint32_t n = 0;
        for (int t = 0; t < 4; t++)
            if (!done[t] && (turn < 0 || chars[t] > chars[turn]))
                turn = t;
        done[turn] = true;
        for (uint32_t i = page->chunk; i < page->chunk + page->n_chunks; i++)
            if (pdf_chunk_at(w->d, i)->turn == turn && !pdf_chunk_at(w->d, i)->left_out)
                w->items[n++] = i;
        if (!n)
            continue;
        qsort_r(w->items, n, sizeof *w->items, by_y, w->d);
        w->main = round == 0;
        arrange(w, w->items, n, 0);
        flush(w);
    }
}

/* The place of the gutter that stands beside a good part of the document's lines. */
static void find_common_gutter(work *w)
{
    uint32_t best = 0, most = 0;
    for (uint32_t i = 1; i + 1 < MAX_STEPS; i++) {
        const uint32_t sum = w->hits[i - 1] + w->hits[i] + w->hits[i + 1];
        if (sum > most) {
            most = sum;
            best = i;
        }
    }
    if (most >= 40 && most * 5 > PDF_N(pdf_chunk, w->d->chunks))
        w->gutter = ((float)best + 0.5f) * STEP;
}

bool pdf_order(pdf_doc *d)
{
    uint32_t most = 0;
    for (uint32_t p = 0; p < PDF_N(pdf_page, d->pages); p++)
        most = pdf_page_at(d, p)->n_chunks > most ? pdf_page_at(d, p)->n_chunks : most;
    work w = { .d = d, .rest = { .host = d->host, .tag = "pdf" } };
    w.items = d->host->alloc(d->host, (most + 1) * sizeof *w.items, 4, "pdf");
    w.spare = d->host->alloc(d->host, (most + 1) * sizeof *w.spare, 4, "pdf");
    for (int round = 0; round < 2; round++) {
        w.looking = round == 0;
        for (uint32_t p = 0; p < PDF_N(pdf_page, d->pages) && w.items && w.spare; p++) {
            w.page = p;
            arrange_page(&w, pdf_page_at(d, p));
        }
        find_common_gutter(&w);
    }
    const bool ok = w.items && w.spare && !d->no_memory && !d->order.failed && !d->rows.failed;
    d->host->free(d->host, w.items);
    d->host->free(d->host, w.spare);
    hone_text_finish(&w.rest);
    return ok;
}
