/*
 * test_tokenizer_split.c - pre-tokenizers: behaviours, digits, and the scanners by hand against the
 * patterns they stand for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tokenizer_fixture.h"

static void test_tokenizer__split_behaviours(void)
{
    static const struct {
        const char *behavior, *invert, *want;
    } cases[] = {
        { "Isolated", "false", "the|-|final|-|-|countdown" },
        { "Removed", "false", "the|final|countdown" },
        { "MergedWithPrevious", "false", "the-|final-|-|countdown" },
        { "MergedWithNext", "false", "the|-final|-|-countdown" },
        { "Contiguous", "false", "the|-|final|--|countdown" },
        { "Removed", "true", "-|-|-" },
    };
    const recipe words = {
        .vocab =
            "\"the\":0,\"-\":1,\"final\":2,\"countdown\":3,\"the-\":4,\"final-\":5,\"-final\":6,"
            "\"-countdown\":7,\"--\":8",
        .model = "\"ignore_merges\":true,"
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char pre[160];
        recipe r = words;
        tokenizer *t;
        (void)snprintf(
            pre, sizeof pre,
            "{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":\"%s\",\"invert\":%s}",
            cases[i].behavior, cases[i].invert);
        r.pre = pre;
        t = make(&r);
        CHECK_STR(of(t, "the-final--countdown"), cases[i].want);
        tokenizer_close(t);
    }
}

#define NUMBERS                                                                             \
    "\"1\":0,\"2\":1,\"3\":2,\"4\":3,\"12\":4,\"123\":5,\"1234\":6,\"a\":7,\"\xc4\xa0\":8," \
    "\"\xc4\xa0\x31\":9"
#define SPLIT(pattern)                                                                      \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":" \
    "\"" pattern "\"},\"behavior\":\"Isolated\",\"invert\":false}," MAPPED "]}"
#define MODERN(number)                                                             \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|" number \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+"                                                 \
    "[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

static void test_tokenizer__digits_split_as_each_family_does(void)
{
    static const struct {
        const char *pre, *want;
    } cases[] = {
        { BYTE_LEVEL, "1234" },
        { SPLIT(MODERN("\\\\p{N}{1,3}")), "123|4" },
        { SPLIT(MODERN("\\\\p{N}")), "1|2|3|4" },
        { "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":"
          "true}," BYTE_LEVEL "]}",
          "1|2|3|4" },
        { "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":"
          "false}," BYTE_LEVEL "]}",
          "1234" },
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const recipe r = { .vocab = NUMBERS,
                           .model = "\"ignore_merges\":true,",
                           .pre = cases[i].pre };
        tokenizer *t = make(&r);
        CHECK_STR(of(t, "1234"), cases[i].want);
        tokenizer_close(t);
    }
}

/* A published pattern by hand and the same, made unrecognisable, by PCRE2. A last step puts a
 * space in front of every part, so that one can see where they begin. */
#define PARTS_SHOWN(pre)                                                                      \
    "{\"type\":\"Sequence\",\"pretokenizers\":[" pre                                          \
    ",{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":" \
    "false}]}"

static void test_tokenizer__scanners_split_as_the_patterns_do(void)
{
    static const struct {
        const char *by_hand, *by_regex;
    } pairs[] = {
        { PARTS_SHOWN(BYTE_LEVEL),
          PARTS_SHOWN(SPLIT("(?:'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+| "
                            "?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)|\\\\s+)")) },
        { PARTS_SHOWN(SPLIT(MODERN("\\\\p{N}{1,3}"))),
          PARTS_SHOWN(SPLIT("(?:" MODERN("\\\\p{N}{1,3}") ")")) },
        { PARTS_SHOWN(SPLIT(MODERN("\\\\p{N}"))),
          PARTS_SHOWN(SPLIT("(?:" MODERN("\\\\p{N}") ")")) },
    };
    static const uint32_t letters[] = { 'a',    'Z',     's',    'S',     't',    'l',     'L',
                                        'd',    'e',     'v',    'm',     0x17f,  '\'',    '\'',
                                        ' ',    ' ',     ' ',    '\n',    '\r',   '\t',    0xa0,
                                        0x3000, 0x85,    '1',    '9',     0x664,  0xbd,    '.',
                                        '-',    '_',     0x301,  0xe9,    0x4e2d, 0x1f642, 0x200d,
                                        0xfffd, 0x10d40, 0x1c89, 0x323af, 0x2028, 0x1b132 };
    size_t i, k;
    for (i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        text json = { 0 };
        recipe r = { .pre = pairs[i].by_hand };
        tokenizer *a, *b;
        text vocab = { 0 };
        uint64_t round;
        for (k = 0; k < 256; k++) { /* the alphabet, so that nothing is lost */
            char buf[5] = { 0 };
            const uint32_t c = (k >= 0x21 && k <= 0x7e) || (k >= 0xa1 && k != 0xad) ? (uint32_t)k
                               : k <= 0x20 ? 0x100 + (uint32_t)k
                               : k == 0xad ? 0x143
                                           : 0x121 + (uint32_t)k - 0x7f;
            buf[utf8_put(c, buf)] = 0;
            text_printf(&vocab, "%s\"%s%s\":%zu", k ? "," : "", c == '"' || c == '\\' ? "\\" : "",
                        buf, k);
        }
        r.vocab = vocab.p;
        r.model = "\"ignore_merges\":true,";
        a = make(&r);
        r.pre = pairs[i].by_regex;
        b = make(&r);
        for (round = 0; round < 20000 && a && b; round++) {
            tokens x = { 0 }, y = { 0 };
            text s = { 0 };
            hone_error err = { 0 };
            const uint64_t n = rng_u64(7, i, round) % 12;
            for (k = 0; k < n; k++) {
                char buf[4];
                text_add(
                    &s, buf,
                    utf8_put(letters[rng_u64(8, round, k) % (sizeof letters / sizeof *letters)],
                             buf));
            }
            char *exact = malloc(s.n + !s.n); /* so that a read behind the end is seen */
            if (s.n)
                memcpy(exact, s.p, s.n);
            CHECK_OK(tokenizer_encode(a, exact, s.n, 0, &x, NULL, &err), err);
            CHECK_OK(tokenizer_encode(b, exact, s.n, 0, &y, NULL, &err), err);
            free(exact);
            CHECK(x.n == y.n && (!x.n || memcmp(x.p, y.p, x.n * sizeof *x.p) == 0));
            tokens_finish(&x);
            tokens_finish(&y);
            text_finish(&s);
        }
        tokenizer_close(a);
        tokenizer_close(b);
        text_finish(&vocab);
        text_finish(&json);
    }
}

int main(void)
{
    RUN(test_tokenizer__split_behaviours);
    RUN(test_tokenizer__digits_split_as_each_family_does);
    RUN(test_tokenizer__scanners_split_as_the_patterns_do);
    return TEST_EXIT();
}
