/*
 * safetensors.c - reads safetensors files, mapped and distrusted.
 *
 * A file is  u64 n | n bytes of JSON | data.  The JSON maps a tensor's name to
 * { "dtype", "shape", "data_offsets": [begin, end) } with offsets counted from the
 * start of the data, plus "__metadata__", strings to strings. Everything is checked
 * before the first tensor is handed out: a reader who asks st_find() gets bytes that
 * are there, or an error that says which claim was false.
 *
 * Traps: jansson reads numbers as int64, so offsets beyond 2^63 fail in the parser;
 * shape products are still checked, because four honest dimensions can overflow.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/model.h"
#include "core/model/safetensors.h"

#define HEADER_LIMIT ((uint64_t)100 << 20) /* bytes, as Hugging Face's own reader */

/* Types of the format. hone 0: known, so that a file with such a tensor can be
 * opened and checked, but hone has no arithmetic for it. */
/* clang-format off */
static const struct { const char *name; uint32_t hone, size; } dtypes[] = {
    { "F32",  HONE_F32,  4 }, { "F16",     HONE_F16, 2 }, { "BF16",    HONE_BF16, 2 },
    { "F64",  HONE_F64,  8 }, { "I64",     HONE_I64, 8 }, { "I32",     HONE_I32,  4 },
    { "I8",   HONE_I8,   1 }, { "U8",      HONE_U8,  1 }, { "BOOL",    0,         1 },
    { "I16",  0,         2 }, { "U16",     0,        2 }, { "U32",     0,         4 },
    { "U64",  0,         8 }, { "F8_E4M3", 0,        1 }, { "F8_E5M2", 0,         1 },
};
/* clang-format on */
#define DTYPE_COUNT (sizeof dtypes / sizeof dtypes[0])

const char *st_dtype_name(uint32_t dtype)
{
    for (size_t i = 0; i < DTYPE_COUNT; i++)
        if (dtypes[i].hone == dtype && dtype)
            return dtypes[i].name;
    return NULL;
}

/* ----------------------------------------------------------------- one entry */

static hone_status entry_dtype(uint32_t *dtype, uint32_t *size, const json_t *entry,
                               const char *file, const char *name, hone_error *err)
{
    const json_t *value = json_object_get(entry, "dtype");
    if (!json_is_string(value))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: tensor %s: dtype is missing or not a string",
                         file, name);
    for (size_t i = 0; i < DTYPE_COUNT; i++)
        if (strcmp(dtypes[i].name, json_string_value(value)) == 0) {
            *dtype = dtypes[i].hone;
            *size = dtypes[i].size;
            return HONE_OK;
        }
    return hone_fail(err, HONE_ERR_FORMAT,
                     "%s: tensor %s: dtype %.40s is unknown, expected F32, F16, BF16, F64 or an "
                     "integer type",
                     file, name, json_string_value(value));
}

/* Shape and the bytes it stands for. */
static hone_status entry_shape(st_tensor *t, uint64_t *bytes, uint32_t size, const json_t *entry,
                               const char *file, hone_error *err)
{
    const json_t *shape = json_object_get(entry, "shape");
    uint64_t total = size;
    if (!json_is_array(shape))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: tensor %s: shape is missing or not an array",
                         file, t->name);
    if (json_array_size(shape) > 4)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: tensor %s: %zu dimensions, expected at most 4",
                         file, t->name, json_array_size(shape));
    t->rank = (uint32_t)json_array_size(shape);
    for (uint32_t k = 0; k < 4; k++)
        t->shape[k] = 1;
    bool empty = false;
    for (uint32_t k = 0; k < t->rank; k++) {
        const json_t *size_k = json_array_get(shape, k);
        if (!json_is_integer(size_k) || json_integer_value(size_k) < 0)
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: tensor %s: dimension %u is not a whole number of 0 or more", file,
                             t->name, k);
        t->shape[k] = json_integer_value(size_k);
        empty |= t->shape[k] == 0;
        if (!empty && __builtin_mul_overflow(total, (uint64_t)t->shape[k], &total))
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: tensor %s: its shape overflows 64 bits of bytes", file, t->name);
    }
    *bytes = empty ? 0 : total;
    return HONE_OK;
}

