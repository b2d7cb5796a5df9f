/*
 * tokenizer_parts.c - the components of a tokenizer.json, by name.
 *
 * Sequences are flattened: a sequence in a sequence means its members in a row. A
 * name that is not in the tables is refused with the list of those that are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_impl.h"

#include <stdlib.h>

#define MAX_COMPONENTS 64

typedef hone_status (*component_parse)(tokenizer *t, const json_t *o, int kind, hone_error *err);

typedef struct component {
    const char *name;
    component_parse parse;
    int kind;
    const char *keys; /* besides "type"; what the file says under any other is refused */
} component;

/* ---------------------------------------------------------------------- small readers */

static hone_status bad_value(const tokenizer *t, const char *type, const char *key,
                             const char *want, hone_error *err)
{
    return hone_fail(err, HONE_ERR_FORMAT, "%s: %s: \"%s\" is missing or no %s", t->what,
                     quoted_s(type).s, key, want);
}

static const char *type_of(const json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    return type ? type : "component without \"type\"";
}

static hone_status get_bool(const tokenizer *t, const json_t *o, const char *key,
                            const bool *absent, bool *out, hone_error *err)
{
    const json_t *v = json_object_get(o, key);
    if ((!v || json_is_null(v)) && absent) {
        *out = *absent;
        return HONE_OK;
    }
    if (!json_is_boolean(v))
        return bad_value(t, type_of(o), key, "boolean", err);
    *out = json_is_true(v);
    return HONE_OK;
}

static hone_status get_text(const tokenizer *t, const json_t *o, const char *key, char **out,
                            size_t *n, hone_error *err)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_string(v))
        return bad_value(t, type_of(o), key, "string", err);
    *out = json_plain(t, v, n);
    return *out ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for components", t->what);
}

static hone_status get_char(const tokenizer *t, const json_t *o, const char *key, char out[5],
                            hone_error *err)
{
    const json_t *v = json_object_get(o, key);
    const char *s = json_string_value(v);
    if (!s || json_string_length(v) == 0 || uc_len(*s) != json_string_length(v) ||
        (*t->nul && strcmp(s, t->nul) == 0))
        return bad_value(t, type_of(o), key, "single character", err);
    memcpy(out, s, json_string_length(v) + 1);
    return HONE_OK;
}

static hone_status get_count(const tokenizer *t, const json_t *o, const char *key, int64_t *out,
                             hone_error *err)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return bad_value(t, type_of(o), key, "count", err);
    *out = json_integer_value(v);
    return HONE_OK;
}

/* {"String": ...} or {"Regex": ...}; *p is fresh. */
static hone_status get_pattern(const tokenizer *t, const json_t *o, char **p, size_t *n,
                               bool *literal, hone_error *err)
{
    const json_t *pattern = json_object_get(o, "pattern");
    const json_t *v = json_object_get(pattern, "String");
    *literal = v != NULL;
    if (!v)
        v = json_object_get(pattern, "Regex");
    if (!json_is_string(v))
        return bad_value(t, type_of(o), "pattern", "String or Regex", err);
    if (json_string_length(v) == 0)
        return hone_fail(err, HONE_ERR_UNSUPPORTED,
                         "%s: %s has an empty pattern, which is not supported", t->what,
                         type_of(o));
    *p = json_plain(t, v, n);
    return *p ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for components", t->what);
}

/* The pattern of o, compiled. */
static hone_status open_pattern(const tokenizer *t, const json_t *o, regex **out, hone_error *err)
{
    char where[96];
    char *p = NULL;
    size_t n = 0;
    bool literal;
    hone_status status = get_pattern(t, o, &p, &n, &literal, err);
    (void)snprintf(where, sizeof where, "%s: %s", t->what, type_of(o));
    if (!status)
        status = regex_open(out, p, n, literal, where, err);
    free(p);
    return status;
}

static hone_status no_room(const tokenizer *t, size_t n, hone_error *err)
{
    return n > MAX_COMPONENTS
               ? hone_fail(err, HONE_ERR_LIMIT, "%s: more than %d components in a row", t->what,
                           MAX_COMPONENTS)
               : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for components", t->what);
}

