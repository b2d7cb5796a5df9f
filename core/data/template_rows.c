/*
 * template_rows.c - the known chat templates, and a user's own from a JSON file.
 *
 * A row says how each role is written, and which part of an assistant's turn is
 * learned: what the model has to say after a prompt that ends where the turn's
 * `before` ends. Llama 2 and Mistral put a blank in front of an answer; the model has
 * to say it, so it belongs to `lead`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/template.h"

#define NO_LATER NULL, NULL
#define ALL_TRIM (TRIM_SYSTEM | TRIM_USER | TRIM_ASSISTANT)

#define CHATML_SYSTEM(missing)                                                         \
    {                                                                                  \
        "<|im_start|>system\n", "<|im_end|>\n", missing, NULL, "<|im_start|>system\n", \
            "<|im_end|>\n", SYSTEM_OWN, SYSTEM_OWN                                     \
    }
#define CHATML_USER                          \
    {                                        \
        "<|im_start|>user\n", "<|im_end|>\n" \
    }
#define CHATML_ANSWER                                         \
    {                                                         \
        "<|im_start|>assistant\n", "", "", "<|im_end|>", "\n" \
    }

#define HEADER(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"
#define LLAMA3_USER                  \
    {                                \
        HEADER("user"), "<|eot_id|>" \
    }
#define LLAMA3_ANSWER                                 \
    {                                                 \
        HEADER("assistant"), "", "", "<|eot_id|>", "" \
    }
#define LLAMA31_SYSTEM                                                                           \
    {                                                                                            \
        HEADER("system")                                                                         \
        "Cutting Knowledge Date: December 2023\nToday Date: {date}\n\n", "<|eot_id|>", "", NULL, \
            HEADER("system"), "<|eot_id|>", SYSTEM_OWN, SYSTEM_OWN                               \
    }

#define NO_SYSTEM                                                    \
    {                                                                \
        "", "", NULL, NULL, NO_LATER, SYSTEM_REFUSED, SYSTEM_REFUSED \
    }
#define FOLDED(place, fold, later)                 \
    {                                              \
        "", "", NULL, fold, NO_LATER, place, later \
    }

#define SMOLLM2_SYSTEM "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
#define QWEN2_SYSTEM "You are a helpful assistant."
#define QWEN25_SYSTEM "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
#define ALPACA_SYSTEM                                                                     \
    "Below is an instruction that describes a task. Write a response that appropriately " \
    "completes "                                                                          \
    "the request."

/* clang-format off */
const template_row template_rows[] = {
    { .name = "plain", .start = "{bos?}",
      .system = { "", "\n\n", NULL, NULL, "", "\n\n", SYSTEM_OWN, SYSTEM_OWN },
      .user = { "", "\n\n" }, .assistant = { "", "", "", "{eos}", "" } },
    { .name = "alpaca", .start = "{bos}",
      .system = { "", "\n\n", ALPACA_SYSTEM, NULL, NO_LATER, SYSTEM_OWN, SYSTEM_REFUSED },
      .user = { "### Instruction:\n", "\n\n" },
      .assistant = { "### Response:\n", "", "", "{eos}", "\n\n" } },
    { .name = "llama2", .start = "",
      .system = FOLDED(SYSTEM_FIRST_USER, "<<SYS>>\n{system}\n<</SYS>>\n\n{content}", SYSTEM_IGNORED),
      .user = { "{bos}[INST] ", " [/INST]" }, .assistant = { "", " ", " ", "{eos}", "" },
      .trim = TRIM_USER | TRIM_ASSISTANT, .alternate = true },
    { .name = "llama3", .start = "{bos}",
      .system = { HEADER("system"), "<|eot_id|>", NULL, NULL, HEADER("system"), "<|eot_id|>", SYSTEM_OWN, SYSTEM_OWN },
      .user = LLAMA3_USER, .assistant = LLAMA3_ANSWER, .trim = ALL_TRIM },
    { .name = "llama31", .start = "{bos}", .system = LLAMA31_SYSTEM, .user = LLAMA3_USER,
      .assistant = LLAMA3_ANSWER, .trim = ALL_TRIM, .date = "26 Jul 2024" },
    { .name = "llama32", .start = "{bos}", .system = LLAMA31_SYSTEM, .user = LLAMA3_USER,
      .assistant = LLAMA3_ANSWER, .trim = ALL_TRIM },
    { .name = "chatml", .start = "", .system = CHATML_SYSTEM(NULL), .user = CHATML_USER,
      .assistant = CHATML_ANSWER },
    { .name = "chatml-bos", .start = "{bos}", .system = CHATML_SYSTEM(NULL), .user = CHATML_USER,
      .assistant = CHATML_ANSWER },
    { .name = "qwen2", .start = "", .system = CHATML_SYSTEM(QWEN2_SYSTEM), .user = CHATML_USER,
      .assistant = CHATML_ANSWER },
    { .name = "qwen25", .start = "", .system = CHATML_SYSTEM(QWEN25_SYSTEM), .user = CHATML_USER,
      .assistant = CHATML_ANSWER },
    { .name = "qwen3", .start = "", .system = CHATML_SYSTEM(NULL), .user = CHATML_USER,
      .assistant = CHATML_ANSWER, .thoughts = true },
    { .name = "smollm2", .start = "", .system = CHATML_SYSTEM(SMOLLM2_SYSTEM), .user = CHATML_USER,
      .assistant = CHATML_ANSWER },
    { .name = "mistral", .start = "{bos}", /* v0.2 as first published */
      .system = NO_SYSTEM, .user = { "[INST] ", " [/INST]" }, .assistant = { "", "", "", "{eos}", "" },
      .alternate = true },
    { .name = "mistral-v0.1", .start = "{bos}",
      .system = NO_SYSTEM, .user = { "[INST] ", " [/INST]" }, .assistant = { "", "", "", "{eos}", " " },
      .alternate = true },
    { .name = "mistral-system", .start = "{bos}", /* what v0.1 and v0.2 carry since they take a system prompt */
      .system = FOLDED(SYSTEM_FIRST_USER, "{system}\n\n{content}", SYSTEM_REFUSED),
      .user = { " [INST] ", " [/INST]" }, .assistant = { "", " ", "", "{eos}", "" }, .alternate = true },
    { .name = "mistral-v0.3", .start = "{bos}",
      .system = FOLDED(SYSTEM_LAST_USER, "{system}\n\n{content}", SYSTEM_REFUSED),
      .user = { "[INST] ", "[/INST]" }, .assistant = { "", " ", "", "{eos}", "" },
      .trim = TRIM_ASSISTANT, .alternate = true },
    { .name = "mistral-nemo", .start = "{bos}",
      .system = FOLDED(SYSTEM_LAST_USER, "{system}\n\n{content}", SYSTEM_REFUSED),
      .user = { "[INST]", "[/INST]" }, .assistant = { "", "", "", "{eos}", "" }, .alternate = true },
    { .name = "zephyr", .start = "",
      .system = { "<|system|>\n", "{eos}\n", NULL, NULL, "<|system|>\n", "{eos}\n", SYSTEM_OWN, SYSTEM_OWN },
      .user = { "<|user|>\n", "{eos}\n" }, .assistant = { "<|assistant|>\n", "", "", "{eos}", "\n" } },
    { .name = NULL },
};
/* clang-format on */

