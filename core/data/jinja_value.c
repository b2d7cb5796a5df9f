/*
 * jinja_value.c - the values of Jinja, which are Python's: truth, text, equality,
 * parts and sums.
 *
 * Indices into text count code points, as in Python. What Python would refuse is
 * refused; what nobody needs for a conversation is HONE_ERR_UNSUPPORTED.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/jinja_impl.h"

/* ----------------------------------------------------------------------- building */

value value_str(const char *p, size_t n)
{
    return (value){ .kind = V_STRING, .u.s = { p ? p : "", n } };
}

value value_text(const char *s)
{
    return value_str(s, strlen(s));
}

value value_int(int64_t i)
{
    return (value){ .kind = V_INT, .u.i = i };
}

value value_bool(bool b)
{
    return (value){ .kind = V_BOOL, .u.b = b };
}

value value_list_new(arena *a)
{
    value_list *l = arena_take(a, sizeof *l);
    return l ? (value){ .kind = V_LIST, .u.list = l } : (value){ 0 };
}

void value_list_add(arena *a, value_list *l, value v)
{
    if (!l || a->st)
        return;
    if (l->n == l->cap) {
        const size_t cap = l->cap ? 2 * l->cap : 8;
        value *bigger = arena_take(a, cap * sizeof *bigger);
        if (!bigger)
            return;
        if (l->n)
            memcpy(bigger, l->v, l->n * sizeof *bigger);
        l->v = bigger;
        l->cap = cap;
    }
    l->v[l->n++] = v;
}

value value_dict_new(arena *a)
{
    value_dict *d = arena_take(a, sizeof *d);
    return d ? (value){ .kind = V_DICT, .u.dict = d } : (value){ 0 };
}

static struct dict_entry *find_entry(const value_dict *d, value key)
{
    for (size_t i = 0; i < d->n; i++)
        if (value_equal(NULL, d->p[i].key, key, 0))
            return &d->p[i];
    return NULL;
}

void value_dict_set(arena *a, value_dict *d, value key, value v)
{
    struct dict_entry *e = d && !a->st ? find_entry(d, key) : NULL;
    if (!d || a->st)
        return;
    if (e) {
        e->value = v;
        return;
    }
    if (d->n == d->cap) {
        const size_t cap = d->cap ? 2 * d->cap : 8;
        struct dict_entry *bigger = arena_take(a, cap * sizeof *bigger);
        if (!bigger)
            return;
        if (d->n)
            memcpy(bigger, d->p, d->n * sizeof *bigger);
        d->p = bigger;
        d->cap = cap;
    }
    d->p[d->n++] = (struct dict_entry){ key, v };
}

const value *value_dict_get(const value_dict *d, value key)
{
    const struct dict_entry *e = find_entry(d, key);
    return e ? &e->value : NULL;
}

/* ------------------------------------------------------------------- what they are */

const char *value_kind(value v)
{
    static const char *const names[] = { "undefined",   "none",   "a truth value", "a number",
                                         "a number",    "a text", "a list",        "a dict",
                                         "a namespace", "a loop", "a function" };
    return names[v.kind];
}

static bool is_number(value v)
{
    return v.kind == V_INT || v.kind == V_FLOAT || v.kind == V_BOOL;
}

static double to_double(value v)
{
    return v.kind == V_FLOAT ? v.u.f : v.kind == V_INT ? (double)v.u.i : v.u.b;
}

static int64_t to_int(value v)
{
    return v.kind == V_BOOL ? v.u.b : v.u.i;
}

bool value_true(value v)
{
    switch (v.kind) {
    case V_UNDEFINED:
    case V_NONE:
        return false;
    case V_STRING:
        return v.u.s.n > 0;
    case V_LIST:
        return v.u.list->n > 0;
    case V_DICT:
        return v.u.dict->n > 0;
    case V_BOOL:
    case V_INT:
    case V_FLOAT:
        return to_double(v) != 0.0;
    default:
        return true;
    }
}

static bool dict_equal(arena *a, const value_dict *x, const value_dict *y, int depth)
{
    if (x->n != y->n)
        return false;
    for (size_t i = 0; i < x->n; i++) {
        const value *other = value_dict_get(y, x->p[i].key);
        if (!other || !value_equal(a, x->p[i].value, *other, depth + 1))
            return false;
    }
    return true;
}

