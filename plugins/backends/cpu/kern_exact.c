/*
 * kern_exact.c - the instructions of elementwise programs, conversions, random
 * bits, sums. Built with -ffp-contract=off: see hone/ew.h on exactness.
 *
 * Every loop is written so that the compiler turns it into vector code; branches
 * are selections. exp and sigmoid are the same sequence of IEEE operations on
 * every instruction set, hence the same bits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "kernels.h"

static inline uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Within 2 ulp over the whole range; 2^n is applied in two steps for results that
 * are not normal numbers. */
static inline float exp_exact(float x)
{
    const float magic = 12582912.0f;
    float t, n, r, p;
    int32_t k, k1;
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    t = x * 1.44269504088896341f + magic;
    n = t - magic;
    k = (int32_t)(bits_of(t) - bits_of(magic));
    r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    k1 = k >> 1;
    return p * float_of((uint32_t)(k1 + 127) << 23) * float_of((uint32_t)(k - k1 + 127) << 23);
}

/* e / (1 + e) for negative x keeps the precision that 1 / (1 + 1/e) would lose */
static inline float sigmoid_exact(float x)
{
    const float e = exp_exact(x < 0 ? x : -x);
    return (x < 0 ? e : 1.0f) / (1.0f + e);
}

#define OP(name, expression)                                                                   \
    static void op_##name(float *restrict d, const float *restrict a, const float *restrict b, \
                          const float *restrict c)                                             \
    {                                                                                          \
        (void)b, (void)c;                                                                      \
        for (int i = 0; i < EW_BLOCK; i++)                                                     \
            d[i] = (expression);                                                               \
    }

OP(ADD, a[i] + b[i])
OP(SUB, a[i] - b[i])
OP(MUL, a[i] * b[i])
OP(DIV, a[i] / b[i])
OP(FMA, fmaf(a[i], b[i], c[i]))
OP(NEG, -a[i])
OP(ABS, fabsf(a[i]))
OP(SQRT, sqrtf(a[i]))
OP(RSQRT, 1.0f / sqrtf(a[i]))
OP(RCP, 1.0f / a[i])
OP(EXP, exp_exact(a[i]))
OP(LOG, logf(a[i]))
OP(SIN, sinf(a[i]))
OP(COS, cosf(a[i]))
OP(TANH, tanhf(a[i]))
OP(SIGMOID, sigmoid_exact(a[i]))
OP(MIN, a[i] < b[i] ? a[i] : b[i])
OP(MAX, a[i] > b[i] ? a[i] : b[i])
OP(SIGN, (a[i] > 0 ? 1.0f : 0.0f) - (a[i] < 0 ? 1.0f : 0.0f))
OP(LT, a[i] < b[i] ? 1.0f : 0.0f)
OP(LE, a[i] <= b[i] ? 1.0f : 0.0f)
OP(EQ, a[i] == b[i] ? 1.0f : 0.0f)
OP(SEL, a[i] != 0 ? b[i] : c[i])

/* ------------------------------------------------------------- conversions */

/* Half to single: the exponent is rebased by a multiplication, which also
 * normalises subnormals; infinities and NaN get their exponent back by hand. */
static inline float from_f16(uint16_t h)
{
    const uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13;
    const float x = float_of(magnitude) * 0x1p112f;
    const uint32_t special = (h & 0x7c00) == 0x7c00 ? 0x7f800000u : 0;
    return float_of(bits_of(x) | special | (uint32_t)(h & 0x8000) << 16);
}

/* Single to half, nearest even (after F. Giesen). Results below 2^-14 are rounded
 * by adding a number whose last place is that of a subnormal half. */
static inline uint16_t to_f16(float x)
{
    const uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, m = u & 0x7fffffff;
    const uint32_t normal = (m - 0x38000000u + 0xfff + (m >> 13 & 1)) >> 13;
    const uint32_t small = bits_of(float_of(m) + 0.5f) - 0x3f000000u;
    const uint32_t special = m > 0x7f800000 ? 0x7e00 : 0x7c00;
    const uint32_t finite = m < 0x38800000 ? small : normal;
    return (uint16_t)(sign | (m >= 0x47800000 ? special : finite));
}

