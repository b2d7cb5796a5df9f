/*
 * check_weights.c - what every weight format promises:
 *
 *     check_weights PLUGIN.so DEVICE.so [KEY=VALUE of the device]
 *
 * For each format of the plugin: planes that layout() sizes are filled and read within
 * their bounds, what was decoded once quantizes to itself, a device decodes to the same
 * bits as the host, and a product with the stored weight is the product with what it
 * decodes to. fp32 gives back the bits it was given. A device with a kernel for int8 multiplies
 * integers: its product is that of LLM.int8(), done here with 64-bit sums.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/rig.h"

/* Planes on the host, each with an edge that has to stay. */
typedef struct planes {
    hone_planes layout;
    uint8_t *p[HONE_MAX_PLANES]; /* owned */
    uint64_t bytes[HONE_MAX_PLANES];
} planes;

enum { EDGE = 32, MAX_FORMATS = 8 };

static bool planes_new(rig *r, const hone_weights *w, void *self, int64_t rows, int64_t cols,
                       planes *x)
{
    hone_error err = { 0 };
    *x = (planes){ .layout = { .struct_size = sizeof x->layout } };
    if (!good(r, w->layout(self, rows, cols, &x->layout, &err), &err))
        return false;
    if (x->layout.n < 1 || x->layout.n > HONE_MAX_PLANES) {
        fail(r, "has %u planes", (unsigned)x->layout.n);
        return false;
    }
    for (uint32_t k = 0; k < x->layout.n; k++) {
        const hone_plane *plane = &x->layout.plane[k];
        if (!hone_dtype_size(plane->dtype) || plane->count < 0 || !plane->name[0])
            fail(r, "plane %u: \"%s\", dtype %u, %lld elements", (unsigned)k, plane->name,
                 (unsigned)plane->dtype, (long long)plane->count);
        x->bytes[k] = (uint64_t)plane->count * hone_dtype_size(plane->dtype);
        x->p[k] = malloc(x->bytes[k] + EDGE);
        if (!x->p[k])
            return false;
        memset(x->p[k], 0xa5, x->bytes[k] + EDGE);
    }
    return true;
}

static void planes_finish(rig *r, planes *x)
{
    for (uint32_t k = 0; k < x->layout.n && k < HONE_MAX_PLANES; k++) {
        for (int i = 0; x->p[k] && i < EDGE; i++)
            if (x->p[k][x->bytes[k] + (uint64_t)i] != 0xa5) {
                fail(r, "plane %u was written beyond its end", (unsigned)k);
                break;
            }
        free(x->p[k]);
    }
}

/* LLM.int8(): want (n, rows) of x (n, cols), codes and scales of planes. */
static void emulate_int8(const planes *p, const float *x, int64_t n, int64_t rows, int64_t cols,
                         float outlier, double *want)
{
    const int8_t *codes = (const int8_t *)p->p[0];
    const float *scales = (const float *)(const void *)p->p[1];
    for (int64_t i = 0; i < n; i++) {
        float most = 0;
        for (int64_t k = 0; k < cols; k++)
            if (fabsf(x[i * cols + k]) < outlier && fabsf(x[i * cols + k]) > most)
                most = fabsf(x[i * cols + k]);
        for (int64_t o = 0; o < rows; o++) {
            int64_t sum = 0;
            double apart = 0;
            for (int64_t k = 0; k < cols; k++) {
                bool out = false;
                for (int64_t j = 0; j < n; j++)
                    out = out || fabsf(x[j * cols + k]) >= outlier;
                if (out)
                    apart +=
                        (double)x[i * cols + k] * codes[o * cols + k] * (double)scales[o] / 127;
                else if (most > 0)
                    sum += lrintf(x[i * cols + k] * (1 / most * 127)) * codes[o * cols + k];
            }
            want[i * rows + o] =
                (double)sum * ((double)most * (double)scales[o] / (127.0 * 127.0)) + apart;
        }
    }
}

static double distance(const float *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sum;
}

/* The device has to agree with the host: products with n vectors, or of n rows of dy. Where it may
 * round to bfloat16, dy and x are that already, but decoded weights need not be. */
