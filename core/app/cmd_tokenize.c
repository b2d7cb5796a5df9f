/*
 * cmd_tokenize.c - hone tokenize, detokenize and vocabulary: text to ids and back.
 *
 * Input is plain text (whole, or a line each with --lines) or JSON lines: strings, {"text": ..}
 * or {"messages": [..]} to tokenize; arrays of ids or {"ids": [..]} to detokenize.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/app/app.h"

typedef struct tokenize_flags {
    const char *text;
    bool jsonl, lines, special, add, template_, prompt;
} tokenize_flags;

static tokenize_flags flags;

/* clang-format off */
static const hone_option rows[] = {
    HONE_ROW_STRING(tokenize_flags, text, NULL, "the text itself, instead of a file"),
    HONE_ROW_BOOL(tokenize_flags, jsonl, "false", "input is JSON lines"),
    HONE_ROW_BOOL(tokenize_flags, lines, "false", "every line of the input by itself"),
    HONE_ROW_BOOL(tokenize_flags, special, "true", "spellings of special tokens become those tokens"),
    HONE_ROW_BOOL(tokenize_flags, add, "false", "add BOS and EOS as the tokenizer itself does"),
    { "chat", HONE_OPT_BOOL, offsetof(tokenize_flags, template_), 0, 0, "false", NULL, "put the text through the chat template, as a user's turn" },
    HONE_ROW_BOOL(tokenize_flags, prompt, "true", "with --chat: end with the beginning of the answer"),
    HONE_OPTIONS_END,
};
/* clang-format on */

static void print_ids(const tokens *t)
{
    putchar('[');
    for (size_t i = 0; i < t->n; i++)
        printf(i ? ",%d" : "%d", t->p[i].id);
    puts("]");
}

/* Lines of the input: visit(line, n, number). */
static hone_status each_line(const char *p, size_t n,
                             hone_status (*visit)(session *z, const settings *s, const char *p,
                                                  size_t n, size_t line, hone_error *err),
                             session *z, const settings *s, hone_error *err)
{
    size_t line = 1;
    for (size_t at = 0; at < n; line++) {
        const char *end = memchr(p + at, '\n', n - at);
        const size_t len = end ? (size_t)(end - p) - at : n - at;
        hone_status st = visit(z, s, p + at, len, line, err);
        if (st)
            return st;
        at += len + 1;
    }
    return HONE_OK;
}

static void show(const tokens *t, const encode_losses *lost, size_t line)
{
    char where[32];
    (void)snprintf(where, sizeof where, flags.jsonl || flags.lines ? "line %zu" : "the text", line);
    encode_losses_warn(lost, where);
    print_ids(t);
}

static hone_status encode_messages(session *z, const settings *s, const message *m, size_t n,
                                   size_t line, hone_error *err)
{
    tokens out = { 0 };
    encode_losses lost = { 0 };
    hone_status st =
        chat_template_encode(z->chat, m, n, flags.prompt, s->data.date, &out, NULL, &lost, err);
    if (!st)
        show(&out, &lost, line);
    tokens_finish(&out);
    return st;
}

static hone_status encode_text(session *z, const settings *s, const char *p, size_t n, size_t line,
                               hone_error *err)
{
    tokens out = { 0 };
    encode_losses lost = { 0 };
    hone_status st;
    if (flags.template_) {
        const message m = { .role = ROLE_USER, .content = { p, n } };
        return encode_messages(z, s, &m, 1, line, err);
    }
    st = tokenizer_encode(z->tok, p, n,
                          (flags.special ? ENCODE_SPECIAL : 0) | (flags.add ? ENCODE_ADD : 0), &out,
                          &lost, err);
    if (!st)
        show(&out, &lost, line);
    tokens_finish(&out);
    return st;
}

