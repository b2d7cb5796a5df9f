/*
 * test_alloc.c - nothing is allocated inside a step.
 *
 * The linker turns this program's calls of malloc and its kin, those of the whole core,
 * into calls of the counting ones below (--wrap). Libraries and plugins are not counted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/train/fixture.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

static long calls;

void *__wrap_malloc(size_t n)
{
    calls++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    calls++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    calls++;
    return __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
    calls++;
    return __real_strdup(s);
}

typedef struct counts {
    long at[64];
    size_t n;
} counts;

static void count(void *ctx, const train_progress *p)
{
    counts *c = ctx;
    (void)p;
    if (c->n < 64)
        c->at[c->n++] = calls;
}

/* 20 steps of one epoch; evaluations in the midst of it, and a checkpoint at the end. */
static void test_alloc__none_inside_a_step(void)
{
    static const char *const all[] = { "all-linear" };
    const adapter_options adapter = {
        .rank = 4, .alpha = 8, .dropout = 0.1, .targets = { all, 1 }
    };
    char *out = scratch("alloc"), *base = fixture_path("curve_lora", "base");
    dataset rows = fixture_rows("curve_lora", "rows.jsonl", 0, 80);
    dataset val = fixture_rows("curve_lora", "eval.jsonl", 0, 8);
    const model_options mo = { .dir = base,
                               .train = TRAIN_LORA,
                               .adapter = &adapter,
                               .seq_len = 32,
                               .batch = 2,
                               .max_sequences = 64 };
    counts c = { .n = 0 };
    const train_hooks hooks = { .ctx = &c, .on_step = count };
    trial t = trial_new(out);
    backend *b = NULL;
    model *m = NULL;
    size_t i;
    t.o.eval_every = 1000;
    CHECK_OK(backend_open(&b, fixture_plugins, fixture_backend, NULL, NULL, &t.err), t.err);
    CHECK_OK(model_open(&m, b, &mo, &t.err), t.err);
    CHECK_OK(train_run(m, &rows, &val, &t.o, "adamw", NULL, fixture_plugins, NULL, NULL, &hooks,
                       &t.result, &t.err),
             t.err);
    CHECK_INT(c.n, 20);
    CHECK(calls > 0);             /* the counting itself works */
    for (i = 2; i + 1 < c.n; i++) /* the last step saves */
        CHECK_INT(c.at[i] - c.at[i - 1], 0);
    model_close(m);
    backend_close(b);
    dataset_finish(&rows);
    dataset_finish(&val);
    free(base);
    scratch_done(out);
}

int main(int argc, char **argv)
{
    if (!fixture_open(argc, argv))
        return 77;
    RUN(test_alloc__none_inside_a_step);
    return fixture_exit();
}
