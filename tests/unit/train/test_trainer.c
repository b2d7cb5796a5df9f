/*
 * test_trainer.c - the numbers of a run: windows, padding, decay, validation, bad input.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/train/fixture.h"

/* ------------------------------------------------------------------- windows */

/* Four rows a step, however they are cut: 2 x 2, 4 x 1, 1 x 4. */
static void test_trainer__accumulating_is_one_large_batch(void)
{
    static const int64_t cuts[][2] = { { 2, 2 }, { 4, 1 }, { 1, 4 } };
    char *out[3];
    char *file[3];
    double loss[3][16] = { { 0 } }, norm[3][16] = { { 0 } };
    size_t i, k;
    for (i = 0; i < 3; i++) {
        trial t = trial_new(out[i] = scratch("cut"));
        t.n_rows = 22; /* the last window has two */
        t.adapter_as_saved = true;
        t.o.batch = cuts[i][0];
        t.o.accumulate = cuts[i][1];
        trial_ok(&t);
        CHECK_INT(t.result.steps, 6);
        CHECK_INT(metric(out[i], "loss", loss[i], 16), 6);
        CHECK_INT(metric(out[i], "grad_norm", norm[i], 16), 6);
        file[i] = path_join(out[i], "adapter/adapter_model.safetensors");
    }
    for (i = 1; i < 3; i++) {
        for (k = 0; k < 6; k++) {
            CHECK_NEAR(loss[i][k], loss[0][k], 1e-5 * loss[0][k]);
            CHECK_NEAR(norm[i][k], norm[0][k], 1e-4 * norm[0][k]);
        }
        CHECK(file_distance(file[0], file[i]) < 1e-3);
    }
    for (i = 0; i < 3; i++) {
        free(file[i]);
        scratch_done(out[i]);
    }
}

/* With lr 0 the weights stand still: a step's loss is that of its own rows, each token
 * counting the same, and the short last window's as well. */
static void test_trainer__loss_is_a_mean_over_the_windows_tokens(void)
{
    char *out = scratch("windows");
    trial t = trial_new(out);
    double loss[8] = { 0 };
    size_t i;
    t.adapter_as_saved = true;
    t.n_rows = 10;
    t.o.lr = 0;
    trial_ok(&t);
    CHECK_INT(metric(out, "loss", loss, 8), 3);
    for (i = 0; i < 3; i++) {
        /* the rows of one window as a run of their own */
        char *alone = scratch("alone");
        trial one = trial_new(alone);
        dataset d = fixture_rows("curve_lora", "rows.jsonl", 4 * i, i < 2 ? 4 : 2);
        backend *b = NULL;
        model *m = NULL;
        char *base = fixture_path("curve_lora", "base");
        const model_options mo = { .dir = base, .seq_len = 32, .batch = 4, .max_sequences = 4 };
        double mean = 0;
        CHECK_OK(backend_open(&b, fixture_plugins, fixture_backend, NULL, NULL, &one.err), one.err);
        CHECK_OK(model_open(&m, b, &mo, &one.err), one.err);
        CHECK_OK(train_evaluate(m, &d, 32, 4, &mean, NULL, &one.err), one.err);
        CHECK_NEAR(loss[i], mean, 1e-5 * mean); /* B is zero: the adapter changes nothing */
        model_close(m);
        backend_close(b);
        dataset_finish(&d);
        free(base);
        scratch_done(alone);
    }
    scratch_done(out);
}

