/*
 * text_rig.c - see text_rig.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/text_rig.h"

#include <stdlib.h>

void text_rig_fail(text_rig *g, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("FAIL ", stdout);
    (void)vprintf(format, args);
    putchar('\n');
    va_end(args);
    g->failures++;
}

void text_rig_failed_well(text_rig *g, const char *what, hone_status st, const hone_error *err)
{
    if (st > HONE_OK || st < HONE_ERR_DEVMEM)
        text_rig_fail(g, "%s: status %d is none of hone/status.h", what, st);
    if (!err->message[0] || strpbrk(err->message, "\n\r") ||
        !utf8_valid(err->message, strlen(err->message)))
        text_rig_fail(g, "%s: failed with status %d and no message of one line: \"%s\"", what, st,
                      err->message);
}

static const char *first_of(const registry *r, const char *kind)
{
    const plugin_note *note = &registry_plugin(r, 0)->note;
    for (size_t i = 0; i < note->n_rows; i++)
        if (strcmp(note->rows[i].kind, kind) == 0)
            return note->rows[i].component;
    return NULL;
}

hone_status text_rig_open(text_rig *g, const char *kind, int argc, char **argv, hone_error *err)
{
    const char *plugin = NULL, *name = NULL;
    char *settings[16];
    size_t n_settings = 0;
    hone_status st;
    *g = (text_rig){ .seed = 1, .files = mem_new((size_t)argc + 1, sizeof *g->files) };
    test_host_init(&g->host);
    g->host.has_tokenizer = true;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            g->seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--name") == 0 && i + 1 < argc)
            name = argv[++i];
        else if (strcmp(argv[i], "--option") == 0 && i + 1 < argc && n_settings < 16)
            settings[n_settings++] = argv[++i];
        else if (!plugin)
            plugin = argv[i];
        else if (g->files)
            g->files[g->n_files++] = argv[i];
    }
    if (!plugin)
        return hone_fail(err, HONE_ERR_ARG,
                         "usage: %s PLUGIN.so [--name NAME] [--seed N] [--option KEY=VALUE]... "
                         "[FILE]...",
                         argv[0]);
    st = registry_open_file(&g->plugins, plugin, err);
    if (st == HONE_OK && !name)
        name = first_of(g->plugins, kind);
    if (st == HONE_OK && !name)
        return hone_fail(err, HONE_ERR_NOTFOUND, "%s offers no %s", plugin, kind);
    if (st == HONE_OK)
        st = component_open(&g->component, g->plugins, kind, name, NULL, NULL, err);
    for (size_t i = 0; i < n_settings && st == HONE_OK; i++) {
        char *value = strchr(settings[i], '=');
        if (value)
            *value++ = '\0';
        st = options_set(&g->component->options, settings[i], value ? value : "", err);
    }
    return st;
}

void text_rig_close(text_rig *g)
{
    component_close(g->component);
    plugin_shutdown_all();
    registry_close(g->plugins);
    free(g->files);
}

hone_status text_rig_create(text_rig *g, instance *x, hone_error *err)
{
    const component *c = g->component;
    *x = (instance){ .desc = c->desc, .config = c->config, .host = &g->host.host };
    if (strcmp(c->desc->kind, HONE_KIND_READER) == 0)
        return ((const hone_reader *)c->ops)->create(x->host, x->config, &x->self, err);
    return ((const hone_recipe *)c->ops)->create(x->host, x->config, &x->self, err);
}

void text_rig_destroy(instance *x)
{
    if (x->desc && x->self && strcmp(x->desc->kind, HONE_KIND_READER) == 0)
        ((const hone_reader *)x->desc->ops)->destroy(x->self);
    else if (x->desc && x->self)
        ((const hone_recipe *)x->desc->ops)->destroy(x->self);
    *x = (instance){ 0 };
}
