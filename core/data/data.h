/*
 * data.h - the door of core/data: tokenizers, chat templates, samples, datasets,
 * packing.
 *
 *   samples (roles and text)  --template-->  rendered text with supervised spans
 *                             --tokenizer->  rows (ids, labels)
 *                             --proofs----->  rows one may train on
 *                             --packing---->  micro-batches
 *
 * Knows no model network, no device and no plugin.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_DATA_DATA_H
#define CORE_DATA_DATA_H

#include "core/base/base.h"

/* ---------------------------------------------------------------- tokenizers */

/* Byte-pair tokenizers as Hugging Face (tokenizer.json) and SentencePiece
 * (tokenizer.model) publish them. Immutable once open; calls on it are [any]. */
typedef struct tokenizer tokenizer;

/* A run of tokens. start/end are byte offsets into the text that was encoded: where
 * a token's own text begins and ends (0,0 for tokens that were added). */
typedef struct token {
    int32_t id;
    uint32_t start, end;
} token;

typedef struct tokens {
    token *p; /* owned */
    size_t n, cap;
} tokens;
void tokens_finish(tokens *t);

/* tokenizer.json if the folder has one, tokenizer.model otherwise; tokenizer_config.json
 * and special_tokens_map.json beside it. Components that hone does not know are
 * refused by name. */
HONE_MUST_CHECK hone_status tokenizer_open(tokenizer **out, const char *model_dir, hone_error *err);
/* The same from bytes, for tests and fuzzing: a tokenizer.json, or a tokenizer.model. */
HONE_MUST_CHECK hone_status tokenizer_from_json(tokenizer **out, const char *p, size_t n,
                                                hone_error *err);
HONE_MUST_CHECK hone_status tokenizer_from_spm(tokenizer **out, const char *p, size_t n,
                                               hone_error *err);
void tokenizer_close(tokenizer *t);

#define ENCODE_SPECIAL 1u /* spellings of special tokens in the text become those tokens */
#define ENCODE_ADD 2u     /* add BOS/EOS as the tokenizer's own post-processor does      */

/* What of a text its tokens do not say; start from { 0 }, calls add to it. */
typedef struct encode_losses {
    int64_t bad_bytes; /* were no UTF-8: taken as U+FFFD                            */
    int64_t unknown;   /* tokens that are the unknown one, for characters without a piece */
    int64_t dropped;   /* characters without a piece, and nothing that stands for them */
    uint32_t first;    /* of those, the first: a code point                         */
} encode_losses;
/* "2 bytes are no UTF-8: taken as U+FFFD; ..." without a newline; nothing for no loss. */
void encode_losses_print(const encode_losses *l, text *out);
/* The same as a warning in the log, behind what it is about ("the question"). */
void encode_losses_warn(const encode_losses *l, const char *what);

/* Append p with U+FFFD for what is no UTF-8, as encoding takes it: one for the longest start of a
 * well-formed sequence. Returns how many bytes were replaced. [any] */
int64_t utf8_mend(text *out, const char *p, size_t n);

/* Appends to out. Bytes that are no UTF-8 are taken as U+FFFD. Identical to Hugging Face's
 * encode(text, add_special_tokens = ENCODE_ADD) with ENCODE_SPECIAL given; without it,
 * special tokens (not the other added tokens) in the text are plain text. lost may be NULL. */
HONE_MUST_CHECK hone_status tokenizer_encode(const tokenizer *t, const char *p, size_t n,
                                             uint32_t flags, tokens *out, encode_losses *lost,
                                             hone_error *err);

/* ids to text as Hugging Face's decode; skip_special leaves special tokens out. An
 * unknown id is an error. */
HONE_MUST_CHECK hone_status tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t n,
                                             bool skip_special, text *out, hone_error *err);

/* Incremental decoding for streaming: what push appends to out, in order, adds up
 * to tokenizer_decode() of all ids; incomplete UTF-8 waits for its rest. Start from
 * { 0 }; end flushes what is left (as U+FFFD when incomplete). */
