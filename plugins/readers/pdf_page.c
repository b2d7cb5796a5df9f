/*
 * pdf_page.c - one page of poppler as words and chunks.
 *
 * Poppler gives a page's text with a box for each character and the fonts as runs. Its order
 * is that of lines on paper, which is not that of reading, so only its words and lines are taken;
 * pdf_order.c arranges them. Text that is turned is turned back here: what follows knows only
 * horizontal lines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pdf.h"

#include <math.h>
#include <poppler.h>

#define PIECE_GAP 0.8f /* em: a gutter may be as narrow; pdf_order.c joins what stays in a row */

bool pdf_same_line(const pdf_box *a, const pdf_box *b)
{
    const float overlap = pdf_min(a->y1, b->y1) - pdf_max(a->y0, b->y0);
    return overlap > 0.5f * pdf_min(a->y1 - a->y0, b->y1 - b->y0);
}

/* Parts of font names, in lower case. */
static const char *const bold_names[] = { "bold", "black", "heavy", "demi",  "cmbx",
                                          "ecbx", "sfbx",  "lmbx",  "-medi", "cmssbx" };
static const char *const mono_names[] = { "mono",       "courier", "cmtt",  "ectt",       "sftt",
                                          "lmtt",       "consol",  "menlo", "typewriter", "txtt",
                                          "nimbusmonl", "cmsltt",  "cmitt", "fixed" };

static bool has_part(const char *name, const char *const *parts, size_t n)
{
    char low[96];
    size_t k = 0;
    for (; name[k] && k < sizeof low - 1; k++)
        low[k] = name[k] >= 'A' && name[k] <= 'Z' ? (char)(name[k] + 32) : name[k];
    low[k] = '\0';
    for (size_t i = 0; i < n; i++)
        if (strstr(low, parts[i]))
            return true;
    return false;
}

