/*
 * InceptionV3 (Szegedy et al. 2015) as pytorch-fid has it: the graph of 2015 whose features FID is defined on.  It
 * differs from today's: average pools leave padding out of their count, and the last block pools by the maximum.
 */
#include <stdio.h>
#include "nn/feature_network.h"

/* One block, whose convolutions are "BLOCK.BRANCH". */
typedef struct block {
    ts_feature_network *network;
    const char *name;
} block;

/* x [n,h,w,c] -> ReLU(norm(conv(x))) [n,oh,ow,channels] */
static ts_tensor conv(const block *b, ts_tensor x, const char *branch, int channels, ts_window window)
{
    char name[64], normalisation[64];
    snprintf(name, sizeof name, "%s%s.conv", b->name, branch);
    snprintf(normalisation, sizeof normalisation, "%s%s.bn", b->name, branch);
    return ts_feature_conv(b->network, x, name, normalisation, channels, window, true, -1);
}

/* Of h x w, padded so that the image keeps its size. */
static ts_window same(int h, int w)
{
    return (ts_window){h, w, 1, 1, h / 2, w / 2};
}

static ts_window one(void)
{
    return same(1, 1);
}

/* 3x3, every second place, no padding. */
static ts_window halving(void)
{
    return (ts_window){3, 3, 2, 2, 0, 0};
}

static ts_tensor pool(const block *b, ts_tensor x, ts_pooling kind, ts_window window)
{
    return ts_graph_pool(b->network->graph, x, &(ts_pool){.window = window, .kind = kind});
}

static ts_tensor join(const block *b, ts_tensor first, ts_tensor second)
{
    return ts_concat(b->network->graph, first, second);
}

static ts_tensor join4(const block *b, ts_tensor first, ts_tensor second, ts_tensor third, ts_tensor fourth)
{
    return join(b, join(b, first, second), join(b, third, fourth));
}

/* 35x35: -> [n,h,w,224 + pooled] */
static ts_tensor block_a(ts_feature_network *network, const char *name, ts_tensor x, int pooled)
{
    const block b = {network, name};
    const ts_tensor single = conv(&b, x, ".branch1x1", 64, one());
    ts_tensor five = conv(&b, x, ".branch5x5_1", 48, one());
    five = conv(&b, five, ".branch5x5_2", 64, same(5, 5));
    ts_tensor twice = conv(&b, x, ".branch3x3dbl_1", 64, one());
    twice = conv(&b, twice, ".branch3x3dbl_2", 96, same(3, 3));
    twice = conv(&b, twice, ".branch3x3dbl_3", 96, same(3, 3));
    ts_tensor pooling = pool(&b, x, TS_POOL_AVERAGE, same(3, 3));
    pooling = conv(&b, pooling, ".branch_pool", pooled, one());
    return join4(&b, single, five, twice, pooling);
}

/* 35x35 to 17x17: x [n,h,w,c] -> [n,oh,ow,480 + c] */
static ts_tensor block_b(ts_feature_network *network, const char *name, ts_tensor x)
{
    const block b = {network, name};
    const ts_tensor three = conv(&b, x, ".branch3x3", 384, halving());
    ts_tensor twice = conv(&b, x, ".branch3x3dbl_1", 64, one());
    twice = conv(&b, twice, ".branch3x3dbl_2", 96, same(3, 3));
    twice = conv(&b, twice, ".branch3x3dbl_3", 96, halving());
    return join(&b, join(&b, three, twice), pool(&b, x, TS_POOL_MAX, halving()));
}

/* 17x17, of 7x1 and 1x7 over `inner` channels: -> [n,h,w,768] */
static ts_tensor block_c(ts_feature_network *network, const char *name, ts_tensor x, int inner)
{
    const block b = {network, name};
    const ts_tensor single = conv(&b, x, ".branch1x1", 192, one());
    ts_tensor seven = conv(&b, x, ".branch7x7_1", inner, one());
    seven = conv(&b, seven, ".branch7x7_2", inner, same(1, 7));
    seven = conv(&b, seven, ".branch7x7_3", 192, same(7, 1));
    ts_tensor twice = conv(&b, x, ".branch7x7dbl_1", inner, one());
    twice = conv(&b, twice, ".branch7x7dbl_2", inner, same(7, 1));
    twice = conv(&b, twice, ".branch7x7dbl_3", inner, same(1, 7));
    twice = conv(&b, twice, ".branch7x7dbl_4", inner, same(7, 1));
    twice = conv(&b, twice, ".branch7x7dbl_5", 192, same(1, 7));
    ts_tensor pooling = pool(&b, x, TS_POOL_AVERAGE, same(3, 3));
    pooling = conv(&b, pooling, ".branch_pool", 192, one());
    return join4(&b, single, seven, twice, pooling);
}

