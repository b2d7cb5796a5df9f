/*
 * fuzz_template.c - any bytes as a model's Jinja template, and as a user's own file.
 * What renders must label whole ranges of its text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz.h"

#include "core/data/jinja.h"
#include "core/data/template.h"

#include <stdlib.h>

static const message talk[] = {
    { ROLE_SYSTEM, { " Be good.\n", 10 }, false },
    { ROLE_USER, { "Hi \xc3\xa9", 5 }, false },
    { ROLE_ASSISTANT, { "<think>\nso\n</think>\n\nHello", 25 }, false },
    { ROLE_USER, { "", 0 }, false },
    { ROLE_ASSISTANT, { NULL, 0 }, true },
};

static void run_jinja(const char *p, size_t n)
{
    jinja *j = NULL;
    hone_error err = { 0 };
    if (jinja_parse(&j, p, n, "f", &err)) {
        if (!err.code || !*err.message)
            abort();
        return;
    }
    for (size_t from = 0; from < 2; from++) {
        const jinja_input in = { talk + from,           5 - from, from == 0, "<s>", "",
                                 from ? "1 May" : NULL, "2 May" };
        text out = { 0 };
        err = (hone_error){ 0 };
        if (jinja_render(j, &in, &out, &err) && (!err.code || out.n))
            abort();
        text_finish(&out);
    }
    jinja_free(j);
}

static void check_ranges(const rendered *r)
{
    size_t at = 0;
    for (size_t i = 0; i < r->n_spans; i++) {
        if (r->spans[i].start < at || r->spans[i].end <= r->spans[i].start ||
            r->spans[i].end > r->text.n)
            abort();
        at = r->spans[i].end;
    }
    at = 0;
    for (size_t i = 0; i < r->n_parts; i++) {
        if (r->parts[i].start != at || r->parts[i].end <= at)
            abort();
        at = r->parts[i].end;
    }
    if (at != r->text.n)
        abort();
}

static void run_own(const char *p, size_t n)
{
    const template_words words = { "<s>", "</s>", true, "2 May" };
    template_row row_of_file = { 0 };
    json_t *keep = NULL;
    hone_error err = { 0 };
    if (template_row_parse(&row_of_file, &keep, p, n, "f", &err))
        return;
    for (size_t k = 1; k <= 5; k++)
        for (size_t from = 0; from + k <= 5; from++) {
            rendered r = { 0 };
            if (!template_row_render(&row_of_file, &words, talk + from, k, k % 2, NULL, &r, &err))
                check_ranges(&r);
            rendered_finish(&r);
        }
    json_decref(keep);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    run_jinja((const char *)p, n);
    run_own((const char *)p, n);
    return 0;
}
