/*
 * template_model.c - the chat template that a model's own files bring.
 *
 * transformers takes chat_template.jinja before tokenizer_config.json's
 * "chat_template", which is a text or a list of named ones ("default" counts);
 * chat_template.json is where processors keep it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/template.h"

#include <stdlib.h>

#define TEMPLATE_LIMIT ((size_t)4 << 20)

struct template_model {
    char *source; /* owned */
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

hone_status template_model_open(template_model **out, template_row *self, const char *model_dir,
                                const template_words *words, hone_error *err)
{
    char *source = NULL, *from = NULL;
    text names = { 0 };
    (void)out;
    (void)self;
    (void)words;
    hone_status st = read_source(&source, &from, model_dir, err);
    template_rows_list(&names);
    if (!st && !source)
        st = hone_fail(
            err, HONE_ERR_NOTFOUND,
            "%s: the model's files bring no chat template (a base model?); set template to one "
            "of: %s; or to a file of your own (docs/templates.md)",
            model_dir, names.p ? names.p : "?");
    else if (!st)
        st = hone_fail(
            err, HONE_ERR_UNSUPPORTED,
            "%s: this chat template is not a known one; set template to one of: %s; or to a file "
            "of your own (docs/templates.md)",
            from, names.p ? names.p : "?");
    text_finish(&names);
    free(source);
    free(from);
    return st;
}

void template_model_close(template_model *m)
{
    if (!m)
        return;
    free(m->source);
    free(m);
}

hone_status template_model_check(const template_model *model, const template_words *words,
                                 const message *m, size_t n, bool generation_prompt,
                                 const char *date, const text *words_out, hone_error *err)
{
    (void)model;
    (void)words;
    (void)m;
    (void)n;
    (void)generation_prompt;
    (void)date;
    (void)words_out;
    return hone_fail(err, HONE_ERR_UNSUPPORTED, "the model's own chat template cannot be run");
}
