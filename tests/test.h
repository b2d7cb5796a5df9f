/*
 * test.h - CHECK macros. A failed CHECK prints where and what; the process then
 * exits non-zero. 77 is "skipped", never "passed".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_failures;

#define CHECK(cond)                                                           \
    do {                                                                      \
        if (!(cond)) {                                                        \
            fprintf(stderr, "%s:%d: CHECK(%s)\n", __FILE__, __LINE__, #cond); \
            test_failures++;                                                  \
        }                                                                     \
    } while (0)

#define CHECK_INT(got, want)                                                                     \
    do {                                                                                         \
        const long long g_ = (long long)(got), w_ = (long long)(want);                           \
        if (g_ != w_) {                                                                          \
            fprintf(stderr, "%s:%d: %s is %lld, want %lld\n", __FILE__, __LINE__, #got, g_, w_); \
            test_failures++;                                                                     \
        }                                                                                        \
    } while (0)

#define CHECK_STR(got, want)                                                        \
    do {                                                                            \
        const char *g_ = (got), *w_ = (want);                                       \
        if (!g_ || strcmp(g_, w_) != 0) {                                           \
            fprintf(stderr, "%s:%d: got \"%s\", want \"%s\"\n", __FILE__, __LINE__, \
                    g_ ? g_ : "(null)", w_);                                        \
            test_failures++;                                                        \
        }                                                                           \
    } while (0)

/* got contains want */
#define CHECK_HAS(got, want)                                                               \
    do {                                                                                   \
        const char *g_ = (got), *w_ = (want);                                              \
        if (!g_ || !strstr(g_, w_)) {                                                      \
            fprintf(stderr, "%s:%d: \"%s\" does not contain \"%s\"\n", __FILE__, __LINE__, \
                    g_ ? g_ : "(null)", w_);                                               \
            test_failures++;                                                               \
        }                                                                                  \
    } while (0)

#define CHECK_NEAR(got, want, tolerance)                                                      \
    do {                                                                                      \
        const double g_ = (got), w_ = (want), t_ = (tolerance);                               \
        if (!(fabs(g_ - w_) <= t_)) {                                                         \
            fprintf(stderr, "%s:%d: %s is %.9g, want %.9g within %.3g\n", __FILE__, __LINE__, \
                    #got, g_, w_, t_);                                                        \
            test_failures++;                                                                  \
        }                                                                                     \
    } while (0)

/* call must succeed; prints the message otherwise */
#define CHECK_OK(call, err)                                                               \
    do {                                                                                  \
        if ((call) != 0) {                                                                \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, (err).message); \
            test_failures++;                                                              \
        }                                                                                 \
    } while (0)

#define RUN(test)                                                             \
    do {                                                                      \
        const int before_ = test_failures;                                    \
        test();                                                               \
        printf("%s %s\n", test_failures == before_ ? "ok  " : "FAIL", #test); \
        fflush(stdout);                                                       \
    } while (0)

#define TEST_EXIT() (test_failures ? EXIT_FAILURE : EXIT_SUCCESS)

#endif /* TESTS_TEST_H */
