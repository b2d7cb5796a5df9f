/*
 * run.c - a run's begin and end: the folder, what is resumed, what is left behind.
 *
 * Everything that can be wrong is looked at before the first step: options, lock, data,
 * optimizer, and a folder that belongs to another run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

/* Rows for validation, when none were given and some are asked for. */
static hone_status split_off(run *r, hone_error *err)
{
    dataset *val = r->val ? r->val : &r->own_val;
    hone_status st;
    if (val->n || r->o->val_split <= 0) {
        if (r->val && !r->val->n)
            r->val = NULL;
        return HONE_OK;
    }
    r->val = val;
    st = dataset_split(r->train, val, r->o->val_split, (uint64_t)r->o->seed, err);
    if (!st && r->train->n && !val->n)
        st = hone_fail(
            err, HONE_ERR_ARG,
            "train.val_split %g sets no row aside: the %zu rows are pieces of one sample; "
            "make it 0, or give train.val",
            r->o->val_split, r->train->n);
    return st;
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
    if (!st) /* a kill may have come between a checkpoint and the end of an older one */
        st = checkpoint_prune(r->o->out, step, r->o->keep, s.best_step, err);
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

static hone_status open_optimizer(run *r, hone_error *err)
{
    const optimizer_setup how = {
        .name = r->optimizer_name,
        .config = r->optimizer_options,
        .weight_decay = r->o->weight_decay,
        .seed = (uint64_t)r->o->seed,
        .paged_bytes = (int64_t)(r->o->paged_memory * (1 << 20)),
        .paged_dir = r->o->paged_dir ? r->o->paged_dir : r->o->out,
    };
    return optimizer_open(&r->opt, model_ops(r->m), model_param(r->m, 0), model_param_count(r->m),
                          r->plugins, &how, err);
}

/* The base must be what it was: a kernel that writes beside its output would train it too. */
static hone_status check_base(const run *r, hone_error *err)
{
    uint64_t now = 0;
    hone_status st = model_base_hash(r->m, &now, err);
    if (!st && now != r->base_hash)
        st = hone_fail(err, HONE_ERR_DEVICE,
                       "the base model's weights changed while its adapter was trained (hash "
                       "%016" PRIx64 ", was %016" PRIx64 "); nothing is saved: the memory or the "
                       "device's plugin is at fault",
                       now, r->base_hash);
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
    if (r->steps == 1 && r->o->warmup > 0)
        log_line(HONE_LOG_INFO, "one step: no warm-up, which begins with a learning rate of 0");
    most = train_max_sequences(r->train, NULL, r->o->seq_len, r->o->batch);
    if (!r->o->packing && most < r->o->batch)
        most = r->o->batch;
    st = batch_init(&r->batch, r->o->seq_len, r->o->batch, most, err);
    if (!st && r->val)
        st = evaluator_init(&r->eval, r->val, r->o->seq_len, r->o->batch, err);
    if (!st)
        st = open_optimizer(r, err);
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
        st = model_base_hash(r->m, &r->base_hash, err);
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
    const optimizer_memory states = optimizer_bytes(r->opt);
    *out = (train_result){
        .steps = r->s.step,
        .epochs = r->s.epoch + (r->s.micro > 0),
        .first_loss = r->s.first_loss,
        .last_loss = r->s.last_loss,
        .best_val = r->s.best_val,
        .first_val = r->s.first_val,
        .best_step = r->s.best_step,
        .stopped = r->interrupted         ? "interrupted"
                   : run_stopped_early(r) ? "early stop"
                                          : "done",
        .seconds = clock_now() - r->started,
        .tokens_per_second = r->passed > 0 ? (double)r->tokens_here / r->passed : 0,
        .step_seconds =
            r->steps_here > 1 ? (r->passed - r->first_seconds) / (double)(r->steps_here - 1) : 0,
        .model_bytes = model_bytes(r->m) + states.device + states.host,
        .peak_host_bytes = mem_resident_peak(),
        .base_hash = r->base_hash,
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
    if (!st)
        st = check_base(&r, err);
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
