/*
 * test_optimizers.c - twenty steps against PyTorch's Adam and AdamW, and against
 * bitsandbytes' AdamW8bit: tools/golden/optimizers.py says what the fixture holds.
 *
 *     test_optimizers [backend]
 *
 * PyTorch rounds m + (1 - b1) (g - m), hone b1 m + (1 - b1) g: parameters agree within
 * 1e-6, not to the bit. In eight bits a rounding may tip a code over to its neighbour.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/parts.h"
#include "test.h"

#include <stdlib.h>

enum { STEPS = 20, MAX_N = 8192 };

static registry *plugins;
static backend *device;
static model *net; /* any: it has the device */
static st_file *golden;

/* A tensor of the fixture; float32. How many elements is returned. */
static int64_t numbers(const char *name, float *out)
{
    const st_tensor *t = st_find(golden, name);
    const int64_t n = t ? t->shape[0] : 0;
    CHECK(t && t->rank == 1 && n <= MAX_N && st_read_f32(t, 0, n, out));
    return n;
}

static double distance(const float *got, const float *want, int64_t n)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        difference += pow((double)got[i] - (double)want[i], 2);
        norm += pow((double)want[i], 2);
    }
    return sqrt(difference / (norm > 0 ? norm : 1));
}

/* One parameter, as a model would have it. */
typedef struct one {
    ops *o;
    param p;
    hone_buf buf[2]; /* owned: value, gradient */
    optimizer *opt;  /* owned */
    float base[1024];
} one;

static void begin(one *x, int64_t n, const char *name, json_t *config, double decay)
{
    static float start[MAX_N];
    const optimizer_setup how = { .name = name,
                                  .config = config,
                                  .weight_decay = decay,
                                  .paged_dir = "/tmp",
                                  .paged_bytes = strncmp(name, "paged", 5) ? 0 : 1 << 16 };
    hone_error err = { 0 };
    *x = (one){ .o = model_ops(net) };
    CHECK_INT(numbers("base", x->base), 1024);
    CHECK(numbers("start", start) >= n);
    for (int i = 0; i < 2; i++)
        CHECK_OK(ops_alloc(x->o, &x->buf[i], (uint64_t)n * sizeof(float), &err), err);
    x->p = (param){ .name = "w",
                    .rows = n,
                    .cols = 1,
                    .decay = true,
                    .value = hone_tensor_1d(x->buf[0], 0, HONE_F32, n),
                    .grad = hone_tensor_1d(x->buf[1], 0, HONE_F32, n) };
    CHECK_OK(ops_upload(x->o, x->buf[0], 0, start, (uint64_t)n * sizeof(float), &err), err);
    CHECK_OK(optimizer_open(&x->opt, x->o, &x->p, 1, plugins, &how, &err), err);
}

static void step(one *x, int64_t t)
{
    static float g[MAX_N];
    hone_error err = { 0 };
    for (int64_t i = 0; i < x->p.rows; i++)
        g[i] = 2 * ldexpf(x->base[(7 * i + 13 * t) % 1024], -(int)(i % 5));
    CHECK_OK(ops_upload(x->o, x->buf[1], 0, g, (uint64_t)x->p.rows * sizeof(float), &err), err);
    CHECK_OK(optimizer_step(x->opt, t, 1e-2, 0.5, &err), err);
}

static void end(one *x)
{
    optimizer_close(x->opt);
    for (int i = 0; i < 2; i++)
        ops_free(x->o, x->buf[i]);
}

/* The saved tensor of this name, as it is in a checkpoint. */
static void saved(one *x, const char *want, void *out, uint64_t bytes)
{
    text name = { 0 };
    hone_error err = { 0 };
    bool found = false;
    for (size_t i = 0; i < optimizer_saved_count(x->opt); i++) {
        saved_state s;
        CHECK_OK(optimizer_saved(x->opt, i, &s, &name, &err), err);
        if (strcmp(name.p, want) != 0)
            continue;
        found = true;
        CHECK_INT(s.bytes, bytes);
        if (s.bytes == bytes)
            CHECK_OK(optimizer_read(x->opt, i, 0, out, bytes, &err), err);
    }
    CHECK(found);
    text_finish(&name);
}

/* ------------------------------------------------------------------ in float32 */

static void check_case(const char *label, const char *name, const json_t *c)
{
    static float got[MAX_N], want[MAX_N];
    const json_t *betas = json_object_get(c, "betas");
    json_t *config = json_pack("{s:O, s:O, s:O}", "beta1", json_array_get(betas, 0), "beta2",
                               json_array_get(betas, 1), "eps", json_object_get(c, "eps"));
    hone_error err = { 0 };
    char key[64];
    one x;
    (void)snprintf(key, sizeof key, "%s.param", label);
    const int64_t n = numbers(key, want);
    const uint64_t bytes = (uint64_t)n * sizeof(float);
    begin(&x, n, name, config, json_number_value(json_object_get(c, "weight_decay")));
    for (int64_t t = 1; t <= STEPS; t++)
        step(&x, t);
    CHECK_OK(ops_download(x.o, got, x.buf[0], 0, bytes, &err), err);
    CHECK(distance(got, want, n) < 1e-6);
    (void)snprintf(key, sizeof key, "%s.m", label);
    CHECK_INT(numbers(key, want), n);
    saved(&x, "w.m", got, bytes);
    CHECK(distance(got, want, n) < 1e-6);
    (void)snprintf(key, sizeof key, "%s.v", label);
    CHECK_INT(numbers(key, want), n);
    saved(&x, "w.v", got, bytes);
    CHECK(distance(got, want, n) < 1e-6);
    end(&x);
    json_decref(config);
}

