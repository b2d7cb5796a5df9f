/*
 * jinja_parse.c - tokens to a tree, by Jinja's own precedence.
 *
 * From loose to tight: x if c else y; or; and; not; comparisons and in; + -; ~;
 * * / // %; sign; then .name [item] (call), and filters and tests: "a" + b | trim is
 * "a" + (b | trim).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/jinja_impl.h"

#include <stdlib.h>

typedef struct parser {
    arena *a;
    const lexeme *t; /* borrowed: the current one */
    int depth;
} parser;

static node *parse_expression(parser *p);
static node *parse_body(parser *p, const char *const *ends);

/* ------------------------------------------------------------------------ helpers */

static void fail_here(parser *p, const char *wanted)
{
    if (p->t->kind == T_END)
        arena_fail(p->a, HONE_ERR_FORMAT, "line %d: it ends where %s was expected", p->t->line,
                   wanted);
    else
        arena_fail(p->a, HONE_ERR_FORMAT, "line %d: \"%.*s\" where %s was expected", p->t->line,
                   (int)(p->t->n < 40 ? p->t->n : 40), p->t->p, wanted);
}

static bool is_op(const parser *p, const char *op)
{
    return p->t->kind == T_OP && p->t->n == strlen(op) && !memcmp(p->t->p, op, p->t->n);
}

static bool is_word(const parser *p, const char *word)
{
    return p->t->kind == T_NAME && p->t->n == strlen(word) && !memcmp(p->t->p, word, p->t->n);
}

static bool take_op(parser *p, const char *op)
{
    const bool yes = is_op(p, op);
    p->t += yes;
    return yes;
}

static bool take_word(parser *p, const char *word)
{
    const bool yes = is_word(p, word);
    p->t += yes;
    return yes;
}

static void want_op(parser *p, const char *op)
{
    char wanted[16];
    (void)snprintf(wanted, sizeof wanted, "\"%s\"", op);
    if (!take_op(p, op))
        fail_here(p, wanted);
}

static void want_block_end(parser *p)
{
    if (p->t->kind == T_BLOCK_END)
        p->t++;
    else
        fail_here(p, "\"%}\"");
}

static int depth_of(const node *n)
{
    int deepest = 0;
    for (; n; n = n->next)
        if (n->depth > deepest)
            deepest = n->depth;
    return deepest;
}

/* A node over the (lists of) children a, b, c. The limit on depth bounds whoever walks it. */
static node *make(parser *p, int kind, node *a, node *b, node *c)
{
    int depth = depth_of(a), other = depth_of(b);
    node *n = arena_take(p->a, sizeof *n);
    if (!n)
        return NULL;
    depth = other > depth ? other : depth;
    other = depth_of(c);
    depth = (other > depth ? other : depth) + 1;
    if (depth > MAX_DEPTH) {
        arena_fail(p->a, HONE_ERR_LIMIT, "line %d: nested deeper than %d", p->t->line, MAX_DEPTH);
        return NULL;
    }
    n->kind = (uint8_t)kind;
    n->depth = (uint16_t)depth;
    n->line = p->t->line;
    n->a = a;
    n->b = b;
    n->c = c;
    return n;
}

/* The same with the current token as its text, which is taken. */
static node *make_text(parser *p, int kind)
{
    node *n = make(p, kind, NULL, NULL, NULL);
    if (n) {
        n->s = p->t->p;
        n->n = p->t->n;
        n->i = p->t->i;
        n->f = p->t->f;
    }
    p->t++;
    return n;
}

static node *make_name(parser *p)
{
    if (p->t->kind == T_NAME)
        return make_text(p, N_NAME);
    fail_here(p, "a name");
    return NULL;
}

static void append(node **list, node *n)
{
    while (*list)
        list = &(*list)->next;
    *list = n;
}

/* -------------------------------------------------------------------- expressions */

