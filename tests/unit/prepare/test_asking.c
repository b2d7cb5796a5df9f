/*
 * test_asking.c - recipes that ask a model, against one that says what a table tells it: what is used, and
 * what is dropped and why.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "harness.h"
#include "plugins/recipes/pairs.h"
#include "test.h"

static test_host host;

/* ------------------------------------------------------------------ a scripted model */

/* The first row whose words stand in the prompt answers; end: HONE_ANSWER_*; status: instead. */
static const struct {
    const char *words, *answer;
    uint32_t end;
    hone_status status;
} script[] = {
    { "oil is changed",
      "Q: How often is the oil changed?\nA: \"every 24\n months\"\n\n2. **Q:** How often is the "
      "oil "
      "changed then?\n**A:** \"The oil is changed\"\nQuestion 3: What does the press do at "
      "night?\nQuote: "
      "\"sleeps\"\nQ: Which line is it?\nA: “line 4”\nQ: One more?\nA: `oil`\nQ: And one?\nA: "
      "\"oil\"\n",
      0, 0 },
    { "pump is tested", "Q: Who tests the pump?\nA: \"the night shift\"\nQ: What is cut", 1, 0 },
    { "nobody answers", "I cannot do that.", 0, 0 },
    { "longer than the context", "", 0, HONE_ERR_LIMIT },
    { "the service is down", "", 0, HONE_ERR_IO },
    { "Sum up this passage", "  Valves, briefly.\n", 0, 0 },
    { "Shop.cut", "Half of a desc", 1, 0 },
    { "Shop.quote", "It runs ```x```.", 0, 0 },
    { "Describe what this python function", "Adds the price to the total. Returns the total.", 0,
      0 },
    { "my own prompt", "mine", 0, 0 },
};

enum { MOST = 4096 };
static size_t row_of[MOST], n_asked, n_open;

static hone_status submit(const hone_generate_service *self, const hone_prompt *p, uint64_t *handle,
                          hone_error *err)
{
    (void)self;
    (void)err;
    char *words = mem_strndup(p->user.p, p->user.n);
    size_t i = 0;
    while (i + 1 < sizeof script / sizeof *script && !strstr(words, script[i].words))
        i++;
    CHECK(strstr(words, script[i].words));
    CHECK_INT(p->version.n, 16);
    free(words);
    row_of[++n_asked % MOST] = i;
    *handle = n_asked;
    n_open++;
    return HONE_OK;
}

static hone_status collect(const hone_generate_service *self, uint64_t handle, hone_answer *a,
                           hone_error *err)
{
    const size_t i = row_of[handle % MOST];
    (void)self;
    if (script[i].status)
        return hone_fail(err, script[i].status, "the service says no");
    *a = (hone_answer){ .struct_size = sizeof *a,
                        .end = script[i].end,
                        .text = hone_s(script[i].answer) };
    return HONE_OK;
}

static int32_t ready(const hone_generate_service *self, uint64_t handle)
{
    (void)self;
    (void)handle;
    return 1;
}

static void release(const hone_generate_service *self, uint64_t handle)
{
    (void)self;
    CHECK(handle && handle <= n_asked);
    n_open--;
}

static hone_status shape(const hone_embed_service *self, uint64_t *width, uint64_t *most,
                         hone_error *err)
{
    (void)self;
    (void)err;
    *width = 3;
    *most = 64;
    return HONE_OK;
}

/* A text's direction is its topic: valves, bread, or neither. */
static hone_status embed(const hone_embed_service *self, const hone_str *texts, uint64_t n,
                         float *out, hone_error *err)
{
    (void)self;
    (void)err;
    for (uint64_t i = 0; i < n; i++) {
        const bool valve = memmem(texts[i].p, texts[i].n, "alve", 4) != NULL;
        const bool bread = memmem(texts[i].p, texts[i].n, "read", 4) != NULL;
        out[3 * i] = valve ? 5.0f : 0.1f;
        out[3 * i + 1] = bread ? 7.0f : 0.1f;
        out[3 * i + 2] = (float)(i % 3) * 0.01f;
    }
    return HONE_OK;
}

static const hone_generate_service generate = { .struct_size = sizeof generate,
                                                .identity = "script",
                                                .submit = submit,
                                                .collect = collect,
                                                .ready = ready,
                                                .release = release };
static const hone_embed_service vectors = {
    .struct_size = sizeof vectors, .identity = "script", .shape = shape, .embed = embed
};

/* -------------------------------------------------------------------------- recipes */

