/*
 * check_loss.c - the loss and its gradients: fused against composed, both against double
 * precision, backward against central differences.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/rig.h"

/* A logit is off by some 2^-24 of its terms, a tenth of what tolerances allow of anything. */
#define LOGIT 0.1

/* nll of each row, logits = h w^T. Where wanted, size: norms of what each row's is made of, for
 * float32 rounds these, whatever is left of them (nearly nothing where a class is certain). */
static void plain_nll(const double *h, const double *w, const int32_t *target, int64_t n, int64_t c,
                      int64_t v, double *nll, double *size)
{
    double *logits = calloc((size_t)v, sizeof *logits);
    for (int64_t i = 0; i < n; i++) {
        double most = -HUGE_VAL, sum = 0, terms = 0;
        for (int64_t t = 0; t < v; t++) {
            logits[t] = 0;
            for (int64_t j = 0; j < c; j++)
                logits[t] += h[i * c + j] * w[t * c + j];
            most = logits[t] > most ? logits[t] : most;
        }
        for (int64_t t = 0; t < v; t++)
            sum += exp(logits[t] - most);
        nll[i] = most + log(sum) - logits[target[i]];
        for (int64_t j = 0; size && j < c; j++)
            terms += pow(h[i * c + j] * w[target[i] * c + j], 2);
        if (size)
            size[i] = sqrt(terms + most * most + pow(logits[target[i]], 2) + pow(log(sum), 2));
    }
    free(logits);
}

typedef struct loss_ctx {
    double *h, *w, *nll;
    const int32_t *target;
    const float *weight;
    int64_t count, c, v;
    double scale;
} loss_ctx;

static double loss_value(void *ctx)
{
    loss_ctx *k = ctx;
    double sum = 0;
    plain_nll(k->h, k->w, k->target, k->count, k->c, k->v, k->nll, NULL);
    for (int64_t i = 0; i < k->count; i++)
        sum += k->nll[i] * (k->weight ? (double)k->weight[i] : 1);
    return sum * k->scale;
}

/* Norms of what sums in dh and dw are made of: a probability times a row, off by as much as its
 * logit is rounded, and the target's row, which is subtracted. (One class: nothing is left.) */
static void loss_terms(const loss_ctx *k, const float *old_dw, double *dh, double *dw)
{
    double *logits = calloc((size_t)k->v, sizeof *logits);
    double *rounded = calloc((size_t)k->v, sizeof *rounded);
    *dh = *dw = 0;
    for (int64_t i = 0; i < k->count; i++) {
        const double *h = k->h + i * k->c;
        double most = -HUGE_VAL, sum = 0, h_squares = 0;
        for (int64_t j = 0; j < k->c; j++)
            h_squares += h[j] * h[j];
        for (int64_t t = 0; t < k->v; t++) {
            logits[t] = rounded[t] = 0;
            for (int64_t j = 0; j < k->c; j++) {
                logits[t] += h[j] * k->w[t * k->c + j];
                rounded[t] += pow(h[j] * k->w[t * k->c + j], 2);
            }
            most = logits[t] > most ? logits[t] : most;
        }
        for (int64_t t = 0; t < k->v; t++)
            sum += exp(logits[t] - most);
        for (int64_t t = 0; t < k->v; t++) {
            const double p = exp(logits[t] - most) / sum;
            const double each = k->scale * (k->weight ? (double)k->weight[i] : 1);
            const double share =
                each * each *
                (p * p * (1 + LOGIT * LOGIT * rounded[t]) + (t == k->target[i] ? 1 : 0));
            *dw += share * h_squares;
            for (int64_t j = 0; j < k->c; j++)
                *dh += share * pow(k->w[t * k->c + j], 2);
        }
    }
    for (int64_t i = 0; old_dw && i < k->v * k->c; i++)
        *dw += pow((double)old_dw[i], 2);
    *dh = sqrt(*dh);
    *dw = sqrt(*dw);
    free(logits);
    free(rounded);
}

