/*
 * template.c - a chat template as it is opened for a model: which row, with which
 * tokens, and how its text becomes ids and labels.
 *
 * Rendered text is encoded whole, special spellings included and nothing added, as
 * transformers' apply_chat_template does: the template says where BOS stands.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/template.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define MAX_STOPS 8
#define OWN_FILE_LIMIT ((size_t)1 << 20)

struct chat_template {
    template_row row;      /* strings borrowed from the table or from keep */
    json_t *keep;          /* owned: the user's own file, or NULL */
    template_model *model; /* owned: the model's own template, checked with every text; or NULL */
    char *why;             /* owned: why there is none; NULL when there is one */
    const tokenizer *t;    /* borrowed */
    char *bos, *eos;       /* owned */
    char today[16];        /* "26 Jul 2024", of the day it was opened: one run, one date */
    char hash[65];
    int32_t stops[MAX_STOPS];
    size_t n_stops;
};

const char *chat_template_name(const chat_template *c)
{
    return c->row.name;
}

const char *chat_template_hash(const chat_template *c)
{
    return c->hash;
}

const int32_t *chat_template_stops(const chat_template *c, size_t *n)
{
    *n = c->n_stops;
    return c->stops;
}

#define MAX_ROWS 32
static const char *row_names[MAX_ROWS + 1];

static void collect_names(void)
{
    for (size_t i = 0; i < MAX_ROWS && template_rows[i].name; i++)
        row_names[i] = template_rows[i].name;
}

const char *const *chat_template_names(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, collect_names);
    return row_names;
}

void chat_template_close(chat_template *c)
{
    if (!c)
        return;
    json_decref(c->keep);
    template_model_close(c->model);
    free(c->why);
    free(c->bos);
    free(c->eos);
    free(c);
}

static template_words words_of(const chat_template *c)
{
    return (template_words){ c->bos, c->eos, tokenizer_adds_bos(c->t), c->today };
}

/* ------------------------------------------------------------------------- opening */

#define ROW_STRINGS 15

static void row_strings(const template_row *r, const char *out[ROW_STRINGS])
{
    const char *const strings[ROW_STRINGS] = {
        r->start,
        r->system.before,
        r->system.after,
        r->system.missing,
        r->system.fold,
        r->system.later_before,
        r->system.later_after,
        r->user.before,
        r->user.after,
        r->assistant.before,
        r->assistant.lead,
        r->assistant.tail,
        r->assistant.end,
        r->assistant.after,
        r->date,
    };
    memcpy(out, strings, sizeof strings);
}

/* Whatever changes the text is in the hash; the name is not, so that a row and the same
 * template in a user's own file are one. */
static void hash_row(chat_template *c)
{
    const template_row *r = &c->row;
    const char *strings[ROW_STRINGS + 2];
    row_strings(r, strings);
    strings[ROW_STRINGS] = c->bos;
    strings[ROW_STRINGS + 1] = c->eos;
    text all = { 0 };
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        text_printf(&all, "%zu:%s\n", strings[i] ? strlen(strings[i]) + 1 : 0,
                    strings[i] ? strings[i] : "");
    text_printf(&all, "%u %u %u %d %d %d", r->system.place, r->system.later, r->trim, r->alternate,
                r->thoughts, tokenizer_adds_bos(c->t));
    sha256_hex(all.p ? all.p : "", all.n, c->hash);
    text_finish(&all);
}

const char *chat_template_today(const chat_template *c)
{
    const char *strings[ROW_STRINGS];
    row_strings(&c->row, strings);
    for (size_t i = 0; !c->row.date && i < ROW_STRINGS; i++)
        if (strings[i] && strstr(strings[i], "{date}"))
            return c->today;
    return NULL;
}

static void add_stop(chat_template *c, int32_t id)
{
    for (size_t i = 0; i < c->n_stops; i++)
        if (c->stops[i] == id)
            return;
    if (id >= 0 && c->n_stops < MAX_STOPS)
        c->stops[c->n_stops++] = id;
}

