#include "nn/nn.h"

/* ---- DDPM++, NCSN++ ---- */

static ts_status create_unet(const ts_network_config *config, ts_params *params, void **network)
{
    ts_unet_config unet = config->unet;
    ts_unet *created = NULL;
    unet.height = config->h;
    unet.width = config->w;
    unet.channels = config->c;
    const int divisor = 1 << (unet.levels - 1);
    if (config->h % divisor || config->w % divisor)
        return ts_error(TS_INVALID,
                        "model.ch_mult has %d levels, so images must divide by %d, but these are %dx%d",
                        unet.levels, divisor, config->h, config->w);
    ts_status status = ts_unet_create(&unet, params, &created);
    *network = created;
    return status;
}

static void destroy_unet(void *network)
{
    ts_unet_destroy(network);
}

static ts_tensor apply_unet(const void *network, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    return ts_unet_apply(network, graph, x, t, training);
}

/* ---- MLP ---- */

static ts_status create_mlp(const ts_network_config *config, ts_params *params, void **network)
{
    ts_mlp_config mlp = config->mlp;
    ts_mlp *created = NULL;
    mlp.dim = config->c;
    ts_status status = ts_mlp_create(&mlp, params, &created);
    *network = created;
    return status;
}

static void destroy_mlp(void *network)
{
    ts_mlp_destroy(network);
}

static ts_tensor apply_mlp(const void *network, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    (void)training; /* no dropout */
    return ts_mlp_apply(network, graph, x, t);
}

/* ---- the table ---- */

const ts_network_row ts_networks[TS_MODEL_COUNT] = {
    [TS_MODEL_DDPMPP] = {.create = create_unet, .destroy = destroy_unet, .apply = apply_unet},
    [TS_MODEL_NCSNPP] = {.pyramids = true,
                         .create = create_unet,
                         .destroy = destroy_unet,
                         .apply = apply_unet},
    [TS_MODEL_MLP] = {.vectors = true, .create = create_mlp, .destroy = destroy_mlp, .apply = apply_mlp},
    [TS_MODEL_EXACT] = {.vectors = true},
};
