/*
 * options.c - config structs filled from rows: defaults, then what the user set.
 *
 * A value is parsed and checked completely (options_value.c) before it is stored, so
 * that a refused one leaves the old one in place.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/options.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* "train.lr" in a small buffer; the whole of it goes into messages only. */
typedef struct label {
    char p[128];
} label;

static label label_of(const char *section, const char *name)
{
    label l;
    (void)snprintf(l.p, sizeof l.p, "%s%s%s", section ? section : "",
                   section && section[0] ? "." : "", name);
    return l;
}

static void store(options *o, size_t i, const option_value *v, void *owned)
{
    memcpy((char *)o->config + o->table[i].offset, v, options_size(o->table[i].type));
    free(o->owned[i]);
    o->owned[i] = owned;
}

static size_t count_rows(const hone_option *table)
{
    size_t n = 0;
    while (table && table[n].name)
        n++;
    return n;
}

/* The folder `dir` as an absolute path, without links where it exists; NULL: the working folder. */
static hone_status absolute(char **out, const char *dir, hone_error *err)
{
    char *cwd = NULL;
    *out = dir && dir[0] ? realpath(dir, NULL) : NULL;
    if (*out)
        return HONE_OK;
    if (dir && dir[0] == '/') {
        *out = mem_strdup(dir);
    } else {
        cwd = getcwd(NULL, 0);
        if (!cwd)
            return hone_fail(err, HONE_ERR_IO, "the working folder: %s", strerror(errno));
        *out = dir && dir[0] && strcmp(dir, ".") != 0 ? path_join(cwd, dir) : mem_strdup(cwd);
        free(cwd);
    }
    return *out ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "no memory for a path");
}

static hone_status set_default(options *o, size_t i, hone_error *err)
{
    const hone_option *row = &o->table[i];
    const label at = label_of(o->section, row->name);
    option_value v = { .list = { NULL, 0 } };
    void *owned = NULL;
    hone_status status;
    if (!options_size(row->type))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: unknown option type %u", at.p, row->type);
    if (row->type == HONE_OPT_ENUM && !(row->choices && row->choices[0]))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: an enum without choices", at.p);
    if (row->def) {
        status = option_parse_text(row, at.p, row->def, o->base, &v, &owned, err);
        if (status) {
            (void)hone_prefix(err, "default");
            return status;
        }
    } else if (row->type != HONE_OPT_STRING && row->type != HONE_OPT_PATH &&
               row->type != HONE_OPT_LIST && row->type != HONE_OPT_PATHS) {
        return hone_fail(err, HONE_ERR_FORMAT, "%s: the option has no default", at.p);
    }
    store(o, i, &v, owned);
    return HONE_OK;
}

hone_status options_init(options *o, const hone_option *table, void *config, const char *section,
                         const char *base, hone_error *err)
{
    const size_t n = count_rows(table);
    options fresh = { .table = table, .config = config, .section = section ? section : "" };
    size_t i;
    hone_status status = absolute(&fresh.base, base, err);
    if (status)
        return status;
    fresh.given = mem_new(n, sizeof *fresh.given);
    fresh.owned = mem_new(n, sizeof *fresh.owned);
    if (!fresh.given || !fresh.owned)
        status = hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu options", n);
    for (i = 0; i < n && !status; i++)
        status = set_default(&fresh, i, err);
    if (status) {
        options_finish(&fresh);
        return status;
    }
    *o = fresh;
    return HONE_OK;
}

void options_finish(options *o)
{
    const size_t n = o->owned ? count_rows(o->table) : 0;
    size_t i;
    for (i = 0; i < n; i++)
        free(o->owned[i]);
    free(o->owned);
    free(o->given);
    free(o->base);
    *o = (options){ 0 };
}

static bool find_row(const options *o, const char *name, size_t *i)
{
    const size_t n = count_rows(o->table);
    for (*i = 0; *i < n; ++*i)
        if (strcmp(o->table[*i].name, name) == 0)
            return true;
    return false;
}

static hone_status unknown(const options *o, const char *name, hone_error *err)
{
    const size_t n = count_rows(o->table);
    const label at = label_of(o->section, name);
    const char **names = mem_new(n, sizeof *names), *near;
    text known = { 0 };
    hone_status status;
    size_t i;
    if (!names)
        return hone_fail(err, HONE_ERR_NOMEM, "unknown option '%s'", at.p);
    for (i = 0; i < n; i++) {
        names[i] = o->table[i].name;
        text_printf(&known, "%s%s", i ? ", " : "", names[i]);
    }
    near = nearest_name(name, names, n);
    if (near) {
        const label good = label_of(o->section, near);
        status =
            hone_fail(err, HONE_ERR_ARG, "unknown option '%s'; did you mean '%s'?", at.p, good.p);
    } else if (n) {
        status = hone_fail(err, HONE_ERR_ARG, "unknown option '%s'; there are: %s", at.p,
                           known.failed ? "..." : known.p);
    } else {
        status = hone_fail(err, HONE_ERR_ARG, "unknown option '%s'; there are none", at.p);
    }
    text_finish(&known);
    free(names);
    return status;
}

hone_status options_set(options *o, const char *name, const char *s, hone_error *err)
{
    option_value v = { .list = { NULL, 0 } };
    void *owned = NULL;
    char *cwd = NULL;
    hone_status status;
    size_t i;
    if (!find_row(o, name, &i))
        return unknown(o, name, err);
    status = absolute(&cwd, NULL, err);
    if (!status)
        status =
            option_parse_text(&o->table[i], label_of(o->section, name).p, s, cwd, &v, &owned, err);
    free(cwd);
    if (status)
        return status;
    store(o, i, &v, owned);
    o->given[i] = true;
    return HONE_OK;
}

hone_status options_set_json(options *o, const char *name, const json_t *json, hone_error *err)
{
    option_value v = { .list = { NULL, 0 } };
    void *owned = NULL;
    hone_status status;
    size_t i;
    if (!find_row(o, name, &i))
        return unknown(o, name, err);
    status = option_parse_json(&o->table[i], label_of(o->section, name).p, json, o->base, &v,
                               &owned, err);
    if (status)
        return status;
    store(o, i, &v, owned);
    o->given[i] = true;
    return HONE_OK;
}

hone_status options_set_object(options *o, const json_t *object, const char *const *skip,
                               hone_error *err)
{
    json_t *root = (json_t *)(uintptr_t)object; /* Jansson's iterators are not const */
    const char *key;
    json_t *member;
    if (!json_is_object(object))
        return hone_fail(err, HONE_ERR_ARG, "%s: an object with options is needed",
                         o->section[0] ? o->section : "options");
    json_object_foreach(root, key, member)
    {
        hone_status status;
        size_t i = 0;
        while (skip && skip[i] && strcmp(skip[i], key) != 0)
            i++;
        if (skip && skip[i])
            continue;
        status = options_set_json(o, key, member, err);
        if (status)
            return status;
    }
    return HONE_OK;
}

bool options_given(const options *o, const char *name)
{
    size_t i;
    return find_row(o, name, &i) && o->given[i];
}
