/*
 * test_adapter.c - adapter_config.json as PEFT writes it, and where an adapter sits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/adapter.h"
#include "test.h"

static hone_status parse(adapter_config *c, const char *json, hone_error *err)
{
    json_t *root = NULL;
    *err = (hone_error){ 0 };
    hone_status st = json_parse(&root, json, strlen(json), "adapter_config.json", err);
    if (st == HONE_OK)
        st = adapter_config_parse(c, root, "adapter_config.json", err);
    json_decref(root);
    return st;
}

#define HEAD "{\"peft_type\":\"LORA\",\"target_modules\":[\"q_proj\"]"

static void test_adapter__refuses_by_name(void)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        { "[]", "adapter_config.json is not a JSON object" },
        { "{}", "peft_type is missing" },
        { "{\"peft_type\":\"LOHA\"}", "peft_type is LOHA, only LORA is supported" },
        { "{\"peft_type\":\"LORA\"}", "target_modules is neither a string nor a list" },
        { "{\"peft_type\":\"LORA\",\"target_modules\":[1]}", "target_modules: entry 0" },
        { HEAD ",\"use_dora\":true}", "use_dora is set" },
        { HEAD ",\"bias\":\"lora_only\"}", "bias is lora_only, only none" },
        { HEAD ",\"modules_to_save\":[\"lm_head\"]}", "modules_to_save is set" },
        { HEAD ",\"fan_in_fan_out\":true}", "fan_in_fan_out is set" },
        { HEAD ",\"layers_to_transform\":[0,1]}", "layers_to_transform is set" },
        { HEAD ",\"exclude_modules\":\"x\"}", "exclude_modules is set" },
        { HEAD ",\"lora_bias\":true}", "lora_bias is set" },
        { HEAD ",\"init_lora_weights\":\"pissa\"}", "init_lora_weights is pissa" },
        { HEAD ",\"loftq_config\":{\"loftq_bits\":4}}", "loftq_config is set" },
        { HEAD ",\"task_type\":\"SEQ_CLS\"}", "task_type is SEQ_CLS, only CAUSAL_LM" },
        { HEAD ",\"of_the_future\":1}", "of_the_future is set" },
        { HEAD ",\"r\":0}", "r is 0, expected 1 to" },
        { HEAD ",\"r\":1.5}", "r is not a whole number" },
        { HEAD ",\"lora_dropout\":1}", "lora_dropout is 1, expected 0 to" },
        { HEAD ",\"rank_pattern\":{\"q\":1.5}}", "rank_pattern: q is not a number of 1" },
        { HEAD ",\"alpha_pattern\":{\"q\":\"x\"}}", "alpha_pattern: q is not a number" },
        { HEAD ",\"rank_pattern\":7}", "rank_pattern is not an object" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_error err;
        adapter_config c = { .rank = -7 };
        CHECK(parse(&c, cases[i].json, &err) != HONE_OK);
        CHECK_HAS(err.message, cases[i].message);
        CHECK_INT(c.rank, -7);
    }
}

/* targets, patterns -> modules; PEFT's check_target_module_exists and get_pattern_key. */
static void test_adapter__placement_is_pefts(void)
{
    static const struct {
        const char *more, *module;
        bool here;
        int64_t rank;
        double alpha;
    } cases[] = {
        { "\"target_modules\":[\"q_proj\"]", "model.layers.0.self_attn.q_proj", true, 4, 8 },
        { "\"target_modules\":[\"q_proj\"]", "model.layers.0.self_attn.xq_proj", false, 0, 0 },
        { "\"target_modules\":[\"proj\"]", "model.layers.0.self_attn.q_proj", false, 0, 0 },
        { "\"target_modules\":[\"self_attn.q_proj\"]", "model.layers.7.self_attn.q_proj", true, 4,
          8 },
        { "\"target_modules\":[\"layers.1.mlp.up_proj\"]", "model.layers.11.mlp.up_proj", false, 0,
          0 },
        { "\"target_modules\":[\"model.layers.1.mlp.up_proj\"]", "model.layers.1.mlp.up_proj", true,
          4, 8 },
        { "\"target_modules\":\"all-linear\"", "model.layers.1.mlp.up_proj", true, 4, 8 },
        { "\"target_modules\":\"all-linear\"", "lm_head", false, 0, 0 },
        { "\"target_modules\":\".*\\\\.(0|2)\\\\..*_proj\"", "model.layers.2.mlp.up_proj", true, 4,
          8 },
        { "\"target_modules\":\".*\\\\.(0|2)\\\\..*_proj\"", "model.layers.1.mlp.up_proj", false, 0,
          0 },
        { "\"target_modules\":\".*up\"", "model.layers.1.mlp.up_proj", false, 0,
          0 }, /* whole names */
        { "\"target_modules\":[\"q_proj\"],\"rank_pattern\":{\"q_proj\":2}",
          "model.layers.1.self_attn.q_proj", true, 2, 8 },
        { "\"target_modules\":[\"q_proj\"],\"rank_pattern\":{\"_proj\":2}",
          "model.layers.1.self_attn.q_proj", true, 4, 8 },
        { "\"target_modules\":[\"q_proj\"],\"rank_pattern\":{\"layers.1.self_attn.q_proj\":2}",
          "model.layers.11.self_attn.q_proj", true, 4, 8 },
        { "\"target_modules\":[\"q_proj\"],\"rank_pattern\":{\".*_proj\":2,\"q_proj\":6}",
          "model.layers.1.self_attn.q_proj", true, 2, 8 }, /* the first that matches */
        { "\"target_modules\":[\"q_proj\"],\"rank_pattern\":{\"^model.layers.0.self_attn.q_proj\":"
          "2}",
          "model.layers.0.self_attn.q_proj", true, 2, 8 },
        { "\"target_modules\":[\"q_proj\"],\"rank_pattern\":{\"^layers.0.self_attn.q_proj\":2}",
          "model.layers.0.self_attn.q_proj", true, 4, 8 },
        { "\"target_modules\":[\"q_proj\"],\"alpha_pattern\":{\"q_proj\":32.5}",
          "model.layers.0.self_attn.q_proj", true, 4, 32.5 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int rslora = 0; rslora < 2; rslora++) {
            char json[512];
            hone_error err;
            adapter_config c = { 0 };
            adapter_place place = { 0 };
            (void)snprintf(json, sizeof json,
                           "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"use_rslora\":%s,%s}",
                           rslora ? "true" : "false", cases[i].more);
            CHECK_OK(parse(&c, json, &err), err);
            CHECK_OK(adapter_find(&place, &c, cases[i].module, &err), err);
            CHECK_INT(place.here, cases[i].here);
            if (place.here) {
                const double root = rslora ? sqrt((double)cases[i].rank) : (double)cases[i].rank;
                CHECK_INT(place.rank, cases[i].rank);
                CHECK_NEAR(place.scale, cases[i].alpha / root, 1e-6);
            }
            adapter_config_finish(&c);
        }
}

static void test_adapter__bad_expressions_are_errors(void)
{
    hone_error err;
    adapter_config c = { 0 };
    adapter_place place = { 0 };
    CHECK_OK(parse(&c, "{\"peft_type\":\"LORA\",\"target_modules\":\"(\"}", &err), err);
    CHECK(adapter_find(&place, &c, "model.layers.0.mlp.up_proj", &err) == HONE_ERR_FORMAT);
    CHECK_HAS(err.message, "\"(\" is not a regular expression");
    adapter_config_finish(&c);
    CHECK_OK(
        parse(&c, "{\"peft_type\":\"LORA\",\"target_modules\":\"(a*)*b(.*)*(.*)*(.*)*x\"}", &err),
        err);
    const hone_status st = adapter_find(
        &place, &c, "aaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", &err);
    CHECK(st == HONE_OK || st == HONE_ERR_LIMIT); /* it came back */
    adapter_config_finish(&c);
}

static void test_adapter__options_become_a_config_and_back(void)
{
    static const char *const targets[] = { "all-linear" };
    static const char *const ranks[] = { "v_proj=6", "model.layers.0.mlp.up_proj=2" };
    static const char *const alphas[] = { "k_proj=1.5" };
    hone_error err = { 0 };
    adapter_config c = { 0 }, d = { 0 };
    adapter_options o = { .rank = 4,
                          .alpha = 8,
                          .dropout = 0.1,
                          .rslora = true,
                          .targets = { targets, 1 },
                          .rank_pattern = { ranks, 2 },
                          .alpha_pattern = { alphas, 1 } };
    CHECK_OK(adapter_config_from_options(&c, &o, &err), err);
    CHECK_INT(c.n_targets, 7);
    json_t *root = adapter_config_json(&c, "/models/base");
    CHECK_STR(json_string_value(json_object_get(root, "base_model_name_or_path")), "/models/base");
    CHECK_STR(json_string_value(json_object_get(root, "task_type")), "CAUSAL_LM");
    CHECK(json_is_integer(json_object_get(root, "lora_alpha")));
    CHECK_OK(adapter_config_parse(&d, root, "x", &err), err);
    CHECK_INT(d.rank, 4);
    CHECK(d.alpha == 8 && d.dropout == 0.1 && d.rslora);
    CHECK_INT(d.n_targets, 7);
    CHECK_INT(d.n_ranks, 2);
    CHECK_STR(d.ranks[0].key, "v_proj");
    CHECK(d.ranks[0].value == 6 && d.alphas[0].value == 1.5);
    json_decref(root);
    adapter_config_finish(&c);
    adapter_config_finish(&d);

    static const char *const bad[] = { "v_proj",   "=3",         "v_proj=",
                                       "v_proj=0", "v_proj=1.5", "v_proj=x" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        o.rank_pattern = (hone_list){ &bad[i], 1 };
        CHECK(adapter_config_from_options(&c, &o, &err) == HONE_ERR_ARG);
        CHECK_HAS(err.message, "adapter.rank_pattern: \"");
    }
}

int main(void)
{
    RUN(test_adapter__refuses_by_name);
    RUN(test_adapter__placement_is_pefts);
    RUN(test_adapter__bad_expressions_are_errors);
    RUN(test_adapter__options_become_a_config_and_back);
    return TEST_EXIT();
}
