/*
 * text.c - growing bytes and UTF-8.
 *
 * utf8_next() follows table 3-7 of the Unicode standard: no overlong forms, no
 * surrogates, nothing above U+10FFFF. One bad byte is one replacement.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"

#include <stdlib.h>

/* Room for n more bytes and the NUL. */
static bool reserve(text *t, size_t n)
{
    size_t need;
    if (t->failed)
        return false;
    if (__builtin_add_overflow(t->n, n, &need) || __builtin_add_overflow(need, 1, &need) ||
        !mem_grow(&t->p, &t->cap, need, 1))
        t->failed = true;
    return !t->failed;
}

void text_add(text *t, const char *p, size_t n)
{
    if (!reserve(t, n))
        return;
    if (n)
        memcpy(t->p + t->n, p, n);
    t->n += n;
    t->p[t->n] = '\0';
}

void text_puts(text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

void text_putc(text *t, char c)
{
    text_add(t, &c, 1);
}

void text_printf(text *t, const char *format, ...)
{
    va_list args;
    int n;
    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) {
        t->failed = true;
        return;
    }
    if (!reserve(t, (size_t)n))
        return;
    va_start(args, format);
    (void)vsnprintf(t->p + t->n, (size_t)n + 1, format, args);
    va_end(args);
    t->n += (size_t)n;
}

hone_status text_status(const text *t, hone_error *err)
{
    if (t->failed)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a text of more than %zu bytes", t->n);
    return HONE_OK;
}

void text_clear(text *t)
{
    t->n = 0;
    t->failed = false;
    if (t->p)
        t->p[0] = '\0';
}

void text_finish(text *t)
{
    free(t->p);
    *t = (text){ 0 };
}

size_t utf8_next(const char *p, size_t n, uint32_t *cp, bool *bad)
{
    /* By lead byte: length, and the range the second byte must lie in. */
    static const struct {
        uint8_t first, last, len, lo, hi;
    } rows[] = {
        { 0x00, 0x7f, 1, 0x00, 0x00 }, { 0xc2, 0xdf, 2, 0x80, 0xbf }, { 0xe0, 0xe0, 3, 0xa0, 0xbf },
        { 0xe1, 0xec, 3, 0x80, 0xbf }, { 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf },
        { 0xf0, 0xf0, 4, 0x90, 0xbf }, { 0xf1, 0xf3, 4, 0x80, 0xbf }, { 0xf4, 0xf4, 4, 0x80, 0x8f },
    };
    static const uint8_t lead_bits[5] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    const uint8_t *b = (const uint8_t *)p;
    size_t i, k;
    *cp = 0xfffd;
    *bad = true;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const size_t len = rows[i].len;
        uint32_t c;
        if (b[0] < rows[i].first || b[0] > rows[i].last)
            continue;
        if (n < len || (len > 1 && (b[1] < rows[i].lo || b[1] > rows[i].hi)))
            return 1;
        c = b[0] & lead_bits[len];
        for (k = 1; k < len; k++) {
            if ((b[k] & 0xc0) != 0x80)
                return 1;
            c = c << 6 | (b[k] & 0x3fu);
        }
        *cp = c;
        *bad = false;
        return len;
    }
    return 1;
}

size_t utf8_put(uint32_t cp, char out[4])
{
    if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        cp = 0xfffd;
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

bool utf8_valid(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint32_t cp;
        bool bad;
        if ((uint8_t)p[i] < 0x80) { /* the common case, without the table */
            i++;
            continue;
        }
        i += utf8_next(p + i, n - i, &cp, &bad);
        if (bad)
            return false;
    }
    return true;
}
