/*
 * registry.h - private to core/plugin: the registry's insides and the search path.
 *
 * Entries are allocated one by one, so that what the door hands out stays where it is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_PLUGIN_REGISTRY_H
#define CORE_PLUGIN_REGISTRY_H

#include "core/plugin/plugin.h"

#include <sys/types.h>
#include <time.h>

typedef struct file_entry {
    plugin_file file;
    char *path; /* owned */
    /* which file the note was read from: the loader refuses another one */
    dev_t device;
    ino_t inode;
    off_t bytes;
    struct timespec changed;
} file_entry;

typedef struct problem_entry {
    plugin_problem problem;
    char *path; /* owned */
} problem_entry;

typedef struct dir_entry {
    plugin_dir dir;
    char *path; /* owned */
} dir_entry;

struct registry {
    file_entry **files; /* owned */
    problem_entry **problems;
    dir_entry **dirs;
    size_t n_files, cap_files, n_problems, cap_problems, n_dirs, cap_dirs;
    bool experimental;
};

hone_status registry_add_problem(registry *r, const char *path, const char *reason,
                                 hone_error *err);
hone_status registry_add_dir(registry *r, const char *path, const char *origin, hone_error *err);
/* Read the notes of a folder. trusted: without the checks of owners and modes. */
hone_status registry_scan(registry *r, const char *dir, const char *origin, bool trusted,
                          hone_error *err);

/* Go through the whole search path. */
hone_status search_all(registry *r, const char *const *dirs, size_t n_dirs, hone_error *err);
/* Refuses a file or folder that somebody else than root or this user could change, itself
 * or through a folder above it. The message says what to do, without the path in front. */
hone_status search_check_owner(const char *path, hone_error *err);

#endif /* CORE_PLUGIN_REGISTRY_H */
