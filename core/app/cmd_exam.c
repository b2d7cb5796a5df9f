/*
 * cmd_exam.c - hone exam: the same questions to the base model and to the tuned one, or to
 * one model on several backends.
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

/* Everything of one exam. */
typedef struct sitting {
    settings *s; /* borrowed */
    session z;
    exam x;
    char *tuned; /* owned; NULL: there is none */
    bool full;
    char *backends;       /* owned: names of --backend a,b, each ended by a NUL */
    size_t backends_n;    /* bytes of it; 0: one backend */
    exam_result *results; /* owned, n */
    exam_column *columns; /* owned, n; names borrowed */
    size_t n, cap_results, cap_columns;
} sitting;

/* Ask the base model (tuned NULL) or a tuned one; a column `name` of the report. */
static hone_status examine(sitting *t, const char *name, const char *label, const char *tuned,
                           hone_error *err)
{
    union {
        const char *in;
        void *out;
    } ctx = { label };
    const exam_hooks hooks = { .ctx = ctx.out,
                               .on_question = isatty(STDERR_FILENO) ? show_progress : NULL,
                               .stop = &app_stop };
    const settings *s = t->s;
    if (!mem_grow(&t->results, &t->cap_results, t->n + 1, sizeof *t->results) ||
        !mem_grow(&t->columns, &t->cap_columns, t->n + 1, sizeof *t->columns))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for another result");
    hone_status st = session_open_model(&t->z, s, tuned, tuned && t->full, err);
    if (!st)
        st = exam_run(&t->results[t->n], &t->x, &s->exam, t->z.net, t->z.tok, t->z.chat,
                      s->data.date, s->train.seq_len, s->train.batch, &hooks, err);
    log_set_status(NULL);
    if (!st)
        t->columns[t->n++].name = name;
    for (size_t i = 0; i < t->n; i++) /* the array may have moved */
        t->columns[i].result = &t->results[i];
    return st;
}

/* Before and after; before alone where nothing was tuned. */
static hone_status examine_tuning(sitting *t, hone_error *err)
{
    hone_status st = examine(t, t->tuned ? "before" : "base", "base model", NULL, err);
    if (!st && t->tuned)
        st = examine(t, "after", "tuned model", t->tuned, err);
    if (!st && !t->tuned)
        log_line(HONE_LOG_WARN, "no tuned model in %s: these are the base model's marks alone",
                 t->s->train.out);
    return st;
}

/* The next of the names in "a,b,c"; *at starts at 0. NULL: no more. */
static const char *next_backend(const sitting *t, size_t *at)
{
    const char *name = *at < t->backends_n ? t->backends + *at : NULL;
    *at += name ? strlen(name) + 1 : 0;
    return name;
}

/* Cut the names apart, and open each once: a wrong one must not show after an hour. */
static hone_status split_backends(sitting *t, hone_error *err)
{
    const char *const all = t->s->top.backend, *name, *other;
    t->backends = mem_strdup(all);
    if (!t->backends)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the backends");
    t->backends_n = strlen(all) + 1;
    for (char *comma = t->backends; (comma = strchr(comma, ',')) != NULL;)
        *comma++ = '\0';
    for (size_t at = 0; (name = next_backend(t, &at)) != NULL;) {
        backend *b = NULL;
        for (size_t i = 0; (other = next_backend(t, &i)) != name;)
            if (strcmp(other, name) == 0)
                return hone_fail(err, HONE_ERR_ARG, "backend \"%s\": %s is named twice", all, name);
        hone_status st = backend_open(&b, t->z.plugins, name, t->s->device, t->s->weights, err);
        backend_close(b);
        if (st)
            return st;
    }
    return HONE_OK;
}

/* "a,b,c" of --backend: the tuned model, or the base where there is none, on each. */
static hone_status examine_backends(sitting *t, hone_error *err)
{
    const char *const all = t->s->top.backend, *name;
    hone_status st = split_backends(t, err);
    for (size_t at = 0; !st && (name = next_backend(t, &at)) != NULL;) {
        t->s->top.backend = name;
        session_close_model(&t->z);
        st = examine(t, name, name, t->tuned, err);
    }
    t->s->top.backend = all;
    return st;
}

static void print_text(const sitting *t)
{
    text out = { 0 };
    exam_print_answers(&out, &t->x, t->columns, t->n, (size_t)flags.show);
    exam_print(&out, &t->x, t->columns, t->n);
    if (t->tuned && !t->backends_n) {
        text_puts(&out, "exam: ");
        exam_print_summary(&out, &t->results[0], &t->results[1]);
        text_putc(&out, '\n');
    }
    if (!text_status(&out, NULL) && out.p)
        fputs(out.p, stdout);
    text_finish(&out);
}

static void print_json(const sitting *t)
{
    json_t *o = exam_json(&t->x, t->columns, t->n);
    (void)json_dumpf(o, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(o);
}

static hone_status run(settings *s, const arguments *a, hone_error *err)
{
    sitting t = { .s = s };
    hone_status st;
    if (a->n)
        return hone_fail(err, HONE_ERR_ARG,
                         "'%s' is not a setting; questions are named by exam.file", a->items[0]);
    if (!s->exam.file)
        return hone_fail(err, HONE_ERR_ARG,
                         "no questions: set exam.file (JSON lines of question, answer, kind)");
    if ((st = exam_load(&t.x, s->exam.file, err)) ||
        (st = session_open(&t.z, s, SESSION_TOKENIZER, err)) ||
        (st = session_tuned_path(s, &t.tuned, &t.full, err)))
        goto out;
    if (s->exam.check && path_exists(s->data_path) && (st = exam_check(&t.x, s->data_path, err)))
        goto out;
    if (s->exam.check && !path_exists(s->data_path))
        log_line(HONE_LOG_WARN, "%s is not there: recall and reworded marks are not checked",
                 s->data_path);
    st = strchr(s->top.backend, ',') ? examine_backends(&t, err) : examine_tuning(&t, err);
    if (st)
        goto out;
    if (flags.json)
        print_json(&t);
    else
        print_text(&t);
out:
    for (size_t i = 0; i < t.n; i++)
        exam_result_finish(&t.results[i]);
    free(t.results);
    free(t.columns);
    free(t.backends);
    free(t.tuned);
    exam_finish(&t.x);
    session_close(&t.z);
    return st;
}

const command cmd_exam = {
    .name = "exam",
    .operands = "[CONFIG]",
    .summary =
        "the same questions before and after (or on several backends), and what was forgotten",
    .sections = "exam data train use device weights",
    .flags = rows,
    .flag_values = &flags,
    .config_operand = true,
    .run = run,
};
