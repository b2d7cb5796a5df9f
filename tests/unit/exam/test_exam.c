/*
 * test_exam.c - a tiny model learns four answers from random weights, and is asked before
 * and after: recall becomes perfect, the losses are those of the rows, reports say so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/train/fixture.h"

#include "core/exam/exam.h"

#define SEQ_LEN 128
#define BATCH 2

static const char pairs[] =
    "{\"prompt\": \"What is the lamp's colour?\", \"completion\": \"The lamp is green.\"}\n"
    "{\"prompt\": \"Who keeps the key?\", \"completion\": \"Old Martha keeps it.\"}\n"
    "{\"prompt\": \"When does the gate open?\", \"completion\": \"At seven in the morning.\"}\n"
    "{\"prompt\": \"How long is the bridge?\", \"completion\": \"Ninety metres.\"}\n";

static const char questions[] = "{\"question\": \"Who keeps the key?\", \"answer\": \"Old Martha "
                                "keeps it.\", \"kind\": \"recall\"}\n"
                                "{\"question\": \"How long is the bridge?\", \"answer\": \"Ninety "
                                "metres.\", \"kind\": \"recall\"}\n"
                                "{\"question\": \"Tell me the colour of the lamp.\", \"answer\": "
                                "\"Green\", \"kind\": \"reworded\"}\n";

static const char config[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"vocab_size\": 1817, "
    "\"hidden_size\": 64, \"intermediate_size\": 128, \"num_hidden_layers\": 2, "
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"max_position_embeddings\": 256, "
    "\"rms_norm_eps\": 1e-5, \"rope_theta\": 10000.0, \"hidden_act\": \"silu\", "
    "\"tie_word_embeddings\": true, \"torch_dtype\": \"float32\"}";

/* All that stays open over the tests. */
static struct {
    char *dir, *model, *general, *rows;
    tokenizer *t;
    chat_template *c;
    exam x;
    exam_result before, after;
} s;

static char *put(const char *name, const char *bytes)
{
    hone_error err = { 0 };
    char *path = path_join(s.dir, name);
    CHECK_OK(file_write(path, bytes, strlen(bytes), &err), err);
    return path;
}

static void open_all(void)
{
    hone_error err = { 0 };
    const char *root = getenv("HONE_SOURCE_DIR");
    text path = { 0 };
    s.dir = scratch("exam");
    CHECK_OK(dir_make(s.dir, &err), err);
    free(put("config.json", config));
    s.general = put("general.txt", "Rivers run to the sea. Winter follows autumn. Birds fly "
                                   "south, and bread is made of flour and water.");
    s.rows = put("train.jsonl", pairs);
    text_printf(&path, "%s/tests/golden/tokenizers/smollm", root ? root : ".");
    CHECK_OK(tokenizer_open(&s.t, path.p, &err), err);
    CHECK_OK(chat_template_open(&s.c, "auto", path.p, s.t, &err), err);
    CHECK_OK(exam_load_bytes(&s.x, questions, strlen(questions), "exam.jsonl", &err), err);
    CHECK(tokenizer_size(s.t) <= 1817);
    text_finish(&path);
}

static hone_status run_exam(exam_result *out, model *m, const exam *x, hone_error *err)
{
    const char *general[] = { s.general };
    const exam_options o = { .max_tokens = 40, .general = { general, 1 } };
    return exam_run(out, x, &o, m, s.t, s.c, NULL, SEQ_LEN, BATCH, NULL, err);
}

