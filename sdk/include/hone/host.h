/*
 * hone/host.h - what the host lends to plugins: one append-only table, and
 * larger services by name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HONE_HOST_H
#define HONE_HOST_H

#include "status.h"

HONE_BEGIN

#define HONE_LOG_DEBUG 0
#define HONE_LOG_INFO 1
#define HONE_LOG_WARN 2
#define HONE_LOG_ERROR 3

typedef struct hone_host hone_host;

/* Borrowed from init() until shutdown() returns. All calls are [any]. */
struct hone_host {
    uint32_t struct_size;
    uint16_t abi_major, abi_minor;
    void *ctx; /* the host's; pass `host` back */

    /* One line for the user, without newline. Plugins print nowhere else. */
    void (*log)(const hone_host *host, uint32_t level, const char *line);

    /* Memory of the run, counted under tag (a string literal). NULL when there
     * is none. align: a power of two, at least 1. Free with the same host. */
    void *(*alloc)(const hone_host *host, uint64_t bytes, uint64_t align, const char *tag);
    void (*free)(const hone_host *host, void *p); /* p may be NULL */

    /* Nonzero once the user asked to stop; long calls poll it and return
     * HONE_ERR_CANCELLED. */
    int32_t (*cancelled)(const hone_host *host);

    /* Run body(arg, lo, hi) over [0, n) in pieces of at least `grain`, on the
     * host's threads, and return when all are done. Use this, not OpenMP. */
    void (*parallel_for)(const hone_host *host, int64_t n, int64_t grain,
                         void (*body)(void *arg, int64_t lo, int64_t hi), void *arg);

    /* Counter-based random bits (Philox 4x32-10): the same for the same three
     * numbers on any thread, machine and run. */
    uint64_t (*random)(const hone_host *host, uint64_t seed, uint64_t stream, uint64_t counter);

    /* A table of calls by id, e.g. HONE_SERVICE_TOKENIZER; NULL when absent. */
    const void *(*service)(const hone_host *host, const char *id);
};

/* The target model's tokenizer. Recipes size their chunks with it and never
 * bring their own. Absent when no model is configured. */
#define HONE_SERVICE_TOKENIZER "hone.tokenizer/1"

/* What a special token is for. */
#define HONE_TOKEN_FIM_PREFIX 1 /* fill in the middle: begins a sample, before the prefix    */
#define HONE_TOKEN_FIM_SUFFIX 2 /* before the suffix                                         */
#define HONE_TOKEN_FIM_MIDDLE 3 /* before what is to be filled in                            */
#define HONE_TOKEN_FIM_END 4    /* after what was filled in                                  */
#define HONE_TOKEN_FILE 5       /* before a file of a repository; its path follows           */
#define HONE_TOKEN_REPOSITORY 6 /* before a repository's name                                */

typedef struct hone_tokenizer_service {
    uint32_t struct_size, reserved;
    void *ctx;
    /* Tokens that text becomes, without BOS, EOS or template. Special-token
     * spellings inside text count as plain text. Negative: no memory. [any] */
    int64_t (*count)(const struct hone_tokenizer_service *self, hone_str text);
    /* How the model spells its special token for a purpose (HONE_TOKEN_*), for a segment of
     * HONE_ROLE_SPECIAL; empty: it has none. It lives as long as the service. [any] */
    hone_str (*special)(const struct hone_tokenizer_service *self, uint32_t purpose);
} hone_tokenizer_service;

HONE_END

#endif /* HONE_HOST_H */
