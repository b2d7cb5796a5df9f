/*
 * fuzz_asks.c - what a process that runs recipes may ask for; see core/prepare/asks.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/prepare/asks.h"
#include "fuzz.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t last, open_handles;

static hone_status take_prompt(const hone_generate_service *self, const hone_prompt *p,
                               uint64_t *handle, hone_error *err)
{
    (void)self;
    if (!utf8_valid(p->user.p, p->user.n) || !utf8_valid(p->system.p, p->system.n))
        abort();
    if (!p->user.n)
        return hone_fail(err, HONE_ERR_ARG, "an empty prompt");
    open_handles++;
    *handle = ++last;
    return HONE_OK;
}

static hone_status collect(const hone_generate_service *self, uint64_t handle, hone_answer *a,
                           hone_error *err)
{
    (void)self;
    if (!handle || handle > last)
        abort();
    if (handle % 5 == 0)
        return hone_fail(err, HONE_ERR_IO, "no");
    *a = (hone_answer){ .struct_size = sizeof *a, .text = { "yes", 3 } };
    return HONE_OK;
}

static int32_t ready(const hone_generate_service *self, uint64_t handle)
{
    (void)self;
    return handle % 3 != 0;
}

static void release(const hone_generate_service *self, uint64_t handle)
{
    (void)self;
    if (!handle || handle > last)
        abort();
    open_handles--;
}

static hone_status shape(const hone_embed_service *self, uint64_t *width, uint64_t *most,
                         hone_error *err)
{
    (void)self;
    (void)err;
    *width = 2;
    *most = 8;
    return HONE_OK;
}

static hone_status embed(const hone_embed_service *self, const hone_str *texts, uint64_t n,
                         float *out, hone_error *err)
{
    (void)self;
    (void)err;
    for (uint64_t i = 0; i < n; i++)
        out[2 * i] = out[2 * i + 1] = (float)texts[i].n;
    return HONE_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const hone_generate_service generate = { .struct_size = sizeof generate,
                                                    .identity = "fuzz",
                                                    .submit = take_prompt,
                                                    .collect = collect,
                                                    .ready = ready,
                                                    .release = release };
    static const hone_embed_service vectors = {
        .struct_size = sizeof vectors, .identity = "fuzz", .shape = shape, .embed = embed
    };
    asks *a = NULL;
    int pair[2];
    char heard[4096];
    if (!host_offer_service(HONE_SERVICE_GENERATE, &generate) ||
        !host_offer_service(HONE_SERVICE_EMBED, &vectors) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return 0;
    for (size_t at = 0; at < n;) {
        frame f;
        size_t used = 0;
        bool fault = true;
        hone_error err = { 0 };
        if (frame_next(&f, p + at, n - at, &used, &err) || asks_take(&a, &f, &fault, &err))
            break;
        at += used;
        for (int i = 0; i < 3 && asks_waits(a); i++) {
            if (!asks_serve(a, pair[0]))
                break;
            while (read(pair[1], heard, sizeof heard) > 0)
                ;
        }
    }
    asks_forget(&a);
    if (open_handles)
        abort();
    (void)close(pair[0]);
    (void)close(pair[1]);
    return 0;
}
