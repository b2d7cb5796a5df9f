/*
 * test_dataset_load.c - rows of ids and labels, what is left out and how it is named, and
 * every proof that stops a run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tiny_model.h"

static const char *const no_specials[] = { NULL };

typedef struct fixture {
    tokenizer *t;
    chat_template *c;
    dataset d;
    hone_error err;
    dataset_options o;
} fixture;

static fixture make(const char *template_name)
{
    fixture f = {
        .o = { .seq_len = 64, .over_long = OVERLONG_DEFAULT, .raw_bos = true, .raw_eos = true }
    };
    f.t = tiny_tokenizer(true, no_specials, TINY_CONFIG);
    if (template_name)
        CHECK_OK(chat_template_open(&f.c, template_name, "/nowhere", f.t, &f.err), f.err);
    return f;
}

static void finish(fixture *f)
{
    chat_template_close(f->c);
    tokenizer_close(f->t);
    dataset_finish(&f->d);
}

static hone_status load(fixture *f, const char *rows)
{
    dataset_finish(&f->d);
    f->err = (hone_error){ 0 };
    return dataset_load_bytes(&f->d, &f->o, rows, strlen(rows), "f", f->t, f->c, &f->err);
}

/* A row as text: specials as B, E, P; unlearned tokens lowered into [ ]. */
static char *show(const row *r)
{
    static char out[1024];
    size_t n = 0;
    bool masked = false;
    for (int32_t i = 0; i < r->n && n < sizeof out - 4; i++) {
        CHECK(r->labels[i] == r->ids[i] || r->labels[i] == LABEL_MASKED);
        if ((r->labels[i] == LABEL_MASKED) != masked) {
            masked = !masked;
            out[n++] = masked ? '[' : ']';
        }
        out[n++] = r->ids[i] < 256 ? (char)r->ids[i] : "BEP"[r->ids[i] - 256];
    }
    if (masked)
        out[n++] = ']';
    out[n] = '\0';
    return out;
}

static void test_dataset_load__masks_the_prompt_of_pairs(void)
{
    fixture f = make("alpaca");
    f.o.seq_len = 300;
    CHECK_OK(load(&f, "{\"prompt\": \"Why?\", \"completion\": \"So.\", \"system\": \"S\"}\n"),
             f.err);
    CHECK_INT(f.d.n, 1);
    CHECK_STR(show(&f.d.rows[0]), "[BS\n\n### Instruction:\nWhy?\n\n### Response:\n]So.E[\n\n]");
    CHECK_INT(f.d.rows[0].paired, 1);
    CHECK_INT(f.d.rows[0].n_learned, 4);
    CHECK_INT(f.d.rows[0].line, 1);
    CHECK_INT(f.d.max_id, 257);
    CHECK_INT(f.d.report.role_learned[ROLE_ASSISTANT], 4);
    CHECK_INT(f.d.report.role_tokens[ROLE_SYSTEM],
              4); /* BOS stands in front of the system's turn */
    finish(&f);
}

static void test_dataset_load__learns_only_unmasked_turns(void)
{
    fixture f = make("plain");
    CHECK_OK(
        load(&f,
             "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
             "\"content\": \"bb\", \"weight\": 0}, {\"role\": \"user\", \"content\": \"c\"}, "
             "{\"role\": "
             "\"assistant\", \"content\": \"dd\"}]}\n"),
        f.err);
    CHECK_STR(show(&f.d.rows[0]), "[Ba\n\nbbEc\n\n]ddE");
    f.o.learn_prompt = true;
    CHECK_OK(load(&f, "{\"prompt\": \"a\", \"completion\": \"b\"}"), f.err);
    CHECK_STR(show(&f.d.rows[0]), "Ba\n\nbE");
    finish(&f);
}

