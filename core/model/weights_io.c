/*
 * weights_io.c - one weight's numbers: from a file or at random to the device, and back.
 *
 * A tensor goes up in pieces from the mapped file, so that the host holds one piece, or one
 * matrix where the format is packed and must see all of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/weights_io.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/safetensors.h"

#define PIECE ((int64_t)1 << 22) /* elements converted at a time */
#define GRAIN ((int64_t)1 << 16) /* of them for a thread */

/* clang-format off */
/* Formats whose one plane is the matrix itself. */
static const struct { const char *name; uint32_t dtype; } dense[] = {
    { "fp32", HONE_F32 }, { "fp16", HONE_F16 }, { "bf16", HONE_BF16 },
};
/* clang-format on */

const char *dense_format(uint32_t dtype)
{
    for (size_t i = 0; i < sizeof dense / sizeof dense[0]; i++)
        if (dense[i].dtype == dtype)
            return dense[i].name;
    return NULL;
}

uint64_t weight_load_bytes(const weight *w)
{
    const uint64_t n = (uint64_t)(w->w.rows * w->w.cols), piece = n < PIECE ? n : (uint64_t)PIECE;
    if (!w->dense)
        return n * sizeof(float) + w->bytes;
    return piece * (sizeof(float) + (w->dense == HONE_F32 ? 0 : hone_dtype_size(w->dense)));
}

/* ----------------------------------------------------------------------- numbers */

typedef struct piece {
    const source *s;
    int64_t first;
    float *dst;
} piece;

static void piece_fill(void *arg, int64_t lo, int64_t hi)
{
    const piece *p = arg;
    const source *s = p->s;
    if (s->t) {
        (void)st_read_f32(s->t, p->first + lo, hi - lo, p->dst + lo); /* checked by check_tensor */
        return;
    }
    for (int64_t i = lo; i < hi; i++)
        p->dst[i] = (float)(s->deviation > 0 ? s->deviation * rng_normal(s->seed, s->stream,
                                                                         (uint64_t)(p->first + i))
                                             : s->constant);
}

static void source_read(const source *s, int64_t first, int64_t n, float *dst)
{
    piece p = { s, first, dst };
    parallel_for(n, GRAIN, piece_fill, &p);
}

/* Dense float32 of n elements to buf. */
static hone_status upload_f32(model *m, hone_buf buf, uint64_t offset, const source *s, int64_t n,
                              hone_error *err)
{
    if (s->t && s->t->dtype == HONE_F32)
        return ops_upload(m->o, buf, offset, s->t->p, s->t->bytes, err);
    const int64_t step = n < PIECE ? n : PIECE;
    float *staging = mem_new((size_t)step, sizeof *staging);
    if (!staging)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory to convert it");
    hone_status st = HONE_OK;
    for (int64_t i = 0; i < n && st == HONE_OK; i += step) {
        const int64_t k = n - i < step ? n - i : step;
        source_read(s, i, k, staging);
        st = ops_upload(m->o, buf, offset + (uint64_t)i * sizeof *staging, staging,
                        (uint64_t)k * sizeof *staging, err);
    }
    free(staging);
    return st;
}

/* ------------------------------------------------------------------------- narrow */

typedef struct narrowing {
    const float *from;
    uint8_t *to;
    uint32_t dtype;
} narrowing;

static void narrow_part(void *arg, int64_t lo, int64_t hi)
{
    const narrowing *x = arg;
    (void)st_write_f32(x->dtype, x->from + lo, hi - lo,
                       x->to + (uint64_t)lo * hone_dtype_size(x->dtype));
}

/* The first finite number of n that would become infinite; n: none. */
static int64_t find_too_large(const float *x, int64_t n, uint32_t dtype)
{
    /* half a unit above the largest finite number: from there on it is rounded up */
    const float limit = dtype == HONE_F16 ? 65520.0f : 0x1.ffp127f;
    for (int64_t i = 0; i < n; i++)
        if (fabsf(x[i]) >= limit && isfinite(x[i]))
            return i;
    return n;
}

/* 16 bits wide, n numbers to buf, rounded to nearest even. */
static hone_status upload_narrow(model *m, hone_buf buf, uint32_t dtype, const source *s, int64_t n,
                                 int64_t cols, hone_error *err)
{
    const uint64_t size = hone_dtype_size(dtype);
    const int64_t step = n < PIECE ? n : PIECE;
    if (s->t && s->t->dtype == dtype)
        return ops_upload(m->o, buf, 0, s->t->p, s->t->bytes, err);
    float *wide = mem_new((size_t)step, sizeof *wide);
    uint8_t *narrow = mem_new((size_t)step, size);
    hone_status st = HONE_OK;
    if (!wide || !narrow)
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory to convert it");
    for (int64_t i = 0; i < n && st == HONE_OK; i += step) {
        const int64_t k = n - i < step ? n - i : step;
        source_read(s, i, k, wide);
        const int64_t bad = find_too_large(wide, k, dtype);
        if (bad < k) {
            st = hone_fail(err, HONE_ERR_FORMAT,
                           "%g at row %lld, column %lld is beyond the numbers of %s; use %s",
                           (double)wide[bad], (long long)((i + bad) / cols),
                           (long long)((i + bad) % cols), dense_format(dtype),
                           dtype == HONE_F16 ? "bf16 or fp32" : "fp32");
            break;
        }
        parallel_for(k, GRAIN, narrow_part, &(narrowing){ wide, narrow, dtype });
        st = ops_upload(m->o, buf, (uint64_t)i * size, narrow, (uint64_t)k * size, err);
    }
    free(narrow);
    free(wide);
    return st;
}

/* ------------------------------------------------------------------------- packed */

