/*
 * decode.c - bytes in a named encoding to clean UTF-8, with a map back.
 *
 * The map is a list of runs: text offset and source offset walk in step from the run's start
 * until the next one. A UTF-8 file with '\n' line ends is one run.
 *
 * UTF-8, UTF-16 and windows-1252 are read here; the other charsets by iconv(3), one
 * character at a time, so that each has its place and each bad byte is counted. All of them
 * are stateless and have ASCII below 0x80. iconv loads its tables from files when it is
 * opened: that happens in decoder_init(), before a child gives up its right to open any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "decode.h"

#include <errno.h>
#include <iconv.h>
#include <stdio.h>

#define BY_ICONV 0
#define BY_UTF8 1
#define BY_CP1252 2
#define BY_UTF16LE 3
#define BY_UTF16BE 4

#define LOOK_FOR 65536 /* bytes in which zeros are counted */

struct charset {
    const char *name;   /* for iconv and messages */
    const char *labels; /* what documents call it, lower case, blank on both sides */
    int by;
};

/* clang-format off */
static const charset charsets[] = {
    { "UTF-8",          " utf-8 utf8 unicode-1-1-utf-8 ",                       BY_UTF8 },
    { "windows-1252",   " windows-1252 cp1252 x-cp1252 iso-8859-1 iso8859-1 iso_8859-1 latin1 latin-1 l1"
                        " ascii us-ascii ansi_x3.4-1968 ",                      BY_CP1252 },
    { "UTF-16LE",       " utf-16le utf-16 utf16 utf-16-le unicode ",            BY_UTF16LE },
    { "UTF-16BE",       " utf-16be ",                                           BY_UTF16BE },
    { "ISO-8859-2",     " iso-8859-2 iso8859-2 latin2 ",                        BY_ICONV },
    { "ISO-8859-3",     " iso-8859-3 iso8859-3 latin3 ",                        BY_ICONV },
    { "ISO-8859-4",     " iso-8859-4 iso8859-4 latin4 ",                        BY_ICONV },
    { "ISO-8859-5",     " iso-8859-5 iso8859-5 cyrillic ",                      BY_ICONV },
    { "ISO-8859-6",     " iso-8859-6 iso8859-6 arabic ",                        BY_ICONV },
    { "ISO-8859-7",     " iso-8859-7 iso8859-7 greek ",                         BY_ICONV },
    { "ISO-8859-8",     " iso-8859-8 iso8859-8 hebrew iso-8859-8-i ",           BY_ICONV },
    { "ISO-8859-10",    " iso-8859-10 iso8859-10 latin6 ",                      BY_ICONV },
    { "ISO-8859-13",    " iso-8859-13 iso8859-13 ",                             BY_ICONV },
    { "ISO-8859-14",    " iso-8859-14 iso8859-14 ",                             BY_ICONV },
    { "ISO-8859-15",    " iso-8859-15 iso8859-15 latin9 l9 ",                   BY_ICONV },
    { "ISO-8859-16",    " iso-8859-16 iso8859-16 ",                             BY_ICONV },
    { "WINDOWS-1250",   " windows-1250 cp1250 ",                                BY_ICONV },
    { "WINDOWS-1251",   " windows-1251 cp1251 ",                                BY_ICONV },
    { "WINDOWS-1253",   " windows-1253 cp1253 ",                                BY_ICONV },
    { "WINDOWS-1254",   " windows-1254 cp1254 iso-8859-9 iso8859-9 latin5 ",    BY_ICONV },
    { "WINDOWS-1256",   " windows-1256 cp1256 ",                                BY_ICONV },
    { "WINDOWS-1257",   " windows-1257 cp1257 ",                                BY_ICONV },
    { "KOI8-R",         " koi8-r koi8 koi8_r ",                                 BY_ICONV },
    { "KOI8-U",         " koi8-u ",                                             BY_ICONV },
    { "IBM866",         " ibm866 cp866 866 ",                                   BY_ICONV },
    { "MACINTOSH",      " macintosh mac x-mac-roman ",                          BY_ICONV },
    { "WINDOWS-31J",    " shift_jis shift-jis sjis windows-31j ms_kanji x-sjis cp932 ", BY_ICONV },
    { "EUC-JP",         " euc-jp x-euc-jp ",                                    BY_ICONV },
    { "GBK",            " gbk gb2312 gb_2312-80 x-gbk chinese cp936 ",          BY_ICONV },
    { "GB18030",        " gb18030 ",                                            BY_ICONV },
    { "BIG5",           " big5 big5-hkscs cn-big5 x-x-big5 ",                   BY_ICONV },
    { "UHC",            " euc-kr ks_c_5601-1987 korean windows-949 cp949 uhc ", BY_ICONV },
};
/* clang-format on */
#define N_CHARSETS (sizeof charsets / sizeof charsets[0])
#define UTF8_ROW (&charsets[0])

