/*
 * Dense layers and 1x1 convolutions: one product an input, with bias, residual and scale in the first.
 */
#include "kernels/cuda/channels.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vendor/library.h"
#include "kernels/cuda/weights_pack.h"

/* The matrix in the activations' type; one that the graph computed has no copy that could be kept. */
static ts_status weights_of(ts_device *device, int out, int in, bool computed, const float *weight,
                            const void **packed)
{
    *packed = weight;
    if (computed && device->activation == TS_F32)
        return NULL;
    if (!computed) {
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

/* The matrix of activations from a column on. */
static const void *columns_from(const ts_device *device, const void *matrix, int first)
{
    return static_cast<const char *>(matrix) + (size_t)first * ts_dtype_size(device->activation);
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

/* The product of the first input as given, and += that of the second if there is one. */
static ts_status multiply_inputs(ts_device *device, const ts_dense_forward *a, ts_cuda_product p)
{
    TS_TRY(ts_cuda_multiply(device, &p));
    if (!a->x2)
        return NULL;
    TS_TRY(activate(device, a->silu_input, (int64_t)a->rows * a->in2, a->x2, &p.a));
    p.b = columns_from(device, p.b, a->in - a->in2);
    p.k = a->in2;
    p.row_a = a->in2;
    p.beta = 1.0f;
    p.c = p.d;
    p.bias = NULL;
    return ts_cuda_multiply(device, &p);
}

ts_status ts_cuda_dense_forward(ts_device *device, const ts_dense_forward *a)
{
    ts_cuda_product p = product_of(device, a->rows, a->out, a->in - a->in2);
    p.transpose_b = true;
    p.row_b = a->in;
    TS_TRY(activate(device, a->silu_input, (int64_t)a->rows * p.k, a->x, &p.a));
    TS_TRY(weights_of(device, a->out, a->in, a->computed_weight, a->weight, &p.b));
    p.alpha = a->scale;
    p.beta = a->residual ? a->scale : 0.0f;
    p.c = a->residual;
    p.d = a->y;
    if (!a->bias)
        return multiply_inputs(device, a, p);
    bool whole = false;
    const ts_cuda_pack pack = {a->bias, 1, 1, a->out, 1, a->out, a->scale};
    TS_TRY(ts_cuda_packed(device, &pack, &p.bias));
    TS_TRY(ts_cuda_product_supported(device, &p, &whole));
    if (whole)
        return multiply_inputs(device, a, p);
    /* the product alone, and the rest in a kernel */
    p.alpha = 1.0f;
    p.beta = 0.0f;
    p.c = p.bias = NULL;
    if (a->residual == a->y && a->residual)
        TS_TRY(ts_cuda_scratch(device, TS_CUDA_SLOT_PAD_Y,
                               (size_t)a->rows * (size_t)a->out * ts_dtype_size(device->activation), &p.d));
    TS_TRY(multiply_inputs(device, a, p));
    return ts_cuda_crop(device, a->rows, a->out, a->out, p.d, a->bias, a->residual, a->scale, TS_CUDA_ASSIGN,
                        a->y);
}

/* ---- backward ---- */

/* One of the tensors that are the input, its gradient, and where its columns of the weights begin. */
typedef struct source {
    int in, first;
    const void *x;
    void *dx;
    bool accumulate;
} source;

/* `weight`: the whole matrix in the activations' type. */
static ts_status input_gradient(ts_device *device, const ts_dense_backward *a, const source *s,
                                const void *weight)
{
    const int64_t count = (int64_t)a->rows * s->in;
    ts_cuda_product p = product_of(device, a->rows, s->in, a->out);
    p.a = a->dy;
    p.b = columns_from(device, weight, s->first);
    p.row_b = a->in;
    p.d = s->dx;
    if (!a->silu_input) {
        p.beta = s->accumulate ? 1.0f : 0.0f;
        p.c = s->accumulate ? s->dx : NULL;
        return ts_cuda_multiply(device, &p);
    }
    TS_TRY(ts_cuda_scratch(device, TS_CUDA_SLOT_ACTIVATED, (size_t)count * ts_dtype_size(device->activation),
                           &p.d));
    TS_TRY(ts_cuda_multiply(device, &p));
    const ts_silu_backward silu = {count, s->x, p.d, s->dx, s->accumulate};
    return ts_cuda_silu_backward(device, &silu);
}

static ts_status weight_gradient(ts_device *device, const ts_dense_backward *a, const source *s)
{
    ts_cuda_product p = product_of(device, a->out, s->in, a->rows);
    p.transpose_a = true;
    p.row_a = a->out;
    p.row_d = a->in;
    p.type_d = TS_F32;
    p.a = a->dy;
    TS_TRY(activate(device, a->silu_input, (int64_t)a->rows * s->in, s->x, &p.b));
    p.beta = 1.0f;
    p.d = a->dweight + s->first;
    p.c = p.d;
    return ts_cuda_multiply(device, &p);
}

ts_status ts_cuda_dense_backward(ts_device *device, const ts_dense_backward *a)
{
    const int in = a->in - a->in2;
    const source sources[2] = {{in, 0, a->x, a->dx, a->accumulate},
                               {a->in2, in, a->x2, a->dx2, a->accumulate2}};
    const void *weight = NULL;
    if (a->dx || a->dx2)
        TS_TRY(weights_of(device, a->out, a->in, a->computed_weight, a->weight, &weight));
    for (int i = 0; i < (a->x2 ? 2 : 1); i++) {
        if (sources[i].dx)
            TS_TRY(input_gradient(device, a, &sources[i], weight));
        if (a->dweight)
            TS_TRY(weight_gradient(device, a, &sources[i]));
    }
    if (a->dbias)
        return ts_cuda_bias_gradient(device, a->rows, a->out, a->dy, a->dbias);
    return NULL;
}
