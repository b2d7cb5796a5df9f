/*
 * test_archive.c - archives as folders: every format, archives in archives, and what hostile ones
 * may try: names that lead out, links, bombs, bombs in bombs, cut and encrypted files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "runs.h"

#include <archive.h>
#include <archive_entry.h>

typedef struct member {
    const char *name, *bytes;
    size_t n;         /* 0: strlen(bytes) */
    const char *link; /* a symbolic link's target */
    mode_t type;      /* 0: a file */
} member;

/* An archive in memory; n gets its bytes. free() it. */
static char *pack(int format, int filter, const char *password, const member *m, size_t n_members,
                  size_t *n)
{
    size_t cap = 4u << 20;
    char *p = mem_new(cap, 1);
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    (void)archive_write_set_format(a, format);
    (void)archive_write_add_filter(a, filter);
    if (password && (archive_write_set_options(a, "zip:encryption=traditional") ||
                     archive_write_set_passphrase(a, password))) {
        free(p);
        p = NULL;
    }
    if (p && archive_write_open_memory(a, p, cap, n) == ARCHIVE_OK)
        for (size_t i = 0; i < n_members; i++) {
            const size_t size = m[i].n ? m[i].n : m[i].bytes ? strlen(m[i].bytes) : 0;
            archive_entry_clear(e);
            archive_entry_set_pathname(e, m[i].name);
            archive_entry_set_filetype(e, m[i].link ? AE_IFLNK : m[i].type ? m[i].type : AE_IFREG);
            archive_entry_set_perm(e, 0644);
            archive_entry_set_mtime(e, 1, 0);
            if (m[i].link)
                archive_entry_set_symlink(e, m[i].link);
            archive_entry_set_size(e, m[i].link || m[i].type ? 0 : (la_int64_t)size);
            CHECK(archive_write_header(a, e) == ARCHIVE_OK);
            if (size)
                CHECK(archive_write_data(a, m[i].bytes, size) == (la_ssize_t)size);
        }
    (void)archive_write_close(a);
    archive_entry_free(e);
    (void)archive_write_free(a);
    return p;
}

static void put_bytes(const char *name, const char *p, size_t n)
{
    hone_error err = { 0 };
    char *path = path_join(docs, name);
    CHECK_OK(file_write(path, p, n, &err), err);
    free(path);
}

static void put_archive(const char *name, int format, int filter, const member *m, size_t n_members)
{
    size_t n = 0;
    char *p = pack(format, filter, NULL, m, n_members, &n);
    put_bytes(name, p, n);
    free(p);
}

#define ZIP ARCHIVE_FORMAT_ZIP
#define TAR ARCHIVE_FORMAT_TAR_PAX_RESTRICTED
#define COUNT(m) (sizeof(m) / sizeof(m)[0])

static void test_archive__every_format(void)
{
    static const struct {
        const char *name;
        int format, filter;
    } kinds[] = {
        { "a.zip", ZIP, ARCHIVE_FILTER_NONE },
        { "b.tar", TAR, ARCHIVE_FILTER_NONE },
        { "c.tar.gz", TAR, ARCHIVE_FILTER_GZIP },
        { "d.tgz", TAR, ARCHIVE_FILTER_GZIP },
        { "e.tar.bz2", TAR, ARCHIVE_FILTER_BZIP2 },
        { "f.tar.xz", TAR, ARCHIVE_FILTER_XZ },
        { "g.tar.zst", TAR, ARCHIVE_FILTER_ZSTD },
        { "h.tar.lzma", TAR, ARCHIVE_FILTER_LZMA },
        { "i.tar.Z", TAR, ARCHIVE_FILTER_COMPRESS },
        { "j.TAR.LZ4", TAR, ARCHIVE_FILTER_LZ4 },
        { "k.bad.gz", ARCHIVE_FORMAT_RAW, ARCHIVE_FILTER_GZIP },
        { "l.bad.xz", ARCHIVE_FORMAT_RAW, ARCHIVE_FILTER_XZ },
    };
    hone_error err = { 0 };
    prepare_report r;
    prepare_options o = { .jobs = 2 };
    begin();
    for (size_t i = 0; i < COUNT(kinds); i++) {
        char words[40];
        (void)snprintf(words, sizeof words, "words of %s", kinds[i].name);
        const member m[] = { { "in/one.bad", words, 0, NULL, 0 },
                             { "x.unknown", "?", 0, NULL, 0 } };
        put_archive(kinds[i].name, kinds[i].format, kinds[i].filter, m,
                    kinds[i].format == ARCHIVE_FORMAT_RAW ? 1 : 2);
    }
    CHECK_OK(run_docs(&o, &r, &err), err);
    CHECK_INT(r.archives, COUNT(kinds));
    CHECK_INT(r.samples, COUNT(kinds));
    CHECK_INT(r.no_reader, COUNT(kinds) - 2);
    CHECK_INT(prepare_report_lost(&r), 0);
    char *p = samples();
    CHECK_HAS(p, "docs/a.zip/in/one.bad\",\"start\":0,\"end\":14}");
    CHECK_HAS(p, "\"words of j.TAR.LZ4\"");
    CHECK_HAS(p, "docs/k.bad.gz/k.bad\"");
    free(p);
    prepare_report_finish(&r);
    end();
}

