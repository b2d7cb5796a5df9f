/*
 * cmd_ask.c - hone ask (one question) and hone chat (a conversation), streamed.
 *
 * A chat keeps the cache: what a turn shares with the conversation so far is not fed
 * again, however the template renders it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/app/app.h"

static struct {
    bool raw, json;
} flags;

static const hone_option rows[] = {
    { "raw", HONE_OPT_BOOL, 0, 0, 0, "false", NULL, "no template: continue the text as it stands" },
    { "json", HONE_OPT_BOOL, 1, 0, 0, "false", NULL, "print one JSON object instead of streaming" },
    HONE_OPTIONS_END,
};

typedef struct printer { /* streams an answer as it comes */
    const tokenizer *tok;
    token_stream stream;
    text answer;
    bool show;
} printer;

static hone_status print_token(void *ctx, int32_t id, hone_error *err)
{
    printer *p = ctx;
    const size_t before = p->answer.n;
    hone_status st = token_stream_push(p->tok, &p->stream, id, true, &p->answer, err);
    if (!st && p->show && p->answer.n > before) {
        (void)fwrite(p->answer.p + before, 1, p->answer.n - before, stdout);
        (void)fflush(stdout);
    }
    if (!st && app_stop)
        return HONE_ERR_CANCELLED;
    return st;
}

/* The longest common start of what the cache holds and what comes now. */
static size_t common(const tokens *fed, const tokens *now)
{
    size_t n = 0;
    while (n < fed->n && n < now->n && fed->p[n].id == now->p[n].id)
        n++;
    return n;
}

/* Feed what is new of `prompt` and answer. fed: what the cache holds, updated. */
static hone_status answer(session *z, const settings *s, const tokens *prompt, tokens *fed,
                          printer *p, const char **reason, hone_error *err)
{
    tokens made = { 0 };
    size_t n_stops, keep = common(fed, prompt);
    const int32_t *stops = chat_template_stops(z->chat, &n_stops);
    int32_t *ids = mem_new(prompt->n + 1, sizeof *ids);
    hone_status st;
    if (!ids)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu tokens", prompt->n);
    for (size_t i = 0; i < prompt->n; i++)
        ids[i] = prompt->p[i].id;
    if (keep == prompt->n && keep > 0)
        keep--; /* the last token must be fed again: its logits choose the first word */
    model_rewind(z->net, (int64_t)keep);
    st = model_generate(z->net, ids + keep, prompt->n - keep, &s->generate, stops, n_stops,
                        print_token, p, &made, reason, err);
    const hone_status end = token_stream_end(z->tok, &p->stream, true, &p->answer, NULL);
    if (!st && end)
        st = end;

    fed->n = 0;
    if (!st && !mem_grow(&fed->p, &fed->cap, prompt->n + made.n, sizeof *fed->p))
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu tokens", prompt->n + made.n);
    if (!st) {
        for (size_t i = 0; i < prompt->n; i++)
            fed->p[fed->n++] = prompt->p[i];
        for (size_t i = 0; i < made.n; i++)
            fed->p[fed->n++] = made.p[i];
        if ((int64_t)fed->n > model_fed(z->net)) /* the last token was chosen, not fed */
            fed->n = (size_t)model_fed(z->net);
    }
    tokens_finish(&made);
    free(ids);
    return st;
}

static hone_status encode(session *z, const settings *s, const message *m, size_t n, tokens *out,
                          hone_error *err)
{
    encode_losses lost = { 0 };
    hone_status st;
    if (flags.raw)
        st = tokenizer_encode(z->tok, m[n - 1].content.p, m[n - 1].content.n, ENCODE_ADD, out,
                              &lost, err);
    else
        st = chat_template_encode(z->chat, m, n, true, s->data.date, out, NULL, &lost, err);
    if (!st)
        encode_losses_warn(&lost, "the question");
    if (!st && !out->n)
        return hone_fail(err, HONE_ERR_ARG, "the question is empty");
    if (!st && (int64_t)out->n >= s->use.context)
        return hone_fail(err, HONE_ERR_LIMIT,
                         "the prompt has %zu tokens, the context %lld; raise --use.context", out->n,
                         (long long)s->use.context);
    return st;
}

