/*
 * base.h - the door of core/base: hone's short standard library.
 *
 * Memory, growing text, files that survive a crash, JSON with places, options
 * from rows, a log, counter-based random numbers, SHA-256.
 *
 * Functions that can fail return hone_status and leave outputs untouched on
 * failure. Nothing here prints except log.c; nothing exits. All calls are [any]
 * unless tagged.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_BASE_BASE_H
#define CORE_BASE_BASE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "hone/host.h"
#include "hone/option.h"
#include "hone/status.h"

/* ------------------------------------------------------------------- memory */

/* n * size zeroed bytes, or NULL when there is no memory or the product
 * overflows. Never NULL for n == 0. Free with free(). */
void *mem_new(size_t n, size_t size);

/* Make room for at least `need` elements of `size` bytes in *p, whose capacity
 * is *cap; grows by half. New elements are zeroed. False: no memory, *p as it was. */
HONE_MUST_CHECK bool mem_grow(void *p, size_t *cap, size_t need, size_t size);

char *mem_strdup(const char *s); /* NULL when there is no memory, or for NULL */
char *mem_strndup(const char *p, size_t n);

/* Anonymous resident memory of this process, bytes: now, and the highest that a call
 * of either function has seen (the kernel keeps no such record: sample during work). */
int64_t mem_resident(void);
int64_t mem_resident_peak(void);
/* Bytes this process may still take: what the kernel thinks is free, cut by the control
 * group's limit. */
int64_t mem_available(void);

/* --------------------------------------------------------------------- text */

/* Growing bytes, always NUL-terminated once something was added. Start from
 * { 0 }. A failed allocation sets `failed` and later calls do nothing, so that
 * a whole chain is checked once, with text_status(). */
typedef struct text {
    char *p; /* owned; NULL while empty */
    size_t n, cap;
    bool failed;
} text;

void text_add(text *t, const char *p, size_t n);
void text_puts(text *t, const char *s);
void text_putc(text *t, char c);
HONE_PRINTF(2, 3) void text_printf(text *t, const char *format, ...);
HONE_MUST_CHECK hone_status text_status(const text *t, hone_error *err);
void text_clear(text *t);  /* n = 0, keeps the memory */
void text_finish(text *t); /* back to { 0 } */

/* UTF-8: bytes of the code point at p (n > 0 bytes left), 1..4, and the code
 * point in *cp; an ill-formed byte counts 1 and gives U+FFFD with *bad true. */
size_t utf8_next(const char *p, size_t n, uint32_t *cp, bool *bad);
size_t utf8_put(uint32_t cp, char out[4]);
bool utf8_valid(const char *p, size_t n);

/* -------------------------------------------------------------------- files */

typedef struct file_map { /* a whole file, read-only */
    const uint8_t *p;     /* never NULL; n bytes */
    size_t n;
} file_map;

HONE_MUST_CHECK hone_status file_map_open(file_map *out, const char *path, hone_error *err);
void file_map_close(file_map *map);
/* Bytes [at, at + n) were read and are not wanted soon: their memory may go. They stay readable. */
void file_map_release(const file_map *map, size_t at, size_t n);

/* Read a whole file into fresh, NUL-terminated memory (free()); refuses more
 * than `limit` bytes. *n may be NULL. */
HONE_MUST_CHECK hone_status file_read(char **out, size_t *n, const char *path, size_t limit,
                                      hone_error *err);

/* Write-then-rename. Bytes go to "<path>.tmp.<pid>" in the same folder; commit
 * syncs the file, renames it over path and syncs the folder. A crash, a full
 * disk or abort() leaves the old file as it was. Buffered; [worker]. */
typedef struct file_writer file_writer;
HONE_MUST_CHECK hone_status file_writer_open(file_writer **out, const char *path, hone_error *err);
HONE_MUST_CHECK hone_status file_writer_add(file_writer *w, const void *p, size_t n,
                                            hone_error *err);
/* Ends the writer either way; on failure the temporary file is gone. */
HONE_MUST_CHECK hone_status file_writer_commit(file_writer *w, hone_error *err);
void file_writer_abort(file_writer *w); /* NULL is fine */

HONE_MUST_CHECK hone_status file_write(const char *path, const void *p, size_t n, hone_error *err);

HONE_MUST_CHECK hone_status dir_make(const char *path,
                                     hone_error *err); /* with parents, 0777 & umask */
HONE_MUST_CHECK hone_status dir_remove(const char *path,
                                       hone_error *err); /* recursive; absent is fine */
bool path_exists(const char *path);
bool path_is_dir(const char *path);
/* dir + "/" + name in fresh memory; name alone when it is absolute. */
char *path_join(const char *dir, const char *name);
/* name as seen from an absolute folder without links or dots, the leading "./" and "../" of
 * name worked out. Owned by the caller; NULL: no memory. */
char *path_resolve(const char *folder, const char *name);
const char *path_base(const char *path); /* borrowed tail after the last '/' */
char *path_dir(const char *path);        /* fresh; "." when there is no '/'   */

/* Call visit for each regular file under root (or root itself), in byte order
 * of path, hidden files and folders left out; symbolic links are not followed
 * out of root. A status other than HONE_OK ends the walk and is returned. */
HONE_MUST_CHECK hone_status dir_walk(const char *root,
                                     hone_status (*visit)(void *ctx, const char *path,
                                                          hone_error *err),
                                     void *ctx, hone_error *err);

