/*
 * check_recipe.c - what every recipe promises, run against a shared object:
 *
 *     check_recipe PLUGIN.so [--name NAME] [--seed N] [--option KEY=VALUE]...
 *
 * Documents are made here: none, one and thousands of blocks, every kind, odd text. Samples have to
 * be as hone/recipe.h describes them, the same whatever came before, and an empty document,
 * a failing sink or a failing allocation must not break anything.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "tests/contract/text_rig.h"

#define N_RANDOM 60
#define MAX_DOCUMENTS 80

static page documents[MAX_DOCUMENTS];
static size_t n_documents;

static void add_block(page *g, uint32_t kind, uint32_t level, const char *p, size_t n,
                      const char *lang)
{
    if (!mem_grow(&g->blocks, &g->cap_blocks, g->n_blocks + 1, sizeof *g->blocks))
        abort();
    hone_block *b = &g->blocks[g->n_blocks++];
    *b = (hone_block){ .kind = kind, .level = level };
    b->text = (hone_str){ mem_strndup(p, n), n };
    b->lang = (hone_str){ mem_strdup(lang), strlen(lang) };
    b->ordinal = kind == HONE_BLOCK_LIST && g->n_blocks % 2 ? g->n_blocks : 0;
    b->src_off = g->n_src;
    b->src_len = n;
    g->n_src += n + 2;
}

static void add_text(page *g, uint32_t kind, uint32_t level, const char *s)
{
    add_block(g, kind, level, s, strlen(s), "");
}

/* Blocks of any kind out of pieces that are hard to cut. */
static void make_random(page *g, uint64_t seed, uint64_t stream)
{
    static const char *const pieces[] = { "word",
                                          " ",
                                          " ",
                                          "A sentence. ",
                                          "e.g. this ",
                                          "\n",
                                          "\n\n",
                                          "\xc3\xa9",
                                          "e\xcc\x81",
                                          "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb",
                                          "\xe4\xb8\xad\xe6\x96\x87\xe3\x80\x82",
                                          "averyveryverylongwordwithoutanyplacetocutit",
                                          "```",
                                          "~~~~",
                                          "\t",
                                          "|",
                                          "#",
                                          "- ",
                                          "%s",
                                          "%",
                                          "\xc2\xa0",
                                          "<|endoftext|>",
                                          "\"",
                                          "\\" };
    uint64_t k = 0;
    const uint64_t n_blocks = rng_u64(seed, stream, k++) % 40;
    for (uint64_t i = 0; i < n_blocks; i++) {
        const uint32_t kind = 1 + (uint32_t)(rng_u64(seed, stream, k++) % HONE_BLOCK_QUOTE);
        const uint64_t size = rng_u64(seed, stream, k++) % (i % 7 == 6 ? 600 : 40);
        uint32_t level = 1 + (uint32_t)(rng_u64(seed, stream, k++) % 6);
        text t = { 0 };
        for (uint64_t w = 0; w <= size; w++) {
            const uint64_t r = rng_u64(seed, stream, k++);
            text_puts(&t, pieces[r % (sizeof pieces / sizeof pieces[0])]);
        }
        level = kind == HONE_BLOCK_HEADING || kind == HONE_BLOCK_LIST ? level : 0;
        if (kind == HONE_BLOCK_HEADING || kind == HONE_BLOCK_LIST)
            for (size_t c = 0; c < t.n; c++)
                t.p[c] = t.p[c] == '\n' ? ' ' : t.p[c];
        add_block(g, kind, level, t.p, t.n, kind == HONE_BLOCK_CODE ? "c" : "");
        text_finish(&t);
    }
}

