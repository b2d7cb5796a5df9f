/*
 * sha256.c - SHA-256, FIPS 180-4.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void blocks(uint32_t h[8], const uint8_t *p, size_t n)
{
    uint32_t w[64];
    for (; n; n--, p += 64) {
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], k = h[7];
        int i;
        for (i = 0; i < 16; i++)
            w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
                   (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
        for (; i < 64; i++) {
            const uint32_t x = w[i - 15], y = w[i - 2];
            w[i] = w[i - 16] + (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) + w[i - 7] +
                   (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
        }
        for (i = 0; i < 64; i++) {
            const uint32_t t1 = k + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                                ((e & f) ^ (~e & g)) + round_constants[i] + w[i];
            const uint32_t t2 =
                (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
            k = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += k;
    }
}

void sha256_init(sha256 *s)
{
    static const uint32_t start[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };
    memcpy(s->h, start, sizeof start);
    s->n = 0;
}

void sha256_add(sha256 *s, const void *p, size_t n)
{
    const uint8_t *b = p;
    const size_t held = s->n % 64;
    if (!n)
        return;
    s->n += n;
    if (held) {
        const size_t k = n < 64 - held ? n : 64 - held;
        memcpy(s->buf + held, b, k);
        b += k;
        n -= k;
        if (held + k < 64)
            return;
        blocks(s->h, s->buf, 1);
    }
    blocks(s->h, b, n / 64);
    memcpy(s->buf, b + n / 64 * 64, n % 64);
}

void sha256_done(sha256 *s, uint8_t out[32])
{
    static const uint8_t pad[64] = { 0x80 };
    const uint64_t bits = s->n * 8;
    uint8_t length[8];
    int i;
    for (i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_add(s, pad, (s->n % 64 < 56 ? 56 : 120) - s->n % 64);
    sha256_add(s, length, 8);
    for (i = 0; i < 32; i++)
        out[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

static void hex(sha256 *s, char out[65])
{
    uint8_t digest[32];
    int i;
    sha256_done(s, digest);
    for (i = 0; i < 32; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void sha256_hex(const void *p, size_t n, char out[65])
{
    sha256 s;
    sha256_init(&s);
    sha256_add(&s, p, n);
    hex(&s, out);
}

hone_status sha256_file(const char *path, char out[65], hone_error *err)
{
    file_map map = { 0 };
    hone_status status = file_map_open(&map, path, err);
    if (status)
        return status;
    sha256_hex(map.p, map.n, out);
    file_map_close(&map);
    return HONE_OK;
}
