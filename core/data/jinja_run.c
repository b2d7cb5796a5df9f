/*
 * jinja_run.c - runs a template's tree over messages.
 *
 * Names live in scopes: the template's, and one for each round of a loop. set writes
 * into the innermost one, so what a loop sets is gone with its round; namespaces are
 * how templates get around that.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/jinja_impl.h"

#include <stdlib.h>

typedef struct variable {
    hone_str name;
    value v;
} variable;

typedef struct scope {
    struct scope *up; /* borrowed: the stack frames below */
    variable *v;      /* in the arena */
    size_t n, cap;
} scope;

struct machine {
    arena mem;
    const jinja_input *in;
    scope *top;
    text *out; /* where text goes: the result, or what a set block gathers */
    int64_t steps;
    int broken; /* N_BREAK or N_CONTINUE on its way to its loop; else 0 */
};

arena *machine_arena(machine *m)
{
    return &m->mem;
}

const jinja_input *machine_input(const machine *m)
{
    return m->in;
}

static bool step(machine *m)
{
    if (++m->steps > MAX_STEPS)
        arena_fail(&m->mem, HONE_ERR_LIMIT, "the template takes more than %d steps", MAX_STEPS);
    return !m->mem.st;
}

/* ------------------------------------------------------------------------- names */

static void set_name(machine *m, hone_str name, value v)
{
    scope *s = m->top;
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].name.n == name.n && !memcmp(s->v[i].name.p, name.p, name.n)) {
            s->v[i].v = v;
            return;
        }
    if (s->n == s->cap) {
        const size_t cap = s->cap ? 2 * s->cap : 8;
        variable *bigger = arena_take(&m->mem, cap * sizeof *bigger);
        if (!bigger)
            return;
        if (s->n)
            memcpy(bigger, s->v, s->n * sizeof *bigger);
        s->v = bigger;
        s->cap = cap;
    }
    s->v[s->n++] = (variable){ name, v };
}

static value get_name(const machine *m, hone_str name)
{
    for (const scope *s = m->top; s; s = s->up)
        for (size_t i = 0; i < s->n; i++)
            if (s->v[i].name.n == name.n && !memcmp(s->v[i].name.p, name.p, name.n))
                return s->v[i].v;
    return jinja_global(name);
}

/* ------------------------------------------------------------------- expressions */

static value eval(machine *m, const node *n);

static void eval_args(machine *m, const node *list, call_args *args)
{
    *args = (call_args){ .n = 0 };
    for (const node *n = list; n && !m->mem.st; n = n->next) {
        if (n->kind == N_KWARG) {
            value named = args->named ? (value){ .kind = V_DICT, .u.dict = args->named }
                                      : value_dict_new(&m->mem);
            if (named.kind != V_DICT)
                return;
            args->named = named.u.dict;
            value_dict_set(&m->mem, args->named, value_str(n->s, n->n), eval(m, n->a));
        } else if (args->n == sizeof args->v / sizeof *args->v)
            arena_fail(&m->mem, HONE_ERR_UNSUPPORTED,
                       "line %d: a call with more than %zu arguments", n->line, args->n);
        else
            args->v[args->n++] = eval(m, n);
    }
}

static value eval_call(machine *m, const node *n)
{
    call_args args;
    if (n->a->kind == N_ATTR) { /* x.f(): a method, unless x holds a function of that name */
        const value self = eval(m, n->a->a);
        const hone_str name = { n->a->s, n->a->n };
        eval_args(m, n->b, &args);
        return m->mem.st ? (value){ 0 } : jinja_method(m, self, name, &args);
    }
    const value f = eval(m, n->a);
    eval_args(m, n->b, &args);
    return jinja_function(m, f, &args);
}

