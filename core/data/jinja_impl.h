/*
 * jinja_impl.h - what the files of the Jinja interpreter share.
 *
 *   jinja_lex.c      bytes -> tokens, white space control applied
 *   jinja_expr.c     tokens -> tree: expressions
 *   jinja_parse.c    ... and statements
 *   jinja_arena.c    memory of trees and values, and their error
 *   jinja_value.c    values: truth, equality, parts, sums
 *   jinja_text.c     ... text
 *   jinja_filters.c  filters
 *   jinja_calls.c    tests, methods, functions
 *   jinja_run.c      tree + values -> text
 *
 * Trees and values live in arenas and are freed at once. Errors stick: the first one is
 * kept, later work is skipped, the outermost call returns it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_DATA_JINJA_IMPL_H
#define CORE_DATA_JINJA_IMPL_H

#include "core/data/jinja.h"
#include "core/data/template.h"

#define MAX_DEPTH 200                /* of a tree and of values: bounds every recursion */
#define MAX_STEPS 1000000            /* nodes evaluated in one rendering                */
#define MAX_BYTES ((size_t)64 << 20) /* of an arena                                   */

/* ---------------------------------------------------------------------- memory */

typedef struct arena_block arena_block;
typedef struct arena {
    arena_block *blocks; /* owned, newest first */
    size_t used;         /* bytes handed out */
    hone_status st;      /* the first error; later calls give NULL */
    hone_error *err;     /* borrowed; may be NULL */
} arena;

void *arena_take(arena *a, size_t n); /* zeroed; NULL after an error */
void arena_finish(arena *a);
/* Keeps the first error. */
HONE_PRINTF(3, 4) void arena_fail(arena *a, hone_status st, const char *format, ...);

/* ----------------------------------------------------------------------- tokens */

enum {
    T_END,
    T_DATA,
    T_VAR,
    T_VAR_END,
    T_BLOCK,
    T_BLOCK_END,
    T_NAME,
    T_STRING,
    T_INT,
    T_FLOAT,
    T_OP
};

typedef struct lexeme {
    int kind, line;
    const char *p; /* borrowed: source, or arena for strings */
    size_t n;
    int64_t i;
    double f;
} lexeme;

/* lexemes in the arena, the last one T_END; NULL after an error. */
lexeme *jinja_lex(arena *a, const char *p, size_t n, size_t *count);

/* ------------------------------------------------------------------------- tree */

enum {
    /* expressions */
    N_CONST,
    N_STRING,
    N_INT,
    N_FLOAT,
    N_NAME,
    N_LIST,
    N_DICT,
    N_PAIR,
    N_ATTR,
    N_ITEM,
    N_SLICE,
    N_CALL,
    N_KWARG,
    N_FILTER,
    N_TEST,
    N_NOT,
    N_NEG,
    N_AND,
    N_OR,
    N_IF,
    N_BINARY,
    N_COMPARE,
    /* statements */
    N_DATA,
    N_OUTPUT,
    N_BRANCH,
    N_FOR,
    N_SET,
    N_SET_BLOCK,
    N_MACRO,
    N_BREAK,
    N_CONTINUE
};

typedef struct node node;
struct node {
    uint8_t kind;
    uint8_t op;     /* N_CONST: V_*; N_BINARY, N_COMPARE: OP_*; N_TEST: negated */
    uint16_t depth; /* of the tree below */
    int line;
    const char *s; /* name or text */
    size_t n;
    int64_t i;
    double f;
    node *a, *b, *c, *d, *e; /* children; lists hang on next */
    node *next;
};

enum {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOOR,
    OP_MOD,
    OP_CONCAT,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN
};

struct jinja {
    arena mem; /* owns the source copy, the lexemes and the tree */
    node *body;
    char *what; /* owned */
};

/* ----------------------------------------------------------------------- parsing */

typedef struct parser {
    arena *a;
    const lexeme *t; /* borrowed: the current one */
    int depth;       /* of calls */
} parser;

