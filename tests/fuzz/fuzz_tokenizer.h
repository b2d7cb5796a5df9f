/*
 * fuzz_tokenizer.h - what the tokenizer targets ask of a tokenizer that opened.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_FUZZ_TOKENIZER_H
#define TESTS_FUZZ_TOKENIZER_H

#include "core/data/data.h"

#include <stdlib.h>

/* A failure has a message of one line. */
static void fuzz_message(const hone_error *err)
{
    const char *c;
    if (err->code == HONE_OK || !*err->message)
        abort();
    for (c = err->message; *c; c++)
        if (*c == '\n')
            abort();
}

static void fuzz_stream(const tokenizer *t, const int32_t *ids, size_t n, const text *whole)
{
    token_stream s = { 0 };
    text out = { 0 };
    hone_error err = { 0 };
    size_t i;
    for (i = 0; i < n; i++)
        if (token_stream_push(t, &s, ids[i], false, &out, &err))
            goto out;
    if (token_stream_end(t, &s, false, &out, &err))
        goto out;
    if (out.n != whole->n || (out.n && memcmp(out.p, whole->p, out.n) != 0))
        abort();
out:
    token_stream_finish(&s);
    text_finish(&out);
}

static void fuzz_text(const tokenizer *t, const char *p, size_t n, uint32_t flags)
{
    tokens out = { 0 };
    text whole = { 0 };
    hone_error err = { 0 };
    int32_t *ids = NULL;
    size_t i;
    if (tokenizer_encode(t, p, n, flags, &out, NULL, &err)) {
        fuzz_message(&err);
        goto out;
    }
    ids = malloc((out.n + 1) * sizeof *ids);
    if (!ids)
        goto out;
    for (i = 0; i < out.n; i++) {
        ids[i] = out.p[i].id;
        if (ids[i] < 0 || ids[i] >= tokenizer_size(t) || !tokenizer_piece(t, ids[i]) ||
            out.p[i].start > out.p[i].end || out.p[i].end > n)
            abort();
    }
    if (!tokenizer_decode(t, ids, out.n, false, &whole, &err))
        fuzz_stream(t, ids, out.n, &whole);
out:
    free(ids);
    text_finish(&whole);
    tokens_finish(&out);
}

static void fuzz_tokenizer(const tokenizer *t, const char *p, size_t n)
{
    static const char greeting[] =
        " Hello, w\xc3\xb6rld's 12345 \xe2\x96\x81 e\xcc\x81\xf0\x9f\x99\x82\xff <s>\r\n\t x ";
    fuzz_text(t, greeting, sizeof greeting - 1, ENCODE_SPECIAL | ENCODE_ADD);
    fuzz_text(t, p, n, ENCODE_SPECIAL);
    fuzz_text(t, p, n, 0);
}

#endif /* TESTS_FUZZ_TOKENIZER_H */
