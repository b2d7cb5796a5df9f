/*
 * fuzz_recipes.c - blocks of any kind and text through raw and headings: their promises hold.
 * The first byte picks budget and unit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz.h"

#include "unit/prepare/recipe_rules.h"

#include <stdlib.h>

const hone_plugin *raw_entry(void);
const hone_plugin *headings_entry(void);

static void try_recipe(const test_host *host, const hone_plugin *plugin, const char *json,
                       const page *g, const rules *r)
{
    const hone_component *desc = plugin->components[0];
    const char *name = desc->name;
    instance x;
    samples s = { 0 };
    hone_error err = { 0 };
    if (instance_create(&x, &host->host, desc, json, &err) != HONE_OK ||
        samples_make(&s, &x, g, "a/name.md", &err) != HONE_OK) {
        fprintf(stderr, "%s: %s\n", name, err.message);
        abort();
    }
    const char *bad = strcmp(name, "raw") == 0 ? rules_raw(g, &s, r) : rules_headings(g, &s, r);
    if (bad) {
        fprintf(stderr, "%s %s: %s\n", name, json, bad);
        abort();
    }
    samples_finish(&s);
    instance_close(&x);
    if (host->out)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    test_host host;
    page g;
    char json[80];
    const int64_t budget = n ? 16 + p[0] / 2 * 3 : 16;
    const bool tokens = n && p[0] % 2;
    rules r = { budget, 0.2, tokens ? test_count : rules_characters, false };
    test_host_init(&host);
    host.has_tokenizer = true;
    rules_document(&g, n ? p + 1 : p, n ? n - 1 : 0);
    (void)snprintf(json, sizeof json, "{\"%s\":%lld,\"overlap\":0.2}",
                   tokens ? "tokens" : "characters", (long long)budget);
    try_recipe(&host, raw_entry(), json, &g, &r);
    (void)snprintf(json, sizeof json, "{\"%s\":%lld}", tokens ? "tokens" : "characters",
                   (long long)budget);
    try_recipe(&host, headings_entry(), json, &g, &r);
    page_finish(&g);
    return 0;
}
