/*
 * save.c - full weights as a Hugging Face folder: safetensors, config.json, tokenizer files.
 *
 * As numbers of one type, or as they are stored: then a packed matrix is a tensor per plane,
 * "NAME.PLANE", and config.json's hone_quantization names the format.
 *
 * Tensors are written in the order of the table, in one file or in shards of at most
 * shard_bytes, each begun anew when the next tensor would not fit. config.json is the
 * source's, with the element type set to what was written; tokenizer files are copied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/impl.h"
#include "core/model/safetensors.h"
#include "core/model/weights_io.h"

#define FILE_LIMIT ((size_t)1 << 30) /* of a tokenizer file, bytes */

/* clang-format off */
static const char *const companions[] = {
    "generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
    "chat_template.jinja", "chat_template.json",
};
static const struct { uint32_t dtype; const char *name; } types[] = {
    { HONE_F32, "float32" }, { HONE_F16, "float16" }, { HONE_BF16, "bfloat16" },
};
/* clang-format on */

/* One tensor to write: the numbers of a weight, or a plane as it is stored. */
typedef struct item {
    const llama_tensor *t;
    int64_t layer, shard;
    int32_t plane; /* -1: the numbers */
    uint32_t dtype;
    uint64_t bytes;
} item;

typedef struct saver {
    model *m;
    const char *dir;
    uint32_t dtype;     /* 0: as they are stored */
    int64_t most, used; /* bytes of a shard, at most (0: no limit) and so far */
    item *items;        /* owned */
    size_t n, cap;
    int64_t shards;
    uint64_t bytes;
} saver;

static hone_status add_item(saver *s, item it, hone_error *err)
{
    if (!mem_grow(&s->items, &s->cap, s->n + 1, sizeof *s->items))
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory to save it", s->dir);
    if (s->most > 0 && s->used && s->used + (int64_t)it.bytes > s->most) {
        s->shards++;
        s->used = 0;
    }
    s->used += (int64_t)it.bytes;
    s->bytes += it.bytes;
    it.shard = s->shards - 1;
    s->items[s->n++] = it;
    return HONE_OK;
}

static hone_status list_items(saver *s, hone_error *err)
{
    const llama_config *c = &s->m->c;
    hone_status st = HONE_OK;
    s->shards = 1;
    for (int64_t l = 0; l < c->layers; l++)
        for (const llama_tensor *t = llama_tensors; t->name; t++) {
            if (!llama_has(c, t) || (l && !(t->flags & TENSOR_PER_LAYER)))
                continue;
            const weight *w = weight_at(s->m, l, (int)(t - llama_tensors));
            const uint64_t n = (uint64_t)(c->dim[t->rows] * c->dim[t->cols]);
            item it = { .t = t, .layer = l, .plane = -1, .dtype = s->dtype };
            if (!it.dtype)
                it.dtype = w->value.buf ? HONE_F32 : w->dense;
            it.bytes = n * hone_dtype_size(it.dtype);
            if (it.dtype) {
                st = add_item(s, it, err);
            } else {
                for (uint32_t k = 0; k < w->w.n_planes && st == HONE_OK; k++) {
                    it.plane = (int32_t)k;
                    it.dtype = w->w.plane[k].dtype;
                    it.bytes = weight_plane_bytes(w, k);
                    st = add_item(s, it, err);
                }
            }
            if (st != HONE_OK)
                return st;
        }
    return HONE_OK;
}

/* The name of an item's tensor. */
static void item_name(char *out, size_t size, const saver *s, const item *it)
{
    char name[TENSOR_NAME_SIZE];
    const weight *w = weight_at(s->m, it->layer, (int)(it->t - llama_tensors));
    llama_tensor_name(name, sizeof name, it->t, it->layer);
    if (it->plane < 0)
        (void)snprintf(out, size, "%s", name);
    else
        weight_plane_name(out, size, s->m, w, (uint32_t)it->plane, name);
}

static void shard_name(char *out, size_t size, const saver *s, int64_t shard)
{
    if (s->shards == 1)
        (void)snprintf(out, size, "model.safetensors");
    else
        (void)snprintf(out, size, "model-%05lld-of-%05lld.safetensors", (long long)shard + 1,
                       (long long)s->shards);
}