static void on_device(rig *r, const char *format, const planes *x, int64_t rows, int64_t cols,
                      int64_t n, bool back, uint32_t operands, const float *decoded)
{
    const int64_t wide = back ? rows : cols, narrow = back ? cols : rows;
    const int64_t xs[2] = { n, wide }, ys[2] = { n, narrow }, ws[2] = { rows, cols };
    float *in = normals(r, n * wide, 1);
    const bool int8 = strcmp(format, "int8") == 0 && !back;
    const double allowed = operands == HONE_BF16 && strcmp(format, "bf16") != 0 ? 3e-3 : 1e-5;
    double *integers = calloc((size_t)(n * narrow) + 1, sizeof *integers);
    double *want = calloc((size_t)(n * narrow) + 1, sizeof *want);
    if (wide > 2)
        in[(n - 1) * wide + 2] = 7; /* a column of outliers */
    if (operands == HONE_BF16)
        cut_to_bf16(in, n * wide);
    if (int8)
        emulate_int8(x, in, n, rows, cols, 6, integers);
    for (int64_t i = 0; i < n; i++)
        for (int64_t o = 0; o < narrow; o++)
            for (int64_t j = 0; j < wide; j++)
                want[i * narrow + o] +=
                    (double)in[i * wide + j] * (double)decoded[back ? j * cols + o : o * cols + j];
    for (int i = 0; i < N_SIDES; i++) {
        side *s = &r->side[i];
        hone_weight w = { .struct_size = sizeof w,
                          .n_planes = x->layout.n,
                          .format = format,
                          .rows = rows,
                          .cols = cols,
                          .outlier = 6 };
        hone_error err = { 0 };
        hone_linear_args a = { .transpose = back, .w = &w };
        float *got;
        what(r, "product of %lld with (%lld, %lld)%s%s, %s", (long long)n, (long long)rows,
             (long long)cols, back ? "" : "^T", operands == HONE_BF16 ? " in bfloat16" : "",
             i ? "composed" : "as the device does it");
        for (uint32_t k = 0; k < x->layout.n; k++)
            w.plane[k] = x->layout.n == 1 && x->layout.plane[k].count == rows * cols
                             ? put_raw(r, s, x->layout.plane[k].dtype, 2, ws, x->p[k])
                             : put_raw(r, s, x->layout.plane[k].dtype, 1, &x->layout.plane[k].count,
                                       x->p[k]);
        a.x = put(r, s, 2, xs, 0, in);
        a.y = put(r, s, 2, ys, 0, NULL);
        ops_round_operands(s->o, operands);
        (void)good(r, ops_linear(s->o, a, &err), &err);
        got = get(r, s, a.y);
        const bool quantizes =
            int8 && distance(got, integers, n * narrow) < distance(got, want, n * narrow);
        near_norm(r, "y", got, quantizes ? integers : want, n * narrow, quantizes ? 1e-5 : allowed);
        free(got);
        drop_all(s);
    }
    free(in);
    free(integers);
    free(want);
}

static void matrix(rig *r, const char *format, const hone_weights *w, void *self, int64_t rows,
                   int64_t cols)
{
    float *src = normals(r, rows * cols, 0.05), *once = calloc((size_t)(rows * cols) + 1, 4);
    float *twice = calloc((size_t)(rows * cols) + 1, 4);
    planes a, b = { 0 };
    hone_error err = { 0 };
    what(r, "a matrix of %lld x %lld", (long long)rows, (long long)cols);
    if (planes_new(r, w, self, rows, cols, &a) && planes_new(r, w, self, rows, cols, &b)) {
        (void)good(r, w->quantize(self, src, rows, cols, (void *const *)a.p, &err), &err);
        (void)good(r, w->dequantize(self, (const void *const *)a.p, rows, cols, once, &err), &err);
        (void)good(r, w->quantize(self, src, rows, cols, (void *const *)b.p, &err), &err);
        for (uint32_t k = 0; k < a.layout.n; k++)
            same_bits(r, "quantized again", b.p[k], a.p[k], a.bytes[k]);
        if (w->dense) { /* a plain format loses nothing the second time */
            (void)good(r, w->quantize(self, once, rows, cols, (void *const *)b.p, &err), &err);
            (void)good(r, w->dequantize(self, (const void *const *)b.p, rows, cols, twice, &err),
                       &err);
            same_bits(r, "there and back twice", twice, once, 4 * (size_t)(rows * cols));
        }
        if (w->dense == HONE_F32)
            same_bits(r, "there and back", once, src, 4 * (size_t)(rows * cols));
        for (int64_t n = 1; n < 10 && rows > 0 && cols > 0; n += n < 5 ? 1 : 4)
            for (int way = 0; way < 4; way++)
                on_device(r, format, &a, rows, cols, n, way & 1, way & 2 ? HONE_BF16 : HONE_F32,
                          once);
    }
    what(r, "a matrix of %lld x %lld", (long long)rows, (long long)cols);
    planes_finish(r, &a);
    planes_finish(r, &b);
    free(src);
    free(once);
    free(twice);
}

