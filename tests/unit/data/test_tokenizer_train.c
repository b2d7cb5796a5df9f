/*
 * test_tokenizer_train.c - the files that training a vocabulary leaves, and what it refuses.
 * Which pieces it finds is compared in tests/golden/test_trainer.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tokenizer_fixture.h"

#include <unistd.h>

static const char *const specials[] = { "<|bos|>", "</s>", "<pad>", "<|mine|>" };

static hone_status train(const char *dir, const char *words, int64_t size, hone_error *err)
{
    const hone_str s = hone_s(words);
    return tokenizer_train(dir, &s, 1, size, specials, 4, err);
}

static void test_tokenizer_train__leaves_a_folder_that_opens(void)
{
    char dir[] = "/tmp/hone_train_XXXXXX";
    tokenizer *t = NULL;
    hone_error err = { 0 };
    static const int32_t ids[] = { 0, 262, 3 };
    CHECK(mkdtemp(dir));
    CHECK_OK(train(dir, "low low low lower lower", 263, &err), err);
    CHECK_OK(tokenizer_open(&t, dir, &err), err);
    CHECK_INT(tokenizer_size(t), 263);
    CHECK_INT(tokenizer_bos(t), 0); /* its name says so */
    CHECK_INT(tokenizer_eos(t), 1);
    CHECK_INT(tokenizer_pad(t), 2);
    CHECK(tokenizer_is_special(t, 3) && !tokenizer_is_special(t, 4));
    CHECK(!tokenizer_adds_bos(t));
    CHECK_STR(tokenizer_piece(t, 4), "!");    /* the bytes, in the order of the alphabet */
    CHECK_STR(tokenizer_piece(t, 260), "lo"); /* the most frequent pair */
    CHECK_STR(of(t, "low lower<|mine|>"), "low|\xc4\xa0low|e|r|<|mine|>");
    CHECK_STR(decoded(t, ids, 3, false), "<|bos|> low<|mine|>");
    CHECK_STR(decoded(t, ids, 3, true), " low");
    tokenizer_close(t);
    CHECK_OK(dir_remove(dir, &err), err);
}

static void test_tokenizer_train__says_what_it_cannot_do(void)
{
    static const char *const twice[] = { "<s>", "<s>" };
    static const char *const empty[] = { "" };
    static const char *const latin[] = { "\xe9" };
    const struct {
        const char *text;
        int64_t size;
        const char *const *special;
        size_t n_special;
        hone_status code;
        const char *message;
    } cases[] = {
        { "aaaa", 300, NULL, 0, HONE_ERR_ARG, "the texts give 258 pieces, not the 300 asked for" },
        { "", 257, NULL, 0, HONE_ERR_ARG, "the texts give 256 pieces, not the 257 asked for" },
        { "aaaa", 255, NULL, 0, HONE_ERR_ARG, "need at least 256" },
        { "aaaa", 257, specials, 4, HONE_ERR_ARG,
          "256 bytes and 4 special tokens need at least 260" },
        { "aaaa", (int64_t)1 << 40, NULL, 0, HONE_ERR_ARG, "a vocabulary of 1099511627776 pieces" },
        { "a\xff", 257, NULL, 0, HONE_ERR_FORMAT,
          "text 0 of the tokenizer's training is no UTF-8" },
        { "aaaa", 259, twice, 2, HONE_ERR_ARG, "special token \"<s>\" is given twice" },
        { "aaaa", 259, empty, 1, HONE_ERR_ARG, "special token 0 is empty or no UTF-8" },
        { "aaaa", 259, latin, 1, HONE_ERR_ARG, "special token 0 is empty or no UTF-8" },
    };
    char dir[] = "/tmp/hone_train_XXXXXX";
    char *file;
    size_t i;
    CHECK(mkdtemp(dir));
    file = path_join(dir, "tokenizer.json");
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        const hone_str s = hone_s(cases[i].text);
        hone_error err = { 0 };
        CHECK_INT(
            tokenizer_train(dir, &s, 1, cases[i].size, cases[i].special, cases[i].n_special, &err),
            cases[i].code);
        CHECK_HAS(err.message, cases[i].message);
        CHECK(!path_exists(file));
    }
    CHECK_OK(dir_remove(dir, &(hone_error){ 0 }), (hone_error){ 0 });
    free(file);
}

int main(void)
{
    RUN(test_tokenizer_train__leaves_a_folder_that_opens);
    RUN(test_tokenizer_train__says_what_it_cannot_do);
    return TEST_EXIT();
}
