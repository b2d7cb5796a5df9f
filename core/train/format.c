/*
 * format.c - how a state is stored, and the program that stores it so.
 *
 * An optimizer's program loads and stores float32. For a state with another dtype the
 * device converts in LOAD and STORE. For eight bits by blocks (Dettmers et al. 2022) the
 * instructions are put around the plain ones here, so that any device runs any optimizer
 * with such a state:
 *   load:   map[code] * scale of the block
 *   store:  scale = largest |x| of the block, code = nearest of map to x / scale
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/states.h"

#include <math.h>
#include <stdlib.h>

static const state_format formats[] = {
    { "f32", HONE_F32, false, false },     { "bf16", HONE_BF16, false, false },
    { "f16", HONE_F16, false, false },     { "dynamic8", HONE_U8, true, true },
    { "udynamic8", HONE_U8, true, false },
};
const char state_format_names[] = "f32, bf16, f16, dynamic8, udynamic8";

const state_format *state_format_find(const hone_state *s)
{
    size_t i;
    for (i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strncmp(formats[i].name, s->format, sizeof s->format) == 0)
            return &formats[i];
    return NULL;
}

uint64_t state_code_bytes(const state_format *f, int64_t n)
{
    return (uint64_t)n * hone_dtype_size(f->dtype);
}

uint64_t state_scale_bytes(const state_format *f, int64_t n)
{
    return f->blocks ? (uint64_t)(n + STATE_BLOCK - 1) / STATE_BLOCK * sizeof(float) : 0;
}

/* ---------------------------------------------------------------------- the map */

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Seven decades below 1. A code's leading zeros are its exponent, what is left after the
 * first one its fraction: decade i has 2^i values (twice as many without a sign), the
 * centres of equal parts of [0.1, 1]. Then 0 and 1. Rounded as torch.linspace
 * does, so that the map has bitsandbytes' bits. */
void state_map(float map[256], bool is_signed)
{
    static const double decades[7] = { 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1 };
    int n = 0, i, k;
    for (i = 0; i < 7; i++) {
        const int parts = is_signed ? 1 << i : 2 << i;
        const float step = (1.0f - 0.1f) / (float)parts;
        float edge[129];
        for (k = 0; k <= parts; k++) /* from the nearer end */
            edge[k] = k < (parts + 1) / 2 ? fmaf(step, (float)k, 0.1f)
                                          : fmaf(-step, (float)(parts - k), 1.0f);
        for (k = 0; k < parts; k++) {
            const float x = (float)decades[i] * ((edge[k] + edge[k + 1]) / 2);
            map[n++] = x;
            if (is_signed)
                map[n++] = -x;
        }
    }
    map[n++] = 0;
    map[n++] = 1;
    qsort(map, (size_t)n, sizeof *map, ascending);
}

/* -------------------------------------------------------------------- the program */

typedef struct writer {
    state_program *out;
    uint32_t lut[2]; /* where the maps begin: unsigned, signed */
    bool failed;     /* too long, or out of registers or table */
} writer;

static void put(writer *w, hone_ew_insn insn)
{
    hone_ew_program *p = &w->out->program;
    if (p->n_insns == HONE_EW_MAX_INSNS)
        w->failed = true;
    else
        w->out->insns[p->n_insns++] = insn;
}

static uint8_t fresh(writer *w)
{
    if (w->out->program.n_regs == HONE_EW_MAX_REGS) {
        w->failed = true;
        return 0;
    }
    return (uint8_t)w->out->program.n_regs++;
}

static uint16_t map_at(writer *w, bool is_signed)
{
    hone_ew_program *p = &w->out->program;
    if (w->lut[is_signed] == UINT32_MAX) {
        if (p->n_lut + 256 > HONE_EW_MAX_LUT) {
            w->failed = true;
            return 0;
        }
        state_map(w->out->lut + p->n_lut, is_signed);
        w->lut[is_signed] = p->n_lut;
        p->n_lut += 256;
    }
    return (uint16_t)w->lut[is_signed];
}

