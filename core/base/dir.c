/*
 * dir.c - paths and folders: make, remove, walk in a fixed order, lock.
 *
 * The walk visits in byte order of the whole path, so a folder sorts as its
 * name with '/' behind it: "a-b", "a.txt", "a/x". Links: one to a file inside
 * root is visited; one to a folder inside root is not, for its files are visited
 * where they lie; one out of root, or to nothing, is left out with a warning.
 *
 * The lock is a POSIX record lock: it ends with the process whatever happens,
 * and a forked child does not inherit it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH 128 /* folders inside folders */

bool path_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *path_join(const char *dir, const char *name)
{
    text t = { 0 };
    if (name[0] != '/' && dir[0]) {
        text_puts(&t, dir);
        if (t.n && !t.failed && t.p[t.n - 1] != '/')
            text_putc(&t, '/');
    }
    text_puts(&t, name);
    if (t.failed)
        text_finish(&t);
    return t.p;
}

char *path_resolve(const char *folder, const char *name)
{
    size_t n = strlen(folder);
    text t = { 0 };
    if (name[0] == '/')
        return mem_strdup(name);
    for (;;) { /* a leading "." or ".." of name */
        const size_t dots = strspn(name, "."), step = dots + strspn(name + dots, "/");
        if (dots < 1 || dots > 2 || (name[dots] && name[dots] != '/'))
            break;
        while (dots == 2 && n > 1 && folder[n - 1] != '/')
            n--;
        while (n > 1 && folder[n - 1] == '/')
            n--;
        name += step;
    }
    text_add(&t, folder, n);
    if (name[0] && !(n && folder[n - 1] == '/'))
        text_putc(&t, '/');
    text_puts(&t, name);
    if (t.failed)
        text_finish(&t);
    return t.p;
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *path_dir(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return mem_strdup(".");
    return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

hone_status dir_make(const char *path, hone_error *err)
{
    hone_status status = HONE_OK;
    size_t i;
    char *copy = mem_strdup(path);
    if (!copy)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", path);
    if (!path[0]) {
        status = hone_fail(err, HONE_ERR_ARG, "the name of the folder to make is empty");
        goto out;
    }
    for (i = 1; !status; i++) {
        const char c = copy[i];
        if (c != '/' && c != '\0')
            continue;
        copy[i] = '\0';
        if (mkdir(copy, 0777) != 0 && !path_is_dir(copy))
            status = hone_fail(err, HONE_ERR_IO, "%s: cannot make the folder: %s", copy,
                               strerror(errno));
        if (c == '\0')
            break;
        copy[i] = c;
    }
out:
    free(copy);
    return status;
}

/* Remove `name` in the folder at fd, with all that is in it; never through a link. */
static hone_status remove_at(int at, const char *name, const char *shown, int depth,
                             hone_error *err)
{
    struct dirent *entry;
    hone_status status = HONE_OK;
    DIR *d;
    int fd;
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return HONE_OK;
    if (errno != EISDIR && errno != EPERM)
        return hone_fail(err, HONE_ERR_IO, "%s: cannot remove it: %s", shown, strerror(errno));
    if (depth >= MAX_DEPTH)
        return hone_fail(err, HONE_ERR_LIMIT, "%s: more than %d folders deep", shown, MAX_DEPTH);
    fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        status =
            hone_fail(err, HONE_ERR_IO, "%s: cannot open the folder: %s", shown, strerror(errno));
        if (fd >= 0)
            close(fd);
        return status;
    }
    while (!status && (entry = readdir(d))) {
        char *inner;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        inner = path_join(shown, entry->d_name);
        status = inner ? remove_at(fd, entry->d_name, inner, depth + 1, err)
                       : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", shown);
        free(inner);
    }
    closedir(d);
    if (!status && unlinkat(at, name, AT_REMOVEDIR) != 0)
        status =
            hone_fail(err, HONE_ERR_IO, "%s: cannot remove the folder: %s", shown, strerror(errno));
    return status;
}

hone_status dir_remove(const char *path, hone_error *err)
{
    return remove_at(AT_FDCWD, path, path, 0, err);
}

/* --------------------------------------------------------------------- walk */

typedef struct walk {
    char *root; /* owned: realpath of the root */
    hone_status (*visit)(void *ctx, const char *path, hone_error *err);
    void *ctx; /* borrowed */
} walk;

typedef struct entry {
    char *path; /* owned */
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
    const int c = p[i] ? p[i] : x->folder ? '/' : 0;
    const int d = q[i] ? q[i] : y->folder ? '/' : 0;
    return c - d;
}

/* What to do with a link at path: true to visit the file it names. */
static bool link_is_inside(const walk *w, const char *path)
{
    struct stat st;
    const size_t n = strlen(w->root);
    bool inside = false;
    char *real = realpath(path, NULL);
    if (!real || stat(real, &st) != 0)
        log_line(HONE_LOG_WARN, "%s: left out, the link leads nowhere", path);
    else if (strcmp(w->root, "/") != 0 &&
             (strncmp(real, w->root, n) != 0 || (real[n] != '/' && real[n] != '\0')))
        log_line(HONE_LOG_WARN, "%s: left out, the link leads out of %s", path, w->root);
    else
        inside = S_ISREG(st.st_mode);
    free(real);
    return inside;
}

/* Which of a folder's entries are walked: *folder says how. */
static bool wanted(const walk *w, const char *path, bool *folder)
{
    struct stat st;
    *folder = false;
    if (lstat(path, &st) != 0) /* gone since it was listed */
        return false;
    if (S_ISLNK(st.st_mode))
        return link_is_inside(w, path);
    *folder = S_ISDIR(st.st_mode);
    if (*folder || S_ISREG(st.st_mode))
        return true;
    log_line(HONE_LOG_WARN, "%s: left out, not a regular file", path);
    return false;
}

static hone_status list_folder(const walk *w, const char *path, entry **out, size_t *n,
                               hone_error *err)
{
    hone_status status = HONE_OK;
    struct dirent *e;
    size_t cap = 0;
    DIR *d = opendir(path);
    if (!d)
        return hone_fail(err, HONE_ERR_IO, "%s: cannot open the folder: %s", path, strerror(errno));
    while (!status && (e = readdir(d))) {
        bool folder;
        char *inner;
        if (e->d_name[0] == '.')
            continue;
        inner = path_join(path, e->d_name);
        if (!inner || !mem_grow(out, &cap, *n + 1, sizeof **out)) {
            status = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for its entries", path);
            free(inner);
        } else if (wanted(w, inner, &folder)) {
            (*out)[(*n)++] = (entry){ inner, folder };
        } else {
            free(inner);
        }
    }
    closedir(d);
    if (!status && *n)
        qsort(*out, *n, sizeof **out, compare_entries);
    return status;
}

static hone_status walk_folder(const walk *w, const char *path, int depth, hone_error *err)
{
    entry *entries = NULL;
    size_t n = 0, i;
    hone_status status;
    if (depth > MAX_DEPTH)
        return hone_fail(err, HONE_ERR_LIMIT, "%s: more than %d folders deep", path, MAX_DEPTH);
    status = list_folder(w, path, &entries, &n, err);
    for (i = 0; i < n && !status; i++)
        status = entries[i].folder ? walk_folder(w, entries[i].path, depth + 1, err)
                                   : w->visit(w->ctx, entries[i].path, err);
    for (i = 0; i < n; i++)
        free(entries[i].path);
    free(entries);
    return status;
}

hone_status dir_walk(const char *root,
                     hone_status (*visit)(void *ctx, const char *path, hone_error *err), void *ctx,
                     hone_error *err)
{
    struct stat st;
    hone_status status;
    walk w = { NULL, visit, ctx };
    if (stat(root, &st) != 0)
        return hone_fail(err, errno == ENOENT ? HONE_ERR_NOTFOUND : HONE_ERR_IO, "%s: %s", root,
                         strerror(errno));
    if (S_ISREG(st.st_mode))
        return visit(ctx, root, err);
    if (!S_ISDIR(st.st_mode))
        return hone_fail(err, HONE_ERR_ARG, "%s: neither a file nor a folder", root);
    w.root = realpath(root, NULL);
    if (!w.root)
        return hone_fail(err, HONE_ERR_IO, "%s: %s", root, strerror(errno));
    status = walk_folder(&w, root, 0, err);
    free(w.root);
    return status;
}

/* --------------------------------------------------------------------- lock */

static hone_status locked_by_other(const char *path, int fd, hone_error *err)
{
    struct flock who = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char noted[128] = "";
    if (fcntl(fd, F_GETLK, &who) == 0 && who.l_type != F_UNLCK && who.l_pid > 0)
        return hone_fail(err, HONE_ERR_STATE, "%s: in use by process %ld; wait for it or stop it",
                         path, (long)who.l_pid);
    /* Held from another container or machine: only its own note can name it. */
    const ssize_t n = pread(fd, noted, sizeof noted - 1, 0);
    noted[n > 0 ? n : 0] = '\0';
    noted[strcspn(noted, "\n")] = '\0';
    return hone_fail(err, HONE_ERR_STATE, "%s: in use by process %s; wait for it or stop it", path,
                     noted[0] ? noted : "(unknown)");
}

hone_status dir_lock(const char *dir, int *fd, hone_error *err)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char host[64] = "", noted[128];
    hone_status status = HONE_OK;
    int file = -1, n;
    char *path = path_join(dir, ".lock");
    if (!path)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", dir);
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) {
        status = hone_fail(err, HONE_ERR_IO, "%s: %s", path, strerror(errno));
        goto out;
    }
    if (fcntl(file, F_SETLK, &whole) != 0) {
        if (errno == EACCES || errno == EAGAIN)
            status = locked_by_other(path, file, err);
        else
            status = hone_fail(err, HONE_ERR_IO, "%s: cannot lock: %s", path, strerror(errno));
        goto out;
    }
    (void)gethostname(host, sizeof host - 1);
    n = snprintf(noted, sizeof noted, "%ld on %s\n", (long)getpid(), host);
    if (ftruncate(file, 0) != 0 || pwrite(file, noted, (size_t)n, 0) != n) {
        status = hone_fail(err, HONE_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
        goto out;
    }
    *fd = file;
    file = -1;
out:
    if (file >= 0)
        close(file);
    free(path);
    return status;
}
