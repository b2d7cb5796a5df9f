/*
 * tokenizer_spm.c - SentencePiece's tokenizer.model, BPE.
 *
 * There are no merges in the file: two neighbours merge when their text together is a
 * piece, the piece with the highest score first, leftmost first. That is written as a
 * table of merges here, ranked by score, so that the same code runs. A character that
 * has no piece may still be part of one; it gets an id above all others and becomes
 * bytes, or the unknown piece, when it is left over.
 *
 * User-defined pieces are found in normalized text before anything merges. Of control
 * pieces only the named ones (bos, eos, pad) and the unknown one are known by their
 * spelling, and only when the caller asks, as in transformers' LlamaTokenizer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_spm.h"

#include <math.h>
#include <stdlib.h>

#define MAX_PIECE 4096 /* bytes: a longer one that takes part in merging is refused */

static hone_status check_model(const spm_model *m, const tokenizer *t, hone_error *err)
{
    static const char *const types[] = { "", "Unigram", "BPE", "Word", "Char" };
    if (m->model_type != MODEL_BPE)
        return hone_fail(err, HONE_ERR_UNSUPPORTED,
                         "%s: a SentencePiece model of type %s is not supported, only BPE is: take "
                         "a model whose "
                         "folder has a BPE tokenizer.json",
                         t->what, m->model_type <= 4 ? types[m->model_type] : "unknown to hone");
    if (m->n_charsmap || m->n_tsv)
        return hone_fail(
            err, HONE_ERR_UNSUPPORTED,
            "%s: the normalizer \"%s\" is not supported, only identity is: take a model whose "
            "folder has a tokenizer.json",
            t->what, quoted(m->rule, m->n_rule).s);
    if (m->denormalizes)
        return hone_fail(err, HONE_ERR_UNSUPPORTED,
                         "%s: it has a denormalizer, which is not supported", t->what);
    if (m->suffix_space)
        return hone_fail(err, HONE_ERR_UNSUPPORTED,
                         "%s: treat_whitespace_as_suffix is not supported", t->what);
    if (!m->escape_spaces)
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "%s: escape_whitespaces false is not supported",
                         t->what);
    return HONE_OK;
}

/* ------------------------------------------------------------------- pieces and merges */

static hone_status add_byte_piece(tokenizer *t, const spm_piece *q, int32_t id, hone_error *err)
{
    unsigned b;
    char name[8];
    for (b = 0; b < 256; b++) {
        (void)snprintf(name, sizeof name, "<0x%02X>", b);
        if (q->n == 6 && memcmp(q->p, name, 6) == 0) {
            t->unit[b] = id;
            t->pieces[id].byte = true;
            return HONE_OK;
        }
    }
    return hone_fail(err, HONE_ERR_FORMAT, "%s: byte piece %d \"%s\" names no byte", t->what, id,
                     quoted(q->p, q->n).s);
}

static hone_status add_piece(tokenizer *t, const spm_piece *q, int32_t id, hone_error *err)
{
    size_t len;
    hone_status status;
    if (!q->n || !utf8_valid(q->p, q->n) || memchr(q->p, 0, q->n))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: piece %d is empty or no UTF-8 text", t->what,
                         id);
    if (isnan(q->score))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: the score of piece %d is no number", t->what,
                         id);
    status = piece_add(t, id, q->p, q->n, err);
    if (status)
        return status;
    switch (q->type) {
    case TYPE_NORMAL:
        if (q->n > MAX_PIECE)
            return hone_fail(err, HONE_ERR_LIMIT,
                             "%s: piece %d has %zu bytes, at most %d are supported", t->what, id,
                             q->n, MAX_PIECE);
        status = piece_index(t, id, true, err);
        if (!status && uc_len(*q->p) == q->n)
            status = char_put(t, uc_get(q->p, &len), id, err);
        return status;
    case TYPE_UNKNOWN:
        if (t->unk >= 0)
            return hone_fail(err, HONE_ERR_FORMAT, "%s: pieces %d and %d are both the unknown one",
                             t->what, t->unk, id);
        t->unk = id;
        t->pieces[id].special = true;
        return HONE_OK;
    case TYPE_CONTROL:
        t->pieces[id].special = true;
        return HONE_OK;
    case TYPE_USER:
        return added_append(t, &(added){ .id = id, .normalized = true }, q->p, q->n, err);
    case TYPE_BYTE:
        return add_byte_piece(t, q, id, err);
    default:
        return hone_fail(err, HONE_ERR_UNSUPPORTED,
                         "%s: piece %d \"%s\" is of type %llu, which is not supported", t->what, id,
                         quoted(q->p, q->n).s, (unsigned long long)q->type);
    }
}

