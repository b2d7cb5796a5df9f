/*
 * html_emit.h - what html_emit.c, which walks the tree, and html_table.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef READERS_HTML_EMIT_H
#define READERS_HTML_EMIT_H

#include "html_tree.h"

/* What text is in: on the C stack, as deep as the tree is. */
typedef struct place {
    const struct place *outer;
    uint32_t kind;  /* HONE_BLOCK_TEXT, _LIST or _QUOTE */
    uint32_t depth; /* of lists */
    uint64_t ordinal;
    bool *begun; /* of an item: its first block is out, what follows is text */
} place;

typedef struct writer {
    html_tree *t;
    const decoded *d;
    const hone_block_sink *sink;
    hone_error *err;
    hone_status st;
    hone_text buf;
    uint64_t start, end; /* of the leaf in the decoded document; start > end: nothing */
    bool space;          /* white space before the next text */
    bool verbatim;
    char in_cell;    /* ' ' or '\n': a cell or heading, where blocks are only that far apart */
    bool one_column; /* in a table whose cells are paragraphs */
    bool apart;      /* such a '\n' before the next text */
    bool term;       /* the leaf is the term of a definition, which follows */
} writer;

/* Drops the leaf so far. */
void emit_reset(writer *w);
/* Drops white space at its end. */
void emit_trim(writer *w);
/* The leaf so far becomes a block. */
void emit_flush(writer *w, const place *at);
/* Node i, and those under it, in reading order. */
void emit_walk(writer *w, uint32_t i, const place *at);
void emit_walk_children(writer *w, uint32_t i, const place *at);
void emit_table(writer *w, uint32_t i, const place *at);

#endif
