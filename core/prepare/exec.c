/*
 * exec.c - the program of a recipe: chosen, started, talked with.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/prepare/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAID 240 /* bytes of its standard error that a message may hold */

struct exec_recipe {
    const json_t *options; /* borrowed, or NULL */
    pid_t pid;
    int in, out, complaints; /* its standard input, output and error: our ends */
    char *buf;               /* owned: bytes of it that are no line yet */
    size_t n, cap;
    size_t seen; /* of n: no line ends there */
    char said[SAID + 1];
    size_t n_said;
    bool served; /* it has answered a question */
    bool left;   /* it ended without a word about this one */
};

bool exec_is(const char *name)
{
    return strncmp(name, "exec:", 5) == 0;
}

hone_status exec_allowed(const char *path, hone_error *err)
{
    json_t *root = NULL;
    hone_error why = { 0 };
    if (!path_exists(path))
        return HONE_OK;
    if (json_read(&root, path, &why))
        return hone_fail(err, HONE_ERR_STATE, "recipes that are programs: %s", why.message);
    const json_t *said = json_object_get(root, "exec_recipes");
    const bool allowed = json_is_object(root) && (!said || json_is_true(said));
    json_decref(root);
    return allowed ? HONE_OK
                   : hone_fail(err, HONE_ERR_STATE,
                               "recipes that are programs (exec:..) are switched off on this "
                               "machine, by %s",
                               path);
}

