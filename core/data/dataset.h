/*
 * dataset.h - what the files of dataset import share. Private to core/data.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_DATA_DATASET_H
#define CORE_DATA_DATASET_H

#include "core/data/data.h"

/* ---------------------------------------------------------------------- csv */

/* RFC 4180 records over (p, n); p is borrowed. */
typedef struct csv {
    const char *p;
    size_t n, at;
    char delimiter;
    int64_t line; /* of p[at], from 1 */
} csv;

typedef struct csv_record { /* start from { 0 } */
    text cells;             /* unquoted fields, one after another */
    size_t *end;            /* owned: where field i ends in cells */
    size_t n, cap;
    int64_t line; /* where the record starts */
} csv_record;

/* The next record that is no empty line; *more is false at the end. */
HONE_MUST_CHECK hone_status csv_next(csv *c, csv_record *r, bool *more, hone_error *err);
hone_str csv_field(const csv_record *r, size_t i);
void csv_record_finish(csv_record *r);

/* ------------------------------------------------------------------- shapes */

#define UNUSED_KEYS 16

/* Keys that rows have and hone does not read: named in the report. */
typedef struct unused_keys {
    struct {
        char name[48];
        int64_t n;
    } key[UNUSED_KEYS];
    size_t n;
    int64_t others; /* beyond the table */
} unused_keys;
void unused_keys_note(unused_keys *u, const char *name);

typedef struct dataset_shape {
    const char *name;
    const char *need[3]; /* a row of this shape has these, NULL-terminated  */
    const char *may[6];  /* and these are read as well, NULL-terminated    */
    bool csv;            /* can come as CSV                                */
    hone_status (*read)(sample *s, const json_t *row, unused_keys *unused, hone_error *err);
} dataset_shape;
extern const dataset_shape dataset_shapes[]; /* ends with name == NULL; first match counts */

/* The shape whose keys the object has, or NULL. */
const dataset_shape *dataset_shape_of(const json_t *row);
/* "input_ids; messages; instruction + output; ..." */
void dataset_shapes_list(text *out, bool csv_only);

const char *json_type_name(const json_t *v); /* "a string"; "missing" for NULL */
/* The turns of a list, to s. key: what the row calls it; learn: answers are learned at all. */
HONE_MUST_CHECK hone_status turns_add(sample *s, const json_t *list, const char *key, bool learn,
                                      unused_keys *unused, hone_error *err);

/* ------------------------------------------------------------------- reader */

typedef struct dataset_reader {
    const char *name; /* borrowed: the file, for messages */
    /* May take what s owns (leaving { 0 }); borrowed for the call otherwise. */
    hone_status (*visit)(void *ctx, sample *s, int64_t line, hone_error *err);
    void *ctx;
    const dataset_shape *shape; /* of the first row; NULL before it */
    int64_t shape_line;
    int64_t n_rows;
    int64_t row_bad_bytes; /* of the row visited now: bytes that were no UTF-8 */
    unused_keys unused;
} dataset_reader;

/* p may be compressed; name, visit and ctx are set by the caller. */
HONE_MUST_CHECK hone_status dataset_reader_run(dataset_reader *r, const char *p, size_t n,
                                               hone_error *err);

/* ------------------------------------------------------------------- rows */

/* One sample on its way to a row. */
typedef struct row_job {
    sample s; /* owned */
    int64_t line;
    encode_losses lost;
    bool empty;
    row r;           /* owned */
    uint8_t *roles;  /* owned, r.n: whose token it is */
    int32_t special; /* a special token that the sample's own words spell, or -1 */
    bool left_out;   /* the template drops a turn of it, or thoughts */
    hone_error err;
} row_job;

typedef struct row_maker { /* all borrowed */
    const dataset_options *o;
    const tokenizer *t;
    const chat_template *c; /* may be NULL */
} row_maker;

/* j->r and what is said of it, from j->s. Messages without file and line. [any] */
HONE_MUST_CHECK hone_status row_make(const row_maker *l, row_job *j, hone_error *err);
void row_job_finish(row_job *j);

/* d->hash from its rows, in order. */
void dataset_rehash(dataset *d);
/* The same, row by row. */
void dataset_hash_row(sha256 *h, const row *r);
void dataset_hash_done(sha256 *h, char out[65]);
/* What dataset_report_json() wrote; false: it did not. */
bool dataset_report_read(dataset_report *r, const json_t *o);

/* ------------------------------------------------------------------- packed.c */

char *packed_path(const char *path); /* "<path>.rows", fresh */
char *packed_key(const dataset_options *o, const tokenizer *t, const chat_template *c);
typedef struct packer packer;
HONE_MUST_CHECK hone_status packer_open(packer **out, const char *path, const char *key,
                                        hone_error *err);
HONE_MUST_CHECK hone_status packer_add(packer *k, const row *r, hone_error *err);
/* Ends it either way. report is borrowed. */
HONE_MUST_CHECK hone_status packer_commit(packer *k, json_t *report, hone_error *err);
void packer_abort(packer *k);
/* The report of a packed file with this key, a new reference; NULL: there is none. */
json_t *packed_report(const char *path, const char *key);
/* Rows and report of a packed file with this key; false: there is none, or it is damaged. */
bool packed_load(dataset *out, const char *path, const char *key);

#endif /* CORE_DATA_DATASET_H */
