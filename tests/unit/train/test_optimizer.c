/*
 * test_optimizer.c - where state lies changes no number, and keeps to what it was given.
 *
 *     test_optimizer [backend]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/train/fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

enum { MAX_PARAMS = 8 };

/* Parameters without a model: sizes that end inside blocks, pages and cache lines. */
typedef struct set {
    backend *b;
    model *m;
    ops *o;
    param p[MAX_PARAMS];
    size_t n;
    hone_buf buf[2]; /* owned: values, gradients */
    int64_t elements;
    float *host; /* owned: elements */
} set;

static set set_open(const int64_t *sizes, size_t n)
{
    static const char *const names[MAX_PARAMS] = { "a", "b", "c", "d", "e", "f", "g", "h" };
    char *dir = fixture_path("curve_lora", "base");
    const model_options mo = { .dir = dir, .train = TRAIN_NONE, .context = 8 };
    hone_error err = { 0 };
    set s = { .n = n };
    int64_t at = 0;
    CHECK_OK(backend_open(&s.b, fixture_plugins, fixture_backend, NULL, NULL, &err), err);
    CHECK_OK(model_open(&s.m, s.b, &mo, &err), err);
    free(dir);
    s.o = model_ops(s.m);
    for (size_t i = 0; i < n; i++)
        s.elements += (sizes[i] + 15) / 16 * 16;
    for (int k = 0; k < 2; k++)
        CHECK_OK(ops_alloc(s.o, &s.buf[k], (uint64_t)s.elements * sizeof(float), &err), err);
    s.host = mem_new((size_t)s.elements, sizeof *s.host);
    for (size_t i = 0; i < n; i++) {
        const uint64_t offset = (uint64_t)at * sizeof(float);
        s.p[i] = (param){ .name = names[i],
                          .rows = sizes[i],
                          .cols = 1,
                          .decay = i % 2 == 0,
                          .value = hone_tensor_1d(s.buf[0], offset, HONE_F32, sizes[i]),
                          .grad = hone_tensor_1d(s.buf[1], offset, HONE_F32, sizes[i]) };
        at += (sizes[i] + 15) / 16 * 16;
    }
    return s;
}

static void set_close(set *s)
{
    for (int k = 0; k < 2; k++)
        ops_free(s->o, s->buf[k]);
    model_close(s->m);
    backend_close(s->b);
    free(s->host);
}

static void upload(set *s, int k, uint64_t stream)
{
    hone_error err = { 0 };
    for (int64_t i = 0; i < s->elements; i++)
        s->host[i] = (float)(int32_t)(rng_u64(3, stream, (uint64_t)i) >> 40) * 0x1p-23f - 1;
    CHECK_OK(ops_upload(s->o, s->buf[k], 0, s->host, (uint64_t)s->elements * sizeof(float), &err),
             err);
}

static hone_status open_in(optimizer **out, set *s, const char *name, json_t *config, int64_t limit,
                           const char *dir, hone_error *err)
{
    const optimizer_setup how = { .name = name,
                                  .config = config,
                                  .weight_decay = 0.1,
                                  .seed = 5,
                                  .paged_bytes = limit,
                                  .paged_dir = dir };
    return optimizer_open(out, s->o, s->p, s->n, fixture_plugins, &how, err);
}

static void steps(set *s, optimizer *opt, int64_t first, int64_t last)
{
    hone_error err = { 0 };
    for (int64_t t = first; t <= last; t++) {
        upload(s, 1, 100 + (uint64_t)t);
        CHECK_OK(optimizer_step(opt, t, 1e-2, 0.5, &err), err);
    }
}

/* All saved tensors, and the parameters, one after the other; free(). */
static uint8_t *image(set *s, optimizer *opt, size_t *bytes)
{
    const size_t values = (size_t)s->elements * sizeof(float);
    hone_error err = { 0 };
    text name = { 0 };
    saved_state x;
    size_t n = values;
    uint8_t *p;
    for (size_t i = 0; i < optimizer_saved_count(opt); i++) {
        CHECK_OK(optimizer_saved(opt, i, &x, &name, &err), err);
        n += x.bytes;
    }
    p = mem_new(n, 1);
    CHECK_OK(ops_download(s->o, p, s->buf[0], 0, values, &err), err);
    *bytes = n;
    n = values;
    for (size_t i = 0; i < optimizer_saved_count(opt); i++) {
        CHECK_OK(optimizer_saved(opt, i, &x, &name, &err), err);
        for (uint64_t at = 0; at < x.bytes; at += 1000) /* in small bites, across pieces */
            CHECK_OK(optimizer_read(opt, i, at, p + n + at,
                                    x.bytes - at < 1000 ? x.bytes - at : 1000, &err),
                     err);
        n += x.bytes;
    }
    CHECK_INT(n, *bytes);
    text_finish(&name);
    return p;
}

