/*
 * tiny_model.h - a model folder with a tokenizer of 256 bytes and a few special tokens,
 * so that every byte of a rendered text is one token and tests can say what they expect.
 *
 * Byte b has an id of its own, tiny_byte(b); special token i has id 256 + i.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_DATA_TINY_MODEL_H
#define TESTS_UNIT_DATA_TINY_MODEL_H

#include "core/data/data.h"

#include "test.h"
#include <unistd.h>

#define TINY_BOS 256 /* <s>   */
#define TINY_EOS 257 /* </s>  */
#define TINY_PAD 258 /* <pad> */

/* The printable stand-in of GPT-2's byte alphabet. */
static inline void tiny_letter(text *out, int b)
{
    const int printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    uint32_t cp = (uint32_t)b;
    char utf8[4];
    if (!printable) {
        cp = 256;
        for (int i = 0; i < b; i++)
            cp += !((i >= '!' && i <= '~') || (i >= 0xa1 && i <= 0xac) || i >= 0xae);
    }
    const size_t n = utf8_put(cp, utf8);
    if (cp == '"' || cp == '\\')
        text_putc(out, '\\');
    text_add(out, utf8, n);
}

/* specials: beyond <s>, </s>, <pad>; ends with NULL. */
static inline void tiny_json(text *out, bool adds_bos, const char *const *specials)
{
    static const char *const first[] = { "<s>", "</s>", "<pad>" };
    int n = 0;
    text_puts(out, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    for (int i = 0; i < 3 || specials[i - 3]; i++)
        text_printf(out,
                    "%s{\"id\":%d,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,"
                    "\"rstrip\":false,"
                    "\"normalized\":false,\"special\":true}",
                    n++ ? "," : "", 256 + i, i < 3 ? first[i] : specials[i - 3]);
    text_puts(out, "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_"
                   "space\":false,"
                   "\"trim_offsets\":true,\"use_regex\":true},\"post_processor\":");
    text_puts(
        out,
        adds_bos
            ? "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\","
              "\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[{"
              "\"Sequence\":"
              "{\"id\":\"A\",\"type_id\":0}},{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}],"
              "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[256],\"tokens\":[\"<s>\"]}}}"
            : "null");
    text_puts(
        out, ",\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
             "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
             "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
             "\"byte_fallback\":false,\"ignore_merges\":false,\"vocab\":{");
    for (int b = 0; b < 256; b++) {
        text_puts(out, b ? ",\"" : "\"");
        tiny_letter(out, b);
        text_printf(out, "\":%d", b);
    }
    text_puts(out, "},\"merges\":[]}}");
}

/* dir gets tokenizer.json and tokenizer_config.json. */
static inline void tiny_model_write(const char *dir, bool adds_bos, const char *const *specials,
                                    const char *config)
{
    text t = { 0 };
    hone_error err = { 0 };
    char *path;
    tiny_json(&t, adds_bos, specials);
    CHECK_OK(dir_remove(dir, &err), err);
    CHECK_OK(dir_make(dir, &err), err);
    path = path_join(dir, "tokenizer.json");
    CHECK_OK(file_write(path, t.p, t.n, &err), err);
    free(path);
    path = path_join(dir, "tokenizer_config.json");
    CHECK_OK(file_write(path, config, strlen(config), &err), err);
    free(path);
    text_finish(&t);
}

#define TINY_CONFIG "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"pad_token\": \"<pad>\"}"

/* A fresh folder of this process below the build folder; the same at every call. */
static inline char *tiny_dir(void)
{
    static char dir[512];
    const char *build = getenv("HONE_BUILD_DIR");
    (void)snprintf(dir, sizeof dir, "%s/tiny_model.%d", build ? build : "/tmp", (int)getpid());
    return dir;
}

static inline tokenizer *tiny_tokenizer(bool adds_bos, const char *const *specials,
                                        const char *config)
{
    tokenizer *t = NULL;
    hone_error err = { 0 };
    tiny_model_write(tiny_dir(), adds_bos, specials, config);
    CHECK_OK(tokenizer_open(&t, tiny_dir(), &err), err);
    CHECK_OK(dir_remove(tiny_dir(), &err), err);
    if (!t) { /* nothing else can be said */
        fprintf(stderr, "%s\n", err.message);
        exit(EXIT_FAILURE);
    }
    return t;
}

#endif /* TESTS_UNIT_DATA_TINY_MODEL_H */
