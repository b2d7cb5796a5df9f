/*
 * options.c - the rows of section "train", and what of a run must not change when it
 * is resumed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/parts.h"

#include <stdlib.h>

#define ROW_BOOL(...) HONE_ROW_BOOL(train_options, __VA_ARGS__)
#define ROW_I64(...) HONE_ROW_I64(train_options, __VA_ARGS__)
#define ROW_F64(...) HONE_ROW_F64(train_options, __VA_ARGS__)
#define ROW_ENUM(...) HONE_ROW_ENUM(train_options, __VA_ARGS__)
#define ROW_PATH(...) HONE_ROW_PATH(train_options, __VA_ARGS__)

/* clang-format off */
const hone_option train_option_rows[] = {
    ROW_ENUM(method, "lora|full", "lora", "train an adapter, or every weight"),
    ROW_PATH(out, NULL, "folder of the run: checkpoints, metrics, the result"),
    ROW_I64(seq_len, 2, 1 << 24, "512", "longest row, in tokens"),
    ROW_I64(batch, 1, 1 << 20, "4", "rows of seq_len tokens in a micro-batch"),
    ROW_I64(accumulate, 1, 1 << 20, "4", "micro-batches to an optimizer step"),
    ROW_BOOL(packing, "true", "fill micro-batches with several rows; off: pad each row to seq_len"),
    ROW_BOOL(shuffle, "true", "a new order of rows every epoch; off: the given order"),
    ROW_F64(epochs, 0, 1e6, "3", "passes over the rows; a part of one counts"),
    ROW_I64(steps, 0, INT64_C(1) << 40, "0", "optimizer steps in all; 0: what epochs come to"),
    ROW_F64(lr, 0, 1e3, "2e-4", "learning rate at its highest"),
    ROW_ENUM(schedule, "constant|linear|cosine", "cosine", "how lr goes down after the warm-up"),
    ROW_F64(warmup, 0, 1e12, "0.03", "steps in which lr rises from 0; below 1: share of all steps"),
    ROW_F64(min_lr, 0, 1, "0", "share of lr at the end of linear and cosine"),
    ROW_F64(weight_decay, 0, 10, "0.01", "of matrices; norms and biases have none"),
    ROW_F64(clip, 0, 1e12, "1", "largest norm of all gradients together; 0: any"),
    ROW_I64(seed, 0, INT64_C(1) << 53, "42", "of order, split, dropout and new weights"),
    ROW_F64(val_split, 0, 0.9, "0", "share of rows set aside for validation; 0: none"),
    ROW_PATH(val, NULL, "dataset to validate on, instead of val_split"),
    ROW_I64(eval_every, 0, INT64_C(1) << 40, "0", "steps between evaluations; 0: at every epoch's end"),
    ROW_I64(patience, 0, 1 << 30, "0", "evaluations without a better one before training stops; 0: never"),
    ROW_I64(save_every, 0, INT64_C(1) << 40, "0", "steps between checkpoints; 0: at every epoch's end"),
    ROW_I64(keep, 1, 1 << 20, "2", "checkpoints to keep, besides the best one"),
    ROW_I64(log_every, 1, 1 << 30, "1", "steps between lines of metrics.jsonl"),
    ROW_BOOL(resume, "true", "go on from the last checkpoint in out, if there is one"),
    ROW_BOOL(fresh, "false", "method full: start from random weights"),
    ROW_ENUM(save_dtype, "model|fp32|bf16|fp16", "model",
             "method full: number format of the saved weights; model: what its config.json names, or fp32"),
    ROW_F64(paged_memory, 0, 1 << 30, "0",
        "paged optimizers: MiB of host memory for their state, the rest is in a file; 0: half of what is free"),
    ROW_PATH(paged_dir, NULL, "folder of that file, which has no name and goes with the process; default: out"),
    ROW_ENUM(activations, "auto|all|cheap|input", "auto", "what blocks keep for the backward pass; auto: what fits into memory"),
    HONE_OPTIONS_END,
};
/* clang-format on */

/* Keys and sections of an identity that change no number of the result, or are covered by
 * another key. "config" holds the sections of the whole config, other commands' included. */
/* clang-format off */
static const char *const free_keys[] = {
    "train.out", "train.resume", "train.save_every", "train.keep", "train.log_every",
    "train.save_dtype", "train.paged_memory", "train.paged_dir", "train.activations",
    "train.val", "config.data.path", "provenance.dataset", /* their rows are compared by hash */
    "device.type", "device.name", "device.threads",        /* warned about */
    "config.plugin_dir", "config.prepare", "config.reader", "config.recipe",
    "config.generate", "config.use", "config.exam", "config.plan",
};
/* clang-format on */

