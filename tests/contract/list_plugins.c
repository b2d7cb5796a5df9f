/*
 * list_plugins.c - what the registry says of a folder, and what opening each component says.
 *
 * usage: list_plugins FOLDER. One line per component, "id version kind name: options in
 * JSON"; then one per refused file. For scripts that build plugins out of tree.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/plugin/plugin.h"

#include <stdlib.h>

static int show(registry *r, const plugin_file *file, const hone_note_row *row)
{
    hone_error err = { 0 };
    component *c = NULL;
    json_t *options_now;
    char *name, *shown;
    text full = { 0 };
    text_printf(&full, "%s/%s", file->note.id, row->component);
    if (component_open(&c, r, row->kind, full.p, NULL, NULL, &err)) {
        printf("%s: %s\n", full.p, err.message);
        text_finish(&full);
        return 1;
    }
    options_now = options_to_json(&c->options);
    shown = json_dumps(options_now, JSON_COMPACT);
    name = registry_name(r, (component_row){ file, row });
    printf("%s %s %s %s: %s\n", file->note.id, file->note.version, row->kind, name, shown);
    free(name);
    free(shown);
    json_decref(options_now);
    component_close(c);
    text_finish(&full);
    return 0;
}

int main(int argc, char **argv)
{
    const char *dir = argc == 2 ? argv[1] : NULL;
    hone_error err = { 0 };
    registry *r = NULL;
    size_t i, k;
    int bad = 0;
    if (!dir || registry_open(&r, &dir, 1, &err)) {
        fprintf(stderr, "%s\n", dir ? err.message : "usage: list_plugins FOLDER");
        return EXIT_FAILURE;
    }
    for (i = 0; i < registry_n_plugins(r); i++) {
        const plugin_file *file = registry_plugin(r, i);
        for (k = 0; strcmp(file->origin, "--plugin-dir") == 0 && k < file->note.n_rows; k++)
            bad |= show(r, file, &file->note.rows[k]);
    }
    for (i = 0; i < registry_n_problems(r); i++)
        printf("refused %s: %s\n", registry_problem(r, i)->path, registry_problem(r, i)->reason);
    plugin_shutdown_all();
    registry_close(r);
    return bad;
}
