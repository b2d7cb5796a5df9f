/*
 * states.h - optimizer state: how it is stored (format.c), where it lies (store.c) and how
 * it gets to the device when it lies elsewhere (paging.c, pagefile.c).
 *
 * Private to the room. The states of all parameters are cut into pages of bytes. A page
 * that was fetched is there for ops queued from then on, until it is released; a store
 * that holds everything on the device has one page and does nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_TRAIN_STATES_H
#define CORE_TRAIN_STATES_H

#include "core/train/train.h"
#include "hone/optimizer.h"

/* ------------------------------------------------------------------ format.c */

#define STATE_BLOCK 256 /* elements that share a scale */
#define STATE_BLOCK_SHIFT 8

typedef struct state_format {
    const char *name;
    uint32_t dtype; /* of a stored element                      */
    bool blocks;    /* codes of a map, with a scale to a block  */
    bool is_signed; /* which map                                */
} state_format;

/* NULL: none is called so. */
const state_format *state_format_find(const hone_state *s);
extern const char state_format_names[];
/* Bytes of n elements: of codes (or values), and of scales. */
uint64_t state_code_bytes(const state_format *f, int64_t n);
uint64_t state_scale_bytes(const state_format *f, int64_t n);

/* The 256 values of a map, ascending. */
void state_map(float map[256], bool is_signed);

/* A program whose states are loaded and stored as their formats say. States with blocks
 * take the buffer of their codes in the plain program's place, and one more for scales:
 * those of the k-th such state are buffer n_bufs(plain) + k. */
typedef struct state_program {
    hone_ew_program program; /* points into the arrays below */
    hone_ew_insn insns[HONE_EW_MAX_INSNS];
    float lut[HONE_EW_MAX_LUT];
} state_program;

HONE_MUST_CHECK hone_status state_program_make(state_program *out, const hone_ew_program *plain,
                                               const state_format *const *formats,
                                               uint32_t n_states, hone_error *err);

/* ------------------------------------------------------------------- store.c */

typedef struct store store;

typedef struct store_options {
    bool paged;
    uint64_t limit;  /* paged: bytes of host memory */
    const char *dir; /* paged: where the file is put; borrowed for the call */
} store_options;

typedef struct store_memory {
    uint64_t device, host, file; /* bytes */
} store_memory;

/* The size pages should have at most. */
uint64_t store_page_bytes(const store_options *how);
/* What store_open() will allocate. unified: HONE_DEV_UNIFIED of the device. */
HONE_MUST_CHECK hone_status store_plan(store_memory *out, const uint64_t *bytes, size_t n_pages,
                                       const store_options *how, bool unified, hone_error *err);
/* bytes: of each page. Contents are undefined. */
HONE_MUST_CHECK hone_status store_open(store **out, ops *o, const uint64_t *bytes, size_t n_pages,
                                       const store_options *how, hone_error *err);
void store_close(store *s); /* NULL is fine */
store_memory store_bytes(const store *s);

/* Pages are fetched in their order, or the other way round when backward: turning round
 * finds the last ones still in memory. [main] */
HONE_MUST_CHECK hone_status store_fetch(store *s, size_t page, bool backward, hone_buf *buf,
                                        uint64_t *offset, hone_error *err);
/* Ops that write the page have been queued. */
HONE_MUST_CHECK hone_status store_release(store *s, size_t page, hone_error *err);

/* Bytes of a page from and to the host; they wait. No page is fetched meanwhile. */
HONE_MUST_CHECK hone_status store_read(store *s, size_t page, uint64_t at, void *p, uint64_t bytes,
                                       hone_error *err);
HONE_MUST_CHECK hone_status store_write(store *s, size_t page, uint64_t at, const void *p,
                                        uint64_t bytes, hone_error *err);

/* ------------------------------------------------------------------ paging.c */

typedef struct paging paging;

HONE_MUST_CHECK hone_status paging_plan(store_memory *out, const uint64_t *bytes, size_t n_pages,
                                        const store_options *how, bool unified, hone_error *err);
HONE_MUST_CHECK hone_status paging_open(paging **out, ops *o, const uint64_t *bytes, size_t n_pages,
                                        const store_options *how, hone_error *err);
void paging_close(paging *p);
store_memory paging_bytes(const paging *p);
HONE_MUST_CHECK hone_status paging_fetch(paging *p, size_t page, bool backward, hone_buf *buf,
                                         uint64_t *offset, hone_error *err);
HONE_MUST_CHECK hone_status paging_release(paging *p, size_t page, hone_error *err);
/* Put everything where it belongs, and forget what lies in the ring. */
HONE_MUST_CHECK hone_status paging_settle(paging *p, hone_error *err);
/* Between paging_settle() and the next fetch. out true: from memory to the page. */
HONE_MUST_CHECK hone_status paging_move(paging *p, size_t page, uint64_t at, void *mem,
                                        uint64_t bytes, bool out, hone_error *err);

/* ---------------------------------------------------------------- pagefile.c */

/* A file without a name, gone with the process however that ends, and a thread that reads
 * and writes it in the order it is asked to. */
typedef struct pagefile pagefile;

/* All of its bytes are allocated on the disk before it is used. slots: jobs at a time. */
HONE_MUST_CHECK hone_status pagefile_open(pagefile **out, const char *dir, uint64_t bytes,
                                          size_t slots, hone_error *err);
void pagefile_close(pagefile *f); /* NULL is fine */
/* Queue a job: bytes between the file at `at` and p, which is left alone until the ticket
 * is waited for. */
uint64_t pagefile_queue(pagefile *f, uint64_t at, void *p, uint64_t bytes, bool write);
bool pagefile_done(pagefile *f, uint64_t ticket);
/* The jobs up to this ticket are done, or one of them, or an earlier one, failed. */
HONE_MUST_CHECK hone_status pagefile_wait(pagefile *f, uint64_t ticket, hone_error *err);

#endif /* CORE_TRAIN_STATES_H */
