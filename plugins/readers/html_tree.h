/*
 * html_tree.h - private to the reader `html`: the tree, what its elements are, what is left out.
 *
 *   html_tree.c   bytes -> tree, with libxml2's parser
 *   html_words.c  tables: elements, and words in class, id and role
 *   html_main.c   which parts are the document's own text
 *   html_emit.c   tree -> blocks, html_table.c its tables
 *   html.c        the plugin
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef READERS_HTML_TREE_H
#define READERS_HTML_TREE_H

#include "decode.h"

/* What an element does to the text in it. */
enum html_act {
    ACT_INLINE, /* nothing; elements that are not known */
    ACT_BLOCK,  /* text before, in and after it are apart */
    ACT_HEADING,
    ACT_PRE,
    ACT_BREAK, /* a line end */
    ACT_RULE,
    ACT_LIST, /* ul */
    ACT_ORDERED,
    ACT_ITEM,
    ACT_DEFINITIONS,
    ACT_TERM,
    ACT_DEFINITION,
    ACT_QUOTE,
    ACT_TABLE,
    ACT_ROW,
    ACT_CELL,
    ACT_CAPTION,
    ACT_IMAGE,
    ACT_RAISED, /* sup */
    ACT_CITED,  /* q */
    ACT_TITLE,
    ACT_FORM,
    ACT_HEADER,
    ACT_FOOTER,
    ACT_ASIDE,
    ACT_MAIN,
    ACT_ARTICLE,
    ACT_SECTION,
    ACT_LINK,
    ACT_LEAVE_OUT, /* with the reason in the row */
};

/* Why a part is left out. */
enum html_reason {
    KEPT,
    R_CODE, /* scripts, styles, templates */
    R_NAV,
    R_PAGE, /* headers and footers of the page */
    R_HIDDEN,
    R_FORM,
    R_MEDIA,
    R_NUMBERS, /* of lines, beside code */
    R_OUTSIDE, /* not in the main text */
    N_REASONS,
};
extern const char *const html_reasons[N_REASONS];

typedef struct html_tag {
    const char *name;
    uint8_t act;   /* ACT_* */
    uint8_t value; /* level of a heading; reason of what is left out */
} html_tag;
/* The row of a lower-case name; never NULL. */
const html_tag *html_tag_find(const char *name);

/* What a word in class, id or role says about an element. */
#define WORD_LEFT_OUT 1u   /* always, unless it holds most of the text; the reason in `reason` */
#define WORD_IF_LINKS 2u   /* left out as navigation when most of its text is links */
#define WORD_MAIN 4u       /* holds the main text, if it holds most of the text */
#define WORD_ADMONITION 8u /* a note in the text: its heading is no section but a label */
#define WORD_PERMALINK 16u /* the mark beside a heading */
#define WORD_LAYOUT 32u    /* a table that only places things */
#define WORD_TITLE 64u     /* a <div> that stands for <h1> */
#define WORD_LABEL 128u    /* the heading of a note, whatever its element */
typedef struct html_word {
    const char *word;
    uint8_t says;   /* WORD_* */
    uint8_t reason; /* R_* */
} html_word;
const html_word *html_word_find(const char *p, size_t n); /* NULL: nothing */
/* Is the text of a link one of "next", "up", "home", ...? */
bool html_is_nav_text(const char *p, size_t n);
/* The language a class names ("language-c", "highlight-python3"; on code also "c"); n = 0: none. */
hone_str html_class_lang(hone_str classes, bool code);

#define NODE_LINK 0x100u    /* an <a href>                             */
#define NODE_NAV 0x200u     /* a link to a neighbour: "next", rel=prev */
#define NODE_IN_PAGE 0x400u /* a link into this page, "#..."           */

/* An element or a piece of text. Indices into tree.nodes; 0 is the root, so 0 also means none. */
typedef struct html_node {
    const html_tag *tag; /* NULL: text */
    uint32_t parent, first, last, next;
    uint32_t flags;     /* NODE_*, WORD_* */
    uint8_t reason;     /* R_*; KEPT while it stays */
    uint8_t named;      /* R_* that its name speaks for; KEPT: none */
    uint8_t admonition; /* itself or an ancestor is one */
    uint8_t lang_n;
    uint16_t span;               /* of a cell: columns; of an ordered list, its first number */
    uint16_t rows;               /* of a cell */
    uint32_t start, end;         /* of text: in the decoded document */
    uint32_t text, text_n;       /* in tree.text: of text; of an element, its lang at text */
    uint32_t kept, linked;       /* bytes of text below that stay; those in links; no white space */
    uint16_t links, navs, inner; /* links below: all, to neighbours, into the page; stop at 65535 */
} html_node;

/* A text rewritten for libxml2: see html_refs.c. edits.n == 0: as it was, text is empty. */
typedef struct html_refs {
    hone_text text, edits;
} html_refs;
hone_status html_refs_write(html_refs *r, const hone_host *host, hone_str text, hone_error *err);
uint64_t html_refs_source(const html_refs *r, uint64_t at); /* a place in it to one before */
void html_refs_finish(html_refs *r);

typedef struct html_tree {
    const hone_host *host; /* borrowed */
    hone_text nodes;       /* of html_node; in document order, parents first */
    hone_text text;
    hone_text title;
    uint64_t lost[N_REASONS]; /* bytes of text */
    uint64_t parsed;          /* how far the parser came */

    /* while it is built */
    void *parser; /* htmlParserCtxtPtr */
    html_refs refs;
    const char *p;     /* the decoded document, rewritten by refs; n bytes */
    uint64_t n, seen;  /* end of the last event */
    hone_text open;    /* of uint32_t: open elements */
    uint32_t too_deep; /* open elements below MAX_DEPTH, which are not in the tree */
    bool failed;
    const hone_block_sink *sink;
    hone_status st;
    hone_error *err;
} html_tree;

static inline html_node *html_at(const html_tree *t, uint32_t i)
{
    return (html_node *)(void *)t->nodes.p + i;
}

static inline uint32_t html_n(const html_tree *t)
{
    return (uint32_t)(t->nodes.n / sizeof(html_node));
}

static inline bool html_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

hone_status html_tree_build(html_tree *t, const hone_host *host, hone_str text,
                            const hone_block_sink *sink, hone_error *err);
void html_tree_finish(html_tree *t);

/* Mark what is left out (reason) and count it; the root of the main text and, when the page's only
 * h1 stands outside it, that h1 (else 0). */
uint32_t html_main(html_tree *t, uint32_t *outer_heading);

hone_status html_emit(html_tree *t, uint32_t root, uint32_t outer_heading, const decoded *d,
                      const hone_block_sink *sink, hone_error *err);

#endif /* READERS_HTML_TREE_H */
