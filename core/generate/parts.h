/*
 * parts.h - what the files of core/generate share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_GENERATE_PARTS_H
#define CORE_GENERATE_PARTS_H

#include "core/generate/generate.h"

#define REQUEST_WAITS 0 /* nobody has it yet      */
#define REQUEST_ASKED 1 /* an answerer is at work */
#define REQUEST_DONE 2

typedef struct request {
    uint64_t handle;
    int state;
    bool dropped; /* released while it was asked */
    char *system; /* owned; n_system bytes; "" for none */
    char *user;   /* owned; n_user bytes */
    size_t n_system, n_user;
    int64_t max_tokens; /* of the answer */
    uint64_t attempt;
    char key[65]; /* SHA-256 of all that makes the answer */
    text answer;
    uint32_t end; /* HONE_ANSWER_* */
    bool cached;
    int64_t tokens_in, tokens_out;
    hone_error error; /* code HONE_OK: there is an answer */
    int64_t place;    /* the answerer's */
} request;

/* Who answers. */
typedef struct answerer {
    void *self;
    /* Take a request; false: no room now. One that cannot be asked at all is ended at once. */
    bool (*take)(void *self, request *r);
    /* Work for at most about `ms` milliseconds; finished requests are ended. A failure is that of all
     * requests. */
    hone_status (*work)(void *self, int ms, hone_error *err);
    void (*drop)(void *self, request *r);
    void (*destroy)(void *self);
} answerer;

/* The answer is in r, or err says why there is none (NULL: there is one). */
void request_end(generator *g, request *r, const hone_error *err);
void count_retry(generator *g);

/* local.c */
HONE_MUST_CHECK hone_status local_open(answerer *out, generator *g, const generator_model *m,
                                       const sampling *s, int64_t at_once, hone_error *err);
/* The model, opened if it was not. */
HONE_MUST_CHECK hone_status local_model(answerer *a, model **net, hone_error *err);

/* embed.c */
HONE_MUST_CHECK hone_status embed_texts(model *net, const tokenizer *tok, const hone_str *texts,
                                        uint64_t n, float *out, hone_error *err);
int64_t embed_limit(const model *net); /* tokens of a text */

/* endpoint.c; without libcurl it says so. */
HONE_MUST_CHECK hone_status endpoint_open(answerer *out, generator *g, const generator_options *o,
                                          const sampling *s, hone_error *err);
/* The address that requests go to: "https://host/v1" + "/chat/completions". free() */
HONE_MUST_CHECK hone_status endpoint_address(char **out, const generator_options *o,
                                             hone_error *err);

/* kept.c: answers on disk, a file each. */
/* HONE_ERR_NOTFOUND: there is none (or none that can be read, which the log says). */
HONE_MUST_CHECK hone_status kept_read(const char *folder, request *r, hone_error *err);
HONE_MUST_CHECK hone_status kept_write(const char *folder, const request *r, const char *identity,
                                       hone_error *err);

/* reply.c: what goes to a service and what comes back. */
HONE_MUST_CHECK hone_status reply_request(text *body, const request *r, const char *named,
                                          const sampling *s, hone_error *err);
/* The answer of a body with status 200, into r. HONE_ERR_FORMAT: what was expected. */
HONE_MUST_CHECK hone_status reply_parse(request *r, const char *p, size_t n, hone_error *err);
/* What a body says went wrong, on one line, without the secret: the error's message, or its first
 * line. */
void reply_reason(const char *p, size_t n, const char *secret, char *out, size_t size);

#endif /* CORE_GENERATE_PARTS_H */