static inline uint16_t to_bf16(float x)
{
    const uint32_t u = bits_of(x);
    const uint32_t rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
    return (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? (u >> 16 | 0x40) : rounded);
}

/* Integers: nearest even, clamped to the type; NaN gives 0. */
static inline double to_whole(float x, double least, double most)
{
    const double r = rint((double)x);
    return !(r == r) ? 0 : r < least ? least : r > most ? most : r;
}

/* The same for bytes: within +-2^22 adding 1.5 * 2^23 rounds, and clamping first changes nothing. */
static inline int32_t to_byte(float x, float least, float most)
{
    const float magic = 12582912.0f;
    float y = x > least ? x : least;
    y = y < most ? y : most;
    y = x == x ? y : 0;
    return (int32_t)(bits_of(y + magic) - bits_of(magic));
}

#define LOAD(name, type, expression)                                                 \
    static void load_##name(float *restrict d, const void *restrict from, int64_t n) \
    {                                                                                \
        const type *restrict s = from;                                               \
        for (int64_t i = 0; i < n; i++)                                              \
            d[i] = (expression);                                                     \
    }
#define STORE(name, type, expression)                                               \
    static void store_##name(void *restrict to, const float *restrict s, int64_t n) \
    {                                                                               \
        type *restrict d = to;                                                      \
        for (int64_t i = 0; i < n; i++)                                             \
            d[i] = (expression);                                                    \
    }

LOAD(f32, float, s[i])
LOAD(f16, uint16_t, from_f16(s[i]))
LOAD(bf16, uint16_t, float_of((uint32_t)s[i] << 16))
LOAD(i8, int8_t, (float)s[i])
LOAD(u8, uint8_t, (float)s[i])
LOAD(i32, int32_t, (float)s[i])
LOAD(i64, int64_t, (float)s[i])
LOAD(f64, double, (float)s[i])
STORE(f32, float, s[i])
STORE(f16, uint16_t, to_f16(s[i]))
STORE(bf16, uint16_t, to_bf16(s[i]))
STORE(i8, int8_t, (int8_t)to_byte(s[i], -128, 127))
STORE(u8, uint8_t, (uint8_t)to_byte(s[i], 0, 255))
STORE(i32, int32_t, (int32_t)to_whole(s[i], -2147483648.0, 2147483647.0))
/* the largest double below 2^63 */
STORE(i64, int64_t, (int64_t)to_whole(s[i], -9223372036854775808.0, 9223372036854774784.0))
STORE(f64, double, (double)s[i])

/* ----------------------------------------------------------------- random */

#define ROUND_A 0xD2511F53u
#define ROUND_B 0xCD9E8D57u

