/*
 * test_packed.c - packed rows stand for their samples while everything they depend on is the same,
 * and never else; a damaged file is read past.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tiny_model.h"

#include <unistd.h>

static const char *const no_specials[] = { NULL };

typedef struct fixture {
    char *dir, *path, *rows;
    tokenizer *t;
    chat_template *c;
    dataset_options o;
    hone_error err;
    int n_long;
} fixture;

static fixture make(void)
{
    char name[] = "/tmp/hone-packed-XXXXXX";
    fixture f = { .dir = mem_strdup(mkdtemp(name)) };
    text t = { 0 };
    f.path = path_join(f.dir, "s.jsonl");
    f.rows = path_join(f.dir, "s.jsonl.rows");
    f.t = tiny_tokenizer(true, no_specials, TINY_CONFIG);
    CHECK_OK(chat_template_open(&f.c, "alpaca", "/nowhere", f.t, &f.err), f.err);
    f.o = (dataset_options){ .path = f.path,
                             .seq_len = 100,
                             .over_long = OVERLONG_SPLIT,
                             .raw_bos = true,
                             .raw_eos = true };
    for (int i = 0; i < 30; i++) {
        text_printf(&t,
                    "{\"segments\":[{\"role\":\"raw\",\"learn\":true,\"text\":\"text %d\"}],\"id\":"
                    "\"%016d\",\"source\":{\"file\":\"d/%d.md\"}}\n",
                    i % 28, i, i);
    }
    text_puts(&t, "{\"segments\":[{\"role\":\"user\",\"learn\":false,\"text\":\"Why?\"},{\"role\":"
                  "\"assistant\",\"learn\":true,\"text\":\"So.\"}]}\n");
    text_puts(&t, "{\"segments\":[{\"role\":\"raw\",\"learn\":true,\"text\":\"");
    for (int i = 0; i < 250; i++)
        text_puts(&t, "x");
    text_puts(&t, "\"}]}\n");
    CHECK_OK(file_write(f.path, t.p, t.n, &f.err), f.err);
    text_finish(&t);
    return f;
}

static void finish(fixture *f)
{
    CHECK_OK(dir_remove(f->dir, &f->err), f->err);
    chat_template_close(f->c);
    tokenizer_close(f->t);
    free(f->dir);
    free(f->path);
    free(f->rows);
}

static hone_status on_long(void *ctx, const sample *s, int64_t line, int32_t n, hone_error *err)
{
    fixture *f = ctx;
    (void)s;
    (void)err;
    f->n_long++;
    CHECK(line == 32 || line == 31);
    CHECK(n > f->o.seq_len);
    return HONE_OK;
}

static json_t *pack(fixture *f)
{
    json_t *report = NULL;
    f->n_long = 0;
    CHECK_OK(dataset_pack(&f->o, f->t, f->c, on_long, f, &report, &f->err), f->err);
    return report;
}

/* Rows, report and hash as the samples give them. */
static void check_same(fixture *f, const dataset *want)
{
    dataset d = { 0 };
    CHECK_OK(dataset_load(&d, &f->o, f->t, f->c, &f->err), f->err);
    CHECK_STR(d.hash, want->hash);
    CHECK_INT(d.n, want->n);
    CHECK_INT(d.max_id, want->max_id);
    for (size_t i = 0; i < d.n && i < want->n; i++) {
        const row *a = &d.rows[i], *b = &want->rows[i];
        CHECK_INT(a->n_learned, b->n_learned);
        CHECK_INT(a->paired, b->paired);
        CHECK_INT(a->line, b->line);
        CHECK((!a->id && !b->id) || (a->id && b->id && strcmp(a->id, b->id) == 0));
        CHECK((!a->file && !b->file) || (a->file && b->file && strcmp(a->file, b->file) == 0));
    }
    text x = { 0 }, y = { 0 };
    dataset_report_print(&d.report, &x);
    dataset_report_print(&want->report, &y);
    CHECK_STR(x.p, y.p);
    text_finish(&x);
    text_finish(&y);
    dataset_finish(&d);
}

