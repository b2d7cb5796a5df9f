/*
 * code_walk.c - the units of a file: one walk over its syntax tree.
 *
 * The walk keeps the nodes above the one at hand on a list of its own, so that depth costs memory
 * and no stack. For each of them it knows which comments (and attributes) stand right before
 * the node that comes next: those lead it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "code.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

/* Comments and attributes in a row, up to what they lead. */
typedef struct lead {
    uint32_t start; /* NONE: there are none */
    uint32_t head;  /* the first attribute among them; NONE: there is none */
    uint32_t end;
} lead;

/* A node above the one at hand. */
typedef struct level {
    TSNode node;
    TSSymbol symbol;
    lead lead;  /* before the child at hand */
    bool claim; /* a wrapper: its only declaration begins where it does, ... */
    lead outer; /* ... at head, with this before it */
    uint32_t head, end;
} level;

static level *top(walk *w)
{
    return (level *)(void *)(w->levels.p + w->levels.n) - 1;
}

void walk_finish(walk *w)
{
    hone_text_finish(&w->units);
    hone_text_finish(&w->levels);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

/* Line ends between two places with nothing but white space between them; NONE: something is. */
static uint32_t line_ends(hone_str t, uint32_t from, uint32_t to)
{
    uint32_t n = 0;
    for (uint32_t i = from; i < to; i++) {
        if (!blank(t.p[i]))
            return NONE;
        n += t.p[i] == '\n';
    }
    return n;
}

static bool first_on_line(hone_str t, uint32_t at)
{
    while (at && (t.p[at - 1] == ' ' || t.p[at - 1] == '\t'))
        at--;
    return at == 0 || t.p[at - 1] == '\n';
}

static TSNode field_of(TSNode n, TSFieldId field)
{
    return field ? ts_node_child_by_field_id(n, field) : (TSNode){ .tree = NULL };
}

static TSNode last_named(TSNode n)
{
    const uint32_t k = ts_node_named_child_count(n);
    return k ? ts_node_named_child(n, k - 1) : (TSNode){ .tree = NULL };
}

static bool is(const walk *w, TSNode n, unsigned mark)
{
    const TSSymbol s = ts_node_symbol(n);
    return s < w->lang->n_symbols && (w->lang->nodes[s] & mark);
}

/* ---------------------------------------------------------------------- the name */

/* From a declarator to what it declares: `**f(int)` to `f`. */
static TSNode declared(const walk *w, TSNode n)
{
    while (!is(w, n, NODE_FINAL)) {
        TSNode inner = field_of(n, w->lang->chain);
        if (ts_node_is_null(inner)) {
            /* parentheses, and what else has no name for its only child */
            if (!strstr(ts_node_type(n), "declarator") || !ts_node_named_child_count(n))
                break;
            inner = ts_node_named_child(n, 0);
        }
        n = inner;
    }
    return n;
}

static void set_name(const walk *w, TSNode n, found *u)
{
    const TSNode whole = n;
    TSNode part;
    while (ts_node_symbol(n) < w->lang->n_symbols &&
           !ts_node_is_null(part = field_of(n, w->lang->qualified[ts_node_symbol(n)])))
        n = part;
    u->name = ts_node_start_byte(n);
    u->name_end = ts_node_end_byte(n);
    if (is(w, n, NODE_FINAL)) { /* "operator bool() const" */
        const char *open = memchr(w->text.p + u->name, '(', u->name_end - u->name);
        u->name_end = open ? (uint32_t)(open - w->text.p) : u->name_end;
    }
    if (u->name_end - u->name > 1 && strchr("\"'`", w->text.p[u->name])) { /* { "key": ... } */
        u->name++;
        u->name_end--;
    }
    u->scope = ts_node_start_byte(whole);
    u->scope_end = u->name;
    while (u->scope_end > u->scope && strchr(".: \t\n\"'`", w->text.p[u->scope_end - 1]))
        u->scope_end--;
}

/* What the parent calls a node: "const NAME = ...". */
static bool name_by_parent(const walk *w, const lang_unit *row, TSNode n, found *u)
{
    const level *l = (const level *)(const void *)(w->levels.p + w->levels.n);
    const level *bottom = (const level *)(const void *)w->levels.p;
    TSNode below = n;
    if (!row->n_named)
        return false;
    while (--l >= bottom && is(w, l->node, NODE_THROUGH)) {
        if (ts_node_named_child_count(l->node) != 1)
            return false;
        below = l->node;
    }
    for (uint32_t i = 0; l >= bottom && i < row->n_named; i++) {
        const lang_named *named = &row->named[i];
        if (named->parent != l->symbol)
            continue;
        if (named->word) {
            u->called = named->word;
            return true;
        }
        const TSNode name =
            named->field ? field_of(l->node, named->field) : ts_node_named_child(l->node, 0);
        if (ts_node_is_null(name) || ts_node_eq(name, below))
            return false;
        set_name(w, name, u);
        return true;
    }
    return false;
}

static bool name_of(const walk *w, const lang_unit *row, TSNode n, found *u)
{
    const bool inner_first = row->kind != HONE_UNIT_FUNCTION;
    u->called = row->called;
    if (u->called)
        return true;
    if (!inner_first && name_by_parent(w, row, n, u))
        return true;
    TSNode name = row->last ? last_named(n) : field_of(n, row->name);
    if (ts_node_is_null(name) && w->lang->chain && !ts_node_is_null(field_of(n, w->lang->chain)))
        name = declared(w, n);
    if (ts_node_is_null(name))
        return inner_first && name_by_parent(w, row, n, u);
    set_name(w, name, u);
    return u->name_end > u->name;
}

/* A field that says where a unit belongs: the receiver of a method of Go. */
static void set_scope(TSNode n, TSFieldId field, found *u)
{
    TSNode at = field_of(n, field);
    while (!ts_node_is_null(at)) { /* "(c *Cart[T])": the first type name */
        const uint32_t k = ts_node_named_child_count(at);
        const char *type = ts_node_type(at);
        if (strcmp(type, "type_identifier") == 0 || strcmp(type, "qualified_type") == 0) {
            u->scope = ts_node_start_byte(at);
            u->scope_end = ts_node_end_byte(at);
            return;
        }
        const bool first = strcmp(type, "generic_type") == 0;
        at = k ? ts_node_named_child(at, first ? 0 : k - 1) : (TSNode){ .tree = NULL };
    }
}

/* ---------------------------------------------------------------------- the units */

static hone_status add(walk *w, found *u, hone_error *err)
{
    u->order = (uint32_t)found_n(w);
    u->pass = w->pass;
    hone_text_add(&w->units, (const char *)u, sizeof *u);
    return hone_text_status(&w->units, err);
}

/* The first named child that is no comment. ts_node_named_child(i) would count to i each time. */
static TSNode first_child(const walk *w, TSNode n)
{
    TSTreeCursor c = ts_tree_cursor_new(n);
    TSNode child = { .tree = NULL };
    for (bool more = ts_tree_cursor_goto_first_child(&c); more;
         more = ts_tree_cursor_goto_next_sibling(&c)) {
        const TSNode at = ts_tree_cursor_current_node(&c);
        if (ts_node_is_named(at) && !is(w, at, NODE_COMMENT)) {
            child = at;
            break;
        }
    }
    ts_tree_cursor_delete(&c);
    return child;
}

/* A string that stands first in a body is documentation: the body's first statement, or its only
 * child. */
static hone_status add_docstring(walk *w, TSNode body, hone_error *err)
{
    TSNode n = w->lang->docstrings ? first_child(w, body) : (TSNode){ .tree = NULL };
    if (!ts_node_is_null(n) && !is(w, n, NODE_DOCSTRING))
        n = ts_node_named_child_count(n) == 1 ? ts_node_named_child(n, 0)
                                              : (TSNode){ .tree = NULL };
    if (ts_node_is_null(n) || !is(w, n, NODE_DOCSTRING))
        return HONE_OK;
    found u = { .kind = HONE_UNIT_COMMENT,
                .flags = HONE_UNIT_DOC,
                .start = ts_node_start_byte(n),
                .end = ts_node_end_byte(n) };
    u.head = u.start;
    return add(w, &u, err);
}

static hone_status add_unit(walk *w, const lang_unit *row, TSNode n, const lead *before,
                            hone_error *err)
{
    const level *up = w->levels.n ? top(w) : NULL;
    const bool claims = up && up->claim;
    found u = { .kind = row->kind, .start = ts_node_start_byte(n), .end = ts_node_end_byte(n) };
    TSNode body = { .tree = NULL };
    for (int i = 0; i < MAX_FIELDS && row->body[i] && ts_node_is_null(body); i++)
        body = field_of(n, row->body[i]);
    if (!ts_node_is_null(body) && ts_node_end_byte(body) > ts_node_start_byte(body) &&
        w->text.p[ts_node_start_byte(body)] != ';') {
        u.body = ts_node_start_byte(body);
        u.body_end = ts_node_end_byte(body);
    }
    if ((!u.body_end && !row->bodyless) || !name_of(w, row, n, &u))
        return HONE_OK;
    if (row->scope)
        set_scope(n, row->scope, &u);
    u.flags = ts_node_has_error(n) ? HONE_UNIT_BROKEN : 0;
    const lead *above = claims ? &up->outer : before;
    u.head = claims ? up->head : u.start;
    u.end = claims ? up->end : u.end;
    if (above->start != NONE) {
        u.start = above->start;
        u.head = above->head != NONE ? above->head : u.head;
    } else {
        u.start = u.head;
    }
    if (row->rest && up && ts_node_end_byte(up->node) > u.end) {
        u.body = u.end;
        u.body_end = u.end = ts_node_end_byte(up->node);
    }
    while (u.end > u.head + 1 && blank(w->text.p[u.end - 1])) /* the line end of a macro */
        u.end--;
    u.body_end = u.body_end > u.end ? u.end : u.body_end;
    const hone_status st = add(w, &u, err);
    return st == HONE_OK && !ts_node_is_null(body) ? add_docstring(w, body, err) : st;
}

/* ----------------------------------------------------------------------- the walk */

static void reset(lead *l)
{
    *l = (lead){ NONE, NONE, 0 };
}

/* Comment or attribute [start, end) goes into the row, or begins one. */
static void extend(const walk *w, lead *l, uint32_t start, uint32_t end, bool attribute)
{
    const uint32_t gap = l->start == NONE ? NONE : line_ends(w->text, l->end, start);
    if (gap > 1) {
        reset(l);
        if (!first_on_line(w->text, start)) /* of what stands before it on its line */
            return;
        l->start = start;
    }
    if (attribute && l->head == NONE)
        l->head = start;
    l->end = end;
}

/* Documentation may stand a blank line above what it is for, other comments may not. */
static bool leads(const walk *w, const lead *l, uint32_t start)
{
    if (l->start == NONE)
        return false;
    const uint32_t gap = line_ends(w->text, l->end, start);
    const char *p = w->text.p + l->start;
    const bool doc =
        w->text.n - l->start > 3 && (memcmp(p, "/**", 3) == 0 || memcmp(p, "///", 3) == 0);
    return gap <= 1 || (gap <= 2 && doc);
}

static hone_status add_comment(walk *w, TSNode n, lead *l, hone_error *err)
{
    found u = { .kind = HONE_UNIT_COMMENT,
                .start = ts_node_start_byte(n),
                .end = ts_node_end_byte(n) };
    while (u.end > u.start && w->text.p[u.end - 1] == '\n') /* Rust's hold their line's end */
        u.end--;
    u.head = u.start;
    if (u.start == 0 && w->text.n > 1 && memcmp(w->text.p, "#!", 2) == 0)
        reset(l); /* says how to run the file */
    else
        extend(w, l, u.start, u.end, false);
    return add(w, &u, err);
}

/* A wrapper may belong to what it holds when that is one declaration. */
static bool holds_one(const walk *w, TSNode n)
{
    TSTreeCursor c = ts_tree_cursor_new(n);
    uint32_t declarations = 0;
    for (bool more = ts_tree_cursor_goto_first_child(&c); more && declarations < 2;
         more = ts_tree_cursor_goto_next_sibling(&c)) {
        const TSSymbol s = ts_node_symbol(ts_tree_cursor_current_node(&c));
        declarations +=
            s < w->lang->n_symbols && (w->lang->units[s] || (w->lang->nodes[s] & NODE_WRAP));
    }
    ts_tree_cursor_delete(&c);
    return declarations < 2;
}

/* The level of n's children. */
static hone_status push(walk *w, TSNode n, TSSymbol symbol, const lead *before, hone_error *err)
{
    const level *up = w->levels.n ? top(w) : NULL;
    level l = { .node = n, .symbol = symbol };
    reset(&l.lead);
    if (symbol < w->lang->n_symbols && (w->lang->nodes[symbol] & (NODE_WRAP | NODE_THROUGH)) &&
        holds_one(w, n)) {
        const bool inner = up && up->claim;
        if (inner || (w->lang->nodes[symbol] & NODE_WRAP)) {
            l.claim = true;
            l.head = inner ? up->head : ts_node_start_byte(n);
            l.end = inner ? up->end : ts_node_end_byte(n);
            l.outer = inner ? up->outer : *before;
        }
    }
    hone_text_add(&w->levels, (const char *)&l, sizeof l);
    return hone_text_status(&w->levels, err);
}

static void count_error(walk *w, TSNode n)
{
    const uint32_t start = ts_node_start_byte(n), end = ts_node_end_byte(n);
    const uint32_t from = start > w->error_end ? start : w->error_end;
    if (end > from)
        w->error_bytes += end - from;
    w->error_end = end > w->error_end ? end : w->error_end;
}

/* Is there a text of `marks` in [from, to)? Places only grow from call to call. */
static bool has_mark(walk *w, uint32_t from, uint32_t to)
{
    const language *lang = w->lang;
    const hone_str t = w->text;
    if (!lang->marks.n)
        return true;
    if (w->mark < from)
        w->mark = from;
    for (; w->mark < to; w->mark++) {
        if (!lang->marked[(unsigned char)t.p[w->mark]])
            continue;
        for (const char *m = lang->marks.p, *end = m + lang->marks.n; m < end; m += strlen(m) + 1)
            if (t.n - w->mark >= strlen(m) && memcmp(t.p + w->mark, m, strlen(m)) == 0)
                return true;
    }
    return false;
}

/* One node. *into: its children are to be looked at; *before: what leads it. */
static hone_status enter(walk *w, TSNode n, bool *into, lead *before, hone_error *err)
{
    const language *lang = w->lang;
    const TSSymbol s = ts_node_symbol(n);
    lead none, *l = w->levels.n ? &top(w)->lead : &none;
    reset(&none);
    *into = true;
    *before = none;
    if (s >= lang->n_symbols) { /* the symbol of errors */
        count_error(w, n);
        reset(l);
        return HONE_OK;
    }
    if (lang->nodes[s] & NODE_COMMENT) {
        *into = false;
        return add_comment(w, n, l, err);
    }
    if (lang->nodes[s] & NODE_BEFORE) {
        *into = false;
        extend(w, l, ts_node_start_byte(n), ts_node_end_byte(n), true);
        return HONE_OK;
    }
    if (leads(w, l, ts_node_start_byte(n)))
        *before = *l;
    reset(l);
    *into = has_mark(w, ts_node_start_byte(n), ts_node_end_byte(n)) || ts_node_has_error(n);
    return lang->units[s]
               ? add_unit(w, (const lang_unit *)(const void *)lang->rows.p + (lang->units[s] - 1),
                          n, before, err)
               : HONE_OK;
}

static int in_order(const void *a, const void *b)
{
    const found *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->end != y->end)
        return x->end > y->end ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

/* Parents by place; functions in classes are methods; comments that lead a unit are its doc. */
void walk_arrange(walk *w)
{
    found *u = (found *)(void *)w->units.p;
    const uint64_t n = found_n(w);
    uint64_t up = 0; /* 1 + index of the unit that may hold the next */
    if (n > 1)
        qsort(u, n, sizeof *u, in_order);
    for (uint64_t i = 0; i < n; i++) {
        while (up && u[up - 1].end < u[i].end)
            up = u[up - 1].parent;
        while (up && u[up - 1].end <= u[i].start)
            up = u[up - 1].parent;
        u[i].parent = up;
        const found *holder = up ? &u[up - 1] : NULL;
        if (u[i].kind == HONE_UNIT_COMMENT) {
            if (holder && u[i].start < holder->head)
                u[i].flags |= HONE_UNIT_DOC;
            continue;
        }
        if (u[i].kind == HONE_UNIT_FUNCTION && holder &&
            (holder->kind == HONE_UNIT_CLASS || holder->kind == HONE_UNIT_INTERFACE ||
             holder->kind == HONE_UNIT_ENUM))
            u[i].kind = HONE_UNIT_METHOD;
        if (u[i].kind == HONE_UNIT_FUNCTION && u[i].scope_end > u[i].scope && w->lang->chain)
            u[i].kind = HONE_UNIT_METHOD; /* "void Cart::add() {}" */
        up = i + 1;
    }
}

hone_status walk_tree(walk *w, const TSTree *tree, hone_error *err)
{
    const hone_text list = { .host = w->host, .tag = "code" };
    const TSNode root = ts_tree_root_node(tree);
    TSTreeCursor cursor = ts_tree_cursor_new(root);
    hone_status st;
    uint64_t n = 0;
    w->units = w->levels = list;
    st = add_docstring(w, root, err);
    while (st == HONE_OK) {
        const TSNode node = ts_tree_cursor_current_node(&cursor);
        bool into = false;
        lead before;
        if (++n % 65536 == 0 && w->host->cancelled(w->host)) {
            st = hone_fail(err, HONE_ERR_CANCELLED, "code: stopped");
            break;
        }
        if ((st = enter(w, node, &into, &before, err)) != HONE_OK)
            break;
        if (into && ts_tree_cursor_goto_first_child(&cursor)) {
            st = push(w, node, ts_node_symbol(node), &before, err);
            continue;
        }
        while (w->levels.n && !ts_tree_cursor_goto_next_sibling(&cursor)) {
            (void)ts_tree_cursor_goto_parent(&cursor);
            w->levels.n -= sizeof(level);
        }
        if (!w->levels.n)
            break;
    }
    ts_tree_cursor_delete(&cursor);
    if (st == HONE_OK)
        walk_arrange(w);
    return st;
}
