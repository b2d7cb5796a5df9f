/*
 * test_recipes.c - the bundled recipes: golden samples, promises on random documents, messages,
 * tokenizers of every temper, the amount of counting.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
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

static int64_t count_with(hone_str s, int64_t extra, int64_t per_wide)
{
    int64_t n = extra;
    for (uint64_t i = 0; i < s.n; i++)
        n += (s.p[i] & 0xf8) == 0xf0 ? per_wide : (s.p[i] & 0xc0) != 0x80;
    return n;
}

/* Every text begins with a token of its own, as SentencePiece's do. */
static int64_t count_prefixed(const hone_tokenizer_service *self, hone_str s)
{
    (void)self;
    return count_with(s, 3, 1);
}

/* More than its parts together. */
static int64_t count_growing(const hone_tokenizer_service *self, hone_str s)
{
    (void)self;
    return (int64_t)(s.n + s.n * s.n / 300);
}

/* Some characters are larger than a chunk. */
static int64_t count_wide(const hone_tokenizer_service *self, hone_str s)
{
    (void)self;
    return count_with(s, 0, 40);
}

/* A better cut can be larger than a worse one. */
static int64_t count_ends(const hone_tokenizer_service *self, hone_str s)
{
    (void)self;
    return count_with(s, s.n && strchr("!?\n", s.p[s.n - 1]) ? 12 : 0, 1);
}

static int64_t count_nothing(const hone_tokenizer_service *self, hone_str s)
{
    (void)self;
    return (int64_t)(s.n > 0);
}

static int64_t count_fails(const hone_tokenizer_service *self, hone_str s)
{
    (void)self;
    return s.n > 2 ? -1 : 1;
}

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

/* ------------------------------------------------------------------- single */

typedef struct made {
    page page;
    samples samples;
} made;

/* One block of each text; kinds: one letter a block, "thclq" and "b" for a table. */
static hone_status make(made *m, const char *recipe, const char *json, const char *kinds,
                        const char *const *texts, hone_error *err)
{
    static const char letters[] = "?thcblq";
    instance x = { 0 };
    uint64_t off = 0;
    *m = (made){ 0 };
    m->page.blocks = mem_new(strlen(kinds) + 1, sizeof *m->page.blocks);
    for (const char *k = kinds; *k; k++) {
        hone_block *b = &m->page.blocks[m->page.n_blocks++];
        b->kind = (uint32_t)(strchr(letters, *k) - letters);
        b->level = *k == 'h' || *k == 'l';
        b->text = (hone_str){ mem_strdup(texts[k - kinds]), strlen(texts[k - kinds]) };
        b->lang.p = mem_strdup("");
        b->src_off = off;
        b->src_len = b->text.n;
        off += b->text.n + 2;
    }
    m->page.n_src = off;
    hone_status st = instance_open(&x, &host.host, recipe, HONE_KIND_RECIPE, json, err);
    if (st == HONE_OK)
        st = samples_make(&m->samples, &x, &m->page, "some/name.txt", err);
    instance_close(&x);
    return st;
}

static void made_finish(made *m)
{
    samples_finish(&m->samples);
    page_finish(&m->page);
    CHECK_INT(host.out, 0);
}

static const char *text_of(const made *m, size_t i)
{
    const shown_sample *s = i < m->samples.n ? &m->samples.p[i] : NULL;
    return s ? s->segments[s->n - 1].text.p : "(none)";
}

static void raw_cuts_at_sentences(void)
{
    const char *const texts[] = { "One two three four. Five six seven eight! Nine ten eleven (so "
                                  "and so.) Is it? 3.5 e.g. this stays. End of it." };
    const char *const want[] = { "One two three four.", "Five six seven eight!",
                                 "Nine ten eleven (so and so.)", "Is it? 3.5 e.g. this stays.",
                                 "End of it." };
    made m;
    hone_error err = { 0 };
    CHECK_OK(make(&m, "raw", "{\"characters\":34,\"overlap\":0}", "t", texts, &err), err);
    CHECK_INT(m.samples.n, sizeof want / sizeof *want);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        CHECK_STR(text_of(&m, i), want[i]);
    made_finish(&m);
}

static void raw_keeps_headings_with_text(void)
{
    const char *const texts[] = { "abcd abcd abcd abcd abcd", "Part", "Smaller part", "efgh efgh" };
    made m;
    hone_error err = { 0 };
    CHECK_OK(make(&m, "raw", "{\"characters\":48}", "thht", texts, &err), err);
    CHECK_INT(m.samples.n, 2);
    CHECK_STR(text_of(&m, 0), texts[0]);
    CHECK_STR(text_of(&m, 1), "# Part\n\n# Smaller part\n\nefgh efgh");
    CHECK_INT(m.samples.p[1].segments[0].src_off, 26);
    CHECK_INT(m.samples.p[1].segments[0].src_len, 29);
    made_finish(&m);
}

