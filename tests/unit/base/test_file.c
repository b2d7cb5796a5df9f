/*
 * test_file.c - reading whole files, and writing that leaves the old one until the end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *dir, *path;

static int count_files(void)
{
    int n = 0;
    struct dirent *e;
    DIR *d = opendir(dir);
    while (d && (e = readdir(d)))
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (d)
        closedir(d);
    return n;
}

static void check_content(const char *want)
{
    hone_error err = { 0 };
    char *got = NULL;
    CHECK_OK(file_read(&got, NULL, path, 1 << 20, &err), err);
    CHECK_STR(got, want);
    free(got);
}

static void test_file__reads_what_is_there_up_to_a_limit(void)
{
    hone_error err = { 0 };
    char *p = NULL;
    size_t n = 99;
    CHECK_OK(file_write(path, "a\0b", 3, &err), err);
    CHECK_OK(file_read(&p, &n, path, 3, &err), err);
    CHECK(n == 3 && memcmp(p, "a\0b", 4) == 0);
    free(p);
    p = NULL;
    CHECK_INT(file_read(&p, &n, path, 2, &err), HONE_ERR_LIMIT);
    CHECK_HAS(err.message, "3 bytes, at most 2 are read");
    CHECK(p == NULL && n == 3);
    CHECK_INT(file_read(&p, &n, "/nonexistent/x", 2, &err), HONE_ERR_NOTFOUND);
    CHECK_STR(err.message, "/nonexistent/x: No such file or directory");
    CHECK_INT(file_read(&p, &n, dir, 2000, &err), HONE_ERR_IO);
    CHECK(file_read(&p, &n, "/proc/self/status", 1 << 16, &err) == HONE_OK); /* says size 0 */
    CHECK(n > 100);
    free(p);
    CHECK_INT(file_read(&p, &n, "/proc/self/status", 10, &err), HONE_ERR_LIMIT);
    CHECK_INT(file_read(&p, &n, "/dev/zero", 100000, &err), HONE_ERR_LIMIT);
    CHECK_STR(err.message, "/dev/zero: more than 100000 bytes");
    CHECK_OK(file_write(path, NULL, 0, &err), err);
    CHECK_OK(file_read(&p, &n, path, 0, &err), err);
    CHECK(n == 0);
    CHECK_STR(p, "");
    free(p);
}

static void test_file__maps(void)
{
    hone_error err = { 0 };
    file_map map = { 0 };
    CHECK_OK(file_write(path, "hello", 5, &err), err);
    CHECK_OK(file_map_open(&map, path, &err), err);
    CHECK(map.n == 5 && memcmp(map.p, "hello", 5) == 0);
    file_map_close(&map);
    CHECK(map.n == 0);
    file_map_close(&map);
    CHECK_OK(file_write(path, "", 0, &err), err);
    CHECK_OK(file_map_open(&map, path, &err), err);
    CHECK(map.n == 0 && map.p != NULL);
    file_map_close(&map);
    CHECK_INT(file_map_open(&map, dir, &err), HONE_ERR_IO);
    CHECK_HAS(err.message, "not a regular file");
    CHECK_INT(file_map_open(&map, "/nonexistent/x", &err), HONE_ERR_NOTFOUND);
}

/* In pieces of all sizes around the buffer's. */
static void test_file__writer_keeps_every_byte(void)
{
    static const size_t pieces[] = { 1, 7, 262143, 1, 262144, 262145, 0, 3, 1000000, 5, 262139, 2 };
    hone_error err = { 0 };
    file_writer *w = NULL;
    uint8_t *want = mem_new(3000000, 1), *got = NULL;
    size_t n = 0, i, k;
    CHECK_OK(file_writer_open(&w, path, &err), err);
    for (i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        for (k = 0; k < pieces[i]; k++)
            want[n + k] = (uint8_t)rng_u64(1, i, k);
        CHECK_OK(file_writer_add(w, want + n, pieces[i], &err), err);
        n += pieces[i];
    }
    CHECK_OK(file_writer_commit(w, &err), err);
    CHECK_OK(file_read((char **)(void *)&got, &k, path, 3000000, &err), err);
    CHECK(k == n && memcmp(got, want, n) == 0);
    free(got);
    free(want);
}