/* data_offsets, checked against the file and against the shape. */
static hone_status entry_offsets(uint64_t *begin, uint64_t expected, uint64_t data_size,
                                 const json_t *entry, const char *file, const char *name,
                                 hone_error *err)
{
    const json_t *pair = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(pair, 0), *second = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(first) || !json_is_integer(second) ||
        json_integer_value(first) < 0 || json_integer_value(second) < 0)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: tensor %s: data_offsets is not a pair of whole numbers", file, name);
    const uint64_t lo = (uint64_t)json_integer_value(first);
    const uint64_t hi = (uint64_t)json_integer_value(second);
    if (lo > hi)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: tensor %s: data_offsets [%" PRIu64 ", %" PRIu64 ") run backwards",
                         file, name, lo, hi);
    if (hi > data_size)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: tensor %s ends at byte %" PRIu64 " of the data, the file has %" PRIu64
                         ": truncated, or a false header",
                         file, name, hi, data_size);
    if (hi - lo != expected)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: tensor %s: data_offsets hold %" PRIu64
                         " bytes, dtype and shape need %" PRIu64,
                         file, name, hi - lo, expected);
    *begin = lo;
    return HONE_OK;
}

static hone_status entry_read(st_tensor *t, const json_t *entry, const char *name,
                              const uint8_t *data, uint64_t data_size, const char *file,
                              hone_error *err)
{
    uint32_t size = 0;
    uint64_t begin = 0;
    *t = (st_tensor){ .name = name };
    if (!json_is_object(entry))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: tensor %s: its entry is not an object", file,
                         name);
    if (json_object_size(entry) > 3)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: tensor %s: its entry has %zu members, expected dtype, shape and "
                         "data_offsets",
                         file, name, json_object_size(entry));
    hone_status st = entry_dtype(&t->dtype, &size, entry, file, name, err);
    if (st == HONE_OK)
        st = entry_shape(t, &t->bytes, size, entry, file, err);
    if (st == HONE_OK)
        st = entry_offsets(&begin, t->bytes, data_size, entry, file, name, err);
    if (st == HONE_OK)
        t->p = data + begin;
    return st;
}

/* ------------------------------------------------------------------ one file */

static int by_place(const void *a, const void *b)
{
    const st_tensor *x = a, *y = b;
    if (x->p != y->p)
        return x->p < y->p ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes; /* empty ones first */
}

static int by_name(const void *a, const void *b)
{
    const st_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* No byte of the data belongs to two tensors or to none. Sorts t by place. */
static hone_status check_places(st_tensor *t, size_t n, const uint8_t *data, uint64_t data_size,
                                const char *file, hone_error *err)
{
    uint64_t end = 0;
    qsort(t, n, sizeof *t, by_place);
    for (size_t i = 0; i < n; i++) {
        const uint64_t begin = (uint64_t)(t[i].p - data);
        if (begin < end)
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: tensors %s and %s overlap at byte %" PRIu64 " of the data", file,
                             t[i - 1].name, t[i].name, begin);
        if (begin > end)
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: %" PRIu64 " bytes before tensor %s belong to no tensor", file,
                             begin - end, t[i].name);
        end = begin + t[i].bytes;
    }
    if (end != data_size)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: %" PRIu64 " bytes at the end belong to no tensor", file,
                         data_size - end);
    return HONE_OK;
}

static hone_status check_metadata(const json_t *meta, const char *file, hone_error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(meta))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: __metadata__ is not an object", file);
    json_object_foreach((json_t *)(uintptr_t)meta, key, value) if (
        !json_is_string(value)) return hone_fail(err, HONE_ERR_FORMAT,
                                                 "%s: __metadata__: %.80s is not a string", file,
                                                 key);
    return HONE_OK;
}

/* Names stand in messages, which are one line. */
static bool is_printable(const char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name < 0x20 || *name == 0x7f)
            return false;
    return true;
}

/* Check one file's bytes and append its tensors to f. */
static hone_status shard_read(st_file *f, st_shard *s, const uint8_t *p, size_t n, hone_error *err)
{
    uint64_t header = 0;
    const char *name;
    json_t *entry;
    if (n < 8)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: %zu bytes, a safetensors file has at least 8",
                         s->name, n);
    for (int k = 7; k >= 0; k--)
        header = header << 8 | p[k];
    if (header > n - 8)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: the header claims %" PRIu64 " bytes, %zu follow: truncated, or not "
                         "safetensors",
                         s->name, header, n - 8);
    if (header > HEADER_LIMIT)
        return hone_fail(err, HONE_ERR_LIMIT,
                         "%s: a header of %" PRIu64 " bytes, the limit is %" PRIu64, s->name,
                         header, HEADER_LIMIT);
    hone_status st = json_parse(&s->header, (const char *)p + 8, (size_t)header, s->name, err);
    if (st != HONE_OK)
        return st;
    if (!json_is_object(s->header))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: the header is not a JSON object", s->name);

    const uint8_t *data = p + 8 + header;
    const uint64_t data_size = n - 8 - header;
    const size_t first = f->n;
    json_object_foreach(s->header, name, entry)
    {
        if (!is_printable(name)) {
            st = hone_fail(err, HONE_ERR_FORMAT, "%s: a tensor's name has a control character",
                           s->name);
        } else if (strcmp(name, "__metadata__") == 0) {
            st = check_metadata(entry, s->name, err);
        } else {
            if (!mem_grow(&f->tensors, &f->cap, f->n + 1, sizeof *f->tensors))
                return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for its list of tensors",
                                 s->name);
            st = entry_read(&f->tensors[f->n], entry, name, data, data_size, s->name, err);
            f->n++;
        }
        if (st != HONE_OK)
            return st;
    }
    return check_places(f->tensors + first, f->n - first, data, data_size, s->name, err);
}

