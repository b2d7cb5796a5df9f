/*
 * hone/text.h - growing text and UTF-8 for readers and recipes. No ABI: only
 * inline functions over hone_host, for plugins that would write them again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HONE_TEXT_H
#define HONE_TEXT_H

#include "host.h"

HONE_BEGIN

/* Growing bytes. Start from { .host = host, .tag = "..." }. A failed allocation sets `failed`
 * and later calls do nothing: a whole chain is checked once, with hone_text_status(). */
typedef struct hone_text {
    const hone_host *host; /* borrowed */
    const char *tag;       /* a literal: the memory is counted under it */
    char *p;               /* owned; NULL while empty; not NUL-terminated */
    uint64_t n, cap;
    uint32_t failed;
} hone_text;

/* Room for n more bytes; false: no memory, and nothing changed but `failed`. */
static inline int32_t hone_text_reserve(hone_text *t, uint64_t n)
{
    uint64_t cap = t->cap + t->cap / 2;
    char *p;
    if (t->failed)
        return 0;
    if (n <= t->cap - t->n)
        return 1;
    if (n > UINT64_MAX / 4 - t->n) {
        t->failed = 1;
        return 0;
    }
    if (cap < t->n + n)
        cap = t->n + n;
    if (cap < 64)
        cap = 64;
    p = (char *)t->host->alloc(t->host, cap, 1, t->tag);
    if (!p) {
        t->failed = 1;
        return 0;
    }
    if (t->n)
        memcpy(p, t->p, t->n);
    t->host->free(t->host, t->p);
    t->p = p;
    t->cap = cap;
    return 1;
}

static inline void hone_text_add(hone_text *t, const char *p, uint64_t n)
{
    if (n && hone_text_reserve(t, n)) {
        memcpy(t->p + t->n, p, n);
        t->n += n;
    }
}

static inline void hone_text_puts(hone_text *t, const char *s)
{
    hone_text_add(t, s, strlen(s));
}

static inline void hone_text_putc(hone_text *t, char c)
{
    hone_text_add(t, &c, 1);
}

static inline hone_str hone_text_str(const hone_text *t)
{
    hone_str s;
    s.p = t->p ? t->p : "";
    s.n = t->n;
    return s;
}

HONE_MUST_CHECK static inline hone_status hone_text_status(const hone_text *t, hone_error *err)
{
    if (t->failed)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %llu bytes of text", t->tag,
                         (unsigned long long)t->n);
    return HONE_OK;
}

/* n = 0; keeps the memory. */
static inline void hone_text_clear(hone_text *t)
{
    t->n = 0;
}

static inline void hone_text_finish(hone_text *t)
{
    if (t->p)
        t->host->free(t->host, t->p);
    t->p = NULL;
    t->n = t->cap = 0;
    t->failed = 0;
}

/* Bytes of the code point at p (n > 0 bytes are left), 1..4, and the code point in *cp. An
 * ill-formed byte counts 1 and gives *cp = UINT32_MAX. */
static inline uint64_t hone_utf8_next(const char *p, uint64_t n, uint32_t *cp)
{
    const unsigned char *s = (const unsigned char *)p;
    const uint32_t c = s[0];
    *cp = UINT32_MAX;
    if (c < 0x80) {
        *cp = c;
        return 1;
    }
    if (c >= 0xc2 && c < 0xe0 && n > 1 && (s[1] & 0xc0) == 0x80) {
        *cp = (c & 0x1f) << 6 | (s[1] & 0x3fu);
        return 2;
    }
    if (c >= 0xe0 && c < 0xf0 && n > 2 && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80) {
        const uint32_t v = (c & 0x0f) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
        if (v < 0x800 || (v >= 0xd800 && v < 0xe000))
            return 1; /* too long, or half of a pair */
        *cp = v;
        return 3;
    }
    if (c >= 0xf0 && c < 0xf5 && n > 3 && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80 &&
        (s[3] & 0xc0) == 0x80) {
        const uint32_t v =
            (c & 0x07) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 | (s[3] & 0x3fu);
        if (v < 0x10000 || v > 0x10ffff)
            return 1;
        *cp = v;
        return 4;
    }
    return 1;
}

/* cp as UTF-8; U+FFFD for what is no code point. Returns the bytes written. */
static inline uint64_t hone_utf8_put(uint32_t cp, char out[4])
{
    if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
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

static inline void hone_text_put_code(hone_text *t, uint32_t cp)
{
    char out[4];
    hone_text_add(t, out, hone_utf8_put(cp, out));
}

HONE_END

#endif /* HONE_TEXT_H */