static void test_archive__archives_in_archives(void)
{
    hone_error err = { 0 };
    prepare_report r;
    prepare_options o = { .archive_depth = 2 };
    char *inner = NULL;
    size_t n = 0;
    begin();
    for (int depth = 0; depth < 4; depth++) { /* a zip in a tar in a zip in a tar */
        char words[20];
        (void)snprintf(words, sizeof words, "depth %d", 3 - depth);
        const member m[] = { { "inner.zip", inner ? inner : "", n, NULL, 0 },
                             { "d.bad", words, 0, NULL, 0 } };
        size_t more = 0;
        char *outer = pack(depth % 2 ? TAR : ZIP, ARCHIVE_FILTER_NONE, NULL, inner ? m : m + 1,
                           inner ? 2 : 1, &more);
        free(inner);
        inner = outer;
        n = more;
    }
    put_bytes("outer.tar", inner, n);
    free(inner);
    CHECK_OK(run_docs(&o, &r, &err), err);
    CHECK_INT(r.samples, 3);
    CHECK_INT(r.refused, 1);
    CHECK_LINE("failed", "docs/outer.tar/inner.zip/inner.zip/inner.zip", "prepare.archive_depth");
    char *p = samples();
    CHECK_HAS(p, "docs/outer.tar/inner.zip/inner.zip/d.bad");
    CHECK(!strstr(p, "depth 3"));
    free(p);
    prepare_report_finish(&r);
    end();
}

static void test_archive__hostile_entries_are_named(void)
{
    static const member zip[] = {
        { "../up.bad", "x1", 0, NULL, 0 },
        { "a/../../up.bad", "x2", 0, NULL, 0 },
        { "/etc/abs.bad", "x3", 0, NULL, 0 },
        { "C:\\win.bad", "x4", 0, NULL, 0 },
        { "a\\..\\..\\up.bad", "x5", 0, NULL, 0 },
        { "line\nfeed.bad", "x6", 0, NULL, 0 },
        { ".secret/h.bad", "x7", 0, NULL, 0 },
        { "fine.bad", "fine words", 0, NULL, 0 },
        { "fine...bad.bad", "fine too", 0, NULL, 0 },
        { "b.bin", "a\0b", 3, NULL, 0 },
    };
    static const member tar[] = {
        { "link.bad", NULL, 0, "/etc/passwd", 0 }, { "fifo.bad", NULL, 0, NULL, AE_IFIFO },
        { "dev.bad", NULL, 0, NULL, AE_IFCHR },    { "folder.bad", NULL, 0, NULL, AE_IFDIR },
        { "real.bad", "real words", 0, NULL, 0 },  { "crash.bad", "crash", 0, NULL, 0 },
    };
    hone_error err = { 0 };
    prepare_report r;
    prepare_options o = { 0 };
    begin();
    put_archive("z.zip", ZIP, ARCHIVE_FILTER_NONE, zip, COUNT(zip));
    put_archive("t.tar", TAR, ARCHIVE_FILTER_NONE, tar, COUNT(tar));
    put_bytes("not.zip", "this is no archive", 18);
    put_bytes("empty.zip", "", 0);
    CHECK_OK(run_docs(&o, &r, &err), err);
    CHECK_INT(r.samples, 3);
    CHECK_INT(r.hidden, 1);
    CHECK_INT(r.binary, 1);
    CHECK_INT(r.failed, 1); /* crash.bad */
    CHECK_INT(r.refused, 6 + 3 + 2);
    CHECK_LINE("failed", "z.zip/../up.bad", "leads out of the archive");
    CHECK_LINE("failed", "etc/abs.bad", "begins at the root");
    CHECK_LINE("failed", "line?feed.bad", "control characters");
    CHECK_LINE("failed", "t.tar/link.bad", "a link inside an archive");
    CHECK_LINE("failed", "t.tar/fifo.bad", "neither a file nor a folder");
    CHECK_LINE("failed", "not.zip", "\"why\":\"broken\"");
    CHECK_LINE("failed", "empty.zip", "\"why\":\"broken\"");
    CHECK_LINE("left_out", "b.bin", "binary");
    prepare_report_finish(&r);
    end();
}