/* Code alone is a file of code: as it stands. Among text it is fenced, by more backticks than it
 * has itself. */
static void code_is_kept(void)
{
    const char *const texts[] = { "int main(void)\n{\n    return 0;\n}\n", "a ``` b", "text" };
    made m;
    hone_error err = { 0 };
    CHECK_OK(make(&m, "raw", NULL, "c", texts, &err), err);
    CHECK_STR(text_of(&m, 0), "int main(void)\n{\n    return 0;\n}");
    made_finish(&m);
    CHECK_OK(make(&m, "raw", NULL, "cct", texts, &err), err);
    CHECK_STR(text_of(&m, 0),
              "```\nint main(void)\n{\n    return 0;\n}\n```\n\n````\na ``` b\n````\n\ntext");
    made_finish(&m);
    CHECK_OK(make(&m, "raw", "{\"characters\":50,\"overlap\":0}", "tct",
                  (const char *const[]){ "one two three", texts[0], "end" }, &err),
             err);
    CHECK_INT(m.samples.n, 2);
    CHECK_STR(text_of(&m, 0), "one two three");
    CHECK_HAS(text_of(&m, 1), "```\nint main(void)\n{\n    return 0;\n}\n```\n\nend");
    made_finish(&m);
}

/* Pieces of code begin and repeat at lines, with their indentation. */
static void code_is_cut_at_lines(void)
{
    const char *const texts[] = { "begin\n    one two\n    three\n\n    four five\n    six\nend" };
    static const char *const want[] = { "begin\n    one two\n    three",
                                        "    three\n\n    four five", "    six\nend" };
    made m;
    hone_error err = { 0 };
    CHECK_OK(make(&m, "raw", "{\"characters\":30,\"overlap\":0.4}", "c", texts, &err), err);
    CHECK_INT(m.samples.n, sizeof want / sizeof *want);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        CHECK_STR(text_of(&m, i), want[i]);
    made_finish(&m);
}

/* Full stops that no space follows end sentences too. */
static void wide_full_stops_end_sentences(void)
{
    const char *const texts[] = { "一二三四五六七八。一二三四五。一二三四五六七八" };
    made m;
    hone_error err = { 0 };
    CHECK_OK(make(&m, "raw", "{\"characters\":16,\"overlap\":0}", "t", texts, &err), err);
    CHECK_INT(m.samples.n, 2);
    CHECK_STR(text_of(&m, 0), "一二三四五六七八。一二三四五。");
    CHECK_STR(text_of(&m, 1), "一二三四五六七八");
    made_finish(&m);
}

/* What a reader took for a heading by mistake is text, what it took for a title is none; white
 * space in questions is one space. */
static void headings_of_unlikely_size_are_text(void)
{
    text long_one = { 0 };
    made m;
    hone_error err = { 0 };
    for (int i = 0; i < 200; i++)
        text_puts(&long_one, "abc ");
    CHECK_OK(
        make(&m, "headings", NULL, "hht", (const char *const[]){ "A\n  b", long_one.p, "c" }, &err),
        err);
    CHECK_INT(m.samples.n, 1);
    CHECK_STR(m.samples.p[0].segments[0].text.p, "A b");
    CHECK_HAS(text_of(&m, 0), "abc abc\n\nc");
    CHECK_INT(m.samples.n_lost, 0);
    made_finish(&m);
    text_finish(&long_one);
}

static void raw_repeats_the_end(void)
{
    const char *const texts[] = {
        "alpha beta gamma delta. Epsilon zeta eta. Theta iota kappa lambda my ny xi omikron."
    };
    made m;
    hone_error err = { 0 };
    CHECK_OK(make(&m, "raw", "{\"characters\":50,\"overlap\":0.4}", "t", texts, &err), err);
    CHECK_INT(m.samples.n, 3);
    CHECK_STR(text_of(&m, 0), "alpha beta gamma delta. Epsilon zeta eta.");
    CHECK_STR(text_of(&m, 1), "Epsilon zeta eta. Theta iota kappa lambda my ny xi");
    CHECK_STR(text_of(&m, 2), "lambda my ny xi omikron.");
    made_finish(&m);
}

