/*
 * nf4.c - four-bit NormalFloat with double quantization (Dettmers et al. 2023, QLoRA).
 *
 * A block of 64 weights, flat in row-major order, shares a scale, the largest |w| of it.
 * The scales, less their mean, are kept in eight bits, 256 of them to a scale of their own.
 * Codes and blocks' scales are those of bitsandbytes 0.50.2 on a CPU, to the bit, and so
 * are the scales' codes for the same mean. What is peculiar there is peculiar here:
 *  - a whole block multiplies by 1 / scale, a last, shorter one divides;
 *  - a scale is put on a grid of 65536 points before the nearest code is looked for.
 * The layout: hone/nf4.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <float.h>
#include <math.h>

#include "hone/nf4.h"
#include "hone/plugin.h"
#include "hone/weights.h"

enum { CODES, SCALES, NESTED, OFFSET, N_PLANES };

#define BLOCK HONE_NF4_BLOCK
#define NEST HONE_NF4_NEST
#define TINY 1e-38f /* no scale is below it but 0 */
#define GRAIN 256   /* blocks for a thread */

/* What create() gives; nothing in it changes. */
typedef struct state {
    const hone_host *host; /* borrowed */
    float middle[255];     /* between two codes of a scale */
    float lut[16 + 256];   /* of the decode program: values, then scales */
    hone_ew_program program;
} state;

static int64_t blocks_of(int64_t n)
{
    return n / BLOCK + (n % BLOCK != 0);
}

/* -------------------------------------------------------------------------- a block */

/* Code of x in [-1, 1]: how many of the middles between two values lie below it. */
static inline uint8_t code_of(float x)
{
    uint8_t code = 0;
    for (int i = 0; i < 15; i++)
        code = (uint8_t)(code + (x > (hone_nf4_value[i] + hone_nf4_value[i + 1]) / 2));
    return code;
}

typedef struct job {
    const state *s;
    const float *from;
    uint8_t *codes;
    float *largest; /* of each block */
    int64_t n;
} job;

static void quantize_blocks(void *arg, int64_t lo, int64_t hi)
{
    const job *j = arg;
    for (int64_t b = lo; b < hi; b++) {
        const float *x = j->from + b * BLOCK;
        const int64_t left = j->n - b * BLOCK, n = left < BLOCK ? left : BLOCK;
        uint8_t code[BLOCK + 1];
        float largest = 0, inverse;
        int bad = 0;
        for (int64_t i = 0; i < n; i++) {
            largest = fmaxf(largest, fabsf(x[i]));
            bad |= !(fabsf(x[i]) <= FLT_MAX);
        }
        if (bad)
            largest = NAN;
        j->largest[b] = n < BLOCK && largest < TINY ? TINY : largest;
        inverse = 1 / (largest < TINY ? TINY : largest);
        if (n == BLOCK)
            for (int64_t i = 0; i < BLOCK; i++)
                code[i] = code_of(x[i] * inverse);
        else
            for (int64_t i = 0; i < n; i++)
                code[i] = code_of(x[i] / j->largest[b]);
        code[n] = 7; /* beyond an odd number of weights: the code of 0 */
        for (int64_t i = 0; i < n; i += 2)
            j->codes[(b * BLOCK + i) / 2] = (uint8_t)(code[i] << 4 | code[i + 1]);
    }
}

static float scale_at(const state *s, const void *const *plane, int64_t b)
{
    const uint8_t *scales = plane[SCALES];
    const float *nested = plane[NESTED], *offset = plane[OFFSET];
    return s->lut[16 + scales[b]] * nested[b / NEST] + *offset;
}

