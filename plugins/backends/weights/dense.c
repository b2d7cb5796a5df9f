/*
 * dense.c - the plain formats: one plane, the matrix itself, row-major.
 *
 * A family: each format is a row of `formats`, with a conversion in both directions; a
 * product with one needs no decoding. Narrowing rounds to nearest even, keeps infinities
 * and NaN, and refuses a finite number that would become infinite.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "hone/plugin.h"
#include "hone/weights.h"

typedef struct format {
    const char *name, *remedy; /* what to do about a number that does not fit */
    uint32_t dtype;
    float largest; /* finite */
    void (*from_float)(void *to, const float *from, int64_t n);
    void (*to_float)(float *to, const void *from, int64_t n);
} format;

/* What create() gives; nothing in it changes. */
typedef struct state {
    const format *format;  /* static */
    const hone_host *host; /* borrowed */
} state;

/* -------------------------------------------------------------------- conversions */

static inline uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline float half_to(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u;
    const uint32_t fraction = h & 1023u;
    if (exponent == 31) /* infinity, NaN */
        return float_of(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) /* zero, subnormal: fraction 2^-24 */
        return float_of(sign | bits_of((float)fraction * 0x1p-24f));
    return float_of(sign | (exponent + 112u) << 23 | fraction << 13);
}

static inline uint16_t half_from(float x)
{
    const uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) /* NaN: the top of its payload, quiet */
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u) /* 65520 and above */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) /* below 2^-14: in units of 2^-24 */
        return (uint16_t)(sign | (uint32_t)rintf(float_of(magnitude) * 0x1p24f));
    return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13));
}

