/*
 * path.c - the headings above a place of a document.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "split.h"

static bool is_heading(const hone_block *b)
{
    return b->kind == HONE_BLOCK_HEADING && b->level >= 1 && b->level <= SPLIT_LEVELS &&
           b->text.n <= SPLIT_MAX_HEADING;
}

/* Headings of the stack that one of this level does not end. */
static uint32_t above_level(const splitter *s, uint32_t level)
{
    uint32_t n = s->n_stack;
    while (n && s->blocks[s->stack[n - 1]].level >= level)
        n--;
    return n;
}

hone_status find_above(splitter *s, place at, hone_error *err)
{
    hone_text_clear(&s->above);
    s->above_size = 0;
    if (!s->path)
        return HONE_OK;
    for (; s->stack_at < at.block + (at.off > 0); s->stack_at++) {
        const hone_block *b = &s->blocks[s->stack_at];
        if (!is_heading(b))
            continue;
        s->n_stack = above_level(s, b->level);
        s->stack[s->n_stack++] = s->stack_at;
    }
    const bool begins = at.off == 0 && is_heading(&s->blocks[at.block]);
    const uint32_t n = begins ? above_level(s, s->blocks[at.block].level) : s->n_stack;
    for (uint32_t first = 0; first < n; first++) {
        hone_text_clear(&s->above);
        for (uint32_t i = first; i < n; i++) {
            render_slice(s, s->stack[i], 0, s->blocks[s->stack[i]].text.n, &s->above);
            hone_text_puts(&s->above, "\n\n");
        }
        const hone_status st = measure(s, &s->above, &s->above_size, err);
        if (st != HONE_OK || s->above_size <= s->budget / 2)
            return st;
    }
    hone_text_clear(&s->above);
    s->above_size = 0;
    return HONE_OK;
}
