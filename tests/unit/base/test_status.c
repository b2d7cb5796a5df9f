/*
 * test_status.c - hone_fail() and hone_prefix(): one line, whole characters, always terminated.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"
#include "test.h"

static void test_status__fail_records_and_returns(void)
{
    hone_error err = { 0 };
    CHECK_INT(hone_fail(&err, HONE_ERR_LIMIT, "%s: %d", "x", 7), HONE_ERR_LIMIT);
    CHECK_INT(err.code, HONE_ERR_LIMIT);
    CHECK_STR(err.message, "x: 7");
    CHECK_INT(hone_fail(NULL, HONE_ERR_IO, "nobody reads it"), HONE_ERR_IO);
    CHECK_INT(hone_prefix(&err, "%s", "outer"), HONE_ERR_LIMIT);
    CHECK_STR(err.message, "outer: x: 7");
    CHECK(hone_prefix(NULL, "outer") != HONE_OK);
}

static void test_status__messages_stay_one_line(void)
{
    hone_error err = { 0 };
    (void)hone_fail(&err, HONE_ERR_ARG, "a\nb\r\tc\x1b\x7f%s", "\n\xc3\xa9\n");
    CHECK_STR(err.message, "a b  c   \xc3\xa9 ");
    (void)hone_prefix(&err, "p\nq");
    CHECK_STR(err.message, "p q: a b  c   \xc3\xa9 ");
}

/* Characters of 1 to 4 bytes at every distance from the end. */
static void test_status__no_character_is_cut_in_two(void)
{
    static const char *const units[] = { "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
    size_t u, shift;
    for (u = 0; u < 4; u++)
        for (shift = 0; shift < 8; shift++) {
            hone_error err = { 0 };
            text t = { 0 };
            int i;
            for (i = 0; i < (int)shift; i++)
                text_putc(&t, 'x');
            for (i = 0; i < 600; i++)
                text_puts(&t, units[u]);
            (void)hone_fail(&err, HONE_ERR_ARG, "%s", t.p);
            CHECK(utf8_valid(err.message, strlen(err.message)));
            CHECK(strlen(err.message) > sizeof err.message - 5);
            (void)hone_prefix(&err, "%.*s", (int)shift, "prefix..");
            CHECK(utf8_valid(err.message, strlen(err.message)));
            (void)hone_prefix(&err, "%s", t.p); /* no room for what was there */
            CHECK(utf8_valid(err.message, strlen(err.message)));
            text_finish(&t);
        }
}

int main(void)
{
    RUN(test_status__fail_records_and_returns);
    RUN(test_status__messages_stay_one_line);
    RUN(test_status__no_character_is_cut_in_two);
    return TEST_EXIT();
}