typedef struct token_stream {
    int32_t *ids; /* owned: ids that wait, because what follows may change their text */
    size_t n, cap;
    char tail[4]; /* a character whose last bytes are still to come */
    uint32_t n_tail;
    int64_t head; /* characters that were taken from the front of the text; -1: no more */
    bool any;     /* an id went through */
} token_stream;
HONE_MUST_CHECK hone_status token_stream_push(const tokenizer *t, token_stream *s, int32_t id,
                                              bool skip_special, text *out, hone_error *err);
HONE_MUST_CHECK hone_status token_stream_end(const tokenizer *t, token_stream *s, bool skip_special,
                                             text *out, hone_error *err);
void token_stream_finish(token_stream *s);

int64_t tokenizer_size(const tokenizer *t);                  /* highest id + 1          */
int32_t tokenizer_id(const tokenizer *t, const char *piece); /* -1: not in the vocabulary */
const char *tokenizer_piece(const tokenizer *t, int32_t id); /* NULL: a hole, or out of range */
bool tokenizer_is_special(const tokenizer *t, int32_t id);
int32_t tokenizer_bos(const tokenizer *t); /* -1: none                */
int32_t tokenizer_eos(const tokenizer *t);
int32_t tokenizer_pad(const tokenizer *t);
int32_t tokenizer_unk(const tokenizer *t);
bool tokenizer_adds_bos(const tokenizer *t); /* ENCODE_ADD puts BOS in front */
/* The spelling of the token for a purpose (HONE_TOKEN_* of the SDK); NULL: there is none. */
const char *tokenizer_special_for(const tokenizer *t, uint32_t purpose);
const char *tokenizer_hash(const tokenizer *t); /* SHA-256 hex of the file it came from */

/* Train a byte-level BPE (the GPT-2 pre-split) on texts of UTF-8; writes tokenizer.json and
 * tokenizer_config.json into dir. n_vocab includes the 256 bytes and the special names, which
 * get the ids 0, 1, ...; a name that says what it is for ("<s>", "</s>", "<|endoftext|>",
 * "<|pad|>", ...) becomes bos_token, eos_token or pad_token. Texts that give fewer than
 * n_vocab pieces are refused. [any] */
HONE_MUST_CHECK hone_status tokenizer_train(const char *dir, const hone_str *texts, size_t n_texts,
                                            int64_t n_vocab, const char *const *special,
                                            size_t n_special, hone_error *err);

/* -------------------------------------------------------------- chat templates */

#define ROLE_RAW 0 /* = HONE_ROLE_* of the SDK */
#define ROLE_SYSTEM 1
#define ROLE_USER 2
#define ROLE_ASSISTANT 3
#define ROLE_SPECIAL 4                /* the spelling of a special token among raw text */
const char *role_name(uint32_t role); /* "raw", "system", "user", "assistant", "special" */

typedef struct message { /* strings borrowed */
    uint32_t role;       /* ROLE_* */
    hone_str content;
    bool masked; /* assistant turns only: do not learn this one */
} message;

/* How turns become text. Known templates are rows of a table; which row is chosen
 * by the text of the model's own template, by name, or the user's own file says. */
typedef struct chat_template chat_template;

/* choice: NULL or "auto" = the model's own files (tokenizer_config.json, chat_template.jinja
 * or .json in model_dir), refused with a list of names when not recognised;
 * "plain", "llama2", "llama3", "llama31", "chatml", "mistral", "alpaca", ... = that row;
 * a path = the user's own template file (see docs/templates.md). t is borrowed.
 * A model whose files hold no template (a base model) opens as "none", with an empty
 * hash: raw text needs none, and rendering says what to do. HONE_ERR_UNSUPPORTED: the
 * files hold one that no row renders alike. */
HONE_MUST_CHECK hone_status chat_template_open(chat_template **out, const char *choice,
                                               const char *model_dir, const tokenizer *t,
                                               hone_error *err);
