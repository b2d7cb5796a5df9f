/*
 * test_options.c - every type of row, from text and from JSON, and the messages.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"
#include "test.h"

#include <float.h>
#include <locale.h>
#include <unistd.h>

typedef struct config {
    int64_t steps, big;
    double lr, free_number;
    const char *name, *title, *out, *data;
    int64_t dtype;
    hone_list targets, none, sources;
    bool packing;
} config;

/* clang-format off */
static const hone_option rows[] = {
    HONE_ROW_I64(config, steps, 1, 1000, "100", "optimizer steps"),
    HONE_ROW_I64(config, big, -9223372036854775808.0, 9223372036854775807.0, "0", "any integer"),
    HONE_ROW_F64(config, lr, 0, 1, "2e-4", "step size"),
    HONE_ROW_F64(config, free_number, -DBL_MAX, DBL_MAX, "0", "any number"),
    HONE_ROW_STRING(config, name, "run", "name of the run"),
    HONE_ROW_STRING(config, title, NULL, "title"),
    HONE_ROW_PATH(config, out, "run/out", "where results go"),
    HONE_ROW_PATH(config, data, NULL, "folder with documents"),
    HONE_ROW_ENUM(config, dtype, "fp32|fp16|bf16", "bf16", "type of numbers"),
    HONE_ROW_LIST(config, targets, "q_proj, v_proj", "matrices that get an adapter"),
    HONE_ROW_LIST(config, none, NULL, "a list"),
    HONE_ROW_PATHS(config, sources, "docs,/abs", "files and folders"),
    HONE_ROW_BOOL(config, packing, "on", "pack samples"),
    HONE_OPTIONS_END,
};
/* clang-format on */

static void test_options__paths_of_a_list_start_from_the_config(void)
{
    hone_error err = { 0 };
    options o;
    config c;
    json_t *list = json_pack("[s, s]", "docs", "/abs");
    CHECK_OK(options_init(&o, rows, &c, "train", "/conf", &err), err);
    CHECK_OK(options_set_json(&o, "sources", list, &err), err);
    CHECK_INT(c.sources.n, 2);
    CHECK_STR(c.sources.items[0], "/conf/docs");
    CHECK_STR(c.sources.items[1], "/abs");
    CHECK(options_set_json(&o, "sources", json_true(), &err) == HONE_ERR_ARG);
    CHECK_HAS(err.message, "a list of paths");
    json_decref(list);
    options_finish(&o);
}

static void test_options__defaults_come_from_the_rows(void)
{
    hone_error err = { 0 };
    options o;
    config c;
    CHECK_OK(options_init(&o, rows, &c, "train", "/conf", &err), err);
    CHECK_INT(c.steps, 100);
    CHECK_INT(c.big, 0);
    CHECK_NEAR(c.lr, 2e-4, 0);
    CHECK_STR(c.name, "run");
    CHECK(c.title == NULL && c.data == NULL);
    CHECK_STR(c.out, "/conf/run/out");
    CHECK_INT(c.dtype, 2);
    CHECK_INT(c.targets.n, 2);
    CHECK_STR(c.targets.items[0], "q_proj");
    CHECK_STR(c.targets.items[1], "v_proj");
    CHECK(c.none.n == 0 && c.none.items == NULL);
    CHECK_INT(c.sources.n, 2);
    CHECK_STR(c.sources.items[0], "/conf/docs");
    CHECK_STR(c.sources.items[1], "/abs");
    CHECK(c.packing == true);
    CHECK(!options_given(&o, "lr"));
    options_finish(&o);
}

