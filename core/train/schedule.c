/*
 * schedule.c - how long a run is, and what the learning rate is multiplied with.
 *
 * The factors are those of transformers' get_constant/linear/cosine_schedule_with_warmup
 * and get_cosine_with_min_lr_schedule_with_warmup, whose step counts from 0: the first
 * step of a warm-up has the factor 0.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/parts.h"

#include <assert.h>

static double shape_constant(double progress)
{
    (void)progress;
    return 1;
}

static double shape_linear(double progress)
{
    return 1 - progress;
}

static double shape_cosine(double progress)
{
    return 0.5 * (1 + cos(M_PI * progress));
}

/* progress 0 at the end of the warm-up, 1 after the last step */
static const struct {
    double (*shape)(double progress);
    bool to_min; /* ends at min_lr */
} shapes[] = {
    [SCHEDULE_CONSTANT] = { shape_constant, false },
    [SCHEDULE_LINEAR] = { shape_linear, true },
    [SCHEDULE_COSINE] = { shape_cosine, true },
};

double schedule_factor(int64_t schedule, int64_t step, int64_t steps, int64_t warmup, double min_lr)
{
    const int64_t done = step - 1;
    double factor;
    assert(schedule >= 0 && schedule < (int64_t)(sizeof shapes / sizeof *shapes));
    if (done < warmup)
        return (double)done / (double)(warmup > 1 ? warmup : 1);
    factor = shapes[schedule].shape((double)(done - warmup) /
                                    (double)(steps - warmup > 1 ? steps - warmup : 1));
    if (factor < 0)
        factor = 0;
    return shapes[schedule].to_min ? factor * (1 - min_lr) + min_lr : factor;
}

int64_t schedule_warmup(const train_options *o, int64_t steps)
{
    if (steps == 1) /* of lr 0, the first step of any warm-up: nothing would be learned */
        return 0;
    return o->warmup < 1 ? (int64_t)ceil(o->warmup * (double)steps) : (int64_t)o->warmup;
}

static hone_status epoch_windows(int64_t *n, const dataset *d, const train_options *o,
                                 const plan_options *plan, int64_t epoch, hone_error *err)
{
    epoch_plan p = { 0 };
    const hone_status st = epoch_plan_make(&p, d, plan, epoch, err);
    if (st)
        return st;
    *n = (p.n_batches + o->accumulate - 1) / o->accumulate;
    epoch_plan_finish(&p);
    return HONE_OK;
}

hone_status schedule_length(int64_t *steps, const dataset *d, const train_options *o,
                            const plan_options *plan, hone_error *err)
{
    const int64_t whole = (int64_t)floor(o->epochs);
    const double rest = o->epochs - (double)whole;
    int64_t sum = 0, windows = 0, epoch;
    hone_status st;
    if (o->steps) {
        *steps = o->steps;
        return HONE_OK;
    }
    for (epoch = 0; epoch <= whole; epoch++) {
        if (epoch == whole && rest <= 0)
            break;
        if (epoch == 0 || o->shuffle) { /* in the given order, all epochs are the same */
            st = epoch_windows(&windows, d, o, plan, epoch, err);
            if (st)
                return st;
        }
        sum += epoch < whole ? windows : (int64_t)ceil(rest * (double)windows);
    }
    *steps = sum;
    return HONE_OK;
}
