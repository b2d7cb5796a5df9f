/*
 * jinja_parse.c - statements: tokens to a tree.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/jinja_impl.h"

#include <stdlib.h>

static node *parse_body(parser *p, const char *const *ends);

static void want_block_end(parser *p)
{
    if (p->t->kind == T_BLOCK_END)
        p->t++;
    else
        parser_fail(p, "\"%}\"");
}

static const char *const if_ends[] = { "elif", "else", "endif", NULL };
static const char *const for_ends[] = { "else", "endfor", NULL };

static node *parse_if(parser *p)
{
    node *first = NULL, **at = &first;
    node *cond = jinja_parse_or(p);
    int deepest = 0;
    for (bool more = true; more && !p->a->st;) {
        want_block_end(p);
        node *branch = node_make(p, N_BRANCH, cond, parse_body(p, if_ends), NULL);
        if (!branch)
            return NULL;
        *at = branch;
        at = &branch->c; /* the next branch; walked, not recursed */
        deepest = branch->depth > deepest ? branch->depth : deepest;
        cond = NULL;
        if (parser_take_word(p, "elif"))
            cond = jinja_parse_or(p);
        else if (parser_take_word(p, "endif"))
            more = false;
        else if (!parser_take_word(p, "else") || !branch->a) {
            parser_fail(p, "endif");
            return NULL;
        }
    }
    if (first)
        first->depth = (uint16_t)deepest;
    return first;
}

static node *parse_targets(parser *p)
{
    node *names = NULL;
    const bool bracket = parser_take(p, "(");
    do
        node_append(&names, node_name(p));
    while (!p->a->st && parser_take(p, ","));
    if (bracket)
        parser_want(p, ")");
    return names;
}

static node *parse_for(parser *p)
{
    node *targets = parse_targets(p);
    if (!parser_take_word(p, "in"))
        parser_fail(p, "in");
    node *items = jinja_parse_or(p),
         *filter = parser_take_word(p, "if") ? jinja_parse_expression(p) : NULL;
    if (parser_at_word(p, "recursive"))
        arena_fail(p->a, HONE_ERR_UNSUPPORTED, "line %d: a recursive loop", p->t->line);
    want_block_end(p);
    node *body = parse_body(p, for_ends), *otherwise = NULL;
    if (parser_take_word(p, "else")) {
        want_block_end(p);
        otherwise = parse_body(p, for_ends);
    }
    if (!parser_take_word(p, "endfor"))
        parser_fail(p, "endfor");
    node *n = node_make(p, N_FOR, targets, items, body);
    node *rest = node_make(p, N_FOR, otherwise, filter, NULL); /* for its depth alone */
    if (!n || !rest)
        return NULL;
    n->d = otherwise;
    n->e = filter;
    n->depth = rest->depth > n->depth ? rest->depth : n->depth;
    return n;
}

static node *parse_set(parser *p)
{
    static const char *const ends[] = { "endset", NULL };
    node *target = parse_targets(p);
    if (target && !target->next && parser_take(p, ".")) {
        node *attr = node_name(p);
        if (attr) {
            attr->kind = N_ATTR;
            attr->a = target;
            attr->depth = 2;
        }
        target = attr;
    }
    if (parser_take(p, "=")) {
        node *v = jinja_parse_expression(p);
        if (parser_at(p, ",")) { /* a tuple */
            node *list = v;
            while (!p->a->st && parser_take(p, ","))
                node_append(&list, jinja_parse_expression(p));
            v = node_make(p, N_LIST, list, NULL, NULL);
        }
        return node_make(p, N_SET, target, v, NULL);
    }
    if (parser_at(p, "|"))
        arena_fail(p->a, HONE_ERR_UNSUPPORTED, "line %d: a filter on a set block", p->t->line);
    want_block_end(p);
    node *body = parse_body(p, ends);
    p->t++; /* endset */
    return node_make(p, N_SET_BLOCK, target, body, NULL);
}

