/*
 * test_registry.c - the search path, who hides whom, owners and modes, names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fakes.h"

#include <sys/wait.h>

static size_t count_id(const registry *r, const char *id)
{
    size_t i, n = 0;
    for (i = 0; i < registry_n_plugins(r); i++)
        n += strcmp(registry_plugin(r, i)->note.id, id) == 0;
    return n;
}

static void test_registry__first_id_wins_and_the_other_is_named(void)
{
    char *a = fakes_folder(), *b = fakes_folder();
    const char *dirs[] = { a, b };
    hone_error err = { 0 };
    registry *r = NULL;
    component_row c = { 0 };
    fakes_copy(a, "z.so", "again");
    fakes_copy(b, "a.so", "good");
    CHECK_OK(registry_open(&r, dirs, 2, &err), err);
    CHECK_INT(count_id(r, "test.good"), 1);
    CHECK_OK(registry_find(&c, r, HONE_KIND_RECIPE, "fake", &err), err);
    CHECK_STR(path_base(c.file->path), "z.so");
    CHECK_STR(c.file->origin, "--plugin-dir");
    CHECK_STR(c.file->signer, "unsigned");
    CHECK_HAS(fakes_problem(r, "a.so"), "hidden by ");
    CHECK_HAS(fakes_problem(r, "a.so"), "z.so, which has the same id test.good");
    registry_close(r);
    fakes_copy(a, "b.so", "good"); /* in one folder: by name */
    r = fakes_open(a);
    CHECK_OK(registry_find(&c, r, HONE_KIND_RECIPE, "fake", &err), err);
    CHECK_STR(path_base(c.file->path), "b.so");
    CHECK_HAS(fakes_problem(r, "z.so"), "hidden by");
    registry_close(r);
    fakes_remove(a);
    fakes_remove(b);
}

static void test_registry__the_environment_and_the_user_come_after(void)
{
    char *given = fakes_folder(), *env = fakes_folder(), *data = fakes_folder(), *user, path[256];
    const char *given_dir = given;
    hone_error err = { 0 };
    registry *r = NULL;
    component_row c = { 0 };
    user = path_join(data, "hone/plugins");
    CHECK_OK(dir_make(user, &err), err);
    fakes_copy(user, "u.so", "good");
    fakes_copy(env, "e.so", "good");
    fakes_copy(given, "g.so", "twin");
    (void)snprintf(path, sizeof path, "relative/dir:%s:%s", env, env);
    (void)setenv("HONE_PLUGIN_PATH", path, 1);
    (void)setenv("XDG_DATA_HOME", data, 1);
    CHECK_OK(registry_open(&r, &given_dir, 1, &err), err);
    CHECK_OK(registry_find(&c, r, HONE_KIND_RECIPE, "test.good/fake", &err), err);
    CHECK_STR(path_base(c.file->path), "e.so");
    CHECK_STR(c.file->origin, "HONE_PLUGIN_PATH");
    CHECK_HAS(fakes_problem(r, "u.so"), "hidden by");
    CHECK_HAS(fakes_problem(r, "dir"), "HONE_PLUGIN_PATH takes absolute paths only");
    CHECK_STR(registry_dir(r, 0)->path, given);
    CHECK_STR(registry_dir(r, 1)->path, env); /* once, though named twice */
    CHECK_STR(registry_dir(r, 2)->path, user);
    CHECK_STR(registry_dir(r, 2)->origin, "user");
    registry_close(r);
    (void)unsetenv("HONE_PLUGIN_PATH");
    CHECK_OK(registry_open(&r, NULL, 0, &err), err);
    CHECK_OK(registry_find(&c, r, HONE_KIND_RECIPE, "fake", &err), err);
    CHECK_STR(path_base(c.file->path), "u.so");
    registry_close(r);
    /* no XDG_DATA_HOME: ~/.local/share */
    (void)unsetenv("XDG_DATA_HOME");
    (void)setenv("HOME", "/nonexistent/home", 1);
    CHECK_OK(registry_open(&r, NULL, 0, &err), err);
    CHECK_STR(registry_dir(r, 0)->path, "/nonexistent/home/.local/share/hone/plugins");
    CHECK_INT(registry_find(&c, r, HONE_KIND_RECIPE, "test.good/fake", &err), HONE_ERR_NOTFOUND);
    registry_close(r);
    given_dir = "/nonexistent/plugins";
    CHECK_INT(registry_open(&r, &given_dir, 1, &err), HONE_ERR_NOTFOUND);
    CHECK_STR(err.message, "--plugin-dir: /nonexistent/plugins is not a folder");
    free(user);
    fakes_remove(given);
    fakes_remove(env);
    fakes_remove(data);
}

