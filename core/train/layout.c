/*
 * layout.c - where every byte of optimizer state is: see layout.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/layout.h"

#include <stdlib.h>

#define ALIGN UINT64_C(64)       /* of planes, bytes */
#define NUMBER_ALIGN INT64_C(64) /* of a parameter's first element */

static uint64_t padded(uint64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

const state_format *const *layout_formats(const layout *l, size_t index)
{
    return l->formats[l->small[index]];
}

/* Planes of `count` elements from byte `at` on; where they end is returned. */
static uint64_t planes_of(plane planes[][N_PLANES], const state_format *const *formats,
                          uint32_t n_states, int64_t count, uint64_t at)
{
    uint32_t k;
    for (k = 0; k < n_states; k++) {
        planes[k][PLANE_CODES] = (plane){ at, state_code_bytes(formats[k], count) };
        at += padded(planes[k][PLANE_CODES].bytes);
        planes[k][PLANE_SCALES] = (plane){ at, state_scale_bytes(formats[k], count) };
        at += padded(planes[k][PLANE_SCALES].bytes);
    }
    return at;
}

/* As many elements of a piece as fit into `room` bytes: whole blocks, or all of `left`. */
static int64_t fitting(const state_format *const *formats, uint32_t n_states, int64_t left,
                       uint64_t room)
{
    const uint64_t slack = 2 * ALIGN * n_states;
    uint64_t block = 0;
    uint32_t k;
    for (k = 0; k < n_states; k++)
        block += state_code_bytes(formats[k], STATE_BLOCK) + state_scale_bytes(formats[k], 1);
    if (!block)
        return left;
    if (room <= slack)
        return 0;
    room = (room - slack) / block;
    return room > (uint64_t)(left / STATE_BLOCK) ? left : (int64_t)room * STATE_BLOCK;
}

static bool new_page(layout *l)
{
    if (!mem_grow(&l->first_piece, &l->first_cap, l->n_pages + 2, sizeof *l->first_piece) ||
        !mem_grow(&l->page_bytes, &l->bytes_cap, l->n_pages + 1, sizeof *l->page_bytes))
        return false;
    l->first_piece[l->n_pages] = l->n_pieces;
    l->n_pages++;
    l->first_piece[l->n_pages] = l->n_pieces;
    l->page_bytes[l->n_pages - 1] = 0;
    return true;
}

static bool add_param(layout *l, size_t index, int64_t elements, uint64_t page_bytes)
{
    const state_format *const *formats = layout_formats(l, index);
    int64_t first = 0;
    l->of_param[index] = l->n_pieces;
    while (first < elements) {
        uint64_t *used = &l->page_bytes[l->n_pages - 1];
        const int64_t left = elements - first;
        const int64_t count = fitting(formats, l->n_states, left, page_bytes - *used);
        piece *p;
        /* Rather a new page than the end of one and more pieces than it takes. */
        if (count < left && *used && fitting(formats, l->n_states, left, page_bytes) > count) {
            if (!new_page(l))
                return false;
            continue;
        }
        if (!mem_grow(&l->pieces, &l->pieces_cap, l->n_pieces + 1, sizeof *l->pieces))
            return false;
        p = &l->pieces[l->n_pieces++];
        *p = (piece){ .param = index, .page = l->n_pages - 1, .first = first, .count = count };
        *used = planes_of(p->planes, formats, l->n_states, count, *used);
        l->first_piece[l->n_pages] = l->n_pieces;
        first += count;
    }
    l->of_param[index + 1] = l->n_pieces;
    return true;
}

static bool add_saved(layout *l, size_t index)
{
    uint32_t k, which;
    for (k = 0; k < l->n_states; k++)
        for (which = 0; which < N_PLANES; which++) {
            if (which == PLANE_SCALES && !layout_formats(l, index)[k]->blocks)
                continue;
            if (!mem_grow(&l->saved, &l->saved_cap, l->n_saved + 1, sizeof *l->saved))
                return false;
            l->saved[l->n_saved++] = (layout_saved){ index, k, which };
        }
    return true;
}

hone_status layout_make(layout *l, const param *params, size_t n, const hone_state *states,
                        uint32_t n_states, uint64_t page_bytes, hone_error *err)
{
    static const hone_state plain = { .format = "f32" };
    int64_t number = 0, min_elements = 0;
    size_t i;
    uint32_t k;
    bool ok;
    *l = (layout){ .n_states = n_states };
    for (k = 0; k < n_states; k++) {
        const state_format *f = state_format_find(&states[k]);
        l->formats[0][k] = f;
        l->formats[1][k] = f->blocks ? state_format_find(&plain) : f;
        if (f->blocks && states[k].min_elements > min_elements)
            min_elements = states[k].min_elements;
    }
    l->small = mem_new(n, sizeof *l->small);
    l->number = mem_new(n, sizeof *l->number);
    l->of_param = mem_new(n + 1, sizeof *l->of_param);
    ok = l->small && l->number && l->of_param && new_page(l);
    for (i = 0; ok && i < n; i++) {
        const int64_t elements = params[i].rows * params[i].cols;
        l->small[i] = elements < min_elements;
        l->number[i] = number;
        number += (elements + NUMBER_ALIGN - 1) / NUMBER_ALIGN * NUMBER_ALIGN;
        ok = add_param(l, i, elements, page_bytes) && add_saved(l, i);
    }
    if (ok)
        return HONE_OK;
    layout_finish(l);
    return hone_fail(err, HONE_ERR_NOMEM, "no memory for the places of %zu parameters", n);
}

void layout_finish(layout *l)
{
    free(l->small);
    free(l->number);
    free(l->pieces);
    free(l->of_param);
    free(l->first_piece);
    free(l->page_bytes);
    free(l->saved);
    *l = (layout){ 0 };
}
