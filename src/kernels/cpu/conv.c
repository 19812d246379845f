/*
 * 3x3 convolutions: by Winograd's algorithm where it pays, see winograd.h, else by oneDNN.  Activations stay
 * NHWC, which oneDNN's kernels read as fast as blocked layouts; it packs weights, see convolution.c.
 */
#include <string.h>
#include "kernels/cpu/conv/convolution.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/reduce.h"
#include "kernels/cpu/conv/winograd.h"

/* Scratch slots; winograd.c uses 2 and 3, convolution.c those from 4 on. */
enum { SLOT_SUMS, SLOT_GRADIENT };

static ts_cpu_convolution_key key_of(ts_dnnl_pass pass, int n, int h, int w, int ci, int co)
{
    ts_cpu_convolution_key key;
    memset(&key, 0, sizeof key);
    key.pass = pass;
    key.n = n;
    key.h = h;
    key.w = w;
    key.ci = ci;
    key.co = co;
    key.groups = 1;
    key.window = (ts_window){3, 3, 1, 1, 1, 1};
    key.scale = 1.0f;
    return key;
}

ts_status ts_cpu_conv_forward(ts_device *device, const ts_conv_forward *a)
{
    if (ts_cpu_winograd_forward_pays(a->n, a->h, a->w, a->ci, a->co)) {
        const ts_conv2d same = {a->n,  a->h, a->w,        a->ci,     a->co,   1,   {3, 3, 1, 1, 1, 1},
                                false, a->x, a->residual, a->weight, a->bias, a->y};
        return ts_cpu_winograd_forward(device, &same, a->scale);
    }
    ts_cpu_convolution_key key = key_of(TS_DNNL_FORWARD, a->n, a->h, a->w, a->ci, a->co);
    key.scale = a->scale;
    key.bias = a->bias != NULL;
    if (a->residual) {
        /* oneDNN's fastest kernels can add what is in y already, slower ones a tensor apart: a copy pays
         * when there is enough arithmetic for each output. */
        key.residual = a->ci >= 64 || a->residual == a->y ? TS_CPU_RESIDUAL_IN_Y : TS_CPU_RESIDUAL_APART;
        if (key.residual == TS_CPU_RESIDUAL_IN_Y && a->residual != a->y) {
            const int64_t row = (int64_t)a->h * a->w * a->co;
#pragma omp parallel for num_threads(device->threads) schedule(static)
            for (int i = 0; i < a->n; i++)
                memcpy((float *)a->y + i * row, (const float *)a->residual + i * row,
                       (size_t)row * sizeof(float));
        }
    }
    const ts_cpu_convolution_data data = {a->x, a->weight, a->bias, a->y, a->residual};
    return ts_cpu_convolution(device, &key, &data);
}

static ts_status input_gradient(ts_device *device, const ts_conv_backward *a)
{
    if (ts_cpu_winograd_forward_pays(a->n, a->h, a->w, a->co, a->ci))
        return ts_cpu_winograd_input_gradient(device, a);
    const ts_cpu_convolution_key key = key_of(TS_DNNL_BACKWARD_DATA, a->n, a->h, a->w, a->ci, a->co);
    const int64_t count = (int64_t)a->n * a->h * a->w * a->ci;
    void *dx = a->dx;
    if (a->accumulate)
        TS_TRY(ts_cpu_scratch(device, SLOT_GRADIENT, (size_t)count * sizeof(float), &dx));
    const ts_cpu_convolution_data data = {dx, a->weight, NULL, a->dy, NULL};
    TS_TRY(ts_cpu_convolution(device, &key, &data));
    if (a->accumulate)
        ts_cpu_add(device, count, dx, a->dx);
    return NULL;
}

static ts_status weight_gradient(ts_device *device, const ts_conv_backward *a)
{
    ts_cpu_convolution_key key = key_of(TS_DNNL_BACKWARD_WEIGHTS, a->n, a->h, a->w, a->ci, a->co);
    void *bias = NULL;
    key.bias = a->dbias != NULL;
    if (a->dbias)
        TS_TRY(ts_cpu_scratch(device, SLOT_GRADIENT, (size_t)a->co * sizeof(float), &bias));
    const ts_cpu_convolution_data data = {a->x, a->dweight, bias, a->dy, NULL};
    TS_TRY(ts_cpu_convolution(device, &key, &data));
    for (int k = 0; a->dbias && k < a->co; k++)
        a->dbias[k] += ((const float *)bias)[k];
    return NULL;
}

ts_status ts_cpu_conv_backward(ts_device *device, const ts_conv_backward *a)
{
    if (a->dx)
        TS_TRY(input_gradient(device, a));
    const bool winograd = ts_cpu_winograd_weights_pay(a->n, a->h, a->w, a->ci, a->co);
    if (a->dweight && !winograd)
        return weight_gradient(device, a);
    if (a->dweight)
        TS_TRY(ts_cpu_winograd_weight_gradient(device, a));
    if (a->dbias)
        return ts_cpu_add_column_sums(device, SLOT_SUMS, (int64_t)a->n * a->h * a->w, a->co, a->dy, a->dbias);
    return NULL;
}
