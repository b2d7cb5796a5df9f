/*
 * test_dataset_read.c - every shape a dataset may have, and the words of every refusal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/dataset.h"

#include "test.h"
#include <archive.h>
#include <archive_entry.h>

/* A sample as "line:shape s<system> u<user> a<answer> (masked)", rows joined by "/". */
static hone_status flatten(void *ctx, const sample *s, int64_t line, hone_error *err)
{
    static const char letters[] = "rsua";
    text *t = ctx;
    text_printf(t, "%s%lld:", t->n ? "/" : "", (long long)line);
    for (size_t i = 0; i < s->n_segments; i++) {
        text_printf(t, " %c<", letters[s->segments[i].role]);
        text_add(t, s->segments[i].text, s->segments[i].n);
        text_puts(t, s->segments[i].learn ? ">+" : ">");
    }
    for (size_t i = 0; i < s->n_ids; i++)
        text_printf(t, " %d%s", s->ids[i], s->labels && s->labels[i] == LABEL_MASKED ? "m" : "");
    CHECK(s->id && strlen(s->id) >= 1);
    return text_status(t, err);
}

static char *flat_bytes(const char *p, size_t n)
{
    static char out[4096];
    text t = { 0 };
    hone_error err = { 0 };
    const char *shape = "?";
    if (dataset_read_bytes(p, n, "f", flatten, &t, &shape, &err))
        (void)snprintf(out, sizeof out, "! %s", err.message);
    else
        (void)snprintf(out, sizeof out, "%s %s", shape, t.p ? t.p : "");
    text_finish(&t);
    return out;
}

static char *flat(const char *p)
{
    return flat_bytes(p, strlen(p));
}

#define BOM "\xef\xbb\xbf"

static void test_dataset_read__knows_every_shape(void)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        { "{\"text\": \"one\"}\n\n{\"text\": \"two\"}\n", "text 1: r<one>+/3: r<two>+" },
        { BOM "{\"text\": \"one\"}\r\n{\"text\": \"two\"}\r\n", "text 1: r<one>+/2: r<two>+" },
        { "{\"prompt\": \"p\", \"completion\": \"c\"}", "prompt/completion 1: u<p> a<c>+" },
        { "{\"prompt\": \"p\", \"response\": \"c\", \"system\": \"s\"}",
          "prompt/response 1: s<s> u<p> a<c>+" },
        { "{\"question\": \"q\", \"answer\": \"a\", \"system\": null}",
          "question/answer 1: u<q> a<a>+" },
        { "{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
          "\"content\": "
          "\"b\"}, {\"role\": \"user\", \"content\": \"c\"}], \"completion\": [{\"role\": "
          "\"assistant\", "
          "\"content\": \"d\"}]}",
          "prompt/completion 1: u<a> a<b> u<c> a<d>+" },
        { "{\"instruction\": \"i\", \"input\": \"\", \"output\": \"o\"}", "alpaca 1: u<i> a<o>+" },
        { "{\"instruction\": \"i\", \"input\": \"n\", \"output\": \"o\", \"text\": \"ignored\"}",
          "alpaca 1: u<i\nn> a<o>+" },
        { "{\"instruction\": \"i\", \"output\": \"o\", \"system\": \"s\", \"history\": [[\"q\", "
          "\"a\"]]}",
          "alpaca 1: s<s> u<q> a<a>+ u<i> a<o>+" },
        { "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", "
          "\"content\": \"u\"}, "
          "{\"role\": \"assistant\", \"content\": \"a\"}]}",
          "messages 1: s<s> u<u> a<a>+" },
        { "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": "
          "\"x\"}, {\"type\": "
          "\"text\", \"text\": \"y\"}]}, {\"role\": \"assistant\", \"content\": \"a\", \"weight\": "
          "0}]}",
          "messages 1: u<xy> a<a>" },
        { "{\"conversations\": [{\"from\": \"human\", \"value\": \"h\"}, {\"from\": \"gpt\", "
          "\"value\": \"g\"}], "
          "\"system\": \"s\"}",
          "sharegpt 1: s<s> u<h> a<g>+" },
        { "{\"conversations\": [{\"role\": \"user\", \"content\": \"h\"}, {\"role\": "
          "\"assistant\", \"content\": "
          "\"g\"}]}",
          "sharegpt 1: u<h> a<g>+" },
        { "{\"input_ids\": [5, 6, 7]}\n{\"input_ids\": [5, 6], \"labels\": [-100, 6], "
          "\"attention_mask\": [1, 1]}",
          "tokens 1: 5 6 7/2: 5m 6" },
        { "{\"segments\": [{\"role\": \"raw\", \"text\": \"x\", \"learn\": false}, {\"role\": "
          "\"raw\", \"text\": "
          "\"y\"}], \"source\": {\"file\": \"a\"}}",
          "hone 1: r<x> r<y>+" },
        { "[\n {\"text\": \"a ] \\\" } ,\"},\n\n {\"text\":\n \"b\"}\n]\n",
          "text 2: r<a ] \" } ,>+/4: r<b>+" },
        { "[]", "empty " },
        { "", "empty " },
        { " \r\n\t", "empty " },
        { "text\n\"a\nb\"\nc\n", "text 2: r<a\nb>+/4: r<c>+" },
        { BOM "prompt,completion\r\n\"a,\"\"b\"\"\",c\r\n",
          "prompt/completion 2: u<a,\"b\"> a<c>+" },
        { "instruction;input;output\ni;;o\ni;n;o", "alpaca 2: u<i> a<o>+/3: u<i\nn> a<o>+" },
        { "question\tanswer\nq\ta\n", "question/answer 2: u<q> a<a>+" },
        { "id,output,instruction\n1,o,i\n", "alpaca 2: u<i> a<o>+" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_STR(flat(cases[i].in), cases[i].want);
}

