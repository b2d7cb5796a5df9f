/*
 * kern_table.c - instructions of elementwise programs that look into tables and at blocks.
 *
 * Processors of this kind gather slowly (and slower still since they were mended against
 * reading what others had loaded), so that nothing here gathers: with AVX-512 a table of 256
 * lies in sixteen registers, which permutations search; without, elements look up one by one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "kernels.h"
#include "vec.h"

#if defined(__AVX512F__)

/* Which of the first 32, 64, 128 numbers of a table, by the low 5, 6, 7 bits of at. */
static inline __m512 of_32(const float *table, __m512i at)
{
    return _mm512_permutex2var_ps(_mm512_loadu_ps(table), at, _mm512_loadu_ps(table + 16));
}

static inline __m512 of_64(const float *table, __m512i at)
{
    const __mmask16 high = _mm512_test_epi32_mask(at, _mm512_set1_epi32(32));
    return _mm512_mask_blend_ps(high, of_32(table, at), of_32(table + 32, at));
}

static inline __m512 of_128(const float *table, __m512i at)
{
    const __mmask16 high = _mm512_test_epi32_mask(at, _mm512_set1_epi32(64));
    return _mm512_mask_blend_ps(high, of_64(table, at), of_64(table + 64, at));
}

/* k goes down the tree: to 2 k, or to 2 k + 1 where x lies above its place. */
static inline __m512i step(__m512i k, __m512 x, __m512 place)
{
    const __mmask16 above = _mm512_cmp_ps_mask(x, place, _CMP_GT_OQ);
    const __m512i left = _mm512_add_epi32(k, k);
    return _mm512_mask_add_epi32(left, above, left, _mm512_set1_epi32(1));
}

/* Entries nearest to 64 numbers, four searches side by side: numbers of a node's level lie at
 * tree + its first node, as many as the level has. */
static inline void search(__m512i k[4], const float *a, const float *tree)
{
    __m512 x[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        x[j] = _mm512_loadu_ps(a + 16 * j);
        k[j] = _mm512_set1_epi32(1);
    }
    for (int level = 0; level < 4; level++) /* nodes 1 to 15 */
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            k[j] = step(k[j], x[j], _mm512_permutexvar_ps(k[j], _mm512_loadu_ps(tree)));
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        k[j] = step(k[j], x[j], _mm512_permutexvar_ps(k[j], _mm512_loadu_ps(tree + 16)));
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        k[j] = step(k[j], x[j], of_32(tree + 32, k[j]));
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        k[j] = step(k[j], x[j], of_64(tree + 64, k[j]));
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        k[j] = step(k[j], x[j], of_128(tree + 128, k[j]));
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        k[j] = _mm512_sub_epi32(k[j], _mm512_set1_epi32(256));
}

void CPU_ISA_NAME(cpu_table_nearest_)(float *restrict d, const float *restrict a,
                                      const cpu_nearest *t)
{
    for (int i = 0; i < EW_BLOCK; i += 64) {
        __m512i k[4];
        search(k, a + i, t->tree);
        for (int j = 0; j < 4; j++)
            _mm512_storeu_ps(d + i + 16 * j, _mm512_cvtepi32_ps(k[j]));
    }
}

void CPU_ISA_NAME(cpu_table_nearest_bytes_)(uint8_t *restrict d, const float *restrict a,
                                            const cpu_nearest *t)
{
    for (int i = 0; i < EW_BLOCK; i += 64) {
        __m512i k[4];
        search(k, a + i, t->tree);
        for (int j = 0; j < 4; j++)
            _mm_storeu_si128((__m128i *)(void *)(d + i + 16 * j), _mm512_cvtepi32_epi8(k[j]));
    }
}

static inline __m512 of_256(const float *table, __m512i at)
{
    const __mmask16 high = _mm512_test_epi32_mask(at, _mm512_set1_epi32(128));
    return _mm512_mask_blend_ps(high, of_128(table, at), of_128(table + 128, at));
}

/* d = table[place]; most: the largest place. */
static void take(float *restrict d, const int32_t *restrict place, const float *table, int32_t most)
{
    int i;
    if (most < 32)
        for (i = 0; i < EW_BLOCK; i += 16)
            _mm512_storeu_ps(d + i, of_32(table, _mm512_loadu_si512(place + i)));
    else if (most < 256)
        for (i = 0; i < EW_BLOCK; i += 16)
            _mm512_storeu_ps(d + i, of_256(table, _mm512_loadu_si512(place + i)));
    else
        for (i = 0; i < EW_BLOCK; i++)
            d[i] = table[place[i]];
}

void CPU_ISA_NAME(cpu_table_look_up_bytes_)(float *restrict d, const uint8_t *restrict codes,
                                            const float *table)
{
    for (int i = 0; i < EW_BLOCK; i += 16) {
        const __m128i eight = _mm_loadu_si128((const __m128i *)(const void *)(codes + i));
        _mm512_storeu_ps(d + i, of_256(table, _mm512_cvtepu8_epi32(eight)));
    }
}

