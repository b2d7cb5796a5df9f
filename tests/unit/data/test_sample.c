/*
 * test_sample.c - ids depend on what is learned from, JSON lines come back as they went.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/data.h"

#include "test.h"

static sample make(const char *question, const char *answer, bool learn)
{
    sample s = { 0 };
    hone_error err = { 0 };
    CHECK_OK(sample_add(&s, ROLE_USER, false, hone_s(question), 3, 4, &err), err);
    CHECK_OK(sample_add(&s, ROLE_ASSISTANT, learn, hone_s(answer), 10, 5, &err), err);
    CHECK_OK(sample_identify(&s, &err), err);
    return s;
}

static void test_sample__id_tells_contents_apart(void)
{
    sample a = make("ab", "c", true), b = make("ab", "c", true), c = make("a", "bc", true),
           d = make("ab", "c", false);
    CHECK_INT(strlen(a.id), 16);
    CHECK_STR(a.id, b.id);
    CHECK(strcmp(a.id, c.id) != 0);
    CHECK(strcmp(a.id, d.id) != 0);
    sample_finish(&a);
    sample_finish(&b);
    sample_finish(&c);
    sample_finish(&d);
    sample_finish(NULL);
}

static hone_status keep(void *ctx, const sample *s, int64_t line, hone_error *err)
{
    text *out = ctx;
    CHECK_INT(line, 1);
    return sample_to_json(s, out, err);
}

static void test_sample__json_comes_back(void)
{
    sample s = make("Wo?\n\"hier\"", "\xe2\x80\x94 \x01 \\", true);
    text line = { 0 }, again = { 0 };
    hone_error err = { 0 };
    const char *shape = NULL;
    s.file = mem_strdup("docs/a.md");
    s.recipe = mem_strdup("headings");
    CHECK_OK(sample_to_json(&s, &line, &err), err);
    CHECK(!strchr(line.p, '\n'));
    CHECK_HAS(line.p, "\"source\":{\"file\":\"docs/a.md\",\"start\":3,\"end\":15}");
    CHECK_HAS(line.p, "\"role\":\"user\"");
    CHECK_OK(dataset_read_bytes(line.p, line.n, "x", keep, &again, &shape, &err), err);
    CHECK_STR(again.p, line.p);
    CHECK_STR(shape, "hone");
    sample_finish(&s);
    text_finish(&line);
    text_finish(&again);
}

static void test_sample__bytes_that_are_no_text_are_refused(void)
{
    sample s = make("ok", "\xff\xfe", true);
    text line = { 0 };
    hone_error err = { 0 };
    CHECK_INT(sample_to_json(&s, &line, &err), HONE_ERR_FORMAT);
    CHECK_HAS(err.message, "not UTF-8");
    CHECK_INT(line.n, 0);
    sample_finish(&s);
    text_finish(&line);
}

int main(void)
{
    RUN(test_sample__id_tells_contents_apart);
    RUN(test_sample__json_comes_back);
    RUN(test_sample__bytes_that_are_no_text_are_refused);
    return TEST_EXIT();
}
