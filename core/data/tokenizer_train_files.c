/*
 * tokenizer_train_files.c - a trained vocabulary to tokenizer.json and tokenizer_config.json, as
 * Hugging Face tokenizers would write it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_train.h"

#include <stdlib.h>

static json_t *piece_json(const trained *t, int64_t id)
{
    text s = { 0 };
    json_t *out;
    size_t i;
    if (id < (int64_t)t->n_special) {
        text_add(&s, t->pieces[id].p, t->pieces[id].n);
    } else {
        for (i = 0; i < t->pieces[id].n; i++) {
            char buf[4];
            text_add(&s, buf, utf8_put(byte_to_char((uint8_t)t->pieces[id].p[i]), buf));
        }
    }
    out = s.failed ? NULL : json_stringn(s.p ? s.p : "", s.n);
    text_finish(&s);
    return out;
}

static json_t *byte_level_json(void)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", 1);
}

static json_t *model_json(const trained *t)
{
    json_t *vocab = json_object(), *merges = json_array();
    int64_t id;
    size_t i;
    bool ok = vocab && merges;
    for (id = 0; ok && id < t->n_pieces; id++) {
        json_t *name = piece_json(t, id);
        ok = name && json_object_set_new(vocab, json_string_value(name), json_integer(id)) == 0;
        json_decref(name);
    }
    for (i = 0; ok && i < t->n_made; i++) {
        json_t *left = piece_json(t, t->made[i].left), *right = piece_json(t, t->made[i].right);
        ok = left && right &&
             json_array_append_new(merges, json_sprintf("%s %s", json_string_value(left),
                                                        json_string_value(right))) == 0;
        json_decref(left);
        json_decref(right);
    }
    if (!ok) {
        json_decref(vocab);
        json_decref(merges);
        return NULL;
    }
    return json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                     "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
                     "byte_fallback", 0, "ignore_merges", 0, "vocab", vocab, "merges", merges);
}

static json_t *added_json(const trained *t, bool by_id)
{
    json_t *out = by_id ? json_object() : json_array();
    size_t i;
    for (i = 0; out && i < t->n_special; i++) {
        json_t *a =
            json_pack("{s:s, s:b, s:b, s:b, s:b, s:b}", "content", t->pieces[i].p, "single_word", 0,
                      "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1);
        char key[24];
        (void)snprintf(key, sizeof key, "%zu", i);
        if (!by_id && a)
            (void)json_object_set_new(a, "id", json_integer((json_int_t)i));
        if (!a || (by_id ? json_object_set_new(out, key, a) : json_array_append_new(out, a))) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static json_t *tokenizer_json(const trained *t)
{
    return json_pack("{s:s, s:n, s:n, s:o, s:n, s:o, s:n, s:o, s:o}", "version", "1.0",
                     "truncation", "padding", "added_tokens", added_json(t, false), "normalizer",
                     "pre_tokenizer", byte_level_json(), "post_processor", "decoder",
                     byte_level_json(), "model", model_json(t));
}

/* What a special token of this name is for. */
static const struct {
    const char *name, *key;
} uses[] = {
    { "<s>", "bos_token" },
    { "<|bos|>", "bos_token" },
    { "<|begin_of_text|>", "bos_token" },
    { "</s>", "eos_token" },
    { "<|eos|>", "eos_token" },
    { "<|end_of_text|>", "eos_token" },
    { "<|endoftext|>", "eos_token" },
    { "<pad>", "pad_token" },
    { "<|pad|>", "pad_token" },
    { "<unk>", "unk_token" },
};

static json_t *config_json(const trained *t)
{
    json_t *out =
        json_pack("{s:s, s:b, s:o}", "tokenizer_class", "PreTrainedTokenizerFast",
                  "clean_up_tokenization_spaces", 0, "added_tokens_decoder", added_json(t, true));
    size_t i, k;
    for (i = 0; out && i < t->n_special; i++)
        for (k = 0; k < sizeof uses / sizeof uses[0]; k++)
            if (strcmp(uses[k].name, t->pieces[i].p) == 0 && !json_object_get(out, uses[k].key))
                (void)json_object_set_new(out, uses[k].key, json_string(uses[k].name));
    return out;
}

static hone_status write_json(json_t *root, const char *dir, const char *name, hone_error *err)
{
    char *path = path_join(dir, name);
    hone_status status = path && root
                             ? json_write(root, path, err)
                             : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %s", dir, name);
    json_decref(root);
    free(path);
    return status;
}

hone_status trained_write(const trained *t, const char *dir, hone_error *err)
{
    const hone_status status = write_json(tokenizer_json(t), dir, "tokenizer.json", err);
    return status ? status : write_json(config_json(t), dir, "tokenizer_config.json", err);
}
