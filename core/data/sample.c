/*
 * sample.c - one training sample: its memory, its id, its JSON line.
 *
 * The id is a hash of what would be learned from (roles, texts, masks), so the
 * same sample has the same id wherever it came from.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/data.h"

#include <stdlib.h>

const char *role_name(uint32_t role)
{
    static const char *const names[] = { "raw", "system", "user", "assistant", "special" };
    return role < sizeof names / sizeof *names ? names[role] : "unknown";
}

void sample_finish(sample *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_segments; i++) {
        free(s->segments[i].text);
        free(s->segments[i].file);
    }
    free(s->segments);
    free(s->ids);
    free(s->labels);
    free(s->id);
    free(s->file);
    free(s->unit);
    free(s->recipe);
    free(s->prompt);
    free(s->version);
    *s = (sample){ 0 };
}

hone_status sample_add(sample *s, uint32_t role, bool learn, hone_str content, uint64_t src_off,
                       uint64_t src_len, hone_error *err)
{
    char *copy = mem_strndup(content.p ? content.p : "", content.n);
    if (!copy ||
        !mem_grow(&s->segments, &s->cap_segments, s->n_segments + 1, sizeof *s->segments)) {
        free(copy);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a segment of %llu bytes",
                         (unsigned long long)content.n);
    }
    s->segments[s->n_segments++] = (sample_segment){
        .role = role,
        .learn = learn,
        .text = copy,
        .n = content.n,
        .src_off = src_off,
        .src_len = src_len,
    };
    return HONE_OK;
}

/* A length in front of every piece keeps "ab" + "c" apart from "a" + "bc". */
static void add_u64(sha256 *h, uint64_t x)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(x >> (8 * i));
    sha256_add(h, b, sizeof b);
}

hone_status sample_identify(sample *s, hone_error *err)
{
    uint8_t digest[32];
    sha256 h;
    sha256_init(&h);
    add_u64(&h, s->n_segments);
    for (size_t i = 0; i < s->n_segments; i++) {
        add_u64(&h, s->segments[i].role * 2 + s->segments[i].learn);
        add_u64(&h, s->segments[i].n);
        sha256_add(&h, s->segments[i].text, s->segments[i].n);
    }
    add_u64(&h, s->n_ids);
    for (size_t i = 0; i < s->n_ids; i++) {
        add_u64(&h, (uint64_t)(uint32_t)s->ids[i] << 32 |
                        (uint32_t)(s->labels ? s->labels[i] : s->ids[i]));
    }
    sha256_done(&h, digest);
    char *id = mem_new(17, 1);
    if (!id)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a sample's id");
    for (int i = 0; i < 8; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", digest[i]);
    free(s->id);
    s->id = id;
    return HONE_OK;
}

static json_t *ids_to_json(const int32_t *ids, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        if (json_array_append_new(list, json_integer(ids[i]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *segment_to_json(const sample_segment *g)
{
    json_t *o = json_object();
    int bad = json_object_set_new(o, "role", json_string(role_name(g->role)));
    bad |= json_object_set_new(o, "text", json_stringn(g->text, g->n));
    bad |= json_object_set_new(o, "learn", json_boolean(g->learn));
    bad |= json_object_set_new(o, "start", json_integer((json_int_t)g->src_off));
    bad |= json_object_set_new(o, "end", json_integer((json_int_t)(g->src_off + g->src_len)));
    if (g->file)
        bad |= json_object_set_new(o, "file", json_string(g->file));
    if (!bad)
        return o;
    json_decref(o);
    return NULL;
}

/* The span of a sample is what its segments cover. */
static json_t *source_to_json(const sample *s)
{
    uint64_t start = UINT64_MAX, end = 0;
    for (size_t i = 0; i < s->n_segments; i++) {
        const sample_segment *g = &s->segments[i];
        if (!g->src_len || g->file)
            continue;
        if (g->src_off < start)
            start = g->src_off;
        if (g->src_off + g->src_len > end)
            end = g->src_off + g->src_len;
    }
    json_t *o = json_object();
    int bad = json_object_set_new(o, "file", json_string(s->file));
    bad |= json_object_set_new(o, "start", json_integer(end ? (json_int_t)start : 0));
    bad |= json_object_set_new(o, "end", json_integer((json_int_t)end));
    if (s->unit)
        bad |= json_object_set_new(o, "unit", json_string(s->unit));
    if (!bad)
        return o;
    json_decref(o);
    return NULL;
}

static int dump_to_text(const char *p, size_t n, void *arg)
{
    text *out = arg;
    text_add(out, p, n);
    return out->failed ? -1 : 0;
}

hone_status sample_to_json(const sample *s, text *line, hone_error *err)
{
    hone_status st = HONE_OK;
    json_t *o = json_object(), *segments = NULL;
    text out = { 0 };
    int bad = s->id ? json_object_set_new(o, "id", json_string(s->id)) : 0;
    if (s->file)
        bad |= json_object_set_new(o, "source", source_to_json(s));
    if (s->recipe)
        bad |= json_object_set_new(o, "recipe", json_string(s->recipe));
    if (s->prompt)
        bad |= json_object_set_new(o, "prompt", json_string(s->prompt));
    if (s->version)
        bad |= json_object_set_new(o, "version", json_string(s->version));
    if (s->ids) {
        bad |= json_object_set_new(o, "input_ids", ids_to_json(s->ids, s->n_ids));
        if (s->labels)
            bad |= json_object_set_new(o, "labels", ids_to_json(s->labels, s->n_ids));
    } else {
        segments = json_array();
        for (size_t i = 0; i < s->n_segments; i++)
            bad |= json_array_append_new(segments, segment_to_json(&s->segments[i]));
        bad |= json_object_set(o, "segments", segments);
    }
    if (bad || json_dump_callback(o, dump_to_text, &out, JSON_COMPACT)) {
        st = hone_fail(
            err, HONE_ERR_FORMAT,
            "sample %s of %s: cannot be written as JSON: text that is not UTF-8, or no memory",
            s->id ? s->id : "?", s->file ? s->file : "an unnamed source");
        goto out;
    }
    text_add(line, out.p, out.n);
    st = text_status(line, err);
out:
    text_finish(&out);
    json_decref(segments);
    json_decref(o);
    return st;
}
