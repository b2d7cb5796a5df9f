/*
 * int8.c - one byte per weight and a scale per row: the weights of LLM.int8() (Dettmers et
 * al. 2022), rounded as bitsandbytes' int8_vectorwise_quant() does.
 *
 *   code = round to nearest even (w * (1 / s * 127)),  s = largest |w| of the row
 *   w    = code * s / 127
 *
 * A device with a kernel for the format multiplies bytes by bytes: rows of x are quantized
 * likewise, but for the columns with an outlier, |x| >= threshold, which are multiplied
 * apart, in 16 bits or better. Decode and dense product leave x as it is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <float.h>
#include <math.h>

#include "hone/plugin.h"
#include "hone/weights.h"

enum { CODES, SCALES, N_PLANES };

#define PER_CODE 7.874015718698502e-3f /* 1 / 127 */
#define GRAIN 16                       /* rows for a thread */

typedef struct config {
    double threshold;
} config;

typedef struct state {
    const hone_host *host; /* borrowed */
    float threshold;
} state;

static hone_status create(const hone_host *host, const void *options, void **self, hone_error *err)
{
    const config *c = options;
    state *s = host->alloc(host, sizeof *s, 16, "weights");
    if (!s)
        return hone_fail(err, HONE_ERR_NOMEM, "int8: no memory");
    *s = (state){ host, c ? (float)c->threshold : 6.0f };
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
    if (rows < 0 || cols < 0 || __builtin_mul_overflow(rows, cols, &n) || rows > INT64_MAX / 4)
        return hone_fail(err, HONE_ERR_ARG, "int8: a matrix of %lld x %lld", (long long)rows,
                         (long long)cols);
    planes->n = N_PLANES;
    planes->plane[CODES] = (hone_plane){ "codes", HONE_I8, 0, n };
    planes->plane[SCALES] = (hone_plane){ "scales", HONE_F32, 0, rows };
    return HONE_OK;
}

typedef struct job {
    const float *from;
    float *to;
    int8_t *codes;
    float *scales;
    int64_t cols;
} job;

static void quantize_rows(void *arg, int64_t lo, int64_t hi)
{
    const job *j = arg;
    for (int64_t r = lo; r < hi; r++) {
        const float *x = j->from + r * j->cols;
        int8_t *code = j->codes + r * j->cols;
        float largest = 0, factor;
        int bad = 0;
        for (int64_t i = 0; i < j->cols; i++) {
            largest = fmaxf(largest, fabsf(x[i]));
            bad |= !(fabsf(x[i]) <= FLT_MAX);
        }
        j->scales[r] = bad ? NAN : largest;
        factor = 1 / largest * 127;
        for (int64_t i = 0; i < j->cols; i++)
            code[i] = bad || !(largest > 0) ? 0
                      : isfinite(factor)    ? (int8_t)rintf(x[i] * factor)
                                            : (int8_t)rintf(x[i] / largest * 127);
    }
}

static void dequantize_rows(void *arg, int64_t lo, int64_t hi)
{
    const job *j = arg;
    for (int64_t r = lo; r < hi; r++)
        for (int64_t i = 0; i < j->cols; i++)
            j->to[r * j->cols + i] = (float)j->codes[r * j->cols + i] * j->scales[r] * PER_CODE;
}

static hone_status quantize(void *self, const float *src, int64_t rows, int64_t cols,
                            void *const *plane, hone_error *err)
{
    const state *s = self;
    job j = { .from = src, .codes = plane[CODES], .scales = plane[SCALES], .cols = cols };
    s->host->parallel_for(s->host, rows, GRAIN, quantize_rows, &j);
    for (int64_t r = 0; r < rows; r++)
        if (!isfinite(j.scales[r]))
            return hone_fail(err, HONE_ERR_NUMERIC,
                             "int8: infinity or NaN in row %lld; this format cannot hold it",
                             (long long)r);
    return HONE_OK;
}

static hone_status dequantize(void *self, const void *const *plane, int64_t rows, int64_t cols,
                              float *dst, hone_error *err)
{
    const state *s = self;
    union { /* only read */
        const void *in;
        void *p;
    } codes = { plane[CODES] }, scales = { plane[SCALES] };
    job j = { .to = dst, .codes = codes.p, .scales = scales.p, .cols = cols };
    (void)err;
    s->host->parallel_for(s->host, rows, GRAIN, dequantize_rows, &j);
    return HONE_OK;
}

static const hone_ew_program *decode(void *self)
{
    static const hone_ew_insn insns[] = {
        HONE_EW0I(LOAD, 0, CODES), HONE_EW0I(LOAD, 1, SCALES), HONE_EW2(MUL, 2, 0, 1),
        HONE_EW0C(3, PER_CODE),    HONE_EW2(MUL, 4, 2, 3),     HONE_EW_ST(N_PLANES, 4),
    };
    static const hone_ew_program program = { .struct_size = sizeof program,
                                             .n_insns = sizeof insns / sizeof *insns,
                                             .n_regs = 5,
                                             .n_bufs = N_PLANES + 1,
                                             .insns = insns,
                                             .name = "int8" };
    (void)self;
    return &program;
}

static void describe(void *self, hone_weight *w)
{
    w->outlier = ((const state *)self)->threshold;
}

static const hone_weights table = {
    .struct_size = sizeof table,
    .create = create,
    .destroy = destroy,
    .layout = layout,
    .quantize = quantize,
    .dequantize = dequantize,
    .decode = decode,
    .describe = describe,
    .operands = HONE_BF16,
};

static const hone_option options[] = {
    HONE_ROW_F64(config, threshold, 0, 1e6, "6",
                 "columns of a product's input with an |x| of this and more are multiplied in 16 "
                 "bits or better; 0: none"),
    HONE_OPTIONS_END,
};

static const hone_component int8 = {
    .struct_size = sizeof int8,
    .flags = HONE_COMPONENT_THREADSAFE | HONE_COMPONENT_DETERMINISTIC,
    .kind = HONE_KIND_WEIGHTS,
    .name = "int8",
    .summary = "a byte per weight and a scale per row, as in LLM.int8()",
    .ops = &table,
    .options = options,
    .config_size = sizeof(config),
};
static const hone_component *const components[] = { &int8 };
static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.weights.int8",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};
HONE_PLUGIN_NOTE("hone.weights.int8", "0.1.0", 1, HONE_NOTE_ROW(HONE_KIND_WEIGHTS, "int8", ""));
HONE_PLUGIN_ENTRY(&plugin)
