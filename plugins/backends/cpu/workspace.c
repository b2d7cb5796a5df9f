/*
 * workspace.c - what the device allocates besides buffers, for the plan of a run.
 *
 * One scratch area per queue, as large as its largest user; products come on top. Each
 * user of cpu_scratch() states its bound in its own file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cpu.h"

/* Products that quantize or reorder their input. */
static uint64_t formats_scratch(const hone_dev *dev, const hone_extent *e)
{
    uint64_t most = 0, need;
    for (uint32_t i = 0; i < e->n_weights; i++) {
        const hone_extent_weight *w = &e->weights[i];
        need = 0;
        if (w->format && strcmp(w->format, "int8") == 0)
            need = cpu_int8_scratch(dev, e->tokens, w->cols);
        else if (w->format && strcmp(w->format, "nf4") == 0)
            need = cpu_few_scratch(dev, w->cols);
        most = need > most ? need : most;
    }
    return most;
}

hone_status cpu_workspace(hone_dev *dev, const hone_extent *e, uint64_t *bytes, hone_error *err)
{
    uint64_t most;
    CPU_ARGS(e, err);
    const uint64_t needs[] = {
        cpu_attention_scratch(dev, e),     e->training ? cpu_attention_bwd_scratch(dev, e) : 0,
        e->full ? cpu_norm_scratch(e) : 0, (uint64_t)e->loss_rows * sizeof(double),
        formats_scratch(dev, e),
    };
    most = 0;
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (needs[i] > most)
            most = needs[i];
    *bytes = most + cpu_product_workspace(dev, e);
    return HONE_OK;
}
