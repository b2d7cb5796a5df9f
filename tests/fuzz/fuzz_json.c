/*
 * fuzz_json.c - a config file: bytes to JSON to options and back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz.h"
#include "rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hone_error err = { 0 };
    fuzz_config c;
    options o;
    json_t *root = NULL;
    if (json_parse(&root, (const char *)data, size, "config.json", &err)) {
        if (!err.message[0] || strchr(err.message, '\n') || root)
            abort();
        return 0;
    }
    if (options_init(&o, fuzz_rows, &c, "fuzz", "/base", &err))
        abort();
    if (options_set_object(&o, root, NULL, &err) && (!err.message[0] || strchr(err.message, '\n')))
        abort();
    fuzz_check_options(&o, &c);
    options_finish(&o);
    json_decref(root);
    return 0;
}
