/*
 * docx.h - private to the reader `docx`.
 *
 *   docx.c         the plugin; what a file is, what it says of itself
 *   docx_parts.c   the zip archive: parts and relations between them
 *   docx_xml.c     a part's XML as events with known names
 *   docx_styles.c  styles and numbering: what a paragraph is
 *   docx_notes.c   notes, and text of parts that is only counted
 *   docx_body.c    the text: events -> paragraphs, tables, notes
 *   docx_run.c     tabs, symbols, marks of notes and fields in it
 *   docx_emit.c    those as blocks
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef READERS_DOCX_H
#define READERS_DOCX_H

#include <stdbool.h>

#include "hone/reader.h"
#include "hone/text.h"

/* ----------------------------------------------------------------------- parts */

typedef struct docx_part {
    uint32_t name, n_name; /* in parts.names; without a leading '/' */
    uint64_t at, n;        /* in parts.bytes */
} docx_part;

typedef struct docx_parts {
    const hone_host *host;        /* borrowed */
    hone_text names, bytes, list; /* list: of docx_part */
    uint64_t n_images;            /* files under media/ */
} docx_parts;

/* Unpacks every part of XML, within limits. */
hone_status docx_parts_open(docx_parts *p, const hone_host *host, hone_str file, int64_t max_bytes,
                            hone_error *err);
void docx_parts_finish(docx_parts *p);
const docx_part *docx_parts_find(const docx_parts *p, hone_str name); /* NULL: none */
hone_str docx_parts_name(const docx_parts *p, const docx_part *part);
hone_str docx_parts_bytes(const docx_parts *p, const docx_part *part);

/* ------------------------------------------------------------------------- XML */

/* Local names that mean something to the reader. */
/* clang-format off */
#define DOCX_NAMES(X) \
    X(AlternateContent) X(Choice) X(Fallback) X(Relationship) X(abstractNum) X(abstractNumId) \
    X(altChunk) X(basedOn) X(body) X(br) X(chart) X(commentReference) X(cr) X(created) \
    X(creator) X(date) X(del) X(docDefaults) X(endnote) X(endnoteReference) X(fldChar) \
    X(footnote) X(footnoteReference) X(gridBefore) X(gridSpan) X(hidden) X(id) X(ilvl) X(ins) \
    X(lvl) X(lvlOverride) X(moveFrom) X(name) X(noBreakHyphen) X(num) X(numFmt) X(numId) \
    X(numPr) X(numStyleLink) X(object) X(oMath) X(outlineLvl) X(p) X(pPr) X(pPrChange) \
    X(pStyle) X(pic) X(pict) X(r) X(rPr) X(rPrChange) X(rt) X(sdtPr) X(sectPr) X(sectPrChange) \
    X(softHyphen) X(start) X(startOverride) X(style) X(sym) X(t) X(tab) X(tbl) X(tblPrChange) \
    X(tc) X(tcPrChange) X(title) X(tr) X(trPrChange) X(txbxContent) X(vMerge) X(vanish)
/* clang-format on */

typedef enum docx_name {
    DOCX_OTHER,
#define X(n) DOCX_##n,
    DOCX_NAMES(X)
#undef X
        DOCX_N_NAMES
} docx_name;

/* Kinds of namespaces; transitional and strict alike. */
typedef enum docx_space { DOCX_W, DOCX_M, DOCX_MC, DOCX_ELSEWHERE } docx_space;

typedef struct docx_xml docx_xml;
struct docx_xml {
    const hone_host *host; /* borrowed */
    const char *part;      /* borrowed: for messages */
    void *ctx;
    /* False: neither this element nor what is in it, nor its end. */
    bool (*start)(docx_xml *x, docx_space space, docx_name name);
    void (*end)(docx_xml *x, docx_space space, docx_name name);
    void (*text)(docx_xml *x, const char *p, uint64_t n);

    hone_status st; /* set by a callback: the parser stops */
    hone_error *err;

    /* private */
    void *parser;
    const void *keys[256]; /* interned names, by address */
    uint8_t values[256];
    const void *uri[4]; /* the last namespaces seen, and what they are */
    docx_space uri_is[4];
    uint32_t n_uri;
    const unsigned char **attributes;
    int n_attributes;
    uint32_t skipping; /* elements open below one that is left out */
    bool has_dtd;
};

hone_status docx_xml_parse(docx_xml *x, hone_str bytes, hone_error *err);
/* In start(): an attribute's value by its local name; p NULL: none. */
hone_str docx_attribute(const docx_xml *x, const char *name);
/* Its value as a number; `otherwise` when it is none. */
int64_t docx_number(const docx_xml *x, const char *name, int64_t otherwise);
/* An element that switches something on: <w:vanish/>, not <w:vanish w:val="0"/>. */
bool docx_is_on(const docx_xml *x);

/* --------------------------------------------------------------------- styles */

