/*
 * plugin.h - the door of core/plugin: what is installed, and how a run gets at it.
 *
 *   registry   finds shared objects and reads their notes; runs none of their code
 *   component  one thing a plugin offers, opened, with its options filled in
 *   host       the table lent to plugins; one per process
 *
 * Only what a run names is opened, nothing is ever unloaded, and shutdown() of
 * everything runs once, from plugin_shutdown_all().
 *
 *     registry *r;
 *     component *c;
 *     void *self;
 *     registry_open(&r, dirs, n_dirs, err);
 *     component_open(&c, r, HONE_KIND_OPTIMIZER, "adamw", config, "/folder/of/config", err);
 *     const hone_optimizer *ops = c->ops;
 *     ops->create(plugin_host(), c->config, &self, err);
 *     ...
 *     ops->destroy(self);
 *     component_close(c);
 *     plugin_shutdown_all();
 *     registry_close(r);
 *
 * All calls are [main] unless tagged.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_PLUGIN_PLUGIN_H
#define CORE_PLUGIN_PLUGIN_H

#include "core/base/base.h"
#include "hone/plugin.h"

/* --------------------------------------------------------------------- note */

/* What the ELF note of a file says. */
typedef struct plugin_note {
    char id[64], version[32];
    uint16_t abi_major, abi_minor;
    hone_note_row *rows; /* owned, n_rows */
    size_t n_rows;
} plugin_note;

/* Bounds-checked; maps the file and runs nothing. Refused with the reason: not a shared
 * object for this machine, no note, a note that is malformed, another ABI. [any] */
HONE_MUST_CHECK hone_status plugin_note_read(plugin_note *out, const char *path, hone_error *err);
/* The same from memory; what: the name used in messages. [any] */
HONE_MUST_CHECK hone_status plugin_note_parse(plugin_note *out, const uint8_t *p, size_t n,
                                              const char *what, hone_error *err);
void plugin_note_finish(plugin_note *note);

/* ----------------------------------------------------------------- registry */

typedef struct registry registry;

/* One installed plugin. Everything is owned by the registry. */
typedef struct plugin_file {
    const char *path;   /* absolute */
    const char *origin; /* where its folder comes from: "--plugin-dir", "HONE_PLUGIN_PATH",
                           "user", "local", "system", "build", or "file" (registry_open_file) */
    const char *signer; /* "unsigned" */
    plugin_note note;
} plugin_file;

/* A file that looks like a plugin and is not used, and why. */
typedef struct plugin_problem {
    const char *path;
    bool hidden; /* nothing wrong with it: an earlier file has its id */
    char reason[507];
} plugin_problem;

/* A folder of the search path, whether it exists or not. */
typedef struct plugin_dir {
    const char *path;
    const char *origin;
} plugin_dir;

/* Read the notes of all *.so in, first id wins:
 *   dirs (--plugin-dir)
 *   $HONE_PLUGIN_PATH   absolute components only; ignored with raised privileges
 *   $XDG_DATA_HOME/hone/plugins, by default ~/.local/share/hone/plugins
 *   the build folder    of a hone that was not installed (search.c says how it is known)
 *   /usr/local/lib/hone/plugins
 *   the folder of the installation
 * Never the working folder. A bad file is a problem, not a failure. */
HONE_MUST_CHECK hone_status registry_open(registry **out, const char *const *dirs, size_t n_dirs,
                                          hone_error *err);
/* A registry of one file: for checking a plugin wherever it lies. */
HONE_MUST_CHECK hone_status registry_open_file(registry **out, const char *path, hone_error *err);
void registry_close(registry *r); /* NULL is fine; opened plugins stay mapped */

/* Components with HONE_COMPONENT_EXPERIMENTAL may be opened (default: refused). */
void registry_allow_experimental(registry *r, bool allow);

/* In search order, by file name inside a folder; shadowed files are problems. */
size_t registry_n_plugins(const registry *r);
const plugin_file *registry_plugin(const registry *r, size_t i);
size_t registry_n_problems(const registry *r);
const plugin_problem *registry_problem(const registry *r, size_t i);
size_t registry_n_dirs(const registry *r);
const plugin_dir *registry_dir(const registry *r, size_t i);

/* A component as the notes know it; borrowed from the registry. */
typedef struct component_row {
    const plugin_file *file;
    const hone_note_row *row;
} component_row;

/* name: "adamw", or "plugin-id/adamw" where several plugins have one. Ambiguous: an error
 * that lists them. Unknown (HONE_ERR_NOTFOUND): the nearest name, what there is, where
 * was searched. */
HONE_MUST_CHECK hone_status registry_find(component_row *out, const registry *r, const char *kind,
                                          const char *name, hone_error *err);
/* The component of this kind that claims the extension of path: the longest match, then the
 * first in search order; letter case does not matter. HONE_ERR_NOTFOUND: none. */
HONE_MUST_CHECK hone_status registry_find_extension(component_row *out, const registry *r,
                                                    const char *kind, const char *path,
                                                    hone_error *err);
/* The first that claims "*", which is what nobody else claims; false: none. */
bool registry_find_rest(component_row *out, const registry *r, const char *kind);
/* "name", or "plugin-id/name" where the short one is ambiguous; free(). */
char *registry_name(const registry *r, component_row c);

/* ---------------------------------------------------------------- component */

/* Open the shared object (once), compare descriptor and note, check every row, init().
 * *out is static in the plugin. */
HONE_MUST_CHECK hone_status plugin_load(const hone_plugin **out, registry *r,
                                        const plugin_file *file, hone_error *err);

typedef struct component {
    const plugin_file *file;    /* borrowed from the registry          */
    const hone_plugin *plugin;  /* borrowed, static                    */
    const hone_component *desc; /* borrowed, static                    */
    const void *ops;            /* borrowed: the table of desc->kind   */
    void *config;               /* owned; NULL when it takes no options */
    options options;            /* owned: fills and describes config   */
} component;

/* Load what (kind, name) names and fill its config: defaults, then the members of the
 * JSON object `config` (NULL: none). base: folder that relative paths in config start from
 * (NULL: the working folder). Messages name options as "<name>.<option>". More can be
 * set with options_set(&c->options, ...) before create() is called. The caller calls
 * create() and destroy() of ops. */
HONE_MUST_CHECK hone_status component_open(component **out, registry *r, const char *kind,
                                           const char *name, const json_t *config, const char *base,
                                           hone_error *err);
void component_close(component *c); /* after destroy(); NULL is fine */

/* Can this component be used on this machine, now? Its probe runs in a forked child, at most
 * 10 s; the answer is kept for the process. HONE_OK: yes; else err is the reason, crash
 * and time-out among them. */
HONE_MUST_CHECK hone_status component_probe(registry *r, component_row c, hone_error *err);

/* shutdown() of everything that was loaded, in reverse order; once, before exit. */
void plugin_shutdown_all(void);

/* --------------------------------------------------------------------- host */

/* The table lent to every plugin. */
const hone_host *plugin_host(void);

/* Offer `table` under id (a literal) to plugins that ask host->service(id); NULL withdraws it.
 * Borrowed until withdrawn. */
bool host_offer_service(const char *id,
                        const void *table); /* false: the table of services is full */

/* What host->cancelled() answers. [any], and safe in a signal handler. */
void host_cancel(bool cancelled);
bool host_is_cancelled(void);

/* Memory that plugins hold through host->alloc, bytes; NULL: under all tags. [any] */
int64_t host_bytes(const char *tag);
/* "tag bytes peak" lines, largest peak first. [any] */
void host_memory_report(text *out);

#endif /* CORE_PLUGIN_PLUGIN_H */
