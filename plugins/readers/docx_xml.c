/*
 * docx_xml.c - XML by libxml2's SAX2, with names looked up once.
 *
 * The parser interns names: the same name has the same address for as long as it lives, so that a
 * look in a small table by address replaces comparing. A document type declaration is refused:
 * no docx has one, and entities are what bombs are made of.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "docx.h"

#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <limits.h>
#include <stdlib.h>

static const char *const names[DOCX_N_NAMES] = {
#define X(n) [DOCX_##n] = #n,
    DOCX_NAMES(X)
#undef X
};

static uint32_t slot(const void *key)
{
    return (uint32_t)(((uintptr_t)key * 0x9e3779b97f4a7c15u) >> 40) & 255u;
}

static docx_name find_name(const docx_xml *x, const void *key)
{
    for (uint32_t i = slot(key); x->keys[i]; i = (i + 1) & 255u)
        if (x->keys[i] == key)
            return (docx_name)x->values[i];
    return DOCX_OTHER;
}

static bool intern(docx_xml *x, xmlDictPtr dict)
{
    for (int n = 1; n < DOCX_N_NAMES; n++) {
        const void *key = xmlDictLookup(dict, (const xmlChar *)names[n], -1);
        uint32_t i = slot(key);
        if (!key)
            return false;
        while (x->keys[i])
            i = (i + 1) & 255u;
        x->keys[i] = key;
        x->values[i] = (uint8_t)n;
    }
    return true;
}

static docx_space find_space(docx_xml *x, const xmlChar *uri)
{
    static const struct {
        const char *uri;
        docx_space is;
    } spaces[] = {
        { "http://schemas.openxmlformats.org/wordprocessingml/2006/main", DOCX_W },
        { "http://purl.oclc.org/ooxml/wordprocessingml/main", DOCX_W },
        { "http://schemas.openxmlformats.org/officeDocument/2006/math", DOCX_M },
        { "http://purl.oclc.org/ooxml/officeDocument/math", DOCX_M },
        { "http://schemas.openxmlformats.org/markup-compatibility/2006", DOCX_MC },
    };
    docx_space is = DOCX_ELSEWHERE;
    for (uint32_t i = 0; i < 4; i++)
        if (uri && x->uri[i] == uri)
            return x->uri_is[i];
    for (size_t i = 0; uri && i < sizeof spaces / sizeof *spaces; i++)
        if (strcmp((const char *)uri, spaces[i].uri) == 0)
            is = spaces[i].is;
    x->uri[x->n_uri & 3] = uri;
    x->uri_is[x->n_uri++ & 3] = is;
    return is;
}

static void on_start(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                     int n_namespaces, const xmlChar **namespaces, int n_attributes,
                     int n_defaulted, const xmlChar **attributes)
{
    docx_xml *x = ctx;
    (void)prefix;
    (void)n_namespaces;
    (void)namespaces;
    (void)n_defaulted;
    if (x->skipping || x->st != HONE_OK) {
        x->skipping++;
        return;
    }
    x->attributes = attributes;
    x->n_attributes = n_attributes;
    if (!x->start(x, find_space(x, uri), find_name(x, name)))
        x->skipping = 1;
    if (x->st != HONE_OK)
        xmlStopParser(x->parser);
}

static void on_end(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    docx_xml *x = ctx;
    (void)prefix;
    if (x->skipping) {
        x->skipping--;
        return;
    }
    x->end(x, find_space(x, uri), find_name(x, name));
    if (x->st != HONE_OK)
        xmlStopParser(x->parser);
}

static void on_text(void *ctx, const xmlChar *p, int n)
{
    docx_xml *x = ctx;
    if (!x->skipping && n > 0 && x->st == HONE_OK)
        x->text(x, (const char *)p, (uint64_t)n);
}

static void on_dtd(void *ctx, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    docx_xml *x = ctx;
    (void)name;
    (void)external;
    (void)system;
    x->has_dtd = true;
    xmlStopParser(x->parser);
}

/* Messages come with the parser's last error. */
static void on_error(void *ctx, const char *format, ...)
{
    (void)ctx;
    (void)format;
}

