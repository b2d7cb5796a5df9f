/*
 * hone/reader.h - bytes of one document in, blocks out.
 *
 * A reader knows a file format and nothing of training: N formats and M recipes
 * stay N + M plugins.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HONE_READER_H
#define HONE_READER_H

#include "plugin.h"

HONE_BEGIN

#define HONE_BLOCK_TEXT 1    /* a paragraph                                */
#define HONE_BLOCK_HEADING 2 /* level 1..6                                 */
#define HONE_BLOCK_CODE 3    /* verbatim; lang is its language if known    */
#define HONE_BLOCK_TABLE 4   /* rows by '\n', cells by '\t'                */
#define HONE_BLOCK_LIST 5    /* one item; level is its depth, from 1       */
#define HONE_BLOCK_QUOTE 6

/* Text is valid UTF-8, without the format's own marks. FROZEN. */
typedef struct hone_block {
    uint32_t kind;  /* HONE_BLOCK_*                                   */
    uint32_t level; /* of a heading or list item; 0 otherwise         */
    hone_str text;
    hone_str lang;    /* of code; empty otherwise                       */
    uint64_t src_off; /* where in the document it came from ...         */
    uint64_t src_len; /* ... and how long; both 0 when not known; bytes,
                       * or what meta "unit" says                      */
    uint64_t ordinal; /* number of an ordered list's item; 0 otherwise  */
} hone_block;

HONE_STATIC_ASSERT(sizeof(void *) != 8 || sizeof(hone_block) == 64, "frozen");

/* What a piece of source code is. */
#define HONE_UNIT_FUNCTION 1  /* one that belongs to no class                              */
#define HONE_UNIT_METHOD 2    /* of a class: constructors, operators and accessors too     */
#define HONE_UNIT_CLASS 3     /* class, struct, record, union, object; an impl of Rust      */
#define HONE_UNIT_INTERFACE 4 /* interface, trait, protocol, annotation type                */
#define HONE_UNIT_ENUM 5      /* an enumeration                                            */
#define HONE_UNIT_MODULE 6    /* module, namespace                                         */
#define HONE_UNIT_PROPERTY 7  /* a member that is read like a field and has code behind it */
#define HONE_UNIT_MACRO 8     /* with or without parameters                                */
#define HONE_UNIT_COMMENT 9   /* words for people, a docstring too; doc is what they say   */

#define HONE_UNIT_BROKEN 1u /* parts of it did not parse                        */
#define HONE_UNIT_DOC 2u    /* of a comment: its words are in the doc of parent */

/* A piece of source code: a function, what holds functions, or a comment. It stands in the text
 * of one block of kind code; [start, end) are bytes of that text, and so are the other
 * places in it. A unit comes after the unit that holds it, and in the order of `start`. FROZEN.
 *
 *   start      of the comment that leads it; else of head
 *   head       of the declaration itself, from its decorators or modifiers on
 *   body, end  of the statements; the marks around them ("{", "}") belong to them. Both 0: none
 */
typedef struct hone_unit {
    uint32_t kind, flags; /* HONE_UNIT_*                                              */
    uint64_t parent;      /* 1 + index of the unit that holds it; 0: none             */
    uint64_t block;       /* index of the block whose text it is in                   */
    uint64_t start, end, head;
    uint64_t body, body_end;
    hone_str name;             /* "find"; empty for a comment                              */
    hone_str scope;            /* names of what holds it: "shop.Cart"; empty at the top    */
    hone_str signature;        /* the declaration without its body, on one line            */
    hone_str doc;              /* leading comment and docstring, without comment marks     */
    uint64_t src_off, src_len; /* bytes of the document, as of a block               */
} hone_unit;

HONE_STATIC_ASSERT(sizeof(void *) != 8 || sizeof(hone_unit) == 144, "frozen");

/* The document's bytes, borrowed for the call. */
typedef struct hone_source {
    uint32_t struct_size, reserved;
    hone_str name; /* path as the user gave it; for messages and extensions only */
    hone_str bytes;
} hone_source;

/* Where blocks go. Everything is copied before add() returns. A failing add()
 * ends the reading: return its status. */
typedef struct hone_block_sink {
    uint32_t struct_size, reserved;
    void *ctx;
    hone_status (*add)(const struct hone_block_sink *sink, const hone_block *block,
                       hone_error *err);
    /* Something of the document was not understood and left out, `bytes` long, because
     * of `why` (a short phrase, the same for the same cause): counted and
     * named in the report. Nothing is dropped in silence. */
    void (*lost)(const struct hone_block_sink *sink, uint64_t bytes, const char *why);
    /* Metadata of the document: "title", "author", "date", ... "unit", before the first block,
     * says what src_off and src_len count, from 0, where the file's bytes say nothing to a
     * reader of it: "page", "paragraph". "language" says that it is source code, and in which:
     * only recipes that take source code get it (HONE_COMPONENT_CODE). */
    hone_status (*meta)(const struct hone_block_sink *sink, const char *key, hone_str value,
                        hone_error *err);
    /* Something to know about the document that left nothing out, in one line: "read as
     * windows-1252", "no text on pages 3, 7-9". Named in the report. */
    void (*note)(const struct hone_block_sink *sink, const char *line);
    /* A piece of source code in a block that was added. */
    hone_status (*unit)(const struct hone_block_sink *sink, const hone_unit *unit, hone_error *err);
} hone_block_sink;

typedef struct hone_reader {
    uint32_t struct_size, reserved;
    /* config: the struct of the component's rows, borrowed until destroy(). [main] */
    hone_status (*create)(const hone_host *host, const void *config, void **self, hone_error *err);
    void (*destroy)(void *self); /* NULL is fine [main] */
    /* One document. Not this format after all: HONE_ERR_FORMAT with what was
     * expected. HONE_ERR_SKIP: leave the document out, err says why. [worker] */
    hone_status (*read)(void *self, const hone_source *source, const hone_block_sink *sink,
                        hone_error *err);
} hone_reader;

HONE_END

#endif /* HONE_READER_H */
