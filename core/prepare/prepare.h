/*
 * prepare.h - the door of core/prepare: from a folder of documents to samples.jsonl.
 *
 *   files --reader plugin--> blocks --recipe plugins--> samples --> samples.jsonl, report.json
 *
 * Readers are chosen by file extension from the components' rows. Readers of
 * hostile formats and all third-party readers and recipes run in child processes
 * that restrict themselves after the plugin is mapped; a crash or a time-out costs
 * one document, which is named.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_PREPARE_PREPARE_H
#define CORE_PREPARE_PREPARE_H

#include "core/base/base.h"
#include "core/data/data.h"
#include "core/plugin/plugin.h"

typedef struct prepare_options { /* option rows: prepare_option_rows, section "prepare" */
    hone_list sources;           /* files and folders                                         */
    const char *out;             /* folder of samples.jsonl and report.json                   */
    hone_list recipes;           /* names, in order: "headings,raw"                           */
    hone_list exclude;           /* path patterns (fnmatch) left out, counted                 */
    bool strict;                 /* a document that fails ends the run; else counted and named */
    int64_t timeout;             /* seconds per document in a child                           */
    int64_t memory_mb;           /* of a child                                                */
    int64_t jobs;                /* children at once; 0: one per core                         */
} prepare_options;
extern const hone_option prepare_option_rows[];

/* The nothing-in-silence report of a preparation. */
typedef struct prepare_report {
    int64_t files, read, skipped, failed, no_reader, excluded;
    int64_t bytes, samples, duplicates, empty;
    int64_t lost_bytes; /* what readers and recipes reported as left out */
    json_t *detail;     /* owned: per document and per cause, as in report.json */
} prepare_report;
void prepare_report_finish(prepare_report *r);
void prepare_report_print(const prepare_report *r, text *out);

/* component_options: the config's "reader" and "recipe" objects by component name
 * ({"raw": {"tokens": 256}}), or NULL. t: the model's tokenizer for recipes, or NULL. on_progress
 * may be NULL. Deterministic: the same files and config give the same bytes, at any
 * number of jobs. Written atomically. */
HONE_MUST_CHECK hone_status prepare_run(const prepare_options *o, registry *plugins,
                                        const json_t *reader_options, const json_t *recipe_options,
                                        const tokenizer *t,
                                        void (*on_progress)(void *ctx, int64_t done, int64_t total,
                                                            const char *file),
                                        void *ctx, prepare_report *report, hone_error *err);

#endif /* CORE_PREPARE_PREPARE_H */
