/*
 * backend.c - "cpu/fp32": a device and a weight format, found among the plugins and opened.
 *
 * Either name may carry its plugin's id where the short one is ambiguous:
 * "com.example.cpu/cpu:0/fp32". A plugin id is told from a device by its dot.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/impl.h"

struct backend {
    char *spec;                /* owned */
    component *device;         /* owned */
    component *format;         /* owned */
    const hone_weights *table; /* borrowed: format's calls */
    void *format_self;         /* owned: destroyed by table */
    ops *o;                    /* owned; NULL: the device is not here */
    uint32_t ordinal;
};

static hone_status bad_spec(const char *spec, hone_error *err)
{
    return hone_fail(err, HONE_ERR_ARG,
                     "backend \"%.80s\": expected device/format or device:number/format, such as "
                     "cpu/fp32",
                     spec);
}

/* "[id/]name" at *p, up to the next '/'; *p moves behind it. Fresh memory; NULL: empty. */
static char *take_name(const char **p)
{
    const char *end = strchrnul(*p, '/');
    if (*end && memchr(*p, '.', (size_t)(end - *p)))
        end = strchrnul(end + 1, '/');
    char *name = end > *p ? mem_strndup(*p, (size_t)(end - *p)) : NULL;
    *p = *end ? end + 1 : end;
    return name;
}

/* device: fresh memory, the ":n" cut off. */
static hone_status parse_spec(char **device, uint32_t *ordinal, char **format, const char *spec,
                              hone_error *err)
{
    const char *p = spec;
    hone_status st = HONE_OK;
    char *first = take_name(&p), *second = take_name(&p);
    char *colon = first ? strrchr(first, ':') : NULL;
    unsigned long number = 0;
    if (!first || !second || *p) {
        st = bad_spec(spec, err);
    } else if (colon) {
        char *end;
        errno = 0;
        number = strtoul(colon + 1, &end, 10);
        if (colon[1] < '0' || colon[1] > '9' || *end || errno || number > 65535 || colon == first)
            st = bad_spec(spec, err);
        *colon = 0;
    }
    if (st == HONE_OK) {
        *device = first;
        *format = second;
        *ordinal = (uint32_t)number;
        first = second = NULL;
    }
    free(first);
    free(second);
    return st;
}

static hone_status check_ordinal(const backend *b, hone_error *err)
{
    const hone_device *device = b->device->ops;
    uint32_t n = 0;
    hone_error why = { 0 };
    hone_status st = device->count(plugin_host(), &n, &why);
    if (st != HONE_OK) {
        if (err)
            *err = why;
        return st;
    }
    if (n == 0)
        return hone_fail(err, HONE_ERR_DEVICE, "no such device here%s%s",
                         why.message[0] ? ": " : "", why.message);
    if (b->ordinal >= n)
        return hone_fail(err, HONE_ERR_DEVICE, "device number %u, there %s %u, counted from 0",
                         b->ordinal, n == 1 ? "is" : "are", n);
    return HONE_OK;
}

static hone_status open_ops(backend *b, uint32_t flags, hone_error *err)
{
    ops *o = NULL;
    hone_status st =
        ops_open(&o, plugin_host(), b->device->ops, b->ordinal, b->device->config, flags, err);
    if (st == HONE_OK)
        st = ops_add_format(o, b->format->desc->name, b->table, b->format_self, err);
    if (st != HONE_OK) {
        ops_close(o);
        return st;
    }
    if (HONE_HAS(b->table, operands))
        ops_round_operands(o, b->table->operands);
    ops_close(b->o);
    b->o = o;
    return HONE_OK;
}

hone_status backend_open(backend **out, registry *plugins, const char *spec,
                         const json_t *device_options, const json_t *weights_options,
                         hone_error *err)
{
    char *device = NULL, *format = NULL;
    hone_status st;
    backend *b = mem_new(1, sizeof *b);
    if (!b || !(b->spec = mem_strdup(spec))) {
        st = hone_fail(err, HONE_ERR_NOMEM, "backend %s: no memory", spec);
        goto out;
    }
    st = parse_spec(&device, &b->ordinal, &format, spec, err);
    if (st != HONE_OK)
        goto out;
    st = component_open(&b->device, plugins, HONE_KIND_DEVICE, device, device_options, NULL, err);
    if (st == HONE_OK)
        st = component_open(&b->format, plugins, HONE_KIND_WEIGHTS, format, weights_options, NULL,
                            err);
    if (st == HONE_OK)
        st = check_ordinal(b, err);
    if (st == HONE_OK) {
        b->table = b->format->ops;
        st = b->table->create(plugin_host(), b->format->config, &b->format_self, err);
    }
    if (st == HONE_OK)
        st = open_ops(b, 0, err);
    if (st != HONE_OK) {
        (void)hone_prefix(err, "backend %.80s", spec);
        goto out;
    }
    *out = b;
    b = NULL;
out:
    free(device);
    free(format);
    backend_close(b);
    return st;
}

hone_status backend_open_absent(backend **out, registry *plugins, const char *device,
                                const char *format, const json_t *weights_options, hone_error *err)
{
    text spec = { 0 };
    hone_status st = HONE_OK;
    backend *b = mem_new(1, sizeof *b);
    text_printf(&spec, "%s/%s", device, format);
    if (!b || spec.failed || !(b->spec = mem_strdup(spec.p)))
        st = hone_fail(err, HONE_ERR_NOMEM, "backend %s/%s: no memory", device, format);
    if (st == HONE_OK)
        st = component_open(&b->format, plugins, HONE_KIND_WEIGHTS, format, weights_options, NULL,
                            err);
    if (st == HONE_OK) {
        b->table = b->format->ops;
        st = b->table->create(plugin_host(), b->format->config, &b->format_self, err);
    }
    if (st == HONE_OK) {
        *out = b;
        b = NULL;
    } else {
        (void)hone_prefix(err, "backend %.40s/%.40s", device, format);
    }
    text_finish(&spec);
    backend_close(b);
    return st;
}

void backend_close(backend *b)
{
    if (!b)
        return;
    ops_close(b->o);
    if (b->table)
        b->table->destroy(b->format_self);
    component_close(b->format);
    component_close(b->device);
    free(b->spec);
    free(b);
}

const char *backend_spec(const backend *b)
{
    return b->spec;
}

const char *backend_format_name(const backend *b)
{
    return b->format->desc->name;
}

const hone_dev_info *backend_info(const backend *b)
{
    return b->o ? ops_info(b->o) : NULL;
}

hone_status backend_set_compose(backend *b, bool compose, hone_error *err)
{
    return open_ops(b, compose ? OPS_COMPOSE : 0, err);
}

void backend_print_paths(const backend *b, text *out)
{
    ops_path paths[64];
    const size_t cap = sizeof paths / sizeof paths[0];
    size_t n = ops_paths(b->o, paths, cap);
    for (size_t i = 0; i < n && i < cap; i++)
        text_printf(out, "%-16s %s\n", paths[i].op, paths[i].path);
}

ops *backend_ops(const backend *b)
{
    return b->o;
}

const hone_weights *backend_format(const backend *b, const char **name, void **self)
{
    *name = b->format->desc->name;
    *self = b->format_self;
    return b->table;
}
