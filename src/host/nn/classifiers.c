/* Small classifiers, up to the features before their last layer: what images too small for Inception are compared by. */
#include <stdio.h>
#include <stdlib.h>
#include "nn/feature_network.h"

static ts_tensor pool(ts_feature_network *network, ts_tensor x, ts_pooling kind, int size)
{
    const ts_window window = {size, size, size, size, 0, 0};
    return ts_graph_pool(network->graph, x, &(ts_pool){.window = window, .kind = kind});
}

ts_tensor ts_mnist_cnn(ts_feature_network *network, ts_tensor x)
{
    const ts_window five = {5, 5, 1, 1, 2, 2};
    x = ts_feature_conv(network, x, "conv1", "", 8, five, true, -1);  /* [n,28,28,8] */
    x = pool(network, x, TS_POOL_MAX, 2);                             /* [n,14,14,8] */
    x = ts_feature_conv(network, x, "conv2", "", 16, five, true, -1); /* [n,14,14,16] */
    return pool(network, x, TS_POOL_MAX, 3);                          /* [n,4,4,16] */
}

/* The shortcut over a halving block (He et al. 2015, option A), as a convolution: every second pixel, its c channels
 * between c/2 of zeros on both sides.  x [n,h,w,c] -> [n,h/2,w/2,2c] */
static ts_tensor shortcut(ts_feature_network *network, ts_tensor x, const char *name)
{
    int s[4];
    ts_graph_shape(network->graph, x, s);
    const int c = s[3];
    const ts_conv2d like = {.co = 2 * c, .groups = 1, .window = {1, 1, 2, 2, 0, 0}};
    float *const weight = calloc((size_t)c * 2 * (size_t)c, sizeof *weight);
    ts_param_info info = {
        .rank = 4, .shape = {2 * c, c, 1, 1}, .layout = TS_LAYOUT_CONV, .init = TS_INIT_GIVEN};
    for (int k = 0; weight && k < c; k++)
        weight[(k + c / 2) * c + k] = 1;
    info.given = weight;
    snprintf(info.name, sizeof info.name, "%s.shortcut", name);
    const ts_param param = ts_params_add(network->params, &info);
    free(weight);
    return ts_graph_conv2d(network->graph, x, param, -1, &like, -1);
}

/* h = ReLU(norm(conv(ReLU(norm(conv(x))))) + x): x [n,h,w,c] -> [n,h,w,c], or halved to [n,h/2,w/2,2c] */
static ts_tensor residual_block(ts_feature_network *network, ts_tensor x, const char *name, int channels,
                                bool halve)
{
    const int stride = halve ? 2 : 1;
    char conv[64], norm[64];
    snprintf(conv, sizeof conv, "%s.conv1", name);
    snprintf(norm, sizeof norm, "%s.bn1", name);
    ts_tensor h =
        ts_feature_conv(network, x, conv, norm, channels, (ts_window){3, 3, stride, stride, 1, 1}, true, -1);
    const ts_tensor beside = halve ? shortcut(network, x, name) : x;
    snprintf(conv, sizeof conv, "%s.conv2", name);
    snprintf(norm, sizeof norm, "%s.bn2", name);
    return ts_feature_conv(network, h, conv, norm, channels, (ts_window){3, 3, 1, 1, 1, 1}, true, beside);
}

ts_tensor ts_resnet56(ts_feature_network *network, ts_tensor x)
{
    x = ts_feature_conv(network, x, "conv1", "bn1", 16, (ts_window){3, 3, 1, 1, 1, 1}, true,
                        -1);                 /* [n,32,32,16] */
    for (int level = 1; level <= 3; level++) /* [n,32,32,16], [n,16,16,32], [n,8,8,64] */
        for (int i = 0; i < 9; i++) {
            char name[32];
            snprintf(name, sizeof name, "layer%d.%d", level, i);
            x = residual_block(network, x, name, 8 << level, level > 1 && i == 0);
        }
    x = pool(network, x, TS_POOL_AVERAGE, 8); /* [n,1,1,64] */
    ts_graph_layer(network->graph, NULL);
    return x;
}
