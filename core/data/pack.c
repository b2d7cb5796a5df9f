/*
 * pack.c - rows into micro-batches: the order of an epoch, and the arrays of a batch.
 *
 * Packed, whole rows lie one after another in a budget of seq_len * batch tokens;
 * attention is told where each starts, so no row sees another, and nothing is
 * padded. First-fit decreasing within windows of a shuffled order fills the budget
 * almost fully (Johnson 1973: within 11/9 of the best) and still mixes rows; in the
 * given order, a row goes into the current batch or opens the next one.
 *
 * The shift by one is made here, inside each row: position t predicts token t + 1
 * of the same row. A row's first token is predicted by nobody, its last predicts
 * nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/data.h"

#include <stdlib.h>

#define WINDOW_ROWS \
    2048 /* rows that are packed together when shuffling: 2048^2 / 2 tries at most */
#define STREAM_ROWS \
    ((uint64_t)0x524f5753 << 32) /* of the random generator; the epoch is the low half */
#define STREAM_BATCHES ((uint64_t)0x42415443 << 32)

/* ---------------------------------------------------------------------- batches */

hone_status batch_init(batch *b, int64_t seq_len, int64_t n_rows, int64_t max_sequences,
                       hone_error *err)
{
    batch x = { 0 };
    if (seq_len < 2 || n_rows < 1 || seq_len > INT32_MAX / n_rows || max_sequences < 1 ||
        max_sequences > INT32_MAX - 1)
        return hone_fail(
            err, HONE_ERR_ARG,
            "a batch of %lld rows x seq_len %lld (%lld sequences) cannot be laid out; the "
            "product must be below 2^31",
            (long long)n_rows, (long long)seq_len, (long long)max_sequences);
    x.capacity = seq_len * n_rows;
    x.max_sequences = (int32_t)max_sequences;
    const size_t n = (size_t)x.capacity;
    x.ids = mem_new(n, sizeof(int32_t));
    x.position = mem_new(n, sizeof(int32_t));
    x.seg_start = mem_new(n, sizeof(int32_t));
    x.learn_row = mem_new(n, sizeof(int32_t));
    x.target = mem_new(n, sizeof(int32_t));
    x.cu = mem_new((size_t)max_sequences + 1, sizeof(int32_t));
    x.source = mem_new((size_t)max_sequences, sizeof(int32_t));
    if (!x.ids || !x.position || !x.seg_start || !x.learn_row || !x.target || !x.cu || !x.source) {
        batch_finish(&x);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a batch of %zu tokens", n);
    }
    *b = x;
    return HONE_OK;
}

void batch_finish(batch *b)
{
    if (!b)
        return;
    free(b->ids);
    free(b->position);
    free(b->seg_start);
    free(b->learn_row);
    free(b->target);
    free(b->cu);
    free(b->source);
    *b = (batch){ 0 };
}

static void add_row(batch *b, const row *r, int64_t index, int64_t padded, int32_t pad_id)
{
    const int32_t base = b->n;
    const int32_t n = padded > r->n ? (int32_t)padded : r->n;
    for (int32_t i = 0; i < n; i++) {
        b->ids[base + i] = i < r->n ? r->ids[i] : pad_id;
        b->position[base + i] = i;
        b->seg_start[base + i] = base;
    }
    for (int32_t i = 0; i + 1 < r->n; i++)
        if (r->labels[i + 1] != LABEL_MASKED) {
            b->learn_row[b->n_learned] = base + i;
            b->target[b->n_learned++] = r->labels[i + 1];
        }
    b->source[b->n_sequences] = (int32_t)index;
    b->cu[b->n_sequences++] = base;
    b->n += n;
    if (n > b->longest)
        b->longest = n;
}

void epoch_plan_batch(const epoch_plan *p, const dataset *d, const plan_options *o, int64_t i,
                      batch *b)
{
    b->n = b->n_sequences = b->n_learned = b->longest = 0;
    for (int64_t k = p->first[i]; k < p->first[i + 1]; k++)
        add_row(b, &d->rows[p->order[k]], p->order[k], o->packing ? 0 : o->seq_len, o->pad_id);
    for (int32_t s = b->n_sequences; s <= b->max_sequences; s++)
        b->cu[s] = b->n;
}

/* ------------------------------------------------------------------------- plan */

typedef struct planner {
    epoch_plan plan; /* owned */
    size_t first_cap;
    const dataset *d;       /* borrowed */
    int64_t budget, filled; /* tokens */
    int64_t n_order;
} planner;

static hone_status close_batch(planner *p, hone_error *err)
{
    epoch_plan *e = &p->plan;
    const int64_t n = p->n_order - e->first[e->n_batches];
    if (!n)
        return HONE_OK;
    if (!mem_grow(&e->first, &p->first_cap, (size_t)e->n_batches + 2, sizeof *e->first))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a plan of %lld batches",
                         (long long)e->n_batches);
    e->first[++e->n_batches] = p->n_order;
    if (n > e->max_sequences)
        e->max_sequences = n;
    p->filled = 0;
    return HONE_OK;
}

/* Next-fit: the batch that is open, or a new one. */
static hone_status plan_in_order(planner *p, const int64_t *rows, int64_t n, int64_t row_tokens,
                                 hone_error *err)
{
    hone_status st = HONE_OK;
    for (int64_t i = 0; i < n && !st; i++) {
        const int64_t need = row_tokens ? row_tokens : p->d->rows[rows[i]].n;
        if (p->filled + need > p->budget)
            st = close_batch(p, err);
        p->plan.order[p->n_order++] = rows[i];
        p->filled += need;
    }
    return st;
}

