/*
 * pdf_headings.c - which rows are headings, and of what level.
 *
 * The outline names headings and says on which page they stand: its titles are looked for among the
 * rows of that page. The styles they are set in then tell headings that it leaves out. Without an
 * outline, sizes above that of the text are levels in order; bold lines that stand alone come below
 * them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pdf.h"

#include <math.h>
#include <poppler.h>

#define MAX_ENTRIES 100000 /* of an outline, which may loop */
#define MAX_NESTING 32
#define MAX_WORDS 24 /* of a heading that only its looks tell */
#define MAX_JOINED 4 /* rows of one heading */

typedef struct finder {
    pdf_doc *d;
    PopplerDocument *document;
    uint32_t *first_row;  /* owned: of each page, one more for the end */
    hone_text title, row; /* letters and digits of what is compared */
    hone_text votes;      /* of uint32_t[7] for each style: rows by level */
    uint32_t n_entries, n_found;
} finder;

/* Letters and digits, lower case: what stays the same however a title is set. */
static void add_plain(hone_text *out, const char *p, uint64_t n)
{
    for (uint64_t i = 0, k; i < n; i += k) {
        uint32_t cp;
        k = hone_utf8_next(p + i, n - i, &cp);
        if ((cp >= 'a' && cp <= 'z') || (cp >= '0' && cp <= '9') || (cp >= 0xc0 && cp < 0x2000) ||
            (cp >= 0x2c00 && cp < 0xfb00 && cp < UINT32_MAX))
            hone_text_add(out, p + i, k);
        else if (cp >= 'A' && cp <= 'Z')
            hone_text_putc(out, (char)(cp + 32));
        else if (cp >= 0xfb00 && cp <= 0xfb04)
            hone_text_puts(out,
                           (const char *const[]){ "ff", "fi", "fl", "ffi", "ffl" }[cp - 0xfb00]);
    }
}

static void add_plain_row(const pdf_doc *d, const pdf_row *r, hone_text *out)
{
    for (uint32_t k = 0; k < r->n; k++) {
        const pdf_chunk *c = pdf_cell(d, r, k);
        for (uint32_t i = c->word; i < c->word + c->n_words; i++) {
            const hone_str s = pdf_word_text(d, pdf_word_at(d, i));
            add_plain(out, s.p, s.n);
        }
    }
}

static bool begins(hone_str s, const char *what, uint64_t *n)
{
    *n = strlen(what);
    return s.n >= *n && memcmp(s.p, what, *n) == 0;
}

/* Is all of s what numbers a heading: "1.2", "iv", "chapter3", "appendixa"? */
static bool is_numbering(hone_str s)
{
    static const char *const words[] = { "chapter",  "section",   "appendix", "part",
                                         "kapitel",  "abschnitt", "anhang",   "teil",
                                         "chapitre", "partie",    "annexe" };
    uint64_t n;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (begins(s, words[i], &n)) {
            s = (hone_str){ s.p + n, s.n - n };
            break;
        }
    if (s.n == 1)
        return true;
    for (uint64_t i = 0; i < s.n; i++) {
        const char c = s.p[i];
        const bool first_letter = i == 0 && c >= 'a' && c <= 'z'; /* A.1 */
        if (!(c >= '0' && c <= '9') && !strchr("ivxl", c) && !first_letter)
            return false;
    }
    return s.n <= 8;
}

/* Is one the other, or the other with its numbering in front? */
static bool same_title(hone_str a, hone_str b)
{
    if (a.n < b.n) {
        const hone_str t = a;
        a = b;
        b = t;
    }
    if (!b.n || memcmp(a.p + a.n - b.n, b.p, b.n) != 0)
        return false;
    return is_numbering((hone_str){ a.p, a.n - b.n });
}

/* A row that is set as no text is, less the number behind it: the mark of a note. */
static hone_str without_mark(const pdf_doc *d, const pdf_row *r, hone_str s)
{
    const pdf_style *style = pdf_style_at(d, r->style);
    const uint64_t n = s.n;
    while (s.n && (style->bold || style->size > 1.12f * d->size) && s.p[s.n - 1] >= '0' &&
           s.p[s.n - 1] <= '9' && n - s.n < 2)
        s.n--;
    return s;
}

/* Do rows from i on say the title? How many; 0: no. */
static uint32_t rows_of_title(finder *f, uint32_t i, uint32_t end)
{
    const hone_str title = hone_text_str(&f->title);
    hone_text_clear(&f->row);
    for (uint32_t k = 0; k < MAX_JOINED && i + k < end; k++) {
        const pdf_row *r = pdf_row_at(f->d, i + k);
        if (r->level || (k && r->column != pdf_row_at(f->d, i)->column))
            return 0;
        add_plain_row(f->d, r, &f->row);
        if (f->row.failed || f->row.n > title.n + 24)
            return 0;
        const hone_str row = hone_text_str(&f->row);
        if (row.n && (same_title(row, title) || same_title(without_mark(f->d, r, row), title)))
            return k + 1;
    }
    return 0;
}

