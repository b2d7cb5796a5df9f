/*
 * hone/generate.h - the model as a tool of a recipe: prompts in, answers out, and texts as
 * vectors.
 *
 * Who answers is the run's affair: the run's own model on the run's backend, with or without an
 * adapter, or a service that the operator has configured. A recipe submits as many
 * prompts as it has, then collects; the host answers several at once.
 *
 *     const hone_generate_service *g = host->service(host, HONE_SERVICE_GENERATE);
 *     for each chunk: g->submit(g, &prompt, &handles[i], err);
 *     for each chunk: g->collect(g, handles[i], &answer, err); ...; g->release(g, handles[i]);
 *
 * Determinism: an answer is kept under the hash of all that makes it (who answers, how it is
 * sampled, the prompt and its version), and the same question is given the kept answer from
 * then on. A recipe is deterministic over kept answers; the first answer need not be one that
 * could be had again. What a recipe makes of an answer must depend on the answer alone, never
 * on `cached` or on which one came first.
 *
 * A recipe in a child process asks through its pipe. Nothing changes, but that what a model says is
 * bytes from outside to the recipe, and what a recipe says is bytes from outside to the host.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HONE_GENERATE_H
#define HONE_GENERATE_H

#include "host.h"

HONE_BEGIN

/* Absent when neither a model nor a service is configured. */
#define HONE_SERVICE_GENERATE "hone.generate/1"
/* Absent when no model is configured. */
#define HONE_SERVICE_EMBED "hone.embed/1"

#define HONE_GENERATE_PENDING 1024      /* handles of one recipe at a time, at most */
#define HONE_GENERATE_PROMPT (1u << 20) /* bytes of system and user together, at most */
#define HONE_EMBED_TEXTS 4096           /* of one call, at most */

typedef struct hone_prompt {
    uint32_t struct_size, reserved;
    hone_str system; /* UTF-8; empty: none */
    hone_str user;   /* UTF-8 */
    /* Of the prompt's wording, for instance the hash of its file: another version is another
     * question. */
    hone_str version;
    int64_t max_tokens; /* of the answer; 0: as the run is configured */
    uint64_t attempt;   /* 0; a higher number is another question with the same words */
} hone_prompt;

#define HONE_ANSWER_STOP 0   /* the model ended it                 */
#define HONE_ANSWER_LENGTH 1 /* it was cut at max_tokens or context */

typedef struct hone_answer {
    uint32_t struct_size;
    uint32_t end;    /* HONE_ANSWER_* */
    hone_str text;   /* valid UTF-8; borrowed until release() of its handle */
    uint32_t cached; /* 1: nobody was asked */
    uint32_t reserved;
} hone_answer;

typedef struct hone_generate_service {
    uint32_t struct_size, reserved;
    void *ctx;
    /* Who answers: a model's hash, or a service's address and model. For provenance. */
    const char *identity;

    /* Queue a prompt; everything is copied. *handle is never 0. HONE_ERR_LIMIT: the prompt is too long, or
     * too many wait: collect and release first. [worker] */
    hone_status (*submit)(const struct hone_generate_service *self, const hone_prompt *prompt,
                          uint64_t *handle, hone_error *err);
    /* Wait for an answer. HONE_ERR_LIMIT: the prompt does not fit the model's context; HONE_ERR_IO: the
     * service failed, err names it and says what it said; HONE_ERR_CANCELLED. The handle
     * stays until release(), whatever comes. [worker] */
    hone_status (*collect)(const struct hone_generate_service *self, uint64_t handle,
                           hone_answer *answer, hone_error *err);
    /* Nonzero: collect() would not wait. May work on answers for a moment. [worker] */
    int32_t (*ready)(const struct hone_generate_service *self, uint64_t handle);
    /* Forget a handle, answered or not: one that waits is cancelled. [worker] */
    void (*release)(const struct hone_generate_service *self, uint64_t handle);
} hone_generate_service;

/* Texts as vectors: the mean over a text's tokens of the model's last hidden state, after the
 * final norm, NOT normalised to length 1. Texts longer than max_tokens are cut there. The same
 * texts in one call give the same vectors; a text among others may differ in the last bits. */
typedef struct hone_embed_service {
    uint32_t struct_size, reserved;
    void *ctx;
    const char *identity; /* the model's hash */

    /* Numbers of a vector, and tokens of a text that are looked at. [worker] */
    hone_status (*shape)(const struct hone_embed_service *self, uint64_t *width,
                         uint64_t *max_tokens, hone_error *err);
    /* out (n, width). A text without a token gives zeros. [worker] */
    hone_status (*embed)(const struct hone_embed_service *self, const hone_str *texts, uint64_t n,
                         float *out, hone_error *err);
} hone_embed_service;

HONE_END

#endif /* HONE_GENERATE_H */
