/*
 * plan_fit.c - what to change when a run does not fit: the nearest settings that do.
 *
 * Each row of `ladders` is a change that keeps what is learned the same as far as it can: first
 * what costs time only, then what changes the numbers' format, then what changes the method.
 * Every candidate is planned like the run itself; only those that fit are named.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/plan_parts.h"

#include <stdlib.h>
#include <string.h>

#define SHORTEST_ROW 128

/* A changed copy of what was asked for. */
typedef struct candidate {
    plan_input in;
    train_options train;
    model_options model;
    plan_data data;
    char format[16];    /* "": as it is */
    char optimizer[24]; /* "": as it is */
    text words;
} candidate;

static void candidate_from(candidate *c, const plan_input *in)
{
    *c = (candidate){ .in = *in, .train = *in->train, .model = *in->model, .data = *in->data };
}

HONE_PRINTF(2, 3) static void say(candidate *c, const char *format, ...)
{
    char words[80];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(words, sizeof words, format, args);
    va_end(args);
    text_printf(&c->words, "%s%s", c->words.n ? " " : "", words);
}

/* Fewer rows at a time, the same rows in a step. */
static void set_batch(candidate *c, int64_t fewer)
{
    const int64_t times = c->train.batch / fewer;
    c->data.batches *= times;
    c->data.max_sequences = (c->data.max_sequences + times - 1) / times;
    c->train.accumulate *= times;
    c->train.batch = c->model.batch = fewer;
    say(c, "--train.batch %lld --train.accumulate %lld", (long long)fewer,
        (long long)c->train.accumulate);
}

static void set_seq_len(candidate *c, int64_t seq_len)
{
    c->data.batches = c->data.batches * c->train.seq_len / seq_len;
    if (c->data.context > (double)seq_len)
        c->data.context = (double)seq_len;
    c->train.seq_len = c->model.seq_len = seq_len;
    say(c, "--train.seq_len %lld", (long long)seq_len);
}

/* ------------------------------------------------------------------- trying one */

static hone_status open_format(backend **out, const candidate *c, hone_error *err)
{
    const char *spec = backend_spec(c->in.back), *slash = strrchr(spec, '/');
    text name = { 0 };
    hone_status st;
    if (c->in.device)
        return backend_open_absent(out, c->in.plugins, c->in.device->name, c->format, NULL, err);
    text_printf(&name, "%.*s/%s", (int)(slash - spec), spec, c->format);
    st = text_status(&name, err);
    if (!st)
        st = backend_open(out, c->in.plugins, name.p, NULL, NULL, err);
    text_finish(&name);
    return st;
}

/* Plans c; *fits false as well when it is not possible here at all. */
static hone_status try_one(plan_change *out, bool *fits, candidate *c, hone_error *err)
{
    backend *other = NULL;
    hone_status st = HONE_OK;
    *fits = false;
    if (c->format[0]) {
        if (open_format(&other, c, NULL) != HONE_OK)
            goto out; /* not installed */
        c->in.back = other;
    }
    c->in.train = &c->train;
    c->in.model = &c->model;
    c->in.data = &c->data;
    if (c->optimizer[0]) {
        c->in.optimizer = c->optimizer;
        c->in.optimizer_options = NULL;
    }
    st = run_plan_make(&out->plan, NULL, &c->in, err);
    if (st == HONE_ERR_UNSUPPORTED || st == HONE_ERR_NOTFOUND) { /* not with this format, ... */
        st = HONE_OK;
        goto out;
    }
    if (!st && out->plan.fits) {
        st = text_status(&c->words, err);
        (void)snprintf(out->settings, sizeof out->settings, "%s", c->words.p ? c->words.p : "");
        *fits = !st;
    }
out:
    backend_close(other);
    text_finish(&c->words);
    return st;
}

/* ---------------------------------------------------------------------- the ladders */

/* Step `rung` (from 0) of a way to need less; false: the way ends. */
typedef bool ladder(candidate *c, int rung);

