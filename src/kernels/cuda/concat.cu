#include "kernels/cuda/launch.cuh"

template <class T> struct concatenation {
    int ca, cb;
    const T *a, *b;
    T *y;
    template <int N> __device__ void run(int64_t i) const
    {
        const int64_t row = i / (ca + cb);
        const int k = (int)(i - row * (ca + cb));
        float v[N];
        ts_load(k < ca ? a + row * ca + k : b + row * cb + (k - ca), v);
        ts_store(y + i, v);
    }
};

/* Either gradient may be NULL. */
template <class T> struct parting {
    int ca, cb;
    const T *dy;
    T *da, *db;
    bool accumulate_a, accumulate_b;
    template <int N> __device__ void run(int64_t i) const
    {
        const int64_t row = i / (ca + cb);
        const int k = (int)(i - row * (ca + cb));
        T *const base = k < ca ? da : db;
        if (!base)
            return;
        T *const out = k < ca ? base + row * ca + k : base + row * cb + (k - ca);
        float v[N], sum[N] = {};
        ts_load(dy + i, v);
        if (k < ca ? accumulate_a : accumulate_b)
            ts_load(out, sum);
#pragma unroll
        for (int j = 0; j < N; j++)
            sum[j] += v[j];
        ts_store(out, sum);
    }
};

ts_status ts_cuda_concat_forward(ts_device *device, const ts_concat_forward *a)
{
    const int64_t count = a->rows * (a->ca + a->cb);
    const bool aligned = ts_aligned(a->a) && ts_aligned(a->b) && ts_aligned(a->y);
    TS_DISPATCH(device, T, {
        const bool whole = a->ca % ts_wide<T>::size == 0 && a->cb % ts_wide<T>::size == 0;
        return ts_each<ts_wide<T>::size>(
            device, count, aligned && whole,
            concatenation<T>{a->ca, a->cb, (const T *)a->a, (const T *)a->b, (T *)a->y});
    });
}

ts_status ts_cuda_concat_backward(ts_device *device, const ts_concat_backward *a)
{
    const int64_t count = a->rows * (a->ca + a->cb);
    const bool aligned = ts_aligned(a->dy) && ts_aligned(a->da) && ts_aligned(a->db);
    TS_DISPATCH(device, T, {
        const bool whole = a->ca % ts_wide<T>::size == 0 && a->cb % ts_wide<T>::size == 0;
        return ts_each<ts_wide<T>::size>(device, count, aligned && whole,
                                         parting<T>{a->ca, a->cb, (const T *)a->dy, (T *)a->da, (T *)a->db,
                                                    a->accumulate_a, a->accumulate_b});
    });
}
