#include "kernels/cuda/launch.cuh"

/* A thread takes N channels of one output pixel, N a divisor of c, or 1. */
template <class T> struct filter {
    ts_fir a;
    const T *x, *residual;
    T *y;

    /* The input pixel that the tap meets along one axis; -1: a zero. */
    __device__ int met(int i, int tap, int size) const
    {
        const int at = a.down * i + tap - a.pad;
        if (at < 0 || (a.up == 2 && at % 2))
            return -1;
        const int pixel = a.up == 2 ? at / 2 : at;
        return pixel < size ? pixel : -1;
    }

    template <int N> __device__ void run(int64_t i) const
    {
        const int64_t pixel = i / a.c, line = pixel / a.ow, image = line / a.oh;
        const int channel = (int)(i - pixel * a.c), column = (int)(pixel - line * a.ow);
        const int row = (int)(line - image * a.oh);
        float v[N], sum[N] = {}, old[N] = {};
        if (residual)
            ts_load(residual + i, sum);
        if (a.accumulate)
            ts_load(y + i, old);
        for (int p = 0; p < a.taps; p++) {
            const int from = met(row, p, a.h);
            if (from < 0)
                continue;
            const T *const in = x + (image * a.h + from) * a.w * a.c + channel;
            for (int q = 0; q < a.taps; q++) {
                const int at = met(column, q, a.w);
                if (at < 0)
                    continue;
                ts_load(in + (int64_t)at * a.c, v);
#pragma unroll
                for (int k = 0; k < N; k++)
                    sum[k] += a.k[p] * a.k[q] * v[k];
            }
        }
#pragma unroll
        for (int k = 0; k < N; k++)
            sum[k] = old[k] + a.scale * sum[k];
        ts_store(y + i, sum);
    }
};

ts_status ts_cuda_fir(ts_device *device, const ts_fir *a)
{
    TS_DISPATCH(device, T, {
        const bool wide =
            a->c % ts_wide<T>::size == 0 && ts_aligned(a->x) && ts_aligned(a->y) && ts_aligned(a->residual);
        return ts_each<ts_wide<T>::size>(device, (int64_t)a->n * a->oh * a->ow * a->c, wide,
                                         filter<T>{*a, (const T *)a->x, (const T *)a->residual, (T *)a->y});
    });
}