/* ------------------------------------------------------------------------ normalizers */

static normalizer *norm_add(tokenizer *t, int kind, hone_error *err)
{
    if (t->n_norms >= MAX_COMPONENTS ||
        !mem_grow(&t->norms, &t->cap_norms, t->n_norms + 1, sizeof *t->norms)) {
        (void)no_room(t, t->n_norms + 1, err);
        return NULL;
    }
    t->norms[t->n_norms] = (normalizer){ .kind = kind };
    return t->norms + t->n_norms++;
}

static hone_status norm_plain(tokenizer *t, const json_t *o, int kind, hone_error *err)
{
    (void)o;
    return norm_add(t, kind, err) ? HONE_OK : HONE_ERR_NOMEM;
}

static hone_status norm_prepend(tokenizer *t, const json_t *o, int kind, hone_error *err)
{
    normalizer *m = norm_add(t, kind, err);
    return m ? get_text(t, o, "prepend", &m->text, &m->n, err) : HONE_ERR_NOMEM;
}

static hone_status norm_replace(tokenizer *t, const json_t *o, int kind, hone_error *err)
{
    normalizer *m = norm_add(t, kind, err);
    bool literal;
    hone_status status = m ? get_text(t, o, "content", &m->text, &m->n, err) : HONE_ERR_NOMEM;
    if (!status)
        status = get_pattern(t, o, &m->pattern, &m->n_pattern, &literal, err);
    return status || literal ? status : open_pattern(t, o, &m->re, err);
}

static hone_status norm_strip(tokenizer *t, const json_t *o, int kind, hone_error *err)
{
    normalizer *m = norm_add(t, kind, err);
    hone_status status = m ? get_bool(t, o, "strip_left", NULL, &m->left, err) : HONE_ERR_NOMEM;
    return status ? status : get_bool(t, o, "strip_right", NULL, &m->right, err);
}

static const component normalizers[] = {
    { "NFC", norm_plain, NORM_NFC, "" },
    { "NFD", norm_plain, NORM_NFD, "" },
    { "NFKC", norm_plain, NORM_NFKC, "" },
    { "NFKD", norm_plain, NORM_NFKD, "" },
    { "Lowercase", norm_plain, NORM_LOWERCASE, "" },
    { "ByteLevel", norm_plain, NORM_BYTELEVEL, "" },
    { "Prepend", norm_prepend, NORM_PREPEND, "prepend" },
    { "Replace", norm_replace, NORM_REPLACE, "pattern content" },
    { "Strip", norm_strip, NORM_STRIP, "strip_left strip_right" },
    { NULL, NULL, 0, NULL },
};

/* --------------------------------------------------------------------- pre-tokenizers */

static pre_tokenizer *pre_add(tokenizer *t, int kind, hone_error *err)
{
    if (t->n_pres >= MAX_COMPONENTS ||
        !mem_grow(&t->pres, &t->cap_pres, t->n_pres + 1, sizeof *t->pres)) {
        (void)no_room(t, t->n_pres + 1, err);
        return NULL;
    }
    t->pres[t->n_pres] = (pre_tokenizer){ .kind = kind };
    return t->pres + t->n_pres++;
}

static hone_status pre_bytelevel(tokenizer *t, const json_t *o, int kind, hone_error *err)
{
    static const bool yes = true;
    pre_tokenizer *m = pre_add(t, kind, err);
    hone_status status;
    if (!m)
        return HONE_ERR_NOMEM;
    status = get_bool(t, o, "add_prefix_space", NULL, &m->prefix_space, err);
    if (!status)
        status = get_bool(t, o, "use_regex", &yes, &m->use_regex, err);
    if (!status && !pre_add(t, PRE_MAP, err))
        status = HONE_ERR_NOMEM;
    return status;
}

