/*
 * asks_child.c - a recipe's prompts to the run; see asks.h.
 *
 * One process, one pipe, one thread: the tables are static.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/prepare/asks.h"

#define FLUSH_BYTES (1u << 20)

typedef struct pending {
    uint64_t handle;
    bool answered;
    hone_status status;
    uint32_t end, kept;
    char *text; /* owned: the answer, or the message */
    size_t n;
} pending;

static struct {
    int fd;
    text *out;   /* borrowed */
    uint8_t *in; /* owned: the frame at hand */
    size_t cap_in;
    pending *p; /* owned (HONE_GENERATE_PENDING) */
    size_t n;
    uint64_t last;
    hone_generate_service generate;
    hone_embed_service embed;
} line;

/* ------------------------------------------------------------------------- frames */

static bool send_frames(void)
{
    const bool sent =
        !line.out->failed && write_all(line.fd, line.out->p ? line.out->p : "", line.out->n);
    text_clear(line.out);
    return sent;
}

/* What was asked is sent; the answer, of this type, is read. */
static hone_status exchange(frame *f, uint8_t type, hone_error *err)
{
    uint8_t head[5];
    frame h = { .p = head, .n = 4 };
    if (!send_frames() || !read_all(line.fd, head, sizeof head))
        return hone_fail(err, HONE_ERR_IO, "generator: the run does not answer");
    const uint32_t n = frame_u32(&h);
    if (n < 1 || n > FRAME_LIMIT || head[4] != type)
        return hone_fail(err, HONE_ERR_IO, "generator: the run answers with frame %u", head[4]);
    if (!mem_grow(&line.in, &line.cap_in, n, 1))
        return hone_fail(err, HONE_ERR_NOMEM, "generator: no memory for an answer of %u bytes", n);
    if (!read_all(line.fd, line.in, n - 1))
        return hone_fail(err, HONE_ERR_IO, "generator: the run does not answer");
    *f = (frame){ .type = type, .p = line.in, .n = n - 1 };
    return HONE_OK;
}

static pending *find(uint64_t handle)
{
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i].handle == handle)
            return &line.p[i];
    return NULL;
}

static void put_handle(uint8_t type, uint64_t handle)
{
    const size_t at = frame_begin(line.out, type);
    frame_put_u64(line.out, handle);
    frame_end(line.out, at);
}

/* -------------------------------------------------------------------------- calls */

static hone_status line_submit(const hone_generate_service *self, const hone_prompt *prompt,
                               uint64_t *handle, hone_error *err)
{
    (void)self;
    if (line.n == HONE_GENERATE_PENDING)
        return hone_fail(err, HONE_ERR_LIMIT,
                         "generator: %d prompts of this recipe wait; collect and release some "
                         "first",
                         HONE_GENERATE_PENDING);
    if (prompt->system.n > HONE_GENERATE_PROMPT ||
        prompt->user.n > HONE_GENERATE_PROMPT - prompt->system.n || prompt->version.n > 256)
        return hone_fail(err, HONE_ERR_LIMIT, "generator: a prompt of more than %u bytes",
                         HONE_GENERATE_PROMPT);
    const size_t at = frame_begin(line.out, FRAME_ASK);
    frame_put_u64(line.out, ++line.last);
    frame_put_u64(line.out, (uint64_t)prompt->max_tokens);
    frame_put_u64(line.out, prompt->attempt);
    frame_put_str(line.out, prompt->system);
    frame_put_str(line.out, prompt->user);
    frame_put_str(line.out, prompt->version);
    frame_end(line.out, at);
    line.p[line.n++] = (pending){ .handle = line.last };
    *handle = line.last;
    if (line.out->failed || (line.out->n > FLUSH_BYTES && !send_frames()))
        return hone_fail(err, HONE_ERR_IO, "generator: the run does not listen");
    return HONE_OK;
}

static hone_status fetch(pending *p, hone_error *err)
{
    frame f;
    put_handle(FRAME_COLLECT, p->handle);
    hone_status st = exchange(&f, FRAME_ANSWER, err);
    if (st)
        return st;
    const uint64_t handle = frame_u64(&f);
    p->status = (hone_status)frame_u32(&f);
    p->end = frame_u32(&f);
    p->kept = frame_u32(&f);
    const hone_str words = frame_str(&f);
    if (f.bad || handle != p->handle)
        return hone_fail(err, HONE_ERR_IO, "generator: the run answers something else");
    if (!(p->text = mem_strndup(words.p, (size_t)words.n)))
        return hone_fail(err, HONE_ERR_NOMEM, "generator: no memory for an answer");
    p->n = (size_t)words.n;
    p->answered = true;
    return HONE_OK;
}

