/*
 * test_sha256.c - the vectors of FIPS 180-4 and its neighbours.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "folder.h"

static void test_sha256__published_vectors(void)
{
    static const struct {
        const char *text, *hex;
    } vectors[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
        { "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
          "lmnop"
          "qrsmnopqrstnopqrstu",
          "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
    };
    char hex[65], *million = mem_new(1000000, 1);
    size_t i;
    for (i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        sha256_hex(vectors[i].text, strlen(vectors[i].text), hex);
        CHECK_STR(hex, vectors[i].hex);
    }
    memset(million, 'a', 1000000);
    sha256_hex(million, 1000000, hex);
    CHECK_STR(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

/* Every length around the block, in every cut into two pieces, gives what one piece gives. */
static void test_sha256__pieces_do_not_matter(void)
{
    uint8_t bytes[200], whole[32], parts[32];
    size_t n, k;
    sha256 s;
    for (n = 0; n < sizeof bytes; n++)
        bytes[n] = (uint8_t)rng_u64(1, 1, n);
    for (n = 0; n <= sizeof bytes; n++) {
        sha256_init(&s);
        sha256_add(&s, bytes, n);
        sha256_done(&s, whole);
        for (k = 0; k <= n; k++) {
            sha256_init(&s);
            sha256_add(&s, bytes, k);
            sha256_add(&s, bytes + k, n - k);
            sha256_done(&s, parts);
            CHECK(memcmp(whole, parts, 32) == 0);
        }
    }
}

static void test_sha256__files(void)
{
    char *dir = folder_new(), *path = path_join(dir, "f"), hex[65] = "untouched";
    hone_error err = { 0 };
    folder_put(dir, "f", "abc");
    CHECK_INT(sha256_file("/nonexistent", hex, &err), HONE_ERR_NOTFOUND);
    CHECK_STR(hex, "untouched");
    CHECK_OK(sha256_file(path, hex, &err), err);
    CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    free(path);
    folder_remove(dir);
}

int main(void)
{
    RUN(test_sha256__published_vectors);
    RUN(test_sha256__pieces_do_not_matter);
    RUN(test_sha256__files);
    return TEST_EXIT();
}