#ifdef HONE_HAVE_MD4C
static void run_case(void *ctx, const char *document, const char *component, const char *json,
                     const char *p, size_t n, text *out)
{
    const int64_t before = host.out;
    instance reader = { 0 }, recipe = { 0 };
    page g = { 0 };
    samples s = { 0 };
    hone_error err = { 0 };
    (void)ctx;
    hone_status st = instance_open(&reader, &host.host, "markdown", HONE_KIND_READER, NULL, &err);
    if (st == HONE_OK)
        st = page_read(&g, &reader, document, p, n, &err);
    if (st == HONE_OK)
        st = instance_open(&recipe, &host.host, component, HONE_KIND_RECIPE, json, &err);
    if (st == HONE_OK)
        st = samples_make(&s, &recipe, &g, document, &err);
    samples_dump(&s, out);
    if (st == HONE_OK && strcmp(component, "semantic") != 0)
        CHECK_INT(strlen(s.prompt), 16);
    if (st != HONE_OK)
        text_printf(out, "error %d %s\n", st, err.message);
    samples_finish(&s);
    page_finish(&g);
    instance_close(&recipe);
    instance_close(&reader);
    CHECK_INT(host.out, before);
    CHECK_INT(n_open, 0);
}

static void asking_golden(void)
{
    CHECK_INT(golden_run("tests/unit/prepare/golden/asking.txt", run_case, NULL), 0);
}
#endif

static hone_unit unit(uint32_t kind, const char *name, const char *all, const char *head,
                      const char *end, uint64_t parent)
{
    const uint64_t start = (uint64_t)(strstr(all, head) - all);
    const uint64_t stop = (uint64_t)(strstr(all, end) - all) + strlen(end);
    return (hone_unit){ .kind = kind,
                        .parent = parent,
                        .start = start,
                        .head = start,
                        .end = stop,
                        .body = stop - 1,
                        .body_end = stop,
                        .name = { mem_strdup(name), strlen(name) },
                        .scope = { mem_strdup("Shop"), 4 },
                        .signature.p = mem_strdup(""),
                        .doc.p = mem_strdup(""),
                        .src_off = start,
                        .src_len = stop - start };
}

static void functions_are_described(void)
{
    static const char code[] =
        "import x\n\ndef add(self, price):\n    self.total += price * 2 + 1\n    "
        "def inner(a): return a\n    return self.total\n\ndef tiny(): pass\n\n"
        "def cut(self, a):\n    return self.a + a + a + a + 3\n\ndef "
        "quote(self, b):\n    return self.b + b + b + b + 4\n\ndef bad(self, c):"
        "\n    return self.c + c + + c + 5\n";
    page g = { .n_src = sizeof code };
    instance x = { 0 };
    samples s = { 0 };
    hone_error err = { 0 };
    g.blocks = mem_new(1, sizeof *g.blocks);
    g.blocks[g.n_blocks++] = (hone_block){ .kind = HONE_BLOCK_CODE,
                                           .text = { mem_strdup(code), strlen(code) },
                                           .lang.p = mem_strdup("") };
    g.language = mem_strdup("python");
    g.units = mem_new(6, sizeof *g.units);
    g.units[g.n_units++] = unit(HONE_UNIT_METHOD, "add", code, "def add", "return self.total", 0);
    g.units[g.n_units++] = unit(HONE_UNIT_FUNCTION, "inner", code, "def inner", "return a", 1);
    g.units[g.n_units++] = unit(HONE_UNIT_FUNCTION, "tiny", code, "def tiny", "pass", 0);
    g.units[g.n_units++] = unit(HONE_UNIT_METHOD, "cut", code, "def cut", "+ 3", 0);
    g.units[g.n_units++] = unit(HONE_UNIT_METHOD, "quote", code, "def quote", "+ 4", 0);
    g.units[g.n_units++] = unit(HONE_UNIT_METHOD, "bad", code, "def bad", "+ 5", 0);
    g.units[5].flags = HONE_UNIT_BROKEN;
    CHECK_OK(
        instance_open(&x, &host.host, "code-summary", HONE_KIND_RECIPE, "{\"min_tokens\":8}", &err),
        err);
    CHECK_OK(samples_make(&s, &x, &g, "shop.py", &err), err);
    CHECK_INT(s.n, 1);
    CHECK_STR(s.p[0].segments[0].text.p, "Adds the price to the total. Returns the total.");
    CHECK_HAS(s.p[0].segments[1].text.p, "def add(self, price):");
    CHECK_HAS(s.p[0].segments[1].text.p, "return self.total");
    CHECK_INT(s.p[0].segments[1].src_off, 10);
    text out = { 0 };
    samples_dump(&s, &out);
    static const char *const reports[] = { "functions smaller than min_tokens",
                                           "functions that did not parse",
                                           "functions without a description",
                                           "code outside functions",
                                           "dropped 1 descriptions cut at the longest answer",
                                           "dropped 1 descriptions that quote code" };
    for (size_t i = 0; i < sizeof reports / sizeof *reports; i++)
        CHECK_HAS(out.p, reports[i]);
    text_finish(&out);
    samples_finish(&s);
    instance_close(&x);
    page_finish(&g);
    CHECK_INT(n_open, 0);
}

