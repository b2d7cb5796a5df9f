/*
 * isa.c - which of the builds of the kernels this processor runs: three, a fourth of products of
 * bytes for AVX-512 with VNNI, and products in tiles for AMX.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <cpuid.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernels.h"

#define SET(id, title, suffix, bytes, avx2, tiles) \
    extern const cpu_exact cpu_exact_##suffix;     \
    extern const cpu_rows cpu_rows_##suffix;       \
    extern const cpu_tile cpu_tile_##suffix;       \
    extern const cpu_mm cpu_mm_##suffix;           \
    extern const cpu_few cpu_few_##suffix;         \
    extern const cpu_int8 cpu_int8_##bytes;        \
    static const cpu_kernels kernels_##id = {      \
        .name = title,                             \
        .vex = avx2,                               \
        .exact = &cpu_exact_##suffix,              \
        .rows = &cpu_rows_##suffix,                \
        .tile = &cpu_tile_##suffix,                \
        .mm = &cpu_mm_##suffix,                    \
        .few = &cpu_few_##suffix,                  \
        .int8 = &cpu_int8_##bytes,                 \
        .amx = tiles,                              \
    }

extern const cpu_amx cpu_amx_v1, cpu_amx_v4, cpu_amx_amx;

SET(v1, "x86-64-v1", v1, v1, 0, NULL);
SET(v3, "x86-64-v3", v3, v3, 1, NULL);
SET(v4, "x86-64-v4", v4, v4, 1, NULL);
SET(v4vnni, "x86-64-v4 with VNNI", v4, v4vnni, 1, NULL);
SET(amx, "x86-64-v4 with AMX", v4, v4vnni, 1, &cpu_amx_amx);
SET(plain_v1, "x86-64-v1, AMX in plain C", v1, v1, 0, &cpu_amx_v1);
SET(plain_v4, "x86-64-v4, AMX in plain C", v4, v4, 1, &cpu_amx_v4);

/* clang 14 does not know this one by name. */
static int has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
}

/* The features of the psABI levels that matter to these loops; GCC 12 knows the
 * levels by name, clang 14 does not. */
static int has_v3(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && has_f16c();
}

static int has_v4(void)
{
    return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

static int has_v4vnni(void)
{
    return has_v4() && __builtin_cpu_supports("avx512vnni");
}

/* A small product of each kind by the processor's tiles and by plain C: no machine with wrong
 * tiles (an emulator, a hypervisor that hides half of it) tunes a model. */
static int amx_works(void)
{
    enum { STEPS = 3, PANEL = STEPS * 2048 };
    static uint8_t l[PANEL], r[PANEL], c[2][2][4096];
    const cpu_amx *side[2] = { &cpu_amx_amx, &cpu_amx_v1 };
    for (uint32_t i = 0; i < PANEL / 2; i++) { /* bfloat16 of about 1, bytes of any kind */
        const uint16_t x = (uint16_t)(0x3f00 + i * 40503u % 256), y = (uint16_t)(x ^ i << 15);
        memcpy(l + 2 * i, &x, sizeof x);
        memcpy(r + 2 * i, &y, sizeof y);
    }
    for (int s = 0; s < 2; s++) {
        side[s]->configure();
        side[s]->bf16[1][1](c[s][0], l, r, STEPS, 0, r);
        side[s]->bf16[1][1](c[s][0], r, l, STEPS, 1, r);
        side[s]->i8[1][1](c[s][1], l, r, STEPS, 0, r);
        side[s]->release();
    }
    for (int i = 0; i < 1024; i++) {
        float x, y;
        memcpy(&x, c[0][0] + 4 * i, sizeof x);
        memcpy(&y, c[1][0] + 4 * i, sizeof y);
        if (!(x - y < 1e-3f && y - x < 1e-3f)) /* sums of 192 products of about 1 */
            return 0;
    }
    return memcmp(c[0][1], c[1][1], sizeof c[0][1]) == 0;
}

/* AMX with bfloat16 and bytes, and the system's leave to use its registers (Linux 5.16 on). */
static int look_for_amx(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d;
    if (!has_v4vnni() || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    if (!(d >> 22 & 1) || !(d >> 24 & 1) || !(d >> 25 & 1)) /* AMX-BF16, -TILE, -INT8 */
        return 0;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a >> 5 & 1)) /* AVX512_BF16 */
        return 0;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 && amx_works();
}

static int amx_here;

static void find_amx(void)
{
    amx_here = look_for_amx();
}

static int has_amx(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, find_amx);
    return amx_here;
}

static int always(void)
{
    return 1;
}

const cpu_kernels *cpu_kernels_choose(int64_t wanted)
{
    static const struct {
        const cpu_kernels *k;
        int (*here)(void);
    } set[] = {
        { NULL, NULL },          { &kernels_v1, always },         { &kernels_v3, has_v3 },
        { &kernels_v4, has_v4 }, { &kernels_v4vnni, has_v4vnni }, { &kernels_amx, has_amx }
    };
    const int64_t n = sizeof set / sizeof *set;
    if (wanted >= n)
        return has_v4() ? &kernels_plain_v4 : &kernels_plain_v1;
    if (wanted)
        return set[wanted].here() ? set[wanted].k : NULL;
    for (wanted = n - 1; !set[wanted].here();)
        wanted--;
    return set[wanted].k;
}