typedef struct run {
    uint64_t text, src; /* offsets */
} run;

static const uint16_t cp1252_high[32] = {
    0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008d, 0x017d, 0x008f, 0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x009d, 0x017e, 0x0178,
};

uint32_t decode_cp1252(uint32_t c)
{
    return c >= 0x80 && c < 0xa0 ? cp1252_high[c - 0x80] : c;
}

/* NULL: nobody calls an encoding that. */
static const charset *charset_find(hone_str label)
{
    char padded[64];
    uint64_t n = 0;
    while (label.n && (label.p[0] == ' ' || label.p[0] == '\t'))
        label.p++, label.n--;
    while (label.n && (label.p[label.n - 1] == ' ' || label.p[label.n - 1] == '\t'))
        label.n--;
    if (!label.n || label.n > sizeof padded - 3)
        return NULL;
    padded[n++] = ' ';
    for (uint64_t i = 0; i < label.n; i++) {
        const char c = label.p[i];
        if (c == ' ' || !c)
            return NULL;
        padded[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    padded[n++] = ' ';
    padded[n] = '\0';
    for (size_t i = 0; i < N_CHARSETS; i++)
        if (strstr(charsets[i].labels, padded))
            return &charsets[i];
    return NULL;
}

hone_status decoder_init(decoder *d, const hone_host *host, const char *reader,
                         const char *encoding, bool all, hone_error *err)
{
    hone_status st = HONE_OK;
    *d = (decoder){ .reader = reader, .host = host };
    if (encoding && strcmp(encoding, "auto") != 0) {
        d->fixed = charset_find(hone_s(encoding));
        if (!d->fixed)
            return hone_fail(err, HONE_ERR_ARG,
                             "%s.encoding: \"%s\" is not a known encoding; examples: auto, utf-8, "
                             "utf-16le, windows-1252, iso-8859-2, shift_jis",
                             reader, encoding);
    }
    d->converters = host->alloc(host, N_CHARSETS * sizeof *d->converters, _Alignof(void *), reader);
    if (!d->converters)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for converters", reader);
    memset(d->converters, 0, N_CHARSETS * sizeof *d->converters);
    for (size_t i = 0; i < N_CHARSETS; i++) {
        iconv_t cd;
        if (charsets[i].by != BY_ICONV || (!all && d->fixed != &charsets[i]))
            continue;
        cd = iconv_open("UTF-8", charsets[i].name);
        if (cd != (iconv_t)-1)
            d->converters[i] = cd;
        else if (d->fixed == &charsets[i]) {
            st = hone_fail(err, HONE_ERR_UNSUPPORTED,
                           "%s.encoding: this machine's iconv has no %s; convert the documents to "
                           "UTF-8",
                           reader, charsets[i].name);
            goto out;
        }
    }
out:
    if (st != HONE_OK)
        decoder_finish(d);
    return st;
}

void decoder_finish(decoder *d)
{
    if (!d->converters)
        return;
    for (size_t i = 0; i < N_CHARSETS; i++)
        if (d->converters[i])
            (void)iconv_close(d->converters[i]);
    d->host->free(d->host, d->converters);
    d->converters = NULL;
}

/* One code point from p (n > 0 bytes left): bytes taken, and *cp, UINT32_MAX for bytes that
 * mean nothing. */
typedef uint64_t next_fn(const char *p, uint64_t n, uint32_t *cp, void *converter);

static uint64_t next_utf8(const char *p, uint64_t n, uint32_t *cp, void *converter)
{
    (void)converter;
    return hone_utf8_next(p, n, cp);
}

static uint64_t next_cp1252(const char *p, uint64_t n, uint32_t *cp, void *converter)
{
    (void)n;
    (void)converter;
    *cp = decode_cp1252((unsigned char)p[0]);
    return 1;
}

static uint64_t next_utf16(const char *p, uint64_t n, uint32_t *cp, int high)
{
    const unsigned char *s = (const unsigned char *)p;
    uint32_t a, b;
    *cp = UINT32_MAX;
    if (n < 2)
        return n;
    a = (uint32_t)s[high] << 8 | s[1 - high];
    if (a < 0xd800 || a >= 0xe000) {
        *cp = a;
        return 2;
    }
    if (a >= 0xdc00 || n < 4)
        return 2; /* half of a pair */
    b = (uint32_t)s[2 + high] << 8 | s[3 - high];
    if (b < 0xdc00 || b >= 0xe000)
        return 2;
    *cp = 0x10000 + ((a - 0xd800) << 10) + (b - 0xdc00);
    return 4;
}

static uint64_t next_utf16le(const char *p, uint64_t n, uint32_t *cp, void *converter)
{
    (void)converter;
    return next_utf16(p, n, cp, 1);
}

static uint64_t next_utf16be(const char *p, uint64_t n, uint32_t *cp, void *converter)
{
    (void)converter;
    return next_utf16(p, n, cp, 0);
}

static uint64_t next_iconv(const char *p, uint64_t n, uint32_t *cp, void *converter)
{
    char out[8];
    if ((unsigned char)p[0] < 0x80) {
        *cp = (unsigned char)p[0];
        return 1;
    }
    *cp = UINT32_MAX;
    for (size_t k = 1; k <= 8 && k <= n; k++) { /* the shortest piece that is a character */
        char in[8];
        char *from = in, *to = out;
        size_t n_in = k, n_out = sizeof out;
        memcpy(in, p, k);
        (void)iconv(converter, NULL, NULL, NULL, NULL);
        if (iconv(converter, &from, &n_in, &to, &n_out) == (size_t)-1) {
            if (errno == EINVAL)
                continue;
            return 1;
        }
        if (to > out && hone_utf8_next(out, (uint64_t)(to - out), cp) == (uint64_t)(to - out))
            return k;
        *cp =
            UINT32_MAX; /* two code points for one character: none of our charsets but BIG5-HKSCS */
        return k;
    }
    return 1;
}

static next_fn *const readers[] = { next_iconv, next_utf8, next_cp1252, next_utf16le,
                                    next_utf16be };

static const charset *row_by(int by)
{
    size_t i = 0;
    while (charsets[i].by != by)
        i++;
    return &charsets[i];
}

/* UTF-16 without a mark: text of any language has blanks and line ends, whose high half is zero,
 * and no zeros on the other side. */
static const charset *look_for_utf16(hone_str bytes)
{
    const uint64_t n = bytes.n < LOOK_FOR ? bytes.n & ~1ull : LOOK_FOR;
    uint64_t zeros[2] = { 0, 0 };
    for (uint64_t i = 0; i < n; i++)
        zeros[i & 1] += bytes.p[i] == 0;
    if (bytes.n % 2 || n < 8)
        return NULL;
    if (zeros[1] * 10 > n && zeros[0] * 50 < n)
        return row_by(BY_UTF16LE);
    return zeros[0] * 10 > n && zeros[1] * 50 < n ? row_by(BY_UTF16BE) : NULL;
}

/* Text that is not UTF-8 is windows-1252 when more of its high bytes stand alone than in sequences
 * of UTF-8, each is a letter or sign there, and no control character is among the others. A
 * UTF-8 text with a few bad bytes stays UTF-8. */
static const charset *look_for_cp1252(hone_str bytes)
{
    uint64_t alone = 0, good = 0, letters = 0;
    for (uint64_t i = 0, k; i < bytes.n; i += k) {
        const unsigned char c = (unsigned char)bytes.p[i];
        uint32_t cp;
        k = 1;
        if (c < 0x80) {
            if (c < 0x20 && !strchr("\t\n\r\f\x1b", c))
                return NULL;
            continue;
        }
        k = hone_utf8_next(bytes.p + i, bytes.n - i, &cp);
        if (cp != UINT32_MAX) {
            good++;
            continue;
        }
        if (c == 0x81 || c == 0x8d || c == 0x8f || c == 0x90 || c == 0x9d)
            return NULL;
        alone++;
        letters += c >= 0xc0 || c >= 0x91;
    }
    return alone > good && letters * 2 > alone && alone * 4 < bytes.n ? row_by(BY_CP1252) : NULL;
}

/* The charset to read with, and in *skip the length of the byte order mark. */
static hone_status choose(const decoder *d, const charset **out, uint64_t *skip, hone_str bytes,
                          hone_str label, hone_error *err)
{
    static const struct {
        const char *mark;
        uint64_t n;
        int by;
    } marks[] = { { "\xef\xbb\xbf", 3, BY_UTF8 },
                  { "\xff\xfe", 2, BY_UTF16LE },
                  { "\xfe\xff", 2, BY_UTF16BE } };
    *skip = 0;
    if (bytes.n >= 4 &&
        (memcmp(bytes.p, "\xff\xfe\0\0", 4) == 0 || memcmp(bytes.p, "\0\0\xfe\xff", 4) == 0))
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "UTF-32 text is not read; convert it to UTF-8");
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (bytes.n >= marks[i].n && memcmp(bytes.p, marks[i].mark, marks[i].n) == 0) {
            *skip = marks[i].n;
            for (size_t k = 0; k < N_CHARSETS; k++)
                if (charsets[k].by == marks[i].by)
                    *out = &charsets[k];
            return HONE_OK;
        }
    if (d->fixed)
        *out = d->fixed;
    else if (label.p)
        *out = charset_find(label);
    else if (!(*out = look_for_utf16(bytes)) && !(*out = look_for_cp1252(bytes)))
        *out = UTF8_ROW;
    if (!*out)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "the document calls its encoding \"%.*s\", which is not known; set "
                         "%s.encoding",
                         (int)(label.n < 40 ? label.n : 40), label.p, d->reader);
    return HONE_OK;
}

