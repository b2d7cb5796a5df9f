/*
 * tokenizer_unicode.c - classes of code points, and the byte alphabet.
 *
 * Token ids depend on which code points are letters. Hugging Face's libraries know
 * Unicode 16 (Oniguruma) and 17 (Rust's own classes); Debian 12 has utf8proc 2.8
 * (Unicode 15) and PCRE2 10.42 (Unicode 14). The table below holds what came after
 * 14, so that every code point is classed as there. Made by asking Hugging Face
 * tokenizers 0.23 about each code point.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_impl.h"

#include <utf8proc.h>

/* clang-format off */
const uc_row uc_newer[] = {
    { "Lu", 0x1c89, 0x1c89 }, { "Lu", 0xa7cb, 0xa7cc }, { "Lu", 0xa7da, 0xa7da },
    { "Lu", 0xa7dc, 0xa7dc }, { "Lu", 0x10d50, 0x10d65 }, { "Ll", 0x1c8a, 0x1c8a },
    { "Ll", 0xa7cd, 0xa7cd }, { "Ll", 0xa7db, 0xa7db }, { "Ll", 0x10d70, 0x10d85 },
    { "Ll", 0x1df25, 0x1df2a }, { "Lm", 0x10d4e, 0x10d4e }, { "Lm", 0x10d6f, 0x10d6f },
    { "Lm", 0x16d40, 0x16d42 }, { "Lm", 0x16d6b, 0x16d6c }, { "Lm", 0x1e030, 0x1e06d },
    { "Lm", 0x1e4eb, 0x1e4eb }, { "Lo", 0x105c0, 0x105f3 }, { "Lo", 0x10d4a, 0x10d4d },
    { "Lo", 0x10d4f, 0x10d4f }, { "Lo", 0x10ec2, 0x10ec4 }, { "Lo", 0x1123f, 0x11240 },
    { "Lo", 0x11380, 0x11389 }, { "Lo", 0x1138b, 0x1138b }, { "Lo", 0x1138e, 0x1138e },
    { "Lo", 0x11390, 0x113b5 }, { "Lo", 0x113b7, 0x113b7 }, { "Lo", 0x113d1, 0x113d1 },
    { "Lo", 0x113d3, 0x113d3 }, { "Lo", 0x11bc0, 0x11be0 }, { "Lo", 0x11f02, 0x11f02 },
    { "Lo", 0x11f04, 0x11f10 }, { "Lo", 0x11f12, 0x11f33 }, { "Lo", 0x1342f, 0x1342f },
    { "Lo", 0x13441, 0x13446 }, { "Lo", 0x13460, 0x143fa }, { "Lo", 0x16100, 0x1611d },
    { "Lo", 0x16d43, 0x16d6a }, { "Lo", 0x18cff, 0x18cff }, { "Lo", 0x1b132, 0x1b132 },
    { "Lo", 0x1b155, 0x1b155 }, { "Lo", 0x1e4d0, 0x1e4ea }, { "Lo", 0x1e5d0, 0x1e5ed },
    { "Lo", 0x1e5f0, 0x1e5f0 }, { "Lo", 0x2b739, 0x2b739 }, { "Lo", 0x2ebf0, 0x2ee5d },
    { "Lo", 0x31350, 0x323af }, { "M", 0x897, 0x897 }, { "M", 0xcf3, 0xcf3 },
    { "M", 0xece, 0xece }, { "M", 0x10d69, 0x10d6d }, { "M", 0x10efc, 0x10eff },
    { "M", 0x11241, 0x11241 }, { "M", 0x113b8, 0x113c0 }, { "M", 0x113c2, 0x113c2 },
    { "M", 0x113c5, 0x113c5 }, { "M", 0x113c7, 0x113ca }, { "M", 0x113cc, 0x113d0 },
    { "M", 0x113d2, 0x113d2 }, { "M", 0x113e1, 0x113e2 }, { "M", 0x11f00, 0x11f01 },
    { "M", 0x11f03, 0x11f03 }, { "M", 0x11f34, 0x11f3a }, { "M", 0x11f3e, 0x11f42 },
    { "M", 0x11f5a, 0x11f5a }, { "M", 0x13440, 0x13440 }, { "M", 0x13447, 0x13455 },
    { "M", 0x1611e, 0x1612f }, { "M", 0x1e08f, 0x1e08f }, { "M", 0x1e4ec, 0x1e4ef },
    { "M", 0x1e5ee, 0x1e5ef }, { "Nd", 0x10d40, 0x10d49 }, { "Nd", 0x116d0, 0x116e3 },
    { "Nd", 0x11bf0, 0x11bf9 }, { "Nd", 0x11f50, 0x11f59 }, { "Nd", 0x16130, 0x16139 },
    { "Nd", 0x16d70, 0x16d79 }, { "Nd", 0x1ccf0, 0x1ccf9 }, { "Nd", 0x1e4f0, 0x1e4f9 },
    { "Nd", 0x1e5f1, 0x1e5fa }, { "No", 0x1d2c0, 0x1d2d3 }, { "P", 0x1b4e, 0x1b4f },
    { "P", 0x1b7f, 0x1b7f }, { "P", 0x10d6e, 0x10d6e }, { "P", 0x113d4, 0x113d5 },
    { "P", 0x113d7, 0x113d8 }, { "P", 0x11b00, 0x11b09 }, { "P", 0x11be1, 0x11be1 },
    { "P", 0x11f43, 0x11f4f }, { "P", 0x16d6d, 0x16d6f }, { "P", 0x1e5ff, 0x1e5ff },
    { "S", 0x2427, 0x2429 }, { "S", 0x2ffc, 0x2fff }, { "S", 0x31e4, 0x31e5 },
    { "S", 0x31ef, 0x31ef }, { "S", 0x10d8e, 0x10d8f }, { "S", 0x1cc00, 0x1ccef },
    { "S", 0x1cd00, 0x1ceb3 }, { "S", 0x1f6dc, 0x1f6dc }, { "S", 0x1f774, 0x1f776 },
    { "S", 0x1f77b, 0x1f77f }, { "S", 0x1f7d9, 0x1f7d9 }, { "S", 0x1f8b2, 0x1f8bb },
    { "S", 0x1f8c0, 0x1f8c1 }, { "S", 0x1fa75, 0x1fa77 }, { "S", 0x1fa87, 0x1fa89 },
    { "S", 0x1fa8f, 0x1fa8f }, { "S", 0x1faad, 0x1faaf }, { "S", 0x1fabb, 0x1fabf },
    { "S", 0x1fac6, 0x1fac6 }, { "S", 0x1face, 0x1facf }, { "S", 0x1fada, 0x1fadc },
    { "S", 0x1fadf, 0x1fadf }, { "S", 0x1fae8, 0x1fae9 }, { "S", 0x1faf7, 0x1faf8 },
    { "S", 0x1fbcb, 0x1fbef },
};
/* clang-format on */
const size_t uc_n_newer = sizeof uc_newer / sizeof uc_newer[0];

