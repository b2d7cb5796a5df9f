/*
 * tensors.h - indexes into llama_tensors[].
 *
 * Private to room model.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_MODEL_TENSORS_H
#define CORE_MODEL_TENSORS_H

#include "core/model/model.h"

enum {
    W_EMBED,
    W_ATTN_NORM,
    W_Q,
    W_Q_BIAS, /* a bias follows its weight */
    W_K,
    W_K_BIAS,
    W_V,
    W_V_BIAS,
    W_Q_NORM,
    W_K_NORM,
    W_O,
    W_O_BIAS,
    W_MLP_NORM,
    W_GATE,
    W_GATE_BIAS,
    W_UP,
    W_UP_BIAS,
    W_DOWN,
    W_DOWN_BIAS,
    W_NORM,
    W_HEAD,
    W_COUNT,
};

#define TENSOR_NAME_SIZE 80 /* enough for every name of the table */

/* The safetensors name of t, in this layer where there is one per layer. */
void llama_tensor_name(char *out, size_t size, const llama_tensor *t, int64_t layer);

#endif /* CORE_MODEL_TENSORS_H */