/* Arguments behind an open "(": positional, then name=value. */
static node *parse_args(parser *p)
{
    node *list = NULL;
    while (!p->a->st && !is_op(p, ")")) {
        const lexeme *t = p->t;
        if (t->kind == T_NAME && t[1].kind == T_OP && t[1].n == 1 && *t[1].p == '=') {
            node *named = make_text(p, N_KWARG);
            p->t++;
            node *v = parse_expression(p);
            if (named) {
                named->a = v;
                named->depth = (uint16_t)(1 + depth_of(v));
            }
            append(&list, named);
        } else
            append(&list, parse_expression(p));
        if (!take_op(p, ","))
            break;
    }
    want_op(p, ")");
    return list;
}

static node *parse_dict(parser *p)
{
    node *list = NULL;
    while (!p->a->st && !is_op(p, "}")) {
        node *key = parse_expression(p);
        want_op(p, ":");
        node *v = parse_expression(p);
        append(&list, make(p, N_PAIR, key, v, NULL));
        if (!take_op(p, ","))
            break;
    }
    want_op(p, "}");
    return make(p, N_DICT, list, NULL, NULL);
}

static node *parse_list(parser *p, const char *end, bool *single)
{
    node *list = NULL;
    size_t n = 0;
    bool comma = false;
    while (!p->a->st && !is_op(p, end)) {
        append(&list, parse_expression(p));
        n++;
        comma = take_op(p, ",");
        if (!comma)
            break;
    }
    want_op(p, end);
    *single = n == 1 && !comma;
    return *single ? list : make(p, N_LIST, list, NULL, NULL);
}

static node *parse_strings(parser *p)
{
    node *n = make_text(p, N_STRING);
    while (n && p->t->kind == T_STRING) { /* "a" "b" is "ab" */
        char *both = arena_take(p->a, n->n + p->t->n + 1);
        if (!both)
            return NULL;
        memcpy(both, n->s, n->n);
        memcpy(both + n->n, p->t->p, p->t->n);
        n->s = both;
        n->n += p->t->n;
        p->t++;
    }
    return n;
}

static node *parse_primary(parser *p)
{
    static const struct {
        const char *word;
        int kind;
        bool yes;
    } constants[] = { { "true", V_BOOL, true },   { "True", V_BOOL, true },
                      { "false", V_BOOL, false }, { "False", V_BOOL, false },
                      { "none", V_NONE, false },  { "None", V_NONE, false } };
    bool single;
    if (p->t->kind == T_NAME) {
        node *n = make_text(p, N_NAME);
        for (size_t i = 0; n && i < sizeof constants / sizeof *constants; i++)
            if (str_is((hone_str){ n->s, n->n }, constants[i].word)) {
                n->kind = N_CONST;
                n->op = (uint8_t)constants[i].kind;
                n->i = constants[i].yes;
            }
        return n;
    }
    if (p->t->kind == T_STRING)
        return parse_strings(p);
    if (p->t->kind == T_INT || p->t->kind == T_FLOAT)
        return make_text(p, p->t->kind == T_INT ? N_INT : N_FLOAT);
    if (take_op(p, "("))
        return parse_list(p, ")", &single);
    if (take_op(p, "[")) {
        node *n = parse_list(p, "]", &single);
        return single ? make(p, N_LIST, n, NULL, NULL) : n;
    }
    if (take_op(p, "{"))
        return parse_dict(p);
    fail_here(p, "a value");
    return NULL;
}

