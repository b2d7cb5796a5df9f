/*
 * preview.h - samples shown as training sees them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_APP_PREVIEW_H
#define CORE_APP_PREVIEW_H

#include "core/app/app.h"

typedef enum preview_style {
    PREVIEW_PLAIN, /* masked text in [[ ]], special tokens in { } */
    PREVIEW_COLOUR,
    PREVIEW_HTML,
} preview_style;

typedef struct preview { /* all borrowed */
    preview_style style;
    const dataset_options *options;
    const tokenizer *tok;      /* NULL: segments with their roles instead of tokens */
    const chat_template *chat; /* with tok */
} preview;

void preview_begin(const preview *v, text *out, const char *path);
HONE_MUST_CHECK hone_status preview_sample(const preview *v, text *out, const sample *s,
                                           int64_t line, hone_error *err);
void preview_end(const preview *v, text *out, int64_t shown, int64_t of);

#endif /* CORE_APP_PREVIEW_H */
