/*
 * checkpoint.c - checkpoint-<step>/: all that a run needs to go on, complete or absent.
 *
 *   params.safetensors     every trained parameter, float32
 *   optimizer.safetensors  every state of every parameter, "<parameter>.<state>", and scales
 *   state.json             position in the data, best so far, identity of the run
 *   DONE                   bytes and SHA-256 of the others; written last
 *
 * The folder is filled under another name and renamed, and DONE is checked before a
 * checkpoint is used: one that a disk has damaged since is passed over as well.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/parts.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FORMAT 1
#define STAGING ((size_t)4 << 20) /* bytes downloaded at once */
#define PREFIX "checkpoint-"

static const char *const checked_files[] = { "params.safetensors", "optimizer.safetensors",
                                             "state.json" };
#define N_CHECKED (sizeof checked_files / sizeof *checked_files)

static char *folder_of(const char *dir, int64_t step, hone_error *err)
{
    text t = { 0 };
    text_printf(&t, "%s/" PREFIX "%" PRId64, dir, step);
    if (text_status(&t, err)) {
        text_finish(&t);
        return NULL;
    }
    return t.p;
}

/* --------------------------------------------------------------------- saving */

/* A tensor's bytes from the device into the file. what: refused when not finite. */
static hone_status add_tensor(st_writer *w, ops *o, hone_tensor t, void *staging, const char *what,
                              hone_error *err)
{
    const uint64_t bytes = (uint64_t)hone_tensor_count(&t) * hone_dtype_size(t.dtype);
    uint64_t at, k;
    for (at = 0; at < bytes; at += k) {
        hone_status st;
        size_t i;
        k = bytes - at < STAGING ? bytes - at : STAGING;
        st = ops_download(o, staging, t.buf, t.offset + at, k, err);
        if (st)
            return st;
        for (i = 0; what && i < k / sizeof(float); i++)
            if (!isfinite(((const float *)staging)[i]))
                return hone_fail(
                    err, HONE_ERR_NUMERIC,
                    "%s is not finite at element %" PRIu64
                    "; no checkpoint was written, the last one is good: lower train.lr",
                    what, at / sizeof(float) + i);
        st = st_writer_add(w, staging, (size_t)k, err);
        if (st)
            return st;
    }
    return HONE_OK;
}

static hone_status save_params(const char *path, model *m, void *staging, hone_error *err)
{
    st_writer *w = NULL;
    size_t i;
    hone_status st = st_writer_open(&w, path, err);
    for (i = 0; !st && i < model_param_count(m); i++) {
        const param *p = model_param(m, i);
        const int64_t shape[2] = { p->rows, p->cols };
        st = st_writer_declare(w, p->name, HONE_F32, 2, shape, err);
    }
    for (i = 0; !st && i < model_param_count(m); i++)
        st = add_tensor(w, model_ops(m), model_param(m, i)->value, staging, model_param(m, i)->name,
                        err);
    if (st) {
        st_writer_abort(w);
        return st;
    }
    return st_writer_commit(w, err);
}

static hone_status add_state(st_writer *w, optimizer *opt, size_t index, uint64_t bytes,
                             void *staging, hone_error *err)
{
    uint64_t at, k;
    hone_status st = HONE_OK;
    for (at = 0; !st && at < bytes; at += k) {
        k = bytes - at < STAGING ? bytes - at : STAGING;
        st = optimizer_read(opt, index, at, staging, k, err);
        if (!st)
            st = st_writer_add(w, staging, (size_t)k, err);
    }
    return st;
}

static hone_status save_states(const char *path, optimizer *opt, void *staging, hone_error *err)
{
    const size_t n = optimizer_saved_count(opt);
    st_writer *w = NULL;
    text name = { 0 };
    saved_state s;
    size_t i;
    hone_status st = st_writer_open(&w, path, err);
    for (i = 0; !st && i < n; i++) {
        st = optimizer_saved(opt, i, &s, &name, err);
        if (!st)
            st = st_writer_declare(w, name.p, s.dtype, s.rank, s.shape, err);
    }
    for (i = 0; !st && i < n; i++) {
        st = optimizer_saved(opt, i, &s, &name, err);
        if (!st)
            st = add_state(w, opt, i, s.bytes, staging, err);
    }
    text_finish(&name);
    if (st) {
        st_writer_abort(w);
        return st;
    }
    return st_writer_commit(w, err);
}

static hone_status save_done(const char *folder, hone_error *err)
{
    json_t *files = json_object(), *root = NULL;
    char *path = path_join(folder, "DONE");
    size_t i;
    hone_status st = HONE_OK;
    for (i = 0; !st && i < N_CHECKED; i++) {
        char *file = path_join(folder, checked_files[i]);
        struct stat info;
        char hex[65];
        st = file ? sha256_file(file, hex, err) : hone_fail(err, HONE_ERR_NOMEM, "no memory");
        if (!st && stat(file, &info) != 0)
            st = hone_fail(err, HONE_ERR_IO, "%s: %s", file, strerror(errno));
        if (!st && json_object_set_new(
                       files, checked_files[i],
                       json_pack("{s:I, s:s}", "bytes", (json_int_t)info.st_size, "sha256", hex)))
            st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", folder);
        free(file);
    }
    if (!st) {
        root = json_pack("{s:i, s:O}", "format", FORMAT, "files", files);
        st = root && path ? json_write(root, path, err)
                          : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", folder);
    }
    json_decref(files);
    json_decref(root);
    free(path);
    return st;
}

