/*
 * test_resume.c - a run that was interrupted ends where one that was not ends, to the bit.
 *
 * Interrupted by the user, by a full disk, by kill -9 at moments drawn at random; with
 * dropout, shuffling, packing, a validation split and checkpoints that were damaged.
 *
 *     test_resume [backend]                       the tests
 *     test_resume --soak [backend [kills]]        many more kills
 *     test_resume --child out backend [optimizer] one run, to be killed
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/train/fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

extern char **environ;

/* The run that all of these tests make, whole or in pieces. */
static trial busy_trial(const char *out)
{
    trial t = trial_new(out);
    t.n_rows = 40;
    t.dropout = 0.1;
    t.o.packing = t.o.shuffle = true;
    t.o.accumulate = 1;
    t.o.val_split = 0.2;
    t.o.steps = 17;
    t.o.eval_every = 3;
    t.o.save_every = 2;
    t.o.warmup = 2;
    return t;
}

static char *reference; /* the folder of the run that was left in peace */

static void make_reference(void)
{
    trial t = busy_trial(reference = scratch("reference"));
    trial_ok(&t);
    CHECK_STR(t.result.stopped, "done");
    CHECK_INT(t.result.steps, 17);
}

/* Every weight trained, little memory for paged state, eight bits for the smallest too. */
static trial full_trial(const char *out, const char *with)
{
    trial t = trial_new(out);
    t.o.method = 1;
    t.n_rows = 40;
    t.o.shuffle = true;
    t.o.accumulate = 1;
    t.o.steps = 9;
    t.o.save_every = 2;
    t.optimizer = with;
    if (strncmp(with, "paged", 5) == 0)
        t.o.paged_memory = 0.0625;
    if (strcmp(with, "adamw8bit") == 0)
        t.optimizer_options = json_pack("{s:i}", "min_8bit_size", 100);
    return t;
}

/* Numbers of metrics.jsonl do not tell the runs apart either. */
static void check_same_metrics(const char *a, const char *b)
{
    static const char *const keys[] = { "step",      "loss",     "lr",
                                        "grad_norm", "val_loss", "learned_tokens" };
    size_t i, k;
    for (i = 0; i < sizeof keys / sizeof *keys; i++) {
        double x[64] = { 0 }, y[64] = { 0 };
        const size_t n = metric(a, keys[i], x, 64);
        CHECK_INT(metric(b, keys[i], y, 64), n);
        for (k = 0; k < n; k++)
            CHECK_NEAR(y[k], x[k], 0);
    }
}

static void test_resume__two_runs_are_the_same(void)
{
    char *out = scratch("twin");
    trial t = busy_trial(out);
    trial_ok(&t);
    check_same_adapter(reference, out);
    check_same_metrics(reference, out);
    scratch_done(out);
}

static void test_resume__after_the_user_stopped(void)
{
    static const int64_t stops[] = { 1, 4, 5, 16 };
    size_t i;
    for (i = 0; i < sizeof stops / sizeof *stops; i++) {
        char *out = scratch("stop"), *adapter = path_join(out, "adapter");
        trial t = busy_trial(out), rest = busy_trial(out);
        t.stop_at = stops[i];
        CHECK_INT(trial_run(&t, NULL, NULL), HONE_ERR_CANCELLED);
        CHECK_HAS(t.err.message, "the same command goes on from there");
        CHECK_STR(t.result.stopped, "interrupted");
        CHECK_INT(t.result.steps, stops[i] < 2 ? 2 : stops[i]); /* seen after a step */
        CHECK(!path_exists(adapter));
        trial_ok(&rest);
        CHECK_INT(rest.result.steps, 17);
        check_same_adapter(reference, out);
        check_same_metrics(reference, out);
        free(adapter);
        scratch_done(out);
    }
}

static void check_same_model(const char *a, const char *b)
{
    CHECK(same_file(a, b, "model/model.safetensors"));
    CHECK(same_file(a, b, "checkpoint-9/params.safetensors"));
    CHECK(same_file(a, b, "checkpoint-9/optimizer.safetensors"));
}

