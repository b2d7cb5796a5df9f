/*
 * progress.c - see progress.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/app/progress.h"

#include <math.h>
#include <unistd.h>

#define BAR_CELLS 24

void progress_init(progress *p, int64_t log_every)
{
    *p = (progress){ .terminal = isatty(STDERR_FILENO) == 1, .log_every = log_every };
}

void progress_bar(text *out, int64_t done, int64_t all)
{
    const int64_t full = all ? (int64_t)((double)done * BAR_CELLS / (double)all) : 0;
    text_putc(out, '[');
    for (int64_t i = 0; i < BAR_CELLS; i++)
        text_puts(out, i < full ? "=" : i == full ? ">" : " ");
    text_puts(out, "] ");
}

static void describe(text *out, const train_progress *t)
{
    text_printf(out, "step %lld/%lld  loss %.4f", (long long)t->step, (long long)t->steps, t->loss);
    if (!isnan(t->val_loss))
        text_printf(out, "  val %.4f", t->val_loss);
    text_printf(out, "  lr %.2e  %.0f tok/s  eta ", t->lr, t->tokens_per_second);
    print_seconds(out, t->eta_seconds);
    text_puts(out, "  ");
    print_bytes(out, (double)t->host_bytes);
}

void progress_step(void *ctx, const train_progress *t)
{
    progress *p = ctx;
    text line = { 0 };
    if (p->terminal) {
        progress_bar(&line, t->step, t->steps);
        describe(&line, t);
        if (!text_status(&line, NULL))
            log_set_status(line.p);
    } else if (t->step == 1 || t->step == t->steps || t->step % p->log_every == 0) {
        describe(&line, t);
        if (!text_status(&line, NULL))
            log_line(HONE_LOG_INFO, "%s", line.p);
    }
    text_finish(&line);
}
