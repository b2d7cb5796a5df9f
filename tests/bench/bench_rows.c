/*
 * bench_rows.c - ops that are no matrix products, as shares of the bandwidth of a copy.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "core/train/parts.h"
#include "tests/bench/bench_ops.h"

enum { ROWS = 4096, CHANNELS = 1024, WIDTH = 2816, HEADS = 16, HEAD = 64, LONG = 1024 };
enum { LOSS_ROWS = 512, VOCABULARY = 32000, LOSS_CHANNELS = 64, TIMES = 9 };
enum { MILLIONS = 10 }; /* of parameters that are updated */

typedef struct row_views {
    hone_tensor x, y, w, rstd, gate, up, f, q, k, v, o, lse, cosine, sine, position, cu;
} row_views;

static void run_norm(bench *b, const row_views *t)
{
    b->st = ops_rmsnorm(
        b->o, (hone_rmsnorm_args){ .eps = 1e-5f, .x = t->x, .w = t->w, .y = t->y, .rstd = t->rstd },
        &b->err);
}

static void run_norm_sum(bench *b, const row_views *t)
{
    b->st = ops_rmsnorm(
        b->o,
        (hone_rmsnorm_args){
            .eps = 1e-5f, .x = t->x, .w = t->w, .y = t->y, .rstd = t->rstd, .add = t->q },
        &b->err);
}

static void run_norm_bwd(bench *b, const row_views *t)
{
    b->st = ops_rmsnorm_bwd(
        b->o,
        (hone_rmsnorm_args){
            .eps = 1e-5f, .x = t->x, .w = t->w, .rstd = t->rstd, .dy = t->q, .dx = t->y },
        &b->err);
}

static void run_rope(bench *b, const row_views *t)
{
    b->st = ops_rope(b->o,
                     (hone_rope_args){ .x = view_heads(t->x, HEADS, HEAD),
                                       .cos = t->cosine,
                                       .sin = t->sine,
                                       .position = t->position },
                     &b->err);
}

static void run_swiglu(bench *b, const row_views *t)
{
    b->st =
        ops_swiglu(b->o, (hone_swiglu_args){ .gate = t->gate, .up = t->up, .y = t->f }, &b->err);
}

static void run_swiglu_bwd(bench *b, const row_views *t)
{
    b->st = ops_swiglu_bwd(
        b->o,
        (hone_swiglu_args){
            .gate = t->gate, .up = t->up, .dy = t->f, .dgate = t->gate, .dup = t->up },
        &b->err);
}

static hone_attention_args attention_of(const row_views *t)
{
    return (hone_attention_args){ .scale = 0.125f,
                                  .n_sequences = ROWS / LONG,
                                  .max_q = LONG,
                                  .max_k = LONG,
                                  .q = view_heads(t->q, HEADS, HEAD),
                                  .k = view_heads(t->k, HEADS, HEAD),
                                  .v = view_heads(t->v, HEADS, HEAD),
                                  .cu_q = t->cu,
                                  .cu_k = t->cu,
                                  .o = view_heads(t->o, HEADS, HEAD),
                                  .lse = view_heads(t->lse, HEADS, ROWS) };
}

static void run_attention(bench *b, const row_views *t)
{
    b->st = ops_attention(b->o, attention_of(t), &b->err);
}

static void run_attention_bwd(bench *b, const row_views *t)
{
    hone_attention_args args = attention_of(t);
    args.d_o = view_heads(t->x, HEADS, HEAD);
    args.dq = view_heads(t->y, HEADS, HEAD);
    args.dk = view_heads(t->gate, HEADS, HEAD);
    args.dv = view_heads(t->up, HEADS, HEAD);
    b->st = ops_attention_bwd(b->o, args, &b->err);
}