bool value_equal(arena *a, value x, value y, int depth)
{
    if (depth > MAX_DEPTH) {
        if (a)
            arena_fail(a, HONE_ERR_LIMIT, "values nested deeper than %d", MAX_DEPTH);
        return false;
    }
    if (is_number(x) && is_number(y))
        return x.kind == V_FLOAT || y.kind == V_FLOAT ? to_double(x) == to_double(y)
                                                      : to_int(x) == to_int(y);
    if (x.kind != y.kind)
        return false;
    switch (x.kind) {
    case V_STRING:
        return x.u.s.n == y.u.s.n && !memcmp(x.u.s.p, y.u.s.p, x.u.s.n);
    case V_LIST:
        for (size_t i = 0; i < x.u.list->n; i++)
            if (i >= y.u.list->n || !value_equal(a, x.u.list->v[i], y.u.list->v[i], depth + 1))
                return false;
        return x.u.list->n == y.u.list->n;
    case V_DICT:
        return dict_equal(a, x.u.dict, y.u.dict, depth);
    case V_NAMESPACE:
        return x.u.dict == y.u.dict;
    case V_LOOP:
        return x.u.loop == y.u.loop;
    case V_FUNCTION:
        return x.u.i == y.u.i;
    default: /* undefined, none */
        return true;
    }
}

bool value_less(arena *a, value x, value y)
{
    if (is_number(x) && is_number(y))
        return to_double(x) < to_double(y);
    if (x.kind == V_STRING && y.kind == V_STRING) { /* UTF-8 sorts as code points do */
        const size_t n = x.u.s.n < y.u.s.n ? x.u.s.n : y.u.s.n;
        const int c = memcmp(x.u.s.p, y.u.s.p, n);
        return c ? c < 0 : x.u.s.n < y.u.s.n;
    }
    arena_fail(a, HONE_ERR_FORMAT, "%s and %s cannot be ordered", value_kind(x), value_kind(y));
    return false;
}

hone_str value_to_str(arena *a, value v)
{
    char digits[32];
    switch (v.kind) {
    case V_UNDEFINED:
        return hone_s("");
    case V_NONE:
        return hone_s("None");
    case V_BOOL:
        return hone_s(v.u.b ? "True" : "False");
    case V_STRING:
        return v.u.s;
    case V_INT: {
        const int n = snprintf(digits, sizeof digits, "%lld", (long long)v.u.i);
        char *copy = arena_take(a, (size_t)n + 1);
        if (!copy)
            return hone_s("");
        memcpy(copy, digits, (size_t)n);
        return (hone_str){ copy, (uint64_t)n };
    }
    default:
        arena_fail(a, HONE_ERR_UNSUPPORTED, "%s written as text", value_kind(v));
        return hone_s("");
    }
}

/* -------------------------------------------------------------------------- parts */

const value_list *value_items(arena *a, value v)
{
    static const value_list nothing = { 0 };
    value list;
    if (v.kind == V_LIST)
        return v.u.list;
    if (v.kind == V_UNDEFINED)
        return &nothing;
    list = value_list_new(a);
    if (list.kind != V_LIST)
        return &nothing;
    if (v.kind == V_DICT)
        for (size_t i = 0; i < v.u.dict->n; i++)
            value_list_add(a, list.u.list, v.u.dict->p[i].key);
    else if (v.kind == V_STRING)
        for (size_t i = 0; i < v.u.s.n && !a->st;) {
            uint32_t cp;
            bool bad = false;
            const size_t k = utf8_next(v.u.s.p + i, v.u.s.n - i, &cp, &bad);
            value_list_add(a, list.u.list, value_str(v.u.s.p + i, k));
            i += k;
        }
    else
        arena_fail(a, HONE_ERR_FORMAT, "%s has no elements to go through", value_kind(v));
    return list.u.list;
}

