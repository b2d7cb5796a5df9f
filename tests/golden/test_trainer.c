/*
 * test_trainer.c - vocabularies trained by hone against those that Hugging Face's trainer made
 * of the same texts, piece by piece and merge by merge.
 *
 * An argument names another folder of the same layout, see README.md.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "test.h"

#include <unistd.h>

#include "core/data/data.h"

static const char *string_at(const json_t *list, size_t i)
{
    const char *s = json_string_value(json_array_get(list, i));
    return s ? s : "?";
}

static json_t *trained(const json_t *one, const char *dir)
{
    const json_t *texts = json_object_get(one, "texts"), *special = json_object_get(one, "special");
    const size_t n = json_array_size(texts);
    hone_str *all = mem_new(n, sizeof *all);
    const char *names[8] = { NULL };
    char *path = path_join(dir, "tokenizer.json");
    json_t *root = NULL;
    hone_error err = { 0 };
    size_t i;
    if (!all || !path || json_array_size(special) > 8)
        abort();
    for (i = 0; i < n; i++)
        all[i] = (hone_str){ string_at(texts, i), json_string_length(json_array_get(texts, i)) };
    for (i = 0; i < json_array_size(special); i++)
        names[i] = string_at(special, i);
    CHECK_OK(tokenizer_train(dir, all, n, json_integer_value(json_object_get(one, "size")), names,
                             json_array_size(special), &err),
             err);
    CHECK_OK(json_read(&root, path, &err), err);
    free(all);
    free(path);
    return root;
}

static void test_case(const json_t *one, const char *dir)
{
    json_t *root = trained(one, dir), *model = json_object_get(root, "model");
    const json_t *vocab = json_object_get(one, "vocab"), *merges = json_object_get(one, "merges");
    const json_t *our_vocab = json_object_get(model, "vocab");
    const json_t *our_merges = json_object_get(model, "merges");
    size_t i, wrong = 0;
    CHECK(json_array_size(vocab) > 256 && json_array_size(merges) > 0);
    CHECK_INT(json_object_size(our_vocab), json_array_size(vocab));
    CHECK_INT(json_array_size(our_merges), json_array_size(merges));
    for (i = 0; i < json_array_size(vocab); i++) {
        const json_t *id = json_object_get(our_vocab, string_at(vocab, i));
        if (json_integer_value(id) != (json_int_t)i || !id)
            if (++wrong <= 3)
                fprintf(stderr, "%s: piece %zu \"%s\" differs\n", dir, i, string_at(vocab, i));
    }
    for (i = 0; i < json_array_size(merges); i++) {
        const json_t *pair = json_array_get(merges, i);
        text want = { 0 };
        text_printf(&want, "%s %s",
                    string_at(vocab, (size_t)json_integer_value(json_array_get(pair, 0))),
                    string_at(vocab, (size_t)json_integer_value(json_array_get(pair, 1))));
        if (strcmp(want.p, string_at(our_merges, i)) != 0)
            if (++wrong <= 3)
                fprintf(stderr, "%s: merge %zu is \"%s\", want \"%s\"\n", dir, i,
                        string_at(our_merges, i), want.p);
        text_finish(&want);
    }
    CHECK_INT(wrong, 0);
    json_decref(root);
}

int main(int argc, char **argv)
{
    const char *source = getenv("HONE_SOURCE_DIR");
    char *own = path_join(source ? source : ".", "tests/golden/trainer");
    char *path = path_join(argc > 1 ? argv[1] : own, "cases.json");
    char dir[] = "/tmp/hone_trainer_XXXXXX";
    json_t *cases = NULL;
    hone_error err = { 0 };
    size_t i;
    free(own);
    if (!path_exists(path)) {
        printf("no file %s\n", path);
        free(path);
        return 77;
    }
    CHECK(mkdtemp(dir));
    CHECK_OK(json_read(&cases, path, &err), err);
    CHECK(json_array_size(cases) > 0);
    for (i = 0; i < json_array_size(cases); i++)
        test_case(json_array_get(cases, i), dir);
    CHECK_OK(dir_remove(dir, &err), err);
    json_decref(cases);
    free(path);
    return TEST_EXIT();
}
