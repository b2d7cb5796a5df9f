/*
 * test_pack.c - packing as properties over random datasets: nothing lost, nothing twice,
 * nothing across rows, the same every time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/data.h"

#include "test.h"

/* Rows of random lengths up to seq_len; ids are unique over the dataset, so that a learned
 * token can be told wherever it turns up. */
static dataset random_dataset(int64_t n, int64_t seq_len, uint64_t seed)
{
    dataset d = { 0 };
    int32_t id = 1;
    CHECK(mem_grow(&d.rows, &d.cap, (size_t)n, sizeof *d.rows));
    for (int64_t i = 0; i < n; i++) {
        const int32_t len = (int32_t)(2 + rng_u64(seed, 1, (uint64_t)i) % (uint64_t)(seq_len - 1));
        row r = { .n = len, .line = i + 1 };
        r.ids = mem_new((size_t)len, sizeof *r.ids);
        r.labels = mem_new((size_t)len, sizeof *r.labels);
        for (int32_t k = 0; k < len; k++) {
            r.ids[k] = id++;
            const bool learn = k + 1 == len || rng_u64(seed, 2 + (uint64_t)i, (uint64_t)k) % 3;
            r.labels[k] = learn ? r.ids[k] : LABEL_MASKED;
            r.n_learned += k > 0 && learn;
        }
        d.rows[d.n++] = r;
    }
    return d;
}

/* A batch is well-formed, and each pair it learns is a true neighbour pair of its row.
 * Counts per id how often it was learned. */
static void check_batch(const batch *b, const dataset *d, const plan_options *o, int32_t *learned)
{
    int32_t row_at = 0;
    CHECK(b->n <= b->capacity && b->n_sequences <= b->max_sequences && b->n_sequences > 0);
    CHECK_INT(b->cu[0], 0);
    CHECK_INT(b->cu[b->n_sequences], b->n);
    for (int32_t s = b->n_sequences; s <= b->max_sequences; s++)
        CHECK_INT(b->cu[s], b->n);
    for (int32_t s = 0; s < b->n_sequences; s++) {
        const row *r = &d->rows[b->source[s]];
        const int32_t lo = b->cu[s], hi = b->cu[s + 1];
        CHECK(hi - lo <= b->longest);
        CHECK_INT(hi - lo, o->packing ? r->n : o->seq_len);
        for (int32_t i = lo; i < hi; i++) {
            CHECK_INT(b->position[i], i - lo);
            CHECK_INT(b->seg_start[i], lo);
            CHECK_INT(b->ids[i], i - lo < r->n ? r->ids[i - lo] : o->pad_id);
        }
        for (; row_at < b->n_learned && b->learn_row[row_at] < hi; row_at++) {
            const int32_t at = b->learn_row[row_at];
            CHECK(at >= lo && at - lo + 1 < r->n);
            CHECK_INT(b->target[row_at], r->ids[at - lo + 1]);
            CHECK_INT(r->labels[at - lo + 1], b->target[row_at]);
            learned[b->target[row_at]]++;
        }
    }
    CHECK_INT(row_at, b->n_learned);
}

static void check_epoch(const dataset *d, const plan_options *o, int64_t epoch, int64_t *n_batches)
{
    epoch_plan p = { 0 };
    batch b = { 0 };
    hone_error err = { 0 };
    int32_t n_ids = 1;
    int64_t seen = 0, rows = 0;
    for (size_t i = 0; i < d->n; i++)
        n_ids += d->rows[i].n;
    int32_t *learned = mem_new((size_t)n_ids, sizeof *learned);
    CHECK_OK(epoch_plan_make(&p, d, o, epoch, &err), err);
    CHECK_OK(batch_init(&b, o->seq_len, o->batch, p.max_sequences, &err), err);
    for (int64_t i = 0; i < p.n_batches; i++) {
        epoch_plan_batch(&p, d, o, i, &b);
        check_batch(&b, d, o, learned);
        seen += b.n_learned;
        rows += b.n_sequences;
        if (!o->packing)
            CHECK(b.n_sequences == o->batch || i + 1 == p.n_batches);
    }
    CHECK_INT(rows, d->n);
    int64_t want = 0;
    for (size_t i = 0; i < d->n; i++) {
        want += d->rows[i].n_learned;
        for (int32_t k = 1; k < d->rows[i].n; k++)
            CHECK_INT(learned[d->rows[i].ids[k]], d->rows[i].labels[k] != LABEL_MASKED);
        CHECK_INT(learned[d->rows[i].ids[0]], 0);
    }
    CHECK_INT(seen, want);
    *n_batches = p.n_batches;
    free(learned);
    epoch_plan_finish(&p);
    batch_finish(&b);
}

