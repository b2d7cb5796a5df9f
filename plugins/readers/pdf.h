/*
 * pdf.h - private to the reader `pdf`: a document as words, chunks and rows.
 *
 *   pdf.c           the plugin; opening a document, and what it says of itself
 *   pdf_page.c      a page of poppler -> words and chunks
 *   pdf_edges.c     running headers and footers, page numbers, watermarks
 *   pdf_order.c     chunks -> rows in reading order
 *   pdf_headings.c  which rows are headings: the outline, then size and weight
 *   pdf_table.c     rows that are a table
 *   pdf_words.c     which words a document knows, which mark items
 *   pdf_blocks.c    rows -> paragraphs, items, code: the blocks
 *
 * Lengths are points, y grows downwards. All arrays are in host memory; words, chunks and rows
 * are named by index.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef READERS_PDF_H
#define READERS_PDF_H

#include <stdbool.h>

#include "hone/reader.h"
#include "hone/text.h"

#define PDF_NONE UINT32_MAX
#define PDF_CELL_GAP 1.6f /* em: words of one line with more between them are apart */

typedef struct pdf_box {
    float x0, y0, x1, y1;
} pdf_box;

/* A font at a size. */
typedef struct pdf_style {
    float size;
    uint32_t name; /* hash of the font's name */
    bool bold, mono;
    uint32_t level;    /* of headings set in it, 1..6; 0: none is known */
    uint64_t chars;    /* in the document */
    float narrow;      /* widths of narrow and wide letters, summed, in units of the size ... */
    float wide;        /* ... */
    uint32_t n_narrow; /* ... and how many */
    uint32_t n_wide;
} pdf_style;

typedef struct pdf_word {
    pdf_box box;
    uint32_t text, n; /* in doc.text */
    uint32_t chars;
    uint32_t style;
} pdf_word;

/* What poppler holds for one line: words with no wide gap between them. Until rows are made, gaps
 * that may be gutters part them as well. */
typedef struct pdf_chunk {
    pdf_box box;
    uint32_t word, n_words;
    uint32_t style; /* of most of its characters */
    uint32_t chars;
    uint8_t turn;  /* quarter turns of its text; the box is turned back */
    bool left_out; /* header, footer, watermark */
} pdf_chunk;

typedef struct pdf_page {
    uint32_t chunk, n_chunks;
    float width, height;
    bool image;   /* holds one that covers a good part of it */
    float gutter; /* of its main text; 0: none */
} pdf_page;

/* Chunks on one line of one column, from left to right. */
typedef struct pdf_row {
    pdf_box box;
    uint32_t first, n; /* in doc.order */
    uint32_t style, chars;
    uint32_t page, column; /* columns are numbered in reading order through the document */
    float left, right;     /* of the column */
    uint8_t level;         /* of a heading; 0: none */
    bool joins;            /* goes on with the heading of the row before */
    uint16_t run_in;       /* words at its beginning that are a heading of this level ... */
    uint8_t run_level;     /* ... before text that goes on in the line */
} pdf_row;

typedef struct pdf_doc {
    const hone_host *host; /* borrowed */
    hone_text text, styles, words, chunks, pages, order, rows;
    uint32_t body;    /* style of most text that is no code */
    float size;       /* its size */
    float leading;    /* distance of lines in units of the size */
    uint32_t columns; /* numbered so far */
    uint64_t edges;   /* bytes of headers, footers, page numbers */
    uint64_t marks;   /* bytes of watermarks */
    uint64_t unknown; /* characters without a Unicode value */
    bool no_memory;
} pdf_doc;

#define PDF_AT(type, array, i) ((type *)(void *)(array).p + (i))
#define PDF_N(type, array) ((uint32_t)((array).n / sizeof(type)))

static inline pdf_style *pdf_style_at(const pdf_doc *d, uint32_t i)
{
    return PDF_AT(pdf_style, d->styles, i);
}
static inline pdf_word *pdf_word_at(const pdf_doc *d, uint32_t i)
{
    return PDF_AT(pdf_word, d->words, i);
}
static inline pdf_chunk *pdf_chunk_at(const pdf_doc *d, uint32_t i)
{
    return PDF_AT(pdf_chunk, d->chunks, i);
}
static inline pdf_page *pdf_page_at(const pdf_doc *d, uint32_t i)
{
    return PDF_AT(pdf_page, d->pages, i);
}
static inline pdf_row *pdf_row_at(const pdf_doc *d, uint32_t i)
{
    return PDF_AT(pdf_row, d->rows, i);
}
/* Chunk number k of a row. */
static inline pdf_chunk *pdf_cell(const pdf_doc *d, const pdf_row *r, uint32_t k)
{
    return pdf_chunk_at(d, *PDF_AT(uint32_t, d->order, r->first + k));
}
static inline hone_str pdf_word_text(const pdf_doc *d, const pdf_word *w)
{
    return (hone_str){ d->text.p + w->text, w->n };
}
static inline float pdf_min(float a, float b)
{
    return a < b ? a : b;
}
static inline float pdf_max(float a, float b)
{
    return a > b ? a : b;
}
static inline void pdf_box_join(pdf_box *a, const pdf_box *b)
{
    a->x0 = pdf_min(a->x0, b->x0);
    a->y0 = pdf_min(a->y0, b->y0);
    a->x1 = pdf_max(a->x1, b->x1);
    a->y1 = pdf_max(a->y1, b->y1);
}
/* Do two boxes stand on one line? */
bool pdf_same_line(const pdf_box *a, const pdf_box *b);

/* page: a PopplerPage. False: no memory. */
bool pdf_page_add(pdf_doc *d, void *page);
/* The style that most characters of n words have. */
uint32_t pdf_main_style(const pdf_doc *d, uint32_t word, uint32_t n);
/* What is known once all pages are there: the text's own style, its leading. */
void pdf_measure(pdf_doc *d);

/* Marks chunks as left out and counts them. False: no memory. */
bool pdf_edges(pdf_doc *d);
/* Rows in reading order. False: no memory. */
bool pdf_order(pdf_doc *d);
/* document: a PopplerDocument. False: no memory. */
bool pdf_headings(pdf_doc *d, void *document);

/* A row's text: words by blanks; gaps between chunks become `gap`. */
void pdf_row_text(const pdf_doc *d, const pdf_row *r, const char *gap, hone_text *out);
/* Rows from `row` on that are a table: how many; 0: none. */
uint32_t pdf_table_rows(const pdf_doc *d, uint32_t row);
void pdf_table_text(const pdf_doc *d, uint32_t row, uint32_t n, hone_text *out);
/* The first word of a row is a mark of a list: the words it takes and the number (0: a bullet or a
 * letter); *keep: the mark belongs to the text. 0: none. */
uint32_t pdf_list_mark(const pdf_doc *d, const pdf_row *r, uint64_t *ordinal, bool *keep);

/* Word number n of a row; NULL: it has fewer. */
const pdf_word *pdf_word_of(const pdf_doc *d, const pdf_row *r, uint32_t n);

/* The document's words as a set of hashes; start from an empty text. False: no memory. */
bool pdf_words_learn(hone_text *known, const pdf_doc *d);
/* Is head, between and tail, written together, a word of the document? */
bool pdf_words_have(const hone_text *known, hone_str head, const char *between, hone_str tail);
bool pdf_is_letter(char c);

hone_status pdf_blocks(pdf_doc *d, const hone_block_sink *sink, hone_error *err);

#endif /* READERS_PDF_H */
