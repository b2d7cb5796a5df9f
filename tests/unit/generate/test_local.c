/*
 * test_local.c - the tiny model answers many prompts at once as it answers each alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <unistd.h>

#include "core/generate/parts.h"
#include "test.h"

#define PROMPTS 7

static char *dir, *cache, *folder;
static registry *plugins;
static backend *device;
static tokenizer *tok;
static chat_template *chat;
static int opened;
static model *net;

static hone_status open_model(void *ctx, int64_t at_once, model **out, hone_error *err)
{
    const int64_t *context = ctx;
    const model_options o = { .dir = folder,
                              .seq_len = 64,
                              .batch = 1,
                              .max_sequences = 2 * at_once,
                              .context = *context * at_once };
    opened++;
    hone_status st = model_open(&net, device, &o, err);
    *out = net;
    return st;
}

static generator *open_with(int64_t at_once, const sampling *s, int64_t *context)
{
    const generator_options o = { .batch = at_once };
    const generator_model m = {
        .ctx = context, .open = open_model, .identity = "tiny", .tok = tok, .chat = chat
    };
    hone_error err = { 0 };
    generator *g = NULL;
    CHECK_OK(generator_open(&g, &o, &m, s, cache, &err), err);
    return g;
}

static void close_all(generator *g)
{
    generator_close(g);
    model_close(net);
    net = NULL;
}

static hone_prompt prompt_of(int i)
{
    static char users[PROMPTS][200];
    (void)snprintf(
        users[i], sizeof users[i], "%.*s Question %d?", i * 20,
        "This is a prompt of some length, longer than others, so that prompts are read in "
        "several passes while answers go on.",
        i);
    return (hone_prompt){ .struct_size = sizeof(hone_prompt),
                          .system = hone_s(i % 2 ? "Be short." : ""),
                          .user = hone_s(users[i]),
                          .version = hone_s("v"),
                          .max_tokens = 6 + i };
}

static void ask_all(generator *g, char answers[PROMPTS][400])
{
    const hone_generate_service *s = generator_service(g);
    uint64_t handles[PROMPTS];
    hone_error err = { 0 };
    for (int i = 0; i < PROMPTS; i++) {
        const hone_prompt p = prompt_of(i);
        CHECK_OK(s->submit(s, &p, &handles[i], &err), err);
    }
    for (int i = 0; i < PROMPTS; i++) {
        hone_answer a = { 0 };
        CHECK_OK(s->collect(s, handles[i], &a, &err), err);
        (void)snprintf(answers[i], 400, "%u %.*s", a.end, (int)a.text.n, a.text.p);
        s->release(s, handles[i]);
    }
}

static void test_local__many_at_once_as_each_alone(void)
{
    const sampling settings[] = {
        { .top_p = 1, .repetition_penalty = 1, .max_tokens = 12 },
        { .temperature = 1, .top_p = 0.9, .repetition_penalty = 1.1, .max_tokens = 12, .seed = 5 },
    };
    for (size_t k = 0; k < 2; k++) {
        char together[PROMPTS][400], alone[PROMPTS][400], kept[PROMPTS][400];
        int64_t context = 160;
        hone_error err = { 0 };
        generator *g = open_with(3, &settings[k], &context);
        const int before = opened;
        CHECK_INT(opened, before); /* nobody has asked */
        ask_all(g, together);
        CHECK_INT(opened, before + 1);
        CHECK_INT(generator_count(g).asked, PROMPTS);
        close_all(g);
        g = open_with(3, &settings[k], &context);
        ask_all(g, kept);
        CHECK_INT(opened, before + 1); /* all of it was kept */
        close_all(g);
        CHECK_OK(dir_remove(cache, &err), err);
        g = open_with(1, &settings[k], &context);
        ask_all(g, alone);
        close_all(g);
        CHECK_OK(dir_remove(cache, &err), err);
        for (int i = 0; i < PROMPTS; i++) {
            CHECK_STR(together[i], alone[i]);
            CHECK_STR(together[i], kept[i]);
        }
    }
}

