/*
 * isa.c - which of the builds of the kernels this processor runs: three, and a fourth of
 * products of bytes for AVX-512 with VNNI.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <cpuid.h>

#include "kernels.h"

#define SET(suffix, bytes, avx2)                 \
    extern const cpu_exact cpu_exact_##suffix;   \
    extern const cpu_rows cpu_rows_##suffix;     \
    extern const cpu_tile cpu_tile_##suffix;     \
    extern const cpu_mm cpu_mm_##suffix;         \
    extern const cpu_few cpu_few_##suffix;       \
    extern const cpu_int8 cpu_int8_##bytes;      \
    static const cpu_kernels kernels_##bytes = { \
        .name = "x86-64-" #suffix,               \
        .vex = avx2,                             \
        .exact = &cpu_exact_##suffix,            \
        .rows = &cpu_rows_##suffix,              \
        .tile = &cpu_tile_##suffix,              \
        .mm = &cpu_mm_##suffix,                  \
        .few = &cpu_few_##suffix,                \
        .int8 = &cpu_int8_##bytes,               \
    }

SET(v1, v1, 0);
SET(v3, v3, 1);
SET(v4, v4, 1);
SET(v4, v4vnni, 1);

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

const cpu_kernels *cpu_kernels_choose(int64_t wanted)
{
    const struct {
        const cpu_kernels *k;
        int here;
    } set[] = { { &kernels_v1, 1 },
                { &kernels_v3, has_v3() },
                { __builtin_cpu_supports("avx512vnni") ? &kernels_v4vnni : &kernels_v4,
                  has_v4() } };
    if (wanted >= 1 && wanted <= 3)
        return set[wanted - 1].here ? set[wanted - 1].k : NULL;
    return set[2].here ? set[2].k : set[1].here ? set[1].k : set[0].k;
}
