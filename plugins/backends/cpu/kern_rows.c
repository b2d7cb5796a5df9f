/*
 * kern_rows.c - one row of a norm, of rope, of swiglu, of logits; dot products.
 *
 * Built with -ffp-contract=fast. Sums run in vector lanes and are folded in one
 * fixed order, so a row gives the same bits whichever thread takes it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "kernels.h"
#include "vec.h"

/* `steps` full vectors, then what is left one by one. */
#define VECTORS(i, n) (; (i) + LANES <= (n); (i) += LANES)
#define REST(i, n) (; (i) < (n); (i)++)

/* The first n < LANES floats of p, the rest 0. */
static inline vf load_part(const float *p, int64_t n)
{
    float lane[LANES] = { 0 };
    for (int i = 0; i < LANES && i < n; i++)
        lane[i] = p[i];
    return vload(lane);
}

static inline void store_part(float *p, vf x, int64_t n)
{
    float lane[LANES];
    vstore(lane, x);
    for (int i = 0; i < LANES && i < n; i++)
        p[i] = lane[i];
}

static float dot(const float *a, const float *b, int64_t n)
{
    vf s0 = { 0 }, s1 = { 0 }, s2 = { 0 }, s3 = { 0 };
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        s0 += vload(a + i) * vload(b + i);
        s1 += vload(a + i + LANES) * vload(b + i + LANES);
        s2 += vload(a + i + 2 * LANES) * vload(b + i + 2 * LANES);
        s3 += vload(a + i + 3 * LANES) * vload(b + i + 3 * LANES);
    }
    for
        VECTORS(i, n)
    s0 += vload(a + i) * vload(b + i);
    if (i < n)
        s1 += load_part(a + i, n - i) * load_part(b + i, n - i);
    return vsum((s0 + s1) + (s2 + s3));
}

static void dot4(float *y, const float *x, const float *w, int64_t stride, int64_t n)
{
    const float *w0 = w, *w1 = w + stride, *w2 = w + 2 * stride, *w3 = w + 3 * stride;
    vf s0 = { 0 }, s1 = { 0 }, s2 = { 0 }, s3 = { 0 };
    vf t0 = { 0 }, t1 = { 0 }, t2 = { 0 }, t3 = { 0 };
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        const vf a = vload(x + i), b = vload(x + i + LANES);
        s0 += a * vload(w0 + i);
        s1 += a * vload(w1 + i);
        s2 += a * vload(w2 + i);
        s3 += a * vload(w3 + i);
        t0 += b * vload(w0 + i + LANES);
        t1 += b * vload(w1 + i + LANES);
        t2 += b * vload(w2 + i + LANES);
        t3 += b * vload(w3 + i + LANES);
    }
    for
        VECTORS(i, n)
        {
            const vf a = vload(x + i);
            s0 += a * vload(w0 + i);
            s1 += a * vload(w1 + i);
            s2 += a * vload(w2 + i);
            s3 += a * vload(w3 + i);
        }
    if (i < n) {
        const vf a = load_part(x + i, n - i);
        t0 += a * load_part(w0 + i, n - i);
        t1 += a * load_part(w1 + i, n - i);
        t2 += a * load_part(w2 + i, n - i);
        t3 += a * load_part(w3 + i, n - i);
    }
    y[0] = vsum(s0 + t0);
    y[1] = vsum(s1 + t1);
    y[2] = vsum(s2 + t2);
    y[3] = vsum(s3 + t3);
}

static float sum_squares(const float *x, int64_t n)
{
    return dot(x, x, n);
}

/* The bits of sum_squares of the sum. */
static float add_squares(float *x, const float *add, int64_t n)
{
    vf s[4] = { { 0 }, { 0 }, { 0 }, { 0 } };
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int k = 0; k < 4; k++) {
            const vf y = vload(x + i + k * LANES) + vload(add + i + k * LANES);
            vstore(x + i + k * LANES, y);
            s[k] += y * y;
        }
    for
        VECTORS(i, n)
        {
            const vf y = vload(x + i) + vload(add + i);
            vstore(x + i, y);
            s[0] += y * y;
        }
    if (i < n) {
        const vf y = load_part(x + i, n - i) + load_part(add + i, n - i);
        store_part(x + i, y, n - i);
        s[1] += y * y;
    }
    return vsum((s[0] + s[1]) + (s[2] + s[3]));
}

static void axpy(float *y, const float *x, float alpha, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += alpha * x[i];
}

static void scale(float *y, const float *x, float alpha, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = alpha * x[i];
}

/* y = x rstd w */
static void norm(float *y, const float *x, const float *w, float rstd, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * rstd * w[i];
}

