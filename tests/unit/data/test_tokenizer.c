/*
 * test_tokenizer.c - the traps of tokenizer.json one by one; places of tokens in the
 * text; threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tokenizer_fixture.h"

#include <pthread.h>

/* ------------------------------------------------------------------------------- traps */

static void test_tokenizer__ignore_merges_takes_a_whole_word_first(void)
{
    recipe r = { .vocab = "\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"abc\":4",
                 .merges = "\"a b\"",
                 .pre = BYTE_LEVEL };
    tokenizer *t = make(&r);
    CHECK_STR(of(t, "abc"), "ab|c"); /* no merge leads to abc */
    tokenizer_close(t);
    r.model = "\"ignore_merges\":true,";
    t = make(&r);
    CHECK_STR(of(t, "abc"), "abc");
    CHECK_STR(of(t, "abcc"), "ab|c|c");
    tokenizer_close(t);
}

static void test_tokenizer__prepend_is_for_every_piece_and_first_for_the_first(void)
{
    const char *vocab = "\"a\":0,\"\xe2\x96\x81\":1,\"\xe2\x96\x81\x61\":2,\"<s>\":3";
    recipe r = { .vocab = vocab,
                 .merges = "\"\xe2\x96\x81 a\"",
                 .normalizer = PREPEND,
                 .added = ADDED(3, "<s>", FLAGS(false, false, false, false, true)) };
    tokenizer *t = make(&r);
    CHECK_STR(of(t, "a<s>a"), "\xe2\x96\x81\x61|<s>|\xe2\x96\x81\x61");
    CHECK_STR(of(t, " a"), "\xe2\x96\x81|\xe2\x96\x81\x61"); /* in front of a space as well */
    tokenizer_close(t);
    r.normalizer = NULL;
    r.pre = FIRST;
    t = make(&r);
    CHECK_STR(of(t, "a<s>a"), "\xe2\x96\x81\x61|<s>|a");
    CHECK_STR(of(t, " a"), "\xe2\x96\x81\x61");
    CHECK_STR(of(t, "<s>a"), "<s>|a");
    tokenizer_close(t);
    r.pre = ALWAYS;
    t = make(&r);
    CHECK_STR(of(t, "a<s>a"), "\xe2\x96\x81\x61|<s>|\xe2\x96\x81\x61");
    CHECK_STR(of(t, " a"), "\xe2\x96\x81\x61");
    tokenizer_close(t);
}

static void test_tokenizer__added_tokens_take_spaces_and_mind_words(void)
{
    static const struct {
        const char *flags, *text, *want;
    } cases[] = {
        { FLAGS(false, false, false, false, true), "a  <x>  a",
          "a|\xc4\xa0|\xc4\xa0|<x>|\xc4\xa0|\xc4\xa0|a" },
        { FLAGS(false, true, false, false, true), "a  <x>  a", "a|<x>|\xc4\xa0|\xc4\xa0|a" },
        { FLAGS(false, false, true, false, true), "a  <x>  a", "a|\xc4\xa0|\xc4\xa0|<x>|a" },
        { FLAGS(false, true, true, false, true), " <x> <x> a", "<x>|<x>|a" },
        { FLAGS(true, false, false, false, true), "a<x>a", "a|<|x|>|a" },
        { FLAGS(true, false, false, false, true), "a <x> a", "a|\xc4\xa0|<x>|\xc4\xa0|a" },
        { FLAGS(true, false, false, false, true), "<x>", "<x>" },
        { FLAGS(true, false, false, false, true), "\xc3\xa4<x>",
          "\xc3\x83|\xc2\xa4|<|x|>" }, /* a letter too */
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char one[200];
        recipe r = {
            .vocab = "\"a\":0,\"<\":1,\"x\":2,\">\":3,\"\xc4\xa0\":4,\"\xc3\x83\":5,\"\xc2\xa4\":6",
            .pre = BYTE_LEVEL,
            .added = one
        };
        tokenizer *t;
        (void)snprintf(one, sizeof one, "{\"id\":7,\"content\":\"<x>\",\"single_word\":%s}",
                       cases[i].flags);
        t = make(&r);
        CHECK_STR(of(t, cases[i].text), cases[i].want);
        tokenizer_close(t);
    }
}

