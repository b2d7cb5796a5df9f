/*
 * test_recipes_single.c - the bundled recipes on a few blocks each: where they cut, what they
 * report, and what happens when something they need fails.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "plugins/recipes/sentence.h"
#include "recipe_counts.h"
#include "recipe_rules.h"
#include "test.h"

static test_host host;

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

static void abbreviations_end_no_sentence(void)
{
    static const char *const texts[] = {
        "Dr. Smith met J. F. Kay in the U.S. Army.| He left in 1990.| It cost 3.14 (see Fig. 3 and "
        "No. 12).| The answer is no.| \"Why?\" she said.| \"Because.\"| So it is...| 12 of "
        "them, e.g. these, vs. Those.| Plan I.| Then?!| *Yes.*| End",
        "\xe4\xb8\xad\xe6\x96\x87\xe3\x80\x82|\xe3\x80\x8c\xe5\xaf\xb9"
        "\xe3\x80\x82\xe3\x80\x8d|\xe5\xa5\xbd\xef\xbc\x81\xef\xbc\x81|\xe5\xb0\xbe",
        "1. Open it.| 2. Close it.|\n3. Once more",
        "Am 3. z.B. Ein Satz.| Noch einer.|\n\n|und \xc3\xb6 weiter ohne Punkt",
        "no punctuation at all just words",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char plain[400];
        size_t ends[40], n = 0, n_ends = 0, at = 0;
        for (const char *c = texts[i]; *c; c++)
            if (*c == '|')
                ends[n_ends++] = n;
            else
                plain[n++] = *c;
        for (size_t k = 0; k < n_ends; k++) { /* white space goes with what it follows */
            while (is_space(plain[ends[k]]))
                ends[k]++;
        }
        ends[n_ends++] = n;
        for (size_t k = 0; k < n_ends; k++) {
            if (k && ends[k] == ends[k - 1])
                continue;
            at = sentence_end((hone_str){ plain, n }, at);
            CHECK_INT(at, ends[k]);
        }
        CHECK_INT(at, n);
    }
}

static void raw_carries_the_headings_above(void)
{
    const char *const texts[] = { "Manual", "Start here with these words.",
                                  "Then these other words.", "Next part",
                                  "And the end of it is here." };
    const char *const want[] = {
        "# Manual\n\nStart here with these words.",
        "# Manual\n\nThen these other words.",
        "# Next part\n\nAnd the end of it is here.",
    };
    made m;
    hone_error err = { 0 };
    CHECK_OK(make(&m, "raw", "{\"characters\":44,\"overlap\":0,\"headings\":true}", "httht", texts,
                  &err),
             err);
    CHECK_INT(m.samples.n, 3);
    for (size_t i = 0; i < 3; i++)
        CHECK_STR(text_of(&m, i), want[i]);
    made_finish(&m);
    CHECK(make(&m, "raw", "{\"characters\":40,\"overlap_tokens\":30}", "t", texts, &err) ==
          HONE_ERR_ARG);
    CHECK_HAS(err.message, "overlap_tokens is 30");
    made_finish(&m);
}

static void keywords_ask_for_a_chunk(void)
{
    const char *const texts[] = { "Pump test",
                                  "The hydraulic pump is tested by the night shift. A "
                                  "hydraulic pump without a test sheet stands still." };
    const char *const nothing[] = { "Of the and to it." };
    made m;
    hone_error err = { 0 };
    CHECK_OK(
        make(&m, "keywords", "{\"count\":3,\"question\":\"About %s: 100%%\"}", "ht", texts, &err),
        err);
    CHECK_INT(m.samples.n, 1);
    CHECK_INT(m.samples.p[0].n, 2);
    CHECK_STR(m.samples.p[0].segments[0].text.p,
              "About test sheet stands, pump test, night shift: 100%");
    CHECK_HAS(text_of(&m, 0), "# Pump test\n\nThe hydraulic pump");
    made_finish(&m);
    CHECK_OK(make(&m, "keywords", NULL, "t", nothing, &err), err);
    CHECK_INT(m.samples.n, 0);
    CHECK_INT(m.samples.n_lost, 1);
    CHECK_STR(m.samples.lost[0].why, "chunks without a keyword");
    made_finish(&m);
    CHECK(make(&m, "keywords", "{\"stop_words\":\"/nowhere/words\"}", "t", texts, &err) ==
          HONE_ERR_NOTFOUND);
    CHECK_HAS(err.message, "/nowhere/words");
    made_finish(&m);
    CHECK(make(&m, "keywords", "{\"min_words\":3,\"max_words\":2}", "t", texts, &err) ==
          HONE_ERR_ARG);
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
    RUN(raw_cuts_at_sentences);
    RUN(abbreviations_end_no_sentence);
    RUN(raw_carries_the_headings_above);
    RUN(keywords_ask_for_a_chunk);
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
    RUN(chunks_are_filled);
    return TEST_EXIT();
}
