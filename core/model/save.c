/*
 * save.c - full weights as a Hugging Face folder: safetensors, config.json, tokenizer files.
 *
 * Tensors are written in the order of the table, in one file or in shards of at most
 * shard_bytes, each begun anew when the next tensor would not fit. config.json is the
 * source's, with the element type set to what was written; tokenizer files are copied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/impl.h"
#include "core/model/safetensors.h"

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

/* One tensor to write. */
typedef struct item {
    const llama_tensor *t;
    int64_t layer, shard;
    uint64_t bytes;
} item;

typedef struct saver {
    model *m;
    const char *dir;
    uint32_t dtype;
    item *items; /* owned */
    size_t n, cap;
    int64_t shards;
    uint64_t bytes;
} saver;

static hone_status list_items(saver *s, int64_t shard_bytes, hone_error *err)
{
    const llama_config *c = &s->m->c;
    uint64_t used = 0;
    s->shards = 1;
    for (int64_t l = 0; l < c->layers; l++)
        for (const llama_tensor *t = llama_tensors; t->name; t++) {
            if (!llama_has(c, t) || (l && !(t->flags & TENSOR_PER_LAYER)))
                continue;
            if (!mem_grow(&s->items, &s->cap, s->n + 1, sizeof *s->items))
                return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory to save it", s->dir);
            const uint64_t bytes =
                (uint64_t)(c->dim[t->rows] * c->dim[t->cols]) * hone_dtype_size(s->dtype);
            if (shard_bytes > 0 && used && used + bytes > (uint64_t)shard_bytes) {
                s->shards++;
                used = 0;
            }
            used += bytes;
            s->bytes += bytes;
            s->items[s->n++] = (item){ t, l, s->shards - 1, bytes };
        }
    return HONE_OK;
}

static void shard_name(char *out, size_t size, const saver *s, int64_t shard)
{
    if (s->shards == 1)
        (void)snprintf(out, size, "model.safetensors");
    else
        (void)snprintf(out, size, "model-%05lld-of-%05lld.safetensors", (long long)shard + 1,
                       (long long)s->shards);
}

static hone_status write_item(const saver *s, st_writer *w, const item *it, hone_error *err)
{
    const weight *value = weight_at(s->m, it->layer, (int)(it->t - llama_tensors));
    const int64_t n = value->w.rows * value->w.cols;
    float *numbers = mem_new((size_t)n, sizeof *numbers);
    void *narrow = mem_new(1, it->bytes);
    hone_status st = numbers && narrow ? weight_download(s->m, value, numbers, err)
                                       : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory to save %s",
                                                   s->dir, it->t->name);
    if (st == HONE_OK) {
        (void)st_write_f32(s->dtype, numbers, n, narrow); /* the type was checked */
        st = st_writer_add(w, narrow, it->bytes, err);
    }
    free(narrow);
    free(numbers);
    return st;
}

static hone_status write_shard(const saver *s, int64_t shard, hone_error *err)
{
    char name[TENSOR_NAME_SIZE];
    st_writer *w = NULL;
    shard_name(name, sizeof name, s, shard);
    char *path = path_join(s->dir, name);
    hone_status st = path ? st_writer_open(&w, path, err)
                          : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", s->dir);
    for (size_t i = 0; i < s->n && st == HONE_OK; i++) {
        const llama_tensor *t = s->items[i].t;
        const int64_t shape[2] = { s->m->c.dim[t->rows], s->m->c.dim[t->cols] };
        if (s->items[i].shard != shard)
            continue;
        llama_tensor_name(name, sizeof name, t, s->items[i].layer);
        st = st_writer_declare(w, name, s->dtype, t->cols == DIM_1 ? 1 : 2, shape, err);
    }
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
    char name[TENSOR_NAME_SIZE], file[TENSOR_NAME_SIZE];
    json_t *map = json_object();
    for (size_t i = 0; i < s->n; i++) {
        llama_tensor_name(name, sizeof name, s->items[i].t, s->items[i].layer);
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

/* The source's config.json with the element type of the new files. */
static hone_status write_config(const saver *s, const char *type, hone_error *err)
{
    json_t *root = NULL;
    char *from = path_join(s->m->dir, "config.json"), *to = path_join(s->dir, "config.json");
    hone_status st = from && to ? json_read(&root, from, err)
                                : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", s->dir);
    if (st == HONE_OK) {
        const bool new_key = json_object_get(root, "dtype") != NULL;
        if (new_key)
            (void)json_object_set_new(root, "dtype", json_string(type));
        if (!new_key || json_object_get(root, "torch_dtype"))
            (void)json_object_set_new(root, "torch_dtype", json_string(type));
        st = json_write(root, to, err);
    }
    json_decref(root);
    free(from);
    free(to);
    return st;
}

hone_status model_save_full(model *m, const char *dir, uint32_t dtype, int64_t shard_bytes,
                            hone_error *err)
{
    static const char single[] = "model.safetensors", list[] = "model.safetensors.index.json";
    saver s = { .m = m, .dir = dir, .dtype = dtype };
    const char *type = NULL;
    char *index = NULL;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].dtype == dtype)
            type = types[i].name;
    if (!type)
        return hone_fail(err, HONE_ERR_ARG, "%s: weights are saved as F32, BF16 or F16", dir);
    if (m->adapter)
        return hone_fail(err, HONE_ERR_UNSUPPORTED,
                         "%s: the model carries an adapter; save that, or open it without", dir);
    hone_status st = dir_make(dir, err);
    if (st == HONE_OK)
        st = list_items(&s, shard_bytes, err);
    for (int64_t i = 0; i < s.shards && st == HONE_OK; i++)
        st = write_shard(&s, i, err);
    index = path_join(dir, list);
    if (st == HONE_OK && !index)
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", dir);
    if (st == HONE_OK && s.shards > 1)
        st = write_index(&s, index, err);
    if (st == HONE_OK)
        st = remove_stale(&s, s.shards > 1 ? single : list, err);
    for (size_t i = 0; i < sizeof companions / sizeof companions[0] && st == HONE_OK; i++)
        st = copy_file(&s, companions[i], err);
    if (st == HONE_OK)
        st = write_config(&s, type, err);
    free(index);
    free(s.items);
    return st;
}
