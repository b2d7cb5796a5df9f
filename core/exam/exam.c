/*
 * exam.c - asks the questions and scores what comes back.
 *
 * An answer is scored twice: by what the model says when it is let go (greedy, so the
 * same every time), and by how likely it finds the expected answer (nll per token of
 * answer and end of turn, given the question). The second moves long before the first.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/exam/parts.h"
#include "core/train/train.h"

#include <inttypes.h>
#include <stdlib.h>

#define GENERAL_MAX_BYTES ((size_t)1 << 30)

#define ROW_I64(...) HONE_ROW_I64(exam_options, __VA_ARGS__)

/* clang-format off */
const hone_option exam_option_rows[] = {
    HONE_ROW_PATH(exam_options, file, NULL, "the questions, JSON lines with question, answer and kind"),
    ROW_I64(max_tokens, 1, 1 << 20, "128", "longest answer, in tokens"),
    HONE_ROW_PATHS(exam_options, general, NULL, "text files or datasets to see what was forgotten on"),
    ROW_I64(general_tokens, 0, INT64_C(1) << 40, "16384", "tokens of general text to score at most; 0: all"),
    HONE_ROW_BOOL(exam_options, check, "true", "hold the marks recall and reworded against the training data"),
    HONE_OPTIONS_END,
};
/* clang-format on */

void exam_result_finish(exam_result *r)
{
    size_t i;
    for (i = 0; i < r->n; i++)
        free(r->answers[i].text);
    free(r->answers);
    *r = (exam_result){ 0 };
}

/* What all parts of a run look at; borrowed. */
typedef struct session {
    const exam *x;
    const exam_options *o;
    model *m;
    const tokenizer *t;
    const chat_template *c;
    const char *date;
    int64_t seq_len, batch_rows;
    const exam_hooks *hooks;
} session;

/* ------------------------------------------------------------- what it says */

static char *trimmed(const text *t)
{
    size_t lo = 0, hi = t->n;
    while (lo < hi && strchr(" \t\r\n", t->p[lo]) && t->p[lo])
        lo++;
    while (hi > lo && strchr(" \t\r\n", t->p[hi - 1]) && t->p[hi - 1])
        hi--;
    return mem_strndup(t->p ? t->p + lo : "", hi - lo);
}

/* *said_tokens: += what the answer had. */
static hone_status ask(const session *s, const exam_question *q, exam_answer *a,
                       int64_t *said_tokens, hone_error *err)
{
    const message turn = { .role = ROLE_USER, .content = hone_s(q->question) };
    const sampling greedy = { .top_p = 1, .repetition_penalty = 1, .max_tokens = s->o->max_tokens };
    tokens prompt = { 0 }, said = { 0 };
    int32_t *ids = NULL;
    text out = { 0 };
    size_t n_stops = 0, i;
    const int32_t *stops = chat_template_stops(s->c, &n_stops);
    hone_status st = /* losses are told of where the whole row is made */
        chat_template_encode(s->c, &turn, 1, true, s->date, &prompt, NULL, NULL, err);
    if (st)
        goto out;
    ids = mem_new(prompt.n > (size_t)s->o->max_tokens ? prompt.n : (size_t)s->o->max_tokens,
                  sizeof *ids);
    if (!ids) {
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu tokens", prompt.n);
        goto out;
    }
    for (i = 0; i < prompt.n; i++)
        ids[i] = prompt.p[i].id;
    model_rewind(s->m, 0);
    st = model_generate(s->m, ids, prompt.n, &greedy, stops, n_stops, NULL, NULL, &said, &a->reason,
                        err);
    for (i = 0; !st && i < said.n; i++)
        ids[i] = said.p[i].id;
    if (!st)
        st = tokenizer_decode(s->t, ids, said.n, true, &out, err);
    if (!st)
        st = text_status(&out, err);
    if (st)
        goto out;
    *said_tokens += (int64_t)said.n;
    a->text = trimmed(&out);
    if (!a->text || !exam_score_answer(a->text, q->answer, &a->exact, &a->f1))
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for an answer of %zu bytes", out.n);
out:
    text_finish(&out);
    tokens_finish(&prompt);
    tokens_finish(&said);
    free(ids);
    return st;
}

static hone_status ask_all(const session *s, exam_result *r, hone_error *err)
{
    const double start = clock_now();
    hone_status st = HONE_OK;
    size_t i;
    for (i = 0; !st && i < s->x->n; i++) {
        const exam_question *q = &s->x->questions[i];
        if (s->hooks && s->hooks->stop && *s->hooks->stop)
            return hone_fail(err, HONE_ERR_CANCELLED, "%s: stopped after %zu of %zu questions",
                             s->x->path, i, s->x->n);
        st = ask(s, q, &r->answers[i], &r->said_tokens, err);
        if (st)
            (void)hone_prefix(err, "%s:%" PRId64, s->x->path, q->line);
        else if (s->hooks && s->hooks->on_question)
            s->hooks->on_question(s->hooks->ctx, i + 1, s->x->n);
    }
    r->seconds = clock_now() - start;
    return st;
}