/* [x] or [from:to:step]; missing parts are none. */
static node *parse_subscript(parser *p, node *of)
{
    node *part[3] = { NULL, NULL, NULL };
    size_t k = 0;
    bool slice = false;
    while (!p->a->st && !is_op(p, "]")) {
        if (take_op(p, ":")) {
            slice = true;
            if (++k > 2) {
                fail_here(p, "\"]\"");
                return NULL;
            }
        } else if (part[k]) {
            fail_here(p, "\"]\"");
            return NULL;
        } else
            part[k] = parse_expression(p);
    }
    want_op(p, "]");
    if (!slice && !part[0])
        fail_here(p, "an index");
    if (!slice)
        return make(p, N_ITEM, of, part[0], NULL);
    for (size_t i = 0; i < 3; i++)
        if (!part[i]) {
            part[i] = make(p, N_CONST, NULL, NULL, NULL);
            if (part[i])
                part[i]->op = V_NONE;
        }
    if (p->a->st)
        return NULL;
    part[0]->next = part[1];
    part[1]->next = part[2];
    return make(p, N_SLICE, of, part[0], NULL);
}

static node *parse_postfix(parser *p, node *n)
{
    while (!p->a->st) {
        if (take_op(p, ".")) {
            node *attr = p->t->kind == T_INT ? NULL : make_name(p);
            if (!attr) {
                fail_here(p, "a name");
                return NULL;
            }
            attr->kind = N_ATTR;
            attr->a = n;
            attr->depth = (uint16_t)(1 + depth_of(n));
            if (attr->depth > MAX_DEPTH)
                arena_fail(p->a, HONE_ERR_LIMIT, "line %d: nested deeper than %d", attr->line,
                           MAX_DEPTH);
            n = attr;
        } else if (take_op(p, "["))
            n = parse_subscript(p, n);
        else if (take_op(p, "("))
            n = make(p, N_CALL, n, parse_args(p), NULL);
        else
            return n;
    }
    return NULL;
}

/* x | name(args), x is [not] name [arg] */
static node *parse_filters(parser *p, node *n)
{
    while (!p->a->st) {
        const bool filter = is_op(p, "|");
        if (!filter && !is_word(p, "is"))
            return n;
        p->t++;
        const bool negated = !filter && take_word(p, "not");
        const lexeme *name = p->t;
        if (name->kind != T_NAME) {
            fail_here(p, filter ? "a filter" : "a test");
            return NULL;
        }
        p->t++;
        node *args = NULL;
        if (take_op(p, "("))
            args = parse_args(p);
        else if (!filter) { /* "x is divisibleby 3": a single argument needs no brackets */
            const bool starts = (p->t->kind == T_NAME && !is_word(p, "else") && !is_word(p, "or") &&
                                 !is_word(p, "and")) ||
                                p->t->kind == T_STRING || p->t->kind == T_INT ||
                                p->t->kind == T_FLOAT || is_op(p, "[") || is_op(p, "{");
            if (is_word(p, "is"))
                fail_here(p, "no second test");
            if (starts)
                args = parse_postfix(p, parse_primary(p));
        }
        n = make(p, filter ? N_FILTER : N_TEST, n, args, NULL);
        if (n) {
            n->s = name->p;
            n->n = name->n;
            n->op = negated;
        }
    }
    return NULL;
}

static node *parse_unary(parser *p, bool filters)
{
    node *n;
    if (++p->depth > MAX_DEPTH) {
        arena_fail(p->a, HONE_ERR_LIMIT, "line %d: nested deeper than %d", p->t->line, MAX_DEPTH);
        return NULL;
    }
    if (take_op(p, "-"))
        n = make(p, N_NEG, parse_unary(p, false), NULL, NULL);
    else if (take_op(p, "+"))
        n = parse_unary(p, false);
    else
        n = parse_postfix(p, parse_primary(p));
    p->depth--;
    return filters ? parse_filters(p, n) : n;
}

/* Left-associative levels of operators, loosest first; below the last one is unary. */
static const struct {
    const char *op;
    int level, code;
} binary_ops[] = {
    { "+", 0, OP_ADD }, { "-", 0, OP_SUB },    { "~", 1, OP_CONCAT }, { "*", 2, OP_MUL },
    { "/", 2, OP_DIV }, { "//", 2, OP_FLOOR }, { "%", 2, OP_MOD },
};

