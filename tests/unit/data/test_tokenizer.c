/*
 * test_tokenizer.c - the traps of tokenizer.json one by one, on vocabularies small enough
 * to follow by hand; files that lie; places of tokens in the text; threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "test.h"

#include <pthread.h>
#include <unistd.h>

#include "core/data/data.h"

#define BYTE_LEVEL \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}"
#define MAPPED                                                                                \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":" \
    "false}"
#define PREPEND                                                                                    \
    "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\xe2\x96\x81\"}," \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"}]}"
#define FIRST                                                                                \
    "{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\",\"prepend_scheme\":\"first\"," \
    "\"split\":false}"
#define ALWAYS                                                                                \
    "{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\",\"prepend_scheme\":\"always\"," \
    "\"split\":true}"
#define LLAMA_DECODER                                                                     \
    "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":" \
    "\"\xe2\x96\x81\"},"                                                                  \
    "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"                 \
    "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"
#define ADDED(id, content, flags) \
    "{\"id\":" #id ",\"content\":\"" content "\",\"single_word\":" flags "}"
#define FLAGS(single, left, right, normal, special)                               \
#single ",\"lstrip\":" #left ",\"rstrip\":" #right ",\"normalized\":" #normal \
            ",\"special\":" #special

typedef struct recipe { /* members of a tokenizer.json; NULL: null, or none */
    const char *vocab, *merges, *model, *added, *normalizer, *pre, *post, *decoder;
} recipe;

static void write_json(text *out, const recipe *r)
{
    text_printf(out,
                "{\"version\":\"1.0\",\"added_tokens\":[%s],\"normalizer\":%s,\"pre_tokenizer\":%s,"
                "\"post_processor\":%s,\"decoder\":%s,\"model\":{\"type\":\"BPE\",%s\"vocab\":{%s},"
                "\"merges\":[%s]}}",
                r->added ? r->added : "", r->normalizer ? r->normalizer : "null",
                r->pre ? r->pre : "null", r->post ? r->post : "null",
                r->decoder ? r->decoder : "null", r->model ? r->model : "", r->vocab,
                r->merges ? r->merges : "");
}

static tokenizer *make(const recipe *r)
{
    text json = { 0 };
    tokenizer *t = NULL;
    hone_error err = { 0 };
    write_json(&json, r);
    CHECK_OK(tokenizer_from_json(&t, json.p, json.n, &err), err);
    text_finish(&json);
    return t;
}

/* Pieces of the text's tokens, with | between. */
static const char *pieces(const tokenizer *t, const char *p, size_t n, uint32_t flags)
{
    static char buf[512];
    tokens out = { 0 };
    hone_error err = { 0 };
    size_t i, k = 0;
    *buf = 0;
    if (!t)
        return "no tokenizer";
    CHECK_OK(tokenizer_encode(t, p, n, flags, &out, NULL, &err), err);
    for (i = 0; i < out.n; i++)
        k += (size_t)snprintf(buf + k, sizeof buf - k, "%s%s", i ? "|" : "",
                              tokenizer_piece(t, out.p[i].id));
    tokens_finish(&out);
    return buf;
}

static const char *of(const tokenizer *t, const char *s)
{
    return pieces(t, s, strlen(s), ENCODE_SPECIAL);
}

/* Places of the text's tokens, "0-2 2-3". */
static const char *places(const tokenizer *t, const char *p, size_t n)
{
    static char buf[512];
    tokens out = { 0 };
    hone_error err = { 0 };
    size_t i, k = 0;
    *buf = 0;
    CHECK_OK(tokenizer_encode(t, p, n, ENCODE_SPECIAL, &out, NULL, &err), err);
    for (i = 0; i < out.n; i++)
        k += (size_t)snprintf(buf + k, sizeof buf - k, "%s%u-%u", i ? " " : "", out.p[i].start,
                              out.p[i].end);
    tokens_finish(&out);
    return buf;
}

