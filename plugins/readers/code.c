/*
 * code.c - source code: the whole file as one block, and its functions, classes and comments as
 * units, by tree-sitter.
 *
 * Which languages there are is not built in: code_lang.c. What no other reader claims comes here:
 * text of a language without a grammar, and files of no known language, are kept as plain text and
 * noted; binary and minified files are left out. A file that does not parse gives what does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "code.h"

#include <stdio.h>
#include <string.h>

typedef struct config {
    hone_list grammars;
    int64_t max_parse_mb, max_mean_line;
    int64_t other;
    const char *encoding;
} config;

#define OTHER_TEXT 0

/* clang-format off */
static const hone_option options[] = {
    HONE_ROW_PATHS(config, grammars, NULL,
                   "folders of <language>.lang and libtree-sitter-<language>.so, before those that hone has"),
    HONE_ROW_ENUM(config, other, "text|skip", "text",
                  "files without a grammar: text (kept whole, without functions), skip (left out)"),
    HONE_ROW_I64(config, max_parse_mb, 1, 1024, "16", "a larger file is kept as text and not parsed, MB"),
    HONE_ROW_I64(config, max_mean_line, 0, 1 << 20, "300",
                 "a file of longer lines on average, in bytes, is minified or generated: left out; 0: none is"),
    HONE_ROW_STRING(config, encoding, "auto", DECODE_OPTION_HELP),
    HONE_OPTIONS_END,
};
/* clang-format on */

#define BINARY_BYTES 8000 /* in which a file shows that it is binary */

typedef struct reader {
    const hone_host *host; /* borrowed */
    decoder decoder;
    languages languages;
    TSParser *parser; /* owned */
    config config;    /* strings borrowed */
} reader;

/* One document. */
typedef struct job {
    reader *self;
    const hone_source *source;
    const hone_block_sink *sink;
    decoded text;
    walk walk;
    hone_text masked[2]; /* of walk */
    hone_text words[4];  /* name, scope, signature, doc of the unit at hand */
} job;

static void code_destroy(void *p)
{
    reader *self = p;
    if (!self)
        return;
    if (self->parser)
        ts_parser_delete(self->parser);
    languages_finish(&self->languages);
    decoder_finish(&self->decoder);
    self->host->free(self->host, self);
}

static hone_status code_create(const hone_host *host, const void *cfg, void **out, hone_error *err)
{
    reader *self = host->alloc(host, sizeof *self, _Alignof(reader), "code");
    hone_status st;
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "code: no memory");
    *self = (reader){ .host = host, .config = *(const config *)cfg };
    self->languages.host = host;
    self->parser = ts_parser_new();
    st = decoder_init(&self->decoder, host, "code", self->config.encoding, false, err);
    if (st == HONE_OK)
        st = languages_load(&self->languages, host, &self->config.grammars, err);
    if (st != HONE_OK) {
        code_destroy(self);
        return st;
    }
    *out = self;
    return HONE_OK;
}

/* --------------------------------------------------------------------- what a file is */

/* By what stands in its first bytes. A name that says what it is allows a stray NUL. */
static bool is_binary(hone_str b, bool named)
{
    const uint64_t n = b.n < BINARY_BYTES ? b.n : BINARY_BYTES;
    uint64_t nuls = 0;
    if (b.n >= 2 && (memcmp(b.p, "\xff\xfe", 2) == 0 || memcmp(b.p, "\xfe\xff", 2) == 0))
        return false; /* UTF-16 */
    for (uint64_t i = 0; i < n; i++)
        nuls += b.p[i] == '\0';
    return named ? nuls > n / 64 : nuls > 0;
}

static bool is_minified(hone_str t, int64_t limit)
{
    uint64_t lines = 1;
    if (!limit || t.n < 4096)
        return false;
    for (const char *p = t.p; (p = memchr(p, '\n', (size_t)(t.p + t.n - p))); p++)
        lines++;
    return t.n / lines > (uint64_t)limit;
}

/* ".kt", or the whole name of "Makefile": what a file without a language goes by. */
static hone_str kind_of(hone_str name)
{
    hone_str base = name;
    for (uint64_t i = 0; i < name.n; i++)
        if (name.p[i] == '/')
            base = (hone_str){ name.p + i + 1, name.n - i - 1 };
    for (uint64_t i = base.n; i > 1; i--)
        if (base.p[i - 1] == '.')
            return (hone_str){ base.p + i - 1, base.n - i + 1 };
    return base;
}

/* --------------------------------------------------------------------------- output */

static hone_status add_block(job *j, hone_str lang, hone_error *err)
{
    hone_block block = { .kind = HONE_BLOCK_CODE,
                         .text = hone_text_str(&j->text.text),
                         .lang = lang };
    decoded_span(&j->text, 0, block.text.n, &block);
    return block.text.n ? j->sink->add(j->sink, &block, err) : HONE_OK;
}

