/*
 * asking.h - what recipes that ask a model share: chunks of a document go out as prompts, many at
 * a time, and come back in their order with answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RECIPES_ASKING_H
#define RECIPES_ASKING_H

#include "prompt.h"
#include "split.h"

#define ASKING_WINDOW 256 /* prompts at once */

typedef struct asked_chunk {
    hone_str text; /* owned by the asking, until the callback returns */
    uint64_t src_off, src_len, new_bytes;
    uint64_t handle;
    const void *origin; /* the caller's */
} asked_chunk;

typedef struct asking {
    const hone_host *host; /* borrowed */
    const char *name;      /* a literal */
    prompt prompt;
    splitter splitter;
    int64_t max_tokens;           /* of an answer */
    hone_text title;              /* of the document, or its name */
    char count[24];               /* {{count}} */
    const hone_sample_sink *sink; /* borrowed while a document is at hand */
    /* A chunk's answer, which may be cut. */
    hone_status (*take)(void *ctx, const asked_chunk *c, const hone_answer *a, hone_error *err);
    void *ctx;
    asked_chunk window[ASKING_WINDOW];
    uint64_t n;
} asking;

void asking_finish(asking *a); /* prompt, splitter and what waits */

/* Chunks of the splitter's budget, each a prompt with {{text}}, {{title}} and {{count}}. */
hone_status asking_run(asking *a, const hone_document *d, const hone_sample_sink *sink,
                       hone_error *err);
/* One by one instead: begin, add as many as there are, end. Values are the prompt's. */
void asking_begin(asking *a, const hone_document *d, const hone_sample_sink *sink);
hone_status asking_add(asking *a, const asked_chunk *c, const prompt_value *values,
                       hone_error *err);
hone_status asking_end(asking *a, hone_error *err);
/* The document failed: cancel what waits. Returns st. */
hone_status asking_stop(asking *a, hone_status st);

/* The report's account of what was made and not used. */
void asking_drop(const asking *a, uint64_t n, const char *why);

/* Masked question, learned answer, both from the chunk's span. */
hone_status asking_pair(const asking *a, const asked_chunk *c, hone_str question, hone_str answer,
                        hone_error *err);
hone_str trim_space(hone_str s);

#endif /* RECIPES_ASKING_H */
