/*
 * bench_ew.c - the program interpreter against a loop written by hand: AdamW's update.
 *
 *     bench_ew [THREADS [ROUNDS [v1|v3|v4]]]
 *
 * Both run on the same memory and the same threads (libgomp's), in turns, for the same kind of
 * processor; per size the
 * median of each, the ratios of medians and of best rounds are printed, and whether the bits
 * are the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/model/model.h"
#include "hone/optimizer.h"
#include "tests/bench/adamw_loop.h"

extern void GOMP_parallel(void (*body)(void *arg), void *arg, unsigned threads, unsigned flags);
extern int omp_get_thread_num(void);

typedef struct hand {
    adamw_step s;
    adamw_loop *loop;
    int64_t n;
    unsigned threads;
} hand;

static void hand_part(void *arg)
{
    const hand *h = arg;
    const int64_t i = omp_get_thread_num(), each = (h->n / h->threads + 15) / 16 * 16;
    const int64_t lo = i * each, hi = i + 1 == h->threads ? h->n : lo + each;
    if (lo < hi)
        h->loop(&h->s, lo, hi);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { P, G, M, V, N_ARRAYS, MAX_ROUNDS = 101 };

typedef struct bench {
    ops *o;
    hone_kernel kernel;
    float params[HONE_EW_MAX_PARAMS];
    uint32_t n_params;
    unsigned threads;
    int rounds;
    adamw_loop *loop;
} bench;

/* The best loop this processor runs, or the one that is named; NULL: none of these. */
static adamw_loop *loop_of(const char *name)
{
    const struct {
        const char *name;
        adamw_loop *loop;
        bool here;
    } rows[] = {
        { "v4", adamw_loop_v4,
          __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") },
        { "v3", adamw_loop_v3, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") },
        { "v1", adamw_loop_v1, true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].here && (!name || strcmp(name, rows[i].name) == 0))
            return rows[i].loop;
    return NULL;
}

static void fill(float *x, int64_t n, uint64_t stream)
{
    for (int64_t i = 0; i < n; i++) {
        const uint64_t word = rng_u64(1, stream, (uint64_t)i);
        const float u = (float)(int32_t)(word >> 40) * 0x1p-24f;
        x[i] = stream == V ? 1e-4f * u : u - 0.5f;
    }
}

static hone_status compare(bench *b, int64_t n, hone_error *err)
{
    hone_buf buf[N_ARRAYS] = { 0 };
    float *host[N_ARRAYS] = { NULL };
    hone_tensor t[N_ARRAYS];
    double mine[MAX_ROUNDS], theirs[MAX_ROUNDS];
    const float *s = b->params;
    hand h = { .n = n, .threads = b->threads };
    const int repeat = n < 1000000 ? (int)(1000000 / n) : 1;
    bool same = true;
    hone_status st = HONE_OK;
    for (int i = 0; i < N_ARRAYS; i++) {
        void *p = NULL;
        host[i] = aligned_alloc(64, ((size_t)n * sizeof(float) + 63) / 64 * 64);
        st = st ? st : ops_alloc_host(b->o, &buf[i], &p, (uint64_t)n * sizeof(float), err);
        if (st || !host[i])
            goto out;
        fill(host[i], n, (uint64_t)i);
        memcpy(p, host[i], (size_t)n * sizeof(float));
        t[i] = hone_tensor_1d(buf[i], 0, HONE_F32, n);
    }
    h.s = (adamw_step){ host[P], host[M], host[V], host[G], s[0], s[1], s[2],
                        s[3],    s[4],    s[5],    s[6],    s[7], s[8] };
    h.loop = b->loop;
    for (int r = -1; r < b->rounds; r++) {
        double began = clock_now(), middle;
        for (int k = 0; k < repeat; k++)
            GOMP_parallel(hand_part, &h, b->threads, 0);
        middle = clock_now();
        for (int k = 0; k < repeat && !st; k++)
            st = ops_elementwise(b->o,
                                 (hone_ew_args){ .n_bufs = N_ARRAYS,
                                                 .n_params = b->n_params,
                                                 .kernel = b->kernel,
                                                 .bufs = t,
                                                 .params = b->params,
                                                 .shape = { n, 1, 1, 1 } },
                                 err);
        if (!st)
            st = ops_sync(b->o, err);
        if (st)
            goto out;
        if (r >= 0) {
            theirs[r] = (middle - began) / repeat;
            mine[r] = (clock_now() - middle) / repeat;
        }
    }
    for (int i = 0; i < N_ARRAYS && !st; i++) {
        float *got = malloc((size_t)n * sizeof(float));
        st = got ? ops_download(b->o, got, buf[i], 0, (uint64_t)n * sizeof(float), err)
                 : hone_fail(err, HONE_ERR_NOMEM, "no memory");
        same = same && !st && !memcmp(got, host[i], (size_t)n * sizeof(float));
        free(got);
    }
    qsort(mine, (size_t)b->rounds, sizeof *mine, ascending);
    qsort(theirs, (size_t)b->rounds, sizeof *theirs, ascending);
    printf("adamw %9lld: by hand %9.1f us, program %9.1f us (%5.1f GB/s), ratio %.2f, of the best "
           "%.2f, %s\n",
           (long long)n, 1e6 * theirs[b->rounds / 2], 1e6 * mine[b->rounds / 2],
           28e-9 * (double)n / mine[b->rounds / 2], theirs[b->rounds / 2] / mine[b->rounds / 2],
           theirs[0] / mine[0], same ? "same bits" : "OTHER BITS");
out:
    for (int i = 0; i < N_ARRAYS; i++) {
        ops_free(b->o, buf[i]);
        free(host[i]);
    }
    return st;
}

int main(int argc, char **argv)
{
    static const int64_t sizes[] = { 100000, 300000, 1000000, 3000000, 10000000, 30000000 };
    const hone_step_info info = {
        .struct_size = sizeof info, .step = 10, .lr = 1e-3, .weight_decay = 0.1
    };
    bench b = { .threads = argc > 1 ? (unsigned)atoi(argv[1]) : 2,
                .rounds = argc > 2 ? atoi(argv[2]) : 9,
                .loop = loop_of(argc > 3 ? argv[3] : NULL) };
    registry *plugins = NULL;
    component *device = NULL, *adamw = NULL;
    const hone_optimizer *table = NULL;
    const hone_ew_program *program = NULL;
    void *self = NULL;
    json_t *config;
    hone_error err = { 0 };
    hone_status st;
    if (b.threads < 1 || b.rounds < 1 || b.rounds > MAX_ROUNDS || !b.loop) {
        fprintf(stderr, "bench_ew [THREADS [ROUNDS [v1|v3|v4]]], at most %d rounds\n", MAX_ROUNDS);
        return 1;
    }
    config =
        json_pack("{s:i, s:s}", "threads", (int)b.threads, "kernels", argc > 3 ? argv[3] : "auto");
    st = registry_open(&plugins, NULL, 0, &err);
    if (!st)
        st = component_open(&device, plugins, HONE_KIND_DEVICE, "cpu", config, NULL, &err);
    if (!st)
        st = component_open(&adamw, plugins, HONE_KIND_OPTIMIZER, "adamw", NULL, NULL, &err);
    if (!st)
        st = ops_open(&b.o, plugin_host(), device->ops, 0, device->config, 0, &err);
    if (!st) {
        table = adamw->ops;
        st = table->create(plugin_host(), adamw->config, &self, &err);
    }
    if (!st)
        st = table->program(self, &program, &err);
    if (!st) {
        b.n_params = program->n_params;
        st = table->scalars(self, &info, b.params, b.n_params, &err);
        b.params[HONE_OPT_PARAM_GRAD_SCALE] = 0.5f;
    }
    if (!st)
        st = ops_compile(b.o, &b.kernel, program, &err);
    for (size_t i = 0; !st && i < sizeof sizes / sizeof *sizes; i++)
        st = compare(&b, sizes[i], &err);
    if (st)
        fprintf(stderr, "bench_ew: %s\n", err.message);
    if (self)
        table->destroy(self);
    ops_close(b.o);
    component_close(adamw);
    component_close(device);
    json_decref(config);
    plugin_shutdown_all();
    registry_close(plugins);
    return st ? 1 : 0;
}
