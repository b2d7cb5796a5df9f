/*
 * fuzz_pdf.c - the reader `pdf`: PDF documents.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    return fuzz_reader("a.pdf", p, n);
}
