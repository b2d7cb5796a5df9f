/*
 * work_tree.c - what .git says of a work tree: info/exclude, letter case, tracked files.
 *
 * git never ignores what it tracks, so its index is read: entries of versions 2 to 4. Nothing
 * else of .git is looked at. The user's own list (core.excludesFile) is not: the same folder is
 * to give the same dataset for everybody.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/prepare/ignore.h"

#include <stdlib.h>
#include <strings.h>

#define SMALL_FILE (1u << 20) /* .git, config: bytes at most      */
#define INDEX_FILE (1u << 30) /* .git/index: bytes at most        */
#define FIXED 40              /* of an entry before its hash      */
#define EXTENDED 0x4000       /* flags: two more bytes of flags   */

char *work_tree_top(const char *folder)
{
    char *dir = mem_strdup(folder);
    while (dir) {
        char *git = path_join(dir, ".git");
        const bool found = git && path_exists(git);
        free(git);
        if (found)
            return dir;
        char *above = strcmp(dir, "/") == 0 ? NULL : path_dir(dir);
        free(dir);
        dir = above;
    }
    return NULL;
}

/* ------------------------------------------------------------------------ the index */

typedef struct cursor {
    const uint8_t *p;
    size_t n;
    bool bad;
} cursor;

static const uint8_t *take(cursor *c, size_t n)
{
    const uint8_t *p = c->p;
    if (c->bad || n > c->n) {
        c->bad = true;
        return NULL;
    }
    c->p += n;
    c->n -= n;
    return p;
}

static uint32_t number(cursor *c, size_t n)
{
    const uint8_t *p = take(c, n);
    uint32_t x = 0;
    for (size_t i = 0; p && i < n; i++)
        x = x << 8 | p[i];
    return x;
}

