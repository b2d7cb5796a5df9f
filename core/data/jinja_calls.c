/*
 * jinja_calls.c - tests, methods and functions of templates. What is not there is
 * HONE_ERR_UNSUPPORTED, by name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/jinja_impl.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const value undefined = { 0 };

/* ------------------------------------------------------------------------ tests */

enum {
    IS_DEFINED,
    IS_UNDEFINED,
    IS_NONE,
    IS_STRING,
    IS_NUMBER,
    IS_INTEGER,
    IS_BOOLEAN,
    IS_TRUE,
    IS_FALSE,
    IS_MAPPING,
    IS_ITERABLE,
    IS_SEQUENCE,
    IS_EQUAL,
    IS_OTHER,
    IS_IN,
    IS_ODD,
    IS_EVEN,
    IS_DIVISIBLE
};

static const struct {
    const char *name;
    int what;
} tests[] = {
    { "defined", IS_DEFINED },
    { "undefined", IS_UNDEFINED },
    { "none", IS_NONE },
    { "string", IS_STRING },
    { "number", IS_NUMBER },
    { "integer", IS_INTEGER },
    { "boolean", IS_BOOLEAN },
    { "true", IS_TRUE },
    { "false", IS_FALSE },
    { "mapping", IS_MAPPING },
    { "iterable", IS_ITERABLE },
    { "sequence", IS_SEQUENCE },
    { "equalto", IS_EQUAL },
    { "eq", IS_EQUAL },
    { "==", IS_EQUAL },
    { "sameas", IS_EQUAL },
    { "ne", IS_OTHER },
    { "!=", IS_OTHER },
    { "in", IS_IN },
    { "odd", IS_ODD },
    { "even", IS_EVEN },
    { "divisibleby", IS_DIVISIBLE },
};

static bool divisible(arena *a, value v, value by)
{
    const value rest = value_binary(a, OP_MOD, v, by);
    return rest.kind == V_INT && rest.u.i == 0;
}

static bool has_elements(value v)
{
    return v.kind == V_STRING || v.kind == V_LIST || v.kind == V_DICT || v.kind == V_UNDEFINED;
}

bool jinja_test(machine *m, hone_str name, value v, const call_args *args)
{
    arena *a = machine_arena(m);
    size_t i = 0;
    const value other = call_arg(args, 0, "other");
    while (i < COUNT(tests) && !str_is(name, tests[i].name))
        i++;
    if (i == COUNT(tests)) {
        arena_fail(a, HONE_ERR_UNSUPPORTED, "the test %.*s", (int)name.n, name.p);
        return false;
    }
    switch (tests[i].what) {
    case IS_DEFINED:
        return v.kind != V_UNDEFINED;
    case IS_UNDEFINED:
        return v.kind == V_UNDEFINED;
    case IS_NONE:
        return v.kind == V_NONE;
    case IS_STRING:
        return v.kind == V_STRING;
    case IS_NUMBER:
        return v.kind == V_INT || v.kind == V_FLOAT || v.kind == V_BOOL;
    case IS_INTEGER:
        return v.kind == V_INT;
    case IS_BOOLEAN:
        return v.kind == V_BOOL;
    case IS_TRUE:
        return v.kind == V_BOOL && v.u.b;
    case IS_FALSE:
        return v.kind == V_BOOL && !v.u.b;
    case IS_MAPPING:
        return v.kind == V_DICT;
    case IS_ITERABLE:
    case IS_SEQUENCE:
        return has_elements(v);
    case IS_EQUAL:
        return value_equal(a, v, other, 0);
    case IS_OTHER:
        return !value_equal(a, v, other, 0);
    case IS_IN:
        return value_contains(a, other, v);
    case IS_ODD:
        return !divisible(a, v, value_int(2));
    case IS_EVEN:
        return divisible(a, v, value_int(2));
    default:
        return divisible(a, v, other);
    }
}

/* ---------------------------------------------------------------------- methods */

