/*
 * code_parts.h - what the recipes for source code share: functions of a document, places in its
 * text, and how much of it fits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RECIPES_CODE_PARTS_H
#define RECIPES_CODE_PARTS_H

#include <stdbool.h>

#include "hone/recipe.h"
#include "hone/text.h"

/* Tokens, or code points when there is no tokenizer. */
typedef struct meter {
    const hone_tokenizer_service *tokenizer; /* borrowed; NULL: code points */
    const char *name;                        /* the recipe's, a literal */
} meter;

/* characters > 0: count code points. Else a tokenizer has to be there. */
hone_status meter_init(meter *m, const hone_host *host, const char *name, int64_t characters,
                       hone_error *err);
hone_status meter_count(const meter *m, hone_str text, uint64_t *n, hone_error *err);
/* How the model spells a special token; empty: it has none. */
hone_str meter_special(const meter *m, uint32_t purpose);

/* The longest part of t that begins at `from` (a line starts there), ends with a line at or before
 * `to`, and has at most `room`: its end. `from` itself: not one line fits. */
hone_status fit_after(const meter *m, hone_str t, uint64_t from, uint64_t to, uint64_t room,
                      uint64_t *end, hone_error *err);
/* The same before `to`, where it ends: its start, where a line starts, at or after `from`. */
hone_status fit_before(const meter *m, hone_str t, uint64_t from, uint64_t to, uint64_t room,
                       uint64_t *start, hone_error *err);

/* Is unit i a function with a body, parsed whole, and in no other function? */
bool is_whole_function(const hone_document *d, uint64_t i);
bool in_function(const hone_document *d, uint64_t i);

/* Say in s which bytes of the document [from, to) of block b came from; of_unit is said when the
 * reader changed the text. */
void set_source(hone_segment *s, const hone_block *b, uint64_t from, uint64_t to,
                const hone_unit *of_unit);

#endif /* RECIPES_CODE_PARTS_H */
