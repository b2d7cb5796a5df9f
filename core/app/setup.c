/*
 * setup.c - what hone train and hone plan begin with: data, a backend, the plan of the run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/app/setup.h"

#include <math.h>
#include <stdlib.h>

dataset_options setup_dataset(const settings *s, const char *path)
{
    return (dataset_options){
        .path = path,
        .seq_len = s->train.seq_len,
        .over_long = s->data.over_long,
        .raw_bos = s->data.raw_bos,
        .raw_eos = s->data.raw_eos,
        .learn_prompt = s->data.learn_prompt,
        .date = s->data.date,
    };
}

hone_status setup_data(setup *u, const settings *s, bool quiet, hone_error *err)
{
    dataset_options o = setup_dataset(s, s->data_path);
    text report = { 0 };
    hone_status st = dataset_load(&u->train, &o, u->z.tok, u->z.chat, err);
    if (st)
        return st;
    dataset_report_print(&u->train.report, &report);
    if (!quiet)
        fprintf(stderr, "%s: rows for training\n%s", o.path, report.p ? report.p : "");
    text_finish(&report);
    if (s->val_path && (s->train.val || path_exists(s->val_path))) {
        o.path = s->val_path;
        st = dataset_load(&u->val, &o, u->z.tok, u->z.chat, err);
    } else if (s->train.val_split > 0) {
        st = dataset_split(&u->train, &u->val, s->train.val_split, (uint64_t)s->train.seed, err);
    }
    if (st)
        return st;
    return plan_data_of(&u->data, &u->train, u->val.n ? &u->val : NULL, &s->train, err);
}

void setup_input(setup *u, const settings *s)
{
    const bool full = s->train.method == 1;
    u->model = (model_options){
        .dir = s->top.model,
        .train = full ? TRAIN_FULL : TRAIN_LORA,
        .adapter = full ? NULL : &s->adapter,
        .adapter_dir = full ? NULL : s->adapter.init,
        .seed = (uint64_t)s->train.seed,
        .fresh = s->train.fresh,
        .seq_len = s->train.seq_len,
        .batch = s->train.batch,
        .max_sequences = u->data.max_sequences,
    };
    u->optimizer = json_string_value(json_object_get(s->optimizer, "name"));
    if (!u->optimizer)
        u->optimizer = "adamw";
    json_decref(u->optimizer_options);
    u->optimizer_options = json_copy(s->optimizer);
    (void)json_object_del(u->optimizer_options, "name");
    u->input = (plan_input){
        .train = &s->train,
        .model = &u->model,
        .back = u->z.back,
        .plugins = u->z.plugins,
        .optimizer = u->optimizer,
        .optimizer_options = u->optimizer_options,
        .adapter = &s->adapter,
        .data = &u->data,
        .rates = &u->rates,
        .memory = u->input.memory,
        .device = u->input.device,
    };
}

void setup_finish(setup *u)
{
    json_decref(u->optimizer_options);
    dataset_finish(&u->train);
    dataset_finish(&u->val);
    session_close(&u->z);
}

hone_status parse_bytes(int64_t *out, const char *words, const char *setting, hone_error *err)
{
    static const struct {
        const char *unit;
        double bytes;
    } units[] = { { "", 1 },       { "B", 1 },           { "kB", 1e3 },
                  { "MB", 1e6 },   { "GB", 1e9 },        { "TB", 1e12 },
                  { "KiB", 1024 }, { "MiB", 1048576.0 }, { "GiB", 1073741824.0 } };
    char *end = NULL;
    const double number = words ? strtod(words, &end) : 0;
    if (!words) {
        *out = 0;
        return HONE_OK;
    }
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (end != words && strcmp(end, units[i].unit) == 0 && number > 0 &&
            number * units[i].bytes < 9e18) {
            *out = (int64_t)(number * units[i].bytes);
            return HONE_OK;
        }
    return hone_fail(err, HONE_ERR_ARG, "%s: \"%.40s\": expected a size such as 8GB or 512MB",
                     setting, words);
}
