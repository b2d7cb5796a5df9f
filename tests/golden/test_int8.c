/*
 * test_int8.c - LLM.int8() against bitsandbytes' on a CPU: codes and scales to the bit,
 * products within 1e-3 with planted outlier columns, whose number the device tells; dx against
 * the decoded weights.
 *
 *     test_int8 [KERNELS]     of the cpu device's option
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "golden/model_fixture.h"

static ops *o;
static const hone_weights *table;
static void *self;
static st_file *fixture;

static const st_tensor *part(const char *name, const char *part_name)
{
    char full[96];
    (void)snprintf(full, sizeof full, "%s.%s", name, part_name);
    return golden_tensor(fixture, full);
}

static float *floats(const char *name, const char *part_name)
{
    char full[96];
    int64_t n;
    (void)snprintf(full, sizeof full, "%s.%s", name, part_name);
    return golden_floats(fixture, full, &n);
}

static hone_tensor put(uint32_t dtype, int64_t rows, int64_t cols, const void *p)
{
    hone_error err = { 0 };
    hone_buf buf = 0;
    const uint64_t bytes = (uint64_t)(rows * (cols ? cols : 1)) * hone_dtype_size(dtype);
    CHECK_OK(ops_alloc(o, &buf, bytes, &err), err);
    CHECK_OK(ops_upload(o, buf, 0, p, bytes, &err), err);
    return cols ? hone_tensor_2d(buf, 0, dtype, rows, cols) : hone_tensor_1d(buf, 0, dtype, rows);
}

static void get(void *p, hone_tensor t)
{
    hone_error err = { 0 };
    const uint64_t bytes = (uint64_t)hone_tensor_count(&t) * hone_dtype_size(t.dtype);
    CHECK_OK(ops_download(o, p, t.buf, t.offset, bytes, &err), err);
}

static void check_products(const char *name, hone_weight *w, const float *decoded)
{
    const st_tensor *x = part(name, "x"), *columns = part(name, "outliers");
    const int64_t n = x->shape[0], in = w->cols, out = w->rows;
    float *values = floats(name, "x"), *want = floats(name, "y");
    float *got = malloc((size_t)(n * (in > out ? in : out)) * sizeof *got);
    float *back = calloc((size_t)(n * in), sizeof *back);
    const int32_t before = 5;
    int32_t count = 0;
    hone_error err = { 0 };
    hone_linear_args a = { .w = w,
                           .x = put(HONE_F32, n, in, values),
                           .y = put(HONE_F32, n, out, got),
                           .outliers = put(HONE_I32, 1, 0, &before) };
    CHECK_OK(ops_linear(o, a, &err), err);
    get(got, a.y);
    get(&count, a.outliers);
    CHECK_WITHIN(name, golden_error(got, want, n * out), 1e-3);
    CHECK_INT(count, before + columns->shape[0]);

    /* y now is x of the other direction */
    hone_linear_args b = { .w = w, .transpose = 1, .x = a.y, .y = put(HONE_F32, n, in, back) };
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < out; k++)
            for (int64_t j = 0; j < in; j++)
                back[i * in + j] += got[i * out + k] * decoded[k * in + j];
    CHECK_OK(ops_linear(o, b, &err), err);
    get(got, b.y);
    CHECK_WITHIN(name, golden_error(got, back, n * in), 1e-5);
    ops_free(o, a.x.buf);
    ops_free(o, a.y.buf);
    ops_free(o, a.outliers.buf);
    ops_free(o, b.y.buf);
    free(values);
    free(want);
    free(got);
    free(back);
}

static void one_case(const char *name)
{
    const st_tensor *t = part(name, "weight");
    const int64_t rows = t->shape[0], cols = t->shape[1];
    float *x = floats(name, "weight"), *scales = malloc((size_t)rows * sizeof *scales);
    float *decoded = malloc((size_t)(rows * cols) * sizeof *decoded);
    int8_t *codes = malloc((size_t)(rows * cols));
    void *plane[] = { codes, scales };
    hone_error err = { 0 };
    hone_weight w = { .struct_size = sizeof w, .n_planes = 2, .format = "int8" };
    CHECK_OK(table->quantize(self, x, rows, cols, plane, &err), err);
    CHECK(memcmp(codes, part(name, "codes")->p, (size_t)(rows * cols)) == 0);
    CHECK(memcmp(scales, part(name, "scales")->p, (size_t)rows * sizeof *scales) == 0);
    CHECK_OK(table->dequantize(self, (const void *const *)plane, rows, cols, decoded, &err), err);
    if (strcmp(name, "plain") == 0)
        CHECK(memcmp(decoded, part(name, "decoded")->p, (size_t)(rows * cols) * 4) == 0);
    table->describe(self, &w);
    CHECK(w.outlier == 6);
    w.rows = rows, w.cols = cols;
    w.plane[0] = put(HONE_I8, rows * cols, 0, codes);
    w.plane[1] = put(HONE_F32, rows, 0, scales);
    check_products(name, &w, decoded);
    ops_free(o, w.plane[0].buf);
    ops_free(o, w.plane[1].buf);
    free(x);
    free(scales);
    free(decoded);
    free(codes);
}

