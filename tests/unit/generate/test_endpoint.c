/*
 * test_endpoint.c - prompts to a service that answers well, late, by half, too much or not at all.
 *
 *     test_endpoint SCRIPTED     the service, tests/unit/generate/scripted.c
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/generate/parts.h"
#include "test.h"

static char *dir, *cache, address[64];
static const sampling greedy = { .top_p = 1, .repetition_penalty = 1, .max_tokens = 50 };

static generator *open_with(generator_options o)
{
    hone_error err = { 0 };
    generator *g = NULL;
    o.endpoint = address;
    o.model = "scripted";
    o.batch = 1;
    o.concurrency = o.concurrency ? o.concurrency : 4;
    o.timeout = o.timeout ? o.timeout : 20;
    o.answer_kb = 64;
    CHECK_OK(generator_open(&g, &o, NULL, &greedy, cache, &err), err);
    return g;
}

static uint64_t submit(generator *g, const char *user)
{
    const hone_generate_service *s = generator_service(g);
    const hone_prompt p = { .struct_size = sizeof p, .user = hone_s(user), .version = hone_s("1") };
    hone_error err = { 0 };
    uint64_t handle = 0;
    CHECK_OK(s->submit(s, &p, &handle, &err), err);
    return handle;
}

/* The answer to `user`, or its error's message, in out. */
static hone_status ask(generator *g, const char *user, char out[600])
{
    const hone_generate_service *s = generator_service(g);
    hone_error err = { 0 };
    hone_answer a = { 0 };
    const uint64_t handle = submit(g, user);
    const hone_status st = s->collect(s, handle, &a, &err);
    (void)snprintf(out, 600, "%.*s", st ? 590 : (int)a.text.n, st ? err.message : a.text.p);
    s->release(s, handle);
    return st;
}

static void empty_cache(void)
{
    hone_error err = { 0 };
    CHECK_OK(dir_remove(cache, &err), err);
}

static void test_endpoint__answers_are_asked_for_once(void)
{
    generator *g = open_with((generator_options){ 0 });
    char said[600];
    CHECK_INT(ask(g, "what is blue?", said), HONE_OK);
    CHECK_STR(said, "the sky\nis");
    CHECK_INT(ask(g, "what is blue?", said), HONE_OK);
    CHECK_INT(generator_count(g).asked, 1);
    CHECK_INT(generator_count(g).kept, 1);
    CHECK_INT(generator_count(g).tokens_out, 3);
    generator_close(g);
    g = open_with((generator_options){ .dry_run = true }); /* another run */
    CHECK_INT(ask(g, "what is blue?", said), HONE_OK);
    CHECK_STR(said, "the sky\nis");
    CHECK_INT(ask(g, "what is red?", said), HONE_ERR_SKIP);
    CHECK_INT(generator_count(g).counted, 1);
    CHECK_INT(generator_count(g).counted_bytes, 12);
    CHECK_INT(generator_count(g).counted_most, 50);
    generator_close(g);
    empty_cache();
}

static void test_endpoint__many_at_once(void)
{
    enum { N = 40 };
    generator *g = open_with((generator_options){ .concurrency = 5 });
    const hone_generate_service *s = generator_service(g);
    uint64_t handles[N];
    for (int i = 0; i < N; i++) {
        char user[64];
        (void)snprintf(user, sizeof user, "%s number %d", i % 2 ? "what is blue?" : "else", i / 4);
        handles[i] = submit(g, user);
    }
    CHECK_INT(generator_count(g).waiting, N);
    s->release(s, handles[N - 1]); /* cancelled */
    CHECK_INT(generator_count(g).waiting, N - 1);
    for (int i = N - 2; i >= 0; i--) { /* in any order */
        hone_error err = { 0 };
        hone_answer a = { 0 };
        CHECK_OK(s->collect(s, handles[i], &a, &err), err);
        CHECK(s->ready(s, handles[i]));
        CHECK_INT(a.text.n, i % 2 ? 10 : 3);
        s->release(s, handles[i]);
        CHECK(s->collect(s, handles[i], &a, &err) == HONE_ERR_ARG);
    }
    CHECK_INT(generator_count(g).waiting, 0);
    CHECK(generator_count(g).asked < N); /* equal questions were asked once */
    generator_close(g);
    empty_cache();
}

