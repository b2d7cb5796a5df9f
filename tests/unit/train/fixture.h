/*
 * fixture.h - a tiny model, rows of token ids, and one call that trains it.
 *
 * The model and rows are those of tests/golden/peft. Every run opens its own device,
 * model and data, as a process of its own would.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_TRAIN_FIXTURE_H
#define TESTS_UNIT_TRAIN_FIXTURE_H

#include "core/train/parts.h"
#include "test.h"

#include <unistd.h>

static const char *fixture_backend = "cpu/fp32";
static json_t *fixture_device; /* the device's options; NULL: as they are */
static registry *fixture_plugins;

/* tests/golden/peft/<a>/<b>; free() */
static inline char *fixture_path(const char *a, const char *b)
{
    const char *root = getenv("HONE_SOURCE_DIR");
    text t = { 0 };
    text_printf(&t, "%s/tests/golden/peft/%s%s%s", root ? root : ".", a, b[0] ? "/" : "", b);
    return t.p;
}

/* False: the backend is not here, and the test is to be skipped. */
static inline bool fixture_open(int argc, char **argv)
{
    hone_error err = { 0 };
    component_row found;
    char device[32];
    if (argc > 1)
        fixture_backend = argv[1];
    (void)snprintf(device, sizeof device, "%.*s", (int)strcspn(fixture_backend, "/:"),
                   fixture_backend);
    log_set_level(HONE_LOG_ERROR);
    if (registry_open(&fixture_plugins, NULL, 0, &err) != HONE_OK ||
        registry_find(&found, fixture_plugins, HONE_KIND_DEVICE, device, &err) != HONE_OK ||
        registry_find(&found, fixture_plugins, HONE_KIND_OPTIMIZER, "adamw", &err) != HONE_OK) {
        fprintf(stderr, "skipped: %s\n", err.message);
        return false;
    }
    return true;
}

static inline int fixture_exit(void)
{
    json_decref(fixture_device);
    plugin_shutdown_all();
    registry_close(fixture_plugins);
    return TEST_EXIT();
}

