/*
 * test_models.c - each family against transformers: logits, loss, every gradient; packing
 * and cached decoding against the same numbers.
 *
 * Every folder of models/ that has a golden.safetensors is a case, on every device of
 * model_fixture.h, fused and composed. An argument names another models/ folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/config.h"
#include "model_fixture.h"

#define LOGITS_LIMIT 1e-5
#define GRAD_LIMIT 1e-4
#define MOST_FAMILIES 64

static const char *models_dir;
static char *families[MOST_FAMILIES]; /* folders */
static size_t n_families;
static registry *plugins;

static hone_status find_family(void *ctx, const char *path, hone_error *err)
{
    (void)ctx;
    (void)err;
    if (strcmp(path_base(path), "golden.safetensors") == 0 && n_families < MOST_FAMILIES)
        families[n_families++] = path_dir(path);
    return HONE_OK;
}

/* Opened with room for every batch of the fixture. */
static model *open_family(backend *b, const char *dir, int32_t train, int64_t context)
{
    const model_options o = { .dir = dir,
                              .train = train,
                              .seq_len = 128,
                              .batch = 2,
                              .max_sequences = 8,
                              .context = context };
    return golden_model(b, &o);
}

static void check_logits(model *m, const st_file *f, const char *what, const char *ids,
                         const char *cu)
{
    hone_error err = { 0 };
    batch b = { 0 };
    int64_t n;
    float *want = golden_floats(f, what, &n), *got = malloc((size_t)n * sizeof *got);
    golden_batch(&b, golden_tensor(f, ids), NULL, cu ? golden_tensor(f, cu) : NULL);
    CHECK_INT(b.n * model_config(m)->dim[DIM_V], n);
    CHECK_OK(model_logits(m, &b, got, &err), err);
    CHECK_WITHIN(what, golden_error(got, want, n), LOGITS_LIMIT);
    batch_finish(&b);
    free(got);
    free(want);
}

static void check_gradients(model *m, const st_file *f, double times)
{
    char name[160];
    size_t found = 0, expected = 0;
    for (size_t i = 0; i < st_count(f); i++)
        expected += strncmp(st_at(f, i)->name, "grad.", 5) == 0;
    for (size_t i = 0; i < model_param_count(m); i++) {
        const param *p = model_param(m, i);
        int64_t n;
        (void)snprintf(name, sizeof name, "grad.%s", p->name);
        float *want = golden_floats(f, name, &n), *got = golden_grad(m, p);
        CHECK_INT(p->rows * p->cols, n);
        for (int64_t k = 0; k < n; k++)
            want[k] *= (float)times;
        CHECK_WITHIN(name, golden_error(got, want, n), GRAD_LIMIT);
        found++;
        free(got);
        free(want);
    }
    CHECK_INT(found, expected);
}

static void check_training(backend *b, const char *dir, const st_file *f)
{
    hone_error err = { 0 };
    batch rows = { 0 };
    int64_t n;
    double sum = 0, norm = 0;
    float *loss = golden_floats(f, "loss", &n);
    model *m = open_family(b, dir, TRAIN_FULL, 0);
    golden_batch(&rows, golden_tensor(f, "input_ids"), golden_tensor(f, "labels"), NULL);
    const float scale = 1.0f / (float)rows.n_learned;
    float *nll = malloc((size_t)rows.n_learned * sizeof *nll);

    CHECK_OK(model_train(m, &rows, scale, 1, 0, &err), err);
    check_gradients(m, f, 1);
    CHECK_OK(model_loss(m, &sum, &err), err);
    CHECK_WITHIN("loss", fabs(sum * scale / loss[0] - 1), GRAD_LIMIT);

    double squares = 0;
    for (size_t i = 0; i < model_param_count(m); i++) {
        const param *p = model_param(m, i);
        float *g = golden_grad(m, p);
        for (int64_t k = 0; k < p->rows * p->cols; k++)
            squares += (double)g[k] * g[k];
        free(g);
    }
    CHECK_OK(model_grad_norm(m, &norm, &err), err);
    CHECK_WITHIN("norm", fabs(norm / sqrt(squares) - 1), 1e-6);

    CHECK_OK(model_train(m, &rows, scale, 1, 1, &err), err); /* a second micro-batch adds */
    check_gradients(m, f, 2);
    CHECK_OK(model_zero_grad(m, &err), err);
    CHECK_OK(model_grad_norm(m, &norm, &err), err);
    CHECK(norm == 0);

    CHECK_OK(model_eval(m, &rows, nll, &err), err); /* after model_loss(): one train, one eval */
    double total = 0;
    for (int32_t i = 0; i < rows.n_learned; i++)
        total += nll[i];
    CHECK_OK(model_loss(m, &sum, &err), err);
    CHECK_WITHIN("eval", fabs(total * scale / loss[0] - 1), GRAD_LIMIT);
    CHECK_WITHIN("train and eval", fabs(sum / (2 * total) - 1), 1e-6);
    CHECK_OK(model_loss(m, &sum, &err), err);
    CHECK(sum == 0);
    free(nll);
    free(loss);
    batch_finish(&rows);
    model_close(m);
}

