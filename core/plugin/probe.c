/*
 * probe.c - can a component be used here? Asked in a child process.
 *
 * A probe talks to drivers: it may crash, hang or print. The child opens the
 * plugin, runs the probe with its output thrown away, and sends one record
 * through a pipe. What happens to the child instead becomes the reason. A plugin
 * that runs in this process already is asked directly: a driver that was started here
 * does not work in a forked child, and its init() has shown what there was to show.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/plugin/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int timeout_seconds = 10;

typedef struct answer {
    char *path, *kind, *name; /* owned */
    hone_error err;
} answer;

static answer *answers;
static size_t n_answers, cap_answers;

void probe_set_timeout(int seconds)
{
    timeout_seconds = seconds;
}

static hone_status run_probe(registry *r, component_row c, hone_error *err)
{
    const hone_plugin *plugin = NULL;
    const hone_component *desc;
    hone_error why = { 0 };
    hone_status status = plugin_load(&plugin, r, c.file, err);
    if (status)
        return status;
    desc = component_of(plugin, c.row);
    status = desc->probe ? desc->probe(plugin_host(), &why) : HONE_OK;
    if (status) {
        why.message[sizeof why.message - 1] = '\0';
        return hone_fail(err, status, "%s",
                         why.message[0] ? why.message : "the probe gave no reason");
    }
    return HONE_OK;
}

/* Never returns. */
static void child(registry *r, component_row c, int out)
{
    const struct rlimit none = { 0, 0 };
    hone_error err = { 0 };
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)signal(SIGPIPE, SIG_DFL);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
    }
    err.code = run_probe(r, c, &err);
    const ssize_t n = write(out, &err, sizeof err);
    _exit(n == (ssize_t)sizeof err ? 0 : 1);
}

/* True when the whole record came before the end of time. */
static bool receive(int in, hone_error *record, bool *timed_out)
{
    const double end = clock_now() + timeout_seconds;
    size_t got = 0;
    *timed_out = false;
    while (got < sizeof *record) {
        struct pollfd wait = { .fd = in, .events = POLLIN };
        const double left = end - clock_now();
        const int ready = left > 0 ? poll(&wait, 1, (int)(left * 1000) + 1) : 0;
        ssize_t n;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0) {
            *timed_out = ready == 0;
            return false;
        }
        n = read(in, (char *)record + got, sizeof *record - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

static hone_status ask_child(registry *r, component_row c, hone_error *err)
{
    hone_error record = { 0 };
    int ends[2], how = 0;
    bool complete, timed_out;
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return hone_fail(err, HONE_ERR_IO, "cannot probe: %s", strerror(errno));
    pid = fork();
    if (pid < 0) {
        close(ends[0]);
        close(ends[1]);
        return hone_fail(err, HONE_ERR_IO, "cannot probe: %s", strerror(errno));
    }
    if (pid == 0) {
        close(ends[0]);
        child(r, c, ends[1]);
    }
    close(ends[1]);
    complete = receive(ends[0], &record, &timed_out);
    close(ends[0]);
    if (!complete)
        (void)kill(pid, SIGKILL); /* no effect on what is over */
    while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
        continue;
    if (timed_out)
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "probe gave no answer within %d seconds",
                         timeout_seconds);
    if (!complete && WIFSIGNALED(how))
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "probe crashed with signal %d", WTERMSIG(how));
    if (!complete)
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "probe ended the process with status %d",
                         WEXITSTATUS(how));
    record.message[sizeof record.message - 1] = '\0';
    if (record.code)
        return hone_fail(err, record.code, "%s", record.message);
    return HONE_OK;
}

static hone_status remember(component_row c, const hone_error *why, hone_error *err)
{
    answer a = { mem_strdup(c.file->path), mem_strdup(c.row->kind), mem_strdup(c.row->component),
                 *why };
    if (a.path && a.kind && a.name &&
        mem_grow(&answers, &cap_answers, n_answers + 1, sizeof *answers)) {
        answers[n_answers++] = a;
        return HONE_OK;
    }
    free(a.path);
    free(a.kind);
    free(a.name);
    return hone_fail(err, HONE_ERR_NOMEM, "no memory for the answer of a probe");
}

hone_status component_probe(registry *r, component_row c, hone_error *err)
{
    hone_error why = { 0 };
    hone_status status;
    size_t i;
    for (i = 0; i < n_answers; i++)
        if (strcmp(answers[i].path, c.file->path) == 0 &&
            strcmp(answers[i].kind, c.row->kind) == 0 &&
            strcmp(answers[i].name, c.row->component) == 0)
            break;
    if (i == n_answers) {
        (void)(plugin_is_running(c.file) ? run_probe(r, c, &why) : ask_child(r, c, &why));
        status = remember(c, &why, err);
        if (status)
            return status;
    }
    if (answers[i].err.code)
        return hone_fail(err, answers[i].err.code, "%s", answers[i].err.message);
    return HONE_OK;
}
