/*
 * questions.c - reads the questions of an exam, and holds their marks against the rows
 * that were trained on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/exam/parts.h"

#include <inttypes.h>
#include <stdlib.h>

#define EXAM_MAX_BYTES ((size_t)256 << 20)

static const char *const kind_names[] = { [EXAM_RECALL] = "recall", [EXAM_REWORDED] = "reworded" };

const char *exam_kind_name(int64_t kind)
{
    return kind == EXAM_ALL ? "all" : kind_names[kind];
}

void exam_finish(exam *x)
{
    size_t i;
    for (i = 0; i < x->n; i++) {
        free(x->questions[i].id);
        free(x->questions[i].question);
        free(x->questions[i].answer);
    }
    free(x->questions);
    free(x->path);
    *x = (exam){ 0 };
}

/* ------------------------------------------------------------------- reading */

/* One member of a line: a string with something in it. */
static hone_status take_string(char **out, const json_t *object, const char *key, const char *place,
                               hone_error *err)
{
    const json_t *value = json_object_get(object, key);
    const char *p = json_string_value(value);
    if (!value)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: no \"%s\"; a line has question, answer and kind", place, key);
    if (!p || json_string_length(value) != strlen(p))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: \"%s\" is not text", place, key);
    if (!p[strspn(p, " \t\r\n")])
        return hone_fail(err, HONE_ERR_FORMAT, "%s: \"%s\" is empty", place, key);
    *out = mem_strdup(p);
    return *out ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", place);
}

static hone_status take_kind(int64_t *kind, const json_t *object, const char *place,
                             hone_error *err)
{
    const char *name = json_string_value(json_object_get(object, "kind"));
    int64_t k;
    for (k = 0; name && k < EXAM_ALL; k++)
        if (strcmp(name, kind_names[k]) == 0) {
            *kind = k;
            return HONE_OK;
        }
    return hone_fail(err, HONE_ERR_FORMAT,
                     "%s: \"kind\" is %s%.40s%s, expected \"recall\" or \"reworded\"", place,
                     name ? "\"" : "", name ? name : "missing or not text", name ? "\"" : "");
}

static hone_status check_keys(const json_t *object, const char *place, hone_error *err)
{
    static const char *const known[] = { "id", "question", "answer", "kind" };
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: not a JSON object", place);
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(known[i], key) != 0)
            i++;
        if (i == sizeof known / sizeof *known)
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: unknown key \"%.60s\"; known are id, question, answer, kind",
                             place, key);
    }
    return HONE_OK;
}

static hone_status read_question(exam_question *out, const json_t *object, const char *place,
                                 int64_t line, hone_error *err)
{
    exam_question q = { .line = line };
    hone_status st = check_keys(object, place, err);
    if (!st)
        st = take_string(&q.question, object, "question", place, err);
    if (!st)
        st = take_string(&q.answer, object, "answer", place, err);
    if (!st)
        st = take_kind(&q.kind, object, place, err);
    if (!st && json_object_get(object, "id")) {
        st = take_string(&q.id, object, "id", place, err);
    } else if (!st) {
        text id = { 0 };
        text_printf(&id, "line %" PRId64, line);
        st = text_status(&id, err);
        q.id = id.p;
    }
    if (!st) {
        *out = q;
        return HONE_OK;
    }
    free(q.id);
    free(q.question);
    free(q.answer);
    return st;
}

