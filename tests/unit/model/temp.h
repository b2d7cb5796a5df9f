/*
 * temp.h - a folder of one's own for a test of core/model, and files in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_MODEL_TEMP_H
#define TESTS_UNIT_MODEL_TEMP_H

#include "core/base/base.h"
#include "test.h"

/* dir_remove() and free() it. */
static inline char *temp_new(void)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = path_join(tmp && tmp[0] == '/' ? tmp : "/tmp", "hone-model-XXXXXX");
    if (!dir || !mkdtemp(dir)) {
        perror("mkdtemp");
        exit(EXIT_FAILURE);
    }
    return dir;
}

static inline void temp_remove(char *dir)
{
    hone_error err = { 0 };
    CHECK_OK(dir_remove(dir, &err), err);
    free(dir);
}

static inline void temp_put(const char *dir, const char *name, const void *p, size_t n)
{
    hone_error err = { 0 };
    char *path = path_join(dir, name);
    CHECK_OK(file_write(path, p, n, &err), err);
    free(path);
}

#endif /* TESTS_UNIT_MODEL_TEMP_H */
