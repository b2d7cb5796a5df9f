/*
 * test_dir.c - paths, folders made and removed, the order of a walk, the lock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "folder.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_path__joins_and_splits(void)
{
    static const struct {
        const char *dir, *name, *joined;
    } joins[] = {
        { "a", "b", "a/b" }, { "a/", "b", "a/b" }, { "a", "/b", "/b" },
        { "/", "b", "/b" },  { "", "b", "b" },     { "a", "", "a/" },
    };
    static const struct {
        const char *path, *dir, *base;
    } splits[] = {
        { "a/b", "a", "b" }, { "b", ".", "b" },         { "/b", "/", "b" },
        { "a/", "a", "" },   { "/a/b/c", "/a/b", "c" }, { "/", "/", "" },
    };
    size_t i;
    for (i = 0; i < sizeof joins / sizeof joins[0]; i++) {
        char *got = path_join(joins[i].dir, joins[i].name);
        CHECK_STR(got, joins[i].joined);
        free(got);
    }
    for (i = 0; i < sizeof splits / sizeof splits[0]; i++) {
        char *got = path_dir(splits[i].path);
        CHECK_STR(got, splits[i].dir);
        CHECK_STR(path_base(splits[i].path), splits[i].base);
        free(got);
    }
}

static void test_path__resolves_leading_dots_only(void)
{
    static const struct {
        const char *folder, *name, *resolved;
    } cases[] = {
        { "/a/b", "c", "/a/b/c" },
        { "/a/b", "./c", "/a/b/c" },
        { "/a/b", "../c", "/a/c" },
        { "/a/b", "../../c/d", "/c/d" },
        { "/a/b", "../../../c", "/c" },
        { "/a/b", "..", "/a" },
        { "/a/b", ".", "/a/b" },
        { "/a", "..", "/" },
        { "/", "c", "/c" },
        { "/a/b", "..c", "/a/b/..c" },
        { "/a/b", ".c", "/a/b/.c" },
        { "/a/b", "...", "/a/b/..." },
        { "/a/b", "c/../d", "/a/b/c/../d" }, /* c may be a link */
        { "/a/b", "/c/../d", "/c/../d" },
        { "/a/b", ".././/../c", "/c" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *got = path_resolve(cases[i].folder, cases[i].name);
        CHECK_STR(got, cases[i].resolved);
        free(got);
    }
}

static void test_dir__makes_with_parents_and_removes_with_children(void)
{
    char *dir = folder_new(), *deep = path_join(dir, "a/b//c/"), *file = path_join(dir, "file");
    char *under = path_join(file, "x"), *outside = folder_new(), *link = path_join(dir, "a/link");
    hone_error err = { 0 };
    CHECK_OK(dir_make(deep, &err), err);
    CHECK_OK(dir_make(deep, &err), err);
    CHECK(path_is_dir(deep) && path_exists(deep));
    folder_put(dir, "a/b/f", "x");
    folder_put(dir, "file", "x");
    CHECK(!path_is_dir(file) && path_exists(file));
    CHECK_INT(dir_make(under, &err), HONE_ERR_IO);
    CHECK_HAS(err.message, "file: cannot make the folder: File exists");
    CHECK_INT(dir_make("", &err), HONE_ERR_ARG);
    folder_put(outside, "precious", "x");
    CHECK(symlink(outside, link) == 0);
    CHECK_OK(dir_remove(file, &err), err); /* a file goes as well */
    CHECK_OK(dir_remove(file, &err), err); /* absent is fine */
    free(file);
    file = path_join(outside, "precious");
    folder_remove(dir);
    CHECK(path_exists(file)); /* never through a link */
    free(file);
    free(under);
    free(deep);
    free(link);
    folder_remove(outside);
}

typedef struct seen {
    const char *root;
    text names;
    int stop_after;
} seen;

static hone_status note_name(void *ctx, const char *path, hone_error *err)
{
    seen *s = ctx;
    const size_t n = strlen(s->root);
    text_printf(&s->names, "%s ", strncmp(path, s->root, n) == 0 && path[n] ? path + n + 1 : path);
    if (s->stop_after && --s->stop_after == 0)
        return hone_fail(err, HONE_ERR_CANCELLED, "enough");
    return HONE_OK;
}

