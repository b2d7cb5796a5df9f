/*
 * test_rake.c - phrases, scores and order of plugins/recipes/rake.c against rake-nltk's, to the bit.
 *
 * tests/golden/rake/cases.json is made by tools/golden/rake.py.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <unistd.h>

#include "core/base/base.h"
#include "plugins/recipes/rake.h"
#include "plugins/recipes/stopwords.h"
#include "test.h"
#include "unit/prepare/harness.h"

static test_host host;
static json_t *cases;

/* Index of a word in "a|b|c". */
static size_t choice(const char *choices, const char *word)
{
    size_t index = 0;
    const char *at = strstr(choices, word);
    for (const char *p = choices; at && p < at; p++)
        index += *p == '|';
    return index;
}

static void add_stops(rake *r, const char *list)
{
    hone_error err = { 0 };
    for (const char *p = list; *p;) {
        const size_t n = strcspn(p, " ");
        CHECK_OK(rake_stop(r, (hone_str){ p, n }, &err), err);
        p += n + (p[n] == ' ');
    }
}

static int compare(const rake *r, const json_t *phrases)
{
    size_t i;
    json_t *want;
    int bad = r->n_phrases != json_array_size(phrases);
    json_array_foreach(phrases, i, want)
    {
        if (bad || i >= r->n_phrases)
            break;
        const json_t *words = json_array_get(want, 1);
        const rake_phrase *p = &r->phrases[i];
        bad = p->score != json_number_value(json_array_get(want, 0)) ||
              p->n != json_string_length(words) ||
              memcmp(p->text, json_string_value(words), p->n) != 0;
        if (bad)
            fprintf(stderr, "phrase %zu: %.*s %.17g, expected %s %.17g\n", i, (int)p->n, p->text,
                    p->score, json_string_value(words), json_number_value(json_array_get(want, 0)));
    }
    return bad;
}

static void test_rake__phrases_and_scores_are_those_of_rake_nltk(void)
{
    size_t i, k;
    json_t *c, *sentence;
    hone_error err = { 0 };
    json_array_foreach(cases, i, c)
    {
        rake r;
        rake_init(&r, &host.host, "rake");
        add_stops(&r, stopword_lists[choice(STOPWORD_LANGUAGES,
                                            json_string_value(json_object_get(c, "language")))]);
        r.min_words = (uint64_t)json_integer_value(json_object_get(c, "min_words"));
        r.max_words = (uint64_t)json_integer_value(json_object_get(c, "max_words"));
        for (int round = 0; round < 2; round++) { /* a second text starts from nothing */
            rake_begin(&r);
            json_array_foreach(json_object_get(c, "sentences"), k, sentence)
            {
                const hone_str s = { json_string_value(sentence), json_string_length(sentence) };
                CHECK_OK(rake_sentence(&r, s, &err), err);
            }
            CHECK_OK(rake_rank(&r,
                               (int64_t)choice("ratio|degree|frequency",
                                               json_string_value(json_object_get(c, "metric"))),
                               &err),
                     err);
            if (compare(&r, json_object_get(c, "phrases"))) {
                fprintf(stderr, "in case %zu, %s, round %d\n", i,
                        json_string_value(json_object_get(c, "name")), round);
                CHECK(false);
            }
        }
        rake_finish(&r);
        CHECK_INT(host.out, 0);
    }
    CHECK(i >= 60);
}

int main(void)
{
    json_t *root = NULL;
    hone_error err = { 0 };
    const char *source = getenv("HONE_SOURCE_DIR");
    test_host_init(&host);
    if (source && chdir(source) != 0)
        return 1;
    if (json_read(&root, "tests/golden/rake/cases.json", &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    cases = json_object_get(root, "cases");
    RUN(test_rake__phrases_and_scores_are_those_of_rake_nltk);
    json_decref(root);
    return TEST_EXIT();
}
