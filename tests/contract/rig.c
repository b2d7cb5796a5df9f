/*
 * rig.c - see rig.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/rig.h"

#include <stdarg.h>

int failures;

enum { EDGE = 64 }; /* bytes before and behind a tensor */

void fail(const rig *r, const char *format, ...)
{
    char line[768];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "%s: %s: %s\n", r->name, r->what, line);
    failures++;
}

void what(rig *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(r->what, sizeof r->what, format, args);
    va_end(args);
}

bool good(const rig *r, hone_status st, const hone_error *err)
{
    if (st)
        fail(r, "status %d: %s", (int)st, err->message);
    return !st;
}

void must_fail(rig *r, side *s, hone_status st, const hone_error *err)
{
    hone_error late = { 0 };
    const hone_error *seen = err;
    if (!st) {
        st = ops_sync(s->o, &late);
        seen = &late;
    }
    if (!st)
        fail(r, "this has to be refused");
    else if (!seen->message[0] || strchr(seen->message, '\n'))
        fail(r, "refused without a one-line message: \"%s\"", seen->message);
}

/* ------------------------------------------------------------------- random */

double uniform(rig *r)
{
    return rng_uniform(r->seed, 1, r->next++);
}

int64_t pick(rig *r, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(uniform(r) * (double)(hi - lo + 1));
}

int64_t pick_of(rig *r, const int64_t *list, size_t n)
{
    return list[pick(r, 0, (int64_t)n - 1)];
}

static void *need(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p) {
        fprintf(stderr, "no memory for the test\n");
        exit(EXIT_FAILURE);
    }
    return p;
}

float *normals(rig *r, int64_t n, double scale)
{
    float *x = need((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(scale * rng_normal(r->seed, 2, r->next++));
    return x;
}

void cut_to_bf16(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0xffff0000;
        memcpy(x + i, &bits, sizeof bits);
    }
}

/* ------------------------------------------------------------------ tensors */

/* Neither a number nor the NaN that arithmetic makes. */
static void paint(uint8_t *p, uint64_t bytes)
{
    static const uint8_t pattern[4] = { 0xad, 0xde, 0xff, 0x7f };
    for (uint64_t i = 0; i < bytes; i++)
        p[i] = pattern[i % 4];
}

static hone_tensor hold(rig *r, side *s, hone_tensor t, const void *data)
{
    const uint64_t size = hone_dtype_size(t.dtype);
    const int64_t count = hone_tensor_count(&t), rows = t.shape[0];
    const uint64_t row = count ? (uint64_t)(count / rows) * size : 0;
    const uint64_t span = count ? (uint64_t)(rows - 1) * (uint64_t)t.stride[0] * size + row : 0;
    struct held *h = &s->held[s->n];
    hone_error err = { 0 };
    if (s->n == MAX_HELD) {
        fprintf(stderr, "a case holds too many tensors\n");
        exit(EXIT_FAILURE);
    }
    h->bytes = span + 2 * EDGE;
    h->image = need(h->bytes, 1);
    paint(h->image, h->bytes);
    for (int64_t i = 0; data && count && i < rows; i++)
        memcpy(h->image + EDGE + (uint64_t)(i * t.stride[0]) * size,
               (const uint8_t *)data + (uint64_t)i * row, row);
    if (!good(r, ops_alloc(s->o, &t.buf, h->bytes, &err), &err) ||
        !good(r, ops_upload(s->o, t.buf, 0, h->image, h->bytes, &err), &err))
        exit(EXIT_FAILURE);
    t.offset = EDGE;
    h->t = t;
    s->n++;
    return t;
}

hone_tensor put(rig *r, side *s, uint32_t rank, const int64_t *shape, int64_t gap,
                const float *data)
{
    hone_tensor t = hone_tensor_dense(0, 0, HONE_F32, rank, shape);
    t.stride[0] += gap;
    return hold(r, s, t, data);
}

hone_tensor put_raw(rig *r, side *s, uint32_t dtype, uint32_t rank, const int64_t *shape,
                    const void *data)
{
    return hold(r, s, hone_tensor_dense(0, 0, dtype, rank, shape), data);
}

hone_tensor put_ints(rig *r, side *s, int64_t n, const int32_t *data)
{
    return put_raw(r, s, HONE_I32, 1, &n, data);
}

void *get_raw(rig *r, side *s, hone_tensor t)
{
    const struct held *h = NULL;
    const uint64_t size = hone_dtype_size(t.dtype);
    const int64_t count = hone_tensor_count(&t);
    uint8_t *now, *out = need((size_t)count, size);
    hone_error err = { 0 };
    uint64_t row;
    for (size_t i = 0; i < s->n; i++)
        if (s->held[i].t.buf == t.buf)
            h = &s->held[i];
    if (!h)
        return out;
    now = need(h->bytes, 1);
    row = count ? (uint64_t)(count / h->t.shape[0]) * size : 0;
    if (good(r, ops_download(s->o, now, t.buf, 0, h->bytes, &err), &err)) {
        /* take the rows out; what is left must be what was uploaded */
        for (int64_t i = 0; count && i < h->t.shape[0]; i++) {
            uint8_t *at = now + EDGE + (uint64_t)(i * h->t.stride[0]) * size;
            memcpy(out + (uint64_t)i * row, at, row);
            memcpy(at, h->image + (at - now), row);
        }
        if (memcmp(now, h->image, h->bytes) != 0)
            fail(r, "bytes outside the tensor were written");
    }
    free(now);
    return out;
}

float *get(rig *r, side *s, hone_tensor t)
{
    return get_raw(r, s, t);
}

void drop_all(side *s)
{
    for (size_t i = 0; i < s->n; i++) {
        ops_free(s->o, s->held[i].t.buf);
        free(s->held[i].image);
    }
    s->n = 0;
}

/* -------------------------------------------------------------- comparisons */

void near_norm(rig *r, const char *name, const float *got, const double *want, int64_t n,
               double tolerance)
{
    double difference = 0, norm = 0;
    int64_t worst = 0;
    double most = -1;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)got[i] - want[i]);
        if (!(d <= most)) {
            most = d;
            worst = i;
        }
        difference += d * d;
        norm += want[i] * want[i];
    }
    difference = sqrt(difference);
    norm = sqrt(norm);
    if (!(difference <= tolerance * (norm > r->floor ? norm : r->floor)))
        fail(r, "%s differs by %.3g of %.3g (allowed %.3g); worst [%lld] is %.9g, expected %.9g",
             name, difference, norm, tolerance, (long long)worst, n ? (double)got[worst] : 0,
             n ? want[worst] : 0);
}

