/*
 * test_log.c - what arrives on stderr.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "folder.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

static char *dir, *path;

/* Run `what` with stderr in a file; its bytes, free(). */
static char *said_by(void (*what)(void))
{
    hone_error err = { 0 };
    char *p = NULL;
    const int kept = dup(STDERR_FILENO);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    (void)dup2(fd, STDERR_FILENO);
    what();
    (void)dup2(kept, STDERR_FILENO);
    close(fd);
    close(kept);
    CHECK_OK(file_read(&p, NULL, path, 1 << 24, &err), err);
    return p;
}

static void say_all(void)
{
    char *big = mem_new(3001, 1);
    memset(big, 'x', 3000);
    log_line(HONE_LOG_DEBUG, "debug");
    log_line(HONE_LOG_INFO, "info %d", 1);
    log_line(HONE_LOG_WARN, "warn %s", "2");
    log_line(HONE_LOG_ERROR, "error");
    log_line(99, "above");
    log_line(HONE_LOG_INFO, "%s", "a\nb\tc\x1b[31m\x7f\xc2\x9b\xff\xc3\xa9");
    log_set_status("never in a file");
    log_line(HONE_LOG_INFO, "%s", "");
    log_set_level(HONE_LOG_WARN);
    log_line(HONE_LOG_INFO, "hidden");
    log_set_level(HONE_LOG_DEBUG);
    log_line(HONE_LOG_DEBUG, "shown");
    log_line(HONE_LOG_DEBUG, "%s", big);
    log_set_level(HONE_LOG_INFO);
    log_set_status(NULL);
    free(big);
}

static void test_log__lines_levels_and_no_control_characters(void)
{
    char *p = said_by(say_all);
    /* U+009B is one character, the stray 0xff another */
    static const char start[] = "info 1\nhone: warning: warn 2\nhone: error\nhone: above\n"
                                "a b c?[31m???\xc3\xa9\n\nshown\nxxx";
    CHECK(strncmp(p, start, strlen(start)) == 0);
    CHECK_INT(strlen(p), strlen(start) - 3 + 3001);
    free(p);
}

static void *chatter(void *arg)
{
    int i;
    for (i = 0; i < 500; i++)
        log_line(HONE_LOG_INFO, "%s", (const char *)arg);
    return NULL;
}

static void say_together(void)
{
    static char words[4][64];
    pthread_t threads[4];
    int i;
    for (i = 0; i < 4; i++) {
        memset(words[i], 'a' + i, 60);
        (void)pthread_create(&threads[i], NULL, chatter, words[i]);
    }
    for (i = 0; i < 4; i++)
        (void)pthread_join(threads[i], NULL);
}

static void test_log__threads_do_not_mix_their_lines(void)
{
    char *p = said_by(say_together), *line, *save = NULL;
    int n = 0;
    for (line = strtok_r(p, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n++)
        CHECK(strlen(line) == 60 && strspn(line, (char[]){ line[0], '\0' }) == 60);
    CHECK_INT(n, 2000);
    free(p);
}

/* What a terminal 20 columns wide gets, in order. */
static void test_log__a_status_line_stays_below_the_log(void)
{
    struct winsize size = { .ws_row = 5, .ws_col = 20 };
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY), kept = dup(STDERR_FILENO);
    char got[512];
    ssize_t n;
    int tty;
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0)
        return; /* no pseudo-terminals here; the file cases above still count */
    tty = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    CHECK(tty >= 0 && ioctl(terminal, TIOCSWINSZ, &size) == 0);
    (void)dup2(tty, STDERR_FILENO);
    log_set_status("0123456789012345678\xc3\xa9 does not fit");
    log_line(HONE_LOG_INFO, "line");
    log_set_status(NULL);
    log_line(HONE_LOG_INFO, "end");
    (void)dup2(kept, STDERR_FILENO);
    got[0] = '\0';
    while (!strstr(got, "end\r\n")) { /* a terminal gives what has come so far */
        struct pollfd wait = { .fd = terminal, .events = POLLIN };
        const size_t have = strlen(got);
        if (poll(&wait, 1, 5000) <= 0 ||
            (n = read(terminal, got + have, sizeof got - 1 - have)) <= 0)
            break;
        got[have + (size_t)n] = '\0';
    }
    CHECK_STR(got, "\r\033[K0123456789012345678" /* one column stays free: no wrapping */
                   "\r\033[Kline\r\n0123456789012345678"
                   "\r\033[K"
                   "end\r\n");
    close(tty);
    close(kept);
    close(terminal);
}

int main(void)
{
    dir = folder_new();
    path = path_join(dir, "log");
    RUN(test_log__lines_levels_and_no_control_characters);
    RUN(test_log__threads_do_not_mix_their_lines);
    RUN(test_log__a_status_line_stays_below_the_log);
    free(path);
    folder_remove(dir);
    return TEST_EXIT();
}