static void test_registry__an_uninstalled_program_finds_its_build_folder(void)
{
    const char *build = getenv("HONE_BUILD_DIR");
    char *want = build ? path_join(build, "plugins") : NULL, *dir = fakes_folder();
    hone_error err = { 0 };
    registry *r = NULL;
    size_t i, found = 0, local = 0;
    CHECK_OK(registry_open(&r, NULL, 0, &err), err);
    for (i = 0; i < registry_n_dirs(r); i++) {
        if (strcmp(registry_dir(r, i)->origin, "build") == 0) {
            char *real = realpath(want ? want : "", NULL);
            CHECK_STR(registry_dir(r, i)->path, real ? real : "");
            free(real);
            found++;
            CHECK(!local);
        }
        local += strcmp(registry_dir(r, i)->origin, "local") == 0;
    }
    CHECK_INT(found, 1);
    registry_close(r);
    free(want);
    fakes_remove(dir);
}

/* This program again from another place: argv[1] is the number of build folders it must find. */
static int count_build_dirs(void)
{
    hone_error err = { 0 };
    registry *r = NULL;
    size_t i;
    int n = 0;
    CHECK_OK(registry_open(&r, NULL, 0, &err), err);
    for (i = 0; i < registry_n_dirs(r); i++)
        n += strcmp(registry_dir(r, i)->origin, "build") == 0;
    registry_close(r);
    return n;
}

static int run_copy(const char *exe)
{
    int how = -1;
    const pid_t pid = fork();
    if (pid == 0) {
        execl(exe, exe, "--count-build-dirs", (char *)NULL);
        _exit(99);
    }
    (void)waitpid(pid, &how, 0);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -1;
}

static void test_registry__an_installed_program_never_looks_beside_itself(void)
{
    char *dir = fakes_folder(), *exe = path_join(dir, "program"),
         *plugins = path_join(dir, "plugins");
    char *marker = path_join(plugins, ".hone-build"), *self = NULL;
    hone_error err = { 0 };
    size_t n = 0;
    CHECK_OK(file_read(&self, &n, "/proc/self/exe", 256 << 20, &err), err);
    CHECK_OK(file_write(exe, self, n, &err), err);
    CHECK(chmod(exe, 0755) == 0);
    CHECK_OK(dir_make(plugins, &err), err);
    fakes_copy(plugins, "a.so", "good");
    CHECK_INT(run_copy(exe), 0); /* no marker */
    CHECK_OK(file_write(marker, "/tmp\n", 5, &err), err);
    CHECK_INT(run_copy(exe), 0); /* a marker that was copied along */
    CHECK_OK(file_write(marker, dir, strlen(dir), &err), err);
    CHECK_INT(run_copy(exe), 1);
    free(self);
    free(marker);
    free(plugins);
    free(exe);
    fakes_remove(dir);
}