static inline uint16_t bfloat_from(float x)
{
    const uint32_t bits = bits_of(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline float bfloat_to(uint16_t h)
{
    return float_of((uint32_t)h << 16);
}

static void fp32_from(void *to, const float *from, int64_t n)
{
    memcpy(to, from, (size_t)n * sizeof *from);
}

static void fp32_to(float *to, const void *from, int64_t n)
{
    memcpy(to, from, (size_t)n * sizeof *to);
}

#define NARROW(NAME, FROM, TO)                                      \
    static void NAME##_from(void *to, const float *from, int64_t n) \
    {                                                               \
        uint16_t *half = to;                                        \
        for (int64_t i = 0; i < n; i++)                             \
            half[i] = FROM(from[i]);                                \
    }                                                               \
    static void NAME##_to(float *to, const void *from, int64_t n)   \
    {                                                               \
        const uint16_t *half = from;                                \
        for (int64_t i = 0; i < n; i++)                             \
            to[i] = TO(half[i]);                                    \
    }

NARROW(fp16, half_from, half_to)
NARROW(bf16, bfloat_from, bfloat_to)

/* clang-format off */
enum { FP32, FP16, BF16, N_FORMATS };
static const format formats[N_FORMATS] = {
    [FP32] = { "fp32", "", HONE_F32, INFINITY, fp32_from, fp32_to },
    [FP16] = { "fp16", "bf16 or fp32 hold it", HONE_F16, 65504, fp16_from, fp16_to },
    [BF16] = { "bf16", "fp32 holds it", HONE_BF16, 0x1.fep127f, bf16_from, bf16_to },
};
/* clang-format on */

/* ------------------------------------------------------------------------ the table */

static hone_status create(const hone_host *host, const format *row, void **self, hone_error *err)
{
    state *s = host->alloc(host, sizeof *s, 16, "weights");
    if (!s)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", row->name);
    *s = (state){ row, host };
    *self = s;
    return HONE_OK;
}

static void destroy(void *self)
{
    state *s = self;
    if (s)
        s->host->free(s->host, s);
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
    const format *f = ((const state *)self)->format;
    hone_plane plane = { .dtype = f->dtype };
    hone_status st = count(f, rows, cols, &plane.count, err);
    if (st)
        return st;
    (void)snprintf(plane.name, sizeof plane.name, "weight");
    planes->n = 1;
    planes->plane[0] = plane;
    return HONE_OK;
}

/* Both directions, cut over the host's threads. */
typedef struct conversion {
    const format *f;
    const float *from;
    float *to;
    void *plane;
    const void *stored;
} conversion;

static void narrow_part(void *arg, int64_t lo, int64_t hi)
{
    const conversion *c = arg;
    c->f->from_float((uint8_t *)c->plane + (uint64_t)lo * hone_dtype_size(c->f->dtype),
                     c->from + lo, hi - lo);
}

static void widen_part(void *arg, int64_t lo, int64_t hi)
{
    const conversion *c = arg;
    c->f->to_float(c->to + lo,
                   (const uint8_t *)c->stored + (uint64_t)lo * hone_dtype_size(c->f->dtype),
                   hi - lo);
}

#define GRAIN (1 << 16) /* elements */

/* The first finite number that would round to infinity; n: none. */
static int64_t find_too_large(const format *f, const float *src, int64_t n)
{
    /* half a unit of the last place above the largest: from there on it rounds up */
    const uint32_t limit = f->dtype == HONE_F16 ? 0x477ff000u : 0x7f7f8000u;
    int64_t bad = 0;
    for (int64_t i = 0; i < n; i++) {
        const uint32_t u = bits_of(src[i]) & 0x7fffffffu;
        bad += u >= limit && u < 0x7f800000u;
    }
    if (!bad)
        return n;
    for (int64_t i = 0; i < n; i++) {
        const uint32_t u = bits_of(src[i]) & 0x7fffffffu;
        if (u >= limit && u < 0x7f800000u)
            return i;
    }
    return n;
}

static hone_status quantize(void *self, const float *src, int64_t rows, int64_t cols,
                            void *const *plane, hone_error *err)
{
    const state *s = self;
    conversion c = { .f = s->format, .from = src, .plane = plane[0] };
    int64_t n = 0, at;
    hone_status st = count(s->format, rows, cols, &n, err);
    if (st || !n)
        return st;
    at = s->format->dtype == HONE_F32 ? n : find_too_large(s->format, src, n);
    if (at < n)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: %g at row %lld, column %lld is beyond %g, the largest number of the "
                         "format; %s",
                         s->format->name, (double)src[at], (long long)(at / cols),
                         (long long)(at % cols), (double)s->format->largest, s->format->remedy);
    s->host->parallel_for(s->host, n, GRAIN, narrow_part, &c);
    return HONE_OK;
}

static hone_status dequantize(void *self, const void *const *plane, int64_t rows, int64_t cols,
                              float *dst, hone_error *err)
{
    const state *s = self;
    conversion c = { .f = s->format, .to = dst, .stored = plane[0] };
    int64_t n = 0;
    hone_status st = count(s->format, rows, cols, &n, err);
    if (!st && n)
        s->host->parallel_for(s->host, n, GRAIN, widen_part, &c);
    return st;
}

#define FORMAT(ROW, NAME, DTYPE, SUMMARY)                                                   \
    static hone_status create_##ROW(const hone_host *host, const void *config, void **self, \
                                    hone_error *err)                                        \
    {                                                                                       \
        (void)config;                                                                       \
        return create(host, &formats[ROW], self, err);                                      \
    }                                                                                       \
    static const hone_weights table_##ROW = {                                               \
        .struct_size = sizeof(hone_weights),                                                \
        .dense = DTYPE,                                                                     \
        .create = create_##ROW,                                                             \
        .destroy = destroy,                                                                 \
        .layout = layout,                                                                   \
        .quantize = quantize,                                                               \
        .dequantize = dequantize,                                                           \
        .operands = DTYPE == HONE_BF16 ? HONE_BF16 : HONE_F32,                              \
    };                                                                                      \
    static const hone_component component_##ROW = {                                         \
        .struct_size = sizeof(hone_component),                                              \
        .flags = HONE_COMPONENT_THREADSAFE | HONE_COMPONENT_DETERMINISTIC,                  \
        .kind = HONE_KIND_WEIGHTS,                                                          \
        .name = NAME,                                                                       \
        .summary = SUMMARY,                                                                 \
        .ops = &table_##ROW,                                                                \
    }

FORMAT(FP32, "fp32", HONE_F32, "single precision, 4 bytes per weight");
FORMAT(FP16, "fp16", HONE_F16, "half precision, 2 bytes per weight, up to 65504");
FORMAT(BF16, "bf16", HONE_BF16, "bfloat16, 2 bytes per weight, the range of single precision");

static const hone_component *const components[] = { &component_FP32, &component_FP16,
                                                    &component_BF16 };
static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.weights.dense",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = sizeof components / sizeof *components,
};
HONE_PLUGIN_NOTE("hone.weights.dense", "0.1.0", 3, HONE_NOTE_ROW(HONE_KIND_WEIGHTS, "fp32", ""),
                 HONE_NOTE_ROW(HONE_KIND_WEIGHTS, "fp16", ""),
                 HONE_NOTE_ROW(HONE_KIND_WEIGHTS, "bf16", ""));
HONE_PLUGIN_ENTRY(&plugin)
