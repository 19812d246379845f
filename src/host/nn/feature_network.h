/*
 * Trained networks that look at images, up to the features before their last layer: InceptionV3 as FID has it
 * (inception.c), small classifiers of MNIST and CIFAR-10 (classifiers.c).
 *
 * They are run, never trained, so a network is declared as it is applied: each convolution declares its parameters
 * and appends itself.  Its batch normalisation becomes part of the weights when they are loaded:
 *
 *     w' = w gamma/sqrt(variance + epsilon),   b' = beta - mean gamma/sqrt(variance + epsilon).
 */
#ifndef TS_NN_FEATURE_NETWORK_H
#define TS_NN_FEATURE_NETWORK_H

#include "base/kinds.h"
#include "graph/graph.h"

enum { TS_FEATURE_LAYERS = 128, TS_INCEPTION_STAGES = 3 };

/* A convolution under its public names. */
typedef struct ts_feature_layer {
    char name[64];          /* of NAME.weight, without a normalisation of NAME.bias too */
    char normalisation[64]; /* of NORMALISATION.weight, .bias, .running_mean, .running_var; empty: none */
    ts_param weight, bias;
} ts_feature_layer;

/* What a network is built into; made by {.graph, .params, .epsilon}. */
typedef struct ts_feature_network {
    ts_graph *graph;
    ts_params *params;
    float epsilon; /* of its batch normalisations */
    ts_feature_layer layers[TS_FEATURE_LAYERS];
    int count;
} ts_feature_network;

/* x [n,h,w,ci], residual [n,oh,ow,channels] -> act(norm(conv(x)) + residual) [n,oh,ow,channels], act ReLU or
 * identity; residual may be -1. */
ts_tensor ts_feature_conv(ts_feature_network *network, ts_tensor x, const char *name,
                          const char *normalisation, int channels, ts_window window, bool relu,
                          ts_tensor residual);

/* Copies the float32 tensor of that name and shape into `to`, or says what is wrong with it. */
typedef ts_status ts_feature_read(void *context, const char *name, int rank, const int64_t *shape, float *to);

/* Sets the (committed) parameters to what `read` gives, normalisations folded in. */
ts_status ts_feature_network_load(ts_feature_network *network, ts_feature_read *read, void *context);

/* ---- the networks ---- */

/* InceptionV3 as pytorch-fid has it: x [n,299,299,3] in [-1,1] -> [n,1,1,2048].  stages, if wanted, gets what FID of
 * 64, 192 and 768 features is of, before the mean over positions: [n,73,73,64], [n,35,35,192], [n,17,17,768]. */
ts_tensor ts_inception(ts_feature_network *network, ts_tensor x, ts_tensor stages[TS_INCEPTION_STAGES]);
/* Two convolutions: x [n,28,28,1] in [0,255] -> [n,4,4,16]. */
ts_tensor ts_mnist_cnn(ts_feature_network *network, ts_tensor x);
/* The ResNet-56 of He et al. 2015 for CIFAR-10, shortcuts without parameters: x [n,32,32,3] -> [n,1,1,64]. */
ts_tensor ts_resnet56(ts_feature_network *network, ts_tensor x);

typedef struct ts_feature_network_row {
    const char *text; /* for people */
    int h, w, c;      /* the images that it takes; others are resized */
    int count;        /* of features */
    float epsilon;
    float scale[TS_RESIZE_CHANNELS], offset[TS_RESIZE_CHANNELS]; /* of bytes, in each channel */
    bool fid; /* on its features the Frechet distance is FID */
    ts_tensor (*build)(ts_feature_network *network, ts_tensor x); /* -> all features of an image, [n,...] */
} ts_feature_network_row;

extern const ts_feature_network_row ts_feature_networks[TS_FEATURE_NETWORK_COUNT];

#endif
