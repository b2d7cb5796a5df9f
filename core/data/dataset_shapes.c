/*
 * dataset_shapes.c - the shapes a dataset's rows come in, and how each becomes a
 * sample.
 *
 * A shape is a row of a table: the keys it must have, the keys it may have, the
 * function that reads it. The first row of the table whose keys are all there
 * counts, so that a dataset with both "messages" and "text" is one of messages.
 * Nothing is converted on a guess: a number where text belongs is an error.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/dataset.h"

#include <stdlib.h>

void unused_keys_note(unused_keys *u, const char *name)
{
    for (size_t i = 0; i < u->n; i++)
        if (!strncmp(u->key[i].name, name, sizeof u->key[i].name - 1)) {
            u->key[i].n++;
            return;
        }
    if (u->n == UNUSED_KEYS) {
        u->others++;
        return;
    }
    (void)snprintf(u->key[u->n].name, sizeof u->key[u->n].name, "%s", name);
    u->key[u->n++].n = 1;
}

/* A string, or nothing when the key is absent or null and may be. */
static hone_status get_string(const json_t *object, const char *key, bool needed, hone_str *out,
                              hone_error *err)
{
    const json_t *v = json_object_get(object, key);
    *out = (hone_str){ NULL, 0 };
    if (json_is_string(v))
        *out = (hone_str){ json_string_value(v), json_string_length(v) };
    else if (needed || (v && !json_is_null(v)))
        return hone_fail(err, HONE_ERR_FORMAT, "\"%s\" is %s, a string was expected", key,
                         json_type_name(v));
    return HONE_OK;
}

static hone_status add_turn(sample *s, uint32_t role, hone_str content, hone_error *err)
{
    return sample_add(s, role, role == ROLE_ASSISTANT, content, 0, 0, err);
}

/* ------------------------------------------------------------------- messages */

static hone_status add_system(sample *s, const json_t *object, hone_error *err)
{
    hone_str system;
    const hone_status st = get_string(object, "system", false, &system, err);
    return st || !system.n ? st : add_turn(s, ROLE_SYSTEM, system, err);
}

static hone_status read_messages(sample *s, const json_t *object, unused_keys *unused,
                                 hone_error *err)
{
    const bool openai = json_object_get(object, "messages") != NULL;
    const char *key = openai ? "messages" : "conversations";
    const hone_status st = openai ? HONE_OK : add_system(s, object, err);
    return st ? st : turns_add(s, json_object_get(object, key), key, true, unused, err);
}

/* ---------------------------------------------------------------------- pairs */

/* Question and answer, each a string; or both lists of turns, of which only the
 * answer's are learned. */
static hone_status read_pair(sample *s, const json_t *object, const char *question,
                             const char *answer, unused_keys *unused, hone_error *err)
{
    hone_str q, a;
    hone_status st = add_system(s, object, err);
    if (st)
        return st;
    if (json_is_array(json_object_get(object, question))) {
        st = turns_add(s, json_object_get(object, question), question, false, unused, err);
        return st ? st : turns_add(s, json_object_get(object, answer), answer, true, unused, err);
    }
    if (!(st = get_string(object, question, true, &q, err)) &&
        !(st = get_string(object, answer, true, &a, err)) && !(st = add_turn(s, ROLE_USER, q, err)))
        st = add_turn(s, ROLE_ASSISTANT, a, err);
    return st;
}

static hone_status read_prompt(sample *s, const json_t *object, unused_keys *unused,
                               hone_error *err)
{
    return read_pair(s, object, "prompt", "completion", unused, err);
}

static hone_status read_prompt_response(sample *s, const json_t *object, unused_keys *unused,
                                        hone_error *err)
{
    return read_pair(s, object, "prompt", "response", unused, err);
}

static hone_status read_question(sample *s, const json_t *object, unused_keys *unused,
                                 hone_error *err)
{
    return read_pair(s, object, "question", "answer", unused, err);
}

/* Earlier rounds, [[question, answer], ...], as alpaca rows may bring them. */
static hone_status add_history(sample *s, const json_t *list, hone_error *err)
{
    size_t i;
    const json_t *round;
    if (!list || json_is_null(list))
        return HONE_OK;
    json_array_foreach(list, i, round)
    {
        for (size_t k = 0; k < 2; k++) {
            const json_t *v = json_array_get(round, k);
            if (!json_is_string(v) || json_array_size(round) != 2)
                return hone_fail(err, HONE_ERR_FORMAT,
                                 "\"history\": round %zu is no pair of strings [question, answer]",
                                 i + 1);
            const hone_status st =
                add_turn(s, k ? ROLE_ASSISTANT : ROLE_USER,
                         (hone_str){ json_string_value(v), json_string_length(v) }, err);
            if (st)
                return st;
        }
    }
    if (!json_is_array(list))
        return hone_fail(err, HONE_ERR_FORMAT, "\"history\" is %s, a list of rounds was expected",
                         json_type_name(list));
    return HONE_OK;
}