static void test_registry__what_others_can_change_is_refused(void)
{
    char *dir = fakes_folder(), *file = path_join(dir, "a.so"), *sub = path_join(dir, "sub");
    const char *sub_dir = sub;
    hone_error err = { 0 };
    registry *r;
    fakes_copy(dir, "a.so", "good");
    CHECK(chmod(file, 0664) == 0);
    r = fakes_open(dir);
    CHECK_INT(count_id(r, "test.good"), 0);
    CHECK_HAS(fakes_problem(r, "a.so"), "can be changed by its group; run chmod go-w '");
    CHECK_HAS(fakes_problem(r, "a.so"), file);
    registry_close(r);
    CHECK(chmod(file, 0646) == 0);
    r = fakes_open(dir);
    CHECK_HAS(fakes_problem(r, "a.so"), "can be changed by everybody");
    registry_close(r);
    CHECK(chmod(file, 0644) == 0 && chmod(dir, 0777) == 0);
    r = fakes_open(dir);
    CHECK_INT(count_id(r, "test.good"), 0);
    CHECK_HAS(fakes_problem(r, path_base(dir)), "can be changed by everybody");
    registry_close(r);
    /* a folder above */
    CHECK_OK(dir_make(sub, &err), err);
    fakes_copy(sub, "b.so", "good");
    CHECK_OK(registry_open(&r, &sub_dir, 1, &err), err);
    CHECK_INT(count_id(r, "test.good"), 0);
    CHECK_HAS(fakes_problem(r, "sub"), "can be changed by everybody; run chmod go-w '");
    registry_close(r);
    CHECK(chmod(dir, 01777) == 0); /* sticky, like /tmp: fine above, not as the folder itself */
    CHECK_OK(registry_open(&r, &sub_dir, 1, &err), err);
    CHECK_INT(count_id(r, "test.good"), 1);
    registry_close(r);
    r = fakes_open(dir);
    CHECK_HAS(fakes_problem(r, path_base(dir)), "can be changed by everybody");
    registry_close(r);
    CHECK(chmod(dir, 0755) == 0);
    if (geteuid() == 0) { /* only root can give files away */
        CHECK(chown(file, 12345, 0) == 0);
        r = fakes_open(dir);
        CHECK_HAS(fakes_problem(r, "a.so"), "belongs to user 12345, expected root or 0");
        registry_close(r);
    }
    free(sub);
    free(file);
    fakes_remove(dir);
}

static void test_registry__bad_files_are_problems_not_failures(void)
{
    char *dir = fakes_folder(), *path = path_join(dir, "cut.so"), *good;
    hone_error err = { 0 };
    size_t n;
    registry *r;
    good = fakes_read("good", &n);
    CHECK_OK(file_write(path, good, n / 2, &err), err);
    fakes_copy(dir, "abi.so", "wrong_abi");
    fakes_copy(dir, "none.so", "no_note");
    fakes_copy(dir, "note-a-plugin.txt", "good");
    fakes_copy(dir, ".hidden.so", "good");
    fakes_copy(dir, "ok.so", "twin");
    r = fakes_open(dir);
    CHECK_INT(count_id(r, "test.good"), 0);
    CHECK_INT(count_id(r, "test.twin"), 1);
    CHECK_HAS(fakes_problem(r, "cut.so"), "cut short");
    CHECK_STR(fakes_problem(r, "abi.so"),
              "built for plugin ABI 0.2, this hone has 0.1; rebuild it");
    CHECK_STR(fakes_problem(r, "none.so"), "not a hone plugin (no HONE note)");
    CHECK_STR(fakes_problem(r, "ok.so"), "");
    registry_close(r);
    free(good);
    free(path);
    fakes_remove(dir);
}

static void test_registry__short_names_where_they_are_unique(void)
{
    char *dir = fakes_folder(), *name;
    hone_error err = { 0 };
    component_row c = { 0 };
    registry *r;
    fakes_copy(dir, "a.so", "good");
    fakes_copy(dir, "c.so", "probe_yes");
    r = fakes_open(dir);
    CHECK_OK(registry_find(&c, r, HONE_KIND_RECIPE, "fake", &err), err);
    name = registry_name(r, c);
    CHECK_STR(name, "fake");
    free(name);
    CHECK_OK(registry_find(&c, r, HONE_KIND_RECIPE, "test.good/fake", &err), err);
    registry_close(r);
    fakes_copy(dir, "b.so", "twin");
    r = fakes_open(dir);
    CHECK_INT(registry_find(&c, r, HONE_KIND_RECIPE, "fake", &err), HONE_ERR_ARG);
    CHECK_STR(err.message,
              "several plugins have a recipe 'fake'; name one of: test.good/fake, test.twin/fake");
    CHECK_OK(registry_find(&c, r, HONE_KIND_RECIPE, "test.twin/fake", &err), err);
    CHECK_STR(c.file->note.id, "test.twin");
    name = registry_name(r, c);
    CHECK_STR(name, "test.twin/fake");
    free(name);
    CHECK_INT(registry_find(&c, r, HONE_KIND_RECIPE, "probe-yse", &err), HONE_ERR_NOTFOUND);
    CHECK_HAS(err.message,
              "no recipe is named 'probe-yse'; did you mean 'probe-yes'?; there are: ");
    CHECK_HAS(err.message, "test.twin/fake");
    CHECK_HAS(err.message, "; searched: /tmp/hone-plugin-");
    CHECK_INT(registry_find(&c, r, "hone.flavour/1", "fake", &err), HONE_ERR_NOTFOUND);
    CHECK_HAS(err.message, "no flavour is named 'fake'; none is installed");
    CHECK_INT(registry_find(&c, r, HONE_KIND_RECIPE, "test.goo/fake", &err), HONE_ERR_NOTFOUND);
    CHECK_INT(registry_find(&c, r, HONE_KIND_RECIPE, "", &err), HONE_ERR_NOTFOUND);
    registry_close(r);
    fakes_remove(dir);
}

