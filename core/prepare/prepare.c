/*
 * prepare.c - the run: which files, which readers, children at work, samples in order.
 *
 * Documents are handed to children as descriptors and come back as frames. Results wait
 * until all earlier documents are written, so the output does not depend on who was
 * faster; how far ahead children may run is bounded, and so is the memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/prepare/parts.h"

#define AHEAD 16         /* documents per child that may wait for an earlier one */
#define POLL_MS 200      /* how often time limits and the user's wish to stop are looked at */
#define START_SECONDS 60 /* a child has this long to open its plugins */

/* clang-format off */
const hone_option prepare_option_rows[] = {
    HONE_ROW_LIST(prepare_options, sources, NULL, "files and folders to read"),
    { "out", HONE_OPT_PATH, offsetof(prepare_options, out), 0, 0, "run/data", NULL, "folder of samples.jsonl and report.json" },
    HONE_ROW_LIST(prepare_options, recipes, "headings,raw", "recipes, in order; every document goes through each"),
    HONE_ROW_LIST(prepare_options, exclude, NULL, "patterns of paths left out, as in a shell: */old/*"),
    HONE_ROW_BOOL(prepare_options, strict, "false", "a document that fails ends the run; else it is counted and named"),
    HONE_ROW_I64(prepare_options, timeout, 1, 86400, "120", "seconds a document may take"),
    HONE_ROW_I64(prepare_options, memory_mb, 0, 1 << 20, "4096", "memory of a process that reads documents, MB; 0: no limit"),
    HONE_ROW_I64(prepare_options, jobs, 0, 256, "0", "processes at once; 0: one per core"),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct worker {
    pid_t pid; /* 0: none */
    int fd;
    bool ready;      /* FRAME_READY came */
    int64_t doc;     /* the document at hand, -1: none, -2: finish() */
    double deadline; /* clock_now() at which it is taken from the child */
    uint8_t *in;     /* owned: bytes received and not decoded */
    size_t n_in, cap_in;
} worker;

typedef struct run {
    const prepare_options *o;
    crew crew;
    const json_t *reader_options;
    reader_choice *readers;
    size_t cap_readers;
    recipe_choice *recipes;
    document *docs;
    size_t n_docs, cap_docs;
    document last;        /* what finish() gives */
    size_t next, written; /* documents handed out; documents written */
    worker *workers;
    size_t n_workers;
    bool asked;     /* the first child has said what its recipes need */
    bool needs_all; /* a recipe has finish(): one process must see all documents */
    file_writer *out;
    uint64_t *seen; /* owned: open-addressed set of sample ids, 0 = free */
    size_t n_seen, cap_seen;
    prepare_report *report;
    json_t *no_reader, *lost, *documents; /* owned by report->detail */
} run;

/* ------------------------------------------------------------- files and plugins */

static hone_status count_cause(json_t *causes, const char *key, json_int_t by, hone_error *err)
{
    const json_int_t before = json_integer_value(json_object_get(causes, key));
    if (json_object_set_new(causes, key, json_integer(before + by)))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    return HONE_OK;
}

/* The reader of a file, added to the crew when it is new. HONE_ERR_NOTFOUND: none. */
static hone_status choose_reader(run *r, const char *path, size_t *index, hone_error *err)
{
    component_row found;
    hone_error none;
    if (registry_find_extension(&found, r->crew.plugins, HONE_KIND_READER, path, &none))
        return HONE_ERR_NOTFOUND;
    for (size_t i = 0; i < r->crew.n_readers; i++)
        if (r->readers[i].row.row == found.row) {
            *index = i;
            return HONE_OK;
        }
    char *name = registry_name(r->crew.plugins, found);
    if (!name ||
        !mem_grow(&r->readers, &r->cap_readers, r->crew.n_readers + 1, sizeof *r->readers)) {
        free(name);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for readers");
    }
    *index = r->crew.n_readers++;
    r->crew.readers = r->readers;
    r->readers[*index] = (reader_choice){
        .row = found, .name = name, .json = json_object_get(r->reader_options, found.row->component)
    };
    return HONE_OK;
}

static hone_status visit(void *ctx, const char *path, hone_error *err)
{
    run *r = ctx;
    size_t reader = 0;
    r->report->files++;
    for (uint64_t i = 0; i < r->o->exclude.n; i++)
        if (fnmatch(r->o->exclude.items[i], path, 0) == 0) {
            r->report->excluded++;
            return HONE_OK;
        }
    hone_status st = choose_reader(r, path, &reader, err);
    if (st == HONE_ERR_NOTFOUND) {
        const char *dot = strrchr(path_base(path), '.');
        r->report->no_reader++;
        return count_cause(r->no_reader,
                           dot && utf8_valid(dot, strlen(dot)) ? dot : "(no extension)", 1, err);
    }
    if (st)
        return st;
    if (!utf8_valid(path, strlen(path)))
        return hone_fail(err, HONE_ERR_FORMAT, "a file name is no UTF-8, near %.200s; rename it",
                         path_base(path));
    char *copy = mem_strdup(path);
    if (!copy || !mem_grow(&r->docs, &r->cap_docs, r->n_docs + 1, sizeof *r->docs)) {
        free(copy);
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the list of files");
    }
    r->docs[r->n_docs++] = (document){ .path = copy, .shown = copy, .reader = reader };
    return HONE_OK;
}

static hone_status list_documents(run *r, hone_error *err)
{
    if (!r->o->sources.n)
        return hone_fail(err, HONE_ERR_ARG,
                         "no documents: set prepare.sources to files or folders");
    for (uint64_t i = 0; i < r->o->sources.n; i++) {
        const char *source = r->o->sources.items[i];
        if (!path_exists(source))
            return hone_fail(err, HONE_ERR_IO, "prepare.sources: %s is not there", source);
        hone_status st = dir_walk(source, visit, r, err);
        if (st)
            return st;
    }
    return HONE_OK;
}

static hone_status list_recipes(run *r, const json_t *recipe_options, hone_error *err)
{
    const hone_list *names = &r->o->recipes;
    if (!names->n)
        return hone_fail(err, HONE_ERR_ARG,
                         "no recipe: set prepare.recipes, for example to headings,raw");
    if (!(r->recipes = mem_new(names->n, sizeof *r->recipes)))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for recipes");
    r->crew.recipes = r->recipes;
    for (uint64_t i = 0; i < names->n; i++) {
        recipe_choice *c = &r->recipes[r->crew.n_recipes++];
        c->name = names->items[i];
        hone_status st = registry_find(&c->row, r->crew.plugins, HONE_KIND_RECIPE, c->name, err);
        if (st)
            return st;
        c->json = json_object_get(recipe_options, c->row.row->component);
    }
    return HONE_OK;
}

/* Options of a component that no document and no recipe list uses are a mistake in the recipe
 * section; readers may be configured for files that are not there today. */
static hone_status check_recipe_options(const run *r, const json_t *recipe_options, hone_error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)recipe_options, name, value)
    {
        bool used = false;
        for (size_t i = 0; i < r->crew.n_recipes; i++)
            used |= strcmp(r->recipes[i].row.row->component, name) == 0;
        component_row found;
        hone_status st =
            used ? HONE_OK : registry_find(&found, r->crew.plugins, HONE_KIND_RECIPE, name, err);
        if (st)
            return st;
    }
    return HONE_OK;
}

