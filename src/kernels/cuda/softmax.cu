/*
 * A warp computes a row and holds it in registers, so that it is read and written once; rows that do not fit
 * there are read again.
 */
#include "kernels/cuda/softmax.h"
#include "kernels/cuda/reduce.cuh"

enum { THREADS = 256, ROWS = THREADS / TS_CUDA_WARP };

/* Four values at p, as floats. */
static __device__ __forceinline__ void load(const float *p, float (&v)[4])
{
    ts_load(p, v);
}

static __device__ __forceinline__ void load(const __nv_bfloat16 *p, float (&v)[4])
{
    const uint2 u = *reinterpret_cast<const uint2 *>(p);
    v[0] = __uint_as_float(u.x << 16), v[1] = __uint_as_float(u.x & 0xFFFF0000u);
    v[2] = __uint_as_float(u.y << 16), v[3] = __uint_as_float(u.y & 0xFFFF0000u);
}

static __device__ __forceinline__ void store(float *p, const float (&v)[4])
{
    ts_store(p, v);
}

static __device__ __forceinline__ void store(__nv_bfloat16 *p, const float (&v)[4])
{
    *reinterpret_cast<uint2 *>(p) = make_uint2(ts_pack(v[0], v[1]), ts_pack(v[2], v[3]));
}

template <class T> static __device__ __forceinline__ void load(const T *p, float (&v)[1])
{
    v[0] = ts_float(*p);
}

template <class T> static __device__ __forceinline__ void store(T *p, const float (&v)[1])
{
    *p = ts_cast<T>(v[0]);
}

/* Row `row` of a [rows,length]: item i of a lane is N values from (32 i + lane) N on. */
template <class T, int N, int ITEMS>
static __device__ __forceinline__ void load_row(const T *a, int64_t row, int length, float other,
                                                float (&v)[ITEMS][N])
{
    const int lane = (int)threadIdx.x % TS_CUDA_WARP;
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        const int at = (i * TS_CUDA_WARP + lane) * N;
        if (at < length)
            load(a + row * length + at, v[i]);
        else
#pragma unroll
            for (int k = 0; k < N; k++)
                v[i][k] = other;
    }
}

template <class T, int N, int ITEMS>
static __device__ __forceinline__ void store_row(T *a, int64_t row, int length, const float (&v)[ITEMS][N])
{
    const int lane = (int)threadIdx.x % TS_CUDA_WARP;
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        const int at = (i * TS_CUDA_WARP + lane) * N;
        if (at < length)
            store(a + row * length + at, v[i]);
    }
}

template <class T, int N, int ITEMS>
static __global__ void softmax(int64_t rows, int length, const float *s, T *p)
{
    const int64_t step = (int64_t)gridDim.x * ROWS;
    for (int64_t row = (int64_t)blockIdx.x * ROWS + threadIdx.x / TS_CUDA_WARP; row < rows; row += step) {
        float v[ITEMS][N], top = -INFINITY, sum = 0;
        load_row(s, row, length, -INFINITY, v);
#pragma unroll
        for (int i = 0; i < ITEMS; i++)
#pragma unroll
            for (int k = 0; k < N; k++)
                top = fmaxf(top, v[i][k]);
        top = ts_warp_max(top);
#pragma unroll
        for (int i = 0; i < ITEMS; i++)
#pragma unroll
            for (int k = 0; k < N; k++) {
                v[i][k] = sizeof(T) == 2 ? __expf(v[i][k] - top) : expf(v[i][k] - top);
                sum += v[i][k];
            }
        const float factor = 1.0f / ts_warp_sum(sum);
#pragma unroll
        for (int i = 0; i < ITEMS; i++)
#pragma unroll
            for (int k = 0; k < N; k++)
                v[i][k] *= factor;
        store_row(p, row, length, v);
    }
}

template <class T, int N, int ITEMS>
static __global__ void softmax_gradient(int64_t rows, int length, float scale, const T *p, const float *dp,
                                        T *ds)
{
    const int64_t step = (int64_t)gridDim.x * ROWS;
    for (int64_t row = (int64_t)blockIdx.x * ROWS + threadIdx.x / TS_CUDA_WARP; row < rows; row += step) {
        float v[ITEMS][N], d[ITEMS][N], sum = 0;
        load_row(p, row, length, 0.0f, v);
        load_row(dp, row, length, 0.0f, d);
#pragma unroll
        for (int i = 0; i < ITEMS; i++)
#pragma unroll
            for (int k = 0; k < N; k++)
                sum += v[i][k] * d[i][k];
        sum = ts_warp_sum(sum);
#pragma unroll
        for (int i = 0; i < ITEMS; i++)
#pragma unroll
            for (int k = 0; k < N; k++)
                v[i][k] *= scale * (d[i][k] - sum);
        store_row(ds, row, length, v);
    }
}

