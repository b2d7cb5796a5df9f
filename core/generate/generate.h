/*
 * generate.h - the door of core/generate: prompts in, answers out, each asked once.
 *
 *   generator   the queue, the kept answers, and the services hone.generate/1 and hone.embed/1
 *   answerers   the local model, several prompts at once in one cache; or, when the
 *               operator has configured one, a service that speaks OpenAI's chat
 *               completions over HTTP
 *
 * Nothing runs by itself: work is done while somebody waits for an answer, or calls
 * generator_work(). One thread drives a generator: every call, and every call of its services, is
 * [main].
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_GENERATE_GENERATE_H
#define CORE_GENERATE_GENERATE_H

#include "core/base/base.h"
#include "core/data/data.h"
#include "core/model/model.h"
#include "hone/generate.h"

typedef struct generator_options { /* option rows: generator_option_rows, section "generator" */
    const char *endpoint;          /* base address of a service; NULL: the local model */
    const char *model;             /* the service's name of a model                    */
    const char *key;               /* name of the environment variable with the key    */
    const char *cache;             /* folder of kept answers; NULL: the caller's default */
    int64_t batch;                 /* prompts that the local model answers at once     */
    int64_t concurrency;           /* requests to the service at once                  */
    int64_t timeout;               /* seconds of one request                           */
    int64_t retries;               /* of a request that failed and may yet succeed     */
    int64_t answer_kb;             /* bytes of a service's answer, at most, in kB      */
    bool dry_run;                  /* count prompts without asking                     */
} generator_options;
extern const hone_option generator_option_rows[];

/* The local model, opened when the first prompt needs it. */
typedef struct generator_model {
    void *ctx;
    /* *net is borrowed until the generator is closed: a cache of context * at_once rows, as many as
     * 2 * at_once sequences. */
    hone_status (*open)(void *ctx, int64_t at_once, model **net, hone_error *err);
    const char *identity;      /* borrowed: says which weights, in which format */
    const tokenizer *tok;      /* borrowed */
    const chat_template *chat; /* borrowed */
    const char *date;          /* borrowed; as in chat_template_encode() */
} generator_model;

typedef struct generator generator;

/* local NULL: none is configured. cache: folder of kept answers, made when the first is. sampling is
 * borrowed. Neither a model nor an endpoint: *out is NULL. */
HONE_MUST_CHECK hone_status generator_open(generator **out, const generator_options *o,
                                           const generator_model *local, const sampling *s,
                                           const char *cache, hone_error *err);
void generator_close(generator *g); /* NULL is fine */

/* Borrowed until generator_close(); embed is NULL when there is no local model. */
const hone_generate_service *generator_service(generator *g);
const hone_embed_service *generator_embed_service(generator *g);

typedef struct generator_counts {
    int64_t prompts, kept; /* submitted; of those, answered from the cache */
    int64_t asked, failed; /* answered by the model or the service; without an answer */
    int64_t waiting;
    int64_t tokens_in, tokens_out; /* of what was asked; as the service counts them */
    int64_t counted;               /* not asked: the dry run                        */
    int64_t counted_bytes;         /* of those prompts ...                          */
    int64_t counted_tokens;        /* ... and in tokens of the local model, if any  */
    int64_t counted_most;          /* tokens that their answers may have            */
    int64_t retries;
    int64_t embedded; /* texts */
} generator_counts;
generator_counts generator_count(const generator *g);
/* Called while work is done, for a display; NULL: none. */
void generator_on_work(generator *g, void (*on_work)(void *ctx, const generator_counts *c),
                       void *ctx);
/* Answer for at most about `ms` milliseconds; nothing waits: returns at once. */
void generator_work(generator *g, int ms);

/* A name for a model folder (and an adapter's, or NULL) on a backend ("cpu/fp32") by what is in their files: sizes, headers and
 * samples of the weights, all of the rest. Free it with free(). */
HONE_MUST_CHECK hone_status generator_identity(char **out, const char *model_dir,
                                               const char *adapter_dir, const char *spec,
                                               hone_error *err);

#endif /* CORE_GENERATE_GENERATE_H */
