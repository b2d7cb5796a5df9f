/*
 * test_template.c - a template as it is opened: by name, from the user's own file, from the
 * model; what is learned of it, and where it stops.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/template.h"

#include "tiny_model.h"
#include <time.h>

static const char *const chat_specials[] = { "<|im_start|>", "<|im_end|>", NULL };
#define IM_START 259
#define IM_END 260

static const message talk[] = {
    { ROLE_SYSTEM, { "S", 1 }, false },     { ROLE_USER, { "q", 1 }, false },
    { ROLE_ASSISTANT, { "a", 1 }, false },  { ROLE_USER, { "r", 1 }, false },
    { ROLE_ASSISTANT, { "bb", 2 }, false },
};

static chat_template *open_or_die(const char *choice, const char *dir, const tokenizer *t)
{
    chat_template *c = NULL;
    hone_error err = { 0 };
    if (chat_template_open(&c, choice, dir, t, &err)) {
        fprintf(stderr, "%s: %s\n", choice ? choice : "auto", err.message);
        exit(EXIT_FAILURE);
    }
    return c;
}

static char *refusal(const char *choice, const char *dir, const tokenizer *t, hone_status want)
{
    static hone_error err;
    chat_template *c = NULL;
    err = (hone_error){ 0 };
    CHECK_INT(chat_template_open(&c, choice, dir, t, &err), want);
    CHECK(!c);
    return err.message;
}

/* The text with learned ranges in [ ] and ends of turn in { }. */
static char *marked(const chat_template *c, const message *m, size_t n, bool prompt)
{
    static char out[1024];
    rendered r = { 0 };
    hone_error err = { 0 };
    size_t k = 0, s = 0, e = 0, p = 0;
    if (chat_template_render(c, m, n, prompt, "01 Feb 2025", &r, &err)) {
        (void)snprintf(out, sizeof out, "! %s", err.message);
        return out;
    }
    for (size_t i = 0; i <= r.text.n && k < sizeof out - 8; i++) {
        if (e < r.n_ends && r.ends[e].end == i)
            out[k++] = '}', e++;
        if (s < r.n_spans && r.spans[s].end == i)
            out[k++] = ']', s++;
        if (s < r.n_spans && r.spans[s].start == i)
            out[k++] = '[';
        if (e < r.n_ends && r.ends[e].start == i)
            out[k++] = '{';
        if (i < r.text.n)
            out[k++] = r.text.p[i];
    }
    out[k] = '\0';
    CHECK_INT(r.n_parts ? r.parts[0].start : 0, 0);
    for (; p < r.n_parts; p++) /* parts cover the text without gaps */
        CHECK(r.parts[p].end == (p + 1 < r.n_parts ? r.parts[p + 1].start : r.text.n));
    rendered_finish(&r);
    return out;
}

static void test_template__learns_what_the_model_has_to_say(void)
{
    static const struct {
        const char *name, *want;
    } cases[] = {
        { "plain", "<s>S\n\nq\n\n[a{</s>}]r\n\n[bb{</s>}]" },
        { "alpaca", "<s>S\n\n### Instruction:\nq\n\n### Response:\n[a{</s>}]\n\n### "
                    "Instruction:\nr\n\n### Response:\n[bb{</s>}]\n\n" },
        { "llama2",
          "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nq [/INST][ a {</s>}]<s>[INST] r [/INST][ bb {</s>}]" },
        { "chatml", "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>"
                    "assistant\n[a{<|im_end|>}]\n"
                    "<|im_start|>user\nr<|im_end|>\n<|im_start|>assistant\n[bb{<|im_end|>}]\n" },
        { "qwen3", "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>"
                   "assistant\n[a{<|im_end|>}]\n"
                   "<|im_start|>user\nr<|im_end|>\n<|im_start|>assistant\n[<think>\n\n</"
                   "think>\n\nbb{<|im_end|>}]\n" },
        { "mistral", "! turn 1 is the system's: the template mistral has no place for it; leave it "
                     "out, or put it into the user's turn" },
        { "mistral-system", "<s> [INST] S\n\nq [/INST][ a{</s>}] [INST] r [/INST][ bb{</s>}]" },
        { "mistral-v0.3", "<s>[INST] q[/INST][ a{</s>}][INST] r[/INST][ bb{</s>}]" },
        { "zephyr", "<|system|>\nS</s>\n<|user|>\nq</s>\n<|assistant|>\n[a{</s>}]\n<|user|>\nr</"
                    "s>\n<|assistant|>\n[bb{</s>}]\n" },
    };
    tokenizer *t = tiny_tokenizer(true, chat_specials, TINY_CONFIG);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        chat_template *c = open_or_die(cases[i].name, NULL, t);
        CHECK_STR(marked(c, talk, 5, false), cases[i].want);
        CHECK_STR(chat_template_name(c), cases[i].name);
        chat_template_close(c);
    }
    tokenizer_close(t);
}