/* What is in a folder, "." and ".." left out. */
static int entries(const char *dir)
{
    DIR *d = opendir(dir);
    int n = -2;
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static const int64_t sizes[] = { 40000, 1, 255, 257, 4097, 30001, 16 };
#define N_SIZES (sizeof sizes / sizeof *sizes)

static uint8_t *run_five(const char *name, json_t *config, int64_t limit, const char *dir,
                         size_t *bytes)
{
    set s = set_open(sizes, N_SIZES);
    hone_error err = { 0 };
    optimizer *opt = NULL;
    uint8_t *p = NULL;
    optimizer_memory planned, got;
    const optimizer_setup how = {
        .name = name, .config = config, .paged_bytes = limit, .paged_dir = dir
    };
    upload(&s, 0, 1);
    CHECK_OK(optimizer_plan(&planned, ops_info(s.o), s.p, s.n, fixture_plugins, &how, &err), err);
    CHECK_OK(open_in(&opt, &s, name, config, limit, dir, &err), err);
    if (opt) {
        got = optimizer_bytes(opt);
        CHECK_INT(got.device, planned.device);
        CHECK_INT(got.host, planned.host);
        CHECK_INT(got.file, planned.file);
        CHECK_INT(got.saved, planned.saved);
        CHECK(!limit || got.host <= limit);
        CHECK_INT(entries(dir), 0);
        steps(&s, opt, 1, 5);
        p = image(&s, opt, bytes);
        free(image(&s, opt, bytes)); /* reading twice is fine, and so is going on */
        steps(&s, opt, 6, 6);
    }
    optimizer_close(opt);
    CHECK_INT(entries(dir), 0);
    set_close(&s);
    return p;
}

static void test_optimizer__pages_are_as_good_as_residents(void)
{
    static const int64_t limits[] = { 1 << 16, 1 << 17, 300000, 600000, 1 << 30, 0 };
    static const char *const names[][2] = { { "adamw", "paged-adamw" }, { "adam", "paged-adam" } };
    char *dir = scratch("pages");
    hone_error err = { 0 };
    CHECK_OK(dir_make(dir, &err), err);
    for (size_t k = 0; k < 2; k++) {
        size_t n = 0, m = 0;
        uint8_t *want = run_five(names[k][0], NULL, 0, dir, &n);
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
            uint8_t *got = run_five(names[k][1], NULL, limits[i], dir, &m);
            CHECK_INT(m, n);
            CHECK(want && got && m == n && memcmp(got, want, n) == 0);
            free(got);
        }
        free(want);
    }
    scratch_done(dir);
}

/* Written into another optimizer, states go on where they were read. */
static void test_optimizer__states_can_be_moved(void)
{
    static const char *const names[] = { "adamw", "paged-adamw", "adamw8bit" };
    char *dir = scratch("moved");
    hone_error err = { 0 };
    CHECK_OK(dir_make(dir, &err), err);
    for (size_t k = 0; k < 3; k++) {
        set s = set_open(sizes, N_SIZES);
        optimizer *a = NULL, *b = NULL;
        uint8_t *want, *got, *middle;
        const int64_t limit = k == 1 ? 1 << 16 : 0;
        text name = { 0 };
        saved_state x;
        size_t n = 0, at = (size_t)s.elements * sizeof(float);
        upload(&s, 0, 1);
        CHECK_OK(open_in(&a, &s, names[k], NULL, limit, dir, &err), err);
        CHECK_OK(open_in(&b, &s, names[k], NULL, limit, dir, &err), err);
        steps(&s, a, 1, 3);
        middle = image(&s, a, &n);
        steps(&s, a, 4, 5);
        want = image(&s, a, &n);
        CHECK_OK(ops_upload(s.o, s.buf[0], 0, middle, at, &err), err);
        for (size_t i = 0; i < optimizer_saved_count(b); i++) {
            CHECK_OK(optimizer_saved(b, i, &x, &name, &err), err);
            CHECK_OK(optimizer_write(b, i, 0, middle + at, x.bytes, &err), err);
            at += x.bytes;
        }
        steps(&s, b, 4, 5);
        got = image(&s, b, &n);
        CHECK(memcmp(got, want, n) == 0);
        free(want);
        free(got);
        free(middle);
        text_finish(&name);
        optimizer_close(a);
        optimizer_close(b);
        set_close(&s);
    }
    scratch_done(dir);
}

