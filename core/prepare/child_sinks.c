/*
 * child_sinks.c - what readers and recipes hand to their process, checked and made frames.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/prepare/child.h"

#define FLUSH_BYTES (1u << 20) /* frames are sent once this much has gathered */
#define MAX_BLOCKS (1u << 24)  /* of one document */
#define WORDS_BYTES (1u << 20)

bool child_flush(child *c)
{
    const bool sent = !c->out.failed && write_all(c->fd, c->out.p ? c->out.p : "", c->out.n);
    text_clear(&c->out);
    return sent;
}

static void add_account(child *c, uint8_t type, uint64_t bytes, const char *why)
{
    const size_t at = frame_begin(&c->out, type);
    frame_put_u32(&c->out, c->who);
    frame_put_u64(&c->out, bytes);
    frame_put_str(&c->out, hone_s(why && utf8_valid(why, strlen(why)) ? why : "no reason given"));
    frame_end(&c->out, at);
}

void child_lost(child *c, uint64_t bytes, const char *why)
{
    add_account(c, FRAME_LOST, bytes, why);
}

/* ------------------------------------------------------------------ of readers */

static void block_lost(const hone_block_sink *sink, uint64_t bytes, const char *why)
{
    child_lost(sink->ctx, bytes, why);
}

static void block_note(const hone_block_sink *sink, const char *line)
{
    child *c = sink->ctx;
    const size_t at = frame_begin(&c->out, FRAME_NOTE);
    frame_put_str(&c->out, hone_s(line && utf8_valid(line, strlen(line)) ? line : "(unreadable)"));
    frame_end(&c->out, at);
}

static const char *keep(child *c, hone_str s)
{
    words *w = c->words;
    if (!s.n || !s.p)
        return "";
    if (!w || s.n >= w->cap - w->n) {
        const size_t cap = s.n + 1 > WORDS_BYTES ? (size_t)s.n + 1 : WORDS_BYTES;
        if (s.n > SIZE_MAX / 2 || !(w = malloc(sizeof *w + cap)))
            return NULL;
        *w = (words){ .before = c->words, .cap = cap };
        c->words = w;
    }
    char *copy = w->p + w->n;
    memcpy(copy, s.p, (size_t)s.n);
    copy[s.n] = '\0';
    w->n += (size_t)s.n + 1;
    return copy;
}

static hone_status block_add(const hone_block_sink *sink, const hone_block *block, hone_error *err)
{
    child *c = sink->ctx;
    hone_block b = *block;
    if (c->n_blocks >= MAX_BLOCKS)
        return hone_fail(err, HONE_ERR_LIMIT, "more than %u blocks", MAX_BLOCKS);
    if (!utf8_valid(b.text.p ? b.text.p : "", (size_t)b.text.n))
        return hone_fail(err, HONE_ERR_FORMAT, "the reader gave a block that is no UTF-8");
    b.text.p = keep(c, b.text);
    b.lang.p = keep(c, b.lang);
    if (!b.text.p || !b.lang.p ||
        !mem_grow(&c->blocks, &c->cap_blocks, c->n_blocks + 1, sizeof *c->blocks))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for block %zu", c->n_blocks + 1);
    c->blocks[c->n_blocks++] = b;
    return HONE_OK;
}

static bool is_text(hone_str s)
{
    return utf8_valid(s.p ? s.p : "", (size_t)s.n);
}

/* Between characters of t? */
static bool is_place(hone_str t, uint64_t at)
{
    return at == t.n || (at < t.n && (t.p[at] & 0xc0) != 0x80);
}

static hone_status check_unit(const child *c, const hone_unit *u, hone_error *err)
{
    const hone_unit *up = u->parent && u->parent <= c->n_units ? &c->units[u->parent - 1] : NULL;
    const uint64_t last = c->n_units ? c->units[c->n_units - 1].start : 0;
    if (u->block >= c->n_blocks || c->blocks[u->block].kind != HONE_BLOCK_CODE)
        return hone_fail(err, HONE_ERR_FORMAT, "the reader gave a unit of no block of code");
    const hone_str t = c->blocks[u->block].text;
    const bool ordered = u->start <= u->head && u->head <= u->end && u->body <= u->body_end &&
                         (!u->body_end || (u->head <= u->body && u->body_end <= u->end));
    if (u->kind < HONE_UNIT_FUNCTION || u->kind > HONE_UNIT_COMMENT || !ordered ||
        !is_place(t, u->start) || !is_place(t, u->head) || !is_place(t, u->end) ||
        !is_place(t, u->body) || !is_place(t, u->body_end))
        return hone_fail(err, HONE_ERR_FORMAT, "the reader gave a malformed unit, %llu to %llu",
                         (unsigned long long)u->start, (unsigned long long)u->end);
    if ((u->parent && (!up || up->block != u->block || u->start < up->start || u->end > up->end)) ||
        (c->n_units && c->units[c->n_units - 1].block == u->block && u->start < last))
        return hone_fail(err, HONE_ERR_FORMAT, "the reader gave units out of order");
    if (!is_text(u->name) || !is_text(u->scope) || !is_text(u->signature) || !is_text(u->doc))
        return hone_fail(err, HONE_ERR_FORMAT, "the reader gave a unit that is no UTF-8");
    return HONE_OK;
}