uint8_t uc_flags[UC_FLAT];

/* What Rust's char::is_numeric has beyond \p{N} of Unicode 16. */
static const uint32_t more_numeric[][2] = { { 0x11de0, 0x11de9 }, { 0x16ff4, 0x16ff6 } };

/* Alphabetic, but neither letter, mark nor number: circled and squared letters. */
static const uint32_t more_word[][2] = {
    { 0x24b6, 0x24e9 },   { 0x1f130, 0x1f149 }, { 0x1f150, 0x1f169 },
    { 0x1f170, 0x1f189 }, { 0x200c, 0x200d }, /* joiners: Join_Control */
};

static const uint32_t spaces[][2] = {
    { 0x09, 0x0d },     { 0x20, 0x20 },     { 0x85, 0x85 },     { 0xa0, 0xa0 },
    { 0x1680, 0x1680 }, { 0x2000, 0x200a }, { 0x2028, 0x2029 }, { 0x202f, 0x202f },
    { 0x205f, 0x205f }, { 0x3000, 0x3000 },
};

static uint8_t flags_of_category(utf8proc_category_t c)
{
    switch (c) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return UC_LETTER | UC_WORD;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
        return UC_NUMBER | UC_NUMERIC | UC_WORD;
    case UTF8PROC_CATEGORY_NO:
        return UC_NUMBER | UC_NUMERIC;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_PC:
        return UC_WORD;
    default:
        return 0;
    }
}

static void add_flags(const uint32_t (*ranges)[2], size_t n, uint8_t flags)
{
    size_t i;
    for (i = 0; i < n; i++)
        for (uint32_t c = ranges[i][0]; c <= ranges[i][1]; c++)
            uc_flags[c] |= flags;
}

static void fill(void)
{
    size_t i;
    uint32_t c;
    for (c = 0; c < UC_FLAT; c++)
        uc_flags[c] = flags_of_category(utf8proc_category((utf8proc_int32_t)c));
    for (i = 0; i < uc_n_newer; i++) {
        const uc_row *r = uc_newer + i;
        const uint8_t f = r->category[0] == 'L'   ? UC_LETTER | UC_WORD
                          : r->category[0] == 'M' ? UC_WORD
                          : r->category[0] != 'N' ? 0
                          : r->category[1] == 'd' ? UC_NUMBER | UC_NUMERIC | UC_WORD
                                                  : UC_NUMBER | UC_NUMERIC;
        for (c = r->lo; c <= r->hi; c++)
            uc_flags[c] = f;
    }
    add_flags(more_numeric, sizeof more_numeric / sizeof more_numeric[0], UC_NUMERIC);
    add_flags(more_word, sizeof more_word / sizeof more_word[0], UC_WORD);
    add_flags(spaces, sizeof spaces / sizeof spaces[0], UC_SPACE);
    uc_flags['\r'] |= UC_NEWLINE;
    uc_flags['\n'] |= UC_NEWLINE;
}

