#include "kernels/cuda/launch.cuh"

template <class T> struct affine_map {
    int d;
    bool accumulate;
    ts_sde sde;
    const float *t;
    float scale, offset;
    const T *x;
    T *y;
    /* N elements of one row: N divides d, or is 1. */
    template <int N> __device__ void run(int64_t i) const
    {
        const float factor = t ? (float)((double)scale * ts_sde_std(&sde, (double)t[i / d])) : scale;
        float v[N], sum[N] = {};
        ts_load(x + i, v);
        if (accumulate)
            ts_load(y + i, sum);
#pragma unroll
        for (int k = 0; k < N; k++)
            v[k] = sum[k] + (factor * v[k] + offset);
        ts_store(y + i, v);
    }
};

ts_status ts_cuda_affine(ts_device *device, const ts_affine *a)
{
    TS_DISPATCH(device, T, {
        const bool wide = a->d % ts_wide<T>::size == 0 && ts_aligned(a->x) && ts_aligned(a->y);
        return ts_each<ts_wide<T>::size>(device, (int64_t)a->n * a->d, wide,
                                         affine_map<T>{a->d, a->accumulate, a->sde, a->t, a->scale, a->offset,
                                                       (const T *)a->x, (T *)a->y});
    });
}