static hone_status read_alpaca(sample *s, const json_t *object, unused_keys *unused,
                               hone_error *err)
{
    hone_str instruction, input, output;
    text question = { 0 };
    hone_status st;
    (void)unused;
    if ((st = get_string(object, "instruction", true, &instruction, err)) ||
        (st = get_string(object, "input", false, &input, err)) ||
        (st = get_string(object, "output", true, &output, err)) ||
        (st = add_system(s, object, err)) ||
        (st = add_history(s, json_object_get(object, "history"), err)))
        return st;
    text_add(&question, instruction.p, instruction.n);
    if (input.n) {
        if (instruction.n)
            text_putc(&question, '\n');
        text_add(&question, input.p, input.n);
    }
    if (!(st = text_status(&question, err)) &&
        !(st = add_turn(s, ROLE_USER, (hone_str){ question.p, question.n }, err)))
        st = add_turn(s, ROLE_ASSISTANT, output, err);
    text_finish(&question);
    return st;
}

/* ---------------------------------------------------------- raw, hone's, tokens */

static hone_status read_text(sample *s, const json_t *object, unused_keys *unused, hone_error *err)
{
    hone_str words;
    const hone_status st = get_string(object, "text", true, &words, err);
    (void)unused;
    return st ? st : sample_add(s, ROLE_RAW, true, words, 0, 0, err);
}

static hone_status get_place(const json_t *g, const char *key, size_t at, uint64_t *out,
                             hone_error *err)
{
    const json_t *v = json_object_get(g, key);
    *out = 0;
    if (v && !json_is_null(v) && (!json_is_integer(v) || json_integer_value(v) < 0))
        return hone_fail(err, HONE_ERR_FORMAT, "segment %zu: \"%s\" is no byte offset", at + 1,
                         key);
    *out = json_is_integer(v) ? (uint64_t)json_integer_value(v) : 0;
    return HONE_OK;
}

static bool is_raw(uint32_t role)
{
    return role == ROLE_RAW || role == ROLE_SPECIAL;
}

static hone_status read_segment(sample *s, const json_t *g, size_t at, hone_error *err)
{
    const char *name = json_string_value(json_object_get(g, "role"));
    const json_t *learn = json_object_get(g, "learn");
    uint32_t role = ROLE_RAW;
    uint64_t start, end;
    hone_str words;
    hone_status st;
    while (role <= ROLE_SPECIAL && (!name || strcmp(name, role_name(role)) != 0))
        role++;
    if (role > ROLE_SPECIAL)
        return hone_fail(
            err, HONE_ERR_FORMAT,
            "segment %zu: the role \"%s\" is none of raw, system, user, assistant, special", at + 1,
            name ? name : "(none)");
    if (s->n_segments && is_raw(role) != is_raw(s->segments[0].role))
        return hone_fail(err, HONE_ERR_FORMAT, "segment %zu: raw text and turns in one sample",
                         at + 1);
    if (learn && !json_is_boolean(learn))
        return hone_fail(err, HONE_ERR_FORMAT, "segment %zu: \"learn\" must be true or false",
                         at + 1);
    if (json_is_true(learn) && (role == ROLE_SYSTEM || role == ROLE_USER))
        return hone_fail(err, HONE_ERR_UNSUPPORTED,
                         "segment %zu: a turn of the %s cannot be learned, only raw text and the "
                         "assistant's",
                         at + 1, name);
    if ((st = get_string(g, "text", true, &words, err)) ||
        (st = get_place(g, "start", at, &start, err)) || (st = get_place(g, "end", at, &end, err)))
        return st;
    const bool learned = learn ? json_is_true(learn) : is_raw(role) || role == ROLE_ASSISTANT;
    return sample_add(s, role, learned, words, start, end > start ? end - start : 0, err);
}

static hone_status copy_string(char **to, const json_t *from, const char *key, hone_error *err)
{
    hone_str v;
    const hone_status st = get_string(from, key, false, &v, err);
    if (st || !v.p)
        return st;
    if (!(*to = mem_strndup(v.p, v.n)))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for \"%s\"", key);
    return HONE_OK;
}

static hone_status read_hone(sample *s, const json_t *object, unused_keys *unused, hone_error *err)
{
    const json_t *list = json_object_get(object, "segments"),
                 *source = json_object_get(object, "source"), *g;
    size_t i;
    hone_status st;
    (void)unused;
    if (!json_is_array(list) || !json_array_size(list))
        return hone_fail(err, HONE_ERR_FORMAT,
                         "\"segments\" is %s, a list of segments was expected",
                         json_is_array(list) ? "empty" : json_type_name(list));
    if (source && !json_is_null(source) && !json_is_object(source))
        return hone_fail(err, HONE_ERR_FORMAT, "\"source\" is %s, an object was expected",
                         json_type_name(source));
    if ((st = copy_string(&s->id, object, "id", err)) ||
        (st = copy_string(&s->recipe, object, "recipe", err)) ||
        (st = copy_string(&s->prompt, object, "prompt", err)) ||
        (st = copy_string(&s->version, object, "version", err)) ||
        (st = copy_string(&s->unit, source, "unit", err)) ||
        (st = copy_string(&s->file, source, "file", err)))
        return st;
    json_array_foreach(list, i, g) if ((st = read_segment(s, g, i, err))) return st;
    return HONE_OK;
}

