/*
 * test_tokenizer_losses.c - nothing of a text is lost without being counted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tokenizer_fixture.h"

static encode_losses losses(const tokenizer *t, const char *s, const char *want)
{
    encode_losses l = { 0 };
    tokens out = { 0 };
    text said = { 0 };
    hone_error err = { 0 };
    int i;
    CHECK_OK(tokenizer_encode(t, s, strlen(s), ENCODE_SPECIAL, &out, &l, &err), err);
    encode_losses_print(&l, &said);
    CHECK_STR(said.p ? said.p : "", want);
    for (i = 0; i < 2; i++) { /* the same again: a word that is remembered loses as much */
        encode_losses more = { 0 };
        CHECK_OK(tokenizer_encode(t, s, strlen(s), ENCODE_SPECIAL, &out, &more, &err), err);
        CHECK(more.bad_bytes == l.bad_bytes && more.unknown == l.unknown &&
              more.dropped == l.dropped && more.first == l.first);
    }
    text_finish(&said);
    tokens_finish(&out);
    return l;
}

static void test_tokenizer_losses__characters_with_nothing_in_their_place(void)
{
    const recipe r = { .vocab = "\"a\":0,\"b\":1,\"ab\":2", .merges = "\"a b\"" };
    tokenizer *t = make(&r);
    (void)losses(t, "ab", "");
    CHECK_INT(losses(t,
                     "a\xc3\xb6"
                     "bx",
                     "2 characters that the vocabulary lacks are left out, first U+00F6 "
                     "\"\xc3\xb6\"")
                  .dropped,
              2);
    /* what is left merges, and the places of what follows stay right */
    CHECK_STR(of(t, "a\xc3\xb6"
                    "bx"),
              "ab");
    CHECK_STR(places(t,
                     "ax\xc3\xb6"
                     "a",
                     5),
              "0-4 4-5");
    CHECK_STR(places(t,
                     "\xc3\xb6"
                     "ba",
                     4),
              "0-3 3-4");
    CHECK_INT(losses(t, "\n",
                     "1 characters that the vocabulary lacks are left out, first U+000A "
                     "\"\\x0a\"")
                  .dropped,
              1);
    tokenizer_close(t);
}

static void test_tokenizer_losses__bytes_with_nothing_in_their_place(void)
{
    /* C3 has a piece, B6 and BC have none: the letters lose half */
    const recipe r = { .vocab = "\"a\":0,\"\xc3\x83\":1", .pre = BYTE_LEVEL };
    tokenizer *t = make(&r);
    const encode_losses l = losses(t,
                                   "a\xc3\xb6\xc3\xbc\xe6\xb3\xb5"
                                   "a",
                                   "3 characters that the vocabulary lacks are left out, first "
                                   "U+00F6 \"\xc3\xb6\"");
    CHECK_INT(l.dropped, 3);
    CHECK_STR(of(t, "a\xc3\xb6"
                    "a"),
              "a|\xc3\x83|a");
    CHECK_STR(places(t,
                     "a\xe6\xb3\xb5"
                     "a",
                     5),
              "0-4 4-5");
    tokenizer_close(t);
}

static void test_tokenizer_losses__unknown_tokens_and_bad_bytes(void)
{
    recipe r = { .vocab = "\"<unk>\":0,\"a\":1,\"\xef\xbf\xbd\":2",
                 .model = "\"unk_token\":\"<unk>\"," };
    tokenizer *t = make(&r);
    const encode_losses l =
        losses(t, "axa\xff\xc3\xb6",
               "1 bytes are no UTF-8: taken as U+FFFD; 2 tokens are the unknown one, for "
               "characters that the vocabulary lacks");
    CHECK_INT(l.bad_bytes, 1);
    CHECK_INT(l.unknown, 2);
    CHECK_INT(l.dropped, 0);
    tokenizer_close(t);
}

static void test_tokenizer_losses__calls_add_up(void)
{
    const recipe r = { .vocab = "\"a\":0" };
    tokenizer *t = make(&r);
    encode_losses l = { 0 };
    tokens out = { 0 };
    hone_error err = { 0 };
    CHECK_OK(tokenizer_encode(t, "xa", 2, 0, &out, &l, &err), err);
    CHECK_OK(tokenizer_encode(t, "yya", 3, 0, &out, &l, &err), err);
    CHECK_INT(l.dropped, 3);
    CHECK_INT(l.first, 'x');
    tokens_finish(&out);
    tokenizer_close(t);
}

int main(void)
{
    RUN(test_tokenizer_losses__characters_with_nothing_in_their_place);
    RUN(test_tokenizer_losses__bytes_with_nothing_in_their_place);
    RUN(test_tokenizer_losses__unknown_tokens_and_bad_bytes);
    RUN(test_tokenizer_losses__calls_add_up);
    return TEST_EXIT();
}
