/*
 * test_llama_tensors.c - the table of weights reproduces published parameter counts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/config.h"
#include "core/model/tensors.h"
#include "test.h"

static void test_tensors__counts_are_the_published_ones(void)
{
    static const struct {
        const char *family;
        int64_t vocab, hidden, ffn, layers, heads, kv_heads, head_dim;
        bool tied;
        int64_t count;
    } models[] = {
        { "llama", 128256, 2048, 8192, 16, 32, 8, 64, true, 1235814400 },     /* Llama-3.2-1B */
        { "llama", 128256, 4096, 14336, 32, 32, 8, 128, false, 8030261248 },  /* Llama-3.1-8B */
        { "llama", 32000, 4096, 11008, 32, 32, 32, 128, false, 6738415616 },  /* Llama-2-7B */
        { "mistral", 32000, 4096, 14336, 32, 32, 8, 128, false, 7241732096 }, /* Mistral-7B-v0.1 */
        { "qwen2", 151936, 896, 4864, 24, 14, 2, 64, true, 494032768 },       /* Qwen2-0.5B */
        { "qwen2", 152064, 3584, 18944, 28, 28, 4, 128, false, 7615616512 },  /* Qwen2-7B */
        { "qwen3", 151936, 1024, 3072, 28, 16, 8, 128, true, 596049920 },     /* Qwen3-0.6B */
        { "qwen3", 151936, 4096, 12288, 36, 32, 8, 128, false, 8190735360 },  /* Qwen3-8B */
        { "llama", 32000, 2048, 5632, 22, 32, 4, 64, false, 1100048384 },     /* TinyLlama-1.1B */
        { "llama", 49152, 576, 1536, 30, 9, 3, 64, true, 134515008 },         /* SmolLM-135M */
    };
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        hone_error err = { 0 };
        llama_config c = { 0 };
        json_t *root = json_pack(
            "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "model_type", models[i].family,
            "vocab_size", (json_int_t)models[i].vocab, "hidden_size", (json_int_t)models[i].hidden,
            "intermediate_size", (json_int_t)models[i].ffn, "num_hidden_layers",
            (json_int_t)models[i].layers, "num_attention_heads", (json_int_t)models[i].heads,
            "num_key_value_heads", (json_int_t)models[i].kv_heads, "head_dim",
            (json_int_t)models[i].head_dim, "tie_word_embeddings", models[i].tied);
        CHECK_OK(llama_config_parse(&c, root, "config.json", &err), err);
        CHECK_INT(llama_param_count(&c), models[i].count);
        llama_config_finish(&c);
        json_decref(root);
    }
}

static void test_tensors__the_table_is_what_forward_counts_on(void)
{
    char name[TENSOR_NAME_SIZE];
    int rows = 0;
    for (const llama_tensor *t = llama_tensors; t->name; t++, rows++) {
        CHECK(strlen(t->name) + 20 < TENSOR_NAME_SIZE);
        CHECK(t->rows != DIM_1 && t->short_name);
        CHECK_INT(strstr(t->name, "%d") != NULL, (t->flags & TENSOR_PER_LAYER) != 0);
        if (t->flags & TENSOR_LINEAR) { /* its bias is the next row, where it can have one */
            CHECK(strstr(t[1].name, ".bias") && t[1].rows == t->rows && t[1].cols == DIM_1);
            CHECK_STR(t[1].short_name, t->short_name);
        }
    }
    CHECK_INT(rows, W_COUNT);
    llama_tensor_name(name, sizeof name, &llama_tensors[W_UP], 31);
    CHECK_STR(name, "model.layers.31.mlp.up_proj.weight");
    llama_tensor_name(name, sizeof name, &llama_tensors[W_NORM], 31);
    CHECK_STR(name, "model.norm.weight");
}

int main(void)
{
    RUN(test_tensors__counts_are_the_published_ones);
    RUN(test_tensors__the_table_is_what_forward_counts_on);
    return TEST_EXIT();
}
