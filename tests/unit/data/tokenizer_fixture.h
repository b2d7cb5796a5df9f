/*
 * tokenizer_fixture.h - tokenizers small enough to follow by hand, and what they make of a text
 * as strings that a test can compare.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_DATA_TOKENIZER_FIXTURE_H
#define TESTS_UNIT_DATA_TOKENIZER_FIXTURE_H

#include "core/data/data.h"

#include "test.h"

#define BYTE_LEVEL \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}"
#define MAPPED                                                                                \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":" \
    "false}"
#define PREPEND                                                                                    \
    "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\xe2\x96\x81\"}," \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"}]}"
#define FIRST                                                                                \
    "{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\",\"prepend_scheme\":\"first\"," \
    "\"split\":false}"
#define ALWAYS                                                                                \
    "{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\",\"prepend_scheme\":\"always\"," \
    "\"split\":true}"
#define LLAMA_DECODER                                                                     \
    "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":" \
    "\"\xe2\x96\x81\"},"                                                                  \
    "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"                 \
    "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"
#define ADDED(id, content, flags) \
    "{\"id\":" #id ",\"content\":\"" content "\",\"single_word\":" flags "}"
#define FLAGS(single, left, right, normal, special)                               \
#single ",\"lstrip\":" #left ",\"rstrip\":" #right ",\"normalized\":" #normal \
            ",\"special\":" #special

typedef struct recipe { /* members of a tokenizer.json; NULL: null, or none */
    const char *vocab, *merges, *model, *added, *normalizer, *pre, *post, *decoder;
} recipe;

static inline void write_json(text *out, const recipe *r)
{
    text_printf(out,
                "{\"version\":\"1.0\",\"added_tokens\":[%s],\"normalizer\":%s,\"pre_tokenizer\":%s,"
                "\"post_processor\":%s,\"decoder\":%s,\"model\":{\"type\":\"BPE\",%s\"vocab\":{%s},"
                "\"merges\":[%s]}}",
                r->added ? r->added : "", r->normalizer ? r->normalizer : "null",
                r->pre ? r->pre : "null", r->post ? r->post : "null",
                r->decoder ? r->decoder : "null", r->model ? r->model : "", r->vocab,
                r->merges ? r->merges : "");
}

static inline tokenizer *make(const recipe *r)
{
    text json = { 0 };
    tokenizer *t = NULL;
    hone_error err = { 0 };
    write_json(&json, r);
    CHECK_OK(tokenizer_from_json(&t, json.p, json.n, &err), err);
    text_finish(&json);
    return t;
}

/* Pieces of the text's tokens, with | between. */
static inline const char *pieces(const tokenizer *t, const char *p, size_t n, uint32_t flags)
{
    static char buf[512];
    tokens out = { 0 };
    hone_error err = { 0 };
    size_t i, k = 0;
    *buf = 0;
    if (!t)
        return "no tokenizer";
    CHECK_OK(tokenizer_encode(t, p, n, flags, &out, NULL, &err), err);
    for (i = 0; i < out.n; i++)
        k += (size_t)snprintf(buf + k, sizeof buf - k, "%s%s", i ? "|" : "",
                              tokenizer_piece(t, out.p[i].id));
    tokens_finish(&out);
    return buf;
}

static inline const char *of(const tokenizer *t, const char *s)
{
    return pieces(t, s, strlen(s), ENCODE_SPECIAL);
}

/* Places of the text's tokens, "0-2 2-3". */
static inline const char *places(const tokenizer *t, const char *p, size_t n)
{
    static char buf[512];
    tokens out = { 0 };
    hone_error err = { 0 };
    size_t i, k = 0;
    *buf = 0;
    CHECK_OK(tokenizer_encode(t, p, n, ENCODE_SPECIAL, &out, NULL, &err), err);
    for (i = 0; i < out.n; i++)
        k += (size_t)snprintf(buf + k, sizeof buf - k, "%s%u-%u", i ? " " : "", out.p[i].start,
                              out.p[i].end);
    tokens_finish(&out);
    return buf;
}

static inline const char *decoded(const tokenizer *t, const int32_t *ids, size_t n, bool skip)
{
    static char buf[256];
    text out = { 0 };
    hone_error err = { 0 };
    CHECK_OK(tokenizer_decode(t, ids, n, skip, &out, &err), err);
    (void)snprintf(buf, sizeof buf, "%s", out.p ? out.p : "");
    text_finish(&out);
    return buf;
}

#endif /* TESTS_UNIT_DATA_TOKENIZER_FIXTURE_H */