/* The end of turn must be one token: a model can only stop at what it can say at once. */
static hone_status find_stops(chat_template *c, hone_error *err)
{
    const template_words w = words_of(c);
    text end = { 0 };
    tokens k = { 0 };
    hone_status st = HONE_OK;
    template_mark(&end, c->row.assistant.end, &w, c->today);
    if (end.failed)
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory to open template %s", c->row.name);
    else if (!end.n)
        st = hone_fail(
            err, HONE_ERR_FORMAT,
            "template %s: an answer ends with \"%s\", and the tokenizer has no EOS; take another "
            "template, or name eos_token in tokenizer_config.json",
            c->row.name, c->row.assistant.end);
    else
        st = tokenizer_encode(c->t, end.p, end.n, ENCODE_SPECIAL, &k, NULL, err);
    if (!st && k.n != 1)
        st = hone_fail(
            err, HONE_ERR_FORMAT,
            "template %s: an answer ends with \"%s\", which is no token of this tokenizer; take "
            "a template made for the model",
            c->row.name, end.p);
    if (!st) {
        add_stop(c, k.p[0].id);
        add_stop(c, tokenizer_eos(c->t));
    }
    text_finish(&end);
    tokens_finish(&k);
    return st;
}

static const template_row *row_named(const char *name)
{
    for (const template_row *r = template_rows; r->name; r++)
        if (!strcmp(r->name, name))
            return r;
    return NULL;
}

/* A user's file: Jinja by its ending, which has to be a known template; else a row as JSON. */
static hone_status open_own(chat_template *c, const char *path, hone_error *err)
{
    static const char jinja_end[] = ".jinja";
    const template_words w = words_of(c);
    const size_t n_path = strlen(path), n_end = sizeof jinja_end - 1;
    char *p = NULL;
    size_t n = 0;
    if (n_path > n_end && !strcmp(path + n_path - n_end, jinja_end))
        return template_model_open_file(&c->model, &c->row, path, &w, err);
    hone_status st = file_read(&p, &n, path, OWN_FILE_LIMIT, err);
    if (!st)
        st = template_row_parse(&c->row, &c->keep, p, n, path, err);
    free(p);
    return st;
}

static hone_status unknown_name(const char *choice, hone_error *err)
{
    const char *const *names = chat_template_names();
    size_t n = 0;
    while (names[n])
        n++;
    const char *near = nearest_name(choice, names, n);
    text list = { 0 };
    template_rows_list(&list);
    const hone_status st =
        hone_fail(err, HONE_ERR_NOTFOUND,
                  "template \"%s\" is neither a known name nor a file%s%s%s; known: auto, "
                  "%s; docs/templates.md says how to write your own file",
                  choice, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "",
                  list.p ? list.p : "?");
    text_finish(&list);
    return st;
}

static hone_status copy_piece(char **out, const tokenizer *t, int32_t id, hone_error *err)
{
    const char *piece = id >= 0 ? tokenizer_piece(t, id) : NULL;
    *out = mem_strdup(piece ? piece : "");
    return *out ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "no memory to open a chat template");
}

static void set_today(chat_template *c)
{
    static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    const time_t now = time(NULL);
    struct tm day;
    if (localtime_r(&now, &day)) /* strftime() would write the month in the user's language */
        (void)snprintf(c->today, sizeof c->today, "%02d %s %04d", day.tm_mday,
                       months[day.tm_mon % 12], (day.tm_year + 1900) % 10000);
}

/* No template at all: raw text needs none, and who renders hears why. */
static hone_status open_none(chat_template *c, const char *why, hone_error *err)
{
    c->row = (template_row){ .name = "none" };
    c->why = mem_strdup(why);
    if (!c->why)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory to open a chat template");
    add_stop(c, tokenizer_eos(c->t));
    return HONE_OK;
}

static hone_status open_auto(chat_template *c, const char *model_dir, hone_error *err)
{
    const template_words w = words_of(c);
    hone_error why = { 0 };
    const hone_status st = template_model_open(&c->model, &c->row, model_dir, &w, &why);
    if (st == HONE_ERR_NOTFOUND)
        return open_none(c, why.message, err);
    if (st && err)
        *err = why;
    return st ? st : find_stops(c, err);
}