/* Start a new run unless text and source are still in step. */
static void mark(decoded *out, uint64_t src)
{
    const run *last =
        out->runs.n ? (const run *)(const void *)(out->runs.p + out->runs.n) - 1 : NULL;
    const run next = { out->text.n, src };
    if (!last || next.text - last->text != next.src - last->src)
        hone_text_add(&out->runs, (const char *)&next, sizeof next);
}

/* Bytes of a terminal's colour or cursor command at p (ESC "[" ... letter); 0: none. */
static uint64_t escape_length(const charset *cs, const char *p, uint64_t n)
{
    uint64_t i = 2;
    if (cs->by == BY_UTF16LE || cs->by == BY_UTF16BE || n < 3 || p[0] != 0x1b || p[1] != '[')
        return 0;
    while (i < n && i < 40 && p[i] >= 0x20 && p[i] < 0x40)
        i++;
    return i < n && p[i] >= 0x40 && p[i] < 0x7f ? i + 1 : 0;
}

/* Bytes at p that stay as they are: printable ASCII, tabs and line ends. */
static uint64_t plain_length(const charset *cs, const char *p, uint64_t n)
{
    uint64_t i = 0;
    if (cs->by != BY_UTF8 && cs->by != BY_CP1252)
        return 0;
    while (i < n && ((p[i] >= 0x20 && p[i] < 0x7f) || p[i] == '\t' || p[i] == '\n'))
        i++;
    return i;
}

