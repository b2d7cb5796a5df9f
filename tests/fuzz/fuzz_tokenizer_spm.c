/*
 * fuzz_tokenizer_spm.c - a tokenizer.model; whatever opens must encode and decode.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz.h"

#include "fuzz_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    tokenizer *t;
    hone_error err = { 0 };
    if (tokenizer_from_spm(&t, (const char *)p, n, &err)) {
        fuzz_message(&err);
        return 0;
    }
    fuzz_tokenizer(t, (const char *)p, n < 300 ? n : 300);
    tokenizer_close(t);
    return 0;
}