static void test_trainer__packed_rows_give_what_padded_ones_give(void)
{
    char *out[2], *file[2];
    double loss[2][8] = { { 0 } }, norm[2][8] = { { 0 } };
    size_t i;
    for (i = 0; i < 2; i++) {
        trial t = trial_new(out[i] = scratch("packing"));
        t.adapter_as_saved = true;
        t.n_rows = 12;
        t.o.packing = i;
        t.o.shuffle = i;
        t.o.accumulate = 100; /* the whole epoch is one step: its order does not count */
        t.o.epochs = 3;
        trial_ok(&t);
        CHECK_INT(t.result.steps, 3);
        CHECK_INT(metric(out[i], "loss", loss[i], 8), 3);
        CHECK_INT(metric(out[i], "grad_norm", norm[i], 8), 3);
        file[i] = path_join(out[i], "adapter/adapter_model.safetensors");
    }
    for (i = 0; i < 3; i++) {
        CHECK_NEAR(loss[1][i], loss[0][i], 1e-5 * loss[0][i]);
        CHECK_NEAR(norm[1][i], norm[0][i], 1e-4 * norm[0][i]);
    }
    CHECK(loss[0][2] < loss[0][0]);
    CHECK(file_distance(file[0], file[1]) < 1e-3);
    for (i = 0; i < 2; i++) {
        free(file[i]);
        scratch_done(out[i]);
    }
}

static void test_trainer__steps_and_parts_of_epochs(void)
{
    static const struct {
        double epochs;
        int64_t steps, want, want_epochs;
    } rows[] = { { 1.5, 0, 5, 2 }, { 9, 4, 4, 2 }, { 0.01, 0, 1, 1 } };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *out = scratch("length");
        trial t = trial_new(out);
        double epoch[8] = { 0 };
        t.n_rows = 10; /* three steps to an epoch */
        t.o.epochs = rows[i].epochs;
        t.o.steps = rows[i].steps;
        trial_ok(&t);
        CHECK_INT(t.result.steps, rows[i].want);
        CHECK_INT(t.result.epochs, rows[i].want_epochs);
        CHECK_INT(metric(out, "epoch", epoch, 8), rows[i].want);
        if (rows[i].want >= 4) { /* after three steps the first epoch is through */
            CHECK_NEAR(epoch[2], 1, 1e-6);
            CHECK_NEAR(epoch[3], 1.4, 1e-6);
        }
        scratch_done(out);
    }
}

/* ---------------------------------------------------------------- weight decay */

typedef struct params {
    float *value[256]; /* owned */
    int64_t count[256];
    bool decay[256];
    size_t n;
} params;

static void keep_params(void *ctx, model *m)
{
    params *p = ctx;
    size_t i;
    hone_error err = { 0 };
    for (i = 0; i < model_param_count(m) && i < 256; i++) {
        const param *q = model_param(m, i);
        p->count[i] = q->rows * q->cols;
        p->decay[i] = q->decay;
        p->value[i] = mem_new((size_t)p->count[i], sizeof(float));
        CHECK_OK(ops_download(model_ops(m), p->value[i], q->value.buf, q->value.offset,
                              (uint64_t)p->count[i] * sizeof(float), &err),
                 err);
    }
    p->n = i;
}

/* One step without and with decay differ by lr * decay * w where decay applies, and in
 * not one bit elsewhere. */
static void test_trainer__decay_reaches_matrices_alone(void)
{
    static const double decays[] = { 0, 0.5 };
    params start = { .n = 0 }, p[2] = { { .n = 0 } };
    size_t i, n_plain = 0;
    int64_t k;
    for (i = 0; i < 3; i++) {
        char *out = scratch("decay");
        trial t = trial_new(out);
        t.base = "curve_full";
        t.o.method = 1;
        t.o.steps = 1;
        t.o.schedule = SCHEDULE_CONSTANT;
        t.o.lr = i < 2 ? 0.01 : 0;
        t.o.weight_decay = i < 2 ? decays[i] : 0;
        CHECK_OK(trial_run(&t, keep_params, i < 2 ? &p[i] : &start), t.err);
        scratch_done(out);
    }
    for (i = 0; i < start.n; i++) {
        n_plain += !start.decay[i];
        for (k = 0; k < start.count[i]; k++) {
            const float w = start.value[i][k], a = p[0].value[i][k], b = p[1].value[i][k];
            if (!start.decay[i] && memcmp(&a, &b, sizeof a) != 0)
                break;
            if (start.decay[i] && !(fabs((a - b) - 0.01 * 0.5 * w) <= 1e-6))
                break;
        }
        CHECK_INT(k, start.count[i]);
    }
    CHECK(n_plain > 0 && n_plain < start.n);
    for (i = 0; i < start.n; i++) {
        free(start.value[i]);
        free(p[0].value[i]);
        free(p[1].value[i]);
    }
}

