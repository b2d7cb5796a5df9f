/*
 * bench_code.c - how fast the reader `code` splits source code into functions, beside tree-sitter's
 * parser alone on the same text.
 *
 *   bench_code GRAMMAR.so SYMBOL FILE NAME PASSES
 *
 * The passes alternate. Prints the MB/s of processor time of both (medians), their ratio, and how
 * many units there are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <tree_sitter/api.h>

#include "unit/prepare/harness.h"

#define MOST_PASSES 99

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static uint64_t units;

static hone_status take_block(const hone_block_sink *s, const hone_block *b, hone_error *err)
{
    (void)s;
    (void)b;
    (void)err;
    return HONE_OK;
}

static hone_status take_unit(const hone_block_sink *s, const hone_unit *u, hone_error *err)
{
    (void)s;
    (void)err;
    units += u->kind != HONE_UNIT_COMMENT;
    return HONE_OK;
}

static hone_status take_meta(const hone_block_sink *s, const char *key, hone_str v, hone_error *err)
{
    (void)s;
    (void)key;
    (void)v;
    (void)err;
    return HONE_OK;
}

static void take_lost(const hone_block_sink *s, uint64_t bytes, const char *why)
{
    (void)s;
    (void)bytes;
    (void)why;
}

static void take_note(const hone_block_sink *s, const char *line)
{
    (void)s;
    (void)line;
}

int main(int argc, char **argv)
{
    double ours[MOST_PASSES], theirs[MOST_PASSES];
    const int passes = argc == 6 ? atoi(argv[5]) : 0;
    const TSLanguage *(*entry)(void) = NULL;
    const hone_block_sink sink = { .struct_size = sizeof sink,
                                   .add = take_block,
                                   .lost = take_lost,
                                   .meta = take_meta,
                                   .note = take_note,
                                   .unit = take_unit };
    test_host host;
    instance x = { 0 };
    hone_error err = { 0 };
    char *p = NULL;
    size_t n = 0;
    if (passes < 1 || passes > MOST_PASSES)
        return fprintf(stderr, "usage: bench_code GRAMMAR.so SYMBOL FILE NAME PASSES\n"), 2;
    void *so = dlopen(argv[1], RTLD_NOW);
    if (so)
        *(void **)&entry = dlsym(so, argv[2]);
    TSParser *parser = ts_parser_new();
    test_host_init(&host);
    if (!entry || !ts_parser_set_language(parser, entry()) ||
        file_read(&p, &n, argv[3], 1u << 28, &err) ||
        instance_open(&x, &host.host, "code", HONE_KIND_READER, NULL, &err))
        return fprintf(stderr, "%s %s\n", entry ? "" : "no grammar", err.message), 1;
    const hone_source source = { .struct_size = sizeof source,
                                 .name = hone_s(argv[4]),
                                 .bytes = { p, n } };
    for (int i = -1; i < passes; i++) { /* the first warms up */
        double t = processor_seconds();
        ts_tree_delete(ts_parser_parse_string(parser, NULL, p, (uint32_t)n));
        const double parsed = processor_seconds() - t;
        units = 0;
        t = processor_seconds();
        if (((const hone_reader *)x.desc->ops)->read(x.self, &source, &sink, &err))
            return fprintf(stderr, "%s\n", err.message), 1;
        if (i >= 0) {
            theirs[i] = parsed;
            ours[i] = processor_seconds() - t;
        }
    }
    qsort(ours, (size_t)passes, sizeof *ours, ascending);
    qsort(theirs, (size_t)passes, sizeof *theirs, ascending);
    const double a = ours[passes / 2], b = theirs[passes / 2];
    printf("%.2f %.2f %.2f %llu\n", (double)n / a / 1e6, (double)n / b / 1e6, b / a,
           (unsigned long long)units);
    instance_close(&x);
    ts_parser_delete(parser);
    free(p);
    return 0;
}
