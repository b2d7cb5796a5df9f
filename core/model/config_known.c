/*
 * config_known.c - shapes of well-known models, to plan with when their folder is not here.
 *
 * Numbers only, from the models' published config.json; one row is one model, and what a row
 * does not say is the family's default.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "core/model/config.h"

typedef struct known {
    const char *name, *family;
    int64_t vocab, channels, feed_forward, layers, heads, kv_heads, positions;
    bool tied;
} known;

/* clang-format off */
static const known rows[] = {
    { "llama-2-7b",        "llama",    32000,  4096, 11008, 32, 32, 32,   4096, false },
    { "llama-2-13b",       "llama",    32000,  5120, 13824, 40, 40, 40,   4096, false },
    { "llama-2-70b",       "llama",    32000,  8192, 28672, 80, 64,  8,   4096, false },
    { "code-llama-7b",     "llama",    32016,  4096, 11008, 32, 32, 32,  16384, false },
    { "code-llama-13b",    "llama",    32016,  5120, 13824, 40, 40, 40,  16384, false },
    { "code-llama-34b",    "llama",    32000,  8192, 22016, 48, 64,  8,  16384, false },
    { "llama-3-8b",        "llama",   128256,  4096, 14336, 32, 32,  8,   8192, false },
    { "llama-3-70b",       "llama",   128256,  8192, 28672, 80, 64,  8,   8192, false },
    { "llama-3.2-1b",      "llama",   128256,  2048,  8192, 16, 32,  8, 131072, true  },
    { "tinyllama-1.1b",    "llama",    32000,  2048,  5632, 22, 32,  4,   2048, false },
    { "mistral-7b",        "mistral",  32000,  4096, 14336, 32, 32,  8,  32768, false },
    { "qwen2.5-0.5b",      "qwen2",   151936,   896,  4864, 24, 14,  2,  32768, true  },
    { "qwen2.5-7b",        "qwen2",   152064,  3584, 18944, 28, 28,  4, 131072, false },
};
/* clang-format on */

hone_status llama_config_known(llama_config *out, const char *name, hone_error *err)
{
    text names = { 0 };
    hone_status st = HONE_OK;
    json_t *root;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const known *k = &rows[i];
        if (strcmp(k->name, name) != 0) {
            text_printf(&names, "%s%s", i ? ", " : "", k->name);
            continue;
        }
        text_finish(&names);
        root = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:s}", "model_type",
                         k->family, "vocab_size", (json_int_t)k->vocab, "hidden_size",
                         (json_int_t)k->channels, "intermediate_size", (json_int_t)k->feed_forward,
                         "num_hidden_layers", (json_int_t)k->layers, "num_attention_heads",
                         (json_int_t)k->heads, "num_key_value_heads", (json_int_t)k->kv_heads,
                         "max_position_embeddings", (json_int_t)k->positions, "tie_word_embeddings",
                         k->tied, "torch_dtype", "bfloat16");
        st = root ? llama_config_parse(out, root, name, err)
                  : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", name);
        json_decref(root);
        return st;
    }
    st = text_status(&names, err);
    if (st == HONE_OK)
        st = hone_fail(err, HONE_ERR_NOTFOUND,
                       "no folder %.80s, and no built-in shape of that name; there are %s", name,
                       names.p);
    text_finish(&names);
    return st;
}