typedef struct item {
    int64_t row, n, bin, at; /* at: place in the window, which keeps the sort stable */
} item;

static int longer_first(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->n != y->n)
        return x->n < y->n ? 1 : -1;
    return (x->at > y->at) - (x->at < y->at);
}

static int by_bin(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->bin != y->bin)
        return x->bin < y->bin ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* First-fit decreasing over one window. */
static hone_status plan_window(planner *p, const int64_t *rows, int64_t n, hone_error *err)
{
    hone_status st = HONE_OK;
    item *items = mem_new((size_t)n, sizeof *items);
    int64_t *room = mem_new((size_t)n, sizeof *room), n_bins = 0;
    if (!items || !room) {
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory to pack %lld rows", (long long)n);
        goto out;
    }
    for (int64_t i = 0; i < n; i++)
        items[i] = (item){ .row = rows[i], .n = p->d->rows[rows[i]].n, .at = i };
    qsort(items, (size_t)n, sizeof *items, longer_first);
    for (int64_t i = 0; i < n; i++) {
        int64_t bin = 0;
        while (bin < n_bins && room[bin] < items[i].n)
            bin++;
        if (bin == n_bins)
            room[n_bins++] = p->budget;
        room[bin] -= items[i].n;
        items[i].bin = bin;
    }
    qsort(items, (size_t)n, sizeof *items, by_bin);
    for (int64_t i = 0; i < n && !st; i++) {
        if (i && items[i].bin != items[i - 1].bin)
            st = close_batch(p, err);
        p->plan.order[p->n_order++] = items[i].row;
    }
    if (!st)
        st = close_batch(p, err);
out:
    free(items);
    free(room);
    return st;
}

/* Bins come out with long rows first; mixing them keeps lengths from drifting over an epoch. */
static hone_status shuffle_batches(epoch_plan *e, int64_t n_rows, uint64_t seed, int64_t epoch,
                                   hone_error *err)
{
    epoch_plan mixed = { .n_batches = e->n_batches, .max_sequences = e->max_sequences };
    int64_t *turn = mem_new((size_t)e->n_batches, sizeof *turn), at = 0;
    mixed.first = mem_new((size_t)e->n_batches + 1, sizeof *mixed.first);
    mixed.order = mem_new((size_t)n_rows, sizeof *mixed.order);
    if (!turn || !mixed.first || !mixed.order) {
        free(turn);
        epoch_plan_finish(&mixed);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a plan of %lld rows",
                         (long long)n_rows);
    }
    rng_permutation(turn, e->n_batches, seed, STREAM_BATCHES + (uint64_t)epoch);
    for (int64_t i = 0; i < e->n_batches; i++) {
        for (int64_t k = e->first[turn[i]]; k < e->first[turn[i] + 1]; k++)
            mixed.order[at++] = e->order[k];
        mixed.first[i + 1] = at;
    }
    free(turn);
    epoch_plan_finish(e);
    *e = mixed;
    return HONE_OK;
}

static hone_status check_plan(const dataset *d, const plan_options *o, hone_error *err)
{
    if (!d->n)
        return hone_fail(err, HONE_ERR_ARG, "a dataset without rows cannot be planned");
    if (o->seq_len < 2 || o->batch < 1 || o->seq_len > INT32_MAX / o->batch)
        return hone_fail(
            err, HONE_ERR_ARG,
            "batch %lld x seq_len %lld cannot be laid out; the product must be below 2^31",
            (long long)o->batch, (long long)o->seq_len);
    for (size_t i = 0; i < d->n; i++)
        if (d->rows[i].n > o->seq_len)
            return hone_fail(
                err, HONE_ERR_LIMIT,
                "row %zu (line %lld) has %d tokens, seq_len is %lld; load the dataset with the "
                "seq_len it is packed with",
                i, (long long)d->rows[i].line, d->rows[i].n, (long long)o->seq_len);
    return HONE_OK;
}

hone_status epoch_plan_make(epoch_plan *out, const dataset *d, const plan_options *o, int64_t epoch,
                            hone_error *err)
{
    planner p = { .d = d };
    int64_t *rows = NULL;
    hone_status st = check_plan(d, o, err);
    if (st)
        return st;
    const int64_t n = (int64_t)d->n;
    p.budget = o->seq_len * o->batch;
    rows = mem_new(d->n, sizeof *rows);
    p.plan.order = mem_new(d->n, sizeof *p.plan.order);
    if (!rows || !p.plan.order || !mem_grow(&p.plan.first, &p.first_cap, 1, sizeof *p.plan.first)) {
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for a plan of %lld rows", (long long)n);
        goto out;
    }
    for (int64_t i = 0; i < n; i++)
        rows[i] = i;
    if (o->shuffle)
        rng_permutation(rows, n, o->seed, STREAM_ROWS + (uint64_t)epoch);
    if (o->packing && o->shuffle)
        for (int64_t lo = 0; lo < n && !st; lo += WINDOW_ROWS)
            st = plan_window(&p, rows + lo, lo + WINDOW_ROWS < n ? WINDOW_ROWS : n - lo, err);
    else
        st = plan_in_order(&p, rows, n, o->packing ? 0 : o->seq_len, err);
    if (!st)
        st = close_batch(&p, err);
    if (!st && o->packing && o->shuffle)
        st = shuffle_batches(&p.plan, n, o->seed, epoch, err);
    if (st)
        goto out;
    *out = p.plan;
    p.plan = (epoch_plan){ 0 };
out:
    free(rows);
    epoch_plan_finish(&p.plan);
    return st;
}

void epoch_plan_finish(epoch_plan *p)
{
    if (!p)
        return;
    free(p->first);
    free(p->order);
    *p = (epoch_plan){ 0 };
}
