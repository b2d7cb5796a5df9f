/*
 * bench_decode.c - what generation spends on weights: every matrix of a model times a few
 * vectors, in each format, as a share of the speed memory can be read at.
 *
 *     bench_decode [--threads N] [--millions N] [--rows N] [--rounds N] [--kernels v1|v3|v4]
 *                  [--busy 1]
 *
 * Matrices are those of blocks 2048 wide with 5632 in the middle, enough of them that no format
 * fits a cache. Formats take turns, so that a machine with other work slows all of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/base.h"
#include "tests/bench/bench_ops.h"

enum { FORMATS = 5, SHAPES = 3, MAX_ROUNDS = 101 };

static const char *const names[FORMATS] = { "fp32", "fp16", "bf16", "int8", "nf4" };
static const int64_t shapes[SHAPES][3] = { /* O, I, how many in a block */
                                           { 2048, 2048, 4 },
                                           { 5632, 2048, 2 },
                                           { 2048, 5632, 1 }
};

typedef struct format {
    component *c;
    const hone_weights *table;
    void *self;
    hone_weight *w; /* owned, n */
    size_t n;
    double bytes, best, seconds[MAX_ROUNDS];
} format;

static struct {
    int64_t threads, millions, rows, rounds, busy;
    const char *kernels;
} how = { .millions = 256, .rows = 1, .rounds = 15 };

/* What nothing disturbed, as for the ceilings it is compared with. */
static double best(const double *x, int64_t n)
{
    double least = x[0];
    for (int64_t i = 1; i < n; i++)
        least = x[i] < least ? x[i] : least;
    return least;
}

/* One matrix of a shape in the format's planes, uploaded count times. */
static hone_status add_shape(ops *o, format *f, const char *name, int64_t rows, int64_t cols,
                             int64_t count, hone_error *err)
{
    hone_planes planes = { .struct_size = sizeof planes };
    float *x = mem_new((size_t)(rows * cols), sizeof *x);
    void *plane[HONE_MAX_PLANES] = { NULL };
    hone_status st = x ? f->table->layout(f->self, rows, cols, &planes, err)
                       : hone_fail(err, HONE_ERR_NOMEM, "no memory for a matrix");
    for (int64_t i = 0; !st && i < rows * cols; i++)
        x[i] = (float)(0.02 * rng_normal(1, 1, (uint64_t)i));
    for (uint32_t k = 0; !st && k < planes.n; k++) {
        const uint64_t size = hone_dtype_size(planes.plane[k].dtype);
        plane[k] = mem_new((size_t)planes.plane[k].count, size);
        f->bytes += (double)count * (double)planes.plane[k].count * (double)size;
    }
    if (!st)
        st = f->table->quantize(f->self, x, rows, cols, plane, err);
    for (int64_t i = 0; !st && i < count; i++) {
        hone_weight *w = &f->w[f->n++];
        *w = (hone_weight){ .struct_size = sizeof *w,
                            .n_planes = planes.n,
                            .format = name,
                            .rows = rows,
                            .cols = cols };
        if (HONE_HAS_CALL(f->table, describe))
            f->table->describe(f->self, w);
        for (uint32_t k = 0; !st && k < planes.n; k++) {
            const hone_plane *p = &planes.plane[k];
            const uint64_t bytes = (uint64_t)p->count * hone_dtype_size(p->dtype);
            hone_buf buf = 0;
            st = ops_alloc(o, &buf, bytes, err);
            if (!st)
                st = ops_upload(o, buf, 0, plane[k], bytes, err);
            w->plane[k] = f->table->dense ? hone_tensor_2d(buf, 0, p->dtype, rows, cols)
                                          : hone_tensor_1d(buf, 0, p->dtype, p->count);
        }
    }
    for (uint32_t k = 0; k < HONE_MAX_PLANES; k++)
        free(plane[k]);
    free(x);
    return st;
}

static hone_status open_format(ops *o, registry *plugins, format *f, const char *name,
                               hone_error *err)
{
    int64_t block = 0, blocks;
    hone_status st = component_open(&f->c, plugins, HONE_KIND_WEIGHTS, name, NULL, NULL, err);
    if (st)
        return st;
    f->table = f->c->ops;
    st = f->table->create(plugin_host(), f->c->config, &f->self, err);
    if (!st)
        st = ops_add_format(o, name, f->table, f->self, err);
    for (int i = 0; i < SHAPES; i++)
        block += shapes[i][0] * shapes[i][1] * shapes[i][2];
    blocks = how.millions * 1000000 / block + 1;
    f->w = mem_new((size_t)(blocks * 7), sizeof *f->w);
    for (int i = 0; !st && i < SHAPES; i++)
        st = add_shape(o, f, name, shapes[i][0], shapes[i][1], blocks * shapes[i][2], err);
    return st;
}

