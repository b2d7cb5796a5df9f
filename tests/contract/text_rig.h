/*
 * text_rig.h - what check_reader and check_recipe share: a plugin opened as hone opens it, run in
 * this process under a host that counts and fails.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_CONTRACT_TEXT_RIG_H
#define TESTS_CONTRACT_TEXT_RIG_H

#include "core/plugin/plugin.h"
#include "tests/unit/prepare/harness.h"

typedef struct text_rig {
    registry *plugins;
    component *component;
    test_host host;
    uint64_t seed;
    const char **files; /* borrowed, further arguments: documents of the user's own */
    size_t n_files;
    int failures;
} text_rig;

/* Arguments: PLUGIN.so [--name NAME] [--seed N] [--option KEY=VALUE]... [FILE]... */
hone_status text_rig_open(text_rig *g, const char *kind, int argc, char **argv, hone_error *err);
void text_rig_close(text_rig *g);

/* An instance of the component with its options, made by create(). */
hone_status text_rig_create(text_rig *g, instance *x, hone_error *err);
void text_rig_destroy(instance *x);

/* Print "what: message" and count. */
HONE_PRINTF(2, 3) void text_rig_fail(text_rig *g, const char *format, ...);
/* A call that failed as calls should: a known code, a message of one line of UTF-8. */
void text_rig_failed_well(text_rig *g, const char *what, hone_status st, const hone_error *err);

#endif /* TESTS_CONTRACT_TEXT_RIG_H */
