/*
 * dataset_load.c - samples to rows of token ids, with the proofs of design promise 2.
 *
 * Samples are read in order, tokenized many at once, and taken over in order
 * again, so that the result is the same at any number of threads. Whatever does
 * not become a row is counted and named; a row that would train the wrong thing
 * stops the run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/dataset.h"

#include <stdlib.h>

#define CHUNK_JOBS 512 /* samples tokenized together */
#define CHUNK_BYTES ((size_t)4 << 20)
#define NAMED_LINES 20 /* of dataset_report.named */
#define PACK_LENGTHS 24

/* Rows seen, by 128 bits of the hash of ids and labels; open addressing. */
typedef struct seen_row {
    uint64_t key[2];
    int64_t line; /* 0: free */
} seen_row;

typedef struct loader {
    const dataset_options *o;
    const char *name; /* borrowed: of the dataset, for messages */
    const tokenizer *t;
    const chat_template *c;
    dataset *d;
    row_job *jobs; /* owned, CHUNK_JOBS */
    size_t n_jobs, bytes;
    seen_row *seen; /* owned, n_slots (a power of two) */
    size_t n_seen, n_slots;
    int64_t n_named;
    packer *pack; /* borrowed: where rows go instead of d; NULL: to d */
    hone_status (*on_long)(void *ctx, const sample *s, int64_t line, int32_t n, hone_error *err);
    void *ctx;
    int64_t lengths[PACK_LENGTHS], stopped; /* while packing; see dataset_pack() */
    int64_t eos_learned, eos_hidden;        /* EOS after learned tokens of token rows */
    int64_t single;                         /* masked rows of one token */
} loader;

HONE_PRINTF(3, 4)
static void name_row(loader *l, int64_t line, const char *format, ...)
{
    char why[400];
    va_list args;
    if (++l->n_named > NAMED_LINES)
        return;
    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    if (line)
        text_printf(&l->d->report.named, "%s:%lld: %s\n", l->name, (long long)line, why);
    else
        text_printf(&l->d->report.named, "%s: %s\n", l->name, why);
}

static void make_rows(void *arg, int64_t lo, int64_t hi)
{
    loader *l = arg;
    const row_maker m = { l->o, l->t, l->c };
    for (int64_t i = lo; i < hi; i++) {
        row_job *j = &l->jobs[i];
        j->err = (hone_error){ 0 };
        if (row_make(&m, j, &j->err))
            (void)hone_prefix(&j->err, "%s:%lld", l->name, (long long)j->line);
    }
}

/* --------------------------------------------------------------------- taking over */

static int32_t count_learned(const int32_t *labels, int32_t n)
{
    int32_t learned = 0;
    for (int32_t i = 1; i < n; i++)
        learned += labels[i] != LABEL_MASKED;
    return learned;
}

/* The line of an earlier row with the same ids and labels, or 0 (now remembered);
 * -1: no memory. */
static int64_t find_duplicate(loader *l, const row *r, int64_t line)
{
    uint8_t digest[32];
    uint64_t key[2];
    sha256 h;
    sha256_init(&h);
    sha256_add(&h, r->ids, (size_t)r->n * sizeof *r->ids);
    sha256_add(&h, r->labels, (size_t)r->n * sizeof *r->labels);
    sha256_done(&h, digest);
    memcpy(key, digest, sizeof key);
    if (2 * (l->n_seen + 1) > l->n_slots) {
        const size_t n = l->n_slots ? 2 * l->n_slots : 1024;
        seen_row *bigger = mem_new(n, sizeof *bigger);
        if (!bigger)
            return -1;
        for (size_t i = 0; i < l->n_slots; i++) {
            if (!l->seen[i].line)
                continue;
            size_t at = l->seen[i].key[0] & (n - 1);
            while (bigger[at].line)
                at = (at + 1) & (n - 1);
            bigger[at] = l->seen[i];
        }
        free(l->seen);
        l->seen = bigger;
        l->n_slots = n;
    }
    size_t at = key[0] & (l->n_slots - 1);
    for (; l->seen[at].line; at = (at + 1) & (l->n_slots - 1))
        if (l->seen[at].key[0] == key[0] && l->seen[at].key[1] == key[1])
            return l->seen[at].line;
    l->seen[at] = (seen_row){ { key[0], key[1] }, line };
    l->n_seen++;
    return 0;
}

/* A pad that is also EOS hides it when someone masked by id: see prove_eos(). */
static void count_eos(loader *l, const row *r)
{
    const int32_t eos = tokenizer_eos(l->t);
    for (int32_t i = 1; i < r->n; i++) {
        if (r->ids[i] != eos)
            continue;
        l->eos_learned += r->labels[i] == eos;
        l->eos_hidden += r->labels[i] == LABEL_MASKED && r->labels[i - 1] != LABEL_MASKED;
    }
}