static void test_pack__learns_every_token_once(void)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        const int64_t seq_len = 4 + (int64_t)(rng_u64(seed, 9, 0) % 60);
        dataset d = random_dataset(1 + (int64_t)(rng_u64(seed, 9, 1) % 300), seq_len, seed);
        for (int how = 0; how < 8; how++) {
            const plan_options o = { .seq_len = seq_len,
                                     .batch = how & 4 ? 3 : 1,
                                     .packing = how & 1,
                                     .shuffle = (how & 2) != 0,
                                     .seed = seed,
                                     .pad_id = 0 };
            int64_t n_batches;
            check_epoch(&d, &o, (int64_t)seed, &n_batches);
        }
        dataset_finish(&d);
    }
}

static void test_pack__more_rows_than_a_window(void)
{
    dataset d = random_dataset(5000, 12, 77);
    const plan_options o = {
        .seq_len = 12, .batch = 16, .packing = true, .shuffle = true, .seed = 3
    };
    int64_t n_batches, total = 0;
    for (size_t i = 0; i < d.n; i++)
        total += d.rows[i].n;
    check_epoch(&d, &o, 0, &n_batches);
    CHECK(n_batches * 192 <
          total + total / 50 + 3 * 192); /* under 2 % of the budget unused, but for window ends */
    dataset_finish(&d);
}

static void test_pack__keeps_the_given_order(void)
{
    dataset d = random_dataset(57, 20, 5);
    for (int packing = 0; packing < 2; packing++) {
        const plan_options o = { .seq_len = 20, .batch = 2, .packing = packing };
        epoch_plan p;
        hone_error err = { 0 };
        CHECK_OK(epoch_plan_make(&p, &d, &o, 4, &err), err);
        for (size_t i = 0; i < d.n; i++)
            CHECK_INT(p.order[i], i);
        for (int64_t b = 0; b + 1 < p.n_batches && packing;
             b++) { /* next-fit: the next row did not fit */
            int64_t used = 0;
            for (int64_t k = p.first[b]; k < p.first[b + 1]; k++)
                used += d.rows[k].n;
            CHECK(used + d.rows[p.first[b + 1]].n > 40);
        }
        epoch_plan_finish(&p);
    }
    dataset_finish(&d);
}

static bool same_plan(const epoch_plan *a, const epoch_plan *b, size_t n)
{
    return a->n_batches == b->n_batches && !memcmp(a->order, b->order, n * sizeof *a->order) &&
           !memcmp(a->first, b->first, ((size_t)a->n_batches + 1) * sizeof *a->first);
}

static void test_pack__is_a_function_of_seed_and_epoch(void)
{
    dataset d = random_dataset(200, 30, 8);
    for (int packing = 0; packing < 2; packing++) {
        plan_options o = {
            .seq_len = 30, .batch = 2, .packing = packing, .shuffle = true, .seed = 1
        };
        epoch_plan a, b, c, e;
        hone_error err = { 0 };
        CHECK_OK(epoch_plan_make(&a, &d, &o, 0, &err), err);
        CHECK_OK(epoch_plan_make(&b, &d, &o, 0, &err), err);
        CHECK_OK(epoch_plan_make(&c, &d, &o, 1, &err), err);
        o.seed = 2;
        CHECK_OK(epoch_plan_make(&e, &d, &o, 0, &err), err);
        CHECK(same_plan(&a, &b, d.n));
        CHECK(!same_plan(&a, &c, d.n));
        CHECK(!same_plan(&a, &e, d.n));
        epoch_plan_finish(&a);
        epoch_plan_finish(&b);
        epoch_plan_finish(&c);
        epoch_plan_finish(&e);
    }
    dataset_finish(&d);
}

static void test_pack__refuses_what_cannot_be_laid_out(void)
{
    dataset d = random_dataset(3, 30, 8), none = { 0 };
    plan_options o = { .seq_len = 2, .batch = 1, .packing = true };
    epoch_plan p = { 0 };
    batch b = { 0 };
    hone_error err = { 0 };
    CHECK_INT(epoch_plan_make(&p, &d, &o, 0, &err), HONE_ERR_LIMIT);
    CHECK_HAS(err.message, "seq_len is 2; load the dataset with the seq_len it is packed with");
    CHECK_INT(epoch_plan_make(&p, &none, &o, 0, &err), HONE_ERR_ARG);
    CHECK_HAS(err.message, "without rows");
    o = (plan_options){ .seq_len = 1 << 20, .batch = 1 << 20, .packing = true };
    CHECK_INT(epoch_plan_make(&p, &d, &o, 0, &err), HONE_ERR_ARG);
    CHECK_HAS(err.message, "below 2^31");
    CHECK_INT(batch_init(&b, 1 << 20, 1 << 20, 4, &err), HONE_ERR_ARG);
    CHECK_HAS(err.message, "below 2^31");
    CHECK(!p.order && !b.ids);
    dataset_finish(&d);
    batch_finish(NULL);
    epoch_plan_finish(NULL);
}

int main(void)
{
    RUN(test_pack__learns_every_token_once);
    RUN(test_pack__more_rows_than_a_window);
    RUN(test_pack__keeps_the_given_order);
    RUN(test_pack__is_a_function_of_seed_and_epoch);
    RUN(test_pack__refuses_what_cannot_be_laid_out);
    return TEST_EXIT();
}
