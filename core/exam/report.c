/*
 * report.c - an exam's scores for people and for programs, before and after side by side.
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

static void put_value(text *out, const measure *m, double value)
{
    if (isnan(value))
        text_printf(out, " %9s", "-");
    else if (m->unit[0])
        text_printf(out, " %8.1f%s", value, m->unit);
    else
        text_printf(out, " %9.3f", value);
}

void exam_print(text *out, const exam *x, const exam_result *before, const exam_result *after)
{
    const measure general = { "general loss", "", 0, 1 };
    size_t k;
    int kind;
    text_printf(out, "%-24s %9s %9s\n", path_base(x->path), after ? "before" : "score",
                after ? "after" : "");
    for (kind = EXAM_RECALL; kind <= EXAM_ALL; kind++) {
        if (!before->score[kind].n)
            continue;
        for (k = 0; k < N_MEASURES; k++) {
            text_printf(out, "%-10s %-13s", k ? "" : exam_kind_name(kind), measures[k].name);
            put_value(out, &measures[k], measure_of(&measures[k], &before->score[kind]));
            if (after)
                put_value(out, &measures[k], measure_of(&measures[k], &after->score[kind]));
            if (!k)
                text_printf(out, "   %lld questions", (long long)before->score[kind].n);
            text_putc(out, '\n');
        }
    }
    if (isnan(before->general_loss))
        return;
    text_printf(out, "%-10s %-13s", "general", "loss");
    put_value(out, &general, before->general_loss);
    if (after)
        put_value(out, &general, after->general_loss);
    text_printf(out, "   %lld tokens\n", (long long)before->general_tokens);
}

/* -------------------------------------------------------------------- answers */

#define SHOWN 200 /* bytes of an answer on the terminal; --json prints all of it */

/* On one line: runs of white space become a space, what is cut off is counted. */
static void put_words(text *out, const char *label, const char *words)
{
    const size_t n = strlen(words);
    size_t i = 0, shown = 0;
    bool space = false;
    text_printf(out, "  %-9s ", label);
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

static void print_answer(text *out, const exam *x, const exam_result *before,
                         const exam_result *after, size_t i)
{
    const exam_question *q = &x->questions[i];
    text_printf(out, "%s (%s): %s\n", q->id, exam_kind_name(q->kind), q->question);
    put_words(out, "expected", q->answer);
    text_putc(out, '\n');
    put_words(out, after ? "before" : "answer", before->answers[i].text);
    text_printf(out, "  [f1 %.2f]\n", before->answers[i].f1);
    if (after) {
        put_words(out, "after", after->answers[i].text);
        text_printf(out, "  [f1 %.2f]\n", after->answers[i].f1);
    }
    text_putc(out, '\n');
}

void exam_print_answers(text *out, const exam *x, const exam_result *before,
                        const exam_result *after, size_t n)
{
    size_t at[EXAM_ALL] = { 0 };
    int64_t kind = EXAM_RECALL;
    int dry = 0;
    while (n && dry < EXAM_ALL) { /* until there are n, or no kind has one left */
        while (at[kind] < x->n && x->questions[at[kind]].kind != kind)
            at[kind]++;
        if (at[kind] < x->n) {
            print_answer(out, x, before, after, at[kind]++);
            n--;
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
    return object;
}

static json_t *answer_json(const exam_answer *a)
{
    return json_pack("{s:s, s:b, s:o, s:o, s:I, s:s?}", "text", a->text, "exact", a->exact, "f1",
                     real(a->f1), "answer_loss", real(a->loss), "answer_tokens",
                     (json_int_t)a->tokens, "ended", a->reason);
}

json_t *exam_json(const exam *x, const exam_result *before, const exam_result *after)
{
    const char *const names[2] = { after ? "before" : "scores", "after" };
    const exam_result *const results[2] = { before, after };
    json_t *root = json_pack("{s:s, s:s}", "file", x->path, "hash", x->hash);
    json_t *list = json_array();
    size_t i;
    int k;
    for (k = 0; k < 2; k++)
        if (results[k])
            (void)json_object_set_new(root, names[k], scores_json(results[k]));
    for (i = 0; i < x->n; i++) {
        const exam_question *q = &x->questions[i];
        json_t *item =
            json_pack("{s:s, s:s, s:s, s:s}", "id", q->id, "kind", exam_kind_name(q->kind),
                      "question", q->question, "expected", q->answer);
        for (k = 0; k < 2; k++)
            if (results[k])
                (void)json_object_set_new(item, after ? names[k] : "answer",
                                          answer_json(&results[k]->answers[i]));
        (void)json_array_append_new(list, item);
    }
    if (json_object_set_new(root, "questions", list)) {
        json_decref(root);
        return NULL;
    }
    return root;
}