/* Append tokens [lo, hi) of the job's row. */
static hone_status add_piece(loader *l, row_job *j, int32_t lo, int32_t hi, hone_error *err)
{
    dataset *d = l->d;
    dataset_report *rep = &d->report;
    const int32_t n = hi - lo, learned = count_learned(j->r.labels + lo, n);
    row piece = { .n = n, .n_learned = learned, .paired = j->r.paired, .line = j->line };
    if (!learned && j->r.n == 1) {
        rep->masked++;
        l->single++;
        name_row(l, j->line, "the row is one token, which nothing comes before: left out");
        return HONE_OK;
    }
    if (!learned) {
        rep->masked++;
        name_row(l, j->line,
                 "not one of the %d tokens of %s is learned (a role without answer, or all "
                 "masked): left "
                 "out",
                 n, n == j->r.n ? "the row" : "a piece of the row");
        return HONE_OK;
    }
    if (l->pack) {
        piece.ids = j->r.ids + lo;
        piece.labels = j->r.labels + lo;
        piece.id = j->s.id;
        piece.file = j->s.file;
        const hone_status st = packer_add(l->pack, &piece, err);
        if (st)
            return st;
    } else {
        piece.ids = mem_new((size_t)n, sizeof *piece.ids);
        piece.labels = mem_new((size_t)n, sizeof *piece.labels);
        piece.id = mem_strdup(j->s.id);
        piece.file = mem_strdup(j->s.file);
        if (!piece.ids || !piece.labels || (j->s.id && !piece.id) || (j->s.file && !piece.file) ||
            !mem_grow(&d->rows, &d->cap, d->n + 1, sizeof *d->rows)) {
            free(piece.ids);
            free(piece.labels);
            free(piece.id);
            free(piece.file);
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for row %zu of the dataset", d->n + 1);
        }
        memcpy(piece.ids, j->r.ids + lo, (size_t)n * sizeof *piece.ids);
        memcpy(piece.labels, j->r.labels + lo, (size_t)n * sizeof *piece.labels);
        d->rows[d->n++] = piece;
    }
    for (int32_t i = lo; i < hi; i++) {
        rep->role_tokens[j->roles[i]]++;
        rep->role_learned[j->roles[i]] += i > lo && j->r.labels[i] != LABEL_MASKED;
        if (j->r.ids[i] > d->max_id)
            d->max_id = j->r.ids[i];
    }
    rep->rows++;
    rep->tokens += n;
    rep->learned += learned;
    if (n > rep->longest)
        rep->longest = n;
    if (j->s.ids && j->r.paired)
        count_eos(l, &piece);
    return HONE_OK;
}

static hone_status take_long(loader *l, row_job *j, hone_error *err)
{
    const int32_t n = j->r.n;
    const int64_t len = l->o->seq_len;
    int64_t how = l->o->over_long;
    hone_status st = HONE_OK;
    if (how == OVERLONG_DEFAULT)
        how = j->r.paired ? OVERLONG_STOP : OVERLONG_SPLIT;
    if (l->on_long && (st = l->on_long(l->ctx, &j->s, j->line, n, err)))
        return st;
    if (how == OVERLONG_STOP && l->pack) {
        l->stopped++;
        return HONE_OK;
    }
    if (how == OVERLONG_STOP)
        return hone_fail(
            err, HONE_ERR_LIMIT,
            "%s:%lld: the row has %d tokens, seq_len is %lld; set seq_len to %d or more, or "
            "over_long to split (pieces are rows of their own) or skip",
            l->name, (long long)j->line, n, (long long)len, n);
    if (how == OVERLONG_SKIP) {
        l->d->report.overlong_skipped++;
        name_row(l, j->line, "%d tokens are more than seq_len (%lld): left out", n, (long long)len);
        return HONE_OK;
    }
    l->d->report.overlong_split++;
    name_row(l, j->line, "%d tokens are more than seq_len (%lld): split into %lld rows", n,
             (long long)len, (long long)((n + len - 1) / len));
    for (int64_t lo = 0; lo < n && !st; lo += len)
        st = add_piece(l, j, (int32_t)lo, (int32_t)(lo + len < n ? lo + len : n), err);
    return st;
}

static void note_losses(loader *l, const row_job *j)
{
    dataset_report *rep = &l->d->report;
    text what = { 0 };
    rep->bad_bytes += j->lost.bad_bytes;
    rep->unknown += j->lost.unknown;
    rep->dropped += j->lost.dropped;
    encode_losses_print(&j->lost, &what);
    if (what.n)
        name_row(l, j->line, "%s", what.p);
    text_finish(&what);
}

