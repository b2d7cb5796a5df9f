/*
 * parts.h - what the files of core/prepare share: frames between a child and the run, the
 * child itself, and how it is locked down.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_PREPARE_PARTS_H
#define CORE_PREPARE_PARTS_H

#include "core/prepare/prepare.h"
#include "hone/hone.h"

/* -------------------------------------------------------------------- frames */

/* A frame is a length (u32, of what follows), a type (u8) and fields; numbers are
 * little-endian, strings a u32 length and bytes. A child is not trusted: everything it
 * says is checked while it is decoded. */
#define FRAME_REQUEST 1 /* to the child, the document's descriptor with it: name          */
#define FRAME_FINISH 2  /* to the child: run the recipes' finish()                        */
#define FRAME_READY \
    3 /* from the child: plugins are open, it is locked down; 1: it needs all documents */
#define FRAME_SAMPLE 4 /* recipe, n segments of (role, learn, start, length, text)       */
#define FRAME_LOST 5   /* who (0: reader, 1 + k: recipe k), bytes, why                   */
#define FRAME_META 6   /* key, value; "unit" before the samples whose spans it is of     */
#define FRAME_DONE 7   /* status, blocks, message: ends a request                        */
#define FRAME_NOTE 8   /* a line for the report                                          */

#define FRAME_LIMIT (256u << 20) /* bytes of one frame at most */

typedef struct frame {
    uint8_t type;
    const uint8_t *p; /* borrowed: the fields that are not read yet */
    size_t n;
    bool bad; /* a read went past the end, or a text was no UTF-8 */
} frame;

/* Fields of the frame in the order they were written; 0 or "" once bad. */
uint32_t frame_u32(frame *f);
uint64_t frame_u64(frame *f);
hone_str frame_str(frame *f);

/* The next whole frame of buf[0..n): *used bytes. HONE_ERR_SKIP: not all there yet;
 * HONE_ERR_FORMAT: no frame of ours. */
HONE_MUST_CHECK hone_status frame_next(frame *out, const uint8_t *buf, size_t n, size_t *used,
                                       hone_error *err);

/* Begin a frame in t, add fields, end it (patches the length; *at from begin). */
size_t frame_begin(text *t, uint8_t type);
void frame_put_u32(text *t, uint32_t x);
void frame_put_u64(text *t, uint64_t x);
void frame_put_str(text *t, hone_str s);
void frame_end(text *t, size_t at);

/* -------------------------------------------------------------------- children */

/* A recipe of the run, as the child opens it. */
typedef struct recipe_choice {
    const char *name; /* borrowed from the options                     */
    component_row row;
    const json_t *json; /* borrowed: its options, or NULL                */
} recipe_choice;

/* A reader some document needs. */
typedef struct reader_choice {
    component_row row;
    char *name;         /* owned: unambiguous */
    const json_t *json; /* borrowed, or NULL  */
} reader_choice;

typedef struct crew { /* what every child of a run is started with */
    registry *plugins;
    const reader_choice *readers;
    size_t n_readers;
    const recipe_choice *recipes;
    size_t n_recipes;
    int64_t memory_bytes, timeout_seconds;
} crew;

/* The body of a child: opens components, locks itself down, answers requests on fd until it is
 * closed. Never returns. */
_Noreturn void child_run(const crew *c, int fd);

/* Give up what a reader or recipe never needs: files, processes, the network, more memory than
 * its share. Called after plugins are mapped. What the kernel cannot do is left out: limits
 * always work, landlock needs Linux 5.13, seccomp x86-64 or aarch64. */
HONE_MUST_CHECK hone_status lockdown(int64_t memory_bytes, hone_error *err);

/* One descriptor with one byte: SCM_RIGHTS. */
HONE_MUST_CHECK hone_status send_descriptor(int socket, int fd, hone_error *err);
int receive_descriptor(int socket); /* -1: closed, or none came */
bool write_all(int fd, const void *p, size_t n);
bool read_all(int fd, void *p, size_t n);

