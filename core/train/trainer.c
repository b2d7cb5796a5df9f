/*
 * trainer.c - the loop: from a model and rows to a tuned model.
 *
 * A step is a window of `accumulate` micro-batches, fewer at the end of an epoch. Its
 * loss is the mean over all supervised tokens of the window, whatever the
 * micro-batches hold, so that accumulating equals one large batch:
 *   loss = sum nll / learned,  gradient = d loss,  clipped:  g *= min(1, clip / (norm + 1e-6))
 *
 * Nothing is allocated inside a step, and the device is waited for once in it: the norm
 * of the gradients is needed on the host, and by then the loss is there as well.
 *
 * Resume equals no interruption, to the bit: parameters and states are saved as they
 * are, order and dropout are functions of (seed, epoch) and (seed, step, micro-batch).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/run.h"

#include <inttypes.h>

/* ----------------------------------------------------------------- one step */

/* The window of the next step in the current plan: micro-batches [lo, hi). */
static void window(const run *r, int64_t *lo, int64_t *hi)
{
    *lo = r->s.micro;
    *hi = *lo + r->o->accumulate;
    if (*hi > r->plan.n_batches)
        *hi = r->plan.n_batches;
}

/* Make the plan the state points into; an epoch that is through gives way to the next. */
static hone_status enter_epoch(run *r, hone_error *err)
{
    for (;;) {
        epoch_plan plan = { 0 };
        hone_status st;
        if (r->plan_epoch == r->s.epoch) {
            if (r->s.micro < r->plan.n_batches)
                return HONE_OK;
            r->s.epoch++;
            r->s.micro = 0;
        }
        st = epoch_plan_make(&plan, r->train, &r->order, r->s.epoch, err);
        if (st)
            return st;
        epoch_plan_finish(&r->plan);
        r->plan = plan;
        r->plan_epoch = r->s.epoch;
    }
}

/* Loss or gradient is no number: which row does it? Always fails. */
static hone_status diverged(run *r, int64_t lo, int64_t hi, double loss, hone_error *err)
{
    const int64_t *order = r->plan.order + r->plan.first[lo];
    const int64_t n = r->plan.first[hi] - r->plan.first[lo], step = r->s.step + 1;
    const char *what = isfinite(loss) ? "the gradient" : "the loss";
    const char *kept = r->saved_step > 0 ? "the last checkpoint is kept" : "nothing was saved yet";
    int64_t bad = -1;
    bool all = false;
    char name[200];
    hone_status st =
        find_bad_row(r->m, r->train, &r->order, order, n, true, &r->batch, &bad, &all, err);
    if (st)
        return st;
    if (bad >= 0)
        row_describe(name, sizeof name, r->train, bad);
    if (all)
        return hone_fail(err, HONE_ERR_NUMERIC,
                         "step %" PRId64 ": %s is not finite for every row of the step, the first "
                         "is %s: the weights have diverged; %s, try a lower train.lr",
                         step, what, name, kept);
    if (bad < 0)
        return hone_fail(err, HONE_ERR_NUMERIC,
                         "step %" PRId64 ": %s is not finite, though that of every single row is; "
                         "%s, try a lower train.lr",
                         step, what, kept);
    return hone_fail(err, HONE_ERR_NUMERIC,
                     "step %" PRId64 ": %s of %s is not finite; %s, look at that row or lower "
                     "train.lr",
                     step, what, name, kept);
}

/* What the window holds, padding left out. */
static void count_window(const run *r, int64_t lo, int64_t hi, int64_t *n, int64_t *learned)
{
    int64_t i;
    *n = *learned = 0;
    for (i = r->plan.first[lo]; i < r->plan.first[hi]; i++) {
        const row *in = &r->train->rows[r->plan.order[i]];
        *n += in->n;
        *learned += in->n_learned;
    }
}

static hone_status pass_and_update(run *r, int64_t lo, int64_t hi, int64_t learned, hone_error *err)
{
    const int64_t step = r->s.step + 1;
    const double clip = r->o->clip;
    double sum = 0, loss, norm = 0;
    int64_t micro;
    hone_status st = model_zero_grad(r->m, err);
    for (micro = lo; !st && micro < hi; micro++) {
        epoch_plan_batch(&r->plan, r->train, &r->order, micro, &r->batch);
        if (r->batch.n_learned)
            st = model_train(r->m, &r->batch, (float)(1 / (double)learned), step, micro, err);
    }
    if (!st)
        st = model_grad_norm(r->m, &norm, err); /* waits */
    if (!st)
        st = model_loss(r->m, &sum, err); /* there already */
    if (st)
        return st;
    loss = sum / (double)learned;
    if (!isfinite(loss) || !isfinite(norm))
        return diverged(r, lo, hi, loss, err);
    r->lr = r->o->lr * schedule_factor(r->o->schedule, step, r->steps, r->warmup, r->o->min_lr);
    r->norm = norm;
    st = optimizer_step(r->opt, step, r->lr, clip > 0 ? fmin(1, clip / (norm + 1e-6)) : 1, err);
    model_params_changed(r->m);
    if (st)
        return st;
    if (isnan(r->s.first_loss))
        r->s.first_loss = loss;
    r->s.last_loss = loss;
    return HONE_OK;
}

