/*
 * test_stored.c - a base saved as a format stores it: the same bits when it is read again,
 * refused in another format or with planes that are not what they should be; and generation
 * with each format, token by token, against the whole sequence at once.
 *
 *     test_stored DEVICE
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "golden/model_fixture.h"
#include "temp.h"

static registry *plugins;
static char *llama;
static const char *device = "cpu";
static const char *const formats[] = { "fp32", "fp16", "bf16", "int8", "nf4" };
#define COUNT (sizeof formats / sizeof *formats)

static backend *open_format(const char *format)
{
    char spec[64];
    (void)snprintf(spec, sizeof spec, "%s/%s", device, format);
    const setting s = { spec, spec, false, NULL };
    return golden_backend(plugins, &s);
}

static bool packed(const char *format)
{
    return strcmp(format, "int8") == 0 || strcmp(format, "nf4") == 0;
}

static float *logits_of(backend *b, const char *dir, const batch *in, int64_t n, uint64_t *hash)
{
    const model_options o = { .dir = dir, .seq_len = 40, .batch = 2, .max_sequences = 2 };
    hone_error err = { 0 };
    model *m = golden_model(b, &o);
    float *x = malloc((size_t)n * sizeof *x);
    CHECK_OK(model_base_hash(m, hash, &err), err);
    CHECK_OK(model_logits(m, in, x, &err), err);
    model_close(m);
    return x;
}

static void test_stored__is_read_again_to_the_bit(void)
{
    /* of the logits against transformers', weights drawn wide */
    static const double bound[COUNT] = { 1e-5, 2e-3, 2e-2, 0.1, 0.5 };
    st_file *f = golden_open(llama, "golden.safetensors");
    batch in = { 0 };
    int64_t n;
    float *plain = golden_floats(f, "logits", &n);
    golden_batch(&in, golden_tensor(f, "input_ids"), NULL, NULL);
    for (size_t i = 0; i < COUNT; i++) {
        char *dir = temp_new();
        hone_error err = { 0 };
        backend *b = open_format(formats[i]);
        uint64_t hash[2] = { 0 };
        const model_options o = { .dir = llama };
        model *m = golden_model(b, &o);
        CHECK_OK(model_save_stored(m, dir, i % 2 ? 4096 : 0, &err), err); /* in shards too */
        model_close(m);
        float *want = logits_of(b, llama, &in, n, &hash[0]);
        float *got = logits_of(b, dir, &in, n, &hash[1]);
        CHECK(hash[0] == hash[1]);
        CHECK(memcmp(got, want, (size_t)n * sizeof *got) == 0);
        CHECK_WITHIN(formats[i], golden_error(got, plain, n), bound[i]);
        if (i)
            CHECK(golden_error(got, plain, n) > 1e-5); /* the format was used */
        backend_close(b);
        free(got);
        free(want);
        temp_remove(dir);
    }
    free(plain);
    batch_finish(&in);
    st_close(f);
}

static void refused(backend *b, const char *dir, const char *says)
{
    const model_options o = { .dir = dir };
    hone_error err = { 0 };
    model *m = NULL;
    CHECK(model_open(&m, b, &o, &err) != HONE_OK);
    CHECK_HAS(err.message, says);
    model_close(m);
}

/* Overwrite the first `from` in a file by `to`, as long. */
static void patch(const char *path, const char *from, const char *to)
{
    hone_error err = { 0 };
    char *p = NULL;
    size_t n = 0;
    CHECK_OK(file_read(&p, &n, path, 1 << 24, &err), err);
    char *at = p ? memmem(p, n, from, strlen(from)) : NULL;
    CHECK(at != NULL);
    if (at)
        memcpy(at, to, strlen(to));
    CHECK_OK(file_write(path, p, n, &err), err);
    free(p);
}

