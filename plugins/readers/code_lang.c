/*
 * code_lang.c - one language: its table and its grammar.
 *
 * <language>.lang is text that says which files are of the language and which nodes of its
 * grammar's trees are functions, classes, comments; docs/code.md has its words. The grammar is
 * libtree-sitter-<language>.so, opened before the process gives up its right to open files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "code.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TABLE (1 << 18) /* bytes of a table */
#define MAX_WORDS 64        /* of one of its lines */

/* A table while it is read. */
typedef struct reading {
    language *l;
    const char *path; /* borrowed */
    int line;
    hone_error *err;
} reading;

HONE_PRINTF(2, 3) static hone_status wrong(const reading *r, const char *format, ...)
{
    char what[300];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return hone_fail(r->err, HONE_ERR_FORMAT, "%s:%d: %s", r->path, r->line, what);
}

char *code_copy(const hone_host *host, const char *p, size_t n)
{
    char *c = host->alloc(host, n + 1, 1, "code");
    if (c) {
        memcpy(c, p, n);
        c[n] = '\0';
    }
    return c;
}

char *code_join(const hone_host *host, const char *a, const char *b, const char *c)
{
    const size_t x = strlen(a), y = strlen(b), z = strlen(c);
    char *p = host->alloc(host, x + y + z + 1, 1, "code");
    if (p) {
        memcpy(p, a, x);
        memcpy(p + x, b, y);
        memcpy(p + x + y, c, z + 1);
    }
    return p;
}

/* ------------------------------------------------------------------ words of a line */

static hone_status add_words(reading *r, char **words, int n, void *list)
{
    hone_text *out = list;
    (void)r;
    for (int i = 0; i < n; i++)
        hone_text_add(out, words[i], strlen(words[i]) + 1);
    return HONE_OK;
}

static hone_status set_word(reading *r, char **words, int n, void *slot)
{
    if (n != 1)
        return wrong(r, "expected one word");
    *(const char **)slot = words[0];
    return HONE_OK;
}

static hone_status set_marks(reading *r, char **words, int n, void *unused)
{
    (void)unused;
    for (int i = 0; i < n; i++)
        words[i] += words[i][0] == '\\' && words[i][1]; /* "\#": a plain # begins a comment */
    for (int i = 0; i < n; i++)
        r->l->marked[(unsigned char)words[i][0]] = true;
    return add_words(r, words, n, &r->l->marks);
}

static hone_status set_flag(reading *r, char **words, int n, void *slot)
{
    (void)words;
    if (n)
        return wrong(r, "expected no more words");
    *(bool *)slot = true;
    return HONE_OK;
}

static hone_status find_field(reading *r, const char *word, TSFieldId *id)
{
    *id = ts_language_field_id_for_name(r->l->ts, word, (uint32_t)strlen(word));
    return *id ? HONE_OK : wrong(r, "the grammar has no field '%s'", word);
}

/* Calls each(symbol) for all symbols of this name: a node type may have several. */
#define FOR_SYMBOLS(r, name, s)                                                        \
    for (uint32_t s = 0; s < (r)->l->n_symbols; s++)                                   \
        if (ts_language_symbol_type((r)->l->ts, (TSSymbol)s) == TSSymbolTypeRegular && \
            strcmp(ts_language_symbol_name((r)->l->ts, (TSSymbol)s), name) == 0)

static hone_status mark_nodes(reading *r, char **words, int n, unsigned mark)
{
    for (int i = 0; i < n; i++) {
        bool any = false;
        FOR_SYMBOLS(r, words[i], s)
        {
            r->l->nodes[s] = (uint8_t)(r->l->nodes[s] | mark);
            r->l->docstrings |= mark == NODE_DOCSTRING;
            any = true;
        }
        if (!any)
            return wrong(r, "the grammar has no node '%s'", words[i]);
    }
    return HONE_OK;
}

static hone_status set_chain(reading *r, char **words, int n, void *unused)
{
    (void)unused;
    return n == 1 ? find_field(r, words[0], &r->l->chain) : wrong(r, "expected one field");
}

static hone_status set_qualified(reading *r, char **words, int n, void *unused)
{
    TSFieldId field = 0;
    bool any = false;
    (void)unused;
    if (n != 2)
        return wrong(r, "expected a node and a field");
    const hone_status st = find_field(r, words[1], &field);
    if (st != HONE_OK)
        return st;
    FOR_SYMBOLS(r, words[0], s)
    {
        r->l->qualified[s] = field;
        any = true;
    }
    return any ? HONE_OK : wrong(r, "the grammar has no node '%s'", words[0]);
}

