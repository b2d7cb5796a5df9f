/*
 * dataset_turns.c - a list of turns, as datasets of conversations have them, to segments.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/dataset.h"

/* What datasets call the roles. */
static const struct {
    const char *name;
    uint32_t role;
} role_spellings[] = {
    { "system", ROLE_SYSTEM },       { "user", ROLE_USER },     { "human", ROLE_USER },
    { "assistant", ROLE_ASSISTANT }, { "gpt", ROLE_ASSISTANT }, { "model", ROLE_ASSISTANT },
};
#define N_ROLE_SPELLINGS (sizeof role_spellings / sizeof *role_spellings)

const char *json_type_name(const json_t *v)
{
    static const char *const names[] = { "an object",     "a list",   "a string",
                                         "an integer",    "a number", "a truth value",
                                         "a truth value", "null" };
    return v ? names[json_typeof(v)] : "missing";
}

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
                         at + 1, json_type_name(v));
    json_array_foreach(v, i, p)
    {
        const char *type = json_string_value(json_object_get(p, "type"));
        const json_t *words = json_object_get(p, "text");
        if (!type || strcmp(type, "text") != 0 || !json_is_string(words))
            return hone_fail(
                err, HONE_ERR_UNSUPPORTED,
                "turn %zu: part %zu of its content is %s%s%s; only text can be trained on", at + 1,
                i + 1, type ? "of type \"" : json_type_name(p), type ? type : "", type ? "\"" : "");
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
                         json_type_name(turn));
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

hone_status turns_add(sample *s, const json_t *list, const char *key, bool learn,
                      unused_keys *unused, hone_error *err)
{
    size_t i;
    const json_t *turn;
    if (!json_is_array(list) || !json_array_size(list))
        return hone_fail(err, HONE_ERR_FORMAT, "\"%s\" is %s, a list of turns was expected", key,
                         json_is_array(list) ? "empty" : json_type_name(list));
    json_array_foreach(list, i, turn)
    {
        const hone_status st = add_message(s, turn, i, learn, unused, err);
        if (st)
            return st;
    }
    return HONE_OK;
}
