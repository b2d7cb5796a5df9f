/*
 * harness_sinks.c - sinks that keep what a reader or recipe gives, and whether it may; see harness.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------- page */

static char *copy(hone_str s)
{
    return mem_strndup(s.p ? s.p : "", s.n);
}

static void add_lost(lost_row **rows, size_t *n, size_t *cap, uint64_t bytes, const char *why)
{
    if (!mem_grow(rows, cap, *n + 1, sizeof **rows))
        abort();
    (*rows)[(*n)++] = (lost_row){ bytes, mem_strdup(why) };
}

static void broke(char **slot, const char *what)
{
    if (!*slot)
        *slot = mem_strdup(what);
}

static hone_status page_add(const hone_block_sink *sink, const hone_block *b, hone_error *err)
{
    page *g = sink->ctx;
    if (g->fail_at && --g->fail_at == 0)
        return hone_fail(err, HONE_ERR_IO, "the sink fails");
    if (!utf8_valid(b->text.p, b->text.n) || !utf8_valid(b->lang.p ? b->lang.p : "", b->lang.n))
        broke(&g->broken, "a block is not UTF-8");
    if (b->kind < HONE_BLOCK_TEXT || b->kind > HONE_BLOCK_QUOTE)
        broke(&g->broken, "a block has no known kind");
    if (b->kind == HONE_BLOCK_HEADING ? b->level < 1 || b->level > 6
        : b->kind == HONE_BLOCK_LIST  ? b->level < 1
                                      : b->level != 0)
        broke(&g->broken, "a block has the wrong level");
    if (!b->text.n)
        broke(&g->broken, "a block is empty");
    const uint64_t n_units = g->meta.p && strstr(g->meta.p, "meta unit ") ? UINT32_MAX : g->n_src;
    if (b->src_off > n_units || b->src_len > n_units - b->src_off)
        broke(&g->broken, "a block's span is outside the document");
    if (!mem_grow(&g->blocks, &g->cap_blocks, g->n_blocks + 1, sizeof *g->blocks))
        abort();
    hone_block *c = &g->blocks[g->n_blocks++];
    *c = *b;
    c->text.p = copy(b->text);
    c->lang.p = copy(b->lang);
    return HONE_OK;
}

static void page_lost(const hone_block_sink *sink, uint64_t bytes, const char *why)
{
    page *g = sink->ctx;
    add_lost(&g->lost, &g->n_lost, &g->cap_lost, bytes, why);
}

static hone_status page_meta(const hone_block_sink *sink, const char *key, hone_str value,
                             hone_error *err)
{
    page *g = sink->ctx;
    (void)err;
    if (!utf8_valid(value.p, value.n))
        broke(&g->broken, "metadata is not UTF-8");
    text_printf(&g->meta, "meta %s \"", key);
    escape_add(&g->meta, value.p, value.n);
    text_puts(&g->meta, "\"\n");
    if (strcmp(key, "title") == 0 && !g->title)
        g->title = copy(value);
    if (strcmp(key, "language") == 0 && !g->language)
        g->language = copy(value);
    return HONE_OK;
}

static bool is_place(hone_str t, uint64_t at)
{
    return at <= t.n && (at == t.n || (t.p[at] & 0xc0) != 0x80);
}

