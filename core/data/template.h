/*
 * template.h - what the files of chat templates share. Private to core/data.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_DATA_TEMPLATE_H
#define CORE_DATA_TEMPLATE_H

#include "core/data/data.h"

/* Where the system's words go. */
#define SYSTEM_OWN 0        /* a turn of their own                                */
#define SYSTEM_FIRST_USER 1 /* into the first user turn, by `fold`                */
#define SYSTEM_LAST_USER 2  /* into the last turn, when that is the user's        */
#define SYSTEM_REFUSED 3
#define SYSTEM_IGNORED 4 /* later ones only: dropped, and counted              */

#define TRIM_SYSTEM 1u
#define TRIM_USER 2u
#define TRIM_ASSISTANT 4u

/* How turns become text. In every mark, {bos} and {eos} stand for the tokenizer's own
 * tokens, {bos?} for BOS when the tokenizer puts one in front of texts itself, {date} for
 * the day; in `fold`, {system} and {content} for what is put together. Strings are
 * borrowed: from the table, or from a file's JSON that the chat_template keeps. */
typedef struct template_row {
    const char *name;
    const char *start; /* in front of everything                                    */
    struct {
        const char *before, *after; /* of a first turn of the system                        */
        const char *missing;        /* its words when there is none; NULL: then no such turn     */
        const char *fold;           /* SYSTEM_FIRST_USER, SYSTEM_LAST_USER: how it is put in     */
        const char *later_before, *later_after; /* of a later turn of the system            */
        uint32_t place, later; /* SYSTEM_*                                                  */
    } system;
    struct {
        const char *before, *after;
    } user;
    struct {
        const char *before; /* the prompt ends with it: not learned                      */
        const char *lead;   /* learned, in front of the words                            */
        const char *tail;   /* learned, behind them                                      */
        const char *end;    /* learned: the end of turn, one token of the tokenizer      */
        const char *after;  /* not learned                                               */
    } assistant;
    uint32_t trim;    /* TRIM_*: white space around the words goes, as str.strip() */
    bool alternate;   /* user and assistant in turns, user first                   */
    bool thoughts;    /* Qwen3's <think> blocks                                    */
    const char *date; /* {date} when none is given; NULL: today                    */
} template_row;

extern const template_row template_rows[]; /* ends with name == NULL */

/* A row from the bytes of a user's own file. Its strings live as long as *keep, the caller's
 * (json_decref). what: the file's name, for messages. */
HONE_MUST_CHECK hone_status template_row_parse(template_row *out, json_t **keep, const char *p,
                                               size_t n, const char *what, hone_error *err);

/* What the marks' names stand for; all borrowed. */
typedef struct template_words {
    const char *bos, *eos; /* "" when the tokenizer has none */
    bool adds_bos;
    const char *today;
} template_words;

HONE_MUST_CHECK hone_status template_row_render(const template_row *row,
                                                const template_words *words, const message *m,
                                                size_t n, bool generation_prompt, const char *date,
                                                rendered *out, hone_error *err);

/* A mark with its names replaced, appended. */
void template_mark(text *out, const char *mark, const template_words *words, const char *date);

/* Render and encode: r and ids get what chat_template_encode() makes its labels from. */
HONE_MUST_CHECK hone_status template_encode(const chat_template *c, const message *m, size_t n,
                                            bool generation_prompt, const char *date, rendered *r,
                                            tokens *ids, encode_losses *lost, hone_error *err);

/* labels[i] = ids[i] where token i starts inside a span, LABEL_MASKED elsewhere. */
void template_label(const tokens *ids, const span *spans, size_t n_spans, int32_t *labels);

/* The model's own template. */
typedef struct template_model template_model;

/* Read it from the model's files and find the one row that renders alike; *row gets it.
 * HONE_ERR_NOTFOUND: there is none; HONE_ERR_UNSUPPORTED: no row does. */
HONE_MUST_CHECK hone_status template_model_open(template_model **out, template_row *row,
                                                const char *model_dir, const template_words *words,
                                                hone_error *err);
/* The same from one Jinja file. */
HONE_MUST_CHECK hone_status template_model_open_file(template_model **out, template_row *row,
                                                     const char *path, const template_words *words,
                                                     hone_error *err);
void template_model_close(template_model *m);
/* Does the model's own template write the same? An error when not: never guessed. */
HONE_MUST_CHECK hone_status template_model_check(const template_model *model, const char *name,
                                                 const template_words *words, const message *m,
                                                 size_t n, bool generation_prompt, const char *date,
                                                 const text *ours, hone_error *err);

/* "plain, alpaca, llama2, ..." */
void template_rows_list(text *out);

/* Bytes of p that Python's str.strip() leaves: [*start, *end). */
void template_strip(const char *p, size_t n, size_t *start, size_t *end);

#endif /* CORE_DATA_TEMPLATE_H */
