/*
 * bench_tokenizer.c - how fast a tokenizer encodes on one core, warm.
 *
 *   bench_tokenizer run FOLDER FILE BYTES PASSES   FILE in documents of BYTES (0: whole)
 *   bench_tokenizer mix BYTES                      text in many scripts, to stdout
 *
 * run prints MB/s (median of the passes), the number of tokens and a hash of all ids, so that
 * tools/bench/peer_tokenizers.py can hold another library's against them. The first pass is
 * not timed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/data/data.h"

#define MOST_PASSES 99

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* End of the document that begins at p[i]: behind `bytes` bytes, and no character cut in two. */
static size_t document_end(const char *p, size_t n, size_t i, size_t bytes)
{
    size_t end = bytes && bytes < n - i ? i + bytes : n;
    while (end < n && ((uint8_t)p[end] & 0xc0) == 0x80)
        end++;
    return end;
}

static hone_status pass(const tokenizer *t, const char *p, size_t n, size_t bytes, tokens *out,
                        sha256 *h, size_t *n_tokens, hone_error *err)
{
    hone_status st = HONE_OK;
    for (size_t i = 0, end; i < n && !st; i = end) {
        end = document_end(p, n, i, bytes);
        out->n = 0;
        st = tokenizer_encode(t, p + i, end - i, ENCODE_SPECIAL, out, NULL, err);
        for (size_t k = 0; h && k < out->n; k++)
            sha256_add(h, &out->p[k].id, sizeof out->p[k].id);
        *n_tokens += out->n;
    }
    return st;
}

static hone_status run(const char *folder, const char *file, size_t bytes, int passes,
                       hone_error *err)
{
    double rate[MOST_PASSES];
    tokenizer *t = NULL;
    tokens out = { 0 };
    char *p = NULL, hex[65] = "";
    size_t n = 0, n_tokens = 0;
    uint8_t digest[32];
    sha256 h;
    hone_status st = tokenizer_open(&t, folder, err);
    sha256_init(&h);
    if (st || (st = file_read(&p, &n, file, (size_t)1 << 30, err)) ||
        (st = pass(t, p, n, bytes, &out, &h, &n_tokens, err)))
        goto out;
    for (int i = 0; i < passes && !st; i++) {
        size_t again = 0;
        const double start = clock_now();
        st = pass(t, p, n, bytes, &out, NULL, &again, err);
        rate[i] = (double)n / 1e6 / (clock_now() - start);
    }
    qsort(rate, (size_t)passes, sizeof *rate, by_value);
    sha256_done(&h, digest);
    for (int i = 0; i < 8; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    if (!st)
        printf("%.2f MB/s %zu tokens %s\n", rate[passes / 2], n_tokens, hex);
out:
    free(p);
    tokens_finish(&out);
    tokenizer_close(t);
    return st;
}

/* Words of one script after another, as long sentences in each. */
static void mix(size_t bytes)
{
    static const struct {
        uint32_t lo, hi;
        bool spaces;
    } scripts[] = {
        { 'a', 'z', true },          { 0x430, 0x44f, true },    { 0x3b1, 0x3c9, true },
        { 0x5d0, 0x5ea, true },      { 0x627, 0x64a, true },    { 0x915, 0x939, true },
        { 0xe01, 0xe2e, false },     { 0x4e00, 0x52ff, false }, { 0x3042, 0x3093, false },
        { 0xac00, 0xaeff, true },    { 'a', 'z', true },        { '0', '9', true },
        { 0x1f600, 0x1f64f, false }, { 0xe0, 0xff, true },
    };
    const size_t n_scripts = sizeof scripts / sizeof *scripts;
    size_t n = 0;
    for (uint64_t s = 0; n < bytes; s++) {
        const size_t k = (size_t)(rng_u64(1, 0, s) % n_scripts);
        for (uint64_t w = 0, words = 3 + rng_u64(2, s, 0) % 12; w < words; w++) {
            /* some words come often, as in any language */
            const uint64_t r = rng_u64(3, s, w), word = (r % 300) * (r >> 32 & 0xff) / 255;
            for (uint64_t c = 0, letters = 2 + word % 7; c < letters; c++) {
                char utf8[4];
                const uint64_t letter = rng_u64(4, word, c) % (scripts[k].hi - scripts[k].lo + 1);
                const size_t len = utf8_put(scripts[k].lo + (uint32_t)letter, utf8);
                (void)fwrite(utf8, 1, len, stdout);
                n += len;
            }
            if (scripts[k].spaces) {
                putchar(' ');
                n++;
            }
        }
        (void)fputs(s % 5 ? ". " : ".\n", stdout);
        n += 2;
    }
}

int main(int argc, char **argv)
{
    hone_error err = { 0 };
    if (argc == 3 && strcmp(argv[1], "mix") == 0) {
        mix(strtoul(argv[2], NULL, 10));
        return 0;
    }
    const int passes = argc == 6 ? atoi(argv[5]) : 0;
    if (passes < 1 || passes > MOST_PASSES || strcmp(argv[1], "run") != 0) {
        fprintf(stderr, "bench_tokenizer run FOLDER FILE BYTES PASSES | mix BYTES\n");
        return 2;
    }
    if (run(argv[2], argv[3], strtoul(argv[4], NULL, 10), passes, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    return 0;
}