static bool starts_with(hone_str s, hone_str with)
{
    return s.n >= with.n && !memcmp(s.p, with.p, with.n);
}

static bool ends_with(hone_str s, hone_str with)
{
    return s.n >= with.n && !memcmp(s.p + s.n - with.n, with.p, with.n);
}

typedef value (*string_call)(arena *a, hone_str s, const call_args *args);

static value m_strip(arena *a, hone_str s, const call_args *args)
{
    return jinja_strip(a, s, call_arg(args, 0, ""), true, true);
}

static value m_lstrip(arena *a, hone_str s, const call_args *args)
{
    return jinja_strip(a, s, call_arg(args, 0, ""), true, false);
}

static value m_rstrip(arena *a, hone_str s, const call_args *args)
{
    return jinja_strip(a, s, call_arg(args, 0, ""), false, true);
}

static value m_startswith(arena *a, hone_str s, const call_args *args)
{
    return value_bool(starts_with(s, value_want_str(a, call_arg(args, 0, ""), "startswith()")));
}

static value m_endswith(arena *a, hone_str s, const call_args *args)
{
    return value_bool(ends_with(s, value_want_str(a, call_arg(args, 0, ""), "endswith()")));
}

static value m_split(arena *a, hone_str s, const call_args *args)
{
    return jinja_split(a, s, call_arg(args, 0, ""));
}

static value m_replace(arena *a, hone_str s, const call_args *args)
{
    const hone_str old = value_want_str(a, call_arg(args, 0, ""), "replace()");
    return jinja_replace(a, s, old, value_want_str(a, call_arg(args, 1, ""), "replace()"));
}

static value m_join(arena *a, hone_str s, const call_args *args)
{
    return jinja_join(a, value_items(a, call_arg(args, 0, "")), s);
}

static value m_upper(arena *a, hone_str s, const call_args *args)
{
    (void)args;
    return jinja_case(a, s, true, false);
}

static value m_lower(arena *a, hone_str s, const call_args *args)
{
    (void)args;
    return jinja_case(a, s, false, false);
}

static value m_capitalize(arena *a, hone_str s, const call_args *args)
{
    (void)args;
    return jinja_case(a, s, true, true);
}

static const struct {
    const char *name;
    size_t max_args; /* with more it is another method than this one */
    string_call call;
} string_methods[] = {
    { "strip", 1, m_strip },           { "lstrip", 1, m_lstrip },
    { "rstrip", 1, m_rstrip },         { "startswith", 1, m_startswith },
    { "endswith", 1, m_endswith },     { "split", 1, m_split },
    { "replace", 2, m_replace },       { "join", 1, m_join },
    { "upper", 0, m_upper },           { "lower", 0, m_lower },
    { "capitalize", 0, m_capitalize },
};

static value string_method(arena *a, hone_str s, hone_str name, const call_args *args)
{
    for (size_t i = 0; i < COUNT(string_methods); i++)
        if (str_is(name, string_methods[i].name) && args->n <= string_methods[i].max_args &&
            !args->named)
            return string_methods[i].call(a, s, args);
    arena_fail(a, HONE_ERR_UNSUPPORTED, "the method %.*s() of text", (int)name.n, name.p);
    return undefined;
}

value jinja_method(machine *m, value self, hone_str name, const call_args *args)
{
    arena *a = machine_arena(m);
    const call_args no_args = { .n = 0 };
    if (a->st)
        return undefined;
    if (self.kind == V_STRING)
        return string_method(a, self.u.s, name, args);
    if (self.kind == V_DICT && str_is(name, "get")) {
        const value *v = value_dict_get(self.u.dict, call_arg(args, 0, "key"));
        const value none = { .kind = V_NONE };
        return v ? *v : args->n > 1 ? args->v[1] : none;
    }
    if (self.kind == V_DICT && str_is(name, "items"))
        return jinja_filter(m, hone_s("items"), self, &no_args);
    if (self.kind == V_DICT && str_is(name, "keys"))
        return jinja_filter(m, hone_s("list"), self, &no_args);
    arena_fail(a, self.kind == V_UNDEFINED ? HONE_ERR_FORMAT : HONE_ERR_UNSUPPORTED,
               "the method %.*s() of %s", (int)name.n, name.p, value_kind(self));
    return undefined;
}

