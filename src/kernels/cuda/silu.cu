#include "kernels/cuda/launch.cuh"

template <class T> struct silu {
    const T *x;
    T *y;
    template <int N> __device__ void run(int64_t i) const
    {
        float v[N];
        ts_load(x + i, v);
#pragma unroll
        for (int k = 0; k < N; k++)
            v[k] = ts_silu<T>(v[k]);
        ts_store(y + i, v);
    }
};

template <class T, bool accumulate> struct silu_gradient {
    const T *x, *dy;
    T *dx;
    template <int N> __device__ void run(int64_t i) const
    {
        float v[N], d[N], sum[N] = {};
        ts_load(x + i, v);
        ts_load(dy + i, d);
        if (accumulate)
            ts_load(dx + i, sum);
#pragma unroll
        for (int k = 0; k < N; k++)
            sum[k] += d[k] * ts_silu_slope<T>(v[k]);
        ts_store(dx + i, sum);
    }
};

ts_status ts_cuda_silu_forward(ts_device *device, const ts_silu_forward *a)
{
    TS_DISPATCH(device, T,
                return ts_each<ts_wide<T>::size>(device, a->count, ts_aligned(a->x) && ts_aligned(a->y),
                                                 silu<T>{(const T *)a->x, (T *)a->y}));
}

template <class T, bool accumulate> static ts_status backward(ts_device *device, const ts_silu_backward *a)
{
    return ts_each<ts_wide<T>::size>(
        device, a->count, ts_aligned(a->x) && ts_aligned(a->dy) && ts_aligned(a->dx),
        silu_gradient<T, accumulate>{(const T *)a->x, (const T *)a->dy, (T *)a->dx});
}

ts_status ts_cuda_silu_backward(ts_device *device, const ts_silu_backward *a)
{
    TS_DISPATCH(device, T,
                return a->accumulate ? backward<T, true>(device, a) : backward<T, false>(device, a));
}
