/*
 * vec.h - vectors of the instruction set a kernel file is built for.
 *
 * GCC's vector extension gives + - * / and comparisons; a loop over the lanes of
 * a vector becomes one instruction for the rest.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CPU_VEC_H
#define CPU_VEC_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float vf __attribute__((vector_size(LANES * 4)));
typedef int32_t vi __attribute__((vector_size(LANES * 4)));
typedef uint32_t vu __attribute__((vector_size(LANES * 4))); /* wraps: NaN has bits as well */
typedef float vf_any __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

static inline vf vload(const float *p)
{
    return *(const vf_any *)p;
}

static inline void vstore(float *p, vf x)
{
    *(vf_any *)p = x;
}

static inline vf vset(float x)
{
    return x - (vf){ 0 };
}

/* mask ? a : b, mask as comparisons give it */
static inline vf vselect(vi mask, vf a, vf b)
{
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

/* a > b ? a : b */
static inline vf vmax(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX__)
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE__)
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
#else
    return vselect(a > b, a, b);
#endif
}

/* p[at] in every lane */
static inline vf vgather(const float *p, vi at)
{
#if defined(__AVX512F__)
    return (vf)_mm512_i32gather_ps((__m512i)at, p, 4);
#elif defined(__AVX2__)
    return (vf)_mm256_i32gather_ps(p, (__m256i)at, 4);
#else
    vf x;
    for (int i = 0; i < LANES; i++)
        x[i] = p[at[i]];
    return x;
#endif
}

/* Sum of the lanes, always in the same order: halves folded onto each other. */
static inline float vsum(vf x)
{
#if defined(__AVX__)
    __m128 four, two;
#if defined(__AVX512F__)
    const __m512d all = (__m512d)x;
    const __m256 eight =
        _mm256_add_ps((__m256)_mm512_castpd512_pd256(all), (__m256)_mm512_extractf64x4_pd(all, 1));
#else
    const __m256 eight = (__m256)x;
#endif
    four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
    float lane[LANES];
    int half, i;
    memcpy(lane, &x, sizeof lane);
    for (half = LANES / 2; half; half /= 2)
        for (i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
#endif
}

/* exp(x) for x <= 0 (a little above does no harm), within 2 ulp; below -87.3 it is
 * 0, NaN stays NaN. Cephes' expf: 2^n e^r, |r| <= ln 2 / 2. */
static inline vf vexp(vf x)
{
    const vf magic = vset(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    const vf t = x * 1.44269504088896341f + magic, n = t - magic;
    const vf r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    const vu bits = ((vu)t - (vu)magic + 127) << 23;
    vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    p = p * (vf)bits;
    return (vf)((vi)p & ~(x < -87.3f));
}

/* r[i] lane j <-> r[j] lane i. Pairs, then fours, then halves of the register change places. */
static inline __attribute__((always_inline)) void vtranspose(vf r[LANES])
{
#if defined(__AVX512F__)
    __m512 t[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 4) {
        const __m512 a = (__m512)r[i], b = (__m512)r[i + 1], c = (__m512)r[i + 2],
                     d = (__m512)r[i + 3];
        const __m512 ab = _mm512_unpacklo_ps(a, b), cd = _mm512_unpacklo_ps(c, d);
        const __m512 ab2 = _mm512_unpackhi_ps(a, b), cd2 = _mm512_unpackhi_ps(c, d);
        t[i] = _mm512_shuffle_ps(ab, cd, 0x44);
        t[i + 1] = _mm512_shuffle_ps(ab, cd, 0xee);
        t[i + 2] = _mm512_shuffle_ps(ab2, cd2, 0x44);
        t[i + 3] = _mm512_shuffle_ps(ab2, cd2, 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const __m512 a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88);
        const __m512 b = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88);
        const __m512 c = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
        const __m512 d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
        r[i] = (vf)_mm512_shuffle_f32x4(a, b, 0x88);
        r[i + 4] = (vf)_mm512_shuffle_f32x4(c, d, 0x88);
        r[i + 8] = (vf)_mm512_shuffle_f32x4(a, b, 0xdd);
        r[i + 12] = (vf)_mm512_shuffle_f32x4(c, d, 0xdd);
    }
#elif defined(__AVX__)
    __m256 t[8];
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        const __m256 a = (__m256)r[i], b = (__m256)r[i + 1], c = (__m256)r[i + 2],
                     d = (__m256)r[i + 3];
        const __m256 ab = _mm256_unpacklo_ps(a, b), cd = _mm256_unpacklo_ps(c, d);
        const __m256 ab2 = _mm256_unpackhi_ps(a, b), cd2 = _mm256_unpackhi_ps(c, d);
        t[i] = _mm256_shuffle_ps(ab, cd, 0x44);
        t[i + 1] = _mm256_shuffle_ps(ab, cd, 0xee);
        t[i + 2] = _mm256_shuffle_ps(ab2, cd2, 0x44);
        t[i + 3] = _mm256_shuffle_ps(ab2, cd2, 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        r[i] = (vf)_mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
        r[i + 4] = (vf)_mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
    }
#else
    float x[LANES][LANES];
    for (int i = 0; i < LANES; i++)
        vstore(x[i], r[i]);
    for (int i = 0; i < LANES; i++) {
        float y[LANES];
        for (int j = 0; j < LANES; j++)
            y[j] = x[j][i];
        r[i] = vload(y);
    }
#endif
}

#endif /* CPU_VEC_H */
