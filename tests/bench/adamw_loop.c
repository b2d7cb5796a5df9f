/*
 * adamw_loop.c - AdamW as one writes it by hand: the loop that bench_ew holds the
 * program interpreter against. Built for two instruction sets, BENCH_ISA names which.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/adamw_loop.h"

#include <math.h>

#define JOIN(a, b) a##b
#define NAME(a, b) JOIN(a, b)

adamw_loop NAME(adamw_loop_, BENCH_ISA);

void NAME(adamw_loop_, BENCH_ISA)(const adamw_step *s, int64_t lo, int64_t hi)
{
    float *restrict p = s->p, *restrict m = s->m, *restrict v = s->v;
    const float *restrict g = s->g;
    const float clip = s->clip, beta1 = s->beta1, rest1 = s->rest1, beta2 = s->beta2;
    const float rest2 = s->rest2, keep = s->keep, step = s->step, root = s->root, eps = s->eps;
    for (int64_t i = lo; i < hi; i++) {
        const float d = g[i] * clip;
        const float mi = fmaf(rest1, d, beta1 * m[i]), vi = fmaf(rest2 * d, d, beta2 * v[i]);
        m[i] = mi;
        v[i] = vi;
        p[i] = p[i] * keep - step * (mi / (sqrtf(vi) / root + eps));
    }
}
