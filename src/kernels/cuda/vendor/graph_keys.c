/* Which of cuDNN's graphs the operations use. */
#include <string.h>
#include "kernels/cuda/vendor/library.h"

ts_cuda_graph_key ts_cuda_conv_key(ts_dtype activation, ts_cuda_pass pass, int n, int h, int w, int ci,
                                   int co)
{
    ts_cuda_graph_key key;
    memset(&key, 0, sizeof key);
    key.pass = (int)pass;
    key.n = n;
    key.h = h;
    key.w = w;
    key.ci = ts_cuda_padded(activation, ci);
    key.co = ts_cuda_padded(activation, co);
    key.bf16 = activation == TS_BF16;
    key.scale = 1.0f;
    key.window = (ts_window){3, 3, 1, 1, 1, 1};
    return key;
}

bool ts_cuda_conv_whole(ts_dtype activation, const ts_conv_forward *a, ts_cuda_graph_key *key)
{
    *key = ts_cuda_conv_key(activation, TS_CUDA_CONV_FORWARD, a->n, a->h, a->w, a->ci, a->co);
    /* Scaling has a place only beside a residual, and a graph may not write what it still reads. */
    if (key->co != a->co || (a->residual && a->residual == a->y) || (a->scale != 1.0f && !a->residual))
        return false;
    key->residual = a->residual != NULL;
    key->bias = a->bias || a->residual;
    key->scale = a->scale;
    return true;
}

bool ts_cuda_conv2d_whole(ts_dtype activation, const ts_conv2d *a, ts_cuda_graph_key *key)
{
    *key = ts_cuda_conv_key(activation, TS_CUDA_CONV_FORWARD, a->n, a->h, a->w, a->ci, a->co);
    key->window = a->window;
    if (key->co != a->co || (a->residual && a->residual == a->y))
        return false;
    key->residual = a->residual != NULL;
    key->bias = a->bias || a->residual || a->relu;
    key->relu = a->relu;
    return true;
}

bool ts_cuda_conv_data_whole(ts_dtype activation, const ts_conv_backward *a, ts_cuda_graph_key *key)
{
    *key = ts_cuda_conv_key(activation, TS_CUDA_CONV_DATA, a->n, a->h, a->w, a->ci, a->co);
    if (key->ci != a->ci)
        return false;
    key->accumulate = a->accumulate;
    return true;
}

bool ts_cuda_conv_weights_whole(ts_dtype activation, const ts_conv_backward *a, ts_cuda_graph_key *key)
{
    *key = ts_cuda_conv_key(activation, TS_CUDA_CONV_WEIGHTS, a->n, a->h, a->w, a->ci, a->co);
    /* Graphs are made for addresses that are multiples of 16; parameters follow one another without gaps. */
    if (key->ci != a->ci || key->co != a->co || (uintptr_t)a->dweight % 16 != 0)
        return false;
    key->accumulate = 1;
    return true;
}

ts_cuda_graph_key ts_cuda_attention_key(ts_dtype activation, int n, int tokens, int c)
{
    ts_cuda_graph_key key;
    memset(&key, 0, sizeof key);
    key.pass = (int)TS_CUDA_ATTENTION;
    key.n = n;
    key.h = tokens;
    key.w = 1;
    key.ci = key.co = c;
    key.bf16 = activation == TS_BF16;
    key.scale = 1.0f;
    return key;
}
