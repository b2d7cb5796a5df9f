/*
 * code.h - private to the reader `code`: languages, and the units of one file.
 *
 *   code_lang.c   <language>.lang and libtree-sitter-<language>.so: one language
 *   code_find.c   which languages there are, and of which a file is
 *   code_walk.c   syntax tree -> units
 *   code_mask.c   text with C's preprocessor in it, without
 *   code_merge.c  units of several parses of one text
 *   code_words.c  words of comments, signatures, scopes
 *   code.c        the plugin
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef READERS_CODE_H
#define READERS_CODE_H

#include <tree_sitter/api.h>

#include "decode.h"

#define MAX_FIELDS 4 /* of one role in a row                */
#define MAX_NAMED 12 /* parents that may name a node        */

/* What a node of the syntax tree is to the reader. */
#define NODE_COMMENT 1u    /* words for people                                              */
#define NODE_BEFORE 2u     /* stands before a declaration and belongs to it: an attribute   */
#define NODE_WRAP 4u       /* holds one declaration and belongs to it: "export ..."          */
#define NODE_THROUGH 8u    /* invisible between a node and the parent that names it        */
#define NODE_FINAL 16u     /* a declarator that is the name itself                          */
#define NODE_DOCSTRING 32u /* a string that is documentation when it stands first in a body */

/* A name that a parent gives to a node: "variable_declarator.name", "export_statement:default". */
typedef struct lang_named {
    TSSymbol parent;
    TSFieldId field;  /* 0: word is the name */
    const char *word; /* borrowed from the table's text */
} lang_named;

/* A `unit` line. */
typedef struct lang_unit {
    uint32_t kind; /* HONE_UNIT_* */
    bool bodyless; /* counts without a body too                        */
    bool rest;     /* holds what follows it, up to the end of its parent */
    bool last;     /* its last named child is its name                  */
    TSFieldId name, scope;
    TSFieldId body[MAX_FIELDS];
    const char *called; /* borrowed: the name of all of them, or NULL */
    lang_named named[MAX_NAMED];
    uint32_t n_named;
} lang_unit;

typedef struct language {
    char *table;          /* owned: the text of <stem>.lang; its words end in '\0' */
    char *stem;           /* owned: "c-sharp"                                     */
    const char *name;     /* borrowed: "csharp"                                   */
    const char *scope;    /* borrowed: what stands between names: ".", "::"       */
    void *so;             /* owned: of dlopen                                     */
    const TSLanguage *ts; /* NULL: there is no grammar, or it cannot be used ...  */
    char why[96];         /* ... for this reason: ": its ABI is 15"; "" for none  */
    uint8_t *nodes;       /* owned: NODE_* by symbol                                       */
    uint16_t *units;      /* owned: by symbol, 1 + index into rows                         */
    TSFieldId *qualified; /* owned: by symbol, the field that holds the name's last part   */
    uint32_t n_symbols;
    bool marked[256];  /* by byte: a text of `marks` begins with it */
    hone_text rows;    /* of lang_unit */
    TSFieldId chain;   /* of declarators; 0: none */
    bool docstrings;   /* it has any              */
    bool preprocessor; /* text of it may need code_mask() */
    /* lists of words, each ending in '\0', one more '\0' at the end */
    hone_text extensions, also, files, shebangs, marks;
} language;

typedef struct languages {
    const hone_host *host; /* borrowed */
    hone_text list;        /* of language */
} languages;

/* All languages of the folders: `folders` first, then HONE_GRAMMARS (a list with ':'), the user's
 * own, and `grammars` beside the plugin; the first of a name counts. A table that is wrong is an
 * error; a grammar that cannot be used is noted in language.why. */
hone_status languages_load(languages *l, const hone_host *host, const hone_list *folders,
                           hone_error *err);
void languages_finish(languages *l);
/* By name, extension, or the first line of the text; NULL: none. *second: another language to try
 * when the text does not parse, or NULL. */
const language *languages_find(const languages *l, hone_str name, hone_str text,
                               const language **second);

/* Adds <folder>/<stem>.lang and its grammar to the list. */
hone_status language_load(languages *all, const char *folder, const char *stem, size_t n_stem,
                          hone_error *err);
void language_finish(language *l, const hone_host *host);
/* Copies on the host's memory; NULL: none. */
char *code_copy(const hone_host *host, const char *p, size_t n);
char *code_join(const hone_host *host, const char *a, const char *b, const char *c);

static inline const language *language_at(const languages *l, uint64_t i)
{
    return (const language *)(const void *)l->list.p + i;
}

/* --------------------------------------------------------------------- code_walk.c */

/* A unit while its file is read; places are bytes of the text. */
typedef struct found {
    uint32_t kind, flags;
    uint32_t start, end, head, body, body_end;
    uint32_t name, name_end;   /* of the text ...                       */
    const char *called;        /* ... or this; borrowed, NULL: the text */
    uint32_t scope, scope_end; /* what its name says of where it belongs */
    uint32_t order;            /* of finding, for equal places           */
    uint32_t pass;             /* 0: of the text as it is; else of masked[pass - 1]   */
    bool dropped, phantom;     /* of code_merge.c                                     */
    uint64_t parent;           /* 1 + index once they are in order       */
} found;

typedef struct walk {
    const hone_host *host; /* borrowed */
    const language *lang;  /* borrowed */
    hone_str text;         /* borrowed */
    hone_text units;       /* of found: units and comments */
    hone_text levels;      /* of level: nodes above the one at hand */
    uint64_t error_bytes;  /* of code that did not parse */
    uint32_t error_end;
    uint32_t pass;      /* of found */
    uint32_t mark;      /* place of the next text of the language's `marks` */
    hone_str masked[2]; /* borrowed: the texts of passes 1 and 2 */
} walk;

/* Units and comments of the tree in the order of hone/reader.h. Start from { .host, .lang, .text } and
 * finish it, after a failure too. */
hone_status walk_tree(walk *w, const TSTree *tree, hone_error *err);
void walk_finish(walk *w);
/* Puts units in order and says what holds what. */
void walk_arrange(walk *w);

/* Text with one branch of each #if, the first or the last, and without macros that are attributes;
 * all else stays in its place. out: filled anew. */
hone_status code_mask(hone_str text, bool last, hone_text *out, hone_error *err);
/* Adds what the walk over a masked text found; walk_arrange() is to follow. */
hone_status code_merge(walk *w, const walk *more, hone_error *err);

static inline const found *found_at(const walk *w, uint64_t i)
{
    return (const found *)(const void *)w->units.p + i;
}

static inline uint64_t found_n(const walk *w)
{
    return w->units.n / sizeof(found);
}

/* -------------------------------------------------------------------- code_words.c */

/* The words of a comment or docstring, added to out. */
void words_of_comment(hone_str comment, hone_text *out);
/* Of unit i, on one line, without comments, added to out. */
void words_of_signature(const walk *w, uint64_t i, hone_text *out);
/* The names of what holds unit i. */
void words_of_scope(const walk *w, uint64_t i, hone_text *out);
/* The words of all its comments that are doc. */
void words_of_doc(const walk *w, uint64_t i, hone_text *out);

#endif /* READERS_CODE_H */
