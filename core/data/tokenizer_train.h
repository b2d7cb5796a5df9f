/*
 * tokenizer_train.h - what training a vocabulary gives. Private to core/data.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_DATA_TOKENIZER_TRAIN_H
#define CORE_DATA_TOKENIZER_TRAIN_H

#include "core/data/tokenizer_impl.h"

typedef struct made_piece {
    int32_t left, right, id;
} made_piece;

typedef struct trained {
    made_piece *made; /* owned: the merges, in order */
    size_t n_made;
    text *pieces; /* owned: bytes of id i */
    int64_t n_pieces;
    size_t n_special; /* of them the first */
} trained;

/* tokenizer.json and tokenizer_config.json into dir, which is there. */
HONE_MUST_CHECK hone_status trained_write(const trained *t, const char *dir, hone_error *err);

#endif /* CORE_DATA_TOKENIZER_TRAIN_H */
