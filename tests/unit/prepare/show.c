/*
 * show.c - a look at what a reader makes of files, and a recipe of that:
 *     show html page.html          blocks
 *     show html+raw page.html      samples; options of the recipe in $OPTIONS as JSON
 *
 * For eyes, not a test.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "harness.h"

static int show(const test_host *host, const char *reader, const char *recipe, const char *path)
{
    instance r = { 0 }, c = { 0 };
    page g = { 0 };
    samples s = { 0 };
    text out = { 0 };
    hone_error err = { 0 };
    char *bytes = NULL;
    size_t n;
    hone_status st = file_read(&bytes, &n, path, 1 << 30, &err);
    if (st == HONE_OK)
        st = instance_open(&r, &host->host, reader, HONE_KIND_READER, NULL, &err);
    if (st == HONE_OK)
        st = page_read(&g, &r, path, bytes, n, &err);
    if (st == HONE_OK && recipe)
        st = instance_open(&c, &host->host, recipe, HONE_KIND_RECIPE, getenv("OPTIONS"), &err);
    if (st == HONE_OK && recipe)
        st = samples_make(&s, &c, &g, path, &err);
    if (recipe)
        samples_dump(&s, &out);
    else
        page_dump(&g, &out);
    printf("%s%s%s%s\n", out.p ? out.p : "", st ? "error " : "", st ? err.message : "",
           st ? "\n" : "");
    text_finish(&out);
    samples_finish(&s);
    page_finish(&g);
    instance_close(&c);
    instance_close(&r);
    free(bytes);
    return st != HONE_OK;
}

int main(int argc, char **argv)
{
    test_host host;
    int bad = 0;
    if (argc < 3)
        return fprintf(stderr, "usage: show READER[+RECIPE] FILE...\n"), 2;
    test_host_init(&host);
    host.has_tokenizer = true;
    char *reader = argv[1], *plus = strchr(reader, '+');
    if (plus)
        *plus++ = '\0';
    for (int i = 2; i < argc; i++) {
        printf("=== %s\n", argv[i]);
        bad |= show(&host, reader, plus, argv[i]);
    }
    return bad;
}
