/*
 * adam.c - Adam and its relatives: one update, with the decay in two places and the state
 * in three kinds of storage.
 *
 * Kingma & Ba 2014, algorithm 1, and Loshchilov & Hutter 2017, algorithm 2, in the order of
 * operations of torch.optim.Adam and AdamW:
 *   g = grad * clip
 *   adam:  g = g + wd p          adamw:  p = p (1 - lr wd)
 *   m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2
 *   p = p - (lr / (1 - b1^t)) m / (sqrt(v) / sqrt(1 - b2^t) + eps)
 * What depends on the step alone is computed in double, once.
 *
 * Where the state lies is a word in its rows: resident, paged, or in eight bits by blocks
 * (Dettmers et al. 2022). The host moves and converts it, so the programs are the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdbool.h>

#include "hone/optimizer.h"
#include "hone/plugin.h"

typedef struct config {
    double beta1, beta2, eps;
    int64_t min_8bit_size; /* of states in eight bits */
} config;

#define ROWS                                                                                     \
    HONE_ROW_F64(config, beta1, 0, 0.999999, "0.9", "decay of the mean of gradients, per step"), \
        HONE_ROW_F64(config, beta2, 0, 0.99999999, "0.999",                                      \
                     "decay of the mean of squared gradients, per step"),                        \
        HONE_ROW_F64(config, eps, 0, 1, "1e-8", "added to the root of the mean square")

static const hone_option options[] = { ROWS, HONE_OPTIONS_END };
static const hone_option options_8bit[] = {
    ROWS,
    HONE_ROW_I64(config, min_8bit_size, 0, INT64_C(1) << 40, "4096",
                 "parameters with fewer elements keep float32 state"),
    HONE_OPTIONS_END,
};

/* ----------------------------------------------------------------- the programs */

/* Parameters after the host's gradient factor. */
enum { BETA1 = 1, REST1, BETA2, REST2, DECAY, STEP, ROOT, EPS, N_PARAMS };

/* clang-format off */
/* r2 = grad * clip, r3 = p, r4 = DECAY */
#define OPERANDS \
    HONE_EW0I(LOAD, 0, HONE_OPT_BUF_GRAD), HONE_EW0I(PARAM, 1, HONE_OPT_PARAM_GRAD_SCALE), \
    HONE_EW2(MUL, 2, 0, 1), HONE_EW0I(LOAD, 3, HONE_OPT_BUF_PARAM), HONE_EW0I(PARAM, 4, DECAY)

/* From the gradient in G: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g g, and
 * r25 = STEP m / (sqrt(v) / ROOT + eps); a division by ROOT, as torch has it */
#define MOMENTS(G) \
    HONE_EW0I(LOAD, 6, HONE_OPT_BUF_STATE0), HONE_EW0I(PARAM, 7, BETA1), HONE_EW0I(PARAM, 8, REST1), \
    HONE_EW2(MUL, 9, 6, 7), HONE_EW3(FMA, 10, G, 8, 9), \
    HONE_EW_ST(HONE_OPT_BUF_STATE0, 10), \
    HONE_EW0I(LOAD, 11, HONE_OPT_BUF_STATE0 + 1), HONE_EW0I(PARAM, 12, BETA2), HONE_EW0I(PARAM, 13, REST2), \
    HONE_EW2(MUL, 14, 11, 12), HONE_EW2(MUL, 15, G, 13), HONE_EW3(FMA, 16, 15, G, 14), \
    HONE_EW_ST(HONE_OPT_BUF_STATE0 + 1, 16), \
    HONE_EW0I(PARAM, 17, ROOT), HONE_EW0I(PARAM, 18, EPS), HONE_EW0I(PARAM, 19, STEP), \
    HONE_EW1(SQRT, 20, 16), HONE_EW2(DIV, 21, 20, 17), HONE_EW2(ADD, 22, 21, 18), \
    HONE_EW2(DIV, 23, 10, 22), HONE_EW2(MUL, 25, 23, 19)

static const hone_ew_insn adamw_code[] = {
    OPERANDS, MOMENTS(2),
    HONE_EW2(MUL, 5, 3, 4), HONE_EW2(SUB, 26, 5, 25), HONE_EW_ST(HONE_OPT_BUF_PARAM, 26),
};
static const hone_ew_insn adam_code[] = {
    OPERANDS, HONE_EW3(FMA, 5, 3, 4, 2), MOMENTS(5),
    HONE_EW2(SUB, 26, 3, 25), HONE_EW_ST(HONE_OPT_BUF_PARAM, 26),
};
/* clang-format on */

#define PROGRAM(NAME, CODE)                                                            \
    {                                                                                  \
        .struct_size = sizeof(hone_ew_program), .n_insns = sizeof CODE / sizeof *CODE, \
        .n_regs = 27, .n_bufs = 4, .n_params = N_PARAMS, .insns = CODE, .name = NAME   \
    }
static const hone_ew_program adamw_program = PROGRAM("adamw", adamw_code);
static const hone_ew_program adam_program = PROGRAM("adam", adam_code);

/* ------------------------------------------------------------------- the states */

static const hone_state resident[] = {
    { .name = "m", .format = "f32" },
    { .name = "v", .format = "f32" },
};
static const hone_state paged[] = {
    { .name = "m", .format = "f32", .flags = HONE_STATE_PAGED },
    { .name = "v", .format = "f32", .flags = HONE_STATE_PAGED },
};

static const hone_state eight_bits[] = {
    { .name = "m", .format = "dynamic8" },
    { .name = "v", .format = "udynamic8" },
};

