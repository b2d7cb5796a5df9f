/*
 * harness.c - a host, instances of components, and golden files; see harness.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "harness.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------- host */

static void host_log(const hone_host *host, uint32_t level, const char *line)
{
    (void)host;
    fprintf(stderr, "log %u: %s\n", level, line);
}

static void *host_alloc(const hone_host *host, uint64_t bytes, uint64_t align, const char *tag)
{
    test_host *h = (test_host *)(uintptr_t)host;
    (void)tag;
    if (++h->n == h->fail_at)
        return NULL;
    align = align < sizeof(void *) ? sizeof(void *) : align;
    void *p = aligned_alloc(align, (bytes + align - 1) / align * align + (bytes == 0) * align);
    h->out += p != NULL;
    return p;
}

static void host_free(const hone_host *host, void *p)
{
    ((test_host *)(uintptr_t)host)->out -= p != NULL;
    free(p);
}

static int32_t host_cancelled(const hone_host *host)
{
    (void)host;
    return 0;
}

static void host_parallel_for(const hone_host *host, int64_t n, int64_t grain,
                              void (*body)(void *arg, int64_t lo, int64_t hi), void *arg)
{
    (void)host;
    (void)grain;
    if (n > 0)
        body(arg, 0, n);
}

static uint64_t host_random(const hone_host *host, uint64_t seed, uint64_t stream, uint64_t counter)
{
    (void)host;
    return rng_u64(seed, stream, counter);
}

/* Runs of up to four letters or digits (with a space before them) are one token, any other
 * byte is one: merges across what is appended, as real tokenizers do. */
int64_t test_count(const char *p, size_t n)
{
    int64_t tokens = 0;
    for (size_t i = 0; i < n; tokens++) {
        size_t k = i + (p[i] == ' ');
        size_t word = 0;
        while (k + word < n && word < 4 && isalnum((unsigned char)p[k + word]))
            word++;
        i = word ? k + word : i + 1;
    }
    return tokens;
}

static int64_t service_count(const hone_tokenizer_service *self, hone_str s)
{
    (void)self;
    return test_count(s.p, s.n);
}

static hone_str service_special(const hone_tokenizer_service *self, uint32_t purpose)
{
    static const char *const names[] = { "", "<PRE>", "<SUF>", "<MID>", "<EOT>", "<FILE>", "" };
    (void)self;
    return hone_s(purpose < sizeof names / sizeof *names ? names[purpose] : "");
}

static const void *host_service(const hone_host *host, const char *id)
{
    const test_host *h = (const test_host *)(const void *)host;
    if (strcmp(id, HONE_SERVICE_GENERATE) == 0)
        return h->generate;
    if (strcmp(id, HONE_SERVICE_EMBED) == 0)
        return h->embed;
    return h->has_tokenizer && strcmp(id, HONE_SERVICE_TOKENIZER) == 0 ? &h->tokenizer : NULL;
}

void test_host_init(test_host *h)
{
    *h = (test_host){
        .host = { .struct_size = sizeof(hone_host),
                  HONE_PLUGIN_ABI,
                  .log = host_log,
                  .alloc = host_alloc,
                  .free = host_free,
                  .cancelled = host_cancelled,
                  .parallel_for = host_parallel_for,
                  .random = host_random,
                  .service = host_service },
        .tokenizer = { .struct_size = sizeof(hone_tokenizer_service),
                       .count = service_count,
                       .special = service_special },
    };
}

/* ----------------------------------------------------------------- instance */

static hone_status create(const instance *x, void **self, hone_error *err)
{
    if (strcmp(x->desc->kind, HONE_KIND_READER) == 0)
        return ((const hone_reader *)x->desc->ops)->create(x->host, x->config, self, err);
    return ((const hone_recipe *)x->desc->ops)->create(x->host, x->config, self, err);
}

void instance_close(instance *x)
{
    if (x->self && strcmp(x->desc->kind, HONE_KIND_READER) == 0)
        ((const hone_reader *)x->desc->ops)->destroy(x->self);
    else if (x->self)
        ((const hone_recipe *)x->desc->ops)->destroy(x->self);
    options_finish(&x->options);
    free(x->config);
    *x = (instance){ 0 };
}

hone_status instance_create(instance *x, const hone_host *host, const hone_component *desc,
                            const char *json, hone_error *err)
{
    json_t *object = NULL;
    hone_status st;
    *x = (instance){ .desc = desc, .host = host, .config = calloc(1, desc->config_size + 1) };
    if (!x->config)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory");
    st = options_init(&x->options, desc->options, x->config, desc->name, NULL, err);
    if (st == HONE_OK && json && *json) {
        st = json_parse(&object, json, strlen(json), "options", err);
        if (st == HONE_OK)
            st = options_set_object(&x->options, object, NULL, err);
        json_decref(object);
    }
    if (st == HONE_OK)
        st = create(x, &x->self, err);
    if (st != HONE_OK)
        instance_close(x);
    return st;
}