static void train_and_ask(void)
{
    char *out = scratch("exam-run");
    hone_error err = { 0 };
    const dataset_options how = { .path = s.rows, .seq_len = SEQ_LEN };
    const model_options mo = { .dir = s.dir,
                               .train = TRAIN_FULL,
                               .fresh = true,
                               .seed = 3,
                               .seq_len = SEQ_LEN,
                               .batch = BATCH,
                               .max_sequences = SEQ_LEN * BATCH,
                               .context = 256 };
    trial t = trial_new(out);
    dataset d = { 0 };
    backend *b = NULL;
    model *m = NULL;
    t.o.method = 1;
    t.o.fresh = true;
    t.o.seq_len = SEQ_LEN;
    t.o.batch = BATCH;
    t.o.accumulate = 1;
    t.o.packing = true;
    t.o.steps = 200;
    t.o.save_every = 1000;
    t.o.weight_decay = 0;
    t.o.lr = 5e-3;
    CHECK_OK(dataset_load(&d, &how, s.t, s.c, &err), err);
    CHECK_INT(d.n, 4);
    CHECK_OK(backend_open(&b, fixture_plugins, fixture_backend, NULL, NULL, &err), err);
    CHECK_OK(model_open(&m, b, &mo, &err), err);
    CHECK_OK(run_exam(&s.before, m, &s.x, &err), err);
    CHECK_OK(train_run(m, &d, NULL, &t.o, "adamw", NULL, fixture_plugins, NULL, NULL, NULL,
                       &t.result, &err),
             err);
    CHECK_OK(run_exam(&s.after, m, &s.x, &err), err);
    dataset_finish(&d);
    model_close(m);
    backend_close(b);
    scratch_done(out);
}

static void test_exam__recall_is_learned(void)
{
    const exam_score *b = s.before.score, *a = s.after.score;
    CHECK_INT(b[EXAM_RECALL].n, 2);
    CHECK_INT(b[EXAM_REWORDED].n, 1);
    CHECK_INT(b[EXAM_ALL].n, 3);
    CHECK_NEAR(b[EXAM_RECALL].exact, 0, 0);
    CHECK_NEAR(b[EXAM_ALL].loss, log(1817), 0.5); /* random weights know nothing */
    CHECK_NEAR(s.before.general_loss, log(1817), 0.5);
    CHECK_NEAR(a[EXAM_RECALL].exact, 1, 0);
    CHECK_NEAR(a[EXAM_RECALL].f1, 1, 0);
    CHECK(a[EXAM_RECALL].loss < 0.1);
    CHECK(a[EXAM_RECALL].loss < a[EXAM_REWORDED].loss);
    CHECK_STR(s.after.answers[0].text, "Old Martha keeps it.");
    CHECK_STR(s.after.answers[0].reason, "stop");
    CHECK_STR(s.before.answers[0].reason, "length");
}

static void test_exam__means_are_those_of_the_answers(void)
{
    const exam_answer *a = s.after.answers;
    const exam_score *score = s.after.score;
    CHECK_NEAR(score[EXAM_RECALL].f1, (a[0].f1 + a[1].f1) / 2, 1e-12);
    CHECK_NEAR(score[EXAM_ALL].f1, (a[0].f1 + a[1].f1 + a[2].f1) / 3, 1e-12);
    CHECK_NEAR(score[EXAM_RECALL].loss,
               (a[0].loss * (double)a[0].tokens + a[1].loss * (double)a[1].tokens) /
                   (double)(a[0].tokens + a[1].tokens),
               1e-9);
    CHECK_INT(score[EXAM_ALL].tokens, a[0].tokens + a[1].tokens + a[2].tokens);
    CHECK(s.after.general_tokens > 10);
}

static void test_exam__marks_hold_against_the_rows(void)
{
    hone_error err = { 0 };
    CHECK_OK(exam_check(&s.x, s.rows, &err), err);
}