static void norm_bwd(float *dx, float *dw, const float *dy, const float *x, const float *w,
                     float rstd, int64_t n, int accumulate)
{
    vf s0 = { 0 }, s1 = { 0 };
    float mean;
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        s0 += vload(dy + i) * vload(w + i) * vload(x + i);
        s1 += vload(dy + i + LANES) * vload(w + i + LANES) * vload(x + i + LANES);
    }
    for
        VECTORS(i, n)
    s0 += vload(dy + i) * vload(w + i) * vload(x + i);
    if (i < n)
        s1 += load_part(dy + i, n - i) * load_part(w + i, n - i) * load_part(x + i, n - i);
    mean = vsum(s0 + s1) / (float)n * rstd * rstd;
    if (dw)
        for (i = 0; i < n; i++)
            dw[i] += dy[i] * x[i] * rstd;
    if (accumulate)
        for (i = 0; i < n; i++)
            dx[i] += rstd * (dy[i] * w[i] - x[i] * mean);
    else
        for (i = 0; i < n; i++)
            dx[i] = rstd * (dy[i] * w[i] - x[i] * mean);
}

static void rope(float *x, const float *cosine, const float *sine, int64_t half, float sign)
{
    float *restrict low = x, *restrict high = x + half;
    for (int64_t i = 0; i < half; i++) {
        const float a = low[i], b = high[i], c = cosine[i], s = sign * sine[i];
        low[i] = a * c - b * s;
        high[i] = b * c + a * s;
    }
}

/* 1 / (1 + exp(-x)) without overflow: exp of the negative magnitude only */
static inline vf sigmoid(vf x)
{
    const vi negative = x < 0.0f;
    const vf e = vexp(vselect(negative, x, -x));
    return vselect(negative, e, vset(1.0f)) / (1.0f + e);
}

static void swiglu(float *y, const float *gate, const float *up, int64_t n)
{
    int64_t i = 0;
    for
        VECTORS(i, n)
        {
            const vf g = vload(gate + i);
            vstore(y + i, g * sigmoid(g) * vload(up + i));
        }
    if (i < n) {
        const vf g = load_part(gate + i, n - i);
        store_part(y + i, g * sigmoid(g) * load_part(up + i, n - i), n - i);
    }
}

static void swiglu_bwd(float *dgate, float *dup, const float *dy, const float *gate,
                       const float *up, int64_t n)
{
    int64_t i = 0;
    for
        VECTORS(i, n)
        {
            const vf g = vload(gate + i), d = vload(dy + i), s = sigmoid(g);
            const vf u = vload(up + i);
            vstore(dgate + i, d * u * s * (1.0f + g * (1.0f - s)));
            vstore(dup + i, d * g * s);
        }
    if (i < n) {
        const vf g = load_part(gate + i, n - i), d = load_part(dy + i, n - i), s = sigmoid(g);
        const vf u = load_part(up + i, n - i);
        store_part(dgate + i, d * u * s * (1.0f + g * (1.0f - s)), n - i);
        store_part(dup + i, d * g * s, n - i);
    }
}

/* In pieces of a few KiB: largest of the piece, then its exponentials while it is
 * still in L1; the running sum is shrunk when a larger value turns up. */
static float log_sum(const float *x, int64_t n, double *sum)
{
    enum { PIECE = 2048 };
    float best = -INFINITY;
    double total = 0;
    int64_t at, i;
    for (at = 0; at < n; at += PIECE) {
        const int64_t end = n - at < PIECE ? n : at + PIECE;
        vf m0 = vset(-INFINITY), m1 = m0, s0 = { 0 }, s1 = { 0 };
        float top = -INFINITY, lane[LANES];
        for (i = at; i + 2 * LANES <= end; i += 2 * LANES) {
            m0 = vmax(vload(x + i), m0);
            m1 = vmax(vload(x + i + LANES), m1);
        }
        vstore(lane, vmax(m0, m1));
        for (int j = 0; j < LANES; j++)
            top = lane[j] > top ? lane[j] : top;
        for
            REST(i, end)
        top = x[i] > top ? x[i] : top;
        if (top > best) {
            total *= exp((double)best - (double)top);
            best = top;
        }
        /* all of it -inf so far: nothing to add, and best - best would be NaN */
        if (best == -INFINITY && !(x[at] != x[at]))
            continue;
        m0 = vset(best);
        for (i = at; i + 2 * LANES <= end; i += 2 * LANES) {
            s0 += vexp(vload(x + i) - m0);
            s1 += vexp(vload(x + i + LANES) - m0);
        }
        total += (double)vsum(s0 + s1);
        for
            REST(i, end)
        total += (double)expf(x[i] - best);
    }
    *sum = total;
    return best;
}

static void softmax(float *x, int64_t n, float lse, float factor)
{
    int64_t i = 0;
    for
        VECTORS(i, n)
    vstore(x + i, vexp(vload(x + i) - lse) * factor);
    if (i < n)
        store_part(x + i, vexp(load_part(x + i, n - i) - lse) * factor, n - i);
}

extern const cpu_rows CPU_ISA_NAME(cpu_rows_);
const cpu_rows CPU_ISA_NAME(cpu_rows_) = {
    .sum_squares = sum_squares,
    .add_squares = add_squares,
    .norm = norm,
    .norm_bwd = norm_bwd,
    .rope = rope,
    .swiglu = swiglu,
    .swiglu_bwd = swiglu_bwd,
    .log_sum = log_sum,
    .softmax = softmax,
    .dot = dot,
    .dot4 = dot4,
    .axpy = axpy,
    .scale = scale,
};