static json_t *cases;

static void test_optimizers__are_those_of_torch(void)
{
    const char *label;
    json_t *c;
    CHECK(json_object_size(cases) == 6);
    json_object_foreach(cases, label, c)
    {
        const char *name = json_string_value(json_object_get(c, "optimizer"));
        char paged[32];
        (void)snprintf(paged, sizeof paged, "paged-%s", name);
        check_case(label, name, c);
        check_case(label, paged, c);
    }
}

/* ---------------------------------------------------------------- in eight bits */

static void test_optimizers__maps_are_those_of_bitsandbytes(void)
{
    float want[MAX_N], got[256];
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        CHECK_INT(numbers(is_signed ? "8bit.map.signed" : "8bit.map.unsigned", want), 256);
        state_map(got, is_signed);
        CHECK(memcmp(got, want, sizeof got) == 0);
    }
}

static void check_codes(one *x, const char *when, const char *state, int64_t n)
{
    static uint8_t got[MAX_N];
    static float scales[MAX_N], want[MAX_N];
    const int64_t blocks = (n + 255) / 256;
    const st_tensor *t;
    int64_t others = 0, far = 0;
    char key[64], name[64];
    (void)snprintf(key, sizeof key, "8bit.%s.%s", when, state);
    (void)snprintf(name, sizeof name, "w.%s", state);
    t = st_find(golden, key);
    CHECK(t && t->dtype == HONE_U8 && (int64_t)t->bytes == n);
    saved(x, name, got, (uint64_t)n);
    for (int64_t i = 0; t && i < n; i++) {
        others += got[i] != t->p[i];
        far += abs((int)got[i] - (int)t->p[i]) > 1;
    }
    CHECK(others <= n / 500); /* measured: none */
    CHECK_INT(far, 0);
    (void)snprintf(key, sizeof key, "8bit.%s.%s.absmax", when, state);
    (void)snprintf(name, sizeof name, "w.%s.absmax", state);
    CHECK_INT(numbers(key, want), blocks);
    saved(x, name, scales, (uint64_t)blocks * sizeof(float));
    CHECK(distance(scales, want, blocks) < 1e-5);
}

static void test_optimizers__eight_bits_are_those_of_bitsandbytes(void)
{
    static float got[MAX_N], want[MAX_N];
    const int64_t n = numbers("8bit.first.param", want);
    hone_error err = { 0 };
    one x;
    begin(&x, n, "adamw8bit", NULL, 0.1);
    CHECK(optimizer_bytes(x.opt).saved == 2 * (n + 4 * ((n + 255) / 256)));
    for (int64_t t = 1; t <= STEPS; t++) {
        step(&x, t);
        if (t != 1 && t != STEPS)
            continue;
        CHECK_OK(ops_download(x.o, got, x.buf[0], 0, (uint64_t)n * sizeof(float), &err), err);
        CHECK_INT(numbers(t == 1 ? "8bit.first.param" : "8bit.last.param", want), n);
        CHECK(distance(got, want, n) < 1e-6);
        check_codes(&x, t == 1 ? "first" : "last", "m", n);
        check_codes(&x, t == 1 ? "first" : "last", "v", n);
    }
    end(&x);
}

/* Below min_8bit_size it is AdamW. */
static void test_optimizers__small_parameters_keep_float32(void)
{
    check_case("adamw.decay", "adamw8bit", json_object_get(cases, "adamw.decay"));
}

static char *source_path(const char *tail)
{
    const char *root = getenv("HONE_SOURCE_DIR");
    text t = { 0 };
    text_printf(&t, "%s/tests/golden/%s", root ? root : ".", tail);
    return t.p;
}

int main(int argc, char **argv)
{
    char *file = source_path("optimizers/golden.safetensors"), *base = source_path("peft/base");
    char *list = source_path("optimizers/cases.json");
    const model_options mo = { .dir = base, .train = TRAIN_NONE, .context = 8 };
    hone_error err = { 0 };
    component_row found;
    hone_status st = registry_open(&plugins, NULL, 0, &err);
    if (!st)
        st = registry_find(&found, plugins, HONE_KIND_OPTIMIZER, "adamw8bit", &err);
    if (!st)
        st = backend_open(&device, plugins, argc > 1 ? argv[1] : "cpu/fp32", NULL, NULL, &err);
    if (st) {
        fprintf(stderr, "skipped: %s\n", err.message);
        return 77;
    }
    CHECK_OK(model_open(&net, device, &mo, &err), err);
    CHECK_OK(st_open(&golden, file, &err), err);
    CHECK_OK(json_read(&cases, list, &err), err);
    if (net && golden && cases) {
        RUN(test_optimizers__are_those_of_torch);
        RUN(test_optimizers__maps_are_those_of_bitsandbytes);
        RUN(test_optimizers__eight_bits_are_those_of_bitsandbytes);
        RUN(test_optimizers__small_parameters_keep_float32);
    }
    json_decref(cases);
    st_close(golden);
    model_close(net);
    backend_close(device);
    plugin_shutdown_all();
    registry_close(plugins);
    free(file);
    free(base);
    free(list);
    return TEST_EXIT();
}
