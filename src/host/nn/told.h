/*
 * What a flow for all T is told of t, and the maps that it is told in: an embedding of Lambda(t), and from that the bias
 * and logs of an actnorm of each image's own.
 */
#ifndef TS_NN_TOLD_H
#define TS_NN_TOLD_H

#include "graph/graph.h"

typedef struct ts_told {
    ts_sde sde;
    double t_min, t_max;
    ts_param layers[4]; /* weight and bias of both */
} ts_told;

/* Weights of a flow's step: behind its actnorm, and in its coupling network behind the first and the last convolution. */
typedef struct ts_told_step {
    ts_param norm, network, last;
} ts_told_step;

void ts_told_declare(ts_told *told, ts_params *params, const ts_sde *sde, double t_min, double t_max);
/* They begin as nothing, but for the last, which begins as a factor, the data's share of the variance: a coupling does
 * as much as there is left of the data, so that what it learns where there is much of them is no noise where there is
 * none. */
ts_status ts_told_declare_step(ts_params *params, int number, int channels, int hidden, int last,
                               ts_told_step *step);

/* t [n] -> what is told, [n,1,1,...]. */
ts_tensor ts_told_apply(const ts_told *told, ts_graph *graph, ts_tensor t);
/* x [n,h,w,c] -> (x + bias) exp(logs) [n,h,w,c] or its inverse, bias and logs of each image by the weight; where nothing
 * is told (-1) x itself.  *logdet [n], where it is wanted. */
ts_tensor ts_told_norm(ts_graph *graph, ts_tensor x, ts_tensor told, ts_param weight, int c, bool inverse,
                       ts_tensor *logdet);

#endif