/* Text to each type: the value that is stored, as JSON, or the message. */
static void test_options__text_is_parsed_and_checked(void)
{
    static const struct {
        const char *name, *text, *want; /* want: JSON of the value, or NULL */
        const char *message;
    } cases[] = {
        { "steps", "7", "7", NULL },
        { "steps", "+7", "7", NULL },
        { "steps", "0", NULL, "train.steps: 0 is outside [1, 1000]" },
        { "steps", "1001", NULL, "train.steps: 1001 is outside [1, 1000]" },
        { "steps", "abc", NULL, "train.steps: 'abc' is not an integer" },
        { "steps", "1.5", NULL, "train.steps: '1.5' is not an integer" },
        { "steps", "1e2", NULL, "train.steps: '1e2' is not an integer" },
        { "steps", "", NULL, "train.steps: '' is not an integer" },
        { "steps", " 7", NULL, "train.steps: ' 7' is not an integer" },
        { "steps", "7 ", NULL, "train.steps: '7 ' is not an integer" },
        { "steps", "7-", NULL, "train.steps: '7-' is not an integer" },
        { "steps", "0x7", NULL, "train.steps: '0x7' is not an integer" },
        { "steps", "-", NULL, "train.steps: '-' is not an integer" },
        { "steps", "99999999999999999999", NULL,
          "train.steps: 99999999999999999999 is outside [1, 1000]" },
        { "big", "9007199254740993", "9007199254740993", NULL }, /* 2^53 + 1: no double has it */
        { "big", "9223372036854775807", "9223372036854775807", NULL },
        { "big", "-9223372036854775808", "-9223372036854775808", NULL },
        { "big", "9223372036854775808", NULL,
          "train.big: 9223372036854775808 is outside [-9223372036854775808, 9223372036854775807]" },
        { "lr", "2e-4", "0.0002", NULL },
        { "lr", ".5", "0.5", NULL },
        { "lr", "1", "1.0", NULL },
        { "lr", "1E0", "1.0", NULL },
        { "lr", "abc", NULL, "train.lr: 'abc' is not a number" },
        { "lr", "7", NULL, "train.lr: 7 is outside [0, 1]" },
        { "lr", "-1e-9", NULL, "train.lr: -1e-9 is outside [0, 1]" },
        { "lr", "nan", NULL, "train.lr: 'nan' is not a number" },
        { "lr", "inf", NULL, "train.lr: 'inf' is not a number" },
        { "lr", "0x1p-3", NULL, "train.lr: '0x1p-3' is not a number" },
        { "lr", "1,5", NULL, "train.lr: '1,5' is not a number" },
        { "lr", "1e", NULL, "train.lr: '1e' is not a number" },
        { "lr", "", NULL, "train.lr: '' is not a number" },
        { "free_number", "1e999", NULL, "train.free_number: 1e999 is outside [" },
        { "free_number", "-1.7976931348623157e308", "-1.7976931348623157e308", NULL },
        { "name", "", "\"\"", NULL },
        { "name", "with spaces, and = signs", "\"with spaces, and = signs\"", NULL },
        { "title", "t", "\"t\"", NULL },
        { "out", "/abs/x", "\"/abs/x\"", NULL },
        { "out", "", NULL, "train.out: the path is empty" },
        { "dtype", "fp32", "\"fp32\"", NULL },
        { "dtype", "fp17", NULL,
          "train.dtype: 'fp17' is none of fp32|fp16|bf16; did you mean 'fp16'?" },
        { "dtype", "FP32", NULL, "train.dtype: 'FP32' is none of fp32|fp16|bf16" },
        { "dtype", "fp", NULL, "train.dtype: 'fp' is none of fp32|fp16|bf16" },
        { "dtype", "fp32|fp16", NULL, "train.dtype: 'fp32|fp16' is none of" },
        { "dtype", "", NULL, "train.dtype: '' is none of fp32|fp16|bf16" },
        { "targets", "a", "[\"a\"]", NULL },
        { "targets", "a, b ,c d", "[\"a\", \"b\", \"c d\"]", NULL },
        { "targets", "", "[]", NULL },
        { "targets", "[\"a,b\", \" c\", \"\"]", "[\"a,b\", \" c\", \"\"]", NULL },
        { "targets", "[]", "[]", NULL },
        { "targets", "a,,b", NULL, "train.targets: 'a,,b' has an empty item" },
        { "targets", "a,", NULL, "train.targets: 'a,' has an empty item" },
        { "targets", "[1]", NULL, "train.targets: item 1 of the list is not a string" },
        { "targets", "[\"a\"", NULL, "train.targets:1:" },
        { "packing", "true", "true", NULL },
        { "packing", "yes", "true", NULL },
        { "packing", "on", "true", NULL },
        { "packing", "false", "false", NULL },
        { "packing", "no", "false", NULL },
        { "packing", "off", "false", NULL },
        { "packing", "maybe", NULL, "train.packing: 'maybe' is neither true nor false" },
        { "packing", "TRUE", NULL, "train.packing: 'TRUE' is neither true nor false" },
        { "packing", "1", NULL, "train.packing: '1' is neither true nor false" },
        { "lrr", "1", NULL, "unknown option 'train.lrr'; did you mean 'train.lr'?" },
        { "target", "1", NULL, "unknown option 'train.target'; did you mean 'train.targets'?" },
        { "stesp", "1", NULL, "unknown option 'train.stesp'; did you mean 'train.steps'?" },
        { "temperature", "1", NULL,
          "unknown option 'train.temperature'; there are: steps, big, lr, free_number, " },
        { "", "1", NULL, "unknown option 'train.'; there are: " },
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_error err = { 0 };
        options o;
        config c;
        json_t *before, *after, *want = NULL;
        CHECK_OK(options_init(&o, rows, &c, "train", NULL, &err), err);
        before = options_to_json(&o);
        CHECK_INT(options_set(&o, cases[i].name, cases[i].text, &err) == HONE_OK,
                  cases[i].want != NULL);
        after = options_to_json(&o);
        if (cases[i].want) {
            CHECK_OK(json_parse(&want, cases[i].want, strlen(cases[i].want), "want", &err), err);
            if (!json_equal(json_object_get(after, cases[i].name), want)) {
                fprintf(stderr, "%s=%s is not stored as %s\n", cases[i].name, cases[i].text,
                        cases[i].want);
                test_failures++;
            }
            json_decref(want);
        } else {
            CHECK_HAS(err.message, cases[i].message);
            CHECK(json_equal(before, after)); /* a refused value changes nothing */
        }
        CHECK_INT(options_given(&o, cases[i].name), cases[i].want != NULL);
        json_decref(before);
        json_decref(after);
        options_finish(&o);
    }
}

