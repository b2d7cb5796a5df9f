/*
 * test_folder.c - folders that appear whole, metrics that are cut back, positions kept.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/parts.h"
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/hone-folder-XXXXXX";

/* A file of a folder holds these bytes; NULL: there is none. */
static bool file_holds(const char *folder, const char *name, const char *want)
{
    char *path = path_join(folder, name), *got = NULL;
    hone_error err;
    const bool there = file_read(&got, NULL, path, 1 << 20, &err) == HONE_OK;
    const bool same = want ? there && strcmp(got, want) == 0 : !there;
    free(got);
    free(path);
    return same;
}

static void put_file(const char *folder, const char *name, const char *bytes)
{
    hone_error err = { 0 };
    char *path = path_join(folder, name);
    CHECK_OK(file_write(path, bytes, strlen(bytes), &err), err);
    free(path);
}

static void test_folder__appears_whole_and_replaces_whole(void)
{
    hone_error err = { 0 };
    char *path = path_join(dir, "result"), *tmp = NULL;
    CHECK_OK(folder_begin(&tmp, path, &err), err);
    CHECK(strcmp(tmp, path) != 0);
    put_file(tmp, "a", "1");
    put_file(tmp, "b", "1");
    CHECK(!path_exists(path));
    CHECK_OK(folder_commit(tmp, path, &err), err);
    CHECK(file_holds(path, "a", "1"));
    CHECK(!path_exists(tmp));
    free(tmp);
    tmp = NULL;

    CHECK_OK(folder_begin(&tmp, path, &err), err);
    put_file(tmp, "a", "2");
    CHECK(file_holds(path, "a", "1")); /* the old one stands until the commit */
    CHECK_OK(folder_commit(tmp, path, &err), err);
    CHECK(file_holds(path, "a", "2"));
    CHECK(file_holds(path, "b", NULL)); /* nothing of the old one is left over */
    CHECK(!path_exists(tmp));
    free(tmp);
    tmp = NULL;

    CHECK_OK(folder_begin(&tmp, path, &err), err);
    put_file(tmp, "a", "3");
    folder_abort(tmp);
    CHECK(!path_exists(tmp));
    CHECK(file_holds(path, "a", "2"));
    free(tmp);

    CHECK_OK(folder_remove(path, &err), err);
    CHECK(!path_exists(path));
    free(path);
}

static void test_folder__sweep_takes_only_what_kills_left(void)
{
    static const struct {
        const char *name;
        bool swept;
    } rows[] = {
        { "checkpoint-12.tmp.345", true },
        { "adapter.old.7", true },
        { "run.json.tmp.99", true },
        { "checkpoint-12", false },
        { "notes.tmp.txt", false },
        { "my.tmp.3x", false },
        { "a.tmp.", false },
    };
    hone_error err = { 0 };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *path = path_join(dir, rows[i].name);
        CHECK_OK(dir_make(path, &err), err);
        put_file(path, "x", "x");
        free(path);
    }
    CHECK_OK(folder_sweep(dir, &err), err);
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *path = path_join(dir, rows[i].name);
        CHECK_INT(path_exists(path), !rows[i].swept);
        CHECK_OK(dir_remove(path, &err), err);
        free(path);
    }
}

static void test_metrics__are_cut_back_to_the_step(void)
{
    static const char written[] = "{\"step\": 0, \"val_loss\": 9}\n"
                                  "{\"step\": 1, \"loss\": 3}\n"
                                  "{\"step\": 2, \"loss\": 2}\n"
                                  "{\"step\": 2, \"val_loss\": 5}\n"
                                  "{\"step\": 3, \"loss\": 1}\n"
                                  "{\"step\": 4, \"lo";
    static const struct {
        int64_t step;
        size_t lines; /* kept */
    } rows[] = { { 9, 5 }, { 3, 5 }, { 2, 4 }, { 1, 2 }, { 0, 1 }, { -1, 0 } };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        hone_error err = { 0 };
        metrics m = { .fd = -1 };
        char want[sizeof written + 32];
        size_t n = 0, lines = 0;
        put_file(dir, "metrics.jsonl", written);
        CHECK_OK(metrics_open(&m, dir, rows[i].step, &err), err);
        CHECK_OK(metrics_add(&m, "{\"step\": 7}\n", 12, &err), err);
        metrics_close(&m);
        while (lines < rows[i].lines)
            lines += written[n++] == '\n';
        (void)snprintf(want, sizeof want, "%.*s{\"step\": 7}\n", (int)n, written);
        CHECK(file_holds(dir, "metrics.jsonl", want));
    }
}

static void test_metrics__a_line_of_something_else_ends_what_is_kept(void)
{
    hone_error err = { 0 };
    metrics m = { .fd = -1 };
    put_file(dir, "metrics.jsonl", "{\"step\": 1}\nhello\n{\"step\": 2}\n");
    CHECK_OK(metrics_open(&m, dir, 5, &err), err);
    CHECK_INT(m.bytes, 12);
    metrics_close(&m);
    CHECK(file_holds(dir, "metrics.jsonl", "{\"step\": 1}\n"));
}

static void test_state__survives_json_to_the_bit(void)
{
    const run_state s = { .step = 7,
                          .epoch = 2,
                          .micro = 3,
                          .rows = INT64_C(1) << 40,
                          .tokens = 5,
                          .learned = 4,
                          .first_loss = 1.0 / 3,
                          .last_loss = 5e-324,
                          .first_val = NAN,
                          .last_val = 0.1,
                          .best_val = 1e308,
                          .best_step = 6,
                          .stale = 1 };
    hone_error err = { 0 };
    json_t *object = run_state_to_json(&s), *again = NULL;
    char *p = json_dumps(object, JSON_INDENT(1));
    run_state got = { 0 };
    CHECK_OK(json_parse(&again, p, strlen(p), "state", &err), err);
    CHECK_OK(run_state_from_json(&got, again, "state.json", &err), err);
    CHECK(isnan(got.first_val));
    got.first_val = s.first_val;
    CHECK(memcmp(&got, &s, sizeof s) == 0);
    json_object_del(again, "micro");
    CHECK_INT(run_state_from_json(&got, again, "state.json", &err), HONE_ERR_FORMAT);
    CHECK_STR(err.message, "state.json: state.micro is missing or not a number");
    json_object_set_new(again, "micro", json_integer(-1));
    CHECK_INT(run_state_from_json(&got, again, "state.json", &err), HONE_ERR_FORMAT);
    json_decref(object);
    json_decref(again);
    free(p);
}

int main(void)
{
    if (!mkdtemp(dir))
        return 77;
    log_set_level(HONE_LOG_ERROR);
    RUN(test_folder__appears_whole_and_replaces_whole);
    RUN(test_folder__sweep_takes_only_what_kills_left);
    RUN(test_metrics__are_cut_back_to_the_step);
    RUN(test_metrics__a_line_of_something_else_ends_what_is_kept);
    RUN(test_state__survives_json_to_the_bit);
    (void)!dir_remove(dir, NULL);
    return TEST_EXIT();
}
