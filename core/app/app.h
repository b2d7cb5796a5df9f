/*
 * app.h - the door of core/app, for main.c and the cmd_*.c files only: the command type,
 * the settings of a run, and a session (tokenizer, template, model) opened from them.
 *
 * Only this room prints to stdout, and only main.c exits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_APP_APP_H
#define CORE_APP_APP_H

#include "core/base/base.h"
#include "core/data/data.h"
#include "core/exam/exam.h"
#include "core/generate/generate.h"
#include "core/model/model.h"
#include "core/plugin/plugin.h"
#include "core/prepare/prepare.h"
#include "core/train/train.h"

/* --------------------------------------------------------------------- settings */

typedef struct top_options { /* keys of hone.json without a section */
    const char *model;       /* HF model folder */
    const char *backend;     /* "cpu/fp32" */
    const char *template_;   /* chat template: auto, a name, a file; key "template" */
    hone_list plugin_dir;
} top_options;

typedef struct data_options { /* section "data" */
    const char *path;         /* dataset; NULL: prepare.out/samples.jsonl */
    int64_t over_long;
    bool raw_bos, raw_eos, learn_prompt;
    const char *date;
} data_options;

typedef struct use_options { /* section "use": what ask, chat, exam and score run */
    const char *adapter;     /* adapter or model folder; NULL: the run's own result, if any */
    bool base;               /* the base model alone */
    const char *system;      /* system message */
    int64_t context;         /* tokens of the cache */
} use_options;

typedef struct plan_settings { /* section "plan" */
    const char *memory;        /* "8GB"; NULL: what is free */
} plan_settings;

typedef struct settings {
    top_options top;
    data_options data;
    prepare_options prepare;
    adapter_options adapter;
    train_options train;
    sampling generate;
    use_options use;
    exam_options exam;
    plan_settings plan;
    generator_options generator;
    /* Sections whose rows belong to plugins: checked when the component is opened.
     * optimizer {"name": .., its options}; reader, recipe {name: {..}}; device, weights {..}. */
    json_t *optimizer, *reader, *recipe, *device, *weights; /* owned */

    struct options *sections; /* owned; one per row of the section table */
    char *file;               /* owned: the config file, NULL when there is none */
    char *data_path;          /* owned: data.path or its default */
    char *val_path;           /* owned: train.val, or what prepare.split wrote, or NULL */
} settings;

void settings_finish(settings *s);
/* One key by its name ("data.date"), as on the command line; value is copied. */
HONE_MUST_CHECK hone_status settings_set(settings *s, const char *name, const char *value,
                                         hone_error *err);
json_t *settings_to_json(const settings *s); /* a new reference, defaults included */
/* names: of the sections to show, a blank between two; NULL: all. */
void settings_help(text *out, const char *names);
void settings_markdown(text *out);

/* ---------------------------------------------------------------------- commands */

typedef struct arguments { /* what is left after settings and flags */
    char **items;          /* borrowed from argv */
    int n;
} arguments;

typedef struct command {
    const char *name, *operands, *summary;
    const char *sections;     /* of the settings it looks at, for --help; NULL: all of them */
    const hone_option *flags; /* rows of the command's own flags, or NULL */
    void *flag_values;        /* the struct they fill, static */
    bool config_operand;      /* the first operand is the config file */
    bool stands_alone;        /* takes no settings: no hone.json is read */
    hone_status (*run)(settings *s, const arguments *a, hone_error *err);
} command;

extern const command *const commands[]; /* NULL-terminated; main.c */

/* argv[1..] of a command to settings and operands. */
HONE_MUST_CHECK hone_status settings_load(settings *s, const command *c, int argc, char **argv,
                                          arguments *a, hone_error *err);

extern const command cmd_prepare, cmd_preview, cmd_plan, cmd_train, cmd_ask, cmd_chat, cmd_exam,
    cmd_tokenize, cmd_detokenize, cmd_score, cmd_plugin, cmd_convert, cmd_doctor, cmd_vocabulary,
    cmd_options;

/* Set by SIGINT: 1 asks to stop, a second one ends the process at once. */
extern volatile int app_stop;

/* ----------------------------------------------------------------------- session */

typedef struct session { /* opened in this order, closed in the reverse one */
    registry *plugins;
    tokenizer *tok;
    chat_template *chat;
    backend *back;
    model *net;
    char *adapter_owned; /* what is on the model; NULL: the base alone */
    int64_t at_once;     /* conversations that the model's cache is for; 0: one */
} session;

#define SESSION_TOKENIZER 1u /* tokenizer and template                    */
#define SESSION_MODEL 2u     /* and the model, with use.* deciding the adapter */

HONE_MUST_CHECK hone_status session_plugins(session *z, const settings *s, hone_error *err);
HONE_MUST_CHECK hone_status session_open(session *z, const settings *s, uint32_t what,
                                         hone_error *err);
/* Another model in place of the one that is open: the base (tuned NULL), an adapter on it,
 * or a fully tuned model's folder. */
HONE_MUST_CHECK hone_status session_open_model(session *z, const settings *s, const char *tuned,
                                               bool full, hone_error *err);
/* Close the model and its backend; another s->top.backend can be opened next. */
void session_close_model(session *z);
void session_close(session *z);
/* The adapter folder (or full-model folder) that use.* means: *path is fresh or NULL (base). */
HONE_MUST_CHECK hone_status session_tuned_path(const settings *s, char **path, bool *full,
                                               hone_error *err);
/* Refuse an adapter whose hone.json names another tokenizer or template. */
HONE_MUST_CHECK hone_status session_check_adapter(const session *z, const char *dir,
                                                  hone_error *err);

/* One file or standard input ("-" or NULL), whole; *p is the caller's. */
HONE_MUST_CHECK hone_status read_input(const char *path, char **p, size_t *n, hone_error *err);
/* What came from outside as UTF-8, in *p (owned, malloc): other bytes become U+FFFD, with a warning
 * about `what`, as hone tokenize has it. */
HONE_MUST_CHECK hone_status mend_input(char **p, size_t *n, const char *what, hone_error *err);
/* Bytes as 1.2 GB, seconds as 1:02:03. */
void print_bytes(text *out, double bytes);
void print_seconds(text *out, double seconds);

#endif /* CORE_APP_APP_H */
