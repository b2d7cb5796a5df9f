/*
 * ignore.c - patterns of gitignore(5), with git's answers in the corners too.
 *
 * A pattern is compiled to a small automaton, so that no pattern takes longer than its
 * length times that of the path. What git does beyond its manual, held by the test against
 * git itself: the text before the first of * ? [ \ is compared first, and "**" is judged by
 * what follows it alone ("a**" + "/b" is "a" and then a leading "**" + "/b"); "]" first in a set
 * is itself; a set or an escape that does not end matches nothing; a "*" with no other mark
 * behind it compares the end of the name only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/prepare/ignore.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

enum step_kind {
    STEP_BYTE,  /* this byte                        */
    STEP_ANY,   /* one byte, no slash               */
    STEP_SET,   /* one byte of a set                */
    STEP_STAR,  /* any bytes without a slash        */
    STEP_STARS, /* any bytes                        */
    STEP_FORK,  /* on, or behind the next two steps: "**" + "/" may stand for nothing */
    STEP_NEVER,
};

typedef struct step {
    uint8_t kind, byte;
    uint32_t set;
} step;

typedef struct byte_set {
    uint8_t bits[32];
} byte_set;

struct ignore_pattern {
    char *literal; /* owned: compared first; all of it when there are no steps */
    size_t n_literal;
    step *steps; /* owned */
    size_t n_steps, cap_steps;
    byte_set *sets; /* owned */
    size_t n_sets, cap_sets;
    bool negative, folder_only;
    bool name_only; /* no slash inside: compared with the last part of a path */
    bool tail;      /* "*literal" */
};

/* ------------------------------------------------------------------------ compile */

static bool special(char c)
{
    return c == '*' || c == '?' || c == '[' || c == '\\';
}

static size_t plain_length(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && !special(p[i]))
        i++;
    return i;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static bool add_step(ignore_pattern *x, uint8_t kind, char byte, uint32_t set)
{
    if (!mem_grow(&x->steps, &x->cap_steps, x->n_steps + 1, sizeof *x->steps))
        return false;
    x->steps[x->n_steps++] = (step){ kind, (uint8_t)byte, set };
    return true;
}

static int is_blank(int c)
{
    return c == ' ' || c == '\t';
}

/* clang-format off */
static const struct {
    const char *name;
    int (*holds)(int c);
} classes[] = {
    { "alnum", isalnum }, { "alpha", isalpha }, { "blank", is_blank }, { "cntrl", iscntrl },
    { "digit", isdigit }, { "graph", isgraph }, { "lower", islower }, { "print", isprint },
    { "punct", ispunct }, { "space", isspace }, { "upper", isupper }, { "xdigit", isxdigit },
};
/* clang-format on */

static void set_range(byte_set *s, int from, int to)
{
    for (int c = from; c <= to; c++)
        s->bits[c >> 3] |= (uint8_t)(1 << (c & 7));
}

static bool set_has(const byte_set *s, uint8_t c)
{
    return s->bits[c >> 3] >> (c & 7) & 1;
}

/* Capital letters of ranges and classes (not single ones) stand for small ones too. */
static void set_fold(byte_set *s, const byte_set *spread)
{
    for (int c = 'A'; c <= 'Z'; c++)
        if (set_has(spread, (uint8_t)c))
            set_range(s, c + 32, c + 32);
}

static bool set_class(byte_set *s, const char *name, size_t n, bool fold)
{
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (strlen(classes[i].name) != n || memcmp(classes[i].name, name, n) != 0)
            continue;
        for (int c = 0; c < 128; c++)
            if (classes[i].holds(c) &&
                (strcmp(classes[i].name, "upper") == 0 || !fold || c == lower((uint8_t)c)))
                set_range(s, c, c);
        if (fold && strcmp(classes[i].name, "upper") == 0)
            set_range(s, 'a', 'z');
        return true;
    }
    return false;
}

