/*
 * test_exec.c - recipes that are programs: what they give, and what it costs when they hang, flood, crash,
 * talk nonsense, or reach for what is not theirs: one document each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/prepare/exec.h"
#include "runs.h"

#include <sys/stat.h>

static const char *program; /* of the run */

/* What a program says to each document, by the document's first word. */
static const char script[] =
    "#!/bin/sh\n"
    "end() { echo '{\"end\":true}'; }\n"
    "while IFS= read -r line; do\n"
    "  case $line in\n"
    "  *'\"end\":true'*) end ;;\n"
    "  *'\"text\":\"p-hang'*) sleep 60NONCE ;;\n"
    "  *'\"text\":\"p-orphan'*) sleep 61NONCE & end; exit 0 ;;\n"
    "  *'\"text\":\"p-crash'*) kill -SEGV $$; exit 9 ;;\n"
    "  *'\"text\":\"p-once'*) end; exit 0 ;;\n"
    "  *'\"text\":\"p-mute'*) exit 5 ;;\n"
    "  *'\"text\":\"p-leave'*) echo 'a word of farewell' >&2; exit 4 ;;\n"
    "  *'\"text\":\"p-flood'*) while :; do echo '{\"text\":\"again and again\"}'; done ;;\n"
    "  *'\"text\":\"p-longline'*) head -c 30000000 /dev/zero ;;\n"
    "  *'\"text\":\"p-half'*) printf '{\"text\":\"ha'; exit 0 ;;\n"
    "  *'\"text\":\"p-latin'*) printf '{\"text\":\"\\351\"}\\n' ;;\n"
    "  *'\"text\":\"p-nonsense'*) echo 'what?' ;;\n"
    "  *'\"text\":\"p-number'*) echo '42' ;;\n"
    "  *'\"text\":\"p-role'*) echo '{\"segments\":[{\"role\":\"king\",\"text\":\"x\"}]}' ;;\n"
    "  *'\"text\":\"p-span'*) echo '{\"text\":\"x\",\"start\":3,\"end\":99999}' ;;\n"
    "  *'\"text\":\"p-after'*) printf '{\"end\":true}\\n{\"text\":\"more\"}\\n' ;;\n"
    "  *'\"text\":\"p-skip'*) echo '{\"skip\":\"not worth it\"}'; read -r line ;;\n"
    "  *'\"text\":\"p-lost'*) echo '{\"lost\":4,\"why\":\"its first word\"}' ;;\n"
    "  *'\"text\":\"p-secret'*) if cat SECRET >/dev/null 2>&1; then echo '{\"text\":\"it was "
    "read\"}'; "
    "else echo '{\"text\":\"it was refused\"}'; fi ;;\n"
    "  *'\"text\":\"p-write'*) if (echo x >WRITTEN) 2>/dev/null; then echo '{\"text\":\"it was "
    "written\"}'; "
    "else echo '{\"text\":\"writing was refused\"}'; fi ;;\n"
    "  '{\"kind\"'*) echo '{\"prompt\":\"What?\",\"completion\":\"It says so.\"}' ;;\n"
    "  esac\n"
    "done\n";

/* The script with names of files that exist for everybody but it. */
static void put_program(void)
{
    hone_error err = { 0 };
    text t = { 0 };
    char *secret = path_join(dir, "secret"), *written = path_join(dir, "written");
    for (const char *p = script; *p;) {
        if (strncmp(p, "SECRET", 6) == 0) {
            text_puts(&t, secret);
            p += 6;
        } else if (strncmp(p, "WRITTEN", 7) == 0) {
            text_puts(&t, written);
            p += 7;
        } else if (strncmp(p, "NONCE", 5) == 0) { /* .. and sleeps that are ours alone */
            text_printf(&t, ".%d", (int)getpid());
            p += 5;
        } else {
            text_putc(&t, *p++);
        }
    }
    char *path = path_join(dir, "recipe.sh");
    CHECK_OK(file_write(path, t.p, t.n, &err), err);
    CHECK(chmod(path, 0755) == 0);
    CHECK_OK(file_write(secret, "s", 1, &err), err);
    text_finish(&t);
    text_printf(&t, "exec:%s", path);
    program = t.p;
    free(path);
    free(secret);
    free(written);
}

static hone_status run_program(prepare_options *o, prepare_report *r, hone_error *err)
{
    static const char *const paths[] = {
        "/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/zero"
    };
    const char *sources[] = { docs }, *recipes[] = { program };
    const prepare_input in = { .plugins = plugins };
    o->sources = (hone_list){ sources, 1 };
    o->recipes = (hone_list){ recipes, 1 };
    o->exec_paths = (hone_list){ paths, 7 };
    o->out = out;
    o->max_mb = 16;
    o->near = NEAR_OFF;
    return prepare_run(o, &in, r, err);
}

static void test_exec__a_program_makes_samples(void)
{
    hone_error err = { 0 };
    prepare_report r;
    prepare_options o = { .timeout = 20, .jobs = 2 };
    begin();
    put_program();
    for (int i = 0; i < 20; i++) {
        char name[20], words[40];
        (void)snprintf(name, sizeof name, "%02d.bad", i);
        (void)snprintf(words, sizeof words, i == 7 ? "p-lost %d" : "words %d", i);
        put(name, words);
    }
    CHECK_OK(run_program(&o, &r, &err), err);
    CHECK_INT(r.samples, 1); /* all say the same */
    CHECK_INT(r.duplicates, 18);
    CHECK_INT(r.lost_bytes, 4);
    CHECK_INT(prepare_report_lost(&r), 0);
    char *p = samples();
    CHECK_HAS(p, "\"recipe\":\"exec:recipe.sh\",\"version\":\"");
    CHECK_HAS(p, "{\"file\":\"docs/00.bad\",\"start\":0,\"end\":7}");
    CHECK_HAS(p, "{\"role\":\"user\",\"text\":\"What?\",\"learn\":false");
    free(p);
    prepare_report_finish(&r);
    free((char *)(uintptr_t)program);
    end();
}

