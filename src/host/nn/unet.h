/*
 * Inside the U-Net: the modules that unet_plan.c lists and unet.c walks.
 */
#ifndef TS_NN_UNET_H
#define TS_NN_UNET_H

#include "nn/blocks.h"
#include "nn/nn.h"

enum { UNET_SKIPS = 8 * 66 + 1 }; /* the most that a network keeps */

typedef enum unet_kind {
    UNET_RESIDUAL,
    UNET_RESIDUAL_HALVING,
    UNET_RESIDUAL_DOUBLING,
    UNET_ATTENTION,
    UNET_HALVING,        /* a convolution that halves (DDPM blocks) */
    UNET_DOUBLING,       /* one that doubles */
    UNET_COMBINE,        /* the input, halved as often as h, joins h through a 1x1 convolution */
    UNET_INPUT_RESIDUAL, /* the input, halved by convolutions, is added to h */
    UNET_OUTPUT          /* h adds to the output, which was doubled so far */
} unet_kind;

/* One module with the parameters that its kind has; `skip` is -1 where the skip is the identity. */
typedef struct unet_module {
    char name[48]; /* "down 0 block 2" */
    unet_kind kind;
    bool concat; /* its input is [h, skip] */
    bool keep;   /* what it gives is a skip */
    int in, out;
    ts_param norm0[2], conv0[2], time[2], norm1[2], conv1[2], skip[2];
    ts_param qkv[2], project[2];
} unet_module;

struct ts_unet {
    ts_unet_config config;
    int time_channels;
    ts_param frequencies; /* of Fourier features, else -1 */
    ts_param time0[2], time1[2], first[2], norm[2], last[2];
    unet_module *modules;
    int count, capacity;
};

/* Declares all parameters, module by module in the public order.  Errors: memory alone. */
ts_status unet_plan(ts_unet *unet, ts_params *params);

static inline nn_filter unet_filter(const ts_unet_config *config)
{
    nn_filter filter = {.taps = config->fir_taps};
    for (int i = 0; i < filter.taps; i++)
        filter.k[i] = config->fir[i];
    return filter;
}

#endif