static void mark(finder *f, uint32_t i, uint32_t n, uint32_t level)
{
    pdf_row *r = pdf_row_at(f->d, i);
    uint64_t len;
    for (uint32_t k = 0; k < n; k++) {
        r[k].level = (uint8_t)level;
        r[k].joins = k > 0;
    }
    uint32_t *votes = PDF_AT(uint32_t, f->votes, r[n - 1].style * 7);
    votes[level]++;
    f->n_found++;
    /* "Chapter 3" on a line of its own, above */
    if (i > 0 && r[-1].page == r->page && !r[-1].level && r[-1].chars <= 12) {
        hone_text_clear(&f->row);
        add_plain_row(f->d, &r[-1], &f->row);
        const hone_str above = hone_text_str(&f->row);
        if (is_numbering(above) &&
            (begins(above, "chapter", &len) || begins(above, "appendix", &len) ||
             begins(above, "part", &len) || begins(above, "kapitel", &len) ||
             begins(above, "chapitre", &len))) {
            r[-1].level = (uint8_t)level;
            r->joins = true;
        }
    }
}

/* Words in a font of their own at the beginning of row i that say the title: how many. */
static uint32_t run_in_title(finder *f, uint32_t i)
{
    const pdf_row *r = pdf_row_at(f->d, i);
    const pdf_chunk *c = pdf_cell(f->d, r, 0);
    const hone_str title = hone_text_str(&f->title);
    const uint32_t style = pdf_word_at(f->d, c->word)->style;
    uint32_t n = 0;
    if (r->level || r->run_in || style == f->d->body)
        return 0;
    hone_text_clear(&f->row);
    for (; n < c->n_words && n < MAX_WORDS && pdf_word_at(f->d, c->word + n)->style == style; n++) {
        const hone_str s = pdf_word_text(f->d, pdf_word_at(f->d, c->word + n));
        add_plain(&f->row, s.p, s.n);
    }
    return n < c->n_words && f->row.n && !f->row.failed && same_title(hone_text_str(&f->row), title)
               ? n
               : 0;
}

static bool look_on_page(finder *f, uint32_t page, float y, uint32_t level)
{
    const uint32_t end = f->first_row[page + 1];
    uint32_t best = PDF_NONE, best_n = 0;
    float best_cost = INFINITY;
    for (uint32_t i = f->first_row[page]; i < end; i++) {
        const uint32_t n = rows_of_title(f, i, end);
        const pdf_row *r = pdf_row_at(f->d, i);
        if (!n)
            continue;
        const pdf_style *s = pdf_style_at(f->d, r->style);
        float cost = y >= 0 ? fabsf(r->box.y0 - y) : 0;
        cost -= s->size > f->d->size * 1.05f ? 200 : 0;
        cost -= s->bold ? 100 : 0;
        if (cost < best_cost) {
            best_cost = cost;
            best = i;
            best_n = n;
        }
    }
    if (best != PDF_NONE) {
        mark(f, best, best_n, level);
        return true;
    }
    for (uint32_t i = f->first_row[page]; i < end; i++) {
        const uint32_t n = run_in_title(f, i);
        if (!n)
            continue;
        pdf_row_at(f->d, i)->run_in = (uint16_t)n;
        pdf_row_at(f->d, i)->run_level = (uint8_t)level;
        return true;
    }
    return false;
}

static void look_for(finder *f, PopplerAction *action, uint32_t level)
{
    const uint32_t n_pages = PDF_N(pdf_page, f->d->pages);
    PopplerDest *dest = NULL, *found = NULL;
    if (action->type != POPPLER_ACTION_GOTO_DEST || !action->goto_dest.title)
        return;
    dest = action->goto_dest.dest;
    if (dest && dest->type == POPPLER_DEST_NAMED && dest->named_dest)
        dest = found = poppler_document_find_dest(f->document, dest->named_dest);
    hone_text_clear(&f->title);
    add_plain(&f->title, action->goto_dest.title, strlen(action->goto_dest.title));
    if (dest && dest->page_num >= 1 && (uint32_t)dest->page_num <= n_pages && f->title.n) {
        const uint32_t page = (uint32_t)dest->page_num - 1;
        const float y = dest->change_top ? pdf_page_at(f->d, page)->height - (float)dest->top : -1;
        if (!look_on_page(f, page, y, level) && page + 1 < n_pages)
            (void)look_on_page(f, page + 1, 0, level);
    }
    if (found)
        poppler_dest_free(found);
}

