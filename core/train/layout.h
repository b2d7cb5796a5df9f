/*
 * layout.h - where every byte of optimizer state is: parameters in pieces, pieces in pages.
 *
 * Private to the room. Known before anything is allocated, so that a plan can be made of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_TRAIN_LAYOUT_H
#define CORE_TRAIN_LAYOUT_H

#include "core/train/parts.h"
#include "core/train/states.h"

enum { PLANE_CODES, PLANE_SCALES, N_PLANES };

typedef struct plane {
    uint64_t at, bytes; /* in the page; bytes 0: there is none */
} plane;

/* Elements [first, first + count) of a parameter; first is a multiple of STATE_BLOCK. */
typedef struct piece {
    size_t param, page;
    int64_t first, count;
    plane planes[HONE_OPTIMIZER_MAX_STATES][N_PLANES];
} piece;

/* A tensor of a checkpoint. */
typedef struct layout_saved {
    size_t param;
    uint32_t state, plane;
} layout_saved;

typedef struct layout {
    const state_format *formats[2][HONE_OPTIMIZER_MAX_STATES]; /* [1]: of small parameters */
    uint32_t n_states;
    bool *small;     /* owned, of each parameter: too small for blocks */
    int64_t *number; /* owned: of a parameter's first element, for random numbers */
    piece *pieces;   /* owned, in the order of parameters and pages */
    size_t n_pieces, pieces_cap;
    size_t *of_param;     /* owned, one more than parameters: its first piece */
    size_t *first_piece;  /* owned, n_pages + 1 */
    uint64_t *page_bytes; /* owned */
    size_t n_pages, first_cap, bytes_cap;
    layout_saved *saved; /* owned */
    size_t n_saved, saved_cap;
} layout;

/* page_bytes: of a page at most. */
HONE_MUST_CHECK hone_status layout_make(layout *out, const param *params, size_t n,
                                        const hone_state *states, uint32_t n_states,
                                        uint64_t page_bytes, hone_error *err);
void layout_finish(layout *l);
/* Of each state of a parameter. */
const state_format *const *layout_formats(const layout *l, size_t index);

#endif /* CORE_TRAIN_LAYOUT_H */
