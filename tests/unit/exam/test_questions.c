/*
 * test_questions.c - exam files: what is read, what is refused, and whether the marks hold.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/exam/parts.h"
#include "test.h"

#include <unistd.h>

#define Q(question, kind) \
    "{\"question\": \"" question "\", \"answer\": \"a\", \"kind\": \"" kind "\"}\n"

static hone_status load(exam *out, const char *p, hone_error *err)
{
    return exam_load_bytes(out, p, strlen(p), "e.jsonl", err);
}

static void test_questions__are_read(void)
{
    hone_error err = { 0 };
    exam x = { 0 };
    CHECK_OK(
        load(
            &x,
            "{\"id\": \"q1\", \"question\": \"Who?\", \"answer\": \"Me\", \"kind\": \"recall\"}\r\n"
            "\n  \n" Q("What is it?", "reworded"),
            &err),
        err);
    CHECK_INT(x.n, 2);
    CHECK_STR(x.questions[0].id, "q1");
    CHECK_STR(x.questions[0].question, "Who?");
    CHECK_STR(x.questions[0].answer, "Me");
    CHECK_INT(x.questions[0].kind, EXAM_RECALL);
    CHECK_INT(x.questions[0].line, 1);
    CHECK_STR(x.questions[1].id, "line 4");
    CHECK_INT(x.questions[1].kind, EXAM_REWORDED);
    CHECK_INT(x.questions[1].line, 4);
    CHECK_INT(strlen(x.hash), 64);
    exam_finish(&x);
}

static void test_questions__faults_name_file_and_line(void)
{
    /* clang-format off */
    static const struct { const char *in, *message; } rows[] = {
        { "", "e.jsonl: no questions in it" },
        { "\n\n", "e.jsonl: no questions in it" },
        { Q("x", "recall") "[1]\n", "e.jsonl:2: not a JSON object" },
        { Q("x", "recall") "{\"question\": \n", "e.jsonl:2" },
        { "{\"question\": \"x\", \"kind\": \"recall\"}", "e.jsonl:1: no \"answer\"" },
        { "{\"answer\": \"x\", \"kind\": \"recall\"}", "e.jsonl:1: no \"question\"" },
        { "{\"question\": 1, \"answer\": \"x\", \"kind\": \"recall\"}", "e.jsonl:1: \"question\" is not text" },
        { "{\"question\": \"x\", \"answer\": \" \\n\", \"kind\": \"recall\"}", "e.jsonl:1: \"answer\" is empty" },
        { "{\"question\": \"a\\u0000b\", \"answer\": \"x\", \"kind\": \"recall\"}", "e.jsonl:1" },
        { Q("x", "both"), "e.jsonl:1: \"kind\" is \"both\", expected \"recall\" or \"reworded\"" },
        { "{\"question\": \"x\", \"answer\": \"y\"}", "e.jsonl:1: \"kind\" is missing or not text" },
        { "{\"question\": \"x\", \"answer\": \"y\", \"kind\": \"recall\", \"hint\": 1}", "e.jsonl:1: unknown key \"hint\"" },
        { Q("x", "recall") Q("y", "recall") Q("x", "reworded"), "e.jsonl:3: asks the same as line 1" },
    };
    /* clang-format on */
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        hone_error err = { 0 };
        exam x = { 0 };
        CHECK(load(&x, rows[i].in, &err) != HONE_OK);
        CHECK_HAS(err.message, rows[i].message);
        CHECK(x.questions == NULL); /* untouched */
    }
}

static char dir[] = "/tmp/hone-exam-XXXXXX";

static hone_status check(const char *questions, const char *rows, hone_error *err)
{
    char *path = path_join(dir, "train.jsonl");
    exam x = { 0 };
    hone_status st = file_write(path, rows, strlen(rows), err);
    if (!st)
        st = load(&x, questions, err);
    if (!st)
        st = exam_check(&x, path, err);
    exam_finish(&x);
    free(path);
    return st;
}

#define PAIR(q) "{\"prompt\": \"" q "\", \"completion\": \"c\"}\n"

static void test_questions__marks_are_held_against_rows(void)
{
    /* clang-format off */
    static const struct { const char *questions, *rows, *message; } cases[] = {
        { Q("Who are you?", "recall") Q("Your name?", "reworded"), PAIR("Who  are you?") PAIR("z"), NULL },
        { Q("Who are you?", "recall"), PAIR("who are you?"), "marked recall, but asked by no training row: line 1" },
        { Q("Who are you?", "recall"), PAIR("Say: Who are you?"), "marked recall" },
        { Q("who are the you", "reworded"), PAIR("z") PAIR("Who are you?!"),
          "marked reworded, but asked by a training row: line 1 (as train.jsonl:2)" },
        { Q("You?", "reworded"), PAIR("Who are you?"), NULL },
        { Q("b c", "recall"), "{\"text\": \"a b\\n c d\"}\n", NULL },
        { Q("b c", "recall"), "{\"text\": \"a b cd\"}\n", "marked recall" },
        { Q("b c", "reworded"), "{\"text\": \"a, B: c.\"}\n", "marked reworded" },
        { Q("p", "recall") Q("q", "reworded"), PAIR("q"), "line 1; marked reworded" },
    };
    /* clang-format on */
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_error err = { 0 };
        const hone_status st = check(cases[i].questions, cases[i].rows, &err);
        if (!cases[i].message) {
            CHECK_OK(st, err);
            continue;
        }
        CHECK_INT(st, HONE_ERR_ARG);
        CHECK_HAS(err.message, cases[i].message);
        CHECK_HAS(err.message, "e.jsonl: ");
    }
}

static void test_questions__many_wrong_ones_are_counted(void)
{
    text questions = { 0 };
    hone_error err = { 0 };
    int i;
    for (i = 0; i < 12; i++)
        text_printf(&questions, "{\"question\": \"%d\", \"answer\": \"a\", \"kind\": \"recall\"}\n",
                    i);
    CHECK_INT(check(questions.p, PAIR("z"), &err), HONE_ERR_ARG);
    CHECK_HAS(err.message, "line 1, 2, 3, 4, 5, 6, 7, 8 and 4 more");
    text_finish(&questions);
}

int main(void)
{
    if (!mkdtemp(dir))
        return 77;
    RUN(test_questions__are_read);
    RUN(test_questions__faults_name_file_and_line);
    RUN(test_questions__marks_are_held_against_rows);
    RUN(test_questions__many_wrong_ones_are_counted);
    (void)!dir_remove(dir, NULL);
    return TEST_EXIT();
}
