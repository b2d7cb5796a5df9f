/*
 * hostile.c - a reader (".bad") that does what the document's first word says, and a recipe that
 * repeats it: what a broken or malicious plugin may try.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hone/generate.h"
#include "hone/reader.h"
#include "hone/recipe.h"

static hone_status create(const hone_host *host, const void *config, void **self, hone_error *err)
{
    (void)config;
    (void)err;
    *self = (void *)(uintptr_t)host;
    return HONE_OK;
}

static void destroy(void *self)
{
    (void)self;
}

static int starts(hone_str s, const char *word)
{
    return s.n >= strlen(word) && memcmp(s.p, word, strlen(word)) == 0;
}

/* Bytes that look like nothing, on every descriptor the process has. */
static void babble(void)
{
    static const char noise[] = "\xff\xff\xff\xff\xff garbage";
    for (int fd = 3; fd < 64; fd++)
        (void)!write(fd, noise, sizeof noise);
}

static hone_status misbehave(hone_str bytes, hone_error *err)
{
    if (starts(bytes, "crash"))
        (void)raise(SIGSEGV);
    if (starts(bytes, "leave"))
        _exit(3);
    if (starts(bytes, "babble"))
        babble();
    while (starts(bytes, "loop"))
        ;
    if (starts(bytes, "hog")) {
        for (size_t i = 0; i < 4096; i++) {
            char *p =
                mmap(NULL, 1u << 24, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (p == MAP_FAILED)
                return hone_fail(err, HONE_ERR_NOMEM, "no memory, as it should be");
            p[0] = 1;
        }
        return HONE_OK;
    }
    if (starts(bytes, "open") && open("/etc/hostname", O_RDONLY) < 0)
        return hone_fail(err, HONE_ERR_IO, "no file, as it should be");
    if (starts(bytes, "socket") && socket(AF_INET, SOCK_STREAM, 0) < 0)
        return hone_fail(err, HONE_ERR_IO, "no network, as it should be");
    if (starts(bytes, "fork") && fork() < 0)
        return hone_fail(err, HONE_ERR_IO, "no process, as it should be");
    if (starts(bytes, "skip"))
        return hone_fail(err, HONE_ERR_SKIP, "not worth reading");
    return HONE_OK;
}

static hone_status read_document(void *self, const hone_source *source, const hone_block_sink *sink,
                                 hone_error *err)
{
    hone_block block = { .kind = HONE_BLOCK_TEXT,
                         .text = source->bytes,
                         .lang = { "", 0 },
                         .src_len = source->bytes.n };
    hone_status st = misbehave(source->bytes, err);
    (void)self;
    if (starts(source->bytes, "paged")) {
        sink->note(sink, "it has pages");
        st = sink->meta(sink, "unit", hone_s("page"), err);
        block.src_off = 1000;
        block.src_len = 2;
    }
    if (starts(source->bytes, "unit"))
        st = sink->meta(sink, "unit", hone_s("no word"), err);
    if (starts(source->bytes, "partly"))
        sink->lost(sink, 6, "its first word");
    return st ? st : sink->add(sink, &block, err);
}

/* "ask WORDS": four prompts at once, collected from the last to the first, and the words' vector. */
static hone_status ask(const hone_host *host, hone_str words, const hone_sample_sink *sink,
                       hone_error *err)
{
    const hone_generate_service *g = host->service(host, HONE_SERVICE_GENERATE);
    const hone_embed_service *e = host->service(host, HONE_SERVICE_EMBED);
    uint64_t handles[4], width = 0, most = 0;
    float vectors[2][8];
    hone_status st = HONE_OK;
    if (!g || !e)
        return hone_fail(err, HONE_ERR_STATE, "no model to ask");
    for (uint64_t i = 0; i < 4 && !st; i++) {
        const hone_prompt p = {
            .struct_size = sizeof p, .user = words, .attempt = i, .max_tokens = 9
        };
        st = g->submit(g, &p, &handles[i], err);
    }
    for (int i = 3; i >= 0 && !st; i--) {
        hone_answer a;
        (void)g->ready(g, handles[i]);
        st = g->collect(g, handles[i], &a, err);
        const hone_segment s = { .role = HONE_ROLE_RAW, .loss_weight = 1, .text = a.text };
        if (!st && i % 2 == 0)
            st = sink->add(sink, &s, 1, err);
        g->release(g, handles[i]);
    }
    const hone_str both[2] = { words, { "b", 1 } };
    if (!st)
        st = e->shape(e, &width, &most, err);
    if (!st && width != 8)
        return hone_fail(err, HONE_ERR_FORMAT, "vectors of %llu", (unsigned long long)width);
    if (!st)
        st = e->embed(e, both, 2, vectors[0], err);
    if (!st && (vectors[0][7] != (float)words.n || vectors[1][7] != 1))
        return hone_fail(err, HONE_ERR_FORMAT, "vectors are %g, %g", (double)vectors[0][7],
                         (double)vectors[1][7]);
    return st;
}

static hone_status process(void *self, const hone_document *document, const hone_sample_sink *sink,
                           hone_error *err)
{
    (void)self;
    for (uint64_t i = 0; i < document->n_blocks; i++) {
        const hone_block *b = &document->blocks[i];
        hone_segment s = { .role = HONE_ROLE_RAW,
                           .loss_weight = 1,
                           .text = b->text,
                           .src_off = b->src_off,
                           .src_len = b->src_len };
        if (starts(b->text, "liar"))
            s.src_len = 1u << 30;
        if (starts(b->text, "role"))
            s.role = 9;
        if (starts(b->text, "ask"))
            return ask((const hone_host *)self, b->text, sink, err);
        if (starts(b->text, "raw ")) { /* frames of its own making, straight to the run */
            (void)!write(3, b->text.p + 4, b->text.n - 4);
            continue;
        }
        const int join = starts(b->text, "join ");
        const hone_status st =
            join ? sink->join(sink, &s, 1, 24, err) : sink->add(sink, &s, 1, err);
        if (st)
            return st;
    }
    return HONE_OK;
}

static const hone_reader reader = {
    .struct_size = sizeof reader, .create = create, .destroy = destroy, .read = read_document
};
static const hone_recipe recipe = {
    .struct_size = sizeof recipe, .create = create, .destroy = destroy, .process = process
};
static const char *const extensions[] = { ".bad", NULL };
static const hone_component bad = { .struct_size = sizeof bad,
                                    .kind = HONE_KIND_READER,
                                    .name = "bad",
                                    .summary = "misbehaves",
                                    .ops = &reader,
                                    .extensions = extensions };
static const hone_component echo = { .struct_size = sizeof echo,
                                     .kind = HONE_KIND_RECIPE,
                                     .name = "echo",
                                     .summary = "repeats",
                                     .ops = &recipe };
static const hone_component *const components[] = { &bad, &echo };
static const hone_plugin plugin = { .struct_size = sizeof plugin,
                                    HONE_PLUGIN_ABI,
                                    .id = "test.hostile",
                                    .version = "1.0.0",
                                    .license = "Apache-2.0",
                                    .components = components,
                                    .n_components = 2 };

HONE_PLUGIN_NOTE("test.hostile", "1.0.0", 2, HONE_NOTE_ROW(HONE_KIND_READER, "bad", ".bad"),
                 HONE_NOTE_ROW(HONE_KIND_RECIPE, "echo", ""));
HONE_PLUGIN_ENTRY(&plugin)