/* 64 MiB of state in 8: what is resident grows by those, not by it. */
static void test_optimizer__keeps_to_its_memory(void)
{
    const int64_t size = 8 << 20, limit = 8 << 20, slack = 4 << 20;
    char *dir = scratch("memory");
    hone_error err = { 0 };
    optimizer *opt = NULL;
    set s;
    int64_t before;
    CHECK_OK(dir_make(dir, &err), err);
    s = set_open(&size, 1);
    upload(&s, 0, 1);
    upload(&s, 1, 2);
    before = mem_resident();
    CHECK_OK(open_in(&opt, &s, "paged-adamw", NULL, limit, dir, &err), err);
    for (int64_t t = 1; opt && t <= 3; t++)
        CHECK_OK(optimizer_step(opt, t, 1e-2, 1, &err), err);
    CHECK_OK(ops_sync(s.o, &err), err);
    if (opt) {
        CHECK_INT(optimizer_bytes(opt).saved, 8 * size);
        CHECK(optimizer_bytes(opt).file >= 7 * size);
    }
    if (getenv("ASAN_OPTIONS") == NULL) /* which keeps memory of its own */
        CHECK(mem_resident() - before <= limit + optimizer_bytes(opt).device + slack);
    optimizer_close(opt);
    set_close(&s);
    scratch_done(dir);
}

static void test_optimizer__says_what_is_wrong(void)
{
    static const struct {
        const char *name;
        int64_t limit;
        const char *dir, *message;
    } rows[] = {
        { "adamw", 1 << 20, "/tmp", "optimizer adamw does not page its state" },
        { "paged-adamw", 1000, "/tmp", "1000 bytes are too few" },
        { "paged-adamw", 1 << 16, "/nonexistent/folder", "/nonexistent/folder" },
        { "paged-adamww", 0, "/tmp", "paged-adamw" },
    };
    set s = set_open(sizes, N_SIZES);
    struct rlimit whole, small;
    hone_error err = { 0 };
    optimizer *opt = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        err = (hone_error){ 0 };
        CHECK(open_in(&opt, &s, rows[i].name, NULL, rows[i].limit, rows[i].dir, &err) != HONE_OK);
        CHECK_HAS(err.message, rows[i].message);
    }
    /* a disk that is full is told before the first step, by folder and number of bytes */
    CHECK(getrlimit(RLIMIT_FSIZE, &whole) == 0);
    signal(SIGXFSZ, SIG_IGN);
    small = whole;
    small.rlim_cur = 100000;
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK_INT(open_in(&opt, &s, "paged-adamw", NULL, 1 << 16, "/tmp", &err), HONE_ERR_IO);
    CHECK(setrlimit(RLIMIT_FSIZE, &whole) == 0);
    CHECK_HAS(err.message, "/tmp: no room for ");
    CHECK_HAS(err.message, "set train.paged_dir to another disk");
    CHECK(!opt);
    set_close(&s);
}

/* Two bytes and a scale for 256, but four for what is small. */
static void test_optimizer__eight_bits_take_two_bytes(void)
{
    set s = set_open(sizes, N_SIZES);
    json_t *config = json_pack("{s:i}", "min_8bit_size", 257);
    hone_error err = { 0 };
    optimizer *opt = NULL;
    int64_t want = 0;
    CHECK_OK(open_in(&opt, &s, "adamw8bit", config, 0, "/tmp", &err), err);
    for (size_t i = 0; i < N_SIZES; i++)
        want += sizes[i] < 257 ? 8 * sizes[i] : 2 * (sizes[i] + 4 * ((sizes[i] + 255) / 256));
    if (opt)
        CHECK_INT(optimizer_bytes(opt).saved, want);
    optimizer_close(opt);
    json_decref(config);
    set_close(&s);
}

int main(int argc, char **argv)
{
    if (!fixture_open(argc, argv))
        return 77;
    RUN(test_optimizer__pages_are_as_good_as_residents);
    RUN(test_optimizer__states_can_be_moved);
    RUN(test_optimizer__keeps_to_its_memory);
    RUN(test_optimizer__says_what_is_wrong);
    RUN(test_optimizer__eight_bits_take_two_bytes);
    return fixture_exit();
}
