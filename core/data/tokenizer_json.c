/*
 * tokenizer_json.c - tokenizer.json: the BPE model and the added tokens.
 *
 * Order matters: pieces, then components (they decide the model's domain), then
 * merges, then added tokens (normalized with the components), then what the
 * post-processor adds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_impl.h"

#include <stdlib.h>

static hone_status fail_format(const tokenizer *t, const char *what, hone_error *err)
{
    return hone_fail(err, HONE_ERR_FORMAT, "%s: %s", t->what, what);
}

hone_status keys_check(const tokenizer *t, const json_t *o, const char *what, const char *keys,
                       hone_error *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        const size_t n = strlen(key);
        const char *at = strcmp(key, "type") == 0 ? key : keys;
        while (at != key && (at = strstr(at, key)) &&
               ((at > keys && at[-1] != ' ') || (at[n] && at[n] != ' ')))
            at++;
        if (!json_is_null(v) && (!n || strchr(key, ' ') || !at))
            return hone_fail(err, HONE_ERR_UNSUPPORTED,
                             "%s: %s has a key \"%s\", which is not supported", t->what, what,
                             quoted_s(key).s);
    }
    return HONE_OK;
}

/* ------------------------------------------------------------------------------ strings */

static hone_status no_memory(const tokenizer *t, hone_error *err)
{
    return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for its strings", t->what);
}

static int32_t find_plain(const tokenizer *t, const char *p, size_t n)
{
    size_t n_plain;
    char *plain;
    int32_t id;
    if (!*t->nul)
        return piece_find(t, p, n);
    plain = text_plain(t, p, n, &n_plain);
    id = plain ? piece_find(t, plain, n_plain) : -1;
    free(plain);
    return id;
}

static hone_status add_plain(tokenizer *t, int64_t id, const char *p, size_t n, hone_error *err)
{
    size_t n_plain;
    char *plain;
    hone_status status;
    if (!*t->nul)
        return piece_add(t, id, p, n, err);
    plain = text_plain(t, p, n, &n_plain);
    status = plain ? piece_add(t, id, plain, n_plain, err) : no_memory(t, err);
    free(plain);
    return status;
}

/* ---------------------------------------------------------------------------- the model */

static hone_status check_model(const tokenizer *t, const json_t *model, hone_error *err)
{
    static const char *const affixes[] = { "continuing_subword_prefix", "end_of_word_suffix" };
    const char *type = json_string_value(json_object_get(model, "type"));
    const json_t *dropout = json_object_get(model, "dropout");
    size_t i;
    if (!json_is_object(model))
        return fail_format(t, "\"model\" is missing or no object", err);
    if (type && strcmp(type, "BPE") != 0)
        return hone_fail(err, HONE_ERR_UNSUPPORTED,
                         "%s: model \"%s\" is not supported, only BPE is", t->what,
                         quoted_s(type).s);
    if (!type && json_object_get(model, "type"))
        return fail_format(t, "model.type is no string", err);
    for (i = 0; i < 2; i++) {
        const char *s = json_string_value(json_object_get(model, affixes[i]));
        if (s && *s)
            return hone_fail(err, HONE_ERR_UNSUPPORTED, "%s: model.%s \"%s\" is not supported",
                             t->what, affixes[i], quoted_s(s).s);
    }
    if (keys_check(t, model, "model",
                   "dropout unk_token continuing_subword_prefix end_of_word_suffix fuse_unk "
                   "byte_fallback ignore_merges vocab merges",
                   err))
        return HONE_ERR_UNSUPPORTED;
    if (json_is_number(dropout) && json_number_value(dropout) != 0)
        return hone_fail(
            err, HONE_ERR_UNSUPPORTED,
            "%s: model.dropout %g makes ids random, which is not supported: set it to null",
            t->what, json_number_value(dropout));
    if (!json_is_object(json_object_get(model, "vocab")))
        return fail_format(t, "model.vocab is missing or no object", err);
    if (!json_is_array(json_object_get(model, "merges")))
        return fail_format(t, "model.merges is missing or no list", err);
    return HONE_OK;
}

