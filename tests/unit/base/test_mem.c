/*
 * test_mem.c - checked allocation and resident memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"
#include "test.h"

#include <sys/mman.h>

static void test_mem__products_that_overflow_give_null(void)
{
    char *p;
    size_t i;
    CHECK(mem_new(SIZE_MAX, 2) == NULL);
    CHECK(mem_new(SIZE_MAX / 2 + 1, 2) == NULL);
    p = mem_new(0, 8);
    CHECK(p != NULL);
    free(p);
    p = mem_new(100, 3);
    for (i = 0; i < 300; i++)
        CHECK(p[i] == 0);
    free(p);
}

static void test_mem__growing_keeps_and_zeroes(void)
{
    int64_t *p = NULL, *before;
    size_t cap = 0, i, n, moves = 0, last = 0;
    for (n = 1; n <= 10000; n++) {
        CHECK(mem_grow(&p, &cap, n, sizeof *p));
        moves += cap != last;
        last = cap;
        CHECK(cap >= n && p[n - 1] == 0);
        p[n - 1] = (int64_t)n;
    }
    for (i = 0; i < 10000; i++)
        CHECK(p[i] == (int64_t)i + 1);
    for (i = 10000; i < cap; i++)
        CHECK(p[i] == 0);
    CHECK(moves < 40);
    before = p;
    CHECK(!mem_grow(&p, &cap, SIZE_MAX / 2, sizeof *p));
    CHECK(p == before && cap == last);
    free(p);
}

static void test_mem__copies_of_text(void)
{
    char *a = mem_strdup("abc"), *b = mem_strndup("abcdef", 4), *c = mem_strndup(NULL, 0);
    CHECK_STR(a, "abc");
    CHECK_STR(b, "abcd");
    CHECK_STR(c, "");
    CHECK(mem_strdup(NULL) == NULL);
    free(a);
    free(b);
    free(c);
}

static void test_mem__resident_follows_what_is_touched(void)
{
    const size_t n = 64u << 20;
    const int64_t before = mem_resident();
    int64_t during;
    char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(before > 0 && p != MAP_FAILED);
    CHECK(mem_resident() < before + (int64_t)n / 2); /* not touched yet */
    memset(p, 1, n);
    during = mem_resident();
    CHECK(during >= before + (int64_t)n * 9 / 10);
    CHECK(munmap(p, n) == 0);
    CHECK(mem_resident() < during - (int64_t)n / 2);
    CHECK(mem_resident_peak() >= during);
}

int main(void)
{
    RUN(test_mem__products_that_overflow_give_null);
    RUN(test_mem__growing_keeps_and_zeroes);
    RUN(test_mem__copies_of_text);
    RUN(test_mem__resident_follows_what_is_touched);
    return TEST_EXIT();
}
