/*
 * cmd_doctor.c - hone doctor: what is here, what is missing, how to get it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/app/app.h"

static int n_problems;

static const char ok[] = "ok", missing[] = "MISSING", unused[] = "not used";

/* state: one of the three above; what is missing counts as a problem. */
HONE_PRINTF(2, 3) static void line(const char *state, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("  %-9s", state);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    n_problems += state == missing;
}

/* What a complete installation has; `get` is what to do when it is not there. */
static const struct {
    const char *kind, *name, *use, *get;
} expected[] = {
    { HONE_KIND_DEVICE, "cpu", "compute on this machine",
      "build with oneDNN (Debian: libdnnl-dev)" },
    { HONE_KIND_WEIGHTS, "fp32", "weights in float32", "reinstall hone: it has no dependency" },
    { HONE_KIND_OPTIMIZER, "adamw", "the default optimizer",
      "reinstall hone: it has no dependency" },
    { HONE_KIND_READER, "text", "plain text", "reinstall hone: it has no dependency" },
    { HONE_KIND_READER, "markdown", "Markdown", "build with md4c (Debian: libmd4c-dev)" },
    { HONE_KIND_READER, "html", "HTML", "build with libxml2 (Debian: libxml2-dev)" },
    { HONE_KIND_RECIPE, "raw", "chunks of text", "reinstall hone: it has no dependency" },
    { HONE_KIND_RECIPE, "headings", "heading and section pairs",
      "reinstall hone: it has no dependency" },
};

static void check_machine(void)
{
    struct utsname u;
    text t = { 0 };
    const long pages = sysconf(_SC_AVPHYS_PAGES), all = sysconf(_SC_PHYS_PAGES);
    puts("machine");
    if (!uname(&u))
        line(ok, "%s %s, %d cores for hone", u.sysname, u.machine, cpu_count());
    print_bytes(&t, (double)pages * (double)sysconf(_SC_PAGESIZE));
    text_puts(&t, " free of ");
    print_bytes(&t, (double)all * (double)sysconf(_SC_PAGESIZE));
    line(ok, "memory: %s", t.p ? t.p : "?");
    text_finish(&t);
}

static void check_plugins(registry *r)
{
    puts("plugins");
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        component_row found;
        hone_error err = { 0 };
        if (registry_find(&found, r, expected[i].kind, expected[i].name, &err))
            line(missing, "%s %s (%s): %s", expected[i].kind, expected[i].name, expected[i].use,
                 expected[i].get);
        else if (component_probe(r, found, &err))
            line(missing, "%s %s (%s): %s", expected[i].kind, expected[i].name, expected[i].use,
                 err.message);
        else
            line(ok, "%s %s  (%s)", expected[i].kind, expected[i].name, expected[i].use);
    }
    backend *b = NULL; /* the kernels this processor gets: what decides about speed */
    if (backend_open(&b, r, "cpu/fp32", NULL, NULL, NULL) == HONE_OK)
        line(ok, "cpu: %s, %u threads", backend_info(b)->name, (unsigned)backend_info(b)->threads);
    backend_close(b);
    for (size_t i = 0; i < registry_n_problems(r); i++)
        line(registry_problem(r, i)->hidden ? unused : missing, "%s: %s",
             registry_problem(r, i)->path, registry_problem(r, i)->reason);
}

static void check_run(const settings *s, session *z)
{
    hone_error err = { 0 };
    struct statvfs disk;
    printf("run (%s)\n",
           s->file ? s->file : "no hone.json here; run hone where one is, or --config FILE");
    if (!s->top.model) {
        line(s->file ? missing : ok,
             "model: none set; \"model\" names a Hugging Face model folder");
    } else {
        llama_config c = { 0 };
        if (llama_config_read(&c, s->top.model, &err))
            line(missing, "model: %s", err.message);
        else
            line(ok, "model: %s, %s, %.1f million parameters", s->top.model, c.family,
                 (double)llama_param_count(&c) / 1e6);
        llama_config_finish(&c);
        if (tokenizer_open(&z->tok, s->top.model, &err))
            line(missing, "tokenizer: %s", err.message);
        else
            line(ok, "tokenizer: %lld entries", (long long)tokenizer_size(z->tok));
        if (z->tok && chat_template_open(&z->chat, s->top.template_, s->top.model, z->tok, &err))
            line(missing, "chat template: %s", err.message);
        else if (z->tok)
            line(ok, "chat template: %s", chat_template_name(z->chat));
    }
    for (uint64_t i = 0; i < s->prepare.sources.n; i++)
        line(path_exists(s->prepare.sources.items[i]) ? ok : missing, "documents: %s",
             s->prepare.sources.items[i]);
    if (s->file)
        line(ok, "dataset: %s%s", s->data_path,
             path_exists(s->data_path) ? "" : " is not there yet; hone prepare writes it");
    if (!statvfs(".", &disk)) {
        text t = { 0 };
        print_bytes(&t, (double)disk.f_bavail * (double)disk.f_frsize);
        line(ok, "disk: %s free here", t.p ? t.p : "?");
        text_finish(&t);
    }
}

static hone_status run(settings *s, const arguments *a, hone_error *err)
{
    session z = { 0 };
    (void)a;
    printf("hone %s, plugin ABI %d.%d\n", HONE_VERSION, HONE_ABI_MAJOR, HONE_ABI_MINOR);
    check_machine();
    hone_status st = session_plugins(&z, s, err);
    if (!st) {
        check_plugins(z.plugins);
        check_run(s, &z);
        if (n_problems)
            st = hone_fail(err, HONE_ERR_NOTFOUND, "%d thing%s missing, see above", n_problems,
                           n_problems == 1 ? "" : "s");
        else
            puts("everything is here");
    }
    session_close(&z);
    return st;
}

const command cmd_doctor = {
    .name = "doctor",
    .operands = "",
    .summary = "what is here, what is missing, how to get it",
    .sections = "prepare data",
    .run = run,
};
