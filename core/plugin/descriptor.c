/*
 * descriptor.c - is a plugin's descriptor complete, and does it say what the note said?
 *
 * After this, nobody in the core asks again whether a required call is there. One
 * table says which calls of a kind are required.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/plugin/loader.h"

#include "hone/hone.h"

#include <stdlib.h>

#define MAX_CONFIG_BYTES (1u << 20)
#define MAX_OPTIONS 256

typedef struct call_row {
    const char *kind;
    const char *name;
    size_t offset;
} call_row;

#define CALL(kind, type, member)              \
    {                                         \
        kind, #member, offsetof(type, member) \
    }

static const call_row required_calls[] = {
    CALL(HONE_KIND_READER, hone_reader, create),
    CALL(HONE_KIND_READER, hone_reader, destroy),
    CALL(HONE_KIND_READER, hone_reader, read),
    CALL(HONE_KIND_RECIPE, hone_recipe, create),
    CALL(HONE_KIND_RECIPE, hone_recipe, destroy),
    CALL(HONE_KIND_RECIPE, hone_recipe, process),
    CALL(HONE_KIND_WEIGHTS, hone_weights, create),
    CALL(HONE_KIND_WEIGHTS, hone_weights, destroy),
    CALL(HONE_KIND_WEIGHTS, hone_weights, layout),
    CALL(HONE_KIND_WEIGHTS, hone_weights, quantize),
    CALL(HONE_KIND_WEIGHTS, hone_weights, dequantize),
    CALL(HONE_KIND_OPTIMIZER, hone_optimizer, create),
    CALL(HONE_KIND_OPTIMIZER, hone_optimizer, destroy),
    CALL(HONE_KIND_OPTIMIZER, hone_optimizer, states),
    CALL(HONE_KIND_OPTIMIZER, hone_optimizer, program),
    CALL(HONE_KIND_OPTIMIZER, hone_optimizer, scalars),
    CALL(HONE_KIND_DEVICE, hone_device, count),
    CALL(HONE_KIND_DEVICE, hone_device, info),
    CALL(HONE_KIND_DEVICE, hone_device, open),
    CALL(HONE_KIND_DEVICE, hone_device, close),
    CALL(HONE_KIND_DEVICE, hone_device, alloc),
    CALL(HONE_KIND_DEVICE, hone_device, free),
    CALL(HONE_KIND_DEVICE, hone_device, map),
    CALL(HONE_KIND_DEVICE, hone_device, queue_create),
    CALL(HONE_KIND_DEVICE, hone_device, queue_destroy),
    CALL(HONE_KIND_DEVICE, hone_device, upload),
    CALL(HONE_KIND_DEVICE, hone_device, download),
    CALL(HONE_KIND_DEVICE, hone_device, sync),
    CALL(HONE_KIND_DEVICE, hone_device, record),
    CALL(HONE_KIND_DEVICE, hone_device, wait),
    CALL(HONE_KIND_DEVICE, hone_device, event_free),
    CALL(HONE_KIND_DEVICE, hone_device, ew_compile),
    CALL(HONE_KIND_DEVICE, hone_device, ew_free),
    CALL(HONE_KIND_DEVICE, hone_device, copy),
    CALL(HONE_KIND_DEVICE, hone_device, fill),
    CALL(HONE_KIND_DEVICE, hone_device, gemm),
    CALL(HONE_KIND_DEVICE, hone_device, elementwise),
    CALL(HONE_KIND_DEVICE, hone_device, reduce),
    CALL(HONE_KIND_DEVICE, hone_device, gather_rows),
    CALL(HONE_KIND_DEVICE, hone_device, scatter_add_rows),
};

static hone_status check_calls(const hone_component *c, const char *path, hone_error *err)
{
    void (*call)(void);
    uint32_t struct_size;
    size_t i;
    memcpy(&struct_size, c->ops, sizeof struct_size);
    for (i = 0; i < sizeof required_calls / sizeof required_calls[0]; i++) {
        const call_row *row = &required_calls[i];
        if (strcmp(row->kind, c->kind) != 0)
            continue;
        if (struct_size < row->offset + sizeof call)
            return hone_fail(
                err, HONE_ERR_FORMAT,
                "%s: component '%s': its table of %u bytes ends before the required call %s()",
                path, c->name, struct_size, row->name);
        memcpy(&call, (const char *)c->ops + row->offset, sizeof call);
        if (!call)
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: component '%s': the required call %s() is NULL", path, c->name,
                             row->name);
    }
    if (strcmp(c->kind, HONE_KIND_WEIGHTS) == 0) {
        const hone_weights *w = c->ops;
        if (!w->dense && !HONE_HAS_CALL(w, decode))
            return hone_fail(
                err, HONE_ERR_FORMAT,
                "%s: component '%s': the required call decode() of a packed format is NULL", path,
                c->name);
    }
    return HONE_OK;
}

/* Rows describe fields inside the config, aligned, under different names. */
static hone_status check_layout(const hone_component *c, const char *path, hone_error *err)
{
    size_t n = 0, k;
    for (; c->options[n].name; n++) {
        const hone_option *row = &c->options[n];
        const size_t size = options_size(row->type);
        const size_t align = row->type == HONE_OPT_BOOL ? 1 : sizeof(void *);
        if (n == MAX_OPTIONS)
            return hone_fail(
                err, HONE_ERR_FORMAT,
                "%s: component '%s': more than %d options (HONE_OPTIONS_END is missing?)", path,
                c->name, MAX_OPTIONS);
        if (!row->name[0] || row->name[strspn(row->name, "abcdefghijklmnopqrstuvwxyz0123456789_")])
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: component '%s': option '%s': names are [a-z0-9_]+", path, c->name,
                             row->name);
        for (k = 0; k < n; k++)
            if (strcmp(row->name, c->options[k].name) == 0)
                return hone_fail(err, HONE_ERR_FORMAT,
                                 "%s: component '%s': option '%s' is there twice", path, c->name,
                                 row->name);
        if (!size)
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: component '%s': option '%s' has the unknown type %u", path,
                             c->name, row->name, row->type);
        if (row->offset > c->config_size || size > c->config_size - row->offset ||
            row->offset % align)
            return hone_fail(
                err, HONE_ERR_FORMAT,
                "%s: component '%s': option '%s' at byte %u does not fit a config of %llu bytes",
                path, c->name, row->name, row->offset, (unsigned long long)c->config_size);
    }
    return HONE_OK;
}

