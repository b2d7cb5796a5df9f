/*
 * packed.c - a dataset as rows of ids and labels, beside its samples: <path>.rows.
 *
 *   "HONEROWS", bytes of the key (u64), key (JSON)
 *   rows: n, n_learned, paired, bytes of id, bytes of file (u32 each), line (i64), id, file,
 *         n ids, n labels (i32 each)
 *   end (JSON: report, rows, max_id, hash), bytes of the end (u64), "HONEROWE"
 *
 * Numbers are little-endian. The key holds everything rows depend on: hashes of samples, tokenizer
 * and template, seq_len and the options. Another key, a cut file, or rows whose hash is not
 * the end's: the samples are read instead. Nothing of it is trusted: it is checked field by field.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/dataset.h"

#include <stdlib.h>

#define MAGIC "HONEROWS"
#define END_MAGIC "HONEROWE"
#define HEAD_BYTES 28 /* of a row, before its strings */

struct packer {
    file_writer *w; /* owned */
    sha256 hash;
    int64_t rows;
    int32_t max_id;
    text buf;
};

static void put_u32(text *t, uint32_t x)
{
    const char b[4] = { (char)x, (char)(x >> 8), (char)(x >> 16), (char)(x >> 24) };
    text_add(t, b, sizeof b);
}

