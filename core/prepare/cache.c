/*
 * cache.c - what a document gave, kept by everything it depends on.
 *
 * The key is a SHA-256 of the document's bytes and name, its reader and the recipes (id, version,
 * the plugin file's own hash, options), the tokenizer and the template, and what the caller adds
 * (in->key). An entry is what the child said, frame by frame, behind a head with its
 * hash: read again, it goes through the same checks as a child's words, so a damaged entry is a
 * missing one. Entries are written beside and renamed, never changed; two runs may share a
 * folder, and a kill leaves at most a file named *.tmp.*, which the next run removes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/prepare/parts.h"

#define MAGIC "HONEPRE2"
#define HEAD_BYTES (8 + 8 + 32) /* magic, bytes that follow, their SHA-256 */
#define OLD_TEMPORARY 3600      /* seconds after which nobody writes a temporary file any more */

static void add_words(sha256 *h, const char *words)
{
    const uint64_t n = words ? strlen(words) : 0;
    sha256_add(h, &n, sizeof n);
    sha256_add(h, words ? words : "", (size_t)n);
}

/* Options may name files (prompts, word lists): what these hold counts as well. */
static void add_named_files(sha256 *h, const json_t *set)
{
    const char *name;
    json_t *value;
    char hash[65];
    json_object_foreach((json_t *)(uintptr_t)set, name, value)
    {
        const char *path = json_string_value(value);
        struct stat s;
        if (path && stat(path, &s) == 0 && S_ISREG(s.st_mode) && !sha256_file(path, hash, NULL))
            add_words(h, hash);
    }
}

