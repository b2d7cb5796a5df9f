/*
 * markdown.c - Markdown (CommonMark with GitHub's tables, task lists and strikethrough), by md4c.
 *
 * md4c calls back with pieces of the source; a leaf (paragraph, heading, code, table) gathers
 * them and becomes one block. Its span runs from the first piece to the last: marks around
 * the text ("## ", "- ", fences) are outside. Pieces that md4c makes up (indentation of
 * code) have no place in the source.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "decode.h"
#include "entities.h"
#include "front.h"

#include <md4c.h>

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

/* A list, an item or a quote that is open. */
typedef struct container {
    MD_BLOCKTYPE type;
    uint32_t depth;   /* of lists, from 1 */
    uint64_t ordinal; /* of an ordered list: its next item's; of an item: its own */
    bool begun;       /* an item whose first block is out: what follows is text */
} container;

/* A document while md4c walks through it. */
typedef struct page {
    const decoded *d;
    const hone_block_sink *sink;
    hone_error *err;
    hone_status st;
    const char *base; /* what md4c was given: n bytes at offset `offset` of the text */
    uint64_t n, offset;
    hone_text buf; /* the leaf so far */
    hone_text lang;
    hone_text stack;      /* of container */
    uint64_t start, end;  /* of the leaf, offsets from base; start > end: nothing yet */
    uint32_t kind, level; /* of the leaf; kind 0: whatever the container says */
    uint32_t images;      /* open image spans */
    bool html_block, first_cell, first_row;
    uint64_t lost_html, lost_tags, lost_alt;
} page;

static container *top(const page *g)
{
    return g->stack.n ? (container *)(void *)(g->stack.p + g->stack.n) - 1 : NULL;
}

static void leaf_begin(page *g, uint32_t kind, uint32_t level)
{
    hone_text_clear(&g->buf);
    g->kind = kind;
    g->level = level;
    g->start = UINT64_MAX;
    g->end = 0;
}

/* What a leaf without a kind of its own is, by the innermost container. */
static void leaf_kind(page *g, hone_block *block)
{
    container *c = top(g);
    block->kind = g->kind;
    block->level = g->level;
    if (!g->kind) {
        block->kind = HONE_BLOCK_TEXT;
        if (c && c->type == MD_BLOCK_QUOTE) {
            block->kind = HONE_BLOCK_QUOTE;
        } else if (c && c->type == MD_BLOCK_LI && !c->begun) {
            block->kind = HONE_BLOCK_LIST;
            block->level = c->depth;
            block->ordinal = c->ordinal;
        }
    }
}

/* "Title {#anchor .class}": the braces are marks of several dialects. */
static void strip_attributes(page *g)
{
    uint64_t i = g->buf.n;
    if (!i || g->buf.p[i - 1] != '}')
        return;
    while (i && g->buf.p[i - 1] != '{')
        i--;
    if (i > 1 && g->buf.p[i - 2] == ' ' && strchr("#.:", g->buf.p[i]))
        g->buf.n = i - 2;
}

static int leaf_end(page *g)
{
    hone_block block = { 0 };
    uint64_t lo = 0;
    if (g->kind == HONE_BLOCK_HEADING)
        strip_attributes(g);
    while (g->buf.n && strchr(" \t\n", g->buf.p[g->buf.n - 1]))
        g->buf.n--;
    while (g->kind != HONE_BLOCK_CODE && lo < g->buf.n && strchr(" \t\n", g->buf.p[lo]))
        lo++;
    if (lo < g->buf.n && g->st == HONE_OK) {
        leaf_kind(g, &block);
        if (top(g))
            top(g)->begun = true;
        block.text = (hone_str){ g->buf.p + lo, g->buf.n - lo };
        if (g->kind == HONE_BLOCK_CODE)
            block.lang = hone_text_str(&g->lang);
        if (g->start < g->end)
            decoded_span(g->d, g->offset + g->start, g->offset + g->end, &block);
        g->st = hone_text_status(&g->buf, g->err);
        if (g->st == HONE_OK)
            g->st = g->sink->add(g->sink, &block, g->err);
    }
    leaf_begin(g, 0, 0);
    return g->st != HONE_OK;
}

/* The language of "```rust,ignore" or "```{.python .numbered}". */
static void set_lang(page *g, const MD_ATTRIBUTE *lang)
{
    const char *p = lang->text;
    uint64_t n = lang->size, k = 0;
    while (n && (*p == '{' || *p == '.'))
        p++, n--;
    while (k < n && k < 40 && strchr(",{}: \t", p[k]) == NULL)
        k++;
    while (k && k < n && (p[k] & 0xc0) == 0x80)
        k--; /* whole characters */
    hone_text_clear(&g->lang);
    hone_text_add(&g->lang, p, k);
}