/* The set that begins behind the '[' at p[0]: its length with ']', 0 when it never matches. */
static size_t set_parse(byte_set *out, const char *p, size_t n, bool slashes, bool fold)
{
    byte_set s = { 0 }, spread = { 0 };
    size_t i = 0;
    int before = 0; /* what a '-' starts from; 0: nothing */
    const bool negated = n && (p[0] == '!' || p[0] == '^');
    i += negated;
    for (bool first = true; i < n && (first || p[i] != ']'); first = false, i++) {
        const uint8_t c = (uint8_t)p[i];
        if (c == '\\') {
            if (++i >= n)
                return 0;
            before = (uint8_t)p[i];
            set_range(&s, before, before);
        } else if (c == '-' && before && i + 1 < n && p[i + 1] != ']') {
            i++;
            if (p[i] == '\\' && ++i >= n)
                return 0;
            set_range(&s, before, (uint8_t)p[i]);
            set_range(&spread, before, (uint8_t)p[i]);
            before = 0;
        } else if (c == '[' && i + 1 < n && p[i + 1] == ':') {
            const char *name = p + i + 2;
            const char *end = memchr(name, ']', n - i - 2);
            if (!end)
                return 0;
            if (end == name || end[-1] != ':') { /* no ":]": a '[' among others */
                set_range(&s, '[', '[');
                before = '[';
                continue;
            }
            if (!set_class(&s, name, (size_t)(end - 1 - name), fold))
                return 0;
            before = 0;
            i = (size_t)(end - p);
        } else {
            set_range(&s, c, c);
            before = c;
        }
    }
    if (i >= n)
        return 0;
    if (fold)
        set_fold(&s, &spread);
    for (size_t k = 0; negated && k < sizeof s.bits; k++)
        s.bits[k] = (uint8_t)~s.bits[k];
    if (!slashes)
        s.bits['/' >> 3] &= (uint8_t) ~(1 << ('/' & 7));
    *out = s;
    return i + 1;
}

/* slashes: '*', '?' and sets match them (a pattern that is compared with a name only). */
static bool compile(ignore_pattern *x, const char *p, size_t n, bool slashes, bool fold)
{
    bool good = true;
    for (size_t i = 0; i < n && good;) {
        const char c = p[i];
        if (c == '?') {
            good = add_step(x, STEP_ANY, 0, 0);
            i++;
        } else if (c == '*') {
            size_t end = i + 1;
            while (end < n && p[end] == '*')
                end++;
            const bool opens = i == 0 || p[i - 1] == '/';
            const bool closes =
                end == n || p[end] == '/' || (p[end] == '\\' && end + 1 < n && p[end + 1] == '/');
            const bool stars = slashes || (end - i > 1 && opens && closes);
            if (stars && !slashes && end < n && p[end] == '/')
                good = add_step(x, STEP_FORK, 0, 0);
            good = good && add_step(x, stars ? STEP_STARS : STEP_STAR, 0, 0);
            i = end;
        } else if (c == '[') {
            byte_set s;
            const size_t used = set_parse(&s, p + i + 1, n - i - 1, slashes, fold);
            if (!used)
                return add_step(x, STEP_NEVER, 0, 0);
            good = mem_grow(&x->sets, &x->cap_sets, x->n_sets + 1, sizeof *x->sets) &&
                   add_step(x, STEP_SET, 0, (uint32_t)x->n_sets);
            if (good)
                x->sets[x->n_sets++] = s;
            i += used + 1;
        } else if (c == '\\') {
            if (i + 1 >= n)
                return add_step(x, STEP_NEVER, 0, 0);
            good = add_step(x, STEP_BYTE, p[i + 1], 0);
            i += 2;
        } else {
            good = add_step(x, STEP_BYTE, fold ? (char)lower((uint8_t)c) : c, 0);
            i++;
        }
    }
    return good;
}

static void pattern_finish(ignore_pattern *x)
{
    free(x->literal);
    free(x->steps);
    free(x->sets);
}

/* One line without its end: n bytes, not empty, no comment. */
static hone_status add_pattern(ignore_list *l, const char *p, size_t n, hone_error *err)
{
    ignore_pattern x = { 0 };
    if (p[0] == '!') {
        x.negative = true;
        p++;
        n--;
    }
    x.tail = n && p[0] == '*' && plain_length(p + 1, n - 1) == n - 1;
    if (n && p[n - 1] == '/') {
        x.folder_only = true;
        n--;
    }
    x.name_only = !memchr(p, '/', n);
    size_t plain = plain_length(p, n);
    if (!x.name_only && p[0] == '/') {
        p++;
        n--;
        plain--;
    }
    if (x.name_only && plain < n)
        plain = 0; /* a name's pattern is one piece */
    if (x.tail && x.name_only) {
        p++;
        plain = --n;
    } else {
        x.tail = false;
    }
    x.literal = mem_strndup(p, plain);
    x.n_literal = plain;
    if (!x.literal || !compile(&x, p + plain, n - plain, x.name_only, l->fold) ||
        !mem_grow(&l->p, &l->cap, l->n + 1, sizeof *l->p)) {
        pattern_finish(&x);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for patterns of ignored files");
    }
    l->p[l->n++] = x;
    return HONE_OK;
}

/* Blanks at the end do not count unless a backslash stands before them. */
static size_t without_blanks(const char *p, size_t n)
{
    size_t end = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == ' ')
            continue;
        if (p[i] == '\\' && ++i >= n)
            return n;
        end = i + 1;
    }
    return end;
}