/* The first sample of the fixture fed in pieces of every size gives its logits. */
static void check_decoding(model *m, const st_file *f)
{
    static const int64_t pieces[] = { 1, 3, 17, 1000 };
    const st_tensor *ids = golden_tensor(f, "input_ids");
    const int64_t vocab = model_config(m)->dim[DIM_V], t = ids->shape[1];
    hone_error err = { 0 };
    int64_t n;
    float *want = golden_floats(f, "logits", &n), *got = malloc((size_t)vocab * sizeof *got);
    int32_t *fed = malloc((size_t)t * sizeof *fed);
    for (int64_t i = 0; i < t; i++)
        fed[i] = (int32_t)golden_int(ids, i);
    for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++) {
        model_rewind(m, 0);
        for (int64_t i = 0; i < t; i += pieces[k]) {
            const int64_t step = t - i < pieces[k] ? t - i : pieces[k];
            CHECK_OK(model_feed(m, fed + i, (size_t)step, got, &err), err);
            CHECK_INT(model_fed(m), i + step);
            CHECK_WITHIN("decoding", golden_error(got, want + (i + step - 1) * vocab, vocab),
                         LOGITS_LIMIT);
        }
    }
    model_rewind(m, t / 2); /* and on from the middle */
    CHECK_OK(model_feed(m, fed + t / 2, (size_t)(t - t / 2), got, &err), err);
    CHECK_WITHIN("rewound", golden_error(got, want + (t - 1) * vocab, vocab), LOGITS_LIMIT);
    free(fed);
    free(got);
    free(want);
}

static void check_setting(const setting *s)
{
    backend *b = golden_backend(plugins, s);
    for (size_t i = 0; i < n_families; i++) {
        const int before = test_failures;
        st_file *f = golden_open(families[i], "golden.safetensors");
        model *m = open_family(b, families[i], TRAIN_NONE, 64);
        check_logits(m, f, "logits", "input_ids", NULL);
        check_logits(m, f, "packed.logits", "packed.input_ids", "packed.cu_seqlens");
        check_decoding(m, f);
        model_close(m);
        check_training(b, families[i], f);
        st_close(f);
        printf("%s %s %s\n", test_failures == before ? "ok  " : "FAIL", s->name,
               path_base(families[i]));
        fflush(stdout);
    }
    backend_close(b);
}

/* config.v4.json says the same as config.json. */
static void test_models__both_spellings_give_one_config(void)
{
    for (size_t i = 0; i < n_families; i++) {
        hone_error err = { 0 };
        llama_config c[2] = { 0 };
        static const char *const names[] = { "config.json", "config.v4.json" };
        for (int k = 0; k < 2; k++) {
            json_t *root = NULL;
            char *path = golden_join(families[i], names[k]);
            CHECK_OK(json_read(&root, path, &err), err);
            CHECK_OK(llama_config_parse(&c[k], root, path, &err), err);
            json_decref(root);
            free(path);
        }
        for (int64_t l = 0; c[0].windowed && c[1].windowed && l < c[0].layers; l++)
            CHECK_INT(c[0].windowed[l], c[1].windowed[l]);
        CHECK_INT(c[0].windowed != NULL, c[1].windowed != NULL);
        for (int k = 0; k < 2; k++)
            llama_config_finish(&c[k]);
        CHECK(memcmp(&c[0], &c[1], sizeof c[0]) == 0);
    }
}

static void test_models__every_family_on_every_setting(void)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        check_setting(&settings[i]);
}

int main(int argc, char **argv)
{
    hone_error err = { 0 };
    char *own = golden_path("models");
    models_dir = argc > 1 ? argv[1] : own;
    CHECK_OK(dir_walk(models_dir, find_family, NULL, &err), err);
    CHECK(n_families > 0);
    plugins = golden_registry();
    RUN(test_models__both_spellings_give_one_config);
    RUN(test_models__every_family_on_every_setting);
    registry_close(plugins);
    for (size_t i = 0; i < n_families; i++)
        free(families[i]);
    free(own);
    return TEST_EXIT();
}
