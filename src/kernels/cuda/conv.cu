/*
 * 3x3 convolutions by cuDNN.  Where a graph for the whole operation exists it is one call; otherwise the
 * plain convolution runs on padded channels and kernels before and after it do the rest.
 */
#include "kernels/cuda/channels.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vendor/library.h"
#include "kernels/cuda/weights_pack.h"

enum { TAPS = 9 };

/* The weights as the graph of `key` wants them. */
static ts_status weights_of(ts_device *device, const ts_cuda_graph_key *key, int ci, int co,
                            const float *weight, void **packed)
{
    const ts_cuda_pack pack = {weight, co, TAPS, ci, key->co, key->ci, 1.0f};
    const void *copy = NULL;
    TS_TRY(ts_cuda_packed(device, &pack, &copy));
    *packed = const_cast<void *>(copy);
    return NULL;
}

/* ---- forward ---- */

/* The whole operation in one graph. */
static ts_status forward_whole(ts_device *device, const ts_conv_forward *a, const ts_cuda_graph_key *key,
                               ts_cuda_graph_data *data)
{
    if (key->bias) {
        const ts_cuda_pack pack = {a->bias, 1, 1, a->co, 1, a->co, a->scale};
        const void *bias = NULL;
        TS_TRY(ts_cuda_packed(device, &pack, &bias));
        data->bias = const_cast<void *>(bias);
    }
    data->residual = const_cast<void *>(a->residual);
    data->y = a->y;
    return ts_cuda_graph_run(device, key, data);
}

ts_status ts_cuda_conv_forward(ts_device *device, const ts_conv_forward *a)
{
    const int64_t rows = (int64_t)a->n * a->h * a->w;
    ts_cuda_graph_key key;
    ts_cuda_graph_data data = {};
    bool whole = ts_cuda_conv_whole(device->activation, a, &key);
    if (whole)
        TS_TRY(ts_cuda_graph_supported(device, &key, &whole));
    TS_TRY(ts_cuda_padded_of(device, TS_CUDA_SLOT_PAD_X, rows, a->ci, key.ci, a->x, &data.x));
    TS_TRY(weights_of(device, &key, a->ci, a->co, a->weight, &data.weight));
    if (whole)
        return forward_whole(device, a, &key, &data);

    key = ts_cuda_conv_key(device->activation, TS_CUDA_CONV_FORWARD, a->n, a->h, a->w, a->ci, a->co);
    data.y = a->y;
    if (key.co != a->co || (a->residual && a->residual == a->y))
        TS_TRY(ts_cuda_scratch(device, TS_CUDA_SLOT_PAD_Y,
                               (size_t)rows * (size_t)key.co * ts_dtype_size(device->activation), &data.y));
    TS_TRY(ts_cuda_graph_run(device, &key, &data));
    return ts_cuda_crop(device, rows, a->co, key.co, data.y, a->bias, a->residual, a->scale, TS_CUDA_ASSIGN,
                        a->y);
}

/* ---- backward ---- */

static ts_status input_gradient(ts_device *device, const ts_conv_backward *a, void *dy)
{
    const int64_t rows = (int64_t)a->n * a->h * a->w;
    ts_cuda_graph_key key;
    ts_cuda_graph_data data = {};
    bool whole = ts_cuda_conv_data_whole(device->activation, a, &key);
    if (whole)
        TS_TRY(ts_cuda_graph_supported(device, &key, &whole));
    TS_TRY(weights_of(device, &key, a->ci, a->co, a->weight, &data.weight));
    data.y = dy;
    data.x = a->dx;
    if (whole)
        return ts_cuda_graph_run(device, &key, &data);
    key.accumulate = 0;
    TS_TRY(ts_cuda_scratch(device, TS_CUDA_SLOT_PAD_X,
                           (size_t)rows * (size_t)key.ci * ts_dtype_size(device->activation), &data.x));
    TS_TRY(ts_cuda_graph_run(device, &key, &data));
    return ts_cuda_crop(device, rows, a->ci, key.ci, data.x, NULL, NULL, 1.0f,
                        a->accumulate ? TS_CUDA_ACCUMULATE : TS_CUDA_ASSIGN, a->dx);
}

static ts_status weight_gradient(ts_device *device, const ts_conv_backward *a, void *dy)
{
    const int64_t rows = (int64_t)a->n * a->h * a->w;
    ts_cuda_graph_key key;
    ts_cuda_graph_data data = {};
    bool whole = ts_cuda_conv_weights_whole(device->activation, a, &key);
    if (whole)
        TS_TRY(ts_cuda_graph_supported(device, &key, &whole));
    TS_TRY(ts_cuda_padded_of(device, TS_CUDA_SLOT_PAD_X, rows, a->ci, key.ci, a->x, &data.x));
    data.y = dy;
    data.weight = a->dweight;
    if (whole)
        return ts_cuda_graph_run(device, &key, &data);
    /* Assigned in float32; rounded to the activations' type only where the library knows no other way. */
    bool supported = false;
    key.accumulate = 0;
    TS_TRY(ts_cuda_graph_supported(device, &key, &supported));
    key.rounded = !supported;
    const size_t count = (size_t)key.co * TAPS * (size_t)key.ci;
    TS_TRY(ts_cuda_scratch(device, TS_CUDA_SLOT_WEIGHTS, count * sizeof(float), &data.weight));
    TS_TRY(ts_cuda_graph_run(device, &key, &data));
    return ts_cuda_add_weights(device, a->co, TAPS, a->ci, key.ci, key.rounded, data.weight, a->dweight);
}

ts_status ts_cuda_conv_backward(ts_device *device, const ts_conv_backward *a)
{
    const int64_t rows = (int64_t)a->n * a->h * a->w;
    if (a->dx || a->dweight) {
        void *dy = NULL;
        TS_TRY(ts_cuda_padded_of(device, TS_CUDA_SLOT_PAD_Y, rows, a->co,
                                 ts_cuda_padded(device->activation, a->co), a->dy, &dy));
        if (a->dx)
            TS_TRY(input_gradient(device, a, dy));
        if (a->dweight)
            TS_TRY(weight_gradient(device, a, dy));
    }
    if (a->dbias)
        return ts_cuda_bias_gradient(device, rows, a->co, a->dy, a->dbias);
    return NULL;
}
