/*
 * unpack.c - archives to documents, in a process of its own: zip, tar, and one packed file.
 *
 * libarchive reads from memory (the archive is mapped, one inside another is unpacked to memory),
 * so nothing is written to disk and every format may seek. Names, links, sizes, ratios and counts
 * are judged here; the run judges sizes again. Everything that is not read is told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/prepare/parts.h"

#define PIECE (1u << 16)         /* bytes of a FRAME_DATA                            */
#define FREE_BYTES (16ull << 20) /* unpacked before the ratio counts                 */
#define NAME_BYTES 4096          /* of an entry, with the archives around it         */

typedef struct unpack {
    const run *r;
    const unpack_limits *limits;
    bool (*send)(void *ctx, const void *p, size_t n);
    void *ctx;
    uint64_t packed;         /* bytes of the outermost archive */
    uint64_t total, entries; /* so far, at all depths */
    text out;                /* a frame */
    char said[200];          /* why something is left out */
} unpack;

unpack_limits unpack_limits_of(const prepare_options *o)
{
    return (unpack_limits){ .entry_bytes = (uint64_t)o->max_mb << 20,
                            .total_bytes = (uint64_t)o->archive_mb << 20,
                            .entries = (uint64_t)o->archive_entries,
                            .ratio = o->archive_ratio,
                            .depth = (int)o->archive_depth };
}

static hone_status flush(unpack *u, hone_error *err)
{
    const bool good = !u->out.failed && u->send(u->ctx, u->out.p ? u->out.p : "", u->out.n);
    text_clear(&u->out);
    return good ? HONE_OK : hone_fail(err, HONE_ERR_IO, "the run has gone");
}

static hone_status tell_left(unpack *u, const char *name, left_out why, const char *said,
                             hone_error *err)
{
    const size_t at = frame_begin(&u->out, FRAME_LEFT);
    frame_put_u32(&u->out, why);
    frame_put_str(&u->out, hone_s(name));
    frame_put_str(&u->out, hone_s(said));
    frame_end(&u->out, at);
    return flush(u, err);
}

/* ------------------------------------------------------------------------ names */

/* "archive/entry" with ill-formed bytes and control characters replaced. */
static char *shown_name(const char *shown, const char *name)
{
    text t = { 0 };
    text_printf(&t, "%s/", shown);
    while (strncmp(name, "./", 2) == 0)
        name += 2;
    for (size_t i = 0, n = strnlen(name, NAME_BYTES); i < n;) {
        uint32_t cp;
        bool bad;
        char out[4];
        i += utf8_next(name + i, n - i, &cp, &bad);
        text_add(&t, out, utf8_put(cp < 0x20 || cp == 0x7f ? '?' : cp, out));
    }
    if (t.failed)
        text_finish(&t);
    return t.p;
}

/* Why a name is hostile; NULL: it is not. A backslash is a slash: old archives of Windows. */
static const char *name_fault(const char *name)
{
    if (!name || !name[0])
        return "an entry without a name";
    if (strnlen(name, NAME_BYTES) == NAME_BYTES)
        return "a name of more than 4096 bytes";
    if (name[0] == '/' || name[0] == '\\' ||
        (((name[0] | 32) >= 'a' && (name[0] | 32) <= 'z') && name[1] == ':'))
        return "a name that begins at the root";
    for (const char *p = name; *p;) {
        const size_t n = strcspn(p, "/\\");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return "a name that leads out of the archive with \"..\"";
        p += n + (p[n] != '\0');
    }
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return "a name with control characters";
    return NULL;
}

static bool has_hidden_part(const char *name)
{
    for (const char *p = name; *p;) {
        const size_t n = strcspn(p, "/\\");
        if (n > 1 && p[0] == '.' && !(n == 2 && p[1] == '.'))
            return true;
        p += n + (p[n] != '\0');
    }
    return false;
}

/* ------------------------------------------------------------------------ bytes */

/* May n more bytes come out? said: why not. */
static bool within(unpack *u, uint64_t n, char *said, size_t size)
{
    u->total += n;
    if (u->total > u->limits->total_bytes) {
        (void)snprintf(said, size, "unpacks to more than prepare.archive_mb (%llu MB)",
                       (unsigned long long)(u->limits->total_bytes >> 20));
        return false;
    }
    if (u->total > FREE_BYTES && (double)u->total > u->limits->ratio * (double)u->packed) {
        (void)snprintf(said, size,
                       "unpacks to more than %.0f times its size (prepare.archive_ratio)",
                       u->limits->ratio);
        return false;
    }
    return true;
}

