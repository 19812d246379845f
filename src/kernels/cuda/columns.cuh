/*
 * Rows of channels where each channel has parameters or a sum of its own: a block's threads stand side by
 * side on N channels each, as many rows at a time as fit.  A thread keeps its channels over all its rows, so
 * their parameters and sums stay in registers and accesses stay coalesced.
 */
#ifndef TS_KERNELS_CUDA_COLUMNS_CUH
#define TS_KERNELS_CUDA_COLUMNS_CUH

#include "kernels/cuda/launch.cuh"

enum { TS_COLUMN_THREADS = 256, TS_COLUMN_ROWS = 64 /* at most, of a thread that adds up in float32 */ };

/* Groups of N channels that a block stands on at once, and rows of them. */
static __host__ __device__ __forceinline__ int ts_column_width(int groups)
{
    return groups < TS_COLUMN_THREADS ? groups : TS_COLUMN_THREADS;
}

static __host__ __device__ __forceinline__ int ts_column_height(int groups)
{
    return TS_COLUMN_THREADS / ts_column_width(groups);
}

/* Where a thread stands: its first channel, its row among the block's, and whether it has any. */
struct ts_column {
    int channel, row;
    bool active;
};

template <int N> static __device__ __forceinline__ ts_column ts_column_of_thread(int c)
{
    const int width = ts_column_width(c / N), thread = (int)threadIdx.x;
    const int group = (int)blockIdx.y * width + thread % width, row = thread / width;
    return {group * N, row, group < c / N && row < ts_column_height(c / N)};
}

/* Blocks side by side. */
static inline unsigned ts_column_blocks(int groups)
{
    return (unsigned)((groups + TS_COLUMN_THREADS - 1) / TS_COLUMN_THREADS);
}

/* Rows of one thread of a block that adds up: few enough for every multiprocessor to have several blocks. */
static inline int ts_column_rows(ts_device *device, int64_t rows, int groups)
{
    const int64_t blocks = 4 * (int64_t)ts_cuda(device)->multiprocessors;
    const int64_t share = rows / (blocks * ts_column_height(groups));
    return share < 4 ? 4 : share < TS_COLUMN_ROWS ? (int)share : (int)TS_COLUMN_ROWS;
}

/* Adds v of the block's threads that stand on the same channels; row 0 of them has the sums. `room`: shared,
 * M floats a thread. All threads of the block take part. */
template <int M>
static __device__ __forceinline__ void ts_column_sum(int groups, int row, bool active, float *room,
                                                     float (&v)[M])
{
    const int width = ts_column_width(groups), thread = (int)threadIdx.x;
    for (int rows = ts_column_height(groups), half; rows > 1; rows = half) {
        half = (rows + 1) / 2;
        if (active && row >= half && row < rows)
#pragma unroll
            for (int k = 0; k < M; k++)
                room[k * TS_COLUMN_THREADS + thread] = v[k];
        __syncthreads();
        if (active && row < rows - half)
#pragma unroll
            for (int k = 0; k < M; k++)
                v[k] += room[k * TS_COLUMN_THREADS + thread + half * width];
        __syncthreads();
    }
}

/* Calls f with the widest N, of what sixteen bytes hold, 4 and 1, that divides c. */
#define TS_COLUMN_DISPATCH(T, c, aligned, N, ...)                                                            \
    do {                                                                                                     \
        if ((aligned) && (c) % ts_wide<T>::size == 0) {                                                      \
            enum { N = ts_wide<T>::size };                                                                   \
            __VA_ARGS__;                                                                                     \
        } else if ((aligned) && (c) % 4 == 0) {                                                              \
            enum { N = 4 };                                                                                  \
            __VA_ARGS__;                                                                                     \
        } else {                                                                                             \
            enum { N = 1 };                                                                                  \
            __VA_ARGS__;                                                                                     \
        }                                                                                                    \
    } while (0)

#endif