/* What is learned begins where the prompt of a generation ends. */
static void test_template__prompts_end_where_learning_begins(void)
{
    static const char *const specials[] = { "<|im_start|>", "<|im_end|>", "<|eot_id|>", NULL };
    tokenizer *t = tiny_tokenizer(true, specials, TINY_CONFIG);
    for (const char *const *name = chat_template_names(); *name; name++) {
        chat_template *c = open_or_die(*name, NULL, t);
        rendered whole = { 0 }, prompt = { 0 };
        hone_error err = { 0 };
        CHECK_OK(chat_template_render(c, talk + 1, 4, false, NULL, &whole, &err), err);
        CHECK_OK(chat_template_render(c, talk + 1, 3, true, NULL, &prompt, &err), err);
        CHECK_INT(whole.n_spans, 2);
        CHECK_INT(whole.spans[1].start, prompt.text.n);
        CHECK(!memcmp(whole.text.p, prompt.text.p, prompt.text.n));
        CHECK_INT(whole.ends[1].end, whole.spans[1].end);
        rendered_finish(&whole);
        rendered_finish(&prompt);
        chat_template_close(c);
    }
    tokenizer_close(t);
}

static void test_template__says_when_it_prints_the_day(void)
{
    static const char *const specials[] = { "<|eot_id|>", NULL };
    tokenizer *t = tiny_tokenizer(true, specials, TINY_CONFIG);
    static const struct {
        const char *name;
        bool prints;
    } cases[] = {
        { "llama32", true }, { "llama31", false }, { "llama3", false }, { "none", false }
    };
    const message m = { .role = ROLE_USER, .content = hone_s("q") };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        chat_template *c = open_or_die(cases[i].name, NULL, t);
        const char *today = chat_template_today(c);
        CHECK_INT(today != NULL, cases[i].prints);
        if (today) {
            rendered r = { 0 };
            hone_error err = { 0 };
            CHECK_OK(chat_template_render(c, &m, 1, false, NULL, &r, &err), err);
            CHECK_INT(strlen(today), 11);
            CHECK_HAS(r.text.p, today);
            rendered_finish(&r);
        }
        chat_template_close(c);
    }
    tokenizer_close(t);
}

static void test_template__encodes_with_labels_and_one_bos(void)
{
    tokenizer *t = tiny_tokenizer(true, chat_specials, TINY_CONFIG);
    chat_template *c = open_or_die("llama2", NULL, t);
    message m[2] = { talk[1], talk[2] };
    tokens ids = { 0 };
    int32_t *labels = NULL;
    encode_losses lost = { 0 };
    hone_error err = { 0 };
    static const char text_of[] = "B[INST] q [/INST] a E";
    CHECK_OK(chat_template_encode(c, m, 2, false, NULL, &ids, &labels, &lost, &err), err);
    CHECK_INT(ids.n, sizeof text_of - 1);
    for (size_t i = 0; i < ids.n; i++) {
        CHECK_INT(ids.p[i].id, text_of[i] == 'B'   ? TINY_BOS
                               : text_of[i] == 'E' ? TINY_EOS
                                                   : text_of[i]);
        CHECK_INT(labels[i], i < ids.n - 4 ? LABEL_MASKED : ids.p[i].id);
    }
    free(labels);
    m[1].masked = true;
    CHECK_OK(chat_template_encode(c, m, 2, false, NULL, &ids, &labels, &lost, &err), err);
    for (size_t i = 0; i < ids.n; i++)
        CHECK_INT(labels[i], LABEL_MASKED);
    free(labels);
    tokens_finish(&ids);
    chat_template_close(c);
    tokenizer_close(t);
}

