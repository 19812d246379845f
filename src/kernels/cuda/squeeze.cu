/*
 * Space to depth and back (Dinh et al. 2017), channel order 4 c + 2 dy + dx.  A thread takes one channel of a
 * 2x2 block: four elements side by side in the deep image, one in each corner of the large one.
 */
#include "kernels/cuda/launch.cuh"

template <class T, bool inverse, bool accumulate, bool aligned>
static __global__ void squeeze(int64_t count, unsigned w, unsigned c, const T *x, T *y)
{
    const int64_t row = (int64_t)w * c; /* of the large image; two of them make one deep row */
    for (int64_t i = ts_thread(); i < count; i += ts_threads()) {
        const int64_t pair = i / (row / 2);
        const unsigned within = (unsigned)(i - pair * (row / 2)), column = within / c;
        const int64_t top = 2 * pair * row + within + (int64_t)column * c;
        const int64_t corners[4] = {top, top + c, top + row, top + row + c};
        float v[4], sum[4] = {};
        if constexpr (inverse) {
            if constexpr (aligned)
                ts_load(x + 4 * i, v);
#pragma unroll
            for (int q = 0; q < 4; q++) {
                if (!aligned)
                    v[q] = ts_float(x[4 * i + q]);
                if (accumulate)
                    sum[q] = ts_float(y[corners[q]]);
                y[corners[q]] = ts_cast<T>(sum[q] + v[q]);
            }
        } else {
            if constexpr (accumulate && aligned)
                ts_load(y + 4 * i, sum);
#pragma unroll
            for (int q = 0; q < 4; q++) {
                if (accumulate && !aligned)
                    sum[q] = ts_float(y[4 * i + q]);
                sum[q] += ts_float(x[corners[q]]);
                if (!aligned)
                    y[4 * i + q] = ts_cast<T>(sum[q]);
            }
            if constexpr (aligned)
                ts_store(y + 4 * i, sum);
        }
    }
}

template <class T, bool inverse, bool accumulate> static ts_status run(ts_device *device, const ts_squeeze *a)
{
    const int64_t count = (int64_t)a->n * a->h * a->w * a->c / 4;
    const unsigned grid = ts_grid(device, count, 256), w = (unsigned)a->w, c = (unsigned)a->c;
    const T *const x = (const T *)a->x;
    T *const y = (T *)a->y;
    if (ts_aligned(inverse ? a->x : a->y))
        return ts_launch(device, squeeze<T, inverse, accumulate, true>, grid, 256, 0, count, w, c, x, y);
    return ts_launch(device, squeeze<T, inverse, accumulate, false>, grid, 256, 0, count, w, c, x, y);
}

template <class T, bool inverse> static ts_status run(ts_device *device, const ts_squeeze *a)
{
    return a->accumulate ? run<T, inverse, true>(device, a) : run<T, inverse, false>(device, a);
}

ts_status ts_cuda_squeeze(ts_device *device, const ts_squeeze *a)
{
    TS_DISPATCH(device, T, return a->inverse ? run<T, true>(device, a) : run<T, false>(device, a));
}
