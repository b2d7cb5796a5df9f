/*
 * safetensors_write.c - writes one safetensors file: declare, then add bytes in order.
 *
 * The header is written with the first bytes, once all tensors are known: names sorted,
 * padded with spaces so that the data starts at a multiple of 8. "format": "pt" is set
 * as metadata, without which transformers refuses a file. Bytes go through
 * file_writer: a crash or a full disk leaves what was there before.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/safetensors.h"

struct st_writer {
    file_writer *file;        /* owned */
    char *name;               /* owned: its path, for messages */
    json_t *header;           /* owned; NULL once written */
    uint64_t declared, added; /* bytes of data */
};

hone_status st_writer_open(st_writer **out, const char *path, hone_error *err)
{
    st_writer *w = mem_new(1, sizeof *w);
    hone_status st = HONE_OK;
    if (!w || !(w->name = mem_strdup(path)) ||
        !(w->header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt")))
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory to write it", path);
    if (st == HONE_OK)
        st = file_writer_open(&w->file, path, err);
    if (st == HONE_OK) {
        *out = w;
        w = NULL;
    }
    st_writer_abort(w);
    return st;
}

hone_status st_writer_declare(st_writer *w, const char *name, uint32_t dtype, uint32_t rank,
                              const int64_t *shape, hone_error *err)
{
    const char *type = st_dtype_name(dtype);
    uint64_t bytes = hone_dtype_size(dtype), end;
    if (!w->header)
        return hone_fail(err, HONE_ERR_STATE, "%s: %s is declared after the first bytes", w->name,
                         name);
    if (!type || rank > 4)
        return hone_fail(err, HONE_ERR_ARG, "%s: %s: type %u with %u dimensions cannot be written",
                         w->name, name, dtype, rank);
    if (json_object_get(w->header, name))
        return hone_fail(err, HONE_ERR_ARG, "%s: %s is declared twice", w->name, name);
    json_t *dims = json_array();
    bool bad = !dims;
    for (uint32_t k = 0; k < rank && !bad; k++)
        bad = shape[k] < 0 || __builtin_mul_overflow(bytes, (uint64_t)shape[k], &bytes) ||
              json_array_append_new(dims, json_integer(shape[k])) != 0;
    if (bad || __builtin_add_overflow(w->declared, bytes, &end) || end > INT64_MAX) {
        json_decref(dims);
        return hone_fail(err, HONE_ERR_ARG, "%s: %s: its shape cannot be written", w->name, name);
    }
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", type, "shape", dims, "data_offsets",
                              (json_int_t)w->declared, (json_int_t)end);
    if (!entry || json_object_set_new(w->header, name, entry) != 0)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for its header", w->name);
    w->declared = end;
    return HONE_OK;
}

hone_status st_writer_meta(st_writer *w, const char *key, const char *value, hone_error *err)
{
    if (!w->header)
        return hone_fail(err, HONE_ERR_STATE, "%s: metadata %s comes after the first bytes",
                         w->name, key);
    json_t *meta = json_object_get(w->header, "__metadata__");
    if (json_object_set_new(meta, key, json_string(value)) != 0)
        return hone_fail(err, HONE_ERR_ARG, "%s: metadata %s cannot be written, is it UTF-8?",
                         w->name, key);
    return HONE_OK;
}

static hone_status write_header(st_writer *w, hone_error *err)
{
    static const char spaces[8] = { ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ' };
    uint8_t length[8];
    char *json = json_dumps(w->header, JSON_COMPACT | JSON_SORT_KEYS);
    if (!json)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for its header", w->name);
    const size_t n = strlen(json), pad = (8 - n % 8) % 8;
    for (int k = 0; k < 8; k++)
        length[k] = (uint8_t)((uint64_t)(n + pad) >> (8 * k));
    hone_status st = file_writer_add(w->file, length, sizeof length, err);
    if (st == HONE_OK)
        st = file_writer_add(w->file, json, n, err);
    if (st == HONE_OK)
        st = file_writer_add(w->file, spaces, pad, err);
    free(json);
    json_decref(w->header);
    w->header = NULL;
    return st;
}

hone_status st_writer_add(st_writer *w, const void *p, size_t n, hone_error *err)
{
    if (n > w->declared - w->added)
        return hone_fail(err, HONE_ERR_STATE,
                         "%s: more bytes than the %" PRIu64 " its tensors were declared with",
                         w->name, w->declared);
    hone_status st = w->header ? write_header(w, err) : HONE_OK;
    if (st == HONE_OK)
        st = file_writer_add(w->file, p, n, err);
    if (st == HONE_OK)
        w->added += n;
    return st;
}

hone_status st_writer_commit(st_writer *w, hone_error *err)
{
    hone_status st = w->header ? write_header(w, err) : HONE_OK;
    if (st == HONE_OK && w->added != w->declared)
        st = hone_fail(err, HONE_ERR_STATE,
                       "%s: %" PRIu64 " bytes were added, its tensors were declared with %" PRIu64,
                       w->name, w->added, w->declared);
    if (st == HONE_OK) {
        file_writer *file = w->file;
        w->file = NULL; /* commit ends it either way */
        st = file_writer_commit(file, err);
    }
    st_writer_abort(w);
    return st;
}

void st_writer_abort(st_writer *w)
{
    if (!w)
        return;
    file_writer_abort(w->file);
    json_decref(w->header);
    free(w->name);
    free(w);
}