/* clang-format off */
static const struct {
    const char *name;
    void (*run)(bench *b, const row_views *t);
    double bytes; /* that have to move: each operand once */
    double flops; /* instead, where arithmetic is the limit: causal, 2 and 5 products */
} row_ops[] = {
    { "rmsnorm",       run_norm,          2.0 * ROWS * CHANNELS * 4, 0 },
    { "sum, rmsnorm",  run_norm_sum,      4.0 * ROWS * CHANNELS * 4, 0 },
    { "rmsnorm bwd",   run_norm_bwd,      3.0 * ROWS * CHANNELS * 4, 0 },
    { "rope",          run_rope,          2.0 * ROWS * CHANNELS * 4, 0 },
    { "swiglu",        run_swiglu,        3.0 * ROWS * WIDTH * 4, 0 },
    { "swiglu bwd",    run_swiglu_bwd,    5.0 * ROWS * WIDTH * 4, 0 },
    { "attention",     run_attention,     0, 2.0 * ROWS * LONG * CHANNELS },
    { "attention bwd", run_attention_bwd, 0, 5.0 * ROWS * LONG * CHANNELS },
};
/* clang-format on */

static hone_tensor integers(bench *b, const int32_t *x, int64_t n)
{
    hone_tensor t = matrix(b, 1, n);
    if (!b->st)
        b->st = ops_upload(b->o, t.buf, 0, x, (uint64_t)n * sizeof *x, &b->err);
    return hone_tensor_1d(t.buf, 0, HONE_I32, n);
}

static void bench_ops_of_rows(bench *b)
{
    static int32_t position[ROWS], cu[ROWS / LONG + 1];
    row_views t;
    for (int i = 0; i < ROWS; i++)
        position[i] = i % LONG;
    for (int i = 0; i <= ROWS / LONG; i++)
        cu[i] = i * LONG;
    t = (row_views){ .x = matrix(b, ROWS, CHANNELS),
                     .y = matrix(b, ROWS, CHANNELS),
                     .q = matrix(b, ROWS, CHANNELS),
                     .k = matrix(b, ROWS, CHANNELS),
                     .v = matrix(b, ROWS, CHANNELS),
                     .o = matrix(b, ROWS, CHANNELS),
                     .lse = matrix(b, 2, HEADS * ROWS),
                     .gate = matrix(b, ROWS, WIDTH),
                     .up = matrix(b, ROWS, WIDTH),
                     .f = matrix(b, ROWS, WIDTH),
                     .w = view_flat(matrix(b, 1, CHANNELS)),
                     .rstd = view_flat(matrix(b, 1, ROWS)),
                     .cosine = matrix(b, LONG, HEAD / 2),
                     .sine = matrix(b, LONG, HEAD / 2),
                     .position = integers(b, position, ROWS),
                     .cu = integers(b, cu, ROWS / LONG + 1) };
    printf(
        "other ops, %d rows: GB/s and share of a copy, or GFLOP/s and share of the FMA ceiling\n",
        ROWS);
    for (size_t i = 0; i < sizeof row_ops / sizeof *row_ops && !b->st; i++) {
        double rate[TIMES];
        for (int k = -1; k < TIMES && !b->st; k++) { /* the first warms up */
            const double before = bench_now(b);
            row_ops[i].run(b, &t);
            if (!b->st)
                b->st = ops_sync(b->o, &b->err);
            if (k >= 0)
                rate[k] = (row_ops[i].bytes + row_ops[i].flops) / (bench_now(b) - before) / 1e9;
        }
        if (!b->st) {
            const double m = median(rate, TIMES);
            printf("%-14s %6.0f %-8s %5.2f\n", row_ops[i].name, m,
                   row_ops[i].flops > 0 ? "GFLOP/s" : "GB/s",
                   m / (row_ops[i].flops > 0 ? b->top.fma : b->top.copy));
        }
    }
    drop(b);
}

/* The head: what a loss takes beyond its two products. Logits are read once and become their
 * gradient. Few channels, or products would be all there is. */
