/*
 * weights_io.h - one weight's numbers on their way to the device and back.
 *
 * Private to room model.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_MODEL_WEIGHTS_IO_H
#define CORE_MODEL_WEIGHTS_IO_H

#include "core/model/impl.h"

/* Where a weight's numbers come from: planes as they are to be stored, a tensor of a file, or
 * neither. Borrowed. */
typedef struct source {
    const st_tensor *plane[HONE_MAX_PLANES]; /* all of them, or none */
    const st_tensor *t;                      /* NULL: fresh ...                      */
    double constant;                         /* ... all this,                        */
    double deviation;                        /* ... or normally distributed above 0  */
    uint64_t seed, stream;
} source;

/* "fp32", "fp16", "bf16"; NULL for another type. */
const char *dense_format(uint32_t dtype);
/* Host memory that weight_store() takes. */
uint64_t weight_load_bytes(const weight *w);
/* Memory for a planned weight, unless it is a parameter, and its numbers. */
HONE_MUST_CHECK hone_status weight_store(model *m, weight *w, const source *s, hone_error *err);
/* Plane k of a weight called name: "name.codes". */
void weight_plane_name(char *out, size_t size, const model *m, const weight *w, uint32_t k,
                       const char *name);
/* Plane k as it is stored, packed like a file. */
HONE_MUST_CHECK hone_status weight_download_plane(const model *m, const weight *w, uint32_t k,
                                                  void *dst, hone_error *err);
uint64_t weight_plane_bytes(const weight *w, uint32_t k);

#endif /* CORE_MODEL_WEIGHTS_IO_H */
