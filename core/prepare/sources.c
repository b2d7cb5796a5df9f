/*
 * sources.c - which files there are, which reader reads each, which recipes they go through.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fnmatch.h>
#include <stdlib.h>

#include "core/prepare/parts.h"

hone_status count_cause(json_t *causes, const char *key, json_int_t by, hone_error *err)
{
    const json_int_t before = json_integer_value(json_object_get(causes, key));
    json_int_t sum;
    if (__builtin_add_overflow(before, by, &sum)) /* a child may say anything */
        sum = INT64_MAX;
    if (json_object_set_new(causes, key, json_integer(sum)))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    return HONE_OK;
}

/* The reader of a file, added to the crew when it is new. HONE_ERR_NOTFOUND: none. */
static hone_status choose_reader(run *r, const char *path, size_t *index, hone_error *err)
{
    component_row found;
    hone_error none;
    if (registry_find_extension(&found, r->crew.plugins, HONE_KIND_READER, path, &none))
        return HONE_ERR_NOTFOUND;
    for (size_t i = 0; i < r->crew.n_readers; i++)
        if (r->readers[i].row.row == found.row) {
            *index = i;
            return HONE_OK;
        }
    char *name = registry_name(r->crew.plugins, found);
    if (!name ||
        !mem_grow(&r->readers, &r->cap_readers, r->crew.n_readers + 1, sizeof *r->readers)) {
        free(name);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for readers");
    }
    *index = r->crew.n_readers++;
    r->crew.readers = r->readers;
    r->readers[*index] = (reader_choice){
        .row = found, .name = name, .json = json_object_get(r->reader_options, found.row->component)
    };
    return HONE_OK;
}

static hone_status visit(void *ctx, const char *path, hone_error *err)
{
    run *r = ctx;
    size_t reader = 0;
    r->report->files++;
    for (uint64_t i = 0; i < r->o->exclude.n; i++)
        if (fnmatch(r->o->exclude.items[i], path, 0) == 0) {
            r->report->excluded++;
            return HONE_OK;
        }
    hone_status st = choose_reader(r, path, &reader, err);
    if (st == HONE_ERR_NOTFOUND) {
        const char *dot = strrchr(path_base(path), '.');
        r->report->no_reader++;
        return count_cause(r->no_reader,
                           dot && utf8_valid(dot, strlen(dot)) ? dot : "(no extension)", 1, err);
    }
    if (st)
        return st;
    if (!utf8_valid(path, strlen(path)))
        return hone_fail(err, HONE_ERR_FORMAT, "a file name is no UTF-8, near %.200s; rename it",
                         path_base(path));
    char *copy = mem_strdup(path);
    if (!copy || !mem_grow(&r->docs, &r->cap_docs, r->n_docs + 1, sizeof *r->docs)) {
        free(copy);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the list of files");
    }
    r->docs[r->n_docs++] = (document){ .path = copy, .shown = copy + r->hidden, .reader = reader };
    return HONE_OK;
}

/* Samples and reports name a file from its source's last part on ("docs/faq.md"), so that they
 * do not depend on where the folder lies. Sources of the same last part keep whole paths. */
static size_t hidden_part(const hone_list *sources, uint64_t i)
{
    const char *base = path_base(sources->items[i]);
    for (uint64_t k = 0; k < sources->n; k++)
        if (k != i && strcmp(path_base(sources->items[k]), base) == 0)
            return 0;
    return base[0] && strcmp(base, ".") != 0 && strcmp(base, "..") != 0
               ? (size_t)(base - sources->items[i])
               : 0;
}

hone_status list_documents(run *r, hone_error *err)
{
    if (!r->o->sources.n)
        return hone_fail(err, HONE_ERR_ARG,
                         "no documents: set prepare.sources to files or folders");
    for (uint64_t i = 0; i < r->o->sources.n; i++) {
        const char *source = r->o->sources.items[i];
        if (!path_exists(source))
            return hone_fail(err, HONE_ERR_IO, "prepare.sources: %s is not there", source);
        r->hidden = hidden_part(&r->o->sources, i);
        hone_status st = dir_walk(source, visit, r, err);
        if (st)
            return st;
    }
    return HONE_OK;
}

hone_status list_recipes(run *r, const json_t *recipe_options, hone_error *err)
{
    const hone_list *names = &r->o->recipes;
    if (!names->n)
        return hone_fail(err, HONE_ERR_ARG,
                         "no recipe: set prepare.recipes, for example to headings,raw");
    if (!(r->recipes = mem_new(names->n, sizeof *r->recipes)))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for recipes");
    r->crew.recipes = r->recipes;
    for (uint64_t i = 0; i < names->n; i++) {
        recipe_choice *c = &r->recipes[r->crew.n_recipes++];
        c->name = names->items[i];
        hone_status st = registry_find(&c->row, r->crew.plugins, HONE_KIND_RECIPE, c->name, err);
        if (st)
            return st;
        c->json = json_object_get(recipe_options, c->row.row->component);
    }
    return HONE_OK;
}

/* Options of a component that no document and no recipe list uses are a mistake in the recipe
 * section; readers may be configured for files that are not there today. */
hone_status check_recipe_options(const run *r, const json_t *recipe_options, hone_error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)recipe_options, name, value)
    {
        bool used = false;
        for (size_t i = 0; i < r->crew.n_recipes; i++)
            used |= strcmp(r->recipes[i].row.row->component, name) == 0;
        component_row found;
        hone_status st =
            used ? HONE_OK : registry_find(&found, r->crew.plugins, HONE_KIND_RECIPE, name, err);
        if (st)
            return st;
    }
    return HONE_OK;
}
