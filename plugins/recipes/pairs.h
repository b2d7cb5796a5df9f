/*
 * pairs.h - questions with quotes in a model's answer, and whether they hold.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RECIPES_PAIRS_H
#define RECIPES_PAIRS_H

#include <stdbool.h>

#include "hone/text.h"

/* The next "Q: ... A: "..."" of an answer from *at on: bullets, numbers and emphasis in front of the
 * letters are nothing, what follows up to the next letter belongs to it. Quotation marks around the
 * quote are taken off; a question without any has an empty one. False: there is none. whole: what comes behind ends it, so that it is not
 * the torn end of a cut answer. */
bool pairs_next(hone_str answer, uint64_t *at, hone_str *question, hone_str *quote, bool *whole);

/* Where the quote stands in text, white space aside, not within words: false when it does not. */
bool quote_find(hone_str text, hone_str quote, uint64_t *start, uint64_t *end);

/* Questions that were asked, to know one that is nearly the same. Start from { .host, .tag }. */
typedef struct questions {
    const hone_host *host; /* borrowed */
    const char *tag;       /* a literal */
    uint64_t *words;       /* owned: sorted hashes of the words of all questions */
    uint64_t n_words, cap_words;
    uint64_t *ends; /* owned: where each question's words end */
    uint64_t n, cap;
} questions;
/* *known: at least `share` of the words of both are the same (Jaccard), as in one of the last
 * thousand; else it is remembered. False: no memory. */
bool questions_add(questions *q, hone_str question, double share, bool *known);
void questions_clear(questions *q);
void questions_finish(questions *q);

#endif /* RECIPES_PAIRS_H */