static node *parse_binary(parser *p, int level)
{
    node *n = level > 2 ? parse_unary(p, true) : parse_binary(p, level + 1);
    while (level <= 2 && !p->a->st) {
        int code = -1;
        for (size_t i = 0; i < sizeof binary_ops / sizeof *binary_ops; i++)
            if (binary_ops[i].level == level && is_op(p, binary_ops[i].op))
                code = binary_ops[i].code;
        if (code < 0)
            break;
        p->t++;
        n = make(p, N_BINARY, n, parse_binary(p, level + 1), NULL);
        if (n)
            n->op = (uint8_t)code;
    }
    if (is_op(p, "**"))
        arena_fail(p->a, HONE_ERR_UNSUPPORTED, "line %d: the operator **", p->t->line);
    return n;
}

static int take_comparison(parser *p)
{
    static const struct {
        const char *op;
        int code;
    } ops[] = { { "==", OP_EQ }, { "!=", OP_NE }, { "<=", OP_LE },
                { ">=", OP_GE }, { "<", OP_LT },  { ">", OP_GT } };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (take_op(p, ops[i].op))
            return ops[i].code;
    if (take_word(p, "in"))
        return OP_IN;
    if (is_word(p, "not") && p->t[1].kind == T_NAME && p->t[1].n == 2 &&
        !memcmp(p->t[1].p, "in", 2)) {
        p->t += 2;
        return OP_NOT_IN;
    }
    return -1;
}

static node *parse_compare(parser *p)
{
    node *n = parse_binary(p, 0);
    int op = take_comparison(p);
    if (op < 0)
        return n;
    n = make(p, N_COMPARE, n, parse_binary(p, 0), NULL);
    if (n)
        n->op = (uint8_t)op;
    if (take_comparison(p) >= 0)
        arena_fail(p->a, HONE_ERR_UNSUPPORTED, "line %d: a chain of comparisons", p->t->line);
    return n;
}

static node *parse_not(parser *p)
{
    node *n;
    if (!take_word(p, "not"))
        return parse_compare(p);
    if (++p->depth > MAX_DEPTH)
        arena_fail(p->a, HONE_ERR_LIMIT, "line %d: nested deeper than %d", p->t->line, MAX_DEPTH);
    n = p->a->st ? NULL : make(p, N_NOT, parse_not(p), NULL, NULL);
    p->depth--;
    return n;
}

static node *parse_and(parser *p)
{
    node *n = parse_not(p);
    while (!p->a->st && take_word(p, "and"))
        n = make(p, N_AND, n, parse_not(p), NULL);
    return n;
}

/* Without a conditional: where "if" means something else, as in a for. */
static node *parse_or(parser *p)
{
    node *n = parse_and(p);
    while (!p->a->st && take_word(p, "or"))
        n = make(p, N_OR, n, parse_and(p), NULL);
    return n;
}

static node *parse_expression(parser *p)
{
    node *n;
    if (++p->depth > MAX_DEPTH) {
        arena_fail(p->a, HONE_ERR_LIMIT, "line %d: nested deeper than %d", p->t->line, MAX_DEPTH);
        return NULL;
    }
    n = parse_or(p);
    while (!p->a->st && take_word(p, "if")) {
        node *cond = parse_or(p);
        n = make(p, N_IF, n, cond, take_word(p, "else") ? parse_expression(p) : NULL);
    }
    p->depth--;
    return n;
}

/* --------------------------------------------------------------------- statements */

static const char *const if_ends[] = { "elif", "else", "endif", NULL };
static const char *const for_ends[] = { "else", "endfor", NULL };

