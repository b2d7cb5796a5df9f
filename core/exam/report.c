/*
 * report.c - an exam's scores for people and for programs, side by side.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/exam/parts.h"

typedef struct measure {
    const char *name, *unit;
    size_t offset; /* in exam_score */
    double scale;
} measure;

static const measure measures[] = {
    { "exact", "%", offsetof(exam_score, exact), 100 },
    { "f1", "", offsetof(exam_score, f1), 1 },
    { "answer loss", "", offsetof(exam_score, loss), 1 },
};
#define N_MEASURES (sizeof measures / sizeof *measures)

static double measure_of(const measure *m, const exam_score *s)
{
    double value;
    memcpy(&value, (const char *)s + m->offset, sizeof value);
    return value * m->scale;
}

#define LABEL_WIDTH 24
#define COLUMN_WIDTH 9 /* at least; a column is as wide as its name */

static void put_value(text *out, const exam_column *c, const char *unit, int digits, double value)
{
    const size_t name = strlen(c->name), width = name > COLUMN_WIDTH ? name : COLUMN_WIDTH;
    char number[64];
    if (isnan(value))
        (void)snprintf(number, sizeof number, "-");
    else
        (void)snprintf(number, sizeof number, "%.*f%s", digits, value, unit);
    text_printf(out, " %*s", (int)width, number);
}

/* What an answer cost: one row of the table each. */
typedef struct cost {
    const char *label;
    int digits;
    double (*of)(const exam_result *r);
} cost;

static double answer_seconds(const exam_result *r)
{
    return r->n ? r->seconds / (double)r->n : (double)NAN;
}

static double answer_rate(const exam_result *r)
{
    return r->seconds > 0 ? (double)r->said_tokens / r->seconds : (double)NAN;
}

static double answer_memory(const exam_result *r)
{
    return (double)r->model_bytes / 1e6;
}

static const cost costs[] = {
    { "answering  s/answer", 3, answer_seconds },
    { "           tokens/s", 1, answer_rate },
    { "           memory, MB", 1, answer_memory },
};

void exam_print(text *out, const exam *x, const exam_column *columns, size_t n)
{
    const exam_result *first = columns[0].result;
    text_printf(out, "%-*s", LABEL_WIDTH, path_base(x->path));
    for (size_t c = 0; c < n; c++)
        text_printf(out, " %*s", COLUMN_WIDTH, columns[c].name);
    text_putc(out, '\n');
    for (int kind = EXAM_RECALL; kind <= EXAM_ALL; kind++) {
        if (!first->score[kind].n)
            continue;
        for (size_t k = 0; k < N_MEASURES; k++) {
            const measure *m = &measures[k];
            text_printf(out, "%-10s %-13s", k ? "" : exam_kind_name(kind), m->name);
            for (size_t c = 0; c < n; c++)
                put_value(out, &columns[c], m->unit, m->unit[0] ? 1 : 3,
                          measure_of(m, &columns[c].result->score[kind]));
            if (!k)
                text_printf(out, "   %lld questions", (long long)first->score[kind].n);
            text_putc(out, '\n');
        }
    }
    if (!isnan(first->general_loss)) {
        text_printf(out, "%-10s %-13s", "general", "loss");
        for (size_t c = 0; c < n; c++)
            put_value(out, &columns[c], "", 3, columns[c].result->general_loss);
        text_printf(out, "   %lld tokens\n", (long long)first->general_tokens);
    }
    for (size_t k = 0; k < sizeof costs / sizeof *costs; k++) {
        text_printf(out, "%-*s", LABEL_WIDTH, costs[k].label);
        for (size_t c = 0; c < n; c++)
            put_value(out, &columns[c], "", costs[k].digits, costs[k].of(columns[c].result));
        text_putc(out, '\n');
    }
}

/* -------------------------------------------------------------------- answers */

#define SHOWN 200 /* bytes of an answer on the terminal; --json prints all of it */

/* On one line: runs of white space become a space, what is cut off is counted. */
static void put_words(text *out, const char *label, int width, const char *words)
{
    const size_t n = strlen(words);
    size_t i = 0, shown = 0;
    bool space = false;
    text_printf(out, "  %-*s ", width, label);
    while (i < n && shown < SHOWN) {
        uint32_t cp;
        bool bad = false;
        const size_t step = utf8_next(words + i, n - i, &cp, &bad);
        if (strchr(" \t\r\n", words[i])) {
            space = true;
        } else {
            if (space)
                text_putc(out, ' ');
            space = false;
            text_add(out, words + i, step);
            shown += step;
        }
        i += step;
    }
    if (i < n)
        text_printf(out, " .. (%zu more bytes)", n - i);
}

