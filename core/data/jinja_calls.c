/*
 * jinja_calls.c - what templates call: filters, tests, methods, functions. One table
 * each; a name that is not there is HONE_ERR_UNSUPPORTED, by name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/jinja_impl.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const value undefined = { 0 };

/* An argument by place or name; undefined when it is not given. */
static value arg(const call_args *args, size_t at, const char *name)
{
    const value *v = args->named ? value_dict_get(args->named, value_text(name)) : NULL;
    return at < args->n ? args->v[at] : v ? *v : undefined;
}

static hone_str want_str(arena *a, value v, const char *who)
{
    if (v.kind == V_STRING)
        return v.u.s;
    arena_fail(a, HONE_ERR_FORMAT, "%s wants text, not %s", who, value_kind(v));
    return hone_s("");
}

/* ------------------------------------------------------------------------ text */

static bool has_point(hone_str set, const char *p, size_t n)
{
    for (size_t i = 0; i < set.n;) {
        uint32_t cp;
        bool bad = false;
        const size_t k = utf8_next(set.p + i, set.n - i, &cp, &bad);
        if (k == n && !memcmp(set.p + i, p, n))
            return true;
        i += k;
    }
    return false;
}

/* str.strip(chars), lstrip, rstrip; chars undefined or none: white space. */
static value strip(arena *a, hone_str s, value chars, bool left, bool right)
{
    size_t start = 0, end = s.n, first, last;
    if (chars.kind == V_UNDEFINED || chars.kind == V_NONE) {
        template_strip(s.p, s.n, &first, &last);
        start = left ? first : 0;
        end = right ? last : s.n;
        if (first == last) /* nothing but white space */
            start = end = 0;
        return value_str(s.p + start, end - start);
    }
    const hone_str set = want_str(a, chars, "strip()");
    while (left && start < end) {
        size_t k = 1;
        while (start + k < end && ((unsigned char)s.p[start + k] & 0xc0) == 0x80)
            k++;
        if (!has_point(set, s.p + start, k))
            break;
        start += k;
    }
    while (right && end > start) {
        size_t k = 1;
        while (end - k > start && ((unsigned char)s.p[end - k] & 0xc0) == 0x80)
            k++;
        if (!has_point(set, s.p + end - k, k))
            break;
        end -= k;
    }
    return value_str(s.p + start, end - start);
}

/* ASCII only: what lies beyond is refused, for Python's rules are Unicode's. */
static value change_case(arena *a, hone_str s, bool upper, bool first_only)
{
    char *p = arena_take(a, s.n + 1);
    for (size_t i = 0; p && i < s.n; i++) {
        const char c = s.p[i];
        const bool up = upper && (!first_only || i == 0);
        if ((unsigned char)c >= 0x80)
            arena_fail(a, HONE_ERR_UNSUPPORTED, "the case of letters beyond ASCII");
        p[i] = up && c >= 'a' && c <= 'z'    ? (char)(c - 32)
               : !up && c >= 'A' && c <= 'Z' ? (char)(c + 32)
                                             : c;
    }
    return p ? value_str(p, s.n) : undefined;
}

static value replace(arena *a, hone_str s, hone_str old, hone_str new)
{
    text out = { 0 };
    value v = undefined;
    if (!old.n) {
        arena_fail(a, HONE_ERR_UNSUPPORTED, "replace() of empty text");
        return v;
    }
    for (size_t i = 0; i < s.n && out.n <= MAX_BYTES;) {
        const char *hit = memmem(s.p + i, s.n - i, old.p, old.n);
        const size_t upto = hit ? (size_t)(hit - s.p) : s.n;
        text_add(&out, s.p + i, upto - i);
        if (hit)
            text_add(&out, new.p, new.n);
        i = hit ? upto + old.n : s.n;
    }
    char *p = arena_take(a, out.n + 1);
    if (out.failed)
        arena_fail(a, HONE_ERR_NOMEM, "no memory to run a template");
    else if (p) {
        if (out.n)
            memcpy(p, out.p, out.n);
        v = value_str(p, out.n);
    }
    text_finish(&out);
    return v;
}

static value split(arena *a, hone_str s, value separator)
{
    value list = value_list_new(a);
    if (separator.kind != V_STRING || !separator.u.s.n) {
        arena_fail(a, HONE_ERR_UNSUPPORTED, "split() without a separator");
        return undefined;
    }
    const hone_str by = separator.u.s;
    for (size_t i = 0; list.kind == V_LIST && !a->st;) {
        const char *hit = i < s.n ? memmem(s.p + i, s.n - i, by.p, by.n) : NULL;
        const size_t upto = hit ? (size_t)(hit - s.p) : s.n;
        value_list_add(a, list.u.list, value_str(s.p + i, upto - i));
        if (!hit)
            break;
        i = upto + by.n;
    }
    return list;
}

static value join(arena *a, const value_list *l, hone_str by)
{
    value all = value_text("");
    for (size_t i = 0; i < l->n && !a->st; i++) {
        if (i)
            all = value_binary(a, OP_CONCAT, all, value_str(by.p, by.n));
        all = value_binary(a, OP_CONCAT, all, l->v[i]);
    }
    return all;
}

