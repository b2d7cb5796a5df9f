/*
 * made.c - see made.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "made.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------ PDF */

typedef struct pdf {
    text *out;
    size_t at[256]; /* of objects */
    size_t n;
} pdf;

static void object(pdf *p, const char *body)
{
    p->at[p->n++] = p->out->n;
    text_printf(p->out, "%zu 0 obj\n%s\nendobj\n", p->n, body);
}

static void stream(pdf *p, const char *head, const text *data)
{
    p->at[p->n++] = p->out->n;
    text_printf(p->out, "%zu 0 obj\n<<%s/Length %zu>>\nstream\n%s\nendstream\nendobj\n", p->n, head,
                data->n, data->p ? data->p : "");
}

static void draw_line(text *t, const char *line, size_t n)
{
    char font = 'R', copy[512];
    double x = 0, y = 0, size = 0;
    int used = 0;
    (void)snprintf(copy, sizeof copy, "%.*s", (int)n, line);
    if (strcmp(copy, "image") == 0) {
        text_puts(t, "q 612 0 0 792 0 0 cm /I Do Q\n");
        return;
    }
    if (sscanf(copy, "%lf %lf %lf %c %n", &x, &y, &size, &font, &used) < 4)
        abort();
    text_printf(t, "BT /%c %g Tf %g %g Td (", font, size, x, y);
    for (const char *c = copy + used; *c; c++) {
        if (strchr("()\\", *c))
            text_putc(t, '\\');
        text_putc(t, *c);
    }
    text_puts(t, ") Tj ET\n");
}

void made_pdf(text *out, const char *const *pages, size_t n_pages, const char *const *titles,
              size_t n_titles)
{
    static const char *const fonts[] = { "Times-Roman", "Times-Bold", "Courier" };
    pdf p = { .out = out };
    text t = { 0 }, dot = { 0 };
    const size_t first = 7, outline = first + 2 * n_pages; /* objects before it */
    text_puts(out, "%PDF-1.4\n");
    text_printf(&t, "<</Type/Catalog/Pages 2 0 R%s", n_titles ? "/Outlines " : "");
    if (n_titles)
        text_printf(&t, "%zu 0 R", outline);
    text_puts(&t, ">>");
    object(&p, t.p);
    text_clear(&t);
    text_puts(&t, "<</Type/Pages/Kids[");
    for (size_t i = 0; i < n_pages; i++)
        text_printf(&t, "%zu 0 R ", first + 2 * i);
    text_printf(&t, "]/Count %zu>>", n_pages);
    object(&p, t.p);
    for (size_t i = 0; i < 3; i++) {
        text_clear(&t);
        text_printf(&t, "<</Type/Font/Subtype/Type1/BaseFont/%s>>", fonts[i]);
        object(&p, t.p);
    }
    text_putc(&dot, '7');
    stream(&p,
           "/Type/XObject/Subtype/Image/Width 1/Height 1/BitsPerComponent 8/ColorSpace/DeviceGray",
           &dot);
    for (size_t i = 0; i < n_pages; i++) {
        text_clear(&t);
        text_printf(&t,
                    "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</R 3 0 R/B "
                    "4 0 R/M 5 0 R>>/XObject<</I 6 0 R>>>>/Contents %zu 0 R>>",
                    first + 2 * i + 1);
        object(&p, t.p);
        text_clear(&t);
        for (const char *line = pages[i]; *line;) {
            const size_t n = strcspn(line, "\n");
            draw_line(&t, line, n);
            line += n + (line[n] == '\n');
        }
        stream(&p, "", &t);
    }
    for (size_t i = 0; i <= n_titles && n_titles; i++) {
        char *words = NULL;
        text_clear(&t);
        if (i == 0) {
            text_printf(&t, "<</Type/Outlines/First %zu 0 R/Last %zu 0 R>>", outline + 1,
                        outline + n_titles);
        } else {
            const size_t page = (size_t)strtoul(titles[i - 1], &words, 10);
            text_printf(&t, "<</Title(%s)/Parent %zu 0 R/Dest[%zu 0 R/Fit]", words + 1, outline,
                        first + 2 * (page - 1));
            if (i < n_titles)
                text_printf(&t, "/Next %zu 0 R", outline + i + 1);
            text_puts(&t, ">>");
        }
        object(&p, t.p);
    }
    const size_t xref = out->n;
    text_printf(out, "xref\n0 %zu\n0000000000 65535 f \n", p.n + 1);
    for (size_t i = 0; i < p.n; i++)
        text_printf(out, "%010zu 00000 n \n", p.at[i]);
    text_printf(out, "trailer\n<</Size %zu/Root 1 0 R>>\nstartxref\n%zu\n%%%%EOF\n", p.n + 1, xref);
    text_finish(&t);
    text_finish(&dot);
}