/* ------------------------------------------------------------------ validation */

static void test_trainer__best_checkpoint_is_the_result(void)
{
    char *out = scratch("best");
    trial t = trial_new(out);
    double val[32] = { 0 };
    size_t i, n;
    t.adapter_as_saved = true;
    t.n_rows = 4; /* learned by heart: what was set aside gets worse */
    t.n_val = 8;
    t.o.lr = 0.05;
    t.o.weight_decay = 0;
    t.o.epochs = 40;
    t.o.eval_every = 2;
    t.o.save_every = 1000;
    t.o.schedule = SCHEDULE_CONSTANT;
    trial_ok(&t);
    n = metric(out, "val_loss", val, 32);
    CHECK_INT(n, 1 + 20); /* before the first step, then every second of 40 */
    CHECK_NEAR(val[0], t.result.first_val, 0);
    for (i = 1; i < n; i++)
        CHECK(val[i] >= t.result.best_val);
    CHECK(t.result.best_step > 0 && t.result.best_step < 40);
    CHECK(val[n - 1] > 1.05 * t.result.best_val); /* far enough apart to tell */
    CHECK_NEAR(val[t.result.best_step / 2], t.result.best_val, 0);
    CHECK_NEAR(t.val_after, t.result.best_val, 1e-6 * t.result.best_val); /* in memory */
    scratch_done(out);
}

static void test_trainer__stops_when_nothing_gets_better(void)
{
    char *out = scratch("early");
    trial t = trial_new(out), again;
    t.n_rows = 16;
    t.n_val = 8;
    t.o.lr = 1;
    t.o.epochs = 50;
    t.o.eval_every = 1;
    t.o.patience = 3;
    t.o.schedule = SCHEDULE_CONSTANT;
    trial_ok(&t);
    CHECK_STR(t.result.stopped, "early stop");
    CHECK_INT(t.result.steps, t.result.best_step + 3);
    again = trial_new(out); /* the same command again finds nothing to do */
    again.n_rows = 16;
    again.n_val = 8;
    again.o = t.o;
    trial_ok(&again);
    CHECK_STR(again.result.stopped, "early stop");
    CHECK_INT(again.result.steps, t.result.steps);
    CHECK_NEAR(again.result.best_val, t.result.best_val, 0);
    scratch_done(out);
}

static void test_trainer__sets_rows_aside(void)
{
    char *out = scratch("split");
    trial t = trial_new(out);
    t.n_rows = 40;
    t.o.val_split = 0.2;
    trial_ok(&t);
    CHECK(!isnan(t.result.best_val));
    CHECK_INT(t.result.steps, 8); /* 32 rows are left, 4 to a step */
    scratch_done(out);
}

/* ----------------------------------------------------------------- checkpoints */

static size_t count_checkpoints(const char *out)
{
    size_t n = 0;
    int64_t step;
    for (step = 1; step <= 64; step++) {
        text t = { 0 };
        text_printf(&t, "%s/checkpoint-%lld", out, (long long)step);
        n += path_exists(t.p);
        text_finish(&t);
    }
    return n;
}

