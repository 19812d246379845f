/*
 * What the CUDA device leaves to NVIDIA's libraries: matrix products (cuBLASLt), and convolutions and
 * attention (cuDNN).  The operations that use them (conv.cu, dense.cu, attention.cu) know no more than this
 * header; the tests on the CPU put plain loops behind it.
 *
 * What lives in this folder: libraries.cu (handles, timing, what was chosen as text), cublas_product.cu,
 * and cuDNN in three steps: cudnn_graph.c describes an operation graph, cudnn_plan.c makes plans of it and
 * puts them into words, cudnn_run.cu keeps one plan a key and runs it.  graph_keys.c names the keys.
 *
 * Invariants: an algorithm is chosen by timing at the first run of a key, before anything is recorded, among
 * deterministic ones alone, and stays for the life of the device; text of an earlier run is believed only for
 * the same card and library versions.  Handles and plans belong to the device; results and workspace to the
 * caller and to its scratch slots.
 */
#ifndef TS_KERNELS_CUDA_VENDOR_LIBRARY_H
#define TS_KERNELS_CUDA_VENDOR_LIBRARY_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Scratch slots of the libraries and of the operations that use them; other operations count from 0. */
enum {
    TS_CUDA_SLOT_WORKSPACE = 16, /* the libraries' own */
    TS_CUDA_SLOT_TUNING,         /* results of plans that are only timed */
    TS_CUDA_SLOT_PAD_X,
    TS_CUDA_SLOT_PAD_Y,
    TS_CUDA_SLOT_WEIGHTS,
    TS_CUDA_SLOT_SCORES,
    TS_CUDA_SLOT_SCORES_GRADIENT,
    TS_CUDA_SLOT_ACTIVATED,
    TS_CUDA_SLOT_SUMS
};

/* ---- matrix products ---- */

/* d [m,n] = alpha op(a) op(b) + beta c + bias, row-major; op(a) [m,k], op(b) [k,n], op transposes; bias [n],
 * of d's type, is added to each row or NULL.  `row` is the distance of two rows in memory, `step` that of two
 * matrices of the batch; c has d's layout and may be d, or NULL with beta 0.  The sum is float32. */
typedef struct ts_cuda_product {
    int m, n, k, batch;
    bool transpose_a, transpose_b;
    ts_dtype type, type_d; /* of a and b, of c, d and bias: TS_F32 or TS_BF16 */
    int64_t row_a, row_b, row_d, step_a, step_b, step_d;
    float alpha, beta;
    const void *a, *b, *c, *bias;
    void *d;
} ts_cuda_product;

/* Whether the library has an algorithm for it. */
ts_status ts_cuda_product_supported(ts_device *device, const ts_cuda_product *p, bool *supported);
ts_status ts_cuda_multiply(ts_device *device, const ts_cuda_product *p);

/* ---- cuDNN's graphs ---- */

typedef enum ts_cuda_pass {
    TS_CUDA_CONV_FORWARD, /* y = act(scale (conv(x, weight) + residual) + bias) */
    TS_CUDA_CONV_DATA,    /* x = or += gradient of the input */
    TS_CUDA_CONV_WEIGHTS, /* weight = or += gradient of the weights */
    TS_CUDA_ATTENTION,    /* y = softmax(q k^T / sqrt(ci)) v; x = qkv [n,h,3 ci], y [n,h,ci] */
    TS_CUDA_PASSES
} ts_cuda_pass;

/* What distinguishes one graph from another.  Made in zeroed memory: compared as bytes. */
typedef struct ts_cuda_graph_key {
    int pass; /* ts_cuda_pass */
    int n, h, w, ci, co;
    int bf16;       /* activations and weights; else float32 without reduced precision anywhere */
    int bias;       /* forward; of the activations' type, already multiplied by `scale` */
    int residual;   /* forward; needs a bias */
    int accumulate; /* gradients: += */
    int rounded;    /* gradient of the weights: of the activations' type, not float32 */
    int relu;       /* forward; needs a bias */
    float scale;    /* forward; 1 without a residual */
    ts_window window;
} ts_cuda_graph_key;

/* Of a convolution's output. */
static inline int ts_cuda_graph_oh(const ts_cuda_graph_key *k)
{
    return ts_window_places(k->h, k->window.h, k->window.stride_h, k->window.pad_h);
}

static inline int ts_cuda_graph_ow(const ts_cuda_graph_key *k)
{
    return ts_window_places(k->w, k->window.w, k->window.stride_w, k->window.pad_w);
}

/* x [n,h,w,ci], weight [co,window.h,window.w,ci], y [n,oh,ow,co]; the gradients stand in the places of their tensors. */
typedef struct ts_cuda_graph_data {
    void *x, *weight, *bias, *residual, *y;
} ts_cuda_graph_data;

/* Whether the library has a deterministic plan for it.  The first call for a key makes one. */
ts_status ts_cuda_graph_supported(ts_device *device, const ts_cuda_graph_key *key, bool *supported);
/* The first run of a key chooses the plan, by timing where there is a choice. */
ts_status ts_cuda_graph_run(ts_device *device, const ts_cuda_graph_key *key, const ts_cuda_graph_data *data);

/* ---- which graphs an operation uses ---- */

/* Channels that the libraries are given: bfloat16 tensor cores want sixteen-byte rows. */
static inline int ts_cuda_padded(ts_dtype activation, int channels)
{
    return activation == TS_BF16 ? (channels + 7) / 8 * 8 : channels;
}

/* The graph of a pass of a 3x3 convolution over padded channels, without extras. */
ts_cuda_graph_key ts_cuda_conv_key(ts_dtype activation, ts_cuda_pass pass, int n, int h, int w, int ci,
                                   int co);
/* The whole of a forward convolution in one graph; false: it takes the plain one and a kernel after it. */
bool ts_cuda_conv_whole(ts_dtype activation, const ts_conv_forward *a, ts_cuda_graph_key *key);
/* The same of a convolution of any window, not in groups; where false, the plain one. */
bool ts_cuda_conv2d_whole(ts_dtype activation, const ts_conv2d *a, ts_cuda_graph_key *key);
/* The gradient of the input; `whole`: straight into dx. */
bool ts_cuda_conv_data_whole(ts_dtype activation, const ts_conv_backward *a, ts_cuda_graph_key *key);
/* The gradient of the weights; `whole`: added straight to dweight. */
bool ts_cuda_conv_weights_whole(ts_dtype activation, const ts_conv_backward *a, ts_cuda_graph_key *key);
ts_cuda_graph_key ts_cuda_attention_key(ts_dtype activation, int n, int tokens, int c);

#ifdef __cplusplus
}
#endif

#endif
