/*
 * runs.h - a folder of documents, a run over it with the reader of ".bad" and the recipe "echo", and
 * what it wrote.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_PREPARE_RUNS_H
#define TESTS_PREPARE_RUNS_H

#include "core/prepare/prepare.h"
#include "test.h"

#include <unistd.h>

static char *dir, *docs, *out;
static registry *plugins;

static inline void put(const char *name, const char *bytes)
{
    hone_error err = { 0 };
    char *path = path_join(docs, name);
    CHECK_OK(file_write(path, bytes, strlen(bytes), &err), err);
    free(path);
}

static inline hone_status run_without(prepare_options *o, prepare_report *r,
                                      const char *const *without, uint64_t n, hone_error *err)
{
    static const char *sources[1], *recipes[] = { "echo" };
    sources[0] = docs;
    o->sources = (hone_list){ sources, 1 };
    o->recipes = (hone_list){ recipes, 1 };
    o->out = out;
    if (!o->timeout)
        o->timeout = 20;
    if (o->near_threshold <= 0)
        o->near = 2; /* off */
    o->max_mb = o->max_mb ? o->max_mb : 16;
    o->archive_depth = o->archive_depth ? o->archive_depth : 3;
    o->archive_entries = o->archive_entries ? o->archive_entries : 1000;
    o->archive_mb = o->archive_mb ? o->archive_mb : 64;
    o->archive_ratio = o->archive_ratio > 0 ? o->archive_ratio : 100;
    const prepare_input in = { .plugins = plugins, .without = { without, n } };
    return prepare_run(o, &in, r, err);
}

static inline hone_status run_docs(prepare_options *o, prepare_report *r, hone_error *err)
{
    return run_without(o, r, NULL, 0, err);
}

__attribute__((noinline, unused)) static char *samples(void)
{
    hone_error err = { 0 };
    char *path = path_join(out, "samples.jsonl"), *p = NULL;
    CHECK_OK(file_read(&p, NULL, path, 1 << 26, &err), err);
    free(path);
    return p;
}

/* The line about a document in report/NAME.jsonl, fresh. */
__attribute__((noinline, unused)) static char *line_of(const char *file, const char *name_of)
{
    hone_error err = { 0 };
    text name = { 0 };
    text_printf(&name, "report/%s.jsonl", file);
    char *path = path_join(out, name.p), *all = NULL, *found = NULL;
    CHECK_OK(file_read(&all, NULL, path, 1 << 22, &err), err);
    for (char *at = strtok(all, "\n"); at && !found; at = strtok(NULL, "\n"))
        if (strstr(at, name_of))
            found = mem_strdup(at);
    text_finish(&name);
    free(path);
    free(all);
    return found ? found : mem_strdup("not in the report");
}

#define CHECK_LINE(file, document, want)       \
    do {                                       \
        char *line_ = line_of(file, document); \
        CHECK_HAS(line_, want);                \
        free(line_);                           \
    } while (0)

static inline void begin(void)
{
    hone_error err = { 0 };
    char name[] = "/tmp/hone-prepare-XXXXXX";
    dir = mem_strdup(mkdtemp(name));
    docs = path_join(dir, "docs");
    out = path_join(dir, "out");
    CHECK_OK(dir_make(docs, &err), err);
}

static inline void end(void)
{
    hone_error err = { 0 };
    CHECK_OK(dir_remove(dir, &err), err);
    free(dir);
    free(docs);
    free(out);
}

#endif /* TESTS_PREPARE_RUNS_H */
