/*
 * walk.c - the walk over a source: order, links, ignored files.
 *
 * .gitignore files count from the top of the work tree that holds the source (also those above
 * the source), and where there is no .git, from the source on: an exported tree keeps its
 * meaning. A folder with its own .git inside is a work tree of its own. The source itself was
 * named by the user and is never ignored. A folder that is ignored is not entered, unless git
 * tracks something below it.
 *
 * Links: one to a file inside root is visited; one to a folder inside root is not, for its files
 * are visited where they lie; all others are named.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/prepare/walk.h"
#include "core/prepare/ignore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH 128          /* folders inside folders */
#define IGNORE_FILE (1u << 24) /* bytes of a .gitignore at most */

/* The patterns that count in a folder: its own .gitignore, then those above. */
typedef struct scope {
    const struct scope *above; /* of the same work tree; NULL at its top */
    ignore_list list;
    bool inside_ignored; /* entered for tracked files only */
} scope;

typedef struct walker {
    const walk_rules *rules;
    const walk_events *events;
    void *ctx;
    char *root; /* owned: realpath of the root */
} walker;

typedef struct entry {
    char *path; /* owned */
    uint64_t size;
    bool folder;
} entry;

/* As if a folder's path ended with '/'. */
static int compare_entries(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    const unsigned char *p = (const unsigned char *)x->path, *q = (const unsigned char *)y->path;
    size_t i = 0;
    while (p[i] && p[i] == q[i])
        i++;
    return (p[i] ? p[i] : x->folder ? '/' : 0) - (q[i] ? q[i] : y->folder ? '/' : 0);
}

static hone_status leave(const walker *w, const char *path, left_out why, const char *said,
                         hone_error *err)
{
    return w->events->left(w->ctx, path, why, said, err);
}

/* ------------------------------------------------------------------------ ignoring */

/* .gitignore of the folder, if there is one that is a file: git follows no link here. inner: the
 * folder from the top of the work tree, "" for the top. */
static hone_status scope_open(scope *s, const scope *above, const work_tree *t, const char *folder,
                              const char *inner, hone_error *err)
{
    text base = { 0 };
    char *path = path_join(folder, ".gitignore"), *bytes = NULL;
    struct stat info;
    hone_status st = HONE_OK;
    size_t n = 0;
    *s = (scope){ .above = above, .inside_ignored = above && above->inside_ignored };
    if (inner[0])
        text_printf(&base, "%s/", inner);
    if (!path || base.failed)
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", folder);
    else if (lstat(path, &info) == 0 && S_ISREG(info.st_mode)) {
        hone_error why = { 0 };
        if (file_read(&bytes, &n, path, IGNORE_FILE, &why))
            log_line(HONE_LOG_WARN, "%s; its patterns do not count", why.message);
        else
            st = ignore_parse(&s->list, bytes, n, base.p ? base.p : "", t->fold, err);
    }
    free(bytes);
    free(path);
    text_finish(&base);
    return st;
}

/* inner: the path from the top of the work tree. */
static bool ignored(const work_tree *t, const scope *s, const char *inner, bool folder)
{
    int said = IGNORE_NO_SAY;
    for (const scope *at = s; at && !said; at = at->above)
        said = ignore_ask(&at->list, inner, folder);
    if (!said)
        said = ignore_ask(&t->exclude, inner, folder);
    return said == IGNORE_YES;
}

/* ------------------------------------------------------------------------ a folder */

/* A link at path: true to visit the file it names; otherwise *st is what became of it. */
static bool link_is_inside(const walker *w, const char *path, struct stat *info, hone_status *st,
                           hone_error *err)
{
    const size_t n = strlen(w->root);
    bool inside = false;
    char *real = realpath(path, NULL);
    if (!real || stat(real, info) != 0)
        *st = leave(w, path, LEFT_LINK,
                    errno == ELOOP ? "a link that leads in a circle" : "a link that leads nowhere",
                    err);
    else if (strcmp(w->root, "/") != 0 &&
             (strncmp(real, w->root, n) != 0 || (real[n] != '/' && real[n] != '\0')))
        *st = leave(w, path, LEFT_LINK, "a link that leads out of the source", err);
    else
        inside = S_ISREG(info->st_mode);
    free(real);
    return inside;
}

/* Is it one of the folders that this program writes? */
static bool is_own(const walker *w, const struct stat *folder)
{
    struct stat own;
    for (size_t i = 0; i < w->rules->n_own; i++)
        if (w->rules->own[i] && stat(w->rules->own[i], &own) == 0 && own.st_dev == folder->st_dev &&
            own.st_ino == folder->st_ino)
            return true;
    return false;
}