static void make_documents(text_rig *g)
{
    page *d = &documents[n_documents++]; /* no block at all */
    (void)d;
    add_text(&documents[n_documents++], HONE_BLOCK_TEXT, 0, "One paragraph.");
    add_text(&documents[n_documents++], HONE_BLOCK_HEADING, 1, "A heading and nothing else");
    add_text(&documents[n_documents++], HONE_BLOCK_TEXT, 0, " ");
    d = &documents[n_documents++];
    add_text(d, HONE_BLOCK_CODE, 0, "```\nfences in code\n```");
    for (uint32_t i = 0; i < 3000; i++)
        add_text(d, i % 10 ? HONE_BLOCK_TEXT : HONE_BLOCK_HEADING, i % 10 ? 0 : 1 + i / 10 % 6,
                 "Some text that is there many times.");
    d = &documents[n_documents++];
    for (uint32_t level = 6; level; level--) /* levels upwards, and text before any heading */
        add_text(d, HONE_BLOCK_HEADING, level, "Heading");
    text t = { 0 };
    for (int i = 0; i < 100000; i++)
        text_puts(&t, "x");
    add_block(&documents[n_documents++], HONE_BLOCK_TEXT, 0, t.p, t.n, "");
    text_finish(&t);
    for (uint64_t i = 0; i < N_RANDOM; i++)
        make_random(&documents[n_documents++], g->seed, i);
    documents[3].title = mem_strdup("A title");
}

static void hold(text_rig *g, size_t i, const samples *s)
{
    const page *d = &documents[i];
    for (size_t k = 0; k < s->n; k++) {
        bool learned = false;
        for (size_t j = 0; j < s->p[k].n; j++) {
            const hone_segment *e = &s->p[k].segments[j];
            if (e->role > HONE_ROLE_SPECIAL)
                text_rig_fail(g, "document %zu: role %u", i, e->role);
            const bool raw = e->role == HONE_ROLE_RAW || e->role == HONE_ROLE_SPECIAL;
            const uint32_t first = s->p[k].segments[0].role;
            if (raw != (first == HONE_ROLE_RAW || first == HONE_ROLE_SPECIAL))
                text_rig_fail(g, "document %zu: raw text beside other segments", i);
            if (!(e->loss_weight >= 0 && e->loss_weight <= 1))
                text_rig_fail(g, "document %zu: loss_weight %g", i, (double)e->loss_weight);
            if (e->src_off > d->n_src || e->src_len > d->n_src - e->src_off)
                text_rig_fail(g, "document %zu: the span %llu+%llu is outside the document", i,
                              (unsigned long long)e->src_off, (unsigned long long)e->src_len);
            learned = learned || (e->loss_weight > 0 && e->text.n > 0);
        }
        if (!learned)
            text_rig_fail(g, "document %zu: a sample from which nothing is learned", i);
    }
    for (size_t k = 0; k < s->n_lost; k++)
        if (!s->lost[k].why || !s->lost[k].why[0] || strchr(s->lost[k].why, '\n'))
            text_rig_fail(g, "document %zu: lost() without a phrase", i);
    if (s->broken)
        text_rig_fail(g, "document %zu: %s", i, s->broken);
}

static void make_one(text_rig *g, const instance *x, size_t i, text *out)
{
    samples s = { 0 };
    hone_error err = { 0 };
    const hone_status st = samples_make(&s, x, &documents[i], "doc.md", &err);
    if (st != HONE_OK)
        text_rig_failed_well(g, "process", st, &err);
    if (st != HONE_OK && st != HONE_ERR_SKIP)
        text_rig_fail(g, "document %zu: %s", i, err.message);
    hold(g, i, &s);
    samples_dump(&s, out);
    samples_finish(&s);
}

static hone_status end_all(const instance *x, text *out, hone_error *err)
{
    const hone_recipe *ops = x->desc->ops;
    samples s = { 0 };
    hone_status st = HONE_OK;
    if (HONE_HAS_CALL(ops, finish)) {
        st = samples_finish_recipe(&s, x, err);
        samples_dump(&s, out);
    }
    samples_finish(&s);
    return st;
}

