/*
 * test_config.c - config.json in every spelling that is published, and what is refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/config.h"
#include "test.h"

#define SIZES                                                                                 \
    "\"vocab_size\":128,\"hidden_size\":32,\"intermediate_size\":56,\"num_hidden_layers\":4," \
    "\"num_attention_heads\":4"

static hone_status parse(llama_config *c, const char *json, hone_error *err)
{
    json_t *root = NULL;
    *err = (hone_error){ 0 };
    hone_status st = json_parse(&root, json, strlen(json), "config.json", err);
    if (st == HONE_OK)
        st = llama_config_parse(c, root, "config.json", err);
    json_decref(root);
    return st;
}

static void test_config__refuses_by_name(void)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        { "[]", "config.json is not a JSON object" },
        { "{}", "model_type is missing, hone knows llama, mistral, qwen2, qwen3" },
        { "{\"model_type\":\"gemma\"}", "model_type is gemma, hone knows llama, mistral" },
        { "{\"model_type\":\"llama\",\"architectures\":[\"LlamaForSequenceClassification\"]}",
          "architectures is not LlamaForCausalLM" },
        { "{\"model_type\":\"llama\"}", "vocab_size is missing" },
        { "{\"model_type\":\"llama\",\"vocab_size\":\"x\"}", "vocab_size is not a whole number" },
        { "{\"model_type\":\"llama\",\"vocab_size\":0}", "vocab_size is 0, expected 1 to" },
        { "{\"model_type\":\"llama\",\"vocab_size\":1e300}", "vocab_size is not a whole number" },
        { "{\"model_type\":\"llama\"," SIZES ",\"hidden_act\":\"gelu\"}",
          "hidden_act is gelu, only silu is supported" },
        { "{\"model_type\":\"llama\"," SIZES ",\"partial_rotary_factor\":0.5}",
          "partial_rotary_factor is not 1" },
        { "{\"model_type\":\"llama\"," SIZES ",\"rope_interleaved\":true}",
          "rope_interleaved is not 0" },
        { "{\"model_type\":\"llama\"," SIZES ",\"attention_dropout\":0.1}",
          "attention_dropout is not 0" },
        { "{\"model_type\":\"llama\"," SIZES ",\"quantization_config\":{\"bits\":4}}",
          "quantization_config is set" },
        { "{\"model_type\":\"llama\"," SIZES ",\"num_key_value_heads\":3}",
          "num_attention_heads 4 is no multiple of num_key_value_heads 3" },
        { "{\"model_type\":\"llama\"," SIZES ",\"head_dim\":7}",
          "head_dim is 7, expected an even" },
        { "{\"model_type\":\"llama\",\"vocab_size\":8,\"hidden_size\":30,\"intermediate_size\":8,"
          "\"num_hidden_layers\":1,\"num_attention_heads\":4}",
          "hidden_size 30 is no multiple of num_attention_heads 4" },
        { "{\"model_type\":\"llama\"," SIZES ",\"sliding_window\":8}",
          "sliding_window is set, and llama models have none" },
        { "{\"model_type\":\"mistral\"," SIZES
          ",\"num_key_value_heads\":2,\"attention_bias\":true}",
          "attention_bias is set, and mistral models have none" },
        { "{\"model_type\":\"qwen2\"," SIZES ",\"num_key_value_heads\":2,\"mlp_bias\":true}",
          "mlp_bias is set, and qwen2 models have none" },
        { "{\"model_type\":\"qwen2\"," SIZES ",\"num_key_value_heads\":2,"
          "\"layer_types\":[\"full_attention\"]}",
          "layer_types is not a list of 4 entries" },
        { "{\"model_type\":\"qwen2\"," SIZES ",\"num_key_value_heads\":2,\"layer_types\":"
          "[\"full_attention\",\"linear_attention\",\"full_attention\",\"full_attention\"]}",
          "layer 1 is \"linear_attention\"" },
        { "{\"model_type\":\"qwen2\"," SIZES ",\"num_key_value_heads\":2,\"layer_types\":"
          "[\"full_attention\",\"full_attention\",\"full_attention\",\"sliding_attention\"]}",
          "no sliding window is in use" },
        { "{\"model_type\":\"llama\"," SIZES ",\"tie_word_embeddings\":1}",
          "tie_word_embeddings is not true or false" },
        { "{\"model_type\":\"llama\"," SIZES
          ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}}",
          "rope_type is dynamic, hone knows default, linear, llama3, yarn" },
        { "{\"model_type\":\"llama\"," SIZES ",\"rope_scaling\":{\"type\":\"linear\"}}",
          "rope_type linear needs factor" },
        { "{\"model_type\":\"llama\"," SIZES
          ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8}}",
          "rope_type llama3 needs low_freq_factor" },
        { "{\"model_type\":\"llama\"," SIZES
          ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,"
          "\"low_freq_factor\":4,\"high_freq_factor\":1,\"original_max_position_embeddings\":32}}",
          "high_freq_factor 1 is not above low_freq_factor 4" },
        { "{\"model_type\":\"llama\"," SIZES
          ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}}",
          "factor is 0, expected" },
        { "{\"model_type\":\"llama\"," SIZES ",\"rope_scaling\":{\"type\":\"linear\","
          "\"rope_type\":\"yarn\",\"factor\":2}}",
          "rope_type is yarn and type is linear" },
        { "{\"model_type\":\"llama\"," SIZES ",\"rope_scaling\":{\"mrope_section\":[1,2]}}",
          "rope_scaling: mrope_section is not known" },
        { "{\"model_type\":\"llama\"," SIZES ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},"
          "\"rope_parameters\":{\"rope_theta\":3}}",
          "rope_scaling and rope_parameters are both set" },
        { "{\"model_type\":\"llama\"," SIZES
          ",\"rope_parameters\":{\"partial_rotary_factor\":0.5}}",
          "partial_rotary_factor is 0.5, expected 1 to 1" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_error err;
        llama_config c = { .layers = -7 };
        CHECK(parse(&c, cases[i].json, &err) != HONE_OK);
        CHECK_HAS(err.message, cases[i].message);
        CHECK_HAS(err.message, "config.json");
        CHECK_INT(c.layers, -7); /* untouched */
    }
}

