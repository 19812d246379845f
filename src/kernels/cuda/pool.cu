#include <float.h>
#include "kernels/cuda/launch.cuh"

/* A thread takes N channels at one place, N a divisor of c, or 1. */
template <class T> struct pooled {
    ts_pool a;
    int oh, ow;
    const T *x;
    T *y;

    template <int N> __device__ void run(int64_t i) const
    {
        const ts_window w = a.window;
        const int64_t place = i / a.c, line = place / ow, image = line / oh;
        const int top = (int)(line - image * oh) * w.stride_h - w.pad_h;
        const int left = (int)(place - line * ow) * w.stride_w - w.pad_w;
        const T *const in = x + image * a.h * a.w * a.c + (i - place * a.c);
        const bool max = a.kind == TS_POOL_MAX;
        float v[N], row[N], result[N]; /* sums by rows: a long one would lose digits */
        int count = 0;
#pragma unroll
        for (int k = 0; k < N; k++)
            result[k] = max ? -FLT_MAX : 0.0f;
        for (int p = top > 0 ? top : 0; p < top + w.h && p < a.h; p++) {
#pragma unroll
            for (int k = 0; k < N; k++)
                row[k] = 0.0f;
            for (int q = left > 0 ? left : 0; q < left + w.w && q < a.w; q++, count++) {
                ts_load(in + ((int64_t)p * a.w + q) * a.c, v);
#pragma unroll
                for (int k = 0; k < N; k++)
                    if (max)
                        result[k] = fmaxf(result[k], v[k]);
                    else
                        row[k] += v[k];
            }
#pragma unroll
            for (int k = 0; k < N; k++)
                result[k] += row[k];
        }
#pragma unroll
        for (int k = 0; k < N; k++)
            if (!max)
                result[k] /= (float)(a.count_padding ? w.h * w.w : count);
        ts_store(y + i, result);
    }
};

ts_status ts_cuda_pool(ts_device *device, const ts_pool *a)
{
    const ts_window *const w = &a->window;
    const int oh = ts_window_places(a->h, w->h, w->stride_h, w->pad_h);
    const int ow = ts_window_places(a->w, w->w, w->stride_w, w->pad_w);
    TS_DISPATCH(device, T, {
        const bool wide = a->c % ts_wide<T>::size == 0 && ts_aligned(a->x) && ts_aligned(a->y);
        return ts_each<ts_wide<T>::size>(device, (int64_t)a->n * oh * ow * a->c, wide,
                                         pooled<T>{*a, oh, ow, (const T *)a->x, (T *)a->y});
    });
}
