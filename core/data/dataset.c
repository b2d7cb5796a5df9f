/*
 * dataset.c - what is done with loaded rows: the report, the hash, a validation split.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/dataset.h"

#include <stdlib.h>

void row_finish(row *r)
{
    free(r->ids);
    free(r->labels);
    free(r->id);
    free(r->file);
}

void dataset_finish(dataset *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n; i++)
        row_finish(&d->rows[i]);
    free(d->rows);
    dataset_report_finish(&d->report);
    *d = (dataset){ 0 };
}

static void add_words(sha256 *h, const int32_t *x, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        const uint32_t w = (uint32_t)x[i];
        const uint8_t b[4] = { (uint8_t)w, (uint8_t)(w >> 8), (uint8_t)(w >> 16),
                               (uint8_t)(w >> 24) };
        sha256_add(h, b, sizeof b);
    }
}

void dataset_hash_row(sha256 *h, const row *r)
{
    add_words(h, &r->n, 1);
    add_words(h, r->ids, r->n);
    add_words(h, r->labels, r->n);
}

void dataset_hash_done(sha256 *h, char out[65])
{
    uint8_t digest[32];
    sha256_done(h, digest);
    for (int i = 0; i < 32; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* n, ids and labels of every row as little-endian words: the same on any machine. */
void dataset_rehash(dataset *d)
{
    sha256 h;
    sha256_init(&h);
    for (size_t i = 0; i < d->n; i++)
        dataset_hash_row(&h, &d->rows[i]);
    dataset_hash_done(&h, d->hash);
}

/* ---------------------------------------------------------------------- report */

void dataset_report_finish(dataset_report *r)
{
    if (r)
        text_finish(&r->named);
}

/* Everything countable in one table: the printed report and the JSON one are its walks. */
static const struct {
    const char *key, *words; /* words NULL: printed otherwise */
    size_t at;
} counts[] = {
    { "samples", NULL, offsetof(dataset_report, samples) },
    { "rows", NULL, offsetof(dataset_report, rows) },
    { "tokens", NULL, offsetof(dataset_report, tokens) },
    { "learned", NULL, offsetof(dataset_report, learned) },
    { "longest", NULL, offsetof(dataset_report, longest) },
    { "empty", "samples without text to learn, left out", offsetof(dataset_report, empty) },
    { "duplicate", "samples that were there before", offsetof(dataset_report, duplicate) },
    { "masked", "rows without a learned token, left out", offsetof(dataset_report, masked) },
    { "overlong_skipped", "over-long samples left out",
      offsetof(dataset_report, overlong_skipped) },
    { "overlong_split", "over-long samples split", offsetof(dataset_report, overlong_split) },
    { "special_in_text", "samples whose words spell special tokens",
      offsetof(dataset_report, special_in_text) },
    { "template_left_out", "samples of which the template drops something",
      offsetof(dataset_report, template_left_out) },
    { "bad_bytes", "bytes that are no UTF-8, taken as U+FFFD",
      offsetof(dataset_report, bad_bytes) },
    { "unknown", "unknown tokens, for characters that the vocabulary lacks",
      offsetof(dataset_report, unknown) },
    { "dropped", "characters that the vocabulary lacks, left out",
      offsetof(dataset_report, dropped) },
};
#define N_COUNTS (sizeof counts / sizeof *counts)

static int64_t count_at(const dataset_report *r, size_t i)
{
    int64_t x;
    memcpy(&x, (const char *)r + counts[i].at, sizeof x);
    return x;
}

void dataset_report_print(const dataset_report *r, text *out)
{
    static const uint32_t order[] = { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_RAW };
    text_printf(out, "%lld rows of %lld samples, the longest has %lld tokens\n", (long long)r->rows,
                (long long)r->samples, (long long)r->longest);
    text_printf(out, "  %-10s %14s %14s\n", "", "tokens", "learned");
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (r->role_tokens[order[i]])
            text_printf(out, "  %-10s %14lld %14lld\n", role_name(order[i]),
                        (long long)r->role_tokens[order[i]], (long long)r->role_learned[order[i]]);
    text_printf(out, "  %-10s %14lld %14lld\n", "all", (long long)r->tokens, (long long)r->learned);
    for (size_t i = 0; i < N_COUNTS; i++)
        if (counts[i].words && count_at(r, i))
            text_printf(out, "  %lld %s\n", (long long)count_at(r, i), counts[i].words);
    for (const char *p = r->named.p; p && *p;) {
        const char *nl = strchr(p, '\n');
        const int n = nl ? (int)(nl - p) : (int)strlen(p);
        text_printf(out, "  - %.*s\n", n, p);
        p += n + (nl != NULL);
    }
}

json_t *dataset_report_json(const dataset_report *r)
{
    json_t *o = json_object(), *roles = json_object(), *named = json_array();
    for (size_t i = 0; i < N_COUNTS; i++)
        (void)json_object_set_new(o, counts[i].key, json_integer(count_at(r, i)));
    for (uint32_t i = 0; i < 4; i++)
        if (r->role_tokens[i])
            (void)json_object_set_new(roles, role_name(i),
                                      json_pack("{sIsI}", "tokens", (json_int_t)r->role_tokens[i],
                                                "learned", (json_int_t)r->role_learned[i]));
    (void)json_object_set_new(o, "roles", roles);
    for (const char *p = r->named.p; p && *p;) {
        const char *nl = strchr(p, '\n');
        const size_t n = nl ? (size_t)(nl - p) : strlen(p);
        json_t *line = json_stringn(p, n);
        if (line)
            (void)json_array_append_new(named, line);
        p += n + (nl != NULL);
    }
    (void)json_object_set_new(o, "named", named);
    return o;
}