hone_status checkpoint_save(const char *dir, model *m, optimizer *opt, const run_state *s,
                            const json_t *identity, hone_error *err)
{
    char *folder = folder_of(dir, s->step, err), *tmp = NULL, *params = NULL, *states = NULL,
         *position = NULL;
    void *staging = mem_new(STAGING, 1);
    json_t *root = json_pack("{s:i, s:o, s:O}", "format", FORMAT, "state", run_state_to_json(s),
                             "identity", identity);
    hone_status st = HONE_OK;
    if (!folder || !staging || !root) {
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for a checkpoint", dir);
        goto out;
    }
    st = folder_begin(&tmp, folder, err);
    if (st)
        goto out;
    params = path_join(tmp, checked_files[0]);
    states = path_join(tmp, checked_files[1]);
    position = path_join(tmp, checked_files[2]);
    if (!params || !states || !position) {
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for a checkpoint", dir);
        goto out;
    }
    st = save_params(params, m, staging, err);
    if (!st)
        st = save_states(states, opt, staging, err);
    if (!st)
        st = json_write(root, position, err);
    if (!st)
        st = save_done(tmp, err);
    if (!st)
        st = folder_commit(tmp, folder, err);
out:
    if (st)
        folder_abort(tmp);
    json_decref(root);
    free(staging);
    free(params);
    free(states);
    free(position);
    free(tmp);
    free(folder);
    return st;
}

/* -------------------------------------------------------------------- finding */

static int newest_first(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Steps of all folders called checkpoint-<digits>, newest first; *steps is the caller's. */
static hone_status list_steps(int64_t **steps, size_t *n, const char *dir, hone_error *err)
{
    const struct dirent *entry;
    int64_t *list = NULL;
    size_t cap = 0, count = 0;
    hone_status st = HONE_OK;
    DIR *d = opendir(dir);
    if (!d)
        return hone_fail(err, HONE_ERR_IO, "%s: %s", dir, strerror(errno));
    while ((entry = readdir(d)) != NULL) {
        const char *digits = entry->d_name + sizeof PREFIX - 1;
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0 || !digits[0] ||
            strspn(digits, "0123456789") != strlen(digits) || strlen(digits) > 18)
            continue;
        if (!mem_grow(&list, &cap, count + 1, sizeof *list)) {
            st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", dir);
            break;
        }
        list[count++] = strtoll(digits, NULL, 10);
    }
    closedir(d);
    if (st) {
        free(list);
        return st;
    }
    if (count)
        qsort(list, count, sizeof *list, newest_first);
    *steps = list;
    *n = count;
    return HONE_OK;
}

/* Is the checkpoint what its DONE says? err is the reason when not. */
static hone_status check_done(const char *folder, hone_error *err)
{
    char *path = path_join(folder, "DONE");
    json_t *root = NULL;
    size_t i;
    hone_status st = path ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", folder);
    if (!st)
        st = json_read(&root, path, err);
    if (!st && json_integer_value(json_object_get(root, "format")) != FORMAT)
        st = hone_fail(err, HONE_ERR_FORMAT, "%s: format is not %d", path, FORMAT);
    for (i = 0; !st && i < N_CHECKED; i++) {
        const json_t *file_row = json_object_get(json_object_get(root, "files"), checked_files[i]);
        const char *want = json_string_value(json_object_get(file_row, "sha256"));
        char *file = path_join(folder, checked_files[i]);
        char hex[65] = "";
        st = file ? sha256_file(file, hex, err) : hone_fail(err, HONE_ERR_NOMEM, "no memory");
        if (!st && (!want || strcmp(hex, want) != 0))
            st = hone_fail(err, HONE_ERR_FORMAT, "%s: its bytes are not those that were written",
                           file);
        free(file);
    }
    json_decref(root);
    free(path);
    return st;
}

hone_status checkpoint_find(const char *dir, int64_t *step, hone_error *err)
{
    int64_t *steps = NULL, found = 0;
    size_t n = 0, i;
    hone_status st = list_steps(&steps, &n, dir, err);
    for (i = 0; !st && !found && i < n; i++) {
        hone_error why = { 0 };
        char *folder = folder_of(dir, steps[i], err);
        if (!folder)
            st = HONE_ERR_NOMEM;
        else if (check_done(folder, &why) == HONE_OK)
            found = steps[i];
        else
            log_line(HONE_LOG_WARN, "%s: not complete, passed over: %s", folder, why.message);
        free(folder);
    }
    free(steps);
    if (!st)
        *step = found;
    return st;
}

