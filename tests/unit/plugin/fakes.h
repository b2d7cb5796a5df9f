/*
 * fakes.h - a folder of one's own, and copies of the fake plugins in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_PLUGIN_FAKES_H
#define TESTS_UNIT_PLUGIN_FAKES_H

#include "core/plugin/plugin.h"
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

/* A fresh folder under /tmp; dir_remove() and free() it. Nothing else is searched. */
static inline char *fakes_folder(void)
{
    char *dir = strdup("/tmp/hone-plugin-XXXXXX");
    if (!dir || !mkdtemp(dir)) {
        perror("mkdtemp");
        exit(EXIT_FAILURE);
    }
    (void)umask(022);
    (void)setenv("XDG_DATA_HOME", "/nonexistent", 1);
    (void)unsetenv("HONE_PLUGIN_PATH");
    return dir;
}

static inline void fakes_remove(char *dir)
{
    hone_error err = { 0 };
    CHECK_OK(dir_remove(dir, &err), err);
    free(dir);
}

/* The bytes of fake_<name>.so; free(). */
static inline char *fakes_read(const char *name, size_t *n)
{
    const char *from = getenv("HONE_FAKE_DIR");
    hone_error err = { 0 };
    char path[4096], *bytes = NULL;
    (void)snprintf(path, sizeof path, "%s/fake_%s.so", from ? from : ".", name);
    CHECK_OK(file_read(&bytes, n, path, 64 << 20, &err), err);
    if (!bytes)
        exit(EXIT_FAILURE);
    return bytes;
}

/* dir/file is a copy of fake_<name>.so. */
static inline void fakes_copy(const char *dir, const char *file, const char *name)
{
    hone_error err = { 0 };
    size_t n;
    char *bytes = fakes_read(name, &n), *path = path_join(dir, file);
    CHECK_OK(file_write(path, bytes, n, &err), err);
    free(bytes);
    free(path);
}

/* The registry of dir and whatever the build folder holds. */
static inline registry *fakes_open(const char *dir)
{
    hone_error err = { 0 };
    registry *r = NULL;
    CHECK_OK(registry_open(&r, &dir, 1, &err), err);
    if (!r)
        exit(EXIT_FAILURE);
    return r;
}

/* Why dir/file is not used; "" when it is. */
static inline const char *fakes_problem(const registry *r, const char *file)
{
    size_t i;
    for (i = 0; i < registry_n_problems(r); i++)
        if (strcmp(path_base(registry_problem(r, i)->path), file) == 0)
            return registry_problem(r, i)->reason;
    return "";
}

#endif /* TESTS_UNIT_PLUGIN_FAKES_H */