/* ---------------------------------------------------------------------- workers */

static hone_status worker_start(run *r, worker *w, hone_error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return hone_fail(err, HONE_ERR_IO, "cannot start a process for documents: %s",
                         strerror(errno));
    (void)fflush(NULL);
    const pid_t pid = fork();
    if (pid < 0) {
        (void)close(pair[0]);
        (void)close(pair[1]);
        return hone_fail(err, HONE_ERR_IO, "cannot start a process for documents: %s",
                         strerror(errno));
    }
    if (pid == 0) {
        (void)close(pair[0]);
        for (size_t i = 0; i < r->n_workers; i++)
            if (r->workers[i].pid)
                (void)close(r->workers[i].fd);
        child_run(&r->crew, pair[1]);
    }
    (void)close(pair[1]);
    w->pid = pid;
    w->fd = pair[0];
    w->ready = false;
    w->doc = -1;
    w->n_in = 0;
    w->deadline = clock_now() + START_SECONDS;
    return HONE_OK;
}

/* Ends the child, if there is one; *status gets how it ended. */
static void worker_stop(worker *w, bool kill_it, int *status)
{
    int ended = 0;
    if (!w->pid)
        return;
    if (kill_it)
        (void)kill(w->pid, SIGKILL);
    (void)close(w->fd);
    while (waitpid(w->pid, &ended, 0) < 0 && errno == EINTR)
        ;
    w->pid = 0;
    if (status)
        *status = ended;
}