static const char *unit_fault(const page *g, const hone_unit *u)
{
    const hone_unit *up = u->parent && u->parent <= g->n_units ? &g->units[u->parent - 1] : NULL;
    const hone_unit *before = g->n_units ? &g->units[g->n_units - 1] : NULL;
    if (u->kind < HONE_UNIT_FUNCTION || u->kind > HONE_UNIT_COMMENT)
        return "a unit has no known kind";
    if (u->block >= g->n_blocks || g->blocks[u->block].kind != HONE_BLOCK_CODE)
        return "a unit is in no block of code";
    const hone_str t = g->blocks[u->block].text;
    const uint64_t places[] = { u->start, u->head, u->end, u->body, u->body_end };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (!is_place(t, places[i]))
            return "a unit's place is outside its block, or inside a character";
    if (u->start > u->head || u->head > u->end || u->start == u->end || u->body > u->body_end ||
        (u->body_end && (u->body < u->head || u->body_end > u->end)))
        return "a unit's places are out of order";
    if (u->parent && (!up || up->block != u->block || u->start < up->start || u->end > up->end))
        return "a unit is not inside its parent";
    if (before && before->block == u->block && before->start > u->start)
        return "units are out of order";
    if (u->src_off > g->n_src || u->src_len > g->n_src - u->src_off)
        return "a unit's span is outside the document";
    if (u->kind == HONE_UNIT_COMMENT ? u->name.n || u->signature.n : !u->name.n || !u->signature.n)
        return "a comment has a name, or another unit has none, or no signature";
    if (memchr(u->signature.p, '\n', u->signature.n))
        return "a signature is more than one line";
    const hone_str texts[] = { u->name, u->scope, u->signature, u->doc };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!utf8_valid(texts[i].p, texts[i].n))
            return "a unit is not UTF-8";
    return NULL;
}

static hone_status page_unit(const hone_block_sink *sink, const hone_unit *u, hone_error *err)
{
    page *g = sink->ctx;
    const char *fault = unit_fault(g, u);
    if (g->fail_at && --g->fail_at == 0)
        return hone_fail(err, HONE_ERR_IO, "the sink fails");
    if (fault)
        broke(&g->broken, fault);
    if (!mem_grow(&g->units, &g->cap_units, g->n_units + 1, sizeof *g->units))
        abort();
    hone_unit *c = &g->units[g->n_units++];
    *c = *u;
    c->name.p = copy(u->name);
    c->scope.p = copy(u->scope);
    c->signature.p = copy(u->signature);
    c->doc.p = copy(u->doc);
    return HONE_OK;
}

static void page_note(const hone_block_sink *sink, const char *line)
{
    page *g = sink->ctx;
    if (!*line || strpbrk(line, "\n\r") || !utf8_valid(line, strlen(line)))
        broke(&g->broken, "a note is not a line of UTF-8");
    text_printf(&g->meta, "note %s\n", line);
}

hone_status page_read(page *g, const instance *reader, const char *name, const char *p, size_t n,
                      hone_error *err)
{
    const hone_block_sink sink = { .struct_size = sizeof sink,
                                   .ctx = g,
                                   .add = page_add,
                                   .lost = page_lost,
                                   .meta = page_meta,
                                   .unit = page_unit,
                                   .note = page_note };
    const hone_source source = { .struct_size = sizeof source,
                                 .name = hone_s(name),
                                 .bytes = { p, n } };
    g->n_src = n;
    return ((const hone_reader *)reader->desc->ops)->read(reader->self, &source, &sink, err);
}

static void free_lost(lost_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(rows[i].why);
    free(rows);
}

void page_finish(page *g)
{
    for (size_t i = 0; i < g->n_blocks; i++) {
        free((void *)(uintptr_t)g->blocks[i].text.p);
        free((void *)(uintptr_t)g->blocks[i].lang.p);
    }
    free(g->blocks);
    for (size_t i = 0; i < g->n_units; i++) {
        const hone_unit *u = &g->units[i];
        free((void *)(uintptr_t)u->name.p);
        free((void *)(uintptr_t)u->scope.p);
        free((void *)(uintptr_t)u->signature.p);
        free((void *)(uintptr_t)u->doc.p);
    }
    free(g->units);
    free_lost(g->lost, g->n_lost);
    text_finish(&g->meta);
    free(g->title);
    free(g->language);
    free(g->broken);
    *g = (page){ 0 };
}

static void dump_lost(const lost_row *rows, size_t n, text *out)
{
    for (size_t i = 0; i < n; i++)
        text_printf(out, "lost %llu %s\n", (unsigned long long)rows[i].bytes, rows[i].why);
}