static hone_status add_pieces(tokenizer *t, const spm_model *m, hone_error *err)
{
    size_t i;
    hone_status status = HONE_OK;
    for (i = 0; i < m->n && !status; i++)
        status = add_piece(t, m->pieces + i, (int32_t)i, err);
    if (status)
        return status;
    t->n_vocab = (int64_t)m->n;
    if (t->unk < 0)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: no piece is the unknown one", t->what);
    for (i = 0; m->byte_fallback && i < 256; i++)
        if (t->unit[i] < 0)
            return hone_fail(err, HONE_ERR_FORMAT, "%s: byte_fallback, but no piece <0x%02X>",
                             t->what, (unsigned)i);
    return HONE_OK;
}

/* Id of what a symbol of this text would have: a piece, or a single character, which
 * gets an id above all pieces when it has none. -1: no symbol has this text. */
static hone_status symbol_of(tokenizer *t, const char *p, size_t n, int32_t *next, int32_t *id,
                             hone_error *err)
{
    size_t len;
    uint32_t cp;
    *id = raw_find(t, p, n);
    if (*id >= 0 || uc_len(*p) != n)
        return HONE_OK;
    cp = uc_get(p, &len);
    *id = char_find(t, cp);
    if (*id >= 0)
        return HONE_OK;
    *id = (*next)++;
    return char_put(t, cp, *id, err);
}

typedef struct ranked {
    int32_t id;
    float score;
} ranked;