static int64_t count_points(hone_str s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

int64_t value_length(arena *a, value v)
{
    switch (v.kind) {
    case V_UNDEFINED:
        return 0;
    case V_STRING:
        return count_points(v.u.s);
    case V_LIST:
        return (int64_t)v.u.list->n;
    case V_DICT:
        return (int64_t)v.u.dict->n;
    default:
        arena_fail(a, HONE_ERR_FORMAT, "%s has no length", value_kind(v));
        return 0;
    }
}

/* Bytes of code points [from, to) of well-formed text. */
static hone_str cut_points(hone_str s, int64_t from, int64_t to)
{
    size_t at = 0, start = s.n, end = s.n;
    for (int64_t i = 0; at <= s.n; i++) {
        if (i == from)
            start = at;
        if (i == to) {
            end = at;
            break;
        }
        if (at == s.n)
            break;
        do
            at++;
        while (at < s.n && ((unsigned char)s.p[at] & 0xc0) == 0x80);
    }
    return start < end ? (hone_str){ s.p + start, end - start } : (hone_str){ s.p, 0 };
}

value value_at(arena *a, value v, int64_t i)
{
    const int64_t n = value_length(a, v);
    i += i < 0 ? n : 0;
    if (a->st || i < 0 || i >= n)
        return (value){ 0 };
    if (v.kind == V_LIST)
        return v.u.list->v[i];
    if (v.kind == V_STRING) {
        const hone_str s = cut_points(v.u.s, i, i + 1);
        return value_str(s.p, s.n);
    }
    return (value){ 0 };
}

static int64_t slice_end(arena *a, value v, int64_t missing, int64_t lo, int64_t hi, int64_t n)
{
    int64_t i = missing;
    if (v.kind == V_INT)
        i = v.u.i < -n ? lo : v.u.i < 0 ? v.u.i + n : v.u.i;
    else if (v.kind != V_NONE)
        arena_fail(a, HONE_ERR_FORMAT, "a slice by %s", value_kind(v));
    return i < lo ? lo : i > hi ? hi : i;
}

value value_slice(arena *a, value v, value from, value to, value step)
{
    if (v.kind != V_LIST && v.kind != V_STRING)
        arena_fail(a, v.kind == V_UNDEFINED ? HONE_ERR_FORMAT : HONE_ERR_UNSUPPORTED,
                   "a slice of %s", value_kind(v));
    if (a->st)
        return (value){ 0 };
    const int64_t n = value_length(a, v), by = step.kind == V_INT ? step.u.i : 1;
    if (by != 1 && by != -1)
        arena_fail(a, HONE_ERR_UNSUPPORTED, "a slice in steps of %lld", (long long)by);
    const int64_t lo = by < 0 ? -1 : 0, hi = by < 0 ? n - 1 : n;
    const int64_t start = slice_end(a, from, by < 0 ? hi : lo, lo, hi, n);
    const int64_t stop = slice_end(a, to, by < 0 ? lo : hi, lo, hi, n);
    if (a->st)
        return (value){ 0 };
    if (v.kind == V_STRING && by == 1) {
        const hone_str s = cut_points(v.u.s, start, stop > start ? stop : start);
        return value_str(s.p, s.n);
    }
    if (v.kind == V_STRING) {
        arena_fail(a, HONE_ERR_UNSUPPORTED, "text turned around");
        return (value){ 0 };
    }
    value list = value_list_new(a);
    for (int64_t i = start; list.kind == V_LIST && (by > 0 ? i < stop : i > stop); i += by)
        value_list_add(a, list.u.list, v.u.list->v[i]);
    return list;
}

static value loop_attr(arena *a, const loop_state *l, hone_str name)
{
    const int64_t at = (int64_t)l->at, n = (int64_t)l->items->n;
    const struct {
        const char *name;
        value v;
    } attrs[] = {
        { "index", value_int(at + 1) },
        { "index0", value_int(at) },
        { "revindex", value_int(n - at) },
        { "revindex0", value_int(n - at - 1) },
        { "first", value_bool(at == 0) },
        { "last", value_bool(at + 1 == n) },
        { "length", value_int(n) },
        { "previtem", at > 0 ? l->items->v[at - 1] : (value){ 0 } },
        { "nextitem", at + 1 < n ? l->items->v[at + 1] : (value){ 0 } },
    };
    for (size_t i = 0; i < sizeof attrs / sizeof *attrs; i++)
        if (str_is(name, attrs[i].name))
            return attrs[i].v;
    arena_fail(a, HONE_ERR_UNSUPPORTED, "loop.%.*s", (int)name.n, name.p);
    return (value){ 0 };
}

value value_attr(arena *a, value v, hone_str name)
{
    const value *found = NULL;
    if (v.kind == V_LOOP)
        return loop_attr(a, v.u.loop, name);
    if (v.kind == V_UNDEFINED)
        arena_fail(a, HONE_ERR_FORMAT, "\"%.*s\" of something undefined", (int)name.n, name.p);
    else if (v.kind == V_DICT || v.kind == V_NAMESPACE)
        found = value_dict_get(v.u.dict, value_str(name.p, name.n));
    return found ? *found : (value){ 0 };
}

bool value_contains(arena *a, value in, value what)
{
    if (in.kind == V_STRING && what.kind == V_STRING)
        return !what.u.s.n || (in.u.s.n && memmem(in.u.s.p, in.u.s.n, what.u.s.p, what.u.s.n));
    if (in.kind == V_DICT)
        return value_dict_get(in.u.dict, what) != NULL;
    if (in.kind == V_LIST) {
        for (size_t i = 0; i < in.u.list->n; i++)
            if (value_equal(a, in.u.list->v[i], what, 0))
                return true;
        return false;
    }
    if (in.kind != V_UNDEFINED)
        arena_fail(a, HONE_ERR_FORMAT, "%s in %s", value_kind(what), value_kind(in));
    return false;
}

/* --------------------------------------------------------------------------- sums */

static value join_strings(arena *a, hone_str x, hone_str y)
{
    char *p = arena_take(a, x.n + y.n + 1);
    if (!p)
        return (value){ 0 };
    memcpy(p, x.p, x.n);
    memcpy(p + x.n, y.p, y.n);
    return value_str(p, x.n + y.n);
}

static value join_lists(arena *a, const value_list *x, const value_list *y)
{
    value list = value_list_new(a);
    for (size_t i = 0; list.kind == V_LIST && i < x->n; i++)
        value_list_add(a, list.u.list, x->v[i]);
    for (size_t i = 0; list.kind == V_LIST && i < y->n; i++)
        value_list_add(a, list.u.list, y->v[i]);
    return list;
}

static value binary_ints(arena *a, int op, int64_t x, int64_t y)
{
    int64_t r = 0;
    bool bad = false;
    if ((op == OP_FLOOR || op == OP_MOD) && (y == 0 || y == -1)) {
        if (y)
            return op == OP_MOD ? value_int(0) : binary_ints(a, OP_SUB, 0, x);
        arena_fail(a, HONE_ERR_FORMAT, "a division by zero");
        return (value){ 0 };
    }
    switch (op) {
    case OP_ADD:
        bad = __builtin_add_overflow(x, y, &r);
        break;
    case OP_SUB:
        bad = __builtin_sub_overflow(x, y, &r);
        break;
    case OP_MUL:
        bad = __builtin_mul_overflow(x, y, &r);
        break;
    case OP_FLOOR: /* towards minus infinity, as Python does */
        r = x / y - (x % y != 0 && (x < 0) != (y < 0));
        break;
    default:
        r = x % y + (x % y != 0 && (x < 0) != (y < 0) ? y : 0);
    }
    if (bad)
        arena_fail(a, HONE_ERR_UNSUPPORTED, "a number beyond 64 bits");
    return value_int(r);
}

value value_binary(arena *a, int op, value x, value y)
{
    if (op == OP_CONCAT) {
        const hone_str s = value_to_str(a, x), t = value_to_str(a, y);
        return join_strings(a, s, t);
    }
    if (op == OP_ADD && x.kind == V_STRING && y.kind == V_STRING)
        return join_strings(a, x.u.s, y.u.s);
    if (op == OP_ADD && x.kind == V_LIST && y.kind == V_LIST)
        return join_lists(a, x.u.list, y.u.list);
    if (is_number(x) && is_number(y) && x.kind != V_FLOAT && y.kind != V_FLOAT && op != OP_DIV)
        return binary_ints(a, op, to_int(x), to_int(y));
    const bool python_could = op == OP_MUL || (is_number(x) && is_number(y));
    arena_fail(a, python_could ? HONE_ERR_UNSUPPORTED : HONE_ERR_FORMAT,
               "%s and %s cannot be put together", value_kind(x), value_kind(y));
    return (value){ 0 };
}