static void raw_reports_small_rests(void)
{
    const char *const texts[] = { "abcdefghi abcdefghi abcdefghi", "xyz" };
    made m;
    hone_error err = { 0 };
    CHECK_OK(
        make(&m, "raw", "{\"characters\":30,\"overlap\":0,\"min_tokens\":4}", "tt", texts, &err),
        err);
    CHECK_INT(m.samples.n, 1);
    CHECK_INT(m.samples.n_lost, 1);
    CHECK_INT(m.samples.lost[0].bytes, 3);
    CHECK_STR(m.samples.lost[0].why, "chunks smaller than min_tokens");
    made_finish(&m);
}

static void characters_that_fit_nowhere_are_reported(void)
{
    const hone_tokenizer_service kept = host.tokenizer;
    const char *const texts[] = { "ab \xf0\x9f\x98\x80 cd \xf0\x9f\x98\x80\xf0\x9f\x98\x80" };
    uint64_t bytes = 0;
    made m;
    hone_error err = { 0 };
    host.tokenizer.count = count_wide;
    CHECK_OK(make(&m, "raw", "{\"tokens\":16,\"overlap\":0}", "t", texts, &err), err);
    CHECK_INT(m.samples.n, 2);
    CHECK_STR(text_of(&m, 0), "ab");
    CHECK_STR(text_of(&m, 1), "cd");
    for (size_t i = 0; i < m.samples.n_lost; i++) {
        bytes += m.samples.lost[i].bytes;
        CHECK_STR(m.samples.lost[i].why, "characters that are larger than a whole sample");
    }
    CHECK_INT(bytes, 12);
    made_finish(&m);
    host.tokenizer = kept;
}

static void empty_documents_give_nothing(void)
{
    const char *const texts[] = { " \n", "\t" };
    made m;
    hone_error err = { 0 };
    for (int i = 0; i < 4; i++) {
        CHECK_OK(make(&m, i & 1 ? "raw" : "headings", NULL, i & 2 ? "tc" : "", texts, &err), err);
        CHECK_INT(m.samples.n, 0);
        CHECK_INT(m.samples.n_lost, 0);
        made_finish(&m);
    }
}

/* ----------------------------------------------------------------- messages */

