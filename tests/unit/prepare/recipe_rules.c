/*
 * recipe_rules.c - see recipe_rules.h.
 *
 * Text is compared without white space and without the bytes that marks are made of; what
 * is left has to appear in the samples, all of it, in order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "recipe_rules.h"

#include <stdlib.h>
#include <string.h>

#define MARKS "#->`|.+0123456789 \t\n\v\f\r"

int64_t rules_characters(const char *p, size_t n)
{
    int64_t characters = 0;
    for (size_t i = 0; i < n; i++)
        characters += (p[i] & 0xc0) != 0x80;
    return characters;
}

/* ---------------------------------------------------------------- documents */

typedef struct source {
    const uint8_t *p;
    size_t n, at;
    uint64_t words;
} source;

static unsigned next(source *s)
{
    return s->at < s->n ? s->p[s->at++] : 0;
}

/* Letters that hardly repeat, so that text is found where it is and nowhere else. */
static void put_word(source *s, text *t, size_t letters)
{
    static const char *const wide[] = { "\xc3\xa9", "\xe4\xb8\xad", "\xf0\x9f\x98\x80",
                                        "\xe3\x80\x82" };
    uint64_t x = rng_u64(1, s->n, s->words++);
    for (size_t i = 0; i < letters; i++) {
        if (i % 8 == 7)
            x = rng_u64(2, s->n, s->words++);
        if (x % 19 == 0)
            text_puts(t, wide[x / 19 % 4]);
        else
            text_putc(t, (char)((x & 64 ? 'a' : 'A') + (int)(x >> 8) % 26));
        x = x >> 7 | x << 57;
    }
}

static void put_text(source *s, text *t, unsigned size)
{
    static const char *const gaps[] = {
        " ",     " ",  " ", "! ",    "? ",  "\n",  "\n\n", "\t",
        "  \n ", ". ", "`", "```\n", " # ", "!) ", "|",    "\n    "
    };
    const unsigned words = size < 200 ? size % 40 : (size - 199) * 8;
    for (unsigned i = 0; i < words; i++) {
        const unsigned x = next(s);
        put_word(s, t, x == 255 ? 600 : 1 + x % 9);
        text_puts(t, gaps[next(s) % (sizeof gaps / sizeof *gaps)]);
    }
}

void rules_document(page *g, const uint8_t *p, size_t n)
{
    source s = { .p = p, .n = n };
    uint64_t off = 0;
    *g = (page){ 0 };
    while (s.at < n) {
        const unsigned kind = next(&s) % 9, level = 1 + next(&s) % 7, size = next(&s);
        text t = { 0 };
        put_text(&s, &t, kind == HONE_BLOCK_HEADING ? size % 8 : size);
        if (!mem_grow(&g->blocks, &g->cap_blocks, g->n_blocks + 1, sizeof *g->blocks))
            abort();
        hone_block *b = &g->blocks[g->n_blocks++];
        *b = (hone_block){ .kind = kind, .text.n = t.n, .src_off = off, .src_len = t.n };
        b->text.p = t.p ? t.p : mem_strdup("");
        b->lang.p = mem_strdup(size % 3 ? "0+1" : "");
        b->lang.n = strlen(b->lang.p);
        if (kind == HONE_BLOCK_HEADING || kind == HONE_BLOCK_LIST)
            b->level = level;
        if (kind == HONE_BLOCK_LIST && size % 2)
            b->ordinal = size;
        if (size % 11 == 0)
            b->src_off = b->src_len = 0;
        off += t.n + level;
    }
    g->n_src = off;
    if (n && p[0] % 2)
        g->title = mem_strdup("A title");
}

/* ------------------------------------------------------------------ what they promise */

static void put_plain(text *out, hone_str s)
{
    for (uint64_t i = 0; i < s.n; i++)
        if (!strchr(MARKS, s.p[i]) || !s.p[i])
            text_putc(out, s.p[i]);
}

static hone_str str(const text *t)
{
    return (hone_str){ t->p ? t->p : "", t->n };
}

static bool contains(hone_str s, hone_str part)
{
    return part.n == 0 || memmem(s.p, s.n, part.p, part.n) != NULL;
}

/* One text, its size, its span. */
static const char *check_segment(const page *g, const hone_segment *x, const rules *r)
{
    uint64_t lo = 0, hi = 0;
    if (!x->text.n)
        return "a segment is empty";
    if (strchr(" \t\n", x->text.p[x->text.n - 1]))
        return "a segment ends in white space";
    if (x->role != HONE_ROLE_USER && r->size(x->text.p, x->text.n) > r->budget)
        return "a segment is larger than the budget";
    if (x->src_off > g->n_src || x->src_len > g->n_src - x->src_off)
        return "a span is outside the document";
    if (!x->src_len)
        return x->src_off ? "a span without length has a place" : NULL;
    for (size_t i = 0; i < g->n_blocks; i++) {
        const hone_block *b = &g->blocks[i];
        lo |= b->src_len && b->src_off == x->src_off;
        hi |= b->src_len && b->src_off + b->src_len == x->src_off + x->src_len;
    }
    return lo && hi ? NULL : "a span does not begin and end with blocks";
}

