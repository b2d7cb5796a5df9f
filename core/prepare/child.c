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
#include "core/prepare/exec.h"

#define FLUSH_BYTES (1u << 20) /* frames are sent once this much has gathered */
#define MAX_BLOCKS (1u << 24)  /* of one document */
#define MANY_BLOCKS (1u << 16) /* of one document: memory is given back after it */

typedef struct opened { /* a component with its instance */
    component *c;       /* NULL: it could not be opened, and only perhaps is needed */
    void *self;
    exec_recipe *exec; /* owned: a recipe that is a program */
    hone_error why;
} opened;

/* Texts of blocks lie one behind another: a million of them are not a million allocations. */
typedef struct words {
    struct words *before; /* owned */
    size_t n, cap;
    char p[];
} words;

#define WORDS_BYTES (1u << 20)

typedef struct child {
    const crew *crew;
    int fd;
    opened *readers, *recipes; /* owned, as many as the crew has */
    text out;                  /* frames not sent yet */

    /* The document at hand. Texts of blocks stay until the next document. */
    hone_block *blocks;
    size_t n_blocks, cap_blocks;
    hone_unit *units;
    size_t n_units, cap_units;
    struct words *words; /* owned: memory of their texts */
    char *title, *language;
    uint64_t source_bytes;
    uint32_t who;    /* 0: the reader, 1 + k: recipe k */
    bool ended;      /* the program of a recipe is of no more use: so is this process */
    char prompt[65]; /* of the samples that come */
} child;

static bool flush(child *c)
{
    const bool sent = !c->out.failed && write_all(c->fd, c->out.p ? c->out.p : "", c->out.n);
    text_clear(&c->out);
    return sent;
}

static void send_done(child *c, hone_status status, const char *said)
{
    const size_t at = frame_begin(&c->out, FRAME_DONE);
    frame_put_u32(&c->out, (uint32_t)status);
    frame_put_u64(&c->out, c->n_blocks);
    frame_put_str(&c->out, hone_s(said));
    frame_end(&c->out, at);
    if (!flush(c))
        _exit(0); /* the run has gone: nobody is left to tell */
}

static void add_account(child *c, uint8_t type, uint64_t bytes, const char *why)
{
    const size_t at = frame_begin(&c->out, type);
    frame_put_u32(&c->out, c->who);
    frame_put_u64(&c->out, bytes);
    frame_put_str(&c->out, hone_s(why && utf8_valid(why, strlen(why)) ? why : "no reason given"));
    frame_end(&c->out, at);
}

/* ------------------------------------------------------------------- the sinks */

static void add_lost(child *c, uint64_t bytes, const char *why)
{
    add_account(c, FRAME_LOST, bytes, why);
}

static void block_lost(const hone_block_sink *sink, uint64_t bytes, const char *why)
{
    add_lost(sink->ctx, bytes, why);
}

static void block_note(const hone_block_sink *sink, const char *line)
{
    child *c = sink->ctx;
    const size_t at = frame_begin(&c->out, FRAME_NOTE);
    frame_put_str(&c->out, hone_s(line && utf8_valid(line, strlen(line)) ? line : "(unreadable)"));
    frame_end(&c->out, at);
}

static const char *keep(child *c, hone_str s)
{
    words *w = c->words;
    if (!s.n || !s.p)
        return "";
    if (!w || s.n >= w->cap - w->n) {
        const size_t cap = s.n + 1 > WORDS_BYTES ? (size_t)s.n + 1 : WORDS_BYTES;
        if (s.n > SIZE_MAX / 2 || !(w = malloc(sizeof *w + cap)))
            return NULL;
        *w = (words){ .before = c->words, .cap = cap };
        c->words = w;
    }
    char *copy = w->p + w->n;
    memcpy(copy, s.p, (size_t)s.n);
    copy[s.n] = '\0';
    w->n += (size_t)s.n + 1;
    return copy;
}

