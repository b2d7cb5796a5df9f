/*
 * options_value.c - one value of an option: from text or JSON, checked against its row.
 *
 * Integers never pass through a double. Numbers are read as in the C locale,
 * whatever a library has set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/options.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

size_t options_size(uint32_t type)
{
    static const size_t size[] = {
        [HONE_OPT_BOOL] = sizeof(bool),      [HONE_OPT_I64] = sizeof(int64_t),
        [HONE_OPT_F64] = sizeof(double),     [HONE_OPT_STRING] = sizeof(const char *),
        [HONE_OPT_ENUM] = sizeof(int64_t),   [HONE_OPT_PATH] = sizeof(const char *),
        [HONE_OPT_LIST] = sizeof(hone_list), [HONE_OPT_PATHS] = sizeof(hone_list),
    };
    return type < sizeof size / sizeof size[0] ? size[type] : 0;
}

void option_range(const hone_option *row, int64_t *lo, int64_t *hi)
{
    *lo = row->min <= (double)INT64_MIN ? INT64_MIN : (int64_t)ceil(row->min);
    *hi = row->max >= 0x1p63 ? INT64_MAX : (int64_t)floor(row->max);
}

static pthread_once_t locale_once = PTHREAD_ONCE_INIT;
static locale_t c_locale;

static void make_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static bool parse_double(const char *s, double *out)
{
    char *end;
    if (!s[0] || s[strspn(s, "0123456789+-.eE")] != '\0')
        return false; /* no blanks, hexadecimal, inf, nan */
    (void)pthread_once(&locale_once, make_locale);
    *out = c_locale ? strtod_l(s, &end, c_locale) : strtod(s, &end);
    return *end == '\0' && end != s;
}

static hone_status check_double(const hone_option *row, const char *at, const char *shown, double v,
                                hone_error *err)
{
    if (!isfinite(v) || !(v >= row->min && v <= row->max))
        return hone_fail(err, HONE_ERR_ARG, "%s: %s is outside [%g, %g]", at, shown, row->min,
                         row->max);
    return HONE_OK;
}

static hone_status check_integer(const hone_option *row, const char *at, const char *shown,
                                 int64_t v, bool overflow, hone_error *err)
{
    int64_t lo, hi;
    option_range(row, &lo, &hi);
    if (overflow || v < lo || v > hi)
        return hone_fail(err, HONE_ERR_ARG, "%s: %s is outside [%" PRId64 ", %" PRId64 "]", at,
                         shown, lo, hi);
    return HONE_OK;
}

static hone_status parse_bool(const char *at, const char *s, bool *out, hone_error *err)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {
        { "true", true }, { "false", false }, { "yes", true },
        { "no", false },  { "on", true },     { "off", false },
    };
    size_t i;
    for (i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(s, words[i].text) == 0) {
            *out = words[i].value;
            return HONE_OK;
        }
    return hone_fail(err, HONE_ERR_ARG, "%s: '%s' is neither true nor false", at, s);
}

