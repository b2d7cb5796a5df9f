/*
 * element.c - float32 from and to the element types of weights in files.
 *
 * Half precision and bfloat16 go by way of their bits, so that the same bytes come
 * out on every machine and compiler. Narrowing rounds to nearest even; NaN stays NaN.
 * Files are little-endian and mapped tensors may be unaligned: bytes are copied, never
 * cast.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "core/model/safetensors.h"

static float f32_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of_f32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float f32_of_half(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t exponent = h >> 10 & 31u, fraction = h & 1023u;
    if (exponent == 31) /* infinity, NaN */
        return f32_of_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) /* zero, subnormal: fraction * 2^-24 */
        return f32_of_bits(sign | bits_of_f32((float)fraction * 0x1p-24f));
    return f32_of_bits(sign | (exponent + 112u) << 23 | fraction << 13);
}

static uint16_t half_of_f32(float x)
{
    const uint32_t bits = bits_of_f32(x), sign = bits >> 16 & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) /* NaN: keep the top of the payload, stay quiet */
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) { /* below 2^-14: units of 2^-24 */
        const float units = rintf(f32_of_bits(magnitude) * 0x1p24f);
        return (uint16_t)(sign | (uint32_t)units);
    }
    const uint32_t odd = magnitude >> 13 & 1u;
    return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

static uint16_t bf16_of_f32(float x)
{
    const uint32_t bits = bits_of_f32(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

bool st_read_f32(const st_tensor *t, int64_t first, int64_t n, float *dst)
{
    const uint32_t size = hone_dtype_size(t->dtype);
    if (!size || first < 0 || n < 0 || (uint64_t)first > t->bytes / size ||
        (uint64_t)n > t->bytes / size - (uint64_t)first)
        return false;
    const uint8_t *p = t->p + (uint64_t)first * size;
    uint16_t half;
    double wide;
    switch (t->dtype) {
    case HONE_F32:
        if (n)
            memcpy(dst, p, (size_t)n * sizeof *dst);
        return true;
    case HONE_F16:
        for (int64_t i = 0; i < n; i++) {
            memcpy(&half, p + 2 * i, sizeof half);
            dst[i] = f32_of_half(half);
        }
        return true;
    case HONE_BF16:
        for (int64_t i = 0; i < n; i++) {
            memcpy(&half, p + 2 * i, sizeof half);
            dst[i] = f32_of_bits((uint32_t)half << 16);
        }
        return true;
    case HONE_F64:
        for (int64_t i = 0; i < n; i++) {
            memcpy(&wide, p + 8 * i, sizeof wide);
            dst[i] = (float)wide;
        }
        return true;
    default:
        return false;
    }
}

bool st_write_f32(uint32_t dtype, const float *src, int64_t n, void *dst)
{
    uint16_t *half = dst;
    switch (dtype) {
    case HONE_F32:
        memcpy(dst, src, (size_t)n * sizeof *src);
        return true;
    case HONE_F16:
        for (int64_t i = 0; i < n; i++)
            half[i] = half_of_f32(src[i]);
        return true;
    case HONE_BF16:
        for (int64_t i = 0; i < n; i++)
            half[i] = bf16_of_f32(src[i]);
        return true;
    default:
        return false;
    }
}
