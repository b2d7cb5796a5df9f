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

/* "F32", "BF16", ...; NULL for a type hone has no name for. */
const char *st_dtype_name(uint32_t dtype);

/* n floats to n elements of dtype (F32, F16, BF16; nearest even) at dst; false: other. [any] */
bool st_write_f32(uint32_t dtype, const float *src, int64_t n, void *dst);

#endif /* CORE_MODEL_SAFETENSORS_H */