static void walk_outline(finder *f, PopplerIndexIter *at, uint32_t depth)
{
    do {
        PopplerAction *action = poppler_index_iter_get_action(at);
        if (action) {
            look_for(f, action, depth < 6 ? depth : 6);
            poppler_action_free(action);
        }
        PopplerIndexIter *child = depth < MAX_NESTING ? poppler_index_iter_get_child(at) : NULL;
        if (child) {
            walk_outline(f, child, depth + 1);
            poppler_index_iter_free(child);
        }
    } while (++f->n_entries < MAX_ENTRIES && !f->title.failed && poppler_index_iter_next(at));
}

/* What most titles of the outline in a style are, headings in this style are. */
static void learn_styles(finder *f)
{
    for (uint32_t s = 0; s < PDF_N(pdf_style, f->d->styles); s++) {
        const uint32_t *votes = PDF_AT(uint32_t, f->votes, s * 7);
        uint32_t best = 0;
        for (uint32_t l = 1; l <= 6; l++)
            if (votes[l] > (best ? votes[best] : 0))
                best = l;
        if (s != f->d->body)
            pdf_style_at(f->d, s)->level = best;
    }
}

/* Levels of larger sizes that the outline says nothing of. */
static void rank_sizes(finder *f)
{
    pdf_doc *d = f->d;
    const uint32_t n = PDF_N(pdf_style, d->styles);
    for (uint32_t s = 0; s < n; s++) {
        pdf_style *style = pdf_style_at(d, s);
        uint32_t level = 0, above = 0;
        if (style->level || style->mono || style->size < d->size * 1.12f)
            continue;
        for (uint32_t k = 0; k < n; k++) {
            const pdf_style *other = pdf_style_at(d, k);
            const uint32_t have = PDF_AT(uint32_t, f->votes, k * 7)[0];
            if (other->size < style->size - 0.3f)
                continue;
            if (other->level && k != s && !have)
                level = other->level + (other->size > style->size + 0.3f) > level
                            ? other->level + (other->size > style->size + 0.3f)
                            : level;
        }
        for (uint32_t k = 0; k < n && !level; k++) { /* no outline: count larger sizes */
            const pdf_style *other = pdf_style_at(d, k);
            bool first = other->size > style->size + 0.3f && !other->mono && other->chars > 2;
            for (uint32_t j = 0; j < k && first; j++)
                first = fabsf(pdf_style_at(d, j)->size - other->size) > 0.3f ||
                        pdf_style_at(d, j)->mono;
            above += first;
        }
        style->level = level ? level : above + 1;
        if (style->level > 6)
            style->level = 6;
        PDF_AT(uint32_t, f->votes, s * 7)[0] = 1; /* ranked, not voted for */
    }
}

static bool ends_with_number(const pdf_doc *d, const pdf_row *r)
{
    const pdf_chunk *c = pdf_cell(d, r, r->n - 1);
    const hone_str s = pdf_word_text(d, pdf_word_at(d, c->word + c->n_words - 1));
    return r->n > 1 && s.p[s.n - 1] >= '0' && s.p[s.n - 1] <= '9';
}

/* Is a row bold, but for names in another font in it? */
static bool is_bold(const pdf_doc *d, const pdf_row *r)
{
    uint32_t bold = 0, first = PDF_NONE;
    for (uint32_t k = 0; k < r->n; k++) {
        const pdf_chunk *c = pdf_cell(d, r, k);
        for (uint32_t i = c->word; i < c->word + c->n_words; i++) {
            const pdf_style *s = pdf_style_at(d, pdf_word_at(d, i)->style);
            bold += s->bold && !s->mono ? pdf_word_at(d, i)->chars : 0;
            first = first == PDF_NONE ? s->bold && !s->mono : first;
        }
    }
    return first == 1 && bold * 10 >= r->chars * 7;
}

static uint32_t words_of(const pdf_doc *d, const pdf_row *r)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < r->n; k++)
        n += pdf_cell(d, r, k)->n_words;
    return n;
}

static bool begins_with_number(const pdf_doc *d, const pdf_row *r)
{
    const hone_str s = pdf_word_text(d, pdf_word_at(d, pdf_cell(d, r, 0)->word));
    return s.p[0] >= '0' && s.p[0] <= '9';
}

/* A row that can be a heading at all: short, of letters, no line of a table of contents. */
static bool may_head(const pdf_doc *d, const pdf_row *r)
{
    bool letter = false;
    if (r->n > 2 || words_of(d, r) > MAX_WORDS || r->chars < 3 || ends_with_number(d, r))
        return false;
    for (uint32_t k = 0; k < r->n && !letter; k++) {
        const pdf_chunk *c = pdf_cell(d, r, k);
        for (uint32_t i = c->word; i < c->word + c->n_words && !letter; i++) {
            const hone_str s = pdf_word_text(d, pdf_word_at(d, i));
            letter = s.n >= 3 && ((s.p[0] | 32) >= 'a' || (unsigned char)s.p[0] >= 0x80);
        }
    }
    return letter;
}

