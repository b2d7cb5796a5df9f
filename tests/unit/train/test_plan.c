/*
 * test_plan.c - what a plan makes of too little memory, known figures, rates that are kept.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/train/planned.h"

/* Less memory, less kept; too little, settings that fit. */
static void test_plan__fits_into_what_it_is_given(void)
{
    hone_error err = { 0 };
    planned p;
    run_plan all = { 0 }, least = { 0 }, some = { 0 };
    planned_init(&p, fixture_backend, false, "adamw", false);
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
    planned_init(&p, fixture_backend, false, "adamw", false);
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
    planned_init(&p, fixture_backend, false, "adamw", false);
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
    if (!fixture_open(argc, argv))
        return 77;
    RUN(test_plan__fits_into_what_it_is_given);
    RUN(test_plan__known_figures);
    RUN(test_plan__rates_are_kept);
    return fixture_exit();
}