static void dequantize_blocks(void *arg, int64_t lo, int64_t hi)
{
    const struct {
        const state *s;
        const void *const *plane;
        float *to;
        int64_t n;
    } *j = arg;
    const uint8_t *codes = j->plane[CODES];
    for (int64_t b = lo; b < hi; b++) {
        const int64_t end = (b + 1) * BLOCK < j->n ? (b + 1) * BLOCK : j->n;
        const float scale = scale_at(j->s, j->plane, b);
        for (int64_t i = b * BLOCK; i < end; i++)
            j->to[i] = hone_nf4_value[codes[i / 2] >> (i % 2 ? 0 : 4) & 15] * scale;
    }
}

/* ----------------------------------------------------------------------- the scales */

/* The code nearest to x in [-1, 1] after x was put on the grid. */
static uint8_t nearest(const state *s, float x)
{
    const int k = (int)fmaf((x + 1) * 0.5f, 65535, 0.5f);
    const float y = 2 * (float)(k < 0 ? 0 : k > 65535 ? 65535 : k) / 65535 - 1;
    int lo = 0, hi = 255; /* the first middle that is not below y lies in [lo, hi] */
    while (lo < hi) {
        const int at = (lo + hi) / 2;
        if (s->middle[at] < y)
            lo = at + 1;
        else
            hi = at;
    }
    return (uint8_t)lo;
}

static float mean(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i];
    return n ? (float)(sum / (double)n) : 0;
}

/* largest (blocks) less offset becomes planes 1 and 2. */
static void quantize_scales(const state *s, const float *largest, int64_t blocks, float offset,
                            uint8_t *codes, float *nested)
{
    for (int64_t b = 0; b < blocks; b += NEST) {
        const int64_t end = b + NEST < blocks ? b + NEST : blocks;
        float most = 0, inverse;
        for (int64_t i = b; i < end; i++)
            most = fmaxf(most, fabsf(largest[i] - offset));
        nested[b / NEST] = most;
        inverse = 1 / most;
        for (int64_t i = b; i < end; i++)
            codes[i] = most > 0 ? nearest(s, (largest[i] - offset) * inverse) : 0;
    }
}

/* ------------------------------------------------------------------------ the table */

/* clang-format off */
static const hone_ew_insn insns[] = {
    { .op = HONE_EW_BITS, .dst = 0, .idx = CODES, .aux = 4 }, HONE_EW1(LUT, 1, 0),
    { .op = HONE_EW_LOADB, .dst = 2, .idx = SCALES, .aux = 6 },
    { .op = HONE_EW_LUT, .dst = 3, .a = 2, .idx = 16 },
    { .op = HONE_EW_LOADB, .dst = 4, .idx = NESTED, .aux = 14 },
    HONE_EW0I(LOAD, 5, OFFSET),
    HONE_EW2(MUL, 6, 3, 4), HONE_EW2(ADD, 7, 6, 5), HONE_EW2(MUL, 8, 1, 7),
    HONE_EW_ST(N_PLANES, 8),
};
/* clang-format on */

static hone_status create(const hone_host *host, const void *config, void **self, hone_error *err)
{
    state *s = host->alloc(host, sizeof *s, 64, "weights");
    (void)config;
    if (!s)
        return hone_fail(err, HONE_ERR_NOMEM, "nf4: no memory");
    memset(s, 0, sizeof *s);
    s->host = host;
    memcpy(s->lut, hone_nf4_value, sizeof hone_nf4_value);
    for (uint32_t i = 0; i < 256; i++)
        s->lut[16 + i] = hone_nf4_scale(i);
    for (uint32_t i = 0; i < 255; i++)
        s->middle[i] = (s->lut[16 + i] + s->lut[17 + i]) * 0.5f;
    s->program = (hone_ew_program){ .struct_size = sizeof s->program,
                                    .n_insns = sizeof insns / sizeof *insns,
                                    .n_regs = 9,
                                    .n_bufs = N_PLANES + 1,
                                    .n_lut = 16 + 256,
                                    .insns = insns,
                                    .lut = s->lut,
                                    .name = "nf4" };
    *self = s;
    return HONE_OK;
}

static void destroy(void *self)
{
    state *s = self;
    if (s)
        s->host->free(s->host, s);
}

