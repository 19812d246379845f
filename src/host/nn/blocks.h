/*
 * What the networks of score_sde are made of: parameters declared under their public names, with its initial
 * values, and the layers that its modules share.
 */
#ifndef TS_NN_BLOCKS_H
#define TS_NN_BLOCKS_H

#include "graph/graph.h"

/* ---- declaring: every function adds parameters "all_modules.NUMBER.NAME.PART" ---- */

typedef struct nn_declaring {
    ts_params *params;
    int number; /* of the next module in the public order */
} nn_declaring;

/* GroupNorm: weight, bias [channels]. */
void nn_norm(const nn_declaring *d, const char *name, int channels, ts_param pair[2]);
/* Convolution: weight [out,in,k,k], uniform of variance scale / mean fan (0 stands for 1e-10), bias [out]. */
void nn_conv(const nn_declaring *d, const char *name, int in, int out, int k, double scale, ts_param pair[2]);
/* Linear: weight [out,in], bias [out]. */
void nn_linear(const nn_declaring *d, const char *name, int in, int out, ts_param pair[2]);
/* `count` projections NIN_first, ... side by side, W [in,out] and b [out] each, stored so that they are one
 * matrix: all weights, then all biases. */
void nn_network_in_network(const nn_declaring *d, int first, int count, int in, int out, double scale,
                           ts_param pair[2]);
/* Fourier frequencies W [count], normal of standard deviation `scale`, never trained. */
ts_param nn_frequencies(const nn_declaring *d, int count, double scale);

/* ---- layers ---- */

/* min(channels / 4, 32) */
int nn_groups(int channels);
/* x [n,h,w,channels], shift [n,1,1,channels] or -1 -> GroupNorm(x + shift), then SiLU and dropout. */
ts_tensor nn_group_norm(ts_graph *graph, ts_tensor x, ts_tensor shift, const ts_param pair[2], int channels,
                        bool silu, float dropout);

/* ---- resampling (nn/resample.c) ---- */

/* The taps of a separable filter, its own scale divided out; none: halving is the mean of 2x2, doubling
 * nearest neighbour. */
typedef struct nn_filter {
    int taps;
    float k[TS_FIR_TAPS];
} nn_filter;

/* x [n,h,w,c] -> [n,h/2,w/2,c] or, with `up`, [n,2h,2w,c]. */
ts_tensor nn_resample(ts_graph *graph, ts_tensor x, const nn_filter *filter, bool up);
/* The same with a 3x3 convolution, whose stride is 2 where it halves: x [n,h,w,c] -> scale (conv(x) +
 * residual), [n,h/2,w/2,channels] or [n,2h,2w,channels]. */
ts_tensor nn_resample_conv(ts_graph *graph, ts_tensor x, const nn_filter *filter, bool up,
                           const ts_param pair[2], int channels, ts_tensor residual, float scale);

#endif
