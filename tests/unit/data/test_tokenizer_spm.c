/*
 * test_tokenizer_spm.c - tokenizer.model: the traps on a model small enough to follow by hand, and
 * files that lie. Messages are put together here, field by field.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tokenizer_fixture.h"

#include <unistd.h>

#define MARK "\xe2\x96\x81"

#define NORMAL 1
#define UNKNOWN 2
#define CONTROL 3
#define USER 4
#define BYTE 6

/* ------------------------------------------------------------------- the wire format */

static void put_varint(text *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        text_putc(out, (char)(v | 0x80));
    text_putc(out, (char)v);
}

static void put_number(text *out, uint32_t number, uint64_t v)
{
    put_varint(out, number << 3);
    put_varint(out, v);
}

static void put_bytes(text *out, uint32_t number, const char *p, size_t n)
{
    put_varint(out, number << 3 | 2);
    put_varint(out, n);
    text_add(out, p, n);
}

static void put_message(text *out, uint32_t number, text *m)
{
    put_bytes(out, number, m->p ? m->p : "", m->n);
    text_finish(m);
}

static void put_float(text *out, uint32_t number, float v)
{
    uint32_t bits;
    int i;
    memcpy(&bits, &v, sizeof bits);
    put_varint(out, number << 3 | 5);
    for (i = 0; i < 32; i += 8)
        text_putc(out, (char)(bits >> i));
}

static void put_piece(text *out, const char *piece, float score, uint64_t type)
{
    text m = { 0 };
    put_bytes(&m, 1, piece, strlen(piece));
    put_float(&m, 2, score);
    put_number(&m, 9, BYTE); /* a field that nobody knows */
    if (type != NORMAL)      /* what a field that is missing means */
        put_number(&m, 3, type);
    put_message(out, 1, &m);
}

typedef struct piece_row {
    const char *piece;
    float score;
    uint64_t type;
} piece_row;

static const piece_row usual[] = { { "<unk>", 0, UNKNOWN }, { "<s>", 0, CONTROL },
                                   { "</s>", 0, CONTROL },  { MARK "a", -1, NORMAL },
                                   { "bc", -2, NORMAL },    { "abc", -3, NORMAL },
                                   { MARK, -4, NORMAL },    { "a", -5, NORMAL },
                                   { "b", -6, NORMAL },     { "c", -7, NORMAL } };

/* flag: a field of the trainer or (from 100 on) of the normalizer, set to value */
static void put_model(text *out, const piece_row *pieces, size_t n, uint32_t flag, uint64_t value)
{
    text trainer = { 0 }, norm = { 0 };
    size_t i;
    for (i = 0; i < n; i++)
        put_piece(out, pieces[i].piece, pieces[i].score, pieces[i].type);
    put_number(&trainer, 3, 2); /* BPE */
    if (flag && flag < 100)
        put_number(&trainer, flag, value);
    put_bytes(&norm, 1, "identity", 8);
    put_number(&norm, 4, 0);
    if (flag >= 100)
        put_number(&norm, flag - 100, value);
    put_message(out, 2, &trainer);
    put_message(out, 3, &norm);
}

#define N_USUAL (sizeof usual / sizeof *usual)

static tokenizer *open_or_die(text *m)
{
    tokenizer *t = NULL;
    hone_error err = { 0 };
    CHECK_OK(tokenizer_from_spm(&t, m->p, m->n, &err), err);
    text_finish(m);
    return t;
}

/* ----------------------------------------------------------------------------- traps */

static void test_tokenizer_spm__the_highest_score_merges_first(void)
{
    text m = { 0 };
    tokenizer *t;
    put_model(&m, usual, N_USUAL, 0, 0);
    t = open_or_die(&m);
    CHECK_INT(tokenizer_size(t), 10);
    CHECK_INT(tokenizer_unk(t), 0);
    CHECK_INT(tokenizer_bos(t), 1); /* by their names */
    CHECK_INT(tokenizer_eos(t), 2);
    CHECK_INT(tokenizer_pad(t), -1);
    CHECK(tokenizer_adds_bos(t));
    CHECK_STR(of(t, "abc"), MARK "a|bc"); /* the mark takes the a before bc can */
    CHECK_STR(of(t, "bcabc"), MARK "|bc|abc");
    CHECK_STR(of(t, "a  a"), MARK "a|" MARK "|" MARK "a");
    CHECK_STR(of(t, "axya"), MARK "a|<unk>|a"); /* a run is one */
    CHECK_STR(pieces(t, "a", 1, ENCODE_ADD), "<s>|" MARK "a");
    CHECK_STR(of(t, "a</s>a"), MARK "a|</s>|a");
    CHECK_STR(decoded(t, (const int32_t[]){ 1, 3, 4, 6, 5 }, 5, true), "abc abc");
    tokenizer_close(t);
}

