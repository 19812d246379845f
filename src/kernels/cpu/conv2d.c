/*
 * Convolutions of any window: 3x3 ones at every place by Winograd's algorithm where that pays, else by oneDNN.
 */
#include <string.h>
#include "kernels/cpu/conv/convolution.h"
#include "kernels/cpu/conv/winograd.h"
#include "kernels/cpu/cpu.h"

static bool goes_by_winograd(const ts_conv2d *a, int oh, int ow)
{
    const ts_window *const w = &a->window;
    return w->h == 3 && w->w == 3 && w->stride_h == 1 && w->stride_w == 1 && w->pad_h <= 1 && w->pad_w <= 1 &&
           a->groups == 1 && ts_cpu_winograd_forward_pays(a->n, oh, ow, a->ci, a->co);
}

ts_status ts_cpu_conv2d(ts_device *device, const ts_conv2d *a)
{
    const ts_window *const w = &a->window;
    const int oh = ts_window_places(a->h, w->h, w->stride_h, w->pad_h);
    const int ow = ts_window_places(a->w, w->w, w->stride_w, w->pad_w);
    ts_cpu_convolution_key key;
    if (goes_by_winograd(a, oh, ow))
        return ts_cpu_winograd_forward(device, a, 1.0f);
    memset(&key, 0, sizeof key);
    key.pass = TS_DNNL_FORWARD;
    key.n = a->n;
    key.h = a->h;
    key.w = a->w;
    key.ci = a->ci;
    key.co = a->co;
    key.groups = a->groups;
    key.window = a->window;
    key.scale = 1.0f;
    key.bias = a->bias != NULL;
    key.relu = a->relu;
    if (a->residual) {
        const size_t count = (size_t)a->n * (size_t)oh * (size_t)ow * (size_t)a->co;
        key.residual = TS_CPU_RESIDUAL_IN_Y;
        if (a->residual != a->y)
            memcpy(a->y, a->residual, count * sizeof(float));
    }
    const ts_cpu_convolution_data data = {a->x, a->weight, a->bias, a->y, NULL};
    return ts_cpu_convolution(device, &key, &data);
}
