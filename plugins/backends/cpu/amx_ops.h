/*
 * amx_ops.h - the eight tile registers of Intel AMX, or the same in plain C.
 *
 * A tile is 16 rows of 64 bytes. In a product c += a b, a's rows hold 64 bytes of the inner
 * dimension; a row of b holds, for each of 16 columns, the 4 bytes that one 32-bit lane of a's
 * row meets: a pair of bfloat16 or four bytes. Tile numbers are literals.
 *
 * The plain form follows the pseudocode of TDPBF16PS and TDPBSSD (Intel SDM, volume 2), but for
 * subnormal numbers, which the processor takes for 0: it lets every machine test what only some
 * can run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CPU_AMX_OPS_H
#define CPU_AMX_OPS_H

#include <stdint.h>
#include <string.h>

#define TILE_ROWS 16
#define TILE_BYTES 1024

#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__AMX_INT8__)

#include <immintrin.h>

#define AMX_ZERO(t) _tile_zero(t)
#define AMX_LOAD(t, p) _tile_loadd(t, p, 64)
#define AMX_STORE(t, p) _tile_stored(t, p, 64)
#define AMX_BF16(c, a, b) _tile_dpbf16ps(c, a, b)
#define AMX_I8(c, a, b) _tile_dpbssd(c, a, b)

static inline void amx_configure(void)
{
    /* palette 1; by tile: bytes of a row, rows */
    static const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config __attribute__((aligned(64))) = {
        .palette = 1,
        .row_bytes = { 64, 64, 64, 64, 64, 64, 64, 64 },
        .rows = { 16, 16, 16, 16, 16, 16, 16, 16 },
    };
    _Static_assert(sizeof config == 64, "the layout LDTILECFG reads");
    _tile_loadconfig(&config);
}

static inline void amx_release(void)
{
    _tile_release();
}

#else

static __thread union amx_tile {
    float f32[16][16];
    int32_t i32[16][16];
    uint32_t u32[16][16];
    uint16_t u16[16][32];
    int8_t i8[16][64];
} amx_tile[8];

static inline void amx_bf16(int c, int a, int b)
{
    float even[16], odd[16];
    for (int m = 0; m < 16; m++) {
        memset(even, 0, sizeof even);
        memset(odd, 0, sizeof odd);
        for (int k = 0; k < 16; k++) {
            const union {
                uint32_t u;
                float f;
            } x = { (uint32_t)amx_tile[a].u16[m][2 * k] << 16 },
              y = { (uint32_t)amx_tile[a].u16[m][2 * k + 1] << 16 };
            for (int n = 0; n < 16; n++) {
                const union {
                    uint32_t u;
                    float f;
                } s = { amx_tile[b].u32[k][n] << 16 }, t = { amx_tile[b].u32[k][n] & 0xffff0000 };
                even[n] += x.f * s.f;
                odd[n] += y.f * t.f;
            }
        }
        for (int n = 0; n < 16; n++)
            amx_tile[c].f32[m][n] += even[n] + odd[n];
    }
}

static inline void amx_i8(int c, int a, int b)
{
    for (int m = 0; m < 16; m++)
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < 16; n++)
                for (int i = 0; i < 4; i++)
                    amx_tile[c].i32[m][n] +=
                        amx_tile[a].i8[m][4 * k + i] * amx_tile[b].i8[k][4 * n + i];
}

#define AMX_ZERO(t) memset(&amx_tile[t], 0, TILE_BYTES)
#define AMX_LOAD(t, p) memcpy(&amx_tile[t], p, TILE_BYTES)
#define AMX_STORE(t, p) memcpy(p, &amx_tile[t], TILE_BYTES)
#define AMX_BF16(c, a, b) amx_bf16(c, a, b)
#define AMX_I8(c, a, b) amx_i8(c, a, b)

static inline void amx_configure(void)
{
}

static inline void amx_release(void)
{
}

#endif

#endif /* CPU_AMX_OPS_H */
