#include "kernels/cuda/launch.cuh"

template <class From, class To> struct conversion {
    const From *x;
    To *y;
    template <int N> __device__ void run(int64_t i) const
    {
        float v[N];
        ts_load(x + i, v);
        ts_store(y + i, v);
    }
};

template <class From, class To> static ts_status run(ts_device *device, const ts_convert *a)
{
    return ts_each<8>(device, a->count, ts_aligned(a->x) && ts_aligned(a->y),
                      conversion<From, To>{(const From *)a->x, (To *)a->y});
}

ts_status ts_cuda_convert(ts_device *device, const ts_convert *a)
{
    TS_DISPATCH(device, T, return a->to_float ? run<T, float>(device, a) : run<float, T>(device, a));
}