/* ------------------------------------------------------------------ the variants */

typedef struct variant {
    const char *name;
    const hone_ew_program *program;
    bool decoupled;           /* weight decay acts on the parameter, not on the gradient */
    const hone_state *states; /* two */
} variant;

typedef struct adam {
    const hone_host *host; /* borrowed */
    const variant *v;      /* static */
    config c;
    hone_state states[2]; /* the variant's, with min_8bit_size */
} adam;

static hone_status create(const variant *v, const hone_host *host, const void *cfg, void **self,
                          hone_error *err)
{
    adam *a = host->alloc(host, sizeof *a, sizeof(void *), "adam");
    if (!a)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for the optimizer", v->name);
    *a = (adam){ .host = host, .v = v, .c = *(const config *)cfg };
    for (int i = 0; i < 2; i++) {
        a->states[i] = v->states[i];
        a->states[i].min_elements = a->c.min_8bit_size;
    }
    *self = a;
    return HONE_OK;
}

static void destroy(void *self)
{
    adam *a = self;
    if (a)
        a->host->free(a->host, a);
}

static hone_status get_states(void *self, const hone_state **rows, uint32_t *n, hone_error *err)
{
    (void)err;
    *rows = ((const adam *)self)->states;
    *n = 2;
    return HONE_OK;
}

static hone_status get_program(void *self, const hone_ew_program **out, hone_error *err)
{
    (void)err;
    *out = ((const adam *)self)->v->program;
    return HONE_OK;
}

static hone_status scalars(void *self, const hone_step_info *info, float *params, uint32_t n_params,
                           hone_error *err)
{
    const adam *a = self;
    const config *c = &a->c;
    double t;
    if (n_params != N_PARAMS || info->step < 1)
        return hone_fail(err, HONE_ERR_ARG,
                         "%s: step %lld with %u parameters, expected 1 or more with %d", a->v->name,
                         (long long)info->step, (unsigned)n_params, N_PARAMS);
    t = (double)info->step;
    params[BETA1] = (float)c->beta1;
    params[REST1] = (float)(1 - c->beta1);
    params[BETA2] = (float)c->beta2;
    params[REST2] = (float)(1 - c->beta2);
    params[DECAY] =
        (float)(a->v->decoupled ? 1 - info->lr * info->weight_decay : info->weight_decay);
    params[STEP] = (float)(info->lr / (1 - pow(c->beta1, t)));
    params[ROOT] = (float)sqrt(1 - pow(c->beta2, t));
    params[EPS] = (float)c->eps;
    return HONE_OK;
}

/* X(identifier, name, program, decoupled, states, rows, summary) */
#define VARIANTS(X)                                                             \
    X(adamw, "adamw", adamw_program, true, resident, options,                   \
      "Adam with decoupled weight decay; 8 bytes of state per parameter")       \
    X(adam, "adam", adam_program, false, resident, options,                     \
      "Adam with weight decay in the gradient; 8 bytes of state per parameter") \
    X(paged_adamw, "paged-adamw", adamw_program, true, paged, options,          \
      "adamw with its state in host memory and a file, moved ahead of use")     \
    X(paged_adam, "paged-adam", adam_program, false, paged, options,            \
      "adam with its state in host memory and a file, moved ahead of use")      \
    X(adamw8bit, "adamw8bit", adamw_program, true, eight_bits, options_8bit,    \
      "adamw with its state in eight bits by blocks; 2 bytes of state per parameter")

#define X(id, text, prog, apart, rows_of, opts, about)                                    \
    static const variant variant_##id = { text, &prog, apart, rows_of };                  \
    static hone_status create_##id(const hone_host *host, const void *cfg, void **self,   \
                                   hone_error *err)                                       \
    {                                                                                     \
        return create(&variant_##id, host, cfg, self, err);                               \
    }                                                                                     \
    static const hone_optimizer table_##id = { .struct_size = sizeof table_##id,          \
                                               .create = create_##id,                     \
                                               .destroy = destroy,                        \
                                               .states = get_states,                      \
                                               .program = get_program,                    \
                                               .scalars = scalars };                      \
    static const hone_component component_##id = { .struct_size = sizeof component_##id,  \
                                                   .flags = HONE_COMPONENT_DETERMINISTIC, \
                                                   .kind = HONE_KIND_OPTIMIZER,           \
                                                   .name = text,                          \
                                                   .summary = about,                      \
                                                   .ops = &table_##id,                    \
                                                   .options = opts,                       \
                                                   .config_size = sizeof(config) };
VARIANTS(X)
#undef X

#define X(id, ...) &component_##id,
static const hone_component *const components[] = { VARIANTS(X) };
#undef X
#define N_COMPONENTS (sizeof components / sizeof *components)

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.adam",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = N_COMPONENTS,
};
HONE_PLUGIN_NOTE("hone.adam", "0.1.0", 5, HONE_NOTE_ROW(HONE_KIND_OPTIMIZER, "adamw", ""),
                 HONE_NOTE_ROW(HONE_KIND_OPTIMIZER, "adam", ""),
                 HONE_NOTE_ROW(HONE_KIND_OPTIMIZER, "paged-adamw", ""),
                 HONE_NOTE_ROW(HONE_KIND_OPTIMIZER, "paged-adam", ""),
                 HONE_NOTE_ROW(HONE_KIND_OPTIMIZER, "adamw8bit", ""));
HONE_PLUGIN_ENTRY(&plugin)