static void test_tokenizer_spm__flags_are_applied(void)
{
    static const struct {
        uint32_t flag;
        uint64_t value;
        const char *want; /* of " a  bc " */
    } cases[] = {
        { 0, 0, MARK "|" MARK "a|" MARK "|" MARK "|bc|" MARK },
        { 103, 0, MARK "a|" MARK "|" MARK "|bc|" MARK }, /* add_dummy_prefix */
        { 104, 1, MARK "a|" MARK "|bc" },                /* remove_extra_whitespaces */
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        text m = { 0 };
        tokenizer *t;
        put_model(&m, usual, N_USUAL, cases[i].flag, cases[i].value);
        t = open_or_die(&m);
        CHECK_STR(of(t, " a  bc "), cases[i].want);
        tokenizer_close(t);
    }
}

static void test_tokenizer_spm__user_defined_pieces_are_taken_whole(void)
{
    static const piece_row rows[] = { { "<unk>", 0, UNKNOWN }, { "a", -1, NORMAL },
                                      { "b", -2, NORMAL },     { "ab", -3, NORMAL },
                                      { "ba", 0, USER },       { MARK, -4, NORMAL } };
    text m = { 0 };
    tokenizer *t;
    put_model(&m, rows, 6, 0, 0);
    t = open_or_die(&m);
    CHECK_STR(of(t, "abab"), MARK "|a|ba|b");
    CHECK_STR(pieces(t, "ba", 2, 0), MARK "|ba"); /* not only when special tokens are asked for */
    tokenizer_close(t);
}

static void test_tokenizer_spm__byte_fallback_spells_what_has_no_piece(void)
{
    piece_row rows[256 + N_USUAL];
    char names[256][8];
    text m = { 0 };
    tokenizer *t;
    hone_error err = { 0 };
    size_t i;
    memcpy(rows, usual, sizeof usual);
    for (i = 0; i < 256; i++) {
        (void)snprintf(names[i], sizeof names[i], "<0x%02X>", (unsigned)i);
        rows[N_USUAL + i] = (piece_row){ names[i], 0, BYTE };
    }
    put_model(&m, rows, 256 + N_USUAL, 35, 1);
    t = open_or_die(&m);
    CHECK_STR(of(t, "a\xc3\xb6"), MARK "a|<0xC3>|<0xB6>");
    CHECK_STR(of(t, "<0x41>"), MARK "|<0x3C>|<0x30>|<0x78>|<0x34>|<0x31>|<0x3E>");
    tokenizer_close(t);
    put_model(&m, rows, 255 + N_USUAL, 35, 1); /* one byte short */
    t = NULL;
    CHECK_INT(tokenizer_from_spm(&t, m.p, m.n, &err), HONE_ERR_FORMAT);
    CHECK_STR(err.message, "tokenizer.model: byte_fallback, but no piece <0xFF>");
    text_finish(&m);
}

/* ------------------------------------------------------------ with tokenizer_config.json */

static hone_status open_with(tokenizer **t, const char *dir, const char *config, hone_error *err)
{
    char *path = path_join(dir, "tokenizer_config.json");
    CHECK_OK(file_write(path, config, strlen(config), err), *err);
    free(path);
    return tokenizer_open(t, dir, err);
}

