/*
 * sources.c - which documents there are, which reader reads each, which recipes they go through.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/prepare/exec.h"

#define MAX_CAUSES 500 /* of a count by words; the rest is one */
#define SNIFF 8000     /* bytes that are looked at for a NUL, as git does */

hone_status count_cause(json_t *causes, const char *key, json_int_t by, hone_error *err)
{
    if (!json_object_get(causes, key) && json_object_size(causes) >= MAX_CAUSES)
        key = "(others)";
    const json_int_t before = json_integer_value(json_object_get(causes, key));
    json_int_t sum;
    if (__builtin_add_overflow(before, by, &sum)) /* a child may say anything */
        sum = INT64_MAX;
    if (json_object_set_new(causes, key, json_integer(sum)))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    return HONE_OK;
}

/* ------------------------------------------------------------------------ readers */

static const char *const archive_endings[] = {
    ".zip",   ".tar", ".tgz",     ".tbz",    ".tbz2",    ".txz",      ".tzst",   ".tlz",
    ".taz",   ".gz",  ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.lzma", ".tar.lz", ".tar.lz4",
    ".tar.Z", ".bz2", ".xz",      ".zst",    ".lzma",    ".lz",       ".lz4",    ".Z",
};

static bool ends_with(const char *name, const char *ending)
{
    const size_t n = strlen(name), k = strlen(ending);
    return n > k && strcasecmp(name + n - k, ending) == 0;
}

size_t kind_of(const run *r, const char *name)
{
    component_row found;
    hone_error none;
    if (!registry_find_extension(&found, r->crew.plugins, HONE_KIND_READER, name, &none)) {
        for (size_t i = 0; i < r->crew.n_readers; i++)
            if (r->readers[i].row.row == found.row)
                return i;
        return KIND_NONE;
    }
    for (size_t i = 0;
         r->o->archive_depth && i < sizeof archive_endings / sizeof archive_endings[0]; i++)
        if (ends_with(name, archive_endings[i]))
            return KIND_ARCHIVE;
    return KIND_NONE;
}

static hone_status add_reader(run *r, component_row found, bool perhaps, hone_error *err)
{
    for (size_t i = 0; i < r->crew.n_readers; i++)
        if (r->readers[i].row.row == found.row) {
            r->readers[i].perhaps &= perhaps;
            return HONE_OK;
        }
    char *name = registry_name(r->crew.plugins, found);
    if (!name ||
        !mem_grow(&r->readers, &r->cap_readers, r->crew.n_readers + 1, sizeof *r->readers)) {
        free(name);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for readers");
    }
    r->readers[r->crew.n_readers++] = (reader_choice){
        .row = found,
        .name = name,
        .json = json_object_get(r->in->reader_options, found.row->component),
        .perhaps = perhaps,
    };
    r->crew.readers = r->readers;
    return HONE_OK;
}

/* Nobody knows what an archive holds before it is read. */
static hone_status add_all_readers(run *r, hone_error *err)
{
    hone_status st = HONE_OK;
    for (size_t i = 0; i < registry_n_plugins(r->crew.plugins); i++) {
        const plugin_file *file = registry_plugin(r->crew.plugins, i);
        for (size_t k = 0; k < file->note.n_rows && !st; k++)
            if (strcmp(file->note.rows[k].kind, HONE_KIND_READER) == 0)
                st = add_reader(r, (component_row){ file, &file->note.rows[k] }, true, err);
    }
    return st;
}

/* The reader of text that no other claims: the one named, or one that claims "*". */
static hone_status add_fallback(run *r, hone_error *err)
{
    const char *name = r->o->fallback;
    component_row found;
    hone_status st = HONE_OK;
    if (r->fallback != SIZE_MAX || (name && strcmp(name, "none") == 0))
        return HONE_OK;
    if (!name || !name[0]) {
        if (!registry_find_rest(&found, r->crew.plugins, HONE_KIND_READER))
            return HONE_OK;
    } else if ((st = registry_find(&found, r->crew.plugins, HONE_KIND_READER, name, err))) {
        return hone_prefix(err, "prepare.fallback");
    }
    if ((st = add_reader(r, found, false, err)))
        return st;
    for (size_t i = 0; i < r->crew.n_readers; i++)
        if (r->readers[i].row.row == found.row)
            r->fallback = i;
    return HONE_OK;
}