static void test_dataset_load__learns_raw_text_throughout(void)
{
    fixture f = make(NULL);
    CHECK_OK(load(&f, "{\"text\": \"abc\"}\n{\"text\": \"<s>d</s>\"}\n"), f.err);
    CHECK_STR(show(&f.d.rows[0]), "BabcE");
    CHECK_INT(f.d.rows[0].n_learned, 4);
    CHECK_INT(f.d.rows[0].paired, 0);
    CHECK_STR(show(&f.d.rows[1]), "BdE"); /* brings its own: never two */
    CHECK_INT(f.d.report.special_in_text, 0);
    f.o.raw_bos = f.o.raw_eos = false;
    CHECK_OK(load(&f, "{\"text\": \"abc\"}\n"), f.err);
    CHECK_STR(show(&f.d.rows[0]), "abc");
    f.o.raw_eos = true;
    CHECK_OK(load(&f, "{\"segments\": [{\"role\": \"raw\", \"text\": \"ab\", \"learn\": false}, "
                      "{\"role\": \"raw\", "
                      "\"text\": \"cd\"}]}\n{\"segments\": [{\"role\": \"raw\", \"text\": \"ab\"}, "
                      "{\"role\": "
                      "\"raw\", \"text\": \"cd\", \"learn\": false}]}"),
             f.err);
    CHECK_STR(show(&f.d.rows[0]), "[ab]cdE");
    CHECK_STR(show(&f.d.rows[1]), "ab[cdE]");
    finish(&f);
}

static void test_dataset_load__adds_bos_only_where_the_tokenizer_does(void)
{
    fixture f = make(NULL);
    tokenizer_close(f.t);
    f.t = tiny_tokenizer(false, no_specials, TINY_CONFIG);
    CHECK_OK(load(&f, "{\"text\": \"abc\"}\n"), f.err);
    CHECK_STR(show(&f.d.rows[0]), "abcE");
    finish(&f);
}

static void test_dataset_load__takes_token_rows_as_they_are(void)
{
    fixture f = make(NULL);
    CHECK_OK(load(&f, "{\"input_ids\": [97, 98, 99]}\n{\"input_ids\": [97, 98, 900], \"labels\": "
                      "[-100, 98, 900]}"),
             f.err);
    CHECK_INT(f.d.rows[0].n_learned, 2);
    CHECK_INT(f.d.rows[0].paired, 0);
    CHECK_INT(f.d.rows[1].paired, 1);
    CHECK_INT(f.d.rows[1].labels[0], LABEL_MASKED);
    CHECK_INT(f.d.max_id, 900); /* beyond the tokenizer: the model's side judges */
    finish(&f);
}