static void test_template__knows_where_to_stop(void)
{
    tokenizer *t = tiny_tokenizer(true, chat_specials, TINY_CONFIG);
    chat_template *c = open_or_die("chatml", NULL, t);
    size_t n;
    const int32_t *stops = chat_template_stops(c, &n);
    CHECK_INT(n, 2);
    CHECK_INT(stops[0], IM_END);
    CHECK_INT(stops[1], TINY_EOS);
    chat_template_close(c);
    c = open_or_die("plain", NULL, t);
    stops = chat_template_stops(c, &n);
    CHECK_INT(n, 1);
    CHECK_INT(stops[0], TINY_EOS);
    chat_template_close(c);
    CHECK_STR(refusal("llama3", NULL, t, HONE_ERR_FORMAT),
              "template llama3: an answer ends with \"<|eot_id|>\", which is no token of this "
              "tokenizer; take a template "
              "made for the model");
    tokenizer_close(t);
    t = tiny_tokenizer(false, chat_specials, "{\"bos_token\": \"<s>\"}");
    CHECK_HAS(refusal("plain", NULL, t, HONE_ERR_FORMAT), "and the tokenizer has no EOS");
    tokenizer_close(t);
}

static void test_template__hash_is_of_the_text_it_writes(void)
{
    tokenizer *t = tiny_tokenizer(true, chat_specials, TINY_CONFIG),
              *bare = tiny_tokenizer(false, chat_specials, TINY_CONFIG);
    chat_template *a = open_or_die("chatml", NULL, t), *b = open_or_die("chatml", NULL, t),
                  *c = open_or_die("qwen3", NULL, t), *d = open_or_die("plain", NULL, t),
                  *e = open_or_die("plain", NULL, bare);
    CHECK_INT(strlen(chat_template_hash(a)), 64);
    CHECK_STR(chat_template_hash(a), chat_template_hash(b));
    CHECK(strcmp(chat_template_hash(a), chat_template_hash(c)) != 0);
    CHECK(strcmp(chat_template_hash(d), chat_template_hash(e)) != 0);
    chat_template_close(a);
    chat_template_close(b);
    chat_template_close(c);
    chat_template_close(d);
    chat_template_close(e);
    tokenizer_close(t);
    tokenizer_close(bare);
}

static void test_template__dates(void)
{
    static const char *const specials[] = { "<|eot_id|>", NULL };
    tokenizer *t = tiny_tokenizer(true, specials, TINY_CONFIG);
    chat_template *c = open_or_die("llama31", NULL, t);
    rendered r = { 0 };
    hone_error err = { 0 };
    CHECK_OK(chat_template_render(c, talk + 1, 1, false, NULL, &r, &err), err);
    CHECK_HAS(r.text.p,
              "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>");
    CHECK_OK(chat_template_render(c, talk + 1, 1, false, "01 Feb 2025", &r, &err), err);
    CHECK_HAS(r.text.p, "Today Date: 01 Feb 2025\n\n");
    chat_template_close(c);
    c = open_or_die("llama32", NULL, t);
    char want[64];
    const time_t now = time(NULL);
    (void)strftime(want, sizeof want, "Today Date: %d %b %Y\n\n<|eot_id|>", localtime(&now));
    CHECK_OK(chat_template_render(c, talk + 1, 1, false, NULL, &r, &err), err);
    CHECK_HAS(r.text.p, want);
    rendered_finish(&r);
    chat_template_close(c);
    tokenizer_close(t);
}

/* -------------------------------------------------------------------- from the model */

static void put(const char *file, const char *words)
{
    hone_error err = { 0 };
    char *path = path_join(tiny_dir(), file);
    CHECK_OK(file_write(path, words, strlen(words), &err), err);
    free(path);
}

#define CHATML_JINJA                                                             \
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + " \
    "message['content'] + "                                                      \
    "'<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ "        \
    "'<|im_start|>assistant\\n' }}{% endif %}"
#define CHATML_JSON                                                                \
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\\\n' + " \
    "message['content'] + "                                                        \
    "'<|im_end|>' + '\\\\n'}}{% endfor %}{% if add_generation_prompt %}{{ "        \
    "'<|im_start|>assistant\\\\n' }}{% endif %}"