static hone_status hand_out(run *r, worker *w, int64_t index, hone_error *err)
{
    text t = { 0 };
    hone_status st = HONE_OK;
    int fd = -1;
    if (index >= 0) {
        document *d = &r->docs[index];
        struct stat s;
        fd = open(d->path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) {
            hone_error why = { 0 };
            d->status = hone_fail(&why, HONE_ERR_IO, "cannot be read: %s",
                                  fd < 0 ? strerror(errno) : "no regular file");
            d->message = mem_strdup(why.message);
            d->finished = true;
            if (fd >= 0)
                (void)close(fd);
            return HONE_OK;
        }
        d->bytes = (uint64_t)s.st_size;
        const size_t at = frame_begin(&t, FRAME_REQUEST);
        frame_put_u32(&t, (uint32_t)d->reader);
        frame_put_str(&t, hone_s(d->shown));
        frame_end(&t, at);
    } else {
        const size_t at = frame_begin(&t, FRAME_FINISH);
        frame_end(&t, at);
    }
    st = text_status(&t, err);
    w->doc = index;
    w->deadline = clock_now() + (double)r->o->timeout;
    /* A child that has died is noticed when its answer does not come. */
    if (!st && write_all(w->fd, t.p, t.n) && fd >= 0)
        (void)!send_descriptor(w->fd, fd, NULL);
    if (fd >= 0)
        (void)close(fd);
    text_finish(&t);
    return st;
}

/* ------------------------------------------------------------------------ frames */

static hone_status take_sample(run *r, document *d, frame *f, hone_error *err)
{
    const uint32_t recipe = frame_u32(f), n = frame_u32(f);
    hone_status st = HONE_OK;
    sample s = { 0 };
    if (f->bad || recipe >= r->crew.n_recipes || n == 0 || n > f->n)
        return hone_fail(err, HONE_ERR_FORMAT, "a sample that is malformed");
    for (uint32_t i = 0; i < n && !st; i++) {
        const uint32_t role = frame_u32(f), learn = frame_u32(f);
        const uint64_t start = frame_u64(f), length = frame_u64(f);
        const hone_str words = frame_str(f);
        if (f->bad || role > HONE_ROLE_ASSISTANT || (role == HONE_ROLE_RAW && n != 1))
            st = hone_fail(err, HONE_ERR_FORMAT, "a sample with a malformed segment %u", i + 1);
        else if (d->path && (start > d->bytes || length > d->bytes - start))
            st = hone_fail(err, HONE_ERR_FORMAT, "a sample from bytes %llu+%llu of a file of %llu",
                           (unsigned long long)start, (unsigned long long)length,
                           (unsigned long long)d->bytes);
        else
            st = sample_add(&s, role, learn != 0, words, start, length, err);
    }
    s.recipe = mem_strdup(r->recipes[recipe].row.row->component);
    s.file = d->shown ? mem_strdup(d->shown) : NULL;
    if (!st &&
        (!s.recipe || (d->shown && !s.file) || !mem_grow(&d->samples, &d->cap, d->n + 1, sizeof s)))
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for samples");
    if (st) {
        sample_finish(&s);
        return st;
    }
    d->samples[d->n++] = s;
    return HONE_OK;
}

static hone_status take_lost(run *r, document *d, frame *f, hone_error *err)
{
    const uint32_t who = frame_u32(f);
    const uint64_t bytes = frame_u64(f);
    const hone_str why = frame_str(f);
    text key = { 0 };
    if (f->bad || who > r->crew.n_recipes || why.n > 512)
        return hone_fail(err, HONE_ERR_FORMAT, "a malformed account of what was left out");
    text_printf(&key, "%s: ",
                who ? r->recipes[who - 1].row.row->component
                    : r->readers[d->reader].row.row->component);
    text_add(&key, why.p, (size_t)why.n);
    hone_status st = text_status(&key, err);
    if (!st && !d->lost && !(d->lost = json_object()))
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    if (!st)
        st = count_cause(d->lost, key.p, bytes > INT64_MAX / 2 ? 0 : (json_int_t)bytes, err);
    d->lost_bytes += bytes;
    text_finish(&key);
    return st;
}