static hone_status block_add(const hone_block_sink *sink, const hone_block *block, hone_error *err)
{
    child *c = sink->ctx;
    hone_block b = *block;
    if (c->n_blocks >= MAX_BLOCKS)
        return hone_fail(err, HONE_ERR_LIMIT, "more than %u blocks", MAX_BLOCKS);
    if (!utf8_valid(b.text.p ? b.text.p : "", (size_t)b.text.n))
        return hone_fail(err, HONE_ERR_FORMAT, "the reader gave a block that is no UTF-8");
    b.text.p = keep(c, b.text);
    b.lang.p = keep(c, b.lang);
    if (!b.text.p || !b.lang.p ||
        !mem_grow(&c->blocks, &c->cap_blocks, c->n_blocks + 1, sizeof *c->blocks))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for block %zu", c->n_blocks + 1);
    c->blocks[c->n_blocks++] = b;
    return HONE_OK;
}

static bool is_text(hone_str s)
{
    return utf8_valid(s.p ? s.p : "", (size_t)s.n);
}

/* Between characters of t? */
static bool is_place(hone_str t, uint64_t at)
{
    return at == t.n || (at < t.n && (t.p[at] & 0xc0) != 0x80);
}

static hone_status check_unit(const child *c, const hone_unit *u, hone_error *err)
{
    const hone_unit *up = u->parent && u->parent <= c->n_units ? &c->units[u->parent - 1] : NULL;
    const uint64_t last = c->n_units ? c->units[c->n_units - 1].start : 0;
    if (u->block >= c->n_blocks || c->blocks[u->block].kind != HONE_BLOCK_CODE)
        return hone_fail(err, HONE_ERR_FORMAT, "the reader gave a unit of no block of code");
    const hone_str t = c->blocks[u->block].text;
    const bool ordered = u->start <= u->head && u->head <= u->end && u->body <= u->body_end &&
                         (!u->body_end || (u->head <= u->body && u->body_end <= u->end));
    if (u->kind < HONE_UNIT_FUNCTION || u->kind > HONE_UNIT_COMMENT || !ordered ||
        !is_place(t, u->start) || !is_place(t, u->head) || !is_place(t, u->end) ||
        !is_place(t, u->body) || !is_place(t, u->body_end))
        return hone_fail(err, HONE_ERR_FORMAT, "the reader gave a malformed unit, %llu to %llu",
                         (unsigned long long)u->start, (unsigned long long)u->end);
    if ((u->parent && (!up || up->block != u->block || u->start < up->start || u->end > up->end)) ||
        (c->n_units && c->units[c->n_units - 1].block == u->block && u->start < last))
        return hone_fail(err, HONE_ERR_FORMAT, "the reader gave units out of order");
    if (!is_text(u->name) || !is_text(u->scope) || !is_text(u->signature) || !is_text(u->doc))
        return hone_fail(err, HONE_ERR_FORMAT, "the reader gave a unit that is no UTF-8");
    return HONE_OK;
}

static hone_status block_unit(const hone_block_sink *sink, const hone_unit *unit, hone_error *err)
{
    child *c = sink->ctx;
    hone_unit u = *unit;
    if (c->n_units >= MAX_BLOCKS)
        return hone_fail(err, HONE_ERR_LIMIT, "more than %u units", MAX_BLOCKS);
    const hone_status st = check_unit(c, unit, err);
    if (st)
        return st;
    if (!(u.name.p = keep(c, u.name)) || !(u.scope.p = keep(c, u.scope)) ||
        !(u.signature.p = keep(c, u.signature)) || !(u.doc.p = keep(c, u.doc)) ||
        !mem_grow(&c->units, &c->cap_units, c->n_units + 1, sizeof *c->units))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for unit %zu", c->n_units + 1);
    c->units[c->n_units++] = u;
    return HONE_OK;
}

static hone_status block_meta(const hone_block_sink *sink, const char *key, hone_str value,
                              hone_error *err)
{
    child *c = sink->ctx;
    if (!utf8_valid(key, strlen(key)) || !is_text(value))
        return HONE_OK;
    if (strcmp(key, "title") == 0) {
        free(c->title);
        if (!(c->title = mem_strndup(value.p ? value.p : "", (size_t)value.n)))
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for the title");
    }
    if (strcmp(key, "language") == 0) {
        free(c->language);
        if (!(c->language = mem_strndup(value.p ? value.p : "", (size_t)value.n)))
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for the language");
    }
    const size_t at = frame_begin(&c->out, FRAME_META);
    frame_put_str(&c->out, hone_s(key));
    frame_put_str(&c->out, value);
    frame_end(&c->out, at);
    return HONE_OK;
}