/* jinja_expr.c. parser_fail: the current token is not what was wanted. */
void parser_fail(parser *p, const char *wanted);
bool parser_at(const parser *p, const char *op);
bool parser_at_word(const parser *p, const char *word);
bool parser_take(parser *p, const char *op);
bool parser_take_word(parser *p, const char *word);
void parser_want(parser *p, const char *op);
int node_depth(const node *n);
/* A node over the (lists of) children a, b, c. The limit on depth bounds whoever walks it. */
node *node_make(parser *p, int kind, node *a, node *b, node *c);
/* The same with the current token as its text, which is taken. */
node *node_text(parser *p, int kind);
node *node_name(parser *p);
void node_append(node **list, node *n);
/* Without a conditional: where "if" means something else, as in a for. */
node *jinja_parse_or(parser *p);
node *jinja_parse_expression(parser *p);

/* ----------------------------------------------------------------------- values */

enum {
    V_UNDEFINED,
    V_NONE,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_STRING,
    V_LIST,
    V_DICT,
    V_NAMESPACE,
    V_LOOP,
    V_FUNCTION
};

typedef struct value value;
typedef struct value_list {
    value *v;
    size_t n, cap;
} value_list;
typedef struct value_dict value_dict;
typedef struct loop_state loop_state;

struct value {
    uint32_t kind;
    union {
        bool b;
        int64_t i; /* also the index of a function */
        double f;
        hone_str s;
        value_list *list;
        value_dict *dict; /* V_DICT, V_NAMESPACE */
        loop_state *loop;
    } u;
};

struct value_dict {
    struct dict_entry {
        value key, value;
    } * p;
    size_t n, cap;
};

struct loop_state {
    const value_list *items;
    size_t at;
};

value value_str(const char *p, size_t n);
value value_text(const char *s);
value value_int(int64_t i);
value value_bool(bool b);
value value_list_new(arena *a);
void value_list_add(arena *a, value_list *l, value v);
value value_dict_new(arena *a);
void value_dict_set(arena *a, value_dict *d, value key, value v);
const value *value_dict_get(const value_dict *d, value key); /* NULL: not there */
const char *value_kind(value v);                             /* "a string", ... for messages */
bool value_true(value v);
bool value_equal(arena *a, value x, value y, int depth);
bool value_less(arena *a, value x, value y);
bool value_contains(arena *a, value in, value what);
hone_str value_to_str(arena *a, value v); /* str(v) */
/* Elements in order: of a list, keys of a dict, characters of a string; nothing of undefined. */
const value_list *value_items(arena *a, value v);
int64_t value_length(arena *a, value v);
value value_at(arena *a, value v, int64_t i); /* of a list or string; undefined beyond */
/* v[from:to:step]; kinds other than V_INT and V_NONE are errors. */
value value_slice(arena *a, value v, value from, value to, value step);
value value_attr(arena *a, value v, hone_str name);
value value_binary(arena *a, int op, value x, value y);

/* ------------------------------------------------------------------------ calls */

typedef struct call_args {
    value v[4];
    size_t n;
    value_dict *named; /* keyword arguments; NULL: none */
} call_args;

/* An argument by place or name; undefined when it is not given. */
value call_arg(const call_args *args, size_t at, const char *name);
hone_str value_want_str(arena *a, value v, const char *who); /* an error unless it is text */
/* str.strip(chars), lstrip, rstrip; chars undefined or none: white space. */
value jinja_strip(arena *a, hone_str s, value chars, bool left, bool right);
value jinja_case(arena *a, hone_str s, bool upper, bool first_only);
value jinja_replace(arena *a, hone_str s, hone_str old, hone_str new);
value jinja_split(arena *a, hone_str s, value separator);
value jinja_join(arena *a, const value_list *l, hone_str by);

typedef struct machine machine; /* a rendering in progress: jinja_run.c */
arena *machine_arena(machine *m);
const jinja_input *machine_input(const machine *m);

value jinja_filter(machine *m, hone_str name, value v, const call_args *args);
bool jinja_test(machine *m, hone_str name, value v, const call_args *args);
value jinja_method(machine *m, value self, hone_str name, const call_args *args);
value jinja_function(machine *m, value f, const call_args *args);
/* The function of that name, or undefined. */
value jinja_global(hone_str name);

static inline bool str_is(hone_str s, const char *word)
{
    return s.n == strlen(word) && !memcmp(s.p, word, s.n);
}

#endif /* CORE_DATA_JINJA_IMPL_H */
