/*
 * folder.h - a folder of one's own for a test.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_BASE_FOLDER_H
#define TESTS_UNIT_BASE_FOLDER_H

#include "core/base/base.h"
#include "test.h"

/* dir_remove() and free() it. */
static inline char *folder_new(void)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = path_join(tmp && tmp[0] == '/' ? tmp : "/tmp", "hone-base-XXXXXX");
    if (!dir || !mkdtemp(dir)) {
        perror("mkdtemp");
        exit(EXIT_FAILURE);
    }
    return dir;
}

static inline void folder_remove(char *dir)
{
    hone_error err = { 0 };
    CHECK_OK(dir_remove(dir, &err), err);
    CHECK(!path_exists(dir));
    free(dir);
}

/* A file `name` (with folders) below dir. */
static inline void folder_put(const char *dir, const char *name, const char *bytes)
{
    hone_error err = { 0 };
    char *path = path_join(dir, name), *above = path_dir(path);
    CHECK_OK(dir_make(above, &err), err);
    CHECK_OK(file_write(path, bytes, strlen(bytes), &err), err);
    free(above);
    free(path);
}

#endif /* TESTS_UNIT_BASE_FOLDER_H */
