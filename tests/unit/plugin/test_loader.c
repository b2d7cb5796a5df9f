/*
 * test_loader.c - opening plugins: one message per fault, options, probes, order of ends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/plugin/loader.h"
#include "fakes.h"
#include "hone/recipe.h"

#include <fcntl.h>
#include <sys/wait.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

static char *folder;

/* Open component `name` of a registry that holds only copies of fake_<fake>.so. */
static hone_status open_fake(component **out, const char *fake, const char *name, const char *json,
                             hone_error *err)
{
    char file[64];
    json_t *config = NULL;
    registry *r;
    hone_status status;
    *err = (hone_error){ 0 };
    (void)snprintf(file, sizeof file, "%s.so", fake);
    if (!path_exists(file))
        fakes_copy(folder, file, fake);
    if (json)
        CHECK_OK(json_parse(&config, json, strlen(json), "config", err), *err);
    r = fakes_open(folder);
    status = component_open(out, r, HONE_KIND_RECIPE, name, config, "/base", err);
    json_decref(config);
    registry_close(r);
    return status;
}

static void test_loader__each_fault_has_its_message(void)
{
    static const struct {
        const char *fake, *name, *message;
    } cases[] = {
        { "missing_symbol", "missing-symbol",
          "cannot be loaded: undefined symbol: nobody_defines_this" },
        { "no_entry", "no-entry", "has no function hone_plugin_entry" },
        { "other_id", "other-id",
          "the id is 'test.other-id' in the note and 'test.impostor' in the descriptor" },
        { "other_name", "other-name",
          "the name of a component is 'other-name' in the note and 'impostor' in the descriptor" },
        { "no_call", "no-call", "component 'no-call': the required call process() is NULL" },
        { "bad_default", "bad-default", ".so: default: bad-default.size: 99 is outside [1, 10]" },
        { "bad_offset", "bad-offset",
          "option 'size' at byte 4096 does not fit a config of 24 bytes" },
        { "bad_init", "bad-init", "does not start: the fake has no fuel" },
        { "experimental", "experimental", "experimental is experimental; --allow-experimental" },
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_error err;
        component *c = NULL;
        CHECK(open_fake(&c, cases[i].fake, cases[i].name, NULL, &err) != HONE_OK);
        CHECK(c == NULL);
        CHECK_HAS(err.message, cases[i].message);
        CHECK(!strchr(err.message, '\n'));
    }
}

static void test_loader__options_come_from_rows_and_json(void)
{
    hone_error err;
    component *c = NULL;
    const struct {
        int64_t size;
        double share;
        const char *label;
    } * config;
    CHECK_OK(open_fake(&c, "good", "fake", "{\"size\": 7, \"label\": \"x\"}", &err), err);
    if (!c)
        return;
    config = c->config;
    CHECK_INT(config->size, 7);
    CHECK_NEAR(config->share, 0.5, 0);
    CHECK_STR(config->label, "x");
    CHECK_STR(c->desc->name, "fake");
    CHECK_STR(c->plugin->id, "test.good");
    CHECK(options_given(&c->options, "size") && !options_given(&c->options, "share"));
    CHECK_OK(options_set(&c->options, "share", "0.25", &err), err);
    CHECK_NEAR(config->share, 0.25, 0);
    component_close(c);
    component_close(NULL);
    c = NULL;
    CHECK_INT(open_fake(&c, "good", "fake", "{\"sise\": 7}", &err), HONE_ERR_ARG);
    CHECK_STR(err.message, "unknown option 'fake.sise'; did you mean 'fake.size'?");
    CHECK_INT(open_fake(&c, "good", "fake", "{\"size\": 11}", &err), HONE_ERR_ARG);
    CHECK_STR(err.message, "fake.size: 11 is outside [1, 10]");
    CHECK_INT(open_fake(&c, "good", "fake", "[1]", &err), HONE_ERR_ARG);
}

static void test_loader__init_runs_once_and_again_after_shutdown(void)
{
    hone_error err;
    component *a = NULL, *b = NULL;
    const hone_recipe *ops;
    void *self = NULL;
    CHECK_OK(open_fake(&a, "good", "fake", NULL, &err), err);
    CHECK_OK(open_fake(&b, "good", "fake", NULL, &err), err); /* the fake refuses a second init */
    ops = a->ops;
    CHECK_INT(host_bytes("fake"), 0);
    CHECK_OK(ops->create(plugin_host(), a->config, &self, &err), err);
    CHECK_INT(host_bytes("fake"), 8);
    ops->destroy(self);
    plugin_host()->free(plugin_host(), self);
    CHECK_INT(host_bytes("fake"), 0);
    component_close(a);
    component_close(b);
    plugin_shutdown_all();
    plugin_shutdown_all();
    CHECK_OK(open_fake(&a, "good", "fake", NULL, &err), err);
    component_close(a);
}

static void test_loader__a_file_that_changed_after_the_listing_is_refused(void)
{
    char *dir = fakes_folder();
    hone_error err = { 0 };
    component *c = NULL;
    registry *r;
    fakes_copy(dir, "x.so", "twin");
    r = fakes_open(dir);
    fakes_copy(dir, "x.so", "good");
    CHECK_INT(component_open(&c, r, HONE_KIND_RECIPE, "test.twin/fake", NULL, NULL, &err),
              HONE_ERR_STATE);
    CHECK_HAS(err.message, "x.so: changed since it was listed");
    registry_close(r);
    fakes_remove(dir);
}

