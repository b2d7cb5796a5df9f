/*
 * html.c - HTML pages: the main text with headings, code, lists and tables, and no navigation.
 *
 * The bytes are decoded before libxml2 sees them: its parser takes what it cannot decode for
 * ISO-8859-1 without a word. Parsing is the reason for HONE_COMPONENT_ISOLATE.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "html_tree.h"

#include <libxml/parser.h>

typedef struct config {
    const char *encoding;
} config;

/* clang-format off */
static const hone_option options[] = {
    HONE_ROW_STRING(config, encoding, "auto", DECODE_OPTION_HELP),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct reader {
    const hone_host *host; /* borrowed */
    decoder decoder;
} reader;

#define LOOK_FOR_CHARSET 4096 /* bytes at the beginning */

static bool has_word(const char *p, uint64_t n, const char *word)
{
    for (uint64_t i = 0; word[i]; i++)
        if (i >= n || (p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32 : p[i]) != word[i])
            return false;
    return true;
}

/* The value after `key`, an equals sign and perhaps a quote, somewhere in [p, p + n). */
static hone_str value_of(const char *p, uint64_t n, const char *key)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t k = i + strlen(key), end;
        if (!has_word(p + i, n - i, key))
            continue;
        while (k < n && html_is_space(p[k]))
            k++;
        if (k >= n || p[k++] != '=')
            continue;
        while (k < n && (html_is_space(p[k]) || p[k] == '"' || p[k] == '\''))
            k++;
        for (end = k; end < n && !html_is_space(p[end]) && !strchr("\"';>?/", p[end]);)
            end++;
        if (end > k)
            return (hone_str){ p + k, end - k };
    }
    return (hone_str){ NULL, 0 };
}

/* What the document says of itself: <?xml encoding="..."?>, <meta charset=...>, or <meta
 * http-equiv content="text/html; charset=...">. */
static hone_str declared_charset(hone_str bytes)
{
    const uint64_t n = bytes.n < LOOK_FOR_CHARSET ? bytes.n : LOOK_FOR_CHARSET;
    hone_str found = { NULL, 0 };
    for (uint64_t i = 0; i < n && !found.p; i++) {
        const bool xml = has_word(bytes.p + i, n - i, "<?xml");
        if (!xml && !has_word(bytes.p + i, n - i, "<meta"))
            continue;
        const char *close = memchr(bytes.p + i, '>', n - i);
        const uint64_t end = close ? (uint64_t)(close - bytes.p) : n;
        found = value_of(bytes.p + i, end - i, xml ? "encoding" : "charset");
    }
    if (found.p && has_word(found.p, found.n, "utf-16")) /* it was read as ASCII: it cannot be */
        found = hone_s("utf-8");
    return found;
}

static hone_status html_read(void *p, const hone_source *source, const hone_block_sink *sink,
                             hone_error *err)
{
    const reader *self = p;
    html_tree t = { 0 };
    decoded d;
    uint32_t heading = 0;
    hone_status st = decode(&self->decoder, &d, source, declared_charset(source->bytes), err);
    if (st != HONE_OK)
        return st;
    st = html_tree_build(&t, self->host, hone_text_str(&d.text), sink, err);
    if (st != HONE_OK)
        goto out;
    const uint32_t root = html_main(&t, &heading);
    st = html_emit(&t, root, heading, &d, sink, err);
    if (st != HONE_OK)
        goto out;
    decoded_report(&d, sink);
    for (int i = KEPT + 1; i < N_REASONS; i++)
        if (t.lost[i])
            sink->lost(sink, t.lost[i], html_reasons[i]);
    if (t.parsed < d.text.n)
        sink->lost(sink, d.text.n - t.parsed, "bytes after which the parser gave up");
out:
    html_tree_finish(&t);
    decoded_finish(&d);
    return st;
}

static void html_destroy(void *p)
{
    reader *self = p;
    if (!self)
        return;
    decoder_finish(&self->decoder);
    self->host->free(self->host, self);
}

static hone_status html_create(const hone_host *host, const void *cfg, void **out, hone_error *err)
{
    reader *self = host->alloc(host, sizeof *self, _Alignof(reader), "html");
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "html: no memory");
    *self = (reader){ .host = host };
    const hone_status st =
        decoder_init(&self->decoder, host, "html", ((const config *)cfg)->encoding, true, err);
    if (st != HONE_OK) {
        html_destroy(self);
        return st;
    }
    *out = self;
    return HONE_OK;
}

static hone_status html_init(const hone_host *host, hone_error *err)
{
    (void)host;
    (void)err;
    xmlInitParser();
    return HONE_OK;
}

static void html_shutdown(void)
{
    xmlCleanupParser();
}

static const hone_reader ops = {
    .struct_size = sizeof ops,
    .create = html_create,
    .destroy = html_destroy,
    .read = html_read,
};

static const char *const extensions[] = { ".html", ".htm", ".xhtml", NULL };

static const hone_component html = {
    .struct_size = sizeof html,
    .flags = HONE_COMPONENT_DETERMINISTIC | HONE_COMPONENT_ISOLATE,
    .kind = HONE_KIND_READER,
    .name = "html",
    .summary = "HTML pages: main text, headings, code, lists and tables; no navigation",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
    .extensions = extensions,
};

static const hone_component *const components[] = { &html };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.html",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
    .init = html_init,
    .shutdown = html_shutdown,
};

HONE_PLUGIN_NOTE("hone.html", "1.0.0", 1,
                 HONE_NOTE_ROW(HONE_KIND_READER, "html", ".html .htm .xhtml"));
HONE_PLUGIN_ENTRY(&plugin)
