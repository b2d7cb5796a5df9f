/*
 * test_schedule.c - the factors of transformers' schedules, and the length of a run.
 *
 * The factors were computed with the formulas of transformers' get_*_schedule_with_warmup.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/parts.h"
#include "test.h"

static void test_schedule__factors_are_those_of_transformers(void)
{
    /* clang-format off */
    static const struct { int64_t schedule, step, steps, warmup; double min_lr, factor; } rows[] = {
        { SCHEDULE_CONSTANT, 1, 10, 0, 0, 1 },
        { SCHEDULE_CONSTANT, 2, 10, 0, 0, 1 },
        { SCHEDULE_CONSTANT, 6, 10, 0, 0, 1 },
        { SCHEDULE_CONSTANT, 10, 10, 0, 0, 1 },
        { SCHEDULE_CONSTANT, 1, 10, 3, 0, 0 },
        { SCHEDULE_CONSTANT, 2, 10, 3, 0, 0.33333333333333331 },
        { SCHEDULE_CONSTANT, 6, 10, 3, 0, 1 },
        { SCHEDULE_CONSTANT, 10, 10, 3, 0, 1 },
        { SCHEDULE_CONSTANT, 1, 7, 2, 0.1, 0 },
        { SCHEDULE_CONSTANT, 2, 7, 2, 0.1, 0.5 },
        { SCHEDULE_CONSTANT, 4, 7, 2, 0.1, 1 },
        { SCHEDULE_CONSTANT, 7, 7, 2, 0.1, 1 },
        { SCHEDULE_CONSTANT, 1, 1, 0, 0, 1 },
        { SCHEDULE_CONSTANT, 1, 5, 5, 0.2, 0 },
        { SCHEDULE_CONSTANT, 2, 5, 5, 0.2, 0.20000000000000001 },
        { SCHEDULE_CONSTANT, 3, 5, 5, 0.2, 0.40000000000000002 },
        { SCHEDULE_CONSTANT, 5, 5, 5, 0.2, 0.80000000000000004 },
        { SCHEDULE_CONSTANT, 1, 1000, 30, 0.05, 0 },
        { SCHEDULE_CONSTANT, 2, 1000, 30, 0.05, 0.033333333333333333 },
        { SCHEDULE_CONSTANT, 501, 1000, 30, 0.05, 1 },
        { SCHEDULE_CONSTANT, 1000, 1000, 30, 0.05, 1 },
        { SCHEDULE_LINEAR, 1, 10, 0, 0, 1 },
        { SCHEDULE_LINEAR, 2, 10, 0, 0, 0.90000000000000002 },
        { SCHEDULE_LINEAR, 6, 10, 0, 0, 0.5 },
        { SCHEDULE_LINEAR, 10, 10, 0, 0, 0.10000000000000001 },
        { SCHEDULE_LINEAR, 1, 10, 3, 0, 0 },
        { SCHEDULE_LINEAR, 2, 10, 3, 0, 0.33333333333333331 },
        { SCHEDULE_LINEAR, 6, 10, 3, 0, 0.7142857142857143 },
        { SCHEDULE_LINEAR, 10, 10, 3, 0, 0.14285714285714285 },
        { SCHEDULE_LINEAR, 1, 7, 2, 0.1, 0 },
        { SCHEDULE_LINEAR, 2, 7, 2, 0.1, 0.5 },
        { SCHEDULE_LINEAR, 4, 7, 2, 0.1, 0.82000000000000006 },
        { SCHEDULE_LINEAR, 7, 7, 2, 0.1, 0.28000000000000003 },
        { SCHEDULE_LINEAR, 1, 1, 0, 0, 1 },
        { SCHEDULE_LINEAR, 1, 5, 5, 0.2, 0 },
        { SCHEDULE_LINEAR, 2, 5, 5, 0.2, 0.20000000000000001 },
        { SCHEDULE_LINEAR, 3, 5, 5, 0.2, 0.40000000000000002 },
        { SCHEDULE_LINEAR, 5, 5, 5, 0.2, 0.80000000000000004 },
        { SCHEDULE_LINEAR, 1, 1000, 30, 0.05, 0 },
        { SCHEDULE_LINEAR, 2, 1000, 30, 0.05, 0.033333333333333333 },
        { SCHEDULE_LINEAR, 501, 1000, 30, 0.05, 0.53969072164948451 },
        { SCHEDULE_LINEAR, 1000, 1000, 30, 0.05, 0.050979381443298971 },
        { SCHEDULE_COSINE, 1, 10, 0, 0, 1 },
        { SCHEDULE_COSINE, 2, 10, 0, 0, 0.97552825814757682 },
        { SCHEDULE_COSINE, 6, 10, 0, 0, 0.5 },
        { SCHEDULE_COSINE, 10, 10, 0, 0, 0.024471741852423234 },
        { SCHEDULE_COSINE, 1, 10, 3, 0, 0 },
        { SCHEDULE_COSINE, 2, 10, 3, 0, 0.33333333333333331 },
        { SCHEDULE_COSINE, 6, 10, 3, 0, 0.8117449009293668 },
        { SCHEDULE_COSINE, 10, 10, 3, 0, 0.049515566048790483 },
        { SCHEDULE_COSINE, 1, 7, 2, 0.1, 0 },
        { SCHEDULE_COSINE, 2, 7, 2, 0.1, 0.5 },
        { SCHEDULE_COSINE, 4, 7, 2, 0.1, 0.91405764746872631 },
        { SCHEDULE_COSINE, 7, 7, 2, 0.1, 0.18594235253127372 },
        { SCHEDULE_COSINE, 1, 1, 0, 0, 1 },
        { SCHEDULE_COSINE, 1, 5, 5, 0.2, 0 },
        { SCHEDULE_COSINE, 2, 5, 5, 0.2, 0.20000000000000001 },
        { SCHEDULE_COSINE, 3, 5, 5, 0.2, 0.40000000000000002 },
        { SCHEDULE_COSINE, 5, 5, 5, 0.2, 0.80000000000000004 },
        { SCHEDULE_COSINE, 1, 1000, 30, 0.05, 0 },
        { SCHEDULE_COSINE, 2, 1000, 30, 0.05, 0.033333333333333333 },
        { SCHEDULE_COSINE, 501, 1000, 30, 0.05, 0.54806705550436297 },
        { SCHEDULE_COSINE, 1000, 1000, 30, 0.05, 0.050002491262616966 },
    };
    /* clang-format on */
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_NEAR(schedule_factor(rows[i].schedule, rows[i].step, rows[i].steps, rows[i].warmup,
                                   rows[i].min_lr),
                   rows[i].factor, 1e-15);
}

