/*
 * parts.h - what the files of core/prepare share: frames between a child and the run, the
 * child itself, and how it is locked down.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_PREPARE_PARTS_H
#define CORE_PREPARE_PARTS_H

#include "core/prepare/prepare.h"
#include "core/prepare/walk.h"
#include "hone/hone.h"

#include <time.h>

/* -------------------------------------------------------------------- frames */

/* A frame is a length (u32, of what follows), a type (u8) and fields; numbers are
 * little-endian, strings a u32 length and bytes. A child is not trusted: everything it
 * says is checked while it is decoded. */
#define FRAME_REQUEST 1 /* to the child, the document's descriptor with it: name          */
#define FRAME_FINISH 2  /* to the child: run the recipes' finish()                        */
#define FRAME_READY \
    3 /* from the child: plugins are open, it is locked down; 1: it needs all documents */
#define FRAME_SAMPLE \
    4 /* recipe, tokens of the sample it is a part of or 0, n segments of (role, learn,
                          start, length, text), prompt */
#define FRAME_LOST 5     /* who (0: reader, 1 + k: recipe k), bytes, why                   */
#define FRAME_META 6     /* key, value; "unit" before the samples whose spans it is of     */
#define FRAME_DONE 7     /* status, blocks, message: ends a request                        */
#define FRAME_NOTE 8     /* a line for the report                                          */
#define FRAME_DROPPED 13 /* who (1 + k: recipe k), how many, why: made and not used      */

#define FRAME_LAST 14 /* from the child, before FRAME_DONE: it ends after this document */
#define FRAME_AGAIN \
    15 /* from the child, which ends: nothing it said of the document counts, \
                          another is to read it */
/* From a process that unpacks an archive: */
#define FRAME_ENTRY 9 /* name: a document follows                      */
#define FRAME_DATA 10 /* bytes of it                                   */
#define FRAME_END 11  /* 1 if it is whole; else left_out, why: ends it */
#define FRAME_LEFT 12 /* left_out, name, why: an entry that is not read */

#define FRAME_LIMIT (64u << 20) /* bytes of one frame at most */

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
hone_str frame_bytes(frame *f); /* the same, of any bytes */

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
    char *exec;         /* owned: a program (exec.h), its path; NULL: a plugin */
    char version[20];   /* ... its file's hash ...                       */
    hone_note_row own;  /* ... and what row points to                    */
} recipe_choice;

/* A reader some document needs. */
typedef struct reader_choice {
    component_row row;
    char *name;         /* owned: unambiguous */
    const json_t *json; /* borrowed, or NULL  */
    bool perhaps;       /* an archive may hold documents for it: it may fail to open */
    uint8_t key[32];    /* of plugin and options, for the cache */
} reader_choice;