hone_str docx_attribute(const docx_xml *x, const char *name)
{
    for (int i = 0; i < x->n_attributes; i++) {
        const unsigned char *const *a = x->attributes + (size_t)i * 5;
        if (strcmp((const char *)a[0], name) == 0)
            return (hone_str){ (const char *)a[3], (uint64_t)(a[4] - a[3]) };
    }
    return (hone_str){ NULL, 0 };
}

int64_t docx_number(const docx_xml *x, const char *name, int64_t otherwise)
{
    const hone_str s = docx_attribute(x, name);
    char digits[16];
    char *end;
    if (!s.p || !s.n || s.n >= sizeof digits)
        return otherwise;
    memcpy(digits, s.p, s.n);
    digits[s.n] = '\0';
    const long v = strtol(digits, &end, 10);
    return *end ? otherwise : v;
}

bool docx_is_on(const docx_xml *x)
{
    const hone_str s = docx_attribute(x, "val");
    return !s.p || !((s.n == 1 && s.p[0] == '0') || (s.n == 5 && memcmp(s.p, "false", 5) == 0) ||
                     (s.n == 3 && memcmp(s.p, "off", 3) == 0));
}

/* The parser's message on one line of text. */
static hone_status not_well_formed(const docx_xml *x, xmlParserCtxtPtr parser, hone_error *err)
{
    const xmlError *e = xmlCtxtGetLastError(parser);
    char why[160] = "not well-formed";
    if (e && e->message) {
        size_t n = 0;
        for (; e->message[n] && n < sizeof why - 1; n++)
            why[n] = e->message[n] >= ' ' && e->message[n] <= '~' ? e->message[n] : ' ';
        while (n && why[n - 1] == ' ')
            n--;
        why[n] = '\0';
    }
    return hone_fail(err, HONE_ERR_FORMAT, "a broken docx: %s, line %d: %s", x->part,
                     e ? e->line : 0, why);
}

hone_status docx_xml_parse(docx_xml *x, hone_str bytes, hone_error *err)
{
    hone_status st = HONE_OK;
    xmlSAXHandler sax = { .initialized = XML_SAX2_MAGIC,
                          .startElementNs = on_start,
                          .endElementNs = on_end,
                          .characters = on_text,
                          .cdataBlock = on_text,
                          .ignorableWhitespace = on_text,
                          .internalSubset = on_dtd,
                          .error = on_error,
                          .warning = on_error };
    if (bytes.n > INT_MAX / 2)
        return hone_fail(err, HONE_ERR_LIMIT, "%s is larger than 1 GB", x->part);
    xmlParserCtxtPtr parser = xmlCreateMemoryParserCtxt(bytes.p, (int)bytes.n);
    if (!parser)
        return bytes.n ? hone_fail(err, HONE_ERR_NOMEM, "docx: no memory to read %s", x->part)
                       : hone_fail(err, HONE_ERR_FORMAT, "a broken docx: %s is empty", x->part);
    xmlSAXHandler *own = parser->sax;
    parser->sax = &sax;
    parser->userData = x;
    (void)xmlCtxtUseOptions(parser, XML_PARSE_NONET);
    x->parser = parser;
    x->err = err;
    x->st = HONE_OK;
    if (!intern(x, parser->dict))
        st = hone_fail(err, HONE_ERR_NOMEM, "docx: no memory to read %s", x->part);
    else
        (void)xmlParseDocument(parser);
    if (st == HONE_OK && x->has_dtd)
        st = hone_fail(err, HONE_ERR_FORMAT,
                       "%s has a document type declaration, which no docx has", x->part);
    else if (st == HONE_OK && x->st != HONE_OK)
        st = x->st;
    else if (st == HONE_OK && !parser->wellFormed)
        st = not_well_formed(x, parser, err);
    parser->sax = own;
    xmlFreeParserCtxt(parser);
    x->parser = NULL;
    return st;
}