static void test_dataset_read__says_what_is_wrong_and_where(void)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        { "{\"text\": \"a\"}\n{\"prompt\": \"p\", \"completion\": \"c\"}",
          "! f:2: the row's keys are \"prompt\", \"completion\", expected are \"text\", the shape "
          "text of line 1" },
        { "\n{\"foo\": 1, \"bar\": 2}",
          "! f:2: the row's keys are \"foo\", \"bar\", expected are those of one "
          "shape: segments; input_ids; messages; conversations; instruction + "
          "output; prompt + completion; prompt + response; question + answer; text" },
        { "{}", "! f:1: the row's keys are none" },
        { "{\"text\": \"a\"}\n17\n", "! f:2: the row is no JSON object" },
        { "{\"text\": \"a\"}\n{\"text\": \"b\"", "! f:2:" },
        { "{\"text\": \"a\"} {\"text\": \"b\"}", "! f:1:" },
        { "{\"text\": 3}", "! f:1: \"text\" is an integer, a string was expected" },
        { "{\"text\": null}", "! f:1: \"text\" is null, a string was expected" },
        { "{\"prompt\": \"p\", \"completion\": []}",
          "! f:1: \"completion\" is a list, a string was expected" },
        { "{\"messages\": []}", "! f:1: \"messages\" is empty, a list of turns was expected" },
        { "{\"messages\": \"x\"}",
          "! f:1: \"messages\" is a string, a list of turns was expected" },
        { "{\"messages\": [3]}", "! f:1: turn 1 is an integer, an object was expected" },
        { "{\"messages\": [{\"content\": \"x\"}]}", "! f:1: turn 1 has no \"role\"" },
        { "{\"messages\": [{\"role\": \"tool\", \"content\": \"x\"}]}",
          "! f:1: turn 1: the role \"tool\" cannot be trained on; known are system, user (human) "
          "and assistant" },
        { "{\"messages\": [{\"role\": \"user\", \"content\": null}]}",
          "! f:1: turn 1: the content is null" },
        { "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]}",
          "! f:1: turn 1: part 1 of its content is of type \"image_url\"; only text" },
        { "{\"messages\": [{\"role\": \"assistant\", \"content\": \"x\", \"weight\": 2}]}",
          "! f:1: turn 1: \"weight\" must be 0 or 1" },
        { "{\"messages\": [{\"role\": \"user\", \"content\": \"x\", \"learn\": true}]}",
          "! f:1: turn 1: a turn of the user cannot be learned" },
        { "{\"messages\": [{\"role\": \"assistant\", \"content\": \"x\", \"tool_calls\": [1]}]}",
          "! f:1: turn 1: \"tool_calls\" cannot be trained on" },
        { "{\"input_ids\": [1, -3]}", "! f:1: \"input_ids\"[1] is out of range, no token id" },
        { "{\"input_ids\": [1, 2.5]}", "! f:1: \"input_ids\"[1] is a number, no token id" },
        { "{\"input_ids\": [2147483648]}", "! f:1: \"input_ids\"[0] is out of range, no token id" },
        { "{\"input_ids\": []}", "! f:1: \"input_ids\" is empty" },
        { "{\"input_ids\": [1, 2], \"labels\": [1]}",
          "! f:1: \"labels\" has 1 entries, \"input_ids\" 2" },
        { "{\"input_ids\": [1, 2, 3], \"labels\": [2, 3, -100]}",
          "! f:1: \"labels\"[0] is 2, neither input_ids[0] (1) nor -100: labels are not shifted, "
          "hone does that" },
        { "{\"input_ids\": [1, 2], \"attention_mask\": [1, 0]}",
          "! f:1: \"attention_mask\"[1] is not 1" },
        { "{\"segments\": [{\"role\": \"user\", \"text\": \"x\", \"learn\": true}]}",
          "! f:1: segment 1: a turn of the user cannot be learned" },
        { "{\"segments\": [{\"role\": \"raw\", \"text\": \"x\"}, {\"role\": \"user\", \"text\": "
          "\"x\"}]}",
          "! f:1: segment 2: raw text and turns in one sample" },
        { "{\"segments\": [{\"role\": \"boss\", \"text\": \"x\"}]}",
          "! f:1: segment 1: the role \"boss\" is none" },
        { "{\"instruction\": \"i\", \"output\": \"o\", \"history\": [[\"q\"]]}",
          "! f:1: \"history\": round 1 is no pair of strings" },
        { "[{\"text\": \"a\"},\n{\"text\": ", "! f:2: the list of rows ends inside this row" },
        { "[{\"text\": \"a\"}] x", "! f:1: something follows the list of rows" },
        { "[{\"text\": \"a\"}}", "! f:1: a \"}\" that closes nothing" },
        { "[{\"text\": \"a\"},]", "! f:1:" },
        { "hello world\n",
          "! f:1: neither JSON nor a CSV header with known columns; expected are JSON objects, "
          "one a line, or columns of one shape: instruction + output; prompt" },
        { "prompt,completion\na,b\nc\n", "! f:3: 1 fields, the header has 2" },
        { "text\n\"a\n", "! f: line 2: a quote is opened and never closed" },
        { "text,text\na,b\n", "! f:1: the column \"text\" is there twice" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_HAS(flat(cases[i].in), cases[i].want);
    CHECK_HAS(flat_bytes("\xff\xfet\0e\0", 6), "! f: is UTF-16; save it as UTF-8");
}

