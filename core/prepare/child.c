/*
 * child.c - the process in which readers and recipes run.
 *
 * It is forked from the run, maps its plugins, locks itself down, and then takes one
 * document after another as an open descriptor. A document that kills it costs that
 * document; the run starts another child for the next.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/prepare/asks.h"
#include "core/prepare/child.h"

#define MANY_BLOCKS (1u << 16) /* of one document: memory is given back after it */

static void send_done(child *c, hone_status status, const char *said)
{
    const size_t at = frame_begin(&c->out, FRAME_DONE);
    frame_put_u32(&c->out, (uint32_t)status);
    frame_put_u64(&c->out, c->n_blocks);
    frame_put_str(&c->out, hone_s(said));
    frame_end(&c->out, at);
    if (!child_flush(c))
        _exit(0); /* the run has gone: nobody is left to tell */
}

/* ---------------------------------------------------------------- one document */

static void forget_document(child *c)
{
    const bool large = c->n_blocks > MANY_BLOCKS || c->n_units > MANY_BLOCKS;
    for (words *w = c->words; w;) {
        words *before = w->before;
        free(w);
        w = before;
    }
    c->words = NULL;
    free(c->title);
    free(c->language);
    c->title = c->language = NULL;
    c->n_blocks = c->n_units = 0;
    if (large) { /* one large document is not to weigh on all that follow */
        free(c->blocks);
        free(c->units);
        c->blocks = NULL;
        c->units = NULL;
        c->cap_blocks = c->cap_units = 0;
        (void)malloc_trim(0);
    }
}

static hone_status read_document(child *c, size_t reader, const char *name, const uint8_t *p,
                                 size_t n, hone_error *err)
{
    if (!c->readers[reader].self)
        return hone_fail(err, c->readers[reader].why.code, "%s", c->readers[reader].why.message);
    const hone_reader *ops = c->readers[reader].c->ops;
    const hone_source source = { .struct_size = sizeof source,
                                 .name = hone_s(name),
                                 .bytes = { (const char *)p, n } };
    const hone_block_sink sink = child_block_sink(c);
    c->who = 0;
    return ops->read(c->readers[reader].self, &source, &sink, err);
}

static hone_status make_samples(child *c, const char *name, hone_error *err)
{
    const hone_document d = { .struct_size = sizeof d,
                              .name = hone_s(name),
                              .title = hone_s(c->title ? c->title : ""),
                              .blocks = c->blocks,
                              .n_blocks = c->n_blocks,
                              .language = hone_s(c->language ? c->language : ""),
                              .units = c->units,
                              .n_units = c->n_units };
    const hone_sample_sink sink = child_sample_sink(c);
    bool taken = false;
    for (size_t k = 0; k < c->crew->n_recipes; k++) {
        exec_recipe *program = c->recipes[k].exec;
        const hone_recipe *ops = program ? NULL : c->recipes[k].c->ops;
        if (!program && d.language.n && !(c->recipes[k].c->desc->flags & HONE_COMPONENT_CODE))
            continue;
        taken = true;
        c->who = (uint32_t)k + 1;
        c->prompt[0] = '\0';
        bool alive = true;
        hone_status st = program ? exec_process(program, &d, &sink, &alive, err)
                                 : ops->process(c->recipes[k].self, &d, &sink, err);
        c->ended |= !alive;
        c->again |= !alive && exec_left(program);
        if (st) {
            (void)hone_prefix(err, "recipe %s", c->crew->recipes[k].name);
            return st;
        }
    }
    if (!taken)
        child_lost(c, c->source_bytes, "source code, and no recipe takes it");
    return HONE_OK;
}

static hone_status finish_recipes(child *c, hone_error *err)
{
    const hone_sample_sink sink = child_sample_sink(c);
    for (size_t k = 0; k < c->crew->n_recipes; k++) {
        if (c->recipes[k].exec) /* a program sees a document at a time */
            continue;
        const hone_recipe *ops = c->recipes[k].c->ops;
        c->who = (uint32_t)k + 1;
        c->prompt[0] = '\0';
        hone_status st =
            HONE_HAS_CALL(ops, finish) ? ops->finish(c->recipes[k].self, &sink, err) : HONE_OK;
        if (st) {
            (void)hone_prefix(err, "recipe %s", c->crew->recipes[k].name);
            return st;
        }
    }
    return HONE_OK;
}

