/*
 * Sums over each row of a batch, in double and in a fixed order: a row belongs to a warp or, where rows are
 * long, to a block.
 *
 *     struct squares {
 *         const float *x;
 *         double *out;
 *         int d;
 *         template <int N> __device__ double part(int64_t row, int64_t j) const   terms j .. j + N of a row
 *         __device__ void finish(int64_t row, double sum) const                    called by one thread
 *     };
 *     return ts_row_sums<4>(device, n, d, d % 4 == 0 && ts_aligned(x), squares{x, out, d});
 */
#ifndef TS_KERNELS_CUDA_ROW_SUM_CUH
#define TS_KERNELS_CUDA_ROW_SUM_CUH

#include "kernels/cuda/reduce.cuh"

enum { TS_ROW_THREADS = 256, TS_ROW_LONG = 512 };

/* The sum of v over the LANES threads of a row. */
template <int LANES, class V> static __device__ __forceinline__ V ts_row_sum(V v)
{
    if constexpr (LANES == TS_CUDA_WARP)
        return ts_warp_sum(v);
    else
        return ts_block_sum(v);
}

/* What the row's first thread has, for all of them. */
template <int LANES, class V> static __device__ __forceinline__ V ts_row_broadcast(V v)
{
    if constexpr (LANES == TS_CUDA_WARP) {
        return __shfl_sync(0xFFFFFFFFu, v, 0);
    } else {
        TS_SHARED(V, told, [1]);
        if (threadIdx.x == 0)
            told[0] = v;
        __syncthreads();
        v = told[0];
        __syncthreads();
        return v;
    }
}

/* N divides `length`. */
template <int LANES, int N, class F>
static __global__ void ts_row_sums_kernel(int64_t rows, int64_t length, F f)
{
    const int lane = (int)threadIdx.x % LANES;
    for (int64_t row = ts_thread() / LANES; row < rows; row += ts_threads() / LANES) {
        double sum = 0;
        for (int64_t j = (int64_t)N * lane; j < length; j += N * LANES)
            sum += f.template part<N>(row, j);
        sum = ts_row_sum<LANES>(sum);
        if (lane == 0)
            f.finish(row, sum);
    }
}

/* `wide`: whether terms may be taken N at a time in every row. */
template <int N, class F>
static inline ts_status ts_row_sums(ts_device *device, int64_t rows, int64_t length, bool wide, F f)
{
    enum { BLOCK = TS_ROW_THREADS, WARP = TS_CUDA_WARP };
    const bool whole = length > TS_ROW_LONG;
    const unsigned grid = ts_grid(device, rows, whole ? 1 : BLOCK / WARP);
    if (whole && wide)
        return ts_launch(device, ts_row_sums_kernel<BLOCK, N, F>, grid, BLOCK, 0, rows, length, f);
    if (whole)
        return ts_launch(device, ts_row_sums_kernel<BLOCK, 1, F>, grid, BLOCK, 0, rows, length, f);
    if (wide)
        return ts_launch(device, ts_row_sums_kernel<WARP, N, F>, grid, BLOCK, 0, rows, length, f);
    return ts_launch(device, ts_row_sums_kernel<WARP, 1, F>, grid, BLOCK, 0, rows, length, f);
}

#endif