hone_status ignore_parse(ignore_list *out, const char *p, size_t n, const char *base, bool fold,
                         hone_error *err)
{
    ignore_list l = { .base = mem_strdup(base), .fold = fold };
    hone_status st = HONE_OK;
    size_t longest = 0;
    if (!l.base)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for patterns of ignored files");
    if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        p += 3;
        n -= 3;
    }
    while (n && !st) {
        const char *end = memchr(p, '\n', n);
        const size_t whole = end ? (size_t)(end - p) : n;
        size_t line = whole;
        if (line && p[line - 1] == '\r') /* at the end of the file too */
            line--;
        line = strnlen(p, line); /* git's lines end at a NUL */
        if (whole && p[0] != '#' && (line = without_blanks(p, line)))
            st = add_pattern(&l, p, line, err);
        p += whole + (end != NULL);
        n -= whole + (end != NULL);
    }
    for (size_t i = 0; i < l.n; i++)
        longest = l.p[i].n_steps > longest ? l.p[i].n_steps : longest;
    if (!st && !(l.scratch = mem_new(2, longest + 1)))
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for patterns of ignored files");
    if (st) {
        ignore_finish(&l);
        return st;
    }
    *out = l;
    return HONE_OK;
}

void ignore_finish(ignore_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        pattern_finish(&l->p[i]);
    free(l->p);
    free(l->base);
    free(l->scratch);
    *l = (ignore_list){ 0 };
}

/* -------------------------------------------------------------------------- match */

/* State i: steps before i are done. Marks it and all that follow from it without a byte. */
static void reach(const ignore_pattern *x, uint8_t *states, size_t i)
{
    while (i <= x->n_steps && !states[i]) {
        states[i] = 1;
        if (i == x->n_steps)
            return;
        if (x->steps[i].kind == STEP_FORK)
            reach(x, states, i + 3);
        else if (x->steps[i].kind != STEP_STAR && x->steps[i].kind != STEP_STARS)
            return;
        i++;
    }
}

static bool takes(const ignore_pattern *x, const step *s, uint8_t c)
{
    switch (s->kind) {
    case STEP_BYTE:
        return s->byte == c;
    case STEP_ANY:
        return x->name_only || c != '/';
    case STEP_SET:
        return set_has(&x->sets[s->set], c);
    default:
        return false;
    }
}

static bool run_steps(const ignore_pattern *x, const char *p, size_t n, uint8_t *scratch, bool fold)
{
    const size_t size = x->n_steps + 1;
    uint8_t *now = scratch, *next = scratch + size;
    memset(now, 0, size);
    reach(x, now, 0);
    for (size_t at = 0; at < n; at++) {
        const uint8_t c = fold ? lower((uint8_t)p[at]) : (uint8_t)p[at];
        bool any = false;
        memset(next, 0, size);
        for (size_t i = 0; i < x->n_steps; i++) {
            const step *s = &x->steps[i];
            if (!now[i])
                continue;
            if (s->kind == STEP_STARS || (s->kind == STEP_STAR && c != '/')) {
                reach(x, next, i);
                any = true;
            } else if (takes(x, s, c)) {
                reach(x, next, i + 1);
                any = true;
            }
        }
        if (!any)
            return false;
        uint8_t *swap = now;
        now = next;
        next = swap;
    }
    return now[x->n_steps];
}

static bool same(const char *a, const char *b, size_t n, bool fold)
{
    return fold ? strncasecmp(a, b, n) == 0 : memcmp(a, b, n) == 0;
}

static bool matches(const ignore_list *l, const ignore_pattern *x, const char *path, size_t n)
{
    if (x->name_only) {
        const char *name = memrchr(path, '/', n);
        name = name ? name + 1 : path;
        const size_t size = n - (size_t)(name - path);
        if (x->tail)
            return x->n_literal <= size &&
                   same(name + size - x->n_literal, x->literal, x->n_literal, l->fold);
        if (!x->n_steps)
            return size == x->n_literal && same(name, x->literal, size, l->fold);
        return run_steps(x, name, size, l->scratch, l->fold);
    }
    const size_t base = strlen(l->base);
    if (n <= base || !same(path, l->base, base, l->fold))
        return false;
    path += base;
    n -= base;
    if (n < x->n_literal || !same(path, x->literal, x->n_literal, l->fold))
        return false;
    return run_steps(x, path + x->n_literal, n - x->n_literal, l->scratch, l->fold);
}

int ignore_ask(const ignore_list *l, const char *path, bool folder)
{
    const size_t n = strlen(path);
    for (size_t i = l->n; i-- > 0;)
        if ((folder || !l->p[i].folder_only) && matches(l, &l->p[i], path, n))
            return l->p[i].negative ? IGNORE_NOT : IGNORE_YES;
    return IGNORE_NO_SAY;
}
