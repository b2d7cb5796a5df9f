/*
 * jinja_expr.c - expressions, by Jinja's own precedence.
 *
 * From loose to tight: x if c else y; or; and; not; comparisons and in; + -; ~;
 * * / // %; sign; then .name [item] (call), and filters and tests: "a" + b | trim is
 * "a" + (b | trim).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/jinja_impl.h"

/* ------------------------------------------------------------------------ helpers */

void parser_fail(parser *p, const char *wanted)
{
    if (p->t->kind == T_END)
        arena_fail(p->a, HONE_ERR_FORMAT, "line %d: it ends where %s was expected", p->t->line,
                   wanted);
    else
        arena_fail(p->a, HONE_ERR_FORMAT, "line %d: \"%.*s\" where %s was expected", p->t->line,
                   (int)(p->t->n < 40 ? p->t->n : 40), p->t->p, wanted);
}

bool parser_at(const parser *p, const char *op)
{
    return p->t->kind == T_OP && p->t->n == strlen(op) && !memcmp(p->t->p, op, p->t->n);
}

bool parser_at_word(const parser *p, const char *word)
{
    return p->t->kind == T_NAME && p->t->n == strlen(word) && !memcmp(p->t->p, word, p->t->n);
}

bool parser_take(parser *p, const char *op)
{
    const bool yes = parser_at(p, op);
    p->t += yes;
    return yes;
}

bool parser_take_word(parser *p, const char *word)
{
    const bool yes = parser_at_word(p, word);
    p->t += yes;
    return yes;
}

void parser_want(parser *p, const char *op)
{
    char wanted[16];
    (void)snprintf(wanted, sizeof wanted, "\"%s\"", op);
    if (!parser_take(p, op))
        parser_fail(p, wanted);
}

int node_depth(const node *n)
{
    int deepest = 0;
    for (; n; n = n->next)
        if (n->depth > deepest)
            deepest = n->depth;
    return deepest;
}

/* A node over the (lists of) children a, b, c. The limit on depth bounds whoever walks it. */
node *node_make(parser *p, int kind, node *a, node *b, node *c)
{
    int depth = node_depth(a), other = node_depth(b);
    node *n = arena_take(p->a, sizeof *n);
    if (!n)
        return NULL;
    depth = other > depth ? other : depth;
    other = node_depth(c);
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
node *node_text(parser *p, int kind)
{
    node *n = node_make(p, kind, NULL, NULL, NULL);
    if (n) {
        n->s = p->t->p;
        n->n = p->t->n;
        n->i = p->t->i;
        n->f = p->t->f;
    }
    p->t++;
    return n;
}

node *node_name(parser *p)
{
    if (p->t->kind == T_NAME)
        return node_text(p, N_NAME);
    parser_fail(p, "a name");
    return NULL;
}

void node_append(node **list, node *n)
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
    while (!p->a->st && !parser_at(p, ")")) {
        const lexeme *t = p->t;
        if (t->kind == T_NAME && t[1].kind == T_OP && t[1].n == 1 && *t[1].p == '=') {
            node *named = node_text(p, N_KWARG);
            p->t++;
            node *v = jinja_parse_expression(p);
            if (named) {
                named->a = v;
                named->depth = (uint16_t)(1 + node_depth(v));
            }
            node_append(&list, named);
        } else
            node_append(&list, jinja_parse_expression(p));
        if (!parser_take(p, ","))
            break;
    }
    parser_want(p, ")");
    return list;
}

static node *parse_dict(parser *p)
{
    node *list = NULL;
    while (!p->a->st && !parser_at(p, "}")) {
        node *key = jinja_parse_expression(p);
        parser_want(p, ":");
        node *v = jinja_parse_expression(p);
        node_append(&list, node_make(p, N_PAIR, key, v, NULL));
        if (!parser_take(p, ","))
            break;
    }
    parser_want(p, "}");
    return node_make(p, N_DICT, list, NULL, NULL);
}

static node *parse_list(parser *p, const char *end, bool *single)
{
    node *list = NULL;
    size_t n = 0;
    bool comma = false;
    while (!p->a->st && !parser_at(p, end)) {
        node_append(&list, jinja_parse_expression(p));
        n++;
        comma = parser_take(p, ",");
        if (!comma)
            break;
    }
    parser_want(p, end);
    *single = n == 1 && !comma;
    return *single ? list : node_make(p, N_LIST, list, NULL, NULL);
}

static node *parse_strings(parser *p)
{
    node *n = node_text(p, N_STRING);
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
        node *n = node_text(p, N_NAME);
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
        return node_text(p, p->t->kind == T_INT ? N_INT : N_FLOAT);
    if (parser_take(p, "("))
        return parse_list(p, ")", &single);
    if (parser_take(p, "[")) {
        node *n = parse_list(p, "]", &single);
        return single ? node_make(p, N_LIST, n, NULL, NULL) : n;
    }
    if (parser_take(p, "{"))
        return parse_dict(p);
    parser_fail(p, "a value");
    return NULL;
}