static void test_endpoint__failures_are_tried_again_or_named(void)
{
    static const struct {
        const char *user, *said;
        hone_status status;
        int64_t retries;
    } cases[] = {
        { "a [[status 503 2]]", "yes", HONE_OK, 2 },
        { "a [[status 429 1]]", "yes", HONE_OK, 1 },
        { "b [[status 500 9]]", "status 500, 3 times: not now", HONE_ERR_IO, 2 },
        { "c [[status 400 9]]", "status 400: not now", HONE_ERR_IO, 0 },
        { "d [[garbage]]", "its answer", HONE_ERR_FORMAT, 0 },
        { "e [[huge]]", "more than 64 kB; raise generator.answer_kb", HONE_ERR_IO, 0 },
        { "f [[half]]", "3 times", HONE_ERR_IO, 2 },
        { "g [[hang up]]", "3 times", HONE_ERR_IO, 2 },
        { "h [[filter]]", "content_filter", HONE_ERR_SKIP, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        generator *g = open_with((generator_options){ .retries = 2 });
        char said[600];
        CHECK_INT(ask(g, cases[i].user, said), cases[i].status);
        CHECK_HAS(said, cases[i].said);
        if (cases[i].status)
            CHECK_HAS(said, "/v1/chat/completions");
        CHECK_INT(generator_count(g).retries, cases[i].retries);
        CHECK_INT(ask(g, "and then?", said), HONE_OK); /* others go on */
        generator_close(g);
    }
    empty_cache();
}

static void test_endpoint__a_refusal_of_all_ends_all(void)
{
    generator *g = open_with((generator_options){ .retries = 2 });
    char said[600];
    CHECK_INT(ask(g, "x [[status 401 1]]", said), HONE_ERR_IO);
    CHECK_HAS(said, "status 401: not now");
    CHECK_INT(ask(g, "never asked", said), HONE_ERR_IO);
    CHECK_HAS(said, "status 401");
    generator_close(g);
}

static void test_endpoint__time_is_limited(void)
{
    generator *g = open_with((generator_options){ .timeout = 1 });
    char said[600];
    CHECK_INT(ask(g, "x [[slow]]", said), HONE_ERR_IO);
    CHECK_HAS(said, "imed out");
    generator_close(g);
}

static void test_endpoint__the_key_is_never_shown(void)
{
    CHECK(setenv("HONE_TEST_KEY", "sk-very-secret", 1) == 0);
    generator *g = open_with((generator_options){ .key = "HONE_TEST_KEY" });
    char said[600];
    CHECK_INT(ask(g, "x [[tell]]", said), HONE_ERR_IO);
    CHECK_HAS(said, "bad: Authorization: Bearer **************");
    CHECK(!strstr(said, "secret"));
    generator_close(g);
}

static void test_endpoint__mistakes_are_named(void)
{
    static const struct {
        const char *endpoint, *named, *key, *message;
    } cases[] = {
        { "ftp://x/v1", "m", NULL, "expected https://host/v1" },
        { "https://u:p@x/v1", "m", NULL, "(not shown)" },
        { "https://x/v1", NULL, NULL, "generator.model" },
        { "https://x/v1", "m", "HONE_NO_SUCH_KEY", "no variable HONE_NO_SUCH_KEY" },
        { "http://example.org/v1", "m", "HONE_TEST_KEY", "in the clear" },
    };
    CHECK(setenv("HONE_TEST_KEY", "sk-very-secret", 1) == 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const generator_options o = { .endpoint = cases[i].endpoint,
                                      .model = cases[i].named,
                                      .key = cases[i].key,
                                      .concurrency = 1,
                                      .batch = 1,
                                      .timeout = 1,
                                      .answer_kb = 1 };
        hone_error err = { 0 };
        generator *g = NULL;
        CHECK(generator_open(&g, &o, NULL, &greedy, cache, &err) == HONE_ERR_ARG);
        CHECK_HAS(err.message, cases[i].message);
        CHECK(!strstr(err.message, "secret") && !g);
    }
}

static pid_t start_service(const char *program)
{
    int fds[2];
    char port[16] = "";
    if (pipe(fds) != 0)
        return -1;
    const pid_t pid = fork();
    if (pid == 0) {
        char *script = path_join(dir, "script");
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)execl(program, program, script, (char *)NULL);
        _exit(127);
    }
    (void)close(fds[1]);
    if (read(fds[0], port, sizeof port - 1) <= 0)
        return -1;
    (void)close(fds[0]);
    (void)snprintf(address, sizeof address, "http://127.0.0.1:%d/v1/", atoi(port));
    return pid;
}

int main(int argc, char **argv)
{
    static const char script[] = "what is blue?\tthe sky\\nis\n";
    hone_error err = { 0 };
    char name[] = "/tmp/hone-endpoint-XXXXXX";
    if (argc != 2)
        return 1;
#ifndef HONE_HAVE_CURL
    return 77;
#endif
    (void)unsetenv("http_proxy");
    dir = mem_strdup(mkdtemp(name));
    cache = path_join(dir, "answers");
    char *path = path_join(dir, "script");
    CHECK_OK(file_write(path, script, strlen(script), &err), err);
    free(path);
    const pid_t service = start_service(argv[1]);
    if (service <= 0)
        return 1;
    RUN(test_endpoint__answers_are_asked_for_once);
    RUN(test_endpoint__many_at_once);
    RUN(test_endpoint__failures_are_tried_again_or_named);
    RUN(test_endpoint__a_refusal_of_all_ends_all);
    RUN(test_endpoint__time_is_limited);
    RUN(test_endpoint__the_key_is_never_shown);
    RUN(test_endpoint__mistakes_are_named);
    (void)kill(service, SIGKILL);
    (void)waitpid(service, NULL, 0);
    CHECK_OK(dir_remove(dir, &err), err);
    free(dir);
    free(cache);
    return TEST_EXIT();
}
