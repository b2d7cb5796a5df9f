/*
 * template_model.c - the chat template that a model's own files bring, and which row of
 * the table is the same.
 *
 * transformers takes chat_template.jinja before tokenizer_config.json's
 * "chat_template", which is a text or a list of named ones ("default" counts);
 * chat_template.json is where processors keep it.
 *
 * A row is recognised by what the template writes, not by how it is written: both
 * render a few hundred conversations that are made to tell templates apart (every
 * order of roles, edges of white space, thoughts, no words at all), and have to agree
 * on all, refusals included. Published templates come in many spellings; one changed
 * word of output makes another template of them. What no probe thought of is caught
 * later: every conversation that is rendered is rendered by both.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/jinja.h"
#include "core/data/template.h"

#include <stdlib.h>

#define TEMPLATE_LIMIT ((size_t)4 << 20) /* bytes of a template file */

struct template_model {
    jinja *program; /* owned */
    char *from;     /* owned: the file it came from */
};

/* One of a list [{"name": ..., "template": ...}], or the text itself. */
static hone_status pick_template(char **out, const json_t *v, const char *path, hone_error *err)
{
    size_t i;
    const json_t *o;
    json_array_foreach(v, i, o)
    {
        const char *name = json_string_value(json_object_get(o, "name"));
        if (name && !strcmp(name, "default")) {
            v = json_object_get(o, "template");
            break;
        }
    }
    if (!v || json_is_null(v))
        return HONE_OK;
    if (!json_is_string(v))
        return hone_fail(
            err, HONE_ERR_FORMAT,
            "%s: \"chat_template\" is neither a text nor a list with one named default", path);
    *out = mem_strdup(json_string_value(v));
    return *out ? HONE_OK
                : hone_fail(err, HONE_ERR_NOMEM, "no memory for the chat template of %s", path);
}

static hone_status read_source(char **out, char **from, const char *dir, hone_error *err)
{
    static const struct {
        const char *name;
        bool json;
    } files[] = { { "chat_template.jinja", false },
                  { "tokenizer_config.json", true },
                  { "chat_template.json", true } };
    hone_status st = HONE_OK;
    for (size_t i = 0; i < sizeof files / sizeof *files && !*out && !st; i++) {
        char *path = path_join(dir, files[i].name);
        json_t *root = NULL;
        if (!path)
            return hone_fail(err, HONE_ERR_NOMEM, "no memory to look into %s", dir);
        if (!path_exists(path)) {
            free(path);
            continue;
        }
        if (!files[i].json)
            st = file_read(out, NULL, path, TEMPLATE_LIMIT, err);
        else if (!(st = json_read(&root, path, err)))
            st = pick_template(out, json_object_get(root, "chat_template"), path, err);
        json_decref(root);
        if (*out)
            *from = path;
        else
            free(path);
    }
    return st;
}

/* ------------------------------------------------------------------------- probes */

/* Roles by letter; each conversation takes its words from each of the lists in turn. */
static const char *const probe_roles[] = { "u",    "su",    "ua",   "uau",    "sua", "suau",
                                           "uaua", "suaua", "s",    "uu",     "au",  "uasu",
                                           "ssu",  "us",    "usu",  "a",      "aa",  "uaa",
                                           "sa",   "uuaa",  "uaus", "suauaua" };

#define PROBE_WORDS 7
static const char *const probe_words[][PROBE_WORDS] = {
    { "one", "two", "three", "four", "five", "six", "seven" },
    { "  a \n", "\n\nb", " c\t",
      "\xc2\xa0"
      "d\xe2\x80\x83",
      " e\r\n f ", "\n", "  " },
    { "", "", "", "", "", "", "" },
    { "<think>\nwhy\n</think>\n\nso", "<think>\n\nhow\n\n</think>\n\n\nthus", "no</think>yes",
      "<think></think>", "<think>\nopen", "a</think>b</think>c", "<think>x<think>y</think>\nz" },
    { "<tool_response>a</tool_response>", "x", "<tool_response>b</tool_response>", "y",
      "<tool_response>c", "z", "<tool_response></tool_response>" },
    { "<<SYS>>\nx\n<</SYS>>\n\ny", "[INST] z [/INST]", "{{ bos_token }}", "<|im_end|>\n",
      "{date} {bos}", "{content}", "{system}" },
};
#define COUNT(table) (sizeof(table) / sizeof *(table))
#define N_PROBES (COUNT(probe_roles) * COUNT(probe_words) * 4)

typedef struct probe {
    message m[PROBE_WORDS];
    size_t n;
    bool generation_prompt;
    const char *date;
} probe;

static probe make_probe(size_t i)
{
    static const char letters[] = "rsua";
    probe p = { .generation_prompt = i & 1, .date = i & 2 ? "05 Mar 2025" : NULL };
    const char *roles = probe_roles[(i >> 2) % COUNT(probe_roles)];
    const char *const *words = probe_words[(i >> 2) / COUNT(probe_roles)];
    for (; roles[p.n]; p.n++)
        p.m[p.n] = (message){ .role = (uint32_t)(strchr(letters, roles[p.n]) - letters),
                              .content = hone_s(words[p.n]) };
    return p;
}

static hone_status run_own(const jinja *program, const template_words *words, const message *m,
                           size_t n, bool generation_prompt, const char *date, text *out,
                           hone_error *err)
{
    const jinja_input in = { .m = m,
                             .n = n,
                             .generation_prompt = generation_prompt,
                             .bos = words->bos,
                             .eos = words->eos,
                             .date = date,
                             .today = words->today };
    return jinja_render(program, &in, out, err);
}