static value eval_item(machine *m, const node *n)
{
    const value of = eval(m, n->a), key = eval(m, n->b);
    if (m->mem.st)
        return (value){ 0 };
    if (of.kind == V_UNDEFINED) {
        arena_fail(&m->mem, HONE_ERR_FORMAT, "an element of something undefined");
        return (value){ 0 };
    }
    if (key.kind == V_INT && (of.kind == V_LIST || of.kind == V_STRING))
        return value_at(&m->mem, of, key.u.i);
    if (key.kind == V_STRING)
        return value_attr(&m->mem, of, key.u.s);
    if (of.kind == V_DICT) {
        const value *v = value_dict_get(of.u.dict, key);
        return v ? *v : (value){ 0 };
    }
    return (value){ 0 };
}

static value eval_slice(machine *m, const node *n)
{
    const value of = eval(m, n->a), from = eval(m, n->b), to = eval(m, n->b->next),
                by = eval(m, n->b->next->next);
    return m->mem.st ? (value){ 0 } : value_slice(&m->mem, of, from, to, by);
}

static value eval_compare(machine *m, const node *n)
{
    const value x = eval(m, n->a), y = eval(m, n->b);
    arena *a = &m->mem;
    if (a->st)
        return (value){ 0 };
    switch (n->op) {
    case OP_EQ:
        return value_bool(value_equal(a, x, y, 0));
    case OP_NE:
        return value_bool(!value_equal(a, x, y, 0));
    case OP_LT:
        return value_bool(value_less(a, x, y));
    case OP_LE:
        return value_bool(!value_less(a, y, x));
    case OP_GT:
        return value_bool(value_less(a, y, x));
    case OP_GE:
        return value_bool(!value_less(a, x, y));
    case OP_IN:
        return value_bool(value_contains(a, y, x));
    default:
        return value_bool(!value_contains(a, y, x));
    }
}

static value eval_collection(machine *m, const node *n)
{
    value v = n->kind == N_LIST ? value_list_new(&m->mem) : value_dict_new(&m->mem);
    for (const node *e = n->a; e && !m->mem.st; e = e->next)
        if (n->kind == N_LIST)
            value_list_add(&m->mem, v.u.list, eval(m, e));
        else
            value_dict_set(&m->mem, v.u.dict, eval(m, e->a), eval(m, e->b));
    return m->mem.st ? (value){ 0 } : v;
}

static value eval_filter(machine *m, const node *n)
{
    call_args args;
    const value of = eval(m, n->a);
    eval_args(m, n->b, &args);
    if (m->mem.st)
        return (value){ 0 };
    if (n->kind == N_FILTER)
        return jinja_filter(m, (hone_str){ n->s, n->n }, of, &args);
    return value_bool(jinja_test(m, (hone_str){ n->s, n->n }, of, &args) != n->op);
}

static value eval(machine *m, const node *n)
{
    value x;
    if (!step(m) || !n)
        return (value){ 0 };
    switch (n->kind) {
    case N_CONST:
        return n->op == V_BOOL ? value_bool(n->i != 0) : (value){ .kind = n->op };
    case N_STRING:
        return value_str(n->s, n->n);
    case N_INT:
        return value_int(n->i);
    case N_FLOAT:
        return (value){ .kind = V_FLOAT, .u.f = n->f };
    case N_NAME:
        return get_name(m, (hone_str){ n->s, n->n });
    case N_LIST:
    case N_DICT:
        return eval_collection(m, n);
    case N_ATTR:
        x = eval(m, n->a);
        return m->mem.st ? x : value_attr(&m->mem, x, (hone_str){ n->s, n->n });
    case N_ITEM:
        return eval_item(m, n);
    case N_SLICE:
        return eval_slice(m, n);
    case N_CALL:
        return eval_call(m, n);
    case N_FILTER:
    case N_TEST:
        return eval_filter(m, n);
    case N_NOT:
        return value_bool(!value_true(eval(m, n->a)));
    case N_NEG:
        return value_binary(&m->mem, OP_SUB, value_int(0), eval(m, n->a));
    case N_AND:
        x = eval(m, n->a);
        return value_true(x) ? eval(m, n->b) : x;
    case N_OR:
        x = eval(m, n->a);
        return value_true(x) ? x : eval(m, n->b);
    case N_IF:
        return value_true(eval(m, n->b)) ? eval(m, n->a) : n->c ? eval(m, n->c) : (value){ 0 };
    case N_BINARY:
        x = eval(m, n->a);
        return value_binary(&m->mem, n->op, x, eval(m, n->b));
    case N_COMPARE:
        return eval_compare(m, n);
    default:
        arena_fail(&m->mem, HONE_ERR_STATE, "line %d: no expression", n->line);
        return (value){ 0 };
    }
}

