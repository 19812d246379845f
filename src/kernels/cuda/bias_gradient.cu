/*
 * Sums of columns in two passes: every block sums a range of rows, then one kernel adds the blocks' sums in
 * order.
 */
#include "kernels/cuda/channels.h"
#include "kernels/cuda/vendor/library.h"
#include "kernels/cuda/reduce.cuh"

enum { THREADS = 256, UNROLL = 4, LANES = 8 };

template <class T> static __device__ __forceinline__ void load(const T *p, float (&v)[ts_wide<T>::size])
{
    ts_load(p, v);
}

template <class T> static __device__ __forceinline__ void load(const T *p, float (&v)[1])
{
    v[0] = ts_float(*p);
}

/* A thread holds N adjacent columns; `lanes` threads, a power of two, lie side by side, the others below.
 * The grid is (blocks of rows, blocks of columns); partial [gridDim.x,c]. */
template <class T, int N>
static __global__ void column_sums(int64_t rows, int c, int lanes, const T *x, float *partial)
{
    TS_SHARED(float, sums, [THREADS * N]);
    const int lane = (int)threadIdx.x % lanes, line = (int)threadIdx.x / lanes, lines = THREADS / lanes;
    const int column = ((int)blockIdx.y * lanes + lane) * N;
    const int64_t stride = (int64_t)gridDim.x * lines;
    float sum[N] = {};
    if (column < c)
#pragma unroll UNROLL
        for (int64_t row = (int64_t)blockIdx.x * lines + line; row < rows; row += stride) {
            float v[N];
            load(x + row * c + column, v);
#pragma unroll
            for (int k = 0; k < N; k++)
                sum[k] += v[k];
        }
#pragma unroll
    for (int k = 0; k < N; k++)
        sums[(line * lanes + lane) * N + k] = sum[k];
    __syncthreads();
    for (int k = (int)threadIdx.x; k < lanes * N; k += THREADS) {
        const int at = (int)blockIdx.y * lanes * N + k;
        float total = 0;
        for (int i = 0; i < lines; i++)
            total += sums[i * lanes * N + k];
        if (at < c)
            partial[(int64_t)blockIdx.x * c + at] = total;
    }
}

/* Blocks of 32 columns by LANES lines. */
static __global__ void add_partials(int blocks, int c, const float *partial, float *out)
{
    TS_SHARED(float, sums, [LANES][TS_CUDA_WARP]);
    const int lane = (int)threadIdx.x % TS_CUDA_WARP, line = (int)threadIdx.x / TS_CUDA_WARP;
    const int column = (int)blockIdx.x * TS_CUDA_WARP + lane;
    float sum = 0;
    if (column < c)
        for (int i = line; i < blocks; i += LANES)
            sum += partial[(int64_t)i * c + column];
    sums[line][lane] = sum;
    __syncthreads();
    if (line > 0 || column >= c)
        return;
    for (int i = 1; i < LANES; i++)
        sum += sums[i][lane];
    out[column] += sum;
}

template <class T, int N> static ts_status run(ts_device *device, int64_t rows, int c, const T *x, float *out)
{
    int lanes = 1;
    while (lanes < TS_CUDA_WARP && lanes * N < c)
        lanes *= 2;
    const int tiles = (c + lanes * N - 1) / (lanes * N), lines = THREADS / lanes;
    const int64_t useful = (rows + lines * UNROLL - 1) / (lines * UNROLL);
    const int64_t most = (ts_cuda(device)->multiprocessors * 8 + tiles - 1) / tiles;
    const int blocks = (int)(useful < 1 ? 1 : useful < most ? useful : most);
    void *partial = NULL;
    TS_TRY(ts_cuda_scratch(device, TS_CUDA_SLOT_SUMS, (size_t)blocks * (size_t)c * sizeof(float), &partial));
    TS_TRY(ts_launch(device, column_sums<T, N>, dim3((unsigned)blocks, (unsigned)tiles), THREADS, 0, rows, c,
                     lanes, x, (float *)partial));
    return ts_launch(device, add_partials, (unsigned)((c + TS_CUDA_WARP - 1) / TS_CUDA_WARP),
                     LANES * TS_CUDA_WARP, 0, blocks, c, (const float *)partial, out);
}

ts_status ts_cuda_bias_gradient(ts_device *device, int64_t rows, int c, const void *dy, float *dbias)
{
    TS_DISPATCH(device, T, {
        if (c % ts_wide<T>::size == 0 && ts_aligned(dy))
            return run<T, ts_wide<T>::size>(device, rows, c, (const T *)dy, dbias);
        return run<T, 1>(device, rows, c, (const T *)dy, dbias);
    });
}
