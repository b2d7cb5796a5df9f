/*
 * kern_few.c - rows of a stored matrix times a few vectors: what generation is made of.
 *
 * The matrix is read once, in its own format, at the speed of memory: numbers are widened in
 * registers and multiplied at once by all vectors. Built once per instruction set. Sums run in
 * lanes that are folded in one order, so a row gives the same bits whichever thread has it.
 *
 * nf4: a word holds eight codes, so a vector of words, moved right by 0, 4, .., 28 bits, gives
 * eight vectors of codes without a shuffle, of columns eight apart. The vectors come in that order
 * (part).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernels.h"
#include "vec.h"

/* The sum of all lanes, halves onto halves. */
static inline float fold(vf x)
{
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps((__m512)x);
#else
    return vsum(x);
#endif
}

/* ------------------------------------------------------------------ widening loads */

static inline vf load_f32(const void *p)
{
    return vload(p);
}

static inline vf load_bf16(const void *p)
{
#if defined(__AVX512F__)
    const __m512i u = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p));
    return (vf)_mm512_slli_epi32(u, 16);
#elif defined(__AVX2__)
    const __m256i u = _mm256_cvtepu16_epi32(_mm_loadu_si128(p));
    return (vf)_mm256_slli_epi32(u, 16);
#else
    uint16_t h[LANES];
    vu u;
    memcpy(h, p, sizeof h);
    for (int i = 0; i < LANES; i++)
        u[i] = (uint32_t)h[i] << 16;
    return (vf)u;
#endif
}

