/*
 * devices.c - devices that need not be here, with the figures their makers publish.
 *
 * Dense figures, half precision with sums in float32. `expected`: the share of the peak that
 * training programs are measured to reach on products of this size; it is a guess where a
 * plan is made with it, and floors do without.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/train.h"

#include <string.h>

#define GIB 1073741824.0

/* clang-format off */
const device_row device_rows[] = {
    { "a100-80gb", "A100 SXM 80 GB",  80 * GIB,  312e12,  624e12,  19.5e12, 2039e9, 31.5e9, 0.50, "NVIDIA A100 data sheet (2021)", false },
    { "a100-40gb", "A100 SXM 40 GB",  40 * GIB,  312e12,  624e12,  19.5e12, 1555e9, 31.5e9, 0.50, "NVIDIA A100 data sheet (2020)", false },
    { "h100",      "H100 SXM 80 GB",  80 * GIB,  989e12, 1979e12,  67.0e12, 3350e9, 63.0e9, 0.45, "NVIDIA H100 data sheet (2023)", false },
    { "h200",      "H200 SXM 141 GB", 141e9,     989e12, 1979e12,  67.0e12, 4800e9, 63.0e9, 0.50, "NVIDIA H200 data sheet (2023)", false },
    { "l40s",      "L40S 48 GB",      48 * GIB,  362e12,  733e12,  91.6e12,  864e9, 31.5e9, 0.45, "NVIDIA L40S data sheet (2023)", false },
    { "l4",        "L4 24 GB",        24 * GIB,  121e12,  242e12,  30.3e12,  300e9, 31.5e9, 0.40, "NVIDIA L4 data sheet (2023)", false },
    { "a10",       "A10 24 GB",       24 * GIB,  125e12,  250e12,  31.2e12,  600e9, 31.5e9, 0.45, "NVIDIA A10 data sheet (2021)", false },
    { "rtx4090",   "RTX 4090 24 GB",  24 * GIB,  165e12,  660e12,  82.6e12, 1008e9, 31.5e9, 0.50, "NVIDIA Ada architecture white paper (2022)", false },
    { "rtx3090",   "RTX 3090 24 GB",  24 * GIB,   71e12,  284e12,  35.6e12,  936e9, 31.5e9, 0.55, "NVIDIA Ampere GA102 white paper (2020)", false },
    { "t4",        "T4 16 GB",        16 * GIB,   65e12,  130e12,   8.1e12,  320e9, 15.8e9, 0.35, "NVIDIA T4 data sheet (2018)", true },
    { NULL, NULL, 0, 0, 0, 0, 0, 0, 0, NULL, false },
};
/* clang-format on */

const device_row *device_row_find(const char *name)
{
    for (const device_row *d = device_rows; d->name; d++)
        if (strcmp(d->name, name) == 0)
            return d;
    return NULL;
}