static void loss_case(rig *r, int64_t n, int64_t c, int64_t v, int64_t chunk, double scale_h,
                      int gradients, bool weights)
{
    const int64_t hs[2] = { n, c }, ws[2] = { v, c }, ss[2] = { chunk, v };
    const int64_t count = n ? pick(r, 0, n) : 0;
    const float scale = 0.125f, before = 2.5f;
    float *h = normals(r, n * c, scale_h), *w = normals(r, v * c, 1), *weight = normals(r, n, 1);
    float *old_dw = normals(r, v * c, 0.1), *dh[N_SIDES] = { 0 }, *dw[N_SIDES] = { 0 };
    int32_t *target = calloc((size_t)n + 1, sizeof *target);
    double *wh, *ww, *nll = calloc((size_t)n + 1, sizeof *nll), want, dh_terms, dw_terms;
    double *size = calloc((size_t)n + 1, sizeof *size), loss_size = (double)(before * before);
    double nll_size = 0;
    loss_ctx ctx;
    for (int64_t i = 0; i < n; i++) {
        target[i] = (int32_t)pick(r, 0, v - 1);
        weight[i] = i % 5 == 2 ? 0 : fabsf(weight[i]);
    }
    wh = widened(h, n * c);
    ww = widened(w, v * c);
    ctx = (loss_ctx){ wh, ww, nll, target, weights ? weight : NULL, count, c, v, 1 };
    want = (double)before + loss_value(&ctx);
    plain_nll(wh, ww, target, count, c, v, nll, size);
    for (int64_t i = 0; i < count; i++) {
        nll_size += size[i] * size[i];
        loss_size += pow(size[i] * (weights ? (double)weight[i] : 1), 2);
    }
    ctx.scale = (double)scale;
    loss_terms(&ctx, gradients > 1 ? old_dw : NULL, &dh_terms, &dw_terms);
    for (int k = 0; k < N_SIDES; k++) {
        side *s = &r->side[k];
        hone_error err = { 0 };
        hone_weight stored = {
            .struct_size = sizeof stored, .n_planes = 1, .format = "fp32", .rows = v, .cols = c
        };
        hone_loss_args a = { .count = (int32_t)count, .scale = scale, .w = &stored };
        float *got;
        what(r, "loss over %lld of %lld rows, C %lld, V %lld, chunks of %lld, gradients %d%s, %s",
             (long long)count, (long long)n, (long long)c, (long long)v, (long long)chunk,
             gradients, weights ? ", weights" : "", k ? "composed" : "fused");
        stored.plane[0] = put(r, s, 2, ws, 0, w);
        a.h = put(r, s, 2, hs, 0, h);
        a.target = put_ints(r, s, n, target);
        if (weights)
            a.weight = put(r, s, 1, &n, 0, weight);
        a.loss = put(r, s, 1, &(int64_t){ 1 }, 0, &before);
        a.nll = put(r, s, 1, &n, 0, NULL);
        a.scratch = put(r, s, 2, ss, 0, NULL);
        if (gradients)
            a.dh = put(r, s, 2, hs, 0, NULL);
        if (gradients > 1)
            a.dw = put(r, s, 2, ws, 0, old_dw);
        (void)good(r, ops_loss(s->o, a, &err), &err);
        got = get(r, s, a.loss);
        r->floor = sqrt(loss_size);
        near_norm(r, "the loss", got, &want, 1, CLOSE);
        free(got);
        got = get(r, s, a.nll);
        r->floor = sqrt(nll_size);
        near_norm(r, "nll", got, nll, count, CLOSE);
        r->floor = 0;
        free(got);
        if (gradients) {
            dh[k] = get(r, s, a.dh);
            for (int64_t i = count * c; i < n * c; i++)
                if (!isnan(dh[k][i])) {
                    fail(r, "dh of a row at or above count was written");
                    break;
                }
        }
        dw[k] = gradients > 1 ? get(r, s, a.dw) : NULL;
        drop_all(s);
    }
    r->floor = dh_terms;
    if (gradients)
        near_pair(r, "dh, fused against composed", dh[FUSED], dh[COMPOSED], count * c, 5e-6);
    r->floor = dw_terms;
    if (gradients > 1)
        near_pair(r, "dw, fused against composed", dw[FUSED], dw[COMPOSED], v * c, 5e-6);
    if (gradients && count * c * v < 4000) {
        double *gh = differences(wh, count * c, loss_value, &ctx);
        r->floor = dh_terms;
        near_norm(r, "dh", dh[FUSED], gh, count * c, 1e-5);
        free(gh);
        if (gradients > 1) {
            double *gw = differences(ww, v * c, loss_value, &ctx);
            for (int64_t i = 0; i < v * c; i++)
                gw[i] += (double)old_dw[i];
            r->floor = dw_terms;
            near_norm(r, "dw", dw[FUSED], gw, v * c, 1e-5);
            free(gw);
        }
    }
    r->floor = 0;
    for (int k = 0; k < N_SIDES; k++) {
        free(dh[k]);
        free(dw[k]);
    }
    free(h), free(w), free(weight), free(old_dw), free(target), free(wh), free(ww), free(nll);
    free(size);
}

/* A target outside the vocabulary: an error or a NaN loss, never a number. */
static void loss_off_table(rig *r)
{
    for (int k = 0; k < N_SIDES; k++) {
        side *s = &r->side[k];
        const int64_t n = 3, v = 7, hs[2] = { n, 4 }, ws[2] = { v, 4 }, ss[2] = { 2, v };
        const int32_t target[3] = { 1, k ? -1 : 7, 2 };
        float *h = normals(r, n * 4, 1), *w = normals(r, v * 4, 1), *got;
        hone_error err = { 0 };
        hone_weight stored = { .struct_size = sizeof stored,
                               .n_planes = 1,
                               .format = "fp32",
                               .rows = v,
                               .cols = 4,
                               .plane = { put(r, s, 2, ws, 0, w) } };
        hone_loss_args a = { .count = 3, .scale = 1, .w = &stored };
        hone_status st;
        what(r, "loss with a target of %d of %lld classes, %s", (int)target[1], (long long)v,
             k ? "composed" : "fused");
        a.h = put(r, s, 2, hs, 0, h);
        a.target = put_ints(r, s, n, target);
        a.loss = put(r, s, 1, &(int64_t){ 1 }, 0, &(float){ 0 });
        a.scratch = put(r, s, 2, ss, 0, NULL);
        st = ops_loss(s->o, a, &err);
        st = st ? st : ops_sync(s->o, &err);
        got = get(r, s, a.loss);
        if (!st && !isnan(got[0]))
            fail(r, "gives the loss %g", (double)got[0]);
        free(got), free(h), free(w);
        drop_all(s);
    }
}

void check_loss(rig *r)
{
    loss_case(r, 0, 4, 5, 2, 1, 2, false);
    loss_case(r, 40, 33, 700, 16, 1, 2, true);
    loss_case(r, 9, 16, 5000, 4, 1, 2, false);
    loss_case(r, 7, 8, 50, 3, 100, 1, false); /* logits in the hundreds */
    for (int i = 0; i < 30; i++)
        loss_case(r, pick(r, 1, 20), pick(r, 1, 40), pick(r, 1, 90), pick(r, 1, 24), 1, i % 3,
                  i % 2);
    for (int i = 0; i < 6; i++)
        loss_case(r, pick(r, 1, 4), pick(r, 1, 6), pick(r, 2, 12), pick(r, 1, 5), 1, 2, i % 2);
    loss_off_table(r);
}