static void test_trainer__keeps_the_newest_and_the_best(void)
{
    char *out = scratch("keep");
    trial t = trial_new(out);
    t.adapter_as_saved = true;
    t.n_rows = 4; /* learned by heart: the best comes early */
    t.n_val = 8;
    t.o.lr = 0.05;
    t.o.weight_decay = 0;
    t.o.epochs = 40;
    t.o.eval_every = 2;
    t.o.save_every = 4;
    t.o.keep = 3;
    t.o.schedule = SCHEDULE_CONSTANT;
    trial_ok(&t);
    CHECK(t.result.best_step > 0 && t.result.best_step < 32);
    CHECK_INT(count_checkpoints(out), 4);
    scratch_done(out);
}

/* ------------------------------------------------------------------- bad input */

/* The base model with one row of its embedding not a number. free() after dir_remove(). */
static char *poisoned_model(int32_t id)
{
    static const char *const files[] = { "config.json", "model.safetensors" };
    char *from = fixture_path("curve_lora", "base"), *to = scratch("poison");
    hone_error err = { 0 };
    st_file *f = NULL;
    const st_tensor *t;
    const float nan_value = NAN;
    size_t i, n = 0, at = 0;
    CHECK_OK(dir_make(to, &err), err);
    for (i = 0; i < 2; i++) {
        char *a = path_join(from, files[i]), *b = path_join(to, files[i]), *p = NULL;
        CHECK_OK(file_read(&p, &n, a, 1 << 24, &err), err);
        if (i == 1) {
            CHECK_OK(st_open_bytes(&f, (const uint8_t *)p, n, a, &err), err);
            t = st_find(f, "model.embed_tokens.weight");
            at = (size_t)(t->p - (const uint8_t *)p) + (size_t)(id * t->shape[1]) * sizeof(float);
            st_close(f);
            memcpy(p + at, &nan_value, sizeof nan_value);
        }
        CHECK_OK(file_write(b, p, n, &err), err);
        free(p);
        free(a);
        free(b);
    }
    free(from);
    return to;
}

/* An id that rows [0, first) do not hold and row `first` does. */
static int32_t new_id(size_t first)
{
    dataset d = fixture_rows("curve_lora", "rows.jsonl", 0, first + 1);
    bool seen[256] = { false };
    int32_t id = -1, k;
    size_t i;
    for (i = 0; i < first; i++)
        for (k = 0; k < d.rows[i].n; k++)
            seen[d.rows[i].ids[k]] = true;
    for (k = 0; k < d.rows[first].n; k++)
        if (!seen[d.rows[first].ids[k]])
            id = d.rows[first].ids[k];
    dataset_finish(&d);
    return id;
}

static void test_trainer__nan_names_step_and_sample(void)
{
    size_t bad = 9;
    int32_t id;
    char *model_dir, *out = scratch("nan"), line[64];
    trial t = trial_new(out);
    while ((id = new_id(bad)) < 0)
        bad++;
    model_dir = poisoned_model(id);
    t.model = model_dir;
    t.o.save_every = 1;
    CHECK_INT(trial_run(&t, NULL, NULL), HONE_ERR_NUMERIC);
    (void)snprintf(line, sizeof line, "step %zu: ", bad / 4 + 1);
    CHECK_HAS(t.err.message, line);
    (void)snprintf(line, sizeof line, "the loss of sample row%zu (line %zu,", bad + 1, bad + 1);
    CHECK_HAS(t.err.message, line);
    CHECK_HAS(t.err.message, "the last checkpoint is kept");
    CHECK_INT(count_checkpoints(out), bad / 4 < 2 ? bad / 4 : 2);
    scratch_done(model_dir);
    scratch_done(out);
}

static void test_trainer__diverged_weights_are_said_to_be(void)
{
    char *out = scratch("diverged");
    trial t = trial_new(out);
    t.o.lr = 1e3;
    t.o.weight_decay = 10;
    t.o.epochs = 40;
    t.o.save_every = 1000;
    t.o.schedule = SCHEDULE_CONSTANT;
    CHECK_INT(trial_run(&t, NULL, NULL), HONE_ERR_NUMERIC);
    CHECK_HAS(t.err.message, "lower train.lr");
    scratch_done(out);
}