static void test_options__json_values_keep_their_types(void)
{
    static const struct {
        const char *json, *want; /* want: the value in JSON, or NULL */
        const char *message;
    } cases[] = {
        { "{\"steps\": 7}", "7", NULL },
        { "{\"steps\": 1e2}", "100", NULL },
        { "{\"steps\": 7.5}", NULL, "train.steps: 7.5 is not an integer" },
        { "{\"steps\": \"7\"}", NULL, "train.steps: a string was given, a whole number is needed" },
        { "{\"steps\": true}", NULL, "train.steps: true was given, a whole number is needed" },
        { "{\"steps\": null}", NULL, "train.steps: null was given, a whole number is needed" },
        { "{\"steps\": {}}", NULL, "train.steps: an object was given, a whole number is needed" },
        { "{\"steps\": 5000}", NULL, "train.steps: 5000 is outside [1, 1000]" },
        { "{\"big\": 9007199254740993}", "9007199254740993", NULL },
        { "{\"big\": 1e300}", NULL, "train.big: 1e+300 is outside [-9223372036854775808, " },
        { "{\"big\": 9007199254740994.0}", NULL,
          "train.big: write 9.00719925474099e+15 without exponent or point" },
        { "{\"big\": 99999999999999999999}", NULL, "train.big: 1e+20 is outside [-9223372036854" },
        { "{\"lr\": 1}", "1.0", NULL },
        { "{\"lr\": 0.25}", "0.25", NULL },
        { "{\"lr\": 1.5}", NULL, "train.lr: 1.5 is outside [0, 1]" },
        { "{\"lr\": \"0.5\"}", NULL, "train.lr: a string was given, a number is needed" },
        { "{\"name\": \"x\"}", "\"x\"", NULL },
        { "{\"name\": 5}", NULL, "train.name: a whole number was given, a string is needed" },
        { "{\"name\": [\"x\"]}", NULL, "train.name: an array was given, a string is needed" },
        { "{\"title\": null}", "null", NULL },
        { "{\"out\": \"x/y\"}", "\"/conf/x/y\"", NULL },
        { "{\"out\": \"/x/y\"}", "\"/x/y\"", NULL },
        { "{\"out\": 1.5}", NULL, "train.out: a number was given, a path is needed" },
        { "{\"dtype\": \"fp16\"}", "\"fp16\"", NULL },
        { "{\"dtype\": 1}", NULL, "train.dtype: a whole number was given, a string is needed" },
        { "{\"dtype\": null}", NULL, "train.dtype: null was given, a string is needed" },
        { "{\"targets\": [\"a\", \"b\"]}", "[\"a\", \"b\"]", NULL },
        { "{\"sources\": [\"a\", \"/b\"]}", "[\"/conf/a\", \"/b\"]", NULL },
        { "{\"sources\": \"a, b\"}", "[\"/conf/a\", \"/conf/b\"]", NULL },
        { "{\"sources\": [\"a\", \"\"]}", NULL,
          "train.sources: item 2 of the list is an empty path" },
        { "{\"sources\": null}", "[]", NULL },
        { "{\"targets\": \"a,b\"}", "[\"a\", \"b\"]", NULL },
        { "{\"targets\": []}", "[]", NULL },
        { "{\"targets\": null}", "[]", NULL },
        { "{\"targets\": [\"a\", 2]}", NULL, "train.targets: item 2 of the list is not a string" },
        { "{\"targets\": {\"a\": 1}}", NULL,
          "train.targets: an object was given, a list of strings" },
        { "{\"packing\": false}", "false", NULL },
        { "{\"packing\": 0}", NULL,
          "train.packing: a whole number was given, true or false is needed" },
        { "{\"packing\": \"off\"}", NULL,
          "train.packing: a string was given, true or false is needed" },
        { "{\"packnig\": true}", NULL,
          "unknown option 'train.packnig'; did you mean 'train.packing'?" },
        { "[1]", NULL, "train: an object with options is needed" },
    };
    static const char *const skip[] = { "comment", "plugins", NULL };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_error err = { 0 };
        options o;
        config c;
        json_t *root = NULL, *want = NULL, *after;
        CHECK_OK(json_parse(&root, cases[i].json, strlen(cases[i].json), "case", &err), err);
        CHECK_OK(options_init(&o, rows, &c, "train", "/conf", &err), err);
        CHECK_INT(options_set_object(&o, root, NULL, &err), cases[i].want ? HONE_OK : HONE_ERR_ARG);
        if (cases[i].want) {
            const char *name = json_object_iter_key(json_object_iter(root));
            after = options_to_json(&o);
            CHECK_OK(json_parse(&want, cases[i].want, strlen(cases[i].want), "want", &err), err);
            if (!json_equal(json_object_get(after, name), want)) {
                fprintf(stderr, "%s is not stored as %s\n", cases[i].json, cases[i].want);
                test_failures++;
            }
            CHECK(options_given(&o, name));
            json_decref(want);
            json_decref(after);
        } else {
            CHECK_HAS(err.message, cases[i].message);
        }
        json_decref(root);
        options_finish(&o);
    }
    /* names that belong to somebody else */
    hone_error err = { 0 };
    options o;
    config c;
    json_t *root = json_pack("{s:s, s:{}, s:i}", "comment", "x", "plugins", "steps", 9);
    CHECK_OK(options_init(&o, rows, &c, "train", "/conf", &err), err);
    CHECK_OK(options_set_object(&o, root, skip, &err), err);
    CHECK_INT(c.steps, 9);
    CHECK_INT(options_set_object(&o, root, NULL, &err), HONE_ERR_ARG);
    json_decref(root);
    options_finish(&o);
}