static hone_status log_step(run *r, hone_error *err)
{
    char line[512];
    int n;
    if (r->s.step % r->o->log_every != 0 && r->s.step != r->steps)
        return HONE_OK;
    n = snprintf(line, sizeof line,
                 "{\"step\": %" PRId64 ", \"epoch\": %.6g, \"loss\": %.17g, \"lr\": %.17g, "
                 "\"grad_norm\": %.17g, \"tokens\": %" PRId64 ", \"learned_tokens\": %" PRId64
                 ", \"tokens_per_second\": %.6g, \"seconds\": %.6g, \"host_bytes\": %" PRId64 "}\n",
                 r->s.step, (double)r->s.epoch + (double)r->s.micro / (double)r->plan.n_batches,
                 r->s.last_loss, r->lr, r->norm, r->s.tokens, r->s.learned,
                 r->passed > 0 ? (double)r->tokens_here / r->passed : 0, clock_now() - r->started,
                 mem_resident());
    return metrics_add(&r->log, line, (size_t)n, err);
}

static hone_status run_step(run *r, hone_error *err)
{
    const double began = clock_now();
    double took;
    int64_t lo, hi, n, learned;
    hone_status st = enter_epoch(r, err);
    if (st)
        return st;
    window(r, &lo, &hi);
    count_window(r, lo, hi, &n, &learned);
    if (learned)
        st = pass_and_update(r, lo, hi, learned, err);
    else
        log_line(HONE_LOG_WARN,
                 "step %" PRId64 ": its %" PRId64 " rows have no supervised token: no update",
                 r->s.step + 1, r->plan.first[hi] - r->plan.first[lo]);
    if (st)
        return st;
    r->s.rows += r->plan.first[hi] - r->plan.first[lo];
    r->s.tokens += n;
    r->s.learned += learned;
    r->tokens_here += n;
    r->s.micro = hi;
    r->s.step++;
    took = clock_now() - began;
    r->passed += took;
    if (r->steps_here++ == 0)
        r->first_seconds = took;
    r->step_seconds = r->step_seconds > 0 ? 0.9 * r->step_seconds + 0.1 * took : took;
    return learned ? log_step(r, err) : HONE_OK;
}

/* ------------------------------------------------- between steps: look, keep */

static bool epoch_ends(const run *r)
{
    return r->s.micro >= r->plan.n_batches;
}

/* every: steps; 0: where an epoch ends. The last step is always due. */
static bool is_due(const run *r, int64_t every)
{
    return r->s.step == r->steps || (every ? r->s.step % every == 0 : epoch_ends(r));
}

bool run_stopped_early(const run *r)
{
    return r->o->patience > 0 && r->s.stale >= r->o->patience;
}

static hone_status evaluate(run *r, hone_error *err)
{
    double loss = 0;
    char line[160];
    int n;
    hone_status st = evaluator_run(&r->eval, r->m, &loss, NULL, err);
    if (st)
        return st == HONE_ERR_NUMERIC ? hone_prefix(err, "step %" PRId64, r->s.step) : st;
    r->evaluated_step = r->s.step;
    r->s.last_val = loss;
    if (r->s.step == 0) { /* the model as it came: a mark to compare with, no candidate */
        r->s.first_val = loss;
    } else if (isnan(r->s.best_val) || loss < r->s.best_val) {
        r->s.best_val = loss;
        r->s.best_step = r->s.step;
        r->s.stale = 0;
    } else {
        r->s.stale++;
    }
    n = snprintf(line, sizeof line,
                 "{\"step\": %" PRId64 ", \"val_loss\": %.17g, \"best_step\": %" PRId64 "}\n",
                 r->s.step, loss, r->s.best_step);
    return metrics_add(&r->log, line, (size_t)n, err);
}

/* The log is on the disk before a checkpoint that is later than it. */
static hone_status save(run *r, hone_error *err)
{
    hone_status st = metrics_sync(&r->log, err);
    if (!st)
        st = checkpoint_save(r->o->out, r->m, r->opt, &r->s, r->identity, err);
    if (st)
        return st;
    r->saved_step = r->s.step;
    return checkpoint_prune(r->o->out, r->s.step, r->o->keep, r->s.best_step, err);
}

static void report(const run *r)
{
    const train_progress p = {
        .step = r->s.step,
        .steps = r->steps,
        .epoch = r->s.epoch,
        .loss = r->s.last_loss,
        .lr = r->lr,
        .grad_norm = r->norm,
        .tokens_per_second = r->passed > 0 ? (double)r->tokens_here / r->passed : 0,
        .eta_seconds = (double)(r->steps - r->s.step) * r->step_seconds,
        .val_loss = r->s.last_val,
        .seconds = clock_now() - r->started,
        .learned_tokens = r->s.learned,
        .host_bytes = mem_resident(),
    };
    if (r->hooks && r->hooks->on_step)
        r->hooks->on_step(r->hooks->ctx, &p);
}

static bool asked_to_stop(const run *r)
{
    return r->hooks && r->hooks->stop && *r->hooks->stop;
}

hone_status run_loop(run *r, hone_error *err)
{
    hone_status st = HONE_OK;
    if (r->eval.d && r->s.step == 0 && r->evaluated_step < 0)
        st = evaluate(r, err);
    while (!st && r->s.step < r->steps && !run_stopped_early(r)) {
        bool must_save;
        st = run_step(r, err);
        if (!st && r->eval.d && is_due(r, r->o->eval_every))
            st = evaluate(r, err);
        if (st)
            break;
        r->interrupted = asked_to_stop(r) && r->s.step < r->steps && !run_stopped_early(r);
        must_save = is_due(r, r->o->save_every) || r->s.best_step == r->s.step ||
                    run_stopped_early(r) || r->interrupted;
        if (must_save)
            st = save(r, err);
        if (!st)
            report(r);
        if (r->interrupted)
            break;
    }
    return st;
}