static void prompts_are_checked(void)
{
    static const struct {
        const char *words, *message;
    } cases[] = {
        { "my own prompt {{text}} {{titel}}",
          "{{titel}} is unknown; known are {{text}}, {{count}}, {{title}}" },
        { "no place for it", "has no {{text}}" },
        { "my own prompt \xff {{text}}", "is no UTF-8 at byte 15" },
        { "", "is empty" },
    };
    char path[] = "/tmp/hone-prompt-XXXXXX";
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    char json[128];
    (void)snprintf(json, sizeof json, "{\"prompt\":\"%s\"}", path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        instance x = { 0 };
        hone_error err = { 0 };
        CHECK_OK(file_write(path, cases[i].words, strlen(cases[i].words), &err), err);
        CHECK(instance_open(&x, &host.host, "summary", HONE_KIND_RECIPE, json, &err) != HONE_OK);
        CHECK_HAS(err.message, cases[i].message);
        CHECK_INT(host.out, 0);
    }
    (void)remove(path);
    instance x = { 0 };
    hone_error err = { 0 };
    CHECK(instance_open(&x, &host.host, "queries", HONE_KIND_RECIPE, json, &err) ==
          HONE_ERR_NOTFOUND);
    CHECK_HAS(err.message, path);
}

static void without_a_model_they_say_so(void)
{
    static const char *const recipes[] = { "queries", "summary", "semantic", "code-summary" };
    host.generate = NULL;
    host.embed = NULL;
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
        instance x = { 0 };
        hone_error err = { 0 };
        CHECK(instance_open(&x, &host.host, recipes[i], HONE_KIND_RECIPE, NULL, &err) ==
              HONE_ERR_STATE);
        CHECK_HAS(err.message, "set the model");
        CHECK_INT(host.out, 0);
    }
    host.generate = &generate;
    host.embed = &vectors;
}

/* ---------------------------------------------------------------------------- pairs */

static void quotes_stand_or_do_not(void)
{
    static const struct {
        const char *text, *quote;
        int start, end; /* -1: it does not */
    } cases[] = {
        { "The oil  is\nchanged.", "oil is changed", 4, 19 },
        { "The oil is changed.", "oil  is\tchanged.", 4, 19 },
        { "The oil is changed.", "il is", -1, 0 },
        { "The oil is changed.", "oil is change", -1, 0 },
        { "The toil, the oil.", "oil", 14, 17 },
        { "The oil is changed.", "The Oil", -1, 0 },
        { "The oil", "oil is", -1, 0 },
        { "The oil", "", -1, 0 },
        { "", "x", -1, 0 },
        { "油は毎年交換する。", "毎年", 6, 12 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t start = 0, end = 0;
        const bool found = quote_find(hone_s(cases[i].text), hone_s(cases[i].quote), &start, &end);
        CHECK_INT(found ? (int)start : -1, cases[i].start);
        if (found)
            CHECK_INT(end, cases[i].end);
    }
}

static void near_duplicates_are_known(void)
{
    static const struct {
        const char *question;
        bool known;
    } cases[] = {
        { "How often is the oil of the press changed?", false },
        { "How often is the OIL of the press changed", true },
        { "How often is the filter of the press cleaned?", false },
        { "Who changes the oil?", false },
        { "Who changes the oil, who?", true },
    };
    questions q = { .host = &host.host, .tag = "test" };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool known = false;
        CHECK(questions_add(&q, hone_s(cases[i].question), 0.8, &known));
        CHECK(known == cases[i].known);
    }
    CHECK_INT(q.n, 3);
    questions_finish(&q);
    CHECK_INT(host.out, 0);
}

int main(void)
{
    test_host_init(&host);
    host.has_tokenizer = true;
    host.generate = &generate;
    host.embed = &vectors;
#ifdef HONE_HAVE_MD4C
    RUN(asking_golden);
#endif
    RUN(functions_are_described);
    RUN(prompts_are_checked);
    RUN(without_a_model_they_say_so);
    RUN(quotes_stand_or_do_not);
    RUN(near_duplicates_are_known);
    return TEST_EXIT();
}
