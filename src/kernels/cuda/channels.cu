#include "kernels/cuda/channels.h"
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256 };

template <class T> static __global__ void pad(int64_t count, int c, int padded, const T *x, T *y)
{
    for (int64_t i = ts_thread(); i < count; i += ts_threads()) {
        const int64_t row = i / padded;
        const int k = (int)(i - row * padded);
        y[i] = k < c ? x[row * c + k] : ts_cast<T>(0.0f);
    }
}

ts_status ts_cuda_pad(ts_device *device, int64_t rows, int c, int padded, const void *x, void *y)
{
    const int64_t count = rows * padded;
    TS_DISPATCH(device, T, {
        return ts_launch(device, pad<T>, ts_grid(device, count, THREADS), THREADS, 0, count, c, padded,
                         (const T *)x, (T *)y);
    });
}

ts_status ts_cuda_padded_of(ts_device *device, int slot, int64_t rows, int c, int padded, const void *x,
                            void **out)
{
    *out = const_cast<void *>(x);
    if (padded == c)
        return NULL;
    const size_t bytes = (size_t)rows * (size_t)padded * ts_dtype_size(device->activation);
    TS_TRY(ts_cuda_scratch(device, slot, bytes, out));
    return ts_cuda_pad(device, rows, c, padded, x, *out);
}

/* One thread, N channels of one row. */
template <class T, int N>
static __global__ void crop(int64_t count, int c, int padded, const T *x, const float *bias,
                            const T *residual, float scale, ts_cuda_cropping how, T *y)
{
    const int wide = c / N;
    for (int64_t i = ts_thread(); i < count; i += ts_threads()) {
        const int64_t row = i / wide, at = i * N;
        const int first = (int)(at - row * c);
        float v[N], other[N];
        ts_load(x + row * padded + first, v);
        if (residual)
            ts_load(residual + at, other);
#pragma unroll
        for (int k = 0; k < N; k++)
            v[k] = scale * (v[k] + (bias ? bias[first + k] : 0.0f) + (residual ? other[k] : 0.0f));
        if (how == TS_CUDA_ASSIGN_RELU) {
#pragma unroll
            for (int k = 0; k < N; k++)
                v[k] = fmaxf(v[k], 0.0f);
        } else if (how == TS_CUDA_ACCUMULATE) {
            ts_load(y + at, other);
#pragma unroll
            for (int k = 0; k < N; k++)
                v[k] += other[k];
        }
        ts_store(y + at, v);
    }
}

/* The same, one channel a thread. */
template <class T>
static __global__ void crop_plain(int64_t count, int c, int padded, const T *x, const float *bias,
                                  const T *residual, float scale, ts_cuda_cropping how, T *y)
{
    for (int64_t i = ts_thread(); i < count; i += ts_threads()) {
        const int64_t row = i / c;
        const int k = (int)(i - row * c);
        float v = ts_float(x[row * padded + k]);
        v = scale * (v + (bias ? bias[k] : 0.0f) + (residual ? ts_float(residual[i]) : 0.0f));
        if (how == TS_CUDA_ASSIGN_RELU)
            v = fmaxf(v, 0.0f);
        y[i] = ts_cast<T>(how == TS_CUDA_ACCUMULATE ? v + ts_float(y[i]) : v);
    }
}

ts_status ts_cuda_crop(ts_device *device, int64_t rows, int c, int padded, const void *x, const float *bias,
                       const void *residual, float scale, ts_cuda_cropping how, void *y)
{
    const bool aligned = ts_aligned(x) && ts_aligned(residual) && ts_aligned(y);
    TS_DISPATCH(device, T, {
        enum { N = ts_wide<T>::size };
        if (aligned && c % N == 0 && padded % N == 0)
            return ts_launch(device, crop<T, N>, ts_grid(device, rows * c / N, THREADS), THREADS, 0,
                             rows * c / N, c, padded, (const T *)x, bias, (const T *)residual, scale, how,
                             (T *)y);
        return ts_launch(device, crop_plain<T>, ts_grid(device, rows * c, THREADS), THREADS, 0, rows * c, c,
                         padded, (const T *)x, bias, (const T *)residual, scale, how, (T *)y);
    });
}

template <class G>
static __global__ void add_weights(int64_t count, int columns, int padded, const G *g, float *dweight)
{
    for (int64_t i = ts_thread(); i < count; i += ts_threads()) {
        const int64_t line = i / columns;
        dweight[i] += ts_float(g[line * padded + (i - line * columns)]);
    }
}

ts_status ts_cuda_add_weights(ts_device *device, int rows, int taps, int columns, int padded, bool rounded,
                              const void *g, float *dweight)
{
    const int64_t count = (int64_t)rows * taps * columns;
    const unsigned grid = ts_grid(device, count, THREADS);
    if (!rounded)
        return ts_launch(device, add_weights<float>, grid, THREADS, 0, count, columns, padded,
                         (const float *)g, dweight);
    TS_DISPATCH(device, T, {
        return ts_launch(device, add_weights<T>, grid, THREADS, 0, count, columns, padded, (const T *)g,
                         dweight);
    });
}
