/*
 * bench_optimizer.c - what an update costs, by where and how its state is kept.
 *
 *     bench_optimizer [MILLIONS [ROUNDS [FOLDER]]]
 *
 * One matrix of so many million parameters. adamw is the measure; the others follow in
 * turns: seconds of a step, their ratio to adamw's, the same of the processor time of all
 * threads, and what their state takes. FOLDER is where paged state goes (/var/tmp).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <time.h>

#include "core/train/parts.h"

enum { MAX_ROUNDS = 51 };

static const struct {
    const char *label, *name;
    double share; /* of paged state that may be in memory; 0: not paged */
} rows[] = {
    { "adamw", "adamw", 0 },
    { "adam", "adam", 0 },
    { "adamw8bit", "adamw8bit", 0 },
    { "paged-adamw, all in memory", "paged-adamw", 2 },
    { "paged-adamw, half in memory", "paged-adamw", 0.5 },
    { "paged-adamw, a twentieth", "paged-adamw", 0.05 },
};
enum { N_ROWS = sizeof rows / sizeof *rows };

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double processor(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static hone_status run(ops *o, registry *plugins, int64_t n, int rounds, const char *dir,
                       hone_error *err)
{
    static double seconds[N_ROWS][MAX_ROUNDS], busy[N_ROWS][MAX_ROUNDS];
    optimizer *opt[N_ROWS] = { NULL };
    hone_buf buf[2] = { 0 };
    hone_status st = HONE_OK;
    param p = { .name = "w", .rows = n, .cols = 1, .decay = true };
    for (int k = 0; !st && k < 2; k++) {
        st = ops_alloc(o, &buf[k], (uint64_t)n * sizeof(float), err);
        if (!st)
            st = ops_fill(o, hone_tensor_1d(buf[k], 0, HONE_F32, n), k ? 1e-3 : 1, err);
    }
    p.value = hone_tensor_1d(buf[0], 0, HONE_F32, n);
    p.grad = hone_tensor_1d(buf[1], 0, HONE_F32, n);
    for (int k = 0; !st && k < N_ROWS; k++) {
        const optimizer_setup how = { .name = rows[k].name,
                                      .weight_decay = 0.1,
                                      .paged_dir = dir,
                                      .paged_bytes = (int64_t)(8.0 * (double)n * rows[k].share) };
        st = optimizer_open(&opt[k], o, &p, 1, plugins, &how, err);
    }
    for (int r = -1; !st && r < rounds; r++)
        for (int k = 0; !st && k < N_ROWS; k++) {
            const double began = clock_now(), used = processor();
            st = optimizer_step(opt[k], r + 2, 1e-4, 1, err);
            if (!st)
                st = ops_sync(o, err);
            if (r >= 0)
                seconds[k][r] = clock_now() - began, busy[k][r] = processor() - used;
        }
    for (int k = 0; !st && k < N_ROWS; k++) {
        const optimizer_memory m = optimizer_bytes(opt[k]);
        qsort(seconds[k], (size_t)rounds, sizeof **seconds, ascending);
        qsort(busy[k], (size_t)rounds, sizeof **busy, ascending);
        printf("%-28s %8.1f ms, %5.2f of adamw's, of the best %5.2f; processor %8.1f ms, %5.2f; "
               "%6.1f MB "
               "in memory, %6.1f in a file\n",
               rows[k].label, 1e3 * seconds[k][rounds / 2],
               seconds[k][rounds / 2] / seconds[0][rounds / 2], seconds[k][0] / seconds[0][0],
               1e3 * busy[k][rounds / 2], busy[k][rounds / 2] / busy[0][rounds / 2],
               (double)(m.device + m.host) / 1e6, (double)m.file / 1e6);
    }
    for (int k = 0; k < N_ROWS; k++)
        optimizer_close(opt[k]);
    for (int k = 0; k < 2; k++)
        ops_free(o, buf[k]);
    return st;
}

int main(int argc, char **argv)
{
    const int64_t n = (argc > 1 ? atoll(argv[1]) : 30) * 1000000;
    const int rounds = argc > 2 ? atoi(argv[2]) : 5;
    registry *plugins = NULL;
    component *device = NULL;
    ops *o = NULL;
    hone_error err = { 0 };
    hone_status st;
    if (n < 1 || rounds < 1 || rounds > MAX_ROUNDS) {
        fprintf(stderr, "bench_optimizer [MILLIONS [ROUNDS [FOLDER]]], at most %d rounds\n",
                MAX_ROUNDS);
        return 1;
    }
    st = registry_open(&plugins, NULL, 0, &err);
    if (!st)
        st = component_open(&device, plugins, HONE_KIND_DEVICE, "cpu", NULL, NULL, &err);
    if (!st)
        st = ops_open(&o, plugin_host(), device->ops, 0, device->config, 0, &err);
    if (!st)
        st = run(o, plugins, n, rounds, argc > 3 ? argv[3] : "/var/tmp", &err);
    if (st)
        fprintf(stderr, "bench_optimizer: %s\n", err.message);
    ops_close(o);
    component_close(device);
    plugin_shutdown_all();
    registry_close(plugins);
    return st ? 1 : 0;
}
