/*
 * template_render.c - turns to text by a template row, with what is learned and whose
 * it is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/template.h"

#include <stdlib.h>

void rendered_finish(rendered *r)
{
    if (!r)
        return;
    text_finish(&r->text);
    free(r->spans);
    free(r->ends);
    free(r->parts);
    *r = (rendered){ 0 };
}

/* White space as Python's str.strip() and Jinja's trim have it. */
static bool is_python_space(uint32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0d) || (cp >= 0x1c && cp <= 0x20) || cp == 0x85 || cp == 0xa0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

void template_strip(const char *p, size_t n, size_t *start, size_t *end)
{
    size_t last = 0, first = 0;
    bool any = false;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        bool bad = false;
        const size_t k = utf8_next(p + i, n - i, &cp, &bad);
        if (!is_python_space(cp)) {
            if (!any)
                first = i;
            any = true;
            last = i + k;
        }
        i += k;
    }
    *start = any ? first : n;
    *end = any ? last : n;
}

/* Marks are put in place of their names. */
void template_mark(text *out, const char *mark, const template_words *w, const char *date)
{
    const struct {
        const char *name, *value;
    } names[] = {
        { "{bos}", w->bos },
        { "{bos?}", w->adds_bos ? w->bos : "" },
        { "{eos}", w->eos },
        { "{date}", date },
    };
    while (mark && *mark) {
        size_t k = 0;
        for (size_t i = 0; i < sizeof names / sizeof *names && !k; i++)
            if (!strncmp(mark, names[i].name, strlen(names[i].name))) {
                k = strlen(names[i].name);
                text_puts(out, names[i].value);
            }
        if (!k)
            text_putc(out, *mark);
        mark += k ? k : 1;
    }
}

typedef struct renderer {
    const template_row *row;
    const template_words *words;
    const char *date;
    const message *m;
    size_t n;
    hone_str system; /* held for a fold */
    bool has_system;
    rendered r; /* owned */
    bool failed;
} renderer;

/* Everything from the last part's end to here belongs to role. */
static void close_part(renderer *x, uint32_t role, bool content)
{
    rendered *r = &x->r;
    const size_t start = r->n_parts ? r->parts[r->n_parts - 1].end : 0;
    if (start == r->text.n)
        return;
    if (!mem_grow(&r->parts, &r->cap_parts, r->n_parts + 1, sizeof *r->parts)) {
        x->failed = true;
        return;
    }
    r->parts[r->n_parts++] = (rendered_part){ start, r->text.n, role, content };
}

static void add_span(renderer *x, span **spans, size_t *n, size_t *cap, size_t start, size_t end)
{
    if (start == end)
        return;
    if (!mem_grow(spans, cap, *n + 1, sizeof **spans))
        x->failed = true;
    else
        (*spans)[(*n)++] = (span){ start, end };
}

static void put_mark(renderer *x, const char *mark, uint32_t role)
{
    template_mark(&x->r.text, mark, x->words, x->date);
    close_part(x, role, false);
}

static void put_words(renderer *x, hone_str words, uint32_t role)
{
    text_add(&x->r.text, words.p, words.n);
    close_part(x, role, true);
}

static hone_str trimmed(const renderer *x, hone_str words, uint32_t bit)
{
    size_t start = 0, end = words.n;
    if (!words.p)
        return hone_s("");
    if (x->row->trim & bit)
        template_strip(words.p, words.n, &start, &end);
    return (hone_str){ words.p + start, end - start };
}

static void put_system(renderer *x, const char *before, hone_str words, const char *after)
{
    put_mark(x, before, ROLE_SYSTEM);
    put_words(x, trimmed(x, words, TRIM_SYSTEM), ROLE_SYSTEM);
    put_mark(x, after, ROLE_SYSTEM);
}

/* ------------------------------------------------------------------------- folds */

/* The pieces of a fold, before and after trimming the whole. */
typedef struct fold_piece {
    hone_str words;
    uint32_t role;
    bool content;
} fold_piece;

