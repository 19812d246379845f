#include "nn/feature_network.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- building ---- */

static ts_param declare(ts_feature_network *network, const char *name, const char *part, int rank,
                        const int64_t *shape)
{
    ts_param_info info = {.rank = rank, .layout = rank == 4 ? TS_LAYOUT_CONV : TS_LAYOUT_PLAIN};
    snprintf(info.name, sizeof info.name, "%s.%s", name, part);
    for (int i = 0; i < rank; i++)
        info.shape[i] = shape[i];
    return ts_params_add(network->params, &info);
}

ts_tensor ts_feature_conv(ts_feature_network *network, ts_tensor x, const char *name,
                          const char *normalisation, int channels, ts_window window, bool relu,
                          ts_tensor residual)
{
    const ts_conv2d like = {.co = channels, .groups = 1, .window = window, .relu = relu};
    int s[4];
    ts_graph_shape(network->graph, x, s);
    const int64_t shape[] = {channels, s[3], window.h, window.w};
    ts_feature_layer *const l = &network->layers[network->count++];
    snprintf(l->name, sizeof l->name, "%s", name);
    snprintf(l->normalisation, sizeof l->normalisation, "%s", normalisation);
    l->weight = declare(network, name, "weight", 4, shape);
    l->bias = declare(network, name, "bias", 1, shape);
    ts_graph_layer(network->graph, "%s", name);
    return ts_graph_conv2d(network->graph, x, l->weight, l->bias, &like, residual);
}

/* ---- loading ---- */

static ts_status read_part(ts_feature_read *read, void *context, const char *name, const char *part, int rank,
                           const int64_t *shape, float *to)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", name, part);
    return read(context, full, rank, shape, to);
}

static ts_status fold(const ts_feature_layer *l, float epsilon, ts_feature_read *read, void *context,
                      int64_t row, int64_t channels, float *weight, float *bias)
{
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    float *const of[4] = {bias, bias + channels, bias + 2 * channels, bias + 3 * channels};
    for (int i = 0; i < 4; i++)
        TS_TRY(read_part(read, context, l->normalisation, parts[i], 1, &channels, of[i]));
    for (int64_t o = 0; o < channels; o++) {
        const double deviation = sqrt((double)of[3][o] + (double)epsilon),
                     factor = (double)of[0][o] / deviation;
        if (!isfinite(factor) || !(deviation > 0))
            return ts_error(TS_FORMAT, "%s.running_var: value %lld is no variance", l->normalisation,
                            (long long)o);
        for (int64_t i = 0; i < row; i++)
            weight[o * row + i] = (float)(weight[o * row + i] * factor);
        bias[o] = (float)((double)of[1][o] - of[2][o] * factor);
    }
    return NULL;
}

static ts_status load_layer(ts_feature_network *network, const ts_feature_layer *l, ts_feature_read *read,
                            void *context)
{
    const ts_param_info *const info = ts_params_info(network->params, l->weight);
    const int64_t count = ts_param_elements(info), channels = info->shape[0];
    float *const weight = malloc(sizeof *weight * (size_t)count), *const bias = malloc(4 * sizeof *bias *
                                                                                       (size_t)channels);
    ts_status status =
        weight && bias ? NULL : ts_error(TS_NO_MEMORY, "%s: no memory for its weights", l->name);
    if (!status)
        status = read_part(read, context, l->name, "weight", 4, info->shape, weight);
    if (!status)
        status = *l->normalisation
                     ? fold(l, network->epsilon, read, context, count / channels, channels, weight, bias)
                     : read_part(read, context, l->name, "bias", 1, &channels, bias);
    if (!status)
        status = ts_params_set(network->params, l->weight, TS_BUFFER_VALUE, weight);
    if (!status)
        status = ts_params_set(network->params, l->bias, TS_BUFFER_VALUE, bias);
    free(weight);
    free(bias);
    return status;
}

ts_status ts_feature_network_load(ts_feature_network *network, ts_feature_read *read, void *context)
{
    for (int i = 0; i < network->count; i++)
        TS_TRY(load_layer(network, &network->layers[i], read, context));
    return NULL;
}

/* ---- the table ---- */

static ts_tensor build_inception(ts_feature_network *network, ts_tensor x)
{
    return ts_inception(network, x, NULL);
}

/* Bytes are taken as the networks were trained on them: to [-1,1], as they are, and less CIFAR-10's trainer's means
 * over its deviations. */
const ts_feature_network_row ts_feature_networks[TS_FEATURE_NETWORK_COUNT] = {
    [TS_FEATURE_NETWORK_INCEPTION] = {.text = "InceptionV3, as pytorch-fid has it",
                                      .h = 299,
                                      .w = 299,
                                      .c = 3,
                                      .count = 2048,
                                      .epsilon = 1e-3f,
                                      .scale = {2 / 255.f, 2 / 255.f, 2 / 255.f},
                                      .offset = {-1, -1, -1},
                                      .fid = true,
                                      .build = build_inception},
    [TS_FEATURE_NETWORK_MNIST_CNN] = {.text = "a small classifier of MNIST (not FID)",
                                      .h = 28,
                                      .w = 28,
                                      .c = 1,
                                      .count = 256,
                                      .scale = {1},
                                      .build = ts_mnist_cnn},
    [TS_FEATURE_NETWORK_RESNET56_CIFAR10] = {.text = "a ResNet-56 trained on CIFAR-10 (not FID)",
                                             .h = 32,
                                             .w = 32,
                                             .c = 3,
                                             .count = 64,
                                             .epsilon = 1e-5f,
                                             .scale = {1 / (255 * 0.229f), 1 / (255 * 0.224f),
                                                       1 / (255 * 0.225f)},
                                             .offset = {-0.485f / 0.229f, -0.456f / 0.224f, -0.406f / 0.225f},
                                             .build = ts_resnet56},
};