static void test_trainer__options_that_cannot_be(void)
{
    static const struct {
        train_options o;
        const char *message;
    } rows[] = {
        { { .out = NULL, .epochs = 1 }, "train.out is not set" },
        { { .out = "x", .epochs = 0 }, "train.epochs and train.steps are both 0" },
        { { .out = "x", .epochs = 1, .fresh = true }, "train.fresh needs train.method \"full\"" },
        { { .out = "x", .epochs = 1, .val = "v", .val_split = 0.1 }, "both set" },
        { { .out = "x", .epochs = 1, .seq_len = 1 << 20, .batch = 1 << 12 }, "tokens" },
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        train_options o = rows[i].o;
        hone_error err = { 0 };
        if (!o.seq_len)
            o.seq_len = o.batch = 1;
        CHECK_INT(train_options_check(&o, &err), HONE_ERR_ARG);
        CHECK_HAS(err.message, rows[i].message);
    }
}

static void test_trainer__no_rows_is_an_error(void)
{
    char *out = scratch("empty");
    trial t = trial_new(out);
    t.n_rows = 0;
    CHECK_INT(trial_run(&t, NULL, NULL), HONE_ERR_ARG);
    CHECK_HAS(t.err.message, "no rows");
    scratch_done(out);
}

static void test_trainer__an_unknown_optimizer_option_is_named(void)
{
    char *out = scratch("option"), *base = fixture_path("curve_lora", "base");
    hone_error err = { 0 };
    trial t = trial_new(out);
    backend *b = NULL;
    model *m = NULL;
    json_t *bad = json_pack("{s:f}", "beta9", 0.5);
    dataset d = fixture_rows("curve_lora", "rows.jsonl", 0, 4);
    const model_options mo = {
        .dir = base, .train = TRAIN_FULL, .seq_len = 32, .batch = 2, .max_sequences = 64
    };
    t.o.method = 1;
    CHECK_OK(backend_open(&b, fixture_plugins, fixture_backend, NULL, NULL, &err), err);
    CHECK_OK(model_open(&m, b, &mo, &err), err);
    CHECK(train_run(m, &d, NULL, &t.o, "adamw", bad, fixture_plugins, NULL, NULL, NULL, &t.result,
                    &err) != HONE_OK);
    CHECK_HAS(err.message, "beta9");
    CHECK(train_run(m, &d, NULL, &t.o, "adamv", NULL, fixture_plugins, NULL, NULL, NULL, &t.result,
                    &err) == HONE_ERR_NOTFOUND);
    CHECK_HAS(err.message, "adamw");
    model_close(m);
    backend_close(b);
    dataset_finish(&d);
    json_decref(bad);
    free(base);
    scratch_done(out);
}

int main(int argc, char **argv)
{
    if (!fixture_open(argc, argv))
        return 77;
    RUN(test_trainer__accumulating_is_one_large_batch);
    RUN(test_trainer__loss_is_a_mean_over_the_windows_tokens);
    RUN(test_trainer__packed_rows_give_what_padded_ones_give);
    RUN(test_trainer__steps_and_parts_of_epochs);
    RUN(test_trainer__decay_reaches_matrices_alone);
    RUN(test_trainer__best_checkpoint_is_the_result);
    RUN(test_trainer__stops_when_nothing_gets_better);
    RUN(test_trainer__sets_rows_aside);
    RUN(test_trainer__keeps_the_newest_and_the_best);
    RUN(test_trainer__nan_names_step_and_sample);
    RUN(test_trainer__diverged_weights_are_said_to_be);
    RUN(test_trainer__options_that_cannot_be);
    RUN(test_trainer__no_rows_is_an_error);
    RUN(test_trainer__an_unknown_optimizer_option_is_named);
    return fixture_exit();
}