static const char *decoded(const tokenizer *t, const int32_t *ids, size_t n, bool skip)
{
    static char buf[256];
    text out = { 0 };
    hone_error err = { 0 };
    CHECK_OK(tokenizer_decode(t, ids, n, skip, &out, &err), err);
    (void)snprintf(buf, sizeof buf, "%s", out.p ? out.p : "");
    text_finish(&out);
    return buf;
}

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
        int64_t bad = 5;
        int n_replaced = 0;
        hone_error err = { 0 };
        CHECK_OK(tokenizer_encode(t, cases[i].text, cases[i].n, 0, &out, &bad, &err), err);
        for (k = 0; k < out.n; k++)
            n_replaced += out.p[k].id == 5;
        CHECK_INT(bad, 5 + cases[i].bad);
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

/* ------------------------------------------------------------------------- pre-splitting */

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

/* A published pattern by hand and the same, made unrecognisable, by PCRE2. */
static void test_tokenizer__scanners_split_as_the_patterns_do(void)
{
    static const struct {
        const char *by_hand, *by_regex;
    } pairs[] = {
        { BYTE_LEVEL, SPLIT("(?:'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+| "
                            "?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)|\\\\s+)") },
        { SPLIT(MODERN("\\\\p{N}{1,3}")), SPLIT("(?:" MODERN("\\\\p{N}{1,3}") ")") },
        { SPLIT(MODERN("\\\\p{N}")), SPLIT("(?:" MODERN("\\\\p{N}") ")") },
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
            CHECK_OK(tokenizer_encode(a, s.p ? s.p : "", s.n, 0, &x, NULL, &err), err);
            CHECK_OK(tokenizer_encode(b, s.p ? s.p : "", s.n, 0, &y, NULL, &err), err);
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

/* ----------------------------------------------------------------------------- decoding */

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

static void test_tokenizer__without_decoder_pieces_stand_apart(void)
{
    const recipe r = { .vocab = "\"a\":0,\"b\":1" };
    tokenizer *t = make(&r);
    CHECK_STR(decoded(t, (const int32_t[]){ 0, 1, 0 }, 3, false), "a b a");
    tokenizer_close(t);
}

/* ------------------------------------------------------------------------------ bad files */

#define COMPONENT(family, json)                 \
    "{\"added_tokens\":[],\"" family "\":" json \
    ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}"

static void test_tokenizer__files_that_lie_are_refused_in_one_line(void)
{
    static const struct {
        const char *json;
        hone_status code;
        const char *message;
    } cases[] = {
        { "", HONE_ERR_FORMAT, "tokenizer.json:1:" },
        { "[]", HONE_ERR_FORMAT, "it is no object" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0", HONE_ERR_FORMAT, "tokenizer.json:1:" },
        { "{}", HONE_ERR_FORMAT, "\"model\" is missing" },
        { "{\"model\":{\"type\":\"Unigram\"}}", HONE_ERR_UNSUPPORTED,
          "model \"Unigram\" is not supported, only BPE is" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}", HONE_ERR_FORMAT,
          "model.merges is missing" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}", HONE_ERR_FORMAT,
          "the vocabulary is empty" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":2},\"merges\":[]}}",
          HONE_ERR_FORMAT, "\"b\" has id 2, but the vocabulary has 2 pieces: there is a hole" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}",
          HONE_ERR_FORMAT, "id 0 is both \"a\" and \"b\"" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", HONE_ERR_FORMAT,
          "there is a hole" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1e3},\"merges\":[]}}", HONE_ERR_FORMAT,
          "the id of \"a\" is no integer" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\\n\":5},\"merges\":[]}}", HONE_ERR_FORMAT,
          "\"\\x0a\" has id 5" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}",
          HONE_ERR_FORMAT, "merge 0 speaks of \"b\", which is not in the vocabulary" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}",
          HONE_ERR_FORMAT, "merge 0 makes \"aa\", which is not in the vocabulary" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"aa\"]}}", HONE_ERR_FORMAT,
          "merge 0 is not two pieces" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}",
          HONE_ERR_FORMAT, "merge 0 is not two pieces" },
        { "{\"model\":{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{\"a\":0},\"merges\":[]}}",
          HONE_ERR_UNSUPPORTED, "dropout 0.1" },
        { "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"u\",\"vocab\":{\"a\":0},\"merges\":[]}}",
          HONE_ERR_FORMAT, "unk_token \"u\" is not in" },
        { "{\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</"
          "w>\",\"vocab\":{\"a\":0},\"merges\":[]}}",
          HONE_ERR_UNSUPPORTED, "end_of_word_suffix \"</w>\" is not supported" },
        { "{\"added_tokens\":[{\"id\":5,\"content\":\"x\",\"single_word\":false,\"lstrip\":false,"
          "\"rstrip\":false,\"normalized\":false,"
          "\"special\":true}],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
          HONE_ERR_FORMAT,
          "added token \"x\" has id 5 where 1 comes next: the vocabulary has a hole" },
        { "{\"added_tokens\":[{\"id\":5,\"content\":\"a\",\"single_word\":false,\"lstrip\":false,"
          "\"rstrip\":false,\"normalized\":false,"
          "\"special\":true}],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
          HONE_ERR_FORMAT, "added token \"a\" has id 5, but 0 in the vocabulary" },
        { "{\"added_tokens\":[{\"id\":1,\"content\":\"x\"}],\"model\":{\"type\":\"BPE\",\"vocab\":{"
          "\"a\":0},\"merges\":[]}}",
          HONE_ERR_FORMAT, "added token \"x\": \"single_word\" is missing" },
        { COMPONENT("normalizer", "{\"type\":\"BertNormalizer\"}"), HONE_ERR_UNSUPPORTED,
          "normalizer \"BertNormalizer\" is not supported (known: NFC, " },
        { COMPONENT("normalizer", "{\"type\":\"Precompiled\"}"), HONE_ERR_UNSUPPORTED,
          "normalizer \"Precompiled\" is not supported" },
        { COMPONENT("normalizer", "{\"type\":\"Prepend\"}"), HONE_ERR_FORMAT,
          "Prepend: \"prepend\" is missing" },
        { COMPONENT("normalizer",
                    "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(\"},\"content\":\"\"}"),
          HONE_ERR_FORMAT, "the pattern \"(\" does not compile" },
        { COMPONENT("pre_tokenizer", "{\"type\":\"Whitespace\"}"), HONE_ERR_UNSUPPORTED,
          "pre-tokenizer \"Whitespace\" is not supported" },
        { COMPONENT("pre_tokenizer",
                    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"UnicodeScripts\"}]}"),
          HONE_ERR_UNSUPPORTED, "\"UnicodeScripts\"" },
        { COMPONENT("pre_tokenizer", "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[[:punct:]]\"},"
                                     "\"behavior\":\"Isolated\",\"invert\":false}"),
          HONE_ERR_UNSUPPORTED,
          "Split: the pattern has \"[ inside [...]\", which is not supported" },
        { COMPONENT("pre_tokenizer", "{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},"
                                     "\"behavior\":\"Shuffled\",\"invert\":false}"),
          HONE_ERR_FORMAT, "Split: \"behavior\" is missing or no known behavior" },
        { COMPONENT("pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":\"ab\"}"),
          HONE_ERR_FORMAT, "Metaspace: \"replacement\" is missing or no single character" },
        { COMPONENT("pre_tokenizer",
                    "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"last\"}"),
          HONE_ERR_FORMAT, "\"prepend_scheme\"" },
        { COMPONENT("decoder", "{\"type\":\"WordPiece\"}"), HONE_ERR_UNSUPPORTED,
          "decoder \"WordPiece\" is not supported" },
        { COMPONENT("decoder", "{\"type\":\"Strip\",\"content\":\" \",\"start\":-1,\"stop\":0}"),
          HONE_ERR_FORMAT, "Strip: \"start\" is missing or no count" },
        { COMPONENT("post_processor", "{\"type\":\"RobertaProcessing\"}"), HONE_ERR_UNSUPPORTED,
          "post-processor \"RobertaProcessing\" is not supported" },
        { COMPONENT("post_processor", "{\"type\":\"TemplateProcessing\",\"single\":[{"
                                      "\"SpecialToken\":{\"id\":\"x\",\"type_id\":0}},"
                                      "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"special_"
                                      "tokens\":{\"x\":{\"ids\":[9]}}}"),
          HONE_ERR_FORMAT, "\"x\" stands for an id that is not in the vocabulary" },
        { COMPONENT("post_processor", "{\"type\":\"TemplateProcessing\",\"single\":[]}"),
          HONE_ERR_UNSUPPORTED, "has no sequence A" },
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tokenizer *t = NULL;
        hone_error err = { 0 };
        CHECK_INT(tokenizer_from_json(&t, cases[i].json, strlen(cases[i].json), &err),
                  cases[i].code);
        CHECK_HAS(err.message, cases[i].message);
        CHECK(!strchr(err.message, '\n'));
        CHECK(!t);
        tokenizer_close(t);
    }
}