hone_status train_options_check(const train_options *o, hone_error *err)
{
    if (!o->out)
        return hone_fail(err, HONE_ERR_ARG, "train.out is not set; it names the folder of the run");
    if (o->seq_len > INT32_MAX / o->batch)
        return hone_fail(err, HONE_ERR_ARG,
                         "train.seq_len %lld times train.batch %lld is above %d tokens",
                         (long long)o->seq_len, (long long)o->batch, INT32_MAX);
    if (!o->steps && o->epochs <= 0)
        return hone_fail(err, HONE_ERR_ARG, "train.epochs and train.steps are both 0; set one");
    if (o->fresh && o->method == 0)
        return hone_fail(err, HONE_ERR_ARG,
                         "train.fresh needs train.method \"full\": random weights cannot be "
                         "learned by an adapter");
    if (o->val && o->val_split > 0)
        return hone_fail(err, HONE_ERR_ARG, "train.val and train.val_split are both set; keep one");
    return HONE_OK;
}

json_t *train_options_json(const train_options *o)
{
    train_options copy = *o;
    const options view = { .table = train_option_rows, .config = &copy };
    return options_to_json(&view);
}

/* Names and shapes of all parameters as one hash: adapters of other targets or ranks differ. */
static json_t *params_hash(const model *m)
{
    text t = { 0 };
    char hex[65];
    size_t i;
    for (i = 0; i < model_param_count(m); i++) {
        const param *p = model_param(m, i);
        text_printf(&t, "%s %lld %lld\n", p->name, (long long)p->rows, (long long)p->cols);
    }
    if (t.failed || !t.p) {
        text_finish(&t);
        return NULL;
    }
    sha256_hex(t.p, t.n, hex);
    text_finish(&t);
    return json_string(hex);
}

json_t *identity_make(const train_options *o, const char *name, json_t *optimizer_options,
                      const json_t *config, const json_t *provenance, const dataset *train,
                      const dataset *val, model *m)
{
    const hone_dev_info *device = ops_info(model_ops(m));
    json_t *own = train_options_json(o), *rest = json_object();
    const char *key;
    json_t *value;
    /* The sections that say the same once more. */
    json_object_foreach((json_t *)(uintptr_t)config, key,
                        value) if (strcmp(key, "train") != 0 && strcmp(key, "optimizer") != 0)(void)
        json_object_set(rest, key, value);
    return json_pack("{s:o, s:{s:s, s:o}, s:o, s:O?, s:{s:s, s:s?}, s:o, s:{s:s, s:s, s:I}}",
                     "train", own, "optimizer", "name", name, "options", optimizer_options,
                     "config", rest, "provenance", provenance, "data", "train", train->hash, "val",
                     val ? val->hash : NULL, "params", params_hash(m), "device", "type",
                     device->type, "name", device->name, "threads", (json_int_t)device->threads);
}

static bool is_free(const char *key)
{
    size_t i;
    for (i = 0; i < sizeof free_keys / sizeof *free_keys; i++)
        if (strcmp(free_keys[i], key) == 0)
            return true;
    return false;
}

/* The first key below `path` where a and b differ: its name in *key. */
static bool find_difference(const json_t *a, const json_t *b, const char *path, text *key,
                            const json_t **was, const json_t **now)
{
    const json_t *const side[2] = { a, b };
    int s;
    if (is_free(path) || json_equal(a, b))
        return false;
    if (!json_is_object(a) || !json_is_object(b)) {
        text_puts(key, path);
        *was = a;
        *now = b;
        return true;
    }
    for (s = 0; s < 2; s++) { /* keys of a, then keys that only b has */
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)side[s], name, value)
        {
            text below = { 0 };
            bool differs;
            if (s == 1 && json_object_get(a, name))
                continue;
            text_printf(&below, "%s%s%s", path, path[0] ? "." : "", name);
            differs =
                below.failed || find_difference(json_object_get(a, name), json_object_get(b, name),
                                                below.p, key, was, now);
            text_finish(&below);
            if (differs)
                return true;
        }
    }
    return false;
}

static char *short_json(const json_t *value)
{
    char *p = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9))
                    : mem_strdup("not set");
    if (p && strlen(p) > 60)
        memcpy(p + 57, "...", 4);
    return p;
}

hone_status identity_check(const json_t *was, const json_t *now, const char *folder,
                           hone_error *err)
{
    static const char common[] = "config."; /* a config's own sections are named without it */
    const json_t *a = NULL, *b = NULL;
    text key = { 0 };
    hone_status st = HONE_OK;
    if (find_difference(was, now, "", &key, &a, &b)) {
        char *before = short_json(a), *after = short_json(b);
        const char *name = key.p ? key.p : "(no memory)";
        if (strncmp(name, common, sizeof common - 1) == 0)
            name += sizeof common - 1;
        st = hone_fail(err, HONE_ERR_STATE,
                       "%s: %s was %s when this run began and is %s now; set it back to go on, or "
                       "choose another train.out",
                       folder, name, before ? before : "?", after ? after : "?");
        free(before);
        free(after);
    }
    text_finish(&key);
    return st;
}
