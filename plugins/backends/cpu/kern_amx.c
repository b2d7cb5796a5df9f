/*
 * kern_amx.c - products in tiles of 16 rows of 64 bytes, and what brings numbers into them.
 *
 * Built with AMX, and twice with the plain form of its tiles (amx_ops.h), so that all of it but
 * the tile instructions is tested on any machine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "amx_ops.h"
#include "kernels.h"
#include "vec.h"

/* -------------------------------------------------------------------- tile products */

/* One step: the left tiles meet the right ones. Lines of the next panel are asked for between the
 * products, which keep the load ports idle most of the time. */
static inline __attribute__((always_inline)) void ask(const uint8_t *next)
{
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        __builtin_prefetch(next + i * 64, 0, 3);
}

#define C_ZERO(left, right)              \
    do {                                 \
        AMX_ZERO(0);                     \
        if ((right) == 2)                \
            AMX_ZERO(1);                 \
        if ((left) == 2)                 \
            AMX_ZERO(2);                 \
        if ((left) == 2 && (right) == 2) \
            AMX_ZERO(3);                 \
    } while (0)

#define C_EACH(CALL, left, right)        \
    do {                                 \
        CALL(0, c);                      \
        if ((right) == 2)                \
            CALL(1, c + TILE_BYTES);     \
        if ((left) == 2)                 \
            CALL(2, c + 2 * TILE_BYTES); \
        if ((left) == 2 && (right) == 2) \
            CALL(3, c + 3 * TILE_BYTES); \
    } while (0)

#define MULTIPLY(name, PRODUCT, left, right)                                             \
    static void name##_##left##_##right(uint8_t *c, const uint8_t *l, const uint8_t *r,  \
                                        int64_t steps, int32_t add, const uint8_t *next) \
    {                                                                                    \
        if (add)                                                                         \
            C_EACH(AMX_LOAD, left, right);                                               \
        else                                                                             \
            C_ZERO(left, right);                                                         \
        for (int64_t i = 0; i < steps; i++) {                                            \
            AMX_LOAD(4, l);                                                              \
            AMX_LOAD(6, r);                                                              \
            ask(next + 0);                                                               \
            PRODUCT(0, 4, 6);                                                            \
            if ((right) == 2) {                                                          \
                AMX_LOAD(7, r + TILE_BYTES);                                             \
                ask(next + 512);                                                         \
                PRODUCT(1, 4, 7);                                                        \
            }                                                                            \
            if ((left) == 2) {                                                           \
                AMX_LOAD(5, l + TILE_BYTES);                                             \
                ask(next + 1024);                                                        \
                PRODUCT(2, 5, 6);                                                        \
            }                                                                            \
            if ((left) == 2 && (right) == 2) {                                           \
                ask(next + 1536);                                                        \
                PRODUCT(3, 5, 7);                                                        \
            }                                                                            \
            l += 2 * TILE_BYTES;                                                         \
            r += 2 * TILE_BYTES;                                                         \
            next += 2 * TILE_BYTES;                                                      \
        }                                                                                \
        C_EACH(AMX_STORE, left, right);                                                  \
    }

/* clang-format off */
MULTIPLY(bf16, AMX_BF16, 1, 1) MULTIPLY(bf16, AMX_BF16, 1, 2)
MULTIPLY(bf16, AMX_BF16, 2, 1) MULTIPLY(bf16, AMX_BF16, 2, 2)
MULTIPLY(i8, AMX_I8, 1, 1) MULTIPLY(i8, AMX_I8, 1, 2)
MULTIPLY(i8, AMX_I8, 2, 1) MULTIPLY(i8, AMX_I8, 2, 2)
    /* clang-format on */

    /* ------------------------------------------------------------------- into bfloat16 */

    static void narrow(uint16_t *to, const float *from, int64_t n)
{
    int64_t i = 0;
#if defined(__AVX512BF16__)
    for (; i + 32 <= n; i += 32) {
        const __m512bh x =
            _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + i + 16), _mm512_loadu_ps(from + i));
        memcpy(to + i, &x, sizeof x);
    }