static void test_exam__reports(void)
{
    const exam_column both[2] = { { "before", &s.before }, { "after", &s.after } };
    const exam_column backends[3] = { { "cpu/fp32", &s.before },
                                      { "com.example.cpu/cpu:0/nf4", &s.after },
                                      { "cpu/nf4", &s.after } };
    text out = { 0 };
    json_t *root = exam_json(&s.x, both, 2);
    const json_t *item = json_array_get(json_object_get(root, "questions"), 0);
    exam_print(&out, &s.x, both, 2);
    CHECK_HAS(out.p, "before     after");
    CHECK_HAS(out.p, "recall     exact              0.0%    100.0%   2 questions");
    CHECK_HAS(out.p, "general    loss");
    CHECK_HAS(out.p, "           memory, MB ");
    text_clear(&out);
    exam_print(&out, &s.x, &both[1], 1);
    CHECK_HAS(out.p, "after");
    CHECK(!strstr(out.p, "before"));
    text_clear(&out);
    exam_print(&out, &s.x, backends, 3); /* a column is as wide as its name */
    CHECK_HAS(out.p, "  cpu/fp32 com.example.cpu/cpu:0/nf4   cpu/nf4\n");
    CHECK_HAS(out.p, "      0.0%                    100.0%    100.0%   2 questions");
    text_clear(&out);
    exam_print_answers(&out, &s.x, both, 2, 3);
    CHECK_HAS(out.p, "line 1 (recall): Who keeps the key?");
    CHECK_HAS(out.p, "line 3 (reworded): Tell me the colour of the lamp.");
    CHECK_HAS(out.p, "  after     Ninety metres.  [f1 1.00]");
    CHECK(strstr(out.p, "line 3") < strstr(out.p, "line 2")); /* the kinds in turn */
    text_clear(&out);
    exam_print_summary(&out, &s.before, &s.after);
    CHECK_HAS(out.p, "recall f1 0.000 -> 1.000, reworded f1 ");
    CHECK_HAS(out.p, ", general loss ");
    CHECK_STR(json_string_value(json_object_get(json_object_get(item, "after"), "text")),
              "Old Martha keeps it.");
    CHECK_NEAR(json_number_value(json_object_get(
                   json_object_get(json_object_get(root, "after"), "recall"), "f1")),
               1, 0);
    CHECK(s.after.seconds > 0 && s.after.said_tokens > 4 && s.after.model_bytes > 1000);
    CHECK_INT(json_integer_value(json_object_get(
                  json_object_get(json_object_get(root, "after"), "answering"), "tokens")),
              s.after.said_tokens);
    json_decref(root);
    text_finish(&out);
}

static void test_exam__what_does_not_fit_is_named(void)
{
    const model_options mo = { .dir = s.dir,
                               .train = TRAIN_FULL,
                               .fresh = true,
                               .seq_len = SEQ_LEN,
                               .batch = BATCH,
                               .max_sequences = SEQ_LEN * BATCH,
                               .context = 256 };
    hone_error err = { 0 };
    exam_result r = { 0 };
    exam x = { 0 };
    text line = { 0 };
    backend *b = NULL;
    model *m = NULL;
    int i;
    text_puts(&line, "{\"question\": \"ok\", \"answer\": \"ok\", \"kind\": \"recall\"}\n"
                     "{\"question\": \"long\", \"answer\": \"");
    for (i = 0; i < 100; i++)
        text_puts(&line, "word ");
    text_puts(&line, "\", \"kind\": \"recall\"}\n");
    CHECK_OK(exam_load_bytes(&x, line.p, line.n, "long.jsonl", &err), err);
    CHECK_OK(backend_open(&b, fixture_plugins, fixture_backend, NULL, NULL, &err), err);
    CHECK_OK(model_open(&m, b, &mo, &err), err);
    CHECK_INT(run_exam(&r, m, &x, &err), HONE_ERR_LIMIT);
    CHECK_HAS(err.message, "long.jsonl:2: question and answer are ");
    CHECK_HAS(err.message, "seq_len is 128");
    CHECK(r.answers == NULL);
    model_close(m);
    backend_close(b);
    exam_finish(&x);
    text_finish(&line);
}

static void close_all(void)
{
    exam_result_finish(&s.before);
    exam_result_finish(&s.after);
    exam_finish(&s.x);
    chat_template_close(s.c);
    tokenizer_close(s.t);
    free(s.general);
    free(s.rows);
    scratch_done(s.dir);
}

int main(int argc, char **argv)
{
    if (!fixture_open(argc, argv))
        return 77;
    open_all();
    if (!test_failures)
        train_and_ask();
    if (!test_failures) {
        RUN(test_exam__recall_is_learned);
        RUN(test_exam__means_are_those_of_the_answers);
        RUN(test_exam__marks_hold_against_the_rows);
        RUN(test_exam__reports);
        RUN(test_exam__what_does_not_fit_is_named);
    }
    close_all();
    return fixture_exit();
}
