/*
 * tokenizer_spm.h - a SentencePiece model as its file has it. Private to core/data.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_DATA_TOKENIZER_SPM_H
#define CORE_DATA_TOKENIZER_SPM_H

#include "core/data/tokenizer_impl.h"

#define TYPE_NORMAL 1
#define TYPE_UNKNOWN 2
#define TYPE_CONTROL 3
#define TYPE_USER 4
#define TYPE_UNUSED 5
#define TYPE_BYTE 6

#define MODEL_BPE 2

typedef struct spm_piece {
    const char *p; /* borrowed from the file */
    size_t n;
    float score;
    uint64_t type;
} spm_piece;

typedef struct spm_model {
    spm_piece *pieces; /* owned */
    size_t n, cap;
    uint64_t model_type;
    bool byte_fallback, suffix_space;
    const char *names[4]; /* unk, bos, eos, pad: borrowed from the file */
    size_t n_names[4];
    const char *rule; /* borrowed: the normalizer's name */
    size_t n_rule, n_charsmap, n_tsv;
    bool denormalizes;
    bool dummy_prefix, extra_spaces_go, escape_spaces;
} spm_model;

/* The message; the caller frees m->pieces, also on failure. p is borrowed by *m. */
HONE_MUST_CHECK hone_status spm_read(spm_model *m, const tokenizer *t, const char *p, size_t n,
                                     hone_error *err);

#endif /* CORE_DATA_TOKENIZER_SPM_H */