/* -------------------------------------------------------------------- functions */

static value g_raise(machine *m, const call_args *args)
{
    arena *a = machine_arena(m);
    const hone_str why = value_to_str(a, call_arg(args, 0, "message"));
    arena_fail(a, HONE_ERR_FORMAT, "%.*s", (int)(why.n < 300 ? why.n : 300), why.p);
    return undefined;
}

static value g_strftime_now(machine *m, const call_args *args)
{
    const jinja_input *in = machine_input(m);
    const hone_str format =
        value_want_str(machine_arena(m), call_arg(args, 0, "format"), "strftime_now()");
    if (str_is(format, "%d %b %Y"))
        return value_text(in->date ? in->date : in->today);
    arena_fail(machine_arena(m), HONE_ERR_UNSUPPORTED, "a date as %.*s",
               (int)(format.n < 40 ? format.n : 40), format.p);
    return undefined;
}

static value g_namespace(machine *m, const call_args *args)
{
    arena *a = machine_arena(m);
    value v = value_dict_new(a);
    const value_dict *from[2] = { args->n && args->v[0].kind == V_DICT ? args->v[0].u.dict : NULL,
                                  args->named };
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; v.kind == V_DICT && from[k] && i < from[k]->n; i++)
            value_dict_set(a, v.u.dict, from[k]->p[i].key, from[k]->p[i].value);
    return v;
}

static value g_make_namespace(machine *m, const call_args *args)
{
    value v = g_namespace(m, args);
    if (v.kind == V_DICT)
        v.kind = V_NAMESPACE;
    return v;
}

static value g_range(machine *m, const call_args *args)
{
    arena *a = machine_arena(m);
    int64_t part[3] = { 0, 0, 1 };
    value list = value_list_new(a);
    for (size_t i = 0; i < args->n && i < 3; i++) {
        if (args->v[i].kind != V_INT)
            arena_fail(a, HONE_ERR_FORMAT, "range() wants numbers, not %s", value_kind(args->v[i]));
        part[args->n == 1 ? 1 : i] = args->v[i].u.i;
    }
    if (!a->st && part[2] == 0)
        arena_fail(a, HONE_ERR_FORMAT, "range() in steps of 0");
    for (int64_t i = part[0]; !a->st && (part[2] > 0 ? i < part[1] : i > part[1]);) {
        value_list_add(a, list.u.list, value_int(i));
        if (__builtin_add_overflow(i, part[2], &i))
            break;
    }
    return list;
}

static const struct {
    const char *name;
    value (*call)(machine *m, const call_args *args);
} functions[] = {
    { "raise_exception", g_raise },
    { "strftime_now", g_strftime_now },
    { "namespace", g_make_namespace },
    { "dict", g_namespace },
    { "range", g_range },
};

value jinja_global(hone_str name)
{
    for (size_t i = 0; i < COUNT(functions); i++)
        if (str_is(name, functions[i].name))
            return (value){ .kind = V_FUNCTION, .u.i = (int64_t)i };
    return undefined;
}

value jinja_function(machine *m, value f, const call_args *args)
{
    if (machine_arena(m)->st)
        return undefined;
    if (f.kind == V_FUNCTION && f.u.i >= 0)
        return functions[f.u.i].call(m, args);
    arena_fail(machine_arena(m), f.kind == V_UNDEFINED ? HONE_ERR_FORMAT : HONE_ERR_UNSUPPORTED,
               "a call of %s", f.kind == V_FUNCTION ? "a macro" : value_kind(f));
    return undefined;
}
