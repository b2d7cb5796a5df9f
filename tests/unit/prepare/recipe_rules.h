/*
 * recipe_rules.h - documents made of any bytes, and what the recipes promise about their samples.
 *
 * Shared by test_recipes.c (random bytes) and fuzz_recipes.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_PREPARE_RECIPE_RULES_H
#define TESTS_PREPARE_RECIPE_RULES_H

#include "harness.h"

/* Blocks of every kind, sizes from nothing to many chunks; the page owns its strings. */
void rules_document(page *g, const uint8_t *p, size_t n);

typedef struct rules {
    int64_t budget;
    double overlap;
    int64_t (*size)(const char *p, size_t n); /* what the budget counts */
    bool lossy; /* some text may be reported as lost: what is there is still checked */
} rules;

/* The first promise that is broken, or NULL. */
const char *rules_raw(const page *g, const samples *s, const rules *r);
const char *rules_headings(const page *g, const samples *s, const rules *r);

int64_t rules_characters(const char *p, size_t n);

#endif /* TESTS_PREPARE_RECIPE_RULES_H */