void chat_template_close(chat_template *c);
const char *chat_template_name(const chat_template *c);
/* SHA-256 hex of all that changes its text, written into adapters; "" for none. */
const char *chat_template_hash(const chat_template *c);
/* The day that it writes where no date is given; NULL: it writes none, or always the same. */
const char *chat_template_today(const chat_template *c);
/* Ids that end an assistant turn: EOS and the template's own end of turn. *n <= 8. */
const int32_t *chat_template_stops(const chat_template *c, size_t *n);
/* Names of all rows, NULL-terminated. */
const char *const *chat_template_names(void);

/* A byte range of the rendered text that is learned: an assistant turn's content
 * and its end-of-turn. */
typedef struct span {
    size_t start, end;
} span;

/* A piece of the rendered text that one role has: its marks, or (content) its words. */
typedef struct rendered_part {
    size_t start, end;
    uint32_t role;
    bool content;
} rendered_part;

typedef struct rendered { /* start from { 0 } */
    text text;            /* as apply_chat_template(tokenize=False)       */
    span *spans;          /* owned; supervised ranges, ascending, disjoint */
    size_t n_spans, cap_spans;
    span *ends; /* owned; of each learned turn, its end-of-turn mark */
    size_t n_ends, cap_ends;
    rendered_part *parts; /* owned; the whole text, ascending, without gaps */
    size_t n_parts, cap_parts;
    size_t n_left_out; /* turns (or thoughts of earlier turns) that the template drops */
} rendered;
void rendered_finish(rendered *r);

/* date: "26 Jul 2024" for templates that print today's; NULL: the clock's. A sequence
 * of roles that the template cannot express is an error that says which. */
HONE_MUST_CHECK hone_status chat_template_render(const chat_template *c, const message *m, size_t n,
                                                 bool generation_prompt, const char *date,
                                                 rendered *out, hone_error *err);

/* Messages to ids (and labels, when labels is not NULL: id where learned, -100 where
 * not). One BOS, never two. */
HONE_MUST_CHECK hone_status chat_template_encode(const chat_template *c, const message *m, size_t n,
                                                 bool generation_prompt, const char *date,
                                                 tokens *ids, int32_t **labels, encode_losses *lost,
                                                 hone_error *err);

/* -------------------------------------------------------------------- samples */

/* A sample as recipes make it and samples.jsonl holds it, one JSON object a line:
 * {"id", "source": {"file", "start", "end", "unit"}, "recipe", "version", "prompt",
 *  "segments": [{"role", "text",
 *  "learn": true|false, "start", "end"}]}. Strings owned by the sample. */
typedef struct sample_segment {
    uint32_t role;
    bool learn;
    char *text; /* owned, NUL-terminated, n bytes */
    size_t n;
    uint64_t src_off, src_len;
    char *file; /* owned: where it is from, when not from the sample's file; NULL otherwise */
} sample_segment;

typedef struct sample {       /* start from { 0 } */
    uint64_t join;            /* while data is prepared: a part of a sample of that many tokens */
    char *id;                 /* owned: SHA-256 of content, 16 hex digits */
    char *file;               /* owned, NULL when imported without one */
    char *unit;               /* owned: what start and end count, "page"; NULL: bytes */
    char *recipe;             /* owned, or NULL */
    char *prompt;             /* owned: version of the prompt it was made with, or NULL */
    char *version;            /* owned: of the recipe, or NULL */
    sample_segment *segments; /* owned */
    size_t n_segments, cap_segments;
    int32_t *ids, *labels; /* owned; rows that came as token ids; else NULL */
    size_t n_ids;
} sample;
void sample_finish(sample *s);
/* Append a segment; text is copied. */
HONE_MUST_CHECK hone_status sample_add(sample *s, uint32_t role, bool learn, hone_str content,
                                       uint64_t src_off, uint64_t src_len, hone_error *err);
/* Fill s->id from roles, texts and what is learned. */
HONE_MUST_CHECK hone_status sample_identify(sample *s, hone_error *err);
/* Appends one line without its newline; text must be UTF-8. */
HONE_MUST_CHECK hone_status sample_to_json(const sample *s, text *line, hone_error *err);

