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
#include "core/train/parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct run {
    model *m; /* borrowed, as all of train_run's arguments */
    const train_options *o;
    const train_hooks *hooks; /* may be NULL */
    const char *optimizer_name;
    const json_t *optimizer_options, *config, *provenance;
    registry *plugins;
    dataset *train, *val; /* val NULL: none */
    dataset own_val;      /* owned: when the caller gave no place for the split */

    int lock;         /* -1: not held */
    json_t *identity; /* owned */
    optimizer *opt;   /* owned */
    metrics log;
    evaluator eval; /* owned; d NULL: no validation */
    plan_options order;
    epoch_plan plan;    /* owned: of epoch plan_epoch */
    int64_t plan_epoch; /* -1: none yet */
    batch batch;        /* owned */

    run_state s;
    int64_t steps, warmup;
    int64_t saved_step, evaluated_step; /* the last that were; -1: none */
    double lr, norm;                    /* of the last step */
    double started, passed;             /* clock; seconds spent in steps */
    double step_seconds;                /* smoothed; 0: unknown */
    int64_t tokens_here;                /* processed by this process */
    bool interrupted;
} run;

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

static int64_t window_learned(const run *r, int64_t lo, int64_t hi)
{
    int64_t i, learned = 0;
    for (i = r->plan.first[lo]; i < r->plan.first[hi]; i++)
        learned += r->train->rows[r->plan.order[i]].n_learned;
    return learned;
}

