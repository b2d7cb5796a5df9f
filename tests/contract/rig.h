/*
 * rig.h - what the device contract tests stand on: an open device twice (with its
 * fused ops, and with everything composed), tensors with guarded edges, random
 * numbers, comparisons that say what failed with which parameters.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_CONTRACT_RIG_H
#define TESTS_CONTRACT_RIG_H

#include <math.h>
#include <stdlib.h>

#include "core/model/ops.h"
#include "core/plugin/plugin.h"

extern int failures; /* so far */

enum { FUSED, COMPOSED, N_SIDES, MAX_HELD = 256 };

/* One side: its ops, and every buffer a case has put on it. */
typedef struct side {
    ops *o;
    struct held {
        hone_tensor t;  /* as given out */
        uint8_t *image; /* owned: the whole buffer as uploaded, edges and gaps included */
        uint64_t bytes;
    } held[MAX_HELD];
    size_t n;
} side;

typedef struct rig {
    side side[N_SIDES];
    const hone_device *device;
    const char *name;
    char what[512]; /* the case, for messages */
    uint64_t seed, next;
    double floor; /* norms below it count as this: of the terms that a sum is made of */
} rig;

/* Print "device: case: message" and count a failure. */
HONE_PRINTF(2, 3) void fail(const rig *r, const char *format, ...);
/* Name the case. */
HONE_PRINTF(2, 3) void what(rig *r, const char *format, ...);
/* A status that has to be HONE_OK. */
bool good(const rig *r, hone_status st, const hone_error *err);
/* A call that has to fail, at once or by the next sync, with a message. */
void must_fail(rig *r, side *s, hone_status st, const hone_error *err);

/* ------------------------------------------------------------------- random */

double uniform(rig *r);                       /* [0, 1) */
int64_t pick(rig *r, int64_t lo, int64_t hi); /* lo..hi */
int64_t pick_of(rig *r, const int64_t *list, size_t n);
float *normals(rig *r, int64_t n, double scale); /* owned by the caller */
void cut_to_bf16(float *x, int64_t n);           /* down to what bfloat16 holds */

/* ------------------------------------------------------------------ tensors */

/* A float32 tensor of this shape; rows of dimension 0 lie `gap` elements further apart
 * than dense. The buffer has guarded edges. data NULL: the contents are NaN. */
hone_tensor put(rig *r, side *s, uint32_t rank, const int64_t *shape, int64_t gap,
                const float *data);
/* Any dtype, dense; bytes as they are in memory. */
hone_tensor put_raw(rig *r, side *s, uint32_t dtype, uint32_t rank, const int64_t *shape,
                    const void *data);
hone_tensor put_ints(rig *r, side *s, int64_t n, const int32_t *data);
/* Dense contents; checks that edges and gaps are as they were. Owned by the caller. */
float *get(rig *r, side *s, hone_tensor t);
void *get_raw(rig *r, side *s, hone_tensor t);
void drop_all(side *s); /* free the buffers of a case */

/* ----------------------------------------------------------- double precision */

double *widened(const float *x, int64_t n); /* owned by the caller, as all here */
/* d f / dx by central differences, where f(ctx) reads x. */
double *differences(double *x, int64_t n, double (*f)(void *ctx), void *ctx);

/* -------------------------------------------------------------- comparisons */

#define CLOSE 3e-6 /* of float32 results against double precision, by norms */

/* |got - want| <= tolerance * max(|want|, r->floor), Euclidean norms; NaN never passes. */
void near_norm(rig *r, const char *name, const float *got, const double *want, int64_t n,
               double tolerance);
void near_pair(rig *r, const char *name, const float *got, const float *want, int64_t n,
               double tolerance);
void same_bits(rig *r, const char *name, const void *got, const void *want, size_t bytes);
/* Units in the last place of float32 between got and the exact value; 0 when both are
 * NaN, or when got is what the exact value rounds to. */
double ulps(float got, double exact);

/* ------------------------------------------------------------------- suites */

void check_memory(rig *r);    /* check_memory.c: buffers, queues, events, bad arguments */
void check_seven(rig *r);     /* check_seven.c: copy, fill, rows, reduce */
void check_gemm(rig *r);      /* check_gemm.c */
void check_ew(rig *r);        /* check_ew.c: programs */
void check_blocks(rig *r);    /* check_blocks.c: programs over blocks of elements */
void check_fused(rig *r);     /* check_fused.c: norm, rope, swiglu, linear */
void check_loss(rig *r);      /* check_loss.c */
void check_attention(rig *r); /* check_attention.c */

#endif /* TESTS_CONTRACT_RIG_H */