static void push(page *g, MD_BLOCKTYPE type, uint64_t ordinal)
{
    const container *outer = top(g);
    container c = { .type = type, .depth = outer ? outer->depth : 0, .ordinal = ordinal };
    c.depth += type == MD_BLOCK_UL || type == MD_BLOCK_OL;
    hone_text_add(&g->stack, (const char *)&c, sizeof c);
}

static void enter_item(page *g, const MD_BLOCK_LI_DETAIL *detail)
{
    container *list = top(g);
    push(g, MD_BLOCK_LI, list && list->ordinal ? list->ordinal++ : 0);
    leaf_begin(g, 0, 0);
    if (detail->is_task) {
        const char mark[] = { '[', detail->task_mark, ']', ' ' };
        hone_text_add(&g->buf, mark, sizeof mark);
    }
}

static int enter_block(MD_BLOCKTYPE type, void *detail, void *ctx)
{
    page *g = ctx;
    switch (type) {
    case MD_BLOCK_P: /* what a task's item put into the buffer, "[x] ", is its beginning */
        break;
    case MD_BLOCK_TR:
        g->first_cell = true;
        if (!g->first_row)
            hone_text_putc(&g->buf, '\n');
        g->first_row = false;
        break;
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
        if (!g->first_cell)
            hone_text_putc(&g->buf, '\t');
        g->first_cell = false;
        break;
    case MD_BLOCK_THEAD:
    case MD_BLOCK_TBODY:
        break;
    default: /* a tight item's text has no paragraph around it: it ends here */
        if (leaf_end(g))
            return 1;
    }
    switch (type) {
    case MD_BLOCK_QUOTE:
    case MD_BLOCK_UL:
        push(g, type, 0);
        break;
    case MD_BLOCK_OL:
        push(g, type, ((const MD_BLOCK_OL_DETAIL *)detail)->start);
        break;
    case MD_BLOCK_LI:
        enter_item(g, detail);
        break;
    case MD_BLOCK_H:
        leaf_begin(g, HONE_BLOCK_HEADING, ((const MD_BLOCK_H_DETAIL *)detail)->level);
        break;
    case MD_BLOCK_CODE:
        leaf_begin(g, HONE_BLOCK_CODE, 0);
        set_lang(g, &((const MD_BLOCK_CODE_DETAIL *)detail)->lang);
        break;
    case MD_BLOCK_TABLE:
        leaf_begin(g, HONE_BLOCK_TABLE, 0);
        g->first_row = true;
        break;
    case MD_BLOCK_HTML:
        g->html_block = true;
        break;
    default:
        break;
    }
    return g->stack.failed;
}

static int leave_block(MD_BLOCKTYPE type, void *detail, void *ctx)
{
    page *g = ctx;
    (void)detail;
    switch (type) {
    case MD_BLOCK_THEAD:
    case MD_BLOCK_TBODY:
    case MD_BLOCK_TR:
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
        return 0;
    case MD_BLOCK_HTML:
        g->html_block = false;
        return 0;
    default:
        break;
    }
    if (leaf_end(g))
        return 1;
    switch (type) {
    case MD_BLOCK_QUOTE:
    case MD_BLOCK_UL:
    case MD_BLOCK_OL:
    case MD_BLOCK_LI:
        g->stack.n -= sizeof(container);
        if (top(g))
            top(g)->begun = true;
        break;
    default:
        break;
    }
    return 0;
}

static int enter_span(MD_SPANTYPE type, void *detail, void *ctx)
{
    (void)detail;
    ((page *)ctx)->images += type == MD_SPAN_IMG;
    return 0;
}

static int leave_span(MD_SPANTYPE type, void *detail, void *ctx)
{
    (void)detail;
    ((page *)ctx)->images -= type == MD_SPAN_IMG;
    return 0;
}

/* "<br>", "<br/>", "<br />" */
static bool is_break(const char *p, uint64_t n)
{
    return n >= 4 && n <= 6 && p[0] == '<' && (p[1] | 32) == 'b' && (p[2] | 32) == 'r' &&
           (p[3] == '>' || p[3] == '/' || p[3] == ' ');
}

static void put_entity(page *g, const char *p, uint64_t n)
{
    const uint32_t code = entity_decode(p, n);
    if (!code)
        hone_text_add(&g->buf, p, n);
    else if (code == 0xa0)
        hone_text_putc(&g->buf, ' ');
    else if (code >= 0x20 || code == '\t' || code == '\n')
        hone_text_put_code(&g->buf, decode_cp1252(code));
}

