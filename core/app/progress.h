/*
 * progress.h - what a training run looks like: a bar on a terminal, plain lines elsewhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_APP_PROGRESS_H
#define CORE_APP_PROGRESS_H

#include "core/app/app.h"

typedef struct progress {
    bool terminal;
    int64_t log_every;
    double last_line; /* clock_now() of the last plain line */
} progress;

/* "[=====>   ] " */
void progress_bar(text *out, int64_t done, int64_t all);

void progress_init(progress *p, int64_t log_every);
/* A train_hooks.on_step; ctx is a progress. */
void progress_step(void *ctx, const train_progress *t);

#endif /* CORE_APP_PROGRESS_H */
