/*
 * prepare.h - the door of core/prepare: from a folder of documents to samples.jsonl.
 *
 *   files --reader plugin--> blocks --recipe plugins--> samples --> samples.jsonl, report.json
 *
 * Readers are chosen by file extension from the components' rows. Readers of
 * hostile formats and all third-party readers and recipes run in child processes
 * that restrict themselves after the plugin is mapped; a crash or a time-out costs
 * one document, which is named. Archives are unpacked in such a process too, to memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_PREPARE_PREPARE_H
#define CORE_PREPARE_PREPARE_H

#include "core/base/base.h"
#include "core/data/data.h"
#include "core/plugin/plugin.h"

typedef struct prepare_options { /* option rows: prepare_option_rows, section "prepare" */
    hone_list sources;           /* files, folders and archives                               */
    const char *out;             /* folder of samples.jsonl and report.json                   */
    hone_list recipes;           /* names, in order: "headings,raw"                           */
    hone_list exclude;           /* path patterns (fnmatch) left out, counted                 */
    bool gitignore;              /* leave out what git would ignore                           */
    bool hidden;                 /* take names that begin with a dot, too                     */
    const char *fallback;        /* the reader of text files that no reader claims; NULL: "*"   */
    bool strict;                 /* a document that fails ends the run; else counted and named */
    int64_t timeout;             /* seconds per document in a child                           */
    int64_t memory_mb;           /* of a child                                                */
    int64_t jobs;                /* children at once; 0: one per core                         */
    int64_t max_mb;              /* of one document                                           */
    int64_t archive_depth;       /* archives in archives; 0: archives are not opened          */
    int64_t archive_entries, archive_mb;
    double archive_ratio; /* unpacked bytes for each of the archive */
    const char *cache;    /* folder; NULL: <out>/cache                */
    int64_t cache_mb;     /* 0: none                                  */
    int64_t near;         /* what becomes of near duplicates: count, drop, off */
    double near_threshold;
    double split;     /* share of samples for val.jsonl               */
    int64_t split_by; /* SPLIT_*                                      */
    int64_t split_depth, split_seed;
    hone_list exec_paths; /* what programs that are recipes may read and run */
} prepare_options;

#define SPLIT_DOCUMENT 0
#define SPLIT_PATH 1
extern const hone_option prepare_option_rows[];

/* The nothing-in-silence report of a preparation. */
typedef struct prepare_report {
    int64_t files;          /* documents met: those of archives count, archives do not */
    int64_t read;           /* gave samples, or could have                             */
    int64_t cached, opened; /* known from the cache; handed to a process               */
    int64_t skipped;        /* left out by their reader or a recipe                    */
    int64_t failed;         /* could not be read                                       */
    int64_t refused;        /* links, special files, limits, broken archives, ...      */
    int64_t no_reader, binary, excluded, ignored, hidden, own, archives;
    int64_t bytes, blocks, samples, duplicates, near, empty;
    int64_t validation; /* of the samples: in val.jsonl */
    int64_t lost_bytes; /* what readers and recipes reported as left out */
    text named;         /* the first of what failed, a line each */
    int64_t n_named;
    json_t *detail; /* owned: as in report.json */
} prepare_report;
void prepare_report_finish(prepare_report *r);
void prepare_report_print(const prepare_report *r, text *out);
/* Documents that were lost though no rule of the user left them out. */
int64_t prepare_report_lost(const prepare_report *r);

typedef struct prepare_progress {
    int64_t files, all_files; /* of the file system; done, and all */
    int64_t bytes, all_bytes;
    int64_t samples, cached;
    double seconds;
    const char *file; /* the last one written */
} prepare_progress;

/* What a run works with; all borrowed. */
typedef struct prepare_input {
    registry *plugins;
    /* The config's "reader" and "recipe" objects by component name ({"raw": {"tokens": 256}}), or
     * NULL. */
    const json_t *reader_options, *recipe_options;
    const char *base; /* folder that "exec:./program" starts from; NULL: the working one */
    const tokenizer *tokenizer; /* the model's, for recipes, or NULL */
    const char *key;            /* of what else recipes depend on: template, services; or NULL */
    hone_list without;          /* documents that are taken to be not there */
    const char *own[2];         /* folders beside out and cache that the program writes, or NULL:
                                   never read as part of a source */
    void (*on_progress)(void *ctx, const prepare_progress *p); /* may be NULL */
    void *ctx;
} prepare_input;

/* Deterministic: the same files and config give the same bytes, at any number of jobs. Written
 * atomically: <out>/samples.jsonl, <out>/report.json and the lists of <out>/report/. */
HONE_MUST_CHECK hone_status prepare_run(const prepare_options *o, const prepare_input *in,
                                        prepare_report *report, hone_error *err);

#endif /* CORE_PREPARE_PREPARE_H */
