/*
 * cmd_plugin.c - hone plugin list | info NAME: what is installed, read from the notes.
 *
 * list runs no plugin code. info opens the one it names: its options come from its rows,
 * and whether it can be used here from its probe, in a child process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/app/app.h"

static struct {
    bool json;
} flags;

static const hone_option rows[] = {
    { "json", HONE_OPT_BOOL, 0, 0, 0, "false", NULL, "print JSON" },
    HONE_OPTIONS_END,
};

static json_t *describe(const plugin_file *f)
{
    json_t *components = json_array();
    char abi[32];
    for (size_t i = 0; i < f->note.n_rows; i++) {
        const hone_note_row *r = &f->note.rows[i];
        json_t *c = json_pack("{s:s, s:s}", "kind", r->kind, "name", r->component);
        if (r->extensions[0])
            (void)json_object_set_new(c, "extensions", json_string(r->extensions));
        (void)json_array_append_new(components, c);
    }
    (void)snprintf(abi, sizeof abi, "%u.%u", f->note.abi_major, f->note.abi_minor);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "id", f->note.id, "version",
                     f->note.version, "abi", abi, "file", f->path, "from", f->origin, "signer",
                     f->signer, "components", components);
}

static void list_text(const registry *r)
{
    for (size_t i = 0; i < registry_n_plugins(r); i++) {
        const plugin_file *f = registry_plugin(r, i);
        printf("%s %s  (%s, %s)\n", f->note.id, f->note.version, f->signer, f->path);
        for (size_t k = 0; k < f->note.n_rows; k++)
            printf("    %-18s %-16s %s\n", f->note.rows[k].kind, f->note.rows[k].component,
                   f->note.rows[k].extensions);
    }
    if (!registry_n_plugins(r)) {
        puts("no plugin found; searched:");
        for (size_t i = 0; i < registry_n_dirs(r); i++)
            printf("    %s (%s)\n", registry_dir(r, i)->path, registry_dir(r, i)->origin);
    }
    for (size_t i = 0; i < registry_n_problems(r); i++)
        printf("not used: %s: %s\n", registry_problem(r, i)->path, registry_problem(r, i)->reason);
}

static void list_json(const registry *r)
{
    json_t *plugins = json_array(), *problems = json_array();
    for (size_t i = 0; i < registry_n_plugins(r); i++)
        (void)json_array_append_new(plugins, describe(registry_plugin(r, i)));
    for (size_t i = 0; i < registry_n_problems(r); i++)
        (void)json_array_append_new(problems,
                                    json_pack("{s:s, s:s}", "file", registry_problem(r, i)->path,
                                              "reason", registry_problem(r, i)->reason));
    json_t *all = json_pack("{s:o, s:o}", "plugins", plugins, "problems", problems);
    (void)json_dumpf(all, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(all);
}

/* Name of a plugin ("hone.cpu") or of a component ("cpu", "hone.cpu/cpu"). */
static bool is_meant(const plugin_file *f, const hone_note_row *c, const char *name)
{
    const size_t n = strlen(f->note.id);
    return strcmp(f->note.id, name) == 0 || strcmp(c->component, name) == 0 ||
           (strncmp(f->note.id, name, n) == 0 && name[n] == '/' &&
            strcmp(name + n + 1, c->component) == 0);
}

static json_t *options_json(const hone_option *o)
{
    static const char *const types[] = { "",     "bool", "integer", "number", "string",
                                         "enum", "path", "list",    "paths" };
    json_t *list = json_array();
    for (; o && o->name; o++) {
        json_t *one =
            json_pack("{s:s, s:s, s:s}", "name", o->name, "type", types[o->type], "help", o->help);
        if (o->def)
            (void)json_object_set_new(one, "default", json_string(o->def));
        if (o->choices)
            (void)json_object_set_new(one, "choices", json_string(o->choices));
        if (o->type == HONE_OPT_I64 || o->type == HONE_OPT_F64) {
            (void)json_object_set_new(one, "min", json_real(o->min));
            (void)json_object_set_new(one, "max", json_real(o->max));
        }
        (void)json_array_append_new(list, one);
    }
    return list;
}

