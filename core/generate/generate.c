/*
 * generate.c - the queue of prompts and its two services.
 *
 * A prompt's key is the hash of all that makes its answer. A kept answer ends a prompt at once;
 * others wait in the order they came, go to the answerer as it has room, and are kept when they
 * are answered. When the same question was answered in between, that answer is taken: two
 * answers to one question never leave here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/generate/parts.h"

#define MAX_WAITING (1 << 19) /* handles at a time, of all recipes and processes */
#define WAIT_MS 100           /* how often a wish to stop is looked at */

/* clang-format off */
const hone_option generator_option_rows[] = {
    HONE_ROW_STRING(generator_options, endpoint, NULL,
        "address of a service with OpenAI's chat completions, https://host/v1, that answers instead of the model; no network without it"),
    HONE_ROW_STRING(generator_options, model, NULL, "the service's name of the model"),
    HONE_ROW_STRING(generator_options, key, NULL, "name of the environment variable that holds the service's key"),
    HONE_ROW_PATH(generator_options, cache, NULL, "folder of kept answers; default: prepare.out/answers"),
    HONE_ROW_I64(generator_options, batch, 1, 256, "8", "prompts that the local model answers at once; each has use.context tokens of cache"),
    HONE_ROW_I64(generator_options, concurrency, 1, 256, "8", "requests to the service at once"),
    HONE_ROW_I64(generator_options, timeout, 1, 86400, "120", "seconds that a request may take"),
    HONE_ROW_I64(generator_options, retries, 0, 100, "6", "of a request that failed and may yet succeed, with growing pauses"),
    HONE_ROW_I64(generator_options, answer_kb, 1, 1 << 20, "1024", "size of a service's answer, at most, in kB"),
    HONE_ROW_BOOL(generator_options, dry_run, "false", "hone prepare: count the prompts that no kept answer answers, ask none, write no dataset"),
    HONE_OPTIONS_END,
};
/* clang-format on */

struct generator {
    generator_options o;   /* strings borrowed */
    const sampling *s;     /* borrowed */
    char *cache;           /* owned */
    char *identity;        /* owned: who answers */
    char how[160];         /* sampling, for keys */
    generator_model local; /* open NULL: none */
    answerer who, embeds;  /* embeds: the local model, where a service answers prompts */
    void (*on_work)(void *ctx, const generator_counts *c);
    void *work_ctx;
    request **requests; /* owned, ascending by handle */
    size_t n, cap;
    size_t first; /* before it nothing waits */
    uint64_t last;
    hone_error broken; /* code HONE_OK: not */
    generator_counts counts;
    hone_generate_service service;
    hone_embed_service embed;
};

/* ----------------------------------------------------------------------- requests */

static void request_free(request *r)
{
    if (!r)
        return;
    free(r->system);
    free(r->user);
    text_finish(&r->answer);
    free(r);
}

/* Index of a handle; g->n when there is none. */
static size_t index_of(const generator *g, uint64_t handle)
{
    size_t lo = 0, hi = g->n;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (g->requests[mid]->handle < handle)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < g->n && g->requests[lo]->handle == handle ? lo : g->n;
}

static void take_out(generator *g, size_t i)
{
    request_free(g->requests[i]);
    memmove(g->requests + i, g->requests + i + 1, (g->n - i - 1) * sizeof *g->requests);
    g->n--;
    g->first -= i < g->first;
}

void count_retry(generator *g)
{
    g->counts.retries++;
}

void request_end(generator *g, request *r, const hone_error *err)
{
    hone_error why = { 0 };
    r->state = REQUEST_DONE;
    g->counts.waiting--;
    if (err) {
        r->error = *err;
        g->counts.failed++;
    } else {
        g->counts.asked++;
        g->counts.tokens_in += r->tokens_in;
        g->counts.tokens_out += r->tokens_out;
        hone_status st = kept_read(g->cache, r, &why); /* asked twice at a time: the first holds */
        if (st == HONE_ERR_NOTFOUND)
            st = kept_write(g->cache, r, g->identity, &why);
        if (st) {
            r->error = why;
            g->broken = why; /* a disk that keeps nothing: what follows would be paid for in vain */
        }
    }
    if (r->dropped)
        take_out(g, index_of(g, r->handle));
}