static void put_load(writer *w, const hone_ew_insn *plain, uint16_t scales, bool is_signed)
{
    const uint8_t code = fresh(w), value = fresh(w), scale = fresh(w);
    put(w, (hone_ew_insn)HONE_EW0I(LOAD, code, plain->idx));
    put(w,
        (hone_ew_insn){ .op = HONE_EW_LUT, .dst = value, .a = code, .idx = map_at(w, is_signed) });
    put(w, (hone_ew_insn){
               .op = HONE_EW_LOADB, .dst = scale, .aux = STATE_BLOCK_SHIFT, .idx = scales });
    put(w, (hone_ew_insn)HONE_EW2(MUL, plain->dst, value, scale));
}

/* A block of zeros has the scale 0; it is divided by 1. */
static void put_store(writer *w, const hone_ew_insn *plain, uint16_t scales, bool is_signed)
{
    const uint8_t size = fresh(w), most = fresh(w), one = fresh(w), divisor = fresh(w);
    const uint8_t share = fresh(w), code = fresh(w);
    put(w, (hone_ew_insn)HONE_EW1(ABS, size, plain->a));
    put(w, (hone_ew_insn){ .op = HONE_EW_BMAX, .dst = most, .a = size, .aux = STATE_BLOCK_SHIFT });
    put(w,
        (hone_ew_insn){ .op = HONE_EW_STOREB, .a = most, .aux = STATE_BLOCK_SHIFT, .idx = scales });
    put(w, (hone_ew_insn)HONE_EW0C(one, 1));
    put(w, (hone_ew_insn)HONE_EW3(SEL, divisor, most, most, one));
    put(w, (hone_ew_insn)HONE_EW2(DIV, share, plain->a, divisor));
    put(w, (hone_ew_insn){ .op = HONE_EW_NEAREST,
                           .dst = code,
                           .a = share,
                           .aux = 8,
                           .idx = map_at(w, is_signed) });
    put(w, (hone_ew_insn)HONE_EW_ST(plain->idx, code));
}

hone_status state_program_make(state_program *out, const hone_ew_program *plain,
                               const state_format *const *list, uint32_t n_states, hone_error *err)
{
    const char *name = plain->name ? plain->name : "program";
    uint16_t scales[HONE_OPTIMIZER_MAX_STATES] = { 0 };
    writer w = { .out = out, .lut = { UINT32_MAX, UINT32_MAX } };
    uint32_t i;
    out->program = *plain;
    out->program.insns = out->insns;
    out->program.lut = out->lut;
    out->program.n_insns = 0;
    if (plain->n_lut)
        memcpy(out->lut, plain->lut, plain->n_lut * sizeof *out->lut);
    for (i = 0; i < n_states; i++)
        if (list[i]->blocks)
            scales[i] = (uint16_t)out->program.n_bufs++;
    for (i = 0; i < plain->n_insns; i++) {
        const hone_ew_insn *s = &plain->insns[i];
        const uint32_t state = s->idx - (uint32_t)HONE_OPT_BUF_STATE0; /* of another: huge */
        const bool memory = s->op == HONE_EW_LOAD || s->op == HONE_EW_STORE;
        if (!memory || state >= n_states || !list[state]->blocks)
            put(&w, *s);
        else if (s->op == HONE_EW_LOAD)
            put_load(&w, s, scales[state], list[state]->is_signed);
        else
            put_store(&w, s, scales[state], list[state]->is_signed);
    }
    if (w.failed || out->program.n_bufs > HONE_EW_MAX_BUFS)
        return hone_fail(err, HONE_ERR_LIMIT,
                         "%s: with state in eight bits the program exceeds a limit of hone/ew.h",
                         name);
    if (!out->program.n_lut)
        out->program.lut = NULL;
    return hone_ew_check(&out->program, err);
}