static hone_status check_options(const hone_component *c, const char *path, hone_error *err)
{
    options o = { 0 };
    hone_status status;
    void *config;
    if (!c->options)
        return HONE_OK;
    if (c->config_size > MAX_CONFIG_BYTES)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: component '%s': a config of %llu bytes, at most %u", path, c->name,
                         (unsigned long long)c->config_size, MAX_CONFIG_BYTES);
    status = check_layout(c, path, err);
    if (status)
        return status;
    config = mem_new(1, c->config_size);
    if (!config)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", path);
    status = options_init(&o, c->options, config, c->name, "/", err);
    if (status)
        (void)hone_prefix(err, "%s", path);
    else
        options_finish(&o);
    free(config);
    return status;
}

static hone_status differs(const char *path, const char *what, const char *note, const char *given,
                           hone_error *err)
{
    return hone_fail(err, HONE_ERR_FORMAT, "%s: %s is '%s' in the note and '%s' in the descriptor",
                     path, what, note, given ? given : "(null)");
}

/* "" or NULL equal; otherwise the same words in the same order. */
static bool same_extensions(const char *note, const char *const *list)
{
    size_t i;
    for (i = 0; list && list[i]; i++) {
        const size_t n = strlen(list[i]);
        if (i && *note++ != ' ')
            return false;
        if (strncmp(note, list[i], n) != 0)
            return false;
        note += n;
    }
    return *note == '\0';
}

static hone_status check_component(const hone_component *c, const hone_note_row *row,
                                   const char *path, hone_error *err)
{
    hone_status status;
    if (!c || c->struct_size < sizeof *c)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: component '%s' has %u bytes, %zu are needed",
                         path, row->component, c ? c->struct_size : 0, sizeof *c);
    if (!c->kind || strcmp(c->kind, row->kind) != 0)
        return differs(path, "the kind of a component", row->kind, c->kind, err);
    if (!c->name || strcmp(c->name, row->component) != 0)
        return differs(path, "the name of a component", row->component, c->name, err);
    if (!same_extensions(row->extensions, c->extensions))
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: component '%s': the extensions differ from the note's '%s'", path,
                         c->name, row->extensions);
    if (!c->ops)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: component '%s' has no table of calls", path,
                         c->name);
    status = check_calls(c, path, err);
    return status ? status : check_options(c, path, err);
}

hone_status descriptor_check(const hone_plugin *p, const plugin_file *file, hone_error *err)
{
    const char *path = file->path;
    hone_status status = HONE_OK;
    size_t i;
    if (!p)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: hone_plugin_entry() returned NULL", path);
    if (p->struct_size < offsetof(hone_plugin, id) || p->abi_major != HONE_ABI_MAJOR ||
        p->abi_minor != HONE_ABI_MINOR)
        return hone_fail(err, HONE_ERR_ABI,
                         "%s: the descriptor is of plugin ABI %u.%u, this hone has %u.%u", path,
                         p->abi_major, p->abi_minor, HONE_ABI_MAJOR, HONE_ABI_MINOR);
    if (p->struct_size < sizeof *p)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: the descriptor has %u bytes, %zu are needed",
                         path, p->struct_size, sizeof *p);
    if (!p->id || strcmp(p->id, file->note.id) != 0)
        return differs(path, "the id", file->note.id, p->id, err);
    if (!p->version || strcmp(p->version, file->note.version) != 0)
        return differs(path, "the version", file->note.version, p->version, err);
    if (!p->license || !p->license[0])
        return hone_fail(err, HONE_ERR_FORMAT, "%s: the descriptor names no license", path);
    if (!p->components || p->n_components != file->note.n_rows)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: %zu components in the note and %llu in the descriptor", path,
                         file->note.n_rows, (unsigned long long)p->n_components);
    for (i = 0; i < file->note.n_rows && !status; i++)
        status = check_component(p->components[i], &file->note.rows[i], path, err);
    return status;
}