static void check(rig *r, const char *format, const hone_weights *w, const void *config,
                  void **created)
{
    static const int64_t sizes[][2] = { { 1, 1 },    { 3, 5 },     { 64, 64 },
                                        { 7, 129 },  { 100, 256 }, { 33, 640 },
                                        { 70, 192 }, { 99, 640 },  { 0, 8 } };
    hone_error err = { 0 };
    hone_planes layout = { .struct_size = sizeof layout };
    void *self = NULL;
    what(r, "create");
    if (!good(r, w->create(plugin_host(), config, &self, &err), &err))
        return;
    for (int i = 0; i < N_SIDES; i++)
        (void)good(r, ops_add_format(r->side[i].o, format, w, self, &err), &err);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        matrix(r, format, w, self, sizes[i][0], sizes[i][1]);
    what(r, "a matrix that cannot be");
    if (w->layout(self, -1, 4, &layout, &err) == HONE_OK ||
        w->layout(self, INT64_MAX, INT64_MAX, &layout, &err) == HONE_OK)
        fail(r, "is laid out");
    r->what[0] = '\0';
    w->destroy(NULL);
    *created = self; /* the ops keep it: main() destroys it after they are closed */
}

int main(int argc, char **argv)
{
    static rig g;
    registry *r = NULL, *devices = NULL;
    component *c[MAX_FORMATS] = { NULL }, *d = NULL;
    void *self[MAX_FORMATS] = { NULL };
    size_t n = 0;
    bool refused = false;
    hone_error err = { 0 };
    hone_status st;
    if (argc < 3) {
        fprintf(stderr, "usage: check_weights PLUGIN.so DEVICE.so [KEY=VALUE]\n");
        return EXIT_FAILURE;
    }
    st = registry_open_file(&r, argv[1], &err);
    if (!st)
        st = registry_open_file(&devices, argv[2], &err);
    if (!st)
        st = component_open(&d, devices, HONE_KIND_DEVICE,
                            registry_plugin(devices, 0)->note.rows[0].component, NULL, NULL, &err);
    if (!st && argc > 3) {
        char *value = strchr(argv[3], '=');
        if (value)
            *value++ = '\0';
        st = options_set(&d->options, argv[3], value ? value : "", &err);
    }
    for (int i = 0; !st && i < N_SIDES; i++)
        st = ops_open(&g.side[i].o, plugin_host(), d->ops, 0, d->config, i ? OPS_COMPOSE : 0, &err);
    refused = st == HONE_ERR_UNSUPPORTED; /* a processor without these kernels */
    for (size_t i = 0; !st && i < registry_plugin(r, 0)->note.n_rows && n < MAX_FORMATS; i++) {
        const hone_note_row *row = &registry_plugin(r, 0)->note.rows[i];
        const int before = failures;
        if (strcmp(row->kind, HONE_KIND_WEIGHTS) != 0)
            continue;
        st = component_open(&c[n], r, HONE_KIND_WEIGHTS, row->component, NULL, NULL, &err);
        if (st)
            break;
        g.name = row->component;
        g.seed = 1;
        check(&g, row->component, c[n]->ops, c[n]->config, &self[n]);
        printf("%s %s\n", failures == before ? "ok  " : "FAIL", row->component);
        n++;
    }
    if (st) {
        fprintf(stderr, "%s\n", err.message);
        failures++;
    }
    for (int i = 0; i < N_SIDES; i++)
        ops_close(g.side[i].o);
    for (size_t i = 0; i < n; i++) {
        ((const hone_weights *)c[i]->ops)->destroy(self[i]);
        component_close(c[i]);
    }
    component_close(d);
    plugin_shutdown_all();
    registry_close(r);
    registry_close(devices);
    return refused ? 77 : failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
