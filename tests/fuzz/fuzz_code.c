/*
 * fuzz_code.c - the reader `code`: the first byte picks a language, the rest is its file.
 *
 * Without grammars (HONE_GRAMMARS names their folder) files are kept as plain text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const char *const names[] = { "a.c",  "a.h",  "a.cpp", "a.java", "a.py",     "a.js",
                                         "a.ts", "a.go", "a.rs",  "a.cs",   "Makefile", "a.tsx" };
    if (!n)
        return 0;
    return fuzz_reader(names[p[0] % (sizeof names / sizeof *names)], p + 1, n - 1);
}
