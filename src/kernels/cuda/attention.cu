/*
 * Single-head self-attention: products with own kernels between them, all images at once.  Where the
 * probabilities are not kept, cuDNN's fused attention does it without writing them.
 */
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vendor/library.h"
#include "kernels/cuda/softmax.h"

/* Element `first` of an array of activations. */
static const void *at(const ts_device *device, const void *x, int64_t first)
{
    return static_cast<const char *>(x) + first * (int64_t)ts_dtype_size(device->activation);
}

/* A product over all images; tensors [tokens,tokens], [tokens,c] or thirds of [tokens,3c] by their rows. */
static ts_cuda_product product_of(const ts_device *device, int n, int tokens, int columns, int inner,
                                  int row_a, int row_b, int row_d)
{
    ts_cuda_product p = {};
    p.m = tokens, p.n = columns, p.k = inner, p.batch = n;
    p.type = p.type_d = device->activation;
    p.row_a = row_a, p.row_b = row_b, p.row_d = row_d;
    p.step_a = (int64_t)tokens * row_a, p.step_b = (int64_t)tokens * row_b,
    p.step_d = (int64_t)tokens * row_d;
    p.alpha = 1.0f;
    return p;
}

/* Scratch for [n,tokens,tokens] values of `type`. */
static ts_status square(ts_device *device, int slot, int n, int tokens, ts_dtype type, void **memory)
{
    return ts_cuda_scratch(device, slot, (size_t)n * (size_t)tokens * (size_t)tokens * ts_dtype_size(type),
                           memory);
}

ts_status ts_cuda_attention_forward(ts_device *device, const ts_attention_forward *a)
{
    const int tokens = a->tokens, c = a->c;
    void *probabilities = a->probabilities, *scores;
    if (!probabilities && device->activation == TS_BF16 && c % 8 == 0) {
        const ts_cuda_graph_key key = ts_cuda_attention_key(device->activation, a->n, tokens, c);
        bool supported = false;
        TS_TRY(ts_cuda_graph_supported(device, &key, &supported));
        ts_cuda_graph_data data = {};
        data.x = const_cast<void *>(a->qkv);
        data.y = a->y;
        if (supported)
            return ts_cuda_graph_run(device, &key, &data);
    }
    if (!probabilities)
        TS_TRY(
            square(device, TS_CUDA_SLOT_SCORES_GRADIENT, a->n, tokens, device->activation, &probabilities));
    scores = probabilities;
    if (device->activation != TS_F32) /* scores in bfloat16 would lose the probabilities' digits */
        TS_TRY(square(device, TS_CUDA_SLOT_SCORES, a->n, tokens, TS_F32, &scores));

    ts_cuda_product qk = product_of(device, a->n, tokens, tokens, c, 3 * c, 3 * c, tokens);
    qk.transpose_b = true;
    qk.type_d = TS_F32;
    qk.alpha = 1.0f / sqrtf((float)c);
    qk.a = a->qkv;
    qk.b = at(device, a->qkv, c);
    qk.d = scores;
    TS_TRY(ts_cuda_multiply(device, &qk));
    TS_TRY(ts_cuda_softmax(device, (int64_t)a->n * tokens, tokens, (const float *)scores, probabilities));

    ts_cuda_product pv = product_of(device, a->n, tokens, c, tokens, tokens, 3 * c, c);
    pv.a = probabilities;
    pv.b = at(device, a->qkv, 2 * c);
    pv.d = a->y;
    return ts_cuda_multiply(device, &pv);
}

ts_status ts_cuda_attention_backward(ts_device *device, const ts_attention_backward *a)
{
    const int n = a->n, tokens = a->tokens, c = a->c;
    const void *const q = a->qkv, *const k = at(device, q, c), *const v = at(device, q, 2 * c);
    void *const dq = a->dqkv, *const dk = const_cast<void *>(at(device, dq, c));
    void *const dv = const_cast<void *>(at(device, dq, 2 * c));
    void *dp = NULL, *ds = NULL;
    TS_TRY(square(device, TS_CUDA_SLOT_SCORES, n, tokens, TS_F32, &dp));
    ds = dp;
    if (device->activation != TS_F32)
        TS_TRY(square(device, TS_CUDA_SLOT_SCORES_GRADIENT, n, tokens, device->activation, &ds));

    ts_cuda_product p = product_of(device, n, tokens, c, tokens, tokens, c, 3 * c);
    p.transpose_a = true; /* dv = p^T dy */
    p.a = a->probabilities, p.b = a->dy, p.d = dv;
    TS_TRY(ts_cuda_multiply(device, &p));

    p = product_of(device, n, tokens, tokens, c, c, 3 * c, tokens);
    p.transpose_b = true; /* dp = dy v^T */
    p.type_d = TS_F32;
    p.a = a->dy, p.b = v, p.d = dp;
    TS_TRY(ts_cuda_multiply(device, &p));
    TS_TRY(ts_cuda_softmax_backward(device, (int64_t)n * tokens, tokens, 1.0f / sqrtf((float)c),
                                    a->probabilities, (const float *)dp, ds));

    p = product_of(device, n, tokens, c, tokens, tokens, 3 * c, 3 * c);
    p.a = ds, p.b = k, p.d = dq; /* dq = ds k */
    TS_TRY(ts_cuda_multiply(device, &p));
    p.transpose_a = true;
    p.b = q, p.d = dk; /* dk = ds^T q */
    return ts_cuda_multiply(device, &p);
}