static void test_tokenizer__normalized_added_tokens_are_found_in_normal_form(void)
{
    recipe r = { .vocab = "\"a\":0,\"d\":1,\"y\":2",
                 .normalizer = "{\"type\":\"Lowercase\"}",
                 .added = ADDED(3, "Day", FLAGS(false, false, false, true, false)) };
    tokenizer *t = make(&r);
    CHECK_STR(of(t, "dayDAYa"), "Day|Day|a");
    tokenizer_close(t);
    r.added = ADDED(3, "Day", FLAGS(false, false, false, false, false));
    t = make(&r);
    CHECK_STR(of(t, "dayDay"), "d|a|y|Day");
    tokenizer_close(t);
}

static void test_tokenizer__special_spellings_are_text_unless_asked(void)
{
    const recipe r = { .vocab = "\"<\":0,\"s\":1,\">\":2,\"t\":3",
                       .pre = BYTE_LEVEL,
                       .added = ADDED(4, "<s>", FLAGS(false, false, false, false, true)) "," ADDED(
                           5, "<t>", FLAGS(false, false, false, false, false)) };
    tokenizer *t = make(&r);
    CHECK_STR(pieces(t, "<s><t>", 6, ENCODE_SPECIAL), "<s>|<t>");
    CHECK_STR(pieces(t, "<s><t>", 6, 0), "<|s|>|<t>"); /* added, but not special */
    CHECK(tokenizer_is_special(t, 4) && !tokenizer_is_special(t, 5) &&
          !tokenizer_is_special(t, 99));
    tokenizer_close(t);
}

static void test_tokenizer__nfc_joins_what_the_text_has_apart(void)
{
    recipe r = { .vocab = "\"e\":0,\"\xc3\x83\":1,\"\xc2\xa9\":2,\"\xc3\x83\xc2\xa9\":3",
                 .merges = "\"\xc3\x83 \xc2\xa9\"",
                 .normalizer = "{\"type\":\"NFC\"}",
                 .pre = BYTE_LEVEL };
    tokenizer *t = make(&r);
    CHECK_STR(of(t, "e\xcc\x81"), "\xc3\x83\xc2\xa9");
    CHECK_STR(places(t, "ee\xcc\x81", 4), "0-1 1-4"); /* the piece covers letter and mark */
    CHECK_STR(of(t, "\xc3\xa9"), "\xc3\x83\xc2\xa9");
    tokenizer_close(t);
}

static void test_tokenizer__bytes_that_are_no_utf8_are_counted(void)
{
    /* U+FFFD is EF BF BD, in the alphabet i-diaeresis, inverted question mark, one half */
    const recipe r = { .vocab = "\"a\":0,\"\xc3\xaf\":1,\"\xc2\xbf\":2,\"\xc2\xbd\":3,"
                                "\"\xc3\xaf\xc2\xbf\":4,\"\xc3\xaf\xc2\xbf\xc2\xbd\":5",
                       .merges = "\"\xc3\xaf \xc2\xbf\",\"\xc3\xaf\xc2\xbf \xc2\xbd\"",
                       .pre = BYTE_LEVEL };
    static const struct {
        const char *text;
        size_t n;
        int64_t bad;
        int n_replaced;
        const char *places;
    } cases[] = {
        { "a\xff"
          "a",
          3, 1, 1, "0-1 1-2 2-3" },
        { "a\xe2\x96", 3, 2, 1, "0-1 1-3" }, /* cut short: one */
        { "\xe2\x96"
          "a",
          3, 2, 1, "0-2 2-3" },
        { "\xf0\x9f\x99"
          "a",
          4, 3, 1, "0-3 3-4" },
        { "\xed\xa0\x80", 3, 3, 3, "0-1 1-2 2-3" }, /* a surrogate: three */
        { "\xc0\x80", 2, 2, 2, "0-1 1-2" },         /* overlong */
        { "\xf4\x90\x80\x80", 4, 4, 4, "0-1 1-2 2-3 3-4" },
        { "a\x80\x80"
          "a",
          4, 2, 2, "0-1 1-2 2-3 3-4" },
    };
    tokenizer *t = make(&r);
    size_t i, k;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tokens out = { 0 };
        encode_losses lost = { .bad_bytes = 5 };
        int n_replaced = 0;
        hone_error err = { 0 };
        CHECK_OK(tokenizer_encode(t, cases[i].text, cases[i].n, 0, &out, &lost, &err), err);
        for (k = 0; k < out.n; k++)
            n_replaced += out.p[k].id == 5;
        CHECK_INT(lost.bad_bytes, 5 + cases[i].bad);
        CHECK_INT(n_replaced, cases[i].n_replaced);
        CHECK_STR(places(t, cases[i].text, cases[i].n), cases[i].places);
        tokens_finish(&out);
    }
    tokenizer_close(t);
}