/* -------------------------------------------------------------------- statements */

static void run(machine *m, const node *body);

/* a, b = pair; or one name. */
static void assign(machine *m, const node *names, value v)
{
    if (!names->next) {
        set_name(m, (hone_str){ names->s, names->n }, v);
        return;
    }
    const value_list *items = value_items(&m->mem, v);
    size_t i = 0;
    for (const node *n = names; n && !m->mem.st; n = n->next, i++)
        if (i < items->n)
            set_name(m, (hone_str){ n->s, n->n }, items->v[i]);
    if (i != items->n)
        arena_fail(&m->mem, HONE_ERR_FORMAT, "line %d: %zu values for %zu names", names->line,
                   items->n, i);
}

/* The elements a loop goes through; with a filter, those that pass. */
static const value_list *loop_items(machine *m, const node *n, scope *inner)
{
    const value_list *all = value_items(&m->mem, eval(m, n->b));
    if (!n->e || m->mem.st)
        return all;
    value chosen = value_list_new(&m->mem);
    m->top = inner;
    for (size_t i = 0; i < all->n && !m->mem.st; i++) {
        inner->n = 0;
        assign(m, n->a, all->v[i]);
        if (value_true(eval(m, n->e)))
            value_list_add(&m->mem, chosen.u.list, all->v[i]);
    }
    m->top = inner->up;
    return m->mem.st ? all : chosen.u.list;
}

static void run_for(machine *m, const node *n)
{
    scope inner = { .up = m->top };
    loop_state loop = { .items = loop_items(m, n, &inner) };
    bool completed = false; /* a round that ends early counts as none: Jinja's own way with else */
    if (m->mem.st)
        return;
    m->top = &inner;
    for (; loop.at < loop.items->n && m->broken != N_BREAK && step(m); loop.at++) {
        inner.n = 0;
        m->broken = 0;
        assign(m, n->a, loop.items->v[loop.at]);
        set_name(m, hone_s("loop"), (value){ .kind = V_LOOP, .u.loop = &loop });
        run(m, n->c);
        completed = completed || !m->broken;
    }
    m->broken = 0;
    m->top = inner.up;
    if (!completed && !m->mem.st) {
        scope otherwise = { .up = m->top };
        m->top = &otherwise;
        run(m, n->d);
        m->top = otherwise.up;
    }
}

static void run_set(machine *m, const node *n, value v)
{
    if (n->a->kind != N_ATTR) {
        assign(m, n->a, v);
        return;
    }
    const value space = eval(m, n->a->a);
    if (space.kind == V_NAMESPACE)
        value_dict_set(&m->mem, space.u.dict, value_str(n->a->s, n->a->n), v);
    else
        arena_fail(&m->mem, HONE_ERR_FORMAT, "line %d: set of a part of %s", n->line,
                   value_kind(space));
}