typedef struct crew { /* what every child of a run is started with */
    registry *plugins;
    const reader_choice *readers;
    size_t n_readers;
    const recipe_choice *recipes;
    size_t n_recipes;
    int64_t memory_bytes, timeout_seconds;
    hone_list exec_paths; /* borrowed: what a recipe's program may read and run */
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

/* ------------------------------------------------------------------------ spool */

/* What a child said of a document, frame by frame, until the document's turn comes. Small ones
 * stay in memory. */
typedef struct spool {
    text head;
    int fd; /* 0: none; a file without a name, or an entry of the cache */
    uint64_t n, start;
} spool;

/* folder: where a file without a name may lie. */
HONE_MUST_CHECK hone_status spool_add(spool *s, const char *folder, const void *p, size_t n,
                                      hone_error *err);
void spool_finish(spool *s);

typedef struct spool_reader {
    const spool *s; /* borrowed */
    uint64_t at;    /* bytes handed out */
    uint8_t *buf;   /* owned */
    size_t n, used, cap;
} spool_reader;
/* HONE_ERR_NOTFOUND: no frame is left. f is borrowed until the next call. */
HONE_MUST_CHECK hone_status spool_next(spool_reader *r, frame *f, hone_error *err);
void spool_reader_finish(spool_reader *r);
/* A file in folder that no name leads to. */
HONE_MUST_CHECK hone_status nameless_file(int *fd, const char *folder, hone_error *err);

/* ------------------------------------------------------------------------ documents */

#define KEY_BYTES 32

typedef struct document {
    char *shown;   /* owned: its name in samples and reports */
    char *path;    /* owned: where to open it; NULL: fd has it */
    int fd;        /* owned: an archive's entry in memory; 0: none */
    size_t reader; /* index into crew.readers */
    uint64_t bytes, blocks;
    bool sourced; /* false: what finish() of the recipes gives, of no document */
    bool counted; /* one of the files that progress is shown of */
    spool said;
    uint64_t n;    /* samples in it */
    json_t *meta;  /* owned: {"title": "...", ...}, or NULL */
    json_t *notes; /* owned: ["...", ...], or NULL */
    json_t *lost;  /* owned: {"why": bytes}, or NULL */
    uint64_t lost_bytes;
    json_t *dropped;    /* owned: {"why": how many}, or NULL */
    hone_status status; /* HONE_OK, HONE_ERR_SKIP, or why it failed */
    char *message;      /* owned, or NULL */
    bool finished;
    bool again;              /* a child has handed it back: once is enough */
    bool cached;             /* said comes from the cache */
    bool keyed;              /* key is known: it may go to the cache */
    struct timespec changed; /* of the file, when its key was made */
    uint8_t key[KEY_BYTES];
} document;
void document_finish(document *d);

/* ---------------------------------------------------------------------- the run */

typedef struct worker {
    pid_t pid; /* 0: none */
    int fd;
    struct asks *asks; /* owned: its prompts (asks.h); NULL: none */
    bool ready;        /* FRAME_READY came */
    bool ending;       /* FRAME_LAST came */
    int64_t doc;       /* number of the document at hand, -1: none, -2: finish() */
    int64_t again;     /* 1 + number of a document for the next child, 0: none */
    double deadline;   /* clock_now() at which it is taken from the child */
    uint8_t *in;       /* owned: bytes received and not decoded */
    size_t n_in, cap_in;
} worker;

/* Files of the report, a JSON object a line. */
enum report_file {
    FILE_DOCUMENTS,
    FILE_LEFT_OUT,
    FILE_FAILED,
    FILE_DUPLICATES,
    FILE_NEAR,
    REPORT_FILES
};

/* ------------------------------------------------------------------------ stage.c */

typedef struct id_set { /* open-addressed set of sample ids and who had them first */
    struct id_slot {
        uint64_t id; /* 0: free */
        uint32_t doc;
    } * slots; /* owned */
    size_t n, cap;
} id_set;

typedef struct near_slot {
    uint32_t tag, sample; /* of a band; 1 + the first sample with it, 0: free */
} near_slot;

typedef struct near_index {
    near_slot *slots; /* owned, mapped */
    size_t n_slots, cap_slots;
} near_index;
void near_finish(near_index *x);

typedef struct staged {  /* a document's samples */
    uint64_t start, end; /* bytes of the stage */
    uint64_t name;       /* hash of the name, or folder, that is split by */
    uint32_t samples, group, index;
    bool val;
} staged;

typedef struct staged_line {
    uint64_t at;
    uint32_t doc;
} staged_line;

typedef struct stage {
    int fd;
    text buf; /* not in the file yet */
    uint64_t flushed;
    id_set ids;
    near_index near;
    staged_line *lines; /* owned */
    size_t n_lines, cap_lines;
    staged *docs; /* owned */
    size_t n_docs, cap_docs;
} stage;

#define NEAR_COUNT 0 /* prepare.near, in the order of its words */
#define NEAR_DROP 1
#define NEAR_OFF 2

typedef struct stage_rules {
    int64_t near; /* NEAR_* */
    double threshold;
    const char *folder; /* of temporary files */
} stage_rules;

#define STAGE_NEW 0
#define STAGE_SAME 1
#define STAGE_NEAR 2

typedef struct stage_answer {
    int what;    /* STAGE_* */
    double like; /* near: Jaccard */
    char id[20]; /* near: the earlier sample ... */
    char *file;  /* owned: ... and where it is from */
} stage_answer;

HONE_MUST_CHECK hone_status stage_open(stage *s, const char *folder, hone_error *err);
void stage_finish(stage *s);
/* The samples that follow are of a new document. */
HONE_MUST_CHECK hone_status stage_document(stage *s, uint64_t name, hone_error *err);
/* x has its id. Kept unless it is the same as an earlier one, or near one that rules drop. */
HONE_MUST_CHECK hone_status stage_add(stage *s, sample *x, uint32_t recipe,
                                      const stage_rules *rules, stage_answer *a, hone_error *err);
/* All lines in order, about `share` of them to val. */
HONE_MUST_CHECK hone_status stage_write(stage *s, double share, uint64_t seed, file_writer *train,
                                        file_writer *val, int64_t *n_val, hone_error *err);

/* join.c: samples made of parts that come from several documents */
typedef struct joined {
    sample s;      /* owned: the parts so far */
    text words;    /* their text */
    int64_t count; /* tokens, as the parts were counted */
    size_t last;   /* the last part's first segment */
} joined;

typedef struct run {
    const prepare_options *o;
    const prepare_input *in;
    crew crew;
    reader_choice *readers;
    size_t cap_readers;
    recipe_choice *recipes;
    size_t fallback; /* the reader of text that no reader claims; SIZE_MAX: none */

    /* Documents on their way: numbers [written, next_in) are in the ring, those from next_out on
     * wait for a child. */
    document *ring; /* owned */
    size_t n_ring;
    uint64_t written, next_out, next_in;
    uint64_t waiting_bytes; /* of documents in memory */
    document last;          /* what finish() gives */

    struct without {
        char *path; /* owned: absolute */
        int64_t hits;
    } * without;   /* owned, one for each of in->without */
    size_t hidden; /* bytes of paths that are not shown; see sources.c */
    bool counting; /* the first walk: only counts */
    worker *workers;
    size_t n_workers;
    bool asked;           /* the first child has said what its recipes need */
    bool needs_all;       /* a recipe has finish(): one process must see all documents */
    joined *joined;       /* owned: one per recipe; NULL until one is needed */
    uint64_t joined_name; /* split_name() of the document it ends with */

    uint8_t config_key[KEY_BYTES]; /* of readers, recipes, tokenizer: what all documents share */
    char *cache;                   /* owned: folder, or NULL */
    file_writer *out, *files[REPORT_FILES];
    stage stage;
    file_writer *val;
    prepare_report *report;
    prepare_progress progress;
    double began;
    struct timespec started;
    json_t *no_reader, *lost, *notes, *dropped; /* borrowed from report->detail */
} run;

/* sources.c */
HONE_MUST_CHECK hone_status list_recipes(run *r, hone_error *err);
/* Options of a recipe that is not installed are a mistake; readers may be configured for
 * files that are not there today. */
HONE_MUST_CHECK hone_status check_recipe_options(const run *r, hone_error *err);
/* Walks the sources: first (r->counting) to count files and find their readers, then to hand
 * them out. */
HONE_MUST_CHECK hone_status walk_sources(run *r, hone_error *err);
/* What reads a file of this name: a reader's index, or one of these. */
#define KIND_ARCHIVE (SIZE_MAX - 1)
#define KIND_NONE (SIZE_MAX - 2)
size_t kind_of(const run *r, const char *name);
bool is_excluded(const run *r, const char *path);
bool is_without(const run *r, const char *path, const char *shown);
HONE_MUST_CHECK hone_status without_open(run *r, hone_error *err);
/* Each must have named something. */
HONE_MUST_CHECK hone_status without_check(const run *r, hone_error *err);
bool looks_binary(const void *p, size_t n);
/* A file or entry that is not read: counted, named, and maybe the end of the run. */
HONE_MUST_CHECK hone_status left_over(run *r, const char *shown, left_out why, const char *said,
                                      hone_error *err);
/* causes[key] += by */
HONE_MUST_CHECK hone_status count_cause(json_t *causes, const char *key, json_int_t by,
                                        hone_error *err);

/* prepare.c */
/* One more document; what d owns is the run's. Returns once there is room for the next. */
HONE_MUST_CHECK hone_status submit(run *r, document *d, hone_error *err);
/* Give and take what is possible now, waiting a little when nothing is. also: another descriptor
 * that is looked at, or -1; *ready: there is something to read on it. */
HONE_MUST_CHECK hone_status step(run *r, int also, bool *ready, hone_error *err);

/* archive.c */
/* The documents of an archive at path. */
HONE_MUST_CHECK hone_status read_archive(run *r, const char *path, const char *shown,
                                         hone_error *err);
/* unpack.c: the body of the process that unpacks. Never returns. */
_Noreturn void unpack_run(const run *r, int socket, int archive, const char *shown);
/* Its work on bytes in memory, for fuzzing too: frames go to send. */
typedef struct unpack_limits {
    uint64_t entry_bytes, total_bytes, entries;
    double ratio;
    int depth;
} unpack_limits;
HONE_MUST_CHECK hone_status unpack_bytes(const run *r, const unpack_limits *limits,
                                         const uint8_t *p, size_t n, const char *shown,
                                         bool (*send)(void *ctx, const void *p, size_t n),
                                         void *ctx, hone_error *err);
unpack_limits unpack_limits_of(const prepare_options *o);

/* worker.c */
HONE_MUST_CHECK hone_status worker_start(run *r, worker *w, hone_error *err);
/* A child with a socket: in the child *pid is 0 and *fd its end. */
HONE_MUST_CHECK hone_status start_process(pid_t *pid, int *fd, hone_error *err);
int keep_only(int fd, int *also);
/* Ends the child, if there is one; *status (may be NULL) gets how it ended. */
void worker_stop(worker *w, bool kill_it, int *status);
/* Document number `index` to the child, or -2: the recipes' finish(). */
HONE_MUST_CHECK hone_status hand_out(run *r, worker *w, int64_t index, hone_error *err);
/* A frame about d. A failure that is the child's own has *fault set. out: the sample of a
 * FRAME_SAMPLE, or NULL where it is only checked. */
HONE_MUST_CHECK hone_status take_about(run *r, document *d, frame *f, sample *out, bool *fault,
                                       hone_error *err);
/* One frame of a child. */
HONE_MUST_CHECK hone_status take_frame(run *r, worker *w, frame *f, bool *fault, hone_error *err);
/* Receive and take what has come. */
HONE_MUST_CHECK hone_status worker_read(run *r, worker *w, hone_error *err);
/* The child is gone (why NULL), or is ended because of `why`: its document has failed, the next
 * gets a new child. */
HONE_MUST_CHECK hone_status worker_lost(run *r, worker *w, const char *why, hone_error *err);
const char *how_it_ended(int status, char *buf, size_t n);
HONE_MUST_CHECK hone_status keep_message(document *d, hone_status status, hone_str said,
                                         hone_error *err);
static inline document *ring_at(run *r, uint64_t number)
{
    return &r->ring[number % r->n_ring];
}

/* cache.c */
#define SMALL_ENTRY (128u << 10) /* bytes that are kept in memory */
HONE_MUST_CHECK hone_status cache_open(run *r, hone_error *err);
/* Drops what has been said of it so far. */
void forget_answer(document *d);
/* True: d is finished, with what is known of it. */
bool cache_find(run *r, document *d);
void cache_keep(run *r, const document *d);
/* Within its size again; after the run. */
void cache_trim(const run *r);

/* join.c */
/* Takes *part into the recipe's sample; one that is full goes to write(). */
HONE_MUST_CHECK hone_status join_part(run *r, sample *part,
                                      hone_status (*write)(void *ctx, sample *s, hone_error *err),
                                      void *ctx, hone_error *err);
/* The samples that are not full, after the last document. */
HONE_MUST_CHECK hone_status join_end(run *r,
                                     hone_status (*write)(void *ctx, sample *s, hone_error *err),
                                     void *ctx, hone_error *err);
void join_finish(run *r);

/* output.c */
/* What is joined of several documents, after the last. */
HONE_MUST_CHECK hone_status write_joined(run *r, hone_error *err);
HONE_MUST_CHECK hone_status output_open(run *r, hone_error *err);
/* The document whose turn it is: samples out, report, memory back. */
HONE_MUST_CHECK hone_status write_document(run *r, document *d, hone_error *err);
HONE_MUST_CHECK hone_status output_commit(run *r, hone_error *err);
void output_abort(run *r);
/* A line of one of the report's files; o is given up. */
HONE_MUST_CHECK hone_status report_line(run *r, enum report_file file, json_t *o, hone_error *err);

#endif /* CORE_PREPARE_PARTS_H */