typedef struct entry {
    struct archive *a;
    char *shown;
    uint64_t n; /* bytes so far */
} entry;

/* What ends an entry: HONE_OK at its end; HONE_ERR_SKIP: the entry is lost, said; HONE_ERR_LIMIT:
 * the whole archive is. */
static hone_status next_bytes(unpack *u, entry *e, uint8_t *buf, size_t *n, char *said, size_t size)
{
    const la_ssize_t got = archive_read_data(e->a, buf, PIECE);
    *n = got > 0 ? (size_t)got : 0;
    if (got < 0) {
        (void)snprintf(said, size, "%s",
                       archive_error_string(e->a) ? archive_error_string(e->a)
                                                  : "cannot be unpacked");
        return HONE_ERR_SKIP;
    }
    e->n += *n;
    if (!within(u, *n, said, size))
        return HONE_ERR_LIMIT;
    if (e->n > u->limits->entry_bytes) {
        (void)snprintf(said, size, "larger than prepare.max_mb (%llu MB)",
                       (unsigned long long)(u->limits->entry_bytes >> 20));
        return HONE_ERR_SKIP;
    }
    return HONE_OK;
}

static left_out reason_of(const entry *e, uint64_t limit)
{
    return e->n > limit                                    ? LEFT_LIMIT
           : archive_read_has_encrypted_entries(e->a) == 1 ? LEFT_ENCRYPTED
                                                           : LEFT_BROKEN;
}

/* The entry as a document, piece by piece. first: bytes that were read already. */
static hone_status send_entry(unpack *u, entry *e, uint8_t *buf, size_t n, char *said, size_t size,
                              hone_error *err)
{
    hone_status st = HONE_OK, end = HONE_OK;
    size_t at = frame_begin(&u->out, FRAME_ENTRY);
    frame_put_str(&u->out, hone_s(e->shown));
    frame_end(&u->out, at);
    while (!st && n) {
        at = frame_begin(&u->out, FRAME_DATA);
        frame_put_str(&u->out, (hone_str){ (const char *)buf, n });
        frame_end(&u->out, at);
        st = flush(u, err);
        n = 0;
        if (!st && (end = next_bytes(u, e, buf, &n, said, size)))
            break;
    }
    if (st)
        return st;
    at = frame_begin(&u->out, FRAME_END);
    frame_put_u32(&u->out, end ? 0 : 1);
    frame_put_u32(&u->out,
                  end == HONE_ERR_LIMIT ? LEFT_LIMIT : reason_of(e, u->limits->entry_bytes));
    frame_put_str(&u->out, hone_s(end ? said : ""));
    frame_end(&u->out, at);
    st = flush(u, err);
    return st ? st : end == HONE_ERR_LIMIT ? end : HONE_OK;
}

static hone_status unpack_level(unpack *u, const uint8_t *p, size_t n, const char *shown, int depth,
                                hone_error *err);

/* An archive inside: whole to memory, then as the outer one. */
static hone_status inner_archive(unpack *u, entry *e, uint8_t *buf, size_t n, char *said,
                                 size_t size, int depth, hone_error *err)
{
    text all = { 0 };
    hone_status end = HONE_OK, st;
    if (depth >= u->limits->depth)
        return tell_left(u, e->shown, LEFT_LIMIT,
                         "more archives in archives than prepare.archive_depth", err);
    while (n && !end) {
        text_add(&all, (const char *)buf, n);
        end = all.failed ? HONE_ERR_SKIP : next_bytes(u, e, buf, &n, said, size);
        if (all.failed)
            (void)snprintf(said, size, "no memory to unpack it");
    }
    if (end == HONE_ERR_LIMIT)
        st = end;
    else if (end)
        st = tell_left(u, e->shown, reason_of(e, u->limits->entry_bytes), said, err);
    else
        st =
            unpack_level(u, (const uint8_t *)(all.p ? all.p : ""), all.n, e->shown, depth + 1, err);
    text_finish(&all);
    return st;
}

/* ------------------------------------------------------------------------ entries */