static hone_status read_flags(tokenizer *t, const json_t *model, hone_error *err)
{
    const struct {
        const char *key;
        bool *out;
    } flags[] = { { "fuse_unk", &t->fuse_unk },
                  { "byte_fallback", &t->byte_fallback },
                  { "ignore_merges", &t->ignore_merges } };
    const json_t *unk = json_object_get(model, "unk_token");
    size_t i;
    for (i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        const json_t *v = json_object_get(model, flags[i].key);
        if (v && !json_is_null(v) && !json_is_boolean(v))
            return hone_fail(err, HONE_ERR_FORMAT, "%s: model.%s is no boolean", t->what,
                             flags[i].key);
        *flags[i].out = json_is_true(v);
    }
    if (!unk || json_is_null(unk))
        return HONE_OK;
    if (!json_is_string(unk))
        return fail_format(t, "model.unk_token is no string", err);
    t->unk = find_plain(t, json_string_value(unk), json_string_length(unk));
    if (t->unk < 0)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: model.unk_token \"%s\" is not in the vocabulary", t->what,
                         quoted_s(json_string_value(unk)).s);
    return HONE_OK;
}

static hone_status read_vocab(tokenizer *t, json_t *vocab, size_t n_more, hone_error *err)
{
    const size_t n = json_object_size(vocab);
    void *i;
    hone_status status = pieces_init(t, n + n_more, err);
    for (i = json_object_iter(vocab); i && !status; i = json_object_iter_next(vocab, i)) {
        const json_t *id = json_object_iter_value(i);
        const char *key = json_object_iter_key(i);
        if (!json_is_integer(id))
            return hone_fail(err, HONE_ERR_FORMAT, "%s: the id of \"%s\" is no integer", t->what,
                             quoted_s(key).s);
        if (json_integer_value(id) < 0 || (uint64_t)json_integer_value(id) >= n)
            return hone_fail(
                err, HONE_ERR_FORMAT,
                "%s: \"%s\" has id %lld, but the vocabulary has %zu pieces: there is a hole",
                t->what, quoted_s(key).s, (long long)json_integer_value(id), n);
        status = add_plain(t, json_integer_value(id), key, json_object_iter_key_len(i), err);
    }
    t->n_vocab = (int64_t)n;
    if (!status)
        status = pieces_check(t, err);
    if (!status && n == 0)
        status = fail_format(t, "model.vocab is empty", err);
    return status;
}

/* "left right" or ["left", "right"] */
static hone_status merge_sides(const tokenizer *t, const json_t *m, size_t at, const char *side[2],
                               size_t n[2], hone_error *err)
{
    if (json_is_string(m)) {
        const char *s = json_string_value(m), *space = strchr(s, ' ');
        if (space && !strchr(space + 1, ' ')) {
            side[0] = s;
            n[0] = (size_t)(space - s);
            side[1] = space + 1;
            n[1] = strlen(space + 1);
            return HONE_OK;
        }
    } else if (json_is_array(m) && json_array_size(m) == 2 &&
               json_is_string(json_array_get(m, 0)) && json_is_string(json_array_get(m, 1))) {
        size_t i;
        for (i = 0; i < 2; i++) {
            side[i] = json_string_value(json_array_get(m, i));
            n[i] = json_string_length(json_array_get(m, i));
        }
        return HONE_OK;
    }
    return hone_fail(err, HONE_ERR_FORMAT, "%s: merge %zu is not two pieces", t->what, at);
}

static hone_status read_merge(tokenizer *t, const json_t *m, size_t at, uint32_t rank, text *both,
                              hone_error *err)
{
    const char *side[2];
    const char *p;
    size_t n[2], n_made, i;
    int32_t id[2], made;
    hone_status status = merge_sides(t, m, at, side, n, err);
    if (status)
        return status;
    for (i = 0; i < 2; i++) {
        id[i] = find_plain(t, side[i], n[i]);
        if (id[i] < 0)
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: merge %zu speaks of \"%s\", which is not in the vocabulary",
                             t->what, at, quoted(side[i], n[i]).s);
    }
    text_clear(both);
    text_add(both, side[0], n[0]);
    text_add(both, side[1], n[1]);
    status = text_status(both, err);
    if (status)
        return status;
    made = find_plain(t, both->p ? both->p : "", both->n);
    if (made < 0)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: merge %zu makes \"%s\", which is not in the vocabulary", t->what, at,
                         quoted(both->p, both->n).s);
    merge_put(&t->merges, id[0], id[1], rank, made);
    for (i = 0; i < 2; i++)
        if (id[i] == t->unk || t->pieces[id[i]].byte)
            t->odd_merges = true;
    p = piece_text(t, made, &n_made);
    joins_add(&t->joins, p, n_made);
    return HONE_OK;
}

