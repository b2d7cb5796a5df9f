/*
 * options.c - config structs filled from rows: defaults, text, JSON.
 *
 * A value is parsed and checked completely before it is stored, so that a
 * refused one leaves the old one in place. Integers never pass through a
 * double. Numbers are read as in the C locale, whatever a library has set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/options.h"
#include "core/base/base.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* A parsed value on its way into the struct. */
typedef union value {
    bool b;
    int64_t i;
    double d;
    const char *s;
    hone_list list;
} value;

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

/* "train.lr" in a small buffer; the whole of it goes into messages only. */
typedef struct label {
    char p[128];
} label;

static label label_of(const char *section, const char *name)
{
    label l;
    (void)snprintf(l.p, sizeof l.p, "%s%s%s", section ? section : "",
                   section && section[0] ? "." : "", name);
    return l;
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
    const char *near = NULL, *names[64];
    hone_status status = HONE_OK;
    char *copy = mem_strdup(row->choices), *save = NULL, *word;
    size_t n = 0, i;
    if (!copy)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", at);
    for (word = strtok_r(copy, "|", &save); word && n < 64; word = strtok_r(NULL, "|", &save))
        names[n++] = word;
    for (i = 0; i < n; i++)
        if (strcmp(s, names[i]) == 0) {
            *out = (int64_t)i;
            goto out;
        }
    near = nearest_name(s, names, n);
    status = hone_fail(err, HONE_ERR_ARG, "%s: '%s' is none of %s%s%s%s", at, s, row->choices,
                       near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
out:
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
static void list_item(list_builder *b, const char *base, const char *p, size_t n)
{
    if (base && n && p[0] != '/') {
        text_puts(&b->bytes, base);
        text_putc(&b->bytes, '/');
    }
    text_add(&b->bytes, p, n);
    text_putc(&b->bytes, '\0');
    b->n++;
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
        list_item(&b, base, json_string_value(item), json_string_length(item));
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
        list_item(&b, base, p, n);
        p = comma ? comma + 1 : NULL;
    }
    status = list_done(&b, at, list, owned, err);
out:
    text_finish(&b.bytes);
    return status;
}

static hone_status copy_string(const hone_option *row, const char *at, const char *s,
                               const char *base, value *v, void **owned, hone_error *err)
{
    char *copy;
    if (row->type == HONE_OPT_PATH && !s[0])
        return hone_fail(err, HONE_ERR_ARG, "%s: the path is empty", at);
    copy = row->type == HONE_OPT_PATH ? path_join(base, s) : mem_strdup(s);
    if (!copy)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", at);
    v->s = copy;
    *owned = copy;
    return HONE_OK;
}

/* Text to value. base: where a relative path starts. */
static hone_status parse_text(const hone_option *row, const char *at, const char *s,
                              const char *base, value *v, void **owned, hone_error *err)
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

static hone_status parse_json(const hone_option *row, const char *at, const json_t *json,
                              const char *base, value *v, void **owned, hone_error *err)
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
        *v = (value){ .list = { NULL, 0 } };
        return HONE_OK;
    }
    if ((row->type == HONE_OPT_LIST || row->type == HONE_OPT_PATHS) && json_is_array(json))
        return list_from_json(json, at, row->type == HONE_OPT_PATHS ? base : NULL, &v->list, owned,
                              err);
    if (!json_is_string(json))
        return wrong_type(row, at, json, err);
    return parse_text(row, at, json_string_value(json), base, v, owned, err);
}

static void store(options *o, size_t i, const value *v, void *owned)
{
    memcpy((char *)o->config + o->table[i].offset, v, options_size(o->table[i].type));
    free(o->owned[i]);
    o->owned[i] = owned;
}

static size_t count_rows(const hone_option *table)
{
    size_t n = 0;
    while (table && table[n].name)
        n++;
    return n;
}

/* The folder `dir` as an absolute path; NULL: the working folder. */
static hone_status absolute(char **out, const char *dir, hone_error *err)
{
    char *cwd = NULL;
    if (dir && dir[0] == '/') {
        *out = mem_strdup(dir);
    } else {
        cwd = getcwd(NULL, 0);
        if (!cwd)
            return hone_fail(err, HONE_ERR_IO, "the working folder: %s", strerror(errno));
        *out = dir && dir[0] && strcmp(dir, ".") != 0 ? path_join(cwd, dir) : mem_strdup(cwd);
        free(cwd);
    }
    return *out ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "no memory for a path");
}

