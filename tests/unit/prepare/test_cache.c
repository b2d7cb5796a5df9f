/*
 * test_cache.c - a second run reads what has changed and nothing else, and says the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "runs.h"

#include <signal.h>
#include <sys/wait.h>

static int n_entries; /* after note_entries() */
static char last_entry[4096];

static hone_status note_entry(void *ctx, const char *path, hone_error *err)
{
    (void)ctx;
    (void)err;
    n_entries++;
    (void)snprintf(last_entry, sizeof last_entry, "%s", path);
    return HONE_OK;
}

static int64_t note_entries(void)
{
    hone_error err = { 0 };
    char *cache = path_join(out, "cache");
    n_entries = 0;
    CHECK_OK(dir_walk(cache, note_entry, NULL, &err), err);
    free(cache);
    return n_entries;
}

static void check_run(prepare_options o, int64_t read, int64_t known, const char *want)
{
    hone_error err = { 0 };
    prepare_report r;
    CHECK_OK(run_docs(&o, &r, &err), err);
    CHECK_INT(r.opened, read);
    CHECK_INT(r.cached, known);
    char *got = samples();
    if (want)
        CHECK_STR(got, want);
    free(got);
    prepare_report_finish(&r);
}

static void put_some(int n)
{
    for (int i = 0; i < n; i++) {
        char name[32], words[64];
        (void)snprintf(name, sizeof name, "%02d.bad", i);
        (void)snprintf(words, sizeof words,
                       i == 3   ? "skip this"
                       : i == 4 ? "pages"
                                : "document %d",
                       i);
        put(name, words);
    }
}

static void test_cache__unchanged_documents_are_not_read(void)
{
    const prepare_options o = { .cache_mb = 16, .jobs = 2 };
    begin();
    put_some(12);
    check_run((prepare_options){ .jobs = 1 }, 12, 0, NULL);
    char *want = samples();
    check_run(o, 12, 0, want);
    CHECK_INT(note_entries(), 12);
    check_run(o, 0, 12, want);
    put("05.bad", "changed");
    check_run(o, 1, 11, NULL);
    put("05.bad", "document 5");
    check_run(o, 0, 12, want); /* what was known stays known */
    put("06.bad", "crash");
    check_run(o, 1, 11, NULL);
    check_run(o, 1, 11, NULL); /* a crash may be the machine's: it is tried again */
    free(want);
    end();
}

static void test_cache__a_damaged_entry_is_a_missing_one(void)
{
    const prepare_options o = { .cache_mb = 16 };
    hone_error err = { 0 };
    begin();
    put_some(6);
    check_run(o, 6, 0, NULL);
    char *want = samples(), *bytes = NULL;
    size_t n = 0;
    (void)note_entries();
    CHECK_OK(file_read(&bytes, &n, last_entry, 1 << 20, &err), err);
    for (size_t at = 0; at < n; at += 7) { /* a flipped bit anywhere, then a cut */
        bytes[at] ^= 4;
        CHECK_OK(file_write(last_entry, bytes, n, &err), err);
        check_run(o, 1, 5, want);
        bytes[at] ^= 4;
    }
    CHECK_OK(file_write(last_entry, bytes, n / 2, &err), err);
    check_run(o, 1, 5, want);
    check_run(o, 0, 6, want);
    free(bytes);
    free(want);
    end();
}

static void test_cache__is_bounded(void)
{
    prepare_options o = { .cache_mb = 1 };
    char *large = mem_new((1u << 20) + 1, 1);
    begin();
    memset(large, 'x', 700u << 10);
    put("a.bad", large);
    large[0] = 'y';
    put("b.bad", large);
    check_run(o, 2, 0, NULL);
    CHECK_INT(note_entries(), 1); /* two of 700 KB are more than 1 MB */
    check_run(o, 1, 1, NULL);
    o.cache_mb = 0;
    check_run(o, 2, 0, NULL);
    free(large);
    end();
}

/* Two runs at once on one cache, one of them killed: the next finds nothing broken. */
static void test_cache__is_shared_and_survives_a_kill(void)
{
    hone_error err = { 0 };
    begin();
    put_some(40);
    char *cache = path_join(dir, "shared");
    const prepare_options o = { .cache_mb = 16, .jobs = 2, .cache = cache };
    for (int round = 0; round < 4; round++) {
        CHECK_OK(dir_remove(cache, &err), err);
        (void)fflush(NULL);
        const pid_t pid = fork();
        if (pid == 0) {
            prepare_options mine = o;
            prepare_report r;
            out = path_join(dir, "other");
            _exit(run_docs(&mine, &r, &err) != HONE_OK);
        }
        if (round < 3) {
            (void)usleep(1000u << (2 * round));
            (void)kill(pid, SIGKILL);
        }
        prepare_options mine = o;
        prepare_report r;
        CHECK_OK(run_docs(&mine, &r, &err), err);
        CHECK_INT(r.samples, 39);
        prepare_report_finish(&r);
        int status = 0;
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(round < 3 || status == 0);
        check_run(o, 0, 40, NULL);
    }
    free(cache);
    end();
}

/* A run that is under way keeps others out of its folder. */
static void test_cache__one_run_per_folder(void)
{
    hone_error err = { 0 };
    prepare_options o = { .timeout = 20 };
    prepare_report r;
    begin();
    put("a.bad", "loop");
    (void)fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(run_docs(&o, &r, &err) != HONE_OK);
    char *lock = path_join(out, ".lock");
    for (int i = 0; i < 400 && !path_exists(lock); i++)
        (void)usleep(10000);
    (void)usleep(50000);
    CHECK_INT(run_docs(&o, &r, &err), HONE_ERR_STATE);
    CHECK_HAS(err.message, "in use by process");
    prepare_report_finish(&r);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    free(lock);
    end();
}

int main(int argc, char **argv)
{
    hone_error err = { 0 };
    if (argc != 2 || registry_open_file(&plugins, argv[1], &err))
        return 1;
    RUN(test_cache__unchanged_documents_are_not_read);
    RUN(test_cache__a_damaged_entry_is_a_missing_one);
    RUN(test_cache__is_bounded);
    RUN(test_cache__is_shared_and_survives_a_kill);
    RUN(test_cache__one_run_per_folder);
    registry_close(plugins);
    return TEST_EXIT();
}
