/*
 * The operations of networks that look at images, forward only; conventions as in operations.h.
 */
#ifndef TS_KERNELS_OPERATIONS_IMAGES_H
#define TS_KERNELS_OPERATIONS_IMAGES_H

#include <stdbool.h>
#include <stdint.h>
#include "kernels/philox.h"

/* A window that goes over an image: its size, its steps, and how far it may begin and end beyond the edges. */
typedef struct ts_window {
    int h, w, stride_h, stride_w, pad_h, pad_w;
} ts_window;

/* How many places a window of `window` has along an axis of `size`; below 1: none. */
TS_FN int ts_window_places(int size, int window, int stride, int pad)
{
    return size + 2 * pad < window ? 0 : (size + 2 * pad - window) / stride + 1;
}

/* y = act(conv(x) + bias + residual), act ReLU or identity, zeros beyond the edges.  x [n,h,w,ci], y and residual
 * [n,oh,ow,co], oh and ow by ts_window_places; weight [co,window.h,window.w,ci/groups] (cross-correlation); the
 * channels of each of `groups` see their own alone.  bias [co] and residual may be NULL; residual may be y. */
typedef struct ts_conv2d {
    int n, h, w, ci, co, groups;
    ts_window window;
    bool relu;
    const void *x, *residual;
    const float *weight, *bias;
    void *y;
} ts_conv2d;

/* Average: over the places within the image, or with `count_padding` over the whole window. */
typedef enum ts_pooling { TS_POOL_MAX, TS_POOL_AVERAGE } ts_pooling;

/* y [n,oh,ow,c] = the maximum or mean of x [n,h,w,c] in the window at each place; padding is below the window's
 * size, so that each has something of the image.  Sums are float32. */
typedef struct ts_pool {
    int n, h, w, c;
    ts_window window;
    ts_pooling kind;
    bool count_padding;
    const void *x;
    void *y;
} ts_pool;

enum { TS_RESIZE_CHANNELS = 4 };

/* Bilinear, as PyTorch's interpolate without align_corners or antialiasing: along each axis output i lies at
 * max((i + 1/2) in/out - 1/2, 0) of the input, between the pixels below and above, the last one at the end.
 * y [n,oh,ow,oc] = scale[k] x + offset[k] in channel k, oc <= TS_RESIZE_CHANNELS, of x [n,h,w,c], c = oc, or
 * 1: the same channel everywhere.  Exactly one of bytes, floats (float32) is set. */
typedef struct ts_resize {
    int n, h, w, c, oh, ow, oc;
    float scale[TS_RESIZE_CHANNELS], offset[TS_RESIZE_CHANNELS];
    const uint8_t *bytes;
    const float *floats;
    void *y;
} ts_resize;

/* Where output i of `out` lies along an axis of `in` pixels: between `*low` and `*high`, this share on the way. */
TS_FN float ts_resize_place(int i, int in, int out, int *low, int *high)
{
    const double at = (i + 0.5) * in / out - 0.5, inside = at > 0 ? at : 0;
    const int below = (int)inside < in ? (int)inside : in - 1;
    *low = below;
    *high = below + 1 < in ? below + 1 : below;
    return (float)(inside - below);
}

#endif