static hone_status take_job(loader *l, row_job *j, hone_error *err)
{
    dataset_report *rep = &l->d->report;
    rep->samples++;
    if (j->err.code) {
        if (err)
            *err = j->err;
        return j->err.code;
    }
    note_losses(l, j);
    if (j->empty) {
        rep->empty++;
        name_row(l, j->line, "there is no text to learn: left out");
        return HONE_OK;
    }
    if (j->special >= 0) {
        const char *piece = tokenizer_piece(l->t, j->special);
        rep->special_in_text++;
        name_row(l, j->line, "its words spell the special token \"%s\", which takes effect",
                 piece ? piece : "?");
    }
    if (j->left_out) {
        rep->template_left_out++;
        name_row(l, j->line, "the template %s leaves a turn of it out, or earlier thoughts",
                 chat_template_name(l->c));
    }
    const int64_t before = find_duplicate(l, &j->r, j->line);
    if (before < 0)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory to remember %zu rows", l->n_seen);
    if (before) {
        rep->duplicate++;
        name_row(l, j->line, "the same as line %lld: %s", (long long)before,
                 l->o->keep_duplicates ? "kept" : "left out");
        if (!l->o->keep_duplicates)
            return HONE_OK;
    }
    for (int i = 0; l->pack && i < PACK_LENGTHS; i++)
        if (j->r.n <= 16 << i || i + 1 == PACK_LENGTHS) {
            l->lengths[i]++;
            break;
        }
    return j->r.n > l->o->seq_len ? take_long(l, j, err) : add_piece(l, j, 0, j->r.n, err);
}

static hone_status flush(loader *l, hone_error *err)
{
    hone_status st = HONE_OK;
    parallel_for((int64_t)l->n_jobs, 4, make_rows, l);
    for (size_t i = 0; i < l->n_jobs; i++) {
        if (!st)
            st = take_job(l, &l->jobs[i], err);
        row_job_finish(&l->jobs[i]);
    }
    l->n_jobs = l->bytes = 0;
    return st;
}

typedef struct load_visit {
    loader *l;
    const dataset_reader *r;
} load_visit;

static hone_status visit(void *ctx, sample *s, int64_t line, hone_error *err)
{
    const load_visit *v = ctx;
    loader *l = v->l;
    for (size_t i = 0; i < s->n_segments; i++)
        l->bytes += s->segments[i].n;
    l->bytes += s->n_ids * sizeof *s->ids;
    l->jobs[l->n_jobs++] =
        (row_job){ .s = *s, .line = line, .lost.bad_bytes = v->r->row_bad_bytes };
    *s = (sample){ 0 };
    return l->n_jobs == CHUNK_JOBS || l->bytes > CHUNK_BYTES ? flush(l, err) : HONE_OK;
}

/* -------------------------------------------------------------------------- proofs */

static hone_status prove_rows(const loader *l, hone_error *err)
{
    const dataset_report *r = &l->d->report;
    const char *path = l->name;
    if (!r->samples)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: the dataset is empty: it has no rows", path);
    if (!r->rows && r->masked && r->masked == l->single)
        return hone_fail(
            err, HONE_ERR_FORMAT,
            "%s: one token is too short: a token is scored and learned by those before "
            "it; give longer text",
            path);
    if (!r->rows && r->masked)
        return hone_fail(
            err, HONE_ERR_FORMAT,
            "%s: every row is masked: no token of %lld samples would be learned; give answers "
            "(or labels other than %d)",
            path, (long long)r->samples, LABEL_MASKED);
    if (!r->rows)
        return hone_fail(
            err, HONE_ERR_FORMAT,
            "%s: no row is left of %lld samples: %lld empty, %lld duplicate, %lld over-long "
            "skipped",
            path, (long long)r->samples, (long long)r->empty, (long long)r->duplicate,
            (long long)r->overlong_skipped);
    if (l->eos_hidden && !l->eos_learned)
        return hone_fail(
            err, HONE_ERR_FORMAT,
            "%s: no EOS (id %d) is learned, and %lld that follow learned tokens are masked: a "
            "pad token equal to EOS hides it; label those EOS with their id",
            path, tokenizer_eos(l->t), (long long)l->eos_hidden);
    return HONE_OK;
}