static hone_status read_merges(tokenizer *t, const json_t *merges, hone_error *err)
{
    const size_t n = json_array_size(merges);
    text both = { 0 };
    uint32_t rank = 0;
    size_t i;
    hone_status status = HONE_OK;
    if (n > UINT32_MAX / 8)
        return hone_fail(err, HONE_ERR_LIMIT, "%s: %zu merges", t->what, n);
    if (!merge_map_init(&t->merges, n))
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %zu merges", t->what, n);
    for (i = 0; i < n && !status; i++) {
        const json_t *m = json_array_get(merges, i);
        const char *s = json_string_value(m);
        if (s && strncmp(s, "#version", 8) == 0)
            continue;
        status = read_merge(t, m, i, rank++, &both, err);
    }
    text_finish(&both);
    return status;
}

/* The <0xHH> pieces, and every piece that is a single unit of the model's domain. */
static hone_status read_units(tokenizer *t, hone_error *err)
{
    int32_t id;
    size_t n, len, b;
    hone_status status = HONE_OK;
    for (b = 0; t->byte_fallback && b < 256; b++) {
        char name[8];
        (void)snprintf(name, sizeof name, "<0x%02X>", (unsigned)b);
        t->unit[b] = piece_find(t, name, 6);
        if (t->unit[b] >= 0)
            t->pieces[t->unit[b]].byte = true;
    }
    for (id = 0; id < t->n_vocab && !status; id++) {
        const char *p;
        status = piece_index(t, id, true, err);
        if (status)
            break;
        p = piece_raw(t, id, &n);
        if (t->raw && t->pieces[id].mapped && n == 1)
            t->unit[(uint8_t)*p] = id;
        else if (!t->raw && n && uc_len(*p) == n)
            status = char_put(t, uc_get(p, &len), id, err);
    }
    return status;
}

/* ------------------------------------------------------------------------ added tokens */

static hone_status read_added_one(tokenizer *t, const json_t *o, size_t at, hone_error *err)
{
    const json_t *content = json_object_get(o, "content"), *id = json_object_get(o, "id");
    added a = { 0 };
    const struct {
        const char *key;
        bool *out;
    } flags[] = { { "single_word", &a.single_word },
                  { "lstrip", &a.lstrip },
                  { "rstrip", &a.rstrip },
                  { "normalized", &a.normalized },
                  { "special", &a.special } };
    const char *p;
    size_t i, n;
    hone_status status;
    if (keys_check(t, o, "added token", "id content single_word lstrip rstrip normalized special",
                   err))
        return HONE_ERR_UNSUPPORTED;
    if (!json_is_string(content) || !json_is_integer(id))
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: added token %zu has no \"content\" or no \"id\"", t->what, at);
    for (i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        const json_t *v = json_object_get(o, flags[i].key);
        if (!json_is_boolean(v))
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: added token \"%s\": \"%s\" is missing or no boolean", t->what,
                             quoted_s(json_string_value(content)).s, flags[i].key);
        *flags[i].out = json_is_true(v);
    }
    if (json_string_length(content) == 0)
        return HONE_OK; /* as there: nothing to find */
    a.id = find_plain(t, json_string_value(content), json_string_length(content));
    if (a.id >= 0 && a.id != json_integer_value(id))
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: added token \"%s\" has id %lld, but %d in the vocabulary", t->what,
                         quoted_s(json_string_value(content)).s, (long long)json_integer_value(id),
                         a.id);
    if (a.id < 0) {
        if (json_integer_value(id) != t->n)
            return hone_fail(
                err, HONE_ERR_FORMAT,
                "%s: added token \"%s\" has id %lld where %lld comes next: the vocabulary has "
                "a hole",
                t->what, quoted_s(json_string_value(content)).s, (long long)json_integer_value(id),
                (long long)t->n);
        a.id = (int32_t)t->n;
        status = add_plain(t, a.id, json_string_value(content), json_string_length(content), err);
        if (!status)
            status = piece_index(t, a.id, false, err);
        if (status)
            return status;
    }
    p = piece_text(t, a.id, &n);
    return added_append(t, &a, p, n, err);
}

