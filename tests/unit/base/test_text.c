/*
 * test_text.c - growing text, and UTF-8 at its edges.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"
#include "test.h"

static void test_text__grows_and_stays_terminated(void)
{
    hone_error err = { 0 };
    text t = { 0 };
    int i;
    CHECK_OK(text_status(&t, &err), err);
    text_puts(&t, "");
    CHECK_STR(t.p, "");
    for (i = 0; i < 1000; i++) {
        text_putc(&t, 'a');
        text_printf(&t, "%d", i % 10);
        text_add(&t, "b\0c", 3);
        CHECK(t.p[t.n] == '\0');
    }
    CHECK_INT(t.n, 5000);
    CHECK(memcmp(t.p, "a0b\0ca1b\0c", 10) == 0);
    text_clear(&t);
    CHECK_INT(t.n, 0);
    CHECK_STR(t.p, "");
    text_printf(&t, "%s", "x");
    CHECK_STR(t.p, "x");
    text_finish(&t);
    CHECK(t.p == NULL && t.n == 0 && t.cap == 0);
}

static void test_text__a_failure_is_remembered(void)
{
    hone_error err = { 0 };
    char byte = 0;
    text t = { 0 };
    text_puts(&t, "kept");
    text_add(&t, &byte, SIZE_MAX - 2); /* refused before a byte is read */
    CHECK(t.failed);
    text_puts(&t, "ignored");
    CHECK_STR(t.p, "kept");
    CHECK_INT(text_status(&t, &err), HONE_ERR_NOMEM);
    CHECK_HAS(err.message, "no memory for a text");
    text_finish(&t);
}

static void test_utf8__edges_of_each_length(void)
{
    static const struct {
        const char *bytes;
        size_t n, length;
        uint32_t cp;
        bool bad;
    } cases[] = {
        { "\0", 1, 1, 0, false },
        { "\x7f", 1, 1, 0x7f, false },
        { "\xc2\x80", 2, 2, 0x80, false },
        { "\xdf\xbf", 2, 2, 0x7ff, false },
        { "\xe0\xa0\x80", 3, 3, 0x800, false },
        { "\xed\x9f\xbf", 3, 3, 0xd7ff, false },
        { "\xee\x80\x80", 3, 3, 0xe000, false },
        { "\xef\xbf\xbf", 3, 3, 0xffff, false },
        { "\xf0\x90\x80\x80", 4, 4, 0x10000, false },
        { "\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff, false },
        { "\x80", 1, 1, 0xfffd, true },             /* a continuation alone */
        { "\xc0\x80", 2, 1, 0xfffd, true },         /* overlong NUL         */
        { "\xc1\xbf", 2, 1, 0xfffd, true },         /* overlong             */
        { "\xe0\x9f\xbf", 3, 1, 0xfffd, true },     /* overlong             */
        { "\xf0\x8f\xbf\xbf", 4, 1, 0xfffd, true }, /* overlong             */
        { "\xed\xa0\x80", 3, 1, 0xfffd, true },     /* first surrogate      */
        { "\xed\xbf\xbf", 3, 1, 0xfffd, true },     /* last surrogate       */
        { "\xf4\x90\x80\x80", 4, 1, 0xfffd, true }, /* above U+10FFFF       */
        { "\xf5\x80\x80\x80", 4, 1, 0xfffd, true },
        { "\xff", 1, 1, 0xfffd, true },
        { "\xe2\x82", 2, 1, 0xfffd, true }, /* cut short            */
        { "\xf0\x9f\x98", 3, 1, 0xfffd, true },
        { "\xe2\x82\x41", 3, 1, 0xfffd, true }, /* third byte no continuation */
        { "\xf0\x9f\x41\x80", 4, 1, 0xfffd, true },
        { "\xc3\xc3", 2, 1, 0xfffd, true },
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t cp = 1;
        bool bad = !cases[i].bad;
        char *exact = mem_strndup(cases[i].bytes, cases[i].n);
        CHECK_INT(utf8_next(exact, cases[i].n, &cp, &bad), cases[i].length);
        CHECK_INT(cp, cases[i].cp);
        CHECK_INT(bad, cases[i].bad);
        CHECK_INT(utf8_valid(exact, cases[i].n), !cases[i].bad);
        free(exact);
    }
    CHECK(utf8_valid("", 0));
    CHECK(utf8_valid("a\xc3\xa9z", 4));
    CHECK(!utf8_valid("a\xc3\xa9z\xc3", 5));
}

static void test_utf8__every_code_point_returns(void)
{
    uint32_t cp;
    for (cp = 0; cp <= 0x110010; cp++) {
        const bool none = (cp >= 0xd800 && cp <= 0xdfff) || cp > 0x10ffff;
        const uint32_t want = none ? 0xfffd : cp;
        uint32_t got = 0;
        bool bad = true;
        char out[4];
        const size_t n = utf8_put(cp, out);
        if (utf8_next(out, n, &got, &bad) != n || bad || got != want) {
            fprintf(stderr, "U+%04X comes back as U+%04X\n", cp, got);
            test_failures++;
        }
    }
}

int main(void)
{
    RUN(test_text__grows_and_stays_terminated);
    RUN(test_text__a_failure_is_remembered);
    RUN(test_utf8__edges_of_each_length);
    RUN(test_utf8__every_code_point_returns);
    return TEST_EXIT();
}