/* Which plugin, and how it is set. */
static hone_status add_component(sha256 *h, component_row c, const char *program, const json_t *set,
                                 hone_error *err)
{
    char hash[65];
    char *dump =
        set ? json_dumps(set, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : mem_strdup("");
    const hone_status st = dump ? sha256_file(program ? program : c.file->path, hash, err)
                                : hone_fail(err, HONE_ERR_NOMEM, "no memory for the cache");
    if (!st) {
        add_words(h, c.row->component);
        add_words(h, c.file ? c.file->note.id : "");
        add_words(h, c.file ? c.file->note.version : "");
        add_words(h, hash);
        add_words(h, dump);
        add_named_files(h, set);
    }
    free(dump);
    return st;
}

/* Keys of what all documents share, and of each reader. */
hone_status cache_open(run *r, hone_error *err)
{
    sha256 h;
    hone_status st = HONE_OK;
    if (!r->o->cache_mb)
        return HONE_OK;
    sha256_init(&h);
    add_words(&h, MAGIC HONE_VERSION);
    for (size_t i = 0; i < r->crew.n_recipes && !st; i++)
        st = add_component(&h, r->recipes[i].row, r->recipes[i].exec, r->recipes[i].json, err);
    add_words(&h, r->in->tokenizer ? tokenizer_hash(r->in->tokenizer) : NULL);
    add_words(&h, r->in->key);
    sha256_done(&h, r->config_key);
    for (size_t i = 0; i < r->crew.n_readers && !st; i++) {
        sha256_init(&h);
        st = add_component(&h, r->readers[i].row, NULL, r->readers[i].json, err);
        sha256_done(&h, r->readers[i].key);
    }
    if (st)
        return st;
    r->cache = r->o->cache ? mem_strdup(r->o->cache) : path_join(r->o->out, "cache");
    return r->cache ? dir_make(r->cache, err)
                    : hone_fail(err, HONE_ERR_NOMEM, "no memory for the cache");
}

/* "<cache>/ab/cdef...", fresh; *folder_end gets where the folder's name ends. */
static char *entry_path(const run *r, const uint8_t key[KEY_BYTES], size_t *folder_end)
{
    text t = { 0 };
    text_printf(&t, "%s/%02x", r->cache, key[0]);
    *folder_end = t.n;
    text_puts(&t, "/");
    for (size_t i = 1; i < KEY_BYTES; i++)
        text_printf(&t, "%02x", key[i]);
    if (t.failed)
        text_finish(&t);
    return t.p;
}

/* d->key; false: the document cannot be looked at (its child will say why). */
static bool find_key(const run *r, document *d)
{
    struct stat s;
    sha256 h;
    const int fd = d->path ? open(d->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : d->fd;
    void *p = NULL;
    bool good = fd >= 0 && fstat(fd, &s) == 0 && S_ISREG(s.st_mode);
    if (good && s.st_size > 0) {
        p = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        good = p != MAP_FAILED;
    }
    if (good) {
        sha256_init(&h);
        sha256_add(&h, r->config_key, KEY_BYTES);
        sha256_add(&h, r->readers[d->reader].key, KEY_BYTES);
        add_words(&h, d->shown);
        sha256_add(&h, p ? p : "", (size_t)s.st_size);
        sha256_done(&h, d->key);
        d->bytes = (uint64_t)s.st_size;
        d->changed = s.st_mtim;
        if (p)
            (void)munmap(p, (size_t)s.st_size);
    }
    if (fd >= 0 && d->path)
        (void)close(fd);
    return good;
}

/* The bytes behind the head: are they those that were written? */
static bool is_whole(int fd, uint64_t *n)
{
    uint8_t head[HEAD_BYTES], digest[32];
    static uint8_t buf[1 << 16];
    sha256 h;
    struct stat s;
    uint64_t left = 0;
    if (read(fd, head, sizeof head) != (ssize_t)sizeof head || memcmp(head, MAGIC, 8) != 0)
        return false;
    memcpy(&left, head + 8, sizeof left);
    if (fstat(fd, &s) != 0 || left != (uint64_t)s.st_size - HEAD_BYTES)
        return false;
    *n = left;
    sha256_init(&h);
    while (left) {
        const ssize_t got = read(fd, buf, left < sizeof buf ? (size_t)left : sizeof buf);
        if (got <= 0)
            return false;
        sha256_add(&h, buf, (size_t)got);
        left -= (uint64_t)got;
    }
    sha256_done(&h, digest);
    return memcmp(digest, head + 16, 32) == 0;
}

void forget_answer(document *d)
{
    spool_finish(&d->said);
    json_decref(d->meta);
    json_decref(d->notes);
    json_decref(d->lost);
    json_decref(d->dropped);
    free(d->message);
    d->meta = d->notes = d->lost = d->dropped = NULL;
    d->message = NULL;
    d->n = d->blocks = d->lost_bytes = 0;
    d->status = HONE_OK;
    d->finished = false;
}

/* Small entries need no descriptor while they wait. */
static hone_status take_entry(run *r, document *d, int fd, uint64_t n, hone_error *err)
{
    hone_status st = HONE_OK;
    d->said = (spool){ .fd = fd, .n = n, .start = HEAD_BYTES };
    spool_reader in = { .s = &d->said };
    spool small = { 0 };
    frame f;
    while (!st && !(st = spool_next(&in, &f, err))) {
        const frame whole = f;
        bool fault;
        if (d->finished || (st = take_about(r, d, &f, NULL, &fault, err)))
            st = HONE_ERR_FORMAT;
        else if (n < SMALL_ENTRY)
            st = spool_add(&small, r->o->out, whole.p - 5, whole.n + 5, err);
    }
    spool_reader_finish(&in);
    st = st == HONE_ERR_NOTFOUND && d->finished ? HONE_OK : HONE_ERR_FORMAT;
    if (!st && n < SMALL_ENTRY) {
        spool_finish(&d->said);
        d->said = small;
    } else {
        spool_finish(&small);
    }
    return st;
}

bool cache_find(run *r, document *d)
{
    size_t end;
    uint64_t n = 0;
    bool found = false;
    if (!r->cache || r->needs_all || !(d->keyed = find_key(r, d)))
        return false;
    char *path = entry_path(r, d->key, &end);
    const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0 && is_whole(fd, &n)) {
        found = !take_entry(r, d, fd, n, NULL);
        if (!found)
            forget_answer(d);
        else
            (void)utimensat(AT_FDCWD, path, NULL, 0); /* it was of use: see cache_trim() */
    } else if (fd >= 0) {
        (void)close(fd);
    }
    free(path);
    d->cached = found;
    return found;
}

static bool worth_keeping(const document *d)
{
    switch (d->status) { /* what the bytes say, not what the machine had */
    case HONE_OK:
    case HONE_ERR_SKIP:
    case HONE_ERR_FORMAT:
    case HONE_ERR_UNSUPPORTED:
        return true;
    default:
        return false;
    }
}

static bool copy_spool(const spool *s, int to, sha256 *h)
{
    static uint8_t buf[1 << 16];
    for (uint64_t at = 0; at < s->n;) {
        const size_t want = s->n - at < sizeof buf ? (size_t)(s->n - at) : sizeof buf;
        const ssize_t got = s->fd ? pread(s->fd, buf, want, (off_t)(s->start + at)) : (ssize_t)want;
        const uint8_t *p = s->fd ? buf : (const uint8_t *)s->head.p + at;
        if (got <= 0 || write(to, p, (size_t)got) != got)
            return false;
        sha256_add(h, p, (size_t)got);
        at += (uint64_t)got;
    }
    return true;
}

/* A cache that cannot be written costs time, not the run. */
void cache_keep(run *r, const document *d)
{
    struct stat s;
    uint8_t head[HEAD_BYTES] = MAGIC;
    size_t end;
    sha256 h;
    if (!r->cache || !d->keyed || d->cached || !worth_keeping(d) ||
        (d->path && (stat(d->path, &s) != 0 || s.st_mtim.tv_sec != d->changed.tv_sec ||
                     s.st_mtim.tv_nsec != d->changed.tv_nsec)))
        return;
    char *path = entry_path(r, d->key, &end);
    char *folder = path ? mem_strndup(path, end) : NULL;
    text beside = { 0 };
    text_printf(&beside, "%s.tmp.%ld", path ? path : "", (long)getpid());
    if (!folder || beside.failed || (mkdir(folder, 0777) != 0 && errno != EEXIST))
        goto out;
    const int fd = open(beside.p, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        goto out;
    sha256_init(&h);
    bool good =
        write(fd, head, sizeof head) == (ssize_t)sizeof head && copy_spool(&d->said, fd, &h);
    memcpy(head + 8, &d->said.n, 8);
    sha256_done(&h, head + 16);
    good = good && pwrite(fd, head, sizeof head, 0) == (ssize_t)sizeof head;
    if (close(fd) != 0 || !good || rename(beside.p, path) != 0)
        (void)unlink(beside.p);
out:
    text_finish(&beside);
    free(folder);
    free(path);
}

/* ------------------------------------------------------------------------ bounds */

typedef struct cached {
    struct timespec used;
    uint64_t bytes;
    char *path; /* owned */
} cached;

static int older_first(const void *a, const void *b)
{
    const cached *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec)
        return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->path, y->path);
}