static hone_status add_one(job *j, uint64_t i, hone_error *err)
{
    const found *u = found_at(&j->walk, i);
    const hone_str t = j->walk.text;
    hone_block span;
    hone_unit unit = { .kind = u->kind,
                       .flags = u->flags,
                       .parent = u->parent,
                       .start = u->start,
                       .end = u->end,
                       .head = u->head,
                       .body = u->body,
                       .body_end = u->body_end };
    hone_str *const slots[] = { &unit.name, &unit.scope, &unit.signature, &unit.doc };
    for (size_t k = 0; k < 4; k++)
        hone_text_clear(&j->words[k]);
    if (u->kind == HONE_UNIT_COMMENT) {
        words_of_comment((hone_str){ t.p + u->start, u->end - u->start }, &j->words[3]);
    } else {
        if (u->called)
            hone_text_puts(&j->words[0], u->called);
        else
            hone_text_add(&j->words[0], t.p + u->name, u->name_end - u->name);
        words_of_scope(&j->walk, i, &j->words[1]);
        words_of_signature(&j->walk, i, &j->words[2]);
        words_of_doc(&j->walk, i, &j->words[3]);
    }
    for (size_t k = 0; k < 4; k++) {
        const hone_status st = hone_text_status(&j->words[k], err);
        if (st != HONE_OK)
            return st;
        *slots[k] = hone_text_str(&j->words[k]);
    }
    decoded_span(&j->text, u->start, u->end, &span);
    unit.src_off = span.src_off;
    unit.src_len = span.src_len;
    return j->sink->unit(j->sink, &unit, err);
}

static hone_status add_units(job *j, const language *lang, hone_error *err)
{
    hone_status st = HONE_OK;
    char why[160];
    for (uint64_t i = 0; i < found_n(&j->walk) && st == HONE_OK; i++)
        st = add_one(j, i, err);
    if (j->walk.error_bytes) {
        (void)snprintf(why, sizeof why, "did not parse as %s", lang->name);
        j->sink->lost(j->sink, j->walk.error_bytes, why);
    }
    return st;
}

static hone_status keep_as_text(job *j, hone_str lang, const char *format, const char *a,
                                const char *b, hone_error *err)
{
    char what[300];
    hone_status st;
    (void)snprintf(what, sizeof what, format, a, b);
    if (j->self->config.other != OTHER_TEXT)
        return hone_fail(err, HONE_ERR_SKIP, "%s", what);
    j->sink->note(j->sink, what);
    st = j->sink->meta(j->sink, "language", lang, err);
    return st == HONE_OK ? add_block(j, lang, err) : st;
}

/* --------------------------------------------------------------------------- a file */

static hone_status parse(job *j, const language *lang, hone_str t, walk *w, hone_error *err)
{
    TSParser *parser = j->self->parser;
    TSTree *tree = NULL;
    hone_status st;
    ts_parser_reset(parser);
    if (ts_parser_set_language(parser, lang->ts))
        tree = ts_parser_parse_string(parser, NULL, t.p, (uint32_t)t.n);
    if (!tree)
        return hone_fail(err, HONE_ERR_NOMEM, "code: tree-sitter cannot parse %s", lang->name);
    st = walk_tree(w, tree, err);
    ts_tree_delete(tree);
    return st;
}

static hone_status parse_whole(job *j, const language *lang, hone_error *err)
{
    const hone_str t = hone_text_str(&j->text.text);
    walk_finish(&j->walk);
    j->walk = (walk){ .host = j->self->host, .lang = lang, .text = t };
    return parse(j, lang, t, &j->walk, err);
}

/* Parses again what the preprocessor may have spoiled, with the first branches of its conditions and
 * with the last. Bytes are lost that neither understands, nor the whole text. */
static hone_status parse_masked(job *j, const language *lang, hone_error *err)
{
    hone_text *m = j->masked;
    hone_status st = HONE_OK;
    uint64_t errors = 0;
    for (uint32_t i = 0; i < 2 && st == HONE_OK; i++) {
        walk w = { .host = j->self->host, .lang = lang, .pass = i + 1 };
        if ((st = code_mask(j->walk.text, i, &m[i], err)) != HONE_OK)
            break;
        w.text = j->walk.masked[i] = hone_text_str(&m[i]);
        if (memcmp(m[i].p, i ? m[0].p : j->walk.text.p, m[i].n) == 0) { /* nothing new */
            errors = i ? errors : j->walk.error_bytes;
            break;
        }
        st = parse(j, lang, w.text, &w, err);
        if (st == HONE_OK)
            st = code_merge(&j->walk, &w, err);
        errors = w.error_bytes > errors ? w.error_bytes : errors;
        walk_finish(&w);
    }
    walk_arrange(&j->walk);
    j->walk.error_bytes = errors < j->walk.error_bytes ? errors : j->walk.error_bytes;
    return st;
}

