/*
 * Random numbers of kernels: the words of philox.h, which are cuRAND's, and cuRAND's transforms of them with
 * sines to full precision.  `block` is element / 4.
 */
#ifndef TS_KERNELS_CUDA_RANDOM_CUH
#define TS_KERNELS_CUDA_RANDOM_CUH

#include "kernels/cuda/launch.cuh"

/* Elements 4 block .. 4 block + 3, uniform in (0, 1]. */
static __device__ __forceinline__ void ts_uniform4(const ts_step_state *state, uint32_t stream,
                                                   uint32_t block, float (&u)[4])
{
    const ts_philox_words w = ts_random_words(state, stream, block);
#pragma unroll
    for (int k = 0; k < 4; k++)
        u[k] = ts_uniform_from(w.v[k]);
}

/* Elements 4 block .. 4 block + 3, standard normal. */
static __device__ __forceinline__ void ts_normal4(const ts_step_state *state, uint32_t stream, uint32_t block,
                                                  float (&z)[4])
{
    const float turn = 2.3283064e-10f * 6.2831855f;
    const ts_philox_words w = ts_random_words(state, stream, block);
#pragma unroll
    for (int k = 0; k < 4; k += 2) {
        const float radius = sqrtf(-2.0f * logf(ts_uniform_from(w.v[k])));
        float sine, cosine;
        sincosf((float)w.v[k + 1] * turn + turn / 2, &sine, &cosine);
        z[k] = radius * sine;
        z[k + 1] = radius * cosine;
    }
}

/* One of four, without an index that would put them into memory. */
static __device__ __forceinline__ float ts_pick(const float (&v)[4], int i)
{
    return i < 2 ? i == 0 ? v[0] : v[1] : i == 2 ? v[2] : v[3];
}

/* Elements element .. element + N, standard normal: N = 1, or N and element multiples of 4. */
template <int N>
static __device__ __forceinline__ void ts_normals(const ts_step_state *state, uint32_t stream,
                                                  uint64_t element, float (&z)[N])
{
    float four[4];
    if constexpr (N == 1) {
        ts_normal4(state, stream, (uint32_t)(element / 4), four);
        z[0] = ts_pick(four, (int)(element % 4));
    } else {
#pragma unroll
        for (int k = 0; k < N; k += 4) {
            ts_normal4(state, stream, (uint32_t)(element / 4 + k / 4), four);
#pragma unroll
            for (int q = 0; q < 4; q++)
                z[k + q] = four[q];
        }
    }
}

/* The same, uniform in (0, 1]. */
template <int N>
static __device__ __forceinline__ void ts_uniforms(const ts_step_state *state, uint32_t stream,
                                                   uint64_t element, float (&u)[N])
{
    float four[4];
    if constexpr (N == 1) {
        ts_uniform4(state, stream, (uint32_t)(element / 4), four);
        u[0] = ts_pick(four, (int)(element % 4));
    } else {
#pragma unroll
        for (int k = 0; k < N; k += 4) {
            ts_uniform4(state, stream, (uint32_t)(element / 4 + k / 4), four);
#pragma unroll
            for (int q = 0; q < 4; q++)
                u[k + q] = four[q];
        }
    }
}

/* Factors of inverted dropout, 0 or 1/(1-p), of elements 4 block .. 4 block + 3. */
static __device__ __forceinline__ void ts_dropout4(const ts_step_state *state, uint32_t layer, float p,
                                                   uint32_t block, float (&factor)[4])
{
    ts_uniform4(state, TS_STREAM_DROPOUT + layer, block, factor);
#pragma unroll
    for (int k = 0; k < 4; k++)
        factor[k] = factor[k] > p ? 1.0f / (1.0f - p) : 0.0f;
}

#endif
