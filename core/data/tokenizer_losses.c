/*
 * tokenizer_losses.c - what a text loses on its way to tokens: bytes that are no UTF-8, which
 * are repaired before anything else, and characters that the vocabulary lacks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_impl.h"

/* --------------------------------------------------------------------- ill-formed UTF-8 */

size_t text_well_formed(const char *p, size_t n)
{
    size_t i = 0, len, bad;
    while (i < n) {
        uint64_t w;
        if (n - i >= 8) {
            memcpy(&w, p + i, 8);
            if (!(w & 0x8080808080808080u)) {
                i += 8;
                continue;
            }
        }
        len = utf8_sequence(p + i, n - i, &bad, NULL);
        if (!len)
            break;
        i += len;
    }
    return i;
}

hone_status text_repair(scratch *s, const char *p, size_t n, hone_error *err)
{
    size_t i = 0, good, bad = 0;
    text_clear(&s->repaired);
    s->n_spots = 0;
    while (i < n) {
        good = text_well_formed(p + i, n - i);
        text_add(&s->repaired, p + i, good);
        i += good;
        if (i == n)
            break;
        (void)utf8_sequence(p + i, n - i, &bad, NULL);
        if (!mem_grow(&s->spots, &s->cap_spots, s->n_spots + 1, sizeof *s->spots))
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for tokens");
        s->spots[s->n_spots++] =
            (spot){ (uint32_t)s->repaired.n, (uint32_t)i, (uint32_t)(i + bad) };
        text_add(&s->repaired, "\xef\xbf\xbd", 3);
        i += bad;
    }
    return text_status(&s->repaired, err);
}

uint32_t repaired_place(const scratch *s, uint32_t x, bool is_end)
{
    size_t lo = 0, hi = s->n_spots; /* spots before lo begin at or before x */
    const spot *q;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (s->spots[mid].at <= x)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (!lo)
        return x;
    q = s->spots + lo - 1;
    if (x - q->at >= 3)
        return q->end + (x - q->at - 3);
    return is_end && x > q->at ? q->end : q->start;
}

/* ------------------------------------------------------------------------------ losses */

void losses_add(encode_losses *l, const tokenizer *t, const scratch *s, bool repaired,
                const tokens *out, size_t from)
{
    size_t i;
    for (i = 0; repaired && i < s->n_spots; i++)
        l->bad_bytes += s->spots[i].end - s->spots[i].start;
    for (i = from; t->unk >= 0 && i < out->n; i++)
        l->unknown += out->p[i].id == t->unk;
    if (s->dropped && !l->dropped)
        l->first = s->first_dropped;
    l->dropped += s->dropped;
}

void encode_losses_print(const encode_losses *l, text *out)
{
    const char *between = "";
    char c[5];
    if (l->bad_bytes) {
        text_printf(out, "%lld bytes are no UTF-8: taken as U+FFFD", (long long)l->bad_bytes);
        between = "; ";
    }
    if (l->unknown) {
        text_printf(out,
                    "%s%lld tokens are the unknown one, for characters that the vocabulary lacks",
                    between, (long long)l->unknown);
        between = "; ";
    }
    if (l->dropped) {
        c[utf8_put(l->first, c)] = 0;
        text_printf(out,
                    "%s%lld characters that the vocabulary lacks are left out, first U+%04X \"%s\"",
                    between, (long long)l->dropped, l->first, quoted_s(c).s);
    }
}

void encode_losses_warn(const encode_losses *l, const char *what)
{
    text t = { 0 };
    encode_losses_print(l, &t);
    if (t.n && !t.failed)
        log_line(HONE_LOG_WARN, "%s: %s", what, t.p);
    text_finish(&t);
}