static inline int32_t *read_ids(const json_t *list)
{
    int32_t *ids = mem_new(json_array_size(list), sizeof *ids);
    size_t i;
    for (i = 0; i < json_array_size(list); i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return ids;
}

static inline void fixture_hash(dataset *d)
{
    sha256 s;
    uint8_t out[32];
    size_t i;
    sha256_init(&s);
    for (i = 0; i < d->n; i++) {
        sha256_add(&s, d->rows[i].ids, (size_t)d->rows[i].n * sizeof(int32_t));
        sha256_add(&s, d->rows[i].labels, (size_t)d->rows[i].n * sizeof(int32_t));
    }
    sha256_done(&s, out);
    for (i = 0; i < 32; i++)
        (void)snprintf(d->hash + 2 * i, 3, "%02x", out[i]);
}

/* Rows [first, first + n) of a JSONL file of input_ids and labels. */
static inline dataset fixture_rows(const char *folder, const char *file, size_t first, size_t n)
{
    char *path = fixture_path(folder, file), *p = NULL;
    hone_error err = { 0 };
    dataset d = { 0 };
    size_t bytes = 0, at = 0, index = 0;
    char name[32];
    CHECK_OK(file_read(&p, &bytes, path, 1 << 20, &err), err);
    while (p && at < bytes && d.n < n) {
        const size_t length = strcspn(p + at, "\n");
        json_t *object = NULL;
        if (index++ >= first) {
            row *r;
            int32_t i;
            CHECK_OK(json_parse(&object, p + at, length, path, &err), err);
            CHECK(mem_grow(&d.rows, &d.cap, d.n + 1, sizeof *d.rows));
            r = &d.rows[d.n++];
            *r = (row){ .ids = read_ids(json_object_get(object, "input_ids")),
                        .labels = read_ids(json_object_get(object, "labels")),
                        .n = (int32_t)json_array_size(json_object_get(object, "input_ids")),
                        .paired = 1,
                        .line = (int64_t)index };
            for (i = 1; i < r->n; i++)
                r->n_learned += r->labels[i] != LABEL_MASKED;
            (void)snprintf(name, sizeof name, "row%zu", index);
            r->id = mem_strdup(name);
            r->file = mem_strdup(index % 2 ? "odd.md" : "even.md");
        }
        json_decref(object);
        at += length + 1;
    }
    fixture_hash(&d);
    free(p);
    free(path);
    return d;
}

/* One run of a test: set what matters, the rest is small and plain. */
typedef struct trial {
    train_options o;
    const char *base;      /* of tests/golden/peft, "curve_lora"        */
    const char *model;     /* another model folder; NULL: base's own    */
    bool adapter_as_saved; /* start from base's adapter/; else a new one, seeded */
    double dropout;
    size_t n_rows, n_val; /* of rows.jsonl; of eval.jsonl, 0: none      */
    json_t *config;
    const char *optimizer; /* NULL: adamw                               */
    json_t *optimizer_options;
    int64_t stop_at; /* steps after which the user stops; 0: never */
    train_result result;
    hone_error err;
    /* given back */
    double val_after; /* loss on eval.jsonl of the model in memory, when n_val */
} trial;

static inline trial trial_new(const char *out)
{
    return (trial){ .o = { .out = out,
                           .seq_len = 32,
                           .batch = 2,
                           .accumulate = 2,
                           .epochs = 1,
                           .lr = 0.01,
                           .schedule = SCHEDULE_COSINE,
                           .weight_decay = 0.1,
                           .clip = 1,
                           .seed = 7,
                           .keep = 2,
                           .log_every = 1,
                           .resume = true },
                    .base = "curve_lora",
                    .n_rows = 80 };
}

typedef struct stopper {
    int64_t at;
    volatile int stop;
} stopper;

static inline void stop_at_step(void *ctx, const train_progress *p)
{
    stopper *s = ctx;
    if (s->at && p->step >= s->at - 1)
        s->stop = 1;
}

/* look (may be NULL) sees the model after training, or what is left after a failure. */
static inline hone_status trial_run(trial *t, void (*look)(void *ctx, model *m), void *ctx)
{
    char *dir = t->model ? mem_strdup(t->model) : fixture_path(t->base, "base");
    char *adapter_dir = fixture_path(t->base, "adapter");
    static const char *const all[] = { "all-linear" };
    const adapter_options adapter = {
        .rank = 4, .alpha = 8, .dropout = t->dropout, .targets = { all, 1 }
    };
    const bool adapts = t->o.method == 0;
    stopper s = { .at = t->stop_at };
    const train_hooks hooks = { .ctx = &s, .on_step = stop_at_step, .stop = &s.stop };
    dataset rows = fixture_rows(t->base, "rows.jsonl", 0, t->n_rows);
    dataset val = t->n_val ? fixture_rows(t->base, "eval.jsonl", 0, t->n_val) : (dataset){ 0 };
    model_options mo = { .dir = dir,
                         .train = adapts ? TRAIN_LORA : TRAIN_FULL,
                         .adapter = adapts && !t->adapter_as_saved ? &adapter : NULL,
                         .adapter_dir = adapts && t->adapter_as_saved ? adapter_dir : NULL,
                         .seed = (uint64_t)t->o.seed,
                         .fresh = t->o.fresh,
                         .seq_len = t->o.seq_len,
                         .batch = t->o.batch,
                         .max_sequences = t->o.seq_len * t->o.batch };
    backend *b = NULL;
    model *m = NULL;
    hone_status st =
        backend_open(&b, fixture_plugins, fixture_backend, fixture_device, NULL, &t->err);
    if (!st)
        st = model_open(&m, b, &mo, &t->err);
    if (!st)
        st = train_run(m, &rows, t->n_val ? &val : NULL, &t->o,
                       t->optimizer ? t->optimizer : "adamw", t->optimizer_options, fixture_plugins,
                       t->config, NULL, &hooks, &t->result, &t->err);
    if (!st && t->n_val) {
        hone_error err = { 0 };
        CHECK_OK(train_evaluate(m, &val, t->o.seq_len, t->o.batch, &t->val_after, NULL, &err), err);
    }
    if (m && look)
        look(ctx, m);
    model_close(m);
    backend_close(b);
    dataset_finish(&rows);
    dataset_finish(&val);
    free(adapter_dir);
    free(dir);
    return st;
}

static inline void trial_ok(trial *t)
{
    CHECK_OK(trial_run(t, NULL, NULL), t->err);
}

/* ------------------------------------------------------------------- looking */

/* A number of every training line of metrics.jsonl, in order; how many. */
static inline size_t metric(const char *out, const char *key, double *values, size_t cap)
{
    char *path = path_join(out, "metrics.jsonl"), *p = NULL;
    hone_error err = { 0 };
    size_t n = 0, at = 0;
    CHECK_OK(file_read(&p, NULL, path, 1 << 24, &err), err);
    while (p && p[at]) {
        const size_t length = strcspn(p + at, "\n");
        json_t *object = NULL;
        CHECK_OK(json_parse(&object, p + at, length, path, &err), err);
        if (n < cap && json_object_get(object, key))
            values[n++] = json_number_value(json_object_get(object, key));
        json_decref(object);
        at += length + 1;
    }
    free(p);
    free(path);
    return n;
}

/* Do two files hold the same bytes? */
static inline bool same_file(const char *dir_a, const char *dir_b, const char *name)
{
    char *a = path_join(dir_a, name), *b = path_join(dir_b, name);
    hone_error err = { 0 };
    char x[65] = "a", y[65] = "b";
    CHECK_OK(sha256_file(a, x, &err), err);
    CHECK_OK(sha256_file(b, y, &err), err);
    free(a);
    free(b);
    return strcmp(x, y) == 0;
}

/* Two runs ended in the same adapter, to the bit, and say the same of it. */
static inline void check_same_adapter(const char *a, const char *b)
{
    CHECK(same_file(a, b, "adapter/adapter_model.safetensors"));
    CHECK(same_file(a, b, "adapter/adapter_config.json"));
    CHECK(same_file(a, b, "adapter/hone.json"));
}

/* Largest over tensors of |a - b| / |a|, of two safetensors files with the same tensors. */
static inline double file_distance(const char *path_a, const char *path_b)
{
    st_file *a = NULL, *b = NULL;
    hone_error err = { 0 };
    double worst = 0;
    size_t i;
    CHECK_OK(st_open(&a, path_a, &err), err);
    CHECK_OK(st_open(&b, path_b, &err), err);
    if (!a || !b)
        return INFINITY;
    CHECK_INT(st_count(b), st_count(a));
    for (i = 0; i < st_count(a); i++) {
        const st_tensor *x = st_at(a, i), *y = st_find(b, x->name);
        const int64_t n = x->rank == 2 ? x->shape[0] * x->shape[1] : x->shape[0];
        float *u = mem_new((size_t)n, sizeof *u), *v = mem_new((size_t)n, sizeof *v);
        double diff = 0, norm = 0;
        int64_t k;
        if (!y || y->bytes != x->bytes) {
            fprintf(stderr, "%s: %s is missing or of another size\n", path_b, x->name);
            worst = INFINITY;
        } else {
            CHECK(st_read_f32(x, 0, n, u) && st_read_f32(y, 0, n, v));
            for (k = 0; k < n; k++) {
                diff += (u[k] - v[k]) * (double)(u[k] - v[k]);
                norm += u[k] * (double)u[k];
            }
            if (!(sqrt(diff / (norm > 0 ? norm : 1)) <= worst))
                worst = sqrt(diff / (norm > 0 ? norm : 1));
        }
        free(u);
        free(v);
    }
    st_close(a);
    st_close(b);
    return worst;
}

/* A fresh folder name below /tmp; free(), and dir_remove() what it became. */
static inline char *scratch(const char *name)
{
    static int n;
    text t = { 0 };
    hone_error err = { 0 };
    text_printf(&t, "/tmp/hone-train-%ld-%d-%s", (long)getpid(), n++, name);
    CHECK_OK(dir_remove(t.p, &err), err);
    return t.p;
}

static inline void scratch_done(char *path)
{
    (void)!dir_remove(path, NULL);
    free(path);
}

#endif /* TESTS_UNIT_TRAIN_FIXTURE_H */
