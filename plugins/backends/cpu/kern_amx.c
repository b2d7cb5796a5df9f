/*
 * kern_amx.c - products in tiles of 16 rows of 64 bytes, and what brings numbers into them.
 *
 * Built with AMX, and twice with the plain form of its tiles (amx_ops.h), so that all of it but
 * the tile instructions is tested on any machine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdbool.h>

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
    for (; i + 16 <= n; i += 16) {
        const __m256bh x = _mm512_cvtneps_pbh(_mm512_loadu_ps(from + i));
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

/* A tile (16, 16) of 32-bit lanes; rows of `from` are from_row lanes apart. */
static void copy(uint32_t *restrict to, const uint32_t *restrict from, int64_t from_row)
{
    for (int i = 0; i < TILE_ROWS; i++)
        memcpy(to + i * TILE_ROWS, from + i * from_row, TILE_ROWS * sizeof *to);
}

/* The same transposed. */
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

/* y (rows, cols) = alpha c + beta y from one tile; whole rows as vectors. */
static void put(float *restrict y, int64_t y_row, const float *restrict c, int64_t rows,
                int64_t cols, float alpha, float beta)
{
    if (cols < TILE_ROWS) {
        for (int64_t i = 0; i < rows; i++, c += TILE_ROWS, y += y_row)
            for (int64_t j = 0; j < cols; j++)
                y[j] = beta == 0 ? alpha * c[j] : alpha * c[j] + beta * y[j];
    } else if (beta == 0) {
        for (int64_t i = 0; i < rows; i++, c += TILE_ROWS, y += y_row)
            for (int64_t j = 0; j < TILE_ROWS; j += LANES)
                vstore(y + j, alpha * vload(c + j));
    } else {
        for (int64_t i = 0; i < rows; i++, c += TILE_ROWS, y += y_row)
            for (int64_t j = 0; j < TILE_ROWS; j += LANES)
                vstore(y + j, alpha * vload(c + j) + beta * vload(y + j));
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

/* ------------------------------------------------------------------- attention's products */

/* What a block of 64 x 64 sums needs: 16 rows by 32 numbers a tile, DEEP of them inwards. */
enum { EDGE = 64, STEP = 32, DEEP = 4 };

typedef struct operands {
    uint8_t l[2][DEEP][2][TILE_BYTES], r[2][DEEP][2][TILE_BYTES]; /* [tile / 2][step][tile % 2] */
    uint8_t c[4 * TILE_BYTES];
    uint32_t lanes[TILE_ROWS][EDGE + 16]; /* the pad keeps rows apart in a cache */
    uint16_t line[2][EDGE];
} operands;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Lanes of the pair of lines at `at`, n numbers each; lines from `past` on are 0. */
static void weave(operands *w, uint32_t *to, const float *from, int64_t row, int64_t at,
                  int64_t past, int64_t n)
{
    for (int64_t i = 0; i < 2; i++)
        if (at + i < past)
            narrow(w->line[i], from + (at + i) * row, n);
        else
            memset(w->line[i], 0, (size_t)n * sizeof *w->line[i]);
    pair(to, w->line[0], w->line[1], n);
}

/* a (m, k), m <= EDGE, k <= DEEP * STEP: what is behind k is 0, behind m anything. */
static void left_tiles(operands *w, const float *a, int64_t row, int64_t col, int64_t m, int64_t k)
{
    for (int64_t s = 0; s * STEP < k; s++) {
        const int64_t n = least(k - s * STEP, STEP);
        if (col == 1) {
            for (int64_t i = 0; i < m; i++) {
                uint8_t *tile = w->l[i / 32][s][i / 16 % 2];
                uint16_t *to = (uint16_t *)(void *)(tile + i % TILE_ROWS * 64);
                narrow(to, a + i * row + s * STEP, n);
                memset(to + n, 0, (size_t)(STEP - n) * sizeof *to);
            }
            continue;
        }
        for (int64_t p = 0; p < STEP / 2; p++)
            weave(w, w->lanes[p], a, col, s * STEP + 2 * p, k, m);
        for (int64_t i = 0; i * TILE_ROWS < m; i++)
            transpose((uint32_t *)(void *)w->l[i / 2][s][i % 2], w->lanes[0] + i * TILE_ROWS,
                      EDGE + 16);
    }
}

/* b (k, n), n <= EDGE and a multiple of TILE_ROWS. */
static void right_tiles(operands *w, const float *b, int64_t row, int64_t n, int64_t k)
{
    for (int64_t s = 0; s * STEP < k; s++)
        for (int64_t p = 0; p < STEP / 2; p++) {
            weave(w, w->lanes[0], b, row, s * STEP + 2 * p, k, n);
            for (int64_t j = 0; j * TILE_ROWS < n; j++)
                memcpy(w->r[j / 2][s][j % 2] + p * 64, w->lanes[0] + j * TILE_ROWS, 64);
        }
}

#define TABLE(name)                 \
    {                               \
        { name##_1_1, name##_1_2 }, \
        {                           \
            name##_2_1, name##_2_2  \
        }                           \
    }

/* c (rows, cols) [=|+=] the tiles' product */
static void block(operands *w, float *c, int64_t c_row, int64_t rows, int64_t cols, int64_t steps,
                  bool add)
{
    static cpu_amx_multiply *const table[2][2] = TABLE(bf16);
    for (int64_t i = 0; i < rows; i += 32)
        for (int64_t j = 0; j < cols; j += 32) {
            const uint8_t *r = w->r[j / 32][0][0];
            table[rows - i > 16][cols - j > 16](w->c, w->l[i / 32][0][0], r, steps, 0, r);
            for (int64_t t = 0; t < 4; t++) {
                const int64_t y = i + t / 2 * 16, x = j + t % 2 * 16;
                if (y < rows && x < cols)
                    put(c + y * c_row + x, c_row, (const float *)(void *)(w->c + t * TILE_BYTES),
                        least(rows - y, 16), 16, 1, add);
            }
        }
}

/* cpu_tile's multiply, its operands rounded. */
static void multiply(float *c, int64_t c_row, const float *a, int64_t a_row, int64_t a_col,
                     const float *b, int64_t b_row, int64_t m, int64_t n, int64_t k,
                     int32_t accumulate)
{
    operands w __attribute__((aligned(64)));
    for (int64_t i = 0; i < m; i += EDGE)
        for (int64_t s = 0; s < k; s += DEEP * STEP) {
            const int64_t rows = least(m - i, EDGE), deep = least(k - s, DEEP * STEP);
            left_tiles(&w, a + i * a_row + s * a_col, a_row, a_col, rows, deep);
            for (int64_t j = 0; j < n; j += EDGE) {
                const int64_t cols = least(n - j, EDGE);
                right_tiles(&w, b + s * b_row + j, b_row, cols, deep);
                block(&w, c + i * c_row + j, c_row, rows, cols, (deep + STEP - 1) / STEP,
                      s || accumulate);
            }
        }
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
    .copy = copy,
    .transpose = transpose,
    .put = put,
    .put_i8 = put_i8,
    .multiply = multiply,
};
