/*
 * test_keep.c - whatever blocks keep for the backward pass, the gradients are the same bits;
 * and what is allocated is what was planned.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "golden/model_fixture.h"

static registry *plugins;

static const struct {
    int64_t all, cheap; /* of 2 or 3 blocks; the rest: inputs */
} kept[] = { { 0, 3 }, { 3, 0 }, { 0, 0 }, { 1, 1 }, { 2, 0 }, { 0, 1 } };

/* Numbers that are the same for every model of a test: a fresh B is zero and hides errors. */
static void fill_params(model *m)
{
    hone_error err = { 0 };
    for (size_t i = 0; i < model_param_count(m); i++) {
        const param *p = model_param(m, i);
        const int64_t n = p->rows * p->cols;
        float *x = malloc((size_t)n * sizeof *x);
        for (int64_t k = 0; k < n; k++)
            x[k] = (float)(0.1 * rng_normal(11, i, (uint64_t)k)) + (p->cols == 1 ? 1.0f : 0.0f);
        CHECK_OK(ops_upload(model_ops(m), p->value.buf, p->value.offset, x, (uint64_t)n * sizeof *x,
                            &err),
                 err);
        free(x);
    }
}

/* Gradients of all parameters, one behind another, after two micro-batches. */
static float *gradients(backend *device, const model_options *o, size_t how, const batch *b,
                        size_t *n)
{
    hone_error err = { 0 };
    model *m = NULL;
    float *all = NULL;
    double loss = 0;
    CHECK_OK(model_plan(&m, device, o, &err), err);
    CHECK_INT(model_trained_blocks(m), model_config(m)->layers);
    CHECK_OK(model_keep(m, kept[how].all, kept[how].cheap, &err), err);
    CHECK_OK(model_load(m, &err), err);
    fill_params(m);
    CHECK_OK(model_zero_grad(m, &err), err);
    CHECK_OK(model_train(m, b, 0.5f, 3, 0, &err), err);
    CHECK_OK(model_train(m, b, 0.5f, 3, 1, &err), err);
    CHECK_OK(model_loss(m, &loss, &err), err);
    CHECK(isfinite(loss) && loss > 0);
    *n = 0;
    for (size_t i = 0; i < model_param_count(m); i++) {
        const param *p = model_param(m, i);
        const size_t count = (size_t)(p->rows * p->cols);
        float *x = golden_grad(m, p);
        all = realloc(all, (*n + count) * sizeof *all);
        memcpy(all + *n, x, count * sizeof *all);
        *n += count;
        free(x);
    }
    model_close(m);
    return all;
}

static void same_for(const char *spec, const char *family, const model_options *like)
{
    const setting s = { spec, spec, false, NULL };
    char name[64];
    batch b = { 0 };
    size_t n = 0, m = 0;
    (void)snprintf(name, sizeof name, "models/%s", family);
    char *dir = golden_path(name);
    st_file *f = golden_open(dir, "golden.safetensors");
    backend *device = golden_backend(plugins, &s);
    model_options o = *like;
    o.dir = dir;
    golden_batch(&b, golden_tensor(f, "input_ids"), golden_tensor(f, "labels"), NULL);
    float *want = gradients(device, &o, 0, &b, &n);
    double size = 0;
    for (size_t i = 0; i < n; i++)
        size += (double)want[i] * want[i];
    CHECK(size > 1e-6);
    for (size_t k = 1; k < sizeof kept / sizeof kept[0]; k++) {
        float *got = gradients(device, &o, k, &b, &m);
        CHECK_INT(m, n);
        if (m == n && memcmp(got, want, n * sizeof *got) != 0) {
            fprintf(stderr, "%s %s: other gradients when %lld keep all, %lld what is dear\n", spec,
                    family, (long long)kept[k].all, (long long)kept[k].cheap);
            test_failures++;
        }
        free(got);
    }
    free(want);
    batch_finish(&b);
    backend_close(device);
    st_close(f);
    free(dir);
}

static void test_keep__gradients_are_the_same_bits(void)
{
    static const char *const all[] = { "all-linear" };
    static const char *const families[] = { "llama", "qwen2", "qwen3", "mistral" };
    static const char *const specs[] = { "cpu/fp32", "far/fp32" };
    const adapter_options a = { .rank = 3, .alpha = 6, .dropout = 0.25, .targets = { all, 1 } };
    for (size_t s = 0; s < sizeof specs / sizeof specs[0]; s++)
        for (size_t k = 0; k < sizeof families / sizeof families[0]; k++)
            for (int32_t train = TRAIN_LORA; train <= TRAIN_FULL; train++) {
                const model_options o = { .train = train,
                                          .adapter = train == TRAIN_LORA ? &a : NULL,
                                          .seed = 5,
                                          .seq_len = 40,
                                          .batch = 2,
                                          .max_sequences = 2 };
                same_for(specs[s], families[k], &o);
            }
}

