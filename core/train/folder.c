/*
 * folder.c - folders that appear whole or not at all.
 *
 * A folder is filled under "<path>.tmp.<pid>" and renamed. rename(2) does not replace a
 * folder that holds something, so an existing one is exchanged with the new one
 * (renameat2) and removed under the temporary name. Where the file system cannot
 * exchange, the old one is moved aside first: a kill between the two moves leaves
 * none, and the run's checkpoint, from which the same command makes it again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static char *with_suffix(const char *path, const char *suffix)
{
    text t = { 0 };
    text_printf(&t, "%s.%s.%ld", path, suffix, (long)getpid());
    if (t.failed)
        text_finish(&t);
    return t.p;
}

static hone_status sync_dir(const char *path, hone_error *err)
{
    hone_status st = HONE_OK;
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL && errno != EROFS))
        st = hone_fail(err, HONE_ERR_IO, "%s: cannot sync the folder: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return st;
}

static hone_status sync_parent(const char *path, hone_error *err)
{
    char *parent = path_dir(path);
    hone_status st;
    if (!parent)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", path);
    st = sync_dir(parent, err);
    free(parent);
    return st;
}

hone_status folder_begin(char **tmp, const char *path, hone_error *err)
{
    hone_status st;
    char *name = with_suffix(path, "tmp");
    if (!name)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", path);
    st = dir_remove(name, err); /* left by a killed process that had our number */
    if (!st)
        st = dir_make(name, err);
    if (!st) {
        *tmp = name;
        name = NULL;
    }
    free(name);
    return st;
}

/* Without an exchange: the old one aside, the new one in, the old one to tmp. */
static hone_status move_over(const char *tmp, const char *path, hone_error *err)
{
    char *aside = with_suffix(path, "old");
    hone_status st = HONE_OK;
    if (!aside)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", path);
    if (rename(path, aside) != 0)
        st = hone_fail(err, HONE_ERR_IO, "%s: cannot move it aside: %s", path, strerror(errno));
    else if (rename(tmp, path) != 0) {
        st = hone_fail(err, HONE_ERR_IO, "%s: cannot put it in place: %s", path, strerror(errno));
        (void)!rename(aside, path);
    } else {
        st = dir_remove(aside, err);
    }
    free(aside);
    return st;
}

/* Put tmp at path; what was there, if anything, is then at tmp. */
static hone_status exchange(const char *tmp, const char *path, hone_error *err)
{
    if (renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_EXCHANGE) == 0)
        return HONE_OK;
    if (errno == ENOENT) {
        if (rename(tmp, path) == 0)
            return HONE_OK;
    } else if (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP) {
        return move_over(tmp, path, err);
    }
    return hone_fail(err, HONE_ERR_IO, "%s: cannot put it in place: %s", path, strerror(errno));
}

hone_status folder_commit(const char *tmp, const char *path, hone_error *err)
{
    hone_status st = sync_dir(tmp, err);
    if (!st)
        st = exchange(tmp, path, err);
    if (!st)
        st = sync_parent(path, err);
    if (!st)
        st = dir_remove(tmp, err);
    return st;
}

void folder_abort(const char *tmp)
{
    if (tmp)
        (void)!dir_remove(tmp, NULL);
}

hone_status folder_remove(const char *path, hone_error *err)
{
    hone_status st;
    char *aside = with_suffix(path, "old");
    if (!aside)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", path);
    if (rename(path, aside) != 0)
        st = hone_fail(err, HONE_ERR_IO, "%s: cannot remove it: %s", path, strerror(errno));
    else
        st = dir_remove(aside, err);
    free(aside);
    return st;
}

/* The process whose number ends "x.tmp.123" or "x.old.123"; 0: another name. */
static long temporary_of(const char *name)
{
    static const char *const marks[] = { ".tmp.", ".old." };
    size_t i;
    for (i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *at = strstr(name, marks[i]);
        if (at && at[5] && strspn(at + 5, "0123456789") == strlen(at + 5))
            return strtol(at + 5, NULL, 10);
    }
    return 0;
}

/* what: of folders "<what>.tmp.<pid>" alone, whose process is gone; NULL: of all in dir. */
static hone_status sweep(const char *dir, const char *what, hone_error *err)
{
    const size_t n = what ? strlen(what) : 0;
    hone_status st = HONE_OK;
    const struct dirent *entry;
    DIR *d = opendir(dir);
    if (!d)
        return hone_fail(err, HONE_ERR_IO, "%s: %s", dir, strerror(errno));
    while (!st && (entry = readdir(d)) != NULL) {
        const long pid = strncmp(entry->d_name, what ? what : "", n) == 0 && entry->d_name[n] != 0
                             ? temporary_of(entry->d_name + n)
                             : 0;
        char *path;
        if (!pid ||
            (what && (entry->d_name[n] != '.' || kill((pid_t)pid, 0) == 0 || errno != ESRCH)))
            continue;
        path = path_join(dir, entry->d_name);
        if (!path) {
            st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", dir);
            break;
        }
        log_line(HONE_LOG_WARN, "%s: incomplete, left by a process that was killed: removed", path);
        st = dir_remove(path, err);
        free(path);
    }
    closedir(d);
    return st;
}

hone_status folder_sweep(const char *dir, hone_error *err)
{
    return sweep(dir, NULL, err);
}

hone_status folder_sweep_beside(const char *path, hone_error *err)
{
    char *parent = path_dir(path);
    const hone_status st = parent ? sweep(parent, path_base(path), err)
                                  : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", path);
    free(parent);
    return st;
}
