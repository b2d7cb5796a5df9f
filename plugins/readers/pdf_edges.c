/*
 * pdf_edges.c - what stands on the edges of pages and is no part of the text: running headers and
 * footers, page numbers, watermarks.
 *
 * The outermost lines of each page are candidates. One is left out when
 *   - its first or last word is a number that counts with the pages, at the same height as on
 *     other pages; sections that begin pages are told from it by their size;
 *   - the same words (numbers apart) stand at the same height on other pages, and on one of the next
 *     two or the last two;
 *   - it is the outermost, set apart, at a height where on most pages one of the above stands;
 *   - it is nothing but a number at the page's end.
 * A line further in is looked at only when all outside of it are left out. A watermark is what
 * stands at the same place on at least half of the pages.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pdf.h"

#include <math.h>
#include <stdio.h>

#define RANKS 3    /* lines at the top and at the bottom that are looked at */
#define ZONE 0.18f /* share of the page's height they are in */
#define BIN 3.0f   /* points: heights that are the same */
#define NO_NUMBER INT32_MIN

typedef struct line {
    pdf_box box;
    uint32_t page, n_chunks;
    uint64_t words;     /* hash of its text, numbers apart */
    int32_t number[2];  /* of the first and last word, less the page; NO_NUMBER: none */
    float gap;          /* to the next line inwards */
    float size;         /* the largest of its chunks' */
    uint8_t side, rank; /* 0: top, 1: bottom; 0: the outermost */
    bool lone;          /* a number and nothing else */
    bool edge;
} line;

/* Counts by key; keys are hashes, and two that meet only make an edge likelier. */
typedef struct counter {
    uint64_t *keys; /* owned */
    uint32_t *n;    /* owned */
    uint64_t cap;   /* a power of two */
} counter;

static bool counter_init(counter *c, const hone_host *host, uint64_t entries)
{
    c->cap = 64;
    while (c->cap < entries * 2)
        c->cap *= 2;
    c->keys = host->alloc(host, c->cap * sizeof *c->keys, 8, "pdf");
    c->n = host->alloc(host, c->cap * sizeof *c->n, 8, "pdf");
    if (c->keys && c->n) {
        memset(c->keys, 0, c->cap * sizeof *c->keys);
        memset(c->n, 0, c->cap * sizeof *c->n);
    }
    return c->keys && c->n;
}

static void counter_finish(counter *c, const hone_host *host)
{
    host->free(host, c->keys);
    host->free(host, c->n);
}

static uint32_t *counter_at(const counter *c, uint64_t key)
{
    uint64_t i = (key | 1) * 0x9e3779b97f4a7c15u >> 20 & (c->cap - 1);
    while (c->keys[i] && c->keys[i] != (key | 1))
        i = (i + 1) & (c->cap - 1);
    c->keys[i] = key | 1;
    return &c->n[i];
}

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0xff51afd7ed558ccdu;
    return h ^ h >> 32;
}

/* Kinds of keys. */
enum { BY_NUMBER, BY_NUMBER_ON_PAGE, BY_WORDS, BY_WORDS_ON_PAGE, BY_HEIGHT, BY_HEIGHT_EDGE };

static uint64_t key_of(const line *l, uint64_t kind, int64_t bin, int64_t value)
{
    return mix(mix(mix(99, kind * 2 + l->side), (uint64_t)bin), (uint64_t)value);
}

static int64_t bin_of(const line *l)
{
    return (int64_t)floorf(l->box.y1 / BIN);
}

static void count(const counter *c, const line *l, uint64_t kind, int64_t value)
{
    ++*counter_at(c, key_of(l, kind, bin_of(l), value));
}

/* Lines counted at this height: heights next to each other are the same. */
static uint32_t counted(const counter *c, const line *l, uint64_t kind, int64_t value)
{
    uint32_t sum = 0;
    for (int64_t b = -1; b <= 1; b++)
        sum += *counter_at(c, key_of(l, kind, bin_of(l) + b, value));
    return sum;
}