/* Read a dataset, calling visit once per sample in file order. The shape is found by
 * keys in the first row and must hold for all: hone's own (segments), alpaca
 * (instruction, input, output), sharegpt (conversations), messages,
 * prompt/completion (also question/answer), text, token rows (input_ids, labels);
 * CSV by its header row, for alpaca, prompt/completion and text. One JSON object a line, or
 * one JSON array of them; compressed (gzip, xz, bzip2, zstd) or not. Errors name file and
 * line. *shape (may be NULL) gets the shape's name. docs/datasets.md has the keys. */
HONE_MUST_CHECK hone_status dataset_read(const char *path,
                                         hone_status (*visit)(void *ctx, const sample *s,
                                                              int64_t line, hone_error *err),
                                         void *ctx, const char **shape, hone_error *err);
HONE_MUST_CHECK hone_status dataset_read_bytes(const char *p, size_t n, const char *name,
                                               hone_status (*visit)(void *ctx, const sample *s,
                                                                    int64_t line, hone_error *err),
                                               void *ctx, const char **shape, hone_error *err);

/* ----------------------------------------------------------------- token rows */

#define LABEL_MASKED (-100)

typedef struct row {
    int32_t *ids;    /* owned, n */
    int32_t *labels; /* owned, n: labels[i] is ids[i] or LABEL_MASKED; the shift by one is
                        made by packing */
    int32_t n;
    int32_t n_learned; /* labels that count once shifted: positions 1..n-1 */
    uint32_t paired;   /* 0: raw text */
    char *id;          /* owned: the sample it came from */
    char *file;        /* owned, or NULL */
    int64_t line;      /* of the dataset file, from 1 */
} row;

void row_finish(row *r);

#define OVERLONG_STOP 0
#define OVERLONG_SPLIT 1
#define OVERLONG_SKIP 2
#define OVERLONG_DEFAULT 3 /* stop for pairs, split for raw text */

typedef struct dataset_options {
    const char *path; /* JSONL or CSV */
    int64_t seq_len;
    int64_t over_long;     /* OVERLONG_* */
    bool raw_bos, raw_eos; /* raw rows: add them when the tokenizer has them */
    bool learn_prompt;     /* pairs: supervise everything */
    bool keep_duplicates;  /* count them, but train on them */
    const char *date;      /* for templates; NULL: the clock's */
} dataset_options;

/* The row that training makes of one sample, over-long or not; free with row_finish(). [any] */
HONE_MUST_CHECK hone_status sample_row(row *out, const dataset_options *o, const sample *s,
                                       const tokenizer *t, const chat_template *c, hone_error *err);

/* The nothing-in-silence report. */
typedef struct dataset_report {
    int64_t samples, rows; /* read; after splitting */
    int64_t overlong_split, overlong_skipped;
    int64_t empty, duplicate;  /* left out: no text; same ids and labels as an earlier row */
    int64_t masked;            /* left out: rows without a single learned token */
    int64_t special_in_text;   /* samples whose own words spell special tokens */
    int64_t template_left_out; /* samples of which the template drops a turn or thoughts */
    int64_t bad_bytes;         /* not UTF-8, taken as U+FFFD */
    int64_t unknown, dropped;  /* as in encode_losses */
    int64_t tokens, learned;   /* of all rows */
    int64_t longest;           /* tokens */
    int64_t role_tokens[4], role_learned[4]; /* by ROLE_* */
    text named; /* up to 20 lines naming what was left out or split, and why */
} dataset_report;
void dataset_report_finish(dataset_report *r);
void dataset_report_print(const dataset_report *r, text *out);
json_t *dataset_report_json(const dataset_report *r);

typedef struct dataset {
    row *rows; /* owned */
    size_t n, cap;
    dataset_report report;
    int32_t max_id; /* the highest id in any row: below the model's embedding rows */
    char hash[65];  /* of ids and labels in order */
} dataset;
void dataset_finish(dataset *d);

/* Read, render, tokenize, mask, prove. Refuses: no sample, no supervised token, a
 * learned turn whose end-of-turn is not supervised, a doubled BOS, a pad
 * token that hides EOS; over-long rows by over_long. Messages name file and line.
 * c may be NULL when every row is raw text or token ids. */
