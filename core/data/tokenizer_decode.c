/*
 * tokenizer_decode.c - ids to text, whole and streamed.
 *
 * Decoders work on a list of strings, one per token, as in Hugging Face tokenizers;
 * what is left is joined. One thing differs on purpose: special tokens are left out
 * by id, also where a normalizer has changed their spelling.
 *
 * A stream gives exactly what a whole decode gives, only earlier. That needs a chain
 * whose steps look at one token, at a run of byte pieces, or at the front of the
 * text; ids of any other chain wait for the end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_impl.h"

#include <stdlib.h>

#define REPLACEMENT "\xef\xbf\xbd"

typedef struct strings { /* start from { 0 } */
    text bytes;
    size_t *end; /* owned: where each string ends in bytes */
    size_t n, cap;
    bool failed;
} strings;

static void strings_close_one(strings *s) /* what was added since the last is a string */
{
    if (s->n == s->cap && !mem_grow(&s->end, &s->cap, s->n + 1, sizeof *s->end)) {
        s->failed = true;
        return;
    }
    s->end[s->n++] = s->bytes.n;
}

static const char *strings_get(const strings *s, size_t i, size_t *n)
{
    const size_t from = i ? s->end[i - 1] : 0;
    *n = s->end[i] - from;
    return s->bytes.p ? s->bytes.p + from : "";
}

static void strings_clear(strings *s)
{
    text_clear(&s->bytes);
    s->n = 0;
}

static void strings_finish(strings *s)
{
    text_finish(&s->bytes);
    free(s->end);
    *s = (strings){ 0 };
}

/* --------------------------------------------------------------------------- lossy UTF-8 */

/* Bytes to text, ill-formed sequences to U+FFFD. What may still become a character is
 * left in tail when that is not NULL. */
static void add_lossy(text *out, const char *p, size_t n, char tail[4], uint32_t *n_tail)
{
    size_t i = 0, from = 0, len, bad = 0;
    bool cut;
    while (i < n) {
        len = utf8_sequence(p + i, n - i, &bad, &cut);
        if (len) {
            i += len;
            continue;
        }
        text_add(out, p + from, i - from);
        if (cut && tail) {
            memcpy(tail, p + i, n - i);
            *n_tail = (uint32_t)(n - i);
            return;
        }
        text_puts(out, REPLACEMENT);
        i += bad;
        from = i;
    }
    text_add(out, p + from, n - from);
    if (n_tail)
        *n_tail = 0;
}

/* ------------------------------------------------------------------------- decoders */

static int byte_of(const char *p, size_t n) /* of <0xHH>; -1: something else */
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *a, *b;
    int hi, lo;
    if (n != 6 || memcmp(p, "<0x", 3) != 0 || p[5] != '>' || !p[3] || !p[4])
        return -1;
    a = strchr(digits, p[3]);
    b = strchr(digits, p[4]);
    if (p[3] == '+') /* a sign is a number too where this comes from */
        a = digits;
    if (!a || !b)
        return -1;
    hi = (int)(a - digits);
    lo = (int)(b - digits);
    return (hi > 15 ? hi - 6 : hi) * 16 + (lo > 15 ? lo - 6 : lo);
}

static void flush_bytes(strings *out, text *run)
{
    size_t i;
    if (!run->n)
        return;
    if (utf8_valid(run->p, run->n)) {
        text_add(&out->bytes, run->p, run->n);
        strings_close_one(out);
    } else {
        for (i = 0; i < run->n; i++) {
            text_puts(&out->bytes, REPLACEMENT);
            strings_close_one(out);
        }
    }
    text_clear(run);
}

static void dec_byte_fallback(const strings *in, strings *out)
{
    text run = { 0 };
    size_t i, n;
    for (i = 0; i < in->n; i++) {
        const char *p = strings_get(in, i, &n);
        const int byte = byte_of(p, n);
        if (byte >= 0) {
            text_putc(&run, (char)byte);
            continue;
        }
        flush_bytes(out, &run);
        text_add(&out->bytes, p, n);
        strings_close_one(out);
    }
    flush_bytes(out, &run);
    out->failed |= run.failed;
    text_finish(&run);
}