hone_status decode(const decoder *d, decoded *out, const hone_source *source, hone_str label,
                   hone_error *err)
{
    const hone_str bytes = source->bytes;
    const charset *cs = NULL;
    void *converter;
    uint64_t i = 0, binary = 0;
    hone_status st;

    *out = (decoded){ .text = { .host = d->host, .tag = d->reader },
                      .runs = { .host = d->host, .tag = d->reader },
                      .n_src = bytes.n };
    st = choose(d, &cs, &i, bytes, label, err);
    if (st != HONE_OK)
        return st;
    converter = d->converters[cs - charsets];
    if (cs->by == BY_ICONV && !converter)
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "this machine's iconv has no %s", cs->name);
    out->charset = cs;
    (void)hone_text_reserve(&out->text, bytes.n - i);
    while (i < bytes.n && !out->text.failed && !out->runs.failed) {
        uint32_t cp;
        uint64_t k = plain_length(cs, bytes.p + i, bytes.n - i);
        if (k) {
            mark(out, i);
            hone_text_add(&out->text, bytes.p + i, k);
            i += k;
            continue;
        }
        k = escape_length(cs, bytes.p + i, bytes.n - i);
        if (k) {
            out->control += k;
            i += k;
            continue;
        }
        k = readers[cs->by](bytes.p + i, bytes.n - i, &cp, converter);
        if (cp == '\r' || cp == '\f' || cp == 0x85)
            cp = '\n';
        if (cp == UINT32_MAX) {
            out->bad += k;
            binary += k;
            cp = 0xfffd;
        } else if ((cp < 0x20 && cp != '\t' && cp != '\n') || (cp >= 0x7f && cp < 0xa0) ||
                   cp == 0xfeff || cp == 0xfffe || cp == 0xffff) {
            out->control += k;
            binary += k;
            i += k;
            continue;
        }
        mark(out, i);
        hone_text_put_code(&out->text, cp);
        i += k;
        if (cp == '\n' && i < bytes.n) { /* the second half of "\r\n" */
            uint32_t before, after;
            const uint64_t k2 = readers[cs->by](bytes.p + i, bytes.n - i, &after, converter);
            (void)readers[cs->by](bytes.p + i - k, k, &before, converter);
            if (before == '\r' && after == '\n')
                i += k2;
        }
    }
    st = hone_text_status(&out->text, err);
    if (st == HONE_OK)
        st = hone_text_status(&out->runs, err);
    if (st == HONE_OK && binary > 4 && binary > bytes.n / 10)
        st =
            hone_fail(err, HONE_ERR_FORMAT,
                      "not text in %s: %llu of %llu bytes mean nothing; set %s.encoding if it is "
                      "text in another encoding",
                      cs->name, (unsigned long long)binary, (unsigned long long)bytes.n, d->reader);
    if (st != HONE_OK)
        decoded_finish(out);
    return st;
}

