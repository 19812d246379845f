/*
 * Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11), counter
 * based: every random number of the engine is a pure function of (seed, stream, instance, step, element),
 * so a resumed run draws what an uninterrupted one would have drawn, on every device.
 *
 * The counter is laid out so that cuRAND's device generator yields the same words:
 *   curand_init(seed, subsequence = instance << 32 | stream, offset = (step << 32 | element / 4) * 4).
 * Uniform and normal variates follow cuRAND's definitions (uniform in (0, 1], Box-Muller with sine first).
 */
#ifndef TS_KERNELS_PHILOX_H
#define TS_KERNELS_PHILOX_H

#include <stdint.h>

#ifdef __CUDACC__
#define TS_FN static __host__ __device__ __forceinline__
#else
#define TS_FN static inline
#endif

/* Every consumer of random numbers has a stream of its own. Values are part of the run format: append only.
 * A dropout layer adds its index to TS_STREAM_DROPOUT. */
typedef enum ts_stream {
    TS_STREAM_INIT = 1,     /* parameter initialisation; instance = parameter index */
    TS_STREAM_SHUFFLE = 2,  /* order of the data in an epoch; step = epoch */
    TS_STREAM_FLIP = 3,     /* horizontal flips */
    TS_STREAM_TIME = 4,     /* diffusion times */
    TS_STREAM_NOISE = 5,    /* the forward noise z */
    TS_STREAM_START = 6,    /* x_T drawn from a start density */
    TS_STREAM_SAMPLER = 7,  /* noise of the reverse SDE */
    TS_STREAM_PROBE = 8,    /* Hutchinson probes */
    TS_STREAM_MIXTURE = 9,  /* component choice and normals of mixture samples */
    TS_STREAM_PROJECT = 10, /* directions of the sliced Wasserstein distance */
    TS_STREAM_TEST = 11,
    TS_STREAM_BOOTSTRAP = 12,  /* multipliers of confidence bands; step = repetition */
    TS_STREAM_CORRECTOR = 256, /* noise of Langevin steps: each within a sampler's step adds its index */
    TS_STREAM_DROPOUT = 1024,
} ts_stream;

/* What changes from step to step. It lives in device memory, so one captured launch graph replays
 * for ever. */
typedef struct ts_step_state {
    uint64_t seed;
    uint32_t step;
    uint32_t instance; /* batch, T or purpose: keeps independent uses of one stream apart */
} ts_step_state;

typedef struct ts_philox_words {
    uint32_t v[4];
} ts_philox_words;

TS_FN ts_philox_words ts_philox(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    ts_philox_words w = {{c0, c1, c2, c3}};
    return w;
}

/* The four words of elements 4 block .. 4 block + 3. */
TS_FN ts_philox_words ts_random_words(const ts_step_state *s, uint32_t stream, uint32_t block)
{
    return ts_philox(s->seed, block, s->step, stream, s->instance);
}

/* Uniform in (0, 1], as cuRAND defines it. */
TS_FN float ts_uniform_from(uint32_t word)
{
    return (float)word * 2.3283064e-10f + 2.3283064e-10f / 2;
}

#endif