static int by_score(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static hone_status add_merges_of(tokenizer *t, int32_t id, uint32_t rank, int32_t *next,
                                 size_t *n_merges, bool put, hone_error *err)
{
    size_t n, i;
    const char *p = piece_text(t, id, &n);
    for (i = uc_len(*p); i < n; i += uc_len(p[i])) {
        int32_t left, right;
        hone_status status = symbol_of(t, p, i, next, &left, err);
        if (!status && left >= 0)
            status = symbol_of(t, p + i, n - i, next, &right, err);
        if (status)
            return status;
        if (left < 0 || right < 0)
            continue;
        ++*n_merges;
        if (put)
            merge_put(&t->merges, left, right, rank, id);
    }
    joins_add(&t->joins, p, n);
    return HONE_OK;
}

/* Equal scores are equal ranks: then the place decides. */
static hone_status add_merges(tokenizer *t, const spm_model *m, hone_error *err)
{
    ranked *order = mem_new(m->n, sizeof *order);
    size_t i, k = 0, n_merges = 0;
    int32_t next = VIRTUAL_FIRST;
    int pass;
    hone_status status = HONE_OK;
    if (!order)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for merges", t->what);
    for (i = 0; i < m->n; i++)
        if (m->pieces[i].type == TYPE_NORMAL)
            order[k++] = (ranked){ (int32_t)i, m->pieces[i].score };
    qsort(order, k, sizeof *order, by_score);
    for (pass = 0; pass < 2 && !status; pass++) { /* count, then write */
        uint32_t rank = 0;
        if (pass && !merge_map_init(&t->merges, n_merges))
            status =
                hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %zu merges", t->what, n_merges);
        for (i = 0; i < k && !status; i++) {
            if (i && order[i].score != order[i - 1].score)
                rank++;
            status = add_merges_of(t, order[i].id, rank, &next, &n_merges, pass == 1, err);
        }
    }
    free(order);
    return status;
}

/* ---------------------------------------------------------------------- components */

static normalizer *add_norm(tokenizer *t, int kind)
{
    t->norms[t->n_norms] = (normalizer){ .kind = kind };
    return t->norms + t->n_norms++;
}

static hone_status add_components(tokenizer *t, const spm_model *m, bool legacy, hone_error *err)
{
    static const int chain[] = { DEC_REPLACE, DEC_BYTE_FALLBACK, DEC_FUSE, DEC_STRIP };
    normalizer *q;
    size_t i;
    t->norms = mem_new(4, sizeof *t->norms);
    t->decs = mem_new(4, sizeof *t->decs);
    if (!t->norms || !t->decs)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for components", t->what);
    t->cap_norms = t->cap_decs = 4;
    if (m->extra_spaces_go)
        (void)add_norm(t, NORM_SPACES);
    if (m->dummy_prefix) {
        q = add_norm(t, NORM_PREPEND);
        q->text = mem_strdup(META_MARK);
        q->n = 3;
        q->first = !legacy;
    }
    q = add_norm(t, NORM_REPLACE);
    q->pattern = mem_strdup(" ");
    q->n_pattern = 1;
    q->text = mem_strdup(META_MARK);
    q->n = 3;
    if (m->extra_spaces_go)
        (void)add_norm(t, NORM_TRAIL);
    for (i = 0; i < 4 - (size_t)!m->dummy_prefix; i++)
        t->decs[t->n_decs++] = (decoder){ .kind = chain[i], .mark = " ", .start = 1 };
    t->decs[0].text = mem_strdup(" ");
    t->decs[0].n = 1;
    t->has_decoder = true;
    for (i = 0; i < t->n_norms; i++)
        if (t->norms[i].kind <= NORM_REPLACE && !t->norms[i].text)
            return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for components", t->what);
    if (!q->pattern || !t->decs[0].text)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for components", t->what);
    return regex_open(&t->decs[0].re, META_MARK, 3, true, t->what, err);
}

/* A spelling that becomes this id when the caller asks for special tokens. */
static hone_status add_special(tokenizer *t, int32_t id, hone_error *err)
{
    size_t n;
    const char *p = piece_text(t, id, &n);
    t->pieces[id].special = true;
    return added_append(t, &(added){ .id = id, .special = true }, p, n, err);
}

/* ------------------------------------------------------------- tokenizer_config.json */

static bool flag(const json_t *config, const char *key, bool absent)
{
    const json_t *v = json_object_get(config, key);
    return json_is_boolean(v) ? json_is_true(v) : absent;
}

static hone_status add_configured(tokenizer *t, int64_t id, const json_t *o, hone_error *err)
{
    const char *content = json_string_value(json_object_get(o, "content"));
    added a = { .id = (int32_t)id,
                .special = flag(o, "special", false),
                .lstrip = flag(o, "lstrip", false),
                .rstrip = flag(o, "rstrip", false),
                .single_word = flag(o, "single_word", false) };
    size_t n;
    hone_status status;
    if (!content || !*content)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "tokenizer_config.json: added_tokens_decoder %lld has no content",
                         (long long)id);
    if (id < t->n) {
        const char *have = piece_text(t, a.id, &n);
        if (n != strlen(content) || memcmp(have, content, n) != 0)
            return hone_fail(err, HONE_ERR_FORMAT,
                             "tokenizer_config.json: added_tokens_decoder %lld is \"%s\", but "
                             "\"%s\" in %s",
                             (long long)id, quoted_s(content).s, quoted(have, n).s, t->what);
        return added_append(t, &a, content, strlen(content), err);
    }
    if (id != t->n)
        return hone_fail(
            err, HONE_ERR_FORMAT,
            "tokenizer_config.json: added token \"%s\" has id %lld where %lld comes next: the "
            "vocabulary has a hole",
            quoted_s(content).s, (long long)id, (long long)t->n);
    status = piece_add(t, id, content, strlen(content), err);
    return status ? status : added_append(t, &a, content, strlen(content), err);
}

