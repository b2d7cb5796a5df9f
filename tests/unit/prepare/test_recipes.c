/*
 * test_recipes.c - the bundled recipes over whole documents: golden samples, promises on
 * random documents, tokenizers of every temper, the amount of counting.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "recipe_counts.h"
#include "recipe_rules.h"
#include "test.h"

static test_host host;

/* ------------------------------------------------------------------- golden */

#ifdef HONE_HAVE_MD4C
static void run_case(void *ctx, const char *document, const char *component, const char *json,
                     const char *p, size_t n, text *out)
{
    const int64_t before = host.out;
    instance reader = { 0 }, recipe = { 0 };
    page g = { 0 };
    samples s = { 0 };
    hone_error err = { 0 };
    (void)ctx;
    hone_status st = instance_open(&reader, &host.host, "markdown", HONE_KIND_READER, NULL, &err);
    if (st == HONE_OK)
        st = page_read(&g, &reader, document, p, n, &err);
    if (st == HONE_OK)
        st = instance_open(&recipe, &host.host, component, HONE_KIND_RECIPE, json, &err);
    if (st == HONE_OK)
        st = samples_make(&s, &recipe, &g, document, &err);
    samples_dump(&s, out);
    if (st != HONE_OK)
        text_printf(out, "error %d %s\n", st, err.message);
    samples_finish(&s);
    page_finish(&g);
    instance_close(&recipe);
    instance_close(&reader);
    CHECK_INT(host.out, before);
}

static void raw_golden(void)
{
    CHECK_INT(golden_run("tests/unit/prepare/golden/raw.txt", run_case, NULL), 0);
}

static void headings_golden(void)
{
    CHECK_INT(golden_run("tests/unit/prepare/golden/headings.txt", run_case, NULL), 0);
}
#endif

/* ----------------------------------------------------------------- promises */

static int64_t service_size(const char *p, size_t n)
{
    return host.tokenizer.count(&host.tokenizer, (hone_str){ p, n });
}

static bool same(const samples *a, const samples *b)
{
    text x = { 0 }, y = { 0 };
    samples_dump(a, &x);
    samples_dump(b, &y);
    const bool equal = x.n == y.n && (!x.n || memcmp(x.p, y.p, x.n) == 0);
    text_finish(&x);
    text_finish(&y);
    return equal;
}

/* Random documents through a recipe; the second time after another document. */
static void keep_promises(const char *recipe, const char *json, const rules *r, uint64_t seed,
                          int rounds)
{
    const bool raw = strcmp(recipe, "raw") == 0;
    instance x = { 0 };
    hone_error err = { 0 };
    uint8_t bytes[900];
    CHECK_OK(instance_open(&x, &host.host, recipe, HONE_KIND_RECIPE, json, &err), err);
    for (int round = 0; x.self && round < rounds; round++) {
        page g, other;
        samples s = { 0 }, again = { 0 }, between = { 0 };
        const size_t n = rng_u64(seed, 0, round) % (sizeof bytes + 1);
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)rng_u64(seed, 1 + (uint64_t)round, i);
        rules_document(&g, bytes, n);
        rules_document(&other, bytes + n / 2, n - n / 2);
        CHECK_OK(samples_make(&s, &x, &g, "folder/name.md", &err), err);
        const char *bad = raw ? rules_raw(&g, &s, r) : rules_headings(&g, &s, r);
        if (bad) {
            fprintf(stderr, "%s %s, seed %llu, round %d: %s\n", recipe, json,
                    (unsigned long long)seed, round, bad);
            test_failures++;
        }
        CHECK_OK(samples_make(&between, &x, &other, "b.md", &err), err);
        CHECK_OK(samples_make(&again, &x, &g, "folder/name.md", &err), err);
        CHECK(same(&s, &again));
        samples_finish(&s);
        samples_finish(&between);
        samples_finish(&again);
        page_finish(&g);
        page_finish(&other);
        if (test_failures > 10)
            break;
    }
    instance_close(&x);
    CHECK_INT(host.out, 0);
}

