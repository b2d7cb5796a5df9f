/*
 * result.c - what a run leaves: adapter/ or model/, and run.json.
 *
 * What is saved with the weights holds no time and no path of the run, so that the same
 * run gives the same bytes, interrupted or not. Times are in run.json.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/parts.h"

#include <inttypes.h>
#include <stdlib.h>

#define SHARD_BYTES ((int64_t)5 << 30)

uint32_t save_dtype_of(const model *m, const train_options *o)
{
    static const uint32_t given[] = { 0, HONE_F32, HONE_BF16, HONE_F16 }; /* of train.save_dtype */
    const char *own = model_config(m)->torch_dtype;
    if (given[o->save_dtype])
        return given[o->save_dtype];
    return own && strcmp(own, "bfloat16") == 0  ? HONE_BF16
           : own && strcmp(own, "float16") == 0 ? HONE_F16
                                                : HONE_F32;
}

static hone_status save_full(model *m, const char *dir, const train_options *o, const json_t *extra,
                             hone_error *err)
{
    char *path = path_join(dir, "hone.json");
    const uint32_t dtype = save_dtype_of(m, o);
    hone_status st = path ? model_save_full(m, dir, dtype, SHARD_BYTES, err)
                          : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", dir);
    if (!st)
        st = json_write(extra, path, err);
    if (!st)
        log_line(HONE_LOG_INFO, "weights are saved as %s (train.save_dtype)",
                 dtype == HONE_F32    ? "fp32"
                 : dtype == HONE_BF16 ? "bf16"
                                      : "fp16");
    free(path);
    return st;
}

hone_status result_save(const char *dir, model *m, const train_options *o, const json_t *extra,
                        hone_error *err)
{
    const bool lora = o->method == 0;
    char *path = path_join(dir, lora ? "adapter" : "model"), *tmp = NULL;
    hone_status st =
        path ? folder_begin(&tmp, path, err) : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", dir);
    if (!st)
        st = lora ? model_save_adapter(m, tmp, extra, err) : save_full(m, tmp, o, extra, err);
    if (!st)
        st = folder_commit(tmp, path, err);
    else
        folder_abort(tmp);
    free(tmp);
    free(path);
    return st;
}

/* ------------------------------------------------------------------ documents */

/* Rows of no file come last. */
static int by_file(const void *a, const void *b)
{
    const row *const x = *(const row *const *)a, *const y = *(const row *const *)b;
    if (!x->file || !y->file)
        return (x->file == NULL) - (y->file == NULL);
    return strcmp(x->file, y->file);
}

json_t *documents_json(const dataset *d)
{
    const row **rows = mem_new(d->n, sizeof *rows);
    json_t *list = json_array();
    size_t i, end;
    for (i = 0; rows && i < d->n; i++)
        rows[i] = &d->rows[i];
    if (rows && d->n)
        qsort(rows, d->n, sizeof *rows, by_file);
    for (i = 0; rows && list && i < d->n; i = end) {
        int64_t learned = 0;
        for (end = i; end < d->n && by_file(&rows[i], &rows[end]) == 0; end++)
            learned += rows[end]->n_learned;
        if (json_array_append_new(list, json_pack("{s:s?, s:I, s:I}", "file", rows[i]->file, "rows",
                                                  (json_int_t)(end - i), "learned_tokens",
                                                  (json_int_t)learned))) {
            json_decref(list);
            list = NULL;
        }
    }
    if (!rows) {
        json_decref(list);
        list = NULL;
    }
    free(rows);
    return list;
}

/* ------------------------------------------------------------------- run.json */

static json_t *kernels_json(model *m)
{
    ops_path rows[32];
    const size_t n = ops_paths(model_ops(m), rows, sizeof rows / sizeof *rows);
    json_t *object = json_object();
    size_t i;
    for (i = 0; i < n; i++)
        (void)json_object_set_new(object, rows[i].op, json_string(rows[i].path));
    return object;
}

static json_t *data_json(const dataset *d)
{
    return d ? json_pack("{s:s, s:I, s:o}", "hash", d->hash, "rows", (json_int_t)d->n, "report",
                         dataset_report_json(&d->report))
             : json_null();
}

static json_t *result_json(const train_result *r)
{
    char base[17];
    if (!r)
        return json_null();
    (void)snprintf(base, sizeof base, "%016" PRIx64, r->base_hash);
    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:f, s:f, s:I, s:I, s:s}", "stopped",
                     r->stopped, "steps", (json_int_t)r->steps, "epochs", (json_int_t)r->epochs,
                     "first_loss", json_real_or_null(r->first_loss), "last_loss",
                     json_real_or_null(r->last_loss), "first_val", json_real_or_null(r->first_val),
                     "best_val", json_real_or_null(r->best_val), "best_step",
                     (json_int_t)r->best_step, "seconds", r->seconds, "tokens_per_second",
                     r->tokens_per_second, "model_bytes", (json_int_t)r->model_bytes,
                     "peak_host_bytes", (json_int_t)r->peak_host_bytes, "base_hash", base);
}

hone_status run_file_write(const char *dir, const json_t *identity, const json_t *config, model *m,
                           const dataset *train, const dataset *val, const train_result *result,
                           hone_error *err)
{
    const hone_dev_info *device = ops_info(model_ops(m));
    char *path = path_join(dir, "run.json");
    json_t *root =
        json_pack("{s:s, s:O?, s:O, s:{s:s, s:s, s:I}, s:o, s:o, s:o, s:o, s:o}", "hone",
                  HONE_VERSION, "config", config, "identity", identity, "device", "type",
                  device->type, "name", device->name, "threads", (json_int_t)device->threads,
                  "kernels", kernels_json(m), "train", data_json(train), "val", data_json(val),
                  "documents", documents_json(train), "result", result_json(result));
    hone_status st = HONE_OK;
    if (!path || !root)
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for run.json", dir);
    if (!st)
        st = json_write(root, path, err);
    json_decref(root);
    free(path);
    return st;
}