static void test_resume__whatever_the_optimizer(void)
{
    static const struct {
        const char *name, *same_as; /* same_as: another that ends in the same bytes */
    } rows[] = {
        { "adamw", NULL },          { "adam", NULL },         { "adamw8bit", NULL },
        { "paged-adamw", "adamw" }, { "paged-adam", "adam" },
    };
    char *whole[sizeof rows / sizeof *rows] = { NULL };
    size_t i, k;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *cut = scratch("optimizer");
        trial t = full_trial(whole[i] = scratch("whole"), rows[i].name);
        trial_ok(&t);
        t.o.out = cut;
        t.stop_at = 5;
        CHECK_INT(trial_run(&t, NULL, NULL), HONE_ERR_CANCELLED);
        t.stop_at = 0;
        trial_ok(&t);
        check_same_model(whole[i], cut);
        check_same_metrics(whole[i], cut);
        for (k = 0; rows[i].same_as && k < i; k++)
            if (strcmp(rows[k].name, rows[i].same_as) == 0)
                check_same_model(whole[k], cut);
        json_decref(t.optimizer_options);
        scratch_done(cut);
    }
    CHECK(!same_file(whole[0], whole[1], "model/model.safetensors"));
    CHECK(!same_file(whole[0], whole[2], "model/model.safetensors"));
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        scratch_done(whole[i]);
}

/* States of another optimizer are never taken for its own. */
static void test_resume__refuses_another_optimizer_by_name(void)
{
    static const char *const others[] = { "adam", "adamw8bit", "paged-adamw" };
    char *out = scratch("other-optimizer");
    trial t = full_trial(out, "adamw");
    size_t i;
    t.stop_at = 4;
    CHECK_INT(trial_run(&t, NULL, NULL), HONE_ERR_CANCELLED);
    for (i = 0; i < sizeof others / sizeof *others; i++) {
        trial other = full_trial(out, others[i]);
        char want[128];
        CHECK_INT(trial_run(&other, NULL, NULL), HONE_ERR_STATE);
        (void)snprintf(want, sizeof want,
                       "optimizer.name was \"adamw\" when this run began and is \"%s\" now",
                       others[i]);
        CHECK_HAS(other.err.message, want);
        json_decref(other.optimizer_options);
    }
    scratch_done(out);
}

/* ------------------------------------------------------------- damaged folders */

static void overwrite(const char *out, const char *name, const char *bytes, off_t at)
{
    char *path = path_join(out, name);
    const int fd = open(path, O_WRONLY);
    CHECK(fd >= 0 && pwrite(fd, bytes, strlen(bytes), at) == (ssize_t)strlen(bytes));
    close(fd);
    free(path);
}

static void test_resume__passes_over_damaged_checkpoints(void)
{
    static const char *const victims[] = { "DONE", "params.safetensors", "optimizer.safetensors",
                                           "state.json" };
    size_t i;
    for (i = 0; i < 2 * sizeof victims / sizeof *victims; i++) {
        char *out = scratch("damage"), name[64];
        trial t = busy_trial(out), rest = busy_trial(out);
        t.stop_at = 10;
        CHECK_INT(trial_run(&t, NULL, NULL), HONE_ERR_CANCELLED);
        (void)snprintf(name, sizeof name, "checkpoint-10/%s", victims[i / 2]);
        if (i % 2) { /* gone */
            char *path = path_join(out, name);
            CHECK(unlink(path) == 0);
            free(path);
        } else { /* or with a few other bytes */
            overwrite(out, name, "zzzz", 40);
        }
        trial_ok(&rest);
        check_same_adapter(reference, out);
        check_same_metrics(reference, out);
        scratch_done(out);
    }
}

static void test_resume__sweeps_what_a_kill_left(void)
{
    char *out = scratch("sweep"), *left = path_join(out, "checkpoint-99.tmp.1");
    trial t = busy_trial(out);
    hone_error err = { 0 };
    CHECK_OK(dir_make(left, &err), err);
    trial_ok(&t);
    CHECK(!path_exists(left));
    check_same_adapter(reference, out);
    free(left);
    left = path_join(out, "checkpoint-1"); /* one more than train.keep: killed before it went */
    CHECK_OK(dir_make(left, &err), err);
    trial_ok(&t);
    CHECK(!path_exists(left));
    check_same_adapter(reference, out);
    free(left);
    scratch_done(out);
}

/* ------------------------------------------------------------------ other runs */

static void set_lr(trial *t)
{
    t->o.lr = 0.02;
}

static void set_rows(trial *t)
{
    t->n_rows = 36;
}

static void set_steps(trial *t)
{
    t->o.steps = 18;
}

static void set_no_resume(trial *t)
{
    t->o.resume = false;
}

/* A config as the program hands it down; `rank` and `max_tokens` are what changes. */
static json_t *make_config(int rank, int max_tokens)
{
    return json_pack("{s:{s:i}, s:{s:i}, s:{s:s}, s:{s:f}}", "adapter", "rank", rank, "exam",
                     "max_tokens", max_tokens, "data", "path", max_tokens == 5 ? "/a" : "/b",
                     "train", "lr", 0.5);
}