/* 17x17 to 8x8: x [n,h,w,c] -> [n,oh,ow,512 + c] */
static ts_tensor block_d(ts_feature_network *network, const char *name, ts_tensor x)
{
    const block b = {network, name};
    ts_tensor three = conv(&b, x, ".branch3x3_1", 192, one());
    three = conv(&b, three, ".branch3x3_2", 320, halving());
    ts_tensor seven = conv(&b, x, ".branch7x7x3_1", 192, one());
    seven = conv(&b, seven, ".branch7x7x3_2", 192, same(1, 7));
    seven = conv(&b, seven, ".branch7x7x3_3", 192, same(7, 1));
    seven = conv(&b, seven, ".branch7x7x3_4", 192, halving());
    return join(&b, join(&b, three, seven), pool(&b, x, TS_POOL_MAX, halving()));
}

/* 8x8: -> [n,h,w,2048] */
static ts_tensor block_e(ts_feature_network *network, const char *name, ts_tensor x, ts_pooling pooled)
{
    const block b = {network, name};
    const ts_tensor single = conv(&b, x, ".branch1x1", 320, one());
    ts_tensor three = conv(&b, x, ".branch3x3_1", 384, one());
    three = join(&b, conv(&b, three, ".branch3x3_2a", 384, same(1, 3)),
                 conv(&b, three, ".branch3x3_2b", 384, same(3, 1)));
    ts_tensor twice = conv(&b, x, ".branch3x3dbl_1", 448, one());
    twice = conv(&b, twice, ".branch3x3dbl_2", 384, same(3, 3));
    twice = join(&b, conv(&b, twice, ".branch3x3dbl_3a", 384, same(1, 3)),
                 conv(&b, twice, ".branch3x3dbl_3b", 384, same(3, 1)));
    ts_tensor pooling = pool(&b, x, pooled, same(3, 3));
    pooling = conv(&b, pooling, ".branch_pool", 192, one());
    return join4(&b, single, three, twice, pooling);
}

ts_tensor ts_inception(ts_feature_network *network, ts_tensor x, ts_tensor stages[TS_INCEPTION_STAGES])
{
    const block stem = {network, ""};
    x = conv(&stem, x, "Conv2d_1a_3x3", 32, halving());                     /* [n,149,149,32] */
    x = conv(&stem, x, "Conv2d_2a_3x3", 32, (ts_window){3, 3, 1, 1, 0, 0}); /* [n,147,147,32] */
    x = conv(&stem, x, "Conv2d_2b_3x3", 64, same(3, 3));                    /* [n,147,147,64] */
    x = pool(&stem, x, TS_POOL_MAX, halving());                             /* [n,73,73,64] */
    const ts_tensor first = x;
    x = conv(&stem, x, "Conv2d_3b_1x1", 80, one());                          /* [n,73,73,80] */
    x = conv(&stem, x, "Conv2d_4a_3x3", 192, (ts_window){3, 3, 1, 1, 0, 0}); /* [n,71,71,192] */
    x = pool(&stem, x, TS_POOL_MAX, halving());                              /* [n,35,35,192] */
    const ts_tensor second = x;
    x = block_a(network, "Mixed_5b", x, 32); /* [n,35,35,256] */
    x = block_a(network, "Mixed_5c", x, 64); /* [n,35,35,288] */
    x = block_a(network, "Mixed_5d", x, 64);
    x = block_b(network, "Mixed_6a", x); /* [n,17,17,768] */
    x = block_c(network, "Mixed_6b", x, 128);
    x = block_c(network, "Mixed_6c", x, 160);
    x = block_c(network, "Mixed_6d", x, 160);
    x = block_c(network, "Mixed_6e", x, 192);
    const ts_tensor third = x;
    x = block_d(network, "Mixed_7a", x);                  /* [n,8,8,1280] */
    x = block_e(network, "Mixed_7b", x, TS_POOL_AVERAGE); /* [n,8,8,2048] */
    x = block_e(network, "Mixed_7c", x, TS_POOL_MAX);
    if (stages)
        stages[0] = first, stages[1] = second, stages[2] = third;
    x = pool(&stem, x, TS_POOL_AVERAGE, (ts_window){8, 8, 1, 1, 0, 0}); /* [n,1,1,2048] */
    ts_graph_layer(network->graph, NULL);
    return x;
}
