/*
 * ew_compile.c - a program made ready for any number of runs: a copy of it, machine code,
 * search trees.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "ew.h"

enum { LUT_BEHIND = 256 }; /* numbers that look_up() may read behind a table */

/* See hone/ew.h on NEAREST. */
static void prepare_nearest(cpu_nearest *t, const float *lut, uint32_t n)
{
    uint32_t high[256], at = 0; /* of each place: the high half of its bits, in order */
    memset(t, 0, sizeof *t);
    for (uint32_t i = 0; i + 1 < n; i++) {
        const double place = ((double)lut[i] + (double)lut[i + 1]) / 2;
        uint32_t bits;
        t->above[i] = (float)place;
        if ((double)t->above[i] > place)
            t->above[i] = nextafterf(t->above[i], -INFINITY);
        memcpy(&bits, &t->above[i], sizeof bits);
        high[i] = (bits ^ ((uint32_t)((int32_t)bits >> 31) | 0x80000000u)) >> 16;
    }
    t->above[n - 1] = INFINITY;
    for (uint32_t k = 1, level = 0; k < 256; k++) { /* 2^level nodes from 2^level on */
        const uint32_t first = (level += k >> (level + 1), 1u << level);
        const uint32_t i = (2 * (k - first) + 1) * (128 >> level) - 1;
        t->tree[k] = i + 1 < n ? t->above[i] : INFINITY;
    }
    for (uint32_t h = 0; h < 1u << 16; h++) {
        uint32_t here = at;
        t->start[h] = (uint8_t)at;
        while (here + 1 < n && high[here] == h)
            here++;
        t->steps = here - at > t->steps ? here - at : t->steps;
        at = here;
    }
}

hone_status cpu_ew_compile(hone_dev *dev, const hone_ew_program *program, hone_kernel *kernel,
                           hone_error *err)
{
    uint64_t insns, lut, searches = 0;
    hone_ew_insn *own;
    cpu_nearest *nearest;
    ew_code *code;
    hone_status st = hone_ew_check(program, err);
    if (st)
        return st;
    insns = sizeof(hone_ew_insn) * program->n_insns;
    lut = sizeof(float) * program->n_lut;
    for (uint32_t i = 0; i < program->n_insns; i++)
        searches += program->insns[i].op == HONE_EW_NEAREST;
    if (lut)
        lut += LUT_BEHIND * sizeof(float);
    code = dev->host->alloc(dev->host, sizeof *code + insns + lut + searches * sizeof *nearest,
                            CPU_ALIGN, "cpu programs");
    if (!code)
        return hone_fail(err, HONE_ERR_NOMEM, "cpu: no memory for a program");
    memset(code, 0, sizeof *code);
    code->program = *program;
    code->program.name = NULL; /* borrowed, gone later */
    own = memcpy(code + 1, program->insns, insns);
    code->program.insns = own;
    code->program.lut = NULL;
    if (lut) {
        float *table = (float *)(void *)((uint8_t *)own + insns);
        memset(table, 0, lut);
        code->program.lut = memcpy(table, program->lut, program->n_lut * sizeof *table);
    }
    if (dev->k->vex) {
        code->jit = cpu_jit_make(dev->host, &code->program);
        ew_pieces_make(dev->host, code, program, own);
    }
    nearest = (cpu_nearest *)(void *)((uint8_t *)(code + 1) + insns + lut);
    code->nearest = nearest;
    for (uint32_t i = 0; i < program->n_insns; i++)
        if (own[i].op == HONE_EW_NEAREST) {
            const hone_ew_insn *s = &own[i];
            code->nearest_of[i] = code->n_nearest;
            prepare_nearest(&nearest[code->n_nearest++], program->lut + s->idx, 1u << s->aux);
        }
    st = cpu_slot_add(dev, code, sizeof *code, CPU_PROGRAM, kernel, err);
    if (st)
        ew_code_free(dev->host, code);
    return st;
}

void ew_code_free(const hone_host *host, ew_code *code)
{
    if (code) {
        cpu_jit_free(host, code->jit);
        ew_pieces_free(host, code);
    }
    host->free(host, code);
}

void cpu_ew_free(hone_dev *dev, hone_kernel kernel)
{
    uint64_t bytes;
    uint32_t kind;
    if (kernel)
        ew_code_free(dev->host, cpu_slot_take(dev, kernel, &bytes, &kind));
}
