/*
 * test_words.c - SQuAD's measures, against values of its own evaluation script.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/exam/parts.h"
#include "test.h"

static void test_words__normalise(void)
{
    /* clang-format off */
    static const struct { const char *in, *out; } rows[] = {
        { "", "" },
        { "  \t\n ", "" },
        { "The Quick, brown fox!", "quick brown fox" },
        { "a an the A AN THE", "" },
        { "than theatre", "than theatre" },
        { "it's \"so\" (called)", "its so called" },
        { "x_y-z", "xyz" },
        { "1,024 < 2^11 = $5", "1024 211 5" },
        { "\xc3\x84rger \xe2\x80\x9e" "Z\xc3\xbcrich\xe2\x80\x9c", "\xc3\xa4rger z\xc3\xbcrich" }, /* Aerger, quoted */
        { "\xe6\x9d\xb1\xe4\xba\xac" "tower", "\xe6\x9d\xb1 \xe4\xba\xac tower" },  /* two ideographs */
        { "5 \xe2\x82\xac", "5 \xe2\x82\xac" },                /* a sign beyond ASCII stays */
        { "a\xc2\xa0" "b", "b" },                            /* no-break space */
        { "\xff" "a", "\xef\xbf\xbd" "a" },
    };
    /* clang-format on */
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *got = words_normalise(rows[i].in, strlen(rows[i].in));
        CHECK_STR(got, rows[i].out);
        free(got);
    }
}

static void test_words__squeeze(void)
{
    char *got = words_squeeze("  What\tis \n  the Answer? ", 25);
    CHECK_STR(got, "What is the Answer?");
    free(got);
    got = words_squeeze("", 0);
    CHECK_STR(got, "");
    free(got);
}

static void test_words__scores_are_those_of_squad(void)
{
    static const struct {
        const char *got, *want;
        bool exact;
        double f1;
    } rows[] = {
        { "Paris", "paris.", true, 1 },
        { "the city of Paris", "Paris", false, 0.5 },
        { "Paris", "the city of Paris", false, 0.5 },
        { "London", "Paris", false, 0 },
        { "", "Paris", false, 0 },
        { "", "", true, 1 },
        { "the", "a", true, 1 }, /* both empty once normalised */
        { "the", "cat", false, 0 },
        { "b a c", "c b", false, 1 }, /* the same words, not in the same order */
        { "x x y", "x y y", false, 2.0 / 3 },
        { "x x x x", "x", false, 0.4 },
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool exact = !rows[i].exact;
        double f1 = -1;
        CHECK(exam_score_answer(rows[i].got, rows[i].want, &exact, &f1));
        CHECK_INT(exact, rows[i].exact);
        CHECK_NEAR(f1, rows[i].f1, 1e-12);
    }
}

int main(void)
{
    RUN(test_words__normalise);
    RUN(test_words__squeeze);
    RUN(test_words__scores_are_those_of_squad);
    return TEST_EXIT();
}