typedef struct folder { /* one that is walked */
    const char *path;   /* as shown */
    const char *inner;  /* from the top of the work tree; "" for the top */
    const work_tree *git;
    const scope *scope;
} folder;

/* inner/name, fresh. */
static char *inner_path(const folder *f, const char *name)
{
    return f->inner[0] ? path_join(f->inner, name) : mem_strdup(name);
}

/* Is this entry walked? Appends it to list if so; names it if not. */
static hone_status judge(const walker *w, const folder *f, const char *name, entry *e, bool *wanted,
                         hone_error *err)
{
    struct stat info;
    hone_status st = HONE_OK;
    *wanted = false;
    if (lstat(e->path, &info) != 0)
        return errno == ENOENT /* gone since it was listed */
                   ? HONE_OK
                   : leave(w, e->path, LEFT_UNREADABLE, strerror(errno), err);
    if (name[0] == '.' && !w->rules->hidden)
        return strcmp(name, ".git") == 0 || strcmp(name, ".gitignore") == 0
                   ? HONE_OK
                   : leave(w, e->path, LEFT_HIDDEN, "its name begins with a dot", err);
    const bool is_folder = S_ISDIR(info.st_mode);
    if (is_folder && is_own(w, &info))
        return leave(w, e->path, LEFT_OWN, "a folder that hone writes, no source", err);
    if (w->rules->gitignore) {
        char *inner = inner_path(f, name);
        if (!inner)
            return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", e->path);
        const bool no = f->scope->inside_ignored || ignored(f->git, f->scope, inner, is_folder);
        const bool tracked = no && (is_folder ? work_tree_tracks_below(f->git, inner)
                                              : work_tree_tracks(f->git, inner));
        free(inner);
        if (no && !tracked)
            return leave(w, e->path, LEFT_IGNORED, "ignored by .gitignore", err);
    }
    if (S_ISLNK(info.st_mode) && !link_is_inside(w, e->path, &info, &st, err))
        return st;
    if (!is_folder && !S_ISREG(info.st_mode))
        return leave(w, e->path, LEFT_SPECIAL, "neither a file nor a folder", err);
    e->folder = is_folder;
    e->size = (uint64_t)info.st_size;
    *wanted = true;
    return HONE_OK;
}

static hone_status list_folder(const folder *f, DIR *d, entry **out, size_t *n, hone_error *err)
{
    hone_status st = HONE_OK;
    struct dirent *e;
    size_t cap = 0;
    while (!st && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            strcmp(e->d_name, ".git") == 0)
            continue;
        if (!mem_grow(out, &cap, *n + 1, sizeof **out) ||
            !((*out)[*n].path = path_join(f->path, e->d_name)))
            st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for its entries", f->path);
        else
            (*out)[(*n)++].folder = false;
    }
    if (!st && *n)
        qsort(*out, *n, sizeof **out, compare_entries);
    return st;
}

/* Entries that are walked stay in list, in order; the others are named, in order. */
static hone_status sift(const walker *w, const folder *f, entry *list, size_t *n, hone_error *err)
{
    size_t kept = 0, i = 0;
    hone_status st = HONE_OK;
    for (; i < *n && !st; i++) {
        bool wanted = false;
        st = judge(w, f, path_base(list[i].path), &list[i], &wanted, err);
        if (wanted && !st) {
            const entry e = list[i];
            list[i].path = NULL;
            list[kept++] = e;
        } else {
            free(list[i].path);
            list[i].path = NULL;
        }
    }
    for (; i < *n; i++)
        free(list[i].path);
    *n = kept;
    if (!st && kept)
        qsort(list, kept, sizeof *list, compare_entries);
    return st;
}

static hone_status walk_folder(const walker *w, const folder *f, int depth, hone_error *err);

/* A folder of the list: a work tree of its own, or a part of this one. */
static hone_status enter(const walker *w, const folder *f, const char *path, int depth,
                         hone_error *err)
{
    char *git = path_join(path, ".git"), *inner = inner_path(f, path_base(path));
    const bool own = git && w->rules->gitignore && path_exists(git);
    work_tree t = { 0 };
    scope s = { 0 };
    char *real = own ? realpath(path, NULL) : NULL;
    hone_status st = HONE_OK;
    if (!git || !inner || (own && !real))
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", path);
    else if (own)
        st = work_tree_open(&t, real, err);
    folder g = { .path = path, .inner = own ? "" : inner, .git = own ? &t : f->git, .scope = &s };
    if (!st && w->rules->gitignore)
        st = scope_open(&s, own ? NULL : f->scope, g.git, path, g.inner, err);
    if (!st && !own && w->rules->gitignore)
        s.inside_ignored |= ignored(f->git, f->scope, inner, true);
    if (!st)
        st = walk_folder(w, &g, depth, err);
    ignore_finish(&s.list);
    work_tree_finish(&t);
    free(real);
    free(git);
    free(inner);
    return st;
}