/* One run per folder: takes an exclusive lock on <dir>/.lock for the life of
 * the process. HONE_ERR_STATE names the process that holds it. */
HONE_MUST_CHECK hone_status dir_lock(const char *dir, int *fd, hone_error *err);

/* --------------------------------------------------------------------- JSON */

/* Jansson, plus places: a parse error says file, line and column. Depth is
 * limited, duplicate keys are refused, a whole number beyond int64 becomes a real. *out is
 * the caller's (json_decref). */
HONE_MUST_CHECK hone_status json_read(json_t **out, const char *path, hone_error *err);
HONE_MUST_CHECK hone_status json_parse(json_t **out, const char *p, size_t n, const char *what,
                                       hone_error *err);
/* The same for people's texts, which may hold U+0000: json_string_length() counts. */
HONE_MUST_CHECK hone_status json_parse_texts(json_t **out, const char *p, size_t n,
                                             const char *what, hone_error *err);
HONE_MUST_CHECK hone_status json_write(const json_t *root, const char *path, hone_error *err);

/* ------------------------------------------------------------------ options */

/* A config struct and what it owns. options_init fills defaults. `base` is the
 * folder relative paths are taken from (NULL: the working folder). */
typedef struct options {
    const hone_option *table; /* borrowed, ends with name == NULL; may be NULL  */
    void *config;             /* borrowed, the struct the rows describe         */
    const char *section;      /* borrowed, "train": named in messages; "" = none */
    char *base;               /* owned                                          */
    bool *given;              /* owned, one per row: set by the user            */
    void **owned;             /* owned, one per row: memory behind a string/list */
} options;

HONE_MUST_CHECK hone_status options_init(options *o, const hone_option *table, void *config,
                                         const char *section, const char *base, hone_error *err);
void options_finish(options *o);

/* From text (command line). Messages name option, value, range; an unknown name
 * comes with the nearest known one. Path values are taken from the working folder. */
HONE_MUST_CHECK hone_status options_set(options *o, const char *name, const char *value,
                                        hone_error *err);
/* From a JSON value; objects and wrong types are refused by name. */
HONE_MUST_CHECK hone_status options_set_json(options *o, const char *name, const json_t *value,
                                             hone_error *err);
/* Every member of a JSON object, except the names in skip (NULL-terminated or NULL). */
HONE_MUST_CHECK hone_status options_set_object(options *o, const json_t *object,
                                               const char *const *skip, hone_error *err);
bool options_given(const options *o, const char *name);
/* Bytes that a row of this type fills in the config struct; 0: no such type. */
size_t options_size(uint32_t type);
/* The whole config as JSON, defaults included; a new reference. */
json_t *options_to_json(const options *o);
/* "--section.name TYPE  help [default]" lines for --help, and a Markdown table. */
void options_help(text *out, const hone_option *table, const char *section);
void options_markdown(text *out, const hone_option *table, const char *section);
/* The candidate with the smallest edit distance, or NULL when none is near. */
const char *nearest_name(const char *name, const char *const *candidates, size_t n);

/* ---------------------------------------------------------------------- log */

/* One line to stderr, "hone: ..." above info; the only writer outside app/.
 * A progress bar that is on the terminal is cleared first and drawn again. */
HONE_PRINTF(2, 3) void log_line(uint32_t level, const char *format, ...);
void log_set_level(uint32_t level);
/* text redrawn below the log on a terminal; NULL: none. [main] */
void log_set_status(const char *line);

/* -------------------------------------------------------------- random, hash */

/* Philox 4x32-10 (Salmon et al. 2011): 128 random bits for (seed, stream, counter). */
typedef struct rng_block {
    uint32_t w[4];
} rng_block;
rng_block rng_philox(uint64_t seed, uint64_t stream, uint64_t counter);
uint64_t rng_u64(uint64_t seed, uint64_t stream, uint64_t counter);
double rng_uniform(uint64_t seed, uint64_t stream, uint64_t counter); /* [0, 1) */
double rng_normal(uint64_t seed, uint64_t stream, uint64_t counter);  /* N(0, 1), Box-Muller */
/* order[0..n) becomes a permutation of 0..n-1 (Fisher-Yates). */
void rng_permutation(int64_t *order, int64_t n, uint64_t seed, uint64_t stream);

typedef struct sha256 {
    uint32_t h[8];
    uint64_t n;
    uint8_t buf[64];
} sha256;
void sha256_init(sha256 *s);
void sha256_add(sha256 *s, const void *p, size_t n);
void sha256_done(sha256 *s, uint8_t out[32]);
void sha256_hex(const void *p, size_t n, char out[65]);
HONE_MUST_CHECK hone_status sha256_file(const char *path, char out[65], hone_error *err);

/* Seconds of a clock that only goes forward. */
double clock_now(void);

/* Threads this process may use: the allowed cores, cut by the cgroup's quota; at least 1. */
int cpu_count(void);
/* Make cpu_count() say n (--threads); 0: what the machine allows. [main] */
void cpu_count_set(int n);

/* Run body over [0, n) in pieces of at least grain on cpu_count() threads. Pieces depend
 * on n, grain and cpu_count() alone, and start at multiples of grain. Calls from inside
 * a body, or while another thread uses the pool, run on the calling thread. */
void parallel_for(int64_t n, int64_t grain, void (*body)(void *arg, int64_t lo, int64_t hi),
                  void *arg);

#endif /* CORE_BASE_BASE_H */