/* A list of n integers in [min, INT32_MAX] into fresh memory. */
static hone_status read_ints(const json_t *list, const char *key, int64_t min, int32_t **out,
                             size_t *n, hone_error *err)
{
    size_t i;
    const json_t *v;
    if (!json_is_array(list) || !json_array_size(list))
        return hone_fail(err, HONE_ERR_FORMAT, "\"%s\" is %s, a list of integers was expected", key,
                         json_is_array(list) ? "empty" : json_type_name(list));
    int32_t *x = mem_new(json_array_size(list), sizeof *x);
    if (!x)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu token ids", json_array_size(list));
    json_array_foreach(list, i, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < min ||
            json_integer_value(v) > INT32_MAX) {
            free(x);
            return hone_fail(err, HONE_ERR_FORMAT, "\"%s\"[%zu] is %s, no token id", key, i,
                             json_is_integer(v) ? "out of range" : json_type_name(v));
        }
        x[i] = (int32_t)json_integer_value(v);
    }
    *out = x;
    *n = json_array_size(list);
    return HONE_OK;
}

static hone_status check_attention(const json_t *mask, size_t n, hone_error *err)
{
    size_t i;
    const json_t *v;
    if (!mask || json_is_null(mask))
        return HONE_OK;
    if (json_array_size(mask) != n)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "\"attention_mask\" has %zu entries, \"input_ids\" %zu",
                         json_array_size(mask), n);
    json_array_foreach(mask, i, v) if (json_integer_value(v) != 1) return hone_fail(
        err, HONE_ERR_UNSUPPORTED,
        "\"attention_mask\"[%zu] is not 1: give rows without padding, hone packs or "
        "pads them itself",
        i);
    return HONE_OK;
}

static hone_status read_tokens(sample *s, const json_t *object, unused_keys *unused,
                               hone_error *err)
{
    const json_t *labels = json_object_get(object, "labels");
    size_t n = 0;
    hone_status st =
        read_ints(json_object_get(object, "input_ids"), "input_ids", 0, &s->ids, &s->n_ids, err);
    (void)unused;
    if (!st)
        st = check_attention(json_object_get(object, "attention_mask"), s->n_ids, err);
    if (!st && labels && !json_is_null(labels))
        st = read_ints(labels, "labels", LABEL_MASKED, &s->labels, &n, err);
    if (st || !s->labels)
        return st;
    if (n != s->n_ids)
        return hone_fail(err, HONE_ERR_FORMAT, "\"labels\" has %zu entries, \"input_ids\" %zu", n,
                         s->n_ids);
    for (size_t i = 0; i < n; i++)
        if (s->labels[i] != LABEL_MASKED && s->labels[i] != s->ids[i])
            return hone_fail(
                err, HONE_ERR_FORMAT,
                "\"labels\"[%zu] is %d, neither input_ids[%zu] (%d) nor %d: labels are not "
                "shifted, hone does that",
                i, s->labels[i], i, s->ids[i], LABEL_MASKED);
    return HONE_OK;
}

/* ---------------------------------------------------------------------- table */

/* clang-format off */
const dataset_shape dataset_shapes[] = {
    /* name                need                         may                                  csv    read */
    { "hone",              { "segments" },              { "id", "source", "recipe", "version", "prompt" }, false, read_hone },
    { "tokens",            { "input_ids" },             { "labels", "attention_mask" },      false, read_tokens },
    { "messages",          { "messages" },              { NULL },                            false, read_messages },
    { "sharegpt",          { "conversations" },         { "system" },                        false, read_messages },
    { "alpaca",            { "instruction", "output" }, { "input", "system", "history" },    true,  read_alpaca },
    { "prompt/completion", { "prompt", "completion" },  { "system" },                        true,  read_prompt },
    { "prompt/response",   { "prompt", "response" },    { "system" },                        true,  read_prompt_response },
    { "question/answer",   { "question", "answer" },    { "system" },                        true,  read_question },
    { "text",              { "text" },                  { NULL },                            true,  read_text },
    { NULL,                { NULL },                    { NULL },                            false, NULL },
};
/* clang-format on */

const dataset_shape *dataset_shape_of(const json_t *object)
{
    for (const dataset_shape *s = dataset_shapes; s->name; s++) {
        bool all = true;
        for (const char *const *k = s->need; *k; k++)
            all = all && json_object_get(object, *k);
        if (all)
            return s;
    }
    return NULL;
}

void dataset_shapes_list(text *out, bool csv_only)
{
    bool first = true;
    for (const dataset_shape *s = dataset_shapes; s->name; s++) {
        if (csv_only && !s->csv)
            continue;
        text_puts(out, first ? "" : "; ");
        first = false;
        for (const char *const *k = s->need; *k; k++)
            text_printf(out, "%s%s", k == s->need ? "" : " + ", *k);
    }
}
