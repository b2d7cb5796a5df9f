/*
 * check_optimizer.c - what every optimizer plugin promises:
 *
 *     check_optimizer PLUGIN.so DEVICE.so [NAME]
 *
 * Its program is valid and uses its states by the order hone/optimizer.h gives, and, with
 * its states in float32, a hundred steps on a device stay within float32 of the same arithmetic in double. The
 * reference is written here from the published formula, by name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "hone/optimizer.h"
#include "tests/contract/rig.h"

enum { N = 1003, STEPS = 100, MAX_PARAMS = HONE_EW_MAX_PARAMS };

/* ------------------------------------------------------- formulas in double */

typedef struct reference {
    double p[N], state[HONE_OPTIMIZER_MAX_STATES][N];
} reference;

/* torch.optim.AdamW and Adam: decay first, of the parameter or into the gradient; bias
 * corrections apart, eps outside the root. */
static void adam_step(reference *x, const float *g, double clip, const hone_step_info *info,
                      bool decoupled)
{
    const double b1 = 0.9, b2 = 0.999, eps = 1e-8, t = (double)info->step;
    const double c1 = 1 - pow(b1, t), c2 = 1 - pow(b2, t);
    for (int i = 0; i < N; i++) {
        double d = (double)g[i] * clip;
        double *m = &x->state[0][i], *v = &x->state[1][i];
        if (decoupled)
            x->p[i] *= 1 - info->lr * info->weight_decay;
        else
            d += info->weight_decay * x->p[i];
        *m = b1 * *m + (1 - b1) * d;
        *v = b2 * *v + (1 - b2) * d * d;
        x->p[i] -= info->lr / c1 * *m / (sqrt(*v) / sqrt(c2) + eps);
    }
}

static void adamw(reference *x, const float *g, double clip, const hone_step_info *info)
{
    adam_step(x, g, clip, info, true);
}

static void adam(reference *x, const float *g, double clip, const hone_step_info *info)
{
    adam_step(x, g, clip, info, false);
}

static const struct {
    const char *name;
    void (*step)(reference *x, const float *g, double clip, const hone_step_info *info);
} references[] = { { "adamw", adamw },
                   { "paged-adamw", adamw },
                   { "adamw8bit", adamw },
                   { "adam", adam },
                   { "paged-adam", adam } };

/* ------------------------------------------------------------------ the test */

static void check_states(rig *r, const hone_state *states, uint32_t n, const hone_ew_program *p)
{
    bool stored[HONE_EW_MAX_BUFS] = { false };
    what(r, "states");
    if (n > HONE_OPTIMIZER_MAX_STATES || (n && !states))
        fail(r, "%u states", (unsigned)n);
    for (uint32_t i = 0; i < n; i++) {
        const size_t length = strnlen(states[i].name, sizeof states[i].name);
        if (!length || length == sizeof states[i].name)
            fail(r, "state %u has no name that ends", (unsigned)i);
        for (uint32_t j = 0; j < i; j++)
            if (!strcmp(states[i].name, states[j].name))
                fail(r, "two states are called %s", states[i].name);
    }
    what(r, "the program");
    if (p->n_bufs != HONE_OPT_BUF_STATE0 + n)
        fail(r, "takes %u buffers for %u states", (unsigned)p->n_bufs, (unsigned)n);
    if (p->n_params < 1)
        fail(r, "has no parameter for the gradient factor");
    for (uint32_t i = 0; i < p->n_insns; i++)
        if (p->insns[i].op == HONE_EW_STORE)
            stored[p->insns[i].idx] = true;
    if (stored[HONE_OPT_BUF_GRAD])
        fail(r, "writes the gradient");
    if (!stored[HONE_OPT_BUF_PARAM])
        fail(r, "never writes the parameter");
}

/* lr rises and falls, weight decay comes and goes, gradients change in size. */
static hone_step_info step_at(int t)
{
    return (hone_step_info){ .struct_size = sizeof(hone_step_info),
                             .step = t,
                             .lr = 1e-2 * (t < 10 ? t / 10.0 : 1.0 / t * 10),
                             .weight_decay = t % 3 ? 0.1 : 0 };
}