static void put_u64(text *t, uint64_t x)
{
    put_u32(t, (uint32_t)x);
    put_u32(t, (uint32_t)(x >> 32));
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get_u64(const uint8_t *p)
{
    return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

char *packed_path(const char *path)
{
    text t = { 0 };
    text_printf(&t, "%s.rows", path);
    if (t.failed)
        text_finish(&t);
    return t.p;
}

/* Everything that rows depend on, as JSON; NULL when the samples cannot be read. */
char *packed_key(const dataset_options *o, const tokenizer *t, const chat_template *c)
{
    char hash[65], *dump = NULL;
    const char *today = c ? chat_template_today(c) : NULL;
    if (sha256_file(o->path, hash, NULL))
        return NULL;
    json_t *key =
        json_pack("{s:i, s:s, s:s, s:s, s:I, s:I, s:b, s:b, s:b, s:b, s:s}", "version", 1,
                  "samples", hash, "tokenizer", tokenizer_hash(t), "template",
                  c ? chat_template_hash(c) : "", "seq_len", (json_int_t)o->seq_len, "over_long",
                  (json_int_t)o->over_long, "raw_bos", o->raw_bos, "raw_eos", o->raw_eos,
                  "learn_prompt", o->learn_prompt, "duplicates", o->keep_duplicates, "date",
                  o->date ? o->date
                  : today ? today
                          : "");
    if (key)
        dump = json_dumps(key, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(key);
    return dump;
}

/* ------------------------------------------------------------------------ writing */

hone_status packer_open(packer **out, const char *path, const char *key, hone_error *err)
{
    packer *k = mem_new(1, sizeof *k);
    hone_status st = k ? file_writer_open(&k->w, path, err)
                       : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", path);
    if (!st) {
        k->max_id = -1;
        sha256_init(&k->hash);
        text_puts(&k->buf, MAGIC);
        put_u64(&k->buf, strlen(key));
        text_puts(&k->buf, key);
        st = text_status(&k->buf, err);
    }
    if (!st)
        st = file_writer_add(k->w, k->buf.p, k->buf.n, err);
    if (st) {
        packer_abort(k);
        return st;
    }
    *out = k;
    return HONE_OK;
}

hone_status packer_add(packer *k, const row *r, hone_error *err)
{
    const size_t n_id = r->id ? strlen(r->id) : 0, n_file = r->file ? strlen(r->file) : 0;
    text_clear(&k->buf);
    put_u32(&k->buf, (uint32_t)r->n);
    put_u32(&k->buf, (uint32_t)r->n_learned);
    put_u32(&k->buf, r->paired);
    put_u32(&k->buf, (uint32_t)n_id);
    put_u32(&k->buf, (uint32_t)n_file);
    put_u64(&k->buf, (uint64_t)r->line);
    text_add(&k->buf, r->id ? r->id : "", n_id);
    text_add(&k->buf, r->file ? r->file : "", n_file);
    for (int32_t i = 0; i < r->n; i++) {
        put_u32(&k->buf, (uint32_t)r->ids[i]);
        if (r->ids[i] > k->max_id)
            k->max_id = r->ids[i];
    }
    for (int32_t i = 0; i < r->n; i++)
        put_u32(&k->buf, (uint32_t)r->labels[i]);
    const hone_status st = text_status(&k->buf, err);
    if (st)
        return st;
    dataset_hash_row(&k->hash, r);
    k->rows++;
    return file_writer_add(k->w, k->buf.p, k->buf.n, err);
}

static int dump_to_text(const char *p, size_t n, void *arg)
{
    text_add(arg, p, n);
    return 0;
}

hone_status packer_commit(packer *k, json_t *report, hone_error *err)
{
    char hash[65];
    dataset_hash_done(&k->hash, hash);
    json_t *end = json_pack("{s:O, s:I, s:i, s:s}", "report", report, "rows", (json_int_t)k->rows,
                            "max_id", (int)k->max_id, "hash", hash);
    text_clear(&k->buf);
    if (!end || json_dump_callback(end, dump_to_text, &k->buf, JSON_COMPACT))
        k->buf.failed = true;
    json_decref(end);
    const size_t n = k->buf.n;
    put_u64(&k->buf, n);
    text_puts(&k->buf, END_MAGIC);
    hone_status st = text_status(&k->buf, err);
    if (!st)
        st = file_writer_add(k->w, k->buf.p, k->buf.n, err);
    if (!st) {
        file_writer *w = k->w;
        k->w = NULL;
        st = file_writer_commit(w, err);
    }
    packer_abort(k);
    return st;
}

void packer_abort(packer *k)
{
    if (!k)
        return;
    file_writer_abort(k->w);
    text_finish(&k->buf);
    free(k);
}

/* ------------------------------------------------------------------------ reading */

/* The end's JSON, when the file is whole and its key is this one; *rows, *n get the bytes between. */
static json_t *open_end(const file_map *m, const char *key, const uint8_t **rows, size_t *n)
{
    const size_t n_key = strlen(key);
    if (m->n < 16 + n_key + 16 || memcmp(m->p, MAGIC, 8) != 0 || get_u64(m->p + 8) != n_key ||
        memcmp(m->p + 16, key, n_key) != 0 || memcmp(m->p + m->n - 8, END_MAGIC, 8) != 0)
        return NULL;
    const uint64_t n_end = get_u64(m->p + m->n - 16);
    if (n_end > m->n - 32 - n_key)
        return NULL;
    *rows = m->p + 16 + n_key;
    *n = m->n - 32 - n_key - (size_t)n_end;
    return json_loadb((const char *)m->p + m->n - 16 - n_end, (size_t)n_end, 0, NULL);
}

json_t *packed_report(const char *path, const char *key)
{
    file_map m;
    const uint8_t *rows;
    size_t n;
    if (file_map_open(&m, path, NULL))
        return NULL;
    json_t *end = open_end(&m, key, &rows, &n);
    json_t *report = json_incref(json_object_get(end, "report"));
    json_decref(end);
    file_map_close(&m);
    return report;
}

static void get_words(int32_t *out, const uint8_t *p, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        out[i] = (int32_t)get_u32(p + 4 * (size_t)i);
}

/* One row of p[0..n); bytes used, 0: malformed or no memory. */
static size_t take_row(row *r, const uint8_t *p, size_t n)
{
    if (n < HEAD_BYTES)
        return 0;
    const uint32_t words = get_u32(p), n_id = get_u32(p + 12), n_file = get_u32(p + 16);
    const uint64_t size = HEAD_BYTES + (uint64_t)n_id + n_file + 8 * (uint64_t)words;
    if (!words || words > INT32_MAX || size > n)
        return 0;
    *r = (row){ .n = (int32_t)words,
                .paired = get_u32(p + 8),
                .line = (int64_t)get_u64(p + 20),
                .ids = mem_new(words, sizeof *r->ids),
                .labels = mem_new(words, sizeof *r->labels),
                .id = n_id ? mem_strndup((const char *)p + HEAD_BYTES, n_id) : NULL,
                .file = n_file ? mem_strndup((const char *)p + HEAD_BYTES + n_id, n_file) : NULL };
    if (!r->ids || !r->labels || (n_id && !r->id) || (n_file && !r->file)) {
        row_finish(r);
        return 0;
    }
    const uint8_t *at = p + HEAD_BYTES + n_id + n_file;
    get_words(r->ids, at, r->n);
    get_words(r->labels, at + 4 * (size_t)words, r->n);
    bool good = true;
    for (int32_t i = 0; i < r->n; i++) {
        good &= r->ids[i] >= 0 && (r->labels[i] == r->ids[i] || r->labels[i] == LABEL_MASKED);
        r->n_learned += i && r->labels[i] != LABEL_MASKED;
    }
    if (!good)
        row_finish(r);
    return good ? (size_t)size : 0;
}

bool packed_load(dataset *out, const char *path, const char *key)
{
    dataset d = { .max_id = -1 };
    file_map m;
    const uint8_t *p = NULL;
    size_t n = 0;
    bool good = false;
    if (file_map_open(&m, path, NULL))
        return false;
    json_t *end = open_end(&m, key, &p, &n);
    const char *hash = json_string_value(json_object_get(end, "hash"));
    while (hash && n) {
        row r = { 0 };
        const size_t used = take_row(&r, p, n);
        if (!used || !mem_grow(&d.rows, &d.cap, d.n + 1, sizeof *d.rows)) {
            if (used)
                row_finish(&r);
            break;
        }
        for (int32_t i = 0; i < r.n; i++)
            if (r.ids[i] > d.max_id)
                d.max_id = r.ids[i];
        d.rows[d.n++] = r;
        p += used;
        n -= used;
    }
    if (hash && !n && d.n && dataset_report_read(&d.report, json_object_get(end, "report"))) {
        dataset_rehash(&d);
        good = strcmp(d.hash, hash) == 0;
    }
    if (end && !good)
        log_line(HONE_LOG_WARN, "%s: damaged; the samples are read instead", path);
    json_decref(end);
    file_map_close(&m);
    if (good)
        *out = d;
    else
        dataset_finish(&d);
    return good;
}
