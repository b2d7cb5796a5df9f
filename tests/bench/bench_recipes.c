/*
 * bench_recipes.c - how fast recipes work on one core, for tools/bench/peer_recipes.py.
 *
 *   bench_recipes rake FILE BYTES PASSES          keywords of every document of BYTES, lines as
 *                                                 sentences; stop words on standard input
 *   bench_recipes chunk FOLDER FILE TOKENS PASSES chunks of TOKENS, a tenth repeated, with the
 *                                                 tokenizer of FOLDER; a blank line ends a block
 *
 * Prints MB/s of processor time (median of the passes; the first is not timed), how many phrases or
 * chunks there were, and for rake a hash of all phrases and scores in order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <time.h>

#include "core/data/data.h"
#include "plugins/recipes/rake.h"
#include "plugins/recipes/split.h"
#include "unit/prepare/harness.h"

#define MOST_PASSES 99

typedef struct job {
    test_host host;
    char *p; /* owned: the text */
    size_t n, bytes;
    rake rake;
    splitter splitter;
    hone_block *blocks; /* owned */
    size_t n_blocks;
    uint64_t results;
    uint64_t hash;
} job;

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void add_hash(job *j, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        j->hash = (j->hash ^ ((const uint8_t *)p)[i]) * 0x100000001b3u;
}

/* As documents() of the peer cuts: behind `bytes` bytes, at the end of a line. */
static size_t document_end(const job *j, size_t from)
{
    size_t end = j->n - from > j->bytes ? from + j->bytes : j->n;
    while (end < j->n && j->p[end - 1] != '\n')
        end++;
    return end;
}

static hone_status rake_pass(job *j, hone_error *err)
{
    hone_status st = HONE_OK;
    for (size_t from = 0, end; from < j->n && !st; from = end) {
        end = document_end(j, from);
        rake_begin(&j->rake);
        for (size_t at = from; at < end && !st;) {
            const char *nl = memchr(j->p + at, '\n', end - at);
            const size_t n = (nl ? (size_t)(nl - j->p) : end) - at;
            st = rake_sentence(&j->rake, (hone_str){ j->p + at, n }, err);
            at += n + 1;
        }
        if (!st)
            st = rake_rank(&j->rake, RAKE_RATIO, err);
        for (uint64_t i = 0; i < j->rake.n_phrases; i++) {
            add_hash(j, &j->rake.phrases[i].score, sizeof(double));
            add_hash(j, j->rake.phrases[i].text, j->rake.phrases[i].n);
        }
        j->results += j->rake.n_phrases;
    }
    return st;
}

static hone_status count_chunk(void *ctx, const piece *p, hone_error *err)
{
    job *j = ctx;
    (void)err;
    j->results += p->size > 0;
    return HONE_OK;
}

static void ignore_loss(void *ctx, uint64_t bytes, const char *why)
{
    (void)ctx;
    (void)bytes;
    (void)why;
}

static hone_status chunk_pass(job *j, hone_error *err)
{
    const piece_sink sink = { j, count_chunk, ignore_loss };
    return splitter_run(&j->splitter, j->blocks, j->n_blocks, &sink, err);
}

static hone_status measure_passes(job *j, hone_status (*pass)(job *, hone_error *), int passes,
                                  hone_error *err)
{
    double rate[MOST_PASSES];
    hone_status st = HONE_OK;
    for (int i = -1; i < passes && !st; i++) {
        j->results = 0;
        j->hash = 0xcbf29ce484222325u;
        const double start = processor_seconds();
        st = pass(j, err);
        if (i >= 0)
            rate[i] = (double)j->n / 1e6 / (processor_seconds() - start);
    }
    if (st)
        return st;
    qsort(rate, (size_t)passes, sizeof *rate, by_value);
    printf("%.3f %llu %016llx\n", rate[passes / 2], (unsigned long long)j->results,
           (unsigned long long)j->hash);
    return HONE_OK;
}

static hone_status read_stops(job *j, hone_error *err)
{
    char word[256];
    hone_status st = HONE_OK;
    rake_init(&j->rake, &j->host.host, "rake");
    while (!st && scanf("%255s", word) == 1)
        st = rake_stop(&j->rake, hone_s(word), err);
    return st;
}

static int64_t count_tokens(const hone_tokenizer_service *self, hone_str words)
{
    tokens t = { 0 };
    const bool failed = tokenizer_encode(self->ctx, words.p, (size_t)words.n, 0, &t, NULL, NULL);
    const int64_t n = failed ? -1 : (int64_t)t.n;
    tokens_finish(&t);
    return n;
}

static hone_status make_blocks(job *j, hone_error *err)
{
    size_t cap = 0;
    for (size_t at = 0, end; at < j->n; at = end) {
        const char *gap = memmem(j->p + at, j->n - at, "\n\n", 2);
        end = gap ? (size_t)(gap - j->p) + 2 : j->n;
        if (!mem_grow(&j->blocks, &cap, j->n_blocks + 1, sizeof *j->blocks))
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for blocks");
        j->blocks[j->n_blocks++] = (hone_block){ .kind = HONE_BLOCK_TEXT,
                                                 .text = { j->p + at, end - at },
                                                 .src_off = at,
                                                 .src_len = end - at };
    }
    return HONE_OK;
}

int main(int argc, char **argv)
{
    const bool is_rake = argc == 5 && strcmp(argv[1], "rake") == 0;
    hone_error err = { 0 };
    job j = { 0 };
    tokenizer *t = NULL;
    hone_status st;
    if (!is_rake && (argc != 6 || strcmp(argv[1], "chunk") != 0))
        return fprintf(stderr, "usage: bench_recipes rake FILE BYTES PASSES | chunk FOLDER FILE "
                               "TOKENS PASSES\n"),
               2;
    const int passes = atoi(argv[argc - 1]);
    if (passes < 1 || passes > MOST_PASSES)
        return fprintf(stderr, "passes: 1 to %d\n", MOST_PASSES), 2;
    test_host_init(&j.host);
    st = file_read(&j.p, &j.n, is_rake ? argv[2] : argv[3], 1u << 30, &err);
    if (!st && is_rake) {
        j.bytes = (size_t)strtoull(argv[3], NULL, 10);
        st = read_stops(&j, &err);
        if (!st)
            st = measure_passes(&j, rake_pass, passes, &err);
        rake_finish(&j.rake);
    } else if (!st) {
        st = tokenizer_open(&t, argv[2], &err);
        j.host.has_tokenizer = true;
        j.host.tokenizer.count = count_tokens;
        j.host.tokenizer.ctx = t;
        if (!st)
            st = make_blocks(&j, &err);
        if (!st)
            st = splitter_init(&j.splitter, &j.host.host, "chunk", atoi(argv[4]), 0, 0.1, &err);
        if (!st)
            st = measure_passes(&j, chunk_pass, passes, &err);
        if (j.splitter.host)
            splitter_finish(&j.splitter);
        free(j.blocks);
    }
    tokenizer_close(t);
    free(j.p);
    if (st)
        fprintf(stderr, "%s\n", err.message);
    return st != 0;
}
