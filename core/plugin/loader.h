/*
 * loader.h - private to core/plugin: what loader.c shares with its neighbours.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_PLUGIN_LOADER_H
#define CORE_PLUGIN_LOADER_H

#include "core/plugin/registry.h"

/* The descriptor says what the note said, and every component is complete: its calls,
 * its rows, its defaults. descriptor.c */
hone_status descriptor_check(const hone_plugin *plugin, const plugin_file *file, hone_error *err);

/* Loaded and between init() and shutdown(). */
bool plugin_is_running(const plugin_file *file);

/* For tests, which have no 10 seconds. probe.c */
void probe_set_timeout(int seconds);

/* The component of a loaded plugin that a row of its note names. component.c */
const hone_component *component_of(const hone_plugin *plugin, const hone_note_row *row);

#endif /* CORE_PLUGIN_LOADER_H */
