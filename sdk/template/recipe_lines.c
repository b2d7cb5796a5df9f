/*
 * recipe_lines.c - the smallest recipe: one sample per line or paragraph. Copy it and change it.
 *
 *     cc -std=c11 -O2 -Wall -fPIC -shared -fvisibility=hidden $(pkg-config --cflags hone-sdk) \
 *        -Wl,-z,now,-z,defs,--version-script=$(pkg-config --variable=mapfile hone-sdk) \
 *        recipe_lines.c -o lines.so
 *     mkdir -p ~/.local/share/hone/plugins && cp lines.so ~/.local/share/hone/plugins/
 *     hone plugin list
 *
 * and "recipes": ["lines"] in the config uses it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <hone/plugin.h>
#include <hone/recipe.h>

/* What the user can set. The host fills it from the rows, defaults included, before create(). */
typedef struct config {
    int64_t unit; /* index into "line|paragraph" */
    int64_t min_bytes;
} config;

/* One row is the parser, the check, the default and the help. */
static const hone_option options[] = {
    HONE_ROW_ENUM(config, unit, "line|paragraph", "line", "what one sample is made of"),
    HONE_ROW_I64(config, min_bytes, 1, 1 << 20, "1", "shorter pieces are left out, in bytes"),
    HONE_OPTIONS_END,
};

/* The config lives until destroy(), so it is all the state that this recipe has. */
static hone_status create(const hone_host *host, const void *settings, void **self, hone_error *err)
{
    (void)host;
    (void)err;
    *self = (void *)(uintptr_t)settings;
    return HONE_OK;
}

static void destroy(void *self)
{
    (void)self;
}

/* One piece of a block: a sample, or counted as left out. Nothing is dropped in silence. */
static hone_status add(const config *c, const hone_block *block, hone_str piece,
                       const hone_sample_sink *sink, hone_error *err)
{
    hone_segment segment = { HONE_ROLE_RAW, 1, piece, block->src_off, block->src_len, 0 };
    if (piece.n >= (uint64_t)c->min_bytes)
        return sink->add(sink, &segment, 1, err);
    if (piece.n)
        sink->lost(sink, piece.n, "shorter than min_bytes");
    return HONE_OK;
}

/* A document arrives as blocks: headings, paragraphs, code. Same document and config, same samples. */
static hone_status process(void *self, const hone_document *document, const hone_sample_sink *sink,
                           hone_error *err)
{
    const config *c = (const config *)self;
    uint64_t i, start, end;
    for (i = 0; i < document->n_blocks; i++) {
        const hone_block *block = &document->blocks[i];
        for (start = 0; start < block->text.n; start = end + 1) {
            hone_str piece = { block->text.p + start, 0 };
            hone_status status;
            end = start;
            while (end < block->text.n && (c->unit == 1 || block->text.p[end] != '\n'))
                end++;
            piece.n = end - start;
            status = add(c, block, piece, sink, err);
            if (status)
                return status;
        }
    }
    return HONE_OK;
}

static const hone_recipe recipe = {
    .struct_size = sizeof recipe,
    .create = create,
    .destroy = destroy,
    .process = process,
};

static const hone_component lines = {
    .struct_size = sizeof lines,
    .flags = HONE_COMPONENT_DETERMINISTIC | HONE_COMPONENT_THREADSAFE,
    .kind = HONE_KIND_RECIPE,
    .name = "lines",
    .summary = "one raw sample per line or paragraph",
    .ops = &recipe,
    .options = options,
    .config_size = sizeof(config),
};

static const hone_component *const components[] = { &lines };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "com.example.lines",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};

/* The note says the same without being run: hone lists a plugin by it, and refuses a file
 * in which the two differ. */
HONE_PLUGIN_NOTE("com.example.lines", "1.0.0", 1, HONE_NOTE_ROW(HONE_KIND_RECIPE, "lines", ""));
HONE_PLUGIN_ENTRY(&plugin)
