/*
 * asks_run.c - prompts of a child to the run's services; see asks.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/prepare/asks.h"

typedef struct ask {
    uint64_t theirs, ours; /* handles; ours 0: it could not be submitted */
    hone_error refused;
} ask;

struct asks {
    ask *p; /* owned, n; at most HONE_GENERATE_PENDING */
    size_t n, cap;
    uint64_t asked;  /* by the document at hand */
    uint64_t wanted; /* their handle that is waited for; 0: none */
    text out;        /* frames to the child */
    size_t sent;     /* bytes of it that are gone */
};

static const hone_generate_service *generate_service(void)
{
    return plugin_host()->service(plugin_host(), HONE_SERVICE_GENERATE);
}

static const hone_embed_service *embed_service(void)
{
    return plugin_host()->service(plugin_host(), HONE_SERVICE_EMBED);
}

static ask *find(const asks *a, uint64_t theirs)
{
    for (size_t i = 0; theirs && i < a->n; i++)
        if (a->p[i].theirs == theirs)
            return &a->p[i];
    return NULL;
}

static hone_status malformed(hone_error *err)
{
    return hone_fail(err, HONE_ERR_FORMAT, "a malformed question");
}

static hone_status take_ask(asks *a, frame *f, hone_error *err)
{
    const hone_generate_service *g = generate_service();
    ask x = { .theirs = frame_u64(f) };
    hone_prompt p = { .struct_size = sizeof p };
    p.max_tokens = (int64_t)frame_u64(f);
    p.attempt = frame_u64(f);
    p.system = frame_str(f);
    p.user = frame_str(f);
    p.version = frame_str(f);
    if (f->bad || !g || !x.theirs || find(a, x.theirs) || p.version.n > 256)
        return malformed(err);
    if (a->n == HONE_GENERATE_PENDING || a->asked == ASKS_PER_DOCUMENT)
        return hone_fail(err, HONE_ERR_LIMIT, "more than %d questions, %d of them at once",
                         ASKS_PER_DOCUMENT, HONE_GENERATE_PENDING);
    if (!mem_grow(&a->p, &a->cap, a->n + 1, sizeof *a->p))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for questions");
    a->asked++;
    if (g->submit(g, &p, &x.ours, &x.refused))
        x.ours = 0; /* said when it is collected */
    a->p[a->n++] = x;
    return HONE_OK;
}

static void put_answer(asks *a, uint64_t theirs, hone_status status, const hone_answer *answer,
                       const char *said)
{
    const size_t at = frame_begin(&a->out, FRAME_ANSWER);
    frame_put_u64(&a->out, theirs);
    frame_put_u32(&a->out, (uint32_t)status);
    frame_put_u32(&a->out, answer->end);
    frame_put_u32(&a->out, answer->cached);
    frame_put_str(&a->out, status ? hone_s(utf8_valid(said, strlen(said)) ? said : "no reason")
                                  : answer->text);
    frame_end(&a->out, at);
}

/* The answer that the child waits for, if it is there. */
static void answer_wanted(asks *a)
{
    const hone_generate_service *g = generate_service();
    const ask *x = find(a, a->wanted);
    hone_answer answer = { 0 };
    hone_error err = { 0 };
    if (!x || !g)
        return;
    if (!x->ours) {
        put_answer(a, x->theirs, x->refused.code, &answer, x->refused.message);
    } else {
        if (!g->ready(g, x->ours))
            return;
        const hone_status st = g->collect(g, x->ours, &answer, &err);
        put_answer(a, x->theirs, st, &answer, err.message);
    }
    a->wanted = 0;
}

static void forget_one(asks *a, ask *x)
{
    const hone_generate_service *g = generate_service();
    if (g && x->ours)
        g->release(g, x->ours);
    *x = a->p[--a->n];
}