static void run_set_block(machine *m, const node *n)
{
    text gathered = { 0 }, *const out = m->out;
    scope inner = { .up = m->top }; /* what the block sets is its own */
    m->out = &gathered;
    m->top = &inner;
    run(m, n->b);
    m->top = inner.up;
    m->out = out;
    char *p = arena_take(&m->mem, gathered.n + 1);
    if (gathered.failed)
        arena_fail(&m->mem, HONE_ERR_NOMEM, "no memory to run a template");
    if (p && !m->mem.st) {
        if (gathered.n)
            memcpy(p, gathered.p, gathered.n);
        run_set(m, n, value_str(p, gathered.n));
    }
    text_finish(&gathered);
}

static void write_out(machine *m, const char *p, size_t n)
{
    if (m->out->n + n > MAX_BYTES)
        arena_fail(&m->mem, HONE_ERR_LIMIT, "the template writes more than %zu bytes", MAX_BYTES);
    else
        text_add(m->out, p, n);
}

static void run_branch(machine *m, const node *n)
{
    for (; n && !m->mem.st; n = n->c)
        if (!n->a || value_true(eval(m, n->a))) {
            if (!m->mem.st)
                run(m, n->b);
            return;
        }
}

static void run(machine *m, const node *body)
{
    for (const node *n = body; n && !m->broken && step(m); n = n->next)
        switch (n->kind) {
        case N_DATA:
            write_out(m, n->s, n->n);
            break;
        case N_OUTPUT: {
            const hone_str s = value_to_str(&m->mem, eval(m, n->a));
            write_out(m, s.p, s.n);
            break;
        }
        case N_BRANCH:
            run_branch(m, n);
            break;
        case N_FOR:
            run_for(m, n);
            break;
        case N_SET: {
            const value v = eval(m, n->b);
            if (!m->mem.st)
                run_set(m, n, v);
            break;
        }
        case N_SET_BLOCK:
            run_set_block(m, n);
            break;
        case N_BREAK:
        case N_CONTINUE:
            m->broken = n->kind;
            break;
        default: /* N_MACRO: something that cannot be called here */
            set_name(m, (hone_str){ n->a->s, n->a->n }, (value){ .kind = V_FUNCTION, .u.i = -1 });
        }
}

/* ------------------------------------------------------------------------- input */

static value message_value(arena *a, const message *m)
{
    value d = value_dict_new(a);
    if (d.kind == V_DICT) {
        value_dict_set(a, d.u.dict, value_text("role"), value_text(role_name(m->role)));
        value_dict_set(a, d.u.dict, value_text("content"), value_str(m->content.p, m->content.n));
    }
    return d;
}

static void set_input(machine *m)
{
    const jinja_input *in = m->in;
    const value none = { .kind = V_NONE };
    value list = value_list_new(&m->mem);
    for (size_t i = 0; list.kind == V_LIST && i < in->n; i++)
        value_list_add(&m->mem, list.u.list, message_value(&m->mem, &in->m[i]));
    set_name(m, hone_s("messages"), list);
    set_name(m, hone_s("add_generation_prompt"), value_bool(in->generation_prompt));
    set_name(m, hone_s("tools"), none); /* transformers hands these over as none */
    set_name(m, hone_s("documents"), none);
    if (*in->bos)
        set_name(m, hone_s("bos_token"), value_text(in->bos));
    if (*in->eos)
        set_name(m, hone_s("eos_token"), value_text(in->eos));
    if (in->date)
        set_name(m, hone_s("date_string"), value_text(in->date));
}

hone_status jinja_render(const jinja *j, const jinja_input *in, text *out, hone_error *err)
{
    text written = { 0 };
    scope top = { 0 };
    machine m = { .mem = { .err = err }, .in = in, .top = &top, .out = &written };
    set_input(&m);
    run(&m, j->body);
    if (written.failed)
        arena_fail(&m.mem, HONE_ERR_NOMEM, "no memory to run a template");
    const hone_status st = m.mem.st;
    if (!st)
        text_add(out, written.p, written.n);
    else
        (void)hone_prefix(err, "%s", j->what);
    arena_finish(&m.mem);
    text_finish(&written);
    return st ? st : text_status(out, err);
}
