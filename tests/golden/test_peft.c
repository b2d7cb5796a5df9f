/*
 * test_peft.c - adapters against PEFT: logits, gradients, files in both directions; and what
 * PEFT cannot show: dropout's gradient, and that a lone adapter learns what it learns in
 * company.
 *
 * An argument names another peft/ folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <unistd.h>

#include "core/model/adapter.h"
#include "model_fixture.h"

#define LOGITS_LIMIT 1e-5
#define GRAD_LIMIT 1e-4

static const char *peft_dir;
static registry *plugins;
static backend *device;

static model_options base_options(const char *base, int32_t train)
{
    return (model_options){ .dir = base,
                            .train = train,
                            .seed = 11,
                            .seq_len = 128,
                            .batch = 2,
                            .max_sequences = 8,
                            .context = 64 };
}

static adapter_options lora_options(const char *const *targets, size_t n)
{
    return (adapter_options){ .rank = 3, .alpha = 6, .targets = { targets, n } };
}

static void check_logits(model *m, const st_file *f, const char *what)
{
    hone_error err = { 0 };
    batch b = { 0 };
    int64_t n;
    float *want = golden_floats(f, what, &n), *got = malloc((size_t)n * sizeof *got);
    golden_batch(&b, golden_tensor(f, "input_ids"), NULL, NULL);
    CHECK_OK(model_logits(m, &b, got, &err), err);
    CHECK_WITHIN(what, golden_error(got, want, n), LOGITS_LIMIT);

    int32_t *ids = malloc((size_t)b.n * sizeof *ids); /* the first row through the cache */
    const int64_t vocab = model_config(m)->dim[DIM_V], t = b.cu[1];
    memcpy(ids, b.ids, (size_t)t * sizeof *ids);
    model_rewind(m, 0);
    CHECK_OK(model_feed(m, ids, (size_t)(t / 2), got, &err), err);
    CHECK_OK(model_feed(m, ids + t / 2, (size_t)(t - t / 2), got, &err), err);
    CHECK_WITHIN("decoding", golden_error(got, want + (t - 1) * vocab, vocab), LOGITS_LIMIT);
    free(ids);
    batch_finish(&b);
    free(got);
    free(want);
}

static void check_gradients(model *m, const st_file *f)
{
    hone_error err = { 0 };
    batch b = { 0 };
    char name[256];
    int64_t n;
    double sum;
    float *loss = golden_floats(f, "loss", &n);
    golden_batch(&b, golden_tensor(f, "input_ids"), golden_tensor(f, "labels"), NULL);
    CHECK_OK(model_zero_grad(m, &err), err);
    CHECK_OK(model_train(m, &b, 1.0f / (float)b.n_learned, 1, 0, &err), err);
    CHECK_OK(model_loss(m, &sum, &err), err);
    CHECK_WITHIN("loss", fabs(sum / b.n_learned / loss[0] - 1), GRAD_LIMIT);
    size_t expected = 0;
    for (size_t i = 0; i < st_count(f); i++)
        expected += strncmp(st_at(f, i)->name, "grad.", 5) == 0;
    CHECK_INT(model_param_count(m), expected);
    for (size_t i = 0; i < model_param_count(m); i++) {
        const param *p = model_param(m, i);
        (void)snprintf(name, sizeof name, "grad.%s", p->name);
        float *want = golden_floats(f, name, &n), *got = golden_grad(m, p);
        CHECK_INT(n, p->rows * p->cols);
        CHECK_WITHIN(name, golden_error(got, want, n), GRAD_LIMIT);
        CHECK(p->decay);
        free(got);
        free(want);
    }
    free(loss);
    batch_finish(&b);
}

/* Same tensors in both files, to the bit. */
static void check_same_file(const char *one, const char *two)
{
    st_file *a = golden_open(one, "adapter_model.safetensors");
    st_file *b = golden_open(two, "adapter_model.safetensors");
    CHECK_INT(st_count(a), st_count(b));
    for (size_t i = 0; i < st_count(a); i++) {
        const st_tensor *x = st_at(a, i), *y = golden_tensor(b, x->name);
        CHECK(x->bytes == y->bytes && x->rank == y->rank && x->shape[0] == y->shape[0] &&
              memcmp(x->p, y->p, x->bytes) == 0);
    }
    st_close(a);
    st_close(b);
}

