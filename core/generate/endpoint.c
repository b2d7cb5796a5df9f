/*
 * endpoint.c - a service with OpenAI's chat completions over HTTP, by libcurl.
 *
 * Only the address that was configured is spoken to: redirections are not followed, certificates
 * are checked, and a key never goes out in the clear but to this machine itself. A request that
 * may yet succeed (no connection, time-out, 408, 429, 5xx) is tried again after a pause that doubles, or that
 * the service names (Retry-After); others fail at once, and a refusal that would be that of every
 * request (401, 403, 404) ends them all.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/generate/parts.h"

static bool ends_with(const char *s, const char *tail)
{
    const size_t n = strlen(s), k = strlen(tail);
    return n >= k && strcmp(s + n - k, tail) == 0;
}

hone_status endpoint_address(char **out, const generator_options *o, hone_error *err)
{
    static const char tail[] = "/chat/completions";
    text t = { 0 };
    const bool http = strncmp(o->endpoint, "http://", 7) == 0;
    if (!http && strncmp(o->endpoint, "https://", 8) != 0)
        return hone_fail(err, HONE_ERR_ARG,
                         "generator.endpoint: '%s' is no address; expected https://host/v1",
                         o->endpoint);
    if (strpbrk(o->endpoint, "@?# \t\r\n"))
        return hone_fail(err, HONE_ERR_ARG,
                         "generator.endpoint: '%s' has a user, a question or a blank in it; a key "
                         "comes from the environment variable that generator.key names",
                         strchr(o->endpoint, '@') ? "(not shown)" : o->endpoint);
    if (!o->model || !*o->model)
        return hone_fail(err, HONE_ERR_ARG,
                         "generator.model: set the name that %s has for the model", o->endpoint);
    text_puts(&t, o->endpoint);
    while (t.n && t.p[t.n - 1] == '/')
        t.p[--t.n] = '\0';
    if (t.p && !ends_with(t.p, tail))
        text_puts(&t, tail);
    const hone_status st = text_status(&t, err);
    if (st)
        text_finish(&t);
    else
        *out = t.p;
    return st;
}

#ifndef HONE_HAVE_CURL

hone_status endpoint_open(answerer *out, generator *g, const generator_options *o,
                          const sampling *s, hone_error *err)
{
    (void)out;
    (void)g;
    (void)s;
    return hone_fail(err, HONE_ERR_UNSUPPORTED,
                     "generator.endpoint: %s cannot be asked: this hone was built without libcurl "
                     "(libcurl4-openssl-dev)",
                     o->endpoint);
}

#else

#include <curl/curl.h>

#define FIRST_PAUSE 0.5 /* seconds */
#define LONGEST_PAUSE 60.0
#define LONGEST_WISH 600.0 /* of a service, by Retry-After */

typedef struct call {
    request *r; /* borrowed; NULL: free */
    CURL *curl; /* owned */
    text body, answer;
    bool running, too_large;
    int64_t tries;
    double again; /* clock_now() of the next try, when it does not run */
    char said[CURL_ERROR_SIZE];
} call;

typedef struct endpoint {
    generator *g; /* borrowed */
    generator_options o;
    const sampling *s; /* borrowed */
    char *address;     /* owned */
    char *secret;      /* owned, or NULL */
    struct curl_slist *headers;
    CURLM *multi;
    call *calls; /* owned (o.concurrency) */
    int64_t taken;
    hone_error fatal;
} endpoint;

/* ------------------------------------------------------------------------- calls */

static size_t receive(char *p, size_t size, size_t n, void *ctx)
{
    call *c = ctx;
    const endpoint *e = NULL;
    (void)curl_easy_getinfo(c->curl, CURLINFO_PRIVATE, &e);
    if (size * n > ((size_t)e->o.answer_kb << 10) - c->answer.n) {
        c->too_large = true;
        return 0;
    }
    text_add(&c->answer, p, size * n);
    return c->answer.failed ? 0 : size * n;
}

static void begin(endpoint *e, call *c)
{
    text_clear(&c->answer);
    c->said[0] = '\0';
    c->too_large = false;
    c->running = curl_multi_add_handle(e->multi, c->curl) == CURLM_OK;
    c->tries++;
}

static void stop(endpoint *e, call *c)
{
    if (c->running)
        (void)curl_multi_remove_handle(e->multi, c->curl);
    c->running = false;
}

static void leave(endpoint *e, call *c)
{
    stop(e, c);
    c->r = NULL;
    e->taken--;
}

