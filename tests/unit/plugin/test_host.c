/*
 * test_host.c - what plugins are lent.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fakes.h"

static const hone_host *host;

static void test_host__memory_is_aligned_and_counted_by_tag(void)
{
    void *p[20], *q;
    text report = { 0 };
    int i;
    const int64_t before = host_bytes(NULL);
    for (i = 0; i < 20; i++) {
        const uint64_t align = UINT64_C(1) << i % 13;
        p[i] = host->alloc(host, 100, align, "test/a");
        CHECK(p[i] && (uintptr_t)p[i] % align == 0);
        memset(p[i], 0xa5, 100);
    }
    q = host->alloc(host, 0, 1, "test/b");
    CHECK(q != NULL);
    CHECK_INT(host_bytes("test/a"), 2000);
    CHECK_INT(host_bytes("test/b"), 0);
    CHECK_INT(host_bytes(NULL) - before, 2000);
    for (i = 0; i < 20; i++)
        host->free(host, p[i]);
    host->free(host, q);
    host->free(host, NULL);
    CHECK_INT(host_bytes("test/a"), 0);
    host_memory_report(&report);
    CHECK_HAS(report.p, "test/a 0 2000\n");
    text_finish(&report);
    CHECK(host->alloc(host, 1, 0, "x") == NULL);
    CHECK(host->alloc(host, 1, 3, "x") == NULL);
    CHECK(host->alloc(host, UINT64_MAX, 16, "x") == NULL);
    CHECK(host->alloc(host, 1, UINT64_C(1) << 63, "x") == NULL);
}

static void test_host__more_tags_than_slots_are_still_counted(void)
{
    const int64_t before = host_bytes(NULL);
    void *p[200];
    char tag[16];
    int i;
    for (i = 0; i < 200; i++) {
        (void)snprintf(tag, sizeof tag, "many/%d", i);
        p[i] = host->alloc(host, 1, 1, tag);
    }
    CHECK_INT(host_bytes(NULL) - before, 200);
    CHECK(host_bytes("(other)") > 100);
    for (i = 0; i < 200; i++)
        host->free(host, p[i]);
    CHECK_INT(host_bytes(NULL), before);
}

static void test_host__services_come_and_go(void)
{
    static const int a = 1, b = 2;
    static char ids[40][16];
    int i, taken = 0;
    CHECK(host->service(host, "test/1") == NULL);
    CHECK(host_offer_service("test/1", &a));
    CHECK(host->service(host, "test/1") == &a);
    CHECK(host->service(host, "test/") == NULL && host->service(host, "test/12") == NULL);
    CHECK(host_offer_service("test/1", &b));
    CHECK(host->service(host, "test/1") == &b);
    CHECK(host_offer_service("test/1", NULL));
    CHECK(host->service(host, "test/1") == NULL);
    CHECK(host->service(host, NULL) == NULL);
    for (i = 0; i < 40; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "s/%d", i);
        taken += host_offer_service(ids[i], &a);
    }
    CHECK(taken > 4 && taken < 40); /* full is said, not hidden */
    CHECK(host->service(host, "s/0") == &a);
    for (i = 0; i < 40; i++)
        (void)host_offer_service(ids[i], NULL);
    CHECK(host->service(host, "s/0") == NULL);
}

static void add(void *arg, int64_t lo, int64_t hi)
{
    __atomic_fetch_add((int64_t *)arg, hi - lo, __ATOMIC_RELAXED);
}

static void test_host__the_rest_of_the_table(void)
{
    int64_t sum = 0;
    CHECK_INT(host->struct_size, sizeof *host);
    CHECK_INT(host->abi_minor, HONE_ABI_MINOR);
    CHECK_INT(host->cancelled(host), 0);
    host_cancel(true);
    CHECK(host->cancelled(host) != 0 && host_is_cancelled());
    host_cancel(false);
    CHECK_INT(host->cancelled(host), 0);
    host->parallel_for(host, 1000, 10, add, &sum);
    CHECK_INT(sum, 1000);
    CHECK(host->random(host, 1, 2, 3) == rng_u64(1, 2, 3));
    host->log(host, HONE_LOG_DEBUG, "not shown");
    host->log(host, HONE_LOG_DEBUG, NULL);
}

int main(void)
{
    host = plugin_host();
    RUN(test_host__memory_is_aligned_and_counted_by_tag);
    RUN(test_host__services_come_and_go);
    RUN(test_host__the_rest_of_the_table);
    RUN(test_host__more_tags_than_slots_are_still_counted);
    return TEST_EXIT();
}