void decoded_finish(decoded *d)
{
    hone_text_finish(&d->text);
    hone_text_finish(&d->runs);
}

void decoded_report(const decoded *d, const hone_block_sink *sink)
{
    if (d->bad)
        sink->lost(sink, d->bad,
                   "bytes that are not text in the document's encoding, read as U+FFFD");
    if (d->control)
        sink->lost(sink, d->control, "control characters");
    if (d->charset != UTF8_ROW && HONE_HAS_CALL(sink, note)) {
        char line[64];
        (void)snprintf(line, sizeof line, "read as %s", d->charset->name);
        sink->note(sink, line);
    }
}

uint64_t decoded_src(const decoded *d, uint64_t at)
{
    const run *runs = (const run *)(const void *)d->runs.p;
    uint64_t lo = 0, hi = d->runs.n / sizeof *runs;
    if (at >= d->text.n || !hi)
        return d->n_src;
    while (hi - lo > 1) {
        const uint64_t mid = lo + (hi - lo) / 2;
        if (runs[mid].text <= at)
            lo = mid;
        else
            hi = mid;
    }
    return runs[lo].src + (at - runs[lo].text);
}

void decoded_span(const decoded *d, uint64_t start, uint64_t end, hone_block *block)
{
    block->src_off = block->src_len = 0;
    if (end <= start)
        return;
    block->src_off = decoded_src(d, start);
    block->src_len = decoded_src(d, end) - block->src_off;
}
