/*
 * rope.c - the tables of rotary embedding (Su et al. 2021) and its three scalings.
 *
 * Frequencies f_i = theta^(-2i/D), i < D/2, then
 *   linear   f / factor
 *   llama3   wavelengths above original/low divided by factor, below original/high kept,
 *            between them a mix
 *   yarn     (Peng et al. 2023) a ramp over i between interpolated (f / factor) and kept
 *            frequencies; cos and sin times an attention factor
 * as transformers' modeling_rope_utils does. Frequencies and angles are rounded to float
 * where transformers holds floats: the model was trained with those, and at position
 * 100,000 the rounding is visible.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "core/model/config.h"

#define PI 3.14159265358979323846

static double llama3_frequency(const llama_config *c, double f)
{
    const double wavelength = 2 * PI / f, original = (double)c->rope_original;
    if (wavelength > original / c->rope_low)
        return f / c->rope_factor;
    if (wavelength < original / c->rope_high)
        return f;
    const double keep = (original / wavelength - c->rope_low) / (c->rope_high - c->rope_low);
    return (1 - keep) * f / c->rope_factor + keep * f;
}

/* The index at which a frequency makes `turns` turns over the original length. */
static double yarn_index(const llama_config *c, double turns)
{
    return (double)c->head_dim * log((double)c->rope_original / (turns * 2 * PI)) /
           (2 * log(c->rope_theta));
}

/* 1 where the frequency is interpolated, 0 where it is kept. */
static double yarn_ramp(const llama_config *c, int64_t i)
{
    double low = yarn_index(c, c->rope_beta_fast), high = yarn_index(c, c->rope_beta_slow);
    if (c->rope_truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, (double)(c->head_dim - 1));
    if (low == high)
        high += 0.001;
    return fmin(fmax(((double)i - low) / (high - low), 0), 1);
}

static double frequency(const llama_config *c, int64_t i)
{
    const double f = pow(c->rope_theta, -2.0 * (double)i / (double)c->head_dim);
    double ramp;
    switch (c->rope_type) {
    case ROPE_LINEAR:
        return f / c->rope_factor;
    case ROPE_LLAMA3:
        return llama3_frequency(c, f);
    case ROPE_YARN:
        ramp = yarn_ramp(c, i);
        return f / c->rope_factor * ramp + f * (1 - ramp);
    default:
        return f;
    }
}

static double yarn_mscale(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

/* What cos and sin are multiplied with. */
static double attention_factor(const llama_config *c)
{
    if (c->rope_type != ROPE_YARN)
        return 1;
    if (c->rope_attention_factor > 0)
        return c->rope_attention_factor;
    if (c->rope_mscale > 0 && c->rope_mscale_all_dim > 0)
        return yarn_mscale(c->rope_factor, c->rope_mscale) /
               yarn_mscale(c->rope_factor, c->rope_mscale_all_dim);
    return yarn_mscale(c->rope_factor, 1);
}

void rope_tables(const llama_config *c, int64_t positions, float *cos_table, float *sin_table)
{
    const int64_t half = c->head_dim / 2;
    const double scale = attention_factor(c);
    for (int64_t i = 0; i < half; i++) {
        const float f = (float)frequency(c, i);
        for (int64_t p = 0; p < positions; p++) {
            const float angle = (float)p * f;
            cos_table[p * half + i] = (float)(cos((double)angle) * scale);
            sin_table[p * half + i] = (float)(sin((double)angle) * scale);
        }
    }
}