static bool keep_less(candidate *c, int rung)
{
    if (rung || c->train.activations == ACTIVATIONS_AUTO)
        return false;
    c->train.activations = ACTIVATIONS_AUTO;
    say(c, "--train.activations auto");
    return true;
}

static bool smaller_batch(candidate *c, int rung)
{
    const int64_t fewer = c->train.batch >> (rung + 1);
    if (fewer < 1)
        return false;
    set_batch(c, fewer);
    return true;
}

static bool shorter_rows(candidate *c, int rung)
{
    const int64_t seq_len = c->train.seq_len >> (rung + 1);
    if (seq_len < SHORTEST_ROW)
        return false;
    if (c->train.batch > 1)
        set_batch(c, 1);
    set_seq_len(c, seq_len);
    return true;
}

static const char *const formats[] = { "bf16", "fp16", "int8", "nf4" };
#define N_FORMATS ((int)(sizeof formats / sizeof *formats))

static bool smaller_numbers(candidate *c, int rung)
{
    const char *now = backend_format_name(c->in.back),
               *slash = strrchr(backend_spec(c->in.back), '/');
    if (rung >= N_FORMATS)
        return false;
    (void)snprintf(c->format, sizeof c->format, "%s", formats[rung]);
    if (strcmp(now, formats[rung]) != 0)
        say(c, "--backend %.*s/%s", (int)(slash - backend_spec(c->in.back)),
            backend_spec(c->in.back), formats[rung]);
    return true;
}

static const char *const optimizers[] = { "adamw8bit", "paged-adamw" };

static bool other_optimizer(candidate *c, int rung)
{
    if (rung >= (int)(sizeof optimizers / sizeof *optimizers))
        return false;
    (void)snprintf(c->optimizer, sizeof c->optimizer, "%s", optimizers[rung]);
    say(c, "--optimizer.name %s", optimizers[rung]);
    return true;
}

static bool adapters(candidate *c, int rung)
{
    if (c->train.method == 0 || !c->in.adapter || rung > N_FORMATS)
        return false;
    c->train.method = 0;
    c->train.fresh = c->model.fresh = false;
    c->model.train = TRAIN_LORA;
    c->model.adapter = c->in.adapter;
    say(c, "--train.method lora");
    return rung ? smaller_numbers(c, rung - 1) : true;
}

/* What is left when one change alone is not enough. */
static bool everything(candidate *c, int rung)
{
    if (rung >= N_FORMATS)
        return false;
    (void)keep_less(c, 0);
    if (c->train.method == 1)
        (void)adapters(c, 0);
    (void)smaller_numbers(c, rung);
    if (c->train.batch > 1)
        set_batch(c, 1);
    return true;
}

static bool everything_shorter(candidate *c, int rung)
{
    const int64_t seq_len = c->train.seq_len >> (rung + 1);
    if (seq_len < SHORTEST_ROW || !everything(c, N_FORMATS - 1))
        return false;
    set_seq_len(c, seq_len);
    return true;
}

/* Of each ladder, the first rung that fits; the last two only when nothing else does. */
static const struct {
    ladder *climb;
    bool last_resort;
} ladders[] = {
    { keep_less, false },       { smaller_batch, false },     { other_optimizer, false },
    { smaller_numbers, false }, { shorter_rows, false },      { adapters, false },
    { everything, true },       { everything_shorter, true },
};

hone_status plan_changes(plan_change *out, size_t cap, size_t *n, const plan_input *in,
                         hone_error *err)
{
    *n = 0;
    for (size_t i = 0; i < sizeof ladders / sizeof *ladders && *n < cap; i++) {
        if (ladders[i].last_resort && *n)
            break;
        for (int rung = 0;; rung++) {
            candidate c;
            bool fits = false;
            hone_status st;
            candidate_from(&c, in);
            if (!ladders[i].climb(&c, rung)) {
                text_finish(&c.words);
                break;
            }
            st = try_one(&out[*n], &fits, &c, err);
            if (st)
                return st;
            if (fits) {
                (*n)++;
                break;
            }
        }
    }
    return HONE_OK;
}
