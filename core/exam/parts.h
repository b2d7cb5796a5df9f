/*
 * parts.h - what the files of core/exam share. Private to the room.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_EXAM_PARTS_H
#define CORE_EXAM_PARTS_H

#include "core/exam/exam.h"

#include <math.h>

const char *exam_kind_name(int64_t kind); /* "recall", "reworded", "all" */

/* p with every run of white space as one blank, none around it; fresh, NULL: no memory. */
char *words_squeeze(const char *p, size_t n);
/* The words of p as scores compare them, joined by one blank; fresh, NULL: no memory. */
char *words_normalise(const char *p, size_t n);

#endif /* CORE_EXAM_PARTS_H */
