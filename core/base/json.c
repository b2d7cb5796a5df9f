/*
 * json.c - JSON in with places, JSON out with short numbers.
 *
 * Jansson parses. What is added: file:line:column in front of every message, a
 * depth limit small enough for recursive readers, a leading byte-order mark
 * skipped; and a writer of our own, because Jansson prints 2e-4 as
 * 0.00020000000000000001 in files that people read and edit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_DEPTH 128
#define MAX_BYTES ((size_t)1 << 30)

/* The place where nesting passes MAX_DEPTH, or true when it never does. */
static bool depth_ok(const char *p, size_t n, int *line, int *column)
{
    int depth = 0;
    bool quoted = false;
    size_t i, start = 0;
    *line = 1;
    for (i = 0; i < n; i++) {
        const char c = p[i];
        if (c == '\n') {
            ++*line;
            start = i + 1;
        } else if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[' || c == '{') {
            *column = (int)(i - start) + 1;
            if (++depth > MAX_DEPTH)
                return false;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return true;
}

/* Digits (with a sign) that no int64 holds. */
static bool is_beyond_int64(const char *p, size_t n)
{
    char digits[24];
    if (n < 19)
        return false;
    if (n >= sizeof digits)
        return true;
    memcpy(digits, p, n);
    digits[n] = '\0';
    errno = 0;
    (void)strtoll(digits, NULL, 10);
    return errno == ERANGE;
}

/* A copy in which whole numbers that no int64 holds end in ".0", and so become reals. Published
 * tokenizer configs have such: "model_max_length": 1000000000000000019884624838656. */
static bool widen_integers(text *out, const char *p, size_t n)
{
    bool in_string = false;
    size_t i = 0, end;
    for (i = 0; i < n && !out->failed; i = end) {
        bool whole = false;
        end = i + 1;
        if (in_string) {
            if (p[i] == '\\' && end < n)
                end++;
            in_string = p[i] != '"';
        } else if (p[i] == '"') {
            in_string = true;
        } else if (p[i] == '-' || (p[i] >= '0' && p[i] <= '9')) {
            while (end < n && p[end] && strchr("0123456789+-.eE", p[end]))
                end++;
            whole = !memchr(p + i, '.', end - i) && !memchr(p + i, 'e', end - i) &&
                    !memchr(p + i, 'E', end - i);
        }
        text_add(out, p + i, end - i);
        if (whole && is_beyond_int64(p + i, end - i))
            text_puts(out, ".0");
    }
    return !out->failed;
}

static hone_status parse(json_t **out, const char *p, size_t n, size_t flags, const char *what,
                         hone_error *err)
{
    json_error_t e;
    json_t *root;
    text wide = { 0 };
    int line = 1, column = 1;
    char *c;
    if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        p += 3;
        n -= 3;
    }
    if (!depth_ok(p, n, &line, &column))
        return hone_fail(err, HONE_ERR_LIMIT, "%s:%d:%d: nested deeper than %d", what, line, column,
                         MAX_DEPTH);
    flags |= JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
    root = json_loadb(p, n, flags, &e);
    if (!root && json_error_code(&e) == json_error_numeric_overflow && widen_integers(&wide, p, n))
        root = json_loadb(wide.p, wide.n, flags, &e);
    text_finish(&wide);
    if (root) {
        *out = root;
        return HONE_OK;
    }
    if (json_error_code(&e) == json_error_out_of_memory)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory to parse it", what);
    if (json_error_code(&e) == json_error_null_character)
        (void)snprintf(e.text, sizeof e.text, "a string holds a NUL character");
    for (c = e.text; *c; c++) /* the text quotes the input */
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    return hone_fail(err, HONE_ERR_FORMAT, "%s:%d:%d: %s", what, e.line > 0 ? e.line : 1,
                     e.column > 0 ? e.column : 1, e.text);
}

hone_status json_parse(json_t **out, const char *p, size_t n, const char *what, hone_error *err)
{
    return parse(out, p, n, 0, what, err);
}

hone_status json_parse_texts(json_t **out, const char *p, size_t n, const char *what,
                             hone_error *err)
{
    return parse(out, p, n, JSON_ALLOW_NUL, what, err);
}

hone_status json_read(json_t **out, const char *path, hone_error *err)
{
    char *p = NULL;
    size_t n = 0;
    hone_status status = file_read(&p, &n, path, MAX_BYTES, err);
    if (!status)
        status = json_parse(out, p, n, path, err);
    free(p);
    return status;
}

/* The shortest of 15, 16, 17 digits that reads back as the same double. */
static void put_real(text *t, double value)
{
    char buf[40];
    int digits;
    for (digits = 15; digits <= 17; digits++) {
        (void)snprintf(buf, sizeof buf, "%.*g", digits, value);
        if (strtod(buf, NULL) == value)
            break;
    }
    if (!strpbrk(buf, ".e")) /* stays a real when it is read again */
        strcat(buf, ".0");
    text_puts(t, buf);
}

static void put_string(text *t, const json_t *value)
{
    char *quoted = json_dumps(value, JSON_ENCODE_ANY);
    if (!quoted) {
        t->failed = true;
        return;
    }
    text_puts(t, quoted);
    free(quoted);
}

static void new_line(text *t, int depth)
{
    text_putc(t, '\n');
    while (depth-- > 0)
        text_puts(t, "  ");
}

static bool is_flat(const json_t *array)
{
    size_t i;
    for (i = 0; i < json_array_size(array); i++)
        if (json_is_object(json_array_get(array, i)) || json_is_array(json_array_get(array, i)))
            return false;
    return true;
}

static void put_value(text *t, const json_t *value, int depth)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        void *i = json_object_iter((json_t *)(uintptr_t)value);
        text_putc(t, '{');
        while (i) {
            json_t *key = json_string_nocheck(json_object_iter_key(i));
            new_line(t, depth + 1);
            put_string(t, key);
            json_decref(key);
            text_puts(t, ": ");
            put_value(t, json_object_iter_value(i), depth + 1);
            i = json_object_iter_next((json_t *)(uintptr_t)value, i);
            if (i)
                text_putc(t, ',');
            else
                new_line(t, depth);
        }
        text_putc(t, '}');
        break;
    }
    case JSON_ARRAY: {
        const size_t n = json_array_size(value);
        const bool flat = is_flat(value);
        size_t i;
        text_putc(t, '[');
        for (i = 0; i < n; i++) {
            if (!flat)
                new_line(t, depth + 1);
            else if (i)
                text_putc(t, ' ');
            put_value(t, json_array_get(value, i), depth + 1);
            if (i + 1 < n)
                text_putc(t, ',');
        }
        if (n && !flat)
            new_line(t, depth);
        text_putc(t, ']');
        break;
    }
    case JSON_STRING:
        put_string(t, value);
        break;
    case JSON_INTEGER:
        text_printf(t, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        put_real(t, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        text_puts(t, json_is_true(value) ? "true" : json_is_false(value) ? "false" : "null");
        break;
    }
}

hone_status json_write(const json_t *root, const char *path, hone_error *err)
{
    text t = { 0 };
    hone_status status;
    put_value(&t, root, 0);
    text_putc(&t, '\n');
    status = text_status(&t, err);
    if (!status)
        status = file_write(path, t.p, t.n, err);
    text_finish(&t);
    return status;
}