/* Is it what the row says? own_st: what the model's template answered. */
static bool agrees(const template_row *self, const template_words *words, const probe *p,
                   hone_status own_st, const text *own)
{
    rendered r = { 0 };
    const hone_status st =
        template_row_render(self, words, p->m, p->n, p->generation_prompt, p->date, &r, NULL);
    const bool same = st || own_st
                          ? (st != 0) == (own_st != 0)
                          : r.text.n == own->n && !memcmp(r.text.p, own->p ? own->p : "", own->n);
    rendered_finish(&r);
    return same;
}

static const char *role_list(const probe *p, char *out, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < p->n && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s", i ? ", " : "", role_name(p->m[i].role));
    return out;
}

/* The first row that agrees on all probes. */
static hone_status recognise(const jinja *program, const char *from, const template_words *words,
                             template_row *out, hone_error *err)
{
    size_t disagreed[64], best = 0, n_rows = 0;
    char roles[80];
    hone_status st = HONE_OK;
    text own = { 0 }, names = { 0 };
    const template_words then = { words->bos, words->eos, words->adds_bos, "01 Jan 1999" };
    while (template_rows[n_rows].name && n_rows < COUNT(disagreed))
        disagreed[n_rows++] = N_PROBES;
    for (size_t i = 0; i < N_PROBES; i++) {
        const probe p = make_probe(i);
        text_clear(&own);
        st = run_own(program, &then, p.m, p.n, p.generation_prompt, p.date, &own, err);
        if (st && st != HONE_ERR_FORMAT) { /* not a refusal: it cannot be run here */
            (void)hone_prefix(err,
                              "the chat template uses what hone does not run; set template to a "
                              "known name or a file of your own (docs/templates.md)");
            goto out;
        }
        for (size_t k = 0; k < n_rows; k++)
            if (disagreed[k] == N_PROBES && !agrees(&template_rows[k], &then, &p, st, &own))
                disagreed[k] = i;
    }
    for (size_t k = 0; k < n_rows; k++)
        best = disagreed[k] > disagreed[best] ? k : best;
    if (disagreed[best] == N_PROBES) {
        *out = template_rows[best];
        st = HONE_OK;
        goto out;
    }
    const probe p = make_probe(disagreed[best]);
    template_rows_list(&names);
    st = hone_fail(
        err, HONE_ERR_UNSUPPORTED,
        "%s: this chat template is not a known one (nearest: %s, which differs for turns of %s); "
        "set template to one of: %s; or to a file of your own (docs/templates.md)",
        from, template_rows[best].name, role_list(&p, roles, sizeof roles),
        names.p ? names.p : "?");
out:
    text_finish(&own);
    text_finish(&names);
    return st;
}

/* --------------------------------------------------------------------------- doors */

/* From a source that is the caller's; m->from is set. */
static hone_status open_source(template_model *m, const char *source, template_row *self,
                               const template_words *words, hone_error *err)
{
    const hone_status st = jinja_parse(&m->program, source, strlen(source), m->from, err);
    return st ? st : recognise(m->program, m->from, words, self, err);
}

hone_status template_model_open(template_model **out, template_row *self, const char *model_dir,
                                const template_words *words, hone_error *err)
{
    char *source = NULL;
    text names = { 0 };
    hone_status st = HONE_OK;
    template_model *m = mem_new(1, sizeof *m);
    if (!m)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a chat template");
    if (model_dir && (st = read_source(&source, &m->from, model_dir, err)))
        goto out;
    if (!source) {
        template_rows_list(&names);
        st = hone_fail(
            err, HONE_ERR_NOTFOUND,
            "%s: the model's files bring no chat template (a base model?); set template to one "
            "of: %s; or to a file of your own (docs/templates.md)",
            model_dir ? model_dir : "no model folder", names.p ? names.p : "?");
        goto out;
    }
    if ((st = open_source(m, source, self, words, err)))
        goto out;
    *out = m;
    m = NULL;
out:
    template_model_close(m);
    text_finish(&names);
    free(source);
    return st;
}

hone_status template_model_open_file(template_model **out, template_row *self, const char *path,
                                     const template_words *words, hone_error *err)
{
    char *source = NULL;
    hone_status st;
    template_model *m = mem_new(1, sizeof *m);
    if (!m || !(m->from = mem_strdup(path))) {
        template_model_close(m);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a chat template");
    }
    if ((st = file_read(&source, NULL, path, TEMPLATE_LIMIT, err)) ||
        (st = open_source(m, source, self, words, err)))
        goto out;
    *out = m;
    m = NULL;
out:
    template_model_close(m);
    free(source);
    return st;
}

void template_model_close(template_model *m)
{
    if (!m)
        return;
    jinja_free(m->program);
    free(m->from);
    free(m);
}

hone_status template_model_check(const template_model *model, const char *name,
                                 const template_words *words, const message *m, size_t n,
                                 bool generation_prompt, const char *date, const text *ours,
                                 hone_error *err)
{
    text own = { 0 };
    size_t at = 0;
    hone_status st = run_own(model->program, words, m, n, generation_prompt, date, &own, err);
    if (!st) {
        while (at < own.n && at < ours->n && own.p[at] == ours->p[at])
            at++;
        if (at < own.n || at < ours->n)
            st = hone_fail(
                err, HONE_ERR_UNSUPPORTED,
                "the model's own chat template (%s) writes this conversation otherwise than %s "
                "from byte %zu on; set template to %s if that is wanted, or to a file of your own",
                model->from, name, at, name);
    }
    text_finish(&own);
    return st;
}