static void print_answer(text *out, const exam *x, const exam_column *columns, size_t n, size_t i)
{
    const exam_question *q = &x->questions[i];
    int width = COLUMN_WIDTH;
    for (size_t c = 0; c < n; c++)
        if ((size_t)width < strlen(columns[c].name))
            width = (int)strlen(columns[c].name);
    text_printf(out, "%s (%s): %s\n", q->id, exam_kind_name(q->kind), q->question);
    put_words(out, "expected", width, q->answer);
    text_putc(out, '\n');
    for (size_t c = 0; c < n; c++) {
        const exam_answer *a = &columns[c].result->answers[i];
        put_words(out, columns[c].name, width, a->text);
        text_printf(out, "  [f1 %.2f]\n", a->f1);
    }
    text_putc(out, '\n');
}

void exam_print_answers(text *out, const exam *x, const exam_column *columns, size_t n, size_t most)
{
    size_t at[EXAM_ALL] = { 0 };
    int64_t kind = EXAM_RECALL;
    int dry = 0;
    while (most && dry < EXAM_ALL) { /* until there are `most`, or no kind has one left */
        while (at[kind] < x->n && x->questions[at[kind]].kind != kind)
            at[kind]++;
        if (at[kind] < x->n) {
            print_answer(out, x, columns, n, at[kind]++);
            most--;
            dry = 0;
        } else {
            dry++;
        }
        kind = (kind + 1) % EXAM_ALL;
    }
}

void exam_print_summary(text *out, const exam_result *before, const exam_result *after)
{
    text_printf(out,
                "recall f1 %.3f -> %.3f, reworded f1 %.3f -> %.3f, answer loss %.3f -> %.3f, "
                "general loss %.3f -> %.3f",
                before->score[EXAM_RECALL].f1, after->score[EXAM_RECALL].f1,
                before->score[EXAM_REWORDED].f1, after->score[EXAM_REWORDED].f1,
                before->score[EXAM_ALL].loss, after->score[EXAM_ALL].loss, before->general_loss,
                after->general_loss);
}

/* ----------------------------------------------------------------------- JSON */

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *scores_json(const exam_result *r)
{
    json_t *object = json_object();
    int kind;
    for (kind = EXAM_RECALL; kind <= EXAM_ALL; kind++) {
        const exam_score *s = &r->score[kind];
        (void)json_object_set_new(object, exam_kind_name(kind),
                                  json_pack("{s:I, s:o, s:o, s:o}", "questions", (json_int_t)s->n,
                                            "exact", real(s->exact), "f1", real(s->f1),
                                            "answer_loss", real(s->loss)));
    }
    (void)json_object_set_new(object, "general",
                              json_pack("{s:o, s:I}", "loss", real(r->general_loss), "tokens",
                                        (json_int_t)r->general_tokens));
    (void)json_object_set_new(object, "answering",
                              json_pack("{s:o, s:I, s:o, s:I}", "seconds", real(r->seconds),
                                        "tokens", (json_int_t)r->said_tokens, "tokens_per_second",
                                        real(answer_rate(r)), "model_bytes",
                                        (json_int_t)r->model_bytes));
    return object;
}

static json_t *answer_json(const exam_answer *a)
{
    return json_pack("{s:s, s:b, s:o, s:o, s:I, s:s?}", "text", a->text, "exact", a->exact, "f1",
                     real(a->f1), "answer_loss", real(a->loss), "answer_tokens",
                     (json_int_t)a->tokens, "ended", a->reason);
}

json_t *exam_json(const exam *x, const exam_column *columns, size_t n)
{
    json_t *root = json_pack("{s:s, s:s}", "file", x->path, "hash", x->hash);
    json_t *list = json_array();
    for (size_t c = 0; c < n; c++)
        (void)json_object_set_new(root, columns[c].name, scores_json(columns[c].result));
    for (size_t i = 0; i < x->n; i++) {
        const exam_question *q = &x->questions[i];
        json_t *item =
            json_pack("{s:s, s:s, s:s, s:s}", "id", q->id, "kind", exam_kind_name(q->kind),
                      "question", q->question, "expected", q->answer);
        for (size_t c = 0; c < n; c++)
            (void)json_object_set_new(item, columns[c].name,
                                      answer_json(&columns[c].result->answers[i]));
        (void)json_array_append_new(list, item);
    }
    if (json_object_set_new(root, "questions", list)) {
        json_decref(root);
        return NULL;
    }
    return root;
}
