/*
 * test_csv.c - what RFC 4180 asks for, and the errors it implies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/dataset.h"

#include "test.h"

/* Records as "a|b/c|d", or "! message". */
static char *flat(const char *p, size_t n, char delimiter)
{
    static char out[512];
    csv c = { .p = p, .n = n, .delimiter = delimiter, .line = 1 };
    csv_record r = { 0 };
    text t = { 0 };
    bool more = true;
    hone_error err = { 0 };
    while (!csv_next(&c, &r, &more, &err) && more) {
        if (t.n)
            text_putc(&t, '/');
        for (size_t i = 0; i < r.n; i++) {
            const hone_str f = csv_field(&r, i);
            if (i)
                text_putc(&t, '|');
            text_add(&t, f.p, f.n);
        }
        text_printf(&t, "@%lld", (long long)r.line);
    }
    if (err.code)
        (void)snprintf(out, sizeof out, "! %s", err.message);
    else
        (void)snprintf(out, sizeof out, "%s", t.p ? t.p : "");
    csv_record_finish(&r);
    text_finish(&t);
    return out;
}

static void test_csv__reads_what_the_rfc_says(void)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        { "", "" },
        { "a,b\nc,d\n", "a|b@1/c|d@2" },
        { "a,b\r\nc,d\r\n", "a|b@1/c|d@2" },
        { "a,b\rc,d", "a|b@1/c|d@2" },
        { "a,\n,b\n,", "a|@1/|b@2/|@3" },
        { "\"a,b\",c\n", "a,b|c@1" },
        { "\"say \"\"hi\"\"\",\"\"\n", "say \"hi\"|@1" },
        { "\"two\nlines\",x\ny,z\n", "two\nlines|x@1/y|z@3" },
        { "\"two\r\nlines\",x\r\ny,z\r\n", "two\r\nlines|x@1/y|z@3" },
        { "\n\n a , b \n\n\nc,d", " a | b @3/c|d@6" },
        { "5\" pipe,x\n", "5\" pipe|x@1" },
        { "\"a\"", "a@1" },
        { "\"", "! line 1: a quote is opened and never closed" },
        { "a\nb,\"c\n\nd", "! line 2: a quote is opened and never closed" },
        { "a\n\"b\" c\n",
          "! line 2: text after a closing quote; a quote inside a quoted field is written twice" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_STR(flat(cases[i].in, strlen(cases[i].in), ','), cases[i].want);
    CHECK_STR(flat("a;b,c\n", 6, ';'), "a|b,c@1");
    CHECK_STR(flat("a\tb\n", 4, '\t'), "a|b@1");
}

static void test_csv__keeps_bytes_as_they_are(void)
{
    csv c = { .p = "a\0b,\xff\n", .n = 6, .delimiter = ',', .line = 1 };
    csv_record r = { 0 };
    bool more;
    hone_error err = { 0 };
    CHECK_OK(csv_next(&c, &r, &more, &err), err);
    CHECK_INT(r.n, 2);
    CHECK_INT(csv_field(&r, 0).n, 3);
    CHECK(!memcmp(csv_field(&r, 0).p, "a\0b", 3));
    CHECK(!memcmp(csv_field(&r, 1).p, "\xff", 1));
    csv_record_finish(&r);
}

int main(void)
{
    RUN(test_csv__reads_what_the_rfc_says);
    RUN(test_csv__keeps_bytes_as_they_are);
    return TEST_EXIT();
}