static void test_tokenizer_spm__the_config_adds_tokens_and_names(void)
{
    static const struct {
        const char *config, *message;
    } bad[] = {
        { "{\"added_tokens_decoder\":{\"12\":{\"content\":\"<x>\"}}}",
          "added token \"<x>\" has id 12 where 10 comes next: the vocabulary has a hole" },
        { "{\"added_tokens_decoder\":{\"3\":{\"content\":\"<x>\"}}}",
          "added_tokens_decoder 3 is \"<x>\", but \"" MARK "a\" in tokenizer.model" },
        { "{\"added_tokens_decoder\":{\"ten\":{\"content\":\"<x>\"}}}", "\"ten\" is no id" },
        { "{\"added_tokens_decoder\":{\"-1\":{\"content\":\"<x>\"}}}", "\"-1\" is no id" },
        { "{\"added_tokens_decoder\":{\"10\":{}}}", "added_tokens_decoder 10 has no content" },
        { "{\"bos_token\":\"<x>\"}", "bos_token \"<x>\" is not in the vocabulary" },
    };
    char dir[] = "/tmp/hone_spm_XXXXXX";
    char *path;
    text m = { 0 };
    tokenizer *t = NULL;
    hone_error err = { 0 };
    size_t i;
    CHECK(mkdtemp(dir));
    path = path_join(dir, "tokenizer.model");
    put_model(&m, usual, N_USUAL, 0, 0);
    CHECK_OK(file_write(path, m.p, m.n, &err), err);
    CHECK_OK(open_with(&t, dir,
                       "{\"add_bos_token\":false,\"add_eos_token\":true,\"pad_token\":\"<y>\","
                       "\"added_tokens_decoder\":{\"11\":{\"content\":\"<y>\",\"lstrip\":true},"
                       "\"10\":{\"content\":\"<x>\",\"special\":true},"
                       "\"1\":{\"content\":\"<s>\",\"special\":true}}}",
                       &err),
             err);
    CHECK_INT(tokenizer_size(t), 12);
    CHECK_INT(tokenizer_pad(t), 11);
    CHECK(tokenizer_is_special(t, 10));
    CHECK(!tokenizer_adds_bos(t));
    CHECK_STR(of(t, "a<x>a <y>"), MARK "a|<x>|a|<y>"); /* not "legacy": no mark behind <x> */
    CHECK_STR(pieces(t, "a", 1, ENCODE_ADD), MARK "a|</s>");
    tokenizer_close(t);
    t = NULL;
    CHECK_OK(open_with(&t, dir, "{\"legacy\":true}", &err), err);
    CHECK_STR(of(t, "a</s>a"), MARK "a|</s>|" MARK "a");
    tokenizer_close(t);
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        t = NULL;
        err = (hone_error){ 0 };
        CHECK_INT(open_with(&t, dir, bad[i].config, &err), HONE_ERR_FORMAT);
        CHECK_HAS(err.message, bad[i].message);
        CHECK(!t);
    }
    CHECK_OK(dir_remove(dir, &err), err);
    free(path);
    text_finish(&m);
}

/* ------------------------------------------------------------------------- bad files */

static void refused(const text *m, hone_status code, const char *want)
{
    tokenizer *t = NULL;
    hone_error err = { 0 };
    CHECK_INT(tokenizer_from_spm(&t, m->p ? m->p : "", m->n, &err), code);
    CHECK_HAS(err.message, want);
    CHECK(!strchr(err.message, '\n'));
    CHECK(!t);
    tokenizer_close(t);
}

static void test_tokenizer_spm__a_file_cut_anywhere_opens_never_or_whole(void)
{
    text m = { 0 };
    size_t n;
    put_model(&m, usual, N_USUAL, 0, 0);
    for (n = 0; n < m.n; n++) {
        tokenizer *t = NULL;
        hone_error err = { 0 };
        char *exact = mem_strndup(m.p, n); /* so that a read behind the end is seen */
        CHECK(tokenizer_from_spm(&t, exact, n, &err) != HONE_OK || n + 14 == m.n);
        CHECK(!!t == !*err.message);
        tokenizer_close(t);
        free(exact);
    }
    text_finish(&m);
}