static void test_exec__a_bad_answer_costs_a_document(void)
{
    static const struct {
        const char *words, *message;
    } bad[] = {
        { "p-hang", "took longer than 4 s" },
        { "p-crash", "recipe.sh: the program " },
        { "p-leave", "with status 4: a word of farewell" },
        { "p-flood", "" }, /* the end of its answer, or of its time, whichever is first */
        { "p-longline", "a line of more than 16 MB" },
        { "p-half", "the program ended its process" },
        { "p-latin", "the program's line" },
        { "p-nonsense", "the program's line" },
        { "p-number", "the program's line is no object" },
        { "p-role", "expected raw, system, user or assistant" },
        { "p-span", "of a file of" },
        { "p-after", "goes on after the end" },
    };
    hone_error err = { 0 };
    prepare_report r;
    prepare_options o = { .timeout = 4, .jobs = 2 };
    begin();
    put_program();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "%02zu-%s.bad", 2 * i, bad[i].words);
        put(name, bad[i].words);
        (void)snprintf(name, sizeof name, "%02zu-fine.bad", 2 * i + 1);
        put(name, "fine");
    }
    put("90.bad", "p-skip this");
    put("99.bad", "p-orphan");
    put("92.bad", "p-secret");
    put("93.bad", "p-write");
    CHECK_OK(run_program(&o, &r, &err), err);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "%02zu-%s.bad", 2 * i, bad[i].words);
        CHECK_LINE("failed", name, bad[i].message);
    }
    CHECK_LINE("failed", "90.bad", "recipe.sh: not worth it");
    CHECK_INT(r.failed, sizeof bad / sizeof bad[0]);
    CHECK_INT(r.skipped, 1);
    char *p = samples();
    CHECK_HAS(p, "What?");
    CHECK_HAS(p, "it was refused");
    CHECK_HAS(p, "writing was refused");
    CHECK(!strstr(p, "again and again"));
    free(p);
    char look[64];
    (void)snprintf(look, sizeof look, "pgrep -x -f 'sleep 6[01].%d' >/dev/null 2>&1",
                   (int)getpid());
    CHECK(system(look) != 0);
    prepare_report_finish(&r);
    free((char *)(uintptr_t)program);
    end();
}

/* A program that ends between two documents, or before it says a word: only the document that ends a
 * fresh one has failed. */
static void test_exec__a_program_that_ends_is_started_again(void)
{
    hone_error err = { 0 };
    prepare_report r;
    prepare_options o = { .timeout = 20, .jobs = 1 };
    begin();
    put_program();
    for (int i = 0; i < 12; i++) {
        char name[20], words[40];
        (void)snprintf(name, sizeof name, "%02d.bad", i);
        (void)snprintf(words, sizeof words, "%s %d", i % 3 == 1 ? "p-once" : "fine", i);
        put(name, words);
    }
    put("50.bad", "p-mute");
    put("51.bad", "fine");
    CHECK_OK(run_program(&o, &r, &err), err);
    CHECK_INT(r.failed, 1);
    CHECK_LINE("failed", "50.bad", "with status 5");
    CHECK_INT(r.samples + r.duplicates, 9);
    prepare_report_finish(&r);
    free((char *)(uintptr_t)program);
    end();
}

static void test_exec__who_may_and_what_is_missing(void)
{
    hone_error err = { 0 };
    recipe_choice c = { .name = "exec:nowhere.py" };
    begin();
    CHECK(exec_is("exec:a") && !exec_is("headings"));
    if (!path_exists(HONE_POLICY_FILE)) {
        CHECK_INT(exec_choose(&c, dir, &err), HONE_ERR_NOTFOUND);
        CHECK_HAS(err.message, "/nowhere.py is no file");
        free(c.exec);
        c.exec = NULL;
        put("plain.txt", "x");
        c.name = "exec:docs/plain.txt";
        CHECK_INT(exec_choose(&c, dir, &err), HONE_ERR_ARG);
        CHECK_HAS(err.message, "chmod +x");
        free(c.exec);
    }
    static const struct {
        const char *bytes;
        hone_status st;
    } rules[] = {
        { "{}", HONE_OK },
        { "{\"exec_recipes\": true}", HONE_OK },
        { "{\"exec_recipes\": false}", HONE_ERR_STATE },
        { "{\"exec_recipes\": 1}", HONE_ERR_STATE },
        { "[]", HONE_ERR_STATE },
        { "{\"exec_recipes\": ", HONE_ERR_STATE },
    };
    char *path = path_join(docs, "policy.json");
    CHECK_OK(exec_allowed(path, &err), err); /* no file: nobody forbids it */
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        put("policy.json", rules[i].bytes);
        CHECK_INT(exec_allowed(path, &err), rules[i].st);
    }
    CHECK_HAS(err.message, "policy.json");
    free(path);
    end();
}

int main(int argc, char **argv)
{
    hone_error err = { 0 };
    if (argc != 2 || registry_open_file(&plugins, argv[1], &err))
        return 1;
    RUN(test_exec__a_program_makes_samples);
    RUN(test_exec__a_bad_answer_costs_a_document);
    RUN(test_exec__a_program_that_ends_is_started_again);
    RUN(test_exec__who_may_and_what_is_missing);
    registry_close(plugins);
    return TEST_EXIT();
}
