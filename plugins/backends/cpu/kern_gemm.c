/*
 * kern_gemm.c - the innermost tile of a matrix product (Goto & van de Geijn 2008).
 *
 * A tile of `high` x `wide` sums stays in registers: a column of a is broadcast, element by
 * element, against the vectors of a panel of b. a is read where it lies, by rows or by
 * columns; b mostly comes packed. Every number of rows has its own code, inlined with both
 * sizes constant, so that there is nothing to pad.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernels.h"
#include "vec.h"

/* 27 or 12 sums, three vectors of b and one of a: all registers. Of the shapes that fit, one that
 * asks for few loads per multiply-add: 14 x 2 keeps up on a core of its own, but not on one that
 * is shared with another thread. */
#if LANES == 16
enum { HIGH = 9 };
#else
enum { HIGH = 4 };
#endif
enum { VECTORS = 3, WIDE = VECTORS * LANES };

#define INLINE static inline __attribute__((always_inline))

/* --------------------------------------------------------------------- sums */

/* One step along the inner dimension: p[r / 3][r % 3 * row] is a's element of row r. */
INLINE void step(int rows, int vectors, vf s[HIGH][VECTORS], const float *const *p, int64_t row,
                 const float *b)
{
    vf t[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        t[v] = vload(b + v * LANES);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        const float x = p[r / 3][r % 3 * row];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            s[r][v] += x * t[v];
    }
}

/* Rows of a by threes: p + {0, 1, 2} * row are addresses that need no register of their own. */
INLINE void add_by_rows(int rows, int vectors, vf s[HIGH][VECTORS], const cpu_mm_part *part)
{
    enum { AHEAD = 4 };
    const float *p[(HIGH + 2) / 3], *b = part->b;
    const int64_t row = part->a_row, b_row = part->b_row;
    int64_t i = part->k;
#pragma GCC unroll 16
    for (int g = 0; g < (rows + 2) / 3; g++)
        p[g] = part->a + 3 * g * row;
    for (; i >= AHEAD; i -= AHEAD)
#pragma GCC unroll 4
        for (int u = 0; u < AHEAD; u++) {
            step(rows, vectors, s, p, row, b);
#pragma GCC unroll 16
            for (int g = 0; g < (rows + 2) / 3; g++)
                p[g]++;
            b += b_row;
        }
    for (; i > 0; i--) {
        step(rows, vectors, s, p, row, b);
#pragma GCC unroll 16
        for (int g = 0; g < (rows + 2) / 3; g++)
            p[g]++;
        b += b_row;
    }
}

INLINE void add_by_columns(int rows, int vectors, vf s[HIGH][VECTORS], const cpu_mm_part *part)
{
    const float *p[(HIGH + 2) / 3], *b = part->b;
    for (int64_t i = 0; i < part->k; i++) {
#pragma GCC unroll 16
        for (int g = 0; g < (rows + 2) / 3; g++)
            p[g] = part->a + i * part->a_col + 3 * g;
        step(rows, vectors, s, p, 1, b);
        b += part->b_row;
    }
}

/* out (rows, vectors) = alpha * sums + beta * out. The two factors wait in memory: there is no
 * register for them. */
INLINE void block(int rows, int vectors, const cpu_mm_part *part, int parts, float *out,
                  int64_t out_row, const volatile float *factors)
{
    vf s[HIGH][VECTORS];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        __builtin_prefetch(out + r * out_row, 1);
        __builtin_prefetch(out + r * out_row + vectors * LANES - 1, 1);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            s[r][v] = vset(0);
    }
    for (int i = 0; i < parts; i++)
        if (part[i].a_col == 1)
            add_by_rows(rows, vectors, s, &part[i]);
        else
            add_by_columns(rows, vectors, s, &part[i]);
    const float alpha = factors[0], beta = factors[1];
    if (beta == 0) {
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                vstore(out + r * out_row + v * LANES, s[r][v] * alpha);
        return;
    }
    /* all loads, then all stores: rows may lie a multiple of 4096 bytes apart, and a load waits for
     * an earlier store that agrees with it in the last 12 bits of its address */
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            s[r][v] = s[r][v] * alpha + vload(out + r * out_row + v * LANES) * beta;
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            vstore(out + r * out_row + v * LANES, s[r][v]);
}