static void test_packed__rows_are_those_of_the_samples(void)
{
    fixture f = make();
    dataset want = { 0 };
    CHECK_OK(dataset_load(&want, &f.o, f.t, f.c, &f.err), f.err);
    json_t *report = pack(&f);
    CHECK(path_exists(f.rows));
    CHECK_INT(f.n_long, 2);
    CHECK_INT(json_integer_value(json_object_get(report, "tokens")), want.report.tokens);
    CHECK_INT(json_integer_value(json_array_get(json_object_get(report, "lengths"), 0)), 28);
    CHECK_INT(json_integer_value(json_array_get(json_object_get(report, "lengths"), 4)), 2);
    json_decref(report);
    check_same(&f, &want);
    report = pack(&f); /* known: nobody is told again */
    CHECK_INT(f.n_long, 0);
    CHECK_INT(json_integer_value(json_object_get(report, "overlong_split")), 2);
    json_decref(report);
    dataset_finish(&want);
    finish(&f);
}

static void test_packed__another_key_is_another_dataset(void)
{
    fixture f = make();
    dataset want = { 0 }, d = { 0 };
    json_decref(pack(&f));
    f.o.seq_len = 101;
    CHECK_OK(dataset_load(&d, &f.o, f.t, f.c, &f.err), f.err);
    CHECK_INT(d.report.longest, 101);
    dataset_finish(&d);
    f.o.seq_len = 100;
    f.o.raw_eos = false;
    CHECK_OK(dataset_load(&d, &f.o, f.t, f.c, &f.err), f.err);
    CHECK_OK(dataset_load(&want, &f.o, f.t, f.c, &f.err), f.err);
    CHECK(d.rows[0].ids[d.rows[0].n - 1] != 257);
    dataset_finish(&d);
    f.o.raw_eos = true;
    const char *other = "{\"segments\":[{\"role\":\"raw\",\"learn\":true,\"text\":\"other\"}]}\n";
    CHECK_OK(file_write(f.path, other, strlen(other), &f.err), f.err);
    CHECK_OK(dataset_load(&d, &f.o, f.t, f.c, &f.err), f.err);
    CHECK_INT(d.n, 1);
    dataset_finish(&d);
    dataset_finish(&want);
    finish(&f);
}

static void test_packed__damage_is_noticed(void)
{
    fixture f = make();
    dataset want = { 0 };
    char *bytes = NULL;
    size_t n = 0;
    CHECK_OK(dataset_load(&want, &f.o, f.t, f.c, &f.err), f.err);
    json_decref(pack(&f));
    CHECK_OK(file_read(&bytes, &n, f.rows, 1 << 24, &f.err), f.err);
    log_set_level(HONE_LOG_ERROR);
    /* Ids and labels are covered by the hash; flip one in each third, and cut. */
    for (size_t cut = 0; cut < n; cut += 97) {
        CHECK_OK(file_write(f.rows, bytes, cut, &f.err), f.err);
        check_same(&f, &want);
    }
    for (size_t at = n / 3; at < 2 * n / 3; at += 211) {
        dataset d = { 0 };
        bytes[at] ^= 0x10;
        CHECK_OK(file_write(f.rows, bytes, n, &f.err), f.err);
        CHECK_OK(dataset_load(&d, &f.o, f.t, f.c, &f.err), f.err);
        CHECK_STR(d.hash, want.hash);
        dataset_finish(&d);
        bytes[at] ^= 0x10;
    }
    log_set_level(HONE_LOG_INFO);
    free(bytes);
    dataset_finish(&want);
    finish(&f);
}

static void test_packed__what_stops_training_is_not_packed(void)
{
    fixture f = make();
    json_decref(pack(&f));
    f.o.over_long = OVERLONG_STOP;
    json_t *report = pack(&f);
    CHECK_INT(f.n_long, 2);
    CHECK_INT(json_integer_value(json_object_get(report, "stopped")), 2);
    CHECK(!path_exists(f.rows));
    json_decref(report);
    finish(&f);
}

int main(void)
{
    RUN(test_packed__rows_are_those_of_the_samples);
    RUN(test_packed__another_key_is_another_dataset);
    RUN(test_packed__damage_is_noticed);
    RUN(test_packed__what_stops_training_is_not_packed);
    return TEST_EXIT();
}