/* Blocks below the first with an adapter share memory with those that are computed again. */
static void test_keep__frozen_blocks_below(void)
{
    static const char *const some[] = { "model.layers.1.mlp.up_proj",
                                        "model.layers.2.mlp.down_proj",
                                        "model.layers.2.self_attn.q_proj" };
    const adapter_options a = { .rank = 2, .alpha = 4, .targets = { some, 3 } };
    const setting s = { "cpu/fp32", "cpu/fp32", false, NULL };
    hone_error err = { 0 };
    char *dir = golden_path("models/llama");
    st_file *f = golden_open(dir, "golden.safetensors");
    backend *device = golden_backend(plugins, &s);
    batch b = { 0 };
    double first = 0;
    float *want = NULL;
    golden_batch(&b, golden_tensor(f, "input_ids"), golden_tensor(f, "labels"), NULL);
    for (int keep = 0; keep <= 2; keep++) {
        const model_options o = { .dir = dir,
                                  .train = TRAIN_LORA,
                                  .adapter = &a,
                                  .seed = 5,
                                  .seq_len = 40,
                                  .batch = 2,
                                  .max_sequences = 2 };
        model *m = NULL;
        double loss = 0;
        CHECK_OK(model_plan(&m, device, &o, &err), err);
        CHECK_INT(model_trained_blocks(m), 2);
        CHECK_OK(model_keep(m, keep == 2 ? 2 : 0, keep == 1 ? 2 : 0, &err), err);
        CHECK_OK(model_load(m, &err), err);
        fill_params(m);
        CHECK_OK(model_train(m, &b, 1, 1, 0, &err), err);
        CHECK_OK(model_loss(m, &loss, &err), err);
        const param *p = model_param(m, 0);
        float *got = golden_grad(m, p);
        if (keep == 0) {
            want = got;
            first = loss;
        } else {
            CHECK(loss == first);
            CHECK(memcmp(got, want, (size_t)(p->rows * p->cols) * sizeof *got) == 0);
            free(got);
        }
        model_close(m);
    }
    free(want);
    batch_finish(&b);
    backend_close(device);
    st_close(f);
    free(dir);
}

/* Less kept is less memory, and a plan is not changed by loading. */
static void test_keep__the_plan_knows(void)
{
    static const char *const all[] = { "all-linear" };
    const adapter_options a = { .rank = 3, .alpha = 6, .targets = { all, 1 } };
    const setting s = { "cpu/fp32", "cpu/fp32", false, NULL };
    hone_error err = { 0 };
    char *dir = golden_path("models/llama");
    backend *device = golden_backend(plugins, &s);
    const model_options o = { .dir = dir,
                              .train = TRAIN_LORA,
                              .adapter = &a,
                              .seq_len = 40,
                              .batch = 2,
                              .max_sequences = 2 };
    model *m = NULL;
    int64_t bytes[3], sum = 0;
    CHECK_OK(model_plan(&m, device, &o, &err), err);
    CHECK(model_param_count(m) == 42);
    for (int keep = KEEP_INPUT; keep <= KEEP_ALL; keep++) {
        CHECK_OK(model_keep(m, keep == KEEP_ALL ? 3 : 0, keep == KEEP_CHEAP ? 3 : 0, &err), err);
        bytes[keep] = model_bytes(m);
    }
    CHECK(bytes[KEEP_INPUT] < bytes[KEEP_CHEAP] && bytes[KEEP_CHEAP] < bytes[KEEP_ALL]);
    for (int i = 0; i < BYTES_KINDS; i++)
        sum += model_bytes_of(m, (bytes_kind)i);
    CHECK_INT(sum, bytes[KEEP_ALL]);
    CHECK_INT(model_bytes_of(m, BYTES_STATES), 0);
    CHECK_OK(model_load(m, &err), err); /* asserts the sum */
    CHECK_INT(model_bytes(m), sum);
    model_close(m);

    /* a device that is not here can be planned on, not loaded */
    backend *absent = NULL;
    m = NULL;
    model_options shape = o;
    shape.dir = NULL;
    shape.shape = "llama-2-7b";
    shape.max_sequences = 1;
    CHECK_OK(backend_open_absent(&absent, plugins, "a100", "fp32", NULL, &err), err);
    CHECK_OK(model_plan(&m, absent, &shape, &err), err);
    CHECK_INT(llama_param_count(model_config(m)), 6738415616);
    CHECK_INT(model_bytes_of(m, BYTES_WEIGHTS), 4 * INT64_C(6738415616));
    CHECK_INT(model_load(m, &err), HONE_ERR_DEVICE);
    model_close(m);
    backend_close(absent);
    backend_close(device);
    free(dir);
}

int main(void)
{
    hone_error err = { 0 };
    log_set_level(HONE_LOG_ERROR);
    CHECK_OK(registry_open(&plugins, NULL, 0, &err), err);
    test_keep__gradients_are_the_same_bits();
    test_keep__frozen_blocks_below();
    test_keep__the_plan_knows();
    plugin_shutdown_all();
    registry_close(plugins);
    return TEST_EXIT();
}
