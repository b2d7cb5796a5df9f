/*
 * turns.c - see turns.h. What is kept of a document are 2 * window vectors, not all.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "turns.h"

#include <math.h>
#include <stdlib.h>

#define AT_ONCE 256 /* texts of a call */

hone_status turns_init(turns *t, const hone_host *host, const char *name, uint64_t window,
                       hone_error *err)
{
    *t = (turns){ .host = host, .name = name, .window = window };
    t->service = host->service(host, HONE_SERVICE_EMBED);
    if (!t->service)
        return hone_fail(err, HONE_ERR_STATE,
                         "%s: there are no hidden states without a model: set the model", name);
    return HONE_OK;
}

void turns_finish(turns *t)
{
    if (!t->host)
        return;
    t->host->free(t->host, t->ring);
    t->host->free(t->host, t->vectors);
    t->host->free(t->host, t->distance);
    *t = (turns){ 0 };
}

static void *take(const turns *t, uint64_t n, uint64_t size)
{
    return n > UINT64_MAX / 4 / size ? NULL : t->host->alloc(t->host, n * size + size, 16, t->name);
}

static hone_status make_room(turns *t, uint64_t n, hone_error *err)
{
    uint64_t most;
    hone_status st = HONE_OK;
    if (!t->width) { /* not before the first document: create() may not ask */
        st = t->service->shape(t->service, &t->width, &most, err);
        if (st != HONE_OK || !t->width || t->width > 1 << 20)
            return st != HONE_OK ? st
                                 : hone_fail(err, HONE_ERR_FORMAT, "%s: vectors of %llu numbers",
                                             t->name, (unsigned long long)t->width);
        t->ring = take(t, 2 * t->window * t->width, sizeof *t->ring);
        t->vectors = take(t, AT_ONCE * t->width, sizeof *t->vectors);
    }
    if (n > t->cap) {
        t->host->free(t->host, t->distance);
        t->cap = 0;
        if ((t->distance = take(t, n, sizeof *t->distance)))
            t->cap = n;
    }
    return t->ring && t->vectors && (n <= t->cap)
               ? HONE_OK
               : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %llu vectors", t->name,
                           (unsigned long long)n);
}

/* The sum of the ring's vectors [from, to) times that of [to, end), each sum of length 1. */
static double across(const turns *t, uint64_t from, uint64_t to, uint64_t end)
{
    double both = 0, one = 0, two = 0;
    for (uint64_t k = 0; k < t->width; k++) {
        double a = 0, b = 0;
        for (uint64_t i = from; i < to; i++)
            a += t->ring[i % (2 * t->window) * t->width + k];
        for (uint64_t i = to; i < end; i++)
            b += t->ring[i % (2 * t->window) * t->width + k];
        both += a * b;
        one += a * a;
        two += b * b;
    }
    return one > 0 && two > 0 ? 1 - both / sqrt(one * two) : 0;
}

/* The boundary before unit b, when units up to `end` are there. */
static void measure_at(turns *t, uint64_t b, uint64_t end)
{
    const uint64_t from = b > t->window ? b - t->window : 0;
    const uint64_t to = b + t->window < end ? b + t->window : end;
    t->distance[b] = b ? across(t, from, b, to) : 0;
}

static void put_vector(turns *t, const float *x)
{
    float *to = t->ring + t->n % (2 * t->window) * t->width;
    double sum = 0;
    for (uint64_t k = 0; k < t->width; k++)
        sum += (double)x[k] * x[k];
    const double scale = sum > 0 && isfinite(sum) ? 1 / sqrt(sum) : 0;
    for (uint64_t k = 0; k < t->width; k++)
        to[k] = (float)(x[k] * scale);
    t->n++;
    if (t->n >= t->window)
        measure_at(t, t->n - t->window, t->n);
}

hone_status turns_measure(turns *t, const hone_str *texts, uint64_t n, hone_error *err)
{
    hone_status st = make_room(t, n, err);
    t->n = 0;
    for (uint64_t i = 0; i < n && st == HONE_OK; i += AT_ONCE) {
        const uint64_t k = n - i < AT_ONCE ? n - i : AT_ONCE;
        st = t->service->embed(t->service, texts + i, k, t->vectors, err);
        for (uint64_t j = 0; j < k && st == HONE_OK; j++)
            put_vector(t, t->vectors + j * t->width);
    }
    /* the last boundaries have less behind them */
    for (uint64_t b = n >= t->window ? n - t->window + 1 : 0; b < n && st == HONE_OK; b++)
        measure_at(t, b, n);
    return st;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

hone_status turns_quantile(const turns *t, double share, double *value, hone_error *err)
{
    *value = INFINITY;
    if (t->n < 2)
        return HONE_OK;
    double *sorted = take(t, t->n, sizeof *sorted);
    if (!sorted)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %llu distances", t->name,
                         (unsigned long long)t->n);
    memcpy(sorted, t->distance + 1, (t->n - 1) * sizeof *sorted);
    qsort(sorted, t->n - 1, sizeof *sorted, by_value);
    *value = sorted[(uint64_t)(share * (double)(t->n - 2))];
    t->host->free(t->host, sorted);
    return HONE_OK;
}