static void dec_metaspace(const decoder *d, const char *p, size_t n, bool first, text *out)
{
    const size_t n_mark = strlen(d->mark);
    size_t i = 0, from = 0;
    while (i + n_mark <= n) {
        if (memcmp(p + i, d->mark, n_mark) != 0) {
            i++;
            continue;
        }
        text_add(out, p + from, i - from);
        if (!first || !d->drop_first)
            text_putc(out, ' ');
        i += n_mark;
        from = i;
    }
    text_add(out, p + from, n - from);
}

static void dec_strip(const decoder *d, const char *p, size_t n, text *out)
{
    const size_t n_mark = strlen(d->mark);
    int64_t i;
    for (i = 0; i < d->start && n >= n_mark && memcmp(p, d->mark, n_mark) == 0; i++) {
        p += n_mark;
        n -= n_mark;
    }
    for (i = 0; i < d->stop && n >= n_mark && memcmp(p + n - n_mark, d->mark, n_mark) == 0; i++)
        n -= n_mark;
    text_add(out, p, n);
}

static hone_status dec_replace(const decoder *d, const char *p, size_t n, text *out,
                               hone_error *err)
{
    regex_scan scan;
    size_t from = 0;
    bool found;
    hone_status status;
    if (!n)
        return HONE_OK;
    status = regex_begin(&scan, d->re, p, n, err);
    while (!status && !(status = regex_next(&scan, &found, err)) && found) {
        text_add(out, p + from, scan.start - from);
        text_add(out, d->text, d->n);
        from = scan.end;
    }
    regex_end(&scan);
    text_add(out, p + from, n - from);
    return status;
}

static bool is_per_token(int kind)
{
    return kind == DEC_METASPACE || kind == DEC_REPLACE || kind == DEC_STRIP;
}

static hone_status decode_step(const decoder *d, const strings *in, bool first, strings *out,
                               hone_error *err)
{
    size_t i, n;
    hone_status status = HONE_OK;
    strings_clear(out);
    if (d->kind == DEC_FUSE) {
        text_add(&out->bytes, in->bytes.p, in->bytes.n);
        strings_close_one(out);
    } else if (d->kind == DEC_BYTE_FALLBACK) {
        dec_byte_fallback(in, out);
    } else if (d->kind == DEC_BYTELEVEL) {
        text raw = { 0 };
        for (i = 0; i < in->n; i++) {
            const char *p = strings_get(in, i, &n);
            text_add_raw(&raw, p, n);
        }
        add_lossy(&out->bytes, raw.p, raw.n, NULL, NULL);
        out->failed |= raw.failed;
        text_finish(&raw);
        strings_close_one(out);
    }
    for (i = 0; is_per_token(d->kind) && i < in->n && !status; i++) {
        const char *p = strings_get(in, i, &n);
        if (d->kind == DEC_METASPACE)
            dec_metaspace(d, p, n, first && i == 0, &out->bytes);
        else if (d->kind == DEC_STRIP)
            dec_strip(d, p, n, &out->bytes);
        else
            status = dec_replace(d, p, n, &out->bytes, err);
        strings_close_one(out);
    }
    if (!status && (out->failed || out->bytes.failed))
        status = hone_fail(err, HONE_ERR_NOMEM, "no memory to decode %zu tokens", in->n);
    return status;
}

/* ---------------------------------------------------------------------------- whole */

static hone_status check_id(const tokenizer *t, int32_t id, hone_error *err)
{
    if (id < 0 || id >= t->n)
        return hone_fail(err, HONE_ERR_ARG, "token id %d is outside the vocabulary, 0..%lld", id,
                         (long long)t->n - 1);
    return HONE_OK;
}

/* The string that stands for id in front of the decoders. */
static const char *token_text(const tokenizer *t, int32_t id, size_t *n)
{
    const int32_t a = t->added_of[id];
    if (a >= 0 && t->added[a].normal) {
        *n = t->added[a].n_normal;
        return t->added[a].normal;
    }
    return piece_text(t, id, n);
}