static int add_text(MD_TEXTTYPE type, const MD_CHAR *p, MD_SIZE n, void *ctx)
{
    page *g = ctx;
    const bool cell = g->kind == HONE_BLOCK_TABLE;
    if (type == MD_TEXT_HTML && (g->html_block || !is_break(p, n))) {
        *(g->html_block ? &g->lost_html : &g->lost_tags) += n;
        return 0;
    }
    if (g->images) {
        g->lost_alt += type == MD_TEXT_SOFTBR || type == MD_TEXT_BR ? 1 : n;
        return 0;
    }
    if (p >= g->base && p <= g->base + g->n &&
        (type == MD_TEXT_NORMAL || type == MD_TEXT_ENTITY || type == MD_TEXT_CODE)) {
        const uint64_t at = (uint64_t)(p - g->base);
        g->start = at < g->start ? at : g->start;
        g->end = at + n > g->end ? at + n : g->end;
    }
    switch (type) {
    case MD_TEXT_NULLCHAR:
        hone_text_put_code(&g->buf, 0xfffd);
        break;
    case MD_TEXT_BR:
    case MD_TEXT_HTML:
        hone_text_putc(&g->buf, cell || g->kind == HONE_BLOCK_HEADING ? ' ' : '\n');
        break;
    case MD_TEXT_SOFTBR:
        hone_text_putc(&g->buf, ' ');
        break;
    case MD_TEXT_ENTITY:
        put_entity(g, p, n);
        break;
    default:
        hone_text_add(&g->buf, p, n);
        for (uint64_t i = g->buf.n - (cell && !g->buf.failed ? n : 0); i < g->buf.n && cell; i++)
            if (g->buf.p[i] == '\t' || g->buf.p[i] == '\n')
                g->buf.p[i] = ' ';
    }
    return g->buf.failed;
}

static hone_status markdown_read(void *p, const hone_source *source, const hone_block_sink *sink,
                                 hone_error *err)
{
    static const MD_PARSER parser = {
        .flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_TASKLISTS,
        .enter_block = enter_block,
        .leave_block = leave_block,
        .enter_span = enter_span,
        .leave_span = leave_span,
        .text = add_text,
    };
    const reader *self = p;
    const hone_text empty = { .host = self->host, .tag = "markdown" };
    decoded d;
    page g = { .d = &d, .sink = sink, .err = err, .buf = empty, .lang = empty, .stack = empty };
    hone_str t;
    hone_status st = decode(&self->decoder, &d, source, (hone_str){ NULL, 0 }, err);
    if (st != HONE_OK)
        return st;
    t = hone_text_str(&d.text);
    st = front_matter(t, sink, &g.offset, err);
    if (st == HONE_OK && t.n > INT32_MAX)
        st = hone_fail(err, HONE_ERR_LIMIT, "markdown: %llu bytes, at most 2 GiB are read",
                       (unsigned long long)t.n);
    if (st != HONE_OK)
        goto out;

    g.base = t.p + g.offset;
    g.n = t.n - g.offset;
    leaf_begin(&g, 0, 0);
    if (md_parse(g.base, (MD_SIZE)g.n, &parser, &g) != 0)
        st = g.st != HONE_OK
                 ? g.st
                 : hone_fail(err, HONE_ERR_NOMEM, "markdown: no memory to parse %llu bytes",
                             (unsigned long long)g.n);
    if (st != HONE_OK)
        goto out;
    decoded_report(&d, sink);
    if (g.lost_html)
        sink->lost(sink, g.lost_html, "HTML blocks and comments in Markdown");
    if (g.lost_tags)
        sink->lost(sink, g.lost_tags, "HTML tags in Markdown (their text is kept)");
    if (g.lost_alt)
        sink->lost(sink, g.lost_alt, "descriptions of images");
out:
    hone_text_finish(&g.buf);
    hone_text_finish(&g.lang);
    hone_text_finish(&g.stack);
    decoded_finish(&d);
    return st;
}

static void markdown_destroy(void *p)
{
    reader *self = p;
    if (!self)
        return;
    decoder_finish(&self->decoder);
    self->host->free(self->host, self);
}

static hone_status markdown_create(const hone_host *host, const void *cfg, void **out,
                                   hone_error *err)
{
    reader *self = host->alloc(host, sizeof *self, _Alignof(reader), "markdown");
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "markdown: no memory");
    *self = (reader){ .host = host };
    const hone_status st =
        decoder_init(&self->decoder, host, "markdown", ((const config *)cfg)->encoding, false, err);
    if (st != HONE_OK) {
        markdown_destroy(self);
        return st;
    }
    *out = self;
    return HONE_OK;
}

static const hone_reader ops = {
    .struct_size = sizeof ops,
    .create = markdown_create,
    .destroy = markdown_destroy,
    .read = markdown_read,
};

static const char *const extensions[] = { ".md", ".markdown", ".mdown", ".mkd", NULL };

static const hone_component markdown = {
    .struct_size = sizeof markdown,
    .flags = HONE_COMPONENT_DETERMINISTIC,
    .kind = HONE_KIND_READER,
    .name = "markdown",
    .summary = "Markdown: CommonMark with tables, task lists and front matter",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
    .extensions = extensions,
};

static const hone_component *const components[] = { &markdown };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.markdown",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};

HONE_PLUGIN_NOTE("hone.markdown", "1.0.0", 1,
                 HONE_NOTE_ROW(HONE_KIND_READER, "markdown", ".md .markdown .mdown .mkd"));
HONE_PLUGIN_ENTRY(&plugin)
