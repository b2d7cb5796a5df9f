/*
 * near.h - near duplicates; see near.c for what is compared. Private to core/prepare.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_PREPARE_NEAR_H
#define CORE_PREPARE_NEAR_H

#include "core/prepare/parts.h"

/* The set of runs of words of a sample: hashes, ascending. Start from { 0 }; p is owned. */
typedef struct shingles {
    uint64_t *p;
    size_t n, cap;
} shingles;
bool shingles_of(shingles *s, const sample *x); /* false: no memory */
double shingles_jaccard(const shingles *a, const shingles *b);

#define NEAR_CANDIDATES 4 /* compared at most, those that share most bands first */

/* Samples that may be near this one, by the numbers they were given; this one's number is
 * remembered where it is the first. folder: for memory on disk. */
HONE_MUST_CHECK hone_status near_find(near_index *x, const shingles *s, uint32_t recipe,
                                      uint32_t number, const char *folder,
                                      uint32_t found[NEAR_CANDIDATES], size_t *n, hone_error *err);

#endif /* CORE_PREPARE_NEAR_H */
