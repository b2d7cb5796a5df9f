/*
 * tokenizer_nul.c - U+0000 in a tokenizer.json. Jansson takes no NUL in keys, and vocabularies
 * have one: it is read as a character that the file does not have, a private one, which stands
 * for it until the string is used.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_impl.h"

#include <stdlib.h>

bool nul_choose(char nul[5], const char *p, size_t n)
{
    uint32_t cp;
    for (cp = 0xf0000; cp < 0xf0100; cp++) {
        char escaped[16];
        const char *at = p;
        bool taken;
        nul[utf8_put(cp, nul)] = 0;
        taken = memmem(p, n, nul, 4) != NULL;
        (void)snprintf(escaped, sizeof escaped, "\\u%04x\\u%04x", 0xd800 + ((cp - 0x10000) >> 10),
                       0xdc00 + (cp & 0x3ff));
        while (!taken && (at = memmem(at, n - (size_t)(at - p), "\\u", 2))) {
            taken = n - (size_t)(at - p) >= 12 && strncasecmp(at, escaped, 12) == 0;
            at += 2;
        }
        if (!taken)
            return true;
    }
    return false;
}

void nul_hide(const char *nul, const char *p, size_t n, text *out)
{
    size_t i = 0, from = 0;
    while (i + 1 < n) {
        if (p[i] != '\\') {
            i++;
        } else if (n - i >= 6 && memcmp(p + i, "\\u0000", 6) == 0) {
            text_add(out, p + from, i - from);
            text_puts(out, nul);
            i += 6;
            from = i;
        } else {
            i += 2;
        }
    }
    text_add(out, p + from, n - from);
}

char *text_plain(const tokenizer *t, const char *s, size_t n, size_t *n_out)
{
    char *out = mem_strndup(s, n);
    size_t i, k = 0;
    for (i = 0; out && i < n;) {
        if (*t->nul && n - i >= 4 && memcmp(s + i, t->nul, 4) == 0) {
            out[k++] = 0;
            i += 4;
        } else {
            out[k++] = s[i++];
        }
    }
    if (out)
        out[k] = 0;
    *n_out = k;
    return out;
}

char *json_plain(const tokenizer *t, const json_t *s, size_t *n)
{
    return text_plain(t, json_string_value(s), json_string_length(s), n);
}
