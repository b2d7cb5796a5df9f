/*
 * test_code.c - the reader `code`: every grammar loads and finds what made-up files of its language
 * define; awkward files; languages that are dropped in, and those that cannot be used.
 *
 * Without a grammar (./dev deps builds them) its tests are skipped, and the program says so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "harness.h"
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

static test_host host;

static const char *const grammars[] = { "c",    "c-sharp", "cpp",        "go",  "java",
                                        "rust", "python",  "javascript", "tsx", "typescript" };
#define N_GRAMMARS (sizeof grammars / sizeof *grammars)

static bool have(const char *stem)
{
    char path[600];
    const char *build = getenv("HONE_BUILD_DIR");
    (void)snprintf(path, sizeof path, "%s/plugins/grammars/libtree-sitter-%s.so",
                   build ? build : "build", stem);
    return path_exists(path);
}

static void run_case(void *ctx, const char *document, const char *component, const char *json,
                     const char *p, size_t n, text *out)
{
    const int64_t before = host.out;
    instance x = { 0 };
    page g = { 0 };
    hone_error err = { 0 };
    (void)ctx;
    hone_status st = instance_open(&x, &host.host, component, HONE_KIND_READER, json, &err);
    if (st == HONE_OK)
        st = page_read(&g, &x, document, p, n, &err);
    for (size_t i = 0; i < g.n_blocks; i++) { /* the text is the file: its length says it */
        CHECK(g.blocks[i].text.n > 0);
        text_printf(out, "block (%.*s) %llu\n", (int)g.blocks[i].lang.n, g.blocks[i].lang.p,
                    (unsigned long long)g.blocks[i].text.n);
        free((void *)(uintptr_t)g.blocks[i].text.p);
        free((void *)(uintptr_t)g.blocks[i].lang.p);
    }
    g.n_blocks = 0;
    page_dump(&g, out);
    if (st != HONE_OK)
        text_printf(out, "error %d %s\n", st, err.message);
    page_finish(&g);
    instance_close(&x);
    CHECK_INT(host.out, before);
}

static void test_code__finds_what_files_define(void)
{
    CHECK_INT(golden_run("tests/unit/prepare/golden/code.txt", run_case, NULL), 0);
}

/* The text of `part` in a unit is what the file has there. */
static void test_code__places_are_right(void)
{
    static const char source[] =
        "\xef\xbb\xbf// \xc3\xa9\r\nint f(void)\r\n{\r\n  return 1;\r\n}\r\n";
    instance x = { 0 };
    page g = { 0 };
    hone_error err = { 0 };
    CHECK_OK(instance_open(&x, &host.host, "code", HONE_KIND_READER, NULL, &err), err);
    CHECK_OK(page_read(&g, &x, "a.c", source, sizeof source - 1, &err), err);
    CHECK(!g.broken);
    CHECK_INT(g.n_units, 2);
    if (g.n_units == 2) {
        const hone_unit *u = &g.units[0];
        const char *t = g.blocks[0].text.p;
        CHECK(memcmp(t + u->start, "// \xc3\xa9\nint f", 11) == 0);
        CHECK(memcmp(t + u->head, "int f", 5) == 0);
        CHECK(memcmp(t + u->body, "{\n  return 1;\n}", u->body_end - u->body) == 0);
        CHECK(memcmp(source + u->src_off, "// \xc3\xa9\r\nint f", 12) == 0);
        CHECK(source[u->src_off + u->src_len - 1] == '}');
        CHECK_INT(g.units[1].parent, 1);
    }
    page_finish(&g);
    instance_close(&x);
}

static void read_long(const char *name, const char *head, const char *part, size_t times,
                      const char *tail, int64_t functions)
{
    instance x = { 0 };
    page g = { 0 };
    hone_error err = { 0 };
    text t = { 0 };
    int64_t n = 0;
    text_puts(&t, head);
    for (size_t i = 0; i < times; i++)
        text_puts(&t, part);
    text_puts(&t, tail);
    CHECK_OK(instance_open(&x, &host.host, "code", HONE_KIND_READER, "{\"max_mean_line\":0}", &err),
             err);
    CHECK_OK(page_read(&g, &x, name, t.p, t.n, &err), err);
    CHECK(!g.broken);
    for (size_t i = 0; i < g.n_units; i++)
        n += g.units[i].kind == HONE_UNIT_FUNCTION || g.units[i].kind == HONE_UNIT_METHOD;
    if (functions >= 0)
        CHECK_INT(n, functions);
    page_finish(&g);
    instance_close(&x);
    text_finish(&t);
}

