/*
 * ceilings.c - the machine's own limits: multiply-adds from registers, memory streams.
 *
 * Every thread works on its own registers or its own piece of memory; the best of some
 * rounds counts, because a ceiling is what nothing disturbed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <immintrin.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/bench_ops.h"

enum { CHAINS = 12, MAX_THREADS = 256 };
#define STREAM_BYTES (UINT64_C(96) << 20)

typedef double fma_loop(int64_t turns); /* floating-point operations done */

/* CHAINS independent sums hide the latency of the unit. */
#define FMA_LOOP(name, isa, type, set, fma, lanes)                                        \
    __attribute__((target(isa))) static double fma_##name(int64_t turns)                  \
    {                                                                                     \
        type sum[CHAINS], x = set(0.999f), y = set(1e-3f);                                \
        _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) sum[i] = set((float)i); \
        for (int64_t t = 0; t < turns; t++) {                                             \
            _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++)                     \
            {                                                                             \
                sum[i] = fma(sum[i], x, y);                                               \
                __asm__ volatile("" : "+x"(sum[i]));                                      \
            }                                                                             \
        }                                                                                 \
        return (double)turns * CHAINS * (lanes)*2;                                        \
    }

static inline __m128 __attribute__((always_inline)) mul_add_128(__m128 a, __m128 b, __m128 c)
{
    return _mm_add_ps(_mm_mul_ps(a, b), c);
}
FMA_LOOP(avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, 16)
FMA_LOOP(avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, 8)
FMA_LOOP(sse2, "sse2", __m128, _mm_set1_ps, mul_add_128, 4)

/* Four tiles of sums, their operands resident. The device has asked the system for the tiles. */
__attribute__((target("amx-tile,amx-bf16"))) static double fma_tiles(int64_t turns)
{
    static const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = { 1, 0, { 0 }, { 64, 64, 64, 64, 64, 64 }, { 16, 16, 16, 16, 16, 16 } };
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    for (int64_t t = 0; t < turns; t++) {
        _tile_dpbf16ps(0, 4, 5);
        _tile_dpbf16ps(1, 4, 5);
        _tile_dpbf16ps(2, 4, 5);
        _tile_dpbf16ps(3, 4, 5);
    }
    _tile_release();
    return (double)turns * 4 * 2 * 16 * 16 * 32;
}

/* ------------------------------------------------------------------- threads */

typedef struct worker {
    pthread_barrier_t *start;
    fma_loop *fma;
    int64_t turns;
    float *from, *to; /* borrowed; STREAM_BYTES */
    int kind;         /* 0 fma, 1 read, 2 copy */
    double done;      /* operations or bytes */
    double seconds;
    float sink;
} worker;

static float read_all(const float *x, size_t n)
{
    float sum[16] = { 0 }, total = 0;
    for (size_t i = 0; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; j++)
            sum[j] += x[i + j];
    for (int j = 0; j < 16; j++)
        total += sum[j];
    return total;
}

/* A thread's own: what else runs on the machine does not lower a ceiling. */
static double own_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *work(void *arg)
{
    worker *w = arg;
    double before;
    pthread_barrier_wait(w->start);
    before = own_time();
    switch (w->kind) {
    case 0:
        w->done = w->fma(w->turns);
        break;
    case 1:
        w->sink = read_all(w->from, STREAM_BYTES / sizeof(float));
        w->done = (double)STREAM_BYTES;
        break;
    default:
        memcpy(w->to, w->from, STREAM_BYTES);
        w->done = 2 * (double)STREAM_BYTES;
        break;
    }
    w->seconds = own_time() - before;
    return NULL;
}

/* Work per second of n threads at once; 0: no thread could be started. */
static double together(worker *w, int n)
{
    pthread_t thread[MAX_THREADS];
    pthread_barrier_t start;
    double done = 0, longest = 0;
    int started = 0;
    pthread_barrier_init(&start, NULL, (unsigned)n);
    for (int i = 0; i < n; i++)
        w[i].start = &start;
    for (; started < n - 1; started++)
        if (pthread_create(&thread[started], NULL, work, &w[started + 1]))
            abort(); /* those already started would wait for ever */
    work(&w[0]);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < n; i++) {
        done += w[i].done;
        longest = w[i].seconds > longest ? w[i].seconds : longest;
    }
    pthread_barrier_destroy(&start);
    return longest > 0 ? done / longest : 0;
}

static double best(worker *w, int n, int kind)
{
    const int rounds = kind ? 5 : 60; /* short ones: some should find the cores free */
    double most = 0;
    for (int i = 0; i < n; i++)
        w[i].kind = kind;
    for (int round = 0; round < rounds; round++) {
        const double x = together(w, n);
        most = x > most ? x : most;
    }
    return most;
}

hone_status ceilings_measure(ceilings *c, int threads, bool tiles, hone_error *err)
{
    static worker w[MAX_THREADS];
    const int n = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    hone_status st = HONE_OK;
    float *memory = NULL;
    *c = (ceilings){ .threads = n, .isa = "sse2" };
    fma_loop *fma = fma_sse2;
    if (__builtin_cpu_supports("avx512f")) {
        fma = fma_avx512;
        c->isa = "avx512";
    } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        fma = fma_avx2;
        c->isa = "avx2";
    }
    memory = aligned_alloc(4096, STREAM_BYTES * 2 * (size_t)n);
    if (!memory)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for %d streams of %llu MB", n,
                         (unsigned long long)(STREAM_BYTES >> 19));
    memset(memory, 0, STREAM_BYTES * 2 * (size_t)n);
    for (int i = 0; i < n; i++) {
        w[i] = (worker){ .fma = fma, .turns = 1 << 18 };
        w[i].from = memory + STREAM_BYTES / sizeof(float) * 2 * (size_t)i;
        w[i].to = w[i].from + STREAM_BYTES / sizeof(float);
    }
    c->fma_one = best(w, 1, 0) / 1e9;
    c->fma = best(w, n, 0) / 1e9;
    for (int i = 0; i < n; i++)
        w[i].fma = fma_tiles;
    c->tile_one = tiles ? best(w, 1, 0) / 1e9 : 0;
    c->tile = tiles ? best(w, n, 0) / 1e9 : 0;
    c->read = best(w, n, 1) / 1e9;
    c->copy = best(w, n, 2) / 1e9;
    free(memory);
    return st;
}
