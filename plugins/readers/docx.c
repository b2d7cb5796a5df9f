/*
 * docx.c - Word documents (Office Open XML): text, headings, lists, tables and notes.
 *
 * Unpacking and parsing are the reason for HONE_COMPONENT_ISOLATE. Spans are paragraphs of the
 * body, counted from 0: bytes of a compressed file say nothing to who looks them up.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "docx.h"

#include <libxml/parser.h>
#include <stdio.h>

#define MAX_EDGES 64 /* headers and footers that are counted */

typedef struct config {
    int64_t max_mb;
} config;

/* clang-format off */
static const hone_option options[] = {
    HONE_ROW_I64(config, max_mb, 1, 65536, "1024", "text parts may unpack to so much, MB"),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct reader {
    const hone_host *host; /* borrowed */
    config config;
} reader;

/* What a part is to another one. */
typedef enum relation {
    REL_MAIN,
    REL_CORE,
    REL_STYLES,
    REL_NUMBERING,
    REL_FOOTNOTES,
    REL_ENDNOTES,
    REL_EDGE,
    N_RELATIONS
} relation;

/* Ends of the types' names; transitional and strict differ in front. */
static const struct {
    const char *end;
    relation is;
} relations[] = {
    { "/officeDocument", REL_MAIN }, { "/core-properties", REL_CORE },
    { "/coreProperties", REL_CORE }, { "/styles", REL_STYLES },
    { "/numbering", REL_NUMBERING }, { "/footnotes", REL_FOOTNOTES },
    { "/endnotes", REL_ENDNOTES },   { "/header", REL_EDGE },
    { "/footer", REL_EDGE },
};

typedef struct package {
    const docx_parts *parts;
    hone_str folder;                    /* of the part whose relations are read */
    const docx_part *part[N_RELATIONS]; /* the first of each */
    const docx_part *edges[MAX_EDGES];
    uint32_t n_edges;
    char names[N_RELATIONS][200]; /* for messages */
} package;

static bool ends_with(hone_str s, const char *tail)
{
    const uint64_t n = strlen(tail);
    return s.n >= n && memcmp(s.p + s.n - n, tail, n) == 0;
}

/* A target as a name of the archive: relative to the folder, or from the top. */
static const docx_part *resolve(const package *k, hone_str target)
{
    char name[400];
    hone_str folder = k->folder;
    if (target.n && target.p[0] == '/')
        return docx_parts_find(k->parts, target);
    while (target.n > 3 && memcmp(target.p, "../", 3) == 0) {
        target = (hone_str){ target.p + 3, target.n - 3 };
        folder.n -= folder.n > 0;
        while (folder.n && folder.p[folder.n - 1] != '/')
            folder.n--;
    }
    if (folder.n + target.n >= sizeof name)
        return NULL;
    memcpy(name, folder.p, folder.n);
    memcpy(name + folder.n, target.p, target.n);
    return docx_parts_find(k->parts, (hone_str){ name, folder.n + target.n });
}

static bool relation_start(docx_xml *x, docx_space space, docx_name name)
{
    package *k = x->ctx;
    const hone_str type = docx_attribute(x, "Type"), target = docx_attribute(x, "Target");
    (void)space;
    if (name != DOCX_Relationship || !type.p || !target.p)
        return true;
    for (size_t i = 0; i < sizeof relations / sizeof *relations; i++) {
        const relation is = relations[i].is;
        if (!ends_with(type, relations[i].end))
            continue;
        const docx_part *part = resolve(k, target);
        if (part && is == REL_EDGE && k->n_edges < MAX_EDGES)
            k->edges[k->n_edges++] = part;
        if (part && !k->part[is]) {
            const hone_str full = docx_parts_name(k->parts, part);
            k->part[is] = part;
            (void)snprintf(k->names[is], sizeof k->names[is], "%.*s", (int)full.n, full.p);
        }
    }
    return true;
}

static void nothing(docx_xml *x, docx_space space, docx_name name)
{
    (void)x;
    (void)space;
    (void)name;
}

static void no_text(docx_xml *x, const char *p, uint64_t n)
{
    (void)x;
    (void)p;
    (void)n;
}

/* The relations of a part; "" is the package itself. */
static hone_status read_relations(package *k, const hone_host *host, hone_str of, hone_error *err)
{
    char name[420];
    uint64_t slash = of.n;
    while (slash && of.p[slash - 1] != '/')
        slash--;
    k->folder = (hone_str){ of.p, slash };
    (void)snprintf(name, sizeof name, "%.*s_rels/%.*s.rels", (int)slash, of.p, (int)(of.n - slash),
                   of.p + slash);
    const docx_part *part = docx_parts_find(k->parts, hone_s(name));
    if (!part)
        return HONE_OK;
    docx_xml x = { .host = host,
                   .part = "its list of relations",
                   .ctx = k,
                   .start = relation_start,
                   .end = nothing,
                   .text = no_text };
    return docx_xml_parse(&x, docx_parts_bytes(k->parts, part), err);
}

/* ------------------------------------------------------------------------ meta */

typedef struct core { /* docProps/core.xml */
    hone_text text[3];
    int at; /* of the element that is open; -1: none of ours */
} core;

static bool core_start(docx_xml *x, docx_space space, docx_name name)
{
    core *c = x->ctx;
    (void)space;
    c->at = name == DOCX_title ? 0 : name == DOCX_creator ? 1 : name == DOCX_created ? 2 : -1;
    return true;
}

static void core_end(docx_xml *x, docx_space space, docx_name name)
{
    (void)space;
    (void)name;
    ((core *)x->ctx)->at = -1;
}

static void core_text(docx_xml *x, const char *p, uint64_t n)
{
    core *c = x->ctx;
    for (uint64_t i = 0; i < n && c->at >= 0; i++)
        hone_text_putc(&c->text[c->at], (unsigned char)p[i] < 0x20 ? ' ' : p[i]);
}

static hone_status give_meta(const package *k, const hone_host *host, const hone_block_sink *sink,
                             hone_error *err)
{
    static const char *const keys[] = { "title", "author", "date" };
    const hone_text empty = { .host = host, .tag = "docx" };
    core c = { .text = { empty, empty, empty }, .at = -1 };
    docx_xml x = { .host = host,
                   .part = k->names[REL_CORE],
                   .ctx = &c,
                   .start = core_start,
                   .end = core_end,
                   .text = core_text };
    hone_status st = sink->meta(sink, "unit", hone_s("paragraph"), err);
    if (st == HONE_OK && k->part[REL_CORE])
        st = docx_xml_parse(&x, docx_parts_bytes(k->parts, k->part[REL_CORE]), err);
    for (int i = 0; i < 3; i++) {
        hone_str s = hone_text_str(&c.text[i]);
        while (s.n && s.p[s.n - 1] == ' ')
            s.n--;
        if (i == 2 && s.n > 10)
            s.n = 10; /* the day of 2024-05-01T10:00:00Z */
        if (st == HONE_OK)
            st = hone_text_status(&c.text[i], err);
        if (st == HONE_OK && s.n)
            st = sink->meta(sink, keys[i], s, err);
    }
    for (int i = 0; i < 3; i++)
        hone_text_finish(&c.text[i]);
    return st;
}

/* -------------------------------------------------------------------- documents */

static void report(const docx_counts *c, const docx_parts *parts, const hone_block_sink *sink)
{
    const struct {
        uint64_t n;
        const char *why;
    } rows[] = {
        { c->edges, "headers and footers" },
        { c->hidden, "hidden text" },
        { c->ruby, "reading aids (ruby)" },
        { c->comments, "comments, one byte for each" },
        { c->images > parts->n_images ? c->images : parts->n_images, "images, one byte for each" },
        { c->charts, "charts, one byte for each" },
        { c->objects, "embedded objects, one byte for each" },
        { c->symbols, "characters of symbol fonts, one byte for each" },
        { c->chunks, "embedded files of other formats, one byte for each" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].n)
            sink->lost(sink, rows[i].n, rows[i].why);
}

static hone_status read_document(package *k, const hone_host *host, const hone_block_sink *sink,
                                 hone_error *err)
{
    docx_styles styles;
    docx_notes foot = { 0 }, end = { 0 };
    docx_counts counts = { 0 };
    docx_out o;
    hone_status st;
    docx_styles_init(&styles, host);
    docx_out_init(&o, host, sink, err);
    if ((st = give_meta(k, host, sink, err)) != HONE_OK ||
        (st = docx_styles_read(&styles, host, docx_parts_bytes(k->parts, k->part[REL_STYLES]),
                               docx_parts_bytes(k->parts, k->part[REL_NUMBERING]), err)) !=
            HONE_OK ||
        (st = docx_notes_read(&foot, host, docx_parts_bytes(k->parts, k->part[REL_FOOTNOTES]),
                              k->names[REL_FOOTNOTES], err)) != HONE_OK ||
        (st = docx_notes_read(&end, host, docx_parts_bytes(k->parts, k->part[REL_ENDNOTES]),
                              k->names[REL_ENDNOTES], err)) != HONE_OK ||
        (st = docx_body_read(&o, &styles, &foot, &end, &counts,
                             docx_parts_bytes(k->parts, k->part[REL_MAIN]), k->names[REL_MAIN],
                             err)) != HONE_OK)
        goto out;
    for (uint32_t i = 0; i < k->n_edges && st == HONE_OK; i++)
        st = docx_count_text(&counts.edges, host, docx_parts_bytes(k->parts, k->edges[i]),
                             "a header or footer", err);
    if (st == HONE_OK)
        report(&counts, k->parts, sink);
out:
    docx_out_finish(&o);
    docx_styles_finish(&styles);
    docx_notes_finish(&foot);
    docx_notes_finish(&end);
    return st;
}

/* What a file is that does not begin as a zip archive. */
static hone_status refuse(hone_str bytes, hone_error *err)
{
    static const char encrypted[] = "E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e"; /* UTF-16 */
    if (bytes.n >= 8 && memcmp(bytes.p, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8) == 0)
        return memmem(bytes.p, bytes.n, encrypted, sizeof encrypted - 1)
                   ? hone_fail(err, HONE_ERR_SKIP,
                               "encrypted; save it without a password to have it read")
                   : hone_fail(err, HONE_ERR_FORMAT,
                               "an old Word document (.doc), not a docx; save it as .docx");
    if (bytes.n >= 5 && memcmp(bytes.p, "{\\rtf", 5) == 0)
        return hone_fail(err, HONE_ERR_FORMAT, "rich text (RTF), not a docx; save it as .docx");
    return hone_fail(err, HONE_ERR_FORMAT,
                     bytes.n ? "no docx: it does not begin as a zip archive does"
                             : "no docx: the file is empty");
}

static hone_status docx_read(void *p, const hone_source *source, const hone_block_sink *sink,
                             hone_error *err)
{
    const reader *self = p;
    docx_parts parts;
    package k = { .parts = &parts };
    if (source->bytes.n < 4 || memcmp(source->bytes.p, "PK", 2) != 0)
        return refuse(source->bytes, err);
    hone_status st =
        docx_parts_open(&parts, self->host, source->bytes, self->config.max_mb << 20, err);
    if (st != HONE_OK)
        return st;
    st = read_relations(&k, self->host, hone_s(""), err);
    if (st == HONE_OK && !k.part[REL_MAIN]) {
        k.part[REL_MAIN] = docx_parts_find(&parts, hone_s("word/document.xml"));
        (void)snprintf(k.names[REL_MAIN], sizeof k.names[REL_MAIN], "word/document.xml");
    }
    if (st == HONE_OK && !k.part[REL_MAIN])
        st = hone_fail(err, HONE_ERR_FORMAT, "a zip archive without word/document.xml: no docx");
    if (st == HONE_OK && (strstr(k.names[REL_MAIN], "xl/") || strstr(k.names[REL_MAIN], "ppt/")))
        st = hone_fail(err, HONE_ERR_FORMAT, "an Office document with %s: no docx",
                       k.names[REL_MAIN]);
    if (st == HONE_OK)
        st = read_relations(&k, self->host, docx_parts_name(&parts, k.part[REL_MAIN]), err);
    if (st == HONE_OK)
        st = read_document(&k, self->host, sink, err);
    docx_parts_finish(&parts);
    return st;
}

static void docx_destroy(void *p)
{
    reader *self = p;
    if (self)
        self->host->free(self->host, self);
}

static hone_status docx_create(const hone_host *host, const void *cfg, void **out, hone_error *err)
{
    reader *self = host->alloc(host, sizeof *self, _Alignof(reader), "docx");
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "docx: no memory");
    *self = (reader){ .host = host, .config = *(const config *)cfg };
    *out = self;
    return HONE_OK;
}

static hone_status docx_init(const hone_host *host, hone_error *err)
{
    (void)host;
    (void)err;
    xmlInitParser();
    return HONE_OK;
}

static void docx_shutdown(void)
{
    xmlCleanupParser();
}

static const hone_reader ops = {
    .struct_size = sizeof ops,
    .create = docx_create,
    .destroy = docx_destroy,
    .read = docx_read,
};

static const char *const extensions[] = { ".docx", ".docm", ".dotx", NULL };

static const hone_component docx = {
    .struct_size = sizeof docx,
    .flags = HONE_COMPONENT_DETERMINISTIC | HONE_COMPONENT_ISOLATE,
    .kind = HONE_KIND_READER,
    .name = "docx",
    .summary = "Word documents: text, headings, lists, tables, notes; spans are paragraphs",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
    .extensions = extensions,
};

static const hone_component *const components[] = { &docx };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.docx",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
    .init = docx_init,
    .shutdown = docx_shutdown,
};

HONE_PLUGIN_NOTE("hone.docx", "1.0.0", 1,
                 HONE_NOTE_ROW(HONE_KIND_READER, "docx", ".docx .docm .dotx"));
HONE_PLUGIN_ENTRY(&plugin)
