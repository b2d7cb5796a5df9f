/*
 * tokenizer.c - open and close, the files beside the tokenizer, what callers ask.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_impl.h"

#include <stdlib.h>

/* ------------------------------------------------------------------------ life cycle */

hone_status tokenizer_new(tokenizer **out, const char *what, const char *p, size_t n,
                          hone_error *err)
{
    tokenizer *t;
    if (n > TOKENIZER_MAX_FILE)
        return hone_fail(err, HONE_ERR_LIMIT, "%s: %zu bytes, at most %zu are read", what, n,
                         TOKENIZER_MAX_FILE);
    uc_init();
    t = mem_new(1, sizeof *t);
    if (t)
        t->page = mem_new(PAGES, sizeof *t->page);
    if (!t || !t->page || !joins_init(&t->joins)) {
        free(t ? t->page : NULL);
        free(t);
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for a tokenizer", what);
    }
    (void)snprintf(t->what, sizeof t->what, "%s", what);
    memset(t->unit, 0xff, sizeof t->unit);
    t->unk = t->bos = t->eos = t->pad = t->unk_named = -1;
    (void)pthread_mutex_init(&t->lock, NULL);
    sha256_hex(p, n, t->hash);
    *out = t;
    return HONE_OK;
}

static void components_finish(tokenizer *t)
{
    size_t i;
    for (i = 0; i < t->n_norms; i++) {
        free(t->norms[i].text);
        free(t->norms[i].pattern);
        regex_close(t->norms[i].re);
    }
    for (i = 0; i < t->n_pres; i++)
        regex_close(t->pres[i].re);
    for (i = 0; i < t->n_decs; i++) {
        free(t->decs[i].text);
        regex_close(t->decs[i].re);
    }
    free(t->norms);
    free(t->pres);
    free(t->decs);
}

void tokenizer_close(tokenizer *t)
{
    size_t i;
    if (!t)
        return;
    components_finish(t);
    for (i = 0; i < t->n_added; i++) {
        free(t->added[i].content);
        free(t->added[i].normal);
    }
    for (i = 0; i < PAGES; i++)
        free(t->page[i]);
    while (t->pool) {
        scratch *next = t->pool->next;
        scratch_free(t->pool);
        t->pool = next;
    }
    free(t->page);
    free(t->joins.far);
    free(t->added);
    free(t->added_of);
    trie_finish(&t->plain);
    trie_finish(&t->normal);
    free(t->merges.slot);
    free(t->by_text.slot);
    free(t->by_raw.slot);
    free(t->pieces);
    text_finish(&t->arena);
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
}

/* ----------------------------------------------------------------- the end of loading */

hone_status char_put(tokenizer *t, uint32_t cp, int32_t id, hone_error *err)
{
    int32_t **page = t->page + (cp >> 8);
    if (!*page) {
        *page = malloc(256 * sizeof **page);
        if (!*page)
            return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for a table of characters",
                             t->what);
        memset(*page, 0xff, 256 * sizeof **page);
    }
    (*page)[cp & 255] = id;
    return HONE_OK;
}

hone_status added_append(tokenizer *t, const added *a, const char *content, size_t n,
                         hone_error *err)
{
    added *q;
    size_t i;
    for (i = 0; i < t->n_added; i++)
        if (t->added[i].id == a->id)
            break;
    if (i == t->n_added) {
        if (!mem_grow(&t->added, &t->cap_added, t->n_added + 1, sizeof *t->added))
            return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for added tokens", t->what);
        t->n_added++;
    }
    q = t->added + i;
    free(q->content);
    *q = *a;
    q->normal = NULL;
    q->n = n;
    q->content = mem_strndup(content, n);
    if (!q->content)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for added tokens", t->what);
    t->pieces[a->id].special |= a->special;
    return HONE_OK;
}

/* The spelling of a normalized added token is looked for in normalized text, and so in
 * its own normal form. */
static hone_status normalize_added(tokenizer *t, added *a, hone_error *err)
{
    scratch *s = scratch_borrow(t);
    view v = { a->content, NULL, (uint32_t)a->n, 0 };
    hone_status status;
    if (!s)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for added tokens", t->what);
    status = normalize(t, s, &v, err);
    if (!status && (v.n != a->n || memcmp(v.p, a->content, a->n) != 0)) {
        a->normal = mem_strndup(v.p, v.n);
        a->n_normal = v.n;
        if (!a->normal)
            status = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for added tokens", t->what);
    }
    scratch_return(t, s);
    return status;
}