static hone_status line_collect(const hone_generate_service *self, uint64_t handle,
                                hone_answer *answer, hone_error *err)
{
    pending *p = find(handle);
    (void)self;
    if (!p)
        return hone_fail(err, HONE_ERR_ARG, "generator: %llu is no handle",
                         (unsigned long long)handle);
    hone_status st = p->answered ? HONE_OK : fetch(p, err);
    if (!st && p->status)
        return hone_fail(err, p->status, "%s", p->text);
    if (!st)
        *answer = (hone_answer){ .struct_size = sizeof *answer,
                                 .end = p->end,
                                 .text = { p->text, p->n },
                                 .cached = p->kept };
    return st;
}

static int32_t line_ready(const hone_generate_service *self, uint64_t handle)
{
    const pending *p = find(handle);
    frame f;
    (void)self;
    if (!p || p->answered)
        return 1;
    put_handle(FRAME_PEEK, handle);
    if (exchange(&f, FRAME_PEEKED, NULL) || frame_u64(&f) != handle)
        return 1; /* collect() says what is wrong */
    return frame_u32(&f) != 0;
}

static void line_release(const hone_generate_service *self, uint64_t handle)
{
    pending *p = find(handle);
    (void)self;
    if (!p)
        return;
    put_handle(FRAME_RELEASE, handle);
    free(p->text);
    *p = line.p[--line.n];
}

static hone_status line_shape(const hone_embed_service *self, uint64_t *width, uint64_t *max_tokens,
                              hone_error *err)
{
    frame f;
    (void)self;
    frame_end(line.out, frame_begin(line.out, FRAME_SHAPE));
    hone_status st = exchange(&f, FRAME_SHAPED, err);
    if (st)
        return st;
    const hone_status status = (hone_status)frame_u32(&f);
    const uint64_t w = frame_u64(&f), n = frame_u64(&f);
    const hone_str said = frame_str(&f);
    if (f.bad)
        return hone_fail(err, HONE_ERR_IO, "generator: the run answers something else");
    if (status)
        return hone_fail(err, status, "%.*s", (int)said.n, said.p);
    *width = w;
    *max_tokens = n;
    return HONE_OK;
}

static hone_status embed_some(const hone_str *texts, uint64_t n, float *out, uint64_t *numbers,
                              hone_error *err)
{
    frame f;
    const size_t at = frame_begin(line.out, FRAME_EMBED);
    frame_put_u32(line.out, (uint32_t)n);
    for (uint64_t i = 0; i < n; i++)
        frame_put_str(line.out, texts[i]);
    frame_end(line.out, at);
    hone_status st = exchange(&f, FRAME_VECTORS, err);
    if (st)
        return st;
    const hone_status status = (hone_status)frame_u32(&f);
    const hone_str said = frame_str(&f);
    if (status)
        return hone_fail(err, status, "%.*s", (int)said.n, said.p);
    *numbers = f.n / sizeof(float);
    for (uint64_t i = 0; i < *numbers; i++) {
        const uint32_t bits = frame_u32(&f);
        memcpy(out + i, &bits, sizeof bits);
    }
    return f.bad ? hone_fail(err, HONE_ERR_IO, "generator: the run answers something else") : st;
}

static hone_status line_embed(const hone_embed_service *self, const hone_str *texts, uint64_t n,
                              float *out, hone_error *err)
{
    hone_status st = HONE_OK;
    (void)self;
    if (n > HONE_EMBED_TEXTS)
        return hone_fail(err, HONE_ERR_LIMIT, "generator: %llu texts at once, at most %d",
                         (unsigned long long)n, HONE_EMBED_TEXTS);
    for (uint64_t i = 0, numbers = 0; i < n && !st; i += ASKS_EMBED_AT_ONCE) {
        const uint64_t left = n - i;
        st = embed_some(texts + i, left < ASKS_EMBED_AT_ONCE ? left : ASKS_EMBED_AT_ONCE, out,
                        &numbers, err);
        out += numbers;
    }
    return st;
}

void asks_offer(int fd, text *out)
{
    const hone_host *host = plugin_host();
    const hone_generate_service *g = host->service(host, HONE_SERVICE_GENERATE);
    const hone_embed_service *e = host->service(host, HONE_SERVICE_EMBED);
    line.fd = fd;
    line.out = out;
    line.p = mem_new(HONE_GENERATE_PENDING, sizeof *line.p);
    line.generate = (hone_generate_service){ .struct_size = sizeof line.generate,
                                             .identity = g ? g->identity : "",
                                             .submit = line_submit,
                                             .collect = line_collect,
                                             .ready = line_ready,
                                             .release = line_release };
    line.embed = (hone_embed_service){ .struct_size = sizeof line.embed,
                                       .identity = e ? e->identity : "",
                                       .shape = line_shape,
                                       .embed = line_embed };
    /* the run's own tables are no use here: their model and sockets are another process's */
    (void)host_offer_service(HONE_SERVICE_GENERATE, g && line.p ? &line.generate : NULL);
    (void)host_offer_service(HONE_SERVICE_EMBED, e ? &line.embed : NULL);
}
