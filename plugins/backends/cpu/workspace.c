/*
 * workspace.c - what the device allocates besides buffers, for the plan of a run.
 *
 * One scratch area per queue, as large as its largest user; products come on top. Each
 * user of cpu_scratch() states its bound in its own file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cpu.h"

hone_status cpu_workspace(hone_dev *dev, const hone_extent *e, uint64_t *bytes, hone_error *err)
{
    uint64_t most;
    CPU_ARGS(e, err);
    const uint64_t needs[] = {
        cpu_attention_scratch(dev, e),
        e->training ? cpu_attention_bwd_scratch(dev, e) : 0,
        e->full ? cpu_norm_scratch(e) : 0,
        (uint64_t)e->loss_rows * sizeof(double),
    };
    most = 0;
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (needs[i] > most)
            most = needs[i];
    *bytes = most + cpu_product_workspace(dev, e);
    return HONE_OK;
}
