/*
 * tokenizer_unicode.h - code points, their classes, and the byte alphabet. Private to core/data.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_DATA_TOKENIZER_UNICODE_H
#define CORE_DATA_TOKENIZER_UNICODE_H

#include "core/base/base.h"

#define UC_LETTER 1u   /* \p{L} */
#define UC_NUMBER 2u   /* \p{N} */
#define UC_SPACE 4u    /* White_Space */
#define UC_WORD 8u     /* \w as Rust's regex has it */
#define UC_NUMERIC 16u /* char::is_numeric of Rust */
#define UC_NEWLINE 32u /* CR, LF */

#define UC_FLAT 0x40000u /* code points with a row of their own; above: see uc_class */
extern uint8_t uc_flags[UC_FLAT];

void uc_init(void); /* fills uc_flags once; every open calls it [any] */
uint32_t uc_class_far(uint32_t cp);

static inline uint32_t uc_class(uint32_t cp)
{
    return cp < UC_FLAT ? uc_flags[cp] : uc_class_far(cp);
}

/* The code point at p of well-formed UTF-8, and its length. */
static inline uint32_t uc_get(const char *p, size_t *len)
{
    const uint8_t *u = (const uint8_t *)p;
    if (u[0] < 0x80) {
        *len = 1;
        return u[0];
    }
    if (u[0] < 0xe0) {
        *len = 2;
        return (uint32_t)(u[0] & 0x1f) << 6 | (u[1] & 0x3f);
    }
    if (u[0] < 0xf0) {
        *len = 3;
        return (uint32_t)(u[0] & 0x0f) << 12 | (uint32_t)(u[1] & 0x3f) << 6 | (u[2] & 0x3f);
    }
    *len = 4;
    return (uint32_t)(u[0] & 0x07) << 18 | (uint32_t)(u[1] & 0x3f) << 12 |
           (uint32_t)(u[2] & 0x3f) << 6 | (u[3] & 0x3f);
}

static inline size_t uc_len(char lead) /* bytes of the code point that starts with lead */
{
    const uint8_t u = (uint8_t)lead;
    return u < 0x80 ? 1 : u < 0xe0 ? 2 : u < 0xf0 ? 3 : 4;
}

/* What the classes have gained since Unicode 14. */
typedef struct uc_row {
    char category[3]; /* "Lu", "M", ... */
    uint32_t lo, hi;
} uc_row;
extern const uc_row uc_newer[];
extern const size_t uc_n_newer;

/* The GPT-2 alphabet: a printable code point for every byte, and back (-1: not of it). */
uint32_t byte_to_char(uint8_t b);
int32_t char_to_byte(uint32_t cp);
uint32_t uc_lower(uint32_t cp); /* simple lower case */

/* Bytes of the well-formed sequence at p, or 0: then *bad is how many bytes U+FFFD stands
 * for (the longest start of a well-formed one, at least 1) and *cut (may be NULL)
 * whether the text ended too early. */
size_t utf8_sequence(const char *p, size_t n, size_t *bad, bool *cut);

/* The bytes that a string in the alphabet stands for; any other string as it is. */
void text_add_raw(text *out, const char *p, size_t n);
/* Piece in that alphabet to bytes, at most n of them, into out; -1 when a character
 * is not of the alphabet. */
int64_t alphabet_to_bytes(const char *p, size_t n, char *out);

#endif /* CORE_DATA_TOKENIZER_UNICODE_H */
