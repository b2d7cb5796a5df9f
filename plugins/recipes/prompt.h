/*
 * prompt.h - prompts as files: words with {{names}} in them, which a recipe fills.
 *
 * A line of three dashes ends the system message, if there is one; the rest is the user's. A name that the
 * recipe does not know is refused, and so is a prompt without {{text}}.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RECIPES_PROMPT_H
#define RECIPES_PROMPT_H

#include <stdbool.h>

#include "hone/generate.h"
#include "hone/text.h"

typedef struct prompt_value {
    const char *name; /* NULL ends a list of them */
    hone_str value;
} prompt_value;

typedef struct prompt {
    const hone_host *host;                /* borrowed */
    const char *name;                     /* the recipe's, a literal */
    hone_text words;                      /* the file */
    hone_str system, user;                /* parts of it */
    char version[17];                     /* hash of the file, 16 hex digits */
    const hone_generate_service *service; /* borrowed */
    hone_text filled_system, filled_user;
} prompt;

/* The words that come with the recipe: prompts/<recipe>.txt as a source of its plugin. */
extern const char prompt_words[];

/* path NULL: `words`. names: those that the recipe fills, NULL at the
 * end. Without a model to ask it fails. Finish it also after failure. */
hone_status prompt_init(prompt *p, const hone_host *host, const char *name, const char *path,
                        const char *words, const char *const *names, hone_error *err);
void prompt_finish(prompt *p);

/* Fill in the values and submit it. */
hone_status prompt_submit(prompt *p, const prompt_value *values, int64_t max_tokens,
                          uint64_t *handle, hone_error *err);
/* The answer; *why: there is none, because of this short phrase, and that is no failure of the
 * document. The text lives until the handle is released. */
hone_status prompt_collect(prompt *p, uint64_t handle, hone_answer *answer, const char **why,
                           hone_error *err);

#endif /* RECIPES_PROMPT_H */