static hone_status index_added(tokenizer *t, hone_error *err)
{
    size_t i;
    t->added_of = malloc((size_t)t->n * sizeof *t->added_of);
    if (!t->added_of)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for added tokens", t->what);
    memset(t->added_of, 0xff, (size_t)t->n * sizeof *t->added_of);
    for (i = 0; i < t->n_added; i++) {
        added *a = t->added + i;
        const char *p = a->content;
        size_t n = a->n;
        /* SentencePiece's user-defined pieces are spelled as normalized already */
        hone_status status = a->normalized && !t->spm ? normalize_added(t, a, err) : HONE_OK;
        if (status)
            return status;
        if (a->normal) {
            p = a->normal;
            n = a->n_normal;
        }
        if (n && !trie_add(a->normalized ? &t->normal : &t->plain, p, n, (int32_t)i))
            return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for added tokens", t->what);
        t->added_of[a->id] = (int32_t)i;
    }
    return HONE_OK;
}

/* Can a space mark be put and words be cut while the text is read? Only Prepend, the
 * replacement of spaces, and a Metaspace may come in front of the model. */
static void choose_straight(tokenizer *t)
{
    size_t i;
    bool marks = false;
    int prefix = PREFIX_NEVER;
    if (!t->cut_at_marks || t->normal.n || t->n_pres > 1)
        return;
    for (i = 0; i < t->n_norms; i++) {
        const normalizer *m = t->norms + i;
        if (m->kind == NORM_PREPEND && i == 0 && strcmp(m->text, META_MARK) == 0)
            prefix = m->first ? PREFIX_AT_START : PREFIX_ALWAYS;
        else if (m->kind == NORM_REPLACE && m->pattern && strcmp(m->pattern, " ") == 0 &&
                 strcmp(m->text, META_MARK) == 0)
            marks = true;
        else
            return;
    }
    if (t->n_pres) {
        const pre_tokenizer *m = t->pres;
        static const int of_scheme[] = { PREFIX_UNLESS_MARK, PREFIX_FIRST, PREFIX_NEVER };
        if (t->n_norms || m->kind != PRE_METASPACE || strcmp(m->mark, META_MARK) != 0)
            return;
        prefix = of_scheme[m->scheme];
        t->straight_split = m->split;
        marks = true;
    }
    t->straight = marks;
    t->straight_prefix = prefix;
}

/* Where may words be cut? A character without a piece must not reach its neighbours. It does
 * when nothing stands for it (those around it then meet), when unknown ones fuse, and
 * when the unknown piece is written late (units_utf8); a space mark that has a piece
 * ends the last two. */
static void choose_cuts(tokenizer *t)
{
    const int32_t mark = char_find(t, 0x2581);
    size_t b = 0;
    while (t->byte_fallback && b < 256 && t->unit[b] >= 0)
        b++;
    if (t->raw || t->odd_merges || t->ignore_merges || (t->unk < 0 && b < 256))
        return;
    t->cut_at_marks = mark >= 0 && mark < VIRTUAL_FIRST;
    t->cut_anywhere = b == 256 || (!t->spm && !t->byte_fallback && !t->fuse_unk);
}

hone_status tokenizer_ready(tokenizer *t, hone_error *err)
{
    size_t i;
    hone_status status;
    for (i = 0; i < t->n_norms; i++)
        if (t->norms[i].kind <= NORM_NFKD)
            normal_form_init();
    status = index_added(t, err);
    if (status)
        return status;
    choose_cuts(t);
    choose_straight(t);
    t->unk_named = t->unk;
    if (t->n_before == 1)
        t->bos = t->before[0];
    if (t->n_after == 1)
        t->eos = t->after[0];
    return HONE_OK;
}

/* ------------------------------------------------------------------- what callers ask */

int64_t tokenizer_size(const tokenizer *t)
{
    return t->n;
}

int32_t tokenizer_id(const tokenizer *t, const char *name)
{
    return piece_find(t, name, strlen(name));
}

const char *tokenizer_piece(const tokenizer *t, int32_t id)
{
    return id < 0 || id >= t->n ? NULL : t->arena.p + t->pieces[id].at;
}

bool tokenizer_is_special(const tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->n && t->pieces[id].special;
}

int32_t tokenizer_bos(const tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const tokenizer *t)
{
    return t->eos;
}

int32_t tokenizer_pad(const tokenizer *t)
{
    return t->pad;
}

int32_t tokenizer_unk(const tokenizer *t)
{
    return t->unk_named;
}