void template_rows_list(text *out)
{
    for (const template_row *r = template_rows; r->name; r++)
        text_printf(out, "%s%s", r == template_rows ? "" : ", ", r->name);
}

/* --------------------------------------------------------------- the user's own file */

/* Every key of the file is a row here, so that an unknown one can be named. */
typedef struct field {
    const char *object, *key; /* object NULL: the top level */
    size_t at;                /* of the const char * in template_row; SIZE_MAX: see below */
    const char *missing;      /* NULL: the key is required */
} field;

#define NONE "\1" /* "missing" that leaves NULL */
#define AT(member) offsetof(template_row, member)

/* clang-format off */
static const field fields[] = {
    { NULL,        "name",         AT(name),                "own" },
    { NULL,        "start",        AT(start),               "" },
    { NULL,        "date",         AT(date),                NONE },
    { NULL,        "alternate",    SIZE_MAX,                "" },
    { NULL,        "system",       SIZE_MAX,                "" },
    { NULL,        "user",         SIZE_MAX,                "" },
    { NULL,        "assistant",    SIZE_MAX,                "" },
    { "system",    "before",       AT(system.before),       "" },
    { "system",    "after",        AT(system.after),        "" },
    { "system",    "default",      AT(system.missing),      NONE },
    { "system",    "fold",         AT(system.fold),         NONE },
    { "system",    "later_before", AT(system.later_before), NONE },
    { "system",    "later_after",  AT(system.later_after),  NONE },
    { "system",    "place",        SIZE_MAX,                "" },
    { "system",    "trim",         SIZE_MAX,                "" },
    { "user",      "before",       AT(user.before),         NULL },
    { "user",      "after",        AT(user.after),          NULL },
    { "user",      "trim",         SIZE_MAX,                "" },
    { "assistant", "before",       AT(assistant.before),    NULL },
    { "assistant", "lead",         AT(assistant.lead),      "" },
    { "assistant", "tail",         AT(assistant.tail),      "" },
    { "assistant", "end",          AT(assistant.end),       NULL },
    { "assistant", "after",        AT(assistant.after),     "" },
    { "assistant", "trim",         SIZE_MAX,                "" },
};

static const struct {
    const char *name;
    uint32_t place;
} places[] = {
    { "own",        SYSTEM_OWN },
    { "first_user", SYSTEM_FIRST_USER },
    { "last_user",  SYSTEM_LAST_USER },
    { "refused",    SYSTEM_REFUSED },
};

static const struct {
    const char *object;
    uint32_t bit;
} trims[] = {
    { "system",    TRIM_SYSTEM },
    { "user",      TRIM_USER },
    { "assistant", TRIM_ASSISTANT },
};
/* clang-format on */
#define COUNT(table) (sizeof(table) / sizeof *(table))