static void test_options__what_is_printed_reads_back(void)
{
    hone_error err = { 0 };
    options a, b;
    config ca, cb;
    json_t *first, *second;
    CHECK_OK(options_init(&a, rows, &ca, "train", "/conf", &err), err);
    CHECK_OK(options_set(&a, "targets", "x,y", &err), err);
    CHECK_OK(options_set(&a, "targets", "x,y,z", &err), err); /* the first list is given back */
    CHECK_OK(options_set(&a, "name", "n", &err), err);
    CHECK_OK(options_set(&a, "dtype", "fp32", &err), err);
    first = options_to_json(&a);
    CHECK_OK(options_init(&b, rows, &cb, "", "/elsewhere", &err), err);
    CHECK_OK(options_set_object(&b, first, NULL, &err), err);
    second = options_to_json(&b);
    CHECK(json_equal(first, second));
    json_decref(first);
    json_decref(second);
    options_finish(&a);
    options_finish(&b);
    options_finish(&b);
}

static void test_options__paths_are_absolute(void)
{
    hone_error err = { 0 };
    char *cwd = getcwd(NULL, 0), *want = path_join(cwd, "x"), *based = path_join(cwd, "conf/y");
    options o;
    config c;
    json_t *root = json_pack("{s:s}", "out", "y");
    CHECK_OK(options_init(&o, rows, &c, "train", "conf", &err), err);
    CHECK_OK(options_set(&o, "out", "x", &err), err); /* command line: the working folder */
    CHECK_STR(c.out, want);
    CHECK_OK(options_set_object(&o, root, NULL, &err), err); /* file: its own folder */
    CHECK_STR(c.out, based);
    json_decref(root);
    options_finish(&o);
    free(based);
    free(want);
    free(cwd);
}

