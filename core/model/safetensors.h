/*
 * safetensors.h - what the reader, the writer and the element conversion share.
 *
 * Private to room model.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_MODEL_SAFETENSORS_H
#define CORE_MODEL_SAFETENSORS_H

#include "core/model/model.h"

typedef struct st_shard {
    char *name; /* owned: its path, for messages */
    file_map map;
    bool mapped;
    json_t *header; /* owned: tensor names live in it */
} st_shard;

struct st_file {
    st_shard *shards; /* owned, n_shards */
    size_t n_shards;
    st_tensor *tensors; /* owned, n, sorted by name */
    size_t n, cap;
};

/* Map a file as shard i, check it, append its tensors. */
HONE_MUST_CHECK hone_status st_shard_open(st_file *f, size_t i, const char *path, hone_error *err);
/* Room for n shards. */
HONE_MUST_CHECK hone_status st_reserve(st_file *f, size_t n, hone_error *err);
/* Sort by name; a name that comes twice is refused. */
HONE_MUST_CHECK hone_status st_sort(st_file *f, const char *what, hone_error *err);
/* All files of a model folder. */
HONE_MUST_CHECK hone_status st_open_dir(st_file *f, const char *dir, hone_error *err);

/* "F32", "BF16", ...; NULL for a type hone has no name for. */
const char *st_dtype_name(uint32_t dtype);

/* n floats to n elements of dtype (F32, F16, BF16; nearest even) at dst; false: other. [any] */
bool st_write_f32(uint32_t dtype, const float *src, int64_t n, void *dst);

#endif /* CORE_MODEL_SAFETENSORS_H */
