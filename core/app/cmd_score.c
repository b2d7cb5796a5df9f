/*
 * cmd_score.c - hone score: token ids and their log-probabilities, and perplexity.
 *
 * Plain text (a file, -, --text) is scored whole; a dataset (--dataset FILE) row by row:
 * of pairs the answer counts, of raw text everything. One JSON object a row, a summary last.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>

#include "core/app/app.h"

typedef struct score_flags {
    const char *text, *prompt, *answer, *dataset;
    bool tokens;
} score_flags;

static score_flags flags;

/* JSON has no number for what overflows: null. */
static json_t *perplexity(double loss)
{
    const double p = exp(loss);
    return isfinite(p) ? json_real(p) : json_null();
}

/* clang-format off */
static const hone_option rows[] = {
    HONE_ROW_STRING(score_flags, text, NULL, "the text itself, instead of a file"),
    HONE_ROW_STRING(score_flags, prompt, NULL, "with --answer: a pair through the chat template"),
    HONE_ROW_STRING(score_flags, answer, NULL, "the answer that is scored"),
    HONE_ROW_PATH(score_flags, dataset, NULL, "score every row of a JSONL or CSV dataset"),
    HONE_ROW_BOOL(score_flags, tokens, "true", "list ids and log-probabilities"),
    HONE_OPTIONS_END,
};
/* clang-format on */

/* Score one row; adds to the totals; prints its object. */
static hone_status score_row(session *z, const dataset *d, size_t i, double *sum, int64_t *count,
                             hone_error *err)
{
    const row *r = &d->rows[i];
    const plan_options plan = { .seq_len = r->n, .batch = 1, .packing = true };
    dataset one = { .rows = &d->rows[i], .n = 1 };
    epoch_plan p = { 0 };
    batch b = { 0 };
    float *nll = NULL;
    double loss = 0;
    json_t *o = NULL;
    hone_status st = epoch_plan_make(&p, &one, &plan, 0, err);
    if (st || (st = batch_init(&b, r->n, 1, 1, err)))
        goto out;
    epoch_plan_batch(&p, &one, &plan, 0, &b);
    if (!(nll = mem_new((size_t)b.n_learned + 1, sizeof *nll))) {
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for %d scores", b.n_learned);
        goto out;
    }
    if ((st = model_eval(z->net, &b, nll, err)) || (st = model_loss(z->net, &loss, err)))
        goto out;
    if (!isfinite(loss)) {
        st = hone_fail(err, HONE_ERR_NUMERIC,
                       "row %zu of %zu: its loss is not finite; the weights of the model or of the "
                       "adapter are damaged",
                       i + 1, d->n);
        goto out;
    }
    json_t *ids = json_array(), *logprobs = json_array();
    for (int32_t k = 0; k < b.n_learned; k++) {
        (void)json_array_append_new(ids, json_integer(b.target[k]));
        (void)json_array_append_new(logprobs, json_real(-(double)nll[k]));
    }
    o = json_pack("{s:I, s:f, s:o}", "n", (json_int_t)b.n_learned, "loss", loss / b.n_learned,
                  "perplexity", perplexity(loss / b.n_learned));
    if (flags.tokens) {
        json_t *all = json_array();
        for (int32_t k = 0; k < r->n; k++)
            (void)json_array_append_new(all, json_integer(r->ids[k]));
        (void)json_object_set(o, "input_ids", all);
        (void)json_object_set(o, "ids", ids);
        (void)json_object_set(o, "logprobs", logprobs);
        json_decref(all);
    }
    if (r->id)
        (void)json_object_set_new(o, "id", json_string(r->id));
    json_decref(ids);
    json_decref(logprobs);
    (void)json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    *sum += loss;
    *count += b.n_learned;
out:
    json_decref(o);
    free(nll);
    batch_finish(&b);
    epoch_plan_finish(&p);
    return st;
}

/* A flag's text in *p (owned), as UTF-8. */
static hone_status flag_text(const char *flag, const char *what, char **p, size_t *n,
                             hone_error *err)
{
    *p = mem_strdup(flag);
    *n = strlen(flag);
    return *p ? mend_input(p, n, what, err) : hone_fail(err, HONE_ERR_NOMEM, "no memory for text");
}

/* The dataset in memory that the flags mean: one JSON line, written by us. */
static hone_status inline_dataset(const arguments *a, text *line, hone_error *err)
{
    char *p = NULL, *answer = NULL;
    size_t n = 0, n_answer = 0;
    json_t *o = NULL;
    hone_status st = HONE_OK;
    if (flags.prompt || flags.answer) {
        if (!flags.prompt || !flags.answer)
            return hone_fail(err, HONE_ERR_ARG, "--prompt and --answer go together");
        if ((st = flag_text(flags.prompt, "the prompt", &p, &n, err)) ||
            (st = flag_text(flags.answer, "the answer", &answer, &n_answer, err)))
            goto out;
        o = json_pack("{s:s%, s:s%}", "prompt", p, n, "completion", answer, n_answer);
    } else {
        st = flags.text ? flag_text(flags.text, "the text", &p, &n, err)
                        : read_input(a->n ? a->items[0] : NULL, &p, &n, err);
        if (!st && !flags.text)
            st = mend_input(&p, &n, "the text", err);
        if (st)
            goto out;
        o = json_pack("{s:s%}", "text", p, n);
    }
    char *dump = o ? json_dumps(o, JSON_COMPACT) : NULL;
    if (dump) {
        text_puts(line, dump);
        text_putc(line, '\n');
        st = text_status(line, err);
    } else {
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for the text");
    }
    free(dump);
out:
    json_decref(o);
    free(p);
    free(answer);
    return st;
}

static hone_status run(settings *s, const arguments *a, hone_error *err)
{
    session z = { 0 };
    dataset d = { 0 };
    text line = { 0 };
    double sum = 0;
    int64_t count = 0;
    hone_status st;
    dataset_options o = {
        .path = flags.dataset,
        .seq_len = s->train.seq_len * s->train.batch,
        .over_long = s->data.over_long,
        .raw_bos = s->data.raw_bos,
        .raw_eos = s->data.raw_eos && flags.dataset != NULL,
        .learn_prompt = s->data.learn_prompt,
        .date = s->data.date,
    };
    if ((st = session_open(&z, s, SESSION_TOKENIZER | SESSION_MODEL, err)))
        goto out;
    if (flags.dataset)
        st = dataset_load(&d, &o, z.tok, z.chat, err);
    else if (!(st = inline_dataset(a, &line, err)))
        st = dataset_load_bytes(&d, &o, line.p, line.n, "the text", z.tok, z.chat, err);
    for (size_t i = 0; !st && i < d.n; i++)
        st = score_row(&z, &d, i, &sum, &count, err);
    if (!st && d.n > 1) {
        const double mean = sum / (double)count;
        json_t *all = json_pack("{s:I, s:I, s:f, s:o}", "rows", (json_int_t)d.n, "n",
                                (json_int_t)count, "loss", mean, "perplexity", perplexity(mean));
        (void)json_dumpf(all, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(all);
    }
out:
    text_finish(&line);
    dataset_finish(&d);
    session_close(&z);
    return st;
}

const command cmd_score = {
    .name = "score",
    .operands = "[FILE | -]",
    .summary = "log-probabilities and perplexity of given text or pairs",
    .sections = "data use device weights",
    .flags = rows,
    .flag_values = &flags,
    .run = run,
};