static hone_status set_up(endpoint *e, call *c, hone_error *err)
{
    if (!c->curl && !(c->curl = curl_easy_init()))
        return hone_fail(err, HONE_ERR_NOMEM, "generator: no memory for a connection");
    curl_easy_reset(c->curl);
    const struct {
        CURLoption option;
        long value;
    } numbers[] = {
        { CURLOPT_TIMEOUT, (long)e->o.timeout },
        { CURLOPT_CONNECTTIMEOUT, 30 },
        { CURLOPT_NOSIGNAL, 1 },
        { CURLOPT_FOLLOWLOCATION, 0 },
        { CURLOPT_SSL_VERIFYPEER, 1 },
        { CURLOPT_SSL_VERIFYHOST, 2 },
        { CURLOPT_POST, 1 },
        { CURLOPT_POSTFIELDSIZE, (long)c->body.n },
    };
    CURLcode bad = CURLE_OK;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !bad; i++)
        bad = curl_easy_setopt(c->curl, numbers[i].option, numbers[i].value);
    if (bad || (bad = curl_easy_setopt(c->curl, CURLOPT_URL, e->address)) ||
        (bad = curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https")) ||
        (bad = curl_easy_setopt(c->curl, CURLOPT_ACCEPT_ENCODING, "identity")) ||
        (bad = curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, e->headers)) ||
        (bad = curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, c->body.p)) ||
        (bad = curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->said)) ||
        (bad = curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, receive)) ||
        (bad = curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c)) ||
        (bad = curl_easy_setopt(c->curl, CURLOPT_PRIVATE, e)))
        return hone_fail(err, HONE_ERR_IO, "generator: libcurl: %s", curl_easy_strerror(bad));
    return HONE_OK;
}

static bool endpoint_take(void *self, request *r)
{
    endpoint *e = self;
    hone_error err = { 0 };
    call *c = e->calls;
    if (e->taken == e->o.concurrency)
        return false;
    while (c->r)
        c++;
    text_clear(&c->body);
    hone_status st = reply_request(&c->body, r, e->o.model, e->s, &err);
    if (!st)
        st = set_up(e, c, &err);
    if (st) {
        request_end(e->g, r, &err);
        return true;
    }
    c->r = r;
    c->tries = 0;
    r->place = c - e->calls;
    e->taken++;
    begin(e, c);
    return true;
}

static void endpoint_drop(void *self, request *r)
{
    endpoint *e = self;
    leave(e, &e->calls[r->place]);
}

/* ----------------------------------------------------------------------- outcomes */

static double pause_of(const call *c)
{
    curl_off_t wish = 0;
    if (curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &wish) == CURLE_OK && wish > 0)
        return (double)wish < LONGEST_WISH ? (double)wish : LONGEST_WISH;
    double pause = FIRST_PAUSE;
    for (int64_t i = 1; i < c->tries && pause < LONGEST_PAUSE; i++)
        pause *= 2;
    /* up to a quarter more, so that many that failed together do not come together again */
    pause *= 1 + 0.25 * rng_uniform(c->r->handle, 0, (uint64_t)c->tries);
    return pause < LONGEST_PAUSE ? pause : LONGEST_PAUSE;
}

static bool may_succeed(CURLcode code, long status)
{
    static const CURLcode codes[] = {
        CURLE_COULDNT_CONNECT,    CURLE_COULDNT_RESOLVE_HOST,
        CURLE_OPERATION_TIMEDOUT, CURLE_GOT_NOTHING,
        CURLE_RECV_ERROR,         CURLE_SEND_ERROR,
        CURLE_PARTIAL_FILE,       CURLE_HTTP2,
        CURLE_HTTP2_STREAM,
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (code == codes[i])
            return true;
    return code == CURLE_OK && (status == 408 || status == 429 || status >= 500);
}

/* What went wrong, and for whom. */
static void explain(const endpoint *e, const call *c, CURLcode code, long status, hone_error *err)
{
    char said[200], after[48] = "";
    if (c->tries > 1)
        (void)snprintf(after, sizeof after, ", %lld times", (long long)c->tries);
    if (c->too_large) {
        (void)hone_fail(err, HONE_ERR_IO,
                        "%s: its answer has more than %lld kB; raise generator.answer_kb",
                        e->address, (long long)e->o.answer_kb);
    } else if (code != CURLE_OK) {
        (void)hone_fail(err, HONE_ERR_IO, "%s: %s%s", e->address,
                        c->said[0] ? c->said : curl_easy_strerror(code), after);
    } else {
        reply_reason(c->answer.p ? c->answer.p : "", c->answer.n, e->secret, said, sizeof said);
        (void)hone_fail(err, HONE_ERR_IO, "%s: status %ld%s%s%s", e->address, status, after,
                        said[0] ? ": " : "", said);
    }
}

static void take_outcome(endpoint *e, call *c, CURLcode code)
{
    hone_error err = { 0 }, why = { 0 };
    request *r = c->r;
    long status = 0;
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    stop(e, c);
    if (code == CURLE_OK && status == 200) {
        const hone_status st = reply_parse(r, c->answer.p ? c->answer.p : "", c->answer.n, &why);
        if (st)
            (void)hone_fail(&err, st, "%s: %s", e->address, why.message);
        leave(e, c);
        request_end(e->g, r, st ? &err : NULL);
        return;
    }
    if (may_succeed(code, status) && c->tries <= e->o.retries) {
        c->again = clock_now() + pause_of(c);
        count_retry(e->g);
        return;
    }
    explain(e, c, code, status, &err);
    leave(e, c);
    if (code == CURLE_OK && (status == 401 || status == 403 || status == 404) && !e->fatal.code)
        e->fatal = err;
    request_end(e->g, r, &err);
}

static void take_outcomes(endpoint *e)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(e->multi, &left))) {
        if (m->msg != CURLMSG_DONE)
            continue;
        for (int64_t i = 0; i < e->o.concurrency; i++)
            if (e->calls[i].r && e->calls[i].running && e->calls[i].curl == m->easy_handle) {
                take_outcome(e, &e->calls[i], m->data.result);
                break;
            }
    }
}

