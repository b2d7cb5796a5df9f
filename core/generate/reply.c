/*
 * reply.c - chat completions: the request's JSON, and what a service answers.
 *
 * The answer is bytes from outside: anything but a message with text is refused with what was
 * expected.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/generate/parts.h"

hone_status reply_request(text *body, const request *r, const char *named, const sampling *s,
                          hone_error *err)
{
    json_t *messages = json_array(), *o = NULL;
    char *dump = NULL;
    hone_status st = HONE_OK;
    if (r->n_system)
        (void)json_array_append_new(messages, json_pack("{s:s, s:s%}", "role", "system", "content",
                                                        r->system, r->n_system));
    (void)json_array_append_new(
        messages, json_pack("{s:s, s:s%}", "role", "user", "content", r->user, r->n_user));
    o = json_pack("{s:s, s:O, s:f, s:I}", "model", named, "messages", messages, "temperature",
                  s->temperature, "max_tokens", (json_int_t)r->max_tokens);
    if (json_array_size(messages) != (r->n_system ? 2u : 1u) || !o) {
        st = hone_fail(err, HONE_ERR_NOMEM, "generator: no memory for a request");
        goto out;
    }
    if (s->top_p < 1)
        (void)json_object_set_new(o, "top_p", json_real(s->top_p));
    if (s->temperature > 0)
        (void)json_object_set_new(o, "seed", json_integer(s->seed + (json_int_t)r->attempt));
    if (!(dump = json_dumps(o, JSON_COMPACT)))
        st = hone_fail(err, HONE_ERR_NOMEM, "generator: no memory for a request");
    else
        text_puts(body, dump);
    if (!st)
        st = text_status(body, err);
out:
    free(dump);
    json_decref(o);
    json_decref(messages);
    return st;
}

static int64_t usage_of(const json_t *root, const char *key)
{
    const json_int_t n = json_integer_value(json_object_get(json_object_get(root, "usage"), key));
    return n > 0 && n < (json_int_t)1 << 40 ? (int64_t)n : 0;
}

hone_status reply_parse(request *r, const char *p, size_t n, hone_error *err)
{
    json_t *root = NULL;
    hone_status st = json_parse_texts(&root, p, n, "its answer", err);
    if (st)
        return hone_prefix(err, "no chat completion (is it the address of such a service?)");
    const json_t *choice = json_array_get(json_object_get(root, "choices"), 0);
    const json_t *content = json_object_get(json_object_get(choice, "message"), "content");
    const char *reason = json_string_value(json_object_get(choice, "finish_reason"));
    if (!json_is_string(content)) {
        st = hone_fail(err, HONE_ERR_FORMAT,
                       "its answer has no choices[0].message.content; is it an address of chat "
                       "completions?");
        goto out;
    }
    if (reason && strcmp(reason, "stop") != 0 && strcmp(reason, "length") != 0) {
        st = hone_fail(err, HONE_ERR_SKIP, "it ended the answer with \"%.60s\"", reason);
        goto out;
    }
    text_clear(&r->answer);
    text_add(&r->answer, json_string_value(content), json_string_length(content));
    if ((st = text_status(&r->answer, err)))
        goto out;
    r->end = reason && strcmp(reason, "length") == 0 ? HONE_ANSWER_LENGTH : HONE_ANSWER_STOP;
    r->tokens_in = usage_of(root, "prompt_tokens");
    r->tokens_out = usage_of(root, "completion_tokens");
out:
    json_decref(root);
    return st;
}

/* Asterisks in place of the secret, wherever it stands. */
static void hide(char *line, const char *secret)
{
    const size_t n = secret ? strlen(secret) : 0;
    for (char *at = n ? strstr(line, secret) : NULL; at; at = strstr(at + n, secret))
        memset(at, '*', n);
}

void reply_reason(const char *p, size_t n, const char *secret, char *out, size_t size)
{
    json_t *root = NULL;
    const char *said = NULL;
    size_t k = 0;
    if (n && json_parse_texts(&root, p, n, "body", NULL) == HONE_OK) {
        const json_t *error = json_object_get(root, "error");
        said = json_string_value(json_is_string(error) ? error : json_object_get(error, "message"));
        if (!said)
            said = json_string_value(json_object_get(root, "detail"));
    }
    /* room for a secret that the cut would else leave half of */
    char line[2048];
    if (!said) {
        while (n && (*p == '\n' || *p == '\r' || *p == ' ' || *p == '\t'))
            p++, n--;
        said = p;
    } else {
        n = strlen(said);
    }
    for (; k < n && k + 1 < sizeof line && said[k] != '\n' && said[k] != '\r'; k++) {
        const unsigned char c = (unsigned char)said[k];
        line[k] = (char)(c < 0x20 || c == 0x7f ? ' ' : c);
    }
    line[k] = '\0';
    hide(line, secret);
    k = k < size - 1 ? k : size - 1;
    while (k && k < strlen(line) && ((unsigned char)line[k] & 0xc0) == 0x80)
        k--; /* no half character */
    memcpy(out, line, k);
    out[k] = '\0';
    for (size_t i = 0; i < k;) { /* bytes that are no text */
        uint32_t cp;
        bool bad = false;
        const size_t step = utf8_next(out + i, k - i, &cp, &bad);
        if (bad)
            out[i] = '?';
        i += step;
    }
    json_decref(root);
}
