/*
 * kern_tile.c - attention in tiles of TILE_K keys by TILE_Q queries.
 *
 * Queries are the lanes: scores S^T (keys, queries) = K Q^T with Q^T packed once
 * per query tile and K read where it lies, so that the largest and the sum of a
 * softmax run down a column, lane by lane, with no horizontal step, and the same
 * product kernel serves S^T, P V, and all four products of the backward pass.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "kernels.h"
#include "vec.h"

/* Rows and vectors of the block of c that stays in registers. */
#if LANES == 16
enum { ROWS = 6, WIDE = 4 };
#elif LANES == 8
enum { ROWS = 6, WIDE = 2 };
#else
enum { ROWS = 3, WIDE = 4 };
#endif

/* c (rows, wide * LANES) [=|+=] a (rows, k) b (k, wide * LANES). Inlined with both
 * sizes constant: c is then all in registers. */
static inline __attribute__((always_inline)) void block(int rows, int wide, float *c, int64_t c_row,
                                                        const float *a, int64_t a_row,
                                                        int64_t a_col, const float *b,
                                                        int64_t b_row, int64_t k, int accumulate)
{
    vf s[ROWS][WIDE];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < wide; v++)
            s[r][v] = accumulate ? vload(c + r * c_row + v * LANES) : vset(0);
    for (int64_t i = 0; i < k; i++) {
        vf t[WIDE];
#pragma GCC unroll 8
        for (int v = 0; v < wide; v++)
            t[v] = vload(b + v * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const float x = a[r * a_row];
#pragma GCC unroll 8
            for (int v = 0; v < wide; v++)
                s[r][v] += x * t[v];
        }
        a += a_col;
        b += b_row;
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < wide; v++)
            vstore(c + r * c_row + v * LANES, s[r][v]);
}

static inline __attribute__((always_inline)) void
columns(int wide, float *c, int64_t c_row, const float *a, int64_t a_row, int64_t a_col,
        const float *b, int64_t b_row, int64_t m, int64_t k, int accumulate)
{
    int64_t i = 0;
    for (; i + ROWS <= m; i += ROWS)
        block(ROWS, wide, c + i * c_row, c_row, a + i * a_row, a_row, a_col, b, b_row, k,
              accumulate);
    c += i * c_row;
    a += i * a_row;
    switch (m - i) {
#if LANES > 4
    case 5:
        block(5, wide, c, c_row, a, a_row, a_col, b, b_row, k, accumulate);
        break;
    case 4:
        block(4, wide, c, c_row, a, a_row, a_col, b, b_row, k, accumulate);
        break;
    case 3:
        block(3, wide, c, c_row, a, a_row, a_col, b, b_row, k, accumulate);
        break;
#endif
    case 2:
        block(2, wide, c, c_row, a, a_row, a_col, b, b_row, k, accumulate);
        break;
    case 1:
        block(1, wide, c, c_row, a, a_row, a_col, b, b_row, k, accumulate);
        break;
    default:
        break;
    }
}

static void multiply(float *c, int64_t c_row, const float *a, int64_t a_row, int64_t a_col,
                     const float *b, int64_t b_row, int64_t m, int64_t n, int64_t k,
                     int32_t accumulate)
{
    int64_t j = 0;
    for (; j + WIDE * LANES <= n; j += WIDE * LANES)
        columns(WIDE, c + j, c_row, a, a_row, a_col, b + j, b_row, m, k, accumulate);
    for (; j + LANES <= n; j += LANES)
        columns(1, c + j, c_row, a, a_row, a_col, b + j, b_row, m, k, accumulate);
}

static void softmax_step(float *s, int64_t keys, int64_t n, float scale, float *largest, float *sum,
                         float *shrink)
{
    for (int64_t v = 0; v < n; v += LANES) {
        const vf before = vload(largest + v);
        vf m = vset(-INFINITY), total = { 0 }, back;
        for (int64_t j = 0; j < keys; j++) /* NaN gives m: the sum below carries it */
            m = vmax(vload(s + j * TILE_Q + v), m);
        m = vmax(m * scale, before);
        back = vexp(before - m);
        for (int64_t j = 0; j < keys; j++) {
            const vf p = vexp(vload(s + j * TILE_Q + v) * scale - m);
            vstore(s + j * TILE_Q + v, p);
            total += p;
        }
        vstore(largest + v, m);
        vstore(shrink + v, back);
        vstore(sum + v, vload(sum + v) * back + total);
    }
}

static void softmax_back(float *p, float *dp, int64_t keys, int64_t n, float scale,
                         const float *largest, const float *share, const float *delta)
{
    for (int64_t j = 0; j < keys; j++)
        for (int64_t v = 0; v < n; v += LANES) {
            float *at = p + j * TILE_Q + v, *d = dp + j * TILE_Q + v;
            const vf e = vexp(vload(at) * scale - vload(largest + v)) * vload(share + v);
            vstore(at, e);
            vstore(d, e * (vload(d) - vload(delta + v)) * scale);
        }
}

/* LANES rows and columns of it */
static inline void turn(float *d, const float *s, int64_t s_row)
{
    vf r[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        r[i] = vload(s + i * s_row);
    vtranspose(r);
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        vstore(d + i * TILE_Q, r[i]);
}

static void transpose(float *d, int64_t n, const float *s, int64_t s_row, int64_t rows,
                      int64_t cols)
{
    const int64_t r0 = rows / LANES * LANES, c0 = cols / LANES * LANES;
    for (int64_t r = 0; r < r0; r += LANES)
        for (int64_t c = 0; c < c0; c += LANES)
            turn(d + c * TILE_Q + r, s + r * s_row + c, s_row);
    for (int64_t c = 0; c < cols; c++) {
        for (int64_t r = c < c0 ? r0 : 0; r < rows; r++)
            d[c * TILE_Q + r] = s[r * s_row + c];
        for (int64_t r = rows; r < n; r++)
            d[c * TILE_Q + r] = 0;
    }
}

extern const cpu_tile CPU_ISA_NAME(cpu_tile_);
const cpu_tile CPU_ISA_NAME(cpu_tile_) = {
    .multiply = multiply,
    .softmax_step = softmax_step,
    .softmax_back = softmax_back,
    .transpose = transpose,
};