/* ------------------------------------------------------------------------ rules */

bool is_excluded(const run *r, const char *path)
{
    for (uint64_t i = 0; i < r->o->exclude.n; i++)
        if (fnmatch(r->o->exclude.items[i], path, 0) == 0)
            return true;
    return false;
}

/* --without FILE: by its path or its name in the report; a folder or an archive takes all of it. */
bool is_without(const run *r, const char *path, const char *shown)
{
    bool found = false;
    for (uint64_t i = 0; i < r->in->without.n; i++) {
        const char *const items[] = { r->in->without.items[i], r->without[i].path };
        const char *const names[] = { path, shown };
        for (size_t k = 0; k < 4; k++) {
            const char *item = items[k / 2], *name = names[k % 2];
            const size_t n = strlen(item);
            if (name && strncmp(name, item, n) == 0 && (name[n] == '\0' || name[n] == '/')) {
                r->without[i].hits++;
                found = true;
            }
        }
    }
    return found;
}

hone_status without_open(run *r, hone_error *err)
{
    char *here = realpath(".", NULL);
    bool good = here && (r->without = mem_new(r->in->without.n + 1, sizeof *r->without));
    for (uint64_t i = 0; i < r->in->without.n && good; i++)
        good = (r->without[i].path = path_resolve(here, r->in->without.items[i])) != NULL;
    free(here);
    return good ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "no memory to begin");
}

hone_status without_check(const run *r, hone_error *err)
{
    for (uint64_t i = 0; i < r->in->without.n; i++)
        if (!r->without[i].hits)
            return hone_fail(
                err, HONE_ERR_NOTFOUND,
                "without %s: no document has this path or name; report/documents.jsonl "
                "of the last run lists them, and a file that is gone needs no flag",
                r->in->without.items[i]);
    return HONE_OK;
}

bool looks_binary(const void *p, size_t n)
{
    return memchr(p, 0, n < SNIFF ? n : SNIFF) != NULL;
}

static hone_status sniff(const char *path, bool *binary, hone_error *err)
{
    char head[SNIFF];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    const ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof head);
    if (n < 0)
        (void)hone_fail(err, HONE_ERR_IO, "cannot be read: %s", strerror(errno));
    else
        *binary = looks_binary(head, (size_t)n);
    if (fd >= 0)
        (void)close(fd);
    return n < 0 ? HONE_ERR_IO : HONE_OK;
}

/* ------------------------------------------------------------------------ the walk */

/* Bytes that are no UTF-8 as U+FFFD. */
static char *mended(const char *name)
{
    text t = { 0 };
    for (size_t i = 0, n = strlen(name); i < n;) {
        uint32_t cp;
        bool bad;
        char out[4];
        i += utf8_next(name + i, n - i, &cp, &bad);
        text_add(&t, out, utf8_put(cp, out));
    }
    text_add(&t, "", 0);
    if (t.failed)
        text_finish(&t);
    return t.p ? t.p : mem_strdup("");
}

static hone_status take_document(run *r, const char *path, const char *shown, size_t reader,
                                 uint64_t size, hone_error *err)
{
    document d = { .shown = mem_strdup(shown),
                   .path = mem_strdup(path),
                   .reader = reader,
                   .bytes = size,
                   .sourced = true,
                   .counted = true };
    if (!d.shown || !d.path) {
        document_finish(&d);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the list of files");
    }
    return submit(r, &d, err);
}

/* One that nobody reads by its name: text for the fallback, or left out. */
static hone_status take_unknown(run *r, const char *path, const char *shown, uint64_t size,
                                hone_error *err)
{
    hone_error why = { 0 };
    bool binary = false;
    if (sniff(path, &binary, &why))
        return left_over(r, shown, LEFT_UNREADABLE, why.message, err);
    if (binary)
        return left_over(r, shown, LEFT_BINARY, "no text, and no reader for its kind", err);
    if (r->fallback == SIZE_MAX)
        return left_over(r, shown, LEFT_NO_READER, "no reader for its kind", err);
    return take_document(r, path, shown, r->fallback, size, err);
}

