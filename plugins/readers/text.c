/*
 * text.c - plain text: paragraphs between blank lines, as they stand.
 *
 * Lines, indentation and spacing are kept: they carry meaning in logs, listings and tables.
 * The only structure that is recognised is the underlined title of reStructuredText.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "decode.h"

#define HEADINGS_AUTO 0 /* in .rst and .rest files */
#define HEADINGS_ON 1

typedef struct config {
    const char *encoding;
    int64_t headings;
} config;

/* clang-format off */
static const hone_option options[] = {
    HONE_ROW_STRING(config, encoding, "auto", DECODE_OPTION_HELP),
    HONE_ROW_ENUM(config, headings, "auto|on|off", "auto",
                  "underlined lines are headings: auto (in .rst files), on, off"),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct reader {
    const hone_host *host; /* borrowed */
    decoder decoder;
    config config; /* strings borrowed */
} reader;

/* A line of the text, without its end. */
typedef struct line {
    uint64_t start, end, next;
} line;

/* The underlining that stands for a level: levels are the order of first appearance. */
typedef struct style {
    char c;
    bool over;
} style;

#define MAX_STYLES 6

static void text_destroy(void *p)
{
    reader *self = p;
    if (!self)
        return;
    decoder_finish(&self->decoder);
    self->host->free(self->host, self);
}

static hone_status text_create(const hone_host *host, const void *cfg, void **out, hone_error *err)
{
    reader *self = host->alloc(host, sizeof *self, _Alignof(reader), "text");
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "text: no memory");
    *self = (reader){ .host = host, .config = *(const config *)cfg };
    const hone_status st =
        decoder_init(&self->decoder, host, "text", self->config.encoding, false, err);
    if (st != HONE_OK) {
        text_destroy(self);
        return st;
    }
    *out = self;
    return HONE_OK;
}

/* The line at offset `at`; false at the end. */
static bool line_at(hone_str t, uint64_t at, line *out)
{
    const char *nl;
    if (at >= t.n)
        return false;
    nl = memchr(t.p + at, '\n', t.n - at);
    out->start = at;
    out->end = nl ? (uint64_t)(nl - t.p) : t.n;
    out->next = nl ? out->end + 1 : t.n;
    while (out->end > at && (t.p[out->end - 1] == ' ' || t.p[out->end - 1] == '\t'))
        out->end--;
    return true;
}

/* The character that fills a line of adornment; 0: it is none. */
static char adornment(hone_str t, line l)
{
    const char c = l.end > l.start + 1 ? t.p[l.start] : '\0';
    if (!c || !strchr("=-~^\"'`*+#:._<>!$%&,;?@|/\\(){}[]", c))
        return '\0';
    for (uint64_t i = l.start; i < l.end; i++)
        if (t.p[i] != c)
            return '\0';
    return c;
}

static uint64_t columns(hone_str t, uint64_t start, uint64_t end)
{
    uint64_t n = 0;
    for (uint64_t i = start; i < end; i++)
        n += (t.p[i] & 0xc0) != 0x80;
    return n;
}

/* A title at line `first`: its level (0: none), its text's line, and where reading goes on. */
static uint32_t title_at(hone_str t, line first, style *styles, uint32_t *n_styles, line *title,
                         uint64_t *next)
{
    line second, third;
    style s = { adornment(t, first), true };
    if (!line_at(t, first.next, &second) || second.end == second.start)
        return 0;
    if (s.c) { /* over and under */
        if (!line_at(t, second.next, &third) || adornment(t, third) != s.c ||
            third.end - third.start != first.end - first.start ||
            columns(t, second.start, second.end) > first.end - first.start)
            return 0;
        *title = second;
        *next = third.next;
        while (title->start < title->end && t.p[title->start] == ' ')
            title->start++;
    } else {
        s = (style){ adornment(t, second), false };
        if (!s.c || t.p[first.start] == ' ' || t.p[first.start] == '\t' ||
            columns(t, first.start, first.end) > second.end - second.start)
            return 0;
        *title = first;
        *next = second.next;
    }
    for (uint32_t i = 0; i < *n_styles; i++)
        if (styles[i].c == s.c && styles[i].over == s.over)
            return i + 1;
    if (*n_styles < MAX_STYLES)
        styles[(*n_styles)++] = s;
    return *n_styles;
}

static bool ends_with(hone_str s, const char *tail)
{
    const uint64_t n = strlen(tail);
    if (s.n < n)
        return false;
    for (uint64_t i = 0; i < n; i++) {
        const char c = s.p[s.n - n + i];
        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != tail[i])
            return false;
    }
    return true;
}

static hone_status emit(const decoded *d, const hone_block_sink *sink, uint32_t level,
                        uint64_t start, uint64_t end, hone_error *err)
{
    hone_block block = { .kind = level ? HONE_BLOCK_HEADING : HONE_BLOCK_TEXT, .level = level };
    block.text = (hone_str){ d->text.p + start, end - start };
    decoded_span(d, start, end, &block);
    return sink->add(sink, &block, err);
}

static hone_status text_read(void *p, const hone_source *source, const hone_block_sink *sink,
                             hone_error *err)
{
    const reader *self = p;
    const bool titles = self->config.headings == HEADINGS_ON ||
                        (self->config.headings == HEADINGS_AUTO &&
                         (ends_with(source->name, ".rst") || ends_with(source->name, ".rest")));
    style styles[MAX_STYLES];
    uint32_t n_styles = 0;
    decoded d;
    line l;
    hone_status st = decode(&self->decoder, &d, source, (hone_str){ NULL, 0 }, err);
    if (st != HONE_OK)
        return st;

    const hone_str t = hone_text_str(&d.text);
    uint64_t at = 0, start = 0, end = 0; /* the paragraph so far is [start, end) */
    while (st == HONE_OK && line_at(t, at, &l)) {
        line title;
        uint32_t level = 0;
        at = l.next;
        if (l.end > l.start && start == end && titles)
            level = title_at(t, l, styles, &n_styles, &title, &at);
        if (level) {
            st = emit(&d, sink, level, title.start, title.end, err);
        } else if (l.end > l.start) {
            start = start == end ? l.start : start;
            end = l.end;
        } else if (end > start) {
            st = emit(&d, sink, 0, start, end, err);
            start = end = 0;
        }
    }
    if (st == HONE_OK && end > start)
        st = emit(&d, sink, 0, start, end, err);
    if (st == HONE_OK)
        decoded_report(&d, sink);
    decoded_finish(&d);
    return st;
}

static const hone_reader ops = {
    .struct_size = sizeof ops,
    .create = text_create,
    .destroy = text_destroy,
    .read = text_read,
};

static const char *const extensions[] = { ".txt", ".text", ".log", ".rst", ".rest", NULL };

static const hone_component text = {
    .struct_size = sizeof text,
    .flags = HONE_COMPONENT_DETERMINISTIC,
    .kind = HONE_KIND_READER,
    .name = "text",
    .summary = "plain text: paragraphs between blank lines, as they stand",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
    .extensions = extensions,
};

static const hone_component *const components[] = { &text };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.text",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};

HONE_PLUGIN_NOTE("hone.text", "1.0.0", 1,
                 HONE_NOTE_ROW(HONE_KIND_READER, "text", ".txt .text .log .rst .rest"));
HONE_PLUGIN_ENTRY(&plugin)