/* ------------------------------------------------------------------------- units */

static const char *const kinds[] = { "function", "method", "class",    "interface",
                                     "enum",     "module", "property", "macro" };

static hone_status set_bodies(reading *r, char *list, lang_unit *u)
{
    int n = 0;
    for (char *word = strtok(list, ","); word; word = strtok(NULL, ",")) {
        if (n == MAX_FIELDS)
            return wrong(r, "more than %d fields", MAX_FIELDS);
        const hone_status st = find_field(r, word, &u->body[n++]);
        if (st != HONE_OK)
            return st;
    }
    return HONE_OK;
}

static hone_status unit_word(reading *r, char *word, lang_unit *u)
{
    char *value = strchr(word, '=');
    if (strcmp(word, "bodyless") == 0)
        u->bodyless = true;
    else if (strcmp(word, "rest") == 0)
        u->rest = u->bodyless = true;
    else if (strcmp(word, "name=last") == 0)
        u->last = true;
    else if (value && strncmp(word, "name=", 5) == 0)
        return find_field(r, value + 1, &u->name);
    else if (value && strncmp(word, "scope=", 6) == 0)
        return find_field(r, value + 1, &u->scope);
    else if (value && strncmp(word, "body=", 5) == 0)
        return set_bodies(r, value + 1, u);
    else if (value && strncmp(word, "called=", 7) == 0)
        u->called = value + 1;
    else
        return wrong(r, "'%s' is none of bodyless, rest, name=, scope=, body=, called=", word);
    return HONE_OK;
}

static hone_status add_unit(reading *r, char **words, int n, void *unused)
{
    language *l = r->l;
    lang_unit u = { .name = ts_language_field_id_for_name(l->ts, "name", 4),
                    .body = { ts_language_field_id_for_name(l->ts, "body", 4) } };
    bool any = false;
    (void)unused;
    if (n < 2)
        return wrong(r, "expected a node and a kind");
    for (uint32_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(words[1], kinds[i]) == 0)
            u.kind = HONE_UNIT_FUNCTION + i;
    if (!u.kind)
        return wrong(r, "'%s' is no kind of unit", words[1]);
    u.bodyless =
        u.kind == HONE_UNIT_FUNCTION || u.kind == HONE_UNIT_METHOD || u.kind == HONE_UNIT_PROPERTY;
    for (int i = 2; i < n; i++) {
        const hone_status st = unit_word(r, words[i], &u);
        if (st != HONE_OK)
            return st;
    }
    hone_text_add(&l->rows, (const char *)&u, sizeof u);
    FOR_SYMBOLS(r, words[0], s)
    {
        l->units[s] = (uint16_t)(l->rows.n / sizeof u);
        any = true;
    }
    return any ? HONE_OK : wrong(r, "the grammar has no node '%s'", words[0]);
}

static hone_status name_by(reading *r, char *word, lang_unit *u)
{
    char *dot = strpbrk(word, ".:");
    lang_named named = { 0 };
    bool any = false;
    if (!dot)
        return wrong(r, "'%s': expected PARENT.FIELD or PARENT:word", word);
    if (*dot == ':') {
        named.word = dot + 1;
    } else if (strcmp(dot + 1, "0") != 0) { /* ".0": its first named child */
        const hone_status st = find_field(r, dot + 1, &named.field);
        if (st != HONE_OK)
            return st;
    }
    *dot = '\0';
    FOR_SYMBOLS(r, word, s)
    {
        any = true;
        named.parent = (TSSymbol)s;
        if (u->n_named == MAX_NAMED)
            return wrong(r, "more than %d parents", MAX_NAMED);
        u->named[u->n_named++] = named;
    }
    return any ? HONE_OK : wrong(r, "the grammar has no node '%s'", word);
}

static hone_status add_named(reading *r, char **words, int n, void *unused)
{
    lang_unit *rows = (lang_unit *)(void *)r->l->rows.p;
    uint32_t row = 0;
    (void)unused;
    FOR_SYMBOLS(r, n ? words[0] : "", s)
    row = r->l->units[s] ? r->l->units[s] : row;
    if (!row)
        return wrong(r, "'%s' has no unit line above", n ? words[0] : "");
    for (int i = 1; i < n; i++) {
        const hone_status st = name_by(r, words[i], &rows[row - 1]);
        if (st != HONE_OK)
            return st;
    }
    return HONE_OK;
}