static char *temp_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = path_join(tmp && tmp[0] == '/' ? tmp : "/tmp", "hone-peft-XXXXXX");
    CHECK(dir && mkdtemp(dir));
    return dir;
}

static void check_adapter(const char *name)
{
    hone_error err = { 0 };
    char *dir = golden_join(peft_dir, name), *base = golden_join(peft_dir, "base");
    char *saved = temp_dir();
    st_file *f = golden_open(dir, "golden.safetensors");
    model_options o = base_options(base, TRAIN_NONE);
    model *m = golden_model(device, &o);
    check_logits(m, f, "base.logits");
    CHECK_INT(model_param_count(m), 0);
    model_close(m);

    o.adapter_dir = dir;
    m = golden_model(device, &o);
    check_logits(m, f, "logits");
    CHECK_INT(model_param_count(m), 0);
    model_close(m);

    o.train = TRAIN_LORA;
    m = golden_model(device, &o);
    check_logits(m, f, "logits");
    check_gradients(m, f);
    json_t *extra = json_pack("{s:s}", "template", "abc"), *own = NULL;
    CHECK_OK(model_save_adapter(m, saved, extra, &err), err);
    model_close(m);
    check_same_file(dir, saved);
    CHECK_OK(adapter_provenance(&own, saved, &err), err);
    CHECK_STR(json_string_value(json_object_get(own, "template")), "abc");
    CHECK_STR(json_string_value(json_object_get(own, "base_model")), base);
    json_decref(own);
    json_decref(extra);
    own = (json_t *)(uintptr_t)1;
    CHECK_OK(adapter_provenance(&own, dir, &err), err); /* PEFT's folder has none */
    CHECK(own == NULL);

    o.adapter_dir = saved; /* what hone wrote means the same to hone */
    o.train = TRAIN_LORA;
    m = golden_model(device, &o);
    check_logits(m, f, "logits");
    check_gradients(m, f);
    model_close(m);
    CHECK_OK(dir_remove(saved, &err), err);
    st_close(f);
    free(saved);
    free(base);
    free(dir);
}

static void test_peft__adapters_of_peft(void)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        device = golden_backend(plugins, &settings[i]);
        check_adapter("lora");
        check_adapter("rslora");
        backend_close(device);
    }
}

/* ---------------------------------------------------------------- without a fixture */

static void test_peft__a_new_adapter_changes_nothing_yet(void)
{
    static const char *const targets[] = { "all-linear" };
    hone_error err = { 0 };
    char *base = golden_join(peft_dir, "base"), *lora = golden_join(peft_dir, "lora");
    st_file *f = golden_open(lora, "golden.safetensors");
    model_options o = base_options(base, TRAIN_LORA);
    adapter_options a = lora_options(targets, 1);
    o.adapter = &a;
    device = golden_backend(plugins, &settings[0]);
    model *m = golden_model(device, &o);
    check_logits(m, f, "base.logits");
    CHECK_INT(model_param_count(m), model_config(m)->layers * 14);
    for (size_t i = 0; i < model_param_count(m); i++) {
        const param *p = model_param(m, i);
        const int64_t n = p->rows * p->cols;
        float *x = malloc((size_t)n * sizeof *x);
        double mean = 0, square = 0, largest = 0;
        CHECK_OK(ops_download(model_ops(m), x, p->value.buf, p->value.offset,
                              (uint64_t)n * sizeof *x, &err),
                 err);
        for (int64_t k = 0; k < n; k++) {
            mean += x[k] / (double)n;
            square += (double)x[k] * x[k] / (double)n;
            largest = fmax(largest, fabs((double)x[k]));
        }
        if (strstr(p->name, "lora_B")) {
            CHECK(largest == 0);
        } else { /* uniform in +-bound: mean 0, mean square bound^2 / 3 */
            const double bound = 1 / sqrt((double)p->cols), n_d = (double)n;
            CHECK(largest <= bound && largest > 0.9 * bound);
            CHECK(fabs(mean) < 4 * bound / sqrt(3 * n_d));
            CHECK(fabs(3 * square / (bound * bound) - 1) < 4 / sqrt(n_d));
        }
        free(x);
    }
    model_close(m);
    backend_close(device);
    st_close(f);
    free(lora);
    free(base);
}

