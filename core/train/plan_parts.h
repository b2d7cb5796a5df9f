/*
 * plan_parts.h - what the files of the plan share. Private to the room.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_TRAIN_PLAN_PARTS_H
#define CORE_TRAIN_PLAN_PARTS_H

#include "core/train/parts.h"

/* Operations and seconds of p, whose bytes and kept blocks are known. */
void plan_time(run_plan *p, const model *m, const optimizer_memory *states, const plan_input *in);

#endif /* CORE_TRAIN_PLAN_PARTS_H */