static hone_status endpoint_work(void *self, int ms, hone_error *err)
{
    endpoint *e = self;
    int running;
    for (int64_t i = 0; i < e->o.concurrency; i++) {
        call *c = &e->calls[i];
        if (c->r && !c->running && clock_now() >= c->again)
            begin(e, c);
    }
    (void)curl_multi_perform(e->multi, &running);
    const int64_t before = e->taken;
    take_outcomes(e);
    if (ms > 0 && e->taken == before) {
        (void)curl_multi_poll(e->multi, NULL, 0, ms, NULL);
        (void)curl_multi_perform(e->multi, &running);
        take_outcomes(e);
    }
    if (e->fatal.code && err)
        *err = e->fatal;
    return e->fatal.code;
}

/* ------------------------------------------------------------------------ opening */

/* This machine itself: what goes there is not on the wire. */
static bool is_here(const char *address)
{
    static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };
    const char *host = strstr(address, "://") + 3;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t n = strlen(names[i]);
        if (strncmp(host, names[i], n) == 0 && (host[n] == ':' || host[n] == '/'))
            return true;
    }
    return false;
}

static hone_status read_key(endpoint *e, hone_error *err)
{
    text t = { 0 };
    if (!e->o.key)
        return HONE_OK;
    const char *value = getenv(e->o.key);
    if (!value || !*value)
        return hone_fail(err, HONE_ERR_ARG,
                         "generator.key: the environment has no variable %s with the key of %s",
                         e->o.key, e->address);
    if (strpbrk(value, "\r\n"))
        return hone_fail(err, HONE_ERR_ARG, "generator.key: %s has more than one line", e->o.key);
    if (strncmp(e->address, "https://", 8) != 0 && !is_here(e->address))
        return hone_fail(err, HONE_ERR_ARG,
                         "generator.endpoint: %s would send the key in the clear; expected https",
                         e->address);
    text_printf(&t, "Authorization: Bearer %s", value);
    struct curl_slist *more = t.p ? curl_slist_append(e->headers, t.p) : NULL;
    if (more)
        e->headers = more;
    text_finish(&t);
    e->secret = mem_strdup(value);
    return more && e->secret ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "generator: no memory");
}

static void endpoint_destroy(void *self)
{
    endpoint *e = self;
    for (int64_t i = 0; e->calls && i < e->o.concurrency; i++) {
        stop(e, &e->calls[i]);
        curl_easy_cleanup(e->calls[i].curl);
        text_finish(&e->calls[i].body);
        text_finish(&e->calls[i].answer);
    }
    if (e->multi)
        (void)curl_multi_cleanup(e->multi);
    curl_slist_free_all(e->headers);
    free(e->calls);
    free(e->address);
    if (e->secret)
        memset(e->secret, 0, strlen(e->secret));
    free(e->secret);
    free(e);
}

hone_status endpoint_open(answerer *out, generator *g, const generator_options *o,
                          const sampling *s, hone_error *err)
{
    endpoint *e = mem_new(1, sizeof *e);
    if (!e)
        return hone_fail(err, HONE_ERR_NOMEM, "generator: no memory");
    *e = (endpoint){ .g = g, .o = *o, .s = s };
    hone_status st = endpoint_address(&e->address, o, err);
    if (!st && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) {
        e->multi = curl_multi_init();
        e->calls = mem_new((size_t)o->concurrency, sizeof *e->calls);
        e->headers = curl_slist_append(NULL, "Content-Type: application/json");
    }
    if (!st && (!e->multi || !e->calls || !e->headers))
        st = hone_fail(err, HONE_ERR_NOMEM, "generator: no memory for connections");
    if (!st)
        st = read_key(e, err);
    if (st) {
        endpoint_destroy(e);
        return st;
    }
    *out = (answerer){ .self = e,
                       .take = endpoint_take,
                       .work = endpoint_work,
                       .drop = endpoint_drop,
                       .destroy = endpoint_destroy };
    return HONE_OK;
}

#endif