static void test_tokenizer_spm__messages_that_lie_are_refused(void)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *message;
    } cases[] = {
        { "", 0, "it has no pieces" },
        { "\x0a\x7f", 2, "it is cut short or no SentencePiece model, after 0 pieces" },
        { "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "cut short" }, /* 2^64 - 1 bytes */
        { "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "cut short" }, /* too long */
        { "\x0b", 1, "cut short" },                                              /* a group */
        { "\x02\x01", 2, "cut short" },                                          /* field 0 */
        { "\x0a\x03\x0a\x05x", 5, "cut short" },     /* a length that leaves its message */
        { "\x0a\x02\x15\x01", 4, "cut short" },      /* half a float */
        { "{\"model\":{}}", 12, "cut short or no" }, /* a tokenizer.json by mistake */
        { "\x0a\x00", 2, "of type Unigram is not supported" }, /* what no trainer means */
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        const text m = { .p = (char *)(uintptr_t)cases[i].bytes, .n = cases[i].n };
        refused(&m, i == 9 ? HONE_ERR_UNSUPPORTED : HONE_ERR_FORMAT, cases[i].message);
    }
}

static void test_tokenizer_spm__models_of_another_kind_are_refused(void)
{
    static const struct {
        uint32_t flag;
        uint64_t value;
        const char *message;
    } cases[] = {
        { 3, 1, "a SentencePiece model of type Unigram is not supported, only BPE is" },
        { 3, 4, "of type Char is not supported" },
        { 3, 77, "of type unknown to hone is not supported" },
        { 24, 1, "treat_whitespace_as_suffix is not supported" },
        { 105, 0, "escape_whitespaces false is not supported" },
    };
    text m = { 0 }, norm = { 0 };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_model(&m, usual, N_USUAL, cases[i].flag, cases[i].value);
        refused(&m, HONE_ERR_UNSUPPORTED, cases[i].message);
        text_clear(&m);
    }
    for (i = 2; i < 7; i += 4) { /* precompiled_charsmap, normalization_rule_tsv */
        put_model(&m, usual, N_USUAL, 0, 0);
        put_bytes(&norm, 1, "nmt_nfkc", 8);
        put_bytes(&norm, (uint32_t)i, "x", 1);
        put_message(&m, 3, &norm);
        refused(&m, HONE_ERR_UNSUPPORTED, "the normalizer \"nmt_nfkc\" is not supported");
        text_clear(&m);
    }
    put_model(&m, usual, N_USUAL, 0, 0);
    put_bytes(&norm, 2, "x", 1);
    put_message(&m, 5, &norm);
    refused(&m, HONE_ERR_UNSUPPORTED, "it has a denormalizer, which is not supported");
    text_finish(&m);
}

static void test_tokenizer_spm__pieces_that_cannot_be_are_refused(void)
{
    static const struct {
        piece_row row; /* behind the usual ones */
        hone_status code;
        const char *message;
    } cases[] = {
        { { "bc", -9, NORMAL }, HONE_ERR_FORMAT, "\"bc\" has two ids, 4 and 10" },
        { { "<s>", 0, CONTROL }, HONE_ERR_FORMAT, "\"<s>\" has two ids, 1 and 10" },
        { { "<unk2>", 0, UNKNOWN }, HONE_ERR_FORMAT, "pieces 0 and 10 are both the unknown one" },
        { { "", 0, NORMAL }, HONE_ERR_FORMAT, "piece 10 is empty or no UTF-8 text" },
        { { "\xff", 0, NORMAL }, HONE_ERR_FORMAT, "piece 10 is empty or no UTF-8 text" },
        { { "x", NAN, NORMAL }, HONE_ERR_FORMAT, "the score of piece 10 is no number" },
        { { "<0xGG>", 0, BYTE }, HONE_ERR_FORMAT, "byte piece 10 \"<0xGG>\" names no byte" },
        { { "x", 0, 5 }, HONE_ERR_UNSUPPORTED, "piece 10 \"x\" is of type 5" },
        { { "x", 0, 1 << 20 }, HONE_ERR_UNSUPPORTED, "piece 10 \"x\" is of type 1048576" },
    };
    static char huge[5000];
    text m = { 0 };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        piece_row rows[N_USUAL + 1];
        memcpy(rows, usual, sizeof usual);
        rows[N_USUAL] = cases[i].row;
        put_model(&m, rows, N_USUAL + 1, 0, 0);
        refused(&m, cases[i].code, cases[i].message);
        text_clear(&m);
    }
    memset(huge, 'x', sizeof huge - 1);
    put_model(&m, (const piece_row[]){ { "<unk>", 0, UNKNOWN }, { huge, 0, NORMAL } }, 2, 0, 0);
    refused(&m, HONE_ERR_LIMIT, "piece 1 has 4999 bytes, at most 4096 are supported");
    text_clear(&m);
    put_model(&m, usual + 1, N_USUAL - 1, 0, 0);
    refused(&m, HONE_ERR_FORMAT, "no piece is the unknown one");
    text_finish(&m);
}

int main(void)
{
    RUN(test_tokenizer_spm__the_highest_score_merges_first);
    RUN(test_tokenizer_spm__flags_are_applied);
    RUN(test_tokenizer_spm__user_defined_pieces_are_taken_whole);
    RUN(test_tokenizer_spm__byte_fallback_spells_what_has_no_piece);
    RUN(test_tokenizer_spm__the_config_adds_tokens_and_names);
    RUN(test_tokenizer_spm__a_file_cut_anywhere_opens_never_or_whole);
    RUN(test_tokenizer_spm__messages_that_lie_are_refused);
    RUN(test_tokenizer_spm__models_of_another_kind_are_refused);
    RUN(test_tokenizer_spm__pieces_that_cannot_be_are_refused);
    return TEST_EXIT();
}
