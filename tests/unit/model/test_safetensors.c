/*
 * test_safetensors.c - honest files are read, lying ones refused by name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/model.h"
#include "temp.h"

/* A file with this header (padded to nothing) and n bytes of data 0, 1, 2, ... */
static uint8_t *file_with(size_t *size, const char *header, size_t n)
{
    const size_t k = strlen(header);
    uint8_t *p = calloc(1, 8 + k + n);
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)((uint64_t)k >> (8 * i));
    memcpy(p + 8, header, k);
    for (size_t i = 0; i < n; i++)
        p[8 + k + i] = (uint8_t)i;
    *size = 8 + k + n;
    return p;
}

static void test_safetensors__every_lie_has_its_message(void)
{
    static const struct {
        const char *header;
        size_t n; /* bytes of data */
        const char *message;
    } cases[] = {
        { "[]", 0, "the header is not a JSON object" },
        { "{\"a\":1}", 0, "tensor a: its entry is not an object" },
        { "{\"a\":{\"shape\":[],\"data_offsets\":[0,4]}}", 4, "tensor a: dtype is missing" },
        { "{\"a\":{\"dtype\":\"F31\",\"shape\":[],\"data_offsets\":[0,4]}}", 4,
          "tensor a: dtype F31 is unknown" },
        { "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor a: shape is missing" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
          "tensor a: 5 dimensions, expected at most 4" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4,
          "tensor a: dimension 0 is not a whole number" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4,
          "tensor a: dimension 0 is not a whole number" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
          "tensor a: its shape overflows 64 bits" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8,
          "tensor a: data_offsets is not a pair" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8,
          "tensor a: data_offsets [8, 0) run backwards" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7,
          "tensor a ends at byte 8 of the data, the file has 7" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9223372036854775807]}}", 8,
          "tensor a ends at byte 9223372036854775807" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,18446744073709551615]}}", 8,
          "tensor a: data_offsets is not a pair" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
          "tensor a: data_offsets hold 8 bytes, dtype and shape need 12" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
          "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
          12, "tensors a and b overlap at byte 4" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
          "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[6,10]}}",
          10, "2 bytes before tensor b belong to no tensor" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 9,
          "5 bytes at the end belong to no tensor" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
          "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
          8, "duplicate" },
        { "{\"a\\nb\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
          "control character" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4,
          "tensor a: its entry has 4 members" },
        { "{\"__metadata__\":[]}", 0, "__metadata__ is not an object" },
        { "{\"__metadata__\":{\"a\":1}}", 0, "__metadata__: a is not a string" },
        { "{", 0, "lie.safetensors" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_error err = { 0 };
        st_file *f = NULL;
        size_t n;
        uint8_t *p = file_with(&n, cases[i].header, cases[i].n);
        CHECK(st_open_bytes(&f, p, n, "lie.safetensors", &err) != HONE_OK);
        CHECK(f == NULL);
        CHECK_HAS(err.message, cases[i].message);
        CHECK_HAS(err.message, "lie.safetensors");
        CHECK(!strchr(err.message, '\n'));
        st_close(f);
        free(p);
    }
}

static void test_safetensors__the_header_length_is_checked(void)
{
    static const struct {
        uint8_t p[16];
        size_t n;
        const char *message;
    } cases[] = {
        { { 0 }, 0, "0 bytes, a safetensors file has at least 8" },
        { { 1 }, 7, "7 bytes" },
        { { 9, 0, 0, 0, 0, 0, 0, 0, '{', '}' }, 10, "the header claims 9 bytes, 2 follow" },
        { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}' },
          10,
          "the header claims 18446744073709551615 bytes, 2 follow" },
        { { 0 }, 8, "" }, /* an empty header is no JSON */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_error err = { 0 };
        st_file *f = NULL;
        CHECK(st_open_bytes(&f, cases[i].p, cases[i].n, "x", &err) == HONE_ERR_FORMAT);
        CHECK_HAS(err.message, cases[i].message);
    }
}

