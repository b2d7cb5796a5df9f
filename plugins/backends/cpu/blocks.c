/*
 * blocks.c - a matrix product in blocks that fit the caches (Goto & van de Geijn 2008).
 *
 *   for columns of d, COLUMNS at a time
 *     for the inner dimension, DEEP at a time
 *       pack that block of b into panels of `wide` columns     shared by all threads
 *       for rows of d, some tiles at a time                    handed out to threads
 *         for panels, for tiles: registers, over the block's depth
 *
 * a is read where it lies unless its format or its stride is bad for that. The sum of an
 * element runs over the inner dimension in the same order and the same blocks whatever the
 * number of threads, and whoever takes an item: same bits.
 *
 * d^T = b^T a^T is the same product. It packs a instead of b, and stores tiles transposed: the
 * better choice when d has few rows and b is stored by columns (a weight in the forward pass).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdatomic.h>

#include "product.h"

enum {
    DEEP = 256,        /* a panel of 48 columns is 48 KiB */
    COLUMNS = 2016,    /* b's block: 2 MiB, streamed once per row block */
    TILES = 12,        /* of a row block: 108 rows x 256 are 108 KiB of the L2 */
    ITEMS_EACH = 4,    /* items per thread at least, to even out threads that are held up */
    NARROWEST = 480,   /* columns of an item */
    DIRECT_ROWS = 64,  /* so few rows of d do not pay for packing a b stored by rows */
    COPY_COLUMNS = 192 /* so many columns of d pay for copying a into tiles */
};

extern void GOMP_barrier(void);
extern int omp_get_thread_num(void);

typedef struct blocks {
    const cpu_kernels *k;
    const cpu_mm *mm;
    cpu_product p;
    bool direct, copy;          /* read b in place; copy a's blocks */
    int64_t tiles;              /* of d's rows, evenly cut */
    int64_t deep;               /* evenly cut, too */
    float *panels;              /* b's block */
    float *room;                /* room_each floats per thread: decoding, a's block */
    int64_t room_each, wide_at; /* a tile's rows in float32 stand at wide_at */
    int threads;
    atomic_llong next[2]; /* items handed out: packing, computing */
} blocks;

/* One block of b: columns [col, col + cols), inner [at, at + depth), and behind it the low-rank
 * addition when it is the last one. */
