/*
 * test_plan.c - a run takes what its plan says: bytes on the device to the last one, resident
 * memory within the larger of 3 % and 64 MB.
 *
 *     test_plan memory BACKEND lora|full OPTIMIZER    a process of its own each
 *     test_plan                                       the rest
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/plan_parts.h"
#include "tests/unit/train/fixture.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif

/* 42 million parameters: 168 MB in float32. */
static const char config[] =
    "{\"model_type\":\"llama\",\"vocab_size\":16384,\"hidden_size\":512,\"intermediate_size\":1376,"
    "\"num_hidden_layers\":8,\"num_attention_heads\":8,\"num_key_value_heads\":4,"
    "\"max_position_embeddings\":1024,\"tie_word_embeddings\":false}";

/* Rows of random ids, 60 to 256 of them. */
static dataset random_rows(size_t n)
{
    dataset d = { 0 };
    CHECK(mem_grow(&d.rows, &d.cap, n, sizeof *d.rows));
    for (d.n = 0; d.n < n; d.n++) {
        row *r = &d.rows[d.n];
        *r = (row){ .n = (int32_t)(60 + rng_u64(1, 2, d.n) % 197) };
        r->ids = mem_new((size_t)r->n, sizeof *r->ids);
        r->labels = mem_new((size_t)r->n, sizeof *r->labels);
        for (int32_t i = 0; i < r->n; i++)
            r->ids[i] = r->labels[i] = (int32_t)(rng_u64(3, d.n, (uint64_t)i) % 16384);
        r->n_learned = r->n - 1;
    }
    fixture_hash(&d);
    return d;
}

typedef struct planned {
    train_options train;
    adapter_options adapter;
    model_options model;
    plan_data data;
    plan_input in;
    dataset rows;
    backend *back;
    char *dir; /* owned: a folder with config.json */
} planned;

static const char *const all_linear[] = { "all-linear" };

static void planned_init(planned *p, const char *spec, bool full, const char *opt)
{
    hone_error err = { 0 };
    *p = (planned){ .train = trial_new(NULL).o, .rows = random_rows(24) };
    p->dir = scratch("plan");
    CHECK_OK(dir_make(p->dir, &err), err);
    char *path = path_join(p->dir, "config.json");
    CHECK_OK(file_write(path, config, sizeof config - 1, &err), err);
    free(path);
    p->train.method = full;
    p->train.seq_len = 256;
    p->train.batch = 2;
    p->train.accumulate = 2;
    p->train.steps = 3;
    p->train.out = path_join(p->dir, "run");
    p->adapter = (adapter_options){ .rank = 8, .alpha = 16, .targets = { all_linear, 1 } };
    p->model = (model_options){ .dir = p->dir,
                                .train = full ? TRAIN_FULL : TRAIN_LORA,
                                .adapter = full ? NULL : &p->adapter,
                                .fresh = true,
                                .seq_len = p->train.seq_len,
                                .batch = p->train.batch };
    CHECK_OK(backend_open(&p->back, fixture_plugins, spec, NULL, NULL, &err), err);
    CHECK_OK(plan_data_of(&p->data, &p->rows, NULL, &p->train, &err), err);
    p->in = (plan_input){ .train = &p->train,
                          .model = &p->model,
                          .back = p->back,
                          .plugins = fixture_plugins,
                          .optimizer = opt,
                          .adapter = &p->adapter,
                          .data = &p->data };
}

static void planned_finish(planned *p)
{
    hone_error err = { 0 };
    backend_close(p->back);
    dataset_finish(&p->rows);
    CHECK_OK(dir_remove(p->dir, &err), err);
    free((char *)(uintptr_t)p->train.out);
    free(p->dir);
}

