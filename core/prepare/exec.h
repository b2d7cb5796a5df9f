/*
 * exec.h - recipes that are programs of their own: "exec:./my_recipe". Private to core/prepare.
 *
 * The program speaks JSON, a line each, on its standard input and output (docs/programs.md). It is
 * started by the child that reads documents, before that locks itself down, and is held to
 * limits of its own; a program that dies, floods or talks nonsense costs the document and ends
 * with its child.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_PREPARE_EXEC_H
#define CORE_PREPARE_EXEC_H

#include "core/prepare/parts.h"

/* Where an administrator says {"exec_recipes": false}: no setting of a user leads elsewhere. */
#define HONE_POLICY_FILE "/etc/hone/policy.json"

#define EXEC_LINE_BYTES (16u << 20)      /* of one line of a program                  */
#define EXEC_ANSWER_BYTES (256ull << 20) /* of all its lines about one document       */

/* Is this name of a recipe a program's, and may programs be recipes here? Fills c from the file. */
bool exec_is(const char *name);
HONE_MUST_CHECK hone_status exec_choose(recipe_choice *c, const char *base, hone_error *err);
/* HONE_ERR_STATE when the administrator's file at path forbids it; a file that cannot be
 * understood does. */
HONE_MUST_CHECK hone_status exec_allowed(const char *path, hone_error *err);

typedef struct exec_recipe exec_recipe;
HONE_MUST_CHECK hone_status exec_open(exec_recipe **out, const recipe_choice *c, const crew *w,
                                      hone_error *err);
/* As hone_recipe.process(). After anything but HONE_OK, HONE_ERR_SKIP and HONE_ERR_FORMAT with
 * *alive the program is of no more use. */
HONE_MUST_CHECK hone_status exec_process(exec_recipe *x, const hone_document *d,
                                         const hone_sample_sink *sink, bool *alive,
                                         hone_error *err);

/* After *alive == false: it ended without a word about the document, and had answered before. That is
 * no fault of the document: another program is to be asked. */
bool exec_left(const exec_recipe *x);

/* One line of a program: a sample to sink, something lost, or (*end) the end of its answer. */
HONE_MUST_CHECK hone_status exec_take_line(const char *p, size_t n, const hone_document *d,
                                           const hone_sample_sink *sink, bool *end,
                                           hone_error *err);
/* What it is told of a document. */
HONE_MUST_CHECK hone_status exec_tell(text *out, const hone_document *d, const json_t *options,
                                      hone_error *err);

/* lockdown.c: the same for a program, which needs files: those of `paths` (n) may be read and
 * run, nothing else; no network, no signals to others. */
HONE_MUST_CHECK hone_status lockdown_program(int64_t memory_bytes, const char *const *paths,
                                             size_t n, hone_error *err);

#endif /* CORE_PREPARE_EXEC_H */