static void hundred_steps(rig *r, const hone_optimizer *o, void *self, const hone_state *states,
                          uint32_t n_states, const hone_ew_program *program)
{
    static reference ref;
    side *s = &r->side[FUSED];
    const int64_t n = N;
    void (*step)(reference *, const float *, double, const hone_step_info *) = NULL;
    float *p = normals(r, n, 1), *got;
    hone_tensor bufs[HONE_EW_MAX_BUFS];
    hone_kernel kernel = 0;
    hone_error err = { 0 };
    for (size_t i = 0; i < sizeof references / sizeof *references; i++)
        if (!strcmp(references[i].name, r->name))
            step = references[i].step;
    what(r, "%d steps", STEPS);
    bufs[HONE_OPT_BUF_PARAM] = put(r, s, 1, &n, 0, p);
    for (int i = 0; i < N; i++)
        ref.p[i] = (double)p[i];
    for (uint32_t k = 0; k < n_states; k++) {
        bufs[HONE_OPT_BUF_STATE0 + k] = put(r, s, 1, &n, 0, NULL);
        (void)good(r, ops_fill(s->o, bufs[HONE_OPT_BUF_STATE0 + k], (double)states[k].init, &err),
                   &err);
        for (int i = 0; i < N; i++)
            ref.state[k][i] = (double)states[k].init;
    }
    bufs[HONE_OPT_BUF_GRAD] = put(r, s, 1, &n, 0, p);
    if (!good(r, ops_compile(s->o, &kernel, program, &err), &err))
        return;
    for (int t = 1; t <= STEPS; t++) {
        const hone_step_info info = step_at(t);
        const float clip = t % 4 ? 1 : 0.25f;
        float *g = normals(r, n, t % 7 ? 1 : 1e-4), params[MAX_PARAMS] = { 0 };
        hone_ew_args args = { .n_bufs = program->n_bufs,
                              .n_params = program->n_params,
                              .kernel = kernel,
                              .bufs = bufs,
                              .params = params,
                              .shape = { n, 1, 1, 1 } };
        g[5] = 0; /* no gradient at all: only decay */
        (void)good(r, o->scalars(self, &info, params, program->n_params, &err), &err);
        params[HONE_OPT_PARAM_GRAD_SCALE] = clip;
        (void)good(r, ops_upload(s->o, bufs[HONE_OPT_BUF_GRAD].buf, 64, g, 4 * (uint64_t)n, &err),
                   &err);
        (void)good(r, ops_elementwise(s->o, args, &err), &err);
        if (step)
            step(&ref, g, (double)clip, &info);
        free(g);
    }
    got = get(r, s, bufs[HONE_OPT_BUF_PARAM]);
    for (int i = 0; i < N; i++)
        if (!isfinite(got[i])) {
            fail(r, "parameter %d is %g", i, (double)got[i]);
            break;
        }
    if (!memcmp(got, p, sizeof *p * N))
        fail(r, "nothing has changed");
    if (step) {
        near_norm(r, "parameters", got, ref.p, n, 1e-6);
        for (uint32_t k = 0; k < n_states; k++) {
            float *state = get(r, s, bufs[HONE_OPT_BUF_STATE0 + k]);
            near_norm(r, states[k].name, state, ref.state[k], n, 1e-6);
            free(state);
        }
    }
    free(got);
    free(p);
    drop_all(s);
}

static void check(rig *r, const hone_optimizer *o, const void *config)
{
    hone_error err = { 0 };
    void *self = NULL;
    const hone_state *states = NULL;
    const hone_ew_program *program = NULL, *again = NULL;
    uint32_t n = 0;
    what(r, "create");
    if (!good(r, o->create(plugin_host(), config, &self, &err), &err) ||
        !good(r, o->states(self, &states, &n, &err), &err) ||
        !good(r, o->program(self, &program, &err), &err) ||
        !good(r, hone_ew_check(program, &err), &err))
        goto out;
    (void)good(r, o->program(self, &again, &err), &err);
    if (again != program)
        fail(r, "the program is another one each time");
    check_states(r, states, n, program);
    if (!failures)
        hundred_steps(r, o, self, states, n, program);
    {
        float params[MAX_PARAMS + 8] = { 0 };
        const hone_step_info zero = { .struct_size = sizeof zero, .step = 0, .lr = 1 };
        what(r, "step 0, when steps count from 1");
        if (o->scalars(self, &zero, params, program->n_params, &err) == HONE_OK)
            fail(r, "is accepted");
    }
out:
    o->destroy(self);
    o->destroy(NULL);
}

int main(int argc, char **argv)
{
    static rig g;
    registry *r = NULL, *devices = NULL;
    component *c = NULL, *d = NULL;
    hone_error err = { 0 };
    hone_status st;
    const char *name = argc > 3 ? argv[3] : NULL;
    if (argc < 3) {
        fprintf(stderr, "usage: check_optimizer PLUGIN.so DEVICE.so [NAME]\n");
        return EXIT_FAILURE;
    }
    st = registry_open_file(&r, argv[1], &err);
    if (!st)
        st = registry_open_file(&devices, argv[2], &err);
    if (!st && !name)
        name = registry_plugin(r, 0)->note.rows[0].component;
    if (!st)
        st = component_open(&c, r, HONE_KIND_OPTIMIZER, name, NULL, NULL, &err);
    if (!st)
        st = component_open(&d, devices, HONE_KIND_DEVICE,
                            registry_plugin(devices, 0)->note.rows[0].component, NULL, NULL, &err);
    if (!st)
        st = ops_open(&g.side[FUSED].o, plugin_host(), d->ops, 0, d->config, 0, &err);
    if (!st) {
        g.name = name;
        g.seed = 1;
        check(&g, c->ops, c->config);
        printf("%s %s\n", failures ? "FAIL" : "ok  ", name);
    } else {
        fprintf(stderr, "%s\n", err.message);
        failures++;
    }
    ops_close(g.side[FUSED].o);
    component_close(c);
    component_close(d);
    plugin_shutdown_all();
    registry_close(r);
    registry_close(devices);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