/* 77: this method is not for this format. */
static int memory(const char *spec, bool full, const char *opt)
{
    hone_error err = { 0 };
    planned p;
    run_plan plan = { 0 };
    train_result result = { 0 };
    model *m = NULL;
    planned_init(&p, spec, full, opt);
    const hone_status st = run_plan_make(&plan, &m, &p.in, &err);
    if (st == HONE_ERR_UNSUPPORTED) {
        planned_finish(&p);
        return 77;
    }
    CHECK_OK(st, err);
    CHECK(plan.fits);
    CHECK_OK(model_load(m, &err), err);
    CHECK_OK(train_run(m, &p.rows, NULL, &p.train, opt, NULL, fixture_plugins, NULL, NULL, NULL,
                       &result, &err),
             err);
    CHECK_INT(result.model_bytes, plan.device_total + plan.paged_host);
    const double off = (double)(result.peak_host_bytes - plan.resident);
    const double allowed = fmax(0.03 * (double)plan.resident, 64e6);
    printf("%s %s %s: %.1f MB planned, %.1f MB measured, off by %.1f of %.1f MB\n", spec,
           full ? "full" : "lora", opt, (double)plan.resident / 1e6,
           (double)result.peak_host_bytes / 1e6, off / 1e6, allowed / 1e6);
#ifndef SANITIZED
    CHECK(fabs(off) <= allowed);
#endif
    model_close(m);
    planned_finish(&p);
    return 0;
}

/* Less memory, less kept; too little, settings that fit. */
static void test_plan__fits_into_what_it_is_given(void)
{
    hone_error err = { 0 };
    planned p;
    run_plan all = { 0 }, least = { 0 }, some = { 0 };
    planned_init(&p, fixture_backend, false, "adamw");
    CHECK_OK(run_plan_make(&all, NULL, &p.in, &err), err);
    CHECK(all.fits);
    CHECK_INT(all.keep_all, 8);
    p.train.activations = ACTIVATIONS_INPUT;
    CHECK_OK(run_plan_make(&least, NULL, &p.in, &err), err);
    CHECK_INT(least.keep_input, 8);
    CHECK(least.resident < all.resident);

    p.train.activations = ACTIVATIONS_AUTO;
    p.in.memory = least.resident + (all.resident - least.resident) / 4;
    CHECK_OK(run_plan_make(&some, NULL, &p.in, &err), err);
    CHECK(some.fits && some.resident <= p.in.memory);
    CHECK(some.keep_input > 0 && some.keep_cheap > 0);
    p.in.memory = least.resident + (all.resident - least.resident) * 9 / 10;
    CHECK_OK(run_plan_make(&some, NULL, &p.in, &err), err);
    CHECK(some.fits && some.keep_input == 0 && some.keep_all > 0 && some.keep_cheap > 0);

    p.in.memory = least.resident - ((int64_t)10 << 20);
    CHECK_OK(run_plan_make(&some, NULL, &p.in, &err), err);
    CHECK(!some.fits);
    plan_change changes[6];
    size_t n = 0;
    CHECK_OK(plan_changes(changes, 6, &n, &p.in, &err), err);
    CHECK(n >= 1);
    CHECK_STR(n ? changes[0].settings : "", "--train.batch 1 --train.accumulate 4");
    for (size_t i = 0; i < n; i++)
        CHECK(changes[i].plan.fits && changes[i].plan.resident <= p.in.memory);

    p.in.memory = 1 << 20; /* the program alone is larger */
    CHECK_OK(plan_changes(changes, 6, &n, &p.in, &err), err);
    CHECK_INT(n, 0);
    planned_finish(&p);
}

