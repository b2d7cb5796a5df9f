/*
 * optimizer_sgd.c - the smallest optimizer: SGD with momentum. Copy it and change it.
 *
 *     cc -std=c11 -O2 -Wall -fPIC -shared -fvisibility=hidden $(pkg-config --cflags hone-sdk) \
 *        -Wl,-z,now,-z,defs,--version-script=$(pkg-config --variable=mapfile hone-sdk) \
 *        optimizer_sgd.c -o sgd.so
 *
 * An optimizer is data: the state it keeps per parameter, and a program that the
 * device runs once per element. There is no loop here and no device code; the
 * host places the state, pages it, saves it and resumes it.
 *
 *     m = momentum m + (g + decay w)
 *     w = w - lr m
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <hone/ew.h>
#include <hone/optimizer.h>
#include <hone/plugin.h>

typedef struct config {
    double momentum;
} config;

static const hone_option options[] = {
    HONE_ROW_F64(config, momentum, 0, 1, "0.9", "share of the last step kept in the next"),
    HONE_OPTIONS_END,
};

/* Scalars of a step. 0 is the host's: the factor that clips the gradient. */
enum { GRAD_SCALE = HONE_OPT_PARAM_GRAD_SCALE, LR, MOMENTUM, DECAY, N_PARAMS };

/* Buffers, in the order of hone/optimizer.h. */
enum { W = HONE_OPT_BUF_PARAM, G = HONE_OPT_BUF_GRAD, M = HONE_OPT_BUF_STATE0, N_BUFS };

/* One instruction per line; each register is written once. */
/* clang-format off */
static const hone_ew_insn insns[] = {
    HONE_EW0I(LOAD, 0, W),
    HONE_EW0I(LOAD, 1, G),
    HONE_EW0I(LOAD, 2, M),
    HONE_EW0I(PARAM, 3, GRAD_SCALE),
    HONE_EW0I(PARAM, 4, LR),
    HONE_EW0I(PARAM, 5, MOMENTUM),
    HONE_EW0I(PARAM, 6, DECAY),
    HONE_EW2(MUL, 7, 1, 3),      /* g = clipped gradient   */
    HONE_EW3(FMA, 8, 6, 0, 7),   /* g + decay w            */
    HONE_EW3(FMA, 9, 5, 2, 8),   /* m' = momentum m + that */
    HONE_EW_ST(M, 9),
    HONE_EW2(MUL, 10, 4, 9),     /* lr m'                  */
    HONE_EW2(SUB, 11, 0, 10),
    HONE_EW_ST(W, 11),
};
/* clang-format on */

static const hone_ew_program update = {
    .struct_size = sizeof update,
    .n_insns = sizeof insns / sizeof insns[0],
    .n_regs = 12,
    .n_bufs = N_BUFS,
    .n_params = N_PARAMS,
    .insns = insns,
    .name = "sgd",
};

static hone_status create(const hone_host *host, const void *settings, void **self, hone_error *err)
{
    (void)host;
    (void)err;
    *self = (void *)(uintptr_t)settings; /* lives until destroy() */
    return HONE_OK;
}

static void destroy(void *self)
{
    (void)self;
}

static hone_status states(void *self, const hone_state **out, uint32_t *n, hone_error *err)
{
    static const hone_state momentum = { .name = "m", .format = "f32", .flags = HONE_STATE_PAGED };
    (void)self;
    (void)err;
    *out = &momentum;
    *n = 1;
    return HONE_OK;
}

static hone_status program(void *self, const hone_ew_program **out, hone_error *err)
{
    (void)self;
    (void)err;
    *out = &update;
    return HONE_OK;
}

static hone_status scalars(void *self, const hone_step_info *info, float *params, uint32_t n_params,
                           hone_error *err)
{
    const config *c = (const config *)self;
    if (n_params < N_PARAMS)
        return hone_fail(err, HONE_ERR_ARG, "sgd: %u scalars, %d are needed", (unsigned)n_params,
                         N_PARAMS);
    params[LR] = (float)info->lr;
    params[MOMENTUM] = (float)c->momentum;
    params[DECAY] = (float)info->weight_decay;
    return HONE_OK;
}

static const hone_optimizer optimizer = {
    .struct_size = sizeof optimizer,
    .create = create,
    .destroy = destroy,
    .states = states,
    .program = program,
    .scalars = scalars,
};

static const hone_component sgd = {
    .struct_size = sizeof sgd,
    .flags = HONE_COMPONENT_DETERMINISTIC,
    .kind = HONE_KIND_OPTIMIZER,
    .name = "sgd",
    .summary = "stochastic gradient descent with momentum",
    .ops = &optimizer,
    .options = options,
    .config_size = sizeof(config),
};

static const hone_component *const components[] = { &sgd };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "com.example.sgd",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};

HONE_PLUGIN_NOTE("com.example.sgd", "1.0.0", 1, HONE_NOTE_ROW(HONE_KIND_OPTIMIZER, "sgd", ""));
HONE_PLUGIN_ENTRY(&plugin)
