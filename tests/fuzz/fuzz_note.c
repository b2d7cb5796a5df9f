/*
 * fuzz_note.c - the ELF note of a plugin.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/plugin/plugin.h"
#include "fuzz.h"

#include <stdlib.h>

static void check_string(const char *field, size_t size)
{
    if (!memchr(field, '\0', size))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hone_error err = { 0 };
    plugin_note note = { 0 };
    size_t i;
    if (plugin_note_parse(&note, data, size, "x.so", &err)) {
        if (!err.message[0] || note.rows)
            abort();
        return 0;
    }
    if (!note.n_rows || note.abi_major != HONE_ABI_MAJOR || note.abi_minor != HONE_ABI_MINOR)
        abort();
    check_string(note.id, sizeof note.id);
    check_string(note.version, sizeof note.version);
    for (i = 0; i < note.n_rows; i++) {
        check_string(note.rows[i].kind, sizeof note.rows[i].kind);
        check_string(note.rows[i].component, sizeof note.rows[i].component);
        check_string(note.rows[i].extensions, sizeof note.rows[i].extensions);
    }
    plugin_note_finish(&note);
    return 0;
}