static void test_stored__another_format_is_refused(void)
{
    for (size_t i = 0; i < COUNT; i++) {
        char *dir = temp_new(), *file = NULL;
        hone_error err = { 0 };
        backend *b = open_format(formats[i]), *other = open_format(i == 4 ? "int8" : "nf4");
        const model_options o = { .dir = llama };
        if (packed(formats[i])) {
            model *m = golden_model(b, &o);
            CHECK_OK(model_save_stored(m, dir, 0, &err), err);
            model_close(m);
            refused(other, dir, "cannot become");
            file = path_join(dir, "model.safetensors");
            /* a plane under another name, and one of another type */
            patch(file, "q_proj.weight.scales", "q_proj.weight.scalez");
            refused(b, dir, "q_proj.weight.scales is missing");
            patch(file, "q_proj.weight.scalez", "q_proj.weight.scales");
            patch(file, i == 4 ? "\"dtype\":\"U8\"" : "\"dtype\":\"I8\"",
                  i == 4 ? "\"dtype\":\"I8\"" : "\"dtype\":\"U8\"");
            refused(b, dir, "is not the");
        }
        backend_close(b);
        backend_close(other);
        free(file);
        temp_remove(dir);
    }
}

static void test_stored__generation_is_the_whole_sequence(void)
{
    enum { N = 11 };
    st_file *f = golden_open(llama, "golden.safetensors");
    const st_tensor *ids = golden_tensor(f, "input_ids");
    for (size_t i = 0; i < COUNT; i++) {
        hone_error err = { 0 };
        backend *b = open_format(formats[i]);
        const model_options o = {
            .dir = llama, .seq_len = 40, .batch = 1, .max_sequences = 1, .context = 64
        };
        model *m = golden_model(b, &o);
        const int64_t v = model_config(m)->dim[DIM_V];
        float *whole = malloc((size_t)v * sizeof *whole), *last = malloc((size_t)v * sizeof *last);
        int32_t id[N];
        for (int k = 0; k < N; k++)
            id[k] = (int32_t)golden_int(ids, k);
        CHECK_OK(model_feed(m, id, N, whole, &err), err);
        model_rewind(m, 0);
        for (size_t at = 0, n = 1; at < N; at += n, n = n % 4 + 1) /* 1, 2, 3, 4 rows at a time */
            CHECK_OK(model_feed(m, id + at, at + n < N ? n : N - at, last, &err), err);
        /* int8: columns with outliers are those of the rows fed together */
        CHECK_WITHIN(formats[i], golden_error(last, whole, v), i == 3 ? 0.05 : 1e-4);
        free(whole);
        free(last);
        model_close(m);
        backend_close(b);
    }
    st_close(f);
}

static void test_stored__what_does_not_fit_is_refused_by_name(void)
{
    char *dir = temp_new(), *file = path_join(dir, "model.safetensors");
    const model_options plain = { .dir = llama };
    hone_error err = { 0 };
    backend *fp32 = open_format("fp32"), *fp16 = open_format("fp16"), *nf4 = open_format("nf4");
    model *m = golden_model(fp32, &plain);
    CHECK_OK(model_save_full(m, dir, HONE_F32, 0, &err), err);
    model_close(m);
    /* the last bytes of the file are numbers of some matrix: 1e5, then NaN */
    char *p = NULL;
    size_t n = 0;
    st_file *f = NULL;
    CHECK_OK(st_open(&f, file, &err), err);
    const st_tensor *t = st_find(f, "model.layers.1.mlp.up_proj.weight");
    const st_tensor *first = st_at(f, 0);
    CHECK(t && first);
    CHECK_OK(file_read(&p, &n, file, 1 << 24, &err), err);
    uint8_t *at = t && p ? memmem(p, n, t->p, t->bytes) : NULL;
    CHECK(at != NULL);
    for (int k = 0; k < 2 && at; k++) {
        const float bad = k ? NAN : 1e5f;
        memcpy(at + 4 * sizeof bad, &bad, sizeof bad);
        CHECK_OK(file_write(file, p, n, &err), err);
        refused(k ? nf4 : fp16, dir, "model.layers.1.mlp.up_proj.weight");
    }
    st_close(f);
    free(p);
    free(file);
    backend_close(fp32);
    backend_close(fp16);
    backend_close(nf4);
    temp_remove(dir);
}

int main(int argc, char **argv)
{
    hone_error err = { 0 };
    if (argc > 1)
        device = argv[1];
    llama = golden_path("models/llama");
    CHECK_OK(registry_open(&plugins, NULL, 0, &err), err);
    RUN(test_stored__is_read_again_to_the_bit);
    RUN(test_stored__another_format_is_refused);
    RUN(test_stored__generation_is_the_whole_sequence);
    RUN(test_stored__what_does_not_fit_is_refused_by_name);
    registry_close(plugins);
    free(llama);
    return TEST_EXIT();
}