static void serve_document(child *c, size_t reader, const char *name, int fd)
{
    hone_error err = { 0 };
    struct stat s;
    hone_status st = HONE_OK;
    void *p = NULL;
    forget_document(c);
    if (reader >= c->crew->n_readers || fstat(fd, &s) != 0 || s.st_size < 0)
        st = hone_fail(&err, HONE_ERR_IO, "cannot be read");
    else if (s.st_size > 0 &&
             (p = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        st = hone_fail(&err, HONE_ERR_NOMEM, "cannot be mapped: %lld bytes", (long long)s.st_size);
    if (!st) {
        c->source_bytes = (uint64_t)s.st_size;
        st = read_document(c, reader, name, p ? p : (const uint8_t *)"", (size_t)s.st_size, &err);
        if (!st)
            st = make_samples(c, name, &err);
        if (p)
            (void)munmap(p, (size_t)s.st_size);
    }
    if (c->again) {
        frame_end(&c->out, frame_begin(&c->out, FRAME_AGAIN));
        (void)child_flush(c);
        _exit(0);
    }
    if (c->ended)
        frame_end(&c->out, frame_begin(&c->out, FRAME_LAST));
    send_done(c, st, err.message);
    if (c->ended)
        _exit(0); /* the run starts another */
}

/* --------------------------------------------------------------------- the loop */

static hone_status open_all(child *c, hone_error *err)
{
    const crew *w = c->crew;
    c->readers = mem_new(w->n_readers + 1, sizeof *c->readers);
    c->recipes = mem_new(w->n_recipes + 1, sizeof *c->recipes);
    if (!c->readers || !c->recipes)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for plugins");
    for (size_t i = 0; i < w->n_readers; i++) {
        opened *o = &c->readers[i];
        hone_status st = component_open(&o->c, w->plugins, HONE_KIND_READER, w->readers[i].name,
                                        w->readers[i].json, NULL, err);
        if (!st) {
            const hone_reader *ops = o->c->ops;
            st = ops->create(plugin_host(), o->c->config, &o->self, err);
        }
        if (st && !w->readers[i].perhaps)
            return st;
        if (st && err)
            o->why = *err;
        if (st)
            o->self = NULL;
    }
    for (size_t i = 0; i < w->n_recipes; i++) {
        opened *o = &c->recipes[i];
        const bool program = w->recipes[i].exec != NULL;
        hone_status st = program
                             ? exec_open(&o->exec, &w->recipes[i], w, err)
                             : component_open(&o->c, w->plugins, HONE_KIND_RECIPE,
                                              w->recipes[i].name, w->recipes[i].json, NULL, err);
        if (st)
            return st;
        const hone_recipe *ops = program ? NULL : o->c->ops;
        if (ops && (st = ops->create(plugin_host(), o->c->config, &o->self, err)))
            return st;
    }
    return HONE_OK;
}

_Noreturn void child_run(const crew *w, int fd)
{
    child c = { .crew = w, .fd = fd };
    hone_error err = { 0 };
    uint8_t head[5];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGINT, SIG_IGN); /* the run decides when to stop */
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGPIPE, SIG_IGN); /* a recipe's program may be gone */

    asks_offer(fd, &c.out);
    hone_status st = open_all(&c, &err);
    if (!st)
        st = lockdown(w->memory_bytes, &err);
    if (st) {
        send_done(&c, st, err.message);
        _exit(0);
    }
    uint32_t needs_all = 0;
    for (size_t i = 0; i < w->n_recipes; i++) {
        const hone_recipe *ops = c.recipes[i].exec ? NULL : c.recipes[i].c->ops;
        needs_all |= ops && HONE_HAS_CALL(ops, finish);
    }
    const size_t at = frame_begin(&c.out, FRAME_READY);
    frame_put_u32(&c.out, needs_all);
    frame_end(&c.out, at);
    if (!child_flush(&c))
        _exit(0);

    while (read_all(fd, head, sizeof head)) {
        frame f = { .p = head, .n = 4 };
        const uint32_t n = frame_u32(&f) - 1;
        uint8_t *fields = n <= FRAME_LIMIT ? mem_new((size_t)n + 1, 1) : NULL;
        if (!fields || !read_all(fd, fields, n))
            break;
        f = (frame){ .type = head[4], .p = fields, .n = n };
        if (head[4] == FRAME_REQUEST) {
            const uint32_t reader = frame_u32(&f);
            const hone_str name = frame_str(&f);
            char *copy = mem_strndup(name.p, (size_t)name.n);
            const int handed = receive_descriptor(fd);
            if (handed < 0 || !copy)
                break;
            serve_document(&c, reader, copy, handed);
            (void)close(handed);
            free(copy);
        } else if (head[4] == FRAME_FINISH) {
            forget_document(&c);
            err.message[0] = '\0';
            st = finish_recipes(&c, &err);
            send_done(&c, st, err.message);
        }
        free(fields);
    }
    _exit(0); /* the run closed the socket; nothing of this process is kept */
}
