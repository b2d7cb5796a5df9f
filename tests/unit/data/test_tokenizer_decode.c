/*
 * test_tokenizer_decode.c - ids to text, whole and streamed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tokenizer_fixture.h"

static void test_tokenizer__llama_decoding_and_its_stream(void)
{
    const recipe r = { .vocab = "\"<unk>\":0,\"<s>\":1,\"\xe2\x96\x81hi\":2,\"<0xE4>\":3,\"<0xB8>"
                                "\":4,\"<0xAD>\":5,\"\xe2\x96\x81\":6",
                       .decoder = LLAMA_DECODER,
                       .added = ADDED(1, "<s>", FLAGS(false, false, false, false, true)) };
    static const int32_t ids[] = { 1, 2, 3, 4, 5, 2, 3, 4, 2, 6, 3, 4, 5, 5, 6 };
    static const char *const steps[] = {
        "<s>", " hi", "",
        "",    "",    "\xe4\xb8\xad hi",
        "",    "",    "\xef\xbf\xbd\xef\xbf\xbd hi",
        " ",   "",    "",
        "",    "",    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd "
    };
    tokenizer *t = make(&r);
    token_stream s = { 0 };
    text out = { 0 };
    hone_error err = { 0 };
    size_t i, at = 0;
    for (i = 0; i < sizeof ids / sizeof *ids; i++) {
        CHECK_OK(token_stream_push(t, &s, ids[i], false, &out, &err), err);
        CHECK_STR(out.p + at, steps[i]); /* a run of bytes waits: one more may spoil it */
        at = out.n;
    }
    CHECK_OK(token_stream_end(t, &s, false, &out, &err), err);
    CHECK_STR(out.p, decoded(t, ids, sizeof ids / sizeof *ids, false));
    CHECK_STR(decoded(t, ids, 2, true), "hi"); /* the space in front goes, the special token too */
    CHECK_STR(decoded(t, ids + 1, 1, false), "hi");
    CHECK_STR(decoded(t, ids, 0, false), "");
    err.code = HONE_OK;
    CHECK_INT(tokenizer_decode(t, (const int32_t[]){ 7 }, 1, false, &out, &err), HONE_ERR_ARG);
    CHECK_STR(err.message, "token id 7 is outside the vocabulary, 0..6");
    CHECK_INT(token_stream_push(t, &s, -1, false, &out, &err), HONE_ERR_ARG);
    token_stream_finish(&s);
    text_finish(&out);
    tokenizer_close(t);
}

static void test_tokenizer__byte_level_stream_waits_for_whole_characters(void)
{
    /* E4 B8 AD in the alphabet */
    const recipe r = { .vocab = "\"\xc3\xa4\":0,\"\xc2\xb8\":1,\"\xc5\x83\":2,\"a\":3",
                       .pre = BYTE_LEVEL,
                       .decoder = BYTE_LEVEL };
    tokenizer *t = make(&r);
    token_stream s = { 0 };
    text out = { 0 };
    hone_error err = { 0 };
    static const int32_t ids[] = { 0, 1, 2, 0, 3, 0, 1 };
    static const char *const sum[] = { "",
                                       "",
                                       "\xe4\xb8\xad",
                                       "\xe4\xb8\xad",
                                       "\xe4\xb8\xad\xef\xbf\xbd"
                                       "a",
                                       "\xe4\xb8\xad\xef\xbf\xbd"
                                       "a",
                                       "\xe4\xb8\xad\xef\xbf\xbd"
                                       "a" };
    size_t i;
    for (i = 0; i < 7; i++) {
        CHECK_OK(token_stream_push(t, &s, ids[i], false, &out, &err), err);
        CHECK_STR(out.p ? out.p : "", sum[i]);
    }
    CHECK_OK(token_stream_end(t, &s, false, &out, &err), err);
    CHECK_STR(out.p, "\xe4\xb8\xad\xef\xbf\xbd"
                     "a\xef\xbf\xbd");
    CHECK_STR(decoded(t, ids, 7, false), out.p);
    token_stream_finish(&s);
    text_finish(&out);
    tokenizer_close(t);
}

static void test_tokenizer__metaspace_drops_the_mark_of_the_first(void)
{
    static const struct {
        const char *scheme, *want;
    } cases[] = { { "always", "hi hi" }, { "first", "hi hi" }, { "never", " hi hi" } };
    size_t i, k;
    for (i = 0; i < 3; i++) {
        char decoder[160];
        const recipe r = { .vocab = "\"\xe2\x96\x81hi\":0,\"x\":1", .decoder = decoder };
        static const int32_t ids[] = { 0, 0 };
        token_stream s = { 0 };
        text out = { 0 };
        hone_error err = { 0 };
        tokenizer *t;
        (void)snprintf(decoder, sizeof decoder,
                       "{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\","
                       "\"prepend_scheme\":\"%s\",\"split\":true}",
                       cases[i].scheme);
        t = make(&r);
        CHECK_STR(decoded(t, ids, 2, false), cases[i].want);
        for (k = 0; k < 2; k++)
            CHECK_OK(token_stream_push(t, &s, ids[k], false, &out, &err), err);
        CHECK_OK(token_stream_end(t, &s, false, &out, &err), err);
        CHECK_STR(out.p, cases[i].want);
        token_stream_finish(&s);
        text_finish(&out);
        tokenizer_close(t);
    }
}

static void test_tokenizer__without_decoder_pieces_stand_apart(void)
{
    const recipe r = { .vocab = "\"a\":0,\"b\":1" };
    tokenizer *t = make(&r);
    CHECK_STR(decoded(t, (const int32_t[]){ 0, 1, 0 }, 3, false), "a b a");
    tokenizer_close(t);
}

int main(void)
{
    RUN(test_tokenizer__llama_decoding_and_its_stream);
    RUN(test_tokenizer__byte_level_stream_waits_for_whole_characters);
    RUN(test_tokenizer__metaspace_drops_the_mark_of_the_first);
    RUN(test_tokenizer__without_decoder_pieces_stand_apart);
    return TEST_EXIT();
}
