/*
 * test_json.c - places in messages, what is refused, numbers that come back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "folder.h"

#include <float.h>

static void test_json__messages_have_places(void)
{
    static const struct {
        const char *text, *message;
        hone_status status;
    } cases[] = {
        { "{\"a\": 1, \"a\": 2}", "c.json:1:12: duplicate object key", HONE_ERR_FORMAT },
        { "{\"a\": {\"b\": 1,\n  \"b\": 2}}", "c.json:2:5: duplicate object key", HONE_ERR_FORMAT },
        { "{\n\n  \"a\": x}", "c.json:3:", HONE_ERR_FORMAT },
        { "{\"a\": 1} trailing", "c.json:1:", HONE_ERR_FORMAT },
        { "", "c.json:1:1: ", HONE_ERR_FORMAT },
        { "{", "c.json:1:1: string or '}' expected near end of file", HONE_ERR_FORMAT },
        { "[1,]", "c.json:1:", HONE_ERR_FORMAT },
        { "{'a': 1}", "c.json:1:", HONE_ERR_FORMAT },
        { "[1e999]", "real number overflow", HONE_ERR_FORMAT },
        { "[NaN]", "c.json:1:", HONE_ERR_FORMAT },
        { "[\"a\\u0000b\"]", "a string holds a NUL character", HONE_ERR_FORMAT },
        { "[\"\xff\"]", "c.json:1:", HONE_ERR_FORMAT },
        { "[\"\\ud800\"]", "c.json:1:", HONE_ERR_FORMAT },
        { "[\"a\nb\"]", "c.json:1:", HONE_ERR_FORMAT },
        { "// no comments\n1", "c.json:1:", HONE_ERR_FORMAT },
        { "{\"a\": [1, 2.5, \"\\u00e9\", true, null]}", "", HONE_OK },
        { "\xef\xbb\xbf{\"a\": 1}", "", HONE_OK }, /* a byte-order mark */
        { "3", "", HONE_OK },
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_error err = { 0 };
        json_t *root = NULL;
        char *exact = mem_strdup(cases[i].text); /* no bytes behind it */
        CHECK_INT(json_parse(&root, exact, strlen(exact), "c.json", &err), cases[i].status);
        CHECK_HAS(err.message, cases[i].message);
        CHECK(!strpbrk(err.message, "\n\r"));
        CHECK((root != NULL) == (cases[i].status == HONE_OK));
        json_decref(root);
        free(exact);
    }
}

/* What Jansson calls overflow becomes a real; its neighbours stay what they are. */
static void test_json__integers_beyond_int64_become_reals(void)
{
    static const char text_of[] =
        "{\"1000000000000000000000\": \"\\\"1000000000000000000000\", \"max\": 9223372036854775807,"
        " \"min\": -9223372036854775808, \"over\": 9223372036854775808,"
        " \"under\": -9223372036854775809, \"huge\": 1000000000000000019884624838656, \"e\": 1e30}";
    hone_error err = { 0 };
    json_t *root = NULL;
    CHECK_OK(json_parse(&root, text_of, strlen(text_of), "big", &err), err);
    CHECK_STR(json_string_value(json_object_get(root, "1000000000000000000000")),
              "\"1000000000000000000000");
    CHECK(json_integer_value(json_object_get(root, "max")) == INT64_MAX);
    CHECK(json_integer_value(json_object_get(root, "min")) == INT64_MIN);
    CHECK_NEAR(json_real_value(json_object_get(root, "over")), 0x1p63, 0);
    CHECK_NEAR(json_real_value(json_object_get(root, "under")), -0x1p63, 0);
    CHECK_NEAR(json_real_value(json_object_get(root, "huge")), 1e30, 0);
    CHECK_NEAR(json_real_value(json_object_get(root, "e")), 1e30, 0);
    json_decref(root);
}

static void test_json__depth_is_limited(void)
{
    hone_error err = { 0 };
    json_t *root = NULL;
    text t = { 0 };
    int i, depth;
    for (depth = 128; depth <= 129; depth++) {
        text_clear(&t);
        text_puts(&t, "{\"a[[[\\\"{{\":\n");
        for (i = 1; i < depth; i++)
            text_putc(&t, '[');
        for (i = 1; i < depth; i++)
            text_putc(&t, ']');
        text_putc(&t, '}');
        CHECK_INT(json_parse(&root, t.p, t.n, "deep", &err),
                  depth == 128 ? HONE_OK : HONE_ERR_LIMIT);
        if (depth == 128)
            json_decref(root);
    }
    CHECK_STR(err.message, "deep:2:128: nested deeper than 128");
    text_clear(&t);
    for (i = 0; i < 1000000; i++)
        text_putc(&t, i % 2 ? '[' : '{');
    CHECK_INT(json_parse(&root, t.p, t.n, "deep", &err), HONE_ERR_LIMIT);
    text_finish(&t);
}

static void test_json__what_is_written_reads_back(void)
{
    static const double reals[] = {
        2e-4,        0.1,  1.0 / 3, 1e300, -5e-324, DBL_MAX,
        123456789.0, -0.0, 0.5,     100,   1e22,    0.30000000000000004
    };
    char *dir = folder_new(), *path = path_join(dir, "x.json"), *file = NULL;
    hone_error err = { 0 };
    json_t *root = json_object(), *numbers = json_array(), *back = NULL;
    size_t i;
    for (i = 0; i < sizeof reals / sizeof reals[0]; i++)
        (void)json_array_append_new(numbers, json_real(reals[i]));
    (void)json_object_set_new(root, "z", numbers);
    (void)json_object_set_new(root, "a \"quoted\" \xc3\xa9",
                              json_string("tab\t, \x01, \xf0\x9f\x98\x80"));
    (void)json_object_set_new(root, "big", json_integer(INT64_MIN));
    (void)json_object_set_new(root, "empty", json_object());
    (void)json_object_set_new(root, "none", json_array());
    (void)json_object_set_new(root, "rows", json_pack("[{s:b, s:n}, [i, i]]", "t", 1, "n", 1, 2));
    CHECK_OK(json_write(root, path, &err), err);
    CHECK_OK(json_read(&back, path, &err), err);
    CHECK(json_equal(root, back));
    for (i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        const json_t *v = json_array_get(json_object_get(back, "z"), i);
        CHECK(json_is_real(v));
        CHECK(json_real_value(v) == reals[i] && signbit(json_real_value(v)) == signbit(reals[i]));
    }
    CHECK_OK(file_read(&file, NULL, path, 1 << 20, &err), err);
    CHECK_HAS(file, "\"z\": [0.0002, 0.1, 0.3333333333333333, 1e+300, ");
    CHECK_HAS(file, " 100.0, ");
    CHECK_HAS(file, "\"empty\": {},\n  \"none\": [],\n  \"rows\": [\n    {\n      \"t\": true,");
    CHECK_HAS(file, "    [1, 2]\n  ]\n}\n");
    free(file);
    json_decref(back);
    json_decref(root);
    CHECK_INT(json_read(&back, "/nonexistent.json", &err), HONE_ERR_NOTFOUND);
    folder_put(dir, "x.json", "{\n \"a\" 1}");
    CHECK_INT(json_read(&back, path, &err), HONE_ERR_FORMAT);
    CHECK_HAS(err.message, "x.json:2:");
    free(path);
    folder_remove(dir);
}

int main(void)
{
    RUN(test_json__messages_have_places);
    RUN(test_json__integers_beyond_int64_become_reals);
    RUN(test_json__depth_is_limited);
    RUN(test_json__what_is_written_reads_back);
    return TEST_EXIT();
}
