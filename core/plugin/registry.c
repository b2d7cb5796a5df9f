/*
 * registry.c - what is installed: the list of plugins and the choice among them.
 *
 * Notes are read, no code is run. First id wins, in the order of search.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/plugin/registry.h"
#include "core/plugin/plugin.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

void registry_close(registry *r)
{
    size_t i;
    if (!r)
        return;
    for (i = 0; i < r->n_files; i++) {
        free(r->files[i]->path);
        plugin_note_finish(&r->files[i]->file.note);
        free(r->files[i]);
    }
    for (i = 0; i < r->n_problems; i++) {
        free(r->problems[i]->path);
        free(r->problems[i]);
    }
    for (i = 0; i < r->n_dirs; i++) {
        free(r->dirs[i]->path);
        free(r->dirs[i]);
    }
    free(r->files);
    free(r->problems);
    free(r->dirs);
    free(r);
}

hone_status registry_add_problem(registry *r, const char *path, const char *reason, hone_error *err)
{
    problem_entry *p = mem_new(1, sizeof *p);
    if (!p || !(p->path = mem_strdup(path)) ||
        !mem_grow(&r->problems, &r->cap_problems, r->n_problems + 1, sizeof *r->problems)) {
        if (p)
            free(p->path);
        free(p);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the list of plugins");
    }
    p->problem.path = p->path;
    (void)snprintf(p->problem.reason, sizeof p->problem.reason, "%s", reason);
    r->problems[r->n_problems++] = p;
    return HONE_OK;
}

hone_status registry_add_dir(registry *r, const char *path, const char *origin, hone_error *err)
{
    dir_entry *d = mem_new(1, sizeof *d);
    if (!d || !(d->path = mem_strdup(path)) ||
        !mem_grow(&r->dirs, &r->cap_dirs, r->n_dirs + 1, sizeof *r->dirs)) {
        if (d)
            free(d->path);
        free(d);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the list of plugin folders");
    }
    d->dir = (plugin_dir){ d->path, origin };
    r->dirs[r->n_dirs++] = d;
    return HONE_OK;
}

static const plugin_file *find_id(const registry *r, const char *id)
{
    size_t i;
    for (i = 0; i < r->n_files; i++)
        if (strcmp(r->files[i]->file.note.id, id) == 0)
            return &r->files[i]->file;
    return NULL;
}

/* Takes the note over, also on failure. */
static hone_status add_file(registry *r, const char *path, const char *origin, plugin_note *note,
                            hone_error *err)
{
    struct stat st;
    file_entry *f = mem_new(1, sizeof *f);
    if (!f || !(f->path = mem_strdup(path)) ||
        !mem_grow(&r->files, &r->cap_files, r->n_files + 1, sizeof *r->files)) {
        if (f)
            free(f->path);
        free(f);
        plugin_note_finish(note);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the list of plugins");
    }
    f->file =
        (plugin_file){ .path = f->path, .origin = origin, .signer = "unsigned", .note = *note };
    if (stat(path, &st) == 0) {
        f->device = st.st_dev;
        f->inode = st.st_ino;
        f->bytes = st.st_size;
        f->changed = st.st_mtim;
    }
    r->files[r->n_files++] = f;
    return HONE_OK;
}

/* One *.so of a folder: into the list, or into the problems. */
static hone_status consider(registry *r, const char *path, const char *origin, bool trusted,
                            hone_error *err)
{
    hone_error why = { 0 };
    plugin_note note = { 0 };
    const plugin_file *first;
    char reason[sizeof why.message];
    const size_t skip = strlen(path) + 2; /* messages start with "path: " */
    if (!trusted && search_check_owner(path, &why))
        return registry_add_problem(r, path, why.message, err);
    if (plugin_note_read(&note, path, &why))
        return registry_add_problem(
            r, path, strncmp(why.message, path, skip - 2) == 0 ? why.message + skip : why.message,
            err);
    first = find_id(r, note.id);
    if (!first)
        return add_file(r, path, origin, &note, err);
    (void)snprintf(reason, sizeof reason, "hidden by %s, which has the same id %s", first->path,
                   note.id);
    plugin_note_finish(&note);
    hone_status st = registry_add_problem(r, path, reason, err);
    if (st == HONE_OK)
        r->problems[r->n_problems - 1]->problem.hidden = true;
    return st;
}

/* One line, however many there are: a second build of hone on the path hides all of the first. */
static void warn_hidden(const registry *r)
{
    const plugin_problem *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < r->n_problems; i++)
        if (r->problems[i]->problem.hidden) {
            first = first ? first : &r->problems[i]->problem;
            n++;
        }
    if (n == 1)
        log_line(HONE_LOG_WARN, "%s: %s", first->path, first->reason);
    else if (n)
        log_line(HONE_LOG_WARN,
                 "%s: %s; %zu more are hidden likewise, `hone plugin list` names them", first->path,
                 first->reason, n - 1);
}

