/*
 * fake_weights.c - a packed weight format for tests: bytes with one scale per 64 numbers.
 *
 *   code = round(x / scale) + 128, scale = largest |x| of the block / 127
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "hone/hone.h"

#define BLOCK 64

static hone_status create(const hone_host *host, const void *config, void **self, hone_error *err)
{
    static int nothing;
    (void)host, (void)config, (void)err;
    *self = &nothing;
    return HONE_OK;
}

static void destroy(void *self)
{
    (void)self;
}

static hone_status layout(void *self, int64_t rows, int64_t cols, hone_planes *planes,
                          hone_error *err)
{
    (void)self, (void)err;
    planes->n = 2;
    planes->plane[0] = (hone_plane){ "codes", HONE_U8, 0, rows * cols };
    planes->plane[1] = (hone_plane){ "scales", HONE_F32, 0, (rows * cols + BLOCK - 1) / BLOCK };
    return HONE_OK;
}

static hone_status quantize(void *self, const float *src, int64_t rows, int64_t cols,
                            void *const *plane, hone_error *err)
{
    uint8_t *codes = plane[0];
    float *scales = plane[1];
    (void)self, (void)err;
    for (int64_t i = 0; i < rows * cols; i += BLOCK) {
        const int64_t end = i + BLOCK < rows * cols ? i + BLOCK : rows * cols;
        float largest = 0;
        for (int64_t k = i; k < end; k++)
            largest = fmaxf(largest, fabsf(src[k]));
        scales[i / BLOCK] = largest / 127;
        for (int64_t k = i; k < end; k++)
            codes[k] = (uint8_t)(largest > 0 ? lrintf(src[k] / (largest / 127)) + 128 : 128);
    }
    return HONE_OK;
}

static hone_status dequantize(void *self, const void *const *plane, int64_t rows, int64_t cols,
                              float *dst, hone_error *err)
{
    const uint8_t *codes = plane[0];
    const float *scales = plane[1];
    (void)self, (void)err;
    for (int64_t i = 0; i < rows * cols; i++)
        dst[i] = ((float)codes[i] - 128) * scales[i / BLOCK];
    return HONE_OK;
}

static const hone_ew_program *decode(void *self)
{
    static const hone_ew_insn insns[] = {
        { .op = HONE_EW_BITS, .dst = 0, .idx = 0, .aux = 8 },
        HONE_EW0C(1, 128),
        HONE_EW2(SUB, 2, 0, 1),
        { .op = HONE_EW_LOADB, .dst = 3, .idx = 1, .aux = 6 },
        HONE_EW2(MUL, 4, 2, 3),
        HONE_EW_ST(2, 4),
    };
    static const hone_ew_program program = { .struct_size = sizeof program,
                                             .n_insns = 6,
                                             .n_regs = 5,
                                             .n_bufs = 3,
                                             .insns = insns,
                                             .name = "blocks8" };
    (void)self;
    return &program;
}

static const hone_weights table = {
    .struct_size = sizeof table,
    .create = create,
    .destroy = destroy,
    .layout = layout,
    .quantize = quantize,
    .dequantize = dequantize,
    .decode = decode,
};

static const hone_component blocks8 = { .struct_size = sizeof blocks8,
                                        .kind = HONE_KIND_WEIGHTS,
                                        .name = "blocks8",
                                        .summary = "bytes with a scale per 64, for tests",
                                        .ops = &table };
static const hone_component *const components[] = { &blocks8 };
static const hone_plugin plugin = { .struct_size = sizeof plugin,
                                    HONE_PLUGIN_ABI,
                                    .id = "test.weights",
                                    .version = "1.0.0",
                                    .license = "Apache-2.0",
                                    .components = components,
                                    .n_components = 1 };
HONE_PLUGIN_NOTE("test.weights", "1.0.0", 1, HONE_NOTE_ROW(HONE_KIND_WEIGHTS, "blocks8", ""));
HONE_PLUGIN_ENTRY(&plugin)
