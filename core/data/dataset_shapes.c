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

/* What datasets call the roles. */
static const struct {
    const char *name;
    uint32_t role;
} role_spellings[] = {
    { "system", ROLE_SYSTEM },       { "user", ROLE_USER },     { "human", ROLE_USER },
    { "assistant", ROLE_ASSISTANT }, { "gpt", ROLE_ASSISTANT }, { "model", ROLE_ASSISTANT },
};
#define N_ROLE_SPELLINGS (sizeof role_spellings / sizeof *role_spellings)

static const char *type_name(const json_t *v)
{
    static const char *const names[] = { "an object",     "a list",   "a string",
                                         "an integer",    "a number", "a truth value",
                                         "a truth value", "null" };
    return v ? names[json_typeof(v)] : "missing";
}

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
                         type_name(v));
    return HONE_OK;
}

static hone_status add_turn(sample *s, uint32_t role, hone_str content, hone_error *err)
{
    return sample_add(s, role, role == ROLE_ASSISTANT, content, 0, 0, err);
}

/* ------------------------------------------------------------------- messages */

static hone_status role_of(const char *name, size_t at, uint32_t *out, hone_error *err)
{
    for (size_t i = 0; i < N_ROLE_SPELLINGS; i++)
        if (!strcmp(role_spellings[i].name, name)) {
            *out = role_spellings[i].role;
            return HONE_OK;
        }
    return hone_fail(
        err, HONE_ERR_UNSUPPORTED,
        "turn %zu: the role \"%s\" cannot be trained on; known are system, user (human) "
        "and assistant (gpt, model)",
        at + 1, name);
}

/* Content is a string, or OpenAI's list of parts when every part is text. */
static hone_status content_of(const json_t *v, size_t at, text *out, hone_error *err)
{
    size_t i;
    const json_t *p;
    if (json_is_string(v)) {
        text_add(out, json_string_value(v), json_string_length(v));
        return text_status(out, err);
    }
    if (!json_is_array(v))
        return hone_fail(err, HONE_ERR_FORMAT, "turn %zu: the content is %s, a string was expected",
                         at + 1, type_name(v));
    json_array_foreach(v, i, p)
    {
        const char *type = json_string_value(json_object_get(p, "type"));
        const json_t *words = json_object_get(p, "text");
        if (!type || strcmp(type, "text") != 0 || !json_is_string(words))
            return hone_fail(
                err, HONE_ERR_UNSUPPORTED,
                "turn %zu: part %zu of its content is %s%s%s; only text can be trained on", at + 1,
                i + 1, type ? "of type \"" : type_name(p), type ? type : "", type ? "\"" : "");
        text_add(out, json_string_value(words), json_string_length(words));
    }
    return text_status(out, err);
}

/* "weight": 0 or 1 as OpenAI's fine-tuning rows have it, or hone's "learn". */
static hone_status learn_of(const json_t *turn, size_t at, uint32_t role, bool *learn,
                            hone_error *err)
{
    const json_t *weight = json_object_get(turn, "weight"), *flag = json_object_get(turn, "learn");
    *learn = role == ROLE_ASSISTANT;
    if (weight && !json_is_null(weight)) {
        if (!json_is_number(weight) ||
            (json_number_value(weight) != 0.0 && json_number_value(weight) != 1.0))
            return hone_fail(err, HONE_ERR_FORMAT, "turn %zu: \"weight\" must be 0 or 1", at + 1);
        *learn = *learn && json_number_value(weight) != 0.0;
    }
    if (flag && !json_is_null(flag)) {
        if (!json_is_boolean(flag))
            return hone_fail(err, HONE_ERR_FORMAT, "turn %zu: \"learn\" must be true or false",
                             at + 1);
        if (json_is_true(flag) && role != ROLE_ASSISTANT)
            return hone_fail(err, HONE_ERR_UNSUPPORTED,
                             "turn %zu: a turn of the %s cannot be learned, only the assistant's",
                             at + 1, role_name(role));
        *learn = *learn && json_is_true(flag);
    }
    return HONE_OK;
}

static void note_turn_keys(const json_t *turn, unused_keys *unused)
{
    static const char *const used[] = { "role", "content", "from", "value", "weight", "learn" };
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)turn, key, v)
    {
        bool known = json_is_null(v);
        for (size_t i = 0; !known && i < sizeof used / sizeof *used; i++)
            known = !strcmp(key, used[i]);
        if (!known) {
            char name[64];
            (void)snprintf(name, sizeof name, "turn's %s", key);
            unused_keys_note(unused, name);
        }
    }
}

