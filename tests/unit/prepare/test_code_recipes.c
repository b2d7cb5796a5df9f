/*
 * test_code_recipes.c - the recipes for source code on the units that the reader `code` gives.
 *
 * Skipped without grammars: ./dev deps builds them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "harness.h"
#include "test.h"

static test_host host;
static const char source[] = "# Licence.\n"
                             "class Cart(Base):\n"
                             "    \"\"\"A cart.\"\"\"\n"
                             "\n"
                             "    def total(self, rate):\n"
                             "        \"\"\"Sum with tax.\"\"\"\n"
                             "        # add up\n"
                             "        s = sum(self.items)\n"
                             "        if rate:\n"
                             "            s *= rate\n"
                             "        return s\n"
                             "\n"
                             "def one(): return 1\n";

static void make(const char *recipe, const char *json, samples *s)
{
    instance r = { 0 }, c = { 0 };
    page g = { 0 };
    hone_error err = { 0 };
    *s = (samples){ 0 };
    CHECK_OK(instance_open(&r, &host.host, "code", HONE_KIND_READER, NULL, &err), err);
    CHECK_OK(page_read(&g, &r, "shop/cart.py", source, sizeof source - 1, &err), err);
    CHECK_OK(instance_open(&c, &host.host, recipe, HONE_KIND_RECIPE, json, &err), err);
    CHECK_OK(samples_make(s, &c, &g, "shop/cart.py", &err), err);
    CHECK(!s->broken);
    page_finish(&g);
    instance_close(&c);
    instance_close(&r);
}

static bool is(hone_str s, const char *want)
{
    if (s.n == strlen(want) && memcmp(s.p, want, s.n) == 0)
        return true;
    fprintf(stderr, "got \"%.*s\"\n", (int)s.n, s.p);
    return false;
}

static void test_code_metadata__words_to_code(void)
{
    samples s;
    make("code-metadata", "{\"min_lines\":2}", &s);
    CHECK_INT(s.n, 1);
    if (s.n == 1) {
        const hone_segment *g = s.p[0].segments;
        CHECK(is(g[0].text,
                 "Write the python method `total` of `Cart`.\n\ndef total(self, rate)\n\n"
                 "Sum with tax.\n\nComments in it:\n- add up"));
        CHECK(is(g[1].text, "def total(self, rate):\n    # add up\n    s = sum(self.items)\n"
                            "    if rate:\n        s *= rate\n    return s"));
        CHECK(g[0].loss_weight == 0.0f && g[1].loss_weight == 1.0f);
        CHECK(memcmp(source + g[1].src_off, "def total", 9) == 0);
        CHECK(memcmp(source + g[1].src_off + g[1].src_len - 8, "return s", 8) == 0);
    }
    CHECK_INT(s.n_lost, 2); /* `one` is short; the rest is outside of functions */
    samples_finish(&s);
    make("code-metadata", "{\"min_lines\":2,\"tokens\":16}", &s);
    CHECK_INT(s.n, 0);
    samples_finish(&s);
}

/* Both orders, put together again, are the file. */
static void test_code_fim__parts_make_the_file(void)
{
    static const char *const orders[] = { "psm", "spm" };
    for (int k = 0; k < 2; k++) {
        char json[160];
        samples s;
        (void)snprintf(json, sizeof json, "{\"order\":\"%s\",\"per_function\":20,\"tokens\":400}",
                       orders[k]);
        make("code-fim", json, &s);
        CHECK_INT(s.n, 20);
        bool differ = false;
        for (size_t i = 0; i < s.n; i++) {
            const hone_segment *g = s.p[i].segments;
            const size_t suffix = k ? 2 : 3, prefix = k ? 4 : 1, middle = 5;
            CHECK_INT(s.p[i].n, 7);
            CHECK(is(g[0].text, "<PRE>") && is(g[k ? 1 : 2].text, "<SUF>"));
            CHECK(is(g[k ? 3 : 4].text, "<MID>") && is(g[6].text, "<EOT>"));
            for (size_t j = 0; j < 7; j++) {
                CHECK_INT(g[j].role, j == suffix || j == prefix || j == middle ? HONE_ROLE_RAW
                                                                               : HONE_ROLE_SPECIAL);
                CHECK(g[j].loss_weight == (j >= 5 ? 1.0f : 0.0f));
            }
            text t = { 0 };
            text_add(&t, g[prefix].text.p, g[prefix].text.n);
            CHECK_INT(g[middle].src_off, t.n);
            text_add(&t, g[middle].text.p, g[middle].text.n);
            text_add(&t, g[suffix].text.p, g[suffix].text.n);
            CHECK_STR(t.p, source);
            differ |= i && g[middle].src_off != s.p[0].segments[middle].src_off;
            text_finish(&t);
        }
        CHECK(differ);
        samples_finish(&s);
    }
}

static void test_code_fim__fits_and_says_what_it_cannot(void)
{
    hone_error err = { 0 };
    instance x = { 0 };
    samples s;
    make("code-fim", "{\"tokens\":80,\"per_function\":10}", &s);
    for (size_t i = 0; i < s.n; i++) {
        int64_t n = 0;
        for (size_t k = 0; k < s.p[i].n; k++)
            n += s.p[i].segments[k].role == HONE_ROLE_SPECIAL
                     ? 1
                     : test_count(s.p[i].segments[k].text.p, s.p[i].segments[k].text.n);
        CHECK(n <= 80);
    }
    CHECK(s.n > 0);
    samples_finish(&s);
    hone_str (*const kept)(const hone_tokenizer_service *, uint32_t) = host.tokenizer.special;
    host.tokenizer.special = NULL; /* a model without such tokens */
    CHECK(instance_open(&x, &host.host, "code-fim", HONE_KIND_RECIPE, NULL, &err) ==
          HONE_ERR_UNSUPPORTED);
    CHECK_HAS(err.message, "no fill-in-the-middle tokens");
    host.tokenizer.special = kept;
}

int main(void)
{
    char path[600];
    const char *build = getenv("HONE_BUILD_DIR");
    (void)snprintf(path, sizeof path, "%s/plugins/grammars/libtree-sitter-python.so",
                   build ? build : "build");
    if (!path_exists(path)) {
        printf("skipped: no grammars; ./dev deps builds them\n");
        return 77;
    }
    test_host_init(&host);
    host.has_tokenizer = true;
    RUN(test_code_metadata__words_to_code);
    RUN(test_code_fim__parts_make_the_file);
    RUN(test_code_fim__fits_and_says_what_it_cannot);
    return TEST_EXIT();
}