void uc_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, fill);
}

uint32_t uc_class_far(uint32_t cp)
{
    return cp >= 0xe0100 && cp <= 0xe01ef ? UC_WORD : 0; /* variation selectors are marks */
}

/* Cases that came after Unicode 15, and how far away the lower one is. */
static const struct {
    uint32_t lo, hi;
    int32_t step;
} newer_lower[] = {
    { 0x1c89, 0x1c89, 1 },      { 0xa7cb, 0xa7cb, 0x264 - 0xa7cb },
    { 0xa7cc, 0xa7cc, 1 },      { 0xa7ce, 0xa7ce, 1 },
    { 0xa7d2, 0xa7d2, 1 },      { 0xa7d4, 0xa7d4, 1 },
    { 0xa7da, 0xa7da, 1 },      { 0xa7dc, 0xa7dc, 0x19b - 0xa7dc },
    { 0x10d50, 0x10d65, 0x20 }, { 0x16ea0, 0x16eb8, 0x1b },
};

uint32_t uc_lower(uint32_t cp)
{
    size_t i;
    if (cp == 0x130)
        return 'i'; /* the dot above that follows is the caller's */
    for (i = 0; i < sizeof newer_lower / sizeof newer_lower[0]; i++)
        if (cp >= newer_lower[i].lo && cp <= newer_lower[i].hi)
            return (uint32_t)((int32_t)cp + newer_lower[i].step);
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
}

/* ------------------------------------------------------------------ well-formed UTF-8 */

size_t utf8_sequence(const char *p, size_t n, size_t *bad, bool *cut)
{
    const uint8_t *u = (const uint8_t *)p;
    uint8_t lo = 0x80, hi = 0xbf;
    size_t need, i;
    if (cut)
        *cut = false;
    if (u[0] < 0x80)
        return 1;
    *bad = 1;
    if (u[0] < 0xc2 || u[0] > 0xf4)
        return 0;
    need = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    if (u[0] == 0xe0)
        lo = 0xa0; /* overlong */
    else if (u[0] == 0xed)
        hi = 0x9f; /* surrogates */
    else if (u[0] == 0xf0)
        lo = 0x90; /* overlong */
    else if (u[0] == 0xf4)
        hi = 0x8f; /* above U+10FFFF */
    for (i = 1; i < need; i++, lo = 0x80, hi = 0xbf) {
        if (i == n && cut)
            *cut = true;
        if (i == n || u[i] < lo || u[i] > hi)
            return 0;
        *bad = i + 1;
    }
    return need;
}

int64_t utf8_mend(text *out, const char *p, size_t n)
{
    int64_t n_bad = 0;
    for (size_t i = 0; i < n;) {
        size_t bad = 0;
        const size_t k = utf8_sequence(p + i, n - i, &bad, NULL);
        if (k)
            text_add(out, p + i, k);
        else
            text_add(out, "\xef\xbf\xbd", 3);
        n_bad += k ? 0 : (int64_t)bad;
        i += k ? k : bad;
    }
    return n_bad;
}

/* ---------------------------------------------------------------- the byte alphabet */

static bool is_printable(uint32_t b)
{
    return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
}

/* Bytes that are no printable Latin-1 become U+0100, U+0101, ... in byte order:
 * 0..0x20 are the first 33 of them, 0x7f..0xa0 the next 34, 0xad the last. */
uint32_t byte_to_char(uint8_t b)
{
    if (is_printable(b))
        return b;
    return b <= 0x20 ? 0x100u + b : b <= 0xa0 ? 0x121u + (b - 0x7fu) : 0x143u;
}

int32_t char_to_byte(uint32_t cp)
{
    if (cp < 0x100)
        return is_printable(cp) ? (int32_t)cp : -1;
    if (cp <= 0x120)
        return (int32_t)(cp - 0x100);
    if (cp <= 0x142)
        return (int32_t)(cp - 0x121 + 0x7f);
    return cp == 0x143 ? 0xad : -1;
}

int64_t alphabet_to_bytes(const char *p, size_t n, char *out)
{
    size_t i = 0, k = 0, len;
    while (i < n) {
        const int32_t b = char_to_byte(uc_get(p + i, &len));
        if (b < 0)
            return -1;
        out[k++] = (char)b;
        i += len;
    }
    return (int64_t)k;
}

void text_add_raw(text *out, const char *p, size_t n)
{
    size_t i, len;
    for (i = 0; i < n; i += len)
        if (char_to_byte(uc_get(p + i, &len)) < 0)
            break;
    if (i < n) {
        text_add(out, p, n);
        return;
    }
    for (i = 0; i < n; i += len)
        text_putc(out, (char)char_to_byte(uc_get(p + i, &len)));
}
