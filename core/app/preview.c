/*
 * preview.c - one sample for the eye: what is masked dimmed, special tokens visible, where it is from.
 *
 * What is shown comes from the tokens of the row that training would make, not from the sample's
 * text. Bytes of documents end up on a terminal or in a browser: control characters are replaced, and a
 * page is escaped throughout, carries its style and runs no script.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/app/preview.h"

#include <stdlib.h>

#define MASKED 1u
#define SPECIAL 2u

/* clang-format off */
static const struct marks {
    const char *open[4], *close[4]; /* by MASKED | SPECIAL */
} all_marks[] = {
    [PREVIEW_PLAIN] = { { "", "", "{", "{" }, { "", "", "}", "}" } }, /* see mask_edge() */
    [PREVIEW_COLOUR] = { { "", "\033[2m", "\033[1;36m", "\033[2;36m" }, { "", "\033[0m", "\033[0m", "\033[0m" } },
    [PREVIEW_HTML] = { { "", "<span class=\"m\">", "<b>", "<b class=\"m\">" }, { "", "</span>", "</b>", "</b>" } },
};
/* clang-format on */

static void put_code(text *out, preview_style style, uint32_t cp)
{
    static const struct {
        uint32_t cp;
        const char *entity;
    } entities[] = {
        { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&#39;" }
    };
    char bytes[4];
    for (size_t i = 0; style == PREVIEW_HTML && i < sizeof entities / sizeof entities[0]; i++)
        if (entities[i].cp == cp) {
            text_puts(out, entities[i].entity);
            return;
        }
    /* Bidirectional overrides would show words in another order than they are learned in. */
    if ((cp < 0x20 && cp != '\n' && cp != '\t') || (cp >= 0x7f && cp < 0xa0) ||
        (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069))
        cp = 0xfffd;
    text_add(out, bytes, utf8_put(cp, bytes));
}

static void put_text(text *out, preview_style style, const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        bool bad;
        i += utf8_next(p + i, n - i, &cp, &bad);
        put_code(out, style, cp);
    }
}

static void put_run(const preview *v, text *out, uint32_t kind, const char *p, size_t n)
{
    if (!n)
        return;
    text_puts(out, all_marks[v->style].open[kind]);
    put_text(out, v->style, p, n);
    text_puts(out, all_marks[v->style].close[kind]);
}

/* In plain text a masked part is bracketed as a whole. */
static void mask_edge(const preview *v, text *out, uint32_t before, uint32_t now)
{
    if (v->style == PREVIEW_PLAIN && (before & MASKED) != (now & MASKED))
        text_puts(out, now & MASKED ? "[[" : "]]");
}

/* ------------------------------------------------------------------------ one sample */

/* Tokens of one kind, one after another, are one run. */
static hone_status put_tokens(const preview *v, text *out, const row *r, hone_error *err)
{
    token_stream stream = { 0 };
    text run = { 0 };
    uint32_t kind = 0;
    hone_status st = HONE_OK;
    for (int32_t i = 0; i < r->n && !st; i++) {
        const bool special = tokenizer_is_special(v->tok, r->ids[i]);
        const uint32_t now = (r->labels[i] == LABEL_MASKED ? MASKED : 0) | (special ? SPECIAL : 0);
        if (i && (now != kind || special)) {
            put_run(v, out, kind, run.p, run.n);
            text_clear(&run);
        }
        mask_edge(v, out, i ? kind : 0, now);
        kind = now;
        st = token_stream_push(v->tok, &stream, r->ids[i], false, &run, err);
    }
    if (!st)
        st = token_stream_end(v->tok, &stream, false, &run, err);
    put_run(v, out, kind, run.p, run.n);
    mask_edge(v, out, r->n ? kind : 0, 0);
    token_stream_finish(&stream);
    text_finish(&run);
    return st;
}

static void put_segments(const preview *v, text *out, const sample *s)
{
    for (size_t i = 0; i < s->n_segments; i++) {
        const sample_segment *g = &s->segments[i];
        const char *role = role_name(g->role);
        if (g->role != ROLE_RAW) {
            put_run(v, out, SPECIAL, role, strlen(role));
            text_puts(out, "\n");
        }
        mask_edge(v, out, 0, g->learn ? 0 : MASKED);
        put_run(v, out, g->learn ? 0 : MASKED, g->text, g->n);
        mask_edge(v, out, g->learn ? 0 : MASKED, 0);
        if (i + 1 < s->n_segments)
            text_puts(out, "\n");
    }
}

