/*
 * loader.c - the one place that runs code from a file: libltdl with our own rules.
 *
 * libltdl's own loader binds lazily (a missing symbol ends the process at the first
 * call), reads .la files, searches the environment and answers "file not found"
 * whatever went wrong. The loader here opens absolute paths only, with
 * RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE, keeps the text of dlerror(), and is the
 * only one left in the list.
 *
 * Traps: the table given to lt_dlloader_add() is freed by libltdl, so it is
 * malloc'ed. An object linked with -ffast-math sets flush-to-zero in the thread
 * that opens it, and with it every number of the run: the register is put back.
 * lt_dlexit() is never called: opened objects stay.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/plugin/loader.h"

#include <dlfcn.h>
#include <ltdl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

typedef struct module {
    char *path; /* owned */
    const hone_plugin *plugin;
    bool running; /* init() was called, shutdown() not yet */
} module;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* libltdl has none of its own */
static module *modules;
static size_t n_modules, cap_modules;
static char open_error[400]; /* of the open in progress */

static lt_module strict_open(lt_user_data data, const char *path, lt_dladvise advise)
{
    void *handle;
    (void)data;
    (void)advise;
    if (!path || path[0] != '/') {
        (void)snprintf(open_error, sizeof open_error, "the path is not absolute");
        return NULL;
    }
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) {
        const char *why = dlerror();
        (void)snprintf(open_error, sizeof open_error, "%s", why ? why : "unknown reason");
    }
    return handle;
}

static int strict_close(lt_user_data data, lt_module handle)
{
    (void)data;
    return dlclose(handle);
}

static void *strict_symbol(lt_user_data data, lt_module handle, const char *name)
{
    (void)data;
    return dlsym(handle, name);
}

static hone_status start_libltdl(hone_error *err)
{
    static bool started;
    lt_dlvtable *strict;
    if (started)
        return HONE_OK;
    if (lt_dlinit() != 0)
        return hone_fail(err, HONE_ERR_STATE, "libltdl: %s", lt_dlerror());
    strict = mem_new(1, sizeof *strict);
    if (!strict)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the plugin loader");
    *strict = (lt_dlvtable){ .name = "hone_strict",
                             .module_open = strict_open,
                             .module_close = strict_close,
                             .find_sym = strict_symbol,
                             .priority = LT_DLLOADER_PREPEND };
    free(lt_dlloader_remove("lt_dlopen")); /* malloc'ed by libltdl, and now ours */
    if (lt_dlloader_add(strict) != 0) {
        free(strict);
        return hone_fail(err, HONE_ERR_STATE, "libltdl: %s", lt_dlerror());
    }
    started = true;
    return HONE_OK;
}

/* The modes of floating point that a loaded object may have changed: rounding, traps,
 * flush to zero; not the flags of past operations. */
static uint64_t float_modes(void)
{
#if defined(__x86_64__)
    return _mm_getcsr() & ~0x3fu;
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
#else
    return 0;
#endif
}

static void set_float_modes(uint64_t modes)
{
#if defined(__x86_64__)
    _mm_setcsr((unsigned)modes);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(modes));
#else
    (void)modes;
#endif
}

static void restore_float_modes(uint64_t before, const char *path)
{
    if (float_modes() == before)
        return;
    set_float_modes(before);
    log_line(HONE_LOG_WARN,
             "%s changed how floating point works for the whole process (built with -ffast-math?); "
             "undone",
             path);
}

/* The file is still the one whose note was read. */
static hone_status check_unchanged(const plugin_file *file, hone_error *err)
{
    const file_entry *f = (const file_entry *)(const void *)file; /* its first member */
    struct stat st;
    if (stat(file->path, &st) != 0 || st.st_dev != f->device || st.st_ino != f->inode ||
        st.st_size != f->bytes || st.st_mtim.tv_sec != f->changed.tv_sec ||
        st.st_mtim.tv_nsec != f->changed.tv_nsec)
        return hone_fail(err, HONE_ERR_STATE, "%s: changed since it was listed; start again",
                         file->path);
    return HONE_OK;
}