static void test_dataset_load__resolves_long_rows_as_told(void)
{
    fixture f = make("plain");
    f.o.seq_len = 8;
    CHECK_OK(load(&f, "{\"text\": \"0123456789abcdefghi\"}"), f.err); /* BOS + 19 + EOS = 21 */
    CHECK_INT(f.d.n, 3);
    CHECK_STR(show(&f.d.rows[0]), "B0123456");
    CHECK_STR(show(&f.d.rows[1]), "789abcde");
    CHECK_STR(show(&f.d.rows[2]), "fghiE");
    CHECK_STR(f.d.rows[0].id, f.d.rows[2].id);
    CHECK_INT(f.d.report.overlong_split, 1);
    CHECK_INT(f.d.report.rows, 3);
    CHECK_STR(f.d.report.named.p, "f:1: 21 tokens are more than seq_len (8): split into 3 rows\n");
    CHECK_INT(
        load(&f, "{\"text\": \"a\"}\n{\"text\": \"bb\"}\n{\"prompt\": \"\", \"completion\": \"\"}"),
        HONE_ERR_FORMAT);
    CHECK_INT(load(&f, "{\"prompt\": \"q\", \"completion\": \"a\"}\n{\"prompt\": \"abc\", "
                       "\"completion\": \"0123\"}"),
              HONE_ERR_LIMIT);
    CHECK_STR(
        f.err.message,
        "f:2: the row has 11 tokens, seq_len is 8; set seq_len to 11 or more, or over_long to "
        "split (pieces are rows of their own) or skip");
    f.o.over_long = OVERLONG_SKIP;
    CHECK_OK(load(&f, "{\"prompt\": \"q\", \"completion\": \"a\"}\n{\"prompt\": \"abc\", "
                      "\"completion\": \"0123\"}"),
             f.err);
    CHECK_INT(f.d.n, 1);
    CHECK_INT(f.d.report.overlong_skipped, 1);
    CHECK_STR(f.d.report.named.p, "f:2: 11 tokens are more than seq_len (8): left out\n");
    f.o.over_long = OVERLONG_SPLIT;
    CHECK_OK(load(&f, "{\"prompt\": \"abc\", \"completion\": \"012345\"}"), f.err);
    CHECK_INT(f.d.n, 2);
    CHECK_STR(show(&f.d.rows[0]), "[Babc\n\n]01");
    CHECK_STR(show(&f.d.rows[1]), "2345E");
    CHECK_OK(load(&f, "{\"prompt\": \"0123456789\", \"completion\": \"ab\"}"), f.err);
    CHECK_INT(f.d.n, 1); /* a piece of prompt alone teaches nothing */
    CHECK_STR(show(&f.d.rows[0]), "[789\n\n]abE");
    CHECK_INT(f.d.report.masked, 1);
    f.o.over_long = OVERLONG_STOP;
    CHECK_INT(load(&f, "{\"text\": \"0123456789abcdefghi\"}"), HONE_ERR_LIMIT);
    finish(&f);
}

static void test_dataset_load__counts_and_names_what_is_left_out(void)
{
    fixture f = make("plain");
    CHECK_OK(load(&f, "{\"prompt\": \"a\", \"completion\": \"b\", \"tag\": 1}\n"
                      "{\"prompt\": \"a\", \"completion\": \"\"}\n"
                      "{\"prompt\": \"a\", \"completion\": \" \\n\"}\n"
                      "{\"prompt\": \"a\", \"completion\": \"b\"}\n"
                      "{\"prompt\": \"a </s> b\", \"completion\": \"c\xff\"}\n"),
             f.err);
    CHECK_INT(f.d.n, 2);
    CHECK_INT(f.d.report.samples, 5);
    CHECK_INT(f.d.report.empty, 2);
    CHECK_INT(f.d.report.duplicate, 1);
    CHECK_INT(f.d.report.special_in_text, 1);
    CHECK_INT(f.d.report.bad_bytes, 1);
    CHECK_STR(f.d.report.named.p,
              "f:2: there is no text to learn: left out\n"
              "f:3: there is no text to learn: left out\n"
              "f:4: the same as line 1: left out\n"
              "f:5: 1 bytes are no UTF-8: taken as U+FFFD\n"
              "f:5: its words spell the special token \"</s>\", which takes effect\n"
              "f: the key \"tag\" of 1 rows is not read\n");
    f.o.keep_duplicates = true;
    CHECK_OK(load(&f, "{\"text\": \"a\"}\n{\"text\": \"a\"}"), f.err);
    CHECK_INT(f.d.n, 2);
    CHECK_INT(f.d.report.duplicate, 1);
    CHECK_STR(f.d.report.named.p, "f:2: the same as line 1: kept\n");
    finish(&f);
}

