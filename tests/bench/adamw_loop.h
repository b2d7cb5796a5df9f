/*
 * adamw_loop.h - see adamw_loop.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_BENCH_ADAMW_LOOP_H
#define TESTS_BENCH_ADAMW_LOOP_H

#include <stdint.h>

typedef struct adamw_step {
    float *p, *m, *v; /* borrowed, as g */
    const float *g;
    float clip, beta1, rest1, beta2, rest2, keep, step, root, eps; /* scalars of the step */
} adamw_step;

/* Elements [lo, hi). */
typedef void adamw_loop(const adamw_step *s, int64_t lo, int64_t hi);
extern adamw_loop adamw_loop_v1, adamw_loop_v3, adamw_loop_v4;

#endif /* TESTS_BENCH_ADAMW_LOOP_H */
