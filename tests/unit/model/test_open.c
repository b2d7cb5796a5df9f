/*
 * test_open.c - models that open, models that do not and why, and what is written back.
 *
 * Works on the tiny Llama of tests/golden, with its config.json changed key by key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "golden/model_fixture.h"
#include "temp.h"

static registry *plugins;
static backend *device;
static char *llama; /* folder */

static model_options options_of(const char *dir, int32_t train)
{
    return (model_options){ .dir = dir,
                            .train = train,
                            .seed = 3,
                            .seq_len = 40,
                            .batch = 2,
                            .max_sequences = 2,
                            .context = 24 };
}

/* A copy of the folder `from` in which config.json has `changes` (a JSON object). */
static char *changed_copy(const char *from, const char *changes)
{
    static const char *const names[] = { "model.safetensors", "generation_config.json" };
    char *dir = temp_new(), *path = golden_join(from, "config.json"), *bytes;
    hone_error err = { 0 };
    json_t *root = NULL, *more = NULL;
    size_t n;
    CHECK_OK(json_read(&root, path, &err), err);
    CHECK_OK(json_parse(&more, changes, strlen(changes), "changes", &err), err);
    CHECK(json_object_update(root, more) == 0);
    free(path);
    path = golden_join(dir, "config.json");
    CHECK_OK(json_write(root, path, &err), err);
    free(path);
    for (size_t i = 0; i < 2; i++) {
        path = golden_join(from, names[i]);
        CHECK_OK(file_read(&bytes, &n, path, 1 << 24, &err), err);
        temp_put(dir, names[i], bytes, n);
        free(bytes);
        free(path);
    }
    json_decref(more);
    json_decref(root);
    return dir;
}

static void test_open__config_and_tensors_must_agree(void)
{
    static const struct {
        const char *changes, *message;
    } cases[] = {
        { "{\"hidden_size\":48}",
          "tensor model.embed_tokens.weight has shape (128, 32), config.json makes it (128, 48)" },
        { "{\"vocab_size\":129}", "tensor model.embed_tokens.weight has shape (128, 32)" },
        { "{\"intermediate_size\":64}",
          "tensor model.layers.0.mlp.gate_proj.weight has shape (56, 32), config.json makes it "
          "(64, 32)" },
        { "{\"num_key_value_heads\":4}",
          "tensor model.layers.0.self_attn.k_proj.weight has shape (16, 32), config.json makes it "
          "(32, 32)" },
        { "{\"num_hidden_layers\":4}", "tensor model.layers.3.input_layernorm.weight is missing" },
        { "{\"num_hidden_layers\":2}", "is no part of a llama model with this config.json" },
        { "{\"attention_bias\":true}", "tensor model.layers.0.self_attn.q_proj.bias is missing" },
        { "{\"tie_word_embeddings\":true}", "config.json ties lm_head to the embedding" },
        { "{\"model_type\":\"qwen3\",\"architectures\":null}",
          "tensor model.layers.0.self_attn.q_norm.weight is missing" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int32_t train = TRAIN_NONE; train <= TRAIN_FULL; train += TRAIN_FULL) {
            char *dir = changed_copy(llama, cases[i].changes);
            const model_options o = options_of(dir, train);
            hone_error err = { 0 };
            model *m = NULL;
            CHECK(model_open(&m, device, &o, &err) != HONE_OK);
            CHECK(m == NULL);
            CHECK_HAS(err.message, cases[i].message);
            temp_remove(dir);
        }
}

/* One tensor of a copy, written anew with other bytes. */
static void replace_weights(const char *dir, const char *name, uint32_t dtype, bool drop_head,
                            bool head_is_embedding)
{
    hone_error err = { 0 };
    st_file *f = golden_open(llama, "model.safetensors");
    st_writer *w = NULL;
    char *path = golden_join(dir, "model.safetensors");
    CHECK_OK(st_writer_open(&w, path, &err), err);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < st_count(f); i++) {
            const st_tensor *t = st_at(f, i);
            const bool head = strcmp(t->name, "lm_head.weight") == 0;
            if (head && drop_head)
                continue;
            const st_tensor *from =
                head && head_is_embedding ? st_find(f, "model.embed_tokens.weight") : t;
            const bool other = name && strcmp(t->name, name) == 0;
            if (pass == 0)
                CHECK_OK(st_writer_declare(w, t->name, other ? dtype : t->dtype, t->rank, t->shape,
                                           &err),
                         err);
            else
                CHECK_OK(st_writer_add(w, from->p, from->bytes, &err), err);
        }
    CHECK_OK(st_writer_commit(w, &err), err);
    st_close(f);
    free(path);
}

