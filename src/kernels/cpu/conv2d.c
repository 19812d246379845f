/* Convolutions of any window, by oneDNN. */
#include <string.h>
#include "kernels/cpu/conv/convolution.h"
#include "kernels/cpu/cpu.h"

ts_status ts_cpu_conv2d(ts_device *device, const ts_conv2d *a)
{
    ts_cpu_convolution_key key;
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
        const ts_window *const w = &a->window;
        const size_t count = (size_t)a->n * (size_t)ts_window_places(a->h, w->h, w->stride_h, w->pad_h) *
                             (size_t)ts_window_places(a->w, w->w, w->stride_w, w->pad_w) * (size_t)a->co;
        key.residual = TS_CPU_RESIDUAL_IN_Y;
        if (a->residual != a->y)
            memcpy(a->y, a->residual, count * sizeof(float));
    }
    const ts_cpu_convolution_data data = {a->x, a->weight, a->bias, a->y, NULL};
    return ts_cpu_convolution(device, &key, &data);
}
