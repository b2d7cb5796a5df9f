/*
 * check_device.c - what every device plugin promises, run against a shared object:
 *
 *     check_device PLUGIN.so [NAME] [--seed N|any] [--only SUITE] [--option KEY=VALUE]...
 *
 * SUITE is a name it prints; seed "any" is drawn from the clock and told. Exit status 77: the
 * processor has not what the options ask for.
 *
 * The seven required ops are held against plain loops in double precision here, each
 * fused op against its composition from the seven on the same device and against
 * double precision, and each backward against central differences.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/rig.h"

#include <time.h>

static const char *device_of(registry *r)
{
    const plugin_note *note = &registry_plugin(r, 0)->note;
    for (size_t i = 0; i < note->n_rows; i++)
        if (!strcmp(note->rows[i].kind, HONE_KIND_DEVICE))
            return note->rows[i].component;
    return NULL;
}

static hone_status run(registry *r, const char *name, const char *only, char **settings,
                       int n_settings, uint64_t seed, hone_error *err)
{
    static rig g;
    component *c = NULL;
    hone_status st = component_open(&c, r, HONE_KIND_DEVICE, name, NULL, NULL, err);
    for (int i = 0; !st && i < n_settings; i++) {
        char *value = strchr(settings[i], '=');
        if (value)
            *value++ = '\0';
        st = options_set(&c->options, settings[i], value ? value : "", err);
    }
    if (st)
        goto out;
    g = (rig){ .device = c->ops, .name = name, .seed = seed };
    st = ops_open(&g.side[FUSED].o, plugin_host(), c->ops, 0, c->config, 0, err);
    if (!st)
        st = ops_open(&g.side[COMPOSED].o, plugin_host(), c->ops, 0, c->config, OPS_COMPOSE, err);
    if (!st) {
        void (*const suites[])(rig *) = { check_memory, check_seven,     check_gemm,  check_ew,
                                          check_blocks, check_attention, check_fused, check_loss };
        static const char *const names[] = { "memory", "seven",     "gemm",  "ew",
                                             "blocks", "attention", "fused", "loss" };
        for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
            const int before = failures;
            if (only && strcmp(only, names[i]) != 0)
                continue;
            suites[i](&g);
            printf("%s %s: %s\n", failures == before ? "ok  " : "FAIL", name, names[i]);
            fflush(stdout);
        }
    }
    ops_close(g.side[FUSED].o);
    ops_close(g.side[COMPOSED].o);
out:
    component_close(c);
    return st;
}

static uint64_t drawn(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    printf("seed %lld\n", (long long)now.tv_nsec);
    return (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv)
{
    registry *r = NULL;
    hone_error err = { 0 };
    const char *file = NULL, *name = NULL, *only = NULL;
    char *settings[16];
    int n_settings = 0;
    uint64_t seed = 1;
    hone_status st = HONE_OK;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--seed") && i + 1 < argc)
            seed = strcmp(argv[++i], "any") ? strtoull(argv[i], NULL, 0) : drawn();
        else if (!strcmp(argv[i], "--only") && i + 1 < argc)
            only = argv[++i];
        else if (!strcmp(argv[i], "--option") && i + 1 < argc && n_settings < 16)
            settings[n_settings++] = argv[++i];
        else if (!file)
            file = argv[i];
        else
            name = argv[i];
    }
    if (!file) {
        fprintf(stderr, "usage: check_device PLUGIN.so [NAME] [--seed N|any] [--only SUITE] "
                        "[--option KEY=VALUE]...\n");
        return EXIT_FAILURE;
    }
    st = registry_open_file(&r, file, &err);
    if (!st && !name)
        name = device_of(r);
    if (!st && !name)
        st = hone_fail(&err, HONE_ERR_NOTFOUND, "%s offers no device", file);
    if (!st)
        st = run(r, name, only, settings, n_settings, seed, &err);
    if (st) {
        fprintf(stderr, "%s: %s\n", file, err.message);
        failures++;
    }
    plugin_shutdown_all();
    registry_close(r);
    return st == HONE_ERR_UNSUPPORTED ? 77 : failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