static void test_tokenizer__unknown_characters_fall_back_or_fuse(void)
{
    recipe r = { .vocab = "\"<unk>\":0,\"a\":1,\"<0xC3>\":2,\"<0xB6>\":3",
                 .model = "\"unk_token\":\"<unk>\",\"byte_fallback\":true," };
    tokenizer *t = make(&r);
    CHECK_STR(of(t, "a\xc3\xb6"
                    "a"),
              "a|<0xC3>|<0xB6>|a");
    CHECK_STR(of(t, "\xc3\xa4\xc3\xa4"), "<unk>|<unk>"); /* <0xA4> is missing */
    tokenizer_close(t);
    r.model = "\"unk_token\":\"<unk>\",\"fuse_unk\":true,";
    t = make(&r);
    CHECK_STR(of(t, "xya"), "<unk>|a");
    CHECK_STR(places(t, "xya", 3), "0-2 2-3");
    tokenizer_close(t);
    r.pre = BYTE_LEVEL; /* its units are bytes, unknown ones too */
    t = make(&r);
    CHECK_STR(of(t, "xyaz"), "<unk>|a|<unk>");
    tokenizer_close(t);
    r.model = "\"unk_token\":\"<unk>\",";
    t = make(&r);
    CHECK_STR(of(t, "xya"), "<unk>|<unk>|a");
    CHECK_STR(places(t, "xya", 3), "0-1 1-2 2-3");
    tokenizer_close(t);
    r.pre = NULL;
    r.model = NULL;
    t = make(&r);
    CHECK_STR(of(t, "xay"), "a"); /* nothing to stand for them: as the original does */
    tokenizer_close(t);
}

static void test_tokenizer__the_earliest_merge_wins_then_the_leftmost(void)
{
    const recipe r = { .vocab = "\"a\":0,\"b\":1,\"aa\":2,\"ab\":3,\"aab\":4,\"aaa\":5",
                       .merges = "\"a a\",\"a b\",\"aa b\",\"aa a\"" };
    char many[4001];
    tokenizer *t = make(&r);
    tokens out = { 0 };
    hone_error err = { 0 };
    CHECK_STR(of(t, "aab"), "aab");
    CHECK_STR(of(t, "aaab"), "aa|ab");
    CHECK_STR(of(t, "aaaaa"), "aa|aaa");
    memset(many, 'a', 4000); /* the long-word path: pairs from the left, the odd one joins */
    many[4000] = 0;
    CHECK_OK(tokenizer_encode(t, many, 3999, 0, &out, NULL, &err), err);
    CHECK_INT(out.n, 1999);
    CHECK_INT(out.p[1998].id, 5);
    CHECK_INT(out.p[1998].end, 3999);
    tokens_finish(&out);
    tokenizer_close(t);
}

static void test_tokenizer__templates_add_ids_around(void)
{
    const recipe r = {
        .vocab = "\"<s>\":0,\"</s>\":1,\"a\":2",
        .post =
            "{\"type\":\"Sequence\",\"processors\":[" BYTE_LEVEL
            ",{\"type\":\"TemplateProcessing\",\"single\":["
            "{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_"
            "id\":0}},"
            "{\"SpecialToken\":{\"id\":\"</s>\",\"type_id\":0}}],\"pair\":[],\"special_tokens\":{"
            "\"<s>\":{\"id\":\"<s>\",\"ids\":[0],\"tokens\":[\"<s>\"]},\"</s>\":{\"id\":\"</"
            "s>\",\"ids\":[1],\"tokens\":[\"</s>\"]}}}]}"
    };
    tokenizer *t = make(&r);
    CHECK_STR(pieces(t, "a", 1, ENCODE_ADD), "<s>|a|</s>");
    CHECK_STR(pieces(t, "", 0, ENCODE_ADD), "<s>|</s>");
    CHECK_STR(pieces(t, "a", 1, 0), "a");
    CHECK_INT(tokenizer_bos(t), 0);
    CHECK_INT(tokenizer_eos(t), 1);
    CHECK_INT(tokenizer_pad(t), -1);
    CHECK(tokenizer_adds_bos(t));
    tokenizer_close(t);
}

/* ------------------------------------------------------------------------------- places */

