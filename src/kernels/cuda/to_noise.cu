#include "kernels/cuda/launch.cuh"

template <class T> struct to_noise {
    int d;
    bool accumulate;
    ts_sde sde;
    ts_predicts_kind predicts;
    const float *t;
    const T *xt, *net;
    T *y;
    /* N elements of one row: N divides d, or is 1. */
    template <int N> __device__ void run(int64_t i) const
    {
        const ts_sde_mix mix = ts_sde_noise(&sde, predicts, (double)t[i / d]);
        float sum[N] = {};
        if (accumulate)
            ts_load(y + i, sum);
        if (xt)
            add<N>(xt + i, (float)mix.of_x, sum);
        if (net)
            add<N>(net + i, (float)mix.of_other, sum);
        ts_store(y + i, sum);
    }
    template <int N> static __device__ void add(const T *from, float factor, float (&sum)[N])
    {
        float v[N];
        ts_load(from, v);
#pragma unroll
        for (int k = 0; k < N; k++)
            sum[k] += factor * v[k];
    }
};

ts_status ts_cuda_to_noise(ts_device *device, const ts_to_noise *a)
{
    TS_DISPATCH(device, T, {
        const bool wide =
            a->d % ts_wide<T>::size == 0 && ts_aligned(a->xt) && ts_aligned(a->net) && ts_aligned(a->y);
        return ts_each<ts_wide<T>::size>(device, (int64_t)a->n * a->d, wide,
                                         to_noise<T>{a->d, a->accumulate, a->sde, a->predicts, a->t,
                                                     (const T *)a->xt, (const T *)a->net, (T *)a->y});
    });
}
