/*
 * test_template_model.c - every golden template is recognised by what it writes, and rows
 * write what transformers wrote; a changed template is refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/jinja.h"
#include "core/data/template.h"

#include "test.h"
#include <unistd.h>

static char *golden(const char *name)
{
    static char path[1024];
    (void)snprintf(path, sizeof path, "%s/tests/golden/templates/%s", getenv("HONE_SOURCE_DIR"),
                   name);
    return path;
}

/* A model folder with one file in it. */
static char *model_with(const char *file, const char *p, size_t n)
{
    static char dir[256];
    hone_error err = { 0 };
    (void)snprintf(dir, sizeof dir, "%s/template_model.%d", getenv("HONE_BUILD_DIR"),
                   (int)getpid());
    CHECK_OK(dir_remove(dir, &err), err);
    CHECK_OK(dir_make(dir, &err), err);
    char *path = path_join(dir, file);
    CHECK_OK(file_write(path, p, n, &err), err);
    free(path);
    return dir;
}

static void remove_model(const char *dir)
{
    hone_error err = { 0 };
    CHECK_OK(dir_remove(dir, &err), err);
}

/* Golden name -> row. */
static const struct {
    const char *golden, *row;
} expected[] = {
    { "llama2", "llama2" },
    { "codellama", "llama2" },
    { "llama3", "llama3" },
    { "llama31", "llama31" },
    { "llama32", "llama32" },
    { "chatml", "chatml" },
    { "qwen2", "qwen2" },
    { "qwen25", "qwen25" },
    { "qwen3", "qwen3" },
    { "smollm2", "smollm2" },
    { "mistral_v01", "mistral-v0.1" },
    { "mistral_v02", "mistral" },
    { "mistral_v02_system", "mistral-system" },
    { "mistral_v03", "mistral-v0.3" },
    { "zephyr", "zephyr" },
    { "alpaca", "alpaca" },
};

static bool to_messages(const json_t *list, message *m, size_t *n)
{
    size_t i;
    const json_t *t;
    *n = 0;
    json_array_foreach(list, i, t)
    {
        const char *name = json_string_value(json_object_get(t, "role"));
        const json_t *words = json_object_get(t, "content");
        uint32_t role = ROLE_SYSTEM;
        while (role <= ROLE_ASSISTANT && strcmp(role_name(role), name) != 0)
            role++;
        if (role > ROLE_ASSISTANT)
            return false; /* a role hone does not have */
        m[(*n)++] =
            (message){ role, { json_string_value(words), json_string_length(words) }, false };
    }
    return true;
}

/* Does the text answer the case? Errors count as refusals, whatever their words. */
static void check_case(const char *name, const char *by, size_t i, const json_t *c, hone_status st,
                       const char *p, size_t n)
{
    const json_t *want = json_object_get(c, "text");
    const bool same =
        want ? !st && n == json_string_length(want) && !memcmp(p, json_string_value(want), n)
             : st == HONE_ERR_FORMAT;
    if (!same) {
        fprintf(stderr, "%s case %zu by %s: got %d \"%.*s\", want \"%s\"\n", name, i, by, st,
                (int)n, p ? p : "", want ? json_string_value(want) : "an error");
        test_failures++;
    }
}

static void check_template(const char *name, const char *row_want, const json_t *cases)
{
    char file[64], *source = NULL;
    size_t n_source = 0, i, checked = 0;
    const json_t *c = json_array_get(cases, 0);
    const char *bos = json_string_value(json_object_get(c, "bos_token"));
    const template_words words = { bos ? bos : "",
                                   json_string_value(json_object_get(c, "eos_token")), false,
                                   "31 Dec 2025" };
    template_model *model = NULL;
    template_row self = { 0 };
    jinja *program = NULL;
    hone_error err = { 0 };
    (void)snprintf(file, sizeof file, "%s.jinja", name);
    CHECK_OK(file_read(&source, &n_source, golden(file), 1 << 20, &err), err);
    const char *dir = model_with("chat_template.jinja", source, n_source);
    CHECK_OK(template_model_open(&model, &self, dir, &words, &err), err);
    CHECK_OK(jinja_parse(&program, source, n_source, file, &err), err);
    remove_model(dir);
    free(source);
    if (!model || !program)
        return;
    CHECK_STR(self.name, row_want);
    json_array_foreach(cases, i, c)
    {
        message m[16];
        size_t n;
        const bool prompt = json_is_true(json_object_get(c, "add_generation_prompt"));
        const char *date = json_string_value(json_object_get(c, "date"));
        if (json_object_get(c, "enable_thinking") ||
            !to_messages(json_object_get(c, "messages"), m, &n))
            continue;
        const jinja_input in = { m, n, prompt, words.bos, words.eos, date, words.today };
        text own = { 0 };
        rendered r = { 0 };
        hone_status st = jinja_render(program, &in, &own, &err);
        check_case(name, "its own", i, c, st, own.p, own.n);
        st = template_row_render(&self, &words, m, n, prompt, date, &r, &err);
        check_case(name, "the row", i, c, st, r.text.p, r.text.n);
        if (!st)
            CHECK_OK(
                template_model_check(model, self.name, &words, m, n, prompt, date, &r.text, &err),
                err);
        rendered_finish(&r);
        text_finish(&own);
        checked++;
    }
    CHECK(checked > 40);
    template_model_close(model);
    jinja_free(program);
}

static void test_template_model__rows_write_what_transformers_wrote(void)
{
    json_t *all = NULL;
    hone_error err = { 0 };
    CHECK_OK(json_read(&all, golden("cases.json"), &err), err);
    CHECK_INT(json_object_size(all), sizeof expected / sizeof *expected);
    for (size_t i = 0; all && i < sizeof expected / sizeof *expected; i++)
        check_template(expected[i].golden, expected[i].row,
                       json_object_get(all, expected[i].golden));
    json_decref(all);
}

int main(void)
{
    RUN(test_template_model__rows_write_what_transformers_wrote);
    return TEST_EXIT();
}