static void test_int8__codes_and_products_are_those_of_bitsandbytes(void)
{
    size_t cases = 0;
    for (size_t i = 0; i < st_count(fixture); i++) {
        char name[64];
        const char *full = st_at(fixture, i)->name, *dot = strchr(full, '.');
        if (!dot || strcmp(dot, ".weight") != 0)
            continue;
        (void)snprintf(name, sizeof name, "%.*s", (int)(dot - full), full);
        one_case(name);
        cases++;
    }
    CHECK(cases >= 5);
}

/* NaN and infinity reach the rows they belong to and no other. */
static void test_int8__nan_and_infinity_pass(void)
{
    enum { N = 5, IN = 70, OUT = 6 };
    static float w_in[OUT * IN], x[N * IN], y[N * OUT], scales[OUT];
    static int8_t codes[OUT * IN];
    void *plane[] = { codes, scales };
    hone_error err = { 0 };
    hone_weight w = {
        .struct_size = sizeof w, .n_planes = 2, .format = "int8", .rows = OUT, .cols = IN
    };
    for (int i = 0; i < OUT * IN; i++)
        w_in[i] = (float)(i % 13 - 6) + 0.5f;
    for (int i = 0; i < N * IN; i++)
        x[i] = (float)(i % 7 - 3);
    x[1 * IN + 3] = NAN;
    x[2 * IN + 69] = INFINITY;
    CHECK_OK(table->quantize(self, w_in, OUT, IN, plane, &err), err);
    for (int limit = 0; limit < 2; limit++) {
        w.outlier = limit ? 6 : 0;
        w.plane[0] = put(HONE_I8, OUT * IN, 0, codes);
        w.plane[1] = put(HONE_F32, OUT, 0, scales);
        hone_linear_args a = { .w = &w,
                               .x = put(HONE_F32, N, IN, x),
                               .y = put(HONE_F32, N, OUT, y) };
        CHECK_OK(ops_linear(o, a, &err), err);
        get(y, a.y);
        for (int i = 0; i < N * OUT; i++)
            CHECK(i / OUT == 1 ? isnan(y[i]) : i / OUT == 2 ? isinf(y[i]) : isfinite(y[i]));
        ops_free(o, w.plane[0].buf);
        ops_free(o, w.plane[1].buf);
        ops_free(o, a.x.buf);
        ops_free(o, a.y.buf);
    }
}

int main(int argc, char **argv)
{
    hone_error err = { 0 };
    registry *plugins = golden_registry();
    component *device = NULL, *format = NULL;
    char *dir = golden_path("formats");
    json_t *how = argc > 1 ? json_pack("{s:s}", "kernels", argv[1]) : NULL;
    CHECK_OK(component_open(&device, plugins, HONE_KIND_DEVICE, "cpu", how, NULL, &err), err);
    CHECK_OK(component_open(&format, plugins, HONE_KIND_WEIGHTS, "int8", NULL, NULL, &err), err);
    if (test_failures)
        return TEST_EXIT();
    if (ops_open(&o, plugin_host(), device->ops, 0, device->config, 0, &err) != HONE_OK) {
        fprintf(stderr, "skipped: %s\n", err.message); /* a processor without these kernels */
        return 77;
    }
    table = format->ops;
    CHECK_OK(table->create(plugin_host(), format->config, &self, &err), err);
    CHECK_OK(ops_add_format(o, "int8", table, self, &err), err);
    fixture = golden_open(dir, "int8.safetensors");
    RUN(test_int8__codes_and_products_are_those_of_bitsandbytes);
    RUN(test_int8__nan_and_infinity_pass);
    st_close(fixture);
    ops_close(o);
    table->destroy(self);
    component_close(format);
    component_close(device);
    json_decref(how);
    plugin_shutdown_all();
    registry_close(plugins);
    free(dir);
    return TEST_EXIT();
}
