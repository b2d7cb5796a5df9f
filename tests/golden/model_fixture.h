/*
 * model_fixture.h - what the golden tests of models share: a backend, batches made of
 * fixture tensors, and the measure "norm of the difference over norm of the reference".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_GOLDEN_MODEL_FIXTURE_H
#define TESTS_GOLDEN_MODEL_FIXTURE_H

#include "core/model/model.h"
#include "test.h"

/* "/source/tests/golden/<name>"; free(). */
static inline char *golden_path(const char *name)
{
    const char *root = getenv("HONE_SOURCE_DIR");
    char *dir = path_join(root ? root : ".", "tests/golden"), *path = path_join(dir, name);
    free(dir);
    return path;
}

static inline char *golden_join(const char *dir, const char *name)
{
    char *path = path_join(dir, name);
    if (!path)
        exit(EXIT_FAILURE);
    return path;
}

static inline st_file *golden_open(const char *dir, const char *name)
{
    hone_error err = { 0 };
    st_file *f = NULL;
    char *path = golden_join(dir, name);
    if (st_open(&f, path, &err) != HONE_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(EXIT_FAILURE);
    }
    free(path);
    return f;
}

static inline const st_tensor *golden_tensor(const st_file *f, const char *name)
{
    const st_tensor *t = st_find(f, name);
    if (!t) {
        fprintf(stderr, "fixture: %s is missing\n", name);
        exit(EXIT_FAILURE);
    }
    return t;
}

static inline int64_t golden_count(const st_tensor *t)
{
    return t->shape[0] * t->shape[1] * t->shape[2] * t->shape[3];
}

/* Numbers of a fixture; free(). */
static inline float *golden_floats(const st_file *f, const char *name, int64_t *n)
{
    const st_tensor *t = golden_tensor(f, name);
    float *x = malloc((size_t)golden_count(t) * sizeof *x);
    *n = golden_count(t);
    if (!x || !st_read_f32(t, 0, *n, x))
        exit(EXIT_FAILURE);
    return x;
}

static inline int64_t golden_int(const st_tensor *t, int64_t i)
{
    int32_t narrow;
    int64_t wide;
    if (t->dtype == HONE_I32) {
        memcpy(&narrow, t->p + 4 * i, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, t->p + 8 * i, sizeof wide);
    return wide;
}

/* |got - want| / |want|; NaN never passes a comparison. */
static inline double golden_error(const float *got, const float *want, int64_t n)
{
    double d = 0, w = 0;
    for (int64_t i = 0; i < n; i++) {
        d += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        w += (double)want[i] * want[i];
    }
    return w > 0 ? sqrt(d / w) : sqrt(d);
}

#define CHECK_WITHIN(what, error, limit)                                                    \
    do {                                                                                    \
        const double e_ = (error);                                                          \
        if (!(e_ <= (limit))) {                                                             \
            fprintf(stderr, "%s:%d: %s is off by %.3g, allowed %.3g\n", __FILE__, __LINE__, \
                    (what), e_, (double)(limit));                                           \
            test_failures++;                                                                \
        }                                                                                   \
    } while (0)

/* ids and labels (B, T) as B sequences of one batch; labels NULL: nothing is learned.
 * cu (S + 1), NULL: rows of T. */
static inline void golden_batch(batch *b, const st_tensor *ids, const st_tensor *labels,
                                const st_tensor *cu)
{
    hone_error err = { 0 };
    const int64_t n = golden_count(ids), rows = cu ? golden_count(cu) - 1 : ids->shape[0];
    CHECK_OK(batch_init(b, n, 1, rows, &err), err);
    b->n = (int32_t)n;
    b->n_sequences = (int32_t)rows;
    b->n_learned = 0;
    b->longest = 0;
    b->cu[0] = 0;
    for (int64_t s = 0; s < rows; s++) {
        const int64_t lo = cu ? golden_int(cu, s) : s * ids->shape[1];
        const int64_t hi = cu ? golden_int(cu, s + 1) : (s + 1) * ids->shape[1];
        b->cu[s + 1] = (int32_t)hi;
        b->source[s] = (int32_t)s;
        if (hi - lo > b->longest)
            b->longest = (int32_t)(hi - lo);
        for (int64_t i = lo; i < hi; i++) {
            b->ids[i] = (int32_t)golden_int(ids, i);
            b->position[i] = (int32_t)(i - lo);
            b->seg_start[i] = (int32_t)lo;
            if (!labels || i + 1 == hi || golden_int(labels, i + 1) < 0)
                continue;
            b->learn_row[b->n_learned] = (int32_t)i;
            b->target[b->n_learned++] = (int32_t)golden_int(labels, i + 1);
        }
    }
}

/* ------------------------------------------------------------------------ backends */

typedef struct setting {
    const char *name, *spec;
    bool compose;
    const char *kernels; /* of the cpu device; NULL: its choice */
} setting;

/* Every device the suites must pass on. */
static const setting settings[] = {
    { "fused", "cpu/fp32", false, NULL },
    { "composed", "cpu/fp32", true, NULL },
    { "tiles", "cpu/fp32", false, "amx-plain" },
    { "far", "far/fp32", false, NULL }, /* no memory of its is the host's, every op comes late */
};
#define SETTING_COUNT (sizeof settings / sizeof settings[0])

static inline registry *golden_registry(void)
{
    hone_error err = { 0 };
    registry *r = NULL;
    CHECK_OK(registry_open(&r, NULL, 0, &err), err);
    return r;
}

static inline backend *golden_backend(registry *r, const setting *s)
{
    hone_error err = { 0 };
    backend *b = NULL;
    json_t *how = s->kernels ? json_pack("{s:s}", "kernels", s->kernels) : NULL;
    if (backend_open(&b, r, s->spec, how, NULL, &err) != HONE_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(EXIT_FAILURE);
    }
    CHECK_OK(backend_set_compose(b, s->compose, &err), err);
    json_decref(how);
    return b;
}

static inline model *golden_model(backend *b, const model_options *o)
{
    hone_error err = { 0 };
    model *m = NULL;
    if (model_open(&m, b, o, &err) != HONE_OK) {
        fprintf(stderr, "%s: %s\n", o->dir, err.message);
        exit(EXIT_FAILURE);
    }
    return m;
}

/* A gradient on the host; free(). */
static inline float *golden_grad(model *m, const param *p)
{
    hone_error err = { 0 };
    const uint64_t bytes = (uint64_t)(p->rows * p->cols) * sizeof(float);
    float *x = malloc(bytes);
    CHECK_OK(ops_download(model_ops(m), x, p->grad.buf, p->grad.offset, bytes, &err), err);
    return x;
}

#endif /* TESTS_GOLDEN_MODEL_FIXTURE_H */
