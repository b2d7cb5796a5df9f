/*
 * sample.c - the choice of one token.
 *
 * In the order of Hugging Face's generate: repetition penalty (Keskar et al. 2019; once
 * for each id that occurs), temperature, top-k (ties with the k-th stay), top-p (the
 * smallest set whose probabilities reach p; Holtzman et al. 2020), then a draw. The draw
 * is a function of (seed, draw) alone, so that an answer can be had again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/model.h"

/* clang-format off */
const hone_option sampling_option_rows[] = {
    HONE_ROW_F64(sampling, temperature, 0, 100, "0", "how freely to choose; 0: always the likeliest"),
    HONE_ROW_I64(sampling, top_k, 0, 1 << 30, "0", "choose among the k likeliest only; 0: all"),
    HONE_ROW_F64(sampling, top_p, 0, 1, "1", "choose among the likeliest that add up to this probability"),
    HONE_ROW_F64(sampling, repetition_penalty, 0.01, 100, "1", "above 1: avoid tokens that were used already"),
    HONE_ROW_I64(sampling, max_tokens, 1, 1 << 30, "256", "longest answer, in tokens"),
    HONE_ROW_I64(sampling, seed, 0, 9007199254740992.0, "0", "of the random choices"),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct candidate {
    float logit;
    int32_t id;
    double weight; /* probability, up to a common factor */
} candidate;

/* Likeliest first; equal ones by id, so that the order is one and the same everywhere. */
static int by_logit(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void penalize(float *logits, int64_t n_vocab, double penalty, const int32_t *history,
                     size_t n_history, uint8_t *seen)
{
    for (size_t i = 0; i < n_history; i++) {
        const int32_t id = history[i];
        if (id < 0 || id >= n_vocab || seen[id >> 3] & (1u << (id & 7)))
            continue;
        seen[id >> 3] |= (uint8_t)(1u << (id & 7));
        logits[id] = (float)(logits[id] < 0 ? logits[id] * penalty : logits[id] / penalty);
    }
}

static int32_t likeliest(const float *logits, int64_t n)
{
    int32_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = (int32_t)i;
    return best;
}

/* The k-th largest of n logits, 1 <= k <= n; scratch (n) is overwritten. Hoare's selection. */
static float kth_largest(float *scratch, int64_t n, int64_t k)
{
    int64_t lo = 0, hi = n - 1, want = k - 1;
    while (lo < hi) {
        const float pivot = scratch[lo + (hi - lo) / 2];
        int64_t i = lo, j = hi;
        while (i <= j) {
            while (scratch[i] > pivot)
                i++;
            while (scratch[j] < pivot)
                j--;
            if (i <= j) {
                const float swap = scratch[i];
                scratch[i++] = scratch[j];
                scratch[j--] = swap;
            }
        }
        if (want <= j)
            hi = j;
        else if (want >= i)
            lo = i;
        else
            break;
    }
    return scratch[want];
}

/* Candidates that top-k leaves: ties with the k-th stay. Returns how many. */
static int64_t keep_top_k(candidate *c, const float *logits, int64_t n, int64_t k, float *scratch)
{
    float least = -INFINITY;
    int64_t kept = 0;
    if (k > 0 && k < n) {
        memcpy(scratch, logits, (size_t)n * sizeof *scratch);
        least = kth_largest(scratch, n, k);
    }
    for (int64_t i = 0; i < n; i++)
        if (logits[i] >= least)
            c[kept++] = (candidate){ logits[i], (int32_t)i, 0 };
    return kept;
}

/* The smallest set of the likeliest whose probabilities reach p, at least one. What is
 * below (1 - p) / n of the sum cannot be in it, so that little is left to sort. */
static int64_t keep_top_p(candidate *c, int64_t n, double sum, double p)
{
    const double least = (1 - p) * sum / (double)n;
    int64_t left = 0, kept = 0;
    if (p >= 1)
        return n;
    for (int64_t i = 0; i < n; i++)
        if (c[i].weight >= least)
            c[left++] = c[i];
    qsort(c, (size_t)left, sizeof *c, by_logit);
    for (double head = 0; kept < left && (kept == 0 || head < p * sum); kept++)
        head += c[kept].weight;
    return kept;
}

static int32_t draw_one(const candidate *c, int64_t n, double u)
{
    double sum = 0, head = 0;
    for (int64_t i = 0; i < n; i++)
        sum += c[i].weight;
    for (int64_t i = 0; i < n; i++) {
        head += c[i].weight;
        if (u * sum < head)
            return c[i].id;
    }
    return c[n - 1].id;
}

int32_t sample_token(float *logits, int64_t n_vocab, const sampling *s, const int32_t *history,
                     size_t n_history, uint64_t draw)
{
    int32_t id = -1;
    if (s->repetition_penalty != 1 && n_history) {
        uint8_t *seen = mem_new((size_t)n_vocab / 8 + 1, 1);
        if (!seen)
            return -1;
        penalize(logits, n_vocab, s->repetition_penalty, history, n_history, seen);
        free(seen);
    }
    const int32_t best = likeliest(logits, n_vocab);
    if (s->temperature <= 0)
        return best;
    candidate *c = mem_new((size_t)n_vocab, sizeof *c);
    float *scratch = mem_new((size_t)n_vocab, sizeof *scratch);
    if (c && scratch) {
        const double top = logits[best];
        double sum = 0;
        int64_t n = keep_top_k(c, logits, n_vocab, s->top_k, scratch);
        for (int64_t i = 0; i < n; i++)
            sum += c[i].weight = exp(((double)c[i].logit - top) / s->temperature);
        n = keep_top_p(c, n, sum, s->top_p);
        id = n ? draw_one(c, n, rng_uniform((uint64_t)s->seed, 0, draw)) : best;
    }
    free(scratch);
    free(c);
    return id;
}