/* The numbers of a weight in the item's type. */
static hone_status read_numbers(const saver *s, const item *it, const weight *w, void *out,
                                hone_error *err)
{
    const int64_t n = w->w.rows * w->w.cols;
    float *numbers = mem_new((size_t)n, sizeof *numbers);
    hone_status st =
        numbers ? weight_download(s->m, w, numbers, err)
                : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory to save %s", s->dir, it->t->name);
    if (st == HONE_OK && it->dtype == HONE_F16)
        for (int64_t i = 0; i < n && st == HONE_OK; i++)
            if (isfinite(numbers[i]) && fabsf(numbers[i]) >= 65520)
                st = hone_fail(err, HONE_ERR_NUMERIC,
                               "%s: %s holds %g, beyond the numbers of fp16; save it as bf16 or "
                               "fp32",
                               s->dir, it->t->name, (double)numbers[i]);
    if (st == HONE_OK)
        (void)st_write_f32(it->dtype, numbers, n, out); /* the type was checked */
    (void)mem_resident();                               /* the highest point of saving */
    free(numbers);
    return st;
}

static hone_status write_item(const saver *s, st_writer *w, const item *it, hone_error *err)
{
    const weight *value = weight_at(s->m, it->layer, (int)(it->t - llama_tensors));
    void *bytes = mem_new(1, it->bytes ? it->bytes : 1);
    hone_status st = HONE_OK;
    if (!bytes)
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory to save %s", s->dir, it->t->name);
    else if (it->plane < 0)
        st = read_numbers(s, it, value, bytes, err);
    else
        st = weight_download_plane(s->m, value, (uint32_t)it->plane, bytes, err);
    if (st == HONE_OK)
        st = st_writer_add(w, bytes, it->bytes, err);
    free(bytes);
    return st;
}

static hone_status declare_item(const saver *s, st_writer *w, const item *it, hone_error *err)
{
    char name[TENSOR_NAME_SIZE + 32];
    const bool plane = it->plane >= 0;
    const int64_t shape[2] = { plane ? (int64_t)(it->bytes / hone_dtype_size(it->dtype))
                                     : s->m->c.dim[it->t->rows],
                               s->m->c.dim[it->t->cols] };
    item_name(name, sizeof name, s, it);
    return st_writer_declare(w, name, it->dtype, plane || it->t->cols == DIM_1 ? 1 : 2, shape, err);
}

static hone_status write_shard(const saver *s, int64_t shard, hone_error *err)
{
    char name[TENSOR_NAME_SIZE];
    st_writer *w = NULL;
    shard_name(name, sizeof name, s, shard);
    char *path = path_join(s->dir, name);
    hone_status st = path ? st_writer_open(&w, path, err)
                          : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", s->dir);
    for (size_t i = 0; i < s->n && st == HONE_OK; i++)
        if (s->items[i].shard == shard)
            st = declare_item(s, w, &s->items[i], err);
    for (size_t i = 0; i < s->n && st == HONE_OK; i++)
        if (s->items[i].shard == shard)
            st = write_item(s, w, &s->items[i], err);
    free(path);
    if (st == HONE_OK)
        return st_writer_commit(w, err);
    st_writer_abort(w);
    return st;
}

static hone_status write_index(const saver *s, const char *path, hone_error *err)
{
    char name[TENSOR_NAME_SIZE + 32], file[TENSOR_NAME_SIZE];
    json_t *map = json_object();
    for (size_t i = 0; i < s->n; i++) {
        item_name(name, sizeof name, s, &s->items[i]);
        shard_name(file, sizeof file, s, s->items[i].shard);
        (void)json_object_set_new(map, name, json_string(file));
    }
    json_t *root = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)s->bytes,
                             "weight_map", map);
    hone_status st = root ? json_write(root, path, err)
                          : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for its index", s->dir);
    json_decref(root);
    return st;
}

/* An earlier save of the other kind would be read in this one's stead, or beside it. */
static hone_status remove_stale(const saver *s, const char *name, hone_error *err)
{
    char *path = path_join(s->dir, name);
    hone_status st = HONE_OK;
    if (!path)
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", s->dir);
    else if (remove(path) != 0 && errno != ENOENT)
        st = hone_fail(err, HONE_ERR_IO, "%s: cannot be removed: %s", path, strerror(errno));
    free(path);
    return st;
}