static node *parse_if(parser *p)
{
    node *first = NULL, **at = &first;
    node *cond = parse_or(p);
    int deepest = 0;
    for (bool more = true; more && !p->a->st;) {
        want_block_end(p);
        node *branch = make(p, N_BRANCH, cond, parse_body(p, if_ends), NULL);
        if (!branch)
            return NULL;
        *at = branch;
        at = &branch->c; /* the next branch; walked, not recursed */
        deepest = branch->depth > deepest ? branch->depth : deepest;
        cond = NULL;
        if (take_word(p, "elif"))
            cond = parse_or(p);
        else if (take_word(p, "endif"))
            more = false;
        else if (!take_word(p, "else") || !branch->a) {
            fail_here(p, "endif");
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
    const bool bracket = take_op(p, "(");
    do
        append(&names, make_name(p));
    while (!p->a->st && take_op(p, ","));
    if (bracket)
        want_op(p, ")");
    return names;
}

static node *parse_for(parser *p)
{
    node *targets = parse_targets(p);
    if (!take_word(p, "in"))
        fail_here(p, "in");
    node *items = parse_or(p), *filter = take_word(p, "if") ? parse_expression(p) : NULL;
    if (is_word(p, "recursive"))
        arena_fail(p->a, HONE_ERR_UNSUPPORTED, "line %d: a recursive loop", p->t->line);
    want_block_end(p);
    node *body = parse_body(p, for_ends), *otherwise = NULL;
    if (take_word(p, "else")) {
        want_block_end(p);
        otherwise = parse_body(p, for_ends);
    }
    if (!take_word(p, "endfor"))
        fail_here(p, "endfor");
    node *n = make(p, N_FOR, targets, items, body);
    node *rest = make(p, N_FOR, otherwise, filter, NULL); /* for its depth alone */
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
    if (target && !target->next && take_op(p, ".")) {
        node *attr = make_name(p);
        if (attr) {
            attr->kind = N_ATTR;
            attr->a = target;
            attr->depth = 2;
        }
        target = attr;
    }
    if (take_op(p, "=")) {
        node *v = parse_expression(p);
        if (is_op(p, ",")) { /* a tuple */
            node *list = v;
            while (!p->a->st && take_op(p, ","))
                append(&list, parse_expression(p));
            v = make(p, N_LIST, list, NULL, NULL);
        }
        return make(p, N_SET, target, v, NULL);
    }
    if (is_op(p, "|"))
        arena_fail(p->a, HONE_ERR_UNSUPPORTED, "line %d: a filter on a set block", p->t->line);
    want_block_end(p);
    node *body = parse_body(p, ends);
    p->t++; /* endset */
    return make(p, N_SET_BLOCK, target, body, NULL);
}

/* Macros are for tools; a call of one is refused when it is reached. */
static node *parse_macro(parser *p)
{
    static const char *const ends[] = { "endmacro", NULL };
    node *name = make_name(p);
    while (p->t->kind != T_BLOCK_END && p->t->kind != T_END)
        p->t++;
    want_block_end(p);
    (void)parse_body(p, ends);
    p->t++; /* endmacro */
    return make(p, N_MACRO, name, NULL, NULL);
}

static node *parse_generation(parser *p)
{
    static const char *const ends[] = { "endgeneration", NULL };
    want_block_end(p);
    node *body = parse_body(p, ends);
    p->t++;                                             /* endgeneration */
    node *branch = make(p, N_BRANCH, NULL, body, NULL); /* a branch without condition: its body */
    return branch;
}

static node *parse_break(parser *p)
{
    return make(p, N_BREAK, NULL, NULL, NULL);
}

static node *parse_continue(parser *p)
{
    return make(p, N_CONTINUE, NULL, NULL, NULL);
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
        if (take_word(p, statements[i].word)) {
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
        if (is_word(p, *ends))
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
                fail_here(p, ends[0]); /* the last one: endif, endfor, ... */
            break;
        }
        if (p->t->kind == T_DATA)
            n = make_text(p, N_DATA);
        else if (p->t->kind == T_VAR) {
            p->t++;
            n = make(p, N_OUTPUT, parse_expression(p), NULL, NULL);
            if (p->t->kind != T_VAR_END)
                fail_here(p, "\"}}\"");
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