bool dataset_report_read(dataset_report *r, const json_t *o)
{
    size_t i;
    json_t *line;
    dataset_report x = { 0 };
    for (i = 0; i < N_COUNTS; i++) {
        const json_t *v = json_object_get(o, counts[i].key);
        const int64_t n = json_integer_value(v);
        if (!json_is_integer(v) || n < 0)
            return false;
        memcpy((char *)&x + counts[i].at, &n, sizeof n);
    }
    for (i = 0; i < 4; i++) {
        const json_t *role = json_object_get(json_object_get(o, "roles"), role_name((uint32_t)i));
        x.role_tokens[i] = json_integer_value(json_object_get(role, "tokens"));
        x.role_learned[i] = json_integer_value(json_object_get(role, "learned"));
    }
    json_array_foreach(json_object_get(o, "named"), i, line)
        text_printf(&x.named, "%s\n", json_string_value(line) ? json_string_value(line) : "");
    if (x.named.failed)
        return false;
    *r = x;
    return true;
}

/* ----------------------------------------------------------------------- split */

/* Rows that go together: those of one file, or of one sample. Sorting by name and first
 * row keeps this the same however rows lie in memory. */
typedef struct member {
    const char *name; /* borrowed; "" when unknown */
    size_t row;
} member;

static int by_name(const void *a, const void *b)
{
    const member *x = a, *y = b;
    const int c = strcmp(x->name, y->name);
    return c ? c : (x->row > y->row) - (x->row < y->row);
}

static const char *group_name(const row *r, bool by_file)
{
    const char *name = by_file && r->file ? r->file : r->id;
    return name ? name : "";
}

/* Mark rows of whole groups, in an order drawn by seed, up to about `want`. Returns how many;
 * never all. */
static hone_status choose_groups(const dataset *d, bool by_file, size_t want, uint64_t seed,
                                 bool *taken, size_t *n_taken, hone_error *err)
{
    hone_status st = HONE_OK;
    member *m = mem_new(d->n, sizeof *m);
    size_t *first = mem_new(d->n + 1, sizeof *first), n_groups = 0;
    int64_t *order = mem_new(d->n, sizeof *order);
    if (!m || !first || !order) {
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory to split %zu rows", d->n);
        goto out;
    }
    for (size_t i = 0; i < d->n; i++)
        m[i] = (member){ group_name(&d->rows[i], by_file), i };
    qsort(m, d->n, sizeof *m, by_name);
    for (size_t i = 0; i < d->n; i++)
        if (!i || !*m[i].name || strcmp(m[i].name, m[i - 1].name) != 0)
            first[n_groups++] = i;
    first[n_groups] = d->n;
    memset(taken, 0, d->n * sizeof *taken);
    *n_taken = 0;
    rng_permutation(order, (int64_t)n_groups, seed, 0x5041525400000000u);
    for (size_t g = 0; g < n_groups && *n_taken < want; g++) {
        const size_t lo = first[order[g]], hi = first[order[g] + 1], n = hi - lo;
        /* over the share only when that is nearer than staying below, and never everything */
        if (*n_taken && *n_taken + n > want && *n_taken + n - want > want - *n_taken)
            continue;
        if (*n_taken + n >= d->n)
            continue;
        for (size_t i = lo; i < hi; i++)
            taken[m[i].row] = true;
        *n_taken += n;
    }
out:
    free(m);
    free(first);
    free(order);
    return st;
}

static void recount(dataset *d)
{
    dataset_report *r = &d->report;
    r->rows = (int64_t)d->n;
    r->tokens = r->learned = r->longest = 0;
    d->max_id = -1;
    for (size_t i = 0; i < d->n; i++) {
        r->tokens += d->rows[i].n;
        r->learned += d->rows[i].n_learned;
        if (d->rows[i].n > r->longest)
            r->longest = d->rows[i].n;
        for (int32_t k = 0; k < d->rows[i].n; k++)
            if (d->rows[i].ids[k] > d->max_id)
                d->max_id = d->rows[i].ids[k];
    }
    dataset_rehash(d);
}

hone_status dataset_split(dataset *train, dataset *val, double share, uint64_t seed,
                          hone_error *err)
{
    dataset held = { 0 };
    bool *taken = NULL;
    hone_status st = HONE_OK;
    size_t n_taken = 0, kept = 0;
    if (!(share >= 0.0 && share < 1.0))
        return hone_fail(err, HONE_ERR_ARG, "the validation share is %g, expected 0 to less than 1",
                         share);
    size_t want = (size_t)(share * (double)train->n + 0.5);
    if (share > 0.0 && train->n > 1 && !want)
        want = 1;
    if (train->n && want >= train->n)
        want = train->n - 1;
    if (want) {
        taken = mem_new(train->n, sizeof *taken);
        held.rows = mem_new(train->n, sizeof *held.rows);
        if (!taken || !held.rows) {
            st = hone_fail(err, HONE_ERR_NOMEM, "no memory to split %zu rows", train->n);
            goto out;
        }
        held.cap = train->n;
        st = choose_groups(train, true, want, seed, taken, &n_taken, err);
        if (!st &&
            (2 * n_taken < want || n_taken > 2 * want)) /* too few documents to hit the share */
            st = choose_groups(train, false, want, seed, taken, &n_taken, err);
        if (st)
            goto out;
        for (size_t i = 0; i < train->n; i++)
            if (taken[i])
                held.rows[held.n++] = train->rows[i];
            else
                train->rows[kept++] = train->rows[i];
        train->n = kept;
        recount(train);
    }
    recount(&held);
    held.report.samples = held.report.rows;
    *val = held;
    held = (dataset){ 0 };
out:
    free(taken);
    dataset_finish(&held);
    return st;
}