static uint32_t hash_name(const char *name)
{
    uint32_t h = 2166136261u;
    const char *plus = strchr(name, '+'); /* a subset's tag: ABCDEF+Name */
    for (name = plus && plus - name == 6 ? plus + 1 : name; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

static uint32_t find_style(pdf_doc *d, const PopplerTextAttributes *a)
{
    const char *name = a->font_name ? a->font_name : "";
    const float size = a->font_size > 0 && a->font_size < 2000 ? (float)a->font_size : 0;
    pdf_style s = { .size = roundf(size * 10) / 10, .name = hash_name(name) };
    for (uint32_t i = PDF_N(pdf_style, d->styles); i-- > 0;) {
        const pdf_style *have = pdf_style_at(d, i);
        if (have->name == s.name && have->size == s.size)
            return i;
    }
    s.bold = has_part(name, bold_names, sizeof bold_names / sizeof *bold_names);
    s.mono = has_part(name, mono_names, sizeof mono_names / sizeof *mono_names);
    hone_text_add(&d->styles, (const char *)&s, sizeof s);
    return PDF_N(pdf_style, d->styles) - 1;
}

/* One character of the page as text; 0 bytes: nothing to read. */
static uint64_t put(pdf_doc *d, uint32_t cp, char out[4])
{
    static const char *const ligatures[] = { "ff", "fi", "fl", "ffi", "ffl", "st", "st" };
    if (cp >= 0xfb00 && cp <= 0xfb06) {
        const char *s = ligatures[cp - 0xfb00];
        memcpy(out, s, strlen(s));
        return strlen(s);
    }
    if (cp == 0xfffd || cp == 0) {
        d->unknown++;
        return 0;
    }
    if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x200b || cp == 0xfeff)
        return 0;
    if (cp == 0xf0b7 || cp == 0xf0a7 || cp == 0xf076 || cp == 0xf0d8)
        cp = 0x2022; /* bullets of symbol fonts */
    return hone_utf8_put(cp, out);
}

/* Letters by which a font of one width gives itself away. */
static void weigh(pdf_style *s, uint32_t cp, const PopplerRectangle *r)
{
    const float w = s->size > 0 ? (float)(r->x2 - r->x1) / s->size : 0;
    if (cp < 128 && strchr("ilj.,;", (int)cp) && cp) {
        s->narrow += w;
        s->n_narrow++;
    } else if (cp < 128 && strchr("mwMW", (int)cp) && cp) {
        s->wide += w;
        s->n_wide++;
    }
}

typedef struct builder {
    pdf_doc *d;
    double width, height;
    uint32_t first_word, first_char; /* of the chunk */
    pdf_word word;
    bool open;                   /* a word is */
    pdf_box box;                 /* of the last character */
    double x, y, last_x, last_y; /* centres of the chunk's first and last character */
    uint32_t chars;
} builder;

static void end_word(builder *b)
{
    if (b->open && b->word.n)
        hone_text_add(&b->d->words, (const char *)&b->word, sizeof b->word);
    b->open = false;
}

static void turn_back(pdf_box *box, uint8_t turn, double width, double height)
{
    const pdf_box o = *box;
    if (turn == 1) { /* read downwards */
        *box = (pdf_box){ o.y0, (float)width - o.x1, o.y1, (float)width - o.x0 };
    } else if (turn == 3) { /* read upwards */
        *box = (pdf_box){ (float)height - o.y1, o.x0, (float)height - o.y0, o.x1 };
    } else if (turn == 2) {
        *box = (pdf_box){ (float)width - o.x1, (float)height - o.y1, (float)width - o.x0,
                          (float)height - o.y0 };
    }
}

static uint8_t find_turn(const builder *b)
{
    const double dx = b->last_x - b->x, dy = b->last_y - b->y;
    if (b->chars < 2 || (fabs(dx) < 1 && fabs(dy) < 1))
        return 0;
    if (fabs(dy) > 2 * fabs(dx))
        return dy > 0 ? 1 : 3;
    return dx < 0 && fabs(dy) < 1 && b->chars > 3 ? 2 : 0;
}

uint32_t pdf_main_style(const pdf_doc *d, uint32_t word, uint32_t n)
{
    uint32_t best = pdf_word_at(d, word)->style, most = 0;
    for (uint32_t i = word; i < word + n && i < word + 32; i++) {
        uint32_t sum = 0;
        const uint32_t style = pdf_word_at(d, i)->style;
        for (uint32_t k = word; k < word + n; k++)
            sum += pdf_word_at(d, k)->style == style ? pdf_word_at(d, k)->chars : 0;
        if (sum > most) {
            most = sum;
            best = style;
        }
    }
    return best;
}

static void add_chunk(pdf_doc *d, uint32_t word, uint32_t n, uint8_t turn)
{
    pdf_chunk c = { .word = word, .n_words = n, .turn = turn };
    c.box = pdf_word_at(d, word)->box;
    for (uint32_t i = word; i < word + n; i++) {
        pdf_box_join(&c.box, &pdf_word_at(d, i)->box);
        c.chars += pdf_word_at(d, i)->chars;
    }
    c.style = pdf_main_style(d, word, n);
    hone_text_add(&d->chunks, (const char *)&c, sizeof c);
}

/* The words since the last line end are a chunk, or several if gaps are between them. */
static void end_chunk(builder *b)
{
    pdf_doc *d = b->d;
    end_word(b);
    const uint32_t n = PDF_N(pdf_word, d->words);
    const uint8_t turn = find_turn(b);
    uint32_t from = b->first_word;
    for (uint32_t i = from; i < n && turn; i++)
        turn_back(&pdf_word_at(d, i)->box, turn, b->width, b->height);
    for (uint32_t i = from; i < n && !d->words.failed; i++) {
        const pdf_word *w = pdf_word_at(d, i);
        const pdf_word *next = i + 1 < n ? w + 1 : NULL;
        const float em = pdf_style_at(d, w->style)->size;
        const float gap = pdf_style_at(d, w->style)->mono ? PDF_CELL_GAP : PIECE_GAP;
        if (!next || next->box.x0 - w->box.x1 > gap * em) {
            add_chunk(d, from, i + 1 - from, turn);
            from = i + 1;
        }
    }
    b->first_word = n;
    b->chars = 0;
}

static void add_char(builder *b, uint32_t cp, const PopplerRectangle *r, uint32_t style)
{
    pdf_doc *d = b->d;
    char bytes[4];
    const pdf_box box = { (float)r->x1, (float)r->y1, (float)r->x2, (float)r->y2 };
    const double x = (r->x1 + r->x2) / 2, y = (r->y1 + r->y2) / 2;
    const uint64_t n = put(d, cp, bytes);
    /* poppler puts two lines of a block on one when they stand beside each other: no blank */
    if (b->chars && n) {
        const pdf_box was = b->box;
        const float em = pdf_style_at(d, style)->size;
        if (!pdf_same_line(&was, &box) && box.x0 < was.x0 && box.y0 > was.y0 &&
            fabs(x - b->last_x) > fabs(y - b->last_y))
            end_chunk(b);
        else if (box.x0 - was.x1 > 0.22f * em || box.x1 < was.x0 - em)
            end_word(b);
    }
    b->box = box;
    if (!b->chars++) {
        b->x = x;
        b->y = y;
    }
    b->last_x = x;
    b->last_y = y;
    if (!n)
        return;
    if (!b->open) {
        b->word = (pdf_word){ .box = box, .text = (uint32_t)d->text.n, .style = style };
        b->open = true;
    }
    hone_text_add(&d->text, bytes, n);
    pdf_box_join(&b->word.box, &box);
    b->word.n += (uint32_t)n;
    b->word.chars++;
    pdf_style *s = pdf_style_at(d, style);
    s->chars++;
    weigh(s, cp, r);
}

/* Is there an image over at least a quarter of the page? */
static bool holds_image(PopplerPage *page, double width, double height)
{
    GList *images = poppler_page_get_image_mapping(page);
    bool large = false;
    for (const GList *i = images; i && !large; i = i->next) {
        const PopplerImageMapping *m = i->data;
        large = fabs((m->area.x2 - m->area.x1) * (m->area.y2 - m->area.y1)) > width * height / 4;
    }
    poppler_page_free_image_mapping(images);
    return large;
}

bool pdf_page_add(pdf_doc *d, void *p)
{
    PopplerPage *page = p;
    pdf_page out = { .chunk = PDF_N(pdf_chunk, d->chunks) };
    builder b = { .d = d, .first_word = PDF_N(pdf_word, d->words) };
    PopplerRectangle *boxes = NULL;
    guint n_boxes = 0, i = 0;
    char *text = poppler_page_get_text(page);
    (void)poppler_page_get_text_layout(page, &boxes, &n_boxes);
    GList *runs = poppler_page_get_text_attributes(page);
    const uint64_t n = text ? strlen(text) : 0;
    uint32_t style = PDF_NONE;

    poppler_page_get_size(page, &b.width, &b.height);
    out.width = (float)b.width;
    out.height = (float)b.height;
    const GList *run = NULL;
    for (uint64_t at = 0, k; at < n && i < n_boxes && !d->text.failed; at += k, i++) {
        uint32_t cp;
        k = hone_utf8_next(text + at, n - at, &cp);
        const bool ended = !run || (int)i > ((const PopplerTextAttributes *)run->data)->end_index;
        if (ended && (run ? run->next : runs)) {
            run = run ? run->next : runs;
            style = find_style(d, run->data);
        }
        if (cp == '\n') {
            end_chunk(&b);
        } else if (cp == ' ' || cp == '\t' || cp == 0xa0) {
            end_word(&b);
        } else if (style != PDF_NONE && !d->styles.failed) {
            if (b.open && b.word.style != style && !b.word.n)
                b.word.style = style;
            add_char(&b, cp, &boxes[i], style);
        }
    }
    end_chunk(&b);
    poppler_page_free_text_attributes(runs);
    g_free(boxes);
    g_free(text);
    out.n_chunks = PDF_N(pdf_chunk, d->chunks) - out.chunk;
    if (!out.n_chunks)
        out.image = holds_image(page, b.width, b.height);
    hone_text_add(&d->pages, (const char *)&out, sizeof out);
    return !d->text.failed && !d->words.failed && !d->chunks.failed && !d->styles.failed &&
           !d->pages.failed;
}

/* The size that most letters have, then its most used style. */
static void find_body(pdf_doc *d)
{
    const uint32_t n = PDF_N(pdf_style, d->styles);
    uint64_t most = 0;
    for (uint32_t i = 0; i < n; i++) {
        pdf_style *s = pdf_style_at(d, i);
        if (s->n_narrow > 20 && s->n_wide > 4 &&
            s->narrow / (float)s->n_narrow > 0.9f * s->wide / (float)s->n_wide)
            s->mono = true;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t sum = 0;
        for (uint32_t k = 0; k < n; k++)
            sum += fabsf(pdf_style_at(d, k)->size - pdf_style_at(d, i)->size) < 0.3f &&
                           !pdf_style_at(d, k)->mono
                       ? pdf_style_at(d, k)->chars
                       : 0;
        if (sum > most && !pdf_style_at(d, i)->mono) {
            most = sum;
            d->size = pdf_style_at(d, i)->size;
        }
    }
    most = 0;
    for (uint32_t i = 0; i < n; i++) {
        const pdf_style *s = pdf_style_at(d, i);
        if (!s->mono && fabsf(s->size - d->size) < 0.3f && s->chars > most) {
            most = s->chars;
            d->body = i;
        }
    }
    if (d->size <= 0)
        d->size = n && pdf_style_at(d, 0)->size > 0 ? pdf_style_at(d, 0)->size : 10;
}

void pdf_measure(pdf_doc *d)
{
    enum { BINS = 40 }; /* of a twentieth of the size, from 0.8 to 2.8 */
    uint32_t bins[BINS] = { 0 }, best = 8;
    find_body(d);
    for (uint32_t i = 1; i < PDF_N(pdf_chunk, d->chunks); i++) {
        const pdf_chunk *a = pdf_chunk_at(d, i - 1), *b = pdf_chunk_at(d, i);
        const float step = (b->box.y1 - a->box.y1) / d->size - 0.8f;
        if (a->style == b->style && fabsf(pdf_style_at(d, a->style)->size - d->size) < 0.3f &&
            fabsf(a->box.x0 - b->box.x0) < 1 && step > 0 && step < 2)
            bins[(int)(step * 20)]++;
    }
    for (uint32_t i = 1; i < BINS; i++)
        if (bins[i] + bins[i - 1] > bins[best] + bins[best - 1])
            best = i;
    d->leading = 0.8f + ((float)best + 0.5f) / 20;
}
