/*
 * fuzz_reader.h - the body of a reader's fuzz target: the plugin's sources are linked in, what it
 * says is held against the promises of hone/reader.h, and all memory comes back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_FUZZ_READER_H
#define TESTS_FUZZ_READER_H

#include <stdlib.h>

#include "fuzz.h"
#include "hone/plugin.h"
#include "unit/prepare/harness.h"

const hone_plugin *hone_plugin_entry(void);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static int fuzz_reader(const char *name, const uint8_t *p, size_t n)
{
    static test_host host; /* created once: opening converters costs more than most inputs */
    static instance reader;
    hone_error err = { 0 };
    if (!reader.self) {
        const hone_plugin *plugin = hone_plugin_entry();
        test_host_init(&host);
        must(!plugin->init || plugin->init(&host.host, &err) == HONE_OK);
        must(instance_create(&reader, &host.host, plugin->components[0], NULL, &err) == HONE_OK);
    }
    const int64_t before = host.out;
    page g = { 0 };
    const hone_status st = page_read(&g, &reader, name, (const char *)p, n, &err);
    must(st == HONE_OK || (err.message[0] && !strchr(err.message, '\n')));
    if (g.broken)
        fprintf(stderr, "%s\n", g.broken);
    must(!g.broken);
    page_finish(&g);
    must(host.out == before);
    return 0;
}

#endif /* TESTS_FUZZ_READER_H */