static void end_all(generator *g, const hone_error *err)
{
    for (size_t i = g->n; i-- > 0;) {
        request *r = g->requests[i];
        if (r->state == REQUEST_ASKED)
            g->who.drop(g->who.self, r);
        if (r->state != REQUEST_DONE)
            request_end(g, r, err);
    }
}

static void hash_part(sha256 *h, const char *p, size_t n)
{
    char length[32];
    (void)snprintf(length, sizeof length, "%zu:", n);
    sha256_add(h, length, strlen(length));
    sha256_add(h, p, n);
}

static void make_key(const generator *g, request *r, hone_str version)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[32];
    char numbers[64];
    sha256 h;
    sha256_init(&h);
    (void)snprintf(numbers, sizeof numbers, "%lld %llu", (long long)r->max_tokens,
                   (unsigned long long)r->attempt);
    hash_part(&h, g->identity, strlen(g->identity));
    hash_part(&h, g->how, strlen(g->how));
    hash_part(&h, numbers, strlen(numbers));
    hash_part(&h, version.p ? version.p : "", (size_t)version.n);
    hash_part(&h, r->system, r->n_system);
    hash_part(&h, r->user, r->n_user);
    sha256_done(&h, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        r->key[2 * i] = digits[digest[i] >> 4];
        r->key[2 * i + 1] = digits[digest[i] & 15];
    }
}

static hone_status check_prompt(const generator *g, const hone_prompt *p, hone_error *err)
{
    if (g->counts.waiting >= MAX_WAITING || g->n >= 2 * MAX_WAITING)
        return hone_fail(err, HONE_ERR_LIMIT, "generator: %lld prompts wait; collect some first",
                         (long long)g->counts.waiting);
    if (p->system.n > HONE_GENERATE_PROMPT || p->user.n > HONE_GENERATE_PROMPT - p->system.n)
        return hone_fail(err, HONE_ERR_LIMIT, "generator: a prompt of more than %u bytes",
                         HONE_GENERATE_PROMPT);
    if (!p->user.n || p->max_tokens < 0 ||
        !utf8_valid(p->system.p ? p->system.p : "", (size_t)p->system.n) ||
        !utf8_valid(p->user.p, (size_t)p->user.n))
        return hone_fail(err, HONE_ERR_ARG,
                         "generator: a prompt is empty, no UTF-8, or asks for %lld tokens",
                         (long long)p->max_tokens);
    return HONE_OK;
}

/* The dry run: equal prompts count as often as they come, like the answers they would get. */
static void count_only(generator *g, request *r)
{
    tokens t = { 0 };
    g->counts.counted++;
    g->counts.counted_bytes += (int64_t)(r->n_system + r->n_user);
    g->counts.counted_most += r->max_tokens;
    if (g->local.tok &&
        !tokenizer_encode(g->local.tok, r->system, r->n_system, 0, &t, NULL, NULL) &&
        !tokenizer_encode(g->local.tok, r->user, r->n_user, 0, &t, NULL, NULL))
        g->counts.counted_tokens += (int64_t)t.n;
    tokens_finish(&t);
    request_end(g, r, &(hone_error){ HONE_ERR_SKIP, "the dry run asks nothing" });
}

static hone_status service_submit(const hone_generate_service *self, const hone_prompt *prompt,
                                  uint64_t *handle, hone_error *err)
{
    generator *g = self->ctx;
    hone_status st = check_prompt(g, prompt, err);
    if (st)
        return st;
    request *r = mem_new(1, sizeof *r);
    if (r) {
        *r = (request){ .handle = ++g->last,
                        .n_system = (size_t)prompt->system.n,
                        .n_user = (size_t)prompt->user.n,
                        .max_tokens = prompt->max_tokens ? prompt->max_tokens : g->s->max_tokens,
                        .attempt = prompt->attempt,
                        .system = mem_strndup(prompt->system.p ? prompt->system.p : "",
                                              (size_t)prompt->system.n),
                        .user = mem_strndup(prompt->user.p, (size_t)prompt->user.n) };
    }
    if (!r || !r->system || !r->user ||
        !mem_grow(&g->requests, &g->cap, g->n + 1, sizeof *g->requests)) {
        request_free(r);
        return hone_fail(err, HONE_ERR_NOMEM, "generator: no memory for a prompt");
    }
    make_key(g, r, prompt->version);
    st = kept_read(g->cache, r, err);
    if (st && st != HONE_ERR_NOTFOUND) {
        request_free(r);
        return st;
    }
    g->requests[g->n++] = r;
    g->counts.prompts++;
    if (st == HONE_OK) {
        r->state = REQUEST_DONE;
        g->counts.kept++;
    } else {
        g->counts.waiting++;
        if (g->o.dry_run)
            count_only(g, r);
    }
    *handle = r->handle;
    return HONE_OK;
}

