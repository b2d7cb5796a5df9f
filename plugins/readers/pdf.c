/*
 * pdf.c - PDF documents: text in reading order, with headings, lists, tables and code.
 *
 * Poppler is GPL: this plugin is one of its own, and may be left out of a build. Parsing is the
 * reason for HONE_COMPONENT_ISOLATE. Poppler reads its tables of character collections when the first
 * document is opened: create() opens an empty one and keeps it, before a child gives up its right to
 * open files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pdf.h"

#include <poppler.h>
#include <stdio.h>
#include <time.h>

typedef struct config {
    const char *password;
    int64_t max_pages;
} config;

/* clang-format off */
static const hone_option options[] = {
    HONE_ROW_STRING(config, password, "", "tried on encrypted documents"),
    HONE_ROW_I64(config, max_pages, 1, 1000000, "20000", "a document of more pages is refused"),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct reader {
    const hone_host *host; /* borrowed */
    config config;         /* strings borrowed */
    PopplerDocument *kept; /* owned: keeps poppler's tables open */
} reader;

/* What poppler complained of in the document at hand; its messages have no other way out. */
static struct {
    guint listening; /* GLib's number of complain(), once it is set */
    uint32_t n;
    uint32_t n_maps; /* for want of a table that could not be opened */
    char first[200];
} complaints;

static void complain(const gchar *domain, GLogLevelFlags level, const gchar *message, gpointer data)
{
    (void)domain;
    (void)level;
    (void)data;
    if (strstr(message, "language pack") || strstr(message, "CMap file"))
        complaints.n_maps++;
    else if (!complaints.n++) { /* "Syntax error at position 12: what" */
        const char *what = strstr(message, ": ");
        (void)snprintf(complaints.first, sizeof complaints.first, "%s", what ? what + 2 : message);
    }
    for (char *c = complaints.first; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
            *c = ' ';
}

/* ------------------------------------------------------------------------ meta */

static hone_status give(const hone_block_sink *sink, const char *key, char *value, hone_error *err)
{
    hone_status st = HONE_OK;
    if (value && *value && g_utf8_validate(value, -1, NULL)) {
        g_strstrip(g_strdelimit(value, "\n\r\t\f\v", ' '));
        if (*value)
            st = sink->meta(sink, key, hone_s(value), err);
    }
    g_free(value);
    return st;
}

static char *date_of(PopplerDocument *doc)
{
    const time_t t = poppler_document_get_creation_date(doc);
    char out[40];
    struct tm tm;
    if (t <= 0 || !gmtime_r(&t, &tm) || !strftime(out, sizeof out, "%Y-%m-%d", &tm))
        return NULL;
    return g_strdup(out);
}

static hone_status give_meta(PopplerDocument *doc, const hone_block_sink *sink, hone_error *err)
{
    hone_status st = sink->meta(sink, "unit", hone_s("page"), err);
    if (st == HONE_OK)
        st = give(sink, "title", poppler_document_get_title(doc), err);
    if (st == HONE_OK)
        st = give(sink, "author", poppler_document_get_author(doc), err);
    if (st == HONE_OK)
        st = give(sink, "date", date_of(doc), err);
    return st;
}

/* ----------------------------------------------------------------------- pages */

/* "3, 7-9, 12" of the pages for which `yes` holds, at most max bytes. */
static uint32_t list_pages(const pdf_doc *d, char *out, size_t max)
{
    const uint32_t n = PDF_N(pdf_page, d->pages);
    uint32_t count = 0;
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t p = 0, end; p < n; p = end) {
        end = p + 1;
        if (!pdf_page_at(d, p)->image)
            continue;
        while (end < n && pdf_page_at(d, end)->image)
            end++;
        count += end - p;
        if (used + 40 < max) {
            int k = snprintf(out + used, max - used, end - p > 1 ? "%s%u-%u" : "%s%u",
                             used ? ", " : "", p + 1, end);
            used += (size_t)k;
        } else if (used < max - 4 && (!used || out[used - 1] != '.')) {
            used += (size_t)snprintf(out + used, max - used, "...");
        }
    }
    return count;
}

static hone_status read_pages(const reader *self, pdf_doc *d, PopplerDocument *doc, int n,
                              uint32_t *missing, hone_error *err)
{
    uint32_t in_a_row = 0;
    for (int i = 0; i < n && in_a_row < 100; i++) { /* a page count may be anything */
        PopplerPage *page = poppler_document_get_page(doc, i);
        bool ok = true;
        if (page) {
            in_a_row = 0;
            ok = pdf_page_add(d, page);
            g_object_unref(page);
        } else { /* keeps the numbers of the pages behind it */
            const pdf_page none = { .chunk = PDF_N(pdf_chunk, d->chunks) };
            ++*missing;
            in_a_row++;
            hone_text_add(&d->pages, (const char *)&none, sizeof none);
        }
        if (!ok || d->pages.failed)
            return hone_fail(err, HONE_ERR_NOMEM, "pdf: no memory for the text of page %d", i + 1);
        if (d->text.n > UINT32_MAX / 2)
            return hone_fail(err, HONE_ERR_LIMIT, "pdf: more than 2 GB of text");
        if (self->host->cancelled(self->host))
            return hone_fail(err, HONE_ERR_CANCELLED, "pdf: interrupted");
    }
    return HONE_OK;
}

static void report(const pdf_doc *d, PopplerDocument *doc, uint32_t missing,
                   const hone_block_sink *sink)
{
    char line[480], pages[300];
    const uint32_t images = list_pages(d, pages, sizeof pages);
    if (d->edges)
        sink->lost(sink, d->edges, "running headers, footers and page numbers");
    if (d->marks)
        sink->lost(sink, d->marks, "watermarks");
    if (d->unknown)
        sink->lost(sink, d->unknown, "characters whose font does not say what they are");
    if (complaints.n_maps)
        sink->lost(sink, complaints.n_maps,
                   "text in fonts whose character tables (poppler-data) cannot be opened");
    if (missing)
        sink->lost(sink, missing, "pages that cannot be read, one byte for each");
    if (images) {
        sink->lost(sink, images, "pages that are images without text, one byte for each");
        (void)snprintf(line, sizeof line,
                       "%u of %u pages are images without text (scanned?): pages %s", images,
                       PDF_N(pdf_page, d->pages), pages);
        sink->note(sink, line);
    }
    if (complaints.n) {
        (void)snprintf(line, sizeof line, "poppler found %u faults in it, the first: %s",
                       complaints.n, complaints.first);
        sink->note(sink, line);
    }
    if (!(poppler_document_get_permissions(doc) & POPPLER_PERMISSIONS_OK_TO_COPY))
        sink->note(sink, "its author asks that its text not be copied");
    if (poppler_document_has_attachments(doc))
        sink->note(sink, "files attached to it are not read");
}

/* -------------------------------------------------------------------- documents */

/* Why poppler does not open a document. */
static hone_status refuse(const hone_source *source, const char *password, GError *why,
                          hone_error *err)
{
    const uint64_t look = source->bytes.n < 1024 ? source->bytes.n : 1024;
    bool header = false;
    for (uint64_t i = 0; i + 5 <= look && !header; i++)
        header = memcmp(source->bytes.p + i, "%PDF-", 5) == 0;
    if (!header)
        return hone_fail(err, HONE_ERR_FORMAT, "no PDF: \"%%PDF-\" is not in its first 1024 bytes");
    if (why && g_error_matches(why, POPPLER_ERROR, POPPLER_ERROR_ENCRYPTED))
        return hone_fail(err, HONE_ERR_SKIP,
                         *password ? "encrypted, and the password given does not open it; set "
                                     "reader.pdf.password"
                                   : "encrypted; set reader.pdf.password, or save it without one");
    return hone_fail(err, HONE_ERR_FORMAT, "a broken PDF, which poppler cannot repair: %s",
                     why && why->code == POPPLER_ERROR_BAD_CATALOG ? "its catalog is missing"
                     : complaints.n                                ? complaints.first
                                                                   : "no pages are found");
}

static hone_status read_document(const reader *self, pdf_doc *d, PopplerDocument *doc,
                                 const hone_block_sink *sink, hone_error *err)
{
    const int n = poppler_document_get_n_pages(doc);
    uint32_t missing = 0;
    if (n > self->config.max_pages)
        return hone_fail(err, HONE_ERR_LIMIT,
                         "says it has %d pages, more than reader.pdf.max_pages = %lld", n,
                         (long long)self->config.max_pages);
    hone_status st = read_pages(self, d, doc, n, &missing, err);
    if (st != HONE_OK)
        return st;
    const uint32_t n_pages = PDF_N(pdf_page, d->pages);
    if (n_pages == missing)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "a broken PDF: it says it has %d pages, and none can be read", n);
    if (!PDF_N(pdf_chunk, d->chunks))
        return hone_fail(
            err, HONE_ERR_SKIP,
            complaints.n_maps
                ? "no text: its fonts need character tables (poppler-data) that cannot "
                  "be opened here"
                : "no text on its %u pages: scanned? make a text layer first (OCR)",
            n_pages);
    pdf_measure(d);
    if (!pdf_edges(d) || !pdf_order(d) || !pdf_headings(d, doc))
        return hone_fail(err, HONE_ERR_NOMEM, "pdf: no memory to arrange %u pages", n_pages);
    st = give_meta(doc, sink, err);
    if (st == HONE_OK)
        st = pdf_blocks(d, sink, err);
    if (st == HONE_OK)
        report(d, doc, missing, sink);
    return st;
}