static hone_status pass_and_update(run *r, int64_t lo, int64_t hi, int64_t learned, hone_error *err)
{
    const int64_t step = r->s.step + 1;
    const double clip = r->o->clip;
    double sum = 0, loss, norm = 0;
    int64_t micro, seen = 0;
    hone_status st = model_zero_grad(r->m, err);
    for (micro = lo; !st && micro < hi; micro++) {
        epoch_plan_batch(&r->plan, r->train, &r->order, micro, &r->batch);
        seen += r->batch.n;
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
    if (st)
        return st;
    if (isnan(r->s.first_loss))
        r->s.first_loss = loss;
    r->s.last_loss = loss;
    r->s.tokens += seen;
    r->tokens_here += seen;
    r->s.learned += learned;
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
    int64_t lo, hi, learned;
    hone_status st = enter_epoch(r, err);
    if (st)
        return st;
    window(r, &lo, &hi);
    learned = window_learned(r, lo, hi);
    if (learned)
        st = pass_and_update(r, lo, hi, learned, err);
    else
        log_line(HONE_LOG_WARN,
                 "step %" PRId64 ": its %" PRId64 " rows have no supervised token: no update",
                 r->s.step + 1, r->plan.first[hi] - r->plan.first[lo]);
    if (st)
        return st;
    r->s.rows += r->plan.first[hi] - r->plan.first[lo];
    r->s.micro = hi;
    r->s.step++;
    took = clock_now() - began;
    r->passed += took;
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

static bool stopped_early(const run *r)
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
    return checkpoint_prune(r->o->out, r->o->keep, r->s.best_step, err);
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

static hone_status run_loop(run *r, hone_error *err)
{
    hone_status st = HONE_OK;
    if (r->eval.d && r->s.step == 0 && r->evaluated_step < 0)
        st = evaluate(r, err);
    while (!st && r->s.step < r->steps && !stopped_early(r)) {
        bool must_save;
        st = run_step(r, err);
        if (!st && r->eval.d && is_due(r, r->o->eval_every))
            st = evaluate(r, err);
        if (st)
            break;
        r->interrupted = asked_to_stop(r) && r->s.step < r->steps && !stopped_early(r);
        must_save = is_due(r, r->o->save_every) || r->s.best_step == r->s.step ||
                    stopped_early(r) || r->interrupted;
        if (must_save)
            st = save(r, err);
        if (!st)
            report(r);
        if (r->interrupted)
            break;
    }
    return st;
}

/* ------------------------------------------------------------ begin and end */

/* Rows for validation, when none were given and some are asked for. */
static hone_status split_off(run *r, hone_error *err)
{
    dataset *val = r->val ? r->val : &r->own_val;
    if (val->n || r->o->val_split <= 0) {
        if (r->val && !r->val->n)
            r->val = NULL;
        return HONE_OK;
    }
    r->val = val;
    return dataset_split(r->train, val, r->o->val_split, (uint64_t)r->o->seed, err);
}

/* Equal bits are promised for one kind of device and one number of threads. */
static void compare_devices(const run *r, const json_t *was, const json_t *now)
{
    char *before, *after;
    if (json_equal(was, now))
        return;
    before = json_dumps(was, JSON_COMPACT);
    after = json_dumps(now, JSON_COMPACT);
    log_line(HONE_LOG_WARN, "%s: began on %s, goes on on %s: the last bits may differ", r->o->out,
             before ? before : "another device", after ? after : "this one");
    free(before);
    free(after);
}

static hone_status go_on(run *r, int64_t step, hone_error *err)
{
    json_t *was = NULL;
    run_state s = { 0 };
    hone_status st = checkpoint_read(r->o->out, step, &s, &was, err);
    if (!st)
        st = identity_check(was, r->identity, r->o->out, err);
    if (!st)
        st = checkpoint_load(r->o->out, step, r->m, r->opt, err);
    if (!st) {
        r->s = s;
        r->saved_step = r->evaluated_step = step;
        compare_devices(r, json_object_get(was, "device"), json_object_get(r->identity, "device"));
        log_line(HONE_LOG_INFO, "%s: going on after step %" PRId64 " of %" PRId64, r->o->out, step,
                 r->steps);
    }
    json_decref(was);
    return st;
}

/* Lock the folder, clear it of what a kill left, and find where to begin. */
static hone_status enter_folder(run *r, int64_t *step, hone_error *err)
{
    hone_status st = dir_make(r->o->out, err);
    if (!st)
        st = dir_lock(r->o->out, &r->lock, err);
    if (!st)
        st = folder_sweep(r->o->out, err);
    if (!st)
        st = checkpoint_find(r->o->out, step, err);
    if (!st && *step && !r->o->resume)
        st = hone_fail(err, HONE_ERR_STATE,
                       "%s: holds checkpoints up to step %" PRId64 " and train.resume is false; "
                       "choose another train.out, or remove it",
                       r->o->out, *step);
    return st;
}

static hone_status run_open(run *r, hone_error *err)
{
    int64_t step = 0, most;
    double left;
    hone_status st = train_options_check(r->o, err);
    if (!st)
        st = enter_folder(r, &step, err);
    if (!st)
        st = split_off(r, err);
    if (!st && !r->train->n)
        st = hone_fail(err, HONE_ERR_ARG, "nothing to train on: the dataset has no rows");
    if (!st)
        st = schedule_length(&r->steps, r->train, r->o, &r->order, err);
    if (st)
        return st;
    r->warmup = schedule_warmup(r->o, r->steps);
    most = train_max_sequences(r->train, NULL, r->o->seq_len, r->o->batch);
    if (!r->o->packing && most < r->o->batch)
        most = r->o->batch;
    st = batch_init(&r->batch, r->o->seq_len, r->o->batch, most, err);
    if (!st && r->val)
        st = evaluator_init(&r->eval, r->val, r->o->seq_len, r->o->batch, err);
    if (!st)
        st = optimizer_open(&r->opt, r->m, r->plugins, r->optimizer_name, r->optimizer_options,
                            r->o->weight_decay, (uint64_t)r->o->seed, err);
    if (st)
        return st;
    r->identity = identity_make(r->o, r->optimizer_name, optimizer_options_json(r->opt), r->config,
                                r->provenance, r->train, r->val, r->m);
    if (!r->identity)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the identity of the run");
    if (step)
        st = go_on(r, step, err);
    if (!st)
        st = metrics_open(&r->log, r->o->out, step ? r->s.step : -1, err);
    if (!st)
        st = model_loss(r->m, &left, err); /* what was computed before us is not ours */
    if (!st)
        st = run_file_write(r->o->out, r->identity, r->config, r->m, r->train, r->val, NULL, err);
    return st;
}

static void run_close(run *r)
{
    metrics_close(&r->log);
    optimizer_close(r->opt);
    evaluator_finish(&r->eval);
    epoch_plan_finish(&r->plan);
    batch_finish(&r->batch);
    dataset_finish(&r->own_val);
    json_decref(r->identity);
    if (r->lock >= 0)
        close(r->lock);
}

static void fill_result(const run *r, train_result *out)
{
    *out = (train_result){
        .steps = r->s.step,
        .epochs = r->s.epoch + (r->s.micro > 0),
        .first_loss = r->s.first_loss,
        .last_loss = r->s.last_loss,
        .best_val = r->s.best_val,
        .first_val = r->s.first_val,
        .best_step = r->s.best_step,
        .stopped = r->interrupted     ? "interrupted"
                   : stopped_early(r) ? "early stop"
                                      : "done",
        .seconds = clock_now() - r->started,
        .tokens_per_second = r->passed > 0 ? (double)r->tokens_here / r->passed : 0,
        .model_bytes = model_bytes(r->m) + optimizer_bytes(r->opt),
        .peak_host_bytes = mem_resident_peak(),
    };
}

/* What goes into hone.json beside the weights: no times, no path of the run. */
static json_t *result_extra(const run *r)
{
    json_t *extra = r->provenance ? json_deep_copy(r->provenance) : json_object();
    json_t *own =
        json_pack("{s:o, s:s, s:I, s:I, s:o}", "documents", documents_json(r->train), "data",
                  r->train->hash, "steps", (json_int_t)r->s.step, "best_step",
                  (json_int_t)r->s.best_step, "val_loss", json_real_or_null(r->s.best_val));
    if (!extra || !own || json_object_update(extra, own)) {
        json_decref(extra);
        extra = NULL;
    }
    json_decref(own);
    return extra;
}

/* The best parameters, where they are known, become the result. */
static hone_status finish(run *r, hone_error *err)
{
    json_t *extra = result_extra(r);
    hone_status st = HONE_OK;
    if (!extra)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for the result", r->o->out);
    if (r->s.best_step && r->s.best_step != r->s.step)
        st = checkpoint_load(r->o->out, r->s.best_step, r->m, NULL, err);
    if (!st)
        st = result_save(r->o->out, r->m, r->o, extra, err);
    json_decref(extra);
    return st;
}

hone_status train_run(model *m, dataset *train, dataset *val, const train_options *o,
                      const char *optimizer_name, const json_t *optimizer_options,
                      registry *plugins, const json_t *config, const json_t *provenance,
                      const train_hooks *hooks, train_result *result, hone_error *err)
{
    run r = {
        .m = m,
        .o = o,
        .hooks = hooks,
        .optimizer_name = optimizer_name,
        .optimizer_options = optimizer_options,
        .config = config,
        .provenance = provenance,
        .plugins = plugins,
        .train = train,
        .val = val,
        .lock = -1,
        .log = { .fd = -1 },
        .order = { .seq_len = o->seq_len,
                   .batch = o->batch,
                   .packing = o->packing,
                   .shuffle = o->shuffle,
                   .seed = (uint64_t)o->seed },
        .plan_epoch = -1,
        .s = { .first_loss = NAN,
               .last_loss = NAN,
               .first_val = NAN,
               .last_val = NAN,
               .best_val = NAN },
        .saved_step = -1,
        .evaluated_step = -1,
        .started = clock_now(),
    };
    train_result got;
    hone_status st = run_open(&r, err);
    if (!st)
        st = run_loop(&r, err);
    if (!st && !r.interrupted)
        st = finish(&r, err);
    if (st)
        goto out;
    fill_result(&r, &got);
    st = run_file_write(o->out, r.identity, config, m, train, r.val, &got, err);
    if (st)
        goto out;
    *result = got;
    if (r.interrupted)
        st = hone_fail(err, HONE_ERR_CANCELLED,
                       "stopped after step %" PRId64 " of %" PRId64
                       "; the same command goes on from there",
                       r.s.step, r.steps);
out:
    run_close(&r);
    return st;
}
