/*
 * test_sample.c - the choice of a token: order of the filters, shares of the draws.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/model.h"
#include "test.h"

#define VOCAB 8

static const sampling off = { .temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 9 };

/* How often each id is chosen in n draws from logits = log p. */
static void shares(double *share, const double *p, const sampling *s, const int32_t *history,
                   size_t n_history, int n)
{
    memset(share, 0, VOCAB * sizeof *share);
    for (int i = 0; i < n; i++) {
        float logits[VOCAB];
        for (int k = 0; k < VOCAB; k++)
            logits[k] = (float)log(p[k]);
        const int32_t id = sample_token(logits, VOCAB, s, history, n_history, (uint64_t)i);
        CHECK(id >= 0 && id < VOCAB);
        share[id] += 1.0 / n;
    }
}

static const double p[VOCAB] = { 0.05, 0.30, 0.02, 0.25, 0.08, 0.20, 0.02, 0.08 };

static void test_sample__zero_temperature_is_greedy(void)
{
    float logits[VOCAB] = { 0, 1, 5, 3, 5, -1, 2, 4 };
    const sampling s = { .top_p = 1, .repetition_penalty = 1 };
    CHECK_INT(sample_token(logits, VOCAB, &s, NULL, 0, 0), 2); /* the first of equal ones */
}

static void test_sample__draws_have_their_shares(void)
{
    double share[VOCAB];
    shares(share, p, &off, NULL, 0, 40000);
    for (int k = 0; k < VOCAB; k++)
        CHECK_NEAR(share[k], p[k], 0.01);
}

static void test_sample__temperature_sharpens(void)
{
    double share[VOCAB], sum = 0;
    sampling s = off;
    s.temperature = 0.5; /* p^2 */
    shares(share, p, &s, NULL, 0, 40000);
    for (int k = 0; k < VOCAB; k++)
        sum += p[k] * p[k];
    for (int k = 0; k < VOCAB; k++)
        CHECK_NEAR(share[k], p[k] * p[k] / sum, 0.01);
}

static void test_sample__top_k_keeps_k_and_ties(void)
{
    double share[VOCAB];
    sampling s = off;
    s.top_k = 3;
    shares(share, p, &s, NULL, 0, 20000);
    CHECK_NEAR(share[1], 0.30 / 0.75, 0.015);
    CHECK_NEAR(share[3], 0.25 / 0.75, 0.015);
    CHECK_NEAR(share[5], 0.20 / 0.75, 0.015);
    CHECK(share[4] == 0 && share[0] == 0);
    s.top_k = 4; /* 4 and 7 have the same probability: both stay */
    shares(share, p, &s, NULL, 0, 20000);
    CHECK(share[4] > 0 && share[7] > 0 && share[0] == 0);
    s.top_k = 1;
    shares(share, p, &s, NULL, 0, 100);
    CHECK_NEAR(share[1], 1, 1e-9);
    s.top_k = 100;
    shares(share, p, &s, NULL, 0, 20000);
    CHECK(share[2] > 0);
}

static void test_sample__top_p_keeps_the_smallest_set(void)
{
    static const struct {
        double top_p;
        int kept; /* of 1, 3, 5 in this order: 0.30, 0.25, 0.20, then 4 and 7 */
    } cases[] = { { 0.0, 1 },  { 0.1, 1 },  { 0.29, 1 }, { 0.31, 2 },
                  { 0.54, 2 }, { 0.56, 3 }, { 0.74, 3 } };
    static const int order[] = { 1, 3, 5 };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double share[VOCAB], sum = 0;
        sampling s = off;
        s.top_p = cases[i].top_p;
        shares(share, p, &s, NULL, 0, 20000);
        for (int k = 0; k < cases[i].kept; k++)
            sum += p[order[k]];
        for (int k = 0; k < 3; k++)
            CHECK_NEAR(share[order[k]], k < cases[i].kept ? p[order[k]] / sum : 0, 0.015);
        CHECK(share[4] == 0 && share[7] == 0);
    }
}

