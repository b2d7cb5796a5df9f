/*
 * docx_parts.c - the zip archive of a docx: its parts of XML, unpacked into memory.
 *
 * Pictures, fonts and other parts are passed over. How much may come out is limited by the size of
 * the file: text of a document compresses five to fifty times, a bomb a thousand times.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "docx.h"

#include <archive.h>
#include <archive_entry.h>

#define MAX_ENTRIES 20000
#define MAX_RATIO 200            /* of the file's size ... */
#define SMALL (64 * 1024 * 1024) /* ... but this much is always allowed */

static bool ends_with(const char *s, const char *tail)
{
    const size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

hone_str docx_parts_name(const docx_parts *p, const docx_part *part)
{
    return (hone_str){ p->names.p + part->name, part->n_name };
}

hone_str docx_parts_bytes(const docx_parts *p, const docx_part *part)
{
    return part ? (hone_str){ p->bytes.p + part->at, part->n } : (hone_str){ "", 0 };
}

const docx_part *docx_parts_find(const docx_parts *p, hone_str name)
{
    const docx_part *list = (const docx_part *)(const void *)p->list.p;
    while (name.n && name.p[0] == '/')
        name.p++, name.n--;
    for (uint64_t i = 0; i < p->list.n / sizeof *list; i++)
        if (list[i].n_name == name.n && memcmp(p->names.p + list[i].name, name.p, name.n) == 0)
            return &list[i];
    return NULL;
}

void docx_parts_finish(docx_parts *p)
{
    hone_text_finish(&p->names);
    hone_text_finish(&p->bytes);
    hone_text_finish(&p->list);
}

static hone_status unpack(docx_parts *p, struct archive *a, const char *name, uint64_t limit,
                          hone_error *err)
{
    docx_part part = { .name = (uint32_t)p->names.n,
                       .n_name = (uint32_t)strlen(name),
                       .at = p->bytes.n };
    for (;;) {
        const void *block;
        size_t n;
        la_int64_t at;
        const int r = archive_read_data_block(a, &block, &n, &at);
        if (r == ARCHIVE_EOF)
            break;
        if (r < ARCHIVE_WARN)
            return hone_fail(err, HONE_ERR_FORMAT, "a broken docx: %s cannot be unpacked: %s", name,
                             archive_error_string(a) ? archive_error_string(a) : "unknown reason");
        if (p->bytes.n + n > limit)
            return hone_fail(err, HONE_ERR_LIMIT,
                             "unpacks to more than %llu bytes (at %s), expected less from a file "
                             "of its size; see reader.docx.max_mb",
                             (unsigned long long)limit, name);
        hone_text_add(&p->bytes, block, n);
        if (p->bytes.failed)
            return hone_text_status(&p->bytes, err);
    }
    part.n = p->bytes.n - part.at;
    hone_text_puts(&p->names, name);
    hone_text_add(&p->list, (const char *)&part, sizeof part);
    return HONE_OK;
}

/* libarchive's messages are its own; names are the file's and may be anything. */
static bool is_plain(const char *name)
{
    size_t n = 0;
    for (; name[n]; n++)
        if ((unsigned char)name[n] <= ' ' || (unsigned char)name[n] > '~')
            return false;
    return n > 0 && n < 200;
}

hone_status docx_parts_open(docx_parts *p, const hone_host *host, hone_str file, int64_t max_bytes,
                            hone_error *err)
{
    const hone_text empty = { .host = host, .tag = "docx" };
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    uint64_t limit = file.n < UINT64_MAX / MAX_RATIO ? file.n * MAX_RATIO : UINT64_MAX;
    uint32_t n = 0;
    hone_status st = HONE_OK;
    int r;
    *p = (docx_parts){ .host = host, .names = empty, .bytes = empty, .list = empty };
    limit = limit < SMALL ? SMALL : limit;
    limit = limit > (uint64_t)max_bytes ? (uint64_t)max_bytes : limit;
    if (!a)
        return hone_fail(err, HONE_ERR_NOMEM, "docx: no memory to unpack");
    if (archive_read_support_format_zip_seekable(a) != ARCHIVE_OK ||
        archive_read_open_memory(a, file.p, file.n) != ARCHIVE_OK) {
        st = hone_fail(err, HONE_ERR_FORMAT, "a broken docx: its zip archive cannot be opened");
        goto out;
    }
    while ((r = archive_read_next_header(a, &e)) >= ARCHIVE_WARN && r != ARCHIVE_EOF) {
        const char *name = archive_entry_pathname(e);
        if (++n > MAX_ENTRIES) {
            st = hone_fail(err, HONE_ERR_LIMIT, "a zip archive of more than %d files", MAX_ENTRIES);
            goto out;
        }
        if (!name || !is_plain(name))
            continue;
        name += name[0] == '/';
        p->n_images += strstr(name, "/media/") != NULL;
        if (!ends_with(name, ".xml") && !ends_with(name, ".rels"))
            continue;
        if (archive_entry_is_data_encrypted(e)) {
            st = hone_fail(err, HONE_ERR_SKIP,
                           "its zip archive is encrypted; save it without a "
                           "password");
            goto out;
        }
        if ((st = unpack(p, a, name, limit, err)) != HONE_OK)
            goto out;
        if (host->cancelled(host)) {
            st = hone_fail(err, HONE_ERR_CANCELLED, "docx: interrupted");
            goto out;
        }
    }
    if (r != ARCHIVE_EOF)
        st = hone_fail(err, HONE_ERR_FORMAT, "a broken docx: its zip archive: %s",
                       archive_error_string(a) ? archive_error_string(a) : "unknown reason");
    else if (p->names.failed || p->list.failed)
        st = hone_fail(err, HONE_ERR_NOMEM, "docx: no memory for a list of %u files", n);
out:
    (void)archive_read_free(a);
    if (st != HONE_OK)
        docx_parts_finish(p);
    return st;
}