/* What waits to the answerer, as far as it has room. */
static void give(generator *g)
{
    hone_error err = { 0 };
    while (g->first < g->n) {
        request *r = g->requests[g->first];
        if (r->state == REQUEST_WAITS) {
            /* the same may have been answered since it came */
            if (kept_read(g->cache, r, &err) == HONE_OK) {
                r->state = REQUEST_DONE;
                g->counts.waiting--;
                g->counts.kept++;
            } else if (!g->who.take(g->who.self, r)) {
                return;
            } else if (r->state == REQUEST_WAITS) {
                r->state = REQUEST_ASKED;
            }
        }
        g->first++;
    }
}

void generator_work(generator *g, int ms)
{
    hone_error err = { 0 };
    if (!g || !g->counts.waiting)
        return;
    if (!g->broken.code)
        give(g);
    if (!g->broken.code && g->who.work(g->who.self, ms, &err))
        g->broken = err;
    if (g->broken.code) {
        const hone_error why = g->broken;
        end_all(g, &why);
    }
    if (g->on_work)
        g->on_work(g->work_ctx, &g->counts);
}

static int32_t service_ready(const hone_generate_service *self, uint64_t handle)
{
    generator *g = self->ctx;
    const size_t i = index_of(g, handle);
    if (i < g->n && g->requests[i]->state != REQUEST_DONE)
        generator_work(g, 0);
    const size_t now = index_of(g, handle);
    return now == g->n || g->requests[now]->state == REQUEST_DONE;
}

static hone_status service_collect(const hone_generate_service *self, uint64_t handle,
                                   hone_answer *answer, hone_error *err)
{
    generator *g = self->ctx;
    const size_t i = index_of(g, handle);
    if (i == g->n)
        return hone_fail(err, HONE_ERR_ARG, "generator: %llu is no handle",
                         (unsigned long long)handle);
    const request *r = g->requests[i];
    while (r->state != REQUEST_DONE) {
        if (host_is_cancelled())
            return hone_fail(err, HONE_ERR_CANCELLED, "generator: interrupted");
        generator_work(g, WAIT_MS);
    }
    if (r->error.code) {
        if (err)
            *err = r->error;
        return r->error.code;
    }
    *answer = (hone_answer){ .struct_size = sizeof *answer,
                             .end = r->end,
                             .text = { r->answer.p ? r->answer.p : "", r->answer.n },
                             .cached = r->cached };
    return HONE_OK;
}

static void service_release(const hone_generate_service *self, uint64_t handle)
{
    generator *g = self->ctx;
    const size_t i = index_of(g, handle);
    if (i == g->n)
        return;
    request *r = g->requests[i];
    if (r->state == REQUEST_ASKED)
        g->who.drop(g->who.self, r);
    if (r->state != REQUEST_DONE)
        g->counts.waiting--;
    take_out(g, i);
}

/* --------------------------------------------------------------------- embeddings */

static hone_status embed_model(generator *g, model **net, hone_error *err)
{
    return local_model(g->embeds.self ? &g->embeds : &g->who, net, err);
}

static hone_status embed_shape(const hone_embed_service *self, uint64_t *width,
                               uint64_t *max_tokens, hone_error *err)
{
    model *net = NULL;
    const hone_status st = embed_model(self->ctx, &net, err);
    if (st)
        return st;
    *width = (uint64_t)model_config(net)->dim[DIM_C];
    *max_tokens = (uint64_t)embed_limit(net);
    return HONE_OK;
}