/* ----------------------------------------------------------- what it expects */

/* Question and expected answer as a row to score: the answer learned, the rest masked. */
static hone_status make_row(const session *s, const exam_question *q, row *out, hone_error *err)
{
    const message turns[2] = { { .role = ROLE_USER, .content = hone_s(q->question) },
                               { .role = ROLE_ASSISTANT, .content = hone_s(q->answer) } };
    tokens t = { 0 };
    row r = { .paired = 1, .line = q->line };
    encode_losses lost = { 0 };
    char where[300];
    size_t i;
    hone_status st =
        chat_template_encode(s->c, turns, 2, false, s->date, &t, &r.labels, &lost, err);
    if (st)
        goto out;
    (void)snprintf(where, sizeof where, "%s:%" PRId64, s->x->path, q->line);
    encode_losses_warn(&lost, where);
    if (t.n > (size_t)s->seq_len) {
        st = hone_fail(err, HONE_ERR_LIMIT,
                       "question and answer are %zu tokens, seq_len is %" PRId64, t.n, s->seq_len);
        goto out;
    }
    r.ids = mem_new(t.n, sizeof *r.ids);
    if (!r.ids) {
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu tokens", t.n);
        goto out;
    }
    r.n = (int32_t)t.n;
    for (i = 0; i < t.n; i++) {
        r.ids[i] = t.p[i].id;
        r.n_learned += i > 0 && r.labels[i] != LABEL_MASKED;
    }
    if (!r.n_learned) {
        st = hone_fail(err, HONE_ERR_FORMAT, "the answer has no token of its own");
        goto out;
    }
    *out = r;
    r = (row){ 0 };
out:
    free(r.ids);
    free(r.labels);
    tokens_finish(&t);
    return st;
}

/* nll has one entry per learned position of b, in order of position: add up by sequence. */
static void give_out(const batch *b, const float *nll, exam_answer *answers)
{
    int32_t i, seq = 0;
    for (i = 0; i < b->n_learned; i++) {
        while (b->learn_row[i] >= b->cu[seq + 1])
            seq++;
        answers[b->source[seq]].loss += nll[i];
        answers[b->source[seq]].tokens++;
    }
}

static hone_status score_rows(const session *s, const dataset *d, exam_answer *answers,
                              hone_error *err)
{
    const plan_options how = { .seq_len = s->seq_len, .batch = s->batch_rows, .packing = true };
    epoch_plan plan = { 0 };
    batch b = { 0 };
    float *nll = NULL;
    double left;
    int64_t i;
    hone_status st = epoch_plan_make(&plan, d, &how, 0, err);
    if (!st)
        st = batch_init(&b, s->seq_len, s->batch_rows, plan.max_sequences, err);
    if (!st && !(nll = mem_new((size_t)b.capacity, sizeof *nll)))
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for %" PRId64 " losses", b.capacity);
    for (i = 0; !st && i < plan.n_batches; i++) {
        epoch_plan_batch(&plan, d, &how, i, &b);
        st = model_eval(s->m, &b, nll, err);
        if (!st)
            give_out(&b, nll, answers);
    }
    if (!st)
        st = model_loss(s->m, &left, err); /* the model's own sum is not wanted: clear it */
    free(nll);
    batch_finish(&b);
    epoch_plan_finish(&plan);
    return st;
}

static hone_status score_expected(const session *s, exam_result *r, hone_error *err)
{
    dataset d = { 0 };
    hone_status st = HONE_OK;
    size_t i;
    if (!mem_grow(&d.rows, &d.cap, s->x->n, sizeof *d.rows))
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %zu rows", s->x->path, s->x->n);
    for (i = 0; !st && i < s->x->n; i++) {
        st = make_row(s, &s->x->questions[i], &d.rows[i], err);
        if (st)
            (void)hone_prefix(err, "%s:%" PRId64, s->x->path, s->x->questions[i].line);
        else
            d.n++;
    }
    if (!st)
        st = score_rows(s, &d, r->answers, err);
    for (i = 0; !st && i < r->n; i++) {
        r->answers[i].loss /= (double)r->answers[i].tokens;
        if (!isfinite(r->answers[i].loss))
            st = hone_fail(err, HONE_ERR_NUMERIC,
                           "%s:%" PRId64 ": the loss of the expected answer is not finite",
                           s->x->path, s->x->questions[i].line);
    }
    dataset_finish(&d);
    return st;
}

/* -------------------------------------------------------------- what is lost */

static bool is_dataset(const char *path)
{
    static const char *const endings[] = { ".jsonl", ".csv", ".json" };
    const size_t n = strlen(path);
    size_t i;
    for (i = 0; i < sizeof endings / sizeof *endings; i++)
        if (n > strlen(endings[i]) && strcmp(path + n - strlen(endings[i]), endings[i]) == 0)
            return true;
    return false;
}

