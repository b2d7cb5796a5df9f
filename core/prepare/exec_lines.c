/*
 * exec_lines.c - the lines that hone and a recipe's program exchange; see docs/programs.md.
 *
 * To the program: {"document": {..}}, a line for each block, {"end": true}. From it: lines of
 * samples, of what it lost, and {"end": true} or {"skip": why} or {"error": why}.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/prepare/exec.h"

#include <stdlib.h>

#define MAX_SEGMENTS 1024

/* clang-format off */
static const char *const kinds[] = { "", "text", "heading", "code", "table", "list", "quote" };
static const char *const roles[] = { "raw", "system", "user", "assistant" };
/* clang-format on */

static int dump_to_text(const char *p, size_t n, void *arg)
{
    text_add(arg, p, n);
    return ((text *)arg)->failed ? -1 : 0;
}

static bool put_line(text *out, json_t *o)
{
    const bool good = o && !json_dump_callback(o, dump_to_text, out, JSON_COMPACT);
    text_putc(out, '\n');
    json_decref(o);
    return good;
}

static json_t *words(hone_str s)
{
    return json_stringn(s.p ? s.p : "", (size_t)s.n);
}

hone_status exec_tell(text *out, const hone_document *d, const json_t *set, hone_error *err)
{
    json_t *head = json_pack("{s:{s:o, s:o, s:I}}", "document", "name", words(d->name), "title",
                             words(d->title), "blocks", (json_int_t)d->n_blocks);
    if (head && set)
        (void)json_object_set(head, "options", (json_t *)(uintptr_t)set);
    bool good = put_line(out, head);
    for (uint64_t i = 0; i < d->n_blocks && good; i++) {
        const hone_block *b = &d->blocks[i];
        json_t *o = json_pack("{s:s, s:o, s:I, s:I}", "kind",
                              b->kind < sizeof kinds / sizeof kinds[0] ? kinds[b->kind] : "text",
                              "text", words(b->text), "start", (json_int_t)b->src_off, "end",
                              (json_int_t)(b->src_off + b->src_len));
        if (b->level && o)
            (void)json_object_set_new(o, "level", json_integer(b->level));
        if (b->lang.n && o)
            (void)json_object_set_new(o, "lang", words(b->lang));
        if (b->ordinal && o)
            (void)json_object_set_new(o, "ordinal", json_integer((json_int_t)b->ordinal));
        good = put_line(out, o);
    }
    good = good && put_line(out, json_pack("{s:b}", "end", 1));
    return good && !out->failed ? HONE_OK
                                : hone_fail(err, HONE_ERR_NOMEM, "no memory to tell a document");
}

/* ------------------------------------------------------------------------ answers */

/* What a sample covers that does not say so: all of the document. */
static void whole_document(const hone_document *d, uint64_t *start, uint64_t *n)
{
    uint64_t lo = UINT64_MAX, hi = 0;
    for (uint64_t i = 0; i < d->n_blocks; i++) {
        const hone_block *b = &d->blocks[i];
        if (b->src_len && b->src_off < lo)
            lo = b->src_off;
        if (b->src_len && b->src_off + b->src_len > hi)
            hi = b->src_off + b->src_len;
    }
    *start = hi ? lo : 0;
    *n = hi ? hi - lo : 0;
}

static hone_status take_span(hone_segment *g, const json_t *o, const hone_document *d,
                             hone_error *err)
{
    const json_t *start = json_object_get(o, "start"), *end = json_object_get(o, "end");
    if (!start && !end) {
        whole_document(d, &g->src_off, &g->src_len);
        return HONE_OK;
    }
    if (!json_is_integer(start) || !json_is_integer(end) || json_integer_value(start) < 0 ||
        json_integer_value(end) < json_integer_value(start))
        return hone_fail(err, HONE_ERR_FORMAT,
                         "\"start\" and \"end\" of a segment: expected two numbers, the second not "
                         "below the first");
    g->src_off = (uint64_t)json_integer_value(start);
    g->src_len = (uint64_t)json_integer_value(end) - g->src_off;
    return HONE_OK;
}

static hone_status take_segment(hone_segment *g, const json_t *o, const hone_document *d,
                                hone_error *err)
{
    const char *role = json_string_value(json_object_get(o, "role"));
    const json_t *said = json_object_get(o, "text"), *learn = json_object_get(o, "learn");
    uint32_t r = 0;
    while (r < 4 && (!role || strcmp(roles[r], role) != 0))
        r++;
    if (r == 4)
        return hone_fail(
            err, HONE_ERR_FORMAT,
            "\"role\" of a segment is \"%.20s\", expected raw, system, user or assistant",
            role ? role : "(none)");
    if (!json_is_string(said) || (learn && !json_is_boolean(learn)))
        return hone_fail(err, HONE_ERR_FORMAT,
                         "a segment: expected \"text\", words, and maybe \"learn\", true or false");
    g->role = r;
    g->text = (hone_str){ json_string_value(said), json_string_length(said) };
    g->loss_weight = learn ? (float)json_is_true(learn)
                           : (float)(r == HONE_ROLE_ASSISTANT || r == HONE_ROLE_RAW);
    return take_span(g, o, d, err);
}

