/*
 * tokenizer_nfx.c - NFC, NFD, NFKC and NFKD with the original's byte ranges.
 *
 * utf8proc decomposes and composes single code points; ordering and composition are
 * done here, because a mapping back to the original is kept (UAX #15). Hugging Face's
 * normaliser works with tables of about Unicode 9: what later versions gave a
 * decomposition or a combining class is inert there, and therefore here. The lists
 * were made by asking Hugging Face tokenizers 0.23 about each code point.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_impl.h"

#include <utf8proc.h>

#define HANGUL_FIRST 0xac00u
#define INERT(kind) (1u << ((kind)-NORM_NFC))

static uint8_t inert[UC_FLAT]; /* bit per form: alone or in company, nothing changes */

/* clang-format off */
static const uint32_t no_decomposition[][2] = {
    { 0x32ff, 0x32ff }, { 0xa7f2, 0xa7f4 }, { 0xab69, 0xab69 }, { 0x10781, 0x107ba },
    { 0x11938, 0x11938 }, { 0x1e030, 0x1e06d }, { 0x1f16c, 0x1f16c }, { 0x1fbf0, 0x1fbf9 },
};
static const uint32_t no_combining_class[][2] = {
    { 0x7fd, 0x7fd }, { 0x898, 0x89f }, { 0x8ca, 0x8d3 }, { 0x9fe, 0x9fe }, { 0xc3c, 0xc3c },
    { 0xd3b, 0xd3c }, { 0xeba, 0xeba }, { 0x1715, 0x1715 }, { 0x1abf, 0x1ace },
    { 0x1df6, 0x1dfa }, { 0xa82c, 0xa82c }, { 0x10d24, 0x10d27 }, { 0x10eab, 0x10eac },
    { 0x10efd, 0x10eff }, { 0x10f46, 0x10f50 }, { 0x10f82, 0x10f85 }, { 0x11070, 0x11070 },
    { 0x1133b, 0x1133b }, { 0x1145e, 0x1145e }, { 0x11839, 0x1183a }, { 0x1193d, 0x1193e },
    { 0x11943, 0x11943 }, { 0x119e0, 0x119e0 }, { 0x11a34, 0x11a34 }, { 0x11a47, 0x11a47 },
    { 0x11a99, 0x11a99 }, { 0x11d42, 0x11d42 }, { 0x11d44, 0x11d45 }, { 0x11d97, 0x11d97 },
    { 0x11f41, 0x11f42 }, { 0x16ff0, 0x16ff1 }, { 0x1e08f, 0x1e08f }, { 0x1e130, 0x1e136 },
    { 0x1e2ae, 0x1e2ae }, { 0x1e2ec, 0x1e2ef }, { 0x1e4ec, 0x1e4ef },
};
/* clang-format on */

static bool listed(const uint32_t (*ranges)[2], size_t n, uint32_t cp)
{
    size_t i;
    for (i = 0; i < n && cp > ranges[i][1]; i++)
        ;
    return i < n && cp >= ranges[i][0];
}
#define LISTED(ranges, cp) listed(ranges, sizeof(ranges) / sizeof(ranges)[0], cp)

static uint32_t combining_class(uint32_t cp)
{
    const uint32_t c = (uint32_t)utf8proc_get_property((utf8proc_int32_t)cp)->combining_class;
    return c && LISTED(no_combining_class, cp) ? 0 : c;
}

static size_t decompose(uint32_t cp, bool compat, int32_t out[32])
{
    int last = 0;
    utf8proc_ssize_t n = 0;
    if (!LISTED(no_decomposition, cp))
        n = utf8proc_decompose_char((utf8proc_int32_t)cp, out, 32,
                                    (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                        (compat ? UTF8PROC_COMPAT : 0)),
                                    &last);
    if (n <= 0 || n > 32) {
        out[0] = (int32_t)cp;
        n = 1;
    }
    return (size_t)n;
}