/* B is zero, so the network is the base model whichever adapters it carries, and the gradient
 * of one B does not depend on the others: nothing may be missing when the backward pass
 * ends early. */
static void test_peft__a_lone_adapter_gets_the_gradient_it_gets_in_company(void)
{
    static const char *const all[] = { "all-linear" };
    hone_error err = { 0 };
    char *base = golden_join(peft_dir, "base"), *lora = golden_join(peft_dir, "lora");
    st_file *f = golden_open(lora, "golden.safetensors");
    batch b = { 0 };
    model_options o = base_options(base, TRAIN_LORA);
    adapter_options a = lora_options(all, 1);
    o.adapter = &a;
    golden_batch(&b, golden_tensor(f, "input_ids"), golden_tensor(f, "labels"), NULL);
    device = golden_backend(plugins, &settings[0]);
    model *company = golden_model(device, &o);
    CHECK_OK(model_train(company, &b, 1, 1, 0, &err), err);
    for (size_t i = 0; i < model_param_count(company); i++) {
        const param *p = model_param(company, i);
        char module[128];
        if (!strstr(p->name, "lora_B"))
            continue;
        (void)snprintf(module, sizeof module, "%s", p->name + strlen("base_model.model."));
        *strstr(module, ".lora_B") = 0;
        const char *const one[] = { module };
        a = lora_options(one, 1);
        model *lone = golden_model(device, &o);
        CHECK_INT(model_param_count(lone), 2);
        CHECK_OK(model_train(lone, &b, 1, 1, 0, &err), err);
        CHECK_STR(model_param(lone, 1)->name, p->name);
        float *want = golden_grad(company, p), *got = golden_grad(lone, model_param(lone, 1));
        CHECK_WITHIN(p->name, golden_error(got, want, p->rows * p->cols), 1e-6);
        CHECK(want[0] != 0);
        free(got);
        free(want);
        model_close(lone);
    }
    model_close(company);
    backend_close(device);
    batch_finish(&b);
    st_close(f);
    free(lora);
    free(base);
}

static double loss_at(model *m, const batch *b, const float *at, const float *way, double h,
                      const param *p)
{
    hone_error err = { 0 };
    const int64_t n = p->rows * p->cols;
    double sum = 0;
    float *moved = malloc((size_t)n * sizeof *moved);
    for (int64_t k = 0; k < n; k++)
        moved[k] = (float)(at[k] + h * way[k]);
    CHECK_OK(ops_upload(model_ops(m), p->value.buf, p->value.offset, moved,
                        (uint64_t)n * sizeof *moved, &err),
             err);
    CHECK_OK(model_train(m, b, 0, 5, 2, &err), err);
    CHECK_OK(model_loss(m, &sum, &err), err);
    free(moved);
    return sum;
}

