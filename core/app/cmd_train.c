/*
 * cmd_train.c - hone train: a dataset and a model to a tuned model.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>

#include "core/app/progress.h"

static struct {
    bool json;
} flags;

static const hone_option rows[] = {
    { "json", HONE_OPT_BOOL, 0, 0, 0, "false", NULL, "print the result as JSON" },
    HONE_OPTIONS_END,
};

/* A template that prints the day is given the one on which the run began, whenever it goes on:
 * rows of another day would be another dataset. */
static hone_status keep_day(settings *s, const session *z, hone_error *err)
{
    const char *today = chat_template_today(z->chat);
    char *path = s->train.out ? path_join(s->train.out, "run.json") : NULL;
    json_t *run = NULL;
    hone_status st = HONE_OK;
    if (!today || s->data.date)
        goto out;
    if (path && s->train.resume && path_exists(path) && (st = json_read(&run, path, err)))
        goto out;
    const char *began = json_string_value(
        json_object_get(json_object_get(json_object_get(run, "config"), "data"), "date"));
    if (began && strcmp(began, today) != 0)
        log_line(HONE_LOG_INFO, "%s: the template prints the day; it stays %s, when the run began",
                 s->train.out, began);
    st = settings_set(s, "data.date", began ? began : today, err);
out:
    json_decref(run);
    free(path);
    return st;
}

/* Read and prove the dataset(s); print the report. */
static hone_status load_data(settings *s, const session *z, dataset *train, dataset *val,
                             hone_error *err)
{
    dataset_options o = {
        .path = s->data_path,
        .seq_len = s->train.seq_len,
        .over_long = s->data.over_long,
        .raw_bos = s->data.raw_bos,
        .raw_eos = s->data.raw_eos,
        .learn_prompt = s->data.learn_prompt,
        .date = s->data.date,
    };
    text report = { 0 };
    hone_status st = dataset_load(train, &o, z->tok, z->chat, err);
    if (st)
        return st;
    dataset_report_print(&train->report, &report);
    fprintf(stderr, "%s: rows for training\n%s", o.path, report.p ? report.p : "");
    text_finish(&report);
    if (s->train.val) {
        o.path = s->train.val;
        return dataset_load(val, &o, z->tok, z->chat, err);
    }
    if (s->train.val_split > 0)
        return dataset_split(train, val, s->train.val_split, (uint64_t)s->train.seed, err);
    return HONE_OK;
}

/* What tuned files say of where they come from: see promise 3 in docs/architecture.md. */
static json_t *provenance_of(const session *z, const settings *s, const dataset *train)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "tokenizer", tokenizer_hash(z->tok),
                     "template", chat_template_name(z->chat), "template_hash",
                     chat_template_hash(z->chat), "base_model", s->top.model, "dataset",
                     s->data_path, "dataset_hash", train->hash);
}

static int64_t largest_row_count(const dataset *d, const train_options *t)
{
    /* No micro-batch packs more sequences than its shortest rows allow. */
    int64_t shortest = t->seq_len;
    for (size_t i = 0; i < d->n; i++)
        shortest = d->rows[i].n < shortest ? d->rows[i].n : shortest;
    return t->packing ? t->seq_len * t->batch / (shortest > 0 ? shortest : 1) + 1 : t->batch;
}

static void print_result(const train_result *r, const settings *s, const char *what)
{
    text t = { 0 };
    text_printf(&t, "%s after %lld steps in ", r->stopped, (long long)r->steps);
    print_seconds(&t, r->seconds);
    text_printf(&t, "; loss %.4f -> %.4f", r->first_loss, r->last_loss);
    if (!isnan(r->best_val))
        text_printf(&t, "; validation %.4f -> %.4f (best at step %lld)", r->first_val, r->best_val,
                    (long long)r->best_step);
    text_printf(&t, "; %.0f tok/s\nmemory: model and buffers ", r->tokens_per_second);
    print_bytes(&t, (double)r->model_bytes);
    text_puts(&t, ", resident at most ");
    print_bytes(&t, (double)r->peak_host_bytes);
    text_printf(&t, "\nwritten: %s/%s\n", s->train.out, what);
    if (!text_status(&t, NULL))
        fputs(t.p, stdout);
    text_finish(&t);
}