static hone_status pre_digits(tokenizer *t, const json_t *o, int kind, hone_error *err)
{
    pre_tokenizer *m = pre_add(t, kind, err);
    return m ? get_bool(t, o, "individual_digits", NULL, &m->individual, err) : HONE_ERR_NOMEM;
}

static hone_status get_scheme(const tokenizer *t, const json_t *o, int *scheme, hone_error *err)
{
    static const char *const names[] = { "always", "first", "never" }; /* in SCHEME_ order */
    const json_t *v = json_object_get(o, "prepend_scheme");
    const char *name = v ? json_string_value(v) : "always";
    for (*scheme = SCHEME_ALWAYS; name && *scheme <= SCHEME_NEVER; ++*scheme)
        if (strcmp(name, names[*scheme]) == 0)
            break;
    if (!name || *scheme > SCHEME_NEVER)
        return bad_value(t, "Metaspace", "prepend_scheme", "\"always\", \"first\" or \"never\"",
                         err);
    if (json_is_false(json_object_get(o, "add_prefix_space")) && *scheme != SCHEME_NEVER)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: Metaspace: add_prefix_space is false, but prepend_scheme is \"%s\"",
                         t->what, name);
    return HONE_OK;
}

static hone_status pre_metaspace(tokenizer *t, const json_t *o, int kind, hone_error *err)
{
    static const bool yes = true;
    pre_tokenizer *m = pre_add(t, kind, err);
    hone_status status = m ? get_char(t, o, "replacement", m->mark, err) : HONE_ERR_NOMEM;
    if (!status)
        status = get_scheme(t, o, &m->scheme, err);
    return status ? status : get_bool(t, o, "split", &yes, &m->split, err);
}

static hone_status pre_split(tokenizer *t, const json_t *o, int kind, hone_error *err)
{
    static const char *const names[] = { "Isolated", "Removed", "MergedWithPrevious",
                                         "MergedWithNext", "Contiguous" }; /* in SPLIT_ order */
    const char *behavior = json_string_value(json_object_get(o, "behavior"));
    const char *pattern =
        json_string_value(json_object_get(json_object_get(o, "pattern"), "Regex"));
    pre_tokenizer *m = pre_add(t, kind, err);
    hone_status status = m ? get_bool(t, o, "invert", NULL, &m->invert, err) : HONE_ERR_NOMEM;
    if (status)
        return status;
    for (m->behavior = 0; behavior && m->behavior <= SPLIT_CONTIGUOUS; m->behavior++)
        if (strcmp(names[m->behavior], behavior) == 0)
            break;
    if (!behavior || m->behavior > SPLIT_CONTIGUOUS)
        return bad_value(t, "Split", "behavior", "known behavior", err);
    /* a published pattern matches everywhere: isolating matches and removing what is
     * between them are the same */
    if (pattern && (m->behavior == SPLIT_ISOLATED || (m->behavior == SPLIT_REMOVED && m->invert)))
        m->scan = scanner_find(pattern);
    return m->scan ? HONE_OK : open_pattern(t, o, &m->re, err);
}

static const component pre_tokenizers[] = {
    { "ByteLevel", pre_bytelevel, PRE_BYTELEVEL, "add_prefix_space trim_offsets use_regex" },
    { "Digits", pre_digits, PRE_DIGITS, "individual_digits" },
    { "Metaspace", pre_metaspace, PRE_METASPACE,
      "replacement prepend_scheme split add_prefix_space str_rep" },
    { "Split", pre_split, PRE_SPLIT, "pattern behavior invert" },
    { NULL, NULL, 0, NULL },
};

/* --------------------------------------------------------------------------- decoders */

static decoder *dec_add(tokenizer *t, int kind, hone_error *err)
{
    if (t->n_decs >= MAX_COMPONENTS ||
        !mem_grow(&t->decs, &t->cap_decs, t->n_decs + 1, sizeof *t->decs)) {
        (void)no_room(t, t->n_decs + 1, err);
        return NULL;
    }
    t->decs[t->n_decs] = (decoder){ .kind = kind };
    return t->decs + t->n_decs++;
}