static hone_status read_code(job *j, const language *lang, const language *second, hone_error *err)
{
    hone_status st = parse_whole(j, lang, err);
    if (st == HONE_OK && second && j->walk.error_bytes) { /* a header may be of either */
        const uint64_t errors = j->walk.error_bytes;
        st = parse_whole(j, second, err);
        if (st == HONE_OK && j->walk.error_bytes < errors)
            lang = second;
        else if (st == HONE_OK)
            st = parse_whole(j, lang, err);
    }
    if (st == HONE_OK && lang->preprocessor && j->walk.error_bytes)
        st = parse_masked(j, lang, err);
    const hone_str name = { lang->name, strlen(lang->name) };
    if (st != HONE_OK || (st = j->sink->meta(j->sink, "language", name, err)) != HONE_OK ||
        (st = add_block(j, name, err)) != HONE_OK)
        return st;
    return j->text.text.n ? add_units(j, lang, err) : HONE_OK;
}

/* The name of a kind of files for a message: no control characters, not long. */
static void put_kind(hone_str kind, char out[48])
{
    uint64_t n = 0, i = 0;
    while (i < kind.n && n < 40) {
        uint32_t cp;
        const uint64_t k = hone_utf8_next(kind.p + i, kind.n - i, &cp);
        if (cp == UINT32_MAX || cp < 0x20 || cp == 0x7f)
            out[n++] = '?';
        else
            for (uint64_t c = 0; c < k; c++)
                out[n++] = (char)(kind.p[i + c] >= 'A' && kind.p[i + c] <= 'Z' ? kind.p[i + c] + 32
                                                                               : kind.p[i + c]);
        i += k;
    }
    out[n] = '\0';
}

static hone_status read_text(job *j, hone_error *err)
{
    reader *self = j->self;
    const hone_str t = hone_text_str(&j->text.text);
    const language *second = NULL;
    const language *lang = languages_find(&self->languages, j->source->name, t, &second);
    char kind[48];
    put_kind(kind_of(j->source->name), kind);
    const hone_str as = { kind[0] == '.' && kind[1] ? kind + 1 : kind,
                          strlen(kind) - (kind[0] == '.' && kind[1]) };
    if (is_minified(t, self->config.max_mean_line))
        return hone_fail(err, HONE_ERR_SKIP,
                         "minified or generated: its lines are longer than %lld bytes on average",
                         (long long)self->config.max_mean_line);
    if (!lang)
        return keep_as_text(j, as.n ? as : (hone_str){ "text", 4 },
                            "no language is known for %s%s: kept as plain text", kind, "", err);
    const hone_str name = { lang->name, strlen(lang->name) };
    if (!lang->ts)
        return keep_as_text(j, name, "no grammar for %s%s: kept as plain text", lang->name,
                            lang->why, err);
    if (t.n > (uint64_t)self->config.max_parse_mb << 20)
        return keep_as_text(j, name, "%s%s: too large to parse (max_parse_mb), kept as plain text",
                            lang->name, "", err);
    return read_code(j, lang, second, err);
}

static hone_status code_read(void *p, const hone_source *source, const hone_block_sink *sink,
                             hone_error *err)
{
    reader *self = p;
    const hone_text words = { .host = self->host, .tag = "code" };
    job j = { .self = self,
              .source = source,
              .sink = sink,
              .words = { words, words, words, words },
              .masked = { words, words } };
    const language *second;
    const bool named =
        languages_find(&self->languages, source->name, (hone_str){ "", 0 }, &second) != NULL;
    if (is_binary(source->bytes, named))
        return hone_fail(err, HONE_ERR_SKIP, "binary: it has NUL bytes");
    j.walk = (walk){ .units = words, .levels = words };
    hone_status st = decode(&self->decoder, &j.text, source, (hone_str){ NULL, 0 }, err);
    if (st != HONE_OK)
        return st;
    st = read_text(&j, err);
    if (st == HONE_OK)
        decoded_report(&j.text, sink);
    walk_finish(&j.walk);
    decoded_finish(&j.text);
    for (size_t k = 0; k < 2; k++)
        hone_text_finish(&j.masked[k]);
    for (size_t k = 0; k < 4; k++)
        hone_text_finish(&j.words[k]);
    return st;
}

static const hone_reader ops = {
    .struct_size = sizeof ops,
    .create = code_create,
    .destroy = code_destroy,
    .read = code_read,
};

static const char *const extensions[] = { "*", NULL };

static const hone_component code = {
    .struct_size = sizeof code,
    .flags = HONE_COMPONENT_DETERMINISTIC | HONE_COMPONENT_ISOLATE,
    .kind = HONE_KIND_READER,
    .name = "code",
    .summary =
        "source code: functions, classes and comments by tree-sitter; other text as it stands",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
    .extensions = extensions,
};

static const hone_component *const components[] = { &code };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.code",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};

HONE_PLUGIN_NOTE("hone.code", "1.0.0", 1, HONE_NOTE_ROW(HONE_KIND_READER, "code", "*"));
HONE_PLUGIN_ENTRY(&plugin)