/* Bold lines at the text's size, apart from what is above, text below: how many; 0: none. */
static uint32_t bold_head(const pdf_doc *d, uint32_t i)
{
    const uint32_t n_rows = PDF_N(pdf_row, d->rows);
    const pdf_row *r = pdf_row_at(d, i);
    const pdf_row *last = i && r[-1].column == r->column ? r - 1 : NULL;
    const float size = pdf_style_at(d, r->style)->size, step = 1.2f * d->leading * size;
    uint32_t n = 1;
    if (size < 0.95f * d->size || !is_bold(d, r) ||
        (r->n == 2 && words_of(d, r) - pdf_cell(d, r, 1)->n_words > 1) || /* two cells */
        (last && !last->level && r->box.y1 - last->box.y1 < step))
        return 0;
    while (n < 3 && i + n < n_rows && r[n].column == r->column && is_bold(d, &r[n]) &&
           r[n].box.y1 - r[n - 1].box.y1 < step && !begins_with_number(d, &r[n]))
        n++;
    const pdf_chunk *c = pdf_cell(d, &r[n - 1], r[n - 1].n - 1);
    const hone_str s = pdf_word_text(d, pdf_word_at(d, c->word + c->n_words - 1));
    if (i + n >= n_rows || strchr(".,;", s.p[s.n - 1]) || words_of(d, r) > 14)
        return 0;
    const pdf_row *next = &r[n];
    if (next->column == r->column && is_bold(d, next) && next->box.y1 - r[n - 1].box.y1 < step &&
        !begins_with_number(d, next))
        return 0; /* a bold paragraph */
    return next->n > 1 && !next->level && !begins_with_number(d, next) && !is_bold(d, next) &&
                   next->style == r->style
               ? 0
               : n;
}

static void by_looks(pdf_doc *d)
{
    uint32_t deepest = 0;
    for (uint32_t i = 0; i < PDF_N(pdf_style, d->styles); i++)
        deepest = pdf_style_at(d, i)->level > deepest && pdf_style_at(d, i)->chars > 8
                      ? pdf_style_at(d, i)->level
                      : deepest;
    for (uint32_t i = 0; i < PDF_N(pdf_row, d->rows); i++) {
        pdf_row *r = pdf_row_at(d, i);
        const pdf_style *s = pdf_style_at(d, r->style);
        if (r->level || s->mono || !may_head(d, r))
            continue;
        const uint32_t n = s->size > d->size * 1.12f ? 1 : bold_head(d, i);
        const uint32_t level = s->level ? s->level : deepest < 6 ? deepest + 1 : 6;
        for (uint32_t k = 0; k < n; k++) {
            r[k].level = (uint8_t)level;
            r[k].joins = k > 0;
        }
        const pdf_row *last = i ? r - 1 : NULL;
        if (n && last && last->column == r->column && last->level == level &&
            last->style == r->style && !begins_with_number(d, r) &&
            r->box.y1 - last->box.y1 < 1.7f * s->size)
            r->joins = true;
    }
}

bool pdf_headings(pdf_doc *d, void *document)
{
    const uint32_t n_pages = PDF_N(pdf_page, d->pages), n_styles = PDF_N(pdf_style, d->styles);
    const hone_text empty = { .host = d->host, .tag = "pdf" };
    static const uint32_t none[7] = { 0 };
    finder f = { .d = d, .document = document, .title = empty, .row = empty, .votes = empty };
    f.first_row = d->host->alloc(d->host, (n_pages + 2) * sizeof *f.first_row, 4, "pdf");
    for (uint32_t i = 0; i <= n_styles; i++)
        hone_text_add(&f.votes, (const char *)none, sizeof none);
    bool ok = f.first_row && !f.votes.failed;
    for (uint32_t p = 0, i = 0; p <= n_pages && ok; p++) {
        while (i < PDF_N(pdf_row, d->rows) && pdf_row_at(d, i)->page < p)
            i++;
        f.first_row[p] = i;
    }
    if (ok && PDF_N(pdf_row, d->rows)) {
        PopplerIndexIter *at = poppler_index_iter_new(document);
        if (at) {
            walk_outline(&f, at, 1);
            poppler_index_iter_free(at);
        }
        learn_styles(&f);
        rank_sizes(&f);
        by_looks(d);
    }
    ok = ok && !f.title.failed && !f.row.failed;
    d->host->free(d->host, f.first_row);
    hone_text_finish(&f.title);
    hone_text_finish(&f.row);
    hone_text_finish(&f.votes);
    return ok;
}
