/*
 * plugin.c - the descriptor of the plugin, and its options.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cpu.h"

static const hone_option options[] = {
    HONE_ROW_I64(cpu_config, threads, 0, 1024, "0",
                 "threads its ops use; 0: all that the process may use"),
    HONE_ROW_I64(cpu_config, memory_mb, 0, 1 << 30, "0",
                 "memory its buffers may take, in MiB; 0: what the machine has"),
    HONE_ROW_ENUM(cpu_config, kernels, CPU_ISA_CHOICES, "auto",
                  "instruction set of the kernels, a psABI level of x86-64"),
    HONE_ROW_ENUM(cpu_config, products, CPU_PRODUCT_CHOICES, "auto",
                  "who makes float32 matrix products; auto: whoever was measured to be faster"),
    HONE_ROW_BOOL(cpu_config, exact, "false",
                  "round no operand of a product to bfloat16, as AMX wants them; slower there"),
    HONE_ROW_BOOL(
        cpu_config, pin, "false",
        "keep each thread on one of the allowed cores; where something else runs on these "
        "cores, another hone included, both wait for it"),
    HONE_OPTIONS_END,
};

static const hone_component cpu = {
    .struct_size = sizeof cpu,
    .flags = HONE_COMPONENT_DETERMINISTIC,
    .kind = HONE_KIND_DEVICE,
    .name = "cpu",
    .summary = "this machine's processor",
    .ops = &cpu_device,
    .options = options,
    .config_size = sizeof(cpu_config),
};
static const hone_component *const components[] = { &cpu };
static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.cpu",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};
HONE_PLUGIN_NOTE("hone.cpu", "0.1.0", 1, HONE_NOTE_ROW(HONE_KIND_DEVICE, "cpu", ""));
HONE_PLUGIN_ENTRY(&plugin)