static void test_local__answers_are_those_of_model_generate(void)
{
    const sampling s = { .top_p = 1, .repetition_penalty = 1, .max_tokens = 12 };
    int64_t context = 160;
    char answers[PROMPTS][400];
    hone_error err = { 0 };
    generator *g = open_with(4, &s, &context);
    ask_all(g, answers);
    for (int i = 0; i < PROMPTS; i++) {
        const hone_prompt p = prompt_of(i);
        const message m[2] = { { .role = ROLE_SYSTEM, .content = p.system },
                               { .role = ROLE_USER, .content = p.user } };
        const size_t skip = p.system.n == 0;
        sampling own = s;
        tokens ids = { 0 }, made = { 0 };
        text plain = { 0 };
        int32_t fed[400], out[100];
        size_t n_stops;
        const char *reason = "";
        own.max_tokens = p.max_tokens;
        CHECK_OK(chat_template_encode(chat, m + skip, 2 - skip, true, NULL, &ids, NULL, NULL, &err),
                 err);
        for (size_t j = 0; j < ids.n; j++)
            fed[j] = ids.p[j].id;
        const int32_t *stops = chat_template_stops(chat, &n_stops);
        model_rewind(net, 0);
        CHECK_OK(
            model_generate(net, fed, ids.n, &own, stops, n_stops, NULL, NULL, &made, &reason, &err),
            err);
        for (size_t j = 0; j < made.n; j++)
            out[j] = made.p[j].id;
        CHECK_OK(tokenizer_decode(tok, out, made.n, true, &plain, &err), err);
        CHECK_STR(answers[i] + 2, plain.p ? plain.p : "");
        CHECK_INT(answers[i][0] == '1', strcmp(reason, "length") == 0);
        tokens_finish(&ids);
        tokens_finish(&made);
        text_finish(&plain);
    }
    close_all(g);
    CHECK_OK(dir_remove(cache, &err), err);
}

static void test_local__prompts_that_do_not_fit_are_named(void)
{
    const sampling s = { .top_p = 1, .repetition_penalty = 1, .max_tokens = 12 };
    int64_t context = 20;
    generator *g = open_with(2, &s, &context);
    const hone_generate_service *service = generator_service(g);
    const hone_prompt long_one = prompt_of(PROMPTS - 1);
    hone_error err = { 0 };
    hone_answer a;
    uint64_t handle, other;
    CHECK_OK(service->submit(service, &long_one, &handle, &err), err);
    CHECK_OK(service->submit(service, &long_one, &other, &err), err);
    service->release(service, other);
    CHECK(service->collect(service, handle, &a, &err) == HONE_ERR_LIMIT);
    CHECK_HAS(err.message, "raise use.context");
    service->release(service, handle);
    const hone_prompt empty = { .struct_size = sizeof empty };
    CHECK(service->submit(service, &empty, &handle, &err) == HONE_ERR_ARG);
    close_all(g);
}

static void test_local__texts_become_vectors(void)
{
    const sampling s = { .top_p = 1, .repetition_penalty = 1, .max_tokens = 12 };
    int64_t context = 64;
    generator *g = open_with(2, &s, &context);
    const hone_embed_service *e = generator_embed_service(g);
    hone_str texts[9];
    uint64_t width = 0, most = 0;
    hone_error err = { 0 };
    CHECK_OK(e->shape(e, &width, &most, &err), err);
    CHECK(width > 0 && most == 128);
    for (int i = 0; i < 9; i++)
        texts[i] = prompt_of(i % PROMPTS).user;
    texts[3] = hone_s("");
    float *x = malloc(9 * width * sizeof *x), *one = malloc(width * sizeof *one);
    CHECK_OK(e->embed(e, texts, 9, x, &err), err);
    for (int i = 0; i < 9; i++) {
        double d = 0, n = 0;
        CHECK_OK(e->embed(e, &texts[i], 1, one, &err), err);
        for (uint64_t k = 0; k < width; k++) {
            const double off = x[(uint64_t)i * width + k] - one[k];
            d += off * off;
            n += one[k] * one[k];
        }
        CHECK(d <= 1e-9 * n || (n == 0 && d == 0));
        CHECK(n > 0 || i == 3);
    }
    free(x);
    free(one);
    close_all(g);
}

int main(void)
{
    hone_error err = { 0 };
    char name[] = "/tmp/hone-local-XXXXXX";
    const char *source = getenv("HONE_SOURCE_DIR");
    folder = path_join(source ? source : ".", "models/hone-tiny");
    dir = mem_strdup(mkdtemp(name));
    cache = path_join(dir, "answers");
    CHECK_OK(registry_open(&plugins, NULL, 0, &err), err);
    CHECK_OK(backend_open(&device, plugins, "cpu/fp32", NULL, NULL, &err), err);
    CHECK_OK(tokenizer_open(&tok, folder, &err), err);
    CHECK_OK(chat_template_open(&chat, NULL, folder, tok, &err), err);
    if (test_failures)
        return 1;
    RUN(test_local__many_at_once_as_each_alone);
    RUN(test_local__answers_are_those_of_model_generate);
    RUN(test_local__prompts_that_do_not_fit_are_named);
    RUN(test_local__texts_become_vectors);
    chat_template_close(chat);
    tokenizer_close(tok);
    backend_close(device);
    registry_close(plugins);
    CHECK_OK(dir_remove(dir, &err), err);
    free(dir);
    free(cache);
    free(folder);
    return TEST_EXIT();
}
