/*
 * options.h - private to core/base: what options.c and options_show.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_BASE_OPTIONS_H
#define CORE_BASE_OPTIONS_H

#include "hone/option.h"

/* The bounds of an integer row, without the rounding of a double at the ends. */
void option_range(const hone_option *row, int64_t *lo, int64_t *hi);

#endif /* CORE_BASE_OPTIONS_H */
