#include "kernels/cuda/launch.cuh"

template <class T> struct slicing {
    int c_in, first, c_out;
    const T *x;
    T *y;
    template <int N> __device__ void run(int64_t i) const
    {
        const int64_t row = i / c_out;
        float v[N];
        ts_load(x + row * c_in + first + (i - row * c_out), v);
        ts_store(y + i, v);
    }
};

/* Element i of the slice is added to its place. */
template <class T> struct addition {
    int c_in, first, c_out;
    const T *dy;
    T *dx;
    template <int N> __device__ void run(int64_t i) const
    {
        const int64_t row = i / c_out;
        T *const out = dx + row * c_in + first + (i - row * c_out);
        float v[N], sum[N];
        ts_load(dy + i, v);
        ts_load(out, sum);
#pragma unroll
        for (int k = 0; k < N; k++)
            sum[k] += v[k];
        ts_store(out, sum);
    }
};

/* Every element of dx, zero outside the slice. */
template <class T> struct embedded_slice {
    int c_in, first, c_out;
    const T *dy;
    T *dx;
    template <int N> __device__ void run(int64_t i) const
    {
        const int64_t row = i / c_in;
        const int k = (int)(i - row * c_in) - first;
        float v[N] = {};
        if (k >= 0 && k < c_out)
            ts_load(dy + row * c_out + k, v);
        ts_store(dx + i, v);
    }
};

template <class T> static bool whole(int c_in, int first, int c_out, const void *p, const void *q)
{
    const int size = ts_wide<T>::size;
    return c_in % size == 0 && first % size == 0 && c_out % size == 0 && ts_aligned(p) && ts_aligned(q);
}

ts_status ts_cuda_slice_forward(ts_device *device, const ts_slice_forward *a)
{
    TS_DISPATCH(device, T,
                return ts_each<ts_wide<T>::size>(
                    device, a->rows * a->c_out, whole<T>(a->c_in, a->first, a->c_out, a->x, a->y),
                    slicing<T>{a->c_in, a->first, a->c_out, (const T *)a->x, (T *)a->y}));
}

template <class T> static ts_status backward(ts_device *device, const ts_slice_backward *a)
{
    const bool aligned = whole<T>(a->c_in, a->first, a->c_out, a->dy, a->dx);
    const T *const dy = (const T *)a->dy;
    T *const dx = (T *)a->dx;
    if (a->accumulate)
        return ts_each<ts_wide<T>::size>(device, a->rows * a->c_out, aligned,
                                         addition<T>{a->c_in, a->first, a->c_out, dy, dx});
    return ts_each<ts_wide<T>::size>(device, a->rows * a->c_in, aligned,
                                     embedded_slice<T>{a->c_in, a->first, a->c_out, dy, dx});
}

ts_status ts_cuda_slice_backward(ts_device *device, const ts_slice_backward *a)
{
    TS_DISPATCH(device, T, return backward<T>(device, a));
}
