/*
 * amx_pack.c - operands on their way into tiles.
 *
 * A left tile wants its lines as they are, along the inner dimension; a right one wants, per
 * line of memory, the 32-bit lanes of 16 columns. Of lines along the inner dimension, lanes are
 * what 4 bytes of a line are; of lines across it, pairs of lines are woven into lanes first. What
 * then lies the wrong way round is transposed, 16 x 16 lanes at a time:
 *
 *                 along      across
 *     left (a)    copied     transposed
 *     right (b)   transposed copied
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "amx.h"

enum { RUN = 512, LANES_RUN = 256 };

/* --------------------------------------------------------------------- numbers of a line */

static void fetch_any(const amx_source *s, int64_t line, int64_t first, int64_t n, void *to)
{
    float wide[RUN];
    s->o.decode(s->k, &s->o, line, first, n, wide);
    if (s->factor != 1)
        s->k->rows->scale(wide, wide, s->factor, n);
    s->k->amx->narrow(to, wide, n);
}

static void fetch_f32(const amx_source *s, int64_t line, int64_t first, int64_t n, void *to)
{
    s->k->amx->narrow(to, (const float *)s->o.p + line * cpu_operand_step(&s->o) + first, n);
}

static void fetch_bf16(const amx_source *s, int64_t line, int64_t first, int64_t n, void *to)
{
    const uint16_t *p = (const uint16_t *)s->o.p + line * cpu_operand_step(&s->o) + first;
    memcpy(to, p, (size_t)n * sizeof *p);
}

/* A block's 16 values are rounded once, then looked up. */
static void fetch_nf4(const amx_source *s, int64_t line, int64_t first, int64_t n, void *to)
{
    const cpu_operand *o = &s->o;
    int64_t at = line * cpu_operand_step(o) + first;
    uint16_t *out = to;
    while (n > 0) {
        const int64_t block = at / HONE_NF4_BLOCK, left = (block + 1) * HONE_NF4_BLOCK - at;
        const int64_t take = left < n ? left : n;
        float value[16];
        uint16_t rounded[16];
        cpu_nf4_values(o, block, value);
        s->k->amx->narrow(rounded, value, 16);
        s->k->amx->look_up(out, o->p, at, take, rounded);
        at += take;
        out += take;
        n -= take;
    }
}

static void fetch_i8(const amx_source *s, int64_t line, int64_t first, int64_t n, void *to)
{
    memcpy(to, (const int8_t *)s->o.p + line * cpu_operand_step(&s->o) + first, (size_t)n);
}

amx_source amx_source_of(const cpu_kernels *k, const cpu_operand *o, bool across, int64_t k_size,
                         float factor)
{
    amx_source s = { .fetch = fetch_any,
                     .k = k,
                     .o = *o,
                     .factor = factor,
                     .across = across,
                     .k_size = k_size,
                     .bytes = 2 };
    if (o->dtype == HONE_I8 && !o->decode) {
        s.fetch = fetch_i8;
        s.bytes = 1;
    } else if (factor == 1 && o->dtype == HONE_F32) {
        s.fetch = fetch_f32;
    } else if (factor == 1 && o->dtype == HONE_BF16) {
        s.fetch = fetch_bf16;
    } else if (factor == 1 && o->scales) {
        s.fetch = fetch_nf4;
    }
    return s;
}

/* -------------------------------------------------------------------------------- tiles */

static void place(const amx_side *s, const amx_source *part, uint8_t *tile, const uint32_t *from,
                  int64_t from_row)
{
    const cpu_amx *k = part->k->amx;
    (s->left == part->across ? k->transpose : k->copy)((uint32_t *)(void *)tile, from, from_row);
}

/* A panel from lines along the inner dimension: [at, at + depth) of up to 32 lines. */
static void pack_along(const amx_side *s, const amx_source *part, int64_t line, int64_t lines,
                       int64_t at, int64_t depth, uint8_t *to, amx_stage *room)
{
    const int64_t row = sizeof room->lanes[0] / sizeof room->lanes[0][0];
    const int64_t run = LANES_RUN * 4 / part->bytes; /* numbers of a stage line */
    for (int64_t half = 0; half * 16 < lines; half++)
        for (int64_t k = 0; k < depth; k += run) {
            const int64_t n = depth - k < run ? depth - k : run, steps = amx_steps(part, n);
            for (int64_t i = 0; i < 16; i++) {
                uint8_t *stage = (uint8_t *)room->lanes[i];
                int64_t got = 0;
                for (; half * 16 + i < lines && got < n; got += RUN)
                    part->fetch(part, line + half * 16 + i, at + k + got,
                                n - got < RUN ? n - got : RUN, stage + got * part->bytes);
                got = got < n ? got : n;
                memset(stage + got * part->bytes, 0,
                       (size_t)(steps * AMX_STEP - got * part->bytes));
            }
            for (int64_t i = 0; i < steps; i++)
                place(s, part,
                      to + (k * part->bytes / AMX_STEP + i) * AMX_STEP_BYTES + half * AMX_TILE,
                      room->lanes[0] + i * 16, row);
        }
}

/* The same from lines across it, for several panels at once: `lines` numbers of each line. */
static void pack_across(const amx_side *s, const amx_source *part, int64_t line, int64_t lines,
                        int64_t at, int64_t depth, uint8_t *to, int64_t panel_bytes,
                        amx_stage *room)
{
    const int64_t row = sizeof room->lanes[0] / sizeof room->lanes[0][0];
    const int64_t wide = (lines + 15) / 16 * 16;
    memset(room->line, 0, sizeof room->line);
    for (int64_t k = 0; k < depth; k += 32) {
        for (int64_t i = 0; i < 16; i++) {
            for (int64_t j = 0; j < 2; j++) {
                if (k + 2 * i + j < depth)
                    part->fetch(part, at + k + 2 * i + j, line, lines, room->line[j]);
                else
                    memset(room->line[j], 0, (size_t)lines * sizeof *room->line[j]);
            }
            part->k->amx->pair(room->lanes[i], room->line[0], room->line[1], wide);
        }
        for (int64_t j = 0; j < wide; j += 16)
            place(s, part,
                  to + j / AMX_LINES * panel_bytes + k / 32 * AMX_STEP_BYTES +
                      j % AMX_LINES / 16 * AMX_TILE,
                  room->lanes[0] + j, row);
    }
}

void amx_pack(const amx_side *s, int64_t item, bool last, amx_stage *room)
{
    const int64_t panel_bytes = s->steps * AMX_STEP_BYTES;
    const int64_t first = item * AMX_PACK * AMX_LINES;
    const int64_t lines = s->n - first < AMX_PACK * AMX_LINES ? s->n - first : AMX_PACK * AMX_LINES;
    uint8_t *to = s->panels + item * AMX_PACK * panel_bytes;
    for (int i = 0; i < 2; i++) {
        const amx_source *part = &s->part[i];
        const int64_t at = i ? 0 : s->at, depth = i ? (last ? part->k_size : 0) : s->depth;
        uint8_t *here = to + (i ? amx_steps(&s->part[0], s->depth) * AMX_STEP_BYTES : 0);
        if (depth && part->across)
            pack_across(s, part, s->line + first, lines, at, depth, here, panel_bytes, room);
        for (int64_t j = 0; depth && !part->across && j < lines; j += AMX_LINES)
            pack_along(s, part, s->line + first + j, lines - j < AMX_LINES ? lines - j : AMX_LINES,
                       at, depth, here + j / AMX_LINES * panel_bytes, room);
    }
}
