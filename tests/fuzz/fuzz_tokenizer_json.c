/*
 * fuzz_tokenizer_json.c - a tokenizer.json, and a text behind a NUL byte; whatever
 * opens must encode, decode and stream without harm, and its ids must be its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz.h"

#include "fuzz_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    const uint8_t *nul = n ? memchr(p, 0, n) : NULL;
    const size_t n_json = nul ? (size_t)(nul - p) : n;
    tokenizer *t;
    hone_error err = { 0 };
    if (tokenizer_from_json(&t, (const char *)p, n_json, &err)) {
        fuzz_message(&err);
        return 0;
    }
    fuzz_tokenizer(t, nul ? (const char *)nul + 1 : "", nul ? n - n_json - 1 : 0);
    tokenizer_close(t);
    return 0;
}