static void test_dataset_load__names_characters_that_the_vocabulary_lacks(void)
{
    static const char json[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},"
                               "\"merges\":[]}}";
    static const char rows[] = "{\"text\": \"ab\"}\n{\"text\": \"aXb\\u6cf5a\"}";
    const dataset_options o = { .seq_len = 8 };
    dataset d = { 0 };
    tokenizer *t = NULL;
    hone_error err = { 0 };
    text said = { 0 };
    json_t *report;
    CHECK_OK(tokenizer_from_json(&t, json, sizeof json - 1, &err), err);
    CHECK_OK(dataset_load_bytes(&d, &o, rows, sizeof rows - 1, "f", t, NULL, &err), err);
    CHECK_INT(d.n, 2);
    CHECK_INT(d.report.dropped, 2);
    CHECK_STR(d.report.named.p, "f:2: 2 characters that the vocabulary lacks are left out, first "
                                "U+0058 \"X\"\n");
    dataset_report_print(&d.report, &said);
    CHECK_HAS(said.p, "  2 characters that the vocabulary lacks, left out\n");
    report = dataset_report_json(&d.report);
    CHECK_INT(json_integer_value(json_object_get(report, "dropped")), 2);
    CHECK(json_is_integer(json_object_get(report, "unknown")));
    json_decref(report);
    text_finish(&said);
    dataset_finish(&d);
    tokenizer_close(t);
}

static void test_dataset_load__names_twenty_and_counts_the_rest(void)
{
    fixture f = make(NULL);
    text rows = { 0 };
    text_puts(&rows, "{\"text\": \"a\"}\n");
    for (int i = 0; i < 50; i++)
        text_puts(&rows, "{\"text\": \"\"}\n");
    CHECK_OK(load(&f, rows.p), f.err);
    CHECK_INT(f.d.report.empty, 50);
    CHECK_HAS(f.d.report.named.p, "f:21: there is no text");
    CHECK(!strstr(f.d.report.named.p, "f:22:"));
    CHECK_HAS(f.d.report.named.p, "... and 30 more\n");
    text_finish(&rows);
    finish(&f);
}

static void test_dataset_load__stops_on_what_would_train_the_wrong_thing(void)
{
    static const struct {
        const char *rows, *want;
    } cases[] = {
        { "", "f: the dataset is empty: it has no rows" },
        { "\n\n", "f: the dataset is empty" },
        { "text\n", "f: the dataset is empty" },
        { "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}",
          "f: every row is masked: no token of 1 samples would be learned" },
        { "{\"input_ids\": [97, 98], \"labels\": [-100, -100]}", "f: every row is masked" },
        { "{\"input_ids\": [97, 98], \"labels\": [97, -100]}",
          "f: every row is masked" }, /* the first is never predicted */
        { "{\"input_ids\": [97]}", "f: one token is too short" },
        { "{\"input_ids\": [97]}\n{\"input_ids\": [97, 98], \"labels\": [-100, -100]}",
          "f: every row is masked: no token of 2 samples" },
        { "{\"text\": \"\"}", "f: no row is left of 1 samples: 1 empty" },
        { "{\"text\": \"<s><s>a\"}", "f:1: the row starts with two BOS tokens (id 256)" },
        { "{\"prompt\": \"<s>a\", \"completion\": \"b\"}",
          "f:1: the row starts with two BOS tokens (id 256)" },
        { "{\"input_ids\": [256, 256, 97]}", "f:1: the row starts with two BOS tokens (id 256)" },
        { "{\"input_ids\": [97, 98, 257], \"labels\": [-100, 98, -100]}",
          "f: no EOS (id 257) is learned, and 1 that follow learned tokens are masked: a pad token "
          "equal to EOS" },
        { "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\nx", "f:2:" },
    };
    fixture f = make("plain");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(load(&f, cases[i].rows) != HONE_OK);
        CHECK_HAS(f.err.message, cases[i].want);
        CHECK_INT(f.d.n, 0);
    }
    /* one EOS that is learned is enough */
    CHECK_OK(load(&f, "{\"input_ids\": [97, 98, 257], \"labels\": [-100, 98, -100]}\n"
                      "{\"input_ids\": [97, 99, 257], \"labels\": [-100, 99, 257]}"),
             f.err);
    f.o.seq_len = 1;
    CHECK_INT(load(&f, "{\"text\": \"a\"}"), HONE_ERR_ARG);
    CHECK_HAS(f.err.message, "seq_len is 1, expected 2 to");
    finish(&f);
    f = make(NULL);
    CHECK_INT(load(&f, "{\"prompt\": \"a\", \"completion\": \"b\"}"), HONE_ERR_ARG);
    CHECK_HAS(f.err.message, "f:1: the row has roles and needs a chat template");
    CHECK_OK(chat_template_open(&f.c, "auto", "/nowhere", f.t, &f.err), f.err);
    CHECK_OK(load(&f, "{\"text\": \"a\"}"), f.err);
    CHECK_INT(load(&f, "{\"prompt\": \"a\", \"completion\": \"b\"}"), HONE_ERR_NOTFOUND);
    CHECK_HAS(f.err.message, "f:1: /nowhere: the model's files bring no chat template");
    finish(&f);
}