/* ------------------------------------------------------------------------- lines */

/* Without a grammar, lines about its nodes are left unread. */
static hone_status read_line(reading *r, char **words, int n)
{
    static const struct {
        const char *word;
        unsigned mark;
    } marks[] = {
        { "comment", NODE_COMMENT }, { "before", NODE_BEFORE },       { "wrap", NODE_WRAP },
        { "through", NODE_THROUGH }, { "docstring", NODE_DOCSTRING }, { "final", NODE_FINAL },
    };
    language *l = r->l;
    const struct {
        const char *word;
        bool grammar;
        hone_status (*read)(reading *, char **, int, void *);
        void *arg;
    } lines[] = {
        { "language", false, set_word, &l->name },
        { "scope", false, set_word, &l->scope },
        { "extensions", false, add_words, &l->extensions },
        { "also", false, add_words, &l->also },
        { "files", false, add_words, &l->files },
        { "shebang", false, add_words, &l->shebangs },
        { "marks", false, set_marks, NULL },
        { "preprocessor", false, set_flag, &l->preprocessor },
        { "chain", true, set_chain, NULL },
        { "qualified", true, set_qualified, NULL },
        { "unit", true, add_unit, NULL },
        { "named", true, add_named, NULL },
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (strcmp(words[0], lines[i].word) == 0)
            return lines[i].grammar && !l->ts ? HONE_OK
                                              : lines[i].read(r, words + 1, n - 1, lines[i].arg);
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (strcmp(words[0], marks[i].word) == 0)
            return l->ts ? mark_nodes(r, words + 1, n - 1, marks[i].mark) : HONE_OK;

    return wrong(r, "'%s' is no word of a language table; docs/code.md has them", words[0]);
}

static hone_status read_lines(language *l, const char *path, char *p, size_t n, hone_error *err)
{
    reading r = { l, path, 0, err };
    for (char *end = p + n; p < end;) {
        char *words[MAX_WORDS], *line_end = memchr(p, '\n', (size_t)(end - p));
        int k = 0;
        line_end = line_end ? line_end : end;
        r.line++;
        *line_end = '\0'; /* the text has room for one more */
        for (;;) {
            p += strspn(p, " \t\r");
            if (p >= line_end || *p == '#')
                break;
            if (k == MAX_WORDS)
                return wrong(&r, "more than %d words", MAX_WORDS);
            words[k++] = p;
            p += strcspn(p, " \t\r");
            if (p < line_end)
                *p++ = '\0';
        }
        const hone_status st = k ? read_line(&r, words, k) : HONE_OK;
        if (st != HONE_OK)
            return st;
        p = line_end + 1;
    }
    return HONE_OK;
}

/* ---------------------------------------------------------------------- grammars */

/* Opens libtree-sitter-<stem>.so; what is wrong with it goes to l->why. */
static hone_status open_grammar(language *l, const hone_host *host, const char *so, hone_error *err)
{
    char symbol[64];
    const TSLanguage *(*entry)(void) = NULL;
    (void)snprintf(symbol, sizeof symbol, "tree_sitter_%s", l->stem);
    for (char *c = symbol; *c; c++)
        *c = *c == '-' ? '_' : *c;
    l->so = dlopen(so, RTLD_NOW | RTLD_LOCAL);
    if (!l->so) {
        FILE *f = fopen(so, "rb");
        if (f)
            (void)snprintf(l->why, sizeof l->why, ": its file cannot be opened");
        if (f)
            (void)fclose(f);
        return HONE_OK;
    }
    *(void **)&entry = dlsym(l->so, symbol);
    if (!entry) {
        (void)snprintf(l->why, sizeof l->why, ": its file has no %s", symbol);
        return HONE_OK;
    }
    const TSLanguage *ts = entry();
    const uint32_t abi = ts ? ts_language_version(ts) : 0;
    if (abi < TREE_SITTER_MIN_COMPATIBLE_LANGUAGE_VERSION || abi > TREE_SITTER_LANGUAGE_VERSION) {
        (void)snprintf(l->why, sizeof l->why, ": its ABI is %u, %d to %d are understood", abi,
                       TREE_SITTER_MIN_COMPATIBLE_LANGUAGE_VERSION, TREE_SITTER_LANGUAGE_VERSION);
        return HONE_OK;
    }
    l->n_symbols = ts_language_symbol_count(ts);
    const uint64_t n = (uint64_t)l->n_symbols + 1;
    l->nodes = host->alloc(host, n * sizeof *l->nodes, 1, "code");
    l->units = host->alloc(host, n * sizeof *l->units, _Alignof(uint16_t), "code");
    l->qualified = host->alloc(host, n * sizeof *l->qualified, _Alignof(TSFieldId), "code");
    if (!l->nodes || !l->units || !l->qualified)
        return hone_fail(err, HONE_ERR_NOMEM, "code: no memory for %s", l->name);
    memset(l->nodes, 0, n * sizeof *l->nodes);
    memset(l->units, 0, n * sizeof *l->units);
    memset(l->qualified, 0, n * sizeof *l->qualified);
    l->ts = ts;
    return HONE_OK;
}

void language_finish(language *l, const hone_host *host)
{
    hone_text *texts[] = { &l->rows, &l->extensions, &l->also, &l->files, &l->shebangs, &l->marks };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        hone_text_finish(texts[i]);
    host->free(host, l->nodes);
    host->free(host, l->units);
    host->free(host, l->qualified);
    host->free(host, l->table);
    host->free(host, l->stem);
    if (l->so)
        (void)dlclose(l->so);
}

static hone_status read_file(const hone_host *host, const char *path, char **out, size_t *n,
                             hone_error *err)
{
    FILE *f = fopen(path, "rb");
    char *p = host->alloc(host, MAX_TABLE + 1, 1, "code");
    hone_status st = HONE_OK;
    if (!p)
        st = hone_fail(err, HONE_ERR_NOMEM, "code: no memory for %s", path);
    else if (!f)
        st = hone_fail(err, HONE_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    else if ((*n = fread(p, 1, MAX_TABLE, f)) == MAX_TABLE)
        st = hone_fail(err, HONE_ERR_LIMIT, "%s: more than %d bytes", path, MAX_TABLE);
    if (f)
        (void)fclose(f);
    if (st != HONE_OK) {
        host->free(host, p);
        return st;
    }
    p[*n] = '\0';
    *out = p;
    return HONE_OK;
}

hone_status language_load(languages *all, const char *folder, const char *stem, size_t n_stem,
                          hone_error *err)
{
    const hone_host *host = all->host;
    const hone_text list = { .host = host, .tag = "code" };
    language l = { .rows = list,
                   .extensions = list,
                   .also = list,
                   .files = list,
                   .shebangs = list,
                   .marks = list };
    char *path = NULL, *so = NULL, *again = NULL;
    size_t n = 0;
    hone_status st = HONE_ERR_NOMEM;
    l.stem = code_copy(host, stem, n_stem);
    path = l.stem ? code_join(host, folder, "/", l.stem) : NULL;
    so = path ? code_join(host, folder, "/libtree-sitter-", l.stem) : NULL;
    again = path;
    path = path ? code_join(host, path, ".lang", "") : NULL;
    host->free(host, again);
    again = so;
    so = so ? code_join(host, so, ".so", "") : NULL;
    host->free(host, again);
    again = NULL;
    if (!path || !so) {
        st = hone_fail(err, HONE_ERR_NOMEM, "code: no memory for languages");
        goto out;
    }
    l.name = l.stem;
    l.scope = ".";
    if ((st = read_file(host, path, &l.table, &n, err)) != HONE_OK ||
        (st = open_grammar(&l, host, so, err)) != HONE_OK ||
        (st = read_lines(&l, path, l.table, n, err)) != HONE_OK)
        goto out;
    hone_text *texts[] = { &l.extensions, &l.also, &l.files, &l.shebangs, &l.rows };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && st == HONE_OK; i++) {
        if (texts[i] != &l.rows)
            hone_text_putc(texts[i], '\0');
        st = hone_text_status(texts[i], err);
    }
    if (st == HONE_OK) {
        hone_text_add(&all->list, (const char *)&l, sizeof l);
        st = hone_text_status(&all->list, err);
    }
out:
    host->free(host, path);
    host->free(host, so);
    if (st != HONE_OK)
        language_finish(&l, host);
    return st;
}