static void test_safetensors__an_honest_file_is_read(void)
{
    hone_error err = { 0 };
    st_file *f = NULL;
    size_t n;
    uint8_t *p = file_with(&n,
                           "{\"__metadata__\":{\"format\":\"pt\"},"
                           "\"b\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[6,14]},"
                           "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[6,6]},"
                           "\"mask\":{\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[4,6]},"
                           "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}",
                           14);
    CHECK_OK(st_open_bytes(&f, p, n, "x", &err), err);
    CHECK_INT(st_count(f), 4);
    CHECK_STR(st_at(f, 0)->name, "a");
    CHECK_STR(st_at(f, 3)->name, "mask");
    CHECK(st_at(f, 4) == NULL);
    CHECK_STR(st_meta(f, "format"), "pt");
    CHECK(st_meta(f, "nothing") == NULL);
    const st_tensor *a = st_find(f, "a"), *b = st_find(f, "b"), *empty = st_find(f, "empty");
    CHECK(a && a->rank == 0 && a->bytes == 4 && a->dtype == HONE_F32 && a->p[1] == 1);
    CHECK(b && b->dtype == HONE_I64 && b->p[0] == 6);
    CHECK(empty && empty->bytes == 0 && empty->shape[1] == 7);
    CHECK(st_find(f, "c") == NULL);
    float x;
    CHECK(st_read_f32(a, 0, 1, &x));
    CHECK(!st_read_f32(a, 0, 2, &x)); /* beyond its end */
    CHECK(!st_read_f32(a, 1, 1, &x));
    CHECK(!st_read_f32(a, -1, 1, &x));
    CHECK(!st_read_f32(b, 0, 1, &x));                  /* no float */
    CHECK(!st_read_f32(st_find(f, "mask"), 0, 1, &x)); /* hone has no such type */
    st_close(f);
    free(p);
}

static void test_safetensors__what_is_written_is_read(void)
{
    char *dir = temp_new(), *path = path_join(dir, "model.safetensors");
    hone_error err = { 0 };
    st_writer *w = NULL;
    st_file *f = NULL;
    const float a[6] = { 1, 2, 3, 4, 5, 6 };
    const uint16_t b[3] = { 0x3f80, 0x4000, 0xbf80 }; /* bf16 1, 2, -1 */
    CHECK_OK(st_writer_open(&w, path, &err), err);
    CHECK_OK(st_writer_declare(w, "z", HONE_F32, 2, (const int64_t[]){ 2, 3 }, &err), err);
    CHECK_OK(st_writer_declare(w, "a \"quoted\" name", HONE_BF16, 1, (const int64_t[]){ 3 }, &err),
             err);
    CHECK(st_writer_declare(w, "z", HONE_F32, 1, (const int64_t[]){ 3 }, &err) == HONE_ERR_ARG);
    CHECK_HAS(err.message, "z is declared twice");
    CHECK_OK(st_writer_meta(w, "step", "12", &err), err);
    CHECK_OK(st_writer_add(w, a, sizeof a, &err), err);
    CHECK(st_writer_declare(w, "late", HONE_F32, 1, (const int64_t[]){ 3 }, &err) ==
          HONE_ERR_STATE);
    CHECK(st_writer_add(w, a, sizeof a, &err) == HONE_ERR_STATE);
    CHECK(!path_exists(path));
    CHECK_OK(st_writer_add(w, b, sizeof b, &err), err);
    CHECK_OK(st_writer_commit(w, &err), err);

    CHECK_OK(st_open(&f, dir, &err), err); /* the folder */
    CHECK_INT(st_count(f), 2);
    CHECK_STR(st_meta(f, "format"), "pt");
    CHECK_STR(st_meta(f, "step"), "12");
    float x[6] = { 0 };
    CHECK(st_read_f32(st_find(f, "z"), 0, 6, x));
    CHECK(memcmp(x, a, sizeof a) == 0);
    CHECK(st_read_f32(st_find(f, "a \"quoted\" name"), 1, 2, x));
    CHECK(x[0] == 2 && x[1] == -1);
    CHECK_INT((uintptr_t)st_find(f, "z")->p % 8, 0); /* mapped at a page, data at 8 */
    st_close(f);

    w = NULL; /* bytes missing: nothing is left behind, the old file stays */
    CHECK_OK(st_writer_open(&w, path, &err), err);
    CHECK_OK(st_writer_declare(w, "y", HONE_F32, 1, (const int64_t[]){ 3 }, &err), err);
    CHECK_OK(st_writer_add(w, a, 4, &err), err);
    CHECK(st_writer_commit(w, &err) == HONE_ERR_STATE);
    CHECK_HAS(err.message, "4 bytes were added, its tensors were declared with 12");
    CHECK_OK(st_open(&f, path, &err), err);
    CHECK_INT(st_count(f), 2);
    st_close(f);
    temp_remove(dir);
    free(path);
}