static void test_open__weights_must_be_floats(void)
{
    char *dir = changed_copy(llama, "{}");
    const model_options o = options_of(dir, TRAIN_NONE);
    hone_error err = { 0 };
    model *m = NULL;
    replace_weights(dir, "model.layers.1.mlp.up_proj.weight", HONE_I32, false, false);
    CHECK(model_open(&m, device, &o, &err) == HONE_ERR_UNSUPPORTED);
    CHECK_HAS(err.message, "tensor model.layers.1.mlp.up_proj.weight holds no F32, F16");
    temp_remove(dir);
}

static void test_open__a_tied_head_may_be_stored_when_it_is_the_embedding(void)
{
    char *dir = changed_copy(llama, "{\"tie_word_embeddings\":true}");
    const model_options o = options_of(dir, TRAIN_NONE);
    hone_error err = { 0 };
    model *m = NULL;
    replace_weights(dir, NULL, 0, false, true);
    CHECK_OK(model_open(&m, device, &o, &err), err);
    CHECK(model_config(m)->tied);
    model_close(m);
    replace_weights(dir, NULL, 0, true, false);
    CHECK_OK(model_open(&m, device, &o, &err), err);
    model_close(m);
    temp_remove(dir);
}

static void test_open__options_are_checked(void)
{
    static const char *const nowhere[] = { "lm_head" }, *const some[] = { "q_proj", "w_proj" };
    const adapter_options bad = { .rank = 2, .alpha = 2, .targets = { nowhere, 1 } };
    const adapter_options half = { .rank = 2, .alpha = 2, .targets = { some, 2 } };
    const struct {
        model_options o;
        const char *message;
    } cases[] = {
        { { .dir = llama, .train = TRAIN_LORA, .seq_len = 8, .batch = 1 },
          "LoRA needs an adapter" },
        { { .dir = llama, .train = TRAIN_FULL, .seq_len = 0, .batch = 1 }, "expected 1 or more" },
        { { .dir = llama, .train = TRAIN_FULL, .seq_len = 8, .batch = 1, .adapter_dir = "x" },
          "full fine-tuning takes no adapter" },
        { { .dir = llama, .seq_len = 1 << 30, .batch = 4 }, "is too large" },
        { { .dir = llama, .train = TRAIN_LORA, .seq_len = 8, .batch = 1, .adapter = &bad },
          "adapter: \"lm_head\" matches no projection of this model" },
        { { .dir = llama, .train = TRAIN_LORA, .seq_len = 8, .batch = 1, .adapter = &half },
          "adapter: \"w_proj\" matches no projection of this model" },
        { { .dir = "/nowhere", .seq_len = 8, .batch = 1 }, "/nowhere/config.json" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_error err = { 0 };
        model *m = NULL;
        CHECK(model_open(&m, device, &cases[i].o, &err) != HONE_OK);
        CHECK_HAS(err.message, cases[i].message);
    }
}

static void test_open__backends_are_named_in_full(void)
{
    static const struct {
        const char *spec, *message;
    } cases[] = {
        { "cpu", "expected device/format or device:number/format, such as cpu/fp32" },
        { "", "expected device/format" },
        { "cpu/", "expected device/format" },
        { "cpu/fp32/x", "expected device/format" },
        { "cpu:/fp32", "expected device/format" },
        { "cpu:1x/fp32", "expected device/format" },
        { "cpu:99999999999999999999/fp32", "expected device/format" },
        { "cpu:7/fp32", "device number 7, there is 1" },
        { "cpu/fp33", "fp32" },
        { "tpu/fp32", "cpu" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_error err = { 0 };
        backend *b = NULL;
        CHECK(backend_open(&b, plugins, cases[i].spec, NULL, NULL, &err) != HONE_OK);
        CHECK(b == NULL);
        CHECK_HAS(err.message, cases[i].message);
        CHECK_HAS(err.message, "backend ");
    }
    hone_error err = { 0 };
    backend *b = NULL;
    text paths = { 0 };
    CHECK_OK(backend_open(&b, plugins, "cpu:0/fp32", NULL, NULL, &err), err);
    CHECK_STR(backend_spec(b), "cpu:0/fp32");
    CHECK_STR(backend_info(b)->type, "cpu");
    backend_print_paths(b, &paths);
    CHECK_HAS(paths.p, "attention");
    text_finish(&paths);
    backend_close(b);
}

static void test_open__batches_are_checked(void)
{
    hone_error err = { 0 };
    const model_options o = options_of(llama, TRAIN_NONE);
    model *m = golden_model(device, &o);
    batch b = { 0 };
    float *logits = malloc(4 * 128 * sizeof *logits);
    CHECK_OK(batch_init(&b, 40, 3, 4, &err), err);
    b.n = 4;
    b.n_sequences = 1;
    b.n_learned = 1;
    b.longest = 4;
    b.cu[1] = 4;
    for (int i = 0; i < 4; i++)
        b.position[i] = i;
    CHECK_OK(model_logits(m, &b, logits, &err), err);
    const struct {
        int32_t *at, value;
        const char *message;
    } cases[] = {
        { &b.ids[2], 128, "token 2 has id 128, the model's vocabulary ends at 127" },
        { &b.ids[2], -1, "token 2 has id -1" },
        { &b.position[1], 40, "token 1 is at position 40, the model was opened for 40" },
        { &b.n, 81, "81 tokens, the model holds 1 to 80" },
        { &b.n, 0, "0 tokens" },
        { &b.n_sequences, 3, "3 sequences, the model holds 1 to 2" },
        { &b.cu[1], 5, "sequence 0 covers tokens [0, 5) of 4" },
        { &b.cu[0], -1, "sequence 0 covers tokens [-1, 4)" },
        { &b.seg_start[0], 1, "token 0 starts its sequence at 1" },
        { &b.target[0], 128, "supervised position 0 is token 0 with target 128" },
        { &b.learn_row[0], 4, "supervised position 0 is token 4" },
        { &b.n_learned, 5, "5 supervised positions of 4" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int32_t was = *cases[i].at;
        *cases[i].at = cases[i].value;
        CHECK(model_logits(m, &b, logits, &err) != HONE_OK);
        CHECK_HAS(err.message, cases[i].message);
        *cases[i].at = was;
    }
    CHECK(model_train(m, &b, 1, 1, 0, &err) == HONE_ERR_STATE);
    CHECK_OK(model_logits(m, &b, logits, &err), err);
    batch_finish(&b);
    free(logits);
    model_close(m);
}

/* ------------------------------------------------------------------------ generation */

typedef struct seen {
    int32_t ids[64];
    int n, stop_after;
} seen;

static hone_status on_token(void *ctx, int32_t id, hone_error *err)
{
    seen *s = ctx;
    s->ids[s->n++] = id;
    return s->n == s->stop_after ? hone_fail(err, HONE_ERR_CANCELLED, "enough") : HONE_OK;
}

static void test_open__generation_ends_for_a_reason(void)
{
    static const int32_t prompt[] = { 3, 14, 15, 92 };
    hone_error err = { 0 };
    const model_options o = options_of(llama, TRAIN_NONE);
    model *m = golden_model(device, &o);
    sampling s = { .top_p = 1, .repetition_penalty = 1, .max_tokens = 6 };
    tokens out = { 0 }, again = { 0 };
    seen got = { .stop_after = -1 };
    const char *reason = NULL;
    CHECK_OK(model_generate(m, prompt, 4, &s, NULL, 0, on_token, &got, &out, &reason, &err), err);
    CHECK_STR(reason, "length");
    CHECK_INT(out.n, 6);
    CHECK_INT(got.n, 6);
    CHECK_INT(model_fed(m), 4 + 5); /* the last one was not fed */
    for (int i = 0; i < 6; i++)
        CHECK_INT(got.ids[i], out.p[i].id);

    /* greedy by hand over whole sequences gives the same */
    batch b = { 0 };
    float *logits = malloc((size_t)40 * 128 * sizeof *logits);
    CHECK_OK(batch_init(&b, 40, 1, 1, &err), err);
    b.n_sequences = 1;
    for (int i = 0; i < 10; i++) {
        b.ids[i] = i < 4 ? prompt[i] : out.p[i - 4].id;
        b.position[i] = i;
    }
    for (int i = 0; i < 6; i++) {
        b.n = b.longest = b.cu[1] = 4 + i;
        CHECK_OK(model_logits(m, &b, logits, &err), err);
        CHECK_INT(sample_token(logits + (3 + i) * 128, 128, &s, NULL, 0, 0), out.p[i].id);
    }
    batch_finish(&b);
    free(logits);

    model_rewind(m, 0); /* the fourth token ends it, and is not part of the answer */
    const int32_t stop = out.p[3].id;
    CHECK_OK(model_generate(m, prompt, 4, &s, &stop, 1, NULL, NULL, &again, &reason, &err), err);
    CHECK_STR(reason, "stop");
    CHECK_INT(again.n, 3);
    again.n = 0;
    model_rewind(m, 0);
    got = (seen){ .stop_after = 2 };
    CHECK_OK(model_generate(m, prompt, 4, &s, NULL, 0, on_token, &got, &again, &reason, &err), err);
    CHECK_STR(reason, "cancelled");
    CHECK_INT(again.n, 2);
    again.n = 0;
    model_rewind(m, 0);
    s.max_tokens = 100; /* the cache holds 24: the prompt, 20 that were fed, one that was not */
    CHECK_OK(model_generate(m, prompt, 4, &s, NULL, 0, NULL, NULL, &again, &reason, &err), err);
    CHECK_STR(reason, "context");
    CHECK_INT(again.n, 21);
    CHECK_INT(model_fed(m), 24);
    CHECK(model_feed(m, prompt, 1, NULL, &err) == HONE_ERR_LIMIT);
    CHECK_HAS(err.message, "1 tokens after 24 are more than the context of 24");
    model_rewind(m, 0);
    const int32_t bad = 128;
    CHECK(model_feed(m, &bad, 1, NULL, &err) == HONE_ERR_ARG);
    CHECK_HAS(err.message, "token id 128, the vocabulary ends at 127");
    CHECK(model_feed(m, NULL, 0, NULL, &err) == HONE_ERR_ARG);
    CHECK_INT(model_fed(m), 0);

    again.n = out.n = 0; /* a seed is an answer */
    s = (sampling){
        .temperature = 2, .top_p = 1, .repetition_penalty = 1, .max_tokens = 20, .seed = 5
    };
    CHECK_OK(model_generate(m, prompt, 4, &s, NULL, 0, NULL, NULL, &out, &reason, &err), err);
    model_rewind(m, 0);
    CHECK_OK(model_generate(m, prompt, 4, &s, NULL, 0, NULL, NULL, &again, &reason, &err), err);
    int same = 0, same_other = 0;
    for (int i = 0; i < 20; i++)
        same += out.p[i].id == again.p[i].id;
    CHECK_INT(same, 20);
    again.n = 0;
    s.seed = 6;
    model_rewind(m, 0);
    CHECK_OK(model_generate(m, prompt, 4, &s, NULL, 0, NULL, NULL, &again, &reason, &err), err);
    for (int i = 0; i < 20; i++)
        same_other += out.p[i].id == again.p[i].id;
    CHECK(same_other < 10);

    /* the penalty sees what is in the cache, not only this prompt */
    int32_t all[24];
    memcpy(all, prompt, sizeof prompt);
    s = (sampling){ .top_p = 1, .repetition_penalty = 50, .max_tokens = 12 };
    again.n = out.n = 0;
    model_rewind(m, 0);
    CHECK_OK(model_generate(m, prompt, 4, &s, NULL, 0, NULL, NULL, &out, &reason, &err), err);
    model_rewind(m, 3);
    CHECK_OK(model_generate(m, prompt + 3, 1, &s, NULL, 0, NULL, NULL, &again, &reason, &err), err);
    for (int i = 0; i < 12; i++) {
        CHECK_INT(out.p[i].id, again.p[i].id);
        for (int k = 0; k < 4 + i; k++)
            CHECK(all[k] != out.p[i].id); /* 128 ids, and every used one is out of favour */
        all[4 + i] = out.p[i].id;
    }
    tokens_finish(&out);
    tokens_finish(&again);
    model_close(m);

    model_options none = o;
    none.context = 0;
    m = golden_model(device, &none);
    CHECK(model_feed(m, prompt, 1, NULL, &err) == HONE_ERR_STATE);
    CHECK_HAS(err.message, "without a generation cache");
    model_close(m);
}

/* -------------------------------------------------------------------------- saving */

static void values_of(model *m, size_t i, float *x)
{
    hone_error err = { 0 };
    const param *p = model_param(m, i);
    CHECK_OK(ops_download(model_ops(m), x, p->value.buf, p->value.offset,
                          (uint64_t)(p->rows * p->cols) * sizeof *x, &err),
             err);
}

static void test_open__what_is_saved_opens_again(void)
{
    static const struct {
        uint32_t dtype;
        int64_t shard_bytes;
        const char *type;
        double limit;
    } cases[] = {
        { HONE_F32, 0, "float32", 0 },
        { HONE_F32, 30000, "float32", 0 },
        { HONE_BF16, 20000, "bfloat16", 0.003 },
        { HONE_F16, 0, "float16", 0.0004 },
    };
    static float x[128 * 128], y[128 * 128];
    const model_options o = options_of(llama, TRAIN_FULL);
    model *m = golden_model(device, &o);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_error err = { 0 };
        char *dir = temp_new(), *path;
        json_t *config = NULL;
        CHECK_OK(model_save_full(m, dir, cases[i].dtype, cases[i].shard_bytes, &err), err);
        path = golden_join(dir, "model.safetensors.index.json");
        CHECK(path_exists(path) == (cases[i].shard_bytes > 0));
        free(path);
        path = golden_join(dir, "generation_config.json");
        CHECK(path_exists(path));
        free(path);
        path = golden_join(dir, "config.json");
        CHECK_OK(json_read(&config, path, &err), err);
        CHECK_STR(json_string_value(json_object_get(config, "dtype")), cases[i].type);
        json_decref(config);
        free(path);

        const model_options again = options_of(dir, TRAIN_FULL);
        model *n = golden_model(device, &again);
        CHECK_INT(model_param_count(n), model_param_count(m));
        for (size_t k = 0; k < model_param_count(m); k++) {
            const param *p = model_param(m, k);
            CHECK_STR(model_param(n, k)->name, p->name);
            values_of(m, k, x);
            values_of(n, k, y);
            CHECK_WITHIN(p->name, golden_error(y, x, p->rows * p->cols), cases[i].limit);
        }
        model_close(n);
        temp_remove(dir);
    }
    hone_error err = { 0 };
    CHECK(model_save_full(m, "/tmp", HONE_I32, 0, &err) == HONE_ERR_ARG);
    CHECK(model_save_adapter(m, "/tmp", NULL, &err) == HONE_ERR_STATE);
    model_close(m);
}

/* One folder, saved three times: the last one counts, whatever kind came before. */
static void test_open__a_save_replaces_one_of_the_other_kind(void)
{
    static float x[128 * 128], y[128 * 128];
    char *dir = temp_new();
    hone_error err = { 0 };
    model_options o = options_of(llama, TRAIN_FULL);
    for (int i = 0; i < 3; i++) {
        o.fresh = i > 0;
        o.seed = (uint64_t)i;
        model *m = golden_model(device, &o), *n;
        CHECK_OK(model_save_full(m, dir, HONE_F32, i == 1 ? 0 : 30000, &err), err);
        const model_options again = options_of(dir, TRAIN_FULL);
        n = golden_model(device, &again);
        values_of(m, 0, x);
        values_of(n, 0, y);
        CHECK(memcmp(x, y, 128 * 32 * sizeof *x) == 0);
        model_close(n);
        model_close(m);
    }
    temp_remove(dir);
}

static void test_open__fresh_weights_come_from_the_seed(void)
{
    static float x[128 * 128], y[128 * 128], z[128 * 128];
    char *dir = changed_copy(llama, "{}"), *path = golden_join(dir, "model.safetensors");
    CHECK(remove(path) == 0); /* config.json is all that is needed */
    free(path);
    model_options o = options_of(dir, TRAIN_FULL);
    o.fresh = true;
    model *a = golden_model(device, &o), *b = golden_model(device, &o);
    o.seed = 4;
    model *c = golden_model(device, &o);
    for (size_t i = 0; i < model_param_count(a); i++) {
        const param *p = model_param(a, i);
        const int64_t n = p->rows * p->cols;
        double square = 0;
        values_of(a, i, x);
        values_of(b, i, y);
        values_of(c, i, z);
        CHECK(memcmp(x, y, (size_t)n * sizeof *x) == 0);
        for (int64_t k = 0; k < n; k++)
            square += (double)x[k] * x[k] / (double)n;
        if (strstr(p->name, "norm")) {
            CHECK(x[0] == 1 && square == 1 && !p->decay);
        } else { /* normal, deviation 0.02 */
            CHECK(memcmp(x, z, (size_t)n * sizeof *x) != 0);
            CHECK(fabs(sqrt(square) / 0.02 - 1) < 4 / sqrt(2 * (double)n));
            CHECK(p->decay);
        }
    }
    model_close(a);
    model_close(b);
    model_close(c);
    temp_remove(dir);
}

int main(void)
{
    llama = golden_path("models/llama");
    plugins = golden_registry();
    device = golden_backend(plugins, &settings[0]);
    RUN(test_open__config_and_tensors_must_agree);
    RUN(test_open__weights_must_be_floats);
    RUN(test_open__a_tied_head_may_be_stored_when_it_is_the_embedding);
    RUN(test_open__options_are_checked);
    RUN(test_open__backends_are_named_in_full);
    RUN(test_open__batches_are_checked);
    RUN(test_open__generation_ends_for_a_reason);
    RUN(test_open__what_is_saved_opens_again);
    RUN(test_open__a_save_replaces_one_of_the_other_kind);
    RUN(test_open__fresh_weights_come_from_the_seed);
    backend_close(device);
    registry_close(plugins);
    free(llama);
    return TEST_EXIT();
}
