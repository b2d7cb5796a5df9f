/*
 * recipe_counts.h - tokenizers that count in ways a recipe may not expect.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_PREPARE_RECIPE_COUNTS_H
#define TESTS_PREPARE_RECIPE_COUNTS_H

#include "harness.h"

static inline int64_t count_with(hone_str s, int64_t extra, int64_t per_wide)
{
    int64_t n = extra;
    for (uint64_t i = 0; i < s.n; i++)
        n += (s.p[i] & 0xf8) == 0xf0 ? per_wide : (s.p[i] & 0xc0) != 0x80;
    return n;
}

/* Every text begins with a token of its own, as SentencePiece's do. */
static inline int64_t count_prefixed(const hone_tokenizer_service *self, hone_str s)
{
    (void)self;
    return count_with(s, 3, 1);
}

/* More than its parts together. */
static inline int64_t count_growing(const hone_tokenizer_service *self, hone_str s)
{
    (void)self;
    return (int64_t)(s.n + s.n * s.n / 300);
}

/* Some characters are larger than a chunk. */
static inline int64_t count_wide(const hone_tokenizer_service *self, hone_str s)
{
    (void)self;
    return count_with(s, 0, 40);
}

/* A better cut can be larger than a worse one. */
static inline int64_t count_ends(const hone_tokenizer_service *self, hone_str s)
{
    (void)self;
    return count_with(s, s.n && strchr("!?\n", s.p[s.n - 1]) ? 12 : 0, 1);
}

static inline int64_t count_nothing(const hone_tokenizer_service *self, hone_str s)
{
    (void)self;
    return (int64_t)(s.n > 0);
}

static inline int64_t count_fails(const hone_tokenizer_service *self, hone_str s)
{
    (void)self;
    return s.n > 2 ? -1 : 1;
}

#endif /* TESTS_PREPARE_RECIPE_COUNTS_H */