static hone_status add_message(sample *s, const json_t *turn, size_t at, bool learn_it,
                               unused_keys *unused, hone_error *err)
{
    hone_status st;
    text content = { 0 };
    uint32_t role = 0;
    bool learn = false;
    const json_t *role_value = json_object_get(turn, "role"),
                 *words = json_object_get(turn, "content");
    const json_t *calls = json_object_get(turn, "tool_calls");
    if (!json_is_object(turn))
        return hone_fail(err, HONE_ERR_FORMAT, "turn %zu is %s, an object was expected", at + 1,
                         type_name(turn));
    if (!role_value && !words) {
        role_value = json_object_get(turn, "from");
        words = json_object_get(turn, "value");
    }
    if (!json_is_string(role_value))
        return hone_fail(err, HONE_ERR_FORMAT,
                         "turn %zu has no \"role\" (or \"from\") that is a string", at + 1);
    if (calls && !json_is_null(calls) && json_array_size(calls))
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "turn %zu: \"tool_calls\" cannot be trained on",
                         at + 1);
    st = role_of(json_string_value(role_value), at, &role, err);
    if (!st)
        st = learn_of(turn, at, role, &learn, err);
    if (!st)
        st = content_of(words, at, &content, err);
    if (!st)
        st = sample_add(s, role, learn && learn_it, (hone_str){ content.p, content.n }, 0, 0, err);
    if (!st)
        note_turn_keys(turn, unused);
    text_finish(&content);
    return st;
}

static hone_status add_messages(sample *s, const json_t *list, const char *key, bool learn,
                                unused_keys *unused, hone_error *err)
{
    size_t i;
    const json_t *turn;
    if (!json_is_array(list) || !json_array_size(list))
        return hone_fail(err, HONE_ERR_FORMAT, "\"%s\" is %s, a list of turns was expected", key,
                         json_is_array(list) ? "empty" : type_name(list));
    json_array_foreach(list, i, turn)
    {
        const hone_status st = add_message(s, turn, i, learn, unused, err);
        if (st)
            return st;
    }
    return HONE_OK;
}

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
    return st ? st : add_messages(s, json_object_get(object, key), key, true, unused, err);
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
        st = add_messages(s, json_object_get(object, question), question, false, unused, err);
        return st ? st
                  : add_messages(s, json_object_get(object, answer), answer, true, unused, err);
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
                         type_name(list));
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

static hone_status read_segment(sample *s, const json_t *g, size_t at, hone_error *err)
{
    const char *name = json_string_value(json_object_get(g, "role"));
    const json_t *learn = json_object_get(g, "learn");
    uint32_t role = ROLE_RAW;
    uint64_t start, end;
    hone_str words;
    hone_status st;
    while (role <= ROLE_ASSISTANT && (!name || strcmp(name, role_name(role)) != 0))
        role++;
    if (role > ROLE_ASSISTANT)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "segment %zu: the role \"%s\" is none of raw, system, user, assistant",
                         at + 1, name ? name : "(none)");
    if (s->n_segments && (role == ROLE_RAW) != (s->segments[0].role == ROLE_RAW))
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
    const bool learned = learn ? json_is_true(learn) : role == ROLE_RAW || role == ROLE_ASSISTANT;
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
                         json_is_array(list) ? "empty" : type_name(list));
    if (source && !json_is_null(source) && !json_is_object(source))
        return hone_fail(err, HONE_ERR_FORMAT, "\"source\" is %s, an object was expected",
                         type_name(source));
    if ((st = copy_string(&s->id, object, "id", err)) ||
        (st = copy_string(&s->recipe, object, "recipe", err)) ||
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
                         json_is_array(list) ? "empty" : type_name(list));
    int32_t *x = mem_new(json_array_size(list), sizeof *x);
    if (!x)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu token ids", json_array_size(list));
    json_array_foreach(list, i, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < min ||
            json_integer_value(v) > INT32_MAX) {
            free(x);
            return hone_fail(err, HONE_ERR_FORMAT, "\"%s\"[%zu] is %s, no token id", key, i,
                             json_is_integer(v) ? "out of range" : type_name(v));
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
    { "hone",              { "segments" },              { "id", "source", "recipe" },        false, read_hone },
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
