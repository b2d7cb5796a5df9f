/*
 * test_join.c - samples of full length from parts of several documents: never longer than they
 * may be, as long as they can be, in order, the same at any number of processes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../data/tiny_model.h"
#include "core/prepare/prepare.h"
#include "test.h"

#include <unistd.h>

#define N_DOCS 13
#define BUDGET 24 /* of the recipe `echo`: bytes, which are tokens of the tiny model */

static registry *plugins;
static const char *const no_specials[] = { NULL };

static char *prepare(const char *dir, int64_t jobs, double split, prepare_report *r)
{
    static const char *sources[1], *recipes[] = { "echo" };
    hone_error err = { 0 };
    char *docs = path_join(dir, "docs"), *out = path_join(dir, "out"), *p = NULL;
    tokenizer *t = tiny_tokenizer(false, no_specials, TINY_CONFIG);
    sources[0] = docs;
    const prepare_options o = { .sources = { sources, 1 },
                                .recipes = { recipes, 1 },
                                .out = out,
                                .jobs = jobs,
                                .timeout = 20,
                                .max_mb = 1,
                                .split = split,
                                .split_depth = 1 };
    const prepare_input in = { .plugins = plugins, .tokenizer = t };
    CHECK_OK(prepare_run(&o, &in, r, &err), err);
    char *path = path_join(out, "samples.jsonl");
    CHECK_OK(file_read(&p, NULL, path, 1 << 20, &err), err);
    tokenizer_close(t);
    free(path);
    free(out);
    free(docs);
    return p;
}

typedef struct seen {
    text all;
    int64_t samples, files_of_two;
    size_t shortest_but_last, last;
} seen;

static hone_status look(void *ctx, const sample *s, int64_t line, hone_error *err)
{
    seen *x = ctx;
    size_t n = 0;
    (void)line;
    (void)err;
    for (size_t i = 0; i < s->n_segments; i++) {
        n += s->segments[i].n;
        text_add(&x->all, s->segments[i].text, s->segments[i].n);
    }
    CHECK(n <= BUDGET);
    if (x->samples && x->last < x->shortest_but_last)
        x->shortest_but_last = x->last;
    x->last = n;
    x->samples++;
    x->files_of_two += s->n_segments > 1;
    return HONE_OK;
}

static void test_join__fills_samples_across_documents(void)
{
    hone_error err = { 0 };
    char dir[] = "/tmp/hone-join-XXXXXX";
    text want = { 0 };
    char *first = NULL;
    CHECK(mkdtemp(dir) != NULL);
    char *docs = path_join(dir, "docs");
    CHECK_OK(dir_make(docs, &err), err);
    for (int i = 0; i < N_DOCS; i++) {
        char name[32], words[64];
        (void)snprintf(name, sizeof name, "%02d.bad", i);
        (void)snprintf(words, sizeof words, "join %02d%.*s\n", i, i % 5, "abcde");
        char *path = path_join(docs, name);
        CHECK_OK(file_write(path, words, strlen(words), &err), err);
        text_puts(&want, words);
        free(path);
    }
    for (int64_t jobs = 1; jobs <= 4; jobs += 3) {
        prepare_report r;
        seen x = { .shortest_but_last = SIZE_MAX };
        char *p = prepare(dir, jobs, 0, &r);
        CHECK_OK(dataset_read_bytes(p, strlen(p), "samples", look, &x, NULL, &err), err);
        CHECK_STR(x.all.p, want.p);
        CHECK_INT(r.samples, x.samples);
        CHECK(x.shortest_but_last > BUDGET - 13); /* no room for the next part */
        CHECK(x.files_of_two > 0);
        CHECK_HAS(p, "\"file\":\"docs/01.bad\"}"); /* of a segment */
        if (first)
            CHECK_STR(p, first);
        free(first);
        first = p;
        text_finish(&x.all);
        prepare_report_finish(&r);
    }
    free(first);
    prepare_report r; /* with a split, no sample is of two documents */
    free(prepare(dir, 2, 0.3, &r));
    CHECK_INT(r.samples, N_DOCS);
    CHECK(r.validation > 0);
    prepare_report_finish(&r);
    CHECK_OK(dir_remove(dir, &err), err);
    text_finish(&want);
    free(docs);
}

int main(int argc, char **argv)
{
    hone_error err = { 0 };
    if (argc != 2 || registry_open_file(&plugins, argv[1], &err))
        return fprintf(stderr, "%s\n", err.message), 1;
    RUN(test_join__fills_samples_across_documents);
    registry_close(plugins);
    return TEST_EXIT();
}