static void print_json(const train_result *r, const settings *s, const char *what)
{
    json_t *o =
        json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:s, s:s}", "stopped", r->stopped, "steps",
                  (json_int_t)r->steps, "best_step", (json_int_t)r->best_step, "first_loss",
                  r->first_loss, "last_loss", r->last_loss, "seconds", r->seconds,
                  "tokens_per_second", r->tokens_per_second, "out", s->train.out, "result", what);
    if (!isnan(r->best_val))
        (void)json_object_set_new(o, "best_val", json_real(r->best_val));
    (void)json_dumpf(o, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(o);
}

static hone_status run(settings *s, const arguments *a, hone_error *err)
{
    session z = { 0 };
    dataset train = { 0 }, val = { 0 };
    train_result result = { 0 };
    json_t *config = NULL, *provenance = NULL;
    progress bar;
    const bool full = s->train.method == 1;
    const char *optimizer = json_string_value(json_object_get(s->optimizer, "name"));
    json_t *optimizer_options = json_copy(s->optimizer);
    hone_status st;

    (void)json_object_del(optimizer_options, "name");
    if (a->n) {
        st = hone_fail(err, HONE_ERR_ARG, "'%s' is not a setting; see hone train --help",
                       a->items[0]);
        goto out;
    }
    if (s->train.fresh && !full) {
        st = hone_fail(err, HONE_ERR_ARG, "train.fresh needs train.method full");
        goto out;
    }
    if ((st = session_open(&z, s, SESSION_TOKENIZER, err)) || (st = keep_day(s, &z, err)) ||
        (st = load_data(s, &z, &train, &val, err)) ||
        (st = backend_open(&z.back, z.plugins, s->top.backend, s->device, s->weights, err)))
        goto out;
    const int64_t in_train = largest_row_count(&train, &s->train);
    const int64_t in_val = val.n ? largest_row_count(&val, &s->train) : 0;
    const model_options o = {
        .dir = s->top.model,
        .train = full ? TRAIN_FULL : TRAIN_LORA,
        .adapter = full ? NULL : &s->adapter,
        .adapter_dir = full ? NULL : s->adapter.init,
        .seed = (uint64_t)s->train.seed,
        .fresh = s->train.fresh,
        .seq_len = s->train.seq_len,
        .batch = s->train.batch,
        .max_sequences = in_train > in_val ? in_train : in_val,
    };
    if ((st = model_open(&z.net, z.back, &o, err)) ||
        (st = model_check_tokenizer(z.net, z.tok, err)))
        goto out;
    config = settings_to_json(s);
    provenance = provenance_of(&z, s, &train);
    progress_init(&bar, s->train.log_every);
    const train_hooks hooks = { .ctx = &bar, .on_step = progress_step, .stop = &app_stop };
    st = train_run(z.net, &train, val.n ? &val : NULL, &s->train, optimizer ? optimizer : "adamw",
                   optimizer_options, z.plugins, config, provenance, &hooks, &result, err);
    log_set_status(NULL);
    if (st && st != HONE_ERR_CANCELLED)
        goto out;
    char what[40];
    if (st)
        (void)snprintf(what, sizeof what, "checkpoint-%lld", (long long)result.steps);
    else
        (void)snprintf(what, sizeof what, "%s", full ? "model" : "adapter");
    if (flags.json)
        print_json(&result, s, what);
    else
        print_result(&result, s, what);
out:
    json_decref(config);
    json_decref(provenance);
    json_decref(optimizer_options);
    dataset_finish(&train);
    dataset_finish(&val);
    session_close(&z);
    return st;
}

const command cmd_train = {
    .name = "train",
    .operands = "[CONFIG]",
    .summary = "tune the model on the dataset",
    .flags = rows,
    .flag_values = &flags,
    .config_operand = true,
    .run = run,
};
