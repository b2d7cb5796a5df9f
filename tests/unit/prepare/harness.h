/*
 * harness.h - run one reader or recipe in this process, on bytes, and look at what it says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_PREPARE_HARNESS_H
#define TESTS_PREPARE_HARNESS_H

#include "core/base/base.h"
#include "hone/generate.h"
#include "hone/recipe.h"

/* A host over malloc that counts what is out and can fail the n-th allocation. */
typedef struct test_host {
    hone_host host;     /* first: hone_host * is test_host *  */
    int64_t out;        /* allocations not given back         */
    int64_t n, fail_at; /* fail_at: 0 never                   */
    hone_tokenizer_service tokenizer;
    const hone_generate_service *generate; /* borrowed; NULL: absent */
    const hone_embed_service *embed;
    bool has_tokenizer; /* a token is a run of letters or any other byte; see harness.c */
} test_host;
void test_host_init(test_host *h);
int64_t test_count(const char *p, size_t n); /* what its tokenizer counts */

/* A component of build/plugins/<file>.so with an instance. */
typedef struct instance {
    const hone_component *desc;
    options options;
    void *config; /* owned */
    void *self;
    const hone_host *host;
} instance;
/* json: its options, or NULL. Outputs are finished on failure. */
hone_status instance_open(instance *x, const hone_host *host, const char *file, const char *kind,
                          const char *json, hone_error *err);
/* The same for a plugin that is linked in. */
hone_status instance_create(instance *x, const hone_host *host, const hone_component *desc,
                            const char *json, hone_error *err);
void instance_close(instance *x);

typedef struct lost_row {
    uint64_t bytes;
    char *why;
} lost_row;

/* What a reader made of a document. Blocks own their strings. */
typedef struct page {
    hone_block *blocks;
    size_t n_blocks, cap_blocks;
    hone_unit *units; /* own their strings */
    size_t n_units, cap_units;
    lost_row *lost;
    size_t n_lost, cap_lost;
    text meta; /* "key \"value\"\n" */
    char *title, *language;
    uint64_t n_src;
    int64_t fail_at; /* the fail_at-th add() fails; 0 never */
    char *broken;    /* owned: a promise that was not kept, or NULL */
} page;
hone_status page_read(page *g, const instance *reader, const char *name, const char *p, size_t n,
                      hone_error *err);
void page_finish(page *g);
void page_dump(const page *g, text *out);

typedef struct shown_sample {
    hone_segment *segments; /* own their strings */
    size_t n;
} shown_sample;

typedef struct samples {
    shown_sample *p;
    size_t n, cap;
    lost_row *lost;
    size_t n_lost, cap_lost;
    lost_row *dropped; /* bytes: how many */
    size_t n_dropped, cap_dropped;
    char prompt[65]; /* the last one that was said */
    int64_t fail_at; /* the fail_at-th add() fails; 0 never */
    char *broken;
} samples;
hone_status samples_make(samples *s, const instance *recipe, const page *g, const char *name,
                         hone_error *err);
/* The recipe's finish(). */
hone_status samples_finish_recipe(samples *s, const instance *recipe, hone_error *err);
void samples_finish(samples *s);
void samples_dump(const samples *s, text *out);

/* \n, \t, \\ and other control bytes as escapes, and back ("\x41", "\u00e9" are read too). */
void escape_add(text *out, const char *p, size_t n);
void unescape_add(text *out, const char *p, size_t n);

/* Golden files: cases of "=== name | document name | component | options", input, "-->",
 * expected dump. Options are JSON, with "escaped" in front when the input has escapes.
 * Returns the number of cases that differ, printing both; with HONE_GOLDEN_UPDATE set, the file is
 * rewritten with what came out: look at the difference before it is committed. */
int golden_run(const char *path,
               void (*run)(void *ctx, const char *document, const char *component, const char *json,
                           const char *p, size_t n, text *out),
               void *ctx);

#endif /* TESTS_PREPARE_HARNESS_H */