static void test_options__numbers_do_not_follow_the_locale(void)
{
    hone_error err = { 0 };
    options o;
    config c;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8"))
        return; /* not on this machine; the C locale is what the other tests use */
    CHECK_OK(options_init(&o, rows, &c, "train", "/conf", &err), err);
    CHECK_OK(options_set(&o, "lr", "0.5", &err), err);
    CHECK_NEAR(c.lr, 0.5, 0);
    options_finish(&o);
    (void)setlocale(LC_NUMERIC, "C");
}

static void test_options__bad_tables_are_refused(void)
{
    static const hone_option bad[][2] = {
        { { "x", 77, 0, 0, 0, "1", NULL, "" }, HONE_OPTIONS_END },
        { { "x", HONE_OPT_I64, 0, 0, 9, NULL, NULL, "" }, HONE_OPTIONS_END },
        { { "x", HONE_OPT_I64, 0, 0, 9, "ten", NULL, "" }, HONE_OPTIONS_END },
        { { "x", HONE_OPT_F64, 0, 0, 9, "10", NULL, "" }, HONE_OPTIONS_END },
        { { "x", HONE_OPT_ENUM, 0, 0, 0, "a", NULL, "" }, HONE_OPTIONS_END },
        { { "x", HONE_OPT_ENUM, 0, 0, 0, "c", "a|b", "" }, HONE_OPTIONS_END },
        { { "x", HONE_OPT_BOOL, 0, 0, 0, "perhaps", NULL, "" }, HONE_OPTIONS_END },
    };
    static const char *const messages[] = {
        "s.x: unknown option type 77",           "s.x: the option has no default",
        "default: s.x: 'ten' is not an integer", "default: s.x: 10 is outside [0, 9]",
        "s.x: an enum without choices",          "default: s.x: 'c' is none of a|b",
        "default: s.x: 'perhaps' is neither"
    };
    size_t i;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        hone_error err = { 0 };
        options o = { .section = "untouched" };
        int64_t field = 0;
        CHECK(options_init(&o, bad[i], &field, "s", NULL, &err) != HONE_OK);
        CHECK_HAS(err.message, messages[i]);
        CHECK_STR(o.section, "untouched");
    }
}