static void test_dataset_load__keeps_order_at_any_number_of_threads(void)
{
    fixture f = make(NULL);
    text rows = { 0 };
    char hash[65];
    for (int i = 0; i < 3000; i++)
        text_printf(&rows, "{\"text\": \"%d %.*s\"}\n", i, i % 37,
                    "abcdefghijklmnopqrstuvwxyzabcdefghijk");
    CHECK_OK(load(&f, rows.p), f.err);
    CHECK_INT(f.d.n, 3000);
    for (size_t i = 0; i < f.d.n; i++)
        CHECK_INT(f.d.rows[i].line, i + 1);
    (void)snprintf(hash, sizeof hash, "%s", f.d.hash);
    CHECK_OK(load(&f, rows.p), f.err);
    CHECK_STR(f.d.hash, hash);
    text_finish(&rows);
    finish(&f);
}

static void test_dataset_load__reports(void)
{
    fixture f = make("plain");
    text t = { 0 };
    CHECK_OK(load(&f, "{\"prompt\": \"abc\", \"completion\": \"de\"}\n{\"prompt\": \"abc\", "
                      "\"completion\": \"de\"}\n"),
             f.err);
    dataset_report_print(&f.d.report, &t);
    CHECK_STR(t.p, "1 rows of 2 samples, the longest has 9 tokens\n"
                   "                     tokens        learned\n"
                   "  user                    6              0\n"
                   "  assistant               3              3\n"
                   "  all                     9              3\n"
                   "  1 samples that were there before\n"
                   "  - f:2: the same as line 1: left out\n");
    json_t *o = dataset_report_json(&f.d.report);
    CHECK_INT(json_integer_value(json_object_get(o, "duplicate")), 1);
    CHECK_INT(json_integer_value(json_object_get(
                  json_object_get(json_object_get(o, "roles"), "assistant"), "learned")),
              3);
    CHECK_STR(json_string_value(json_array_get(json_object_get(o, "named"), 0)),
              "f:2: the same as line 1: left out");
    json_decref(o);
    text_finish(&t);
    finish(&f);
}

/* ------------------------------------------------------------------------ splitting */

static void check_split(fixture *f, double share, size_t least, size_t most, bool by_file)
{
    dataset val = { 0 };
    const size_t n = f->d.n;
    CHECK_OK(dataset_split(&f->d, &val, share, 7, &f->err), f->err);
    CHECK_INT(f->d.n + val.n, n);
    CHECK(val.n >= least && val.n <= most);
    for (size_t i = 1; i < val.n; i++)
        CHECK(val.rows[i].line >= val.rows[i - 1].line);
    for (size_t i = 1; i < f->d.n; i++)
        CHECK(f->d.rows[i].line >= f->d.rows[i - 1].line);
    for (size_t i = 0; i < val.n; i++)
        for (size_t k = 0; k < f->d.n; k++) {
            CHECK(strcmp(val.rows[i].id, f->d.rows[k].id) != 0);
            CHECK(!by_file || strcmp(val.rows[i].file, f->d.rows[k].file) != 0);
        }
    CHECK(strcmp(val.hash, f->d.hash) != 0);
    CHECK_INT(val.report.rows, val.n);
    CHECK_INT(f->d.report.rows, f->d.n);
    dataset_finish(&val);
}

