/*
 * rake.h - Rapid Automatic Keyword Extraction (Rose, Engel, Cramer & Cowley 2010).
 *
 * Runs of words between stop words and punctuation are phrases. A word's degree is the sum of
 * the lengths of the phrases it occurs in (once for each occurrence), and a phrase's score
 * the sum over its words of degree / frequency. Tokens are those of NLTK's
 * wordpunct_tokenize (\w+ or [^\w\s]+) in lower case; phrases, scores and their order
 * are those of rake-nltk 1.0.6 over the same sentences and stop words, to the bit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RECIPES_RAKE_H
#define RECIPES_RAKE_H

#include <stdbool.h>

#include "hone/text.h"

#define RAKE_RATIO 0 /* degree / frequency */
#define RAKE_DEGREE 1
#define RAKE_FREQUENCY 2

typedef struct rake_word {
    uint64_t hash, off; /* of its bytes in rake.bytes */
    uint32_t n;         /* bytes */
    bool stop;
    uint64_t frequency, degree;
} rake_word;

typedef struct rake_phrase {
    double score;
    const char *text; /* borrowed from the rake: words with a blank between; n bytes */
    uint64_t n;
    uint64_t first, n_words; /* of rake.run */
} rake_phrase;

typedef struct rake {              /* finish it also after failure */
    const hone_host *host;         /* borrowed */
    const char *name;              /* a literal: the recipe, in messages and for memory */
    uint64_t min_words, max_words; /* of a phrase, inclusive */
    bool all_punctuation;          /* any run of it ends a phrase; else, as in rake-nltk, only
                                      single ASCII characters do, and "..." is a word */

    hone_text bytes, joined;
    rake_word *words; /* owned; n_stop stop words, then those of the text */
    uint64_t n_words, cap_words, n_stop;
    uint32_t *slots; /* owned: open addressing, 1 + index into words; 0: free */
    uint64_t n_slots;
    uint32_t *run; /* owned: the words of all phrases, one behind another */
    uint64_t n_run, cap_run;
    rake_phrase *phrases; /* owned */
    uint64_t n_phrases, cap_phrases;
} rake;

void rake_init(rake *r, const hone_host *host, const char *name);
void rake_finish(rake *r);
/* One word that ends phrases; before the first text. */
hone_status rake_stop(rake *r, hone_str word, hone_error *err);
/* Forget the text at hand. */
void rake_begin(rake *r);
/* A sentence of it: no phrase goes beyond. */
hone_status rake_sentence(rake *r, hone_str sentence, hone_error *err);
/* Score and order all phrases, repeated ones as often as they occur: r->phrases. */
hone_status rake_rank(rake *r, int64_t metric, hone_error *err);

#endif /* RECIPES_RAKE_H */