static int by_words(const void *a, const void *b)
{
    const exam_question *const x = *(const exam_question *const *)a;
    const exam_question *const y = *(const exam_question *const *)b;
    const int order = strcmp(x->question, y->question);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* A question that stands there twice would count twice. */
static hone_status check_doubles(const exam *x, hone_error *err)
{
    const exam_question **sorted = mem_new(x->n, sizeof *sorted);
    hone_status st = HONE_OK;
    size_t i;
    if (!sorted)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %zu questions", x->path, x->n);
    for (i = 0; i < x->n; i++)
        sorted[i] = &x->questions[i];
    qsort(sorted, x->n, sizeof *sorted, by_words);
    for (i = 1; !st && i < x->n; i++)
        if (strcmp(sorted[i - 1]->question, sorted[i]->question) == 0)
            st = hone_fail(err, HONE_ERR_FORMAT, "%s:%" PRId64 ": asks the same as line %" PRId64,
                           x->path, sorted[i]->line, sorted[i - 1]->line);
    free(sorted);
    return st;
}

hone_status exam_load_bytes(exam *out, const char *p, size_t n, const char *name, hone_error *err)
{
    exam x = { .path = mem_strdup(name) };
    text place = { 0 };
    size_t at = 0;
    int64_t line = 0;
    hone_status st = x.path ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", name);
    sha256_hex(p, n, x.hash);
    while (!st && at < n) {
        const char *end = memchr(p + at, '\n', n - at);
        const size_t length = end ? (size_t)(end - (p + at)) : n - at;
        json_t *object = NULL;
        const char *start = p + at;
        size_t blank = 0;
        line++;
        at += length + 1;
        while (blank < length && strchr(" \t\r", start[blank]) && start[blank])
            blank++;
        if (blank == length)
            continue;
        text_clear(&place);
        text_printf(&place, "%s:%" PRId64, name, line);
        st = text_status(&place, err);
        if (!st)
            st = json_parse(&object, start, length, place.p, err);
        if (!st && !mem_grow(&x.questions, &x.cap, x.n + 1, sizeof *x.questions))
            st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", place.p);
        if (!st)
            st = read_question(&x.questions[x.n], object, place.p, line, err);
        if (!st)
            x.n++;
        json_decref(object);
    }
    if (!st && !x.n)
        st = hone_fail(err, HONE_ERR_FORMAT, "%s: no questions in it", name);
    if (!st)
        st = check_doubles(&x, err);
    if (!st) {
        *out = x;
        x = (exam){ 0 };
    }
    text_finish(&place);
    exam_finish(&x);
    return st;
}

hone_status exam_load(exam *out, const char *path, hone_error *err)
{
    char *p = NULL;
    size_t n = 0;
    hone_status st = file_read(&p, &n, path, EXAM_MAX_BYTES, err);
    if (!st)
        st = exam_load_bytes(out, p, n, path, err);
    free(p);
    return st;
}

/* ------------------------------------------------------------ holding the marks */

/* What is known of one question, and its texts in the two ways they are compared. */
typedef struct mark {
    char *squeezed, *words; /* owned */
    int64_t asked;          /* line of the first sample that asks this; 0: none, by words when
                               reworded, by white space when recall */
} mark;

typedef struct checker {
    const exam *x;
    mark *marks; /* owned */
    const char *path;
} checker;

/* Does `whole` contain `part` at word borders? Both are squeezed or words. */
static bool holds(const char *whole, const char *part)
{
    const size_t n = strlen(part);
    const char *at = whole;
    while ((at = strstr(at, part)) != NULL) {
        if ((at == whole || at[-1] == ' ') && (at[n] == '\0' || at[n] == ' '))
            return true;
        at++;
    }
    return false;
}

static hone_status see_sample(void *ctx, const sample *s, int64_t line, hone_error *err)
{
    checker *c = ctx;
    size_t i, k;
    if (!s->n_segments)
        return hone_fail(err, HONE_ERR_UNSUPPORTED,
                         "%s:%" PRId64 ": a row of token ids; questions can only be held against "
                         "text",
                         c->path, line);
    for (i = 0; i < s->n_segments; i++) {
        const sample_segment *g = &s->segments[i];
        const bool raw = g->role == ROLE_RAW;
        char *squeezed, *words;
        if (!raw && g->role != ROLE_USER)
            continue;
        squeezed = words_squeeze(g->text, g->n);
        words = words_normalise(g->text, g->n);
        for (k = 0; squeezed && words && k < c->x->n; k++) {
            mark *m = &c->marks[k];
            const bool recall = c->x->questions[k].kind == EXAM_RECALL;
            const char *have = recall ? squeezed : words, *want = recall ? m->squeezed : m->words;
            if (!m->asked && (raw ? holds(have, want) : strcmp(have, want) == 0))
                m->asked = line;
        }
        free(squeezed);
        free(words);
        if (k < c->x->n)
            return hone_fail(err, HONE_ERR_NOMEM, "%s:%" PRId64 ": no memory", c->path, line);
    }
    return HONE_OK;
}

/* "3, 9, 12 and 4 more" of the questions of `kind` whose mark is wrong; how many is returned. */
static size_t list_wrong(text *out, const checker *c, int64_t kind)
{
    size_t i, n = 0;
    for (i = 0; i < c->x->n; i++) {
        if (c->x->questions[i].kind != kind || (c->marks[i].asked != 0) == (kind == EXAM_RECALL))
            continue;
        if (n++ >= 8)
            continue;
        text_printf(out, "%s%" PRId64, n > 1 ? ", " : "", c->x->questions[i].line);
        if (c->marks[i].asked)
            text_printf(out, " (as %s:%" PRId64 ")", path_base(c->path), c->marks[i].asked);
    }
    if (n > 8)
        text_printf(out, " and %zu more", n - 8);
    return n;
}

static hone_status judge(const checker *c, hone_error *err)
{
    text never = { 0 }, seen = { 0 };
    const size_t n_never = list_wrong(&never, c, EXAM_RECALL);
    const size_t n_seen = list_wrong(&seen, c, EXAM_REWORDED);
    hone_status st = HONE_OK;
    if (n_never || n_seen)
        st = hone_fail(err, HONE_ERR_ARG, "%s: %s%s%s%s%s; mark them rightly or reword them",
                       c->x->path,
                       n_never ? "marked recall, but asked by no training row: line " : "",
                       n_never && never.p ? never.p : "", n_never && n_seen ? "; " : "",
                       n_seen ? "marked reworded, but asked by a training row: line " : "",
                       n_seen && seen.p ? seen.p : "");
    text_finish(&never);
    text_finish(&seen);
    return st;
}

hone_status exam_check(const exam *x, const char *dataset_path, hone_error *err)
{
    checker c = { .x = x, .marks = mem_new(x->n, sizeof *c.marks), .path = dataset_path };
    hone_status st = HONE_OK;
    size_t i;
    for (i = 0; c.marks && i < x->n; i++) {
        const char *q = x->questions[i].question;
        c.marks[i].squeezed = words_squeeze(q, strlen(q));
        c.marks[i].words = words_normalise(q, strlen(q));
        if (!c.marks[i].squeezed || !c.marks[i].words)
            break;
    }
    if (!c.marks || i < x->n)
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %zu questions", x->path, x->n);
    if (!st)
        st = dataset_read(dataset_path, see_sample, &c, NULL, err);
    if (!st)
        st = judge(&c, err);
    for (i = 0; c.marks && i < x->n; i++) {
        free(c.marks[i].squeezed);
        free(c.marks[i].words);
    }
    free(c.marks);
    return st;
}
