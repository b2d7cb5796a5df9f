/*
 * main.c - the command table, exit codes and signals; nothing else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/app/app.h"

const command *const commands[] = {
    &cmd_prepare,  &cmd_preview,    &cmd_plan,       &cmd_train,
    &cmd_ask,      &cmd_chat,       &cmd_exam,       &cmd_score,
    &cmd_tokenize, &cmd_detokenize, &cmd_vocabulary, &cmd_convert,
    &cmd_plugin,   &cmd_doctor,     &cmd_options,    NULL,
};

/* Exit codes, documented in the README: what a script can act on. */
static const struct {
    hone_status status;
    int code;
    const char *meaning;
} exits[] = {
    { HONE_OK, 0, "done" },
    { HONE_ERR_ARG, 2, "a setting, flag or name is wrong" },
    { HONE_ERR_NOTFOUND, 2, "what a setting names is not there" },
    { HONE_ERR_UNSUPPORTED, 2, "a setting, flag or name is wrong" },
    { HONE_ERR_FORMAT, 3, "a file is not what it claims to be" },
    { HONE_ERR_LIMIT, 3, "a file is not what it claims to be" },
    { HONE_ERR_NOMEM, 4, "not enough memory" },
    { HONE_ERR_DEVMEM, 4, "not enough memory" },
    { HONE_ERR_IO, 5, "the operating system refused (full disk, rights)" },
    { HONE_ERR_NUMERIC, 6, "the loss or a gradient is not a number" },
    { HONE_ERR_STATE, 7, "the folder is in use, or belongs to another run" },
    { HONE_ERR_ABI, 8, "a plugin was built for another hone" },
    { HONE_ERR_SKIP, 9, "done, but documents were left out; the report names them" },
    { HONE_ERR_CANCELLED, 130, "interrupted; what was done is saved" },
};

static int exit_code(hone_status status)
{
    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++)
        if (exits[i].status == status)
            return exits[i].code;
    return 1;
}

volatile int app_stop;

static void on_interrupt(int signal)
{
    static const char note[] = "\nhone: finishing this step; once more to stop at once\n";
    if (app_stop++)
        _exit(128 + signal);
    (void)!write(STDERR_FILENO, note, sizeof note - 1);
    host_cancel(true);
}

/* Handlers run on a stack of their own: oneDNN's products point the stack register into memory of
 * the heap, and a frame put below that would overwrite what lies in front of it. The system
 * hands signals of the process to this thread. A stack that is there (a sanitizer's) is kept. */
static void catch_interrupts(void)
{
    static char stack[1 << 16]; /* a frame with AVX-512 and AMX registers takes 11 KB */
    const stack_t own = { .ss_sp = stack, .ss_size = sizeof stack };
    struct sigaction interrupt = { .sa_handler = on_interrupt, .sa_flags = SA_ONSTACK };
    stack_t now;
    if (sigaltstack(NULL, &now) == 0 && (now.ss_flags & SS_DISABLE))
        (void)sigaltstack(&own, NULL);
    (void)sigaction(SIGINT, &interrupt, NULL);
    (void)sigaction(SIGTERM, &interrupt, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file beyond the user's limit: write() says so */
}

static void usage(FILE *to)
{
    fprintf(to, "hone %s - teaches a language model what is in your documents\n\n", HONE_VERSION);
    for (const command *const *c = commands; *c; c++)
        fprintf(to, "  hone %-10s %-22s %s\n", (*c)->name, (*c)->operands, (*c)->summary);
    fputs("\n  hone COMMAND --help   flags and settings\n"
          "  hone --version\n\n"
          "Settings come from hone.json; each can be given by its name: --train.lr 2e-4\n",
          to);
}

static void command_help(const command *c)
{
    text t = { 0 };
    text_printf(&t, "hone %s %s\n  %s\n", c->name, c->operands, c->summary);
    if (c->flags) {
        text_puts(&t, "\nFlags\n");
        options_help(&t, c->flags, "");
    }
    if (!c->stands_alone) {
        text_puts(&t, "\nSettings (--config FILE, default ./hone.json)\n");
        settings_help(&t, c->sections);
    }
    if (t.p)
        fputs(t.p, stdout);
    text_finish(&t);
}

static const command *find_command(const char *name)
{
    const char *names[sizeof commands / sizeof commands[0]];
    size_t n = 0;
    for (const command *const *c = commands; *c; c++) {
        if (strcmp((*c)->name, name) == 0)
            return *c;
        names[n++] = (*c)->name;
    }
    const char *near = nearest_name(name, names, n);
    fprintf(stderr, "hone: unknown command '%s'%s%s%s; `hone --help` lists them\n", name,
            near ? ", did you mean '" : "", near ? near : "", near ? "'" : "");
    return NULL;
}

/* A device plugin may bring an OpenMP runtime, whose threads spin for about 15 ms at every barrier
 * before they sleep. On a machine that is shared, or cut by a quota, they would spin away the
 * time the others need. The user's own setting wins. */
static void calm_threads(void)
{
    if (!getenv("OMP_WAIT_POLICY"))
        (void)setenv("GOMP_SPINCOUNT", "2000", 0);
}

int main(int argc, char **argv)
{
    calm_threads();
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("hone %s, plugin ABI %d.%d\n", HONE_VERSION, HONE_ABI_MAJOR, HONE_ABI_MINOR);
        return 0;
    }
    const command *c = find_command(argv[1]);
    if (!c)
        return 2;
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            command_help(c);
            return 0;
        }

    catch_interrupts();
    settings s = { 0 };
    arguments a = { 0 };
    hone_error err = { 0 };
    hone_status st = settings_load(&s, c, argc - 2, argv + 2, &a, &err);
    if (!st)
        st = c->run(&s, &a, &err);
    log_set_status(NULL);
    if (!st && (fflush(stdout) || ferror(stdout)))
        st = hone_fail(&err, HONE_ERR_IO,
                       "standard output: cannot write (disk full or closed pipe)");
    if (st)
        fprintf(stderr, "hone %s: %s\n", c->name, err.message[0] ? err.message : "failed");
    settings_finish(&s);
    free(a.items);
    plugin_shutdown_all();
    return exit_code(st);
}