static void sample_lost(const hone_sample_sink *sink, uint64_t bytes, const char *why)
{
    add_lost(sink->ctx, bytes, why);
}

static void sample_dropped(const hone_sample_sink *sink, uint64_t n, const char *why)
{
    add_account(sink->ctx, FRAME_DROPPED, n, why);
}

static void sample_prompt(const hone_sample_sink *sink, hone_str version)
{
    child *c = sink->ctx;
    const size_t n = version.n < sizeof c->prompt ? (size_t)version.n : sizeof c->prompt - 1;
    memcpy(c->prompt, version.p ? version.p : "", n);
    c->prompt[n] = '\0';
}

/* budget: of the sample it is a part of; 0: a sample of its own. */
static hone_status put(child *c, const hone_segment *segments, uint64_t n, uint64_t budget,
                       hone_error *err)
{
    const size_t at = frame_begin(&c->out, FRAME_SAMPLE);
    frame_put_u32(&c->out, c->who - 1);
    frame_put_u64(&c->out, budget);
    frame_put_u32(&c->out, (uint32_t)n);
    for (uint64_t i = 0; i < n; i++) {
        const hone_segment *s = &segments[i];
        if (s->role > HONE_ROLE_SPECIAL || !(s->loss_weight == 0.0f || s->loss_weight == 1.0f))
            return hone_fail(err, HONE_ERR_ARG,
                             "segment %llu: role %u and loss weight %g, expected 0 to 4 and 0 or 1",
                             (unsigned long long)i + 1, s->role, (double)s->loss_weight);
        frame_put_u32(&c->out, s->role);
        frame_put_u32(&c->out, s->loss_weight > 0);
        frame_put_u64(&c->out, s->src_off);
        frame_put_u64(&c->out, s->src_len);
        frame_put_str(&c->out, s->text);
    }
    frame_put_str(&c->out, hone_s(c->prompt));
    frame_end(&c->out, at);
    if (c->out.failed)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a sample");
    if (c->out.n > FLUSH_BYTES && !flush(c))
        _exit(0);
    return HONE_OK;
}

static hone_status sample_put(const hone_sample_sink *sink, const hone_segment *segments,
                              uint64_t n, hone_error *err)
{
    return put(sink->ctx, segments, n, 0, err);
}

static hone_status sample_join(const hone_sample_sink *sink, const hone_segment *segments,
                               uint64_t n, uint64_t budget, hone_error *err)
{
    if (!budget)
        return hone_fail(err, HONE_ERR_ARG, "samples of 0 tokens cannot be joined");
    return put(sink->ctx, segments, n, budget, err);
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
    const hone_block_sink sink = { .struct_size = sizeof sink,
                                   .ctx = c,
                                   .add = block_add,
                                   .lost = block_lost,
                                   .meta = block_meta,
                                   .unit = block_unit,
                                   .note = block_note };
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
    const hone_sample_sink sink = { .struct_size = sizeof sink,
                                    .ctx = c,
                                    .add = sample_put,
                                    .lost = sample_lost,
                                    .prompt = sample_prompt,
                                    .dropped = sample_dropped,
                                    .join = sample_join };
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
        if (st) {
            (void)hone_prefix(err, "recipe %s", c->crew->recipes[k].name);
            return st;
        }
    }
    if (!taken)
        add_lost(c, c->source_bytes, "source code, and no recipe takes it");
    return HONE_OK;
}

static hone_status finish_recipes(child *c, hone_error *err)
{
    const hone_sample_sink sink = { .struct_size = sizeof sink,
                                    .ctx = c,
                                    .add = sample_put,
                                    .lost = sample_lost,
                                    .prompt = sample_prompt,
                                    .dropped = sample_dropped,
                                    .join = sample_join };
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
    if (!flush(&c))
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
