/*
 * exam.h - the door of core/exam: questions with expected answers, asked of a model
 * before and after it was tuned.
 *
 * Every question is marked: `recall` is asked in the words of a training row, `reworded`
 * in other words and in no training row. The two are reported apart, because a model
 * that only repeats what it saw passes the first and fails the second. exam_check holds the
 * marks against the training data.
 *
 * The file is JSON lines: {"question": "...", "answer": "...", "kind": "recall" | "reworded"},
 * and an "id" if one likes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_EXAM_EXAM_H
#define CORE_EXAM_EXAM_H

#include "core/base/base.h"
#include "core/data/data.h"
#include "core/model/model.h"

#define EXAM_RECALL 0
#define EXAM_REWORDED 1
#define EXAM_ALL 2 /* of scores: both kinds together */

/* ------------------------------------------------------------------ questions */

typedef struct exam_question {
    char *id;                /* owned; "line 7" where the file gives none */
    char *question, *answer; /* owned, UTF-8, not empty                   */
    int64_t kind;            /* EXAM_RECALL, EXAM_REWORDED                */
    int64_t line;            /* of the file, from 1                       */
} exam_question;

typedef struct exam {
    char *path;               /* owned: for messages          */
    exam_question *questions; /* owned                        */
    size_t n, cap;
    char hash[65]; /* SHA-256 of the file's bytes  */
} exam;

/* Errors name file and line; empty lines are passed over, an unknown key, a second question
 * of the same words and a file without questions are refused. */
HONE_MUST_CHECK hone_status exam_load(exam *out, const char *path, hone_error *err);
HONE_MUST_CHECK hone_status exam_load_bytes(exam *out, const char *p, size_t n, const char *name,
                                            hone_error *err); /* for tests and fuzzing */
void exam_finish(exam *x);

/* Hold the marks against the samples of a training dataset. A recall question is worded as
 * a user's turn of a sample (white space apart), or stands in a sample of raw text; a
 * reworded one is neither, letter case, punctuation and articles apart. HONE_ERR_ARG names
 * the lines that break the promise. */
HONE_MUST_CHECK hone_status exam_check(const exam *x, const char *dataset_path, hone_error *err);

/* --------------------------------------------------------------------- scores */

/* SQuAD's measures (Rajpurkar et al. 2016): lower case, without punctuation and articles,
 * split at white space; scripts written without spaces count by character. exact: the same
 * words in the same order; f1: harmonic mean of precision and recall over shared words.
 * No memory: both are 0 and false is returned. [any] */
bool exam_score_answer(const char *got, const char *want, bool *exact, double *f1);

typedef struct exam_score {
    int64_t n, tokens;      /* questions; tokens of their expected answers         */
    double exact, f1, loss; /* means: shares 0..1; nll per token of the expected
                               answer given the question. NaN when n is 0          */
} exam_score;

typedef struct exam_answer {
    char *text;         /* owned: what the model said, without white space around it */
    const char *reason; /* static: why it ended, "stop", "length", "context"         */
    bool exact;
    double f1, loss;
    int64_t tokens; /* of the expected answer, its end of turn included          */
} exam_answer;

typedef struct exam_result {
    exam_answer *answers; /* owned, n: one per question, in order */
    size_t n;
    exam_score score[3]; /* by EXAM_*                            */
    double general_loss; /* nll per token of general text; NaN: none was given */
    int64_t general_tokens;
    double seconds;      /* spent on saying the answers, questions read included */
    int64_t said_tokens; /* of those answers */
    int64_t model_bytes; /* device memory of the model that was asked */
} exam_result;
void exam_result_finish(exam_result *r);

/* A result under a name, in reports side by side: "before" and "after", or backends. */
typedef struct exam_column {
    const char *name;
    const exam_result *result;
} exam_column;

/* ------------------------------------------------------------------------ run */

typedef struct exam_options { /* option rows: exam_option_rows, section "exam" */
    const char *file;         /* the questions                                  */
    int64_t max_tokens;       /* of an answer                                   */
    hone_list general;        /* text files or datasets no row was taken from   */
    int64_t general_tokens;   /* of general text to score at most; 0: all       */
    bool check;               /* hold the marks against the training data       */
} exam_options;
extern const hone_option exam_option_rows[];

typedef struct exam_hooks {
    void *ctx;
    void (*on_question)(void *ctx, size_t done, size_t n); /* may be NULL */
    const volatile int *stop; /* nonzero: end with HONE_ERR_CANCELLED; may be NULL */
} exam_hooks;

/* Ask every question (greedy), score the answers, and the loss of general text. seq_len and
 * batch_rows are those the model was opened with; it needs room for as many sequences as
 * seq_len * batch_rows tokens and a generation cache. A question that does not fit
 * is an error. hooks may be NULL. */
HONE_MUST_CHECK hone_status exam_run(exam_result *out, const exam *x, const exam_options *o,
                                     model *m, const tokenizer *t, const chat_template *c,
                                     const char *date, int64_t seq_len, int64_t batch_rows,
                                     const exam_hooks *hooks, hone_error *err);

/* -------------------------------------------------------------------- reports */

/* In all of them: n columns, at least one, of results of the same exam. */

/* A table of the scores, of the seconds an answer took, and of memory. */
void exam_print(text *out, const exam *x, const exam_column *columns, size_t n);
/* Up to `most` answers side by side: recall and reworded in turn, in the order of the file
 * and not by how they went. */
void exam_print_answers(text *out, const exam *x, const exam_column *columns, size_t n,
                        size_t most);
/* "recall f1 B -> A, reworded f1 B -> A, answer loss B -> A, general loss B -> A" */
void exam_print_summary(text *out, const exam_result *before, const exam_result *after);
/* All of it, answers included: scores and answers under the columns' names. A new reference;
 * NULL: no memory. */
json_t *exam_json(const exam *x, const exam_column *columns, size_t n);

#endif /* CORE_EXAM_EXAM_H */