/* [x] or [from:to:step]; missing parts are none. */
static node *parse_subscript(parser *p, node *of)
{
    node *part[3] = { NULL, NULL, NULL };
    size_t k = 0;
    bool slice = false;
    while (!p->a->st && !parser_at(p, "]")) {
        if (parser_take(p, ":")) {
            slice = true;
            if (++k > 2) {
                parser_fail(p, "\"]\"");
                return NULL;
            }
        } else if (part[k]) {
            parser_fail(p, "\"]\"");
            return NULL;
        } else
            part[k] = jinja_parse_expression(p);
    }
    parser_want(p, "]");
    if (!slice && !part[0])
        parser_fail(p, "an index");
    if (!slice)
        return node_make(p, N_ITEM, of, part[0], NULL);
    for (size_t i = 0; i < 3; i++)
        if (!part[i]) {
            part[i] = node_make(p, N_CONST, NULL, NULL, NULL);
            if (part[i])
                part[i]->op = V_NONE;
        }
    if (p->a->st)
        return NULL;
    part[0]->next = part[1];
    part[1]->next = part[2];
    return node_make(p, N_SLICE, of, part[0], NULL);
}

static node *parse_postfix(parser *p, node *n)
{
    while (!p->a->st) {
        if (parser_take(p, ".")) {
            node *attr = p->t->kind == T_INT ? NULL : node_name(p);
            if (!attr) {
                parser_fail(p, "a name");
                return NULL;
            }
            attr->kind = N_ATTR;
            attr->a = n;
            attr->depth = (uint16_t)(1 + node_depth(n));
            if (attr->depth > MAX_DEPTH)
                arena_fail(p->a, HONE_ERR_LIMIT, "line %d: nested deeper than %d", attr->line,
                           MAX_DEPTH);
            n = attr;
        } else if (parser_take(p, "["))
            n = parse_subscript(p, n);
        else if (parser_take(p, "("))
            n = node_make(p, N_CALL, n, parse_args(p), NULL);
        else
            return n;
    }
    return NULL;
}

/* x | name(args), x is [not] name [arg] */
static node *parse_filters(parser *p, node *n)
{
    while (!p->a->st) {
        const bool filter = parser_at(p, "|");
        if (!filter && !parser_at_word(p, "is"))
            return n;
        p->t++;
        const bool negated = !filter && parser_take_word(p, "not");
        const lexeme *name = p->t;
        if (name->kind != T_NAME) {
            parser_fail(p, filter ? "a filter" : "a test");
            return NULL;
        }
        p->t++;
        node *args = NULL;
        if (parser_take(p, "("))
            args = parse_args(p);
        else if (!filter) { /* "x is divisibleby 3": a single argument needs no brackets */
            const bool starts = (p->t->kind == T_NAME && !parser_at_word(p, "else") &&
                                 !parser_at_word(p, "or") && !parser_at_word(p, "and")) ||
                                p->t->kind == T_STRING || p->t->kind == T_INT ||
                                p->t->kind == T_FLOAT || parser_at(p, "[") || parser_at(p, "{");
            if (parser_at_word(p, "is"))
                parser_fail(p, "no second test");
            if (starts)
                args = parse_postfix(p, parse_primary(p));
        }
        n = node_make(p, filter ? N_FILTER : N_TEST, n, args, NULL);
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
    if (parser_take(p, "-"))
        n = node_make(p, N_NEG, parse_unary(p, false), NULL, NULL);
    else if (parser_take(p, "+"))
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
            if (binary_ops[i].level == level && parser_at(p, binary_ops[i].op))
                code = binary_ops[i].code;
        if (code < 0)
            break;
        p->t++;
        n = node_make(p, N_BINARY, n, parse_binary(p, level + 1), NULL);
        if (n)
            n->op = (uint8_t)code;
    }
    if (parser_at(p, "**"))
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
        if (parser_take(p, ops[i].op))
            return ops[i].code;
    if (parser_take_word(p, "in"))
        return OP_IN;
    if (parser_at_word(p, "not") && p->t[1].kind == T_NAME && p->t[1].n == 2 &&
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
    n = node_make(p, N_COMPARE, n, parse_binary(p, 0), NULL);
    if (n)
        n->op = (uint8_t)op;
    if (take_comparison(p) >= 0)
        arena_fail(p->a, HONE_ERR_UNSUPPORTED, "line %d: a chain of comparisons", p->t->line);
    return n;
}

static node *parse_not(parser *p)
{
    node *n;
    if (!parser_take_word(p, "not"))
        return parse_compare(p);
    if (++p->depth > MAX_DEPTH)
        arena_fail(p->a, HONE_ERR_LIMIT, "line %d: nested deeper than %d", p->t->line, MAX_DEPTH);
    n = p->a->st ? NULL : node_make(p, N_NOT, parse_not(p), NULL, NULL);
    p->depth--;
    return n;
}

static node *parse_and(parser *p)
{
    node *n = parse_not(p);
    while (!p->a->st && parser_take_word(p, "and"))
        n = node_make(p, N_AND, n, parse_not(p), NULL);
    return n;
}

/* Without a conditional: where "if" means something else, as in a for. */
node *jinja_parse_or(parser *p)
{
    node *n = parse_and(p);
    while (!p->a->st && parser_take_word(p, "or"))
        n = node_make(p, N_OR, n, parse_and(p), NULL);
    return n;
}

node *jinja_parse_expression(parser *p)
{
    node *n;
    if (++p->depth > MAX_DEPTH) {
        arena_fail(p->a, HONE_ERR_LIMIT, "line %d: nested deeper than %d", p->t->line, MAX_DEPTH);
        return NULL;
    }
    n = jinja_parse_or(p);
    while (!p->a->st && parser_take_word(p, "if")) {
        node *cond = jinja_parse_or(p);
        n = node_make(p, N_IF, n, cond,
                      parser_take_word(p, "else") ? jinja_parse_expression(p) : NULL);
    }
    p->depth--;
    return n;
}
