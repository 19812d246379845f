#include "kernels/cuda/launch.cuh"

enum { THREADS = 256 };

/* One thread a pixel of the output. */
template <class S, class T> static __global__ void resized(const ts_resize a, int64_t count, const S *x, T *y)
{
    for (int64_t i = ts_thread(); i < count; i += ts_threads()) {
        const int64_t line = i / a.ow, image = line / a.oh;
        int above, below, left, right;
        const float down = ts_resize_place((int)(line - image * a.oh), a.h, a.oh, &above, &below);
        const float along = ts_resize_place((int)(i - line * a.ow), a.w, a.ow, &left, &right);
        const S *const upper = x + (image * a.h + above) * a.w * a.c, *const lower =
                                                                          x +
                                                                          (image * a.h + below) * a.w * a.c;
        for (int k = 0; k < a.oc; k++) {
            const int channel = a.c == 1 ? 0 : k;
            const float p = (float)upper[left * a.c + channel], q = (float)upper[right * a.c + channel];
            const float s = (float)lower[left * a.c + channel], t = (float)lower[right * a.c + channel];
            const float top = p + along * (q - p), bottom = s + along * (t - s);
            y[i * a.oc + k] = ts_cast<T>(a.scale[k] * (top + down * (bottom - top)) + a.offset[k]);
        }
    }
}

template <class S> static ts_status run(ts_device *device, const ts_resize *a, const S *x)
{
    const int64_t count = (int64_t)a->n * a->oh * a->ow;
    TS_DISPATCH(device, T, {
        return ts_launch(device, resized<S, T>, ts_grid(device, count, THREADS), THREADS, 0, *a, count, x,
                         (T *)a->y);
    });
}

ts_status ts_cuda_resize(ts_device *device, const ts_resize *a)
{
    return a->floats ? run(device, a, a->floats) : run(device, a, a->bytes);
}