static void test_options__a_component_without_options_takes_none(void)
{
    hone_error err = { 0 };
    options o;
    json_t *root;
    CHECK_OK(options_init(&o, NULL, NULL, "raw", NULL, &err), err);
    CHECK_INT(options_set(&o, "x", "1", &err), HONE_ERR_ARG);
    CHECK_STR(err.message, "unknown option 'raw.x'; there are none");
    root = options_to_json(&o);
    CHECK_INT(json_object_size(root), 0);
    json_decref(root);
    options_finish(&o);
}

static void test_options__help_and_markdown_come_from_the_rows(void)
{
    text t = { 0 };
    options_help(&t, rows, "train");
    CHECK_HAS(t.p, "  --train.steps integer");
    CHECK_HAS(t.p, "optimizer steps [100]\n");
    CHECK_HAS(t.p, "  --train.dtype fp32|fp16|bf16 ");
    CHECK_HAS(t.p, "type of numbers [bf16]\n");
    CHECK_HAS(t.p, "  title\n"); /* no default */
    text_clear(&t);
    options_markdown(&t, rows, "");
    CHECK_HAS(t.p, "| option | type | default | range | meaning |\n|---|---|---|---|---|\n");
    CHECK_HAS(t.p, "| `steps` | integer | 100 | 1..1000 | optimizer steps |\n");
    CHECK_HAS(t.p, "| `lr` | number | 2e-4 | 0..1 | step size |\n");
    CHECK_HAS(t.p, "| `big` | integer | 0 |  | any integer |\n");
    CHECK_HAS(t.p, "| `free_number` | number | 0 |  | any number |\n");
    CHECK_HAS(t.p, "| `dtype` | choice | bf16 | fp32\\|fp16\\|bf16 | type of numbers |\n");
    text_finish(&t);
}

static void test_nearest_name__knows_typos_from_other_words(void)
{
    static const char *const names[] = {
        "lr", "steps", "batch", "seq_len", "weight_decay", "epochs"
    };
    static const struct {
        const char *typed, *near;
    } cases[] = {
        { "lrr", "lr" },
        { "l", NULL },
        { "rl", "lr" },
        { "step", "steps" },
        { "stpes", "steps" },
        { "seqlen", "seq_len" },
        { "seq-len", "seq_len" },
        { "wieght_decya", "weight_decay" },
        { "epoch", "epochs" },
        { "", NULL },
        { "temperature", NULL },
        { "x", NULL },
        { "steps", "steps" },
        { "betch", "batch" },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL },
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *near = nearest_name(cases[i].typed, names, 6);
        if ((near == NULL) != (cases[i].near == NULL) ||
            (near && strcmp(near, cases[i].near) != 0)) {
            fprintf(stderr, "'%s' is near '%s', expected '%s'\n", cases[i].typed,
                    near ? near : "(none)", cases[i].near ? cases[i].near : "(none)");
            test_failures++;
        }
    }
    CHECK(nearest_name("x", NULL, 0) == NULL);
}

int main(void)
{
    RUN(test_options__paths_of_a_list_start_from_the_config);
    RUN(test_options__defaults_come_from_the_rows);
    RUN(test_options__text_is_parsed_and_checked);
    RUN(test_options__json_values_keep_their_types);
    RUN(test_options__what_is_printed_reads_back);
    RUN(test_options__paths_are_absolute);
    RUN(test_options__numbers_do_not_follow_the_locale);
    RUN(test_options__bad_tables_are_refused);
    RUN(test_options__a_component_without_options_takes_none);
    RUN(test_options__help_and_markdown_come_from_the_rows);
    RUN(test_nearest_name__knows_typos_from_other_words);
    return TEST_EXIT();
}
