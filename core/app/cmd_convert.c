/*
 * cmd_convert.c - hone convert: the base model in the numbers of another weight format.
 *
 * A base of four bits that was converted once is read as it is, in a quarter of the time and
 * of the disk. config.json comes last: a folder without one was not finished.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/app/app.h"

#define SHARD_BYTES ((int64_t)5 << 30)

/* The folder is made by us: nothing of another model may stay in it. */
static hone_status check_target(const char *out, hone_error *err)
{
    char *config = path_join(out, "config.json");
    hone_status st = HONE_OK;
    if (!config)
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", out);
    else if (path_exists(config))
        st = hone_fail(err, HONE_ERR_STATE,
                       "%s holds a model; name a folder that does not exist, or remove it", out);
    free(config);
    return st;
}

static hone_status run(settings *s, const arguments *a, hone_error *err)
{
    session z = { 0 };
    text size = { 0 };
    hone_status st;
    if (a->n != 1)
        return hone_fail(err, HONE_ERR_ARG, "hone convert: expected one folder to write, OUT");
    if (!s->top.model)
        return hone_fail(err, HONE_ERR_ARG,
                         "no model: set \"model\" in hone.json, or --model FOLDER (a Hugging Face "
                         "model folder)");
    if ((st = check_target(a->items[0], err)) || (st = session_plugins(&z, s, err)) ||
        (st = backend_open(&z.back, z.plugins, s->top.backend, s->device, s->weights, err)))
        goto out;
    const model_options o = { .dir = s->top.model, .train = TRAIN_NONE };
    if ((st = model_open(&z.net, z.back, &o, err)) ||
        (st = model_save_stored(z.net, a->items[0], SHARD_BYTES, err)))
        goto out;
    print_bytes(&size, (double)model_bytes_of(z.net, BYTES_WEIGHTS));
    log_line(HONE_LOG_INFO, "%s: %s of weights as %s stores them", a->items[0],
             size.p ? size.p : "", s->top.backend);
out:
    text_finish(&size);
    session_close(&z);
    return st;
}

const command cmd_convert = {
    .name = "convert",
    .operands = "OUT",
    .summary = "the base model as the backend's format stores it",
    .sections = "device weights",
    .run = run,
};
