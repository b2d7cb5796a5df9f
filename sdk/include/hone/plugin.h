/*
 * hone/plugin.h - a plugin: one shared object, one exported function, one note.
 *
 * The note is an ELF note that says id, version, ABI and components. The host
 * reads it from the file, so that a plugin is listed, chosen or refused without
 * running a byte of its code. The exported function returns the descriptor; both
 * come from the same rows, and the loader refuses a file in which they differ.
 *
 *     static const hone_component lines = {
 *         .struct_size = sizeof lines, .kind = HONE_KIND_RECIPE, .name = "lines",
 *         .summary = "one sample per line", .ops = &lines_ops,
 *         .options = options, .config_size = sizeof(config),
 *     };
 *     static const hone_component *const components[] = { &lines };
 *     static const hone_plugin plugin = {
 *         .struct_size = sizeof plugin, HONE_PLUGIN_ABI,
 *         .id = "com.example.lines", .version = "1.0.0", .license = "Apache-2.0",
 *         .components = components, .n_components = 1,
 *     };
 *     HONE_PLUGIN_NOTE("com.example.lines", "1.0.0", 1, HONE_NOTE_ROW(HONE_KIND_RECIPE, "lines", ""));
 *     HONE_PLUGIN_ENTRY(&plugin)
 *
 * Build with hidden visibility, -Wl,-z,now -Wl,-z,defs and the map file that
 * `pkg-config --variable=mapfile hone-sdk` names: nothing else is exported.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HONE_PLUGIN_H
#define HONE_PLUGIN_H

#include "host.h"
#include "option.h"

HONE_BEGIN

/* What a component is; its ops are the table of that kind's header. */
#define HONE_KIND_READER "hone.reader/1"
#define HONE_KIND_RECIPE "hone.recipe/1"
#define HONE_KIND_DEVICE "hone.device/1"
#define HONE_KIND_WEIGHTS "hone.weights/1"
#define HONE_KIND_OPTIMIZER "hone.optimizer/1"

/* Component flags. */
#define HONE_COMPONENT_THREADSAFE 1u    /* [worker] calls of one instance may run concurrently */
#define HONE_COMPONENT_DETERMINISTIC 2u /* same config and input give the same output          */
#define HONE_COMPONENT_ISOLATE 4u       /* parses hostile bytes: always in a child process     */
#define HONE_COMPONENT_EXPERIMENTAL 8u  /* refused unless the user allows it                   */
#define HONE_COMPONENT_CODE 16u         /* a recipe: gets source code too, not only documents  */

typedef struct hone_component {
    uint32_t struct_size, flags;
    const char *kind;              /* HONE_KIND_*                                          */
    const char *name;              /* [a-z0-9-]+, unique per kind within the plugin        */
    const char *summary;           /* one line for lists                                   */
    const void *ops;               /* table of the kind, static                            */
    const hone_option *options;    /* NULL: takes no options                               */
    uint64_t config_size;          /* bytes of the struct the rows describe; 0 without any */
    const char *const *extensions; /* readers: ".md", ".txt", ...; NULL-terminated or NULL.
                                      "*": files that no other reader claims              */

    /* Can it be used on this machine, now? Runs in a child process; allocates
     * nothing that outlives it. NULL: always. On failure err is the reason the
     * user sees. [main] */
    hone_status (*probe)(const hone_host *host, hone_error *err);
} hone_component;

typedef struct hone_plugin {
    uint32_t struct_size;
    uint16_t abi_major, abi_minor; /* HONE_PLUGIN_ABI */
    const char *id;                /* reverse domain: "com.example.lines"   */
    const char *version;           /* "1.2.0"                               */
    const char *license;           /* SPDX expression                       */
    const hone_component *const *components;
    uint64_t n_components;

    /* Once, after every check, before any component is created. Must tolerate
     * init() again after shutdown(). NULL: nothing to do. [main] */
    hone_status (*init)(const hone_host *host, hone_error *err);
    /* Join threads, give back device objects. The code stays mapped: hone
     * never unloads. NULL: nothing to do. [main] */
    void (*shutdown)(void);
} hone_plugin;

#define HONE_PLUGIN_ABI .abi_major = HONE_ABI_MAJOR, .abi_minor = HONE_ABI_MINOR

typedef const hone_plugin *(*hone_plugin_entry_fn)(void);

/* ------------------------------------------------------------------ the note */

/* Layout in the file: namesz, descsz, type (u32 each), "HONE", then the
 * descriptor below and n_rows rows. No pointers. Little-endian. FROZEN. */
#define HONE_NOTE_TYPE 1

typedef struct hone_note_head {
    uint32_t namesz, descsz, type;
    char name[4];
    uint32_t struct_size; /* sizeof(hone_note_head) - 16 */
    uint16_t abi_major, abi_minor;
    uint32_t row_size; /* sizeof(hone_note_row) */
    uint32_t n_rows;
    char id[64];
    char version[32];
} hone_note_head;

typedef struct hone_note_row {
    char kind[24];
    char component[40];
    char extensions[64]; /* readers: ".md .markdown", "*"; "" otherwise */
} hone_note_row;

HONE_STATIC_ASSERT(sizeof(hone_note_head) == 128, "frozen");
HONE_STATIC_ASSERT(sizeof(hone_note_row) == 128, "frozen");

#if defined(__has_attribute)
#if __has_attribute(retain)
#define HONE_NOTE_ATTRIBUTES section(".note.hone.plugin"), aligned(4), used, retain
#endif
#endif
#ifndef HONE_NOTE_ATTRIBUTES
#define HONE_NOTE_ATTRIBUTES section(".note.hone.plugin"), aligned(4), used
#endif

#define HONE_NOTE_ROW(kind, component, extensions) \
    {                                              \
        kind, component, extensions                \
    }

#define HONE_PLUGIN_NOTE(ID, VERSION, N, ...)                                 \
    __attribute__((HONE_NOTE_ATTRIBUTES)) static const struct {               \
        hone_note_head head;                                                  \
        hone_note_row rows[N];                                                \
    } hone_note_of_this_plugin = { { 4,                                       \
                                     (uint32_t)(sizeof(hone_note_head) - 16 + \
                                                (N) * sizeof(hone_note_row)), \
                                     HONE_NOTE_TYPE,                          \
                                     { 'H', 'O', 'N', 'E' },                  \
                                     (uint32_t)(sizeof(hone_note_head) - 16), \
                                     HONE_ABI_MAJOR,                          \
                                     HONE_ABI_MINOR,                          \
                                     (uint32_t)sizeof(hone_note_row),         \
                                     N,                                       \
                                     ID,                                      \
                                     VERSION },                               \
                                   { __VA_ARGS__ } }

/* Fast, allocation-free, callable any number of times. [main] */
#define HONE_PLUGIN_ENTRY(descriptor)                       \
    HONE_EXPORT const hone_plugin *hone_plugin_entry(void); \
    const hone_plugin *hone_plugin_entry(void)              \
    {                                                       \
        return (descriptor);                                \
    }

HONE_END

#endif /* HONE_PLUGIN_H */