static hone_status add_bad(void *ctx, sample *s, int64_t line, hone_error *err)
{
    dataset_reader *r = ctx;
    (void)s;
    (void)err;
    CHECK_INT(r->row_bad_bytes, line == 2 ? 2 : 0);
    return HONE_OK;
}

static void test_dataset_read__counts_bytes_that_are_no_text(void)
{
    static const char in[] = "{\"text\": \"a\"}\n{\"text\": \"\xff\xc3(\"}\n{\"text\": \"b\"}\n";
    dataset_reader r = { .name = "f", .visit = add_bad };
    hone_error err = { 0 };
    r.ctx = &r;
    CHECK_OK(dataset_reader_run(&r, in, sizeof in - 1, &err), err);
    CHECK_INT(r.n_rows, 3);
    CHECK_STR(flat(in), "text 1: r<a>+/2: r<\xef\xbf\xbd\xef\xbf\xbd(>+/3: r<b>+");
    CHECK_STR(flat("text\nx\n\xff\n"), "text 2: r<x>+/3: r<\xef\xbf\xbd>+");
}

static hone_status ignore(void *ctx, sample *s, int64_t line, hone_error *err)
{
    (void)ctx;
    (void)s;
    (void)line;
    (void)err;
    return HONE_OK;
}

static void test_dataset_read__notes_keys_it_does_not_read(void)
{
    static const char in[] =
        "{\"messages\": [{\"role\": \"user\", \"content\": \"a\", \"name\": \"Bo\"}], \"tag\": 1}\n"
        "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"tag\": null}\n"
        "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"tag\": 2}\n";
    dataset_reader r = { .name = "f", .visit = ignore };
    hone_error err = { 0 };
    CHECK_OK(dataset_reader_run(&r, in, sizeof in - 1, &err), err);
    CHECK_INT(r.unused.n, 2);
    CHECK_STR(r.unused.key[0].name, "tag");
    CHECK_INT(r.unused.key[0].n, 2);
    CHECK_STR(r.unused.key[1].name, "turn's name");
    CHECK_INT(r.unused.key[1].n, 1);
}

static size_t compress_gzip(char *out, size_t cap, const char *p, size_t n)
{
    size_t used = 0;
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    CHECK(!archive_write_add_filter_gzip(a) && !archive_write_set_format_raw(a));
    CHECK(!archive_write_open_memory(a, out, cap, &used));
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_size(e, (la_int64_t)n);
    CHECK(!archive_write_header(a, e));
    CHECK_INT(archive_write_data(a, p, n), n);
    archive_entry_free(e);
    CHECK(!archive_write_close(a));
    archive_write_free(a);
    return used;
}

static void test_dataset_read__unpacks_gzip(void)
{
    static const char in[] = "{\"text\": \"one\"}\n{\"text\": \"two\"}\n";
    char packed[512];
    const size_t n = compress_gzip(packed, sizeof packed, in, sizeof in - 1);
    CHECK_STR(flat_bytes(packed, n), "text 1: r<one>+/2: r<two>+");
    CHECK_HAS(flat_bytes(packed, n / 2), "! f: ");
    CHECK_HAS(flat_bytes("\x1f\x8b junk junk", 12), "! f: ");
}

static void test_dataset_read__names_a_file_that_is_not_there(void)
{
    hone_error err = { 0 };
    CHECK_INT(dataset_read("/nowhere/x.jsonl", flatten, NULL, NULL, &err), HONE_ERR_NOTFOUND);
    CHECK_HAS(err.message, "/nowhere/x.jsonl");
}

int main(void)
{
    RUN(test_dataset_read__knows_every_shape);
    RUN(test_dataset_read__says_what_is_wrong_and_where);
    RUN(test_dataset_read__counts_bytes_that_are_no_text);
    RUN(test_dataset_read__notes_keys_it_does_not_read);
    RUN(test_dataset_read__unpacks_gzip);
    RUN(test_dataset_read__names_a_file_that_is_not_there);
    return TEST_EXIT();
}
