/*
 * hone/option.h - one row per knob.
 *
 * A component ships a table of rows and the size of a plain config struct. The
 * host fills the struct before create(): defaults first, then the user's
 * values, every one checked. The same row is the parser, the check, the
 * default, --help, the reference page, the JSON Schema and the web form.
 *
 *     typedef struct config { int64_t tokens; double overlap; } config;
 *     static const hone_option options[] = {
 *         HONE_ROW_I64(config, tokens, 1, 1 << 20, "256", "size of a chunk, in tokens"),
 *         HONE_ROW_F64(config, overlap, 0, 0.9, "0.1", "share of a chunk repeated in the next"),
 *         HONE_OPTIONS_END,
 *     };
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HONE_OPTION_H
#define HONE_OPTION_H

#include "status.h"

HONE_BEGIN

/* What the config struct holds at a row's offset. */
#define HONE_OPT_BOOL 1   /* bool (one byte): true|false|yes|no|on|off         */
#define HONE_OPT_I64 2    /* int64_t, in [min, max]                            */
#define HONE_OPT_F64 3    /* double, finite, in [min, max]                     */
#define HONE_OPT_STRING 4 /* const char *, NULL when the default is NULL       */
#define HONE_OPT_ENUM 5   /* int64_t: index into choices, "a|b|c"              */
#define HONE_OPT_PATH \
    6                    /* const char *, relative paths are made absolute
                             against the folder of the config file             */
#define HONE_OPT_LIST 7  /* hone_list of strings; text form: "a,b,c"          */
#define HONE_OPT_PATHS 8 /* hone_list of paths, each made absolute like PATH  */

/* Strings and lists are owned by the host and live until destroy() returns. FROZEN. */
typedef struct hone_list {
    const char *const *items; /* n strings */
    uint64_t n;
} hone_list;

/* FROZEN: rows live in arrays. A table ends with name == NULL. */
typedef struct hone_option {
    const char *name;    /* lower case, words joined by '_'                      */
    uint32_t type;       /* HONE_OPT_*                                           */
    uint32_t offset;     /* of the field in the config struct, bytes             */
    double min, max;     /* inclusive; numbers only                              */
    const char *def;     /* default as text; NULL: unset (string, path, lists)   */
    const char *choices; /* enum: "a|b|c"; NULL otherwise                        */
    const char *help;    /* one line, says the unit                              */
} hone_option;

HONE_STATIC_ASSERT(sizeof(void *) != 8 || sizeof(hone_option) == 56, "frozen");

#define HONE_ROW_BOOL(type, field, def, help)                               \
    {                                                                       \
#field, HONE_OPT_BOOL, offsetof(type, field), 0, 0, def, NULL, help \
    }
#define HONE_ROW_I64(type, field, min, max, def, help)                         \
    {                                                                          \
#field, HONE_OPT_I64, offsetof(type, field), min, max, def, NULL, help \
    }
#define HONE_ROW_F64(type, field, min, max, def, help)                         \
    {                                                                          \
#field, HONE_OPT_F64, offsetof(type, field), min, max, def, NULL, help \
    }
#define HONE_ROW_STRING(type, field, def, help)                               \
    {                                                                         \
#field, HONE_OPT_STRING, offsetof(type, field), 0, 0, def, NULL, help \
    }
#define HONE_ROW_ENUM(type, field, choices, def, help)                         \
    {                                                                          \
#field, HONE_OPT_ENUM, offsetof(type, field), 0, 0, def, choices, help \
    }
#define HONE_ROW_PATH(type, field, def, help)                               \
    {                                                                       \
#field, HONE_OPT_PATH, offsetof(type, field), 0, 0, def, NULL, help \
    }
#define HONE_ROW_LIST(type, field, def, help)                               \
    {                                                                       \
#field, HONE_OPT_LIST, offsetof(type, field), 0, 0, def, NULL, help \
    }
#define HONE_ROW_PATHS(type, field, def, help)                               \
    {                                                                        \
#field, HONE_OPT_PATHS, offsetof(type, field), 0, 0, def, NULL, help \
    }
#define HONE_OPTIONS_END                   \
    {                                      \
        NULL, 0, 0, 0, 0, NULL, NULL, NULL \
    }

HONE_END

#endif /* HONE_OPTION_H */