static hone_status on_file(void *ctx, const char *path, uint64_t size, hone_error *err)
{
    run *r = ctx;
    component_row found;
    hone_error none;
    hone_status st = HONE_OK;
    if (is_without(r, path, path + r->hidden))
        return HONE_OK;
    if (r->counting) {
        if (is_excluded(r, path))
            return HONE_OK;
        if (!registry_find_extension(&found, r->crew.plugins, HONE_KIND_READER, path, &none))
            st = add_reader(r, found, false, err);
        else if (kind_of(r, path) != KIND_ARCHIVE)
            st = add_fallback(r, err);
        else if (!r->report->archives++ && !(st = add_all_readers(r, err)))
            st = add_fallback(r, err);
        r->progress.all_files++;
        r->progress.all_bytes += (int64_t)size;
        return st;
    }
    char *shown = mended(path + r->hidden);
    const size_t kind = kind_of(r, path);
    if (!shown)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a name");
    if (is_excluded(r, path))
        st = left_over(r, shown, LEFT_EXCLUDED, "prepare.exclude", err);
    else if (kind == KIND_ARCHIVE)
        st = read_archive(r, path, shown, err);
    else if (size > (uint64_t)r->o->max_mb << 20)
        st = left_over(r, shown, LEFT_LIMIT, "larger than prepare.max_mb", err);
    else if (kind == KIND_NONE)
        st = take_unknown(r, path, shown, size, err);
    else
        st = take_document(r, path, shown, kind, size, err);
    free(shown);
    return st;
}

static hone_status on_left(void *ctx, const char *path, left_out why, const char *said,
                           hone_error *err)
{
    run *r = ctx;
    if (r->counting || is_without(r, path, path + r->hidden))
        return HONE_OK;
    char *shown = mended(path + r->hidden);
    const hone_status st = shown ? left_over(r, shown, why, said, err)
                                 : hone_fail(err, HONE_ERR_NOMEM, "no memory for a name");
    free(shown);
    return st;
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

static bool same_folder(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

hone_status walk_sources(run *r, hone_error *err)
{
    const char *const own[] = { r->o->out, r->o->cache, r->in->own[0], r->in->own[1] };
    const walk_rules rules = { .gitignore = r->o->gitignore,
                               .hidden = r->o->hidden,
                               .own = own,
                               .n_own = sizeof own / sizeof own[0] };
    const walk_events events = { on_file, on_left };
    if (!r->o->sources.n)
        return hone_fail(err, HONE_ERR_ARG,
                         "no documents: set prepare.sources to files or folders");
    if (r->counting && r->o->fallback && r->o->fallback[0]) { /* a mistake in it is said at once */
        const hone_status st = add_fallback(r, err);
        if (st)
            return st;
    }
    for (uint64_t i = 0; i < r->o->sources.n; i++) {
        const char *source = r->o->sources.items[i];
        if (!path_exists(source))
            return hone_fail(err, HONE_ERR_NOTFOUND, "prepare.sources: %s is not there", source);
        if (same_folder(source, r->o->out))
            return hone_fail(err, HONE_ERR_ARG,
                             "prepare.out: %s is a source too: what is written there would be read "
                             "in the next run; name a folder of its own",
                             r->o->out);
        r->hidden = hidden_part(&r->o->sources, i);
        hone_status st = walk(source, &rules, &events, r, err);
        if (st)
            return st;
    }
    return HONE_OK;
}

/* ------------------------------------------------------------------------ recipes */

hone_status list_recipes(run *r, hone_error *err)
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
        const bool program = exec_is(c->name);
        hone_status st =
            program ? exec_choose(c, r->in->base, err)
                    : registry_find(&c->row, r->crew.plugins, HONE_KIND_RECIPE, c->name, err);
        if (st)
            return st;
        c->json = json_object_get(r->in->recipe_options, c->row.row->component);
    }
    return HONE_OK;
}

/* Options of a component that no document and no recipe list uses are a mistake in the recipe
 * section; readers may be configured for files that are not there today. */
hone_status check_recipe_options(const run *r, hone_error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)r->in->recipe_options, name, value)
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