static bool starts_with(hone_str s, hone_str with)
{
    return s.n >= with.n && !memcmp(s.p, with.p, with.n);
}

static bool ends_with(hone_str s, hone_str with)
{
    return s.n >= with.n && !memcmp(s.p + s.n - with.n, with.p, with.n);
}

/* ---------------------------------------------------------------------- filters */

typedef value (*filter_call)(machine *m, value v, const call_args *args);

static value f_trim(machine *m, value v, const call_args *args)
{
    arena *a = machine_arena(m);
    return strip(a, value_to_str(a, v), arg(args, 0, "chars"), true, true);
}

static value f_length(machine *m, value v, const call_args *args)
{
    (void)args;
    return value_int(value_length(machine_arena(m), v));
}

static value f_upper(machine *m, value v, const call_args *args)
{
    arena *a = machine_arena(m);
    (void)args;
    return change_case(a, value_to_str(a, v), true, false);
}

static value f_lower(machine *m, value v, const call_args *args)
{
    arena *a = machine_arena(m);
    (void)args;
    return change_case(a, value_to_str(a, v), false, false);
}

static value f_capitalize(machine *m, value v, const call_args *args)
{
    arena *a = machine_arena(m);
    (void)args;
    return change_case(a, value_to_str(a, v), true, true);
}

static value f_string(machine *m, value v, const call_args *args)
{
    const hone_str s = value_to_str(machine_arena(m), v);
    (void)args;
    return value_str(s.p, s.n);
}

static value f_list(machine *m, value v, const call_args *args)
{
    arena *a = machine_arena(m);
    const value_list *items = value_items(a, v);
    value list = value_list_new(a);
    (void)args;
    for (size_t i = 0; list.kind == V_LIST && i < items->n; i++)
        value_list_add(a, list.u.list, items->v[i]);
    return list;
}

static value f_first(machine *m, value v, const call_args *args)
{
    const value_list *items = value_items(machine_arena(m), v);
    (void)args;
    return items->n ? items->v[0] : undefined;
}

static value f_last(machine *m, value v, const call_args *args)
{
    const value_list *items = value_items(machine_arena(m), v);
    (void)args;
    return items->n ? items->v[items->n - 1] : undefined;
}

static value f_join(machine *m, value v, const call_args *args)
{
    arena *a = machine_arena(m);
    const value by = arg(args, 0, "d");
    return join(a, value_items(a, v), by.kind == V_UNDEFINED ? hone_s("") : value_to_str(a, by));
}

static value f_default(machine *m, value v, const call_args *args)
{
    const value instead = arg(args, 0, "default_value");
    (void)m;
    if (v.kind == V_UNDEFINED || (value_true(arg(args, 1, "boolean")) && !value_true(v)))
        return instead.kind == V_UNDEFINED ? value_text("") : instead;
    return v;
}

static value f_replace(machine *m, value v, const call_args *args)
{
    arena *a = machine_arena(m);
    return replace(a, value_to_str(a, v), want_str(a, arg(args, 0, "old"), "replace"),
                   want_str(a, arg(args, 1, "new"), "replace"));
}

static value f_items(machine *m, value v, const call_args *args)
{
    arena *a = machine_arena(m);
    value list = value_list_new(a);
    (void)args;
    if (v.kind == V_UNDEFINED)
        return list;
    if (v.kind != V_DICT) {
        arena_fail(a, HONE_ERR_FORMAT, "the items of %s", value_kind(v));
        return undefined;
    }
    for (size_t i = 0; list.kind == V_LIST && i < v.u.dict->n; i++) {
        value pair = value_list_new(a);
        if (pair.kind != V_LIST)
            break;
        value_list_add(a, pair.u.list, v.u.dict->p[i].key);
        value_list_add(a, pair.u.list, v.u.dict->p[i].value);
        value_list_add(a, list.u.list, pair);
    }
    return list;
}

/* select/reject by a test, of elements or of their attribute. */
static value choose(machine *m, value v, const call_args *args, bool by_attr, bool keep)
{
    arena *a = machine_arena(m);
    const value_list *items = value_items(a, value_true(v) ? v : undefined);
    value list = value_list_new(a);
    const size_t at = by_attr;
    call_args rest = { .n = 0 };
    for (size_t i = at + 1; i < args->n; i++)
        rest.v[rest.n++] = args->v[i];
    const hone_str name = by_attr ? want_str(a, arg(args, 0, ""), "selectattr") : hone_s("");
    for (size_t i = 0; list.kind == V_LIST && i < items->n && !a->st; i++) {
        const value of = by_attr ? value_attr(a, items->v[i], name) : items->v[i];
        const bool yes = args->n > at ? jinja_test(m, want_str(a, args->v[at], "select"), of, &rest)
                                      : value_true(of);
        if (yes == keep)
            value_list_add(a, list.u.list, items->v[i]);
    }
    return list;
}

static value f_select(machine *m, value v, const call_args *args)
{
    return choose(m, v, args, false, true);
}

