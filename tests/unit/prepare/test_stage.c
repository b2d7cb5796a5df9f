/*
 * test_stage.c - near duplicates against a count of shingles by hand, splits that keep copies
 * together, and a dataset without a document against one that never had it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/prepare/near.h"
#include "runs.h"

static uint64_t drawn;

static uint32_t draw(uint32_t below)
{
    return (uint32_t)(rng_u64(77, 1, drawn++) % below);
}

/* -------------------------------------------------------------------- Jaccard */

/* The same by its definition: words, runs of five, sets. */
static double jaccard(const int *a, size_t n, const int *b, size_t m)
{
    size_t both = 0, all = 0;
    for (size_t side = 0; side < 2; side++) {
        const int *x = side ? b : a, *y = side ? a : b;
        const size_t k = side ? m : n, l = side ? n : m;
        for (size_t i = 0; i + 5 <= k; i++) {
            bool before = false, there = false;
            for (size_t j = 0; j < i && !before; j++)
                before = memcmp(x + i, x + j, 5 * sizeof *x) == 0;
            for (size_t j = 0; j + 5 <= l && !there; j++)
                there = memcmp(x + i, y + j, 5 * sizeof *x) == 0;
            if (!before) {
                both += there && !side;
                all += !there || !side;
            }
        }
    }
    return all ? (double)both / (double)all : 0;
}

static void set_text(sample *s, const int *words, size_t n, const char *marks)
{
    hone_error err = { 0 };
    text t = { 0 };
    for (size_t i = 0; i < n; i++)
        text_printf(&t, "%c%d%c", i % 7 ? 'w' : 'W', words[i], marks[i % strlen(marks)]);
    CHECK_OK(sample_add(s, ROLE_RAW, true, (hone_str){ t.p, t.n }, 0, 0, &err), err);
    text_finish(&t);
}

static void test_near__jaccard_is_exact(void)
{
    for (int round = 0; round < 60; round++) {
        int a[80], b[80];
        const size_t n = 5 + draw(75), m = 5 + draw(75);
        sample x = { 0 }, y = { 0 };
        shingles s = { 0 }, t = { 0 };
        for (size_t i = 0; i < 80; i++) {
            a[i] = (int)draw(1 + (uint32_t)round % 9);
            b[i] = draw(20) ? a[i] : 50;
        }
        set_text(&x, a, n, " ");
        set_text(&y, b, m, " ,.-\n");
        CHECK(shingles_of(&s, &x) && shingles_of(&t, &y));
        CHECK_NEAR(shingles_jaccard(&s, &t), jaccard(a, n, b, m), 1e-12);
        sample_finish(&x);
        sample_finish(&y);
        free(s.p);
        free(t.p);
    }
}

/* -------------------------------------------------------------------- runs */

static void put_words(const char *name, const int *words, size_t n)
{
    text t = { 0 };
    for (size_t i = 0; i < n; i++)
        text_printf(&t, "word%d ", words[i]);
    put(name, t.p);
    text_finish(&t);
}

#define PAIRS 60
#define WORDS 200

/* Pairs of documents with 0 to 59 words changed: exactly those of 0.8 and more are named. */
static void put_pairs(int64_t *n_near)
{
    *n_near = 0;
    for (int i = 0; i < PAIRS; i++) {
        int a[WORDS], b[WORDS];
        char name[40];
        for (size_t k = 0; k < WORDS; k++)
            a[k] = b[k] = i * 1000 + (int)k;
        for (int k = 0; k < i; k++)
            b[draw(WORDS)] = 1000000 + i * 1000 + k;
        (void)snprintf(name, sizeof name, "a%02d.bad", i);
        put_words(name, a, WORDS);
        (void)snprintf(name, sizeof name, "b%02d.bad", i);
        put_words(name, b, WORDS);
        *n_near += i > 0 && jaccard(a, WORDS, b, WORDS) >= 0.8;
    }
}

static char *read_out(const char *name)
{
    hone_error err = { 0 };
    char *path = path_join(out, name), *p = NULL;
    if (file_read(&p, NULL, path, 1 << 26, &err))
        p = NULL;
    free(path);
    return p;
}

static void test_near__the_threshold_is_kept(void)
{
    hone_error err = { 0 };
    prepare_report r;
    prepare_options o = { .near = NEAR_COUNT, .near_threshold = 0.8 };
    int64_t want = 0;
    begin();
    put_pairs(&want);
    CHECK(want > 3 && want < PAIRS / 2);
    CHECK_OK(run_docs(&o, &r, &err), err);
    CHECK_INT(r.near, want);
    CHECK_INT(r.duplicates, 1);
    CHECK_INT(r.samples, 2 * PAIRS - 1);
    prepare_report_finish(&r);
    CHECK_LINE("near_duplicates", "b01.bad", "\"near_file\":\"docs/a01.bad\"");
    CHECK_LINE("near_duplicates", "b01.bad", "\"dropped\":false");
    char *list = read_out("report/near_duplicates.jsonl");
    o.near = NEAR_DROP;
    for (o.jobs = 1; o.jobs < 4; o.jobs++) {
        CHECK_OK(run_docs(&o, &r, &err), err);
        CHECK_INT(r.near, want);
        CHECK_INT(r.samples, 2 * PAIRS - 1 - want);
        prepare_report_finish(&r);
    }
    o.near = NEAR_OFF;
    CHECK_OK(run_docs(&o, &r, &err), err);
    CHECK_INT(r.near, 0);
    prepare_report_finish(&r);
    free(list);
    end();
}

