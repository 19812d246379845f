#include "run/model.h"

#include <stdlib.h>
#include <string.h>

static ts_tensor apply_unet(const void *model, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    return ts_unet_apply(model, graph, x, t, training);
}

static ts_tensor apply_mlp(const void *model, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    (void)training; /* no dropout */
    return ts_mlp_apply(model, graph, x, t);
}

static ts_status create_unet(const ts_config *config, ts_model *model)
{
    ts_unet_config unet = {.height = model->h,
                           .width = model->w,
                           .channels = model->c,
                           .nf = config->model.nf,
                           .levels = config->model.ch_mult.count,
                           .num_res_blocks = config->model.num_res_blocks,
                           .attn_count = config->model.attn_resolutions.count,
                           .dropout = (float)config->model.dropout};
    const int divisor = 1 << (unet.levels - 1);
    if (model->h % divisor || model->w % divisor)
        return ts_error(TS_INVALID,
                        "model.ch_mult has %d levels, so images must divide by %d, but these are %dx%d",
                        unet.levels, divisor, model->h, model->w);
    for (int i = 0; i < unet.levels; i++)
        unet.ch_mult[i] = config->model.ch_mult.v[i];
    for (int i = 0; i < unet.attn_count; i++)
        unet.attn_resolutions[i] = config->model.attn_resolutions.v[i];
    TS_TRY(ts_unet_create(&unet, model->params, &model->unet));
    model->apply = apply_unet;
    model->network = model->unet;
    return NULL;
}

static ts_status create_mlp(const ts_config *config, ts_model *model)
{
    const ts_mlp_config mlp = {
        .dim = model->c, .hidden = config->model.hidden, .blocks = config->model.blocks};
    TS_TRY(ts_mlp_create(&mlp, model->params, &model->mlp));
    model->apply = apply_mlp;
    model->network = model->mlp;
    return NULL;
}

static ts_status create_network(const ts_config *config, ts_model *model)
{
    TS_TRY(ts_params_create(model->device, &model->params));
    TS_TRY(strcmp(config->model.kind, "mlp") ? create_unet(config, model) : create_mlp(config, model));
    return ts_params_commit(model->params, (uint64_t)config->run.seed);
}

ts_status ts_model_create(const ts_config *config, const ts_dataset *dataset, ts_device *device,
                          ts_model **model)
{
    *model = NULL;
    ts_model *m = calloc(1, sizeof *m);
    if (!m)
        return ts_error(TS_NO_MEMORY, "no memory for the model");
    *m = (ts_model){.device = device,
                    .sde = ts_config_sde(config),
                    .h = dataset->train.h,
                    .w = dataset->train.w,
                    .c = dataset->train.c};
    ts_status status = NULL;
    if (strcmp(config->model.kind, "exact"))
        status = create_network(config, m);
    else if (!(m->mixture = dataset->mixture))
        status = ts_error(TS_INVALID, "model.kind exact needs data.kind mixture");
    if (status)
        ts_model_destroy(m);
    else
        *model = m;
    return status;
}

void ts_model_destroy(ts_model *model)
{
    if (!model)
        return;
    ts_unet_destroy(model->unet);
    ts_mlp_destroy(model->mlp);
    ts_params_destroy(model->params);
    free(model);
}

ts_status ts_model_score(const ts_model *model, int n, bool gradient, ts_score **score)
{
    if (!model->params)
        return ts_score_mixture(model->mixture, &model->sde, n, score);
    return ts_score_network(model->device, model->params, model->apply, model->network, n, model->h, model->w,
                            model->c, gradient, score);
}
