/*
 * render.c - blocks as Markdown text, and what that text weighs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "split.h"

#define MAX_DEPTH 16 /* of list items that are indented further than their parents */
#define MAX_LANG 32

static void spaces(hone_text *out, uint64_t n)
{
    while (n--)
        hone_text_putc(out, ' ');
}

/* One backtick more than the longest run inside the code, at least three. */
static uint64_t fence_size(hone_str code)
{
    uint64_t longest = 2, run = 0;
    for (uint64_t i = 0; i < code.n; i++) {
        run = code.p[i] == '`' ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest + 1;
}

static void fence(hone_text *out, uint64_t n)
{
    while (n--)
        hone_text_putc(out, '`');
}

static void render_code(const splitter *s, const hone_block *b, hone_str part, hone_text *out)
{
    const uint64_t n_fence = fence_size(part);
    uint64_t n_lang = 0;
    while (n_lang < b->lang.n && !is_space(b->lang.p[n_lang]) && b->lang.p[n_lang] != '`')
        n_lang++;
    n_lang = n_lang > MAX_LANG ? 0 : n_lang;
    /* A fence that takes half of a piece is none. */
    if (!s->fences || 2 * n_fence + n_lang + 2 > s->budget / 2) {
        hone_text_add(out, part.p, part.n);
        return;
    }
    fence(out, n_fence);
    hone_text_add(out, b->lang.p, n_lang);
    hone_text_putc(out, '\n');
    hone_text_add(out, part.p, part.n);
    hone_text_putc(out, '\n');
    fence(out, n_fence);
}

/* Lines after the first get a margin: `quote` ones "> ", others `indent` spaces. */
static void render_lines(hone_str part, bool quote, uint64_t indent, hone_text *out)
{
    uint64_t at = 0;
    while (at < part.n) {
        const char *nl = memchr(part.p + at, '\n', part.n - at);
        const uint64_t end = nl ? (uint64_t)(nl - part.p) + 1 : part.n;
        hone_text_add(out, part.p + at, end - at);
        at = end;
        if (nl && quote)
            hone_text_puts(out, "> ");
        else if (nl)
            spaces(out, indent);
    }
}

/* Marks that would take half of a piece are left out: first the indentation, then the number. */
static void render_list(const splitter *s, const hone_block *b, hone_str part, bool first,
                        hone_text *out)
{
    const uint64_t depth = b->level > MAX_DEPTH ? MAX_DEPTH : b->level;
    const uint64_t before = out->n;
    char mark[32] = "- ";
    if (b->ordinal)
        (void)snprintf(mark, sizeof mark, "%llu. ", (unsigned long long)b->ordinal);
    const uint64_t n_mark = strlen(mark), indent = depth > 1 ? 2 * (depth - 1) : 0;
    if (first && indent + n_mark <= s->budget / 2)
        spaces(out, indent);
    if (first && n_mark <= s->budget / 2)
        hone_text_puts(out, mark);
    render_lines(part, false, out->n - before, out);
}

static void render_table(hone_str part, hone_text *out)
{
    uint64_t at = 0;
    while (at < part.n) {
        const char *tab = memchr(part.p + at, '\t', part.n - at);
        const uint64_t end = tab ? (uint64_t)(tab - part.p) : part.n;
        hone_text_add(out, part.p + at, end - at);
        if (tab)
            hone_text_puts(out, " | ");
        at = end + (tab != NULL);
    }
}

void render_slice(const splitter *s, uint64_t k, uint64_t from, uint64_t to, hone_text *out)
{
    const hone_block *b = &s->blocks[k];
    while (to > from && is_space(b->text.p[to - 1]))
        to--;
    const hone_str part = { b->text.p + from, to - from };
    if (to == from)
        return;
    switch (b->kind) {
    case HONE_BLOCK_HEADING:
        for (uint32_t i = 0; from == 0 && i < b->level && i < 6; i++)
            hone_text_putc(out, '#');
        hone_text_puts(out, from == 0 && b->level ? " " : "");
        hone_text_add(out, part.p, part.n);
        break;
    case HONE_BLOCK_CODE:
        render_code(s, b, part, out);
        break;
    case HONE_BLOCK_TABLE:
        render_table(part, out);
        break;
    case HONE_BLOCK_LIST:
        render_list(s, b, part, from == 0, out);
        break;
    case HONE_BLOCK_QUOTE:
        hone_text_puts(out, "> ");
        render_lines(part, true, 0, out);
        break;
    default:
        hone_text_add(out, part.p, part.n);
    }
}

void render_range(const splitter *s, place a, place b, hone_text *out)
{
    uint32_t before = 0; /* kind of the block that was rendered last */
    for (uint64_t k = a.block; k < b.block + (b.off > 0); k++) {
        const hone_block *block = &s->blocks[k];
        const uint64_t mark = out->n;
        const bool items = before == HONE_BLOCK_LIST && block->kind == HONE_BLOCK_LIST;
        if (before)
            hone_text_puts(out, items ? "\n" : "\n\n");
        const uint64_t start = out->n;
        render_slice(s, k, k == a.block ? a.off : 0, k == b.block ? b.off : block->text.n, out);
        if (out->n == start)
            out->n = mark; /* white space alone */
        else
            before = block->kind;
    }
}

hone_status measure(splitter *s, const hone_text *t, uint64_t *size, hone_error *err)
{
    const hone_str text = hone_text_str(t);
    int64_t n = 0;
    const hone_status st = hone_text_status(t, err);
    if (st != HONE_OK)
        return st;
    if (s->tokenizer)
        n = s->tokenizer->count(s->tokenizer, text);
    else
        for (uint64_t i = 0; i < text.n; i++)
            n += (text.p[i] & 0xc0) != 0x80;
    if (n < 0)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory to count the tokens of %llu bytes",
                         s->name, (unsigned long long)text.n);
    s->n_bytes += text.n;
    s->n_units += (uint64_t)n;
    *size = (uint64_t)n;
    return HONE_OK;
}

hone_status measure_slice(splitter *s, uint64_t k, uint64_t from, uint64_t to, uint64_t *size,
                          hone_error *err)
{
    hone_text_clear(&s->scratch);
    render_slice(s, k, from, to, &s->scratch);
    return measure(s, &s->scratch, size, err);
}
