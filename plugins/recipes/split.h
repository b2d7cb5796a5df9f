/*
 * split.h - blocks of a document in, pieces of text of a token budget out; what the recipes
 * share.
 *
 * A piece is rendered as Markdown, whose marks language models know best: "## " before
 * headings, "- " or "3. " before list items, "> " before quoted lines, cells apart by " | ",
 * fences around code. Pieces are cut between blocks; inside a block after a sentence (code,
 * tables: a line), after a line, after a word, between characters, the first of these that
 * leaves the piece at least half full. Code and tables stay whole when they fit, headings stay
 * with what follows. White space at a cut is left out; nothing else is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RECIPES_SPLIT_H
#define RECIPES_SPLIT_H

#include <stdbool.h>

#include "hone/recipe.h"
#include "hone/text.h"
#include "sentence.h"

#define SPLIT_MIN_BUDGET 16
#define SPLIT_MAX_BUDGET 1048576
#define SPLIT_LEVELS 6        /* of headings */
#define SPLIT_MAX_HEADING 512 /* bytes; a longer one is a reader's mistake, taken as a paragraph */

/* A place in a document: before byte `off` of a block's text. */
typedef struct place {
    uint64_t block, off;
} place;

typedef struct splitter {
    const hone_host *host;                   /* borrowed */
    const char *name;                        /* the recipe's, a literal */
    const hone_tokenizer_service *tokenizer; /* borrowed; NULL: code points are counted */
    uint64_t budget, overlap;                /* tokens or code points */
    uint64_t break_cost;                     /* of "\n\n" */
    bool fences;                             /* code gets them */
    const uint8_t *stops; /* borrowed, or NULL: a piece ends before block k when stops[k] */
    bool path; /* pieces begin with the headings above them, as far as these take half the budget */

    const hone_block *blocks; /* borrowed while splitting: n_blocks */
    uint64_t n_blocks;
    uint64_t *costs;          /* owned; of whole blocks, COST_UNKNOWN until asked for */
    uint64_t n_costs;         /* allocated */
    hone_text piece, scratch; /* rendered text */
    hone_text above;          /* the headings above the piece, rendered */
    uint64_t above_size;
    uint64_t stack[SPLIT_LEVELS]; /* blocks: the headings above stack_at, outermost first */
    uint32_t n_stack;
    uint64_t stack_at;         /* blocks that the stack has seen */
    uint64_t n_bytes, n_units; /* counted so far in this document: their ratio guides searches */
} splitter;

typedef struct piece {
    hone_str text;             /* borrowed until the next piece */
    uint64_t size;             /* tokens or code points, at most the budget */
    uint64_t new_bytes;        /* of the document's text that no earlier piece held */
    uint64_t src_off, src_len; /* from the first to the last block it touches */
} piece;

typedef struct piece_sink {
    void *ctx;
    hone_status (*add)(void *ctx, const piece *p, hone_error *err);
    /* Text that fits no piece, as hone_sample_sink.lost. */
    void (*lost)(void *ctx, uint64_t bytes, const char *why);
} piece_sink;

/* characters > 0: the budget in code points; 0: tokens, by the host's tokenizer. overlap: the
 * share of the budget that a piece repeats. Finish it also after failure. */
hone_status splitter_init(splitter *s, const hone_host *host, const char *name, int64_t tokens,
                          int64_t characters, double overlap, hone_error *err);
void splitter_finish(splitter *s);

hone_status splitter_run(splitter *s, const hone_block *blocks, uint64_t n_blocks,
                         const piece_sink *sink, hone_error *err);

/* ------------------------------------------------------------------ render.c */

/* Bytes [from, to) of block k with its marks, added to out. */
void render_slice(const splitter *s, uint64_t k, uint64_t from, uint64_t to, hone_text *out);
/* From a to b, a < b. */
void render_range(const splitter *s, place a, place b, hone_text *out);
hone_status measure(splitter *s, const hone_text *t, uint64_t *size, hone_error *err);
hone_status measure_slice(splitter *s, uint64_t k, uint64_t from, uint64_t to, uint64_t *size,
                          hone_error *err);

/* --------------------------------------------------------------------- path.c */

/* The headings above a piece that begins at `at` into s->above: what the piece itself begins with is
 * not among them, and the outer ones are left out when all together take more than half the
 * budget. Places come in ascending order. */
hone_status find_above(splitter *s, place at, hone_error *err);

/* --------------------------------------------------------------------- cut.c */

/* The end of the longest good slice of block k from `from` on whose size is at most `room`: the
 * block's end, or a cut that leaves a piece that holds `used` at least half of `limit` full.
 * from itself: not one character fits. *size: of the slice. */
hone_status cut_forward(splitter *s, uint64_t k, uint64_t from, uint64_t used, uint64_t room,
                        uint64_t limit, uint64_t *cut, uint64_t *size, hone_error *err);
/* The start of a slice of block k that ends at `to`, begins at or after `from` with a sentence,
 * line or word, and has at most `room`; `to` itself: there is none. */
hone_status cut_backward(splitter *s, uint64_t k, uint64_t from, uint64_t to, uint64_t room,
                         uint64_t *cut, hone_error *err);

#endif /* RECIPES_SPLIT_H */