static void test_template__is_found_in_the_models_files(void)
{
    tokenizer *t = tiny_tokenizer(true, chat_specials, TINY_CONFIG);
    chat_template *c = NULL;
    tiny_model_write(tiny_dir(), true, chat_specials, TINY_CONFIG);
    c = open_or_die(NULL, tiny_dir(), t);
    CHECK_STR(chat_template_name(c), "none");
    CHECK_STR(chat_template_hash(c), "");
    CHECK_HAS(marked(c, talk, 2, true),
              "the model's files bring no chat template (a base model?); set template to one of");
    chat_template_close(c);
    put("chat_template.json", "{\"chat_template\": \"" CHATML_JSON "\"}");
    c = open_or_die("auto", tiny_dir(), t);
    CHECK_STR(chat_template_name(c), "chatml");
    chat_template_close(c);
    put("tokenizer_config.json",
        "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"x\"}, {\"name\": "
        "\"default\", \"template\": \"{% for m in messages %}{{ '<|' + m.role + '|>\\\\n' + "
        "m.content + "
        "eos_token }}\\n{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}\\n{% endif "
        "%}\\n\"}]}");
    c = open_or_die(NULL, tiny_dir(), t);
    CHECK_STR(chat_template_name(c), "zephyr");
    chat_template_close(c);
    put("tokenizer_config.json",
        "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"x\"}]}");
    CHECK_HAS(refusal(NULL, tiny_dir(), t, HONE_ERR_FORMAT),
              "neither a text nor a list with one named default");
    put("chat_template.jinja", CHATML_JINJA "\n");
    c = open_or_die(NULL, tiny_dir(), t);
    CHECK_STR(chat_template_name(c), "chatml");
    chat_template_close(c);
    char *path = path_join(tiny_dir(), "chat_template.jinja");
    c = open_or_die(path, NULL, t);
    CHECK_STR(chat_template_name(c), "chatml");
    chat_template_close(c);
    free(path);
    hone_error err = { 0 };
    CHECK_OK(dir_remove(tiny_dir(), &err), err);
    tokenizer_close(t);
}

/* One changed word of output makes another template of it. */
static void test_template__is_refused_when_it_is_another(void)
{
    static const struct {
        const char *jinja, *want;
    } cases[] = {
        { "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' "
          "}}{% endfor %}",
          "this chat template is not a known one (nearest: chatml, which differs for turns of "
          "user)" },
        { "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content|trim + "
          "'<|im_end|>\\n' }}{% endfor %}{% if "
          "add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
          "not a known one (nearest: chatml" },
        { "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\\nYou are a helpful "
          "Assistant.<|im_end|>\\n' }}{% endif "
          "%}" CHATML_JINJA,
          "not a known one" },
        { "{% if messages|length == 4 %}!{% endif %}" CHATML_JINJA,
          "not a known one (nearest: chatml" },
        { "{{ messages|tojson }}", "the chat template uses what hone does not run" },
        { "{% for m in messages %}", "endfor was expected" },
        { "", "not a known one" },
    };
    tokenizer *t = tiny_tokenizer(true, chat_specials, TINY_CONFIG);
    tiny_model_write(tiny_dir(), true, chat_specials, TINY_CONFIG);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        chat_template *c = NULL;
        hone_error err = { 0 };
        put("chat_template.jinja", cases[i].jinja);
        CHECK(chat_template_open(&c, NULL, tiny_dir(), t, &err) != HONE_OK);
        CHECK_HAS(err.message, cases[i].want);
        CHECK_HAS(err.message, "chat_template.jinja");
        if (i == 0)
            CHECK_HAS(err.message, "set template to one of: plain, alpaca, llama2");
    }
    /* what no probe thought of is caught when it is rendered */
    put("chat_template.jinja", "{% for m in messages %}{% if 'xyzzy' in m.content %}!{% endif %}{% "
                               "endfor %}" CHATML_JINJA);
    chat_template *c = open_or_die(NULL, tiny_dir(), t);
    const message magic = { ROLE_USER, { "say xyzzy", 9 }, false };
    CHECK_HAS(marked(c, talk, 2, true), "<|im_start|>");
    CHECK_HAS(marked(c, &magic, 1, true),
              "writes this conversation otherwise than chatml from byte 0 on");
    chat_template_close(c);
    hone_error err = { 0 };
    CHECK_OK(dir_remove(tiny_dir(), &err), err);
    tokenizer_close(t);
}

/* ------------------------------------------------------------------ the user's own file */