/* Decoders [from, to) over ids; the result in `in`. */
static hone_status decode_chain(const tokenizer *t, const int32_t *ids, size_t n, size_t to,
                                bool first, strings *in, strings *out, hone_error *err)
{
    size_t i, len;
    hone_status status = HONE_OK;
    strings_clear(in);
    for (i = 0; i < n; i++) {
        const char *p = token_text(t, ids[i], &len);
        text_add(&in->bytes, p, len);
        strings_close_one(in);
    }
    if (in->failed || in->bytes.failed)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory to decode %zu tokens", n);
    for (i = 0; i < to && !status; i++) {
        const strings x = *in;
        status = decode_step(t->decs + i, in, first, out, err);
        *in = *out;
        *out = x;
    }
    return status;
}

static hone_status decode_bytes(const tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                                text *raw, hone_error *err)
{
    size_t i, len;
    for (i = 0; i < n; i++) {
        hone_status status = check_id(t, ids[i], err);
        if (status)
            return status;
        if (skip_special && t->pieces[ids[i]].special)
            continue;
        if (t->raw && (t->added_of[ids[i]] < 0 || !t->added[t->added_of[ids[i]]].normal)) {
            const char *p = piece_raw(t, ids[i], &len);
            text_add(raw, p, len);
        } else {
            const char *p = token_text(t, ids[i], &len);
            text_add_raw(raw, p, len);
        }
    }
    return text_status(raw, err);
}

static bool is_bytelevel(const tokenizer *t)
{
    return t->n_decs == 1 && t->decs[0].kind == DEC_BYTELEVEL;
}

/* Everything that is not ids[i] for a special one that is left out. */
static hone_status kept(const tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                        int32_t **out, size_t *n_out, hone_error *err)
{
    size_t i;
    int32_t *p = mem_new(n, sizeof *p);
    if (!p)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory to decode %zu tokens", n);
    *n_out = 0;
    for (i = 0; i < n; i++) {
        hone_status status = check_id(t, ids[i], err);
        if (status) {
            free(p);
            return status;
        }
        if (!skip_special || !t->pieces[ids[i]].special)
            p[(*n_out)++] = ids[i];
    }
    *out = p;
    return HONE_OK;
}

hone_status tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                             text *out, hone_error *err)
{
    strings in = { 0 }, other = { 0 };
    text raw = { 0 }, result = { 0 };
    int32_t *ours = NULL;
    size_t n_ours = 0, i, len;
    hone_status status;
    if (is_bytelevel(t)) {
        status = decode_bytes(t, ids, n, skip_special, &raw, err);
        if (!status)
            add_lossy(&result, raw.p, raw.n, NULL, NULL);
        goto out;
    }
    status = kept(t, ids, n, skip_special, &ours, &n_ours, err);
    if (!status)
        status = decode_chain(t, ours, n_ours, t->n_decs, true, &in, &other, err);
    for (i = 0; !status && i < in.n; i++) {
        const char *p = strings_get(&in, i, &len);
        if (i && !t->has_decoder)
            text_putc(&result, ' ');
        text_add(&result, p, len);
    }
out:
    if (!status)
        status = text_status(&result, err);
    if (!status) {
        text_add(out, result.p, result.n);
        status = text_status(out, err);
    }
    strings_finish(&in);
    strings_finish(&other);
    text_finish(&raw);
    text_finish(&result);
    free(ours);
    return status;
}

/* --------------------------------------------------------------------------- streams */

/* A chain that can be streamed: steps per token, a byte fallback, and behind a fuse at
 * most one strip at the front. *n_before: steps in front of the fallback; *n_body: with
 * it; *head: the strip, or NULL. */
static bool streams(const tokenizer *t, size_t *n_before, size_t *n_body, const decoder **head)
{
    size_t i = 0;
    *head = NULL;
    while (i < t->n_decs && is_per_token(t->decs[i].kind))
        i++;
    *n_before = i;
    if (i < t->n_decs && t->decs[i].kind == DEC_BYTE_FALLBACK)
        i++; /* a step per token behind it would see its strings; only fuse may follow */
    *n_body = i;
    if (i < t->n_decs && t->decs[i].kind == DEC_FUSE) {
        i++;
        if (i < t->n_decs && t->decs[i].kind == DEC_STRIP && t->decs[i].stop == 0)
            *head = t->decs + i++;
    }
    return i == t->n_decs;
}

