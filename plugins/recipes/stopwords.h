/*
 * stopwords.h - words that carry no subject, for the extraction of keywords.
 *
 * The lists are our own: articles, pronouns, prepositions, conjunctions, auxiliaries and the
 * commonest adverbs of a language, as its grammar books enumerate them. Another list
 * comes from a file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RECIPES_STOPWORDS_H
#define RECIPES_STOPWORDS_H

/* As an option's choices, in the order of stopword_lists. */
#define STOPWORD_LANGUAGES "english|german|french|spanish|none"

/* Lower-case words with blanks between; "" for none. */
extern const char *const stopword_lists[];

#endif /* RECIPES_STOPWORDS_H */
