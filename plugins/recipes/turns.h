/*
 * turns.h - where the topic of a document turns, by the model's own hidden states.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RECIPES_TURNS_H
#define RECIPES_TURNS_H

#include <stdbool.h>

#include "hone/generate.h"
#include "hone/text.h"

/* Vectors of a document's units, one after another; the distance across each boundary. */
typedef struct turns {
    const hone_host *host;             /* borrowed */
    const char *name;                  /* a literal */
    const hone_embed_service *service; /* borrowed */
    uint64_t width, window;            /* units on either side of a boundary */
    float *ring;                       /* owned: the last 2 * window vectors, of length 1 */
    float *vectors;                    /* owned: those of one call */
    double *distance;                  /* owned: of unit i from what stands before it; [0] is 0 */
    uint64_t n, cap;                   /* units seen */
} turns;

hone_status turns_init(turns *t, const hone_host *host, const char *name, uint64_t window,
                       hone_error *err);
void turns_finish(turns *t);
/* Distances of n texts: 1 - cos between the mean direction of the window before a text and of the window
 * from it on. t->distance until the next call. */
hone_status turns_measure(turns *t, const hone_str *texts, uint64_t n, hone_error *err);
/* The distance that a share of those in [1, n) lies below. */
hone_status turns_quantile(const turns *t, double share, double *value, hone_error *err);

#endif /* RECIPES_TURNS_H */
