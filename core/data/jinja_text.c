/*
 * jinja_text.c - what can be done to text: Python's string methods, as far as templates use
 * them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/jinja_impl.h"

static const value undefined = { 0 };

/* An argument by place or name; undefined when it is not given. */
value call_arg(const call_args *args, size_t at, const char *name)
{
    const value *v = args->named ? value_dict_get(args->named, value_text(name)) : NULL;
    return at < args->n ? args->v[at] : v ? *v : undefined;
}

hone_str value_want_str(arena *a, value v, const char *who)
{
    if (v.kind == V_STRING)
        return v.u.s;
    arena_fail(a, HONE_ERR_FORMAT, "%s wants text, not %s", who, value_kind(v));
    return hone_s("");
}

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
value jinja_strip(arena *a, hone_str s, value chars, bool left, bool right)
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
    const hone_str set = value_want_str(a, chars, "strip()");
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
value jinja_case(arena *a, hone_str s, bool upper, bool first_only)
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

value jinja_replace(arena *a, hone_str s, hone_str old, hone_str new)
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

value jinja_split(arena *a, hone_str s, value separator)
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

value jinja_join(arena *a, const value_list *l, hone_str by)
{
    value all = value_text("");
    for (size_t i = 0; i < l->n && !a->st; i++) {
        if (i)
            all = value_binary(a, OP_CONCAT, all, value_str(by.p, by.n));
        all = value_binary(a, OP_CONCAT, all, l->v[i]);
    }
    return all;
}