static hone_status dec_plain(tokenizer *t, const json_t *o, int kind, hone_error *err)
{
    (void)o;
    return dec_add(t, kind, err) ? HONE_OK : HONE_ERR_NOMEM;
}

static hone_status dec_metaspace(tokenizer *t, const json_t *o, int kind, hone_error *err)
{
    decoder *d = dec_add(t, kind, err);
    int scheme;
    hone_status status = d ? get_char(t, o, "replacement", d->mark, err) : HONE_ERR_NOMEM;
    if (!status)
        status = get_scheme(t, o, &scheme, err);
    if (!status)
        d->drop_first = scheme != SCHEME_NEVER;
    return status;
}

static hone_status dec_replace(tokenizer *t, const json_t *o, int kind, hone_error *err)
{
    decoder *d = dec_add(t, kind, err);
    hone_status status = d ? get_text(t, o, "content", &d->text, &d->n, err) : HONE_ERR_NOMEM;
    return status ? status : open_pattern(t, o, &d->re, err);
}

static hone_status dec_strip(tokenizer *t, const json_t *o, int kind, hone_error *err)
{
    decoder *d = dec_add(t, kind, err);
    hone_status status = d ? get_char(t, o, "content", d->mark, err) : HONE_ERR_NOMEM;
    if (!status)
        status = get_count(t, o, "start", &d->start, err);
    return status ? status : get_count(t, o, "stop", &d->stop, err);
}

static const component decoders[] = {
    { "ByteLevel", dec_plain, DEC_BYTELEVEL, "add_prefix_space trim_offsets use_regex" },
    { "ByteFallback", dec_plain, DEC_BYTE_FALLBACK, "" },
    { "Fuse", dec_plain, DEC_FUSE, "" },
    { "Metaspace", dec_metaspace, DEC_METASPACE,
      "replacement prepend_scheme split add_prefix_space str_rep" },
    { "Replace", dec_replace, DEC_REPLACE, "pattern content" },
    { "Strip", dec_strip, DEC_STRIP, "content start stop" },
    { NULL, NULL, 0, NULL },
};

/* --------------------------------------------------------------------- post-processors */

static hone_status post_nothing(tokenizer *t, const json_t *o, int kind, hone_error *err)
{
    (void)t;
    (void)o;
    (void)kind;
    (void)err;
    return HONE_OK; /* ByteLevel only trims offsets; ours are exact as they are */
}

/* Ids of one special token of a template, appended to ids. */
static hone_status template_ids(const tokenizer *t, const json_t *o, const char *name, int32_t *ids,
                                size_t *n, hone_error *err)
{
    const json_t *list =
        json_object_get(json_object_get(json_object_get(o, "special_tokens"), name), "ids");
    size_t i;
    if (!json_is_array(list))
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: TemplateProcessing: \"%s\" is not in special_tokens", t->what,
                         quoted_s(name).s);
    for (i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= t->n)
            return hone_fail(
                err, HONE_ERR_FORMAT,
                "%s: TemplateProcessing: \"%s\" stands for an id that is not in the vocabulary",
                t->what, quoted_s(name).s);
        if (*n == MAX_EDGE)
            return hone_fail(err, HONE_ERR_LIMIT, "%s: TemplateProcessing adds more than %d ids",
                             t->what, MAX_EDGE);
        ids[(*n)++] = (int32_t)json_integer_value(v);
    }
    return HONE_OK;
}