/* A text file goes the way of a dataset of one raw sample. */
static hone_status load_text(dataset *out, const dataset_options *o, const session *s,
                             hone_error *err)
{
    char *p = NULL, *line = NULL;
    size_t n = 0;
    json_t *sample_line = NULL;
    hone_status st = file_read(&p, &n, o->path, GENERAL_MAX_BYTES, err);
    if (st)
        return st;
    sample_line = json_pack("{s:o}", "text", json_stringn(p, n));
    line = sample_line ? json_dumps(sample_line, JSON_COMPACT) : NULL;
    if (!line)
        st = hone_fail(err, HONE_ERR_FORMAT, "%s: not a UTF-8 text of at least one character",
                       o->path);
    else
        st = dataset_load_bytes(out, o, line, strlen(line), o->path, s->t, s->c, err);
    json_decref(sample_line);
    free(line);
    free(p);
    return st;
}

/* Keep the first rows of d up to `budget` tokens (0: all), at least one. */
static void cut_rows(dataset *d, int64_t budget)
{
    dataset rest = { 0 };
    int64_t sum = 0;
    size_t keep = 0;
    if (!budget)
        return;
    while (keep < d->n && (sum += d->rows[keep].n) <= budget)
        keep++;
    if (!keep)
        keep = 1;
    if (keep >= d->n)
        return;
    rest.rows = mem_new(d->n - keep, sizeof *rest.rows);
    if (!rest.rows)
        return;
    rest.n = d->n - keep;
    memcpy(rest.rows, d->rows + keep, rest.n * sizeof *rest.rows);
    d->n = keep;
    dataset_finish(&rest);
}

static hone_status score_general(const session *s, exam_result *r, hone_error *err)
{
    double sum = 0;
    int64_t learned = 0;
    uint64_t i;
    for (i = 0; i < s->o->general.n; i++) {
        const dataset_options how = { .path = s->o->general.items[i],
                                      .seq_len = s->seq_len,
                                      .over_long = OVERLONG_SPLIT,
                                      .raw_bos = true,
                                      .date = s->date };
        const int64_t left = s->o->general_tokens ? s->o->general_tokens - learned : 0;
        dataset d = { 0 };
        double mean = 0;
        int64_t n = 0;
        hone_status st;
        if (s->o->general_tokens && left <= 0)
            break;
        st = is_dataset(how.path) ? dataset_load(&d, &how, s->t, s->c, err)
                                  : load_text(&d, &how, s, err);
        if (!st) {
            cut_rows(&d, left);
            st = train_evaluate(s->m, &d, s->seq_len, s->batch_rows, &mean, &n, err);
        }
        dataset_finish(&d);
        if (st)
            return st;
        sum += mean * (double)n;
        learned += n;
    }
    r->general_loss = learned ? sum / (double)learned : (double)NAN;
    r->general_tokens = learned;
    return HONE_OK;
}

/* --------------------------------------------------------------------- the run */

static void add_up(const exam *x, exam_result *r)
{
    double nll[3] = { 0 };
    size_t i;
    int k;
    for (i = 0; i < r->n; i++) {
        const exam_answer *a = &r->answers[i];
        const int64_t into[2] = { x->questions[i].kind, EXAM_ALL };
        for (k = 0; k < 2; k++) {
            exam_score *score = &r->score[into[k]];
            score->n++;
            score->tokens += a->tokens;
            score->exact += a->exact;
            score->f1 += a->f1;
            nll[into[k]] += a->loss * (double)a->tokens;
        }
    }
    for (k = 0; k < 3; k++) {
        exam_score *score = &r->score[k];
        score->exact /= (double)score->n; /* 0 / 0: NaN, as promised */
        score->f1 /= (double)score->n;
        score->loss = nll[k] / (double)score->tokens;
    }
}

hone_status exam_run(exam_result *out, const exam *x, const exam_options *o, model *m,
                     const tokenizer *t, const chat_template *c, const char *date, int64_t seq_len,
                     int64_t batch_rows, const exam_hooks *hooks, hone_error *err)
{
    const session s = { x, o, m, t, c, date, seq_len, batch_rows, hooks };
    exam_result r = { .answers = mem_new(x->n, sizeof *r.answers), .n = x->n };
    hone_status st = HONE_OK;
    if (!r.answers)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %zu answers", x->path, x->n);
    st = score_expected(&s, &r, err); /* first: it finds what does not fit */
    if (!st)
        st = score_general(&s, &r, err);
    if (!st)
        st = ask_all(&s, &r, err);
    if (!st) {
        add_up(x, &r);
        r.model_bytes = model_bytes(m);
        *out = r;
        r = (exam_result){ 0 };
    }
    exam_result_finish(&r);
    return st;
}