static hone_status layout(void *self, int64_t rows, int64_t cols, hone_planes *planes,
                          hone_error *err)
{
    int64_t n = 0;
    (void)self;
    if (rows < 0 || cols < 0 || __builtin_mul_overflow(rows, cols, &n) ||
        n > INT64_MAX - NEST * BLOCK)
        return hone_fail(err, HONE_ERR_ARG, "nf4: a matrix of %lld x %lld", (long long)rows,
                         (long long)cols);
    planes->n = N_PLANES;
    planes->plane[CODES] = (hone_plane){ "codes", HONE_U8, 0, n / 2 + n % 2 };
    planes->plane[SCALES] = (hone_plane){ "scales", HONE_U8, 0, blocks_of(n) };
    planes->plane[NESTED] = (hone_plane){ "nested", HONE_F32, 0, (blocks_of(n) + NEST - 1) / NEST };
    planes->plane[OFFSET] = (hone_plane){ "offset", HONE_F32, 0, 1 };
    return HONE_OK;
}

static hone_status quantize(void *self, const float *src, int64_t rows, int64_t cols,
                            void *const *plane, hone_error *err)
{
    const state *s = self;
    const int64_t n = rows * cols, blocks = blocks_of(n);
    float *largest =
        s->host->alloc(s->host, (uint64_t)(blocks + 1) * sizeof *largest, 64, "weights");
    job j = { s, src, plane[CODES], largest, n };
    hone_status st = HONE_OK;
    if (!largest)
        return hone_fail(err, HONE_ERR_NOMEM, "nf4: no memory for %lld scales", (long long)blocks);
    s->host->parallel_for(s->host, blocks, GRAIN, quantize_blocks, &j);
    for (int64_t b = 0; b < blocks && !st; b++)
        if (!isfinite(largest[b]))
            st = hone_fail(err, HONE_ERR_NUMERIC,
                           "nf4: infinity or NaN in row %lld, near column %lld; this format cannot "
                           "hold it",
                           (long long)(b * BLOCK / cols), (long long)(b * BLOCK % cols));
    if (!st) {
        const float offset = mean(largest, blocks);
        memcpy(plane[OFFSET], &offset, sizeof offset);
        quantize_scales(s, largest, blocks, offset, plane[SCALES], plane[NESTED]);
    }
    s->host->free(s->host, largest);
    return st;
}

static hone_status dequantize(void *self, const void *const *plane, int64_t rows, int64_t cols,
                              float *dst, hone_error *err)
{
    const state *s = self;
    struct {
        const state *s;
        const void *const *plane;
        float *to;
        int64_t n;
    } j = { s, plane, dst, rows * cols };
    (void)err;
    s->host->parallel_for(s->host, blocks_of(j.n), GRAIN, dequantize_blocks, &j);
    return HONE_OK;
}

static const hone_ew_program *decode(void *self)
{
    return &((const state *)self)->program;
}

static const hone_weights table = {
    .struct_size = sizeof table,
    .create = create,
    .destroy = destroy,
    .layout = layout,
    .quantize = quantize,
    .dequantize = dequantize,
    .decode = decode,
    .operands = HONE_BF16,
};

static const hone_component nf4 = {
    .struct_size = sizeof nf4,
    .flags = HONE_COMPONENT_THREADSAFE | HONE_COMPONENT_DETERMINISTIC,
    .kind = HONE_KIND_WEIGHTS,
    .name = "nf4",
    .summary = "four-bit NormalFloat as in QLoRA, 0.52 bytes per weight",
    .ops = &table,
};
static const hone_component *const components[] = { &nf4 };
static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.weights.nf4",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};
HONE_PLUGIN_NOTE("hone.weights.nf4", "0.1.0", 1, HONE_NOTE_ROW(HONE_KIND_WEIGHTS, "nf4", ""));
HONE_PLUGIN_ENTRY(&plugin)
