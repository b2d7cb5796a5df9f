/*
 * evaluate.c - mean loss over a dataset, and the row that spoils one.
 *
 * An evaluator holds its order and its micro-batch, so that evaluating in the middle
 * of a run allocates nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/parts.h"

#include <stdlib.h>

void row_describe(char *out, size_t n, const dataset *d, int64_t index)
{
    const row *r = &d->rows[index];
    const char *id = r->id ? r->id : "without id";
    if (r->line > 0)
        (void)snprintf(out, n, "sample %s (line %lld%s%s)", id, (long long)r->line,
                       r->file ? ", from " : "", r->file ? r->file : "");
    else
        (void)snprintf(out, n, "sample %s (row %lld%s%s)", id, (long long)index,
                       r->file ? ", from " : "", r->file ? r->file : "");
}

hone_status evaluator_init(evaluator *out, const dataset *d, int64_t seq_len, int64_t batch_rows,
                           hone_error *err)
{
    evaluator e = { .d = d,
                    .options = { .seq_len = seq_len, .batch = batch_rows, .packing = true } };
    hone_status st = epoch_plan_make(&e.plan, d, &e.options, 0, err);
    if (!st)
        st = batch_init(&e.batch, seq_len, batch_rows, e.plan.max_sequences, err);
    if (!st) {
        *out = e;
        e = (evaluator){ 0 };
    }
    evaluator_finish(&e);
    return st;
}

void evaluator_finish(evaluator *e)
{
    epoch_plan_finish(&e->plan);
    batch_finish(&e->batch);
    *e = (evaluator){ 0 };
}

static hone_status not_finite(evaluator *e, model *m, double sum, hone_error *err)
{
    int64_t bad = -1;
    bool all = false;
    char name[200];
    hone_status st =
        find_bad_row(m, e->d, &e->options, e->plan.order, e->plan.first[e->plan.n_batches], false,
                     &e->batch, &bad, &all, err);
    if (st)
        return st;
    if (bad < 0 || all)
        return hone_fail(err, HONE_ERR_NUMERIC, "evaluation: the loss is %g%s", sum,
                         all ? " for every row" : "");
    row_describe(name, sizeof name, e->d, bad);
    return hone_fail(err, HONE_ERR_NUMERIC, "evaluation: the loss of %s is not finite", name);
}

hone_status evaluator_run(evaluator *e, model *m, double *mean, int64_t *n, hone_error *err)
{
    double sum = 0;
    int64_t learned = 0, i;
    hone_status st = model_loss(m, &sum, err); /* what an abandoned pass left does not count */
    for (i = 0; !st && i < e->plan.n_batches; i++) {
        epoch_plan_batch(&e->plan, e->d, &e->options, i, &e->batch);
        learned += e->batch.n_learned;
        if (e->batch.n_learned)
            st = model_eval(m, &e->batch, NULL, err);
    }
    if (!st)
        st = model_loss(m, &sum, err);
    if (st)
        return st;
    if (!isfinite(sum))
        return not_finite(e, m, sum, err);
    if (!learned)
        return hone_fail(err, HONE_ERR_ARG,
                         "nothing to evaluate: none of the %zu rows has a supervised token",
                         e->d->n);
    *mean = sum / (double)learned;
    if (n)
        *n = learned;
    return HONE_OK;
}

hone_status train_evaluate(model *m, const dataset *d, int64_t seq_len, int64_t batch_rows,
                           double *mean_nll, int64_t *n_tokens, hone_error *err)
{
    evaluator e = { 0 };
    hone_status st = evaluator_init(&e, d, seq_len, batch_rows, err);
    if (!st)
        st = evaluator_run(&e, m, mean_nll, n_tokens, err);
    evaluator_finish(&e);
    return st;
}

hone_status find_bad_row(model *m, const dataset *d, const plan_options *how, const int64_t *order,
                         int64_t n, bool gradient, batch *b, int64_t *bad, bool *all,
                         hone_error *err)
{
    int64_t i, n_bad = 0, first = -1, looked = 0;
    for (i = 0; i < n; i++) {
        int64_t one = order[i], ends[2] = { 0, 1 };
        const epoch_plan plan = {
            .first = ends, .order = &one, .n_batches = 1, .max_sequences = 1
        };
        double sum = 0, norm = 0;
        hone_status st = HONE_OK;
        if (!d->rows[one].n_learned)
            continue;
        epoch_plan_batch(&plan, d, how, 0, b);
        if (gradient) {
            st = model_zero_grad(m, err);
            if (!st)
                st = model_train(m, b, 1, 0, 0, err);
            if (!st)
                st = model_grad_norm(m, &norm, err);
        } else {
            st = model_eval(m, b, NULL, err);
        }
        if (!st)
            st = model_loss(m, &sum, err);
        if (st)
            return st;
        looked++;
        if (isfinite(sum) && isfinite(norm))
            continue;
        n_bad++;
        if (first < 0)
            first = one;
    }
    *bad = first;
    *all = looked > 1 && n_bad == looked;
    return HONE_OK;
}

static int by_value(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The shortest rows of d until the budget is full: no order puts more of them together. */
static int64_t most_rows(const dataset *d, int64_t budget)
{
    int64_t sum = 0, n = 0;
    size_t i;
    int32_t *length = mem_new(d->n, sizeof *length);
    if (!length)
        return budget; /* every row a single token: true as well, only larger */
    for (i = 0; i < d->n; i++)
        length[i] = d->rows[i].n;
    qsort(length, d->n, sizeof *length, by_value);
    for (i = 0; i < d->n && sum + length[i] <= budget; i++, n++)
        sum += length[i];
    free(length);
    return n;
}

int64_t train_max_sequences(const dataset *train, const dataset *val, int64_t seq_len,
                            int64_t batch_rows)
{
    const int64_t a = most_rows(train, seq_len * batch_rows);
    const int64_t b = val ? most_rows(val, seq_len * batch_rows) : 0;
    return a > b ? a : b > 1 ? b : 1;
}
