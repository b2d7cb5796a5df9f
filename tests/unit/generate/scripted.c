/*
 * scripted.c - a service of chat completions on the loopback that says what a script tells it.
 *
 *     scripted [SCRIPT]     prints its port, serves until it is killed
 *
 * SCRIPT has lines "words<TAB>answer" (\n in an answer is a newline): the first line whose words stand
 * in the request is the answer. Words in the request say how it is given:
 *   [[status N K]]  K times status N (429 with Retry-After: 1), then the answer
 *   [[slow]]        after three seconds     [[garbage]] no JSON     [[huge]] four megabytes
 *   [[half]]        half of it, then the connection is closed       [[hang up]] nothing at all
 *   [[length]]      finish_reason length    [[filter]]  content_filter
 *   [[tell]]        status 400, and the Authorization header in the message
 * GET answers how many requests there were, and how many at once at most.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int n_requests, n_now, n_most;
static char *script;
static struct {
    unsigned long hash;
    int n;
} failures[4096];

static unsigned long hash_of(const char *s)
{
    unsigned long h = 5381;
    for (; *s; s++)
        h = h * 33 + (unsigned char)*s;
    return h;
}

/* How often this very request has failed so far; counts one more. */
static int failed_before(const char *body)
{
    const unsigned long h = hash_of(body);
    int n = 0;
    (void)pthread_mutex_lock(&lock);
    for (size_t i = h % 4096;; i = (i + 1) % 4096)
        if (failures[i].hash == h || !failures[i].hash) {
            failures[i].hash = h;
            n = failures[i].n++;
            break;
        }
    (void)pthread_mutex_unlock(&lock);
    return n;
}

static void say(int fd, int status, const char *more, const char *body, size_t claim)
{
    char head[256];
    const int n = snprintf(head, sizeof head,
                           "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nConnection: "
                           "close\r\n%sContent-Length: %zu\r\n\r\n",
                           status, more, claim);
    (void)!send(fd, head, (size_t)n, MSG_NOSIGNAL);
    for (size_t at = 0, all = strlen(body); at < all;) {
        const ssize_t k = send(fd, body + at, all - at, MSG_NOSIGNAL);
        if (k <= 0)
            return;
        at += (size_t)k;
    }
}

static char *answer_of(const char *body)
{
    for (const char *line = script; line && *line;) {
        const char *tab = strchr(line, '\t'), *end = strchr(line, '\n');
        char words[256];
        if (!tab || !end || tab > end)
            break;
        (void)snprintf(words, sizeof words, "%.*s", (int)(tab - line), line);
        if (strstr(body, words)) {
            char *answer = strndup(tab + 1, (size_t)(end - tab - 1)), *to = answer;
            for (const char *from = answer; *from; from++) {
                const int newline = from[0] == '\\' && from[1] == 'n';
                *to++ = newline ? '\n' : *from;
                from += newline;
            }
            *to = '\0';
            return answer;
        }
        line = end + 1;
    }
    return strdup("yes");
}

static void reply(int fd, const char *head, const char *body)
{
    const char *mark = strstr(body, "[[status ");
    int status = 0, times = 0;
    if (mark && sscanf(mark, "[[status %d %d", &status, &times) == 2 &&
        failed_before(body) < times) {
        const char *said = "{\"error\":{\"message\":\"not now\\nsecond line\"}}";
        say(fd, status, status == 429 ? "Retry-After: 1\r\n" : "", said, strlen(said));
        return;
    }
    if (strstr(body, "[[tell]]")) {
        const char *key = strcasestr(head, "authorization:");
        char said[600];
        (void)snprintf(said, sizeof said, "{\"error\":\"bad: %.*s\"}",
                       key ? (int)strcspn(key, "\r\n") : 0, key ? key : "");
        say(fd, 400, "", said, strlen(said));
        return;
    }
    if (strstr(body, "[[hang up]]"))
        return;
    if (strstr(body, "[[slow]]"))
        (void)sleep(3);
    char *answer = strstr(body, "[[huge]]") ? malloc(4u << 20) : answer_of(body);
    if (strstr(body, "[[huge]]")) {
        memset(answer, 'x', (4u << 20) - 1);
        answer[(4u << 20) - 1] = '\0';
    }
    json_t *o = json_pack("{s:[{s:{s:s, s:s}, s:s}], s:{s:i, s:i}}", "choices", "message", "role",
                          "assistant", "content", answer, "finish_reason",
                          strstr(body, "[[length]]")   ? "length"
                          : strstr(body, "[[filter]]") ? "content_filter"
                                                       : "stop",
                          "usage", "prompt_tokens", 7, "completion_tokens", 3);
    char *dump = strstr(body, "[[garbage]]") ? strdup("<html>no\nJSON</html>") : json_dumps(o, 0);
    const size_t n = strlen(dump);
    if (strstr(body, "[[half]]"))
        dump[n / 2] = '\0';
    say(fd, 200, "", dump, n);
    json_decref(o);
    free(dump);
    free(answer);
}

static void *serve(void *arg)
{
    const int fd = (int)(long)arg;
    char *p = calloc(1, MOST + 1);
    size_t n = 0, want = 0;
    char *body = NULL;
    while (n < MOST && (!body || n < want)) {
        const ssize_t k = recv(fd, p + n, MOST - n, 0);
        if (k <= 0)
            break;
        n += (size_t)k;
        p[n] = '\0';
        if (!body && (body = strstr(p, "\r\n\r\n"))) {
            const char *length = strcasestr(p, "content-length:");
            body += 4;
            want = (size_t)(body - p) + (length ? (size_t)atol(length + 15) : 0);
            if (strcasestr(p, "expect: 100"))
                (void)!send(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
        }
    }
    if (body && strncmp(p, "GET", 3) == 0) {
        char said[64];
        (void)snprintf(said, sizeof said, "%d %d\n", n_requests, n_most);
        say(fd, 200, "", said, strlen(said));
    } else if (body && n >= want) {
        (void)pthread_mutex_lock(&lock);
        n_requests++;
        n_most = ++n_now > n_most ? n_now : n_most;
        (void)pthread_mutex_unlock(&lock);
        reply(fd, p, body);
        (void)pthread_mutex_lock(&lock);
        n_now--;
        (void)pthread_mutex_unlock(&lock);
    }
    (void)close(fd);
    free(p);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof a;
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&a, size) != 0 ||
        listen(listener, 128) != 0 || getsockname(listener, (struct sockaddr *)&a, &size) != 0)
        return 1;
    if (argc > 1) {
        FILE *f = fopen(argv[1], "rb");
        script = calloc(1, 1 << 20);
        if (!f || !script || fread(script, 1, (1 << 20) - 1, f) == 0)
            return 1;
        (void)fclose(f);
    }
    printf("%d\n", ntohs(a.sin_port));
    (void)fflush(stdout);
    for (;;) {
        const int fd = accept(listener, NULL, NULL);
        pthread_t thread;
        if (fd >= 0 && pthread_create(&thread, NULL, serve, (void *)(long)fd) == 0)
            (void)pthread_detach(thread);
    }
}