static void test_schedule__past_the_end_stays_at_the_least(void)
{
    CHECK_NEAR(schedule_factor(SCHEDULE_LINEAR, 20, 10, 0, 0.1), 0.1, 1e-15);
    CHECK_NEAR(schedule_factor(SCHEDULE_CONSTANT, 20, 10, 0, 0.1), 1, 0);
}

static void test_schedule__warmup_is_a_share_or_steps(void)
{
    static const struct {
        double warmup;
        int64_t steps, want;
    } rows[] = {
        { 0, 100, 0 },   { 0.03, 100, 3 },  { 0.03, 101, 4 }, { 0.5, 7, 4 }, { 1, 100, 1 },
        { 25, 100, 25 }, { 500, 100, 500 }, { 0.03, 1, 0 },   { 2, 1, 0 },   { 0.03, 2, 1 }
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        const train_options o = { .warmup = rows[i].warmup };
        CHECK_INT(schedule_warmup(&o, rows[i].steps), rows[i].want);
    }
}

/* n rows of 8 tokens: padded, batch 2: ceil(n / 2) micro-batches. */
static void test_schedule__length_counts_partial_windows(void)
{
    static const struct {
        size_t rows;
        int64_t accumulate, steps;
        double epochs;
        bool shuffle;
        int64_t want;
    } cases[] = {
        { 8, 2, 0, 1, false, 2 },    { 10, 2, 0, 1, false, 3 },   { 10, 2, 0, 3, false, 9 },
        { 10, 2, 0, 3, true, 9 },    { 10, 2, 0, 1.5, true, 5 },  { 10, 2, 0, 0.1, false, 1 },
        { 10, 100, 0, 4, true, 4 },  { 10, 2, 7, 1, false, 7 },   { 1, 1, 0, 2.5, false, 3 },
        { 8, 1, 0, 0.25, false, 1 }, { 8, 1, 0, 0.26, false, 2 },
    };
    size_t i, k;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        row rows[10] = { { 0 } };
        const dataset d = { .rows = rows, .n = cases[i].rows };
        const train_options o = { .accumulate = cases[i].accumulate,
                                  .steps = cases[i].steps,
                                  .epochs = cases[i].epochs,
                                  .shuffle = cases[i].shuffle };
        const plan_options plan = { .seq_len = 8, .batch = 2, .shuffle = cases[i].shuffle };
        hone_error err = { 0 };
        int64_t steps = -1;
        for (k = 0; k < 10; k++)
            rows[k].n = 8;
        CHECK_OK(schedule_length(&steps, &d, &o, &plan, &err), err);
        CHECK_INT(steps, cases[i].want);
    }
}

int main(void)
{
    RUN(test_schedule__factors_are_those_of_transformers);
    RUN(test_schedule__past_the_end_stays_at_the_least);
    RUN(test_schedule__warmup_is_a_share_or_steps);
    RUN(test_schedule__length_counts_partial_windows);
    return TEST_EXIT();
}