static void test_loader__fast_math_does_not_leak(void)
{
    hone_error err;
    component *c = NULL;
    volatile float tiny = 1e-40f; /* subnormal */
    CHECK(tiny * 0.5f > 0);
    CHECK_OK(open_fake(&c, "fast_math", "fast-math", NULL, &err), err);
    CHECK(tiny * 0.5f > 0);
#if defined(__x86_64__)
    CHECK_INT(_mm_getcsr() & 0x8040, 0);
#endif
    component_close(c);
}

/* Run `what` in a child with stdout in a file; how many bytes it wrote there. */
static long output_of(void (*what)(void))
{
    char path[] = "/tmp/hone-plugin-out-XXXXXX";
    const int fd = mkstemp(path);
    int how = 0;
    long n;
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(fd, STDOUT_FILENO);
        what();
        _exit(test_failures != 0);
    }
    (void)waitpid(pid, &how, 0);
    CHECK_INT(how, 0);
    n = (long)lseek(fd, 0, SEEK_END);
    close(fd);
    (void)unlink(path);
    return n;
}

static void list_only(void)
{
    registry *r = fakes_open(folder);
    hone_error err = { 0 };
    component_row c;
    CHECK_OK(registry_find(&c, r, HONE_KIND_RECIPE, "constructor", &err), err);
    registry_close(r);
}

static void list_and_open(void)
{
    hone_error err;
    component *c = NULL;
    CHECK_OK(open_fake(&c, "constructor", "constructor", NULL, &err), err);
    component_close(c);
}

static void list_and_probe(void)
{
    registry *r = fakes_open(folder);
    hone_error err = { 0 };
    component_row c = { 0 };
    CHECK_OK(registry_find(&c, r, HONE_KIND_RECIPE, "constructor", &err), err);
    CHECK_OK(component_probe(r, c, &err), err);
    registry_close(r);
}

static void test_loader__listing_runs_no_code(void)
{
    fakes_copy(folder, "constructor.so", "constructor");
    CHECK_INT(output_of(list_only), 0);
    CHECK_INT(output_of(list_and_open),
              (long)strlen("constructor ran\n")); /* it would have shown */
    CHECK_INT(output_of(list_and_probe), 0);
}

static hone_status probe_fake(const char *fake, const char *name, hone_error *err)
{
    char file[64];
    component_row c = { 0 };
    registry *r;
    hone_status status;
    *err = (hone_error){ 0 };
    (void)snprintf(file, sizeof file, "%s.so", fake);
    fakes_copy(folder, file, fake);
    r = fakes_open(folder);
    status = registry_find(&c, r, HONE_KIND_RECIPE, name, err);
    if (!status)
        status = component_probe(r, c, err);
    registry_close(r);
    return status;
}

static void test_loader__probes_answer_crash_or_exit(void)
{
    hone_error err;
    int i;
    for (i = 0; i < 2; i++) { /* the second time from memory */
        CHECK_OK(probe_fake("probe_yes", "probe-yes", &err), err);
        CHECK_INT(probe_fake("probe_no", "probe-no", &err), HONE_ERR_UNSUPPORTED);
        CHECK_STR(err.message, "the machine has no fake hardware");
        CHECK_INT(probe_fake("probe_crash", "probe-crash", &err), HONE_ERR_UNSUPPORTED);
        CHECK_STR(err.message, "probe crashed with signal 11");
        CHECK_INT(probe_fake("probe_exit", "probe-exit", &err), HONE_ERR_UNSUPPORTED);
        CHECK_STR(err.message, "probe ended the process with status 3");
        CHECK_INT(probe_fake("no_entry", "no-entry", &err), HONE_ERR_FORMAT);
        CHECK_HAS(err.message, "has no function hone_plugin_entry");
    }
}

static void test_loader__a_probe_that_hangs_is_ended(void)
{
    hone_error err;
    const double start = clock_now();
    probe_set_timeout(1);
    CHECK_INT(probe_fake("probe_hang", "probe-hang", &err), HONE_ERR_UNSUPPORTED);
    CHECK_STR(err.message, "probe gave no answer within 1 seconds");
    CHECK(clock_now() - start >= 1);
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

static void test_loader__one_file_alone(void)
{
    hone_error err = { 0 };
    component *c = NULL;
    registry *r = NULL;
    char *path = path_join(folder, "good.so");
    fakes_copy(folder, "good.so", "good");
    CHECK(chmod(path, 0666) == 0); /* named by the user, so not asked whose it is */
    CHECK_OK(registry_open_file(&r, path, &err), err);
    CHECK_INT(registry_n_plugins(r), 1);
    CHECK_STR(registry_plugin(r, 0)->origin, "file");
    CHECK(registry_plugin(r, 1) == NULL);
    CHECK_INT(component_open(&c, r, HONE_KIND_READER, "fake", NULL, NULL, &err), HONE_ERR_NOTFOUND);
    registry_close(r);
    CHECK_INT(registry_open_file(&r, "/nonexistent.so", &err), HONE_ERR_NOTFOUND);
    CHECK_HAS(err.message, "/nonexistent.so: ");
    free(path);
}

int main(void)
{
    log_set_level(HONE_LOG_ERROR + 1);
    folder = fakes_folder();
    RUN(test_loader__listing_runs_no_code); /* first: nothing is loaded yet */
    RUN(test_loader__each_fault_has_its_message);
    RUN(test_loader__options_come_from_rows_and_json);
    plugin_shutdown_all();
    RUN(test_loader__init_runs_once_and_again_after_shutdown);
    RUN(test_loader__a_file_that_changed_after_the_listing_is_refused);
    RUN(test_loader__fast_math_does_not_leak);
    RUN(test_loader__probes_answer_crash_or_exit);
    RUN(test_loader__a_probe_that_hangs_is_ended);
    RUN(test_loader__one_file_alone);
    plugin_shutdown_all();
    fakes_remove(folder);
    return TEST_EXIT();
}
