/*
 * asking.c - see asking.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "asking.h"

hone_str trim_space(hone_str s)
{
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    while (s.n && is_space(*s.p))
        s.p++, s.n--;
    return s;
}

static void forget(asking *a, asked_chunk *c)
{
    if (c->handle)
        a->prompt.service->release(a->prompt.service, c->handle);
    a->host->free(a->host, (void *)(uintptr_t)c->text.p);
    *c = (asked_chunk){ 0 };
}

void asking_finish(asking *a)
{
    if (!a->host)
        return;
    for (uint64_t i = 0; i < a->n; i++)
        forget(a, &a->window[i]);
    a->n = 0;
    prompt_finish(&a->prompt);
    hone_text_finish(&a->title);
    if (a->splitter.host)
        splitter_finish(&a->splitter);
}

void asking_drop(const asking *a, uint64_t n, const char *why)
{
    if (HONE_HAS_CALL(a->sink, dropped))
        a->sink->dropped(a->sink, n, why);
}

/* Answers of the window, in order. */
static hone_status collect_all(asking *a, hone_error *err)
{
    hone_status st = HONE_OK;
    for (uint64_t i = 0; i < a->n && st == HONE_OK; i++) {
        hone_answer answer = { 0 };
        const char *why;
        st = prompt_collect(&a->prompt, a->window[i].handle, &answer, &why, err);
        if (st == HONE_OK && why) {
            asking_drop(a, 1, why);
            a->sink->lost(a->sink, a->window[i].new_bytes, why);
        } else if (st == HONE_OK) {
            st = a->take(a->ctx, &a->window[i], &answer, err);
        }
    }
    for (uint64_t i = 0; i < a->n; i++)
        forget(a, &a->window[i]);
    a->n = 0;
    return st;
}

void asking_begin(asking *a, const hone_document *d, const hone_sample_sink *sink)
{
    const hone_str title = trim_space(d->title);
    uint64_t from = d->name.n;
    a->sink = sink;
    hone_text_clear(&a->title);
    while (from && d->name.p[from - 1] != '/')
        from--;
    if (title.n)
        hone_text_add(&a->title, title.p, title.n);
    else
        hone_text_add(&a->title, d->name.p + from, d->name.n - from);
    if (HONE_HAS_CALL(sink, prompt))
        sink->prompt(sink, hone_s(a->prompt.version));
}

hone_status asking_add(asking *a, const asked_chunk *c, const prompt_value *values, hone_error *err)
{
    hone_status st = a->n == ASKING_WINDOW ? collect_all(a, err) : HONE_OK;
    if (st != HONE_OK)
        return st;
    char *copy = a->host->alloc(a->host, c->text.n + 1, 1, a->name);
    if (!copy)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for a chunk", a->name);
    memcpy(copy, c->text.p, c->text.n);
    asked_chunk *own = &a->window[a->n++];
    *own = *c;
    own->text.p = copy;
    own->handle = 0;
    return prompt_submit(&a->prompt, values, a->max_tokens, &own->handle, err);
}

hone_status asking_end(asking *a, hone_error *err)
{
    return collect_all(a, err);
}

hone_status asking_stop(asking *a, hone_status st)
{
    for (uint64_t i = 0; i < a->n; i++)
        forget(a, &a->window[i]);
    a->n = 0;
    return st;
}

static hone_status add_piece(void *ctx, const piece *p, hone_error *err)
{
    asking *a = ctx;
    const asked_chunk c = {
        .text = p->text, .src_off = p->src_off, .src_len = p->src_len, .new_bytes = p->new_bytes
    };
    const prompt_value values[] = { { "text", p->text },
                                    { "title", hone_text_str(&a->title) },
                                    { "count", hone_s(a->count) },
                                    { NULL, { NULL, 0 } } };
    return asking_add(a, &c, values, err);
}

static void lose(void *ctx, uint64_t bytes, const char *why)
{
    const asking *a = ctx;
    a->sink->lost(a->sink, bytes, why);
}

hone_status asking_run(asking *a, const hone_document *d, const hone_sample_sink *sink,
                       hone_error *err)
{
    const piece_sink pieces = { a, add_piece, lose };
    asking_begin(a, d, sink);
    hone_status st = splitter_run(&a->splitter, d->blocks, d->n_blocks, &pieces, err);
    return st == HONE_OK ? collect_all(a, err) : asking_stop(a, st);
}

hone_status asking_pair(const asking *a, const asked_chunk *c, hone_str question, hone_str answer,
                        hone_error *err)
{
    const hone_segment segments[] = {
        { .role = HONE_ROLE_USER, .text = question, .src_off = c->src_off, .src_len = c->src_len },
        { .role = HONE_ROLE_ASSISTANT,
          .loss_weight = 1,
          .text = answer,
          .src_off = c->src_off,
          .src_len = c->src_len },
    };
    return a->sink->add(a->sink, segments, 2, err);
}