static hone_status set_default(options *o, size_t i, hone_error *err)
{
    const hone_option *row = &o->table[i];
    const label at = label_of(o->section, row->name);
    value v = { .list = { NULL, 0 } };
    void *owned = NULL;
    hone_status status;
    if (!options_size(row->type))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: unknown option type %u", at.p, row->type);
    if (row->type == HONE_OPT_ENUM && !(row->choices && row->choices[0]))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: an enum without choices", at.p);
    if (row->def) {
        status = parse_text(row, at.p, row->def, o->base, &v, &owned, err);
        if (status) {
            (void)hone_prefix(err, "default");
            return status;
        }
    } else if (row->type != HONE_OPT_STRING && row->type != HONE_OPT_PATH &&
               row->type != HONE_OPT_LIST && row->type != HONE_OPT_PATHS) {
        return hone_fail(err, HONE_ERR_FORMAT, "%s: the option has no default", at.p);
    }
    store(o, i, &v, owned);
    return HONE_OK;
}

hone_status options_init(options *o, const hone_option *table, void *config, const char *section,
                         const char *base, hone_error *err)
{
    const size_t n = count_rows(table);
    options fresh = { .table = table, .config = config, .section = section ? section : "" };
    size_t i;
    hone_status status = absolute(&fresh.base, base, err);
    if (status)
        return status;
    fresh.given = mem_new(n, sizeof *fresh.given);
    fresh.owned = mem_new(n, sizeof *fresh.owned);
    if (!fresh.given || !fresh.owned)
        status = hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu options", n);
    for (i = 0; i < n && !status; i++)
        status = set_default(&fresh, i, err);
    if (status) {
        options_finish(&fresh);
        return status;
    }
    *o = fresh;
    return HONE_OK;
}

void options_finish(options *o)
{
    const size_t n = o->owned ? count_rows(o->table) : 0;
    size_t i;
    for (i = 0; i < n; i++)
        free(o->owned[i]);
    free(o->owned);
    free(o->given);
    free(o->base);
    *o = (options){ 0 };
}

static bool find_row(const options *o, const char *name, size_t *i)
{
    const size_t n = count_rows(o->table);
    for (*i = 0; *i < n; ++*i)
        if (strcmp(o->table[*i].name, name) == 0)
            return true;
    return false;
}

static hone_status unknown(const options *o, const char *name, hone_error *err)
{
    const size_t n = count_rows(o->table);
    const label at = label_of(o->section, name);
    const char **names = mem_new(n, sizeof *names), *near;
    text known = { 0 };
    hone_status status;
    size_t i;
    if (!names)
        return hone_fail(err, HONE_ERR_NOMEM, "unknown option '%s'", at.p);
    for (i = 0; i < n; i++) {
        names[i] = o->table[i].name;
        text_printf(&known, "%s%s", i ? ", " : "", names[i]);
    }
    near = nearest_name(name, names, n);
    if (near) {
        const label good = label_of(o->section, near);
        status =
            hone_fail(err, HONE_ERR_ARG, "unknown option '%s'; did you mean '%s'?", at.p, good.p);
    } else if (n) {
        status = hone_fail(err, HONE_ERR_ARG, "unknown option '%s'; there are: %s", at.p,
                           known.failed ? "..." : known.p);
    } else {
        status = hone_fail(err, HONE_ERR_ARG, "unknown option '%s'; there are none", at.p);
    }
    text_finish(&known);
    free(names);
    return status;
}

hone_status options_set(options *o, const char *name, const char *s, hone_error *err)
{
    value v = { .list = { NULL, 0 } };
    void *owned = NULL;
    char *cwd = NULL;
    hone_status status;
    size_t i;
    if (!find_row(o, name, &i))
        return unknown(o, name, err);
    status = absolute(&cwd, NULL, err);
    if (!status)
        status = parse_text(&o->table[i], label_of(o->section, name).p, s, cwd, &v, &owned, err);
    free(cwd);
    if (status)
        return status;
    store(o, i, &v, owned);
    o->given[i] = true;
    return HONE_OK;
}

hone_status options_set_json(options *o, const char *name, const json_t *json, hone_error *err)
{
    value v = { .list = { NULL, 0 } };
    void *owned = NULL;
    hone_status status;
    size_t i;
    if (!find_row(o, name, &i))
        return unknown(o, name, err);
    status = parse_json(&o->table[i], label_of(o->section, name).p, json, o->base, &v, &owned, err);
    if (status)
        return status;
    store(o, i, &v, owned);
    o->given[i] = true;
    return HONE_OK;
}

hone_status options_set_object(options *o, const json_t *object, const char *const *skip,
                               hone_error *err)
{
    json_t *root = (json_t *)(uintptr_t)object; /* Jansson's iterators are not const */
    const char *key;
    json_t *member;
    if (!json_is_object(object))
        return hone_fail(err, HONE_ERR_ARG, "%s: an object with options is needed",
                         o->section[0] ? o->section : "options");
    json_object_foreach(root, key, member)
    {
        hone_status status;
        size_t i = 0;
        while (skip && skip[i] && strcmp(skip[i], key) != 0)
            i++;
        if (skip && skip[i])
            continue;
        status = options_set_json(o, key, member, err);
        if (status)
            return status;
    }
    return HONE_OK;
}

bool options_given(const options *o, const char *name)
{
    size_t i;
    return find_row(o, name, &i) && o->given[i];
}
