/*
 * test_nf4.c - codes, blocks' scales and nested codes against bitsandbytes' on a CPU.
 *
 * The plugin's own source is included: a block's scale before it is quantized, and the
 * codes of scales for a given mean, are seen by no caller of its table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "plugins/backends/weights/nf4.c"

#include "golden/model_fixture.h"

static state *nf4_state;
static st_file *fixture;

/* Tensor CASE.PART of the fixture. */
static const st_tensor *part(const char *name, const char *part_name)
{
    char full[96];
    (void)snprintf(full, sizeof full, "%s.%s", name, part_name);
    return golden_tensor(fixture, full);
}

static void same_bytes(const char *name, const char *part_name, const void *got)
{
    const st_tensor *t = part(name, part_name);
    if (memcmp(got, t->p, t->bytes) != 0) {
        fprintf(stderr, "%s: %s differ from bitsandbytes'\n", name, part_name);
        test_failures++;
    }
}

/* A matrix through the table, and its scales with the reference's mean. */
static void one_case(const char *name)
{
    const st_tensor *w = part(name, "weight");
    const int64_t rows = w->shape[0], cols = w->shape[1], n = rows * cols, blocks = blocks_of(n);
    hone_error err = { 0 };
    hone_planes layout_of = { .struct_size = sizeof layout_of };
    void *plane[N_PLANES];
    float *x = malloc((size_t)n * sizeof *x), *decoded = malloc((size_t)n * sizeof *x);
    float *largest = malloc((size_t)blocks * sizeof *largest), offset;
    CHECK_OK(layout(nf4_state, rows, cols, &layout_of, &err), err);
    for (uint32_t k = 0; k < N_PLANES; k++) {
        const uint64_t bytes =
            (uint64_t)layout_of.plane[k].count * hone_dtype_size(layout_of.plane[k].dtype);
        CHECK_INT(bytes, part(name, layout_of.plane[k].name)->bytes);
        plane[k] = malloc(bytes);
    }
    CHECK(st_read_f32(w, 0, n, x));
    CHECK_OK(quantize(nf4_state, x, rows, cols, plane, &err), err);
    same_bytes(name, "codes", plane[CODES]);
    job j = { nf4_state, x, plane[CODES], largest, n };
    quantize_blocks(&j, 0, blocks);
    same_bytes(name, "largest", largest);

    memcpy(&offset, part(name, "offset")->p, sizeof offset);
    CHECK(fabsf(*(float *)plane[OFFSET] - offset) <= 1e-6f * offset); /* summed in another order */
    memcpy(plane[OFFSET], &offset, sizeof offset);
    quantize_scales(nf4_state, largest, blocks, offset, plane[SCALES], plane[NESTED]);
    same_bytes(name, "scales", plane[SCALES]);
    same_bytes(name, "nested", plane[NESTED]);
    CHECK_OK(dequantize(nf4_state, (const void *const *)plane, rows, cols, decoded, &err), err);
    const st_tensor *want = part(name, "decoded");
    float *reference = malloc(want->bytes);
    CHECK(st_read_f32(want, 0, n, reference));
    CHECK_WITHIN(name, golden_error(decoded, reference, n), 1e-7);
    for (uint32_t k = 0; k < N_PLANES; k++)
        free(plane[k]);
    free(reference);
    free(largest);
    free(decoded);
    free(x);
}

static void test_nf4__planes_are_those_of_bitsandbytes(void)
{
    size_t cases = 0;
    for (size_t i = 0; i < st_count(fixture); i++) {
        char name[64];
        const char *full = st_at(fixture, i)->name, *dot = strchr(full, '.');
        if (!dot || strcmp(dot, ".weight") != 0)
            continue;
        (void)snprintf(name, sizeof name, "%.*s", (int)(dot - full), full);
        one_case(name);
        cases++;
    }
    CHECK(cases >= 8);
}

static void test_nf4__infinity_is_refused(void)
{
    float x[130] = { 0 };
    uint8_t codes[65], scales[3];
    float nested[1], offset[1];
    void *plane[] = { codes, scales, nested, offset };
    hone_error err = { 0 };
    x[129] = NAN;
    CHECK(quantize(nf4_state, x, 2, 65, plane, &err) == HONE_ERR_NUMERIC);
    CHECK_HAS(err.message, "row 1");
    x[129] = 0;
    x[3] = -INFINITY;
    CHECK(quantize(nf4_state, x, 2, 65, plane, &err) == HONE_ERR_NUMERIC);
}

int main(void)
{
    hone_error err = { 0 };
    char *dir = golden_path("formats");
    void *self = NULL;
    fixture = golden_open(dir, "nf4.safetensors");
    CHECK_OK(create(plugin_host(), NULL, &self, &err), err);
    nf4_state = self;
    RUN(test_nf4__planes_are_those_of_bitsandbytes);
    RUN(test_nf4__infinity_is_refused);
    destroy(self);
    st_close(fixture);
    free(dir);
    return TEST_EXIT();
}