#else

/* Bits of floats in the order of the floats. */
static inline uint32_t ordered(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u ^ ((uint32_t)((int32_t)u >> 31) | 0x80000000u);
}

static void search(int32_t *restrict at, const float *restrict a, const cpu_nearest *t)
{
    uint32_t high[EW_BLOCK];
    float place[EW_BLOCK];
    for (int i = 0; i < EW_BLOCK; i++)
        high[i] = ordered(a[i]) >> 16;
    for (int i = 0; i < EW_BLOCK; i++)
        at[i] = t->start[high[i]];
    for (uint32_t step = 0; step < t->steps; step++) {
        for (int i = 0; i < EW_BLOCK; i++)
            place[i] = t->above[at[i]];
        for (int i = 0; i < EW_BLOCK; i++)
            at[i] += a[i] > place[i] ? 1 : 0;
    }
    for (int i = 0; i < EW_BLOCK; i++)
        at[i] = a[i] == a[i] ? at[i] : 0;
}

void CPU_ISA_NAME(cpu_table_nearest_)(float *restrict d, const float *restrict a,
                                      const cpu_nearest *t)
{
    int32_t at[EW_BLOCK];
    search(at, a, t);
    for (int i = 0; i < EW_BLOCK; i++)
        d[i] = (float)at[i];
}

void CPU_ISA_NAME(cpu_table_nearest_bytes_)(uint8_t *restrict d, const float *restrict a,
                                            const cpu_nearest *t)
{
    int32_t at[EW_BLOCK];
    search(at, a, t);
    for (int i = 0; i < EW_BLOCK; i++)
        d[i] = (uint8_t)at[i];
}

static void take(float *restrict d, const int32_t *restrict place, const float *table, int32_t most)
{
    (void)most;
    for (int i = 0; i < EW_BLOCK; i++)
        d[i] = table[place[i]];
}

void CPU_ISA_NAME(cpu_table_look_up_bytes_)(float *restrict d, const uint8_t *restrict codes,
                                            const float *table)
{
    for (int i = 0; i < EW_BLOCK; i++)
        d[i] = table[codes[i]];
}

#endif

void CPU_ISA_NAME(cpu_table_look_up_)(float *restrict d, const float *restrict a,
                                      const float *table, uint32_t n, uint32_t base)
{
    enum { FAR = 4096 }; /* beyond any table, from any place in it */
    const int32_t first = (int32_t)base, last = (int32_t)n - 1;
    int32_t place[EW_BLOCK], least = last, most = 0;
    for (int i = 0; i < EW_BLOCK; i++) {
        float x = a[i] > -FAR ? a[i] : -FAR; /* NaN too */
        int32_t at;
        x = x < FAR ? x : FAR;
        at = first + (int32_t)x;
        at = at > 0 ? at : 0;
        at = at < last ? at : last;
        least = at < least ? at : least;
        most = at > most ? at : most;
        place[i] = at;
    }
    if (least >= first && most >= 256) {
        for (int i = 0; i < EW_BLOCK; i++)
            place[i] -= first;
        table += first;
        most -= first;
    }
    take(d, place, table, most);
}

/* The largest of n numbers, NaN counting as nothing; -inf for none. */
static float largest(const float *x, int64_t n)
{
    vf m0 = vset(-INFINITY), m1 = m0, m2 = m0, m3 = m0;
    float lane[LANES], most = -INFINITY;
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) { /* a NaN gives the second operand */
        m0 = vmax(vload(x + i), m0);
        m1 = vmax(vload(x + i + LANES), m1);
        m2 = vmax(vload(x + i + 2 * LANES), m2);
        m3 = vmax(vload(x + i + 3 * LANES), m3);
    }
    for (; i < n; i++)
        most = x[i] > most ? x[i] : most;
    vstore(lane, vmax(vmax(m0, m1), vmax(m2, m3)));
    for (int half = LANES / 2; half; half /= 2)
        for (int k = 0; k < half; k++)
            lane[k] = lane[k + half] > lane[k] ? lane[k + half] : lane[k];
    most = lane[0] > most ? lane[0] : most;
    for (i = 0; most == 0 && i < n; i++) /* of zeros of both signs, the first */
        if (x[i] == 0)
            return x[i];
    return most;
}

void CPU_ISA_NAME(cpu_table_block_max_)(float *restrict d, const float *restrict a, int64_t n,
                                        uint32_t shift)
{
    for (int64_t lo = 0; lo < n; lo += INT64_C(1) << shift) {
        const int64_t end = lo + (INT64_C(1) << shift), hi = end < n ? end : n;
        const float most = largest(a + lo, hi - lo);
        for (int64_t i = lo; i < hi; i++)
            d[i] = most;
    }
}
