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

/* Sum of the lanes, always in the same order: halves folded onto each other. */
static inline float vsum(vf x)
{
    float lane[LANES];
    int half, i;
    memcpy(lane, &x, sizeof lane);
    for (half = LANES / 2; half; half /= 2)
        for (i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
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

#endif /* CPU_VEC_H */