typedef struct stage {
    int64_t col, cols, at, depth, extra, panels;
} stage;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t ceiling(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t panel_floats(const blocks *w, const stage *s)
{
    return (s->depth + s->extra) * w->mm->wide;
}

static float *panel_of(const blocks *w, const stage *s, int64_t i)
{
    return w->panels + i * panel_floats(w, s);
}

/* A panel that lies in place is no panel of ours: whole panels of an unpacked b. */
static bool in_place(const blocks *w, const stage *s, int64_t i)
{
    return w->direct && (i + 1) * w->mm->wide <= s->cols;
}

/* Where tile t begins. */
static int64_t row_of(const blocks *w, int64_t t)
{
    return t * w->p.m / w->tiles;
}

/* An odd number of cache lines: rows of a block spread over all sets of the L1. */
static int64_t copy_step(int64_t rows)
{
    return (ceiling(rows, 16) | 1) * 16;
}

static void pack_panels(blocks *w, const stage *s, float *room)
{
    int64_t i;
    while ((i = atomic_fetch_add_explicit(&w->next[0], 1, memory_order_relaxed)) < s->panels) {
        const int64_t first = i * w->mm->wide, cols = least(s->cols - first, w->mm->wide);
        float *to = panel_of(w, s, i);
        if (!in_place(w, s, i))
            cpu_pack_panel(w->k, &w->p.b, s->at, s->depth, s->col + first, cols, to, room);
        if (!s->extra)
            continue;
        to += s->depth * w->mm->wide;
        cpu_pack_panel(w->k, &w->p.plus_b, 0, s->extra, s->col + first, cols, to, room);
        if (w->p.plus_scale != w->p.alpha)
            w->k->rows->scale(to, to, w->p.plus_scale / w->p.alpha, s->extra * w->mm->wide);
    }
}

/* A block of a, copied: for each tile (depth, rows), or, where a is stored by columns, rows of
 * the whole block's width. part: how a tile finds its rows. */
static void copy_rows(const blocks *w, const stage *s, int64_t first, int64_t past, float *room)
{
    const cpu_operand *a = &w->p.a;
    const int64_t row0 = row_of(w, first), rows = row_of(w, past) - row0;
    if (a->col != 1) {
        cpu_decode_block(w->k, a, s->at, s->depth, row0, rows, room, copy_step(rows));
        return;
    }
    for (int64_t t = first; t < past; t++) {
        const int64_t row = row_of(w, t), n = row_of(w, t + 1) - row;
        const float *from = (const float *)a->p + row * a->row + s->at;
        int64_t step = a->row;
        if (a->dtype != HONE_F32) {
            float *wide = room + w->wide_at;
            step = s->depth + PACK_PAD;
            cpu_decode_block(w->k, a, row, n, s->at, s->depth, wide, step);
            from = wide;
        }
        w->mm->pack_rows(room + (row - row0) * s->depth, from, step, n, s->depth);
    }
}

/* Part i of n of the next panel on its way into the L2: the block as a whole is in the L3, from
 * where it comes too slowly to be waited for. */
static void ask_for(const float *panel, int64_t floats, int64_t i, int64_t n)
{
    const int64_t line = CPU_ALIGN / sizeof *panel, past = (i + 1) * floats / n;
    for (int64_t at = i * floats / n / line * line; at < past; at += line)
        __builtin_prefetch(panel + at, 0, 2);
}

/* Tiles [first, past) of d's rows against panels [from, to). */
static void compute(const blocks *w, const stage *s, int64_t first, int64_t past, int64_t from,
                    int64_t to, float *room)
{
    const cpu_product *p = &w->p;
    const int64_t row0 = row_of(w, first), all = row_of(w, past) - row0;
    const float beta = s->at ? 1 : p->beta;
    cpu_mm_part part[2] = {
        { .k = s->depth },
        { .a_row = p->plus_a.row, .a_col = p->plus_a.col, .b_row = w->mm->wide, .k = s->extra }
    };
    if (w->copy)
        copy_rows(w, s, first, past, room);
    for (int64_t i = from; i < to; i++) {
        const int64_t col = i * w->mm->wide, cols = least(s->cols - col, w->mm->wide);
        const float *panel = panel_of(w, s, i);
        part[0].b = panel;
        part[0].b_row = w->mm->wide;
        if (in_place(w, s, i)) {
            part[0].b = (const float *)p->b.p + s->at * p->b.row + s->col + col;
            part[0].b_row = p->b.row;
        }
        part[1].b = panel + s->depth * w->mm->wide;
        for (int64_t t = first, row = row0, rows; t < past; t++, row += rows) {
            rows = row_of(w, t + 1) - row;
            if (i + 1 < to)
                ask_for(panel_of(w, s, i + 1), panel_floats(w, s), t - first, past - first);
            float *d = p->d + row * p->d_row + (s->col + col) * p->d_col;
            part[0].a_row = w->copy ? 1 : p->a.row;
            part[0].a_col = w->copy ? rows : p->a.col;
            if (!w->copy) {
                part[0].a = (const float *)p->a.p + row * p->a.row + s->at * p->a.col;
            } else if (p->a.col == 1) {
                part[0].a = room + (row - row0) * s->depth;
            } else {
                part[0].a = room + row - row0;
                part[0].a_col = copy_step(all);
            }
            if (s->extra)
                part[1].a = (const float *)p->plus_a.p + row * p->plus_a.row;
            w->mm->tile(part, s->extra ? 2 : 1, rows, cols, d, p->d_row, p->d_col, p->alpha, beta);
        }
    }
}

static void compute_items(blocks *w, const stage *s, float *room)
{
    const int64_t want = w->threads > 1 ? (int64_t)w->threads * ITEMS_EACH : 1;
    int64_t down = ceiling(w->tiles, TILES), across = 1;
    if (down < want) /* narrow items as long as that leaves many columns, then low ones */
        across = least(ceiling(want, down), ceiling(s->cols, NARROWEST));
    if (down * across < want)
        down = least(ceiling(want, across), ceiling(w->tiles, 2));
    int64_t i;
    while ((i = atomic_fetch_add_explicit(&w->next[1], 1, memory_order_relaxed)) < down * across) {
        const int64_t y = i / across, x = i % across;
        compute(w, s, y * w->tiles / down, (y + 1) * w->tiles / down, x * s->panels / across,
                (x + 1) * s->panels / across, room);
    }
}

static void run(void *arg)
{
    blocks *w = arg;
    const int thread = w->threads > 1 ? omp_get_thread_num() : 0;
    float *room = w->room + thread * w->room_each;
    for (int64_t col = 0; col < w->p.n; col += COLUMNS)
        for (int64_t at = 0; at < w->p.k; at += w->deep) {
            const bool last = at + w->deep >= w->p.k;
            stage s = { .col = col,
                        .cols = least(w->p.n - col, COLUMNS),
                        .at = at,
                        .depth = least(w->p.k - at, w->deep),
                        .extra = last ? w->p.plus_k : 0 };
            s.panels = ceiling(s.cols, w->mm->wide);
            pack_panels(w, &s, room);
            if (w->threads > 1) {
                GOMP_barrier();
                if (thread == 0)
                    atomic_store_explicit(&w->next[0], 0, memory_order_relaxed);
            }
            compute_items(w, &s, room);
            if (w->threads > 1) {
                GOMP_barrier();
                if (thread == 0)
                    atomic_store_explicit(&w->next[1], 0, memory_order_relaxed);
            } else {
                w->next[0] = w->next[1] = 0;
            }
        }
}

/* Must a be copied, or is it worth it? Read in place, an a stored by columns costs a line of the
 * cache per step, and one stored by rows a pointer per three rows. */
static bool copies(const cpu_product *p, int64_t wide)
{
    if (p->a.dtype != HONE_F32)
        return true;
    return p->a.col == 1 ? p->n >= COPY_COLUMNS : p->n > wide && p->a.col > 64;
}

/* What packing and storing costs, in floats moved: see the head of this file. */
static int64_t overhead(const cpu_product *p, int64_t wide)
{
    const int64_t stores = p->d_col == 1 ? 0 : p->m * p->n * ceiling(p->k, DEEP);
    return p->n * p->k * (p->b.col == 1 ? 1 : 2) + (copies(p, wide) ? p->m * p->k : 0) + stores;
}

hone_status cpu_product_blocks(hone_queue *q, const cpu_product *p, hone_error *err)
{
    const cpu_product t = cpu_product_transposed(p);
    blocks w = { .k = q->dev->k, .mm = q->dev->k->mm, .threads = q->dev->threads };
    const int64_t wide = w.mm->wide;
    int64_t pack_room, copy_room, panels, rows;
    w.p = overhead(&t, wide) < overhead(p, wide) ? t : *p;
    p = &w.p;
    w.deep = ceiling(ceiling(p->k, ceiling(p->k, DEEP)), 4) * 4;
    w.tiles = ceiling(p->m, w.mm->high);
    w.direct = p->b.dtype == HONE_F32 && p->b.col == 1 && p->m <= DIRECT_ROWS;
    rows = least(p->m, w.mm->high * TILES);
    w.copy = copies(p, wide);
    w.wide_at = p->a.col == 1 ? rows * w.deep + CPU_MM_SPILL : copy_step(rows) * w.deep;
    copy_room = w.copy ? w.wide_at : 0;
    if (p->a.dtype != HONE_F32 && p->a.col == 1)
        copy_room += w.mm->high * (w.deep + PACK_PAD);
    pack_room = p->b.dtype == HONE_F32 ? 0 : (w.deep + PACK_PAD) * wide;
    w.room_each = ceiling(pack_room > copy_room ? pack_room : copy_room, CPU_ALIGN) * CPU_ALIGN;
    panels = ceiling(least(p->n, COLUMNS), wide) * wide * (w.deep + p->plus_k);
    if (2.0 * (double)p->m * (double)p->n * (double)p->k < 2e5)
        w.threads = 1;
    w.panels = cpu_panels(q, (uint64_t)(panels + w.room_each * w.threads) * sizeof(float));
    if (!w.panels)
        return hone_fail(err, HONE_ERR_NOMEM, "cpu: no memory for a product of %lld x %lld x %lld",
                         (long long)p->m, (long long)p->n, (long long)p->k);
    w.room = w.panels + panels;
    cpu_team(q->dev, w.threads, run, &w);
    return HONE_OK;
}

uint64_t cpu_blocks_bytes(const hone_dev *dev, int64_t m, int64_t n, int64_t k, int64_t plus_k)
{
    const cpu_mm *mm = dev->k->mm;
    const int64_t rows = copy_step(mm->high * TILES), deep = least(ceiling(k, 4) * 4, DEEP);
    /* d or d^T: either may be the columns */
    const int64_t columns = ceiling(least(m > n ? m : n, COLUMNS), mm->wide) * mm->wide;
    const int64_t panels = columns * (deep + plus_k);
    const int64_t copy = rows * deep + CPU_MM_SPILL + mm->high * (deep + PACK_PAD);
    const int64_t decoded = (deep + PACK_PAD) * mm->wide;
    const int64_t room = ceiling(copy > decoded ? copy : decoded, CPU_ALIGN) * CPU_ALIGN;
    return (uint64_t)(panels + room * dev->threads) * sizeof(float);
}