/* With dropout the loss of one (step, micro) is still a function: central differences. */
static void test_peft__dropout_has_the_gradient_of_what_it_does(void)
{
    hone_error err = { 0 };
    char *base = golden_join(peft_dir, "base"), *lora = golden_join(peft_dir, "lora");
    st_file *f = golden_open(lora, "golden.safetensors");
    batch b = { 0 };
    const adapter_options a = { .dropout = 0.4, .init = lora };
    model_options o = base_options(base, TRAIN_LORA);
    o.adapter = &a;
    golden_batch(&b, golden_tensor(f, "input_ids"), golden_tensor(f, "labels"), NULL);
    for (size_t s = 0; s < SETTING_COUNT; s++) {
        double plain = 0, dropped = 0, other = 0;
        device = golden_backend(plugins, &settings[s]);
        model *m = golden_model(device, &o);
        CHECK_OK(model_eval(m, &b, NULL, &err), err);
        CHECK_OK(model_loss(m, &plain, &err), err);
        CHECK_OK(model_train(m, &b, 1, 5, 2, &err), err);
        CHECK_OK(model_loss(m, &dropped, &err), err);
        /* every parameter once; composed, where it is slow, a few */
        for (size_t i = 0; i < model_param_count(m); i += settings[s].compose ? 9 : 1) {
            const param *p = model_param(m, i);
            const int64_t n = p->rows * p->cols;
            float *at = malloc((size_t)n * sizeof *at), *way = golden_grad(m, p);
            double norm = 0;
            CHECK_OK(ops_download(model_ops(m), at, p->value.buf, p->value.offset,
                                  (uint64_t)n * sizeof *at, &err),
                     err);
            for (int64_t k = 0; k < n; k++)
                norm += (double)way[k] * way[k];
            norm = sqrt(norm);
            for (int64_t k = 0; k < n; k++)
                way[k] = (float)(way[k] / norm);
            const double h = 4e-3,
                         slope = (loss_at(m, &b, at, way, h, p) - loss_at(m, &b, at, way, -h, p)) /
                                 (2 * h);
            (void)loss_at(m, &b, at, way, 0, p);
            CHECK_WITHIN(p->name, fabs(slope / norm - 1), 1e-2);
            free(way);
            free(at);
        }
        CHECK_OK(model_train(m, &b, 0, 5, 3, &err), err); /* another micro-batch, another mask */
        CHECK_OK(model_loss(m, &other, &err), err);
        CHECK(plain != dropped && dropped != other && plain != other);
        CHECK_OK(model_train(m, &b, 0, 5, 2, &err), err);
        CHECK_OK(model_loss(m, &other, &err), err);
        CHECK(dropped == other);
        model_close(m);
        backend_close(device);
    }
    batch_finish(&b);
    st_close(f);
    free(lora);
    free(base);
}

/* Two runs of the same step: the same bits. */
static void test_peft__the_same_step_gives_the_same_bits(void)
{
    static const char *const targets[] = { "all-linear" };
    hone_error err = { 0 };
    char *base = golden_join(peft_dir, "base"), *lora = golden_join(peft_dir, "lora");
    st_file *f = golden_open(lora, "golden.safetensors");
    batch b = { 0 };
    adapter_options a = lora_options(targets, 1);
    a.dropout = 0.25;
    model_options o = base_options(base, TRAIN_LORA);
    o.adapter = &a;
    golden_batch(&b, golden_tensor(f, "input_ids"), golden_tensor(f, "labels"), NULL);
    device = golden_backend(plugins, &settings[0]);
    model *m[2];
    double sum[2];
    for (int k = 0; k < 2; k++) {
        m[k] = golden_model(device, &o);
        CHECK_OK(model_train(m[k], &b, 0.5f, 7, 0, &err), err);
        CHECK_OK(model_train(m[k], &b, 0.5f, 7, 1, &err), err);
        CHECK_OK(model_loss(m[k], &sum[k], &err), err);
    }
    CHECK(sum[0] == sum[1]);
    for (size_t i = 0; i < model_param_count(m[0]); i++) {
        const param *p = model_param(m[0], i);
        float *x = golden_grad(m[0], p), *y = golden_grad(m[1], model_param(m[1], i));
        CHECK(memcmp(x, y, (size_t)(p->rows * p->cols) * sizeof *x) == 0);
        free(x);
        free(y);
    }
    model_close(m[0]);
    model_close(m[1]);
    backend_close(device);
    batch_finish(&b);
    st_close(f);
    free(lora);
    free(base);
}

int main(int argc, char **argv)
{
    char *own = golden_path("peft");
    peft_dir = argc > 1 ? argv[1] : own;
    plugins = golden_registry();
    RUN(test_peft__adapters_of_peft);
    RUN(test_peft__a_new_adapter_changes_nothing_yet);
    RUN(test_peft__a_lone_adapter_gets_the_gradient_it_gets_in_company);
    RUN(test_peft__dropout_has_the_gradient_of_what_it_does);
    RUN(test_peft__the_same_step_gives_the_same_bits);
    registry_close(plugins);
    free(own);
    return TEST_EXIT();
}