static hone_status parse_enum(const hone_option *row, const char *at, const char *s, int64_t *out,
                              hone_error *err)
{
    const char *near = NULL, **names = NULL;
    hone_status status = HONE_OK;
    char *copy = mem_strdup(row->choices), *save = NULL, *word;
    size_t n = 0, cap = 0, i;
    if (!copy) {
        status = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", at);
        goto out;
    }
    for (word = strtok_r(copy, "|", &save); word; word = strtok_r(NULL, "|", &save)) {
        if (!mem_grow(&names, &cap, n + 1, sizeof *names)) {
            status = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", at);
            goto out;
        }
        names[n++] = word;
    }
    for (i = 0; i < n; i++)
        if (strcmp(s, names[i]) == 0) {
            *out = (int64_t)i;
            goto out;
        }
    near = nearest_name(s, names, n);
    status = hone_fail(err, HONE_ERR_ARG, "%s: '%s' is none of %s%s%s%s", at, s, row->choices,
                       near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
out:
    free(names);
    free(copy);
    return status;
}

/* One block: n pointers, then the strings. */
typedef struct list_builder {
    text bytes; /* items, each with its NUL */
    size_t n;
} list_builder;

static hone_status list_done(list_builder *b, const char *at, hone_list *list, void **owned,
                             hone_error *err)
{
    size_t bytes, i, k = 0;
    char *block;
    const char **items;
    if (b->bytes.failed || __builtin_mul_overflow(b->n, sizeof(char *), &bytes) ||
        __builtin_add_overflow(bytes, b->bytes.n, &bytes) || !(block = mem_new(bytes, 1)))
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for a list of %zu", at, b->n);
    items = (const char **)(void *)block;
    if (b->bytes.n)
        memcpy(block + b->n * sizeof(char *), b->bytes.p, b->bytes.n);
    for (i = 0; i < b->n; i++) {
        items[i] = block + b->n * sizeof(char *) + k;
        k += strlen(items[i]) + 1;
    }
    *list = (hone_list){ items, b->n };
    *owned = block;
    return HONE_OK;
}

/* One item; base: the folder of a relative path, NULL: the item is no path. */
static hone_status list_item(list_builder *b, const char *at, const char *base, const char *p,
                             size_t n, hone_error *err)
{
    if (base && !n)
        return hone_fail(err, HONE_ERR_ARG, "%s: item %zu of the list is an empty path", at,
                         b->n + 1);
    if (base) {
        char *item = mem_strndup(p, n), *path = item ? path_resolve(base, item) : NULL;
        if (path)
            text_puts(&b->bytes, path);
        else
            b->bytes.failed = true;
        free(item);
        free(path);
    } else {
        text_add(&b->bytes, p, n);
    }
    text_putc(&b->bytes, '\0');
    b->n++;
    return HONE_OK;
}

static hone_status list_from_json(const json_t *array, const char *at, const char *base,
                                  hone_list *list, void **owned, hone_error *err)
{
    list_builder b = { 0 };
    hone_status status = HONE_OK;
    size_t i;
    for (i = 0; i < json_array_size(array) && !status; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_string(item)) {
            status =
                hone_fail(err, HONE_ERR_ARG, "%s: item %zu of the list is not a string", at, i + 1);
            break;
        }
        status = list_item(&b, at, base, json_string_value(item), json_string_length(item), err);
    }
    if (!status)
        status = list_done(&b, at, list, owned, err);
    text_finish(&b.bytes);
    return status;
}

static hone_status list_from_text(const char *s, const char *at, const char *base, hone_list *list,
                                  void **owned, hone_error *err)
{
    list_builder b = { 0 };
    hone_status status = HONE_OK;
    const char *p = s;
    if (s[0] == '[') {
        json_t *array = NULL;
        status = json_parse(&array, s, strlen(s), at, err);
        if (!status)
            status = json_is_array(array)
                         ? list_from_json(array, at, base, list, owned, err)
                         : hone_fail(err, HONE_ERR_ARG, "%s: '%s' is not a list", at, s);
        json_decref(array);
        return status;
    }
    while (s[0] && p) {
        const char *comma = strchr(p, ',');
        size_t n = comma ? (size_t)(comma - p) : strlen(p);
        while (n && p[0] == ' ')
            p++, n--;
        while (n && p[n - 1] == ' ')
            n--;
        if (!n) {
            status = hone_fail(err, HONE_ERR_ARG, "%s: '%s' has an empty item", at, s);
            goto out;
        }
        status = list_item(&b, at, base, p, n, err);
        if (status)
            goto out;
        p = comma ? comma + 1 : NULL;
    }
    status = list_done(&b, at, list, owned, err);
out:
    text_finish(&b.bytes);
    return status;
}

static hone_status copy_string(const hone_option *row, const char *at, const char *s,
                               const char *base, option_value *v, void **owned, hone_error *err)
{
    char *copy;
    if (row->type == HONE_OPT_PATH && !s[0])
        return hone_fail(err, HONE_ERR_ARG, "%s: the path is empty", at);
    copy = row->type == HONE_OPT_PATH ? path_resolve(base, s) : mem_strdup(s);
    if (!copy)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", at);
    v->s = copy;
    *owned = copy;
    return HONE_OK;
}

