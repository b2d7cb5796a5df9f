/*
 * amx.c - the loops of a product in tiles.
 *
 *   for rows of a, columns of b, the inner dimension: as much as PANELS bytes of panels hold
 *     pack a's and b's panels                            handed out to threads
 *     for blocks of d, DOWN x ACROSS panels              handed out to threads
 *       for the inner dimension, DEEP steps at a time    b's part of the block stays in the L2,
 *         for a's panels, for b's panels: four tiles     a's panel in the L1
 *
 * The sums of a block stay in the L2 as well, tile by tile, until the last step: only then they
 * are scaled and written. An element's sum has the same order whatever the number of threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdatomic.h>

#include "amx.h"

enum {
    PANELS = 16 << 20,   /* bytes of one side */
    LONGEST = 16384,     /* bytes of the inner dimension at once */
    DOWN = 8,            /* 256 rows */
    ACROSS = 16,         /* 512 columns: 352 KiB of panels, 512 KiB of sums */
    DEEP = 11,           /* steps: two such panels leave room in the L1 */
    SUMS = 4 * AMX_TILE, /* bytes of a pair of panels */
    ITEMS_EACH = 4,      /* blocks per thread at least */
};

extern void GOMP_barrier(void);
extern int omp_get_thread_num(void);

typedef struct amx_work amx_work;
struct amx_work {
    const cpu_amx *k;
    amx_side a, b;
    /* a pair of panels is done: rows [row, ..) of a's side, columns [col, ..) of b's */
    void (*finish)(const amx_work *w, const uint8_t *sums, int64_t row, int64_t col);
    int64_t bytes; /* of a number */
    int threads;
    uint8_t *room; /* room_each per thread: an amx_stage, sums of a block */
    int64_t room_each;
    int64_t down, across; /* blocks of d */
    bool first, last;     /* of the inner dimension's parts */
    bool pack_a, pack_b;  /* else their panels stand there already */
    atomic_llong next[2]; /* items handed out: packing, computing */
    const cpu_product *p; /* floats, or ... */
    const cpu_int8_product *q;
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t ceiling(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* ------------------------------------------------------------------------------ a block */

static void finish_f32(const amx_work *w, const uint8_t *sums, int64_t row, int64_t col)
{
    const cpu_product *p = w->p;
    const int64_t rows = least(w->a.n - row, AMX_LINES), cols = least(w->b.n - col, AMX_LINES);
    const float beta = w->first ? p->beta : 1;
    for (int64_t i = 0; i < rows; i += 16)
        for (int64_t j = 0; j < cols; j += 16)
            w->k->put(p->d + (w->a.line + row + i) * p->d_row + w->b.line + col + j, p->d_row,
                      (const float *)(const void *)(sums + (i / 8 + j / 16) * AMX_TILE),
                      least(rows - i, 16), least(cols - j, 16), p->alpha, beta);
}

static void finish_i8(const amx_work *w, const uint8_t *sums, int64_t row, int64_t col)
{
    const cpu_int8_product *q = w->q;
    const int64_t rows = least(w->a.n - row, AMX_LINES), cols = least(w->b.n - col, AMX_LINES);
    for (int64_t i = 0; i < rows; i += 16)
        for (int64_t j = 0; j < cols; j += 16) {
            const int64_t at = w->a.line + row + i, to = w->b.line + col + j;
            w->k->put_i8(q->y + at * q->y_row + to, q->y_row,
                         (const int32_t *)(const void *)(sums + (i / 8 + j / 16) * AMX_TILE),
                         least(rows - i, 16), least(cols - j, 16), q->x_scale + at, q->w_scale + to,
                         q->unit, q->bias ? q->bias + to : NULL, q->beta);
        }
}

/* Panels [i0, i1) of a against [j0, j1) of b. */
static void block(const amx_work *w, int64_t i0, int64_t i1, int64_t j0, int64_t j1, uint8_t *sums)
{
    const int64_t steps = w->a.steps, parts = ceiling(steps, DEEP);
    const int64_t panel = steps * AMX_STEP_BYTES;
    cpu_amx_multiply *const(*table)[2] = w->bytes == 1 ? w->k->i8 : w->k->bf16;
    for (int64_t part = 0; part < parts; part++) {
        const int64_t from = part * steps / parts, n = (part + 1) * steps / parts - from;
        for (int64_t i = i0; i < i1; i++) {
            const uint8_t *a = w->a.panels + i * panel + from * AMX_STEP_BYTES;
            const bool two = w->a.n - i * AMX_LINES > 16;
            for (int64_t j = j0; j < j1; j++) {
                const uint8_t *b = w->b.panels + j * panel + from * AMX_STEP_BYTES;
                uint8_t *c = parts > 1 ? sums + ((i - i0) * ACROSS + j - j0) * SUMS : sums;
                table[two][w->b.n - j * AMX_LINES > 16](
                    c, a, b, n, part > 0, j + 1 < j1 ? b + panel : b - (j1 - j0 - 1) * panel);
                if (part + 1 == parts)
                    w->finish(w, c, i * AMX_LINES, j * AMX_LINES);
            }
        }
    }
}

/* ---------------------------------------------------------------------------- the loops */

static int64_t take(amx_work *w, int what)
{
    return atomic_fetch_add_explicit(&w->next[what], 1, memory_order_relaxed);
}

static void run(void *arg)
{
    amx_work *w = arg;
    const int thread = w->threads > 1 ? omp_get_thread_num() : 0;
    uint8_t *room = w->room + thread * w->room_each;
    uint8_t *sums = room + ceiling(sizeof(amx_stage), CPU_ALIGN) * CPU_ALIGN;
    const int64_t a_items = w->pack_a ? amx_items(&w->a) : 0;
    const int64_t items = a_items + (w->pack_b ? amx_items(&w->b) : 0);
    const int64_t a_panels = amx_panels(w->a.n), b_panels = amx_panels(w->b.n);
    for (int64_t i; (i = take(w, 0)) < items;)
        if (i < a_items)
            amx_pack(&w->a, i, w->last, (amx_stage *)(void *)room);
        else
            amx_pack(&w->b, i - a_items, w->last, (amx_stage *)(void *)room);
    if (w->threads > 1)
        GOMP_barrier();
    w->k->configure();
    for (int64_t i; (i = take(w, 1)) < w->down * w->across;) {
        const int64_t y = i / w->across, x = i % w->across;
        block(w, y * a_panels / w->down, (y + 1) * a_panels / w->down, x * b_panels / w->across,
              (x + 1) * b_panels / w->across, sums);
    }
    w->k->release();
}

/* Blocks small enough for the caches, and enough of them for the threads. */
static void cut(amx_work *w)
{
    const int64_t a = amx_panels(w->a.n), b = amx_panels(w->b.n);
    const int64_t want = w->threads > 1 ? (int64_t)w->threads * ITEMS_EACH : 1;
    w->down = ceiling(a, DOWN);
    w->across = ceiling(b, ACROSS);
    while (w->down * w->across < want && (w->down < a || w->across < b)) {
        const bool rows = w->across == b || (w->down < a && a * w->across > b * w->down);
        int64_t *more = rows ? &w->down : &w->across;
        *more = least(2 * *more, rows ? a : b);
    }
}

/* Lines of one side whose panels fit, in whole items; all when they do. */
static int64_t lines_at_once(int64_t lines, int64_t steps)
{
    const int64_t fit = PANELS / (steps * AMX_STEP) / (AMX_PACK * AMX_LINES) * AMX_PACK * AMX_LINES;
    return lines <= fit ? lines : fit;
}

static int64_t panel_bytes(int64_t lines, int64_t steps)
{
    return amx_panels(lines) * steps * AMX_STEP_BYTES;
}

typedef struct amx_shape {
    int64_t deep, steps; /* of the inner dimension at once: numbers, steps with the addition */
    int64_t rows, cols;  /* at once */
    int64_t room_each, bytes;
} amx_shape;

static amx_shape shape_of(int64_t m, int64_t n, int64_t k, int64_t plus_k, int64_t size,
                          int threads)
{
    amx_shape s = { 0 };
    const int64_t number = AMX_STEP / size;
    s.deep = ceiling(ceiling(k, ceiling(k * size, LONGEST)), number) * number;
    s.steps = s.deep / number + ceiling(plus_k, number);
    s.rows = lines_at_once(m, s.steps);
    s.cols = lines_at_once(n, s.steps);
    s.room_each = ceiling(sizeof(amx_stage), CPU_ALIGN) * CPU_ALIGN +
                  (s.steps > DEEP ? DOWN * ACROSS * SUMS : SUMS);
    s.bytes = panel_bytes(s.rows, s.steps) + panel_bytes(s.cols, s.steps) + s.room_each * threads;
    return s;
}

/* A side's panels of lines [line, ..) and inner [at, ..); false: they stand there already. */
static bool move(amx_side *s, int64_t line, int64_t n, int64_t at, int64_t depth, int64_t steps)
{
    if (s->n && s->line == line && s->at == at)
        return false;
    s->line = line;
    s->n = n;
    s->at = at;
    s->depth = depth;
    s->steps = steps;
    return true;
}

static hone_status product(hone_queue *q, amx_work *w, hone_error *err)
{
    const int64_t m = w->a.lines, n = w->b.lines, k = w->a.part[0].k_size;
    const int64_t plus_k = w->a.part[1].k_size;
    amx_shape s;
    if (2.0 * (double)m * (double)n * (double)k < 1e6)
        w->threads = 1;
    s = shape_of(m, n, k, plus_k, w->bytes, w->threads);
    w->a.panels = cpu_panels(q, (uint64_t)s.bytes);
    if (!w->a.panels)
        return hone_fail(err, HONE_ERR_NOMEM, "cpu: no memory for a product of %lld x %lld x %lld",
                         (long long)m, (long long)n, (long long)k);
    w->b.panels = w->a.panels + panel_bytes(s.rows, s.steps);
    w->room = w->b.panels + panel_bytes(s.cols, s.steps);
    w->room_each = s.room_each;
    for (int64_t row = 0; row < m; row += s.rows)
        for (int64_t col = 0; col < n; col += s.cols)
            for (int64_t at = 0; at < k; at += s.deep) {
                const int64_t depth = least(k - at, s.deep);
                int64_t steps = amx_steps(&w->a.part[0], depth);
                w->first = at == 0;
                w->last = at + depth == k;
                if (w->last)
                    steps += amx_steps(&w->a.part[1], plus_k);
                w->pack_a = move(&w->a, row, least(m - row, s.rows), at, depth, steps);
                w->pack_b = move(&w->b, col, least(n - col, s.cols), at, depth, steps);
                cut(w);
                w->next[0] = w->next[1] = 0;
                cpu_team(q->dev, w->threads, run, w);
            }
    return HONE_OK;
}

hone_status cpu_amx_product(hone_queue *q, const cpu_product *p, hone_error *err)
{
    const cpu_kernels *k = q->dev->k;
    const cpu_product t = p->d_col == 1 ? *p : cpu_product_transposed(p);
    const float more = t.plus_k ? t.plus_scale / t.alpha : 1;
    amx_work w = {
        .k = k->amx,
        .a = { .part = { amx_source_of(k, &t.a, t.a.col != 1, t.k, 1),
                         amx_source_of(k, &t.plus_a, t.plus_a.col != 1, t.plus_k, more) },
               .left = true,
               .lines = t.m },
        .b = { .part = { amx_source_of(k, &t.b, t.b.col == 1, t.k, 1),
                         amx_source_of(k, &t.plus_b, t.plus_b.col == 1, t.plus_k, 1) },
               .lines = t.n },
        .finish = finish_f32,
        .bytes = 2,
        .threads = q->dev->threads,
        .p = &t,
    };
    return product(q, &w, err);
}

hone_status cpu_amx_int8(hone_queue *q, const cpu_int8_product *p, hone_error *err)
{
    const cpu_kernels *k = q->dev->k;
    const cpu_operand x = { .p = p->x, .row = p->x_row, .col = 1, .dtype = HONE_I8 };
    const cpu_operand c = { .p = p->w, .row = 1, .col = p->k, .dtype = HONE_I8 };
    amx_work w = {
        .k = k->amx,
        .a = { .part = { amx_source_of(k, &x, false, p->k, 1), { .bytes = 1 } },
               .left = true,
               .lines = p->m },
        .b = { .part = { amx_source_of(k, &c, false, p->k, 1), { .bytes = 1 } }, .lines = p->n },
        .finish = finish_i8,
        .bytes = 1,
        .threads = q->dev->threads,
        .q = p,
    };
    return product(q, &w, err);
}

uint64_t cpu_amx_bytes(const hone_dev *dev, int64_t m, int64_t n, int64_t k, int64_t plus_k)
{
    return (uint64_t)shape_of(m, n, k, plus_k, 2, dev->threads).bytes;
}
