/*
 * Convolutions of any window by cuDNN: bias, residual and ReLU in the same graph where it has one, else by a
 * kernel after it.  Those in groups, which no network here has, are plain sums.
 */
#include "kernels/cuda/channels.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vendor/library.h"
#include "kernels/cuda/weights_pack.h"

enum { THREADS = 256 };

/* One thread an output. */
template <class T>
static __global__ void grouped(const ts_conv2d a, int oh, int ow, int64_t count, const T *x,
                               const T *residual, T *y)
{
    const ts_window w = a.window;
    const int inputs = a.ci / a.groups, outputs = a.co / a.groups;
    for (int64_t i = ts_thread(); i < count; i += ts_threads()) {
        const int64_t place = i / a.co, line = place / ow, image = line / oh;
        const int o = (int)(i - place * a.co);
        const int top = (int)(line - image * oh) * w.stride_h - w.pad_h;
        const int left = (int)(place - line * ow) * w.stride_w - w.pad_w;
        const T *const in = x + image * a.h * a.w * a.ci + o / outputs * inputs;
        float sum = a.bias ? a.bias[o] : 0.0f;
        if (residual)
            sum += ts_float(residual[i]);
        for (int p = 0; p < w.h; p++)
            for (int q = 0; q < w.w; q++) {
                if (top + p < 0 || top + p >= a.h || left + q < 0 || left + q >= a.w)
                    continue;
                const T *const pixel = in + ((int64_t)(top + p) * a.w + left + q) * a.ci;
                const float *const weight = a.weight + (((int64_t)o * w.h + p) * w.w + q) * inputs;
                for (int k = 0; k < inputs; k++)
                    sum += ts_float(pixel[k]) * weight[k];
            }
        y[i] = ts_cast<T>(a.relu ? fmaxf(sum, 0.0f) : sum);
    }
}

/* The whole operation in one graph. */
static ts_status run_whole(ts_device *device, const ts_conv2d *a, const ts_cuda_graph_key *key,
                           ts_cuda_graph_data *data)
{
    if (key->bias) {
        const ts_cuda_pack pack = {a->bias, 1, 1, a->co, 1, a->co, 1.0f};
        const void *bias = NULL;
        TS_TRY(ts_cuda_packed(device, &pack, &bias));
        data->bias = const_cast<void *>(bias);
    }
    data->residual = const_cast<void *>(a->residual);
    data->y = a->y;
    return ts_cuda_graph_run(device, key, data);
}

/* The convolution alone, then the rest. */
static ts_status run_parts(ts_device *device, const ts_conv2d *a, int64_t rows, ts_cuda_graph_data *data)
{
    ts_cuda_graph_key key =
        ts_cuda_conv_key(device->activation, TS_CUDA_CONV_FORWARD, a->n, a->h, a->w, a->ci, a->co);
    key.window = a->window;
    data->y = a->y;
    if (key.co != a->co || (a->residual && a->residual == a->y))
        TS_TRY(ts_cuda_scratch(device, TS_CUDA_SLOT_PAD_Y,
                               (size_t)rows * (size_t)key.co * ts_dtype_size(device->activation), &data->y));
    TS_TRY(ts_cuda_graph_run(device, &key, data));
    return ts_cuda_crop(device, rows, a->co, key.co, data->y, a->bias, a->residual, 1.0f,
                        a->relu ? TS_CUDA_ASSIGN_RELU : TS_CUDA_ASSIGN, a->y);
}

ts_status ts_cuda_conv2d(ts_device *device, const ts_conv2d *a)
{
    const ts_window *const w = &a->window;
    const int oh = ts_window_places(a->h, w->h, w->stride_h, w->pad_h);
    const int ow = ts_window_places(a->w, w->w, w->stride_w, w->pad_w);
    const int64_t rows = (int64_t)a->n * oh * ow;
    if (a->groups > 1)
        TS_DISPATCH(device, T, {
            return ts_launch(device, grouped<T>, ts_grid(device, rows * a->co, THREADS), THREADS, 0, *a, oh,
                             ow, rows * a->co, (const T *)a->x, (const T *)a->residual, (T *)a->y);
        });
    ts_cuda_graph_key key;
    ts_cuda_graph_data data = {};
    bool whole = ts_cuda_conv2d_whole(device->activation, a, &key);
    if (whole)
        TS_TRY(ts_cuda_graph_supported(device, &key, &whole));
    const ts_cuda_pack pack = {a->weight, a->co, w->h * w->w, a->ci, key.co, key.ci, 1.0f};
    const void *weight = NULL;
    TS_TRY(ts_cuda_padded_of(device, TS_CUDA_SLOT_PAD_X, (int64_t)a->n * a->h * a->w, a->ci, key.ci, a->x,
                             &data.x));
    TS_TRY(ts_cuda_packed(device, &pack, &weight));
    data.weight = const_cast<void *>(weight);
    return whole ? run_whole(device, a, &key, &data) : run_parts(device, a, rows, &data);
}