static hone_status copy_file(const saver *s, const char *name, hone_error *err)
{
    char *from = path_join(s->m->dir, name), *to = path_join(s->dir, name), *bytes = NULL;
    size_t n = 0;
    hone_status st = HONE_OK;
    if (!from || !to)
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", s->dir);
    else if (path_exists(from)) {
        st = file_read(&bytes, &n, from, FILE_LIMIT, err);
        if (st == HONE_OK)
            st = file_write(to, bytes, n, err);
    }
    free(bytes);
    free(from);
    free(to);
    return st;
}

/* The source's config.json with the element type of the new files, and the format of planes. */
static hone_status write_config(const saver *s, const char *type, const char *format,
                                hone_error *err)
{
    json_t *root = NULL;
    char *from = path_join(s->m->dir, "config.json"), *to = path_join(s->dir, "config.json");
    hone_status st = from && to ? json_read(&root, from, err)
                                : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", s->dir);
    if (st == HONE_OK) {
        const bool new_key = json_object_get(root, "dtype") != NULL;
        if (type && new_key)
            (void)json_object_set_new(root, "dtype", json_string(type));
        if (type && (!new_key || json_object_get(root, "torch_dtype")))
            (void)json_object_set_new(root, "torch_dtype", json_string(type));
        (void)json_object_del(root, "hone_quantization");
        if (format)
            (void)json_object_set_new(root, "hone_quantization",
                                      json_pack("{s:s}", "format", format));
        st = json_write(root, to, err);
    }
    json_decref(root);
    free(from);
    free(to);
    return st;
}

static hone_status save(saver *s, const char *type, const char *format, hone_error *err)
{
    static const char single[] = "model.safetensors", list[] = "model.safetensors.index.json";
    char *index = path_join(s->dir, list);
    hone_status st =
        index ? dir_make(s->dir, err) : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", s->dir);
    if (st == HONE_OK)
        st = list_items(s, err);
    for (int64_t i = 0; i < s->shards && st == HONE_OK; i++)
        st = write_shard(s, i, err);
    if (st == HONE_OK && s->shards > 1)
        st = write_index(s, index, err);
    if (st == HONE_OK)
        st = remove_stale(s, s->shards > 1 ? single : list, err);
    for (size_t i = 0; i < sizeof companions / sizeof companions[0] && st == HONE_OK; i++)
        st = copy_file(s, companions[i], err);
    if (st == HONE_OK)
        st = write_config(s, type, format, err);
    free(index);
    free(s->items);
    return st;
}

static const char *type_name(uint32_t dtype)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].dtype == dtype)
            return types[i].name;
    return NULL;
}

static hone_status refuse_adapter(const model *m, const char *dir, hone_error *err)
{
    if (!m->adapter)
        return HONE_OK;
    return hone_fail(err, HONE_ERR_UNSUPPORTED,
                     "%s: the model carries an adapter; save that, or open it without", dir);
}

hone_status model_save_full(model *m, const char *dir, uint32_t dtype, int64_t shard_bytes,
                            hone_error *err)
{
    saver s = { .m = m, .dir = dir, .dtype = dtype, .most = shard_bytes };
    const char *type = type_name(dtype);
    if (!type)
        return hone_fail(err, HONE_ERR_ARG, "%s: weights are saved as F32, BF16 or F16", dir);
    const hone_status st = refuse_adapter(m, dir, err);
    return st == HONE_OK ? save(&s, type, NULL, err) : st;
}

hone_status model_save_stored(model *m, const char *dir, int64_t shard_bytes, hone_error *err)
{
    saver s = { .m = m, .dir = dir, .most = shard_bytes };
    const char *format;
    void *self;
    const hone_weights *table = backend_format(m->backend, &format, &self);
    const hone_status st = refuse_adapter(m, dir, err);
    if (st != HONE_OK)
        return st;
    return table->dense ? save(&s, type_name(table->dense), NULL, err)
                        : save(&s, NULL, format, err);
}
