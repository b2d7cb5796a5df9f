/*
 * rng.c - counter-based random numbers: Philox 4x32-10.
 *
 * Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3",
 * 2011. The key is the seed; the 128-bit counter is (counter, stream), low words
 * first. Checked against the vectors published with Random123.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"

#include <math.h>

rng_block rng_philox(uint64_t seed, uint64_t stream, uint64_t counter)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    int round;
    for (round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xd2511f53u * c0;
        const uint64_t p1 = (uint64_t)0xcd9e8d57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    return (rng_block){ { c0, c1, c2, c3 } };
}

static uint64_t low(rng_block b)
{
    return b.w[0] | (uint64_t)b.w[1] << 32;
}

uint64_t rng_u64(uint64_t seed, uint64_t stream, uint64_t counter)
{
    return low(rng_philox(seed, stream, counter));
}

double rng_uniform(uint64_t seed, uint64_t stream, uint64_t counter)
{
    return (double)(rng_u64(seed, stream, counter) >> 11) * 0x1p-53;
}

double rng_normal(uint64_t seed, uint64_t stream, uint64_t counter)
{
    static const double two_pi = 6.283185307179586476925;
    const rng_block b = rng_philox(seed, stream, counter);
    const double u = (double)((low(b) >> 11) + 1) * 0x1p-53; /* (0, 1]: log is finite */
    const double v = (double)((b.w[2] | (uint64_t)b.w[3] << 32) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(two_pi * v);
}

void rng_permutation(int64_t *order, int64_t n, uint64_t seed, uint64_t stream)
{
    __extension__ typedef unsigned __int128 wide;
    uint64_t counter = 0;
    int64_t i;
    for (i = 0; i < n; i++)
        order[i] = i;
    for (i = n - 1; i > 0; i--) {
        /* Lemire 2019: unbiased in [0, bound) by multiplication. */
        const uint64_t bound = (uint64_t)i + 1, unfair = -bound % bound;
        wide m;
        do
            m = (wide)rng_u64(seed, stream, counter++) * bound;
        while ((uint64_t)m < unfair);
        const int64_t j = (int64_t)(m >> 64), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}