static void test_dataset_split__sets_whole_documents_aside(void)
{
    fixture f = make(NULL);
    text rows = { 0 };
    for (int i = 0; i < 200; i++)
        text_printf(&rows,
                    "{\"segments\": [{\"role\": \"raw\", \"text\": \"row %d\"}], \"source\": "
                    "{\"file\": \"f%d\"}}\n",
                    i, i / 10);
    CHECK_OK(load(&f, rows.p), f.err);
    check_split(&f, 0.1, 20, 20, true);
    text_clear(&rows);
    for (int i = 0; i < 20; i++) /* two documents: half of them is too much */
        text_printf(&rows,
                    "{\"segments\": [{\"role\": \"raw\", \"text\": \"row %d\"}], \"source\": "
                    "{\"file\": \"f%d\"}}\n",
                    i, i / 10);
    CHECK_OK(load(&f, rows.p), f.err);
    check_split(&f, 0.1, 2, 2, false);
    f.o.seq_len = 8;
    text_clear(&rows);
    for (int i = 0; i < 10; i++) /* three pieces each stay together */
        text_printf(&rows, "{\"text\": \"row number %d of ten\"}\n", i);
    CHECK_OK(load(&f, rows.p), f.err);
    CHECK_INT(f.d.n, 30);
    check_split(&f, 0.1, 3, 3, false);
    text_finish(&rows);
    finish(&f);
}

static void test_dataset_split__edges(void)
{
    fixture f = make(NULL);
    dataset val = { 0 };
    CHECK_OK(load(&f, "{\"text\": \"a\"}\n{\"text\": \"b\"}"), f.err);
    CHECK_OK(dataset_split(&f.d, &val, 0.0, 1, &f.err), f.err);
    CHECK_INT(val.n, 0);
    CHECK_INT(f.d.n, 2);
    dataset_finish(&val);
    CHECK_OK(dataset_split(&f.d, &val, 0.01, 1, &f.err), f.err);
    CHECK_INT(val.n, 1);
    CHECK_INT(f.d.n, 1);
    dataset_finish(&val);
    CHECK_OK(dataset_split(&f.d, &val, 0.5, 1, &f.err), f.err); /* never the last one */
    CHECK_INT(val.n, 0);
    CHECK_INT(f.d.n, 1);
    dataset_finish(&val);
    CHECK_INT(dataset_split(&f.d, &val, 1.0, 1, &f.err), HONE_ERR_ARG);
    CHECK_HAS(f.err.message, "the validation share is 1, expected 0 to less than 1");
    finish(&f);
}

/* Special tokens among raw text are tokens, masked where they are not learned; what only looks like
 * one is counted; what is none of the model's stops the run. */