/* A file of zeros that packs a thousand to one; n: its bytes unpacked. */
static char *bomb(size_t bytes, size_t *n)
{
    char *zeros = mem_new(bytes, 1);
    memset(zeros, 'a', bytes);
    const member m[] = { { "big.bad", zeros, bytes, NULL, 0 } };
    char *p = pack(ZIP, ARCHIVE_FILTER_NONE, NULL, m, 1, n);
    free(zeros);
    return p;
}

static void test_archive__bombs(void)
{
    hone_error err = { 0 };
    prepare_report r;
    size_t n = 0, outer = 0;
    char *one = bomb(40u << 20, &n);
    begin();
    put_bytes("ratio.zip", one, n);
    prepare_options o = { .max_mb = 64, .archive_mb = 1000, .archive_ratio = 100 };
    CHECK_OK(run_docs(&o, &r, &err), err);
    CHECK_INT(r.samples, 0);
    CHECK_LINE("failed", "docs/ratio.zip/big.bad", "100 times its size");
    prepare_report_finish(&r);

    o = (prepare_options){ .max_mb = 8, .archive_mb = 1000, .archive_ratio = 1e6 };
    CHECK_OK(run_docs(&o, &r, &err), err);
    CHECK_LINE("failed", "docs/ratio.zip/big.bad", "larger than prepare.max_mb (8 MB)");
    prepare_report_finish(&r);

    /* Many of them in one, so that none is large by itself. */
    const member many[] = { { "1.zip", one, n, NULL, 0 },
                            { "2.zip", one, n, NULL, 0 },
                            { "3.zip", one, n, NULL, 0 },
                            { "last.bad", "never read", 0, NULL, 0 } };
    char *nested = pack(ZIP, ARCHIVE_FILTER_NONE, NULL, many, 4, &outer);
    put_bytes("nested.zip", nested, outer);
    o = (prepare_options){ .max_mb = 64, .archive_mb = 100, .archive_ratio = 1e6 };
    CHECK_OK(run_docs(&o, &r, &err), err);
    CHECK_LINE("failed", "docs/nested.zip\"", "prepare.archive_mb (100 MB)");
    char *p = samples();
    CHECK(!strstr(p, "never read"));
    free(p);
    prepare_report_finish(&r);

    o = (prepare_options){ .archive_entries = 2, .max_mb = 1 };
    CHECK_OK(run_docs(&o, &r, &err), err);
    CHECK_LINE("failed", "docs/nested.zip\"", "prepare.archive_entries (2)");
    prepare_report_finish(&r);
    free(nested);
    free(one);
    end();
}

static void test_archive__cut_and_encrypted(void)
{
    static const member m[] = { { "one.bad", "the first words", 0, NULL, 0 },
                                { "two.bad", "the second words", 0, NULL, 0 } };
    hone_error err = { 0 };
    prepare_report r;
    prepare_options o = { 0 };
    size_t n = 0;
    begin();
    char *p = pack(TAR, ARCHIVE_FILTER_GZIP, NULL, m, 2, &n);
    put_bytes("cut.tar.gz", p, n - 40);
    free(p);
    p = pack(ZIP, ARCHIVE_FILTER_NONE, "secret", m, 2, &n);
    if (p)
        put_bytes("enc.zip", p, n);
    CHECK_OK(run_docs(&o, &r, &err), err);
    CHECK_LINE("failed", "docs/cut.tar.gz", "\"why\":\"broken\"");
    if (p)
        CHECK_LINE("failed", "docs/enc.zip/one.bad", "\"why\":\"encrypted\"");
    free(p);
    prepare_report_finish(&r);
    end();
}

int main(int argc, char **argv)
{
    hone_error err = { 0 };
    if (argc != 2 || registry_open_file(&plugins, argv[1], &err))
        return 1;
    RUN(test_archive__every_format);
    RUN(test_archive__archives_in_archives);
    RUN(test_archive__hostile_entries_are_named);
    RUN(test_archive__bombs);
    RUN(test_archive__cut_and_encrypted);
    registry_close(plugins);
    return TEST_EXIT();
}
