/*
 * search.c - where plugins are looked for, and whose files are believed.
 *
 * A plugin is code that runs as this user, so whoever can write the file or rename
 * a folder above it could become this user. Each of them must belong to root or to
 * the user and be writable by nobody else; a folder with the sticky bit (/tmp) may
 * stand above, for there nobody renames what is not his.
 *
 * The build folder. An uninstalled hone finds its plugins without settings: when
 * the folder of the executable, or one up to MAX_ABOVE above it, holds
 * plugins/.hone-build, and that file contains the folder's own path. The build
 * writes the file and nothing installs it, so an installed hone never looks
 * beside itself. Owners are not checked there: who can write that folder can
 * replace the executable that is already running.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/plugin/registry.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARKER "plugins/.hone-build"
#define MAX_ABOVE 4

static hone_status check_one(const char *path, bool above, hone_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return hone_fail(err, HONE_ERR_IO, "%s: %s", path, strerror(errno));
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return hone_fail(err, HONE_ERR_STATE,
                         "not used: %s belongs to user %lu, expected root or %lu; run chown", path,
                         (unsigned long)st.st_uid, (unsigned long)geteuid());
    if (above && (st.st_mode & S_ISVTX))
        return HONE_OK;
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return hone_fail(err, HONE_ERR_STATE,
                         "not used: %s can be changed by %s; run chmod go-w '%s'", path,
                         st.st_mode & S_IWOTH ? "everybody" : "its group", path);
    return HONE_OK;
}

hone_status search_check_owner(const char *path, hone_error *err)
{
    hone_status status;
    char *real = realpath(path, NULL), *slash;
    if (!real)
        return hone_fail(err, HONE_ERR_IO, "%s", strerror(errno));
    status = check_one(real, false, err);
    while (!status && strcmp(real, "/") != 0) {
        slash = strrchr(real, '/');
        slash[slash == real] = '\0';
        status = check_one(real, true, err);
    }
    free(real);
    return status;
}

/* plugins/ of the build folder this executable lies in, owned by the caller; NULL: none. */
static char *build_plugins(void)
{
    char exe[PATH_MAX], *real = NULL, *noted = NULL, *found = NULL, *marker, *end, *slash;
    const ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    size_t size = 0;
    int above;
    if (n <= 0)
        return NULL;
    exe[n] = '\0';
    real = realpath(exe, NULL);
    for (above = 0; real && !found && above <= MAX_ABOVE; above++) {
        slash = strrchr(real, '/');
        if (!slash || slash == real)
            break;
        *slash = '\0';
        marker = path_join(real, MARKER);
        if (marker && file_read(&noted, &size, marker, PATH_MAX, NULL) == HONE_OK) {
            noted[strcspn(noted, "\n")] = '\0';
            end = realpath(noted, NULL); /* the build may have been set up through a link */
            if (end && strcmp(end, real) == 0)
                found = path_join(real, "plugins");
            free(end);
            free(noted);
            noted = NULL;
        }
        free(marker);
    }
    free(real);
    return found;
}

static bool seen(const registry *r, const char *path)
{
    size_t i;
    for (i = 0; i < r->n_dirs; i++)
        if (strcmp(r->dirs[i]->dir.path, path) == 0)
            return true;
    return false;
}

/* One folder of the path. It need not exist; the same folder twice is read once. */
static hone_status search_dir(registry *r, const char *path, const char *origin, const char *build,
                              hone_error *err)
{
    hone_error why = { 0 };
    hone_status status = HONE_OK;
    char *real = realpath(path, NULL);
    const char *dir = real ? real : path;
    const bool trusted = build && strcmp(dir, build) == 0;
    if (seen(r, dir))
        goto out;
    status = registry_add_dir(r, dir, origin, err);
    if (status || !real)
        goto out;
    if (!trusted && search_check_owner(dir, &why))
        status = registry_add_problem(r, dir, why.message, err);
    else
        status = registry_scan(r, dir, origin, trusted, err);
out:
    free(real);
    return status;
}

/* --plugin-dir: named on the command line, so a relative one is as good, and one that is
 * not there is a mistake. */
static hone_status search_given(registry *r, const char *path, const char *build, hone_error *err)
{
    if (!path_is_dir(path))
        return hone_fail(err, HONE_ERR_NOTFOUND, "--plugin-dir: %s is not a folder", path);
    return search_dir(r, path, "--plugin-dir", build, err);
}

/* secure_getenv: a process with raised privileges does not obey its caller's environment. */
static hone_status search_environment(registry *r, const char *build, hone_error *err)
{
    const char *value = secure_getenv("HONE_PLUGIN_PATH");
    char *copy = mem_strdup(value ? value : ""), *dir, *save = NULL;
    hone_status status = HONE_OK;
    if (!copy)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for HONE_PLUGIN_PATH");
    for (dir = strtok_r(copy, ":", &save); dir && !status; dir = strtok_r(NULL, ":", &save))
        status = dir[0] == '/'
                     ? search_dir(r, dir, "HONE_PLUGIN_PATH", build, err)
                     : registry_add_problem(
                           r, dir, "not searched: HONE_PLUGIN_PATH takes absolute paths only", err);
    free(copy);
    return status;
}

static hone_status search_user(registry *r, const char *build, hone_error *err)
{
    const char *data = secure_getenv("XDG_DATA_HOME"), *home = secure_getenv("HOME");
    struct passwd *pw;
    char *dir;
    hone_status status;
    if (data && data[0] == '/') {
        dir = path_join(data, "hone/plugins");
    } else {
        if (!home || home[0] != '/') {
            pw = getpwuid(geteuid());
            home = pw ? pw->pw_dir : NULL;
        }
        if (!home || home[0] != '/')
            return HONE_OK;
        dir = path_join(home, ".local/share/hone/plugins");
    }
    if (!dir)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a path");
    status = search_dir(r, dir, "user", build, err);
    free(dir);
    return status;
}

hone_status search_all(registry *r, const char *const *dirs, size_t n_dirs, hone_error *err)
{
    char *build = build_plugins();
    hone_status status = HONE_OK;
    size_t i;
    for (i = 0; i < n_dirs && !status; i++)
        status = search_given(r, dirs[i], build, err);
    if (!status)
        status = search_environment(r, build, err);
    if (!status)
        status = search_user(r, build, err);
    if (!status && build) /* before what another hone has installed */
        status = search_dir(r, build, "build", build, err);
    if (!status)
        status = search_dir(r, "/usr/local/lib/hone/plugins", "local", build, err);
    if (!status)
        status = search_dir(r, HONE_SYSTEM_PLUGIN_DIR, "system", build, err);
    free(build);
    return status;
}
