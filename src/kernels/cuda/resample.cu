/*
 * Halving by the mean of 2x2 and doubling by nearest neighbour.  Both walk the coarse image, whose elements
 * go with four of the fine one each.
 */
#include "kernels/cuda/launch.cuh"

/* Where element i of the coarse image [rows,w,c] has its upper left one in the fine image [2 rows,2w,c]. */
static __device__ __forceinline__ int64_t corner(int64_t i, int w, int c)
{
    const int64_t pixel = i / c, row = pixel / w, column = pixel - row * w;
    return (4 * row * w + 2 * column) * c + (i - pixel * c);
}

/* coarse = factor (sum of 2x2 of fine) */
template <class T, bool accumulate> struct reduction {
    int w, c;
    float factor;
    const T *fine;
    T *coarse;
    template <int N> __device__ void run(int64_t i) const
    {
        const T *const top = fine + corner(i, w, c), *const bottom = top + (int64_t)2 * w * c;
        float v[4][N], sum[N] = {};
        ts_load(top, v[0]);
        ts_load(top + c, v[1]);
        ts_load(bottom, v[2]);
        ts_load(bottom + c, v[3]);
        if (accumulate)
            ts_load(coarse + i, sum);
#pragma unroll
        for (int k = 0; k < N; k++)
            sum[k] += factor * (v[0][k] + v[1][k] + v[2][k] + v[3][k]);
        ts_store(coarse + i, sum);
    }
};

/* every one of 2x2 of fine = factor coarse */
template <class T, bool accumulate> struct spreading {
    int w, c;
    float factor;
    const T *coarse;
    T *fine;
    template <int N> __device__ void run(int64_t i) const
    {
        T *const top = fine + corner(i, w, c);
        float v[N];
        ts_load(coarse + i, v);
#pragma unroll
        for (int part = 0; part < 4; part++) {
            T *const out = top + (part & 1) * c + (int64_t)(part >> 1) * 2 * w * c;
            float sum[N] = {};
            if (accumulate)
                ts_load(out, sum);
#pragma unroll
            for (int k = 0; k < N; k++)
                sum[k] += factor * v[k];
            ts_store(out, sum);
        }
    }
};

/* coarse [rows,w,c] */
template <template <class, bool> class F, class T, bool accumulate>
static ts_status run(ts_device *device, int64_t rows, int w, int c, float factor, const void *from, void *to)
{
    const bool aligned = c % ts_wide<T>::size == 0 && ts_aligned(from) && ts_aligned(to);
    return ts_each<ts_wide<T>::size>(device, rows * w * c, aligned,
                                     F<T, accumulate>{w, c, factor, (const T *)from, (T *)to});
}

ts_status ts_cuda_resample_forward(ts_device *device, const ts_resample_forward *a)
{
    const int64_t rows = (int64_t)a->n * a->h;
    TS_DISPATCH(device, T, {
        if (a->up)
            return run<spreading, T, false>(device, rows, a->w, a->c, 1.0f, a->x, a->y);
        return run<reduction, T, false>(device, rows / 2, a->w / 2, a->c, 0.25f, a->x, a->y);
    });
}

template <class T, bool accumulate>
static ts_status backward(ts_device *device, const ts_resample_backward *a)
{
    const int64_t rows = (int64_t)a->n * a->h;
    if (a->up)
        return run<reduction, T, accumulate>(device, rows, a->w, a->c, 1.0f, a->dy, a->dx);
    return run<spreading, T, accumulate>(device, rows / 2, a->w / 2, a->c, 0.25f, a->dy, a->dx);
}

ts_status ts_cuda_resample_backward(ts_device *device, const ts_resample_backward *a)
{
    TS_DISPATCH(device, T,
                return a->accumulate ? backward<T, true>(device, a) : backward<T, false>(device, a));
}