static void test_file__old_content_stays_until_commit(void)
{
    hone_error err = { 0 };
    file_writer *w = NULL;
    struct stat st;
    const mode_t old = umask(027);
    CHECK_OK(file_write(path, "old", 3, &err), err);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640);
    (void)umask(old);
    CHECK_OK(file_writer_open(&w, path, &err), err);
    CHECK_OK(file_writer_add(w, "new", 3, &err), err);
    CHECK_INT(count_files(), 2);
    check_content("old");
    file_writer_abort(w);
    file_writer_abort(NULL);
    check_content("old");
    CHECK_INT(count_files(), 1);
    CHECK_OK(file_writer_open(&w, path, &err), err);
    CHECK_OK(file_writer_add(w, "new", 3, &err), err);
    CHECK_OK(file_writer_commit(w, &err), err);
    check_content("new");
    CHECK_INT(count_files(), 1);
}

static void test_file__a_killed_writer_leaves_the_old_file(void)
{
    hone_error err = { 0 };
    int how = 0;
    pid_t pid;
    CHECK_OK(file_write(path, "old", 3, &err), err);
    pid = fork();
    if (pid == 0) {
        file_writer *w = NULL;
        char *big = mem_new(1 << 20, 1);
        if (file_writer_open(&w, path, NULL) == HONE_OK && big &&
            file_writer_add(w, big, 1 << 20, NULL) == HONE_OK)
            (void)raise(SIGKILL);
        _exit(1);
    }
    (void)waitpid(pid, &how, 0);
    CHECK(WIFSIGNALED(how));
    check_content("old");
    CHECK_INT(count_files(),
              2); /* what it left has another name, and the next run is not in its way */
    CHECK_OK(file_write(path, "new", 3, &err), err);
    check_content("new");
}

/* A disk that is full after 1 MiB. */
static void test_file__no_space_leaves_the_old_file(void)
{
    struct rlimit before, small;
    hone_error err = { 0 };
    file_writer *w = NULL;
    char *big = mem_new(4 << 20, 1);
    int files;
    CHECK_OK(file_write(path, "old", 3, &err), err);
    files = count_files();
    (void)signal(SIGXFSZ, SIG_IGN);
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small = before;
    small.rlim_cur = 1 << 20;
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK_OK(file_writer_open(&w, path, &err), err); /* noticed by add */
    CHECK_INT(file_writer_add(w, big, 4 << 20, &err), HONE_ERR_IO);
    CHECK_HAS(err.message, "file: cannot write: File too large");
    CHECK_INT(file_writer_add(w, "x", 1, &err), HONE_ERR_IO); /* stays refused */
    CHECK_INT(file_writer_commit(w, &err), HONE_ERR_IO);
    CHECK_HAS(err.message, "an earlier write failed");
    CHECK_INT(count_files(), files);
    CHECK_OK(file_writer_open(&w, path, &err), err); /* noticed by commit */
    CHECK_OK(file_writer_add(w, big, 1 << 20, &err), err);
    CHECK_OK(file_writer_add(w, "x", 1, &err), err);
    CHECK_INT(file_writer_commit(w, &err), HONE_ERR_IO);
    CHECK_INT(count_files(), files);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    check_content("old");
    free(big);
}

static void test_file__targets_that_are_no_files_are_refused(void)
{
    hone_error err = { 0 };
    file_writer *w = NULL;
    struct stat st;
    char *sub = path_join(dir, "missing/file"), *loop = path_join(dir, "link");
    CHECK_INT(file_writer_open(&w, "/dev/full", &err), HONE_ERR_ARG);
    CHECK_STR(err.message, "/dev/full: is not a regular file; the output must be a file");
    CHECK(stat("/dev/full", &st) == 0 && S_ISCHR(st.st_mode));
    CHECK_INT(file_writer_open(&w, dir, &err), HONE_ERR_ARG);
    CHECK_HAS(err.message, "is a folder");
    CHECK_INT(file_writer_open(&w, sub, &err), HONE_ERR_IO);
    CHECK_HAS(err.message, "missing/file: cannot create it: No such file or directory");
    CHECK(w == NULL);
    CHECK_OK(file_write(path, "old", 3, &err), err); /* a link is replaced, not written through */
    CHECK(symlink(path, loop) == 0);
    CHECK_OK(file_write(loop, "new", 3, &err), err);
    check_content("old");
    CHECK(lstat(loop, &st) == 0 && S_ISREG(st.st_mode));
    free(loop);
    free(sub);
}

int main(void)
{
    dir = folder_new();
    path = path_join(dir, "file");
    RUN(test_file__reads_what_is_there_up_to_a_limit);
    RUN(test_file__maps);
    RUN(test_file__writer_keeps_every_byte);
    RUN(test_file__old_content_stays_until_commit);
    RUN(test_file__a_killed_writer_leaves_the_old_file);
    RUN(test_file__no_space_leaves_the_old_file);
    RUN(test_file__targets_that_are_no_files_are_refused);
    free(path);
    folder_remove(dir);
    return TEST_EXIT();
}
