/*
 * child.h - the process in which readers and recipes run, shared by child.c (what it does) and
 * child_sinks.c (what its readers and recipes hand to it, and the frames that come of that).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_PREPARE_CHILD_H
#define CORE_PREPARE_CHILD_H

#include "core/prepare/exec.h"
#include "core/prepare/parts.h"

typedef struct opened { /* a component with its instance */
    component *c;       /* NULL: it could not be opened, and only perhaps is needed */
    void *self;
    exec_recipe *exec; /* owned: a recipe that is a program */
    hone_error why;
} opened;

/* Texts of blocks lie one behind another: a million of them are not a million allocations. */
typedef struct words {
    struct words *before; /* owned */
    size_t n, cap;
    char p[];
} words;

typedef struct child {
    const crew *crew;
    int fd;
    opened *readers, *recipes; /* owned, as many as the crew has */
    text out;                  /* frames not sent yet */

    /* The document at hand. Texts of blocks stay until the next document. */
    hone_block *blocks;
    size_t n_blocks, cap_blocks;
    hone_unit *units;
    size_t n_units, cap_units;
    struct words *words; /* owned: memory of their texts */
    char *title, *language;
    uint64_t source_bytes;
    uint32_t who;    /* 0: the reader, 1 + k: recipe k */
    bool ended;      /* the program of a recipe is of no more use: so is this process */
    bool again;      /* ... and it was gone before the document at hand */
    char prompt[65]; /* of the samples that come */
} child;

/* Sends the frames so far; false: the run has gone. */
bool child_flush(child *c);
/* Bytes of the document that c->who left out. */
void child_lost(child *c, uint64_t bytes, const char *why);
/* What readers and recipes are given. */
hone_block_sink child_block_sink(child *c);
hone_sample_sink child_sample_sink(child *c);

#endif