/* What a reader claims: notes patched into copies of the good plugin. */
static void write_reader(const char *dir, const char *name, const char *id, const char *extensions)
{
    hone_error err = { 0 };
    hone_note_head head;
    hone_note_row row;
    size_t n, i;
    char *bytes = fakes_read("good", &n), *path = path_join(dir, name);
    for (i = 0; i + sizeof head + sizeof row <= n; i += 4) {
        memcpy(&head, bytes + i, sizeof head);
        if (head.namesz == 4 && memcmp(head.name, "HONE", 4) == 0 &&
            strcmp(head.id, "test.good") == 0) {
            memcpy(&row, bytes + i + sizeof head, sizeof row);
            (void)snprintf(head.id, sizeof head.id, "%s", id);
            (void)snprintf(row.kind, sizeof row.kind, "%s", HONE_KIND_READER);
            (void)snprintf(row.extensions, sizeof row.extensions, "%s", extensions);
            memcpy(bytes + i, &head, sizeof head);
            memcpy(bytes + i + sizeof head, &row, sizeof row);
            break;
        }
    }
    CHECK_OK(file_write(path, bytes, n, &err), err);
    free(path);
    free(bytes);
}

static void test_registry__readers_by_extension(void)
{
    char *dir = fakes_folder();
    static const struct {
        const char *path, *id;
    } cases[] = {
        { "a/b.qqmd", "test.b" },
        { "x.TAR.QQGZ", "test.b" },
        { "x.qqgz", "test.a" },
        { "README.Qqmd", "test.b" },
        { "x.qq", NULL },
        { ".qqmd", NULL },
        { "qqmd", NULL },
        { "a.qqmd/b", NULL },
        { "", NULL },
    };
    hone_error err = { 0 };
    registry *r;
    size_t i;
    write_reader(dir, "a.so", "test.a", ".qqgz .qqtxt");
    write_reader(dir, "b.so", "test.b", ".tar.qqgz .qqmd");
    r = fakes_open(dir);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        component_row c = { 0 };
        const hone_status status =
            registry_find_extension(&c, r, HONE_KIND_READER, cases[i].path, &err);
        CHECK_INT(status, cases[i].id ? HONE_OK : HONE_ERR_NOTFOUND);
        if (!status)
            CHECK_STR(c.file->note.id, cases[i].id ? cases[i].id : "none");
    }
    registry_close(r);
    fakes_remove(dir);
}

int main(int argc, char **argv)
{
    log_set_level(HONE_LOG_ERROR); /* shadowing warns */
    if (argc == 2 && strcmp(argv[1], "--count-build-dirs") == 0)
        return count_build_dirs();
    RUN(test_registry__first_id_wins_and_the_other_is_named);
    RUN(test_registry__the_environment_and_the_user_come_after);
    RUN(test_registry__an_uninstalled_program_finds_its_build_folder);
    RUN(test_registry__an_installed_program_never_looks_beside_itself);
    RUN(test_registry__what_others_can_change_is_refused);
    RUN(test_registry__bad_files_are_problems_not_failures);
    RUN(test_registry__short_names_where_they_are_unique);
    RUN(test_registry__readers_by_extension);
    return TEST_EXIT();
}