static void name_unused(loader *l, const unused_keys *u)
{
    for (size_t i = 0; i < u->n; i++)
        name_row(l, 0, "the %s%s%s of %lld rows is not read",
                 strchr(u->key[i].name, ' ') ? "" : "key \"", u->key[i].name,
                 strchr(u->key[i].name, ' ') ? "" : "\"", (long long)u->key[i].n);
    if (u->others)
        name_row(l, 0, "%lld more values under other keys are not read", (long long)u->others);
    if (l->n_named > NAMED_LINES)
        text_printf(&l->d->report.named, "... and %lld more\n",
                    (long long)(l->n_named - NAMED_LINES));
}

/* Rows of the samples at p, to l's dataset or packer; the proofs. */
static hone_status load_rows(loader *l, const char *p, size_t n, hone_error *err)
{
    dataset_reader r = { .name = l->name, .visit = visit };
    load_visit v = { l, &r };
    hone_status st;
    r.ctx = &v;
    if (l->o->seq_len < 2 || l->o->seq_len > INT32_MAX)
        return hone_fail(err, HONE_ERR_ARG, "seq_len is %lld, expected 2 to %d",
                         (long long)l->o->seq_len, INT32_MAX);
    l->jobs = mem_new(CHUNK_JOBS, sizeof *l->jobs);
    if (!l->jobs)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory to load %s", l->name);
    if (!(st = dataset_reader_run(&r, p, n, err)) && !(st = flush(l, err)) &&
        (l->stopped || !(st = prove_rows(l, err)))) {
        name_unused(l, &r.unused);
        st = text_status(&l->d->report.named, err);
    }
    for (size_t i = 0; i < l->n_jobs; i++)
        row_job_finish(&l->jobs[i]);
    free(l->jobs);
    free(l->seen);
    return st;
}

hone_status dataset_load_bytes(dataset *out, const dataset_options *o, const char *p, size_t n,
                               const char *name, const tokenizer *t, const chat_template *c,
                               hone_error *err)
{
    dataset d = { .max_id = -1 };
    loader l = { .o = o, .name = name, .t = t, .c = c, .d = &d };
    const hone_status st = load_rows(&l, p, n, err);
    if (st) {
        dataset_finish(&d);
        return st;
    }
    dataset_rehash(&d);
    *out = d;
    return HONE_OK;
}

static json_t *pack_report(const loader *l)
{
    json_t *o = dataset_report_json(&l->d->report), *lengths = json_array();
    for (int i = 0; i < PACK_LENGTHS; i++)
        (void)json_array_append_new(lengths, json_integer(l->lengths[i]));
    (void)json_object_set_new(o, "lengths", lengths);
    (void)json_object_set_new(o, "stopped", json_integer(l->stopped));
    return o;
}

hone_status dataset_pack(const dataset_options *o, const tokenizer *t, const chat_template *c,
                         hone_status (*on_long)(void *ctx, const sample *s, int64_t line,
                                                int32_t n_tokens, hone_error *err),
                         void *ctx, json_t **report, hone_error *err)
{
    dataset d = { .max_id = -1 };
    loader l = { .o = o, .name = o->path, .t = t, .c = c, .d = &d, .on_long = on_long, .ctx = ctx };
    char *path = packed_path(o->path), *key = packed_key(o, t, c);
    file_map m = { 0 };
    hone_status st = HONE_OK;
    if (!path || !key)
        st = hone_fail(err, HONE_ERR_IO, "%s: cannot be read", o->path);
    else if ((*report = packed_report(path, key)))
        goto out;
    if (!st)
        st = packer_open(&l.pack, path, key, err);
    if (!st && !(st = file_map_open(&m, o->path, err)))
        st = load_rows(&l, (const char *)m.p, m.n, err);
    file_map_close(&m);
    json_t *said = st ? NULL : pack_report(&l);
    if (!st && !said)
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    if (st || l.stopped) {
        packer_abort(l.pack);
        if (!st)
            st = dir_remove(path, err); /* one of earlier samples */
    } else {
        st = packer_commit(l.pack, said, err);
    }
    if (st)
        json_decref(said);
    else
        *report = said;
out:
    dataset_finish(&d);
    free(path);
    free(key);
    return st;
}

hone_status dataset_load(dataset *out, const dataset_options *o, const tokenizer *t,
                         const chat_template *c, hone_error *err)
{
    file_map map;
    char *packed = packed_path(o->path), *key = NULL;
    bool known = false;
    if (packed && path_exists(packed) && (key = packed_key(o, t, c)))
        known = packed_load(out, packed, key);
    free(packed);
    free(key);
    if (known)
        return HONE_OK;
    hone_status st = file_map_open(&map, o->path, err);
    if (st)
        return st;
    st = dataset_load_bytes(out, o, (const char *)map.p, map.n, o->path, t, c, err);
    file_map_close(&map);
    return st;
}
