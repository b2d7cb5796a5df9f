/*
 * question.h - the user's wording of an instruction, with %s where its subject goes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RECIPES_QUESTION_H
#define RECIPES_QUESTION_H

#include <stdbool.h>

#include "hone/text.h"

/* Only %s (`subject` says what it stands for) and %% are known, and %s must be there. */
hone_status question_check(const char *recipe, const char *question, const char *subject,
                           hone_error *err);
/* The question about subject, added to out; the question was checked. */
void question_put(hone_text *out, const char *question, hone_str subject);

#endif /* RECIPES_QUESTION_H */