static void put_shape(asks *a)
{
    const hone_embed_service *e = embed_service();
    uint64_t width = 0, most = 0;
    hone_error err = { 0 };
    const hone_status st = e->shape(e, &width, &most, &err);
    const size_t at = frame_begin(&a->out, FRAME_SHAPED);
    frame_put_u32(&a->out, (uint32_t)st);
    frame_put_u64(&a->out, width);
    frame_put_u64(&a->out, most);
    frame_put_str(&a->out, hone_s(err.message));
    frame_end(&a->out, at);
}

static hone_status put_vectors(asks *a, frame *f, hone_error *err)
{
    const hone_embed_service *e = embed_service();
    const uint32_t n = frame_u32(f);
    hone_str texts[ASKS_EMBED_AT_ONCE];
    uint64_t width = 0, most = 0;
    float *out = NULL;
    hone_error why = { 0 };
    if (n > ASKS_EMBED_AT_ONCE)
        return malformed(err);
    for (uint32_t i = 0; i < n; i++)
        texts[i] = frame_str(f);
    if (f->bad)
        return malformed(err);
    hone_status st = e->shape(e, &width, &most, &why);
    if (!st && !(out = mem_new(n, (size_t)width * sizeof *out)))
        st = hone_fail(&why, HONE_ERR_NOMEM, "no memory for vectors");
    if (!st)
        st = e->embed(e, texts, n, out, &why);
    const size_t at = frame_begin(&a->out, FRAME_VECTORS);
    frame_put_u32(&a->out, (uint32_t)st);
    frame_put_str(&a->out, hone_s(why.message));
    for (uint64_t i = 0; !st && i < n * width; i++) {
        uint32_t bits;
        memcpy(&bits, out + i, sizeof bits);
        frame_put_u32(&a->out, bits);
    }
    frame_end(&a->out, at);
    free(out);
    return HONE_OK;
}

hone_status asks_take(asks **self, frame *f, bool *fault, hone_error *err)
{
    hone_status st = HONE_OK;
    *fault = true;
    if (!*self && !(*self = mem_new(1, sizeof **self))) {
        *fault = false;
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for questions");
    }
    asks *a = *self;
    if (f->type == FRAME_ASK) {
        st = take_ask(a, f, err);
    } else if (f->type == FRAME_SHAPE || f->type == FRAME_EMBED) {
        if (!embed_service() || a->wanted || a->out.n)
            return malformed(err);
        if (f->type == FRAME_SHAPE)
            put_shape(a);
        else
            st = put_vectors(a, f, err);
    } else {
        const uint64_t theirs = frame_u64(f);
        ask *x = find(a, theirs);
        if (f->bad || !x || (f->type != FRAME_RELEASE && (a->wanted || a->out.n)))
            return malformed(err);
        if (f->type == FRAME_COLLECT) {
            a->wanted = theirs;
        } else if (f->type == FRAME_RELEASE) {
            forget_one(a, x);
        } else if (f->type == FRAME_PEEK) {
            const hone_generate_service *g = generate_service();
            const size_t at = frame_begin(&a->out, FRAME_PEEKED);
            frame_put_u64(&a->out, theirs);
            frame_put_u32(&a->out, !x->ours || !g || g->ready(g, x->ours));
            frame_end(&a->out, at);
        } else {
            st = malformed(err);
        }
    }
    if (!st && (st = text_status(&a->out, err)))
        *fault = false;
    return st;
}

bool asks_waits(const asks *a)
{
    return a && (a->wanted || a->out.n);
}

bool asks_serve(asks *a, int fd)
{
    if (!asks_waits(a))
        return true;
    if (a->wanted)
        answer_wanted(a);
    if (a->out.failed)
        return false;
    while (a->sent < a->out.n) {
        const ssize_t n =
            send(fd, a->out.p + a->sent, a->out.n - a->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return true;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false; /* its end is noticed where it is read from */
        a->sent += (size_t)n;
    }
    text_clear(&a->out);
    a->sent = 0;
    return true;
}

void asks_forget(asks **self)
{
    asks *a = *self;
    if (!a)
        return;
    while (a->n)
        forget_one(a, &a->p[a->n - 1]);
    free(a->p);
    text_finish(&a->out);
    free(a);
    *self = NULL;
}
