/*
 * sentence.h - where sentences end.
 *
 * A full stop, question or exclamation mark, closing quotes and brackets behind it, white space,
 * and no small letter next. A full stop that belongs to an abbreviation, an initial or the
 * number of a list item ends none; 3.14 has no white space. Scripts that write no spaces have
 * marks of their own, which end a sentence by themselves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RECIPES_SENTENCE_H
#define RECIPES_SENTENCE_H

#include <stdbool.h>

#include "hone/text.h"

/* Does a sentence end before t[at], 0 < at < t.n, the first character of what follows? */
bool sentence_ends(hone_str t, uint64_t at);
/* The end of the sentence that begins at `from`, white space behind it included: at most t.n. A blank
 * line ends one too. */
uint64_t sentence_end(hone_str t, uint64_t from);
/* Does t[0..at) end in a comma or colon of a script without spaces? */
bool sentence_pauses(hone_str t, uint64_t at);
bool is_space(char c); /* ASCII white space, control characters among it */

#endif /* RECIPES_SENTENCE_H */