uint64_t weight_plane_bytes(const weight *w, uint32_t k)
{
    return (uint64_t)hone_tensor_count(&w->w.plane[k]) * hone_dtype_size(w->w.plane[k].dtype);
}

/* The whole matrix through the plugin's quantize(). */
static hone_status upload_packed(model *m, weight *w, const source *s, hone_error *err)
{
    const int64_t n = w->w.rows * w->w.cols;
    const char *format;
    void *self, *plane[HONE_MAX_PLANES] = { NULL };
    const hone_weights *table = backend_format(m->backend, &format, &self);
    hone_status st = HONE_OK;
    float *full = mem_new((size_t)n, sizeof *full);
    bool ok = full != NULL;
    for (uint32_t k = 0; k < w->w.n_planes && ok; k++)
        ok = (plane[k] = mem_new(1, weight_plane_bytes(w, k))) != NULL;
    if (!ok) {
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory to convert %lld numbers", (long long)n);
        goto out;
    }
    source_read(s, 0, n, full);
    st = table->quantize(self, full, w->w.rows, w->w.cols, plane, err);
    for (uint32_t k = 0; k < w->w.n_planes && st == HONE_OK; k++)
        st =
            ops_upload(m->o, w->buf, w->w.plane[k].offset, plane[k], weight_plane_bytes(w, k), err);
    (void)mem_resident(); /* the highest point of loading */
out:
    for (uint32_t k = 0; k < HONE_MAX_PLANES; k++)
        free(plane[k]);
    free(full);
    return st;
}

static hone_status upload_planes(model *m, weight *w, const source *s, hone_error *err)
{
    hone_status st = HONE_OK;
    for (uint32_t k = 0; k < w->w.n_planes && st == HONE_OK; k++)
        st =
            ops_upload(m->o, w->buf, w->w.plane[k].offset, s->plane[k]->p, s->plane[k]->bytes, err);
    return st;
}

/* -------------------------------------------------------------------------- store */

hone_status weight_store(model *m, weight *w, const source *s, hone_error *err)
{
    const int64_t n = w->w.rows * w->w.cols;
    const bool trains = w->value.buf != 0; /* a parameter: what is planned here is its copy */
    hone_status st = HONE_OK;
    if (w->bytes)
        st = model_alloc(m, &w->buf, w->bytes, err);
    if (st != HONE_OK)
        return st;
    for (uint32_t k = 0; k < w->w.n_planes && w->bytes; k++)
        w->w.plane[k].buf = w->buf;
    if (trains && !w->bytes)
        w->w.plane[0] = w->value;
    else if (w->dense == HONE_F32)
        w->value = w->w.plane[0];
    if (w->value.buf)
        return upload_f32(m, w->value.buf, w->value.offset, s, n, err);
    if (w->dense)
        return upload_narrow(m, w->buf, w->dense, s, n, w->w.cols, err);
    return s->plane[0] ? upload_planes(m, w, s, err) : upload_packed(m, w, s, err);
}

hone_status weights_refresh(model *m, hone_error *err)
{
    hone_status st = HONE_OK;
    for (int64_t i = 0; i < m->c.layers * W_COUNT && st == HONE_OK; i++) {
        const weight *w = &m->weights[i];
        if (w->value.buf && w->buf && w->w.plane[0].dtype != HONE_F32)
            st = ops_copy(m->o, w->w.plane[0], w->value, err);
    }
    return st;
}

/* --------------------------------------------------------------------------- back */

void weight_plane_name(char *out, size_t size, const model *m, const weight *w, uint32_t k,
                       const char *name)
{
    hone_planes planes = { .struct_size = sizeof planes };
    const char *format;
    void *self;
    const hone_weights *table = backend_format(m->backend, &format, &self);
    hone_error err;
    if (table->layout(self, w->w.rows, w->w.cols, &planes, &err) != HONE_OK)
        planes.plane[k].name[0] = 0; /* it could when the weight was planned */
    (void)snprintf(out, size, "%s.%s", name, planes.plane[k].name);
}

hone_status weight_download_plane(const model *m, const weight *w, uint32_t k, void *dst,
                                  hone_error *err)
{
    const hone_tensor *t = &w->w.plane[k];
    return ops_download(m->o, dst, t->buf, t->offset, weight_plane_bytes(w, k), err);
}

hone_status weight_download(const model *m, const weight *w, float *dst, hone_error *err)
{
    const int64_t n = w->w.rows * w->w.cols;
    void *plane[HONE_MAX_PLANES] = { NULL };
    const char *format;
    void *self;
    const hone_weights *table = backend_format(m->backend, &format, &self);
    if (w->value.buf)
        return ops_download(m->o, dst, w->value.buf, w->value.offset, (uint64_t)n * sizeof *dst,
                            err);
    hone_status st = HONE_OK;
    for (uint32_t k = 0; k < w->w.n_planes && st == HONE_OK; k++) {
        plane[k] = mem_new(1, weight_plane_bytes(w, k));
        st = plane[k] ? weight_download_plane(m, w, k, plane[k], err)
                      : hone_fail(err, HONE_ERR_NOMEM, "model: no memory to read a weight back");
    }
    if (st == HONE_OK && w->dense) {
        const st_tensor t = { .dtype = w->dense, .p = plane[0], .bytes = weight_plane_bytes(w, 0) };
        (void)st_read_f32(&t, 0, n, dst); /* the type was planned */
    } else if (st == HONE_OK) {
        st = table->dequantize(self, (const void *const *)plane, w->w.rows, w->w.cols, dst, err);
    }
    for (uint32_t k = 0; k < HONE_MAX_PLANES; k++)
        free(plane[k]);
    return st;
}
