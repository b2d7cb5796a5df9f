/*
 * walk.h - the files below a source that are documents, and what is left out and why. Private to
 * core/prepare.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_PREPARE_WALK_H
#define CORE_PREPARE_WALK_H

#include "core/base/base.h"

/* Why something is left out. Those of the user's own rules are counted; the others cost a document
 * and show in the exit status. */
typedef enum left_out {
    LEFT_IGNORED,    /* .gitignore                    */
    LEFT_HIDDEN,     /* a name that begins with a dot */
    LEFT_EXCLUDED,   /* prepare.exclude               */
    LEFT_OWN,        /* a folder that hone writes     */
    LEFT_NO_READER,  /* no reader for its kind        */
    LEFT_BINARY,     /* the same, and no text         */
    LEFT_LINK,       /* leads nowhere, in a circle, out of the source, or is inside an archive */
    LEFT_SPECIAL,    /* neither file nor folder       */
    LEFT_UNREADABLE, /* the system says no            */
    LEFT_REFUSED,    /* a hostile name                */
    LEFT_ENCRYPTED,
    LEFT_LIMIT, /* larger, deeper or more than a limit allows */
    LEFT_BROKEN,
    LEFT_REASONS
} left_out;

typedef struct walk_events {
    /* A file; path to open it, size in bytes. */
    hone_status (*file)(void *ctx, const char *path, uint64_t size, hone_error *err);
    /* A file or folder that is left out; said: the reason for people. */
    hone_status (*left)(void *ctx, const char *path, left_out why, const char *said,
                        hone_error *err);
} walk_events;

typedef struct walk_rules {
    bool gitignore; /* leave out what git would ignore */
    bool hidden;    /* visit names that begin with a dot; .git never is */
    /* Folders that are left out wherever they lie below the root; borrowed, NULLs are passed over. */
    const char *const *own;
    size_t n_own;
} walk_rules;

/* Files under root (or root itself), in byte order of path, a folder as if '/' ended its name.
 * Nothing is an error but root itself, memory, and what an event returns. */
HONE_MUST_CHECK hone_status walk(const char *root, const walk_rules *rules,
                                 const walk_events *events, void *ctx, hone_error *err);

#endif /* CORE_PREPARE_WALK_H */