/* "3 method in 1 shop.Cart add @20 24 30-60 of 70 "signature" doc "words"" */
static void dump_unit(const hone_unit *u, text *out)
{
    static const char *const kinds[] = { "?",    "function", "method",   "class", "interface",
                                         "enum", "module",   "property", "macro", "comment" };
    text_printf(out, "  %s%s%s", kinds[u->kind <= HONE_UNIT_COMMENT ? u->kind : 0],
                u->flags & HONE_UNIT_BROKEN ? " broken" : "",
                u->flags & HONE_UNIT_DOC ? " doc" : "");
    if (u->kind != HONE_UNIT_COMMENT)
        text_printf(out, " %.*s%s%.*s", (int)u->scope.n, u->scope.p, u->scope.n ? " " : "",
                    (int)u->name.n, u->name.p);
    text_printf(out, " in %llu @%llu-%llu", (unsigned long long)u->parent,
                (unsigned long long)u->start, (unsigned long long)u->end);
    if (u->head != u->start)
        text_printf(out, " head %llu", (unsigned long long)u->head);
    if (u->body_end)
        text_printf(out, " body %llu-%llu", (unsigned long long)u->body,
                    (unsigned long long)u->body_end);
    if (u->signature.n) {
        text_puts(out, " \"");
        escape_add(out, u->signature.p, u->signature.n);
        text_puts(out, "\"");
    }
    if (u->doc.n) {
        text_puts(out, " doc \"");
        escape_add(out, u->doc.p, u->doc.n);
        text_puts(out, "\"");
    }
    text_puts(out, "\n");
}

void page_dump(const page *g, text *out)
{
    static const char *const kinds[] = { "?", "text", "heading", "code", "table", "list", "quote" };
    text_add(out, g->meta.p ? g->meta.p : "", g->meta.n);
    for (size_t i = 0; i < g->n_blocks; i++) {
        const hone_block *b = &g->blocks[i];
        text_puts(out, kinds[b->kind <= HONE_BLOCK_QUOTE ? b->kind : 0]);
        if (b->level)
            text_printf(out, " %u", b->level);
        if (b->ordinal)
            text_printf(out, " #%llu", (unsigned long long)b->ordinal);
        if (b->lang.n)
            text_printf(out, " (%.*s)", (int)b->lang.n, b->lang.p);
        text_printf(out, " @%llu+%llu \"", (unsigned long long)b->src_off,
                    (unsigned long long)b->src_len);
        escape_add(out, b->text.p, b->text.n);
        text_puts(out, "\"\n");
    }
    for (size_t i = 0; i < g->n_units; i++)
        dump_unit(&g->units[i], out);
    dump_lost(g->lost, g->n_lost, out);
    if (g->broken)
        text_printf(out, "broken %s\n", g->broken);
}

/* ------------------------------------------------------------------ samples */

static hone_status samples_add(const hone_sample_sink *sink, const hone_segment *segments,
                               uint64_t n, hone_error *err)
{
    samples *s = sink->ctx;
    if (s->fail_at && --s->fail_at == 0)
        return hone_fail(err, HONE_ERR_IO, "the sink fails");
    if (!n)
        return hone_fail(err, HONE_ERR_ARG, "a sample of no segments");
    if (!mem_grow(&s->p, &s->cap, s->n + 1, sizeof *s->p))
        abort();
    shown_sample *x = &s->p[s->n++];
    x->n = n;
    x->segments = mem_new(n, sizeof *x->segments);
    for (uint64_t i = 0; i < n; i++) {
        if (!utf8_valid(segments[i].text.p, segments[i].text.n))
            broke(&s->broken, "a segment is not UTF-8");
        x->segments[i] = segments[i];
        x->segments[i].text.p = copy(segments[i].text);
    }
    return HONE_OK;
}