typedef enum docx_role { ROLE_TEXT, ROLE_TITLE, ROLE_QUOTE, ROLE_CODE, ROLE_CONTENTS } docx_role;

typedef struct docx_style {
    uint64_t id, based_on; /* hashes; 0: none */
    int8_t outline;        /* 0..8: a heading; 9: text; -1: as the style it is based on */
    int8_t level;          /* of its list; -1: as above */
    int64_t num;           /* -1: as above; 0: no list */
    uint8_t role, has_role;
} docx_style;

typedef struct docx_level {
    int64_t abstract;
    int32_t level;
    int64_t start;
    bool bullet, none;
    int64_t count; /* while reading: the number of the last item; INT64_MIN: none yet */
} docx_level;

typedef struct docx_num {
    int64_t id, abstract;
} docx_num;

typedef struct docx_override {
    int64_t num;
    int32_t level;
    int64_t start;
    bool used;
} docx_override;

typedef struct docx_styles {
    hone_text styles, levels, nums, overrides,
        links; /* links: abstract -> style, as docx_style.id */
} docx_styles;

void docx_styles_init(docx_styles *s, const hone_host *host);
void docx_styles_finish(docx_styles *s);
hone_status docx_styles_read(docx_styles *s, const hone_host *host, hone_str styles,
                             hone_str numbering, hone_error *err);
uint64_t docx_hash(hone_str s); /* never 0 */

/* A paragraph's own words, and what they come to with its styles. */
typedef struct docx_look {
    uint64_t style;  /* hash; 0: none */
    int32_t outline; /* -1: not said */
    int64_t num;     /* -1: not said */
    int32_t level;   /* of the list; -1: not said */
    docx_role role;  /* after docx_look_up() */
} docx_look;
void docx_look_up(const docx_styles *s, docx_look *look);
/* The next number in a list: 0: a bullet; -1: no mark at all. */
int64_t docx_next_number(docx_styles *s, int64_t num, int32_t level);

/* ----------------------------------------------------------------------- blocks */

/* Blocks on their way: while a text box or a table is open they wait. */
typedef struct docx_store {
    hone_text list, text; /* list: of hone_block, text.p the offset in text */
} docx_store;

typedef struct docx_out {
    const hone_host *host;       /* borrowed */
    const hone_block_sink *sink; /* borrowed */
    hone_error *err;
    hone_status st;
    docx_store boxes, cells;
    uint32_t box_depth, table_depth;
    hone_text grid; /* the outermost table */
    uint64_t row_start, cell_start;
    uint32_t column, most_columns, span;
    uint64_t table_from;
    hone_text joined; /* code, or a table of contents, that may go on */
    hone_block open;  /* what it is; kind 0: none */
} docx_out;

void docx_out_init(docx_out *o, const hone_host *host, const hone_block_sink *sink,
                   hone_error *err);
void docx_out_finish(docx_out *o);
/* text is copied; join: goes on with the block before if that is of its kind. */
void docx_put(docx_out *o, hone_block block, bool join);
void docx_put_boxes(docx_out *o); /* text boxes of the paragraph that has ended */
void docx_flush(docx_out *o);     /* joined blocks */
void docx_table_start(docx_out *o, uint64_t paragraph);
void docx_table_end(docx_out *o, uint64_t paragraph);
void docx_row_start(docx_out *o);
void docx_row_end(docx_out *o);
void docx_cell_start(docx_out *o);
void docx_cell_end(docx_out *o);
void docx_cells_before(docx_out *o, int64_t n); /* a row that begins at a later column */

/* ------------------------------------------------------------------------ body */

typedef struct docx_counts { /* left out, in bytes of text or in pieces */
    uint64_t hidden, ruby, edges, images, charts, objects, comments, symbols, chunks;
} docx_counts;

typedef struct docx_note {
    int64_t id;
    uint64_t at, n;
} docx_note;

typedef struct docx_notes {
    hone_text list, text; /* list: of docx_note */
} docx_notes;

/* Texts of footnotes.xml or endnotes.xml by id. */
hone_status docx_notes_read(docx_notes *n, const hone_host *host, hone_str bytes, const char *part,
                            hone_error *err);
void docx_notes_finish(docx_notes *n);
const docx_note *docx_find_note(const docx_notes *n, int64_t id); /* NULL: none */
/* How note number n is marked: [3], or [iii] at the end of the document (kind 1). */
void docx_note_mark(int kind, uint32_t n, char out[40]);
/* Blanks of other kinds become blanks; where a word may break is not written. */
void docx_add_text(hone_text *t, const char *p, uint64_t n);
hone_status docx_body_read(docx_out *o, docx_styles *styles, const docx_notes *footnotes,
                           const docx_notes *endnotes, docx_counts *counts, hone_str bytes,
                           const char *part, hone_error *err);
/* Bytes of text in a part that is left out. */
hone_status docx_count_text(uint64_t *n, const hone_host *host, hone_str bytes, const char *part,
                            hone_error *err);

#endif /* READERS_DOCX_H */