static hone_status run_ask(settings *s, const arguments *a, hone_error *err)
{
    session z = { 0 };
    printer p = { .show = !flags.json };
    tokens prompt = { 0 }, fed = { 0 };
    char *question = NULL;
    size_t n = 0, n_messages = 0;
    message m[2];
    const char *reason = "";
    hone_status st = HONE_OK;
    if (a->n > 1)
        return hone_fail(err, HONE_ERR_ARG, "one question at a time; put it in quotes");
    if (a->n == 1 && strcmp(a->items[0], "-") != 0) {
        question = mem_strdup(a->items[0]);
        n = question ? strlen(question) : 0;
    } else {
        if (isatty(STDIN_FILENO) && a->n == 0)
            return hone_fail(err, HONE_ERR_ARG,
                             "no question: hone ask \"...\", or - for standard input");
        if ((st = read_input(NULL, &question, &n, err)))
            return st;
    }
    if ((st = mend_input(&question, &n, "the question", err)) ||
        (st = session_open(&z, s, SESSION_TOKENIZER | SESSION_MODEL, err)))
        goto out;
    if (s->use.system)
        m[n_messages++] = (message){ .role = ROLE_SYSTEM, .content = hone_s(s->use.system) };
    m[n_messages++] = (message){ .role = ROLE_USER, .content = { question, n } };
    p.tok = z.tok;
    if ((st = encode(&z, s, m, n_messages, &prompt, err)))
        goto out;
    const double start = clock_now();
    st = answer(&z, s, &prompt, &fed, &p, &reason, err);
    if (st)
        goto out;
    if (flags.json) {
        json_t *o =
            json_pack("{s:s%, s:s%, s:s, s:I, s:f}", "question", question, n, "answer",
                      p.answer.p ? p.answer.p : "", p.answer.n, "reason", reason, "prompt_tokens",
                      (json_int_t)prompt.n, "seconds", clock_now() - start);
        if (!o) {
            st = hone_fail(err, HONE_ERR_NOMEM, "no memory for the answer");
            goto out;
        }
        (void)json_dumpf(o, stdout, JSON_ENSURE_ASCII * 0);
        json_decref(o);
    }
    putchar('\n');
    if (strcmp(reason, "length") == 0 || strcmp(reason, "context") == 0)
        log_line(HONE_LOG_INFO, "cut at %s; raise --%s", reason,
                 reason[0] == 'l' ? "generate.max_tokens" : "use.context");
    if (strcmp(reason, "cancelled") == 0)
        st = hone_fail(err, HONE_ERR_CANCELLED, "interrupted");
out:
    free(question);
    text_finish(&p.answer);
    token_stream_finish(&p.stream);
    tokens_finish(&prompt);
    tokens_finish(&fed);
    session_close(&z);
    return st;
}

/* A conversation: messages own their text. */
typedef struct talk {
    message *m;
    char **texts; /* owned, one per message */
    size_t n, cap, cap_texts;
} talk;

static hone_status talk_add(talk *t, uint32_t role, const char *p, size_t n, hone_error *err)
{
    char *copy = mem_strndup(p ? p : "", n);
    if (!copy || !mem_grow(&t->m, &t->cap, t->n + 1, sizeof *t->m) ||
        !mem_grow(&t->texts, &t->cap_texts, t->n + 1, sizeof *t->texts)) {
        free(copy);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the conversation");
    }
    t->texts[t->n] = copy;
    t->m[t->n++] = (message){ .role = role, .content = { copy, n } };
    return HONE_OK;
}

static void talk_cut(talk *t, size_t keep)
{
    while (t->n > keep)
        free(t->texts[--t->n]);
}

static hone_status run_chat(settings *s, const arguments *a, hone_error *err)
{
    session z = { 0 };
    talk t = { 0 };
    tokens fed = { 0 };
    char *line = NULL;
    size_t cap = 0;
    const bool terminal = isatty(STDIN_FILENO) == 1;
    hone_status st;
    if (a->n)
        return hone_fail(err, HONE_ERR_ARG, "'%s': hone chat takes no question; type it",
                         a->items[0]);
    if ((st = session_open(&z, s, SESSION_TOKENIZER | SESSION_MODEL, err)))
        goto out;
    if (s->use.system &&
        (st = talk_add(&t, ROLE_SYSTEM, s->use.system, strlen(s->use.system), err)))
        goto out;
    const size_t first = t.n;
    if (terminal)
        fputs("A line is a turn. /new starts over, /quit or Ctrl-D ends.\n", stdout);
    while (!app_stop) {
        if (terminal) {
            fputs("\n> ", stdout);
            (void)fflush(stdout);
        }
        ssize_t n = getline(&line, &cap, stdin);
        if (n < 0)
            break;
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            line[--n] = '\0';
        if (n == 0)
            continue;
        if (strcmp(line, "/quit") == 0)
            break;
        if (strcmp(line, "/new") == 0) {
            talk_cut(&t, first);
            continue;
        }
        tokens prompt = { 0 };
        printer p = { .tok = z.tok, .show = true };
        const char *reason = "";
        if (!(st = talk_add(&t, ROLE_USER, line, (size_t)n, err)) &&
            !(st = encode(&z, s, t.m, t.n, &prompt, err)) &&
            !(st = answer(&z, s, &prompt, &fed, &p, &reason, err)))
            st = talk_add(&t, ROLE_ASSISTANT, p.answer.p, p.answer.n, err);
        putchar('\n');
        tokens_finish(&prompt);
        text_finish(&p.answer);
        token_stream_finish(&p.stream);
        if (st ==
            HONE_ERR_LIMIT) { /* the conversation is too long: say so, drop this turn, go on */
            log_line(HONE_LOG_WARN, "%s, or /new", err->message);
            talk_cut(&t, t.n - 1);
            st = HONE_OK;
        }
        if (st)
            goto out;
    }
    if (app_stop)
        st = hone_fail(err, HONE_ERR_CANCELLED, "interrupted");
out:
    talk_cut(&t, 0);
    free(t.m);
    free(t.texts);
    free(line);
    tokens_finish(&fed);
    session_close(&z);
    return st;
}

const command cmd_ask = {
    .name = "ask",
    .operands = "QUESTION | -",
    .summary = "one answer of the tuned model",
    .sections = "generate use device weights",
    .flags = rows,
    .flag_values = &flags,
    .run = run_ask,
};

const command cmd_chat = {
    .name = "chat",
    .operands = "",
    .summary = "a conversation with the tuned model",
    .sections = "generate use device weights",
    .run = run_chat,
};
