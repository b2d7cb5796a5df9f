/*
 * check_reader.c - what every reader promises, run against a shared object:
 *
 *     check_reader PLUGIN.so [--name NAME] [--seed N] [--option KEY=VALUE]... [FILE]...
 *
 * The documents are made here, awkward for any format; FILEs of the reader's own format join
 * them and are also cut short and changed. A document may be refused, with a message; what is
 * read has to be blocks as hone/reader.h describes them. The bytes end at a page that cannot be
 * touched, and cannot be written.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/contract/text_rig.h"

typedef struct sample_document {
    char name[80];
    const char *p; /* read-only, the page after it is out of bounds */
    size_t n, mapped;
} sample_document;

#define MAX_DOCUMENTS 400
static sample_document documents[MAX_DOCUMENTS];
static size_t n_documents;

static void add_document(const char *name, const char *p, size_t n)
{
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    const size_t whole = (n + page_bytes - 1) / page_bytes * page_bytes;
    sample_document *d = &documents[n_documents];
    char *map;
    if (n_documents == MAX_DOCUMENTS)
        return;
    map =
        mmap(NULL, whole + page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        abort();
    memcpy(map + whole - n, p, n);
    if (mprotect(map, whole, PROT_READ) || mprotect(map + whole, page_bytes, PROT_NONE))
        abort();
    (void)snprintf(d->name, sizeof d->name, "%s", name);
    d->p = map + whole - n;
    d->n = n;
    d->mapped = whole + page_bytes;
    n_documents++;
}

static void repeat(const char *name, const char *what, size_t times, const char *tail)
{
    text t = { 0 };
    for (size_t i = 0; i < times; i++)
        text_puts(&t, what);
    text_puts(&t, tail);
    add_document(name, t.p, t.n);
    text_finish(&t);
}

/* Awkward for any format; extension: the reader's own, so that what depends on it is on. */
static void make_documents(text_rig *g, const char *extension)
{
    char name[64], all[512];
    (void)snprintf(name, sizeof name, "doc%s", extension);
    add_document(name, "", 0);
    add_document(name, "x", 1);
    add_document(name, "\0", 1);
    add_document(name, "\n", 1);
    add_document(name, "\xef\xbb\xbf", 3);
    add_document(name, "\xff\xfe", 2);
    add_document(name, "\xff\xfe\x41", 3);
    for (int i = 0; i < 512; i++)
        all[i] = (char)i;
    add_document(name, all, sizeof all);
    repeat(name, "one line\r\n", 3, "last");
    repeat(name, "word ", 200000, "");
    repeat(name, "w", 1000000, "");
    repeat(name, "line\n\n", 50000, "");
    repeat(name, "caf\xe9 ", 10, "");
    repeat(name, "e\xcc\x81\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb ", 100, "\xf0\x9f");
    static const char *const nested[] = { "<div>", "<b><i>", ">", "[", "*", "- ", "  ", "`",
                                          "{",     "(",      "#", "&", "|", "_",  "\\", "!" };
    for (size_t i = 0; i < sizeof nested / sizeof nested[0]; i++)
        repeat(name, nested[i], 3000, " text\n");
    for (int k = 0; k < 40; k++) { /* random bytes, then random letters and marks */
        static const char marks[] = "abc  \n\n#*->|`<>&;[]()=-\"'\t\r{}:/!";
        char noise[700];
        const uint64_t n = rng_u64(g->seed, 1, (uint64_t)k) % sizeof noise;
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t r = rng_u64(g->seed, 2 + (uint64_t)k, i);
            noise[i] = k < 10 ? (char)r : marks[r % (sizeof marks - 1)];
        }
        add_document(name, noise, n);
    }
}

static void add_files(text_rig *g)
{
    for (size_t i = 0; i < g->n_files; i++) {
        hone_error err = { 0 };
        char *p = NULL;
        size_t n;
        if (file_read(&p, &n, g->files[i], 1u << 28, &err) != HONE_OK) {
            text_rig_fail(g, "%s", err.message);
            continue;
        }
        add_document(g->files[i], p, n);
        for (uint64_t k = 0; k < 8 && n; k++) {
            add_document(g->files[i], p, rng_u64(g->seed, 100 + i, k) % n);
            const size_t at = rng_u64(g->seed, 200 + i, k) % n;
            const char kept = p[at];
            p[at] = (char)rng_u64(g->seed, 300 + i, k);
            add_document(g->files[i], p, n);
            p[at] = kept;
        }
        free(p);
    }
}

/* Read document i into out; false: refused (well). */
static bool read_one(text_rig *g, const instance *x, size_t i, text *out)
{
    const sample_document *d = &documents[i];
    hone_error err = { 0 };
    page now = { 0 };
    const int64_t before = g->host.out;
    const hone_status st = page_read(&now, x, d->name, d->p, d->n, &err);
    if (st != HONE_OK)
        text_rig_failed_well(g, d->name, st, &err);
    if (st == HONE_ERR_CANCELLED || st == HONE_ERR_NOMEM || st == HONE_ERR_IO)
        text_rig_fail(g,
                      "%s (document %zu): refused with status %d, but nobody cancelled, memory is "
                      "there and no file is open: %s",
                      d->name, i, st, err.message);
    if (now.broken)
        text_rig_fail(g, "%s (document %zu, %zu bytes): %s", d->name, i, d->n, now.broken);
    if (g->host.out > before + 4)
        text_rig_fail(g, "%s (document %zu): %lld allocations were kept", d->name, i,
                      (long long)(g->host.out - before));
    page_dump(&now, out);
    if (st != HONE_OK)
        text_printf(out, "status %d %s\n", st, err.message);
    page_finish(&now);
    return st == HONE_OK;
}