/* -------------------------------------------------------------------- the split */

static void test_split__copies_stay_on_one_side(void)
{
    hone_error err = { 0 };
    prepare_report r;
    prepare_options o = { .near = NEAR_COUNT, .near_threshold = 0.8, .split = 0.25 };
    int64_t unused;
    begin();
    put_pairs(&unused);
    for (o.split_seed = 1; o.split_seed < 6; o.split_seed++) {
        CHECK_OK(run_docs(&o, &r, &err), err);
        CHECK_NEAR((double)r.validation, 0.25 * (2 * PAIRS - 1), 2);
        char *train = read_out("samples.jsonl"), *val = read_out("val.jsonl");
        for (int i = 0; i < 4; i++) { /* near ones, and the two that are the same */
            char a[40], b[40];
            (void)snprintf(a, sizeof a, "docs/a%02d.bad", i);
            (void)snprintf(b, sizeof b, "docs/b%02d.bad", i);
            CHECK((strstr(train, a) != NULL) != (strstr(val, a) != NULL));
            CHECK(!(strstr(train, a) && strstr(val, b)) && !(strstr(val, a) && strstr(train, b)));
        }
        free(train);
        free(val);
        prepare_report_finish(&r);
    }
    o.split = 0;
    CHECK_OK(run_docs(&o, &r, &err), err);
    char *val = read_out("val.jsonl");
    CHECK(!val); /* that of an earlier run is gone */
    prepare_report_finish(&r);
    end();
}

static void test_split__by_path(void)
{
    hone_error err = { 0 };
    prepare_report r;
    prepare_options o = { .split = 0.3, .split_by = SPLIT_PATH, .split_depth = 2, .split_seed = 3 };
    begin();
    for (int folder = 0; folder < 10; folder++) {
        char name[64], words[64];
        hone_error none = { 0 };
        (void)snprintf(name, sizeof name, "part%d", folder);
        char *path = path_join(docs, name);
        CHECK_OK(dir_make(path, &none), none);
        free(path);
        for (int i = 0; i < 3; i++) {
            (void)snprintf(name, sizeof name, "part%d/%d.bad", folder, i);
            (void)snprintf(words, sizeof words, "text %d of %d", i, folder);
            put(name, words);
        }
    }
    CHECK_OK(run_docs(&o, &r, &err), err);
    CHECK_INT(r.validation, 9);
    char *train = read_out("samples.jsonl"), *val = read_out("val.jsonl");
    for (int folder = 0; folder < 10; folder++) {
        char name[64];
        (void)snprintf(name, sizeof name, "docs/part%d/", folder);
        CHECK((strstr(train, name) != NULL) != (strstr(val, name) != NULL));
    }
    free(train);
    free(val);
    prepare_report_finish(&r);
    end();
}

/* -------------------------------------------------------------------- without */

static char *saved, *saved_documents; /* what the run without it wrote */

static void test_without__as_if_it_had_never_been_there(void)
{
    static const char *const gone[] = { "docs/b.bad", "a.zip" };
    hone_error err = { 0 };
    prepare_report r;
    prepare_options o = { .near = NEAR_DROP, .near_threshold = 0.8, .cache_mb = 16 };
    int words[WORDS];
    for (size_t i = 0; i < WORDS; i++)
        words[i] = (int)i;
    for (int last = 0; last < 2; last++) { /* with the document, then really without it */
        begin();
        put("a.bad", "first words");
        if (!last)
            put("b.bad", "the same words twice");
        put("c.bad", "the same words twice"); /* comes back */
        put_words("e.bad", words, WORDS);
        words[3] = 9999;
        put_words("f.bad", words, WORDS);
        words[3] = 3;
        CHECK_OK(run_docs(&o, &r, &err), err);
        prepare_report_finish(&r);
        if (!last) {
            CHECK_OK(run_without(&o, &r, gone, 1, &err), err);
            CHECK_INT(r.opened, 0);
            CHECK_INT(r.samples, 3);
            prepare_report_finish(&r);
            saved = read_out("samples.jsonl");
            saved_documents = read_out("report/documents.jsonl");
            CHECK_HAS(saved, "docs/c.bad");
            CHECK(!strstr(saved, "docs/b.bad"));
            CHECK(!strstr(saved_documents, "docs/b.bad"));
            CHECK(run_without(&o, &r, gone + 1, 1, &err) == HONE_ERR_NOTFOUND);
            CHECK_HAS(err.message, "a.zip");
            prepare_report_finish(&r);
            char *now = read_out("samples.jsonl"); /* nothing was written */
            CHECK_STR(now, saved);
            free(now);
        } else {
            char *now = read_out("samples.jsonl"), *documents = read_out("report/documents.jsonl");
            CHECK_STR(now, saved);
            CHECK_STR(documents, saved_documents);
            free(now);
            free(documents);
        }
        end();
    }
    free(saved);
    free(saved_documents);
}

int main(int argc, char **argv)
{
    hone_error err = { 0 };
    if (argc != 2 || registry_open_file(&plugins, argv[1], &err))
        return 1;
    RUN(test_near__jaccard_is_exact);
    RUN(test_near__the_threshold_is_kept);
    RUN(test_split__copies_stay_on_one_side);
    RUN(test_split__by_path);
    RUN(test_without__as_if_it_had_never_been_there);
    registry_close(plugins);
    return TEST_EXIT();
}