static hone_status parse_messages(const json_t *list, message **out, size_t *n, hone_error *err)
{
    static const char *const roles[] = { "", "system", "user", "assistant" };
    size_t i;
    json_t *item;
    message *m = mem_new(json_array_size(list) + 1, sizeof *m);
    if (!m)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the messages");
    json_array_foreach(list, i, item)
    {
        const char *role = json_string_value(json_object_get(item, "role"));
        const json_t *content = json_object_get(item, "content");
        for (uint32_t r = ROLE_SYSTEM; role && r <= ROLE_ASSISTANT; r++)
            if (strcmp(role, roles[r]) == 0)
                m[i].role = r;
        if (!m[i].role || !json_is_string(content)) {
            free(m);
            return hone_fail(
                err, HONE_ERR_FORMAT,
                "message %zu: expected {\"role\": system|user|assistant, \"content\": text}",
                i + 1);
        }
        m[i].content = (hone_str){ json_string_value(content), json_string_length(content) };
    }
    *out = m;
    *n = json_array_size(list);
    return HONE_OK;
}

static hone_status encode_json(session *z, const settings *s, const char *p, size_t n, size_t line,
                               hone_error *err)
{
    char where[64];
    json_t *root = NULL;
    message *m = NULL;
    size_t n_messages = 0;
    if (!n)
        return HONE_OK;
    (void)snprintf(where, sizeof where, "line %zu", line);
    hone_status st = json_parse_texts(&root, p, n, where, err);
    if (st)
        return st;
    const json_t *text_of = json_is_string(root) ? root : json_object_get(root, "text");
    const json_t *list = json_object_get(root, "messages");
    if (json_is_array(list)) {
        if (!(st = parse_messages(list, &m, &n_messages, err)))
            st = encode_messages(z, s, m, n_messages, line, err);
        free(m);
    } else if (json_is_string(text_of)) {
        st = encode_text(z, s, json_string_value(text_of), json_string_length(text_of), line, err);
    } else {
        st = hone_fail(err, HONE_ERR_FORMAT,
                       "expected a string, {\"text\": ..} or {\"messages\": [..]}");
    }
    if (st)
        (void)hone_prefix(err, "line %zu", line);
    json_decref(root);
    return st;
}

static hone_status run_tokenize(settings *s, const arguments *a, hone_error *err)
{
    session z = { 0 };
    char *p = NULL;
    size_t n = 0;
    hone_status st;
    if (a->n > 1 || (a->n && flags.text))
        return hone_fail(err, HONE_ERR_ARG, "one input: a file, - or --text");
    if ((st = session_open(&z, s, SESSION_TOKENIZER, err)))
        goto out;
    if (flags.text)
        p = mem_strdup(flags.text), n = strlen(flags.text);
    else if ((st = read_input(a->n ? a->items[0] : NULL, &p, &n, err)))
        goto out;
    st = flags.jsonl   ? each_line(p, n, encode_json, &z, s, err)
         : flags.lines ? each_line(p, n, encode_text, &z, s, err)
                       : encode_text(&z, s, p, n, 1, err);
out:
    free(p);
    session_close(&z);
    return st;
}

/* ------------------------------------------------------------------- detokenize */

static struct {
    bool special, jsonl;
} back;

static const hone_option back_rows[] = {
    { "special", HONE_OPT_BOOL, 0, 0, 0, "true", NULL, "show special tokens" },
    { "jsonl", HONE_OPT_BOOL, 1, 0, 0, "false", NULL, "print every text as a JSON string" },
    HONE_OPTIONS_END,
};

static hone_status decode_line(session *z, const settings *s, const char *p, size_t n, size_t line,
                               hone_error *err)
{
    char where[64];
    json_t *root = NULL, *item;
    text out = { 0 };
    int32_t *ids = NULL;
    size_t i, count = 0;
    (void)s;
    if (!n)
        return HONE_OK;
    (void)snprintf(where, sizeof where, "line %zu", line);
    hone_status st = json_parse(&root, p, n, where, err);
    if (st)
        return st;
    const json_t *list = json_is_array(root) ? root : json_object_get(root, "ids");
    ids = mem_new(json_array_size(list) + 1, sizeof *ids);
    if (!json_is_array(list) || !ids) {
        st = hone_fail(err, HONE_ERR_FORMAT,
                       "line %zu: expected an array of ids, or {\"ids\": [..]}", line);
        goto out;
    }
    json_array_foreach(list, i, item)
    {
        const json_int_t id = json_is_integer(item) ? json_integer_value(item) : -1;
        if (id < 0 || id > INT32_MAX) {
            st = hone_fail(err, HONE_ERR_FORMAT, "line %zu: entry %zu is not a token id", line,
                           i + 1);
            goto out;
        }
        ids[count++] = (int32_t)id;
    }
    if ((st = tokenizer_decode(z->tok, ids, count, !back.special, &out, err)) ||
        (st = text_status(&out, err)))
        goto out;
    if (back.jsonl) {
        json_t *string = json_stringn(out.p ? out.p : "", out.n);
        (void)json_dumpf(string, stdout, JSON_ENCODE_ANY);
        json_decref(string);
    } else if (out.n) {
        (void)fwrite(out.p, 1, out.n, stdout);
    }
    putchar('\n');
out:
    text_finish(&out);
    free(ids);
    json_decref(root);
    return st;
}