static hone_status samples_join(const hone_sample_sink *sink, const hone_segment *segments,
                                uint64_t n, uint64_t budget, hone_error *err)
{
    samples *s = sink->ctx;
    int64_t size = 0;
    for (uint64_t i = 0; i < n; i++)
        size += segments[i].role == HONE_ROLE_SPECIAL
                    ? 1
                    : test_count(segments[i].text.p, segments[i].text.n);
    if ((uint64_t)size > budget)
        broke(&s->broken, "a part is larger than the sample it is for");
    return samples_add(sink, segments, n, err);
}

static void samples_lost(const hone_sample_sink *sink, uint64_t bytes, const char *why)
{
    samples *s = sink->ctx;
    add_lost(&s->lost, &s->n_lost, &s->cap_lost, bytes, why);
}

static void samples_dropped(const hone_sample_sink *sink, uint64_t n, const char *why)
{
    samples *s = sink->ctx;
    add_lost(&s->dropped, &s->n_dropped, &s->cap_dropped, n, why);
}

static void samples_prompt(const hone_sample_sink *sink, hone_str version)
{
    samples *s = sink->ctx;
    (void)snprintf(s->prompt, sizeof s->prompt, "%.*s", (int)version.n, version.p);
}

hone_status samples_make(samples *s, const instance *recipe, const page *g, const char *name,
                         hone_error *err)
{
    const hone_sample_sink sink = { .struct_size = sizeof sink,
                                    .ctx = s,
                                    .add = samples_add,
                                    .lost = samples_lost,
                                    .prompt = samples_prompt,
                                    .dropped = samples_dropped,
                                    .join = samples_join };
    const hone_document document = { .struct_size = sizeof document,
                                     .name = hone_s(name),
                                     .title = hone_s(g->title ? g->title : ""),
                                     .blocks = g->blocks,
                                     .n_blocks = g->n_blocks,
                                     .language = hone_s(g->language ? g->language : ""),
                                     .units = g->units,
                                     .n_units = g->n_units };
    return ((const hone_recipe *)recipe->desc->ops)->process(recipe->self, &document, &sink, err);
}

hone_status samples_finish_recipe(samples *s, const instance *recipe, hone_error *err)
{
    const hone_sample_sink sink = { .struct_size = sizeof sink,
                                    .ctx = s,
                                    .add = samples_add,
                                    .lost = samples_lost,
                                    .prompt = samples_prompt,
                                    .dropped = samples_dropped,
                                    .join = samples_join };
    return ((const hone_recipe *)recipe->desc->ops)->finish(recipe->self, &sink, err);
}

void samples_finish(samples *s)
{
    for (size_t i = 0; i < s->n; i++) {
        for (size_t k = 0; k < s->p[i].n; k++)
            free((void *)(uintptr_t)s->p[i].segments[k].text.p);
        free(s->p[i].segments);
    }
    free(s->p);
    free_lost(s->lost, s->n_lost);
    free_lost(s->dropped, s->n_dropped);
    free(s->broken);
    *s = (samples){ 0 };
}

void samples_dump(const samples *s, text *out)
{
    static const char *const roles[] = { "raw", "system", "user", "assistant" };
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < s->p[i].n; k++) {
            const hone_segment *g = &s->p[i].segments[k];
            text_printf(out, "%s%s%s @%llu+%llu \"", k ? "  " : "",
                        roles[g->role <= HONE_ROLE_ASSISTANT ? g->role : 0],
                        g->loss_weight > 0 ? "" : " masked", (unsigned long long)g->src_off,
                        (unsigned long long)g->src_len);
            escape_add(out, g->text.p, g->text.n);
            text_puts(out, "\"\n");
        }
    dump_lost(s->lost, s->n_lost, out);
    for (size_t i = 0; i < s->n_dropped; i++)
        text_printf(out, "dropped %llu %s\n", (unsigned long long)s->dropped[i].bytes,
                    s->dropped[i].why);
    if (s->broken)
        text_printf(out, "broken %s\n", s->broken);
}