void near_pair(rig *r, const char *name, const float *got, const float *want, int64_t n,
               double tolerance)
{
    double *wide = need((size_t)n, sizeof *wide);
    for (int64_t i = 0; i < n; i++)
        wide[i] = (double)want[i];
    near_norm(r, name, got, wide, n, tolerance);
    free(wide);
}

void same_bits(rig *r, const char *name, const void *got, const void *want, size_t bytes)
{
    const uint8_t *a = got, *b = want;
    size_t i = 0;
    while (i < bytes && a[i] == b[i])
        i++;
    if (i < bytes)
        fail(r, "%s: byte %zu of %zu is %02x, expected %02x", name, i, bytes, a[i], b[i]);
}

double *widened(const float *x, int64_t n)
{
    double *y = calloc((size_t)n + 1, sizeof *y);
    for (int64_t i = 0; i < n; i++)
        y[i] = (double)x[i];
    return y;
}

double *differences(double *x, int64_t n, double (*f)(void *ctx), void *ctx)
{
    double *d = calloc((size_t)n + 1, sizeof *d);
    for (int64_t i = 0; i < n; i++) {
        const double keep = x[i], step = 1e-5 * (1 + fabs(keep));
        double up, down;
        x[i] = keep + step;
        up = f(ctx);
        x[i] = keep - step;
        down = f(ctx);
        x[i] = keep;
        d[i] = (up - down) / (2 * step);
    }
    return d;
}

double ulps(float got, double exact)
{
    const float rounded = (float)exact;
    int exponent;
    if ((double)got == exact || got == rounded || (isnan(got) && isnan(exact)))
        return 0;
    if (isnan(got) || isnan(exact) || isinf(got) || isinf(rounded))
        return HUGE_VAL;
    (void)frexp(exact, &exponent);
    exponent = exponent < -125 ? -125 : exponent; /* below: spacing of subnormals */
    return fabs((double)got - exact) / ldexp(1, exponent - 24);
}
