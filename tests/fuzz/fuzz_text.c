/*
 * fuzz_text.c - the reader `text`: plain text and titles, in any encoding.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    return fuzz_reader("a.rst", p, n);
}