hone_status checkpoint_prune(const char *dir, int64_t step, int64_t keep, int64_t best_step,
                             hone_error *err)
{
    int64_t *steps = NULL, kept = 0;
    size_t n = 0, i;
    hone_status st = list_steps(&steps, &n, dir, err);
    for (i = 0; !st && i < n; i++) {
        char *folder = NULL;
        if (steps[i] > step) /* damaged: step was the newest good one */
            continue;
        if (kept < keep) {
            kept++;
            continue;
        }
        if (steps[i] == best_step)
            continue;
        folder = folder_of(dir, steps[i], err);
        st = folder ? folder_remove(folder, err) : HONE_ERR_NOMEM;
        free(folder);
    }
    free(steps);
    return st;
}

/* -------------------------------------------------------------------- loading */

hone_status checkpoint_read(const char *dir, int64_t step, run_state *s, json_t **identity,
                            hone_error *err)
{
    char *folder = folder_of(dir, step, err), *path = NULL;
    json_t *root = NULL, *id = NULL;
    run_state got = { 0 };
    hone_status st = HONE_OK;
    if (!folder || !(path = path_join(folder, "state.json"))) {
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", dir);
        goto out;
    }
    st = json_read(&root, path, err);
    if (!st)
        st = run_state_from_json(&got, json_object_get(root, "state"), path, err);
    if (st)
        goto out;
    id = json_object_get(root, "identity");
    if (!json_is_object(id) || got.step != step) {
        st = hone_fail(err, HONE_ERR_FORMAT, "%s: no identity, or the state of another step", path);
        goto out;
    }
    *s = got;
    *identity = json_incref(id);
out:
    json_decref(root);
    free(path);
    free(folder);
    return st;
}

/* The tensor of this name, which has to have this type and these bytes. */
static hone_status find_tensor(const st_tensor **out, const st_file *f, const char *path,
                               const char *name, uint32_t dtype, uint64_t bytes, hone_error *err)
{
    const st_tensor *t = st_find(f, name);
    if (!t)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: %s is missing", path, name);
    if (t->dtype != dtype || t->bytes != bytes)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: %s has %" PRIu64 " bytes of type %u, expected %" PRIu64 " of %u",
                         path, name, t->bytes, t->dtype, bytes, dtype);
    *out = t;
    return HONE_OK;
}

/* A file of another run may hold all that is asked for, and more. */
static hone_status check_count(const st_file *f, const char *path, size_t n, hone_error *err)
{
    if (st_count(f) == n)
        return HONE_OK;
    return hone_fail(err, HONE_ERR_FORMAT, "%s: has %zu tensors, expected %zu", path, st_count(f),
                     n);
}

static hone_status load_params(const st_file *f, const char *path, model *m, hone_error *err)
{
    size_t i;
    hone_status st = check_count(f, path, model_param_count(m), err);
    for (i = 0; !st && i < model_param_count(m); i++) {
        const param *p = model_param(m, i);
        const uint64_t bytes = (uint64_t)hone_tensor_count(&p->value) * sizeof(float);
        const st_tensor *t = NULL;
        st = find_tensor(&t, f, path, p->name, HONE_F32, bytes, err);
        if (!st)
            st = ops_upload(model_ops(m), p->value.buf, p->value.offset, t->p, bytes, err);
    }
    return st;
}

static hone_status load_states(const st_file *f, const char *path, optimizer *opt, hone_error *err)
{
    text name = { 0 };
    size_t i;
    hone_status st = check_count(f, path, optimizer_saved_count(opt), err);
    for (i = 0; !st && i < optimizer_saved_count(opt); i++) {
        const st_tensor *t = NULL;
        saved_state s;
        st = optimizer_saved(opt, i, &s, &name, err);
        if (!st)
            st = find_tensor(&t, f, path, name.p, s.dtype, s.bytes, err);
        if (!st)
            st = optimizer_write(opt, i, 0, t->p, s.bytes, err);
    }
    text_finish(&name);
    return st;
}

hone_status checkpoint_load(const char *dir, int64_t step, model *m, optimizer *opt,
                            hone_error *err)
{
    char *folder = folder_of(dir, step, err);
    hone_status st = folder ? HONE_OK : HONE_ERR_NOMEM;
    int i;
    for (i = 0; !st && i < (opt ? 2 : 1); i++) {
        char *path = path_join(folder, checked_files[i]);
        st_file *f = NULL;
        st = path ? st_open(&f, path, err) : hone_fail(err, HONE_ERR_NOMEM, "no memory");
        if (!st)
            st = i ? load_states(f, path, opt, err) : load_params(f, path, m, err);
        if (!st)
            st = ops_sync(model_ops(m), err); /* what is uploaded is mapped */
        st_close(f);
        free(path);
    }
    model_params_changed(m);
    free(folder);
    return st;
}
