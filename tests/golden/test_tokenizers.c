/*
 * test_tokenizers.c - every tokenizer of tokenizers/ against the ids that Hugging Face's
 * tokenizers, and sentencepiece, gave for 20,000 strings, and for conversations through the
 * folder's chat template.
 *
 * An argument names another folder of the same layout, see README.md.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "test.h"

#include <archive.h>
#include <archive_entry.h>

#include "core/data/data.h"

#define MOST 64
#define SHOWN 3 /* wrong strings printed per file */

typedef struct bytes {
    uint8_t *p; /* owned */
    size_t n, at;
} bytes;

typedef struct strings {
    bytes file;
    hone_str *p; /* owned; bytes borrowed from file */
    size_t n;
} strings;

static const char *golden;
static char *folders[MOST];
static size_t n_folders;
static strings texts;
static size_t n_talks;

/* ---------------------------------------------------------------------------- fixtures */

/* The bytes of a .gz file; n == 0 when there is none. */
static bytes gunzip(const char *dir, const char *name)
{
    bytes b = { 0 };
    char *path = path_join(dir, name);
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    size_t cap = 0;
    la_ssize_t got;
    if (!path || !path_exists(path))
        goto out;
    archive_read_support_filter_gzip(a);
    archive_read_support_format_raw(a);
    if (archive_read_open_filename(a, path, 1 << 16) != ARCHIVE_OK ||
        archive_read_next_header(a, &entry) != ARCHIVE_OK) {
        fprintf(stderr, "%s: %s\n", path, archive_error_string(a));
        test_failures++;
        goto out;
    }
    do {
        if (!mem_grow(&b.p, &cap, b.n + (1 << 16), 1))
            abort();
        got = archive_read_data(a, b.p + b.n, cap - b.n);
        b.n += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    CHECK(got == 0);
out:
    archive_read_free(a);
    free(path);
    return b;
}

static strings strings_open(const char *dir, const char *name)
{
    strings s = { .file = gunzip(dir, name) };
    const uint8_t *p = s.file.p;
    size_t cap = 0, at = 0;
    while (at + 4 <= s.file.n) {
        const uint32_t n = (uint32_t)p[at] | (uint32_t)p[at + 1] << 8 | (uint32_t)p[at + 2] << 16 |
                           (uint32_t)p[at + 3] << 24;
        if (!mem_grow(&s.p, &cap, s.n + 1, sizeof *s.p) || n > s.file.n - at - 4)
            abort();
        s.p[s.n++] = (hone_str){ (const char *)p + at + 4, n };
        at += 4 + n;
    }
    return s;
}

static void strings_close(strings *s)
{
    free(s->file.p);
    free(s->p);
}

static uint64_t leb128(bytes *b)
{
    uint64_t value = 0;
    int shift = 0;
    while (b->at < b->n) {
        const uint8_t c = b->p[b->at++];
        value |= (uint64_t)(c & 0x7f) << shift;
        shift += 7;
        if (!(c & 0x80))
            break;
    }
    return value;
}

/* ------------------------------------------------------------------------------- checks */

static bool same_ids(bytes *want, const tokens *got)
{
    const uint64_t n = leb128(want);
    bool same = n == got->n;
    uint64_t i;
    for (i = 0; i < n; i++) {
        const uint64_t id = leb128(want);
        same &= i >= got->n || id == (uint64_t)got->p[i].id;
    }
    return same;
}

/* Tokens that come from the text lie in it, in order and without a gap or an overlap of
 * what they begin with. */
static bool places_hold(const tokens *got, size_t n)
{
    size_t i;
    uint32_t start = 0;
    for (i = 0; i < got->n; i++) {
        const token t = got->p[i];
        if (t.start > t.end || t.end > n || t.start < start)
            return false;
        start = t.start;
    }
    return true;
}

static void check_ids(const tokenizer *t, const char *dir, const char *file, uint32_t flags)
{
    bytes want = gunzip(dir, file);
    tokens got = { 0 };
    hone_error err = { 0 };
    size_t i, wrong = 0;
    for (i = 0; i < texts.n && want.at < want.n; i++) {
        got.n = 0;
        CHECK_OK(tokenizer_encode(t, texts.p[i].p, texts.p[i].n, flags, &got, NULL, &err), err);
        if (!same_ids(&want, &got) ||
            ((flags & ENCODE_ADD) == 0 && !places_hold(&got, texts.p[i].n))) {
            if (++wrong <= SHOWN)
                fprintf(stderr, "%s/%s: string %zu differs: \"%.*s\"\n", dir, file, i,
                        (int)(texts.p[i].n > 60 ? 60 : texts.p[i].n), texts.p[i].p);
        }
    }
    CHECK_INT(wrong, 0);
    CHECK_INT(want.at, want.n);
    CHECK(i >= 2000);
    free(want.p);
    tokens_finish(&got);
}

static void check_stream(const tokenizer *t, const int32_t *ids, size_t n, const text *whole)
{
    token_stream s = { 0 };
    text out = { 0 };
    hone_error err = { 0 };
    size_t i;
    for (i = 0; i < n; i++) {
        CHECK_OK(token_stream_push(t, &s, ids[i], false, &out, &err), err);
        CHECK(out.n <= whole->n && (!out.n || memcmp(out.p, whole->p, out.n) == 0));
    }
    CHECK_OK(token_stream_end(t, &s, false, &out, &err), err);
    CHECK_INT(out.n, whole->n);
    token_stream_finish(&s);
    text_finish(&out);
}

static void check_decoded(const tokenizer *t, const char *dir)
{
    bytes ids = gunzip(dir, "ids.bin.gz");
    strings want = strings_open(dir, "decoded.bin.gz");
    text got = { 0 };
    int32_t *one = NULL;
    size_t cap = 0, i, wrong = 0;
    hone_error err = { 0 };
    for (i = 0; i < want.n; i++) {
        const size_t n = (size_t)leb128(&ids);
        size_t k;
        if (!mem_grow(&one, &cap, n + 1, sizeof *one))
            abort();
        for (k = 0; k < n; k++)
            one[k] = (int32_t)leb128(&ids);
        text_clear(&got);
        CHECK_OK(tokenizer_decode(t, one, n, false, &got, &err), err);
        if (got.n != want.p[i].n || (got.n && memcmp(got.p, want.p[i].p, got.n) != 0)) {
            if (++wrong <= SHOWN)
                fprintf(stderr, "%s/decoded.bin.gz: string %zu differs: \"%.60s\"\n", dir, i,
                        got.p);
        }
        check_stream(t, one, n, &got);
    }
    CHECK_INT(wrong, 0);
    CHECK(want.n >= 2000);
    free(one);
    free(ids.p);
    text_finish(&got);
    strings_close(&want);
}

/* ------------------------------------------------------------------------ conversations */

static uint32_t role_of(const char *name)
{
    uint32_t r;
    for (r = ROLE_SYSTEM; r < ROLE_ASSISTANT && strcmp(role_name(r), name) != 0; r++)
        ;
    return r;
}

/* One conversation against the text and the ids of apply_chat_template. */
static void check_talk(const chat_template *c, const json_t *one, const char *dir, size_t at)
{
    const json_t *list = json_object_get(one, "messages"), *want = json_object_get(one, "ids");
    const bool prompt = json_is_true(json_object_get(one, "add_generation_prompt"));
    message m[8];
    const size_t n = json_array_size(list);
    rendered r = { 0 };
    tokens got = { 0 };
    hone_error err = { 0 };
    size_t i, same = 0;
    for (i = 0; i < n && i < 8; i++) {
        const json_t *turn = json_array_get(list, i);
        const json_t *content = json_object_get(turn, "content");
        m[i] = (message){
            .role = role_of(json_string_value(json_object_get(turn, "role"))),
            .content = { json_string_value(content), json_string_length(content) },
        };
    }
    CHECK(n && n <= 8);
    CHECK_OK(chat_template_render(c, m, n, prompt, "26 Jul 2024", &r, &err), err);
    CHECK_STR(r.text.p, json_string_value(json_object_get(one, "text")));
    CHECK_OK(chat_template_encode(c, m, n, prompt, "26 Jul 2024", &got, NULL, NULL, &err), err);
    for (i = 0; i < got.n; i++)
        same += json_integer_value(json_array_get(want, i)) == got.p[i].id;
    if (got.n != json_array_size(want) || same != got.n) {
        fprintf(stderr, "%s/chat.json: the ids of conversation %zu differ\n", dir, at);
        test_failures++;
    }
    rendered_finish(&r);
    tokens_finish(&got);
}

/* "template": a named one in place of the model's own. */
static void check_chat(const tokenizer *t, const char *dir)
{
    char *path = path_join(dir, "chat.json");
    json_t *all = NULL;
    hone_error err = { 0 };
    size_t i;
    if (!path_exists(path))
        goto out;
    CHECK_OK(json_read(&all, path, &err), err);
    CHECK(json_array_size(all) >= 4);
    for (i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        chat_template *c = NULL;
        CHECK_OK(chat_template_open(&c, json_string_value(json_object_get(one, "template")), dir, t,
                                    &err),
                 err);
        if (c)
            check_talk(c, one, dir, i);
        n_talks++;
        chat_template_close(c);
    }
out:
    json_decref(all);
    free(path);
}

static void test_folder(const char *dir)
{
    tokenizer *t = NULL;
    hone_error err = { 0 };
    char *json = path_join(dir, "tokenizer.json");
    const bool spm = !path_exists(json);
    free(json);
    CHECK_OK(tokenizer_open(&t, dir, &err), err);
    if (!t)
        return;
    check_ids(t, dir, "ids.bin.gz", spm ? 0 : ENCODE_SPECIAL);
    check_ids(t, dir, "ids_special.bin.gz", ENCODE_ADD | (spm ? 0 : ENCODE_SPECIAL));
    if (spm)
        check_ids(t, dir, "ids_parsed.bin.gz", ENCODE_SPECIAL);
    check_decoded(t, dir);
    check_chat(t, dir);
    tokenizer_close(t);
}

static hone_status find_folder(void *ctx, const char *path, hone_error *err)
{
    (void)ctx;
    (void)err;
    if (strcmp(path_base(path), "ids.bin.gz") == 0 && n_folders < MOST)
        folders[n_folders++] = path_dir(path);
    return HONE_OK;
}

int main(int argc, char **argv)
{
    hone_error err = { 0 };
    const char *source = getenv("HONE_SOURCE_DIR");
    char *own = path_join(source ? source : ".", "tests/golden/tokenizers");
    size_t i;
    golden = argc > 1 ? argv[1] : own;
    if (!path_is_dir(golden)) {
        printf("no folder %s\n", golden);
        free(own);
        return 77;
    }
    texts = strings_open(golden, "strings.bin.gz");
    CHECK_OK(dir_walk(golden, find_folder, NULL, &err), err);
    CHECK(n_folders > 0);
    CHECK(texts.n >= 20000);
    for (i = 0; i < n_folders; i++) {
        const int before = test_failures;
        test_folder(folders[i]);
        printf("%s %s\n", test_failures == before ? "ok  " : "FAIL", folders[i]);
        fflush(stdout);
        free(folders[i]);
    }
    CHECK(n_talks > 100);
    strings_close(&texts);
    free(own);
    return TEST_EXIT();
}
