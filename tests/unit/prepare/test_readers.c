/*
 * test_readers.c - the bundled readers against golden documents, without memory, and with a
 * sink that fails.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "harness.h"
#include "test.h"

static test_host host;

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
    page_dump(&g, out);
    if (st != HONE_OK)
        text_printf(out, "error %d %s\n", st, err.message);
    page_finish(&g);
    instance_close(&x);
    CHECK_INT(host.out, before);
}

static void text_golden(void)
{
    CHECK_INT(golden_run("tests/unit/prepare/golden/text.txt", run_case, NULL), 0);
}

#ifdef HONE_HAVE_MD4C
static void markdown_golden(void)
{
    CHECK_INT(golden_run("tests/unit/prepare/golden/markdown.txt", run_case, NULL), 0);
}
#endif

#ifdef HONE_HAVE_XML2
static void html_golden(void)
{
    CHECK_INT(golden_run("tests/unit/prepare/golden/html.txt", run_case, NULL), 0);
}
#endif

/* Every allocation fails in turn, then every add(): a status with a message, nothing leaks. */
static void fail_everywhere(const char *reader, const char *name, const char *bytes)
{
    const size_t n = strlen(bytes);
    hone_status st = HONE_ERR_NOMEM;
    int rounds = 0;
    for (int64_t at = 1; st != HONE_OK && at < 10000; at++, rounds++) {
        instance x = { 0 };
        page g = { 0 };
        hone_error err = { 0 };
        host.n = 0;
        host.fail_at = at;
        st = instance_open(&x, &host.host, reader, HONE_KIND_READER, NULL, &err);
        if (st == HONE_OK)
            st = page_read(&g, &x, name, bytes, n, &err);
        if (st != HONE_OK) {
            CHECK_INT(st, HONE_ERR_NOMEM);
            CHECK(strlen(err.message) > 0);
        }
        CHECK(!g.broken);
        page_finish(&g);
        instance_close(&x);
        CHECK_INT(host.out, 0);
    }
    host.fail_at = 0;
    CHECK_INT(st, HONE_OK);
    CHECK(rounds > 3);

    st = HONE_ERR_IO;
    for (int64_t at = 1; st != HONE_OK && at < 1000; at++) {
        instance x = { 0 };
        page g = { .fail_at = at };
        hone_error err = { 0 };
        CHECK_OK(instance_open(&x, &host.host, reader, HONE_KIND_READER, NULL, &err), err);
        st = page_read(&g, &x, name, bytes, n, &err);
        if (st != HONE_OK) {
            CHECK_INT(st, HONE_ERR_IO);
            CHECK_STR(err.message, "the sink fails");
        }
        page_finish(&g);
        instance_close(&x);
        CHECK_INT(host.out, 0);
    }
    CHECK_INT(st, HONE_OK);
}

static void text_fails_cleanly(void)
{
    fail_everywhere("text", "a.rst", "Title\n=====\n\nwords\r\n\r\nmore \xff words\n");
}

#ifdef HONE_HAVE_MD4C
static void markdown_fails_cleanly(void)
{
    fail_everywhere(
        "markdown", "a.md",
        "---\ntitle: t\n---\n# A *b*\n\ntext &amp; `code`\n\n- x\n  1. y\n\n```c\nint\n```\n"
        "\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> quote\n");
}
#endif

#ifdef HONE_HAVE_XML2
static void html_fails_cleanly(void)
{
    fail_everywhere("html", "a.html",
                    "<title>t</title><nav><a href=x>n</a></nav><main><h1>A</h1><p>b<ul><li>c</ul>"
                    "<pre class=language-c>d\ne</pre><table><tr><td>1<td>2<tr><td>3<td>4</table>");
}
#endif

int main(void)
{
    test_host_init(&host);
    RUN(text_golden);
    RUN(text_fails_cleanly);
#ifdef HONE_HAVE_MD4C
    RUN(markdown_golden);
    RUN(markdown_fails_cleanly);
#endif
#ifdef HONE_HAVE_XML2
    RUN(html_golden);
    RUN(html_fails_cleanly);
#endif
    return TEST_EXIT();
}