hone_status instance_open(instance *x, const hone_host *host, const char *file, const char *kind,
                          const char *json, hone_error *err)
{
    const char *build = getenv("HONE_BUILD_DIR");
    char path[4096];
    hone_plugin_entry_fn entry;
    void *so;
    *x = (instance){ 0 };
    (void)snprintf(path, sizeof path, "%s/plugins/%s.so", build ? build : "build", file);
    so = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!so)
        return hone_fail(err, HONE_ERR_NOTFOUND, "%s", dlerror());
    *(void **)&entry = dlsym(so, "hone_plugin_entry");
    for (uint64_t i = 0; entry && i < entry()->n_components; i++)
        if (strcmp(entry()->components[i]->kind, kind) == 0)
            return instance_create(x, host, entry()->components[i], json, err);
    return hone_fail(err, HONE_ERR_NOTFOUND, "%s: no %s", path, kind);
}

/* ------------------------------------------------------------------- golden */

void escape_add(text *out, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)p[i];
        if (c == '\n')
            text_puts(out, "\\n");
        else if (c == '\t')
            text_puts(out, "\\t");
        else if (c == '\\')
            text_puts(out, "\\\\");
        else if (c < 0x20 || c == 0x7f)
            text_printf(out, "\\x%02x", c);
        else
            text_putc(out, (char)c);
    }
}

void unescape_add(text *out, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '\\' || i + 1 == n) {
            text_putc(out, p[i]);
            continue;
        }
        i++;
        if (p[i] == 'x' && i + 2 < n) {
            const char hex[3] = { p[i + 1], p[i + 2], 0 };
            text_putc(out, (char)strtol(hex, NULL, 16));
            i += 2;
        } else {
            text_putc(out, p[i] == 'n' ? '\n' : p[i] == 't' ? '\t' : p[i] == 'r' ? '\r' : p[i]);
        }
    }
}

/* The next " | " field of *p, trimmed, in place. */
static char *field(char **p)
{
    char *start = *p, *bar = strstr(start, " |");
    *p = bar ? bar + 2 : start + strlen(start);
    if (bar)
        *bar = '\0';
    while (*start == ' ')
        start++;
    for (size_t n = strlen(start); n && start[n - 1] == ' ';)
        start[--n] = '\0';
    return start;
}

int golden_run(const char *path,
               void (*run)(void *ctx, const char *document, const char *component, const char *json,
                           const char *p, size_t n, text *out),
               void *ctx)
{
    const char *root = getenv("HONE_SOURCE_DIR");
    char *full = path_join(root ? root : ".", path), *all = NULL;
    text renewed = { 0 };
    hone_error err = { 0 };
    int bad = 0, n_cases = 0;
    if (!full || file_read(&all, NULL, full, 1 << 24, &err) != HONE_OK) {
        fprintf(stderr, "%s: %s\n", path, err.message);
        free(full);
        return 1;
    }
    for (char *at = strncmp(all, "=== ", 4) == 0 ? all : strstr(all, "\n=== "); at;) {
        char *head = at + (*at == '\n') + 4, *input = strchr(head, '\n');
        char *middle = input ? strstr(input, "\n-->\n") : NULL;
        if (!middle) {
            fprintf(stderr, "%s: a case without \"-->\"\n", path);
            bad++;
            break;
        }
        char *want = middle + 5, *next = strstr(middle + 4, "\n=== ");
        text_add(&renewed, n_cases ? at : all, (size_t)(want - (n_cases ? at : all)));
        *input++ = '\0';
        const size_t n_input = middle >= input ? (size_t)(middle - input) : 0;
        const char *name = field(&head), *document = field(&head), *component = field(&head);
        const char *json = field(&head);
        const bool escaped = strncmp(json, "escaped", 7) == 0;
        text bytes = { 0 }, got = { 0 };
        if (next)
            *next = '\0';
        if (escaped)
            unescape_add(&bytes, input, n_input);
        else
            text_add(&bytes, input, n_input);
        run(ctx, document, component, json + (escaped ? 7 : 0), bytes.p ? bytes.p : "", bytes.n,
            &got);
        text_puts(&renewed, got.p ? got.p : "");
        while (got.n && got.p[got.n - 1] == '\n')
            got.p[--got.n] = '\0';
        for (size_t n = strlen(want); n && want[n - 1] == '\n';)
            want[--n] = '\0';
        n_cases++;
        if (strcmp(got.p ? got.p : "", want) != 0) {
            fprintf(stderr, "%s: %s\n--- want\n%s\n--- got\n%s\n", path, name, want,
                    got.p ? got.p : "");
            bad++;
        }
        text_finish(&bytes);
        text_finish(&got);
        if (next)
            *next = '\n';
        at = next;
    }
    if (getenv("HONE_GOLDEN_UPDATE") && n_cases &&
        file_write(full, renewed.p, renewed.n, &err) != HONE_OK)
        fprintf(stderr, "%s: %s\n", path, err.message);
    text_finish(&renewed);
    if (!n_cases)
        fprintf(stderr, "%s: no cases\n", path);
    free(full);
    free(all);
    return bad + (n_cases == 0);
}