/* The value of a word that is a number; -1: it is none. */
static int32_t number_of(hone_str s)
{
    static const char letters[] = "ivxlcdm";
    static const int32_t values[] = { 1, 5, 10, 50, 100, 500, 1000 };
    int32_t v = 0, last = 0;
    while (s.n > 1 && strchr("-[(", s.p[0]))
        s.p++, s.n--;
    while (s.n > 1 && strchr("-]).,", s.p[s.n - 1]))
        s.n--;
    for (uint64_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9' && s.n <= 5; i++) {
        v = v * 10 + (s.p[i] - '0');
        if (i + 1 == s.n)
            return v;
    }
    v = 0;
    for (uint64_t i = s.n; i-- > 0 && s.n <= 9;) { /* from the right: a smaller one is taken off */
        const char low = (char)(s.p[i] | 32);
        const char *at = low ? strchr(letters, low) : NULL;
        if (!at || ((s.p[i] ^ s.p[0]) & 32))
            return -1;
        const int32_t x = values[at - letters];
        v += x < last ? -x : x;
        last = x > last ? x : last;
    }
    return s.n && s.n <= 9 && v > 0 ? v : -1;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void read_line(const pdf_doc *d, line *l, const pdf_page *page)
{
    uint32_t n_words = 0, n_other = 0;
    int32_t first = -1, last = -1;
    bool first_roman = false, last_roman = false;
    float first_x = 0, last_x = 0;
    l->words = 7;
    for (uint32_t i = page->chunk; i < page->chunk + page->n_chunks; i++) {
        const pdf_chunk *c = pdf_chunk_at(d, i);
        if (c->turn || c->left_out || !pdf_same_line(&c->box, &l->box))
            continue;
        l->n_chunks++;
        l->size = pdf_max(l->size, pdf_style_at(d, c->style)->size);
        for (uint32_t k = c->word; k < c->word + c->n_words; k++) {
            const pdf_word *w = pdf_word_at(d, k);
            const hone_str s = pdf_word_text(d, w);
            if (!n_words || w->box.x0 < first_x) {
                first = number_of(s);
                first_roman = is_letter(s.p[0]);
                first_x = w->box.x0;
            }
            if (!n_words || w->box.x0 > last_x) {
                last = number_of(s);
                last_roman = is_letter(s.p[0]);
                last_x = w->box.x0;
            }
            n_words++;
            n_other += number_of(s) < 0 && s.n > 1;
            uint64_t h = 3; /* words are summed: chunks come in any order */
            const bool number = number_of(s) >= 0 && !is_letter(s.p[0]);
            for (uint64_t b = 0; b < s.n && !number; b++)
                h = mix(h, (unsigned char)s.p[b]);
            l->words += h;
        }
    }
    l->lone = n_words && n_words <= 3 && !n_other && (first >= 0 || last >= 0);
    first = first_roman && !l->lone ? -1 : first;
    last = last_roman && !l->lone ? -1 : last;
    l->number[0] = first < 0 ? NO_NUMBER : first - (int32_t)l->page;
    l->number[1] = last < 0 || n_words < 2 ? NO_NUMBER : last - (int32_t)l->page;
}

/* The outermost lines of a page on one side. */
static void add_lines(const pdf_doc *d, uint32_t p, uint8_t side, hone_text *lines)
{
    const pdf_page *page = pdf_page_at(d, p);
    float limit = side ? INFINITY : -INFINITY; /* lines beyond it are taken already */
    line *last = NULL;
    for (uint8_t rank = 0; rank <= RANKS; rank++) {
        const pdf_chunk *best = NULL;
        for (uint32_t i = page->chunk; i < page->chunk + page->n_chunks; i++) {
            const pdf_chunk *c = pdf_chunk_at(d, i);
            if (c->turn || c->left_out)
                continue;
            const float y = (c->box.y0 + c->box.y1) / 2;
            if (side ? y < limit && (!best || c->box.y1 > best->box.y1)
                     : y > limit && (!best || c->box.y0 < best->box.y0))
                best = c;
        }
        if (!best)
            return;
        line l = { .box = best->box, .page = p, .side = side, .rank = rank, .gap = INFINITY };
        if (last)
            last->gap = side ? last->box.y0 - l.box.y1 : l.box.y0 - last->box.y1;
        if (rank == RANKS ||
            (side ? l.box.y0 < page->height * (1 - ZONE) : l.box.y1 > page->height * ZONE))
            return;
        read_line(d, &l, page);
        hone_text_add(lines, (const char *)&l, sizeof l);
        if (lines->failed)
            return;
        last = PDF_AT(line, *lines, lines->n / sizeof l - 1);
        limit = side ? l.box.y0 : l.box.y1;
    }
}

/* Is it counted on this page's neighbours as well? */
static bool near(const counter *c, const line *l, uint64_t kind, uint64_t value)
{
    for (int k = -2; k <= 2; k++)
        if (k && counted(c, l, kind, (int64_t)mix(value, l->page + (uint64_t)k)))
            return true;
    return false;
}

static bool is_edge(const counter *c, const line *l, const pdf_doc *d)
{
    const uint32_t n_pages = PDF_N(pdf_page, d->pages), few = n_pages <= 4 ? 2 : 3;
    const float height = l->box.y1 - l->box.y0;
    for (int i = 0; i < 2; i++) {
        const uint32_t times =
            l->number[i] == NO_NUMBER ? 0 : counted(c, l, BY_NUMBER, l->number[i]);
        if (times >= few && near(c, l, BY_NUMBER_ON_PAGE, (uint64_t)(int64_t)l->number[i]) &&
            (l->lone || (times * 10 >= n_pages && l->gap > 0.4f * height &&
                         (l->size < 1.12f * d->size || times * 3 >= n_pages))))
            return true; /* numbers of notes and sections may count with the pages for a while */
    }
    const uint32_t times = counted(c, l, BY_WORDS, (int64_t)l->words);
    if (times >= few && (l->gap > 0.6f * height || times * 4 >= n_pages) &&
        near(c, l, BY_WORDS_ON_PAGE, l->words))
        return true;
    return l->lone && l->gap > 1.2f * height && l->rank == 0 &&
           (l->side ? l->box.y0 > 0.88f * pdf_page_at(d, l->page)->height
                    : l->box.y1 < 0.1f * pdf_page_at(d, l->page)->height);
}

/* Names what is left out to those who look for it; *bytes counts it. */
static void say(const pdf_doc *d, uint32_t page, const pdf_chunk *c, uint64_t *bytes)
{
    char out[400];
    int used = snprintf(out, sizeof out, "pdf: left out on page %u:", page + 1);
    for (uint32_t k = c->word; k < c->word + c->n_words; k++) {
        const hone_str s = pdf_word_text(d, pdf_word_at(d, k));
        if ((size_t)used + s.n + 2 < sizeof out)
            used += snprintf(out + used, sizeof out - (size_t)used, " %.*s", (int)s.n, s.p);
        *bytes += s.n;
    }
    d->host->log(d->host, HONE_LOG_DEBUG, out);
}

static void leave_out(pdf_doc *d, const line *l)
{
    const pdf_page *page = pdf_page_at(d, l->page);
    for (uint32_t i = page->chunk; i < page->chunk + page->n_chunks; i++) {
        pdf_chunk *c = pdf_chunk_at(d, i);
        if (c->turn || c->left_out || !pdf_same_line(&c->box, &l->box))
            continue;
        c->left_out = true;
        say(d, l->page, c, &d->edges);
    }
}

static uint64_t place_of(const pdf_doc *d, const pdf_chunk *c)
{
    uint64_t h =
        mix(mix(99, (uint64_t)(int64_t)roundf(c->box.x0)), (uint64_t)(int64_t)roundf(c->box.y0));
    for (uint32_t k = c->word; k < c->word + c->n_words; k++) {
        const hone_str s = pdf_word_text(d, pdf_word_at(d, k));
        for (uint64_t b = 0; b < s.n; b++)
            h = mix(h, (unsigned char)s.p[b]);
    }
    return h;
}

static bool watermarks(pdf_doc *d)
{
    const uint32_t n = PDF_N(pdf_chunk, d->chunks), n_pages = PDF_N(pdf_page, d->pages);
    counter c = { 0 };
    const bool ok = n_pages < 4 || counter_init(&c, d->host, n);
    for (uint32_t i = 0; i < n && ok && n_pages >= 4; i++)
        ++*counter_at(&c, place_of(d, pdf_chunk_at(d, i)));
    for (uint32_t i = 0, page = 0; i < n && ok && n_pages >= 4; i++) {
        pdf_chunk *at = pdf_chunk_at(d, i);
        while (page + 1 < n_pages && i >= pdf_page_at(d, page + 1)->chunk)
            page++;
        if (at->left_out || *counter_at(&c, place_of(d, at)) < (n_pages + 1) / 2 + 1)
            continue;
        at->left_out = true;
        say(d, page, at, &d->marks);
    }
    counter_finish(&c, d->host);
    return ok;
}

bool pdf_edges(pdf_doc *d)
{
    hone_text lines = { .host = d->host, .tag = "pdf" };
    counter c = { 0 };
    bool ok;
    for (uint32_t p = 0; p < PDF_N(pdf_page, d->pages); p++)
        for (uint8_t side = 0; side < 2; side++)
            add_lines(d, p, side, &lines);
    const uint32_t n = PDF_N(line, lines);
    ok = !lines.failed && counter_init(&c, d->host, (uint64_t)n * 20);
    for (uint32_t i = 0; i < n && ok; i++) {
        const line *l = PDF_AT(line, lines, i);
        for (int k = 0; k < 2; k++)
            if (l->number[k] != NO_NUMBER) {
                count(&c, l, BY_NUMBER, l->number[k]);
                count(&c, l, BY_NUMBER_ON_PAGE,
                      (int64_t)mix((uint64_t)(int64_t)l->number[k], l->page));
            }
        count(&c, l, BY_WORDS, (int64_t)l->words);
        count(&c, l, BY_WORDS_ON_PAGE, (int64_t)mix(l->words, l->page));
    }
    for (uint32_t i = 0; i < n && ok; i++) {
        line *l = PDF_AT(line, lines, i);
        l->edge = is_edge(&c, l, d) && (!l->rank || (l - 1)->edge);
        count(&c, l, BY_HEIGHT, 0);
        if (l->edge)
            count(&c, l, BY_HEIGHT_EDGE, 0);
    }
    for (uint32_t i = 0; i < n && ok; i++) {
        line *l = PDF_AT(line, lines, i);
        const uint32_t edges = counted(&c, l, BY_HEIGHT_EDGE, 0);
        if (!l->edge && !l->rank && edges >= 8 && edges * 10 >= counted(&c, l, BY_HEIGHT, 0) * 7 &&
            l->gap > 1.2f * (l->box.y1 - l->box.y0))
            l->edge = true;
        if (l->edge)
            leave_out(d, l);
    }
    counter_finish(&c, d->host);
    hone_text_finish(&lines);
    return ok && watermarks(d);
}
