/*
 * component.c - one thing a plugin offers, with its config filled in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/plugin/loader.h"

#include <stdlib.h>

const hone_component *component_of(const hone_plugin *plugin, const hone_note_row *row)
{
    uint64_t i;
    for (i = 0; i < plugin->n_components; i++)
        if (strcmp(plugin->components[i]->kind, row->kind) == 0 &&
            strcmp(plugin->components[i]->name, row->component) == 0)
            return plugin->components[i];
    return NULL;
}

hone_status component_open(component **out, registry *r, const char *kind, const char *name,
                           const json_t *config, const char *base, hone_error *err)
{
    component_row found = { NULL, NULL };
    const hone_plugin *plugin = NULL;
    component *c = NULL;
    hone_status status = registry_find(&found, r, kind, name, err);
    if (!status)
        status = plugin_load(&plugin, r, found.file, err);
    if (status)
        return status;
    c = mem_new(1, sizeof *c);
    if (!c)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", name);
    c->file = found.file;
    c->plugin = plugin;
    c->desc = component_of(plugin, found.row);
    c->ops = c->desc->ops;
    if ((c->desc->flags & HONE_COMPONENT_EXPERIMENTAL) && !r->experimental) {
        status = hone_fail(err, HONE_ERR_STATE,
                           "%s is experimental; --allow-experimental permits it", name);
        goto out;
    }
    if (c->desc->config_size) {
        c->config = mem_new(1, c->desc->config_size);
        if (!c->config) {
            status = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for its config", name);
            goto out;
        }
    }
    status = options_init(&c->options, c->desc->options, c->config, c->desc->name, base, err);
    if (!status && config)
        status = options_set_object(&c->options, config, NULL, err);
    if (status)
        goto out;
    *out = c;
    c = NULL;
out:
    component_close(c);
    return status;
}

void component_close(component *c)
{
    if (!c)
        return;
    options_finish(&c->options);
    free(c->config);
    free(c);
}
