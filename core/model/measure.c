/*
 * measure.c - how fast a backend is: products, attention, memory; a second or two.
 *
 * Each figure is the best of a few repetitions on random numbers. Products with stored
 * weights are measured in the backend's own format, at three widths.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "core/model/impl.h"

#define TOKENS 512
#define HEADS 8
#define HEAD_DIM 64
#define STREAM ((int64_t)1 << 24) /* elements: beyond any cache */
#define SECONDS 0.06              /* for a figure, at least two repetitions */

const int64_t speed_widths[SPEED_WIDTHS] = { 256, 1024, 2048 };

typedef struct bench {
    ops *o;
    hone_buf buf;   /* owned: x, y, ... as floats */
    hone_buf store; /* owned: planes */
    hone_weight w;
    hone_tensor x, y, dense, thin;
    hone_attention_args attention;
    bool back;
} bench;

typedef hone_status work(bench *b, hone_error *err);

/* Seconds of one call, the fastest of those that fit into SECONDS. */
static hone_status timed(bench *b, work *f, double *seconds, hone_error *err)
{
    double best = 1e30, began = clock_now(), spent = 0;
    int n = 0;
    hone_status st = f(b, err); /* warm: packed copies, scratch */
    if (st == HONE_OK)
        st = ops_sync(b->o, err);
    while (st == HONE_OK && (n < 2 || (spent < SECONDS && n < 50))) {
        const double at = clock_now();
        st = f(b, err);
        if (st == HONE_OK)
            st = ops_sync(b->o, err);
        const double took = clock_now() - at;
        best = took < best ? took : best;
        spent = clock_now() - began;
        n++;
    }
    *seconds = best > 1e-9 ? best : 1e-9;
    return st;
}

static hone_status linear(bench *b, hone_error *err)
{
    return ops_linear(
        b->o, (hone_linear_args){ .transpose = b->back, .w = &b->w, .x = b->x, .y = b->y }, err);
}

static hone_status weight_gradient(bench *b, hone_error *err)
{
    return ops_gemm(b->o, true, false, 1, b->y, b->x, 1, b->dense, err);
}

static hone_status thin(bench *b, hone_error *err)
{
    return ops_gemm(b->o, false, true, 1, b->x, b->thin, 0, b->y, err);
}

static hone_status add(bench *b, hone_error *err)
{
    return ops_add(b->o, b->y, 0.5f, b->x, err);
}

static hone_status attend(bench *b, hone_error *err)
{
    return b->back ? ops_attention_bwd(b->o, b->attention, err)
                   : ops_attention(b->o, b->attention, err);
}

/* Random numbers of the backend's format as a (width, width) weight. */
static hone_status make_weight(bench *b, const backend *from, const float *numbers, int64_t width,
                               hone_error *err)
{
    const char *format;
    void *self, *plane[HONE_MAX_PLANES] = { NULL };
    const hone_weights *table = backend_format(from, &format, &self);
    hone_planes planes = { .struct_size = sizeof planes };
    uint64_t bytes = 0;
    hone_status st = table->layout(self, width, width, &planes, err);
    b->w = (hone_weight){ .struct_size = sizeof b->w,
                          .n_planes = planes.n,
                          .format = format,
                          .rows = width,
                          .cols = width };
    for (uint32_t k = 0; k < planes.n && st == HONE_OK; k++) {
        const hone_plane *p = &planes.plane[k];
        const uint64_t n = (uint64_t)p->count * hone_dtype_size(p->dtype);
        b->w.plane[k] = k == 0 && table->dense
                            ? hone_tensor_2d(0, bytes, table->dense, width, width)
                            : hone_tensor_1d(0, bytes, p->dtype, p->count);
        bytes += (n + 255) / 256 * 256;
        plane[k] = mem_new(1, n);
        if (!plane[k])
            st = hone_fail(err, HONE_ERR_NOMEM, "no memory to measure");
    }
    if (st == HONE_OK)
        st = table->quantize(self, numbers, width, width, plane, err);
    ops_free(b->o, b->store);
    b->store = 0;
    if (st == HONE_OK)
        st = ops_alloc(b->o, &b->store, bytes, err);
    for (uint32_t k = 0; k < planes.n && st == HONE_OK; k++) {
        hone_tensor *t = &b->w.plane[k];
        t->buf = b->store;
        st = ops_upload(b->o, t->buf, t->offset, plane[k],
                        (uint64_t)hone_tensor_count(t) * hone_dtype_size(t->dtype), err);
    }
    for (uint32_t k = 0; k < HONE_MAX_PLANES; k++)
        free(plane[k]);
    return st;
}

