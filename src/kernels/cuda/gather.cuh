/*
 * Examples as batches take them: which, mirrored or not, in model scale.
 */
#ifndef TS_KERNELS_CUDA_GATHER_CUH
#define TS_KERNELS_CUDA_GATHER_CUH

#include "kernels/cuda/random.cuh"

/* Which example is number i of the batch. */
static __device__ __forceinline__ int64_t ts_gather_example(const ts_gather &a, const ts_step_state &state,
                                                            int64_t i)
{
    if (!a.shuffle)
        return (int64_t)(((uint64_t)a.start + (uint64_t)i) % (uint64_t)a.count);
    /* A batch may straddle epochs: each of its positions belongs to an epoch of its own. */
    const uint64_t position = (uint64_t)state.step * (uint64_t)a.n + (uint64_t)i;
    const uint32_t epoch = (uint32_t)(position / (uint64_t)a.count);
    return ts_shuffle_index(&state, epoch, (int64_t)(position % (uint64_t)a.count), a.count);
}

static __device__ __forceinline__ void ts_gather_load(const uint8_t *p, float (&v)[1])
{
    v[0] = p[0];
}

static __device__ __forceinline__ void ts_gather_load(const uint8_t *p, float (&v)[4])
{
    const uchar4 u = *reinterpret_cast<const uchar4 *>(p);
    v[0] = u.x, v[1] = u.y, v[2] = u.z, v[3] = u.w;
}

static __device__ __forceinline__ void ts_gather_load(const uint8_t *p, float (&v)[8])
{
    const uint2 u = *reinterpret_cast<const uint2 *>(p);
#pragma unroll
    for (int k = 0; k < 4; k++) {
        v[k] = (float)(u.x >> 8 * k & 0xFFu);
        v[k + 4] = (float)(u.y >> 8 * k & 0xFFu);
    }
}

template <int N> static __device__ __forceinline__ void ts_gather_load(const float *p, float (&v)[N])
{
    ts_load(p, v);
}

/* N elements from j of an image [h,w,c] whose columns run the other way. */
template <class S, int N>
static __device__ __forceinline__ void ts_gather_mirrored(const ts_gather &a, const S *image, int j,
                                                          float (&v)[N])
{
#pragma unroll
    for (int k = 0; k < N; k++) {
        const int column = (j + k) / a.c % a.w;
        v[k] = (float)image[j + k + (a.w - 1 - 2 * column) * a.c];
    }
}

/* Whether number i of the batch is mirrored. */
static __device__ __forceinline__ bool ts_gather_flips(const ts_gather &a, const ts_step_state &state,
                                                       int64_t i)
{
    float u[1] = {0.0f};
    if (a.flip)
        ts_uniforms(&state, TS_STREAM_FLIP, (uint64_t)i, u);
    return u[0] > 0.5f;
}

/* Elements j .. j + N of an image in model scale; j is a multiple of N. */
template <class S, int N>
static __device__ __forceinline__ void ts_gather_elements(const ts_gather &a, const S *image, bool mirrored,
                                                          int j, float (&v)[N])
{
    if (mirrored)
        ts_gather_mirrored(a, image, j, v);
    else
        ts_gather_load(image + j, v);
    if (sizeof(S) == 1)
#pragma unroll
        for (int k = 0; k < N; k++)
            v[k] = v[k] * a.scale + a.offset;
}

#endif