static hone_status embed_embed(const hone_embed_service *self, const hone_str *texts, uint64_t n,
                               float *out, hone_error *err)
{
    generator *g = self->ctx;
    model *net = NULL;
    if (n > HONE_EMBED_TEXTS)
        return hone_fail(err, HONE_ERR_LIMIT, "generator: %llu texts at once, at most %d",
                         (unsigned long long)n, HONE_EMBED_TEXTS);
    hone_status st = embed_model(g, &net, err);
    if (!st)
        st = embed_texts(net, g->local.tok, texts, n, out, err);
    if (!st)
        g->counts.embedded += (int64_t)n;
    return st;
}

/* ------------------------------------------------------------------------ opening */

static hone_status make_identity(generator *g, hone_error *err)
{
    text t = { 0 };
    char *address = NULL;
    hone_status st = HONE_OK;
    if (g->o.endpoint) {
        if ((st = endpoint_address(&address, &g->o, err)))
            return st;
        text_printf(&t, "%s %s", address, g->o.model);
        free(address);
    } else {
        /* the template and the date are part of what the model is asked */
        text_printf(&t, "%s template %.16s %s", g->local.identity,
                    chat_template_hash(g->local.chat), g->local.date ? g->local.date : "");
    }
    if (!(st = text_status(&t, err)))
        g->identity = mem_strdup(t.p);
    text_finish(&t);
    if (!st && !g->identity)
        st = hone_fail(err, HONE_ERR_NOMEM, "generator: no memory");
    (void)snprintf(g->how, sizeof g->how, "t %.17g k %lld p %.17g r %.17g s %lld",
                   g->s->temperature, (long long)g->s->top_k, g->s->top_p, g->s->repetition_penalty,
                   (long long)g->s->seed);
    return st;
}

hone_status generator_open(generator **out, const generator_options *o,
                           const generator_model *local, const sampling *s, const char *cache,
                           hone_error *err)
{
    hone_status st;
    *out = NULL;
    if (!o->endpoint && !local)
        return HONE_OK;
    generator *g = mem_new(1, sizeof *g);
    if (!g)
        return hone_fail(err, HONE_ERR_NOMEM, "generator: no memory");
    g->o = *o;
    g->s = s;
    if (local)
        g->local = *local;
    if (!(g->cache = mem_strdup(o->cache ? o->cache : cache))) {
        st = hone_fail(err, HONE_ERR_NOMEM, "generator: no memory");
        goto out;
    }
    if ((st = make_identity(g, err)))
        goto out;
    st = o->endpoint ? endpoint_open(&g->who, g, o, s, err)
                     : local_open(&g->who, g, &g->local, s, o->batch, err);
    if (!st && o->endpoint && local)
        st = local_open(&g->embeds, g, &g->local, s, o->batch, err);
    if (st)
        goto out;
    g->service = (hone_generate_service){ .struct_size = sizeof g->service,
                                          .ctx = g,
                                          .identity = g->identity,
                                          .submit = service_submit,
                                          .collect = service_collect,
                                          .ready = service_ready,
                                          .release = service_release };
    g->embed = (hone_embed_service){ .struct_size = sizeof g->embed,
                                     .ctx = g,
                                     .identity = local ? g->local.identity : "",
                                     .shape = embed_shape,
                                     .embed = embed_embed };
    *out = g;
    g = NULL;
out:
    generator_close(g);
    return st;
}

void generator_close(generator *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n; i++) {
        if (g->requests[i]->state == REQUEST_ASKED)
            g->who.drop(g->who.self, g->requests[i]);
        request_free(g->requests[i]);
    }
    free(g->requests);
    if (g->who.destroy)
        g->who.destroy(g->who.self);
    if (g->embeds.destroy)
        g->embeds.destroy(g->embeds.self);
    free(g->cache);
    free(g->identity);
    free(g);
}

const hone_generate_service *generator_service(generator *g)
{
    return &g->service;
}

const hone_embed_service *generator_embed_service(generator *g)
{
    return g->local.open ? &g->embed : NULL;
}

generator_counts generator_count(const generator *g)
{
    return g->counts;
}

void generator_on_work(generator *g, void (*on_work)(void *ctx, const generator_counts *c),
                       void *ctx)
{
    g->on_work = on_work;
    g->work_ctx = ctx;
}
