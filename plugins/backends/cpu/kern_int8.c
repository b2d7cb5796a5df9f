/*
 * kern_int8.c - products of bytes, and the bytes of a row of numbers.
 *
 * Sums are integers and exact in any order: every instruction set gives the same bits. VNNI
 * multiplies unsigned by signed bytes: weights are moved up by 128, and 128 times the sum of
 * the other factor taken away again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "kernels.h"
#include "vec.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
#define STEP 64
#endif

#if defined(STEP)

/* tile (M, R) for M rows of x and R of w. */
#define DOTS(M, R)                                                                                 \
    static void dots_##M##_##R(int32_t *tile, const int8_t *x, int64_t x_row, const int8_t *w,     \
                               int64_t w_row, int64_t n)                                           \
    {                                                                                              \
        __m512i sum[M][R], xs[M];                                                                  \
        for (int m = 0; m < M; m++) {                                                              \
            xs[m] = _mm512_setzero_si512();                                                        \
            for (int r = 0; r < R; r++)                                                            \
                sum[m][r] = _mm512_setzero_si512();                                                \
        }                                                                                          \
        for (int64_t i = 0; i < n; i += STEP) {                                                    \
            const __mmask64 mask = n - i < STEP ? ~UINT64_C(0) >> (STEP - (n - i)) : ~UINT64_C(0); \
            __m512i a[M];                                                                          \
            for (int m = 0; m < M; m++) {                                                          \
                a[m] = _mm512_maskz_loadu_epi8(mask, x + m * x_row + i);                           \
                xs[m] = _mm512_dpbusd_epi32(xs[m], _mm512_set1_epi8(-128), a[m]);                  \
            }                                                                                      \
            for (int r = 0; r < R; r++) {                                                          \
                if (M == 1)                                                                        \
                    __builtin_prefetch(w + (r + R) * w_row + i); /* the rows after these */        \
                const __m512i b = _mm512_xor_si512(                                                \
                    _mm512_maskz_loadu_epi8(mask, w + r * w_row + i), _mm512_set1_epi8(-128));     \
                for (int m = 0; m < M; m++)                                                        \
                    sum[m][r] = _mm512_dpbusd_epi32(sum[m][r], b, a[m]);                           \
            }                                                                                      \
        }                                                                                          \
        for (int m = 0; m < M; m++)                                                                \
            for (int r = 0; r < R; r++)                                                            \
                tile[m * R + r] = _mm512_reduce_add_epi32(_mm512_sub_epi32(sum[m][r], xs[m]));     \
    }

#else

/* sum of x[i] w[i]; products of two bytes are added in pairs, in 32 bits */
static inline int32_t dot_of(const int8_t *x, const int8_t *w, int64_t n)
{
    int32_t sum = 0;
    int64_t i = 0;
#if defined(__AVX512BW__)
    __m512i s = _mm512_setzero_si512();
    for (; i + 32 <= n; i += 32)
        s = _mm512_add_epi32(
            s, _mm512_madd_epi16(_mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)(x + i))),
                                 _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)(w + i)))));
    sum = _mm512_reduce_add_epi32(s);
#elif defined(__AVX2__)
    __m256i s = _mm256_setzero_si256();
    int32_t lane[8];
    for (; i + 16 <= n; i += 16)
        s = _mm256_add_epi32(
            s, _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(x + i))),
                                 _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(w + i)))));
    _mm256_storeu_si256((void *)lane, s);
    for (int k = 0; k < 8; k++)
        sum += lane[k];
#endif
    for (; i < n; i++)
        sum += x[i] * w[i];
    return sum;
}

#define DOTS(M, R)                                                                             \
    static void dots_##M##_##R(int32_t *tile, const int8_t *x, int64_t x_row, const int8_t *w, \
                               int64_t w_row, int64_t n)                                       \
    {                                                                                          \
        for (int r = 0; r < R; r++)                                                            \
            for (int m = 0; m < M; m++)                                                        \
                tile[m * R + r] = dot_of(x + m * x_row, w + r * w_row, n);                     \
    }

#endif

/* clang-format off */
DOTS(1, 1) DOTS(1, 2) DOTS(1, 3) DOTS(1, 4)
DOTS(2, 1) DOTS(2, 2) DOTS(2, 3) DOTS(2, 4)
DOTS(3, 1) DOTS(3, 2) DOTS(3, 3) DOTS(3, 4)
DOTS(4, 1) DOTS(4, 2) DOTS(4, 3) DOTS(4, 4)
/* clang-format on */

#define ROW(M)                                                 \
    {                                                          \
        dots_##M##_1, dots_##M##_2, dots_##M##_3, dots_##M##_4 \
    }

        static void dots(int32_t *tile, const int8_t *x, int64_t x_row, int m, const int8_t *w,
                         int64_t w_row, int r, int64_t n)
{
    static void (*const with[4][4])(int32_t *, const int8_t *, int64_t, const int8_t *, int64_t,
                                    int64_t) = { ROW(1), ROW(2), ROW(3), ROW(4) };
    with[m - 1][r - 1](tile, x, x_row, w, w_row, n);
}

/* ------------------------------------------------------------------- a row of numbers */

static float largest(uint8_t *apart, const float *x, int64_t n, float limit)
{
    float most = 0;
    for (int64_t i = 0; i < n; i++) {
        const float a = fabsf(x[i]);
        const int in = a < limit; /* not NaN either */
        apart[i] = (uint8_t)(apart[i] | !in);
        most = in && a > most ? a : most;
    }
    return most;
}

static void quantize(int8_t *q, const float *x, const uint8_t *apart, int64_t n, float factor)
{
    for (int64_t i = 0; i < n; i++)
        q[i] = (int8_t)(apart[i] ? 0 : (int32_t)rintf(x[i] * factor));
}

const cpu_int8 CPU_ISA_NAME(cpu_int8_);
const cpu_int8 CPU_ISA_NAME(cpu_int8_) = {
    .dots = dots,
    .largest = largest,
    .quantize = quantize,
};