static value f_reject(machine *m, value v, const call_args *args)
{
    return choose(m, v, args, false, false);
}

static value f_selectattr(machine *m, value v, const call_args *args)
{
    return choose(m, v, args, true, true);
}

static value f_rejectattr(machine *m, value v, const call_args *args)
{
    return choose(m, v, args, true, false);
}

static value f_map(machine *m, value v, const call_args *args)
{
    arena *a = machine_arena(m);
    const value_list *items = value_items(a, value_true(v) ? v : undefined);
    const value attr = args->named ? arg(args, 4, "attribute") : undefined;
    value list = value_list_new(a);
    call_args rest = { .n = 0 };
    for (size_t i = 1; i < args->n; i++)
        rest.v[rest.n++] = args->v[i];
    for (size_t i = 0; list.kind == V_LIST && i < items->n && !a->st; i++)
        value_list_add(
            a, list.u.list,
            attr.kind != V_UNDEFINED
                ? value_attr(a, items->v[i], want_str(a, attr, "map"))
                : jinja_filter(m, want_str(a, arg(args, 0, ""), "map"), items->v[i], &rest));
    return list;
}

static value f_reverse(machine *m, value v, const call_args *args)
{
    const value none = { .kind = V_NONE };
    (void)args;
    if (v.kind == V_UNDEFINED)
        return value_list_new(machine_arena(m));
    return value_slice(machine_arena(m), v, none, none, value_int(-1));
}

static const struct {
    const char *name;
    filter_call call;
} filters[] = {
    { "trim", f_trim },
    { "length", f_length },
    { "count", f_length },
    { "upper", f_upper },
    { "lower", f_lower },
    { "capitalize", f_capitalize },
    { "string", f_string },
    { "list", f_list },
    { "first", f_first },
    { "last", f_last },
    { "join", f_join },
    { "default", f_default },
    { "d", f_default },
    { "replace", f_replace },
    { "items", f_items },
    { "select", f_select },
    { "reject", f_reject },
    { "selectattr", f_selectattr },
    { "rejectattr", f_rejectattr },
    { "map", f_map },
    { "reverse", f_reverse },
    { "safe", f_string },
};

value jinja_filter(machine *m, hone_str name, value v, const call_args *args)
{
    if (machine_arena(m)->st)
        return undefined;
    for (size_t i = 0; i < COUNT(filters); i++)
        if (str_is(name, filters[i].name))
            return filters[i].call(m, v, args);
    arena_fail(machine_arena(m), HONE_ERR_UNSUPPORTED, "the filter %.*s", (int)name.n, name.p);
    return undefined;
}

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
    const value other = arg(args, 0, "other");
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

static value string_method(arena *a, hone_str s, hone_str name, const call_args *args)
{
    const value x = arg(args, 0, "");
    if (str_is(name, "strip"))
        return strip(a, s, x, true, true);
    if (str_is(name, "lstrip"))
        return strip(a, s, x, true, false);
    if (str_is(name, "rstrip"))
        return strip(a, s, x, false, true);
    if (str_is(name, "startswith"))
        return value_bool(starts_with(s, want_str(a, x, "startswith()")));
    if (str_is(name, "endswith"))
        return value_bool(ends_with(s, want_str(a, x, "endswith()")));
    if (str_is(name, "split") && args->n < 2)
        return split(a, s, x);
    if (str_is(name, "replace") && args->n == 2)
        return replace(a, s, want_str(a, x, "replace()"), want_str(a, args->v[1], "replace()"));
    if (str_is(name, "join"))
        return join(a, value_items(a, x), s);
    if (str_is(name, "upper") || str_is(name, "lower"))
        return change_case(a, s, *name.p == 'u', false);
    if (str_is(name, "capitalize"))
        return change_case(a, s, true, true);
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
        const value *v = value_dict_get(self.u.dict, arg(args, 0, "key"));
        const value none = { .kind = V_NONE };
        return v ? *v : args->n > 1 ? args->v[1] : none;
    }
    if (self.kind == V_DICT && str_is(name, "items"))
        return f_items(m, self, &no_args);
    if (self.kind == V_DICT && str_is(name, "keys"))
        return f_list(m, self, &no_args);
    arena_fail(a, self.kind == V_UNDEFINED ? HONE_ERR_FORMAT : HONE_ERR_UNSUPPORTED,
               "the method %.*s() of %s", (int)name.n, name.p, value_kind(self));
    return undefined;
}

/* -------------------------------------------------------------------- functions */

static value g_raise(machine *m, const call_args *args)
{
    arena *a = machine_arena(m);
    const hone_str why = value_to_str(a, arg(args, 0, "message"));
    arena_fail(a, HONE_ERR_FORMAT, "%.*s", (int)(why.n < 300 ? why.n : 300), why.p);
    return undefined;
}

static value g_strftime_now(machine *m, const call_args *args)
{
    const jinja_input *in = machine_input(m);
    const hone_str format = want_str(machine_arena(m), arg(args, 0, "format"), "strftime_now()");
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