static hone_status keep_message(document *d, hone_status status, hone_str said, hone_error *err)
{
    d->status = status;
    free(d->message);
    d->message = NULL;
    if (status && !(d->message = mem_strndup(said.p, (size_t)said.n)))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    for (char *c = d->message; c && *c; c++)
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    return HONE_OK;
}

/* One frame of a child. A failure that is the child's own has *fault set. */
static hone_status take_frame(run *r, worker *w, frame *f, bool *fault, hone_error *err)
{
    document *d = w->doc >= 0 ? &r->docs[w->doc] : w->doc == -2 ? &r->last : NULL;
    hone_status st = HONE_OK;
    *fault = true;
    if (f->type == FRAME_READY && !w->ready) {
        w->ready = true;
        r->asked = true;
        r->needs_all = frame_u32(f) != 0;
        return HONE_OK;
    }
    if (f->type == FRAME_DONE &&
        !w->ready) { /* plugins could not be opened: not a document's fault */
        const hone_status status = (hone_status)frame_u32(f);
        (void)frame_u64(f);
        const hone_str said = frame_str(f);
        *fault = false;
        return hone_fail(err, status ? status : HONE_ERR_FORMAT, "%.*s", (int)said.n, said.p);
    }
    if (!d)
        return hone_fail(err, HONE_ERR_FORMAT, "an answer that nobody asked for");
    switch (f->type) {
    case FRAME_SAMPLE:
        return take_sample(r, d, f, err);
    case FRAME_LOST:
        return take_lost(r, d, f, err);
    case FRAME_TITLE: {
        const hone_str title = frame_str(f);
        free(d->title);
        d->title = mem_strndup(title.p, (size_t)title.n);
        return f->bad ? hone_fail(err, HONE_ERR_FORMAT, "a title that is no UTF-8") : HONE_OK;
    }
    case FRAME_DONE: {
        const hone_status status = (hone_status)frame_u32(f);
        d->blocks = frame_u64(f);
        const hone_str said = frame_str(f);
        if (f->bad || status > 0)
            return hone_fail(err, HONE_ERR_FORMAT, "a malformed end");
        st = keep_message(d, status, said, err);
        *fault = false;
        d->finished = true;
        w->doc = -1;
        w->deadline = INFINITY;
        return st;
    }
    default:
        return hone_fail(err, HONE_ERR_FORMAT, "frame type %u", f->type);
    }
}