static void test_config__old_and_new_spelling_are_one(void)
{
    static const char *const spellings[] = {
        "{\"model_type\":\"llama\"," SIZES ",\"rope_theta\":5e5,\"rope_scaling\":{\"rope_type\":"
        "\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
        "\"original_max_position_embeddings\":32}}",
        "{\"model_type\":\"llama\"," SIZES
        ",\"rope_scaling\":null,\"rope_parameters\":{\"rope_theta\":"
        "500000,\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4,"
        "\"original_max_position_embeddings\":32}}",
    };
    for (size_t i = 0; i < 2; i++) {
        hone_error err;
        llama_config c = { 0 };
        CHECK_OK(parse(&c, spellings[i], &err), err);
        CHECK_INT(c.rope_type, ROPE_LLAMA3);
        CHECK(c.rope_theta == 5e5 && c.rope_factor == 8 && c.rope_low == 1 && c.rope_high == 4);
        CHECK_INT(c.rope_original, 32);
        llama_config_finish(&c);
    }
}

static void test_config__defaults_are_the_families_own(void)
{
    hone_error err;
    llama_config c = { 0 };
    CHECK_OK(parse(&c, "{\"model_type\":\"llama\"," SIZES ",\"torch_dtype\":\"bfloat16\"}", &err),
             err);
    CHECK_INT(c.kv_heads, 4); /* as many as heads */
    CHECK_INT(c.head_dim, 8);
    CHECK_INT(c.max_positions, 2048);
    CHECK(c.rope_theta == 10000 && c.eps == 1e-6 && !c.tied && !c.qkv_bias && !c.qk_norm);
    CHECK_STR(c.torch_dtype, "bfloat16");
    CHECK(c.window == 0 && !c.windowed);
    llama_config_finish(&c);

    CHECK_OK(parse(&c,
                   "{\"model_type\":\"llama\"," SIZES
                   ",\"attention_bias\":true,\"mlp_bias\":true,\"head_dim\":16}",
                   &err),
             err);
    CHECK(c.qkv_bias && c.o_bias && c.mlp_bias);
    CHECK_INT(c.dim[DIM_Q], 64);
    llama_config_finish(&c);

    CHECK_OK(parse(&c,
                   "{\"model_type\":\"qwen3\",\"vocab_size\":8,\"hidden_size\":64,"
                   "\"intermediate_size\":8,\"num_hidden_layers\":1,\"num_attention_heads\":4,"
                   "\"num_key_value_heads\":2}",
                   &err),
             err);
    CHECK_INT(c.head_dim, 128);
    CHECK(c.qk_norm && !c.qkv_bias);
    llama_config_finish(&c);

    CHECK_OK(parse(&c, "{\"model_type\":\"qwen2\"," SIZES ",\"num_key_value_heads\":2}", &err),
             err);
    CHECK(c.qkv_bias && !c.o_bias && !c.qk_norm);
    llama_config_finish(&c);
}

static void test_config__the_window_is_where_the_family_has_it(void)
{
    static const struct {
        const char *more;
        int64_t window;
        const char *where; /* one letter per layer: w or - */
    } cases[] = {
        { "\"model_type\":\"mistral\"", 4096, "wwww" },
        { "\"model_type\":\"mistral\",\"sliding_window\":null", 0, "----" },
        { "\"model_type\":\"mistral\",\"sliding_window\":8", 8, "wwww" },
        { "\"model_type\":\"qwen2\",\"sliding_window\":16", 0, "----" },
        { "\"model_type\":\"qwen2\",\"sliding_window\":16,\"use_sliding_window\":true", 0, "----" },
        { "\"model_type\":\"qwen2\",\"sliding_window\":16,\"use_sliding_window\":true,"
          "\"max_window_layers\":3",
          16, "---w" },
        { "\"model_type\":\"qwen3\",\"use_sliding_window\":true,\"max_window_layers\":0", 4096,
          "wwww" },
        { "\"model_type\":\"qwen2\",\"sliding_window\":16,\"use_sliding_window\":true,"
          "\"layer_types\":[\"sliding_attention\",\"full_attention\",\"sliding_attention\","
          "\"full_attention\"]",
          16, "w-w-" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[512];
        hone_error err;
        llama_config c = { 0 };
        (void)snprintf(json, sizeof json, "{%s,\"num_key_value_heads\":2," SIZES "}",
                       cases[i].more);
        CHECK_OK(parse(&c, json, &err), err);
        CHECK_INT(c.window, cases[i].window);
        for (int l = 0; l < 4; l++)
            CHECK_INT(c.windowed && c.windowed[l], cases[i].where[l] == 'w');
        llama_config_finish(&c);
    }
}

int main(void)
{
    RUN(test_config__refuses_by_name);
    RUN(test_config__old_and_new_spelling_are_one);
    RUN(test_config__defaults_are_the_families_own);
    RUN(test_config__the_window_is_where_the_family_has_it);
    return TEST_EXIT();
}
