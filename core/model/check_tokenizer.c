/*
 * check_tokenizer.c - does this tokenizer belong to this model?
 *
 * An embedding may have more rows than the tokenizer has ids (they are padded to round
 * numbers), never fewer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/impl.h"

hone_status model_check_tokenizer(const model *m, const tokenizer *t, hone_error *err)
{
    const int64_t size = tokenizer_size(t), rows = m->c.dim[DIM_V];
    if (size > rows)
        return hone_fail(
            err, HONE_ERR_STATE,
            "the tokenizer has ids up to %lld, the embedding of %s has %lld rows: they "
            "do not belong together",
            (long long)size - 1, m->dir, (long long)rows);
    return HONE_OK;
}