static const char *how_it_ended(int status, char *buf, size_t n)
{
    if (WIFSIGNALED(status))
        (void)snprintf(buf, n, "crashed its process with signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    else
        (void)snprintf(buf, n, "ended its process with status %d", WEXITSTATUS(status));
    return buf;
}

/* The child is gone, or talks nonsense: its document has failed, the next gets a new child. */
static hone_status worker_lost(run *r, worker *w, const char *why, hone_error *err)
{
    char buf[160];
    int status = 0;
    const int64_t index = w->doc;
    const bool was_ready = w->ready;
    worker_stop(w, why != NULL, &status);
    if (!why)
        why = how_it_ended(status, buf, sizeof buf);
    if (!was_ready)
        return hone_fail(err, HONE_ERR_STATE,
                         "a process for documents could not be started: opening the plugins %s",
                         why);
    if (index == -1)
        return HONE_OK;
    document *d = index == -2 ? &r->last : &r->docs[index];
    if (r->needs_all)
        return hone_fail(err, HONE_ERR_STATE,
                         "%s %s, and a recipe needs all documents in one process; leave it out "
                         "(prepare.exclude) and start again",
                         d->shown ? d->shown : "the end of the recipes", why);
    d->finished = true;
    return keep_message(d, HONE_ERR_DEVICE, hone_s(why), err);
}

static hone_status worker_read(run *r, worker *w, hone_error *err)
{
    if (!mem_grow(&w->in, &w->cap_in, w->n_in + (1u << 16), 1))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for an answer");
    const ssize_t got = read(w->fd, w->in + w->n_in, w->cap_in - w->n_in);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return HONE_OK;
    if (got <= 0)
        return worker_lost(r, w, NULL, err);
    w->n_in += (size_t)got;
    size_t at = 0;
    while (at < w->n_in) {
        frame f;
        size_t used = 0;
        bool fault = true;
        hone_error why = { 0 };
        hone_status st = frame_next(&f, w->in + at, w->n_in - at, &used, &why);
        if (st == HONE_ERR_SKIP)
            break;
        if (!st)
            st = take_frame(r, w, &f, &fault, &why);
        if (st && (!fault || st == HONE_ERR_NOMEM)) {
            if (err)
                *err = why;
            return st;
        }
        if (st) {
            char text_of[600];
            (void)snprintf(text_of, sizeof text_of, "its process sent %s", why.message);
            return worker_lost(r, w, text_of, err);
        }
        at += used;
    }
    memmove(w->in, w->in + at, w->n_in - at);
    w->n_in -= at;
    return HONE_OK;
}

/* ----------------------------------------------------------------------- output */

/* True when id was not there yet. 16 hex digits are the id's 64 bits; 0 stands for itself. */
static hone_status remember(run *r, const char *id, bool *fresh, hone_error *err)
{
    const uint64_t key = strtoull(id, NULL, 16) | 1;
    if ((r->n_seen + 1) * 2 > r->cap_seen) {
        const size_t cap = r->cap_seen ? r->cap_seen * 2 : 1024;
        uint64_t *bigger = mem_new(cap, sizeof *bigger);
        if (!bigger)
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu sample ids", r->n_seen);
        for (size_t i = 0; i < r->cap_seen; i++)
            if (r->seen[i]) {
                size_t at = (size_t)r->seen[i] & (cap - 1);
                while (bigger[at])
                    at = (at + 1) & (cap - 1);
                bigger[at] = r->seen[i];
            }
        free(r->seen);
        r->seen = bigger;
        r->cap_seen = cap;
    }
    size_t at = (size_t)key & (r->cap_seen - 1);
    while (r->seen[at] && r->seen[at] != key)
        at = (at + 1) & (r->cap_seen - 1);
    *fresh = r->seen[at] == 0;
    r->seen[at] = key;
    r->n_seen += *fresh;
    return HONE_OK;
}

static hone_status write_samples(run *r, document *d, int64_t *written, int64_t *duplicates,
                                 hone_error *err)
{
    text line = { 0 };
    hone_status st = HONE_OK;
    for (size_t i = 0; i < d->n && !st; i++) {
        sample *s = &d->samples[i];
        bool fresh = false, words = false;
        for (size_t k = 0; k < s->n_segments; k++)
            words |= s->segments[k].learn && s->segments[k].n > 0;
        if (!words) {
            st = count_cause(r->lost, "samples without anything to learn", 1, err);
            continue;
        }
        if ((st = sample_identify(s, err)) || (st = remember(r, s->id, &fresh, err)))
            break;
        if (!fresh) {
            ++*duplicates;
            continue;
        }
        text_clear(&line);
        if ((st = sample_to_json(s, &line, err)))
            break;
        if (line.n && line.p[line.n - 1] != '\n')
            text_putc(&line, '\n');
        if (!(st = text_status(&line, err)))
            st = file_writer_add(r->out, line.p, line.n, err);
        ++*written;
    }
    text_finish(&line);
    return st;
}

/* The document whose turn it is: samples out, report, memory back. */
static hone_status write_document(run *r, document *d, hone_error *err)
{
    prepare_report *p = r->report;
    int64_t written = 0, duplicates = 0;
    const char *key;
    json_t *value;
    hone_status st = HONE_OK;
    if (d->status && d->status != HONE_ERR_SKIP && r->o->strict)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: %s", d->shown ? d->shown : "recipes",
                         d->message);
    if (d->status == HONE_OK)
        st = write_samples(r, d, &written, &duplicates, err);
    if (st)
        return st;
    if (d->path) {
        p->read += d->status == HONE_OK;
        p->skipped += d->status == HONE_ERR_SKIP;
        p->failed += d->status && d->status != HONE_ERR_SKIP;
        p->empty += d->status == HONE_OK && written + duplicates == 0;
        p->bytes += (int64_t)d->bytes;
    }
    p->samples += written;
    p->duplicates += duplicates;
    p->lost_bytes += (int64_t)d->lost_bytes;
    json_object_foreach(d->lost, key, value)
    {
        if ((st = count_cause(r->lost, key, json_integer_value(value), err)))
            return st;
    }
    json_t *o =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "file", d->shown ? d->shown : "(all documents)",
                  "reader", d->path ? r->readers[d->reader].row.row->component : "", "bytes",
                  (json_int_t)d->bytes, "blocks", (json_int_t)d->blocks, "samples",
                  (json_int_t)written, "duplicates", (json_int_t)duplicates);
    if (d->title)
        (void)json_object_set_new(o, "title", json_string(d->title));
    if (d->lost)
        (void)json_object_set(o, "lost", d->lost);
    if (d->status) {
        (void)json_object_set_new(o, "status",
                                  json_string(d->status == HONE_ERR_SKIP ? "skipped" : "failed"));
        (void)json_object_set_new(o, "message", json_string(d->message ? d->message : ""));
    }
    if (!o || json_array_append_new(r->documents, o))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    for (size_t i = 0; i < d->n; i++)
        sample_finish(&d->samples[i]);
    free(d->samples);
    d->samples = NULL;
    d->n = d->cap = 0;
    return HONE_OK;
}