/* Text to value. base: where a relative path starts. */
hone_status option_parse_text(const hone_option *row, const char *at, const char *s,
                              const char *base, option_value *v, void **owned, hone_error *err)
{
    char *end;
    switch (row->type) {
    case HONE_OPT_BOOL:
        return parse_bool(at, s, &v->b, err);
    case HONE_OPT_I64:
        if (!s[0] || s[strspn(s, "0123456789+-")] != '\0')
            return hone_fail(err, HONE_ERR_ARG, "%s: '%s' is not an integer", at, s);
        errno = 0;
        v->i = strtoll(s, &end, 10);
        if (*end != '\0' || end == s)
            return hone_fail(err, HONE_ERR_ARG, "%s: '%s' is not an integer", at, s);
        return check_integer(row, at, s, v->i, errno == ERANGE, err);
    case HONE_OPT_F64:
        if (!parse_double(s, &v->d))
            return hone_fail(err, HONE_ERR_ARG, "%s: '%s' is not a number", at, s);
        return check_double(row, at, s, v->d, err);
    case HONE_OPT_ENUM:
        return parse_enum(row, at, s, &v->i, err);
    case HONE_OPT_LIST:
        return list_from_text(s, at, NULL, &v->list, owned, err);
    case HONE_OPT_PATHS:
        return list_from_text(s, at, base, &v->list, owned, err);
    default:
        return copy_string(row, at, s, base, v, owned, err);
    }
}

static hone_status wrong_type(const hone_option *row, const char *at, const json_t *json,
                              hone_error *err)
{
    static const char *const given[] = { "an object", "an array", "a string", "a whole number",
                                         "a number",  "true",     "false",    "null" };
    static const char *const needed[] = {
        [HONE_OPT_BOOL] = "true or false",     [HONE_OPT_I64] = "a whole number",
        [HONE_OPT_F64] = "a number",           [HONE_OPT_STRING] = "a string",
        [HONE_OPT_ENUM] = "a string",          [HONE_OPT_PATH] = "a path",
        [HONE_OPT_LIST] = "a list of strings", [HONE_OPT_PATHS] = "a list of paths",
    };
    return hone_fail(err, HONE_ERR_ARG, "%s: %s was given, %s is needed", at,
                     given[json_typeof(json)], needed[row->type]);
}

hone_status option_parse_json(const hone_option *row, const char *at, const json_t *json,
                              const char *base, option_value *v, void **owned, hone_error *err)
{
    char shown[40];
    double d;
    switch (row->type) {
    case HONE_OPT_BOOL:
        if (!json_is_boolean(json))
            return wrong_type(row, at, json, err);
        v->b = json_is_true(json);
        return HONE_OK;
    case HONE_OPT_I64:
        if (!json_is_number(json))
            return wrong_type(row, at, json, err);
        if (json_is_integer(json)) {
            v->i = json_integer_value(json);
            (void)snprintf(shown, sizeof shown, "%" PRId64, v->i);
            return check_integer(row, at, shown, v->i, false, err);
        }
        d = json_real_value(json); /* 1e6 is a real to JSON */
        (void)snprintf(shown, sizeof shown, "%.15g", d);
        if (d != floor(d))
            return hone_fail(err, HONE_ERR_ARG, "%s: %s is not an integer", at, shown);
        if (fabs(d) >= 0x1p63)
            return check_integer(row, at, shown, 0, true, err);
        if (fabs(d) > 0x1p53)
            return hone_fail(err, HONE_ERR_ARG, "%s: write %s without exponent or point", at,
                             shown);
        v->i = (int64_t)d;
        return check_integer(row, at, shown, v->i, false, err);
    case HONE_OPT_F64:
        if (!json_is_number(json))
            return wrong_type(row, at, json, err);
        v->d = json_number_value(json);
        (void)snprintf(shown, sizeof shown, "%.15g", v->d);
        return check_double(row, at, shown, v->d, err);
    default:
        break;
    }
    if (json_is_null(json) && row->type != HONE_OPT_ENUM) { /* unset */
        *v = (option_value){ .list = { NULL, 0 } };
        return HONE_OK;
    }
    if ((row->type == HONE_OPT_LIST || row->type == HONE_OPT_PATHS) && json_is_array(json))
        return list_from_json(json, at, row->type == HONE_OPT_PATHS ? base : NULL, &v->list, owned,
                              err);
    if (!json_is_string(json))
        return wrong_type(row, at, json, err);
    return option_parse_text(row, at, json_string_value(json), base, v, owned, err);
}
