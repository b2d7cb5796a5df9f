/*
 * test_prepare.c - a run over documents that crash, hang, lie and try to get out: each costs
 * itself and is named, the others come through, in order, whatever the number of processes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "runs.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1 /* the sanitizer needs files and terabytes: children are not locked down */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* The sanitizer catches the signal, reports and exits. */
#define CRASHED (SANITIZED ? "its process" : "signal 11")

static void test_prepare__a_bad_document_costs_itself(void)
{
    static const struct {
        const char *name, *bytes, *message;
        bool jailed; /* needs the lock-down, which the sanitizer cannot live with */
    } bad[] = {
        { "b1.bad", "crash", CRASHED, false },
        { "b2.bad", "leave", "status 3", false },
        { "b3.bad", "babble", "its process sent", false },
        { "b4.bad", "loop", "took longer than 1 s", false },
        { "b5.bad", "liar", "of a file of 4", false },
        { "b6.bad", "hog", "as it should be", true },
        { "b7.bad", "open", "as it should be", true },
        { "b8.bad", "socket", "as it should be", true },
        { "b9.bad", "fork", "as it should be", true },
        { "ba.bad", "unit", "malformed metadata", false },
        { "bb.bad", "role 9", "echo: segment 1: role 9", false },
    };
    hone_error err = { 0 };
    prepare_report r;
    prepare_options o = { .timeout = 1, .memory_mb = 512, .jobs = 2 };
    int64_t failing = 0;
    begin();
    put("a.bad", "first");
    put("c.bad", "last");
    put("d.bad", "skip this");
    put("e.bad", "partly lost");
    put("f.bad", "paged");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!bad[i].jailed || !SANITIZED) {
            put(bad[i].name, bad[i].bytes);
            failing++;
        }
    CHECK_OK(run_docs(&o, &r, &err), err);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!bad[i].jailed || !SANITIZED)
            CHECK_LINE("documents", bad[i].name, bad[i].message);
    CHECK_LINE("documents", "d.bad", "not worth reading");
    CHECK_INT(r.failed, failing);
    CHECK_INT(r.skipped, 1);
    CHECK_INT(r.read, 4);
    CHECK_INT(r.samples, 4);
    CHECK_INT(r.lost_bytes, 6);
    char *p = samples();
    CHECK_HAS(p, "\"docs/f.bad\",\"start\":1000,\"end\":1002,\"unit\":\"page\"");
    CHECK_LINE("documents", "f.bad", "\"unit\":\"page\",\"notes\":[\"it has pages\"]");
    const char *first = strstr(p, "\"first\""), *last = strstr(p, "\"last\"");
    CHECK(first && last && first < last);
    CHECK_HAS(p, "docs/a.bad");
    free(p);
    prepare_report_finish(&r);
    end();
}

static void test_prepare__jobs_do_not_change_a_byte(void)
{
    static const int64_t jobs[] = { 1, 2, 5 };
    hone_error err = { 0 };
    char *want = NULL;
    begin();
    for (int i = 0; i < 60; i++) {
        char name[32], text_of[64];
        (void)snprintf(name, sizeof name, "%02d.bad", i);
        (void)snprintf(text_of, sizeof text_of, i % 7 == 3 ? "crash %d" : "document %d", i % 50);
        put(name, text_of);
    }
    put("x.unknown", "nobody reads this");
    put("empty.bad", "");
    for (size_t i = 0; i < 3; i++) {
        prepare_report r;
        prepare_options o = { .jobs = jobs[i] };
        CHECK_OK(run_docs(&o, &r, &err), err);
        CHECK_INT(r.no_reader, 1);
        CHECK_INT(
            json_integer_value(json_object_get(json_object_get(r.detail, "no_reader"), ".unknown")),
            1);
        CHECK(r.duplicates > 0);
        CHECK_INT(r.empty, 1);
        char *got = samples();
        if (want)
            CHECK_STR(got, want);
        free(want);
        want = got;
        prepare_report_finish(&r);
    }
    free(want);
    end();
}

static void test_prepare__mistakes_are_named(void)
{
    hone_error err = { 0 };
    prepare_report r;
    prepare_options o = { .strict = true };
    begin();
    put("a.bad", "crash");
    CHECK(run_docs(&o, &r, &err) == HONE_ERR_FORMAT);
    CHECK_HAS(err.message, "docs/a.bad");
    CHECK_HAS(err.message, CRASHED);
    prepare_report_finish(&r);
    char *path = path_join(out, "samples.jsonl");
    CHECK(!path_exists(path)); /* nothing half-written */
    free(path);

    static const char *none[] = { "/nowhere/at/all" }, *recipes[] = { "ecco" };
    o = (prepare_options){
        .out = out, .sources = { none, 1 }, .recipes = { recipes, 1 }, .timeout = 9
    };
    const prepare_input in = { .plugins = plugins };
    CHECK(prepare_run(&o, &in, &r, &err) == HONE_ERR_NOTFOUND);
    CHECK_HAS(err.message, "echo");
    prepare_report_finish(&r);
    recipes[0] = "echo";
    CHECK(prepare_run(&o, &in, &r, &err) == HONE_ERR_NOTFOUND);
    CHECK_HAS(err.message, "/nowhere/at/all");
    prepare_report_finish(&r);
    end();
}

int main(int argc, char **argv)
{
    hone_error err = { 0 };
    if (argc != 2)
        return 1;
    if (registry_open_file(&plugins, argv[1], &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    RUN(test_prepare__a_bad_document_costs_itself);
    RUN(test_prepare__jobs_do_not_change_a_byte);
    RUN(test_prepare__mistakes_are_named);
    registry_close(plugins);
    return TEST_EXIT();
}
