/*
 * bench_ops.c - the cpu device's ops as shares of what this machine can do.
 *
 *     bench_ops [gemm|bf16|rows] [--threads N] [--only M,N,K] [--option KEY=VALUE]...
 *
 * Matrix products run in turn with oneDNN's matmul on packed weights; every figure is a
 * median of such pairs. The three products of a layer with weight (N, K) and M tokens:
 *
 *     fwd  y (M, N)  = x W^T        dx  (M, K) = dy W        dW  (N, K) += dy^T x
 *
 * Other ops (bench_rows.c) count the bytes that they have to move, beside the bandwidth of a copy.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/bench_ops.h"

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static hone_tensor matrix_of(bench *b, uint32_t dtype, int64_t rows, int64_t cols)
{
    hone_buf buf = 0;
    hone_tensor t = { 0 };
    if (!b->st)
        b->st = ops_alloc(b->o, &buf, (uint64_t)(rows * cols) * hone_dtype_size(dtype), &b->err);
    if (b->st)
        return t;
    b->buf[b->n_bufs++] = buf;
    t = hone_tensor_2d(buf, 0, dtype, rows, cols);
    b->st = ops_fill(b->o, t, 0.01, &b->err);
    return t;
}

hone_tensor matrix(bench *b, int64_t rows, int64_t cols)
{
    return matrix_of(b, HONE_F32, rows, cols);
}

void drop(bench *b)
{
    while (b->n_bufs)
        ops_free(b->o, b->buf[--b->n_bufs]);
}

/* ------------------------------------------------------------------ products */

typedef struct product {
    const char *name;
    int kind; /* 0 fwd, 1 dx, 2 dW */
} product;

static const product products[] = { { "fwd", 0 }, { "dx", 1 }, { "dW", 2 } };

/* (N, K) of the layers of the 10 M, 100 M and 1 B models, their heads last. */
static const int64_t layers[][2] = {
    { 256, 256 },   { 688, 256 },   { 256, 688 },   { 640, 640 },  { 1728, 640 },  { 640, 1728 },
    { 2048, 2048 }, { 5632, 2048 }, { 2048, 5632 }, { 8192, 256 }, { 32000, 640 }, { 32000, 2048 }
};
static const int64_t tokens[] = { 128, 512, 2048 };

typedef struct layer {
    int64_t m, n, k;
    hone_tensor x, y, dx, dy, dw;
    hone_weight w;
} layer;

static void run_product(bench *b, int kind, layer *l)
{
    if (b->st)
        return;
    if (kind == 0)
        b->st = ops_linear(b->o, (hone_linear_args){ .w = &l->w, .x = l->x, .y = l->y }, &b->err);
    else if (kind == 1)
        b->st = ops_linear(b->o,
                           (hone_linear_args){ .transpose = 1, .w = &l->w, .x = l->dy, .y = l->dx },
                           &b->err);
    else
        b->st = ops_gemm(b->o, true, false, 1, l->dy, l->x, 1, l->dw, &b->err);
    if (!b->st)
        b->st = ops_sync(b->o, &b->err);
}