/* Philox 4x32-10 of 16 counters at a time, word by word. */
static void random_fill(float *d, int64_t n, uint64_t seed, uint64_t stream, uint64_t first)
{
    enum { WIDE = 16 };
    uint64_t block = first / 4;
    int64_t at = -(int64_t)(first % 4); /* where word 0 of this block goes */
    while (at < n) {
        uint32_t c0[WIDE], c1[WIDE], c2[WIDE], c3[WIDE];
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        float out[4 * WIDE];
        for (int i = 0; i < WIDE; i++) {
            c0[i] = (uint32_t)(block + (uint64_t)i);
            c1[i] = (uint32_t)((block + (uint64_t)i) >> 32);
            c2[i] = (uint32_t)stream;
            c3[i] = (uint32_t)(stream >> 32);
        }
        for (int round = 0; round < 10; round++) {
            for (int i = 0; i < WIDE; i++) {
                const uint64_t a = (uint64_t)ROUND_A * c0[i], b = (uint64_t)ROUND_B * c2[i];
                c0[i] = (uint32_t)(b >> 32) ^ c1[i] ^ k0;
                c1[i] = (uint32_t)b;
                c2[i] = (uint32_t)(a >> 32) ^ c3[i] ^ k1;
                c3[i] = (uint32_t)a;
            }
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        for (int i = 0; i < WIDE; i++) {
            out[4 * i] = (float)(int32_t)(c0[i] >> 8) * 0x1p-24f;
            out[4 * i + 1] = (float)(int32_t)(c1[i] >> 8) * 0x1p-24f;
            out[4 * i + 2] = (float)(int32_t)(c2[i] >> 8) * 0x1p-24f;
            out[4 * i + 3] = (float)(int32_t)(c3[i] >> 8) * 0x1p-24f;
        }
        for (int i = 0; i < 4 * WIDE; i++)
            if (at + i >= 0 && at + i < n)
                d[at + i] = out[i];
        block += WIDE;
        at += 4 * WIDE;
    }
}

static void spread(float *d, float x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        d[i] = x;
}

/* ------------------------------------------------------------------- sums */

enum { PARTS = 16 }; /* the same partial sums on every instruction set */

static double sum(const float *x, int64_t n)
{
    float part[PARTS] = { 0 };
    double total = 0;
    int64_t i = 0;
    while (i < n) { /* EW_BLOCK at a time in float32, then in double */
        const int64_t end = n - i < EW_BLOCK ? n : i + EW_BLOCK;
        for (; i + PARTS <= end; i += PARTS)
            for (int j = 0; j < PARTS; j++)
                part[j] += x[i + j];
        for (int j = 0; i < end; i++, j++)
            part[j] += x[i];
        for (int j = 0; j < PARTS; j++) {
            total += (double)part[j];
            part[j] = 0;
        }
    }
    return total;
}

static float largest(const float *x, int64_t n)
{
    float part[PARTS], best = -INFINITY;
    int bad = 0;
    int64_t i = 0;
    for (int j = 0; j < PARTS; j++)
        part[j] = -INFINITY;
    for (; i + PARTS <= n; i += PARTS)
        for (int j = 0; j < PARTS; j++) {
            part[j] = x[i + j] > part[j] ? x[i + j] : part[j];
            bad |= x[i + j] != x[i + j];
        }
    for (; i < n; i++) {
        part[0] = x[i] > part[0] ? x[i] : part[0];
        bad |= x[i] != x[i];
    }
    for (int j = 0; j < PARTS; j++)
        best = part[j] > best ? part[j] : best;
    return bad ? NAN : best;
}

extern const cpu_exact CPU_ISA_NAME(cpu_exact_);
const cpu_exact CPU_ISA_NAME(cpu_exact_) = {
#define ROW(name) [HONE_EW_##name] = op_##name
    .op = { ROW(ADD),   ROW(SUB), ROW(MUL),  ROW(DIV), ROW(FMA), ROW(NEG), ROW(ABS),  ROW(SQRT),
            ROW(RSQRT), ROW(RCP), ROW(EXP),  ROW(LOG), ROW(SIN), ROW(COS), ROW(TANH), ROW(SIGMOID),
            ROW(MIN),   ROW(MAX), ROW(SIGN), ROW(LT),  ROW(LE),  ROW(EQ),  ROW(SEL) },
#undef ROW
#define ROW(DTYPE, name) [HONE_##DTYPE] = load_##name
    .load = { ROW(F32, f32), ROW(F16, f16), ROW(BF16, bf16), ROW(I8, i8), ROW(U8, u8),
              ROW(I32, i32), ROW(I64, i64), ROW(F64, f64) },
#undef ROW
#define ROW(DTYPE, name) [HONE_##DTYPE] = store_##name
    .store = { ROW(F32, f32), ROW(F16, f16), ROW(BF16, bf16), ROW(I8, i8), ROW(U8, u8),
               ROW(I32, i32), ROW(I64, i64), ROW(F64, f64) },
#undef ROW
    .random = random_fill,
    .nearest = CPU_ISA_NAME(cpu_table_nearest_),
    .look_up = CPU_ISA_NAME(cpu_table_look_up_),
    .nearest_bytes = CPU_ISA_NAME(cpu_table_nearest_bytes_),
    .look_up_bytes = CPU_ISA_NAME(cpu_table_look_up_bytes_),
    .block_max = CPU_ISA_NAME(cpu_table_block_max_),
    .spread = spread,
    .sum = sum,
    .max = largest,
};
