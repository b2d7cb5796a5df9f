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
     * reader of it: "page", "paragraph". */
    hone_status (*meta)(const struct hone_block_sink *sink, const char *key, hone_str value,
                        hone_error *err);
    /* Something to know about the document that left nothing out, in one line: "read as
     * windows-1252", "no text on pages 3, 7-9". Named in the report. */
    void (*note)(const struct hone_block_sink *sink, const char *line);
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
