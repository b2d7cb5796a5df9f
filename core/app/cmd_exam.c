/*
 * cmd_exam.c - hone exam: the same questions to the base model and to the tuned one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/app/app.h"

typedef struct exam_flags {
    bool json;
    int64_t show;
} exam_flags;

static exam_flags flags;

/* clang-format off */
static const hone_option rows[] = {
    HONE_ROW_BOOL(exam_flags, json, "false", "print everything as JSON, every answer included"),
    HONE_ROW_I64(exam_flags, show, 0, 1000, "3", "answers shown side by side"),
    HONE_OPTIONS_END,
};
/* clang-format on */

static void show_progress(void *ctx, size_t done, size_t n)
{
    char line[80];
    (void)snprintf(line, sizeof line, "%s: question %zu of %zu", (const char *)ctx, done, n);
    log_set_status(line);
}

static hone_status examine(session *z, const settings *s, const exam *x, const char *tuned,
                           bool full, exam_result *result, hone_error *err)
{
    char *name = mem_strdup(tuned ? "tuned model" : "base model");
    const exam_hooks hooks = { .ctx = name,
                               .on_question = isatty(STDERR_FILENO) ? show_progress : NULL,
                               .stop = &app_stop };
    hone_status st = session_open_model(z, s, tuned, full, err);
    if (!st)
        st = exam_run(result, x, &s->exam, z->net, z->tok, z->chat, s->data.date, s->train.seq_len,
                      s->train.batch, &hooks, err);
    log_set_status(NULL);
    free(name);
    return st;
}

static void print_text(const exam *x, const exam_result *before, const exam_result *after)
{
    text t = { 0 };
    exam_print_answers(&t, x, before, after, (size_t)flags.show);
    exam_print(&t, x, before, after);
    if (after) {
        text_puts(&t, "exam: ");
        exam_print_summary(&t, before, after);
        text_putc(&t, '\n');
    }
    if (!text_status(&t, NULL) && t.p)
        fputs(t.p, stdout);
    text_finish(&t);
}

static hone_status run(settings *s, const arguments *a, hone_error *err)
{
    session z = { 0 };
    exam x = { 0 };
    exam_result before = { 0 }, after = { 0 };
    char *tuned = NULL;
    bool full = false;
    hone_status st;
    if (a->n)
        return hone_fail(err, HONE_ERR_ARG,
                         "'%s' is not a setting; questions are named by exam.file", a->items[0]);
    if (!s->exam.file)
        return hone_fail(err, HONE_ERR_ARG,
                         "no questions: set exam.file (JSON lines of question, answer, kind)");
    if ((st = exam_load(&x, s->exam.file, err)) ||
        (st = session_open(&z, s, SESSION_TOKENIZER, err)) ||
        (st = session_tuned_path(s, &tuned, &full, err)))
        goto out;
    if (s->exam.check && path_exists(s->data_path) && (st = exam_check(&x, s->data_path, err)))
        goto out;
    if (s->exam.check && !path_exists(s->data_path))
        log_line(HONE_LOG_WARN, "%s is not there: recall and reworded marks are not checked",
                 s->data_path);
    if ((st = examine(&z, s, &x, NULL, false, &before, err)))
        goto out;
    if (tuned && (st = examine(&z, s, &x, tuned, full, &after, err)))
        goto out;
    if (!tuned)
        log_line(HONE_LOG_WARN, "no tuned model in %s: these are the base model's marks alone",
                 s->train.out);
    if (flags.json) {
        json_t *o = exam_json(&x, &before, tuned ? &after : NULL);
        (void)json_dumpf(o, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(o);
    } else {
        print_text(&x, &before, tuned ? &after : NULL);
    }
out:
    exam_result_finish(&before);
    exam_result_finish(&after);
    exam_finish(&x);
    free(tuned);
    session_close(&z);
    return st;
}

const command cmd_exam = {
    .name = "exam",
    .operands = "[CONFIG]",
    .summary = "the same questions before and after, and what was forgotten",
    .flags = rows,
    .flag_values = &flags,
    .config_operand = true,
    .run = run,
};