static void put(const char *dir, const char *name, const char *content)
{
    char *path = path_join(dir, name);
    hone_error err = { 0 };
    CHECK_OK(file_write(path, content, strlen(content), &err), err);
    free(path);
}

static void test_tokenizer__a_folder_names_its_special_tokens(void)
{
    const recipe r = { .vocab = "\"<s>\":0,\"</s>\":1,\"a\":2" };
    char dir[] = "/tmp/hone_tokenizer_XXXXXX";
    text json = { 0 };
    tokenizer *t = NULL;
    hone_error err = { 0 };
    char hash[65];
    CHECK(mkdtemp(dir));
    CHECK_INT(tokenizer_open(&t, dir, &err), HONE_ERR_NOTFOUND);
    CHECK_HAS(err.message, "has neither tokenizer.json nor tokenizer.model");
    write_json(&json, &r);
    put(dir, "tokenizer.json", json.p);
    put(dir, "tokenizer_config.json",
        "{\"bos_token\":\"<s>\",\"eos_token\":{\"content\":\"</"
        "s>\"},\"model_max_length\":1000000000000000019884624838656}");
    put(dir, "special_tokens_map.json", "{\"eos_token\":\"a\",\"pad_token\":\"a\"}");
    CHECK_OK(tokenizer_open(&t, dir, &err), err);
    CHECK_INT(tokenizer_bos(t), 0);
    CHECK_INT(tokenizer_eos(t), 1); /* the config speaks first */
    CHECK_INT(tokenizer_pad(t), 2);
    CHECK_INT(tokenizer_unk(t), -1);
    CHECK_INT(tokenizer_size(t), 3);
    CHECK_INT(tokenizer_id(t, "a"), 2);
    CHECK_INT(tokenizer_id(t, "b"), -1);
    CHECK_STR(tokenizer_piece(t, 1), "</s>");
    CHECK(!tokenizer_piece(t, 3) && !tokenizer_piece(t, -1));
    CHECK(!tokenizer_adds_bos(t)); /* it has one, but nothing adds it */
    sha256_hex(json.p, json.n, hash);
    CHECK_STR(tokenizer_hash(t), hash);
    tokenizer_close(t);
    t = NULL;
    put(dir, "tokenizer_config.json", "{\"bos_token\":\"<bos>\"}");
    CHECK_INT(tokenizer_open(&t, dir, &err), HONE_ERR_FORMAT);
    CHECK_HAS(err.message, "tokenizer_config.json: bos_token \"<bos>\" is not in the vocabulary");
    put(dir, "tokenizer_config.json", "{}");
    put(dir, "tokenizer.json", "{\"model\":3}");
    CHECK_INT(tokenizer_open(&t, dir, &err), HONE_ERR_FORMAT);
    CHECK_HAS(err.message, dir);
    CHECK(!t);
    CHECK_OK(dir_remove(dir, &err), err);
    text_finish(&json);
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
    RUN(test_tokenizer__split_behaviours);
    RUN(test_tokenizer__digits_split_as_each_family_does);
    RUN(test_tokenizer__scanners_split_as_the_patterns_do);
    RUN(test_tokenizer__places_go_back_through_normalizers);
    RUN(test_tokenizer__llama_decoding_and_its_stream);
    RUN(test_tokenizer__byte_level_stream_waits_for_whole_characters);
    RUN(test_tokenizer__without_decoder_pieces_stand_apart);
    RUN(test_tokenizer__files_that_lie_are_refused_in_one_line);
    RUN(test_tokenizer__a_folder_names_its_special_tokens);
    RUN(test_tokenizer__threads_share_one);
    return TEST_EXIT();
}
