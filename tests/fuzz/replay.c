/*
 * replay.c - run a fuzz target over files, without a fuzzer.
 *
 * Arguments are files, or folders whose files are meant. Every input is also replayed
 * cut short at some places and with some bytes changed, always the same ones, so that
 * a corpus of valid files is a test of invalid ones as well.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz.h"

#include "core/base/base.h"

#include <stdlib.h>

#define CUTS 24
#define CHANGES 200

static long n_inputs;

static void feed(const uint8_t *p, size_t n)
{
    uint8_t *exact = malloc(n ? n : 1); /* exact: a sanitizer sees the first byte too far */
    if (!exact)
        abort();
    if (n)
        memcpy(exact, p, n);
    (void)LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    n_inputs++;
}

static void feed_changed(uint8_t *p, size_t n, uint64_t seed)
{
    uint64_t i, k;
    for (i = 0; i < CUTS; i++)
        feed(p, (size_t)(rng_u64(seed, 0, i) % (n + 1)));
    for (i = 0; n && i < CHANGES; i++) {
        size_t at[3];
        uint8_t was[3];
        for (k = 0; k < 3; k++) {
            at[k] = (size_t)(rng_u64(seed, 1 + k, i) % n);
            was[k] = p[at[k]];
            p[at[k]] = (uint8_t)rng_u64(seed, 4 + k, i);
        }
        feed(p, n);
        for (k = 3; k-- > 0;)
            p[at[k]] = was[k];
    }
}

static hone_status replay(void *ctx, const char *path, hone_error *err)
{
    char *p = NULL;
    size_t n = 0;
    hone_status status = file_read(&p, &n, path, (size_t)64 << 20, err);
    (void)ctx;
    if (!status) {
        feed((uint8_t *)p, n);
        feed_changed((uint8_t *)p, n, n);
    }
    free(p);
    return status;
}

int main(int argc, char **argv)
{
    hone_error err = { 0 };
    int i;
    log_set_level(HONE_LOG_ERROR + 1);
    for (i = 1; i < argc; i++) {
        if (dir_walk(argv[i], replay, NULL, &err)) {
            fprintf(stderr, "%s\n", err.message);
            return EXIT_FAILURE;
        }
    }
    printf("%ld inputs\n", n_inputs);
    return n_inputs ? EXIT_SUCCESS : EXIT_FAILURE; /* an empty corpus tests nothing */
}
