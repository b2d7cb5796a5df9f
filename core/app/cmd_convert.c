/*
 * cmd_convert.c - hone convert: the base model in the numbers of another weight format.
 *
 * A base of four bits that was converted once is read as it is, in a quarter of the time and
 * of the disk. The folder appears whole or not at all; a full disk or a kill leaves no half model.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "core/app/app.h"

#define SHARD_BYTES ((int64_t)5 << 30)

/* The folder is put in place whole: nothing else may be in it. */
static hone_status check_target(const char *out, hone_error *err)
{
    const struct dirent *entry = NULL;
    DIR *d;
    if (!path_exists(out))
        return HONE_OK;
    d = opendir(out);
    while (d && (entry = readdir(d)) != NULL &&
           (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0))
        continue;
    if (d)
        closedir(d);
    return d && !entry
               ? HONE_OK
               : hone_fail(err, HONE_ERR_STATE,
                           "%s is there and not empty; name a folder that does not exist, or "
                           "remove it",
                           out);
}

/* "x/y/" as "x/y": a suffix is put to it. */
static hone_status path_trimmed(char **out, const char *path, hone_error *err)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    *out = mem_strndup(path, n);
    return *out ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", path);
}

static hone_status run(settings *s, const arguments *a, hone_error *err)
{
    session z = { 0 };
    text size = { 0 };
    char *out = NULL, *tmp = NULL;
    hone_status st;
    if (a->n != 1)
        return hone_fail(err, HONE_ERR_ARG, "hone convert: expected one folder to write, OUT");
    if (!s->top.model)
        return hone_fail(err, HONE_ERR_ARG,
                         "no model: set \"model\" in hone.json, or --model FOLDER (a Hugging Face "
                         "model folder)");
    if ((st = path_trimmed(&out, a->items[0], err)) || (st = check_target(out, err)) ||
        (st = session_plugins(&z, s, err)) ||
        (st = backend_open(&z.back, z.plugins, s->top.backend, s->device, s->weights, err)))
        goto out;
    const model_options o = { .dir = s->top.model, .train = TRAIN_NONE };
    if ((st = model_open(&z.net, z.back, &o, err)) || (st = folder_sweep_beside(out, err)) ||
        (st = folder_begin(&tmp, out, err)) ||
        (st = model_save_stored(z.net, tmp, SHARD_BYTES, err)) ||
        (st = folder_commit(tmp, out, err)))
        goto out;
    free(tmp);
    tmp = NULL;
    print_bytes(&size, (double)model_bytes_of(z.net, BYTES_WEIGHTS));
    log_line(HONE_LOG_INFO, "%s: %s of weights as %s stores them", out, size.p ? size.p : "",
             s->top.backend);
out:
    folder_abort(tmp);
    free(tmp);
    free(out);
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
