/*
 * fuzz_model_config.c - a config.json or an adapter_config.json: what is taken has sane sizes,
 * what is refused has a message of one line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz.h"

#include "core/model/adapter.h"
#include "core/model/config.h"

#include <stdlib.h>
#include <string.h>

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void try_model(const json_t *root)
{
    hone_error err = { 0 };
    llama_config c = { 0 };
    if (llama_config_parse(&c, root, "fuzz", &err) != HONE_OK) {
        must(err.message[0] && !strchr(err.message, '\n'));
        return;
    }
    must(llama_param_count(&c) > 0);
    must(c.heads % c.kv_heads == 0 && c.head_dim % 2 == 0 && c.layers > 0);
    must((c.window > 0) == (c.windowed != NULL));
    float *tables = malloc((size_t)c.head_dim * 3 * sizeof *tables);
    must(tables != NULL);
    rope_tables(&c, 3, tables, tables + 3 * c.head_dim / 2);
    for (int64_t i = 0; i < 3 * c.head_dim; i++)
        must(tables[i] == tables[i]);
    free(tables);
    llama_config_finish(&c);
}

static void try_adapter(const json_t *root)
{
    hone_error err = { 0 };
    adapter_config c = { 0 };
    adapter_place place = { 0 };
    if (adapter_config_parse(&c, root, "fuzz", &err) != HONE_OK) {
        must(err.message[0] && !strchr(err.message, '\n'));
        return;
    }
    if (adapter_find(&place, &c, "model.layers.1.self_attn.q_proj", &err) != HONE_OK)
        must(err.message[0] && !strchr(err.message, '\n'));
    else if (place.here)
        must(place.rank > 0 && place.scale == place.scale);
    json_t *again = adapter_config_json(&c, "base");
    must(again != NULL);
    json_decref(again);
    adapter_config_finish(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    hone_error err = { 0 };
    json_t *root = NULL;
    if (json_parse(&root, (const char *)p, n, "fuzz", &err) != HONE_OK)
        return 0;
    try_model(root);
    try_adapter(root);
    json_decref(root);
    return 0;
}