static void put_shard(const char *dir, const char *name, const char *tensor)
{
    char header[128];
    size_t n;
    (void)snprintf(header, sizeof header,
                   "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", tensor);
    uint8_t *p = file_with(&n, header, 4);
    temp_put(dir, name, p, n);
    free(p);
}

static void test_safetensors__shards_and_index_must_agree(void)
{
    static const struct {
        const char *map, *message; /* NULL: fine */
    } cases[] = {
        { "{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}", NULL },
        { "{\"a\":\"1.safetensors\",\"b\":\"3.safetensors\"}",
          "model.safetensors.index.json: its shard 3.safetensors is missing" },
        { "{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\",\"c\":\"2.safetensors\"}",
          "tensor c is not in 2.safetensors" },
        { "{\"a\":\"2.safetensors\",\"b\":\"1.safetensors\"}", "is not in" },
        { "{\"b\":\"2.safetensors\",\"a\":\"../1.safetensors\"}",
          "a does not name a file of this folder" },
        { "{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\",\"c\":7}",
          "c does not name a file of this folder" },
        { "{\"a\":\"1.safetensors\",\"d\":\"4.safetensors\"}", "tensor a is in two shards" },
        { "{\"b\":\"2.safetensors\",\"e\":\"5.safetensors\"}",
          "tensor f of a shard is not listed" },
        { "{}", "weight_map is missing or empty" },
        { "7", "weight_map is missing or empty" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *dir = temp_new(), json[256];
        hone_error err = { 0 };
        st_file *f = NULL;
        put_shard(dir, "1.safetensors", "a");
        put_shard(dir, "2.safetensors", "b");
        size_t n;
        uint8_t *two = file_with(&n,
                                 "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                                 "\"d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
                                 2);
        temp_put(dir, "4.safetensors", two, n);
        free(two);
        two = file_with(&n,
                        "{\"e\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                        "\"f\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
                        2);
        temp_put(dir, "5.safetensors", two, n);
        free(two);
        (void)snprintf(json, sizeof json, "{\"weight_map\":%s}", cases[i].map);
        temp_put(dir, "model.safetensors.index.json", json, strlen(json));
        const hone_status st = st_open(&f, dir, &err);
        if (cases[i].message) {
            CHECK(st != HONE_OK);
            CHECK_HAS(err.message, cases[i].message);
            CHECK_HAS(err.message, dir); /* the whole path */
        } else {
            CHECK_OK(st, err);
            CHECK_INT(st_count(f), 2);
        }
        st_close(f);
        temp_remove(dir);
    }
}

static void test_safetensors__a_folder_without_weights_says_so(void)
{
    char *dir = temp_new();
    hone_error err = { 0 };
    st_file *f = NULL;
    CHECK(st_open(&f, dir, &err) == HONE_ERR_NOTFOUND);
    CHECK_HAS(err.message, "neither model.safetensors nor model.safetensors.index.json");
    temp_remove(dir);
}

static void test_safetensors__a_file_cut_anywhere_is_refused(void)
{
    size_t n;
    uint8_t *p =
        file_with(&n, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 16);
    for (size_t cut = 0; cut < n; cut++) {
        hone_error err = { 0 };
        st_file *f = NULL;
        uint8_t *exact = malloc(cut ? cut : 1); /* so that a sanitizer sees the end */
        memcpy(exact, p, cut);
        CHECK(st_open_bytes(&f, exact, cut, "cut", &err) != HONE_OK);
        CHECK(err.message[0] != 0);
        free(exact);
    }
    free(p);
}

int main(void)
{
    RUN(test_safetensors__every_lie_has_its_message);
    RUN(test_safetensors__the_header_length_is_checked);
    RUN(test_safetensors__an_honest_file_is_read);
    RUN(test_safetensors__what_is_written_is_read);
    RUN(test_safetensors__shards_and_index_must_agree);
    RUN(test_safetensors__a_folder_without_weights_says_so);
    RUN(test_safetensors__a_file_cut_anywhere_is_refused);
    return TEST_EXIT();
}
