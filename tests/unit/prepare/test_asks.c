/*
 * test_asks.c - prompts of recipes through the pipes of their processes: answers come back in any
 * order, and what a process may not ask costs its document.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <unistd.h>

#include "core/prepare/prepare.h"
#include "hone/generate.h"
#include "test.h"

static char *dir, *docs, *out;
static registry *plugins;

/* ------------------------------------------------- a service that takes its time */

enum { MOST = 8192 };
static struct {
    char *words; /* owned; NULL: released */
    uint64_t attempt;
    int looks; /* until it is there */
} asked[MOST];
static uint64_t n_asked, n_released;
static bool broken;

static hone_status submit(const hone_generate_service *self, const hone_prompt *p, uint64_t *handle,
                          hone_error *err)
{
    (void)self;
    if (n_asked + 1 == MOST)
        return hone_fail(err, HONE_ERR_LIMIT, "enough");
    asked[++n_asked].words = mem_strndup(p->user.p, p->user.n);
    asked[n_asked].attempt = p->attempt;
    asked[n_asked].looks = (int)(n_asked % 3);
    *handle = n_asked;
    return HONE_OK;
}

static int32_t ready(const hone_generate_service *self, uint64_t handle)
{
    (void)self;
    return asked[handle].looks-- <= 0;
}

static hone_status collect(const hone_generate_service *self, uint64_t handle, hone_answer *a,
                           hone_error *err)
{
    static char answer[1 << 20];
    (void)self;
    CHECK(asked[handle].words);
    if (broken)
        return hone_fail(err, HONE_ERR_IO, "the service is down");
    /* more than a pipe holds, the last time */
    const int n = snprintf(answer, sizeof answer, "%.40s answered %d", asked[handle].words,
                           (int)asked[handle].attempt);
    memset(answer + n, '.', sizeof answer - (size_t)n);
    *a = (hone_answer){ .struct_size = sizeof *a,
                        .text = { answer, asked[handle].attempt ? (size_t)n : sizeof answer } };
    return HONE_OK;
}

static void release(const hone_generate_service *self, uint64_t handle)
{
    (void)self;
    CHECK(asked[handle].words);
    free(asked[handle].words);
    asked[handle].words = NULL;
    n_released++;
}

static hone_status shape(const hone_embed_service *self, uint64_t *width, uint64_t *most,
                         hone_error *err)
{
    (void)self;
    (void)err;
    *width = 8;
    *most = 100;
    return HONE_OK;
}

/* The last number is the text's length. */
static hone_status embed(const hone_embed_service *self, const hone_str *texts, uint64_t n,
                         float *x, hone_error *err)
{
    (void)self;
    (void)err;
    for (uint64_t i = 0; i < n; i++)
        x[8 * i + 7] = (float)texts[i].n;
    return HONE_OK;
}

static const hone_generate_service generate = { .struct_size = sizeof generate,
                                                .identity = "test",
                                                .submit = submit,
                                                .collect = collect,
                                                .ready = ready,
                                                .release = release };
static const hone_embed_service vectors = {
    .struct_size = sizeof vectors, .identity = "test", .shape = shape, .embed = embed
};

/* --------------------------------------------------------------------------- runs */

static void put(const char *name, const void *bytes, size_t n)
{
    hone_error err = { 0 };
    char *path = path_join(docs, name);
    CHECK_OK(file_write(path, bytes, n, &err), err);
    free(path);
}

