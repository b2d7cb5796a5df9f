/*
 * dataset_read.c - dataset files: from bytes to rows, from rows to samples.
 *
 * What a file is, its first bytes say: compressed, a list of JSON objects, JSON
 * lines, or CSV. A CSV record becomes the JSON object its header describes, so
 * that there is one way to read a shape. The shape is that of the first row; a
 * row of another one is an error that names both lines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/dataset.h"

#include <archive.h>
#include <stdlib.h>

#define INFLATE_LIMIT ((size_t)64 << 30) /* bytes: more is refused, a bomb or a mistake */

/* ----------------------------------------------------------------------- rows */

static void list_keys(text *out, const json_t *object)
{
    const char *key;
    json_t *v;
    size_t n = 0;
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        if (n++ == 6) {
            text_puts(out, ", ...");
            return;
        }
        text_printf(out, "%s\"%.40s\"", n > 1 ? ", " : "", key);
    }
    if (!n)
        text_puts(out, "none");
}

static hone_status wrong_keys(const dataset_reader *r, const json_t *object, int64_t line,
                              hone_error *err)
{
    text has = { 0 }, want = { 0 };
    hone_status st;
    list_keys(&has, object);
    if (!r->shape) {
        dataset_shapes_list(&want, false);
        st = hone_fail(err, HONE_ERR_FORMAT,
                       "%s:%lld: the row's keys are %s, expected are those of one shape: %s",
                       r->name, (long long)line, has.p ? has.p : "?", want.p ? want.p : "?");
    } else {
        for (const char *const *k = r->shape->need; *k; k++)
            text_printf(&want, "%s\"%s\"", k == r->shape->need ? "" : " and ", *k);
        st = hone_fail(
            err, HONE_ERR_FORMAT,
            "%s:%lld: the row's keys are %s, expected are %s, the shape %s of line %lld; put "
            "rows of different shapes into files of their own",
            r->name, (long long)line, has.p ? has.p : "?", want.p ? want.p : "?", r->shape->name,
            (long long)r->shape_line);
    }
    text_finish(&has);
    text_finish(&want);
    return st;
}

static bool key_used(const dataset_shape *s, const char *key)
{
    for (const char *const *k = s->need; *k; k++)
        if (!strcmp(*k, key))
            return true;
    for (const char *const *k = s->may; *k; k++)
        if (!strcmp(*k, key))
            return true;
    return false;
}

static hone_status visit_row(dataset_reader *r, const json_t *object, int64_t line, hone_error *err)
{
    sample s = { 0 };
    const char *key;
    json_t *v;
    hone_status st;
    if (!json_is_object(object))
        return hone_fail(
            err, HONE_ERR_FORMAT,
            "%s:%lld: the row is no JSON object ({\"key\": ...}), one a line was expected", r->name,
            (long long)line);
    if (!r->shape) {
        r->shape = dataset_shape_of(object);
        r->shape_line = line;
        if (!r->shape)
            return wrong_keys(r, object, line, err);
    }
    for (const char *const *k = r->shape->need; *k; k++)
        if (!json_object_get(object, *k))
            return wrong_keys(r, object, line, err);
    json_object_foreach((json_t *)(uintptr_t)object, key,
                        v) if (!json_is_null(v) && !key_used(r->shape, key))
        unused_keys_note(&r->unused, key);
    st = r->shape->read(&s, object, &r->unused, err);
    if (!st && !s.id)
        st = sample_identify(&s, err);
    if (st)
        st = hone_prefix(err, "%s:%lld", r->name, (long long)line);
    else
        st = r->visit(r->ctx, &s, line, err);
    r->n_rows++;
    sample_finish(&s);
    return st;
}