static hone_status one_entry(unpack *u, entry *e, struct archive_entry *ae, const char *name,
                             int depth, char *said, size_t size, hone_error *err)
{
    uint8_t buf[PIECE];
    size_t n = 0;
    const mode_t type = archive_entry_filetype(ae);
    const char *fault = name_fault(name);
    if (fault)
        return tell_left(u, e->shown, LEFT_REFUSED, fault, err);
    if (archive_entry_hardlink(ae) || type == AE_IFLNK)
        return tell_left(u, e->shown, LEFT_LINK, "a link inside an archive", err);
    if (type == AE_IFDIR)
        return HONE_OK;
    if (type != AE_IFREG && type != 0)
        return tell_left(u, e->shown, LEFT_SPECIAL, "neither a file nor a folder", err);
    if (!u->r->o->hidden && has_hidden_part(name))
        return tell_left(u, e->shown, LEFT_HIDDEN, "its name begins with a dot", err);
    if (is_excluded(u->r, e->shown))
        return tell_left(u, e->shown, LEFT_EXCLUDED, "prepare.exclude", err);
    if (archive_entry_is_encrypted(ae))
        return tell_left(u, e->shown, LEFT_ENCRYPTED, "encrypted", err);
    const size_t kind = kind_of(u->r, e->shown);
    const hone_status end = next_bytes(u, e, buf, &n, said, size);
    if (end == HONE_ERR_LIMIT)
        return end;
    if (end)
        return tell_left(u, e->shown, reason_of(e, u->limits->entry_bytes), said, err);
    if (kind == KIND_ARCHIVE)
        return inner_archive(u, e, buf, n, said, size, depth, err);
    if (kind == KIND_NONE && looks_binary(buf, n))
        return tell_left(u, e->shown, LEFT_BINARY, "no text, and no reader for its kind", err);
    if (kind == KIND_NONE && u->r->fallback == SIZE_MAX)
        return tell_left(u, e->shown, LEFT_NO_READER, "no reader for its kind", err);
    return send_entry(u, e, buf, n, said, size, err);
}

/* "notes.txt.gz" holds "notes.txt". */
static const char *packed_name(const char *shown, char *buf, size_t size)
{
    const char *base = path_base(shown), *dot = strrchr(base, '.');
    (void)snprintf(buf, size, "%.*s", (int)(dot && dot > base ? dot - base : 0), base);
    return buf[0] ? buf : "data";
}

/* One packed file ("notes.txt.gz") rather than a tar in packing: by its name, for a file of zeros
 * is a tar without entries. */
static bool is_one_file(const char *shown)
{
    static const char *const packings[] = { ".gz",   ".bz2", ".xz",  ".zst",
                                            ".lzma", ".lz",  ".lz4", ".Z" };
    const size_t n = strlen(shown);
    for (size_t i = 0; i < sizeof packings / sizeof packings[0]; i++) {
        const size_t k = strlen(packings[i]);
        if (n > k && strcasecmp(shown + n - k, packings[i]) == 0)
            return n - k < 4 || strncasecmp(shown + n - k - 4, ".tar", 4) != 0;
    }
    return false;
}

static struct archive *open_formats(bool one_file)
{
    struct archive *a = archive_read_new();
    if (!a)
        return NULL;
    if (one_file) {
        (void)archive_read_support_format_raw(a);
    } else {
        (void)archive_read_support_format_zip(a);
        (void)archive_read_support_format_tar(a);
        (void)archive_read_support_format_gnutar(a);
    }
    (void)archive_read_support_filter_gzip(a);
    (void)archive_read_support_filter_bzip2(a);
    (void)archive_read_support_filter_xz(a);
    (void)archive_read_support_filter_lzma(a);
    (void)archive_read_support_filter_lzip(a);
    (void)archive_read_support_filter_zstd(a);
    (void)archive_read_support_filter_lz4(a);
    (void)archive_read_support_filter_compress(a);
    return a;
}