static void put_origin(const preview *v, text *out, const sample *s, int64_t line, const row *r)
{
    uint64_t start = UINT64_MAX, end = 0;
    for (size_t i = 0; i < s->n_segments; i++) {
        const sample_segment *g = &s->segments[i];
        if (g->src_len && g->src_off < start)
            start = g->src_off;
        if (g->src_len && g->src_off + g->src_len > end)
            end = g->src_off + g->src_len;
    }
    text t = { 0 };
    text_printf(&t, "%lld  %s", (long long)line, s->file ? s->file : "(no file)");
    if (end)
        text_printf(&t, "  %s %llu-%llu", s->unit ? s->unit : "byte", (unsigned long long)start,
                    (unsigned long long)end);
    if (s->recipe)
        text_printf(&t, "  %s", s->recipe);
    if (s->version)
        text_printf(&t, " %s", s->version);
    if (s->id)
        text_printf(&t, "  %s", s->id);
    if (r)
        text_printf(&t, "  %d tokens, %d learned", r->n, r->n_learned);
    put_text(out, v->style, t.p ? t.p : "", t.n);
    text_finish(&t);
}

hone_status preview_sample(const preview *v, text *out, const sample *s, int64_t line,
                           hone_error *err)
{
    row r = { 0 };
    hone_error why = { 0 };
    hone_status st = HONE_OK;
    const bool html = v->style == PREVIEW_HTML;
    const bool made = v->tok && !sample_row(&r, v->options, s, v->tok, v->chat, &why);
    text_puts(out, html ? "<article><h2>" : v->style == PREVIEW_COLOUR ? "\033[1m" : "--- ");
    put_origin(v, out, s, line, made ? &r : NULL);
    text_puts(out, html ? "</h2>\n<pre>" : v->style == PREVIEW_COLOUR ? "\033[0m\n" : "\n");
    if (made)
        st = put_tokens(v, out, &r, err);
    else
        put_segments(v, out, s);
    text_puts(out, html ? "</pre>" : "\n");
    if (v->tok && !made) { /* a base model without a template, say */
        text_puts(out, html ? "<p>" : "\n");
        put_text(out, v->style, why.message, strlen(why.message));
        text_puts(out, html ? "</p>" : "\n");
    }
    text_puts(out, html ? "</article>\n" : "\n");
    row_finish(&r);
    return st ? st : text_status(out, err);
}

/* ------------------------------------------------------------------------ around */

static const char page_head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>Samples</title>\n<style>\n"
    ":root { color-scheme: light dark; --masked: #8a8f98; --special: #0b6e99; --line: #d0d4da; }\n"
    "@media (prefers-color-scheme: dark) { :root { --masked: #7d838c; --special: #6cc5e9; --line: "
    "#3a3f46; } }\n"
    "body { font: 16px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 "
    "1em; }\n"
    "article { border-top: 1px solid var(--line); padding: .5em 0 1em; }\n"
    "h1 { font-size: 1.3em; } h2 { font-size: .85em; font-weight: 600; overflow-wrap: anywhere; }\n"
    "pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 14px/1.55 ui-monospace, "
    "monospace; margin: 0; }\n"
    "pre b { color: var(--special); font-weight: 600; }\n"
    "pre .m { color: var(--masked); }\n"
    "pre b.m { color: var(--special); opacity: .6; }\n"
    "</style>\n</head>\n<body>\n<h1>";

void preview_begin(const preview *v, text *out, const char *path)
{
    if (v->style == PREVIEW_HTML) {
        text_puts(out, page_head);
        put_text(out, v->style, path, strlen(path));
        text_puts(out, "</h1>\n<p>Words as they stand are learned; <span class=\"m\" "
                       "style=\"color: var(--masked)\">grey ones are masked</span>; <b "
                       "style=\"color: var(--special)\">special tokens</b> are coloured.</p>\n");
    } else if (v->style == PREVIEW_PLAIN) {
        text_puts(out, "masked text stands in [[ ]], special tokens in { }\n\n");
    }
}

void preview_end(const preview *v, text *out, int64_t shown, int64_t of)
{
    if (v->style == PREVIEW_HTML)
        text_printf(out, "<footer><p>%lld samples of %lld.</p></footer>\n</body>\n</html>\n",
                    (long long)shown, (long long)of);
}