static void bench_loss(bench *b)
{
    static int32_t target[LOSS_ROWS];
    double took[TIMES];
    hone_weight w = { .struct_size = sizeof w,
                      .n_planes = 1,
                      .format = "fp32",
                      .rows = VOCABULARY,
                      .cols = LOSS_CHANNELS };
    hone_loss_args args = { .count = LOSS_ROWS, .scale = 1, .w = &w };
    for (int i = 0; i < LOSS_ROWS; i++)
        target[i] = i * 61;
    w.plane[0] = matrix(b, VOCABULARY, LOSS_CHANNELS);
    args.h = matrix(b, LOSS_ROWS, LOSS_CHANNELS);
    args.dh = matrix(b, LOSS_ROWS, LOSS_CHANNELS);
    args.scratch = matrix(b, LOSS_ROWS, VOCABULARY);
    args.loss = view_flat(matrix(b, 1, 1));
    args.target = integers(b, target, LOSS_ROWS);
    for (int k = -1; k < TIMES && !b->st; k++) {
        double before = bench_now(b), products;
        b->st = ops_linear(b->o, (hone_linear_args){ .w = &w, .x = args.h, .y = args.scratch },
                           &b->err);
        if (!b->st)
            b->st = ops_linear(
                b->o,
                (hone_linear_args){ .transpose = 1, .w = &w, .x = args.scratch, .y = args.dh },
                &b->err);
        if (!b->st)
            b->st = ops_sync(b->o, &b->err);
        products = bench_now(b) - before;
        before = bench_now(b);
        if (!b->st)
            b->st = ops_loss(b->o, args, &b->err);
        if (!b->st)
            b->st = ops_sync(b->o, &b->err);
        if (k >= 0)
            took[k] = bench_now(b) - before - products;
    }
    if (!b->st) {
        const double rate = 8e-9 * LOSS_ROWS * VOCABULARY / median(took, TIMES);
        printf("%-14s %6.0f %-8s %5.2f\n", "softmax, loss", rate, "GB/s", rate / b->top.copy);
    }
    drop(b);
}

/* Updates of one matrix; every number once, those that change twice. Paged state is all in
 * memory here: bench_optimizer has the rest. */
static void bench_updates(bench *b, registry *plugins)
{
    static const struct {
        const char *name;
        double bytes; /* of a parameter */
        bool paged;
    } updates[] = { { "adamw", 28, false },
                    { "adamw8bit", 16, false },
                    { "paged-adamw", 28, true } };
    const int64_t n = MILLIONS * 1000000;
    const param p = { .name = "w",
                      .rows = n,
                      .cols = 1,
                      .decay = true,
                      .value = view_flat(matrix(b, 1, n)),
                      .grad = view_flat(matrix(b, 1, n)) };
    for (size_t i = 0; i < sizeof updates / sizeof *updates && !b->st; i++) {
        const optimizer_setup how = { .name = updates[i].name,
                                      .weight_decay = 0.1,
                                      .paged_dir = "/var/tmp",
                                      .paged_bytes = updates[i].paged ? 10 * n : 0 };
        optimizer *opt = NULL;
        double took[TIMES];
        b->st = optimizer_open(&opt, b->o, &p, 1, plugins, &how, &b->err);
        for (int k = -1; k < TIMES && !b->st; k++) {
            const double before = bench_now(b);
            b->st = optimizer_step(opt, k + 2, 1e-4, 1, &b->err);
            if (!b->st)
                b->st = ops_sync(b->o, &b->err);
            if (k >= 0)
                took[k] = bench_now(b) - before;
        }
        optimizer_close(opt);
        if (!b->st) {
            const double rate = 1e-9 * updates[i].bytes * (double)n / median(took, TIMES);
            printf("%-14s %6.0f %-8s %5.2f\n", updates[i].name, rate, "GB/s", rate / b->top.copy);
        }
    }
    drop(b);
}

void bench_rows(bench *b, registry *plugins)
{
    bench_ops_of_rows(b);
    bench_loss(b);
    bench_updates(b, plugins);
}