/* Text of the stream's next ids, with what the front of the whole text loses. */
static void put_body(const strings *in, const tokenizer *t, token_stream *s, const decoder *head,
                     text *out)
{
    const char *p = in->bytes.p ? in->bytes.p : "";
    size_t n = in->bytes.n;
    if (!in->n)
        return;
    if (!t->has_decoder && s->any)
        text_putc(out, ' ');
    while (head && s->head >= 0 && n) {
        const size_t n_mark = strlen(head->mark);
        if (s->head == head->start || n < n_mark || memcmp(p, head->mark, n_mark) != 0) {
            s->head = -1;
            break;
        }
        p += n_mark;
        n -= n_mark;
        s->head++;
    }
    text_add(out, p, n);
}

static hone_status stream_body(const tokenizer *t, token_stream *s, size_t n_body,
                               const decoder *head, text *out, hone_error *err)
{
    strings in = { 0 }, other = { 0 };
    hone_status status = decode_chain(t, s->ids, s->n, n_body, !s->any, &in, &other, err);
    if (!status) {
        put_body(&in, t, s, head, out);
        s->any = true;
        s->n = 0;
    }
    strings_finish(&in);
    strings_finish(&other);
    return status;
}

static hone_status is_byte_token(const tokenizer *t, int32_t id, size_t n_before, bool first,
                                 bool *yes, hone_error *err)
{
    strings in = { 0 }, other = { 0 };
    size_t n;
    hone_status status = decode_chain(t, &id, 1, n_before, first, &in, &other, err);
    if (!status) {
        const char *p = strings_get(&in, 0, &n);
        *yes = byte_of(p, n) >= 0;
    }
    strings_finish(&in);
    strings_finish(&other);
    return status;
}

static hone_status push_bytes(const tokenizer *t, token_stream *s, int32_t id, text *out,
                              hone_error *err)
{
    text raw = { 0 };
    hone_status status;
    text_add(&raw, s->tail, s->n_tail);
    status = decode_bytes(t, &id, 1, false, &raw, err);
    if (!status)
        add_lossy(out, raw.p, raw.n, s->tail, &s->n_tail);
    text_finish(&raw);
    return status ? status : text_status(out, err);
}

hone_status token_stream_push(const tokenizer *t, token_stream *s, int32_t id, bool skip_special,
                              text *out, hone_error *err)
{
    size_t n_before, n_body;
    const decoder *head;
    bool waits = true;
    hone_status status = check_id(t, id, err);
    if (status || (skip_special && t->pieces[id].special))
        return status;
    if (is_bytelevel(t))
        return push_bytes(t, s, id, out, err);
    if (!mem_grow(&s->ids, &s->cap, s->n + 1, sizeof *s->ids))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a stream of tokens");
    s->ids[s->n++] = id;
    if (streams(t, &n_before, &n_body, &head)) {
        waits = false;
        if (n_body > n_before)
            status = is_byte_token(t, id, n_before, !s->any && s->n == 1, &waits, err);
        if (!status && !waits)
            status = stream_body(t, s, n_body, head, out, err);
    }
    return status ? status : text_status(out, err);
}

hone_status token_stream_end(const tokenizer *t, token_stream *s, bool skip_special, text *out,
                             hone_error *err)
{
    size_t n_before, n_body;
    const decoder *head;
    hone_status status = HONE_OK;
    if (s->n_tail)
        text_puts(out, REPLACEMENT);
    s->n_tail = 0;
    if (s->n && streams(t, &n_before, &n_body, &head)) {
        status = stream_body(t, s, n_body, head, out, err);
    } else if (s->n) {
        status = tokenizer_decode(t, s->ids, s->n, skip_special, out, err);
        s->n = 0;
    }
    return status ? status : text_status(out, err);
}

void token_stream_finish(token_stream *s)
{
    free(s->ids);
    *s = (token_stream){ 0 };
}
