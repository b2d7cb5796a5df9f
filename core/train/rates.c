/*
 * rates.c - what this machine reaches, measured once and kept.
 *
 * One JSON file per user, hone/rates.json in XDG_CACHE_HOME or ~/.cache:
 *   {"version": 1, "machines": {"<processor>, 2 threads": {"cpu/fp32": {..rates..,
 *    "runs": {"lora": {"correction": 1.07, "steps": ..}}}}}}
 * It only saves time: what is missing, damaged or of another version is measured again, and
 * a file that cannot be written costs the next plan a second or two.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1

static char *rates_path(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *dir = NULL, *path = NULL;
    if (cache && cache[0] == '/')
        dir = mem_strdup(cache);
    else if (home && home[0] == '/')
        dir = path_join(home, ".cache");
    if (dir)
        path = path_join(dir, "hone/rates.json");
    free(dir);
    return path;
}

/* The file's content, or an empty one. A new reference; NULL: no memory. */
static json_t *rates_read(const char *path)
{
    json_t *root = NULL;
    if (path && path_exists(path) && json_read(&root, path, NULL) == HONE_OK &&
        json_integer_value(json_object_get(root, "version")) == VERSION)
        return root;
    json_decref(root);
    return json_pack("{s:i, s:{}}", "version", VERSION, "machines");
}

static json_t *member(json_t *object, const char *key)
{
    json_t *inner = json_object_get(object, key);
    if (!json_is_object(inner) && object) {
        inner = json_object();
        if (json_object_set_new(object, key, inner))
            inner = NULL;
    }
    return inner;
}

/* The object of this machine and backend, made when it is not there. Borrowed. */
static json_t *rates_of(json_t *root, const backend *b)
{
    const hone_dev_info *info = backend_info(b);
    char machine[sizeof info->name + 32];
    (void)snprintf(machine, sizeof machine, "%s, %u threads", info->name, (unsigned)info->threads);
    return member(member(member(root, "machines"), machine), backend_spec(b));
}

static void rates_write(json_t *root, const char *path)
{
    hone_error err = { 0 };
    char *dir = path ? path_dir(path) : NULL;
    hone_status st = HONE_OK;
    if (!dir)
        return;
    st = dir_make(dir, &err);
    if (!st)
        st = json_write(root, path, &err);
    if (st)
        log_line(HONE_LOG_INFO, "rates are not kept: %s", err.message);
    free(dir);
}

/* ------------------------------------------------------------------ speed as JSON */

static const struct {
    const char *name;
    size_t offset;
    int n;
} rows[] = {
    { "linear", offsetof(speed, linear), SPEED_WIDTHS },
    { "linear_back", offsetof(speed, linear_back), SPEED_WIDTHS },
    { "gradient", offsetof(speed, gradient), SPEED_WIDTHS },
    { "thin", offsetof(speed, thin), 1 },
    { "attention", offsetof(speed, attention), 1 },
    { "attention_back", offsetof(speed, attention_back), 1 },
    { "bytes", offsetof(speed, bytes), 1 },
};

static bool speed_read(speed *out, const json_t *from)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const json_t *list = json_object_get(from, rows[i].name);
        for (int k = 0; k < rows[i].n; k++) {
            const double value = json_number_value(json_array_get(list, (size_t)k));
            if (!(value > 0) || !isfinite(value))
                return false;
            memcpy((char *)out + rows[i].offset + (size_t)k * sizeof value, &value, sizeof value);
        }
    }
    return true;
}

static void speed_write(json_t *to, const speed *s)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *list = json_array();
        for (int k = 0; k < rows[i].n; k++) {
            double value;
            memcpy(&value, (const char *)s + rows[i].offset + (size_t)k * sizeof value,
                   sizeof value);
            (void)json_array_append_new(list, json_real(value));
        }
        (void)json_object_set_new(to, rows[i].name, list);
    }
}

/* ----------------------------------------------------------------------- the door */

hone_status rates_get(plan_rates *out, backend *b, const char *kind, bool again, hone_error *err)
{
    char *path = rates_path();
    json_t *root = rates_read(path), *mine = root ? rates_of(root, b) : NULL;
    plan_rates got = { .correction = 1 };
    hone_status st = HONE_OK;
    if (!mine) {
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for rates");
        goto out;
    }
    if (again || !speed_read(&got.speed, mine)) {
        log_line(HONE_LOG_INFO, "measuring %s: a moment", backend_spec(b));
        st = backend_measure(b, &got.speed, err);
        if (st)
            goto out;
        (void)json_object_clear(mine);
        speed_write(mine, &got.speed);
        rates_write(root, path);
    }
    const double correction = json_number_value(
        json_object_get(json_object_get(json_object_get(mine, "runs"), kind), "correction"));
    if (correction > 0.01 && correction < 100)
        got.correction = correction;
    got.known = true;
    *out = got;
out:
    json_decref(root);
    free(path);
    return st;
}

void rates_refine(backend *b, const char *kind, const plan_rates *used, double predicted,
                  double measured)
{
    char *path;
    json_t *root, *run;
    if (!used->known || !(predicted > 0) || !(measured > 0))
        return;
    path = rates_path();
    root = rates_read(path);
    run = root ? member(member(rates_of(root, b), "runs"), kind) : NULL;
    if (run) {
        const double whole = used->correction * measured / predicted;
        const int64_t runs = (int64_t)json_integer_value(json_object_get(run, "count"));
        /* the first run counts whole, later ones half: loads and models differ */
        const double next = runs ? sqrt(used->correction * whole) : whole;
        (void)json_object_set_new(run, "correction", json_real(next));
        (void)json_object_set_new(run, "count", json_integer(runs + 1));
        rates_write(root, path);
    }
    json_decref(root);
    free(path);
}