/* No stack is used by depth, and no time by breadth: these would end or hang the test. */
static void test_code__deep_and_wide_files(void)
{
    read_long("a.c", "int f(void) { return ", "(", 20000, "1; }\n", -1);
    read_long("a.c", "void f(void) { ", "if (1) { ", 3000, "\n", -1);
    read_long("a.js", "", "function f() { ", 3000, "", -1);
    read_long("a.py", "", "# a comment\n", 20000, "def f(): pass\n", 1);
    read_long("a.c", "", "int f(int a) { return a; }\n", 20000, "", 20000);
    read_long("A.java", "class A { ", "void f() { }\n", 10000, "}", 10000);
}

/* A table and a grammar in a folder of one's own are a language; what is wrong is said. */
static void test_code__a_language_is_dropped_in(void)
{
    hone_error err = { 0 };
    char folder[] = "/tmp/hone-code-XXXXXX", json[200], so[600], link_path[300], table[300];
    const char *build = getenv("HONE_BUILD_DIR");
    CHECK(mkdtemp(folder) != NULL);
    (void)snprintf(json, sizeof json, "{\"grammars\":[\"%s\"]}", folder);
    (void)snprintf(table, sizeof table, "%s/go.lang", folder);
    (void)snprintf(link_path, sizeof link_path, "%s/libtree-sitter-go.so", folder);
    (void)snprintf(so, sizeof so, "%s/plugins/grammars/libtree-sitter-go.so",
                   build ? build : "build");
    static const struct {
        const char *table;
        const char *fault; /* in the message of create(); NULL: fine */
    } cases[] = {
        { "language mine\nextensions .mine\nunit function_declaration function\n", NULL },
        { "extensions .mine\nunit no_such_node function\n", "go.lang:2: the grammar has no node" },
        { "extensions .mine\nunit block functoin\n", "'functoin' is no kind" },
        { "extension .mine\n", "'extension' is no word" },
        { "chain nofield\n", "no field 'nofield'" },
        { "unit block function color=red\n", "'color=red' is none of" },
        { "named block a.b\n", "has no unit line" },
    };
    char *real = realpath(so, NULL);
    if (real)
        CHECK(symlink(real, link_path) == 0);
    free(real);
    for (size_t i = 0; i < sizeof cases / sizeof *cases && have("go"); i++) {
        instance x = { 0 };
        page g = { 0 };
        CHECK_OK(file_write(table, cases[i].table, strlen(cases[i].table), &err), err);
        const hone_status st = instance_open(&x, &host.host, "code", HONE_KIND_READER, json, &err);
        CHECK_INT(st == HONE_OK, cases[i].fault == NULL);
        if (cases[i].fault)
            CHECK_HAS(err.message, cases[i].fault);
        if (st == HONE_OK) {
            CHECK_OK(page_read(&g, &x, "dir/a.mine", "package p\nfunc f() {}\n", 22, &err), err);
            CHECK_STR(g.language, "mine");
            CHECK_INT(g.n_units, 1);
        }
        page_finish(&g);
        instance_close(&x);
        CHECK_INT(host.out, 0);
    }
    (void)unlink(link_path); /* the table is left: a language without a grammar */
    CHECK_OK(file_write(table, "language gone\nextensions .gone\n", 31, &err), err);
    for (int broken = 0; broken < 2; broken++) {
        instance x = { 0 };
        page g = { 0 };
        if (broken)
            CHECK_OK(file_write(link_path, "no object", 9, &err), err);
        CHECK_OK(instance_open(&x, &host.host, "code", HONE_KIND_READER, json, &err), err);
        CHECK_OK(page_read(&g, &x, "a.gone", "func f() {}\n", 12, &err), err);
        CHECK_HAS(g.meta.p, broken ? "no grammar for gone: its file cannot be opened: kept as"
                                   : "note no grammar for gone: kept as plain text");
        CHECK_STR(g.language, "gone");
        CHECK_INT(g.n_blocks, 1);
        page_finish(&g);
        instance_close(&x);
    }
    CHECK_OK(dir_remove(folder, &err), err);
}

int main(void)
{
    size_t there = 0;
    test_host_init(&host);
    for (size_t i = 0; i < N_GRAMMARS; i++)
        there += have(grammars[i]);
    RUN(test_code__a_language_is_dropped_in);
    if (there == 0 && !TEST_EXIT()) {
        printf("skipped: no grammars; ./dev deps builds them\n");
        return 77;
    }
    CHECK_INT(there, N_GRAMMARS); /* all of them, or none */
    RUN(test_code__finds_what_files_define);
    RUN(test_code__places_are_right);
    RUN(test_code__deep_and_wide_files);
    return TEST_EXIT();
}