static void list_entries(const run *r, cached **list, size_t *n, size_t *cap)
{
    for (int first = 0; first < 256; first++) {
        text folder = { 0 };
        struct dirent *e;
        text_printf(&folder, "%s/%02x", r->cache, (unsigned)first);
        DIR *d = folder.p ? opendir(folder.p) : NULL;
        while (d && (e = readdir(d))) {
            struct stat s;
            char *path = e->d_name[0] == '.' ? NULL : path_join(folder.p, e->d_name);
            if (!path || stat(path, &s) != 0 || !S_ISREG(s.st_mode)) {
                free(path);
                continue;
            }
            const bool stale =
                strstr(e->d_name, ".tmp.") && time(NULL) - s.st_mtim.tv_sec > OLD_TEMPORARY;
            if (stale)
                (void)unlink(path);
            if (stale || !mem_grow(list, cap, *n + 1, sizeof **list))
                free(path);
            else
                (*list)[(*n)++] = (cached){ s.st_mtim, (uint64_t)s.st_size, path };
        }
        if (d)
            (void)closedir(d);
        text_finish(&folder);
    }
}

void cache_trim(const run *r)
{
    cached *list = NULL;
    size_t n = 0, cap = 0;
    uint64_t total = 0;
    if (!r->cache)
        return;
    list_entries(r, &list, &n, &cap);
    for (size_t i = 0; i < n; i++)
        total += list[i].bytes;
    if (n)
        qsort(list, n, sizeof *list, older_first);
    for (size_t i = 0; i < n; i++) {
        /* What --without takes away is to be nowhere. */
        const bool unused = r->in->without.n && list[i].used.tv_sec < r->started.tv_sec;
        if ((unused || total > (uint64_t)r->o->cache_mb << 20) && unlink(list[i].path) == 0)
            total -= list[i].bytes;
        free(list[i].path);
    }
    free(list);
}