static void set_config(trial *t)
{
    json_decref(t->config);
    t->config = make_config(8, 5);
}

static void test_resume__refuses_another_run_by_name(void)
{
    static const struct {
        void (*change)(trial *t);
        const char *message;
    } rows[] = {
        { set_lr, "train.lr was 0.01 when this run began and is 0.02 now" },
        { set_rows, "data.train was \"" },
        { set_steps, "train.steps was 17 when this run began and is 18 now" },
        { set_no_resume, "holds checkpoints up to step 6 and train.resume is false" },
        { set_config, "adapter.rank was 4 when this run began and is 8 now" },
    };
    char *out = scratch("other");
    trial t = busy_trial(out), rest = busy_trial(out);
    size_t i;
    t.stop_at = 6;
    t.config = make_config(4, 5);
    CHECK_INT(trial_run(&t, NULL, NULL), HONE_ERR_CANCELLED);
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        trial other = busy_trial(out);
        other.config = make_config(4, 5);
        rows[i].change(&other);
        CHECK_INT(trial_run(&other, NULL, NULL), HONE_ERR_STATE);
        CHECK_HAS(other.err.message, rows[i].message);
        CHECK_HAS(other.err.message, out);
        json_decref(other.config);
    }
    rest.config = make_config(4, 6); /* what changes no number may change */
    rest.o.keep = 5;
    rest.o.save_every = 1;
    rest.o.log_every = 1;
    trial_ok(&rest);
    check_same_adapter(reference, out);
    json_decref(t.config);
    json_decref(rest.config);
    scratch_done(out);
}