static inline float half_to_float(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u;
    const uint32_t fraction = h & 1023u;
    const float small = (float)fraction * 0x1p-24f; /* zero, subnormal */
    uint32_t u;
    float x;
    memcpy(&u, &small, sizeof u);
    if (exponent == 31)
        u = 0x7f800000u | fraction << 13;
    else if (exponent)
        u = (exponent + 112u) << 23 | fraction << 13;
    u |= sign;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline vf load_f16(const void *p)
{
#if defined(__AVX512F__)
    return (vf)_mm512_cvtph_ps(_mm256_loadu_si256(p));
#elif defined(__F16C__)
    return (vf)_mm256_cvtph_ps(_mm_loadu_si128(p));
#else
    uint16_t h[LANES];
    vf x;
    memcpy(h, p, sizeof h);
    for (int i = 0; i < LANES; i++)
        x[i] = half_to_float(h[i]);
    return x;
#endif
}

static inline float one_f32(const void *p)
{
    float x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline float one_bf16(const void *p)
{
    uint16_t h;
    uint32_t u;
    float x;
    memcpy(&h, p, sizeof h);
    u = (uint32_t)h << 16;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline float one_f16(const void *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return half_to_float(h);
}

/* -------------------------------------------------------------------- plain formats */

#define AHEAD 1024 /* bytes of a row asked for before they are needed */

/* y[r] for R rows of w and M vectors: R * M sums in registers. */
#define PLAIN_BLOCK(NAME, LOAD, ONE, SIZE, R, M)                                                \
    static inline void NAME##_##R##_##M(float *y, int64_t y_row, const float *x, int64_t x_row, \
                                        const uint8_t *w, int64_t w_row, int64_t n)             \
    {                                                                                           \
        vf sum[R][M] = { { { 0 } } };                                                           \
        int64_t i = 0;                                                                          \
        for (; i + LANES <= n; i += LANES) {                                                    \
            vf b[M];                                                                            \
            for (int m = 0; m < M; m++)                                                         \
                b[m] = vload(x + m * x_row + i);                                                \
            for (int r = 0; r < R; r++) {                                                       \
                const uint8_t *at = w + r * w_row + i * SIZE;                                   \
                const vf a = LOAD(at);                                                          \
                __builtin_prefetch(at + AHEAD);                                                 \
                for (int m = 0; m < M; m++)                                                     \
                    sum[r][m] += a * b[m];                                                      \
            }                                                                                   \
        }                                                                                       \
        for (int m = 0; m < M; m++)                                                             \
            for (int r = 0; r < R; r++) {                                                       \
                float rest = 0;                                                                 \
                for (int64_t k = i; k < n; k++)                                                 \
                    rest += ONE(w + r * w_row + k * SIZE) * x[m * x_row + k];                   \
                y[m * y_row + r] = fold(sum[r][m]) + rest;                                      \
            }                                                                                   \
    }

#define PLAIN_VECTORS(NAME, LOAD, ONE, SIZE, M)                                      \
    PLAIN_BLOCK(NAME, LOAD, ONE, SIZE, 4, M)                                         \
    PLAIN_BLOCK(NAME, LOAD, ONE, SIZE, 1, M)                                         \
    static void NAME##_##M(float *y, int64_t y_row, const float *x, int64_t x_row,   \
                           const uint8_t *w, int64_t w_row, int64_t rows, int64_t n) \
    {                                                                                \
        int64_t r = 0;                                                               \
        for (; r + 4 <= rows; r += 4)                                                \
            NAME##_4_##M(y + r, y_row, x, x_row, w + r * w_row, w_row, n);           \
        for (; r < rows; r++)                                                        \
            NAME##_1_##M(y + r, y_row, x, x_row, w + r * w_row, w_row, n);           \
    }

#define PLAIN(NAME, LOAD, ONE, SIZE)                                                               \
    PLAIN_VECTORS(NAME, LOAD, ONE, SIZE, 1)                                                        \
    PLAIN_VECTORS(NAME, LOAD, ONE, SIZE, 2)                                                        \
    PLAIN_VECTORS(NAME, LOAD, ONE, SIZE, 3)                                                        \
    PLAIN_VECTORS(NAME, LOAD, ONE, SIZE, 4)                                                        \
    static void NAME(float *y, int64_t y_row, const float *x, int64_t x_row, int64_t m,            \
                     const void *w, int64_t w_row, int64_t rows, int64_t n)                        \
    {                                                                                              \
        static void (*const with[FEW_ROWS])(float *, int64_t, const float *, int64_t,              \
                                            const uint8_t *, int64_t, int64_t,                     \
                                            int64_t) = { NAME##_1, NAME##_2, NAME##_3, NAME##_4 }; \
        with[m - 1](y, y_row, x, x_row, w, w_row * SIZE, rows, n);                                 \
    }

PLAIN(f32, load_f32, one_f32, 4)
PLAIN(bf16, load_bf16, one_bf16, 2)
PLAIN(f16, load_f16, one_f16, 2)

/* ------------------------------------------------------------------------------ nf4 */

/* A group of columns: LANES words of eight codes. */
#define PART (8 * LANES)

/* Which of a word's eight columns the bits from 4 s on are: the first of a byte is on top. */
static inline int column_at(int s)
{
    return s ^ 1;
}

static void part(float *to, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += PART)
        for (int s = 0; s < 8; s++)
            for (int k = 0; k < LANES; k++) {
                const int64_t from = i + 8 * k + column_at(s);
                to[i + s * LANES + k] = from < n ? x[from] : 0;
            }
}

typedef struct lut {
#if defined(__AVX512F__)
    __m512 all;
#elif defined(__AVX2__)
    __m256 low, high;
#else
    float all[16];
#endif
} lut;

static inline lut lut_of(const float *value)
{
    lut t;
#if defined(__AVX512F__)
    t.all = _mm512_loadu_ps(value);
#elif defined(__AVX2__)
    t.low = _mm256_loadu_ps(value);
    t.high = _mm256_loadu_ps(value + 8);
#else
    memcpy(t.all, value, sizeof t.all);
#endif
    return t;
}

/* The values of the codes in the words' lowest four bits. */
static inline vf look_up(const lut *t, vu u)
{
#if defined(__AVX512F__)
    return (vf)_mm512_permutexvar_ps((__m512i)u, t->all); /* looks at no other bits */
#elif defined(__AVX2__)
    /* bit 3 of a code, moved to the sign, chooses the half of the table */
    return (vf)_mm256_blendv_ps(_mm256_permutevar8x32_ps(t->low, (__m256i)u),
                                _mm256_permutevar8x32_ps(t->high, (__m256i)u),
                                (__m256)_mm256_slli_epi32((__m256i)u, 28));
#else
    vf x;
    for (int i = 0; i < LANES; i++)
        x[i] = t->all[u[i] & 15];
    return x;
#endif
}

/* LANES words, or as many as are left of a row. */
static inline vu load_words(const uint8_t *p, int64_t left)
{
    vu u = { 0 };
    if (left >= PART)
        memcpy(&u, p, sizeof u);
    else
        memcpy(&u, p, (size_t)(left / 2));
    return u;
}

/* A group's scales, by lane. */
static inline vf load_scales(const float *p, int64_t left)
{
#if defined(__AVX512F__)
    const __m512i half = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m128 two =
        left >= PART ? (__m128)_mm_load_sd((const double *)(const void *)p) : _mm_load_ss(p);
    return (vf)_mm512_permutexvar_ps(half, _mm512_castps128_ps512(two));
#else
    (void)left;
    return vset(*p);
#endif
}

/* A row of n columns, a multiple of 64, and its blocks' scales; x parted. */
#define NF4_ROW(M)                                                                                \
    static void nf4_##M(float *y, int64_t y_row, const float *x, int64_t x_row,                   \
                        const uint8_t *codes, const float *scales, const float *value, int64_t n) \
    {                                                                                             \
        const lut t = lut_of(value);                                                              \
        vf sum[M] = { { 0 } };                                                                    \
        for (int64_t i = 0; i < n; i += PART) {                                                   \
            const vu words = load_words(codes + i / 2, n - i);                                    \
            const vf scale = load_scales(scales + i / 64, n - i);                                 \
            vf group[2][M] = { { { 0 } } };                                                       \
            __builtin_prefetch(codes + i / 2 + AHEAD);                                            \
            _Pragma("GCC unroll 8") for (int s = 0; s < 8; s++)                                   \
            {                                                                                     \
                const vf w = look_up(&t, words >> (4 * s));                                       \
                for (int m = 0; m < M; m++)                                                       \
                    group[s & 1][m] += w * vload(x + m * x_row + i + s * LANES);                  \
            }                                                                                     \
            for (int m = 0; m < M; m++)                                                           \
                sum[m] += scale * (group[0][m] + group[1][m]);                                    \
        }                                                                                         \
        for (int m = 0; m < M; m++)                                                               \
            y[m * y_row] = fold(sum[m]);                                                          \
    }

NF4_ROW(1)
NF4_ROW(2)
NF4_ROW(3)
NF4_ROW(4)

static void nf4(float *y, int64_t y_row, const float *x, int64_t x_row, int64_t m,
                const uint8_t *codes, const float *scales, const float *value, int64_t n)
{
    static void (*const with[FEW_ROWS])(float *, int64_t, const float *, int64_t, const uint8_t *,
                                        const float *, const float *,
                                        int64_t) = { nf4_1, nf4_2, nf4_3, nf4_4 };
    with[m - 1](y, y_row, x, x_row, codes, scales, value, n);
}

const cpu_few CPU_ISA_NAME(cpu_few_);
const cpu_few CPU_ISA_NAME(cpu_few_) = {
    .plain = { [HONE_F32] = f32, [HONE_F16] = f16, [HONE_BF16] = bf16 },
    .part = part,
    .nf4 = nf4,
};