static hone_status measure_products(bench *b, const backend *from, const float *numbers, speed *out,
                                    hone_error *err)
{
    hone_status st = HONE_OK;
    for (int i = 0; i < SPEED_WIDTHS && st == HONE_OK; i++) {
        const int64_t w = speed_widths[i];
        const uint64_t side = (uint64_t)(TOKENS * w) * sizeof(float);
        const double flop = 2.0 * TOKENS * (double)w * (double)w;
        double seconds = 1;
        b->x = hone_tensor_2d(b->buf, 0, HONE_F32, TOKENS, w);
        b->y = hone_tensor_2d(b->buf, side, HONE_F32, TOKENS, w);
        b->dense = hone_tensor_2d(b->buf, 2 * side, HONE_F32, w, w);
        st = make_weight(b, from, numbers, w, err);
        for (int k = 0; k < 2 && st == HONE_OK; k++) {
            b->back = k == 1;
            st = timed(b, linear, &seconds, err);
            (k ? out->linear_back : out->linear)[i] = flop / seconds;
        }
        if (st == HONE_OK)
            st = timed(b, weight_gradient, &seconds, err);
        out->gradient[i] = flop / seconds;
        if (w != 1024 || st != HONE_OK)
            continue;
        b->thin = hone_tensor_2d(b->buf, 2 * side, HONE_F32, 16, w);
        b->y = hone_tensor_2d(b->buf, side, HONE_F32, TOKENS, 16);
        st = timed(b, thin, &seconds, err);
        out->thin = 2.0 * TOKENS * 16 * (double)w / seconds;
    }
    return st;
}

static hone_status measure_attention(bench *b, speed *out, hone_error *err)
{
    const int64_t shape[3] = { TOKENS, HEADS, HEAD_DIM }, lse[3] = { 2, HEADS, TOKENS };
    const uint64_t each = TOKENS * HEADS * HEAD_DIM * sizeof(float);
    /* causal: half of the pairs, a product each for scores and sums */
    const double flop = 2.0 * TOKENS * TOKENS * HEADS * HEAD_DIM;
    int32_t ends[2 * TOKENS + 2] = { 0, TOKENS };
    hone_tensor t[8];
    double seconds = 1;
    for (uint64_t i = 0; i < 8; i++)
        t[i] = hone_tensor_dense(b->buf, i * each, HONE_F32, 3, shape);
    for (int32_t i = 0; i < TOKENS; i++) {
        ends[2 + i] = 0;
        ends[2 + TOKENS + i] = i;
    }
    hone_status st = ops_upload(b->o, b->buf, 9 * each, ends, sizeof ends, err);
    b->attention = (hone_attention_args){
        .scale = 0.125f,
        .n_sequences = 1,
        .max_q = TOKENS,
        .max_k = TOKENS,
        .q = t[0],
        .k = t[1],
        .v = t[2],
        .o = t[3],
        .d_o = t[4],
        .dq = t[5],
        .dk = t[6],
        .dv = t[7],
        .lse = hone_tensor_dense(b->buf, 8 * each, HONE_F32, 3, lse),
        .cu_q = hone_tensor_1d(b->buf, 9 * each, HONE_I32, 2),
        .cu_k = hone_tensor_1d(b->buf, 9 * each, HONE_I32, 2),
        .first_key = hone_tensor_1d(b->buf, 9 * each + 8, HONE_I32, TOKENS),
        .last_key = hone_tensor_1d(b->buf, 9 * each + 8 + 4 * TOKENS, HONE_I32, TOKENS),
    };
    b->back = false;
    if (st == HONE_OK)
        st = timed(b, attend, &seconds, err);
    out->attention = flop / seconds;
    b->back = true;
    if (st == HONE_OK)
        st = timed(b, attend, &seconds, err);
    out->attention_back = 2.5 * flop / seconds;
    return st;
}

hone_status backend_measure(const backend *from, speed *out, hone_error *err)
{
    const int64_t widest = speed_widths[SPEED_WIDTHS - 1];
    bench b = { .o = backend_ops(from) };
    speed got = { 0 };
    double seconds = 1;
    float *numbers = mem_new((size_t)(widest * widest), sizeof *numbers);
    hone_status st = HONE_OK;
    if (!numbers || !b.o) {
        st = hone_fail(err, HONE_ERR_NOMEM, "backend %s: nothing to measure with",
                       backend_spec(from));
        goto out;
    }
    for (int64_t i = 0; i < widest * widest; i++)
        numbers[i] = (float)(rng_uniform(1, 2, (uint64_t)i) - 0.5) * 0.1f;
    st = ops_alloc(b.o, &b.buf, 2 * STREAM * sizeof(float), err);
    if (st == HONE_OK)
        st = ops_fill(b.o, hone_tensor_1d(b.buf, 0, HONE_F32, 2 * STREAM), 0.01, err);
    if (st == HONE_OK)
        st = measure_products(&b, from, numbers, &got, err);
    if (st == HONE_OK)
        st = measure_attention(&b, &got, err);
    b.x = hone_tensor_1d(b.buf, 0, HONE_F32, STREAM);
    b.y = hone_tensor_1d(b.buf, STREAM * sizeof(float), HONE_F32, STREAM);
    if (st == HONE_OK)
        st = timed(&b, add, &seconds, err);
    got.bytes = 3.0 * STREAM * sizeof(float) / seconds;
    if (st == HONE_OK)
        *out = got;
out:
    if (b.o) {
        ops_free(b.o, b.buf);
        ops_free(b.o, b.store);
    }
    free(numbers);
    return st;
}