double bench_now(const bench *b)
{
    struct timespec t;
    if (b->threads > 1)
        return clock_now();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double seconds_hone(bench *b, int kind, layer *l, int times)
{
    const double before = bench_now(b);
    for (int i = 0; i < times; i++)
        run_product(b, kind, l);
    return (bench_now(b) - before) / times;
}

static double seconds_peer(bench *b, peer *p, int times)
{
    const double before = bench_now(b);
    for (int i = 0; i < times && !b->st; i++)
        b->st = peer_run(p, &b->err);
    return (bench_now(b) - before) / times;
}

/* The medians over pairs of GFLOP/s and of the ratio hone / oneDNN. */
static void pair(bench *b, bool bf16, int kind, layer *l, double *gflops, double *ratio)
{
    enum { MOST = 15 };
    const double flops = 2.0 * (double)l->m * (double)l->n * (double)l->k;
    const int64_t dims[3][3] = { { l->m, l->n, l->k }, { l->m, l->k, l->n }, { l->n, l->k, l->m } };
    double rate[MOST], share[MOST];
    int pairs, times;
    peer *p = NULL;
    if (!b->st)
        b->st = peer_open(&p, b->threads, bf16, kind == 2, dims[kind][0], dims[kind][1],
                          dims[kind][2], &b->err);
    seconds_peer(b, p, 1);
    times = 1 + (int)(4e-3 / (seconds_hone(b, kind, l, 1) + 1e-9));
    pairs = flops * times > 2e10 ? 3 : flops * times > 5e9 ? 7 : MOST;
    for (int i = 0; i < pairs && !b->st; i++) {
        const double mine = seconds_hone(b, kind, l, times), other = seconds_peer(b, p, times);
        rate[i] = flops / mine / 1e9;
        share[i] = other / mine;
    }
    *gflops = b->st ? 0 : median(rate, (size_t)pairs);
    *ratio = b->st ? 0 : median(share, (size_t)pairs);
    peer_close(p);
}

/* bf16: weights in bfloat16, and other operands rounded to it on the way; oneDNN's are that
 * already. */
static void bench_gemm(bench *b, bool bf16, const int64_t *only)
{
    const double top = bf16 && b->top.tile > 0 ? b->top.tile : b->top.fma;
    double least[3] = { 1e9, 1e9, 1e9 }, all[3][64];
    size_t n = 0;
    printf("%s products: GFLOP/s, share of the ceiling of %s, ratio to oneDNN packed\n",
           bf16 ? "bfloat16" : "float32", bf16 && b->top.tile > 0 ? "tiles" : "FMA");
    ops_round_operands(b->o, bf16 ? HONE_BF16 : HONE_F32);
    printf("%6s %6s %6s", "M", "N", "K");
    for (int i = 0; i < 3; i++)
        printf("   | %4s GFLOP/s share ratio", products[i].name);
    printf("\n");
    for (size_t i = 0; i < sizeof layers / sizeof *layers && !b->st; i++)
        for (size_t j = 0; j < sizeof tokens / sizeof *tokens && !b->st; j++) {
            layer l = { .m = tokens[j], .n = layers[i][0], .k = layers[i][1] };
            if (only && (l.m != only[0] || l.n != only[1] || l.k != only[2]))
                continue;
            l.x = matrix(b, l.m, l.k);
            l.y = matrix(b, l.m, l.n);
            l.dx = matrix(b, l.m, l.k);
            l.dy = matrix(b, l.m, l.n);
            l.dw = matrix(b, l.n, l.k);
            l.w = (hone_weight){ .struct_size = sizeof l.w,
                                 .n_planes = 1,
                                 .format = bf16 ? "bf16" : "fp32",
                                 .rows = l.n,
                                 .cols = l.k,
                                 .plane = { matrix_of(b, bf16 ? HONE_BF16 : HONE_F32, l.n, l.k) } };
            printf("%6lld %6lld %6lld", (long long)l.m, (long long)l.n, (long long)l.k);
            for (int k = 0; k < 3; k++) {
                double gflops, ratio;
                pair(b, bf16, k, &l, &gflops, &ratio);
                printf("   | %12.0f %5.2f %5.2f", gflops, gflops / top, ratio);
                fflush(stdout);
                least[k] = ratio < least[k] ? ratio : least[k];
                all[k][n] = ratio;
            }
            printf("\n");
            n++;
            drop(b);
        }
    for (int k = 0; k < 3 && n && !b->st; k++)
        printf("%s: ratio to oneDNN packed, least %.2f, median %.2f of %zu shapes\n",
               products[k].name, least[k], median(all[k], n), n);
}

/* ---------------------------------------------------------------------- main */

static hone_status set_threads(options *o, int n, hone_error *err)
{
    char number[16];
    (void)snprintf(number, sizeof number, "%d", n);
    return options_set(o, "threads", number, err);
}

static hone_status open_device(bench *b, registry *plugins, component **c, char **settings, int n,
                               hone_error *err)
{
    hone_status st = component_open(c, plugins, HONE_KIND_DEVICE, "cpu", NULL, NULL, err);
    for (int i = 0; !st && i < n; i++) {
        char *value = strchr(settings[i], '=');
        if (value)
            *value++ = '\0';
        st = options_set(&(*c)->options, settings[i], value ? value : "", err);
    }
    if (!st && b->threads)
        st = set_threads(&(*c)->options, b->threads, err);
    if (!st)
        st = ops_open(&b->o, plugin_host(), (*c)->ops, 0, (*c)->config, 0, err);
    return st;
}

int main(int argc, char **argv)
{
    static bench b;
    registry *plugins = NULL;
    component *c = NULL;
    char *settings[16];
    int n_settings = 0;
    const char *part = "all";
    int64_t only[3], *chosen = NULL;
    hone_status st = HONE_OK;
    for (int i = 1; i < argc; i++) {
        long long m, n, k;
        if (!strcmp(argv[i], "--option") && i + 1 < argc && n_settings < 16)
            settings[n_settings++] = argv[++i];
        else if (!strcmp(argv[i], "--threads") && i + 1 < argc)
            b.threads = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--only") && i + 1 < argc &&
                 sscanf(argv[++i], "%lld,%lld,%lld", &m, &n, &k) == 3)
            only[0] = m, only[1] = n, only[2] = k, chosen = only;
        else
            part = argv[i];
    }
    st = registry_open(&plugins, NULL, 0, &b.err);
    if (!st)
        st = open_device(&b, plugins, &c, settings, n_settings, &b.err);
    if (!st && !b.threads)
        b.threads = (int)ops_info(b.o)->threads;
    if (!st)
        st = ceilings_measure(&b.top, b.threads, strstr(ops_info(b.o)->name, "with AMX") != NULL,
                              &b.err);
    b.st = st;
    if (!st) {
        printf("%s, %d threads\n", ops_info(b.o)->name, b.top.threads);
        printf("ceilings: float32 FMA (%s) %.0f GFLOP/s one core, %.0f all; memory read %.1f GB/s, "
               "copy %.1f GB/s\n",
               b.top.isa, b.top.fma_one, b.top.fma, b.top.read, b.top.copy);
        if (b.top.tile > 0)
            printf("          bfloat16 tiles %.0f GFLOP/s one core, %.0f all\n", b.top.tile_one,
                   b.top.tile);
        if (!strcmp(part, "gemm") || !strcmp(part, "all"))
            bench_gemm(&b, false, chosen);
        if (!strcmp(part, "bf16") || !strcmp(part, "all"))
            bench_gemm(&b, true, chosen);
        ops_round_operands(b.o, HONE_F32);
        if (!strcmp(part, "rows") || !strcmp(part, "all"))
            bench_rows(&b, plugins);
    }
    drop(&b);
    ops_close(b.o);
    component_close(c);
    plugin_shutdown_all();
    registry_close(plugins);
    if (b.st)
        fprintf(stderr, "bench_ops: %s\n", b.err.message);
    return b.st ? 1 : 0;
}
