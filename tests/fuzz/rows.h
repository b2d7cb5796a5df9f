/*
 * rows.h - one option of every type, for the fuzz targets of core/base.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_FUZZ_ROWS_H
#define TESTS_FUZZ_ROWS_H

#include "core/base/base.h"

#include <float.h>
#include <stdlib.h>

typedef struct fuzz_config {
    int64_t integer, any;
    double number, real;
    const char *string, *path;
    int64_t choice;
    hone_list list, paths;
    bool flag;
} fuzz_config;

/* clang-format off */
static const hone_option fuzz_rows[] = {
    HONE_ROW_I64(fuzz_config, integer, -5, 1000, "1", ""),
    HONE_ROW_I64(fuzz_config, any, -9223372036854775808.0, 9223372036854775807.0, "0", ""),
    HONE_ROW_F64(fuzz_config, number, 0, 1, "0.5", ""),
    HONE_ROW_F64(fuzz_config, real, -DBL_MAX, DBL_MAX, "0", ""),
    HONE_ROW_STRING(fuzz_config, string, NULL, ""),
    HONE_ROW_PATH(fuzz_config, path, NULL, ""),
    HONE_ROW_ENUM(fuzz_config, choice, "one|two|three", "two", ""),
    HONE_ROW_LIST(fuzz_config, list, "a,b", ""),
    HONE_ROW_PATHS(fuzz_config, paths, NULL, ""),
    HONE_ROW_BOOL(fuzz_config, flag, "no", ""),
    HONE_OPTIONS_END,
};
/* clang-format on */

/* What was accepted is inside its bounds, and what is printed reads back as the same. */
static inline void fuzz_check_options(const options *o, const fuzz_config *c)
{
    hone_error err = { 0 };
    fuzz_config again;
    options b;
    json_t *first = options_to_json(o), *second;
    if (c->integer < -5 || c->integer > 1000 || !(c->number >= 0 && c->number <= 1) ||
        !(c->real >= -DBL_MAX && c->real <= DBL_MAX) || c->choice < 0 || c->choice > 2)
        abort();
    if (options_init(&b, fuzz_rows, &again, "b", "/", &err))
        abort();
    if (first) { /* NULL: a command line may hold bytes that are no UTF-8, JSON may not */
        if (options_set_object(&b, first, NULL, &err))
            abort();
        second = options_to_json(&b);
        if (!json_equal(first, second))
            abort();
        json_decref(second);
    }
    json_decref(first);
    options_finish(&b);
}

#endif /* TESTS_FUZZ_ROWS_H */