/* ------------------------------------------------------------------------- loop */

static hone_status step(run *r, hone_error *err)
{
    struct pollfd polls[256];
    size_t which[256], n = 0;
    hone_status st;
    for (size_t i = 0; i < r->n_workers; i++) {
        worker *w = &r->workers[i];
        const bool work = r->next < r->n_docs && r->next < r->written + r->n_workers * AHEAD;
        const bool wanted = i == 0 || (r->asked && !r->needs_all);
        if (!w->pid && work && wanted && (st = worker_start(r, w, err)))
            return st;
        if (w->pid && w->ready && w->doc == -1 && work &&
            (st = hand_out(r, w, (int64_t)r->next++, err)))
            return st;
        if (w->pid && w->doc == -1 && w->ready)
            w->deadline = INFINITY;
        if (w->pid) {
            which[n] = i;
            polls[n++] = (struct pollfd){ .fd = w->fd, .events = POLLIN };
        }
    }
    if (poll(polls, n, POLL_MS) < 0 && errno != EINTR)
        return hone_fail(err, HONE_ERR_IO, "cannot wait for documents: %s", strerror(errno));
    for (size_t i = 0; i < n; i++) {
        worker *w = &r->workers[which[i]];
        if (polls[i].revents & (POLLIN | POLLHUP | POLLERR)) {
            if ((st = worker_read(r, w, err)))
                return st;
        } else if (clock_now() > w->deadline) {
            char why[80];
            (void)snprintf(why, sizeof why, "took longer than %lld s", (long long)r->o->timeout);
            if ((st = worker_lost(r, w, why, err)))
                return st;
        }
    }
    if (host_is_cancelled())
        return hone_fail(err, HONE_ERR_CANCELLED, "interrupted; nothing was written");
    return HONE_OK;
}

/* finish() of the recipes, in the one process that has seen all documents. */
static hone_status finish_all(run *r, hone_error *err)
{
    worker *w = &r->workers[0];
    if (!r->needs_all || !w->pid)
        return HONE_OK;
    hone_status st = hand_out(r, w, -2, err);
    while (!r->last.finished && !st) {
        struct pollfd one = { .fd = w->fd, .events = POLLIN };
        if (poll(&one, 1, POLL_MS) > 0)
            st = worker_read(r, w, err);
        else if (clock_now() > w->deadline)
            st = worker_lost(r, w, "took too long", err);
        if (!st && host_is_cancelled())
            st = hone_fail(err, HONE_ERR_CANCELLED, "interrupted; nothing was written");
    }
    if (!st && r->last.status)
        return hone_fail(err, r->last.status, "%s", r->last.message);
    return st ? st : write_document(r, &r->last, err);
}

static hone_status start(run *r, hone_error *err)
{
    int64_t jobs = r->o->jobs ? r->o->jobs : cpu_count();
    if (jobs > (int64_t)r->n_docs)
        jobs = (int64_t)r->n_docs;
    if (jobs > 256)
        jobs = 256;
    r->n_workers = (size_t)(jobs > 0 ? jobs : 0);
    if (!(r->workers = mem_new(r->n_workers + 1, sizeof *r->workers)))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for processes");
    r->crew.memory_bytes = r->o->memory_mb << 20;
    r->crew.timeout_seconds = r->o->timeout;
    return HONE_OK;
}