static hone_status open_choice(chat_template *c, const char *choice, hone_error *err)
{
    const template_row *named = row_named(choice);
    hone_status st = HONE_OK;
    if (!strcmp(choice, "none"))
        return open_none(c, "template is \"none\", and a conversation needs one: name it", err);
    if (named)
        c->row = *named;
    else if (path_exists(choice) && !path_is_dir(choice))
        st = open_own(c, choice, err);
    else
        st = unknown_name(choice, err);
    return st ? st : find_stops(c, err);
}

hone_status chat_template_open(chat_template **out, const char *choice, const char *model_dir,
                               const tokenizer *t, hone_error *err)
{
    hone_status st;
    const bool chosen = choice && *choice && strcmp(choice, "auto") != 0;
    chat_template *c = mem_new(1, sizeof *c);
    if (!c)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory to open a chat template");
    c->t = t;
    set_today(c);
    if ((st = copy_piece(&c->bos, t, tokenizer_bos(t), err)) ||
        (st = copy_piece(&c->eos, t, tokenizer_eos(t), err)) ||
        (st = chosen ? open_choice(c, choice, err) : open_auto(c, model_dir, err)))
        goto out;
    if (!c->why)
        hash_row(c);
    *out = c;
    c = NULL;
out:
    chat_template_close(c);
    return st;
}

/* ----------------------------------------------------------------------- rendering */

hone_status chat_template_render(const chat_template *c, const message *m, size_t n,
                                 bool generation_prompt, const char *date, rendered *out,
                                 hone_error *err)
{
    const template_words w = words_of(c);
    rendered r = { 0 };
    if (c->why)
        return hone_fail(err, HONE_ERR_NOTFOUND, "%s", c->why);
    hone_status st = template_row_render(&c->row, &w, m, n, generation_prompt, date, &r, err);
    if (!st && c->model)
        st = template_model_check(c->model, c->row.name, &w, m, n, generation_prompt, date, &r.text,
                                  err);
    if (!st) {
        rendered_finish(out);
        *out = r;
        r = (rendered){ 0 };
    }
    rendered_finish(&r);
    return st;
}

hone_status template_encode(const chat_template *c, const message *m, size_t n,
                            bool generation_prompt, const char *date, rendered *r, tokens *ids,
                            encode_losses *lost, hone_error *err)
{
    const hone_status st = chat_template_render(c, m, n, generation_prompt, date, r, err);
    if (st)
        return st;
    return tokenizer_encode(c->t, r->text.p, r->text.n, ENCODE_SPECIAL, ids, lost, err);
}

void template_label(const tokens *ids, const span *spans, size_t n_spans, int32_t *labels)
{
    size_t s = 0;
    for (size_t i = 0; i < ids->n; i++) {
        while (s < n_spans && ids->p[i].start >= spans[s].end)
            s++;
        const bool inside = s < n_spans && ids->p[i].start >= spans[s].start;
        labels[i] = inside ? ids->p[i].id : LABEL_MASKED;
    }
}

hone_status chat_template_encode(const chat_template *c, const message *m, size_t n,
                                 bool generation_prompt, const char *date, tokens *ids,
                                 int32_t **labels, encode_losses *lost, hone_error *err)
{
    rendered r = { 0 };
    tokens k = { 0 };
    int32_t *l = NULL;
    hone_status st = template_encode(c, m, n, generation_prompt, date, &r, &k, lost, err);
    if (st)
        goto out;
    if (labels) {
        l = mem_new(k.n, sizeof *l);
        if (!l) {
            st = hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu labels", k.n);
            goto out;
        }
        template_label(&k, r.spans, r.n_spans, l);
        *labels = l;
    }
    tokens_finish(ids);
    *ids = k;
    k = (tokens){ 0 };
out:
    rendered_finish(&r);
    tokens_finish(&k);
    return st;
}
