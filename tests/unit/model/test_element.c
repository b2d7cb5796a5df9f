/*
 * test_element.c - half precision and bfloat16 to float32 and back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/safetensors.h"
#include "test.h"

static float read_one(uint32_t dtype, uint16_t bits)
{
    uint8_t bytes[3] = { 0 }; /* unaligned on purpose */
    float x = -77;
    memcpy(bytes + 1, &bits, 2);
    const st_tensor t = { .dtype = dtype, .p = bytes + 1, .bytes = 2 };
    CHECK(st_read_f32(&t, 0, 1, &x));
    return x;
}

static uint16_t write_one(uint32_t dtype, float x)
{
    uint16_t bits = 0;
    CHECK(st_write_f32(dtype, &x, 1, &bits));
    return bits;
}

static void test_element__every_half_survives_the_way_there_and_back(void)
{
    for (uint32_t i = 0; i < 65536; i++) {
        const float half = read_one(HONE_F16, (uint16_t)i), bf = read_one(HONE_BF16, (uint16_t)i);
        if (!isnan(half))
            CHECK_INT(write_one(HONE_F16, half), i);
        else
            CHECK(isnan(read_one(HONE_F16, write_one(HONE_F16, half))));
        if (!isnan(bf))
            CHECK_INT(write_one(HONE_BF16, bf), i);
        else
            CHECK(isnan(read_one(HONE_BF16, write_one(HONE_BF16, bf))));
    }
}

static void test_element__known_values(void)
{
    CHECK(read_one(HONE_F16, 0x3c00) == 1 && read_one(HONE_F16, 0xc000) == -2);
    CHECK(read_one(HONE_F16, 0x0001) == 0x1p-24f && read_one(HONE_F16, 0x03ff) == 0x3ffp-24f);
    CHECK(read_one(HONE_F16, 0x7bff) == 65504 && isinf(read_one(HONE_F16, 0x7c00)));
    CHECK(signbit(read_one(HONE_F16, 0x8000)));
    CHECK(read_one(HONE_BF16, 0x3f80) == 1 && read_one(HONE_BF16, 0xff80) == -INFINITY);
}

static void test_element__narrowing_rounds_to_nearest_even(void)
{
    static const struct {
        uint32_t dtype;
        float x;
        uint16_t want;
    } cases[] = {
        { HONE_F16, 1 + 0x1p-11f, 0x3c00 },            /* tie: down to even */
        { HONE_F16, 1 + 3 * 0x1p-11f, 0x3c02 },        /* tie: up to even */
        { HONE_F16, 1 + 0x1p-11f + 0x1p-20f, 0x3c01 }, /* above the tie */
        { HONE_F16, 65519.996f, 0x7bff },              /* the last that is finite */
        { HONE_F16, 65520, 0x7c00 },                   /* the first that is not */
        { HONE_F16, 0x1p-25f, 0x0000 },                /* tie: zero is even */
        { HONE_F16, 0x1.8p-24f, 0x0002 },              /* tie: up */
        { HONE_F16, -0x1.000002p-25f, 0x8001 },        /* above it */
        { HONE_F16, 0x1p-14f - 0x1p-26f, 0x0400 },     /* up into the normal ones */
        { HONE_BF16, 1 + 0x1p-8f, 0x3f80 },            /* tie: down */
        { HONE_BF16, 1 + 3 * 0x1p-8f, 0x3f82 },        /* tie: up */
        { HONE_BF16, 0x1.fffffep127f, 0x7f80 },        /* over the top */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_INT(write_one(cases[i].dtype, cases[i].x), cases[i].want);
    uint64_t wide;
    CHECK(!st_write_f32(HONE_I64, &(float){ 1 }, 1, &wide));
}

static void test_element__doubles_are_read(void)
{
    const double wide[2] = { 0.1, -3 };
    const st_tensor t = { .dtype = HONE_F64, .p = (const uint8_t *)wide, .bytes = sizeof wide };
    float x[2];
    CHECK(st_read_f32(&t, 0, 2, x));
    CHECK(x[0] == 0.1f && x[1] == -3);
}

int main(void)
{
    RUN(test_element__every_half_survives_the_way_there_and_back);
    RUN(test_element__known_values);
    RUN(test_element__narrowing_rounds_to_nearest_even);
    RUN(test_element__doubles_are_read);
    return TEST_EXIT();
}