static void test_dir__walks_in_byte_order_of_paths(void)
{
    char *dir = folder_new(), *outside = folder_new(), *from, *to, *file;
    seen s = { .root = dir };
    hone_error err = { 0 };
    folder_put(dir, "b.txt", "x");
    folder_put(dir, "b/z", "x");
    folder_put(dir, "b/a/y", "x");
    folder_put(dir, "b-c", "x");
    folder_put(dir, "b0", "x");
    folder_put(dir, "B", "x");
    folder_put(dir, "\xc3\xa9", "x");
    folder_put(dir, ".hidden", "x");
    folder_put(dir, ".git/config", "x");
    folder_put(dir, "b/.x", "x");
    folder_put(outside, "secret", "x");
    CHECK_OK(dir_walk(dir, note_name, &s, &err), err);
    CHECK_STR(s.names.p, "B b-c b.txt b/a/y b/z b0 \xc3\xa9 ");
    /* links: a file inside is visited, a folder inside only where it lies, nothing outside */
    from = path_join(dir, "c-file");
    CHECK(symlink("b/z", from) == 0);
    free(from);
    from = path_join(dir, "c-dir");
    CHECK(symlink("b", from) == 0);
    free(from);
    from = path_join(dir, "c-loop");
    CHECK(symlink(".", from) == 0);
    free(from);
    from = path_join(dir, "c-nowhere");
    CHECK(symlink("nowhere", from) == 0);
    free(from);
    from = path_join(dir, "c-out-dir");
    CHECK(symlink(outside, from) == 0);
    free(from);
    from = path_join(dir, "c-out-file");
    to = path_join(outside, "secret");
    CHECK(symlink(to, from) == 0);
    free(from);
    free(to);
    from = path_join(dir, "c-pipe");
    CHECK(mkfifo(from, 0600) == 0);
    free(from);
    text_clear(&s.names);
    CHECK_OK(dir_walk(dir, note_name, &s, &err), err);
    CHECK_STR(s.names.p, "B b-c b.txt b/a/y b/z b0 c-file \xc3\xa9 ");
    text_clear(&s.names);
    s.stop_after = 2;
    CHECK_INT(dir_walk(dir, note_name, &s, &err), HONE_ERR_CANCELLED);
    CHECK_STR(err.message, "enough");
    CHECK_STR(s.names.p, "B b-c ");
    s.stop_after = 0;
    text_clear(&s.names);
    file = path_join(dir, ".hidden"); /* named outright */
    CHECK_OK(dir_walk(file, note_name, &s, &err), err);
    CHECK_STR(s.names.p, ".hidden ");
    CHECK_INT(dir_walk("/nonexistent", note_name, &s, &err), HONE_ERR_NOTFOUND);
    CHECK_INT(dir_walk("/dev/null", note_name, &s, &err), HONE_ERR_ARG);
    CHECK_STR(err.message, "/dev/null: neither a file nor a folder");
    text_finish(&s.names);
    free(file);
    folder_remove(dir);
    folder_remove(outside);
}

static void test_dir__a_root_that_is_a_link_is_followed(void)
{
    char *dir = folder_new(), *link = path_join(dir, "link"), *real = path_join(dir, "real");
    hone_error err = { 0 };
    seen s = { .root = link };
    folder_put(dir, "real/a", "x");
    folder_put(dir, "real/sub/b", "x");
    CHECK(symlink(real, link) == 0);
    CHECK_OK(dir_walk(link, note_name, &s, &err), err);
    CHECK_STR(s.names.p, "a sub/b ");
    text_finish(&s.names);
    free(real);
    free(link);
    folder_remove(dir);
}

/* What dir_lock() says in another process; its code is the exit status. */
static int lock_in_child(const char *dir, char *message, size_t n)
{
    int ends[2], how = 0;
    pid_t pid;
    ssize_t k;
    if (pipe(ends) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        hone_error err = { 0 };
        int fd = -1;
        const hone_status status = dir_lock(dir, &fd, &err);
        (void)!write(ends[1], err.message, strlen(err.message));
        _exit(-status);
    }
    close(ends[1]);
    k = read(ends[0], message, n - 1);
    message[k > 0 ? k : 0] = '\0';
    close(ends[0]);
    (void)waitpid(pid, &how, 0);
    return WIFEXITED(how) ? -WEXITSTATUS(how) : 1;
}

static void test_dir__a_folder_is_locked_by_one_process(void)
{
    char *dir = folder_new(), message[600], want[64];
    hone_error err = { 0 };
    int fd = -1, ends[2], how = 0;
    pid_t pid;
    char byte;
    CHECK_OK(dir_lock(dir, &fd, &err), err);
    CHECK(fd >= 0);
    CHECK_INT(lock_in_child(dir, message, sizeof message), HONE_ERR_STATE);
    (void)snprintf(want, sizeof want, ".lock: in use by process %ld; wait for it or stop it",
                   (long)getpid());
    CHECK_HAS(message, want);
    CHECK_INT(lock_in_child(dir, message, sizeof message),
              HONE_ERR_STATE); /* asking did not free it */
    close(fd);
    CHECK_INT(lock_in_child(dir, message, sizeof message), HONE_OK);
    /* a holder that is killed frees it, although the file stays */
    CHECK(pipe(ends) == 0);
    pid = fork();
    if (pid == 0) {
        (void)!write(ends[1], dir_lock(dir, &fd, NULL) == HONE_OK ? "y" : "n", 1);
        for (;;)
            pause();
    }
    CHECK(read(ends[0], &byte, 1) == 1 && byte == 'y');
    fd = -1;
    CHECK_INT(dir_lock(dir, &fd, &err), HONE_ERR_STATE);
    CHECK(fd == -1);
    (void)snprintf(want, sizeof want, "process %ld;", (long)pid);
    CHECK_HAS(err.message, want);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &how, 0);
    CHECK_OK(dir_lock(dir, &fd, &err), err);
    close(fd);
    close(ends[0]);
    close(ends[1]);
    CHECK_INT(dir_lock("/nonexistent", &fd, &err), HONE_ERR_IO);
    folder_remove(dir);
}

int main(void)
{
    log_set_level(HONE_LOG_ERROR); /* links that are left out are warned of */
    RUN(test_path__joins_and_splits);
    RUN(test_path__resolves_leading_dots_only);
    RUN(test_dir__makes_with_parents_and_removes_with_children);
    RUN(test_dir__walks_in_byte_order_of_paths);
    RUN(test_dir__a_root_that_is_a_link_is_followed);
    RUN(test_dir__a_folder_is_locked_by_one_process);
    return TEST_EXIT();
}