static hone_status open_object(hone_plugin_entry_fn *entry, const char *path, hone_error *err)
{
    const char *why = open_error;
    const size_t n = strlen(path);
    void *symbol;
    lt_dlhandle handle;
    hone_status status = start_libltdl(err);
    if (status)
        return status;
    (void)snprintf(open_error, sizeof open_error, "unknown reason");
    handle = lt_dlopen(path);
    if (!handle) {
        if (strncmp(why, path, n) == 0 && strncmp(why + n, ": ", 2) == 0)
            why += n + 2; /* dlerror() names the file as well */
        return hone_fail(err, HONE_ERR_FORMAT, "%s: cannot be loaded: %s", path, why);
    }
    symbol = lt_dlsym(handle, "hone_plugin_entry");
    if (!symbol)
        return hone_fail(
            err, HONE_ERR_FORMAT,
            "%s: has no function hone_plugin_entry (HONE_PLUGIN_ENTRY is missing or hidden)", path);
    memcpy(entry, &symbol, sizeof symbol);
    return HONE_OK;
}

static module *find_module(const char *path)
{
    size_t i;
    for (i = 0; i < n_modules; i++)
        if (strcmp(modules[i].path, path) == 0)
            return &modules[i];
    return NULL;
}

static hone_status load_module(module **out, const plugin_file *file, hone_error *err)
{
    hone_plugin_entry_fn entry = NULL;
    hone_status status;
    const hone_plugin *plugin = NULL;
    char *path;
    uint64_t modes;
    *out = find_module(file->path);
    if (*out)
        return HONE_OK;
    status = check_unchanged(file, err);
    if (status)
        return status;
    modes = float_modes();
    status = open_object(&entry, file->path, err);
    if (!status)
        plugin = entry();
    restore_float_modes(modes, file->path);
    if (!status)
        status = descriptor_check(plugin, file, err);
    if (status)
        return status;
    path = mem_strdup(file->path);
    if (!path || !mem_grow(&modules, &cap_modules, n_modules + 1, sizeof *modules)) {
        free(path);
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", file->path);
    }
    modules[n_modules] = (module){ path, plugin, false };
    *out = &modules[n_modules++];
    return HONE_OK;
}

static hone_status start_module(module *m, hone_error *err)
{
    hone_error why = { 0 };
    uint64_t modes;
    hone_status status = HONE_OK;
    if (m->running)
        return HONE_OK;
    if (m->plugin->init) {
        modes = float_modes();
        status = m->plugin->init(plugin_host(), &why);
        restore_float_modes(modes, m->path);
    }
    if (status)
        return hone_fail(err, status, "%s: does not start: %s", m->path,
                         why.message[0] ? why.message : "no reason given");
    m->running = true;
    return HONE_OK;
}

hone_status plugin_load(const hone_plugin **out, registry *r, const plugin_file *file,
                        hone_error *err)
{
    module *m = NULL;
    hone_status status;
    (void)r;
    pthread_mutex_lock(&lock);
    status = load_module(&m, file, err);
    if (!status)
        status = start_module(m, err);
    if (!status)
        *out = m->plugin;
    pthread_mutex_unlock(&lock);
    return status;
}

bool plugin_is_running(const plugin_file *file)
{
    const module *m;
    bool running;
    pthread_mutex_lock(&lock);
    m = find_module(file->path);
    running = m && m->running;
    pthread_mutex_unlock(&lock);
    return running;
}

static bool has_device(const hone_plugin *p)
{
    uint64_t i;
    for (i = 0; i < p->n_components; i++)
        if (strcmp(p->components[i]->kind, HONE_KIND_DEVICE) == 0)
            return true;
    return false;
}

/* Devices last: what others hold may live on one. */
void plugin_shutdown_all(void)
{
    int devices;
    size_t i;
    pthread_mutex_lock(&lock);
    for (devices = 0; devices < 2; devices++)
        for (i = n_modules; i-- > 0;) {
            module *m = &modules[i];
            if (!m->running || has_device(m->plugin) != (devices == 1))
                continue;
            m->running = false;
            if (m->plugin->shutdown)
                m->plugin->shutdown();
        }
    pthread_mutex_unlock(&lock);
}
