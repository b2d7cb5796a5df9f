/*
 * helper.c - the services that recipes ask: opened from the settings, shown while they work.
 *
 * The model is opened when the first prompt needs it: a second run over kept answers never does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/app/helper.h"

#define SHOW_SECONDS 0.2  /* between two looks on a terminal */
#define LINE_SECONDS 10.0 /* and elsewhere */

static void show(void *ctx, const generator_counts *c)
{
    helper *h = ctx;
    text t = { 0 };
    const double now = clock_now();
    if (!c->waiting || now - h->last < (h->terminal ? SHOW_SECONDS : LINE_SECONDS))
        return;
    h->last = now;
    text_printf(&t, "asked %lld prompts, %lld wait, %lld were kept from before",
                (long long)c->asked, (long long)c->waiting, (long long)c->kept);
    if (c->failed || c->retries)
        text_printf(&t, "; %lld failed, %lld tried again", (long long)c->failed,
                    (long long)c->retries);
    if (!text_status(&t, NULL)) {
        if (h->terminal)
            log_set_status(t.p);
        else
            log_line(HONE_LOG_INFO, "%s", t.p);
    }
    text_finish(&t);
}

static hone_status open_model(void *ctx, int64_t at_once, model **net, hone_error *err)
{
    helper *h = ctx;
    bool full = false;
    h->z->at_once = at_once;
    free(h->z->adapter_owned);
    h->z->adapter_owned = NULL;
    hone_status st = session_tuned_path(h->s, &h->z->adapter_owned, &full, err);
    if (!st)
        st = session_open_model(h->z, h->s, h->z->adapter_owned, full, err);
    if (!st)
        *net = h->z->net;
    return st;
}

/* What answers: the base, or what was made of it and is there now. */
static hone_status make_identity(helper *h, hone_error *err)
{
    char *tuned = NULL;
    bool full = false;
    hone_status st = session_tuned_path(h->s, &tuned, &full, err);
    if (!st)
        st = generator_identity(&h->identity, full ? tuned : h->s->top.model, full ? NULL : tuned,
                                h->s->top.backend, err);
    free(tuned);
    return st;
}

hone_status helper_open(helper *h, session *z, const settings *s, hone_error *err)
{
    hone_status st = HONE_OK;
    *h = (helper){ .z = z, .s = s, .terminal = isatty(STDERR_FILENO) == 1, .last = clock_now() };
    if (!(h->cache = path_join(s->prepare.out, "answers")))
        return hone_fail(err, HONE_ERR_NOMEM, "prepare: no memory");
    if (z->tok && (st = make_identity(h, err)))
        return st;
    const generator_model m = { .ctx = h,
                                .open = open_model,
                                .identity = h->identity,
                                .tok = z->tok,
                                .chat = z->chat,
                                .date = s->data.date };
    st = generator_open(&h->g, &s->generator, z->tok ? &m : NULL, &s->generate, h->cache, err);
    if (st || !h->g)
        return st;
    generator_on_work(h->g, show, h);
    if (!host_offer_service(HONE_SERVICE_GENERATE, generator_service(h->g)) ||
        !host_offer_service(HONE_SERVICE_EMBED, generator_embed_service(h->g)))
        return hone_fail(err, HONE_ERR_STATE, "prepare: the table of services is full");
    return HONE_OK;
}

void helper_close(helper *h)
{
    (void)host_offer_service(HONE_SERVICE_GENERATE, NULL);
    (void)host_offer_service(HONE_SERVICE_EMBED, NULL);
    generator_close(h->g);
    free(h->identity);
    free(h->cache);
    *h = (helper){ 0 };
}

void helper_print(const helper *h, text *out)
{
    if (!h->g)
        return;
    const generator_counts c = generator_count(h->g);
    if (c.prompts)
        text_printf(out,
                    "  %8lld  prompts: %lld kept from before, %lld asked (%lld tokens in, %lld "
                    "out), %lld without an answer\n",
                    (long long)c.prompts, (long long)c.kept, (long long)c.asked,
                    (long long)c.tokens_in, (long long)c.tokens_out,
                    (long long)(c.failed - c.counted));
    if (c.counted) {
        text_printf(out, "  %8lld  prompts would be asked: %lld kB", (long long)c.counted,
                    (long long)(c.counted_bytes / 1000));
        if (c.counted_tokens)
            text_printf(out, ", about %lld tokens", (long long)c.counted_tokens);
        text_printf(out, ", answers of at most %lld tokens\n", (long long)c.counted_most);
    }
    if (c.embedded)
        text_printf(out, "  %8lld  texts as vectors\n", (long long)c.embedded);
}