/* Hugging Face filters by k first, and p counts among what is left. */
static void test_sample__top_p_comes_after_top_k(void)
{
    double share[VOCAB];
    sampling s = off;
    s.top_k = 3;
    s.top_p = 0.70; /* of 0.75: 0.40, 0.73: two reach it; without top_k three would stay */
    shares(share, p, &s, NULL, 0, 20000);
    CHECK(share[5] == 0);
    CHECK_NEAR(share[1], 0.30 / 0.55, 0.015);
}

/* Temperature comes before top-p: flatter, so that more tokens are needed. */
static void test_sample__top_p_comes_after_temperature(void)
{
    double share[VOCAB];
    sampling s = off;
    s.top_p = 0.29;
    s.temperature = 100;
    shares(share, p, &s, NULL, 0, 20000);
    CHECK(share[1] > 0 && share[3] > 0 && share[5] > 0 && share[2] == 0);
}

static void test_sample__the_penalty_counts_a_token_once(void)
{
    static const int32_t history[] = { 1, 1, 1, 3, -5, 99 };
    float logits[VOCAB] = { 0.1f, 3, 0, -1, 2, 1.4f, 0, 0 };
    const sampling s = { .top_p = 1, .repetition_penalty = 2 };
    CHECK_INT(sample_token(logits, VOCAB, &s, history, 6, 0), 4);
    CHECK(logits[1] == 1.5f && logits[3] == -2 && logits[4] == 2); /* divided; multiplied */
}

static void test_sample__a_draw_can_be_had_again(void)
{
    int differ = 0;
    for (uint64_t i = 0; i < 50; i++) {
        float a[VOCAB] = { 0 }, b[VOCAB] = { 0 }, c[VOCAB] = { 0 };
        sampling other = off;
        other.seed = 10;
        const int32_t x = sample_token(a, VOCAB, &off, NULL, 0, i);
        CHECK_INT(sample_token(b, VOCAB, &off, NULL, 0, i), x);
        differ += sample_token(c, VOCAB, &other, NULL, 0, i) != x;
    }
    CHECK(differ > 25);
}

/* Selection and prefilter against sorting everything, on many shapes. */
static void test_sample__large_vocabularies_agree_with_a_sort(void)
{
    enum { N = 5000 };
    static float logits[N], kept[N];
    for (int round = 0; round < 30; round++) {
        sampling s = off;
        s.top_k = round % 3 ? 1 + 37 * round : 0;
        s.top_p = round % 2 ? 0.2 + 0.025 * round : 1;
        for (int i = 0; i < N; i++)
            kept[i] = logits[i] =
                (float)(round % 5 ? 3 * rng_normal(7, (uint64_t)round, (uint64_t)i) : i % 7);
        const int32_t id = sample_token(logits, N, &s, NULL, 0, (uint64_t)round);
        CHECK(id >= 0);
        int64_t above = 0; /* rank of the choice, and the mass before it */
        double before = 0, all = 0;
        float least = -INFINITY;
        for (int64_t k = 0; s.top_k && k < s.top_k;) { /* the k-th largest, slowly */
            float best = -INFINITY;
            int64_t ties = 0;
            for (int i = 0; i < N; i++)
                if ((k == 0 || kept[i] < least) && kept[i] > best)
                    best = kept[i];
            for (int i = 0; i < N; i++)
                ties += kept[i] == best;
            k += ties;
            least = best;
        }
        for (int i = 0; i < N; i++) {
            above += kept[i] > kept[id];
            if (kept[i] >= least) {
                all += exp(kept[i]);
                before += kept[i] > kept[id] || (kept[i] == kept[id] && i < id) ? exp(kept[i]) : 0;
            }
        }
        CHECK(kept[id] >= least);
        CHECK(above == 0 || before < s.top_p * all * (1 + 1e-9));
    }
}

int main(void)
{
    RUN(test_sample__zero_temperature_is_greedy);
    RUN(test_sample__draws_have_their_shares);
    RUN(test_sample__temperature_sharpens);
    RUN(test_sample__top_k_keeps_k_and_ties);
    RUN(test_sample__top_p_keeps_the_smallest_set);
    RUN(test_sample__top_p_comes_after_top_k);
    RUN(test_sample__top_p_comes_after_temperature);
    RUN(test_sample__the_penalty_counts_a_token_once);
    RUN(test_sample__a_draw_can_be_had_again);
    RUN(test_sample__large_vocabularies_agree_with_a_sort);
    return TEST_EXIT();
}