static hone_status walk_folder(const walker *w, const folder *f, int depth, hone_error *err)
{
    entry *list = NULL;
    size_t n = 0;
    hone_status st = HONE_OK;
    if (depth > MAX_DEPTH)
        return leave(w, f->path, LEFT_LIMIT, "more than 128 folders deep", err);
    DIR *d = opendir(f->path);
    if (!d) {
        char why[200];
        (void)snprintf(why, sizeof why, "cannot open the folder: %s", strerror(errno));
        return leave(w, f->path, LEFT_UNREADABLE, why, err);
    }
    st = list_folder(f, d, &list, &n, err);
    (void)closedir(d);
    if (!st)
        st = sift(w, f, list, &n, err);
    for (size_t i = 0; i < n; i++) {
        if (!st)
            st = list[i].folder ? enter(w, f, list[i].path, depth + 1, err)
                                : w->events->file(w->ctx, list[i].path, list[i].size, err);
        free(list[i].path);
    }
    free(list);
    return st;
}

/* ------------------------------------------------------------------------ the root */

#define MAX_ABOVE 128

/* Scopes of the folders from the top of the work tree down to the root's parent. inner: of the
 * root; it is cut and mended on the way. */
static hone_status open_above(scope *above, size_t *n, const work_tree *t, char *inner,
                              hone_error *err)
{
    char *at = mem_strdup(t->top);
    hone_status st = HONE_OK;
    for (char *p = inner; *p && !st && at && *n < MAX_ABOVE;) {
        char *slash = strchr(p, '/');
        const char kept = p > inner ? p[-1] : '\0';
        if (p > inner)
            p[-1] = '\0';
        st = scope_open(&above[*n], *n ? &above[*n - 1] : NULL, t, at, p > inner ? inner : "", err);
        ++*n;
        if (p > inner)
            p[-1] = kept;
        if (slash)
            *slash = '\0';
        char *next = path_join(at, p);
        if (slash)
            *slash = '/';
        free(at);
        at = next;
        p = slash ? slash + 1 : p + strlen(p);
    }
    if (!at && !st)
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", t->top);
    free(at);
    return st;
}

static hone_status walk_root(const walker *w, const char *root, hone_error *err)
{
    work_tree t = { 0 };
    scope s = { 0 };
    size_t n = 0;
    scope *above = mem_new(MAX_ABOVE, sizeof *above);
    char *top = w->rules->gitignore ? work_tree_top(w->root) : NULL, *inner = NULL;
    const size_t skip = top && strcmp(top, "/") != 0 ? strlen(top) : 0;
    hone_status st = HONE_OK;
    if (!above || (w->rules->gitignore && !top && !(top = mem_strdup(w->root))) ||
        !(inner = mem_strdup(top && strcmp(top, w->root) != 0 ? w->root + skip + 1 : "")))
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", root);
    if (!st && w->rules->gitignore && !(st = work_tree_open(&t, top, err)) &&
        !(st = open_above(above, &n, &t, inner, err)))
        st = scope_open(&s, n ? &above[n - 1] : NULL, &t, root, inner, err);
    const folder f = { .path = root, .inner = inner ? inner : "", .git = &t, .scope = &s };
    if (!st)
        st = walk_folder(w, &f, 0, err);
    ignore_finish(&s.list);
    for (size_t i = 0; above && i < n; i++)
        ignore_finish(&above[i].list);
    work_tree_finish(&t);
    free(above);
    free(inner);
    free(top);
    return st;
}

hone_status walk(const char *root, const walk_rules *rules, const walk_events *events, void *ctx,
                 hone_error *err)
{
    struct stat info;
    walker w = { .rules = rules, .events = events, .ctx = ctx };
    if (stat(root, &info) != 0)
        return hone_fail(err, errno == ENOENT ? HONE_ERR_NOTFOUND : HONE_ERR_IO, "%s: %s", root,
                         strerror(errno));
    if (S_ISREG(info.st_mode))
        return events->file(ctx, root, (uint64_t)info.st_size, err);
    if (!S_ISDIR(info.st_mode))
        return hone_fail(err, HONE_ERR_ARG, "%s: neither a file nor a folder", root);
    if (!(w.root = realpath(root, NULL)))
        return hone_fail(err, HONE_ERR_IO, "%s: %s", root, strerror(errno));
    const hone_status st = walk_root(&w, root, err);
    free(w.root);
    return st;
}