/* Version 4: how much of the name before goes; 7 bits a byte, each group counts one more. */
static uint64_t strip_length(cursor *c)
{
    const uint8_t *p = take(c, 1);
    uint64_t x = p ? *p & 0x7fu : 0;
    while (p && (*p & 0x80) && x < UINT32_MAX && (p = take(c, 1)))
        x = (x + 1) << 7 | (*p & 0x7fu);
    return x;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

hone_status tracked_parse(work_tree *t, const uint8_t *p, size_t n, size_t hash, hone_error *err)
{
    cursor c = { p, n, false };
    text names = { 0 };
    hone_status st = HONE_OK;
    size_t before = 0, before_n = 0; /* the name before this, in names */
    const uint8_t *magic = take(&c, 4);
    const uint32_t version = number(&c, 4), entries = number(&c, 4);
    if (!magic || memcmp(magic, "DIRC", 4) != 0 || version < 2 || version > 4 || c.bad)
        return hone_fail(err, HONE_ERR_FORMAT, "no index of git, version 2 to 4");
    for (uint32_t i = 0; i < entries && !c.bad; i++) {
        const uint8_t *start = c.p;
        (void)take(&c, FIXED + hash);
        if (number(&c, 2) & EXTENDED)
            (void)take(&c, 2);
        const uint64_t strip = version == 4 ? strip_length(&c) : 0;
        const uint8_t *end = c.bad ? NULL : memchr(c.p, 0, c.n);
        if (!end || strip > before_n) {
            c.bad = true;
            break;
        }
        const size_t more = (size_t)(end - c.p), kept = version == 4 ? before_n - (size_t)strip : 0;
        const size_t at = names.n;
        char *head = mem_strndup(names.p ? names.p + before : "", kept);
        text_add(&names, head ? head : "", head ? kept : 0);
        free(head);
        text_add(&names, (const char *)c.p, more);
        text_add(&names, "", 1);
        if (!head || names.failed || names.n > INDEX_FILE) {
            st = hone_fail(err, HONE_ERR_NOMEM, "no memory for names of tracked files");
            goto out;
        }
        before = at;
        before_n = kept + more;
        t->n_tracked++;
        const size_t used = (size_t)(end - start) + 1;
        (void)take(&c, version == 4 ? more + 1 : more + 1 + ((8 - used % 8) & 7));
    }
    if (c.bad || !(t->tracked = mem_new(t->n_tracked + 1, sizeof *t->tracked))) {
        st = c.bad ? hone_fail(err, HONE_ERR_FORMAT, "the index is cut or malformed")
                   : hone_fail(err, HONE_ERR_NOMEM, "no memory for names of tracked files");
        goto out;
    }
    t->index = names.p;
    names = (text){ 0 };
    const char *at = t->index;
    for (size_t i = 0; i < t->n_tracked; i++, at += strlen(at) + 1)
        t->tracked[i] = at;
    qsort(t->tracked, t->n_tracked, sizeof *t->tracked, compare_names);
out:
    if (st)
        t->n_tracked = 0;
    text_finish(&names);
    return st;
}

/* The first tracked name that is not below `name`. */
static size_t lower_bound(const work_tree *t, const char *name)
{
    size_t lo = 0, hi = t->n_tracked;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (strcmp(t->tracked[mid], name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool work_tree_tracks(const work_tree *t, const char *path)
{
    const size_t i = lower_bound(t, path);
    return i < t->n_tracked && strcmp(t->tracked[i], path) == 0;
}

bool work_tree_tracks_below(const work_tree *t, const char *folder)
{
    text inside = { 0 };
    bool found = false;
    if (!t->n_tracked)
        return false;
    text_printf(&inside, "%s/", folder);
    if (inside.p) {
        const size_t i = lower_bound(t, inside.p);
        found = i < t->n_tracked && strncmp(t->tracked[i], inside.p, inside.n) == 0;
    }
    text_finish(&inside);
    return found;
}

/* ------------------------------------------------------------------------ the folder */

/* The folder that .git means: itself, or the one a file "gitdir: PATH" names; fresh or NULL. */
static char *git_folder(const char *top)
{
    char *git = path_join(top, ".git"), *said = NULL, *folder = NULL;
    if (git && path_is_dir(git))
        return git;
    if (git && !file_read(&said, NULL, git, SMALL_FILE, NULL) &&
        strncmp(said, "gitdir: ", 8) == 0) {
        said[8 + strcspn(said + 8, "\r\n")] = '\0';
        folder = path_join(top, said + 8);
    }
    free(git);
    free(said);
    return folder;
}

/* Where the parts that all work trees of a repository share are. */
static char *common_folder(const char *git)
{
    char *path = path_join(git, "commondir"), *said = NULL, *folder = NULL;
    if (path && !file_read(&said, NULL, path, SMALL_FILE, NULL)) {
        said[strcspn(said, "\r\n")] = '\0';
        folder = path_join(git, said);
    }
    free(path);
    free(said);
    return folder ? folder : mem_strdup(git);
}

/* "[core] ignorecase = true", "[extensions] objectformat = sha256": a line of a section. */
static bool config_says(const char *config, const char *section, const char *key, const char *value)
{
    bool inside = false, says = false;
    for (const char *p = config; *p; p += *p == '\n') {
        p += strspn(p, " \t");
        if (*p == '[')
            inside =
                strncasecmp(p + 1, section, strlen(section)) == 0 && p[1 + strlen(section)] == ']';
        else if (inside && strncasecmp(p, key, strlen(key)) == 0) {
            const char *v = p + strlen(key);
            v += strspn(v, " \t");
            if (*v == '=')
                says = strncasecmp(v + 1 + strspn(v + 1, " \t"), value, strlen(value)) == 0;
        }
        p += strcspn(p, "\n");
    }
    return says;
}

static void read_index(work_tree *t, const char *git, size_t hash)
{
    hone_error why = { 0 };
    char *path = path_join(git, "index"), *bytes = NULL;
    size_t n = 0;
    if (path && path_exists(path) &&
        (file_read(&bytes, &n, path, INDEX_FILE, &why) ||
         tracked_parse(t, (const uint8_t *)bytes, n, hash, &why)))
        log_line(HONE_LOG_WARN,
                 "%s: %s; files that git tracks though they are ignored are left out", path,
                 why.message);
    free(path);
    free(bytes);
}

hone_status work_tree_open(work_tree *out, const char *top, hone_error *err)
{
    work_tree t = { .top = mem_strdup(top) };
    char *git = git_folder(top), *common = git ? common_folder(git) : NULL;
    char *path = NULL, *bytes = NULL;
    size_t n = 0, hash = 20;
    hone_status st = t.top ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", top);
    if (!st && common && (path = path_join(common, "config")) &&
        !file_read(&bytes, NULL, path, SMALL_FILE, NULL)) {
        t.fold = config_says(bytes, "core", "ignorecase", "true");
        hash = config_says(bytes, "extensions", "objectformat", "sha256") ? 32 : 20;
    }
    if (!st && git)
        read_index(&t, git, hash);
    free(path);
    free(bytes);
    bytes = path = NULL;
    if (!st && common && (path = path_join(common, "info/exclude")) &&
        !file_read(&bytes, &n, path, SMALL_FILE, NULL))
        st = ignore_parse(&t.exclude, bytes, n, "", t.fold, err);
    if (!st)
        *out = t;
    else
        work_tree_finish(&t);
    free(path);
    free(bytes);
    free(git);
    free(common);
    return st;
}

void work_tree_finish(work_tree *t)
{
    free(t->top);
    ignore_finish(&t->exclude);
    free(t->index);
    free(t->tracked);
    *t = (work_tree){ 0 };
}