/* Seconds; --busy: of the processor, which other programs cannot stretch (one thread only). */
static double now(void)
{
    struct timespec t;
    if (!how.busy || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
        return clock_now();
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static hone_status token(ops *o, format *f, hone_tensor x[2], double *seconds, hone_error *err)
{
    const double begin = now();
    hone_status st = HONE_OK;
    for (size_t i = 0; i < f->n && !st; i++) {
        hone_weight *w = &f->w[i];
        hone_linear_args a = { .w = w,
                               .x = hone_tensor_2d(x[0].buf, 0, HONE_F32, how.rows, w->cols),
                               .y = hone_tensor_2d(x[1].buf, 0, HONE_F32, how.rows, w->rows) };
        st = ops_linear(o, a, err);
    }
    if (!st)
        st = ops_sync(o, err);
    *seconds = now() - begin;
    return st;
}

static hone_status measure(ops *o, format *f, const ceilings *c, hone_error *err)
{
    static float values[4 * 5632];
    hone_tensor x[2];
    hone_buf buf[2] = { 0, 0 };
    hone_status st = HONE_OK;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        values[i] = (float)rng_normal(2, 2, i);
    for (int i = 0; i < 2 && !st; i++) {
        st = ops_alloc(o, &buf[i], sizeof values, err);
        if (!st)
            st = ops_upload(o, buf[i], 0, values, sizeof values, err);
        x[i] = hone_tensor_1d(buf[i], 0, HONE_F32, 4 * 5632);
    }
    for (int64_t round = -1; round < how.rounds && !st; round++) /* the first warms up */
        for (int i = 0; i < FORMATS && !st; i++)
            st = token(o, &f[i], x, &f[i].seconds[round < 0 ? 0 : round], err);
    if (st)
        return st;
    printf("%lld rows, %lld million weights, %d threads, memory read at %.1f GB/s\n",
           (long long)how.rows, (long long)how.millions, c->threads, c->read);
    for (int i = 0; i < FORMATS; i++)
        f[i].best = best(f[i].seconds, how.rounds);
    for (int i = 0; i < FORMATS; i++)
        printf("%-5s %8.2f ms a token  %6.1f MB  %5.1f GB/s = %3.0f %% of memory  %.2f x bf16\n",
               names[i], f[i].best * 1e3, f[i].bytes / 1e6, f[i].bytes / f[i].best / 1e9,
               100 * f[i].bytes / f[i].best / 1e9 / c->read, f[2].best / f[i].best);
    return HONE_OK;
}

static int parse(int argc, char **argv)
{
    const struct {
        const char *name;
        int64_t *value, most;
    } rows[] = { { "--threads", &how.threads, 256 },
                 { "--millions", &how.millions, 4000 },
                 { "--rows", &how.rows, 4 },
                 { "--rounds", &how.rounds, MAX_ROUNDS },
                 { "--busy", &how.busy, 1 } };
    for (int i = 1; i + 1 < argc; i += 2) {
        size_t k = 0;
        if (!strcmp(argv[i], "--kernels")) {
            how.kernels = argv[i + 1];
            continue;
        }
        while (k < 5 && strcmp(argv[i], rows[k].name) != 0)
            k++;
        if (k == 5)
            return 0;
        *rows[k].value = strtol(argv[i + 1], NULL, 10);
        if (*rows[k].value < 1 || *rows[k].value > rows[k].most)
            return 0;
    }
    return argc % 2;
}

int main(int argc, char **argv)
{
    static format f[FORMATS];
    registry *plugins = NULL;
    component *device = NULL;
    ops *o = NULL;
    ceilings c = { 0 };
    hone_error err = { 0 };
    json_t *settings = json_object();
    if (!parse(argc, argv)) {
        fprintf(stderr, "usage: bench_decode [--threads N] [--millions N] [--rows 1..4] "
                        "[--rounds N] [--kernels v1|v3|v4] [--busy 1]\n");
        return EXIT_FAILURE;
    }
    if (how.threads)
        (void)json_object_set_new(settings, "threads", json_integer(how.threads));
    if (how.kernels)
        (void)json_object_set_new(settings, "kernels", json_string(how.kernels));
    hone_status st = registry_open(&plugins, NULL, 0, &err);
    if (!st)
        st = component_open(&device, plugins, HONE_KIND_DEVICE, "cpu", settings, NULL, &err);
    if (!st)
        st = ops_open(&o, plugin_host(), device->ops, 0, device->config, 0, &err);
    for (int i = 0; i < FORMATS && !st; i++)
        st = open_format(o, plugins, &f[i], names[i], &err);
    if (!st)
        st = ceilings_measure(&c, how.threads ? (int)how.threads : (int)ops_info(o)->threads, false,
                              &err);
    if (!st)
        st = measure(o, f, &c, &err);
    if (st)
        fprintf(stderr, "bench_decode: %s\n", err.message);
    ops_close(o);
    for (int i = 0; i < FORMATS; i++) {
        if (f[i].self)
            f[i].table->destroy(f[i].self);
        component_close(f[i].c);
        free(f[i].w);
    }
    component_close(device);
    json_decref(settings);
    plugin_shutdown_all();
    registry_close(plugins);
    return st ? EXIT_FAILURE : EXIT_SUCCESS;
}
