/*
 * hone/recipe.h - blocks of documents in, training samples out.
 *
 * A sample is text in segments with roles, never token ids: the core applies the
 * model's own template and tokenizer, masks by loss_weight, packs. Every segment
 * says where in its document it came from, so that "which documents taught this"
 * has an answer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HONE_RECIPE_H
#define HONE_RECIPE_H

#include "reader.h"

HONE_BEGIN

#define HONE_ROLE_RAW 0 /* plain text: no template, supervised throughout */
#define HONE_ROLE_SYSTEM 1
#define HONE_ROLE_USER 2
#define HONE_ROLE_ASSISTANT 3
#define HONE_ROLE_SPECIAL 4 /* among raw text: the spelling of a special token, which it becomes */

typedef struct hone_segment {  /* FROZEN */
    uint32_t role;             /* HONE_ROLE_*                                      */
    float loss_weight;         /* 0: masked, 1: learned                            */
    hone_str text;             /* valid UTF-8                                      */
    uint64_t src_off, src_len; /* bytes of the document it came from              */
    uint64_t reserved;
} hone_segment;

HONE_STATIC_ASSERT(sizeof(void *) != 8 || sizeof(hone_segment) == 48, "frozen");

/* A document as its reader left it; owned by the host, immutable. */
typedef struct hone_document {
    uint32_t struct_size, reserved;
    hone_str name;            /* path or URI */
    hone_str title;           /* empty when unknown */
    const hone_block *blocks; /* n_blocks, in reading order */
    uint64_t n_blocks;
    hone_str language;      /* of source code: "python"; empty: the document is none */
    const hone_unit *units; /* n_units: its functions, classes and comments */
    uint64_t n_units;
} hone_document;

/* Where samples go. Everything is copied before add() returns. */
typedef struct hone_sample_sink {
    uint32_t struct_size, reserved;
    void *ctx;
    /* One sample of n segments: one text of raw ones, with special tokens among them, or turns. */
    hone_status (*add)(const struct hone_sample_sink *sink, const hone_segment *segments,
                       uint64_t n, hone_error *err);
    /* Part of the document yields no sample, because of `why` (a short phrase,
     * the same for the same cause): counted and named in the report. */
    void (*lost)(const struct hone_sample_sink *sink, uint64_t bytes, const char *why);
    /* Samples from here on were made by a model with a prompt of this version (a hash of its
     * wording, at most 64 visible ASCII characters; empty: without one): it stands in the
     * samples' provenance. Ask for it with HONE_HAS_CALL. */
    void (*prompt)(const struct hone_sample_sink *sink, hone_str version);
    /* n things that were made (by a model, from the document) are not used, because of `why`: counted in
     * the report. Ask for it with HONE_HAS_CALL. */
    void (*dropped)(const struct hone_sample_sink *sink, uint64_t n, const char *why);
    /* Raw segments (and special tokens) that go on where the last join() of this recipe ended, in
     * this document or an earlier one: the host makes samples of them that have at most `budget`
     * tokens. What one call brings stays together and has to fit. */
    hone_status (*join)(const struct hone_sample_sink *sink, const hone_segment *segments,
                        uint64_t n, uint64_t budget, hone_error *err);
} hone_sample_sink;

typedef struct hone_recipe {
    uint32_t struct_size, reserved;
    /* config: the struct of the component's rows, borrowed until destroy(). [main] */
    hone_status (*create)(const hone_host *host, const void *config, void **self, hone_error *err);
    void (*destroy)(void *self); /* NULL is fine [main] */
    /* Samples of one document; source code only with HONE_COMPONENT_CODE. The same document and config give the same samples,
     * whatever came before. HONE_ERR_SKIP: leave it out, err says why. [worker] */
    hone_status (*process)(void *self, const hone_document *document, const hone_sample_sink *sink,
                           hone_error *err);
    /* Samples that need all documents; after the last process(). NULL: none. [worker] */
    hone_status (*finish)(void *self, const hone_sample_sink *sink, hone_error *err);
} hone_recipe;

HONE_END

#endif /* HONE_RECIPE_H */
