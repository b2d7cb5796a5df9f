/*
 * dense.c - the plain formats: one plane, the matrix itself, row-major.
 *
 * A family: each format is a row of `formats`, with a conversion in both
 * directions; a product with one needs no decoding.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "hone/plugin.h"
#include "hone/weights.h"

typedef struct format {
    const char *name;
    uint32_t dtype;
    void (*from_float)(void *to, const float *from, int64_t n);
    void (*to_float)(float *to, const void *from, int64_t n);
} format;

static void fp32_from(void *to, const float *from, int64_t n)
{
    memcpy(to, from, (size_t)n * sizeof *from);
}

static void fp32_to(float *to, const void *from, int64_t n)
{
    memcpy(to, from, (size_t)n * sizeof *to);
}

enum { FP32 };
static const format formats[] = {
    [FP32] = { "fp32", HONE_F32, fp32_from, fp32_to },
};

/* self is the row of the format: there is no other state. */
#define CREATE(ROW)                                                                         \
    static hone_status create_##ROW(const hone_host *host, const void *config, void **self, \
                                    hone_error *err)                                        \
    {                                                                                       \
        static const format *row = &formats[ROW];                                           \
        (void)host, (void)config, (void)err;                                                \
        *self = &row;                                                                       \
        return HONE_OK;                                                                     \
    }

CREATE(FP32)

static const format *row_of(void *self)
{
    return *(const format **)self;
}

static void destroy(void *self)
{
    (void)self; /* static */
}

static hone_status count(const format *f, int64_t rows, int64_t cols, int64_t *n, hone_error *err)
{
    int64_t bytes;
    if (rows < 0 || cols < 0 || __builtin_mul_overflow(rows, cols, n) ||
        __builtin_mul_overflow(*n, (int64_t)hone_dtype_size(f->dtype), &bytes))
        return hone_fail(err, HONE_ERR_ARG, "%s: a matrix of %lld x %lld", f->name, (long long)rows,
                         (long long)cols);
    return HONE_OK;
}

static hone_status layout(void *self, int64_t rows, int64_t cols, hone_planes *planes,
                          hone_error *err)
{
    const format *f = row_of(self);
    hone_plane plane = { .dtype = f->dtype };
    hone_status st = count(f, rows, cols, &plane.count, err);
    if (st)
        return st;
    (void)snprintf(plane.name, sizeof plane.name, "weight");
    planes->n = 1;
    planes->plane[0] = plane;
    return HONE_OK;
}

static hone_status quantize(void *self, const float *src, int64_t rows, int64_t cols,
                            void *const *plane, hone_error *err)
{
    const format *f = row_of(self);
    int64_t n = 0;
    hone_status st = count(f, rows, cols, &n, err);
    if (!st && n)
        f->from_float(plane[0], src, n);
    return st;
}

static hone_status dequantize(void *self, const void *const *plane, int64_t rows, int64_t cols,
                              float *dst, hone_error *err)
{
    const format *f = row_of(self);
    int64_t n = 0;
    hone_status st = count(f, rows, cols, &n, err);
    if (!st && n)
        f->to_float(dst, plane[0], n);
    return st;
}

#define TABLE(ROW, DTYPE)                     \
    static const hone_weights table_##ROW = { \
        .struct_size = sizeof(hone_weights),  \
        .dense = DTYPE,                       \
        .create = create_##ROW,               \
        .destroy = destroy,                   \
        .layout = layout,                     \
        .quantize = quantize,                 \
        .dequantize = dequantize,             \
    }

TABLE(FP32, HONE_F32);

static const hone_component fp32 = {
    .struct_size = sizeof fp32,
    .flags = HONE_COMPONENT_THREADSAFE | HONE_COMPONENT_DETERMINISTIC,
    .kind = HONE_KIND_WEIGHTS,
    .name = "fp32",
    .summary = "single precision, 4 bytes per weight",
    .ops = &table_FP32,
};
static const hone_component *const components[] = { &fp32 };
static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.weights.dense",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = sizeof components / sizeof *components,
};
HONE_PLUGIN_NOTE("hone.weights.dense", "0.1.0", 1, HONE_NOTE_ROW(HONE_KIND_WEIGHTS, "fp32", ""));
HONE_PLUGIN_ENTRY(&plugin)
