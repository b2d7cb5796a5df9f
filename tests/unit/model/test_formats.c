/*
 * test_formats.c - a model whose projections are stored in a packed format is the model of
 * the numbers that the format decodes to: forward, gradients, saving.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "golden/model_fixture.h"
#include "temp.h"

static registry *plugins;
static char *llama;

static backend *open_backend(const char *spec, bool compose)
{
    const setting s = { spec, spec, compose, NULL };
    return golden_backend(plugins, &s);
}

static void test_formats__a_packed_model_is_the_model_it_decodes_to(void)
{
    static const char *const targets[] = { "all-linear" };
    const adapter_options a = { .rank = 2, .alpha = 4, .dropout = 0.2, .targets = { targets, 1 } };
    hone_error err = { 0 };
    st_file *f = golden_open(llama, "golden.safetensors");
    char *dir = temp_new();
    backend *packed = open_backend("cpu/blocks8", false), *dense = open_backend("cpu/fp32", false);
    batch b = { 0 };
    int64_t n;
    model_options o = { .dir = llama, .seq_len = 40, .batch = 2, .max_sequences = 2, .seed = 5 };
    float *original = golden_floats(f, "logits", &n);
    float *got = malloc((size_t)n * sizeof *got), *want = malloc((size_t)n * sizeof *want);
    golden_batch(&b, golden_tensor(f, "input_ids"), golden_tensor(f, "labels"), NULL);

    model *m = golden_model(packed, &o);
    CHECK_OK(model_logits(m, &b, got, &err), err);
    CHECK_OK(model_save_full(m, dir, HONE_F32, 0, &err), err);
    const int64_t bytes = model_bytes(m);
    model_close(m);
    const double moved = golden_error(got, original, n);
    CHECK(moved > 1e-4 && moved < 0.1); /* it is quantized, and not badly */

    o.dir = dir; /* the decoded numbers */
    m = golden_model(dense, &o);
    CHECK_OK(model_logits(m, &b, want, &err), err);
    CHECK_WITHIN("logits", golden_error(got, want, n), 1e-6);
    CHECK(model_bytes(m) > bytes);
    model_close(m);

    o.train = TRAIN_LORA;
    o.adapter = &a;
    model *plain = golden_model(dense, &o);
    o.dir = llama;
    m = golden_model(packed, &o);
    CHECK_OK(model_train(m, &b, 1, 1, 0, &err), err);
    CHECK_OK(model_train(plain, &b, 1, 1, 0, &err), err);
    for (size_t i = 0; i < model_param_count(m); i++) {
        const param *p = model_param(m, i);
        float *x = golden_grad(m, p), *y = golden_grad(plain, model_param(plain, i));
        CHECK_WITHIN(p->name, golden_error(x, y, p->rows * p->cols), 1e-5);
        free(x);
        free(y);
    }
    model_close(m);
    model_close(plain);
    batch_finish(&b);
    st_close(f);
    backend_close(packed);
    backend_close(dense);
    temp_remove(dir);
    free(original);
    free(got);
    free(want);
}

static void test_formats__full_tuning_needs_plain_numbers(void)
{
    hone_error err = { 0 };
    backend *b = open_backend("cpu/blocks8", false);
    model *m = NULL;
    const model_options o = { .dir = llama, .train = TRAIN_FULL, .seq_len = 8, .batch = 1 };
    CHECK(model_open(&m, b, &o, &err) == HONE_ERR_UNSUPPORTED);
    CHECK_HAS(err.message, "full fine-tuning needs weights in fp32, bf16 or fp16, not blocks8");
    backend_close(b);
}

int main(void)
{
    const char *own = getenv("HONE_FAKE_DIR");
    hone_error err = { 0 };
    llama = golden_path("models/llama");
    CHECK_OK(registry_open(&plugins, &own, own ? 1 : 0, &err), err);
    RUN(test_formats__a_packed_model_is_the_model_it_decodes_to);
    RUN(test_formats__full_tuning_needs_plain_numbers);
    registry_close(plugins);
    free(llama);
    return TEST_EXIT();
}