static int64_t count_tokens(const hone_tokenizer_service *self, hone_str words)
{
    tokens t = { 0 };
    const int64_t n = tokenizer_encode(self->ctx, words.p, (size_t)words.n, 0, &t, NULL, NULL)
                          ? -1
                          : (int64_t)t.n;
    tokens_finish(&t);
    return n;
}

static hone_status write_all_documents(run *r,
                                       void (*on_progress)(void *, int64_t, int64_t, const char *),
                                       void *ctx, hone_error *err)
{
    while (r->written < r->n_docs) {
        hone_status st = step(r, err);
        while (!st && r->written < r->n_docs && r->docs[r->written].finished) {
            document *d = &r->docs[r->written];
            if (!(st = write_document(r, d, err)))
                r->written++;
            if (!st && on_progress)
                on_progress(ctx, (int64_t)r->written, (int64_t)r->n_docs, d->shown);
        }
        if (st)
            return st;
    }
    return HONE_OK;
}

hone_status prepare_run(const prepare_options *o, registry *plugins, const json_t *reader_options,
                        const json_t *recipe_options, const tokenizer *t,
                        void (*on_progress)(void *ctx, int64_t done, int64_t total,
                                            const char *file),
                        void *ctx, prepare_report *report, hone_error *err)
{
    run r = {
        .o = o, .crew = { .plugins = plugins }, .reader_options = reader_options, .report = report
    };
    char *samples = path_join(o->out, "samples.jsonl"),
         *report_path = path_join(o->out, "report.json");
    const hone_tokenizer_service service = { .struct_size = sizeof service,
                                             .ctx = (void *)(uintptr_t)t,
                                             .count = count_tokens };
    hone_status st;
    *report = (prepare_report){ 0 };
    r.no_reader = json_object();
    r.lost = json_object();
    r.documents = json_array();
    report->detail = json_pack("{s:o, s:o, s:o}", "no_reader", r.no_reader, "lost", r.lost,
                               "documents", r.documents);
    if (!samples || !report_path || !report->detail) {
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory to begin");
        goto out;
    }
    if (t)
        host_offer_service(HONE_SERVICE_TOKENIZER, &service);
    if ((st = list_recipes(&r, recipe_options, err)) ||
        (st = check_recipe_options(&r, recipe_options, err)) || (st = list_documents(&r, err)) ||
        (st = dir_make(o->out, err)) || (st = file_writer_open(&r.out, samples, err)) ||
        (st = start(&r, err)) || (st = write_all_documents(&r, on_progress, ctx, err)) ||
        (st = finish_all(&r, err)))
        goto out;
    st = file_writer_commit(r.out, err);
    r.out = NULL;
    if (st)
        goto out;
    json_t *totals = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "files", (json_int_t)report->files,
        "read", (json_int_t)report->read, "skipped", (json_int_t)report->skipped, "failed",
        (json_int_t)report->failed, "no_reader", (json_int_t)report->no_reader, "excluded",
        (json_int_t)report->excluded, "samples", (json_int_t)report->samples, "duplicates",
        (json_int_t)report->duplicates, "bytes", (json_int_t)report->bytes, "lost_bytes",
        (json_int_t)report->lost_bytes);
    if (!totals || json_object_set_new(report->detail, "totals", totals))
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for the report");
    else
        st = json_write(report->detail, report_path, err);
out:
    for (size_t i = 0; r.workers && i < r.n_workers; i++) {
        worker_stop(&r.workers[i], st != HONE_OK, NULL);
        free(r.workers[i].in);
    }
    host_offer_service(HONE_SERVICE_TOKENIZER, NULL);
    file_writer_abort(r.out);
    for (size_t i = 0; i < r.n_docs; i++)
        document_finish(&r.docs[i]);
    document_finish(&r.last);
    for (size_t i = 0; i < r.crew.n_readers; i++)
        free(r.readers[i].name);
    free(r.docs);
    free(r.readers);
    free(r.recipes);
    free(r.workers);
    free(r.seen);
    free(samples);
    free(report_path);
    return st;
}