static void test_dataset_load__fills_in_the_middle(void)
{
    static const char *const families[][6] = {
        { "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|endoftext|>", "<|file_sep|>",
          NULL },
        { "\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>", "\u2581<EOT>", NULL },
        { "<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>",
          "<\uff5cfim\u2581end\uff5c>", NULL },
        { "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<|endoftext|>", "<filename>", NULL },
        { "<fim_prefix>", "<fim_suffix>", NULL },
    };
    for (size_t k = 0; k < sizeof families / sizeof *families; k++) {
        fixture f = {
            .o = { .seq_len = 64, .raw_bos = true, .raw_eos = true, .over_long = OVERLONG_DEFAULT }
        };
        text rows = { 0 };
        f.t = tiny_tokenizer(true, families[k], TINY_CONFIG);
        const char *prefix = tokenizer_special_for(f.t, HONE_TOKEN_FIM_PREFIX);
        const char *suffix = tokenizer_special_for(f.t, HONE_TOKEN_FIM_SUFFIX);
        const char *middle = tokenizer_special_for(f.t, HONE_TOKEN_FIM_MIDDLE);
        const char *end = tokenizer_special_for(f.t, HONE_TOKEN_FIM_END);
        const char *file = tokenizer_special_for(f.t, HONE_TOKEN_FILE);
        CHECK(tokenizer_special_for(f.t, 0) == NULL && tokenizer_special_for(f.t, 99) == NULL);
        if (k == 4) { /* two of three */
            CHECK(!prefix && !suffix && !middle && !end && !file);
            finish(&f);
            continue;
        }
        CHECK_STR(prefix, families[k][0]);
        CHECK_STR(suffix, families[k][1]);
        CHECK_STR(middle, families[k][2]);
        CHECK_STR(end, k == 2 ? "</s>" : families[k][3]);
        CHECK((file != NULL) == (k == 0 || k == 3));
        text_printf(&rows,
                    "{\"segments\":[{\"role\":\"special\",\"text\":\"%s\",\"learn\":false},"
                    "{\"role\":\"raw\",\"text\":\"ab\",\"learn\":false},"
                    "{\"role\":\"special\",\"text\":\"%s\",\"learn\":false},"
                    "{\"role\":\"raw\",\"text\":\"ef\",\"learn\":false},"
                    "{\"role\":\"special\",\"text\":\"%s\",\"learn\":false},"
                    "{\"role\":\"raw\",\"text\":\"cd\",\"learn\":true},"
                    "{\"role\":\"special\",\"text\":\"%s\",\"learn\":true}]}\n",
                    prefix, suffix, middle, end);
        CHECK_OK(load(&f, rows.p), f.err);
        CHECK_INT(f.d.n, 1);
        if (f.d.n == 1) {
            const row *r = &f.d.rows[0];
            const int32_t last = k == 2 ? TINY_EOS : 262;
            const int32_t ids[] = { TINY_BOS, 259, 'a', 'b', 260, 'e', 'f', 261, 'c', 'd', last };
            CHECK_INT(r->n, 11);
            for (int32_t i = 0; i < r->n && i < 11; i++) {
                CHECK_INT(r->ids[i], ids[i]);
                if (i > 0)
                    CHECK_INT(r->labels[i], i >= 8 ? r->ids[i] : LABEL_MASKED);
            }
            CHECK_INT(r->n_learned, 3);
        }
        CHECK_INT(f.d.report.special_in_text, 0);
        text_finish(&rows);
        CHECK(load(&f, "{\"segments\":[{\"role\":\"special\",\"text\":\"<none>\"},"
                       "{\"role\":\"raw\",\"text\":\"a\"}]}\n") != HONE_OK);
        CHECK_HAS(f.err.message, "\"<none>\" is no special token of this model");
        CHECK(load(&f, "{\"segments\":[{\"role\":\"special\",\"text\":\"a\"},"
                       "{\"role\":\"user\",\"text\":\"a\"}]}\n") != HONE_OK);
        finish(&f);
    }
}

int main(void)
{
    RUN(test_dataset_load__masks_the_prompt_of_pairs);
    RUN(test_dataset_load__learns_only_unmasked_turns);
    RUN(test_dataset_load__learns_raw_text_throughout);
    RUN(test_dataset_load__adds_bos_only_where_the_tokenizer_does);
    RUN(test_dataset_load__takes_token_rows_as_they_are);
    RUN(test_dataset_load__resolves_long_rows_as_told);
    RUN(test_dataset_load__counts_and_names_what_is_left_out);
    RUN(test_dataset_load__names_characters_that_the_vocabulary_lacks);
    RUN(test_dataset_load__names_twenty_and_counts_the_rest);
    RUN(test_dataset_load__stops_on_what_would_train_the_wrong_thing);
    RUN(test_dataset_load__keeps_order_at_any_number_of_threads);
    RUN(test_dataset_load__reports);
    RUN(test_dataset_split__sets_whole_documents_aside);
    RUN(test_dataset_split__edges);
    RUN(test_dataset_load__fills_in_the_middle);
    return TEST_EXIT();
}