/* Code that fits, and the blocks it must not be torn from: is it in a sample as it stands? */
static const char *check_code(const page *g, const samples *s, const rules *r)
{
    for (size_t i = 0; i < g->n_blocks; i++) {
        hone_str code = g->blocks[i].text;
        bool found = false;
        while (code.n && strchr(" \t\n", code.p[code.n - 1]))
            code.n--;
        if (g->blocks[i].kind != HONE_BLOCK_CODE || !code.n ||
            (i && g->blocks[i - 1].kind == HONE_BLOCK_HEADING) ||
            r->size(code.p, code.n) + 40 > r->budget || memmem(code.p, code.n, "````", 4))
            continue;
        for (size_t k = 0; k < s->n && !found; k++)
            found = contains(s->p[k].segments[s->p[k].n - 1].text, code);
        if (!found)
            return "code that fits was torn or changed";
    }
    return NULL;
}

const char *rules_raw(const page *g, const samples *s, const rules *r)
{
    const char *bad = s->broken;
    text all = { 0 }, plain = { 0 };
    size_t start = 0, covered = 0; /* of `all`: the last sample's start, what was seen */
    for (size_t i = 0; i < g->n_blocks; i++)
        put_plain(&all, g->blocks[i].text);
    for (size_t i = 0; i < s->n && !bad; i++) {
        const hone_segment *x = s->p[i].segments;
        size_t at = covered;
        if (s->p[i].n != 1 || x->role != HONE_ROLE_RAW || x->loss_weight != 1)
            bad = "a sample is not one raw segment";
        if (!bad)
            bad = check_segment(g, x, r);
        text_clear(&plain);
        put_plain(&plain, x->text);
        if (bad || !plain.n || r->lossy)
            continue;
        while (at > start && (at + plain.n > all.n || memcmp(all.p + at, plain.p, plain.n) != 0))
            at--;
        if (at + plain.n > all.n || memcmp(all.p + at, plain.p, plain.n) != 0)
            bad = "a sample does not go on where the one before ended";
        else if (at + plain.n < covered)
            bad = "a sample holds nothing new";
        else if ((double)r->size(all.p + at, covered - at) > r->overlap * (double)r->budget)
            bad = "a sample repeats more than the overlap";
        start = at;
        covered = at + plain.n;
    }
    if (!bad && !r->lossy && covered != all.n)
        bad = "some text is in no sample";
    if (!bad && !r->lossy && s->n_lost)
        bad = "text is reported as lost";
    if (!bad && !r->lossy)
        bad = check_code(g, s, r);
    text_finish(&all);
    text_finish(&plain);
    return bad;
}

static bool is_heading(const hone_block *b)
{
    return b->kind == HONE_BLOCK_HEADING && b->level >= 1 && b->level <= 6 &&
           strspn(b->text.p, " \t\n") < b->text.n && b->text.n <= 512;
}

static bool heading_asked(const samples *s, hone_str heading, text *want, text *have)
{
    text_clear(want);
    put_plain(want, heading);
    for (size_t k = 0; k < s->n; k++) {
        text_clear(have);
        put_plain(have, s->p[k].segments[0].text);
        if (contains(str(have), str(want)))
            return true;
    }
    return false;
}

const char *rules_headings(const page *g, const samples *s, const rules *r)
{
    const char *bad = s->broken;
    text all = { 0 }, answers = { 0 };
    size_t missing = 0, reported = 0;
    for (size_t i = 0; i < s->n && !bad; i++) {
        const hone_segment *x = s->p[i].segments;
        if (s->p[i].n != 2 || x[0].role != HONE_ROLE_USER || x[0].loss_weight != 0 ||
            x[1].role != HONE_ROLE_ASSISTANT || x[1].loss_weight != 1)
            bad = "a sample is not a masked question and an answer";
        else if (memchr(x[0].text.p, '\n', x[0].text.n))
            bad = "a question has more than one line";
        for (size_t k = 0; k < s->p[i].n && !bad; k++)
            bad = check_segment(g, &x[k], r);
        if (!bad)
            put_plain(&answers, x[1].text);
    }
    for (size_t i = 0; i < g->n_blocks; i++)
        if (!is_heading(&g->blocks[i]))
            put_plain(&all, g->blocks[i].text);
    if (!bad && !r->lossy &&
        (all.n != answers.n || (all.n && memcmp(all.p, answers.p, all.n) != 0)))
        bad = "the answers are not the text in its order";
    for (size_t i = 0; i < g->n_blocks && !bad; i++)
        missing +=
            is_heading(&g->blocks[i]) && !heading_asked(s, g->blocks[i].text, &all, &answers);
    for (size_t i = 0; i < s->n_lost; i++)
        reported += strcmp(s->lost[i].why, "heading without text") == 0;
    if (!bad && missing > reported)
        bad = "a heading is neither asked nor reported";
    if (!bad && !r->lossy && reported != s->n_lost)
        bad = "text is reported as lost";
    if (!bad && !r->lossy)
        bad = check_code(g, s, r);
    text_finish(&all);
    text_finish(&answers);
    return bad;
}