HONE_MUST_CHECK hone_status dataset_load(dataset *out, const dataset_options *o, const tokenizer *t,
                                         const chat_template *c, hone_error *err);

/* Rows of the dataset at o->path to a file beside it, <path>.rows, which dataset_load() reads
 * instead of the samples while all it depends on is the same (docs/datasets.md). Memory does not
 * grow with the dataset. One that is there already is only looked at. on_long is told of samples
 * above seq_len; where these would stop dataset_load(), nothing is written, and they are counted
 * in `stopped`. *report, a new reference, is dataset_report_json() with "lengths" (samples by
 * tokens: up to 16, 32, 64, ...) and "stopped". */
HONE_MUST_CHECK hone_status dataset_pack(const dataset_options *o, const tokenizer *t,
                                         const chat_template *c,
                                         hone_status (*on_long)(void *ctx, const sample *s,
                                                                int64_t line, int32_t n_tokens,
                                                                hone_error *err),
                                         void *ctx, json_t **report, hone_error *err);

/* dataset_load() from bytes of a JSONL dataset; o->path is not read. name: for messages. */
HONE_MUST_CHECK hone_status dataset_load_bytes(dataset *out, const dataset_options *o,
                                               const char *p, size_t n, const char *name,
                                               const tokenizer *t, const chat_template *c,
                                               hone_error *err);

/* Move about `share` of the rows (at least one when share > 0 and n > 1) to val, chosen by
 * seed; both keep their order. Whole documents go together when that comes near the
 * share, pieces of one sample always. */
HONE_MUST_CHECK hone_status dataset_split(dataset *train, dataset *val, double share, uint64_t seed,
                                          hone_error *err);

/* -------------------------------------------------------------------- packing */

/* One micro-batch: the token budget seq_len * batch, filled with whole rows one after
 * another (packed) or padded to seq_len each. Arrays have `capacity` entries. */
typedef struct batch {
    int64_t capacity; /* seq_len * batch                                        */
    int32_t n;        /* tokens used, padding included                          */
    int32_t n_sequences;
    int32_t n_learned;  /* entries of learn_row and target                        */
    int32_t *ids;       /* (n)                                                    */
    int32_t *position;  /* (n): restart at 0 with every sequence                  */
    int32_t *cu;        /* (max_sequences + 1): first token of each sequence; the unused
                             tail repeats n                                         */
    int32_t *seg_start; /* (n): first token of the own sequence                   */
    int32_t *learn_row; /* (n_learned): position whose hidden state predicts ...  */
    int32_t *target;    /* (n_learned): ... this id                               */
    int32_t *source;    /* (n_sequences): index of the row                        */
    int32_t max_sequences;
    int32_t longest; /* tokens of the longest sequence                         */
} batch;
HONE_MUST_CHECK hone_status batch_init(batch *b, int64_t seq_len, int64_t n_rows,
                                       int64_t max_sequences, hone_error *err);
void batch_finish(batch *b);

/* The order of an epoch: which rows go together into which micro-batch. Deterministic
 * in (dataset, options, seed, epoch). Packed: first-fit decreasing within a shuffled
 * window when shuffle, in the given order (next-fit) when not. */
typedef struct plan_options {
    int64_t seq_len, batch;
    bool packing, shuffle;
    uint64_t seed;
    int32_t pad_id; /* packing off: what fills the rest; masked and harmless */
} plan_options;
typedef struct epoch_plan {
    int64_t *first; /* owned, n_batches + 1: rows order[first[i] .. first[i+1]) form batch i */
    int64_t *order; /* owned */
    int64_t n_batches;
    int64_t max_sequences; /* over all batches */
} epoch_plan;
HONE_MUST_CHECK hone_status epoch_plan_make(epoch_plan *out, const dataset *d,
                                            const plan_options *o, int64_t epoch, hone_error *err);
void epoch_plan_finish(epoch_plan *p);
/* Fill b with batch i of the plan. */
void epoch_plan_batch(const epoch_plan *p, const dataset *d, const plan_options *o, int64_t i,
                      batch *b);

#endif /* CORE_DATA_DATA_H */