static hone_status post_template(tokenizer *t, const json_t *o, int kind, hone_error *err)
{
    const json_t *single = json_object_get(o, "single");
    int32_t before[MAX_EDGE], after[MAX_EDGE];
    size_t n_before = 0, n_after = 0, i;
    bool seen = false;
    hone_status status = HONE_OK;
    (void)kind;
    if (!json_is_array(single))
        return bad_value(t, "TemplateProcessing", "single", "list", err);
    for (i = 0; i < json_array_size(single) && !status; i++) {
        const json_t *entry = json_array_get(single, i);
        const json_t *sequence = json_object_get(entry, "Sequence");
        const char *name =
            json_string_value(json_object_get(json_object_get(entry, "SpecialToken"), "id"));
        const char *which = json_string_value(json_object_get(sequence, "id"));
        if (name) {
            status =
                template_ids(t, o, name, seen ? after : before, seen ? &n_after : &n_before, err);
        } else if (which && strcmp(which, "A") == 0 && !seen) {
            seen = true;
        } else {
            status =
                hone_fail(err, HONE_ERR_UNSUPPORTED,
                          "%s: TemplateProcessing: piece %zu of \"single\" is no special token and "
                          "not the only sequence A",
                          t->what, i);
        }
    }
    if (!status && !seen)
        status = hone_fail(err, HONE_ERR_UNSUPPORTED,
                           "%s: TemplateProcessing: \"single\" has no sequence A", t->what);
    if (!status && (n_before + t->n_before > MAX_EDGE || n_after + t->n_after > MAX_EDGE))
        status = hone_fail(err, HONE_ERR_LIMIT, "%s: post-processors add more than %d ids", t->what,
                           MAX_EDGE);
    if (status)
        return status;
    memmove(t->before + n_before, t->before,
            t->n_before * sizeof *before); /* a later one goes around */
    memcpy(t->before, before, n_before * sizeof *before);
    memcpy(t->after + t->n_after, after, n_after * sizeof *after);
    t->n_before += n_before;
    t->n_after += n_after;
    return HONE_OK;
}

static const component post_processors[] = {
    { "ByteLevel", post_nothing, 0, "add_prefix_space trim_offsets use_regex" },
    { "TemplateProcessing", post_template, 0, "single pair special_tokens" },
    { NULL, NULL, 0, NULL },
};

/* ---------------------------------------------------------------------------- any kind */

static hone_status unknown(const tokenizer *t, const char *family, const component *table,
                           const char *type, hone_error *err)
{
    text names = { 0 };
    hone_status status;
    for (; table->name; table++)
        text_printf(&names, "%s, ", table->name);
    status =
        hone_fail(err, HONE_ERR_UNSUPPORTED, "%s: %s \"%s\" is not supported (known: %sSequence)",
                  t->what, family, quoted_s(type).s, names.p ? names.p : "");
    text_finish(&names);
    return status;
}

/* member: the key under which a Sequence of this family lists its members */
static hone_status parse(tokenizer *t, const json_t *o, const char *family, const char *member,
                         const component *table, hone_error *err)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    const component *c;
    size_t i;
    if (!o || json_is_null(o))
        return HONE_OK;
    if (!type)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: a %s has no \"type\"", t->what, family);
    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(o, member);
        hone_status status = keys_check(t, o, "Sequence", member, err);
        if (!status && !json_is_array(list))
            return bad_value(t, "Sequence", member, "list", err);
        for (i = 0; i < json_array_size(list) && !status; i++)
            status = parse(t, json_array_get(list, i), family, member, table, err);
        return status;
    }
    for (c = table; c->name; c++)
        if (strcmp(c->name, type) == 0) {
            hone_status status = keys_check(t, o, c->name, c->keys, err);
            return status ? status : c->parse(t, o, c->kind, err);
        }
    return unknown(t, family, table, type, err);
}

hone_status components_parse(tokenizer *t, const json_t *root, hone_error *err)
{
    const json_t *d = json_object_get(root, "decoder");
    hone_status status = parse(t, json_object_get(root, "normalizer"), "normalizer", "normalizers",
                               normalizers, err);
    if (!status)
        status = parse(t, json_object_get(root, "pre_tokenizer"), "pre-tokenizer", "pretokenizers",
                       pre_tokenizers, err);
    if (!status)
        status = parse(t, d, "decoder", "decoders", decoders, err);
    t->has_decoder = d && !json_is_null(d);
    return status;
}

hone_status post_parse(tokenizer *t, const json_t *root, hone_error *err)
{
    return parse(t, json_object_get(root, "post_processor"), "post-processor", "processors",
                 post_processors, err);
}
