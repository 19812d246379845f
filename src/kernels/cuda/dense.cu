/*
 * Dense layers and 1x1 convolutions: one product each, with bias, residual and scale in it.
 */
#include "kernels/cuda/channels.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/library.h"
#include "kernels/cuda/weights_pack.h"

/* The matrix in the activations' type; one that the graph computed has no copy that could be kept. */
static ts_status weights_of(ts_device *device, int out, int in, bool computed, const float *weight,
                            const void **packed)
{
    if (!computed || device->activation == TS_F32) {
        const ts_cuda_pack pack = {weight, out, 1, in, out, in, 1.0f};
        return ts_cuda_packed(device, &pack, packed);
    }
    void *copy = NULL;
    const size_t count = (size_t)out * (size_t)in;
    TS_TRY(ts_cuda_scratch(device, TS_CUDA_SLOT_WEIGHTS, count * ts_dtype_size(device->activation), &copy));
    const ts_convert convert = {(int64_t)count, false, weight, copy};
    *packed = copy;
    return ts_cuda_convert(device, &convert);
}

/* The layer's input after f: x itself, or silu(x) in scratch. */
static ts_status activate(ts_device *device, bool silu, int64_t count, const void *x, const void **activated)
{
    *activated = x;
    if (!silu)
        return NULL;
    void *memory = NULL;
    TS_TRY(ts_cuda_scratch(device, TS_CUDA_SLOT_ACTIVATED, (size_t)count * ts_dtype_size(device->activation),
                           &memory));
    const ts_silu_forward forward = {count, x, memory};
    *activated = memory;
    return ts_cuda_silu_forward(device, &forward);
}

/* A product [m,k] by [k,n] without gaps; the caller fills in the rest. */
static ts_cuda_product product_of(const ts_device *device, int m, int n, int k)
{
    ts_cuda_product p = {};
    p.m = m, p.n = n, p.k = k, p.batch = 1;
    p.type = p.type_d = device->activation;
    p.row_a = k, p.row_b = n, p.row_d = n;
    p.alpha = 1.0f;
    return p;
}

ts_status ts_cuda_dense_forward(ts_device *device, const ts_dense_forward *a)
{
    ts_cuda_product p = product_of(device, a->rows, a->out, a->in);
    p.transpose_b = true;
    p.row_b = a->in;
    TS_TRY(activate(device, a->silu_input, (int64_t)a->rows * a->in, a->x, &p.a));
    TS_TRY(weights_of(device, a->out, a->in, a->computed_weight, a->weight, &p.b));
    p.alpha = a->scale;
    p.beta = a->residual ? a->scale : 0.0f;
    p.c = a->residual;
    p.d = a->y;
    if (!a->bias)
        return ts_cuda_multiply(device, &p);
    bool whole = false;
    const ts_cuda_pack pack = {a->bias, 1, 1, a->out, 1, a->out, a->scale};
    TS_TRY(ts_cuda_packed(device, &pack, &p.bias));
    TS_TRY(ts_cuda_product_supported(device, &p, &whole));
    if (whole)
        return ts_cuda_multiply(device, &p);
    /* the product alone, and the rest in a kernel */
    p.alpha = 1.0f;
    p.beta = 0.0f;
    p.c = p.bias = NULL;
    if (a->residual == a->y && a->residual)
        TS_TRY(ts_cuda_scratch(device, TS_CUDA_SLOT_PAD_Y,
                               (size_t)a->rows * (size_t)a->out * ts_dtype_size(device->activation), &p.d));
    TS_TRY(ts_cuda_multiply(device, &p));
    return ts_cuda_crop(device, a->rows, a->out, a->out, p.d, a->bias, a->residual, a->scale, false, a->y);
}

/* ---- backward ---- */

static ts_status input_gradient(ts_device *device, const ts_dense_backward *a)
{
    const int64_t count = (int64_t)a->rows * a->in;
    ts_cuda_product p = product_of(device, a->rows, a->in, a->out);
    p.a = a->dy;
    TS_TRY(weights_of(device, a->out, a->in, a->computed_weight, a->weight, &p.b));
    p.d = a->dx;
    if (!a->silu_input) {
        p.beta = a->accumulate ? 1.0f : 0.0f;
        p.c = a->accumulate ? a->dx : NULL;
        return ts_cuda_multiply(device, &p);
    }
    TS_TRY(ts_cuda_scratch(device, TS_CUDA_SLOT_ACTIVATED, (size_t)count * ts_dtype_size(device->activation),
                           &p.d));
    TS_TRY(ts_cuda_multiply(device, &p));
    const ts_silu_backward silu = {count, a->x, p.d, a->dx, a->accumulate};
    return ts_cuda_silu_backward(device, &silu);
}

static ts_status weight_gradient(ts_device *device, const ts_dense_backward *a)
{
    ts_cuda_product p = product_of(device, a->out, a->in, a->rows);
    p.transpose_a = true;
    p.row_a = a->out;
    p.type_d = TS_F32;
    p.a = a->dy;
    TS_TRY(activate(device, a->silu_input, (int64_t)a->rows * a->in, a->x, &p.b));
    p.beta = 1.0f;
    p.c = p.d = a->dweight;
    return ts_cuda_multiply(device, &p);
}

ts_status ts_cuda_dense_backward(ts_device *device, const ts_dense_backward *a)
{
    if (a->dx)
        TS_TRY(input_gradient(device, a));
    if (a->dweight)
        TS_TRY(weight_gradient(device, a));
    if (a->dbias)
        return ts_cuda_bias_gradient(device, a->rows, a->out, a->dy, a->dbias);
    return NULL;
}
