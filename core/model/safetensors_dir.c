/*
 * safetensors_dir.c - the safetensors files of a model folder: one, or shards with an index.
 *
 * A folder has model.safetensors, or the shards that model.safetensors.index.json lists.
 * Index and shards must tell the same story: each shard is there, each listed tensor is in
 * the shard that is named, and no shard holds a tensor that is not listed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "core/model/safetensors.h"

/* Which shards the index names, as keys of *set (new reference). */
static hone_status index_shards(json_t **set, const json_t *map, const char *what, hone_error *err)
{
    const char *name;
    json_t *file, *found = json_object();
    if (!found)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", what);
    json_object_foreach((json_t *)(uintptr_t)map, name, file)
    {
        const char *shard_name = json_string_value(file);
        if (!shard_name || !*shard_name || strchr(shard_name, '/') || shard_name[0] == '.') {
            json_decref(found);
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: weight_map: %.120s does not name a file of this folder", what,
                             name);
        }
        if (json_object_set_new(found, shard_name, json_true()) != 0) {
            json_decref(found);
            return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", what);
        }
    }
    *set = found;
    return HONE_OK;
}

static bool tensor_is_in(const st_file *f, const st_tensor *t, const char *shard_name)
{
    for (size_t i = 0; i < f->n_shards; i++)
        if (strcmp(path_base(f->shards[i].name), shard_name) == 0)
            return json_object_get(f->shards[i].header, t->name) != NULL;
    return false;
}

/* The index names each tensor, in the shard that has it, and no other. */
static hone_status index_agrees(const st_file *f, const json_t *map, const char *what,
                                hone_error *err)
{
    const char *name;
    json_t *file;
    json_object_foreach((json_t *)(uintptr_t)map, name, file)
    {
        const st_tensor *t = st_find(f, name);
        if (!t || !tensor_is_in(f, t, json_string_value(file)))
            return hone_fail(err, HONE_ERR_FORMAT, "%s: tensor %.120s is not in %.120s", what, name,
                             json_string_value(file));
    }
    for (size_t i = 0; i < f->n; i++)
        if (!json_object_get(map, f->tensors[i].name))
            return hone_fail(err, HONE_ERR_FORMAT, "%s: tensor %.120s of a shard is not listed",
                             what, f->tensors[i].name);
    return HONE_OK;
}

static hone_status open_shards(st_file *f, const char *dir, const char *what, hone_error *err)
{
    json_t *index = NULL, *set = NULL, *unused;
    const char *name;
    size_t i = 0;
    hone_status st = json_read(&index, what, err);
    if (st != HONE_OK)
        goto out;
    const json_t *map = json_object_get(index, "weight_map");
    if (!json_is_object(map) || json_object_size(map) == 0) {
        st = hone_fail(err, HONE_ERR_FORMAT, "%s: weight_map is missing or empty", what);
        goto out;
    }
    st = index_shards(&set, map, what, err);
    if (st == HONE_OK)
        st = st_reserve(f, json_object_size(set), err);
    if (st != HONE_OK)
        goto out;
    json_object_foreach(set, name, unused)
    {
        char *path = path_join(dir, name);
        if (!path)
            st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", what);
        else if (!path_exists(path))
            st = hone_fail(err, HONE_ERR_NOTFOUND, "%s: its shard %s is missing", what, name);
        else
            st = st_shard_open(f, i++, path, err);
        free(path);
        if (st != HONE_OK)
            goto out;
    }
    st = st_sort(f, what, err);
    if (st == HONE_OK)
        st = index_agrees(f, map, what, err);
out:
    json_decref(set);
    json_decref(index);
    return st;
}

hone_status st_open_dir(st_file *f, const char *dir, hone_error *err)
{
    char *single = path_join(dir, "model.safetensors");
    char *index = path_join(dir, "model.safetensors.index.json");
    hone_status st;
    if (!single || !index)
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", dir);
    else if (path_exists(single))
        st = st_reserve(f, 1, err) == HONE_OK ? st_shard_open(f, 0, single, err) : HONE_ERR_NOMEM;
    else if (path_exists(index))
        st = open_shards(f, dir, index, err);
    else
        st = hone_fail(err, HONE_ERR_NOTFOUND,
                       "%s: neither model.safetensors nor model.safetensors.index.json; weights in "
                       "other formats must be converted to safetensors first",
                       dir);
    free(single);
    free(index);
    return st;
}