bool tokenizer_adds_bos(const tokenizer *t)
{
    return t->n_before > 0 && t->bos >= 0 && t->before[0] == t->bos;
}

const char *tokenizer_hash(const tokenizer *t)
{
    return t->hash;
}

/* ------------------------------------------------------------------------ the folder */

/* "<s>" or {"content": "<s>", ...}; NULL when it is neither. */
static const char *token_name(const json_t *v)
{
    return json_is_object(v) ? json_string_value(json_object_get(v, "content"))
                             : json_string_value(v);
}

/* Named tokens from tokenizer_config.json or special_tokens_map.json; what an earlier
 * file said stays. */
static hone_status read_names(tokenizer *t, const json_t *config, bool given[4], const char *path,
                              hone_error *err)
{
    const struct {
        const char *key;
        int32_t *id;
    } names[] = { { "bos_token", &t->bos },
                  { "eos_token", &t->eos },
                  { "pad_token", &t->pad },
                  { "unk_token", &t->unk_named } };
    size_t i;
    for (i = 0; i < 4; i++) {
        const json_t *v = json_object_get(config, names[i].key);
        const char *name = token_name(v);
        int32_t id;
        if (!v || given[i])
            continue;
        if (json_is_null(v)) {
            *names[i].id = -1;
            given[i] = true;
            continue;
        }
        if (!name)
            return hone_fail(err, HONE_ERR_FORMAT, "%s: %s is neither a string nor an added token",
                             path, names[i].key);
        id = piece_find(t, name, strlen(name));
        if (id < 0)
            return hone_fail(err, HONE_ERR_FORMAT, "%s: %s \"%s\" is not in the vocabulary of %s",
                             path, names[i].key, quoted_s(name).s, t->what);
        *names[i].id = id;
        given[i] = true;
    }
    return HONE_OK;
}

static const char *const side_files[2] = { "tokenizer_config.json", "special_tokens_map.json" };

typedef struct side_file {
    char *path;   /* owned */
    json_t *root; /* owned; NULL: no such file */
} side_file;

static hone_status side_open(side_file *f, const char *dir, const char *name, hone_error *err)
{
    f->path = path_join(dir, name);
    if (!f->path)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", dir);
    return path_exists(f->path) ? json_read(&f->root, f->path, err) : HONE_OK;
}

static hone_status open_file(tokenizer **out, const char *dir, const char *path, bool spm,
                             const json_t *config, hone_error *err)
{
    char *p = NULL;
    size_t n = 0;
    hone_status status = file_read(&p, &n, path, TOKENIZER_MAX_FILE, err);
    if (!status) {
        status = spm ? spm_open(out, p, n, config, err) : tokenizer_from_json(out, p, n, err);
        if (status)
            (void)hone_prefix(err, "%s", dir);
    }
    free(p);
    return status;
}

hone_status tokenizer_open(tokenizer **out, const char *model_dir, hone_error *err)
{
    char *json = path_join(model_dir, "tokenizer.json"),
         *spm = path_join(model_dir, "tokenizer.model");
    side_file side[2] = { { NULL, NULL }, { NULL, NULL } };
    bool given[4] = { false };
    tokenizer *t = NULL;
    size_t i;
    hone_status status = HONE_OK;
    for (i = 0; i < 2 && !status; i++)
        status = side_open(side + i, model_dir, side_files[i], err);
    if (status)
        goto out;
    if (!json || !spm)
        status = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", model_dir);
    else if (path_exists(json))
        status = open_file(&t, model_dir, json, false, NULL, err);
    else if (path_exists(spm))
        status = open_file(&t, model_dir, spm, true, side[0].root, err);
    else if (!path_is_dir(model_dir))
        status = hone_fail(err, HONE_ERR_NOTFOUND,
                           "%s is no folder: give the folder of a Hugging Face model", model_dir);
    else
        status = hone_fail(
            err, HONE_ERR_NOTFOUND,
            "%s has neither tokenizer.json nor tokenizer.model: give the folder of a Hugging Face "
            "model",
            model_dir);
    for (i = 0; i < 2 && !status; i++)
        if (side[i].root)
            status = read_names(t, side[i].root, given, side[i].path, err);
    if (!status) {
        *out = t;
        t = NULL;
    }
out:
    tokenizer_close(t);
    for (i = 0; i < 2; i++) {
        json_decref(side[i].root);
        free(side[i].path);
    }
    free(json);
    free(spm);
    return status;
}
