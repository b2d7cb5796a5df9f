/*
 * options.h - private to core/base: what the three files of options share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_BASE_OPTIONS_H
#define CORE_BASE_OPTIONS_H

#include "core/base/base.h"

/* A parsed value on its way into the struct. */
typedef union option_value {
    bool b;
    int64_t i;
    double d;
    const char *s;
    hone_list list;
} option_value;

/* The bounds of an integer row, without the rounding of a double at the ends. */
void option_range(const hone_option *row, int64_t *lo, int64_t *hi);

/* Text or JSON to a checked value. at: "train.lr", for messages. base: the folder where a
 * relative path starts. *owned: the memory behind a string or list, the caller's. */
hone_status option_parse_text(const hone_option *row, const char *at, const char *s,
                              const char *base, option_value *v, void **owned, hone_error *err);
hone_status option_parse_json(const hone_option *row, const char *at, const json_t *json,
                              const char *base, option_value *v, void **owned, hone_error *err);

#endif /* CORE_BASE_OPTIONS_H */