/* System and user words as one turn's words: trimmed together, as the templates do. */
static void put_folded(renderer *x, hone_str user)
{
    const char *f = x->row->system.fold, *s = strstr(f, "{system}"), *c = strstr(f, "{content}");
    const bool system_first = s < c;
    const char *a = system_first ? s : c, *b = system_first ? c : s;
    const size_t na = system_first ? strlen("{system}") : strlen("{content}");
    const size_t nb = system_first ? strlen("{content}") : strlen("{system}");
    const hone_str system = trimmed(x, x->system, TRIM_SYSTEM);
    const fold_piece pieces[] = {
        { { f, (size_t)(a - f) }, ROLE_SYSTEM, false },
        { system_first ? system : user, system_first ? ROLE_SYSTEM : ROLE_USER, true },
        { { a + na, (size_t)(b - a) - na }, ROLE_SYSTEM, false },
        { system_first ? user : system, system_first ? ROLE_USER : ROLE_SYSTEM, true },
        { { b + nb, strlen(b + nb) }, ROLE_SYSTEM, false },
    };
    text all = { 0 };
    size_t start = 0, end, at = 0;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        text_add(&all, pieces[i].words.p, pieces[i].words.n);
    end = all.n;
    if (x->row->trim & TRIM_USER)
        template_strip(all.p, all.n, &start, &end);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        const size_t lo = at > start ? at : start, next = at + pieces[i].words.n;
        const size_t hi = next < end ? next : end;
        if (lo < hi) {
            text_add(&x->r.text, all.p + lo, hi - lo);
            close_part(x, pieces[i].role, pieces[i].content);
        }
        at = next;
    }
    x->failed = x->failed || all.failed;
    x->has_system = false;
    text_finish(&all);
}

/* ---------------------------------------------------------------------- thoughts */

static hone_str strip_newlines(hone_str s, bool left, bool right)
{
    while (left && s.n && *s.p == '\n')
        s = (hone_str){ s.p + 1, s.n - 1 };
    while (right && s.n && s.p[s.n - 1] == '\n')
        s.n--;
    return s;
}

static const char *find(hone_str s, const char *what)
{
    return s.n ? memmem(s.p, s.n, what, strlen(what)) : NULL;
}

/* The piece of s behind the last `what`, or all of it. */
static hone_str behind_last(hone_str s, const char *what)
{
    for (const char *p; (p = find(s, what));) {
        const size_t skip = (size_t)(p - s.p) + strlen(what);
        s = (hone_str){ s.p + skip, s.n - skip };
    }
    return s;
}

/* The turn of the last question: answers behind it show their thoughts. */
static size_t last_question(const message *m, size_t n)
{
    static const char open[] = "<tool_response>", close[] = "</tool_response>";
    for (size_t i = n; i-- > 0;) {
        const hone_str s = m[i].content;
        const bool opens = s.n >= sizeof open - 1 && !memcmp(s.p, open, sizeof open - 1);
        const bool closes = s.n >= sizeof close - 1 &&
                            !memcmp(s.p + s.n - (sizeof close - 1), close, sizeof close - 1);
        if (m[i].role == ROLE_USER && !(opens && closes))
            return i;
    }
    return n - 1;
}

/* Qwen3: thoughts stand in <think> blocks; those of earlier rounds are dropped, and a last
 * answer without any gets an empty block. */
static void put_thoughts(renderer *x, size_t at, hone_str words)
{
    const char *close = find(words, "</think>");
    hone_str thoughts = { "", 0 };
    if (close) {
        thoughts = strip_newlines((hone_str){ words.p, (size_t)(close - words.p) }, false, true);
        thoughts = strip_newlines(behind_last(thoughts, "<think>"), true, false);
        words = strip_newlines(behind_last(words, "</think>"), true, false);
    }
    if (at > last_question(x->m, x->n) && (at + 1 == x->n || thoughts.n)) {
        put_mark(x, "<think>\n", ROLE_ASSISTANT);
        put_words(x, strip_newlines(thoughts, true, true), ROLE_ASSISTANT);
        put_mark(x, "\n</think>\n\n", ROLE_ASSISTANT);
        words = strip_newlines(words, true, false);
    } else if (thoughts.n)
        x->r.n_left_out++;
    put_words(x, words, ROLE_ASSISTANT);
}

/* ------------------------------------------------------------------------- turns */

static void put_user(renderer *x, size_t at, bool first)
{
    const uint32_t place = x->row->system.place;
    const bool here =
        place == SYSTEM_FIRST_USER ? first : place == SYSTEM_LAST_USER && at + 1 == x->n;
    put_mark(x, x->row->user.before, ROLE_USER);
    if (x->has_system && here)
        put_folded(x, x->m[at].content);
    else
        put_words(x, trimmed(x, x->m[at].content, TRIM_USER), ROLE_USER);
    put_mark(x, x->row->user.after, ROLE_USER);
}