static hone_status read_added(tokenizer *t, const json_t *list, hone_error *err)
{
    size_t i;
    hone_status status = HONE_OK;
    for (i = 0; i < json_array_size(list) && !status; i++)
        status = read_added_one(t, json_array_get(list, i), i, err);
    return status;
}

/* A ByteLevel at the end means bytes: then the alphabet need not be written. */
static void choose_domain(tokenizer *t)
{
    if (!t->byte_fallback && t->n_pres && t->pres[t->n_pres - 1].kind == PRE_MAP) {
        t->n_pres--;
        t->raw = true;
    }
}

/* Shapes of batches are made elsewhere: a text is encoded whole. */
static void note_unused(const tokenizer *t, const json_t *root)
{
    static const struct {
        const char *key, *instead;
    } unused[] = { { "truncation", "texts are never cut; data.over_long says what becomes of rows "
                                   "above train.seq_len" },
                   { "padding", "rows are padded only by train.packing false" } };
    size_t i;
    for (i = 0; i < sizeof unused / sizeof unused[0]; i++) {
        const json_t *v = json_object_get(root, unused[i].key);
        if (v && !json_is_null(v))
            log_line(HONE_LOG_INFO, "%s: its %s is not applied: %s", t->what, unused[i].key,
                     unused[i].instead);
    }
}

static hone_status from_json(tokenizer *t, const json_t *root, hone_error *err)
{
    json_t *model = json_object_get(root, "model");
    const json_t *list = json_object_get(root, "added_tokens");
    const char *version = json_string_value(json_object_get(root, "version"));
    hone_status status;
    if (version && strcmp(version, "1.0") != 0)
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "%s: version \"%s\", only 1.0 is known",
                         t->what, quoted_s(version).s);
    if (list && !json_is_null(list) && !json_is_array(list))
        return fail_format(t, "\"added_tokens\" is no list", err);
    status = keys_check(t, root, "the file",
                        "version truncation padding added_tokens normalizer pre_tokenizer "
                        "post_processor decoder model",
                        err);
    if (!status)
        status = check_model(t, model, err);
    if (!status)
        status = read_vocab(t, json_object_get(model, "vocab"), json_array_size(list), err);
    if (!status)
        status = read_flags(t, model, err);
    if (!status)
        status = components_parse(t, root, err);
    if (status)
        return status;
    choose_domain(t);
    status = read_units(t, err);
    if (!status)
        status = read_merges(t, json_object_get(model, "merges"), err);
    if (!status)
        status = read_added(t, list, err);
    if (!status)
        status = post_parse(t, root, err);
    if (!status)
        status = tokenizer_ready(t, err);
    if (!status)
        note_unused(t, root);
    return status;
}

hone_status tokenizer_from_json(tokenizer **out, const char *p, size_t n, hone_error *err)
{
    tokenizer *t = NULL;
    json_t *root = NULL;
    text shown = { 0 };
    hone_status status = tokenizer_new(&t, "tokenizer.json", p, n, err);
    if (!status && memmem(p, n, "\\u0000", 6)) {
        if (nul_choose(t->nul, p, n)) {
            nul_hide(t->nul, p, n, &shown);
            status = text_status(&shown, err);
        } else {
            status =
                fail_format(t, "it has NULs and 256 private characters: no stand-in is left", err);
        }
    }
    if (!status)
        status = json_parse(&root, shown.n ? shown.p : p, shown.n ? shown.n : n, t->what, err);
    if (!status && !json_is_object(root))
        status = fail_format(t, "it is no object", err);
    if (!status)
        status = from_json(t, root, err);
    json_decref(root);
    text_finish(&shown);
    if (status) {
        tokenizer_close(t);
        return status;
    }
    *out = t;
    return HONE_OK;
}