/* Every document, forwards and then backwards: the same blocks, whatever came before. */
static void reads_the_same_again(text_rig *g)
{
    text *first = mem_new(n_documents, sizeof *first);
    instance x = { 0 };
    hone_error err = { 0 };
    size_t n_read = 0;
    if (!first || text_rig_create(g, &x, &err) != HONE_OK) {
        text_rig_fail(g, "create: %s", err.message);
        free(first);
        return;
    }
    for (size_t i = 0; i < n_documents; i++)
        n_read += read_one(g, &x, i, &first[i]);
    for (size_t i = n_documents; i-- > 0;) {
        text again = { 0 };
        (void)read_one(g, &x, i, &again);
        if (g->component->desc->flags & HONE_COMPONENT_DETERMINISTIC &&
            (again.n != first[i].n || (again.n && memcmp(again.p, first[i].p, again.n) != 0)))
            text_rig_fail(g, "%s (document %zu): read twice, two results", documents[i].name, i);
        text_finish(&again);
        text_finish(&first[i]);
    }
    free(first);
    text_rig_destroy(&x);
    if (g->host.out)
        text_rig_fail(g, "after destroy(): %lld allocations were not given back",
                      (long long)g->host.out);
    printf("     %zu documents, %zu read, the others refused with a message\n", n_documents,
           n_read);
}

/* A failing add() ends the reading with its status and its message. */
static void hands_on_what_the_sink_says(text_rig *g)
{
    instance x = { 0 };
    hone_error err = { 0 };
    if (text_rig_create(g, &x, &err) != HONE_OK)
        return;
    for (size_t i = 0; i < n_documents; i += 1 + n_documents / 40)
        for (int64_t at = 1; at <= 3; at++) {
            page now = { .fail_at = at };
            memset(&err, 0, sizeof err);
            const hone_status st =
                page_read(&now, &x, documents[i].name, documents[i].p, documents[i].n, &err);
            if (now.fail_at == 0 &&
                (st != HONE_ERR_IO || strcmp(err.message, "the sink fails") != 0))
                text_rig_fail(g, "%s (document %zu): add() failed, read() said %d \"%s\"",
                              documents[i].name, i, st, err.message);
            page_finish(&now);
        }
    text_rig_destroy(&x);
}

/* Every allocation fails in turn. */
static void lives_without_memory(text_rig *g)
{
    for (size_t i = 0; i < n_documents; i += 1 + n_documents / 12) {
        hone_status st = HONE_ERR_NOMEM;
        for (int64_t at = 1; st != HONE_OK && at < 120; at++) {
            instance x = { 0 };
            page now = { 0 };
            hone_error err = { 0 };
            g->host.n = 0;
            g->host.fail_at = at;
            st = text_rig_create(g, &x, &err);
            if (st == HONE_OK)
                st = page_read(&now, &x, documents[i].name, documents[i].p, documents[i].n, &err);
            g->host.fail_at = 0;
            if (st != HONE_OK)
                text_rig_failed_well(g, "without memory", st, &err);
            page_finish(&now);
            text_rig_destroy(&x);
            if (g->host.out) {
                text_rig_fail(g, "allocation %lld fails: %lld others are not given back",
                              (long long)at, (long long)g->host.out);
                return;
            }
            if (g->host.n < at)
                break;
        }
    }
}

int main(int argc, char **argv)
{
    static const struct {
        void (*run)(text_rig *g);
        const char *name;
    } checks[] = {
        { reads_the_same_again, "blocks as promised, the same again" },
        { hands_on_what_the_sink_says, "a failing sink ends the reading" },
        { lives_without_memory, "no memory is an error, not a crash" },
    };
    static text_rig g;
    hone_error err = { 0 };
    hone_status st = text_rig_open(&g, HONE_KIND_READER, argc, argv, &err);
    if (st != HONE_OK)
        text_rig_fail(&g, "%s", err.message);
    if (st == HONE_OK) {
        const char *const *extensions = g.component->desc->extensions;
        make_documents(&g, extensions && extensions[0] ? extensions[0] : ".txt");
        add_files(&g);
        ((const hone_reader *)g.component->ops)->destroy(NULL);
        for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
            const int before = g.failures;
            checks[i].run(&g);
            printf("%s %s\n", g.failures == before ? "ok  " : "FAIL", checks[i].name);
            fflush(stdout);
        }
    }
    for (size_t i = 0; i < n_documents; i++) {
        const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
        const char *end = documents[i].p + documents[i].n + page_bytes;
        (void)munmap((void *)(uintptr_t)(end - documents[i].mapped), documents[i].mapped);
    }
    const int failures = g.failures;
    text_rig_close(&g);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