/* ----------------------------------------------------------------------- report */

typedef struct document { /* one file of the sources */
    char *path;           /* owned */
    const char *shown;    /* path as reports and samples name it; borrowed from path */
    size_t reader;        /* index into crew.readers */
    uint64_t bytes, blocks;
    sample *samples; /* owned, until written */
    size_t n, cap;
    json_t *meta;  /* owned: {"title": "...", ...}, or NULL */
    json_t *notes; /* owned: ["...", ...], or NULL */
    json_t *lost;  /* owned: {"why": bytes}, or NULL */
    uint64_t lost_bytes;
    hone_status status; /* HONE_OK, HONE_ERR_SKIP, or why it failed */
    char *message;      /* owned, or NULL */
    bool finished;
} document;
void document_finish(document *d);

/* ---------------------------------------------------------------------- the run */

typedef struct worker {
    pid_t pid; /* 0: none */
    int fd;
    bool ready;      /* FRAME_READY came */
    int64_t doc;     /* the document at hand, -1: none, -2: finish() */
    double deadline; /* clock_now() at which it is taken from the child */
    uint8_t *in;     /* owned: bytes received and not decoded */
    size_t n_in, cap_in;
} worker;

typedef struct run {
    const prepare_options *o;
    crew crew;
    const json_t *reader_options;
    reader_choice *readers;
    size_t cap_readers;
    recipe_choice *recipes;
    document *docs;
    size_t n_docs, cap_docs;
    document last;        /* what finish() gives */
    size_t hidden;        /* bytes of paths that are not shown; see sources.c */
    size_t next, written; /* documents handed out; documents written */
    worker *workers;
    size_t n_workers;
    bool asked;     /* the first child has said what its recipes need */
    bool needs_all; /* a recipe has finish(): one process must see all documents */
    file_writer *out;
    uint64_t *seen; /* owned: open-addressed set of sample ids, 0 = free */
    size_t n_seen, cap_seen;
    prepare_report *report;
    json_t *no_reader, *lost, *documents; /* owned by report->detail */
} run;

/* sources.c */
HONE_MUST_CHECK hone_status list_documents(run *r, hone_error *err);
HONE_MUST_CHECK hone_status list_recipes(run *r, const json_t *recipe_options, hone_error *err);
/* Options of a recipe that is not installed are a mistake; readers may be configured for
 * files that are not there today. */
HONE_MUST_CHECK hone_status check_recipe_options(const run *r, const json_t *recipe_options,
                                                 hone_error *err);
/* causes[key] += by */
HONE_MUST_CHECK hone_status count_cause(json_t *causes, const char *key, json_int_t by,
                                        hone_error *err);

/* worker.c */
HONE_MUST_CHECK hone_status worker_start(run *r, worker *w, hone_error *err);
/* Ends the child, if there is one; *status (may be NULL) gets how it ended. */
void worker_stop(worker *w, bool kill_it, int *status);
/* Document `index` to the child, or -2: the recipes' finish(). */
HONE_MUST_CHECK hone_status hand_out(run *r, worker *w, int64_t index, hone_error *err);
/* One frame of a child. A failure that is the child's own has *fault set. */
HONE_MUST_CHECK hone_status take_frame(run *r, worker *w, frame *f, bool *fault, hone_error *err);
/* Receive and take what has come. */
HONE_MUST_CHECK hone_status worker_read(run *r, worker *w, hone_error *err);
/* The child is gone (why NULL), or is ended because of `why`: its document has failed, the next
 * gets a new child. */
HONE_MUST_CHECK hone_status worker_lost(run *r, worker *w, const char *why, hone_error *err);

/* output.c */
/* The document whose turn it is: samples out, report, memory back. */
HONE_MUST_CHECK hone_status write_document(run *r, document *d, hone_error *err);

#endif /* CORE_PREPARE_PARTS_H */