hone_status st_sort(st_file *f, const char *what, hone_error *err)
{
    qsort(f->tensors, f->n, sizeof *f->tensors, by_name);
    for (size_t i = 1; i < f->n; i++)
        if (strcmp(f->tensors[i - 1].name, f->tensors[i].name) == 0)
            return hone_fail(err, HONE_ERR_FORMAT, "%s: tensor %s is in two shards", what,
                             f->tensors[i].name);
    return HONE_OK;
}

hone_status st_shard_open(st_file *f, size_t i, const char *path, hone_error *err)
{
    st_shard *s = &f->shards[i];
    s->name = mem_strdup(path);
    if (!s->name)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for its name", path);
    hone_status st = file_map_open(&s->map, path, err);
    if (st != HONE_OK)
        return st;
    s->mapped = true;
    return shard_read(f, s, s->map.p, s->map.n, err);
}

hone_status st_reserve(st_file *f, size_t n, hone_error *err)
{
    f->shards = mem_new(n, sizeof *f->shards);
    if (!f->shards)
        return hone_fail(err, HONE_ERR_NOMEM, "safetensors: no memory for %zu files", n);
    f->n_shards = n;
    return HONE_OK;
}

/* ------------------------------------------------------------------ the door */

hone_status st_open(st_file **out, const char *path, hone_error *err)
{
    st_file *f = mem_new(1, sizeof *f);
    if (!f)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", path);
    hone_status st;
    if (path_is_dir(path)) {
        st = st_open_dir(f, path, err);
    } else {
        st = st_reserve(f, 1, err);
        if (st == HONE_OK)
            st = st_shard_open(f, 0, path, err);
    }
    if (st == HONE_OK)
        st = st_sort(f, path, err);
    if (st == HONE_OK) {
        *out = f;
        f = NULL;
    }
    st_close(f);
    return st;
}

hone_status st_open_bytes(st_file **out, const uint8_t *p, size_t n, const char *name,
                          hone_error *err)
{
    st_file *f = mem_new(1, sizeof *f);
    if (!f)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", name);
    hone_status st = st_reserve(f, 1, err);
    if (st == HONE_OK && !(f->shards[0].name = mem_strdup(name)))
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", name);
    if (st == HONE_OK)
        st = shard_read(f, &f->shards[0], p, n, err);
    if (st == HONE_OK)
        st = st_sort(f, name, err);
    if (st == HONE_OK) {
        *out = f;
        f = NULL;
    }
    st_close(f);
    return st;
}

void st_close(st_file *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n_shards; i++) {
        if (f->shards[i].mapped)
            file_map_close(&f->shards[i].map);
        json_decref(f->shards[i].header);
        free(f->shards[i].name);
    }
    free(f->shards);
    free(f->tensors);
    free(f);
}

size_t st_count(const st_file *f)
{
    return f->n;
}

const st_tensor *st_at(const st_file *f, size_t i)
{
    return i < f->n ? &f->tensors[i] : NULL;
}

const st_tensor *st_find(const st_file *f, const char *name)
{
    const st_tensor key = { .name = name };
    return f->n ? bsearch(&key, f->tensors, f->n, sizeof key, by_name) : NULL;
}

void st_release(const st_file *f, const st_tensor *t)
{
    for (size_t i = 0; i < f->n_shards; i++) {
        const st_shard *s = &f->shards[i];
        if (s->mapped && t->p >= s->map.p && t->p - s->map.p < (ptrdiff_t)s->map.n)
            file_map_release(&s->map, (size_t)(t->p - s->map.p), (size_t)t->bytes);
    }
}

const char *st_meta(const st_file *f, const char *key)
{
    for (size_t i = 0; i < f->n_shards; i++) {
        const json_t *meta = json_object_get(f->shards[i].header, "__metadata__");
        const char *value = json_string_value(json_object_get(meta, key));
        if (value)
            return value;
    }
    return NULL;
}
