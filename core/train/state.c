/*
 * state.c - the position of a run, to JSON and back, to the bit.
 *
 * Reals are written with 17 digits, which is exact; NaN, which JSON lacks, is null.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/parts.h"

json_t *json_real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

double json_real_or_nan(const json_t *value)
{
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* clang-format off */
static const struct {
    const char *name;
    size_t offset;
    bool real;
} fields[] = {
    { "step",       offsetof(run_state, step),       false },
    { "epoch",      offsetof(run_state, epoch),      false },
    { "micro",      offsetof(run_state, micro),      false },
    { "rows",       offsetof(run_state, rows),       false },
    { "tokens",     offsetof(run_state, tokens),     false },
    { "learned",    offsetof(run_state, learned),    false },
    { "first_loss", offsetof(run_state, first_loss), true  },
    { "last_loss",  offsetof(run_state, last_loss),  true  },
    { "first_val",  offsetof(run_state, first_val),  true  },
    { "last_val",   offsetof(run_state, last_val),   true  },
    { "best_val",   offsetof(run_state, best_val),   true  },
    { "best_step",  offsetof(run_state, best_step),  false },
    { "stale",      offsetof(run_state, stale),      false },
};
/* clang-format on */

json_t *run_state_to_json(const run_state *s)
{
    json_t *object = json_object();
    size_t i;
    for (i = 0; object && i < sizeof fields / sizeof *fields; i++) {
        const char *at = (const char *)s + fields[i].offset;
        double real;
        int64_t whole;
        memcpy(&real, at, sizeof real);
        memcpy(&whole, at, sizeof whole);
        if (json_object_set_new(object, fields[i].name,
                                fields[i].real ? json_real_or_null(real) : json_integer(whole))) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

hone_status run_state_from_json(run_state *out, const json_t *object, const char *path,
                                hone_error *err)
{
    run_state s = { 0 };
    size_t i;
    for (i = 0; i < sizeof fields / sizeof *fields; i++) {
        const json_t *value = json_object_get(object, fields[i].name);
        char *at = (char *)&s + fields[i].offset;
        const double real = json_real_or_nan(value);
        const int64_t whole = json_integer_value(value);
        if (fields[i].real ? !json_is_number(value) && !json_is_null(value)
                           : !json_is_integer(value) || whole < 0)
            return hone_fail(err, HONE_ERR_FORMAT, "%s: state.%s is missing or not a number", path,
                             fields[i].name);
        memcpy(at, fields[i].real ? (const void *)&real : (const void *)&whole, sizeof real);
    }
    *out = s;
    return HONE_OK;
}