/* The formulas of the literature for Llama 2 7B, from the table of weights and a device row. */
static void test_plan__known_figures(void)
{
    static const struct {
        const char *shape;
        bool full;
        int64_t seq_len;
        double flops_per_token; /* 1e9 */
    } cases[] = {
        { "llama-2-7b", false, 2048, 28.6 },  { "llama-2-7b", false, 4096, 30.4 },
        { "llama-2-13b", false, 2048, 54.7 }, { "llama-2-70b", false, 2048, 285 },
        { "llama-2-7b", true, 2048, 41.5 },   { "llama-2-13b", true, 4096, 83.0 },
    };
    hone_error err = { 0 };
    planned p;
    planned_init(&p, fixture_backend, false, "adamw");
    backend *absent = NULL;
    CHECK_OK(backend_open_absent(&absent, fixture_plugins, "a100-80gb", "fp32", NULL, &err), err);
    p.in.back = absent;
    p.in.device = device_row_find("a100-80gb");
    p.adapter.rank = 16;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run_plan plan = { 0 };
        const double n = (double)cases[i].seq_len;
        p.model.shape = cases[i].shape;
        p.model.fresh = false;
        p.train.activations = ACTIVATIONS_ALL;
        p.train.method = cases[i].full;
        p.model.train = cases[i].full ? TRAIN_FULL : TRAIN_LORA;
        p.model.adapter = cases[i].full ? NULL : &p.adapter;
        p.train.seq_len = p.model.seq_len = cases[i].seq_len;
        p.train.batch = p.model.batch = p.train.accumulate = 1;
        p.data = plan_data_guess((int64_t)(3.6 * n * 8), &p.train);
        CHECK_OK(run_plan_make(&plan, NULL, &p.in, &err), err);
        CHECK_NEAR(plan.flops / n / 1e9, cases[i].flops_per_token, 0.01 * cases[i].flops_per_token);
        CHECK(!plan.fits || !cases[i].full);
        CHECK(plan.floor_seconds > 0 && plan.step_seconds > plan.floor_seconds);
    }
    backend_close(absent);
    planned_finish(&p);
}

static void test_plan__rates_are_kept(void)
{
    hone_error err = { 0 };
    planned p;
    plan_rates a = { 0 }, b = { 0 };
    planned_init(&p, fixture_backend, false, "adamw");
    CHECK(setenv("XDG_CACHE_HOME", p.dir, 1) == 0);
    CHECK_OK(rates_get(&a, p.back, "lora", false, &err), err);
    CHECK(a.known && a.correction == 1 && a.speed.bytes > 0 && a.speed.linear[2] > 0);
    rates_refine(p.back, "lora", &a, 2.0, 3.0);
    CHECK_OK(rates_get(&b, p.back, "lora", false, &err), err);
    CHECK(memcmp(&a.speed, &b.speed, sizeof a.speed) == 0);
    CHECK_NEAR(b.correction, 1.5, 1e-9);
    CHECK_OK(rates_get(&b, p.back, "full", false, &err), err);
    CHECK_NEAR(b.correction, 1, 1e-9);
    /* damaged: measured again */
    char *path = path_join(p.dir, "hone/rates.json");
    CHECK_OK(file_write(path, "{\"version\": 1, \"machines\": 3}", 29, &err), err);
    CHECK_OK(rates_get(&b, p.back, "lora", false, &err), err);
    CHECK(b.known && b.speed.thin > 0);
    free(path);
    planned_finish(&p);
}

int main(int argc, char **argv)
{
    char *self[2] = { argv[0], argc > 2 ? argv[2] : NULL };
    if (!fixture_open(argc > 2 ? 2 : 1, self))
        return 77;
    if (argc == 5 && strcmp(argv[1], "memory") == 0) {
        component_row found;
        const char *slash = strchr(argv[2], '/');
        if (registry_find(&found, fixture_plugins, HONE_KIND_WEIGHTS, slash + 1, NULL) ||
            registry_find(&found, fixture_plugins, HONE_KIND_OPTIMIZER, argv[4], NULL))
            return 77;
        if (memory(argv[2], strcmp(argv[3], "full") == 0, argv[4]) == 77)
            return 77;
    } else {
        RUN(test_plan__fits_into_what_it_is_given);
        RUN(test_plan__known_figures);
        RUN(test_plan__rates_are_kept);
    }
    return fixture_exit();
}
