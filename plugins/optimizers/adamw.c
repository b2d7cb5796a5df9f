/*
 * adamw.c - AdamW: Adam with the weight decay kept out of the gradient.
 *
 * Loshchilov & Hutter 2017, algorithm 2, in the order of operations of
 * torch.optim.AdamW:
 *   g = grad * clip
 *   p = p (1 - lr wd)
 *   m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2
 *   p = p - (lr / (1 - b1^t)) m / (sqrt(v) / sqrt(1 - b2^t) + eps)
 * What depends on the step alone is computed in double, once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "hone/optimizer.h"
#include "hone/plugin.h"

typedef struct config {
    double beta1, beta2, eps;
} config;

static const hone_option options[] = {
    HONE_ROW_F64(config, beta1, 0, 0.999999, "0.9", "decay of the mean of gradients, per step"),
    HONE_ROW_F64(config, beta2, 0, 0.99999999, "0.999",
                 "decay of the mean of squared gradients, per step"),
    HONE_ROW_F64(config, eps, 0, 1, "1e-8", "added to the root of the mean square"),
    HONE_OPTIONS_END,
};

static const hone_state states[] = {
    { .name = "m", .format = "f32", .flags = HONE_STATE_PAGED },
    { .name = "v", .format = "f32", .flags = HONE_STATE_PAGED },
};

/* Parameters after the host's gradient factor. */
enum { BETA1 = 1, REST1, BETA2, REST2, KEEP, STEP, ROOT, EPS, N_PARAMS };

/* clang-format off */
static const hone_ew_insn code[] = {
    /* g = grad * clip; sqrt(v) / sqrt(1 - b2^t) as a division: torch's bits */
    HONE_EW0I(LOAD, 0, HONE_OPT_BUF_GRAD), HONE_EW0I(PARAM, 1, HONE_OPT_PARAM_GRAD_SCALE),
    HONE_EW2(MUL, 2, 0, 1),
    /* m = b1 m + (1 - b1) g */
    HONE_EW0I(LOAD, 3, HONE_OPT_BUF_STATE0), HONE_EW0I(PARAM, 4, BETA1), HONE_EW0I(PARAM, 5, REST1),
    HONE_EW2(MUL, 6, 3, 4), HONE_EW3(FMA, 7, 2, 5, 6),
    HONE_EW_ST(HONE_OPT_BUF_STATE0, 7),
    /* v = b2 v + (1 - b2) g g */
    HONE_EW0I(LOAD, 8, HONE_OPT_BUF_STATE0 + 1), HONE_EW0I(PARAM, 9, BETA2), HONE_EW0I(PARAM, 10, REST2),
    HONE_EW2(MUL, 11, 8, 9), HONE_EW2(MUL, 12, 2, 10), HONE_EW3(FMA, 13, 12, 2, 11),
    HONE_EW_ST(HONE_OPT_BUF_STATE0 + 1, 13),
    /* p (1 - lr wd) - step m / (sqrt(v) / root + eps) */
    HONE_EW0I(PARAM, 14, ROOT), HONE_EW0I(PARAM, 15, EPS), HONE_EW1(SQRT, 16, 13),
    HONE_EW2(DIV, 17, 16, 14), HONE_EW2(ADD, 18, 17, 15), HONE_EW2(DIV, 19, 7, 18),
    HONE_EW0I(LOAD, 20, HONE_OPT_BUF_PARAM), HONE_EW0I(PARAM, 21, KEEP), HONE_EW2(MUL, 22, 20, 21),
    HONE_EW0I(PARAM, 23, STEP), HONE_EW2(MUL, 24, 19, 23), HONE_EW2(SUB, 25, 22, 24),
    HONE_EW_ST(HONE_OPT_BUF_PARAM, 25),
};
/* clang-format on */

static const hone_ew_program program = {
    .struct_size = sizeof program,
    .n_insns = sizeof code / sizeof *code,
    .n_regs = 26,
    .n_bufs = 4,
    .n_params = N_PARAMS,
    .insns = code,
    .name = "adamw",
};

typedef struct adamw {
    const hone_host *host; /* borrowed */
    config c;
} adamw;

static hone_status create(const hone_host *host, const void *cfg, void **self, hone_error *err)
{
    adamw *a = host->alloc(host, sizeof *a, sizeof(void *), "adamw");
    if (!a)
        return hone_fail(err, HONE_ERR_NOMEM, "adamw: no memory for the optimizer");
    *a = (adamw){ .host = host, .c = *(const config *)cfg };
    *self = a;
    return HONE_OK;
}

static void destroy(void *self)
{
    adamw *a = self;
    if (a)
        a->host->free(a->host, a);
}

static hone_status get_states(void *self, const hone_state **rows, uint32_t *n, hone_error *err)
{
    (void)self, (void)err;
    *rows = states;
    *n = sizeof states / sizeof *states;
    return HONE_OK;
}

static hone_status get_program(void *self, const hone_ew_program **out, hone_error *err)
{
    (void)self, (void)err;
    *out = &program;
    return HONE_OK;
}

static hone_status scalars(void *self, const hone_step_info *info, float *params, uint32_t n_params,
                           hone_error *err)
{
    const config *c = &((const adamw *)self)->c;
    double t;
    if (n_params != N_PARAMS || info->step < 1)
        return hone_fail(err, HONE_ERR_ARG,
                         "adamw: step %lld with %u parameters, expected 1 or more with %d",
                         (long long)info->step, (unsigned)n_params, N_PARAMS);
    t = (double)info->step;
    params[BETA1] = (float)c->beta1;
    params[REST1] = (float)(1 - c->beta1);
    params[BETA2] = (float)c->beta2;
    params[REST2] = (float)(1 - c->beta2);
    params[KEEP] = (float)(1 - info->lr * info->weight_decay);
    params[STEP] = (float)(info->lr / (1 - pow(c->beta1, t)));
    params[ROOT] = (float)sqrt(1 - pow(c->beta2, t));
    params[EPS] = (float)c->eps;
    return HONE_OK;
}

static const hone_optimizer table = {
    .struct_size = sizeof table,
    .create = create,
    .destroy = destroy,
    .states = get_states,
    .program = get_program,
    .scalars = scalars,
};

static const hone_component component = {
    .struct_size = sizeof component,
    .flags = HONE_COMPONENT_DETERMINISTIC,
    .kind = HONE_KIND_OPTIMIZER,
    .name = "adamw",
    .summary = "Adam with decoupled weight decay; 8 bytes of state per parameter",
    .ops = &table,
    .options = options,
    .config_size = sizeof(config),
};
static const hone_component *const components[] = { &component };
static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.adamw",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};
HONE_PLUGIN_NOTE("hone.adamw", "0.1.0", 1, HONE_NOTE_ROW(HONE_KIND_OPTIMIZER, "adamw", ""));
HONE_PLUGIN_ENTRY(&plugin)
