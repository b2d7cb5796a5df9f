/*
 * jinja_filters.c - the filters of templates; one that is not in the table is refused by
 * name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/jinja_impl.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const value undefined = { 0 };

typedef value (*filter_call)(machine *m, value v, const call_args *args);

static value f_trim(machine *m, value v, const call_args *args)
{
    arena *a = machine_arena(m);
    return jinja_strip(a, value_to_str(a, v), call_arg(args, 0, "chars"), true, true);
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
    return jinja_case(a, value_to_str(a, v), true, false);
}

static value f_lower(machine *m, value v, const call_args *args)
{
    arena *a = machine_arena(m);
    (void)args;
    return jinja_case(a, value_to_str(a, v), false, false);
}

static value f_capitalize(machine *m, value v, const call_args *args)
{
    arena *a = machine_arena(m);
    (void)args;
    return jinja_case(a, value_to_str(a, v), true, true);
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
    const value by = call_arg(args, 0, "d");
    return jinja_join(a, value_items(a, v),
                      by.kind == V_UNDEFINED ? hone_s("") : value_to_str(a, by));
}

static value f_default(machine *m, value v, const call_args *args)
{
    const value instead = call_arg(args, 0, "default_value");
    (void)m;
    if (v.kind == V_UNDEFINED || (value_true(call_arg(args, 1, "boolean")) && !value_true(v)))
        return instead.kind == V_UNDEFINED ? value_text("") : instead;
    return v;
}

static value f_replace(machine *m, value v, const call_args *args)
{
    arena *a = machine_arena(m);
    return jinja_replace(a, value_to_str(a, v),
                         value_want_str(a, call_arg(args, 0, "old"), "replace"),
                         value_want_str(a, call_arg(args, 1, "new"), "replace"));
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
    const hone_str name =
        by_attr ? value_want_str(a, call_arg(args, 0, ""), "selectattr") : hone_s("");
    for (size_t i = 0; list.kind == V_LIST && i < items->n && !a->st; i++) {
        const value of = by_attr ? value_attr(a, items->v[i], name) : items->v[i];
        const bool yes = args->n > at
                             ? jinja_test(m, value_want_str(a, args->v[at], "select"), of, &rest)
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
    const value attr = args->named ? call_arg(args, 4, "attribute") : undefined;
    value list = value_list_new(a);
    call_args rest = { .n = 0 };
    for (size_t i = 1; i < args->n; i++)
        rest.v[rest.n++] = args->v[i];
    for (size_t i = 0; list.kind == V_LIST && i < items->n && !a->st; i++)
        value_list_add(a, list.u.list,
                       attr.kind != V_UNDEFINED
                           ? value_attr(a, items->v[i], value_want_str(a, attr, "map"))
                           : jinja_filter(m, value_want_str(a, call_arg(args, 0, ""), "map"),
                                          items->v[i], &rest));
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