#endif
    for (; i < n; i++) { /* to the nearest, ties to even; a NaN stays one */
        uint32_t u;
        memcpy(&u, from + i, sizeof u);
        const uint32_t nan = (u & 0x7fffffff) > 0x7f800000;
        const uint32_t rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
        to[i] = (uint16_t)(nan ? u >> 16 | 0x40 : rounded);
    }
}

/* to[i] = value[code first + i]; two codes to a byte, the first in its high half */
static void look_up16(uint16_t *to, const uint8_t *codes, int64_t first, int64_t n,
                      const uint16_t *value)
{
    int64_t i = 0;
    if (n && first % 2)
        to[i++] = value[codes[first / 2] & 15];
#if defined(__AVX512BW__)
    const __m512i table = _mm512_castsi256_si512(_mm256_loadu_si256((const void *)value));
    for (; i + 32 <= n; i += 32) { /* a byte in each 32-bit lane: its halves to the two words */
        const __m512i b =
            _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)(codes + (first + i) / 2)));
        const __m512i code =
            _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi32(b, 4), _mm512_slli_epi32(b, 16)),
                             _mm512_set1_epi16(15));
        _mm512_storeu_si512(to + i, _mm512_permutexvar_epi16(code, table));
    }
#endif
    for (; i < n; i++)
        to[i] = value[codes[(first + i) / 2] >> ((first + i) % 2 ? 0 : 4) & 15];
}

/* ---------------------------------------------------------------------- into tiles */

/* to[i] = the pair even[i], odd[i], even in the low half */
static void pair(uint32_t *restrict to, const uint16_t *restrict even, const uint16_t *restrict odd,
                 int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = even[i] | (uint32_t)odd[i] << 16;
}

/* A tile (16, 16) of 32-bit lanes, transposed; rows of `from` are from_row lanes apart. */
static void transpose(uint32_t *to, const uint32_t *from, int64_t from_row)
{
    for (int i = 0; i < TILE_ROWS; i += LANES)
        for (int j = 0; j < TILE_ROWS; j += LANES) {
            vf r[LANES];
#pragma GCC unroll 16
            for (int k = 0; k < LANES; k++)
                r[k] = vload((const float *)(const void *)(from + (i + k) * from_row + j));
            vtranspose(r);
#pragma GCC unroll 16
            for (int k = 0; k < LANES; k++)
                vstore((float *)(void *)(to + (j + k) * TILE_ROWS + i), r[k]);
        }
}

/* ------------------------------------------------------------------- out of tiles */

/* Rows of one tile: y (rows, cols) = alpha c + beta y. */
static void put(float *restrict y, int64_t y_row, const float *restrict c, int64_t rows,
                int64_t cols, float alpha, float beta)
{
    for (int64_t i = 0; i < rows; i++, c += TILE_ROWS, y += y_row) {
        if (beta == 0)
            for (int64_t j = 0; j < cols; j++)
                y[j] = alpha * c[j];
        else
            for (int64_t j = 0; j < cols; j++)
                y[j] = alpha * c[j] + beta * y[j];
    }
}

/* y = c row[i] col[j] unit + bias[j] + beta y; bias may be NULL */
static void put_i8(float *restrict y, int64_t y_row, const int32_t *restrict c, int64_t rows,
                   int64_t cols, const float *row, const float *col, float unit, const float *bias,
                   float beta)
{
    for (int64_t i = 0; i < rows; i++, c += TILE_ROWS, y += y_row)
        for (int64_t j = 0; j < cols; j++) {
            const float x = (float)c[j] * (row[i] * col[j] * unit) + (bias ? bias[j] : 0);
            y[j] = beta == 0 ? x : x + beta * y[j];
        }
}

#define TABLE(name)                 \
    {                               \
        { name##_1_1, name##_1_2 }, \
        {                           \
            name##_2_1, name##_2_2  \
        }                           \
    }

extern const cpu_amx CPU_ISA_NAME(cpu_amx_);
const cpu_amx CPU_ISA_NAME(cpu_amx_) = {
    .configure = amx_configure,
    .release = amx_release,
    .bf16 = TABLE(bf16),
    .i8 = TABLE(i8),
    .narrow = narrow,
    .look_up = look_up16,
    .pair = pair,
    .transpose = transpose,
    .put = put,
    .put_i8 = put_i8,
};
