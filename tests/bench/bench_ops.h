/*
 * bench_ops.h - what the parts of bench_ops share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_BENCH_OPS_H
#define TESTS_BENCH_OPS_H

#include "core/model/ops.h"
#include "core/plugin/plugin.h"

/* What this machine can do at most, measured. */
typedef struct ceilings {
    int threads;
    const char *isa;       /* of the FMA loop */
    double fma_one, fma;   /* GFLOP/s in float32, one core and all */
    double tile_one, tile; /* bfloat16 tile products; 0: the processor has none */
    double read, copy;     /* GB/s of memory, all cores; a copied byte counts twice */
} ceilings;

/* tiles: the processor has them, and the process may use them */
HONE_MUST_CHECK hone_status ceilings_measure(ceilings *c, int threads, bool tiles, hone_error *err);

/* oneDNN's matmul primitive on matrices of its own, the second one laid out beforehand as the
 * primitive likes it best: d (m, n) = a (m, k) b (k, n). */
typedef struct peer peer;
HONE_MUST_CHECK hone_status peer_open(peer **out, int threads, bool bf16, bool a_by_columns,
                                      int64_t m, int64_t n, int64_t k, hone_error *err);
HONE_MUST_CHECK hone_status peer_run(peer *p, hone_error *err);
void peer_close(peer *p);

double median(double *x, size_t n); /* sorts x */

/* An open device, and what a part of the benchmark has put on it. */
typedef struct bench {
    ops *o;
    ceilings top;
    int threads;
    hone_buf buf[24];
    size_t n_bufs;
    hone_status st; /* of the first failure; later calls do nothing */
    hone_error err;
} bench;

/* A matrix of small numbers; freed by drop(). */
hone_tensor matrix(bench *b, int64_t rows, int64_t cols);
void drop(bench *b);
/* Seconds. One thread: its own time, so that what else runs on the machine does not count. */
double bench_now(const bench *b);

void bench_rows(bench *b, registry *plugins); /* bench_rows.c */

#endif /* TESTS_BENCH_OPS_H */