/* ----------------------------------------------------------------------- docx */

void made_zip(text *out, const char *const *pairs)
{
    const size_t cap = (size_t)4 << 20;
    size_t used = 0;
    char *buf = malloc(cap);
    struct archive *a = archive_write_new();
    if (!buf || !a || archive_write_set_format_zip(a) != ARCHIVE_OK ||
        archive_write_open_memory(a, buf, cap, &used) != ARCHIVE_OK)
        abort();
    for (; pairs && *pairs; pairs += 2) {
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, pairs[0]);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_perm(e, 0644);
        archive_entry_set_size(e, (la_int64_t)strlen(pairs[1]));
        if (archive_write_header(a, e) != ARCHIVE_OK ||
            archive_write_data(a, pairs[1], strlen(pairs[1])) < 0)
            abort();
        archive_entry_free(e);
    }
    if (archive_write_close(a) != ARCHIVE_OK)
        abort();
    (void)archive_write_free(a);
    text_add(out, buf, used);
    free(buf);
}

#define W "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
#define REL "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

static char *wrap(const char *name, const char *inner)
{
    text t = { 0 };
    text_printf(&t,
                "<?xml version=\"1.0\"?><w:%s xmlns:w=\"" W "\" xmlns:mc=\"http://schemas."
                "openxmlformats.org/markup-compatibility/2006\" xmlns:x=\"urn:other\">%s</w:%s>",
                name, inner, name);
    return t.p;
}

void made_docx(text *out, const char *body, const char *styles, const char *numbering,
               const char *const *more)
{
    static const char package[] =
        "<Relationships><Relationship Id=\"a\" Type=\"" REL
        "/officeDocument\" Target=\"word/document.xml\"/><Relationship Id=\"b\" Type=\"http://"
        "schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties\" "
        "Target=\"docProps/core.xml\"/></Relationships>";
    static const char document[] =
        "<Relationships><Relationship Type=\"" REL "/styles\" Target=\"styles.xml\"/>"
        "<Relationship Type=\"" REL "/numbering\" Target=\"/word/numbering.xml\"/>"
        "<Relationship Type=\"" REL "/footnotes\" Target=\"footnotes.xml\"/>"
        "<Relationship Type=\"" REL "/header\" Target=\"header1.xml\"/></Relationships>";
    const char *pairs[40] = { "_rels/.rels", package, "word/_rels/document.xml.rels", document };
    char *owned[8];
    size_t n = 4, n_owned = 0;
    text b = { 0 };
    text_printf(&b, "<w:body>%s</w:body>", body);
    pairs[n++] = "word/document.xml";
    pairs[n++] = owned[n_owned++] = wrap("document", b.p);
    if (styles) {
        pairs[n++] = "word/styles.xml";
        pairs[n++] = owned[n_owned++] = wrap("styles", styles);
    }
    if (numbering) {
        pairs[n++] = "word/numbering.xml";
        pairs[n++] = owned[n_owned++] = wrap("numbering", numbering);
    }
    for (; more && *more && n < 36; more += 2) {
        pairs[n++] = more[0];
        if (strcmp(more[0], "word/footnotes.xml") == 0)
            pairs[n++] = owned[n_owned++] = wrap("footnotes", more[1]);
        else if (strcmp(more[0], "word/header1.xml") == 0)
            pairs[n++] = owned[n_owned++] = wrap("hdr", more[1]);
        else
            pairs[n++] = more[1];
    }
    made_zip(out, pairs);
    while (n_owned)
        free(owned[--n_owned]);
    text_finish(&b);
}