static hone_status unpack_level(unpack *u, const uint8_t *p, size_t n, const char *shown, int depth,
                                hone_error *err)
{
    const bool raw = is_one_file(shown);
    struct archive *a = open_formats(raw);
    struct archive_entry *ae = NULL;
    const uint64_t before = u->entries;
    char *const said = u->said, alone[NAME_BYTES];
    const size_t size = sizeof u->said;
    hone_status st = HONE_OK;
    int got = ARCHIVE_FATAL;
    said[0] = '\0';
    if (!a)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory to unpack");
    if (archive_read_open_memory(a, p, n) == ARCHIVE_OK)
        while (!st && ((got = archive_read_next_header(a, &ae)) == ARCHIVE_OK ||
                       got == ARCHIVE_WARN || got == ARCHIVE_RETRY)) {
            if (raw && archive_filter_count(a) < 2) {
                (void)snprintf(said, size, "no archive");
                got = ARCHIVE_FATAL;
                break;
            }
            if (u->entries++ >= u->limits->entries) {
                (void)snprintf(said, size, "more than prepare.archive_entries (%llu) entries",
                               (unsigned long long)u->limits->entries);
                st = HONE_ERR_LIMIT;
                break;
            }
            said[0] = '\0';
            const char *utf8 = archive_entry_pathname_utf8(ae);
            const char *name = raw    ? packed_name(shown, alone, sizeof alone)
                               : utf8 ? utf8
                                      : archive_entry_pathname(ae);
            entry e = { .a = a, .shown = shown_name(shown, name ? name : "?") };
            st = e.shown ? one_entry(u, &e, ae, name, depth, said, size, err)
                         : hone_fail(err, HONE_ERR_NOMEM, "no memory to unpack");
            free(e.shown);
            if (raw)
                break;
        }
    if (!st && got == ARCHIVE_EOF && u->entries == before) {
        (void)snprintf(said, size, "an archive without entries");
        st = tell_left(u, shown, LEFT_BROKEN, said, err);
    }
    if (!st && got != ARCHIVE_EOF && got != ARCHIVE_OK && got != ARCHIVE_WARN) {
        if (!said[0])
            (void)snprintf(said, size, "%s",
                           archive_error_string(a) ? archive_error_string(a) : "no archive");
        st = tell_left(u, shown, LEFT_BROKEN, said, err);
    }
    if (st == HONE_ERR_LIMIT && depth == 0)
        st = tell_left(u, shown, LEFT_LIMIT, said, err);
    else if (st == HONE_ERR_LIMIT)
        (void)hone_fail(err, st, "%s", said);
    (void)archive_read_free(a);
    return st;
}

hone_status unpack_bytes(const run *r, const unpack_limits *limits, const uint8_t *p, size_t n,
                         const char *shown, bool (*send)(void *ctx, const void *p, size_t n),
                         void *ctx, hone_error *err)
{
    unpack u = { .r = r, .limits = limits, .send = send, .ctx = ctx, .packed = n };
    hone_error why = { 0 };
    hone_status st = unpack_level(&u, p, n, shown, 0, &why);
    if (st && err)
        *err = why;
    text_finish(&u.out);
    return st;
}

/* ------------------------------------------------------------------------ the process */

static bool send_to_socket(void *ctx, const void *p, size_t n)
{
    return write_all(*(const int *)ctx, p, n);
}

_Noreturn void unpack_run(const run *r, int socket, int archive, const char *shown)
{
    const unpack_limits limits = unpack_limits_of(r->o);
    hone_error err = { 0 };
    struct stat s = { 0 };
    void *p = NULL;
    text t = { 0 };
    hone_status st = HONE_OK;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_DFL);
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* names of zip files */
    if (fstat(archive, &s) != 0 || !S_ISREG(s.st_mode))
        st = hone_fail(&err, HONE_ERR_IO, "cannot be read");
    else if (s.st_size > 0 &&
             (p = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, archive, 0)) == MAP_FAILED)
        st = hone_fail(&err, HONE_ERR_NOMEM, "cannot be mapped");
    if (!st)
        st = lockdown(r->crew.memory_bytes, &err);
    if (!st)
        st = unpack_bytes(r, &limits, p ? p : (const uint8_t *)"", (size_t)s.st_size, shown,
                          send_to_socket, &socket, &err);
    const size_t at = frame_begin(&t, FRAME_DONE);
    frame_put_u32(&t, (uint32_t)st);
    frame_put_str(&t, hone_s(err.message));
    frame_end(&t, at);
    (void)!write_all(socket, t.p ? t.p : "", t.n);
    _exit(0);
}
