/*
 * fake_plugin.c - a tiny plugin, good or bad in the way that a -D says.
 *
 * One source, one .so per fault: meson.build has the list.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "hone/optimizer.h"
#include "hone/plugin.h"
#include "hone/recipe.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef FAKE_ID
#define FAKE_ID "test.good"
#endif
#ifndef FAKE_NAME
#define FAKE_NAME "fake"
#endif
#ifndef FAKE_FLAGS
#define FAKE_FLAGS 0
#endif

typedef struct config {
    int64_t size;
    double share;
    const char *label;
} config;

static const hone_option options[] = {
#ifdef FAKE_BAD_DEFAULT
    HONE_ROW_I64(config, size, 1, 10, "99", "a number"),
#elif defined(FAKE_BAD_OFFSET)
    { "size", HONE_OPT_I64, 4096, 1, 10, "5", NULL, "a number" },
#else
    HONE_ROW_I64(config, size, 1, 10, "5", "a number"),
#endif
    HONE_ROW_F64(config, share, 0, 1, "0.5", "a share"),
    HONE_ROW_STRING(config, label, "none", "a text"),
    HONE_OPTIONS_END,
};

#ifdef FAKE_CONSTRUCTOR
__attribute__((constructor)) static void spoke(void)
{
    static const char line[] = "constructor ran\n";
    if (write(STDOUT_FILENO, line, sizeof line - 1) < 0)
        abort();
}
#endif

#ifdef FAKE_MISSING_SYMBOL
int nobody_defines_this(void);
#endif

static hone_status create(const hone_host *host, const void *c, void **self, hone_error *err)
{
    (void)c;
    *self = host->alloc(host, 8, 8, "fake");
#ifdef FAKE_MISSING_SYMBOL
    if (nobody_defines_this())
        return hone_fail(err, HONE_ERR_ARG, "unreachable");
#endif
    return *self ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "no memory");
}

static void destroy(void *self)
{
    (void)self;
}

#ifndef FAKE_NO_CALL
static hone_status process(void *self, const hone_document *document, const hone_sample_sink *sink,
                           hone_error *err)
{
    (void)self;
    (void)document;
    (void)sink;
    return hone_fail(err, HONE_ERR_SKIP, "nothing");
}
#endif

static const hone_recipe recipe_ops = {
    .struct_size = sizeof recipe_ops,
    .create = create,
    .destroy = destroy,
#ifndef FAKE_NO_CALL
    .process = process,
#endif
};

#ifdef FAKE_PROBE
static hone_status probe(const hone_host *host, hone_error *err)
{
    (void)host;
#if FAKE_PROBE == 1
    return hone_fail(err, HONE_ERR_UNSUPPORTED, "the machine has no fake hardware");
#elif FAKE_PROBE == 2
    (void)err;
    (void)!write(STDOUT_FILENO, "noise\n", 6);
    (void)signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would exit instead */
    (void)raise(SIGSEGV);
    return HONE_OK;
#elif FAKE_PROBE == 3
    (void)err;
    _exit(3);
#elif FAKE_PROBE == 5
    (void)err;
    for (;;)
        (void)pause();
    return HONE_OK;
#else
    (void)err;
    (void)!write(STDOUT_FILENO, "noise\n", 6);
    return HONE_OK;
#endif
}
#endif

static int starts; /* init() minus shutdown() */

static hone_status init(const hone_host *host, hone_error *err)
{
#ifdef FAKE_BAD_INIT
    (void)host;
    return hone_fail(err, HONE_ERR_DEVICE, "the fake has no fuel");
#else
    (void)host;
    if (starts++)
        return hone_fail(err, HONE_ERR_STATE, "started twice");
    return HONE_OK;
#endif
}

static void stop(void)
{
    starts--;
}

static const hone_component component = {
    .struct_size = sizeof component,
    .flags = FAKE_FLAGS,
    .kind = HONE_KIND_RECIPE,
#ifdef FAKE_OTHER_NAME
    .name = FAKE_OTHER_NAME,
#else
    .name = FAKE_NAME,
#endif
    .summary = "for tests",
    .ops = &recipe_ops,
    .options = options,
    .config_size = sizeof(config),
#ifdef FAKE_PROBE
    .probe = probe,
#endif
};

static const hone_component *const components[] = { &component };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
#ifdef FAKE_OTHER_ID
    .id = FAKE_OTHER_ID,
#else
    .id = FAKE_ID,
#endif
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
    .init = init,
    .shutdown = stop,
};

#ifdef FAKE_ABI_MINOR
#undef HONE_ABI_MINOR
#define HONE_ABI_MINOR FAKE_ABI_MINOR
#endif

#ifndef FAKE_NO_NOTE
HONE_PLUGIN_NOTE(FAKE_ID, "1.0.0", 1, HONE_NOTE_ROW(HONE_KIND_RECIPE, FAKE_NAME, ""));
#endif

#ifdef FAKE_NO_ENTRY
const hone_plugin *unused(void);
const hone_plugin *unused(void)
{
    return &plugin;
}
#else
HONE_PLUGIN_ENTRY(&plugin)
#endif