static int by_id(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* added_tokens_decoder: {"32000": {"content": ..., ...}, ...}, in order of ids. */
static hone_status add_all_configured(tokenizer *t, json_t *list, hone_error *err)
{
    const size_t n = json_object_size(list);
    int64_t *ids = mem_new(n, sizeof *ids);
    size_t k = 0;
    void *i;
    hone_status status = HONE_OK;
    if (!ids)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for added tokens", t->what);
    for (i = json_object_iter(list); i && !status; i = json_object_iter_next(list, i)) {
        char *end;
        ids[k] = strtoll(json_object_iter_key(i), &end, 10);
        if (*end || end == json_object_iter_key(i) || ids[k] < 0)
            status = hone_fail(err, HONE_ERR_FORMAT,
                               "tokenizer_config.json: added_tokens_decoder: \"%s\" is no id",
                               quoted_s(json_object_iter_key(i)).s);
        k++;
    }
    qsort(ids, k, sizeof *ids, by_id);
    for (k = 0; k < n && !status; k++) {
        char key[24];
        (void)snprintf(key, sizeof key, "%lld", (long long)ids[k]);
        status = add_configured(t, ids[k], json_object_get(list, key), err);
    }
    free(ids);
    return status;
}

/* Named special tokens and what ENCODE_ADD adds. */
static hone_status add_names(tokenizer *t, const spm_model *m, const json_t *config,
                             hone_error *err)
{
    static const char *const keys[4] = { "unk_token", "bos_token", "eos_token", "pad_token" };
    int32_t *const ids[4] = { &t->unk_named, &t->bos, &t->eos, &t->pad };
    size_t i;
    hone_status status = HONE_OK;
    for (i = 0; i < 4 && !status; i++) {
        const json_t *v = json_object_get(config, keys[i]);
        const char *name = json_is_object(v) ? json_string_value(json_object_get(v, "content"))
                                             : json_string_value(v);
        if (json_is_null(v))
            continue;
        *ids[i] =
            name ? piece_find(t, name, strlen(name)) : piece_find(t, m->names[i], m->n_names[i]);
        if (*ids[i] >= 0)
            status = add_special(t, *ids[i], err);
    }
    if (!status && flag(config, "add_bos_token", true) && t->bos >= 0)
        t->before[t->n_before++] = t->bos;
    if (!status && flag(config, "add_eos_token", false) && t->eos >= 0)
        t->after[t->n_after++] = t->eos;
    return status;
}

static hone_status from_spm(tokenizer *t, const spm_model *m, const json_t *config, hone_error *err)
{
    json_t *more = json_object_get(config, "added_tokens_decoder");
    hone_status status = check_model(m, t, err);
    if (!status)
        status = pieces_init(t, m->n + json_object_size(more), err);
    t->spm = true;
    t->byte_fallback = m->byte_fallback;
    if (!status)
        status = add_pieces(t, m, err);
    if (!status)
        status = add_merges(t, m, err);
    if (!status)
        status = add_components(t, m, flag(config, "legacy", false), err);
    if (!status)
        status = add_names(t, m, config, err);
    if (!status && more)
        status = add_all_configured(t, more, err);
    return status ? status : tokenizer_ready(t, err);
}

hone_status spm_open(tokenizer **out, const char *p, size_t n, const json_t *config,
                     hone_error *err)
{
    tokenizer *t = NULL;
    spm_model m = { 0 };
    hone_status status = tokenizer_new(&t, "tokenizer.model", p, n, err);
    if (!status)
        status = spm_read(&m, t, p, n, err);
    if (!status)
        status = from_spm(t, &m, config, err);
    free(m.pieces);
    if (status) {
        tokenizer_close(t);
        return status;
    }
    *out = t;
    return HONE_OK;
}

hone_status tokenizer_from_spm(tokenizer **out, const char *p, size_t n, hone_error *err)
{
    return spm_open(out, p, n, NULL, err);
}