static hone_status block_unit(const hone_block_sink *sink, const hone_unit *unit, hone_error *err)
{
    child *c = sink->ctx;
    hone_unit u = *unit;
    if (c->n_units >= MAX_BLOCKS)
        return hone_fail(err, HONE_ERR_LIMIT, "more than %u units", MAX_BLOCKS);
    const hone_status st = check_unit(c, unit, err);
    if (st)
        return st;
    if (!(u.name.p = keep(c, u.name)) || !(u.scope.p = keep(c, u.scope)) ||
        !(u.signature.p = keep(c, u.signature)) || !(u.doc.p = keep(c, u.doc)) ||
        !mem_grow(&c->units, &c->cap_units, c->n_units + 1, sizeof *c->units))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for unit %zu", c->n_units + 1);
    c->units[c->n_units++] = u;
    return HONE_OK;
}

static hone_status block_meta(const hone_block_sink *sink, const char *key, hone_str value,
                              hone_error *err)
{
    child *c = sink->ctx;
    if (!utf8_valid(key, strlen(key)) || !is_text(value))
        return HONE_OK;
    if (strcmp(key, "title") == 0) {
        free(c->title);
        if (!(c->title = mem_strndup(value.p ? value.p : "", (size_t)value.n)))
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for the title");
    }
    if (strcmp(key, "language") == 0) {
        free(c->language);
        if (!(c->language = mem_strndup(value.p ? value.p : "", (size_t)value.n)))
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for the language");
    }
    const size_t at = frame_begin(&c->out, FRAME_META);
    frame_put_str(&c->out, hone_s(key));
    frame_put_str(&c->out, value);
    frame_end(&c->out, at);
    return HONE_OK;
}

hone_block_sink child_block_sink(child *c)
{
    return (hone_block_sink){ .struct_size = sizeof(hone_block_sink),
                              .ctx = c,
                              .add = block_add,
                              .lost = block_lost,
                              .meta = block_meta,
                              .unit = block_unit,
                              .note = block_note };
}

/* ------------------------------------------------------------------ of recipes */

static void sample_lost(const hone_sample_sink *sink, uint64_t bytes, const char *why)
{
    child_lost(sink->ctx, bytes, why);
}

static void sample_dropped(const hone_sample_sink *sink, uint64_t n, const char *why)
{
    add_account(sink->ctx, FRAME_DROPPED, n, why);
}

static void sample_prompt(const hone_sample_sink *sink, hone_str version)
{
    child *c = sink->ctx;
    const size_t n = version.n < sizeof c->prompt ? (size_t)version.n : sizeof c->prompt - 1;
    memcpy(c->prompt, version.p ? version.p : "", n);
    c->prompt[n] = '\0';
}

/* budget: of the sample it is a part of; 0: a sample of its own. */
static hone_status put(child *c, const hone_segment *segments, uint64_t n, uint64_t budget,
                       hone_error *err)
{
    for (uint64_t i = 0; i < n; i++) {
        const hone_segment *s = &segments[i];
        if (s->role > HONE_ROLE_SPECIAL || !(s->loss_weight == 0.0f || s->loss_weight == 1.0f))
            return hone_fail(err, HONE_ERR_ARG,
                             "segment %llu: role %u and loss weight %g, expected 0 to 4 and 0 or 1",
                             (unsigned long long)i + 1, s->role, (double)s->loss_weight);
    }
    const size_t at = frame_begin(&c->out, FRAME_SAMPLE);
    frame_put_u32(&c->out, c->who - 1);
    frame_put_u64(&c->out, budget);
    frame_put_u32(&c->out, (uint32_t)n);
    for (uint64_t i = 0; i < n; i++) {
        const hone_segment *s = &segments[i];
        frame_put_u32(&c->out, s->role);
        frame_put_u32(&c->out, s->loss_weight > 0);
        frame_put_u64(&c->out, s->src_off);
        frame_put_u64(&c->out, s->src_len);
        frame_put_str(&c->out, s->text);
    }
    frame_put_str(&c->out, hone_s(c->prompt));
    frame_end(&c->out, at);
    if (c->out.failed)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a sample");
    if (c->out.n > FLUSH_BYTES && !child_flush(c))
        _exit(0);
    return HONE_OK;
}

static hone_status sample_put(const hone_sample_sink *sink, const hone_segment *segments,
                              uint64_t n, hone_error *err)
{
    return put(sink->ctx, segments, n, 0, err);
}

static hone_status sample_join(const hone_sample_sink *sink, const hone_segment *segments,
                               uint64_t n, uint64_t budget, hone_error *err)
{
    if (!budget)
        return hone_fail(err, HONE_ERR_ARG, "samples of 0 tokens cannot be joined");
    return put(sink->ctx, segments, n, budget, err);
}

hone_sample_sink child_sample_sink(child *c)
{
    return (hone_sample_sink){ .struct_size = sizeof(hone_sample_sink),
                               .ctx = c,
                               .add = sample_put,
                               .lost = sample_lost,
                               .prompt = sample_prompt,
                               .dropped = sample_dropped,
                               .join = sample_join };
}