static hone_status run_detokenize(settings *s, const arguments *a, hone_error *err)
{
    session z = { 0 };
    char *p = NULL;
    size_t n = 0;
    hone_status st = session_open(&z, s, SESSION_TOKENIZER, err);
    if (!st && a->n && a->items[0][0] == '[')
        st = decode_line(&z, s, a->items[0], strlen(a->items[0]), 1, err);
    else if (!st && !(st = read_input(a->n ? a->items[0] : NULL, &p, &n, err)))
        st = each_line(p, n, decode_line, &z, s, err);
    free(p);
    session_close(&z);
    return st;
}

/* ------------------------------------------------------------------- vocabulary */

typedef struct vocabulary_flags {
    int64_t size;
    hone_list special;
} vocabulary_flags;

static vocabulary_flags vocabulary;

/* clang-format off */
static const hone_option vocabulary_rows[] = {
    HONE_ROW_I64(vocabulary_flags, size, 257, 1 << 20, "4096", "entries, the 256 bytes and special tokens included"),
    HONE_ROW_LIST(vocabulary_flags, special, "<|endoftext|>,<|im_start|>,<|im_end|>", "special tokens, first ids first"),
    HONE_OPTIONS_END,
};
/* clang-format on */

static hone_status collect(void *ctx, const sample *x, int64_t line, hone_error *err)
{
    text *all = ctx;
    (void)line;
    for (size_t i = 0; i < x->n_segments; i++) {
        text_add(all, x->segments[i].text, x->segments[i].n);
        text_putc(all, '\n');
    }
    return text_status(all, err);
}

static hone_status run_vocabulary(settings *s, const arguments *a, hone_error *err)
{
    text all = { 0 };
    hone_status st = HONE_OK;
    (void)s;
    if (a->n < 2)
        return hone_fail(err, HONE_ERR_ARG,
                         "expected a folder to write to and one or more datasets");
    for (int i = 1; i < a->n && !st; i++)
        st = dataset_read(a->items[i], collect, &all, NULL, err);
    if (!st && !(st = dir_make(a->items[0], err))) {
        const hone_str whole = { all.p, all.n };
        st = tokenizer_train(a->items[0], &whole, 1, vocabulary.size, vocabulary.special.items,
                             (size_t)vocabulary.special.n, err);
    }
    if (!st)
        printf("written: %s/tokenizer.json, %lld entries from %zu bytes of text\n", a->items[0],
               (long long)vocabulary.size, all.n);
    text_finish(&all);
    return st;
}

const command cmd_tokenize = {
    .name = "tokenize",
    .operands = "[FILE | -]",
    .summary = "text or JSON lines to token ids",
    .sections = "data",
    .flags = rows,
    .flag_values = &flags,
    .run = run_tokenize,
};

const command cmd_detokenize = {
    .name = "detokenize",
    .operands = "[FILE | - | [1,2]]",
    .summary = "token ids to text",
    .sections = "data",
    .flags = back_rows,
    .flag_values = &back,
    .run = run_detokenize,
};

const command cmd_vocabulary = {
    .name = "vocabulary",
    .operands = "FOLDER DATASET..",
    .summary = "train a byte-level BPE tokenizer on datasets",
    .sections = "",
    .flags = vocabulary_rows,
    .flag_values = &vocabulary,
    .stands_alone = true,
    .run = run_vocabulary,
};
