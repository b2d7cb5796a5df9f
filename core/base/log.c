/*
 * log.c - the one place below app/ that writes to stderr.
 *
 * A line is written by one write(2), so lines of several threads do not mix.
 * Control characters become '?': names of documents end up here, and a terminal
 * obeys what it is sent.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t threshold = HONE_LOG_INFO;
static pthread_once_t forks_once = PTHREAD_ONCE_INIT;
static text status_line; /* guarded by lock; "" when there is none */

/* A thread of another part may hold the lock at the moment of a fork; the child has no such
 * thread to give it back. */
static void take(void)
{
    pthread_mutex_lock(&lock);
}

static void give(void)
{
    pthread_mutex_unlock(&lock);
}

static void survive_forks(void)
{
    (void)pthread_atfork(take, give, give);
}

static void put_clean(text *t, const char *p, size_t n)
{
    size_t i = 0, k;
    while (i < n) {
        uint32_t cp;
        bool bad;
        k = utf8_next(p + i, n - i, &cp, &bad);
        if (cp == '\t' || cp == '\n')
            text_putc(t, ' ');
        else if (bad || cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
            text_putc(t, '?');
        else
            text_add(t, p + i, k);
        i += k;
    }
}

static void put_status(text *t)
{
    struct winsize size;
    size_t i = 0, columns = 79;
    if (!status_line.n)
        return;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        columns = size.ws_col - 1u; /* one that wraps could not be cleared */
    while (i < status_line.n && columns--) {
        uint32_t cp;
        bool bad;
        i += utf8_next(status_line.p + i, status_line.n - i, &cp, &bad);
    }
    text_add(t, status_line.p, i);
}

static void emit(const text *t)
{
    size_t done = 0;
    while (!t->failed && done < t->n) {
        const ssize_t k = write(STDERR_FILENO, t->p + done, t->n - done);
        if (k <= 0) /* nobody is left to tell */
            return;
        done += (size_t)k;
    }
}

void log_line(uint32_t level, const char *format, ...)
{
    static const char *const prefix[] = { "", "", "hone: warning: ", "hone: " };
    text line = { 0 }, out = { 0 };
    va_list args;
    char buf[1024];
    int n;
    if (level < __atomic_load_n(&threshold, __ATOMIC_RELAXED))
        return;
    va_start(args, format);
    n = vsnprintf(buf, sizeof buf, format, args);
    va_end(args);
    if (n >= (int)sizeof buf) {
        line.failed = !mem_grow(&line.p, &line.cap, (size_t)n + 1, 1);
        if (!line.failed) {
            va_start(args, format);
            (void)vsnprintf(line.p, line.cap, format, args);
            va_end(args);
            line.n = (size_t)n;
        }
    } else if (n > 0) {
        text_add(&line, buf, (size_t)n);
    }
    const bool terminal = isatty(STDERR_FILENO);
    (void)pthread_once(&forks_once, survive_forks);
    pthread_mutex_lock(&lock);
    if (terminal && status_line.n)
        text_puts(&out, "\r\033[K");
    text_puts(&out, prefix[level <= HONE_LOG_ERROR ? level : HONE_LOG_ERROR]);
    if (line.n)
        put_clean(&out, line.p, line.n);
    text_putc(&out, '\n');
    if (terminal)
        put_status(&out);
    emit(&out);
    pthread_mutex_unlock(&lock);
    text_finish(&line);
    text_finish(&out);
}

void log_set_level(uint32_t level)
{
    __atomic_store_n(&threshold, level, __ATOMIC_RELAXED);
}

void log_set_status(const char *line)
{
    text out = { 0 };
    pthread_mutex_lock(&lock);
    if (isatty(STDERR_FILENO) && (line || status_line.n)) {
        text_clear(&status_line);
        if (line)
            put_clean(&status_line, line, strlen(line));
        text_puts(&out, "\r\033[K");
        put_status(&out);
        emit(&out);
    }
    if (!line)
        text_finish(&status_line);
    pthread_mutex_unlock(&lock);
    text_finish(&out);
}