/* Macros are for tools; a call of one is refused when it is reached. */
static node *parse_macro(parser *p)
{
    static const char *const ends[] = { "endmacro", NULL };
    node *name = node_name(p);
    while (p->t->kind != T_BLOCK_END && p->t->kind != T_END)
        p->t++;
    want_block_end(p);
    (void)parse_body(p, ends);
    p->t++; /* endmacro */
    return node_make(p, N_MACRO, name, NULL, NULL);
}

static node *parse_generation(parser *p)
{
    static const char *const ends[] = { "endgeneration", NULL };
    want_block_end(p);
    node *body = parse_body(p, ends);
    p->t++; /* endgeneration */
    node *branch =
        node_make(p, N_BRANCH, NULL, body, NULL); /* a branch without condition: its body */
    return branch;
}

static node *parse_break(parser *p)
{
    return node_make(p, N_BREAK, NULL, NULL, NULL);
}

static node *parse_continue(parser *p)
{
    return node_make(p, N_CONTINUE, NULL, NULL, NULL);
}

static const struct {
    const char *word;
    node *(*parse)(parser *p);
} statements[] = {
    { "if", parse_if },
    { "for", parse_for },
    { "set", parse_set },
    { "macro", parse_macro },
    { "break", parse_break },
    { "generation", parse_generation },
    { "continue", parse_continue },
};
#define N_STATEMENTS (sizeof statements / sizeof *statements)

static node *parse_statement(parser *p)
{
    for (size_t i = 0; i < N_STATEMENTS; i++)
        if (parser_take_word(p, statements[i].word)) {
            node *n = statements[i].parse(p);
            if (!p->a->st)
                want_block_end(p);
            return n;
        }
    arena_fail(p->a, HONE_ERR_UNSUPPORTED, "line %d: {%% %.*s %%}", p->t->line,
               (int)(p->t->n < 40 ? p->t->n : 40), p->t->p);
    return NULL;
}

static bool at_end(const parser *p, const char *const *ends)
{
    for (; *ends; ends++)
        if (parser_at_word(p, *ends))
            return true;
    return false;
}

/* Statements up to {% end of it, which is left for the caller to look at; with ends NULL, up
 * to the end of the template. */
static node *parse_body(parser *p, const char *const *ends)
{
    node *first = NULL, **tail = &first;
    if (++p->depth > MAX_DEPTH) {
        arena_fail(p->a, HONE_ERR_LIMIT, "line %d: nested deeper than %d", p->t->line, MAX_DEPTH);
        return NULL;
    }
    while (!p->a->st) {
        node *n = NULL;
        if (p->t->kind == T_END) {
            while (ends && ends[1])
                ends++;
            if (ends)
                parser_fail(p, ends[0]); /* the last one: endif, endfor, ... */
            break;
        }
        if (p->t->kind == T_DATA)
            n = node_text(p, N_DATA);
        else if (p->t->kind == T_VAR) {
            p->t++;
            n = node_make(p, N_OUTPUT, jinja_parse_expression(p), NULL, NULL);
            if (p->t->kind != T_VAR_END)
                parser_fail(p, "\"}}\"");
            p->t++;
        } else {
            p->t++; /* T_BLOCK */
            if (ends && at_end(p, ends))
                break;
            n = parse_statement(p);
        }
        if (!n)
            break;
        *tail = n;
        tail = &n->next;
    }
    p->depth--;
    return first;
}

hone_status jinja_parse(jinja **out, const char *p, size_t n, const char *what, hone_error *err)
{
    size_t count = 0;
    hone_status st = HONE_OK;
    jinja *j = mem_new(1, sizeof *j);
    if (!j || !(j->what = mem_strdup(what))) {
        free(j);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the template %s", what);
    }
    j->mem.err = err;
    parser x = { .a = &j->mem, .t = jinja_lex(&j->mem, p, n, &count) };
    if (x.t)
        j->body = parse_body(&x, NULL);
    st = j->mem.st;
    j->mem.err = NULL;
    if (st) {
        (void)hone_prefix(err, "%s", what);
        jinja_free(j);
        return st;
    }
    *out = j;
    return HONE_OK;
}

void jinja_free(jinja *j)
{
    if (!j)
        return;
    arena_finish(&j->mem);
    free(j->what);
    free(j);
}