static hone_status pdf_read(void *p, const hone_source *source, const hone_block_sink *sink,
                            hone_error *err)
{
    const reader *self = p;
    const hone_text empty = { .host = self->host, .tag = "pdf" };
    pdf_doc d = { .host = self->host,
                  .text = empty,
                  .styles = empty,
                  .words = empty,
                  .chunks = empty,
                  .pages = empty,
                  .order = empty,
                  .rows = empty };
    GError *why = NULL;
    hone_status st;
    complaints.n = complaints.n_maps = 0;
    complaints.first[0] = '\0';
    if (!source->bytes.n)
        return hone_fail(err, HONE_ERR_FORMAT, "no PDF: the file is empty");
    GBytes *bytes = g_bytes_new_static(source->bytes.p, source->bytes.n);
    PopplerDocument *doc = poppler_document_new_from_bytes(
        bytes, *self->config.password ? self->config.password : NULL, &why);
    st = doc ? read_document(self, &d, doc, sink, err)
             : refuse(source, self->config.password, why, err);
    g_clear_error(&why);
    if (doc)
        g_object_unref(doc);
    g_bytes_unref(bytes);
    hone_text *const all[] = {
        &d.text, &d.styles, &d.words, &d.chunks, &d.pages, &d.order, &d.rows
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        hone_text_finish(all[i]);
    return st;
}

static void pdf_destroy(void *p)
{
    reader *self = p;
    if (!self)
        return;
    if (self->kept)
        g_object_unref(self->kept);
    self->host->free(self->host, self);
}

static const char one_page[] =
    "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    "2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n";

static hone_status pdf_create(const hone_host *host, const void *cfg, void **out, hone_error *err)
{
    reader *self = host->alloc(host, sizeof *self, _Alignof(reader), "pdf");
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "pdf: no memory");
    *self = (reader){ .host = host, .config = *(const config *)cfg };
    if (!complaints.listening)
        complaints.listening = g_log_set_handler("Poppler", G_LOG_LEVEL_MASK, complain, NULL);
    GBytes *bytes = g_bytes_new_static(one_page, sizeof one_page - 1);
    self->kept = poppler_document_new_from_bytes(bytes, NULL, NULL);
    g_bytes_unref(bytes);
    *out = self;
    return HONE_OK;
}

static const hone_reader ops = {
    .struct_size = sizeof ops,
    .create = pdf_create,
    .destroy = pdf_destroy,
    .read = pdf_read,
};

static const char *const extensions[] = { ".pdf", NULL };

static const hone_component pdf = {
    .struct_size = sizeof pdf,
    .flags = HONE_COMPONENT_DETERMINISTIC | HONE_COMPONENT_ISOLATE,
    .kind = HONE_KIND_READER,
    .name = "pdf",
    .summary = "PDF: text in reading order, headings, lists, tables, code; spans are pages",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
    .extensions = extensions,
};

static const hone_component *const components[] = { &pdf };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.pdf",
    .version = "1.0.0",
    .license = "Apache-2.0 AND GPL-3.0-only",
    .components = components,
    .n_components = 1,
};

HONE_PLUGIN_NOTE("hone.pdf", "1.0.0", 1, HONE_NOTE_ROW(HONE_KIND_READER, "pdf", ".pdf"));
HONE_PLUGIN_ENTRY(&plugin)
