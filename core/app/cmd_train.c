/*
 * cmd_train.c - hone train: a dataset and a model to a tuned model.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>

#include "core/app/progress.h"
#include "core/app/setup.h"

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

/* What tuned files say of where they come from: see promise 3 in docs/architecture.md. */
static json_t *provenance_of(const session *z, const settings *s, const dataset *train)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "tokenizer", tokenizer_hash(z->tok),
                     "template", chat_template_name(z->chat), "template_hash",
                     chat_template_hash(z->chat), "base_model", s->top.model, "dataset",
                     s->data_path, "dataset_hash", train->hash);
}

static void print_result(const train_result *r, const run_plan *p, const settings *s,
                         const char *what)
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
    text_puts(&t, " (planned ");
    print_bytes(&t, (double)(p->device_total + p->paged_host));
    text_puts(&t, "), resident at most ");
    print_bytes(&t, (double)r->peak_host_bytes);
    text_puts(&t, " (planned ");
    print_bytes(&t, (double)p->resident);
    text_puts(&t, ")");
    if (r->step_seconds > 0 && !isnan(p->step_seconds))
        text_printf(&t, "\ntime: %.3g s a step (planned %.3g s)", r->step_seconds, p->step_seconds);
    text_printf(&t, "\nwritten: %s/%s\n", s->train.out, what);
    if (!text_status(&t, NULL))
        fputs(t.p, stdout);
    text_finish(&t);
}

static void print_json(const train_result *r, const run_plan *p, const settings *s,
                       const char *what)
{
    json_t *o =
        json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:s, s:s}", "stopped", r->stopped, "steps",
                  (json_int_t)r->steps, "best_step", (json_int_t)r->best_step, "first_loss",
                  r->first_loss, "last_loss", r->last_loss, "seconds", r->seconds,
                  "tokens_per_second", r->tokens_per_second, "out", s->train.out, "result", what);
    if (!isnan(r->best_val))
        (void)json_object_set_new(o, "best_val", json_real(r->best_val));
    json_t *memory =
        json_pack("{s:I, s:I, s:I, s:I}", "planned_device_bytes",
                  (json_int_t)(p->device_total + p->paged_host), "device_bytes",
                  (json_int_t)r->model_bytes, "planned_resident_bytes", (json_int_t)p->resident,
                  "resident_bytes", (json_int_t)r->peak_host_bytes);
    (void)json_object_set_new(o, "memory", memory);
    (void)json_object_set_new(o, "step_seconds", json_real(r->step_seconds));
    if (!isnan(p->step_seconds))
        (void)json_object_set_new(o, "planned_step_seconds", json_real(p->step_seconds));
    (void)json_dumpf(o, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(o);
}

/* The plan: printed, or the end of a run that cannot fit. Nothing of the model is loaded yet. */
static hone_status make_plan(setup *u, settings *s, hone_error *err)
{
    text t = { 0 };
    hone_status st = parse_bytes(&u->input.memory, s->plan.memory, "plan.memory", err);
    if (!st)
        st = rates_get(&u->rates, u->z.back, s->train.method == 1 ? "full" : "lora", false, err);
    if (st)
        return st;
    setup_input(u, s);
    st = run_plan_make(&u->plan, &u->z.net, &u->input, err);
    if (!st)
        st = plan_check(u, err);
    if (st)
        return st;
    s->train.paged_memory = (double)u->plan.paged / (1 << 20);
    plan_print_short(&t, u);
    if (t.p)
        fputs(t.p, stderr);
    text_finish(&t);
    return HONE_OK;
}

static hone_status run(settings *s, const arguments *a, hone_error *err)
{
    setup u = { 0 };
    train_result result = { 0 };
    json_t *config = NULL, *provenance = NULL;
    progress bar;
    const bool full = s->train.method == 1;
    hone_status st;

    if (a->n) {
        st = hone_fail(err, HONE_ERR_ARG, "'%s' is not a setting; see hone train --help",
                       a->items[0]);
        goto out;
    }
    if (s->train.fresh && !full) {
        st = hone_fail(err, HONE_ERR_ARG, "train.fresh needs train.method full");
        goto out;
    }
    if (s->train.lr <= 0) {
        st = hone_fail(err, HONE_ERR_ARG, "train.lr is 0: the run would learn nothing");
        goto out;
    }
    if ((st = session_open(&u.z, s, SESSION_TOKENIZER, err)) || (st = keep_day(s, &u.z, err)) ||
        (st = setup_data(&u, s, false, err)) ||
        (st = backend_open(&u.z.back, u.z.plugins, s->top.backend, s->device, s->weights, err)) ||
        (st = make_plan(&u, s, err)) || (st = model_load(u.z.net, err)) ||
        (st = model_check_tokenizer(u.z.net, u.z.tok, err)))
        goto out;
    config = settings_to_json(s);
    provenance = provenance_of(&u.z, s, &u.train);
    progress_init(&bar, s->train.log_every);
    const train_hooks hooks = { .ctx = &bar, .on_step = progress_step, .stop = &app_stop };
    st = train_run(u.z.net, &u.train, u.val.n ? &u.val : NULL, &s->train, u.optimizer,
                   u.optimizer_options, u.z.plugins, config, provenance, &hooks, &result, err);
    log_set_status(NULL);
    if (st && st != HONE_ERR_CANCELLED)
        goto out;
    rates_refine(u.z.back, full ? "full" : "lora", &u.rates, u.plan.step_seconds,
                 result.step_seconds);
    char what[40];
    if (st)
        (void)snprintf(what, sizeof what, "checkpoint-%lld", (long long)result.steps);
    else
        (void)snprintf(what, sizeof what, "%s", full ? "model" : "adapter");
    if (flags.json)
        print_json(&result, &u.plan, s, what);
    else
        print_result(&result, &u.plan, s, what);
out:
    json_decref(config);
    json_decref(provenance);
    setup_finish(&u);
    return st;
}

const command cmd_train = {
    .name = "train",
    .operands = "[CONFIG]",
    .summary = "tune the model on the dataset",
    .sections = "data adapter train optimizer device weights",
    .flags = rows,
    .flag_values = &flags,
    .config_operand = true,
    .run = run,
};