static void put_frame(const char *name, uint8_t type, uint64_t handle, size_t times)
{
    text t = { 0 };
    text_puts(&t, "raw ");
    for (size_t i = 0; i < times; i++) {
        const bool ask = type == 32;
        text_putc(&t, ask ? 38 : 9);
        text_add(&t, "\0\0\0", 3);
        text_putc(&t, (char)type);
        for (int k = 0; k < 8; k++)
            text_putc(&t, (char)((handle + i) >> (7 * k) & (k < 2 ? 0x7f : 0)));
        if (ask) /* tokens, attempt; "", "x", "" */
            text_add(&t, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0x\0\0\0\0", 29);
    }
    put(name, t.p, t.n);
    text_finish(&t);
}

static void run(int64_t jobs, prepare_report *r)
{
    static const char *sources[1], *recipes[] = { "echo" };
    const prepare_input in = { .plugins = plugins };
    hone_error err = { 0 };
    sources[0] = docs;
    const prepare_options o = { .sources = { sources, 1 },
                                .recipes = { recipes, 1 },
                                .out = out,
                                .jobs = jobs,
                                .timeout = 5,
                                .memory_mb = 512,
                                .max_mb = 16 };
    CHECK_OK(prepare_run(&o, &in, r, &err), err);
    CHECK_INT(n_released, n_asked); /* nothing is left with the service */
}

static char *file_of(const char *name)
{
    hone_error err = { 0 };
    char *path = path_join(out, name), *p = NULL;
    CHECK_OK(file_read(&p, NULL, path, 64 << 20, &err), err);
    free(path);
    return p;
}

static void begin(void)
{
    hone_error err = { 0 };
    char name[] = "/tmp/hone-asks-XXXXXX";
    dir = mem_strdup(mkdtemp(name));
    docs = path_join(dir, "docs");
    out = path_join(dir, "out");
    CHECK_OK(dir_make(docs, &err), err);
    CHECK(host_offer_service(HONE_SERVICE_GENERATE, &generate));
    CHECK(host_offer_service(HONE_SERVICE_EMBED, &vectors));
}

static void end(void)
{
    hone_error err = { 0 };
    (void)host_offer_service(HONE_SERVICE_GENERATE, NULL);
    (void)host_offer_service(HONE_SERVICE_EMBED, NULL);
    CHECK_OK(dir_remove(dir, &err), err);
    free(dir);
    free(docs);
    free(out);
}

static void test_asks__answers_come_back_in_any_order(void)
{
    static const int64_t jobs[] = { 1, 4 };
    char *want = NULL;
    begin();
    for (int i = 0; i < 12; i++) {
        char name[16], words[32];
        (void)snprintf(name, sizeof name, "%02d.bad", i);
        (void)snprintf(words, sizeof words, "ask number %d", i);
        put(name, words, strlen(words));
    }
    for (size_t k = 0; k < 2; k++) {
        prepare_report r;
        run(jobs[k], &r);
        CHECK_INT(r.failed, 0);
        CHECK_INT(r.samples, 24);
        char *p = file_of("samples.jsonl");
        CHECK_HAS(p, "ask number 11 answered 2\"");
        CHECK_HAS(p, "ask number 11 answered 0...");
        if (want)
            CHECK(strcmp(p, want) == 0);
        free(want);
        want = p;
        prepare_report_finish(&r);
    }
    free(want);
    end();
}

static void test_asks__a_service_that_fails_costs_the_document(void)
{
    prepare_report r;
    begin();
    put("a.bad", "ask this", 8);
    put("b.bad", "plain", 5);
    broken = true;
    run(2, &r);
    broken = false;
    CHECK_INT(r.failed, 1);
    CHECK_INT(r.samples, 1);
    char *p = file_of("report/failed.jsonl");
    CHECK_HAS(p, "the service is down");
    free(p);
    prepare_report_finish(&r);
    end();
}

static void test_asks__a_process_that_lies_costs_its_document(void)
{
    prepare_report r;
    begin();
    put_frame("a.bad", 33, 5, 1);    /* an answer that was not asked for */
    put_frame("b.bad", 34, 5, 1);    /* a look at it */
    put_frame("c.bad", 35, 5, 1);    /* given back */
    put_frame("d.bad", 32, 0, 1);    /* a handle of 0 */
    put_frame("e.bad", 32, 1, 1025); /* too many at once */
    put_frame("f.bad", 39, 1, 1);    /* no such frame */
    put_frame("g.bad", 37, 1, 1);    /* an answer nobody reads */
    put("h.bad", "ask nicely", 10);
    run(1, &r);
    CHECK_INT(r.failed, 6);
    CHECK_INT(r.samples, 2);
    char *p = file_of("report/failed.jsonl");
    CHECK_HAS(p, "its process sent a malformed question");
    CHECK_HAS(p, "more than 65536 questions, 1024 of them at once");
    free(p);
    prepare_report_finish(&r);
    end();
}

static void test_asks__without_a_model_there_is_no_service(void)
{
    prepare_report r;
    begin();
    (void)host_offer_service(HONE_SERVICE_GENERATE, NULL);
    put("a.bad", "ask this", 8);
    run(1, &r);
    CHECK_INT(r.failed, 1);
    char *p = file_of("report/failed.jsonl");
    CHECK_HAS(p, "no model to ask");
    free(p);
    prepare_report_finish(&r);
    end();
}

int main(int argc, char **argv)
{
    hone_error err = { 0 };
    if (argc != 2)
        return 1;
    if (registry_open_file(&plugins, argv[1], &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    RUN(test_asks__answers_come_back_in_any_order);
    RUN(test_asks__a_service_that_fails_costs_the_document);
    RUN(test_asks__a_process_that_lies_costs_its_document);
    RUN(test_asks__without_a_model_there_is_no_service);
    registry_close(plugins);
    return TEST_EXIT();
}