/* A row of any length, read three times. */
template <class T> static __global__ void softmax_long(int64_t rows, int length, const float *s, T *p)
{
    const int lane = (int)threadIdx.x % TS_CUDA_WARP;
    const int64_t step = (int64_t)gridDim.x * ROWS;
    for (int64_t row = (int64_t)blockIdx.x * ROWS + threadIdx.x / TS_CUDA_WARP; row < rows; row += step) {
        const float *const from = s + row * length;
        float top = -INFINITY, sum = 0;
        for (int i = lane; i < length; i += TS_CUDA_WARP)
            top = fmaxf(top, from[i]);
        top = ts_warp_max(top);
        for (int i = lane; i < length; i += TS_CUDA_WARP)
            sum += expf(from[i] - top);
        const float factor = 1.0f / ts_warp_sum(sum);
        for (int i = lane; i < length; i += TS_CUDA_WARP)
            p[row * length + i] = ts_cast<T>(factor * expf(from[i] - top));
    }
}

template <class T>
static __global__ void softmax_gradient_long(int64_t rows, int length, float scale, const T *p,
                                             const float *dp, T *ds)
{
    const int lane = (int)threadIdx.x % TS_CUDA_WARP;
    const int64_t step = (int64_t)gridDim.x * ROWS;
    for (int64_t row = (int64_t)blockIdx.x * ROWS + threadIdx.x / TS_CUDA_WARP; row < rows; row += step) {
        const int64_t first = row * length;
        float sum = 0;
        for (int i = lane; i < length; i += TS_CUDA_WARP)
            sum += ts_float(p[first + i]) * dp[first + i];
        sum = ts_warp_sum(sum);
        for (int i = lane; i < length; i += TS_CUDA_WARP)
            ds[first + i] = ts_cast<T>(scale * ts_float(p[first + i]) * (dp[first + i] - sum));
    }
}

/* `RUN(N, ITEMS)` with the smallest row that holds `length`, in groups of four where they fit. */
#define BY_LENGTH(length, wide, RUN, LONG)                                                                   \
    do {                                                                                                     \
        if ((wide) && (length) <= 128)                                                                       \
            RUN(4, 1);                                                                                       \
        if ((wide) && (length) <= 256)                                                                       \
            RUN(4, 2);                                                                                       \
        if ((wide) && (length) <= 512)                                                                       \
            RUN(4, 4);                                                                                       \
        if ((wide) && (length) <= 1024)                                                                      \
            RUN(4, 8);                                                                                       \
        if ((length) <= 32)                                                                                  \
            RUN(1, 1);                                                                                       \
        if ((length) <= 256)                                                                                 \
            RUN(1, 8);                                                                                       \
        LONG;                                                                                                \
    } while (0)

ts_status ts_cuda_softmax(ts_device *device, int64_t rows, int length, const float *s, void *p)
{
    const bool wide = length % 4 == 0 && ts_aligned(s) && ts_aligned(p);
    const unsigned grid = ts_grid(device, rows, ROWS);
#define RUN(n, items)                                                                                        \
    return ts_launch(device, softmax<T, n, items>, grid, THREADS, 0, rows, length, s, (T *)p)
    TS_DISPATCH(device, T, {
        BY_LENGTH(length, wide, RUN,
                  return ts_launch(device, softmax_long<T>, grid, THREADS, 0, rows, length, s, (T *)p));
    });
#undef RUN
}

ts_status ts_cuda_softmax_backward(ts_device *device, int64_t rows, int length, float scale, const void *p,
                                   const float *dp, void *ds)
{
    const bool wide = length % 4 == 0 && ts_aligned(p) && ts_aligned(dp) && ts_aligned(ds);
    const unsigned grid = ts_grid(device, rows, ROWS);
#define RUN(n, items)                                                                                        \
    return ts_launch(device, softmax_gradient<T, n, items>, grid, THREADS, 0, rows, length, scale,           \
                     (const T *)p, dp, (T *)ds)
    TS_DISPATCH(device, T, {
        BY_LENGTH(length, wide, RUN,
                  return ts_launch(device, softmax_gradient_long<T>, grid, THREADS, 0, rows, length, scale,
                                   (const T *)p, dp, (T *)ds));
    });
#undef RUN
}