static void random_documents_are_covered(void)
{
    static const struct {
        const char *recipe, *json;
        rules rules;
    } rows[] = {
        { "raw", "{\"tokens\":64}", { 64, 0.1, test_count, false } },
        { "raw", "{\"tokens\":256,\"overlap\":0.5}", { 256, 0.5, test_count, false } },
        { "raw", "{\"tokens\":16,\"overlap\":0}", { 16, 0, test_count, false } },
        { "raw", "{\"tokens\":1000,\"overlap\":0.3}", { 1000, 0.3, test_count, false } },
        { "raw", "{\"characters\":16,\"overlap\":0.5}", { 16, 0.5, rules_characters, false } },
        { "raw", "{\"characters\":200}", { 200, 0.1, rules_characters, false } },
        { "raw", "{\"tokens\":64,\"min_tokens\":40}", { 64, 0.1, test_count, true } },
        { "headings", "{\"tokens\":64}", { 64, 0, test_count, false } },
        { "headings", "{\"tokens\":500,\"path\":\"last\"}", { 500, 0, test_count, false } },
        { "headings", "{\"tokens\":16,\"path\":\"full\"}", { 16, 0, test_count, false } },
        { "headings",
          "{\"characters\":99,\"question\":\"100%% of %s?\"}",
          { 99, 0, rules_characters, false } },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        keep_promises(rows[i].recipe, rows[i].json, &rows[i].rules, 100 + i, 60);
}

static void strange_tokenizers_are_obeyed(void)
{
    static const struct {
        int64_t (*count)(const hone_tokenizer_service *self, hone_str text);
        bool lossy;
        double slack; /* of the overlap: without white space its last token may be another */
    } rows[] = {
        { count_prefixed, false, 0 }, { count_growing, false, 0 }, { count_wide, true, 0 },
        { count_ends, false, 1 },     { count_nothing, false, 0 },
    };
    const hone_tokenizer_service kept = host.tokenizer;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const double slack = rows[i].slack;
        const rules small = { 24, 0.25 + slack, service_size, rows[i].lossy };
        const rules large = { 300, 0.1 + slack, service_size, rows[i].lossy };
        host.tokenizer.count = rows[i].count;
        keep_promises("raw", "{\"tokens\":24,\"overlap\":0.25}", &small, 200 + i, 30);
        keep_promises("raw", "{\"tokens\":300}", &large, 300 + i, 30);
        keep_promises("headings", "{\"tokens\":24}", &small, 400 + i, 30);
    }
    host.tokenizer = kept;
}

/* --------------------------------------------------------------------- work */

static uint64_t counted_bytes, counts;

static int64_t count_and_note(const hone_tokenizer_service *self, hone_str s)
{
    (void)self;
    counted_bytes += s.n;
    counts++;
    return test_count(s.p, s.n);
}

/* What is counted stays in proportion to the text, whatever its form. */
static void counting_is_linear(void)
{
    const hone_tokenizer_service kept = host.tokenizer;
    static const struct {
        const char *unit;
        size_t per_block;
    } rows[] = {
        { "word ", 300000 },      { "A sentence of some words. ", 300000 },
        { "x", 300000 },          { "\xf0\x9f\x98\x80", 300000 },
        { "line of text\n", 77 }, { "tiny ", 5 },
        { "\n \t", 300000 },      { "some words ", 300 },
    };
    host.tokenizer.count = count_and_note;
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        const size_t row = i / 2, n = strlen(rows[row].unit), total = 300000;
        const char *json = i % 2 ? "{\"tokens\":2000,\"overlap\":0.5}" : "{\"tokens\":64}";
        instance x = { 0 };
        page g = { 0 };
        samples s = { 0 };
        hone_error err = { 0 };
        for (size_t at = 0; at < total;) {
            text t = { 0 };
            while (t.n < rows[row].per_block && at + t.n < total)
                text_add(&t, rows[row].unit, n);
            at += t.n;
            if (!mem_grow(&g.blocks, &g.cap_blocks, g.n_blocks + 1, sizeof *g.blocks))
                abort();
            g.blocks[g.n_blocks++] =
                (hone_block){ .kind = i % 3 ? HONE_BLOCK_TEXT : HONE_BLOCK_CODE,
                              .text = { t.p, t.n } };
        }
        counted_bytes = counts = 0;
        CHECK_OK(instance_open(&x, &host.host, "raw", HONE_KIND_RECIPE, json, &err), err);
        CHECK_OK(samples_make(&s, &x, &g, "a", &err), err);
        if (counted_bytes > 20 * total || counts > g.n_blocks + 25 * (s.n + 1)) {
            fprintf(stderr,
                    "\"%s\" %s: %zu bytes, %zu blocks, %zu samples: %llu bytes counted in "
                    "%llu calls\n",
                    rows[row].unit, json, total, g.n_blocks, s.n, (unsigned long long)counted_bytes,
                    (unsigned long long)counts);
            test_failures++;
        }
        samples_finish(&s);
        page_finish(&g);
        instance_close(&x);
    }
    host.tokenizer = kept;
}

/* Chunks of running text are nearly full. */

int main(void)
{
    test_host_init(&host);
    host.has_tokenizer = true;
#ifdef HONE_HAVE_MD4C
    RUN(raw_golden);
    RUN(headings_golden);
#endif
    RUN(random_documents_are_covered);
    RUN(strange_tokenizers_are_obeyed);
    RUN(counting_is_linear);
    return TEST_EXIT();
}
