#include "kernels/cuda/launch.cuh"

template <class T, bool accumulate> struct scale {
    float factor;
    const T *x;
    T *y;
    template <int N> __device__ void run(int64_t i) const
    {
        float v[N], sum[N] = {};
        ts_load(x + i, v);
        if (accumulate)
            ts_load(y + i, sum);
#pragma unroll
        for (int k = 0; k < N; k++)
            sum[k] += factor * v[k];
        ts_store(y + i, sum);
    }
};

template <class T, bool accumulate> static ts_status run(ts_device *device, const ts_add_scaled *a)
{
    return ts_each<ts_wide<T>::size>(device, a->count, ts_aligned(a->x) && ts_aligned(a->y),
                                     scale<T, accumulate>{a->scale, (const T *)a->x, (T *)a->y});
}

ts_status ts_cuda_add_scaled(ts_device *device, const ts_add_scaled *a)
{
    TS_DISPATCH(device, T, return a->accumulate ? run<T, true>(device, a) : run<T, false>(device, a));
}