static hone_status take_segments(const json_t *list, const hone_document *d,
                                 const hone_sample_sink *sink, hone_error *err)
{
    const size_t n = json_array_size(list);
    hone_segment *segments = n && n <= MAX_SEGMENTS ? mem_new(n, sizeof *segments) : NULL;
    hone_status st = HONE_OK;
    if (!segments)
        return hone_fail(err, HONE_ERR_FORMAT, "\"segments\": expected a list of 1 to %d",
                         MAX_SEGMENTS);
    for (size_t i = 0; i < n && !st; i++) {
        st = take_segment(&segments[i], json_array_get(list, i), d, err);
        if (!st && segments[i].role == HONE_ROLE_RAW && n > 1)
            st = hone_fail(err, HONE_ERR_FORMAT, "a raw segment stands alone, here are %zu", n);
    }
    if (!st)
        st = sink->add(sink, segments, n, err);
    free(segments);
    return st;
}

/* {"text": ..} and {"prompt": .., "completion": ..} for short. */
static hone_status take_short(const json_t *o, const hone_document *d, const hone_sample_sink *sink,
                              hone_error *err)
{
    const json_t *raw = json_object_get(o, "text"), *prompt = json_object_get(o, "prompt"),
                 *answer = json_object_get(o, "completion");
    json_t *list = NULL;
    if (json_is_string(raw))
        list = json_pack("[{s:s, s:O}]", "role", "raw", "text", raw);
    else if (json_is_string(prompt) && json_is_string(answer))
        list = json_pack("[{s:s, s:O}, {s:s, s:O}]", "role", "user", "text", prompt, "role",
                         "assistant", "text", answer);
    if (!list)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "a line without meaning: expected segments, text, prompt and completion, "
                         "lost, skip, error or end");
    size_t i;
    json_t *g;
    static const char *const spans[] = { "start", "end" };
    json_array_foreach(list, i, g) for (size_t k = 0; k < 2; k++) if (json_object_get(o, spans[k]))(
        void) json_object_set(g, spans[k], json_object_get(o, spans[k]));
    const hone_status st = take_segments(list, d, sink, err);
    json_decref(list);
    return st;
}

static hone_status take_object(const json_t *o, const hone_document *d,
                               const hone_sample_sink *sink, bool *end, hone_error *err)
{
    const json_t *lost = json_object_get(o, "lost"), *list = json_object_get(o, "segments");
    const char *why = json_string_value(json_object_get(o, "why"));
    const char *skip = json_string_value(json_object_get(o, "skip")),
               *error = json_string_value(json_object_get(o, "error"));
    if (json_is_true(json_object_get(o, "end"))) {
        *end = true;
        return HONE_OK;
    }
    if (skip || error) {
        *end = true;
        return hone_fail(err, skip ? HONE_ERR_SKIP : HONE_ERR_FORMAT, "%.400s",
                         skip ? skip : error);
    }
    if (lost) {
        if (!json_is_integer(lost) || json_integer_value(lost) < 0 || !why || strlen(why) > 200)
            return hone_fail(err, HONE_ERR_FORMAT,
                             "\"lost\": expected bytes, and \"why\" in at most 200 characters");
        sink->lost(sink, (uint64_t)json_integer_value(lost), why);
        return HONE_OK;
    }
    return list ? take_segments(list, d, sink, err) : take_short(o, d, sink, err);
}

hone_status exec_take_line(const char *p, size_t n, const hone_document *d,
                           const hone_sample_sink *sink, bool *end, hone_error *err)
{
    json_t *o = NULL;
    hone_error why = { 0 };
    if (n && p[n - 1] == '\r')
        n--;
    if (!n)
        return HONE_OK;
    hone_status st = json_parse_texts(&o, p, n, "the program's line", &why);
    if (!st && !json_is_object(o))
        st = hone_fail(&why, HONE_ERR_FORMAT, "the program's line is no object");
    if (!st)
        st = take_object(o, d, sink, end, &why);
    json_decref(o);
    if (st && err)
        *err = why;
    return st == HONE_ERR_ARG ? HONE_ERR_FORMAT : st;
}