typedef void block_call(const cpu_mm_part *part, int parts, float *out, int64_t out_row,
                        const volatile float *factors);

#define BLOCK(rows, vectors)                                                             \
    static void block_##rows##_##vectors(const cpu_mm_part *part, int parts, float *out, \
                                         int64_t out_row, const volatile float *factors) \
    {                                                                                    \
        block(rows, vectors, part, parts, out, out_row, factors);                        \
    }
#define BLOCKS(rows) BLOCK(rows, 1) BLOCK(rows, 2) BLOCK(rows, 3)
BLOCKS(1)
BLOCKS(2)
BLOCKS(3)
BLOCKS(4)
#if LANES == 16
BLOCKS(5)
BLOCKS(6)
BLOCKS(7)
BLOCKS(8)
BLOCKS(9)
#endif

#define ROW(rows)                                            \
    {                                                        \
        block_##rows##_1, block_##rows##_2, block_##rows##_3 \
    }
static block_call *const blocks[HIGH][VECTORS] = { ROW(1), ROW(2), ROW(3), ROW(4),
#if LANES == 16
                                                   ROW(5), ROW(6), ROW(7), ROW(8), ROW(9)
#endif
};

/* ------------------------------------------------------------------- panels */

/* to (n, m) = from (m, n) transposed, m and n at most LANES; columns of `to` from m up to
 * LANES become 0. */
INLINE void transposed(float *to, int64_t to_row, const float *from, int64_t from_row, int64_t m,
                       int64_t n)
{
    vf r[LANES];
    if (n == LANES) {
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            r[i] = i < m ? vload(from + i * from_row) : vset(0);
    } else {
        float x[LANES][LANES] = { { 0 } };
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++)
                x[i][j] = from[i * from_row + j];
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            r[i] = vload(x[i]);
    }
    vtranspose(r);
    if (n == LANES) {
#pragma GCC unroll 16
        for (int j = 0; j < LANES; j++)
            vstore(to + j * to_row, r[j]);
    } else {
        float x[LANES][LANES];
#pragma GCC unroll 16
        for (int j = 0; j < LANES; j++)
            vstore(x[j], r[j]);
        for (int64_t j = 0; j < n; j++)
            memcpy(to + j * to_row, x[j], sizeof x[j]);
    }
}

static void pack(float *to, const float *from, int64_t row, int64_t k, int64_t cols)
{
    if (cols == WIDE) {
        for (int64_t i = 0; i < k; i++, to += WIDE, from += row)
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++)
                vstore(to + v * LANES, vload(from + v * LANES));
        return;
    }
    for (int64_t i = 0; i < k; i++, to += WIDE, from += row) {
        memcpy(to, from, (size_t)cols * sizeof *to);
        memset(to + cols, 0, (size_t)(WIDE - cols) * sizeof *to);
    }
}

static void pack_transposed(float *to, const float *from, int64_t row, int64_t k, int64_t cols)
{
    for (int64_t i = 0; i < k; i += LANES) {
        const int64_t n = k - i < LANES ? k - i : LANES;
        for (int64_t j = 0; j < WIDE; j += LANES) {
            const int64_t left = cols - j, m = left < 0 ? 0 : left < LANES ? left : LANES;
            transposed(to + i * WIDE + j, WIDE, m ? from + j * row + i : from, row, m, n);
        }
    }
}

/* Vectors are stored whole: what one writes behind its rows, the next one overwrites. */
static void pack_rows(float *to, const float *from, int64_t row, int64_t rows, int64_t k)
{
    const float *p[LANES];
    int64_t i = 0;
    for (int r = 0; r < LANES; r++) /* what stands behind the last row does not matter */
        p[r] = from + (r < rows ? r : rows - 1) * row;
    for (; i + LANES <= k; i += LANES) {
        vf x[LANES];
#pragma GCC unroll 16
        for (int r = 0; r < LANES; r++)
            x[r] = vload(p[r] + i);
        vtranspose(x);
#pragma GCC unroll 16
        for (int j = 0; j < LANES; j++)
            vstore(to + (i + j) * rows, x[j]);
    }
    for (; i < k; i++)
        for (int64_t r = 0; r < rows; r++)
            to[i * rows + r] = from[r * row + i];
}

