/*
 * fuzz_options.c - a command line: the first byte picks the option, the rest is its value.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz.h"
#include "rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t n = sizeof fuzz_rows / sizeof fuzz_rows[0] - 1;
    hone_error err = { 0 };
    fuzz_config c;
    options o;
    const char *name;
    char *value;
    if (!size)
        return 0;
    value = mem_strndup((const char *)data + 1, size - 1);
    if (!value || options_init(&o, fuzz_rows, &c, "fuzz", "/base", &err))
        abort();
    name =
        data[0] % (n + 1) < n ? fuzz_rows[data[0] % (n + 1)].name : value; /* or an unknown one */
    if (options_set(&o, name, value, &err) && !err.message[0])
        abort();
    fuzz_check_options(&o, &c);
    options_finish(&o);
    free(value);
    return 0;
}