static void bad_options_are_explained(void)
{
    static const struct {
        const char *recipe, *json, *message;
        hone_status status;
        bool no_tokenizer;
    } rows[] = {
        { "raw", NULL,
          "raw: tokens cannot be counted without a tokenizer: set the model, or characters",
          HONE_ERR_STATE, true },
        { "headings", NULL,
          "headings: tokens cannot be counted without a tokenizer: set the model, or characters",
          HONE_ERR_STATE, true },
        { "raw", "{\"characters\":15}",
          "raw: characters is 15; expected 0 (off: tokens are counted) or at least 16",
          HONE_ERR_ARG, false },
        { "raw", "{\"tokens\":100,\"min_tokens\":101}",
          "raw: min_tokens is 101, more than the 100 of a whole chunk", HONE_ERR_ARG, false },
        { "raw", "{\"characters\":100,\"min_tokens\":101}",
          "raw: min_tokens is 101, more than the 100 of a whole chunk", HONE_ERR_ARG, false },
        { "raw", "{\"tokens\":3}", "tokens", HONE_ERR_ARG, false },
        { "raw", "{\"overlap\":0.6}", "overlap", HONE_ERR_ARG, false },
        { "headings", "{\"question\":\"What is it?\"}",
          "headings: question \"What is it?\" has no %s: every question would be the same; put %s "
          "where the headings go",
          HONE_ERR_ARG, false },
        { "headings", "{\"question\":\"%d %s\"}",
          "headings: question \"%d %s\": % is followed by d; only %s (the headings) and %% (a "
          "percent sign) are known",
          HONE_ERR_ARG, false },
        { "headings", "{\"question\":\"%s 100%\"}", "% is followed by the end", HONE_ERR_ARG,
          false },
        { "headings", "{\"path\":\"first\"}", "path", HONE_ERR_ARG, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        instance x = { 0 };
        hone_error err = { 0 };
        host.has_tokenizer = !rows[i].no_tokenizer;
        CHECK_INT(
            instance_open(&x, &host.host, rows[i].recipe, HONE_KIND_RECIPE, rows[i].json, &err),
            rows[i].status);
        CHECK_HAS(err.message, rows[i].message);
        instance_close(&x);
        CHECK_INT(host.out, 0);
    }
    host.has_tokenizer = true;
}

static void characters_need_no_tokenizer(void)
{
    const char *const texts[] = { "word" };
    made m;
    hone_error err = { 0 };
    host.has_tokenizer = false;
    CHECK_OK(make(&m, "raw", "{\"characters\":16}", "t", texts, &err), err);
    CHECK_STR(text_of(&m, 0), "word");
    made_finish(&m);
    host.has_tokenizer = true;
}

/* ----------------------------------------------------------------- failures */

static const char *const sad_texts[] = { "Head",    "one two three four five six seven eight nine",
                                         "code();", "Empty",
                                         "Next",    "item\nmore" };

static void fail_everywhere(const char *recipe)
{
    const char *json = "{\"characters\":20}";
    hone_status st = HONE_ERR_NOMEM;
    made m;
    int rounds = 0;
    for (int64_t at = 1; st != HONE_OK && at < 1000; at++, rounds++) {
        hone_error err = { 0 };
        host.n = 0;
        host.fail_at = at;
        st = make(&m, recipe, json, "htchhl", sad_texts, &err);
        if (st != HONE_OK) {
            CHECK_INT(st, HONE_ERR_NOMEM);
            CHECK_HAS(err.message, recipe);
        }
        made_finish(&m);
    }
    host.fail_at = 0;
    CHECK_INT(st, HONE_OK);
    CHECK(rounds > 3);
}

static void failures_are_passed_on(void)
{
    const hone_tokenizer_service kept = host.tokenizer;
    static const char *const recipes[] = { "raw", "headings" };
    for (int i = 0; i < 2; i++) {
        hone_error err = { 0 };
        made m;
        fail_everywhere(recipes[i]);
        host.tokenizer.count = count_fails;
        CHECK_INT(make(&m, recipes[i], NULL, "htchhl", sad_texts, &err), HONE_ERR_NOMEM);
        CHECK_HAS(err.message, "no memory to count the tokens of");
        made_finish(&m);
        host.tokenizer = kept;
    }
}

static hone_status full_sink(const hone_sample_sink *sink, const hone_segment *segments, uint64_t n,
                             hone_error *err)
{
    (void)sink;
    (void)segments;
    (void)n;
    return hone_fail(err, HONE_ERR_IO, "the sink fails");
}

static int32_t stop(const hone_host *h)
{
    (void)h;
    return 1;
}

static void a_failing_sink_ends_it(void)
{
    static const char *const recipes[] = { "raw", "headings" };
    hone_block blocks[] = { { .kind = HONE_BLOCK_TEXT, .text = hone_s("word") } };
    const hone_document d = {
        .struct_size = sizeof d, .name = hone_s("a"), .blocks = blocks, .n_blocks = 1
    };
    const hone_sample_sink sink = { .struct_size = sizeof sink, .add = full_sink };
    for (int i = 0; i < 2; i++) {
        int32_t (*const cancelled)(const hone_host *) = host.host.cancelled;
        instance x = { 0 };
        hone_error err = { 0 };
        CHECK_OK(instance_open(&x, &host.host, recipes[i], HONE_KIND_RECIPE, NULL, &err), err);
        const hone_recipe *ops = x.desc->ops;
        CHECK_INT(ops->process(x.self, &d, &sink, &err), HONE_ERR_IO);
        CHECK_STR(err.message, "the sink fails");
        host.host.cancelled = stop;
        CHECK_INT(ops->process(x.self, &d, &sink, &err), HONE_ERR_CANCELLED);
        host.host.cancelled = cancelled;
        ops->destroy(NULL);
        instance_close(&x);
        CHECK_INT(host.out, 0);
    }
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
static void chunks_are_filled(void)
{
    const char *const texts[] = { "Some words make a sentence. Others do not, and go on and on! " };
    text t = { 0 };
    made m;
    hone_error err = { 0 };
    for (int i = 0; i < 400; i++)
        text_puts(&t, texts[0]);
    CHECK_OK(
        make(&m, "raw", "{\"tokens\":128,\"overlap\":0}", "t", (const char *const[]){ t.p }, &err),
        err);
    for (size_t i = 0; i + 1 < m.samples.n; i++)
        CHECK(test_count(text_of(&m, i), strlen(text_of(&m, i))) > 100);
    CHECK(m.samples.n > 20);
    text_finish(&t);
    made_finish(&m);
}

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
    RUN(raw_cuts_at_sentences);
    RUN(raw_keeps_headings_with_text);
    RUN(code_is_kept);
    RUN(code_is_cut_at_lines);
    RUN(wide_full_stops_end_sentences);
    RUN(headings_of_unlikely_size_are_text);
    RUN(raw_repeats_the_end);
    RUN(raw_reports_small_rests);
    RUN(characters_that_fit_nowhere_are_reported);
    RUN(empty_documents_give_nothing);
    RUN(bad_options_are_explained);
    RUN(characters_need_no_tokenizer);
    RUN(failures_are_passed_on);
    RUN(a_failing_sink_ends_it);
    RUN(counting_is_linear);
    RUN(chunks_are_filled);
    return TEST_EXIT();
}
