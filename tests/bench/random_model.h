/*
 * random_model.h - a random Llama and rows for it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_BENCH_RANDOM_MODEL_H
#define TESTS_BENCH_RANDOM_MODEL_H

#include "core/train/train.h"

#define RANDOM_SIZES "10M, 100M, 1B or gpt2"
#define RANDOM_TOKENS 65536

/* config.json, model.safetensors and tokens.i32 into dir. */
HONE_MUST_CHECK hone_status random_model_write(const char *dir, const char *size, hone_error *err);
/* n rows of seq of these tokens, one after the other, from the first again after the last. */
HONE_MUST_CHECK hone_status random_rows(dataset *d, const char *dir, int64_t n, int64_t seq,
                                        hone_error *err);

#endif /* TESTS_BENCH_RANDOM_MODEL_H */