/* One JSON text at p; bytes that are no UTF-8 become U+FFFD and are counted. */
static hone_status visit_json(dataset_reader *r, const char *p, size_t n, int64_t line,
                              hone_error *err)
{
    text mended = { 0 }, what = { 0 };
    json_t *object = NULL;
    hone_status st;
    r->row_bad_bytes = 0;
    if (!utf8_valid(p, n)) {
        r->row_bad_bytes = utf8_mend(&mended, p, n);
        p = mended.p;
        n = mended.n;
    }
    text_printf(&what, "%s:%lld", r->name, (long long)line);
    st = mended.failed || what.failed
             ? hone_fail(err, HONE_ERR_NOMEM, "no memory for a row of %zu bytes", n)
             : json_parse_texts(&object, p, n, what.p, err);
    if (!st)
        st = visit_row(r, object, line, err);
    json_decref(object);
    text_finish(&mended);
    text_finish(&what);
    return st;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static hone_status read_lines(dataset_reader *r, const char *p, size_t n, hone_error *err)
{
    int64_t line = 1;
    for (size_t at = 0; at < n; line++) {
        const char *nl = memchr(p + at, '\n', n - at);
        size_t end = nl ? (size_t)(nl - p) : n;
        const size_t next = nl ? end + 1 : n;
        while (at < end && is_space(p[at]))
            at++;
        while (end > at && is_space(p[end - 1]))
            end--;
        if (end > at) {
            const hone_status st = visit_json(r, p + at, end - at, line, err);
            if (st)
                return st;
        }
        at = next;
    }
    return HONE_OK;
}

/* Where the JSON value at p[at] ends: brackets and strings are followed, the
 * rest is the parser's to judge. Counts lines. */
static size_t skip_value(const char *p, size_t n, size_t at, int64_t *line)
{
    size_t depth = 0;
    bool quoted = false;
    for (; at < n; at++) {
        const char c = p[at];
        *line += c == '\n';
        if (quoted) {
            if (c == '\\' && at + 1 < n)
                at++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"')
            quoted = true;
        else if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && depth)
            depth--;
        else if ((c == ',' || c == ']' || c == '}') && !depth)
            return at;
    }
    return n;
}

static void skip_space(const char *p, size_t n, size_t *at, int64_t *line)
{
    for (; *at < n && is_space(p[*at]); (*at)++)
        *line += p[*at] == '\n';
}

/* [ {...}, {...} ]: elements are parsed one by one, so a big list costs no tree. */
static hone_status read_array(dataset_reader *r, const char *p, size_t n, hone_error *err)
{
    int64_t line = 1;
    size_t at = 0;
    skip_space(p, n, &at, &line);
    at++; /* '[' */
    skip_space(p, n, &at, &line);
    if (at < n && p[at] == ']')
        at++;
    else
        for (bool more = true; more;) {
            skip_space(p, n, &at, &line);
            const int64_t start_line = line;
            const size_t start = at;
            at = skip_value(p, n, at, &line);
            if (at >= n)
                return hone_fail(
                    err, HONE_ERR_FORMAT,
                    "%s:%lld: the list of rows ends inside this row; is the file cut off?", r->name,
                    (long long)start_line);
            const hone_status st = visit_json(r, p + start, at - start, start_line, err);
            if (st)
                return st;
            if (p[at] == '}')
                return hone_fail(err, HONE_ERR_FORMAT, "%s:%lld: a \"}\" that closes nothing",
                                 r->name, (long long)line);
            more = p[at++] == ',';
        }
    skip_space(p, n, &at, &line);
    if (at < n)
        return hone_fail(err, HONE_ERR_FORMAT, "%s:%lld: something follows the list of rows",
                         r->name, (long long)line);
    return HONE_OK;
}

/* ------------------------------------------------------------------------ csv */

/* A record as the object its header describes; empty optional fields are absent. */
static hone_status record_to_json(dataset_reader *r, const csv_record *header,
                                  const csv_record *record, json_t **out, hone_error *err)
{
    hone_status st = HONE_OK;
    json_t *object = json_object();
    text key = { 0 }, value = { 0 };
    r->row_bad_bytes = 0;
    for (size_t i = 0; i < record->n && !st; i++) {
        const hone_str k = csv_field(header, i), v = csv_field(record, i);
        text_clear(&key);
        text_clear(&value);
        text_puts(&key, "");
        utf8_mend(&key, k.p, k.n);
        r->row_bad_bytes += utf8_mend(&value, v.p, v.n);
        if (key.failed || value.failed) {
            st = hone_fail(err, HONE_ERR_NOMEM, "no memory for a record");
            break;
        }
        const char *name = key.p ? key.p : "";
        if (json_object_get(object, name)) {
            st = hone_fail(err, HONE_ERR_FORMAT, "%s:%lld: the column \"%.40s\" is there twice",
                           r->name, (long long)header->line, name);
            break;
        }
        bool needed = !r->shape;
        for (const char *const *n = r->shape ? r->shape->need : NULL; n && *n; n++)
            needed = needed || !strcmp(*n, name);
        json_t *cell =
            value.n || needed ? json_stringn(value.p ? value.p : "", value.n) : json_null();
        if (json_object_set_new(object, name, cell))
            st = hone_fail(err, HONE_ERR_NOMEM, "no memory for a record");
    }
    if (!st) {
        *out = object;
        object = NULL;
    }
    text_finish(&key);
    text_finish(&value);
    json_decref(object);
    return st;
}

static hone_status read_csv(dataset_reader *r, const char *p, size_t n, hone_error *err)
{
    static const char delimiters[] = { ',', ';', '\t' };
    csv_record header = { 0 }, record = { 0 };
    csv c = { 0 };
    bool more = false;
    text want = { 0 };
    hone_status st = HONE_OK;
    const dataset_shape *shape = NULL;
    for (size_t i = 0; i < sizeof delimiters && !shape; i++) {
        json_t *names = NULL;
        c = (csv){ .p = p, .n = n, .delimiter = delimiters[i], .line = 1 };
        st = csv_next(&c, &header, &more, err);
        if (!st && (st = record_to_json(r, &header, &header, &names, err)))
            goto out; /* a column twice */
        shape = dataset_shape_of(names);
        json_decref(names);
        if (shape && !shape->csv)
            shape = NULL;
    }
    if (!shape) {
        dataset_shapes_list(&want, true);
        st = hone_fail(
            err, HONE_ERR_FORMAT,
            "%s:1: neither JSON nor a CSV header with known columns; expected are JSON objects, "
            "one a line, or columns of one shape: %s",
            r->name, want.p ? want.p : "?");
        goto out;
    }
    r->shape = shape;
    r->shape_line = header.line;
    while (!(st = csv_next(&c, &record, &more, err)) && more) {
        json_t *object = NULL;
        if (record.n != header.n) {
            st = hone_fail(
                err, HONE_ERR_FORMAT,
                "%s:%lld: %zu fields, the header has %zu; a field that holds a \"%c\" must be "
                "in quotes",
                r->name, (long long)record.line, record.n, header.n, c.delimiter);
            goto out;
        }
        st = record_to_json(r, &header, &record, &object, err);
        if (!st)
            st = visit_row(r, object, record.line, err);
        json_decref(object);
        if (st)
            goto out;
    }
    if (st)
        st = hone_prefix(err, "%s", r->name);
out:
    csv_record_finish(&header);
    csv_record_finish(&record);
    text_finish(&want);
    return st;
}

/* ---------------------------------------------------------------- compression */

static bool is_compressed(const char *p, size_t n)
{
    static const struct {
        const char *magic;
        size_t n;
    } kinds[] = { { "\x1f\x8b", 2 },
                  { "\xfd"
                    "7zXZ",
                    5 },
                  { "BZh", 3 },
                  { "\x28\xb5\x2f\xfd", 4 } };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (n >= kinds[i].n && !memcmp(p, kinds[i].magic, kinds[i].n))
            return true;
    return false;
}

static hone_status decompress(text *out, const char *name, const char *p, size_t n, hone_error *err)
{
    hone_status st = HONE_OK;
    struct archive_entry *entry;
    struct archive *a = archive_read_new();
    const void *block;
    size_t size;
    la_int64_t offset;
    int rc = ARCHIVE_FATAL;
    if (!a)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory to decompress", name);
    (void)archive_read_support_filter_all(a); /* a filter that is missing is found missing below */
    (void)archive_read_support_format_raw(a);
    if (archive_read_open_memory(a, p, n) || archive_read_next_header(a, &entry) ||
        archive_filter_code(a, 0) == ARCHIVE_FILTER_NONE) {
        st =
            hone_fail(err, HONE_ERR_FORMAT, "%s: cannot be decompressed: %s", name,
                      archive_error_string(a) ? archive_error_string(a) : "not what it looks like");
        goto out;
    }
    while ((rc = archive_read_data_block(a, &block, &size, &offset)) == ARCHIVE_OK) {
        if (out->n + size > INFLATE_LIMIT) {
            st = hone_fail(err, HONE_ERR_LIMIT, "%s: decompresses to more than %zu bytes", name,
                           INFLATE_LIMIT);
            goto out;
        }
        text_add(out, block, size);
        if ((st = text_status(out, err)))
            goto out;
    }
    if (rc != ARCHIVE_EOF)
        st = hone_fail(err, HONE_ERR_FORMAT, "%s: damaged after %zu decompressed bytes: %s", name,
                       out->n, archive_error_string(a) ? archive_error_string(a) : "unknown");
out:
    (void)archive_read_free(a);
    return st;
}

/* ----------------------------------------------------------------------- doors */

hone_status dataset_reader_run(dataset_reader *r, const char *p, size_t n, hone_error *err)
{
    text inflated = { 0 };
    size_t at = 0;
    int64_t line = 1;
    hone_status st = HONE_OK;
    if (is_compressed(p, n)) {
        if ((st = decompress(&inflated, r->name, p, n, err)))
            goto out;
        p = inflated.p ? inflated.p : "";
        n = inflated.n;
    }
    if (n >= 2 && (!memcmp(p, "\xff\xfe", 2) || !memcmp(p, "\xfe\xff", 2))) {
        st = hone_fail(err, HONE_ERR_UNSUPPORTED, "%s: is UTF-16; save it as UTF-8", r->name);
        goto out;
    }
    if (n >= 3 && !memcmp(p, "\xef\xbb\xbf", 3)) { /* the mark some editors put in front of UTF-8 */
        p += 3;
        n -= 3;
    }
    skip_space(p, n, &at, &line);
    if (at == n)
        st = HONE_OK;
    else if (p[at] == '{')
        st = read_lines(r, p, n, err);
    else if (p[at] == '[')
        st = read_array(r, p, n, err);
    else
        st = read_csv(r, p, n, err);
out:
    text_finish(&inflated);
    return st;
}

typedef struct const_visit {
    hone_status (*visit)(void *ctx, const sample *s, int64_t line, hone_error *err);
    void *ctx;
} const_visit;

static hone_status visit_const(void *ctx, sample *s, int64_t line, hone_error *err)
{
    const const_visit *v = ctx;
    return v->visit(v->ctx, s, line, err);
}

hone_status dataset_read_bytes(const char *p, size_t n, const char *name,
                               hone_status (*visit)(void *ctx, const sample *s, int64_t line,
                                                    hone_error *err),
                               void *ctx, const char **shape, hone_error *err)
{
    const_visit v = { visit, ctx };
    dataset_reader r = { .name = name, .visit = visit_const, .ctx = &v };
    const hone_status st = dataset_reader_run(&r, p, n, err);
    if (!st && shape)
        *shape = r.shape ? r.shape->name : "empty";
    return st;
}

hone_status dataset_read(const char *path,
                         hone_status (*visit)(void *ctx, const sample *s, int64_t line,
                                              hone_error *err),
                         void *ctx, const char **shape, hone_error *err)
{
    file_map map;
    hone_status st = file_map_open(&map, path, err);
    if (st)
        return st;
    st = dataset_read_bytes((const char *)map.p, map.n, path, visit, ctx, shape, err);
    file_map_close(&map);
    return st;
}