hone_status exec_choose(recipe_choice *c, const char *base, hone_error *err)
{
    char *here = base ? realpath(base, NULL) : realpath(".", NULL), hash[65];
    hone_status st = exec_allowed(HONE_POLICY_FILE, err);
    c->exec = here ? path_resolve(here, c->name + 5) : NULL;
    free(here);
    if (st)
        return st;
    if (!c->exec)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for recipes");
    if (!path_exists(c->exec) || path_is_dir(c->exec))
        return hone_fail(err, HONE_ERR_NOTFOUND, "recipe %s: %s is no file", c->name, c->exec);
    if (access(c->exec, X_OK) != 0)
        return hone_fail(err, HONE_ERR_ARG, "recipe %s: %s may not be run: chmod +x", c->name,
                         c->exec);
    if ((st = sha256_file(c->exec, hash, err)))
        return st;
    (void)snprintf(c->own.kind, sizeof c->own.kind, "%s", HONE_KIND_RECIPE);
    (void)snprintf(c->own.component, sizeof c->own.component, "exec:%.34s", path_base(c->exec));
    for (char *p = c->own.component; *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
            *p = '?';
    (void)snprintf(c->version, sizeof c->version, "%.16s", hash);
    c->row = (component_row){ NULL, &c->own };
    return HONE_OK;
}

/* ------------------------------------------------------------------------ the process */

_Noreturn static void become(const recipe_choice *c, const crew *w, const int in[2],
                             const int out[2], const int complaints[2])
{
    char *const arguments[] = { c->exec, NULL };
    char *const environment[] = { (char *)(uintptr_t) "PATH=/usr/local/bin:/usr/bin:/bin",
                                  (char *)(uintptr_t) "LANG=C.UTF-8",
                                  (char *)(uintptr_t) "PYTHONDONTWRITEBYTECODE=1", NULL };
    const char *paths[64];
    size_t n = 0;
    hone_error err = { 0 };
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (dup2(in[0], STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0 ||
        dup2(complaints[1], STDERR_FILENO) < 0 || chdir("/") != 0)
        _exit(126);
    if (close_range(STDERR_FILENO + 1, ~0u, 0) != 0)
        for (int i = STDERR_FILENO + 1; i < 4096; i++)
            (void)close(i);
    paths[n++] = c->exec;
    for (uint64_t i = 0; i < w->exec_paths.n && n < sizeof paths / sizeof paths[0]; i++)
        paths[n++] = w->exec_paths.items[i];
    if (lockdown_program(w->memory_bytes, paths, n, &err) == HONE_OK)
        (void)execve(c->exec, arguments, environment);
    else
        (void)!write(STDERR_FILENO, err.message, strlen(err.message));
    if (!err.message[0])
        (void)!write(STDERR_FILENO, strerror(errno), strlen(strerror(errno)));
    _exit(126);
}

static void unblock(int fd)
{
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

hone_status exec_open(exec_recipe **out, const recipe_choice *c, const crew *w, hone_error *err)
{
    int in[2], back[2], complaints[2];
    exec_recipe *x = mem_new(1, sizeof *x);
    if (!x)
        return hone_fail(err, HONE_ERR_NOMEM, "recipe %s: no memory", c->name);
    if (pipe(in) != 0 || pipe(back) != 0 || pipe(complaints) != 0) {
        free(x);
        return hone_fail(err, HONE_ERR_IO, "recipe %s: cannot start it: %s", c->name,
                         strerror(errno));
    }
    x->pid = fork();
    if (x->pid == 0)
        become(c, w, in, back, complaints);
    (void)close(in[0]);
    (void)close(back[1]);
    (void)close(complaints[1]);
    x->options = c->json;
    x->in = in[1];
    x->out = back[0];
    x->complaints = complaints[0];
    unblock(x->in);
    unblock(x->out);
    unblock(x->complaints);
    if (x->pid < 0) {
        free(x);
        return hone_fail(err, HONE_ERR_IO, "recipe %s: cannot start it: %s", c->name,
                         strerror(errno));
    }
    *out = x;
    return HONE_OK;
}

/* ------------------------------------------------------------------------ talking */

/* The last of what it says on its standard error. */
static bool listen_to_complaints(exec_recipe *x)
{
    char buf[512];
    const ssize_t n = read(x->complaints, buf, sizeof buf);
    for (ssize_t i = 0; i < n; i++) {
        if (x->n_said == SAID)
            memmove(x->said, x->said + 1, --x->n_said);
        x->said[x->n_said++] = buf[i];
    }
    return n != 0 && (n > 0 || errno == EAGAIN || errno == EINTR);
}

static hone_status gone(exec_recipe *x, hone_error *err)
{
    int status = 0;
    char how[160], words[3 * SAID + 1];
    size_t n = 0;
    while (listen_to_complaints(x) && errno != EAGAIN)
        ;
    while (waitpid(x->pid, &status, 0) < 0 && errno == EINTR)
        ;
    for (size_t i = 0; i < x->n_said;) { /* a log's bytes are anything */
        uint32_t cp;
        bool bad;
        i += utf8_next(x->said + i, x->n_said - i, &cp, &bad);
        n += utf8_put(cp, words + n);
    }
    words[n] = '\0';
    return hone_fail(err, HONE_ERR_DEVICE, "the program %s%s%s",
                     how_it_ended(status, how, sizeof how), n ? ": " : "", words);
}

/* Whole lines that have come. */
static hone_status take_lines(exec_recipe *x, const hone_document *d, const hone_sample_sink *sink,
                              bool *end, hone_error *err)
{
    size_t at = 0, from = x->seen;
    hone_status st = HONE_OK;
    while (!st && !*end) {
        const char *nl = memchr(x->buf + from, '\n', x->n - from);
        if (!nl)
            break;
        const size_t n = (size_t)(nl - (x->buf + at));
        st = exec_take_line(x->buf + at, n, d, sink, end, err);
        at = from = at + n + 1;
    }
    if (at)
        memmove(x->buf, x->buf + at, x->n - at);
    x->n -= at;
    x->seen = x->n;
    if (!st && *end && x->n)
        st = hone_fail(err, HONE_ERR_FORMAT, "the program goes on after the end of its answer");
    if (!st && x->n > EXEC_LINE_BYTES)
        st = hone_fail(err, HONE_ERR_LIMIT, "the program wrote a line of more than %u MB",
                       EXEC_LINE_BYTES >> 20);
    return st;
}

static hone_status hear(exec_recipe *x, uint64_t *heard, hone_error *err)
{
    if (!mem_grow(&x->buf, &x->cap, x->n + (1u << 16), 1))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for its answer");
    const ssize_t n = read(x->out, x->buf + x->n, 1u << 16);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return HONE_OK;
    if (n <= 0) {
        x->left = x->served && !*heard;
        return gone(x, err);
    }
    x->n += (size_t)n;
    *heard += (uint64_t)n;
    if (*heard > EXEC_ANSWER_BYTES)
        return hone_fail(err, HONE_ERR_LIMIT, "the program wrote more than %llu MB about it",
                         EXEC_ANSWER_BYTES >> 20);
    return HONE_OK;
}

hone_status exec_process(exec_recipe *x, const hone_document *d, const hone_sample_sink *sink,
                         bool *alive, hone_error *err)
{
    text question = { 0 };
    size_t told = 0;
    uint64_t heard = 0;
    bool end = false, complaints = true;
    hone_status st = exec_tell(&question, d, x->options, err);
    *alive = false;
    x->left = false;
    while (!st && !end) {
        struct pollfd polls[3] = {
            { .fd = x->out, .events = POLLIN },
            { .fd = complaints ? x->complaints : -1, .events = POLLIN },
            { .fd = told < question.n ? x->in : -1, .events = POLLOUT },
        };
        if (poll(polls, 3, -1) < 0 && errno != EINTR)
            st = hone_fail(err, HONE_ERR_IO, "%s", strerror(errno));
        if (polls[1].revents)
            complaints = listen_to_complaints(x);
        if (!st && polls[2].revents & (POLLOUT | POLLERR)) {
            const ssize_t n = write(x->in, question.p + told, question.n - told);
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                told = question.n; /* it does not listen; what it says or does decides */
            told += n > 0 ? (size_t)n : 0;
        }
        if (!st && polls[0].revents && !(st = hear(x, &heard, err)))
            st = take_lines(x, d, sink, &end, err);
    }
    if (!st && told < question.n)
        st = hone_fail(err, HONE_ERR_FORMAT, "the program answered before it had read all");
    *alive = end && x->n == 0 && told == question.n;
    x->served |= *alive;
    text_finish(&question);
    return st;
}

bool exec_left(const exec_recipe *x)
{
    return x->left;
}