static void makes_the_same_again(text_rig *g)
{
    static text first[MAX_DOCUMENTS];
    instance x = { 0 };
    hone_error err = { 0 };
    text last = { 0 };
    size_t n_lines = 0;
    if (text_rig_create(g, &x, &err) != HONE_OK) {
        text_rig_fail(g, "create: %s", err.message);
        return;
    }
    for (size_t i = 0; i < n_documents; i++)
        make_one(g, &x, i, &first[i]);
    for (size_t i = n_documents; i-- > 0;) {
        text again = { 0 };
        make_one(g, &x, i, &again);
        if (again.n != first[i].n || (again.n && memcmp(again.p, first[i].p, again.n) != 0))
            text_rig_fail(g, "document %zu: processed twice, two results", i);
        for (size_t c = 0; c < again.n; c++)
            n_lines += again.p[c] == '\n';
        text_finish(&again);
        text_finish(&first[i]);
    }
    if (end_all(&x, &last, &err) != HONE_OK)
        text_rig_failed_well(g, "finish", err.code, &err);
    text_finish(&last);
    text_rig_destroy(&x);
    if (g->host.out)
        text_rig_fail(g, "after destroy(): %lld allocations were not given back",
                      (long long)g->host.out);
    printf("     %zu documents, %zu segments and losses\n", n_documents, n_lines);
}

static void hands_on_what_the_sink_says(text_rig *g)
{
    instance x = { 0 };
    hone_error err = { 0 };
    if (text_rig_create(g, &x, &err) != HONE_OK)
        return;
    for (size_t i = 0; i < n_documents; i++)
        for (int64_t at = 1; at <= 3; at++) {
            samples s = { .fail_at = at };
            memset(&err, 0, sizeof err);
            const hone_status st = samples_make(&s, &x, &documents[i], "doc.md", &err);
            if (s.fail_at == 0 && (st != HONE_ERR_IO || strcmp(err.message, "the sink fails") != 0))
                text_rig_fail(g, "document %zu: add() failed, process() said %d \"%s\"", i, st,
                              err.message);
            samples_finish(&s);
        }
    text_rig_destroy(&x);
}

static void lives_without_memory(text_rig *g)
{
    for (size_t i = 0; i < n_documents; i += 5) {
        for (int64_t at = 1; at < 80; at++) {
            instance x = { 0 };
            samples s = { 0 };
            hone_error err = { 0 };
            g->host.n = 0;
            g->host.fail_at = at;
            hone_status st = text_rig_create(g, &x, &err);
            if (st == HONE_OK)
                st = samples_make(&s, &x, &documents[i], "doc.md", &err);
            g->host.fail_at = 0;
            if (st != HONE_OK)
                text_rig_failed_well(g, "without memory", st, &err);
            samples_finish(&s);
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

/* No model is configured: it works, or says what is missing. */
static void lives_without_a_tokenizer(text_rig *g)
{
    instance x = { 0 };
    samples s = { 0 };
    hone_error err = { 0 };
    g->host.has_tokenizer = false;
    hone_status st = text_rig_create(g, &x, &err);
    if (st == HONE_OK)
        st = samples_make(&s, &x, &documents[1], "doc.md", &err);
    if (st != HONE_OK)
        text_rig_failed_well(g, "without a tokenizer", st, &err);
    samples_finish(&s);
    text_rig_destroy(&x);
    g->host.has_tokenizer = true;
}

int main(int argc, char **argv)
{
    static const struct {
        void (*run)(text_rig *g);
        const char *name;
    } checks[] = {
        { makes_the_same_again, "samples as promised, the same again" },
        { hands_on_what_the_sink_says, "a failing sink ends the document" },
        { lives_without_memory, "no memory is an error, not a crash" },
        { lives_without_a_tokenizer, "without a tokenizer it works or says so" },
    };
    static text_rig g;
    hone_error err = { 0 };
    hone_status st = text_rig_open(&g, HONE_KIND_RECIPE, argc, argv, &err);
    if (st != HONE_OK)
        text_rig_fail(&g, "%s", err.message);
    if (st == HONE_OK) {
        make_documents(&g);
        ((const hone_recipe *)g.component->ops)->destroy(NULL);
        for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
            const int before = g.failures;
            checks[i].run(&g);
            printf("%s %s\n", g.failures == before ? "ok  " : "FAIL", checks[i].name);
            fflush(stdout);
        }
    }
    for (size_t i = 0; i < n_documents; i++)
        page_finish(&documents[i]);
    const int failures = g.failures;
    text_rig_close(&g);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
