/*
 * test_tokenizer_files.c - files that lie, and the folder with its side files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tokenizer_fixture.h"

#include <unistd.h>

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
        { COMPONENT("normalizer", "{\"type\":\"NFC\",\"strict\":true}"), HONE_ERR_UNSUPPORTED,
          "NFC has a key \"strict\", which is not supported" },
        { COMPONENT("pre_tokenizer", "{\"type\":\"Sequence\",\"pretokenizers\":[],\"pre\":[]}"),
          HONE_ERR_UNSUPPORTED, "Sequence has a key \"pre\"" },
        { COMPONENT("decoder", "{\"type\":\"Fuse\",\"\":1}"), HONE_ERR_UNSUPPORTED,
          "Fuse has a key \"\"" },
        { COMPONENT("decoder", "{\"type\":\"Strip\",\"content stop\":1}"), HONE_ERR_UNSUPPORTED,
          "Strip has a key \"content stop\"" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"byte\":true}}",
          HONE_ERR_UNSUPPORTED, "model has a key \"byte\", which is not supported" },
        { "{\"language\":\"en\",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
          HONE_ERR_UNSUPPORTED, "the file has a key \"language\"" },
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

int main(void)
{
    RUN(test_tokenizer__files_that_lie_are_refused_in_one_line);
    RUN(test_tokenizer__a_folder_names_its_special_tokens);
    return TEST_EXIT();
}