static void test_template__own_file(void)
{
    static const char own[] =
        "{\"name\": \"desk\", \"start\": \"{bos}\", \"alternate\": true,"
        " \"system\": {\"place\": \"first_user\", \"fold\": \"({system}) {content}\"},"
        " \"user\": {\"before\": \"Q: \", \"after\": \"\\n\", \"trim\": true},"
        " \"assistant\": {\"before\": \"A:\", \"lead\": \" \", \"end\": \"{eos}\", \"after\": "
        "\"\\n\"}}";
    tokenizer *t = tiny_tokenizer(true, chat_specials, TINY_CONFIG);
    hone_error err = { 0 };
    CHECK_OK(dir_make(tiny_dir(), &err), err);
    put("desk.json", own);
    char *path = path_join(tiny_dir(), "desk.json");
    chat_template *c = open_or_die(path, NULL, t);
    CHECK_STR(chat_template_name(c), "desk");
    CHECK_STR(marked(c, talk, 5, true), "<s>Q: (S) q\nA:[ a{</s>}]\nQ: r\nA:[ bb{</s>}]\nA:");
    CHECK_HAS(marked(c, talk + 2, 1, true),
              "turn 1 is the assistant's: the template desk wants user and assistant in turns");
    chat_template_close(c);
    free(path);
    CHECK_OK(dir_remove(tiny_dir(), &err), err);
    CHECK_HAS(refusal("chatmi", NULL, t, HONE_ERR_NOTFOUND),
              "template \"chatmi\" is neither a known name nor a file; did you mean \"chatml\"?; "
              "known: auto, plain, alpaca");
    tokenizer_close(t);
}

static void test_template__own_file_errors(void)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        { "{", "own:1:" },
        { "[]", "own: a JSON object was expected" },
        { "{\"user\": {}, \"asistant\": {}}",
          "own: unknown key \"asistant\"; did you mean \"assistant\"?" },
        { "{\"user\": {\"befor\": \"\"}}",
          "own: unknown key \"user.befor\"; did you mean \"before\"?" },
        { "{\"user\": {\"before\": \"\", \"after\": \"\"}, \"assistant\": {\"before\": \"\"}}",
          "own: \"assistant.end\" is missing" },
        { "{\"user\": 3}", "own: \"user\" must be an object" },
        { "{\"user\": {\"before\": 1}}", "own: \"user.before\" must be a string" },
        { "{\"alternate\": 1, \"user\": {\"before\": \"\", \"after\": \"\"}, \"assistant\": "
          "{\"before\": \"\", \"end\": \"\"}}",
          "own: \"alternate\" must be true or false" },
        { "{\"system\": {\"place\": \"up\"}, \"user\": {\"before\": \"\", \"after\": \"\"}, "
          "\"assistant\": {\"before\": \"\", \"end\": \"\"}}",
          "own: \"system.place\" must be own, first_user, last_user or refused" },
        { "{\"system\": {\"place\": \"first_user\"}, \"user\": {\"before\": \"\", \"after\": "
          "\"\"}, \"assistant\": {\"before\": \"\", \"end\": "
          "\"\"}}",
          "own: \"system.fold\" belongs to the places first_user and last_user" },
        { "{\"system\": {\"place\": \"first_user\", \"fold\": \"x\"}, \"user\": {\"before\": \"\", "
          "\"after\": \"\"}, \"assistant\": "
          "{\"before\": \"\", \"end\": \"\"}}",
          "own: \"system.fold\" must hold {system} and {content}" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        template_row r = { 0 };
        json_t *keep = NULL;
        hone_error err = { 0 };
        CHECK(template_row_parse(&r, &keep, cases[i].in, strlen(cases[i].in), "own", &err) !=
              HONE_OK);
        CHECK_HAS(err.message, cases[i].want);
        CHECK(!keep && !r.name);
    }
}

int main(void)
{
    RUN(test_template__learns_what_the_model_has_to_say);
    RUN(test_template__prompts_end_where_learning_begins);
    RUN(test_template__says_when_it_prints_the_day);
    RUN(test_template__encodes_with_labels_and_one_bos);
    RUN(test_template__knows_where_to_stop);
    RUN(test_template__hash_is_of_the_text_it_writes);
    RUN(test_template__dates);
    RUN(test_template__is_found_in_the_models_files);
    RUN(test_template__is_refused_when_it_is_another);
    RUN(test_template__own_file);
    RUN(test_template__own_file_errors);
    return TEST_EXIT();
}
