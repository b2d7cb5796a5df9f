/*
 * options_show.c - rows and values for people: JSON, --help, Markdown, and the
 * nearest name when somebody mistyped one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/options.h"

#include <float.h>
#include <inttypes.h>
#include <stdlib.h>

static const char *type_name(uint32_t type)
{
    static const char *const names[] = { "",       "bool", "integer", "number", "text",
                                         "choice", "path", "list",    "paths" };
    return type < sizeof names / sizeof names[0] ? names[type] : "";
}

/* The choice number i of "a|b|c". */
static json_t *choice(const char *choices, int64_t i)
{
    size_t n;
    for (; i > 0 && choices; i--) {
        choices = strchr(choices, '|');
        choices = choices ? choices + 1 : NULL;
    }
    if (!choices)
        return json_null();
    n = strcspn(choices, "|");
    return json_stringn(choices, n);
}

static json_t *value_to_json(const hone_option *row, const void *field)
{
    option_value v;
    json_t *array;
    uint64_t i;
    memcpy(&v, field, options_size(row->type));
    switch (row->type) {
    case HONE_OPT_BOOL:
        return json_boolean(v.b);
    case HONE_OPT_I64:
        return json_integer(v.i);
    case HONE_OPT_F64:
        return json_real(v.d);
    case HONE_OPT_ENUM:
        return choice(row->choices, v.i);
    case HONE_OPT_LIST:
    case HONE_OPT_PATHS:
        array = json_array();
        for (i = 0; i < v.list.n; i++)
            if (json_array_append_new(array, json_string(v.list.items[i])) != 0) {
                json_decref(array);
                return NULL;
            }
        return array;
    default:
        return v.s ? json_string(v.s) : json_null();
    }
}

json_t *options_to_json(const options *o)
{
    json_t *object = json_object();
    const hone_option *row;
    for (row = o->table; object && row && row->name; row++)
        if (json_object_set_new(object, row->name,
                                value_to_json(row, (const char *)o->config + row->offset)) != 0) {
            json_decref(object);
            return NULL;
        }
    return object;
}

/* "1..1048576" or "a|b|c"; "" when every value goes. */
static void put_range(text *out, const hone_option *row)
{
    int64_t lo, hi;
    if (row->type == HONE_OPT_ENUM)
        text_puts(out, row->choices);
    if (row->type == HONE_OPT_I64) {
        option_range(row, &lo, &hi);
        if (lo == INT64_MIN && hi == INT64_MAX)
            return;
        if (hi == INT64_MAX)
            text_printf(out, "%" PRId64 "..", lo);
        else
            text_printf(out, "%" PRId64 "..%" PRId64, lo, hi);
    }
    if (row->type == HONE_OPT_F64) {
        if (row->min <= -DBL_MAX && row->max >= DBL_MAX)
            return;
        if (row->max >= DBL_MAX)
            text_printf(out, "%g..", row->min);
        else
            text_printf(out, "%g..%g", row->min, row->max);
    }
}

void options_help(text *out, const hone_option *table, const char *section)
{
    const hone_option *row;
    const char *dot = section && section[0] ? "." : "";
    for (row = table; row && row->name; row++) {
        text left = { 0 };
        text_printf(&left, "  --%s%s%s ", section ? section : "", dot, row->name);
        if (row->type == HONE_OPT_ENUM)
            text_puts(&left, row->choices);
        else
            text_puts(&left, type_name(row->type));
        if (left.failed) {
            out->failed = true;
            return;
        }
        text_printf(out, "%-34s  %s", left.p, row->help ? row->help : "");
        if (row->def && row->def[0])
            text_printf(out, " [%s]", row->def);
        text_putc(out, '\n');
        text_finish(&left);
    }
}

/* A cell: '|' would end it. */
static void put_cell(text *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '|')
            text_putc(out, '\\');
        text_putc(out, *s);
    }
}

void options_markdown(text *out, const hone_option *table, const char *section)
{
    const hone_option *row;
    const char *dot = section && section[0] ? "." : "";
    text_puts(out, "| option | type | default | range | meaning |\n|---|---|---|---|---|\n");
    for (row = table; row && row->name; row++) {
        text range = { 0 };
        put_range(&range, row);
        text_printf(out, "| `%s%s%s` | %s | ", section ? section : "", dot, row->name,
                    type_name(row->type));
        put_cell(out, row->def ? row->def : "");
        text_puts(out, " | ");
        put_cell(out, range.p ? range.p : "");
        text_puts(out, " | ");
        put_cell(out, row->help ? row->help : "");
        text_puts(out, " |\n");
        out->failed = out->failed || range.failed;
        text_finish(&range);
    }
}

/* Edits between two names: insert, delete, replace, swap neighbours (optimal string
 * alignment). Names of 64 and more are never near. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][65], *before = rows[0], *above = rows[1], *row = rows[2], *swap, i, j;
    const size_t m = strlen(a), n = strlen(b);
    if (m > 64 || n > 64)
        return SIZE_MAX;
    for (j = 0; j <= n; j++)
        above[j] = j;
    for (i = 1; i <= m; i++) {
        row[0] = i;
        for (j = 1; j <= n; j++) {
            size_t d = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < d)
                d = above[j] + 1;
            if (row[j - 1] + 1 < d)
                d = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < d)
                d = before[j - 2] + 1;
            row[j] = d;
        }
        swap = before;
        before = above;
        above = row;
        row = swap;
    }
    return above[n];
}

const char *nearest_name(const char *name, const char *const *candidates, size_t n)
{
    const size_t length = strlen(name);
    size_t bound = 2 + length / 4, i; /* as many edits make another word */
    const char *near = NULL;
    if (bound > length)
        bound = length;
    for (i = 0; i < n; i++) {
        const size_t d = distance(name, candidates[i]);
        if (d < bound) {
            bound = d;
            near = candidates[i];
        }
    }
    return near;
}