/* One component: opened for its rows, probed for its availability. Returns its JSON. */
static json_t *info_component(registry *r, component_row c, bool print)
{
    hone_error why = { 0 }, opened = { 0 };
    const hone_plugin *plugin = NULL;
    const hone_component *desc = NULL;
    const hone_status available = component_probe(r, c, &why);
    if (plugin_load(&plugin, r, c.file, &opened) == HONE_OK)
        for (uint64_t i = 0; i < plugin->n_components; i++)
            if (strcmp(plugin->components[i]->name, c.row->component) == 0 &&
                strcmp(plugin->components[i]->kind, c.row->kind) == 0)
                desc = plugin->components[i];
    json_t *o = json_pack("{s:s, s:s, s:b}", "kind", c.row->kind, "name", c.row->component,
                          "available", available == HONE_OK);
    if (available)
        (void)json_object_set_new(o, "reason", json_string(why.message));
    if (c.row->extensions[0])
        (void)json_object_set_new(o, "extensions", json_string(c.row->extensions));
    if (desc) {
        if (desc->summary)
            (void)json_object_set_new(o, "summary", json_string(desc->summary));
        (void)json_object_set_new(o, "options", options_json(desc->options));
    }
    if (!print)
        return o;

    text t = { 0 };
    text_printf(&t, "\n%s  %s\n", c.row->kind, c.row->component);
    if (desc && desc->summary)
        text_printf(&t, "  %s\n", desc->summary);
    if (c.row->extensions[0])
        text_printf(&t, "  extensions: %s\n", c.row->extensions);
    text_printf(&t, "  available: %s%s%s\n", available ? "no" : "yes",
                available ? ", reason: " : "", available ? why.message : "");
    if (desc && desc->options && desc->options->name)
        options_help(&t, desc->options, "");
    if (t.p)
        fputs(t.p, stdout);
    text_finish(&t);
    return o;
}

static hone_status info(registry *r, const char *name, hone_error *err)
{
    const plugin_file *shown = NULL;
    json_t *result = NULL, *components = NULL;
    const char *names[64];
    size_t n_names = 0;
    for (size_t i = 0; i < registry_n_plugins(r); i++) {
        const plugin_file *f = registry_plugin(r, i);
        for (size_t k = 0; k < f->note.n_rows; k++) {
            if (n_names + 2 <= sizeof names / sizeof names[0]) {
                names[n_names++] = f->note.rows[k].component;
                names[n_names++] = f->note.id;
            }
            if (!is_meant(f, &f->note.rows[k], name))
                continue;
            if (shown != f) {
                if (!flags.json)
                    printf("%s%s %s\n  file: %s (%s)\n  signer: %s\n  plugin ABI: %u.%u\n",
                           shown ? "\n" : "", f->note.id, f->note.version, f->path, f->origin,
                           f->signer, f->note.abi_major, f->note.abi_minor);
                if (!result)
                    result = json_array();
                json_t *o = describe(f);
                components = json_array();
                (void)json_object_set_new(o, "components", components);
                (void)json_array_append_new(result, o);
                shown = f;
            }
            (void)json_array_append_new(
                components, info_component(r, (component_row){ f, &f->note.rows[k] }, !flags.json));
        }
    }
    for (size_t i = 0; !shown && i < registry_n_problems(r); i++)
        if (strstr(registry_problem(r, i)->path, name))
            return hone_fail(err, HONE_ERR_ABI, "%s: %s", registry_problem(r, i)->path,
                             registry_problem(r, i)->reason);
    if (!shown) {
        const char *near = nearest_name(name, names, n_names);
        return hone_fail(err, HONE_ERR_NOTFOUND,
                         "no plugin or component '%s'%s%s%s; `hone plugin list` shows all, and "
                         "the files that were refused",
                         name, near ? ", did you mean '" : "", near ? near : "", near ? "'" : "");
    }
    if (flags.json) { /* one plugin: an object; a name that several have: a list */
        (void)json_dumpf(json_array_size(result) == 1 ? json_array_get(result, 0) : result, stdout,
                         JSON_INDENT(1));
        putchar('\n');
    }
    json_decref(result);
    return HONE_OK;
}

static hone_status run(settings *s, const arguments *a, hone_error *err)
{
    session z = { 0 };
    hone_status st = session_plugins(&z, s, err);
    if (st)
        goto out;
    if (a->n == 1 && strcmp(a->items[0], "list") == 0) {
        if (flags.json)
            list_json(z.plugins);
        else
            list_text(z.plugins);
    } else if (a->n == 2 && strcmp(a->items[0], "info") == 0) {
        st = info(z.plugins, a->items[1], err);
    } else {
        st = hone_fail(err, HONE_ERR_ARG, "expected `hone plugin list` or `hone plugin info NAME`");
    }
out:
    session_close(&z);
    return st;
}

const command cmd_plugin = {
    .name = "plugin",
    .operands = "list | info NAME",
    .summary = "what is installed, and whether it can be used here",
    .sections = "",
    .flags = rows,
    .flag_values = &flags,
    .run = run,
};
