/*
 * fuzz_reply.c - what a service answers, and what a model says in it: parsed, explained, searched for
 * questions and quotes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/generate/parts.h"
#include "fuzz.h"
#include "plugins/recipes/pairs.h"
#include "unit/prepare/harness.h"

#include <stdlib.h>

static void try_pairs(hone_str answer)
{
    test_host host;
    test_host_init(&host);
    questions q = { .host = &host.host, .tag = "fuzz" };
    uint64_t at = 0;
    hone_str question, quote;
    bool whole;
    while (pairs_next(answer, &at, &question, &quote, &whole)) {
        uint64_t start = 0, end = 0;
        bool known = false;
        if (question.p < answer.p || question.p + question.n > answer.p + answer.n)
            abort();
        if (quote_find(answer, quote, &start, &end) && (start > end || end > answer.n))
            abort();
        if (!questions_add(&q, question, 0.8, &known))
            abort();
    }
    questions_finish(&q);
    if (host.out)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const char secret[] = "sk-secret";
    request r = { 0 };
    char line[64];
    hone_error err = { 0 };
    const hone_status st = reply_parse(&r, (const char *)p, n, &err);
    if (!st && !utf8_valid(r.answer.p ? r.answer.p : "", r.answer.n))
        abort();
    if (st && !err.message[0])
        abort();
    reply_reason((const char *)p, n, secret, line, sizeof line);
    if (!utf8_valid(line, strlen(line)) || strchr(line, '\n') || strstr(line, secret))
        abort();
    if (!st)
        try_pairs((hone_str){ r.answer.p ? r.answer.p : "", r.answer.n });
    if (utf8_valid((const char *)p, n))
        try_pairs((hone_str){ (const char *)p, n });
    text_finish(&r.answer);
    return 0;
}
