/*
 * local.c - the run's own model answers several prompts at once.
 *
 * The cache is cut into as many rooms as prompts are answered at a time. A pass of the network takes the
 * next token of every answer that has begun and, of prompts that have not been read yet, as much
 * as still fits: weights are read once for all. The choice of a token depends on the
 * answer's own logits, position and seed; kernels may round differently by how many rows they
 * get, so two runs agree over kept answers, not over first ones.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>

#include "core/generate/parts.h"

typedef struct seat { /* a room of the cache with its prompt */
    request *r;       /* borrowed; NULL: free */
    int32_t *ids;     /* owned (room): the prompt, then the answer */
    int64_t n, fed;   /* ids that are known; that are in the cache */
    int64_t n_prompt;
    token_stream stream;
} seat;

typedef struct local {
    generator *g; /* borrowed */
    generator_model m;
    const sampling *s;  /* borrowed */
    int64_t batch;      /* as asked */
    model *net;         /* borrowed; NULL: not opened yet */
    hone_error refused; /* why it could not be */
    int64_t room;       /* rows of a seat */
    seat *seats;        /* owned (n_seats) */
    int64_t n_seats, taken;
    float *logits; /* owned (n_seats, V) */
    model_part *parts;
    int64_t *who; /* owned (n_seats): the seat of a part */
} local;

/* ------------------------------------------------------------------------- seats */

static hone_status make_seats(local *l, hone_error *err)
{
    const int64_t vocab = model_config(l->net)->dim[DIM_V];
    l->n_seats = l->batch;
    if (l->n_seats > model_max_sequences(l->net) / 2)
        l->n_seats = model_max_sequences(l->net) / 2;
    if (l->n_seats > model_capacity(l->net))
        l->n_seats = model_capacity(l->net);
    if (l->n_seats < 1)
        l->n_seats = 1;
    l->room = model_context(l->net) / l->n_seats;
    l->seats = mem_new((size_t)l->n_seats, sizeof *l->seats);
    l->parts = mem_new((size_t)l->n_seats, sizeof *l->parts);
    l->who = mem_new((size_t)l->n_seats, sizeof *l->who);
    l->logits = mem_new((size_t)l->n_seats, (size_t)vocab * sizeof *l->logits);
    bool whole = l->seats && l->parts && l->who && l->logits;
    for (int64_t i = 0; i < l->n_seats && whole; i++)
        whole = (l->seats[i].ids = mem_new((size_t)l->room + 1, sizeof(int32_t))) != NULL;
    return whole ? HONE_OK
                 : hone_fail(err, HONE_ERR_NOMEM, "generator: no memory for %lld prompts at once",
                             (long long)l->n_seats);
}

static hone_status open_model(local *l, hone_error *err)
{
    if (l->net)
        return HONE_OK;
    if (l->refused.code) {
        if (err)
            *err = l->refused;
        return l->refused.code;
    }
    hone_status st = l->m.open(l->m.ctx, l->batch, &l->net, &l->refused);
    if (!st)
        st = make_seats(l, &l->refused);
    if (st && err)
        *err = l->refused;
    return st;
}

hone_status local_model(answerer *a, model **net, hone_error *err)
{
    local *l = a->self;
    const hone_status st = open_model(l, err);
    if (!st)
        *net = l->net;
    return st;
}

static void leave(local *l, seat *x)
{
    token_stream_finish(&x->stream);
    x->r = NULL;
    l->taken--;
}

static void end_seat(local *l, seat *x, uint32_t end)
{
    request *r = x->r;
    hone_error err = { 0 };
    hone_status st = token_stream_end(l->m.tok, &x->stream, true, &r->answer, &err);
    if (!st)
        st = text_status(&r->answer, &err);
    r->end = end;
    r->tokens_in = x->n_prompt;
    r->tokens_out = x->n - x->n_prompt;
    leave(l, x);
    request_end(l->g, r, st ? &err : NULL);
}

static hone_status encode(local *l, const request *r, tokens *t, hone_error *err)
{
    const message m[2] = { { .role = ROLE_SYSTEM, .content = { r->system, r->n_system } },
                           { .role = ROLE_USER, .content = { r->user, r->n_user } } };
    const size_t skip = r->n_system == 0;
    encode_losses lost = { 0 };
    hone_status st =
        chat_template_encode(l->m.chat, m + skip, 2 - skip, true, l->m.date, t, NULL, &lost, err);
    if (!st && (int64_t)t->n >= l->room)
        st = hone_fail(err, HONE_ERR_LIMIT,
                       "the prompt has %zu tokens, the context %lld; raise use.context, or make "
                       "the chunks smaller",
                       t->n, (long long)l->room);
    return st;
}

