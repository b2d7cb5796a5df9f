/*
 * test_rng.c - Philox against the vectors of Random123, and what is built on it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"
#include "test.h"

/* kat_vectors of Random123, "philox4x32 10": counter words, key words, result. */
static void test_rng__philox_gives_the_published_vectors(void)
{
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } vectors[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
          { 0xffffffff, 0xffffffff },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    size_t i, k;
    for (i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const uint32_t *c = vectors[i].counter, *key = vectors[i].key;
        const uint64_t seed = key[0] | (uint64_t)key[1] << 32;
        const uint64_t counter = c[0] | (uint64_t)c[1] << 32, stream = c[2] | (uint64_t)c[3] << 32;
        const rng_block b = rng_philox(seed, stream, counter);
        for (k = 0; k < 4; k++)
            CHECK_INT(b.w[k], vectors[i].want[k]);
        CHECK(rng_u64(seed, stream, counter) ==
              (vectors[i].want[0] | (uint64_t)vectors[i].want[1] << 32));
    }
}

static void test_rng__uniform_and_normal_have_their_moments(void)
{
    enum { N = 1000000 };
    double sum = 0, sum2 = 0, sum4 = 0, uniform = 0, lowest = 1, highest = 0;
    int64_t tail = 0;
    uint64_t i;
    for (i = 0; i < N; i++) {
        const double u = rng_uniform(7, 1, i), x = rng_normal(7, 2, i);
        uniform += u;
        lowest = fmin(lowest, u);
        highest = fmax(highest, u);
        sum += x;
        sum2 += x * x;
        sum4 += x * x * x * x;
        tail += fabs(x) > 1.959963985;
    }
    CHECK(lowest >= 0 && highest < 1);
    CHECK_NEAR(uniform / N, 0.5, 4 * 0.2887 / 1000); /* 4 standard errors */
    CHECK_NEAR(sum / N, 0, 4.0 / 1000);
    CHECK_NEAR(sum2 / N, 1, 4 * 1.4142 / 1000);
    CHECK_NEAR(sum4 / N, 3, 4 * 9.8 / 1000);
    CHECK_NEAR((double)tail / N, 0.05, 4 * 0.218 / 1000);
}

static void test_rng__permutations_are_complete_and_even(void)
{
    static int64_t seen[4][4];
    int64_t order[1000], sorted[1000], i, k;
    uint64_t stream;
    rng_permutation(order, 1000, 3, 4);
    memset(sorted, 0, sizeof sorted);
    for (i = 0; i < 1000; i++) {
        CHECK(order[i] >= 0 && order[i] < 1000);
        sorted[order[i]]++;
    }
    for (i = 0; i < 1000; i++)
        CHECK_INT(sorted[i], 1);
    for (stream = 0; stream < 40000; stream++) {
        rng_permutation(order, 4, 3, stream);
        for (i = 0; i < 4; i++)
            seen[i][order[i]]++;
    }
    for (i = 0; i < 4; i++)
        for (k = 0; k < 4; k++)
            CHECK_NEAR((double)seen[i][k], 10000, 4 * 87); /* binomial: 4 deviations */
    rng_permutation(order, 1, 3, 4);
    CHECK_INT(order[0], 0);
    rng_permutation(NULL, 0, 3, 4);
}

int main(void)
{
    RUN(test_rng__philox_gives_the_published_vectors);
    RUN(test_rng__uniform_and_normal_have_their_moments);
    RUN(test_rng__permutations_are_complete_and_even);
    return TEST_EXIT();
}