static void look_up(float *to, const uint8_t *codes, int64_t first, int64_t n, const float *value)
{
    int64_t i = 0;
    if (n && first % 2)
        to[i++] = value[codes[first / 2] & 15];
#if defined(__AVX512F__)
    const __m512 table = _mm512_loadu_ps(value);
    for (; i + 16 <= n; i += 16) {
        const __m128i b = _mm_loadl_epi64((const __m128i *)(const void *)(codes + (first + i) / 2));
        const __m128i high =
            _mm_srli_epi16(b, 4); /* what strays in from the next byte is cut off */
        const __m512i code = _mm512_cvtepu8_epi32(_mm_unpacklo_epi8(high, b));
        _mm512_storeu_ps(
            to + i, _mm512_permutexvar_ps(_mm512_and_epi32(code, _mm512_set1_epi32(15)), table));
    }
#elif defined(__AVX2__)
    const __m256 low = _mm256_loadu_ps(value), top = _mm256_loadu_ps(value + 8);
    for (; i + 8 <= n; i += 8) {
        uint32_t four;
        memcpy(&four, codes + (first + i) / 2, sizeof four);
        const __m128i b = _mm_cvtsi32_si128((int)four), high = _mm_srli_epi16(b, 4);
        const __m256i code = _mm256_cvtepu8_epi32(_mm_unpacklo_epi8(high, b));
        const __m256 x = _mm256_permutevar8x32_ps(low, code),
                     y = _mm256_permutevar8x32_ps(top, code);
        const __m256 which =
            _mm256_castsi256_ps(_mm256_slli_epi32(code, 28)); /* bit 3 to the sign */
        _mm256_storeu_ps(to + i, _mm256_blendv_ps(x, y, which));
    }
#endif
    for (; i < n; i++)
        to[i] = value[codes[(first + i) / 2] >> ((first + i) % 2 ? 0 : 4) & 15];
}

/* --------------------------------------------------------------------- tile */

/* c (rows, cols) = s + beta c, element by element or, c stored by columns, through transposed
 * blocks: c's columns are its rows then. */
static void put(const float *s, int64_t rows, int64_t cols, float *c, int64_t c_row, int64_t c_col,
                float beta)
{
    if (c_col == 1) {
        for (int64_t r = 0; r < rows; r++)
            for (int64_t j = 0; j < cols; j++)
                c[r * c_row + j] =
                    beta == 0 ? s[r * WIDE + j] : s[r * WIDE + j] + beta * c[r * c_row + j];
        return;
    }
    for (int64_t r = 0; r < rows; r += LANES)
        for (int64_t j = 0; j < cols; j += LANES) {
            float x[LANES * LANES];
            const int64_t m = rows - r < LANES ? rows - r : LANES;
            const int64_t n = cols - j < LANES ? cols - j : LANES;
            transposed(x, LANES, s + r * WIDE + j, WIDE, m, LANES);
            for (int64_t y = 0; y < n; y++) {
                float *to = c + r + (j + y) * c_col;
                if (m == HIGH && beta == 0)
                    memcpy(to, x + y * LANES, HIGH * sizeof *to);
                else
                    for (int64_t i = 0; i < m; i++)
                        to[i] = beta == 0 ? x[y * LANES + i] : x[y * LANES + i] + beta * to[i];
            }
        }
}

static void tile(const cpu_mm_part *part, int parts, int64_t rows, int64_t cols, float *c,
                 int64_t c_row, int64_t c_col, float alpha, float beta)
{
    const int64_t vectors = (cols + LANES - 1) / LANES;
    block_call *call = blocks[rows - 1][vectors - 1];
    const float factors[2] = { alpha, beta }, alone[2] = { alpha, 0 };
    float s[LANES * WIDE] __attribute__((aligned(64))); /* put() takes blocks of LANES rows */
    if (c_col == 1 && cols == vectors * LANES) {
        call(part, parts, c, c_row, factors);
        return;
    }
    call(part, parts, s, WIDE, alone);
    put(s, rows, cols, c, c_row, c_col, beta);
}

extern const cpu_mm CPU_ISA_NAME(cpu_mm_);
const cpu_mm CPU_ISA_NAME(cpu_mm_) = {
    .high = HIGH,
    .wide = WIDE,
    .tile = tile,
    .pack = pack,
    .pack_transposed = pack_transposed,
    .pack_rows = pack_rows,
    .look_up = look_up,
};
