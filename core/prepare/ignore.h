/*
 * ignore.h - which paths of a work tree git would ignore. Private to core/prepare.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_PREPARE_IGNORE_H
#define CORE_PREPARE_IGNORE_H

#include "core/base/base.h"

#define IGNORE_NO_SAY 0
#define IGNORE_YES 1
#define IGNORE_NOT 2 /* a "!pattern" takes it back */

typedef struct ignore_pattern ignore_pattern;

/* The patterns of one file. */
typedef struct ignore_list {
    ignore_pattern *p; /* owned */
    size_t n, cap;
    char *base;       /* owned: the file's folder from the top of the work tree, "" or "a/b/" */
    uint8_t *scratch; /* owned: states of the longest pattern */
    bool fold;        /* letter case does not matter: core.ignorecase */
} ignore_list;

/* Patterns as gitignore(5) defines them, from the bytes of a file. */
HONE_MUST_CHECK hone_status ignore_parse(ignore_list *out, const char *p, size_t n,
                                         const char *base, bool fold, hone_error *err);
void ignore_finish(ignore_list *l);
/* IGNORE_*: what the last pattern that matches says. path: from the top of the work tree, below
 * the list's base, without a slash at its end. */
int ignore_ask(const ignore_list *l, const char *path, bool folder);

/* A work tree: a folder with .git, or the root of a source that is in none. */
typedef struct work_tree {
    char *top;           /* owned: absolute, without links */
    ignore_list exclude; /* .git/info/exclude */
    bool fold;
    char *index;          /* owned: bytes of .git/index, unpacked names */
    const char **tracked; /* owned array, into index: ascending */
    size_t n_tracked, cap_tracked;
} work_tree;

/* top: absolute. A folder without .git is a work tree without excludes and tracked files. */
HONE_MUST_CHECK hone_status work_tree_open(work_tree *out, const char *top, hone_error *err);
void work_tree_finish(work_tree *t);
/* The nearest folder at or above `folder` (absolute) that has .git, fresh; NULL: none. */
char *work_tree_top(const char *folder);
/* git never ignores what it tracks: the file itself, or something below a folder. */
bool work_tree_tracks(const work_tree *t, const char *path);
bool work_tree_tracks_below(const work_tree *t, const char *folder);

/* For tests and fuzzing: names of a .git/index; hash: bytes of an object's name, 20 or 32. */
HONE_MUST_CHECK hone_status tracked_parse(work_tree *t, const uint8_t *p, size_t n, size_t hash,
                                          hone_error *err);

#endif /* CORE_PREPARE_IGNORE_H */