/* The primary composite of two code points, or 0. */
static uint32_t compose(uint32_t a, uint32_t b)
{
    utf8proc_int32_t two[2] = { (utf8proc_int32_t)a, (utf8proc_int32_t)b };
    const utf8proc_ssize_t n =
        utf8proc_normalize_utf32(two, 2, (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    return n == 1 && !LISTED(no_decomposition, (uint32_t)two[0]) ? (uint32_t)two[0] : 0;
}

/* ------------------------------------------------------------------- code points in order */

/* Marks by class, stably. Those that change places share the bytes of their run, so that
 * ranges keep going forward. */
static void order_run(nf_char *c, size_t n)
{
    align all = c[0].from;
    size_t i, k;
    bool moved = false;
    for (i = 1; i < n; i++) {
        const nf_char x = c[i];
        all.b = x.from.b;
        for (k = i; k > 0 && c[k - 1].ccc > x.ccc; k--)
            c[k] = c[k - 1];
        c[k] = x;
        moved |= k != i;
    }
    for (i = 0; moved && i < n; i++)
        c[i].from = all;
}

static void order(nf_char *c, size_t n)
{
    size_t i, k;
    for (i = 0; i < n; i = k) {
        for (k = i; k < n && c[k].ccc; k++)
            ;
        if (k > i + 1)
            order_run(c + i, k - i);
        k += k == i;
    }
}

static size_t compose_all(nf_char *c, size_t n)
{
    size_t i, k = 0, starter = SIZE_MAX;
    for (i = 0; i < n; i++) {
        /* blocked: something stands between that is a starter or of no lower class */
        const bool adjacent = starter != SIZE_MAX && starter + 1 == k;
        if (starter != SIZE_MAX && (adjacent || (c[k - 1].ccc && c[k - 1].ccc < c[i].ccc))) {
            const uint32_t both = compose(c[starter].cp, c[i].cp);
            if (both) {
                c[starter].cp = both;
                if (c[i].from.a < c[starter].from.a)
                    c[starter].from.a = c[i].from.a;
                if (c[i].from.b > c[starter].from.b)
                    c[starter].from.b = c[i].from.b;
                continue;
            }
        }
        if (!c[i].ccc)
            starter = k;
        c[k++] = c[i];
    }
    return k;
}

hone_status normal_form(int kind, scratch *s, const view *v, aligned *out, hone_error *err)
{
    const bool compat = kind == NORM_NFKC || kind == NORM_NFKD;
    size_t n = 0, i, k, m, len;
    for (i = 0; i < v->n; i += len) {
        int32_t cps[32];
        m = decompose(uc_get(v->p + i, &len), compat, cps);
        if (!mem_grow(&s->nf, &s->cap_nf, n + m, sizeof *s->nf))
            return hone_fail(err, HONE_ERR_NOMEM, "no memory to normalize %u bytes", v->n);
        for (k = 0; k < m; k++)
            s->nf[n++] = (nf_char){ (uint32_t)cps[k], combining_class((uint32_t)cps[k]),
                                    view_range(v, (uint32_t)i, (uint32_t)(i + len)) };
    }
    order(s->nf, n);
    if (kind == NORM_NFC || kind == NORM_NFKC)
        n = compose_all(s->nf, n);
    for (i = 0; i < n; i++) {
        char buf[4];
        aligned_add(out, buf, utf8_put(s->nf[i].cp, buf), s->nf[i].from);
    }
    return HONE_OK;
}

/* --------------------------------------------------------------- nothing to do, mostly */

/* Does the form of cp alone, composed again, give cp? */
static bool composes_back(uint32_t cp, bool compat)
{
    int32_t cps[32];
    nf_char c[32];
    size_t n = decompose(cp, compat, cps), i;
    for (i = 0; i < n; i++)
        c[i] = (nf_char){ (uint32_t)cps[i], combining_class((uint32_t)cps[i]), { 0, 0 } };
    order(c, n);
    return compose_all(c, n) == 1 && c[0].cp == cp;
}

static void fill(void)
{
    static uint8_t second[UC_FLAT]; /* may compose with what is in front */
    static const int forms[] = { NORM_NFC, NORM_NFD, NORM_NFKC, NORM_NFKD };
    uint32_t cp;
    int32_t cps[32];
    size_t n, k;
    for (cp = 0; cp < UC_FLAT; cp++)
        for (n = decompose(cp, false, cps), k = 1; k < n; k++)
            if ((uint32_t)cps[k] < UC_FLAT)
                second[cps[k]] = 1;
    for (cp = 0; cp < UC_FLAT; cp++) {
        if (combining_class(cp))
            continue;
        for (k = 0; k < 4; k++) {
            const bool composed = forms[k] == NORM_NFC || forms[k] == NORM_NFKC;
            const bool compat = forms[k] == NORM_NFKC || forms[k] == NORM_NFKD;
            const bool same = decompose(cp, compat, cps) == 1 && (uint32_t)cps[0] == cp;
            if (same ? !composed || !second[cp]
                     : composed && !second[cp] && composes_back(cp, compat))
                inert[cp] |= (uint8_t)INERT(forms[k]);
        }
    }
}

void normal_form_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, fill);
}

bool normal_form_is_noop(int kind, const char *p, size_t n)
{
    const uint8_t bit = (uint8_t)INERT(kind);
    size_t i = 0, len;
    while (i < n) {
        uint64_t w;
        if (n - i >= 8) { /* ASCII is inert in every form */
            memcpy(&w, p + i, 8);
            if (!(w & 0x8080808080808080u)) {
                i += 8;
                continue;
            }
        }
        const uint32_t cp = uc_get(p + i, &len);
        if (cp >= UC_FLAT) {
            if (cp < 0xe0000) /* private planes are inert; of plane 14 none decomposes either */
                return false;
        } else if (!(inert[cp] & bit)) {
            return false;
        }
        i += len;
    }
    return true;
}