static bool local_take(void *self, request *r)
{
    local *l = self;
    tokens t = { 0 };
    hone_error err = { 0 };
    hone_status st = open_model(l, &err);
    if (!st && l->taken == l->n_seats)
        return false;
    if (!st)
        st = encode(l, r, &t, &err);
    if (st) {
        tokens_finish(&t);
        request_end(l->g, r, &err);
        return true;
    }
    seat *x = l->seats;
    while (x->r)
        x++;
    for (size_t i = 0; i < t.n; i++)
        x->ids[i] = t.p[i].id;
    x->r = r;
    x->n = x->n_prompt = (int64_t)t.n;
    x->fed = 0;
    r->place = x - l->seats;
    text_clear(&r->answer);
    l->taken++;
    tokens_finish(&t);
    return true;
}

static void local_drop(void *self, request *r)
{
    local *l = self;
    leave(l, &l->seats[r->place]);
}

/* ------------------------------------------------------------------------- passes */

/* What each seat feeds now: an answer its last token, a prompt as much as there is room for. */
static size_t gather(local *l)
{
    int64_t left = model_capacity(l->net) - l->taken; /* one is everybody's */
    size_t n = 0;
    for (int64_t i = 0; i < l->n_seats; i++) {
        const seat *x = &l->seats[i];
        int64_t take = x->r ? x->n - x->fed : 0;
        if (!take)
            continue;
        if (take > left + 1)
            take = left + 1;
        left -= take - 1;
        l->who[n] = i;
        l->parts[n++] = (model_part){ i * l->room, x->fed, x->ids + x->fed, take };
    }
    return n;
}

static bool is_stop(const local *l, int32_t id)
{
    size_t n;
    const int32_t *stops = chat_template_stops(l->m.chat, &n);
    for (size_t i = 0; i < n; i++)
        if (stops[i] == id)
            return true;
    return false;
}

/* The next token of a seat whose ids are all fed. */
static hone_status choose(local *l, seat *x, float *logits, hone_error *err)
{
    const int64_t vocab = model_config(l->net)->dim[DIM_V];
    request *r = x->r;
    sampling s = *l->s;
    s.seed += (int64_t)r->attempt;
    for (int64_t i = 0; i < vocab; i++)
        if (isnan(logits[i]))
            return hone_fail(err, HONE_ERR_NUMERIC,
                             "generator: the model's logit of token %lld is no number",
                             (long long)i);
    const int32_t id = sample_token(logits, vocab, &s, x->ids, (size_t)x->n, (uint64_t)x->n);
    if (id < 0)
        return hone_fail(err, HONE_ERR_NOMEM, "generator: no memory to choose a token");
    if (is_stop(l, id)) {
        end_seat(l, x, HONE_ANSWER_STOP);
        return HONE_OK;
    }
    x->ids[x->n++] = id;
    hone_status st = token_stream_push(l->m.tok, &x->stream, id, true, &r->answer, err);
    if (!st && (x->n - x->n_prompt >= r->max_tokens || x->n >= l->room))
        end_seat(l, x, HONE_ANSWER_LENGTH);
    return st;
}

static hone_status local_work(void *self, int ms, hone_error *err)
{
    local *l = self;
    const int64_t vocab = l->net ? model_config(l->net)->dim[DIM_V] : 0;
    const double end = clock_now() + (ms > 20 ? ms : 20) / 1000.0;
    hone_status st = HONE_OK;
    while (!st && l->taken) {
        const size_t n = gather(l);
        st = model_feed_parts(l->net, l->parts, n, l->logits, err);
        for (size_t i = 0; i < n && !st; i++) {
            seat *x = &l->seats[l->who[i]];
            x->fed += l->parts[i].n;
            if (x->fed == x->n)
                st = choose(l, x, l->logits + i * (size_t)vocab, err);
        }
        if (clock_now() > end || l->taken < l->n_seats)
            break; /* a free seat may find its next prompt first */
    }
    return st;
}

static void local_destroy(void *self)
{
    local *l = self;
    for (int64_t i = 0; l->seats && i < l->n_seats; i++) {
        free(l->seats[i].ids);
        token_stream_finish(&l->seats[i].stream);
    }
    free(l->seats);
    free(l->parts);
    free(l->who);
    free(l->logits);
    free(l);
}

hone_status local_open(answerer *out, generator *g, const generator_model *m, const sampling *s,
                       int64_t at_once, hone_error *err)
{
    local *l = mem_new(1, sizeof *l);
    if (!l)
        return hone_fail(err, HONE_ERR_NOMEM, "generator: no memory");
    *l = (local){ .g = g, .m = *m, .s = s, .batch = at_once };
    *out = (answerer){ .self = l,
                       .take = local_take,
                       .work = local_work,
                       .drop = local_drop,
                       .destroy = local_destroy };
    return HONE_OK;
}