static void put_assistant(renderer *x, size_t at)
{
    const hone_str words = trimmed(x, x->m[at].content, TRIM_ASSISTANT);
    rendered *r = &x->r;
    put_mark(x, x->row->assistant.before, ROLE_ASSISTANT);
    const size_t start = r->text.n;
    put_mark(x, x->row->assistant.lead, ROLE_ASSISTANT);
    if (x->row->thoughts)
        put_thoughts(x, at, words);
    else
        put_words(x, words, ROLE_ASSISTANT);
    put_mark(x, x->row->assistant.tail, ROLE_ASSISTANT);
    const size_t end = r->text.n;
    put_mark(x, x->row->assistant.end, ROLE_ASSISTANT);
    if (!x->m[at].masked) {
        add_span(x, &r->spans, &r->n_spans, &r->cap_spans, start, r->text.n);
        add_span(x, &r->ends, &r->n_ends, &r->cap_ends, end, r->text.n);
    }
    put_mark(x, x->row->assistant.after, ROLE_ASSISTANT);
}

static hone_status refuse_system(const renderer *x, size_t at, hone_error *err)
{
    return hone_fail(
        err, HONE_ERR_FORMAT,
        "turn %zu is the system's: the template %s has %s; leave it out, or put it into the "
        "user's turn",
        at + 1, x->row->name, at ? "none but a first one" : "no place for it");
}

/* The system's part in front: its first turn, or what stands for a missing one. Returns in
 * *at how many messages that took. */
static hone_status put_first_system(renderer *x, size_t *at, hone_error *err)
{
    const template_row *self = x->row;
    const bool given = x->m[0].role == ROLE_SYSTEM;
    const char *missing = self->system.missing;
    *at = given;
    if (!given && !missing)
        return HONE_OK;
    x->system = given ? x->m[0].content : hone_s(missing);
    if (self->system.place == SYSTEM_REFUSED)
        return refuse_system(x, 0, err);
    if (self->system.place == SYSTEM_OWN)
        put_system(x, self->system.before, x->system, self->system.after);
    else
        x->has_system = true;
    return HONE_OK;
}

static hone_status put_turns(renderer *x, size_t from, hone_error *err)
{
    const template_row *self = x->row;
    for (size_t i = from; i < x->n; i++) {
        const uint32_t role = x->m[i].role;
        const bool users_turn = (i - from) % 2 == 0;
        if (self->alternate && (role == ROLE_USER) != users_turn)
            return hone_fail(
                err, HONE_ERR_FORMAT,
                "turn %zu is the %s's: the template %s wants user and assistant in turns, the "
                "user first",
                i + 1, role_name(role), self->name);
        if (role == ROLE_USER)
            put_user(x, i, i == from);
        else if (role == ROLE_ASSISTANT)
            put_assistant(x, i);
        else if (role == ROLE_SYSTEM && self->system.later == SYSTEM_OWN)
            put_system(x, self->system.later_before, x->m[i].content, self->system.later_after);
        else if (role == ROLE_SYSTEM && self->system.later == SYSTEM_IGNORED)
            x->r.n_left_out++;
        else if (role == ROLE_SYSTEM)
            return refuse_system(x, i, err);
        else
            return hone_fail(err, HONE_ERR_ARG,
                             "turn %zu is raw text: a chat template takes turns only", i + 1);
    }
    x->r.n_left_out += x->has_system;
    return HONE_OK;
}

hone_status template_row_render(const template_row *self, const template_words *words,
                                const message *m, size_t n, bool generation_prompt,
                                const char *date, rendered *out, hone_error *err)
{
    renderer x = { .row = self, .words = words, .m = m, .n = n };
    size_t at = 0;
    hone_status st;
    x.date = date ? date : self->date ? self->date : words->today;
    if (!n)
        return hone_fail(err, HONE_ERR_ARG, "a conversation without turns cannot be rendered");
    text_puts(&x.r.text, "");
    put_mark(&x, self->start, m[0].role);
    if ((st = put_first_system(&x, &at, err)) || (st = put_turns(&x, at, err)))
        goto out;
    if (generation_prompt)
        put_mark(&x, self->assistant.before, ROLE_ASSISTANT);
    if (x.failed || x.r.text.failed) {
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory to render %zu turns", n);
        goto out;
    }
    rendered_finish(out);
    *out = x.r;
    x.r = (rendered){ 0 };
out:
    rendered_finish(&x.r);
    return st;
}
