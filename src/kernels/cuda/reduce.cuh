/*
 * Sums over a warp and over a block, in a fixed order: the same bits on every run.  All threads of the warp
 * or block take part and all get the result.
 */
#ifndef TS_KERNELS_CUDA_REDUCE_CUH
#define TS_KERNELS_CUDA_REDUCE_CUH

#include "kernels/cuda/launch.cuh"

template <class V> static __device__ __forceinline__ V ts_warp_sum(V v)
{
#pragma unroll
    for (int step = TS_CUDA_WARP / 2; step > 0; step /= 2)
        v += __shfl_xor_sync(0xFFFFFFFFu, v, step);
    return v;
}

template <class V> static __device__ __forceinline__ V ts_warp_max(V v)
{
#pragma unroll
    for (int step = TS_CUDA_WARP / 2; step > 0; step /= 2) {
        const V other = __shfl_xor_sync(0xFFFFFFFFu, v, step);
        v = other > v ? other : v;
    }
    return v;
}

/* Sums each of v[0 .. N) over the block.  Ends with a barrier, so it may be called again at once. */
template <int N, class V> static __device__ __forceinline__ void ts_block_sum(V (&v)[N])
{
    TS_SHARED(V, parts, [N][TS_CUDA_WARP]);
    const int lane = (int)threadIdx.x % TS_CUDA_WARP, warp = (int)threadIdx.x / TS_CUDA_WARP;
    const int warps = (int)blockDim.x / TS_CUDA_WARP;
#pragma unroll
    for (int k = 0; k < N; k++) {
        v[k] = ts_warp_sum(v[k]);
        if (lane == 0)
            parts[k][warp] = v[k];
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < N; k++)
        v[k] = ts_warp_sum(lane < warps ? parts[k][lane] : (V)0);
    __syncthreads();
}

template <class V> static __device__ __forceinline__ V ts_block_sum(V v)
{
    V values[1] = {v};
    ts_block_sum(values);
    return values[0];
}

#endif