static hone_status check_keys(const json_t *o, const char *object, const char *what,
                              hone_error *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        const char *known[COUNT(fields)];
        size_t n = 0;
        bool found = false;
        for (size_t i = 0; i < COUNT(fields); i++)
            if (object ? fields[i].object && !strcmp(fields[i].object, object)
                       : !fields[i].object) {
                known[n++] = fields[i].key;
                found = found || !strcmp(fields[i].key, key);
            }
        if (!found) {
            const char *near = nearest_name(key, known, n);
            return hone_fail(err, HONE_ERR_FORMAT, "%s: unknown key \"%s%s%.60s\"%s%s%s", what,
                             object ? object : "", object ? "." : "", key,
                             near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
        }
    }
    return HONE_OK;
}

static hone_status set_string(template_row *self, const field *f, const json_t *root,
                              const char *what, hone_error *err)
{
    const json_t *o = f->object ? json_object_get(root, f->object) : root;
    const json_t *v = json_object_get(o, f->key);
    const char *s = json_string_value(v);
    if (v && (!s || strlen(s) != json_string_length(v)))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: \"%s%s%s\" must be a string", what,
                         f->object ? f->object : "", f->object ? "." : "", f->key);
    if (!v && !f->missing)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: \"%s.%s\" is missing", what, f->object, f->key);
    if (!v)
        s = strcmp(f->missing, NONE) ? f->missing : NULL;
    memcpy((char *)self + f->at, &s, sizeof s);
    return HONE_OK;
}

static hone_status get_flag(const json_t *o, const char *object, const char *key, bool *out,
                            const char *what, hone_error *err)
{
    const json_t *v = json_object_get(o, key);
    if (v && !json_is_boolean(v))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: \"%s%s%s\" must be true or false", what, object,
                         *object ? "." : "", key);
    *out = json_is_true(v);
    return HONE_OK;
}

static hone_status set_place(template_row *self, const json_t *root, const char *what,
                             hone_error *err)
{
    const json_t *v = json_object_get(json_object_get(root, "system"), "place");
    const char *name = json_string_value(v);
    const bool folded = self->system.fold != NULL;
    size_t i = 0;
    if (!v)
        name = json_object_get(root, "system") ? "own" : "refused";
    while (i < COUNT(places) && (!name || strcmp(places[i].name, name) != 0))
        i++;
    if (i == COUNT(places))
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: \"system.place\" must be own, first_user, last_user or refused",
                         what);
    self->system.place = places[i].place;
    self->system.later =
        self->system.later_before || self->system.later_after ? SYSTEM_OWN : SYSTEM_REFUSED;
    if (!self->system.later_before)
        self->system.later_before = "";
    if (!self->system.later_after)
        self->system.later_after = "";
    const bool folds =
        self->system.place == SYSTEM_FIRST_USER || self->system.place == SYSTEM_LAST_USER;
    if (folds != folded)
        return hone_fail(
            err, HONE_ERR_FORMAT,
            "%s: \"system.fold\" belongs to the places first_user and last_user, and only there",
            what);
    if (folded &&
        (!strstr(self->system.fold, "{system}") || !strstr(self->system.fold, "{content}")))
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: \"system.fold\" must hold {system} and {content}", what);
    return HONE_OK;
}

hone_status template_row_parse(template_row *out, json_t **keep, const char *p, size_t n,
                               const char *what, hone_error *err)
{
    static const char *const objects[] = { "system", "user", "assistant" };
    template_row self = { 0 };
    json_t *root = NULL;
    hone_status st = json_parse(&root, p, n, what, err);
    if (st)
        return st;
    if (!json_is_object(root)) {
        st = hone_fail(err, HONE_ERR_FORMAT, "%s: a JSON object was expected", what);
        goto out;
    }
    if ((st = check_keys(root, NULL, what, err)))
        goto out;
    for (size_t i = 0; i < COUNT(objects); i++) {
        const json_t *o = json_object_get(root, objects[i]);
        if (o && !json_is_object(o))
            st = hone_fail(err, HONE_ERR_FORMAT, "%s: \"%s\" must be an object", what, objects[i]);
        else if (o)
            st = check_keys(o, objects[i], what, err);
        if (st)
            goto out;
    }
    for (size_t i = 0; i < COUNT(fields); i++)
        if (fields[i].at != SIZE_MAX && (st = set_string(&self, &fields[i], root, what, err)))
            goto out;
    if ((st = get_flag(root, "", "alternate", &self.alternate, what, err)) ||
        (st = set_place(&self, root, what, err)))
        goto out;
    for (size_t i = 0; i < COUNT(trims); i++) {
        bool trim;
        if ((st = get_flag(json_object_get(root, trims[i].object), trims[i].object, "trim", &trim,
                           what, err)))
            goto out;
        self.trim |= trim ? trims[i].bit : 0;
    }
    *out = self;
    *keep = root;
    root = NULL;
out:
    json_decref(root);
    return st;
}