/* Another process has the folder: its number is in the message. */
static void test_resume__one_run_to_a_folder(void)
{
    char *out = scratch("lock"), want[64], byte;
    trial t = busy_trial(out);
    hone_error err = { 0 };
    int ends[2];
    pid_t child;
    CHECK_OK(dir_make(out, &err), err);
    CHECK(pipe(ends) == 0);
    child = fork(); /* does nothing that needs this process's threads */
    if (child == 0) {
        int fd;
        if (dir_lock(out, &fd, &err) == HONE_OK && write(ends[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    CHECK(read(ends[0], &byte, 1) == 1);
    CHECK_INT(trial_run(&t, NULL, NULL), HONE_ERR_STATE);
    (void)snprintf(want, sizeof want, "process %ld", (long)child);
    CHECK_HAS(t.err.message, want);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    trial_ok(&t);
    scratch_done(out);
}

/* ------------------------------------------------------------------- full disk */

/* No file may grow beyond a limit, which write(2) reports as a full disk is. The limits
 * are drawn so that every kind of file is hit. */
static void test_resume__after_a_full_disk(void)
{
    static const rlim_t limits[] = { 100, 3000, 9000, 30000 };
    struct rlimit before, now;
    size_t i, failed = 0;
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    signal(SIGXFSZ, SIG_IGN);
    for (i = 0; i < sizeof limits / sizeof *limits; i++) {
        char *out = scratch("full");
        trial t = busy_trial(out), rest = busy_trial(out);
        hone_status st;
        t.stop_at = 6;
        CHECK_INT(trial_run(&t, NULL, NULL), HONE_ERR_CANCELLED);
        t.stop_at = 0;
        now = before;
        now.rlim_cur = limits[i];
        CHECK(setrlimit(RLIMIT_FSIZE, &now) == 0);
        st = trial_run(&t, NULL, NULL);
        CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
        if (st) {
            failed++;
            CHECK_INT(st, HONE_ERR_IO);
            CHECK_HAS(t.err.message, strerror(EFBIG));
            CHECK_HAS(t.err.message, out);
        }
        trial_ok(&rest);
        check_same_adapter(reference, out);
        check_same_metrics(reference, out);
        scratch_done(out);
    }
    CHECK(failed == sizeof limits / sizeof *limits);
}

/* ------------------------------------------------------------------------ kills */

/* with NULL: busy_trial, else full_trial. */
static pid_t start_child(const char *out, const char *with)
{
    char *const argv[] = { mem_strdup("test_resume"),   mem_strdup("--child"), mem_strdup(out),
                           mem_strdup(fixture_backend), mem_strdup(with),      NULL };
    pid_t child = -1;
    size_t i;
    CHECK_INT(posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    for (i = 0; i < 5; i++)
        free(argv[i]);
    return child;
}

static int wait_child(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

static uint64_t draws;

/* Kill a run over and over, a little later each time it got nowhere, until it is done; the
 * time to the kill is drawn up to `seconds`. How often it was killed is returned. */
static int run_and_kill(const char *out, const char *with, double seconds)
{
    int kills = 0;
    for (;;) {
        const pid_t child = start_child(out, with);
        const double wait = rng_uniform(11, 1, draws++) * seconds;
        int status;
        usleep((useconds_t)(wait * 1e6));
        kill(child, SIGKILL);
        status = wait_child(child);
        if (WIFEXITED(status)) {
            CHECK_INT(WEXITSTATUS(status), 0);
            return kills;
        }
        kills++;
        seconds *= 1.02; /* a slow machine gets there as well */
    }
}

static double seconds_of_a_run(const char *with)
{
    char *out = scratch("timed");
    const double began = clock_now();
    CHECK_INT(wait_child(start_child(out, with)), 0);
    scratch_done(out);
    return clock_now() - began;
}

static void kill_until(int wanted, double limit)
{
    const double began = clock_now(), whole = seconds_of_a_run(NULL);
    int kills = 0, runs = 0;
    while (!runs || (kills < wanted && clock_now() - began < limit)) {
        char *out = scratch("killed");
        kills += run_and_kill(out, NULL, whole);
        runs++;
        check_same_adapter(reference, out);
        check_same_metrics(reference, out);
        scratch_done(out);
    }
    printf("     %d kills in %d runs\n", kills, runs);
    CHECK(kills > 0);
}

static void test_resume__after_kills_at_random_moments(void)
{
    kill_until(8, 5);
}

/* Two folders list the same names. */
static void check_folder(const char *a, const char *b)
{
    struct dirent **list[2] = { NULL };
    int n[2], i, k;
    n[0] = scandir(a, &list[0], NULL, alphasort);
    n[1] = scandir(b, &list[1], NULL, alphasort);
    CHECK_INT(n[1], n[0]);
    for (i = 0; i < n[0] && i < n[1]; i++)
        CHECK_STR(list[1][i]->d_name, list[0][i]->d_name);
    for (k = 0; k < 2; k++) {
        for (i = 0; i < n[k]; i++)
            free(list[k][i]);
        free(list[k]);
    }
}

/* Paged state leaves nothing behind, killed or not. */
static void test_resume__after_kills_with_paged_state(void)
{
    char *out = scratch("killed-paged"), *whole = scratch("whole-paged");
    trial t = full_trial(whole, "adamw");
    hone_error err = { 0 };
    const double seconds = seconds_of_a_run("paged-adamw");
    int kills = 0, rounds;
    trial_ok(&t);
    for (rounds = 0; rounds < 20 && !kills; rounds++) {
        CHECK_OK(dir_remove(out, &err), err);
        kills = run_and_kill(out, "paged-adamw", seconds);
        check_same_model(whole, out);
    }
    CHECK(kills > 0);
    check_folder(whole, out);
    scratch_done(out);
    scratch_done(whole);
}

static int soak_kills = 500;

static void test_resume__soak(void)
{
    kill_until(soak_kills, 3600);
}

static int child(const char *out, const char *with)
{
    trial t = with ? full_trial(out, with) : busy_trial(out);
    const hone_status st = trial_run(&t, NULL, NULL);
    if (st)
        fprintf(stderr, "child: %s\n", t.err.message);
    return st ? 1 : 0;
}

int main(int argc, char **argv)
{
    const bool is_child = argc >= 4 && strcmp(argv[1], "--child") == 0;
    const bool is_soak = argc > 1 && strcmp(argv[1], "--soak") == 0;
    int rest = is_child ? 2 : is_soak ? 1 : 0;
    if (!fixture_open(argc - rest, argv + rest))
        return 77;
    if (is_child)
        return child(argv[2], argc > 4 ? argv[4] : NULL);
    if (is_soak && argc > 3)
        soak_kills = atoi(argv[3]);
    make_reference();
    if (is_soak) {
        draws = (uint64_t)getpid() << 20;
        RUN(test_resume__soak);
    } else {
        RUN(test_resume__two_runs_are_the_same);
        RUN(test_resume__after_the_user_stopped);
        RUN(test_resume__whatever_the_optimizer);
        RUN(test_resume__refuses_another_optimizer_by_name);
        RUN(test_resume__passes_over_damaged_checkpoints);
        RUN(test_resume__sweeps_what_a_kill_left);
        RUN(test_resume__refuses_another_run_by_name);
        RUN(test_resume__one_run_to_a_folder);
        RUN(test_resume__after_a_full_disk);
        RUN(test_resume__after_kills_at_random_moments);
        RUN(test_resume__after_kills_with_paged_state);
    }
    scratch_done(reference);
    return fixture_exit();
}