static void test_tokenizer__places_go_back_through_normalizers(void)
{
    const recipe llama = { .vocab =
                               "\"\xe2\x96\x81\":0,\"h\":1,\"i\":2,\"\xe2\x96\x81hi\":3,\"hi\":4",
                           .merges = "\"h i\",\"\xe2\x96\x81 hi\"",
                           .normalizer = PREPEND };
    recipe other = llama;
    tokenizer *t = make(&llama);
    CHECK_STR(places(t, "hi hi", 5), "0-2 2-5");
    CHECK_STR(places(t, "  hi", 4), "0-0 0-1 1-4");
    CHECK_STR(places(t, "hi\xe2\x96\x81hi", 7), "0-2 2-7"); /* the mark itself in the text */
    tokenizer_close(t);
    /* the general path: the normalizers cannot be followed in place */
    other.normalizer =
        "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Lowercase\"},{\"type\":\"Prepend\","
        "\"prepend\":\"\xe2\x96\x81\"},"
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"}]}";
    t = make(&other);
    CHECK_STR(places(t, "hi hi", 5), "0-2 2-5");
    CHECK_STR(places(t, "  HI", 4), "0-0 0-1 1-4");
    tokenizer_close(t);
    other.normalizer =
        "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Strip\",\"strip_left\":true,\"strip_"
        "right\":true},"
        "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"[0-9]+\"},\"content\":\"hi\"}]}";
    t = make(&other);
    CHECK_STR(places(t,
                     " \xc2\xa0"
                     "123h",
                     7),
              "3-6 6-7");
    tokenizer_close(t);
}

/* ------------------------------------------------------------------------------- threads */

typedef struct job {
    const tokenizer *t;
    const char *p;
    size_t n;
    tokens want;
    int wrong;
} job;

static void *encode_often(void *arg)
{
    job *j = arg;
    int i;
    for (i = 0; i < 50; i++) {
        tokens got = { 0 };
        hone_error err = { 0 };
        const size_t n = j->n - (size_t)(i % 7);
        if (tokenizer_encode(j->t, j->p, n, 0, &got, NULL, &err))
            j->wrong++;
        else if (n == j->n &&
                 (got.n != j->want.n || memcmp(got.p, j->want.p, got.n * sizeof *got.p) != 0))
            j->wrong++;
        tokens_finish(&got);
    }
    return NULL;
}

static void test_tokenizer__threads_share_one(void)
{
    const recipe r = { .vocab =
                           "\"a\":0,\"b\":1,\"\xc4\xa0\":2,\"ab\":3,\"\xc4\xa0\x61\":4,\"aba\":5",
                       .merges = "\"a b\",\"\xc4\xa0 a\",\"ab a\"",
                       .pre = BYTE_LEVEL };
    char s[4000];
    job jobs[4];
    pthread_t threads[4];
    tokenizer *t = make(&r);
    hone_error err = { 0 };
    size_t i;
    for (i = 0; i < sizeof s; i++)
        s[i] = "ab "[rng_u64(3, 0, i) % 3];
    for (i = 0; i < 4; i++) {
        jobs[i] = (job){ .t = t, .p = s, .n = sizeof s };
        CHECK_OK(tokenizer_encode(t, s, sizeof s, 0, &jobs[i].want, NULL, &err), err);
        CHECK_INT(pthread_create(&threads[i], NULL, encode_often, &jobs[i]), 0);
    }
    for (i = 0; i < 4; i++) {
        CHECK_INT(pthread_join(threads[i], NULL), 0);
        CHECK_INT(jobs[i].wrong, 0);
        tokens_finish(&jobs[i].want);
    }
    tokenizer_close(t);
}

int main(void)
{
    RUN(test_tokenizer__ignore_merges_takes_a_whole_word_first);
    RUN(test_tokenizer__prepend_is_for_every_piece_and_first_for_the_first);
    RUN(test_tokenizer__added_tokens_take_spaces_and_mind_words);
    RUN(test_tokenizer__normalized_added_tokens_are_found_in_normal_form);
    RUN(test_tokenizer__special_spellings_are_text_unless_asked);
    RUN(test_tokenizer__nfc_joins_what_the_text_has_apart);
    RUN(test_tokenizer__bytes_that_are_no_utf8_are_counted);
    RUN(test_tokenizer__unknown_characters_fall_back_or_fuse);
    RUN(test_tokenizer__the_earliest_merge_wins_then_the_leftmost);
    RUN(test_tokenizer__templates_add_ids_around);
    RUN(test_tokenizer__places_go_back_through_normalizers);
    RUN(test_tokenizer__threads_share_one);
    return TEST_EXIT();
}