static int compare_names(const void *a, const void *b)
{
    char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

hone_status registry_scan(registry *r, const char *dir, const char *origin, bool trusted,
                          hone_error *err)
{
    char **names = NULL, reason[300];
    size_t n = 0, cap = 0, i;
    struct dirent *e;
    hone_status status = HONE_OK;
    DIR *d = opendir(dir);
    if (!d && (errno == ENOENT || errno == ENOTDIR))
        return HONE_OK;
    if (!d) {
        (void)snprintf(reason, sizeof reason, "cannot open the folder: %s", strerror(errno));
        return registry_add_problem(r, dir, reason, err);
    }
    while ((e = readdir(d))) {
        const size_t length = strlen(e->d_name);
        if (length < 4 || e->d_name[0] == '.' || strcmp(e->d_name + length - 3, ".so") != 0)
            continue;
        if (!mem_grow(&names, &cap, n + 1, sizeof *names) ||
            !(names[n] = path_join(dir, e->d_name))) {
            status = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for its entries", dir);
            goto out;
        }
        n++;
    }
    if (n)
        qsort(names, n, sizeof *names, compare_names);
    for (i = 0; i < n && !status; i++)
        status = consider(r, names[i], origin, trusted, err);
out:
    closedir(d);
    for (i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return status;
}

hone_status registry_open(registry **out, const char *const *dirs, size_t n_dirs, hone_error *err)
{
    hone_status status;
    registry *r = mem_new(1, sizeof *r);
    if (!r)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the list of plugins");
    status = search_all(r, dirs, n_dirs, err);
    if (status) {
        registry_close(r);
        return status;
    }
    warn_hidden(r);
    *out = r;
    return HONE_OK;
}

hone_status registry_open_file(registry **out, const char *path, hone_error *err)
{
    plugin_note note = { 0 };
    hone_status status;
    char *real = NULL;
    registry *r = mem_new(1, sizeof *r);
    if (!r)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the list of plugins");
    real = realpath(path, NULL);
    if (!real) {
        status = hone_fail(err, errno == ENOENT ? HONE_ERR_NOTFOUND : HONE_ERR_IO, "%s: %s", path,
                           strerror(errno));
        goto out;
    }
    status = plugin_note_read(&note, real, err);
    if (!status)
        status = add_file(r, real, "file", &note, err);
    if (!status) {
        *out = r;
        r = NULL;
    }
out:
    free(real);
    registry_close(r);
    return status;
}

void registry_allow_experimental(registry *r, bool allow)
{
    r->experimental = allow;
}

size_t registry_n_plugins(const registry *r)
{
    return r->n_files;
}

const plugin_file *registry_plugin(const registry *r, size_t i)
{
    return i < r->n_files ? &r->files[i]->file : NULL;
}

size_t registry_n_problems(const registry *r)
{
    return r->n_problems;
}

const plugin_problem *registry_problem(const registry *r, size_t i)
{
    return i < r->n_problems ? &r->problems[i]->problem : NULL;
}

size_t registry_n_dirs(const registry *r)
{
    return r->n_dirs;
}

const plugin_dir *registry_dir(const registry *r, size_t i)
{
    return i < r->n_dirs ? &r->dirs[i]->dir : NULL;
}

/* The next row of this kind after (*f, *i); start with 0, 0. */
static bool next_row(component_row *out, const registry *r, const char *kind, size_t *f, size_t *i)
{
    for (; *f < r->n_files; ++*f, *i = 0) {
        const plugin_file *file = &r->files[*f]->file;
        while (*i < file->note.n_rows) {
            const hone_note_row *row = &file->note.rows[(*i)++];
            if (strcmp(row->kind, kind) == 0) {
                *out = (component_row){ file, row };
                return true;
            }
        }
    }
    return false;
}

static size_t count_named(const registry *r, const char *kind, const char *name)
{
    component_row c;
    size_t f = 0, i = 0, n = 0;
    while (next_row(&c, r, kind, &f, &i))
        n += strcmp(c.row->component, name) == 0;
    return n;
}

char *registry_name(const registry *r, component_row c)
{
    text t = { 0 };
    if (count_named(r, c.row->kind, c.row->component) > 1)
        text_printf(&t, "%s/", c.file->note.id);
    text_puts(&t, c.row->component);
    if (t.failed)
        text_finish(&t);
    return t.p;
}

/* "optimizer" of "hone.optimizer/1" */
static void kind_noun(const char *kind, char out[24])
{
    const char *dot = strrchr(kind, '.');
    const char *start = dot ? dot + 1 : kind;
    (void)snprintf(out, 24, "%.*s", (int)strcspn(start, "/"), start);
}

static hone_status ambiguous(const registry *r, const char *kind, const char *name, hone_error *err)
{
    component_row c;
    text list = { 0 };
    size_t f = 0, i = 0;
    char noun[24];
    hone_status status;
    kind_noun(kind, noun);
    while (next_row(&c, r, kind, &f, &i))
        if (strcmp(c.row->component, name) == 0)
            text_printf(&list, "%s%s/%s", list.n ? ", " : "", c.file->note.id, name);
    status = hone_fail(err, HONE_ERR_ARG, "several plugins have a %s '%s'; name one of: %s", noun,
                       name, list.p && !list.failed ? list.p : "");
    text_finish(&list);
    return status;
}

/* The first file that was refused and why; a message has room for one. */
static void add_refused(text *t, const registry *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_problems; i++) {
        const plugin_problem *p = &r->problems[i]->problem;
        if (!p->hidden && !n++)
            text_printf(t, "; not used: %s: %.160s", path_base(p->path), p->reason);
    }
    if (n > 1)
        text_printf(t, ", and %zu more (hone plugin list)", n - 1);
}

static hone_status nothing_named(const registry *r, const char *kind, const char *name,
                                 hone_error *err)
{
    component_row c;
    char **names = NULL, noun[24];
    const char *near;
    size_t n = 0, cap = 0, f = 0, i = 0;
    text t = { 0 };
    hone_status status;
    kind_noun(kind, noun);
    while (next_row(&c, r, kind, &f, &i)) {
        if (!mem_grow(&names, &cap, n + 1, sizeof *names) || !(names[n] = registry_name(r, c)))
            break;
        n++;
    }
    near = names ? nearest_name(name, (const char *const *)names, n) : NULL;
    text_printf(&t, "no %s is named '%s'", noun, name);
    if (near)
        text_printf(&t, "; did you mean '%s'?", near);
    text_puts(&t, n ? "; there are: " : "; none is installed");
    for (i = 0; i < n; i++)
        text_printf(&t, "%s%s", i ? ", " : "", names[i]);
    add_refused(&t, r);
    for (i = 0; i < r->n_dirs; i++)
        text_printf(&t, "%s%s", i ? ":" : "; searched: ", r->dirs[i]->dir.path);
    status = hone_fail(err, HONE_ERR_NOTFOUND, "%s", t.p && !t.failed ? t.p : "no such plugin");
    for (i = 0; i < n; i++)
        free(names[i]);
    free(names);
    text_finish(&t);
    return status;
}

hone_status registry_find(component_row *out, const registry *r, const char *kind, const char *name,
                          hone_error *err)
{
    const char *slash = strrchr(name, '/');
    const size_t id_n = slash ? (size_t)(slash - name) : 0;
    component_row c, found = { NULL, NULL };
    size_t f = 0, i = 0, n = 0;
    while (next_row(&c, r, kind, &f, &i)) {
        if (strcmp(c.row->component, slash ? slash + 1 : name) != 0)
            continue;
        if (slash && (strlen(c.file->note.id) != id_n || strncmp(c.file->note.id, name, id_n) != 0))
            continue;
        found = c;
        n++;
    }
    if (n == 0)
        return nothing_named(r, kind, name, err);
    if (n > 1)
        return ambiguous(r, kind, name, err);
    *out = found;
    return HONE_OK;
}

#define EVERYTHING "*" /* as an extension: what nobody else claims */

/* Bytes of the extension of the list that path ends with; 0: none. */
static size_t match_extension(const char *extensions, const char *path)
{
    const size_t n = strlen(path);
    size_t best = 0;
    if (strcmp(extensions, EVERYTHING) == 0)
        return 0;
    while (*extensions) {
        const size_t k = strcspn(extensions, " ");
        if (k > best && k < n && strncasecmp(path + n - k, extensions, k) == 0)
            best = k;
        extensions += k + (extensions[k] == ' ');
    }
    return best;
}

hone_status registry_find_extension(component_row *out, const registry *r, const char *kind,
                                    const char *path, hone_error *err)
{
    component_row c, found = { NULL, NULL };
    size_t f = 0, i = 0, best = 0;
    char noun[24];
    while (next_row(&c, r, kind, &f, &i)) {
        const size_t k = match_extension(c.row->extensions, path_base(path));
        if (k > best) {
            best = k;
            found = c;
        }
    }
    if (best) {
        *out = found;
        return HONE_OK;
    }
    kind_noun(kind, noun);
    return hone_fail(err, HONE_ERR_NOTFOUND, "%s: no %s takes files of this name", path, noun);
}

bool registry_find_rest(component_row *out, const registry *r, const char *kind)
{
    component_row c;
    size_t f = 0, i = 0;
    while (next_row(&c, r, kind, &f, &i))
        if (strcmp(c.row->extensions, EVERYTHING) == 0) {
            *out = c;
            return true;
        }
    return false;
}
